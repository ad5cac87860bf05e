// The change log: what is pending, and how it becomes row versions.
#include <algorithm>
#include <cstdlib>
#include <limits>

#include "engines/sqlite/sqlite_node.h"
#include "engines/sqlite/statement.h"
#include "engines/sqlite/touched_keys.h"

namespace tidemark::sqlite {
namespace {

/// So many entries keep writers waiting for some 30 ms. Smaller slices made them wait longer in
/// all: each commit empties their caches, and who waits for a lock looks again after 1, 3, 8, 18,
/// 33 ms.
constexpr std::int64_t kSlice = 30000;
/// A writer that has waited for the lock since its last entry still counts as one.
constexpr std::int64_t kBusyWithinUs = 100'000;
constexpr std::int64_t kEverything = std::numeric_limits<std::int64_t>::max();

}  // namespace

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

std::optional<std::int64_t> SqliteNode::oldest_unseen(const ActiveTable& table,
                                                      const Knowledge& known) {
  std::optional<std::int64_t> oldest_us;
  const auto found = [&oldest_us](std::int64_t changed_at_us) {
    oldest_us = std::min(oldest_us.value_or(changed_at_us), changed_at_us);
  };
  TableStatements& kept = statements(table);
  kept.recent.flush();
  KnownSequences numbered = origins_.numbered(known);
  Statement version(connection_, kept.recent.is_complete_for(numbered)
                                     ? kept.sql.select_oldest_recent()
                                     : kept.sql.select_oldest_version());
  version.bind_pointer(1, &numbered, KnownSequences::kType).bind(2, kTimelessUs).step();
  if (!version.is_null(0)) found(version.integer(0));
  Statement entry(connection_, kept.sql.select_oldest_stamp());
  entry.bind(1, Stamp::latest_of(kTimelessUs)).step();
  if (!entry.is_null(0)) found(Stamp::time_us(entry.integer(0)));
  return oldest_us;
}

bool SqliteNode::is_busy_log(const ActiveTable& table) {
  TableStatements& kept = statements(table);
  const auto [oldest, newest] = log_range(kept);
  if (newest - oldest < 2 * kSlice) return false;
  Statement entry(connection_, kept.sql.log_stamp());
  if (!entry.bind(1, newest).step()) return false;
  const std::int64_t age_us = clock_us() - Stamp::time_us(entry.integer(0));
  return std::abs(age_us) < kBusyWithinUs;
}

HarvestCounts SqliteNode::harvest(const ActiveTable& table, TableState& state) {
  const auto [oldest, newest] = log_range(statements(table));
  return harvest_before(table, state, newest + 1 - oldest, kEverything);
}

HarvestCounts SqliteNode::harvest_slice(const ActiveTable& table, TableState& state) {
  const auto [oldest, newest] = log_range(statements(table));
  const std::int64_t end = std::min(newest + 1, oldest + kSlice);
  return harvest_before(table, state, end - oldest, end);
}

std::pair<std::int64_t, std::int64_t> SqliteNode::log_range(TableStatements& table) {
  Statement range(connection_, table.sql.log_range());
  range.step();
  return {range.integer(0), range.integer(1)};
}

/// Of the entries before the rowid `end`, at most `entries`.
HarvestCounts SqliteNode::harvest_before(const ActiveTable& table, TableState& state,
                                         std::int64_t entries, std::int64_t end) {
  TableStatements& kept = statements(table);
  HarvestCounts counts;
  if (const std::string nameless = kept.sql.count_nameless(); !nameless.empty()) {
    Statement count(connection_, nameless);
    count.bind(1, end).step();
    counts.null_keys = count.integer(0);
  }
  counts.logged = counts.null_keys;
  const std::int64_t origin = origins_.number(state.origin);
  const std::int64_t first_time_us = state.clock_floor_us + 1;
  std::int64_t sequence = state.sequence();
  const int key_size = static_cast<int>(kept.spec.key.size());
  const auto touched = fold_log(connection_, kept.spec, kept.sql, entries, end);
  Statement write(connection_, kept.sql.harvest_version());
  write.bind(key_size + 3, origin);
  TouchedKey key;
  while (touched->next(key)) {
    counts.logged += key.entries;
    std::int64_t stamp = key.newest;
    if (!key.sure) {
      if (!is_evicted(kept, key.key, Stamp::time_us(stamp))) continue;
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
  if (end == kEverything) {
    // Without a condition SQLite drops pages instead of entries.
    connection_.execute("DELETE FROM " + log_table(table.id));
  } else {
    Statement remove(connection_, kept.sql.delete_log());
    remove.bind(1, end).run();
  }
  state.knowledge.raise(state.origin, sequence);
  return counts;
}

bool SqliteNode::row_exists(TableStatements& table, RowView key) {
  Statement& statement = table.row_exists();
  const ResetGuard guard(statement);
  return statement.bind_row(1, key).step();
}

// Nothing happened to a candidate of REPLACE that is there, and nothing new if its tombstone is:
// but a candidate was there at that time, so an older tombstone is of another delete, or was made
// by a harvest that had not come so far.
bool SqliteNode::is_evicted(TableStatements& table, RowView key, std::int64_t time_us) {
  if (row_exists(table, key)) return false;
  const auto version = find_version(table, key);
  return !version || (version->flags & VersionRecord::kDeleted) == 0 ||
         version->changed_at_us < time_us;
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
