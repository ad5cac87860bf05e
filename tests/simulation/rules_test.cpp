// The pure rules alone, a million cases in seconds: who wins where three nodes change one row, and
// which rows stay where references between them are broken. What must come out is computed by
// oracles that are written here, with plain numbers, and share no code with the rules. A case is
// made from its number alone: TIDEMARK_SEED=n plays one.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "compare/decide.h"
#include "compare/references.h"
#include "tests/simulation/runner.h"

namespace tidemark::simulation {
namespace {

constexpr std::uint64_t kCases = 600'000;  // of each kind

/// splitmix64: a stream of numbers for every case.
class Numbers {
 public:
  explicit Numbers(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15u) {}
  std::size_t below(std::size_t limit) {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return static_cast<std::size_t>((z ^ (z >> 31)) % limit);
  }
  bool chance(std::size_t percent) { return below(100) < percent; }

 private:
  std::uint64_t state_;
};

Uuid origin_of(std::size_t node) {
  Uuid uuid;
  uuid.bytes[15] = static_cast<std::uint8_t>(node + 1);
  return uuid;
}

using Receive = decltype(compare::Rules::receive);
using JudgeRule = decltype(compare::Rules::judge);

// --- One row on three nodes

constexpr std::size_t kNodes = 3;

struct Replica {
  TableState state;
  compare::Side side;
  int row = -1;  // which write made it what it is; -1: as it was before
};

struct Write {
  std::int64_t time = 0;
  std::size_t node = 0;
  bool is_delete = false;
  int overwrote = -1;
};

/// A history of writes and pulls, then pulls until all know all, in one of several orders.
class RowWorld {
 public:
  explicit RowWorld(Receive receive) : receive_(receive) {
    for (std::size_t i = 0; i < kNodes; ++i) {
      replicas_[i].state.origin = origin_of(i);
      replicas_[i].state.baselines_seen = {Uuid()};
    }
  }

  /// What is wrong; empty if nothing is.
  std::string play(std::uint64_t seed) {
    static constexpr std::array<std::array<std::array<std::size_t, 2>, 6>, 3> kOrders{{
        {{{0, 1}, {1, 0}, {1, 2}, {2, 1}, {0, 2}, {2, 0}}},
        {{{2, 0}, {0, 2}, {2, 1}, {1, 2}, {1, 0}, {0, 1}}},
        {{{1, 2}, {0, 2}, {2, 0}, {0, 1}, {2, 1}, {1, 0}}},
    }};
    int winner = 0;
    for (std::size_t order = 0; order < kOrders.size(); ++order) {
      begin(seed);
      for (int round = 0; round < 2; ++round) {
        for (const auto& [source, target] : kOrders[order]) pull(source, target);
      }
      const std::string wrong = judge();
      if (!wrong.empty()) return wrong;
      if (order == 0) winner = replicas_[0].row;
      if (winner != replicas_[0].row) return "another order of sessions has another end";
    }
    return {};
  }

 private:
  void begin(std::uint64_t seed) {
    for (std::size_t i = 0; i < kNodes; ++i) {
      Replica& replica = replicas_[i];
      replica.state.knowledge = Knowledge();
      replica.state.knowledge.raise(origin_of(i), 0);
      replica.side = {.present = true, .version = std::nullopt};
      replica.row = -1;
    }
    writes_.clear();
    logged_.clear();
    Numbers numbers(seed);
    const std::size_t steps = 2 + numbers.below(7);
    for (std::size_t i = 0; i < steps; ++i) {
      const std::size_t node = numbers.below(kNodes);
      if (numbers.chance(55)) {
        write(node, static_cast<std::int64_t>(numbers.below(6)), numbers.chance(30));
      } else {
        pull(node, (node + 1 + numbers.below(kNodes - 1)) % kNodes);
      }
    }
  }

  void write(std::size_t node, std::int64_t clock, bool is_delete) {
    Replica& replica = replicas_[node];
    if (is_delete && !replica.side.present) return;
    std::int64_t time = clock;
    if (replica.side.version) time = std::max(time, replica.side.version->changed_at_us + 1);
    const std::int64_t sequence = replica.state.sequence() + 1;
    replica.state.knowledge.raise(replica.state.origin, sequence);
    writes_.push_back(
        {.time = time, .node = node, .is_delete = is_delete, .overwrote = replica.row});
    replica.side = {
        .present = !is_delete,
        .version =
            Version{.changed_at_us = time, .origin = replica.state.origin, .sequence = sequence}};
    replica.row = static_cast<int>(writes_.size()) - 1;
  }

  void pull(std::size_t from, std::size_t into) {
    Replica& source = replicas_[from];
    Replica& target = replicas_[into];
    const compare::PullContext context{.source = source.state, .target = target.state};
    const bool is_sent =
        source.side.version && !target.state.knowledge.covers(*source.side.version);
    if (is_sent) {
      const bool equal = source.row == target.row || (!source.side.present && !target.side.present);
      const compare::Decision decision = receive_(context, source.side, target.side, equal, false);
      if (decision.conflict) {
        logged_.push_back(decision.incoming_wins ? target.row : source.row);
      }
      if (decision.action == compare::Action::take ||
          decision.action == compare::Action::take_version) {
        target.side = source.side;
        target.row = source.row;
      }
    }
    target.state.knowledge.merge(source.state.knowledge);
  }

  std::string judge() {
    // The oracle: nothing but the greatest time, and of equal times the greatest node.
    int expected = -1;
    for (std::size_t i = 0; i < writes_.size(); ++i) {
      if (expected < 0) {
        expected = static_cast<int>(i);
        continue;
      }
      const Write& best = writes_[static_cast<std::size_t>(expected)];
      const Write& each = writes_[i];
      if (each.time > best.time || (each.time == best.time && each.node > best.node)) {
        expected = static_cast<int>(i);
      }
    }
    for (const Replica& replica : replicas_) {
      if (replica.row != expected) {
        return "a node ends with write " + std::to_string(replica.row) + " instead of " +
               std::to_string(expected);
      }
    }
    for (std::size_t i = 0; i < writes_.size(); ++i) {
      const int number = static_cast<int>(i);
      if (number == expected || writes_[i].is_delete) continue;
      const bool overwritten = std::any_of(writes_.begin(), writes_.end(), [&](const Write& write) {
        return write.overwrote == number;
      });
      const bool logged = std::find(logged_.begin(), logged_.end(), number) != logged_.end();
      if (!overwritten && !logged) return "write " + std::to_string(number) + " is lost";
    }
    for (const Replica& source : replicas_) {
      for (const Replica& target : replicas_) {
        const compare::PullContext context{.source = source.state, .target = target.state};
        if (compare::has_news(context)) return "there is news though all have met";
        if (receive_(context, source.side, target.side, true, false) != compare::Decision{}) {
          return "the same row is decided again";
        }
      }
    }
    return {};
  }

  const Receive receive_;
  std::array<Replica, kNodes> replicas_;
  std::vector<Write> writes_;
  std::vector<int> logged_;
};

// --- Rows that refer to each other

/// A case of references in plain numbers: a strength for each row, the greater the later.
struct Family {
  struct Member {
    bool present = true;
    int strength = 0;  // -1: nobody remembers; 0: from before activation
    bool outside = false;
    bool can_be_held = true;
    std::vector<std::size_t> parents;
  };
  std::vector<Member> members;
};

constexpr int kNothing = -2;
constexpr int kAbsolute = 1000;

Family make_family(std::uint64_t seed) {
  Numbers numbers(seed);
  Family family;
  family.members.resize(2 + numbers.below(6));
  for (Family::Member& member : family.members) {
    member.present = numbers.chance(60);
    member.strength = static_cast<int>(numbers.below(12)) - (member.present ? 0 : 1);
    if (!member.present && member.strength == 0) member.strength = -1;
    member.outside = member.present && numbers.chance(4);
    member.can_be_held = member.outside || !numbers.chance(6);
    const std::size_t parents = numbers.below(3);
    for (std::size_t i = 0; i < parents; ++i) {
      const std::size_t parent = numbers.below(family.members.size());
      if (&family.members[parent] == &member) continue;
      member.parents.push_back(parent);
    }
    std::sort(member.parents.begin(), member.parents.end());
    member.parents.erase(std::unique(member.parents.begin(), member.parents.end()),
                         member.parents.end());
  }
  return family;
}

std::vector<compare::ReferringRow> rows_of(const Family& family) {
  std::vector<compare::ReferringRow> rows;
  for (const Family::Member& member : family.members) {
    compare::ReferringRow row{.present = member.present,
                              .outside = member.outside,
                              .can_be_held = member.can_be_held,
                              .parents = member.parents};
    if (member.strength > 0) {
      // Pairs of strengths share a time, and the origin decides.
      row.version = Version{.changed_at_us = member.strength / 2,
                            .origin = origin_of(static_cast<std::size_t>(member.strength % 2)),
                            .sequence = 1};
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

/// The rule in words, evaluated by going round until nothing changes.
std::vector<compare::Fate> expected_fates(const Family& family) {
  const std::vector<Family::Member>& all = family.members;
  std::vector<int> in_favour(all.size(), kNothing), deleted(all.size(), kNothing);
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].outside) {
      in_favour[i] = kAbsolute;
    } else {
      (all[i].present ? in_favour : deleted)[i] = all[i].strength;
    }
  }
  // A row speaks for its parents unless its own delete is later than all that speaks for it.
  for (std::size_t round = 0; round <= all.size(); ++round) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (in_favour[i] <= deleted[i]) continue;
      for (const std::size_t parent : all[i].parents) {
        in_favour[parent] = std::max(in_favour[parent], in_favour[i]);
      }
    }
  }
  // A row that goes takes along what refers to it, unless something later speaks for that.
  std::vector<int> against = deleted;
  for (std::size_t round = 0; round <= all.size(); ++round) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      for (const std::size_t parent : all[i].parents) {
        if (against[parent] == kNothing || in_favour[parent] > against[parent]) continue;
        against[i] = std::max(against[i], against[parent]);
      }
    }
  }
  std::vector<compare::Fate> fates(all.size(), compare::Fate::stays);
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (against[i] != kNothing && in_favour[i] <= against[i]) fates[i] = compare::Fate::goes;
  }
  for (std::size_t round = 0; round <= all.size(); ++round) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (fates[i] != compare::Fate::stays || all[i].outside) continue;
      bool waits = !all[i].can_be_held;
      for (const std::size_t parent : all[i].parents) {
        waits = waits || fates[parent] == compare::Fate::waits;
      }
      if (waits) fates[i] = compare::Fate::waits;
    }
  }
  return fates;
}

/// The same rows in another order.
Family shuffled(const Family& family, Numbers& numbers, std::vector<std::size_t>& place) {
  place.resize(family.members.size());
  for (std::size_t i = 0; i < place.size(); ++i) place[i] = i;
  for (std::size_t i = place.size(); i > 1; --i) std::swap(place[i - 1], place[numbers.below(i)]);
  Family other;
  other.members.resize(family.members.size());
  for (std::size_t i = 0; i < place.size(); ++i) {
    Family::Member member = family.members[i];
    for (std::size_t& parent : member.parents) parent = place[parent];
    other.members[place[i]] = std::move(member);
  }
  return other;
}

std::string play_family(JudgeRule judge, std::uint64_t seed) {
  const Family family = make_family(seed);
  const std::vector<compare::ReferringRow> rows = rows_of(family);
  const std::vector<compare::RowFate> fates = judge(rows, false);
  const std::vector<compare::Fate> expected = expected_fates(family);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (fates[i].fate != expected[i]) return "row " + std::to_string(i) + " has another fate";
    if (fates[i].fate != compare::Fate::stays || rows[i].outside) continue;
    for (const std::size_t parent : rows[i].parents) {
      if (fates[parent].fate != compare::Fate::stays) {
        return "row " + std::to_string(i) + " stays without its parent";
      }
    }
  }
  Numbers numbers(seed + 1);
  std::vector<std::size_t> place;
  const std::vector<compare::RowFate> others =
      judge(rows_of(shuffled(family, numbers, place)), false);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (others[place[i]].fate != fates[i].fate ||
        others[place[i]].later_than_us != fates[i].later_than_us) {
      return "row " + std::to_string(i) + " has another fate in another order";
    }
  }
  // What was decided is written as versions later than all that took part, and stays so.
  std::vector<compare::ReferringRow> after = rows;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (fates[i].fate == compare::Fate::waits) return {};
    const bool stays = fates[i].fate == compare::Fate::stays;
    if (after[i].present == stays) continue;
    after[i].present = stays;
    after[i].version = Version{.changed_at_us = fates[i].later_than_us.value_or(0) + 1,
                               .origin = origin_of(2),
                               .sequence = 2};
  }
  const std::vector<compare::RowFate> again = judge(after, false);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (again[i].fate != fates[i].fate) {
      return "row " + std::to_string(i) + " is judged otherwise when all is done";
    }
  }
  return {};
}

// --- Running them

struct Found {
  std::uint64_t cases = 0;
  std::uint64_t wrong = 0;
  std::uint64_t seed = 0;  // of the first that is wrong
  std::string what;
};

using Play = std::function<std::string(std::uint64_t)>;

/// `make_play` is called once for every thread.
Found play_all(const std::string& name, std::uint64_t cases,
               const std::function<Play()>& make_play) {
  const auto replayed = seed_to_replay();
  const std::uint64_t first = replayed.value_or(1);
  const std::uint64_t count = replayed ? 1 : cases;
  const auto begin = std::chrono::steady_clock::now();
  const std::size_t threads = replayed ? 1 : 2;
  std::vector<Found> found(threads);
  std::vector<std::thread> workers;
  for (std::size_t mine = 0; mine < threads; ++mine) {
    workers.emplace_back([&, mine] {
      const Play play = make_play();
      Found& result = found[mine];
      for (std::uint64_t i = mine; i < count; i += threads) {
        ++result.cases;
        std::string what = play(first + i);
        if (what.empty()) continue;
        if (result.wrong++ > 0) continue;
        result.seed = first + i;
        result.what = std::move(what);
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  Found sum;
  for (Found& each : found) {
    sum.cases += each.cases;
    sum.wrong += each.wrong;
    if (each.wrong > 0 && (sum.what.empty() || each.seed < sum.seed)) {
      sum.seed = each.seed;
      sum.what = std::move(each.what);
    }
  }
  std::cerr << name << ": " << sum.cases << " cases, seeds from " << first << ", " << sum.wrong
            << " break a law, in "
            << std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count()
            << " s\n";
  return sum;
}

Found play_rows(const std::string& name, std::uint64_t cases, Receive receive) {
  return play_all(name, cases, [receive] {
    auto world = std::make_shared<RowWorld>(receive);
    return Play([world](std::uint64_t seed) { return world->play(seed); });
  });
}

Found play_families(const std::string& name, std::uint64_t cases, JudgeRule judge) {
  return play_all(name, cases, [judge] {
    return Play([judge](std::uint64_t seed) { return play_family(judge, seed); });
  });
}

std::string replay(const Found& found) {
  return "TIDEMARK_SEED=" + std::to_string(found.seed) + " replays: " + found.what;
}

}  // namespace

TEST_CASE("the rule for one row keeps the laws in more than half a million cases") {
  const Found found = play_rows("the rule for one row", kCases, &compare::receive);
  CHECK_MESSAGE(found.wrong == 0, replay(found));
}

TEST_CASE("the rule for references keeps the laws in more than half a million cases") {
  const Found found = play_families("the rule for references", kCases, &compare::judge);
  CHECK_MESSAGE(found.wrong == 0, replay(found));
}

TEST_CASE("a rule for one row that forgets who wins at one time is noticed") {
  const Receive broken = [](const compare::PullContext& context, const compare::Side& incoming,
                            const compare::Side& local, bool equal, bool revert) {
    compare::Decision decision = compare::receive(context, incoming, local, equal, revert);
    if (decision.conflict && incoming.version && local.version &&
        incoming.version->changed_at_us == local.version->changed_at_us) {
      decision.action = compare::Action::take;
      decision.incoming_wins = true;
    }
    return decision;
  };
  CHECK(play_rows("no order at one time", 5'000, broken).wrong > 50);
}

TEST_CASE("a rule for one row that logs nothing is noticed") {
  const Receive broken = [](const compare::PullContext& context, const compare::Side& incoming,
                            const compare::Side& local, bool equal, bool revert) {
    compare::Decision decision = compare::receive(context, incoming, local, equal, revert);
    decision.conflict.reset();
    return decision;
  };
  CHECK(play_rows("nothing logged", 5'000, broken).wrong > 50);
}

TEST_CASE("a rule for references that depends on the order of rows is noticed") {
  const JudgeRule broken = [](const std::vector<compare::ReferringRow>& rows, bool mirror) {
    std::vector<compare::RowFate> fates = compare::judge(rows, mirror);
    if (fates.front().fate == compare::Fate::goes && rows.front().present) {
      fates.front().fate = compare::Fate::stays;
    }
    return fates;
  };
  CHECK(play_families("the first row stays", 5'000, broken).wrong > 50);
}

TEST_CASE("a rule for references that does not look at the origin is noticed") {
  const JudgeRule broken = [](const std::vector<compare::ReferringRow>& rows, bool mirror) {
    std::vector<compare::ReferringRow> others = rows;
    for (compare::ReferringRow& row : others) {
      if (row.version) row.version->origin = Uuid();
    }
    return compare::judge(others, mirror);
  };
  CHECK(play_families("no origins", 5'000, broken).wrong > 50);
}

}  // namespace tidemark::simulation
