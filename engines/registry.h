// The engines that this program knows, by the scheme of their urls.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engines/engine.h"

namespace tidemark {

struct OpenRequest {
  std::string node_name;
  std::string url;                  // "sqlite:shop.db", "sqlite:///var/lib/shop.db"
  std::filesystem::path directory;  // where relative paths start
  std::chrono::milliseconds lock_timeout = std::chrono::seconds(10);
  bool read_only = false;
  /// How long a server may take to let us in; 0: as long as the url and the system allow.
  std::chrono::seconds connect_timeout{0};
  /// Log in as this role instead of the url's, where the product has roles: the owner, to activate.
  std::string role;
};

/// Throws Error unreachable (no such file, not a database, no permission) or usage (the url).
std::unique_ptr<Node> open_node(const OpenRequest& request);

/// True if there is nothing where the url points and create_database() could make something.
bool is_missing(const std::string& url, const std::filesystem::path& directory);

/// Makes an empty database that only its owner may read. Throws Error unreachable when it cannot,
/// and when there is one already.
void create_database(const std::string& url, const std::filesystem::path& directory);

/// Two urls with one result are one database. Throws Error usage for a url that no engine takes;
/// does not touch the database.
std::string canonical_url(const std::string& url, const std::filesystem::path& directory);

/// Sessions of many pairs may be at work on it at once, and several machines may reach it.
bool is_shared(const std::string& url);

/// "sqlite:", for messages.
std::vector<std::string> known_schemes();

}  // namespace tidemark
