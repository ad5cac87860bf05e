#include "cli/command_line.h"

#include <algorithm>
#include <boost/program_options.hpp>

#include "cli/text.h"
#include "model/error.h"
#include "scheduler/suggest.h"

namespace tidemark::cli {
namespace {

namespace po = boost::program_options;

[[noreturn]] void fail(const std::string& message, const std::string& hint) {
  throw Error(ExitCode::usage, message, hint);
}

std::string help_hint(const std::vector<const CommandSpec*>& path) {
  std::string command = "tidemark";
  for (const CommandSpec* spec : path) command += " " + spec->name;
  return "run '" + command + " --help'";
}

std::vector<std::string> names_of(const std::vector<CommandSpec>& specs) {
  std::vector<std::string> names;
  for (const CommandSpec& spec : specs) names.push_back(spec.name);
  return names;
}

const CommandSpec* find_named(const std::vector<CommandSpec>& specs, const std::string& name) {
  const auto found = std::find_if(specs.begin(), specs.end(),
                                  [&](const CommandSpec& spec) { return spec.name == name; });
  return found == specs.end() ? nullptr : &*found;
}

[[noreturn]] void fail_unknown_command(const std::string& name, const std::string& group,
                                       const std::vector<CommandSpec>& known) {
  fail((group.empty() ? "there is no command " : group + " has no subcommand ") +
           std::string("\"") + name + "\"",
       scheduler::suggestion(name, names_of(known), "commands"));
}

std::vector<OptionSpec> options_of(const std::vector<const CommandSpec*>& path) {
  std::vector<OptionSpec> options = global_options();
  for (const CommandSpec* spec : path) {
    options.insert(options.end(), spec->options.begin(), spec->options.end());
  }
  return options;
}

/// True if the argument of the option `word` is the next word: "--config FILE", "-c FILE".
bool takes_next(const std::vector<OptionSpec>& options, const std::string& word) {
  return std::any_of(options.begin(), options.end(), [&](const OptionSpec& option) {
    if (option.argument.empty()) return false;
    return word == "--" + option.name ||
           (option.letter != 0 && word == std::string("-") + option.letter);
  });
}

/// Takes the next word that is no option out of `arguments`, starting at `place`; leaves `place`
/// behind it.
std::optional<std::string> take_word(std::vector<std::string>& arguments, std::size_t& place,
                                     const std::vector<OptionSpec>& options) {
  for (; place < arguments.size(); ++place) {
    const std::string& word = arguments[place];
    if (word == "--") return std::nullopt;
    if (word.size() > 1 && word[0] == '-') {
      if (takes_next(options, word)) ++place;
      continue;
    }
    std::string taken = word;
    arguments.erase(arguments.begin() + static_cast<std::ptrdiff_t>(place));
    return taken;
  }
  return std::nullopt;
}

std::vector<const CommandSpec*> take_command(std::vector<std::string>& arguments) {
  std::vector<const CommandSpec*> path;
  std::size_t place = 0;
  const std::optional<std::string> name = take_word(arguments, place, global_options());
  if (!name) return path;
  const CommandSpec* spec = find_named(commands(), *name);
  if (spec == nullptr) fail_unknown_command(*name, "", commands());
  path.push_back(spec);
  if (spec->subcommands.empty()) return path;
  if (const auto subcommand = take_word(arguments, place, options_of(path))) {
    const CommandSpec* sub = find_named(spec->subcommands, *subcommand);
    if (sub == nullptr) fail_unknown_command(*subcommand, spec->name, spec->subcommands);
    path.push_back(sub);
  }
  return path;
}

po::options_description describe(const std::vector<OptionSpec>& options) {
  po::options_description description;
  for (const OptionSpec& option : options) {
    std::string name = option.name;
    if (option.letter != 0) name += std::string(",") + option.letter;
    if (option.argument.empty()) {
      description.add_options()(name.c_str(), "");
    } else {
      description.add_options()(name.c_str(), po::value<std::string>(), "");
    }
  }
  return description;
}

po::parsed_options parse(const std::vector<std::string>& arguments,
                         const po::options_description& description,
                         const std::vector<const CommandSpec*>& path,
                         const std::vector<OptionSpec>& options) {
  // A prefix of an option is not that option: scripts would break when a longer one is added.
  const int style = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;
  const std::string who = path.empty() ? "tidemark" : path.back()->name;
  try {
    return po::command_line_parser(arguments).options(description).style(style).run();
  } catch (const po::unknown_option& error) {
    std::string word = error.get_option_name();
    std::vector<std::string> known;
    for (const OptionSpec& option : options) known.push_back("--" + option.name);
    const std::string near = scheduler::closest(word, known);
    fail(who + " has no option " + word,
         (near.empty() ? "" : "did you mean " + near + "? ") + help_hint(path));
  } catch (const po::error_with_option_name& error) {
    std::string option = error.get_option_name();
    for (const OptionSpec& spec : options) {
      // The library names the option without saying what is missing.
      if (option == "--" + spec.name ||
          (spec.letter != 0 && option == std::string("-") + spec.letter)) {
        if (spec.argument.empty()) fail("option " + option + " takes no argument", help_hint(path));
        fail("option " + option + " needs an argument " + spec.argument, help_hint(path));
      }
    }
    fail(error.what(), help_hint(path));
  } catch (const po::error& error) {
    fail(error.what(), help_hint(path));
  }
}

void check_words(const CommandLine& line) {
  if (line.path.empty() || line.has("help") || line.has("version")) return;
  const WordsSpec& words = line.command().words;
  const std::string who = line.command_name();
  if (line.words.size() > words.max) {
    fail(who + " does not know what to do with \"" + line.words[words.max] + "\"",
         help_hint(line.path));
  }
  if (line.words.size() < words.min) {
    fail(who + " needs " + (words.max > 1 ? "at least one " : "one ") + words.name,
         help_hint(line.path));
  }
}

std::string usage_line(const std::vector<const CommandSpec*>& path) {
  std::string line = "usage: tidemark";
  for (const CommandSpec* spec : path) line += " " + spec->name;
  const CommandSpec& spec = *path.back();
  if (!spec.subcommands.empty()) {
    line += " [";
    for (std::size_t i = 0; i < spec.subcommands.size(); ++i) {
      line += (i > 0 ? " | " : "") + spec.subcommands[i].name;
      if (spec.subcommands[i].words.min > 0) line += " " + spec.subcommands[i].words.name;
    }
    line += "]";
  }
  if (spec.words.max > 0) {
    const std::string name = spec.words.name + (spec.words.max > 1 ? "..." : "");
    line += spec.words.min == 0 ? " [" + name + "]" : " " + name;
  }
  return line + " [options]\n";
}

std::string describe_pairs(const std::vector<std::pair<std::string, std::string>>& pairs,
                           std::size_t width) {
  std::size_t left = 0;
  for (const auto& [name, text] : pairs) left = std::max(left, width_of(name));
  left += 4;
  std::string out;
  for (const auto& [name, text] : pairs) {
    std::string block = wrapped(text, left, width);
    const std::string label = "  " + name;
    block.replace(0, width_of(label), label);
    out += block;
  }
  return out;
}

std::string options_help(const std::vector<OptionSpec>& options, std::size_t width) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const OptionSpec& option : options) {
    std::string name = option.letter != 0 ? std::string("-") + option.letter + ", " : "    ";
    name += "--" + option.name;
    if (!option.argument.empty()) name += " " + option.argument;
    pairs.emplace_back(std::move(name), option.help);
  }
  return describe_pairs(pairs, width);
}

std::string commands_help(const std::vector<CommandSpec>& specs, std::size_t width) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const CommandSpec& spec : specs) {
    std::string name = spec.name;
    if (spec.words.min > 0) name += " " + spec.words.name;
    pairs.emplace_back(std::move(name), spec.summary);
  }
  return describe_pairs(pairs, width);
}

}  // namespace

std::optional<std::string> CommandLine::argument(const std::string& option) const {
  const auto found = options.find(option);
  return found == options.end() ? std::nullopt : std::optional(found->second);
}

std::string CommandLine::command_name() const {
  std::string name;
  for (const CommandSpec* spec : path) name += (name.empty() ? "" : " ") + spec->name;
  return name;
}

CommandLine parse_command_line(const std::vector<std::string>& arguments) {
  std::vector<std::string> rest = arguments;
  CommandLine line;
  line.path = take_command(rest);
  // A group without a word runs its first subcommand, whose options it then takes.
  std::vector<const CommandSpec*> running = line.path;
  if (!running.empty() && !running.back()->subcommands.empty()) {
    running.push_back(&running.back()->subcommands.front());
  }
  const std::vector<OptionSpec> options = options_of(running);
  const po::options_description description = describe(options);
  for (const po::option& option : parse(rest, description, line.path, options).options) {
    if (option.position_key >= 0) {
      line.words.insert(line.words.end(), option.value.begin(), option.value.end());
      continue;
    }
    // Short forms arrive with a dash when the library did not map them.
    const auto spec = std::find_if(options.begin(), options.end(), [&](const OptionSpec& each) {
      return option.string_key == each.name ||
             (each.letter != 0 && option.string_key == std::string("-") + each.letter);
    });
    if (spec == options.end()) fail("unknown option " + option.string_key, help_hint(line.path));
    const std::string value = option.value.empty() ? "" : option.value.front();
    if (!line.options.emplace(spec->name, value).second) {
      fail("option --" + spec->name + " is given twice", "give it once");
    }
    if (!spec->argument.empty() && value.empty()) {
      fail("option --" + spec->name + " needs an argument " + spec->argument, help_hint(line.path));
    }
    if (!spec->choices.empty() &&
        std::find(spec->choices.begin(), spec->choices.end(), value) == spec->choices.end()) {
      fail("option --" + spec->name + " cannot be \"" + value + "\"",
           scheduler::suggestion(value, spec->choices, "choices"));
    }
  }
  // Help is about the group; only running needs the subcommand.
  if (!line.has("help")) line.path = running;
  check_words(line);
  return line;
}

std::vector<const CommandSpec*> find_command(const std::vector<std::string>& words) {
  std::vector<const CommandSpec*> path;
  const std::vector<CommandSpec>* known = &commands();
  for (const std::string& word : words) {
    const CommandSpec* spec = find_named(*known, word);
    if (spec == nullptr) {
      if (known->empty()) fail(path.back()->name + " has no subcommands", help_hint(path));
      fail_unknown_command(word, path.empty() ? "" : path.back()->name, *known);
    }
    path.push_back(spec);
    known = &spec->subcommands;
  }
  return path;
}

std::string program_help(std::size_t width) {
  std::string out =
      "Tidemark keeps databases in agreement.\n\nusage: tidemark COMMAND [options]\n\n";
  out += "commands:\n" + commands_help(commands(), width);
  out += "\noptions of every command:\n" + options_help(global_options(), width);
  std::vector<std::pair<std::string, std::string>> codes;
  for (const ExitCodeSpec& spec : exit_codes()) {
    codes.emplace_back(std::to_string(spec.code), spec.meaning);
  }
  out += "\nexit codes:\n" + describe_pairs(codes, width);
  out +=
      "\nRun 'tidemark COMMAND --help' for a command in detail; 'tidemark init' is where to "
      "begin.\n";
  return out;
}

std::string command_help(const std::vector<const CommandSpec*>& path, std::size_t width) {
  const CommandSpec& spec = *path.back();
  std::string out = usage_line(path) + "\n" + wrapped(spec.description, 0, width);
  if (!spec.subcommands.empty()) out += "\nsubcommands:\n" + commands_help(spec.subcommands, width);
  std::vector<OptionSpec> own = spec.options;
  if (!spec.subcommands.empty()) own = spec.subcommands.front().options;
  if (!own.empty()) out += "\noptions:\n" + options_help(own, width);
  out += "\noptions of every command:\n" + options_help(global_options(), width);
  if (!spec.examples.empty()) {
    std::vector<std::pair<std::string, std::string>> examples;
    for (const Example& example : spec.examples) {
      examples.emplace_back(example.command_line, example.says);
    }
    out += "\nexamples:\n" + describe_pairs(examples, width);
  }
  return out;
}

}  // namespace tidemark::cli
