#include "scheduler/lag_history.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <utility>

#include <nlohmann/json.hpp>

namespace tidemark::scheduler {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t kHourUs = 3'600'000'000;
constexpr mode_t kOwnerOnly = 0600;
constexpr int kFormat = 2;

/// Fills in what the values tell.
template <typename Iterator>
void summarize(Iterator begin, Iterator end, LagHistory::Summary& summary) {
  std::vector<std::int64_t> sorted(begin, end);
  if (sorted.empty()) return;
  std::sort(sorted.begin(), sorted.end());
  const auto at = [&sorted](double share) {
    return sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1))];
  };
  constexpr double kHalf = 0.5;
  constexpr double kNearlyAll = 0.99;
  summary.p50_us = at(kHalf);
  summary.p99_us = at(kNearlyAll);
}

}  // namespace

void LagHistory::enter_hour(std::int64_t now_us) {
  const std::int64_t hour_us = now_us - now_us % kHourUs;
  if (hour_.since_us != 0 && hour_us != hour_.since_us) {
    hours_ = [this] {
      const std::vector<Summary> all = hours();
      return std::deque<Summary>(all.begin(), all.end());
    }();
    if (hours_.size() >= kHours) hours_.pop_front();
    hour_ = {};
    of_this_hour_ = 0;
  }
  hour_.since_us = hour_us;
}

void LagHistory::waits(std::int64_t since_us, std::int64_t now_us) {
  enter_hour(now_us);
  hour_.behind_us = std::max(hour_.behind_us, now_us - since_us);
}

void LagHistory::measured(std::int64_t lag_us, std::int64_t now_us) {
  enter_hour(now_us);
  ++hour_.measured;
  hour_.most_us = std::max(hour_.most_us, lag_us);
  last_at_us_ = now_us;
  newest_.push_back(lag_us);
  if (newest_.size() > kNewest) newest_.pop_front();
  of_this_hour_ = std::min(of_this_hour_ + 1, newest_.size());
}

LagHistory::Summary LagHistory::newest() const {
  Summary summary{.measured = static_cast<std::int64_t>(newest_.size())};
  summarize(newest_.begin(), newest_.end(), summary);
  if (!newest_.empty()) summary.most_us = *std::max_element(newest_.begin(), newest_.end());
  return summary;
}

std::vector<LagHistory::Summary> LagHistory::hours() const {
  std::vector<Summary> all(hours_.begin(), hours_.end());
  if (hour_.since_us == 0) return all;
  all.push_back(hour_);
  summarize(newest_.end() - static_cast<std::ptrdiff_t>(of_this_hour_), newest_.end(), all.back());
  return all;
}

/// How a history is written down.
struct LagFile {
  static Json json(const LagHistory::Summary& hour) {
    return {hour.since_us, hour.measured, hour.p50_us, hour.p99_us, hour.most_us, hour.behind_us};
  }

  static LagHistory::Summary hour(const Json& json) {
    return {.since_us = json.at(0),
            .measured = json.at(1),
            .p50_us = json.at(2),
            .p99_us = json.at(3),
            .most_us = json.at(4),
            .behind_us = json.at(5)};
  }

  static Json json(const LagHistory& lags) {
    Json hours = Json::array();
    for (const LagHistory::Summary& each : lags.hours_) hours.push_back(json(each));
    return {{"newest", lags.newest_},
            {"of_this_hour", lags.of_this_hour_},
            {"hour", json(lags.hour_)},
            {"hours", std::move(hours)},
            {"last_at_us", lags.last_at_us_}};
  }

  static LagHistory lags(const Json& json) {
    LagHistory lags;
    lags.newest_ = json.at("newest").get<std::deque<std::int64_t>>();
    lags.of_this_hour_ = std::min(json.at("of_this_hour").get<std::size_t>(), lags.newest_.size());
    lags.hour_ = hour(json.at("hour"));
    for (const Json& each : json.at("hours")) lags.hours_.push_back(hour(each));
    lags.last_at_us_ = json.at("last_at_us");
    return lags;
  }
};

Json lag_json(const LagHistory& lags, std::optional<std::int64_t> on_its_way_us,
              const Behind& behind) {
  const std::vector<LagHistory::Summary> all = lags.hours();
  if (all.empty() && !on_its_way_us && behind.since_us == 0) return nullptr;
  Json json = {{"heartbeat_on_its_way_us", nullptr}, {"behind_since_us", nullptr}};
  if (on_its_way_us) json["heartbeat_on_its_way_us"] = *on_its_way_us;
  if (behind.since_us != 0) json["behind_since_us"] = behind.since_us;
  Json hours = Json::array();
  for (const LagHistory::Summary& hour : all) {
    hours.push_back({{"since_us", hour.since_us},
                     {"measured", hour.measured},
                     {"p50_us", hour.p50_us},
                     {"p99_us", hour.p99_us},
                     {"most_us", hour.most_us},
                     {"behind_us", hour.behind_us}});
  }
  json["hours"] = std::move(hours);
  const LagHistory::Summary newest = lags.newest();
  json["measured"] = newest.measured;
  for (const char* name : {"last_us", "last_at_us", "p50_us", "p99_us"}) json[name] = nullptr;
  if (lags.empty()) return json;
  json["last_us"] = lags.last_us();
  json["last_at_us"] = lags.last_at_us();
  json["p50_us"] = newest.p50_us;
  json["p99_us"] = newest.p99_us;
  return json;
}

std::filesystem::path lag_file_of(const std::filesystem::path& state) {
  return state.string() + ".lags";
}

std::map<LagKey, KeptLags> load_lags(const std::filesystem::path& file) {
  std::ifstream input(file);
  const std::string text((std::istreambuf_iterator<char>(input)), std::istreambuf_iterator<char>());
  std::map<LagKey, KeptLags> lags;
  try {
    const Json json = Json::parse(text);
    if (json.at("format") != kFormat) return {};
    for (const Json& each : json.at("lags")) {
      lags[{.job = each.at("job"), .source = each.at("source"), .target = each.at("target")}] = {
          .lags = LagFile::lags(each),
          .heartbeat_us = each.at("heartbeat_us"),
          .behind = {.since_us = each.at("behind_since_us"), .met_at_us = each.at("met_at_us")}};
    }
  } catch (const Json::exception&) {
    return {};
  }
  return lags;
}

bool save_lags(const std::filesystem::path& file, const std::map<LagKey, KeptLags>& lags) {
  Json list = Json::array();
  for (const auto& [key, kept] : lags) {
    Json each = LagFile::json(kept.lags);
    each["job"] = key.job;
    each["source"] = key.source;
    each["target"] = key.target;
    each["heartbeat_us"] = kept.heartbeat_us;
    each["behind_since_us"] = kept.behind.since_us;
    each["met_at_us"] = kept.behind.met_at_us;
    list.push_back(std::move(each));
  }
  const std::string text = Json{{"format", kFormat}, {"lags", std::move(list)}}.dump(
                               -1, ' ', false, Json::error_handler_t::replace) +
                           "\n";
  const std::filesystem::path draft = file.string() + ".new";
  const int descriptor =
      ::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, kOwnerOnly);
  if (descriptor < 0) return false;
  const bool written =
      ::write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  return ::close(descriptor) == 0 && written && ::rename(draft.c_str(), file.c_str()) == 0;
}

}  // namespace tidemark::scheduler
