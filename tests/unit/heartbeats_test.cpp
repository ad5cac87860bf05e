#include "scheduler/heartbeats.h"

#include <doctest/doctest.h>

#include <memory>
#include <vector>

using namespace tidemark;
using namespace tidemark::scheduler;

namespace {

constexpr std::int64_t kSecond = 1'000'000;

/// One job of nodes a, b, c with a heartbeat of ten seconds.
struct World {
  explicit World(Mode mode = Mode::two_way, bool continuous = true) {
    config.name = "job";
    config.nodes = {"a", "b", "c"};
    config.mode = mode;
    config.heartbeat = std::chrono::seconds(10);
    Timing timing;
    timing.continuous = continuous;
    planner = std::make_unique<Planner>(
        std::vector<Planner::Job>{{.config = &config, .timing = timing}}, std::set<std::string>{},
        Planner::Limits{}, Moment{.day_us = 0, .steady_us = 0});
    heartbeats = std::make_unique<Heartbeats>(*planner, 0);
  }

  auto due(std::int64_t at_us) {
    return heartbeats->due(at_us, [](std::size_t) { return true; });
  }

  JobConfig config;
  std::unique_ptr<Planner> planner;
  std::unique_ptr<Heartbeats> heartbeats;
};

const Direction kToB{.pair = 0, .to_second = true};
const Direction kFromB{.pair = 0, .to_second = false};
const Direction kToC{.pair = 1, .to_second = true};

}  // namespace

TEST_CASE("each pair has a heartbeat for either direction, a backup for its only one") {
  World world;
  const auto beats = world.due(10 * kSecond);
  CHECK(beats.at("a").size() == 2);
  CHECK(beats.at("b").size() == 1);
  CHECK(beats.at("b").front().peer == "a");
  CHECK(beats.at("c").size() == 1);
  World backup(Mode::backup);
  CHECK(backup.due(10 * kSecond).size() == 1);
}

TEST_CASE("a job that does not run sends nothing, and neither does one without a heartbeat") {
  World world;
  CHECK(world.heartbeats->due(10 * kSecond, [](std::size_t) { return false; }).empty());
  world.config.heartbeat.reset();
  Heartbeats none(*world.planner, 0);
  CHECK(none.due(100 * kSecond, [](std::size_t) { return true; }).empty());
}

TEST_CASE("a heartbeat that is on its way is not replaced, so that its age tells the lag") {
  World world;
  const auto beats = world.due(10 * kSecond);
  world.heartbeats->sent(beats.at("a"), 500, 11 * kSecond);
  CHECK(world.heartbeats->on_its_way_us(kToB) == 500);
  // b is still sending its own, and a's have not arrived.
  CHECK(world.due(60 * kSecond).empty());
  world.heartbeats->met(kToB, 500, 12 * kSecond);
  CHECK_FALSE(world.heartbeats->on_its_way_us(kToB));
  CHECK(world.heartbeats->on_its_way_us(kToC) == 500);
  CHECK(world.due(60 * kSecond).at("a").size() == 1);
}

TEST_CASE("one that could not be sent is tried again after the interval") {
  World world;
  const auto beats = world.due(10 * kSecond);
  world.heartbeats->sent(beats.at("b"), std::nullopt, 11 * kSecond);
  CHECK_FALSE(world.heartbeats->on_its_way_us(kFromB));
  CHECK(world.due(19 * kSecond).empty());
  CHECK(world.due(20 * kSecond).contains("b"));
}

TEST_CASE("a pair is to meet once its heartbeat can be seen where it was sent") {
  World world;
  const auto beats = world.due(10 * kSecond);
  world.heartbeats->seen("b", 400);
  world.heartbeats->sent(beats.at("b"), 500, 11 * kSecond);
  CHECK(world.heartbeats->to_carry().empty());
  world.heartbeats->seen("b", 500);
  CHECK(world.heartbeats->to_carry() == std::vector<Planner::PairId>{0});
  world.heartbeats->met(kFromB, 500, 12 * kSecond);
  CHECK(world.heartbeats->to_carry().empty());

  World scheduled(Mode::two_way, false);
  scheduled.heartbeats->sent(scheduled.due(10 * kSecond).at("b"), 500, 11 * kSecond);
  scheduled.heartbeats->seen("b", 500);
  CHECK(scheduled.heartbeats->to_carry().empty());
}

TEST_CASE("a session that is faster than the news that a heartbeat was sent is not missed") {
  World world;
  const auto beats = world.due(10 * kSecond);
  world.heartbeats->met(kFromB, 500, 10 * kSecond);
  world.heartbeats->sent(beats.at("b"), 500, 11 * kSecond);
  CHECK_FALSE(world.heartbeats->on_its_way_us(kFromB));
}

TEST_CASE("a heartbeat that went with its control tables does not end all others") {
  World world;
  const auto beats = world.due(10 * kSecond);
  world.heartbeats->sent(beats.at("b"), 500, 11 * kSecond);
  // This session looked before the heartbeat was there.
  world.heartbeats->met(kFromB, 300, 10 * kSecond);
  CHECK(world.heartbeats->on_its_way_us(kFromB) == 500);
  world.heartbeats->met(kFromB, 0, 12 * kSecond);
  CHECK_FALSE(world.heartbeats->on_its_way_us(kFromB));
}

TEST_CASE("what an earlier daemon sent is still on its way") {
  World world;
  world.heartbeats->remember(kToB, 300, kSecond);
  CHECK(world.due(10 * kSecond).at("a").size() == 1);
  CHECK(world.heartbeats->on_its_way_us(kToB) == 300);
  world.heartbeats->met(kToB, 300, 2 * kSecond);
  CHECK_FALSE(world.heartbeats->on_its_way_us(kToB));
}
