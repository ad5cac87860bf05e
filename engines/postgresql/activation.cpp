// Control tables and triggers: made, repaired, removed.
#include <algorithm>
#include <map>

#include "engines/postgresql/embedded_sql.h"
#include "engines/postgresql/identifiers.h"
#include "engines/postgresql/postgresql_node.h"
#include "model/exchange.h"

namespace tidemark::postgresql {
namespace {

/// Control tables that exist once in a database, by the names of their files.
constexpr const char* kNodeTables[] = {"tidemark_node",           "tidemark_origin",
                                       "tidemark_table",          "tidemark_knowledge",
                                       "tidemark_forgotten",      "tidemark_baseline_seen",
                                       "tidemark_peer_knowledge", "tidemark_session",
                                       "tidemark_session_table",  "tidemark_conflict",
                                       "tidemark_quarantine",     "tidemark_recent_since",
                                       "tidemark_peer",           "tidemark_key_range",
                                       "tidemark_heartbeat",      "tidemark_run"};

/// Statements that have a capture function of their own.
struct StatementKind {
  const char* operation;
  const char* inserted;  // what follows the key in the log
  const char* rows;      // the transition table
  bool is_update;
};
constexpr StatementKind kStatementKinds[] = {{"insert", ", true", "new_rows", false},
                                             {"update", "", "new_rows", true},
                                             {"delete", "", "old_rows", false}};

constexpr char kMovesUnseen[] =
    "it has a new trigger that fires before rows are updated, and old keys of rows to which that "
    "gives another are not captured yet";

/// Before the digest of capture that sees moves again, while what moved unseen is still to be
/// found.
constexpr char kMovesWatched[] = "moves are watched; ";

std::string function_name(std::int64_t id) { return "tidemark.capture_" + std::to_string(id); }

/// The type of a key column in the change log: wide enough for whatever the column may become, so
/// that no change of the table makes the application's writes fail.
std::string log_type(const CatalogColumn& column) {
  if (column.codec == Codec::integer && !column.is_boolean) return "bigint";
  if (column.type.starts_with("character varying")) return "text";
  return column.type;
}

std::string key_definitions(const TableSpec& spec, const CatalogTable& table) {
  std::string text;
  for (std::size_t i = 0; i < spec.key.size(); ++i) {
    const CatalogColumn& column = table.columns.at(spec.columns[spec.key[i]].name);
    if (i > 0) text += ", ";
    text += "k" + std::to_string(i + 1) + " " + log_type(column) + column.collation;
  }
  return text;
}

/// How the capture function finds the key: by position where the rows of all statements look alike,
/// so that a renamed column does not make applications fail; by name where partitions may order
/// their columns otherwise.
struct KeyReading {
  std::string keys;
  std::string alias;
};

/// What the capture function calls a column by its position: a name that no application gives.
std::string position_name(std::size_t ordinal) {
  return "\"tidemark column " + std::to_string(ordinal) + "\"";
}

KeyReading read_key(const TableSpec& spec, const CatalogTable& table) {
  KeyReading reading;
  const bool by_name = table.is_partitioned;
  std::size_t last = 0;
  for (const std::size_t position : spec.key) {
    const std::string& name = spec.columns[position].name;
    const std::size_t ordinal = table.columns.at(name).ordinal;
    last = std::max(last, ordinal);
    if (!reading.keys.empty()) reading.keys += ", ";
    reading.keys += "r." + (by_name ? quoted_name(name) : position_name(ordinal));
  }
  // Without a name before it, a column called like one of the function's variables would be both.
  reading.alias = " AS r";
  if (by_name) return reading;
  reading.alias += "(";
  for (std::size_t i = 1; i <= last; ++i) {
    reading.alias += (i > 1 ? ", " : "") + position_name(i);
  }
  reading.alias += ")";
  return reading;
}

std::string key_moved(const TableSpec& spec) {
  std::string text;
  for (const std::size_t position : spec.key) {
    const std::string name = quoted_name(spec.columns[position].name);
    text += (text.empty() ? "old." : " OR old.") + name + " IS DISTINCT FROM new." + name;
  }
  return text;
}

std::string joined_names(const TableSpec& spec, const std::vector<std::size_t>& positions) {
  std::string text;
  for (const std::size_t position : positions) {
    if (!text.empty()) text += ", ";
    text += quoted_name(spec.columns[position].name);
  }
  return text;
}

std::string doubled(const std::string& text, char quote) {
  std::string result;
  for (const char c : text) {
    if (c == quote) result += quote;
    result += c;
  }
  return result;
}

/// What encloses the body of a function: nothing that a name of the application holds.
std::string dollar_quote(const CatalogTable& table) {
  std::string names = table.quoted;
  for (const std::size_t position : table.spec.key) {
    names += "\n" + table.spec.columns[position].name;
  }
  std::string quote = "$tidemark$";
  for (int i = 1; names.find(quote) != std::string::npos; ++i) {
    quote = "$tidemark_" + std::to_string(i) + "$";
  }
  return quote;
}

std::string percents_doubled(const std::string& text) { return doubled(text, '%'); }

std::string joined_names(const std::vector<std::string>& columns) {
  std::string text;
  for (const std::string& column : columns) {
    if (!text.empty()) text += ", ";
    text += quoted_name(column);
  }
  return text;
}

std::string foreign_key(const ForeignKeySpec& key) {
  return "FOREIGN KEY (" + joined_names(key.columns) + ") REFERENCES " +
         quoted_table(key.parent_table) + " (" + joined_names(key.parent_columns) + ")" +
         on_delete_clause(key.on_delete) + " DEFERRABLE";
}

/// The statement for a table that was described by a node: columns, key, uniques.
std::string definition_of(const TableSpec& spec) {
  std::string text = "CREATE TABLE " + quoted_table(spec.name) + " (";
  for (std::size_t i = 0; i < spec.columns.size(); ++i) {
    const ColumnSpec& column = spec.columns[i];
    if (i > 0) text += ", ";
    text +=
        quoted_name(column.name) + " " +
        (column.form == Form::loose ? formed_type_for(column, spec.strict) : column.declared_type);
    if (column.not_null) text += " NOT NULL";
    // Numbers that SQLite gives by itself.
    if (column.form == Form::loose && spec.integer_key && spec.key.front() == i) {
      text += " GENERATED BY DEFAULT AS IDENTITY";
    }
  }
  text += ", PRIMARY KEY (" + joined_names(spec, spec.key) + ")";
  for (const UniqueSpec& unique : spec.uniques) {
    if (unique.partial || unique.has_expression) continue;
    text += ", UNIQUE (" + joined_names(spec, unique.columns) + ")";
  }
  return text + ")";
}

/// The key as the capture function was made for it: a column that is dropped before it moves it.
std::string key_layout(const CatalogTable& table) {
  std::string text;
  for (const std::size_t position : table.spec.key) {
    const std::string& name = table.spec.columns[position].name;
    const CatalogColumn& column = table.columns.at(name);
    text += ";" + std::to_string(column.ordinal) + " " + name + " " + column.type;
  }
  return text;
}

}  // namespace

void PostgresqlNode::define(const std::string& sql) {
  connection_.execute(sql);
  catalog_transaction_ = 0;
  if (script_ != nullptr) script_->push_back(sql);
}

void PostgresqlNode::create_control_tables(const Identity& identity) {
  const Rows exists = connection_.query("SELECT FROM pg_namespace WHERE nspname = 'tidemark'");
  if (!exists.empty()) {
    throw Error(ExitCode::not_ready,
                "node " + name() + " has a schema named tidemark that is not Tidemark's",
                "Rename it: Tidemark keeps its records under this name.");
  }
  const Rows may = connection_.query(
      "SELECT has_database_privilege(current_database(), 'CREATE'), current_database()::text, "
      "current_user::text");
  if (!may.boolean(0, 0)) {
    throw Error(
        ExitCode::not_ready,
        "node " + name() + ": role " + may.text(0, 2) + " may not make a schema in database " +
            may.text(0, 1),
        "Set owner for the node to the owner of the database, or GRANT CREATE ON DATABASE " +
            quoted_name(may.bytes(0, 1)) + " TO " + quoted_name(may.bytes(0, 2)) + ".");
  }
  define("CREATE SCHEMA tidemark");
  for (const char* table : kNodeTables) define(render(table, {}));
  made_control_tables_ = has_control_tables_ = true;
  set_identity(identity);
}

// Of tables that refer to each other the first is made when the other is not there yet: a key waits
// for the table that it names. One to a table that nobody makes cannot be had here.
void PostgresqlNode::create_table(const TableSpec& like) {
  define(definition_of(like));
  for (const ForeignKeySpec& key : like.foreign_keys) {
    owed_keys_.emplace_back(key.parent_table,
                            "ALTER TABLE " + quoted_table(like.name) + " ADD " + foreign_key(key));
  }
  std::erase_if(owed_keys_, [&](const auto& owed) {
    const Rows is_there = connection_.run_prepared("SELECT pg_catalog.to_regclass($1) IS NOT NULL",
                                                   {quoted_table(owed.first)});
    if (!is_there.boolean(0, 0)) return false;
    define(owed.second);
    return true;
  });
}

CatalogTable PostgresqlNode::require_table(const std::string& table) {
  for (CatalogTable& candidate : read_catalog(connection_)) {
    if (candidate.spec.name != table) continue;
    if (!candidate.spec.refusal.empty()) {
      throw Error(ExitCode::not_ready,
                  "node " + name() + ": table " + table + " " + candidate.spec.refusal,
                  "Change the table, or take it out of the job.");
    }
    return std::move(candidate);
  }
  throw Error(ExitCode::not_ready, "node " + name() + " has no table " + table,
              "Create it, or take it out of the job.");
}

void PostgresqlNode::create_tables(const CatalogTable& table, std::int64_t id) {
  const std::string number = std::to_string(id);
  const std::string keys = key_definitions(table.spec, table);
  std::string key;
  for (std::size_t i = 1; i <= table.spec.key.size(); ++i) {
    key += (i > 1 ? ", k" : "k") + std::to_string(i);
  }
  define(render("log", {{"id", number}, {"key_definitions", keys}}));
  define(render("version", {{"id", number}, {"key_definitions", keys}, {"key", key}}));
  define(render("recent", {{"id", number}, {"key_definitions", keys}}));
}

void PostgresqlNode::drop_tables(std::int64_t id) {
  define("DROP TABLE IF EXISTS " + log_table(id) + ", " + version_table(id) + ", " +
         recent_table(id));
}

// A trigger could be made with less; but its function reads the table when it is truncated, in the
// name of who made it, and a table of somebody else cannot be granted to sessions.
void PostgresqlNode::require_ownership(const CatalogTable& table) {
  const Rows foreign = connection_.query(
      "SELECT format('%I.%I', n.nspname, c.relname), pg_get_userbyid(c.relowner)::text, "
      "current_user::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE "
      "(c.oid "
      "= $1::oid OR c.oid IN (SELECT relid FROM pg_partition_tree($1::oid::regclass))) AND NOT "
      "pg_has_role(c.relowner, 'USAGE') ORDER BY c.oid <> $1::oid, 1",
      {table.oid});
  if (foreign.empty()) return;
  throw Error(ExitCode::not_ready,
              "node " + name() + ": table " + foreign.text(0, 0) + " belongs to role " +
                  foreign.text(0, 1) + ", and role " + foreign.text(0, 2) +
                  " may not put it under capture",
              "Set owner for the node to a role that owns all tables of its jobs (ALTER TABLE " +
                  foreign.text(0, 0) + " OWNER TO " + quoted_name(foreign.bytes(0, 2)) +
                  "; or GRANT " + quoted_name(foreign.bytes(0, 1)) + " TO " +
                  quoted_name(foreign.bytes(0, 2)) + "), or take the table out of the job.");
}

void PostgresqlNode::create_triggers(const CatalogTable& table, std::int64_t id) {
  require_ownership(table);
  const std::string number = std::to_string(id);
  const KeyReading reading = read_key(table.spec, table);
  const std::string skip_session = render("skip_session", {{"id", number}}) + ";\n";
  std::string update = render(table.is_partitioned ? "update_and_move" : "old_key",
                              {{"id", number}, {"keys", reading.keys}, {"alias", reading.alias}});
  const std::string moved_row =
      table.is_partitioned ? render("moved_row", {{"id", number}, {"keys", reading.keys}}) + ";\n"
                           : "";
  define(render("written_by_session", {{"id", number}}));
  define("REVOKE ALL ON FUNCTION " + function_name(id) + "_by_session() FROM PUBLIC");
  define(render("capture_function",
                {{"id", number},
                 {"moved_row", moved_row},
                 {"update", update + ";"},
                 {"skip_session", skip_session},
                 {"quote", dollar_quote(table)},
                 {"truncated_keys",
                  doubled(percents_doubled(joined_names(table.spec, table.spec.key)), '\'')}}));
  define("REVOKE ALL ON FUNCTION " + function_name(id) + "() FROM PUBLIC");
  for (const StatementKind& kind : kStatementKinds) {
    if (kind.is_update && table.is_partitioned) continue;
    define(render("capture_statement", {{"id", number},
                                        {"operation", kind.operation},
                                        {"inserted", kind.inserted},
                                        {"rows", kind.rows},
                                        {"skip_session", skip_session},
                                        {"quote", dollar_quote(table)},
                                        {"keys", reading.keys},
                                        {"alias", reading.alias}}));
    define("REVOKE ALL ON FUNCTION " + function_name(id) + "_" + kind.operation + "() FROM PUBLIC");
  }
  if (table.is_partitioned) {
    std::vector<std::string> branches = table.branches;
    branches.insert(branches.begin(), table.quoted);
    for (const std::string& branch : branches) {
      define(render("capture_moving", {{"id", number}, {"table", branch}}));
    }
    define(render("capture_left", {{"id", number}, {"table", table.quoted}}));
    define(render("capture_came", {{"id", number}, {"table", table.quoted}}));
  }
  std::vector<std::string> relations = table.partitions;
  relations.insert(relations.begin(), table.quoted);
  for (const std::string& relation : relations) {
    const std::map<std::string, std::string> values = {{"id", number}, {"table", relation}};
    for (const char* trigger : {"capture_insert", "capture_delete", "capture_truncate"}) {
      define(render(trigger, values));
    }
    std::map<std::string, std::string> update_values = values;
    update_values["statement"] = table.is_partitioned ? "" : "_update";
    update_values["old_rows"] = table.is_partitioned ? "OLD TABLE AS old_rows " : "";
    define(render("capture_update", update_values));
    define(render("capture_off", values));
  }
  if (!table.is_partitioned) create_move_triggers(table, id);
}

void PostgresqlNode::create_move_triggers(const CatalogTable& table, std::int64_t id) {
  const std::string number = std::to_string(id);
  std::map<std::string, std::string> values = {{"id", number},
                                               {"table", table.quoted},
                                               {"name", "move"},
                                               {"of_key", ""},
                                               {"key_moved", key_moved(table.spec)}};
  if (table.has_update_triggers) {
    define(render("capture_move", values));
    return;
  }
  values["name"] = "any_move";
  define(render("capture_move", values));
  define("ALTER TABLE " + table.quoted + " DISABLE TRIGGER tidemark_" + number + "_any_move");
  values["name"] = "move";
  values["of_key"] = "OF " + joined_names(table.spec, table.spec.key) + " ";
  define(render("capture_move", values));
  define(render("watch_moves",
                {{"id", number}, {"table", table.quoted}, {"quote", dollar_quote(table)}}));
  define("REVOKE ALL ON FUNCTION " + function_name(id) + "_watch_moves() FROM PUBLIC");
}

void PostgresqlNode::drop_triggers(std::int64_t id) {
  const std::string prefix = "tidemark_" + std::to_string(id) + "_";
  const Rows rows = connection_.query(
      "SELECT t.tgname::text, n.nspname::text, c.relname::text FROM pg_catalog.pg_trigger t JOIN "
      "pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = "
      "c.relnamespace WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND "
      "starts_with(t.tgname::text, $1)",
      {prefix});
  for (int i = 0; i < rows.size(); ++i) {
    define("DROP TRIGGER " + quoted_name(rows.bytes(i, 0)) + " ON " +
           quoted_name(rows.bytes(i, 1)) + "." + quoted_name(rows.bytes(i, 2)));
  }
  define("DROP FUNCTION IF EXISTS " + function_name(id) + "()");
  define("DROP FUNCTION IF EXISTS " + function_name(id) + "_by_session()");
  for (const StatementKind& kind : kStatementKinds) {
    define("DROP FUNCTION IF EXISTS " + function_name(id) + "_" + kind.operation + "()");
  }
}

// What the server prints of all that captures a table: triggers of the table and of its partitions,
// the functions, the columns of log and versions. Whatever is changed, lost or added changes it.
std::map<std::int64_t, PostgresqlNode::Capture> PostgresqlNode::captures(
    std::optional<std::int64_t> only) {
  const Rows rows = connection_.run_prepared(
      "WITH trigger AS (SELECT t.oid, t.tgrelid, t.tgname, t.tgenabled, t.tgisinternal, "
      "substring(t.tgname::text FROM '^tidemark_([0-9]+)_')::bigint AS id FROM "
      "pg_catalog.pg_trigger t WHERE starts_with(t.tgname::text, 'tidemark_')), "
      "relation AS (SELECT DISTINCT t.id, p.relid FROM trigger t CROSS JOIN LATERAL (SELECT "
      "t.tgrelid AS relid UNION SELECT relid FROM pg_catalog.pg_partition_tree(t.tgrelid)) p WHERE "
      "NOT t.tgisinternal) "
      // A partition that was detached keeps its triggers, and is part of nothing.
      "SELECT k.id, md5(coalesce((SELECT string_agg(r.relid::regclass::text || coalesce((SELECT ' "
      "of "
      "' || i.inhparent::regclass::text FROM pg_catalog.pg_inherits i WHERE i.inhrelid = r.relid), "
      "'') || coalesce((SELECT "
      "string_agg(pg_catalog.pg_get_triggerdef(t.oid) || t.tgenabled::text, ';' ORDER BY t.tgname) "
      "FROM trigger t WHERE t.tgrelid = r.relid AND t.id = k.id), ''), ';' ORDER BY "
      "r.relid::regclass::text) FROM relation r WHERE r.id = k.id), '') || coalesce((SELECT "
      "string_agg(pg_catalog.pg_get_functiondef(p.oid), ';' ORDER BY p.proname) FROM "
      "pg_catalog.pg_proc p WHERE p.pronamespace = to_regnamespace('tidemark') AND p.proname IN "
      "('capture_' || k.id, 'capture_' || k.id || '_insert', 'capture_' || k.id || '_update', "
      "'capture_' || k.id || '_delete', 'capture_' || k.id || '_by_session', 'capture_' || k.id || "
      "'_watch_moves')), '') || "
      "coalesce((SELECT "
      "string_agg(c.relname || '.' || a.attname || ' ' || pg_catalog.format_type(a.atttypid, "
      "a.atttypmod) || a.attnotnull || coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), ''), "
      "';' ORDER BY c.relname, a.attnum) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a "
      "ON a.attrelid = c.oid AND a.attnum > 0 LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = "
      "c.oid AND d.adnum = a.attnum WHERE c.oid IN "
      "(to_regclass('tidemark.log_' || k.id), to_regclass('tidemark.version_' || k.id))), '')), "
      "EXISTS (SELECT FROM trigger t WHERE t.tgname = 'tidemark_' || k.id || '_any_move' AND "
      "t.tgenabled = 'D') "
      "FROM tidemark.captured_table k WHERE $1::bigint IS NULL OR k.id = $1",
      {only ? Parameter(std::to_string(*only)) : Parameter()});
  std::map<std::int64_t, Capture> captures;
  for (int i = 0; i < rows.size(); ++i) {
    captures[rows.integer(i, 0)] = {.digest = rows.text(i, 1),
                                    .expects_no_moves = rows.boolean(i, 2)};
  }
  return captures;
}

std::string PostgresqlNode::capture_digest(std::int64_t id) { return captures(id).at(id).digest; }

void PostgresqlNode::install_capture(const TableSpec& table, const BaselineId& baseline) {
  const CatalogTable found = require_table(table.name);
  const Rows next = connection_.query(
      "INSERT INTO tidemark.captured_table(id, name, shape, capture, baseline, clock_floor_us, "
      "mirrored_sequence) SELECT coalesce(max(id), 0) + 1, $1, $2, '', $3, 0, 0 FROM "
      "tidemark.captured_table RETURNING id",
      {found.spec.name, found.spec.shape(), baseline.to_string()});
  const std::int64_t id = next.integer(0, 0);
  const std::string number = std::to_string(id);
  connection_.query("INSERT INTO tidemark.baseline_seen VALUES ($1, $2)",
                    {number, baseline.to_string()});
  const OriginId own = origin_in(connection_.run_prepared(kOwnOrigin, {}));
  connection_.query("INSERT INTO tidemark.knowledge VALUES ($1, $2, 0)",
                    {number, std::to_string(origins_.number(own))});
  create_tables(found, id);
  create_triggers(found, id);
  note_capture(found, id);
}

void PostgresqlNode::repair_capture(const ActiveTable& table) {
  const CatalogTable found = require_table(table.spec.name);
  const std::string number = std::to_string(table.id);
  drop_triggers(table.id);
  // Control tables whose key columns are no longer those of the table mean nothing any more.
  const std::string wanted = key_definitions(found.spec, found);
  connection_.execute("CREATE TEMP TABLE tidemark_wanted (" + wanted + ")");
  const Rows same = connection_.query(
      "SELECT bool_and(k.definition IS NOT DISTINCT FROM w.definition) AND count(*) > 0 FROM "
      "(SELECT "
      "a.attrelid, string_agg(a.attname || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod) "
      "|| ' ' "
      "|| a.attcollation, ',' ORDER BY a.attnum) AS definition FROM pg_catalog.pg_attribute a "
      "WHERE "
      "a.attname ~ '^k[0-9]+$' AND a.attrelid IN (to_regclass('tidemark.log_' || $1), "
      "to_regclass('tidemark.version_' || $1)) GROUP BY 1) k CROSS JOIN (SELECT "
      "string_agg(a.attname "
      "|| ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod) || ' ' || a.attcollation, ',' "
      "ORDER BY "
      "a.attnum) AS definition FROM pg_catalog.pg_attribute a WHERE a.attnum > 0 AND a.attrelid = "
      "'pg_temp.tidemark_wanted'::regclass) w HAVING count(*) = 2",
      {number});
  connection_.execute("DROP TABLE pg_temp.tidemark_wanted");
  const bool versions_lost = same.empty() || !same.boolean(0, 0);
  if (versions_lost) {
    drop_tables(table.id);
    create_tables(found, table.id);
  } else {
    // What log.sql says of it, should somebody have altered that.
    define("ALTER TABLE " + log_table(table.id) + " ALTER touched_at SET DEFAULT " +
           "pg_catalog.clock_timestamp(), ALTER touched_at SET NOT NULL");
  }
  create_triggers(found, table.id);
  connection_.query(
      "UPDATE tidemark.captured_table SET name = $2, shape = $3, capture = $4 WHERE id = $1",
      {number, found.spec.name, found.spec.shape(), capture_digest(table.id) + key_layout(found)});
  tables_.erase(table.id);
  catalog_[found.spec.name] = found;
  if (!versions_lost) return;
  ActiveTable repaired = table;
  repaired.spec = found.spec;
  touch_all(repaired);
}

void PostgresqlNode::watch_moves(const ActiveTable& table) {
  wait_for_tables_shortly();
  if (may_define(table.spec)) {
    define("ALTER TABLE " + require_table(table.spec.name).quoted + " ENABLE TRIGGER tidemark_" +
           std::to_string(table.id) + "_any_move");
  } else {
    connection_.query("SELECT " + function_name(table.id) + "_watch_moves()");
  }
  note_capture(require_table(table.spec.name), table.id, kMovesWatched);
}

void PostgresqlNode::note_moves_seen(const ActiveTable& table) {
  note_capture(require_table(table.spec.name), table.id);
}

void PostgresqlNode::note_capture(const CatalogTable& table, std::int64_t id,
                                  const std::string& remark) {
  connection_.query("UPDATE tidemark.captured_table SET capture = $2 WHERE id = $1",
                    {std::to_string(id), remark + capture_digest(id) + key_layout(table)});
}

void PostgresqlNode::note_shape(const ActiveTable& table) {
  connection_.query("UPDATE tidemark.captured_table SET shape = $2 WHERE id = $1",
                    {std::to_string(table.id), table.current_shape});
  tables_.erase(table.id);
}

bool PostgresqlNode::may_define(const TableSpec& table) {
  load_catalog();
  const auto found = catalog_.find(table.name);
  if (found == catalog_.end()) return false;
  return connection_
      .query(
          "SELECT pg_has_role(c.relowner, 'USAGE') AND has_schema_privilege('tidemark', 'CREATE') "
          "FROM pg_class c WHERE c.oid = $1::oid",
          {found->second.oid})
      .boolean(0, 0);
}

void PostgresqlNode::remove_capture(const ActiveTable& table) {
  tables_.erase(table.id);
  release_key_counter(table.id);
  drop_triggers(table.id);
  define("DROP FUNCTION IF EXISTS " + function_name(table.id) + "_watch_moves()");
  drop_tables(table.id);
  const std::string number = std::to_string(table.id);
  for (const char* control : {"knowledge", "forgotten", "baseline_seen", "peer_knowledge",
                              "quarantine", "recent_since", "peer", "key_range"}) {
    connection_.query(std::string("DELETE FROM tidemark.") + control + " WHERE table_id = $1",
                      {number});
  }
  connection_.query("DELETE FROM tidemark.captured_table WHERE id = $1", {number});
}

void PostgresqlNode::remove_control_tables() {
  const Rows ids = connection_.query("SELECT id FROM tidemark.captured_table ORDER BY id");
  tables_.clear();
  for (int i = 0; i < ids.size(); ++i) release_key_counter(ids.integer(i, 0));
  for (int i = 0; i < ids.size(); ++i) drop_triggers(ids.integer(i, 0));
  take_back_grants();
  define("DROP SCHEMA tidemark CASCADE");
  origins_.forget();
  has_control_tables_ = false;
}

std::vector<ActiveTable> PostgresqlNode::active_tables() {
  std::vector<ActiveTable> tables;
  if (!identity()) return tables;
  load_catalog();
  const Rows rows = connection_.run_prepared(
      "SELECT id, name, shape, capture FROM tidemark.captured_table ORDER BY name COLLATE \"C\"",
      {});
  const std::map<std::int64_t, Capture> captured = captures(std::nullopt);
  for (int i = 0; i < rows.size(); ++i) {
    ActiveTable table;
    table.id = rows.integer(i, 0);
    table.spec.name = rows.text(i, 1);
    table.activated_shape = rows.text(i, 2);
    const auto found = catalog_.find(table.spec.name);
    if (found == catalog_.end()) {
      table.health = CaptureHealth::table_missing;
    } else {
      table.spec = found->second.spec;
      table.current_shape = table.spec.shape();
      // What looks at deferrable constraints in the server is a trigger too.
      table.fire_triggers = !found->second.deferrable_uniques.empty() ||
                            found->second.has_eternal_row_triggers ||
                            (found->second.has_row_triggers && !may_silence());
      // The definition may have changed since statements were made for it.
      if (const auto kept = tables_.find(table.id);
          kept != tables_.end() && kept->second &&
          kept->second->catalog().columns != found->second.columns) {
        tables_.erase(kept);
      }
      const Capture& capture = captured.at(table.id);
      std::string noted = rows.text(i, 3);
      const bool is_half_mended = noted.starts_with(kMovesWatched);
      if (is_half_mended) noted.erase(0, sizeof kMovesWatched - 1);
      const bool intact =
          table.spec.refusal.empty() && capture.digest + key_layout(found->second) == noted;
      if (!intact) {
        table.health = CaptureHealth::missing;
      } else if (is_half_mended ||
                 (capture.expects_no_moves && found->second.has_update_triggers)) {
        table.health = CaptureHealth::moves_unseen;
        table.capture_fault = kMovesUnseen;
      }
    }
    tables.push_back(std::move(table));
  }
  return tables;
}

}  // namespace tidemark::postgresql
