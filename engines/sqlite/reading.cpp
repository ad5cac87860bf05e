// Reading rows and versions.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>

#include "engines/sqlite/identifiers.h"
#include "engines/sqlite/index_evaluator.h"
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
  std::vector<Row> rivals;
  const auto found = read_table(connection_, table.spec.name);
  if (!found) return rivals;
  // The values of `row` stand in the session's order of columns, an index speaks of the catalog's.
  const auto value_of = [&](std::size_t catalog_position) {
    const std::string& column = found->spec.columns[catalog_position].name;
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (kept.spec.columns[i].name == column) return row[i];
    }
    return ValueView::of_null();
  };
  const std::vector<ValueView> own_key = key_of(kept.spec, row);
  const int key_size = static_cast<int>(own_key.size());
  std::optional<IndexEvaluator> evaluator;
  for (const UniqueIndex& index : found->uniques) {
    Row terms;
    if (index.plain()) {
      for (const IndexTerm& term : index.terms) terms.emplace_back(value_of(*term.column));
    } else {
      if (!evaluator) evaluator.emplace(name(), *found, kept.spec.columns, row);
      auto evaluated = evaluator->terms(index);
      if (!evaluated) continue;
      terms = std::move(*evaluated);
    }
    std::string where;
    for (std::size_t i = 0; i < index.terms.size(); ++i) {
      const IndexTerm& term = index.terms[i];
      const std::string left = term.column ? quoted_name(found->spec.columns[*term.column].name)
                                           : "(" + term.expression + ")";
      where += left + " COLLATE " + quoted_name(term.collation) + " = " +
               TableSql::parameters(key_size + 1 + static_cast<int>(i), 1) + " AND ";
    }
    if (!index.predicate.empty()) where += "(" + index.predicate + ") AND ";
    Statement statement(connection_, "SELECT " + kept.sql.key_columns() + " FROM " +
                                         kept.sql.table() + " WHERE " + where + "NOT (" +
                                         kept.sql.key_is(1) + ")");
    const std::vector<ValueView> term_views = to_views(terms);
    statement.bind_row(1, own_key).bind_row(key_size + 1, term_views);
    while (statement.step()) {
      Row key;
      for (int i = 0; i < key_size; ++i) key.emplace_back(statement.value(i));
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
