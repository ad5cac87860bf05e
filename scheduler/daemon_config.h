// What the configuration says about the daemon: [daemon], and `alert` of the file and of jobs.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace tidemark::scheduler {

/// When somebody must be told, and by which command. A job without an alert of its own has that of
/// the file.
struct AlertConfig {
  std::optional<std::chrono::microseconds> no_success_for;
  std::optional<std::int64_t> conflicts;   // so many logged within an hour
  std::optional<std::int64_t> quarantine;  // so many rows wait on the nodes of the job
  std::string exec;                        // for the shell; gets JSON on stdin

  friend bool operator==(const AlertConfig&, const AlertConfig&) = default;
};

enum class LogFormat : std::uint8_t { text, json };

struct DaemonConfig {
  std::size_t parallel = 4;  // sessions at work at the same time
  /// Absolute; by default beside the configuration: tidemark.toml.socket, tidemark.toml.state.
  std::filesystem::path socket;
  std::filesystem::path state;
  std::chrono::seconds connect_timeout{10};
  std::chrono::microseconds silence_timeout = std::chrono::minutes(5);
  std::string metrics_address;  // "127.0.0.1"; empty: no metrics
  int metrics_port = 0;
  std::string log_level = "info";
  LogFormat log_format = LogFormat::text;
  std::filesystem::path log_file;    // empty: stderr
  std::optional<AlertConfig> alert;  // of jobs that have none of their own
};

}  // namespace tidemark::scheduler
