#include "scheduler/watcher.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <random>
#include <thread>
#include <tuple>
#include <utility>

#include "engines/registry.h"
#include "scheduler/backoff.h"
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
/// Where the system does not say when files are written, they are looked at this often.
constexpr milliseconds kUnheardLook(100);
/// What cannot be opened is tried again after this time, then after more and more: a file soon, it
/// is nobody else's; a server is spared those who all wait for it.
constexpr microseconds kFirstReopen(1'000'000);
constexpr microseconds kLongestFileReopen(10'000'000);
constexpr microseconds kLongestServerReopen(30'000'000);

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

/// Counts tries in vain and says what is to be told of them: the first, those whose pause has
/// grown, and those that fail in another way.
class Watcher::Tries {
 public:
  explicit Tries(microseconds longest) : longest_us_(longest.count()), random_(seed()) {}

  bool any() const { return failures_ > 0; }
  void reset() {
    failures_ = 0;
    told_.clear();
  }
  /// Something else was told since: the next failure is new, whatever it is.
  void forget_told() { told_.clear(); }
  /// What to tell, if anything; pause() is how long to wait from now on.
  std::optional<NodeFailed> failed(const std::string& node, const Error& error) {
    const bool is_new = told_ != error.what();
    const bool was_longest =
        failures_ > 0 && is_longest_backoff(failures_, kFirstReopen.count(), longest_us_);
    ++failures_;
    told_ = error.what();
    const double jitter = std::uniform_real_distribution<double>(0, 1)(random_);
    pause_ = microseconds(backoff_us(failures_, kFirstReopen.count(), longest_us_, jitter));
    if (was_longest && !is_new) return std::nullopt;
    return NodeFailed{.node = node,
                      .error = error,
                      .is_new = is_new,
                      .tries = failures_,
                      .pause = pause_,
                      .longest = is_longest_backoff(failures_, kFirstReopen.count(), longest_us_)};
  }
  microseconds pause() const { return pause_; }

 private:
  static std::uint64_t seed() { return std::random_device{}(); }

  const std::int64_t longest_us_;
  std::mt19937_64 random_;
  int failures_ = 0;
  microseconds pause_{};
  std::string told_;
};

// --- Files

/// Hears which files are written. A watch is asked for by the thread of the file, because looking
/// up a path may hang, and belongs to whoever registers it.
class Watcher::FileEvents {
 public:
  using Stir = std::function<void()>;
  /// One file of a directory, or (an empty name) the next event of a file.
  struct Place {
    int watch = -1;
    std::string name;
    auto operator<=>(const Place&) const = default;
  };

  explicit FileEvents(Tell tell)
      : tell_(std::move(tell)),
        events_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)),
        stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (events_ < 0) {
      tell_unheard("the system gives no more inotify instances",
                   "raise the limit, by 'sysctl fs.inotify.max_user_instances=1024', and start the "
                   "daemon anew");
    }
    thread_ = std::thread([this] { run(); });
  }

  ~FileEvents() {
    stop();
    if (events_ >= 0) ::close(events_);
    ::close(stop_);
  }
  FileEvents(const FileEvents&) = delete;
  FileEvents& operator=(const FileEvents&) = delete;

  /// Stirs nobody afterwards.
  void stop() {
    if (!thread_.joinable()) return;
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(stop_, &one, sizeof one);
    thread_.join();
  }

  /// Calls `stir` when the path is written or, for a directory, when something of that name comes
  /// or goes. A path that is not there has no events; false when the system refuses more watches.
  bool listen(const std::filesystem::path& path, std::uint32_t mask, const std::string& name,
              std::size_t owner, const Stir& stir) {
    if (events_ < 0) return false;
    const int watch = ::inotify_add_watch(events_, path.c_str(), mask);
    if (watch < 0) {
      if (errno != ENOSPC && errno != ENOMEM) return true;
      tell_unheard("the system gives no more inotify watches, first for " + path.string(),
                   "raise the limit, by 'sysctl fs.inotify.max_user_watches=524288'");
      return false;
    }
    bool missed = false;
    {
      const std::lock_guard guard(mutex_);
      keep_only_recent(watch, path, name, owner);
      stirs_[{watch, name}][owner] = stir;
      missed = early_.erase({watch, name}) > 0;
    }
    if (missed) stir();
    return true;
  }

 private:
  void run() {
    std::array<struct pollfd, 2> waits = {{{.fd = stop_, .events = POLLIN, .revents = 0},
                                           {.fd = events_, .events = POLLIN, .revents = 0}}};
    for (;;) {
      ::poll(waits.data(), waits.size(), -1);
      if (waits[0].revents != 0) return;
      read_events();
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
        heard({event->wd, event->len == 0 ? "" : event->name}, (event->mask & IN_IGNORED) != 0);
      }
    }
  }

  void heard(const Place& place, bool ends) {
    const std::lock_guard guard(mutex_);
    const auto found = stirs_.find(place);
    if (found != stirs_.end()) {
      if (ends) {
        stirs_.erase(found);
      } else {
        for (const auto& [owner, stir] : found->second) stir();
      }
    } else if (!ends && place.name.empty()) {
      // Written before whoever asked for it could say so.
      early_.insert(place);
      if (early_.size() > kMostEarly) early_.erase(early_.begin());
    }
  }

  /// A watch may have ended before it was registered, and nobody takes it out again then. The one
  /// before the newest may still have something to tell.
  void keep_only_recent(int watch, const std::filesystem::path& path, const std::string& name,
                        std::size_t owner) {
    Recent& recent = recent_[{owner, path.native(), name}];
    if (watch == recent.newest) return;
    const auto oldest = stirs_.find({recent.before, name});
    if (oldest != stirs_.end() && oldest->second.erase(owner) > 0 && oldest->second.empty()) {
      stirs_.erase(oldest);
    }
    recent = {.before = recent.newest, .newest = watch};
  }

  void tell_unheard(const std::string& what, const std::string& hint) {
    if (told_.exchange(true)) return;
    tell_(FilesUnheard{
        .error = Error(ExitCode::failed,
                       what + ": files are looked at " +
                           std::to_string(std::chrono::seconds(1) / kUnheardLook) +
                           " times a second instead, changes are noticed later and at a higher "
                           "price",
                       hint)});
  }

  /// Watches of one path, in the order in which they were asked for.
  struct Recent {
    int before = -1;
    int newest = -1;
  };
  static constexpr std::size_t kMostEarly = 256;

  const Tell tell_;
  const int events_;
  const int stop_;
  std::atomic<bool> told_{false};
  std::mutex mutex_;  // never held while the system is asked for a watch
  std::map<Place, std::map<std::size_t, Stir>> stirs_;
  std::map<std::tuple<std::size_t, std::string, std::string>, Recent> recent_;  // owner, path, name
  std::set<Place> early_;
  std::thread thread_;
};

class Watcher::File {
 public:
  File(const Config& config, std::string name, std::size_t number, FileEvents& events,
       std::chrono::seconds patience, Tell tell)
      : config_(config),
        name_(std::move(name)),
        number_(number),
        events_(events),
        patience_(patience),
        tell_(std::move(tell)),
        thread_([this] { run(); }) {}

  ~File() {
    stop();
    thread_.join();
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  void stop() {
    const std::lock_guard guard(mutex_);
    stops_ = true;
    wakes_.notify_all();
  }

  /// Whether the thread ends by then; one that a file system keeps does not.
  bool ends_by(Clock::time_point time) {
    std::unique_lock lock(mutex_);
    return wakes_.wait_until(lock, time, [this] { return ended_; });
  }

  void supervise() {
    const std::lock_guard guard(mutex_);
    if (hangs_ || asked_since_ == Clock::time_point{}) return;
    if (Clock::now() - asked_since_ < patience_) return;
    hangs_ = true;
    // Under the lock: that the file answers after all must not be told first.
    tell_(NodeFailed{
        .node = name_,
        .error = Error(ExitCode::unreachable,
                       "node " + name_ + ": " + path_ + " has not answered for " +
                           std::to_string(patience_.count()) + " s: its file system hangs",
                       "see to the mount or the disk of this file; the other nodes go on, and this "
                       "one is watched again as soon as the file answers")});
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    while (!stops_) {
      if (std::exchange(stirred_, false) && node_ != nullptr) {
        step_ = 0;
        next_look_ = std::min(next_look_, std::max(Clock::now(), quiet_until_));
      }
      if (Clock::now() < next_look_) {
        wakes_.wait_until(lock, next_look_, [this] { return stops_ || stirred_; });
        continue;
      }
      asked_since_ = Clock::now();
      lock.unlock();
      look();
      lock.lock();
      asked_since_ = {};
    }
    lock.unlock();
    node_.reset();
    lock.lock();
    ended_ = true;
    wakes_.notify_all();
  }

  void stir() {
    const std::lock_guard guard(mutex_);
    stirred_ = true;
    wakes_.notify_all();
  }

  /// The next write to one of the node's files is told, and no other: a writer that is known to be
  /// busy does not pay for telling it again.
  void listen() {
    const auto stirs = [this] { stir(); };
    bool heard = true;
    for (const std::filesystem::path& file : files_) {
      heard = events_.listen(file, IN_MODIFY | IN_ONESHOT, "", number_, stirs) && heard;
    }
    // A log that is made, or goes with what was committed.
    for (const std::filesystem::path& file : files_) {
      if (hears_directory_) break;
      heard = events_.listen(file.parent_path(), IN_CREATE | IN_MOVED_TO | IN_DELETE,
                             file.filename(), number_, stirs) &&
              heard;
    }
    hears_directory_ = hears_directory_ || heard;
    safety_look_ = heard ? kSafetyLook : kUnheardLook;
  }

  void look() {
    const Clock::time_point now = Clock::now();
    try {
      if (node_ != nullptr && !files_.empty() && identity_of(files_.front()) != identity_) {
        node_.reset();
      }
      if (node_ == nullptr) open();
      const bool listening = step_ >= kListeningLook;
      if (listening) listen();
      const Pulse& pulse = node_->look();
      became_well();
      const bool news = pulse.generation != told_;
      if (news) {
        told_ = pulse.generation;
        tell_(NodeLooked{.node = name_, .pulse = pulse});
        step_ = kListeningLook;
        quiet_until_ = next_look_ = now + quiet_;
        quiet_ = std::min(2 * quiet_, kLongestQuiet);
        return;
      }
      if (listening) quiet_ = kShortestQuiet;
      if (step_ + 1 < kLooksAfterEvent.size()) {
        next_look_ = now + kLooksAfterEvent.at(++step_);
      } else {
        // At one moment for all files: the processor wakes once, and finds what it needs in its
        // caches.
        const auto rounds = now.time_since_epoch() / safety_look_;
        next_look_ = Clock::time_point((rounds + 1) * safety_look_);
      }
    } catch (const Error& error) {
      if (error.code() == ExitCode::locked) {  // somebody commits just now
        next_look_ = now + milliseconds(5);
        return;
      }
      node_.reset();
      if (is_over_hanging()) tries_.forget_told();  // that it fails is told now
      const auto failed = tries_.failed(name_, error);
      next_look_ = Clock::now() + tries_.pause();
      if (failed) tell_(*failed);
    }
  }

  bool is_over_hanging() {
    const std::lock_guard guard(mutex_);
    return std::exchange(hangs_, false);
  }

  void became_well() {
    const bool hung = is_over_hanging();
    if (!hung && !tries_.any()) return;
    tries_.reset();
    tell_(NodeFailed{.node = name_, .error = std::nullopt});
  }

  void open() {
    node_ = open_configured(config_, config_.node(name_),
                            {.lock_timeout = milliseconds(0), .read_only = true}, true);
    told_ = -1;
    files_ = node_->watched_files();
    hears_directory_ = false;
    step_ = kLooksAfterEvent.size();
    if (files_.empty()) return;
    identity_ = identity_of(files_.front());
    const std::lock_guard guard(mutex_);
    path_ = files_.front().string();
  }

  const Config& config_;
  const std::string name_;
  const std::size_t number_;  // among the watcher's files
  FileEvents& events_;
  const std::chrono::seconds patience_;
  const Tell tell_;

  // Of the thread alone.
  std::unique_ptr<Node> node_;
  std::pair<dev_t, ino_t> identity_;
  std::vector<std::filesystem::path> files_;  // the database first
  std::int64_t told_ = -1;                    // generation
  Clock::time_point next_look_{};
  Clock::time_point quiet_until_{};
  microseconds quiet_ = kShortestQuiet;
  milliseconds safety_look_ = kSafetyLook;
  bool hears_directory_ = false;
  std::size_t step_ = kLooksAfterEvent.size();  // in kLooksAfterEvent
  Tries tries_{kLongestFileReopen};

  std::mutex mutex_;
  std::condition_variable wakes_;
  bool stops_ = false;
  bool stirred_ = false;
  bool ended_ = false;
  bool hangs_ = false;               // and that was told
  Clock::time_point asked_since_{};  // the beginning of a look; none: nobody waits for the file
  std::string path_ = config_.node(name_).url;
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
      rest(tries_.pause());
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
    const auto failed = tries_.failed(name_, error);
    if (failed && !stopped()) tell_(*failed);
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
          quiet = std::min(2 * quiet, kLongestPoll);
          tell_(NodeLooked{.node = name_, .pulse = pulse});
        }
      }
      release_given_back();
      if (!jobs_.empty() && Clock::now() >= next_round) {
        take_leases();
        next_round = Clock::now() + kLeaseRound;
      }
      if (tries_.any()) {
        tries_.reset();
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
  Tries tries_{kLongestServerReopen};
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
  if (!files.empty()) events_ = std::make_unique<FileEvents>(tell);
  for (const std::string& node : files) {
    files_.push_back(
        std::make_unique<File>(config, node, files_.size(), *events_, plan.connect_timeout, tell));
  }
  for (const std::string& node : servers) {
    servers_[node] = std::make_unique<Server>(config, node, plan.nodes.contains(node),
                                              plan.leases[node], plan.connect_timeout, tell);
  }
}

// All are told to end before one is waited for.
Watcher::~Watcher() {
  stop();
  if (events_ != nullptr) events_->stop();
}

void Watcher::give_back(const std::string& node, const std::string& job) {
  const auto found = servers_.find(node);
  if (found != servers_.end()) found->second->give_back(job);
}

void Watcher::supervise() {
  for (const auto& file : files_) file->supervise();
  for (const auto& entry : servers_) entry.second->supervise();
}

bool Watcher::stop() {
  for (const auto& file : files_) file->stop();
  bool waits = false;
  for (const auto& entry : servers_) waits = entry.second->stop() || waits;
  // A look at a file that answers takes far less.
  const Clock::time_point patience = Clock::now() + milliseconds(100);
  for (const auto& file : files_) waits = !file->ends_by(patience) || waits;
  return waits;
}

}  // namespace tidemark::scheduler
