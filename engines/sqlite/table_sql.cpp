#include "engines/sqlite/table_sql.h"

#include <array>

#include "engines/sqlite/identifiers.h"

namespace tidemark::sqlite {
namespace {

std::string_view to_sql(Collation collation) {
  switch (collation) {
    case Collation::nocase:
      return "NOCASE";
    case Collation::rtrim:
      return "RTRIM";
    case Collation::binary:
      break;
  }
  return "BINARY";
}

/// Joins what `part(i)` gives for i below `count`.
template <typename Part>
std::string joined(std::size_t count, const std::string& separator, Part part) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    if (i > 0) text += separator;
    text += part(i);
  }
  return text;
}

std::string parameter(std::size_t position) {
  return std::string("?").append(std::to_string(position));
}
std::string control_column(std::size_t index) {
  return std::string("k").append(std::to_string(index + 1));
}

constexpr char kVersionColumns[] = "changed_at_us, origin, sequence, flags";

}  // namespace

std::string log_table(std::int64_t id) { return "tidemark_log_" + std::to_string(id); }
std::string version_table(std::int64_t id) { return "tidemark_version_" + std::to_string(id); }
std::string recent_table(std::int64_t id) { return "tidemark_recent_" + std::to_string(id); }

std::string Stamp::expression(Operation operation) {
  // julianday() holds whole milliseconds with an error below 40 microseconds, and 843467040000000
  // are the quarters of a millisecond from its origin to 1970. So the product misses a multiple of
  // four by less than a quarter, and adding a half and the operation before the cut gives both
  // exactly.
  static constexpr std::array kOrigins = {"843467039999999.5", "843467039999998.5",
                                          "843467039999997.5", "843467039999996.5"};
  return std::string("cast(julianday()*345600000.0-") +
         kOrigins[static_cast<std::size_t>(operation)] + " as integer)";
}

std::string TableSql::table() const { return quoted_name(spec_.name); }

std::string TableSql::columns(const std::string& prefix) const {
  return joined(spec_.columns.size(), ", ",
                [&](std::size_t i) { return prefix + quoted_name(spec_.columns[i].name); });
}

std::string TableSql::key_columns(const std::string& prefix) const {
  return joined(spec_.key.size(), ", ", [&](std::size_t i) {
    return prefix + quoted_name(spec_.columns[spec_.key[i]].name);
  });
}

std::string TableSql::control_key(const std::string& prefix) const {
  return joined(spec_.key.size(), ", ", [&](std::size_t i) { return prefix + control_column(i); });
}

std::string TableSql::key_terms(const std::string& prefix) const {
  return joined(spec_.key.size(), ", ", [&](std::size_t i) {
    const ColumnSpec& column = spec_.columns[spec_.key[i]];
    std::string term = prefix + quoted_name(column.name);
    // The index of the key may have another collation than the column; named, it is always the
    // right one.
    if (!spec_.integer_key) term += " COLLATE " + std::string(to_sql(column.collation));
    return term;
  });
}

std::string TableSql::key_is(int first) const {
  return joined(spec_.key.size(), " AND ", [&](std::size_t i) {
    const ColumnSpec& column = spec_.columns[spec_.key[i]];
    std::string term = quoted_name(column.name);
    if (!spec_.integer_key) term += " COLLATE " + std::string(to_sql(column.collation));
    return term + " = " + parameter(static_cast<std::size_t>(first) + i);
  });
}

std::string TableSql::control_key_is(int first) const {
  return joined(spec_.key.size(), " AND ", [&](std::size_t i) {
    return control_column(i) + " = " + parameter(static_cast<std::size_t>(first) + i);
  });
}

std::string TableSql::key_is_control(const std::string& prefix, const std::string& other) const {
  return joined(spec_.key.size(), " AND ", [&](std::size_t i) {
    const ColumnSpec& column = spec_.columns[spec_.key[i]];
    std::string term = prefix + quoted_name(column.name);
    if (!spec_.integer_key) term += " COLLATE " + std::string(to_sql(column.collation));
    return term + " = " + other + control_column(i);
  });
}

bool TableSql::key_can_be_null(std::size_t column) const {
  return !spec_.integer_key && !spec_.without_rowid && !spec_.columns[column].not_null;
}

std::string TableSql::key_is_whole(const std::string& prefix) const {
  std::string text;
  for (const std::size_t column : spec_.key) {
    if (!key_can_be_null(column)) continue;
    if (!text.empty()) text += " AND ";
    text += prefix + quoted_name(spec_.columns[column].name) + " IS NOT NULL";
  }
  return text;
}

std::string TableSql::control_key_has_null() const {
  std::string text;
  for (std::size_t i = 0; i < spec_.key.size(); ++i) {
    if (!key_can_be_null(spec_.key[i])) continue;
    if (!text.empty()) text += " OR ";
    text += control_column(i) + " IS NULL";
  }
  return text;
}

std::string TableSql::parameters(int first, std::size_t count) {
  return joined(count, ", ",
                [&](std::size_t i) { return parameter(static_cast<std::size_t>(first) + i); });
}

// Two keys may be equal for the table and yet be different values: 'a' and 'A' without case, 1
// and 1.0 without a type. Then an update must write the key as well; elsewhere that would be wasted
// work.
std::string TableSql::key_update() const {
  std::string text;
  for (const std::size_t position : spec_.key) {
    const ColumnSpec& column = spec_.columns[position];
    const bool may_differ =
        !spec_.integer_key && (column.collation != Collation::binary ||
                               type_name(affinity_of(column.declared_type, spec_.strict)).empty());
    if (!may_differ && spec_.key.size() != spec_.columns.size()) continue;
    if (!text.empty()) text += ", ";
    text += quoted_name(column.name) + " = excluded." + quoted_name(column.name);
  }
  return text;
}

std::string TableSql::upsert_row() const {
  std::string updates = key_update();
  std::vector<bool> is_key(spec_.columns.size());
  for (const std::size_t position : spec_.key) is_key[position] = true;
  for (std::size_t i = 0; i < spec_.columns.size(); ++i) {
    if (is_key[i]) continue;
    if (!updates.empty()) updates += ", ";
    updates +=
        quoted_name(spec_.columns[i].name) + " = excluded." + quoted_name(spec_.columns[i].name);
  }
  // OR ABORT overrides what the columns declare: UNIQUE ON CONFLICT REPLACE would silently remove
  // rows. The alias keeps a table that is called excluded from being taken for the new row.
  return "INSERT OR ABORT INTO " + table() + " AS tidemark_row(" + columns() + ") VALUES (" +
         parameters(1, spec_.columns.size()) + ") ON CONFLICT (" + key_terms() +
         ") DO UPDATE SET " + updates + " WHERE tidemark_count(" +
         parameter(spec_.columns.size() + 1) + ")";
}

std::string TableSql::insert_row() const {
  return "INSERT OR ABORT INTO " + table() + "(" + columns() + ") VALUES (" +
         parameters(1, spec_.columns.size()) + ")";
}

std::string TableSql::update_row() const {
  const std::string assignments = joined(spec_.columns.size(), ", ", [&](std::size_t i) {
    return quoted_name(spec_.columns[i].name) + " = " + parameter(i + 1);
  });
  return "UPDATE OR ABORT " + table() + " SET " + assignments + " WHERE " +
         key_is(static_cast<int>(spec_.columns.size()) + 1);
}

// "Unchanged" means bit for bit: neither a collation nor a comparison of 1 with 1.0 may call two
// values one.
std::string TableSql::update_row_but(const std::set<std::size_t>& kept) const {
  if (!key_update().empty()) return {};
  const std::set<std::size_t> key(spec_.key.begin(), spec_.key.end());
  std::string assignments, unchanged;
  for (std::size_t i = 0; i < spec_.columns.size(); ++i) {
    if (key.contains(i)) continue;
    const std::string name = quoted_name(spec_.columns[i].name);
    const std::string value = parameter(i + 1);
    if (kept.contains(i)) {
      unchanged += " AND " + name + " IS " + value + " COLLATE BINARY AND typeof(" + name +
                   ") = typeof(" + value + ")";
    } else {
      assignments += (assignments.empty() ? "" : ", ") + name + " = " + value;
    }
  }
  if (assignments.empty()) return {};
  return "UPDATE OR ABORT " + table() + " SET " + assignments + " WHERE " +
         key_is(static_cast<int>(spec_.columns.size()) + 1) + unchanged;
}

std::string TableSql::unlog_one() const {
  const std::string log = log_table(id_);
  return "DELETE FROM " + log + " WHERE rowid = (SELECT min(rowid) FROM " + log +
         " WHERE rowid > " + parameter(spec_.key.size() + 1) + " AND (stamp & 3) <> " +
         std::to_string(static_cast<int>(Stamp::kCandidate)) + " AND " + control_key_is(1) + ")";
}

std::string TableSql::delete_row() const {
  return "DELETE FROM " + table() + " WHERE " + key_is(1);
}

std::string TableSql::select_row() const {
  return "SELECT " + columns() + " FROM " + table() + " WHERE " + key_is(1);
}

std::string TableSql::select_all() const {
  const std::string whole = key_is_whole();
  return "SELECT " + columns() + " FROM " + table() + (whole.empty() ? "" : " WHERE " + whole) +
         " ORDER BY " + key_terms();
}

std::string TableSql::upsert_version_if_known() const {
  const std::size_t key = spec_.key.size();
  return "INSERT INTO " + version_table(id_) + "(" + control_key() + ", " + kVersionColumns +
         ") VALUES (" + parameters(1, key + 4) + ") ON CONFLICT (" + control_key() +
         ") DO UPDATE SET changed_at_us = excluded.changed_at_us, origin = excluded.origin, "
         "sequence = excluded.sequence, flags = excluded.flags WHERE tidemark_overwrites(" +
         parameter(key + 5) + ", changed_at_us, origin, sequence, flags)";
}

std::string TableSql::put_version() const {
  return "INSERT INTO " + version_table(id_) + "(" + control_key() + ", " + kVersionColumns +
         ") VALUES (" + parameters(1, spec_.key.size() + 4) + ") ON CONFLICT (" + control_key() +
         ") DO UPDATE SET changed_at_us = excluded.changed_at_us, origin = excluded.origin, "
         "sequence = excluded.sequence, flags = excluded.flags";
}

std::string TableSql::delete_version() const {
  return "DELETE FROM " + version_table(id_) + " WHERE " + control_key_is(1);
}

std::string TableSql::select_version() const {
  return std::string("SELECT ") + kVersionColumns + " FROM " + version_table(id_) + " WHERE " +
         control_key_is(1);
}

std::string TableSql::select_versions() const {
  return std::string("SELECT ") + kVersionColumns + ", " + control_key() + " FROM " +
         version_table(id_) + " ORDER BY " + control_key();
}

std::string TableSql::select_changes() const {
  return "SELECT v.changed_at_us, v.origin, v.sequence, v.flags, " + control_key("v.") + ", " +
         columns("t.") + " FROM " + version_table(id_) + " AS v LEFT JOIN " + table() +
         " AS t ON " + key_is_control("t.", "v.") +
         " WHERE tidemark_is_news(?1, v.origin, v.sequence) ORDER BY " + control_key("v.");
}

std::string TableSql::select_change() const {
  std::string where;
  for (std::size_t i = 0; i < spec_.key.size(); ++i) {
    if (i > 0) where += " AND ";
    where += "v." + control_column(i) + " = " + parameter(i + 1);
  }
  return "SELECT v.changed_at_us, v.origin, v.sequence, v.flags, " + control_key("v.") + ", " +
         columns("t.") + " FROM " + version_table(id_) + " AS v LEFT JOIN " + table() +
         " AS t ON " + key_is_control("t.", "v.") + " WHERE " + where;
}

std::string TableSql::from_recent_versions() const {
  const std::string match = joined(spec_.key.size(), " AND ", [](std::size_t i) {
    return "v." + control_column(i) + " = r." + control_column(i);
  });
  return " FROM " + recent_table(id_) + " AS r CROSS JOIN " + version_table(id_) + " AS v ON " +
         match;
}

std::string TableSql::select_recent_keys() const {
  return "SELECT DISTINCT " + control_key("v.") + from_recent_versions() +
         " WHERE tidemark_is_news(?1, v.origin, v.sequence) ORDER BY " + control_key("v.");
}

std::string TableSql::select_oldest_recent() const {
  return "SELECT min(v.changed_at_us)" + from_recent_versions() +
         " WHERE v.changed_at_us > ?2 AND tidemark_is_news(?1, v.origin, v.sequence)";
}

std::string TableSql::select_oldest_version() const {
  return "SELECT min(v.changed_at_us) FROM " + version_table(id_) +
         " AS v WHERE v.changed_at_us > ?2 AND tidemark_is_news(?1, v.origin, v.sequence)";
}

std::string TableSql::select_oldest_stamp() const {
  // A candidate is no change by itself; whatever evicted its row is logged beside it.
  return "SELECT min(stamp) FROM " + log_table(id_) + " WHERE stamp > ?1 AND stamp & 3 <> " +
         std::to_string(Stamp::kCandidate);
}

std::string TableSql::select_log() const {
  return "SELECT " + control_key() + ", stamp FROM " + log_table(id_) + " WHERE rowid < ?1";
}

std::string TableSql::select_sorted_log() const {
  const std::string has_null = control_key_has_null();
  return select_log() + (has_null.empty() ? "" : " AND NOT (" + has_null + ")") + " ORDER BY " +
         control_key();
}

std::string TableSql::count_nameless() const {
  const std::string has_null = control_key_has_null();
  if (has_null.empty()) return {};
  return "SELECT count(*) FROM " + log_table(id_) + " WHERE rowid < ?1 AND (" + has_null + ")";
}

std::string TableSql::delete_log() const {
  return "DELETE FROM " + log_table(id_) + " WHERE rowid < ?1";
}

std::string TableSql::log_range() const {
  const std::string log = log_table(id_);
  return "SELECT (SELECT min(rowid) FROM " + log + "), (SELECT max(rowid) FROM " + log + ")";
}

std::string TableSql::log_stamp() const {
  return "SELECT stamp FROM " + log_table(id_) + " WHERE rowid = ?1";
}

std::string TableSql::row_exists() const {
  return "SELECT 1 FROM " + table() + " WHERE " + key_is(1);
}

std::string TableSql::harvest_version() const {
  const std::size_t key = spec_.key.size();
  // A row that is gone makes a tombstone. An update keeps `inserted` when the version before was
  // our own insert of a row that is still there.
  return "INSERT INTO " + version_table(id_) + "(" + control_key() + ", " + kVersionColumns +
         ") VALUES (" + parameters(1, key) + ", " + parameter(key + 2) + ", " + parameter(key + 3) +
         ", " + parameter(key + 4) + ", CASE WHEN EXISTS (" + row_exists() + ") THEN " +
         parameter(key + 5) + " ELSE 1 END) ON CONFLICT (" + control_key() +
         ") DO UPDATE SET changed_at_us = max(" + parameter(key + 1) +
         ", changed_at_us + 1), origin = excluded.origin, sequence = excluded.sequence, flags = "
         "excluded.flags | CASE WHEN origin = excluded.origin AND flags = 2 AND excluded.flags = 0 "
         "THEN 2 ELSE 0 END";
}

std::string TableSql::append_log() const {
  const std::size_t key = spec_.key.size();
  return "INSERT INTO " + log_table(id_) + " VALUES (" + parameters(1, key) + ", " +
         Stamp::expression(Stamp::kUpdate) + " + " + parameter(key + 1) + ")";
}

}  // namespace tidemark::sqlite
