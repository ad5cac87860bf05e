#include "capture/harvest.h"

#include <algorithm>
#include <chrono>
#include <thread>

namespace tidemark::capture {
namespace {

/// Writers that never pause would keep a snapshot from being clean for ever; after this many tries
/// it is taken under the write lock.
constexpr int kSnapshotAttempts = 4;
/// Then a log that grows as fast as it is harvested is taken at once.
constexpr int kSlices = 500;
constexpr std::chrono::microseconds kLetWriters(2'000);

void load_states(Node& node, std::vector<CapturedTable>& tables) {
  for (CapturedTable& captured : tables) captured.state = node.load_state(captured.table);
}

bool any_pending(Node& node, const std::vector<CapturedTable>& tables) {
  return std::any_of(tables.begin(), tables.end(), [&](const CapturedTable& captured) {
    return node.has_pending(captured.table);
  });
}

void add(HarvestReport& report, const ActiveTable& table, const HarvestCounts& counts) {
  report.versions += counts.versions;
  if (counts.null_keys > 0) report.null_keys[table.spec.name] += counts.null_keys;
}

void add(HarvestReport& sum, const HarvestReport& part) {
  sum.versions += part.versions;
  for (const auto& [table, count] : part.null_keys) sum.null_keys[table] += count;
}

/// Everybody takes this node for one that has seen the rows that wait here, so a change made in the
/// place of one beats it everywhere, and must not be earlier.
void rise_above_waiting(Node& node, const ActiveTable& table, TableState& state,
                        std::int64_t numbered) {
  if (node.count_quarantined() == 0) return;
  for (const QuarantinedRow& waiting : node.quarantined(table)) {
    // Whoever kept the row locked had changed it already: there the time decides.
    if (!waiting.version || waiting.locked) continue;
    const auto key = to_views(waiting.key);
    const LocalRow local = node.find(table, key);
    if (!local.version || local.version->origin != state.origin) continue;
    if (local.version->sequence <= numbered || is_later(*local.version, *waiting.version)) continue;
    Version version = *local.version;
    version.changed_at_us = waiting.version->changed_at_us + 1;
    version.sequence = state.sequence() + 1;
    state.knowledge.raise(state.origin, version.sequence);
    node.put_version(table, key, local.present, version);
  }
}

/// Of the whole log or a slice of it.
using Take = HarvestCounts (Node::*)(const ActiveTable&, TableState&);

HarvestCounts take_log(Node& node, const ActiveTable& table, TableState& state, Take take) {
  const std::int64_t numbered = state.sequence();
  const HarvestCounts counts = (node.*take)(table, state);
  if (counts.versions > 0) rise_above_waiting(node, table, state, numbered);
  return counts;
}

/// Applications that write all the time get the lock in between.
void harvest_in_slices(Node& node, const ActiveTable& table, HarvestReport& report) {
  for (int slice = 0; slice < kSlices && node.is_busy_log(table); ++slice) {
    node.begin_write();
    TableState state = node.load_state(table);
    add(report, table, take_log(node, table, state, &Node::harvest_slice));
    node.save_state(table, state);
    node.commit_unsynced();
    std::this_thread::sleep_for(kLetWriters);
  }
}

}  // namespace

HarvestCounts harvest(Node& node, const ActiveTable& table, TableState& state) {
  return take_log(node, table, state, &Node::harvest);
}

HarvestReport harvest(Node& node, std::vector<CapturedTable>& tables) {
  HarvestReport report;
  for (auto& [table, state] : tables) {
    if (!node.has_pending(table)) continue;
    add(report, table, harvest(node, table, state));
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
    for (const CapturedTable& captured : tables) harvest_in_slices(node, captured.table, report);
    node.begin_write();
    load_states(node, tables);
    add(report, harvest(node, tables));
    if (attempt == kSnapshotAttempts) {
      report.under_write_lock = true;
      return report;
    }
    node.commit_unsynced();
  }
}

}  // namespace tidemark::capture
