#include "compare/decide.h"

#include <algorithm>

namespace tidemark::compare {
namespace {

bool knows_baseline(const TableState& state, const BaselineId& baseline) {
  return state.baselines_seen.contains(baseline);
}

Decision take() { return {.action = Action::take}; }

Decision logged(Decision decision, ConflictType type, bool incoming_wins) {
  decision.conflict = type;
  decision.incoming_wins = incoming_wins;
  return decision;
}

/// The field's name for two versions of one row whose authors had not seen each other.
ConflictType type_of(const Side& incoming, const Side& local) {
  if (!local.present) return ConflictType::update_deleted;
  if (!incoming.present) return ConflictType::delete_updated;
  if (incoming.version->inserted && local.version->inserted) return ConflictType::insert_exists;
  return ConflictType::update_differs;
}

bool policy_prefers_incoming(const PullContext& context, bool incoming_is_later) {
  switch (context.policy) {
    case Policy::earliest:
      return !incoming_is_later;
    case Policy::first_node:
      return context.source_is_first;
    case Policy::latest:
    case Policy::manual:  // the latest wins for the time being; the conflict stays open
      break;
  }
  return incoming_is_later;
}

Decision resolve(const PullContext& context, const Side& incoming, const Side& local, bool equal) {
  const bool incoming_is_later = is_later(*incoming.version, *local.version);
  if (equal) return {.action = incoming_is_later ? Action::take_version : Action::keep};
  const bool incoming_wins = policy_prefers_incoming(context, incoming_is_later);
  Decision decision;
  if (incoming_wins == incoming_is_later) {
    decision.action = incoming_wins ? Action::take : Action::keep;
  } else {
    // Against the order of versions: a new version makes every other node follow.
    decision.action = incoming_wins ? Action::take_as_new : Action::keep_as_new;
    decision.later_than_us =
        std::max(incoming.version->changed_at_us, local.version->changed_at_us);
  }
  if (context.policy == Policy::manual) decision.status = ConflictStatus::open;
  return logged(decision, type_of(incoming, local), incoming_wins);
}

Decision receive_unversioned_both(const PullContext& context, const Side& local, bool equal) {
  if (equal) return {};
  if (!local.present) {
    // Seen here once and deleted; the tombstone is purged.
    if (knows_baseline(context.target, context.source.baseline)) return {};
    if (context.source.knowledge.covers(context.target.forgotten)) return take();
    return logged({.action = Action::take_as_new}, ConflictType::revived, true);
  }
  if (knows_baseline(context.source, context.target.baseline)) return take();
  if (context.source_is_first) return logged(take(), ConflictType::baseline_differs, true);
  // Older than any change, newer than any baseline.
  return logged({.action = Action::keep_as_new}, ConflictType::baseline_differs, false);
}

Decision receive_mirrored(const PullContext& context, const Side& incoming, const Side& local,
                          bool equal, bool revert) {
  const bool is_new = incoming.version && !context.target.knowledge.covers(*incoming.version);
  const bool whole = needs_full_compare(context);
  if (!revert && !whole && !is_new) return {};
  if (equal) {
    const bool newer = is_new && (!local.version || is_later(*incoming.version, *local.version));
    return {.action = newer ? Action::take_version : Action::keep};
  }
  Decision decision = take();
  // A version of a row never goes back, whatever the clocks say; and whoever copied the target's
  // own change must be told that it was set back.
  if (local.version && (!is_new || !is_later(*incoming.version, *local.version))) {
    decision.action = Action::take_as_new;
    decision.later_than_us = std::max(local.version->changed_at_us,
                                      incoming.version ? incoming.version->changed_at_us : 0);
  }
  if (!local.version) {
    if (local.present && !knows_baseline(context.source, context.target.baseline)) {
      return logged(decision, ConflictType::baseline_differs, true);
    }
    return decision;
  }
  const bool own_and_compared = local.version->origin == context.target.origin &&
                                local.version->sequence <= context.target.mirrored_sequence;
  if (own_and_compared || context.source.knowledge.covers(*local.version)) return decision;
  return logged(decision, ConflictType::target_changed, true);
}

}  // namespace

bool is_joining(const PullContext& context) {
  return context.source.baseline != context.target.baseline;
}

bool is_outdated(const PullContext& context) {
  return !context.target.knowledge.covers(context.source.forgotten);
}

bool needs_full_compare(const PullContext& context) {
  return is_joining(context) || is_outdated(context) || context.was_restored;
}

bool has_news(const PullContext& context) {
  const TableState& source = context.source;
  const TableState& target = context.target;
  if (needs_full_compare(context)) return true;
  if (context.mirror && target.sequence() > target.mirrored_sequence) return true;
  return !target.knowledge.covers(source.knowledge) || !target.forgotten.covers(source.forgotten) ||
         target.clock_floor_us < source.clock_floor_us ||
         !std::includes(target.baselines_seen.begin(), target.baselines_seen.end(),
                        source.baselines_seen.begin(), source.baselines_seen.end());
}

bool can_apply_known(const PullContext& context, bool target_is_empty) {
  if (!context.source.knowledge.covers(context.target.forgotten)) return false;
  if (!needs_full_compare(context)) return true;
  return target_is_empty && !knows_baseline(context.target, context.source.baseline);
}

Joiner choose_joiner(const JoinCandidate& first, const JoinCandidate& second) {
  if (first.baseline == second.baseline) return Joiner::second;
  if (first.empty != second.empty) return first.empty ? Joiner::first : Joiner::second;
  return second.baseline < first.baseline ? Joiner::first : Joiner::second;
}

Decision receive(const PullContext& context, const Side& incoming, const Side& local, bool equal,
                 bool revert) {
  if (context.mirror) return receive_mirrored(context, incoming, local, equal, revert);
  if (!incoming.version) {
    if (!local.version) return receive_unversioned_both(context, local, equal);
    // Changed here: had its author seen the source's row?
    if (equal || knows_baseline(context.target, context.source.baseline)) return {};
    return logged({}, ConflictType::baseline_differs, false);
  }
  if (context.target.knowledge.covers(*incoming.version)) return {};
  if (!local.version) {
    Decision decision = take();
    if (local.present && !equal && !knows_baseline(context.source, context.target.baseline)) {
      decision = logged(decision, ConflictType::baseline_differs, true);
    }
    const bool may_be_old = incoming.version->changed_at_us <= context.target.clock_floor_us &&
                            !context.source.knowledge.covers(context.target.forgotten);
    if (incoming.present && !local.present && may_be_old) {
      // A tombstone that was purged here may have been this row's, and a third node may still hold
      // it: the new version, which is later than any that was purged, keeps the row everywhere.
      decision.action = Action::take_as_new;
      decision = logged(decision, ConflictType::revived, true);
    }
    return decision;
  }
  if (context.source.knowledge.covers(*local.version)) {
    return {.action = equal ? Action::take_version : Action::take};
  }
  return resolve(context, incoming, local, equal);
}

Decision only_at_target(const PullContext& context, const Side& local) {
  const bool seen = local.version ? context.source.knowledge.covers(*local.version)
                                  : knows_baseline(context.source, context.target.baseline);
  if (seen) return {.action = Action::forget};
  if (context.mirror) {
    if (!local.present) return {};
    Decision decision{.action = Action::take_as_new};
    if (local.version) decision.later_than_us = local.version->changed_at_us;
    return logged(decision, ConflictType::target_changed, true);
  }
  const Decision decision{.action = Action::keep_as_new};
  const bool nothing_forgotten = context.source.knowledge.covers(context.target.forgotten) &&
                                 context.target.knowledge.covers(context.source.forgotten);
  if (nothing_forgotten) {
    // The joiner's own row: older than any change. A change of the target's is sent as one later.
    if (!local.version) return decision;
    return {};
  }
  // The new version is above the clock floor, not just above the row's own: a third node that still
  // holds the purged tombstone must not see the version of the row go back.
  if (!local.version ||
      (local.present && local.version->changed_at_us <= context.target.clock_floor_us)) {
    return logged(decision, ConflictType::revived, false);
  }
  return {};
}

bool incoming_keeps_unique(const PullContext& context, const Side& incoming, const Side& rival) {
  if (incoming.version && rival.version) return is_later(*incoming.version, *rival.version);
  if (incoming.version || rival.version) return incoming.version.has_value();
  return context.source_is_first;
}

}  // namespace tidemark::compare
