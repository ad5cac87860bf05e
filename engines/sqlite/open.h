// The entrance to the SQLite engine, for the registry: nothing of SQLite shows here.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "engines/registry.h"

namespace tidemark::sqlite {

inline constexpr char kScheme[] = "sqlite:";

std::unique_ptr<Node> open(const OpenRequest& request);
bool is_missing(const std::string& url, const std::filesystem::path& directory);
void create_database(const std::string& url, const std::filesystem::path& directory);
std::string canonical_url(const std::string& url, const std::filesystem::path& directory);

}  // namespace tidemark::sqlite
