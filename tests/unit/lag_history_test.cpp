#include "scheduler/lag_history.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include <nlohmann/json.hpp>

using namespace tidemark::scheduler;

namespace {

constexpr std::int64_t kHour = 3'600'000'000;
constexpr std::int64_t kStart = 500'000 * kHour;

/// A file that is gone afterwards.
struct File {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("tidemark-lags-" + std::to_string(::getpid()));
  ~File() { std::filesystem::remove(path); }
};

}  // namespace

TEST_CASE("the newest lags and each hour are summed up") {
  LagHistory lags;
  CHECK(lags.empty());
  for (int i = 1; i <= 100; ++i) lags.measured(i, kStart + i);
  for (int i = 1; i <= 10; ++i) lags.measured(1000 * i, kStart + kHour + i);
  CHECK(lags.last_us() == 10'000);
  CHECK(lags.newest().measured == 110);
  const auto hours = lags.hours();
  REQUIRE(hours.size() == 2);
  CHECK(hours[0] ==
        LagHistory::Summary{
            .since_us = kStart, .measured = 100, .p50_us = 50, .p99_us = 99, .most_us = 100});
  CHECK(hours[1].since_us == kStart + kHour);
  CHECK(hours[1].measured == 10);
  CHECK(hours[1].p50_us == 5000);
  CHECK(hours[1].most_us == 10'000);
}

TEST_CASE("a history is bounded, whatever is measured and however clocks are set") {
  LagHistory lags;
  for (int i = 0; i < 5000; ++i) lags.measured(i, kStart + i);
  CHECK(lags.newest().measured == LagHistory::kNewest);
  CHECK(lags.hours().back().measured == 5000);
  for (int i = 0; i < 500; ++i) lags.measured(i, kStart + (i % 2 == 0 ? i : -i) * kHour);
  CHECK(lags.hours().size() <= LagHistory::kHours + 1);
}

TEST_CASE("hours in which nothing arrived tell how far behind the target was") {
  LagHistory lags;
  lags.measured(5, kStart);
  for (int hour = 0; hour < 100; ++hour) lags.waits(kStart + 1, kStart + hour * kHour + kHour / 2);
  const auto hours = lags.hours();
  REQUIRE(hours.size() == LagHistory::kHours);
  for (std::size_t i = 1; i < hours.size(); ++i) {
    CHECK(hours[i].since_us == hours[i - 1].since_us + kHour);
    CHECK(hours[i].behind_us == hours[i - 1].behind_us + kHour);
    CHECK(hours[i].measured == 0);
  }
  CHECK(hours.back().behind_us == 99 * kHour + kHour / 2 - 1);
  CHECK(lags.newest().measured == 1);
  lags.measured(100 * kHour, kStart + 100 * kHour);
  CHECK(lags.hours().back().most_us == 100 * kHour);
  CHECK(lags.hours().back().behind_us == 0);
}

TEST_CASE("what waits and was never measured is told") {
  const LagHistory none;
  CHECK(lag_json(none, std::nullopt, {}).is_null());
  const auto json = lag_json(none, std::nullopt, {.since_us = 7});
  CHECK(json["behind_since_us"] == 7);
  CHECK(json["p50_us"].is_null());
}

TEST_CASE("what was measured is read again as it was written") {
  const File file;
  std::map<LagKey, KeptLags> lags;
  KeptLags& kept = lags[{.job = "j\xff\"", .source = "a", .target = "b"}];
  for (int i = 0; i < 300; ++i) kept.lags.measured(i, kStart + i * kHour / 20);
  kept.lags.waits(kStart, kStart + 20 * kHour);
  kept.heartbeat_us = 7;
  kept.behind = {.since_us = 8, .met_at_us = 9};
  REQUIRE(save_lags(file.path, lags));
  const auto again = load_lags(file.path);
  REQUIRE(again.size() == 1);
  CHECK(again.begin()->second == kept);
}

TEST_CASE("a file that is missing or damaged is an empty history") {
  const File file;
  CHECK(load_lags(file.path).empty());
  for (const char* text : {"", "{", "[]", "{\"format\":2}", "{\"format\":2,\"lags\":[{}]}",
                           "{\"format\":1,\"lags\":[]}", "{\"format\":\"x\",\"lags\":3}"}) {
    std::ofstream(file.path) << text;
    CHECK(load_lags(file.path).empty());
  }
  CHECK_FALSE(save_lags("/nowhere/lags", {}));
}
