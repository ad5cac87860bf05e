#include <unistd.h>

#include <algorithm>

#include "cli/commands.h"
#include "cli/conflict_book.h"
#include "cli/json.h"
#include "cli/text.h"
#include "cli/time_text.h"

namespace tidemark::cli {
namespace {

const Value* column_of(const ConflictSide& side, std::size_t column) {
  return side.present && column < side.row.size() ? &side.row[column] : nullptr;
}

std::string cell(const Value* value, const Value* other, std::size_t width) {
  if (value == nullptr) return "";
  std::string text = value_text(value->view());
  // 1 and '1' differ and look alike.
  const bool looks_alike =
      other != nullptr && !(*value == *other) && value_text(other->view()) == text;
  if (looks_alike || (value->kind() == ValueKind::text && text == "NULL")) {
    text += " (" + std::string(to_string(value->kind())) + ")";
  }
  return width == 0 ? text : shortened(text, width);
}

std::string changed_text(const ConflictSide& side, std::int64_t now) {
  if (!side.version) return "before activation";
  std::string when = short_time(side.version->changed_at_us);
  if (side.version->changed_at_us < 1'000'000) return when;
  return when + ", " + relative_time(side.version->changed_at_us, now);
}

std::string key_text(const Conflict& conflict) {
  std::string text;
  for (std::size_t i = 0; i < conflict.key_columns.size() && i < conflict.key.size(); ++i) {
    if (i > 0) text += ", ";
    text += printable(conflict.columns[conflict.key_columns[i]]) + " = " +
            value_text(conflict.key[i].view());
  }
  return text;
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + printable(name);
  return text;
}

std::string sides_text(const Conflict& conflict) {
  std::size_t width = 0;  // whole values where somebody redirects the output
  if (::isatty(STDOUT_FILENO) == 1) {
    std::size_t names = 6;
    for (const std::string& column : conflict.columns) names = std::max(names, width_of(column));
    width = std::max<std::size_t>(
        16, (terminal_width() - std::min(terminal_width() / 2, names + 8)) / 2);
  }
  const std::int64_t now = now_us();
  TextTable table({{""}, {"column"}, {"winner"}, {"loser"}});
  table.add({"", "node", conflict.winner.node, conflict.loser.node});
  table.add({"", "changed", changed_text(conflict.winner, now), changed_text(conflict.loser, now)});
  const std::string gone = "the row is deleted";
  table.add({"", "", conflict.winner.present ? "" : gone, conflict.loser.present ? "" : gone});
  for (std::size_t i = 0; i < conflict.columns.size(); ++i) {
    const Value* winner = column_of(conflict.winner, i);
    const Value* loser = column_of(conflict.loser, i);
    const bool same = winner != nullptr && loser != nullptr && *winner == *loser;
    table.add({same ? "" : "*", conflict.columns[i], cell(winner, loser, width),
               cell(loser, winner, width)});
  }
  return table.render();
}

}  // namespace

int run_conflicts_show(Context& context) {
  const ConflictBook book = read_conflicts(context);
  const BookedConflict& booked = book.find(context.line().words.front());
  const Conflict& conflict = booked.conflict;
  context.output().document("conflict", {{"conflict", conflict_json(conflict, booked.nodes)}});
  std::string text = "conflict   " + conflict.id + "\n";
  text += "table      " + printable(conflict.table) + ", " + key_text(conflict) + "\n";
  text += "type       " + std::string(to_string(conflict.type)) + "\n";
  text += "status     " + std::string(to_string(conflict.status)) + " (policy " +
          std::string(to_string(conflict.policy)) + ")\n";
  text += "found      " + short_time(conflict.found_at_us) + " (" +
          relative_time(conflict.found_at_us, now_us()) + "), job " + printable(conflict.job) +
          "\n";
  text += "logged on  " + joined(booked.nodes) + "\n\n";
  text += sides_text(conflict);
  context.output().text(text);
  if (!is_closed(conflict.status)) {
    const std::string id = book.short_id(conflict.id);
    context.output().note("\nto let the loser win after all:  tidemark conflicts reinstate " + id +
                          "\nto close it as it is:            tidemark conflicts dismiss " + id +
                          "\n");
  }
  return 0;
}

}  // namespace tidemark::cli
