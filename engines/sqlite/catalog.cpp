#include "engines/sqlite/catalog.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "engines/sqlite/identifiers.h"
#include "engines/sqlite/statement.h"
#include "engines/sqlite/table_sql.h"

namespace tidemark::sqlite {
namespace {

std::string upper(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return result;
}

std::optional<Collation> built_in_collation(const std::string& name) {
  const std::string wanted = upper(name);
  if (wanted == "BINARY") return Collation::binary;
  if (wanted == "NOCASE") return Collation::nocase;
  if (wanted == "RTRIM") return Collation::rtrim;
  return std::nullopt;
}

ReferenceAction action_of(const std::string& name) {
  if (name == "RESTRICT") return ReferenceAction::restrict;
  if (name == "CASCADE") return ReferenceAction::cascade;
  if (name == "SET NULL") return ReferenceAction::set_null;
  if (name == "SET DEFAULT") return ReferenceAction::set_default;
  return ReferenceAction::none;
}

struct IndexInfo {
  std::string name;
  std::string origin;  // "c" CREATE INDEX, "u" UNIQUE, "pk" PRIMARY KEY
  bool partial = false;
  bool has_expression = false;
  struct Term {
    int cid = 0;  // -1 the rowid, -2 an expression
    std::string name;
    std::string collation;
  };
  std::vector<Term> terms;
  std::string sql;
};

/// A column as table_xinfo tells it, stored or generated.
struct ColumnInfo {
  int cid = 0;
  std::string name;
  int primary_key = 0;  // its place in the key from 1, or 0
  bool generated = false;
  std::optional<std::size_t> position;  // in TableSpec::columns
  std::string collation;
};

/// Reads one table, step by step; `refuse` keeps the first reason only.
class TableReader {
 public:
  TableReader(Connection& connection, std::string name) : connection_(connection) {
    table_.spec.name = std::move(name);
    table_.spec.product = "SQLite";
  }

  CatalogTable read(bool without_rowid, bool strict) {
    table_.spec.without_rowid = without_rowid;
    table_.spec.strict = strict;
    read_definition();
    read_columns();
    read_indexes();
    choose_key();
    keep_uniques();
    read_foreign_keys();
    find_hidden_rowid();
    check_writable();
    return std::move(table_);
  }

 private:
  void refuse(const std::string& reason) {
    if (table_.spec.refusal.empty()) table_.spec.refusal = reason;
  }

  void read_definition() {
    Statement statement(connection_,
                        "SELECT sql FROM sqlite_schema WHERE tbl_name = ?1 COLLATE NOCASE AND "
                        "type IN ('table', 'index') AND sql IS NOT NULL ORDER BY type DESC, rowid");
    statement.bind_text(1, table_.spec.name);
    while (statement.step()) table_.spec.definition.push_back(statement.text(0));
  }

  void read_columns() {
    Statement statement(connection_,
                        "SELECT cid, name, type, \"notnull\", pk, hidden FROM "
                        "pragma_table_xinfo(?1, 'main') ORDER BY cid");
    statement.bind_text(1, table_.spec.name);
    while (statement.step()) {
      ColumnInfo info;
      info.cid = static_cast<int>(statement.integer(0));
      info.name = statement.text(1);
      info.primary_key = static_cast<int>(statement.integer(4));
      info.generated = statement.integer(5) != 0;
      info.collation = declared_collation(info.name);
      if (info.generated) {
        table_.spec.generated.push_back(info.name);
      } else {
        info.position = table_.spec.columns.size();
        ColumnSpec column;
        column.name = info.name;
        column.declared_type = statement.text(2);
        column.not_null = statement.integer(3) != 0;
        column.collation = built_in_collation(info.collation).value_or(Collation::binary);
        table_.spec.columns.push_back(std::move(column));
      }
      columns_.push_back(std::move(info));
    }
  }

  std::string declared_collation(const std::string& column) {
    const char* collation = nullptr;
    sqlite3_table_column_metadata(connection_.handle(), "main", table_.spec.name.c_str(),
                                  column.c_str(), nullptr, &collation, nullptr, nullptr, nullptr);
    return collation ? collation : "BINARY";
  }

  void read_indexes() {
    Statement list(
        connection_,
        "SELECT name, origin, partial FROM pragma_index_list(?1, 'main') WHERE \"unique\" "
        "ORDER BY seq DESC");
    list.bind_text(1, table_.spec.name);
    while (list.step()) {
      IndexInfo index;
      index.name = list.text(0);
      index.origin = list.text(1);
      index.partial = list.integer(2) != 0;
      indexes_.push_back(std::move(index));
    }
    for (IndexInfo& index : indexes_) {
      Statement terms(connection_,
                      "SELECT cid, name, coll FROM pragma_index_xinfo(?1, 'main') WHERE key "
                      "ORDER BY seqno");
      terms.bind_text(1, index.name);
      while (terms.step()) {
        index.terms.push_back({static_cast<int>(terms.integer(0)), terms.text(1), terms.text(2)});
        if (terms.integer(0) < 0) index.has_expression = true;
      }
      Statement sql(connection_,
                    "SELECT sql FROM sqlite_schema WHERE type = 'index' AND name = ?1");
      sql.bind_text(1, index.name);
      if (sql.step()) index.sql = sql.text(0);
    }
  }

  const ColumnInfo* column_at(int cid) const {
    const auto found = std::find_if(columns_.begin(), columns_.end(),
                                    [cid](const ColumnInfo& info) { return info.cid == cid; });
    return found == columns_.end() ? nullptr : &*found;
  }

  void choose_key() {
    const auto by_origin = [this](const char* origin) {
      return std::find_if(indexes_.begin(), indexes_.end(),
                          [origin](const IndexInfo& index) { return index.origin == origin; });
    };
    const bool has_primary_key = std::any_of(columns_.begin(), columns_.end(),
                                             [](const auto& info) { return info.primary_key > 0; });
    const auto primary = by_origin("pk");
    if (primary != indexes_.end()) {
      use_as_key(*primary);
    } else if (has_primary_key) {
      use_rowid_alias();
    } else {
      const auto usable = std::find_if(indexes_.begin(), indexes_.end(),
                                       [this](const auto& index) { return is_usable_key(index); });
      if (usable == indexes_.end()) {
        refuse("has no primary key and no unique key over NOT NULL columns");
      } else {
        use_as_key(*usable);
      }
    }
  }

  bool is_usable_key(const IndexInfo& index) const {
    if (index.partial || index.has_expression) return false;
    return std::all_of(index.terms.begin(), index.terms.end(), [this](const IndexInfo::Term& term) {
      const ColumnInfo* info = column_at(term.cid);
      return info && info->position && table_.spec.columns[*info->position].not_null;
    });
  }

  void use_rowid_alias() {
    for (const ColumnInfo& info : columns_) {
      if (info.primary_key == 0) continue;
      table_.spec.key.push_back(*info.position);
      table_.spec.columns[*info.position].collation = Collation::binary;
    }
    table_.spec.integer_key = true;
  }

  void use_as_key(const IndexInfo& index) {
    key_index_ = index.name;
    for (const IndexInfo::Term& term : index.terms) {
      const ColumnInfo* info = column_at(term.cid);
      if (!info || !info->position) {
        refuse("has a computed column in its key");
        continue;
      }
      ColumnSpec& column = table_.spec.columns[*info->position];
      const auto collation = built_in_collation(term.collation);
      if (!collation) {
        refuse("has the key column " + column.name + " with the collation " + term.collation +
               ", which only the application knows");
      }
      column.collation = collation.value_or(Collation::binary);
      table_.spec.key.push_back(*info->position);
    }
  }

  void keep_uniques() {
    for (const IndexInfo& index : indexes_) {
      if (index.name == key_index_) continue;
      const IndexText text = parse_index(index.sql);
      UniqueIndex unique{.name = index.name, .terms = {}, .predicate = text.predicate};
      UniqueSpec spec{
          .name = index.name, .columns = {}, .partial = index.partial, .has_expression = false};
      for (std::size_t i = 0; i < index.terms.size(); ++i) {
        IndexTerm term{
            .column = std::nullopt, .expression = {}, .collation = index.terms[i].collation};
        const ColumnInfo* info = column_at(index.terms[i].cid);
        if (info && info->position) {
          term.column = info->position;
          spec.columns.push_back(*info->position);
        } else {
          spec.has_expression = true;
          term.expression = info                    ? quoted_name(info->name)
                            : i < text.terms.size() ? text.terms[i]
                                                    : "NULL";
        }
        unique.terms.push_back(std::move(term));
      }
      table_.uniques.push_back(std::move(unique));
      table_.spec.uniques.push_back(std::move(spec));
    }
  }

  void read_foreign_keys() {
    Statement statement(
        connection_,
        "SELECT id, \"table\", \"from\", \"to\", on_delete FROM pragma_foreign_key_list(?1, "
        "'main') ORDER BY id DESC, seq");
    statement.bind_text(1, table_.spec.name);
    std::int64_t last = -1;
    while (statement.step()) {
      if (statement.integer(0) != last) {
        table_.spec.foreign_keys.emplace_back();
        table_.spec.foreign_keys.back().parent_table = statement.text(1);
        table_.spec.foreign_keys.back().on_delete = action_of(statement.text(4));
        last = statement.integer(0);
      }
      ForeignKeySpec& foreign_key = table_.spec.foreign_keys.back();
      foreign_key.columns.push_back(statement.text(2));
      if (!statement.is_null(3)) foreign_key.parent_columns.push_back(statement.text(3));
    }
    for (ForeignKeySpec& foreign_key : table_.spec.foreign_keys) complete(foreign_key);
  }

  // Names as the parent's catalog prints them, and the implied key spelled out.
  void complete(ForeignKeySpec& foreign_key) {
    Statement parent(
        connection_,
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE");
    parent.bind_text(1, foreign_key.parent_table);
    if (parent.step()) foreign_key.parent_table = parent.text(0);
    parent.reset();
    if (foreign_key.parent_columns.empty()) {
      Statement key(connection_,
                    "SELECT name FROM pragma_table_xinfo(?1, 'main') WHERE pk > 0 ORDER BY pk");
      key.bind_text(1, foreign_key.parent_table);
      while (key.step()) foreign_key.parent_columns.push_back(key.text(0));
      // A parent that is missing or has no key: the constraint can never be met; the child's own
      // names keep the two lists of one length.
      if (foreign_key.parent_columns.size() != foreign_key.columns.size()) {
        foreign_key.parent_columns = foreign_key.columns;
      }
    }
    Statement spelled(
        connection_,
        "SELECT name FROM pragma_table_xinfo(?1, 'main') WHERE name = ?2 COLLATE NOCASE");
    for (std::string& column : foreign_key.parent_columns) {
      spelled.bind_text(1, foreign_key.parent_table).bind_text(2, column);
      if (spelled.step()) column = spelled.text(0);
      spelled.reset();
    }
    for (std::string& column : foreign_key.columns) {
      for (const ColumnInfo& info : columns_) {
        if (same_name(info.name, column)) column = info.name;
      }
    }
  }

  void find_hidden_rowid() {
    if (table_.spec.without_rowid || table_.spec.integer_key) return;
    for (const char* name : {"rowid", "_rowid_", "oid"}) {
      const bool taken =
          std::any_of(columns_.begin(), columns_.end(),
                      [name](const ColumnInfo& info) { return same_name(info.name, name); });
      if (taken) continue;
      table_.hidden_rowid = name;
      return;
    }
  }

  // Functions and collations that only the application knows may stand in checks, indexes and
  // generated columns; then this table cannot be written by anyone else.
  void check_writable() {
    if (!table_.spec.refusal.empty()) return;
    const std::string sql = TableSql(table_.spec).upsert_row();
    sqlite3_stmt* handle = nullptr;
    if (sqlite3_prepare_v2(connection_.handle(), sql.c_str(), static_cast<int>(sql.size()), &handle,
                           nullptr) != SQLITE_OK) {
      refuse(std::string("can only be written by the application itself (") +
             sqlite3_errmsg(connection_.handle()) + ")");
    }
    sqlite3_finalize(handle);
  }

  Connection& connection_;
  CatalogTable table_;
  std::vector<ColumnInfo> columns_;
  std::vector<IndexInfo> indexes_;
  std::string key_index_;
};

}  // namespace

std::string_view type_name(Affinity affinity) {
  switch (affinity) {
    case Affinity::integer:
      return "INTEGER";
    case Affinity::text:
      return "TEXT";
    case Affinity::real:
      return "REAL";
    case Affinity::numeric:
      return "NUMERIC";
    case Affinity::blob:
    case Affinity::any:
      break;
  }
  return "";
}

bool UniqueIndex::plain() const {
  return predicate.empty() && std::all_of(terms.begin(), terms.end(), [](const IndexTerm& term) {
           return term.column.has_value();
         });
}

std::vector<CatalogTable> read_catalog(Connection& connection,
                                       const std::set<std::string>& control_tables) {
  struct Found {
    std::string name;
    bool without_rowid;
    bool strict;
  };
  std::vector<Found> found;
  {
    Statement list(
        connection,
        "SELECT name, wr, strict FROM pragma_table_list WHERE schema = 'main' AND type = "
        "'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name");
    while (list.step()) {
      if (control_tables.contains(list.text(0))) continue;
      found.push_back({list.text(0), list.integer(1) != 0, list.integer(2) != 0});
    }
  }
  std::vector<CatalogTable> tables;
  for (Found& table : found) {
    tables.push_back(
        TableReader(connection, std::move(table.name)).read(table.without_rowid, table.strict));
  }
  return tables;
}

std::optional<CatalogTable> read_table(Connection& connection, const std::string& name) {
  Statement list(
      connection,
      "SELECT name, wr, strict FROM pragma_table_list(?1) WHERE schema = 'main' AND type = "
      "'table'");
  list.bind_text(1, name);
  if (!list.step()) return std::nullopt;
  std::string spelled = list.text(0);
  const bool without_rowid = list.integer(1) != 0;
  const bool strict = list.integer(2) != 0;
  list.reset();
  return TableReader(connection, std::move(spelled)).read(without_rowid, strict);
}

}  // namespace tidemark::sqlite
