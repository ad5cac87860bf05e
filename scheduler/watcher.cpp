#include "scheduler/watcher.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "engines/registry.h"
#include "scheduler/open_nodes.h"

namespace tidemark::scheduler {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;
using std::chrono::milliseconds;

/// The event comes when a file is written, the commit becomes visible later: at once, or after the
/// disk has confirmed. The waits between looks after an event, until something new is seen.
constexpr std::array<microseconds, 12> kLooksAfterEvent = {
    microseconds(0),      microseconds(100),    microseconds(200),    microseconds(500),
    microseconds(1'000),  microseconds(2'000),  microseconds(4'000),  microseconds(8'000),
    microseconds(16'000), microseconds(32'000), microseconds(64'000), microseconds(128'000)};
/// From this look on, 32 milliseconds after an event, the next one is asked for before the look:
/// late enough for one commit to make one, and longer before the last look than a commit takes.
constexpr std::size_t kListeningLook = 8;
/// Files on a network may change without an event.
constexpr milliseconds kSafetyLook(1000);
/// After news a file is left alone for a while, longer and longer while every look finds more: its
/// writers pay for each event, and for the pages that a look makes the system share.
constexpr microseconds kShortestQuiet(2'000);
constexpr microseconds kLongestQuiet(128'000);
constexpr milliseconds kReopen(2000);

/// A server is asked this often right after it had news, and less and less often while it has none,
/// or while it has some every time.
constexpr microseconds kShortestPoll(5'000);
constexpr microseconds kLongestPoll(40'000);
constexpr milliseconds kLeaseRound(2000);

/// A file that was replaced is another database.
std::pair<dev_t, ino_t> identity_of(const std::filesystem::path& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) return {0, 0};
  return {status.st_dev, status.st_ino};
}

}  // namespace

// --- Files

class Watcher::Files {
 public:
  Files(const Config& config, const std::set<std::string>& nodes, Tell tell)
      : config_(config),
        tell_(std::move(tell)),
        events_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)),
        stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    for (const std::string& name : nodes) nodes_.push_back({.name = name});
    thread_ = std::thread([this] { run(); });
  }

  ~Files() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(stop_, &one, sizeof one);
    thread_.join();
    nodes_.clear();
    if (events_ >= 0) ::close(events_);
    ::close(stop_);
  }
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;

 private:
  struct Watched {
    std::string name;
    std::unique_ptr<Node> node;
    std::pair<dev_t, ino_t> identity;
    std::vector<std::filesystem::path> files;  // the database first
    std::int64_t told = -1;                    // generation
    Clock::time_point next_look{};
    Clock::time_point quiet_until{};
    microseconds quiet = kShortestQuiet;
    std::size_t step = kLooksAfterEvent.size();  // in kLooksAfterEvent
    std::string failure;
  };

  void run() {
    for (;;) {
      Clock::time_point wake = Clock::now() + std::chrono::hours(1);
      for (const Watched& node : nodes_) wake = std::min(wake, node.next_look);
      const auto wait = std::max(Clock::duration::zero(), wake - Clock::now());
      const struct timespec timeout = {
          .tv_sec = std::chrono::duration_cast<std::chrono::seconds>(wait).count(),
          .tv_nsec =
              std::chrono::duration_cast<std::chrono::nanoseconds>(wait).count() % 1'000'000'000};
      std::array<struct pollfd, 2> waits = {{{.fd = stop_, .events = POLLIN, .revents = 0},
                                             {.fd = events_, .events = POLLIN, .revents = 0}}};
      ::ppoll(waits.data(), waits.size(), &timeout, nullptr);
      if (waits[0].revents != 0) return;
      if (waits[1].revents != 0) read_events();
      const Clock::time_point now = Clock::now();
      for (Watched& node : nodes_) {
        if (node.next_look <= now) look_at(node, now);
      }
    }
  }

  void read_events() {
    alignas(struct inotify_event) std::array<char, 16384> buffer;
    for (;;) {
      const ssize_t size = ::read(events_, buffer.data(), buffer.size());
      if (size <= 0) return;
      for (ssize_t at = 0; at < size;) {
        const auto* event = reinterpret_cast<const struct inotify_event*>(buffer.data() + at);
        at += static_cast<ssize_t>(sizeof *event + event->len);
        if ((event->mask & IN_IGNORED) != 0) {
          listened_.erase(event->wd);
        } else if (event->len == 0) {
          stir(listened_, event->wd);
        } else {
          stir(files_, std::pair(event->wd, std::string(event->name)));
        }
      }
    }
  }

  template <typename Nodes, typename Key>
  void stir(const Nodes& nodes, const Key& key) {
    const auto found = nodes.find(key);
    if (found == nodes.end()) return;
    for (const std::size_t index : found->second) {
      Watched& node = nodes_[index];
      if (node.node == nullptr) continue;
      node.step = 0;
      node.next_look = std::min(node.next_look, std::max(Clock::now(), node.quiet_until));
    }
  }

  /// The next write to one of the node's files is told, and no other: a writer that is known to be
  /// busy does not pay for telling it again.
  void listen(const Watched& watched) {
    const auto index = static_cast<std::size_t>(&watched - nodes_.data());
    for (const std::filesystem::path& file : watched.files) {
      const int watch = ::inotify_add_watch(events_, file.c_str(), IN_MODIFY | IN_ONESHOT);
      if (watch >= 0) listened_[watch].insert(index);
    }
  }

  void look_at(Watched& watched, Clock::time_point now) {
    try {
      if (watched.node != nullptr && !watched.files.empty() &&
          identity_of(watched.files.front()) != watched.identity) {
        watched.node.reset();
      }
      if (watched.node == nullptr) open(watched);
      const bool listening = watched.step >= kListeningLook;
      if (listening) listen(watched);
      const Pulse& pulse = watched.node->look();
      if (!watched.failure.empty()) {
        watched.failure.clear();
        tell_(NodeFailed{.node = watched.name, .error = std::nullopt});
      }
      const bool news = pulse.generation != watched.told;
      if (news) {
        watched.told = pulse.generation;
        tell_(NodeLooked{.node = watched.name, .pulse = pulse});
        watched.step = kListeningLook;
        watched.quiet_until = watched.next_look = now + watched.quiet;
        watched.quiet = std::min(2 * watched.quiet, kLongestQuiet);
        return;
      }
      if (listening) watched.quiet = kShortestQuiet;
      if (watched.step + 1 < kLooksAfterEvent.size()) {
        watched.next_look = now + kLooksAfterEvent.at(++watched.step);
      } else {
        watched.next_look = now + kSafetyLook;
      }
    } catch (const Error& error) {
      if (error.code() == ExitCode::locked) {  // somebody commits just now
        watched.next_look = now + milliseconds(5);
        return;
      }
      watched.node.reset();
      watched.next_look = now + kReopen;
      if (watched.failure == error.what()) return;
      watched.failure = error.what();
      tell_(NodeFailed{.node = watched.name, .error = error});
    }
  }

  void open(Watched& watched) {
    watched.node = open_configured(config_, config_.node(watched.name),
                                   {.lock_timeout = milliseconds(0), .read_only = true}, true);
    watched.told = -1;
    const auto index = static_cast<std::size_t>(&watched - nodes_.data());
    watched.files = watched.node->watched_files();
    for (const std::filesystem::path& file : watched.files) {
      // A log that is made, or goes with what was committed.
      const int directory = ::inotify_add_watch(events_, file.parent_path().c_str(),
                                                IN_CREATE | IN_MOVED_TO | IN_DELETE);
      if (directory >= 0) files_[{directory, file.filename().string()}].insert(index);
    }
    if (!watched.files.empty()) watched.identity = identity_of(watched.files.front());
  }

  const Config& config_;
  const Tell tell_;
  const int events_;
  const int stop_;
  std::vector<Watched> nodes_;
  std::map<std::pair<int, std::string>, std::set<std::size_t>> files_;  // (directory, name)
  std::map<int, std::set<std::size_t>> listened_;                       // one event to come
  std::thread thread_;
};

// --- Servers

class Watcher::Server {
 public:
  Server(const Config& config, std::string name, bool looks, std::set<std::string> jobs,
         std::chrono::seconds connect_timeout, Tell tell)
      : config_(config),
        name_(std::move(name)),
        looks_(looks),
        jobs_(std::move(jobs)),
        connect_timeout_(connect_timeout),
        tell_(std::move(tell)) {
    for (const std::string& job : jobs_) group_ += job + '\n';
    thread_ = std::thread([this] { run(); });
  }

  ~Server() {
    stop();
    thread_.join();
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Told to end, the thread does so at once, unless it is connecting: then true.
  bool stop() {
    const std::lock_guard guard(mutex_);
    stops_ = true;
    if (node_ != nullptr) node_->interrupt();
    wakes_.notify_all();
    return connecting_;
  }

  void give_back(const std::string& job) {
    const std::lock_guard guard(mutex_);
    given_back_.insert(job);
    wakes_.notify_all();
  }

  void supervise() {
    const std::lock_guard guard(mutex_);
    if (node_ == nullptr || asked_since_ == Clock::time_point{}) return;
    if (Clock::now() - asked_since_ > connect_timeout_) node_->interrupt();
  }

 private:
  void run() {
    while (!stopped()) {
      try {
        if (connect()) watch();
      } catch (const Error& error) {
        lose(error);
      }
      rest(kReopen);
    }
    const std::lock_guard guard(mutex_);
    node_.reset();
  }

  bool stopped() {
    const std::lock_guard guard(mutex_);
    return stops_;
  }

  void rest(microseconds time) {
    std::unique_lock lock(mutex_);
    wakes_.wait_for(lock, time, [this] { return stops_ || !given_back_.empty(); });
  }

  /// Whether there is a node now; none for a thread that was told to end.
  bool connect() {
    {
      const std::lock_guard guard(mutex_);
      if (stops_) return false;
      connecting_ = true;
    }
    std::unique_ptr<Node> node =
        open_configured(config_, config_.node(name_), {.connect_timeout = connect_timeout_});
    const std::lock_guard guard(mutex_);
    connecting_ = false;
    node_ = std::move(node);
    return true;
  }

  void lose(const Error& error) {
    {
      const std::lock_guard guard(mutex_);
      connecting_ = false;
      node_.reset();
      asked_since_ = {};
      given_back_.clear();
    }
    if (!held_.empty()) {
      held_.clear();
      tell_(LeasesHeld{.node = name_, .jobs = {}});
    }
    if (stopped() || failure_ == error.what()) return;
    failure_ = error.what();
    tell_(NodeFailed{.node = name_, .error = error});
  }

  /// Marks the time while the server is being asked.
  template <typename Ask>
  auto asked(const Ask& ask) {
    {
      const std::lock_guard guard(mutex_);
      asked_since_ = Clock::now();
    }
    auto answer = ask();
    const std::lock_guard guard(mutex_);
    asked_since_ = {};
    return answer;
  }

  void watch() {
    std::int64_t told = -1;
    microseconds pause = kShortestPoll;
    microseconds quiet = kShortestPoll;
    Clock::time_point next_round{};
    while (!stopped()) {
      if (looks_) {
        const Pulse pulse = asked([this] { return node_->look(); });
        if (pulse.generation == told) {
          pause = std::min(pause + pause / 4, kLongestPoll);
          quiet = kShortestPoll;
        } else {
          told = pulse.generation;
          pause = quiet;
          quiet = std::min(2 * quiet, kLongestQuiet);
          tell_(NodeLooked{.node = name_, .pulse = pulse});
        }
      }
      release_given_back();
      if (!jobs_.empty() && Clock::now() >= next_round) {
        take_leases();
        next_round = Clock::now() + kLeaseRound;
      }
      if (!failure_.empty()) {
        failure_.clear();
        tell_(NodeFailed{.node = name_, .error = std::nullopt});
      }
      rest(looks_ ? pause : microseconds(kLeaseRound));
    }
  }

  void release_given_back() {
    std::set<std::string> jobs;
    {
      const std::lock_guard guard(mutex_);
      jobs.swap(given_back_);
    }
    for (const std::string& job : jobs) {
      if (held_.erase(job) == 0) continue;
      asked([&] {
        node_->release_lease(job);
        return true;
      });
    }
  }

  /// Every daemon of the group takes its share and no more. Whoever holds more gives back what it
  /// is not working on.
  void take_leases() {
    const std::int64_t daemons = asked([this] { return node_->join_daemons(group_); });
    const auto count = static_cast<std::int64_t>(jobs_.size());
    const auto share = static_cast<std::size_t>((count + std::max<std::int64_t>(daemons, 1) - 1) /
                                                std::max<std::int64_t>(daemons, 1));
    std::map<std::string, std::map<std::string, std::int64_t>> done;
    for (const std::string& job : jobs_) {
      if (held_.size() >= share) break;
      if (held_.contains(job) || !asked([&] { return node_->try_lease(job); })) continue;
      held_.insert(job);
      // With the lease: whoever had it notes nothing any more.
      done[job] = asked([&] { return node_->done_runs(job); });
    }
    tell_(LeasesHeld{.node = name_,
                     .jobs = held_,
                     .done = std::move(done),
                     .surplus = held_.size() > share ? held_.size() - share : 0,
                     .daemons = daemons});
  }

  const Config& config_;
  const std::string name_;
  const bool looks_;
  const std::set<std::string> jobs_;
  const std::chrono::seconds connect_timeout_;
  const Tell tell_;
  std::string group_;
  std::string failure_;
  std::set<std::string> held_;

  std::mutex mutex_;
  std::condition_variable wakes_;
  bool stops_ = false;
  bool connecting_ = false;  // nobody can cut that short
  std::set<std::string> given_back_;
  Clock::time_point asked_since_{};  // the beginning of what the server is asked; none: nothing
  std::unique_ptr<Node> node_;       // replaced under the lock, used without it by the thread alone
  std::thread thread_;
};

Watcher::Watcher(const Config& config, Plan plan, const Tell& tell) {
  std::set<std::string> files;
  std::set<std::string> servers;
  for (const std::string& node : plan.nodes) {
    (is_shared(config.node(node).url) ? servers : files).insert(node);
  }
  for (const auto& [node, jobs] : plan.leases) servers.insert(node);
  if (!files.empty()) files_ = std::make_unique<Files>(config, files, tell);
  for (const std::string& node : servers) {
    servers_[node] = std::make_unique<Server>(config, node, plan.nodes.contains(node),
                                              plan.leases[node], plan.connect_timeout, tell);
  }
}

// All are told to end before one is waited for.
Watcher::~Watcher() { stop(); }

void Watcher::give_back(const std::string& node, const std::string& job) {
  const auto found = servers_.find(node);
  if (found != servers_.end()) found->second->give_back(job);
}

void Watcher::supervise() {
  for (const auto& entry : servers_) entry.second->supervise();
}

bool Watcher::stop() {
  bool connecting = false;
  for (const auto& entry : servers_) connecting = entry.second->stop() || connecting;
  return connecting;
}

}  // namespace tidemark::scheduler
