// Conflicts and sessions.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "engines/sqlite/sqlite_node.h"
#include "engines/sqlite/statement.h"
#include "model/row_json.h"

namespace tidemark::sqlite {
namespace {

using nlohmann::ordered_json;

/// Older sessions are of no use to anybody.
constexpr std::int64_t kKeptSessions = 10000;

constexpr char kConflictColumns[] =
    "id, session_id, job, found_at_us, table_name, columns, key_columns, key, type, policy, "
    "status, "
    "winner_node, winner_origin, winner_sequence, winner_changed_at_us, winner_inserted, "
    "winner_row, "
    "loser_node, loser_origin, loser_sequence, loser_changed_at_us, loser_inserted, loser_row";

constexpr int kSideColumns = 6;

std::vector<std::string> key_names(const Conflict& conflict) {
  std::vector<std::string> names;
  for (const std::size_t position : conflict.key_columns) {
    names.push_back(conflict.columns[position]);
  }
  return names;
}

/// A side as its columns are stored; keeps what is bound until the statement has run.
struct StoredSide {
  StoredSide(const Conflict& conflict, const ConflictSide& of) : side(of) {
    if (side.present) image = row_to_json(conflict.columns, side.row).dump();
  }

  void bind(Statement& statement, int position) const {
    statement.bind_text(position, side.node);
    if (side.version) {
      statement.bind(position + 1, side.version->origin)
          .bind(position + 2, side.version->sequence)
          .bind(position + 3, side.version->changed_at_us)
          .bind(position + 4, side.version->inserted ? 1 : 0);
    }
    if (side.present) statement.bind_text(position + 5, image);
  }

  const ConflictSide& side;
  std::string image;
};

ConflictSide read_side(const Statement& statement, int column) {
  ConflictSide side;
  side.node = statement.text(column);
  if (!statement.is_null(column + 1)) {
    side.version = Version{.changed_at_us = statement.integer(column + 3),
                           .origin = statement.uuid(column + 1),
                           .sequence = statement.integer(column + 2),
                           .inserted = statement.integer(column + 4) != 0};
  }
  side.present = !statement.is_null(column + 5);
  if (side.present) {
    std::vector<std::string> columns;
    row_from_json(ordered_json::parse(statement.text(column + 5)), columns, side.row);
  }
  return side;
}

Conflict read_conflict(const Statement& statement) {
  Conflict conflict;
  conflict.id = statement.text(0);
  conflict.session_id = statement.text(1);
  conflict.job = statement.text(2);
  conflict.found_at_us = statement.integer(3);
  conflict.table = statement.text(4);
  conflict.columns = ordered_json::parse(statement.text(5)).get<std::vector<std::string>>();
  conflict.key_columns = ordered_json::parse(statement.text(6)).get<std::vector<std::size_t>>();
  std::vector<std::string> names;
  row_from_json(ordered_json::parse(statement.text(7)), names, conflict.key);
  conflict.type = parse_conflict_type(statement.text(8)).value_or(ConflictType::update_differs);
  conflict.policy = parse_policy(statement.text(9)).value_or(Policy::latest);
  conflict.status = parse_conflict_status(statement.text(10)).value_or(ConflictStatus::resolved);
  conflict.winner = read_side(statement, 11);
  conflict.loser = read_side(statement, 11 + kSideColumns);
  return conflict;
}

std::vector<std::string> names_of(const TableSpec& spec) {
  std::vector<std::string> names;
  for (const ColumnSpec& column : spec.columns) names.push_back(column.name);
  return names;
}

std::string key_text(const TableSpec& spec, const Row& key) {
  std::vector<std::string> names;
  for (const std::size_t position : spec.key) names.push_back(spec.columns[position].name);
  return row_to_json(names, key).dump();
}

/// The values of a kept row in the order that the columns of `spec` have now; what is new is NULL.
Row in_order(const TableSpec& spec, const std::vector<std::string>& names, const Row& row) {
  Row result;
  for (const ColumnSpec& column : spec.columns) {
    const auto found = std::find(names.begin(), names.end(), column.name);
    result.push_back(found == names.end() ? Value::null()
                                          : row[static_cast<std::size_t>(found - names.begin())]);
  }
  return result;
}

}  // namespace

bool SqliteNode::log_conflict(const Conflict& conflict) {
  const std::string columns = ordered_json(conflict.columns).dump();
  const std::string key_columns = ordered_json(conflict.key_columns).dump();
  const std::string key = row_to_json(key_names(conflict), conflict.key).dump();
  const StoredSide winner(conflict, conflict.winner);
  const StoredSide loser(conflict, conflict.loser);
  Statement insert(connection_, std::string("INSERT INTO tidemark_conflict(") + kConflictColumns +
                                    ") VALUES (" + TableSql::parameters(1, 23) +
                                    ") ON CONFLICT (id) DO NOTHING");
  insert.bind_text(1, conflict.id)
      .bind_text(2, conflict.session_id)
      .bind_text(3, conflict.job)
      .bind(4, conflict.found_at_us)
      .bind_text(5, conflict.table)
      .bind_text(6, columns)
      .bind_text(7, key_columns)
      .bind_text(8, key)
      .bind_text(9, to_string(conflict.type))
      .bind_text(10, to_string(conflict.policy))
      .bind_text(11, to_string(conflict.status));
  winner.bind(insert, 12);
  loser.bind(insert, 12 + kSideColumns);
  insert.run();
  return sqlite3_changes(connection_.handle()) > 0;
}

std::vector<Conflict> SqliteNode::conflicts() {
  std::vector<Conflict> conflicts;
  Statement statement(connection_, std::string("SELECT ") + kConflictColumns +
                                       " FROM tidemark_conflict ORDER BY number");
  while (statement.step()) conflicts.push_back(read_conflict(statement));
  return conflicts;
}

std::int64_t SqliteNode::count_conflicts(ConflictStatus status) {
  Statement statement(connection_, "SELECT count(*) FROM tidemark_conflict WHERE status = ?1");
  statement.bind_text(1, to_string(status));
  statement.step();
  return statement.integer(0);
}

void SqliteNode::set_conflict_status(const std::string& id, ConflictStatus status) {
  Statement update(connection_, "UPDATE tidemark_conflict SET status = ?2 WHERE id = ?1");
  update.bind_text(1, id).bind_text(2, to_string(status)).run();
}

std::int64_t SqliteNode::drop_conflicts(std::int64_t before_us) {
  Statement(connection_, "DELETE FROM tidemark_conflict WHERE status <> ?1 AND found_at_us < ?2")
      .bind_text(1, to_string(ConflictStatus::open))
      .bind(2, before_us)
      .run();
  return sqlite3_changes(connection_.handle());
}

void SqliteNode::quarantine(const ActiveTable& table, const QuarantinedRow& row) {
  const std::string key = key_text(table.spec, row.key);
  const std::string image =
      row.present() ? row_to_json(names_of(table.spec), row.row).dump() : "{}";
  Statement insert(connection_, "INSERT OR REPLACE INTO tidemark_quarantine VALUES (" +
                                    TableSql::parameters(1, 15) + ")");
  insert.bind(1, table.id).bind_text(2, key).bind_text(3, image);
  if (row.version) {
    insert.bind(4, row.version->changed_at_us)
        .bind(5, row.version->origin)
        .bind(6, row.version->sequence)
        .bind(7, row.version->inserted ? 1 : 0);
  }
  insert.bind_text(8, row.reason)
      .bind_text(9, row.source)
      .bind_text(10, row.session_id)
      .bind(11, row.since_us)
      .bind(12, row.fits_types ? 1 : 0)
      .bind(13, row.locked ? 1 : 0);
  if (row.met) insert.bind(14, row.met->origin).bind(15, row.met->sequence);
  insert.run();
}

std::vector<QuarantinedRow> SqliteNode::quarantined(const ActiveTable& table) {
  std::vector<QuarantinedRow> rows;
  Statement statement(connection_,
                      "SELECT key, row, changed_at_us, origin, sequence, inserted, reason, source, "
                      "session_id, since_us, fits_types, locked, met_origin, met_sequence FROM "
                      "tidemark_quarantine WHERE table_id = ?1");
  statement.bind(1, table.id);
  while (statement.step()) {
    QuarantinedRow row;
    std::vector<std::string> names;
    row_from_json(ordered_json::parse(statement.text(0)), names, row.key);
    Row image;
    names.clear();
    row_from_json(ordered_json::parse(statement.text(1)), names, image);
    if (!image.empty()) row.row = in_order(table.spec, names, image);
    if (!statement.is_null(3)) {
      row.version = Version{.changed_at_us = statement.integer(2),
                            .origin = statement.uuid(3),
                            .sequence = statement.integer(4),
                            .inserted = statement.integer(5) != 0};
    }
    row.reason = statement.text(6);
    row.source = statement.text(7);
    row.session_id = statement.text(8);
    row.since_us = statement.integer(9);
    row.fits_types = statement.integer(10) != 0;
    row.locked = statement.integer(11) != 0;
    if (!statement.is_null(12)) row.met = ChangeId{statement.uuid(12), statement.integer(13)};
    rows.push_back(std::move(row));
  }
  return rows;
}

void SqliteNode::release_quarantined(const ActiveTable& table, RowView key) {
  const std::string text = key_text(table.spec, to_row(key));
  Statement(connection_, "DELETE FROM tidemark_quarantine WHERE table_id = ?1 AND key = ?2")
      .bind(1, table.id)
      .bind_text(2, text)
      .run();
}

std::int64_t SqliteNode::count_quarantined() {
  Statement count(connection_, "SELECT count(*) FROM tidemark_quarantine");
  count.step();
  return count.integer(0);
}

void SqliteNode::record_session(const SessionRecord& record) {
  Statement insert(connection_,
                   "INSERT INTO tidemark_session(session_id, job, mode, source, target, source_id, "
                   "started_at_us, finished_at_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
  insert.bind_text(1, record.session_id)
      .bind_text(2, record.job)
      .bind_text(3, record.mode)
      .bind_text(4, record.source)
      .bind_text(5, record.target)
      .bind(6, record.source_id)
      .bind(7, record.started_at_us)
      .bind(8, record.finished_at_us)
      .run();
  const std::int64_t number = sqlite3_last_insert_rowid(connection_.handle());
  Statement table(connection_,
                  "INSERT INTO tidemark_session_table VALUES (" + TableSql::parameters(1, 9) + ")");
  for (const auto& [name, counts] : record.tables) {
    table.bind(1, number)
        .bind_text(2, name)
        .bind(3, counts.received)
        .bind(4, counts.inserted)
        .bind(5, counts.updated)
        .bind(6, counts.deleted)
        .bind(7, counts.adopted)
        .bind(8, counts.conflicts)
        .bind(9, counts.quarantined)
        .run();
  }
  for (const char* sql : {"DELETE FROM tidemark_session WHERE number <= ?1",
                          "DELETE FROM tidemark_session_table WHERE session_number <= ?1"}) {
    Statement(connection_, sql).bind(1, number - kKeptSessions).run();
  }
}

std::vector<SessionRecord> SqliteNode::sessions(std::int64_t limit) {
  std::vector<SessionRecord> records;
  Statement statement(connection_,
                      "SELECT number, session_id, job, mode, source, target, source_id, "
                      "started_at_us, finished_at_us FROM tidemark_session ORDER BY number DESC "
                      "LIMIT ?1");
  Statement tables(connection_,
                   "SELECT name, received, inserted, updated, deleted, adopted, conflicts, "
                   "quarantined FROM tidemark_session_table WHERE session_number = ?1");
  statement.bind(1, limit);
  while (statement.step()) {
    SessionRecord record;
    record.session_id = statement.text(1);
    record.job = statement.text(2);
    record.mode = statement.text(3);
    record.source = statement.text(4);
    record.target = statement.text(5);
    record.source_id = statement.uuid(6);
    record.started_at_us = statement.integer(7);
    record.finished_at_us = statement.integer(8);
    tables.bind(1, statement.integer(0));
    while (tables.step()) {
      record.tables[tables.text(0)] = {.received = tables.integer(1),
                                       .inserted = tables.integer(2),
                                       .updated = tables.integer(3),
                                       .deleted = tables.integer(4),
                                       .adopted = tables.integer(5),
                                       .conflicts = tables.integer(6),
                                       .quarantined = tables.integer(7)};
    }
    records.push_back(std::move(record));
  }
  return records;
}

}  // namespace tidemark::sqlite
