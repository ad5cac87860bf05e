// PostgresqlNode is one PostgreSQL database that takes part. Its parts lie in files of their own:
// activation.cpp, state.cpp, capture.cpp, reading.cpp, writing.cpp, records.cpp. Every transaction
// is REPEATABLE READ; one that writes holds a lock on tidemark.node, so that sequence numbers
// appear in the order of commits. Applications are never kept waiting by it.
#pragma once

#include <compare>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engines/engine.h"
#include "engines/postgresql/connection.h"
#include "engines/postgresql/origins.h"
#include "engines/postgresql/recent_list.h"
#include "engines/postgresql/stage.h"
#include "engines/postgresql/table_sql.h"
#include "engines/registry.h"

namespace tidemark::postgresql {

class PostgresqlNode final : public Node {
 public:
  /// `url` is what to connect with, `session_role` who runs sessions if that is somebody else.
  PostgresqlNode(const OpenRequest& request, const std::string& url, std::string session_role);
  ~PostgresqlNode() override;

  const std::string& name() const override { return connection_.node_name(); }
  Traits traits() const override;
  std::int64_t clock_us() override;
  std::optional<Identity> identity() override;
  std::vector<TableSpec> catalog() override;
  std::vector<Concern> concerns() override;
  std::unique_ptr<PairLock> try_lock_pair(const NodeId& peer) override;

  void begin_read() override;
  using Node::begin_write;
  void begin_write(Exclusion exclusion) override;
  void treat_locked_rows(LockedRows treatment) override;
  bool is_row_locked(const ActiveTable& table, RowView key, RowView row) override;
  void commit() override;
  void rollback() noexcept override;

  void record_sql(std::vector<std::string>* script) override { script_ = script; }
  void create_control_tables(const Identity& identity) override;
  void set_identity(const Identity& identity) override;
  void create_table(const TableSpec& like) override;
  void install_capture(const TableSpec& table, const BaselineId& baseline) override;
  void repair_capture(const ActiveTable& table) override;
  void watch_moves(const ActiveTable& table) override;
  void note_moves_seen(const ActiveTable& table) override;
  bool misses_rows(const ActiveTable& table) override;
  void note_shape(const ActiveTable& table) override;
  bool may_define(const TableSpec& table) override;
  void remove_capture(const ActiveTable& table) override;
  void grant_access() override;
  void remove_control_tables() override;

  std::vector<ActiveTable> active_tables() override;
  TableState load_state(const ActiveTable& table) override;
  std::vector<TableStanding> load_standings(const std::vector<ActiveTable>& tables) override;
  void save_state(const ActiveTable& table, const TableState& state) override;
  std::map<NodeId, Knowledge> load_peers(const ActiveTable& table) override;
  void save_peer(const ActiveTable& table, const NodeId& peer, const Knowledge& knowledge) override;
  std::map<std::int64_t, PeerMeeting> load_meetings(const NodeId& peer) override;
  void save_meeting(const ActiveTable& table, const NodeId& peer,
                    const PeerMeeting& meeting) override;
  std::map<NodeId, RegisteredPeer> registered_peers() override;
  void forget_peer(const NodeId& peer) override;
  void save_origin_name(const Identity& identity, const std::string& node_name) override;
  std::string origin_name(const OriginId& origin) override;

  KeyCounter key_counter(const TableSpec& table) override;
  Heartbeat load_heartbeat(const std::string& job, const std::string& peer) override;
  void save_heartbeat(const std::string& job, const std::string& peer,
                      const Heartbeat& heartbeat) override;
  std::vector<GivenRange> key_ranges(const ActiveTable& table) override;
  void save_key_range(const ActiveTable& table, const GivenRange& given) override;
  void use_key_range(const ActiveTable& table, const KeyRange& range) override;

  bool has_pending(const ActiveTable& table) override;
  std::pair<std::int64_t, std::int64_t> pending(const ActiveTable& table) override;
  std::optional<std::int64_t> oldest_unseen(const ActiveTable& table,
                                            const Knowledge& known) override;
  HarvestCounts harvest(const ActiveTable& table, TableState& state) override;
  void touch_all(const ActiveTable& table) override;
  std::int64_t purge(const ActiveTable& table, TableState& state, std::int64_t before_us,
                     const std::vector<Knowledge>& peers) override;

  bool is_empty(const ActiveTable& table) override;
  std::int64_t count_rows(const ActiveTable& table) override;
  std::int64_t count_null_keys(const ActiveTable&) override { return 0; }  // keys forbid NULL
  std::unique_ptr<RowStream> changes_since(const ActiveTable& table,
                                           const Knowledge& known) override;
  std::unique_ptr<RowStream> all_rows(const ActiveTable& table) override;
  LocalRow find(const ActiveTable& table, RowView key) override;
  std::vector<Row> unique_rivals(const ActiveTable& table, RowView row) override;
  TableDigest digest(const ActiveTable& table) override;

  bool is_referenced(const ActiveTable& table) override;
  std::vector<Referrer> referrers(const ActiveTable& table, RowView row, RowView instead) override;
  std::vector<std::size_t> missing_parents(const ActiveTable& table, RowView row) override;
  std::vector<Row> orphans(const ActiveTable& table, const Knowledge* known) override;
  std::optional<Row> find_by(const ActiveTable& table, const std::vector<std::string>& columns,
                             RowView values) override;

  std::unique_ptr<Stage> make_stage(const ActiveTable& table, StageUse use) override;
  PullCounts apply_known(const ActiveTable& table, Stage& stage, const Knowledge& source_knowledge,
                         ApplySink& sink) override;
  void compare_all(const ActiveTable& table, Stage& stage, PairSink& sink) override;
  std::optional<Refusal> put_row(const ActiveTable& table, RowView key, RowView row) override;
  void put_version(const ActiveTable& table, RowView key, bool present,
                   const std::optional<Version>& version) override;
  std::optional<Refusal> write_as_local_change(const ActiveTable& table, RowView key,
                                               RowView row) override;
  void touch(const ActiveTable& table, RowView key) override;

  bool log_conflict(const Conflict& conflict) override;
  std::vector<Conflict> conflicts() override;
  std::int64_t count_conflicts(ConflictStatus status) override;
  void set_conflict_status(const std::string& id, ConflictStatus status) override;
  std::int64_t drop_conflicts(std::int64_t before_us) override;
  void quarantine(const ActiveTable& table, const QuarantinedRow& row) override;
  std::vector<QuarantinedRow> quarantined(const ActiveTable& table) override;
  void release_quarantined(const ActiveTable& table, RowView key) override;
  std::int64_t count_quarantined() override;
  void record_session(const SessionRecord& record) override;
  std::vector<SessionRecord> sessions(std::int64_t limit) override;

  const Pulse& look() override;
  void interrupt() noexcept override { connection_.cut(); }
  std::int64_t join_daemons(const std::string& group) override;
  bool try_lease(const std::string& job) override;
  void release_lease(const std::string& job) override;
  std::map<std::string, std::int64_t> done_runs(const std::string& job) override;
  void note_done_run(const std::string& job, const std::string& peer, std::int64_t due_us) override;

 private:
  friend class KnownApplier;

  // Activation.
  void define(const std::string& sql);
  CatalogTable require_table(const std::string& name);
  void create_tables(const CatalogTable& table, std::int64_t id);
  void drop_tables(std::int64_t id);
  /// Throws Error not_ready for a table, or a partition of it, that belongs to another role.
  void require_ownership(const CatalogTable& table);
  void create_triggers(const CatalogTable& table, std::int64_t id);
  void create_move_triggers(const CatalogTable& table, std::int64_t id);
  void drop_triggers(std::int64_t id);
  void note_capture(const CatalogTable& table, std::int64_t id, const std::string& remark = "");
  std::string capture_digest(std::int64_t id);
  struct Capture {
    std::string digest;
    /// Changed keys are looked for only where a statement names a column of the key.
    bool expects_no_moves = false;
  };
  /// By the number of the table: of all under capture, or of one.
  std::map<std::int64_t, Capture> captures(std::optional<std::int64_t> only);

  // State.
  static constexpr char kOwnOrigin[] = "SELECT origin FROM tidemark.node";
  /// `node`: what kOwnOrigin answered.
  OriginId origin_in(const Rows& node) const;
  std::int64_t count_news(const ActiveTable& table, const Knowledge& known);
  Knowledge load_knowledge(const char* table, std::int64_t table_id);
  void save_knowledge(const char* table, std::int64_t table_id, const Knowledge& knowledge);

  // References.
  struct Reference {
    const CatalogTable* child;
    const ForeignKeySpec* key;
  };
  std::vector<Reference> references_to(const std::string& table);
  void mark_withdrawals(const ActiveTable& table, const std::string& stage);

  // Key ranges.
  std::map<std::int64_t, KeyRange> own_key_ranges();
  void release_key_counter(std::int64_t table_id);
  bool keeps_runs();

  /// A sequence and a column that it fills, of a table that got rows in this transaction.
  struct Filled {
    std::string sequence, column, table;  // quoted
    std::int64_t table_id = 0;
    bool numbers_key = false;  // and has the table's range of keys, if there is one

    friend auto operator<=>(const Filled&, const Filled&) = default;
  };

  // Locks of others.
  void wait_for_locks(std::chrono::milliseconds timeout);
  void wait_for_tables_shortly();
  std::chrono::milliseconds at_most(std::chrono::milliseconds timeout) const;
  void wait_for_rows_shortly(const TableSql& sql);

  // Rows.
  void load_catalog();
  std::shared_ptr<TableSql> sql_of(const ActiveTable& table);
  std::optional<Refusal> refuse_altered(const TableSql& sql, const Parameters& row);
  bool is_here(const TableSql& sql, RowView key);
  std::optional<Refusal> write_row(const TableSql& sql, RowView key, RowView row, bool& inserted);
  void log_touch(const TableSql& sql, RowView key, bool inserted);
  void note_insert(const TableSql& sql);
  /// To the role of the sessions; noted, so that it can be taken back.
  void grant(const std::string& privilege);
  void take_back_grants();
  /// Whether our role may keep the application's triggers still. Throws Error not_ready where they
  /// are still and it may not.
  bool may_silence();
  void fire_triggers(bool on);
  /// After a row was written, or removed when `row` is empty.
  void log_if_altered(const ActiveTable& table, const TableSql& sql, RowView key, RowView row);
  void check_uniques(const TableSql& sql);
  const std::vector<Filled>& sequences_of(const TableSql& sql);
  void raise_sequences();

  const std::string session_role_;
  Connection connection_;
  Origins origins_;
  RecentLists recent_;
  std::map<std::string, CatalogTable> catalog_;  // by name, as of the last look
  std::int64_t catalog_transaction_ = 0;         // in which it was; 0: it must be read anew
  std::set<NodeId> held_pairs_;
  std::map<std::int64_t, std::shared_ptr<TableSql>> tables_;
  std::vector<std::string>* script_ = nullptr;
  bool has_control_tables_ = false;
  /// The role may switch the triggers of applications off, and foreign keys with them.
  std::optional<bool> may_silence_;
  bool made_control_tables_ = false;  // in the transaction that is open
  /// Statements of this transaction that wait for the table that they name.
  std::vector<std::pair<std::string, std::string>> owed_keys_;
  std::set<Filled> grown_;
  std::map<std::int64_t, std::vector<Filled>> sequences_;  // of each table, as of the last look
  std::set<std::int64_t> checks_uniques_;                  // tables, in this transaction
  bool fires_triggers_ = false;                // those of applications, in this transaction
  LockedRows locked_rows_ = LockedRows::wait;  // in this transaction
  std::int64_t stages_ = 0;
  std::string looked_at_;  // the snapshot of `pulse_`
  Pulse pulse_;
  bool has_joined_ = false;
  bool meets_other_product_ = false;  // rows that come may be written otherwise than ours
};

}  // namespace tidemark::postgresql
