#include <algorithm>
#include <chrono>
#include <memory>
#include <set>
#include <thread>
#include <utility>

#include <spdlog/spdlog.h>

#include "cli/commands.h"
#include "cli/context.h"
#include "cli/interrupt.h"
#include "cli/session_text.h"
#include "cli/text.h"
#include "engines/registry.h"
#include "scheduler/control_socket.h"
#include "scheduler/session.h"

namespace tidemark::cli {
namespace {

/// Of rows that wait in quarantine so many are told one by one after a session.
constexpr std::size_t kShownWaiting = 10;
/// The lock of a pair that others use all the time is tried for this often.
constexpr std::chrono::milliseconds kTurn(5);

using scheduler::JobConfig;
using scheduler::SessionReport;

class Sync {
 public:
  explicit Sync(Context& context)
      : context_(context),
        dry_run_(context.line().has("dry-run")),
        several_(context.jobs().size() > 1) {}

  int run() {
    hold_daemon();
    for (const JobConfig* job : context_.jobs()) {
      run_job(*job);
      several_ = true;
    }
    return finish();
  }

 private:
  /// A daemon begins no session of these jobs until this process ends, and has none at work.
  void hold_daemon() {
    daemon_ = scheduler::ControlClient::connect(context_.config().daemon.socket);
    if (daemon_ == nullptr) return;
    scheduler::ControlJson names = scheduler::ControlJson::array();
    for (const JobConfig* job : context_.jobs()) names.push_back(job->name);
    try {
      daemon_->ask({{"do", "hold"}, {"jobs", names}}, throw_if_interrupted);
    } catch (const Error& error) {
      if (error.code() == ExitCode::interrupted) throw;
      // It has read another configuration, or went away; the locks of the pairs are what counts.
      context_.log()->debug("the daemon was not asked to wait: {}", error.what());
      daemon_.reset();
    }
  }

  /// Pairs the first node with each other in turn. What a later pair brought to the first node has
  /// yet to reach the nodes before it, so those pairs meet once more.
  void run_job(const JobConfig& job) {
    std::size_t news_from = 0;  // the last node that brought something
    for (std::size_t i = 1; i < job.nodes.size(); ++i) {
      if (run_pair(job, job.nodes[i])) news_from = i;
    }
    if (dry_run_ || job.mode == scheduler::Mode::backup) return;
    again_ = true;
    for (std::size_t i = 1; i < news_from; ++i) run_pair(job, job.nodes[i]);
    again_ = false;
  }

  /// True if the first node learned something in it.
  bool run_pair(const JobConfig& job, const std::string& second) {
    const std::string& first = job.nodes.front();
    throw_if_interrupted();
    ++attempts_;
    try {
      const SessionReport report = meet(job, first, second);
      tell(report);
      ++sessions_;
      return report.to_first.wrote;
    } catch (const Error& error) {
      context_.progress_bar().clear();
      if (error.code() == ExitCode::interrupted) throw;
      // The only session of the command: its error is the command's.
      if (!several_ && job.nodes.size() == 2) throw;
      failures_.push_back(error.code());
      Json failed = {{"job", job.name}, {"first", first}, {"second", second}};
      failed.update(error_json(error));
      context_.output().event("session_failed", failed);
      if (!context_.output().json()) {
        print_error(Error(error.code(),
                          "job " + job.name + ": " + first + " and " + second + ": " + error.what(),
                          error.hint()),
                    false);
      }
      return false;
    }
  }

  SessionReport meet(const JobConfig& job, const std::string& first, const std::string& second) {
    context_.progress_bar().set_title(pair_text(first, second, job.mode));
    const auto until = std::chrono::steady_clock::now() + context_.config().lock_timeout;
    // A daemon on another machine, which knows nothing of this command, may run the job of a
    // server: its sessions are short, and their turn and ours come one after the other.
    const bool waits = is_shared(context_.config().node(first).url);
    for (;;) {
      try {
        return meet_now(job, first, second);
      } catch (const Error& error) {
        if (!waits || error.code() != ExitCode::locked) throw;
        if (std::chrono::steady_clock::now() >= until) throw;
      }
      throw_if_interrupted();
      std::this_thread::sleep_for(kTurn);
    }
  }

  SessionReport meet_now(const JobConfig& job, const std::string& first,
                         const std::string& second) {
    const auto [first_node, second_node] = context_.nodes(first, second, Access::read_write);
    scheduler::SessionOptions options = context_.session_options();
    options.dry_run = dry_run_;
    options.ignore_delete_limit = context_.line().has("allow-deletes");
    SessionReport report = scheduler::run_session(job, first_node, second_node,
                                                  context_.config().tombstone_retention, options);
    context_.progress_bar().clear();
    touched_.insert({first, second});
    return report;
  }

  void tell(const SessionReport& report) {
    context_.output().event("session", session_json(report, dry_run_));
    // What came was often knowledge alone; then there is nothing to tell a second time.
    const bool idle = report.to_second.tables.empty() && report.to_first.tables.empty();
    if (!again_ || !idle) context_.output().note(session_text(report, dry_run_));
    for (const std::string& what : report.recovered) {
      context_.warn(what + "; capture was mended and the whole table compared");
    }
    for (const std::string& what : report.taken_in) {
      context_.output().note(printable(what) + ": a new table, under capture from now on\n");
    }
    for (const std::string& what : report.ranges) {
      context_.output().note(printable(what) + ": the numbers of new rows from now on\n");
    }
    for (const std::string& what : report.reshaped) {
      context_.output().note(printable(what) + "; the table goes on as it is now\n");
    }
    for (const auto& [table, rows] : report.settled) {
      context_.warn("table " + table + ": " + counted(rows, "row") +
                    " differed after its columns were changed and were made alike; what was "
                    "overwritten is in the conflict log");
    }
    for (const std::string& problem : report.problems) context_.warn(problem);
    for (const std::string& warning : report.warnings) context_.warn(warning);
    for (const auto& [table, rows] : report.null_keys) {
      context_.warn(table + ": " + counted(rows, "row") + " cannot be carried: NULL in the key");
    }
    for (const auto& [pull, target] : {std::pair(&report.to_second, &report.second),
                                       std::pair(&report.to_first, &report.first)}) {
      sum_ += pull->total();
      for (std::size_t i = 0; i < std::min(pull->waiting.size(), kShownWaiting); ++i) {
        const auto& [table, row] = pull->waiting[i];
        const auto key = to_views(row.key);
        context_.warn("node " + *target + ": table " + table + ": the row with key " +
                      to_string(key) + " from node " + row.source + " waits: " + row.reason);
      }
    }
    quarantined_ |= report.quarantined();
    left_out_ |= !report.problems.empty();
  }

  std::int64_t open_conflicts() {
    std::set<std::string> ids;
    for (const std::string& name : touched_) {
      Node& node = context_.node(name, Access::read_write);
      if (node.count_conflicts(ConflictStatus::open) == 0) continue;
      for (const Conflict& conflict : node.conflicts()) {
        if (conflict.status == ConflictStatus::open) ids.insert(conflict.id);
      }
    }
    return static_cast<std::int64_t>(ids.size());
  }

  int finish() {
    const std::int64_t open = open_conflicts();
    int code = summed_exit_code(failures_, attempts_);
    // The tables that could be carried were; the others need somebody's attention.
    if (code == 0 && left_out_) code = static_cast<int>(ExitCode::not_ready);
    if (code == 0 && quarantined_) code = static_cast<int>(ExitCode::partly);
    if (code == 0 && open > 0 && context_.line().has("exit-code")) {
      code = static_cast<int>(ExitCode::conflicts_open);
    }
    if (sum_.conflicts > 0 && !dry_run_) {
      context_.output().note(counted(sum_.conflicts, "conflict") +
                             " logged with the losing rows: run 'tidemark conflicts list'\n");
    }
    if (sum_.quarantined > sum_.locked) {
      context_.warn(counted(sum_.quarantined - sum_.locked, "row") +
                    " cannot be held by their target and wait; every session tries again");
    }
    if (open > 0) {
      context_.output().note(counted(open, "conflict") +
                             " open: run 'tidemark conflicts list', then reinstate or dismiss\n");
    }
    context_.output().event("summary", {{"dry_run", dry_run_},
                                        {"sessions", sessions_},
                                        {"failed", failures_.size()},
                                        {"changed", sum_.changed()},
                                        {"conflicts", sum_.conflicts},
                                        {"quarantined", sum_.quarantined},
                                        {"locked", sum_.locked},
                                        {"open_conflicts", open},
                                        {"exit_code", code}});
    return code;
  }

  Context& context_;
  std::unique_ptr<scheduler::ControlClient> daemon_;
  const bool dry_run_;
  bool again_ = false;  // the nodes of a pair meet for the second time
  bool several_;        // jobs, so that one failure does not end the command
  std::size_t attempts_ = 0;
  std::int64_t sessions_ = 0;
  std::vector<ExitCode> failures_;
  PullCounts sum_;
  bool quarantined_ = false;
  bool left_out_ = false;
  std::set<std::string> touched_;
};

}  // namespace

int run_sync(Context& context) { return Sync(context).run(); }

}  // namespace tidemark::cli
