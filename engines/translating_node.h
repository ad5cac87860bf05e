// TranslatingNode shows a node as others want to see it: under the names that all agree on, and to
// a peer of another product with the types that the peer declares, its rows in the forms that the
// peer's columns have. What comes from the peer is turned back before it is stored. The engines
// know nothing of each other; whoever opens a node, or lets it meet another, wraps it in this.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engines/engine.h"
#include "model/exchange.h"
#include "model/name_map.h"

namespace tidemark {

class TranslatingNode final : public Node {
 public:
  /// `inner` must outlive this. `peer_tables` are the tables of the peer, by the names of which
  /// those of `inner` are found.
  TranslatingNode(Node& inner, std::vector<TableSpec> peer_tables);
  /// The same types under other names.
  TranslatingNode(std::unique_ptr<Node> inner, NameMap names);

  const std::string& name() const override { return inner_.name(); }
  Traits traits() const override;
  std::int64_t clock_us() override { return inner_.clock_us(); }
  std::optional<Identity> identity() override { return inner_.identity(); }
  std::vector<TableSpec> catalog() override;
  std::vector<Concern> concerns() override { return inner_.concerns(); }
  std::unique_ptr<PairLock> try_lock_pair(const NodeId& peer) override {
    return inner_.try_lock_pair(peer);
  }

  void begin_read() override { inner_.begin_read(); }
  using Node::begin_write;
  void begin_write(Exclusion exclusion) override { inner_.begin_write(exclusion); }
  void treat_locked_rows(LockedRows treatment) override { inner_.treat_locked_rows(treatment); }
  bool is_row_locked(const ActiveTable& table, RowView key, RowView row) override;
  void commit() override { inner_.commit(); }
  void commit_unsynced() override { inner_.commit_unsynced(); }
  void make_durable() override { inner_.make_durable(); }
  void rollback() noexcept override { inner_.rollback(); }

  void record_sql(std::vector<std::string>* script) override { inner_.record_sql(script); }
  void create_control_tables(const Identity& identity) override {
    inner_.create_control_tables(identity);
  }
  void set_identity(const Identity& identity) override { inner_.set_identity(identity); }
  void create_table(const TableSpec& like) override { inner_.create_table(names_.own(like)); }
  void install_capture(const TableSpec& table, const BaselineId& baseline) override {
    inner_.install_capture(names_.own(table), baseline);
  }
  void repair_capture(const ActiveTable& table) override { inner_.repair_capture(own(table)); }
  void watch_moves(const ActiveTable& table) override { inner_.watch_moves(own(table)); }
  void note_moves_seen(const ActiveTable& table) override { inner_.note_moves_seen(own(table)); }
  bool misses_rows(const ActiveTable& table) override { return inner_.misses_rows(own(table)); }
  void note_shape(const ActiveTable& table) override { inner_.note_shape(own(table)); }
  bool may_define(const TableSpec& table) override { return inner_.may_define(names_.own(table)); }
  void remove_capture(const ActiveTable& table) override { inner_.remove_capture(own(table)); }
  void grant_access() override { inner_.grant_access(); }
  void remove_control_tables() override { inner_.remove_control_tables(); }

  std::vector<ActiveTable> active_tables() override;
  TableState load_state(const ActiveTable& table) override { return inner_.load_state(own(table)); }
  std::vector<TableStanding> load_standings(const std::vector<ActiveTable>& tables) override;
  void save_state(const ActiveTable& table, const TableState& state) override {
    inner_.save_state(own(table), state);
  }
  std::map<NodeId, Knowledge> load_peers(const ActiveTable& table) override {
    return inner_.load_peers(own(table));
  }
  void save_peer(const ActiveTable& table, const NodeId& peer,
                 const Knowledge& knowledge) override {
    inner_.save_peer(own(table), peer, knowledge);
  }
  std::map<std::int64_t, PeerMeeting> load_meetings(const NodeId& peer) override {
    return inner_.load_meetings(peer);
  }
  void save_meeting(const ActiveTable& table, const NodeId& peer,
                    const PeerMeeting& meeting) override {
    inner_.save_meeting(own(table), peer, meeting);
  }
  std::map<NodeId, RegisteredPeer> registered_peers() override { return inner_.registered_peers(); }
  void forget_peer(const NodeId& peer) override { inner_.forget_peer(peer); }
  void save_origin_name(const Identity& identity, const std::string& node_name) override {
    inner_.save_origin_name(identity, node_name);
  }
  std::string origin_name(const OriginId& origin) override { return inner_.origin_name(origin); }

  Heartbeat load_heartbeat(const std::string& job, const std::string& peer) override {
    return inner_.load_heartbeat(job, peer);
  }
  void save_heartbeat(const std::string& job, const std::string& peer,
                      const Heartbeat& heartbeat) override {
    inner_.save_heartbeat(job, peer, heartbeat);
  }

  KeyCounter key_counter(const TableSpec& table) override {
    return inner_.key_counter(names_.own(table));
  }
  std::vector<GivenRange> key_ranges(const ActiveTable& table) override {
    return inner_.key_ranges(own(table));
  }
  void save_key_range(const ActiveTable& table, const GivenRange& given) override {
    inner_.save_key_range(own(table), given);
  }
  void use_key_range(const ActiveTable& table, const KeyRange& range) override {
    inner_.use_key_range(own(table), range);
  }

  bool has_pending(const ActiveTable& table) override { return inner_.has_pending(own(table)); }
  std::pair<std::int64_t, std::int64_t> pending(const ActiveTable& table) override {
    return inner_.pending(own(table));
  }
  bool is_busy_log(const ActiveTable& table) override { return inner_.is_busy_log(own(table)); }
  HarvestCounts harvest_slice(const ActiveTable& table, TableState& state) override {
    return inner_.harvest_slice(own(table), state);
  }
  HarvestCounts harvest(const ActiveTable& table, TableState& state) override {
    return inner_.harvest(own(table), state);
  }
  void touch_all(const ActiveTable& table) override { inner_.touch_all(own(table)); }
  std::int64_t purge(const ActiveTable& table, TableState& state, std::int64_t before_us,
                     const std::vector<Knowledge>& peers) override {
    return inner_.purge(own(table), state, before_us, peers);
  }

  bool is_empty(const ActiveTable& table) override { return inner_.is_empty(own(table)); }
  std::int64_t count_rows(const ActiveTable& table) override {
    return inner_.count_rows(own(table));
  }
  std::int64_t count_null_keys(const ActiveTable& table) override {
    return inner_.count_null_keys(own(table));
  }
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

  bool log_conflict(const Conflict& conflict) override { return inner_.log_conflict(conflict); }
  std::vector<Conflict> conflicts() override { return inner_.conflicts(); }
  std::int64_t count_conflicts(ConflictStatus status) override {
    return inner_.count_conflicts(status);
  }
  void set_conflict_status(const std::string& id, ConflictStatus status) override {
    inner_.set_conflict_status(id, status);
  }
  std::int64_t drop_conflicts(std::int64_t before_us) override {
    return inner_.drop_conflicts(before_us);
  }
  // Kept as the peer showed them: that they cannot be turned into rows of ours is why they wait.
  void quarantine(const ActiveTable& table, const QuarantinedRow& row) override {
    inner_.quarantine(own(table), row);
  }
  std::vector<QuarantinedRow> quarantined(const ActiveTable& table) override {
    return inner_.quarantined(own(table));
  }
  void release_quarantined(const ActiveTable& table, RowView key) override {
    inner_.release_quarantined(own(table), key);
  }
  std::int64_t count_quarantined() override { return inner_.count_quarantined(); }
  void record_session(const SessionRecord& record) override { inner_.record_session(record); }
  std::vector<SessionRecord> sessions(std::int64_t limit) override {
    return inner_.sessions(limit);
  }

  const Pulse& look() override;
  std::vector<std::filesystem::path> watched_files() const override {
    return inner_.watched_files();
  }
  void interrupt() noexcept override { inner_.interrupt(); }
  std::int64_t join_daemons(const std::string& group) override {
    return inner_.join_daemons(group);
  }
  bool try_lease(const std::string& job) override { return inner_.try_lease(job); }
  void release_lease(const std::string& job) override { inner_.release_lease(job); }
  std::map<std::string, std::int64_t> done_runs(const std::string& job) override {
    return inner_.done_runs(job);
  }
  void note_done_run(const std::string& job, const std::string& peer,
                     std::int64_t due_us) override {
    inner_.note_done_run(job, peer, due_us);
  }

 private:
  /// A table as the inner node knows it and as it is shown, columns in one order.
  struct Translation {
    Translation(ActiveTable own_table, TableSpec shown_spec);

    const ActiveTable own;
    const TableSpec shown;
    RowConverter to_shown;
    RowConverter to_own;
  };
  class ShownRows;
  class OwnStage;
  class ShownApplySink;
  class ShownPairSink;

  Translation& translation(const ActiveTable& table);
  const ActiveTable& own(const ActiveTable& table) { return translation(table).own; }

  const std::unique_ptr<Node> owned_;
  Node& inner_;
  const NameMap names_;
  const std::vector<TableSpec> peer_tables_;
  std::map<std::int64_t, ActiveTable> own_tables_;  // as the inner node orders their columns
  std::map<std::int64_t, std::unique_ptr<Translation>> translations_;
  Pulse pulse_;  // of the inner node, with the names that all agree on
};

}  // namespace tidemark
