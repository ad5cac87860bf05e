#include "cli/output.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "cli/colour.h"
#include "cli/text.h"

namespace tidemark::cli {
namespace {

void write(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

void write_line(std::string_view type, const Json& content) {
  Json line = {{"v", 1}, {"type", type}};
  line.update(content);
  // Row values are clean by the time they get here; names and messages of a database may hold
  // anything.
  write(line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

}  // namespace

void Output::text(std::string_view text) {
  if (!json_) write(text);
}

void Output::note(std::string_view text) {
  if (tells()) write(text);
}

void Output::document(std::string_view type, const Json& content) {
  if (json_) write_line(type, content);
}

void Output::event(std::string_view type, const Json& content) {
  if (!json_) return;
  write_line(type, content);
  std::fflush(stdout);
}

void Output::finish() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return;
  throw Error(ExitCode::failed,
              std::string("cannot write to standard output: ") + std::strerror(errno),
              "what was asked for is done; check where the output goes");
}

Json error_json(const Error& error) {
  return {
      {"code", static_cast<int>(error.code())}, {"message", error.what()}, {"hint", error.hint()}};
}

void print_error(const Error& error, bool json) {
  if (json) {
    write_line("error", error_json(error));
    std::fflush(stdout);
    return;
  }
  std::fflush(stdout);
  const std::string text =
      coloured_on(STDERR_FILENO, "ERROR:", Colour::red) + " " + printable(error.what()) + "\n" +
      coloured_on(STDERR_FILENO, "HINT:", Colour::bold) + " " + printable(error.hint()) + "\n";
  std::fwrite(text.data(), 1, text.size(), stderr);
}

}  // namespace tidemark::cli
