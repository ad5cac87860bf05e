// The change log: what is pending, and how it becomes row versions.
#include <algorithm>

#include "engines/sqlite/sqlite_node.h"
#include "engines/sqlite/statement.h"

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
  const std::string has_null = kept.sql.control_key_has_null();
  if (!has_null.empty()) {
    Statement nulls(connection_,
                    "SELECT count(*) FROM " + log_table(table.id) + " WHERE " + has_null);
    nulls.step();
    counts.null_keys = nulls.integer(0);
    counts.logged = counts.null_keys;
  }
  const std::int64_t origin = origins_.number(state.origin);
  std::int64_t sequence = state.sequence();
  const int key_size = static_cast<int>(kept.spec.key.size());
  Statement log(connection_, kept.sql.select_log());
  Statement write(connection_, kept.sql.harvest_version());
  write.bind(1, state.clock_floor_us + 1).bind(2, origin);
  std::vector<ValueView> key(kept.spec.key.size());
  while (log.step()) {
    for (int i = 0; i < key_size; ++i) key[static_cast<std::size_t>(i)] = log.value(i);
    const std::int64_t newest = log.integer(key_size);
    const bool sure = !log.is_null(key_size + 1);
    const std::int64_t newest_sure = log.integer(key_size + 1);
    const bool inserted = log.integer(key_size + 2) != 0;
    counts.logged += log.integer(key_size + 3);
    const bool present = log.integer(key_size + 4) != 0;
    if (!sure) {
      // Only a candidate of REPLACE: nothing happened to it if it is there, and nothing new if its
      // tombstone is.
      if (present) continue;
      const auto version = find_version(kept, key);
      if (version && (version->flags & VersionRecord::kDeleted) != 0) continue;
    }
    std::int64_t flags = present ? 0 : VersionRecord::kDeleted;
    if (present && inserted) flags = VersionRecord::kInserted;
    write.bind(3, Stamp::time_us(present ? newest_sure : newest))
        .bind(4, ++sequence)
        .bind(5, flags)
        .bind_row(6, key)
        .run();
    kept.recent.add(key, origin, sequence);
    ++counts.versions;
  }
  connection_.execute("DELETE FROM " + log_table(table.id));
  state.knowledge.raise(state.origin, sequence);
  return counts;
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
