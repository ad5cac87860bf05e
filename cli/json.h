// The shapes that several commands print as JSON.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/output.h"
#include "model/change.h"

namespace tidemark::cli {

/// A time, or null for "never".
Json time_json(std::int64_t time_us);
Json counts_json(const PullCounts& counts);
/// With both rows; `logged_on` are the nodes whose logs have it.
Json conflict_json(const Conflict& conflict, const std::vector<std::string>& logged_on);
/// The key columns with their values.
Json key_json(const std::vector<std::string>& columns, const std::vector<std::size_t>& key_columns,
              const Row& key);

}  // namespace tidemark::cli
