#include "scheduler/planner.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

using namespace tidemark;
using namespace tidemark::scheduler;

namespace {

constexpr std::int64_t kSecond = 1'000'000;
constexpr std::int64_t kNoon = 1'800'000'000 * kSecond;

/// Jobs of nodes a, b, c ..., and a clock that is moved by hand.
class World {
 public:
  Planner::Limits limits;
  std::set<std::string> exclusive;
  Moment now{.day_us = kNoon, .steady_us = 1000 * kSecond};

  Timing& job(const std::string& name, std::vector<std::string> nodes, Mode mode = Mode::two_way) {
    auto config = std::make_unique<JobConfig>();
    config->name = name;
    config->nodes = std::move(nodes);
    config->mode = mode;
    configs_.push_back(std::move(config));
    timings_.push_back(std::make_unique<Timing>());
    return *timings_.back();
  }
  Timing& continuous(const std::string& name, std::vector<std::string> nodes) {
    Timing& timing = job(name, std::move(nodes));
    timing.continuous = timing.at_start = true;
    return timing;
  }
  Timing& every(const std::string& name, std::vector<std::string> nodes, std::int64_t period_us) {
    Timing& timing = job(name, std::move(nodes));
    timing.at_start = true;
    timing.next = [period_us](std::int64_t after_us) { return after_us + period_us; };
    return timing;
  }

  /// Due at every multiple of the period, and not at the start.
  Timing& cron(const std::string& name, std::vector<std::string> nodes, std::int64_t period_us) {
    Timing& timing = job(name, std::move(nodes));
    timing.next = [period_us](std::int64_t after_us) {
      return (after_us / period_us + 1) * period_us;
    };
    return timing;
  }

  Planner& planner() {
    if (!planner_) {
      std::vector<Planner::Job> jobs;
      for (std::size_t i = 0; i < configs_.size(); ++i) {
        jobs.push_back({.config = configs_[i].get(), .timing = *timings_[i]});
      }
      planner_ = std::make_unique<Planner>(std::move(jobs), exclusive, limits, now);
    }
    return *planner_;
  }

  /// Another planner takes over, as when a configuration is read anew.
  void renew() {
    planner().raise_due(now);
    std::vector<Planner::Debt> debts;
    for (Planner::PairId id = 0; id < planner().pairs().size(); ++id) {
      debts.push_back(planner().debt(id));
    }
    planner_.reset();
    for (Planner::PairId id = 0; id < debts.size(); ++id) planner().take_over(id, debts[id]);
  }

  JobConfig& config(std::size_t job) { return *configs_[job]; }

  void pass(std::int64_t us) {
    now.day_us += us;
    now.steady_us += us;
  }
  std::vector<Planner::PairId> begun() { return planner().decide(now).begin; }
  Planner::DoneRuns done(Planner::PairId pair, const Planner::Done& what = {}) {
    return planner().done(pair, what, now);
  }
  /// Runs what begins until nothing does, without time passing beyond the rests.
  int settle() {
    int sessions = 0;
    for (int i = 0; i < 100; ++i) {
      const auto pairs = begun();
      for (const Planner::PairId pair : pairs)
        done(pair, {.first_knows = {{"t", 1}}, .second_knows = {{"t", 1}}});
      sessions += static_cast<int>(pairs.size());
      pass(limits.max_rest_us);
      if (pairs.empty()) break;
    }
    return sessions;
  }
  void look(const std::string& node, bool pending, std::uint64_t knowledge,
            const std::string& table = "t") {
    Pulse pulse{.generation = ++generation_};
    pulse.tables[table] = {.pending = pending, .knowledge = knowledge};
    planner().looked(node, pulse);
  }

 private:
  std::vector<std::unique_ptr<JobConfig>> configs_;
  std::vector<std::unique_ptr<Timing>> timings_;
  std::unique_ptr<Planner> planner_;
  std::int64_t generation_ = 0;
};

using Pairs = std::vector<Planner::PairId>;

}  // namespace

TEST_CASE("a continuous pair meets once at the start and then when somebody wrote") {
  World world;
  world.continuous("ab", {"a", "b"});
  CHECK(world.settle() == 1);
  world.look("a", false, 1);
  world.look("b", false, 1);
  CHECK(world.begun() == Pairs{});
  world.look("a", true, 1);
  CHECK(world.begun() == Pairs{0});
  CHECK(world.begun() == Pairs{});  // never twice at a time
}

TEST_CASE("what a session wrote itself is no reason for another one") {
  World world;
  world.continuous("ab", {"a", "b"});
  world.settle();
  world.look("a", true, 1);
  REQUIRE(world.begun() == Pairs{0});
  // The harvest and the apply are noticed while the session runs, and after it.
  world.look("a", false, 2);
  world.done(0, {.second_learned = true, .first_knows = {{"t", 2}}, .second_knows = {{"t", 3}}});
  world.look("b", false, 3);
  world.pass(world.limits.max_rest_us);
  CHECK(world.begun() == Pairs{});
  // What a third node brought is.
  world.look("a", false, 4);
  CHECK(world.begun() == Pairs{0});
}

TEST_CASE("a change during a session is carried right after it") {
  World world;
  world.continuous("ab", {"a", "b"});
  world.settle();
  world.look("a", true, 1);
  REQUIRE(world.begun() == Pairs{0});
  world.look("a", true, 2);
  world.done(0, {.first_knows = {{"t", 2}}, .second_knows = {{"t", 2}}});
  world.pass(world.limits.max_rest_us);
  CHECK(world.begun() == Pairs{0});
}

TEST_CASE("a log that no session can empty does not keep a pair at work for ever") {
  World world;
  world.continuous("ab", {"a", "b"});
  world.settle();
  world.look("a", true, 1);
  CHECK(world.settle() == 1);
  CHECK(world.settle() == 0);
}

TEST_CASE("changes of tables that the job leaves out are nobody's business") {
  World world;
  world.continuous("ab", {"a", "b"});
  world.config(0).exclude = {"x"};
  world.settle();
  world.look("a", true, 1, "x");
  CHECK(world.begun() == Pairs{});
}

TEST_CASE("a pair rests after a session in proportion to its length, longer from busy writers") {
  const Planner::Limits limits;
  struct Case {
    std::int64_t took_us, changes, rest_us;
  };
  const std::vector<Case> cases{
      {10'000, limits.busy_changes - 1, 10'000 * limits.rest_factor},
      {10'000, limits.busy_changes, 10'000 * limits.busy_rest_factor},
      {1, 1, limits.min_rest_us},
      {60'000'000, limits.flood_changes - 1, limits.max_rest_us},
      {60'000'000, limits.flood_changes, limits.flood_rest_us},
  };
  for (const Case& each : cases) {
    CAPTURE(each.changes);
    World world;
    world.continuous("ab", {"a", "b"});
    world.settle();
    world.look("a", true, 1);
    REQUIRE(world.begun() == Pairs{0});
    world.pass(each.took_us);
    world.look("a", true, 2);
    world.done(0, {.changes = each.changes});
    const Planner::Decision waits = world.planner().decide(world.now);
    CHECK(waits.begin == Pairs{});
    REQUIRE(waits.wake_us);
    CHECK(*waits.wake_us == world.now.steady_us + each.rest_us);
    world.pass(each.rest_us);
    CHECK(world.begun() == Pairs{0});
  }
}

TEST_CASE("no more sessions than allowed are at work, and the longest waiting goes first") {
  World world;
  world.limits.parallel = 2;
  for (const char* name : {"j0", "j1", "j2", "j3"}) {
    world.continuous(name, {std::string(name) + "a", std::string(name) + "b"});
  }
  CHECK(world.begun() == Pairs{0, 1});
  world.pass(1000);
  world.done(0);
  world.look("j0a", true, 1);
  world.pass(world.limits.max_rest_us);
  CHECK(world.begun() == Pairs{2});  // not 0 again
}

TEST_CASE("a session that hangs makes room for others") {
  World world;
  world.limits.parallel = 1;
  world.continuous("hangs", {"a", "b"});
  world.continuous("works", {"c", "d"});
  CHECK(world.begun() == Pairs{0});
  world.pass(world.limits.stalled_us - 1);
  CHECK(world.begun() == Pairs{});
  world.pass(1);
  CHECK(world.begun() == Pairs{1});
}

TEST_CASE("a file takes part in one session at a time, a server in many") {
  World world;
  world.continuous("all", {"hub", "a", "b"});
  SUBCASE("server") { CHECK(world.begun() == Pairs{0, 1}); }
  SUBCASE("file") {
    world.exclusive = {"hub", "a", "b"};
    CHECK(world.begun() == Pairs{0});
    world.done(0);
    CHECK(world.begun() == Pairs{1});
  }
}

TEST_CASE("a file is not kept by a session that hangs on another and was cut off") {
  World world;
  world.exclusive = {"a", "b", "c"};
  world.continuous("hangs", {"a", "b"});
  world.continuous("works", {"a", "c"});
  CHECK(world.begun() == Pairs{0});
  world.pass(100 * world.limits.stalled_us);
  CHECK(world.begun() == Pairs{});
  world.planner().abandon(0);
  CHECK(world.begun() == Pairs{1});
  world.done(1);
  // It is over: the file is in use again as always.
  world.planner().gave_up(0, world.now);
  world.pass(world.limits.max_rest_us);
  CHECK(world.begun() == Pairs{0});
  world.look("c", true, 1);
  world.pass(world.limits.max_rest_us);
  CHECK(world.begun() == Pairs{});
}

TEST_CASE(
    "what a kicked run left is nobody's wish where the job went to another daemon meanwhile") {
  World world;
  world.job("manual", {"a", "b"});
  world.planner().kick(0);
  CHECK(world.begun() == Pairs{0});
  CHECK(world.planner().lease(0, false));
  world.done(0, {.left_something = true});
  CHECK_FALSE(world.planner().debt(0).wanted);
  world.planner().lease(0, true);
  world.pass(world.limits.last_return_us);
  CHECK(world.begun() == Pairs{});
}

TEST_CASE("what a session left behind is returned to after longer and longer pauses") {
  World world;
  world.job("manual", {"a", "b"});
  world.planner().kick(0);
  CHECK(world.begun() == Pairs{0});
  for (const std::int64_t pause : {1, 2, 4, 8, 8}) {
    world.done(0, {.left_something = true});
    world.pass(pause * kSecond - 1);
    CHECK(world.begun() == Pairs{});
    world.pass(1);
    CHECK(world.begun() == Pairs{0});
  }
  world.done(0);
  CHECK(world.settle() == 0);
}

TEST_CASE("retries come later and later, not all at once, and one success ends them") {
  World world;
  world.continuous("ab", {"a", "b"});
  std::int64_t before_us = 0;
  for (int i = 0; i < 12; ++i) {
    REQUIRE(world.begun() == Pairs{0});
    const Moment next = world.planner().failed(0, 0.5, world.now);
    const std::int64_t pause_us = next.steady_us - world.now.steady_us;
    CHECK(pause_us >= before_us);
    CHECK(pause_us <= world.limits.last_retry_us);
    CHECK(next.day_us - world.now.day_us == pause_us);
    before_us = pause_us;
    world.pass(pause_us - 1);
    CHECK(world.begun() == Pairs{});
    world.pass(1);
  }
  CHECK(before_us > world.limits.last_retry_us / 2);
  REQUIRE(world.begun() == Pairs{0});
  world.done(0);
  world.look("a", true, 1);
  world.pass(world.limits.max_rest_us);
  REQUIRE(world.begun() == Pairs{0});
  CHECK(world.planner().failed(0, 1, world.now).steady_us - world.now.steady_us ==
        world.limits.first_retry_us);
}

TEST_CASE("a node that is back is met at once") {
  World world;
  world.continuous("ab", {"a", "b"});
  world.continuous("cd", {"c", "d"});
  REQUIRE(world.begun() == Pairs{0, 1});
  world.planner().failed(0, 1, world.now);
  world.planner().failed(1, 1, world.now);
  world.planner().is_back("b");
  CHECK(world.begun() == Pairs{0});
}

TEST_CASE("a run that was missed while the machine slept happens once") {
  World world;
  world.every("ab", {"a", "b"}, 30 * kSecond);
  CHECK(world.settle() == 1);
  world.now.day_us += 3600 * kSecond;  // the time since the start stood still
  CHECK(world.settle() == 1);
  world.pass(30 * kSecond);
  CHECK(world.settle() == 1);
}

TEST_CASE("a clock that is set back does not stop a schedule") {
  World world;
  world.every("ab", {"a", "b"}, 30 * kSecond);
  world.settle();
  world.now.day_us -= 7200 * kSecond;
  world.settle();
  world.pass(31 * kSecond);
  CHECK(world.settle() == 1);
}

TEST_CASE(
    "windows, pauses, holds and leases keep a job from running, and it runs once afterwards") {
  World world;
  Timing& timing = world.continuous("ab", {"a", "b"});
  bool excluded = false;
  timing.excluded_until = [&](std::int64_t now_us) {
    return excluded ? std::optional<std::int64_t>(now_us + 60 * kSecond) : std::nullopt;
  };
  world.settle();
  const auto set = [&](bool forbidden, int way) {
    if (way == 0) excluded = forbidden;
    if (way == 1) world.planner().pause(0, forbidden);
    if (way == 2) world.planner().hold(0, forbidden);
    if (way == 3) world.planner().lease(0, !forbidden);
  };
  for (int way = 0; way < 4; ++way) {
    CAPTURE(way);
    set(true, way);
    world.look("a", true, 10 + static_cast<std::uint64_t>(way));
    CHECK(world.begun() == Pairs{});
    set(false, way);
    CHECK(world.settle() == 1);
  }
  excluded = true;
  world.planner().pause(0, true);
  CHECK(world.begun() == Pairs{});
  world.planner().kick(0);  // somebody asks for it
  CHECK(world.begun() == Pairs{0});
}

TEST_CASE("a round that another daemon did is not done at a takeover, and one that it left is") {
  World holder, other;
  for (World* world : {&holder, &other}) {
    world->cron("all", {"hub", "b", "c"}, 3600 * kSecond);
    world->settle();
    world->planner().lease(0, world == &holder);
    world->pass(3600 * kSecond);
  }
  const std::int64_t due_us = kNoon + 3600 * kSecond;
  CHECK(other.begun() == Pairs{});
  CHECK(holder.begun() == Pairs{0, 1});
  other.pass(1800 * kSecond);
  SUBCASE("the holder died in the midst of it") {
    CHECK(holder.done(0).empty());
    holder.planner().failed(1, 1, holder.now);
    other.planner().lease(0, true, {});
    CHECK(other.begun() == Pairs{0, 1});
    CHECK(other.done(0).empty());
    CHECK(other.done(1) == Planner::DoneRuns{{"b", due_us}, {"c", due_us}});
    CHECK(other.settle() == 0);
    // The holder comes back to what the other made up for.
    holder.planner().lease(0, false);
    holder.pass(1800 * kSecond - 1);
    holder.planner().lease(0, true, {{"b", due_us}, {"c", due_us}});
    CHECK(holder.settle() == 0);
    CHECK(holder.planner().failures(1) == 0);
  }
  SUBCASE("the second meeting is left") {
    CHECK(holder.done(0).empty());
    CHECK(holder.done(1, {.first_learned = true}).empty());  // as is to be kept in the hub
    other.planner().lease(0, true, {});
    CHECK(other.begun() == Pairs{0, 1});
  }
  SUBCASE("the holder gets it back, and nobody knows what the other did of it") {
    CHECK(holder.done(0).empty());
    holder.planner().failed(1, 1, holder.now);
    holder.planner().lease(0, false);
    holder.pass(kSecond);
    holder.planner().lease(0, true, {});
    CHECK(holder.begun() == Pairs{0, 1});
  }
  SUBCASE("the round is over") {
    CHECK(holder.done(0).empty());
    CHECK(holder.done(1, {.first_learned = true}).empty());
    holder.pass(holder.limits.max_rest_us);
    REQUIRE(holder.begun() == Pairs{0});
    const Planner::DoneRuns runs = holder.done(0);
    CHECK(runs == Planner::DoneRuns{{"b", due_us}, {"c", due_us}});
    SUBCASE("and nothing is left") {
      other.planner().lease(0, true, runs);
      CHECK(other.settle() == 0);
    }
    SUBCASE("and nobody did what is due since") {
      other.pass(1800 * kSecond);
      other.begun();
      other.planner().lease(0, true, runs);
      CHECK(other.begun() == Pairs{0, 1});
    }
    SUBCASE("and somebody asked for it") {
      other.planner().kick(0);
      other.planner().lease(0, true, runs);
      CHECK(other.begun() == Pairs{0, 1});
    }
  }
}

TEST_CASE("a run that was missed is for the last of the times that passed") {
  for (const std::int64_t slept_us : {1, 59, 60, 61, 3 * 3600, 400 * 86'400}) {
    CAPTURE(slept_us);
    World world;
    world.cron("ab", {"hub", "b"}, 60 * kSecond);
    world.settle();
    world.planner().lease(0, false);
    world.now.day_us = kNoon + (60 + slept_us) * kSecond;
    world.begun();
    const std::int64_t last_us = kNoon + (60 + slept_us) / 60 * 60 * kSecond;
    CHECK(world.planner().debt(0).due_us == last_us);
    // Of several that it slept over another daemon did the first.
    world.planner().lease(0, true, {{"b", kNoon + 60 * kSecond}});
    CHECK(world.settle() == (slept_us < 60 ? 0 : 1));
  }
  World world;
  Timing& timing = world.job("ab", {"a", "b"});
  // Sixty times in an hour of each day.
  timing.next = [](std::int64_t after_us) {
    const std::int64_t minute = after_us / (60 * kSecond) + 1;
    const std::int64_t day = minute / 1440;
    return (minute % 1440 < 60 ? minute : (day + 1) * 1440) * 60 * kSecond;
  };
  world.settle();
  world.now.day_us += 10 * 86'400 * kSecond;
  world.planner().raise_due(world.now);
  const std::int64_t midnight_us = world.now.day_us / (86'400 * kSecond) * (86'400 * kSecond);
  REQUIRE(world.now.day_us - midnight_us > 3600 * kSecond);
  CHECK(world.planner().debt(0).due_us == midnight_us + 59 * 60 * kSecond);
  CHECK(world.settle() == 1);
}

TEST_CASE("a round that was kept by a daemon that was killed begins anew") {
  const auto killed = [](World& world, const std::function<void(World&)>& before) {
    world.exclusive = {"a"};
    before(world);
    CHECK(world.begun() == Pairs{0});
    world.done(0);
    world.pass(kSecond);
    CHECK(world.begun() == Pairs{1});
    world.renew();
    world.planner().begin_round_anew(0);
    CHECK(world.begun() == Pairs{0});
    world.done(0);
    world.pass(kSecond);
    CHECK(world.begun() == Pairs{1});
    world.done(1);
    CHECK(world.settle() == 0);
    world.renew();
    world.planner().begin_round_anew(0);
    CHECK(world.settle() == 0);
  };
  World world;
  SUBCASE("of a schedule") {
    world.cron("all", {"a", "b", "c"}, 3600 * kSecond);
    killed(world, [](World& it) {
      it.settle();
      it.pass(3600 * kSecond);
    });
  }
  SUBCASE("that somebody asked for") {
    world.job("all", {"a", "b", "c"});
    killed(world, [](World& it) { it.planner().kick(0); });
  }
}

TEST_CASE("the second meeting of a run that somebody asked for is asked for as well") {
  World world;
  world.job("all", {"a", "b", "c"});
  world.exclusive = {"a"};
  world.planner().pause(0, true);
  world.planner().kick(0);
  CHECK(world.begun() == Pairs{0});
  world.done(0);
  CHECK(world.begun() == Pairs{1});
  world.done(1, {.first_learned = true});
  world.renew();
  world.planner().pause(0, true);
  world.pass(world.limits.max_rest_us);
  CHECK(world.begun() == Pairs{0});
  world.done(0);
  CHECK(world.settle() == 0);
}

TEST_CASE("what a later pair brought to the first node reaches those that met before") {
  World world;
  world.job("all", {"hub", "a", "b", "c"}).next = [](std::int64_t after_us) {
    return after_us + 60 * kSecond;
  };
  world.limits.parallel = 1;
  world.pass(0);
  world.planner();
  world.pass(60 * kSecond);
  std::vector<Planner::PairId> order;
  for (int i = 0; i < 10; ++i) {
    const auto pairs = world.begun();
    if (pairs.empty()) break;
    order.push_back(pairs.front());
    world.done(pairs.front(), {.first_learned = pairs.front() == 1});
    world.pass(kSecond);
  }
  CHECK(order == Pairs{0, 1, 2, 0});
}

TEST_CASE("a continuous pair meets now and then although nobody was seen to write") {
  World world;
  world.continuous("ab", {"a", "b"});
  world.settle();
  const Planner::Decision idle = world.planner().decide(world.now);
  CHECK(idle.begin == Pairs{});
  REQUIRE(idle.wake_us);
  CHECK(*idle.wake_us > world.now.steady_us);
  world.pass(world.limits.sweep_us);
  CHECK(world.begun() == Pairs{0});
}

TEST_CASE("a planner that takes over does what the one before it left undone, once") {
  World world;
  Timing& timing = world.cron("ab", {"a", "b"}, 3600 * kSecond);
  bool excluded = false;
  timing.excluded_until = [&](std::int64_t now_us) {
    return excluded ? std::optional<std::int64_t>(now_us + 60 * kSecond) : std::nullopt;
  };
  CHECK(world.settle() == 0);
  SUBCASE("it fell due while the one took over from the other") {
    world.pass(3600 * kSecond);
    world.renew();
  }
  SUBCASE("it waits for its next try") {
    world.pass(3600 * kSecond);
    CHECK(world.begun() == Pairs{0});
    world.planner().failed(0, 1, world.now);
    world.renew();
    CHECK(world.planner().failures(0) == 1);
    CHECK(world.begun() == Pairs{});
    world.pass(kSecond);
  }
  SUBCASE("it waits for the end of a window") {
    excluded = true;
    world.pass(3600 * kSecond);
    CHECK(world.begun() == Pairs{});
    world.renew();
    CHECK(world.begun() == Pairs{});
    excluded = false;
  }
  SUBCASE("somebody asked for it") {
    excluded = true;
    world.planner().kick(0);
    world.renew();
  }
  SUBCASE("it was cut short") {
    excluded = true;
    world.planner().kick(0);
    CHECK(world.begun() == Pairs{0});
    world.planner().gave_up(0, world.now);
    world.renew();
  }
  SUBCASE("it was at work and did not end") {
    world.pass(3600 * kSecond);
    CHECK(world.begun() == Pairs{0});
    world.renew();
  }
  CHECK(world.begun() == Pairs{0});
  world.done(0);
  CHECK(world.planner().debt(0).wanted == false);
  world.renew();
  CHECK(world.settle() == 0);
}

TEST_CASE("a job that has become manual does not make up for its schedule") {
  World world;
  world.cron("ab", {"a", "b"}, 3600 * kSecond);
  world.settle();
  world.pass(3600 * kSecond);
  world.planner().raise_due(world.now);
  const Planner::Debt debt = world.planner().debt(0);
  CHECK(debt.wanted);
  World manual;
  manual.job("ab", {"a", "b"});
  manual.planner().take_over(0, debt);
  CHECK(manual.settle() == 0);
}

TEST_CASE("a run of a paused job that was asked for is tried until it succeeds") {
  World world;
  Timing& timing = world.cron("ab", {"a", "b"}, 3600 * kSecond);
  timing.excluded_until = [](std::int64_t now_us) { return now_us + 60 * kSecond; };
  world.planner().pause(0, true);
  world.planner().kick(0);
  CHECK(world.begun() == Pairs{0});
  world.planner().found_locked(0, world.now);
  CHECK(world.begun() == Pairs{});
  world.pass(world.limits.locked_retry_us);
  CHECK(world.begun() == Pairs{0});
  const Moment next = world.planner().failed(0, 1, world.now);
  CHECK(world.begun() == Pairs{});
  SUBCASE("when its time comes") { world.pass(next.steady_us - world.now.steady_us); }
  SUBCASE("when somebody asks again") { world.planner().kick(0); }
  SUBCASE("when a node is back") { world.planner().is_back("b"); }
  CHECK(world.begun() == Pairs{0});
  world.done(0);
  world.pass(3600 * kSecond);
  CHECK(world.begun() == Pairs{});
}

TEST_CASE("what was asked for goes with the lease, and what is due does not") {
  World world;
  world.job("ab", {"a", "b"});
  world.cron("cd", {"c", "d"}, 3600 * kSecond);
  world.continuous("ef", {"e", "f"});
  world.settle();
  world.pass(3600 * kSecond);
  for (std::size_t job = 0; job < 3; ++job) world.planner().kick(job);
  SUBCASE("it waits") { world.planner().raise_due(world.now); }
  SUBCASE("it has failed") {
    CHECK(world.begun() == Pairs{0, 1, 2});
    for (Planner::PairId id = 0; id < 3; ++id) world.planner().failed(id, 1, world.now);
  }
  SUBCASE("it is at work and ends then") {
    CHECK(world.begun() == Pairs{0, 1, 2});
    for (std::size_t job = 0; job < 3; ++job) CHECK(world.planner().lease(job, false));
    CHECK(!world.planner().debt(0).wanted);
    for (Planner::PairId id = 0; id < 3; ++id) world.planner().gave_up(id, world.now);
    // Once only.
    for (std::size_t job = 0; job < 3; ++job) CHECK(!world.planner().lease(job, false));
  }
  for (std::size_t job = 0; job < 3; ++job) world.planner().lease(job, false);
  for (Planner::PairId id = 0; id < 3; ++id) CHECK(!world.planner().debt(id).kicked);
  world.pass(60 * kSecond);
  CHECK(world.begun() == Pairs{});
  for (std::size_t job = 0; job < 3; ++job) CHECK(!world.planner().lease(job, true));
  CHECK(world.begun() == Pairs{1, 2});
}

TEST_CASE("a run that somebody asks for while the pair is at work follows at once") {
  World world;
  world.job("ab", {"a", "b"});
  world.planner().kick(0);
  REQUIRE(world.begun() == Pairs{0});
  world.pass(60 * kSecond);
  world.planner().kick(0);
  world.done(0);
  CHECK(world.begun() == Pairs{0});
  for (int i = 0; i < 5; ++i) world.planner().failed(0, 1, world.now);
  world.planner().kick(0);
  REQUIRE(world.begun() == Pairs{0});
  world.planner().kick(0);
  CHECK(world.planner().failed(0, 1, world.now).steady_us ==
        world.now.steady_us + world.limits.first_retry_us);
}

TEST_CASE("a job that began with its daemon and has another timing now owes nothing") {
  const auto failing = [](bool kicked) {
    World world;
    world.every("ab", {"a", "b"}, 30 * kSecond);
    world.settle();
    world.pass(30 * kSecond);
    REQUIRE(world.begun() == Pairs{0});
    world.planner().failed(0, 1, world.now);
    if (kicked) world.planner().kick(0);
    return world.planner().debt(0);
  };
  World first;
  first.continuous("ab", {"a", "b"});
  REQUIRE(first.begun() == Pairs{0});
  first.planner().failed(0, 1, first.now);
  for (const Planner::Debt& debt : {failing(false), first.planner().debt(0)}) {
    for (const bool manual : {true, false}) {
      CAPTURE(manual);
      World world;
      if (manual) {
        world.job("ab", {"a", "b"});
      } else {
        world.cron("ab", {"a", "b"}, 86'400 * kSecond);
      }
      world.planner().take_over(0, debt);
      CHECK(world.settle() == 0);
      CHECK(world.planner().failures(0) == 0);
    }
  }
  World world;
  world.job("ab", {"a", "b"});
  world.planner().take_over(0, failing(true));
  CHECK(world.settle() == 1);
}

TEST_CASE("a round goes on where a planner takes over") {
  World world;
  world.cron("all", {"a", "b", "c"}, 3600 * kSecond);
  world.exclusive = {"a"};
  world.settle();
  world.pass(3600 * kSecond);
  CHECK(world.begun() == Pairs{0});
  world.done(0);
  world.pass(kSecond);
  CHECK(world.begun() == Pairs{1});
  world.renew();
  CHECK(world.begun() == Pairs{1});
  world.done(1, {.first_learned = true, .first_knows = {}, .second_knows = {}});
  world.pass(kSecond);
  CHECK(world.begun() == Pairs{0});
}
