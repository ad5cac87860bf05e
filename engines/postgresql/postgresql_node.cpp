#include "engines/postgresql/postgresql_node.h"

#include <set>

#include "engines/postgresql/identifiers.h"

namespace tidemark::postgresql {
namespace {

/// The version of the control tables that this program reads and writes.
constexpr std::int64_t kFormat = 8;

/// Transactions of most applications end sooner.
constexpr std::chrono::milliseconds kBriefWait(500);
/// For tables to which nobody writes.
constexpr std::chrono::milliseconds kTableWait(2000);
/// For rows, once those that can be seen to be locked are known.
constexpr std::chrono::milliseconds kShortWait(100);

std::string set_lock_timeout(std::chrono::milliseconds timeout) {
  return "SET LOCAL lock_timeout = " + std::to_string(timeout.count()) + ";";
}

std::string pair_lock_call(const char* function) {
  return std::string("SELECT pg_catalog.") + function + "(pg_catalog.hashtextextended($1, 0))";
}

/// The lock of a pair: an advisory lock of the connection, because it outlives transactions. The
/// server lets go of it when the process dies, however it dies.
class AdvisoryLock final : public PairLock {
 public:
  AdvisoryLock(Connection& connection, std::set<NodeId>& held, const NodeId& peer)
      : connection_(connection), held_(held), peer_(peer) {}

  ~AdvisoryLock() override {
    held_.erase(peer_);
    if (connection_.is_broken()) return;
    try {
      connection_.run_prepared(pair_lock_call("pg_advisory_unlock"), {name_of(peer_)});
    } catch (const Error&) {
      // Within a transaction that failed: the lock ends with the connection.
    }
  }

  static std::string name_of(const NodeId& peer) { return "tidemark pair " + peer.to_string(); }

 private:
  Connection& connection_;
  std::set<NodeId>& held_;
  const NodeId peer_;
};

}  // namespace

PostgresqlNode::PostgresqlNode(const OpenRequest& request, const std::string& url,
                               std::string session_role)
    : session_role_(std::move(session_role)),
      connection_(request.node_name, url, request.lock_timeout),
      origins_(connection_),
      recent_(connection_, origins_) {}

PostgresqlNode::~PostgresqlNode() { rollback(); }

Traits PostgresqlNode::traits() const {
  return {.local = connection_.is_local(),
          .snapshot_reads = true,
          .shared = true,
          .checks_references = !may_silence_.value_or(false)};
}

std::int64_t PostgresqlNode::clock_us() {
  return connection_.run_prepared("SELECT " + time_us("clock_timestamp()"), {}).integer(0, 0);
}

std::optional<Identity> PostgresqlNode::identity() {
  if (!has_control_tables_) {
    const Rows exists = connection_.query("SELECT to_regclass('tidemark.node') IS NOT NULL");
    if (!exists.boolean(0, 0)) return std::nullopt;
  }
  const Rows rows =
      connection_.query("SELECT format, node_id, incarnation, origin FROM tidemark.node");
  if (rows.empty()) return std::nullopt;
  if (rows.integer(0, 0) != kFormat) {
    throw Error(ExitCode::protocol,
                "node " + name() + " was activated by another version of Tidemark (format " +
                    std::to_string(rows.integer(0, 0)) + ", this program has " +
                    std::to_string(kFormat) + ")",
                "Use the same version of Tidemark on all nodes.");
  }
  has_control_tables_ = true;
  return Identity{
      .node_id = rows.uuid(0, 1), .incarnation = rows.integer(0, 2), .origin = rows.uuid(0, 3)};
}

std::vector<TableSpec> PostgresqlNode::catalog() {
  std::vector<TableSpec> specs;
  load_catalog();
  for (const auto& entry : catalog_) specs.push_back(entry.second.spec);
  return specs;
}

std::unique_ptr<PairLock> PostgresqlNode::try_lock_pair(const NodeId& peer) {
  // The server would give one connection the same lock twice.
  if (held_pairs_.contains(peer)) return nullptr;
  const Rows rows = connection_.run_prepared(pair_lock_call("pg_try_advisory_lock"),
                                             {AdvisoryLock::name_of(peer)});
  if (!rows.boolean(0, 0)) return nullptr;
  held_pairs_.insert(peer);
  return std::make_unique<AdvisoryLock>(connection_, held_pairs_, peer);
}

void PostgresqlNode::begin_read() {
  // The snapshot is taken by the first statement that reads.
  connection_.begin("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1");
}

bool PostgresqlNode::may_silence() {
  if (!may_silence_) {
    const Rows role = connection_.query(
        "SELECT has_parameter_privilege('session_replication_role', 'SET'), "
        "current_setting('session_replication_role') = 'replica', current_user::text");
    may_silence_ = role.boolean(0, 0);
    // Triggers would be still where we count on the server to look at foreign keys.
    if (!*may_silence_ && role.boolean(0, 1)) {
      may_silence_.reset();
      throw Error(ExitCode::not_ready,
                  "node " + name() + ": session_replication_role is replica for role " +
                      role.text(0, 2) + ", which may not set it",
                  "ALTER ROLE " + quoted_name(role.bytes(0, 2)) +
                      " RESET session_replication_role; or GRANT SET ON PARAMETER "
                      "session_replication_role TO " +
                      quoted_name(role.bytes(0, 2)) + ".");
    }
  }
  return *may_silence_;
}

void PostgresqlNode::begin_write(Exclusion exclusion) {
  // The lock first: it takes no snapshot, so that whatever its last holder did is seen.
  if (!has_control_tables_ && !identity()) {
    connection_.begin(
        "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_catalog.pg_advisory_xact_lock("
        "pg_catalog.hashtextextended('tidemark activation', 0))");
    return;
  }
  std::set<std::string> locked;
  if (exclusion == Exclusion::applications) {
    for (const auto& entry : tables_) locked.insert(entry.second->table());
  }
  std::string locks;
  for (const std::string& table : locked) {
    locks += "LOCK TABLE " + table + " IN SHARE ROW EXCLUSIVE MODE;";
  }
  if (!locks.empty()) {
    // Every writer of the table queues up behind us while we wait.
    locks = set_lock_timeout(at_most(kTableWait)) + locks +
            set_lock_timeout(connection_.lock_timeout());
  }
  if (may_silence()) locks += "SET LOCAL session_replication_role = 'replica';";
  try {
    connection_.begin(
        "BEGIN ISOLATION LEVEL REPEATABLE READ; LOCK TABLE tidemark.node IN EXCLUSIVE MODE;" +
        locks + "SET LOCAL tidemark.applying = 'on'; SET CONSTRAINTS ALL DEFERRED; SELECT 1");
  } catch (const Error& error) {
    rollback();
    if (exclusion == Exclusion::applications && error.code() == ExitCode::locked) {
      throw RowLocked(error.what(), error.hint());
    }
    throw;
  }
}

void PostgresqlNode::treat_locked_rows(LockedRows treatment) {
  locked_rows_ = treatment;
  if (treatment == LockedRows::wait_briefly) wait_for_locks(at_most(kBriefWait));
}

// Our lock is of the kind that the write takes: who refers to a row keeps nobody from updating it.
bool PostgresqlNode::is_row_locked(const ActiveTable& table, RowView key, RowView row) {
  const std::shared_ptr<TableSql> sql = sql_of(table);
  if (!sql->can_hold_key(key)) return false;
  const std::string here = " FROM " + sql->table() + " AS t WHERE " + sql->key_is("t.", 1);
  const std::string lock =
      here + (row.empty() ? " FOR UPDATE" : " FOR NO KEY UPDATE") + " SKIP LOCKED";
  if (locked_rows_ == LockedRows::pass_over_changed) {
    std::int64_t locked_here = 0;
    try {
      connection_.run_or_refuse("SELECT" + lock, sql->encode_key(key), locked_here);
    } catch (const Collision&) {
      return true;
    }
    if (locked_here > 0) return false;
    return !connection_.run_prepared("SELECT" + here, sql->encode_key(key)).empty();
  }
  return connection_
      .run_prepared("WITH free AS MATERIALIZED (SELECT" + lock + ") SELECT EXISTS (SELECT" + here +
                        ") AND NOT EXISTS (SELECT FROM free)",
                    sql->encode_key(key))
      .boolean(0, 0);
}

/// Until the transaction ends.
void PostgresqlNode::wait_for_locks(std::chrono::milliseconds timeout) {
  connection_.execute(set_lock_timeout(timeout));
}

/// Every writer of a table queues up behind us while we wait for it.
void PostgresqlNode::wait_for_tables_shortly() { wait_for_locks(at_most(kTableWait)); }

/// For the lock on the table itself, which a write would take, we still wait as long as ever.
void PostgresqlNode::wait_for_rows_shortly(const TableSql& sql) {
  wait_for_locks(connection_.lock_timeout());
  connection_.execute("LOCK TABLE " + sql.table() + " IN ROW EXCLUSIVE MODE");
  wait_for_locks(at_most(kShortWait));
}

std::chrono::milliseconds PostgresqlNode::at_most(std::chrono::milliseconds timeout) const {
  const std::chrono::milliseconds configured = connection_.lock_timeout();
  return configured.count() == 0 ? timeout : std::min(timeout, configured);
}

void PostgresqlNode::commit() {
  try {
    raise_sequences();
    recent_.settle();
    // A server answers COMMIT with ROLLBACK, and no error, when a statement failed before.
    if (connection_.query("COMMIT").command() != "COMMIT") {
      throw Error(ExitCode::failed, "node " + name() + ": the transaction was rolled back",
                  "Nothing was written; run the session again.", true);
    }
  } catch (...) {
    rollback();
    throw;
  }
  origins_.forget();
  checks_uniques_.clear();
  owed_keys_.clear();
  made_control_tables_ = false;
  locked_rows_ = LockedRows::wait;
}

void PostgresqlNode::rollback() noexcept {
  if (!connection_.is_broken() && connection_.in_transaction()) {
    PQclear(PQexec(connection_.handle(), "ROLLBACK"));
  }
  origins_.forget();
  recent_.forget();
  fires_triggers_ = false;
  checks_uniques_.clear();
  grown_.clear();
  owed_keys_.clear();
  locked_rows_ = LockedRows::wait;
  if (made_control_tables_) has_control_tables_ = false;
  made_control_tables_ = false;
}

OriginId PostgresqlNode::origin_in(const Rows& node) const {
  if (node.empty()) {
    throw Error(ExitCode::not_ready, "node " + name() + " is not activated",
                "Run 'tidemark activate'.");
  }
  return node.uuid(0, 0);
}

void PostgresqlNode::set_identity(const Identity& identity) {
  connection_.query("DELETE FROM tidemark.node");
  connection_.query(
      "INSERT INTO tidemark.node(format, node_id, incarnation, origin) VALUES ($1, $2, $3, $4)",
      {std::to_string(kFormat), identity.node_id.to_string(), std::to_string(identity.incarnation),
       identity.origin.to_string()});
  origins_.number(identity.origin);
}

void PostgresqlNode::load_catalog() {
  // In one transaction it does not change, unless we change it.
  if (connection_.in_transaction() && catalog_transaction_ == connection_.transaction()) return;
  catalog_transaction_ = connection_.in_transaction() ? connection_.transaction() : 0;
  catalog_.clear();
  sequences_.clear();
  for (CatalogTable& table : read_catalog(connection_)) {
    std::string table_name = table.spec.name;
    catalog_.emplace(std::move(table_name), std::move(table));
  }
}

std::shared_ptr<TableSql> PostgresqlNode::sql_of(const ActiveTable& table) {
  std::shared_ptr<TableSql>& kept = tables_[table.id];
  if (kept && kept->spec().columns == table.spec.columns && kept->spec().key == table.spec.key &&
      kept->spec().name == table.spec.name) {
    return kept;
  }
  if (!catalog_.contains(table.spec.name)) load_catalog();
  const auto found = catalog_.find(table.spec.name);
  if (found == catalog_.end()) {
    throw Error(ExitCode::not_ready, "node " + name() + " has no table " + table.spec.name,
                "Create it, or take it out of the job.");
  }
  return kept = std::make_shared<TableSql>(table.spec, found->second, table.id);
}

}  // namespace tidemark::postgresql
