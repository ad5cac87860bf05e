// A session: one exchange between the two nodes of a pair, made of one pull (backup) or two
// (two-way), after everything that must be so has been checked.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <spdlog/fwd.h>

#include "apply/pull.h"
#include "engines/engine.h"
#include "scheduler/config.h"

namespace tidemark::scheduler {

/// Which tables of a job two nodes share, and what stands in the way of the others.
struct TablePlan {
  struct Entry {
    ActiveTable first;
    ActiveTable second;  // columns aligned with first
    Policy policy = Policy::latest;
  };
  std::vector<Entry> tables;  // parents before children
  /// A table that both nodes have and the job takes, but that is not under capture on one of them.
  struct NewTable {
    std::string name;
    std::optional<TableSpec> first;  // set where it is not under capture
    std::optional<TableSpec> second;
  };
  std::vector<NewTable> new_tables;   // each is also named in `problems` or `warnings`
  std::vector<std::string> problems;  // tables that stay out of this session, one sentence each
  std::vector<std::string> warnings;  // e.g. foreign keys that the list of tables cuts in two
};

struct SessionOptions {
  bool dry_run = false;
  bool ignore_delete_limit = false;  // --allow-deletes
  /// How long conflicts that are not open are kept; nothing: for ever.
  std::optional<std::chrono::days> conflict_retention;
  compare::Rules rules;
  apply::Progress progress;
  bool counts_rows = false;             // as in PullRequest
  bool comes_back_soon = false;         // as in PullRequest
  std::string session_id;               // made up when empty
  std::shared_ptr<spdlog::logger> log;  // may be null
};

struct SessionReport {
  std::string session_id;
  std::string job;
  std::string first;
  std::string second;
  Mode mode = Mode::two_way;
  apply::PullReport to_second;
  apply::PullReport to_first;         // empty for a backup
  std::vector<std::string> problems;  // tables that were left out, with the reason
  std::vector<std::string> warnings;
  std::vector<std::string> recovered;  // "node: table: what was wrong": triggers were made anew
  std::vector<std::string> taken_in;   // "node: table": new, under capture from now on
  std::vector<std::string> reshaped;   // "node: table: what changed": goes on as it is now
  std::vector<std::string> ranges;     // "node: table: from to": key ranges that were given
  /// Table -> rows that a change of its columns had made differ, and that are alike now.
  std::map<std::string, std::int64_t> settled;
  /// "node: table" -> rows with NULL in the key, which cannot be addressed and stay where they are.
  std::map<std::string, std::int64_t> null_keys;
  std::int64_t started_at_us = 0;
  std::int64_t finished_at_us = 0;
  /// The second node's clock is ahead of the first's by this much; 0 when nobody can tell.
  std::int64_t skew_us = 0;
  /// By table the Knowledge::digest() that each node has if it has nothing that the other lacks.
  std::map<std::string, std::uint64_t> first_knows;
  std::map<std::string, std::uint64_t> second_knows;

  /// The last heartbeat of the other node that each has heard by now, by that one's clock; 0: none.
  std::int64_t second_heard_us = 0;
  std::int64_t first_heard_us = 0;

  /// How long the oldest change (or heartbeat) that was carried to the second (first) node took
  /// from its commit there to its commit here, corrected by the skew of the two clocks; nothing if
  /// none was.
  std::optional<std::int64_t> lag_to_second_us() const;
  std::optional<std::int64_t> lag_to_first_us() const;
  bool quarantined() const;       // rows wait that cannot be held or addressed
  bool left_locked_rows() const;  // changes wait for other transactions to end
};

/// Runs one session. Throws Error: locked (the pair is at work elsewhere), refused (identity, clock
/// skew, deletes), not_ready (not activated, or no table can be synchronized because schemas
/// changed).
/// Tombstones older than `tombstone_retention` that every peer knows are purged, once a day at
/// most.
SessionReport run_session(const JobConfig& job, Node& first, Node& second,
                          std::chrono::days tombstone_retention, const SessionOptions& options);

/// The tables that `job` would take on one node, from its catalog; refused ones that were listed by
/// name are an Error not_ready.
std::vector<TableSpec> select_tables(const JobConfig& job, Node& node);

/// What a session of the two would work on; changes nothing.
TablePlan plan_tables(const JobConfig& job, Node& first, Node& second);

/// A foreign key of which the job takes one end only.
struct CutRelation {
  std::string child;
  std::string parent;
  bool child_is_taken = true;

  /// "refers to table x, which the job leaves out: ...", for the table that the job takes.
  std::string what() const;
};
/// In the order of `catalog`; `taken` are the names of the job's tables. A parent that does not
/// exist is not among them.
std::vector<CutRelation> cut_relations(const std::vector<TableSpec>& catalog,
                                       const std::set<std::string>& taken);

/// Parents before children; ties and cycles by name.
void sort_parents_first(std::vector<TableSpec>& tables);

}  // namespace tidemark::scheduler
