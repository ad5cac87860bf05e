#include "cli/completion.h"

#include <algorithm>
#include <cstdio>

#include "cli/command_table.h"
#include "model/error.h"
#include "scheduler/config.h"

namespace tidemark::cli {
namespace {

/// What was typed before the cursor, as far as it can be understood.
struct Typed {
  std::vector<const CommandSpec*> path;
  std::vector<std::string> words;       // after the command
  const OptionSpec* waiting = nullptr;  // an option whose argument is at the cursor
  std::string config = "tidemark.toml";
  bool only_words = false;  // after --

  std::vector<const OptionSpec*> options() const {
    std::vector<const OptionSpec*> known;
    const auto take = [&](const std::vector<OptionSpec>& specs) {
      for (const OptionSpec& spec : specs) known.push_back(&spec);
    };
    for (const CommandSpec* spec : path) take(spec->options);
    // A group without a word runs its first subcommand.
    if (!path.empty() && !path.back()->subcommands.empty()) {
      take(path.back()->subcommands.front().options);
    }
    take(global_options());
    return known;
  }

  const OptionSpec* option(const std::string& word) const {
    for (const OptionSpec* spec : options()) {
      if (word == "--" + spec->name) return spec;
      if (spec->letter != 0 && word == std::string("-") + spec->letter) return spec;
    }
    return nullptr;
  }

  const std::vector<CommandSpec>* next_commands() const {
    if (path.empty()) return &commands();
    return path.back()->subcommands.empty() || !words.empty() ? nullptr : &path.back()->subcommands;
  }
};

void take_word(Typed& typed, const std::string& word) {
  if (const auto* known = typed.next_commands()) {
    for (const CommandSpec& spec : *known) {
      if (spec.name == word) {
        typed.path.push_back(&spec);
        return;
      }
    }
  }
  typed.words.push_back(word);
}

Typed understand(const std::vector<std::string>& words) {
  Typed typed;
  for (const std::string& word : words) {
    if (typed.waiting != nullptr) {
      if (word == "=") continue;  // bash splits --config=FILE
      if (typed.waiting->name == "config") typed.config = word;
      typed.waiting = nullptr;
    } else if (word == "--") {
      typed.only_words = true;
    } else if (!typed.only_words && word.size() > 1 && word[0] == '-') {
      const OptionSpec* spec = typed.option(word);
      if (spec != nullptr && !spec->argument.empty()) typed.waiting = spec;
      if (word.starts_with("--config=")) typed.config = word.substr(9);
    } else {
      take_word(typed, word);
    }
  }
  return typed;
}

class Collector {
 public:
  explicit Collector(std::string begun) : begun_(std::move(begun)) {}

  void add(const std::string& word, const std::string& says) {
    if (word.starts_with(begun_)) found_.push_back({word, says});
  }
  void add_files() { found_.push_back({kCompleteFiles, ""}); }
  void add_argument(const OptionSpec& option, const std::string& prefix) {
    for (const std::string& choice : option.choices) add(prefix + choice, "");
    if (option.argument == "FILE") add_files();
  }
  std::vector<Completion> found() { return std::move(found_); }

 private:
  const std::string begun_;
  std::vector<Completion> found_;
};

void add_names(const Typed& typed, Collector& collector) {
  const WordsSpec& words = typed.path.back()->words;
  if (typed.words.size() >= words.max) return;
  const auto add = [&](const std::string& name, const std::string& says) {
    const auto& given = typed.words;
    if (std::find(given.begin(), given.end(), name) == given.end()) collector.add(name, says);
  };
  if (words.kind == WordKind::command) {
    for (const CommandSpec& spec : commands()) add(spec.name, spec.summary);
  }
  if (words.kind != WordKind::job && words.kind != WordKind::node) return;
  try {
    const scheduler::Config config = scheduler::read_config(typed.config);
    if (words.kind == WordKind::job) {
      for (const auto& job : config.jobs) add(job.name, std::string(to_string(job.mode)));
    } else {
      for (const auto& node : config.nodes) add(node.name, node.url);
    }
  } catch (const Error&) {
    // Who types is told when the command runs.
  }
}

}  // namespace

std::vector<Completion> completions(const std::vector<std::string>& words) {
  const std::string begun = words.empty() || words.back() == "=" ? "" : words.back();
  const Typed typed = understand({words.begin(), words.empty() ? words.end() : words.end() - 1});
  Collector collector(begun);
  if (typed.waiting != nullptr) {
    collector.add_argument(*typed.waiting, "");
    return collector.found();
  }
  if (!typed.only_words && begun.starts_with('-')) {
    const auto equals = begun.find('=');
    const OptionSpec* spec = typed.option(begun.substr(0, equals));
    if (equals != std::string::npos) {
      if (spec != nullptr) collector.add_argument(*spec, begun.substr(0, equals + 1));
      return collector.found();
    }
    for (const OptionSpec* option : typed.options()) {
      collector.add("--" + option->name, option->help);
    }
    return collector.found();
  }
  if (const auto* known = typed.next_commands()) {
    for (const CommandSpec& spec : *known) collector.add(spec.name, spec.summary);
  }
  if (!typed.path.empty()) add_names(typed, collector);
  return collector.found();
}

int print_completions(const std::vector<std::string>& words) {
  for (const Completion& completion : completions(words)) {
    std::printf("%s\t%s\n", completion.word.c_str(), completion.says.c_str());
  }
  return 0;
}

}  // namespace tidemark::cli
