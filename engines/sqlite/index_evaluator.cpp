#include "engines/sqlite/index_evaluator.h"

#include "engines/sqlite/identifiers.h"
#include "engines/sqlite/statement.h"
#include "engines/sqlite/table_sql.h"

namespace tidemark::sqlite {

IndexEvaluator::IndexEvaluator(const std::string& node_name, const CatalogTable& table,
                               const std::vector<ColumnSpec>& columns, RowView row)
    : table_(table), memory_(node_name) {
  memory_.execute("PRAGMA ignore_check_constraints = ON");
  memory_.execute(table.spec.definition.front());
  std::string names;
  for (const ColumnSpec& column : columns) {
    if (!names.empty()) names += ", ";
    names += quoted_name(column.name);
  }
  Statement insert(memory_, "INSERT INTO " + quoted_name(table.spec.name) + "(" + names +
                                ") VALUES (" + TableSql::parameters(1, columns.size()) + ")");
  can_exist_ = !insert.bind_row(1, row).run_or_refuse();
}

std::optional<Row> IndexEvaluator::terms(const UniqueIndex& index) {
  if (!can_exist_) return std::nullopt;
  std::string list;
  for (const IndexTerm& term : index.terms) {
    if (!list.empty()) list += ", ";
    list += term.column ? quoted_name(table_.spec.columns[*term.column].name) : term.expression;
  }
  Statement select(memory_, "SELECT " + list + " FROM " + quoted_name(table_.spec.name) +
                                (index.predicate.empty() ? "" : " WHERE " + index.predicate));
  if (!select.step()) return std::nullopt;
  Row row;
  for (int i = 0; i < select.column_count(); ++i) row.emplace_back(select.value(i));
  return row;
}

}  // namespace tidemark::sqlite
