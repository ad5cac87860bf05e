// The decisions of a pull, case by case. The simulation checks that they work together; these say
// what each one is.
#include "compare/decide.h"

#include <doctest/doctest.h>

using namespace tidemark;           // NOLINT(google-build-using-namespace)
using namespace tidemark::compare;  // NOLINT(google-build-using-namespace)

namespace {

Uuid uuid(std::uint8_t last) {
  Uuid result;
  result.bytes[15] = last;
  return result;
}

const OriginId kA = uuid(1);
const OriginId kB = uuid(2);

/// Two nodes with one baseline: A is the source and the job's first node, B the target.
struct Meeting {
  TableState source;
  TableState target;

  Meeting() {
    source.origin = kA;
    source.knowledge.raise(kA, 0);
    source.baseline = kA;
    source.baselines_seen = {kA};
    target.origin = kB;
    target.knowledge.raise(kB, 0);
    target.baseline = kA;
    target.baselines_seen = {kA, kB};
  }

  PullContext context(Policy policy = Policy::latest, bool mirror = false) const {
    return {.source = source, .target = target, .mirror = mirror, .policy = policy};
  }
};

Side row(std::int64_t changed_at, const OriginId& origin, std::int64_t sequence) {
  return {.present = true,
          .version = Version{.changed_at_us = changed_at, .origin = origin, .sequence = sequence}};
}

Side tombstone(std::int64_t changed_at, const OriginId& origin, std::int64_t sequence) {
  Side side = row(changed_at, origin, sequence);
  side.present = false;
  return side;
}

const Side kUnversionedRow{.present = true, .version = std::nullopt};
const Side kNothing{.present = false, .version = std::nullopt};

}  // namespace

TEST_CASE("a version that the source's author had seen is replaced without a conflict") {
  Meeting meeting;
  meeting.source.knowledge.raise(kB, 5);
  const Decision decision = receive(meeting.context(), row(10, kA, 1), row(99, kB, 5), false);
  CHECK(decision.action == Action::take);
  CHECK_FALSE(decision.conflict);
}

TEST_CASE("of two versions that nobody had seen the later wins, and the conflict is logged") {
  const Meeting meeting;
  const Decision later = receive(meeting.context(), row(20, kA, 1), row(10, kB, 1), false);
  CHECK(later.action == Action::take);
  CHECK(later.conflict == ConflictType::update_differs);
  CHECK(later.incoming_wins);
  const Decision earlier = receive(meeting.context(), row(5, kA, 1), row(10, kB, 1), false);
  CHECK(earlier.action == Action::keep);
  CHECK(earlier.conflict == ConflictType::update_differs);
  CHECK_FALSE(earlier.incoming_wins);
}

TEST_CASE("ties of the clock go to the greater origin") {
  const Meeting meeting;
  CHECK_FALSE(receive(meeting.context(), row(10, kA, 1), row(10, kB, 1), false).incoming_wins);
}

TEST_CASE("equal rows are no conflict, the later version stays") {
  const Meeting meeting;
  CHECK(receive(meeting.context(), row(20, kA, 1), row(10, kB, 1), true) ==
        Decision{.action = Action::take_version});
  CHECK(receive(meeting.context(), row(5, kA, 1), row(10, kB, 1), true) == Decision{});
}

TEST_CASE("conflicts have the names of the field") {
  const Meeting meeting;
  CHECK(receive(meeting.context(), row(9, kA, 1), tombstone(5, kB, 1), false).conflict ==
        ConflictType::update_deleted);
  CHECK(receive(meeting.context(), tombstone(9, kA, 1), row(5, kB, 1), false).conflict ==
        ConflictType::delete_updated);
  Side here = row(9, kA, 1);
  Side there = row(5, kB, 1);
  here.version->inserted = there.version->inserted = true;
  CHECK(receive(meeting.context(), here, there, false).conflict == ConflictType::insert_exists);
}

TEST_CASE("a policy that goes against the order of versions writes a new version") {
  const Meeting meeting;
  const Decision taken =
      receive(meeting.context(Policy::earliest), row(5, kA, 1), row(10, kB, 1), false);
  CHECK(taken.action == Action::take_as_new);
  CHECK(taken.later_than_us == 10);
  const Decision kept =
      receive(meeting.context(Policy::earliest), row(15, kA, 1), row(10, kB, 1), false);
  CHECK(kept.action == Action::keep_as_new);
  CHECK(kept.later_than_us == 15);
  const Decision first =
      receive(meeting.context(Policy::first_node), row(5, kA, 1), row(10, kB, 1), false);
  CHECK(first.action == Action::take_as_new);
}

TEST_CASE("a manual conflict follows the latest and stays open") {
  const Meeting meeting;
  const Decision decision =
      receive(meeting.context(Policy::manual), row(20, kA, 1), row(10, kB, 1), false);
  CHECK(decision.action == Action::take);
  CHECK(decision.status == ConflictStatus::open);
}

TEST_CASE("what the target knows already is never taken again") {
  Meeting meeting;
  meeting.target.knowledge.raise(kA, 7);
  CHECK(receive(meeting.context(), row(99, kA, 7), row(10, kB, 1), false) == Decision{});
  CHECK(receive(meeting.context(), row(99, kA, 7), kNothing, false) == Decision{});
}

TEST_CASE("rows from before activation join by key") {
  Meeting meeting;
  meeting.target.baseline = kB;
  meeting.target.baselines_seen = {kB};
  CHECK(is_joining(meeting.context()));
  CHECK(receive(meeting.context(), kUnversionedRow, kUnversionedRow, true) == Decision{});
  CHECK(receive(meeting.context(), kUnversionedRow, kNothing, false) ==
        Decision{.action = Action::take});
  const Decision differs = receive(meeting.context(), kUnversionedRow, kUnversionedRow, false);
  CHECK(differs.action == Action::take);
  CHECK(differs.conflict == ConflictType::baseline_differs);
  CHECK(only_at_target(meeting.context(), kUnversionedRow) ==
        Decision{.action = Action::keep_as_new});
}

TEST_CASE("a joiner that is the job's first node keeps its row as a new version") {
  Meeting meeting;
  meeting.target.baseline = kB;
  meeting.target.baselines_seen = {kB};
  PullContext context{.source = meeting.source, .target = meeting.target, .source_is_first = false};
  const Decision decision = receive(context, kUnversionedRow, kUnversionedRow, false);
  CHECK(decision.action == Action::keep_as_new);
  CHECK_FALSE(decision.incoming_wins);
}

TEST_CASE("a row that the source once had and forgot is forgotten") {
  Meeting meeting;
  meeting.source.knowledge.raise(kB, 3);
  CHECK(only_at_target(meeting.context(), row(10, kB, 3)) == Decision{.action = Action::forget});
  CHECK(only_at_target(meeting.context(), row(10, kB, 4)) == Decision{});
}

TEST_CASE("a row that may be the victim of a forgotten tombstone is revived and logged") {
  Meeting meeting;
  meeting.target.forgotten.raise(uuid(3), 8);
  meeting.target.clock_floor_us = 50;
  CHECK_FALSE(can_apply_known(meeting.context(), false));
  const Decision decision = receive(meeting.context(), row(40, kA, 1), kNothing, false);
  CHECK(decision.action == Action::take_as_new);
  CHECK(decision.conflict == ConflictType::revived);
  // Above the clock floor, so above any tombstone of the key that a third node may still hold.
  CHECK_FALSE(decision.later_than_us);
}

TEST_CASE("a row that only the target has is revived where a tombstone may have been forgotten") {
  Meeting meeting;
  meeting.target.clock_floor_us = 50;
  // Nothing was forgotten that the two do not know: the row is sent as a change later.
  CHECK(only_at_target(meeting.context(), row(40, kA, 1)) == Decision{});
  meeting.target.forgotten.raise(uuid(3), 8);
  const Decision decision = only_at_target(meeting.context(), row(40, kA, 1));
  CHECK(decision.action == Action::keep_as_new);
  CHECK(decision.conflict == ConflictType::revived);
  CHECK_FALSE(decision.later_than_us);
  // Changed after anything that was forgotten.
  CHECK(only_at_target(meeting.context(), row(60, kA, 1)) == Decision{});
}

TEST_CASE("a backup of which one node went back in time compares everything") {
  Meeting meeting;
  CHECK_FALSE(needs_full_compare(meeting.context()));
  PullContext context = meeting.context();
  context.mirror = true;
  context.was_restored = true;
  CHECK(needs_full_compare(context));
}

TEST_CASE("of two baselines the empty node joins, else the one with the greater id") {
  CHECK(choose_joiner({kA, true}, {kB, false}) == Joiner::first);
  CHECK(choose_joiner({kA, false}, {kB, true}) == Joiner::second);
  CHECK(choose_joiner({kA, false}, {kB, false}) == Joiner::second);
  CHECK(choose_joiner({kB, false}, {kA, false}) == Joiner::first);
  CHECK(choose_joiner({kA, true}, {kA, false}) == Joiner::second);
}

TEST_CASE("in a backup the source wins against a later change of the target, which is logged") {
  const Meeting meeting;
  const Decision decision =
      receive(meeting.context(Policy::latest, true), row(5, kA, 1), row(10, kB, 1), false);
  CHECK(decision.action == Action::take_as_new);  // versions of a row never go back
  CHECK(decision.later_than_us == 10);
  CHECK(decision.conflict == ConflictType::target_changed);
  CHECK(decision.incoming_wins);
}

TEST_CASE("in a backup a row of the target that was compared before is no conflict again") {
  Meeting meeting;
  meeting.target.mirrored_sequence = 1;
  const Decision decision =
      receive(meeting.context(Policy::latest, true), row(20, kA, 1), row(10, kB, 1), false);
  CHECK(decision == Decision{.action = Action::take});
}

TEST_CASE("in a backup a key that only the target has becomes a tombstone and is logged") {
  Meeting meeting;
  const Decision decision = only_at_target(meeting.context(Policy::latest, true), row(10, kB, 1));
  CHECK(decision.action == Action::take_as_new);
  CHECK(decision.conflict == ConflictType::target_changed);
}

TEST_CASE("the later of two rows keeps a unique value, any version beats none") {
  const Meeting meeting;
  CHECK(incoming_keeps_unique(meeting.context(), row(20, kA, 1), row(10, kB, 1)));
  CHECK_FALSE(incoming_keeps_unique(meeting.context(), row(5, kA, 1), row(10, kB, 1)));
  CHECK(incoming_keeps_unique(meeting.context(), row(5, kA, 1), kUnversionedRow));
  CHECK_FALSE(incoming_keeps_unique(meeting.context(), kUnversionedRow, row(5, kB, 1)));
  CHECK(incoming_keeps_unique(meeting.context(), kUnversionedRow, kUnversionedRow));
}
