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
