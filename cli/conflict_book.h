// The conflict logs of several nodes, merged: one conflict that several nodes met is listed once.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"
#include "model/change.h"

namespace tidemark::cli {

struct BookedConflict {
  Conflict conflict;               // status: the one that says most
  std::vector<std::string> nodes;  // whose logs have it, in the order of the configuration
};

struct ConflictBook {
  std::vector<BookedConflict> conflicts;  // the newest first
  std::vector<std::string> ids;           // of all of them, sorted
  std::vector<Error> failures;            // of nodes that could not be read
  std::vector<std::string> failed_nodes;

  /// The conflict whose id begins with `prefix`. Throws Error usage when there is none or more than
  /// one.
  const BookedConflict& find(const std::string& prefix) const;
  /// As much of an id as tells it from all others, eight digits at least.
  std::string short_id(const std::string& id) const;
};

/// Reads the logs of every node that a job names. Nodes that were never activated have none. A node
/// that fails does not keep the others from being read.
ConflictBook read_conflicts(Context& context);

/// Marks a conflict on every node that has it. Nodes that fail are warned of; false then.
bool mark_conflict(Context& context, const BookedConflict& booked, ConflictStatus status);

bool is_closed(ConflictStatus status);

/// Names of the nodes that take part in any job, in the order of the file.
std::vector<std::string> nodes_in_jobs(const scheduler::Config& config);

}  // namespace tidemark::cli
