// The benchmark: measures Tidemark against the raw limit in one run and prints ratios with their
// targets.
#include <sqlite3.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "bench/measure.h"
#include "bench/product.h"
#include "bench/rows.h"

namespace tidemark::bench {

std::int64_t Settings::scaled(std::int64_t rows) const {
  return std::max<std::int64_t>(100, std::llround(static_cast<double>(rows) * scale));
}

std::string milliseconds(double seconds) {
  char text[32];
  std::snprintf(text, sizeof(text), seconds < 0.1 ? "%.1f ms" : "%.0f ms", seconds * 1e3);
  return text;
}

const std::vector<Group>& groups() {
  static const std::vector<Group> kGroups{
      {"capture", "what triggers cost an application", capture_rows},
      {"session", "a session of many changes", session_rows},
      {"copy", "the first copy", copy_rows},
      {"idle", "sessions without changes", idle_rows},
      {"verify", "the proof of equality", verify_rows},
      {"memory", "peak memory", memory_rows},
  };
  return kGroups;
}

namespace {

struct Arguments {
  Settings settings;
  std::set<std::string> chosen;
};

[[noreturn]] void usage(int code) {
  std::FILE* out = code == 0 ? stdout : stderr;
  std::fputs(
      "usage: tidemark_bench [--only NAME,...] [--rounds N] [--scale F] [--folder DIR]\n\n"
      "  --only NAME,...  these groups of rows only\n"
      "  --rounds N       runs of each candidate, the median counts (default 5)\n"
      "  --scale F        fewer or more rows; targets are meant for 1 (default)\n"
      "  --folder DIR     where databases are made, 1 GiB free (default $TMPDIR or /tmp)\n\n"
      "groups:\n",
      out);
  for (const Group& group : groups()) {
    std::fprintf(out, "  %-16s %s\n", group.name.c_str(), group.what.c_str());
  }
  std::exit(code);
}

std::set<std::string> split(const std::string& text) {
  std::set<std::string> words;
  std::istringstream stream(text);
  for (std::string word; std::getline(stream, word, ',');) words.insert(word);
  return words;
}

Arguments parse(const std::vector<std::string>& words) {
  Arguments arguments;
  const char* temporary = std::getenv("TMPDIR");
  arguments.settings.folder = temporary == nullptr ? "/tmp" : temporary;
  for (std::size_t i = 0; i < words.size(); i += 2) {
    if (words[i] == "--help") usage(0);
    if (i + 1 == words.size()) usage(2);
    const std::string& value = words[i + 1];
    if (words[i] == "--only") {
      arguments.chosen = split(value);
    } else if (words[i] == "--rounds") {
      arguments.settings.rounds = std::atoi(value.c_str());
    } else if (words[i] == "--scale") {
      arguments.settings.scale = std::atof(value.c_str());
    } else if (words[i] == "--folder") {
      arguments.settings.folder = value;
    } else {
      usage(2);
    }
  }
  for (const Group& group : groups()) {
    if (arguments.chosen.count(group.name) > 0) continue;
    for (const std::string& name : arguments.chosen) {
      bool known = false;
      for (const Group& other : groups()) known |= other.name == name;
      if (!known) usage(2);
    }
  }
  if (arguments.settings.rounds < 1 || !(arguments.settings.scale > 0)) usage(2);
  return arguments;
}

std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  }
  return "unknown processor";
}

void print_heading(const Settings& settings) {
  utsname system{};
  uname(&system);
  const double memory = static_cast<double>(sysconf(_SC_PHYS_PAGES)) *
                        static_cast<double>(sysconf(_SC_PAGE_SIZE)) / (1024.0 * 1024.0 * 1024.0);
  std::printf("machine   %s, %u cores, %.0f GiB, %s %s\n", processor().c_str(),
              std::thread::hardware_concurrency(), memory, system.sysname, system.release);
  std::printf("versions  SQLite %s; build: %s\n", sqlite3_libversion(), TIDEMARK_BUILD);
  std::printf(
      "settings  WAL, synchronous=NORMAL, page size 4096, integer key, rows of about 100 "
      "bytes in 6 columns; medians of %d alternating runs (capture: %d, CPU time; all else: "
      "wall time); databases in %s%s\n\n",
      settings.rounds, settings.rounds + 4, settings.folder.c_str(),
      settings.scale == 1 ? "" : "; SCALED, targets do not apply");
}

void print(const Row& row) {
  std::string target = "-";
  std::string reached;
  char text[64];
  if (row.must > 0) {
    std::snprintf(text, sizeof(text), row.aim > 0 ? "%.4g (aim %.4g)" : "%.4g", row.must, row.aim);
    target = text;
    reached = row.measured > row.must ? "MISSED" : "reached";
    if (row.aim > 0 && row.measured <= row.aim) reached = "aim";
  }
  std::printf("%-66s %7.2f %-5s  %-15s %-8s %s\n", row.what.c_str(), row.measured, row.unit.c_str(),
              target.c_str(), reached.c_str(), row.detail.c_str());
  std::fflush(stdout);
}

int run(const std::vector<std::string>& words) {
  if (words.size() == 3 && words[0] == "--child-session") {
    bench::run_session(words[1], words[2]);
    report_peak();
    return 0;
  }
  const Arguments arguments = parse(words);
  print_heading(arguments.settings);
  std::printf("%-66s %13s  %-15s\n", "what", "measured", "at most");
  for (const Group& group : groups()) {
    if (!arguments.chosen.empty() && arguments.chosen.count(group.name) == 0) continue;
    const ScratchFolder folder(arguments.settings.folder);
    Settings settings = arguments.settings;
    settings.folder = folder.path();
    for (const Row& row : group.run(settings)) print(row);
  }
  return 0;
}

}  // namespace
}  // namespace tidemark::bench

int main(int argc, char** argv) {
  try {
    return tidemark::bench::run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tidemark_bench: %s\n", error.what());
    return 1;
  }
}
