#include "scheduler/alerts.h"

#include <doctest/doctest.h>

#include <chrono>
#include <thread>

using namespace tidemark::scheduler;

namespace {

constexpr std::int64_t kSecond = 1'000'000;
constexpr std::int64_t kNow = 1'800'000'000 * kSecond;

AlertConfig config() {
  return {.no_success_for = std::chrono::minutes(10), .conflicts = 2, .quarantine = 1, .exec = "x"};
}

}  // namespace

TEST_CASE("an incident is reported once when it begins and once when it ends") {
  AlertBook book;
  JobHealth health{.last_success_us = kNow};
  CHECK(book.judge("j", config(), health, kNow + 599 * kSecond).empty());
  auto events = book.judge("j", config(), health, kNow + 600 * kSecond);
  REQUIRE(events.size() == 1);
  CHECK(events[0].kind == "no_success");
  CHECK(events[0].begins);
  CHECK(book.judge("j", config(), health, kNow + 700 * kSecond).empty());
  health.last_success_us = kNow + 800 * kSecond;
  events = book.judge("j", config(), health, kNow + 800 * kSecond);
  REQUIRE(events.size() == 1);
  CHECK_FALSE(events[0].begins);
  CHECK(events[0].since_us == kNow + 600 * kSecond);
  CHECK(book.judge("j", config(), health, kNow + 801 * kSecond).empty());
}

TEST_CASE("an incident that comes and goes is not reported again and again") {
  AlertBook book;
  int begins = 0;
  for (int second = 0; second < 3600; ++second) {
    const JobHealth health{.last_success_us = kNow + second * kSecond, .waiting_rows = second % 2};
    for (const AlertEvent& event : book.judge("j", config(), health, kNow + second * kSecond)) {
      if (event.begins) ++begins;
    }
  }
  CHECK(begins == 3600 * kSecond / AlertBook::kQuietUs);
}

TEST_CASE("conflicts are counted over an hour") {
  AlertBook book;
  const auto judged = [&](std::int64_t at_us) {
    return book.judge("j", config(), {.last_success_us = at_us}, at_us);
  };
  book.conflicts("j", 1, kNow);
  CHECK(judged(kNow).empty());
  book.conflicts("j", 1, kNow + kSecond);
  REQUIRE(judged(kNow + kSecond).size() == 1);
  CHECK(judged(kNow + 2 * kSecond).empty());
  const auto events = judged(kNow + AlertBook::kConflictWindowUs + kSecond);
  REQUIRE(events.size() == 1);
  CHECK_FALSE(events[0].begins);
}

TEST_CASE("what a daemon before had reported is not reported anew, and ends") {
  AlertBook book(AlertBook::Open{{"j", {{"quarantine", kNow}}}});
  CHECK(book.judge("j", config(), {.last_success_us = kNow, .waiting_rows = 3}, kNow).empty());
  CHECK(book.judge("j", config(), {.last_success_us = kNow}, kNow).size() == 1);
}

TEST_CASE("a job that is paused or another daemon's has no incidents") {
  AlertBook book;
  CHECK(book.judge("j", config(), {.last_success_us = 0, .waiting_rows = 9, .watched = false}, kNow)
            .empty());
}

TEST_CASE("commands get their input, and one that fails is told of") {
  std::vector<std::string> told;
  CommandRunner runner([&](const std::string& text) { told.push_back(text); });
  runner.run("test \"$(cat)\" = hello", "hello");
  runner.run("test \"$(cat)\" = hello", "other");
  for (int i = 0; i < 500 && runner.busy(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    runner.reap();
  }
  CHECK_FALSE(runner.busy());
  CHECK(told.size() == 1);
}
