// Control tables and triggers: made, repaired, removed.
#include <algorithm>
#include <map>

#include "engines/sqlite/capture_objects.h"
#include "engines/sqlite/embedded_sql.h"
#include "engines/sqlite/identifiers.h"
#include "engines/sqlite/sqlite_node.h"
#include "engines/sqlite/statement.h"

namespace tidemark::sqlite {
namespace {

/// Statements for a table that another engine described: columns, key, uniques.
std::vector<std::string> definition_of(const TableSpec& spec) {
  std::string text = "CREATE TABLE " + quoted_name(spec.name) + " (";
  const auto names = [&spec](const std::vector<std::size_t>& positions) {
    std::string list;
    for (const std::size_t position : positions) {
      if (!list.empty()) list += ", ";
      list += quoted_name(spec.columns[position].name);
    }
    return list;
  };
  for (std::size_t i = 0; i < spec.columns.size(); ++i) {
    const ColumnSpec& column = spec.columns[i];
    if (i > 0) text += ", ";
    text += quoted_name(column.name);
    if (spec.integer_key && spec.key.front() == i) {
      text += " INTEGER PRIMARY KEY";
      continue;
    }
    const std::string type = loose_type_for(column);
    if (!type.empty()) text += " " + type;
    if (column.not_null) text += " NOT NULL";
    if (column.collation == Collation::nocase) text += " COLLATE NOCASE";
    if (column.collation == Collation::rtrim) text += " COLLATE RTRIM";
  }
  if (!spec.integer_key) text += ", PRIMARY KEY (" + names(spec.key) + ")";
  for (const ForeignKeySpec& foreign_key : spec.foreign_keys) {
    const auto list = [](const std::vector<std::string>& columns) {
      std::string joined;
      for (const std::string& column : columns) {
        if (!joined.empty()) joined += ", ";
        joined += quoted_name(column);
      }
      return joined;
    };
    text += ", FOREIGN KEY (" + list(foreign_key.columns) + ") REFERENCES " +
            quoted_name(foreign_key.parent_table) + " (" + list(foreign_key.parent_columns) + ")" +
            on_delete_clause(foreign_key.on_delete);
  }
  text += ")";
  if (spec.without_rowid) text += " WITHOUT ROWID";
  if (spec.strict) text += spec.without_rowid ? ", STRICT" : " STRICT";
  std::vector<std::string> statements = {text};
  for (const UniqueSpec& unique : spec.uniques) {
    if (unique.partial || unique.has_expression) continue;
    statements.push_back("CREATE UNIQUE INDEX " + quoted_name(spec.name + "_" + unique.name) +
                         " ON " + quoted_name(spec.name) + " (" + names(unique.columns) + ")");
  }
  return statements;
}

}  // namespace

void SqliteNode::define(const std::string& sql) {
  connection_.execute(sql);
  if (script_) script_->push_back(sql);
}

void SqliteNode::drop(const char* type, const std::string& name) {
  Statement exists(
      connection_,
      "SELECT 1 FROM sqlite_schema WHERE type = lower(?1) AND name = ?2 COLLATE NOCASE");
  exists.bind_text(1, type).bind_text(2, name);
  if (!exists.step()) return;
  exists.reset();
  define(std::string("DROP ") + type + " " + quoted_name(name));
}

std::set<std::string> SqliteNode::control_tables() {
  std::set<std::string> names;
  if (!identity()) return names;
  names.insert(node_table_names().begin(), node_table_names().end());
  Statement ids(connection_, "SELECT id FROM tidemark_table");
  while (ids.step()) {
    for (std::string& name : capture_table_names(ids.integer(0))) names.insert(std::move(name));
  }
  return names;
}

void SqliteNode::create_control_tables(const Identity& identity) {
  for (const std::string& table : node_table_names()) {
    Statement exists(connection_, "SELECT 1 FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE");
    exists.bind_text(1, table);
    if (exists.step()) {
      throw Error(ExitCode::not_ready,
                  "node " + name() + " has an object named " + table + " that is not Tidemark's",
                  "Rename it: Tidemark keeps its records under this name.");
    }
    define(render(table, {}));
  }
  set_identity(identity);
}

// SQLite tells no upper from lower case in names, where other products do.
void SqliteNode::require_new_names(const TableSpec& like) {
  const auto refuse = [&](const std::string& what, const std::string& other) {
    throw Error(ExitCode::not_ready,
                "node " + name() + ": table " + like.name + " cannot be made: " + what +
                    ", and SQLite takes the names " + other + " for one",
                "Give one of them another name under 'names' of the node, or exclude the table.");
  };
  Statement exists(connection_, "SELECT name FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE");
  exists.bind_text(1, like.name);
  if (exists.step()) {
    const std::string there = exists.text(0);
    refuse("there is " + there, there + " and " + like.name);
  }
  std::map<std::string, std::string> columns;
  for (const ColumnSpec& column : like.columns) {
    std::string folded = column.name;
    std::transform(folded.begin(), folded.end(), folded.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    const auto [found, is_new] = columns.emplace(folded, column.name);
    if (!is_new) {
      refuse("it has two such columns", found->second + " and " + column.name);
    }
  }
}

void SqliteNode::create_table(const TableSpec& like) {
  require_new_names(like);
  const std::vector<std::string> definition =
      like.definition.empty() || like.product != "SQLite" ? definition_of(like) : like.definition;
  for (const std::string& sql : definition) define(sql);
}

CatalogTable SqliteNode::require_table(const std::string& table) {
  auto found = read_table(connection_, table);
  if (!found) {
    throw Error(ExitCode::not_ready, "node " + name() + " has no table " + table,
                "Create it, or take it out of the job.");
  }
  if (!found->spec.refusal.empty()) {
    throw Error(ExitCode::not_ready,
                "node " + name() + ": table " + table + " " + found->spec.refusal,
                "Change the table, or take it out of the job.");
  }
  return std::move(*found);
}

// Names that the application took for itself are passed over.
std::int64_t SqliteNode::free_table_id() {
  Statement next(connection_, "SELECT coalesce(max(id), 0) + 1 FROM tidemark_table");
  next.step();
  std::int64_t id = next.integer(0);
  Statement exists(connection_, "SELECT 1 FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE");
  const auto is_taken = [&exists](const std::string& object) {
    exists.bind_text(1, object);
    const bool taken = exists.step();
    exists.reset();
    return taken;
  };
  for (;; ++id) {
    const auto tables = capture_table_names(id);
    const auto triggers = capture_trigger_names(id);
    if (std::none_of(tables.begin(), tables.end(), is_taken) &&
        std::none_of(triggers.begin(), triggers.end(), is_taken)) {
      return id;
    }
  }
}

void SqliteNode::create_objects(const CatalogTable& table, std::int64_t id) {
  // Tables first: a trigger without its log would make every write of the application fail.
  for (const SchemaObject& object : capture_tables(table, id)) define(object.sql);
  for (const SchemaObject& object : capture_triggers(table, id)) define(object.sql);
}

void SqliteNode::install_capture(const TableSpec& table, const BaselineId& baseline) {
  const CatalogTable found = require_table(table.name);
  const std::int64_t id = free_table_id();
  const std::string shape = found.spec.shape();
  Statement insert(connection_,
                   "INSERT INTO tidemark_table(id, name, shape, baseline, clock_floor_us, "
                   "mirrored_sequence) VALUES (?1, ?2, ?3, ?4, 0, 0)");
  insert.bind(1, id).bind_text(2, found.spec.name).bind_text(3, shape).bind(4, baseline).run();
  Statement seen(connection_, "INSERT INTO tidemark_baseline_seen VALUES (?1, ?2)");
  seen.bind(1, id).bind(2, baseline).run();
  Statement known(connection_, "INSERT INTO tidemark_knowledge VALUES (?1, ?2, 0)");
  known.bind(1, id).bind(2, origins_.number(own_origin())).run();
  create_objects(found, id);
}

void SqliteNode::repair_capture(const ActiveTable& table) {
  const CatalogTable found = require_table(table.spec.name);
  drop_triggers(table.id);
  // Control tables whose key columns are no longer those of the table mean nothing any more.
  bool versions_lost = false;
  for (const SchemaObject& object : capture_tables(found, table.id)) {
    Statement stored(connection_, "SELECT sql FROM sqlite_schema WHERE name = ?1");
    stored.bind_text(1, object.name);
    const bool intact = stored.step() && stored.text(0) == object.sql;
    stored.reset();
    if (intact) continue;
    drop("TABLE", object.name);
    define(object.sql);
    versions_lost = true;
  }
  for (const SchemaObject& object : capture_triggers(found, table.id)) define(object.sql);
  const std::string shape = found.spec.shape();
  Statement update(connection_, "UPDATE tidemark_table SET name = ?2, shape = ?3 WHERE id = ?1");
  update.bind(1, table.id).bind_text(2, found.spec.name).bind_text(3, shape).run();
  statements_.erase(table.id);
  if (!versions_lost) return;
  ActiveTable repaired = table;
  repaired.spec = found.spec;
  touch_all(repaired);
}

void SqliteNode::note_shape(const ActiveTable& table) {
  Statement update(connection_, "UPDATE tidemark_table SET shape = ?2 WHERE id = ?1");
  update.bind(1, table.id).bind_text(2, table.current_shape).run();
}

void SqliteNode::drop_triggers(std::int64_t id) {
  for (const std::string& trigger : capture_trigger_names(id)) drop("TRIGGER", trigger);
}

void SqliteNode::remove_capture(const ActiveTable& table) {
  statements_.erase(table.id);
  release_key_counter(table.id);
  drop_triggers(table.id);
  for (const std::string& control : capture_table_names(table.id)) drop("TABLE", control);
  for (const char* sql : {"DELETE FROM tidemark_knowledge WHERE table_id = ?1",
                          "DELETE FROM tidemark_forgotten WHERE table_id = ?1",
                          "DELETE FROM tidemark_recent_since WHERE table_id = ?1",
                          "DELETE FROM tidemark_baseline_seen WHERE table_id = ?1",
                          "DELETE FROM tidemark_peer_knowledge WHERE table_id = ?1",
                          "DELETE FROM tidemark_quarantine WHERE table_id = ?1",
                          "DELETE FROM tidemark_peer WHERE table_id = ?1",
                          "DELETE FROM tidemark_key_range WHERE table_id = ?1",
                          "DELETE FROM tidemark_table WHERE id = ?1"}) {
    Statement(connection_, sql).bind(1, table.id).run();
  }
}

void SqliteNode::remove_control_tables() {
  std::vector<std::int64_t> ids;
  {
    Statement list(connection_, "SELECT id FROM tidemark_table");
    while (list.step()) ids.push_back(list.integer(0));
  }
  statements_.clear();
  for (const std::int64_t id : ids) release_key_counter(id);
  for (const std::int64_t id : ids) drop_triggers(id);
  for (const std::int64_t id : ids) {
    for (const std::string& control : capture_table_names(id)) drop("TABLE", control);
  }
  for (const std::string& control : node_table_names()) drop("TABLE", control);
  origins_.forget();
  removes_lock_file_ = true;
}

std::vector<ActiveTable> SqliteNode::active_tables() {
  std::vector<ActiveTable> tables;
  if (!identity()) return tables;
  {
    Statement list(connection_, "SELECT id, name, shape FROM tidemark_table ORDER BY name");
    while (list.step()) {
      ActiveTable table;
      table.id = list.integer(0);
      table.spec.name = list.text(1);
      table.activated_shape = list.text(2);
      tables.push_back(std::move(table));
    }
  }
  Statement stored(connection_,
                   "SELECT 1 FROM sqlite_schema WHERE type = ?1 AND name = ?2 AND sql = ?3");
  const auto is_stored = [&stored](const SchemaObject& object) {
    stored.bind_text(1, object.type).bind_text(2, object.name).bind_text(3, object.sql);
    const bool found = stored.step();
    stored.reset();
    return found;
  };
  for (ActiveTable& table : tables) {
    auto found = read_table(connection_, table.spec.name);
    if (!found) {
      table.health = CaptureHealth::table_missing;
      continue;
    }
    table.spec = std::move(found->spec);
    table.current_shape = table.spec.shape();
    if (!table.spec.refusal.empty()) {
      table.health = CaptureHealth::missing;
      continue;
    }
    found->spec = table.spec;
    const auto control = capture_tables(*found, table.id);
    const auto triggers = capture_triggers(*found, table.id);
    const bool intact = std::all_of(control.begin(), control.end(), is_stored) &&
                        std::all_of(triggers.begin(), triggers.end(), is_stored);
    table.health = intact ? CaptureHealth::intact : CaptureHealth::missing;
  }
  return tables;
}

}  // namespace tidemark::sqlite
