// A library for LD_PRELOAD: the process, and what it starts, sees a time of day that is off by what
// a file says, in microseconds, as 8 bytes in the order of the machine. Whoever writes the file
// sets the clock of running processes. Clocks that measure how much time has passed stay right, as
// on a machine whose clock is set.
//
//   LD_PRELOAD=libtidemark_stepped_clock.so TIDEMARK_CLOCK_FILE=/tmp/off date
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <ctime>

namespace {

constexpr std::int64_t kSecondUs = 1'000'000;
constexpr std::int64_t kNanos = 1000;

using Clock = int (*)(clockid_t, struct timespec*);

const std::atomic<std::int64_t>* map_file() {
  const char* const file = std::getenv("TIDEMARK_CLOCK_FILE");
  if (file == nullptr) return nullptr;
  const int descriptor = ::open(file, O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return nullptr;
  void* const mapped = ::mmap(nullptr, sizeof(std::int64_t), PROT_READ, MAP_SHARED, descriptor, 0);
  ::close(descriptor);
  return mapped == MAP_FAILED ? nullptr : static_cast<const std::atomic<std::int64_t>*>(mapped);
}

std::int64_t off_us() {
  static const std::atomic<std::int64_t>* const off = map_file();
  return off == nullptr ? 0 : off->load();
}

int read_clock(clockid_t clock, struct timespec* time) {
  static const auto kReal = reinterpret_cast<Clock>(::dlsym(RTLD_NEXT, "clock_gettime"));
  const int result = kReal(clock, time);
  if (result != 0 || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return result;
  const std::int64_t now_us = time->tv_sec * kSecondUs + time->tv_nsec / kNanos + off_us();
  time->tv_sec = now_us / kSecondUs;
  time->tv_nsec = now_us % kSecondUs * kNanos + time->tv_nsec % kNanos;
  return 0;
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, struct timespec* time) noexcept {
  return read_clock(clock, time);
}

int gettimeofday(struct timeval* time, void* /*zone*/) noexcept {
  struct timespec now {};
  if (read_clock(CLOCK_REALTIME, &now) != 0) return -1;
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / kNanos;
  return 0;
}

time_t time(time_t* out) noexcept {
  struct timespec now {};
  read_clock(CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}

}  // extern "C"
