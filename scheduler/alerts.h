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

/// For how long a pair has been without success, in microseconds. Time in which it had nothing to
/// do or was not to run is left out. It outlives the process.
struct Silence {
  std::int64_t before_us = 0;            // counted before
  std::optional<std::int64_t> since_us;  // time of day since when it counts; nothing: it does not

  std::int64_t length_us(std::int64_t now_us) const;
  void count(std::int64_t now_us);
  void stop(std::int64_t now_us);

  friend bool operator==(const Silence&, const Silence&) = default;
};

/// How a job stands as far as alerts go.
struct JobHealth {
  std::int64_t silent_us = 0;     // the longest Silence of its pairs
  std::int64_t waiting_rows = 0;  // in quarantine, as far as it is known
  bool waiting_is_known = true;   // false until each of its pairs has had a session
  std::string last_error;         // empty while none of its pairs fails
  bool watched = true;            // false while it is paused or another daemon's
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
  /// Conflicts are added up by the minute.
  static constexpr std::int64_t kConflictStepUs = 60'000'000;
  using Open = std::map<std::string, std::map<std::string, std::int64_t>>;  // job -> kind -> since
  /// Job -> when (time of day), and how many.
  using Conflicts = std::map<std::string, std::map<std::int64_t, std::int64_t>>;

  /// Both as an earlier daemon left them.
  explicit AlertBook(Open open = {}, Conflicts conflicts = {})
      : open_(std::move(open)), conflicts_(std::move(conflicts)) {}

  void conflicts(const std::string& job, std::int64_t count, std::int64_t now_us);
  std::vector<AlertEvent> judge(const std::string& job, const AlertConfig& alert,
                                const JobHealth& health, std::int64_t now_us);
  /// Jobs that are no more have no incidents.
  void keep_only(const std::vector<std::string>& jobs);
  const Open& open() const { return open_; }
  const Conflicts& conflicts() const { return conflicts_; }

 private:
  std::int64_t recent_conflicts(const std::string& job, std::int64_t now_us);

  Open open_;
  std::map<std::pair<std::string, std::string>, std::int64_t> began_us_;  // of the last incident
  Conflicts conflicts_;
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
