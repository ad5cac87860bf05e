// KnownApplier brings a staged table into the target with statements about sets of rows: those that
// need a decision are handed over first, one by one; the rest is written in batches, each under a
// savepoint. A batch in which the server refuses a row is halved until the row is alone.
#pragma once

#include <memory>
#include <string>

#include "engines/engine.h"
#include "engines/postgresql/postgresql_node.h"

namespace tidemark::postgresql {

class KnownApplier {
 public:
  KnownApplier(PostgresqlNode& node, const ActiveTable& table, std::shared_ptr<TableSql> sql,
               StagingTable& stage, const Knowledge& source_knowledge, ApplySink& sink);

  PullCounts apply();

 private:
  void hand_over_refused();
  void hand_over_undecided();
  void drop_what_came_by_another_way();
  void write(std::int64_t first, std::int64_t last);
  bool write_set(std::int64_t first, std::int64_t last);
  void write_one_by_one(std::int64_t first, std::int64_t last);
  void fill_empty_table();
  void fill(Spool& rows, std::string& lines, std::string& versions);
  void write_row(const ChangedRow& row);
  std::string staged_origin();

  PostgresqlNode& node_;
  Connection& connection_;
  const ActiveTable& table_;
  const std::shared_ptr<TableSql> sql_;
  StagingTable& stage_;
  ApplySink& sink_;
  const std::string covered_;  // SQL: the source has seen the version `v`
  PullCounts counts_;
};

}  // namespace tidemark::postgresql
