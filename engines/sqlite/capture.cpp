// The change log: what is pending, and how it becomes row versions.
#include <algorithm>

#include "engines/sqlite/sqlite_node.h"
#include "engines/sqlite/statement.h"
#include "engines/sqlite/touched_keys.h"

namespace tidemark::sqlite {

bool SqliteNode::has_pending(const ActiveTable& table) {
  Statement statement(connection_, "SELECT 1 FROM " + log_table(table.id) + " LIMIT 1");
  return statement.step();
}

std::pair<std::int64_t, std::int64_t> SqliteNode::pending(const ActiveTable& table) {
  Statement statement(connection_,
                      "SELECT count(*), coalesce(min(stamp), 0) FROM " + log_table(table.id));
  statement.step();
  return {statement.integer(0), Stamp::time_us(statement.integer(1))};
}

HarvestCounts SqliteNode::harvest(const ActiveTable& table, TableState& state) {
  TableStatements& kept = statements(table);
  HarvestCounts counts;
  counts.logged = count_log(table.id, "");
  if (const std::string has_null = kept.sql.control_key_has_null(); !has_null.empty()) {
    counts.null_keys = count_log(table.id, " WHERE " + has_null);
  }
  const std::int64_t origin = origins_.number(state.origin);
  const std::int64_t first_time_us = state.clock_floor_us + 1;
  std::int64_t sequence = state.sequence();
  const int key_size = static_cast<int>(kept.spec.key.size());
  const auto touched = fold_log(connection_, kept.spec, kept.sql, counts.logged);
  Statement write(connection_, kept.sql.harvest_version());
  write.bind(key_size + 3, origin);
  TouchedKey key;
  while (touched->next(key)) {
    std::int64_t stamp = key.newest;
    if (!key.sure) {
      if (!is_evicted(kept, key.key)) continue;
    } else if (key.newest != key.newest_sure && row_exists(kept, key.key)) {
      stamp = key.newest_sure;
    }
    const std::int64_t time_us = Stamp::time_us(stamp);
    write.bind_row(1, key.key)
        .bind(key_size + 1, time_us)
        .bind(key_size + 2, std::max(time_us, first_time_us))
        .bind(key_size + 4, ++sequence)
        .bind(key_size + 5, key.inserted ? VersionRecord::kInserted : 0)
        .run();
    kept.recent.add(key.key, origin, sequence);
    ++counts.versions;
  }
  connection_.execute("DELETE FROM " + log_table(table.id));
  state.knowledge.raise(state.origin, sequence);
  return counts;
}

std::int64_t SqliteNode::count_log(std::int64_t table_id, const std::string& where) {
  Statement count(connection_, "SELECT count(*) FROM " + log_table(table_id) + where);
  count.step();
  return count.integer(0);
}

bool SqliteNode::row_exists(TableStatements& table, RowView key) {
  Statement& statement = table.row_exists();
  const ResetGuard guard(statement);
  return statement.bind_row(1, key).step();
}

// Nothing happened to a candidate of REPLACE that is there, and nothing new if its tombstone is.
bool SqliteNode::is_evicted(TableStatements& table, RowView key) {
  if (row_exists(table, key)) return false;
  const auto version = find_version(table, key);
  return !version || (version->flags & VersionRecord::kDeleted) == 0;
}

void SqliteNode::touch_all(const ActiveTable& table) {
  TableStatements& kept = statements(table);
  const std::string whole = kept.sql.key_is_whole();
  connection_.execute("INSERT INTO " + log_table(table.id) + " SELECT " + kept.sql.key_columns() +
                      ", 0 FROM " + kept.sql.table() + (whole.empty() ? "" : " WHERE " + whole));
  connection_.execute("DELETE FROM " + version_table(table.id) +
                      " AS v WHERE flags & 1 = 0 AND NOT EXISTS (SELECT 1 FROM " +
                      kept.sql.table() + " AS t WHERE " + kept.sql.key_is_control("t.", "v.") +
                      ")");
}

std::int64_t SqliteNode::purge(const ActiveTable& table, TableState& state, std::int64_t before_us,
                               const std::vector<Knowledge>& peers) {
  Purge purge;
  purge.before_us = before_us;
  for (const Knowledge& peer : peers) purge.peers.push_back(origins_.numbered(peer));
  Statement remove(connection_, "DELETE FROM " + version_table(table.id) +
                                    " WHERE tidemark_purges(?1, changed_at_us, origin, sequence, "
                                    "flags)");
  remove.bind_pointer(1, &purge, Purge::kType).run();
  for (const auto& [origin, sequence] : purge.forgotten) {
    state.forgotten.raise(origins_.origin(origin), sequence);
  }
  state.clock_floor_us = std::max(state.clock_floor_us, purge.newest_us);
  return static_cast<std::int64_t>(purge.forgotten.size());
}

void SqliteNode::touch(const ActiveTable& table, RowView key) {
  statements(table)
      .append_log()
      .bind_row(1, key)
      .bind(static_cast<int>(key.size()) + 1, Stamp::kUpdate)
      .run();
}

}  // namespace tidemark::sqlite
