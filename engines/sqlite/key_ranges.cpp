// Key ranges: SQLite gives a new row the number after the largest that was ever there, be it a row
// that was applied. So a counter cannot stay below the rows of another node's range; a transaction
// that brings such rows leads it on into the next range of this node that lies above them, in the
// same commit.
#include <algorithm>
#include <limits>
#include <optional>

#include "engines/sqlite/identifiers.h"
#include "engines/sqlite/sqlite_node.h"
#include "engines/sqlite/statement.h"

namespace tidemark::sqlite {
namespace {

std::int64_t counter_of(Connection& connection, const std::string& table) {
  Statement statement(connection, "SELECT seq FROM sqlite_sequence WHERE name = ?1 COLLATE NOCASE");
  statement.bind_text(1, table);
  return statement.step() ? statement.integer(0) : 0;
}

void set_counter(Connection& connection, const std::string& table, std::int64_t value) {
  Statement update(connection,
                   "UPDATE sqlite_sequence SET seq = ?2 WHERE name = ?1 COLLATE NOCASE");
  update.bind_text(1, table).bind(2, value).run();
  if (sqlite3_changes(connection.handle()) > 0) return;
  Statement insert(connection, "INSERT INTO sqlite_sequence(name, seq) VALUES (?1, ?2)");
  insert.bind_text(1, table).bind(2, value).run();
}

std::optional<std::int64_t> largest_key(Connection& connection, const std::string& table,
                                        const std::string& key) {
  Statement statement(connection, "SELECT max(" + key + ") FROM " + quoted_name(table));
  if (!statement.step() || statement.is_null(0)) return std::nullopt;
  return statement.integer(0);
}

}  // namespace

KeyCounter SqliteNode::key_counter(const TableSpec& table) {
  KeyCounter counter;
  counter.limit = std::numeric_limits<std::int64_t>::max();
  counter.follows_largest = true;
  const std::string& key = table.columns[table.key.front()].name;
  int counts = 0;
  const int found =
      sqlite3_table_column_metadata(connection_.handle(), "main", table.name.c_str(), key.c_str(),
                                    nullptr, nullptr, nullptr, nullptr, &counts);
  if (found != SQLITE_OK || counts == 0) {
    counter.refusal =
        "has no AUTOINCREMENT on node " + name() +
        ": SQLite then numbers a new row after the largest key there is, whoever gave that";
    return counter;
  }
  counter.largest = largest_key(connection_, table.name, quoted_name(key)).value_or(0);
  counter.next = std::max(counter_of(connection_, table.name), counter.largest) + 1;
  return counter;
}

std::vector<GivenRange> SqliteNode::key_ranges(const ActiveTable& table) {
  std::vector<GivenRange> ranges;
  Statement statement(
      connection_,
      "SELECT node, low, high FROM tidemark_key_range WHERE table_id = ?1 ORDER BY low");
  statement.bind(1, table.id);
  while (statement.step()) {
    ranges.push_back({.node = statement.uuid(0),
                      .range = {.low = statement.integer(1), .high = statement.integer(2)}});
  }
  return ranges;
}

void SqliteNode::save_key_range(const ActiveTable& table, const GivenRange& given) {
  Statement(connection_, "INSERT OR REPLACE INTO tidemark_key_range VALUES (?1, ?2, ?3, ?4)")
      .bind(1, table.id)
      .bind(2, given.node)
      .bind(3, given.range.low)
      .bind(4, given.range.high)
      .run();
}

void SqliteNode::use_key_range(const ActiveTable& table, const KeyRange& range) {
  if (counter_of(connection_, table.spec.name) >= range.low) return;
  set_counter(connection_, table.spec.name, range.low - 1);
}

std::vector<KeyRange> SqliteNode::own_key_ranges(std::int64_t table_id) {
  std::vector<KeyRange> ranges;
  Statement statement(connection_,
                      "SELECT low, high FROM tidemark_key_range WHERE table_id = ?1 AND node = "
                      "(SELECT node_id FROM tidemark_node) ORDER BY low");
  statement.bind(1, table_id);
  while (statement.step()) {
    ranges.push_back({.low = statement.integer(0), .high = statement.integer(1)});
  }
  return ranges;
}

void SqliteNode::hold_key_counter(const ActiveTable& table) {
  if (held_counters_.contains(table.id)) return;
  HeldCounter held;
  if (table.spec.integer_key) held.ranges = own_key_ranges(table.id);
  if (!held.ranges.empty()) {
    held.table = table.spec.name;
    held.key = quoted_name(table.spec.columns[table.spec.key.front()].name);
  }
  held_counters_.emplace(table.id, std::move(held));
}

void SqliteNode::lead_on_key_counters() {
  for (const auto& [id, held] : held_counters_) {
    if (held.ranges.empty()) continue;
    const std::int64_t next = std::max(counter_of(connection_, held.table),
                                       largest_key(connection_, held.table, held.key).value_or(0)) +
                              1;
    for (const KeyRange& range : held.ranges) {
      if (range.high < next) continue;
      if (range.low > next) set_counter(connection_, held.table, range.low - 1);
      break;
    }
  }
  held_counters_.clear();
}

void SqliteNode::release_key_counter(std::int64_t table_id) {
  if (own_key_ranges(table_id).empty()) return;
  Statement row(connection_, "SELECT name FROM tidemark_table WHERE id = ?1");
  row.bind(1, table_id);
  if (!row.step()) return;
  const std::string table = row.text(0);
  row.reset();
  const auto found = read_table(connection_, table);
  if (!found || !found->spec.integer_key) return;
  const std::string key = quoted_name(found->spec.columns[found->spec.key.front()].name);
  set_counter(connection_, table, largest_key(connection_, table, key).value_or(0));
}

}  // namespace tidemark::sqlite
