#include "cli/quarantine_book.h"

#include <algorithm>

#include "cli/conflict_book.h"
#include "cli/interrupt.h"
#include "cli/text.h"

namespace tidemark::cli {
namespace {

std::string id_of(const BookedRow& booked) {
  std::string text = booked.node;
  text.push_back('\0');
  text += booked.table.spec.name;
  text.push_back('\0');
  append_encoding(to_views(booked.row.key), text);
  if (booked.row.version) {
    text += booked.row.version->origin.to_string() + std::to_string(booked.row.version->sequence);
  }
  return hash_id(text);
}

void read_node(Node& node, const std::string& name, std::vector<BookedRow>& rows) {
  node.begin_read();
  try {
    if (node.count_quarantined() > 0) {
      for (const ActiveTable& table : node.active_tables()) {
        for (QuarantinedRow& row : node.quarantined(table)) {
          BookedRow booked{
              .id = {}, .node = name, .table = table, .row = std::move(row), .held = {}};
          if (table.health != CaptureHealth::table_missing) {
            booked.held = node.find(table, to_views(booked.row.key));
          }
          booked.id = id_of(booked);
          rows.push_back(std::move(booked));
        }
      }
    }
  } catch (...) {
    node.rollback();
    throw;
  }
  node.rollback();
}

}  // namespace

const BookedRow& QuarantineBook::find(const std::string& prefix) const {
  std::string wanted = prefix;
  std::transform(wanted.begin(), wanted.end(), wanted.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const BookedRow* found = nullptr;
  for (const BookedRow& booked : rows) {
    if (wanted.empty() || !booked.id.starts_with(wanted)) continue;
    if (found != nullptr) {
      throw Error(ExitCode::usage,
                  "more than one waiting row has an id that begins with \"" + prefix + "\"",
                  "give more digits: " + short_id(found->id) + " or " + short_id(booked.id));
    }
    found = &booked;
  }
  if (found == nullptr) {
    const std::string missing =
        failed_nodes.empty() ? "" : "; node " + failed_nodes.front() + " could not be read";
    throw Error(ExitCode::usage,
                "no waiting row has an id that begins with \"" + prefix + "\"" + missing,
                "run 'tidemark quarantine list' to see them");
  }
  return *found;
}

std::string QuarantineBook::short_id(const std::string& id) const { return cli::short_id(ids, id); }

QuarantineBook read_quarantine(Context& context) {
  QuarantineBook book;
  for (const std::string& name : nodes_in_jobs(context.config())) {
    throw_if_interrupted();
    try {
      Node& node = context.node(name, Access::read_only);
      if (node.identity()) read_node(node, name, book.rows);
    } catch (const Error& error) {
      if (error.code() == ExitCode::interrupted) throw;
      book.failures.push_back(error);
      book.failed_nodes.push_back(name);
    }
  }
  for (const BookedRow& booked : book.rows) book.ids.push_back(booked.id);
  std::sort(book.ids.begin(), book.ids.end());
  return book;
}

}  // namespace tidemark::cli
