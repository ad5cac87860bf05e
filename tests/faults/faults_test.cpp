// Faults by counter: the first, the second, the third ... operation, read, write, lock or message
// of a session fails, until a session passes untouched; once as a single fault and once as one that
// lasts. After every fault each node is as before or done, and ordinary sessions then lead to the
// one right end: the same rows on both, every lost side in a conflict log, nothing twice.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sqlite3.h>
#include <pqxx/pqxx>

#include "capture/activate.h"
#include "engines/registry.h"
#include "model/error.h"
#include "scheduler/session.h"
#include "tests/faults/cutting_proxy.h"
#include "tests/faults/faulty_files.h"
#include "tests/fixtures/node_decorator.h"
#include "tests/fixtures/test_database.h"

namespace tidemark::testing {
namespace {

using MakeDatabase = std::unique_ptr<TestDatabase> (*)();
using Rows = std::map<std::int64_t, std::string>;

TableSpec item_table() {
  TableSpec spec;
  spec.name = "item";
  spec.columns = {{.name = "id", .declared_type = "INTEGER"},
                  {.name = "name", .declared_type = "TEXT"},
                  {.name = "code", .declared_type = "INTEGER"}};
  spec.key = {0};
  spec.integer_key = true;
  spec.uniques = {{.name = "item_code", .columns = {2}}};
  return spec;
}

/// TIDEMARK_ALL_FAULTS=1: every fault; otherwise a part of them.
bool all_faults() {
  const char* text = std::getenv("TIDEMARK_ALL_FAULTS");
  return text != nullptr && *text != '\0' && std::string(text) != "0";
}

/// Two nodes and a session's worth of changes on both: inserts, updates, deletes, a swap of unique
/// values, and one conflict of each of two kinds.
class Pair {
 public:
  Pair(MakeDatabase make_a, MakeDatabase make_b) : a_(make_a()), b_(make_b()) {
    for (TestDatabase* database : {a_.get(), b_.get()}) database->create_table(spec_);
    for (const auto& [database, name] : {std::pair(a_.get(), "a"), std::pair(b_.get(), "b")}) {
      const std::unique_ptr<Node> node = database->open(name);
      capture::activate(*node, {.tables = {spec_.name}}, false);
    }
  }

  TestDatabase& a() { return *a_; }
  TestDatabase& b() { return *b_; }

  /// The databases as they are now, as copied files would be.
  std::unique_ptr<Pair> copy() {
    auto result = std::unique_ptr<Pair>(new Pair);
    result->a_ = a_->copy();
    result->b_ = b_->copy();
    return result;
  }

  /// Back to the same rows on both sides, whatever was there.
  void reset() {
    set_clocks();
    for (const auto& [id, name] : rows(*a_)) a_->remove(spec_, {integer(id)});
    for (int id = 1; id <= 7; ++id) put(*a_, id, "old" + std::to_string(id), id);
    const std::unique_ptr<Node> first = a_->open("a");
    const std::unique_ptr<Node> second = b_->open("b");
    session(*first, *second);
    if (rows(*a_) != rows(*b_)) throw std::runtime_error("a session does not make both alike");
  }

  void change() {
    set_clocks();
    update(*a_, 1, "a1", 1);
    update(*a_, 3, "a3", 3);
    a_->remove(spec_, {integer(2)});
    put(*a_, 10, "a10", 10);
    update(*a_, 4, "old4", 40);
    update(*a_, 5, "old5", 4);
    update(*a_, 4, "old4", 5);
    // Later than all of these by any clock.
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    set_clocks();
    update(*b_, 3, "b3", 3);
    update(*b_, 2, "b2", 2);
    b_->remove(spec_, {integer(6)});
    put(*b_, 11, "b11", 11);
    before_a_ = rows(*a_);
    before_b_ = rows(*b_);
    known_conflicts_ = conflicts().size();
  }

  static const Rows& right_end() {
    static const Rows end{{1, "a1/1"},   {2, "b2/2"},   {3, "b3/3"},    {4, "old4/5"},
                          {5, "old5/4"}, {7, "old7/7"}, {10, "a10/10"}, {11, "b11/11"}};
    return end;
  }

  /// After a session that failed: nobody holds half of it.
  void require_whole() {
    const Rows here = rows(*a_);
    const Rows there = rows(*b_);
    if (here != before_a_ && here != right_end()) throw std::runtime_error("a:" + printed(here));
    if (there != before_b_ && there != right_end()) throw std::runtime_error("b:" + printed(there));
  }

  /// Ordinary sessions lead to the one right end.
  void require_right_end() {
    settle();
    const Rows here = rows(*a_);
    const Rows there = rows(*b_);
    if (here != right_end() || there != right_end()) {
      throw std::runtime_error("the end is wrong: a:" + printed(here) + "; b:" + printed(there));
    }
    // b won both times; a conflict that two sessions met has one id.
    const auto found = conflicts();
    if (found.size() != known_conflicts_ + 2) {
      throw std::runtime_error(std::to_string(found.size() - known_conflicts_) +
                               " conflicts instead of 2");
    }
  }

  scheduler::SessionReport session(Node& first, Node& second) {
    scheduler::JobConfig job;
    job.name = "job";
    job.nodes = {"a", "b"};
    job.max_deletes = {};
    return scheduler::run_session(job, first, second, std::chrono::days(30), {});
  }

  /// Sessions until one moves nothing. Locks of a connection that was cut off may last a moment.
  void settle() {
    for (int round = 0; round < 100; ++round) {
      try {
        const std::unique_ptr<Node> first = a_->open("a");
        const std::unique_ptr<Node> second = b_->open("b");
        const scheduler::SessionReport report = session(*first, *second);
        if (report.to_first.total().received + report.to_second.total().received == 0) return;
      } catch (const Error& error) {
        if (!error.retryable()) throw;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
      }
    }
    throw std::runtime_error("sessions never come to an end");
  }

 private:
  Pair() = default;

  /// Where a database has a clock of its own.
  void set_clocks() {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    for (TestDatabase* database : {a_.get(), b_.get()}) {
      database->set_clock(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
    }
  }

  void put(TestDatabase& database, std::int64_t id, const std::string& name, std::int64_t code) {
    database.insert(spec_, {integer(id), text(name), integer(code)});
  }
  void update(TestDatabase& database, std::int64_t id, const std::string& name, std::int64_t code) {
    database.update(spec_, {integer(id)}, {integer(id), text(name), integer(code)});
  }
  Rows rows(TestDatabase& database) {
    Rows result;
    for (const Row& row : database.rows(spec_)) {
      result[row[0].view().integer] =
          std::string(row[1].view().bytes) + "/" + std::to_string(row[2].view().integer);
    }
    return result;
  }
  std::set<std::string> conflicts() {
    std::set<std::string> ids;
    for (TestDatabase* database : {a_.get(), b_.get()}) {
      const std::unique_ptr<Node> node = database->open("n");
      node->begin_read();
      for (const Conflict& conflict : node->conflicts()) ids.insert(conflict.id);
      node->rollback();
    }
    return ids;
  }
  static std::string printed(const Rows& rows) {
    std::string text;
    for (const auto& [id, name] : rows) text += " " + std::to_string(id) + "=" + name;
    return text;
  }

  const TableSpec spec_ = item_table();
  std::unique_ptr<TestDatabase> a_;
  std::unique_ptr<TestDatabase> b_;
  Rows before_a_;
  Rows before_b_;
  std::size_t known_conflicts_ = 0;
};

/// Where faults come from: they are armed, a session runs, they are disarmed.
struct Source {
  std::string name;
  std::function<void(std::int64_t at, bool lasting)> arm;
  std::function<bool()> disarm;  // true if one struck
  /// Opens both nodes and runs the session that the faults disturb.
  std::function<void(Pair&)> session;
  std::int64_t every_day = 7;  // one fault of so many
  std::int64_t all = 1;
  bool can_last = true;  // a fault that lasts is another than a single one
};

/// Gives a pair with equal rows on both sides, anew for every fault.
using MakePair = std::function<Pair&()>;

/// Copies of one pair, where databases are copied at once.
MakePair copies(MakeDatabase make_a, MakeDatabase make_b,
                const std::function<void(Pair&)>& prepare = {}) {
  auto first = std::make_shared<Pair>(make_a, make_b);
  if (prepare) prepare(*first);
  first->reset();
  if (prepare) prepare(*first);
  return [first, copy = std::make_shared<std::unique_ptr<Pair>>()]() -> Pair& {
    return *(*copy = first->copy());
  };
}

/// One pair that is set back.
MakePair one(const std::shared_ptr<Pair>& pair) {
  return [pair]() -> Pair& {
    pair->reset();
    return *pair;
  };
}

/// Walks through the faults of `source` until a session passes untouched.
void walk(const Source& source, const MakePair& make) {
  const auto begin = std::chrono::steady_clock::now();
  int struck = 0;
  int without_error = 0;
  std::int64_t first = 1;
  const std::int64_t stride = all_faults() ? source.all : source.every_day;
  for (const bool lasting : {false, true}) {
    if (lasting && !source.can_last) break;
    for (std::int64_t at = first;; at += stride) {
      Pair& pair = make();
      pair.change();
      bool failed = false;
      source.arm(at, lasting);
      try {
        source.session(pair);
      } catch (const Error&) {
        failed = true;
      }
      const bool hit = source.disarm();
      try {
        if (failed && !hit) throw std::runtime_error("a session failed without a fault");
        pair.require_whole();
        pair.require_right_end();
      } catch (const std::exception& error) {
        const std::string what = source.name + (lasting ? ", lasting" : ", single") + " fault " +
                                 std::to_string(at) + ": " + error.what();
        CHECK_MESSAGE(false, what);
        return;
      }
      if (!hit) break;
      ++struck;
      without_error += failed ? 0 : 1;
    }
    first = std::min<std::int64_t>(stride, 4);
  }
  CHECK(struck > 0);
  std::cerr << source.name << ": " << struck << " faults, " << without_error
            << " of them without an error, in "
            << std::chrono::duration_cast<std::chrono::milliseconds>(
                   std::chrono::steady_clock::now() - begin)
                   .count()
            << " ms\n";
}

/// Counts the operations of both nodes of a session, and lets one fail.
struct Operations {
  bool armed = false;
  bool hit = false;
  bool lasting = false;
  std::int64_t at = 0;
  std::int64_t count = 0;
  std::function<void()> strike;  // throws, or does something that will

  void step() {
    if (!armed) return;
    ++count;
    if (count < at || (count > at && !lasting)) return;
    hit = true;
    strike();
  }
};

class FailingNode final : public NodeDecorator {
 public:
  FailingNode(std::unique_ptr<Node> inner, Operations& operations)
      : NodeDecorator(std::move(inner)), operations_(operations) {}

  void commit() override {
    NodeDecorator::commit();
    // The answer is lost: who asked does not know that it happened.
    operations_.step();
  }

 private:
  // Sessions ask two servers side by side.
  void step() override {
    const std::lock_guard lock(mutex());
    operations_.step();
  }
  static std::mutex& mutex() {
    static std::mutex made;
    return made;
  }

  Operations& operations_;
};

Source operations_source(const std::string& name, Operations& operations,
                         std::int64_t every_day = 7) {
  return {.name = name,
          .arm =
              [&operations](std::int64_t at, bool lasting) {
                operations.armed = true;
                operations.hit = false;
                operations.lasting = lasting;
                operations.at = at;
                operations.count = 0;
              },
          .disarm =
              [&operations] {
                operations.armed = false;
                return operations.hit;
              },
          .session =
              [&operations](Pair& pair) {
                FailingNode first(pair.a().open("a"), operations);
                FailingNode second(pair.b().open("b"), operations);
                pair.session(first, second);
              },
          .every_day = every_day};
}

[[noreturn]] void fail_for_good() {
  throw Error(ExitCode::failed, "a simulated fault", "none is needed");
}
[[noreturn]] void collide() { throw Collision("a simulated collision", "none is needed"); }

/// One session between two nodes that nobody wraps.
void plain_session(Pair& pair) {
  const std::unique_ptr<Node> first = pair.a().open("a");
  const std::unique_ptr<Node> second = pair.b().open("b");
  pair.session(*first, *second);
}

void use_wal(Pair& pair) {
  for (TestDatabase* database : {&pair.a(), &pair.b()}) {
    const std::string path = database->url().substr(std::string("sqlite://").size());
    sqlite3* connection = nullptr;
    REQUIRE(sqlite3_open(path.c_str(), &connection) == SQLITE_OK);
    REQUIRE(sqlite3_exec(connection, "PRAGMA journal_mode = WAL; PRAGMA wal_checkpoint(TRUNCATE)",
                         nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(connection);
  }
}

void walk_files(const std::string& mode, const std::function<void(Pair&)>& prepare) {
  const FaultyFiles files;
  const MakePair make = copies(make_sqlite_database, make_sqlite_database, prepare);
  using Kind = FaultyFiles::Kind;
  for (const auto& [kind, name] : {std::pair(Kind::read, "read"),
                                   {Kind::write, "write"},
                                   {Kind::full_disk, "full disk"},
                                   {Kind::sync, "sync"},
                                   {Kind::lock, "lock"},
                                   {Kind::open, "open"}}) {
    walk({.name = "SQLite, " + mode + ", " + name,
          .arm = [kind = kind](std::int64_t at,
                               bool lasting) { FaultyFiles::arm(kind, at, lasting); },
          .disarm = &FaultyFiles::disarm,
          .session = &plain_session},
         make);
  }
}

std::string folder_of(const std::string& url) { return url.substr(url.find("host=") + 5); }

std::unique_ptr<Node> open_through(const CuttingProxy& proxy, TestDatabase& database,
                                   const std::string& name) {
  std::string url = database.url();
  url.replace(url.find("host=") + 5, std::string::npos, proxy.folder());
  return open_node({.node_name = name, .url = url, .lock_timeout = std::chrono::seconds(2)});
}

}  // namespace

TEST_CASE("an operation that fails in the middle of a session does no harm") {
  Operations operations;
  operations.strike = &fail_for_good;
  walk(operations_source("memory", operations), copies(make_memory_database, make_memory_database));
  walk(operations_source("SQLite", operations), copies(make_sqlite_database, make_sqlite_database));
  walk(operations_source("PostgreSQL", operations, 29),
       one(std::make_shared<Pair>(make_postgresql_database, make_postgresql_database)));
  walk(operations_source("PostgreSQL and SQLite", operations, 29),
       one(std::make_shared<Pair>(make_postgresql_database, make_sqlite_database)));
}

TEST_CASE("a collision in the middle of a session does no harm") {
  Operations operations;
  operations.strike = &collide;
  walk(operations_source("memory, collisions", operations),
       copies(make_memory_database, make_memory_database));
  walk(operations_source("SQLite, collisions", operations),
       copies(make_sqlite_database, make_sqlite_database));
}

TEST_CASE("a read, a write, a sync, a lock or an open that fails in a SQLite file does no harm") {
  walk_files("rollback journal", {});
  walk_files("WAL", &use_wal);
}

TEST_CASE("a backend that is terminated at any operation does no harm") {
  const auto pair = std::make_shared<Pair>(make_postgresql_database, make_postgresql_database);
  Operations operations;
  std::vector<std::unique_ptr<pqxx::connection>> connections;
  for (TestDatabase* database : {&pair->a(), &pair->b()}) {
    connections.push_back(std::make_unique<pqxx::connection>(database->url()));
  }
  operations.strike = [&] {
    for (const auto& connection : connections) {
      pqxx::nontransaction work(*connection);
      work.exec(
          "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = "
          "'tidemark' AND datname = current_database()");
    }
  };
  Source source = operations_source("terminated backends", operations, 29);
  source.can_last = false;  // a session does not connect again
  walk(source, one(pair));
}

TEST_CASE("a connection that is cut at any message does no harm") {
  const auto pair = std::make_shared<Pair>(make_postgresql_database, make_postgresql_database);
  CuttingProxy proxy(folder_of(pair->a().url()));
  for (const bool through_a : {true, false}) {
    for (const bool before : {true, false}) {
      walk({.name = std::string("connection of ") + (through_a ? "a" : "b") + " cut " +
                    (before ? "before" : "after") + " a message",
            .arm = [&](std::int64_t at, bool) { proxy.arm(at, before); },
            .disarm = [&] { return proxy.disarm(); },
            .session =
                [&](Pair& disturbed) {
                  const auto first =
                      through_a ? open_through(proxy, disturbed.a(), "a") : disturbed.a().open("a");
                  const auto second =
                      through_a ? disturbed.b().open("b") : open_through(proxy, disturbed.b(), "b");
                  disturbed.session(*first, *second);
                },
            .every_day = 101,
            .all = 3,
            .can_last = false},
           one(pair));
    }
  }
}

// A checker that cannot fail is worse than none.
TEST_CASE("a session that commits half of its work is noticed") {
  const MakePair make = copies(make_memory_database, make_memory_database);
  Pair& pair = make();
  pair.change();
  {
    const std::unique_ptr<Node> node = pair.b().open("b");
    node->begin_write();
    const ActiveTable table = node->active_tables().front();
    node->put_row(table, to_views({integer(1)}), to_views({integer(1), text("a1"), integer(1)}));
    node->commit();
  }
  CHECK_THROWS_AS(pair.require_whole(), std::runtime_error);
}

TEST_CASE("a session that claims to know what it never applied is noticed") {
  class Forgetful final : public NodeDecorator {
   public:
    using NodeDecorator::NodeDecorator;
    std::optional<Refusal> put_row(const ActiveTable&, RowView, RowView) override {
      return std::nullopt;
    }
    PullCounts apply_known(const ActiveTable& table, Stage& stage, const Knowledge& known,
                           ApplySink& sink) override {
      (void)table, (void)known, (void)sink;
      stage.abandon();
      return {};
    }
  };
  const MakePair make = copies(make_memory_database, make_memory_database);
  Pair& pair = make();
  pair.change();
  Forgetful first(pair.a().open("a"));
  Forgetful second(pair.b().open("b"));
  pair.session(first, second);
  CHECK_THROWS_AS(pair.require_right_end(), std::runtime_error);
}

}  // namespace tidemark::testing
