// Harvest: change logs become row versions, and a snapshot is opened in which no log has an entry
// left.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engines/engine.h"

namespace tidemark::capture {

/// The tables of a session on one node with what the node knows of each; same order as the
/// session's.
struct CapturedTable {
  ActiveTable table;
  TableState state;
};

struct HarvestReport {
  std::int64_t versions = 0;
  std::map<std::string, std::int64_t> null_keys;  // table -> entries that cannot be addressed
  /// The open snapshot is a write transaction whose harvest is not committed yet: its numbers may
  /// not be told to anybody before it is.
  bool under_write_lock = false;
};

/// Harvests one table (inside the caller's write transaction); `state` is updated, not saved. What
/// an application wrote in the place of a row that waits in quarantine becomes later than that row.
HarvestCounts harvest(Node& node, const ActiveTable& table, TableState& state);

/// Harvests and saves the states (inside the caller's write transaction).
HarvestReport harvest(Node& node, std::vector<CapturedTable>& tables);

/// Harvests in a short write transaction and opens a snapshot that misses no committed change; on
/// return a transaction is open (usually a read transaction) which the caller ends. Writes nothing
/// when nothing is pending. States are loaded anew. What was harvested is told to nobody before the
/// node's make_durable().
HarvestReport open_harvested_snapshot(Node& node, std::vector<CapturedTable>& tables);

}  // namespace tidemark::capture
