// The lock of a pair of nodes, as a byte of a lock file beside the database. It ends with the
// object or with its process, whatever kills it.
#pragma once

#include <filesystem>
#include <memory>

#include "engines/engine.h"

namespace tidemark::sqlite {

std::filesystem::path lock_file_of(const std::filesystem::path& database);

/// Null when somebody else holds it. The file is made when it is missing. Throws Error when that
/// fails.
std::unique_ptr<PairLock> try_lock_pair(const std::string& node_name,
                                        const std::filesystem::path& database, const NodeId& peer);

}  // namespace tidemark::sqlite
