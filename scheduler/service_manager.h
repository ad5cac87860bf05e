// Tells the service manager (systemd, Type=notify) how the daemon is. Nothing happens where none
// asked for it. The protocol is that of sd_notify(3): a datagram to the socket in NOTIFY_SOCKET.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace tidemark::scheduler {

class ServiceManager {
 public:
  /// Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID of the environment, and removes them, so
  /// that commands which the daemon runs do not speak in its name.
  ServiceManager();
  ~ServiceManager();
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  /// "READY=1", "STATUS=...", "STOPPING=1"; several are separated by newlines.
  void notify(const std::string& state) const;
  void reloading() const;
  /// How often it wants to hear that the daemon lives; half of the time that it waits.
  std::optional<std::chrono::microseconds> watchdog_interval() const { return watchdog_; }

 private:
  int descriptor_ = -1;
  std::string address_;
  std::optional<std::chrono::microseconds> watchdog_;
};

}  // namespace tidemark::scheduler
