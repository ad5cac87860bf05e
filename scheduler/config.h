// The configuration file: nodes and jobs, read from TOML and checked as a whole. Every mistake is
// an Error with file and line.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "apply/pull.h"
#include "model/change.h"
#include "model/name_map.h"
#include "scheduler/daemon_config.h"
#include "scheduler/schedule.h"

namespace tidemark::scheduler {

struct NodeConfig {
  std::string name;
  std::string url;    // as written
  NameMap names;      // where tables or columns are called otherwise than all agree on
  std::string owner;  // PostgreSQL: who activates; empty: whom the url names
  int line = 0;
};

enum class Mode : std::uint8_t { two_way, backup };
std::string_view to_string(Mode mode);  // "two-way", "backup"

/// [job.NAME.table."GLOB"]: settings of the tables that match.
struct TableConfig {
  std::string glob;
  std::optional<Policy> policy;
  std::optional<bool> key_ranges;
  std::optional<std::int64_t> range_size;
  std::optional<bool> fire_triggers;
  int line = 0;
};

struct JobConfig {
  std::string name;
  std::vector<std::string> nodes;  // the first is the hub, and the source of a backup
  Mode mode = Mode::two_way;
  std::vector<std::string> tables{"*"};
  std::vector<std::string> exclude;
  Schedule schedule;  // with its time zone and exclude_windows
  Policy policy = Policy::latest;
  std::vector<TableConfig> table_settings;  // the last match counts
  apply::DeleteLimit max_deletes{.rows = std::nullopt, .share = 0.2};
  std::chrono::microseconds max_clock_skew = std::chrono::seconds(5);
  std::optional<AlertConfig> alert;
  /// How often each node sends a heartbeat; nothing: never. Of a job that says nothing, the
  /// daemon's.
  std::optional<std::chrono::microseconds> heartbeat;
  int line = 0;

  /// Listed by its own name, not by a glob.
  bool lists(const std::string& table) const;
  /// Matches `tables` and not `exclude`.
  bool takes(const std::string& table) const;
  Policy policy_of(const std::string& table) const;
  /// Each node draws the keys of new rows from a range of its own.
  bool has_ranges(const std::string& table) const;
  bool has_ranges() const;  // some table may
  /// Numbers in a range.
  std::int64_t range_size_of(const std::string& table) const;
  /// The application's triggers fire on rows that sessions write.
  bool fires_triggers(const std::string& table) const;
  static constexpr std::int64_t kRangeSize = 1'000'000;
};

struct Config {
  std::filesystem::path file;
  std::filesystem::path directory;  // relative urls start here
  std::vector<NodeConfig> nodes;
  std::vector<JobConfig> jobs;
  std::chrono::milliseconds lock_timeout = std::chrono::seconds(10);
  std::chrono::days tombstone_retention{30};
  /// How long conflicts that are not open are kept; nothing: for ever.
  std::optional<std::chrono::days> conflict_retention{365};
  DaemonConfig daemon;

  const NodeConfig& node(const std::string& name) const;  // throws Error usage, lists what there is
  const JobConfig& job(const std::string& name) const;    // same
  /// The nodes of all jobs, and the jobs that a node is part of.
  std::vector<const JobConfig*> jobs_of(const std::string& node) const;
};

/// Throws Error usage ("tidemark.toml:12: ..."), also for jobs that contradict each other.
Config read_config(const std::filesystem::path& file);

}  // namespace tidemark::scheduler
