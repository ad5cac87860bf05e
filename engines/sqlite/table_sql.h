// TableSql writes the statements that move rows of one table: texts only, made from the catalog.
// Control tables call the key columns k1, k2 ..., so that no name of the application can be in the
// way. The parameters of every statement are named in its comment.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "engines/sqlite/catalog.h"
#include "model/table.h"

namespace tidemark::sqlite {

std::string log_table(std::int64_t id);
std::string version_table(std::int64_t id);
std::string recent_table(std::int64_t id);

class TableSql {
 public:
  explicit TableSql(const TableSpec& spec, std::int64_t id = 0) : spec_(spec), id_(id) {}

  // Pieces.
  std::string table() const;
  /// `"a", "b"`, each with `prefix` in front.
  std::string columns(const std::string& prefix = {}) const;
  /// `"a", "b"` of the key.
  std::string key_columns(const std::string& prefix = {}) const;
  /// `k1, k2`, each with `prefix` in front.
  std::string control_key(const std::string& prefix = {}) const;
  /// The key as terms of ORDER BY and ON CONFLICT, with its collations.
  std::string key_terms(const std::string& prefix = {}) const;
  /// Key columns equal to parameters that start at `first`.
  std::string key_is(int first) const;
  std::string control_key_is(int first) const;
  /// Key columns of the table under `prefix` equal to the control key under `other`.
  std::string key_is_control(const std::string& prefix, const std::string& other) const;
  /// No key column is NULL; empty if none can be.
  std::string key_is_whole(const std::string& prefix = {}) const;
  std::string control_key_has_null() const;
  /// `?1, ?2 ...`
  static std::string parameters(int first, std::size_t count);

  // Data rows.
  /// ?1.. all columns, then a Counter that counts updates.
  std::string upsert_row() const;
  /// ?1.. all columns.
  std::string insert_row() const;
  /// ?1.. all columns, then the key.
  std::string update_row() const;
  /// Writes all columns but those in `kept`, of a row that holds these and its key as they came.
  /// Empty where nothing is left to write or a key may be equal and yet come as another value.
  /// ?1.. all columns, then the key.
  std::string update_row_but(const std::set<std::size_t>& kept) const;
  /// ?1.. the key.
  std::string delete_row() const;
  std::string select_row() const;
  std::string select_all() const;

  // Row versions.
  /// ?1.. the key, changed_at_us, origin, sequence, flags, an Overwrite.
  std::string upsert_version_if_known() const;
  /// ?1.. the key, changed_at_us, origin, sequence, flags.
  std::string put_version() const;
  std::string delete_version() const;
  /// ?1.. the key; changed_at_us, origin, sequence, flags.
  std::string select_version() const;
  /// changed_at_us, origin, sequence, flags, the key; in key order.
  std::string select_versions() const;
  /// ?1 KnownSequences; changed_at_us, origin, sequence, flags, the key, the row (NULLs when
  /// absent).
  std::string select_changes() const;
  /// ?1.. the key; the same columns.
  std::string select_change() const;
  /// ?1 KnownSequences; keys of the recent list that are news, in key order.
  std::string select_recent_keys() const;
  /// ?1 KnownSequences, ?2 a time; the earliest time after that of versions that are news: by the
  /// recent list, or by all versions.
  std::string select_oldest_recent() const;
  std::string select_oldest_version() const;

  // The change log.
  /// ?1 the rowid before which they stand. Entries: key, stamp.
  std::string select_log() const;
  /// The same in key order, without those that hold NULL in the key.
  std::string select_sorted_log() const;
  /// ?1 the rowid before which they stand; how many hold NULL in the key. Empty if none can.
  std::string count_nameless() const;
  /// ?1 the rowid before which they stand.
  std::string delete_log() const;
  /// Rowids of the oldest and the newest entry; NULL when the log is empty.
  std::string log_range() const;
  /// ?1 a stamp; the least that is greater.
  std::string select_oldest_stamp() const;
  /// ?1 the rowid; the stamp.
  std::string log_stamp() const;
  /// ?1.. the key; a row if there is one.
  std::string row_exists() const;
  /// ?1.. the key, time, time of a new key (not below the clock floor), origin, sequence, flags if
  /// the row is there.
  std::string harvest_version() const;
  /// ?1.. the key, then the operation (see Stamp).
  std::string append_log() const;
  /// Removes the oldest entry of a key that is no candidate. ?1.. the key, then the rowid after
  /// which it stands.
  std::string unlog_one() const;

 private:
  std::string from_recent_versions() const;
  std::string key_update() const;
  bool key_can_be_null(std::size_t column) const;

  const TableSpec& spec_;
  std::int64_t id_;
};

/// The integer that a trigger logs beside the key: four times the milliseconds since 1970, plus
/// what happened.
struct Stamp {
  enum Operation : std::int64_t { kUpdate = 0, kInsert = 1, kDelete = 2, kCandidate = 3 };
  static std::int64_t time_us(std::int64_t stamp) { return (stamp >> 2) * 1000; }
  /// The greatest stamp of that time.
  static std::int64_t latest_of(std::int64_t us) { return (us / 1000) << 2 | kCandidate; }
  /// The SQL expression that makes a stamp of the current time.
  static std::string expression(Operation operation);
};

}  // namespace tidemark::sqlite
