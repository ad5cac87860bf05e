// The id of a conflict decides whether it is logged once more.
#include <doctest/doctest.h>

#include <utility>

#include "model/change.h"

using namespace tidemark;

namespace {

Conflict conflict_of(const ConflictSide& winner, const ConflictSide& loser) {
  Conflict conflict;
  conflict.table = "item";
  conflict.key = {Value::integer(3)};
  conflict.winner = winner;
  conflict.loser = loser;
  return conflict;
}

ConflictSide side(const char* value, std::optional<Version> version) {
  return {.node = "node",
          .version = version,
          .present = true,
          .row = {Value::integer(3), Value::text(value)}};
}

}  // namespace

TEST_CASE("two versions make one conflict, whoever wins") {
  const ConflictSide one = side("one", Version{.changed_at_us = 1, .sequence = 1});
  const ConflictSide two = side("two", Version{.changed_at_us = 2, .sequence = 2});
  CHECK(conflict_id(conflict_of(one, two)) == conflict_id(conflict_of(two, one)));
}

// Node e lost "theirs" to "mine" when it joined d, and "mine" to "theirs" of a third node later:
// with one id for both the second loss was never logged.
TEST_CASE("two rows without versions make another conflict when the other one wins") {
  const ConflictSide one = side("mine", std::nullopt);
  const ConflictSide two = side("theirs", std::nullopt);
  CHECK(conflict_id(conflict_of(one, two)) == conflict_id(conflict_of(one, two)));
  CHECK(conflict_id(conflict_of(one, two)) != conflict_id(conflict_of(two, one)));
}
