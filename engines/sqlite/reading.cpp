// Reading rows and versions.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>

#include "engines/sqlite/identifiers.h"
#include "engines/sqlite/sqlite_node.h"
#include "engines/sqlite/statement.h"
#include "engines/sqlite/streams.h"

namespace tidemark::sqlite {

bool SqliteNode::is_empty(const ActiveTable& table) {
  const TableSql sql(table.spec, table.id);
  const std::string whole = sql.key_is_whole();
  Statement statement(connection_, "SELECT EXISTS (SELECT 1 FROM " + sql.table() +
                                       (whole.empty() ? "" : " WHERE " + whole) +
                                       ") OR EXISTS (SELECT 1 FROM " + version_table(table.id) +
                                       ")");
  statement.step();
  return statement.integer(0) == 0;
}

std::int64_t SqliteNode::count_rows(const ActiveTable& table) {
  const TableSql sql(table.spec, table.id);
  const std::string whole = sql.key_is_whole();
  Statement statement(connection_, "SELECT count(*) FROM " + sql.table() +
                                       (whole.empty() ? "" : " WHERE " + whole));
  statement.step();
  return statement.integer(0);
}

std::int64_t SqliteNode::count_null_keys(const ActiveTable& table) {
  const TableSql sql(table.spec, table.id);
  const std::string whole = sql.key_is_whole();
  if (whole.empty()) return 0;
  Statement statement(connection_,
                      "SELECT count(*) FROM " + sql.table() + " WHERE NOT (" + whole + ")");
  statement.step();
  return statement.integer(0);
}

std::unique_ptr<RowStream> SqliteNode::changes_since(const ActiveTable& table,
                                                     const Knowledge& known) {
  TableStatements& kept = statements(table);
  kept.recent.flush();
  KnownSequences numbered = origins_.numbered(known);
  if (kept.recent.is_complete_for(numbered)) {
    return recent_changes(connection_, origins_, kept.spec, kept.sql, std::move(numbered));
  }
  return scan_changes(connection_, origins_, kept.spec, kept.sql, std::move(numbered));
}

std::unique_ptr<RowStream> SqliteNode::all_rows(const ActiveTable& table) {
  const TableStatements& kept = statements(table);
  return merge_rows_and_versions(connection_, origins_, kept.spec, kept.sql);
}

std::optional<VersionRecord> SqliteNode::find_version(TableStatements& table, RowView key) {
  Statement& statement = table.select_version();
  const ResetGuard guard(statement);
  statement.bind_row(1, key);
  if (!statement.step()) return std::nullopt;
  return VersionRecord{.changed_at_us = statement.integer(0),
                       .origin = statement.integer(1),
                       .sequence = statement.integer(2),
                       .flags = statement.integer(3)};
}

LocalRow SqliteNode::find(const ActiveTable& table, RowView key) {
  TableStatements& kept = statements(table);
  LocalRow local;
  if (const auto version = find_version(kept, key)) local.version = to_version(*version);
  Statement& statement = kept.select_row();
  const ResetGuard guard(statement);
  statement.bind_row(1, key);
  local.present = statement.step();
  if (!local.present) return local;
  local.row.reserve(kept.spec.columns.size());
  for (int i = 0; i < statement.column_count(); ++i) local.row.emplace_back(statement.value(i));
  return local;
}

std::vector<Row> SqliteNode::unique_rivals(const ActiveTable& table, RowView row) {
  const TableStatements& kept = statements(table);
  const auto found = read_table(connection_, table.spec.name);
  std::vector<Row> rivals;
  if (!found) return rivals;
  // The columns of `row` stand in the session's order, those of an index in the catalog's.
  const auto parameter_of = [&kept](const std::string& column) {
    for (std::size_t i = 0; i < kept.spec.columns.size(); ++i) {
      if (kept.spec.columns[i].name == column)
        return TableSql::parameters(static_cast<int>(i) + 1, 1);
    }
    return std::string("NULL");
  };
  std::string scope;
  for (const ColumnSpec& column : found->spec.columns) {
    if (!scope.empty()) scope += ", ";
    scope += parameter_of(column.name) + " AS " + quoted_name(column.name);
  }
  std::string own_key;
  for (const std::size_t position : kept.spec.key) {
    const std::string& column = kept.spec.columns[position].name;
    if (!own_key.empty()) own_key += " AND ";
    own_key += quoted_name(column) + " = " + parameter_of(column);
  }
  for (const UniqueIndex& index : found->uniques) {
    std::string where;
    for (const IndexTerm& term : index.terms) {
      if (!where.empty()) where += " AND ";
      const std::string collate = " COLLATE " + quoted_name(term.collation);
      if (term.column) {
        const std::string& column = found->spec.columns[*term.column].name;
        where += quoted_name(column) + collate + " = " + parameter_of(column);
      } else {
        where += "(" + term.expression + ")" + collate + " = (SELECT " + term.expression +
                 " FROM (SELECT " + scope + "))";
      }
    }
    if (!index.predicate.empty()) {
      where += " AND (" + index.predicate + ") AND (SELECT " + index.predicate + " FROM (SELECT " +
               scope + "))";
    }
    Statement statement(connection_, "SELECT " + kept.sql.key_columns() + " FROM " +
                                         kept.sql.table() + " WHERE " + where + " AND NOT (" +
                                         own_key + ")");
    for (std::size_t i = 0; i < row.size(); ++i) {
      // Not every column appears in every statement.
      const int position = static_cast<int>(i) + 1;
      if (position <= statement.parameter_count()) statement.bind(position, row[i]);
    }
    while (statement.step()) {
      Row key;
      for (int i = 0; i < statement.column_count(); ++i) key.emplace_back(statement.value(i));
      if (std::find(rivals.begin(), rivals.end(), key) == rivals.end()) {
        rivals.push_back(std::move(key));
      }
    }
  }
  return rivals;
}

TableDigest SqliteNode::digest(const ActiveTable& table) {
  const TableSql sql(table.spec, table.id);
  const std::string whole = sql.key_is_whole();
  Statement statement(connection_, "SELECT " + sql.columns() + " FROM " + sql.table() +
                                       (whole.empty() ? "" : " WHERE " + whole));
  TableDigest digest;
  std::string encoding;
  std::vector<ValueView> row(table.spec.columns.size());
  while (statement.step()) {
    for (std::size_t i = 0; i < row.size(); ++i) row[i] = statement.value(static_cast<int>(i));
    encoding.clear();
    append_encoding(row, encoding);
    const XXH128_hash_t hash = XXH3_128bits(encoding.data(), encoding.size());
    ++digest.rows;
    digest.low += hash.low64;
    digest.high += hash.high64;
  }
  return digest;
}

}  // namespace tidemark::sqlite
