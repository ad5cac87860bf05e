#include "scheduler/alerts.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

extern char** environ;

namespace tidemark::scheduler {
namespace {

std::string minutes(std::int64_t us) {
  const std::int64_t seconds = us / 1'000'000;
  return seconds < 120 ? std::to_string(seconds) + " s" : std::to_string(seconds / 60) + " min";
}

}  // namespace

std::int64_t Silence::length_us(std::int64_t now_us) const {
  return before_us + (since_us ? std::max<std::int64_t>(now_us - *since_us, 0) : 0);
}

void Silence::count(std::int64_t now_us) {
  if (!since_us) since_us = now_us;
}

void Silence::stop(std::int64_t now_us) {
  before_us = length_us(now_us);
  since_us.reset();
}

void AlertBook::conflicts(const std::string& job, std::int64_t count, std::int64_t now_us) {
  if (count == 0) return;
  auto& counts = conflicts_[job];
  // The first of a minute says when, so that none leaves the window late.
  const bool begins = counts.empty() || now_us - counts.rbegin()->first >= kConflictStepUs;
  counts[begins ? now_us : counts.rbegin()->first] += count;
}

std::int64_t AlertBook::recent_conflicts(const std::string& job, std::int64_t now_us) {
  const auto found = conflicts_.find(job);
  if (found == conflicts_.end()) return 0;
  auto& counts = found->second;
  counts.erase(counts.begin(), counts.lower_bound(now_us - kConflictWindowUs));
  std::int64_t sum = 0;
  for (const auto& entry : counts) sum += entry.second;
  if (counts.empty()) conflicts_.erase(found);
  return sum;
}

std::vector<AlertEvent> AlertBook::judge(const std::string& job, const AlertConfig& alert,
                                         const JobHealth& health, std::int64_t now_us) {
  std::vector<AlertEvent> events;
  if (!health.watched) return events;
  const auto consider = [&](const char* kind, bool is_so, const std::string& message) {
    auto& open = open_[job];
    const auto found = open.find(kind);
    const auto last = began_us_.find({job, kind});
    if (is_so && found == open.end()) {
      if (last != began_us_.end() && now_us - last->second < kQuietUs) return;
      open[kind] = began_us_[{job, kind}] = now_us;
      events.push_back({job, kind, true, now_us, message});
    } else if (!is_so && found != open.end()) {
      events.push_back({job, kind, false, found->second, message});
      open.erase(found);
    }
    if (open.empty()) open_.erase(job);
  };
  const bool silent = alert.no_success_for && health.silent_us >= alert.no_success_for->count();
  consider("no_success", silent,
           silent ? "job " + job + ": no success for " + minutes(health.silent_us) +
                        (health.last_error.empty() ? "" : ": " + health.last_error)
                  : "job " + job + ": sessions succeed again");
  const std::int64_t conflicts = recent_conflicts(job, now_us);
  const bool many = alert.conflicts && conflicts >= *alert.conflicts;
  consider("conflicts", many,
           "job " + job + ": " + std::to_string(conflicts) + " conflicts within an hour");
  const bool waiting = alert.quarantine && health.waiting_rows >= *alert.quarantine;
  // What is known is enough for a beginning, but not for an end.
  if (waiting || health.waiting_is_known) {
    consider(
        "quarantine", waiting,
        "job " + job + ": " + std::to_string(health.waiting_rows) + " rows wait in quarantine");
  }
  return events;
}

void AlertBook::keep_only(const std::vector<std::string>& jobs) {
  std::erase_if(open_, [&](const auto& entry) {
    return std::find(jobs.begin(), jobs.end(), entry.first) == jobs.end();
  });
  std::erase_if(conflicts_, [&](const auto& entry) {
    return std::find(jobs.begin(), jobs.end(), entry.first) == jobs.end();
  });
}

CommandRunner::~CommandRunner() {
  for (const Running& running : running_) {
    ::kill(-running.process, SIGKILL);
    ::waitpid(running.process, nullptr, 0);
  }
}

void CommandRunner::run(const std::string& command, const std::string& input) {
  if (queue_.size() >= kQueued) {
    failed_("the alert command is not run: " + std::to_string(kQueued) + " wait already");
    return;
  }
  queue_.emplace_back(command, input);
  start_next();
}

void CommandRunner::start_next() {
  while (!queue_.empty() && running_.size() < kParallel) {
    const auto [command, input] = std::move(queue_.front());
    queue_.pop_front();
    // What the command is told fits into the pipe; it may end without reading it.
    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_CLOEXEC) != 0) {
      failed_(std::string("the alert command cannot be run: ") + std::strerror(errno));
      continue;
    }
    ::fcntl(pipe[1], F_SETFL, O_NONBLOCK);
    [[maybe_unused]] const ssize_t written = ::write(pipe[1], input.data(), input.size());
    ::close(pipe[1]);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe[0], STDIN_FILENO);
    // stdout is for data; what the command says goes where the log goes.
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    sigset_t all;
    sigfillset(&all);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(
        &attributes,
        static_cast<short>(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
    std::string shell = "/bin/sh";
    std::string option = "-c";
    std::string text = command;
    const std::array<char*, 4> arguments = {shell.data(), option.data(), text.data(), nullptr};
    pid_t process = 0;
    const int code =
        ::posix_spawn(&process, shell.c_str(), &actions, &attributes, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    ::close(pipe[0]);
    if (code != 0) {
      failed_(std::string("the alert command cannot be run: ") + std::strerror(code));
      continue;
    }
    running_.push_back({process, command, std::chrono::steady_clock::now() + kTimeout});
  }
}

void CommandRunner::reap() {
  std::erase_if(running_, [this](const Running& running) {
    int status = 0;
    if (::waitpid(running.process, &status, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() < running.deadline) return false;
      ::kill(-running.process, SIGKILL);
      ::waitpid(running.process, &status, 0);
      failed_("the alert command was killed after " + std::to_string(kTimeout.count()) +
              " s: " + running.command);
      return true;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) != 0) {
      failed_("the alert command ended with " + std::to_string(WEXITSTATUS(status)) + ": " +
              running.command);
    }
    return true;
  });
  start_next();
}

}  // namespace tidemark::scheduler
