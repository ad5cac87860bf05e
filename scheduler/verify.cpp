#include "scheduler/verify.h"

#include "scheduler/meeting.h"

#include <algorithm>
#include <exception>
#include <optional>
#include <thread>

#include "capture/identity.h"
#include "model/error.h"
#include "model/table.h"

namespace tidemark::scheduler {
namespace {

/// Keys that one round of repair takes in hand; a table that differs more takes several rounds.
constexpr std::size_t kRepairBatch = 50'000;

/// Ends a read transaction; a Node that failed is left to roll back.
class ReadTransaction {
 public:
  explicit ReadTransaction(Node& node) : node_(node) { node_.begin_read(); }
  ~ReadTransaction() { node_.rollback(); }
  ReadTransaction(const ReadTransaction&) = delete;
  ReadTransaction& operator=(const ReadTransaction&) = delete;

 private:
  Node& node_;
};

class WriteTransaction {
 public:
  explicit WriteTransaction(Node& node) : node_(node) { node_.begin_write(); }
  ~WriteTransaction() {
    if (!ended_) node_.rollback();
  }
  WriteTransaction(const WriteTransaction&) = delete;
  WriteTransaction& operator=(const WriteTransaction&) = delete;

  void commit() {
    node_.commit();
    ended_ = true;
  }

 private:
  Node& node_;
  bool ended_ = false;
};

void require_activated(Node& node) {
  if (node.identity()) return;
  throw Error(ExitCode::not_ready, "node " + node.name() + " is not activated",
              "run 'tidemark activate " + node.name() + "'");
}

std::vector<TableDigest> digests(Node& node, const std::vector<ActiveTable>& tables,
                                 const apply::Progress& progress) {
  const ReadTransaction transaction(node);
  std::vector<TableDigest> result;
  for (const ActiveTable& table : tables) {
    if (progress) {
      progress("reading", table.spec.name, static_cast<std::int64_t>(result.size()),
               static_cast<std::int64_t>(tables.size()));
    }
    result.push_back(node.digest(table));
  }
  return result;
}

struct BothDigests {
  std::vector<TableDigest> first;
  std::vector<TableDigest> second;
};

/// Reads both nodes at once, each in a thread of its own.
BothDigests read_both(const TablePlan& plan, Node& first, Node& second,
                      const apply::Progress& progress) {
  std::vector<ActiveTable> first_tables;
  std::vector<ActiveTable> second_tables;
  for (const TablePlan::Entry& entry : plan.tables) {
    first_tables.push_back(entry.first);
    second_tables.push_back(entry.second);
  }
  BothDigests both;
  std::exception_ptr failure;
  std::thread reader([&] {
    try {
      both.second = digests(second, second_tables, nullptr);
    } catch (...) {
      failure = std::current_exception();
    }
  });
  try {
    both.first = digests(first, first_tables, progress);
  } catch (...) {
    reader.join();
    throw;
  }
  reader.join();
  if (failure) std::rethrow_exception(failure);
  return both;
}

std::vector<TableVerification> merge_all(const std::vector<const TablePlan::Entry*>& entries,
                                         Node& first, Node& second, Mode mode,
                                         const VerifyOptions& options) {
  std::vector<capture::CapturedTable> first_tables;
  std::vector<capture::CapturedTable> second_tables;
  for (const TablePlan::Entry* entry : entries) {
    first_tables.push_back({.table = entry->first, .state = {}});
    second_tables.push_back({.table = entry->second, .state = {}});
  }
  HarvestedSnapshot first_snapshot(first, first_tables);
  HarvestedSnapshot second_snapshot(second, second_tables);
  std::vector<TableVerification> results;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    results.push_back(compare_rows({.first = first,
                                    .second = second,
                                    .first_table = first_tables[i],
                                    .second_table = second_tables[i],
                                    .mode = mode,
                                    .shown = options.shown,
                                    .progress = options.progress}));
  }
  first_snapshot.commit();
  second_snapshot.commit();
  return results;
}

const TablePlan::Entry& entry_of(const TablePlan& plan, const std::string& table) {
  return *std::find_if(plan.tables.begin(), plan.tables.end(), [&](const TablePlan::Entry& entry) {
    return entry.first.spec.name == table;
  });
}

std::vector<std::string> column_names(const TableSpec& spec) {
  std::vector<std::string> names;
  for (const ColumnSpec& column : spec.columns) names.push_back(column.name);
  return names;
}

/// One key that differs on both sides, as the conflict that the repair settles.
Conflict settled(const JobConfig& job, const TablePlan::Entry& entry, const Difference& difference,
                 const LocalRow& winner, const LocalRow& loser, Node& first, Node& second,
                 const std::string& session_id) {
  Conflict conflict;
  conflict.session_id = session_id;
  conflict.job = job.name;
  conflict.found_at_us = second.clock_us();
  conflict.table = difference.table;
  conflict.columns = column_names(entry.first.spec);
  conflict.key_columns = entry.first.spec.key;
  conflict.key = difference.key;
  conflict.type = winner.version && loser.version ? ConflictType::update_differs
                                                  : ConflictType::baseline_differs;
  conflict.policy = Policy::first_node;
  conflict.status = ConflictStatus::resolved;
  conflict.winner = {
      .node = first.name(), .version = winner.version, .present = true, .row = winner.row};
  conflict.loser = {
      .node = second.name(), .version = loser.version, .present = true, .row = loser.row};
  conflict.id = conflict_id(conflict);
  return conflict;
}

/// Keeps the rows of the second node that the first node's will replace.
void log_losers(const JobConfig& job, const TablePlan& plan,
                const std::vector<Difference>& differences, Node& first, Node& second,
                const std::string& session_id) {
  const ReadTransaction reading(first);
  WriteTransaction writing(second);
  for (const Difference& difference : differences) {
    if (difference.kind != DifferenceKind::rows_differ) continue;
    const TablePlan::Entry& entry = entry_of(plan, difference.table);
    const std::vector<ValueView> key = to_views(difference.key);
    const LocalRow winner = first.find(entry.first, key);
    const LocalRow loser = second.find(entry.second, key);
    if (!winner.present || !loser.present || winner.row == loser.row) continue;
    second.log_conflict(settled(job, entry, difference, winner, loser, first, second, session_id));
  }
  writing.commit();
}

/// Touches the keys for which `chosen` says yes, so that the next session carries the node's rows.
template <typename Chosen>
void touch(Node& node, const TablePlan& plan, const std::vector<Difference>& differences,
           bool node_is_first, Chosen chosen) {
  WriteTransaction writing(node);
  for (const Difference& difference : differences) {
    if (!chosen(difference.kind)) continue;
    const TablePlan::Entry& entry = entry_of(plan, difference.table);
    node.touch(node_is_first ? entry.first : entry.second, to_views(difference.key));
  }
  writing.commit();
}

std::vector<Difference> all_shown(const VerifyReport& report) {
  std::vector<Difference> differences;
  for (const TableVerification& table : report.tables) {
    if (table.unmet) continue;
    differences.insert(differences.end(), table.shown.begin(), table.shown.end());
  }
  return differences;
}

/// Leaves only as many differences in the report as somebody wants to read.
void shorten(VerifyReport& report, std::size_t shown) {
  for (TableVerification& table : report.tables) {
    if (table.shown.size() > shown) table.shown.resize(shown);
  }
}

void mend(const JobConfig& job, Node& first_node, Node& second_node,
          const std::vector<Difference>& differences, const std::string& session_id) {
  Meeting meeting(first_node, second_node);
  Node& first = meeting.first();
  Node& second = meeting.second();
  const TablePlan plan = plan_tables(job, first, second);
  if (job.mode == Mode::two_way) {
    log_losers(job, plan, differences, first, second, session_id);
    touch(first, plan, differences, true,
          [](DifferenceKind kind) { return kind != DifferenceKind::missing_at_first; });
    touch(second, plan, differences, false,
          [](DifferenceKind kind) { return kind == DifferenceKind::missing_at_first; });
    return;
  }
  // A touched key of a backup's target is set back by the next session, which logs the target's
  // row.
  touch(first, plan, differences, true,
        [](DifferenceKind kind) { return kind == DifferenceKind::missing_at_second; });
  touch(second, plan, differences, false,
        [](DifferenceKind kind) { return kind != DifferenceKind::missing_at_second; });
}

}  // namespace

std::int64_t VerifyReport::rows() const {
  std::int64_t sum = 0;
  for (const TableVerification& table : tables) sum += table.rows_first;
  return sum;
}

std::int64_t VerifyReport::different() const {
  std::int64_t sum = 0;
  for (const TableVerification& table : tables) sum += table.different;
  return sum;
}

std::int64_t VerifyReport::pending() const {
  std::int64_t sum = 0;
  for (const TableVerification& table : tables) sum += table.pending;
  return sum;
}

VerifyReport verify(const JobConfig& job, Node& first_node, Node& second_node,
                    const VerifyOptions& options) {
  Meeting meeting(first_node, second_node);
  Node& first = meeting.first();
  Node& second = meeting.second();
  VerifyReport report;
  report.job = job.name;
  report.first = first.name();
  report.second = second.name();
  report.mode = job.mode;
  report.started_at_us = first.clock_us();
  require_activated(first);
  require_activated(second);
  const TablePlan plan = plan_tables(job, first, second);
  report.problems = plan.problems;
  report.warnings = plan.warnings;
  if (plan.tables.empty()) {
    // Nothing was compared, so nothing is proven.
    std::string message = "job " + job.name + ": no table of nodes " + first.name() + " and " +
                          second.name() + " can be compared";
    if (!report.problems.empty()) message += ": " + report.problems.front();
    throw Error(ExitCode::not_ready, message,
                "run 'tidemark check " + job.name + "' to see every table");
  }
  const BothDigests both = read_both(plan, first, second, options.progress);
  std::vector<const TablePlan::Entry*> unequal;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < plan.tables.size(); ++i) {
    TableVerification table;
    table.table = plan.tables[i].first.spec.name;
    table.rows_first = both.first[i].rows;
    table.rows_second = both.second[i].rows;
    report.tables.push_back(std::move(table));
    if (both.first[i] == both.second[i]) continue;
    unequal.push_back(&plan.tables[i]);
    places.push_back(i);
  }
  if (!unequal.empty()) {
    std::vector<TableVerification> merged = merge_all(unequal, first, second, job.mode, options);
    for (std::size_t i = 0; i < places.size(); ++i) report.tables[places[i]] = std::move(merged[i]);
  }
  report.finished_at_us = first.clock_us();
  return report;
}

RepairReport repair(const JobConfig& job, Node& first, Node& second,
                    std::chrono::days tombstone_retention, const VerifyOptions& options,
                    const SessionOptions& session_options) {
  RepairReport report;
  report.sessions.push_back(run_session(job, first, second, tombstone_retention, session_options));
  VerifyOptions collecting = options;
  collecting.shown = kRepairBatch;
  report.before = verify(job, first, second, collecting);
  std::vector<Difference> differences = all_shown(report.before);
  report.after = report.before;
  std::int64_t left = report.before.different();
  while (!differences.empty()) {
    const std::string session_id = capture::random_uuid().to_string();
    mend(job, first, second, differences, session_id);
    SessionOptions carrying = session_options;
    carrying.session_id = session_id;
    report.sessions.push_back(run_session(job, first, second, tombstone_retention, carrying));
    report.after = verify(job, first, second, collecting);
    const std::int64_t now = report.after.different();
    // A row that the other side cannot hold stays different: a round that mends nothing is the
    // last.
    if (now >= left) break;
    report.repaired += left - now;
    left = now;
    differences = all_shown(report.after);
  }
  shorten(report.before, options.shown);
  shorten(report.after, options.shown);
  return report;
}

}  // namespace tidemark::scheduler
