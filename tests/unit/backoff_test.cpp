#include "scheduler/backoff.h"

#include <doctest/doctest.h>

using namespace tidemark::scheduler;

TEST_CASE("pauses double up to the longest, and chance takes up to half of them") {
  constexpr std::int64_t kFirst = 1'000;
  constexpr std::int64_t kLast = 30'000;
  std::int64_t expected = kFirst;
  for (int failures = 1; failures <= 100'000; failures += failures < 10 ? 1 : 1000) {
    CHECK(backoff_us(failures, kFirst, kLast, 1) == expected);
    CHECK(backoff_us(failures, kFirst, kLast, 0) == expected / 2);
    CHECK(backoff_us(failures, kFirst, kLast, 0.5) == expected * 3 / 4);
    CHECK(is_longest_backoff(failures, kFirst, kLast) == (expected == kLast));
    expected = expected * 2 < kLast ? expected * 2 : kLast;
  }
}
