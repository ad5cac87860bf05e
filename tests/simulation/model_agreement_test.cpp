// The product and the executable model of the design go through the same histories and must hold
// the same rows, versions and conflicts, joins of baselines, purges and restored nodes included.
#include <doctest/doctest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>

#include <nlohmann/json.hpp>

#include "tests/simulation/runner.h"
#include "tests/simulation/world.h"

using namespace tidemark::simulation;
using nlohmann::json;

namespace {

constexpr std::uint64_t kHistories = 5000;

std::filesystem::path model_file() {
  const char* path = std::getenv("TIDEMARK_MODEL");
  if (path != nullptr && *path != '\0') return path;
  return std::filesystem::path(TIDEMARK_SOURCE_DIR) / "../shared/model/tidemark_model.py";
}

json action_to_json(const Action& action) {
  switch (action.kind) {
    case ActionKind::write:
    case ActionKind::old_row:
      return {action.kind == ActionKind::write ? "write" : "old_row", action.now, action.node,
              action.key, action.value ? json(*action.value) : json()};
    case ActionKind::session:
      return {"session", action.now, action.edge};
    case ActionKind::purge:
      return {"purge", action.now, action.node};
    case ActionKind::clock:
      return {"clock", action.now, action.node, action.number};
    case ActionKind::copy:
      return {"copy", action.now, action.node};
    case ActionKind::restore:
      return {"restore", action.now, action.node, action.number};
    default:  // not among what the model plays
      break;
  }
  return {};
}

/// The model names every conflict between two versions alike; the product tells more.
std::string model_type(const std::string& type) {
  if (type == "insert_exists" || type == "update_deleted" || type == "delete_updated") {
    return "update_differs";
  }
  return type;
}

json views_to_json(World& world, std::size_t nodes) {
  json result = json::array();
  const std::vector<NodeView> views = world.views();
  for (std::size_t i = 0; i < nodes; ++i) {
    json node{{"rows", json::object()},
              {"versions", json::object()},
              {"conflicts", json::array()},
              {"baseline", world.baseline(i)},
              {"pending", world.pending(i)}};
    for (const auto& [key, value] : views[i].rows) node["rows"][std::to_string(key.second)] = value;
    for (const auto& [key, version] : world.versions(i)) {
      node["versions"][std::to_string(key.second)] = {version.first, version.second};
    }
    for (const LoggedConflict& conflict : views[i].conflicts) {
      node["conflicts"].push_back(
          {conflict.key, model_type(conflict.type), conflict.winner, conflict.loser});
    }
    result.push_back(std::move(node));
  }
  return result;
}

json play(const History& history, std::ostream* trace) {
  json record{
      {"seed", history.seed}, {"nodes", history.nodes}, {"early_purge", history.early_purge}};
  for (const Edge& edge : history.edges) record["edges"].push_back({edge.first, edge.second});
  record["actions"] = json::array();
  for (const Action& action : history.actions) record["actions"].push_back(action_to_json(action));
  const Twin product;
  World world(history, product, trace);
  world.act();
  record["acted"] = views_to_json(world, history.nodes);
  world.settle();
  record["settled"] = views_to_json(world, history.nodes);
  return record;
}

}  // namespace

TEST_CASE("the product agrees with the executable model") {
  const std::filesystem::path model = model_file();
  std::uint64_t first_seed = 1'000'000;
  std::uint64_t histories = histories_to_run(kHistories);
  const auto replayed = seed_to_replay();
  if (replayed) {
    first_seed = *replayed;
    histories = 1;
  }
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() /
      ("tidemark-histories-" + std::to_string(static_cast<long long>(::getpid())) + ".jsonl");
  {
    std::ofstream out(file);
    for (std::uint64_t seed = first_seed; seed < first_seed + histories; ++seed) {
      const History history = make_history(seed, {.max_nodes = 6});
      CAPTURE(seed);
      out << play(history, replayed ? &std::cerr : nullptr).dump() << "\n";
    }
  }
  const char* record = std::getenv("TIDEMARK_RECORD_MODEL");
  const std::string options = record != nullptr && *record != '\0' ? "--record" : "";
  const std::string command = "python3 '" TIDEMARK_SOURCE_DIR
                              "/tests/simulation/model_agreement.py' '" +
                              model.string() + "' '" + file.string() + "' " + options + " 2>&1";
  std::FILE* driver = ::popen(command.c_str(), "r");
  REQUIRE(driver != nullptr);
  std::string output;
  std::array<char, 4096> buffer{};
  while (std::fgets(buffer.data(), buffer.size(), driver) != nullptr) output += buffer.data();
  const int status = ::pclose(driver);
  std::filesystem::remove(file);
  std::cerr << "agreement with the model: " << output;
  CHECK_MESSAGE((WIFEXITED(status) && WEXITSTATUS(status) == 0), output);
}
