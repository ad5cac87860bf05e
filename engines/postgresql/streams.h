// The streams that read a table of a node in the order of its keys. Each borrows the connection and
// the Origins of its node and lives at most as long as the node's transaction. Most read through
// COPY, at the speed of the server: while such a stream is not at its end, the connection can be
// asked nothing else (the stream would then throw, and never just end).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engines/postgresql/connection.h"
#include "engines/postgresql/origins.h"
#include "engines/postgresql/table_sql.h"
#include "model/change.h"

namespace tidemark::postgresql {

/// The result of a query of any size, in the server's binary form.
class Tuples {
 public:
  virtual ~Tuples() = default;
  virtual bool next() = 0;
  // Of the tuple at hand; views are valid until the next one.
  virtual bool is_null(int column) const = 0;
  virtual std::string_view bytes(int column) const = 0;
  std::int64_t integer(int column) const { return read_integer(bytes(column)); }
};

/// Fetched in pieces by a cursor: other statements may run in between.
class Cursor final : public Tuples {
 public:
  Cursor(Connection& connection, const std::string& sql);
  ~Cursor() override;
  Cursor(const Cursor&) = delete;
  Cursor& operator=(const Cursor&) = delete;

  bool next() override;
  bool is_null(int column) const override { return rows_.is_null(position_, column); }
  std::string_view bytes(int column) const override { return rows_.bytes(position_, column); }

 private:
  Connection& connection_;
  const std::int64_t transaction_;
  std::string name_;
  Rows rows_;
  int position_ = -1;
  bool done_ = false;
};

/// Sent by COPY without a pause.
class CopyOut final : public Tuples {
 public:
  CopyOut(Connection& connection, const std::string& sql);
  ~CopyOut() override;
  CopyOut(const CopyOut&) = delete;
  CopyOut& operator=(const CopyOut&) = delete;

  bool next() override;
  bool is_null(int column) const override {
    return fields_[static_cast<std::size_t>(column)].second < 0;
  }
  std::string_view bytes(int column) const override {
    const auto& [data, size] = fields_[static_cast<std::size_t>(column)];
    return {data, static_cast<std::size_t>(size)};
  }

 private:
  void free_line();

  Connection& connection_;
  char* line_ = nullptr;                             // libpq's memory
  std::vector<std::pair<const char*, int>> fields_;  // size -1: NULL
  bool started_ = false;
  bool done_ = false;
};

/// Versions that are news, with their rows. `condition` is about the version as `v`.
std::unique_ptr<RowStream> changed_rows(Connection& connection, Origins& origins,
                                        std::shared_ptr<const TableSql> sql,
                                        const std::string& condition);
/// The same from the list of recent versions. `condition` is about its entry as `r`.
std::unique_ptr<RowStream> recent_rows(Connection& connection, Origins& origins,
                                       std::shared_ptr<const TableSql> sql,
                                       const std::string& condition);
/// Every key that has a row or a version. `interruptible`: other statements run in between.
std::unique_ptr<RowStream> all_rows(Connection& connection, Origins& origins,
                                    const std::shared_ptr<const TableSql>& sql, bool interruptible);

constexpr std::int16_t kDeletedFlag = 1;
constexpr std::int16_t kInsertedFlag = 2;

}  // namespace tidemark::postgresql
