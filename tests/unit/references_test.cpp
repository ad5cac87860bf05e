// Which rows stay when references between them are broken, case by case.
#include "compare/references.h"

#include <doctest/doctest.h>

using namespace tidemark;           // NOLINT(google-build-using-namespace)
using namespace tidemark::compare;  // NOLINT(google-build-using-namespace)

namespace {

Version at(std::int64_t changed_at_us, std::uint8_t origin = 1) {
  Version version{.changed_at_us = changed_at_us, .sequence = 1};
  version.origin.bytes[15] = origin;
  return version;
}

ReferringRow row(std::int64_t changed_at_us, std::vector<std::size_t> parents) {
  return {.present = true, .version = at(changed_at_us), .parents = std::move(parents)};
}

ReferringRow deleted(std::int64_t changed_at_us, std::vector<std::size_t> parents = {}) {
  return {.present = false, .version = at(changed_at_us), .parents = std::move(parents)};
}

std::vector<Fate> fates(const std::vector<ReferringRow>& rows, bool mirror = false) {
  std::vector<Fate> result;
  for (const RowFate& fate : judge(rows, mirror)) result.push_back(fate.fate);
  return result;
}

constexpr Fate kStays = Fate::stays;
constexpr Fate kGoes = Fate::goes;
constexpr Fate kWaits = Fate::waits;

}  // namespace

TEST_CASE("a row that is later than the delete of its parent brings the parent back") {
  CHECK(fates({deleted(10), row(20, {0})}) == std::vector{kStays, kStays});
  CHECK(judge({deleted(10), row(20, {0})}, false)[0].later_than_us == 20);
}

TEST_CASE("a row that is earlier than the delete of its parent goes with it") {
  CHECK(fates({deleted(20), row(10, {0})}) == std::vector{kGoes, kGoes});
  const RowFate fate = judge({deleted(20), row(10, {0})}, false)[1];
  CHECK(fate.later_than_us == 20);
  CHECK(fate.deleted_by == at(20));
}

TEST_CASE("at one time the greater origin decides, as everywhere") {
  ReferringRow child = row(10, {0});
  child.version = at(10, 2);
  CHECK(fates({deleted(10), child}) == std::vector{kStays, kStays});
  child.version = at(10, 0);
  CHECK(fates({deleted(10), child}) == std::vector{kGoes, kGoes});
}

TEST_CASE("one late child keeps the parent for its earlier siblings too") {
  CHECK(fates({deleted(10), row(20, {0}), row(5, {0})}) == std::vector{kStays, kStays, kStays});
}

TEST_CASE("a late grandchild keeps all of its line") {
  CHECK(fates({deleted(10), row(5, {0}), row(20, {1})}) == std::vector{kStays, kStays, kStays});
}

TEST_CASE("a grandparent that was deleted later takes all of the line along") {
  CHECK(fates({deleted(30), deleted(10, {0}), row(20, {1})}) == std::vector{kGoes, kGoes, kGoes});
  CHECK(fates({deleted(15), deleted(10, {0}), row(20, {1})}) ==
        std::vector{kStays, kStays, kStays});
}

TEST_CASE("a child whose own delete is later speaks for nobody") {
  ReferringRow child = deleted(20, {0});
  CHECK(fates({deleted(10), child, row(15, {1})}) == std::vector{kGoes, kGoes, kGoes});
}

TEST_CASE("of two parents that were deleted one may be kept and the other not") {
  CHECK(fates({deleted(10), deleted(30), row(20, {0, 1})}) == std::vector{kStays, kGoes, kGoes});
}

TEST_CASE("rows that refer to each other stay or go together") {
  CHECK(fates({deleted(10, {1}), row(5, {0}), row(20, {1})}) ==
        std::vector{kStays, kStays, kStays});
  CHECK(fates({deleted(10, {1}), row(5, {0})}) == std::vector{kGoes, kGoes});
}

TEST_CASE("a row from before activation is earlier than any delete but one nobody remembers") {
  ReferringRow old = row(0, {0});
  old.version.reset();
  CHECK(fates({deleted(10), old}) == std::vector{kGoes, kGoes});
  ReferringRow forgotten = deleted(0);
  forgotten.version.reset();
  CHECK(fates({forgotten, old}) == std::vector{kStays, kStays});
}

TEST_CASE("a row outside of the tables of a job can neither go nor wait: its parent stays") {
  ReferringRow outside{.present = true, .outside = true, .parents = {0}};
  CHECK(fates({deleted(10), outside}) == std::vector{kStays, kStays});
  CHECK(fates({deleted(10), outside}, true) == std::vector{kStays, kStays});
}

TEST_CASE("whoever needs a row that cannot be had here waits, and so does who needs that") {
  ReferringRow missing = deleted(10);
  missing.can_be_held = false;
  CHECK(fates({missing, row(20, {0}), row(30, {1})}) == std::vector{kWaits, kWaits, kWaits});
  CHECK(fates({missing, row(5, {0})}) == std::vector{kGoes, kGoes});
}

TEST_CASE("in a backup nothing of the target brings a row back") {
  CHECK(fates({deleted(10), row(20, {0})}, true) == std::vector{kGoes, kGoes});
}
