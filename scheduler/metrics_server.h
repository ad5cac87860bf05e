// The small HTTP server that hands out metrics: GET /metrics and nothing else, in one thread that
// sleeps until somebody asks.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>

namespace tidemark::scheduler {

/// Serves until it is destroyed. `text` is called in the server's thread.
class MetricsServer {
 public:
  /// Throws Error usage when the port is taken.
  MetricsServer(const std::string& address, int port, std::function<std::string()> text);
  ~MetricsServer();
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;

 private:
  struct Server;
  std::unique_ptr<Server> server_;
  std::thread thread_;
};

}  // namespace tidemark::scheduler
