#include "engines/sqlite/pair_lock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "model/error.h"

namespace tidemark::sqlite {
namespace {

/// The lock belongs to the open file, not to the process: it ends with the last descriptor of it. A
/// process that was forked a moment ago may still have one, so the lock is given back first.
class FileLock final : public PairLock {
 public:
  explicit FileLock(int descriptor) : descriptor_(descriptor) {}
  ~FileLock() override {
    struct flock range {};
    range.l_type = F_UNLCK;
    range.l_whence = SEEK_SET;
    fcntl(descriptor_, F_OFD_SETLK, &range);
    close(descriptor_);
  }
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int descriptor_;
};

[[noreturn]] void fail(const std::string& node_name, const std::filesystem::path& file) {
  throw Error(ExitCode::unreachable,
              "node " + node_name + ": cannot lock " + file.string() + ": " + std::strerror(errno),
              "The user that runs tidemark must be able to write the directory of the database.");
}

// A byte of a file that is never written: positions far apart need no space.
off_t position_of(const NodeId& peer) {
  std::uint64_t hash = 0;
  for (const std::uint8_t byte : peer.bytes) hash = hash * 0x100000001b3u + byte + 1;
  return static_cast<off_t>(hash & 0x3fffffffffffffffu);
}

}  // namespace

std::filesystem::path lock_file_of(const std::filesystem::path& database) {
  return database.string() + ".tidemark-lock";
}

std::unique_ptr<PairLock> try_lock_pair(const std::string& node_name,
                                        const std::filesystem::path& database, const NodeId& peer) {
  const std::filesystem::path file = lock_file_of(database);
  // Whoever may write the database may lock it, as with SQLite's own files beside it.
  struct stat status {};
  const bool known = stat(database.c_str(), &status) == 0;
  const mode_t mode = known ? status.st_mode & 0666 : 0600;
  int descriptor = ::open(file.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (descriptor < 0 && errno == ENOENT) {
    descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode);
    if (descriptor >= 0 && known && geteuid() == 0 &&
        fchown(descriptor, status.st_uid, status.st_gid) != 0) {
      close(descriptor);
      descriptor = -1;
    }
  }
  if (descriptor < 0) fail(node_name, file);
  auto lock = std::make_unique<FileLock>(descriptor);
  struct flock range {};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  range.l_start = position_of(peer);
  range.l_len = 1;
  if (fcntl(descriptor, F_OFD_SETLK, &range) == 0) return lock;
  if (errno == EAGAIN || errno == EACCES) return nullptr;
  fail(node_name, file);
}

}  // namespace tidemark::sqlite
