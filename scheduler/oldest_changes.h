// Since when a node of a job is behind another: the time of the oldest change that the other has
// and it does not. Asked of the node that has the changes alone, by what that noted of its peer, so
// that it is known of a peer that is out of reach. Reads only.
#pragma once

#include <cstdint>
#include <string>

#include "engines/engine.h"
#include "scheduler/config.h"

namespace tidemark::scheduler {

struct Behind {
  std::int64_t since_us = 0;   // by the clock of whoever changed the row; 0: nothing waits
  std::int64_t met_at_us = 0;  // when the source noted last what the target knows; 0: never

  friend bool operator==(const Behind&, const Behind&) = default;
};

/// The time of the oldest change of the job's tables that `source` has and that `target`, by its
/// name in the configuration, had not seen when they met last. What was found `before` holds until
/// the two have met again: a row that is changed once more and harvested has only its last change,
/// and the target misses the first one all the same. Outside of transactions; throws Error when the
/// node fails.
Behind find_behind(Node& source, const JobConfig& job, const std::string& target,
                   const Behind& before = {});

}  // namespace tidemark::scheduler
