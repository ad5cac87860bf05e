// The program: reads the command line, runs the command, tells how it ended.
#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <vector>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/context.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "model/error.h"

namespace {

using namespace tidemark;

/// Whether an error that comes before the command line is understood is to be told as JSON.
bool asks_for_json(const std::vector<std::string>& arguments) {
  for (const std::string& argument : arguments) {
    if (argument == "--") return false;
    if (argument == "--json") return true;
  }
  return false;
}

int run(const std::vector<std::string>& arguments) {
  const cli::CommandLine line = cli::parse_command_line(arguments);
  cli::Output output(line.has("json"), line.has("quiet"));
  cli::Context context(line, output);
  int code = 0;
  if (line.has("version")) {
    code = cli::run_version(context);
  } else if (line.has("help")) {
    code = cli::print_help(context, line.path);
  } else if (line.path.empty()) {
    throw Error(ExitCode::usage, "no command is given", "run 'tidemark --help' for a list");
  } else {
    code = line.command().run(context);
  }
  output.finish();
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  // Shells ask while a line is typed; it is no command for people.
  if (!arguments.empty() && arguments.front() == "__complete") {
    return cli::print_completions({arguments.begin() + 1, arguments.end()});
  }
  const bool json = asks_for_json(arguments);
  cli::install_interrupt_handlers(json);
  try {
    return run(arguments);
  } catch (const Error& error) {
    cli::print_error(error, json);
    return static_cast<int>(error.code());
  } catch (const std::bad_alloc&) {
    cli::print_error(
        Error(ExitCode::failed, "out of memory", "free memory and run the command again"), json);
  } catch (const std::exception& error) {
    cli::print_error(Error(ExitCode::failed, std::string("unexpected: ") + error.what(),
                           "this is a defect of tidemark; run again with --verbose and report it"),
                     json);
  }
  return static_cast<int>(ExitCode::failed);
}
