#include "engines/postgresql/origins.h"

namespace tidemark::postgresql {

void Origins::load() {
  if (!loaded_) take(connection_.run_all({list_statement()}).front());
}

void Origins::take(const Rows& listed) {
  numbers_.clear();
  origins_.clear();
  for (int i = 0; i < listed.size(); ++i) {
    numbers_[listed.uuid(i, 1)] = listed.integer(i, 0);
    origins_[listed.integer(i, 0)] = listed.uuid(i, 1);
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
  const Rows rows = connection_.query(
      "INSERT INTO tidemark.origin(id, origin) SELECT coalesce(max(id), 0) + 1, $1 FROM "
      "tidemark.origin RETURNING id",
      {origin.to_string()});
  const std::int64_t number = rows.integer(0, 0);
  numbers_[origin] = number;
  origins_[number] = origin;
  return number;
}

const OriginId& Origins::origin(std::int64_t number) {
  load();
  return listed(number);
}

const OriginId& Origins::listed(std::int64_t number) const {
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

std::string Origins::covered(const Knowledge& knowledge, const std::string& prefix) {
  std::string text;
  for (const auto& [origin, sequence] : knowledge.entries()) {
    const auto number = find(origin);
    if (!number) continue;
    text += " WHEN " + std::to_string(*number) + " THEN " + prefix +
            "sequence <= " + std::to_string(sequence);
  }
  if (text.empty()) return "false";
  return "CASE " + prefix + "origin" + text + " ELSE false END";
}

std::string Origins::news(const Knowledge& knowledge, const std::string& prefix) {
  return news(knowledge, prefix, "", "");
}

// Statistics know nothing of the newest numbers, so the server would expect a handful of rows. Of a
// number that it learns only when it runs it expects a third.
std::string Origins::news_unknown_to_planner(const Knowledge& knowledge,
                                             const std::string& prefix) {
  return news(knowledge, prefix, "(SELECT ", ")");
}

std::string Origins::news(const Knowledge& knowledge, const std::string& prefix, const char* before,
                          const char* after) {
  load();
  std::string text;
  for (const auto& [origin, number] : numbers_) {
    const auto sequence = knowledge.of(origin);
    text += text.empty() ? "(" : " OR ";
    text += "(" + prefix + "origin = " + std::to_string(number);
    if (sequence) {
      text += " AND " + prefix + "sequence > " + before + std::to_string(*sequence) + after;
    }
    text += ")";
  }
  return text.empty() ? "false" : text + ")";
}

void Origins::save_name(const Identity& identity, const std::string& name) {
  const std::int64_t id = number(identity.origin);
  connection_.query(
      "UPDATE tidemark.origin SET node_id = $2, node_name = $3 WHERE id = $1 AND (node_id IS "
      "DISTINCT FROM $2 OR node_name IS DISTINCT FROM $3)",
      {std::to_string(id), identity.node_id.to_string(), name});
}

std::string Origins::name(const OriginId& origin) {
  const Rows rows = connection_.run_prepared(
      "SELECT node_name FROM tidemark.origin WHERE origin = $1", {origin.to_string()});
  if (!rows.empty() && !rows.is_null(0, 0)) return rows.text(0, 0);
  return origin.to_string();
}

}  // namespace tidemark::postgresql
