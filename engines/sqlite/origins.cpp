#include "engines/sqlite/origins.h"

#include "engines/sqlite/statement.h"

namespace tidemark::sqlite {

void Origins::load() {
  if (loaded_) return;
  numbers_.clear();
  origins_.clear();
  Statement statement(connection_, "SELECT id, origin FROM tidemark_origin");
  while (statement.step()) {
    const OriginId origin = statement.uuid(1);
    numbers_[origin] = statement.integer(0);
    origins_[statement.integer(0)] = origin;
  }
  loaded_ = true;
}

std::optional<std::int64_t> Origins::find(const OriginId& origin) {
  load();
  const auto found = numbers_.find(origin);
  if (found == numbers_.end()) return std::nullopt;
  return found->second;
}

std::int64_t Origins::number(const OriginId& origin) {
  if (const auto known = find(origin)) return *known;
  Statement insert(connection_, "INSERT INTO tidemark_origin(origin) VALUES (?1)");
  insert.bind(1, origin).run();
  const std::int64_t number = sqlite3_last_insert_rowid(connection_.handle());
  numbers_[origin] = number;
  origins_[number] = origin;
  return number;
}

const OriginId& Origins::origin(std::int64_t number) {
  load();
  const auto found = origins_.find(number);
  if (found == origins_.end()) {
    throw Error(
        ExitCode::failed,
        "node " + connection_.node_name() + ": a row version names an origin that is not listed",
        "The control tables are damaged: restore the database, or run 'tidemark deactivate' and "
        "'tidemark activate' on it.");
  }
  return found->second;
}

KnownSequences Origins::numbered(const Knowledge& knowledge) {
  KnownSequences known;
  for (const auto& [origin, sequence] : knowledge.entries()) {
    if (const auto number = find(origin)) known.raise(*number, sequence);
  }
  return known;
}

void Origins::save_name(const Identity& identity, const std::string& name) {
  const std::int64_t id = number(identity.origin);
  Statement update(connection_,
                   "UPDATE tidemark_origin SET node_id = ?2, node_name = ?3 WHERE id = ?1 AND "
                   "(node_id IS NOT ?2 OR node_name IS NOT ?3)");
  update.bind(1, id).bind(2, identity.node_id).bind_text(3, name).run();
}

std::string Origins::name(const OriginId& origin) {
  Statement statement(connection_, "SELECT node_name FROM tidemark_origin WHERE origin = ?1");
  statement.bind(1, origin);
  if (statement.step() && !statement.is_null(0)) return statement.text(0);
  return origin.to_string();
}

}  // namespace tidemark::sqlite
