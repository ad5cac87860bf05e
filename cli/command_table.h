// The one table of commands: names, options, words that follow, what they do and which function
// runs them. Parsing and help are driven by it, and whatever else must list the commands.
#pragma once

#include <string>
#include <vector>

namespace tidemark::cli {

class Context;

struct OptionSpec {
  std::string name;      // long form, without dashes
  char letter = 0;       // short form, or 0
  std::string argument;  // "FILE"; empty for a switch
  std::string help;
  std::vector<std::string> choices;  // of the argument; empty when anything goes
};

/// What the words after the command are.
enum class WordKind : std::uint8_t { none, job, node, conflict, waiting_row, command };

struct WordsSpec {
  WordKind kind = WordKind::none;
  std::string name;  // "JOB", for the usage line
  std::size_t min = 0;
  std::size_t max = 0;
  static constexpr std::size_t kMany = 100000;
};

struct Example {
  std::string command_line;
  std::string says;
};

struct CommandSpec {
  std::string name;
  std::string summary;      // one line, no full stop
  std::string description;  // paragraphs, for --help
  WordsSpec words;
  std::vector<OptionSpec> options;
  std::vector<Example> examples;
  /// Runs the command; the result is the exit code. Null for a group of subcommands.
  int (*run)(Context&) = nullptr;
  /// The first runs when none is named.
  std::vector<CommandSpec> subcommands;
};

const std::vector<OptionSpec>& global_options();
const std::vector<CommandSpec>& commands();

struct ExitCodeSpec {
  int code;
  std::string meaning;
};
const std::vector<ExitCodeSpec>& exit_codes();

}  // namespace tidemark::cli
