#include "cli/json.h"

#include "cli/time_text.h"
#include "model/row_json.h"

namespace tidemark::cli {
namespace {

Json side_json(const Conflict& conflict, const ConflictSide& side) {
  Json json = {{"node", side.node}};
  json["changed_at"] = side.version ? Json(rfc3339(side.version->changed_at_us)) : Json(nullptr);
  json["deleted"] = !side.present;
  json["row"] = side.present ? row_to_json(conflict.columns, side.row) : Json(nullptr);
  return json;
}

}  // namespace

Json time_json(std::int64_t time_us) {
  return time_us == 0 ? Json(nullptr) : Json(rfc3339(time_us));
}

Json counts_json(const PullCounts& counts) {
  return {{"received", counts.received},      {"inserted", counts.inserted},
          {"updated", counts.updated},        {"deleted", counts.deleted},
          {"adopted", counts.adopted},        {"conflicts", counts.conflicts},
          {"quarantined", counts.quarantined}};
}

Json key_json(const std::vector<std::string>& columns, const std::vector<std::size_t>& key_columns,
              const Row& key) {
  std::vector<std::string> names;
  for (const std::size_t column : key_columns) names.push_back(columns[column]);
  return row_to_json(names, key);
}

Json conflict_json(const Conflict& conflict, const std::vector<std::string>& logged_on) {
  return {{"id", conflict.id},
          {"found_at", rfc3339(conflict.found_at_us)},
          {"session", conflict.session_id},
          {"job", conflict.job},
          {"table", conflict.table},
          {"key", key_json(conflict.columns, conflict.key_columns, conflict.key)},
          {"type", to_string(conflict.type)},
          {"policy", to_string(conflict.policy)},
          {"status", to_string(conflict.status)},
          {"winner", side_json(conflict, conflict.winner)},
          {"loser", side_json(conflict, conflict.loser)},
          {"logged_on", logged_on}};
}

}  // namespace tidemark::cli
