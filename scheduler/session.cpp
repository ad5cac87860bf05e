#include "scheduler/session.h"

#include "scheduler/meeting.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <spdlog/spdlog.h>

#include "apply/held_rows.h"
#include "capture/activate.h"
#include "capture/identity.h"
#include "engines/transactions.h"
#include "model/error.h"
#include "scheduler/agreement.h"
#include "scheduler/key_ranges.h"
#include "scheduler/side_by_side.h"

namespace tidemark::scheduler {
namespace {

using capture::CapturedTable;

Identity identity_of(Node& node) {
  const std::optional<Identity> identity = node.identity();
  if (!identity) {
    throw Error(ExitCode::not_ready, "node " + node.name() + " is not activated",
                "run 'tidemark activate " + node.name() + "'");
  }
  return *identity;
}

void refuse_one_identity(const Node& first, const Node& second, const Identity& a,
                         const Identity& b) {
  if (a.node_id != b.node_id) return;
  throw Error(ExitCode::refused,
              "nodes " + first.name() + " and " + second.name() +
                  " carry one identity: one database is a copy of the other",
              "run 'tidemark activate " + second.name() +
                  " --new-identity' if that is the copy, with the other name if not");
}

/// Both locks of a pair, taken in one order by everybody.
struct PairLocks {
  std::unique_ptr<PairLock> first;
  std::unique_ptr<PairLock> second;
};

PairLocks lock_pair(Node& first, Node& second, const Identity& a, const Identity& b) {
  PairLocks locks;
  const auto lock = [](Node& node, const Node& other, const NodeId& peer) {
    std::unique_ptr<PairLock> held = node.try_lock_pair(peer);
    if (held == nullptr) {
      throw Error(
          ExitCode::locked,
          "another session of nodes " + node.name() + " and " + other.name() + " is at work",
          "wait until it ends; its lock goes with its process", true);
    }
    return held;
  };
  if (a.node_id < b.node_id) {
    locks.first = lock(first, second, b.node_id);
    locks.second = lock(second, first, a.node_id);
  } else {
    locks.second = lock(second, first, a.node_id);
    locks.first = lock(first, second, b.node_id);
  }
  return locks;
}

/// Returns how far the second clock is ahead.
std::int64_t check_clocks(Node& first, Node& second, std::chrono::microseconds max_skew) {
  const std::int64_t before = first.clock_us();
  const std::int64_t there = second.clock_us();
  const std::int64_t after = first.clock_us();
  // The second clock was read somewhere between the two readings of the first.
  std::int64_t skew = 0;
  if (there < before) skew = there - before;
  if (there > after) skew = there - after;
  if (std::abs(skew) <= max_skew.count()) return skew;
  const double apart_s = static_cast<double>(std::abs(skew)) / 1e6;
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", apart_s);
  throw Error(ExitCode::refused,
              "the clock of node " + second.name() + " is " + text + " s " +
                  (skew < 0 ? "behind" : "ahead of") + " that of node " + first.name(),
              "the latest change wins, so clocks must agree: set the wrong one, or raise "
              "max_clock_skew of the job");
}

/// A node went back in time whose own numbers are behind what its peer saw of it, or that no longer
/// knows what it knew when the two met last. `met`: the peer's record of that, table by table.
void refuse_restored(const std::vector<CapturedTable>& tables, const Node& node,
                     const std::vector<CapturedTable>& peer_tables, const Node& peer,
                     const std::vector<Knowledge>& met) {
  for (std::size_t i = 0; i < tables.size(); ++i) {
    const TableState& state = tables[i].state;
    const std::optional<std::int64_t> seen = peer_tables[i].state.knowledge.of(state.origin);
    std::string proof;
    std::string hint = "if it was restored from a backup, run 'tidemark activate " + node.name() +
                       " --new-incarnation': its lost rows come back from its peers";
    if (seen && *seen > state.sequence()) {
      proof = " has seen change " + std::to_string(*seen) + " of its table " +
              tables[i].table.spec.name + ", it has only " + std::to_string(state.sequence());
    } else if (met[i].of(state.origin) && !state.knowledge.covers(met[i])) {
      proof = " met it when it knew more of table " + tables[i].table.spec.name;
      hint += "; it was changed and shared since, so run 'tidemark verify --repair' after that";
    } else {
      continue;
    }
    throw Error(ExitCode::refused,
                "node " + node.name() + " went back in time: node " + peer.name() + proof, hint);
  }
}

const ActiveTable* find_table(const std::vector<ActiveTable>& tables, const std::string& name) {
  const auto found = std::find_if(tables.begin(), tables.end(), [&](const ActiveTable& table) {
    return table.spec.name == name;
  });
  return found == tables.end() ? nullptr : &*found;
}

/// What stands in the way of a table on one node; empty if nothing does.
std::string obstacle(const Node& node, const ActiveTable* table, const std::string& name) {
  const std::string where = "table " + name + " on node " + node.name();
  if (table == nullptr) {
    return where + " is not under capture: run 'tidemark activate " + node.name() + "'";
  }
  if (table->health == CaptureHealth::table_missing) {
    return where + " is gone, only its control tables are left";
  }
  if (!table->spec.refusal.empty()) {
    return where + " cannot take part any more: it " + table->spec.refusal;
  }
  return {};
}

/// ", node x was changed: column c is new"; nothing for a node that was not.
std::string told_change(const Node& node, const ActiveTable& table) {
  if (table.activated_shape == table.current_shape) return {};
  return ", node " + node.name() +
         " was changed: " + shape_changes(table.activated_shape, table.current_shape);
}

std::set<std::string> wanted_names(const JobConfig& job, const std::vector<ActiveTable>& first,
                                   const std::vector<ActiveTable>& second) {
  std::set<std::string> names;
  for (const auto* tables : {&first, &second}) {
    for (const ActiveTable& table : *tables) {
      if (job.takes(table.spec.name)) names.insert(table.spec.name);
    }
  }
  return names;
}

/// Tables that a node has and the job takes, but that nobody activated: they would be missed
/// silently.
void warn_of_uncaptured(const JobConfig& job, const Node& node,
                        const std::vector<TableSpec>& catalog, const std::set<std::string>& names,
                        std::vector<std::string>& warnings) {
  for (const TableSpec& table : catalog) {
    if (!table.refusal.empty() || !job.takes(table.name) || names.contains(table.name)) continue;
    warnings.push_back("table " + table.name + " on node " + node.name() +
                       " is not under capture yet: run 'tidemark activate " + node.name() + "'");
  }
}

/// A table that one node alone has is none of the job's business, unless the job lists it by name.
bool is_absent(const ActiveTable* active, const std::vector<TableSpec>& catalog,
               const std::string& name) {
  return active == nullptr &&
         std::none_of(catalog.begin(), catalog.end(),
                      [&](const TableSpec& table) { return table.name == name; });
}

/// A table that both nodes have so that rows could flow, but that is not under capture on both.
void note_new_table(const std::string& name, const ActiveTable* here, const ActiveTable* there,
                    const std::vector<TableSpec>& first_catalog,
                    const std::vector<TableSpec>& second_catalog, TablePlan& plan) {
  const auto find = [&name](const std::vector<TableSpec>& catalog) {
    return std::find_if(catalog.begin(), catalog.end(),
                        [&](const TableSpec& table) { return table.name == name; });
  };
  const auto first = find(first_catalog);
  const auto second = find(second_catalog);
  if (first == first_catalog.end() || second == second_catalog.end()) return;
  if (!first->refusal.empty() || !second->refusal.empty()) return;
  if (!shape_differences(*first, *second).empty()) return;
  TablePlan::NewTable table{.name = name};
  if (here == nullptr) table.first = *first;
  if (there == nullptr) table.second = *second;
  plan.new_tables.push_back(std::move(table));
}

/// The columns of the unique constraints of a table, by name.
std::set<std::vector<std::string>> unique_columns(const TableSpec& table) {
  std::set<std::vector<std::string>> result;
  for (const UniqueSpec& unique : table.uniques) {
    std::vector<std::string> names;
    for (const std::size_t column : unique.columns) names.push_back(table.columns[column].name);
    std::sort(names.begin(), names.end());
    result.insert(std::move(names));
  }
  return result;
}

/// Rows that are legal on one node would be buried on the other.
void warn_of_lone_uniques(const TableSpec& table, const Node& node, const TableSpec& other_table,
                          const Node& other, std::vector<std::string>& warnings) {
  const auto there = unique_columns(other_table);
  for (const std::vector<std::string>& names : unique_columns(table)) {
    if (there.contains(names)) continue;
    std::string list;
    for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
    const std::string what =
        list.empty() ? "a unique index over an expression" : "a unique constraint (" + list + ")";
    warnings.push_back("table " + table.name + " has " + what + " on node " + node.name() +
                       " but not on node " + other.name() +
                       ": rows that only break it there will go to the conflict log");
  }
}

class Session {
 public:
  Session(const JobConfig& job, Node& first, Node& second, std::chrono::days tombstone_retention,
          const SessionOptions& options)
      : job_(job),
        first_(first),
        second_(second),
        tombstone_retention_(tombstone_retention),
        options_(options) {}

  SessionReport run() {
    report_.session_id =
        options_.session_id.empty() ? capture::random_uuid().to_string() : options_.session_id;
    report_.job = job_.name;
    report_.first = first_.name();
    report_.second = second_.name();
    report_.mode = job_.mode;
    report_.started_at_us = first_.clock_us();

    run_on_both(
        first_, second_, [this] { first_identity_ = identity_of(first_); },
        [this] { second_identity_ = identity_of(second_); });
    refuse_one_identity(first_, second_, first_identity_, second_identity_);
    const PairLocks locks = lock_pair(first_, second_, first_identity_, second_identity_);
    report_.skew_us = check_clocks(first_, second_, job_.max_clock_skew);
    choose_tables();
    load_states();
    check_restored();
    if (is_idle()) {
      carry_heartbeats();
      return finished();
    }
    find_empty_tables();
    if (options_.dry_run) {
      rehearse();
    } else {
      exchange();
      carry_heartbeats();
      make_alike();
      run_on_both(
          first_, second_,
          [this] {
            register_peer(first_, first_tables_, first_stands_, second_identity_, second_.name(),
                          second_tables_);
          },
          [this] {
            register_peer(second_, second_tables_, second_stands_, first_identity_, first_.name(),
                          first_tables_);
          });
      if (wrote()) {
        purge(first_, first_tables_);
        purge(second_, second_tables_);
      }
      count_null_keys();
      tell_locked_rows();
    }
    return finished();
  }

 private:
  SessionReport finished() {
    note_agreement();
    report_.finished_at_us = first_.clock_us();
    log_summary();
    return std::move(report_);
  }

  static bool is_lost(const ActiveTable& table) {
    return table.health == CaptureHealth::missing || table.health == CaptureHealth::moves_unseen;
  }

  /// What the source of the last pull knew when it was read has reached the target. The target may
  /// know more by now, of its own or by a third node, which has yet to travel: then it differs from
  /// what is noted here, and the two are known to have news.
  void note_agreement() {
    for (std::size_t i = 0; i < first_tables_.size(); ++i) {
      const std::string& name = first_tables_[i].table.spec.name;
      const TableState& first = first_tables_[i].state;
      const TableState& second = second_tables_[i].state;
      if (job_.mode == Mode::backup) {
        const bool is_set_back = second.sequence() <= second.mirrored_sequence;
        report_.first_knows[name] = first.knowledge.digest();
        report_.second_knows[name] = second.knowledge.digest() + (is_set_back ? 0 : 1);
        continue;
      }
      const bool first_was_read_last = first_joined_.contains(i);
      report_.first_knows[name] = report_.second_knows[name] =
          (first_was_read_last ? first : second).knowledge.digest();
    }
  }

  /// What changed since the last session is found here, before anything is written to a table.
  void choose_tables() {
    TablePlan plan = plan_tables(job_, first_, second_);
    if (bring_up_to_date(plan)) plan = plan_tables(job_, first_, second_);
    report_.problems = std::move(plan.problems);
    std::move(plan.warnings.begin(), plan.warnings.end(), std::back_inserter(report_.warnings));
    for (TablePlan::Entry& entry : plan.tables) {
      if (!options_.dry_run) {
        const bool first_lost = tell_lost(first_, entry.first);
        const bool second_lost = tell_lost(second_, entry.second);
        if (first_lost || second_lost) continue;
      }
      first_tables_.push_back({.table = std::move(entry.first)});
      second_tables_.push_back({.table = std::move(entry.second)});
      table_options_.push_back({.policy = entry.policy});
    }
    keep_key_ranges();
    if (!first_tables_.empty()) return;
    std::string message = "job " + job_.name + ": no table of nodes " + first_.name() + " and " +
                          second_.name() + " can be synchronized";
    if (!report_.problems.empty()) message += ": " + report_.problems.front();
    throw Error(ExitCode::not_ready, message,
                "run 'tidemark check " + job_.name + "' to see every table");
  }

  void keep_key_ranges() {
    if (options_.dry_run || !job_.has_ranges()) return;
    std::vector<RangedTable> tables;
    for (std::size_t i = 0; i < first_tables_.size(); ++i) {
      tables.push_back({.first = first_tables_[i].table, .second = second_tables_[i].table});
    }
    RangeReport report =
        keep_ranges({.job = job_, .first = first_, .second = second_, .tables = tables});
    report_.ranges = std::move(report.given);
    std::move(report.warnings.begin(), report.warnings.end(), std::back_inserter(report_.warnings));
  }

  /// True when the plan is another now.
  bool bring_up_to_date(const TablePlan& plan) {
    bool changed = take_in(plan.new_tables);
    changed |= note_shapes(first_, plan, &TablePlan::Entry::first);
    changed |= note_shapes(second_, plan, &TablePlan::Entry::second);
    for (const TablePlan::Entry& entry : plan.tables) {
      if (is_lost(entry.first)) changed |= recover(first_, entry.first);
      if (is_lost(entry.second)) changed |= recover(second_, entry.second);
    }
    return changed;
  }

  /// Where one of the nodes does not allow it, the plan's own words stay: run 'tidemark activate'.
  bool take_in(const std::vector<TablePlan::NewTable>& tables) {
    std::vector<TableSpec> on_first;
    std::vector<TableSpec> on_second;
    for (const TablePlan::NewTable& table : tables) {
      if (options_.dry_run) continue;
      if (table.first && !first_.may_define(*table.first)) continue;
      if (table.second && !second_.may_define(*table.second)) continue;
      if (table.first) on_first.push_back(*table.first);
      if (table.second) on_second.push_back(*table.second);
    }
    const auto install = [this](Node& node, const std::vector<TableSpec>& specs) {
      if (specs.empty()) return;
      capture::take_in(node, specs);
      for (const TableSpec& spec : specs) {
        report_.taken_in.push_back(node.name() + ": " + spec.name);
      }
    };
    install(first_, on_first);
    install(second_, on_second);
    return !on_first.empty() || !on_second.empty();
  }

  /// Columns were changed on both nodes so that rows can flow: from now on they are as they are.
  bool note_shapes(Node& node, const TablePlan& plan, ActiveTable TablePlan::Entry::*side) {
    std::vector<ActiveTable> reshaped;
    for (const TablePlan::Entry& entry : plan.tables) {
      const ActiveTable& table = entry.*side;
      if (!table.is_reshaped()) continue;
      reshaped.push_back(table);
      report_.reshaped.push_back(node.name() + ": " + table.spec.name + ": " +
                                 shape_changes(table.activated_shape, table.current_shape));
    }
    if (reshaped.empty() || options_.dry_run) return false;
    capture::note_shapes(node, reshaped);
    return true;
  }

  bool recover(Node& node, const ActiveTable& table) {
    if (options_.dry_run) {
      report_.warnings.push_back("table " + table.spec.name + " on node " + node.name() + ": " +
                                 table.capture_fault +
                                 "; a session would mend capture and compare the whole table");
      return false;
    }
    if (table.health == CaptureHealth::moves_unseen) {
      try {
        capture::see_moves(node, table);
      } catch (const Error& error) {
        if (error.code() != ExitCode::locked && error.code() != ExitCode::not_ready) throw;
        in_the_way_[{node.name(), table.spec.name}] = error.what();
        return false;
      }
    } else {
      if (!node.may_define(table.spec)) return false;
      in_write_transaction(node, [&] { capture::recover_capture(node, table); });
    }
    const std::string what = node.name() + ": " + table.spec.name + ": " + table.capture_fault;
    report_.recovered.push_back(what);
    if (options_.log) {
      options_.log->warn("{}; capture was mended; comparing the whole table", what);
    }
    return true;
  }

  /// True for a table whose triggers this session may not make anew: nobody knows what it missed.
  bool tell_lost(const Node& node, const ActiveTable& table) {
    if (!is_lost(table)) return false;
    std::string reason =
        "sessions may not make the triggers of capture anew: run 'tidemark "
        "activate " +
        node.name() + "'";
    if (table.health == CaptureHealth::moves_unseen) {
      const auto found = in_the_way_.find({node.name(), table.spec.name});
      reason = found == in_the_way_.end() ? "the next session captures them" : found->second;
    }
    report_.problems.push_back("table " + table.spec.name + " on node " + node.name() + ": " +
                               table.capture_fault + "; " + reason);
    return true;
  }

  /// What one node says of itself and of the other, in one snapshot.
  struct Standing {
    bool has_pending = false;    // changes that wait in a log
    bool has_waiting = false;    // rows in quarantine
    std::vector<Knowledge> met;  // what it noted of the other when they met last, table by table
    std::map<std::int64_t, PeerMeeting> meetings;  // the rest of it, by the number of the table
    Heartbeat heartbeat;
  };

  Standing load_states_of(Node& node, std::vector<CapturedTable>& tables, const NodeId& other,
                          const std::string& other_name) const {
    Standing standing;
    std::vector<ActiveTable> active;
    for (const CapturedTable& captured : tables) active.push_back(captured.table);
    in_snapshot(node, [&] {
      std::vector<TableStanding> each = node.load_standings(active);
      for (std::size_t i = 0; i < tables.size(); ++i) {
        tables[i].state = std::move(each[i].state);
        standing.met.push_back(each[i].peers[other]);
        standing.has_pending = standing.has_pending || each[i].has_pending;
      }
      standing.has_waiting = node.count_quarantined() > 0;
      standing.meetings = node.load_meetings(other);
      if (job_.heartbeat) standing.heartbeat = node.load_heartbeat(job_.name, other_name);
    });
    return standing;
  }

  void load_states() {
    run_on_both(
        first_, second_,
        [this] {
          first_stands_ =
              load_states_of(first_, first_tables_, second_identity_.node_id, second_.name());
        },
        [this] {
          second_stands_ =
              load_states_of(second_, second_tables_, first_identity_.node_id, first_.name());
        });
  }

  void check_restored() const {
    std::vector<Knowledge> first_met = second_stands_.met;
    std::vector<Knowledge> second_met = first_stands_.met;
    if (job_.mode == Mode::backup) {
      // The target of a backup, be it the source of another, forgets with a source that was
      // restored.
      first_met.assign(first_met.size(), {});
      second_met.assign(second_met.size(), {});
    }
    refuse_restored(first_tables_, first_, second_tables_, second_, first_met);
    refuse_restored(second_tables_, second_, first_tables_, first_, second_met);
  }

  /// The columns were changed since the rows of both were last known to be alike.
  static bool is_uncompared(const Standing& standing, const ActiveTable& table) {
    const auto meeting = standing.meetings.find(table.id);
    return meeting != standing.meetings.end() && !meeting->second.shape.empty() &&
           meeting->second.shape != table.current_shape;
  }

  std::vector<std::size_t> uncompared_tables() const {
    std::vector<std::size_t> indexes;
    for (std::size_t i = 0; i < first_tables_.size(); ++i) {
      if (is_uncompared(first_stands_, first_tables_[i].table) ||
          is_uncompared(second_stands_, second_tables_[i].table)) {
        indexes.push_back(i);
      }
    }
    return indexes;
  }

  /// Rows that ALTER TABLE filled or converted otherwise on the two nodes are made alike.
  void make_alike() {
    std::vector<std::size_t> left = uncompared_tables();
    while (!left.empty()) {
      std::vector<std::size_t> unfinished;
      std::int64_t touched = 0;
      for (const std::size_t i : left) {
        const ActiveTable& table = first_tables_[i].table;
        const Agreement agreement = agree({.first = first_,
                                           .second = second_,
                                           .first_table = table,
                                           .second_table = second_tables_[i].table,
                                           .job = job_,
                                           .session_id = report_.session_id});
        if (agreement.touched == 0) continue;
        touched += agreement.touched;
        report_.settled[table.spec.name] += agreement.touched;
        if (!agreement.complete) unfinished.push_back(i);
      }
      if (touched == 0) return;
      const std::int64_t carried_before = carried();
      exchange();
      if (carried() == carried_before) return;  // what the other side cannot hold stays different
      left = std::move(unfinished);
    }
  }

  std::int64_t carried() const {
    return report_.to_first.total().received + report_.to_second.total().received;
  }

  /// Nothing was changed anywhere since the two met last, and nothing waits: no pull would move or
  /// note anything.
  bool is_idle() const {
    if (first_stands_.has_pending || second_stands_.has_pending) return false;
    if (first_stands_.has_waiting || second_stands_.has_waiting) return false;
    if (!uncompared_tables().empty()) return false;
    const auto news = [](const CapturedTable& from, const CapturedTable& into, bool from_first,
                         bool mirror) {
      return compare::has_news({.source = from.state,
                                .target = into.state,
                                .source_is_first = from_first,
                                .mirror = mirror});
    };
    const bool mirror = job_.mode == Mode::backup;
    for (std::size_t i = 0; i < first_tables_.size(); ++i) {
      const CapturedTable& first = first_tables_[i];
      const CapturedTable& second = second_tables_[i];
      if (news(first, second, true, mirror)) return false;
      if (!mirror && news(second, first, false, false)) return false;
      if (first_stands_.met[i] != second.state.knowledge) return false;
      if (second_stands_.met[i] != first.state.knowledge) return false;
    }
    return true;
  }

  /// Which node joins the other is asked of tables whose baselines differ. A change that waits in
  /// the log, be it a delete, counts as content.
  void find_empty_tables() {
    const std::size_t count = first_tables_.size();
    std::vector<std::size_t> strangers;
    for (std::size_t i = 0; i < count; ++i) {
      if (first_tables_[i].state.baseline != second_tables_[i].state.baseline) {
        strangers.push_back(i);
      }
    }
    first_empty_.assign(count, false);
    second_empty_.assign(count, false);
    if (strangers.empty()) return;
    const auto find = [&strangers](Node& node, const std::vector<CapturedTable>& tables,
                                   std::vector<bool>& empty) {
      in_snapshot(node, [&] {
        for (const std::size_t i : strangers) {
          const ActiveTable& table = tables[i].table;
          // Who has forgotten something was not always empty, and keeps its place in the order:
          // else it would join whoever remembers, and then a peer that is empty too, for ever in
          // turn.
          empty[i] = !node.has_pending(table) && tables[i].state.forgotten.empty() &&
                     apply::holds_nothing(node, table);
        }
      });
    };
    find(first_, first_tables_, first_empty_);
    find(second_, second_tables_, second_empty_);
  }

  /// Pulls to and fro with open transactions that are rolled back at the end.
  void rehearse() {
    const bool first_goes_first = first_identity_.node_id < second_identity_.node_id;
    Node& one = first_goes_first ? first_ : second_;
    Node& other = first_goes_first ? second_ : first_;
    one.begin_write();
    try {
      other.begin_write();
      exchange();
    } catch (...) {
      other.rollback();
      one.rollback();
      throw;
    }
    other.rollback();
    one.rollback();
  }

  /// The tables whose baselines differ are joined in the direction that all nodes agree on; the
  /// others do not care. Usually that is one pull each way.
  void exchange() {
    if (job_.mode == Mode::backup) {
      pull_to_second(all_tables());
      return;
    }
    std::vector<std::size_t> second_joins;
    std::vector<std::size_t> first_joins;
    for (std::size_t i = 0; i < first_tables_.size(); ++i) {
      (joiner(i) == compare::Joiner::second ? second_joins : first_joins).push_back(i);
    }
    first_joined_.insert(first_joins.begin(), first_joins.end());
    pull_to_second(second_joins);
    pull_to_first(all_tables());
    pull_to_second(first_joins);
  }

  std::vector<std::size_t> all_tables() const {
    std::vector<std::size_t> indexes(first_tables_.size());
    for (std::size_t i = 0; i < indexes.size(); ++i) indexes[i] = i;
    return indexes;
  }

  compare::Joiner joiner(std::size_t index) const {
    return compare::choose_joiner(
        {.baseline = first_tables_[index].state.baseline, .empty = first_empty_[index]},
        {.baseline = second_tables_[index].state.baseline, .empty = second_empty_[index]});
  }

  void pull_to_second(const std::vector<std::size_t>& indexes) {
    pull(first_, second_, first_tables_, second_tables_, indexes, report_.to_second);
  }

  void pull_to_first(const std::vector<std::size_t>& indexes) {
    pull(second_, first_, second_tables_, first_tables_, indexes, report_.to_first);
  }

  void pull(Node& source, Node& target, std::vector<CapturedTable>& source_tables,
            std::vector<CapturedTable>& target_tables, const std::vector<std::size_t>& indexes,
            apply::PullReport& sum) {
    if (indexes.empty()) return;
    const bool to_second = &target == &second_;
    std::vector<bool> moves(source_tables.size(), false);
    for (const std::size_t index : indexes) moves[index] = true;
    apply::PullRequest request =
        request_of(source, target, source_tables, target_tables, to_second);
    request.moves = std::move(moves);
    if (sum.heartbeat_us != 0) request.heartbeat_us = 0;  // it travelled with the first pull
    add(sum, apply::pull(request));
  }

  apply::PullRequest request_of(Node& source, Node& target,
                                std::vector<CapturedTable>& source_tables,
                                std::vector<CapturedTable>& target_tables, bool to_second) {
    return {.source = source,
            .target = target,
            .source_tables = source_tables,
            .target_tables = target_tables,
            .options = table_options_,
            .moves = {},
            .source_id = to_second ? first_identity_.node_id : second_identity_.node_id,
            .target_id = to_second ? second_identity_.node_id : first_identity_.node_id,
            .source_is_first = to_second,
            .mirror = job_.mode == Mode::backup,
            .max_deletes = options_.ignore_delete_limit ? apply::DeleteLimit{} : job_.max_deletes,
            .session_id = report_.session_id,
            .job = job_.name,
            .dry_run = options_.dry_run,
            .heartbeat_us = to_second ? heartbeat(first_stands_, second_stands_)
                                      : heartbeat(second_stands_, first_stands_),
            .target_ahead_us = to_second ? report_.skew_us : -report_.skew_us,
            .rules = options_.rules,
            .progress = options_.progress,
            .comes_back_soon = options_.comes_back_soon,
            .counts_rows = options_.counts_rows};
  }

  /// What the source has sent and the target has not heard; 0 if nothing. A clock that was set back
  /// makes the newer one the smaller.
  static std::int64_t heartbeat(const Standing& source, const Standing& target) {
    return source.heartbeat.sent_us == target.heartbeat.heard_us ? 0 : source.heartbeat.sent_us;
  }

  /// Those that did not travel with changes.
  void carry_heartbeats() {
    if (options_.dry_run) return;
    report_.second_heard_us = first_stands_.heartbeat.sent_us;
    const auto carry = [](apply::PullReport& sum, const apply::PullRequest& request) {
      if (request.heartbeat_us == 0 || sum.heartbeat_us != 0) return;
      add(sum, apply::carry_heartbeat(request));
    };
    carry(report_.to_second, request_of(first_, second_, first_tables_, second_tables_, true));
    if (job_.mode == Mode::backup) return;
    report_.first_heard_us = second_stands_.heartbeat.sent_us;
    carry(report_.to_first, request_of(second_, first_, second_tables_, first_tables_, false));
  }

  static void add(apply::PullReport& sum, apply::PullReport part) {
    for (const auto& [table, counts] : part.tables) sum.tables[table] += counts;
    for (const auto& [table, count] : part.null_keys) sum.null_keys[table] += count;
    std::move(part.conflicts.begin(), part.conflicts.end(), std::back_inserter(sum.conflicts));
    std::move(part.waiting.begin(), part.waiting.end(), std::back_inserter(sum.waiting));
    sum.wrote |= part.wrote;
    if (part.heartbeat_us != 0) sum.heartbeat_us = part.heartbeat_us;
    if (part.visible_at_us == 0) return;
    if (sum.visible_at_us == 0) sum.oldest_change_us = part.oldest_change_us;
    sum.oldest_change_us = std::min(sum.oldest_change_us, part.oldest_change_us);
    sum.visible_at_us = part.visible_at_us;
  }

  bool wrote() const { return report_.to_second.wrote || report_.to_first.wrote; }

  /// Each pull told its target what the source knew before; what the source learned in the other
  /// pull, and in a backup what the target knows now, is noted here. Purging waits for it.
  static void register_peer(Node& node, const std::vector<CapturedTable>& tables,
                            const Standing& stood, const Identity& peer,
                            const std::string& peer_name,
                            const std::vector<CapturedTable>& peer_tables) {
    // When two met is shown to people, and not worth a transaction more than once an hour.
    constexpr std::chrono::microseconds kRecent = std::chrono::hours(1);
    const std::int64_t now_us = node.clock_us();
    std::vector<std::size_t> outdated;
    in_snapshot(node, [&] {
      for (std::size_t i = 0; i < tables.size(); ++i) {
        const ActiveTable& table = tables[i].table;
        const auto peers = node.load_peers(table);
        const auto known = peers.find(peer.node_id);
        const auto meeting = stood.meetings.find(table.id);
        const bool told = known != peers.end() && meeting != stood.meetings.end() &&
                          meeting->second.shape == table.current_shape &&
                          now_us - meeting->second.met_at_us < kRecent.count() &&
                          known->second == peer_tables[i].state.knowledge;
        if (!told) outdated.push_back(i);
      }
    });
    if (outdated.empty()) return;
    in_write_transaction(node, [&] {
      node.save_origin_name(peer, peer_name);
      for (const std::size_t i : outdated) {
        const ActiveTable& table = tables[i].table;
        node.save_peer(table, peer.node_id, peer_tables[i].state.knowledge);
        node.save_meeting(table, peer.node_id, {.met_at_us = now_us, .shape = table.current_shape});
      }
    });
  }

  void purge(Node& node, std::vector<CapturedTable>& tables) const {
    constexpr std::chrono::microseconds kInterval = std::chrono::days(1);
    const std::int64_t now_us = node.clock_us();
    const bool due = std::any_of(tables.begin(), tables.end(), [&](const CapturedTable& captured) {
      return now_us - captured.state.purged_at_us >= kInterval.count();
    });
    if (!due) return;
    in_write_transaction(node, [&] {
      for (auto& [table, state] : tables) {
        state = node.load_state(table);
        std::vector<Knowledge> peers;
        for (auto& [peer, knowledge] : node.load_peers(table)) peers.push_back(knowledge);
        if (state.purged_at_us != 0) {  // the first time there is nothing old yet
          node.purge(table, state, now_us - tombstone_retention_.count(), peers);
        }
        state.purged_at_us = now_us;
        node.save_state(table, state);
      }
      if (options_.conflict_retention) {
        const std::chrono::microseconds kept = *options_.conflict_retention;
        node.drop_conflicts(now_us - kept.count());
      }
    });
  }

  void tell_locked_rows() {
    const auto tell = [this](const Node& node, const apply::PullReport& pull) {
      for (const auto& [table, counts] : pull.tables) {
        if (counts.locked == 0) continue;
        report_.warnings.push_back(
            "node " + node.name() + ": table " + table + ": " + std::to_string(counts.locked) +
            (counts.locked == 1 ? " change waits" : " changes wait") +
            " for another transaction that locks the row; the next session tries "
            "again");
      }
    };
    tell(second_, report_.to_second);
    tell(first_, report_.to_first);
  }

  void count_null_keys() {
    const bool seen = !report_.to_second.null_keys.empty() || !report_.to_first.null_keys.empty();
    if (!seen && !wrote()) return;
    const auto count = [this](Node& node, const std::vector<CapturedTable>& tables) {
      for (const CapturedTable& captured : tables) {
        const std::int64_t rows = node.count_null_keys(captured.table);
        if (rows > 0) report_.null_keys[node.name() + ": " + captured.table.spec.name] = rows;
      }
    };
    count(first_, first_tables_);
    count(second_, second_tables_);
  }

  void log_summary() const {
    if (!options_.log) return;
    const PullCounts to_second = report_.to_second.total();
    const PullCounts to_first = report_.to_first.total();
    options_.log->info("job {}: {} and {}: {} rows to {}, {} rows to {}, {} conflicts", job_.name,
                       first_.name(), second_.name(), to_second.changed(), second_.name(),
                       to_first.changed(), first_.name(), to_second.conflicts + to_first.conflicts);
    for (const std::string& problem : report_.problems) options_.log->warn("{}", problem);
    for (const std::string& warning : report_.warnings) options_.log->warn("{}", warning);
  }

  const JobConfig& job_;
  Node& first_;
  Node& second_;
  const std::chrono::microseconds tombstone_retention_;
  const SessionOptions& options_;
  SessionReport report_;
  Identity first_identity_;
  Identity second_identity_;
  std::vector<CapturedTable> first_tables_;
  std::vector<CapturedTable> second_tables_;
  std::set<std::size_t> first_joined_;  // tables
  /// Node and table -> why its capture could not be mended.
  std::map<std::pair<std::string, std::string>, std::string> in_the_way_;
  std::vector<bool> first_empty_;  // before the session
  std::vector<bool> second_empty_;
  Standing first_stands_;
  Standing second_stands_;
  std::vector<apply::TableOptions> table_options_;
};

}  // namespace

std::optional<std::int64_t> SessionReport::lag_to_second_us() const {
  if (to_second.visible_at_us == 0) return std::nullopt;
  const std::int64_t lag_us = to_second.visible_at_us - to_second.oldest_change_us - skew_us;
  return std::max<std::int64_t>(lag_us, 0);
}

std::optional<std::int64_t> SessionReport::lag_to_first_us() const {
  if (to_first.visible_at_us == 0) return std::nullopt;
  const std::int64_t lag_us = to_first.visible_at_us - to_first.oldest_change_us + skew_us;
  return std::max<std::int64_t>(lag_us, 0);
}

bool SessionReport::left_locked_rows() const {
  return to_second.total().locked > 0 || to_first.total().locked > 0;
}

bool SessionReport::quarantined() const {
  return !null_keys.empty() || to_second.total().quarantined > 0 ||
         to_first.total().quarantined > 0;
}

SessionReport run_session(const JobConfig& job, Node& first, Node& second,
                          std::chrono::days tombstone_retention, const SessionOptions& options) {
  Meeting meeting(first, second);
  return Session(job, meeting.first(), meeting.second(), tombstone_retention, options).run();
}

std::vector<TableSpec> select_tables(const JobConfig& job, Node& node) {
  std::vector<TableSpec> selected;
  for (TableSpec& table : node.catalog()) {
    if (!job.takes(table.name)) continue;
    if (!table.refusal.empty()) {
      if (!job.lists(table.name)) continue;
      throw Error(ExitCode::not_ready,
                  "job " + job.name + ": node " + node.name() + ": table " + table.name +
                      " cannot take part: it " + table.refusal,
                  "take it out of the job's tables, or change the table so that it can");
    }
    selected.push_back(std::move(table));
  }
  sort_parents_first(selected);
  return selected;
}

namespace {

struct Tables {
  std::vector<ActiveTable> active;
  std::vector<TableSpec> catalog;
};

/// What a node has, in one snapshot.
Tables look_at(Node& node) {
  Tables tables;
  node.begin_read();
  try {
    tables.active = node.active_tables();
    tables.catalog = node.catalog();
  } catch (...) {
    node.rollback();
    throw;
  }
  node.rollback();
  return tables;
}

}  // namespace

TablePlan plan_tables(const JobConfig& job, Node& first, Node& second) {
  TablePlan plan;
  Tables first_has;
  Tables second_has;
  run_on_both(
      first, second, [&] { first_has = look_at(first); }, [&] { second_has = look_at(second); });
  const auto& [first_active, first_catalog] = first_has;
  const auto& [second_active, second_catalog] = second_has;
  const std::set<std::string> names = wanted_names(job, first_active, second_active);
  std::vector<TableSpec> order;
  for (const std::string& name : names) {
    const ActiveTable* here = find_table(first_active, name);
    const ActiveTable* there = find_table(second_active, name);
    const bool first_lacks = is_absent(here, first_catalog, name);
    if (!job.lists(name) && (first_lacks || is_absent(there, second_catalog, name))) {
      plan.warnings.push_back("table " + name + " is missing on node " +
                              (first_lacks ? first : second).name() +
                              ": create it there, or exclude it from the job");
      continue;
    }
    if (here == nullptr || there == nullptr) {
      note_new_table(name, here, there, first_catalog, second_catalog, plan);
    }
    std::string problem = obstacle(first, here, name);
    if (problem.empty()) problem = obstacle(second, there, name);
    if (!problem.empty()) {
      plan.problems.push_back(std::move(problem));
      continue;
    }
    const std::vector<std::string> differences = shape_differences(here->spec, there->spec);
    for (const std::string& difference : differences) {
      plan.problems.push_back("table " + name + " differs between nodes " + first.name() +
                              " (here) and " + second.name() + " (there): " + difference +
                              told_change(first, *here) + told_change(second, *there));
    }
    if (!differences.empty()) continue;
    order.push_back(here->spec);
    warn_of_lone_uniques(here->spec, first, there->spec, second, plan.warnings);
    warn_of_lone_uniques(there->spec, second, here->spec, first, plan.warnings);
  }
  for (const TableSpec& table : first_catalog) {
    if (!job.takes(table.name) || names.contains(table.name)) continue;
    note_new_table(table.name, nullptr, nullptr, first_catalog, second_catalog, plan);
  }
  warn_of_uncaptured(job, first, first_catalog, names, plan.warnings);
  warn_of_uncaptured(job, second, second_catalog, names, plan.warnings);
  std::set<std::string> taken;
  for (const TableSpec& spec : order) taken.insert(spec.name);
  for (const CutRelation& relation : cut_relations(first_catalog, taken)) {
    plan.warnings.push_back(relation.what());
  }
  sort_parents_first(order);
  for (const TableSpec& spec : order) {
    TablePlan::Entry entry{.first = *find_table(first_active, spec.name),
                           .second = *find_table(second_active, spec.name),
                           .policy = job.policy_of(spec.name)};
    entry.second.spec = aligned(entry.second.spec, entry.first.spec);
    const bool fire_triggers = job.fires_triggers(spec.name);
    entry.first.fire_triggers = entry.first.fire_triggers || fire_triggers;
    entry.second.fire_triggers = entry.second.fire_triggers || fire_triggers;
    plan.tables.push_back(std::move(entry));
  }
  return plan;
}

std::string CutRelation::what() const {
  if (child_is_taken) {
    return "table " + child + " refers to table " + parent +
           ", which the job leaves out: rows whose parent is not there will wait in quarantine";
  }
  return "table " + parent + " is referred to by table " + child +
         ", which the job leaves out: rows that it refers to will not be deleted";
}

std::vector<CutRelation> cut_relations(const std::vector<TableSpec>& catalog,
                                       const std::set<std::string>& taken) {
  std::set<std::string> existing;
  for (const TableSpec& table : catalog) existing.insert(table.name);
  std::vector<CutRelation> cut;
  for (const TableSpec& table : catalog) {
    const bool child_is_taken = taken.contains(table.name);
    for (const ForeignKeySpec& foreign_key : table.foreign_keys) {
      const std::string& parent = foreign_key.parent_table;
      if (!existing.contains(parent) || taken.contains(parent) == child_is_taken) continue;
      cut.push_back({.child = table.name, .parent = parent, .child_is_taken = child_is_taken});
    }
  }
  return cut;
}

void sort_parents_first(std::vector<TableSpec>& tables) {
  std::sort(tables.begin(), tables.end(),
            [](const TableSpec& a, const TableSpec& b) { return a.name < b.name; });
  std::vector<TableSpec> sorted;
  std::set<std::string> entered;  // a cycle is broken where the walk meets it again
  const std::function<void(const TableSpec&)> visit = [&](const TableSpec& table) {
    if (!entered.insert(table.name).second) return;
    for (const ForeignKeySpec& foreign_key : table.foreign_keys) {
      const auto parent = std::find_if(tables.begin(), tables.end(), [&](const TableSpec& other) {
        return other.name == foreign_key.parent_table;
      });
      if (parent != tables.end()) visit(*parent);
    }
    sorted.push_back(table);
  };
  for (const TableSpec& table : tables) visit(table);
  tables = std::move(sorted);
}

}  // namespace tidemark::scheduler
