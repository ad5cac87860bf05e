// The lags that a daemon measured from one node to another: the newest ones as they are, older ones
// by the hour, of the last two days, with how far the target was behind while nothing arrived.
// Bounded; kept in a file beside the daemon's state, so that they outlive it. Values in, values
// out; not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "scheduler/oldest_changes.h"

namespace tidemark::scheduler {

class LagHistory {
 public:
  static constexpr std::size_t kNewest = 1000;
  static constexpr std::size_t kHours = 48;

  struct Summary {
    std::int64_t since_us = 0;  // time of day
    std::int64_t measured = 0;
    std::int64_t p50_us = 0;
    std::int64_t p99_us = 0;
    std::int64_t most_us = 0;
    std::int64_t behind_us = 0;  // the greatest age of a change that waited

    friend bool operator==(const Summary&, const Summary&) = default;
  };

  void measured(std::int64_t lag_us, std::int64_t now_us);
  /// A change of that time has not arrived yet.
  void waits(std::int64_t since_us, std::int64_t now_us);

  bool empty() const { return newest_.empty(); }
  std::int64_t last_us() const { return newest_.back(); }
  std::int64_t last_at_us() const { return last_at_us_; }
  /// Of the newest kNewest.
  Summary newest() const;
  /// The hours in which something was measured or waited, the newest last. That one may not be
  /// over.
  std::vector<Summary> hours() const;

  friend bool operator==(const LagHistory&, const LagHistory&) = default;

 private:
  friend struct LagFile;

  void enter_hour(std::int64_t now_us);

  std::deque<std::int64_t> newest_;  // the newest last
  std::size_t of_this_hour_ = 0;     // of them
  Summary hour_;               // the current one; percentiles are found when they are asked for
  std::deque<Summary> hours_;  // those that are over
  std::int64_t last_at_us_ = 0;
};

struct LagKey {
  std::string job, source, target;

  auto operator<=>(const LagKey&) const = default;
};

struct KeptLags {
  LagHistory lags;
  std::int64_t heartbeat_us = 0;  // one that was on its way; 0: none
  Behind behind;

  friend bool operator==(const KeptLags&, const KeptLags&) = default;
};

/// What `status` tells: null when nothing was ever measured nor is on its way or waits.
nlohmann::json lag_json(const LagHistory& lags, std::optional<std::int64_t> on_its_way_us,
                        const Behind& behind);

/// The file beside a daemon's state.
std::filesystem::path lag_file_of(const std::filesystem::path& state);
/// Nothing where there is no file, or one that cannot be read or is damaged: nothing depends on it.
std::map<LagKey, KeptLags> load_lags(const std::filesystem::path& file);
/// Replaces the file in one step; false when it cannot be written.
bool save_lags(const std::filesystem::path& file, const std::map<LagKey, KeptLags>& lags);

}  // namespace tidemark::scheduler
