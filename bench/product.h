// Tidemark's side of the benchmark: the code that the commands of the program run, without the
// program around it.
#pragma once

#include <filesystem>

#include "scheduler/session.h"

namespace tidemark::bench {

/// Installs capture on the table. With `like`, the database is made first, with that database's
/// tables.
void activate(const std::filesystem::path& file, const std::filesystem::path& like = {});

/// Opens both databases, runs one two-way session and closes them. Ends the program when it fails.
scheduler::SessionReport run_session(const std::filesystem::path& first,
                                     const std::filesystem::path& second);

/// Opens both and proves that they are equal. Ends the program when they are not.
void verify(const std::filesystem::path& first, const std::filesystem::path& second);

}  // namespace tidemark::bench
