// When somebody must be told. AlertBook decides from what is told to it and the time, without I/O:
// each incident is reported once when it begins and once when it ends, and one that comes and goes
// is not reported again and again. CommandRunner runs the commands.
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/daemon_config.h"

namespace tidemark::scheduler {

/// How a job stands as far as alerts go. Times are microseconds since 1970.
struct JobHealth {
  std::int64_t last_success_us = 0;  // when all of its pairs were last known to be well
  std::int64_t waiting_rows = 0;     // in quarantine
  std::string last_error;            // empty while none of its pairs fails
  bool watched = true;               // false while it is paused or another daemon's
};

struct AlertEvent {
  std::string job;
  std::string kind;  // "no_success", "conflicts", "quarantine"
  bool begins = true;
  std::int64_t since_us = 0;
  std::string message;
};

class AlertBook {
 public:
  /// Conflicts are counted over this time.
  static constexpr std::int64_t kConflictWindowUs = 3'600'000'000;
  /// An incident that is back sooner than this after it began is not reported before.
  static constexpr std::int64_t kQuietUs = 300'000'000;
  using Open = std::map<std::string, std::map<std::string, std::int64_t>>;  // job -> kind -> since

  /// `open` are incidents that were reported by an earlier daemon.
  explicit AlertBook(Open open = {}) : open_(std::move(open)) {}

  void conflicts(const std::string& job, std::int64_t count, std::int64_t now_us);
  std::vector<AlertEvent> judge(const std::string& job, const AlertConfig& alert,
                                const JobHealth& health, std::int64_t now_us);
  /// Jobs that are no more have no incidents.
  void keep_only(const std::vector<std::string>& jobs);
  const Open& open() const { return open_; }

 private:
  std::int64_t recent_conflicts(const std::string& job, std::int64_t now_us);

  Open open_;
  std::map<std::pair<std::string, std::string>, std::int64_t> began_us_;  // of the last incident
  std::map<std::string, std::deque<std::pair<std::int64_t, std::int64_t>>> conflicts_;
};

/// Runs commands of the shell, each with a text on stdin, a few at a time; one that hangs is
/// killed. Belongs to one thread, which calls reap() now and then.
class CommandRunner {
 public:
  static constexpr std::chrono::seconds kTimeout{30};
  static constexpr std::size_t kParallel = 4;
  static constexpr std::size_t kQueued = 1000;

  /// Called with a sentence when a command failed.
  explicit CommandRunner(std::function<void(const std::string&)> failed)
      : failed_(std::move(failed)) {}
  ~CommandRunner();
  CommandRunner(const CommandRunner&) = delete;
  CommandRunner& operator=(const CommandRunner&) = delete;

  void run(const std::string& command, const std::string& input);
  /// True while commands run or wait.
  bool busy() const { return !running_.empty() || !queue_.empty(); }
  void reap();

 private:
  struct Running {
    pid_t process;
    std::string command;
    std::chrono::steady_clock::time_point deadline;
  };

  void start_next();

  const std::function<void(const std::string&)> failed_;
  std::deque<std::pair<std::string, std::string>> queue_;
  std::vector<Running> running_;
};

}  // namespace tidemark::scheduler
