// Writing rows and versions on a target.
#include <algorithm>
#include <cassert>

#include "engines/merge_rows.h"
#include "engines/postgresql/identifiers.h"
#include "engines/postgresql/known_applier.h"
#include "engines/postgresql/postgresql_node.h"
#include "engines/postgresql/streams.h"

namespace tidemark::postgresql {
namespace {

StagingTable& staging_table(Stage& stage) {
  auto* table = dynamic_cast<StagingTable*>(&stage);
  assert(table && "the stage was made by another engine");
  return *table;
}

/// A sequence that is this far behind is set; nearer ones are drawn from, because setting one could
/// take back numbers that somebody draws at this moment.
constexpr std::int64_t kDrawn = 10000;

}  // namespace

std::unique_ptr<Stage> PostgresqlNode::make_stage(const ActiveTable& table, StageUse use) {
  meets_other_product_ |= use.translated;
  return std::make_unique<StagingTable>(connection_, sql_of(table),
                                        "pg_temp.tidemark_stage_" + std::to_string(++stages_), use);
}

PullCounts PostgresqlNode::apply_known(const ActiveTable& table, Stage& stage,
                                       const Knowledge& source_knowledge, ApplySink& sink) {
  check_uniques(*sql_of(table));
  KnownApplier applier(*this, table, sql_of(table), staging_table(stage), source_knowledge, sink);
  if (table.fire_triggers) fire_triggers(true);
  PullCounts counts = applier.apply();
  if (table.fire_triggers) fire_triggers(false);
  return counts;
}

void PostgresqlNode::compare_all(const ActiveTable& table, Stage& stage, PairSink& sink) {
  StagingTable& staged = staging_table(stage);
  assert(!staged.is_loaded());
  // Whoever gets the pairs may look at other keys meanwhile.
  merge_pairs(table.spec, staged.rows(),
              *postgresql::all_rows(connection_, origins_, sql_of(table), true), sink);
  if (passes_over(locked_rows_)) wait_for_rows_shortly(*sql_of(table));
}

std::optional<Refusal> PostgresqlNode::put_row(const ActiveTable& table, RowView key, RowView row) {
  bool inserted = false;
  const std::shared_ptr<TableSql> sql = sql_of(table);
  check_uniques(*sql);
  if (!table.fire_triggers) return write_row(*sql, key, row, inserted);
  const bool fired_before = fires_triggers_;
  fire_triggers(true);
  auto refusal = write_row(*sql, key, row, inserted);
  fire_triggers(fired_before);
  if (!refusal) log_if_altered(table, *sql, key, row);
  return refusal;
}

// A trigger may have stored something else, or nothing, or kept what was to go: that is a change of
// this node's own.
void PostgresqlNode::log_if_altered(const ActiveTable& table, const TableSql& sql, RowView key,
                                    RowView row) {
  const LocalRow stored = find(table, key);
  const bool as_told =
      row.empty() ? !stored.present : stored.present && identical(to_views(stored.row), row);
  if (!as_told) log_touch(sql, key, false);
}

/// Two rows that claim one value are settled when they meet, and not by a COMMIT that fails.
void PostgresqlNode::check_uniques(const TableSql& sql) {
  const std::string statement = sql.check_uniques();
  if (statement.empty() || !checks_uniques_.insert(sql.id()).second) return;
  connection_.execute(statement);
}

// The role of the session keeps triggers still, ours too, where it may. Where they fire, our
// capture knows applied rows by other means (see written_by_session.sql).
void PostgresqlNode::fire_triggers(bool on) {
  if (fires_triggers_ == on) return;
  fires_triggers_ = on;
  if (!may_silence_.value_or(false)) return;
  connection_.execute(std::string("SET LOCAL session_replication_role = '") +
                      (on ? "origin" : "replica") + "'");
}

std::optional<Refusal> PostgresqlNode::write_row(const TableSql& sql, RowView key, RowView row,
                                                 bool& inserted) {
  std::int64_t affected = 0;
  if (row.empty()) {
    if (!sql.can_hold_key(key)) return std::nullopt;  // what cannot be here is not here
    return connection_.run_or_refuse(
        "DELETE FROM " + sql.table() + " AS t WHERE " + sql.key_is("t.", 1), sql.encode_key(key),
        affected);
  }
  Parameters parameters;
  for (std::size_t i = 0; i < row.size(); ++i) {
    Encoded value = sql.encode(i, row[i]);
    if (value.refusal) return value.refusal;
    parameters.push_back(std::move(value.text));
  }
  if (meets_other_product_) {
    if (auto refusal = refuse_altered(sql, parameters)) return refusal;
  }
  std::string key_is;
  for (const std::size_t position : sql.spec().key) {
    key_is += (key_is.empty() ? "t." : " AND t.") + sql.name(position) + " = $" +
              std::to_string(position + 1) + "::" + sql.column(position).type;
  }
  if (!sql.fixed_columns().empty()) {
    key_is += " AND NOT (" + sql.differs_in_fixed("$", false) + ")";
  }
  const std::string assignments = sql.assignments("$", false);
  // Not ON CONFLICT DO UPDATE: it takes no deferrable key.
  const std::string update =
      assignments.empty()
          ? "SELECT FROM " + sql.table() + " AS t WHERE " + key_is + " FOR NO KEY UPDATE"
          : "UPDATE " + sql.table() + " AS t SET " + assignments + " WHERE " + key_is;
  if (auto refusal = connection_.run_or_refuse(update, parameters, affected)) return refusal;
  if (affected > 0) return std::nullopt;
  if (!sql.fixed_columns().empty() && is_here(sql, key)) {
    return Refusal{.kind = Refusal::Kind::type,
                   .reason = "column " + sql.name(sql.fixed_columns().front()) +
                             " is GENERATED ALWAYS AS IDENTITY and has another number here, which "
                             "nobody can change; ALTER COLUMN ... SET GENERATED BY DEFAULT"};
  }
  inserted = true;
  note_insert(sql);
  return connection_.run_or_refuse("INSERT INTO " + sql.table() + " (" + sql.columns() +
                                       ") OVERRIDING SYSTEM VALUE VALUES (" +
                                       sql.row_parameters(1) + ")" + sql.unless_unseen(),
                                   parameters, affected);
}

bool PostgresqlNode::is_here(const TableSql& sql, RowView key) {
  return connection_
      .run_prepared(
          "SELECT EXISTS (SELECT FROM " + sql.table() + " AS t WHERE " + sql.key_is("t.", 1) + ")",
          sql.encode_key(key))
      .boolean(0, 0);
}

/// The server is asked how it would print what is to be stored: a row that it would alter is
/// refused.
std::optional<Refusal> PostgresqlNode::refuse_altered(const TableSql& sql, const Parameters& row) {
  const std::vector<std::size_t> particular = sql.particular_columns();
  Parameters values;
  std::string condition;
  for (const std::size_t position : particular) {
    if (!row[position]) continue;
    values.push_back(row[position]);
    const std::string parameter = "$" + std::to_string(values.size());
    condition += (condition.empty() ? "" : " AND ") + parameter +
                 "::text::" + sql.column(position).type + "::text = " + parameter + "::text";
  }
  if (values.empty()) return std::nullopt;
  std::int64_t affected = 0;
  if (auto refusal = connection_.run_or_refuse("SELECT 1 WHERE " + condition, values, affected)) {
    return refusal;
  }
  if (affected == 1) return std::nullopt;
  return Refusal{Refusal::Kind::type, "a column would store a value in another form than it came"};
}

void PostgresqlNode::put_version(const ActiveTable& table, RowView key, bool present,
                                 const std::optional<Version>& version) {
  const std::shared_ptr<TableSql> sql = sql_of(table);
  // Where the row cannot be, nobody asks for its tombstone.
  if (!present && !sql->can_hold_key(key)) return;
  Parameters parameters = sql->encode_key(key);
  if (!version) {
    connection_.run_prepared(
        "DELETE FROM " + sql->version() + " AS v WHERE " + sql->control_key_is("v.", 1),
        parameters);
    return;
  }
  const int next = static_cast<int>(key.size()) + 1;
  const std::int64_t origin = origins_.number(version->origin);
  recent_.add(*sql, key, origin, version->sequence);
  parameters.emplace_back(std::to_string(version->changed_at_us));
  parameters.emplace_back(std::to_string(origin));
  parameters.emplace_back(std::to_string(version->sequence));
  parameters.emplace_back(std::to_string((present ? 0 : 1) | (version->inserted ? 2 : 0)));
  connection_.run_prepared(
      "INSERT INTO " + sql->version() + " VALUES (" + sql->key_parameters(1) + ", $" +
          std::to_string(next) + ", $" + std::to_string(next + 1) + ", $" +
          std::to_string(next + 2) + ", $" + std::to_string(next + 3) + ") ON CONFLICT (" +
          sql->control_key() +
          ") DO UPDATE SET changed_at_us = excluded.changed_at_us, origin = excluded.origin, "
          "sequence = excluded.sequence, flags = excluded.flags",
      parameters);
}

std::optional<Refusal> PostgresqlNode::write_as_local_change(const ActiveTable& table, RowView key,
                                                             RowView row) {
  const std::shared_ptr<TableSql> sql = sql_of(table);
  bool inserted = false;
  if (auto refusal = write_row(*sql, key, row, inserted)) return refusal;
  // What a session writes is not captured, so the change is logged by hand.
  log_touch(*sql, key, inserted);
  return std::nullopt;
}

void PostgresqlNode::note_insert(const TableSql& sql) {
  const std::vector<Filled>& sequences = sequences_of(sql);
  grown_.insert(sequences.begin(), sequences.end());
}

/// Of columns of whole numbers: those that a column owns (serial, identity) and those that its
/// default draws from, which may stand by themselves and fill several columns. One that we may not
/// move is left alone, and check says so.
const std::vector<PostgresqlNode::Filled>& PostgresqlNode::sequences_of(const TableSql& sql) {
  const auto [entry, is_new] = sequences_.try_emplace(sql.id());
  std::string names;
  for (std::size_t i = 0; is_new && i < sql.spec().columns.size(); ++i) {
    const CatalogColumn& column = sql.column(i);
    if (column.sequence.empty() && !column.has_default) continue;
    if (column.codec != Codec::integer || column.is_boolean || column.type == "oid") continue;
    names += (names.empty() ? "" : ", ") + quoted_text(sql.spec().columns[i].name);
  }
  if (names.empty()) return entry->second;
  const Rows rows = connection_.run_prepared(
      "SELECT format('%I.%I', n.nspname, s.relname), c.attname::text FROM (" + std::string(kFills) +
          ") f JOIN pg_attribute c ON c.attrelid = f.relation AND c.attnum = f.number JOIN "
          "pg_class s ON s.oid = f.sequence JOIN pg_namespace n ON n.oid = s.relnamespace WHERE "
          "s.relkind = 'S' AND f.relation = $1::oid AND c.attname IN (" +
          names + ") AND " + may_move_sequence("current_user"),
      {sql.catalog().oid});
  for (int i = 0; i < rows.size(); ++i) {
    Filled filled{.sequence = rows.text(i, 0),
                  .column = quoted_name(rows.bytes(i, 1)),
                  .table = sql.table(),
                  .table_id = sql.id()};
    for (const std::size_t position : sql.spec().key) {
      filled.numbers_key |=
          sql.name(position) == filled.column && sql.column(position).sequence == filled.sequence;
    }
    entry->second.push_back(std::move(filled));
  }
  return entry->second;
}

// An application that draws its next number after a session must not draw one that came with it.
// Sequences stand outside of transactions; that one moves on although a commit fails harms nobody.
// Steps are kept: of two sites of which one counts odd numbers none may be moved to even ones.
void PostgresqlNode::raise_sequences() {
  if (grown_.empty()) return;
  const std::map<std::int64_t, KeyRange> ranges = own_key_ranges();
  for (const Filled& filled : grown_) {
    // Keys of other nodes' ranges do not matter to a sequence that has a range of its own, nor do
    // those that it will never reach.
    const std::string column = "t." + filled.column;
    std::string within = column + " <= q.seqmax";
    const auto range = ranges.find(filled.table_id);
    if (range != ranges.end() && filled.numbers_key) {
      within += " AND " + column + " BETWEEN " + std::to_string(range->second.low) + " AND " +
                std::to_string(range->second.high);
    }
    const std::string quoted = quoted_text(filled.sequence);
    const Rows rows = connection_.run_prepared(
        "SELECT least(steps, $1::bigint + 1)::bigint, (last + steps * by)::bigint FROM (SELECT "
        "least(floor((g.top - l.last - 1) / q.seqincrement) + 1, floor((q.seqmax - l.last) / "
        "q.seqincrement)) AS steps, l.last, q.seqincrement AS by FROM " +
            filled.sequence +
            " AS s CROSS JOIN pg_catalog.pg_sequence AS q CROSS JOIN LATERAL (SELECT CASE WHEN "
            "s.is_called THEN s.last_value::numeric ELSE s.last_value::numeric - q.seqincrement "
            "END AS last) AS l CROSS JOIN LATERAL (SELECT max(" +
            column + ") AS top FROM " + filled.table + " AS t WHERE " + within +
            ") AS g WHERE q.seqrelid = " + quoted +
            "::regclass AND q.seqincrement > 0 AND g.top > l.last) AS n",
        {std::to_string(kDrawn)});
    if (rows.empty() || rows.integer(0, 0) == 0) continue;
    if (rows.integer(0, 0) > kDrawn) {
      connection_.query("SELECT pg_catalog.setval(" + quoted + ", $1)",
                        {std::to_string(rows.integer(0, 1))});
    } else {
      connection_.query("SELECT max(n) FROM (SELECT pg_catalog.nextval(" + quoted +
                        ") AS n FROM generate_series(1, " + std::to_string(rows.integer(0, 0)) +
                        ")) AS drawn");
    }
  }
  grown_.clear();
}

}  // namespace tidemark::postgresql
