#include "capture/harvest.h"

#include <algorithm>

namespace tidemark::capture {
namespace {

/// Writers that never pause would keep a snapshot from being clean for ever; after this many tries
/// it is taken under the write lock.
constexpr int kSnapshotAttempts = 4;

void load_states(Node& node, std::vector<CapturedTable>& tables) {
  for (CapturedTable& captured : tables) captured.state = node.load_state(captured.table);
}

bool any_pending(Node& node, const std::vector<CapturedTable>& tables) {
  return std::any_of(tables.begin(), tables.end(), [&](const CapturedTable& captured) {
    return node.has_pending(captured.table);
  });
}

void add(HarvestReport& sum, const HarvestReport& part) {
  sum.versions += part.versions;
  for (const auto& [table, count] : part.null_keys) sum.null_keys[table] += count;
}

}  // namespace

HarvestReport harvest(Node& node, std::vector<CapturedTable>& tables) {
  HarvestReport report;
  for (auto& [table, state] : tables) {
    if (!node.has_pending(table)) continue;
    const HarvestCounts counts = node.harvest(table, state);
    report.versions += counts.versions;
    if (counts.null_keys > 0) report.null_keys[table.spec.name] += counts.null_keys;
    node.save_state(table, state);
  }
  return report;
}

HarvestReport open_harvested_snapshot(Node& node, std::vector<CapturedTable>& tables) {
  HarvestReport report;
  for (int attempt = 0;; ++attempt) {
    node.begin_read();
    if (!any_pending(node, tables)) {
      load_states(node, tables);
      return report;
    }
    node.rollback();
    node.begin_write();
    load_states(node, tables);
    add(report, harvest(node, tables));
    if (attempt == kSnapshotAttempts) {
      report.under_write_lock = true;
      return report;
    }
    node.commit();
  }
}

}  // namespace tidemark::capture
