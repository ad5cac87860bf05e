#include "engines/sqlite/table_statements.h"

#include <set>

namespace tidemark::sqlite {
namespace {

/// Columns outside of the key that an index holds, by their places in the table. What an index
/// computes from columns does not count.
std::set<std::size_t> indexed_columns(Connection& connection, const TableSpec& spec) {
  Statement terms(connection,
                  "SELECT DISTINCT term.name FROM pragma_index_list(?1, 'main') AS list JOIN "
                  "pragma_index_xinfo(list.name, 'main') AS term WHERE list.origin <> 'pk' AND "
                  "term.key AND term.name IS NOT NULL");
  terms.bind_text(1, spec.name);
  std::set<std::size_t> columns;
  while (terms.step()) {
    const std::string name = terms.text(0);
    for (std::size_t i = 0; i < spec.columns.size(); ++i) {
      if (!spec.is_in_key(i) && spec.columns[i].name == name) columns.insert(i);
    }
  }
  return columns;
}

}  // namespace

bool TableStatements::fits(const ActiveTable& table) const {
  return spec.name == table.spec.name && spec.columns == table.spec.columns &&
         spec.key == table.spec.key && spec.integer_key == table.spec.integer_key &&
         spec.without_rowid == table.spec.without_rowid && spec.strict == table.spec.strict;
}

Statement* TableStatements::update_row_off_indexes() {
  if (!looked_for_indexes_) {
    looked_for_indexes_ = true;
    const std::set<std::size_t> indexed = indexed_columns(connection_, spec);
    const std::string text = indexed.empty() ? "" : sql.update_row_but(indexed);
    if (!text.empty()) update_row_off_indexes_ = Statement(connection_, text);
  }
  return update_row_off_indexes_ ? &update_row_off_indexes_ : nullptr;
}

}  // namespace tidemark::sqlite
