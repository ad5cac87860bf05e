#include "scheduler/daemon_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <nlohmann/json.hpp>

#include "model/error.h"

namespace tidemark::scheduler {
namespace {

/// The message as a JSON string.
class JsonMessage final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& into) override {
    const std::string text =
        nlohmann::json(std::string(message.payload.data(), message.payload.size()))
            .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    into.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<JsonMessage>();
  }
};

/// Whoever reads the log of others must be allowed to; a file that is there keeps its permissions.
void require_writable(const std::filesystem::path& file) {
  const int descriptor =
      ::open(file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
  struct stat status {};
  const bool opened = descriptor >= 0 && ::fstat(descriptor, &status) == 0;
  const int code = errno;
  if (descriptor >= 0) ::close(descriptor);
  if (opened && !S_ISDIR(status.st_mode)) return;
  throw Error(ExitCode::usage, "cannot write the log " + file.string() + ": " + std::strerror(code),
              "correct log_file in the section [daemon], or leave it out: then the log goes to "
              "stderr");
}

}  // namespace

std::shared_ptr<spdlog::logger> make_daemon_log(const DaemonConfig& config, bool verbose) {
  spdlog::sink_ptr sink;
  if (config.log_file.empty()) {
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  } else {
    require_writable(config.log_file);
    sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(config.log_file.string());
  }
  auto log = std::make_shared<spdlog::logger>("tidemark", std::move(sink));
  auto formatter = std::make_unique<spdlog::pattern_formatter>(spdlog::pattern_time_type::utc);
  if (config.log_format == LogFormat::json) {
    formatter->add_flag<JsonMessage>('*').set_pattern(
        R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","message":%*})");
  } else {
    formatter->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v");
  }
  log->set_formatter(std::move(formatter));
  log->set_level(verbose ? spdlog::level::debug : spdlog::level::from_str(config.log_level));
  log->flush_on(spdlog::level::debug);
  return log;
}

}  // namespace tidemark::scheduler
