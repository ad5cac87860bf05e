// Every order of two writers and one pull on PostgreSQL. The writers' steps (write, commit; with
// rollbacks, savepoints, prepared transactions) run between the steps of the pull (harvest, commit,
// snapshot, read; or lock, harvest, apply, commit), in all orders that can differ:
//
// - BEGIN takes no snapshot and no lock in an application's READ COMMITTED, so it stands in one
//   step with the first write. PREPARE TRANSACTION changes neither visibility nor locks, so it
//   stands in one step with the write before it; so do savepoints.
// - Steps of two writers that share no row, with no step of the pull between them, commute: the
//   first writer's come first. Which of two scripts is the first writer's makes no difference.
// - A source shows nobody what is not committed. When a write happened matters to what its log
//   entry tells of it (the time, the transaction), not to what the pull sees: so first writes stand
//   before the transactions of the pull that read, commits between any of its steps. On a target,
//   where writes hold locks, they stand everywhere.
// - A write to a row that the other writer holds waits, and waiting changes nothing: it is played
//   right after the other's end.
// - What the pull does before its first step here reads nothing that writers change: a change is
//   pending in any case, so the first look at the log always leads to a harvest.
// - Once the pull has ended, the steps that are left have nothing to be ordered against.
//
// Each order has rows of its own in one pair of databases, so nothing is reset.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "apply/pull.h"
#include "capture/activate.h"
#include "engines/registry.h"
#include "scheduler/session.h"
#include "tests/fixtures/node_decorator.h"
#include "tests/fixtures/test_database.h"
#include "tests/interleaving/explorer.h"
#include "tests/interleaving/gate.h"
#include "tests/interleaving/writer.h"

namespace tidemark::interleaving {
namespace {

using testing::integer;
using testing::text;

constexpr int kRowsOfAnOrder = 10;
constexpr int kOrdersAtOnce = 200;
/// The rows that are there before: two that writers share, one of each writer's own, one that
/// nobody touches.
constexpr int kFirstKey = 1, kSecondKey = 2, kFirstOwn = 3, kSecondOwn = 4, kQuiet = 9;

constexpr const char* kBeginToWrite = "begin to write";
constexpr const char* kBeginToRead = "begin to read";

TableSpec item_table() {
  TableSpec spec;
  spec.name = "item";
  spec.columns = {{.name = "id", .declared_type = "INTEGER"},
                  {.name = "name", .declared_type = "TEXT"}};
  spec.key = {0};
  spec.integer_key = true;
  return spec;
}

/// Stops at the gate before the operations that order matters to.
class GatedNode final : public testing::NodeDecorator {
 public:
  using NodeDecorator::NodeDecorator;

  void guard(Gate* gate) { gate_ = gate; }
  Traits traits() const override {
    Traits traits = NodeDecorator::traits();
    traits.local = traits.local && is_local;
    return traits;
  }

  void begin_read() override {
    // The first look of a pull only finds what is pending anyway; a target is asked for what
    // writers do not change.
    if (is_source && reads_++ > 0) point(kBeginToRead);
    NodeDecorator::begin_read();
  }
  void begin_write(Exclusion exclusion) override {
    point(kBeginToWrite);
    if (before_write) before_write();
    NodeDecorator::begin_write(exclusion);
    writing_ = true;
  }
  bool has_pending(const ActiveTable& table) override {
    if (writing_) point("harvest");
    if (ignores_own_changes && writing_ && gate_ != nullptr) return false;
    return NodeDecorator::has_pending(table);
  }
  std::unique_ptr<RowStream> changes_since(const ActiveTable& table,
                                           const Knowledge& known) override {
    point("read");
    if (two_snapshots) {
      NodeDecorator::rollback();
      NodeDecorator::begin_read();
    }
    return NodeDecorator::changes_since(table, known);
  }
  PullCounts apply_known(const ActiveTable& table, Stage& stage, const Knowledge& known,
                         ApplySink& sink) override {
    point("apply");
    return NodeDecorator::apply_known(table, stage, known, sink);
  }
  void commit() override {
    point("commit");
    writing_ = false;
    NodeDecorator::commit();
  }
  void rollback() noexcept override {
    writing_ = false;
    NodeDecorator::rollback();
  }

  void begin_pull() { reads_ = 0; }

  bool is_source = true;
  bool is_local = true;
  // What broken twins do.
  bool two_snapshots = false;        // state in one, rows in another
  bool ignores_own_changes = false;  // a target that is not harvested before it is written
  std::function<void()> before_write;

 private:
  void point(const char* what) {
    if (gate_ != nullptr) gate_->point(what);
  }

  Gate* gate_ = nullptr;
  int reads_ = 0;
  bool writing_ = false;
};

using Rows = std::map<int, std::string>;  // by key, from the base of the order on

std::string printed(const Rows& rows) {
  std::string text;
  for (const auto& [key, name] : rows) text += " " + std::to_string(key) + "=" + name;
  return text;
}

struct Side {
  std::unique_ptr<testing::TestDatabase> database;
  std::unique_ptr<GatedNode> node;
  NodeId id;
  std::vector<capture::CapturedTable> tables;
};

/// One PostgreSQL database with two writers, and its peer in memory.
class Field {
 public:
  Field()
      : spec_(item_table()),
        server_(side("server", testing::make_postgresql_database())),
        peer_(side("peer", testing::make_memory_database())),
        monitor_(std::make_unique<Monitor>(server_.database->url())) {
    for (int i = 0; i < 2; ++i) writers_.emplace_back(server_.database->url(), *monitor_);
    backend_ = monitor_->backend_of("tidemark");
    backends_ = {backend_, writers_[0].backend(), writers_[1].backend()};
    for (Writer& writer : writers_) writer.wait_for_these(backends_);
  }

  /// The pull of an order, and what the two may be like when it has ended.
  virtual ~Field() = default;
  virtual void prepare() = 0;
  virtual void pull() = 0;
  virtual void judge_pull() = 0;
  virtual void judge_end() = 0;

  struct Pair {
    const Script* first = nullptr;
    const Script* second = nullptr;
    bool share = false;
  };

  /// Plays all orders of a pair; throws for the first that breaks a law, with its steps.
  std::size_t play_all(const Pair& pair) {
    Explorer explorer;
    std::size_t orders = 0;
    do {
      ++orders;
      play(pair, explorer);
    } while (explorer.next());
    return orders;
  }

  GatedNode& server_node() { return *server_.node; }
  std::string url() const { return server_.database->url(); }

 protected:
  Side side(const std::string& name, std::unique_ptr<testing::TestDatabase> database) const {
    Side side;
    side.database = std::move(database);
    side.database->create_table(spec_);
    // Sessions wait for a lock as long as an order takes.
    side.node = std::make_unique<GatedNode>(
        side.database->url().empty() ? side.database->open(name)
                                     : open_node({.node_name = name, .url = side.database->url()}));
    capture::activate(*side.node, {.tables = {spec_.name}}, false);
    side.id = side.node->identity()->node_id;
    side.node->begin_read();
    side.tables = {{.table = side.node->active_tables().front()}};
    side.node->rollback();
    return side;
  }

  apply::PullReport pull(Side& source, Side& target) {
    std::vector<capture::CapturedTable> from = source.tables;
    std::vector<capture::CapturedTable> into = target.tables;
    source.node->begin_pull();
    target.node->begin_pull();
    apply::PullRequest request{.source = *source.node,
                               .target = *target.node,
                               .source_tables = from,
                               .target_tables = into,
                               .options = {{}},
                               .source_id = source.id,
                               .target_id = target.id,
                               .session_id = std::to_string(++sessions_),
                               .job = "job"};
    apply::PullReport report = apply::pull(request);
    conflicts_ += report.conflicts.size();
    for (const Conflict& conflict : report.conflicts) {
      if (!conflict.loser.present) continue;
      losers_.insert({static_cast<int>(conflict.key[0].view().integer) - base_,
                      std::string(conflict.loser.row[1].view().bytes)});
    }
    return report;
  }

  void play(const Pair& pair, Explorer& explorer) {
    if (number_ % kOrdersAtOnce == 0) make_rows();
    base_ = number_++ % kOrdersAtOnce * kRowsOfAnOrder + batch_ * kOrdersAtOnce * kRowsOfAnOrder;
    trace_.clear();
    losers_.clear();
    begin_writer(0, *pair.first, kFirstKey, kFirstOwn);
    begin_writer(1, *pair.second, pair.share ? kFirstKey : kSecondKey, kSecondOwn);
    committed_ = {server_rows()};
    prepare();
    committed_.push_back(server_rows());
    try {
      interleave(pair, explorer);
      judge_pull();
      end_writers();
      judge_end();
    } catch (const std::exception& error) {
      std::string steps;
      for (const std::string& step : trace_) steps += "\n  " + step;
      throw std::runtime_error(std::string(error.what()) + "\n" + pair.first->name + " and " +
                               pair.second->name + (pair.share ? " of one row" : "") + ":" + steps);
    }
  }

  void interleave(const Pair& pair, Explorer& explorer) {
    Gate gate([this] { pull(); }, [this] { return monitor_->is_blocked(backend_, backends_); });
    server_.node->guard(&gate);
    gate.start();
    const struct Unguard {
      GatedNode& node;
      ~Unguard() { node.guard(nullptr); }
    } unguard{*server_.node};
    std::size_t last = 0;  // who made the last step: 0 the pull, else a writer
    for (;;) {
      const Gate::State state = gate.settle();
      for (Writer& writer : writers_) writer.settle();
      if (state == Gate::State::ended) break;
      // Only before a transaction of a source begins; see above.
      const bool may_write =
          !server_.node->is_source || gate.next() == kBeginToWrite || gate.next() == kBeginToRead;
      std::vector<std::size_t> moves;
      if (state == Gate::State::at_point) moves.push_back(0);
      for (std::size_t i = 0; i < writers_.size(); ++i) {
        if (!may_step(pair, i, may_write)) continue;
        // Not while the pull waits: then it goes on in between.
        if (i == 0 && last == 2 && !pair.share && state == Gate::State::at_point) continue;
        moves.push_back(i + 1);
      }
      if (moves.empty()) throw std::runtime_error("nobody can go on");
      last = moves[explorer.choose(moves.size())];
      if (last == 0) {
        trace_.push_back("pull: " + gate.next());
        gate.go();
      } else {
        step(last - 1);
      }
    }
    gate.rethrow();
  }

  bool may_step(const Pair& pair, std::size_t index, bool may_write) const {
    const Writer& writer = writers_[index];
    if (writer.is_done() || writer.is_waiting()) return false;
    if (!writer.may_end() && !may_write) return false;
    return !pair.share || !writers_[1 - index].is_open();
  }

  void step(std::size_t index) {
    Writer& writer = writers_[index];
    trace_.push_back(writer.role().name + ": " + writer.next_step());
    writer.step();
    if (writer.is_done()) committed_.push_back(server_rows());
  }

  void end_writers() {
    // The one that holds the shared row first.
    const std::size_t first = writers_[1].is_open() ? 1 : 0;
    for (const std::size_t index : {first, 1 - first}) {
      while (!writers_[index].is_done()) {
        if (!writers_[index].settle()) throw std::runtime_error("a writer waits for nobody");
        if (!writers_[index].is_done()) step(index);
      }
    }
  }

  void begin_writer(std::size_t index, const Script& script, int key, int own) {
    writers_[index].begin({.script = &script,
                           .name = "w" + std::to_string(index + 1) + "-" + std::to_string(number_) +
                                   "-" + server_.id.to_string().substr(0, 8),
                           .key = base_ + key,
                           .own = base_ + own});
  }

  /// The rows of the next orders, equal on both sides.
  void make_rows() {
    if (number_ > 0) ++batch_;
    // What was deleted makes every look at a log longer until the server gets to it.
    for (const char* table : {"tidemark.log_1", "tidemark.version_1", "item"}) {
      monitor_->rows(std::string("VACUUM ") + table);
    }
    std::string ids;
    const int first = batch_ * kOrdersAtOnce * kRowsOfAnOrder;
    for (const int id : {kFirstKey, kSecondKey, kFirstOwn, kSecondOwn, kQuiet}) {
      ids += (ids.empty() ? "" : ",") + std::to_string(id);
    }
    monitor_->rows("INSERT INTO item SELECT b + i, 'old' || b + i FROM generate_series(" +
                   std::to_string(first) + ", " +
                   std::to_string(first + (kOrdersAtOnce - 1) * kRowsOfAnOrder) +
                   ", 10) AS b, unnest(ARRAY[" + ids + "]) AS i");
    settle();
  }

  /// Sessions until nothing moves any more.
  void settle() {
    for (int round = 0; round < 5; ++round) {
      const bool moved =
          pull(server_, peer_).total().received + pull(peer_, server_).total().received;
      if (!moved && round > 0) return;
    }
    throw std::runtime_error("sessions without changes still move rows");
  }

  Rows server_rows() {
    Rows rows;
    for (const auto& row :
         monitor_->rows("SELECT id, name FROM item WHERE id BETWEEN " + std::to_string(base_) +
                        " AND " + std::to_string(base_ + kRowsOfAnOrder - 1))) {
      rows[std::stoi(row[0]) - base_] = row[1];
    }
    return rows;
  }

  Rows peer_rows() {
    Rows rows;
    Node& node = peer_.node->inner();
    node.begin_read();
    for (int i = 0; i < kRowsOfAnOrder; ++i) {
      const LocalRow found = node.find(peer_.tables.front().table, to_views({integer(base_ + i)}));
      if (found.present) rows[i] = std::string(found.row[1].view().bytes);
    }
    node.rollback();
    return rows;
  }

  void require_equal_sides() {
    const Rows here = server_rows();
    const Rows there = peer_rows();
    if (here != there) {
      throw std::runtime_error("the sides differ:" + printed(here) + " against" + printed(there));
    }
    for (const auto& [key, name] : here) {
      if (name == "undone") throw std::runtime_error("what was undone is there");
      for (const Writer& writer : writers_) {
        if (name == writer.role().name && !writer.has_committed()) {
          throw std::runtime_error("what was rolled back is there: " + name);
        }
      }
    }
    if (monitor_->rows("SELECT count(*) FROM tidemark.log_1")[0][0] != "0") {
      throw std::runtime_error("entries are left in the change log");
    }
  }

  const TableSpec spec_;
  Side server_;
  Side peer_;
  std::unique_ptr<Monitor> monitor_;
  std::vector<Writer> writers_;
  int backend_ = 0;
  std::vector<int> backends_;  // everybody whose locks may be waited for
  int number_ = 0;
  int batch_ = 0;
  int base_ = 0;
  int sessions_ = 0;
  std::vector<Rows> committed_;  // what the server held after each commit
  std::vector<std::string> trace_;
  std::set<std::pair<int, std::string>> losers_;  // by key, of this order
  std::size_t conflicts_ = 0;                     // of all orders
};

/// The writers work on the source.
class SourceField final : public Field {
 public:
  explicit SourceField(bool read_while_applying) { server_.node->is_local = read_while_applying; }

  void prepare() override {
    monitor_->rows("UPDATE item SET name = 'pending' WHERE id IN (" +
                   std::to_string(base_ + kFirstKey) + ", " + std::to_string(base_ + kSecondKey) +
                   ")");
  }
  void pull() override { Field::pull(server_, peer_); }
  /// A reader of the target sees what the source held between two commits.
  void judge_pull() override {
    const Rows there = peer_rows();
    // The first entry is from before the pending change, which the pull must have brought.
    for (std::size_t i = 1; i < committed_.size(); ++i) {
      if (committed_[i] == there) return;
    }
    throw std::runtime_error("the target holds what the source never did:" + printed(there));
  }
  void judge_end() override {
    pull();
    require_equal_sides();
    if (Field::pull(server_, peer_).total().received != 0) {
      throw std::runtime_error("a second session moves rows");
    }
  }
};

/// The writers work on the target. The source updated one shared row, deleted the other and
/// inserted a row that writers insert as well; its clock is ahead or behind.
class TargetField final : public Field {
 public:
  explicit TargetField(bool source_is_ahead) : ahead_(source_is_ahead) {
    server_.node->is_source = false;
  }

  void prepare() override {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    peer_.database->set_clock(std::chrono::duration_cast<std::chrono::microseconds>(now).count() +
                              (ahead_ ? 10'000'000 : -10'000'000));
    source_name_ = "s" + std::to_string(number_);
    const auto id = [this](int key) { return integer(base_ + key); };
    peer_.database->update(spec_, {id(kFirstKey)}, {id(kFirstKey), text(source_name_)});
    peer_.database->remove(spec_, {id(kSecondKey)});
    peer_.database->insert(spec_, {id(kFirstKey + 4), text(source_name_)});
  }
  void pull() override { Field::pull(peer_, server_); }
  void judge_pull() override {}
  void judge_end() override {
    settle();
    require_equal_sides();
    account(source_name_, kFirstKey);
    account(source_name_, kFirstKey + 4);
    for (const Writer& writer : writers_) {
      if (!writer.has_committed()) continue;
      const auto& [script, name, key, own] = writer.role();
      const std::string kind = script->name;
      account(name, own - base_);
      if (kind == "insert") {
        account(name, key - base_ + 4);
      } else if (kind != "delete" && writer.seen().contains(key)) {
        account(name, key - base_ + (kind == "moved" ? 6 : 0));
      }
    }
  }

 private:
  /// What was written is there, or somebody overwrote it who had seen it, or it is in a conflict
  /// log.
  void account(const std::string& name, int key) {
    const Rows rows = server_rows();
    if (const auto found = rows.find(key); found != rows.end() && found->second == name) return;
    if (losers_.contains({key, name})) return;
    for (const Writer& writer : writers_) {
      if (!writer.has_committed()) continue;
      const auto found = writer.seen().find(base_ + key);
      if (found != writer.seen().end() && found->second == name) return;
    }
    throw std::runtime_error("lost: " + name + " in row " + std::to_string(key) + ":" +
                             printed(rows));
  }

  const bool ahead_;
  std::string source_name_;
};

/// TIDEMARK_ALL_ORDERS=1: the pairs of all scripts; otherwise those that differ most.
bool all_orders() {
  const char* text = std::getenv("TIDEMARK_ALL_ORDERS");
  return text != nullptr && *text != '\0' && std::string(text) != "0";
}

const Script& script(const std::string& name) {
  for (const Script& each : scripts()) {
    if (name == each.name) return each;
  }
  throw std::logic_error("no script " + name);
}

std::vector<Field::Pair> pairs_of_every_day() {
  return {{&script("update"), &script("update"), true},
          {&script("update"), &script("prepared"), false},
          {&script("savepoint"), &script("delete"), true}};
}

/// All pairs of scripts for two writers of one row.
std::vector<Field::Pair> pairs_of_one_row() {
  std::vector<Field::Pair> result;
  for (std::size_t i = 0; i < scripts().size(); ++i) {
    for (std::size_t j = i; j < scripts().size(); ++j) {
      const Field::Pair pair{&scripts()[i], &scripts()[j], true};
      // The second to insert one row is refused by every database.
      if (i != j || pair.first != &script("insert")) result.push_back(pair);
    }
  }
  return result;
}

/// Writers of different rows meet in nothing but the pull, so each script is played beside itself
/// and beside an update.
std::vector<Field::Pair> pairs_of_different_rows() {
  std::vector<Field::Pair> result;
  for (const Script& each : scripts()) {
    result.push_back({&each, &each, false});
    if (&each != &script("update")) result.push_back({&script("update"), &each, false});
  }
  return result;
}

using MakeField = std::function<std::unique_ptr<Field>()>;

/// Plays the pairs on two fields at the same time and prints how many orders there were. Returns
/// what broke, empty if nothing did.
std::string play(const std::string& name, const std::vector<Field::Pair>& chosen,
                 const MakeField& make) {
  const auto begin = std::chrono::steady_clock::now();
  std::vector<std::unique_ptr<Field>> fields;
  for (int i = 0; i < 2; ++i) fields.push_back(make());
  std::atomic<std::size_t> next{0}, orders{0};
  std::mutex mutex;
  std::string broken;
  const auto work = [&](Field& field) {
    for (std::size_t i = next++; i < chosen.size(); i = next++) {
      try {
        orders += field.play_all(chosen[i]);
      } catch (const std::exception& error) {
        const std::lock_guard lock(mutex);
        if (broken.empty()) broken = error.what();
        next = chosen.size();
      }
    }
  };
  std::thread other(work, std::ref(*fields[1]));
  work(*fields[0]);
  other.join();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::ostringstream line;
  line.precision(1);
  line << std::fixed << name << ": " << orders << " orders of " << chosen.size()
       << " pairs of writers in " << seconds << " s\n";
  std::cerr << line.str();
  return broken;
}

void check(const std::string& name, const std::vector<Field::Pair>& pairs, const MakeField& make) {
  const std::string broken = play(name, pairs, make);
  CHECK_MESSAGE(broken.empty(), broken);
}

/// A broken twin must be noticed by the pairs of every day.
void check_caught(const std::string& name, const std::string& complaint, const MakeField& make) {
  const std::string broken = play(name, {{&script("update"), &script("update"), false}}, make);
  CHECK_MESSAGE(broken.find(complaint) != std::string::npos, name, " was not noticed: ", broken);
}

}  // namespace

TEST_CASE("a pull whose source has two writers misses nothing and tells no half of a transaction") {
  const MakeField staged = [] { return std::make_unique<SourceField>(false); };
  check("staged", pairs_of_every_day(), staged);
  check("read while applying", {pairs_of_every_day().front()},
        [] { return std::make_unique<SourceField>(true); });
  if (!all_orders()) return;
  check("staged, different rows", pairs_of_different_rows(), staged);
  check("staged, one row", pairs_of_one_row(), staged);
}

TEST_CASE("a pull whose target has two writers loses nothing of either side") {
  const MakeField behind = [] { return std::make_unique<TargetField>(false); };
  const MakeField ahead = [] { return std::make_unique<TargetField>(true); };
  const std::vector<Field::Pair> usual = pairs_of_every_day();
  check("source behind", {usual[1], usual[2]}, behind);
  check("source ahead", {usual[0]}, ahead);
  if (!all_orders()) return;
  check("source behind, different rows", pairs_of_different_rows(), behind);
  check("source ahead, one row", pairs_of_one_row(), ahead);
}

TEST_CASE("a harvest that takes what is newer than a watermark is noticed") {
  check_caught("watermark", "differ", [] {
    auto field = std::make_unique<SourceField>(false);
    auto monitor = std::make_shared<Monitor>(field->url());
    auto seen = std::make_shared<std::string>("-infinity");
    field->server_node().before_write = [monitor, seen] {
      monitor->rows("DELETE FROM tidemark.log_1 WHERE touched_at <= '" + *seen + "'");
      *seen = monitor->rows("SELECT coalesce(max(touched_at), '" + *seen +
                            "') FROM tidemark.log_1")[0][0];
    };
    return field;
  });
}

TEST_CASE("a source whose harvest and reading see two snapshots is noticed") {
  check_caught("two snapshots", "the source never did", [] {
    auto field = std::make_unique<SourceField>(false);
    field->server_node().two_snapshots = true;
    return field;
  });
}

TEST_CASE("a target that overwrites what it has not harvested is noticed") {
  check_caught("target not harvested", "lost", [] {
    auto field = std::make_unique<TargetField>(true);
    field->server_node().ignores_own_changes = true;
    return field;
  });
}

}  // namespace tidemark::interleaving
