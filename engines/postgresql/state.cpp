// What a node knows of its tables and of its peers.
#include "engines/postgresql/postgresql_node.h"

namespace tidemark::postgresql {

Knowledge PostgresqlNode::load_knowledge(const char* table, std::int64_t table_id) {
  Knowledge knowledge;
  const Rows rows = connection_.run_prepared(
      std::string("SELECT origin, sequence FROM ") + table + " WHERE table_id = $1",
      {std::to_string(table_id)});
  for (int i = 0; i < rows.size(); ++i) {
    knowledge.raise(origins_.origin(rows.integer(i, 0)), rows.integer(i, 1));
  }
  return knowledge;
}

void PostgresqlNode::save_knowledge(const char* table, std::int64_t table_id,
                                    const Knowledge& knowledge) {
  const Knowledge stored = load_knowledge(table, table_id);
  if (stored == knowledge) return;
  const std::string id = std::to_string(table_id);
  for (const auto& [origin, sequence] : knowledge.entries()) {
    if (stored.of(origin) == sequence) continue;
    connection_.run_prepared(
        std::string("INSERT INTO ") + table +
            " VALUES ($1, $2, $3) ON CONFLICT (table_id, origin) DO UPDATE "
            "SET sequence = excluded.sequence",
        {id, std::to_string(origins_.number(origin)), std::to_string(sequence)});
  }
  for (const auto& [origin, sequence] : stored.entries()) {
    if (knowledge.of(origin)) continue;
    connection_.query(std::string("DELETE FROM ") + table + " WHERE table_id = $1 AND origin = $2",
                      {id, std::to_string(origins_.number(origin))});
  }
}

TableState PostgresqlNode::load_state(const ActiveTable& table) {
  return std::move(load_standings({table}).front().state);
}

std::vector<TableStanding> PostgresqlNode::load_standings(const std::vector<ActiveTable>& tables) {
  if (tables.empty()) return {};
  std::map<std::int64_t, std::size_t> positions;
  std::string ids;
  std::string logs;
  for (std::size_t i = 0; i < tables.size(); ++i) {
    const std::string id = std::to_string(tables[i].id);
    positions[tables[i].id] = i;
    ids += (i > 0 ? "," : "{") + id;
    logs += (i > 0 ? " UNION ALL " : "") + ("SELECT " + id + "::bigint, EXISTS (SELECT FROM ") +
            log_table(tables[i].id) + ")";
  }
  ids += "}";
  const auto about = [&ids](const std::string& what, const std::string& table) {
    return Statement{.sql = "SELECT " + what + " FROM tidemark." + table + " = ANY ($1::bigint[])",
                     .parameters = {ids}};
  };
  const std::vector<Rows> answers = connection_.run_all(
      {about("id, baseline, clock_floor_us, mirrored_sequence, purged_at_us",
             "captured_table WHERE id"),
       about("table_id, origin, sequence", "knowledge WHERE table_id"),
       about("table_id, origin, sequence", "forgotten WHERE table_id"),
       about("table_id, baseline", "baseline_seen WHERE table_id"),
       about("table_id, origin, sequence, peer", "peer_knowledge WHERE table_id"),
       Statement{.sql = logs}, Statement{.sql = kOwnOrigin}, Origins::list_statement()});
  const OriginId own = origin_in(answers[6]);
  origins_.take(answers[7]);

  std::vector<TableStanding> standings(tables.size());
  std::vector<bool> found(tables.size());
  const auto each = [&](std::size_t answer, const auto& take) {
    const Rows& rows = answers[answer];
    for (int i = 0; i < rows.size(); ++i) {
      take(standings[positions.at(rows.integer(i, 0))], rows, i);
    }
  };
  each(0, [&](TableStanding& standing, const Rows& rows, int i) {
    found[positions.at(rows.integer(i, 0))] = true;
    standing.state.baseline = rows.uuid(i, 1);
    standing.state.clock_floor_us = rows.integer(i, 2);
    standing.state.mirrored_sequence = rows.integer(i, 3);
    standing.state.purged_at_us = rows.integer(i, 4);
  });
  each(1, [&](TableStanding& standing, const Rows& rows, int i) {
    standing.state.knowledge.raise(origins_.origin(rows.integer(i, 1)), rows.integer(i, 2));
  });
  each(2, [&](TableStanding& standing, const Rows& rows, int i) {
    standing.state.forgotten.raise(origins_.origin(rows.integer(i, 1)), rows.integer(i, 2));
  });
  each(3, [&](TableStanding& standing, const Rows& rows, int i) {
    standing.state.baselines_seen.insert(rows.uuid(i, 1));
  });
  each(4, [&](TableStanding& standing, const Rows& rows, int i) {
    Knowledge& knowledge = standing.peers[rows.uuid(i, 3)];
    if (rows.integer(i, 1) == 0) return;  // a peer of which nothing is known is a peer
    knowledge.raise(origins_.origin(rows.integer(i, 1)), rows.integer(i, 2));
  });
  each(5, [&](TableStanding& standing, const Rows& rows, int i) {
    standing.has_pending = rows.boolean(i, 1);
  });
  for (std::size_t i = 0; i < tables.size(); ++i) {
    if (!found[i]) {
      throw Error(ExitCode::not_ready,
                  "node " + name() + ": table " + tables[i].spec.name + " is not activated",
                  "Run 'tidemark activate'.");
    }
    standings[i].state.origin = own;
    standings[i].state.knowledge.raise(own, 0);
  }
  return standings;
}

void PostgresqlNode::save_state(const ActiveTable& table, const TableState& state) {
  const TableState stored = load_state(table);
  save_knowledge("tidemark.knowledge", table.id, state.knowledge);
  save_knowledge("tidemark.forgotten", table.id, state.forgotten);
  const std::string id = std::to_string(table.id);
  if (stored.baseline != state.baseline || stored.clock_floor_us != state.clock_floor_us ||
      stored.mirrored_sequence != state.mirrored_sequence ||
      stored.purged_at_us != state.purged_at_us) {
    connection_.query(
        "UPDATE tidemark.captured_table SET baseline = $2, clock_floor_us = $3, mirrored_sequence "
        "= $4, purged_at_us = $5 WHERE id = $1",
        {id, state.baseline.to_string(), std::to_string(state.clock_floor_us),
         std::to_string(state.mirrored_sequence), std::to_string(state.purged_at_us)});
  }
  if (stored.baselines_seen == state.baselines_seen) return;
  connection_.query("DELETE FROM tidemark.baseline_seen WHERE table_id = $1", {id});
  for (const BaselineId& baseline : state.baselines_seen) {
    connection_.query("INSERT INTO tidemark.baseline_seen VALUES ($1, $2)",
                      {id, baseline.to_string()});
  }
}

std::map<NodeId, Knowledge> PostgresqlNode::load_peers(const ActiveTable& table) {
  return std::move(load_standings({table}).front().peers);
}

void PostgresqlNode::save_peer(const ActiveTable& table, const NodeId& peer,
                               const Knowledge& knowledge) {
  const auto peers = load_peers(table);
  const auto stored = peers.find(peer);
  if (stored != peers.end() && stored->second == knowledge) return;
  const std::string id = std::to_string(table.id);
  const std::string peer_id = peer.to_string();
  connection_.query("DELETE FROM tidemark.peer_knowledge WHERE table_id = $1 AND peer = $2",
                    {id, peer_id});
  const auto insert = [&](std::int64_t origin, std::int64_t sequence) {
    connection_.run_prepared("INSERT INTO tidemark.peer_knowledge VALUES ($1, $2, $3, $4)",
                             {id, peer_id, std::to_string(origin), std::to_string(sequence)});
  };
  insert(0, 0);
  for (const auto& [origin, sequence] : knowledge.entries()) {
    insert(origins_.number(origin), sequence);
  }
}

std::map<std::int64_t, PeerMeeting> PostgresqlNode::load_meetings(const NodeId& peer) {
  std::map<std::int64_t, PeerMeeting> meetings;
  const Rows rows = connection_.run_prepared(
      "SELECT table_id, met_at_us, shape FROM tidemark.peer WHERE peer = $1", {peer.to_string()});
  for (int i = 0; i < rows.size(); ++i) {
    meetings[rows.integer(i, 0)] = {.met_at_us = rows.integer(i, 1), .shape = rows.text(i, 2)};
  }
  return meetings;
}

void PostgresqlNode::save_meeting(const ActiveTable& table, const NodeId& peer,
                                  const PeerMeeting& meeting) {
  connection_.run_prepared(
      "INSERT INTO tidemark.peer VALUES ($1, $2, $3, $4) ON CONFLICT (table_id, peer) DO UPDATE "
      "SET met_at_us = excluded.met_at_us, shape = excluded.shape",
      {std::to_string(table.id), peer.to_string(), std::to_string(meeting.met_at_us),
       meeting.shape});
}

Heartbeat PostgresqlNode::load_heartbeat(const std::string& job, const std::string& peer) {
  const Rows row = connection_.run_prepared(
      "SELECT sent_us, heard_us, arrived_us FROM tidemark.heartbeat WHERE job = $1 AND peer = $2",
      {job, peer});
  if (row.empty()) return {};
  return {
      .sent_us = row.integer(0, 0), .heard_us = row.integer(0, 1), .arrived_us = row.integer(0, 2)};
}

void PostgresqlNode::save_heartbeat(const std::string& job, const std::string& peer,
                                    const Heartbeat& heartbeat) {
  connection_.run_prepared(
      "INSERT INTO tidemark.heartbeat VALUES ($1, $2, $3, $4, $5) ON CONFLICT (job, peer) DO "
      "UPDATE SET sent_us = excluded.sent_us, heard_us = excluded.heard_us, arrived_us = "
      "excluded.arrived_us",
      {job, peer, std::to_string(heartbeat.sent_us), std::to_string(heartbeat.heard_us),
       std::to_string(heartbeat.arrived_us)});
}

std::map<NodeId, RegisteredPeer> PostgresqlNode::registered_peers() {
  std::map<NodeId, RegisteredPeer> peers;
  // A node that was restored or repaired had several origins; the newest carries its last name.
  const Rows rows = connection_.query(
      "SELECT k.peer, coalesce((SELECT max(met_at_us) FROM tidemark.peer AS p WHERE p.peer = "
      "k.peer), 0), (SELECT node_name FROM tidemark.origin AS o WHERE o.node_id = k.peer AND "
      "node_name IS NOT NULL ORDER BY id DESC LIMIT 1) FROM (SELECT DISTINCT peer FROM "
      "tidemark.peer_knowledge) AS k");
  for (int i = 0; i < rows.size(); ++i) {
    const NodeId peer = rows.uuid(i, 0);
    peers[peer] = {.name = rows.is_null(i, 2) ? peer.to_string() : rows.text(i, 2),
                   .met_at_us = rows.integer(i, 1)};
  }
  return peers;
}

void PostgresqlNode::forget_peer(const NodeId& peer) {
  for (const char* control : {"peer_knowledge", "peer"}) {
    connection_.query(std::string("DELETE FROM tidemark.") + control + " WHERE peer = $1",
                      {peer.to_string()});
  }
}

void PostgresqlNode::save_origin_name(const Identity& identity, const std::string& node_name) {
  origins_.save_name(identity, node_name);
}

std::string PostgresqlNode::origin_name(const OriginId& origin) { return origins_.name(origin); }

}  // namespace tidemark::postgresql
