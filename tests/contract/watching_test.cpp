// What a daemon asks of a node that it keeps open.
#include "model/error.h"
#include "tests/contract/contract.h"

using namespace tidemark;
using namespace tidemark::testing;

namespace {

Row item(std::int64_t id, std::string_view name) { return {integer(id), text(name), null()}; }

}  // namespace

TEST_CASE_TEMPLATE("a look tells what waits in a log and what a node has seen", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  contract.database->create_table(item_table());
  const ActiveTable table = contract.activate(item_table());
  const std::unique_ptr<Node> watching = contract.database->open("watching");
  const std::string& name = table.spec.name;
  const Pulse quiet = watching->look();
  REQUIRE(quiet.tables.contains(name));
  CHECK_FALSE(quiet.tables.at(name).pending);
  CHECK(watching->look().generation == quiet.generation);

  contract.database->insert(item_table(), item(1, "one"));
  const Pulse stirred = watching->look();
  CHECK(stirred.generation != quiet.generation);
  CHECK(stirred.tables.at(name).pending);
  CHECK(stirred.tables.at(name).knowledge == quiet.tables.at(name).knowledge);

  contract.harvest(table);
  const Pulse harvested = watching->look();
  CHECK(harvested.generation != stirred.generation);
  CHECK_FALSE(harvested.tables.at(name).pending);
  CHECK(harvested.tables.at(name).knowledge != quiet.tables.at(name).knowledge);
  const Knowledge known = contract.read([&] { return contract.node->load_state(table).knowledge; });
  CHECK(harvested.tables.at(name).knowledge == known.digest());
  CHECK(watching->look().generation == harvested.generation);
}

TEST_CASE_TEMPLATE("the oldest change that a peer has not seen is found in log and versions",
                   Engine, TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  contract.database->create_table(item_table());
  const ActiveTable table = contract.activate(item_table());
  constexpr std::int64_t kHourUs = 3'600'000'000;
  const std::int64_t now_us = contract.node->clock_us();
  const auto oldest = [&](const Knowledge& known) {
    return contract.read([&] { return contract.node->oldest_unseen(table, known); });
  };
  const auto put = [&](std::int64_t id, std::int64_t changed_at_us, std::int64_t sequence) {
    contract.put(table, item(id, "x"), foreign(changed_at_us, sequence));
  };
  CHECK_FALSE(oldest({}));
  // Versions without the time of a change.
  put(1, 0, 1);
  put(2, 1, 2);
  CHECK_FALSE(oldest({}));
  put(3, now_us - 2 * kHourUs, 3);
  put(4, now_us - 3 * kHourUs, 4);
  put(5, now_us - kHourUs, 5);
  CHECK(oldest({}) == now_us - 3 * kHourUs);
  CHECK(oldest(knowledge(kOtherOrigin, 4)) == now_us - kHourUs);
  CHECK_FALSE(oldest(knowledge(kOtherOrigin, 5)));
  CHECK(oldest(knowledge(kOwnOrigin, 5)) == now_us - 3 * kHourUs);
  // A newer version takes the place of the older one.
  put(4, now_us, 6);
  CHECK(oldest({}) == now_us - 2 * kHourUs);

  contract.database->insert(item_table(), item(9, "nine"));
  const std::int64_t after_us = contract.node->clock_us();
  constexpr std::int64_t kGrainUs = 1'000;
  const auto logged = oldest(knowledge(kOtherOrigin, 6));
  REQUIRE(logged);
  CHECK(*logged >= now_us - kGrainUs);
  CHECK(*logged <= after_us + kGrainUs);
  CHECK(oldest(knowledge(kOtherOrigin, 2)) == now_us - 2 * kHourUs);
  contract.harvest(table);
  const auto harvested = oldest(knowledge(kOtherOrigin, 6));
  REQUIRE(harvested);
  CHECK(*harvested >= *logged);
  CHECK(*harvested <= after_us + kGrainUs);
  Knowledge all = contract.state(table).knowledge;
  all.raise(uuid(kOtherOrigin), 6);
  CHECK_FALSE(oldest(all));
}

TEST_CASE_TEMPLATE("the oldest change is found where the list of recent ones does not reach",
                   Engine, TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  contract.database->create_table(item_table());
  const ActiveTable table = contract.activate(item_table());
  constexpr std::int64_t kMany = 20'000;  // more than the lists hold
  const std::int64_t before_us = contract.node->clock_us();
  contract.database->insert(item_table(), item(0, "first"));
  contract.harvest(table);
  const Knowledge first = contract.state(table).knowledge;
  const auto oldest = [&](const Knowledge& known) {
    return contract.read([&] { return contract.node->oldest_unseen(table, known); });
  };
  const auto alone = oldest({});
  REQUIRE(alone);
  CHECK(*alone >= before_us - 1'000);
  contract.write([&] {
    const std::unique_ptr<Stage> stage = contract.node->make_stage(table, {});
    for (std::int64_t id = 1; id <= kMany; ++id) {
      Incoming(item_table(), item(id, "x"), foreign(kFarFutureUs + id, id)).add_to(*stage);
    }
    stage->finish();
    struct : ApplySink {
      void compare(const ChangedRow&, const LocalRow&) override { FAIL("compared"); }
      void refused(const ChangedRow&, const Refusal&) override { FAIL("refused"); }
    } sink;
    contract.node->apply_known(table, *stage, first, sink);
    TableState state = contract.node->load_state(table);
    state.knowledge.raise(uuid(kOtherOrigin), kMany);
    contract.node->save_state(table, state);
  });
  CHECK(oldest({}) == *alone);
  Knowledge some = first;
  CHECK(oldest(some) == kFarFutureUs + 1);
  some.raise(uuid(kOtherOrigin), kMany - 10);
  CHECK(oldest(some) == kFarFutureUs + kMany - 9);
  some.raise(uuid(kOtherOrigin), kMany);
  CHECK_FALSE(oldest(some));
}

TEST_CASE_TEMPLATE("a heartbeat is one row for a job and peer, and a look tells the latest", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  contract.database->create_table(item_table());
  contract.activate(item_table());
  const std::unique_ptr<Node> watching = contract.database->open("watching");
  Node& node = *contract.node;
  const auto load = [&](const char* peer) {
    return contract.read([&] { return node.load_heartbeat("job", peer); });
  };
  CHECK(load("peer") == Heartbeat{});
  CHECK(watching->look().heartbeat_us == 0);
  for (const std::int64_t sent_us : {100, 300}) {
    contract.write([&] {
      node.save_heartbeat("job", "peer", {.sent_us = sent_us, .heard_us = 7, .arrived_us = 8});
    });
  }
  contract.write([&] { node.save_heartbeat("job", "other", {.sent_us = 200}); });
  CHECK(load("peer") == Heartbeat{.sent_us = 300, .heard_us = 7, .arrived_us = 8});
  CHECK(load("other") == Heartbeat{.sent_us = 200});
  if constexpr (!std::is_same_v<Engine, Memory>) CHECK(watching->look().heartbeat_us == 300);
}

TEST_CASE("a lease is one connection's at a time and goes with it") {
  Contract contract(Postgresql::make());
  std::unique_ptr<Node> first = contract.database->open("first");
  const std::unique_ptr<Node> second = contract.database->open("second");
  CHECK(first->join_daemons("group") == 1);
  CHECK(second->join_daemons("other group") == 1);
  const std::unique_ptr<Node> third = contract.database->open("third");
  CHECK(third->join_daemons("group") == 2);
  CHECK(first->try_lease("job"));
  CHECK_FALSE(second->try_lease("job"));
  CHECK(second->try_lease("another job"));
  first->release_lease("job");
  CHECK(second->try_lease("job"));
  second->release_lease("job");
  CHECK(first->try_lease("job"));
  first.reset();
  // The server may take a moment to notice that a connection ended.
  bool taken = false;
  for (int i = 0; i < 1000 && !taken; ++i) taken = third->try_lease("job");
  CHECK(taken);
}

TEST_CASE("daemons that share a database tell each other which runs were done") {
  Contract contract(Postgresql::make());
  contract.database->create_table(item_table());
  contract.activate(item_table());
  const std::unique_ptr<Node> other = contract.database->open("other");
  CHECK(other->done_runs("job").empty());
  contract.node->note_done_run("job", "peer", 100);
  contract.node->note_done_run("job", "another peer", 100);
  contract.node->note_done_run("another job", "peer", 300);
  contract.node->note_done_run("job", "peer", 200);
  CHECK(other->done_runs("job") ==
        std::map<std::string, std::int64_t>{{"peer", 200}, {"another peer", 100}});
}

TEST_CASE("a node that is interrupted fails") {
  Contract contract(Postgresql::make());
  contract.node->interrupt();
  CHECK_THROWS_AS(contract.node->clock_us(), Error);
}
