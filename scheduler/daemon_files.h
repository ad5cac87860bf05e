// The files of a daemon beside its socket: a lock that says which process works on a configuration,
// and what must outlive it: which jobs are paused, which runs are owed, which alerts have begun
// and what they are judged by.
// Errors are Error usage (the place cannot be written) and locked.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace tidemark::scheduler {

/// Held by the one daemon of a configuration; the system frees it with the process.
class DaemonLock {
 public:
  /// Throws Error locked when another process has it, with its id and since when.
  DaemonLock(const std::filesystem::path& state, std::int64_t now_us);
  ~DaemonLock();
  DaemonLock(const DaemonLock&) = delete;
  DaemonLock& operator=(const DaemonLock&) = delete;

  const std::filesystem::path& file() const { return file_; }
  bool is_new() const { return is_new_; }  // the file was not there before

 private:
  const std::filesystem::path file_;
  bool is_new_ = false;
  int descriptor_ = -1;
};

/// Files that a daemon makes when it begins. Removes those that were not there before, unless it
/// is told that the daemon has begun: a start that is refused changes nothing. The daemon's lock is
/// held as long as this lives, so the files are no other daemon's.
class NewFiles {
 public:
  /// Of `files` those that are not there.
  explicit NewFiles(const std::vector<std::filesystem::path>& files);
  ~NewFiles();
  NewFiles(const NewFiles&) = delete;
  NewFiles& operator=(const NewFiles&) = delete;

  void add(const std::filesystem::path& file) { files_.push_back(file); }
  void keep() { files_.clear(); }

 private:
  std::vector<std::filesystem::path> files_;
};

/// What a pair has yet to do, because its schedule or somebody asked for it; as Planner::Debt.
struct OwedRun {
  std::string job, first, second;
  bool wanted = false;  // else only a part of its job's round that others may call for again
  bool kicked = false;
  bool in_round = false;
  std::optional<std::int64_t> due_us;  // since 1970

  friend bool operator==(const OwedRun&, const OwedRun&) = default;
};

/// A pair that has not succeeded since it failed, or since the daemon began; as Silence.
struct SilentPair {
  std::string job, first, second;
  std::int64_t before_us = 0;
  std::optional<std::int64_t> since_us;  // since 1970

  friend bool operator==(const SilentPair&, const SilentPair&) = default;
};

struct DaemonState {
  std::set<std::string> paused;  // jobs
  std::vector<OwedRun> owed;
  std::map<std::string, std::map<std::string, std::int64_t>> alerts;      // job -> kind -> since
  std::map<std::string, std::map<std::int64_t, std::int64_t>> conflicts;  // job -> when -> how many
  std::vector<SilentPair> silent;

  friend bool operator==(const DaemonState&, const DaemonState&) = default;
};

/// Nothing was ever paused nor owed where there is no file. Throws Error failed for one that is
/// damaged.
DaemonState load_daemon_state(const std::filesystem::path& file);
/// Replaces the file in one step.
void save_daemon_state(const std::filesystem::path& file, const DaemonState& state);

}  // namespace tidemark::scheduler
