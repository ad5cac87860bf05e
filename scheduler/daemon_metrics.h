// What a daemon counts, in the text format of Prometheus. Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "scheduler/lag_history.h"
#include "scheduler/metrics_text.h"
#include "scheduler/session.h"

namespace tidemark::scheduler {

class DaemonMetrics {
 public:
  struct PairKey {
    std::string job, first, second;
    auto operator<=>(const PairKey&) const = default;
  };

  void session_done(const SessionReport& report, std::int64_t took_us, std::int64_t waiting,
                    std::int64_t now_us);
  void session_failed(const std::string& job, const std::string& first, const std::string& second,
                      const std::string& result, std::int64_t took_us);
  /// State of a job: what gauges show. Replaces what was known of all jobs.
  struct JobGauges {
    bool paused = false;
    bool leased = true;
    std::int64_t failing_pairs = 0;
  };
  void set_jobs(std::map<std::string, JobGauges> jobs);
  void set_nodes(std::map<std::string, bool> watched);  // node -> can be watched
  /// Since when the target of a direction misses a change; those that miss none are not in it.
  void set_behind(std::map<LagKey, std::int64_t> since_us);
  void alert(const std::string& kind);
  /// Forgets all other pairs: those of jobs that are no more. What was counted of one that comes
  /// back begins anew, as after a start.
  void keep_only(const std::set<PairKey>& pairs);

  std::string text() const;

 private:
  inline static const std::vector<double> kBounds = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                                     1,     2.5,  5,     10,   30,  60,   300};
  struct PairCounts {
    std::map<std::string, std::int64_t> sessions;  // by result
    Histogram seconds{kBounds};
    std::int64_t conflicts = 0;
    std::int64_t waiting = 0;
    std::optional<std::int64_t> last_success_us;
    struct Direction {
      std::int64_t changes = 0;
      Histogram lags{kBounds};
      std::optional<std::int64_t> heard_us;  // the last heartbeat that arrived
    };
    Direction to_first, to_second;
  };

  mutable std::mutex mutex_;
  std::map<PairKey, PairCounts> pairs_;
  std::map<std::string, JobGauges> jobs_;
  std::map<std::string, bool> nodes_;
  std::map<LagKey, std::int64_t> behind_;
  std::map<std::string, std::int64_t> alerts_;
};

}  // namespace tidemark::scheduler
