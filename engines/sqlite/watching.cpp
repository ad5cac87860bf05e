// What a daemon asks of a node that it keeps open.
#include "engines/sqlite/capture_objects.h"
#include "engines/sqlite/sqlite_node.h"

namespace tidemark::sqlite {

// A data version is read without touching the file while nobody commits, and says nothing of what
// this connection commits itself: a node that is watched writes nothing.
const Pulse& SqliteNode::look() {
  if (!data_version_) data_version_ = Statement(connection_, "PRAGMA data_version");
  std::int64_t version = 0;
  {
    const ResetGuard guard(data_version_);
    data_version_.step();
    version = data_version_.integer(0);
  }
  if (version == looked_at_) return pulse_;
  begin_read();
  try {
    Statement schema(connection_, "PRAGMA schema_version");
    schema.step();
    if (pulse_.schema != schema.integer(0) || looked_at_ < 0) {
      pulse_.schema = schema.integer(0);
      schema.reset();
      list_watched();
    }
    std::map<std::int64_t, Knowledge> knowledge;
    if (watched_knowledge_) {
      const ResetGuard guard(watched_knowledge_);
      while (watched_knowledge_.step()) {
        knowledge[watched_knowledge_.integer(0)].raise(
            origins_.origin(watched_knowledge_.integer(1)), watched_knowledge_.integer(2));
      }
    }
    pulse_.heartbeat_us = 0;
    if (watched_heartbeat_) {
      const ResetGuard guard(watched_heartbeat_);
      if (watched_heartbeat_.step()) pulse_.heartbeat_us = watched_heartbeat_.integer(0);
    }
    pulse_.tables.clear();
    for (auto& [id, table] : watched_) {
      Pulse::Table& each = pulse_.tables[table.name];
      each.knowledge = knowledge[id].digest();
      if (!table.has_pending) continue;
      const ResetGuard guard(table.has_pending);
      each.pending = table.has_pending.step();
    }
  } catch (...) {
    rollback();
    looked_at_ = -1;
    throw;
  }
  rollback();
  looked_at_ = version;
  ++pulse_.generation;
  return pulse_;
}

void SqliteNode::list_watched() {
  watched_.clear();
  watched_knowledge_ = Statement();
  watched_heartbeat_ = Statement();
  if (!identity()) return;
  watched_knowledge_ =
      Statement(connection_, "SELECT table_id, origin, sequence FROM tidemark_knowledge");
  watched_heartbeat_ = Statement(connection_, "SELECT max(sent_us) FROM tidemark_heartbeat");
  Statement tables(connection_,
                   "SELECT t.id, t.name, EXISTS (SELECT 1 FROM sqlite_schema WHERE name = "
                   "'tidemark_log_' || t.id) FROM tidemark_table AS t");
  while (tables.step()) {
    Watched& watched = watched_[tables.integer(0)];
    watched.name = tables.text(1);
    if (tables.integer(2) == 0) continue;
    watched.has_pending =
        Statement(connection_, "SELECT 1 FROM " + log_table(tables.integer(0)) + " LIMIT 1");
  }
}

std::vector<std::filesystem::path> SqliteNode::watched_files() const {
  const std::string file = connection_.file().string();
  return {file, file + "-wal", file + "-journal"};
}

}  // namespace tidemark::sqlite
