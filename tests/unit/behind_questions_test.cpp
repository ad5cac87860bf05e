#include "scheduler/behind_questions.h"

#include <doctest/doctest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

using namespace tidemark;
using namespace tidemark::scheduler;

namespace {

constexpr std::int64_t kSecond = 1'000'000;
constexpr Behind kFound{.since_us = 7, .met_at_us = 3};

/// One job of nodes a and b.
struct World {
  explicit World(Mode mode = Mode::backup, bool continuous = true) {
    config.name = "job";
    config.nodes = {"a", "b"};
    config.mode = mode;
    timing.continuous = continuous;
    renew();
  }

  void renew() {
    planner = std::make_unique<Planner>(
        std::vector<Planner::Job>{{.config = &config, .timing = timing}}, std::set<std::string>{},
        Planner::Limits{}, Moment{.day_us = 0, .steady_us = 0});
    questions = std::make_unique<BehindQuestions>(*planner, 0);
  }

  auto due(std::int64_t second) {
    return questions->due(second * kSecond, [this](Direction) { return standing; });
  }
  void answer(std::int64_t second, const Behind& behind) {
    auto asked = due(second);
    REQUIRE(asked.contains("a"));
    questions->answered("a", asked.at("a"), {behind}, second * kSecond);
  }
  const Behind& behind() const { return questions->behind({.pair = 0, .to_second = true}); }

  JobConfig config;
  Timing timing;
  std::optional<BehindQuestions::Standing> standing = BehindQuestions::Standing{};
  std::unique_ptr<Planner> planner;
  std::unique_ptr<BehindQuestions> questions;
};

}  // namespace

TEST_CASE("nobody asks about a continuous pair that is well, nor before it had its time") {
  World world;
  for (int second = 0; second < 1000; ++second) CHECK(world.due(second).empty());
  world.standing->unwell = true;
  CHECK(world.due(1000).size() == 1);
  World begun;
  begun.standing->unwell = true;
  CHECK(begun.due(0).empty());
  CHECK(begun.due(1).empty());
  CHECK(begun.due(2).size() == 1);
}

TEST_CASE("either node of a two-way pair is asked, of a backup its source alone") {
  World world(Mode::two_way);
  world.standing->unwell = true;
  CHECK(world.due(10).size() == 2);
  World backup;
  backup.standing->unwell = true;
  const auto asked = backup.due(10);
  REQUIRE(asked.size() == 1);
  CHECK(asked.at("a").front().target == "b");
}

TEST_CASE("a node that is watched is asked again when somebody wrote to it, and no sooner") {
  World world;
  world.standing->unwell = true;
  world.standing->generation = 1;
  world.answer(10, {});
  for (int second = 11; second < 1000; ++second) CHECK(world.due(second).empty());
  world.standing->generation = 2;
  world.answer(1000, kFound);
  CHECK(world.behind() == kFound);
}

TEST_CASE("once a change is known that waits, only whether the two have met is asked") {
  World world;
  world.standing->unwell = true;
  world.standing->generation = 1;
  world.answer(10, kFound);
  int asked = 0;
  for (int second = 11; second < 310; ++second) {
    world.standing->generation = second;
    const auto due = world.due(second);
    if (due.empty()) continue;
    ++asked;
    CHECK(due.at("a").front().before == kFound);
    world.questions->answered("a", due.at("a"), {kFound}, second * kSecond);
  }
  CHECK(asked == 4);
}

TEST_CASE("a node that nobody watches is asked now and then, one that fails too") {
  World world;
  world.standing->unwell = true;
  world.answer(10, {});
  CHECK(world.due(69).empty());
  const auto again = world.due(70);
  REQUIRE(again.size() == 1);
  CHECK(world.due(200).empty());  // it has not answered
  world.questions->answered("a", again.at("a"), {}, 200 * kSecond);
  CHECK(world.due(259).empty());
  CHECK(world.due(260).size() == 1);
}

TEST_CASE("many nodes are asked in turn, and one that hangs keeps no other from it") {
  World world(Mode::two_way);
  for (int i = 0; i < 100; ++i) world.config.nodes.push_back("n" + std::to_string(i));
  world.renew();
  world.standing->unwell = true;
  const auto first = world.due(10);
  CHECK(first.size() == BehindQuestions::kAtATime);
  CHECK(first.at("a").size() == 101);  // all that one node can tell
  CHECK(world.due(11).empty());
  std::set<std::string> asked;
  for (const auto& [node, questions] : first) asked.insert(node);
  for (int second = 12; second < 30; second += 2) {
    for (const auto& [node, questions] : world.due(second)) CHECK(asked.insert(node).second);
  }
  CHECK(asked.size() == 102);
}

TEST_CASE("a session that succeeds ends it, also what is asked meanwhile") {
  World world;
  world.standing->unwell = true;
  world.answer(10, kFound);
  const auto asked = world.due(70);
  REQUIRE(asked.size() == 1);
  world.questions->met(0, true, 71 * kSecond);
  CHECK(world.behind() == Behind{});
  world.questions->answered("a", asked.at("a"), {kFound}, 72 * kSecond);
  CHECK(world.behind() == Behind{});
}

TEST_CASE("a session that left something out is asked about, not after each one") {
  World world;
  world.questions->met(0, false, 10 * kSecond);
  world.answer(10, kFound);
  world.questions->met(0, false, 11 * kSecond);
  CHECK(world.behind() == kFound);
  CHECK(world.due(69).empty());
  world.answer(70, {});
  CHECK(world.due(1000).empty());
}

TEST_CASE("between the runs of a schedule it is asked now and then") {
  World world(Mode::backup, false);
  world.questions->met(0, true, 10 * kSecond);
  CHECK(world.due(309).empty());
  world.answer(310, kFound);
  CHECK(world.due(609).empty());
  CHECK(world.due(610).size() == 1);
}

// Files of a nightly job were opened every minute until its first run.
TEST_CASE("a schedule that has not run since the daemon began is asked about as between its runs") {
  World world(Mode::backup, false);
  world.standing->unmet = true;
  world.answer(10, {});
  for (int second = 11; second < 310; ++second) CHECK(world.due(second).empty());
  CHECK(world.due(310).size() == 1);
  World continuous;
  continuous.standing->unmet = true;
  continuous.answer(10, {});
  CHECK(continuous.due(69).empty());
  CHECK(continuous.due(70).size() == 1);
}

TEST_CASE("a job that another daemon runs is its business") {
  World world;
  world.questions->remember({.pair = 0, .to_second = true}, kFound);
  world.standing.reset();
  CHECK(world.due(10).empty());
  CHECK(world.behind() == kFound);
  world.standing = BehindQuestions::Standing{.elsewhere = true, .unwell = true};
  CHECK(world.due(20).empty());
  CHECK(world.behind() == kFound);
  CHECK(world.due(30).empty());
  CHECK(world.behind() == Behind{});
}
