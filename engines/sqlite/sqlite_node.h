// SqliteNode is a Node that lives in one SQLite database file. Its operations are spread over
// several sources by what they are about: sqlite_node.cpp (the node itself and its transactions),
// activation.cpp, state.cpp, capture.cpp, reading.cpp, writing.cpp and records.cpp.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engines/engine.h"
#include "engines/registry.h"
#include "engines/sqlite/catalog.h"
#include "engines/sqlite/connection.h"
#include "engines/sqlite/origins.h"
#include "engines/sqlite/recent_list.h"
#include "engines/sqlite/reference_list.h"
#include "engines/sqlite/statement.h"
#include "engines/sqlite/table_statements.h"

namespace tidemark::sqlite {

class SqliteNode final : public Node {
 public:
  SqliteNode(const OpenRequest& request, const std::filesystem::path& file);
  ~SqliteNode() override;

  const std::string& name() const override { return connection_.node_name(); }
  Traits traits() const override;
  std::int64_t clock_us() override;
  std::optional<Identity> identity() override;
  std::vector<TableSpec> catalog() override;
  std::vector<Concern> concerns() override { return {}; }
  std::unique_ptr<PairLock> try_lock_pair(const NodeId& peer) override;

  void begin_read() override;
  using Node::begin_write;
  void begin_write(Exclusion exclusion) override;
  void commit() override;
  void commit_unsynced() override;
  void make_durable() override { connection_.sync(); }
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
  bool is_busy_log(const ActiveTable& table) override;
  HarvestCounts harvest_slice(const ActiveTable& table, TableState& state) override;
  void touch_all(const ActiveTable& table) override;
  std::int64_t purge(const ActiveTable& table, TableState& state, std::int64_t before_us,
                     const std::vector<Knowledge>& peers) override;

  bool is_empty(const ActiveTable& table) override;
  std::int64_t count_rows(const ActiveTable& table) override;
  std::int64_t count_null_keys(const ActiveTable& table) override;
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
  std::vector<std::filesystem::path> watched_files() const override;
  void interrupt() noexcept override { sqlite3_interrupt(connection_.handle()); }

 private:
  friend class KnownApplier;

  // Activation.
  void define(const std::string& sql);
  void drop(const char* type, const std::string& name);
  std::set<std::string> control_tables();
  std::int64_t free_table_id();
  void create_objects(const CatalogTable& table, std::int64_t id);
  void drop_triggers(std::int64_t id);
  /// Throws Error not_ready where SQLite would take names of the table for one.
  void require_new_names(const TableSpec& like);
  CatalogTable require_table(const std::string& name);
  OriginId own_origin();

  // State.
  Knowledge load_knowledge(const char* table, std::int64_t table_id);
  void save_knowledge(const char* table, std::int64_t table_id, const Knowledge& knowledge);

  // Capture.
  HarvestCounts harvest_before(const ActiveTable& table, TableState& state, std::int64_t entries,
                               std::int64_t end);
  std::pair<std::int64_t, std::int64_t> log_range(TableStatements& table);
  bool row_exists(TableStatements& table, RowView key);
  bool is_evicted(TableStatements& table, RowView key, std::int64_t time_us);
  std::vector<Row> orphans(const ActiveTable& table, const Knowledge* known, std::size_t first);

  // Key ranges.
  std::vector<KeyRange> own_key_ranges(std::int64_t table_id);
  void hold_key_counter(const ActiveTable& table);
  void lead_on_key_counters();
  void release_key_counter(std::int64_t table_id);

  // References.
  /// A foreign key refers to other columns of the table than its key.
  bool has_other_references(const ActiveTable& table);
  std::vector<bool> referred_to(const ActiveTable& table, RowStream& going, std::size_t count);

  // Rows.
  TableStatements& statements(const ActiveTable& table);
  std::optional<Refusal> write_firing(TableStatements& table, RowView key, RowView row,
                                      PullCounts& counts);
  void write_version(TableStatements& table, RowView key, const VersionRecord& version);
  VersionRecord to_record(const Version& version, bool present);
  Version to_version(const VersionRecord& record);
  std::optional<VersionRecord> find_version(TableStatements& table, RowView key);
  void flush_recent_lists();
  void finish_transaction();  // what is written last
  void end_transaction();
  void forget_transaction() noexcept;

  // Being watched.
  void list_watched();

  Connection connection_;
  Origins origins_;
  ReferenceList references_;
  std::map<std::int64_t, std::unique_ptr<TableStatements>> statements_;
  /// A counter that is to stay in the ranges of this node, whatever is applied.
  struct HeldCounter {
    std::string table;
    std::string key;               // quoted
    std::vector<KeyRange> ranges;  // the lowest first
  };
  std::map<std::int64_t, HeldCounter> held_counters_;  // tables that this transaction writes
  std::vector<std::string>* script_ = nullptr;
  /// A table under capture as look() asks for it; without a statement its log is gone.
  struct Watched {
    std::string name;
    Statement has_pending;
  };
  std::map<std::int64_t, Watched> watched_;  // by the number of the table
  Statement data_version_;
  Statement watched_knowledge_;
  Statement watched_heartbeat_;
  std::int64_t looked_at_ = -1;  // the data version of `pulse_`
  Pulse pulse_;
  bool write_ahead_log_ = false;
  bool removes_lock_file_ =
      false;  // once the transaction that removed the control tables is committed
};

/// The file that an url names, absolute and with symbolic links resolved. Throws Error usage.
std::filesystem::path file_of_url(const std::string& url, const std::filesystem::path& directory);

}  // namespace tidemark::sqlite
