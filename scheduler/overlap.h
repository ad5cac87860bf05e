// Whether two jobs could ever take the same table, decided from their lists of names and globs
// alone, before any database is opened. Conservative: "yes" unless the lists rule it out. Pure
// functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "scheduler/config.h"

namespace tidemark::scheduler {

/// True if some name matches both globs.
bool globs_may_meet(std::string_view a, std::string_view b);

/// True only if every name that matches `part` matches `whole` too. May say false for a pair where
/// it is so: "a*b" and "a?b" of a fixed length are not analysed.
bool glob_covers(std::string_view whole, std::string_view part);

/// A name or a glob through which both jobs could take one table; nothing when their lists rule it
/// out.
std::optional<std::string> shared_tables(const JobConfig& a, const JobConfig& b);

}  // namespace tidemark::scheduler
