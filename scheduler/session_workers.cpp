#include "scheduler/session_workers.h"

#include <exception>
#include <new>
#include <utility>

namespace tidemark::scheduler {

SessionWorkers::SessionWorkers(const Config& config, NodePool& pool,
                               std::shared_ptr<spdlog::logger> log, Ended ended)
    : config_(config), pool_(pool), log_(std::move(log)), ended_(std::move(ended)) {}

SessionWorkers::~SessionWorkers() {
  stop_all();
  cut_all();
  {
    const std::lock_guard guard(mutex_);
    ends_ = true;
  }
  wakes_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void SessionWorkers::begin(Planner::PairId pair, const JobConfig& job, const std::string& first,
                           const std::string& second) {
  auto task = std::make_shared<Task>();
  task->pair = pair;
  task->job = &job;
  task->first = first;
  task->second = second;
  task->seen = Clock::now().time_since_epoch().count();
  const std::lock_guard guard(mutex_);
  waiting_.push_back(std::move(task));
  if (idle_threads_ < waiting_.size()) {
    threads_.emplace_back([this] { work(); });
  } else {
    wakes_.notify_one();
  }
}

void SessionWorkers::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_threads_;
    wakes_.wait(lock, [this] { return ends_ || !waiting_.empty(); });
    --idle_threads_;
    if (waiting_.empty()) return;
    const auto task = running_.insert(running_.end(), std::move(waiting_.front()));
    waiting_.pop_front();
    lock.unlock();
    run(**task);
    lock.lock();
    running_.erase(task);
  }
}

void SessionWorkers::run(Task& task) {
  SessionEnded ended{.pair = task.pair};
  const Clock::time_point began = Clock::now();
  try {
    bool aged = false;
    try {
      ended.report = meet(task, false, ended.waiting, aged);
    } catch (const Error& error) {
      // A connection that was kept may have died with its server; a new one decides.
      if (!aged || task.stops || error.code() != ExitCode::unreachable) throw;
      ended.report = meet(task, true, ended.waiting, aged);
    }
  } catch (const Error& error) {
    ended.error = error;
  } catch (const std::bad_alloc&) {
    ended.error = Error(ExitCode::failed, "out of memory", "free memory on this machine", true);
  } catch (const std::exception& error) {
    ended.error = Error(ExitCode::failed, std::string("unexpected: ") + error.what(),
                        "this is a defect of tidemark; report it with the log");
  }
  ended.took_us =
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began).count();
  ended_(std::move(ended));
}

SessionReport SessionWorkers::meet(Task& task, bool fresh, std::int64_t& waiting, bool& aged) {
  const auto check = [&task] {
    task.seen = Clock::now().time_since_epoch().count();
    if (task.stops) {
      throw Error(ExitCode::interrupted, "the session was stopped", "nothing is half done");
    }
  };
  check();
  NodePool::Lent first = pool_.take(task.first, fresh);
  check();
  NodePool::Lent second = pool_.take(task.second, fresh);
  aged = !first.fresh || !second.fresh;
  // Forgets the nodes before they are closed.
  struct Shown {
    Task& task;
    Shown(Task& shown, Node& a, Node& b) : task(shown) {
      const std::lock_guard guard(task.nodes_mutex);
      task.first_node = &a;
      task.second_node = &b;
    }
    ~Shown() {
      const std::lock_guard guard(task.nodes_mutex);
      task.first_node = task.second_node = nullptr;
    }
    Shown(const Shown&) = delete;
    Shown& operator=(const Shown&) = delete;
  };
  SessionReport report;
  {
    const Shown shown(task, *first.node, *second.node);
    check();
    const SessionOptions options{.conflict_retention = config_.conflict_retention,
                                 .rules = {},
                                 .progress = [&check](const std::string&, const std::string&,
                                                      std::int64_t, std::int64_t) { check(); },
                                 .session_id = "",
                                 .log = log_};
    report =
        run_session(*task.job, *first.node, *second.node, config_.tombstone_retention, options);
    waiting = first.node->count_quarantined() + second.node->count_quarantined();
  }
  pool_.give_back(task.first, std::move(first));
  pool_.give_back(task.second, std::move(second));
  return report;
}

void SessionWorkers::stop(Planner::PairId pair) {
  const std::lock_guard guard(mutex_);
  for (const auto* tasks : {&waiting_, &running_}) {
    for (const auto& task : *tasks) {
      if (task->pair == pair) task->stops = true;
    }
  }
}

void SessionWorkers::stop_all() {
  const std::lock_guard guard(mutex_);
  for (const auto* tasks : {&waiting_, &running_}) {
    for (const auto& task : *tasks) task->stops = true;
  }
}

void SessionWorkers::cut(Task& task) {
  task.stops = true;
  const std::lock_guard guard(task.nodes_mutex);
  if (task.first_node != nullptr) task.first_node->interrupt();
  if (task.second_node != nullptr) task.second_node->interrupt();
}

void SessionWorkers::cut(Planner::PairId pair) {
  const std::lock_guard guard(mutex_);
  for (const auto& task : running_) {
    if (task->pair == pair) cut(*task);
  }
}

void SessionWorkers::cut_all() {
  const std::lock_guard guard(mutex_);
  for (const auto& task : running_) cut(*task);
}

std::vector<SessionWorkers::Life> SessionWorkers::lives() const {
  const std::lock_guard guard(mutex_);
  std::vector<Life> result;
  for (const auto& task : running_) {
    result.push_back(
        {.pair = task->pair, .seen = Clock::time_point(Clock::duration(task->seen.load()))});
  }
  return result;
}

std::size_t SessionWorkers::running() const {
  const std::lock_guard guard(mutex_);
  return waiting_.size() + running_.size();
}

}  // namespace tidemark::scheduler
