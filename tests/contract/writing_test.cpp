// Staging, applying, comparing, single writes, and the records of a session.
#include "tests/contract/contract.h"

#include <functional>
#include <stdexcept>
#include <thread>

using namespace tidemark;
using namespace tidemark::testing;

namespace {

Row item(std::int64_t id, std::string_view name) { return {integer(id), text(name), null()}; }

/// Keeps what apply_known() did not decide.
struct Kept final : ApplySink {
  void compare(const ChangedRow& incoming, const LocalRow& local) override {
    compared.emplace_back(seen(incoming), Seen{.key = to_row(incoming.key),
                                               .present = local.present,
                                               .row = local.row,
                                               .version = local.version});
    reverts += incoming.revert ? 1 : 0;
    if (on_compare) on_compare(incoming);
  }
  void refused(const ChangedRow& incoming, const Refusal& refusal) override {
    refusals.emplace_back(seen(incoming), refusal.kind);
  }

  std::vector<std::pair<Seen, Seen>> compared;
  std::vector<std::pair<Seen, Refusal::Kind>> refusals;
  int reverts = 0;
  std::function<void(const ChangedRow&)> on_compare;
};

/// Keeps the pairs of a full compare.
struct Pairs final : PairSink {
  struct Pair {
    std::optional<Seen> incoming;
    std::optional<Seen> local;
    bool equal = false;
  };
  void pair(const ChangedRow* incoming, const ChangedRow* local, bool equal) override {
    Pair& kept = pairs.emplace_back();
    if (incoming != nullptr) kept.incoming = seen(*incoming);
    if (local != nullptr) kept.local = seen(*local);
    kept.equal = equal;
  }
  std::vector<Pair> pairs;
};

PullCounts apply(Contract& contract, const ActiveTable& table, const std::vector<Incoming>& rows,
                 const Knowledge& source, Kept& sink) {
  return contract.write([&] {
    const std::unique_ptr<Stage> stage = contract.stage(table, rows);
    return contract.node->apply_known(table, *stage, source, sink);
  });
}

}  // namespace

TEST_CASE_TEMPLATE("what the source knows is written with its version", Engine, TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const TableSpec spec = item_table();
  const ActiveTable table = contract.activate(spec);
  contract.put(table, item(2, "old"), foreign(10, 1));
  contract.put(table, item(3, "goes"), foreign(10, 2));
  contract.put(table, item(4, "the same"), foreign(10, 3));
  contract.put(table, item(5, "unversioned, changed there"), std::nullopt);
  contract.put(table, item(6, "unversioned, deleted there"), std::nullopt);
  const Version gone{.changed_at_us = 5, .origin = uuid(0x0D), .sequence = 2};
  Version inserted{.changed_at_us = 20, .origin = uuid(0x0D), .sequence = 3};
  inserted.inserted = true;
  Kept kept;
  const PullCounts counts = apply(
      contract, table,
      {Incoming(spec, item(1, "new"), inserted), Incoming(spec, item(2, "new"), foreign(20, 4)),
       Incoming::tombstone({integer(3)}, gone), Incoming(spec, item(4, "the same"), foreign(10, 3)),
       Incoming(spec, item(5, "changed"), foreign(20, 5)),
       Incoming::tombstone({integer(6)}, foreign(20, 6)),
       Incoming::tombstone({integer(7)}, foreign(20, 7)),
       Incoming(spec, item(8, "baseline"), std::nullopt)},
      knowledge(kOtherOrigin, 3), kept);
  CHECK(kept.compared.empty());
  CHECK(kept.refusals.empty());
  CHECK(counts.inserted == 2);
  CHECK(counts.updated == 2);
  CHECK(counts.deleted == 2);
  const std::vector<Seen> expected{
      {.key = {integer(1)}, .present = true, .row = item(1, "new"), .version = inserted},
      {.key = {integer(2)}, .present = true, .row = item(2, "new"), .version = foreign(20, 4)},
      {.key = {integer(3)}, .present = false, .row = {}, .version = gone},
      {.key = {integer(4)}, .present = true, .row = item(4, "the same"), .version = foreign(10, 3)},
      {.key = {integer(5)}, .present = true, .row = item(5, "changed"), .version = foreign(20, 5)},
      {.key = {integer(6)}, .present = false, .row = {}, .version = foreign(20, 6)},
      {.key = {integer(7)}, .present = false, .row = {}, .version = foreign(20, 7)},
      {.key = {integer(8)}, .present = true, .row = item(8, "baseline"), .version = std::nullopt}};
  CHECK(contract.all(table) == expected);
  CHECK_FALSE(contract.read([&] { return contract.node->has_pending(table); }));
  // Changes that were applied are found by whoever does not know them.
  CHECK(contract.since(table, knowledge(kOtherOrigin, 4)).size() == 5);
}

// What a change was at its origin is no promise of what is here.
TEST_CASE_TEMPLATE("a row that was inserted there may be here, one that was updated there may not",
                   Engine, TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const TableSpec spec = item_table();
  const ActiveTable table = contract.activate(spec);
  contract.put(table, item(2, "without a version"), std::nullopt);
  contract.put(table, item(4, "with one"), foreign(10, 1));
  std::vector<Incoming> rows;
  std::vector<Seen> expected;
  for (int i = 1; i <= 40; ++i) {
    Version version = foreign(20, i + 1);
    version.inserted = i % 4 < 3;
    rows.emplace_back(spec, item(i, "new"), version);
    expected.push_back(
        {.key = {integer(i)}, .present = true, .row = item(i, "new"), .version = version});
  }
  Kept kept;
  const PullCounts counts = apply(contract, table, rows, knowledge(kOtherOrigin, 1), kept);
  CHECK(kept.compared.empty());
  CHECK(kept.refusals.empty());
  CHECK(counts.updated == 2);
  CHECK(counts.inserted == 38);
  CHECK(contract.all(table) == expected);
}

// The usual batch: rows of one origin that are here already, some new ones, some that go.
TEST_CASE_TEMPLATE("rows that are here and rows that are not come in one batch", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const TableSpec spec = item_table();
  const ActiveTable table = contract.activate(spec);
  for (int i = 1; i <= 30; ++i) contract.put(table, item(i, "old"), foreign(10, i));
  std::vector<Incoming> rows;
  std::vector<Seen> expected;
  for (int i = 1; i <= 40; ++i) {
    Version version = foreign(20, 100 + i);
    version.inserted = i % 3 != 0;
    const bool goes = i % 10 == 0;
    if (goes) {
      rows.push_back(Incoming::tombstone({integer(i)}, version));
    } else {
      rows.emplace_back(spec, item(i, "new"), version);
    }
    expected.push_back({.key = {integer(i)},
                        .present = !goes,
                        .row = goes ? Row{} : item(i, "new"),
                        .version = version});
  }
  Kept kept;
  const PullCounts counts = apply(contract, table, rows, knowledge(kOtherOrigin, 100), kept);
  CHECK(kept.compared.empty());
  CHECK(kept.refusals.empty());
  CHECK(counts.updated == 27);
  CHECK(counts.inserted == 9);
  CHECK(counts.deleted == 3);
  CHECK(contract.all(table) == expected);
}

TEST_CASE_TEMPLATE("what the source has not seen is left to be decided", Engine, TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const TableSpec spec = item_table();
  const ActiveTable table = contract.activate(spec);
  contract.put(table, item(1, "mine"), foreign(10, 5));
  contract.write(
      [&] { contract.node->put_version(table, to_views({integer(2)}), false, foreign(10, 6)); });
  contract.put(table, item(3, "stays"), foreign(10, 1));
  Kept kept;
  const Version theirs{.changed_at_us = 9, .origin = uuid(0x0D), .sequence = 1};
  const PullCounts counts =
      apply(contract, table,
            {Incoming(spec, item(1, "theirs"), theirs), Incoming(spec, item(2, "theirs"), theirs),
             Incoming(spec, item(3, "set back"), theirs, true),
             Incoming::tombstone({integer(4)}, std::nullopt, true)},
            knowledge(kOtherOrigin, 4), kept);
  REQUIRE(kept.compared.size() == 4);
  CHECK(kept.compared[0].first.row == item(1, "theirs"));
  CHECK(kept.compared[0].first.version == theirs);
  CHECK(kept.compared[0].second.row == item(1, "mine"));
  CHECK(kept.compared[0].second.version == foreign(10, 5));
  CHECK_FALSE(kept.compared[1].second.present);
  CHECK(kept.compared[1].second.version == foreign(10, 6));
  CHECK(kept.compared[2].second.row == item(3, "stays"));
  CHECK_FALSE(kept.compared[3].first.present);
  CHECK_FALSE(kept.compared[3].second.version);
  CHECK(kept.reverts == 2);
  CHECK(counts.changed() == 0);
  CHECK(contract.find(table, {integer(1)}).row == item(1, "mine"));
  CHECK_FALSE(contract.find(table, {integer(2)}).present);
  CHECK(contract.find(table, {integer(3)}).row == item(3, "stays"));
}

TEST_CASE_TEMPLATE("whoever decides may write before the next row is looked at", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const TableSpec spec = item_table();
  const ActiveTable table = contract.activate(spec);
  contract.put(table, item(1, "mine"), foreign(10, 5));
  Kept kept;
  kept.on_compare = [&](const ChangedRow& incoming) {
    CHECK_FALSE(contract.node->put_row(table, incoming.key, incoming.row));
    contract.node->put_version(table, incoming.key, true, incoming.version);
    // The next staged row now meets a version that the source does not know.
    contract.node->put_version(table, to_views({integer(2)}), false, foreign(10, 6));
    kept.on_compare = nullptr;
  };
  apply(contract, table,
        {Incoming(spec, item(1, "theirs"), foreign(20, 7)),
         Incoming(spec, item(2, "theirs"), foreign(20, 8))},
        knowledge(kOtherOrigin, 1), kept);
  REQUIRE(kept.compared.size() == 2);
  CHECK(kept.compared[1].second.version == foreign(10, 6));
  CHECK(contract.find(table, {integer(1)}).row == item(1, "theirs"));
  CHECK(contract.find(table, {integer(1)}).version == foreign(20, 7));
  CHECK_FALSE(contract.find(table, {integer(2)}).present);
}

TEST_CASE_TEMPLATE("a row that a constraint refuses is handed over, and nothing of it is stored",
                   Engine, TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const TableSpec spec = account_table();
  const ActiveTable table = contract.activate(spec);
  contract.put(table, {integer(1), text("x@example.org"), text("x")}, foreign(10, 1));
  contract.put(table, {integer(2), text("y@example.org"), text("y")}, foreign(10, 2));
  Kept kept;
  const PullCounts counts =
      apply(contract, table,
            {Incoming(spec, {integer(2), text("x@example.org"), text("y")}, foreign(20, 3)),
             Incoming(spec, {integer(3), text("x@example.org"), text("z")}, foreign(20, 4)),
             Incoming(spec, {integer(4), text("free@example.org"), null()}, foreign(20, 5)),
             Incoming(spec, {integer(5), text("free@example.org"), text("v")}, foreign(20, 6))},
            knowledge(kOtherOrigin, 2), kept);
  REQUIRE(kept.refusals.size() == 3);
  CHECK(kept.refusals[0].second == Refusal::Kind::unique);
  CHECK(kept.refusals[1].second == Refusal::Kind::unique);
  CHECK(kept.refusals[2].second == Refusal::Kind::not_null);
  CHECK(counts.inserted == 1);
  CHECK(counts.updated == 0);
  CHECK(contract.find(table, {integer(2)}).row ==
        Row{integer(2), text("y@example.org"), text("y")});
  CHECK(contract.find(table, {integer(2)}).version == foreign(10, 2));
  CHECK_FALSE(contract.find(table, {integer(3)}).present);
  CHECK_FALSE(contract.find(table, {integer(3)}).version);
  CHECK_FALSE(contract.find(table, {integer(4)}).version);
  CHECK(contract.find(table, {integer(5)}).present);
}

TEST_CASE_TEMPLATE("rows can be staged while others are read", Engine, TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const TableSpec spec = item_table();
  const ActiveTable table = contract.activate(spec);
  constexpr std::int64_t kRows = 20'000;
  Kept kept;
  const PullCounts counts = contract.write([&] {
    const std::unique_ptr<Stage> stage = contract.node->make_stage(table, {.concurrent = true});
    std::thread writer([&] {
      for (std::int64_t id = 1; id <= kRows; ++id) {
        Incoming(spec, item(id, "row"), foreign(id, id)).add_to(*stage);
      }
      stage->finish();
    });
    const PullCounts result = contract.node->apply_known(table, *stage, {}, kept);
    writer.join();
    return result;
  });
  CHECK(counts.inserted == kRows);
  CHECK(contract.read([&] { return contract.node->count_rows(table); }) == kRows);
}

TEST_CASE_TEMPLATE("a source that fails is heard of at the target", Engine, TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable table = contract.activate(item_table());
  Kept kept;
  CHECK_THROWS_WITH(contract.write([&] {
    const std::unique_ptr<Stage> stage = contract.node->make_stage(table, {.concurrent = true});
    Incoming(item_table(), item(1, "row"), foreign(1, 1)).add_to(*stage);
    stage->fail(std::make_exception_ptr(std::runtime_error("the line went dead")));
    contract.node->apply_known(table, *stage, {}, kept);
  }),
                    "the line went dead");
  CHECK(contract.all(table).empty());
}

TEST_CASE_TEMPLATE("a full compare meets every key of both sides once, in order", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const TableSpec spec = item_table();
  const ActiveTable table = contract.activate(spec);
  contract.put(table, item(1, "here"), std::nullopt);
  contract.put(table, item(3, "same"), foreign(10, 1));
  contract.put(table, item(4, "mine"), foreign(10, 2));
  contract.write([&] {
    contract.node->put_version(table, to_views({integer(5)}), false, foreign(10, 3));
    contract.node->put_version(table, to_views({integer(6)}), false, foreign(10, 4));
  });
  contract.put(table, item(8, "here"), foreign(10, 5));
  Pairs pairs;
  contract.write([&] {
    const auto stage = contract.stage(table,
                                      {Incoming(spec, item(2, "there"), std::nullopt),
                                       Incoming(spec, item(3, "same"), std::nullopt),
                                       Incoming(spec, item(4, "theirs"), foreign(20, 6)),
                                       Incoming::tombstone({integer(5)}, foreign(20, 7)),
                                       Incoming(spec, item(6, "there"), foreign(20, 8)),
                                       Incoming::tombstone({integer(7)}, foreign(20, 9))},
                                      true);
    contract.node->compare_all(table, *stage, pairs);
  });
  REQUIRE(pairs.pairs.size() == 8);
  for (std::size_t i = 0; i < pairs.pairs.size(); ++i) {
    const auto& pair = pairs.pairs[i];
    const auto id = static_cast<std::int64_t>(i + 1);
    CAPTURE(id);
    CHECK((pair.incoming ? pair.incoming : pair.local)->key == Row{integer(id)});
    CHECK(pair.incoming.has_value() == (id >= 2 && id <= 7));
    CHECK(pair.local.has_value() == (id != 2 && id != 7));
    CHECK(pair.equal == (id == 3 || id == 5 || id == 7));
  }
  CHECK(pairs.pairs[3].incoming->row == item(4, "theirs"));
  CHECK(pairs.pairs[3].local->row == item(4, "mine"));
  CHECK(pairs.pairs[3].local->version == foreign(10, 2));
  CHECK_FALSE(pairs.pairs[0].local->version);
  CHECK_FALSE(pairs.pairs[4].local->present);
}

TEST_CASE_TEMPLATE("rows are equal only when every bit is", Engine, TIDEMARK_LOOSE_ENGINES) {
  Contract contract(Engine::make());
  const TableSpec spec = thing_table();
  const ActiveTable table = contract.activate(spec);
  const std::vector<std::pair<Value, Value>> sides{{integer(1), real(1.0)}, {text("1"), integer(1)},
                                                   {text("a"), blob("a")},  {null(), text("")},
                                                   {text("a"), text("A")},  {real(0.5), real(0.5)}};
  std::vector<Incoming> rows;
  for (std::size_t i = 0; i < sides.size(); ++i) {
    const Value id = integer(static_cast<std::int64_t>(i));
    contract.put(table, {id, sides[i].first}, std::nullopt);
    rows.emplace_back(spec, Row{id, sides[i].second}, std::nullopt);
  }
  Pairs pairs;
  contract.write([&] {
    const auto stage = contract.stage(table, rows, true);
    contract.node->compare_all(table, *stage, pairs);
  });
  REQUIRE(pairs.pairs.size() == sides.size());
  for (std::size_t i = 0; i < sides.size(); ++i) CHECK(pairs.pairs[i].equal == (i == 5));
}

TEST_CASE_TEMPLATE("one row is written, changed and removed, its version left alone", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable table = contract.activate(account_table());
  const Row row{integer(1), text("x@example.org"), text("x")};
  CHECK_FALSE(contract.put_row(table, {integer(1)}, row));
  CHECK_FALSE(contract.find(table, {integer(1)}).version);
  contract.put(table, row, foreign(1, 1));
  const Row changed{integer(1), null(), text("y")};
  CHECK_FALSE(contract.put_row(table, {integer(1)}, changed));
  CHECK(contract.find(table, {integer(1)}).row == changed);
  CHECK(contract.find(table, {integer(1)}).version == foreign(1, 1));
  CHECK_FALSE(contract.put_row(table, {integer(1)}, {}));
  CHECK_FALSE(contract.put_row(table, {integer(1)}, {}));
  CHECK_FALSE(contract.find(table, {integer(1)}).present);
  CHECK(contract.find(table, {integer(1)}).version == foreign(1, 1));
}

TEST_CASE_TEMPLATE("a refused row says which kind of constraint is in the way", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable table = contract.activate(account_table());
  contract.put(table, {integer(1), text("x@example.org"), text("x")}, foreign(1, 1));
  contract.put(table, {integer(2), text("y@example.org"), text("y")}, foreign(1, 2));
  const auto unique =
      contract.put_row(table, {integer(2)}, {integer(2), text("x@example.org"), text("y")});
  REQUIRE(unique);
  CHECK(unique->kind == Refusal::Kind::unique);
  CHECK_FALSE(unique->reason.empty());
  const auto not_null = contract.put_row(table, {integer(3)}, {integer(3), null(), null()});
  REQUIRE(not_null);
  CHECK(not_null->kind == Refusal::Kind::not_null);
  CHECK(contract.find(table, {integer(2)}).row ==
        Row{integer(2), text("y@example.org"), text("y")});
  CHECK_FALSE(contract.find(table, {integer(3)}).present);
}

TEST_CASE_TEMPLATE("a version is written, replaced and removed, its row left alone", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable table = contract.activate(item_table());
  contract.put(table, item(1, "row"), foreign(1, 1));
  const auto put = [&](std::int64_t id, bool present, const std::optional<Version>& version) {
    contract.write(
        [&] { contract.node->put_version(table, to_views({integer(id)}), present, version); });
  };
  put(1, true, foreign(2, 2));
  CHECK(contract.find(table, {integer(1)}).version == foreign(2, 2));
  put(1, true, std::nullopt);
  CHECK_FALSE(contract.find(table, {integer(1)}).version);
  CHECK(contract.find(table, {integer(1)}).row == item(1, "row"));
  put(2, false, foreign(3, 3));
  CHECK(contract.all(table).size() == 2);
  put(2, false, std::nullopt);
  CHECK(contract.all(table).size() == 1);
  put(3, false, std::nullopt);
  CHECK(contract.all(table).size() == 1);
}

TEST_CASE_TEMPLATE("a conflict is kept once, with both sides as they were", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  contract.activate(item_table());
  Conflict conflict;
  conflict.session_id = "session-1";
  conflict.job = "shops";
  conflict.found_at_us = 123'456'789;
  conflict.table = "item";
  conflict.columns = {"id", "name", "price"};
  conflict.key_columns = {0};
  conflict.key = {integer(7)};
  conflict.type = ConflictType::update_deleted;
  conflict.policy = Policy::manual;
  conflict.status = ConflictStatus::open;
  conflict.winner = {.node = "hq",
                     .version = foreign(10, 1),
                     .present = true,
                     .row = {integer(7), text(std::string_view("nul\0\xFF", 5)), real(0.1)}};
  conflict.loser = {.node = "branch", .version = std::nullopt, .present = false, .row = {}};
  conflict.id = conflict_id(conflict);
  CHECK(contract.write([&] { return contract.node->log_conflict(conflict); }));
  CHECK_FALSE(contract.write([&] { return contract.node->log_conflict(conflict); }));
  Conflict second = conflict;
  second.key = {integer(8)};
  second.status = ConflictStatus::resolved;
  second.id = conflict_id(second);
  CHECK(contract.write([&] { return contract.node->log_conflict(second); }));

  const auto conflicts = contract.read([&] { return contract.node->conflicts(); });
  REQUIRE(conflicts.size() == 2);
  const Conflict& kept = conflicts[conflicts[0].id == conflict.id ? 0 : 1];
  CHECK(kept.id == conflict.id);
  CHECK(kept.session_id == conflict.session_id);
  CHECK(kept.job == conflict.job);
  CHECK(kept.found_at_us == conflict.found_at_us);
  CHECK(kept.table == conflict.table);
  CHECK(kept.columns == conflict.columns);
  CHECK(kept.key_columns == conflict.key_columns);
  CHECK(kept.key == conflict.key);
  CHECK(kept.type == conflict.type);
  CHECK(kept.policy == conflict.policy);
  CHECK(kept.status == conflict.status);
  CHECK(kept.winner.node == "hq");
  CHECK(kept.winner.version == conflict.winner.version);
  CHECK(kept.winner.present);
  CHECK(kept.winner.row == conflict.winner.row);
  CHECK(kept.loser.node == "branch");
  CHECK_FALSE(kept.loser.version);
  CHECK_FALSE(kept.loser.present);
  CHECK(kept.loser.row.empty());

  const auto count = [&](ConflictStatus status) {
    return contract.read([&] { return contract.node->count_conflicts(status); });
  };
  CHECK(count(ConflictStatus::open) == 1);
  CHECK(count(ConflictStatus::resolved) == 1);
  contract.write(
      [&] { contract.node->set_conflict_status(conflict.id, ConflictStatus::reinstated); });
  CHECK(count(ConflictStatus::open) == 0);
  CHECK(count(ConflictStatus::reinstated) == 1);
}

TEST_CASE_TEMPLATE("sessions are remembered, the newest first", Engine, TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  contract.activate(item_table());
  PullCounts counts;
  counts.received = 1;
  counts.inserted = 2;
  counts.updated = 3;
  counts.deleted = 4;
  counts.adopted = 5;
  counts.conflicts = 6;
  counts.quarantined = 7;
  for (int i = 1; i <= 3; ++i) {
    contract.write([&] {
      contract.node->record_session({.session_id = "session-" + std::to_string(i),
                                     .job = "shops",
                                     .source = "hq",
                                     .target = "branch",
                                     .source_id = uuid(0x20),
                                     .started_at_us = i * 100,
                                     .finished_at_us = i * 100 + 50,
                                     .mode = "two-way",
                                     .tables = {{"item", counts}}});
    });
  }
  const auto sessions = contract.read([&] { return contract.node->sessions(2); });
  REQUIRE(sessions.size() == 2);
  CHECK(sessions[0].session_id == "session-3");
  CHECK(sessions[1].session_id == "session-2");
  const SessionRecord& newest = sessions[0];
  CHECK(newest.job == "shops");
  CHECK(newest.source == "hq");
  CHECK(newest.target == "branch");
  CHECK(newest.source_id == uuid(0x20));
  CHECK(newest.started_at_us == 300);
  CHECK(newest.finished_at_us == 350);
  CHECK(newest.mode == "two-way");
  REQUIRE(newest.tables.count("item") == 1);
  const PullCounts& kept = newest.tables.at("item");
  CHECK(kept.received == 1);
  CHECK(kept.inserted == 2);
  CHECK(kept.updated == 3);
  CHECK(kept.deleted == 4);
  CHECK(kept.adopted == 5);
  CHECK(kept.conflicts == 6);
  CHECK(kept.quarantined == 7);
}

// A column called stamp made an application's writes fail, and rows of a table called excluded were
// silently left as they were: the SQL of an engine used both names for itself.
TEST_CASE_TEMPLATE("words that an engine's own SQL uses are names like others", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  for (const char* name : {"excluded", "stamp", "old_rows", "new_rows", "capture", "tidemark_row",
                           "folded", "t", "v", "f"}) {
    TableSpec spec;
    spec.name = name;
    spec.columns = {
        {.name = "id", .declared_type = "INTEGER"},
        {.name = name, .declared_type = "TEXT"},
        {.name = std::string(name) == "stamp" ? "excluded" : "stamp", .declared_type = "TEXT"}};
    spec.key = {0};
    spec.integer_key = true;
    CAPTURE(name);
    const ActiveTable table = contract.activate(spec);
    contract.database->insert(spec, {integer(1), text("a"), text("b")});
    contract.database->insert(spec, {integer(2), text("a"), text("b")});
    contract.database->update(spec, {integer(1)}, {integer(1), text("c"), text("d")});
    contract.database->update(spec, {integer(2)}, {integer(3), text("c"), text("d")});
    contract.database->remove(spec, {integer(3)});
    CHECK(contract.harvest(table).versions == 3);
    contract.put(table, {integer(1), text("e"), text("f")}, foreign(kFarFutureUs, 1));
    const auto stage = contract.stage(
        table,
        {Incoming(table.spec, {integer(4), text("g"), text("h")}, foreign(kFarFutureUs, 2))});
    Kept kept;
    contract.write(
        [&] { contract.node->apply_known(table, *stage, knowledge(kOtherOrigin, 1), kept); });
    CHECK(kept.compared.empty());
    CHECK(kept.refusals.empty());
    CHECK(contract.database->rows(table.spec) ==
          std::vector<Row>{{integer(1), text("e"), text("f")}, {integer(4), text("g"), text("h")}});
  }
}

TEST_CASE_TEMPLATE("a row that another transaction locks is told, and keeps no other waiting",
                   Engine, TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const TableSpec spec = item_table();
  const ActiveTable table = contract.activate(spec);
  for (const std::int64_t id : {1, 2, 3}) {
    contract.put(table, item(id, "old"), foreign(10, id));
  }
  const bool locks_rows = contract.database->lock_row(spec, {integer(1)}) &&
                          contract.database->lock_row(spec, {integer(2)});
  const auto change = [&](Kept& kept) {
    const std::unique_ptr<Stage> stage =
        contract.stage(table, {Incoming(spec, item(1, "new"), foreign(20, 4)),
                               Incoming::tombstone({integer(2)}, foreign(20, 5)),
                               Incoming(spec, item(3, "new"), foreign(20, 6)),
                               Incoming(spec, item(4, "new"), foreign(20, 7))});
    return contract.node->apply_known(table, *stage, knowledge(kOtherOrigin, 7), kept);
  };
  if (locks_rows) {
    // Waited for in vain: nothing of it stays.
    Kept none;
    CHECK_THROWS_AS(contract.write([&] { change(none); }), RowLocked);
    CHECK(none.refusals.empty());
    CHECK(contract.find(table, {integer(3)}).row == item(3, "old"));
  }
  Kept kept;
  contract.write([&] {
    contract.node->treat_locked_rows(LockedRows::pass_over);
    change(kept);
    const auto locked = to_views({integer(1)});
    const Row newer = item(1, "newer");
    CHECK(contract.node->is_row_locked(table, locked, to_views(newer)) == locks_rows);
    const auto free = to_views({integer(3)});
    CHECK_FALSE(contract.node->is_row_locked(table, free, to_views(newer)));
    const auto nowhere = to_views({integer(99)});
    CHECK_FALSE(contract.node->is_row_locked(table, nowhere, to_views(newer)));
    // Whatever else runs into it can go on.
    if (locks_rows) {
      CHECK_THROWS_AS(contract.node->put_row(table, locked, to_views(newer)), RowLocked);
    }
    const Row last = item(5, "last");
    CHECK_FALSE(contract.node->put_row(table, to_views({integer(5)}), to_views(last)));
  });
  std::vector<Row> passed_over;
  for (const auto& [row, kind] : kept.refusals) {
    CHECK(kind == Refusal::Kind::locked);
    passed_over.push_back(row.key);
  }
  CHECK(passed_over ==
        (locks_rows ? std::vector<Row>{{integer(1)}, {integer(2)}} : std::vector<Row>{}));
  contract.database->unlock_rows();
  CHECK(contract.find(table, {integer(1)}).row == item(1, locks_rows ? "old" : "new"));
  CHECK(contract.find(table, {integer(1)}).version ==
        (locks_rows ? foreign(10, 1) : foreign(20, 4)));
  CHECK(contract.find(table, {integer(2)}).present == locks_rows);
  for (const std::int64_t id : {3, 4}) {
    CHECK(contract.find(table, {integer(id)}).row == item(id, "new"));
  }
  CHECK(contract.find(table, {integer(5)}).row == item(5, "last"));
}
