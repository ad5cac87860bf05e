#include "engines/registry.h"

#include "engines/postgresql/open.h"
#include "engines/sqlite/open.h"
#include "model/error.h"

namespace tidemark {
namespace {

struct Engine {
  std::string scheme;
  std::unique_ptr<Node> (*open)(const OpenRequest&);
  std::string (*canonical_url)(const std::string&, const std::filesystem::path&);
  bool (*is_missing)(const std::string&, const std::filesystem::path&);
  void (*create_database)(const std::string&, const std::filesystem::path&);
  bool shared;
};

// One line for each database product.
const std::vector<Engine>& engines() {
  static const std::vector<Engine> kEngines = {
      {sqlite::kScheme, sqlite::open, sqlite::canonical_url, sqlite::is_missing,
       sqlite::create_database, false},
      {postgresql::kScheme, postgresql::open, postgresql::canonical_url, postgresql::is_missing,
       postgresql::create_database, true},
  };
  return kEngines;
}

const Engine& engine_of(const std::string& url) {
  std::string schemes;
  for (const Engine& engine : engines()) {
    if (url.starts_with(engine.scheme)) return engine;
    if (!schemes.empty()) schemes += ", ";
    schemes += "\"" + engine.scheme + "\"";
  }
  // What follows the scheme may hold a password.
  const bool is_plain = url.find_first_of("@=") == std::string::npos;
  const std::string shown = is_plain ? url : url.substr(0, url.find_first_of(":@=")) + ":...";
  throw Error(ExitCode::usage, "url \"" + shown + "\" names no database that Tidemark knows",
              "An url starts with " + schemes + ".");
}

}  // namespace

std::unique_ptr<Node> open_node(const OpenRequest& request) {
  return engine_of(request.url).open(request);
}

std::string canonical_url(const std::string& url, const std::filesystem::path& directory) {
  return engine_of(url).canonical_url(url, directory);
}

bool is_missing(const std::string& url, const std::filesystem::path& directory) {
  return engine_of(url).is_missing(url, directory);
}

void create_database(const std::string& url, const std::filesystem::path& directory) {
  engine_of(url).create_database(url, directory);
}

bool is_shared(const std::string& url) { return engine_of(url).shared; }

std::vector<std::string> known_schemes() {
  std::vector<std::string> schemes;
  for (const Engine& engine : engines()) schemes.push_back(engine.scheme);
  return schemes;
}

}  // namespace tidemark
