// Control tables and triggers: made, repaired, removed.
#include <algorithm>

#include "engines/postgresql/embedded_sql.h"
#include "engines/postgresql/identifiers.h"
#include "engines/postgresql/postgresql_node.h"

namespace tidemark::postgresql {
namespace {

/// Control tables that exist once in a database, by the names of their files.
constexpr const char* kNodeTables[] = {"tidemark_node",           "tidemark_origin",
                                       "tidemark_table",          "tidemark_knowledge",
                                       "tidemark_forgotten",      "tidemark_baseline_seen",
                                       "tidemark_peer_knowledge", "tidemark_session",
                                       "tidemark_session_table",  "tidemark_conflict"};

constexpr const char* kTriggers[] = {"capture_insert", "capture_update", "capture_delete",
                                     "capture_truncate"};

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

KeyReading read_key(const TableSpec& spec, const CatalogTable& table) {
  KeyReading reading;
  const bool by_name = table.is_partitioned;
  std::size_t last = 0;
  for (const std::size_t position : spec.key) {
    const std::string& name = spec.columns[position].name;
    const std::size_t ordinal = table.columns.at(name).ordinal;
    last = std::max(last, ordinal);
    if (!reading.keys.empty()) reading.keys += ", ";
    reading.keys += by_name ? quoted_name(name) : "r.c" + std::to_string(ordinal);
  }
  if (by_name) return reading;
  reading.alias = " AS r(";
  for (std::size_t i = 1; i <= last; ++i) {
    reading.alias += (i > 1 ? ", c" : "c") + std::to_string(i);
  }
  reading.alias += ")";
  return reading;
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

std::string percents_doubled(const std::string& text) { return doubled(text, '%'); }

/// Statements for a table that was described by a node: columns, key, uniques, foreign keys.
std::vector<std::string> definition_of(const TableSpec& spec) {
  std::string text = "CREATE TABLE " + quoted_table(spec.name) + " (";
  for (std::size_t i = 0; i < spec.columns.size(); ++i) {
    const ColumnSpec& column = spec.columns[i];
    if (i > 0) text += ", ";
    text += quoted_name(column.name) + " " + column.declared_type;
    if (column.not_null) text += " NOT NULL";
  }
  text += ", PRIMARY KEY (" + joined_names(spec, spec.key) + ")";
  for (const UniqueSpec& unique : spec.uniques) {
    if (unique.partial || unique.has_expression) continue;
    text += ", UNIQUE (" + joined_names(spec, unique.columns) + ")";
  }
  for (const ForeignKeySpec& foreign_key : spec.foreign_keys) {
    const auto names = [](const std::vector<std::string>& columns) {
      std::string joined;
      for (const std::string& column : columns) {
        if (!joined.empty()) joined += ", ";
        joined += quoted_name(column);
      }
      return joined;
    };
    text += ", FOREIGN KEY (" + names(foreign_key.columns) + ") REFERENCES " +
            quoted_table(foreign_key.parent_table) + " (" + names(foreign_key.parent_columns) +
            ") DEFERRABLE";
  }
  return {text + ")"};
}

}  // namespace

void PostgresqlNode::define(const std::string& sql) {
  connection_.execute(sql);
  if (script_ != nullptr) script_->push_back(sql);
}

void PostgresqlNode::create_control_tables(const Identity& identity) {
  const Rows exists = connection_.query("SELECT FROM pg_namespace WHERE nspname = 'tidemark'");
  if (!exists.empty()) {
    throw Error(ExitCode::not_ready,
                "node " + name() + " has a schema named tidemark that is not Tidemark's",
                "Rename it: Tidemark keeps its records under this name.");
  }
  define("CREATE SCHEMA tidemark");
  for (const char* table : kNodeTables) define(render(table, {}));
  made_control_tables_ = has_control_tables_ = true;
  set_identity(identity);
}

void PostgresqlNode::create_table(const TableSpec& like) {
  const std::vector<std::string> definition =
      like.definition.empty() ? definition_of(like) : like.definition;
  for (const std::string& sql : definition) define(sql);
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
  define(render("version_sequence", {{"id", number}}));
}

void PostgresqlNode::create_triggers(const CatalogTable& table, std::int64_t id) {
  const std::string number = std::to_string(id);
  const KeyReading reading = read_key(table.spec, table);
  define(render("capture_function",
                {{"id", number},
                 {"keys", reading.keys},
                 {"alias", reading.alias},
                 {"truncated_keys",
                  doubled(percents_doubled(joined_names(table.spec, table.spec.key)), '\'')}}));
  define("REVOKE ALL ON FUNCTION " + function_name(id) + "() FROM PUBLIC");
  const std::string by_others = render("by_others", {});
  std::vector<std::string> relations = table.partitions;
  relations.insert(relations.begin(), table.quoted);
  for (const std::string& relation : relations) {
    for (const char* trigger : kTriggers) {
      define(render(trigger, {{"id", number}, {"table", relation}, {"by_others", by_others}}));
    }
  }
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
}

// What the server prints of all that captures a table: triggers of the table and of its partitions,
// the function, the columns of log and versions. Whatever is changed, lost or added changes it.
std::string PostgresqlNode::capture_digest(std::int64_t id) {
  const std::string number = std::to_string(id);
  return connection_
      .run_prepared(
          "WITH relations AS (SELECT DISTINCT p.relid FROM pg_catalog.pg_trigger t CROSS JOIN "
          "LATERAL "
          "(SELECT t.tgrelid AS relid UNION SELECT relid FROM "
          "pg_catalog.pg_partition_tree(t.tgrelid)) p "
          "WHERE NOT t.tgisinternal AND starts_with(t.tgname::text, 'tidemark_' || $1 || '_')) "
          "SELECT md5(coalesce((SELECT string_agg(r.relid::regclass::text || coalesce((SELECT "
          "string_agg(pg_catalog.pg_get_triggerdef(t.oid) || t.tgenabled::text, ';' ORDER BY "
          "t.tgname) FROM "
          "pg_catalog.pg_trigger t WHERE t.tgrelid = r.relid AND starts_with(t.tgname::text, "
          "'tidemark_' || "
          "$1 || '_')), ''), ';' ORDER BY r.relid::regclass::text) FROM relations r), '') || "
          "coalesce((SELECT pg_catalog.pg_get_functiondef(p.oid) FROM pg_catalog.pg_proc p WHERE "
          "p.oid = "
          "to_regprocedure('tidemark.capture_' || $1 || '()')), '') || coalesce((SELECT "
          "string_agg(c.relname || '.' || a.attname || ' ' || pg_catalog.format_type(a.atttypid, "
          "a.atttypmod), ';' "
          "ORDER BY c.relname, a.attnum) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a "
          "ON a.attrelid = "
          "c.oid AND a.attnum > 0 WHERE c.oid IN (to_regclass('tidemark.log_' || $1), "
          "to_regclass('tidemark.version_' || $1))), ''))",
          {number})
      .text(0, 0);
}

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
  connection_.query("INSERT INTO tidemark.knowledge VALUES ($1, $2, 0)",
                    {number, std::to_string(origins_.number(own_origin()))});
  create_tables(found, id);
  create_triggers(found, id);
  connection_.query("UPDATE tidemark.captured_table SET capture = $2 WHERE id = $1",
                    {number, capture_digest(id)});
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
    define("DROP TABLE IF EXISTS " + log_table(table.id) + ", " + version_table(table.id));
    create_tables(found, table.id);
  }
  create_triggers(found, table.id);
  connection_.query(
      "UPDATE tidemark.captured_table SET name = $2, shape = $3, capture = $4 WHERE id = $1",
      {number, found.spec.name, found.spec.shape(), capture_digest(table.id)});
  tables_.erase(table.id);
  catalog_[found.spec.name] = found;
  if (!versions_lost) return;
  ActiveTable repaired = table;
  repaired.spec = found.spec;
  touch_all(repaired);
}

void PostgresqlNode::remove_capture(const ActiveTable& table) {
  tables_.erase(table.id);
  drop_triggers(table.id);
  define("DROP TABLE IF EXISTS " + log_table(table.id) + ", " + version_table(table.id));
  const std::string number = std::to_string(table.id);
  for (const char* control : {"knowledge", "forgotten", "baseline_seen", "peer_knowledge"}) {
    connection_.query(std::string("DELETE FROM tidemark.") + control + " WHERE table_id = $1",
                      {number});
  }
  connection_.query("DELETE FROM tidemark.captured_table WHERE id = $1", {number});
}

void PostgresqlNode::remove_control_tables() {
  const Rows ids = connection_.query("SELECT id FROM tidemark.captured_table ORDER BY id");
  tables_.clear();
  for (int i = 0; i < ids.size(); ++i) drop_triggers(ids.integer(i, 0));
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
      // The definition may have changed since statements were made for it.
      if (const auto kept = tables_.find(table.id);
          kept != tables_.end() && kept->second &&
          kept->second->catalog().columns != found->second.columns) {
        tables_.erase(kept);
      }
      const bool intact = table.spec.refusal.empty() && capture_digest(table.id) == rows.text(i, 3);
      table.health = intact ? CaptureHealth::intact : CaptureHealth::missing;
    }
    tables.push_back(std::move(table));
  }
  return tables;
}

}  // namespace tidemark::postgresql
