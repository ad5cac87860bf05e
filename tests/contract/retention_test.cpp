// What a node notes of its peers, and what it drops with time.
#include "tests/contract/contract.h"

using namespace tidemark;
using namespace tidemark::testing;

namespace {

Conflict conflict_found(const std::string& id, ConflictStatus status, std::int64_t found_at_us) {
  Conflict conflict;
  conflict.id = id;
  conflict.session_id = "s";
  conflict.job = "j";
  conflict.found_at_us = found_at_us;
  conflict.table = "item";
  conflict.columns = {"id"};
  conflict.key_columns = {0};
  conflict.key = {integer(1)};
  conflict.status = status;
  conflict.winner = {.node = "a", .version = std::nullopt, .present = true, .row = {integer(1)}};
  conflict.loser = {.node = "b", .version = std::nullopt, .present = false, .row = {}};
  return conflict;
}

}  // namespace

TEST_CASE_TEMPLATE("what is noted of a meeting is kept for each table and each peer", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable item = contract.activate(item_table());
  const NodeId peer = uuid(0x21);
  const NodeId other = uuid(0x22);
  Knowledge knowledge;
  knowledge.raise(uuid(0x31), 5);
  contract.write([&] {
    contract.node->save_peer(item, peer, knowledge);
    contract.node->save_meeting(item, peer, {.met_at_us = 10, .shape = "old"});
    contract.node->save_meeting(item, peer, {.met_at_us = 20, .shape = item.current_shape});
    contract.node->save_peer(item, other, {});
  });
  contract.read([&] {
    CHECK(contract.node->load_meetings(peer) ==
          std::map<std::int64_t, PeerMeeting>{
              {item.id, {.met_at_us = 20, .shape = item.current_shape}}});
    CHECK(contract.node->load_meetings(other).empty());
    const auto peers = contract.node->registered_peers();
    REQUIRE(peers.size() == 2);
    CHECK(peers.at(peer).met_at_us == 20);
    CHECK(peers.at(peer).name == peer.to_string());
    CHECK(peers.at(other).met_at_us == 0);
  });
  contract.write([&] { contract.node->forget_peer(peer); });
  contract.read([&] {
    CHECK(contract.node->load_meetings(peer).empty());
    CHECK(contract.node->registered_peers().size() == 1);
    CHECK_FALSE(contract.node->load_peers(item).contains(peer));
  });
}

TEST_CASE_TEMPLATE("what a rolled back transaction noted of a peer is gone", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable item = contract.activate(item_table());
  contract.node->begin_write();
  contract.node->save_peer(item, uuid(0x21), {});
  contract.node->save_meeting(item, uuid(0x21), {.met_at_us = 10, .shape = "x"});
  contract.node->rollback();
  contract.read([&] {
    CHECK(contract.node->registered_peers().empty());
    CHECK(contract.node->load_meetings(uuid(0x21)).empty());
  });
}

TEST_CASE_TEMPLATE("a noted shape is the one that counts from then on", Engine, TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  ActiveTable item = contract.activate(item_table());
  CHECK_FALSE(item.is_reshaped());
  CHECK(item.current_shape == item.spec.shape());
  item.current_shape = "another";
  contract.write([&] { contract.node->note_shape(item); });
  const ActiveTable seen = contract.active("item");
  CHECK(seen.activated_shape == "another");
  CHECK(seen.is_reshaped());
  CHECK(contract.read([&] { return contract.node->may_define(seen.spec); }));
}

TEST_CASE_TEMPLATE("old conflicts are dropped, but never one that is open", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  contract.activate(item_table());
  contract.write([&] {
    contract.node->log_conflict(conflict_found("01", ConflictStatus::open, 10));
    contract.node->log_conflict(conflict_found("02", ConflictStatus::resolved, 10));
    contract.node->log_conflict(conflict_found("03", ConflictStatus::dismissed, 10));
    contract.node->log_conflict(conflict_found("04", ConflictStatus::resolved, 100));
  });
  CHECK(contract.write([&] { return contract.node->drop_conflicts(100); }) == 2);
  std::vector<std::string> left;
  contract.read([&] {
    for (const Conflict& conflict : contract.node->conflicts()) left.push_back(conflict.id);
  });
  CHECK(left == std::vector<std::string>{"01", "04"});
}

TEST_CASE_TEMPLATE("a row in quarantine is kept as it came until it is released", Engine,
                   TIDEMARK_ENGINES) {
  Contract contract(Engine::make());
  const ActiveTable item = contract.activate(item_table());
  const QuarantinedRow typed{.key = {integer(1)},
                             .row = {integer(1), text("one"), real(1.5)},
                             .version = foreign(5, 7),
                             .reason = "because",
                             .source = "hub",
                             .session_id = "s1",
                             .since_us = 99};
  QuarantinedRow old = typed;
  old.key = {integer(2)};
  old.row = {integer(2), text("two"), text("no number")};
  old.version.reset();
  old.fits_types = false;
  contract.node->begin_write();
  contract.node->quarantine(item, typed);
  contract.node->quarantine(item, old);
  QuarantinedRow newer = typed;
  newer.version = foreign(6, 8);
  contract.node->quarantine(item, newer);
  QuarantinedRow gone = typed;
  gone.key = {integer(3)};
  gone.row = {};
  gone.locked = true;
  gone.met = ChangeId{uuid(kOwnOrigin), 4};
  contract.node->quarantine(item, gone);
  contract.node->commit();
  CHECK(contract.read([&] { return contract.node->count_quarantined(); }) == 3);
  for (const QuarantinedRow& kept :
       contract.read([&] { return contract.node->quarantined(item); })) {
    const QuarantinedRow& expected = kept.key == old.key    ? old
                                     : kept.key == gone.key ? gone
                                                            : newer;
    CHECK(kept.key == expected.key);
    CHECK(kept.row == expected.row);
    CHECK(kept.version == expected.version);
    CHECK(kept.reason == "because");
    CHECK(kept.source == "hub");
    CHECK(kept.session_id == "s1");
    CHECK(kept.since_us == 99);
    CHECK(kept.fits_types == expected.fits_types);
    CHECK(kept.locked == expected.locked);
    CHECK(kept.met == expected.met);
  }
  contract.node->begin_write();
  contract.node->release_quarantined(item, to_views(newer.key));
  contract.node->release_quarantined(item, to_views(gone.key));
  contract.node->commit();
  CHECK(contract.read([&] { return contract.node->quarantined(item); }).at(0).key == old.key);
}
