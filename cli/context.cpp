#include "cli/context.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "cli/colour.h"
#include "cli/interrupt.h"
#include "cli/text.h"
#include "scheduler/open_nodes.h"
#include "scheduler/side_by_side.h"

namespace tidemark::cli {
namespace {

/// The library's own default writes to stdout, which belongs to data.
std::shared_ptr<spdlog::logger> make_logger(bool verbose) {
  auto logger = std::make_shared<spdlog::logger>("tidemark",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
  // What matters to the user of a command is told by the command itself.
  logger->set_level(verbose ? spdlog::level::debug : spdlog::level::off);
  spdlog::set_default_logger(logger);
  return logger;
}

bool wants_progress(const CommandLine& line) {
  const std::string when = line.argument("progress").value_or("auto");
  if (when == "always") return true;
  // Log lines and a bar would write over each other.
  return when == "auto" && !line.has("quiet") && !line.has("verbose") &&
         ::isatty(STDERR_FILENO) == 1;
}

}  // namespace

Context::Context(const CommandLine& line, Output& output)
    : line_(line),
      output_(output),
      log_(make_logger(line.has("verbose"))),
      progress_bar_(wants_progress(line)) {}

Context::~Context() = default;

std::filesystem::path Context::config_file() const {
  return line_.argument("config").value_or("tidemark.toml");
}

const scheduler::Config& Context::config() {
  if (!config_) {
    config_ = scheduler::read_config(config_file());
    log_->debug("read {}: {} nodes, {} jobs", config_file().string(), config_->nodes.size(),
                config_->jobs.size());
  }
  return *config_;
}

std::vector<const scheduler::JobConfig*> Context::jobs() {
  std::vector<const scheduler::JobConfig*> chosen;
  for (const std::string& name : line_.words) config().job(name);
  for (const scheduler::JobConfig& job : config().jobs) {
    const bool named =
        std::find(line_.words.begin(), line_.words.end(), job.name) != line_.words.end();
    if (line_.words.empty() || named) chosen.push_back(&job);
  }
  return chosen;
}

Node& Context::node(const std::string& name, Access access) {
  OpenNode& open = nodes_[name];
  open_as(open, config().node(name), name, access);
  if (open.failure) throw Error(*open.failure);
  return *open.node;
}

Context::Pair Context::nodes(const std::string& first, const std::string& second, Access access) {
  config();
  OpenNode& first_open = nodes_[first];
  OpenNode& second_open = nodes_[second];
  scheduler::run_side_by_side([&] { open_as(first_open, config_->node(first), first, access); },
                              [&] { open_as(second_open, config_->node(second), second, access); });
  return {.first = node(first, access), .second = node(second, access)};
}

void Context::open_as(OpenNode& open, const scheduler::NodeConfig& node, const std::string& name,
                      Access access) const {
  const bool enough = open.node != nullptr && open.access >= access;
  if (enough || open.failure) return;
  open.node.reset();
  try {
    open.node = scheduler::open_configured(*config_, node,
                                           {.read_only = access == Access::read_only,
                                            .connect_timeout = config_->daemon.connect_timeout,
                                            .role = access == Access::owner ? node.owner : ""});
  } catch (const Error& error) {
    open.failure = error;
    return;
  }
  open.access = access;
  log_->debug("opened node {}", name);
}

void Context::close(const std::string& name) { nodes_.erase(name); }

apply::Progress Context::progress() {
  return [this](const std::string& stage, const std::string& table, std::int64_t done,
                std::int64_t total) {
    throw_if_interrupted();
    progress_bar_.update(stage, table, done, total);
  };
}

scheduler::SessionOptions Context::session_options() {
  return {.conflict_retention = config().conflict_retention,
          .rules = {},
          .progress = progress(),
          .counts_rows = progress_bar_.is_visible(),
          .session_id = "",
          .log = log_};
}

void Context::warn(const std::string& text) {
  if (!output_.tells()) return;
  if (std::find(warned_.begin(), warned_.end(), text) != warned_.end()) return;
  warned_.push_back(text);
  progress_bar_.clear();
  const std::string line =
      coloured_on(STDERR_FILENO, "warning:", Colour::yellow) + " " + printable(text) + "\n";
  std::fflush(stdout);
  std::fwrite(line.data(), 1, line.size(), stderr);
}

std::size_t terminal_width() {
  struct winsize size {};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40) return size.ws_col;
  return 80;
}

int summed_exit_code(const std::vector<ExitCode>& failures, std::size_t attempts) {
  if (failures.empty()) return static_cast<int>(ExitCode::done);
  const bool alike = std::all_of(failures.begin(), failures.end(),
                                 [&](ExitCode code) { return code == failures.front(); });
  return static_cast<int>(alike && failures.size() == attempts ? failures.front()
                                                               : ExitCode::partly);
}

}  // namespace tidemark::cli
