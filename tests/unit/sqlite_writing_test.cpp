// What the SQLite engine writes where columns are indexed: an update leaves indexes alone only when
// what they hold stays bit for bit as it is.
#include <doctest/doctest.h>

#include "tests/unit/sqlite_application.h"

using namespace tidemark;
using namespace tidemark::testing;

namespace {

struct NoDecision final : ApplySink {
  void compare(const ChangedRow&, const LocalRow&) override { FAIL("nothing is to be decided"); }
  void refused(const ChangedRow&, const Refusal& refusal) override { refusals.push_back(refusal); }
  std::vector<Refusal> refusals;
};

/// One row under capture, and updates of it that come from another node.
class Updated {
 public:
  explicit Updated(const std::string& schema) : application(schema), node(application.activate()) {}

  PullCounts update(const Row& row) {
    const ActiveTable table = node->active_tables().front();
    const auto views = to_views(row);
    const auto key = key_of(table.spec, views);
    const OriginId origin = SqliteApplication::uuid(9);
    Knowledge known;
    known.raise(origin, ++sequence_);
    node->begin_write();
    const std::unique_ptr<Stage> stage = node->make_stage(table, {});
    stage->add(
        {.key = key,
         .row = views,
         .present = true,
         .version = Version{.changed_at_us = sequence_, .origin = origin, .sequence = sequence_}});
    stage->finish();
    const PullCounts counts = node->apply_known(table, *stage, known, sink);
    node->commit();
    return counts;
  }
  Row row(std::int64_t id) {
    node->begin_read();
    const Row key{Value::integer(id)};
    Row found = node->find(node->active_tables().front(), to_views(key)).row;
    node->rollback();
    return found;
  }

  SqliteApplication application;
  std::unique_ptr<Node> node;
  NoDecision sink;

 private:
  std::int64_t sequence_ = 0;
};

}  // namespace

TEST_CASE("an indexed value that only looks like the one before is written") {
  Updated updated(
      "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE UNIQUE, loose, note TEXT);"
      "CREATE INDEX loosely ON t(loose); CREATE INDEX by_length ON t(length(note));"
      "INSERT INTO t VALUES (1, 'a', 1, 'old'), (2, NULL, NULL, 'old')");
  const Value a = Value::text("a"), old = Value::text("old"), one = Value::integer(1);
  const std::vector<Row> rows{
      {one, a, one, Value::text("only this")},
      {one, Value::text("A"), one, old},
      {one, Value::text("A"), Value::real(1.0), old},
      {one, Value::text("A "), Value::text("1"), old},
      {one, Value::text("A"), Value::blob("1"), old},
      {one, Value::text("A"), Value::null(), Value::text("longer than before")},
      {one, Value::text("A"), Value::real(0.0), old},
      {one, Value::text("A"), Value::real(-0.0), old},
      {one, Value::text("A"), Value::real(0.0), old},
      {one, Value::null(), Value::null(), old},
      {one, Value::null(), Value::null(), Value::null()},
  };
  for (const Row& row : rows) {
    CAPTURE(to_string(to_views(row)));
    CHECK(updated.update(row).updated == 1);
    CHECK(identical(to_views(updated.row(1)), to_views(row)));
    CHECK(updated.application.ask("PRAGMA integrity_check") == "ok");
  }
  CHECK(updated.row(2) == Row{Value::integer(2), Value::null(), Value::null(), old});
  CHECK(updated.sink.refusals.empty());
}

TEST_CASE("an update that leaves indexes alone is refused like any other") {
  Updated updated(
      "CREATE TABLE t(id INTEGER PRIMARY KEY, code TEXT UNIQUE, n INTEGER CHECK (n < 10));"
      "INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 1)");
  const auto row = [](std::string_view code, std::int64_t n) {
    return Row{Value::integer(1), Value::text(std::string(code)), Value::integer(n)};
  };
  updated.update(row("a", 10));
  updated.update(row("b", 2));
  REQUIRE(updated.sink.refusals.size() == 2);
  CHECK(updated.sink.refusals[0].kind == Refusal::Kind::check);
  CHECK(updated.sink.refusals[1].kind == Refusal::Kind::unique);
  CHECK(updated.row(1) == row("a", 1));
}

TEST_CASE("a row that is not here is inserted, whatever it was where it came from") {
  Updated updated("CREATE TABLE t(id INTEGER PRIMARY KEY, code TEXT UNIQUE, n INTEGER)");
  const Row row{Value::integer(1), Value::text("a"), Value::integer(1)};
  CHECK(updated.update(row).inserted == 1);
  CHECK(updated.row(1) == row);
}
