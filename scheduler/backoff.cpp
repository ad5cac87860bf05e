#include "scheduler/backoff.h"

#include <algorithm>

namespace tidemark::scheduler {
namespace {

std::int64_t longest_us(int failures, std::int64_t first_us, std::int64_t last_us) {
  std::int64_t pause_us = first_us;
  for (int i = 1; i < failures && pause_us < last_us; ++i) pause_us *= 2;
  return std::min(pause_us, last_us);
}

}  // namespace

std::int64_t backoff_us(int failures, std::int64_t first_us, std::int64_t last_us, double jitter) {
  const std::int64_t half_us = longest_us(failures, first_us, last_us) / 2;
  return half_us + static_cast<std::int64_t>(jitter * static_cast<double>(half_us));
}

bool is_longest_backoff(int failures, std::int64_t first_us, std::int64_t last_us) {
  return longest_us(failures, first_us, last_us) == last_us;
}

}  // namespace tidemark::scheduler
