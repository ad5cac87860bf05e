#include "tests/faults/faulty_files.h"

#include <sqlite3.h>

#include <atomic>
#include <cstring>
#include <mutex>

namespace tidemark::testing {
namespace {

using Kind = FaultyFiles::Kind;

struct Plan {
  std::mutex mutex;
  bool armed = false;
  bool hit = false;
  bool lasting = false;
  Kind kind = Kind::read;
  std::int64_t at = 0;
  std::int64_t count = 0;
};

Plan& plan() {
  static Plan made;
  return made;
}

bool fails(Kind kind) {
  const std::lock_guard lock(plan().mutex);
  if (!plan().armed || plan().kind != kind) return false;
  ++plan().count;
  const bool fail = plan().count == plan().at || (plan().lasting && plan().count > plan().at);
  plan().hit = plan().hit || fail;
  return fail;
}

bool fails_once(Kind kind) { return fails(kind) && !plan().lasting; }

sqlite3_vfs* real = nullptr;
sqlite3_vfs faulty;

/// What SQLite sees of a file; the real one lies behind it in the same memory.
struct File {
  sqlite3_file base;

  sqlite3_file* inner() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  static File* of(sqlite3_file* file) { return reinterpret_cast<File*>(file); }
};

template <typename... Arguments>
int pass(int (*sqlite3_io_methods::*method)(sqlite3_file*, Arguments...), sqlite3_file* file,
         std::type_identity_t<Arguments>... arguments) {
  sqlite3_file* inner = File::of(file)->inner();
  return (inner->pMethods->*method)(inner, arguments...);
}

const sqlite3_io_methods kMethods{
    .iVersion = 2,
    .xClose = [](sqlite3_file* file) { return pass(&sqlite3_io_methods::xClose, file); },
    .xRead =
        [](sqlite3_file* file, void* data, int size, sqlite3_int64 offset) {
          if (fails(Kind::read)) return SQLITE_IOERR_READ;
          return pass(&sqlite3_io_methods::xRead, file, data, size, offset);
        },
    .xWrite =
        [](sqlite3_file* file, const void* data, int size, sqlite3_int64 offset) {
          if (fails(Kind::write)) return SQLITE_IOERR_WRITE;
          if (fails(Kind::full_disk)) return SQLITE_FULL;
          return pass(&sqlite3_io_methods::xWrite, file, data, size, offset);
        },
    .xTruncate =
        [](sqlite3_file* file, sqlite3_int64 size) {
          if (fails(Kind::write)) return SQLITE_IOERR_TRUNCATE;
          return pass(&sqlite3_io_methods::xTruncate, file, size);
        },
    .xSync =
        [](sqlite3_file* file, int flags) {
          if (fails(Kind::sync)) return SQLITE_IOERR_FSYNC;
          return pass(&sqlite3_io_methods::xSync, file, flags);
        },
    .xFileSize =
        [](sqlite3_file* file, sqlite3_int64* size) {
          return pass(&sqlite3_io_methods::xFileSize, file, size);
        },
    .xLock =
        [](sqlite3_file* file, int level) {
          if (fails(Kind::lock)) return SQLITE_BUSY;
          return pass(&sqlite3_io_methods::xLock, file, level);
        },
    .xUnlock = [](sqlite3_file* file,
                  int level) { return pass(&sqlite3_io_methods::xUnlock, file, level); },
    .xCheckReservedLock =
        [](sqlite3_file* file, int* result) {
          return pass(&sqlite3_io_methods::xCheckReservedLock, file, result);
        },
    .xFileControl =
        [](sqlite3_file* file, int operation, void* argument) {
          return pass(&sqlite3_io_methods::xFileControl, file, operation, argument);
        },
    .xSectorSize = [](sqlite3_file* file) { return pass(&sqlite3_io_methods::xSectorSize, file); },
    .xDeviceCharacteristics =
        [](sqlite3_file* file) { return pass(&sqlite3_io_methods::xDeviceCharacteristics, file); },
    .xShmMap =
        [](sqlite3_file* file, int region, int size, int extend, void volatile** memory) {
          if (fails(Kind::write)) return SQLITE_IOERR_SHMMAP;
          return pass(&sqlite3_io_methods::xShmMap, file, region, size, extend, memory);
        },
    .xShmLock =
        [](sqlite3_file* file, int offset, int count, int flags) {
          // SQLite itself waits ten seconds for one that stays busy.
          if ((flags & SQLITE_SHM_LOCK) != 0 && fails_once(Kind::lock)) return SQLITE_BUSY;
          return pass(&sqlite3_io_methods::xShmLock, file, offset, count, flags);
        },
    .xShmBarrier =
        [](sqlite3_file* file) {
          sqlite3_file* inner = File::of(file)->inner();
          inner->pMethods->xShmBarrier(inner);
        },
    .xShmUnmap = [](sqlite3_file* file,
                    int remove) { return pass(&sqlite3_io_methods::xShmUnmap, file, remove); },
};

int open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* flags_out) {
  File* opened = File::of(file);
  opened->base.pMethods = nullptr;
  if (fails(Kind::open)) return SQLITE_CANTOPEN;
  std::memset(opened->inner(), 0, static_cast<std::size_t>(real->szOsFile));
  const int result = real->xOpen(real, name, opened->inner(), flags, flags_out);
  if (opened->inner()->pMethods != nullptr) opened->base.pMethods = &kMethods;
  return result;
}

}  // namespace

FaultyFiles::FaultyFiles() {
  real = sqlite3_vfs_find(nullptr);
  faulty = *real;
  faulty.zName = "faulty";
  faulty.pNext = nullptr;
  faulty.szOsFile = static_cast<int>(sizeof(File)) + real->szOsFile;
  faulty.xOpen = &open;
  sqlite3_vfs_register(&faulty, 1);
}

FaultyFiles::~FaultyFiles() {
  sqlite3_vfs_unregister(&faulty);
  sqlite3_vfs_register(real, 1);
}

void FaultyFiles::arm(Kind kind, std::int64_t at, bool lasting) {
  const std::lock_guard lock(plan().mutex);
  plan().armed = true;
  plan().hit = false;
  plan().lasting = lasting;
  plan().kind = kind;
  plan().at = at;
  plan().count = 0;
}

bool FaultyFiles::disarm() {
  const std::lock_guard lock(plan().mutex);
  plan().armed = false;
  return plan().hit;
}

}  // namespace tidemark::testing
