// TableApplier brings one staged table into the target, inside the target's write transaction: what
// the source's knowledge covers goes the set-based way, the rest is decided row by row by compare/
// and written here, with versions, conflicts and the rows that a unique constraint made wait. Not
// thread-safe; holds references to the node and to the table's state, which it updates.
#pragma once

#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "apply/pull.h"
#include "compare/decide.h"
#include "engines/engine.h"

namespace tidemark::apply {

/// Where a conflict is told and kept, and where it is told that a row still waits.
class ConflictLog {
 public:
  virtual ~ConflictLog() = default;
  /// Completes the conflict with session, job and time, and keeps it.
  virtual void keep(Conflict conflict, PullCounts& counts) = 0;
  virtual void tell_waiting(const std::string& table, const QuarantinedRow& row) = 0;
};

class TableApplier final : private ApplySink, private PairSink {
 public:
  struct Context {
    Node& source;  // for its name only
    Node& target;
    const ActiveTable& table;  // the target's
    const TableState& source_state;
    TableState& target_state;
    Policy policy;
    bool source_is_first;
    bool mirror;
    bool was_restored;
    const compare::Rules& rules;
    ConflictLog& conflicts;
    std::string session_id;
  };

  explicit TableApplier(const Context& context);

  /// Consumes the stage. Afterwards rows, versions and conflicts are written and `target_state`
  /// knows what the source knew; it is not saved.
  PullCounts apply(Stage& stage);

  /// Tries the rows that wait in quarantine again, without anything new.
  PullCounts retry();

 private:
  /// What a full compare decided about one key; the row itself waits in a spool.
  struct Verdict {
    compare::Decision decision;
    bool equal = false;
    bool local_present = false;
    bool target_only = false;
  };
  /// A row that a unique constraint refused, with the version it is to get.
  struct Parked {
    Row key;
    Row row;
    std::optional<Version> version;
    std::string reason;
  };

  void compare(const ChangedRow& incoming, const LocalRow& local) override;
  void refused(const ChangedRow& incoming, const Refusal& refusal) override;
  void pair(const ChangedRow* incoming, const ChangedRow* local, bool equal) override;

  void apply_verdicts();
  void act(const compare::Decision& decision, const ChangedRow& incoming, const LocalRow& local,
           bool equal);
  void write(const ChangedRow& incoming, bool local_present, const std::optional<Version>& version);
  void count_write(bool present_before, bool present_after);
  Version new_version(std::optional<std::int64_t> later_than_us);
  void park(RowView key, RowView row, const std::optional<Version>& version,
            const Refusal& refusal);
  void settle_parked();
  void delete_waiting(const ChangedRow& tombstone);
  void retry_quarantined();
  void settle_rivals(const Parked& parked);
  void log(ConflictType type, ConflictStatus status, RowView key, ConflictSide winner,
           ConflictSide loser);
  ConflictSide source_side(const ChangedRow& row) const;
  ConflictSide target_side(const LocalRow& row) const;
  ConflictSide side(const Node& node, const std::optional<Version>& version, bool present,
                    Row row) const;
  void learn();

  const Context context_;
  Node& target_;
  const ActiveTable& table_;
  TableState& state_;
  const compare::PullContext rules_context_;
  PullCounts counts_;
  std::vector<Verdict> verdicts_;
  std::unique_ptr<Stage> verdict_rows_;
  std::vector<Parked> parked_;
  std::int64_t refused_ = 0;  // rows that went to quarantine
  /// Encoded keys of the target's rows from before activation that got their first version here:
  /// where a unique value is disputed they still count as rows without one.
  std::unordered_set<std::string> joined_keys_;
};

}  // namespace tidemark::apply
