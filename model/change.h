// What travels between nodes and what is written about it: a changed row, the local side it meets,
// a conflict with both sides, and the record of a session.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/value.h"
#include "model/version.h"

namespace tidemark {

/// One row as a stream hands it out. The views are valid until the stream moves on.
struct ChangedRow {
  RowView key;
  RowView row;                     // empty unless `present`
  bool present = false;            // false: the row is absent; with a version that is a tombstone
  std::optional<Version> version;  // none: the row belongs to the source's baseline
  /// Must be compared with what the target holds, never written unseen: in mirror mode a key that
  /// the target changed by itself and that is to be set back.
  bool revert = false;
};

/// A pull-style stream of rows in KeyOrder. One pass, one user.
class RowStream {
 public:
  virtual ~RowStream() = default;
  /// False at the end; `row` is then unchanged. Throws Error when the node fails.
  virtual bool next(ChangedRow& row) = 0;
};

/// The target's side of a key: owned, because it outlives statements.
struct LocalRow {
  bool present = false;
  Row row;
  std::optional<Version> version;
};

enum class ConflictType : std::uint8_t {
  insert_exists,
  update_differs,
  update_deleted,
  delete_updated,
  baseline_differs,
  target_changed,
  unique_exists,
  multiple_unique,
  parent_missing,
  child_exists,
  revived,
  discarded,  // a row that waited in quarantine, given up by hand
};
std::string_view to_string(ConflictType type);
std::optional<ConflictType> parse_conflict_type(std::string_view text);

enum class Policy : std::uint8_t { latest, earliest, first_node, manual };
std::string_view to_string(Policy policy);
std::optional<Policy> parse_policy(std::string_view text);

enum class ConflictStatus : std::uint8_t {
  open,        // policy manual: waits for reinstate or dismiss
  resolved,    // the policy decided
  reinstated,  // the loser was written back
  dismissed,
};
std::string_view to_string(ConflictStatus status);
std::optional<ConflictStatus> parse_conflict_status(std::string_view text);

struct ConflictSide {
  std::string node;                // configured name of the node whose row this is
  std::optional<Version> version;  // none: a row from before activation
  bool present = false;            // false: the side is a delete
  Row row;                         // full image, columns as in Conflict::columns
};

struct Conflict {
  std::string id;  // 32 hexadecimal digits: a hash of table, key and both sides
  std::string session_id;
  std::string job;
  std::int64_t found_at_us = 0;
  std::string table;
  std::vector<std::string> columns;
  std::vector<std::size_t> key_columns;
  Row key;
  ConflictType type = ConflictType::update_differs;
  Policy policy = Policy::latest;
  ConflictStatus status = ConflictStatus::resolved;
  ConflictSide winner;
  ConflictSide loser;
};

/// 32 hexadecimal digits.
std::string hash_id(std::string_view text);

/// Sets the id: the same for the same table, key and pair of versions, whichever node meets them
/// and whoever is called winner.
std::string conflict_id(const Conflict& conflict);

/// A row that its target could not hold or, as an empty one, not let go, or a change whose row
/// another transaction of the target locked: kept there until it can be written.
struct QuarantinedRow {
  Row key;
  Row row;                         // empty: a delete
  std::optional<Version> version;  // none: a row from before activation
  std::string reason;              // the engine's words
  std::string source;              // configured name of the node that sent it
  std::string session_id;
  std::int64_t since_us = 0;
  bool fits_types = true;  // another constraint than the types of its columns is in its way
  bool locked = false;     // nothing but the lock of another transaction was in its way
  /// Then: the change that the row in the table had (origin and sequence of its version). Another
  /// one there has not seen what waits.
  std::optional<ChangeId> met = {};

  bool present() const { return !row.empty(); }
};

/// What one pull did to one table of its target.
struct PullCounts {
  std::int64_t received = 0;  // rows and tombstones that arrived
  std::int64_t inserted = 0;
  std::int64_t updated = 0;
  std::int64_t deleted = 0;
  std::int64_t adopted = 0;  // equal rows that were met in a full compare and not copied
  std::int64_t conflicts = 0;
  std::int64_t quarantined = 0;  // rows that wait after it because the target cannot hold them
  /// Those of them whose rows other transactions lock. Told by the pull, not kept in its record.
  std::int64_t locked = 0;

  PullCounts& operator+=(const PullCounts& other);
  std::int64_t changed() const { return inserted + updated + deleted; }
};

/// Kept on the target in the transaction that changed its rows: proof that the pull happened.
struct SessionRecord {
  std::string session_id;  // shared by the pulls of one session
  std::string job;
  std::string source;  // configured node names
  std::string target;
  NodeId source_id;
  std::int64_t started_at_us = 0;
  std::int64_t finished_at_us = 0;
  std::string mode;                          // "two-way" or "backup"
  std::map<std::string, PullCounts> tables;  // only those with something to tell
};

}  // namespace tidemark
