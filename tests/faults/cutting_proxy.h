// CuttingProxy stands between clients and a PostgreSQL server, in a folder of its own with a Unix
// socket, and cuts a connection at its n-th message: before the server gets it, or after, so that
// the answer is lost. Messages are counted between arm() and disarm(), over all connections.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace tidemark::testing {

class CuttingProxy {
 public:
  /// `server` is the folder of the server's socket.
  explicit CuttingProxy(const std::string& server);
  ~CuttingProxy();
  CuttingProxy(const CuttingProxy&) = delete;
  CuttingProxy& operator=(const CuttingProxy&) = delete;

  const std::string& folder() const { return folder_; }

  void arm(std::int64_t at, bool before);
  /// True if a connection was cut since arm().
  bool disarm();

 private:
  enum class Verdict : std::uint8_t { pass, drop, pass_and_cut };

  void accept_all();
  void serve(int client);
  Verdict judge();

  const std::string server_;
  std::string folder_;
  int listener_ = -1;
  std::mutex mutex_;
  bool armed_ = false;
  bool hit_ = false;
  bool before_ = false;
  std::int64_t at_ = 0;
  std::int64_t count_ = 0;
  std::atomic<bool> ended_{false};
  std::thread acceptor_;
  std::vector<std::thread> servers_;  // touched by the acceptor alone, until it has ended
};

}  // namespace tidemark::testing
