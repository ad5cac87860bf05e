#include "engines/sqlite/table_statements.h"

namespace tidemark::sqlite {

bool TableStatements::fits(const ActiveTable& table) const {
  return spec.name == table.spec.name && spec.columns == table.spec.columns &&
         spec.key == table.spec.key && spec.integer_key == table.spec.integer_key &&
         spec.without_rowid == table.spec.without_rowid && spec.strict == table.spec.strict;
}

}  // namespace tidemark::sqlite
