// NodePool keeps nodes open between sessions, because opening one costs more than a small session.
// A node is lent to one session at a time; what was not used for a while is closed, and so is a
// file that another one has replaced. Thread-safe.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "engines/engine.h"
#include "scheduler/config.h"

namespace tidemark::scheduler {

class NodePool {
 public:
  using Clock = std::chrono::steady_clock;
  struct Settings {
    std::chrono::seconds connect_timeout{10};
    std::chrono::seconds close_after{10};  // not used for so long
    std::size_t kept = 4;                  // open and not lent, of one node
  };

  using FileIdentity = std::pair<dev_t, ino_t>;  // zeros for a server
  struct Lent {
    std::unique_ptr<Node> node;
    bool fresh = false;  // just opened: what fails now is not the fault of a connection that aged
    FileIdentity identity;
  };

  /// `config` must outlive this.
  NodePool(const Config& config, Settings settings) : config_(config), settings_(settings) {}

  /// Throws what open_node() throws.
  Lent take(const std::string& name, bool fresh = false);
  /// Only a node whose last operation worked.
  void give_back(const std::string& name, Lent lent);
  /// Gives away what was not used for a while, to be closed.
  std::vector<std::unique_ptr<Node>> take_unused(Clock::time_point now);
  /// Something is open that take_unused() may have to give away later.
  bool holds_any() const;

 private:
  struct Idle {
    std::unique_ptr<Node> node;
    FileIdentity identity;
    Clock::time_point since;
  };

  const Config& config_;
  const Settings settings_;
  mutable std::mutex mutex_;
  std::map<std::string, std::vector<Idle>> idle_;
};

}  // namespace tidemark::scheduler
