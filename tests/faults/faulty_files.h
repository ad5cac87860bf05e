// FaultyFiles is a layer between SQLite and its files that makes one call fail: the n-th of its
// kind, or that and all that follow. It is SQLite's default VFS as long as the object lives; there
// is one at a time. Calls are counted only between arm() and disarm(). For several threads.
#pragma once

#include <cstdint>

namespace tidemark::testing {

class FaultyFiles {
 public:
  enum class Kind : std::uint8_t {
    read,       // I/O error
    write,      // I/O error
    full_disk,  // the same call says that the disk is full
    sync,
    lock,  // somebody else holds it
    open,
  };

  FaultyFiles();
  ~FaultyFiles();
  FaultyFiles(const FaultyFiles&) = delete;
  FaultyFiles& operator=(const FaultyFiles&) = delete;

  static void arm(Kind kind, std::int64_t at, bool lasting);
  /// True if a call failed since arm().
  static bool disarm();
};

}  // namespace tidemark::testing
