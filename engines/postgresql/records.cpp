// Conflicts and sessions.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "engines/postgresql/postgresql_node.h"
#include "model/row_json.h"

namespace tidemark::postgresql {
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

/// The six columns of a side.
void append_side(const Conflict& conflict, const ConflictSide& side, Parameters& parameters) {
  parameters.emplace_back(side.node);
  if (side.version) {
    parameters.emplace_back(side.version->origin.to_string());
    parameters.emplace_back(std::to_string(side.version->sequence));
    parameters.emplace_back(std::to_string(side.version->changed_at_us));
    parameters.emplace_back(side.version->inserted ? "t" : "f");
  } else {
    parameters.resize(parameters.size() + 4);
  }
  parameters.emplace_back();
  if (side.present) parameters.back() = row_to_json(conflict.columns, side.row).dump();
}

ConflictSide read_side(const Rows& rows, int row, int column) {
  ConflictSide side;
  side.node = rows.text(row, column);
  if (!rows.is_null(row, column + 1)) {
    side.version = Version{.changed_at_us = rows.integer(row, column + 3),
                           .origin = rows.uuid(row, column + 1),
                           .sequence = rows.integer(row, column + 2),
                           .inserted = rows.boolean(row, column + 4)};
  }
  side.present = !rows.is_null(row, column + 5);
  if (side.present) {
    std::vector<std::string> columns;
    row_from_json(ordered_json::parse(rows.bytes(row, column + 5)), columns, side.row);
  }
  return side;
}

Conflict read_conflict(const Rows& rows, int row) {
  Conflict conflict;
  conflict.id = rows.text(row, 0);
  conflict.session_id = rows.text(row, 1);
  conflict.job = rows.text(row, 2);
  conflict.found_at_us = rows.integer(row, 3);
  conflict.table = rows.text(row, 4);
  conflict.columns = ordered_json::parse(rows.bytes(row, 5)).get<std::vector<std::string>>();
  conflict.key_columns = ordered_json::parse(rows.bytes(row, 6)).get<std::vector<std::size_t>>();
  std::vector<std::string> names;
  row_from_json(ordered_json::parse(rows.bytes(row, 7)), names, conflict.key);
  conflict.type = parse_conflict_type(rows.bytes(row, 8)).value_or(ConflictType::update_differs);
  conflict.policy = parse_policy(rows.bytes(row, 9)).value_or(Policy::latest);
  conflict.status = parse_conflict_status(rows.bytes(row, 10)).value_or(ConflictStatus::resolved);
  conflict.winner = read_side(rows, row, 11);
  conflict.loser = read_side(rows, row, 11 + kSideColumns);
  return conflict;
}

/// `$1, $2 ...`
std::string parameter_list(int count) {
  std::string text;
  for (int i = 1; i <= count; ++i) text += (i > 1 ? ", $" : "$") + std::to_string(i);
  return text;
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

bool PostgresqlNode::log_conflict(const Conflict& conflict) {
  Parameters parameters = {conflict.id,
                           conflict.session_id,
                           conflict.job,
                           std::to_string(conflict.found_at_us),
                           conflict.table,
                           ordered_json(conflict.columns).dump(),
                           ordered_json(conflict.key_columns).dump(),
                           row_to_json(key_names(conflict), conflict.key).dump(),
                           std::string(to_string(conflict.type)),
                           std::string(to_string(conflict.policy)),
                           std::string(to_string(conflict.status))};
  append_side(conflict, conflict.winner, parameters);
  append_side(conflict, conflict.loser, parameters);
  return connection_
             .run_prepared(
                 std::string("INSERT INTO tidemark.conflict(number, ") + kConflictColumns +
                     ") SELECT coalesce((SELECT max(number) FROM tidemark.conflict), 0) + "
                     "1, " +
                     parameter_list(23) + " ON CONFLICT (id) DO NOTHING",
                 parameters)
             .affected() > 0;
}

std::vector<Conflict> PostgresqlNode::conflicts() {
  const Rows rows = connection_.query(std::string("SELECT ") + kConflictColumns +
                                      " FROM tidemark.conflict ORDER BY number");
  std::vector<Conflict> conflicts;
  for (int i = 0; i < rows.size(); ++i) conflicts.push_back(read_conflict(rows, i));
  return conflicts;
}

std::int64_t PostgresqlNode::count_conflicts(ConflictStatus status) {
  return connection_
      .run_prepared("SELECT count(*) FROM tidemark.conflict WHERE status = $1",
                    {std::string(to_string(status))})
      .integer(0, 0);
}

void PostgresqlNode::set_conflict_status(const std::string& id, ConflictStatus status) {
  connection_.query("UPDATE tidemark.conflict SET status = $2 WHERE id = $1",
                    {id, std::string(to_string(status))});
}

std::int64_t PostgresqlNode::drop_conflicts(std::int64_t before_us) {
  return connection_
      .query("DELETE FROM tidemark.conflict WHERE status <> $1 AND found_at_us < $2",
             {std::string(to_string(ConflictStatus::open)), std::to_string(before_us)})
      .affected();
}

void PostgresqlNode::quarantine(const ActiveTable& table, const QuarantinedRow& row) {
  Parameters parameters = {
      std::to_string(table.id), key_text(table.spec, row.key),
      row.present() ? row_to_json(names_of(table.spec), row.row).dump() : "{}"};
  if (row.version) {
    parameters.emplace_back(std::to_string(row.version->changed_at_us));
    parameters.emplace_back(row.version->origin.to_string());
    parameters.emplace_back(std::to_string(row.version->sequence));
    parameters.emplace_back(row.version->inserted ? "t" : "f");
  } else {
    parameters.resize(parameters.size() + 4);
  }
  parameters.insert(parameters.end(),
                    {row.reason, row.source, row.session_id, std::to_string(row.since_us),
                     std::string(row.fits_types ? "t" : "f"), std::string(row.locked ? "t" : "f")});
  if (row.met) {
    parameters.emplace_back(row.met->origin.to_string());
    parameters.emplace_back(std::to_string(row.met->sequence));
  } else {
    parameters.resize(parameters.size() + 2);
  }
  connection_.run_prepared(
      "INSERT INTO tidemark.quarantine VALUES (" + parameter_list(15) +
          ") ON CONFLICT (table_id, key) DO UPDATE SET row = excluded.row, changed_at_us = "
          "excluded.changed_at_us, origin = excluded.origin, sequence = excluded.sequence, "
          "inserted "
          "= excluded.inserted, reason = excluded.reason, source = excluded.source, session_id = "
          "excluded.session_id, since_us = excluded.since_us, fits_types = excluded.fits_types, "
          "locked = "
          "excluded.locked, met_origin = excluded.met_origin, met_sequence = excluded.met_sequence",
      parameters);
}

std::vector<QuarantinedRow> PostgresqlNode::quarantined(const ActiveTable& table) {
  std::vector<QuarantinedRow> kept;
  const Rows rows = connection_.run_prepared(
      "SELECT key, row, changed_at_us, origin, sequence, inserted, reason, source, session_id, "
      "since_us, fits_types, locked, met_origin, met_sequence FROM tidemark.quarantine WHERE "
      "table_id = $1 ORDER BY since_us, key",
      {std::to_string(table.id)});
  for (int i = 0; i < rows.size(); ++i) {
    QuarantinedRow row;
    std::vector<std::string> names;
    row_from_json(ordered_json::parse(rows.bytes(i, 0)), names, row.key);
    Row image;
    names.clear();
    row_from_json(ordered_json::parse(rows.bytes(i, 1)), names, image);
    if (!image.empty()) row.row = in_order(table.spec, names, image);
    if (!rows.is_null(i, 3)) {
      row.version = Version{.changed_at_us = rows.integer(i, 2),
                            .origin = rows.uuid(i, 3),
                            .sequence = rows.integer(i, 4),
                            .inserted = rows.boolean(i, 5)};
    }
    row.reason = rows.text(i, 6);
    row.source = rows.text(i, 7);
    row.session_id = rows.text(i, 8);
    row.since_us = rows.integer(i, 9);
    row.fits_types = rows.boolean(i, 10);
    row.locked = rows.boolean(i, 11);
    if (!rows.is_null(i, 12)) row.met = ChangeId{rows.uuid(i, 12), rows.integer(i, 13)};
    kept.push_back(std::move(row));
  }
  return kept;
}

void PostgresqlNode::release_quarantined(const ActiveTable& table, RowView key) {
  connection_.run_prepared("DELETE FROM tidemark.quarantine WHERE table_id = $1 AND key = $2",
                           {std::to_string(table.id), key_text(table.spec, to_row(key))});
}

std::int64_t PostgresqlNode::count_quarantined() {
  return connection_.run_prepared("SELECT count(*) FROM tidemark.quarantine", {}).integer(0, 0);
}

void PostgresqlNode::record_session(const SessionRecord& record) {
  const Rows rows = connection_.run_prepared(
      "INSERT INTO tidemark.session SELECT coalesce(max(number), 0) + 1, $1, $2, $3, $4, $5, "
      "$6::uuid, $7::bigint, $8::bigint FROM tidemark.session RETURNING number",
      {record.session_id, record.job, record.mode, record.source, record.target,
       record.source_id.to_string(), std::to_string(record.started_at_us),
       std::to_string(record.finished_at_us)});
  const std::int64_t number = rows.integer(0, 0);
  for (const auto& [name, counts] : record.tables) {
    connection_.run_prepared(
        "INSERT INTO tidemark.session_table VALUES (" + parameter_list(9) + ")",
        {std::to_string(number), name, std::to_string(counts.received),
         std::to_string(counts.inserted), std::to_string(counts.updated),
         std::to_string(counts.deleted), std::to_string(counts.adopted),
         std::to_string(counts.conflicts), std::to_string(counts.quarantined)});
  }
  for (const char* sql : {"DELETE FROM tidemark.session WHERE number <= $1",
                          "DELETE FROM tidemark.session_table WHERE session_number <= $1"}) {
    connection_.run_prepared(sql, {std::to_string(number - kKeptSessions)});
  }
}

std::vector<SessionRecord> PostgresqlNode::sessions(std::int64_t limit) {
  std::vector<SessionRecord> records;
  const Rows rows = connection_.query(
      "SELECT number, session_id, job, mode, source, target, source_id, started_at_us, "
      "finished_at_us FROM tidemark.session ORDER BY number DESC LIMIT $1",
      {std::to_string(limit)});
  for (int i = 0; i < rows.size(); ++i) {
    SessionRecord record;
    record.session_id = rows.text(i, 1);
    record.job = rows.text(i, 2);
    record.mode = rows.text(i, 3);
    record.source = rows.text(i, 4);
    record.target = rows.text(i, 5);
    record.source_id = rows.uuid(i, 6);
    record.started_at_us = rows.integer(i, 7);
    record.finished_at_us = rows.integer(i, 8);
    const Rows tables = connection_.run_prepared(
        "SELECT name, received, inserted, updated, deleted, adopted, conflicts, quarantined FROM "
        "tidemark.session_table WHERE session_number = $1",
        {std::to_string(rows.integer(i, 0))});
    for (int table = 0; table < tables.size(); ++table) {
      record.tables[tables.text(table, 0)] = {.received = tables.integer(table, 1),
                                              .inserted = tables.integer(table, 2),
                                              .updated = tables.integer(table, 3),
                                              .deleted = tables.integer(table, 4),
                                              .adopted = tables.integer(table, 5),
                                              .conflicts = tables.integer(table, 6),
                                              .quarantined = tables.integer(table, 7)};
    }
    records.push_back(std::move(record));
  }
  return records;
}

}  // namespace tidemark::postgresql
