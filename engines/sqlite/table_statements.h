// The prepared statements of one table, made when they are first used and kept while the columns of
// the table stay in the same order.
#pragma once

#include <string>
#include <vector>

#include "engines/engine.h"
#include "engines/sqlite/recent_list.h"
#include "engines/sqlite/statement.h"
#include "engines/sqlite/table_sql.h"

namespace tidemark::sqlite {

class TableStatements {
 public:
  TableStatements(Connection& connection, const ActiveTable& table)
      : id(table.id),
        spec(table.spec),
        sql(spec, table.id),
        recent(connection, spec, table.id),
        connection_(connection) {}
  TableStatements(const TableStatements&) = delete;
  TableStatements& operator=(const TableStatements&) = delete;

  bool fits(const ActiveTable& table) const;

  const std::int64_t id;
  const TableSpec spec;
  const TableSql sql;
  RecentList recent;

  Statement& upsert_row() { return made(upsert_row_, &TableSql::upsert_row); }
  Statement& delete_row() { return made(delete_row_, &TableSql::delete_row); }
  Statement& select_row() { return made(select_row_, &TableSql::select_row); }
  Statement& put_version() { return made(put_version_, &TableSql::put_version); }
  Statement& delete_version() { return made(delete_version_, &TableSql::delete_version); }
  Statement& select_version() { return made(select_version_, &TableSql::select_version); }
  Statement& row_exists() { return made(row_exists_, &TableSql::row_exists); }
  /// An update that touches no index, of a row whose indexed columns are as they came; see
  /// TableSql::update_row_but(). Null where there is no index to spare.
  Statement* update_row_off_indexes();
  Statement& update_row() { return made(update_row_, &TableSql::update_row); }
  Statement& insert_row() { return made(insert_row_, &TableSql::insert_row); }
  Statement& unlog_one() { return made(unlog_one_, &TableSql::unlog_one); }
  Statement& append_log() { return made(append_log_, &TableSql::append_log); }

 private:
  Statement& made(Statement& statement, std::string (TableSql::*text)() const) {
    if (!statement) statement = Statement(connection_, (sql.*text)());
    return statement;
  }

  Connection& connection_;
  Statement upsert_row_;
  Statement delete_row_;
  Statement select_row_;
  Statement put_version_;
  Statement delete_version_;
  Statement select_version_;
  Statement row_exists_;
  Statement append_log_;
  Statement update_row_;
  Statement update_row_off_indexes_;
  bool looked_for_indexes_ = false;
  Statement insert_row_;
  Statement unlog_one_;
};

}  // namespace tidemark::sqlite
