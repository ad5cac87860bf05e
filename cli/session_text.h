// How a session is told, to people and to programs.
#pragma once

#include <string>

#include "cli/output.h"
#include "scheduler/session.h"

namespace tidemark::cli {

Json session_json(const scheduler::SessionReport& report, bool dry_run);

/// A heading line and, when something moved, a table; ends with a newline.
std::string session_text(const scheduler::SessionReport& report, bool dry_run);

/// "hq <-> branch1", "hq -> copy".
std::string pair_text(const std::string& first, const std::string& second, scheduler::Mode mode);

}  // namespace tidemark::cli
