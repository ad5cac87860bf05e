// What a daemon asks of a node that it keeps open.
#include "engines/postgresql/postgresql_node.h"

namespace tidemark::postgresql {
namespace {

std::string group_name(const std::string& group) { return "tidemark daemons " + group; }
std::string lease_name(const std::string& job) { return "tidemark lease " + job; }

}  // namespace

// A snapshot names the transactions that are visible. While it stays the same nothing that anybody
// committed has become visible, and nothing else need be read: neither logs, which may hold dead
// rows, nor statistics, which come late.
const Pulse& PostgresqlNode::look() {
  const std::string snapshot =
      connection_.run_prepared("SELECT pg_catalog.pg_current_snapshot()::text", {}).text(0, 0);
  if (snapshot == looked_at_) return pulse_;
  Pulse found{.generation = pulse_.generation + 1};
  if (has_control_tables_ || identity()) {
    // Of each table its number and name with every entry of its knowledge, in one statement and so
    // in one snapshot with the question whether logs hold anything.
    const Rows tables = connection_.run_prepared(
        "SELECT c.id, c.name, o.origin, k.sequence, "
        "to_regclass('tidemark.log_' || c.id) IS NOT NULL, (SELECT max(sent_us) FROM "
        "tidemark.heartbeat) FROM tidemark.captured_table AS c LEFT "
        "JOIN "
        "(tidemark.knowledge AS k JOIN tidemark.origin AS o ON o.id = k.origin) ON k.table_id = "
        "c.id ORDER BY c.id, o.origin",
        {});
    if (!tables.empty() && !tables.is_null(0, 5)) found.heartbeat_us = tables.integer(0, 5);
    std::map<std::string, Knowledge> knowledge;
    std::string query;
    for (int i = 0; i < tables.size(); ++i) {
      const std::string name = tables.text(i, 1);
      if (i == 0 || tables.integer(i, 0) != tables.integer(i - 1, 0)) {
        found.tables[name];
        query += query.empty() ? "SELECT " : ", ";
        // A log that was dropped is for a session to find.
        query += tables.boolean(i, 4)
                     ? "EXISTS (SELECT FROM " + log_table(tables.integer(i, 0)) + ")"
                     : "false";
      }
      if (!tables.is_null(i, 2)) knowledge[name].raise(tables.uuid(i, 2), tables.integer(i, 3));
    }
    if (!query.empty()) {
      const Rows pending = connection_.run_prepared(query, {});
      int column = 0;
      for (int i = 0; i < tables.size(); ++i) {
        if (i > 0 && tables.integer(i, 0) == tables.integer(i - 1, 0)) continue;
        Pulse::Table& each = found.tables[tables.text(i, 1)];
        each.pending = pending.boolean(0, column++);
        each.knowledge = knowledge[tables.text(i, 1)].digest();
      }
    }
  }
  looked_at_ = snapshot;
  return pulse_ = std::move(found);
}

// Locks of a connection, because they end with it, however it ends. A connection whose other end
// vanished without a word is noticed by the server's probes, for which the leases wait.
std::int64_t PostgresqlNode::join_daemons(const std::string& group) {
  if (!has_joined_) {
    connection_.execute(
        "SET tcp_keepalives_idle = 4; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = "
        "2; SET tcp_user_timeout = 8000");
    connection_.query(
        "SELECT pg_catalog.pg_advisory_lock_shared(pg_catalog.hashtextextended($1, 0))",
        {group_name(group)});
    has_joined_ = true;
  }
  return connection_
      .run_prepared(
          "SELECT count(DISTINCT l.pid) FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_database "
          "AS d ON d.oid = l.database WHERE l.locktype = 'advisory' AND l.mode = 'ShareLock' AND "
          "l.granted AND l.objsubid = 1 AND d.datname = pg_catalog.current_database() AND "
          "(l.classid::bigint << 32 | l.objid::bigint) = pg_catalog.hashtextextended($1, 0)",
          {group_name(group)})
      .integer(0, 0);
}

bool PostgresqlNode::try_lease(const std::string& job) {
  return connection_
      .run_prepared("SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended($1, 0))",
                    {lease_name(job)})
      .boolean(0, 0);
}

void PostgresqlNode::release_lease(const std::string& job) {
  connection_.run_prepared(
      "SELECT pg_catalog.pg_advisory_unlock(pg_catalog.hashtextextended($1, 0))",
      {lease_name(job)});
}

// Not where it is not activated.
bool PostgresqlNode::keeps_runs() {
  return connection_.run_prepared("SELECT pg_catalog.to_regclass('tidemark.run') IS NOT NULL", {})
      .boolean(0, 0);
}

std::map<std::string, std::int64_t> PostgresqlNode::done_runs(const std::string& job) {
  if (!keeps_runs()) return {};
  const Rows rows =
      connection_.run_prepared("SELECT peer, due_us FROM tidemark.run WHERE job = $1", {job});
  std::map<std::string, std::int64_t> runs;
  for (int i = 0; i < rows.size(); ++i) runs[rows.text(i, 0)] = rows.integer(i, 1);
  return runs;
}

void PostgresqlNode::note_done_run(const std::string& job, const std::string& peer,
                                   std::int64_t due_us) {
  if (!keeps_runs()) return;
  connection_.run_prepared(
      "INSERT INTO tidemark.run VALUES ($1, $2, $3) ON CONFLICT (job, peer) DO UPDATE SET due_us = "
      "excluded.due_us",
      {job, peer, std::to_string(due_us)});
}

}  // namespace tidemark::postgresql
