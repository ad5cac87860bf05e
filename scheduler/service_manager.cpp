#include "scheduler/service_manager.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace tidemark::scheduler {
namespace {

std::int64_t number_in(const char* variable) {
  const char* text = std::getenv(variable);
  std::int64_t number = 0;
  if (text != nullptr) std::from_chars(text, text + std::strlen(text), number);
  return number;
}

}  // namespace

ServiceManager::ServiceManager() {
  const char* address = std::getenv("NOTIFY_SOCKET");
  // An absolute path, or a name in the abstract namespace.
  if (address != nullptr && (address[0] == '/' || address[0] == '@')) {
    address_ = address;
    descriptor_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  }
  const std::int64_t watchdog_us = number_in("WATCHDOG_USEC");
  const std::int64_t pid = number_in("WATCHDOG_PID");
  if (watchdog_us > 0 && (pid == 0 || pid == ::getpid())) {
    watchdog_ = std::chrono::microseconds(watchdog_us / 2);
  }
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) ::unsetenv(name);
}

ServiceManager::~ServiceManager() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void ServiceManager::notify(const std::string& state) const {
  struct sockaddr_un address {};
  if (descriptor_ < 0 || address_.size() >= sizeof address.sun_path) return;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, address_.data(), address_.size());
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  const auto length =
      static_cast<socklen_t>(offsetof(struct sockaddr_un, sun_path) + address_.size());
  // Nobody to hear it is no reason to stop.
  ::sendto(descriptor_, state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
           reinterpret_cast<const struct sockaddr*>(&address), length);
}

void ServiceManager::reloading() const {
  struct timespec now {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  notify("RELOADING=1\nMONOTONIC_USEC=" +
         std::to_string(now.tv_sec * 1'000'000 + now.tv_nsec / 1000));
}

}  // namespace tidemark::scheduler
