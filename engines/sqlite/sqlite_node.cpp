#include "engines/sqlite/sqlite_node.h"

#include <filesystem>

#include "engines/sqlite/capture_objects.h"
#include "engines/sqlite/pair_lock.h"
#include "engines/sqlite/statement.h"

namespace tidemark::sqlite {
namespace {

/// The version of the control tables that this program reads and writes.
constexpr std::int64_t kFormat = 5;

}  // namespace

SqliteNode::SqliteNode(const OpenRequest& request, const std::filesystem::path& file)
    : connection_({.node_name = request.node_name,
                   .file = file,
                   .lock_timeout = request.lock_timeout,
                   .read_only = request.read_only}),
      origins_(connection_),
      references_(connection_) {
  Statement mode(connection_, "PRAGMA journal_mode");
  write_ahead_log_ = mode.step() && mode.text(0) == "wal";
  Statement encoding(connection_, "PRAGMA encoding");
  if (encoding.step() && encoding.text(0) != "UTF-8") {
    // Its text keys are ordered by other bytes than everybody else's, and text that is no clean
    // Unicode would be altered on its way in.
    throw Error(
        ExitCode::not_ready,
        "node " + name() + ": " + file.string() + " keeps its text as " + encoding.text(0),
        "Only databases in UTF-8 can take part: write its contents into a new database with "
        "'sqlite3 OLD .dump | sqlite3 NEW'.");
  }
}

SqliteNode::~SqliteNode() { rollback(); }

Traits SqliteNode::traits() const {
  return {.local = true, .snapshot_reads = write_ahead_log_, .loose = true};
}

std::int64_t SqliteNode::clock_us() {
  Statement clock(connection_,
                  "SELECT cast(round((julianday('now') - 2440587.5) * 86400000.0) AS "
                  "INTEGER) * 1000");
  clock.step();
  return clock.integer(0);
}

std::optional<Identity> SqliteNode::identity() {
  // A table of this name may be the application's own.
  Statement ours(connection_,
                 "SELECT count(*) FROM pragma_table_info('tidemark_node') WHERE name IN ('format', "
                 "'node_id', 'incarnation', 'origin')");
  ours.step();
  if (ours.integer(0) != 4) return std::nullopt;
  ours.reset();
  Statement statement(connection_,
                      "SELECT format, node_id, incarnation, origin FROM tidemark_node");
  if (!statement.step()) return std::nullopt;
  if (statement.integer(0) != kFormat) {
    throw Error(ExitCode::protocol,
                "node " + name() + " was activated by another version of Tidemark (format " +
                    std::to_string(statement.integer(0)) + ", this program has " +
                    std::to_string(kFormat) + ")",
                "Use the same version of Tidemark on all nodes.");
  }
  return Identity{.node_id = statement.uuid(1),
                  .incarnation = statement.integer(2),
                  .origin = statement.uuid(3)};
}

std::vector<TableSpec> SqliteNode::catalog() {
  std::vector<TableSpec> specs;
  for (CatalogTable& table : read_catalog(connection_, control_tables())) {
    specs.push_back(std::move(table.spec));
  }
  return specs;
}

std::unique_ptr<PairLock> SqliteNode::try_lock_pair(const NodeId& peer) {
  return sqlite::try_lock_pair(name(), connection_.file(), peer);
}

void SqliteNode::begin_read() {
  connection_.execute("BEGIN");
  try {
    // The snapshot is taken by the first statement that reads.
    connection_.execute("SELECT 1 FROM sqlite_schema LIMIT 1");
  } catch (...) {
    rollback();
    throw;
  }
}

void SqliteNode::begin_write(Exclusion) {
  // A transaction that reads first and writes later would be refused at once when somebody else has
  // written in between, however long it may wait.
  connection_.execute("BEGIN IMMEDIATE");
}

void SqliteNode::commit() {
  finish_transaction();
  const bool has_written = connection_.commit();
  end_transaction();
  if (has_written) connection_.sync();
}

void SqliteNode::commit_unsynced() {
  finish_transaction();
  connection_.commit_without_checkpoint();
  end_transaction();
}

void SqliteNode::finish_transaction() {
  flush_recent_lists();
  lead_on_key_counters();
}

void SqliteNode::end_transaction() {
  origins_.forget();
  if (removes_lock_file_) {
    std::error_code ignored;
    std::filesystem::remove(lock_file_of(connection_.file()), ignored);
    removes_lock_file_ = false;
  }
}

void SqliteNode::rollback() noexcept {
  if (connection_.in_transaction()) {
    sqlite3_exec(connection_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
  }
  forget_transaction();
}

void SqliteNode::forget_transaction() noexcept {
  held_counters_.clear();
  origins_.forget();
  for (auto& entry : statements_) entry.second->recent.forget();
  removes_lock_file_ = false;
}

void SqliteNode::flush_recent_lists() {
  for (auto& entry : statements_) entry.second->recent.flush();
}

void SqliteNode::set_identity(const Identity& identity) {
  Statement remove(connection_, "DELETE FROM tidemark_node");
  remove.run();
  Statement insert(
      connection_,
      "INSERT INTO tidemark_node(format, node_id, incarnation, origin) VALUES (?1, ?2, "
      "?3, ?4)");
  insert.bind(1, kFormat)
      .bind(2, identity.node_id)
      .bind(3, identity.incarnation)
      .bind(4, identity.origin)
      .run();
  origins_.number(identity.origin);
}

OriginId SqliteNode::own_origin() {
  Statement statement(connection_, "SELECT origin FROM tidemark_node");
  if (!statement.step()) {
    throw Error(ExitCode::not_ready, "node " + name() + " is not activated",
                "Run 'tidemark activate'.");
  }
  return statement.uuid(0);
}

TableStatements& SqliteNode::statements(const ActiveTable& table) {
  std::unique_ptr<TableStatements>& kept = statements_[table.id];
  if (kept && kept->fits(table)) return *kept;
  if (kept) kept->recent.flush();
  kept = std::make_unique<TableStatements>(connection_, table);
  return *kept;
}

VersionRecord SqliteNode::to_record(const Version& version, bool present) {
  return {.changed_at_us = version.changed_at_us,
          .origin = origins_.number(version.origin),
          .sequence = version.sequence,
          .flags = (present ? 0 : VersionRecord::kDeleted) |
                   (version.inserted ? VersionRecord::kInserted : 0)};
}

Version SqliteNode::to_version(const VersionRecord& record) {
  return {.changed_at_us = record.changed_at_us,
          .origin = origins_.origin(record.origin),
          .sequence = record.sequence,
          .inserted = (record.flags & VersionRecord::kInserted) != 0};
}

}  // namespace tidemark::sqlite
