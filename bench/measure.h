// Time, memory and medians. A figure of the benchmark is a ratio of medians of alternating runs:
// what is compared runs in turn, so that a machine that gets slower meanwhile slows both.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace tidemark::bench {

/// CPU time of this thread, user and system.
double cpu_seconds();
double wall_seconds();

double median(std::vector<double> values);

/// One run of something: prepares, and gives the seconds of the part that counts.
using Run = std::function<double()>;

/// Runs each of `candidates` in turn, `rounds` times, and gives the median of each.
std::vector<double> alternate(int rounds, const std::vector<Run>& candidates);

struct ChildResult {
  double seconds = 0;           // from start to end
  std::int64_t peak_bytes = 0;  // resident memory
};

/// Starts this program again with `arguments` and waits. Its memory starts from nothing, and it
/// must call report_peak() before it ends. Throws std::runtime_error when it fails.
ChildResult run_child(const std::vector<std::string>& arguments);

/// In a child: tells the parent the highest resident memory so far.
void report_peak();

/// Waits for a command of the shell; gives its seconds. Throws std::runtime_error when it fails.
double run_shell(const std::string& command);

/// A folder of its own that goes when the object goes.
class ScratchFolder {
 public:
  explicit ScratchFolder(const std::filesystem::path& parent);
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace tidemark::bench
