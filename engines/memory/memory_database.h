// MemoryDatabase is a whole database in this process: tables, what Tidemark keeps about them, and
// an application's side that writes rows as a program with triggers would. Tests and the simulation
// use it. A copy is what a copied file would be: the same rows, the same identity. Whoever shares
// one (several MemoryNodes may) shares its transactions: one writer or several readers at a time.
// Not for several threads; everything throws Error for what a database would refuse and
// std::logic_error for misuse.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "engines/engine.h"
#include "model/change.h"
#include "model/table.h"
#include "model/version.h"

namespace tidemark::memory {

/// A row or key that is kept, with the views that everything else takes.
class StoredRow {
 public:
  StoredRow() = default;
  explicit StoredRow(RowView row) : values_(to_row(row)), views_(to_views(values_)) {}
  StoredRow(const StoredRow& other) : values_(other.values_), views_(to_views(values_)) {}
  // A moved vector keeps its elements where they are, so the views stay right.
  StoredRow(StoredRow&&) noexcept = default;
  StoredRow& operator=(StoredRow other) noexcept {
    values_.swap(other.values_);
    views_.swap(other.views_);
    return *this;
  }
  ~StoredRow() = default;

  const Row& values() const { return values_; }
  RowView view() const { return views_; }

 private:
  Row values_;
  std::vector<ValueView> views_;
};

/// One key: its row, if there is one, and its version, if it has one.
struct Entry {
  bool present = false;
  StoredRow row;
  std::optional<Version> version;
  /// What the version says of the row; differs from `present` while a change waits in the log, or
  /// when one escaped.
  bool version_present = false;
};

struct KeyLess {
  using is_transparent = void;
  explicit KeyLess(const TableSpec& spec) : order(spec) {}
  bool operator()(const StoredRow& a, const StoredRow& b) const {
    return order.compare(a.view(), b.view()) < 0;
  }
  bool operator()(const StoredRow& a, RowView b) const { return order.compare(a.view(), b) < 0; }
  bool operator()(RowView a, const StoredRow& b) const { return order.compare(a, b.view()) < 0; }
  KeyOrder order;
};
using Entries = std::map<StoredRow, Entry, KeyLess>;

enum class Touch : std::uint8_t { update, insert, remove };

struct LogEntry {
  StoredRow key;
  std::int64_t changed_at_us = 0;
  Touch touch = Touch::update;
};

/// What Tidemark keeps about one table besides the versions.
struct Capture {
  std::int64_t id = 0;
  std::string activated_shape;
  bool triggers_intact = true;
  std::vector<LogEntry> log;
  TableState state;
  std::map<NodeId, Knowledge> peers;
  std::map<NodeId, PeerMeeting> meetings;
};

/// A check of a table: no row holds more than `limit` in the column.
struct Check {
  std::size_t column = 0;
  std::int64_t limit = 0;
};

struct Table {
  explicit Table(const TableSpec& table_spec)
      : spec(table_spec), entries(KeyLess(table_spec)), exists(true) {}

  TableSpec spec;
  Entries entries;
  bool exists;  // a dropped table is remembered as long as it is under capture
  std::optional<Capture> capture;
  std::vector<Check> checks;
};

/// Everything that a copy of the database copies.
struct Content {
  std::map<std::string, Table> tables;
  std::optional<Identity> identity;
  std::map<OriginId, std::string> origin_names;
  std::vector<Conflict> conflicts;
  std::map<std::string, std::vector<QuarantinedRow>> quarantine;  // by table
  std::unordered_set<std::string> conflict_ids;
  std::vector<SessionRecord> sessions;                                  // the oldest first
  std::map<std::pair<std::string, std::string>, Heartbeat> heartbeats;  // by job and peer
  std::int64_t next_table_id = 1;
};

class MemoryDatabase {
 public:
  MemoryDatabase() = default;
  /// The content without transactions and locks. Precondition: `other` is not inside a transaction.
  MemoryDatabase(const MemoryDatabase& other);
  MemoryDatabase& operator=(const MemoryDatabase& other);
  ~MemoryDatabase() = default;

  // --- What an application does; each call is a transaction of its own
  // -----------------------------
  void create_table(const TableSpec& spec);
  void drop_table(const std::string& table);
  void add_check(const std::string& table, const std::string& column, std::int64_t limit);
  void drop_checks();
  // Foreign keys hold: whatever would break one is refused with an Error and undone, and deletes
  // act on the rows that refer to the deleted one as their tables say.
  void insert(const std::string& table, const Row& row);   // throws when the key is there
  void replace(const std::string& table, const Row& row);  // removes what is in the way
  bool update(const std::string& table, const Row& row);   // by key; false when there is none
  bool remove(const std::string& table, const Row& key);
  std::optional<Row> find(const std::string& table, const Row& key) const;
  std::vector<Row> rows(const std::string& table) const;
  /// Sessions find the row locked by a transaction of an application until unlock_rows().
  void lock_row(const std::string& table, const Row& key) { locked_rows_.emplace_back(table, key); }
  void unlock_rows() { locked_rows_.clear(); }
  /// From now on nothing is captured, as after the loss of the triggers.
  void drop_triggers(const std::string& table);

  // --- The clock of this database's machine
  // ----------------------------------------------------------
  void set_clock(std::int64_t clock_us) { clock_us_ = clock_us; }
  std::int64_t clock_us() const { return clock_us_; }

  const Content& content() const { return content_; }
  /// Raised by every transaction that changed something.
  std::int64_t revision() const { return revision_; }

 private:
  friend class MemoryNode;
  using Undo = std::function<void(Content&)>;

  Table& table_of(const std::string& name);
  const Table& table_of(const std::string& name) const;
  void require_no_writer() const;
  void log_touch(Table& table, RowView key, Touch touch);
  void write_row(Table& table, RowView row);
  bool erase_row(Table& table, RowView key);
  template <typename Work>
  bool whole_or_not(const Work& work);
  void act_on_referrers(const std::string& table, RowView row, RowView instead);
  void require_parents() const;

  Content content_;
  std::int64_t clock_us_ = 0;
  std::int64_t revision_ = 0;
  // Transactions of the nodes that are open on this database.
  int readers_ = 0;
  bool writing_ = false;
  std::vector<std::pair<std::string, Row>> locked_rows_;
  std::vector<Undo> undo_;         // of the open write transaction, the newest last
  std::set<NodeId> locked_pairs_;  // peers of the pairs that are at work
};

/// The entry of `key`, made when there is none. An entry whose key is spelled differently (NOCASE,
/// 1 and 1.0) takes over the new spelling.
Entry& entry_of(Table& table, RowView key);
/// Why `row` cannot be held beside the rows of `table`; nothing if it can.
std::optional<Refusal> refusal_of(const Table& table, RowView row);
/// Keys of rows other than `row`'s own that hold a unique value of `row`.
std::vector<Row> rivals_of(const Table& table, RowView row);

/// A row that refers to another one, by a foreign key of its table.
struct StoredReferrer {
  const Table* table = nullptr;
  const ForeignKeySpec* foreign_key = nullptr;
  StoredRow key;
};
/// The rows that refer to values of `row` of `table` that `instead` (empty: no row) lacks.
std::vector<StoredReferrer> referrers_of(const Content& content, const Table& table, RowView row,
                                         RowView instead);
/// `row` refers to nothing by this key, or to a row that is there or (`itself`) to itself.
bool has_parent(const Content& content, const Table& table, const ForeignKeySpec& foreign_key,
                RowView row, bool itself);
/// The key of the row that holds `values` in `columns`; null if none does.
const StoredRow* find_by(const Table& table, const std::vector<std::string>& columns,
                         RowView values);
/// Values of a row by the names of its columns.
std::vector<ValueView> values_of(const TableSpec& spec, const std::vector<std::string>& columns,
                                 RowView row);

}  // namespace tidemark::memory
