// A library for LD_PRELOAD: a file system that hangs, and one whose changes the system does not
// tell. While the file TIDEMARK_HANG_SWITCH exists, whoever asks for a path that begins with
// TIDEMARK_HANG_PATH waits, as for a server of NFS that is gone: nothing cuts that short. With
// TIDEMARK_NO_INOTIFY=watches or =instances the system gives none of these, as at its limits.
//
//   LD_PRELOAD=libtidemark_hanging_files.so TIDEMARK_HANG_PATH=/srv/b.db
//   TIDEMARK_HANG_SWITCH=/tmp/hang ...
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace {

constexpr useconds_t kLookUs = 20'000;

template <typename Function>
Function real(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

int is_there(const char* path) {
  using Access = int (*)(const char*, int);
  static const auto kAccess = real<Access>("access");
  return kAccess(path, F_OK) == 0;
}

void hang(const char* path) {
  static const char* const kPath = std::getenv("TIDEMARK_HANG_PATH");
  static const char* const kSwitch = std::getenv("TIDEMARK_HANG_SWITCH");
  if (kPath == nullptr || kSwitch == nullptr || path == nullptr) return;
  if (std::strncmp(path, kPath, std::strlen(kPath)) != 0) return;
  while (is_there(kSwitch) != 0) ::usleep(kLookUs);
}

bool refuses(const char* what) {
  static const char* const kRefused = std::getenv("TIDEMARK_NO_INOTIFY");
  return kRefused != nullptr && std::strcmp(kRefused, what) == 0;
}

/// What the system itself does, once the path does not hang.
template <typename Function, typename... Arguments>
auto pass_on(const char* name, const char* path, Arguments... arguments) {
  hang(path);
  return real<Function>(name)(path, arguments...);
}

int open_by(const char* name, const char* path, int flags, std::va_list arguments) {
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  return pass_on<int (*)(const char*, int, ...)>(name, path, flags, mode);
}

using Stat = int (*)(const char*, struct stat*);
using Stat64 = int (*)(const char*, struct stat64*);

}  // namespace

extern "C" {

int stat(const char* path, struct stat* status) noexcept {
  return pass_on<Stat>("stat", path, status);
}

int lstat(const char* path, struct stat* status) noexcept {
  return pass_on<Stat>("lstat", path, status);
}

int stat64(const char* path, struct stat64* status) noexcept {
  return pass_on<Stat64>("stat64", path, status);
}

int lstat64(const char* path, struct stat64* status) noexcept {
  return pass_on<Stat64>("lstat64", path, status);
}

int access(const char* path, int mode) noexcept {
  return pass_on<int (*)(const char*, int)>("access", path, mode);
}

int open(const char* path, int flags, ...) {
  std::va_list arguments;
  va_start(arguments, flags);
  const int descriptor = open_by("open", path, flags, arguments);
  va_end(arguments);
  return descriptor;
}

int open64(const char* path, int flags, ...) {
  std::va_list arguments;
  va_start(arguments, flags);
  const int descriptor = open_by("open64", path, flags, arguments);
  va_end(arguments);
  return descriptor;
}

int unlink(const char* path) noexcept { return pass_on<int (*)(const char*)>("unlink", path); }

int inotify_init1(int flags) noexcept {
  static const auto kReal = real<int (*)(int)>("inotify_init1");
  if (!refuses("instances")) return kReal(flags);
  errno = EMFILE;
  return -1;
}

int inotify_add_watch(int descriptor, const char* path, std::uint32_t mask) noexcept {
  static const auto kReal = real<int (*)(int, const char*, std::uint32_t)>("inotify_add_watch");
  hang(path);
  if (!refuses("watches")) return kReal(descriptor, path, mask);
  errno = ENOSPC;
  return -1;
}

}  // extern "C"
