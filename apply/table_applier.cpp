#include "apply/table_applier.h"

#include <algorithm>
#include <utility>

#include "apply/held_rows.h"
#include "engines/spool.h"

namespace tidemark::apply {
namespace {

compare::Side side_of(const ChangedRow& row) { return {row.present, row.version}; }
compare::Side side_of(const LocalRow& row) { return {row.present, row.version}; }

std::string encoded(RowView key) {
  std::string text;
  append_encoding(key, text);
  return text;
}

}  // namespace

TableApplier::TableApplier(const Context& context)
    : context_(context),
      target_(context.target),
      table_(context.table),
      state_(context.target_state),
      rules_context_{.source = context.source_state,
                     .target = context.target_state,
                     .source_is_first = context.source_is_first,
                     .mirror = context.mirror,
                     .was_restored = context.was_restored,
                     .policy = context.policy},
      referenced_(context.target.is_referenced(context.table)),
      known_before_(context.target_state.knowledge) {}

void TableApplier::apply_rows(Stage& stage, const std::set<Row, KeyOrder>& waiting) {
  const bool whole = compare::needs_full_compare(rules_context_);
  // Decided before the clock floor moves: it asks what was so when the two met.
  const bool known =
      compare::can_apply_known(rules_context_, whole && holds_nothing(target_, table_));
  applied_ = true;
  filled_ = known && whole;
  if (whole) {
    state_.clock_floor_us = std::max(state_.clock_floor_us, context_.source_state.clock_floor_us);
  }
  if (known) {
    counts_ += target_.apply_known(table_, stage, context_.source_state.knowledge, *this);
  } else if (whole) {
    if (!table_.spec.foreign_keys.empty()) written_.emplace();
    verdict_rows_ = std::make_unique<Spool>(table_.spec.key, Spool::Options{});
    for (const Row& key : waiting) waiting_keys_.insert(encoded(to_views(key)));
    target_.compare_all(table_, stage, *this);
    verdict_rows_->finish();
    apply_verdicts();
  } else {
    // Nothing is known to be safe: an empty knowledge sends every row that meets a version here.
    counts_ += target_.apply_known(table_, stage, Knowledge(), *this);
  }
}

void TableApplier::apply_deletes(Stage* stage) {
  if (stage != nullptr) {
    const bool known = compare::can_apply_known(rules_context_, false);
    counts_ += target_.apply_known(table_, *stage,
                                   known ? context_.source_state.knowledge : Knowledge(), *this);
  }
  for (Withdrawal& withdrawal : std::exchange(withdrawals_, {})) withdraw(std::move(withdrawal));
}

void TableApplier::withdraw(Withdrawal withdrawal) {
  const auto key = to_views(withdrawal.key);
  const auto row = to_views(withdrawal.row);
  withdrawal.local = target_.find(table_, key);
  const bool referred = withdrawal.local.present &&
                        !target_.referrers(table_, to_views(withdrawal.local.row), row).empty();
  if (!referred) {
    const std::optional<Refusal> refusal = carry_out(withdrawal);
    if (!refusal) return;
    // Nothing else is in its way: a trigger of the application does not let it go.
    if (row.empty() && withdrawal.version && refusal->kind != Refusal::Kind::foreign_key) {
      const QuarantinedRow waiting =
          make_waiting(withdrawal.key, {}, withdrawal.version, refusal->reason);
      let_wait(waiting);
      keep_waiting(waiting);
      refused_now_.insert(encoded(key));
      return;
    }
  }
  held_.push_back(std::move(withdrawal));
}

/// Came in this session, and does not go on.
QuarantinedRow TableApplier::make_waiting(Row key, Row row, const std::optional<Version>& version,
                                          const std::string& reason) {
  return {.key = std::move(key),
          .row = std::move(row),
          .version = version,
          .reason = reason,
          .source = context_.source.name(),
          .session_id = context_.session_id,
          .since_us = target_.clock_us()};
}

/// It waits when the pull has ended, too.
void TableApplier::keep_waiting(const QuarantinedRow& waiting) {
  ++counts_.quarantined;
  context_.conflicts.tell_waiting(table_.spec.name, waiting);
}

void TableApplier::learn() {
  const TableState& source = context_.source_state;
  if (compare::is_joining(rules_context_)) state_.baseline = source.baseline;
  state_.knowledge.merge(source.knowledge);
  state_.forgotten.merge(source.forgotten);
  state_.clock_floor_us = std::max(state_.clock_floor_us, source.clock_floor_us);
  state_.baselines_seen.insert(source.baselines_seen.begin(), source.baselines_seen.end());
}

void TableApplier::compare(const ChangedRow& incoming, const LocalRow& local) {
  const bool equal = incoming.present == local.present &&
                     (!incoming.present || identical(incoming.row, to_views(local.row)));
  act(context_.rules.receive(rules_context_, side_of(incoming), side_of(local), equal,
                             incoming.revert),
      incoming, local, equal);
}

/// The change is decided about, or need not be; only the row cannot be written.
void TableApplier::pass_over(const ChangedRow& incoming, const std::optional<Version>& version) {
  if (!version) throw needs_locked_row();
  locked_.insert(encoded(incoming.key));
  QuarantinedRow waiting = make_waiting(to_row(incoming.key), to_row(incoming.row), version,
                                        "another transaction locks the row that it is to change");
  waiting.locked = true;
  waiting.met = change_of(target_.find(table_, incoming.key).version);
  let_wait(waiting);
  ++counts_.locked;
  keep_waiting(waiting);
}

/// The row is locked still, so that `row` cannot be written: what waits goes on waiting.
bool TableApplier::stays_locked(const QuarantinedRow& waiting, RowView row) {
  const auto key = to_views(waiting.key);
  if (locked_.contains(encoded(key))) return true;
  if (!waiting.locked || !passes_over(context_.locked_rows) ||
      !target_.is_row_locked(table_, key, row)) {
    return false;
  }
  locked_.insert(encoded(key));
  ++counts_.locked;
  keep_waiting(waiting);
  return true;
}

/// Whoever locked the row has written it, and is earlier than what waited for that.
void TableApplier::note_unseen(QuarantinedRow& waiting, const LocalRow& local) {
  if (!waiting.locked || change_of(local.version) == waiting.met) return;
  waiting.met = change_of(local.version);
  const auto key = to_views(waiting.key);
  log(waiting.present() && local.present ? ConflictType::update_differs
      : waiting.present()                ? ConflictType::update_deleted
                                         : ConflictType::delete_updated,
      ConflictStatus::resolved, key, waiting_side(waiting), target_side(local));
}

/// What is to become of the row for the sake of another one is not decided before the change that
/// waits for it has its say: it may take it out of the way, or be later.
void TableApplier::require_settled(RowView key) {
  if (!passes_over(context_.locked_rows)) return;
  if (locked_.contains(encoded(key))) throw needs_locked_row();
  const auto waiting = find_waiting(key);
  if (waiting && waiting->locked && target_.is_row_locked(table_, key, to_views(waiting->row))) {
    throw needs_locked_row();
  }
}

RowLocked TableApplier::needs_locked_row() const {
  return RowLocked(where() + "another transaction holds a lock on a row on which others depend",
                   "end that transaction, then run the session again");
}

void TableApplier::refused(const ChangedRow& incoming, const Refusal& refusal) {
  // The tombstone of a row that cannot be here has nothing to delete but one that waits.
  if (!incoming.present && refusal.kind == Refusal::Kind::type) {
    delete_waiting(incoming);
    return;
  }
  if (refusal.kind == Refusal::Kind::locked) {
    const LocalRow local = target_.find(table_, incoming.key);
    locked_.insert(encoded(incoming.key));
    // Where nothing has to be written for it, the lock does not matter.
    const bool known = !local.version || context_.source_state.knowledge.covers(*local.version);
    if (known && !incoming.revert) {
      write(incoming, local.present, incoming.version);
    } else if (incoming.revert || local.version != incoming.version) {
      compare(incoming, local);
    }
    return;
  }
  if (!incoming.present) {
    withdrawals_.push_back({.key = to_row(incoming.key), .version = incoming.version});
    return;
  }
  park(incoming.key, incoming.row, incoming.version, refusal);
}

void TableApplier::pair(const ChangedRow* incoming, const ChangedRow* local, bool equal) {
  // Judged with what waits in its place.
  if (!waiting_keys_.empty() && incoming == nullptr &&
      waiting_keys_.contains(encoded(local->key))) {
    return;
  }
  Verdict verdict{.equal = equal,
                  .local_present = local != nullptr && local->present,
                  .target_only = incoming == nullptr};
  if (incoming != nullptr) {
    const compare::Side local_side = local != nullptr ? side_of(*local) : compare::Side{};
    verdict.decision = context_.rules.receive(rules_context_, side_of(*incoming), local_side, equal,
                                              incoming->revert);
    if (equal && incoming->present) ++counts_.adopted;
  } else {
    verdict.decision = context_.rules.only_at_target(rules_context_, side_of(*local));
  }
  if (verdict.decision == compare::Decision{}) return;
  if (incoming != nullptr) {
    verdict_rows_->add(*incoming);
  } else {
    verdict_rows_->add({.key = local->key});
  }
  verdicts_.push_back(verdict);
}

// A row that waits here is what this node has of its key, as if it were in the table.
void TableApplier::apply_contested(const std::vector<ContestedRow>& rows,
                                   const std::set<Row, KeyOrder>& waiting) {
  for (const ContestedRow& row : rows) {
    const auto key = to_views(row.key);
    const auto image = to_views(row.row);
    waiting_keys_.erase(encoded(key));
    settle_with_waiting({.key = key,
                         .row = image,
                         .present = row.present,
                         .version = row.version,
                         .revert = row.revert});
  }
  judge_lone_waiting(waiting);
}

void TableApplier::settle_with_waiting(const ChangedRow& incoming) {
  const LocalRow local = target_.find(table_, incoming.key);
  auto waiting = find_waiting(incoming.key);
  if (!waiting || drop_overtaken(*waiting, local)) {
    compare(incoming, local);
    return;
  }
  note_unseen(*waiting, local);
  Verdict verdict{.local_present = local.present};
  verdict.equal =
      incoming.present == waiting->present() && identical(incoming.row, to_views(waiting->row));
  verdict.decision = context_.rules.receive(
      rules_context_, side_of(incoming),
      {.present = waiting->present(), .version = waiting->version}, verdict.equal, incoming.revert);
  act_on_waiting(verdict, incoming, std::move(*waiting));
}

/// Those that a full compare met nowhere at the source.
void TableApplier::judge_lone_waiting(const std::set<Row, KeyOrder>& keys) {
  for (const Row& owned_key : keys) {
    const auto key = to_views(owned_key);
    if (waiting_keys_.erase(encoded(key)) == 0) continue;
    const LocalRow local = target_.find(table_, key);
    auto waiting = find_waiting(key);
    if (waiting && !drop_overtaken(*waiting, local)) {
      note_unseen(*waiting, local);
      Verdict verdict{.local_present = local.present, .target_only = true};
      verdict.decision = context_.rules.only_at_target(
          rules_context_, {.present = waiting->present(), .version = waiting->version});
      act_on_waiting(verdict, {.key = key}, *waiting);
    } else if (local.present || local.version) {
      act(context_.rules.only_at_target(rules_context_, side_of(local)), {.key = key}, local,
          false);
    }
  }
}

std::unordered_map<std::string, QuarantinedRow>& TableApplier::waiting() {
  if (waiting_) return *waiting_;
  waiting_.emplace();
  if (target_.count_quarantined() == 0) return *waiting_;
  for (QuarantinedRow& row : target_.quarantined(table_)) {
    std::string key = encoded(to_views(row.key));
    waiting_->emplace(std::move(key), std::move(row));
  }
  return *waiting_;
}

std::optional<QuarantinedRow> TableApplier::find_waiting(RowView key) {
  const auto found = waiting().find(encoded(key));
  if (found == waiting().end()) return std::nullopt;
  return found->second;
}

void TableApplier::let_wait(const QuarantinedRow& row) {
  target_.quarantine(table_, row);
  if (waiting_) waiting_->insert_or_assign(encoded(to_views(row.key)), row);
}

void TableApplier::release(RowView key) {
  target_.release_quarantined(table_, key);
  if (waiting_) waiting_->erase(encoded(key));
}

void TableApplier::act_on_waiting(const Verdict& verdict, const ChangedRow& incoming,
                                  QuarantinedRow waiting) {
  const compare::Decision& decision = verdict.decision;
  if (decision.conflict) {
    log_decision(decision, incoming, waiting_side(waiting));
  }
  switch (decision.action) {
    case compare::Action::keep:
      return;
    case compare::Action::take_version:
      waiting.version = incoming.version;
      let_wait(waiting);
      return;
    case compare::Action::take:
    case compare::Action::take_as_new: {
      const std::optional<Version> version = decision.action == compare::Action::take
                                                 ? incoming.version
                                                 : new_version(decision.later_than_us);
      if (verdict.equal) {
        waiting.version = version;
        let_wait(waiting);
      } else if (stays_locked(waiting, incoming.row)) {
        waiting.row = to_row(incoming.row);
        waiting.version = version;
        waiting.source = context_.source.name();
        let_wait(waiting);
      } else {
        release(incoming.key);
        // The delete of a row that cannot be here has nothing else to delete.
        if (!incoming.present && !waiting.fits_types) return;
        write(incoming, verdict.local_present, version);
      }
      return;
    }
    case compare::Action::keep_as_new:
      waiting.version = new_version(decision.later_than_us);
      let_wait(waiting);
      return;
    case compare::Action::forget:
      release(incoming.key);
      write({.key = incoming.key}, verdict.local_present, std::nullopt);
      return;
  }
}

void TableApplier::apply_verdicts() {
  auto& rows = static_cast<Spool&>(*verdict_rows_);
  looks_at_locks_ = passes_over(context_.locked_rows);
  ChangedRow incoming;
  for (const Verdict& verdict : verdicts_) {
    rows.next(incoming);
    LocalRow local{.present = verdict.local_present};
    if (verdict.decision.conflict || verdict.target_only) {
      local = target_.find(table_, incoming.key);
    }
    act(verdict.decision, incoming, local, verdict.equal);
  }
  looks_at_locks_ = false;
  verdicts_.clear();
  verdict_rows_.reset();
}

void TableApplier::act(const compare::Decision& decision, const ChangedRow& incoming,
                       const LocalRow& local, bool equal) {
  if (decision.conflict) log_decision(decision, incoming, target_side(local));
  switch (decision.action) {
    case compare::Action::keep:
      return;
    case compare::Action::take_version:
      target_.put_version(table_, incoming.key, incoming.present, incoming.version);
      return;
    case compare::Action::take:
    case compare::Action::take_as_new: {
      const std::optional<Version> version = decision.action == compare::Action::take
                                                 ? incoming.version
                                                 : new_version(decision.later_than_us);
      if (equal) {
        target_.put_version(table_, incoming.key, incoming.present, version);
      } else {
        write(incoming, local.present, version);
      }
      return;
    }
    case compare::Action::keep_as_new:
      if (!local.version && !table_.spec.uniques.empty()) {
        joined_keys_.insert(encoded(incoming.key));
      }
      target_.put_version(table_, incoming.key, local.present, new_version(decision.later_than_us));
      return;
    case compare::Action::forget:
      write({.key = incoming.key}, local.present, std::nullopt);
      return;
  }
}

void TableApplier::write(const ChangedRow& incoming, bool local_present,
                         const std::optional<Version>& version) {
  if ((!locked_.empty() && locked_.contains(encoded(incoming.key))) ||
      (looks_at_locks_ && local_present &&
       target_.is_row_locked(table_, incoming.key, incoming.row))) {
    pass_over(incoming, version);
    return;
  }
  if (referenced_ && local_present) {
    const bool goes = !incoming.present;
    if (goes ||
        !target_.referrers(table_, to_views(target_.find(table_, incoming.key).row), incoming.row)
             .empty()) {
      withdrawals_.push_back(
          {.key = to_row(incoming.key), .row = to_row(incoming.row), .version = version});
      return;
    }
  }
  if (written_ && incoming.present) written_->insert(encoded(incoming.key));
  if (incoming.present && !table_.spec.foreign_keys.empty() &&
      !target_.missing_parents(table_, incoming.row).empty()) {
    park(incoming.key, incoming.row, version, {.kind = Refusal::Kind::foreign_key});
    return;
  }
  std::optional<Refusal> refusal;
  try {
    refusal = target_.put_row(table_, incoming.key, incoming.row);
  } catch (const Error& error) {
    if (!is_passed_over(error, context_.locked_rows)) throw;
    pass_over(incoming, version);
    return;
  }
  if (refusal) {
    park(incoming.key, incoming.row, version, *refusal);
    return;
  }
  target_.put_version(table_, incoming.key, incoming.present, version);
  count_write(local_present, incoming.present);
}

void TableApplier::count_write(bool present_before, bool present_after) {
  if (present_after) {
    ++(present_before ? counts_.updated : counts_.inserted);
  } else if (present_before) {
    ++counts_.deleted;
  }
}

/// Later than that, and than whatever was purged here.
Version TableApplier::later_version(std::optional<std::int64_t> later_than_us) {
  return new_version(
      std::max(later_than_us.value_or(state_.clock_floor_us), state_.clock_floor_us));
}

Version TableApplier::new_version(std::optional<std::int64_t> later_than_us) {
  const std::int64_t sequence = state_.sequence() + 1;
  state_.knowledge.raise(state_.origin, sequence);
  return {
      .changed_at_us = std::max<std::int64_t>(0, later_than_us.value_or(state_.clock_floor_us) + 1),
      .origin = state_.origin,
      .sequence = sequence};
}

void TableApplier::park(RowView key, RowView row, const std::optional<Version>& version,
                        const Refusal& refusal) {
  if (refusal.kind == Refusal::Kind::foreign_key) {
    arrivals_.push_back(
        {.key = to_row(key), .row = to_row(row), .version = version, .reason = refusal.reason});
    return;
  }
  if (refusal.kind != Refusal::Kind::unique) {
    QuarantinedRow waiting = make_waiting(to_row(key), to_row(row), version, refusal.reason);
    waiting.fits_types = refusal.kind != Refusal::Kind::type;
    let_wait(waiting);
    ++refused_;
    return;
  }
  parked_.push_back({to_row(key), to_row(row), version, refusal.reason});
}

// Whatever waits here is tried again after everything else of the table is written. The row gets a
// new version: its own is known already to whoever is behind this node, without the row.
void TableApplier::delete_waiting(const ChangedRow& tombstone) {
  if (!tombstone.version) return;
  const auto waiting = find_waiting(tombstone.key);
  if (!waiting) return;
  const bool seen = !waiting->version || context_.source_state.knowledge.covers(*waiting->version);
  if (!seen && !is_later(*tombstone.version, *waiting->version)) return;
  if (!seen) {
    log(ConflictType::delete_updated, ConflictStatus::resolved, tombstone.key,
        source_side(tombstone), waiting_side(*waiting));
  }
  release(tombstone.key);
}

/// The place was taken by a later row. It is one of this node's own, whose author has not seen what
/// waited: what comes from elsewhere was compared with it.
bool TableApplier::drop_overtaken(const QuarantinedRow& waiting, const LocalRow& local) {
  if (!local.version) return false;
  if (waiting.version && !is_later(*local.version, *waiting.version)) return false;
  const auto key = to_views(waiting.key);
  if (!context_.mirror) {  // where the row is set back in the next comparison, which tells so
    log(!waiting.version    ? ConflictType::baseline_differs
        : !local.present    ? ConflictType::delete_updated
        : waiting.present() ? ConflictType::update_differs
                            : ConflictType::update_deleted,
        ConflictStatus::resolved, key, target_side(local), waiting_side(waiting));
  }
  release(key);
  return true;
}

void TableApplier::retry_quarantined() {
  if (refused_ == 0 && target_.count_quarantined() == 0) return;
  for (QuarantinedRow& waiting : target_.quarantined(table_)) {
    const auto key = to_views(waiting.key);
    const auto row = to_views(waiting.row);
    LocalRow local = target_.find(table_, key);
    if (drop_overtaken(waiting, local) || stays_locked(waiting, row)) continue;
    note_unseen(waiting, local);
    if (!waiting.present()) {
      retry_delete(waiting, std::move(local));
      continue;
    }
    const Arrival arrival{.key = waiting.key,
                          .row = waiting.row,
                          .version = waiting.version,
                          .reason = waiting.reason,
                          .from_quarantine = true};
    if (!target_.missing_parents(table_, row).empty()) {
      arrivals_.push_back(arrival);
    } else if (!try_to_take_in(arrival)) {
      keep_waiting(waiting);
    }
  }
}

void TableApplier::retry_delete(const QuarantinedRow& waiting, LocalRow local) {
  const auto key = to_views(waiting.key);
  const auto version = [&] { return later_version(waiting.version->changed_at_us); };
  if (local.present && !target_.referrers(table_, to_views(local.row), {}).empty()) {
    release(key);
    withdraw({.key = waiting.key, .row = {}, .version = version(), .local = std::move(local)});
    return;
  }
  if (refused_now_.contains(encoded(key))) return;
  bool refused = true;
  try {
    refused = target_.put_row(table_, key, {}).has_value();
  } catch (const Error& error) {
    if (!is_passed_over(error, context_.locked_rows)) throw;
    ++counts_.locked;
  }
  if (refused) {
    keep_waiting(waiting);
    return;
  }
  target_.put_version(table_, key, false, version());
  release(key);
  count_write(local.present, false);
}

bool TableApplier::try_to_take_in(const Arrival& arrival) {
  try {
    return !take_in(arrival);
  } catch (const Error& error) {
    if (!is_passed_over(error, context_.locked_rows)) throw;
    ++counts_.locked;
    return false;
  }
}

std::vector<Row> TableApplier::orphans() {
  if (!applied_ || table_.spec.foreign_keys.empty()) return {};
  const bool whole = written_.has_value() || filled_;
  std::vector<Row> keys = target_.orphans(table_, whole ? nullptr : &known_before_);
  // What was without a parent before is the application's own affair.
  if (written_) {
    std::erase_if(keys,
                  [this](const Row& key) { return !written_->contains(encoded(to_views(key))); });
  }
  return keys;
}

bool TableApplier::is_quarantined(RowView key) { return waiting().contains(encoded(key)); }

bool TableApplier::is_overtaken(const Withdrawal& withdrawal) {
  const std::optional<Version> now = target_.find(table_, to_views(withdrawal.key)).version;
  return now && now != withdrawal.local.version &&
         (!withdrawal.version || is_later(*now, *withdrawal.version));
}

void TableApplier::note_overtaken(const Withdrawal& withdrawal) {
  if (withdrawal.row.empty()) return;
  const auto key = to_views(withdrawal.key);
  const auto row = to_views(withdrawal.row);
  log(ConflictType::child_exists, ConflictStatus::resolved, key,
      target_side(target_.find(table_, key)),
      source_side({.key = key, .row = row, .present = true, .version = withdrawal.version}));
}

std::optional<Refusal> TableApplier::carry_out(const Withdrawal& withdrawal) {
  const auto key = to_views(withdrawal.key);
  const auto row = to_views(withdrawal.row);
  const LocalRow now = target_.find(table_, key);
  if (is_overtaken(withdrawal)) {
    note_overtaken(withdrawal);
    return std::nullopt;
  }
  if (auto refusal = target_.put_row(table_, key, row)) {
    if (row.empty() || refusal->kind == Refusal::Kind::foreign_key) return refusal;
    park(key, row, withdrawal.version, *refusal);
    return std::nullopt;
  }
  target_.put_version(table_, key, !row.empty(), withdrawal.version);
  count_write(now.present, !row.empty());
  if (!row.empty()) context_.references.suspect(*this, withdrawal.key);
  return std::nullopt;
}

void TableApplier::give_up(const Withdrawal& withdrawal) {
  const std::optional<Refusal> refusal = carry_out(withdrawal);
  if (!refusal) return;
  if (!withdrawal.row.empty()) {
    set_aside({.key = withdrawal.key,
               .row = withdrawal.row,
               .version = withdrawal.version,
               .reason = refusal->reason});
    return;
  }
  throw Error(ExitCode::failed,
              where() + "the row with key " + to_string(to_views(withdrawal.key)) +
                  " has to go, and cannot: " + refusal->reason,
              "nothing was written; delete what refers to the row, then run the session again")
      .logged_as(where() + "a row has to go, and cannot: " + refusal->for_log());
}

std::string TableApplier::where() const {
  return "node " + target_.name() + ": table " + table_.spec.name + ": ";
}

void TableApplier::keep(const Withdrawal& withdrawal, std::optional<std::int64_t> later_than_us) {
  const auto key = to_views(withdrawal.key);
  const auto row = to_views(withdrawal.row);
  ConflictSide loser =
      source_side({.key = key, .row = row, .present = !row.empty(), .version = withdrawal.version});
  log(ConflictType::child_exists, ConflictStatus::resolved, key, target_side(withdrawal.local),
      std::move(loser));
  target_.put_version(table_, key, true, later_version(later_than_us));
}

bool TableApplier::clear_place(RowView key, const Row& row) {
  const auto waiting = find_waiting(key);
  if (!waiting || waiting->row == row) return false;
  const LocalRow local = target_.find(table_, key);
  if (!local.present || drop_overtaken(*waiting, local) || target_.put_row(table_, key, {})) {
    return false;
  }
  target_.put_version(table_, key, false, std::nullopt);
  count_write(true, false);
  return true;
}

void TableApplier::bury(RowView key, const LocalRow& row, const Deletion& deletion) {
  require_settled(key);
  if (clear_place(key, row.row)) return;
  ConflictSide winner =
      side(deletion.type == ConflictType::child_exists ? context_.source : target_, deletion.by,
           false, {});
  ConflictSide loser = side(deletion.type == ConflictType::child_exists ? target_ : context_.source,
                            row.version, true, row.row);
  log(deletion.type, ConflictStatus::resolved, key, std::move(winner), std::move(loser));
  const bool present = target_.find(table_, key).present;
  if (present) {
    if (const auto refusal = target_.put_row(table_, key, {})) {
      throw Error(ExitCode::failed,
                  where() + "the row with key " + to_string(key) +
                      " has to go, and cannot: " + refusal->reason,
                  "nothing was written; delete what refers to the row, then run the session again")
          .logged_as(where() + "a row has to go, and cannot: " + refusal->for_log());
    }
  }
  target_.put_version(table_, key, false, later_version(deletion.later_than_us));
  release(key);
  count_write(present, false);
}

std::optional<Refusal> TableApplier::bring_back(RowView key, RowView row,
                                                std::optional<std::int64_t> later_than_us) {
  require_settled(key);
  const LocalRow local = target_.find(table_, key);
  const Version version = later_version(later_than_us);
  if (auto refusal = target_.put_row(table_, key, row)) {
    if (refusal->kind == Refusal::Kind::foreign_key) return refusal;
    park(key, row, version, *refusal);
  } else {
    target_.put_version(table_, key, true, version);
    count_write(local.present, true);
  }
  log(ConflictType::parent_missing, ConflictStatus::resolved, key,
      side(context_.source, version, true, to_row(row)), target_side(local));
  return std::nullopt;
}

std::optional<Refusal> TableApplier::take_in(const Arrival& arrival) {
  const auto key = to_views(arrival.key);
  const auto row = to_views(arrival.row);
  const LocalRow before = target_.find(table_, key);
  if (auto refusal = target_.put_row(table_, key, row)) {
    if (refusal->kind != Refusal::Kind::unique) return refusal;
    // Who keeps the value is settled with the others that wait for theirs.
    std::optional<Version> version = arrival.version;
    if (arrival.from_quarantine) {
      version = later_version(arrival.version ? std::optional(arrival.version->changed_at_us)
                                              : std::nullopt);
      release(key);
    }
    park(key, row, version, *refusal);
    return std::nullopt;
  }
  if (before.present && referenced_) {
    context_.references.note_replaced(*this, arrival.key, before.row);
  }
  if (written_) written_->insert(encoded(key));
  if (arrival.from_quarantine) {
    const auto later_than =
        arrival.version ? std::optional(arrival.version->changed_at_us) : std::nullopt;
    target_.put_version(table_, key, true, later_version(later_than));
    release(key);
  } else {
    target_.put_version(table_, key, true, arrival.version);
  }
  count_write(before.present, true);
  return std::nullopt;
}

bool TableApplier::take_in_without(const Arrival& arrival,
                                   const std::vector<std::size_t>& missing) {
  Row row = arrival.row;
  for (const std::size_t index : missing) {
    for (const std::string& name : table_.spec.foreign_keys[index].columns) {
      for (std::size_t i = 0; i < row.size(); ++i) {
        if (table_.spec.columns[i].name == name) row[i] = Value::null();
      }
    }
  }
  const auto key = to_views(arrival.key);
  const auto views = to_views(row);
  return key_of(table_.spec, views).front().kind != ValueKind::null &&
         !target_.put_row(table_, key, views);
}

void TableApplier::set_aside(const Arrival& arrival) {
  const auto key = to_views(arrival.key);
  const QuarantinedRow waiting =
      make_waiting(arrival.key, arrival.row, arrival.version, arrival.reason);
  if (!arrival.whole) {
    target_.put_row(table_, key, {});
    target_.put_version(table_, key, false, std::nullopt);
  }
  if (!arrival.from_quarantine) let_wait(waiting);
  keep_waiting(waiting);
}

// Rows that swap unique values refuse each other one by one. So all that wait leave the table
// first, then they come back; who is still refused has met a row that does not move.
void TableApplier::settle_unique() {
  // Settling one row may make others wait in their turn.
  while (!parked_.empty()) settle_unique(std::exchange(parked_, {}));
}

void TableApplier::settle_unique(const std::vector<Parked>& waiting) {
  std::vector<Standing> stood;
  for (const Parked& parked : waiting) stood.push_back(leave_table(to_views(parked.key)));
  // The later version first: whoever keeps a unique value is there before those who lose it.
  std::vector<std::size_t> order(waiting.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&waiting](std::size_t a, std::size_t b) {
    const auto& x = waiting[a].version;
    const auto& y = waiting[b].version;
    if (!x || !y) return x.has_value() && !y.has_value();
    return is_later(*x, *y);
  });
  for (const std::size_t index : order) {
    const Parked& parked = waiting[index];
    const auto key = to_views(parked.key);
    const bool placed =
        !target_.put_row(table_, key, to_views(parked.row)) || settle_rivals(parked);
    if (placed) {
      const std::optional<Version> now = target_.find(table_, key).version;
      const bool overtaken = now && parked.version && is_later(*now, *parked.version);
      target_.put_version(table_, key, true,
                          overtaken ? later_version(now->changed_at_us) : parked.version);
      // What it refers to may have gone while it was out of its table.
      context_.references.suspect(*this, parked.key);
    } else if (stood[index].by_stand_in) {
      take_stand_in_away(parked, stood[index].row);
    }
    count_write(stood[index].present, target_.find(table_, key).present);
  }
}

/// The row lost, and what refers to it kept it from leaving its table.
void TableApplier::take_stand_in_away(const Parked& parked, const Row& before) {
  const auto key = to_views(parked.key);
  const std::optional<Version> tombstone = target_.find(table_, key).version;
  const auto later = context_.references.make_way(
      *this,
      {.key = parked.key,
       .row = {},
       .version = tombstone,
       .local = {.present = true, .row = before, .version = tombstone}},
      false);
  const auto refusal =
      target_.put_row(table_, key, later ? to_views(before) : std::vector<ValueView>());
  if (!refusal) {
    if (later) target_.put_version(table_, key, true, later_version(later));
    return;
  }
  throw Error(ExitCode::failed,
              where() + "the row with key " + to_string(key) +
                  " can neither stay nor go: " + refusal->reason,
              "nothing was written; give it another unique value, then run the session again")
      .logged_as(where() + "a row can neither stay nor go: " + refusal->for_log());
}

TableApplier::Standing TableApplier::leave_table(RowView key) {
  LocalRow local = target_.find(table_, key);
  if (!local.present) return {};
  const auto views = to_views(local.row);
  if (referenced_ && (target_.traits().checks_references || table_.fire_triggers) &&
      !target_.referrers(table_, views, {}).empty()) {
    // The product would delete what refers to it, or refuse: only its unique values go.
    target_.put_row(table_, key, to_views(without_unique_values(local.row)));
    return {.present = true, .by_stand_in = true, .row = std::move(local.row)};
  }
  target_.put_row(table_, key, {});
  if (referenced_) parked_rows_.push_back(std::move(local.row));
  return {.present = true};
}

/// The row with values for the moment in the place of its unique ones.
Row TableApplier::without_unique_values(Row row) {
  ++stand_ins_;
  for (const UniqueSpec& unique : table_.spec.uniques) {
    for (const std::size_t position : unique.columns) {
      if (table_.spec.is_in_key(position)) continue;
      Value& value = row[position];
      if (!table_.spec.columns[position].not_null) {
        value = Value::null();
      } else if (value.view().kind == ValueKind::integer) {
        value = Value::integer(-30'000 + stand_ins_);
      } else if (value.view().kind == ValueKind::text) {
        value = Value::text("~" + std::to_string(stand_ins_));
      }
    }
  }
  return row;
}

// Two rows claim one unique value: the older one becomes a tombstone and goes to the conflict log.
// The tombstone is a new version, so that every node follows, whichever of them meets the two
// first.
/// False when the row lost and is not there.
bool TableApplier::settle_rivals(const Parked& parked) {
  const auto key = to_views(parked.key);
  const auto row = to_views(parked.row);
  const ChangedRow incoming{.key = key, .row = row, .present = true, .version = parked.version};
  if (!held_.empty()) {
    let_held_rivals_go(parked);
    if (!target_.put_row(table_, key, row)) return true;
  }
  const std::vector<Row> rival_keys = target_.unique_rivals(table_, row);
  std::vector<LocalRow> rivals;
  std::vector<std::optional<Version>> rival_versions;
  for (const Row& rival_key : rival_keys) {
    require_settled(to_views(rival_key));
    LocalRow rival = target_.find(table_, to_views(rival_key));
    rival_versions.push_back(rival.version);
    if (joined_keys_.contains(encoded(to_views(rival_key)))) rival.version.reset();
    rivals.push_back(std::move(rival));
  }
  if (rivals.empty()) {
    const std::string refused = " from node " + context_.source.name() +
                                " is refused, and nobody is seen who stands in its way";
    throw Collision(where() + "the row with key " + to_string(key) + refused + ": " + parked.reason,
                    "nothing was written; run the session again, and if it stays so, look at the "
                    "unique indexes of the table, one may read an expression",
                    where() + "a row" + refused);
  }
  const ConflictType type =
      rivals.size() > 1 ? ConflictType::multiple_unique : ConflictType::unique_exists;

  const auto stronger = std::find_if(rivals.begin(), rivals.end(), [&](const LocalRow& rival) {
    return !context_.mirror &&
           !compare::incoming_keeps_unique(rules_context_, side_of(incoming), side_of(rival));
  });
  const auto bury = [&](RowView buried_key, const std::optional<Version>& version) {
    auto later_than = version ? std::optional(version->changed_at_us) : std::nullopt;
    // Its delete may have come already, and wait for what refers to it.
    const Row owned_key = to_row(buried_key);
    for (const Withdrawal& withdrawal : held_) {
      if (withdrawal.key != owned_key || !withdrawal.version) continue;
      later_than = std::max(later_than.value_or(0), withdrawal.version->changed_at_us);
    }
    target_.put_version(table_, buried_key, false, later_version(later_than));
  };
  if (stronger != rivals.end()) {
    log(type, ConflictStatus::resolved, key, target_side(*stronger), source_side(incoming));
    bury(key, parked.version);
    return false;
  }
  if (referenced_) {
    for (std::size_t i = 0; i < rivals.size(); ++i) rivals[i].version = rival_versions[i];
    if (stands_by_its_children(parked, rival_keys, rivals)) return false;
  }
  for (std::size_t i = 0; i < rivals.size(); ++i) {
    const auto rival_key = to_views(rival_keys[i]);
    if (change_held(rival_keys[i])) {
      // As itself, or not until it is settled in its turn.
      if (!parked_.empty() && parked_.back().key == rival_keys[i]) {
        target_.put_row(table_, rival_key, {});
      }
      continue;
    }
    log(type, ConflictStatus::resolved, rival_key, source_side(incoming), target_side(rivals[i]));
    target_.put_row(table_, rival_key, {});
    bury(rival_key, rival_versions[i]);
    ++counts_.deleted;
  }
  if (const std::optional<Refusal> refusal = target_.put_row(table_, key, row)) {
    const std::string refused = " from node " + context_.source.name() + " is refused: ";
    throw Error(ExitCode::failed,
                where() + "the row with key " + to_string(key) + refused + refusal->reason,
                "look at the unique indexes of the table, one may read an expression; nothing was "
                "written")
        .logged_as(where() + "a row" + refused + refusal->for_log());
  }
  return true;
}

/// A rival whose own delete, or other values, came already is no rival once that is done.
void TableApplier::let_held_rivals_go(const Parked& parked) {
  for (const Row& rival : target_.unique_rivals(table_, to_views(parked.row))) {
    for (std::size_t i = 0; i < held_.size(); ++i) {
      if (held_[i].key != rival) continue;
      const Withdrawal withdrawal = held_[i];
      if (!context_.references.make_way(*this, withdrawal, false)) change_held(rival);
      break;
    }
  }
}

/// What came for a row to which nothing refers any more. False when nothing came.
bool TableApplier::change_held(const Row& key) {
  const auto found = std::find_if(held_.begin(), held_.end(), [&](const Withdrawal& withdrawal) {
    return withdrawal.key == key;
  });
  if (found == held_.end() || is_overtaken(*found)) return false;
  const Withdrawal withdrawal = *found;
  held_.erase(found);
  if (!carry_out(withdrawal)) return true;
  held_.push_back(withdrawal);
  return false;
}

/// A rival stays when something that refers to it is later than both: then the incoming row goes.
/// Otherwise what refers to the rivals has gone when this returns false.
bool TableApplier::stands_by_its_children(const Parked& parked, const std::vector<Row>& rival_keys,
                                          const std::vector<LocalRow>& rivals) {
  const auto key = to_views(parked.key);
  const auto row = to_views(parked.row);
  Version gone{.changed_at_us = parked.version ? parked.version->changed_at_us : 0,
               .origin = state_.origin};
  for (const LocalRow& rival : rivals) {
    if (rival.version)
      gone.changed_at_us = std::max(gone.changed_at_us, rival.version->changed_at_us);
  }
  ++gone.changed_at_us;
  for (const bool only_ask : {true, false}) {
    for (std::size_t i = 0; i < rivals.size(); ++i) {
      const auto rival_key = to_views(rival_keys[i]);
      const auto later = context_.references.make_way(
          *this, {.key = rival_keys[i], .row = {}, .version = gone, .local = rivals[i]}, only_ask);
      if (!later) continue;
      log(ConflictType::child_exists, ConflictStatus::resolved, key, target_side(rivals[i]),
          source_side({.key = key, .row = row, .present = true, .version = parked.version}));
      const Version kept = later_version(later);
      target_.put_version(table_, rival_key, true, kept);
      target_.put_version(table_, key, false, later_version(kept.changed_at_us));
      return true;
    }
  }
  return false;
}

void TableApplier::log_decision(const compare::Decision& decision, const ChangedRow& incoming,
                                ConflictSide ours) {
  ConflictSide theirs = source_side(incoming);
  if (!decision.incoming_wins) std::swap(theirs, ours);
  log(*decision.conflict, decision.status, incoming.key, std::move(theirs), std::move(ours));
}

void TableApplier::log(ConflictType type, ConflictStatus status, RowView key, ConflictSide winner,
                       ConflictSide loser) {
  Conflict conflict;
  conflict.table = table_.spec.name;
  for (const ColumnSpec& column : table_.spec.columns) conflict.columns.push_back(column.name);
  conflict.key_columns = table_.spec.key;
  conflict.key = to_row(key);
  conflict.type = type;
  conflict.policy = context_.policy;
  conflict.status = status;
  conflict.winner = std::move(winner);
  conflict.loser = std::move(loser);
  context_.conflicts.keep(std::move(conflict), counts_);
}

ConflictSide TableApplier::side(const Node& node, const std::optional<Version>& version,
                                bool present, Row row) const {
  return {.node = version ? target_.origin_name(version->origin) : node.name(),
          .version = version,
          .present = present,
          .row = std::move(row)};
}

ConflictSide TableApplier::source_side(const ChangedRow& row) const {
  return side(context_.source, row.version, row.present, to_row(row.row));
}

ConflictSide TableApplier::waiting_side(const QuarantinedRow& waiting) {
  return {.node = waiting.source,
          .version = waiting.version,
          .present = waiting.present(),
          .row = waiting.row};
}

ConflictSide TableApplier::target_side(const LocalRow& row) const {
  return side(target_, row.version, row.present, row.row);
}

}  // namespace tidemark::apply
