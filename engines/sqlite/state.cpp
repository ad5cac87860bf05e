// What a node knows of its tables and of its peers.
#include "engines/sqlite/sqlite_node.h"
#include "engines/sqlite/statement.h"

namespace tidemark::sqlite {

Knowledge SqliteNode::load_knowledge(const char* table, std::int64_t table_id) {
  Knowledge knowledge;
  Statement statement(
      connection_, std::string("SELECT origin, sequence FROM ") + table + " WHERE table_id = ?1");
  statement.bind(1, table_id);
  while (statement.step()) {
    knowledge.raise(origins_.origin(statement.integer(0)), statement.integer(1));
  }
  return knowledge;
}

void SqliteNode::save_knowledge(const char* table, std::int64_t table_id,
                                const Knowledge& knowledge) {
  const Knowledge stored = load_knowledge(table, table_id);
  if (stored == knowledge) return;
  Statement put(connection_, std::string("INSERT INTO ") + table +
                                 " VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET sequence = "
                                 "excluded.sequence");
  for (const auto& [origin, sequence] : knowledge.entries()) {
    if (stored.of(origin) == sequence) continue;
    put.bind(1, table_id).bind(2, origins_.number(origin)).bind(3, sequence).run();
  }
  Statement remove(connection_,
                   std::string("DELETE FROM ") + table + " WHERE table_id = ?1 AND origin = ?2");
  for (const auto& [origin, sequence] : stored.entries()) {
    if (knowledge.of(origin)) continue;
    remove.bind(1, table_id).bind(2, origins_.number(origin)).run();
  }
}

TableState SqliteNode::load_state(const ActiveTable& table) {
  TableState state;
  state.origin = own_origin();
  state.knowledge = load_knowledge("tidemark_knowledge", table.id);
  state.knowledge.raise(state.origin, 0);
  state.forgotten = load_knowledge("tidemark_forgotten", table.id);
  Statement row(connection_,
                "SELECT baseline, clock_floor_us, mirrored_sequence, purged_at_us FROM "
                "tidemark_table WHERE id = ?1");
  row.bind(1, table.id);
  if (!row.step()) {
    throw Error(ExitCode::not_ready,
                "node " + name() + ": table " + table.spec.name + " is not activated",
                "Run 'tidemark activate'.");
  }
  state.baseline = row.uuid(0);
  state.clock_floor_us = row.integer(1);
  state.mirrored_sequence = row.integer(2);
  state.purged_at_us = row.integer(3);
  Statement seen(connection_, "SELECT baseline FROM tidemark_baseline_seen WHERE table_id = ?1");
  seen.bind(1, table.id);
  while (seen.step()) state.baselines_seen.insert(seen.uuid(0));
  return state;
}

void SqliteNode::save_state(const ActiveTable& table, const TableState& state) {
  const TableState stored = load_state(table);
  save_knowledge("tidemark_knowledge", table.id, state.knowledge);
  save_knowledge("tidemark_forgotten", table.id, state.forgotten);
  if (stored.baseline != state.baseline || stored.clock_floor_us != state.clock_floor_us ||
      stored.mirrored_sequence != state.mirrored_sequence ||
      stored.purged_at_us != state.purged_at_us) {
    Statement update(connection_,
                     "UPDATE tidemark_table SET baseline = ?2, clock_floor_us = ?3, "
                     "mirrored_sequence = ?4, purged_at_us = ?5 WHERE id = ?1");
    update.bind(1, table.id)
        .bind(2, state.baseline)
        .bind(3, state.clock_floor_us)
        .bind(4, state.mirrored_sequence)
        .bind(5, state.purged_at_us)
        .run();
  }
  if (stored.baselines_seen == state.baselines_seen) return;
  Statement(connection_, "DELETE FROM tidemark_baseline_seen WHERE table_id = ?1")
      .bind(1, table.id)
      .run();
  Statement insert(connection_, "INSERT INTO tidemark_baseline_seen VALUES (?1, ?2)");
  for (const BaselineId& baseline : state.baselines_seen) {
    insert.bind(1, table.id).bind(2, baseline).run();
  }
}

std::map<NodeId, Knowledge> SqliteNode::load_peers(const ActiveTable& table) {
  std::map<NodeId, Knowledge> peers;
  Statement statement(
      connection_,
      "SELECT peer, origin, sequence FROM tidemark_peer_knowledge WHERE table_id = ?1");
  statement.bind(1, table.id);
  while (statement.step()) {
    Knowledge& knowledge = peers[statement.uuid(0)];
    if (statement.integer(1) == 0) continue;
    knowledge.raise(origins_.origin(statement.integer(1)), statement.integer(2));
  }
  return peers;
}

void SqliteNode::save_peer(const ActiveTable& table, const NodeId& peer,
                           const Knowledge& knowledge) {
  const auto peers = load_peers(table);
  const auto stored = peers.find(peer);
  if (stored != peers.end() && stored->second == knowledge) return;
  Statement(connection_, "DELETE FROM tidemark_peer_knowledge WHERE table_id = ?1 AND peer = ?2")
      .bind(1, table.id)
      .bind(2, peer)
      .run();
  Statement insert(connection_, "INSERT INTO tidemark_peer_knowledge VALUES (?1, ?2, ?3, ?4)");
  insert.bind(1, table.id).bind(2, peer).bind(3, 0).bind(4, 0).run();
  for (const auto& [origin, sequence] : knowledge.entries()) {
    insert.bind(1, table.id).bind(2, peer).bind(3, origins_.number(origin)).bind(4, sequence).run();
  }
}

std::map<std::int64_t, PeerMeeting> SqliteNode::load_meetings(const NodeId& peer) {
  std::map<std::int64_t, PeerMeeting> meetings;
  Statement statement(connection_,
                      "SELECT table_id, met_at_us, shape FROM tidemark_peer WHERE peer = ?1");
  statement.bind(1, peer);
  while (statement.step()) {
    meetings[statement.integer(0)] = {.met_at_us = statement.integer(1),
                                      .shape = statement.text(2)};
  }
  return meetings;
}

void SqliteNode::save_meeting(const ActiveTable& table, const NodeId& peer,
                              const PeerMeeting& meeting) {
  Statement(connection_, "INSERT OR REPLACE INTO tidemark_peer VALUES (?1, ?2, ?3, ?4)")
      .bind(1, table.id)
      .bind(2, peer)
      .bind(3, meeting.met_at_us)
      .bind_text(4, meeting.shape)
      .run();
}

Heartbeat SqliteNode::load_heartbeat(const std::string& job, const std::string& peer) {
  Statement row(connection_,
                "SELECT sent_us, heard_us, arrived_us FROM tidemark_heartbeat WHERE job = ?1 AND "
                "peer = ?2");
  row.bind_text(1, job).bind_text(2, peer);
  if (!row.step()) return {};
  return {.sent_us = row.integer(0), .heard_us = row.integer(1), .arrived_us = row.integer(2)};
}

void SqliteNode::save_heartbeat(const std::string& job, const std::string& peer,
                                const Heartbeat& heartbeat) {
  Statement row(connection_,
                "INSERT OR REPLACE INTO tidemark_heartbeat VALUES (?1, ?2, ?3, ?4, ?5)");
  row.bind_text(1, job)
      .bind_text(2, peer)
      .bind(3, heartbeat.sent_us)
      .bind(4, heartbeat.heard_us)
      .bind(5, heartbeat.arrived_us)
      .run();
}

std::map<NodeId, RegisteredPeer> SqliteNode::registered_peers() {
  std::map<NodeId, RegisteredPeer> peers;
  // A node that was restored or repaired had several origins; the newest carries its last name.
  Statement statement(
      connection_,
      "SELECT k.peer, coalesce((SELECT max(met_at_us) FROM tidemark_peer AS p WHERE p.peer = "
      "k.peer), 0), (SELECT node_name FROM tidemark_origin AS o WHERE o.node_id = k.peer AND "
      "node_name IS NOT NULL ORDER BY id DESC LIMIT 1) FROM (SELECT DISTINCT peer FROM "
      "tidemark_peer_knowledge) AS k");
  while (statement.step()) {
    const NodeId peer = statement.uuid(0);
    peers[peer] = {.name = statement.is_null(2) ? peer.to_string() : statement.text(2),
                   .met_at_us = statement.integer(1)};
  }
  return peers;
}

void SqliteNode::forget_peer(const NodeId& peer) {
  for (const char* sql : {"DELETE FROM tidemark_peer_knowledge WHERE peer = ?1",
                          "DELETE FROM tidemark_peer WHERE peer = ?1"}) {
    Statement(connection_, sql).bind(1, peer).run();
  }
}

void SqliteNode::save_origin_name(const Identity& identity, const std::string& node_name) {
  origins_.save_name(identity, node_name);
}

std::string SqliteNode::origin_name(const OriginId& origin) { return origins_.name(origin); }

}  // namespace tidemark::sqlite
