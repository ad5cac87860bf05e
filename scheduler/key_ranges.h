// Key ranges: each node draws the keys of new rows from numbers of its own, so that no two sites
// give one key to different rows. The first node of the job gives the ranges out and writes down
// whose they are; a node that has used up most of a range moves on to a new one.
#pragma once

#include <string>
#include <vector>

#include "engines/engine.h"
#include "scheduler/config.h"

namespace tidemark::scheduler {

/// One table of a pair.
struct RangedTable {
  ActiveTable first;
  ActiveTable second;
};

struct RangeRequest {
  const JobConfig& job;
  Node& first;
  Node& second;
  const std::vector<RangedTable>& tables;  // others than those with keys = "ranges" are passed over
};

struct RangeReport {
  std::vector<std::string> given;     // "node: table: 1000001 to 2000000"
  std::vector<std::string> warnings;  // what could not be done, with what to do
};

/// Sees to it that both nodes have a range with room left. Writes nothing when they have. A table
/// that can have no ranges is named in the warnings, and so is a node on which this connection may
/// not move the counter.
RangeReport keep_ranges(const RangeRequest& request);

/// Why the table cannot have ranges on this node, a sentence with a hint; empty if it can.
std::string range_obstacle(Node& node, const TableSpec& table);

/// A share of a range: a node with less left moves on.
constexpr std::int64_t kRangeReserve = 5;  // one fifth

}  // namespace tidemark::scheduler
