#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <map>
#include <optional>
#include <thread>

#include "cli/capture_trouble.h"
#include "cli/commands.h"
#include "cli/conflict_book.h"
#include "cli/context.h"
#include "cli/interrupt.h"
#include "cli/json.h"
#include "cli/session_text.h"
#include "cli/text.h"
#include "cli/time_text.h"
#include "scheduler/control_socket.h"
#include "scheduler/key_ranges.h"
#include "scheduler/lag_history.h"
#include "scheduler/oldest_changes.h"

namespace tidemark::cli {
namespace {

using scheduler::JobConfig;
using scheduler::Mode;

struct TableStatus {
  TableState state;
  std::int64_t pending = 0;  // entries of the change log
};

/// The numbers that new rows of a table get.
struct RangeStatus {
  std::string table;
  KeyRange range;
  std::int64_t left = 0;

  bool is_short() const { return left <= (range.high - range.low + 1) / scheduler::kRangeReserve; }
};

struct NodeStatus {
  std::string name;
  std::optional<Error> failure;
  std::optional<Identity> identity;
  std::map<std::string, TableStatus> tables;
  std::int64_t pending = 0;
  std::int64_t oldest_pending_us = 0;
  std::int64_t open_conflicts = 0;
  std::int64_t quarantined = 0;                        // rows that wait
  std::map<std::string, CaptureTrouble> lost_capture;  // by the name of the table
  std::vector<RegisteredPeer> awaited;  // peers that keep old tombstones from being purged
  std::vector<RangeStatus> ranges;
  std::vector<SessionRecord> sessions;  // the newest first
};

/// What waits between two nodes of a job.
struct PairStatus {
  const JobConfig* job = nullptr;
  std::string first;
  std::string second;
  bool known = false;  // both nodes could be read and are activated
  bool met = true;     // they have exchanged every table since it was activated
  std::int64_t to_second = 0;
  std::int64_t to_first = 0;  // in a backup: changes of the target that will be set back
  std::int64_t last_session_us = 0;
  // When the oldest change was made that the node misses; 0: none that is known of.
  std::int64_t second_behind_us = 0;
  std::int64_t first_behind_us = 0;
};

/// Sessions to look through for the last of each pair.
constexpr std::int64_t kSessionsRead = 200;

/// Peers that have not seen everything, and were not met for longer than tombstones are kept.
void find_awaited(Node& node, const std::vector<ActiveTable>& tables,
                  std::chrono::days tombstone_retention, NodeStatus& status) {
  const std::int64_t long_ago = now_us() - std::chrono::microseconds(tombstone_retention).count();
  for (const auto& registered : node.registered_peers()) {
    const auto& peer = registered.second;
    if (peer.met_at_us > long_ago) continue;
    const bool behind = std::any_of(tables.begin(), tables.end(), [&](const ActiveTable& table) {
      if (table.health == CaptureHealth::table_missing) return false;
      const auto peers = node.load_peers(table);
      const auto known = peers.find(registered.first);
      return known != peers.end() && !known->second.covers(node.load_state(table).knowledge);
    });
    if (behind) status.awaited.push_back(peer);
  }
}

void read_range(Node& node, const ActiveTable& table, NodeStatus& status) {
  const std::vector<GivenRange> ranges = node.key_ranges(table);
  if (ranges.empty()) return;
  const KeyCounter counter = node.key_counter(table.spec);
  std::optional<KeyRange> range;  // the one in use, or the first that would be
  for (const GivenRange& given : ranges) {
    if (given.node != status.identity->node_id) continue;
    range = given.range;
    if (given.range.high >= counter.next) break;
  }
  if (!range) return;
  const std::int64_t next = std::max(counter.next, range->low);
  status.ranges.push_back({.table = table.spec.name,
                           .range = *range,
                           .left = std::max<std::int64_t>(0, range->high - next + 1)});
}

void read_node(Node& node, std::chrono::days tombstone_retention, NodeStatus& status) {
  status.identity = node.identity();
  if (!status.identity) return;
  node.begin_read();
  try {
    const std::vector<ActiveTable> tables = node.active_tables();
    find_awaited(node, tables, tombstone_retention, status);
    status.quarantined = node.count_quarantined();
    for (const ActiveTable& table : tables) {
      const bool intact = table.health == CaptureHealth::intact;
      if (!intact) {
        status.lost_capture.emplace(table.spec.name, capture_trouble(table, node.name()));
      }
      if (table.health == CaptureHealth::table_missing) continue;
      TableStatus each;
      each.state = node.load_state(table);
      if (intact) read_range(node, table, status);
      std::int64_t oldest_us = 0;
      // Where capture is damaged the log itself may be gone.
      if (intact) std::tie(each.pending, oldest_us) = node.pending(table);
      status.pending += each.pending;
      if (each.pending > 0 &&
          (status.oldest_pending_us == 0 || oldest_us < status.oldest_pending_us)) {
        status.oldest_pending_us = oldest_us;
      }
      status.tables.emplace(table.spec.name, std::move(each));
    }
    status.open_conflicts = node.count_conflicts(ConflictStatus::open);
    status.sessions = node.sessions(kSessionsRead);
  } catch (...) {
    node.rollback();
    throw;
  }
  node.rollback();
}

/// Changes that `source` has and `target` has not seen; more than one change of a row may count as
/// more than one.
std::int64_t unseen(const TableStatus& source, const TableStatus& target) {
  std::int64_t count = source.pending;
  for (const auto& [origin, sequence] : source.state.knowledge.entries()) {
    count += std::max<std::int64_t>(0, sequence - target.state.knowledge.of(origin).value_or(0));
  }
  return count;
}

PairStatus compare_pair(const JobConfig& job, const NodeStatus& first, const NodeStatus& second) {
  PairStatus pair;
  pair.job = &job;
  pair.first = first.name;
  pair.second = second.name;
  pair.known = first.identity && second.identity && !first.failure && !second.failure;
  for (const auto* node : {&first, &second}) {
    for (const SessionRecord& record : node->sessions) {
      const bool of_pair = (record.source == first.name && record.target == second.name) ||
                           (record.source == second.name && record.target == first.name);
      if (!of_pair || record.job != job.name) continue;
      pair.last_session_us = std::max(pair.last_session_us, record.finished_at_us);
      break;
    }
  }
  if (!pair.known) return pair;
  for (const auto& [name, here] : first.tables) {
    const auto there = second.tables.find(name);
    if (there == second.tables.end() || !job.takes(name)) continue;
    const TableState& other = there->second.state;
    if (here.state.baseline != other.baseline) pair.met = false;
    pair.to_second += unseen(here, there->second);
    pair.to_first += job.mode == Mode::two_way
                         ? unseen(there->second, here)
                         : there->second.pending + other.sequence() -
                               std::max<std::int64_t>(0, other.mirrored_sequence);
  }
  return pair;
}

/// Of what a daemon of the pair says, and what its source says now, the earlier is right: a row
/// that was changed again and harvested has its last change alone.
std::int64_t find_behind_us(Context& context, const JobConfig& job, const NodeStatus& source,
                            const NodeStatus& target, const Json& told) {
  // A daemon that was not restarted after an upgrade does not say.
  const bool is_told = told.contains("behind_since_us") && !told["behind_since_us"].is_null();
  const std::int64_t before_us = is_told ? told["behind_since_us"].get<std::int64_t>() : 0;
  if (source.failure) return before_us;
  if (!source.identity) return 0;
  try {
    const std::int64_t now_us =
        scheduler::find_behind(context.node(source.name, Access::read_only), job, target.name)
            .since_us;
    if (now_us == 0 || before_us == 0) return now_us;
    return std::min(now_us, before_us);
  } catch (const Error& error) {  // it went away since it was read
    if (error.code() == ExitCode::interrupted) throw;
    return before_us;
  }
}

/// What a daemon, or the file of the one that ran last, says of the lag in one direction.
Json told_lag(const Json& daemon, const Json& kept, const std::string& job,
              const std::string& source, const std::string& target) {
  for (const Json& lag : kept) {
    if (lag["job"] == job && lag["source"] == source && lag["target"] == target) return lag;
  }
  if (daemon.is_null()) return nullptr;
  for (const Json& each : daemon["jobs"]) {
    if (each["job"] != job) continue;
    for (const Json& pair : each["pairs"]) {
      if (pair["first"] == source && pair["second"] == target) return pair["lag_to_second"];
      if (pair["first"] == target && pair["second"] == source) return pair["lag_to_first"];
    }
  }
  return nullptr;
}

void find_behind(Context& context, const Json& daemon, const Json& kept, const NodeStatus& first,
                 const NodeStatus& second, PairStatus& pair) {
  const auto behind_us = [&](const NodeStatus& source, const NodeStatus& target) {
    return find_behind_us(context, *pair.job, source, target,
                          told_lag(daemon, kept, pair.job->name, source.name, target.name));
  };
  // Both were asked, and the target knows all that the source has: it came another way.
  if (!pair.known || !pair.met || pair.to_second > 0) {
    pair.second_behind_us = behind_us(first, second);
  }
  if (pair.job->mode == Mode::two_way && (!pair.known || !pair.met || pair.to_first > 0)) {
    pair.first_behind_us = behind_us(second, first);
  }
}

std::string state_of(const NodeStatus& node) {
  if (node.failure) return "unreachable";
  if (!node.identity) return "not_activated";
  return node.lost_capture.empty() ? "ok" : "capture_lost";
}

Json node_json(const NodeStatus& node) {
  Json json = {{"node", node.name}, {"state", state_of(node)}};
  if (node.failure) {
    json["error"] = error_json(*node.failure);
    return json;
  }
  if (!node.identity) return json;
  json["node_id"] = node.identity->node_id.to_string();
  json["incarnation"] = node.identity->incarnation;
  json["tables"] = node.tables.size();
  json["pending"] = node.pending;
  json["oldest_pending_at"] = node.pending > 0 ? time_json(node.oldest_pending_us) : Json(nullptr);
  json["open_conflicts"] = node.open_conflicts;
  json["quarantined"] = node.quarantined;
  json["capture_lost"] = Json::array();
  for (const auto& [table, trouble] : node.lost_capture) json["capture_lost"].push_back(table);
  Json awaited = Json::array();
  for (const RegisteredPeer& peer : node.awaited) {
    awaited.push_back({{"peer", peer.name}, {"met_at", time_json(peer.met_at_us)}});
  }
  json["purge_waits_for"] = std::move(awaited);
  Json ranges = Json::array();
  for (const RangeStatus& each : node.ranges) {
    ranges.push_back({{"table", each.table},
                      {"low", std::to_string(each.range.low)},
                      {"high", std::to_string(each.range.high)},
                      {"left", std::to_string(each.left)}});
  }
  json["key_ranges"] = std::move(ranges);
  json["last_session_at"] =
      node.sessions.empty() ? Json(nullptr) : time_json(node.sessions.front().finished_at_us);
  return json;
}

Json pair_json(const PairStatus& pair) {
  Json json = {{"job", pair.job->name},
               {"mode", scheduler::to_string(pair.job->mode)},
               {"first", pair.first},
               {"second", pair.second},
               {"known", pair.known}};
  if (pair.known) {
    json["met"] = pair.met;
    json["to_second"] = pair.to_second;
    json[pair.job->mode == Mode::two_way ? "to_first" : "to_set_back"] = pair.to_first;
  }
  const auto since = [](std::int64_t us) { return us == 0 ? Json(nullptr) : time_json(us); };
  json["second_behind_since"] = since(pair.second_behind_us);
  if (pair.job->mode == Mode::two_way) json["first_behind_since"] = since(pair.first_behind_us);
  json["last_session_at"] = time_json(pair.last_session_us);
  return json;
}

std::string when(std::int64_t time_us, std::int64_t now) {
  return time_us == 0 ? "never" : short_time(time_us) + " (" + relative_time(time_us, now) + ")";
}

std::string nodes_text(const std::vector<NodeStatus>& nodes, std::int64_t now) {
  using Align = TextTable::Align;
  TextTable table({{"node"},
                   {"state", Align::left, colour_of_state},
                   {"tables", Align::right},
                   {"pending", Align::right},
                   {"oldest"},
                   {"open conflicts", Align::right, colour_of_count},
                   {"last written by a session"}});
  for (const NodeStatus& node : nodes) {
    if (node.failure || !node.identity) {
      table.add({node.name, node.failure ? "unreachable" : "not activated", "", "", "", "", ""});
      continue;
    }
    table.add({node.name, node.lost_capture.empty() ? "ok" : "capture lost",
               grouped(static_cast<std::int64_t>(node.tables.size())), grouped(node.pending),
               node.pending > 0 ? relative_time(node.oldest_pending_us, now) : "",
               grouped(node.open_conflicts),
               when(node.sessions.empty() ? 0 : node.sessions.front().finished_at_us, now)});
  }
  return table.render();
}

std::string waiting_text(const PairStatus& pair) {
  if (!pair.known) return "not known";
  if (!pair.met) return "first session has yet to come";
  if (pair.to_second == 0 && pair.to_first == 0) return "nothing";
  std::string text;
  if (pair.to_second > 0) text = grouped(pair.to_second) + " to " + pair.second;
  if (pair.to_first > 0) {
    if (!text.empty()) text += ", ";
    text += grouped(pair.to_first) +
            (pair.job->mode == Mode::two_way ? " to " + pair.first : " to set back");
  }
  return text;
}

std::string behind_text(const PairStatus& pair, std::int64_t now) {
  std::string text;
  const auto add = [&](const std::string& node, std::int64_t since_us) {
    if (since_us == 0) return;
    text += (text.empty() ? "" : ", ") + node + ": " + when(since_us, now);
  };
  add(pair.second, pair.second_behind_us);
  add(pair.first, pair.first_behind_us);
  return text;
}

std::string pairs_text(const std::vector<PairStatus>& pairs, std::int64_t now) {
  TextTable table({{"job"},
                   {"nodes"},
                   {"changes waiting"},
                   {"behind since"},
                   {"last session that moved something"}});
  for (const PairStatus& pair : pairs) {
    table.add({pair.job->name, pair_text(pair.first, pair.second, pair.job->mode),
               waiting_text(pair), behind_text(pair, now), when(pair.last_session_us, now)});
  }
  return table.render();
}

/// What the daemon of this configuration says of itself; null where none runs.
Json ask_daemon(Context& context) {
  try {
    const auto daemon = scheduler::ControlClient::connect(context.config().daemon.socket);
    if (daemon == nullptr) return nullptr;
    Json status = daemon->ask({{"do", "status"}}, throw_if_interrupted);
    status.erase("ok");
    return status;
  } catch (const Error& error) {
    if (error.code() == ExitCode::interrupted) throw;
    context.warn(error.what());
    return nullptr;
  }
}

/// Every number named ..._us that is a time of day becomes ..._at.
Json daemon_json(const Json& daemon) {
  if (daemon.is_null()) return nullptr;
  Json shown = daemon;
  const auto to_time = [](Json& object, const std::string& from, const std::string& to) {
    if (!object.contains(from)) return;
    object[to] = object[from].is_null() ? Json(nullptr) : time_json(object[from]);
    object.erase(from);
  };
  to_time(shown, "since_us", "since");
  for (Json& job : shown["jobs"]) {
    to_time(job, "next_us", "next_at");
    for (Json& pair : job["pairs"]) {
      to_time(pair, "last_session_us", "last_session_at");
      to_time(pair, "last_success_us", "last_success_at");
      to_time(pair, "next_try_us", "next_try_at");
      for (const char* way : {"lag_to_second", "lag_to_first"}) {
        Json& lag = pair[way];
        if (lag.is_null()) continue;
        to_time(lag, "last_at_us", "last_at");
        to_time(lag, "heartbeat_on_its_way_us", "heartbeat_on_its_way_since");
        to_time(lag, "behind_since_us", "behind_since");
        for (Json& hour : lag["hours"]) to_time(hour, "since_us", "since");
      }
    }
  }
  return shown;
}

/// A heartbeat that has been on its way for longer than this is told.
constexpr std::int64_t kLongOnItsWayUs = 2'000'000;

std::string lag_text(const Json& lags, std::int64_t now) {
  if (lags.is_null()) return "";
  std::string text;
  if (!lags["p50_us"].is_null()) {
    text = duration_text(lags["p50_us"]) + " / " + duration_text(lags["p99_us"]);
  }
  const Json& since = lags["heartbeat_on_its_way_us"];
  if (since.is_null() || now - since.get<std::int64_t>() < kLongOnItsWayUs) return text;
  return text + (text.empty() ? "" : ", ") + "a heartbeat for " +
         duration_text(now - since.get<std::int64_t>());
}

/// The longest lag of the last day, either way.
std::string most_text(const Json& pair, std::int64_t now) {
  constexpr std::int64_t kDayUs = 24LL * 3600 * 1'000'000;
  std::optional<std::int64_t> most_us;
  for (const char* way : {"lag_to_second", "lag_to_first"}) {
    if (pair[way].is_null()) continue;
    for (const Json& hour : pair[way]["hours"]) {
      if (hour["since_us"].get<std::int64_t>() < now - kDayUs) continue;
      most_us = std::max(most_us.value_or(0), hour["most_us"].get<std::int64_t>());
    }
  }
  return most_us ? duration_text(*most_us) : "";
}

/// What the daemon that ran last measured, where none runs now.
Json kept_lags(Context& context) {
  Json list = Json::array();
  for (const auto& [key, kept] :
       scheduler::load_lags(scheduler::lag_file_of(context.config().daemon.state))) {
    Json lag = scheduler::lag_json(kept.lags, std::nullopt, kept.behind);
    if (lag.is_null()) continue;
    list.push_back({{"job", key.job}, {"source", key.source}, {"target", key.target}});
    list.back().update(lag);
  }
  return list;
}

Json kept_json(const Json& kept) {
  Json shown = kept;
  for (Json& lag : shown) {
    lag.erase("heartbeat_on_its_way_us");
    for (const auto& [from, to] :
         {std::pair("last_at_us", "last_at"), std::pair("behind_since_us", "behind_since")}) {
      lag[to] = lag[from].is_null() ? Json(nullptr) : time_json(lag[from]);
      lag.erase(from);
    }
    for (Json& hour : lag["hours"]) {
      hour["since"] = time_json(hour["since_us"]);
      hour.erase("since_us");
    }
  }
  return shown;
}

std::string kept_text(const Json& kept, std::int64_t now) {
  std::string text = "no daemon runs\n";
  if (kept.empty()) return text;
  TextTable table({{"job"}, {"from"}, {"to"}, {"lag, p50 / p99"}, {"measured last"}});
  for (const Json& lag : kept) {
    const Json& last_us = lag["last_at_us"];
    table.add({lag["job"], lag["source"], lag["target"], lag_text(lag, now),
               when(last_us.is_null() ? 0 : last_us.get<std::int64_t>(), now)});
  }
  return text + "\n" + table.render();
}

std::string daemon_text(const Json& daemon, std::int64_t now) {
  std::string text = "daemon: process " + std::to_string(daemon["pid"].get<int>()) + ", since " +
                     short_time(daemon["since_us"]) + "\n\n";
  TextTable table({{"job"},
                   {"nodes"},
                   {"schedule"},
                   {"state"},
                   {"lag to second, p50 / p99"},
                   {"to first"},
                   {"most in a day"},
                   {"next"}});
  for (const Json& job : daemon["jobs"]) {
    for (const Json& pair : job["pairs"]) {
      std::string next = job["next_us"].is_null() ? "" : relative_time(job["next_us"], now);
      if (pair.contains("next_try_us")) next = relative_time(pair["next_try_us"], now);
      table.add({job["job"],
                 pair["first"].get<std::string>() + ", " + pair["second"].get<std::string>(),
                 job["schedule"], pair.contains("error") ? "failing" : job["state"],
                 lag_text(pair["lag_to_second"], now), lag_text(pair["lag_to_first"], now),
                 most_text(pair, now), next});
    }
  }
  text += table.render();
  for (const Json& job : daemon["jobs"]) {
    for (const Json& pair : job["pairs"]) {
      if (!pair.contains("error")) continue;
      text +=
          printable(job["job"].get<std::string>() + ": " + pair["error"].get<std::string>()) + "\n";
    }
  }
  return text;
}

constexpr std::chrono::seconds kWatchInterval(2);
/// Clears the terminal and goes to its first line.
constexpr char kClear[] = "\x1b[H\x1b[2J\x1b[3J";

int show_status(Context& context) {
  std::vector<NodeStatus> nodes;
  std::map<std::string, std::size_t> places;
  std::vector<ExitCode> failures;
  for (const std::string& name : nodes_in_jobs(context.config())) {
    throw_if_interrupted();
    NodeStatus status;
    status.name = name;
    try {
      read_node(context.node(name, Access::read_only), context.config().tombstone_retention,
                status);
    } catch (const Error& error) {
      status.failure = error;
      failures.push_back(error.code());
    }
    places.emplace(name, nodes.size());
    nodes.push_back(std::move(status));
  }
  const Json daemon = ask_daemon(context);
  const Json kept = daemon.is_null() ? kept_lags(context) : Json::array();
  std::vector<PairStatus> pairs;
  for (const JobConfig& job : context.config().jobs) {
    for (std::size_t i = 1; i < job.nodes.size(); ++i) {
      const NodeStatus& first = nodes[places.at(job.nodes[0])];
      const NodeStatus& second = nodes[places.at(job.nodes[i])];
      pairs.push_back(compare_pair(job, first, second));
      find_behind(context, daemon, kept, first, second, pairs.back());
    }
  }

  Json node_list = Json::array();
  for (const NodeStatus& node : nodes) node_list.push_back(node_json(node));
  Json pair_list = Json::array();
  for (const PairStatus& pair : pairs) pair_list.push_back(pair_json(pair));
  const std::int64_t now = now_us();
  context.output().document("status", {{"at", rfc3339(now)},
                                       {"nodes", std::move(node_list)},
                                       {"pairs", std::move(pair_list)},
                                       {"daemon", daemon_json(daemon)},
                                       {"kept_lags", kept_json(kept)}});
  context.output().text(nodes_text(nodes, now) + "\n" + pairs_text(pairs, now) + "\n" +
                        (daemon.is_null() ? kept_text(kept, now) : daemon_text(daemon, now)));
  for (const NodeStatus& node : nodes) {
    if (node.failure && !context.output().json()) {
      print_error(Error(node.failure->code(), of_node(node.name, node.failure->what()),
                        node.failure->hint()),
                  false);
    }
    if (!node.failure && !node.identity) {
      context.warn("node " + node.name + " is not activated: run 'tidemark activate " + node.name +
                   "'");
    }
    if (node.quarantined > 0) {
      context.warn("node " + node.name + ": " + counted(node.quarantined, "row") +
                   " cannot be held and wait: run 'tidemark quarantine'");
    }
    for (const RegisteredPeer& peer : node.awaited) {
      context.warn("node " + node.name + ": deleted rows are remembered until " + peer.name +
                   " has heard of them, and it was last met " + when(peer.met_at_us, now) +
                   ": bring it back, or run 'tidemark forget " + peer.name + "'");
    }
    for (const RangeStatus& each : node.ranges) {
      if (!each.is_short()) continue;
      context.warn("node " + node.name + ": table " + each.table + ": " + grouped(each.left) +
                   " numbers are left of its key range, up to " + std::to_string(each.range.high) +
                   ": the next session or 'tidemark activate " + node.name + "' gives a new one");
    }
    for (const auto& [table, trouble] : node.lost_capture) {
      context.warn("node " + node.name + ": table " + table + ": " + trouble.what + "; " +
                   trouble.remedy);
    }
  }
  return summed_exit_code(failures, nodes.size());
}

}  // namespace

int run_status(Context& context) {
  if (!context.line().has("watch")) return show_status(context);
  const bool clears = ::isatty(STDOUT_FILENO) == 1;
  for (;;) {
    if (clears) context.output().text(kClear);
    show_status(context);
    std::fflush(stdout);
    // A node that could not be reached may be there the next time.
    for (const std::string& name : nodes_in_jobs(context.config())) context.close(name);
    const auto until = std::chrono::steady_clock::now() + kWatchInterval;
    while (std::chrono::steady_clock::now() < until) {
      if (interrupted()) return 0;
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
  }
}

}  // namespace tidemark::cli
