#include "apply/waiting_rows.h"

#include <algorithm>
#include <memory>

#include "apply/references.h"
#include "apply/table_applier.h"
#include "apply/target_conflict_log.h"

namespace tidemark::apply {
namespace {

using capture::CapturedTable;

/// Runs `work` in a write transaction with the tables' changes harvested: what the node did by
/// itself meanwhile has its version.
template <typename Work>
void write_harvested(Node& node, const std::vector<ActiveTable>& tables, bool dry_run,
                     const Work& work) {
  node.begin_write();
  try {
    std::vector<CapturedTable> captured;
    for (const ActiveTable& table : tables) {
      captured.push_back({.table = table, .state = node.load_state(table)});
    }
    capture::harvest(node, captured);
    work(captured);
    for (const CapturedTable& each : captured) node.save_state(each.table, each.state);
    if (!dry_run) {
      node.commit();
      return;
    }
  } catch (...) {
    node.rollback();
    throw;
  }
  node.rollback();
}

}  // namespace

PullReport retry_waiting_rows(Node& node, const std::vector<ActiveTable>& tables,
                              const std::string& session_id, bool dry_run) {
  PullReport report;
  const std::string job;
  write_harvested(node, tables, dry_run, [&](std::vector<CapturedTable>& captured) {
    TargetConflictLog conflicts(node, session_id, job, report);
    const compare::Rules rules;
    References references(node, rules, [](const auto&...) { return std::nullopt; });
    std::vector<TableState> before;
    for (const CapturedTable& each : captured) before.push_back(each.state);
    std::vector<std::unique_ptr<TableApplier>> appliers;
    for (std::size_t i = 0; i < captured.size(); ++i) {
      appliers.push_back(
          std::make_unique<TableApplier>(TableApplier::Context{.source = node,
                                                               .target = node,
                                                               .table = captured[i].table,
                                                               .source_state = before[i],
                                                               .target_state = captured[i].state,
                                                               .policy = Policy::latest,
                                                               .source_is_first = false,
                                                               .mirror = false,
                                                               .was_restored = false,
                                                               .rules = rules,
                                                               .conflicts = conflicts,
                                                               .session_id = session_id,
                                                               .references = references}));
      references.add(*appliers.back());
    }
    for (const auto& applier : appliers) applier->retry_quarantined();
    references.settle();
    for (const auto& applier : appliers) {
      const PullCounts& counts = applier->counts();
      if (counts.changed() == 0 && counts.quarantined == 0 && counts.conflicts == 0) continue;
      report.tables[applier->table().spec.name] = counts;
      report.wrote = !dry_run;
    }
  });
  return report;
}

void discard_waiting_row(Node& node, const ActiveTable& table, const QuarantinedRow& row,
                         const std::string& session_id) {
  write_harvested(node, {table}, false, [&](std::vector<CapturedTable>& captured) {
    const auto key = to_views(row.key);
    const LocalRow local = node.find(table, key);
    Conflict conflict;
    conflict.session_id = session_id;
    conflict.found_at_us = node.clock_us();
    conflict.table = table.spec.name;
    for (const ColumnSpec& column : table.spec.columns) conflict.columns.push_back(column.name);
    conflict.key_columns = table.spec.key;
    conflict.key = row.key;
    conflict.type = ConflictType::discarded;
    conflict.winner = {
        .node = node.name(), .version = local.version, .present = local.present, .row = local.row};
    conflict.loser = {
        .node = row.source, .version = row.version, .present = row.present(), .row = row.row};
    conflict.id = conflict_id(conflict);
    node.log_conflict(conflict);
    std::int64_t changed_at_us = conflict.found_at_us;
    for (const std::optional<Version>& version : {local.version, row.version}) {
      if (version) changed_at_us = std::max(changed_at_us, version->changed_at_us + 1);
    }
    TableState& state = captured.front().state;
    const std::int64_t sequence = state.sequence() + 1;
    state.knowledge.raise(state.origin, sequence);
    node.put_version(
        table, key, local.present,
        Version{.changed_at_us = changed_at_us, .origin = state.origin, .sequence = sequence});
    node.release_quarantined(table, key);
  });
}

}  // namespace tidemark::apply
