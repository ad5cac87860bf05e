// Plays the scenarios of this folder on every mix of engines, in every order of sessions that they
// leave open. TIDEMARK_SCENARIO=file:line plays one, TIDEMARK_ALL_SCENARIOS=1 plays all on
// PostgreSQL as well, where usually one of eight is; =mixes on every mix of three nodes.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <thread>

#include "tests/scenarios/scenario.h"
#include "tests/scenarios/stage.h"

namespace tidemark::scenarios {
namespace {

constexpr std::size_t kLeast = 120;

std::string environment(const char* name) {
  const char* text = std::getenv(name);
  return text != nullptr ? text : "";
}

std::vector<Scenario> all_scenarios() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry :
       std::filesystem::directory_iterator(TIDEMARK_SOURCE_DIR "/tests/scenarios")) {
    if (entry.path().extension() == ".scenario") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<Scenario> all;
  for (const auto& file : files) {
    for (Scenario& scenario : read_scenarios(file)) all.push_back(std::move(scenario));
  }
  return all;
}

std::string complaint(const Scenario& scenario, const std::vector<Step>& steps, const Mix& mix,
                      const std::vector<std::string>& wrong) {
  std::string text =
      scenario.where() + ": " + scenario.sentence + "\n  on " + to_string(mix) + ", sessions";
  for (const Step& step : steps) {
    for (const std::size_t job : step.jobs) {
      text += " " + scenario.nodes[scenario.jobs[job].first] + "-" +
              scenario.nodes[scenario.jobs[job].second];
    }
  }
  for (const std::string& line : wrong) text += "\n  " + line;
  return text;
}

struct Performance {
  const Scenario* scenario = nullptr;
  std::vector<Step> steps;
  Mix mix;
};

std::vector<Performance> performances(const std::vector<Scenario>& scenarios) {
  const std::string wanted = environment("TIDEMARK_SCENARIO");
  const std::string everything = environment("TIDEMARK_ALL_SCENARIOS");
  const bool all = !wanted.empty() || (!everything.empty() && everything != "0");
  std::vector<Performance> result;
  for (std::size_t i = 0; i < scenarios.size(); ++i) {
    if (!wanted.empty() && scenarios[i].where() != wanted) continue;
    for (const Mix& mix : mixes(scenarios[i], everything == "mixes")) {
      const bool slow = std::any_of(mix.begin(), mix.end(), [](Engine engine) {
        return engine == Engine::postgresql || engine == Engine::silenced_postgresql;
      });
      if (slow && !all && i % 8 != 0) continue;
      for (const std::vector<Step>& steps : orders(scenarios[i])) {
        result.push_back({.scenario = &scenarios[i], .steps = steps, .mix = mix});
        if (slow && !all) break;
      }
    }
  }
  return result;
}

/// Other words in place of the last of a line.
std::string altered(const std::string& text) {
  if (text.starts_with("rows")) return text + " | 99 nobody";
  return text + "x";
}

}  // namespace

TEST_CASE("every scenario ends as it says, on every mix of engines and in every order") {
  const std::vector<Scenario> scenarios = all_scenarios();
  CHECK(scenarios.size() >= kLeast);
  const std::vector<Performance> plan = performances(scenarios);
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::vector<std::string> complaints;
  const auto work = [&] {
    for (std::size_t i = next++; i < plan.size(); i = next++) {
      const Performance& performance = plan[i];
      std::vector<std::string> wrong;
      try {
        wrong = judge(*performance.scenario, performance.scenario->expectations,
                      play(*performance.scenario, performance.steps, performance.mix));
      } catch (const std::exception& error) {
        wrong = {error.what()};
      }
      if (wrong.empty()) continue;
      const std::lock_guard lock(mutex);
      complaints.push_back(
          complaint(*performance.scenario, performance.steps, performance.mix, wrong));
    }
  };
  std::thread other(work);
  work();
  other.join();
  for (const std::string& each : complaints) CHECK_MESSAGE(false, each);
  std::cerr << scenarios.size() << " scenarios, " << plan.size()
            << " performances on mixes of engines in orders of sessions\n";
}

// Every expectation counts: left out or told otherwise, it is missed.
TEST_CASE("a scenario that expects what is not so is noticed") {
  std::size_t lines = 0;
  for (const Scenario& scenario : all_scenarios()) {
    const Outcome outcome =
        play(scenario, orders(scenario).front(), Mix(scenario.nodes.size(), Engine::memory));
    if (!judge(scenario, scenario.expectations, outcome).empty()) continue;  // told above
    for (std::size_t i = 0; i < scenario.expectations.size(); ++i) {
      if (scenario.expectations[i].text.starts_with("perhaps")) continue;
      std::vector<Expectation> changed = scenario.expectations;
      changed[i].text = altered(changed[i].text);
      CHECK_MESSAGE(!judge(scenario, changed, outcome).empty(), scenario.file, ":", changed[i].line,
                    ": a wrong line is taken for right");
      changed.erase(changed.begin() + static_cast<std::ptrdiff_t>(i));
      CHECK_MESSAGE(!judge(scenario, changed, outcome).empty(), scenario.file, ":",
                    scenario.expectations[i].line, ": the line is not missed");
      ++lines;
    }
  }
  CHECK(lines > kLeast);
}

}  // namespace tidemark::scenarios
