// SessionWorkers run the sessions of a daemon, each in a thread, on nodes from a pool. How a
// session ended is told by a callback from its thread. A session can be asked to stop, which it
// does at its next safe point, or cut off, which makes whatever it waits for fail. Threads come
// when they are needed and stay; all have ended when the destructor returns.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "engines/engine.h"
#include "model/error.h"
#include "scheduler/behind_questions.h"
#include "scheduler/heartbeats.h"
#include "scheduler/node_pool.h"
#include "scheduler/planner.h"
#include "scheduler/session.h"

namespace tidemark::scheduler {

struct SessionEnded {
  Planner::PairId pair = 0;
  SessionReport report;
  std::optional<Error> error;
  std::int64_t waiting = 0;  // rows in quarantine on both nodes, when it succeeded
  std::int64_t took_us = 0;
};

struct HeartbeatsSent {
  std::string node;
  std::vector<Heartbeats::Beat> beats;
  std::optional<std::int64_t> sent_us;  // by the node's clock; nothing on an error
  std::optional<Error> error;
};

/// Since when targets are behind a node, as that node tells.
struct BehindTold {
  std::string node;
  std::vector<BehindQuestions::Question> questions;
  std::vector<Behind> answers;  // in the same order; none on an error
  std::optional<Error> error;
};

/// What a round has done could not be noted: another daemon that takes the job over does it again.
struct RunsNotNoted {
  std::string job;
  Error error;
};

class SessionWorkers {
 public:
  using Clock = std::chrono::steady_clock;
  using Ended = std::function<void(SessionEnded)>;
  using Sent = std::function<void(HeartbeatsSent)>;
  using NotNoted = std::function<void(RunsNotNoted)>;
  using Told = std::function<void(BehindTold)>;

  /// All references must outlive this.
  SessionWorkers(const Config& config, NodePool& pool, std::shared_ptr<spdlog::logger> log,
                 Ended ended, Sent sent, NotNoted not_noted, Told told);
  ~SessionWorkers();
  SessionWorkers(const SessionWorkers&) = delete;
  SessionWorkers& operator=(const SessionWorkers&) = delete;

  void begin(Planner::PairId pair, const JobConfig& job, const std::string& first,
             const std::string& second);
  /// Notes in the job's first node which runs are done, so that another daemon does not do them
  /// again.
  void note(const JobConfig& job, Planner::DoneRuns runs);
  /// Writes heartbeats of one node, in a transaction of their own as an application would.
  void send(const std::string& node, std::vector<Heartbeats::Beat> beats);
  /// Asks one node since when others are behind it.
  void ask(const std::string& node, std::vector<BehindQuestions::Question> questions);
  /// Closes nodes of the pool that were not used for a while: a file system that hangs may keep
  /// whoever closes a file.
  void close(std::vector<std::unique_ptr<Node>> nodes);
  /// At the next safe point; SessionEnded has an Error interrupted then.
  void stop(Planner::PairId pair);
  void stop_all();
  /// Cuts the session off from its nodes.
  void cut(Planner::PairId pair);
  void cut_all();
  /// What is no session and takes longer than this is given up.
  void cut_errands(Clock::duration patience);
  /// Since when a session gave no sign of life.
  struct Life {
    Planner::PairId pair = 0;
    Clock::time_point seen;
  };
  std::vector<Life> lives() const;
  std::size_t running() const;
  /// Something is at work, and all of it with one of these nodes.
  bool only_with(const std::set<std::string>& nodes) const;

 private:
  struct Task {
    Planner::PairId pair = 0;
    const JobConfig* job = nullptr;
    std::string first, second;
    std::function<void(Task&)> errand;  // what is no session, with the first node alone
    std::atomic<bool> stops{false};
    std::atomic<Clock::rep> seen{0};
    std::mutex nodes_mutex;  // guards both: whoever cuts must find them alive
    Node* first_node = nullptr;
    Node* second_node = nullptr;

    bool is_session() const { return errand == nullptr; }
  };

  struct Shown;

  void work();
  void start(std::shared_ptr<Task> task);
  void run(Task& task);
  void run_errand(const std::string& node, std::function<void(Task&)> errand);
  /// Works on the task's first node.
  template <typename Work>
  void with_node(Task& task, const Work& work);
  static std::int64_t write_heartbeats(Node& node, const std::vector<Heartbeats::Beat>& beats);
  SessionReport meet(Task& task, bool fresh, std::int64_t& waiting, bool& aged);
  static void cut(Task& task);

  const Config& config_;
  NodePool& pool_;
  const std::shared_ptr<spdlog::logger> log_;
  const Ended ended_;
  const Sent sent_;
  const NotNoted not_noted_;
  const Told told_;
  mutable std::mutex mutex_;
  std::condition_variable wakes_;
  bool ends_ = false;
  std::list<std::shared_ptr<Task>> waiting_;
  std::list<std::shared_ptr<Task>> running_;
  std::size_t idle_threads_ = 0;
  std::vector<std::thread> threads_;
};

}  // namespace tidemark::scheduler
