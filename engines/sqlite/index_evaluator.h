// IndexEvaluator tells what a row would be in a unique index that is more than plain columns: it
// writes the row into an empty table of the same definition, in memory, and asks SQLite itself. So
// expressions, predicates and generated columns mean exactly what they mean in the real table.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engines/sqlite/catalog.h"
#include "engines/sqlite/connection.h"
#include "model/value.h"

namespace tidemark::sqlite {

class IndexEvaluator {
 public:
  /// `columns` name the values of `row`. Throws Error when the table cannot be made.
  IndexEvaluator(const std::string& node_name, const CatalogTable& table,
                 const std::vector<ColumnSpec>& columns, RowView row);

  /// The value of every term; nothing if the row is not part of the index, or cannot exist at all.
  std::optional<Row> terms(const UniqueIndex& index);

 private:
  const CatalogTable& table_;
  Connection memory_;
  bool can_exist_ = false;
};

}  // namespace tidemark::sqlite
