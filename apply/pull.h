// A pull: the target takes from the source what it does not know, in one transaction on the target.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "capture/harvest.h"
#include "compare/decide.h"
#include "engines/engine.h"

namespace tidemark::apply {

/// What limits the deletes of one pull in one table: a number of rows or a share of the target's
/// rows. A share never stops a pull that deletes kShareFloor rows or fewer: small tables would stop
/// all the time.
struct DeleteLimit {
  std::optional<std::int64_t> rows;
  std::optional<double> share;  // 0..1
  static constexpr std::int64_t kShareFloor = 100;
};

struct TableOptions {
  Policy policy = Policy::latest;
};

/// Called while rows move. `total` is 0 when it is not known.
using Progress = std::function<void(const std::string& stage, const std::string& table,
                                    std::int64_t done, std::int64_t total)>;

struct PullRequest {
  Node& source;
  Node& target;
  std::vector<capture::CapturedTable>&
      source_tables;  // same tables in the same order on both sides,
  std::vector<capture::CapturedTable>& target_tables;  // columns aligned
  std::vector<TableOptions> options;                   // one for each table
  /// Which tables move in this pull (empty: all); the others only take part where rows refer to
  /// each other.
  std::vector<bool> moves;
  NodeId source_id;
  NodeId target_id;
  bool source_is_first = true;
  bool mirror = false;
  DeleteLimit max_deletes;
  std::string session_id;
  std::string job;
  /// Both nodes are inside write transactions of the caller, who will roll them back: nothing is
  /// begun or ended here.
  bool dry_run = false;
  /// A heartbeat of the source that travels with the changes, by the source's clock; 0: none.
  std::int64_t heartbeat_us = 0;
  std::int64_t target_ahead_us = 0;  // the target's clock, to that of the source
  compare::Rules rules;
  Progress progress;
  /// A row that another transaction of the target holds is not waited for long, before the pull
  /// leaves it to the next one: for who begins that soon.
  bool comes_back_soon = false;
  bool counts_rows = false;  // of a whole table before it is read, for who shows how far that is
};

struct PullReport {
  std::map<std::string, PullCounts> tables;  // only those with something to tell
  std::vector<Conflict> conflicts;  // newly logged ones (at most kKeptConflicts; counts are whole)
  struct Waiting {
    std::string table;
    QuarantinedRow row;
  };
  std::vector<Waiting> waiting;  // rows in quarantine (at most kKeptWaiting; counts are whole)
  std::map<std::string, std::int64_t> null_keys;
  bool wrote = false;  // the target's transaction changed something
  /// By the clocks of those who changed rows, the oldest change (or heartbeat) that was carried,
  /// and by the target's clock when it could be seen there; both 0 when none was.
  std::int64_t oldest_change_us = 0;
  std::int64_t visible_at_us = 0;
  std::int64_t heartbeat_us = 0;  // as in the request, once it has arrived
  static constexpr std::size_t kKeptConflicts = 1000;
  static constexpr std::size_t kKeptWaiting = 100;

  PullCounts total() const;
};

/// On Error both nodes are as before, but for harvested logs. States in the request are up to date
/// afterwards.
PullReport pull(PullRequest& request);

/// Lets the heartbeat of the request arrive by itself, where no change travelled. Nothing else is
/// written.
PullReport carry_heartbeat(const PullRequest& request);

}  // namespace tidemark::apply
