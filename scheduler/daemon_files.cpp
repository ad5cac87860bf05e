#include "scheduler/daemon_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iterator>

#include <nlohmann/json.hpp>

#include "model/error.h"

namespace tidemark::scheduler {
namespace {

using Json = nlohmann::json;

constexpr mode_t kOwnerOnly = 0600;

[[noreturn]] void fail(const std::filesystem::path& file, const std::string& what, int code) {
  throw Error(ExitCode::usage, "cannot " + what + " " + file.string() + ": " + std::strerror(code),
              "the daemon keeps what is paused and what is owed there: let it write that "
              "directory, or set state in "
              "the section [daemon] of the configuration");
}

std::string readable_utc(std::int64_t time_us) {
  const std::time_t seconds = time_us / 1'000'000;
  struct tm parts {};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S UTC", &parts);
  return text.data();
}

std::string holder(int descriptor) {
  std::array<char, 256> text{};
  const ssize_t size = ::pread(descriptor, text.data(), text.size() - 1, 0);
  const Json json = Json::parse(text.data(), text.data() + std::max<ssize_t>(size, 0), nullptr,
                                /*allow_exceptions=*/false);
  if (!json.is_object()) return "another process";
  return "process " + std::to_string(json.value("pid", 0)) + ", since " +
         readable_utc(json.value("since_us", std::int64_t{0}));
}

Json owed_json(const OwedRun& run) {
  Json json = {{"job", run.job},       {"first", run.first},   {"second", run.second},
               {"wanted", run.wanted}, {"kicked", run.kicked}, {"in_round", run.in_round}};
  if (run.due_us) json["due_us"] = *run.due_us;
  return json;
}

OwedRun owed_run(const Json& json) {
  OwedRun run{.job = json.at("job"),
              .first = json.at("first"),
              .second = json.at("second"),
              .wanted = json.at("wanted"),
              .kicked = json.at("kicked"),
              .in_round = json.at("in_round"),
              .due_us = std::nullopt};
  if (json.contains("due_us")) run.due_us = json.at("due_us").get<std::int64_t>();
  return run;
}

Json silent_json(const SilentPair& pair) {
  Json json = {{"job", pair.job},
               {"first", pair.first},
               {"second", pair.second},
               {"before_us", pair.before_us}};
  if (pair.since_us) json["since_us"] = *pair.since_us;
  return json;
}

SilentPair silent_pair(const Json& json) {
  SilentPair pair{.job = json.at("job"),
                  .first = json.at("first"),
                  .second = json.at("second"),
                  .before_us = json.at("before_us"),
                  .since_us = std::nullopt};
  if (json.contains("since_us")) pair.since_us = json.at("since_us").get<std::int64_t>();
  return pair;
}

/// As lists of [when, how many]: the keys of an object are texts.
Json conflicts_json(const decltype(DaemonState::conflicts)& conflicts) {
  Json json = Json::object();
  for (const auto& [job, counts] : conflicts) {
    for (const auto& [at_us, count] : counts) json[job].push_back({at_us, count});
  }
  return json;
}

decltype(DaemonState::conflicts) conflicts_of(const Json& json) {
  decltype(DaemonState::conflicts) conflicts;
  for (const auto& [job, counts] : json.items()) {
    for (const Json& entry : counts) {
      conflicts[job][entry.at(0).get<std::int64_t>()] = entry.at(1).get<std::int64_t>();
    }
  }
  return conflicts;
}

}  // namespace

DaemonLock::DaemonLock(const std::filesystem::path& state, std::int64_t now_us)
    : file_(state.string() + ".lock") {
  constexpr int kOpen = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
  for (;;) {
    descriptor_ = ::open(file_.c_str(), kOpen | O_EXCL, kOwnerOnly);
    is_new_ = descriptor_ >= 0;
    if (!is_new_) descriptor_ = ::open(file_.c_str(), kOpen, kOwnerOnly);
    if (descriptor_ < 0) fail(file_, "write", errno);
    struct flock range {};
    range.l_type = F_WRLCK;
    range.l_whence = SEEK_SET;
    if (::fcntl(descriptor_, F_OFD_SETLK, &range) != 0) {
      const int code = errno;
      const std::string who = holder(descriptor_);
      ::close(descriptor_);
      if (code != EAGAIN && code != EACCES) fail(file_, "lock", code);
      throw Error(ExitCode::locked, "a daemon works on this configuration already: " + who,
                  "'tidemark status' shows what it does; stop it first to start another");
    }
    // A start that was refused may have removed the file in between.
    struct stat mine {};
    struct stat there {};
    if (::fstat(descriptor_, &mine) == 0 && ::stat(file_.c_str(), &there) == 0 &&
        mine.st_dev == there.st_dev && mine.st_ino == there.st_ino) {
      break;
    }
    ::close(descriptor_);
  }
  const std::string text = Json{{"pid", ::getpid()}, {"since_us", now_us}}.dump() + "\n";
  const bool written =
      ::ftruncate(descriptor_, 0) == 0 &&
      ::pwrite(descriptor_, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size());
  if (!written) {
    const int code = errno;
    ::close(descriptor_);
    fail(file_, "write", code);
  }
}

DaemonLock::~DaemonLock() { ::close(descriptor_); }

NewFiles::NewFiles(const std::vector<std::filesystem::path>& files) {
  for (const std::filesystem::path& file : files) {
    struct stat status {};
    if (!file.empty() && ::lstat(file.c_str(), &status) != 0 && errno == ENOENT) {
      files_.push_back(file);
    }
  }
}

NewFiles::~NewFiles() {
  for (const std::filesystem::path& file : files_) ::unlink(file.c_str());
}

DaemonState load_daemon_state(const std::filesystem::path& file) {
  DaemonState state;
  std::ifstream input(file);
  if (!input) {
    std::error_code ignored;
    if (!std::filesystem::exists(file, ignored)) return state;
    fail(file, "read", EACCES);
  }
  const std::string text((std::istreambuf_iterator<char>(input)), std::istreambuf_iterator<char>());
  try {
    const Json json = Json::parse(text);
    state.paused = json.at("paused").get<std::set<std::string>>();
    state.alerts = json.at("alerts").get<decltype(state.alerts)>();
    // Not there in files of programs that kept nothing of it.
    for (const Json& run : json.value("owed", Json::array())) state.owed.push_back(owed_run(run));
    for (const Json& pair : json.value("silent", Json::array())) {
      state.silent.push_back(silent_pair(pair));
    }
    state.conflicts = conflicts_of(json.value("conflicts", Json::object()));
  } catch (const Json::exception&) {
    throw Error(ExitCode::failed, "the state of the daemon in " + file.string() + " is damaged",
                "remove the file; jobs that were paused must then be paused again");
  }
  return state;
}

void save_daemon_state(const std::filesystem::path& file, const DaemonState& state) {
  Json owed = Json::array();
  for (const OwedRun& run : state.owed) owed.push_back(owed_json(run));
  Json silent = Json::array();
  for (const SilentPair& pair : state.silent) silent.push_back(silent_json(pair));
  const Json json = {{"paused", state.paused},
                     {"owed", std::move(owed)},
                     {"alerts", state.alerts},
                     {"conflicts", conflicts_json(state.conflicts)},
                     {"silent", std::move(silent)}};
  const std::string text = json.dump(1) + "\n";
  const std::filesystem::path draft = file.string() + ".new";
  const int descriptor =
      ::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, kOwnerOnly);
  if (descriptor < 0) fail(file, "write", errno);
  const bool written =
      ::write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
      ::fsync(descriptor) == 0;
  const int code = errno;
  ::close(descriptor);
  if (!written) {
    ::unlink(draft.c_str());
    fail(file, "write", code);
  }
  if (::rename(draft.c_str(), file.c_str()) != 0) fail(file, "write", errno);
}

}  // namespace tidemark::scheduler
