// The daemon: runs the sessions of all jobs as their schedules and changes on their nodes ask for,
// until it is told to end. One thread decides (Planner), others work (SessionWorkers) and watch
// (Watcher); they tell it by a mailbox what happened. One for each configuration of a machine.
#pragma once

#include <filesystem>

namespace tidemark::scheduler {

struct DaemonOptions {
  std::filesystem::path config_file;
  bool verbose = false;
};

/// Returns when SIGTERM or SIGINT arrived and all is put away, and does not return when something
/// hangs then: the process ends. Throws Error when it cannot start: usage (configuration, socket,
/// port, log, state), locked (another daemon). Call it once, before other threads exist.
int run_daemon(const DaemonOptions& options);

}  // namespace tidemark::scheduler
