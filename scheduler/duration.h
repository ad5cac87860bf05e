// Durations as people write them.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace tidemark::scheduler {

/// "500ms", "30s", "5m", "2h", "1d"; nothing for other words and beyond a hundred years.
std::optional<std::chrono::microseconds> parse_duration(std::string_view text);

}  // namespace tidemark::scheduler
