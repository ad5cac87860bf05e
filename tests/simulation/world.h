// World runs a History through the product: databases of one engine, nodes on them, sessions by the
// scheduler. It tells a Checker what applications wrote and what nodes hold. A Twin breaks the
// product on purpose, for the checker to notice.
#pragma once

#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include "compare/decide.h"
#include "engines/engine.h"
#include "tests/fixtures/test_database.h"
#include "tests/simulation/boundary_values.h"
#include "tests/simulation/checker.h"
#include "tests/simulation/history.h"

namespace tidemark::simulation {

/// What a world is made of. Everything but the databases may be left as it is.
struct Twin {
  /// Which of them a node gets depends on the seed; with several two kinds meet in each world.
  std::vector<std::function<std::unique_ptr<testing::TestDatabase>()>> make_database = {
      testing::make_memory_database};
  compare::Rules rules;
  Palette palette = Palette::memory;  // what the databases hold
  /// Puts a broken node in place of a good one.
  std::function<std::unique_ptr<Node>(std::unique_ptr<Node>)> wrap;
};

struct Outcome {
  std::size_t writes = 0;
  std::size_t sessions = 0;
  std::size_t conflicts = 0;
  std::size_t failures = 0;     // sessions that died, as they should
  std::size_t refusals = 0;     // sessions that a guard refused, as it should
  std::size_t passed_over = 0;  // sessions that left changes of rows that others held
  std::size_t locked_out = 0;   // sessions that could not go on for a row that others held
  std::size_t waited = 0;       // rows in quarantine before the checks were dropped
};

class World {
 public:
  /// `trace`, if given, hears of every action and of what it changed.
  World(const History& history, const Twin& twin, std::ostream* trace = nullptr);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  /// Runs the actions of the history, then sessions until nothing changes any more, and checks all
  /// laws. Throws Violation; anything else that is thrown is a defect as well.
  Outcome run();
  /// Only the actions, without a checker's opinion.
  void act();
  /// Sessions of all jobs in turn until a whole round changes nothing; throws Violation when that
  /// takes more rounds than a world of this size may need.
  void settle();

  std::vector<NodeView> views();
  RowVersions versions(std::size_t node);
  /// The baseline of the node's first table, by the name that the history gives it.
  std::string baseline(std::size_t node);
  /// How many changes wait in the log of the node's first table.
  std::int64_t pending(std::size_t node);

 private:
  struct Site;
  class InterruptedNode;
  class HeldRows;

  void perform(const Action& action);
  void trace(const std::string& what);
  std::string printed(std::size_t node);
  struct Written {
    std::int64_t key = 0;
    std::optional<std::string> value;
    std::optional<std::int64_t> code, first_reference, second_reference, grade;
  };
  Row make_row(const Written& what) const;
  std::string carried_by(const Row& row) const;
  void write(Site& site, const Written& what);
  void check_references(Site& site);
  void purge(Site& site);
  void restore(const Action& action);
  void join(const Action& action);
  bool has_wrong_clocks() const;
  static void harvest(Site& site);
  void forget(const Site& site);
  void gather();
  void settle_as_far_as_checks_allow();
  bool may_wait() const;
  bool has_lone_checks() const;
  void end_holders(const Action& action);
  void session(const Edge& edge, const Action* action);
  void observe(std::size_t node);
  void open(Site& site);
  void activate(Site& site);
  const TableSpec& table_of(std::int64_t key) const;
  Rows rows_of(Site& site);
  Rows whole_rows_of(Site& site);
  NodeView view_of(Site& site);
  TableState state_of(Site& site, const std::string& table);
  std::int64_t revision(std::size_t node) const;

  const History& history_;
  const Twin& twin_;
  std::ostream* const trace_;
  std::vector<TableSpec> tables_;
  std::vector<std::unique_ptr<Site>> sites_;
  Checker checker_;
  Outcome outcome_;
  // What disturbs the session that is running.
  const Action* disturbed_ = nullptr;
  std::size_t transactions_ = 0;
  std::int64_t steps_ = 0;
};

}  // namespace tidemark::simulation
