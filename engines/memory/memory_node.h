// MemoryNode is a Node on a MemoryDatabase: what a connection is to a file. Several may share one
// database; a write transaction then excludes the others, and what would have to wait is refused
// with a retryable Error at once, because there is one thread. Work in a transaction is undone by a
// journal. Operations that need a transaction and have none throw std::logic_error: the strictness
// is a test.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engines/engine.h"
#include "engines/memory/memory_database.h"

namespace tidemark::memory {

class MemoryNode : public Node {
 public:
  MemoryNode(std::string name, std::shared_ptr<MemoryDatabase> database);
  ~MemoryNode() override;
  MemoryNode(const MemoryNode&) = delete;
  MemoryNode& operator=(const MemoryNode&) = delete;

  MemoryDatabase& database() { return *database_; }

  const std::string& name() const override { return name_; }
  Traits traits() const override { return {.local = true, .snapshot_reads = false, .loose = true}; }
  std::int64_t clock_us() override { return database_->clock_us(); }
  std::optional<Identity> identity() override { return content().identity; }
  std::vector<TableSpec> catalog() override;
  std::vector<Concern> concerns() override { return {}; }
  std::unique_ptr<PairLock> try_lock_pair(const NodeId& peer) override;

  void begin_read() override;
  using Node::begin_write;
  void begin_write(Exclusion exclusion) override;
  void treat_locked_rows(LockedRows treatment) override {
    passes_over_locked_ = passes_over(treatment);
  }
  bool is_row_locked(const ActiveTable& table, RowView key, RowView) override {
    return is_locked(table_of(table), key);
  }
  void commit() override;
  void rollback() noexcept override;

  void record_sql(std::vector<std::string>* script) override { script_ = script; }
  void create_control_tables(const Identity& identity) override;
  void set_identity(const Identity& identity) override;
  void create_table(const TableSpec& like) override;
  void install_capture(const TableSpec& table, const BaselineId& baseline) override;
  void repair_capture(const ActiveTable& table) override;
  // Every change of a key is seen here.
  void watch_moves(const ActiveTable& /*table*/) override {}
  void note_moves_seen(const ActiveTable& /*table*/) override {}
  bool misses_rows(const ActiveTable& /*table*/) override { return false; }
  void note_shape(const ActiveTable& table) override;
  bool may_define(const TableSpec&) override { return true; }
  void remove_capture(const ActiveTable& table) override;
  void grant_access() override {}  // whoever may write the file may do all
  void remove_control_tables() override;

  std::vector<ActiveTable> active_tables() override;
  TableState load_state(const ActiveTable& table) override;
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

  Heartbeat load_heartbeat(const std::string& job, const std::string& peer) override;
  void save_heartbeat(const std::string& job, const std::string& peer,
                      const Heartbeat& heartbeat) override;
  KeyCounter key_counter(const TableSpec&) override {
    return {.refusal = "has no counter: whoever writes a row gives it its key"};
  }
  std::vector<GivenRange> key_ranges(const ActiveTable&) override { return {}; }
  void save_key_range(const ActiveTable&, const GivenRange&) override {}
  void use_key_range(const ActiveTable&, const KeyRange&) override {}

  bool has_pending(const ActiveTable& table) override;
  std::pair<std::int64_t, std::int64_t> pending(const ActiveTable& table) override;
  HarvestCounts harvest(const ActiveTable& table, TableState& state) override;
  void touch_all(const ActiveTable& table) override;
  std::int64_t purge(const ActiveTable& table, TableState& state, std::int64_t before_us,
                     const std::vector<Knowledge>& peers) override;

  bool is_empty(const ActiveTable& table) override;
  std::int64_t count_rows(const ActiveTable& table) override;
  /// No key column takes NULL here.
  std::int64_t count_null_keys(const ActiveTable&) override { return 0; }
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
  std::vector<Conflict> conflicts() override { return content().conflicts; }
  std::int64_t count_conflicts(ConflictStatus status) override;
  void set_conflict_status(const std::string& id, ConflictStatus status) override;
  std::int64_t drop_conflicts(std::int64_t before_us) override;
  void quarantine(const ActiveTable& table, const QuarantinedRow& row) override;
  std::vector<QuarantinedRow> quarantined(const ActiveTable& table) override;
  void release_quarantined(const ActiveTable& table, RowView key) override;
  std::int64_t count_quarantined() override;
  void record_session(const SessionRecord& record) override;
  std::vector<SessionRecord> sessions(std::int64_t limit) override;

 private:
  enum class Transaction : std::uint8_t { none, read, write };
  class Lock;

  const Content& content() const { return database_->content_; }
  Content& change();  // for writing; throws std::logic_error outside of a write transaction
  void require_transaction() const;
  void on_rollback(MemoryDatabase::Undo undo) { database_->undo_.push_back(std::move(undo)); }
  void save_whole_content();
  void save_entry(const Table& table, RowView key);
  void end(Transaction kind) noexcept;
  void defined(const std::string& what);
  const Table& table_of(const ActiveTable& table) const;
  Table& change_table(const ActiveTable& table);
  void append_log(Table& table, RowView key, Touch touch, std::int64_t changed_at_us);
  bool is_locked(const Table& table, RowView key) const;
  std::optional<Refusal> store_row(Table& table, RowView key, RowView row, bool* was_present);

  const std::string name_;
  const std::shared_ptr<MemoryDatabase> database_;
  Transaction transaction_ = Transaction::none;
  bool passes_over_locked_ = false;  // in the transaction that is open
  std::vector<std::string>* script_ = nullptr;
};

}  // namespace tidemark::memory
