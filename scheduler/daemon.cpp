#include "scheduler/daemon.h"

#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <fstream>
#include <future>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <spdlog/spdlog.h>

#include "engines/registry.h"
#include "model/error.h"
#include "scheduler/alerts.h"
#include "scheduler/behind_questions.h"
#include "scheduler/config.h"
#include "scheduler/control_socket.h"
#include "scheduler/daemon_files.h"
#include "scheduler/daemon_log.h"
#include "scheduler/daemon_metrics.h"
#include "scheduler/heartbeats.h"
#include "scheduler/lag_history.h"
#include "scheduler/mailbox.h"
#include "scheduler/metrics_server.h"
#include "scheduler/node_pool.h"
#include "scheduler/planner.h"
#include "scheduler/service_manager.h"
#include "scheduler/session_workers.h"
#include "scheduler/watcher.h"

namespace tidemark::scheduler {
namespace {

/// Told by threads of one reading of the configuration. Those of an earlier one may end later.
struct Event {
  std::uint64_t reading = 0;
  std::variant<WatchEvent, SessionEnded, HeartbeatsSent, RunsNotNoted, BehindTold> what;
};

/// Alerts, silent sessions and unused connections are looked after this often.
constexpr std::int64_t kTickUs = 1'000'000;
/// Told to end, sessions have so long to come to a safe point before they are cut off, and the
/// process so long to put everything away.
constexpr std::int64_t kStopUs = 600'000;
constexpr std::int64_t kEndUs = 900'000;
/// Connections and files that nobody uses any more have so long to be closed: at the end of the
/// process at least, and when a new configuration comes.
constexpr std::int64_t kLeastCloseUs = 50'000;
constexpr std::chrono::milliseconds kClosePatience(500);
/// A new configuration waits so long for sessions to end by themselves.
constexpr std::int64_t kReloadPatienceUs = 5'000'000;
/// Lags that were measured are written down this often.
constexpr std::int64_t kSaveLagsUs = 60'000'000;

Moment now_is() {
  using std::chrono::duration_cast;
  using std::chrono::microseconds;
  return {
      .day_us =
          duration_cast<microseconds>(std::chrono::system_clock::now().time_since_epoch()).count(),
      .steady_us =
          duration_cast<microseconds>(std::chrono::steady_clock::now().time_since_epoch()).count()};
}

std::string utc(std::int64_t time_us) {
  const std::time_t seconds = time_us / 1'000'000;
  struct tm parts {};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

std::string seconds_text(std::int64_t us) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3g s", static_cast<double>(us) / 1e6);
  return text.data();
}

std::string text_of(const std::filesystem::path& file) {
  std::ifstream input(file);
  return {std::istreambuf_iterator<char>(input), std::istreambuf_iterator<char>()};
}

Timing timing_of(const Schedule& schedule) {
  const auto time = [](std::int64_t us) { return Time(std::chrono::microseconds(us)); };
  const auto number = [](Time at) { return at.time_since_epoch().count(); };
  Timing timing;
  timing.continuous = schedule.kind == ScheduleKind::continuous;
  timing.at_start = timing.continuous || schedule.kind == ScheduleKind::every;
  if (schedule.kind == ScheduleKind::every || schedule.kind == ScheduleKind::cron) {
    timing.next = [&schedule, time, number](std::int64_t after_us) -> std::optional<std::int64_t> {
      const auto next = next_after(schedule, time(after_us));
      if (!next) return std::nullopt;
      return number(*next);
    };
  }
  if (!schedule.windows.empty()) {
    timing.excluded_until = [&schedule, time,
                             number](std::int64_t now_us) -> std::optional<std::int64_t> {
      const Time allowed = schedule.windows.next_allowed(time(now_us), schedule.zone);
      if (allowed <= time(now_us)) return std::nullopt;
      return number(allowed);
    };
  }
  return timing;
}

/// How one pair stands, for `status`.
struct PairRecord {
  std::int64_t last_session_us = 0;
  std::int64_t last_success_us = 0;
  std::string last_error;
  std::string last_hint;
  std::int64_t next_try_us = 0;
  std::string told;  // problems and warnings that are in the log already
  std::int64_t waiting = 0;
  bool has_met = false;  // in this process, and so the rows that wait are known
  Silence silence;
  SessionWorkers::Clock::time_point cut_at;  // the last sign of life of a session that was cut off

  /// Nothing that a session succeeded in was heard of since a failure or the start.
  bool is_doubtful() const { return !has_met || !last_error.empty(); }
  void forget_error() {
    last_error.clear();
    last_hint.clear();
  }
};

/// A pair by the names of the configuration, which outlive its reading.
using PairNames = DaemonMetrics::PairKey;

/// What a pair leaves to the next reading of the configuration.
struct PairRest {
  Planner::Debt debt;
  PairRecord record;
};

/// All that belongs to one reading of the configuration. Watchers and sessions end first.
struct Works {
  /// What falls due after `since` is run.
  Works(Config read, std::uint64_t number, const std::shared_ptr<spdlog::logger>& log,
        Mailbox<Event>& mailbox, Moment since)
      : config(std::move(read)),
        reading(number),
        pool(config,
             {.connect_timeout = config.daemon.connect_timeout, .kept = config.daemon.parallel}),
        planner(jobs_of(config), exclusive(config), {.parallel = config.daemon.parallel}, since),
        heartbeats(planner, now_is().steady_us),
        behind(planner, now_is().steady_us),
        records(planner.pairs().size()),
        workers(
            config, pool, nullptr,
            [&mailbox, number](SessionEnded ended) {
              mailbox.put({number, std::move(ended)});
            },
            [&mailbox, number](HeartbeatsSent sent) {
              mailbox.put({number, std::move(sent)});
            },
            [&mailbox, number](RunsNotNoted failed) {
              mailbox.put({number, std::move(failed)});
            },
            [&mailbox, number](BehindTold told) {
              mailbox.put({number, std::move(told)});
            }),
        watcher(config, watch_plan(config), [&mailbox, number](WatchEvent event) {
          mailbox.put({number, std::move(event)});
        }) {
    for (std::size_t job = 0; job < planner.jobs().size(); ++job) {
      if (is_shared(config.node(config.jobs[job].nodes.front()).url)) planner.lease(job, false);
    }
    log->debug("{} jobs, {} pairs", config.jobs.size(), planner.pairs().size());
  }

  static std::vector<Planner::Job> jobs_of(const Config& config) {
    std::vector<Planner::Job> jobs;
    for (const JobConfig& job : config.jobs) {
      jobs.push_back({.config = &job, .timing = timing_of(job.schedule)});
    }
    return jobs;
  }

  static std::set<std::string> exclusive(const Config& config) {
    std::set<std::string> nodes;
    for (const NodeConfig& node : config.nodes) {
      if (!is_shared(node.url)) nodes.insert(node.name);
    }
    return nodes;
  }

  static Watcher::Plan watch_plan(const Config& config) {
    Watcher::Plan plan;
    plan.connect_timeout = config.daemon.connect_timeout;
    for (const JobConfig& job : config.jobs) {
      if (job.schedule.kind == ScheduleKind::continuous) {
        plan.nodes.insert(job.nodes.begin(), job.nodes.end());
      }
      const std::string& hub = job.nodes.front();
      if (is_shared(config.node(hub).url)) plan.leases[hub].insert(job.name);
    }
    return plan;
  }

  std::size_t job(const std::string& name) const {
    config.job(name);  // throws with what there is
    std::size_t index = 0;
    while (config.jobs[index].name != name) ++index;
    return index;
  }

  PairNames names(Planner::PairId id) const {
    const Planner::Pair& pair = planner.pairs()[id];
    return {.job = config.jobs[pair.job].name, .first = pair.first, .second = pair.second};
  }

  LagKey lag_key(Direction direction) const {
    const Planner::Pair& pair = planner.pairs()[direction.pair];
    return {.job = config.jobs[pair.job].name,
            .source = direction.to_second ? pair.first : pair.second,
            .target = direction.to_second ? pair.second : pair.first};
  }

  /// Those in which changes are carried.
  std::vector<Direction> directions() const {
    std::vector<Direction> all;
    for (Planner::PairId id = 0; id < planner.pairs().size(); ++id) {
      all.push_back({.pair = id, .to_second = true});
      if (config.jobs[planner.pairs()[id].job].mode == Mode::backup) continue;
      all.push_back({.pair = id, .to_second = false});
    }
    return all;
  }

  const Config config;
  const std::uint64_t reading;
  NodePool pool;
  Planner planner;
  Heartbeats heartbeats;
  BehindQuestions behind;
  std::vector<PairRecord> records;
  std::map<std::string, std::string> unwatched;  // node -> why
  std::set<std::string> hanging;                 // files that do not answer, of these
  std::set<std::string> told_leases;             // nodes whose leases were asked for
  SessionWorkers workers;
  Watcher watcher;
};

class Daemon {
 public:
  explicit Daemon(const DaemonOptions& options)
      : options_(options), began_(now_is()), random_(std::random_device{}()) {
    Config config = read_config(options.config_file);
    config_text_ = text_of(options.config_file);
    settings_ = config.daemon;
    lock_ = std::make_unique<DaemonLock>(settings_.state, began_.day_us);
    NewFiles files({settings_.state, settings_.log_file});
    if (lock_->is_new()) files.add(lock_->file());
    log_ = make_daemon_log(settings_, options.verbose);
    state_ = load_daemon_state(settings_.state);
    alerts_ = AlertBook(state_.alerts, state_.conflicts);
    lags_ = load_lags(lag_file_of(settings_.state));
    saved_lags_us_ = began_.steady_us;
    if (!settings_.metrics_address.empty()) {
      metrics_server_ = std::make_unique<MetricsServer>(
          settings_.metrics_address, settings_.metrics_port, [this] { return metrics_.text(); });
    }
    control_ = std::make_unique<ControlServer>(
        settings_.socket,
        [this](ControlServer::Client client, const ControlJson& request) {
          return handle(client, request);
        },
        [this](ControlServer::Client client) { gone(client); });
    save_daemon_state(settings_.state, state_);  // where nothing can be kept nothing begins
    std::map<PairNames, PairRest> left;
    for (const OwedRun& run : state_.owed) {
      left[{run.job, run.first, run.second}].debt = {.wanted = run.wanted,
                                                     .kicked = run.kicked,
                                                     .in_round = run.in_round,
                                                     .at_start = false,
                                                     .due_us = run.due_us};
    }
    for (const SilentPair& pair : state_.silent) {
      left[{pair.job, pair.first, pair.second}].record.silence = {.before_us = pair.before_us,
                                                                  .since_us = pair.since_us};
    }
    set_up(std::move(config), began_, left);
    // Whoever kept what is owed may have been killed in the midst of a round.
    for (std::size_t job = 0; job < works_->config.jobs.size(); ++job) {
      works_->planner.begin_round_anew(job);
    }
    files.keep();
  }

  int run(int signals) {
    const std::shared_ptr<Works>& works = works_;
    log_->info("daemon of {} began: process {}, {} jobs, {} sessions at a time",
               options_.config_file.string(), ::getpid(), works->config.jobs.size(),
               works->config.daemon.parallel);
    manager_.notify("READY=1\nSTATUS=" + std::to_string(works->config.jobs.size()) + " jobs");
    do {
      while (!ended()) turn(signals);
      take_events();     // how the last sessions ended decides what is owed
    } while (!ended());  // and may be noted in a hub
    works_->planner.raise_due(now_is());
    note_owed();
    // While nobody wants a daemon its silence is none; one that is killed again and again is.
    const Moment now = now_is();
    for (PairRecord& record : works_->records) record.silence.stop(now.day_us);
    note_silence(now);
    log_->info("daemon of {} ended", options_.config_file.string());
    log_->flush();
    save_state();
    keep_lags();
    return 0;
  }

  /// Threads that hang in a system call would keep the process from ending, and so would closing a
  /// file.
  bool leaves_threads() {
    if (works_->workers.running() > 0 || cut_) return true;
    const std::int64_t left_us = *stopping_since_us_ + kEndUs - now_is().steady_us;
    leave_behind(std::move(works_), std::chrono::microseconds(std::max(left_us, kLeastCloseUs)));
    return waits_for_old_works();
  }
  void put_away() {
    control_.reset();
    runner_.reap();
  }

 private:
  // --- The loop
  void turn(int signals) {
    const Moment now = now_is();
    std::int64_t wake_us = std::min(next_tick_us_, now.steady_us + kTickUs);
    if (!stopping() && !reloading_) {
      const Planner::Decision decision = works_->planner.decide(now);
      note_owed();  // before anything begins that may be cut short
      for (const Planner::PairId id : decision.begin) begin(id);
      if (decision.wake_us) wake_us = std::min(wake_us, *decision.wake_us);
    } else {
      wake_us = std::min(wake_us, now.steady_us + 50'000);
      works_->planner.raise_due(now);  // what falls due meanwhile is the next one's
      note_owed();
    }
    std::vector<struct pollfd> waits = {
        {.fd = signals, .events = POLLIN, .revents = 0},
        {.fd = mailbox_.descriptor(), .events = POLLIN, .revents = 0}};
    control_->add_descriptors(waits);
    const std::int64_t wait_us = std::max<std::int64_t>(wake_us - now.steady_us, 0);
    const struct timespec timeout = {.tv_sec = wait_us / 1'000'000,
                                     .tv_nsec = wait_us % 1'000'000 * 1000};
    ::ppoll(waits.data(), waits.size(), &timeout, nullptr);
    if (waits[0].revents != 0) take_signals(signals);
    if (waits[1].revents != 0) take_events();
    control_->serve(waits);
    answer_waiting();
    if (now_is().steady_us >= next_tick_us_) tick();
    if (reloading_ && !stopping()) go_on_reloading();
    if (stopping()) go_on_stopping();
  }

  void begin(Planner::PairId id) {
    const Planner::Pair& pair = works_->planner.pairs()[id];
    works_->workers.begin(id, works_->config.jobs[pair.job], pair.first, pair.second);
  }

  void take_events() {
    for (Event& event : mailbox_.take()) {
      // What old watchers tell last is about pairs that are no more.
      if (event.reading != works_->reading) continue;
      std::visit([this](auto& what) { happened(what); }, event.what);
    }
  }

  // --- Signals
  void take_signals(int signals) {
    struct signalfd_siginfo info {};
    while (::read(signals, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      if (info.ssi_signo == SIGHUP) {
        reload();
      } else if (!stopping()) {
        log_->info("told to end, {} sessions are at work", works_->workers.running());
        manager_.notify("STOPPING=1");
        stopping_since_us_ = now_is().steady_us;
        works_->workers.stop_all();
      } else {
        works_->workers.cut_all();
      }
    }
  }

  bool stopping() const { return stopping_since_us_.has_value(); }

  void go_on_stopping() {
    const std::int64_t since_us = now_is().steady_us - *stopping_since_us_;
    if (since_us < kStopUs) return;
    cut_ = true;
    works_->workers.cut_all();
  }

  bool ended() const {
    if (!stopping()) return false;
    return works_->workers.running() == 0 || now_is().steady_us - *stopping_since_us_ > kEndUs;
  }

  // --- Configuration
  void reload() {
    if (stopping()) return;
    try {
      // One that was accepted before and waits for sessions to end stays the next one.
      Config config = read_config(options_.config_file);
      std::string text = text_of(options_.config_file);
      next_log_ = make_daemon_log(config.daemon, options_.verbose);
      next_text_ = std::move(text);
      next_config_.emplace(std::move(config));
    } catch (const Error& error) {
      log_->error("the new configuration is refused, the old one stays: {} (hint: {})",
                  error.what(), error.hint());
      manager_.notify("STATUS=the new configuration is refused: " + std::string(error.what()));
      return;
    }
    manager_.reloading();
    if (reloading_) return;  // sessions are not given more time to end for being asked again
    reloading_ = true;
    reloading_since_us_ = now_is().steady_us;
  }

  void go_on_reloading() {
    const std::int64_t since_us = now_is().steady_us - reloading_since_us_;
    // What a file system keeps is left behind: nobody can end it.
    const auto waits = [&] {
      return works_->workers.running() > 0 && since_us <= kReloadPatienceUs + kEndUs &&
             !works_->workers.only_with(works_->hanging);
    };
    if (waits()) {
      if (since_us > kReloadPatienceUs) works_->workers.stop_all();
      if (since_us > kReloadPatienceUs + kStopUs) works_->workers.cut_all();
      return;
    }
    // How the last sessions ended; those that were cut for the new configuration have not failed.
    take_events();
    if (waits()) return;  // the end of a round is noted
    reloading_ = false;
    const DaemonConfig& next = next_config_->daemon;
    log_ = std::move(next_log_);
    if (next.socket != settings_.socket || next.state != settings_.state ||
        next.metrics_address != settings_.metrics_address ||
        next.metrics_port != settings_.metrics_port) {
      log_->warn("socket, state and metrics stay as they are until the daemon is started anew");
    }
    note_waiting();
    const Moment now = now_is();
    const auto left = leave(now, next_text_ != config_text_);
    config_text_ = next_text_;
    leave_behind(std::move(works_), kClosePatience);
    set_up(std::move(*next_config_), now, left);
    next_config_.reset();
    log_->info("configuration read anew: {} jobs", works_->config.jobs.size());
    manager_.notify("READY=1\nSTATUS=" + std::to_string(works_->config.jobs.size()) + " jobs");
  }

  /// What the pairs leave to the next reading of the configuration. One that was `changed` may be
  /// what pairs that failed have waited for.
  std::map<PairNames, PairRest> leave(const Moment& now, bool changed) {
    std::map<PairNames, PairRest> left;
    works_->planner.raise_due(now);
    for (Planner::PairId id = 0; id < works_->records.size(); ++id) {
      PairRest rest{.debt = works_->planner.debt(id), .record = works_->records[id]};
      if (changed) {
        rest.debt.not_before_us = now.steady_us;
        rest.record.next_try_us = now.day_us;
      }
      left.emplace(works_->names(id), std::move(rest));
    }
    return left;
  }

  /// Waits for its threads, so that leases are free for those that come; but for none that is
  /// connecting to a server or waits for a file system that hangs, which nobody can cut short: the
  /// daemon must go on. Whether closing a file that is not watched hangs shows when it is tried.
  void leave_behind(std::shared_ptr<Works> old, std::chrono::microseconds patience) {
    const bool waits = old->watcher.stop() || old->workers.running() > 0;
    leaving_.push_back(
        std::async(std::launch::async, [old = std::move(old)]() mutable { old.reset(); }));
    if (!waits) leaving_.back().wait_for(patience);
  }

  bool waits_for_old_works() {
    std::erase_if(leaving_, [](const std::future<void>& old) {
      return old.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
    });
    return !leaving_.empty();
  }

  void take_over(const std::map<PairNames, PairRest>& left) {
    for (Planner::PairId id = 0; id < works_->records.size(); ++id) {
      const auto found = left.find(works_->names(id));
      if (found == left.end()) continue;
      works_->planner.take_over(id, found->second.debt);
      works_->records[id] = found->second.record;
      if (works_->planner.failures(id) == 0) works_->records[id].forget_error();
    }
  }

  /// Keeps what is owed, so that a daemon that is killed now leaves it to the next one. Of jobs
  /// that begin with the daemon only what somebody asked for. What could not be written, because a
  /// disk was full, is written when it can be.
  void note_owed() {
    std::vector<OwedRun> owed;
    std::set<std::string> at_work;
    const Planner& planner = works_->planner;
    for (Planner::PairId id = 0; id < planner.pairs().size(); ++id) {
      const Planner::Debt debt = planner.debt(id);
      if (planner.jobs()[planner.pairs()[id].job].timing.at_start && !debt.kicked) continue;
      if (!debt.wanted && !debt.in_round) continue;
      PairNames names = works_->names(id);
      if (debt.wanted) at_work.insert(names.job);
      owed.push_back({.job = std::move(names.job),
                      .first = std::move(names.first),
                      .second = std::move(names.second),
                      .wanted = debt.wanted,
                      .kicked = debt.kicked,
                      .in_round = debt.in_round,
                      .due_us = debt.due_us});
    }
    std::erase_if(owed, [&](const OwedRun& run) { return !at_work.contains(run.job); });
    const bool again = unsaved_ && now_is().steady_us >= next_save_us_;
    if (owed == state_.owed && !again) return;
    state_.owed = std::move(owed);
    save_state();
  }

  void set_up(Config config, const Moment& since, const std::map<PairNames, PairRest>& left) {
    works_ = std::make_shared<Works>(std::move(config), ++readings_, log_, mailbox_, since);
    std::vector<std::string> names;
    for (const JobConfig& job : works_->config.jobs) names.push_back(job.name);
    alerts_.keep_only(names);
    take_over(left);
    std::set<PairNames> pairs;
    for (Planner::PairId id = 0; id < works_->records.size(); ++id) pairs.insert(works_->names(id));
    metrics_.keep_only(pairs);
    set_gauges();
    for (const std::string& name : state_.paused) {
      const auto found = std::find(names.begin(), names.end(), name);
      if (found == names.end()) continue;
      works_->planner.pause(static_cast<std::size_t>(found - names.begin()), true);
    }
    for (const auto& [client, jobs] : held_) hold_again(jobs);
    const auto known = std::move(lags_);
    lags_.clear();
    for (const Direction direction : works_->directions()) {
      const LagKey key = works_->lag_key(direction);
      const auto found = known.find(key);
      if (found == known.end()) continue;
      lags_.emplace(key, found->second);
      works_->behind.remember(direction, found->second.behind);
      if (found->second.heartbeat_us == 0) continue;
      works_->heartbeats.remember(direction, found->second.heartbeat_us, now_is().steady_us);
    }
  }

  // --- Lags and heartbeats
  /// Those that are on their way, and changes that wait, are part of what is kept.
  void note_waiting() {
    for (const Direction direction : works_->directions()) {
      const std::int64_t sent_us = works_->heartbeats.on_its_way_us(direction).value_or(0);
      const Behind& behind = works_->behind.behind(direction);
      const auto found = lags_.find(works_->lag_key(direction));
      if (found == lags_.end() && sent_us == 0 && behind.since_us == 0) continue;
      KeptLags& kept = lags_[works_->lag_key(direction)];
      kept.heartbeat_us = sent_us;
      kept.behind = behind;
    }
  }

  void keep_lags() {
    note_waiting();
    saved_lags_us_ = now_is().steady_us;
    if (lags_ == saved_lags_) return;
    const std::filesystem::path file = lag_file_of(settings_.state);
    if (save_lags(file, lags_)) {
      saved_lags_ = lags_;
    } else {
      log_->warn("the lags that were measured cannot be written to {}", file.string());
    }
  }

  void send_heartbeats(const Moment& now) {
    const auto runs = [this](std::size_t job) {
      return works_->planner.leased(job) && !works_->planner.paused(job);
    };
    for (auto& [node, beats] : works_->heartbeats.due(now.steady_us, runs)) {
      works_->workers.send(node, std::move(beats));
    }
  }

  // --- Changes that wait
  std::optional<BehindQuestions::Standing> standing(Direction direction, const Moment& now) {
    Planner& planner = works_->planner;
    const Planner::Pair& pair = planner.pairs()[direction.pair];
    const PairRecord& record = works_->records[direction.pair];
    const std::string& hub = works_->config.jobs[pair.job].nodes.front();
    const bool hub_is_lost = works_->unwatched.contains(hub);
    if (!planner.leased(pair.job) && !hub_is_lost) {
      if (!works_->told_leases.contains(hub)) return std::nullopt;
      return BehindQuestions::Standing{.elsewhere = true};
    }
    BehindQuestions::Standing standing;
    // A pair of a schedule has time until it is due; one of a continuous job has not.
    const bool continuous = planner.jobs()[pair.job].timing.continuous;
    const bool waits = now.day_us - record.last_success_us > BehindQuestions::kPatienceUs &&
                       planner.has_work(direction.pair);
    standing.unmet = !record.has_met;
    standing.unwell = !record.last_error.empty() || (waits && (continuous || standing.unmet));
    const std::string& source = direction.to_second ? pair.first : pair.second;
    if (works_->unwatched.contains(source)) return std::nullopt;  // it would not answer
    standing.generation = planner.generation(source);
    return standing;
  }

  void ask_who_is_behind(const Moment& now) {
    const auto stands = [&](Direction direction) { return standing(direction, now); };
    for (auto& [node, questions] : works_->behind.due(now.steady_us, stands)) {
      works_->workers.ask(node, std::move(questions));
    }
  }

  void happened(const BehindTold& told) {
    if (told.error) {
      log_->debug("node {}: it is not known who is behind: {}", told.node, told.error->logged());
    }
    works_->behind.answered(told.node, told.questions, told.answers, now_is().steady_us);
  }

  /// What waits grows older, and is part of the history.
  void note_behind(const Moment& now) {
    for (const Direction direction : works_->directions()) {
      const Behind& behind = works_->behind.behind(direction);
      if (behind.since_us == 0) continue;
      lags_[works_->lag_key(direction)].lags.waits(behind.since_us, now.day_us);
    }
  }

  void happened(const HeartbeatsSent& sent) {
    if (sent.error) {
      log_->debug("node {}: a heartbeat was not sent: {}", sent.node, sent.error->what());
    }
    works_->heartbeats.sent(sent.beats, sent.sent_us, now_is().steady_us);
    carry_heartbeats();
  }

  void carry_heartbeats() {
    for (const Planner::PairId pair : works_->heartbeats.to_carry()) works_->planner.want(pair);
  }

  /// What a session measured in one direction.
  void note_lag(Direction direction, const std::optional<std::int64_t>& lag_us,
                std::int64_t heard_us, std::int64_t took_us, const Moment& now) {
    if (lag_us) lags_[works_->lag_key(direction)].lags.measured(*lag_us, now.day_us);
    works_->heartbeats.met(direction, heard_us, now.steady_us - took_us);
  }

  void hold_again(const std::set<std::string>& jobs) {
    for (std::size_t job = 0; job < works_->config.jobs.size(); ++job) {
      if (jobs.contains(works_->config.jobs[job].name)) works_->planner.hold(job, true);
    }
  }

  // --- What happened
  void happened(const WatchEvent& event) {
    std::visit([this](const auto& what) { noticed(what); }, event);
  }

  void noticed(const NodeLooked& looked) {
    works_->planner.looked(looked.node, looked.pulse);
    works_->heartbeats.seen(looked.node, looked.pulse.heartbeat_us);
    carry_heartbeats();
  }

  void noticed(const NodeFailed& failed) {
    if (failed.error && !failed.pause) {
      works_->hanging.insert(failed.node);
    } else {
      works_->hanging.erase(failed.node);
    }
    if (failed.error) {
      works_->unwatched[failed.node] = failed.error->what();
      std::string next;
      if (failed.pause) {
        next = "; next try in " + seconds_text(failed.pause->count()) + ", at " +
               utc(now_is().day_us + failed.pause->count());
        if (failed.longest) next += ", and as often until it is back";
      }
      if (!failed.is_new) {
        log_->info("node {} was tried {} times in vain{}", failed.node, failed.tries, next);
        return;
      }
      log_->warn("changes on node {} are not noticed: {} (hint: {}){}", failed.node,
                 failed.error->what(), failed.error->hint(), next);
      // A server that does not answer its watcher does not answer sessions either.
      if (is_shared(works_->config.node(failed.node).url)) cut_node(failed.node);
    } else {
      works_->unwatched.erase(failed.node);
      works_->planner.is_back(failed.node);
      log_->info("changes on node {} are noticed again", failed.node);
    }
  }

  void noticed(const FilesUnheard& unheard) {
    log_->warn("{} (hint: {})", unheard.error.what(), unheard.error.hint());
  }

  void noticed(const LeasesHeld& leases) {
    Planner& planner = works_->planner;
    works_->told_leases.insert(leases.node);
    std::size_t surplus = leases.surplus;
    for (std::size_t job = 0; job < works_->config.jobs.size(); ++job) {
      const JobConfig& config = works_->config.jobs[job];
      if (config.nodes.front() != leases.node) continue;
      const bool held = leases.jobs.contains(config.name);
      if (held != planner.leased(job)) {
        log_->info("job {} is run by {}", config.name,
                   held ? "this daemon" : "another daemon, or by none for now");
        if (!held) cut_job(job);
        const auto done = leases.done.find(config.name);
        tell_dropped(job,
                     planner.lease(job, held,
                                   done == leases.done.end() ? Planner::DoneRuns{} : done->second));
        forget_errors(job);
      } else if (held && surplus > 0 && !planner.running(job) && !planner.paused(job)) {
        // One that is paused stays here: the other daemon would run it.
        --surplus;
        tell_dropped(job, planner.lease(job, false));
        works_->watcher.give_back(leases.node, config.name);
        log_->info("job {} is left to another daemon", config.name);
      }
    }
  }

  void tell_dropped(std::size_t job, bool dropped) {
    if (!dropped) return;
    log_->warn(
        "job {}: the run that was asked for is given up with the job (hint: kick it again "
        "where it runs)",
        works_->config.jobs[job].name);
  }

  /// What another daemon made up for is no failure any more.
  void forget_errors(std::size_t job) {
    for (Planner::PairId id = 0; id < works_->planner.pairs().size(); ++id) {
      if (works_->planner.pairs()[id].job != job || works_->planner.failures(id) > 0) continue;
      works_->records[id].forget_error();
    }
  }

  void cut_node(const std::string& node) {
    for (Planner::PairId id = 0; id < works_->planner.pairs().size(); ++id) {
      const Planner::Pair& pair = works_->planner.pairs()[id];
      if (pair.first == node || pair.second == node) works_->workers.cut(id);
    }
  }

  /// Whoever has the lease now must find nobody at work.
  void cut_job(std::size_t job) {
    for (Planner::PairId id = 0; id < works_->planner.pairs().size(); ++id) {
      if (works_->planner.pairs()[id].job == job) works_->workers.cut(id);
    }
  }

  void happened(const RunsNotNoted& failed) {
    log_->warn(
        "job {}: that its run is done is not noted, another daemon may do it again: {} "
        "(hint: {})",
        failed.job, failed.error.logged(), failed.error.hint());
  }

  void happened(const SessionEnded& ended) {
    const Moment now = now_is();
    const Planner::Pair& pair = works_->planner.pairs()[ended.pair];
    PairRecord& record = works_->records[ended.pair];
    record.last_session_us = now.day_us;
    if (!ended.error) {
      succeeded(ended, pair, record, now);
      return;
    }
    const Error& error = *ended.error;
    const std::string what =
        "job " + works_->config.jobs[pair.job].name + ": " + pair.first + " and " + pair.second;
    const bool asked_to_stop = error.code() == ExitCode::interrupted || stopping() || reloading_ ||
                               !works_->planner.leased(pair.job);
    const std::string& job = works_->config.jobs[pair.job].name;
    if (asked_to_stop) {
      works_->planner.gave_up(ended.pair, now);
      metrics_.session_failed(job, pair.first, pair.second, "stopped", ended.took_us);
      log_->debug("{}: stopped: {}", what, error.what());
      return;
    }
    if (error.code() == ExitCode::locked && record.last_error.empty() &&
        record.silence.length_us(now.day_us) < kTickUs * 60) {
      works_->planner.found_locked(ended.pair, now);
      metrics_.session_failed(job, pair.first, pair.second, "locked", ended.took_us);
      log_->debug("{}: {}", what, error.what());
      return;
    }
    const double jitter = std::uniform_real_distribution<double>(0, 1)(random_);
    const Moment next = works_->planner.failed(ended.pair, jitter, now);
    metrics_.session_failed(job, pair.first, pair.second, "failed", ended.took_us);
    record.last_error = error.logged();
    record.last_hint = error.hint();
    record.next_try_us = next.day_us;
    log_->error("{}: {} (hint: {}); next try in {}, at {}", what, error.logged(), error.hint(),
                seconds_text(next.steady_us - now.steady_us), utc(next.day_us));
    if (error.logged() != error.what()) log_->debug("{}: {}", what, error.what());
  }

  void succeeded(const SessionEnded& ended, const Planner::Pair& pair, PairRecord& record,
                 const Moment& now) {
    const SessionReport& report = ended.report;
    Planner::DoneRuns runs = works_->planner.done(
        ended.pair,
        {.first_learned = report.to_first.wrote,
         .second_learned = report.to_second.wrote,
         .first_knows = report.first_knows,
         .second_knows = report.second_knows,
         .changes = report.to_first.total().changed() + report.to_second.total().changed(),
         .left_something = report.left_locked_rows()},
        now);
    const JobConfig& job = works_->config.jobs[pair.job];
    if (!runs.empty() && is_shared(works_->config.node(pair.first).url)) {
      works_->workers.note(job, std::move(runs));
    }
    metrics_.session_done(report, ended.took_us, ended.waiting, now.day_us);
    alerts_.conflicts(report.job,
                      report.to_first.total().conflicts + report.to_second.total().conflicts,
                      now.day_us);
    record.last_success_us = now.day_us;
    record.waiting = ended.waiting;
    record.has_met = true;
    record.silence = {.before_us = 0, .since_us = now.day_us};
    works_->behind.met(ended.pair, report.problems.empty(), now.steady_us);
    note_lag({.pair = ended.pair, .to_second = true}, report.lag_to_second_us(),
             report.second_heard_us, ended.took_us, now);
    note_lag({.pair = ended.pair, .to_second = false}, report.lag_to_first_us(),
             report.first_heard_us, ended.took_us, now);
    carry_heartbeats();
    if (!record.last_error.empty()) {
      record.forget_error();
      log_->info("job {}: {} and {}: sessions succeed again", report.job, pair.first, pair.second);
    }
    log_session(report, record, ended.took_us);
  }

  /// One line for a session that moved something, none for the others.
  void log_session(const SessionReport& report, PairRecord& record, std::int64_t took_us) {
    const PullCounts second = report.to_second.total();
    const PullCounts first = report.to_first.total();
    const std::int64_t conflicts = first.conflicts + second.conflicts;
    if (first.changed() + second.changed() + conflicts > 0) {
      std::string lag;
      if (const auto lag_us = report.lag_to_second_us()) {
        lag += ", lag to " + report.second + " " + seconds_text(*lag_us);
      }
      if (const auto lag_us = report.lag_to_first_us()) {
        lag += ", lag to " + report.first + " " + seconds_text(*lag_us);
      }
      log_->info("job {}: {} rows to {}, {} rows to {}, {} conflicts{}, took {}", report.job,
                 second.changed(), report.second, first.changed(), report.first, conflicts, lag,
                 seconds_text(took_us));
    }
    for (const std::string& what : report.recovered) {
      log_->warn("job {}: {}; capture was mended and the whole table compared", report.job, what);
    }
    for (const std::string& what : report.taken_in) {
      log_->info("job {}: {}: new, under capture from now on", report.job, what);
    }
    for (const std::string& what : report.reshaped) log_->info("job {}: {}", report.job, what);
    for (const std::string& what : report.ranges) {
      log_->info("job {}: key range {}", report.job, what);
    }
    // What does not change from session to session is told once.
    std::string told;
    for (const auto* list : {&report.problems, &report.warnings}) {
      for (const std::string& text : *list) told += text + "\n";
    }
    if (told == record.told) return;
    record.told = told;
    for (const std::string& problem : report.problems) {
      log_->error("job {}: {}", report.job, problem);
    }
    for (const std::string& warning : report.warnings) {
      log_->warn("job {}: {}", report.job, warning);
    }
  }

  // --- Every second
  void tick() {
    const Moment now = now_is();
    next_tick_us_ = now.steady_us + kTickUs;
    works_->workers.close(works_->pool.take_unused(NodePool::Clock::now()));
    works_->watcher.supervise();
    for (const SessionWorkers::Life& life : works_->workers.lives()) {
      const auto silent = SessionWorkers::Clock::now() - life.seen;
      works_->planner.alive(life.pair,
                            {.day_us = 0,
                             .steady_us = std::chrono::duration_cast<std::chrono::microseconds>(
                                              life.seen.time_since_epoch())
                                              .count()});
      const Planner::Pair& pair = works_->planner.pairs()[life.pair];
      const bool hangs =
          works_->hanging.contains(pair.first) || works_->hanging.contains(pair.second);
      const DaemonConfig& settings = works_->config.daemon;
      if (silent < (hangs ? settings.connect_timeout : settings.silence_timeout)) continue;
      // One that a file system keeps goes on not to end.
      if (std::exchange(works_->records[life.pair].cut_at, life.seen) == life.seen) continue;
      log_->error("job {}: {} and {}: no sign of life for {} s, the session is cut off",
                  works_->config.jobs[pair.job].name, pair.first, pair.second,
                  std::chrono::duration_cast<std::chrono::seconds>(silent).count());
      works_->workers.cut(life.pair);
      works_->planner.abandon(life.pair);
    }
    works_->workers.cut_errands(works_->config.daemon.silence_timeout);
    if (!stopping() && !reloading_) {
      send_heartbeats(now);
      ask_who_is_behind(now);
    }
    note_behind(now);
    const bool saves = now.steady_us - saved_lags_us_ >= kSaveLagsUs;
    if (saves) keep_lags();
    count_silence(now);
    judge_alerts(now);
    note_silence(now);
    if (saves && state_.conflicts != alerts_.conflicts()) save_state();
    runner_.reap();
    waits_for_old_works();
    set_gauges();
    if (const auto interval = manager_.watchdog_interval()) {
      if (now.steady_us - last_watchdog_us_ >= interval->count() - kTickUs) {
        manager_.notify("WATCHDOG=1");
        last_watchdog_us_ = now.steady_us;
      }
    }
  }

  /// A pair that waits for changes and is well succeeds all the time. One that is at work for long,
  /// because its server hangs, does not.
  bool is_well(Planner::PairId id, const Moment& now) const {
    const Planner& planner = works_->planner;
    const Planner::Pair& pair = planner.pairs()[id];
    return planner.jobs()[pair.job].timing.continuous && !works_->records[id].is_doubtful() &&
           !planner.running(pair.job) && !planner.waits(id, now) &&
           !works_->unwatched.contains(pair.first) && !works_->unwatched.contains(pair.second);
  }

  /// Whether anybody is to be told how the job fares.
  bool is_watched(std::size_t job) const {
    const Planner& planner = works_->planner;
    // Without its hub nobody holds the lease.
    const bool hub_is_lost = works_->unwatched.contains(works_->config.jobs[job].nodes.front());
    return !planner.paused(job) && (planner.leased(job) || hub_is_lost);
  }

  /// Silence is the time in which a pair had something to do, was let do it, and did not succeed.
  void count_silence(const Moment& now) {
    const Planner& planner = works_->planner;
    for (Planner::PairId id = 0; id < planner.pairs().size(); ++id) {
      const std::size_t job = planner.pairs()[id].job;
      const Timing& timing = planner.jobs()[job].timing;
      Silence& silence = works_->records[id].silence;
      const bool owes_nothing = !timing.at_start && !planner.debt(id).wanted;
      if (owes_nothing || is_well(id, now)) {
        silence = {};
      } else if (is_watched(job) && !(timing.excluded_until && timing.excluded_until(now.day_us))) {
        silence.count(now.day_us);
      } else {
        silence.stop(now.day_us);
      }
    }
  }

  /// Keeps the silence of pairs for a daemon that is started anew, or one that is killed again and
  /// again would never tell anybody. Of pairs that may be well only if somebody is told of them:
  /// that would be written all the time.
  void note_silence(const Moment& now) {
    std::vector<SilentPair> silent;
    for (Planner::PairId id = 0; id < works_->records.size(); ++id) {
      const PairRecord& record = works_->records[id];
      const auto& alert = alert_of(works_->planner.pairs()[id].job);
      const bool is_told = alert && alert->no_success_for &&
                           record.silence.length_us(now.day_us) >= alert->no_success_for->count();
      if (record.silence == Silence{} || (!record.is_doubtful() && !is_told)) continue;
      PairNames names = works_->names(id);
      silent.push_back({.job = std::move(names.job),
                        .first = std::move(names.first),
                        .second = std::move(names.second),
                        .before_us = record.silence.before_us,
                        .since_us = record.silence.since_us});
    }
    if (silent == state_.silent) return;
    state_.silent = std::move(silent);
    save_state();
  }

  JobHealth health(std::size_t job, const Moment& now) const {
    JobHealth health{.watched = is_watched(job)};
    const Planner& planner = works_->planner;
    for (Planner::PairId id = 0; id < planner.pairs().size(); ++id) {
      if (planner.pairs()[id].job != job) continue;
      const PairRecord& record = works_->records[id];
      health.waiting_rows = std::max(health.waiting_rows, record.waiting);
      health.waiting_is_known = health.waiting_is_known && record.has_met;
      health.silent_us = std::max(health.silent_us, record.silence.length_us(now.day_us));
      if (!record.last_error.empty()) health.last_error = record.last_error;
    }
    return health;
  }

  const std::optional<AlertConfig>& alert_of(std::size_t job) const {
    const JobConfig& config = works_->config.jobs[job];
    return config.alert ? config.alert : works_->config.daemon.alert;
  }

  void judge_alerts(const Moment& now) {
    std::vector<std::pair<std::string, std::string>> commands;  // and what each is told
    for (std::size_t job = 0; job < works_->config.jobs.size(); ++job) {
      const JobConfig& config = works_->config.jobs[job];
      const auto& alert = alert_of(job);
      if (!alert) continue;
      for (const AlertEvent& event :
           alerts_.judge(config.name, *alert, health(job, now), now.day_us)) {
        if (event.begins) metrics_.alert(event.kind);
        log_->warn("alert {}: {}", event.begins ? "begins" : "ends", event.message);
        std::array<char, 256> host{};
        ::gethostname(host.data(), host.size() - 1);
        const ControlJson json = {{"v", 1},
                                  {"type", "alert"},
                                  {"event", event.begins ? "begin" : "end"},
                                  {"job", event.job},
                                  {"kind", event.kind},
                                  {"since", utc(event.since_us)},
                                  {"at", utc(now.day_us)},
                                  {"message", event.message},
                                  {"host", host.data()},
                                  {"config", options_.config_file.string()}};
        commands.emplace_back(
            alert->exec, json.dump(-1, ' ', false, ControlJson::error_handler_t::replace) + "\n");
      }
    }
    if (commands.empty()) return;
    // First, or a daemon that is killed now would leave it to the next one to tell it once more.
    save_state();
    for (const auto& [command, input] : commands) runner_.run(command, input);
  }

  void set_gauges() {
    std::map<std::string, DaemonMetrics::JobGauges> jobs;
    const Planner& planner = works_->planner;
    for (std::size_t job = 0; job < works_->config.jobs.size(); ++job) {
      jobs[works_->config.jobs[job].name] = {.paused = planner.paused(job),
                                             .leased = planner.leased(job)};
    }
    for (Planner::PairId id = 0; id < planner.pairs().size(); ++id) {
      const bool fails = !works_->records[id].last_error.empty();
      if (fails) ++jobs[works_->config.jobs[planner.pairs()[id].job].name].failing_pairs;
    }
    metrics_.set_jobs(std::move(jobs));
    std::map<std::string, bool> nodes;
    for (const std::string& node : Works::watch_plan(works_->config).nodes) {
      nodes[node] = !works_->unwatched.contains(node);
    }
    metrics_.set_nodes(std::move(nodes));
    std::map<LagKey, std::int64_t> behind;
    for (const Direction direction : works_->directions()) {
      const std::int64_t since_us = works_->behind.behind(direction).since_us;
      if (since_us != 0) behind[works_->lag_key(direction)] = since_us;
    }
    metrics_.set_behind(std::move(behind));
  }

  void save_state() {
    state_.alerts = alerts_.open();
    state_.conflicts = alerts_.conflicts();
    try {
      save_daemon_state(settings_.state, state_);
      if (std::exchange(unsaved_, false)) log_->info("the daemon's state is written again");
    } catch (const Error& error) {
      if (!std::exchange(unsaved_, true)) log_->error("{} (hint: {})", error.what(), error.hint());
      next_save_us_ = now_is().steady_us + kTickUs;
    }
  }

  // --- Commands
  std::optional<ControlJson> handle(ControlServer::Client client, const ControlJson& request) {
    const std::string what = request.value("do", "");
    const ControlJson done = {{"ok", true}};
    if (what == "status") return status();
    std::set<std::string> names;
    for (const ControlJson& name : request.value("jobs", ControlJson::array())) {
      if (name.is_string()) names.insert(name.get<std::string>());
    }
    std::set<std::size_t> jobs;
    for (const std::string& name : names) jobs.insert(works_->job(name));
    if (what == "kick") {
      for (const std::size_t job : jobs) {
        refuse_unreachable(job);
        refuse_elsewhere(job, "kick it on the machine of that daemon, or run 'tidemark sync " +
                                  works_->config.jobs[job].name + "' here");
      }
      for (const std::size_t job : jobs) works_->planner.kick(job);
      note_owed();
      return done;
    }
    if (what == "pause" || what == "resume") {
      const bool pauses = what == "pause";
      // What is paused here can be resumed here, wherever it runs.
      const bool resumes = !pauses && std::any_of(names.begin(), names.end(), [this](auto& name) {
        return state_.paused.contains(name);
      });
      for (const std::size_t job : jobs) {
        if (resumes) break;
        refuse_elsewhere(job, what +
                                  " it on the machine of that daemon: 'tidemark status' there "
                                  "shows its state");
      }
      DaemonState next = state_;
      for (const std::string& name : names) {
        if (pauses) {
          next.paused.insert(name);
        } else {
          next.paused.erase(name);
        }
      }
      save_daemon_state(settings_.state, next);
      state_ = std::move(next);
      for (const std::size_t job : jobs) works_->planner.pause(job, pauses);
      for (const std::string& name : names) {
        log_->info("job {} is {}", name, pauses ? "paused" : "resumed");
      }
      if (!pauses) return done;
      waiting_.push_back({client, std::move(names)});
      return std::nullopt;
    }
    if (what == "hold") {
      held_[client].insert(names.begin(), names.end());
      hold_again(names);
      waiting_.push_back({client, std::move(names)});
      return std::nullopt;
    }
    throw Error(ExitCode::protocol, "the daemon does not know what \"" + what + "\" is",
                "use the tidemark program of the same version");
  }

  /// Without its hub a job cannot be begun, and nobody knows whose it is.
  void refuse_unreachable(std::size_t job) const {
    const JobConfig& config = works_->config.jobs[job];
    const std::string& hub = config.nodes.front();
    // A daemon that has just begun may yet get the lease.
    if (works_->planner.leased(job) || !works_->told_leases.contains(hub) ||
        !works_->unwatched.contains(hub)) {
      return;
    }
    throw Error(ExitCode::unreachable,
                "job " + config.name + ": node " + hub + " cannot be reached",
                "the job runs when the node is back");
  }

  /// What is asked of a job whose lease another daemon has would have no effect here.
  void refuse_elsewhere(std::size_t job, const std::string& hint) const {
    const JobConfig& config = works_->config.jobs[job];
    const std::string& hub = config.nodes.front();
    if (works_->planner.leased(job) || !works_->told_leases.contains(hub) ||
        works_->unwatched.contains(hub)) {
      return;
    }
    throw Error(ExitCode::locked, "job " + config.name + " is run by another daemon", hint);
  }

  /// Answers those who wait until jobs are not at work.
  void answer_waiting() {
    std::erase_if(waiting_, [this](const Waiting& waiting) {
      for (std::size_t job = 0; job < works_->config.jobs.size(); ++job) {
        if (waiting.jobs.contains(works_->config.jobs[job].name) && works_->planner.running(job)) {
          return false;
        }
      }
      control_->answer(waiting.client, {{"ok", true}});
      return true;
    });
  }

  void gone(ControlServer::Client client) {
    std::erase_if(waiting_, [&](const Waiting& waiting) { return waiting.client == client; });
    if (held_.erase(client) == 0) return;
    for (std::size_t job = 0; job < works_->config.jobs.size(); ++job) {
      const std::string& name = works_->config.jobs[job].name;
      const bool held = std::any_of(held_.begin(), held_.end(),
                                    [&](const auto& entry) { return entry.second.contains(name); });
      works_->planner.hold(job, held);
    }
  }

  ControlJson lags_json(Direction direction) const {
    const auto found = lags_.find(works_->lag_key(direction));
    const LagHistory none;
    const LagHistory& lags = found == lags_.end() ? none : found->second.lags;
    // A backup has nothing to bring to its source.
    const bool carries =
        direction.to_second ||
        works_->config.jobs[works_->planner.pairs()[direction.pair].job].mode != Mode::backup;
    return lag_json(lags, works_->heartbeats.on_its_way_us(direction),
                    carries ? works_->behind.behind(direction) : Behind{});
  }

  std::string job_state(std::size_t job) const {
    const Planner& planner = works_->planner;
    if (planner.paused(job)) return "paused";
    if (!planner.leased(job)) {
      const std::string& hub = works_->config.jobs[job].nodes.front();
      return works_->unwatched.contains(hub) ? "failing" : "elsewhere";
    }
    for (Planner::PairId id = 0; id < planner.pairs().size(); ++id) {
      if (planner.pairs()[id].job == job && !works_->records[id].last_error.empty()) {
        return "failing";
      }
    }
    return planner.running(job) ? "running" : "waiting";
  }

  ControlJson status() const {
    const Planner& planner = works_->planner;
    ControlJson jobs = ControlJson::array();
    for (std::size_t job = 0; job < works_->config.jobs.size(); ++job) {
      const JobConfig& config = works_->config.jobs[job];
      ControlJson pairs = ControlJson::array();
      for (Planner::PairId id = 0; id < planner.pairs().size(); ++id) {
        const Planner::Pair& pair = planner.pairs()[id];
        if (pair.job != job) continue;
        const PairRecord& record = works_->records[id];
        ControlJson json = {{"first", pair.first},
                            {"second", pair.second},
                            {"last_session_us", record.last_session_us},
                            {"last_success_us", record.last_success_us},
                            {"lag_to_second", lags_json({.pair = id, .to_second = true})},
                            {"lag_to_first", lags_json({.pair = id, .to_second = false})}};
        if (!record.last_error.empty()) {
          json["error"] = record.last_error;
          json["hint"] = record.last_hint;
          json["failures"] = planner.failures(id);
          json["next_try_us"] = record.next_try_us;
        }
        pairs.push_back(std::move(json));
      }
      const auto next_us = planner.next_due_us(job);
      jobs.push_back({{"job", config.name},
                      {"state", job_state(job)},
                      {"schedule", config.schedule.text},
                      {"next_us", next_us ? ControlJson(*next_us) : ControlJson(nullptr)},
                      {"pairs", std::move(pairs)}});
    }
    return {{"ok", true},
            {"pid", ::getpid()},
            {"since_us", began_.day_us},
            {"running", planner.running()},
            {"unwatched", works_->unwatched},
            {"jobs", std::move(jobs)}};
  }

  const DaemonOptions options_;
  const Moment began_;
  std::mt19937_64 random_;
  ServiceManager manager_;
  DaemonConfig settings_;  // of the first reading: files and ports stay
  std::shared_ptr<spdlog::logger> log_;
  std::unique_ptr<DaemonLock> lock_;
  DaemonState state_;
  bool unsaved_ = false;           // what is in state_ could not be written
  std::int64_t next_save_us_ = 0;  // steady: it is tried again then
  AlertBook alerts_;
  CommandRunner runner_{[this](const std::string& what) { log_->warn("{}", what); }};
  DaemonMetrics metrics_;
  std::unique_ptr<MetricsServer> metrics_server_;
  std::unique_ptr<ControlServer> control_;
  std::map<LagKey, KeptLags> lags_;        // of the jobs that there are
  std::map<LagKey, KeptLags> saved_lags_;  // as they are in the file
  std::int64_t saved_lags_us_ = 0;         // steady
  Mailbox<Event> mailbox_;
  std::shared_ptr<Works> works_;
  std::uint64_t readings_ = 0;              // of the configuration
  std::vector<std::future<void>> leaving_;  // earlier works whose threads have not ended
  std::string config_text_;                 // as it was read

  struct Waiting {
    ControlServer::Client client;
    std::set<std::string> jobs;
  };
  std::vector<Waiting> waiting_;
  std::map<ControlServer::Client, std::set<std::string>> held_;

  std::int64_t next_tick_us_ = 0;
  std::int64_t last_watchdog_us_ = 0;
  std::optional<std::int64_t> stopping_since_us_;
  bool cut_ = false;
  bool reloading_ = false;
  std::int64_t reloading_since_us_ = 0;
  std::optional<Config> next_config_;
  std::string next_text_;
  std::shared_ptr<spdlog::logger> next_log_;
};

/// A node of SQLite takes three descriptors, one more while a session holds its lock.
void raise_descriptor_limit() {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  constexpr rlim_t kWanted = 65536;
  limit.rlim_cur = std::max(limit.rlim_cur, std::min(limit.rlim_max, kWanted));
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int run_daemon(const DaemonOptions& options) {
  // Signals are read by the loop. Blocked before any thread exists, so that none takes them.
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  const int signals = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  raise_descriptor_limit();
  // Threads come and go; memory that each kept for itself would add up.
  ::mallopt(M_ARENA_MAX, 2);
  // Threads that hang in a system call must not keep the process from ending: what is left undone
  // by them is as after a kill, which is harmless.
  auto daemon = std::make_unique<Daemon>(options);
  const int code = daemon->run(signals);
  daemon->put_away();
  if (daemon->leaves_threads()) ::_exit(code);
  daemon.reset();
  ::close(signals);
  return code;
}

}  // namespace tidemark::scheduler
