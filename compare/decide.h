// The decisions of a pull, as pure functions: what two nodes know and hold of one key goes in, what
// the target must do comes out. No I/O, no clock, no logging. They follow DESIGN.md, "Versions,
// knowledge, conflicts" and "Deletes that stay deleted".
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "compare/references.h"
#include "model/change.h"
#include "model/version.h"

namespace tidemark::compare {

/// What both sides know of a table when a pull begins. Holds references; a pull outlives its
/// decisions.
struct PullContext {
  const TableState& source;  // as of the source's snapshot
  const TableState& target;  // after the target's harvest
  bool source_is_first = true;
  bool mirror = false;  // backup: the source always wins
  /// Backup: one of the two went back to an older state since they met, and knows no longer what it
  /// did. The target is compared as a whole and follows the source.
  bool was_restored = false;
  Policy policy = Policy::latest;
};

/// How two nodes meet; follows from their states.
bool is_joining(const PullContext& context);  // their baselines differ
/// The source has forgotten what the target does not know.
bool is_outdated(const PullContext& context);
bool needs_full_compare(const PullContext& context);
/// The source knows, or has forgotten, something that the target has not; of a backup also that the
/// target was changed by itself.
bool has_news(const PullContext& context);
/// Every row that is new to the target may be written without a look at the row that it replaces,
/// unless the target holds a version that the source does not know.
bool can_apply_known(const PullContext& context, bool target_is_empty);

/// Of two nodes with different baselines one is the target of the first pull. `first` is the job's.
enum class Joiner : std::uint8_t { first, second };
struct JoinCandidate {
  const BaselineId& baseline;
  bool empty = false;
};
Joiner choose_joiner(const JoinCandidate& first, const JoinCandidate& second);

/// One side of a key.
struct Side {
  bool present = false;
  std::optional<Version> version;
};

/// What the target's row and version become.
enum class Action : std::uint8_t {
  keep,          // neither changes
  take,          // the incoming row with the incoming version (none: unversioned)
  take_version,  // rows are equal: only the version is taken over
  take_as_new,   // the incoming row, as a new version of the target's own
  keep_as_new,   // the target's row, as a new version of the target's own
  forget,        // row and version are removed: deleted where it came from, tombstone purged there
};

struct Decision {
  Action action = Action::keep;
  /// For *_as_new: the new version's changed_at is this plus one; without it, the clock floor plus
  /// one.
  std::optional<std::int64_t> later_than_us;
  std::optional<ConflictType> conflict;
  bool incoming_wins = false;  // meaningful with `conflict`
  ConflictStatus status = ConflictStatus::resolved;

  friend bool operator==(const Decision&, const Decision&) = default;
};

/// The source sent a key (or a full compare met it there). `equal`: both hold identical rows, or
/// both none. `revert`: mirror mode, the target changed the key by itself and the row is sent to
/// set it back.
Decision receive(const PullContext& context, const Side& incoming, const Side& local, bool equal,
                 bool revert = false);

/// A full compare met a key that the source has neither as a row nor as a tombstone.
Decision only_at_target(const PullContext& context, const Side& local);

/// Two rows with different keys claim one unique value. True when the incoming one keeps it: the
/// later version does, any version before none; among rows without a version the first node's.
bool incoming_keeps_unique(const PullContext& context, const Side& incoming, const Side& rival);

/// The rules as values, so that a test can put a broken twin in place of one.
struct Rules {
  Decision (*receive)(const PullContext&, const Side&, const Side&, bool, bool) = &compare::receive;
  Decision (*only_at_target)(const PullContext&, const Side&) = &compare::only_at_target;
  std::vector<RowFate> (*judge)(const std::vector<ReferringRow>&, bool) = &compare::judge;
};

}  // namespace tidemark::compare
