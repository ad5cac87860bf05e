// The change log: what is pending, and how it becomes row versions.
#include <algorithm>

#include "engines/postgresql/postgresql_node.h"
#include "engines/postgresql/streams.h"

namespace tidemark::postgresql {

bool PostgresqlNode::has_pending(const ActiveTable& table) {
  return connection_.run_prepared("SELECT EXISTS (SELECT FROM " + log_table(table.id) + ")", {})
      .boolean(0, 0);
}

std::pair<std::int64_t, std::int64_t> PostgresqlNode::pending(const ActiveTable& table) {
  const Rows rows =
      connection_.query("SELECT count(*), coalesce(min(stamp), 0) FROM " + log_table(table.id));
  return {rows.integer(0, 0), Stamp::time_us(rows.integer(0, 1))};
}

// Takes what this transaction can see. What is not committed yet is not seen, stays in the log and
// comes with a later harvest: nothing is ever skipped, and nobody waits for a transaction that
// takes its time.
HarvestCounts PostgresqlNode::harvest(const ActiveTable& table, TableState& state) {
  HarvestCounts counts;
  if (!has_pending(table)) {
    state.knowledge.raise(state.origin, state.sequence());
    return counts;
  }
  const std::shared_ptr<TableSql> sql = sql_of(table);
  const std::string key = sql->control_key();
  const std::int64_t origin = origins_.number(state.origin);
  const std::int64_t sequence = state.sequence();
  const std::string version = sql->version();
  // The key of a row that is there is not NULL.
  const std::string present = "t." + sql->name(table.spec.key.front());
  std::string version_is_touched;
  for (std::size_t i = 1; i <= table.spec.key.size(); ++i) {
    const std::string column = "k" + std::to_string(i);
    version_is_touched += (i > 1 ? " AND v." : "v.") + column + " = f." + column;
  }
  // An update keeps `inserted` when the version before was our own insert of a row that is there.
  const Rows rows = connection_.query(
      "WITH taken AS (DELETE FROM " + log_table(table.id) + " RETURNING " + key +
          ", stamp), folded AS (SELECT " + key +
          ", max(stamp) >> 2 AS changed_at_us, bool_or(stamp & 3 = 1) AS inserted FROM taken GROUP "
          "BY " +
          key + "), written AS (INSERT INTO " + version + "(" + key +
          ", changed_at_us, origin, sequence, flags) SELECT " + sql->control_key("f.") +
          ", CASE WHEN v.sequence IS NULL THEN greatest(f.changed_at_us, $3::bigint) ELSE "
          "greatest(f.changed_at_us, v.changed_at_us + 1) END, $1::integer, $2::bigint + "
          "row_number() OVER (ORDER BY " +
          sql->control_key("f.") + "), CASE WHEN " + present +
          " IS NULL THEN 1 WHEN f.inserted OR (v.origin = $1::integer AND "
          "v.flags = 2) THEN 2 ELSE 0 END FROM folded f LEFT JOIN " +
          sql->table() + " t ON " + sql->key_is_control("t.", "f.") + " LEFT JOIN " + version +
          " v ON " + version_is_touched + " ORDER BY " + sql->control_key("f.") + " ON CONFLICT (" +
          key +
          ") DO UPDATE SET changed_at_us = excluded.changed_at_us, origin = excluded.origin, "
          "sequence = excluded.sequence, flags = excluded.flags RETURNING 1) SELECT (SELECT "
          "count(*) "
          "FROM taken), (SELECT count(*) FROM written)",
      {std::to_string(origin), std::to_string(sequence), std::to_string(state.clock_floor_us + 1)});
  counts.logged = rows.integer(0, 0);
  counts.versions = rows.integer(0, 1);
  state.knowledge.raise(state.origin, sequence + counts.versions);
  return counts;
}

void PostgresqlNode::touch_all(const ActiveTable& table) {
  const std::shared_ptr<TableSql> sql = sql_of(table);
  std::string key;
  for (const std::size_t position : table.spec.key) key += sql->name(position) + ", ";
  connection_.query("INSERT INTO " + log_table(table.id) + " SELECT " + key + "0 FROM " +
                    sql->table());
  connection_.query("DELETE FROM " + sql->version() +
                    " AS v WHERE flags & 1 = 0 AND NOT EXISTS (SELECT FROM " + sql->table() +
                    " AS t WHERE " + sql->key_is_control("t.", "v.") + ")");
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

void PostgresqlNode::log_touch(const TableSql& sql, RowView key, std::int64_t operation) {
  connection_.run_prepared(
      "INSERT INTO " + log_table(sql.id()) + " VALUES (" + sql.key_parameters(1) +
          ", (date_part('epoch', clock_timestamp()) * 1000000)::bigint * 4 + " +
          std::to_string(operation) + ")",
      sql.encode_key(key));
}

void PostgresqlNode::touch(const ActiveTable& table, RowView key) {
  log_touch(*sql_of(table), key, Stamp::kUpdate);
}

}  // namespace tidemark::postgresql
