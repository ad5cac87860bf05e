#include "engines/sqlite/capture_objects.h"

#include "engines/sqlite/embedded_sql.h"
#include "engines/sqlite/identifiers.h"
#include "engines/sqlite/table_sql.h"

namespace tidemark::sqlite {
namespace {

std::string trigger_name(std::int64_t id, const char* event) {
  return "tidemark_" + std::to_string(id) + "_" + event;
}

std::string_view collation_name(Collation collation) {
  return collation == Collation::nocase ? "NOCASE" : "RTRIM";
}

// Affinity and collation as in the data table, so that two keys are one here exactly when they are
// one there. The affinity is written as one of SQLite's own type names: a declared type may be any
// text.
std::string key_definitions(const TableSpec& spec, bool primary) {
  std::string text;
  for (std::size_t i = 0; i < spec.key.size(); ++i) {
    const ColumnSpec& column = spec.columns[spec.key[i]];
    if (i > 0) text += ", ";
    text.append("k").append(std::to_string(i + 1));
    const std::string_view type = type_name(affinity_of(column.declared_type, spec.strict));
    if (!type.empty()) text.append(" ").append(type);
    if (column.collation != Collation::binary) {
      text.append(" COLLATE ").append(collation_name(column.collation));
    }
  }
  if (primary && spec.integer_key) text += " PRIMARY KEY";
  return text;
}

std::string all_moved(const TableSpec& spec) {
  std::string text;
  for (const std::size_t position : spec.key) {
    const std::string name = quoted_name(spec.columns[position].name);
    if (!text.empty()) text += " OR ";
    text += "old." + name + " IS NOT new." + name;
  }
  return text;
}

/// The columns of the row that is about to be written, under their own names: the scope in which an
/// index expression is evaluated for it.
std::string new_row_scope(const TableSpec& spec) {
  std::string text;
  const auto append = [&text](const std::string& name) {
    if (!text.empty()) text += ", ";
    text += "new." + quoted_name(name) + " AS " + quoted_name(name);
  };
  for (const ColumnSpec& column : spec.columns) append(column.name);
  for (const std::string& name : spec.generated) append(name);
  return "(SELECT " + text + ")";
}

/// Rows that hold the unique value of the row that is about to be written.
std::string rivals_condition(const TableSpec& spec, const UniqueIndex& index) {
  std::string text;
  for (const IndexTerm& term : index.terms) {
    if (!text.empty()) text += " AND ";
    const std::string collate = " COLLATE " + quoted_name(term.collation);
    if (term.column) {
      const std::string name = quoted_name(spec.columns[*term.column].name);
      text += name + collate + " = new." + name;
    } else {
      text += "(" + term.expression + ")" + collate + " = (SELECT " + term.expression + " FROM " +
              new_row_scope(spec) + ")";
    }
  }
  return text;
}

std::string rivals_statements(const CatalogTable& table, std::int64_t id, const std::string& more) {
  const TableSql sql(table.spec, id);
  std::string text;
  for (const UniqueIndex& index : table.uniques) {
    text += "  INSERT INTO " + log_table(id) + " SELECT " + sql.key_columns() + ", " +
            Stamp::expression(Stamp::kCandidate) + " FROM " + sql.table() + " WHERE " +
            rivals_condition(table.spec, index) + more + ";\n";
  }
  return text;
}

// Only an update that changes a unique value can evict. An index over part of the rows or over
// expressions may be entered by an update of any column.
std::string update_condition(const CatalogTable& table) {
  std::string text;
  for (const UniqueIndex& index : table.uniques) {
    if (!index.plain()) return {};
    for (const IndexTerm& term : index.terms) {
      const std::string name = quoted_name(table.spec.columns[*term.column].name);
      text += text.empty() ? " WHEN " : " OR ";
      text += "new." + name + " COLLATE " + quoted_name(term.collation) + " IS NOT old." + name;
    }
  }
  return text;
}

}  // namespace

std::vector<SchemaObject> capture_tables(const CatalogTable& table, std::int64_t id) {
  const TableSpec& spec = table.spec;
  const std::string number = std::to_string(id);
  const TableSql sql(spec, id);
  return {
      {"table", log_table(id),
       render("log", {{"id", number}, {"key_definitions", key_definitions(spec, false)}})},
      {"table", version_table(id),
       render("version",
              {{"id", number},
               {"key_definitions", key_definitions(spec, true)},
               {"primary_key", spec.integer_key ? "" : ", PRIMARY KEY (" + sql.control_key() + ")"},
               {"options", spec.integer_key ? "" : " WITHOUT ROWID"}})},
      {"table", recent_table(id),
       render("recent", {{"id", number}, {"key_definitions", key_definitions(spec, false)}})},
  };
}

std::vector<SchemaObject> capture_triggers(const CatalogTable& table, std::int64_t id) {
  const TableSpec& spec = table.spec;
  const TableSql sql(spec, id);
  const std::string number = std::to_string(id);
  const std::string new_key = sql.key_columns("new.");
  const std::string old_key = sql.key_columns("old.");
  std::vector<SchemaObject> objects;
  const auto add = [&](const char* event, const std::string& text) {
    objects.push_back({"trigger", trigger_name(id, event), text});
  };
  add("insert", render("capture_insert", {{"id", number},
                                          {"table", sql.table()},
                                          {"new_key", new_key},
                                          {"stamp", Stamp::expression(Stamp::kInsert)}}));
  add("update", render("capture_update", {{"id", number},
                                          {"table", sql.table()},
                                          {"new_key", new_key},
                                          {"old_key", old_key},
                                          {"key_moved", all_moved(spec)},
                                          {"stamp", Stamp::expression(Stamp::kUpdate)}}));
  add("delete", render("capture_delete", {{"id", number},
                                          {"table", sql.table()},
                                          {"old_key", old_key},
                                          {"stamp", Stamp::expression(Stamp::kDelete)}}));
  if (!table.uniques.empty()) {
    add("insert_candidates",
        render("candidates_insert", {{"id", number},
                                     {"table", sql.table()},
                                     {"statements", rivals_statements(table, id, "")}}));
    std::string others;
    for (const std::size_t position : spec.key) {
      const std::string name = quoted_name(spec.columns[position].name);
      others += others.empty() ? " AND (" : " OR ";
      others += name + " IS NOT old." + name;
    }
    add("update_candidates",
        render("candidates_update", {{"id", number},
                                     {"table", sql.table()},
                                     {"condition", update_condition(table)},
                                     {"statements", rivals_statements(table, id, others + ")")}}));
  }
  if (!table.hidden_rowid.empty()) {
    for (const char* event : {"insert_rowid", "update_rowid"}) {
      add(event, render(std::string("candidates_") + event,
                        {{"id", number},
                         {"table", sql.table()},
                         {"key", sql.key_columns()},
                         {"rowid", table.hidden_rowid},
                         {"stamp", Stamp::expression(Stamp::kCandidate)}}));
    }
  }
  return objects;
}

std::vector<std::string> capture_table_names(std::int64_t id) {
  return {log_table(id), version_table(id), recent_table(id)};
}

std::vector<std::string> capture_trigger_names(std::int64_t id) {
  std::vector<std::string> names;
  for (const char* event : {"insert", "update", "delete", "insert_candidates", "update_candidates",
                            "insert_rowid", "update_rowid"}) {
    names.push_back(trigger_name(id, event));
  }
  return names;
}

const std::vector<std::string>& node_table_names() {
  static const std::vector<std::string> kNames = {
      "tidemark_node",          "tidemark_origin",         "tidemark_table",
      "tidemark_knowledge",     "tidemark_forgotten",      "tidemark_recent_since",
      "tidemark_baseline_seen", "tidemark_peer_knowledge", "tidemark_session",
      "tidemark_session_table", "tidemark_conflict",       "tidemark_quarantine",
      "tidemark_peer",          "tidemark_key_range",      "tidemark_heartbeat"};
  return kNames;
}

}  // namespace tidemark::sqlite
