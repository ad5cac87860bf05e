#include "bench/measure.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>

namespace tidemark::bench {
namespace {

constexpr int kReportDescriptor = 3;

double seconds_of(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

int wait_for(pid_t child) {
  int status = 0;
  if (waitpid(child, &status, 0) != child) throw std::runtime_error("waitpid failed");
  return status;
}

}  // namespace

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  return seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
}

double wall_seconds() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

std::vector<double> alternate(int rounds, const std::vector<Run>& candidates) {
  std::vector<std::vector<double>> times(candidates.size());
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < candidates.size(); ++i) times[i].push_back(candidates[i]());
  }
  std::vector<double> medians;
  for (const std::vector<double>& one : times) medians.push_back(median(one));
  return medians;
}

ChildResult run_child(const std::vector<std::string>& arguments) {
  std::array<int, 2> report{};
  if (pipe2(report.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
  const double begin = wall_seconds();
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("fork failed");
  if (child == 0) {
    if (report[1] == kReportDescriptor) {
      fcntl(report[1], F_SETFD, 0);
    } else {
      dup2(report[1], kReportDescriptor);
    }
    std::vector<std::string> words{"tidemark_bench"};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    execv("/proc/self/exe", pointers.data());
    _exit(127);
  }
  close(report[1]);
  std::int64_t peak = 0;
  const ssize_t size = read(report[0], &peak, sizeof(peak));
  close(report[0]);
  const int status = wait_for(child);
  if (status != 0 || size != sizeof(peak)) throw std::runtime_error("a child process failed");
  return {.seconds = wall_seconds() - begin, .peak_bytes = peak};
}

void report_peak() {
  // Not ru_maxrss: a child inherits that of its parent.
  std::ifstream status("/proc/self/status");
  std::string word;
  std::int64_t peak = 0;
  while (status >> word) {
    if (word == "VmHWM:") {
      status >> peak;
      peak *= 1024;
      break;
    }
  }
  if (write(kReportDescriptor, &peak, sizeof(peak)) != sizeof(peak)) std::abort();
}

double run_shell(const std::string& command) {
  const double begin = wall_seconds();
  const std::string strict = "set -o pipefail; " + command;
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("fork failed");
  if (child == 0) {
    execlp("bash", "bash", "-c", strict.c_str(), nullptr);
    _exit(127);
  }
  if (wait_for(child) != 0) throw std::runtime_error("failed: " + command);
  return wall_seconds() - begin;
}

ScratchFolder::ScratchFolder(const std::filesystem::path& parent) {
  std::string name = parent / "tidemark-bench-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) {
    throw std::runtime_error("cannot make a folder in " + parent.string());
  }
  path_ = name;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace tidemark::bench
