// Sessions between two databases in situations that random histories seldom reach. Each case names
// what once went wrong.
#include "scheduler/session.h"

#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "capture/activate.h"
#include "tests/fixtures/node_decorator.h"
#include "tests/fixtures/test_database.h"

using namespace tidemark;           // NOLINT(google-build-using-namespace)
using namespace tidemark::testing;  // NOLINT(google-build-using-namespace)

namespace {

TableSpec article_table() {
  TableSpec spec;
  spec.name = "article";
  spec.columns = {{.name = "id", .declared_type = "INTEGER"},
                  {.name = "code", .declared_type = "TEXT"}};
  spec.key = {0};
  spec.integer_key = true;
  return spec;
}

TableSpec unique_table() {
  TableSpec spec = article_table();
  spec.uniques = {{.name = "article_code", .columns = {1}}};
  return spec;
}

using MakeDatabase = std::unique_ptr<TestDatabase> (*)();

/// Two databases with one table; rows() must be called while no node is open in a transaction.
struct Pair {
  Pair(MakeDatabase make, TableSpec spec) : table(std::move(spec)), a(make()), b(make()) {
    a->create_table(table);
    b->create_table(table);
  }

  void activate() const {
    for (const auto& [database, name] : {std::pair(a.get(), "a"), std::pair(b.get(), "b")}) {
      const std::unique_ptr<Node> node = database->open(name);
      capture::activate(*node, {.tables = {table.name}}, false);
    }
  }

  scheduler::SessionReport session() const {
    const std::unique_ptr<Node> first = a->open("a");
    const std::unique_ptr<Node> second = b->open("b");
    return session(*first, *second);
  }

  static scheduler::SessionReport session(Node& first, Node& second) {
    scheduler::JobConfig job;
    job.name = "job";
    job.nodes = {"a", "b"};
    return scheduler::run_session(job, first, second, std::chrono::days(30), {});
  }

  TableSpec table;
  std::unique_ptr<TestDatabase> a;
  std::unique_ptr<TestDatabase> b;
};

/// An application writes whenever a snapshot is about to be opened, so that none is ever clean.
class BusyNode final : public NodeDecorator {
 public:
  BusyNode(std::unique_ptr<Node> inner, std::function<void()> write)
      : NodeDecorator(std::move(inner)), write_(std::move(write)) {}

  void begin_read() override {
    write_();
    inner().begin_read();
  }
  void begin_write(Exclusion exclusion) override {
    inner().begin_write(exclusion);
    is_locked_ = true;
  }
  void commit() override {
    inner().commit();
    is_locked_ = false;
  }
  void rollback() noexcept override {
    inner().rollback();
    is_locked_ = false;
  }

  bool is_locked() const { return is_locked_; }

 private:
  std::function<void()> write_;
  bool is_locked_ = false;
};

/// Calls `look` when rows are about to travel into it.
class WatchedTarget final : public NodeDecorator {
 public:
  WatchedTarget(std::unique_ptr<Node> inner, std::function<void()> look)
      : NodeDecorator(std::move(inner)), look_(std::move(look)) {}

  std::unique_ptr<Stage> make_stage(const ActiveTable& table, StageUse use) override {
    look_();
    return inner().make_stage(table, use);
  }

 private:
  std::function<void()> look_;
};

void over_all_engines(const std::function<void(MakeDatabase)>& test) {
  SUBCASE("memory") { test(make_memory_database); }
  SUBCASE("sqlite") { test(make_sqlite_database); }
  SUBCASE("postgresql") { test(make_postgresql_database); }
}

}  // namespace

// A target behind a slow network kept the source's other sessions waiting.
TEST_CASE("a source whose writers never pause is not locked while rows travel") {
  const Pair pair(make_postgresql_database, article_table());
  pair.activate();
  pair.session();
  std::int64_t next = 1;
  BusyNode busy(pair.a->open("a"), [&] {
    pair.a->insert(pair.table, {integer(next), text("w" + std::to_string(next))});
    ++next;
  });
  std::vector<bool> locked;
  WatchedTarget target(pair.b->open("b"), [&] { locked.push_back(busy.is_locked()); });
  const scheduler::SessionReport report = Pair::session(busy, target);
  CHECK(locked == std::vector<bool>{false});
  CHECK(report.to_second.total().inserted > 0);
}

// A harvest under the write lock was rolled back after its numbers had been sent; the next harvest
// gave them to other rows, which the target then believed to have.
TEST_CASE("a source whose writers never pause loses no row") {
  over_all_engines([](MakeDatabase make) {
    const Pair pair(make, article_table());
    pair.activate();
    pair.session();
    std::int64_t next = 100;
    {
      BusyNode busy(pair.a->open("a"), [&] {
        pair.a->insert(pair.table, {integer(next), text("w" + std::to_string(next))});
        ++next;
      });
      const std::unique_ptr<Node> second = pair.b->open("b");
      Pair::session(busy, *second);
      // Smaller keys than those before: a number that is used twice would go to another row.
      next = 1;
      Pair::session(busy, *second);
    }
    pair.session();
    CHECK(pair.a->rows(pair.table).size() > 8);
    CHECK(pair.a->rows(pair.table) == pair.b->rows(pair.table));
  });
}

// The node kept its own numbers and so claimed to know rows that had vanished from it: whether they
// came back or were deleted on the other node was decided by a random id.
TEST_CASE("rows deleted while the triggers were lost come back, whoever wrote them") {
  over_all_engines([](MakeDatabase make) {
    for (int round = 0; round < 8; ++round) {
      const Pair pair(make, article_table());
      pair.activate();
      pair.a->insert(pair.table, {integer(1), text("by a")});
      pair.b->insert(pair.table, {integer(2), text("by b")});
      pair.session();
      pair.a->drop_triggers(pair.table.name);
      pair.a->remove(pair.table, {integer(1)});
      pair.a->remove(pair.table, {integer(2)});
      pair.a->insert(pair.table, {integer(3), text("unseen")});
      CHECK(pair.session().recovered.size() == 1);
      pair.session();
      CHECK(pair.a->rows(pair.table).size() == 3);
      CHECK(pair.a->rows(pair.table) == pair.b->rows(pair.table));
      CHECK(pair.session().to_second.total().changed() == 0);
    }
  });
}

// The joiner's row had just been given a version when the two met, and any version beats none: the
// winner was decided by a random id.
TEST_CASE("of two old rows with one unique value the first node's stays, whoever joins") {
  over_all_engines([](MakeDatabase make) {
    for (int round = 0; round < 8; ++round) {
      const Pair pair(make, unique_table());
      pair.a->insert(pair.table, {integer(1), text("x")});
      pair.b->insert(pair.table, {integer(2), text("x")});
      pair.activate();
      pair.session();
      pair.session();
      const std::vector<Row> expected{{integer(1), text("x")}};
      CHECK(pair.a->rows(pair.table) == expected);
      CHECK(pair.b->rows(pair.table) == expected);
    }
  });
}

TEST_CASE("unique values that rows swap in a circle arrive without a conflict") {
  over_all_engines([](MakeDatabase make) {
    const Pair pair(make, unique_table());
    for (int i = 1; i <= 5; ++i) {
      pair.a->insert(pair.table, {integer(i), text("v" + std::to_string(i))});
    }
    pair.activate();
    pair.session();
    pair.a->update(pair.table, {integer(1)}, {integer(1), text("parked")});
    for (int i = 2; i <= 5; ++i) {
      pair.a->update(pair.table, {integer(i)}, {integer(i), text("v" + std::to_string(i - 1))});
    }
    pair.a->update(pair.table, {integer(1)}, {integer(1), text("v5")});
    const scheduler::SessionReport report = pair.session();
    CHECK(report.to_second.total().conflicts == 0);
    CHECK(report.to_second.total().updated == 5);
    CHECK(pair.a->rows(pair.table) == pair.b->rows(pair.table));
  });
}

TEST_CASE("a dry run tells what a session would do and changes nothing") {
  over_all_engines([](MakeDatabase make) {
    const Pair pair(make, article_table());
    pair.activate();
    pair.a->insert(pair.table, {integer(1), text("a")});
    pair.b->insert(pair.table, {integer(2), text("b")});
    const std::int64_t before = pair.a->revision();
    {
      const std::unique_ptr<Node> first = pair.a->open("a");
      const std::unique_ptr<Node> second = pair.b->open("b");
      scheduler::JobConfig job;
      job.name = "job";
      job.nodes = {"a", "b"};
      const auto report =
          scheduler::run_session(job, *first, *second, std::chrono::days(30), {.dry_run = true});
      CHECK(report.to_second.total().inserted == 1);
      CHECK(report.to_first.total().inserted == 1);
    }
    CHECK(pair.a->revision() == before);
    CHECK(pair.a->rows(pair.table).size() == 1);
    CHECK(pair.b->rows(pair.table).size() == 1);
    pair.session();
    CHECK(pair.b->rows(pair.table).size() == 2);
  });
}
