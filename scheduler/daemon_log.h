// The log of a daemon: text or JSON, to stderr or a file.
#pragma once

#include <memory>

#include <spdlog/fwd.h>

#include "scheduler/daemon_config.h"

namespace tidemark::scheduler {

/// Throws Error usage when the file cannot be written.
std::shared_ptr<spdlog::logger> make_daemon_log(const DaemonConfig& config, bool verbose);

}  // namespace tidemark::scheduler
