// The change log, harvest, recovery of lost triggers and the purge of tombstones.
#include "tests/contract/contract.h"

#include <algorithm>

#include "model/error.h"

using namespace tidemark;
using namespace tidemark::testing;

namespace {

/// Millisecond clocks may stand a little behind the one that is read here.
constexpr std::int64_t kClockGrainUs = 2000;

Row item(std::int64_t id, std::string_view name) { return {integer(id), text(name), null()}; }

}  // namespace

TEST_CASE_TEMPLATE("what an application does is pending until it is harvested", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  contract.database->create_table(item_table());
  contract.database->insert(item_table(), item(9, "from before activation"));
  const ActiveTable table = contract.activate(item_table());
  contract.read([&] {
    CHECK_FALSE(contract.node->has_pending(table));
    CHECK(contract.node->pending(table) == std::pair<std::int64_t, std::int64_t>(0, 0));
  });
  const std::int64_t before = contract.node->clock_us();
  contract.database->insert(item_table(), item(1, "one"));
  contract.database->update(item_table(), {integer(1)}, item(1, "two"));
  const std::int64_t after = contract.node->clock_us();
  contract.read([&] {
    CHECK(contract.node->has_pending(table));
    const auto [count, oldest] = contract.node->pending(table);
    CHECK(count == 2);
    CHECK(oldest >= before - kClockGrainUs);
    CHECK(oldest <= after + kClockGrainUs);
  });
  const HarvestCounts counts = contract.harvest(table);
  CHECK(counts.logged == 2);
  CHECK(counts.versions == 1);
  CHECK(counts.null_keys == 0);
  CHECK_FALSE(contract.read([&] { return contract.node->has_pending(table); }));
  const HarvestCounts nothing = contract.harvest(table);
  CHECK(nothing.logged == 0);
  CHECK(nothing.versions == 0);

  const Seen row = contract.find(table, {integer(1)});
  REQUIRE(row.version);
  CHECK(row.version->changed_at_us >= before - kClockGrainUs);
  CHECK(row.version->changed_at_us <= after + kClockGrainUs);
  CHECK(row.version->origin == uuid(kOwnOrigin));
  CHECK(row.version->sequence == 1);
  CHECK(row.version->inserted);
  CHECK_FALSE(contract.find(table, {integer(9)}).version);
}

TEST_CASE_TEMPLATE("sequences have no gaps, whatever was harvested together", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable table = contract.activate(item_table());
  std::vector<std::int64_t> sequences;
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 4; ++i) {
      contract.database->insert(item_table(), item(round * 10 + i, "row"));
    }
    contract.harvest(table);
    CHECK(contract.state(table).sequence() == (round + 1) * 4);
  }
  for (const Seen& row : contract.all(table)) sequences.push_back(row.version->sequence);
  std::sort(sequences.begin(), sequences.end());
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    CHECK(sequences[i] == static_cast<std::int64_t>(i) + 1);
  }
}

TEST_CASE_TEMPLATE("harvest reads whether a touched row is there or gone", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable table = contract.activate(item_table());
  contract.database->insert(item_table(), item(1, "stays"));
  contract.database->insert(item_table(), item(2, "goes later"));
  contract.harvest(table);
  contract.database->remove(item_table(), {integer(2)});
  contract.database->insert(item_table(), item(3, "comes and goes"));
  contract.database->remove(item_table(), {integer(3)});
  contract.database->remove(item_table(), {integer(1)});
  contract.database->insert(item_table(), item(1, "is back"));
  contract.harvest(table);
  CHECK(contract.find(table, {integer(1)}).present);
  CHECK(contract.find(table, {integer(1)}).row == item(1, "is back"));
  for (const std::int64_t id : {2, 3}) {
    const Seen gone = contract.find(table, {integer(id)});
    CHECK_FALSE(gone.present);
    REQUIRE(gone.version);
    CHECK(gone.version->origin == uuid(kOwnOrigin));
  }
}

TEST_CASE_TEMPLATE("a change of the key touches the old and the new one", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable table = contract.activate(stock_table());
  contract.database->insert(stock_table(), {text("a"), integer(1), integer(10)});
  contract.harvest(table);
  contract.database->update(stock_table(), {integer(1), text("a")},
                            {text("b"), integer(1), integer(10)});
  CHECK(contract.harvest(table).versions == 2);
  const Seen old_key = contract.find(table, {integer(1), text("a")});
  CHECK_FALSE(old_key.present);
  CHECK(old_key.version);
  CHECK(contract.find(table, {integer(1), text("b")}).present);
}

TEST_CASE_TEMPLATE("a row that REPLACE evicts gets a tombstone", Engine, TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable table = contract.activate(account_table());
  contract.database->insert(account_table(), {integer(1), text("x@example.org"), text("x")});
  contract.database->insert(account_table(), {integer(2), text("y@example.org"), text("y")});
  contract.harvest(table);
  contract.database->replace(account_table(), {integer(3), text("x@example.org"), text("z")});
  contract.harvest(table);
  const Seen evicted = contract.find(table, {integer(1)});
  CHECK_FALSE(evicted.present);
  REQUIRE(evicted.version);
  CHECK(evicted.version->sequence > 2);
  CHECK(contract.find(table, {integer(2)}).version->sequence == 2);
  CHECK(contract.find(table, {integer(3)}).present);
}

TEST_CASE_TEMPLATE("a statement that was ignored makes no version", Engine, TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable table = contract.activate(account_table());
  contract.database->insert(account_table(), {integer(1), text("x@example.org"), text("x")});
  contract.harvest(table);
  contract.database->insert_or_ignore(account_table(),
                                      {integer(2), text("x@example.org"), text("late")});
  contract.database->insert_or_ignore(account_table(),
                                      {integer(1), text("n@example.org"), text("late")});
  CHECK(contract.harvest(table).versions == 0);
  CHECK(contract.all(table).size() == 1);
  CHECK_FALSE(contract.read([&] { return contract.node->has_pending(table); }));
}

TEST_CASE_TEMPLATE("a row's version goes forward although the clock was set back", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable table = contract.activate(item_table());
  contract.put(table, item(1, "from the future"), foreign(kFarFutureUs, 4));
  contract.database->update(item_table(), {integer(1)}, item(1, "now"));
  contract.harvest(table);
  const Seen row = contract.find(table, {integer(1)});
  CHECK(row.version->changed_at_us == kFarFutureUs + 1);
  CHECK(row.version->origin == uuid(kOwnOrigin));
  CHECK_FALSE(row.version->inserted);
}

TEST_CASE_TEMPLATE("a key without a version starts above the clock floor", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable table = contract.activate(item_table());
  contract.put(table, item(1, "older than the floor"), foreign(10, 4));
  contract.write([&] {
    TableState state = contract.node->load_state(table);
    state.clock_floor_us = kFarFutureUs;
    contract.node->save_state(table, state);
  });
  contract.database->insert(item_table(), item(2, "new"));
  contract.database->update(item_table(), {integer(1)}, item(1, "changed"));
  const std::int64_t now = contract.node->clock_us();
  contract.harvest(table);
  CHECK(contract.find(table, {integer(2)}).version->changed_at_us == kFarFutureUs + 1);
  // A key that has a version goes on from that one: its tombstone was never purged.
  CHECK(contract.find(table, {integer(1)}).version->changed_at_us <= now + kClockGrainUs);
}

TEST_CASE_TEMPLATE("a version says whether its origin inserted the row", Engine, TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable table = contract.activate(item_table());
  contract.put(table, item(1, "by another"), foreign(10, 4));
  contract.put(table, item(2, "from the baseline"), std::nullopt);
  contract.database->insert(item_table(), item(3, "own"));
  contract.harvest(table);
  for (const std::int64_t id : {1, 2, 3}) {
    contract.database->update(item_table(), {integer(id)}, item(id, "changed"));
  }
  contract.harvest(table);
  CHECK_FALSE(contract.find(table, {integer(1)}).version->inserted);
  CHECK_FALSE(contract.find(table, {integer(2)}).version->inserted);
  CHECK(contract.find(table, {integer(3)}).version->inserted);
}

TEST_CASE_TEMPLATE("what Tidemark writes is not captured, but for what it writes as a change",
                   Engine, TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable table = contract.activate(item_table());
  contract.put(table, item(1, "applied"), foreign(10, 1));
  contract.put(table, item(1, "applied again"), foreign(11, 2));
  contract.put(table, item(2, "applied"), foreign(12, 3));
  contract.put(table, item(3, "applied"), foreign(13, 4));
  contract.put_row(table, {integer(2)}, {});
  CHECK_FALSE(contract.read([&] { return contract.node->has_pending(table); }));

  const Row again = item(1, "reinstated");
  contract.write([&] {
    CHECK_FALSE(
        contract.node->write_as_local_change(table, to_views({integer(1)}), to_views(again)));
    CHECK_FALSE(contract.node->write_as_local_change(table, to_views({integer(3)}), {}));
  });
  CHECK(contract.harvest(table).versions == 2);
  const Seen row = contract.find(table, {integer(1)});
  CHECK(row.row == again);
  CHECK(row.version->origin == uuid(kOwnOrigin));
  CHECK_FALSE(contract.find(table, {integer(3)}).present);
  CHECK(contract.find(table, {integer(3)}).version->origin == uuid(kOwnOrigin));

  contract.write([&] { contract.node->touch(table, to_views({integer(1)})); });
  CHECK(contract.harvest(table).versions == 1);
  CHECK(contract.find(table, {integer(1)}).row == again);
  CHECK(contract.find(table, {integer(1)}).version->changed_at_us > row.version->changed_at_us);
}

TEST_CASE_TEMPLATE("a local change that a constraint refuses leaves row and log alone", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable table = contract.activate(account_table());
  contract.put(table, {integer(1), text("x@example.org"), text("x")}, foreign(1, 1));
  const Row rival{integer(2), text("x@example.org"), text("y")};
  const std::optional<Refusal> refusal = contract.write([&] {
    return contract.node->write_as_local_change(table, to_views({integer(2)}), to_views(rival));
  });
  REQUIRE(refusal);
  CHECK(refusal->kind == Refusal::Kind::unique);
  CHECK_FALSE(contract.read([&] { return contract.node->has_pending(table); }));
  CHECK(contract.all(table).size() == 1);
}

TEST_CASE_TEMPLATE("a table whose triggers were lost is touched as a whole", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable table = contract.activate(item_table());
  for (const std::int64_t id : {1, 2, 3}) {
    contract.database->insert(item_table(), item(id, "row"));
  }
  contract.harvest(table);
  contract.database->remove(item_table(), {integer(1)});
  contract.harvest(table);
  const std::int64_t tombstone_us = contract.find(table, {integer(1)}).version->changed_at_us;
  const std::int64_t row_us = contract.find(table, {integer(3)}).version->changed_at_us;
  contract.database->drop_triggers("item");
  contract.database->remove(item_table(), {integer(2)});  // escapes
  contract.database->insert(item_table(), item(4, "escapes"));
  contract.write([&] {
    contract.node->repair_capture(contract.active("item"));
    contract.node->touch_all(table);
  });
  const HarvestCounts counts = contract.harvest(contract.active("item"));
  CHECK(counts.versions == 2);
  // The tombstone stays, the version of a row that is gone unseen does not.
  CHECK(contract.find(table, {integer(1)}).version->changed_at_us == tombstone_us);
  CHECK_FALSE(contract.find(table, {integer(2)}).version);
  CHECK(contract.find(table, {integer(3)}).version->changed_at_us == row_us + 1);
  // Time 0: older than every change that was seen.
  CHECK(contract.find(table, {integer(4)}).version->changed_at_us == 1);
}

TEST_CASE_TEMPLATE("only tombstones that are old enough and known to all peers are purged", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable table = contract.activate(item_table());
  const auto bury = [&](std::int64_t id, const Version& version) {
    contract.write(
        [&] { contract.node->put_version(table, to_views({integer(id)}), false, version); });
  };
  bury(1, foreign(100, 1));
  bury(2, foreign(200, 2));
  bury(3, foreign(300, 3));
  bury(4, foreign(5000, 4));                                            // too young
  bury(5, {.changed_at_us = 50, .origin = uuid(0x0D), .sequence = 9});  // one peer misses it
  contract.put(table, item(6, "a row"), foreign(10, 1));
  Knowledge first = knowledge(kOtherOrigin, 4);
  first.raise(uuid(0x0D), 9);
  const std::vector<Knowledge> peers{first, knowledge(kOtherOrigin, 2)};
  TableState state = contract.state(table);
  const std::int64_t purged =
      contract.write([&] { return contract.node->purge(table, state, 1000, peers); });
  CHECK(purged == 2);
  CHECK(state.forgotten == knowledge(kOtherOrigin, 2));
  CHECK(state.clock_floor_us == 200);
  std::vector<Row> left;
  for (const Seen& row : contract.all(table)) left.push_back(row.key);
  CHECK(left == std::vector<Row>{{integer(3)}, {integer(4)}, {integer(5)}, {integer(6)}});
  // A second purge finds nothing and changes nothing.
  const TableState before = state;
  CHECK(contract.write([&] { return contract.node->purge(table, state, 1000, peers); }) == 0);
  CHECK(state == before);
}
