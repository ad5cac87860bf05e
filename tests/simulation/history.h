// A History is everything that happens in one simulated world, as data: which nodes and jobs there
// are, what applications write, when sessions run, whose clock is wrong, what is purged, copied and
// restored, who joins late, stays away or is made from a copy of another. It is made from a seed
// alone, so that a seed is enough to see a failure again, and knows nothing of the product: the
// executable model runs the same histories.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace tidemark::simulation {

enum class Mode : std::uint8_t { two_way, backup };
enum class Policy : std::uint8_t { latest, earliest, first_node, manual };

/// A job of two nodes. The source of a backup is `first`.
struct Edge {
  std::size_t first = 0;
  std::size_t second = 0;
  Mode mode = Mode::two_way;
  Policy policy = Policy::latest;
};

enum class ActionKind : std::uint8_t {
  write,    // an application inserts or updates (value) or deletes (none)
  old_row,  // a row from before activation: nobody captured it
  session,  // of `edge`
  purge,    // tombstones that every registered peer knows
  clock,    // from now on the node's clock is wrong by `number`
  copy,     // the node's database is copied away
  restore,  // the node goes back to its copy, as incarnation `number`
  join,     // the node is activated only now; as a copy of node `number` - 1, if there is a number
  leave,    // no session reaches the node any more
  forget,   // everybody else stops waiting for the node
  come_back,
};

/// An application's write that happens when the session is about to begin a transaction on the
/// node.
struct Interruption {
  std::size_t transaction = 0;  // before which of the session's transactions, from 1
  std::int64_t key = 0;
  std::optional<std::string> value;
};

/// A row that a transaction of an application holds while a session is at work, and that it then
/// has written, or not.
struct Lock {
  std::size_t node = 0;
  std::int64_t key = 0;
  bool writes = false;
  std::optional<std::string> value = {};  // none: a delete
};

/// A foreign key of a world: rows of one table refer by column `column` (0 or 1 of the two that
/// every row has) to rows of another, or of the same.
struct Reference {
  std::size_t child = 0;
  std::size_t column = 0;
  std::size_t parent = 0;
  int on_delete = 0;     // 0 none, 1 restrict, 2 cascade, 3 set null
  bool to_code = false;  // refers to the parent's unique code, not to its key
};

struct Action {
  ActionKind kind = ActionKind::write;
  std::int64_t now = 0;
  std::size_t node = 0;
  std::size_t edge = 0;
  std::int64_t key = 0;
  std::optional<std::string> value;
  std::optional<std::int64_t>
      code;  // a value that is unique in its table, where the history has that
  std::optional<std::int64_t> first_reference, second_reference;
  std::optional<std::int64_t> grade;  // what checks look at, where the history has them
  std::int64_t number = 0;
  std::vector<Interruption> interruptions;
  std::vector<Lock> locks;
  std::int64_t fail_at = 0;  // the session dies at this step; 0: it does not
};

struct History {
  std::uint64_t seed = 0;
  std::size_t nodes = 2;
  std::vector<Edge> edges;
  std::size_t tables = 1;     // a key belongs to table `key % tables`
  bool locks = false;         // sessions may meet rows that are held
  bool unique_codes = false;  // rows carry a code that no other row of the table may carry
  std::vector<Reference> references;
  bool boundary_values = false;      // rows carry values at the edges of every type
  std::vector<std::int64_t> limits;  // of every node: no row has a greater grade; empty: no checks
  std::vector<bool> late;            // nodes that join by an action; empty: none
  bool guarded = false;              // sessions refuse clocks that differ by seconds
  bool early_purge = false;  // tombstones are purged before all have met: rows may be revived
  bool restores = false;
  std::vector<Action> actions;
};

struct HistoryOptions {
  bool faults = true;          // wrong clocks, purges, copies and restores
  bool policies = false;       // every job its own instead of latest everywhere
  bool backups = false;        // some nodes are targets of backups
  bool interruptions = false;  // applications write while sessions run, and sessions die
  bool tables = false;         // sometimes two tables
  bool unique_codes = false;
  bool references = false;  // tables with foreign keys
  bool boundary_values = false;
  bool locks = false;       // sessions meet rows that applications hold
  bool checks = false;      // sometimes the same on every node, sometimes others
  bool years = false;       // clocks are wrong by seconds to years
  bool membership = false;  // nodes join late, also as copies, leave, are forgotten and come back
  std::size_t max_nodes = 6;
};

/// The same history for the same arguments, on every machine.
History make_history(std::uint64_t seed, const HistoryOptions& options);

// For people: the nodes and jobs, one line for each, and one action in one line.
std::string describe_jobs(const History& history);
std::string describe(const History& history, const Action& action);

inline constexpr std::int64_t kKeys = 6;
inline constexpr std::int64_t kNoLimit = 100;  // every grade is below it

}  // namespace tidemark::simulation
