// Context is what a command works with: its command line, the configuration (read when first asked
// for), the open nodes (each opened once), output, log and progress bar. Lives as long as the
// command; used by one thread, except for the progress callback.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <spdlog/fwd.h>

#include "apply/pull.h"
#include "cli/command_line.h"
#include "cli/output.h"
#include "cli/progress_bar.h"
#include "engines/engine.h"
#include "model/error.h"
#include "scheduler/config.h"
#include "scheduler/session.h"

namespace tidemark::cli {

enum class Access : std::uint8_t { read_only, read_write, owner };

class Context {
 public:
  Context(const CommandLine& line, Output& output);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  const CommandLine& line() const { return line_; }
  Output& output() { return output_; }
  const std::shared_ptr<spdlog::logger>& log() const { return log_; }
  ProgressBar& progress_bar() { return progress_bar_; }

  std::filesystem::path config_file() const;
  const scheduler::Config& config();
  /// The jobs that the words of the command name, or all; each once, in the order of the file.
  std::vector<const scheduler::JobConfig*> jobs();

  /// Opens a node, or hands out the one that is open. A node that failed once fails again with the
  /// same Error, without being tried.
  Node& node(const std::string& name, Access access);
  /// The two nodes of a pair, opened side by side.
  struct Pair {
    Node& first;
    Node& second;
  };
  Pair nodes(const std::string& first, const std::string& second, Access access);
  /// Closes a node, so that it is opened anew when it is next asked for.
  void close(const std::string& name);

  /// Draws the bar and ends the work when the user interrupts it.
  apply::Progress progress();
  /// A session with that, the log and the retention of the configuration.
  scheduler::SessionOptions session_options();
  /// "warning: ..." on stderr, each text once; nothing with --quiet or --json.
  void warn(const std::string& text);

 private:
  struct OpenNode {
    std::unique_ptr<Node> node;
    Access access = Access::read_only;
    std::optional<Error> failure;
  };

  /// Leaves a failure in `open`.
  void open_as(OpenNode& open, const scheduler::NodeConfig& node, const std::string& name,
               Access access) const;

  const CommandLine& line_;
  Output& output_;
  std::shared_ptr<spdlog::logger> log_;
  ProgressBar progress_bar_;
  std::optional<scheduler::Config> config_;
  std::map<std::string, OpenNode> nodes_;
  std::vector<std::string> warned_;
};

/// Columns of the terminal on stdout; 80 when it is none.
std::size_t terminal_width();

/// The exit code for what several parts of a command ended with: `done` if none failed, the error's
/// own when all failed alike, else `partly`.
int summed_exit_code(const std::vector<ExitCode>& failures, std::size_t attempts);

}  // namespace tidemark::cli
