#include "engines/sqlite/open.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

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

bool is_missing(const std::string& url, const std::filesystem::path& directory) {
  struct stat status {};
  return stat(file_of_url(url, directory).c_str(), &status) != 0 && errno == ENOENT;
}

void create_database(const std::string& url, const std::filesystem::path& directory) {
  const std::filesystem::path file = file_of_url(url, directory);
  // To SQLite a file of 0 bytes is an empty database.
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (descriptor < 0) {
    throw Error(ExitCode::unreachable,
                "cannot make the database " + file.string() + ": " + std::strerror(errno),
                "Check that the folder exists and may be written, or correct the url.");
  }
  ::close(descriptor);
}

std::string canonical_url(const std::string& url, const std::filesystem::path& directory) {
  return std::string(kScheme) + "//" + file_of_url(url, directory).string();
}

}  // namespace tidemark::sqlite
