// The change log: what is pending, and how it becomes row versions.
#include <algorithm>

#include "engines/postgresql/postgresql_node.h"
#include "engines/postgresql/streams.h"

namespace tidemark::postgresql {
namespace {

/// What follows FROM: versions of rows that are there, of which the row is not.
std::string version_without_row(const TableSql& sql) {
  return sql.version() + " AS v WHERE flags & 1 = 0 AND NOT EXISTS (SELECT FROM " + sql.table() +
         " AS t WHERE " + sql.key_is_control("t.", "v.") + ")";
}

}  // namespace

bool PostgresqlNode::has_pending(const ActiveTable& table) {
  return connection_.run_prepared("SELECT EXISTS (SELECT FROM " + log_table(table.id) + ")", {})
      .boolean(0, 0);
}

std::pair<std::int64_t, std::int64_t> PostgresqlNode::pending(const ActiveTable& table) {
  const Rows rows = connection_.query("SELECT count(*), coalesce(" + time_us("min(touched_at)") +
                                      ", 0) FROM " + log_table(table.id));
  return {rows.integer(0, 0), rows.integer(0, 1)};
}

std::optional<std::int64_t> PostgresqlNode::oldest_unseen(const ActiveTable& table,
                                                          const Knowledge& known) {
  const std::shared_ptr<TableSql> sql = sql_of(table);
  const std::string news = origins_.news(known, "v.");
  // By the recent list each version is found by its key: see recent_rows().
  const std::string versions =
      recent_.is_complete_for(*sql, known)
          ? recent_table(table.id) + " AS r CROSS JOIN LATERAL (SELECT * FROM " + sql->version() +
                " AS v WHERE " + sql->control_is_control("v.", "r.") + " LIMIT 1) AS v WHERE " +
                origins_.news(known, "r.") + " AND "
          : sql->version() + " AS v WHERE ";
  const Rows rows = connection_.query(
      "SELECT least((SELECT min(v.changed_at_us) FROM " + versions + news +
          " AND v.changed_at_us > $1), (SELECT " + time_us("min(touched_at)") + " FROM " +
          log_table(table.id) + " WHERE touched_at > to_timestamp($1 / 1000000.0)))",
      {std::to_string(kTimelessUs)});
  if (rows.is_null(0, 0)) return std::nullopt;
  return rows.integer(0, 0);
}

// Takes what this transaction can see. What is not committed yet is not seen, stays in the log and
// comes with a later harvest: nothing is ever skipped, and nobody waits for a transaction that
// takes its time. Through a temporary table, because the server knows how large that is: of what a
// WITH query returns it assumes little, and probes an index where it should merge.
HarvestCounts PostgresqlNode::harvest(const ActiveTable& table, TableState& state) {
  HarvestCounts counts;
  if (const auto found = catalog_.find(table.spec.name);
      found != catalog_.end() && found->second.hides_from_owner) {
    throw Error(ExitCode::not_ready,
                "node " + name() + ": table " + table.spec.name + " " + kHidesFromOwner,
                kHidesFromOwnerHint);
  }
  if (!has_pending(table)) {
    state.knowledge.raise(state.origin, state.sequence());
    return counts;
  }
  const std::shared_ptr<TableSql> sql = sql_of(table);
  const std::string key = sql->control_key();
  const std::string log = log_table(table.id);
  const std::string version = sql->version();
  const std::string origin = std::to_string(origins_.number(state.origin));
  const std::int64_t sequence = state.sequence();
  // The same snapshot sees the same entries twice.
  counts.versions =
      connection_
          .query("CREATE TEMP TABLE tidemark_folded AS SELECT " + key + ", " +
                 time_us("max(touched_at)") +
                 " AS changed_at_us, coalesce(bool_or(inserted), false) AS inserted, row_number() "
                 "OVER (ORDER BY " +
                 key + ") AS number FROM " + log + " GROUP BY " + key + " ORDER BY " + key)
          .affected();
  counts.logged = connection_.query("DELETE FROM " + log).affected();
  // The key of a row that is there is not NULL.
  const std::string absent = "t." + sql->name(table.spec.key.front()) + " IS NULL";
  const std::string new_sequence = std::to_string(sequence) + " + f.number";
  // An update keeps `inserted` when the version before was our own insert of a row that is there.
  connection_.query(
      "MERGE INTO " + version + " AS v USING (SELECT f.*, " + absent +
      " AS absent FROM pg_temp.tidemark_folded AS f LEFT JOIN " + sql->table() + " AS t ON " +
      sql->key_is_control("t.", "f.") + ") AS f ON " + sql->control_is_control("v.", "f.") +
      " WHEN MATCHED THEN UPDATE SET changed_at_us = greatest(f.changed_at_us, v.changed_at_us + "
      "1), origin = " +
      origin + ", sequence = " + new_sequence +
      ", flags = CASE WHEN f.absent THEN 1 WHEN f.inserted OR (v.origin = " + origin +
      " AND v.flags = 2) THEN 2 ELSE 0 END WHEN NOT MATCHED THEN INSERT VALUES (" +
      sql->control_key("f.") + ", greatest(f.changed_at_us, " +
      std::to_string(state.clock_floor_us + 1) + "), " + origin + ", " + new_sequence +
      ", CASE WHEN f.absent THEN 1 WHEN f.inserted THEN 2 ELSE 0 END)");
  if (!recent_.is_too_many(*sql, counts.versions)) {
    connection_.query(recent_.insert_selected(
                          *sql, sql->control_key("f.") + ", " + origin + ", " + new_sequence) +
                      " FROM pg_temp.tidemark_folded AS f");
    recent_.note_added(*sql, counts.versions);
  } else {
    recent_.skip(*sql, origins_.number(state.origin), sequence + counts.versions);
  }
  connection_.query("DROP TABLE pg_temp.tidemark_folded");
  state.knowledge.raise(state.origin, sequence + counts.versions);
  return counts;
}

void PostgresqlNode::touch_all(const ActiveTable& table) {
  const std::shared_ptr<TableSql> sql = sql_of(table);
  std::string key;
  for (const std::size_t position : table.spec.key) key += sql->name(position) + ", ";
  connection_.query("INSERT INTO " + log_table(table.id) + " SELECT " + key +
                    "false, 'epoch' FROM " + sql->table());
  connection_.query("DELETE FROM " + version_without_row(*sql));
}

bool PostgresqlNode::misses_rows(const ActiveTable& table) {
  return connection_
      .query("SELECT EXISTS (SELECT FROM " + version_without_row(*sql_of(table)) + ")")
      .boolean(0, 0);
}

std::int64_t PostgresqlNode::purge(const ActiveTable& table, TableState& state,
                                   std::int64_t before_us, const std::vector<Knowledge>& peers) {
  std::string known;
  for (const Knowledge& peer : peers) known += " AND " + origins_.covered(peer, "");
  const Rows rows = connection_.query(
      "WITH purged AS (DELETE FROM " + version_table(table.id) +
          " WHERE flags & 1 = 1 AND changed_at_us < $1" + known +
          " RETURNING origin, sequence, changed_at_us) SELECT origin, max(sequence), "
          "max(changed_at_us), count(*) FROM purged GROUP BY origin",
      {std::to_string(before_us)});
  std::int64_t purged = 0;
  for (int i = 0; i < rows.size(); ++i) {
    state.forgotten.raise(origins_.origin(rows.integer(i, 0)), rows.integer(i, 1));
    state.clock_floor_us = std::max(state.clock_floor_us, rows.integer(i, 2));
    purged += rows.integer(i, 3);
  }
  return purged;
}

void PostgresqlNode::log_touch(const TableSql& sql, RowView key, bool inserted) {
  connection_.run_prepared("INSERT INTO " + log_table(sql.id()) + " VALUES (" +
                               sql.key_parameters(1) + ", " + (inserted ? "true" : "false") + ")",
                           sql.encode_key(key));
}

void PostgresqlNode::touch(const ActiveTable& table, RowView key) {
  log_touch(*sql_of(table), key, false);
}

}  // namespace tidemark::postgresql
