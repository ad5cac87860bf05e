// Which rows stay when references between rows are broken: a pure function over the rows involved.
// Sites that know nothing of each other may delete a row and add another that refers to it. The
// rule follows from the order of versions alone, so every node that sees the same rows comes to the
// same end: see DESIGN.md, "Constraints".
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "model/version.h"

namespace tidemark::compare {

/// One row: present, or gone but referred to.
struct ReferringRow {
  /// Not present: the row was deleted or is about to be; `version` is then that of the delete, none
  /// where nobody remembers it.
  bool present = true;
  std::optional<Version> version;
  bool outside = false;              // not in the session's tables: it can neither go nor wait
  bool can_be_held = true;           // its values are known and nothing else keeps it away
  std::vector<std::size_t> parents;  // positions of the rows that it refers to
};

enum class Fate : std::uint8_t {
  stays,  // or comes back
  goes,   // or stays away
  waits,  // is as new as it need be, but a row that it refers to cannot be had here
};

struct RowFate {
  Fate fate = Fate::stays;
  /// What a version that expresses the fate must be later than: the latest of all that speak for
  /// the row or against it. None where there is no version among them.
  std::optional<std::int64_t> later_than_us;
  /// The latest delete that speaks against the row.
  std::optional<Version> deleted_by;
};

/// A row that is later than the delete of a row that it refers to brings that row back; one that is
/// earlier goes with it; both for as far as references go. `mirror`: nothing but a row outside
/// brings another back.
std::vector<RowFate> judge(const std::vector<ReferringRow>& rows, bool mirror);

}  // namespace tidemark::compare
