// Reads what a database holds from SQLite's own catalog: tables, columns, keys, unique indexes,
// foreign keys. Nothing is guessed from SQL text, but for the terms of expression indexes, which
// SQLite keeps nowhere else.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engines/sqlite/connection.h"
#include "model/exchange.h"
#include "model/table.h"

namespace tidemark::sqlite {

/// A type name with this affinity; empty for blob, which converts nothing.
std::string_view type_name(Affinity affinity);

/// One term of an index: a column, or an expression as written in the index (a generated column
/// counts as an expression too, because its value is not ours to write).
struct IndexTerm {
  std::optional<std::size_t> column;  // position in TableSpec::columns
  std::string expression;             // when it is no column
  std::string collation;
};

struct UniqueIndex {
  std::string name;
  std::vector<IndexTerm> terms;
  std::string predicate;  // of a partial index; empty otherwise

  /// Over plain columns and all rows.
  bool plain() const;
};

/// A table with what only this engine needs to know of it.
struct CatalogTable {
  TableSpec spec;
  std::vector<UniqueIndex> uniques;  // besides the key
  /// A name by which the hidden rowid can be asked for; empty if the table has none, all its names
  /// are taken by columns, or the rowid is the key.
  std::string hidden_rowid;
};

/// Every table that an application may own, by name. `control_tables` are left out.
std::vector<CatalogTable> read_catalog(Connection& connection,
                                       const std::set<std::string>& control_tables);
/// One table; nothing if there is none of this name.
std::optional<CatalogTable> read_table(Connection& connection, const std::string& name);

/// The terms and the predicate of a CREATE INDEX statement, comments left out.
struct IndexText {
  std::vector<std::string> terms;
  std::string predicate;
};
IndexText parse_index(std::string_view sql);

}  // namespace tidemark::sqlite
