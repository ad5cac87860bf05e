#include "tests/scenarios/stage.h"

#include <algorithm>
#include <chrono>
#include <climits>
#include <memory>
#include <set>
#include <stdexcept>
#include <thread>

#include "capture/activate.h"
#include "scheduler/session.h"
#include "tests/fixtures/test_database.h"

namespace tidemark::scenarios {
namespace {

std::unique_ptr<testing::TestDatabase> make_database(Engine engine) {
  switch (engine) {
    case Engine::memory:
      return testing::make_memory_database();
    case Engine::sqlite:
      return testing::make_sqlite_database();
    case Engine::postgresql:
      return testing::make_postgresql_database();
    case Engine::silenced_postgresql:
      return testing::make_silenced_postgresql_database();
  }
  throw std::logic_error("no such engine");
}

std::int64_t now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

ReferenceAction action_of(const std::string& name) {
  if (name == "cascade") return ReferenceAction::cascade;
  return name == "set-null" ? ReferenceAction::set_null : ReferenceAction::none;
}

TableSpec spec_of(const Table& table) {
  TableSpec spec;
  spec.name = table.name;
  for (const Column& column : table.columns) {
    const std::size_t position = spec.columns.size();
    const bool number = position == 0 || !column.references.empty();
    spec.columns.push_back({.name = column.name,
                            .declared_type = number ? "INTEGER" : "TEXT",
                            .not_null = column.not_null});
    if (column.unique) {
      spec.uniques.push_back({.name = table.name + "_" + column.name, .columns = {position}});
    }
    if (!column.references.empty()) {
      spec.foreign_keys.push_back({.columns = {column.name},
                                   .parent_table = column.references,
                                   .parent_columns = {"id"},
                                   .on_delete = action_of(column.on_delete)});
    }
  }
  spec.key = {0};
  spec.integer_key = true;
  return spec;
}

std::string shown(const Value& value) {
  const ValueView view = value.view();
  switch (view.kind) {
    case ValueKind::null:
      return "-";
    case ValueKind::integer:
      return std::to_string(view.integer);
    default:
      return std::string(view.bytes);
  }
}

/// All columns from `first` on.
std::string shown(const Row& row, std::size_t first, char separator) {
  std::string text;
  for (std::size_t i = first; i < row.size(); ++i) {
    if (i > first) text += separator;
    text += shown(row[i]);
  }
  return text;
}

class Stage {
 public:
  Stage(const Scenario& scenario, const Mix& mix) : scenario_(scenario) {
    for (std::size_t i = 0; i < scenario.nodes.size(); ++i) {
      sites_.push_back({.name = scenario.nodes[i], .database = make_database(mix[i]), .node = {}});
      std::vector<TableSpec> specs;
      for (const Table& table : scenario.tables[i]) specs.push_back(spec_of(table));
      sites_[i].database->create_tables(specs);
    }
  }

  Outcome play(const std::vector<Step>& steps) {
    for (const Scenario::OldRow& old : scenario_.old_rows) {
      const TableSpec spec = spec_of(scenario_.table(old.node, old.table));
      sites_[old.node].database->insert(spec, row_of(spec, old.row));
    }
    for (std::size_t i = 0; i < sites_.size(); ++i) activate(i);
    if (!scenario_.strangers) settle();
    for (const Step& step : steps) {
      try {
        perform(step);
      } catch (const std::exception& error) {
        throw std::runtime_error(scenario_.file + ":" + std::to_string(step.line) + ": " +
                                 error.what());
      }
    }
    settle();
    return look();
  }

 private:
  struct Site {
    std::string name;
    std::unique_ptr<testing::TestDatabase> database;
    std::unique_ptr<Node> node;  // after the database: it goes first
  };

  void activate(std::size_t index) {
    Site& site = sites_[index];
    site.node = site.database->open(site.name);
    capture::ActivationRequest request;
    for (const Table& table : scenario_.tables[index]) request.tables.push_back(table.name);
    tick();
    capture::activate(*site.node, request, false);
  }

  /// Every step has a time of its own, on every clock.
  void tick() {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    for (Site& site : sites_) site.database->set_clock(now_us());
  }

  void perform(const Step& step) {
    tick();
    if (step.kind == StepKind::sessions) {
      for (const std::size_t job : step.jobs) session(scenario_.jobs[job]);
      return;
    }
    Site& site = sites_[step.node];
    if (step.kind == StepKind::purge) return purge(*site.node);
    if (step.kind == StepKind::lose) return site.database->drop_triggers(step.table);
    write(*site.database, spec_of(scenario_.table(step.node, step.table)), step);
  }

  void write(testing::TestDatabase& database, const TableSpec& spec, const Step& step) {
    const auto key = [&](std::size_t word) {
      return Row{testing::integer(std::stoll(step.words.at(word)))};
    };
    switch (step.kind) {
      case StepKind::insert:
        return database.insert(spec, row_of(spec, step.words));
      case StepKind::replace:
        return database.replace(spec, row_of(spec, step.words));
      case StepKind::remove:
        return database.remove(spec, key(0));
      case StepKind::move: {
        Row row = find(database, spec, key(0));
        row[0] = key(1)[0];
        return database.update(spec, key(0), row);
      }
      case StepKind::update: {
        Row row = find(database, spec, key(0));
        for (std::size_t i = 1; i < step.words.size(); ++i) {
          const std::string& word = step.words[i];
          const std::size_t column = column_of(spec, word.substr(0, word.find('=')));
          row[column] = value_of(spec, column, word.substr(word.find('=') + 1));
        }
        return database.update(spec, key(0), row);
      }
      case StepKind::swap: {
        const std::size_t column = column_of(spec, step.words.at(2));
        Row first = find(database, spec, key(0));
        Row second = find(database, spec, key(1));
        const Value kept = first[column];
        first[column] = testing::null();
        database.update(spec, key(0), first);
        first[column] = second[column];
        second[column] = kept;
        database.update(spec, key(1), second);
        return database.update(spec, key(0), first);
      }
      default:
        throw std::logic_error("not a write");
    }
  }

  static std::size_t column_of(const TableSpec& spec, const std::string& name) {
    for (std::size_t i = 0; i < spec.columns.size(); ++i) {
      if (spec.columns[i].name == name) return i;
    }
    throw std::runtime_error("no column is called " + name);
  }

  static Row find(testing::TestDatabase& database, const TableSpec& spec, const Row& key) {
    for (const Row& row : database.rows(spec)) {
      if (row[0] == key[0]) return row;
    }
    throw std::runtime_error("no row " + shown(key, 0, ' '));
  }

  static Value value_of(const TableSpec& spec, std::size_t column, const std::string& word) {
    if (word == "-") return testing::null();
    if (spec.columns[column].declared_type == "INTEGER") return testing::integer(std::stoll(word));
    return testing::text(word);
  }

  static Row row_of(const TableSpec& spec, const TextRow& words) {
    if (words.size() != spec.columns.size()) {
      throw std::runtime_error("a row of " + spec.name + " has " +
                               std::to_string(spec.columns.size()) + " values");
    }
    Row row;
    for (std::size_t i = 0; i < words.size(); ++i) row.push_back(value_of(spec, i, words[i]));
    return row;
  }

  scheduler::SessionReport session(const Job& job) {
    scheduler::JobConfig config;
    config.name = sites_[job.first].name + "-" + sites_[job.second].name;
    config.nodes = {sites_[job.first].name, sites_[job.second].name};
    config.mode = job.is_backup ? scheduler::Mode::backup : scheduler::Mode::two_way;
    const std::optional<Policy> policy = parse_policy(job.policy);
    if (!policy) throw std::runtime_error("no policy is called " + job.policy);
    config.policy = *policy;
    config.max_deletes = {};
    return scheduler::run_session(config, *sites_[job.first].node, *sites_[job.second].node,
                                  std::chrono::days(30), {});
  }

  /// Sessions of all jobs until none moves anything.
  void settle() {
    for (std::size_t round = 0; round < 2 * sites_.size() + 3; ++round) {
      tick();
      std::int64_t moved = 0;
      for (const Job& job : scenario_.jobs) {
        const scheduler::SessionReport report = session(job);
        if (!report.problems.empty()) throw std::runtime_error(report.problems.front());
        moved += report.to_first.total().received + report.to_second.total().received;
      }
      if (moved == 0) return;
    }
    throw std::runtime_error(scenario_.where() + ": sessions never come to an end");
  }

  static void purge(Node& node) {
    for (const ActiveTable& table : node.active_tables()) {
      node.begin_write();
      TableState state = node.load_state(table);
      std::vector<Knowledge> peers;
      for (const auto& [peer, knowledge] : node.load_peers(table)) peers.push_back(knowledge);
      node.purge(table, state, INT64_MAX, peers);
      node.save_state(table, state);
      node.commit();
    }
  }

  Outcome look() {
    Outcome outcome;
    std::set<std::string> ids;
    for (std::size_t i = 0; i < sites_.size(); ++i) {
      Site& site = sites_[i];
      for (const Table& table : scenario_.tables[i]) {
        std::set<std::string>& rows = outcome.rows[site.name + " " + table.name];
        for (const Row& row : site.database->rows(spec_of(table))) rows.insert(shown(row, 0, ' '));
      }
      site.node->begin_read();
      for (const Conflict& conflict : site.node->conflicts()) {
        // Two nodes may keep the same conflict.
        if (ids.insert(conflict.id).second) outcome.conflicts.insert(told(conflict));
      }
      for (const ActiveTable& table : site.node->active_tables()) {
        for (const QuarantinedRow& row : site.node->quarantined(table)) {
          outcome.waiting.insert(site.name + " " + table.spec.name + " " + shown(row.key, 0, ' '));
        }
      }
      site.node->rollback();
    }
    return outcome;
  }

  static std::string told(const Conflict& conflict) {
    const auto side = [&](const ConflictSide& image) {
      return image.present ? shown(image.row, 1, '/') : std::string("nothing");
    };
    return std::string(tidemark::to_string(conflict.type)) + " " + conflict.table + " " +
           shown(conflict.key, 0, ' ') + ": " + side(conflict.winner) + " beats " +
           side(conflict.loser) + (conflict.status == ConflictStatus::open ? ", open" : "");
  }

  const Scenario& scenario_;
  std::vector<Site> sites_;
};

}  // namespace

std::string to_string(const Mix& mix) {
  static constexpr const char* kNames[] = {"memory", "SQLite", "PostgreSQL",
                                           "PostgreSQL with the grant"};
  std::string text;
  for (const Engine engine : mix) {
    if (!text.empty()) text += ", ";
    text += kNames[static_cast<std::size_t>(engine)];
  }
  return text;
}

std::vector<Mix> mixes(const Scenario& scenario, bool all) {
  const std::size_t count = scenario.nodes.size();
  std::vector<Mix> result;
  for (const Engine engine : {Engine::memory, Engine::sqlite, Engine::postgresql}) {
    result.emplace_back(count, engine);
  }
  bool has_references = false;
  for (const std::vector<Table>& tables : scenario.tables) {
    for (const Table& table : tables) {
      for (const Column& column : table.columns) has_references |= !column.references.empty();
    }
  }
  if (has_references) result.emplace_back(count, Engine::silenced_postgresql);
  // A bit for each node.
  const std::size_t last = (std::size_t{1} << count) - 1;
  std::set<std::size_t> servers;
  if (all) {
    for (std::size_t mix = 1; mix < last; ++mix) servers.insert(mix);
  } else {
    constexpr std::size_t kEverySecond = 0x5555555555555555;
    servers = {kEverySecond & last, ~kEverySecond & last, 1};
  }
  for (const std::size_t bits : servers) {
    Mix mix;
    for (std::size_t i = 0; i < count; ++i) {
      mix.push_back((bits >> i & 1) != 0 ? Engine::postgresql : Engine::sqlite);
    }
    result.push_back(mix);
  }
  return result;
}

Outcome play(const Scenario& scenario, const std::vector<Step>& steps, const Mix& mix) {
  return Stage(scenario, mix).play(steps);
}

}  // namespace tidemark::scenarios
