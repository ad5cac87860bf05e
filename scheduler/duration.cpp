#include "scheduler/duration.h"

#include <charconv>
#include <cstdint>
#include <map>

namespace tidemark::scheduler {
namespace {

constexpr std::chrono::hours kMaxDuration = std::chrono::days(36500);

}  // namespace

std::optional<std::chrono::microseconds> parse_duration(std::string_view text) {
  std::int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  if (parsed.ec != std::errc() || number < 0) return std::nullopt;
  const std::string_view unit(parsed.ptr, static_cast<std::size_t>(end - parsed.ptr));
  static const std::map<std::string_view, std::chrono::microseconds> kUnits = {
      {"ms", std::chrono::milliseconds(1)}, {"s", std::chrono::seconds(1)},
      {"m", std::chrono::minutes(1)},       {"h", std::chrono::hours(1)},
      {"d", std::chrono::days(1)},
  };
  const auto found = kUnits.find(unit);
  if (found == kUnits.end()) return std::nullopt;
  if (number > std::chrono::microseconds(kMaxDuration) / found->second) return std::nullopt;
  return number * found->second;
}

}  // namespace tidemark::scheduler
