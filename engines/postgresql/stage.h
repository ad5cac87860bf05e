// StagingTable holds rows on their way into a target until its transaction begins, so that no lock
// is held there while data travels. Rows are collected in a Spool; load() copies them into a
// temporary table of the session, where set-based statements can join them.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engines/postgresql/connection.h"
#include "engines/postgresql/table_sql.h"
#include "engines/spool.h"

namespace tidemark::postgresql {

class StagingTable final : public Stage {
 public:
  /// A row that its column types refuse: it never reaches the temporary table.
  struct Refused {
    Row key;
    Row row;
    std::optional<Version> version;
    bool revert = false;
    Refusal refusal;
  };

  /// Rows go to the server as they come, unless the stage is for whole tables or is read while it
  /// is filled: then they wait in the spool for whoever wants them there or here.
  StagingTable(Connection& connection, std::shared_ptr<TableSql> sql, std::string name,
               StageUse use);
  ~StagingTable() override;
  StagingTable(const StagingTable&) = delete;
  StagingTable& operator=(const StagingTable&) = delete;

  bool add(const ChangedRow& row) override;
  void finish() override;
  void fail(std::exception_ptr error) override { spool_.fail(std::move(error)); }
  void abandon() noexcept override { spool_.abandon(); }

  /// Copies what is in the spool to the server, unless that was done.
  void load();
  bool is_loaded() const { return loaded_; }
  RowStream& rows() { return spool_; }
  std::int64_t count() const { return count_; }

  /// Rows must be looked at one by one on the server before they may be stored.
  bool checks_text() const { return !checked_.empty(); }

  const std::string& name() const { return name_; }
  /// Lets a batch of the loaded table be found without looking at the others.
  void index_positions();
  /// Origins by the numbers that stand for them in the table.
  const std::vector<OriginId>& origins() const { return origins_; }
  /// The highest sequence that came from each of them.
  const std::vector<std::int64_t>& last_sequences() const { return last_sequences_; }
  std::vector<Refused>& refused() { return refused_; }

 private:
  void create();
  void copy(const ChangedRow& row);
  void append(const ChangedRow& row);
  void send();
  void send_lines(std::size_t first, std::size_t last);
  void refuse_altered();
  std::size_t origin_number(const OriginId& origin);

  Connection& connection_;
  const std::shared_ptr<TableSql> sql_;
  const std::string name_;
  const bool direct_;
  /// Columns that are staged twice: as their type makes them, and as o1, o2 ... as they came.
  const std::vector<std::size_t> checked_;
  Spool spool_;
  bool loaded_ = false;
  bool created_ = false;
  std::int64_t count_ = 0;
  std::int64_t position_ = 0;
  std::vector<OriginId> origins_;
  std::vector<std::int64_t> last_sequences_;  // as origins_
  std::vector<Refused> refused_;
  std::string batch_;
  std::vector<std::size_t> lines_;   // where each line of the batch begins
  std::optional<Spool> batch_rows_;  // the same rows, should one be refused
  bool batch_rows_finished_ = false;
  std::size_t batch_rows_read_ = 0;
};

}  // namespace tidemark::postgresql
