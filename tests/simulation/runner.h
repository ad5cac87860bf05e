// Runs many histories, on as many threads as the machine has, and says which seed breaks a law.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tests/simulation/history.h"
#include "tests/simulation/world.h"

namespace tidemark::simulation {

struct RunRequest {
  std::string name;  // of the test, for messages
  std::uint64_t first_seed = 1;
  std::uint64_t histories = 1000;
  HistoryOptions options;
  Twin twin;
  /// A broken twin is looked at in all of its worlds, however many histories are asked for.
  bool is_twin = false;
};

struct RunReport {
  std::uint64_t histories = 0;
  Outcome sum;
  std::uint64_t violations = 0;
  /// The lowest seed that broke a law among those that ran, and how.
  std::optional<std::uint64_t> seed;
  std::string violation;
  std::string test;  // that ran them
  double seconds = 0;

  /// For the log of a test: how much was simulated.
  std::string summary() const;
};

/// TIDEMARK_SEED=n: one history is to be replayed and printed.
std::optional<std::uint64_t> seed_to_replay();
/// TIDEMARK_HISTORIES=n runs n of the random worlds, of which there usually are kRandomWorlds, and
/// of everything else in proportion; at least one.
inline constexpr std::uint64_t kRandomWorlds = 100'000;
std::uint64_t histories_to_run(std::uint64_t usually);

RunReport run(const RunRequest& request);

}  // namespace tidemark::simulation
