#include "apply/pull.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "apply/held_rows.h"
#include "apply/references.h"
#include "apply/table_applier.h"
#include "apply/target_conflict_log.h"
#include "engines/spool.h"
#include "model/error.h"

namespace tidemark::apply {
namespace {

using capture::CapturedTable;

/// How often a pull starts anew because the target learned something from a third node meanwhile.
constexpr int kAttempts = 5;
/// How often a pull that collided with an application's transaction starts anew: first in the hope
/// that it does not happen again, then with applications kept out, so that it ends.
constexpr int kHopefulAttempts = 3;
constexpr int kCollisions = 10;
constexpr std::int64_t kProgressEvery = 4096;

/// Ends a node's transaction on every way out; a dry run's caller does that itself.
class Transaction {
 public:
  explicit Transaction(Node& node, bool borrowed) : node_(borrowed ? nullptr : &node) {}
  ~Transaction() {
    if (node_ != nullptr) node_->rollback();
  }
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  void commit() {
    if (node_ == nullptr) return;
    node_->commit();
    node_ = nullptr;
  }

 private:
  Node* node_;
};

/// Keeps deletes apart: of a table to which others refer they are done after everything else. And
/// what comes for the place of a row that waits at the target: it is compared with that.
class SplitStage final : public Stage {
 public:
  SplitStage(std::unique_ptr<Stage> rows, std::unique_ptr<Stage> deletes,
             std::set<Row, KeyOrder> waiting)
      : rows_(std::move(rows)), deletes_(std::move(deletes)), waiting_(std::move(waiting)) {}

  bool add(const ChangedRow& row) override {
    if (!waiting_.empty() && waiting_.contains(to_row(row.key))) {
      contested_.push_back({.key = to_row(row.key),
                            .row = to_row(row.row),
                            .present = row.present,
                            .version = row.version,
                            .revert = row.revert});
      return true;
    }
    if (row.present || deletes_ == nullptr) return rows_->add(row);
    ++deletes_count_;
    return deletes_->add(row);
  }
  void finish() override {
    if (deletes_ != nullptr) deletes_->finish();
    rows_->finish();
  }
  void fail(std::exception_ptr error) override {
    if (deletes_ != nullptr) deletes_->fail(error);
    rows_->fail(std::move(error));
  }
  void abandon() noexcept override {
    rows_->abandon();
    if (deletes_ != nullptr) deletes_->abandon();
  }

  Stage& rows() { return *rows_; }
  /// Null when there are none. Complete once rows() was read to its end.
  Stage* deletes() { return deletes_count_ > 0 ? deletes_.get() : nullptr; }
  /// Complete once rows() was read to its end.
  const std::vector<ContestedRow>& contested() const { return contested_; }
  const std::set<Row, KeyOrder>& waiting() const { return waiting_; }

 private:
  const std::unique_ptr<Stage> rows_;
  const std::unique_ptr<Stage> deletes_;
  std::atomic<std::int64_t> deletes_count_ = 0;
  const std::set<Row, KeyOrder> waiting_;
  std::vector<ContestedRow> contested_;
};

/// In a write transaction of the target.
void note_heartbeat(const PullRequest& request) {
  const std::string& peer = request.source.name();
  Heartbeat heartbeat = request.target.load_heartbeat(request.job, peer);
  heartbeat.heard_us = request.heartbeat_us;
  heartbeat.arrived_us = request.target.clock_us() - request.target_ahead_us;
  request.target.save_heartbeat(request.job, peer, heartbeat);
}

class Pull {
 public:
  explicit Pull(PullRequest& request)
      : request_(request),
        source_(request.source),
        target_(request.target),
        locked_rows_(request.comes_back_soon ? LockedRows::wait_briefly : LockedRows::wait) {}

  PullReport run() {
    const std::int64_t started_at_us = target_.clock_us();
    int collisions = 0;
    for (int attempt = 1;; ++attempt) {
      report_ = {};
      oldest_us_ = kNoChange;
      try {
        if (attempt_once(started_at_us, attempt > kHopefulAttempts && !request_.dry_run)) {
          note_lag();
          return std::move(report_);
        }
      } catch (const Collision&) {
        // A dry run's caller holds the transaction that broke.
        if (request_.dry_run || ++collisions == kCollisions) throw;
        if (collisions >= kHopefulAttempts) end_collisions();
        --attempt;
        continue;
      } catch (const RowLocked&) {
        if (request_.dry_run) throw;
        if (exclusion_ == Exclusion::applications) {
          // Whoever has written to one of the tables, and does not end, is not waited for again.
          exclusion_ = Exclusion::sessions;
          may_exclude_ = false;
          locked_rows_ = LockedRows::pass_over_changed;
        } else if (passes_over(locked_rows_)) {
          throw;
        } else {
          locked_rows_ = LockedRows::pass_over;
        }
        --attempt;
        continue;
      }
      if (attempt == kAttempts) {
        throw Error(ExitCode::failed,
                    "node " + target_.name() + " is changed by other sessions all the time",
                    "run the session again, or give the jobs of this node other times", true);
      }
    }
  }

 private:
  /// Whoever holds rows for long lets nobody keep the others out, who meanwhile would all queue up
  /// behind us.
  void end_collisions() {
    if (locked_rows_ == LockedRows::pass_over) {
      locked_rows_ = LockedRows::pass_over_changed;
    } else if (may_exclude_) {
      exclusion_ = Exclusion::applications;
    }
  }

  /// False: start anew, the target was another by the time its lock was held. `target_first` takes
  /// that lock before the source is read, so that this cannot happen again.
  bool attempt_once(std::int64_t started_at_us, bool target_first) {
    if (request_.mirror) number_target_changes();
    Transaction source_transaction(source_, request_.dry_run);
    open_source();
    if (!has_work()) {
      source_transaction.commit();
      return true;
    }
    // A source that is read under its write lock is read at once and let go: two sessions that hold
    // one write lock and wait for another could wait for each other.
    const bool concurrent = !request_.dry_run && !source_locked_ && source_.traits().local &&
                            source_.traits().snapshot_reads && target_.traits().local &&
                            (!target_.traits().shared || fills_empty_tables());
    if (concurrent) {
      source_.make_durable();  // the target must not know numbers that may be undone
      Transaction target_transaction(target_, false);
      open_target();
      own_changes_meanwhile_.assign(wanted_.size(), false);  // all are in what is read next
      source_open_ = true;
      stages_.clear();
      stages_.resize(wanted_.size());
      apply_all([this](std::size_t index) { apply_while_reading(index); });
      finish(started_at_us);
      source_transaction.commit();
      target_transaction.commit();
      return true;
    }
    // Staged first: no lock is held on the target while data travels, and none on the source while
    // the target waits for its lock.
    stages_.clear();
    stages_.resize(request_.target_tables.size());
    std::optional<Transaction> target_transaction;
    if (target_first) {
      target_transaction.emplace(target_, request_.dry_run);
      open_target();
      own_changes_meanwhile_.assign(wanted_.size(), false);  // all are in what is read next
      has_work();
    }
    const std::vector<TableState> met = external_states();
    const std::vector<Reading> readings = plan_readings(target_first);
    if (source_locked_ && target_.traits().shared) {
      // Nor does the source stay locked while rows travel to a target that may be far away.
      std::vector<std::unique_ptr<Spool>> spools;
      for (const Reading& reading : readings) {
        spools.push_back(std::make_unique<Spool>(
            request_.target_tables[reading.index].table.spec.key, Spool::Options{}));
        fill(reading, *spools.back());
      }
      source_transaction.commit();
      for (std::size_t i = 0; i < readings.size(); ++i) {
        stages_[readings[i].index] = make_stage(readings[i], false);
        move_rows(*spools[i], *stages_[readings[i].index]);
      }
    } else {
      for (const Reading& reading : readings) {
        stages_[reading.index] = make_stage(reading, false);
        fill(reading, *stages_[reading.index]);
      }
      source_transaction.commit();
    }
    source_open_ = request_.dry_run;
    if (!request_.dry_run) source_.make_durable();
    if (!target_first) {
      target_transaction.emplace(target_, request_.dry_run);
      open_target();
      if (!still_fits(met)) return false;
    }
    apply_all([&](std::size_t index) {
      appliers_[index]->apply_rows(stages_[index]->rows(), stages_[index]->waiting());
      appliers_[index]->apply_contested(stages_[index]->contested(), stages_[index]->waiting());
    });
    finish(started_at_us);
    target_transaction->commit();
    stages_.clear();
    return true;
  }

  /// Backup: what the target changed by itself gets its numbers before the source is read, so that
  /// the source's rows of those keys travel with the rest.
  void number_target_changes() {
    if (request_.dry_run) {
      load_target_states();
      capture::harvest(target_, request_.target_tables);
      return;
    }
    Transaction target_transaction(target_, false);
    capture::open_harvested_snapshot(target_, request_.target_tables);
    target_transaction.commit();
  }

  void open_source() {
    if (request_.dry_run) {
      for (CapturedTable& captured : request_.source_tables) {
        captured.state = source_.load_state(captured.table);
      }
      note_null_keys(capture::harvest(source_, request_.source_tables));
      load_target_states();
      return;
    }
    const capture::HarvestReport harvested =
        capture::open_harvested_snapshot(source_, request_.source_tables);
    note_null_keys(harvested);
    source_locked_ = harvested.under_write_lock;
    target_.begin_read();
    const Transaction target_transaction(target_, false);
    load_target_states();
  }

  void note_null_keys(const capture::HarvestReport& harvested) {
    for (const auto& [table, count] : harvested.null_keys) report_.null_keys[table] += count;
  }

  void load_target_states() {
    was_restored_.assign(request_.target_tables.size(), false);
    met_.assign(request_.target_tables.size(), {});
    for (std::size_t i = 0; i < request_.target_tables.size(); ++i) {
      CapturedTable& captured = request_.target_tables[i];
      captured.state = target_.load_state(captured.table);
      if (!request_.mirror) continue;
      met_[i] = target_.load_peers(captured.table)[request_.source_id];
      was_restored_[i] = captured.state.mirrored_sequence == TableState::kNotCompared ||
                         !request_.source_tables[i].state.knowledge.covers(met_[i]);
    }
  }

  compare::PullContext context(std::size_t index) const {
    return {.source = request_.source_tables[index].state,
            .target = request_.target_tables[index].state,
            .source_is_first = request_.source_is_first,
            .mirror = request_.mirror,
            .was_restored = was_restored_[index],
            .policy = request_.options[index].policy};
  }

  bool has_work() {
    wanted_.assign(request_.target_tables.size(), false);
    received_.assign(wanted_.size(), 0);
    // Rows that the target could not hold are tried again in every session.
    const bool waiting = target_.count_quarantined() > 0;
    for (std::size_t i = 0; i < wanted_.size(); ++i) {
      if (!request_.moves.empty() && !request_.moves[i]) continue;
      wanted_[i] = compare::has_news(context(i));
      if (!waiting) continue;
      const std::vector<QuarantinedRow> rows = target_.quarantined(request_.target_tables[i].table);
      wanted_[i] = wanted_[i] || !rows.empty();
      // What was locked before most likely is so still.
      if (std::any_of(rows.begin(), rows.end(),
                      [](const QuarantinedRow& row) { return row.locked; })) {
        locked_rows_ = std::max(locked_rows_, LockedRows::pass_over);
      }
    }
    return std::find(wanted_.begin(), wanted_.end(), true) != wanted_.end();
  }

  /// A first copy into a database that nobody else has use for yet.
  bool fills_empty_tables() {
    target_.begin_read();
    const Transaction target_transaction(target_, false);
    for (std::size_t i = 0; i < wanted_.size(); ++i) {
      const ActiveTable& table = request_.target_tables[i].table;
      if (wanted_[i] &&
          (!compare::needs_full_compare(context(i)) || !holds_nothing(target_, table))) {
        return false;
      }
    }
    return true;
  }

  /// What was read for the states in `met` may be applied to the target as it is now. That it
  /// learned more from others since does no harm: what came by another way is passed over, and what
  /// is newer is compared. Anything else would have made another reading.
  bool still_fits(const std::vector<TableState>& met) const {
    std::vector<TableState> now = external_states();
    for (std::size_t i = 0; i < now.size(); ++i) {
      if (!now[i].knowledge.covers(met[i].knowledge)) return false;
      now[i].knowledge = met[i].knowledge;
      if (!std::includes(now[i].baselines_seen.begin(), now[i].baselines_seen.end(),
                         met[i].baselines_seen.begin(), met[i].baselines_seen.end())) {
        return false;
      }
      now[i].baselines_seen = met[i].baselines_seen;
    }
    return now == met;
  }

  /// The target's states without what it may change by itself meanwhile: what rows were read for.
  std::vector<TableState> external_states() const {
    std::vector<TableState> states;
    for (const CapturedTable& captured : request_.target_tables) {
      TableState others = captured.state;
      others.knowledge = Knowledge();
      for (const auto& [origin, sequence] : captured.state.knowledge.entries()) {
        if (origin != captured.state.origin) others.knowledge.raise(origin, sequence);
      }
      others.mirrored_sequence = 0;
      others.purged_at_us = 0;
      states.push_back(std::move(others));
    }
    return states;
  }

  void open_target() {
    if (!request_.dry_run) {
      target_.begin_write(exclusion_);
      target_.treat_locked_rows(locked_rows_);
    }
    std::vector<std::int64_t> numbered;
    for (const CapturedTable& captured : request_.target_tables) {
      numbered.push_back(captured.state.sequence());
    }
    load_target_states();
    note_null_keys(capture::harvest(target_, request_.target_tables));
    learn_names();
    own_changes_meanwhile_.clear();
    for (std::size_t i = 0; i < numbered.size(); ++i) {
      own_changes_meanwhile_.push_back(request_.target_tables[i].state.sequence() > numbered[i]);
    }
  }

  void progress(const char* stage, std::size_t index, std::int64_t done, std::int64_t total) const {
    if (request_.progress) {
      request_.progress(stage, request_.target_tables[index].table.spec.name, done, total);
    }
  }

  /// What to read of one table, fixed before rows move: the target's state changes while they do.
  struct Reading {
    std::size_t index = 0;
    bool whole = false;
    /// A row that may be the victim of a tombstone forgotten at the target is never written unseen.
    bool must_ask = false;
    Knowledge known;
    std::vector<Row> set_back;
    std::set<Row, KeyOrder> waiting;  // keys of rows that wait at the target
  };

  Reading plan_reading(std::size_t index) {
    const compare::PullContext meeting = context(index);
    Reading reading{.index = index,
                    .whole = compare::needs_full_compare(meeting),
                    .known = meeting.target.knowledge,
                    .waiting = keys_that_wait(request_.target_tables[index].table)};
    reading.must_ask = !reading.whole && !compare::can_apply_known(meeting, false);
    if (request_.mirror && !reading.whole) reading.set_back = keys_to_set_back(index);
    return reading;
  }

  std::set<Row, KeyOrder> keys_that_wait(const ActiveTable& table) const {
    std::set<Row, KeyOrder> keys{KeyOrder(table.spec)};
    if (target_.count_quarantined() == 0) return keys;
    for (QuarantinedRow& row : target_.quarantined(table)) keys.insert(std::move(row.key));
    return keys;
  }

  std::vector<Reading> plan_readings(bool in_transaction) {
    in_transaction |= request_.dry_run;
    if (!in_transaction) target_.begin_read();
    const Transaction target_transaction(target_, in_transaction);
    std::vector<Reading> readings;
    for (std::size_t i = 0; i < wanted_.size(); ++i) {
      if (wanted_[i]) readings.push_back(plan_reading(i));
    }
    return readings;
  }

  /// Keys that the target changed by itself since they were last compared with the source.
  std::vector<Row> keys_to_set_back(std::size_t index) {
    std::vector<Row> keys;
    const auto& [table, state] = request_.target_tables[index];
    if (state.sequence() <= state.mirrored_sequence) return keys;
    Knowledge compared;
    for (const auto& [origin, sequence] : state.knowledge.entries()) {
      compared.raise(origin, origin == state.origin ? state.mirrored_sequence : sequence);
    }
    const std::unique_ptr<RowStream> changes = target_.changes_since(table, compared);
    ChangedRow change;
    while (changes->next(change)) keys.push_back(to_row(change.key));
    return keys;
  }

  /// Streams what the target does not know into the stage, and closes it.
  void fill(const Reading& reading, Stage& stage) {
    const ActiveTable& from = request_.source_tables[reading.index].table;
    const std::int64_t total = reading.whole && request_.counts_rows ? source_.count_rows(from) : 0;
    // A backup holds what its source holds, and nothing that waits there.
    std::vector<QuarantinedRow> waiting;
    if (!request_.mirror) waiting = waiting_rows(source_, from);
    const std::unique_ptr<RowStream> rows = with_waiting(
        reading.whole ? source_.all_rows(from) : source_.changes_since(from, reading.known),
        std::move(waiting), from.spec, [&reading](const QuarantinedRow& row) {
          return reading.whole || (row.version && !reading.known.covers(*row.version));
        });
    std::set<Row, KeyOrder> set_back(reading.set_back.begin(), reading.set_back.end(),
                                     KeyOrder(from.spec));
    std::int64_t done = 0;
    ChangedRow row;
    while (rows->next(row)) {
      row.revert = reading.must_ask;
      if (!stage.add(row)) return;
      if (!set_back.empty()) set_back.erase(to_row(row.key));  // is compared anyway
      if (row.version && row.version->changed_at_us > 0) {
        oldest_us_ = std::min(oldest_us_, row.version->changed_at_us);
      }
      if (++done % kProgressEvery == 0) progress("read", reading.index, done, total);
    }
    for (const Row& key : set_back) {
      const auto key_views = to_views(key);
      const LocalRow found = source_.find(from, key_views);
      const auto row_views = to_views(found.row);
      stage.add({.key = key_views,
                 .row = row_views,
                 .present = found.present,
                 .version = found.version,
                 .revert = true});
      ++done;
    }
    progress("read", reading.index, done, done);
    received_[reading.index] = done;
    stage.finish();
  }

  static void move_rows(RowStream& rows, Stage& stage) {
    ChangedRow row;
    while (rows.next(row)) stage.add(row);
    stage.finish();
  }

  std::unique_ptr<SplitStage> make_stage(const Reading& reading, bool concurrent) {
    const ActiveTable& table = request_.target_tables[reading.index].table;
    const bool translated = !concurrent && source_.traits().translated;
    std::unique_ptr<Stage> deletes;
    if (!reading.whole && target_.is_referenced(table)) {
      deletes = target_.make_stage(table, {.translated = translated});
    }
    return std::make_unique<SplitStage>(
        target_.make_stage(
            table, {.concurrent = concurrent, .whole = reading.whole, .translated = translated}),
        std::move(deletes), reading.waiting);
  }

  void apply_while_reading(std::size_t index) {
    const Reading reading = plan_reading(index);
    stages_[index] = make_stage(reading, true);
    SplitStage& stage = *stages_[index];
    std::thread reader([&] {
      try {
        fill(reading, stage);
      } catch (...) {
        stage.fail(std::current_exception());
      }
    });
    try {
      appliers_[index]->apply_rows(stage.rows(), stage.waiting());
      reader.join();
      appliers_[index]->apply_contested(stage.contested(), stage.waiting());
    } catch (...) {
      stage.abandon();
      if (reader.joinable()) reader.join();
      throw;
    }
  }

  /// Stage by stage through all tables: rows come before those that refer to them, and go after.
  template <typename ApplyRows>
  void apply_all(const ApplyRows& apply_rows) {
    TargetConflictLog conflicts(target_, request_.session_id, request_.job, report_);
    SourceLookup lookup(*this);
    References references(target_, request_.rules,
                          [&lookup](const auto&... what) { return lookup.find(what...); });
    make_appliers(conflicts, references);
    const std::size_t count = appliers_.size();
    for (std::size_t i = 0; i < count; ++i) {
      if (!wanted_[i]) continue;
      number_what_triggers_did(i);
      apply_rows(i);
    }
    for (std::size_t i = count; i-- > 0;) {
      if (wanted_[i]) appliers_[i]->apply_deletes(stages_[i]->deletes());
    }
    for (const auto& applier : appliers_) applier->settle_unique();
    for (const auto& applier : appliers_) applier->retry_quarantined();
    references.settle();
    for (std::size_t i = 0; i < count; ++i) finish_table(i);
    appliers_.clear();
  }

  /// Triggers of the application that fired while another table was applied may have changed rows
  /// of this one: they are changes of the target's own before its rows are looked at.
  void number_what_triggers_did(std::size_t index) {
    const bool fired =
        std::any_of(request_.target_tables.begin(), request_.target_tables.end(),
                    [](const CapturedTable& captured) { return captured.table.fire_triggers; });
    if (!fired) return;
    CapturedTable& into = request_.target_tables[index];
    if (!target_.has_pending(into.table)) return;
    capture::harvest(target_, into.table, into.state);
    own_changes_meanwhile_[index] = true;
  }

  void make_appliers(ConflictLog& conflicts, References& references) {
    appliers_.clear();
    for (std::size_t i = 0; i < request_.target_tables.size(); ++i) {
      CapturedTable& into = request_.target_tables[i];
      appliers_.push_back(std::make_unique<TableApplier>(
          TableApplier::Context{.source = source_,
                                .target = target_,
                                .table = into.table,
                                .source_state = request_.source_tables[i].state,
                                .target_state = into.state,
                                .policy = request_.options[i].policy,
                                .source_is_first = request_.source_is_first,
                                .mirror = request_.mirror,
                                .was_restored = was_restored_[i],
                                .rules = request_.rules,
                                .conflicts = conflicts,
                                .session_id = request_.session_id,
                                .references = references,
                                .locked_rows = locked_rows_}));
      references.add(*appliers_.back());
    }
  }

  void finish_table(std::size_t index) {
    CapturedTable& into = request_.target_tables[index];
    PullCounts counts = appliers_[index]->counts();
    const bool touched = counts.changed() != 0 || counts.conflicts != 0 || counts.quarantined != 0;
    if (!wanted_[index] && !touched) return;
    if (wanted_[index]) appliers_[index]->learn();
    counts.received = received_[index];
    check_deletes(into.table, counts);
    if (wanted_[index] && was_restored_[index]) {
      // What the source has lost it may learn again, and must then be able to send it.
      // Its rows are compared, so that what was forgotten of it does not matter any more.
      into.state.knowledge.go_back(met_[index], request_.source_tables[index].state.knowledge);
      into.state.forgotten.go_back(met_[index], request_.source_tables[index].state.knowledge);
    }
    // Changes that came in between were not compared with the source yet; the next pull does
    // that.
    if (request_.mirror && !own_changes_meanwhile_[index]) {
      into.state.mirrored_sequence = into.state.sequence();
    }
    if (into.state.purged_at_us == 0) into.state.purged_at_us = target_.clock_us();
    target_.save_state(into.table, into.state);
    if (wanted_[index]) {
      target_.save_peer(into.table, request_.source_id,
                        request_.source_tables[index].state.knowledge);
    }
    if (counts.received != 0 || touched) report_.tables[into.table.spec.name] = counts;
    progress("applied", index, counts.received, counts.received);
  }

  void check_deletes(const ActiveTable& table, const PullCounts& counts) const {
    const DeleteLimit& limit = request_.max_deletes;
    std::string allowed;
    if (limit.rows && counts.deleted > *limit.rows) {
      allowed = std::to_string(*limit.rows);
    } else if (limit.share && counts.deleted > DeleteLimit::kShareFloor) {
      const std::int64_t before = target_.count_rows(table) + counts.deleted - counts.inserted;
      if (static_cast<double>(counts.deleted) > *limit.share * static_cast<double>(before)) {
        allowed =
            std::to_string(std::lround(*limit.share * 100)) + "% of " + std::to_string(before);
      }
    }
    if (allowed.empty()) return;
    throw Error(ExitCode::refused,
                "job " + request_.job + ": would delete " + std::to_string(counts.deleted) +
                    " rows of table " + table.spec.name + " on node " + target_.name() +
                    ", max_deletes allows " + allowed,
                "nothing was written; if these deletes are right, run 'tidemark sync " +
                    request_.job + " --allow-deletes', otherwise see what happened on node " +
                    source_.name());
  }

  void finish(std::int64_t started_at_us) {
    report_.wrote = true;
    target_.record_session({.session_id = request_.session_id,
                            .job = request_.job,
                            .source = source_.name(),
                            .target = target_.name(),
                            .source_id = request_.source_id,
                            .started_at_us = started_at_us,
                            .finished_at_us = target_.clock_us(),
                            .mode = request_.mirror ? "backup" : "two-way",
                            .tables = report_.tables});
    if (request_.heartbeat_us == 0 || request_.dry_run) return;
    note_heartbeat(request_);
    report_.heartbeat_us = request_.heartbeat_us;
    oldest_us_ = std::min(oldest_us_, request_.heartbeat_us);
  }

  /// After the commit: only then the changes can be seen.
  void note_lag() {
    if (request_.dry_run || !report_.wrote || oldest_us_ == kNoChange) return;
    report_.oldest_change_us = oldest_us_;
    report_.visible_at_us = target_.clock_us();
  }

  /// Conflicts are told with names: those of the two nodes, and what the source knows of nodes that
  /// the target never met.
  void learn_names() {
    std::map<OriginId, std::string> names;
    for (std::size_t i = 0; i < wanted_.size(); ++i) {
      const TableState& source = request_.source_tables[i].state;
      for (const auto& [origin, sequence] : source.knowledge.entries()) {
        if (!names.contains(origin)) names[origin] = source_.origin_name(origin);
      }
    }
    const auto learn = [this](const OriginId& origin, const NodeId& node, const std::string& name) {
      if (target_.origin_name(origin) == name) return;
      target_.save_origin_name({.node_id = node, .origin = origin}, name);
    };
    for (const auto& [origin, name] : names) {
      // A name that the target has already may be newer than what the source heard.
      const bool unknown = target_.origin_name(origin) == origin.to_string();
      if (unknown && name != origin.to_string()) learn(origin, {}, name);
    }
    if (wanted_.empty()) return;
    learn(request_.source_tables[0].state.origin, request_.source_id, source_.name());
    learn(request_.target_tables[0].state.origin, request_.target_id, target_.name());
  }

  /// Reads single rows of the source, as it is now, when its snapshot was given back already.
  class SourceLookup {
   public:
    explicit SourceLookup(Pull& pull) : pull_(pull) {}
    ~SourceLookup() {
      if (opened_) pull_.source_.rollback();
    }
    SourceLookup(const SourceLookup&) = delete;
    SourceLookup& operator=(const SourceLookup&) = delete;

    std::optional<Row> find(const std::string& name, const std::vector<std::string>& columns,
                            RowView values) {
      for (const CapturedTable& captured : pull_.request_.source_tables) {
        const ActiveTable& table = captured.table;
        if (table.spec.name != name) continue;
        if (!pull_.source_open_ && !opened_) {
          pull_.source_.begin_read();
          opened_ = true;
        }
        const std::optional<Row> key = pull_.source_.find_by(table, columns, values);
        if (!key) return std::nullopt;
        LocalRow found = pull_.source_.find(table, to_views(*key));
        if (!found.present) return std::nullopt;
        return std::move(found.row);
      }
      return std::nullopt;
    }

   private:
    Pull& pull_;
    bool opened_ = false;
  };

  PullRequest& request_;
  Node& source_;
  Node& target_;
  PullReport report_;
  Exclusion exclusion_ = Exclusion::sessions;
  bool may_exclude_ = true;
  LockedRows locked_rows_;
  std::vector<bool> wanted_;
  std::vector<bool> was_restored_;  // backup: table by table, see compare::PullContext
  std::vector<Knowledge> met_;      // backup: what the source knew when the two met last
  std::vector<bool> own_changes_meanwhile_;
  bool source_locked_ = false;
  bool source_open_ = false;  // in the transaction of which rows were read
  std::vector<std::unique_ptr<SplitStage>> stages_;
  std::vector<std::unique_ptr<TableApplier>> appliers_;
  std::vector<std::int64_t> received_;  // rows read, table by table
  static constexpr std::int64_t kNoChange = std::numeric_limits<std::int64_t>::max();
  std::int64_t oldest_us_ = kNoChange;  // of the changes read
};

}  // namespace

PullCounts PullReport::total() const {
  PullCounts sum;
  for (const auto& [table, counts] : tables) sum += counts;
  return sum;
}

PullReport pull(PullRequest& request) { return Pull(request).run(); }

PullReport carry_heartbeat(const PullRequest& request) {
  request.target.begin_write();
  Transaction transaction(request.target, false);
  note_heartbeat(request);
  transaction.commit();
  PullReport report;
  report.heartbeat_us = report.oldest_change_us = request.heartbeat_us;
  report.visible_at_us = request.target.clock_us();
  return report;
}

}  // namespace tidemark::apply
