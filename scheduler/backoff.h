// How long to wait before what failed is tried again.
#pragma once

#include <cstdint>

namespace tidemark::scheduler {

/// After so many `failures` in a row, the first included. Each pause is twice as long as the one
/// before, from `first_us` up to `last_us`; by `jitter` (0 to 1) between half of that and all of
/// it, because many that failed together, when a server went away, must not come back together.
std::int64_t backoff_us(int failures, std::int64_t first_us, std::int64_t last_us, double jitter);

/// Whether pauses do not grow any more.
bool is_longest_backoff(int failures, std::int64_t first_us, std::int64_t last_us);

}  // namespace tidemark::scheduler
