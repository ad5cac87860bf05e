// Fresh names for nodes, origins and baselines. The one place where randomness enters.
#pragma once

#include "model/version.h"

namespace tidemark::capture {

/// A random (version 4) uuid from the operating system's source. Throws Error when there is none.
Uuid random_uuid();

}  // namespace tidemark::capture
