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
  const auto judged = [&](std::int64_t silent_s, std::int64_t at_s) {
    return book.judge("j", config(), {.silent_us = silent_s * kSecond}, kNow + at_s * kSecond);
  };
  CHECK(judged(599, 599).empty());
  auto events = judged(600, 600);
  REQUIRE(events.size() == 1);
  CHECK(events[0].kind == "no_success");
  CHECK(events[0].begins);
  CHECK(judged(700, 700).empty());
  events = judged(0, 800);
  REQUIRE(events.size() == 1);
  CHECK_FALSE(events[0].begins);
  CHECK(events[0].since_us == kNow + 600 * kSecond);
  CHECK(judged(1, 801).empty());
}

TEST_CASE("an incident that comes and goes is not reported again and again") {
  AlertBook book;
  int begins = 0;
  for (int second = 0; second < 3600; ++second) {
    const JobHealth health{.waiting_rows = second % 2};
    for (const AlertEvent& event : book.judge("j", config(), health, kNow + second * kSecond)) {
      if (event.begins) ++begins;
    }
  }
  CHECK(begins == 3600 * kSecond / AlertBook::kQuietUs);
}

TEST_CASE("conflicts are counted over an hour") {
  AlertBook book;
  const auto judged = [&](std::int64_t at_us) { return book.judge("j", config(), {}, at_us); };
  book.conflicts("j", 1, kNow);
  CHECK(judged(kNow).empty());
  book.conflicts("j", 1, kNow + kSecond);
  REQUIRE(judged(kNow + kSecond).size() == 1);
  CHECK(judged(kNow + 2 * kSecond).empty());
  const auto events = judged(kNow + AlertBook::kConflictWindowUs + kSecond);
  REQUIRE(events.size() == 1);
  CHECK_FALSE(events[0].begins);
  CHECK(book.conflicts().empty());
}

TEST_CASE("the conflicts of an hour are counted over a restart, and kept by the minute") {
  AlertBook before;
  for (int i = 0; i < 7200; ++i) before.conflicts("j", 1, kNow + i * kSecond / 2);
  CHECK(before.conflicts().at("j").size() == 60);
  REQUIRE(before.judge("j", config(), {}, kNow + 3600 * kSecond).size() == 1);
  AlertBook book(before.open(), before.conflicts());
  CHECK(book.judge("j", config(), {}, kNow + 3601 * kSecond).empty());
  AlertBook half(AlertBook::Open{}, AlertBook::Conflicts{{"j", {{kNow, 1}}}});
  half.conflicts("j", 1, kNow + 600 * kSecond);
  CHECK(half.judge("j", config(), {}, kNow + 600 * kSecond).size() == 1);
}

TEST_CASE("what a daemon before had reported is not reported anew, and ends") {
  AlertBook book(AlertBook::Open{{"j", {{"quarantine", kNow}}}});
  CHECK(book.judge("j", config(), {.waiting_rows = 3}, kNow).empty());
  CHECK(book.judge("j", config(), {}, kNow).size() == 1);
}

TEST_CASE("rows in quarantine that nobody has counted yet end no incident") {
  AlertBook book(AlertBook::Open{{"j", {{"quarantine", kNow}}}});
  CHECK(book.judge("j", config(), {.waiting_is_known = false}, kNow).empty());
  CHECK(book.open().size() == 1);
  AlertBook other;
  CHECK(other.judge("j", config(), {.waiting_rows = 1, .waiting_is_known = false}, kNow).size() ==
        1);
  CHECK(other.judge("j", config(), {.waiting_is_known = false}, kNow).empty());
}

TEST_CASE("silence is the time in which a pair was to run, over all stops") {
  Silence silence;
  CHECK(silence.length_us(kNow) == 0);
  silence.count(kNow);
  silence.count(kNow + kSecond);
  CHECK(silence.length_us(kNow + 5 * kSecond) == 5 * kSecond);
  silence.stop(kNow + 5 * kSecond);
  silence.stop(kNow + 6 * kSecond);
  CHECK(silence.length_us(kNow + 60 * kSecond) == 5 * kSecond);
  silence.count(kNow + 60 * kSecond);
  CHECK(silence.length_us(kNow + 61 * kSecond) == 6 * kSecond);
  CHECK(silence.length_us(kNow - kSecond) == 5 * kSecond);  // the clock was set back
}

TEST_CASE("a job that is paused or another daemon's has no incidents") {
  AlertBook book;
  CHECK(book.judge("j", config(),
                   {.silent_us = 9'000 * kSecond, .waiting_rows = 9, .watched = false}, kNow)
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
