// A Scenario is what happens to a few nodes, told in lines of text, and what must be so at the end.
// tests/scenarios/README.md explains the lines. Knows nothing of the product.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace tidemark::scenarios {

struct Column {
  std::string name;
  bool unique = false;
  bool not_null = false;
  std::string references;  // a table, by its key
  std::string on_delete;   // cascade, set-null, or nothing

  friend bool operator==(const Column&, const Column&) = default;
};

/// The first column is the key, an integer; others hold text, or the key of the table that they
/// refer to.
struct Table {
  std::string name;
  std::vector<Column> columns;
};

struct Job {
  std::size_t first = 0;
  std::size_t second = 0;
  bool is_backup = false;
  std::string policy = "latest";
};

/// A row as text: one word for each column, "-" for NULL.
using TextRow = std::vector<std::string>;

enum class StepKind : std::uint8_t {
  insert,
  update,
  remove,
  replace,
  move,      // gives a row another key
  swap,      // two rows exchange what one column holds
  sessions,  // of the jobs listed, in any order
  purge,     // tombstones that all registered peers know, whatever their age
  lose,      // the triggers of a table
};

struct Step {
  StepKind kind = StepKind::insert;
  int line = 0;
  std::size_t node = 0;
  std::string table;
  TextRow words;  // what comes after the table: a row, a key and column=value ...
  std::vector<std::size_t> jobs;
};

/// A line that says what must be so at the end.
struct Expectation {
  int line = 0;
  std::string text;
};

/// What was so at the end, in the words of expectations.
struct Outcome {
  std::map<std::string, std::set<std::string>> rows;  // "a item" -> "1 x", one for each row
  std::multiset<std::string> conflicts;               // "update_differs item 1: late beats early"
  std::set<std::string> waiting;                      // "b item 1"
};

struct Scenario {
  std::string file;
  int line = 0;
  std::string sentence;  // what a user would expect
  std::vector<std::string> nodes;
  std::vector<Job> jobs;
  /// For each node; tables may differ in what they allow.
  std::vector<std::vector<Table>> tables;
  struct OldRow {
    std::size_t node = 0;
    std::string table;
    TextRow row;
  };
  std::vector<OldRow> old_rows;  // from before activation
  bool strangers = false;        // the nodes have not met before the first step
  std::vector<Step> steps;
  std::vector<Expectation> expectations;

  const Table& table(std::size_t node, const std::string& name) const;
  std::string where() const { return file + ":" + std::to_string(line); }
};

/// Throws std::runtime_error with file and line for a line that says nothing.
std::vector<Scenario> read_scenarios(const std::filesystem::path& file);

/// What of `expectations` is not so, and what is so that nobody expects; empty if all is well.
std::vector<std::string> judge(const Scenario& scenario,
                               const std::vector<Expectation>& expectations,
                               const Outcome& outcome);

/// Every order that the scenario leaves open, as its steps.
std::vector<std::vector<Step>> orders(const Scenario& scenario);

}  // namespace tidemark::scenarios
