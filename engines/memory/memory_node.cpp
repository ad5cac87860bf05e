#include "engines/memory/memory_node.h"

#include <algorithm>
#include <span>
#include <stdexcept>

#include <xxhash.h>

#include "engines/memory/memory_stage.h"
#include "model/error.h"

namespace tidemark::memory {
namespace {

/// Sessions may reorder the columns of a table; rows are kept as the table declares them.
class ColumnMap {
 public:
  ColumnMap(const TableSpec& outside, const TableSpec& stored) {
    const auto same_name = [](const ColumnSpec& a, const ColumnSpec& b) {
      return a.name == b.name;
    };
    if (std::equal(outside.columns.begin(), outside.columns.end(), stored.columns.begin(),
                   stored.columns.end(), same_name)) {
      return;
    }
    for (const ColumnSpec& column : outside.columns) {
      const auto found =
          std::find_if(stored.columns.begin(), stored.columns.end(),
                       [&](const ColumnSpec& candidate) { return same_name(candidate, column); });
      if (found == stored.columns.end()) {
        throw Error(ExitCode::failed, "table " + stored.name + " has no column " + column.name,
                    "run tidemark check");
      }
      stored_position_.push_back(static_cast<std::size_t>(found - stored.columns.begin()));
    }
  }

  bool is_identity() const { return stored_position_.empty(); }

  StoredRow to_stored(RowView row) const {
    if (is_identity() || row.empty()) return StoredRow(row);
    std::vector<ValueView> views(row.size());
    for (std::size_t i = 0; i < row.size(); ++i) views[stored_position_[i]] = row[i];
    return StoredRow(views);
  }

  /// A view of `stored` in the outside order; `buffer` holds it where it differs.
  RowView to_outside(RowView stored, std::vector<ValueView>& buffer) const {
    if (is_identity() || stored.empty()) return stored;
    buffer.resize(stored.size());
    for (std::size_t i = 0; i < stored.size(); ++i) buffer[i] = stored[stored_position_[i]];
    return buffer;
  }

 private:
  std::vector<std::size_t> stored_position_;  // of every outside column; empty: the same order
};

/// Walks the entries of a table that `Filter` takes. The table may not change meanwhile.
template <typename Filter>
class EntryStream final : public RowStream {
 public:
  EntryStream(const Table& table, const TableSpec& outside, Filter filter)
      : next_(table.entries.begin()),
        end_(table.entries.end()),
        columns_(outside, table.spec),
        filter_(std::move(filter)) {}

  bool next(ChangedRow& row) override {
    while (next_ != end_ && !filter_(next_->second)) ++next_;
    if (next_ == end_) return false;
    const Entry& entry = next_->second;
    row.key = next_->first.view();
    row.present = entry.present;
    row.row = entry.present ? columns_.to_outside(entry.row.view(), buffer_) : RowView();
    row.version = entry.version;
    row.revert = false;
    ++next_;
    return true;
  }

 private:
  Entries::const_iterator next_;
  Entries::const_iterator end_;
  ColumnMap columns_;
  Filter filter_;
  std::vector<ValueView> buffer_;
};

class EmptyStream final : public RowStream {
 public:
  bool next(ChangedRow&) override { return false; }
};

bool same_row(const ChangedRow& a, const ChangedRow& b) {
  if (a.present != b.present) return false;
  return !a.present || identical(a.row, b.row);
}

/// What harvest learns of one key from the log.
struct Touched {
  std::int64_t newest_us = 0;
  bool inserted = false;
};

}  // namespace

class MemoryNode::Lock final : public PairLock {
 public:
  Lock(std::shared_ptr<MemoryDatabase> database, const NodeId& peer)
      : database_(std::move(database)), peer_(peer) {}
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
  ~Lock() override { database_->locked_pairs_.erase(peer_); }

 private:
  const std::shared_ptr<MemoryDatabase> database_;
  const NodeId peer_;
};

MemoryNode::MemoryNode(std::string name, std::shared_ptr<MemoryDatabase> database)
    : name_(std::move(name)), database_(std::move(database)) {}

MemoryNode::~MemoryNode() { rollback(); }

std::vector<TableSpec> MemoryNode::catalog() {
  std::vector<TableSpec> specs;
  for (const auto& [name, table] : content().tables) {
    if (!table.exists) continue;
    specs.push_back(table.spec);
    if (table.spec.key.empty()) specs.back().refusal = "has no primary key";
  }
  return specs;
}

std::unique_ptr<PairLock> MemoryNode::try_lock_pair(const NodeId& peer) {
  if (!database_->locked_pairs_.insert(peer).second) return nullptr;
  return std::make_unique<Lock>(database_, peer);
}

// --- Transactions
// ---------------------------------------------------------------------------------------

void MemoryNode::begin_read() {
  if (transaction_ != Transaction::none) throw std::logic_error("a transaction inside another");
  if (database_->writing_) {
    throw Error(ExitCode::locked, "node " + name_ + ": another transaction is writing",
                "try again when it has ended", true);
  }
  ++database_->readers_;
  transaction_ = Transaction::read;
}

void MemoryNode::begin_write(Exclusion) {
  if (transaction_ != Transaction::none) throw std::logic_error("a transaction inside another");
  if (database_->writing_ || database_->readers_ > 0) {
    throw Error(ExitCode::locked, "node " + name_ + ": another transaction is open",
                "try again when it has ended", true);
  }
  database_->writing_ = true;
  transaction_ = Transaction::write;
}

void MemoryNode::commit() {
  if (transaction_ == Transaction::none) throw std::logic_error("commit without a transaction");
  if (!database_->undo_.empty() && transaction_ == Transaction::write) ++database_->revision_;
  end(transaction_);
}

void MemoryNode::rollback() noexcept {
  if (transaction_ == Transaction::write) {
    auto& undo = database_->undo_;
    while (!undo.empty()) {
      undo.back()(database_->content_);
      undo.pop_back();
    }
  }
  end(transaction_);
}

void MemoryNode::end(Transaction kind) noexcept {
  if (kind == Transaction::read) --database_->readers_;
  if (kind == Transaction::write) {
    database_->writing_ = false;
    database_->undo_.clear();
  }
  transaction_ = Transaction::none;
  passes_over_locked_ = false;
}

Content& MemoryNode::change() {
  if (transaction_ != Transaction::write)
    throw std::logic_error("a write outside of a transaction");
  return database_->content_;
}

void MemoryNode::require_transaction() const {
  if (transaction_ == Transaction::none) throw std::logic_error("a read outside of a transaction");
}

/// For what happens rarely: activation.
void MemoryNode::save_whole_content() {
  on_rollback([before = change()](Content& now) { now = before; });
}

void MemoryNode::save_entry(const Table& table, RowView key) {
  const auto found = table.entries.find(key);
  std::optional<Entry> before;
  if (found != table.entries.end()) before = found->second;
  StoredRow old_key = before ? StoredRow(found->first) : StoredRow(key);
  on_rollback([name = table.spec.name, old_key = std::move(old_key),
               entry = std::move(before)](Content& now) {
    Table& changed = now.tables.at(name);
    if (entry) {
      entry_of(changed, old_key.view()) = *entry;
    } else {
      changed.entries.erase(old_key);
    }
  });
}

void MemoryNode::append_log(Table& table, RowView key, Touch touch, std::int64_t changed_at_us) {
  table.capture->log.push_back(
      {.key = StoredRow(key), .changed_at_us = changed_at_us, .touch = touch});
  on_rollback(
      [name = table.spec.name](Content& now) { now.tables.at(name).capture->log.pop_back(); });
}

const Table& MemoryNode::table_of(const ActiveTable& table) const {
  require_transaction();
  const auto found = content().tables.find(table.spec.name);
  if (found == content().tables.end() || !found->second.capture) {
    throw Error(ExitCode::not_ready,
                "node " + name_ + ": table " + table.spec.name + " is not under capture",
                "run tidemark activate");
  }
  return found->second;
}

Table& MemoryNode::change_table(const ActiveTable& table) {
  change();
  return const_cast<Table&>(table_of(table));
}

// --- Activation
// -------------------------------------------------------------------------------------------

/// There is no SQL here; the script still says what was done.
void MemoryNode::defined(const std::string& what) {
  if (script_ != nullptr) script_->push_back(what);
}

void MemoryNode::create_control_tables(const Identity& identity) {
  save_whole_content();
  change().identity = identity;
  defined("-- create the control tables");
}

void MemoryNode::set_identity(const Identity& identity) {
  save_whole_content();
  Content& now = change();
  now.identity = identity;
}

void MemoryNode::create_table(const TableSpec& like) {
  save_whole_content();
  const auto found = change().tables.find(like.name);
  if (found != content().tables.end() && found->second.exists) {
    throw Error(ExitCode::failed, "node " + name_ + ": table " + like.name + " exists already",
                "leave it out");
  }
  change().tables.insert_or_assign(like.name, Table(like));
  defined("-- create table " + like.name);
}

void MemoryNode::install_capture(const TableSpec& spec, const BaselineId& baseline) {
  save_whole_content();
  Content& now = change();
  if (!now.identity) throw std::logic_error("capture before control tables");
  const auto found = now.tables.find(spec.name);
  if (found == now.tables.end() || !found->second.exists) {
    throw Error(ExitCode::not_ready, "node " + name_ + ": there is no table " + spec.name,
                "create it, or leave it out of the job");
  }
  if (found->second.capture) throw std::logic_error("table " + spec.name + " is under capture");
  Capture& capture = found->second.capture.emplace();
  capture.id = now.next_table_id++;
  capture.activated_shape = found->second.spec.shape();
  capture.state.baseline = baseline;
  capture.state.baselines_seen.insert(baseline);
  defined("-- capture table " + spec.name);
}

void MemoryNode::repair_capture(const ActiveTable& active) {
  save_whole_content();
  Table& table = change_table(active);
  if (!table.exists) {
    throw Error(ExitCode::not_ready, "node " + name_ + ": table " + active.spec.name + " is gone",
                "create it again, or run tidemark activate without it");
  }
  table.capture->triggers_intact = true;
  table.capture->activated_shape = table.spec.shape();
  defined("-- repair capture of table " + active.spec.name);
}

void MemoryNode::note_shape(const ActiveTable& active) {
  save_whole_content();
  change_table(active).capture->activated_shape = active.current_shape;
}

void MemoryNode::remove_capture(const ActiveTable& active) {
  save_whole_content();
  Table& table = change_table(active);
  table.capture.reset();
  for (auto& [key, entry] : table.entries) entry.version.reset();
  std::erase_if(table.entries, [](const auto& item) { return !item.second.present; });
  if (!table.exists) change().tables.erase(active.spec.name);
  defined("-- release table " + active.spec.name);
}

void MemoryNode::remove_control_tables() {
  for (const ActiveTable& table : active_tables()) remove_capture(table);
  save_whole_content();
  Content& now = change();
  Content left;
  left.tables = std::move(now.tables);
  now = std::move(left);
  defined("-- drop the control tables");
}

// --- State
// --------------------------------------------------------------------------------------------------

std::vector<ActiveTable> MemoryNode::active_tables() {
  std::vector<ActiveTable> tables;
  for (const auto& [name, table] : content().tables) {
    if (!table.capture) continue;
    ActiveTable& active = tables.emplace_back();
    active.id = table.capture->id;
    active.spec = table.spec;
    active.activated_shape = table.capture->activated_shape;
    active.current_shape = table.spec.shape();
    if (!table.exists) {
      active.health = CaptureHealth::table_missing;
    } else if (!table.capture->triggers_intact) {
      active.health = CaptureHealth::missing;
    }
  }
  return tables;
}

TableState MemoryNode::load_state(const ActiveTable& table) {
  TableState state = table_of(table).capture->state;
  state.origin = content().identity->origin;
  state.knowledge.raise(state.origin, 0);
  return state;
}

void MemoryNode::save_state(const ActiveTable& active, const TableState& state) {
  Table& table = change_table(active);
  if (load_state(active) == state) return;
  on_rollback([name = table.spec.name, before = table.capture->state](Content& now) {
    now.tables.at(name).capture->state = before;
  });
  table.capture->state = state;
}

std::map<NodeId, Knowledge> MemoryNode::load_peers(const ActiveTable& table) {
  return table_of(table).capture->peers;
}

void MemoryNode::save_peer(const ActiveTable& active, const NodeId& peer,
                           const Knowledge& knowledge) {
  Table& table = change_table(active);
  std::map<NodeId, Knowledge>& peers = table.capture->peers;
  const auto found = peers.find(peer);
  if (found != peers.end() && found->second == knowledge) return;
  on_rollback([name = table.spec.name, before = peers](Content& now) {
    now.tables.at(name).capture->peers = before;
  });
  peers[peer] = knowledge;
}

std::map<std::int64_t, PeerMeeting> MemoryNode::load_meetings(const NodeId& peer) {
  std::map<std::int64_t, PeerMeeting> meetings;
  for (const auto& [name, table] : content().tables) {
    if (!table.capture) continue;
    const auto found = table.capture->meetings.find(peer);
    if (found != table.capture->meetings.end()) meetings[table.capture->id] = found->second;
  }
  return meetings;
}

void MemoryNode::save_meeting(const ActiveTable& active, const NodeId& peer,
                              const PeerMeeting& meeting) {
  Table& table = change_table(active);
  on_rollback([name = table.spec.name, before = table.capture->meetings](Content& now) {
    now.tables.at(name).capture->meetings = before;
  });
  table.capture->meetings[peer] = meeting;
}

Heartbeat MemoryNode::load_heartbeat(const std::string& job, const std::string& peer) {
  const auto found = content().heartbeats.find({job, peer});
  return found == content().heartbeats.end() ? Heartbeat{} : found->second;
}

void MemoryNode::save_heartbeat(const std::string& job, const std::string& peer,
                                const Heartbeat& heartbeat) {
  auto& heartbeats = change().heartbeats;
  on_rollback([before = heartbeats](Content& now) { now.heartbeats = before; });
  heartbeats[{job, peer}] = heartbeat;
}

std::map<NodeId, RegisteredPeer> MemoryNode::registered_peers() {
  std::map<NodeId, RegisteredPeer> registered;
  for (const auto& [name, table] : content().tables) {
    if (!table.capture) continue;
    for (const auto& [peer, knowledge] : table.capture->peers) {
      RegisteredPeer& each = registered[peer];
      each.name = peer.to_string();
      const auto met = table.capture->meetings.find(peer);
      if (met != table.capture->meetings.end()) {
        each.met_at_us = std::max(each.met_at_us, met->second.met_at_us);
      }
    }
  }
  return registered;
}

void MemoryNode::forget_peer(const NodeId& peer) {
  save_whole_content();
  for (auto& [name, table] : change().tables) {
    if (!table.capture) continue;
    table.capture->peers.erase(peer);
    table.capture->meetings.erase(peer);
  }
}

void MemoryNode::save_origin_name(const Identity& identity, const std::string& node_name) {
  std::map<OriginId, std::string>& names = change().origin_names;
  const auto found = names.find(identity.origin);
  if (found != names.end() && found->second == node_name) return;
  on_rollback([before = names](Content& now) { now.origin_names = before; });
  names[identity.origin] = node_name;
}

std::string MemoryNode::origin_name(const OriginId& origin) {
  const auto found = content().origin_names.find(origin);
  return found == content().origin_names.end() ? origin.to_string() : found->second;
}

// --- Capture
// --------------------------------------------------------------------------------------------------

bool MemoryNode::has_pending(const ActiveTable& table) {
  return !table_of(table).capture->log.empty();
}

std::pair<std::int64_t, std::int64_t> MemoryNode::pending(const ActiveTable& table) {
  const std::vector<LogEntry>& log = table_of(table).capture->log;
  if (log.empty()) return {0, 0};
  const auto oldest = std::min_element(
      log.begin(), log.end(),
      [](const LogEntry& a, const LogEntry& b) { return a.changed_at_us < b.changed_at_us; });
  return {static_cast<std::int64_t>(log.size()), oldest->changed_at_us};
}

HarvestCounts MemoryNode::harvest(const ActiveTable& active, TableState& state) {
  Table& table = change_table(active);
  HarvestCounts counts;
  if (table.capture->log.empty()) return counts;
  const std::vector<LogEntry> log = std::exchange(table.capture->log, {});
  on_rollback(
      [name = table.spec.name, log](Content& now) { now.tables.at(name).capture->log = log; });
  counts.logged = static_cast<std::int64_t>(log.size());

  std::map<StoredRow, Touched, KeyLess> touched(table.entries.key_comp());
  for (const LogEntry& entry : log) {
    const auto [position, is_new] = touched.try_emplace(entry.key);
    Touched& key = position->second;
    key.newest_us = is_new ? entry.changed_at_us : std::max(key.newest_us, entry.changed_at_us);
    key.inserted = key.inserted || entry.touch == Touch::insert;
  }
  for (const auto& [key, touch] : touched) {
    save_entry(table, key.view());
    const auto [position, is_new] = table.entries.try_emplace(key);
    Entry& entry = position->second;
    const std::optional<Version>& previous = entry.version;
    const std::int64_t least_us = previous ? previous->changed_at_us + 1 : state.clock_floor_us + 1;
    const bool still_own_insert =
        previous && previous->inserted && previous->origin == state.origin;
    const std::int64_t sequence = state.sequence() + 1;
    entry.version = Version{.changed_at_us = std::max(touch.newest_us, least_us),
                            .origin = state.origin,
                            .sequence = sequence,
                            .inserted = touch.inserted || still_own_insert};
    entry.version_present = entry.present;
    state.knowledge.raise(state.origin, sequence);
    ++counts.versions;
  }
  return counts;
}

void MemoryNode::touch_all(const ActiveTable& active) {
  Table& table = change_table(active);
  for (auto it = table.entries.begin(); it != table.entries.end();) {
    const auto here = it++;
    if (here->second.present) {
      append_log(table, here->first.view(), Touch::update, 0);
    } else if (here->second.version_present) {
      save_entry(table, here->first.view());
      table.entries.erase(here);
    }
  }
}

std::int64_t MemoryNode::purge(const ActiveTable& active, TableState& state, std::int64_t before_us,
                               const std::vector<Knowledge>& peers) {
  Table& table = change_table(active);
  std::int64_t purged = 0;
  for (auto it = table.entries.begin(); it != table.entries.end();) {
    const auto here = it++;
    const Entry& entry = here->second;
    if (entry.present || !entry.version || entry.version_present) continue;
    const Version version = *entry.version;
    if (version.changed_at_us >= before_us) continue;
    if (!std::all_of(peers.begin(), peers.end(),
                     [&](const Knowledge& peer) { return peer.covers(version); })) {
      continue;
    }
    save_entry(table, here->first.view());
    table.entries.erase(here);
    state.forgotten.raise(version.origin, version.sequence);
    state.clock_floor_us = std::max(state.clock_floor_us, version.changed_at_us);
    ++purged;
  }
  return purged;
}

// --- Reading
// ----------------------------------------------------------------------------------------------------

bool MemoryNode::is_empty(const ActiveTable& table) { return table_of(table).entries.empty(); }

std::int64_t MemoryNode::count_rows(const ActiveTable& active) {
  const Table& table = table_of(active);
  return std::count_if(table.entries.begin(), table.entries.end(),
                       [](const auto& item) { return item.second.present; });
}

std::unique_ptr<RowStream> MemoryNode::changes_since(const ActiveTable& active,
                                                     const Knowledge& known) {
  const Table& table = table_of(active);
  const auto is_new = [known](const Entry& entry) {
    return entry.version && !known.covers(*entry.version);
  };
  if (std::none_of(table.entries.begin(), table.entries.end(),
                   [&](const auto& item) { return is_new(item.second); })) {
    return std::make_unique<EmptyStream>();
  }
  return std::make_unique<EntryStream<decltype(is_new)>>(table, active.spec, is_new);
}

std::unique_ptr<RowStream> MemoryNode::all_rows(const ActiveTable& active) {
  const auto all = [](const Entry&) { return true; };
  return std::make_unique<EntryStream<decltype(all)>>(table_of(active), active.spec, all);
}

LocalRow MemoryNode::find(const ActiveTable& active, RowView key) {
  const Table& table = table_of(active);
  LocalRow local;
  const auto found = table.entries.find(key);
  if (found == table.entries.end()) return local;
  const Entry& entry = found->second;
  local.present = entry.present;
  local.version = entry.version;
  if (entry.present) {
    std::vector<ValueView> buffer;
    const ColumnMap columns(active.spec, table.spec);
    local.row = to_row(columns.to_outside(entry.row.view(), buffer));
  }
  return local;
}

std::vector<Row> MemoryNode::unique_rivals(const ActiveTable& active, RowView row) {
  const Table& table = table_of(active);
  return rivals_of(table, ColumnMap(active.spec, table.spec).to_stored(row).view());
}

TableDigest MemoryNode::digest(const ActiveTable& active) {
  const Table& table = table_of(active);
  const ColumnMap columns(active.spec, table.spec);
  TableDigest digest;
  std::vector<ValueView> buffer;
  std::string encoding;
  for (const auto& [key, entry] : table.entries) {
    if (!entry.present) continue;
    encoding.clear();
    append_encoding(columns.to_outside(entry.row.view(), buffer), encoding);
    const XXH128_hash_t hash = XXH3_128bits(encoding.data(), encoding.size());
    ++digest.rows;
    digest.low += hash.low64;
    digest.high += hash.high64;
  }
  return digest;
}

// --- References
// ---------------------------------------------------------------------------------------------------

bool MemoryNode::is_referenced(const ActiveTable& active) {
  const std::string& name = active.spec.name;
  const std::map<std::string, Table>& tables = content().tables;
  return std::any_of(tables.begin(), tables.end(), [&](const auto& item) {
    const std::vector<ForeignKeySpec>& keys = item.second.spec.foreign_keys;
    return std::any_of(keys.begin(), keys.end(),
                       [&](const ForeignKeySpec& key) { return key.parent_table == name; });
  });
}

std::vector<Referrer> MemoryNode::referrers(const ActiveTable& active, RowView row,
                                            RowView instead) {
  const Table& table = table_of(active);
  const ColumnMap columns(active.spec, table.spec);
  const StoredRow stored = columns.to_stored(row);
  const StoredRow stored_instead = columns.to_stored(instead);
  std::vector<Referrer> referrers;
  for (const StoredReferrer& found :
       referrers_of(content(), table, stored.view(), stored_instead.view())) {
    Referrer referrer{.table = found.table->spec.name, .key = found.key.values()};
    const bool known = std::any_of(referrers.begin(), referrers.end(), [&](const Referrer& other) {
      return other.table == referrer.table && other.key == referrer.key;
    });
    if (!known) referrers.push_back(std::move(referrer));
  }
  return referrers;
}

std::vector<std::size_t> MemoryNode::missing_parents(const ActiveTable& active, RowView row) {
  const Table& table = table_of(active);
  const StoredRow stored = ColumnMap(active.spec, table.spec).to_stored(row);
  std::vector<std::size_t> missing;
  for (std::size_t i = 0; i < table.spec.foreign_keys.size(); ++i) {
    if (!has_parent(content(), table, table.spec.foreign_keys[i], stored.view(), true)) {
      missing.push_back(i);
    }
  }
  return missing;
}

std::vector<Row> MemoryNode::orphans(const ActiveTable& active, const Knowledge* known) {
  const Table& table = table_of(active);
  std::vector<Row> keys;
  for (const auto& [key, entry] : table.entries) {
    if (!entry.present) continue;
    if (known != nullptr && (!entry.version || known->covers(*entry.version))) continue;
    const bool whole =
        std::all_of(table.spec.foreign_keys.begin(), table.spec.foreign_keys.end(),
                    [&, &row = entry.row](const ForeignKeySpec& foreign_key) {
                      return has_parent(content(), table, foreign_key, row.view(), true);
                    });
    if (!whole) keys.push_back(key.values());
  }
  return keys;
}

std::optional<Row> MemoryNode::find_by(const ActiveTable& active,
                                       const std::vector<std::string>& columns, RowView values) {
  const StoredRow* key = memory::find_by(table_of(active), columns, values);
  if (key == nullptr) return std::nullopt;
  return key->values();
}

// --- Writing
// ------------------------------------------------------------------------------------------------------

/// Needs no transaction: rows are staged before the target's begins.
std::unique_ptr<Stage> MemoryNode::make_stage(const ActiveTable& /*table*/, StageUse /*use*/) {
  return std::make_unique<MemoryStage>();
}

/// Writes the row or removes it. On a refusal everything is as before.
std::optional<Refusal> MemoryNode::store_row(Table& table, RowView key, RowView row,
                                             bool* was_present) {
  const auto found = table.entries.find(key);
  const bool present = found != table.entries.end() && found->second.present;
  if (was_present != nullptr) *was_present = present;
  if (is_locked(table, key)) {
    throw RowLocked("node " + name_ + ": a row is locked by another transaction",
                    "try again when it has ended");
  }
  if (row.empty()) {
    if (!present) return std::nullopt;
    save_entry(table, key);
    if (found->second.version) {
      found->second.present = false;
      found->second.row = StoredRow();
    } else {
      table.entries.erase(found);
    }
    return std::nullopt;
  }
  if (auto refusal = refusal_of(table, row)) return refusal;
  if (present && identical(found->second.row.view(), row)) return std::nullopt;
  save_entry(table, key);
  Entry& entry = entry_of(table, key);
  entry.present = true;
  entry.row = StoredRow(row);
  return std::nullopt;
}

bool MemoryNode::is_locked(const Table& table, RowView key) const {
  const auto found = table.entries.find(key);
  if (found == table.entries.end() || !found->second.present) return false;
  return std::any_of(
      database_->locked_rows_.begin(), database_->locked_rows_.end(), [&](const auto& locked) {
        return locked.first == table.spec.name && identical(to_views(locked.second), key);
      });
}

PullCounts MemoryNode::apply_known(const ActiveTable& active, Stage& stage,
                                   const Knowledge& source_knowledge, ApplySink& sink) {
  Table& table = change_table(active);
  const ColumnMap columns(active.spec, table.spec);
  PullCounts counts;
  auto& staged = dynamic_cast<MemoryStage&>(stage);
  ChangedRow incoming;
  while (staged.next(incoming)) {
    ++counts.received;
    const auto found = table.entries.find(incoming.key);
    if (passes_over_locked_ && is_locked(table, incoming.key)) {
      sink.refused(incoming, {.kind = Refusal::Kind::locked, .reason = "the row is locked"});
      continue;
    }
    const std::optional<Version> local =
        found == table.entries.end() ? std::nullopt : found->second.version;
    if (!incoming.revert && local && local == incoming.version) continue;
    if (incoming.revert || (local && (!incoming.version || !source_knowledge.covers(*local)))) {
      sink.compare(incoming, find(active, incoming.key));
      continue;
    }
    bool was_present = false;
    const StoredRow row = columns.to_stored(incoming.row);
    if (found != table.entries.end() && found->second.present &&
        !referrers_of(content(), table, found->second.row.view(), row.view()).empty()) {
      sink.compare(incoming, find(active, incoming.key));
      continue;
    }
    if (const auto refusal = store_row(table, incoming.key, row.view(), &was_present)) {
      sink.refused(incoming, *refusal);
      continue;
    }
    put_version(active, incoming.key, incoming.present, incoming.version);
    if (incoming.present) {
      ++(was_present ? counts.updated : counts.inserted);
    } else if (was_present) {
      ++counts.deleted;
    }
  }
  return counts;
}

void MemoryNode::compare_all(const ActiveTable& active, Stage& stage, PairSink& sink) {
  const KeyOrder order(active.spec);
  auto& staged = dynamic_cast<MemoryStage&>(stage);
  const std::unique_ptr<RowStream> here = all_rows(active);
  ChangedRow incoming, local;
  bool has_incoming = staged.next(incoming);
  bool has_local = here->next(local);
  while (has_incoming || has_local) {
    std::weak_ordering side = std::weak_ordering::equivalent;
    if (!has_local) {
      side = std::weak_ordering::less;
    } else if (!has_incoming) {
      side = std::weak_ordering::greater;
    } else {
      side = order.compare(incoming.key, local.key);
    }
    if (side < 0) {
      sink.pair(&incoming, nullptr, !incoming.present);
    } else if (side > 0) {
      sink.pair(nullptr, &local, !local.present);
    } else {
      sink.pair(&incoming, &local, same_row(incoming, local));
    }
    if (side <= 0) has_incoming = staged.next(incoming);
    if (side >= 0) has_local = here->next(local);
  }
}

std::optional<Refusal> MemoryNode::put_row(const ActiveTable& active, RowView key, RowView row) {
  Table& table = change_table(active);
  const StoredRow stored = ColumnMap(active.spec, table.spec).to_stored(row);
  return store_row(table, key, stored.view(), nullptr);
}

void MemoryNode::put_version(const ActiveTable& active, RowView key, bool present,
                             const std::optional<Version>& version) {
  Table& table = change_table(active);
  const auto found = table.entries.find(key);
  if (!version && (found == table.entries.end() || !found->second.version)) return;
  save_entry(table, key);
  Entry& entry = found == table.entries.end() ? entry_of(table, key) : found->second;
  entry.version = version;
  entry.version_present = version && present;
  if (!version && !entry.present) table.entries.erase(found);
}

std::optional<Refusal> MemoryNode::write_as_local_change(const ActiveTable& active, RowView key,
                                                         RowView row) {
  Table& table = change_table(active);
  bool was_present = false;
  const StoredRow stored = ColumnMap(active.spec, table.spec).to_stored(row);
  if (auto refusal = store_row(table, key, stored.view(), &was_present)) return refusal;
  Touch touch = Touch::remove;
  if (!row.empty()) touch = was_present ? Touch::update : Touch::insert;
  append_log(table, key, touch, clock_us());
  return std::nullopt;
}

void MemoryNode::touch(const ActiveTable& active, RowView key) {
  append_log(change_table(active), key, Touch::update, clock_us());
}

// --- Records
// ------------------------------------------------------------------------------------------------------

bool MemoryNode::log_conflict(const Conflict& conflict) {
  Content& now = change();
  if (!now.conflict_ids.insert(conflict.id).second) return false;
  now.conflicts.push_back(conflict);
  on_rollback([](Content& then) {
    then.conflict_ids.erase(then.conflicts.back().id);
    then.conflicts.pop_back();
  });
  return true;
}

std::int64_t MemoryNode::count_conflicts(ConflictStatus status) {
  const std::vector<Conflict>& all = content().conflicts;
  return std::count_if(all.begin(), all.end(),
                       [&](const Conflict& conflict) { return conflict.status == status; });
}

void MemoryNode::set_conflict_status(const std::string& id, ConflictStatus status) {
  std::vector<Conflict>& all = change().conflicts;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].id != id || all[i].status == status) continue;
    on_rollback([i, before = all[i].status](Content& now) { now.conflicts[i].status = before; });
    all[i].status = status;
  }
}

std::int64_t MemoryNode::drop_conflicts(std::int64_t before_us) {
  save_whole_content();
  const auto is_old = [before_us](const Conflict& conflict) {
    return conflict.status != ConflictStatus::open && conflict.found_at_us < before_us;
  };
  Content& now = change();
  for (const Conflict& conflict : now.conflicts) {
    if (is_old(conflict)) now.conflict_ids.erase(conflict.id);
  }
  return static_cast<std::int64_t>(std::erase_if(now.conflicts, is_old));
}

void MemoryNode::quarantine(const ActiveTable& table, const QuarantinedRow& row) {
  release_quarantined(table, to_views(row.key));
  save_whole_content();
  change().quarantine[table.spec.name].push_back(row);
}

std::vector<QuarantinedRow> MemoryNode::quarantined(const ActiveTable& table) {
  const auto found = content().quarantine.find(table.spec.name);
  return found == content().quarantine.end() ? std::vector<QuarantinedRow>() : found->second;
}

void MemoryNode::release_quarantined(const ActiveTable& table, RowView key) {
  if (!content().quarantine.contains(table.spec.name)) return;
  save_whole_content();
  const Row wanted = to_row(key);
  std::erase_if(change().quarantine[table.spec.name],
                [&](const QuarantinedRow& row) { return row.key == wanted; });
}

std::int64_t MemoryNode::count_quarantined() {
  std::int64_t count = 0;
  for (const auto& [table, rows] : content().quarantine) {
    count += static_cast<std::int64_t>(rows.size());
  }
  return count;
}

void MemoryNode::record_session(const SessionRecord& record) {
  change().sessions.push_back(record);
  on_rollback([](Content& now) { now.sessions.pop_back(); });
}

std::vector<SessionRecord> MemoryNode::sessions(std::int64_t limit) {
  const std::vector<SessionRecord>& all = content().sessions;
  const auto count =
      std::min(all.size(), static_cast<std::size_t>(std::max<std::int64_t>(0, limit)));
  return {all.rbegin(), all.rbegin() + static_cast<std::ptrdiff_t>(count)};
}

}  // namespace tidemark::memory
