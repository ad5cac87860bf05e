// What every database product must be able to do, as a short list of named operations. An engine is
// a folder beside this file, a folder under schemas/ and one line in registry.cpp; tests/contract
// says when it is finished. No driver type appears here and none leaves an engine's folder.
//
// A Node is one open database that takes part (or may come to take part). It is used by one thread
// at a time. It holds at most one transaction; whoever began it ends it, and a Node that is
// destroyed inside one rolls back. Every operation throws Error when the database fails, and leaves
// the transaction to be rolled back then.
#pragma once

#include <cstdint>
#include <exception>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/change.h"
#include "model/error.h"
#include "model/table.h"
#include "model/version.h"

namespace tidemark {

/// What a session must know of an engine to choose its way.
struct Traits {
  bool local = false;           // rows reach this process without a network
  bool snapshot_reads = false;  // a long read keeps no writer waiting
  bool shared = false;          // sessions of many pairs write to it: locks are kept short
  bool loose = false;           // columns hold values of any kind
  bool translated = false;      // its rows were stored by another product (see TranslatingNode)
  /// What a session writes is checked by the product's own foreign keys at once, and sets off what
  /// they do on a delete. Meaningful in a write transaction.
  bool checks_references = false;
};

/// Whom a write transaction keeps out while it is open.
enum class Exclusion : std::uint8_t {
  sessions,      // others of ours; applications too where the product locks whole databases
  applications,  // also every application's write to a table under capture
};

/// What becomes of a change whose row another transaction holds locked, where products lock rows.
enum class LockedRows : std::uint8_t {
  wait,          // it is waited for as long as the configuration allows, then RowLocked is thrown
  wait_briefly,  // the same, but no longer than most transactions take
  pass_over,     // apply_known() hands it over as refused; whatever else meets it throws RowLocked
  pass_over_changed,  // the same, also what another transaction wrote since this one's snapshot,
                      // of which whatever else meets it throws Collision and can go on
};

inline bool passes_over(LockedRows treatment) { return treatment >= LockedRows::pass_over; }
/// Whether the row of which a write threw `error` is to be passed over.
inline bool is_passed_over(const Error& error, LockedRows treatment) {
  if (dynamic_cast<const RowLocked*>(&error) != nullptr) return passes_over(treatment);
  return treatment == LockedRows::pass_over_changed &&
         dynamic_cast<const Collision*>(&error) != nullptr;
}

enum class CaptureHealth : std::uint8_t {
  intact,
  missing,        // triggers or the change log are not what they have to be: changes may escape
  moves_unseen,   // nothing escapes but the old key of a row that a trigger gave another
  table_missing,  // the data table itself is gone
};

/// A table under capture. `spec` is what the catalog says now. Sessions may reorder spec.columns
/// (see aligned()) and show it otherwise; the two shapes are TableSpec::shape() in the node's own
/// words.
struct ActiveTable {
  std::int64_t id = 0;  // the node's own number of the table; names the control tables
  TableSpec spec;
  std::string activated_shape;  // when capture was installed, or the shape was last noted
  std::string current_shape;    // as the catalog says now
  CaptureHealth health = CaptureHealth::intact;
  /// What is wrong, where `health` says `missing` or `moves_unseen`; follows the name of the table
  /// and a colon.
  std::string capture_fault = "triggers are gone, or were altered or switched off";
  /// Triggers fire on rows that are applied here: the application asked for it, or the engine needs
  /// them.
  bool fire_triggers = false;

  /// Columns were changed since; capture works all the same.
  bool is_reshaped() const {
    return health == CaptureHealth::intact && activated_shape != current_shape;
  }
};

/// What a node noted of a table when it last met a peer.
struct PeerMeeting {
  std::int64_t met_at_us = 0;  // when something was last noted
  /// ActiveTable::current_shape when the rows of both were last known to be alike in every column;
  /// empty: never.
  std::string shape;

  friend bool operator==(const PeerMeeting&, const PeerMeeting&) = default;
};

/// A peer that a node waits for before it purges tombstones.
struct RegisteredPeer {
  std::string name;            // configured name when the two met last; the node id if not known
  std::int64_t met_at_us = 0;  // the latest of all tables
};

/// What two nodes of a job tell each other by heartbeats, as one of them keeps it. A heartbeat
/// measures how long a change would be on its way; it is no change of anybody's data.
struct Heartbeat {
  std::int64_t sent_us = 0;   // the one that this node sends to the peer, by its own clock; 0: none
  std::int64_t heard_us = 0;  // the last one of the peer that arrived here, by the peer's clock
  std::int64_t arrived_us = 0;  // when it did, by the peer's clock too

  friend bool operator==(const Heartbeat&, const Heartbeat&) = default;
};

/// Rows on their way into a target: filled by one thread, read by the target's engine. Depending on
/// the engine it is a spool in this process or a staging table in the database. Rows arrive in
/// KeyOrder.
class Stage {
 public:
  virtual ~Stage() = default;
  /// Copies the row. May block while a concurrent reader catches up. False: the reader gave up, and
  /// so may the writer.
  virtual bool add(const ChangedRow& row) = 0;
  /// No more rows. Must be called exactly once, unless fail() is.
  virtual void finish() = 0;
  /// The source failed: the reader gets `error` as an exception.
  virtual void fail(std::exception_ptr error) = 0;
  /// The reader gives up: rows that are still added are dropped, and nobody waits.
  virtual void abandon() noexcept = 0;
};

/// What a stage is made for.
struct StageUse {
  bool concurrent = false;  // rows are read while they are still being added, not after finish()
  bool whole = false;       // for all rows of a table: to be compared, or to fill an empty one
  bool translated = false;  // text may be written otherwise than this product would print it
};

/// Why a database refused a row.
struct Refusal {
  enum class Kind : std::uint8_t {
    unique,
    not_null,
    check,
    foreign_key,
    type,
    locked,  // only in apply_known() where such rows are passed over
  } kind = Kind::check;
  std::string reason;       // the engine's own words
  std::string logged = {};  // the same without values of rows, where `reason` may hold some

  std::string for_log() const {
    if (!logged.empty()) return logged;
    return kind == Kind::type ? "a value does not fit its column" : reason;
  }
};

/// Takes the rows that apply_known() must not decide by itself.
class ApplySink {
 public:
  virtual ~ApplySink() = default;
  /// The source had not seen `local`: whoever implements this decides, and may write through the
  /// node.
  virtual void compare(const ChangedRow& incoming, const LocalRow& local) = 0;
  /// The row was to be written but a constraint is in the way; nothing of it is stored.
  virtual void refused(const ChangedRow& incoming, const Refusal& refusal) = 0;
};

/// A pair of the full compare; a side that is missing was met on the other node only.
class PairSink {
 public:
  virtual ~PairSink() = default;
  /// `incoming` and `local` are valid during the call. Must not write to the node. Called for every
  /// key of either side in KeyOrder; `equal` says that both sides hold identical rows (or both
  /// none).
  virtual void pair(const ChangedRow* incoming, const ChangedRow* local, bool equal) = 0;
};

/// A row that refers to another one by a foreign key.
struct Referrer {
  std::string table;
  Row key;  // empty where the table has none
};

struct HarvestCounts {
  std::int64_t logged = 0;     // entries that were in the change log
  std::int64_t versions = 0;   // row versions made of them
  std::int64_t null_keys = 0;  // entries whose key holds NULL: such rows cannot be addressed
};

struct TableDigest {
  std::int64_t rows = 0;
  std::uint64_t low = 0, high = 0;  // sum of the XXH3-128 of every row's canonical encoding

  friend bool operator==(const TableDigest&, const TableDigest&) = default;
};

/// Numbers from which a node draws the keys of new rows, both ends included.
struct KeyRange {
  std::int64_t low = 0;
  std::int64_t high = 0;

  friend bool operator==(const KeyRange&, const KeyRange&) = default;
};

struct GivenRange {
  NodeId node;
  KeyRange range;
};

/// What gives the new rows of a table their keys.
struct KeyCounter {
  std::string refusal;       // why it cannot be kept in a range; empty if it can
  std::int64_t next = 1;     // the number that the next new row gets
  std::int64_t largest = 0;  // the largest key that is there
  std::int64_t limit = 0;    // the largest number that the key column holds
  /// A new row never gets a number below the largest key, whoever wrote that: applied rows of a
  /// higher range push the counter out of its own.
  bool follows_largest = false;
};

/// Something about a database that the operator should know, found by looking at it.
struct Concern {
  bool obstacle = false;  // sessions fail because of it
  std::string table;      // empty: it concerns the whole node
  std::string message;
  std::string hint;
};

/// Held by a session as long as it works on a pair of nodes; ends with the object or its process.
class PairLock {
 public:
  virtual ~PairLock() = default;
};

/// What tells whether a session would find work at a node; see Node::look().
struct Pulse {
  struct Table {
    bool pending = false;         // the change log holds entries
    std::uint64_t knowledge = 0;  // Knowledge::digest() of what the node has seen of the table

    friend bool operator==(const Table&, const Table&) = default;
  };
  /// Another number whenever something may have been committed since the last look.
  std::int64_t generation = 0;
  std::int64_t schema =
      0;  // changes with the definition of tables and triggers, where that is told
  std::map<std::string, Table> tables;  // those under capture
  std::int64_t heartbeat_us = 0;        // the latest that this node sends to anybody
};

/// What a node knows of one captured table, and what waits in it.
struct TableStanding {
  TableState state;
  std::map<NodeId, Knowledge> peers;
  bool has_pending = false;
};

class Node {
 public:
  virtual ~Node() = default;

  // --- What it is
  // -----------------------------------------------------------------------------------
  /// The name from the configuration, for messages.
  virtual const std::string& name() const = 0;
  virtual Traits traits() const = 0;
  /// The node's own clock, microseconds since 1970 UTC.
  virtual std::int64_t clock_us() = 0;
  /// Nothing if the node was never activated.
  virtual std::optional<Identity> identity() = 0;
  /// Every table that an application may own: views, virtual and shadow tables, the engine's own
  /// and control tables are left out; a table that cannot take part has `refusal` set.
  virtual std::vector<TableSpec> catalog() = 0;
  /// What else stands in the way of sessions, or may surprise: permissions, settings of the server.
  virtual std::vector<Concern> concerns() = 0;
  /// Null when somebody holds the lock of this pair. The node must outlive the lock.
  virtual std::unique_ptr<PairLock> try_lock_pair(const NodeId& peer) = 0;

  // --- Transactions
  // ---------------------------------------------------------------------------------
  /// One snapshot for all reads until commit() or rollback().
  virtual void begin_read() = 0;
  /// A snapshot that also keeps others out. Waits for the lock as long as the configuration allows,
  /// then throws a retryable Error; RowLocked when only applications were in the way. Where those
  /// are not kept out, a row that one of them wrote since makes a write throw Collision.
  virtual void begin_write(Exclusion exclusion) = 0;
  void begin_write() { begin_write(Exclusion::sessions); }
  /// In a write transaction, until it ends; at first it waits.
  virtual void treat_locked_rows(LockedRows) {}
  /// Another transaction locks the row, if it is there, so that `row` (empty: its delete) cannot be
  /// written; otherwise this one locks it now. In a write transaction that passes over locked rows.
  virtual bool is_row_locked(const ActiveTable& /*table*/, RowView /*key*/, RowView /*row*/) {
    return false;
  }
  /// What was written survives a loss of power when this returns.
  virtual void commit() = 0;
  /// As commit(), but a loss of power may undo it until make_durable(): nobody may be told of it
  /// before. Keeps no writer waiting for the disk.
  virtual void commit_unsynced() { commit(); }
  /// Whatever was committed here, by anybody, survives a loss of power when this returns.
  virtual void make_durable() {}
  virtual void rollback() noexcept = 0;

  // --- Activation (in a write transaction)
  // ------------------------------------------------------------
  /// While set, every defining statement is appended to `script` as well as executed.
  virtual void record_sql(std::vector<std::string>* script) = 0;
  virtual void create_control_tables(const Identity& identity) = 0;
  virtual void set_identity(const Identity& identity) = 0;
  /// Makes a user table like one of another node (activate --create-tables).
  virtual void create_table(const TableSpec& like) = 0;
  /// Installs change log, row versions and triggers; state starts empty with `baseline` as its
  /// baseline.
  virtual void install_capture(const TableSpec& table, const BaselineId& baseline) = 0;
  /// Makes capture whole again after triggers were lost or columns changed; state and logs are
  /// kept.
  virtual void repair_capture(const ActiveTable& table) = 0;
  /// For a table of which moves are unseen: they are seen from now on. In a transaction of its own,
  /// because it waits for all that write the table; those that went unseen still count, until
  /// note_moves_seen() is committed. Sessions may.
  virtual void watch_moves(const ActiveTable& table) = 0;
  virtual void note_moves_seen(const ActiveTable& table) = 0;
  /// Whether a version says that a row is there, and it is not. Asked when nothing is pending.
  virtual bool misses_rows(const ActiveTable& table) = 0;
  /// Writes down that the columns are as they should be now. For tables whose capture is intact; no
  /// statement that defines anything is needed.
  virtual void note_shape(const ActiveTable& table) = 0;
  /// Whether this connection may install and repair capture on a table that is there.
  virtual bool may_define(const TableSpec& table) = 0;
  /// Takes one table out; nothing of it is left in the control tables.
  virtual void remove_capture(const ActiveTable& table) = 0;
  /// Lets the role that runs sessions do what it needs on control tables and captured tables, where
  /// the product has roles and this connection is another's. Nothing when it may already.
  virtual void grant_access() = 0;
  /// Removes every trace of Tidemark, triggers first.
  virtual void remove_control_tables() = 0;

  // --- State
  // ------------------------------------------------------------------------------------------
  virtual std::vector<ActiveTable> active_tables() = 0;
  virtual TableState load_state(const ActiveTable& table) = 0;
  /// Writes only what differs from what is stored.
  virtual void save_state(const ActiveTable& table, const TableState& state) = 0;
  /// The knowledge of each registered peer about this table, as of the last session with it.
  virtual std::map<NodeId, Knowledge> load_peers(const ActiveTable& table) = 0;
  /// load_state(), load_peers() and has_pending() of every table: over a network one answer to wait
  /// for instead of three for each of them.
  virtual std::vector<TableStanding> load_standings(const std::vector<ActiveTable>& tables) {
    std::vector<TableStanding> standings;
    standings.reserve(tables.size());
    for (const ActiveTable& table : tables) {
      standings.push_back({.state = load_state(table),
                           .peers = load_peers(table),
                           .has_pending = has_pending(table)});
    }
    return standings;
  }
  virtual void save_peer(const ActiveTable& table, const NodeId& peer,
                         const Knowledge& knowledge) = 0;
  /// What was noted of `peer`, by the numbers of the tables.
  virtual std::map<std::int64_t, PeerMeeting> load_meetings(const NodeId& peer) = 0;
  virtual void save_meeting(const ActiveTable& table, const NodeId& peer,
                            const PeerMeeting& meeting) = 0;
  /// All peers that were ever met and not forgotten.
  virtual std::map<NodeId, RegisteredPeer> registered_peers() = 0;
  /// Nothing of the peer is left that purging would wait for. Whoever comes back is a stranger.
  virtual void forget_peer(const NodeId& peer) = 0;
  /// Remembers the configured name of an origin or node, for messages and the conflict log.
  virtual void save_origin_name(const Identity& identity, const std::string& node_name) = 0;
  /// The configured name of the node behind `origin`; its uuid when it was never met.
  virtual std::string origin_name(const OriginId& origin) = 0;

  // --- Heartbeats
  // ------------------------------------------------------------------------------------------
  /// All zero when nothing was ever sent or heard; the names are those of the configuration.
  virtual Heartbeat load_heartbeat(const std::string& job, const std::string& peer) = 0;
  virtual void save_heartbeat(const std::string& job, const std::string& peer,
                              const Heartbeat& heartbeat) = 0;

  // --- Key ranges
  // ------------------------------------------------------------------------------------------
  virtual KeyCounter key_counter(const TableSpec& table) = 0;
  /// The ranges that this node has, and those that it gave to others; the lowest first.
  virtual std::vector<GivenRange> key_ranges(const ActiveTable& table) = 0;
  virtual void save_key_range(const ActiveTable& table, const GivenRange& given) = 0;
  /// New rows get numbers of this range from now on, which must be written down as this node's.
  /// Applied rows do not lead the counter out of the ranges of its node; one that follows the
  /// largest key goes on in the node's next range above it, if there is one.
  virtual void use_key_range(const ActiveTable& table, const KeyRange& range) = 0;

  // --- Capture
  // ------------------------------------------------------------------------------------------
  virtual bool has_pending(const ActiveTable& table) = 0;
  /// How many entries the change log holds, and the time of the oldest (0 if none); for status.
  virtual std::pair<std::int64_t, std::int64_t> pending(const ActiveTable& table) = 0;
  /// The time of the oldest change that `known` does not cover, in the change log or as a version
  /// (in any transaction); nothing when there is none, or none that tells its time. Of a row that
  /// was changed again and harvested only the last change is known. An engine that leaves it out
  /// reads the rows as well.
  virtual std::optional<std::int64_t> oldest_unseen(const ActiveTable& table,
                                                    const Knowledge& known);
  /// Folds the change log into row versions and empties it (write transaction). Each touched key
  /// gets changed_at = max(newest log time, previous + 1, clock floor + 1) and the next sequence;
  /// `state` is updated in memory, not saved. Candidates of REPLACE count only when their row is
  /// gone.
  virtual HarvestCounts harvest(const ActiveTable& table, TableState& state) = 0;
  /// Where applications wait while a log is harvested: it is so long that those would notice who
  /// write to it right now. In no transaction or any.
  virtual bool is_busy_log(const ActiveTable&) { return false; }
  /// Harvests the oldest entries of a busy log, no more than applications hardly notice.
  virtual HarvestCounts harvest_slice(const ActiveTable& table, TableState& state) {
    return harvest(table, state);
  }
  /// Logs every row of the table as touched at time 0, and drops the versions of rows that are no
  /// longer there (tombstones stay): what a table needs whose triggers were lost.
  virtual void touch_all(const ActiveTable& table) = 0;
  /// Drops tombstones with changed_at below `before_us` that every one of `peers` covers; raises
  /// forgotten knowledge and clock floor in `state`. Returns how many.
  virtual std::int64_t purge(const ActiveTable& table, TableState& state, std::int64_t before_us,
                             const std::vector<Knowledge>& peers) = 0;

  // --- Reading (in any transaction). A stream may need its node's connection for itself: until it
  // has ended or is destroyed, nothing else is asked of the node.
  // ----------------------------------------------------------------------
  /// No row and no version: nothing was ever here, or nobody remembers it.
  virtual bool is_empty(const ActiveTable& table) = 0;
  virtual std::int64_t count_rows(const ActiveTable& table) = 0;
  /// Rows with NULL in the key: they cannot be addressed, so they stay where they are. Costs
  /// nothing where the key columns forbid NULL.
  virtual std::int64_t count_null_keys(const ActiveTable& table) = 0;
  /// Every key with a version that `known` does not cover, with its row.
  virtual std::unique_ptr<RowStream> changes_since(const ActiveTable& table,
                                                   const Knowledge& known) = 0;
  /// Every key that has a row or a version.
  virtual std::unique_ptr<RowStream> all_rows(const ActiveTable& table) = 0;
  /// Row and version of one key, both possibly absent.
  virtual LocalRow find(const ActiveTable& table, RowView key) = 0;
  /// Keys of rows other than `row`'s own that hold a unique value of `row`, for every unique
  /// constraint.
  virtual std::vector<Row> unique_rivals(const ActiveTable& table, RowView row) = 0;
  virtual TableDigest digest(const ActiveTable& table) = 0;

  // --- References between rows, by the foreign keys of this database (in a write transaction). A
  // row with NULL among the columns of a key refers to nothing by it.
  // ---------------------------------------
  /// Some table, under capture or not, has a foreign key to this one. Needs no transaction.
  virtual bool is_referenced(const ActiveTable& table) = 0;
  /// The rows that refer to values of `row` that `instead` (empty: no row) would not have; each
  /// once. A row that refers to itself does not count.
  virtual std::vector<Referrer> referrers(const ActiveTable& table, RowView row,
                                          RowView instead) = 0;
  /// Positions in the foreign keys of `table` of those by which `row` refers to a row that is not
  /// there. A row may refer to itself.
  virtual std::vector<std::size_t> missing_parents(const ActiveTable& table, RowView row) = 0;
  /// Keys of the rows that refer to a row that is not there, among those whose version `known` does
  /// not cover, or (null) among all. Nothing where the product itself lets no such row in.
  virtual std::vector<Row> orphans(const ActiveTable& table, const Knowledge* known) = 0;
  /// The key of the row of `table` that holds `values` in `columns`.
  virtual std::optional<Row> find_by(const ActiveTable& table,
                                     const std::vector<std::string>& columns, RowView values) = 0;

  // --- Writing (in a write transaction; nothing of this is captured)
  // ---------------------------------------
  virtual std::unique_ptr<Stage> make_stage(const ActiveTable& table, StageUse use) = 0;
  /// Consumes the stage. A staged row is written with its version when the target has no version of
  /// its key or one that `source_knowledge` covers; one that the target has already is passed over;
  /// the rest goes to `sink`, one at a time, each before the next row is looked at. So does what
  /// would take a row away, or a value of it, to which another row refers. Counts what was written.
  virtual PullCounts apply_known(const ActiveTable& table, Stage& stage,
                                 const Knowledge& source_knowledge, ApplySink& sink) = 0;
  /// Consumes the stage and merges it with all rows and versions of the target.
  virtual void compare_all(const ActiveTable& table, Stage& stage, PairSink& sink) = 0;
  /// Writes one row, or removes it when `row` is empty. Does not touch the version. Nothing if it
  /// worked; else the constraint that is in the way, and the row is as before. False in `changed`
  /// (if given) when there was nothing to do.
  virtual std::optional<Refusal> put_row(const ActiveTable& table, RowView key, RowView row) = 0;
  /// Writes or (without a version) removes the version of one key.
  virtual void put_version(const ActiveTable& table, RowView key, bool present,
                           const std::optional<Version>& version) = 0;
  /// Writes a row, or deletes it when `row` is empty, as a local change that the next harvest
  /// finds.
  virtual std::optional<Refusal> write_as_local_change(const ActiveTable& table, RowView key,
                                                       RowView row) = 0;
  /// Logs a key as touched now, without changing its row.
  virtual void touch(const ActiveTable& table, RowView key) = 0;

  // --- Records
  // ---------------------------------------------------------------------------------------------
  /// Keeps a conflict; one whose id is there already is not repeated. False then.
  virtual bool log_conflict(const Conflict& conflict) = 0;
  virtual std::vector<Conflict> conflicts() = 0;
  virtual std::int64_t count_conflicts(ConflictStatus status) = 0;
  virtual void set_conflict_status(const std::string& id, ConflictStatus status) = 0;
  /// Drops conflicts that are not open and were found before `before_us`. Returns how many.
  virtual std::int64_t drop_conflicts(std::int64_t before_us) = 0;
  /// Keeps a row that cannot be held; replaces what was kept for its key.
  virtual void quarantine(const ActiveTable& table, const QuarantinedRow& row) = 0;
  virtual std::vector<QuarantinedRow> quarantined(const ActiveTable& table) = 0;
  /// Nothing happens when none is kept for the key.
  virtual void release_quarantined(const ActiveTable& table, RowView key) = 0;
  virtual std::int64_t count_quarantined() = 0;
  virtual void record_session(const SessionRecord& record) = 0;
  /// The newest first.
  virtual std::vector<SessionRecord> sessions(std::int64_t limit) = 0;

  // --- Being watched, for a daemon that keeps the node open. Optional: an engine that leaves these
  // out works, at a higher price.
  // -----------------------------------------------------------------------------
  /// Outside of transactions. Writes nothing; costs next to nothing while nobody commits. What was
  /// committed before the call is in the answer, or in the next answer at the latest.
  virtual const Pulse& look();
  /// Files that change before or when somebody commits; none where look() has to be called again
  /// and again.
  virtual std::vector<std::filesystem::path> watched_files() const { return {}; }
  /// Called by another thread while an operation is at work: makes it fail soon, if it can. The
  /// node is good for nothing afterwards.
  virtual void interrupt() noexcept {}
  /// Announces this connection as that of a daemon of a group that shares its jobs, until it ends,
  /// however it ends. Returns how many daemons are in the group. A connection joins one group.
  /// Where a database is the business of one machine there is one daemon.
  virtual std::int64_t join_daemons(const std::string& /*group*/) { return 1; }
  /// False while another daemon holds the lease; it ends with its connection.
  virtual bool try_lease(const std::string& /*job*/) { return true; }
  virtual void release_lease(const std::string& /*job*/) {}
  /// Runs of the job's schedule that were done, by whichever daemon: for each peer the time up to
  /// which they were, microseconds since 1970. Kept only where daemons share a database; outside of
  /// a transaction, and committed at once.
  virtual std::map<std::string, std::int64_t> done_runs(const std::string& /*job*/) { return {}; }
  virtual void note_done_run(const std::string& /*job*/, const std::string& /*peer*/,
                             std::int64_t /*due_us*/) {}

 private:
  Pulse looked_;  // by the general look()
};

}  // namespace tidemark
