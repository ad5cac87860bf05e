#include "tests/simulation/checker.h"

#include <algorithm>

namespace tidemark::simulation {
namespace {

std::string listed(const std::vector<std::string>& values) {
  std::string text;
  for (const std::string& value : values) text += " " + value;
  return text;
}

std::string printed(const Rows& rows) {
  std::string text;
  for (const auto& [key, value] : rows) {
    text += " " + key.first + "." + std::to_string(key.second) + "=" + value;
  }
  return text;
}

std::set<std::string> values_of(const Rows& rows) {
  std::set<std::string> values;
  for (const auto& [key, value] : rows) values.insert(value);
  return values;
}

}  // namespace

void Checker::wrote(const std::string& value, const std::string& overwritten, bool on_mirror) {
  if (!overwritten.empty()) (on_mirror ? seen_on_mirror_ : seen_).insert(overwritten);
  if (!value.empty()) written_.insert(value);
}

void Checker::restored(const NodeView& before, const Rows& copy,
                       const std::vector<NodeView>& others) {
  for (const LoggedConflict& conflict : before.conflicts) {
    if (may_bring_back(conflict)) brought_back_.insert(conflict.winner);
  }
  std::set<std::string> held = values_of(copy);
  std::set<std::string> logged;
  for (const NodeView& other : others) {
    held.merge(values_of(other.rows));
    held.merge(values_of(other.waiting));
    for (const LoggedConflict& conflict : other.conflicts) logged.insert(conflict.loser);
  }
  for (const std::string& value : written_) {
    // What nobody else had went with the disk. What is held somewhere may be replaced by a state
    // that the copy still has, and that nobody can tell from a new one.
    if (held.contains(value) || !logged.contains(value)) gone_.insert(value);
  }
  std::erase_if(seen_, [&](const std::string& value) { return held.contains(value); });
  versions_.erase(before.name);
  may_go_back_ = restored_ = true;
}

void Checker::observe(const std::string& node, RowVersions versions) {
  RowVersions& known = versions_[node];
  for (const auto& [key, version] : versions) {
    const auto before = known.find(key);
    if (may_go_back_ || before == known.end() || before->second <= version) continue;
    throw Violation("node " + node + ": the version of " + key.first + "." +
                    std::to_string(key.second) + " went back from " +
                    std::to_string(before->second.first) + " to " + std::to_string(version.first));
  }
  known = std::move(versions);
}

bool Checker::may_bring_back(const LoggedConflict& conflict) const {
  // A join gives the row that it keeps a version above the clock floor; so does a revival. A change
  // by a node whose clock is behind may come before that version, and is logged as the loser.
  if (conflict.type == "revived") return may_go_back_;
  if (conflict.type == "baseline_differs") return early_purge_;
  // A row that was deleted comes back with one that refers to it.
  if (conflict.type == "child_exists" || conflict.type == "parent_missing") return true;
  if (waited_.contains(conflict.winner)) return true;
  return conflict.type == "target_changed" || conflict.policy == "earliest" ||
         conflict.policy == "first_node";
}

void Checker::rest(const std::vector<NodeView>& nodes) {
  std::set<std::pair<std::string, std::int64_t>> waiting;
  for (const NodeView& node : nodes) {
    for (const auto& [place, value] : node.waiting) waiting.insert(place);
  }
  const auto settled = [&waiting](const Rows& rows) {
    Rows others = rows;
    std::erase_if(others, [&](const auto& row) { return waiting.contains(row.first); });
    return others;
  };
  for (const NodeView& node : nodes) {
    if (settled(node.whole_rows) == settled(nodes.front().whole_rows)) continue;
    throw Violation("nodes " + nodes.front().name + " and " + node.name +
                    " differ in rows that wait nowhere:" + printed(nodes.front().whole_rows) +
                    " against" + printed(node.whole_rows));
  }
}

void Checker::require_carried(const NodeView& node) const {
  for (const auto& [place, carried] : node.carried) {
    const std::string& value = node.rows.at(place);
    const auto written = carried_.find(value);
    if (written == carried_.end() || written->second == carried) continue;
    throw Violation("node " + node.name + ": the row " + value +
                    " holds other values than it was written with");
  }
}

void Checker::finish(const std::vector<NodeView>& nodes) const {
  for (const NodeView& node : nodes) {
    if (node.rows != nodes.front().rows) {
      throw Violation("nodes " + nodes.front().name + " and " + node.name +
                      " differ:" + printed(nodes.front().rows) + " against" + printed(node.rows));
    }
    if (node.whole_rows != nodes.front().whole_rows) {
      throw Violation("nodes " + nodes.front().name + " and " + node.name + " differ:" +
                      printed(nodes.front().whole_rows) + " against" + printed(node.whole_rows));
    }
    if (!node.waiting.empty() && !(restored_ && node.waiting == nodes.front().waiting)) {
      throw Violation("node " + node.name + ": rows wait for what will never come");
    }
    require_carried(node);
  }
  const std::set<std::string> final_values = values_of(nodes.front().rows);
  const std::set<std::string> waiting = values_of(nodes.front().waiting);
  std::set<std::string> logged;
  std::set<std::string> brought_back = brought_back_;
  for (const NodeView& node : nodes) {
    for (const LoggedConflict& conflict : node.conflicts) {
      logged.insert(conflict.loser);
      if (conflict.type == "revived" && !may_go_back_) {
        throw Violation("node " + node.name + " revived " + conflict.winner +
                        " though everybody knew the purged tombstones");
      }
      if (may_bring_back(conflict)) brought_back.insert(conflict.winner);
    }
  }
  std::vector<std::string> back;
  for (const std::string& value : final_values) {
    if (seen_.contains(value) && !brought_back.contains(value)) back.push_back(value);
  }
  if (!back.empty()) throw Violation("overwritten or deleted rows are back:" + listed(back));
  std::vector<std::string> lost;
  for (const std::string& value : written_) {
    const bool accounted_for = final_values.contains(value) || waiting.contains(value) ||
                               seen_.contains(value) || seen_on_mirror_.contains(value) ||
                               logged.contains(value) || gone_.contains(value);
    if (!accounted_for) lost.push_back(value);
  }
  if (!lost.empty()) throw Violation("lost writes:" + listed(lost));
}

}  // namespace tidemark::simulation
