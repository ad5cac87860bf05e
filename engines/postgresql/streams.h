// The streams that read a table of a node in the order of its keys, through cursors: a server-side
// result of any size, fetched in pieces, while other statements run in between. Each borrows the
// connection and the Origins of its node and lives at most as long as the node's transaction.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engines/postgresql/connection.h"
#include "engines/postgresql/origins.h"
#include "engines/postgresql/table_sql.h"
#include "model/change.h"

namespace tidemark::postgresql {

/// One cursor; `position()` is a row of `rows()`.
class Cursor {
 public:
  Cursor(Connection& connection, const std::string& sql);
  ~Cursor();
  Cursor(const Cursor&) = delete;
  Cursor& operator=(const Cursor&) = delete;

  bool next();
  const Rows& rows() const { return rows_; }
  int position() const { return position_; }

 private:
  Connection& connection_;
  const std::int64_t transaction_;
  std::string name_;
  Rows rows_;
  int position_ = -1;
  bool done_ = false;
};

/// Versions that are news, with their rows. `condition` is about the version as `v`.
std::unique_ptr<RowStream> changed_rows(Connection& connection, Origins& origins,
                                        std::shared_ptr<const TableSql> sql,
                                        const std::string& condition);
/// Every key that has a row or a version.
std::unique_ptr<RowStream> all_rows(Connection& connection, Origins& origins,
                                    std::shared_ptr<const TableSql> sql);

constexpr std::int16_t kDeletedFlag = 1;
constexpr std::int16_t kInsertedFlag = 2;

}  // namespace tidemark::postgresql
