// TableApplier brings one staged table into the target, inside the target's write transaction: what
// the source's knowledge covers goes the set-based way, the rest is decided row by row by compare/
// and written here, with versions, conflicts and the rows that a unique constraint made wait. Not
// thread-safe; holds references to the node and to the table's state, which it updates.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <unordered_map>
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

/// What came for the place of a row that waits in quarantine.
struct ContestedRow {
  Row key;
  Row row;
  bool present = false;
  std::optional<Version> version;
  bool revert = false;
};

class TableApplier;

/// A change that takes away a row, or a value of one, to which others may refer: it waits until
/// everything else is written.
struct Withdrawal {
  Row key;
  Row row;  // what is to be there instead; empty: nothing
  std::optional<Version> version;
  LocalRow local;  // what is there
};

/// Decides whether a row may leave its table although others refer to it.
class ReferenceKeeper {
 public:
  virtual ~ReferenceKeeper() = default;
  /// What refers to the row goes with it, and has gone when this returns nothing. Otherwise one of
  /// those is later than the withdrawal and nothing was changed: the row has to stay, with a
  /// version later than the result. `only_ask` changes nothing either way.
  virtual std::optional<std::int64_t> make_way(TableApplier& table, const Withdrawal& withdrawal,
                                               bool only_ask) = 0;
  /// The row may refer to something that is not there.
  virtual void suspect(TableApplier& table, const Row& key) = 0;
  /// Another row stands in the place of `before`, to which others may refer by what it lacks.
  virtual void note_replaced(TableApplier& table, const Row& key, const Row& before) = 0;
};

class TableApplier final : private ApplySink, private PairSink {
 public:
  /// A row that is to be written, but a row that it refers to is not there.
  struct Arrival {
    Row key;
    Row row;
    std::optional<Version> version;
    std::string reason;
    bool from_quarantine = false;
    bool whole = true;  // false: it is there, with NULL where it refers to what is missing
  };

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
    ReferenceKeeper& references;
    LockedRows locked_rows = LockedRows::wait;  // as the target was told
  };

  explicit TableApplier(const Context& context);

  // The stages of a pull in their order; each is done for all tables before the next begins.
  /// Parents before children. Consumes the stage; deletes of rows to which others may refer wait.
  /// What comes for keys that are `waiting` is not in the stage.
  void apply_rows(Stage& stage, const std::set<Row, KeyOrder>& waiting);
  /// After apply_rows(): rows that are to be compared with what waits in their places.
  void apply_contested(const std::vector<ContestedRow>& rows,
                       const std::set<Row, KeyOrder>& waiting);
  /// Children before parents: deletes that the pull kept apart (none: null), and those that wait.
  void apply_deletes(Stage* stage);
  /// Rows that a unique constraint refused.
  void settle_unique();
  void retry_quarantined();
  // Then references, see apply/references.h.
  /// `target_state` knows afterwards what the source knew; it is not saved. For tables of which
  /// something was applied.
  void learn();
  const PullCounts& counts() const { return counts_; }

  // For who settles references.
  const ActiveTable& table() const { return table_; }
  const TableState& state() const { return state_; }
  bool is_referenced() const { return referenced_; }
  /// The version is news of this pull.
  bool came(const std::optional<Version>& version) const {
    return version && !known_before_.covers(*version) && version->origin != state_.origin;
  }
  bool mirrors() const { return context_.mirror; }
  std::vector<Withdrawal>& held() { return held_; }
  std::vector<Arrival>& arrivals() { return arrivals_; }
  /// Rows that left the table for the sake of a unique value; most of them are back.
  std::vector<Row>& parked_rows() { return parked_rows_; }
  /// Keys of rows that were written here and refer to what is not there.
  std::vector<Row> orphans();
  bool is_quarantined(RowView key);
  /// Something else was decided about the row meanwhile, and that is later.
  bool is_overtaken(const Withdrawal& withdrawal);
  /// What it brought goes to the conflict log.
  void note_overtaken(const Withdrawal& withdrawal);
  /// Why the row cannot go at once, if so.
  std::optional<Refusal> carry_out(const Withdrawal& withdrawal);
  /// The same for one that the database refuses to the end: a row waits; a delete stops the pull.
  void give_up(const Withdrawal& withdrawal);
  /// The row stays although its delete, or another value, came.
  void keep(const Withdrawal& withdrawal, std::optional<std::int64_t> later_than_us);
  struct Deletion {
    ConflictType type = ConflictType::child_exists;
    std::optional<Version> by;
    std::optional<std::int64_t> later_than_us;
  };
  /// True when `row` only kept the place of another that waits for it: then it has gone, and the
  /// one that waits decides.
  bool clear_place(RowView key, const Row& row);
  /// The row becomes a tombstone and goes to the conflict log.
  void bury(RowView key, const LocalRow& row, const Deletion& deletion);
  /// Writes a row that was deleted here, because one that came refers to it.
  std::optional<Refusal> bring_back(RowView key, RowView row,
                                    std::optional<std::int64_t> later_than_us);
  std::optional<Refusal> take_in(const Arrival& arrival);
  /// As it would be without the references in `missing`.
  bool take_in_without(const Arrival& arrival, const std::vector<std::size_t>& missing);
  /// The row waits in quarantine, or goes on waiting, and leaves the table if it is there.
  void set_aside(const Arrival& arrival);

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

  std::string where() const;  // how a message begins
  void compare(const ChangedRow& incoming, const LocalRow& local) override;
  void refused(const ChangedRow& incoming, const Refusal& refusal) override;
  void pair(const ChangedRow* incoming, const ChangedRow* local, bool equal) override;

  void pass_over(const ChangedRow& incoming, const std::optional<Version>& version);
  void keep_waiting(const QuarantinedRow& waiting);
  bool stays_locked(const QuarantinedRow& waiting, RowView row);
  void note_unseen(QuarantinedRow& waiting, const LocalRow& local);
  void require_settled(RowView key);
  RowLocked needs_locked_row() const;
  bool try_to_take_in(const Arrival& arrival);
  void retry_delete(const QuarantinedRow& waiting, LocalRow local);
  QuarantinedRow make_waiting(Row key, Row row, const std::optional<Version>& version,
                              const std::string& reason);
  void apply_verdicts();
  void settle_with_waiting(const ChangedRow& incoming);
  void act_on_waiting(const Verdict& verdict, const ChangedRow& incoming, QuarantinedRow waiting);
  void judge_lone_waiting(const std::set<Row, KeyOrder>& keys);
  /// The rows of the table that wait, by encoded key; read when they are first asked for.
  std::unordered_map<std::string, QuarantinedRow>& waiting();
  std::optional<QuarantinedRow> find_waiting(RowView key);
  void let_wait(const QuarantinedRow& row);
  void release(RowView key);
  bool drop_overtaken(const QuarantinedRow& waiting, const LocalRow& local);
  void act(const compare::Decision& decision, const ChangedRow& incoming, const LocalRow& local,
           bool equal);
  void write(const ChangedRow& incoming, bool local_present, const std::optional<Version>& version);
  void count_write(bool present_before, bool present_after);
  Version new_version(std::optional<std::int64_t> later_than_us);
  Version later_version(std::optional<std::int64_t> later_than_us);
  void park(RowView key, RowView row, const std::optional<Version>& version,
            const Refusal& refusal);
  void delete_waiting(const ChangedRow& tombstone);
  void withdraw(Withdrawal withdrawal);
  /// How a row stood in its table before it left it for the sake of unique values.
  struct Standing {
    bool present = false;
    bool by_stand_in = false;  // it could not leave
    Row row;                   // then
  };
  void settle_unique(const std::vector<Parked>& waiting);
  Standing leave_table(RowView key);
  Row without_unique_values(Row row);
  void take_stand_in_away(const Parked& parked, const Row& before);
  bool settle_rivals(const Parked& parked);
  void let_held_rivals_go(const Parked& parked);
  bool change_held(const Row& key);
  bool stands_by_its_children(const Parked& parked, const std::vector<Row>& rival_keys,
                              const std::vector<LocalRow>& rivals);
  /// Of a decision that is a conflict; `ours` is what this node has of the key.
  void log_decision(const compare::Decision& decision, const ChangedRow& incoming,
                    ConflictSide ours);
  void log(ConflictType type, ConflictStatus status, RowView key, ConflictSide winner,
           ConflictSide loser);
  ConflictSide source_side(const ChangedRow& row) const;
  ConflictSide target_side(const LocalRow& row) const;
  static ConflictSide waiting_side(const QuarantinedRow& waiting);
  ConflictSide side(const Node& node, const std::optional<Version>& version, bool present,
                    Row row) const;

  const Context context_;
  Node& target_;
  const ActiveTable& table_;
  TableState& state_;
  const compare::PullContext rules_context_;
  PullCounts counts_;
  std::vector<Verdict> verdicts_;
  std::unique_ptr<Stage> verdict_rows_;
  std::vector<Parked> parked_;
  const bool referenced_;
  const Knowledge known_before_;
  std::vector<Withdrawal> withdrawals_;
  std::vector<Withdrawal> held_;
  std::vector<Arrival> arrivals_;
  std::vector<Row> parked_rows_;
  std::int64_t stand_ins_ = 0;
  std::optional<std::set<std::string>> written_;  // by a full compare: encoded keys
  bool applied_ = false;
  bool filled_ = false;                     // an empty table
  std::int64_t refused_ = 0;                // rows that went to quarantine
  std::unordered_set<std::string> locked_;  // encoded keys of rows that other transactions lock
  bool looks_at_locks_ = false;             // before it writes: nobody has done so yet
  std::unordered_set<std::string> refused_now_;  // deletes that were refused a moment ago
  /// Encoded keys of the target's rows from before activation that got their first version here:
  /// where a unique value is disputed they still count as rows without one.
  std::unordered_set<std::string> joined_keys_;
  std::optional<std::unordered_map<std::string, QuarantinedRow>> waiting_;
  // Full compare: keys of rows that wait here, without those that the source has something for.
  std::set<std::string> waiting_keys_;
};

}  // namespace tidemark::apply
