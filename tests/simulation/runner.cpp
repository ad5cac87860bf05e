#include "tests/simulation/runner.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <thread>
#include <vector>

namespace tidemark::simulation {
namespace {

std::optional<std::uint64_t> number_from_environment(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text == '\0') return std::nullopt;
  return std::strtoull(text, nullptr, 10);
}

void add(Outcome& sum, const Outcome& part) {
  sum.writes += part.writes;
  sum.sessions += part.sessions;
  sum.conflicts += part.conflicts;
  sum.failures += part.failures;
  sum.refusals += part.refusals;
  sum.passed_over += part.passed_over;
  sum.locked_out += part.locked_out;
  sum.waited += part.waited;
}

}  // namespace

std::optional<std::uint64_t> seed_to_replay() { return number_from_environment("TIDEMARK_SEED"); }

std::uint64_t histories_to_run(std::uint64_t usually) {
  const auto wanted = number_from_environment("TIDEMARK_HISTORIES");
  if (!wanted) return usually;
  return std::max<std::uint64_t>(1, usually * *wanted / kRandomWorlds);
}

std::string RunReport::summary() const {
  char text[256];
  std::snprintf(text, sizeof text,
                "%llu histories, %zu writes, %zu sessions (%zu died), %zu conflicts in %.1f s",
                static_cast<unsigned long long>(histories), sum.writes, sum.sessions, sum.failures,
                sum.conflicts, seconds);
  std::string result = text;
  if (sum.refusals > 0) result += ", " + std::to_string(sum.refusals) + " sessions refused";
  if (sum.passed_over + sum.locked_out > 0) {
    result += ", " + std::to_string(sum.passed_over) + " sessions passed over locked rows, " +
              std::to_string(sum.locked_out) + " could not";
  }
  if (sum.waited > 0) result += ", " + std::to_string(sum.waited) + " rows waited";
  if (seed) {
    result += "; TIDEMARK_SEED=" + std::to_string(*seed) + " tidemark_simulation_test -tc='" +
              test + "' replays: " + violation;
  }
  return result;
}

RunReport run(const RunRequest& request) {
  std::uint64_t first_seed = request.first_seed;
  std::uint64_t histories =
      request.is_twin ? request.histories : histories_to_run(request.histories);
  const auto replayed = seed_to_replay();
  if (replayed) {
    first_seed = *replayed;
    histories = 1;
    std::cerr << request.name << ", seed " << *replayed << ": "
              << describe_jobs(make_history(*replayed, request.options));
  }

  RunReport report;
  std::mutex mutex;
  std::atomic<std::uint64_t> next{0};
  std::atomic<bool> stopped{false};
  const auto work = [&] {
    RunReport mine;
    while (!stopped) {
      const std::uint64_t index = next++;
      if (index >= histories) break;
      const std::uint64_t seed = first_seed + index;
      const History history = make_history(seed, request.options);
      ++mine.histories;
      try {
        add(mine.sum, World(history, request.twin, replayed ? &std::cerr : nullptr).run());
      } catch (const std::exception& error) {
        ++mine.violations;
        if (!mine.seed || seed < *mine.seed) {
          mine.seed = seed;
          mine.violation = error.what();
        }
        if (!request.is_twin) stopped = true;
      }
    }
    const std::lock_guard lock(mutex);
    report.histories += mine.histories;
    report.violations += mine.violations;
    add(report.sum, mine.sum);
    if (mine.seed && (!report.seed || *mine.seed < *report.seed)) {
      report.seed = mine.seed;
      report.violation = mine.violation;
    }
  };
  const auto begin = std::chrono::steady_clock::now();
  std::vector<std::thread> threads;
  const unsigned count = std::max(1u, std::thread::hardware_concurrency());
  for (unsigned i = 1; i < count && histories > 1; ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  report.test = doctest::getContextOptions()->currentTest->m_name;
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::cerr << request.name << ": " << report.summary() << "\n";
  return report;
}

}  // namespace tidemark::simulation
