// Times as people and programs read them. Everywhere else a time is a number of microseconds since
// 1970.
#pragma once

#include <cstdint>
#include <string>

namespace tidemark::cli {

/// RFC 3339 in UTC, for JSON: "2026-11-22T04:34:10.123456Z".
std::string rfc3339(std::int64_t time_us);

/// For people: "2026-11-22 04:34:10 UTC"; "before activation" for times at 1970, which rows get
/// whose change nobody saw.
std::string short_time(std::int64_t time_us);

/// How long ago, seen from `now_us`: "just now", "3 s ago", "in 2 min".
std::string relative_time(std::int64_t time_us, std::int64_t now_us);

/// "0.12 s", "3 min 20 s".
std::string duration_text(std::int64_t duration_us);

/// This machine's clock.
std::int64_t now_us();

}  // namespace tidemark::cli
