#include "scheduler/session_workers.h"

#include <algorithm>
#include <exception>
#include <new>
#include <utility>

#include "engines/transactions.h"

namespace tidemark::scheduler {

/// Lets others cut a task off from its nodes; forgets the nodes before they are closed.
struct SessionWorkers::Shown {
  Task& task;
  Shown(Task& shown, Node* first, Node* second) : task(shown) {
    const std::lock_guard guard(task.nodes_mutex);
    task.first_node = first;
    task.second_node = second;
  }
  ~Shown() {
    const std::lock_guard guard(task.nodes_mutex);
    task.first_node = task.second_node = nullptr;
  }
  Shown(const Shown&) = delete;
  Shown& operator=(const Shown&) = delete;
};

SessionWorkers::SessionWorkers(const Config& config, NodePool& pool,
                               std::shared_ptr<spdlog::logger> log, Ended ended, Sent sent,
                               NotNoted not_noted, Told told)
    : config_(config),
      pool_(pool),
      log_(std::move(log)),
      ended_(std::move(ended)),
      sent_(std::move(sent)),
      not_noted_(std::move(not_noted)),
      told_(std::move(told)) {}

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
  start(std::move(task));
}

void SessionWorkers::run_errand(const std::string& node, std::function<void(Task&)> errand) {
  auto task = std::make_shared<Task>();
  task->first = node;
  task->errand = std::move(errand);
  start(std::move(task));
}

template <typename Work>
void SessionWorkers::with_node(Task& task, const Work& work) {
  NodePool::Lent lent = pool_.take(task.first, false);
  {
    const Shown shown(task, lent.node.get(), nullptr);
    work(*lent.node);
  }
  pool_.give_back(task.first, std::move(lent));
}

// Also when it was told to stop: nobody waits for long, and what is not noted is done twice.
void SessionWorkers::note(const JobConfig& job, Planner::DoneRuns runs) {
  run_errand(job.nodes.front(), [this, &job, runs = std::move(runs)](Task& task) {
    try {
      with_node(task, [&](Node& node) {
        for (const auto& [peer, due_us] : runs) node.note_done_run(job.name, peer, due_us);
      });
    } catch (const Error& error) {
      not_noted_({.job = job.name, .error = error});
    } catch (const std::exception& error) {
      not_noted_({.job = job.name, .error = Error(ExitCode::failed, error.what(), "")});
    }
  });
}

void SessionWorkers::send(const std::string& node, std::vector<Heartbeats::Beat> beats) {
  run_errand(node, [this, beats = std::move(beats)](Task& task) {
    HeartbeatsSent sent{.node = task.first, .beats = beats};
    try {
      with_node(task, [&](Node& sender) {
        if (task.stops) throw Error(ExitCode::interrupted, "stopped", "");
        sent.sent_us = write_heartbeats(sender, beats);
      });
    } catch (const Error& error) {
      sent.error = error;
    } catch (const std::exception& error) {
      sent.error = Error(ExitCode::failed, error.what(), "");
    }
    sent_(std::move(sent));
  });
}

void SessionWorkers::ask(const std::string& node,
                         std::vector<BehindQuestions::Question> questions) {
  run_errand(node, [this, questions = std::move(questions)](Task& task) {
    BehindTold told{.node = task.first, .questions = questions};
    try {
      with_node(task, [&](Node& source) {
        for (const BehindQuestions::Question& question : questions) {
          if (task.stops) throw Error(ExitCode::interrupted, "stopped", "");
          told.answers.push_back(
              find_behind(source, *question.job, question.target, question.before));
        }
      });
    } catch (const Error& error) {
      told.error = error;
    } catch (const std::exception& error) {
      told.error = Error(ExitCode::failed, error.what(), "");
    }
    if (told.error) told.answers.clear();
    told_(std::move(told));
  });
}

// All by one thread, not by one each, which would stay.
void SessionWorkers::close(std::vector<std::unique_ptr<Node>> nodes) {
  if (nodes.empty()) return;
  const std::string name = nodes.front()->name();
  const auto closed = std::make_shared<std::vector<std::unique_ptr<Node>>>(std::move(nodes));
  run_errand(name, [closed](Task&) { closed->clear(); });
}

void SessionWorkers::start(std::shared_ptr<Task> task) {
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
    if ((*task)->is_session()) {
      run(**task);
    } else {
      (*task)->errand(**task);
    }
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

std::int64_t SessionWorkers::write_heartbeats(Node& node,
                                              const std::vector<Heartbeats::Beat>& beats) {
  std::int64_t sent_us = 0;
  in_write_transaction(node, [&] {
    for (const Heartbeats::Beat& beat : beats) {
      Heartbeat heartbeat = node.load_heartbeat(beat.job, beat.peer);
      if (sent_us == 0) sent_us = node.clock_us();
      heartbeat.sent_us = sent_us;
      node.save_heartbeat(beat.job, beat.peer, heartbeat);
    }
  });
  return sent_us;
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
  SessionReport report;
  {
    const Shown shown(task, first.node.get(), second.node.get());
    check();
    const SessionOptions options{.conflict_retention = config_.conflict_retention,
                                 .rules = {},
                                 .progress = [&check](const std::string&, const std::string&,
                                                      std::int64_t, std::int64_t) { check(); },
                                 .comes_back_soon = true,
                                 .session_id = "",
                                 .log = log_};
    report =
        run_session(*task.job, *first.node, *second.node, config_.tombstone_retention, options);
    // Those that only wait for a transaction to end come in by themselves: no incident.
    // Sessions of other jobs may have brought them in meanwhile.
    waiting =
        std::max<std::int64_t>(first.node->count_quarantined() + second.node->count_quarantined() -
                                   report.to_first.total().locked - report.to_second.total().locked,
                               0);
  }
  pool_.give_back(task.first, std::move(first));
  pool_.give_back(task.second, std::move(second));
  return report;
}

void SessionWorkers::stop(Planner::PairId pair) {
  const std::lock_guard guard(mutex_);
  for (const auto* tasks : {&waiting_, &running_}) {
    for (const auto& task : *tasks) {
      if (task->pair == pair && task->is_session()) task->stops = true;
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
    if (task->pair == pair && task->is_session()) cut(*task);
  }
}

void SessionWorkers::cut_all() {
  const std::lock_guard guard(mutex_);
  for (const auto& task : running_) cut(*task);
}

void SessionWorkers::cut_errands(Clock::duration patience) {
  const std::lock_guard guard(mutex_);
  for (const auto& task : running_) {
    if (task->is_session()) continue;
    const Clock::time_point began{Clock::duration(task->seen.load())};
    if (Clock::now() - began > patience) cut(*task);
  }
}

std::vector<SessionWorkers::Life> SessionWorkers::lives() const {
  const std::lock_guard guard(mutex_);
  std::vector<Life> result;
  for (const auto& task : running_) {
    if (!task->is_session()) continue;
    result.push_back(
        {.pair = task->pair, .seen = Clock::time_point(Clock::duration(task->seen.load()))});
  }
  return result;
}

std::size_t SessionWorkers::running() const {
  const std::lock_guard guard(mutex_);
  return waiting_.size() + running_.size();
}

bool SessionWorkers::only_with(const std::set<std::string>& nodes) const {
  const std::lock_guard guard(mutex_);
  return waiting_.empty() && !running_.empty() &&
         std::all_of(running_.begin(), running_.end(), [&nodes](const auto& task) {
           return nodes.contains(task->first) || nodes.contains(task->second);
         });
}

}  // namespace tidemark::scheduler
