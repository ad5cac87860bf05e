// The streams that read a table of a node in the order of its keys. Each owns its statements and
// borrows the Origins and the connection of the node, which must outlive it and stay in its
// transaction.
#pragma once

#include <memory>
#include <vector>

#include "engines/sqlite/functions.h"
#include "engines/sqlite/origins.h"
#include "engines/sqlite/statement.h"
#include "engines/sqlite/table_sql.h"
#include "model/change.h"
#include "model/table.h"

namespace tidemark::sqlite {

/// Turns the columns of select_changes() into a ChangedRow; owns the views that the row shows.
class ChangeReader {
 public:
  ChangeReader(const TableSpec& spec, Origins& origins);
  void read(const Statement& statement, ChangedRow& row);

 private:
  const std::vector<std::size_t> key_;
  Origins& origins_;
  std::vector<ValueView> key_values_;
  std::vector<ValueView> row_values_;
};

/// All versions that are news, by a scan of the row versions.
std::unique_ptr<RowStream> scan_changes(Connection& connection, Origins& origins,
                                        const TableSpec& spec, const TableSql& sql,
                                        KnownSequences known);
/// The same from the recent list, which must be complete for `known`.
std::unique_ptr<RowStream> recent_changes(Connection& connection, Origins& origins,
                                          const TableSpec& spec, const TableSql& sql,
                                          KnownSequences known);
/// Every key that has a row or a version.
std::unique_ptr<RowStream> merge_rows_and_versions(Connection& connection, Origins& origins,
                                                   const TableSpec& spec, const TableSql& sql);

}  // namespace tidemark::sqlite
