#include <algorithm>
#include <set>

#include "apply/waiting_rows.h"
#include "capture/identity.h"
#include "cli/commands.h"
#include "cli/conflict_book.h"
#include "cli/json.h"
#include "cli/quarantine_book.h"
#include "cli/text.h"
#include "cli/time_text.h"
#include "model/row_json.h"
#include "model/table.h"

namespace tidemark::cli {
namespace {

constexpr std::size_t kKeyWidth = 32;
constexpr std::size_t kReasonWidth = 60;

std::vector<std::string> column_names(const TableSpec& spec) {
  std::vector<std::string> names;
  for (const ColumnSpec& column : spec.columns) names.push_back(column.name);
  return names;
}

Json waiting_json(const BookedRow& booked) {
  const TableSpec& spec = booked.table.spec;
  return {{"id", booked.id},
          {"node", booked.node},
          {"table", spec.name},
          {"key", key_json(column_names(spec), spec.key, booked.row.key)},
          {"deleted", !booked.row.present()},
          {"row",
           booked.row.present() ? row_to_json(column_names(spec), booked.row.row) : Json(nullptr)},
          {"changed_at", time_json(booked.row.version ? booked.row.version->changed_at_us : 0)},
          {"source", booked.row.source},
          {"reason", booked.row.reason},
          {"since", time_json(booked.row.since_us)},
          {"session", booked.row.session_id}};
}

std::string name_of(const BookedRow& booked) {
  return "node " + booked.node + ": table " + booked.table.spec.name + ": the row with key " +
         to_string(to_views(booked.row.key));
}

/// Nodes that could not be read: warnings, an entry in the JSON and the exit code.
int tell_failures(Context& context, const QuarantineBook& book, Json& failed) {
  failed = Json::array();
  for (std::size_t i = 0; i < book.failures.size(); ++i) {
    Json entry = {{"node", book.failed_nodes[i]}};
    entry.update(error_json(book.failures[i]));
    failed.push_back(std::move(entry));
    context.warn(of_node(book.failed_nodes[i], book.failures[i].what()));
  }
  std::vector<ExitCode> codes;
  for (const Error& failure : book.failures) codes.push_back(failure.code());
  return summed_exit_code(codes, nodes_in_jobs(context.config()).size());
}

/// Sessions take nothing back from the target of a backup.
bool is_only_target(const scheduler::Config& config, const std::string& node) {
  const auto jobs = config.jobs_of(node);
  return std::all_of(jobs.begin(), jobs.end(), [&](const scheduler::JobConfig* job) {
    return job->mode == scheduler::Mode::backup && job->nodes.front() != node;
  });
}

void require_discardable(Context& context, const BookedRow& booked) {
  if (booked.table.health == CaptureHealth::table_missing) {
    throw Error(ExitCode::not_ready, name_of(booked) + " cannot be discarded: the table is gone",
                "run 'tidemark deactivate " + booked.node + "' for what is left of it");
  }
  if (!is_only_target(context.config(), booked.node)) return;
  throw Error(ExitCode::refused,
              name_of(booked) +
                  " cannot be discarded: the node is the target of a backup, which "
                  "holds what its source holds",
              "change or delete the row on node " + booked.row.source +
                  ", or change the constraint on node " + booked.node);
}

}  // namespace

int run_quarantine_list(Context& context) {
  const QuarantineBook book = read_quarantine(context);
  Json list = Json::array();
  TextTable table({{"id"}, {"node"}, {"table"}, {"key"}, {"from"}, {"since"}, {"reason"}});
  for (const BookedRow& booked : book.rows) {
    list.push_back(waiting_json(booked));
    table.add({book.short_id(booked.id), booked.node, booked.table.spec.name,
               shortened(printable(to_string(to_views(booked.row.key))), kKeyWidth),
               booked.row.source, short_time(booked.row.since_us),
               shortened(printable(booked.row.reason), kReasonWidth)});
  }
  Json failed;
  const int code = tell_failures(context, book, failed);
  context.output().document("quarantine", {{"rows", std::move(list)}, {"failed", failed}});
  context.output().text(table.empty() ? "no row waits\n" : table.render());
  if (!table.empty()) {
    context.output().note("run 'tidemark quarantine show ID' to see a row and what can be done\n");
  }
  return code;
}

int run_quarantine_show(Context& context) {
  const QuarantineBook book = read_quarantine(context);
  const BookedRow& booked = book.find(context.line().words.front());
  const TableSpec& spec = booked.table.spec;
  context.output().document("waiting_row", {{"row", waiting_json(booked)}});
  std::string text = "row        " + booked.id + "\n";
  text += "table      " + printable(spec.name) + " on node " + printable(booked.node) + "\n";
  text += "reason     " + printable(booked.row.reason) + "\n";
  text +=
      "from       " + printable(booked.row.source) + ", session " + booked.row.session_id + "\n";
  text += "since      " + short_time(booked.row.since_us) + " (" +
          relative_time(booked.row.since_us, now_us()) + ")\n\n";
  TextTable table({{"column"}, {"waits"}, {"node has"}});
  for (std::size_t i = 0; i < spec.columns.size(); ++i) {
    const bool waits = i < booked.row.row.size();
    table.add({spec.columns[i].name, waits ? value_text(booked.row.row[i].view()) : "(deleted)",
               booked.held.present ? value_text(booked.held.row[i].view()) : "(no row)"});
  }
  context.output().text(text + table.render());
  const std::string id = book.short_id(booked.id);
  context.output().note("\nchange the row on " + printable(booked.row.source) +
                        ", or what refuses it on " + printable(booked.node) + ", then:\n" +
                        "to try again at once:           tidemark quarantine retry " + booked.node +
                        "\nto keep what the node has:      tidemark quarantine discard " + id +
                        "\n");
  return 0;
}

int run_quarantine_retry(Context& context) {
  const bool dry_run = context.line().has("dry-run");
  std::vector<std::string> names = context.line().words;
  for (const std::string& name : names) context.config().node(name);
  if (names.empty()) names = nodes_in_jobs(context.config());
  const std::string session_id = capture::random_uuid().to_string();
  std::int64_t waiting = 0;
  std::int64_t written = 0;
  Json nodes = Json::array();
  std::vector<ExitCode> failures;
  for (const std::string& name : names) {
    Json entry = {{"node", name}};
    try {
      Node& node = context.node(name, Access::read_write);
      apply::PullReport report;
      if (node.identity() && node.count_quarantined() > 0) {
        std::vector<ActiveTable> tables = node.active_tables();
        std::erase_if(tables, [](const ActiveTable& table) {
          return table.health == CaptureHealth::table_missing;
        });
        report = apply::retry_waiting_rows(node, tables, session_id, dry_run);
      }
      const PullCounts counts = report.total();
      waiting += counts.quarantined;
      written += counts.inserted + counts.updated;
      entry.update(counts_json(counts));
      for (const auto& [table, row] : report.waiting) {
        context.warn("node " + name + ": table " + table + ": the row with key " +
                     to_string(to_views(row.key)) + " from node " + row.source +
                     " waits: " + row.reason);
      }
    } catch (const Error& error) {
      if (error.code() == ExitCode::interrupted) throw;
      failures.push_back(error.code());
      entry.update(error_json(error));
      context.warn(of_node(name, error.what()));
    }
    nodes.push_back(std::move(entry));
  }
  context.output().document("retry", {{"dry_run", dry_run},
                                      {"written", written},
                                      {"waiting", waiting},
                                      {"nodes", std::move(nodes)}});
  context.output().note(counted(written, "row") + (dry_run ? " would be" : " now") + " written, " +
                        counted(waiting, "row") +
                        (dry_run ? " would still wait" : " still waiting") + "\n");
  if (written > 0 && !dry_run) {
    context.output().note("run 'tidemark sync' to carry them on\n");
  }
  const int code = summed_exit_code(failures, names.size());
  return code == 0 && waiting > 0 ? static_cast<int>(ExitCode::partly) : code;
}

int run_quarantine_discard(Context& context) {
  const bool dry_run = context.line().has("dry-run");
  const QuarantineBook book = read_quarantine(context);
  std::vector<const BookedRow*> chosen;
  std::set<std::string> ids;
  for (const std::string& word : context.line().words) {
    const BookedRow& booked = book.find(word);
    require_discardable(context, booked);
    if (ids.insert(booked.id).second) chosen.push_back(&booked);
  }
  const std::string session_id = capture::random_uuid().to_string();
  Json list = Json::array();
  for (const BookedRow* booked : chosen) {
    if (!dry_run) {
      context.close(booked->node);  // it was open for reading
      apply::discard_waiting_row(context.node(booked->node, Access::read_write), booked->table,
                                 booked->row, session_id);
    }
    list.push_back({{"id", booked->id},
                    {"node", booked->node},
                    {"table", booked->table.spec.name},
                    {"deletes", !booked->held.present}});
    context.output().note(
        name_of(*booked) + (dry_run ? " would go" : " went") + " to the conflict log; " +
        (booked->held.present ? "the row that the node has" : "that there is no such row") +
        " is what the next sessions carry to the other nodes\n");
  }
  context.output().document("discard", {{"dry_run", dry_run}, {"discarded", std::move(list)}});
  if (!dry_run) {
    context.output().note(
        "run 'tidemark conflicts reinstate' if that was wrong, and 'tidemark sync' to carry it "
        "on\n");
  }
  return 0;
}

}  // namespace tidemark::cli
