// The checker decides whether a simulated world kept the promise: nothing is lost, every node
// converges. It shares no code with the product. It hears of every write that an application was
// told had happened, looks at rows, versions and conflict logs, and throws Violation when a law is
// broken.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tidemark::simulation {

class Violation : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// What can be seen of a node from outside: its rows by (table, key).
using Rows = std::map<std::pair<std::string, std::int64_t>, std::string>;

/// One entry of a conflict log; a side that was a delete has no value.
struct LoggedConflict {
  std::int64_t key = 0;
  std::string type;
  std::string policy;
  std::string winner;
  std::string loser;

  friend auto operator<=>(const LoggedConflict&, const LoggedConflict&) = default;
};

struct NodeView {
  std::string name;
  Rows rows;
  Rows whole_rows;  // every column, where a row has more to it than its value
  Rows carried;     // what else the rows hold, bit for bit, where that is looked at
  Rows waiting;     // in quarantine
  std::vector<LoggedConflict> conflicts;
};

/// When a row was last changed and by whom, as the order of versions compares them.
using RowVersion = std::pair<std::int64_t, std::string>;
using RowVersions = std::map<std::pair<std::string, std::int64_t>, RowVersion>;

class Checker {
 public:
  /// `early_purge`: tombstones may be purged before all nodes know them. Rows may then be revived
  /// (the conflict log says which), and with them comes a version that knows nothing of the purged
  /// one. Otherwise none that was deleted may be, until a restored node has missed what was purged
  /// since.
  explicit Checker(bool early_purge) : early_purge_(early_purge), may_go_back_(early_purge) {}

  /// An application's write was acknowledged. `overwritten` is what it found there, empty if
  /// nothing; `value` is empty for a delete. `on_mirror`: the target of a backup, or a node
  /// that has not joined yet, where overwriting a row decides nothing.
  void wrote(const std::string& value, const std::string& overwritten, bool on_mirror);
  /// The row of this value was changed without another value: that is a write like any other, and
  /// may win over one that deleted it.
  void rewrote(const std::string& value) { brought_back_.insert(value); }
  /// What the row of this value held besides as soon as it was written: it never holds anything
  /// else.
  void carries(const std::string& value, std::string carried) {
    carried_[value] = std::move(carried);
  }
  /// The row of this value waits in quarantine. As soon as it fits it is a new change of its node,
  /// which may win over one that was made meanwhile (the conflict log says which).
  void waits(const std::string& value) { waited_.insert(value); }
  /// The database of `node` was replaced by an older copy of itself; `before` is what it held until
  /// then, `others` are all other nodes.
  void restored(const NodeView& before, const Rows& copy, const std::vector<NodeView>& others);
  /// What a node holds after a session. Throws when the version of a row went back.
  void observe(const std::string& node, RowVersions versions);
  /// Versions may disappear here: tombstones were purged.
  void purged(const std::string& node) { versions_.erase(node); }

  /// Every pair has met often enough, but nodes differ in what they can hold: only rows that wait
  /// somewhere may differ.
  static void rest(const std::vector<NodeView>& nodes);
  /// The end: every pair has met often enough.
  void finish(const std::vector<NodeView>& nodes) const;

  std::size_t writes() const { return written_.size(); }

 private:
  /// Against the order of changes a row is brought back only where the log says so: because a job
  /// wants the older one to win, or because it mirrors.
  bool may_bring_back(const LoggedConflict& conflict) const;

  const bool early_purge_;
  bool may_go_back_;  // a restored node has missed what was purged since, too
  void require_carried(const NodeView& node) const;

  bool restored_ = false;  // rows may wait everywhere for a parent that went with a disk

  std::set<std::string> written_;
  std::map<std::string, std::string> carried_;  // by value
  std::set<std::string> waited_;
  std::set<std::string> seen_;  // overwritten or deleted by somebody who saw it
  std::set<std::string> seen_on_mirror_;
  std::set<std::string> gone_;          // may have been lost with a disk
  std::set<std::string> brought_back_;  // by conflicts that a disk took along
  std::map<std::string, RowVersions> versions_;
};

}  // namespace tidemark::simulation
