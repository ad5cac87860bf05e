// A progress bar on stderr, redrawn in place a few times a second. Safe to call from the threads of
// a pull; draws nothing when it is off.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

namespace tidemark::cli {

class ProgressBar {
 public:
  explicit ProgressBar(bool visible) : visible_(visible) {}
  ~ProgressBar() { clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  bool is_visible() const { return visible_; }
  /// What stands in front: which session this is.
  void set_title(std::string title);
  /// `total` is 0 when it is not known.
  void update(const std::string& stage, const std::string& table, std::int64_t done,
              std::int64_t total);
  /// Removes the bar from the screen, before something else is printed.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;

  const bool visible_;
  std::mutex mutex_;
  std::string title_;
  std::string current_;        // stage and table that `began_` belongs to
  Clock::time_point began_{};  // of the current stage, for the speed
  Clock::time_point last_drawn_{};
  bool on_screen_ = false;
};

}  // namespace tidemark::cli
