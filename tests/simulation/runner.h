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
  bool stop_at_violation = true;
};

struct RunReport {
  std::uint64_t histories = 0;
  Outcome sum;
  std::uint64_t violations = 0;
  /// The lowest seed that broke a law among those that ran, and how.
  std::optional<std::uint64_t> seed;
  std::string violation;
  double seconds = 0;

  /// For the log of a test: how much was simulated.
  std::string summary() const;
};

/// TIDEMARK_SEED=n replays one history and prints it; TIDEMARK_HISTORIES=n runs another number than
/// asked for.
RunReport run(RunRequest request);

}  // namespace tidemark::simulation
