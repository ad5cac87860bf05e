// The entrance to the PostgreSQL engine, for the registry: nothing of PostgreSQL shows here.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "engines/registry.h"

namespace tidemark::postgresql {

inline constexpr char kScheme[] = "postgresql:";

std::unique_ptr<Node> open(const OpenRequest& request);
/// Databases of a server are made by its administrator: never.
bool is_missing(const std::string& url, const std::filesystem::path& directory);
[[noreturn]] void create_database(const std::string& url, const std::filesystem::path& directory);
std::string canonical_url(const std::string& url, const std::filesystem::path& directory);

}  // namespace tidemark::postgresql
