// Reads the command line by the command table.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/command_table.h"

namespace tidemark::cli {

struct CommandLine {
  std::vector<const CommandSpec*> path;        // command and subcommand; empty when none was named
  std::map<std::string, std::string> options;  // long name -> argument, empty for switches
  std::vector<std::string> words;              // what follows the command

  bool has(const std::string& option) const { return options.contains(option); }
  std::optional<std::string> argument(const std::string& option) const;
  /// The one that runs.
  const CommandSpec& command() const { return *path.back(); }
  /// "conflicts list".
  std::string command_name() const;
};

/// Throws Error usage. The number of words and the choices of options are checked; --help and
/// --version stand in `options` like any other, and with them the number of words does not matter.
CommandLine parse_command_line(const std::vector<std::string>& arguments);

/// Finds a command for help: "sync", or "conflicts" "show". Throws Error usage.
std::vector<const CommandSpec*> find_command(const std::vector<std::string>& words);

/// The page of `--help` for the program, or for a command. `width` in columns.
std::string program_help(std::size_t width);
std::string command_help(const std::vector<const CommandSpec*>& path, std::size_t width);

}  // namespace tidemark::cli
