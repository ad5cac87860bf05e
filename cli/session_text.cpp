#include "cli/session_text.h"

#include "cli/json.h"
#include "cli/text.h"
#include "cli/time_text.h"

namespace tidemark::cli {
namespace {

using scheduler::Mode;
using scheduler::SessionReport;

Json tables_json(const apply::PullReport& pull) {
  Json tables = Json::array();
  for (const auto& [table, counts] : pull.tables) {
    Json entry = {{"table", table}};
    entry.update(counts_json(counts));
    entry["locked"] = counts.locked;
    tables.push_back(std::move(entry));
  }
  return tables;
}

std::string key_text(const Row& key) {
  const auto views = to_views(key);
  return to_string(views);
}

Json pull_json(const std::string& source, const std::string& target,
               const apply::PullReport& pull) {
  Json json = {{"source", source}, {"target", target}};
  json.update(counts_json(pull.total()));
  json["locked"] = pull.total().locked;
  json["tables"] = tables_json(pull);
  Json conflicts = Json::array();
  for (const Conflict& conflict : pull.conflicts) conflicts.push_back(conflict.id);
  json["conflict_ids"] = std::move(conflicts);
  Json waiting = Json::array();
  for (const auto& [table, row] : pull.waiting) {
    waiting.push_back({{"table", table},
                       {"key", key_text(row.key)},
                       {"source", row.source},
                       {"reason", row.reason},
                       {"since", rfc3339(row.since_us)}});
  }
  json["quarantine"] = std::move(waiting);
  return json;
}

void add_rows(TextTable& table, const std::string& target, const apply::PullReport& pull) {
  for (const auto& [name, counts] : pull.tables) {
    table.add({name, target, grouped(counts.inserted), grouped(counts.updated),
               grouped(counts.deleted), grouped(counts.adopted), grouped(counts.conflicts),
               grouped(counts.quarantined)});
  }
}

}  // namespace

std::string pair_text(const std::string& first, const std::string& second, Mode mode) {
  return printable(first) + (mode == Mode::backup ? " -> " : " <-> ") + printable(second);
}

Json session_json(const SessionReport& report, bool dry_run) {
  Json pulls = Json::array();
  pulls.push_back(pull_json(report.first, report.second, report.to_second));
  if (report.mode == Mode::two_way) {
    pulls.push_back(pull_json(report.second, report.first, report.to_first));
  }
  Json null_keys = Json::object();
  for (const auto& [table, rows] : report.null_keys) null_keys[table] = rows;
  Json settled = Json::object();
  for (const auto& [table, rows] : report.settled) settled[table] = rows;
  return {{"session", report.session_id},
          {"job", report.job},
          {"first", report.first},
          {"second", report.second},
          {"mode", scheduler::to_string(report.mode)},
          {"dry_run", dry_run},
          {"started_at", rfc3339(report.started_at_us)},
          {"finished_at", rfc3339(report.finished_at_us)},
          {"pulls", std::move(pulls)},
          {"null_keys", std::move(null_keys)},
          {"recovered", report.recovered},
          {"taken_in", report.taken_in},
          {"reshaped", report.reshaped},
          {"ranges", report.ranges},
          {"settled", std::move(settled)},
          {"problems", report.problems},
          {"warnings", report.warnings}};
}

std::string session_text(const SessionReport& report, bool dry_run) {
  using Align = TextTable::Align;
  TextTable table({{"table"},
                   {"written on"},
                   {"inserted", Align::right},
                   {"updated", Align::right},
                   {"deleted", Align::right},
                   {"adopted", Align::right},
                   {"conflicts", Align::right, colour_of_count},
                   {"quarantined", Align::right, colour_of_count}});
  add_rows(table, report.second, report.to_second);
  add_rows(table, report.first, report.to_first);
  std::string text =
      printable(report.job) + ": " + pair_text(report.first, report.second, report.mode) + ": ";
  const std::int64_t changed =
      report.to_second.total().changed() + report.to_first.total().changed();
  if (table.empty()) {
    text += "nothing to carry";
  } else {
    text += counted(changed, "row") + (dry_run ? " would change" : " changed");
  }
  text += ", " + duration_text(report.finished_at_us - report.started_at_us) + "\n";
  if (!table.empty()) text += table.render(2);
  return text;
}

}  // namespace tidemark::cli
