#include "tests/simulation/history.h"

#include <array>
#include <set>

namespace tidemark::simulation {
namespace {

/// The distributions of the standard library differ between implementations; these do not.
class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed * 0x9E3779B97F4A7C15u + 1) {}

  std::int64_t below(std::int64_t limit) {
    return static_cast<std::int64_t>(engine_() % static_cast<std::uint64_t>(limit));
  }
  std::int64_t between(std::int64_t least, std::int64_t most) {
    return least + below(most - least + 1);
  }
  bool chance(double probability) {
    return static_cast<double>(engine_() >> 11) * 0x1p-53 < probability;
  }
  template <typename Item, std::size_t size>
  Item choice(const std::array<Item, size>& items) {
    return items[static_cast<std::size_t>(below(size))];
  }

 private:
  std::mt19937_64 engine_;
};

constexpr std::array<std::int64_t, 4> kWrongClocks{-500, -50, 50, 500};
constexpr std::array<std::int64_t, 5> kClocks{0, -500, -50, 50, 500};
constexpr std::array<std::int64_t, 3> kSteps{0, 1, 10};
constexpr std::int64_t kSecond = 1'000'000;
constexpr std::int64_t kDay = 86'400 * kSecond;
constexpr std::array<std::int64_t, 14> kFarClocks{
    0,     -kSecond,   kSecond,   -60 * kSecond, 60 * kSecond, -3600 * kSecond, kDay,
    -kDay, -31 * kDay, 31 * kDay, 365 * kDay,    -365 * kDay,  3653 * kDay,     -3653 * kDay};
constexpr std::array<Policy, 4> kPolicies{Policy::latest, Policy::earliest, Policy::first_node,
                                          Policy::manual};

class Maker {
 public:
  Maker(std::uint64_t seed, const HistoryOptions& options) : random_(seed), options_(options) {
    history_.seed = seed;
  }

  History make() {
    history_.nodes = index(random_.between(2, static_cast<std::int64_t>(options_.max_nodes)));
    // Nodes from here on are only ever targets of backups.
    mirrors_from_ = history_.nodes;
    if (options_.backups) mirrors_from_ = index(random_.between(1, count(history_.nodes) - 1));
    make_edges();
    if (options_.tables && random_.chance(0.2)) history_.tables = 2;
    history_.unique_codes = options_.unique_codes;
    history_.locks = options_.locks;
    if (options_.references) make_references();
    history_.early_purge = options_.faults && random_.chance(0.3);
    history_.boundary_values = options_.boundary_values;
    if (options_.checks) make_limits();
    if (options_.membership) make_late();
    if (options_.years) {
      now_ = 1'700'000'000 * kSecond;
      history_.guarded = random_.chance(0.5);
      // Sessions purge by the clock, and it jumps: in their own time, before everybody has met.
      history_.early_purge = true;
    }
    for (std::size_t node = 0; node < history_.nodes; ++node) begin_node(node);
    // Where many writes are refused for want of a parent, more are needed until something happens.
    const std::int64_t length = random_.between(5, 59) * (history_.references.empty() ? 1 : 3);
    for (std::int64_t i = 0; i < length; ++i) {
      if (options_.membership && random_.chance(0.08)) {
        change_membership();
      } else {
        add_action();
      }
    }
    while (!history_.late.empty() && !outside_.empty()) join(*outside_.begin());
    return std::move(history_);
  }

 private:
  static std::size_t index(std::int64_t number) { return static_cast<std::size_t>(number); }
  static std::int64_t count(std::size_t number) { return static_cast<std::int64_t>(number); }

  void connect(std::size_t a, std::size_t b) {
    Edge edge{.first = a, .second = b};
    if (random_.chance(0.5)) std::swap(edge.first, edge.second);
    if (options_.policies) edge.policy = random_.choice(kPolicies);
    history_.edges.push_back(edge);
  }

  void make_edges() {
    const std::size_t peers = mirrors_from_;
    switch (random_.below(4)) {
      case 0:  // star
        for (std::size_t i = 1; i < peers; ++i) connect(0, i);
        break;
      case 1:  // ring
        if (peers > 2) connect(peers - 1, 0);
        [[fallthrough]];
      case 2:  // chain
        for (std::size_t i = 1; i < peers; ++i) connect(i - 1, i);
        break;
      default:  // mesh
        for (std::size_t i = 0; i < peers; ++i) {
          for (std::size_t j = i + 1; j < peers; ++j) connect(i, j);
        }
    }
    // A mirror has one source, which may be a mirror itself.
    for (std::size_t i = peers; i < history_.nodes; ++i) {
      history_.edges.push_back(
          {.first = index(random_.below(count(i))), .second = i, .mode = Mode::backup});
    }
  }

  /// From a single table that refers to itself to cycles and chains.
  void make_references() {
    history_.tables = index(random_.between(1, 4));
    const std::int64_t count = random_.between(1, 4);
    for (std::int64_t i = 0; i < count; ++i) {
      Reference reference{.child = index(random_.below(this->count(history_.tables))),
                          .column = index(random_.below(2)),
                          .parent = index(random_.below(this->count(history_.tables))),
                          .on_delete = static_cast<int>(random_.below(4)),
                          .to_code = history_.unique_codes && random_.chance(0.2)};
      bool taken = false;
      for (const Reference& other : history_.references) {
        taken = taken || (other.child == reference.child && other.column == reference.column);
      }
      if (!taken) history_.references.push_back(reference);
    }
  }

  void make_limits() {
    history_.limits.assign(history_.nodes, kNoLimit);
    if (random_.chance(0.3)) {
      history_.limits.assign(history_.nodes, 60);
      return;
    }
    for (std::int64_t& limit : history_.limits) {
      if (random_.chance(0.4)) limit = random_.chance(0.5) ? 50 : 80;
    }
  }

  /// Who joins late knows nothing of what was purged, and who is forgotten may not.
  void make_late() {
    history_.early_purge = options_.faults;
    history_.late.assign(history_.nodes, false);
    for (std::size_t node = 1; node < history_.nodes; ++node) {
      if (!random_.chance(0.25)) continue;
      history_.late[node] = true;
      outside_.insert(node);
      if (random_.chance(0.4)) copies_.insert(node);
    }
  }

  void join(std::size_t node) {
    Action& action = add(ActionKind::join, node);
    if (copies_.contains(node)) {
      std::size_t of = 0;
      do {
        of = index(random_.below(count(history_.nodes)));
      } while (outside_.contains(of));
      action.number = count(of) + 1;
      if (!history_.limits.empty()) history_.limits[node] = history_.limits[of];
    }
    outside_.erase(node);
  }

  void change_membership() {
    const auto node = index(random_.below(count(history_.nodes)));
    if (outside_.contains(node)) {
      join(node);
    } else if (!away_.contains(node)) {
      add(ActionKind::leave, node);
      away_.insert(node);
    } else if (options_.faults && random_.chance(0.5)) {
      add(ActionKind::forget, node);
    } else {
      add(ActionKind::come_back, node);
      away_.erase(node);
    }
  }

  void refer(Action& action) {
    if (history_.references.empty() || !action.value) return;
    for (const Reference& reference : history_.references) {
      if (static_cast<std::size_t>(action.key) % history_.tables != reference.child) continue;
      if (random_.chance(0.2)) continue;
      std::int64_t value = random_.below(4);
      if (!reference.to_code) {
        const auto tables = this->count(history_.tables);
        value = random_.below(kKeys / tables) * tables + this->count(reference.parent);
      }
      (reference.column == 0 ? action.first_reference : action.second_reference) = value;
    }
  }

  Action& add(ActionKind kind, std::size_t node) {
    Action& action = history_.actions.emplace_back();
    action.kind = kind;
    action.now = now_;
    action.node = node;
    return action;
  }

  std::optional<std::string> value() {
    if (random_.chance(0.25)) return std::nullopt;
    return "w" + std::to_string(++writes_);
  }

  void begin_node(std::size_t node) {
    if (options_.faults && random_.chance(0.3)) {
      add(ActionKind::clock, node).number =
          options_.years ? random_.choice(kFarClocks) : random_.choice(kWrongClocks);
    }
    if (!random_.chance(0.4) || copies_.contains(node)) return;
    for (std::int64_t key = 0; key < kKeys; ++key) {
      if (random_.chance(0.4)) continue;
      Action& action = add(ActionKind::old_row, node);
      action.key = key;
      // Some rows are the same on several nodes, as after a copy made by hand.
      action.value =
          random_.chance(0.3) ? "same" + std::to_string(key) : "w" + std::to_string(++writes_);
      refer(action);
      grade(action);
    }
  }

  void add_action() {
    now_ += random_.choice(kSteps);
    const std::int64_t dice = random_.below(100);
    const auto node = index(random_.below(count(history_.nodes)));
    if (dice < 55) {
      // What is in the place of a copy before it is made is nobody's.
      if (!copies_.contains(node) || !outside_.contains(node)) add_write(node);
    } else if (dice < 90) {
      add_session();
    } else if (!options_.faults) {
      return;
    } else if (dice < 94) {
      if (history_.early_purge || met_.size() == history_.edges.size()) {
        add(ActionKind::purge, node);
      }
    } else if (dice < 96) {
      add(ActionKind::clock, node).number =
          options_.years ? random_.choice(kFarClocks) : random_.choice(kClocks);
    } else if (outside_.contains(node)) {
      return;
    } else if (dice < 98) {
      add(ActionKind::copy, node);
      copied_.insert(node);
    } else if (copied_.erase(node) > 0) {
      add(ActionKind::restore, node).number = random_.between(10, 999'999);
      history_.restores = true;
    }
  }

  void add_write(std::size_t node) {
    Action& action = add(ActionKind::write, node);
    action.key = random_.below(kKeys);
    action.value = value();
    if (history_.unique_codes && random_.chance(0.7)) action.code = random_.below(4);
    refer(action);
    grade(action);
  }

  void grade(Action& action) {
    if (!history_.limits.empty() && action.value) action.grade = random_.below(kNoLimit);
  }

  void add_session() {
    const auto edge = index(random_.below(count(history_.edges.size())));
    Action& action = add(ActionKind::session, 0);
    action.edge = edge;
    if (options_.interruptions) {
      while (random_.chance(0.2)) {
        action.interruptions.push_back({.transaction = index(random_.between(1, 8)),
                                        .key = random_.below(kKeys),
                                        .value = value()});
      }
      if (random_.chance(0.15)) action.fail_at = random_.between(1, 70);
    }
    while (options_.locks && random_.chance(0.4)) {
      const Edge& met = history_.edges[edge];
      action.locks.push_back(
          {.node = random_.chance(0.3) ? met.first : met.second, .key = random_.below(kKeys)});
      // In a chain of backups a source that is restored to a time before a row waited there does
      // not send it again: not solved, and not a matter of who writes.
      if (!options_.backups && random_.chance(0.4)) {
        action.locks.back().writes = true;
        action.locks.back().value = value();
      }
    }
    if (action.fail_at == 0) met_.insert(edge);
  }

  Random random_;
  const HistoryOptions options_;
  History history_;
  std::size_t mirrors_from_ = 0;
  std::int64_t now_ = 1000;
  std::int64_t writes_ = 0;
  std::set<std::size_t> met_;
  std::set<std::size_t> copied_;
  std::set<std::size_t> outside_;  // have not joined yet
  std::set<std::size_t> copies_;   // join, or have joined, as copies of others
  std::set<std::size_t> away_;
};

std::string name_of(std::size_t node) { return {static_cast<char>('a' + node)}; }

std::string value_text(const std::optional<std::string>& value) {
  return value ? "= " + *value : "deleted";
}

}  // namespace

History make_history(std::uint64_t seed, const HistoryOptions& options) {
  return Maker(seed, options).make();
}

std::string describe(const History& history, const Action& action) {
  const std::string when = std::to_string(action.now) + " ";
  const std::string node = name_of(action.node);
  const Edge& edge = history.edges[action.edge];
  const std::string pair = name_of(edge.first) + "-" + name_of(edge.second);
  switch (action.kind) {
    case ActionKind::write:
    case ActionKind::old_row: {
      std::string text = when + node + ": " + (action.kind == ActionKind::old_row ? "old " : "") +
                         std::to_string(action.key) + " " + value_text(action.value);
      if (action.code) text += " code " + std::to_string(*action.code);
      if (action.first_reference) text += " first " + std::to_string(*action.first_reference);
      if (action.second_reference) text += " second " + std::to_string(*action.second_reference);
      if (action.grade) text += " grade " + std::to_string(*action.grade);
      return text;
    }
    case ActionKind::session: {
      std::string text = when + "session " + pair;
      for (const Interruption& interruption : action.interruptions) {
        text += ", before transaction " + std::to_string(interruption.transaction) + ": " +
                std::to_string(interruption.key) + " " + value_text(interruption.value);
      }
      for (const Lock& lock : action.locks) {
        text += ", " + name_of(lock.node) + " holds " + std::to_string(lock.key);
        if (lock.writes) text += " and writes " + value_text(lock.value);
      }
      if (action.fail_at != 0) text += ", dies at step " + std::to_string(action.fail_at);
      return text;
    }
    case ActionKind::purge:
      return when + node + ": purge";
    case ActionKind::clock:
      return when + node + ": clock wrong by " + std::to_string(action.number);
    case ActionKind::copy:
      return when + node + ": copied";
    case ActionKind::restore:
      return when + node + ": restored as incarnation " + std::to_string(action.number);
    case ActionKind::join:
      return when + node + ": joins" +
             (action.number > 0
                  ? " as a copy of " + name_of(static_cast<std::size_t>(action.number - 1))
                  : "");
    case ActionKind::leave:
      return when + node + ": leaves";
    case ActionKind::forget:
      return when + node + ": is forgotten";
    case ActionKind::come_back:
      return when + node + ": comes back";
  }
  return {};
}

std::string describe_jobs(const History& history) {
  static constexpr std::array<const char*, 4> kNames{"latest", "earliest", "first_node", "manual"};
  std::string text = std::to_string(history.nodes) + " nodes, " + std::to_string(history.tables) +
                     " tables" + (history.unique_codes ? ", unique codes" : "") +
                     (history.guarded ? ", guarded clocks" : "") + "\n";
  for (std::size_t node = 0; node < history.limits.size(); ++node) {
    if (history.limits[node] == kNoLimit) continue;
    text += name_of(node) + " takes grades up to " + std::to_string(history.limits[node]) + "\n";
  }
  static constexpr std::array<const char*, 4> kActions{"", " restrict", " cascade", " set null"};
  for (const Reference& reference : history.references) {
    text += "table " + std::to_string(reference.child) +
            (reference.column == 0 ? " first" : " second") + " refers to " +
            (reference.to_code ? "the code of " : "") + "table " +
            std::to_string(reference.parent) +
            kActions[static_cast<std::size_t>(reference.on_delete)] + "\n";
  }
  for (const Edge& edge : history.edges) {
    text += "job " + name_of(edge.first) + "-" + name_of(edge.second) + " ";
    text += edge.mode == Mode::backup ? "backup" : kNames[static_cast<std::size_t>(edge.policy)];
    text += "\n";
  }
  return text;
}

}  // namespace tidemark::simulation
