#include "tests/scenarios/scenario.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace tidemark::scenarios {
namespace {

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream input(text);
  std::vector<std::string> words;
  for (std::string word; input >> word;) words.push_back(word);
  return words;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream input(text);
  for (std::string part; std::getline(input, part, separator);) parts.push_back(part);
  return parts;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

const std::map<std::string, StepKind>& operations() {
  static const std::map<std::string, StepKind> known{
      {"insert", StepKind::insert}, {"update", StepKind::update},   {"delete", StepKind::remove},
      {"move", StepKind::move},     {"replace", StepKind::replace}, {"swap", StepKind::swap},
      {"purge", StepKind::purge},   {"lose", StepKind::lose}};
  return known;
}

class Reader {
 public:
  explicit Reader(const std::filesystem::path& file) : file_(file) {}

  std::vector<Scenario> read() {
    std::ifstream input(file_);
    if (!input) throw std::runtime_error("cannot read " + file_.string());
    for (std::string line; std::getline(input, line);) {
      ++line_;
      if (line.empty() || line.starts_with('#')) continue;
      read_line(line);
    }
    end();
    return std::move(scenarios_);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error(file_.filename().string() + ":" + std::to_string(line_) + ": " + what);
  }

  void read_line(const std::string& line) {
    static const std::string kBegin = "scenario: ";
    if (line.starts_with(kBegin)) {
      end();
      current_ = Scenario{
          .file = file_.filename().string(), .line = line_, .sentence = line.substr(kBegin.size())};
      return;
    }
    if (!current_) fail("no scenario begins with this line");
    const std::vector<std::string> words = words_of(line);
    const std::string& first = words.front();
    if (first == "nodes") {
      current_->nodes.assign(words.begin() + 1, words.end());
    } else if (first == "job") {
      read_job(words);
    } else if (first == "table") {
      read_table(line);
    } else if (first == "row") {
      lines_of_rows_.emplace_back(line_, words);
    } else if (first == "strangers") {
      current_->strangers = true;
    } else if (first == "rows" || first == "conflict" || first == "perhaps" || first == "waiting") {
      current_->expectations.push_back({.line = line_, .text = joined(words)});
    } else {
      steps_.emplace_back(line_, words);
    }
  }

  std::size_t node(const std::string& name) const {
    const auto found = std::find(current_->nodes.begin(), current_->nodes.end(), name);
    if (found == current_->nodes.end()) fail("no node is called " + name);
    return static_cast<std::size_t>(found - current_->nodes.begin());
  }

  /// job a-b [policy], job a>b
  void read_job(const std::vector<std::string>& words) {
    if (words.size() < 2) fail("a job needs two nodes");
    if (current_->nodes.empty()) current_->nodes = {"a", "b"};
    Job job = pair(words[1]);
    if (words.size() > 2) job.policy = words[2];
    current_->jobs.push_back(job);
  }

  Job pair(const std::string& text) const {
    const auto at = text.find_first_of("->");
    if (at == std::string::npos) fail("not two nodes: " + text);
    return {.first = node(text.substr(0, at)),
            .second = node(text.substr(at + 1)),
            .is_backup = text[at] == '>'};
  }

  /// table item: id, name not null, code unique, owner references person
  void read_table(const std::string& line) {
    const auto colon = line.find(':');
    if (colon == std::string::npos) fail("a table needs columns");
    std::string name = words_of(line.substr(0, colon)).at(1);
    std::string where;
    if (const auto at = name.find('@'); at != std::string::npos) {
      where = name.substr(at + 1);
      name = name.substr(0, at);
    }
    Table table{.name = name, .columns = {}};
    for (const std::string& part : split(line.substr(colon + 1), ',')) {
      const std::vector<std::string> words = words_of(part);
      if (words.empty()) fail("a column has no name");
      Column column{.name = words[0]};
      for (std::size_t i = 1; i < words.size(); ++i) {
        if (words[i] == "unique") {
          column.unique = true;
        } else if (words[i] == "not" && i + 1 < words.size() && words[i + 1] == "null") {
          column.not_null = true;
          ++i;
        } else if (words[i] == "references" && i + 1 < words.size()) {
          column.references = words[++i];
        } else if (words[i] == "cascade" || words[i] == "set-null") {
          column.on_delete = words[i];
        } else {
          fail("what is a column that is " + words[i] + "?");
        }
      }
      table.columns.push_back(column);
    }
    tables_.emplace_back(where, table);
  }

  /// What could not be understood before nodes and tables were known.
  void end() {
    if (!current_) return;
    const int last = line_;
    if (current_->nodes.empty()) current_->nodes = {"a", "b"};
    if (current_->jobs.empty()) current_->jobs = {{.first = 0, .second = 1}};
    if (tables_.empty()) tables_ = {{"", {.name = "item", .columns = {{"id"}, {"name"}}}}};
    current_->tables.resize(current_->nodes.size());
    for (const auto& [where, table] : tables_) {
      for (std::size_t i = 0; i < current_->nodes.size(); ++i) {
        if (!where.empty() && where != current_->nodes[i]) continue;
        std::vector<Table>& tables = current_->tables[i];
        std::erase_if(tables, [&](const Table& other) { return other.name == table.name; });
        tables.push_back(table);
      }
    }
    for (const auto& [line, words] : lines_of_rows_) {
      line_ = line;
      read_old_row(words);
    }
    for (const auto& [line, words] : steps_) {
      line_ = line;
      read_step(words);
    }
    line_ = last;
    if (current_->expectations.empty()) fail("the scenario before expects nothing");
    scenarios_.push_back(std::move(*current_));
    current_.reset();
    tables_.clear();
    steps_.clear();
    lines_of_rows_.clear();
  }

  /// row item 1 x, row item@a 1 x
  void read_old_row(const std::vector<std::string>& words) {
    if (words.size() < 3) fail("a row needs a table and values");
    const std::vector<std::string> parts = split(words[1], '@');
    for (std::size_t i = 0; i < current_->nodes.size(); ++i) {
      if (parts.size() > 1 && node(parts[1]) != i) continue;
      current_->old_rows.push_back(
          {.node = i, .table = parts[0], .row = {words.begin() + 2, words.end()}});
    }
  }

  /// a: update item 1 name=x;  sessions a-b b-c
  void read_step(const std::vector<std::string>& words) {
    Step step{.line = line_};
    if (words[0] == "sessions") {
      step.kind = StepKind::sessions;
      for (std::size_t i = 1; i < words.size(); ++i) {
        const Job wanted = pair(words[i]);
        const auto found =
            std::find_if(current_->jobs.begin(), current_->jobs.end(), [&](const Job& job) {
              return job.first == wanted.first && job.second == wanted.second;
            });
        if (found == current_->jobs.end()) fail("no job is " + words[i]);
        step.jobs.push_back(static_cast<std::size_t>(found - current_->jobs.begin()));
      }
    } else {
      if (!words[0].ends_with(':') || words.size() < 2) fail("what is " + words[0] + "?");
      step.node = node(words[0].substr(0, words[0].size() - 1));
      const auto found = operations().find(words[1]);
      if (found == operations().end()) fail("what is " + words[1] + "?");
      step.kind = found->second;
      if (words.size() > 2) step.table = words[2];
      if (words.size() > 3) step.words.assign(words.begin() + 3, words.end());
    }
    current_->steps.push_back(std::move(step));
  }

  const std::filesystem::path file_;
  int line_ = 0;
  std::optional<Scenario> current_;
  std::vector<std::pair<std::string, Table>> tables_;
  std::vector<std::pair<int, std::vector<std::string>>> steps_;
  std::vector<std::pair<int, std::vector<std::string>>> lines_of_rows_;
  std::vector<Scenario> scenarios_;
};

std::string listed(const std::set<std::string>& rows) {
  std::string text;
  for (const std::string& row : rows) text += (text.empty() ? "" : " | ") + row;
  return text.empty() ? "none" : text;
}

/// `wanted` begins with a type, or several with | between them.
bool erase_one(std::multiset<std::string>& conflicts, const std::string& wanted) {
  const auto space = wanted.find(' ');
  for (const std::string& type : split(wanted.substr(0, space), '|')) {
    const auto found = conflicts.find(type + wanted.substr(space));
    if (found == conflicts.end()) continue;
    conflicts.erase(found);
    return true;
  }
  return false;
}

}  // namespace

const Table& Scenario::table(std::size_t node, const std::string& name) const {
  for (const Table& table : tables.at(node)) {
    if (table.name == name) return table;
  }
  throw std::runtime_error(where() + ": no table is called " + name);
}

std::vector<Scenario> read_scenarios(const std::filesystem::path& file) {
  return Reader(file).read();
}

std::vector<std::string> judge(const Scenario& scenario,
                               const std::vector<Expectation>& expectations,
                               const Outcome& outcome) {
  std::vector<std::string> wrong;
  const auto complain = [&](int line, const std::string& what) {
    wrong.push_back(scenario.file + ":" + std::to_string(line) + ": " + what);
  };
  std::multiset<std::string> conflicts = outcome.conflicts;
  std::set<std::string> waiting = outcome.waiting;
  std::set<std::string> unseen;  // tables that no line speaks of
  for (const auto& [table, rows] : outcome.rows) unseen.insert(table);
  std::vector<const Expectation*> perhaps;
  for (const Expectation& expectation : expectations) {
    const auto space = expectation.text.find(' ');
    const std::string kind = expectation.text.substr(0, space);
    const std::string rest =
        space == std::string::npos ? std::string() : expectation.text.substr(space + 1);
    if (kind == "rows") {
      const auto colon = rest.find(':');
      const std::vector<std::string> where = split(rest.substr(0, colon), '@');
      std::set<std::string> rows;
      for (const std::string& part : split(rest.substr(colon + 1), '|')) {
        const std::string row = joined(words_of(part));
        if (!row.empty() && row != "none") rows.insert(row);
      }
      for (const std::string& node : scenario.nodes) {
        if (where.size() > 1 && where[1] != node) continue;
        const std::string table = node + " " + where[0];
        const auto found = outcome.rows.find(table);
        const std::set<std::string> seen =
            found == outcome.rows.end() ? std::set<std::string>() : found->second;
        unseen.erase(table);
        if (seen != rows) {
          complain(expectation.line,
                   "node " + node + " holds " + listed(seen) + " instead of " + listed(rows));
        }
      }
    } else if (kind == "conflict") {
      if (!erase_one(conflicts, rest)) complain(expectation.line, "no such conflict: " + rest);
    } else if (kind == "waiting") {
      if (waiting.erase(rest) == 0) complain(expectation.line, "does not wait: " + rest);
    } else {
      perhaps.push_back(&expectation);
    }
  }
  for (const Expectation* expectation : perhaps) {
    erase_one(conflicts, expectation->text.substr(sizeof "perhaps conflict"));
  }
  for (const std::string& conflict : conflicts) {
    complain(scenario.line, "nobody expects the conflict " + conflict);
  }
  for (const std::string& row : waiting) complain(scenario.line, "nobody expects to wait: " + row);
  for (const std::string& table : unseen) {
    complain(scenario.line, "nothing is said of the rows of " + table);
  }
  return wrong;
}

std::vector<std::vector<Step>> orders(const Scenario& scenario) {
  std::vector<std::vector<Step>> result{{}};
  for (const Step& step : scenario.steps) {
    std::vector<std::vector<Step>> longer;
    Step variant = step;
    std::sort(variant.jobs.begin(), variant.jobs.end());
    do {
      for (std::vector<Step> steps : result) {
        steps.push_back(variant);
        longer.push_back(std::move(steps));
      }
    } while (std::next_permutation(variant.jobs.begin(), variant.jobs.end()));
    result = std::move(longer);
  }
  return result;
}

}  // namespace tidemark::scenarios
