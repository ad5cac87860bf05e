// Exhaustive small scope: three nodes, two keys, every history of up to four operations and four
// sessions in every order. Random histories go deep; these leave nothing out.
//
// Before a history the three nodes hold one row, alike from before activation, and have met once.
// Time is the number of operations so far: sessions take none. Left out is only what equals another
// history:
//
// - the nodes a, b, c and the jobs ab, bc, ca turn into each other when all are renamed; who wins
//   never depends on names, because no two operations have one time. So the first operation is a's;
// - a session of two nodes and an operation on the third, next to each other, commute: neither sees
//   the other. The operation comes first;
// - a session of two nodes that have seen the same operations is idle. That it moves nothing is
//   checked at the end of every history;
// - the delete of a row that the node does not hold is none.
//
// The last two ask a tiny model: a node has seen a set of operations, a session makes two nodes see
// what either has, and the latest operation on a key that a node has seen says what it holds. With
// unique codes and with foreign keys that is not so, and only the first two are used.
#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "tests/fixtures/node_decorator.h"
#include "tests/simulation/world.h"

namespace tidemark::simulation {
namespace {

constexpr std::size_t kNodes = 3;
constexpr std::int64_t kScopeKeys = 2;

struct Scope {
  std::size_t operations = 0;
  std::size_t sessions = 0;
  bool unique_codes = false;  // every row that is written claims one and the same code
  bool references = false;    // the row with key 1 refers to that with key 0
  std::size_t nodes = 3;

  /// What becomes of a row depends on the other one, too.
  bool is_entangled() const { return unique_codes || references; }
  std::size_t edges() const { return nodes == 2 ? 1 : nodes; }
};

struct Operation {
  std::size_t node = 0;
  std::int64_t key = 0;
  bool is_delete = false;
};

/// One step: an operation, or a session of the job `edge`.
struct Step {
  bool is_session = false;
  std::size_t edge = 0;
  Operation operation;
};

constexpr std::array<Edge, kNodes> kEdges{
    Edge{.first = 0, .second = 1}, Edge{.first = 1, .second = 2}, Edge{.first = 2, .second = 0}};

bool takes_part(const Edge& edge, std::size_t node) {
  return edge.first == node || edge.second == node;
}

/// Calls `visit` with every history of the scope.
class Enumeration {
 public:
  using Visit = std::function<void(const std::vector<Step>&)>;

  Enumeration(const Scope& scope, Visit visit) : scope_(scope), visit_(std::move(visit)) {}

  void run() {
    seen_.fill(0);
    extend();
  }

 private:
  void extend() {
    if (!steps_.empty()) visit_(steps_);
    if (operations_.size() < scope_.operations) {
      const std::size_t nodes = operations_.empty() ? 1 : scope_.nodes;
      for (std::size_t node = 0; node < nodes; ++node) {
        for (std::int64_t key = 0; key < kScopeKeys; ++key) {
          for (const bool is_delete : {false, true}) operate({node, key, is_delete});
        }
      }
    }
    if (sessions_ == scope_.sessions) return;
    for (std::size_t edge = 0; edge < scope_.edges(); ++edge) meet(edge);
  }

  void operate(const Operation& operation) {
    if (!steps_.empty() && steps_.back().is_session &&
        !takes_part(kEdges[steps_.back().edge], operation.node)) {
      return;
    }
    if (!scope_.is_entangled() && operation.is_delete && !holds(operation.node, operation.key)) {
      return;
    }
    const unsigned before = seen_[operation.node];
    seen_[operation.node] |= 1u << operations_.size();
    operations_.push_back(operation);
    steps_.push_back({.operation = operation});
    extend();
    steps_.pop_back();
    operations_.pop_back();
    seen_[operation.node] = before;
  }

  void meet(std::size_t edge) {
    const auto [first, second] = std::pair(kEdges[edge].first, kEdges[edge].second);
    // Nothing has happened yet, or the two have nothing to tell each other.
    if (operations_.empty() || (!scope_.is_entangled() && seen_[first] == seen_[second])) return;
    const auto before = seen_;
    seen_[first] |= seen_[second];
    seen_[second] = seen_[first];
    ++sessions_;
    steps_.push_back({.is_session = true, .edge = edge});
    extend();
    steps_.pop_back();
    --sessions_;
    seen_ = before;
  }

  bool holds(std::size_t node, std::int64_t key) const {
    for (std::size_t i = operations_.size(); i-- > 0;) {
      if ((seen_[node] >> i & 1u) != 0 && operations_[i].key == key)
        return !operations_[i].is_delete;
    }
    return key == 0;  // the row from before
  }

  const Scope scope_;
  const Visit visit_;
  std::vector<Step> steps_;
  std::vector<Operation> operations_;
  std::size_t sessions_ = 0;
  std::array<unsigned, kNodes> seen_{};
};

History history_of(const std::vector<Step>& steps, const Scope& scope) {
  History history;
  history.nodes = scope.nodes;
  history.edges.assign(kEdges.begin(), kEdges.begin() + static_cast<std::ptrdiff_t>(scope.edges()));
  history.unique_codes = scope.unique_codes;
  if (scope.references) history.references = {{.child = 0, .column = 0, .parent = 0}};
  std::int64_t now = 1000;
  const auto add = [&](ActionKind kind) -> Action& {
    Action& action = history.actions.emplace_back();
    action.kind = kind;
    action.now = now;
    return action;
  };
  for (std::size_t node = 0; node < scope.nodes; ++node) {
    Action& row = add(ActionKind::old_row);
    row.node = node;
    row.value = "old";
  }
  for (std::size_t edge = 0; edge < scope.edges(); ++edge) add(ActionKind::session).edge = edge;
  std::size_t writes = 0;
  for (const Step& step : steps) {
    if (step.is_session) {
      add(ActionKind::session).edge = step.edge;
      continue;
    }
    now += 10;
    Action& write = add(ActionKind::write);
    write.node = step.operation.node;
    write.key = step.operation.key;
    if (step.operation.is_delete) continue;
    write.value = "w" + std::to_string(++writes);
    if (scope.unique_codes) write.code = 1;
    if (scope.references && write.key == 1) write.first_reference = 0;
  }
  return history;
}

struct Result {
  std::size_t histories = 0;
  std::size_t violations = 0;
  std::string first;  // how the first violation came about
};

Result play(const Scope& scope, const Twin& twin) {
  Result sum;
  std::mutex mutex;
  const unsigned threads = std::max(1u, std::thread::hardware_concurrency());
  const auto work = [&](unsigned mine) {
    Result result;
    std::size_t number = 0;
    Enumeration(scope, [&](const std::vector<Step>& steps) {
      if (number++ % threads != mine) return;
      ++result.histories;
      const History history = history_of(steps, scope);
      try {
        World(history, twin).run();
      } catch (const std::exception& error) {
        if (result.violations++ > 0) return;
        result.first = error.what();
        for (const Action& action : history.actions) {
          result.first += "\n  " + describe(history, action);
        }
      }
    }).run();
    const std::lock_guard lock(mutex);
    sum.histories += result.histories;
    sum.violations += result.violations;
    if (sum.first.empty()) sum.first = result.first;
  };
  std::vector<std::thread> others;
  for (unsigned i = 1; i < threads; ++i) others.emplace_back(work, i);
  work(0);
  for (std::thread& other : others) other.join();
  return sum;
}

Result play(const std::string& name, const Scope& scope, const Twin& twin = {}) {
  const auto begin = std::chrono::steady_clock::now();
  Result result = play(scope, twin);
  std::ostringstream line;
  line.precision(1);
  line << std::fixed << name << ": " << result.histories << " histories of up to "
       << scope.operations << " operations and " << scope.sessions << " sessions, "
       << result.violations << " break a law, in "
       << std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() << " s\n";
  std::cerr << line.str();
  return result;
}

/// TIDEMARK_SMALL_SCOPE=4: four operations and four sessions; every day fewer.
std::size_t size_of_scope(std::size_t usually) {
  const char* text = std::getenv("TIDEMARK_SMALL_SCOPE");
  return text != nullptr && *text != '\0'
             ? static_cast<std::size_t>(std::strtoul(text, nullptr, 10))
             : usually;
}

void check(const std::string& name, const Scope& scope) {
  const Result result = play(name, scope);
  CHECK(result.histories > 0);
  CHECK_MESSAGE(result.violations == 0, result.first);
}

}  // namespace

TEST_CASE("every history of the small scope keeps the laws") {
  const std::size_t size = size_of_scope(3);
  check("small scope", {.operations = size, .sessions = size});
}

TEST_CASE("every history of the small scope with a unique constraint keeps the laws") {
  const std::size_t size = size_of_scope(3) - 1;
  check("small scope with unique codes",
        {.operations = size, .sessions = size + 1, .unique_codes = true});
}

TEST_CASE("every history of the small scope with a foreign key keeps the laws") {
  const std::size_t size = size_of_scope(3) - 1;
  check("small scope with a foreign key",
        {.operations = size + 1, .sessions = size, .references = true});
  check("small scope with a foreign key of two nodes",
        {.operations = size + 2, .sessions = size + 1, .references = true, .nodes = 2});
}

TEST_CASE("a target that looks for no broken references is noticed in the small scope") {
  class Blind final : public testing::NodeDecorator {
   public:
    using NodeDecorator::NodeDecorator;
    std::vector<Row> orphans(const ActiveTable&, const Knowledge*) override { return {}; }
  };
  Twin twin;
  twin.wrap = [](std::unique_ptr<Node> node) { return std::make_unique<Blind>(std::move(node)); };
  CHECK(play("no look at references", {.operations = 3, .sessions = 1, .references = true}, twin)
            .violations > 0);
}

TEST_CASE("a resolver that prefers the older version is noticed in the smallest scope") {
  Twin twin;
  twin.rules.receive = [](const compare::PullContext& context, const compare::Side& incoming,
                          const compare::Side& local, bool equal, bool revert) {
    compare::Decision decision = compare::receive(context, incoming, local, equal, revert);
    if (!decision.conflict || !incoming.version || !local.version) return decision;
    decision.incoming_wins = !decision.incoming_wins;
    decision.action = decision.incoming_wins ? compare::Action::take : compare::Action::keep;
    return decision;
  };
  CHECK(play("broken resolver", {.operations = 2, .sessions = 1}, twin).violations > 0);
}

}  // namespace tidemark::simulation
