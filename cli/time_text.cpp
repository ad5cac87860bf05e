#include "cli/time_text.h"

#include <date/date.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace tidemark::cli {
namespace {

using MicroTime = date::sys_time<std::chrono::microseconds>;

/// Whoever writes a time outside of these years wrote nonsense; date's calendar ends not far
/// beyond.
constexpr std::int64_t kEarliestUs = -62'135'596'800'000'000;  // year 1
constexpr std::int64_t kLatestUs = 253'402'300'799'999'999;    // year 9999

MicroTime to_time(std::int64_t time_us) {
  if (time_us < kEarliestUs) time_us = kEarliestUs;
  if (time_us > kLatestUs) time_us = kLatestUs;
  return MicroTime(std::chrono::microseconds(time_us));
}

}  // namespace

std::string rfc3339(std::int64_t time_us) { return date::format("%FT%TZ", to_time(time_us)); }

std::string short_time(std::int64_t time_us) {
  // Harvest numbers changes that have no time of their own from zero.
  if (time_us >= 0 && time_us < 1'000'000) return "before activation";
  return date::format("%F %T UTC", date::floor<std::chrono::seconds>(to_time(time_us)));
}

std::string relative_time(std::int64_t time_us, std::int64_t now) {
  const std::int64_t distance_us = now > time_us ? now - time_us : time_us - now;
  const std::int64_t seconds = distance_us / 1'000'000;
  if (seconds < 1) return "just now";
  std::string amount;
  if (seconds < 90) {
    amount = std::to_string(seconds) + " s";
  } else if (seconds < 90 * 60) {
    amount = std::to_string(seconds / 60) + " min";
  } else if (seconds < 36 * 3600) {
    amount = std::to_string(seconds / 3600) + " h";
  } else {
    amount = std::to_string(seconds / 86400) + " days";
  }
  return now > time_us ? amount + " ago" : "in " + amount;
}

std::string duration_text(std::int64_t duration_us) {
  char text[64];
  const double seconds = static_cast<double>(duration_us) / 1e6;
  if (seconds < 60) {
    std::snprintf(text, sizeof text, "%.2f s", seconds);
  } else {
    const std::int64_t whole = duration_us / 1'000'000;
    std::snprintf(text, sizeof text, "%lld min %lld s", static_cast<long long>(whole / 60),
                  static_cast<long long>(whole % 60));
  }
  return text;
}

std::int64_t now_us() {
  using std::chrono::system_clock;
  return std::chrono::duration_cast<std::chrono::microseconds>(
             system_clock::now().time_since_epoch())
      .count();
}

}  // namespace tidemark::cli
