#include "cli/completion.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "cli/command_table.h"

using namespace tidemark::cli;

namespace {

/// The words offered, joined by spaces.
std::string offered(const std::vector<std::string>& words) {
  std::string text;
  for (const Completion& completion : completions(words)) {
    text += (text.empty() ? "" : " ") + completion.word;
  }
  return text;
}

bool contains(const std::string& text, const std::string& part) {
  return (" " + text + " ").find(" " + part + " ") != std::string::npos;
}

}  // namespace

TEST_CASE("a shell is offered every command, option and choice of the table") {
  for (const CommandSpec& command : commands()) {
    CAPTURE(command.name);
    CHECK(contains(offered({""}), command.name));
    CHECK(contains(offered({command.name.substr(0, 2)}), command.name));
    CHECK(contains(offered({"help", ""}), command.name));
    for (const OptionSpec& option : command.options) {
      CHECK(contains(offered({command.name, "--"}), "--" + option.name));
    }
    for (const CommandSpec& sub : command.subcommands) {
      CHECK(contains(offered({command.name, ""}), sub.name));
      for (const OptionSpec& option : sub.options) {
        CHECK(contains(offered({command.name, sub.name, "--"}), "--" + option.name));
      }
    }
    for (const OptionSpec& option : global_options()) {
      CHECK(contains(offered({command.name, "-"}), "--" + option.name));
    }
  }
  CHECK(offered({"sync", "--progress", ""}) == "auto always never");
  CHECK(offered({"sync", "--progress", "=", "al"}) == "always");
  CHECK(offered({"sync", "--progress", "="}) == "auto always never");
  CHECK(offered({"sync", "--progress=n"}) == "--progress=never");
  CHECK(offered({"-c", ""}) == kCompleteFiles);
  CHECK(offered({"--config="}) == kCompleteFiles);
  CHECK(offered({"conf"}) == "conflicts");
  CHECK(offered({"conflicts", "show", ""}).empty());
  CHECK(offered({"nonsense", "--unknown", ""}).empty() == false);  // the commands
  CHECK(offered({"status", "x", "y"}).empty());
  CHECK(contains(offered({}), "sync"));
}

TEST_CASE("a shell is offered the jobs and nodes of the configuration") {
  const auto folder = std::filesystem::temp_directory_path() /
                      ("tidemark-completion-" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  const std::string file = (folder / "shops.toml").string();
  std::ofstream(file) << "[node.hq]\nurl = \"sqlite:hq.db\"\n[node.shop1]\nurl = \"sqlite:1.db\"\n"
                         "[job.night]\nnodes = [\"hq\", \"shop1\"]\n"
                         "[job.noon]\nnodes = [\"hq\", \"shop1\"]\n";
  CHECK(offered({"-c", file, "sync", ""}) == "night noon");
  CHECK(offered({"sync", "--config=" + file, "noo"}) == "noon");
  CHECK(offered({"--config", "=", file, "sync", "night", ""}) == "noon");
  CHECK(offered({"--config", file, "activate", "--dry-run", ""}) == "hq shop1");
  CHECK(offered({"--config", file, "sync", "--", ""}) == "night noon");
  CHECK(offered({"--config", (folder / "none.toml").string(), "sync", ""}).empty());
  std::ofstream(file) << "[job.broken\n";
  CHECK(offered({"--config", file, "sync", ""}).empty());
  std::filesystem::remove_all(folder);
}
