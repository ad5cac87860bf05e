// Identity, catalog, locks, transactions, activation and state.
#include "tests/contract/contract.h"

#include <algorithm>

#include "model/error.h"

using namespace tidemark;
using namespace tidemark::testing;

namespace {

std::vector<std::string> names(const std::vector<TableSpec>& tables) {
  std::vector<std::string> result;
  for (const TableSpec& table : tables) result.push_back(table.name);
  std::sort(result.begin(), result.end());
  return result;
}

const TableSpec& named(const std::vector<TableSpec>& tables, const std::string& name) {
  const auto found = std::find_if(tables.begin(), tables.end(),
                                  [&](const TableSpec& table) { return table.name == name; });
  REQUIRE(found != tables.end());
  return *found;
}

}  // namespace

TEST_CASE_TEMPLATE("a node has no identity before activation and keeps the one it gets", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  CHECK_FALSE(contract.node->identity());
  contract.create_control_tables();
  const Identity given{.node_id = uuid(0x10), .incarnation = 1, .origin = uuid(kOwnOrigin)};
  CHECK(contract.node->identity() == given);
  CHECK(contract.database->open("again")->identity() == given);
  CHECK(contract.node->name() == "site");
}

TEST_CASE_TEMPLATE("a new incarnation brings a new origin and leaves what was seen", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable item = contract.activate(item_table());
  contract.database->insert(item_table(), {integer(1), text("one"), null()});
  contract.harvest(item);
  contract.write([&] {
    TableState state = contract.node->load_state(item);
    state.mirrored_sequence = 1;
    contract.node->save_state(item, state);
  });
  const Identity restored{.node_id = uuid(0x10), .incarnation = 2, .origin = uuid(0xA9)};
  contract.write([&] { contract.node->set_identity(restored); });
  CHECK(contract.node->identity() == restored);
  const TableState state = contract.state(item);
  CHECK(state.origin == uuid(0xA9));
  CHECK(state.knowledge.of(uuid(0xA9)) == 0);
  CHECK(state.knowledge.of(uuid(kOwnOrigin)) == 1);
  // The next change is the first of the new origin.
  contract.database->insert(item_table(), {integer(2), text("two"), null()});
  contract.harvest(item);
  const Seen row = contract.find(item, {integer(2)});
  REQUIRE(row.version);
  CHECK(row.version->origin == uuid(0xA9));
  CHECK(row.version->sequence == 1);
}

TEST_CASE_TEMPLATE("the catalog tells columns, keys and unique constraints", Engine,
                   TIDEMARK_LOOSE_ENGINES) {
  Contract contract(Engine::make());
  contract.database->create_table(stock_table());
  contract.database->create_table(account_table());
  contract.database->create_table(tag_table());
  const std::vector<TableSpec> catalog = contract.node->catalog();
  CHECK(names(catalog) == std::vector<std::string>{"account", "stock", "tag"});

  const TableSpec& stock = named(catalog, "stock");
  CHECK(stock.columns == stock_table().columns);
  CHECK(stock.key == std::vector<std::size_t>{1, 0});
  CHECK_FALSE(stock.integer_key);
  CHECK(stock.uniques.empty());
  CHECK(stock.refusal.empty());

  const TableSpec& account = named(catalog, "account");
  CHECK(account.integer_key);
  CHECK(account.columns[2].not_null);
  REQUIRE(account.uniques.size() == 1);
  CHECK(account.uniques[0].columns == std::vector<std::size_t>{1});

  CHECK(named(catalog, "tag").columns[0].collation == Collation::nocase);
}

TEST_CASE_TEMPLATE("control tables are not part of the catalog", Engine, TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  contract.activate(item_table());
  CHECK(names(contract.node->catalog()) == std::vector<std::string>{"item"});
}

TEST_CASE_TEMPLATE("a table without a key is refused with a reason", Engine, TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  TableSpec loose;
  loose.name = "loose";
  loose.columns = {{.name = "a"}, {.name = "b"}};
  contract.database->create_table(loose);
  CHECK_FALSE(named(contract.node->catalog(), "loose").refusal.empty());
}

TEST_CASE_TEMPLATE("one session at a time holds the lock of a pair", Engine, TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  contract.create_control_tables();
  const auto other = contract.database->open("other");
  auto lock = contract.node->try_lock_pair(uuid(0x20));
  REQUIRE(lock);
  CHECK_FALSE(other->try_lock_pair(uuid(0x20)));
  CHECK_FALSE(contract.node->try_lock_pair(uuid(0x20)));
  SUBCASE("another pair has its own lock") { CHECK(other->try_lock_pair(uuid(0x21))); }
  SUBCASE("it can be taken again when it was let go") {
    lock.reset();
    CHECK(other->try_lock_pair(uuid(0x20)));
  }
}

TEST_CASE_TEMPLATE("a rolled back transaction leaves nothing behind", Engine, TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable item = contract.activate(item_table());
  contract.database->insert(item_table(), {integer(1), text("kept"), null()});
  contract.put(item, {integer(2), text("versioned"), null()}, foreign(5, 5));
  const TableState state_before = contract.state(item);
  const std::vector<Seen> rows_before = contract.all(item);

  auto node = contract.database->open("victim");
  node->begin_write();
  TableState state = node->load_state(item);
  node->harvest(item, state);
  state.clock_floor_us = 7;
  node->save_state(item, state);
  node->save_peer(item, uuid(0x20), knowledge(kOwnOrigin, 1));
  const Row row{integer(1), text("changed"), null()};
  CHECK_FALSE(node->put_row(item, to_views({integer(1)}), to_views(row)));
  CHECK_FALSE(node->put_row(item, to_views({integer(2)}), {}));
  node->put_version(item, to_views({integer(2)}), false, foreign(6, 6));
  node->put_version(item, to_views({integer(3)}), false, foreign(7, 7));
  CHECK_FALSE(node->write_as_local_change(item, to_views({integer(1)}), {}));
  node->touch(item, to_views({integer(2)}));
  Conflict conflict;
  conflict.id = std::string(32, '0');
  conflict.table = "item";
  CHECK(node->log_conflict(conflict));
  node->record_session({.session_id = "s"});
  SUBCASE("by its owner") { node->rollback(); }
  SUBCASE("because the node went away") { node.reset(); }

  CHECK(contract.state(item) == state_before);
  CHECK(contract.all(item) == rows_before);
  CHECK(contract.read([&] { return contract.node->load_peers(item); }).empty());
  CHECK(contract.read([&] { return contract.node->pending(item).first; }) == 1);
  CHECK(contract.read([&] { return contract.node->conflicts(); }).empty());
  CHECK(contract.read([&] { return contract.node->sessions(10); }).empty());
}

TEST_CASE_TEMPLATE("a write transaction keeps other writers out", Engine, TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable item = contract.activate(item_table());
  const auto other = contract.database->open("other");
  contract.node->begin_write();
  bool retryable = false;
  try {
    other->begin_write();
  } catch (const Error& error) {
    retryable = error.retryable();
  }
  CHECK(retryable);
  // On a server only sessions wait for each other, never an application.
  const auto application_writes = [&] {
    contract.database->insert(item_table(), {integer(1), null(), null()});
  };
  if (!contract.node->traits().shared) {
    CHECK_THROWS_AS(application_writes(), Error);
  } else {
    CHECK_NOTHROW(application_writes());
  }
  contract.node->commit();
  CHECK_NOTHROW(other->begin_write());
  other->rollback();
}

TEST_CASE_TEMPLATE("a read transaction sees one state from beginning to end", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable item = contract.activate(item_table());
  contract.database->insert(item_table(), {integer(1), null(), null()});
  contract.node->begin_read();
  CHECK(contract.node->count_rows(item) == 1);
  try {
    contract.database->insert(item_table(), {integer(2), null(), null()});
  } catch (const Error&) {
    // An engine may keep the writer out instead.
  }
  CHECK(contract.node->count_rows(item) == 1);
  CHECK(drain(*contract.node->all_rows(item)).size() == 1);
  contract.node->rollback();
}

TEST_CASE_TEMPLATE("removing the control tables leaves the schema as it was", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  contract.database->create_table(item_table());
  contract.database->create_table(stock_table());
  const std::string before = contract.database->schema();
  contract.activate(item_table());
  const ActiveTable stock = contract.activate(stock_table());
  contract.database->insert(item_table(), {integer(1), null(), null()});
  CHECK(contract.database->schema() != before);
  SUBCASE("after use") {}
  SUBCASE("one table was taken out before") {
    contract.write([&] { contract.node->remove_capture(stock); });
    CHECK(contract.node->active_tables().size() == 1);
    CHECK_NOTHROW(contract.database->insert(stock_table(), {text("a"), integer(1), null()}));
  }
  contract.write([&] { contract.node->remove_control_tables(); });
  CHECK(contract.database->schema() == before);
  CHECK_FALSE(contract.node->identity());
  CHECK(contract.node->active_tables().empty());
  CHECK_NOTHROW(contract.database->insert(item_table(), {integer(2), null(), null()}));
  CHECK(contract.database->rows(item_table()).size() == 2);
}

TEST_CASE_TEMPLATE("activation that is rolled back never happened", Engine, TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  contract.database->create_table(item_table());
  const std::string before = contract.database->schema();
  std::vector<std::string> script;
  contract.node->begin_write();
  contract.node->record_sql(&script);
  contract.node->create_control_tables({.node_id = uuid(1), .origin = uuid(2)});
  contract.node->install_capture(named(contract.node->catalog(), "item"), uuid(3));
  contract.node->record_sql(nullptr);
  contract.node->rollback();
  CHECK_FALSE(script.empty());
  CHECK(contract.database->schema() == before);
  CHECK_FALSE(contract.node->identity());
  CHECK(contract.node->active_tables().empty());
  // Nothing of it is remembered in the node either.
  contract.activate(item_table());
  CHECK(contract.node->active_tables().size() == 1);
}

TEST_CASE_TEMPLATE("the script holds what was defined while it was being recorded", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  contract.create_control_tables();
  contract.database->create_table(item_table());
  std::vector<std::string> script;
  contract.write([&] {
    contract.node->record_sql(&script);
    contract.node->install_capture(named(contract.node->catalog(), "item"), uuid(3));
    contract.node->record_sql(nullptr);
  });
  const std::size_t recorded = script.size();
  CHECK(recorded > 0);
  contract.write([&] { contract.node->remove_capture(contract.active("item")); });
  CHECK(script.size() == recorded);
}

TEST_CASE_TEMPLATE("a table can be made like one of another node", Engine, TIDEMARK_LOOSE_ENGINES) {
  Contract model(Engine::make());
  for (const TableSpec& spec : {item_table(), tag_table(), stock_table(), account_table()}) {
    model.database->create_table(spec);
  }
  Contract contract(Engine::make());
  const std::vector<TableSpec> catalog = model.node->catalog();
  contract.write([&] {
    for (const TableSpec& table : catalog) contract.node->create_table(table);
  });
  const std::vector<TableSpec> made = contract.node->catalog();
  REQUIRE(names(made) == names(catalog));
  for (const TableSpec& table : catalog) {
    CHECK(shape_differences(named(made, table.name), table).empty());
    CHECK(named(made, table.name).uniques.size() == table.uniques.size());
  }
}

TEST_CASE_TEMPLATE("a new capture knows itself and one baseline, and nothing else", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable item = contract.activate(item_table());
  CHECK(item.health == CaptureHealth::intact);
  CHECK(item.activated_shape == item.spec.shape());
  const TableState state = contract.state(item);
  CHECK(state.origin == uuid(kOwnOrigin));
  CHECK(state.sequence() == 0);
  CHECK(state.knowledge.entries().size() == 1);
  CHECK(state.forgotten.empty());
  CHECK(state.baseline == uuid(0xC3));
  CHECK(state.baselines_seen == std::set<BaselineId>{uuid(0xC3)});
  CHECK(state.clock_floor_us == 0);
  CHECK(state.mirrored_sequence == 0);
}

TEST_CASE_TEMPLATE("lost triggers are noticed and made anew; log and state stay", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable item = contract.activate(item_table());
  contract.database->insert(item_table(), {integer(1), null(), null()});
  contract.harvest(item);
  contract.database->insert(item_table(), {integer(2), null(), null()});
  const TableState state = contract.state(item);
  contract.database->drop_triggers("item");
  contract.database->insert(item_table(), {integer(3), null(), null()});
  CHECK(contract.active("item").health == CaptureHealth::missing);
  contract.write([&] { contract.node->repair_capture(contract.active("item")); });
  const ActiveTable repaired = contract.active("item");
  CHECK(repaired.health == CaptureHealth::intact);
  CHECK(repaired.id == item.id);
  CHECK(contract.state(repaired) == state);
  CHECK(contract.read([&] { return contract.node->pending(repaired).first; }) == 1);
  contract.database->insert(item_table(), {integer(4), null(), null()});
  CHECK(contract.harvest(repaired).versions == 2);
}

TEST_CASE_TEMPLATE("a dropped data table is noticed, and one made anew is not under capture",
                   Engine, TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  contract.activate(item_table());
  contract.database->drop_table("item");
  CHECK(contract.active("item").health == CaptureHealth::table_missing);
  contract.database->create_table(item_table());
  CHECK(contract.active("item").health == CaptureHealth::missing);
}

TEST_CASE_TEMPLATE("the state of a table comes back as it was saved", Engine,
                   TIDEMARK_LOOSE_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable item = contract.activate(item_table());
  const ActiveTable tag = contract.activate(tag_table());
  const TableState untouched = contract.state(tag);
  TableState state = contract.state(item);
  state.knowledge.raise(uuid(kOwnOrigin), 12);
  state.knowledge.raise(uuid(0x01), 1);
  state.knowledge.raise(uuid(0xFF), INT64_MAX);
  state.forgotten.raise(uuid(0x01), 1);
  state.baseline = uuid(0x33);
  state.baselines_seen = {uuid(0x33), uuid(0x44), uuid(0xC3)};
  state.clock_floor_us = kFarFutureUs;
  state.mirrored_sequence = 11;
  state.purged_at_us = 5;
  contract.write([&] { contract.node->save_state(item, state); });
  CHECK(contract.state(item) == state);
  const auto again = contract.database->open("again");
  again->begin_read();
  CHECK(again->load_state(item) == state);
  again->rollback();
  // Saved once more with one thing changed.
  state.knowledge.raise(uuid(0x01), 2);
  contract.write([&] { contract.node->save_state(item, state); });
  CHECK(contract.state(item) == state);
  // What a state no longer holds is gone, as after a recovery of capture.
  state.knowledge = knowledge(kOwnOrigin, 12);
  state.baselines_seen = {uuid(0x33)};
  contract.write([&] { contract.node->save_state(item, state); });
  CHECK(contract.state(item) == state);
  CHECK(contract.state(tag) == untouched);
}

TEST_CASE_TEMPLATE("what peers know and how nodes are called is remembered", Engine,
                   TIDEMARK_LOOSE_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable item = contract.activate(item_table());
  const ActiveTable tag = contract.activate(tag_table());
  Knowledge known = knowledge(kOtherOrigin, 3);
  known.raise(uuid(kOwnOrigin), 5);
  const Identity peer{.node_id = uuid(0x20), .incarnation = 1, .origin = uuid(kOtherOrigin)};
  contract.write([&] {
    contract.node->save_peer(item, uuid(0x20), knowledge(kOtherOrigin, 1));
    contract.node->save_peer(item, uuid(0x20), known);
    contract.node->save_peer(item, uuid(0x30), knowledge(kOwnOrigin, 1));
    contract.node->save_origin_name(peer, "branch");
  });
  const std::map<NodeId, Knowledge> expected{{uuid(0x20), known},
                                             {uuid(0x30), knowledge(kOwnOrigin, 1)}};
  CHECK(contract.read([&] { return contract.node->load_peers(item); }) == expected);
  CHECK(contract.read([&] { return contract.node->load_peers(tag); }).empty());
  contract.read([&] {
    CHECK(contract.node->origin_name(uuid(kOtherOrigin)) == "branch");
    CHECK(contract.node->origin_name(uuid(0x77)) == uuid(0x77).to_string());
  });
  contract.write([&] { contract.node->save_origin_name(peer, "renamed"); });
  contract.read([&] { CHECK(contract.node->origin_name(uuid(kOtherOrigin)) == "renamed"); });
}
