// KnownApplier brings a staged table into the target with statements about sets of rows: those that
// need a decision are handed over first, one by one; the rest is written in batches, each under a
// savepoint. A batch in which the server refuses a row is halved until the row is alone.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
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
  void hand_over_locked(std::int64_t first, std::int64_t last);
  std::vector<Rows> find_locked(const std::string& range);
  void for_each_batch(const std::function<void(std::int64_t first, std::int64_t last)>& act) const;
  void weigh();
  void hand_over_undecided();
  void drop_what_came_by_another_way();
  /// A set is first tried the cheap way, in which a row that an application inserted since the
  /// snapshot looks like a row that breaks a unique constraint.
  enum class Expecting : std::uint8_t { no_refusal, refusals };

  void write(std::int64_t first, std::int64_t last, Expecting expecting);
  bool write_set(std::int64_t first, std::int64_t last, Expecting expecting);
  // What follows takes the rows in `range`, a condition about a staged row `s`. False: the server
  // refused one of them.
  bool write_rows(std::int64_t first, const std::string& range, Expecting expecting,
                  PullCounts& counts);
  /// What its origin updated is expected here, `updates` rows, and what it inserted is not.
  bool write_rows_as_told(const std::string& range, std::int64_t updates, PullCounts& counts);
  /// Updates what is here and inserts the rest; `present` rows in all.
  bool write_present_rows(const std::string& range, std::int64_t present, PullCounts& counts);
  bool delete_rows(const std::string& range, PullCounts& counts);
  bool update_rows(const std::string& which, PullCounts& counts);
  bool insert_rows(const std::string& which, PullCounts& counts);
  std::string update(const std::string& which, const std::string& returning = "");
  bool differs_in_fixed(const std::string& range);
  std::string insert(const std::string& which);
  std::string is_not_there();
  bool run(const std::string& sql, std::int64_t& affected);
  bool log_what_triggers_changed(const std::string& range);
  bool write_versions(const std::string& range);
  bool add_recent(const std::string& from_stage);
  void skip_recent();
  void write_one_by_one(std::int64_t first, std::int64_t last);
  void fill_empty_table();
  void fill_row(const ChangedRow& row);
  void send_filled();
  void end_filling();
  void write_row(const ChangedRow& row);
  std::string staged_origin();
  std::string positions(std::int64_t first, std::int64_t last) const;
  std::string staged_rows(const std::string& rest);
  void drop(const Rows& rows);
  static Refusal locked();
  void for_each(const Rows& rows, const std::function<void(const ChangedRow&)>& act);
  // Conditions about a staged row `s` and the version `v` of its key.
  std::string undecided();
  std::string came_by_another_way();

  PostgresqlNode& node_;
  Connection& connection_;
  const ActiveTable& table_;
  const std::shared_ptr<TableSql> sql_;
  StagingTable& stage_;
  ApplySink& sink_;
  const std::string covered_;  // SQL: the source has seen the version `v`
  bool skips_recent_ = false;  // too many versions come for the list of recent ones
  std::int64_t undecided_ = 0;
  std::int64_t passed_over_ = 0;
  bool none_has_version_ = false;
  bool inserts_are_new_ = false;  // no row that its origin inserted was ever here
  struct Weighed {
    std::int64_t updates = 0;  // present, and not inserted by their origins
    std::int64_t present = 0;
    std::int64_t deletes = 0;
  };
  std::map<std::int64_t, Weighed> weighed_;  // of the batch after a position
  // A batch on its way into an empty table.
  struct FilledOrigin {
    std::int64_t number = 0;  // in this database
    std::int64_t last = 0;    // the highest sequence that came
  };
  std::map<OriginId, FilledOrigin> filled_origins_;
  std::optional<Spool> filled_;   // its rows, should one be refused
  bool is_filled_ = false;        // there are some
  std::string lines_, versions_;  // in COPY's form; lines that the server has not got yet
  std::size_t copied_ = 0;        // bytes of the batch that it has
  bool is_copying_ = false;
  PullCounts counts_;
};

}  // namespace tidemark::postgresql
