#include "engines/sqlite/open.h"

#include "engines/sqlite/sqlite_node.h"
#include "model/error.h"

namespace tidemark::sqlite {

std::filesystem::path file_of_url(const std::string& url, const std::filesystem::path& directory) {
  const auto refuse = [&url](const std::string& what) {
    throw Error(ExitCode::usage, "url \"" + url + "\": " + what,
                "Write \"sqlite:shop.db\" for a file beside the configuration, or "
                "\"sqlite:///var/lib/shop.db\" for an absolute path.");
  };
  std::string path = url.substr(std::string(kScheme).size());
  if (path.starts_with("//")) {
    path.erase(0, 2);
    if (!path.starts_with("/")) refuse("a SQLite database has no host");
  }
  if (path.empty() || path == "/") refuse("it names no file");
  if (path == ":memory:") refuse("a database in memory cannot be shared");
  if (path.find('\0') != std::string::npos) refuse("a file name cannot hold NUL");
  std::error_code ignored;
  const std::filesystem::path absolute = std::filesystem::absolute(directory / path, ignored);
  const std::filesystem::path resolved = std::filesystem::weakly_canonical(absolute, ignored);
  return resolved.empty() ? absolute : resolved;
}

std::unique_ptr<Node> open(const OpenRequest& request) {
  return std::make_unique<SqliteNode>(request, file_of_url(request.url, request.directory));
}

std::string canonical_url(const std::string& url, const std::filesystem::path& directory) {
  return std::string(kScheme) + "//" + file_of_url(url, directory).string();
}

}  // namespace tidemark::sqlite
