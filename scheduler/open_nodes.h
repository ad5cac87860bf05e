// Opens nodes as a configuration describes them.
#pragma once

#include <memory>

#include "engines/registry.h"
#include "scheduler/config.h"

namespace tidemark::scheduler {

/// `request` says how to open; name, url and directory are filled in here, and lock_timeout unless
/// `keeps_lock_timeout`. Throws what open_node() throws.
std::unique_ptr<Node> open_configured(const Config& config, const NodeConfig& node,
                                      OpenRequest request, bool keeps_lock_timeout = false);

}  // namespace tidemark::scheduler
