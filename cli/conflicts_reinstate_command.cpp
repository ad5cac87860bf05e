#include <algorithm>

#include "cli/commands.h"
#include "cli/conflict_book.h"
#include "cli/json.h"
#include "cli/text.h"
#include "model/table.h"

namespace tidemark::cli {
namespace {

using scheduler::JobConfig;

/// What is to be written where.
struct Reinstatement {
  const BookedConflict* booked = nullptr;
  std::string node;
  Row key;
  Row row;  // empty: the loser is a delete
  bool already_there = false;
  bool changed_since = false;  // the row is no longer the winner's
};

class Reinstating {
 public:
  explicit Reinstating(Context& context)
      : context_(context),
        dry_run_(context.line().has("dry-run")),
        book_(read_conflicts(context)) {}

  int run() {
    std::vector<Reinstatement> plans;
    for (const std::string& word : context_.line().words) plans.push_back(plan(book_.find(word)));
    bool all = true;
    Json list = Json::array();
    for (const Reinstatement& each : plans) {
      if (!dry_run_) all &= write(each);
      tell(each);
      list.push_back({{"id", each.booked->conflict.id},
                      {"node", each.node},
                      {"table", each.booked->conflict.table},
                      {"deleted", each.row.empty()}});
    }
    if (!dry_run_) context_.output().note("run 'tidemark sync' to carry it to the other nodes\n");
    context_.output().document("reinstate",
                               {{"dry_run", dry_run_}, {"reinstated", std::move(list)}});
    return static_cast<int>(all ? ExitCode::done : ExitCode::partly);
  }

 private:
  /// The node whose log has it. A backup carries nothing back and would set the row back again:
  /// there it is the source.
  std::string choose_node(const BookedConflict& booked) const {
    const Conflict& conflict = booked.conflict;
    for (const JobConfig& job : context_.config().jobs) {
      if (job.name == conflict.job && job.mode == scheduler::Mode::backup) return job.nodes.front();
    }
    return booked.nodes.front();
  }

  static const ActiveTable& find_table(const std::vector<ActiveTable>& tables,
                                       const std::string& table, const std::string& node) {
    for (const ActiveTable& each : tables) {
      if (each.spec.name == table && each.health != CaptureHealth::table_missing) return each;
    }
    throw Error(ExitCode::not_ready,
                "table " + table + " on node " + node + " is not under capture",
                "run 'tidemark activate " + node + "' and try again");
  }

  static std::size_t column_at(const Conflict& conflict, const std::string& column) {
    const auto place = std::find(conflict.columns.begin(), conflict.columns.end(), column);
    if (place == conflict.columns.end()) {
      throw Error(ExitCode::not_ready,
                  "table " + conflict.table + " has a column " + column +
                      " that the conflict's rows do not have: the table was changed since",
                  "write the row by hand; 'tidemark conflicts show' has its values");
    }
    return static_cast<std::size_t>(place - conflict.columns.begin());
  }

  /// The image in the log with its columns as the table has them now.
  static Row arranged(const Conflict& conflict, const Row& image, const TableSpec& spec) {
    if (conflict.columns.size() != spec.columns.size()) {
      throw Error(ExitCode::not_ready,
                  "table " + conflict.table + " was changed since the conflict: it has " +
                      std::to_string(spec.columns.size()) + " columns, the row in the log " +
                      std::to_string(conflict.columns.size()),
                  "write the row by hand; 'tidemark conflicts show' has its values");
    }
    Row row;
    for (const ColumnSpec& column : spec.columns) {
      row.push_back(image.at(column_at(conflict, column.name)));
    }
    return row;
  }

  Reinstatement plan(const BookedConflict& booked) {
    const Conflict& conflict = booked.conflict;
    if (conflict.status == ConflictStatus::reinstated) {
      throw Error(ExitCode::failed,
                  "conflict " + book_.short_id(conflict.id) + " was reinstated before",
                  "nothing was changed; run 'tidemark conflicts list' to see what is not closed");
    }
    Reinstatement plan;
    plan.booked = &booked;
    plan.node = choose_node(booked);
    Node& node = context_.node(plan.node, dry_run_ ? Access::read_only : Access::read_write);
    node.begin_read();
    try {
      fill(plan, node);
    } catch (...) {
      node.rollback();
      throw;
    }
    node.rollback();
    return plan;
  }

  void fill(Reinstatement& plan, Node& node) const {
    const Conflict& conflict = plan.booked->conflict;
    const std::vector<ActiveTable> tables = node.active_tables();
    const ActiveTable& table = find_table(tables, conflict.table, plan.node);
    plan.key = conflict.key;
    if (conflict.loser.present) {
      plan.row = arranged(conflict, conflict.loser.row, table.spec);
      // Two rows with different keys may have met over a unique value; the loser has its own.
      plan.key.clear();
      for (const std::size_t column : table.spec.key) plan.key.push_back(plan.row[column]);
    }
    const LocalRow now = node.find(table, to_views(plan.key));
    plan.already_there =
        now.present == conflict.loser.present && (!now.present || now.row == plan.row);
    if (conflict.winner.present && now.present) {
      plan.changed_since = now.row != arranged(conflict, conflict.winner.row, table.spec);
    }
    // Of several conflicts one may bring back what the next refers to.
    if (dry_run_ && context_.line().words.size() == 1) require_references(plan, node, table);
  }

  /// SQLite checks no foreign key in Tidemark's connection, and PostgreSQL's words name a
  /// constraint only.
  void require_references(const Reinstatement& plan, Node& node, const ActiveTable& table) const {
    const std::string id = book_.short_id(plan.booked->conflict.id);
    const auto row = to_views(plan.row);
    const std::string what =
        "the row of conflict " + id + " in table " + table.spec.name + " on node " + plan.node;
    if (!plan.row.empty()) {
      const std::vector<std::size_t> missing = node.missing_parents(table, row);
      if (!missing.empty()) {
        const ForeignKeySpec& key = table.spec.foreign_keys[missing.front()];
        throw Error(ExitCode::failed,
                    what + " cannot be written back: it refers to a row of table " +
                        key.parent_table + " that is not there",
                    "nothing was changed; bring that row back first, 'tidemark conflicts list "
                    "--all' may have it");
      }
    }
    const LocalRow now = node.find(table, to_views(plan.key));
    if (!now.present) return;
    const std::vector<Referrer> referrers = node.referrers(table, to_views(now.row), row);
    if (referrers.empty()) return;
    throw Error(ExitCode::failed,
                what + (plan.row.empty() ? " cannot be deleted" : " cannot be written back") +
                    ": rows of table " + referrers.front().table +
                    " refer to what would go with it",
                "nothing was changed; change or delete those rows first");
  }

  bool write(const Reinstatement& plan) {
    const Conflict& conflict = plan.booked->conflict;
    Node& node = context_.node(plan.node, Access::read_write);
    node.begin_write();
    try {
      const std::vector<ActiveTable> tables = node.active_tables();
      const ActiveTable& table = find_table(tables, conflict.table, plan.node);
      require_references(plan, node, table);
      const std::optional<Refusal> refusal =
          node.write_as_local_change(table, to_views(plan.key), to_views(plan.row));
      if (refusal) {
        throw Error(ExitCode::failed,
                    "node " + plan.node + " refuses the row of conflict " +
                        book_.short_id(conflict.id) + " in table " + conflict.table + ": " +
                        refusal->reason,
                    "nothing was changed; make room for the row and run the command again");
      }
      node.commit();
    } catch (...) {
      node.rollback();
      throw;
    }
    return mark_conflict(context_, *plan.booked, ConflictStatus::reinstated);
  }

  void tell(const Reinstatement& plan) {
    const Conflict& conflict = plan.booked->conflict;
    const std::string id = book_.short_id(conflict.id);
    if (plan.changed_since && !plan.already_there) {
      context_.warn("conflict " + id + ": the row has changed since it was found; the newer row " +
                    (dry_run_ ? "would be" : "was") + " overwritten");
    }
    std::string text = "conflict " + id + ": ";
    if (conflict.loser.present) {
      text += "the row of " + printable(conflict.loser.node);
      text += dry_run_ ? " would be written back" : " is written back";
    } else {
      text += "the row ";
      text += dry_run_ ? "would be deleted" : "is deleted";
      text += ", as " + printable(conflict.loser.node) + " had it";
    }
    context_.output().note(text + " on " + printable(plan.node) + "\n");
  }

  Context& context_;
  const bool dry_run_;
  const ConflictBook book_;
};

}  // namespace

int run_conflicts_reinstate(Context& context) { return Reinstating(context).run(); }

}  // namespace tidemark::cli
