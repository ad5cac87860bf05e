#include "cli/command_line.h"

#include <doctest/doctest.h>

#include <functional>
#include <set>

#include "model/error.h"

using namespace tidemark;
using namespace tidemark::cli;

namespace {

CommandLine parse(const std::vector<std::string>& arguments) {
  return parse_command_line(arguments);
}

/// "message | hint" of the Error that parsing throws; empty if there is none.
std::string refusal(const std::vector<std::string>& arguments) {
  try {
    parse_command_line(arguments);
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::usage);
    CHECK_FALSE(error.hint().empty());
    return std::string(error.what()) + " | " + error.hint();
  }
  return {};
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

void walk(const std::vector<CommandSpec>& specs, std::vector<const CommandSpec*> path,
          const std::function<void(const std::vector<const CommandSpec*>&)>& visit) {
  for (const CommandSpec& spec : specs) {
    path.push_back(&spec);
    visit(path);
    walk(spec.subcommands, path, visit);
    path.pop_back();
  }
}

}  // namespace

TEST_CASE("options of the program stand before or after the command") {
  for (const auto& arguments : std::vector<std::vector<std::string>>{
           {"--config", "x.toml", "--json", "sync", "shops", "--dry-run"},
           {"sync", "--config=x.toml", "shops", "-n", "--json"},
           {"-c", "x.toml", "sync", "--json", "--dry-run", "shops"},
           {"-cx.toml", "--json", "sync", "-n", "shops"}}) {
    const CommandLine line = parse(arguments);
    CHECK(line.command_name() == "sync");
    CHECK(line.argument("config") == "x.toml");
    CHECK(line.has("json"));
    CHECK(line.has("dry-run"));
    CHECK(line.words == std::vector<std::string>{"shops"});
  }
}

TEST_CASE("a word that looks like an option follows two dashes") {
  CHECK(parse({"sync", "--", "--odd"}).words == std::vector<std::string>{"--odd"});
}

TEST_CASE("a group without a subcommand runs its first, with that one's options") {
  CHECK(parse({"conflicts"}).command_name() == "conflicts list");
  CHECK(parse({"conflicts", "--all"}).has("all"));
  CHECK(parse({"conflicts", "--config", "x", "show", "3f"}).command_name() == "conflicts show");
  CHECK(parse({"conflicts", "--help"}).command_name() == "conflicts");
}

TEST_CASE("help does not insist on the words of a command") {
  CHECK(parse({"deactivate", "--help"}).has("help"));
  CHECK(parse({"--help"}).path.empty());
  CHECK(parse({"-V"}).has("version"));
}

TEST_CASE("a prefix of an option is not that option") {
  CHECK(contains(refusal({"sync", "--js"}), "sync has no option --js"));
  CHECK(contains(refusal({"sync", "--dry"}), "has no option --dry"));
  CHECK(contains(refusal({"sync", "--dryrun"}), "did you mean --dry-run?"));
}

TEST_CASE("what is wrong with an option is told") {
  CHECK(contains(refusal({"status", "--config"}), "--config needs an argument FILE"));
  CHECK(contains(refusal({"status", "-c"}), "needs an argument FILE"));
  CHECK(contains(refusal({"status", "--config="}), "--config"));
  CHECK(contains(refusal({"status", "--json=yes"}), "--json takes no argument"));
  CHECK(contains(refusal({"status", "--json", "--json"}), "--json is given twice"));
  CHECK(contains(refusal({"status", "--progress", "auto", "--progress", "auto"}), "given twice"));
  CHECK(contains(refusal({"status", "--progress", "allways"}), "did you mean \"always\"?"));
  CHECK(contains(refusal({"status", "--repair"}), "status has no option --repair"));
}

TEST_CASE("what is wrong with the words is told") {
  CHECK(contains(refusal({"synch"}), "did you mean \"sync\"?"));
  CHECK(contains(refusal({"conflicts", "drop"}), "conflicts has no subcommand \"drop\""));
  CHECK(contains(refusal({"deactivate"}), "deactivate needs at least one NODE"));
  CHECK(contains(refusal({"conflicts", "show"}), "conflicts show needs one ID"));
  CHECK(contains(refusal({"status", "now"}), "status does not know what to do with \"now\""));
}

TEST_CASE("every command has a help page that names its options") {
  walk(commands(), {}, [](const std::vector<const CommandSpec*>& path) {
    const CommandSpec& spec = *path.back();
    CAPTURE(spec.name);
    const std::string help = command_help(path, 80);
    CHECK(contains(help, "usage: tidemark " + path.front()->name));
    CHECK_FALSE(spec.summary.empty());
    CHECK_FALSE(spec.summary.ends_with("."));
    CHECK(contains(program_help(80), "  " + path.front()->name));
    for (const OptionSpec& option : spec.options) CHECK(contains(help, "--" + option.name));
    CHECK((spec.run != nullptr) == spec.subcommands.empty());
    std::size_t begin = 0;
    while (begin < help.size()) {
      const std::size_t end = help.find('\n', begin);
      CHECK(end - begin <= 90);
      begin = end + 1;
    }
  });
}

TEST_CASE("no two options of a command share a name or letter") {
  walk(commands(), {}, [](const std::vector<const CommandSpec*>& path) {
    std::set<std::string> names;
    std::set<char> letters;
    std::vector<OptionSpec> options = global_options();
    for (const CommandSpec* spec : path) {
      options.insert(options.end(), spec->options.begin(), spec->options.end());
    }
    for (const OptionSpec& option : options) {
      CAPTURE(option.name);
      CHECK(names.insert(option.name).second);
      if (option.letter != 0) CHECK(letters.insert(option.letter).second);
    }
  });
}
