// Watcher notices that somebody committed on a node, and keeps the leases of jobs whose first node
// several daemons share. Each node is looked at by a thread of its own, so that a server or a file
// system that hangs keeps nobody else waiting; one more thread hears from the system which files
// are written. What is noticed is told by a callback from those threads. The threads end with the
// object.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "engines/engine.h"
#include "model/error.h"
#include "scheduler/config.h"

namespace tidemark::scheduler {

/// A look at a node showed something new.
struct NodeLooked {
  std::string node;
  Pulse pulse;
};
/// The node cannot be watched; nothing when it can be again.
struct NodeFailed {
  std::string node;
  std::optional<Error> error;
  bool is_new = true;  // it was watched before, or failed in another way
  int tries = 1;       // in vain, since it was last watched
  std::optional<std::chrono::microseconds> pause;  // until the next try; none: it still hangs
  bool longest = false;                            // the pause does not grow any more
};
/// The system does not say when files are written, so they are looked at often. Told once.
struct FilesUnheard {
  Error error;
};
/// These jobs, of those whose leases are kept on the node, are this daemon's now.
struct LeasesHeld {
  std::string node;
  std::set<std::string> jobs;
  /// Of those that are had anew: job -> second node -> the time of the schedule up to which its
  /// runs were done by whoever had the lease.
  std::map<std::string, std::map<std::string, std::int64_t>> done;
  std::size_t surplus = 0;  // so many more than its share; another daemon waits for them
  std::int64_t daemons = 1;
};
using WatchEvent = std::variant<NodeLooked, NodeFailed, FilesUnheard, LeasesHeld>;

class Watcher {
 public:
  struct Plan {
    std::set<std::string> nodes;                          // to notice changes on
    std::map<std::string, std::set<std::string>> leases;  // node -> jobs
    std::chrono::seconds connect_timeout{10};
  };
  using Tell = std::function<void(WatchEvent)>;

  /// `config` must outlive this.
  Watcher(const Config& config, Plan plan, const Tell& tell);
  ~Watcher();
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  /// Lets another daemon have the job.
  void give_back(const std::string& node, const std::string& job);
  /// Tells all threads to end. True when one is connecting, or waits for a file system that hangs,
  /// which nobody can cut short: the destructor waits for it.
  bool stop();
  /// Cuts servers that have not answered for as long as connecting may take, and tells of files
  /// that have not. Call it every second.
  void supervise();

 private:
  class Tries;
  class FileEvents;
  class File;
  class Server;

  std::unique_ptr<FileEvents> events_;
  // Servers end first: whatever keeps a file, their leases are free then.
  std::vector<std::unique_ptr<File>> files_;
  std::map<std::string, std::unique_ptr<Server>> servers_;
};

}  // namespace tidemark::scheduler
