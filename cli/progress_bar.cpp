#include "cli/progress_bar.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "cli/text.h"

namespace tidemark::cli {
namespace {

constexpr std::chrono::milliseconds kRedrawInterval{100};
/// Work that is over in a moment shows no bar at all.
constexpr std::chrono::milliseconds kPatience{300};
constexpr std::size_t kBarWidth = 24;

std::size_t error_stream_width() {
  struct winsize size {};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

std::string bar(std::int64_t done, std::int64_t total) {
  const double share = std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0);
  const auto filled = static_cast<std::size_t>(share * static_cast<double>(kBarWidth));
  char percent[16];
  std::snprintf(percent, sizeof percent, "%3d%%", static_cast<int>(share * 100));
  return "[" + std::string(filled, '#') + std::string(kBarWidth - filled, '.') + "] " + percent;
}

}  // namespace

void ProgressBar::set_title(std::string title) {
  const std::scoped_lock lock(mutex_);
  title_ = std::move(title);
}

void ProgressBar::update(const std::string& stage, const std::string& table, std::int64_t done,
                         std::int64_t total) {
  if (!visible_) return;
  const std::scoped_lock lock(mutex_);
  const Clock::time_point now = Clock::now();
  if (std::string current = stage + '\n' + table; current != current_) {
    current_ = std::move(current);
    began_ = now;
    if (last_drawn_ == Clock::time_point{}) last_drawn_ = now + kPatience - kRedrawInterval;
  }
  if (now < last_drawn_ + kRedrawInterval) return;
  last_drawn_ = now;
  std::string line = title_.empty() ? stage : title_ + ": " + stage;
  if (!table.empty()) line += " " + printable(table);
  line += "  ";
  if (total > 0) line += bar(done, total) + "  ";
  line += grouped(done);
  const double seconds = std::chrono::duration<double>(now - began_).count();
  if (seconds > 0.5) {
    line += "  " + grouped(static_cast<std::int64_t>(static_cast<double>(done) / seconds)) + "/s";
  }
  line = shortened(line, error_stream_width() - 1);
  std::fprintf(stderr, "\r\033[K%s", line.c_str());
  std::fflush(stderr);
  on_screen_ = true;
}

void ProgressBar::clear() {
  const std::scoped_lock lock(mutex_);
  if (!on_screen_) return;
  std::fprintf(stderr, "\r\033[K");
  std::fflush(stderr);
  on_screen_ = false;
}

}  // namespace tidemark::cli
