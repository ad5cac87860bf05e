#include "scheduler/key_ranges.h"

#include <algorithm>
#include <optional>

#include "engines/transactions.h"

namespace tidemark::scheduler {
namespace {

std::vector<KeyRange> ranges_of(const std::vector<GivenRange>& ranges, const NodeId& node) {
  std::vector<KeyRange> own;
  for (const GivenRange& given : ranges) {
    if (given.node == node) own.push_back(given.range);
  }
  return own;
}

/// One side of the pair in one table.
struct Side {
  Node& node;
  const ActiveTable& table;
  NodeId id;
  KeyCounter counter;
  std::vector<GivenRange> ranges;  // written down on this node, the lowest first

  /// The own range that the next number lies in.
  std::optional<KeyRange> in_use() const {
    for (const KeyRange& range : ranges_of(ranges, id)) {
      if (counter.next >= range.low && counter.next <= range.high) return range;
    }
    return std::nullopt;
  }
  bool has_room(const KeyRange& range) const {
    const std::int64_t size = range.high - range.low + 1;
    return range.high - std::max(counter.next, range.low) + 1 > size / kRangeReserve;
  }
};

Side look(Node& node, const ActiveTable& table) {
  Side side{.node = node, .table = table, .id = {}, .counter = {}, .ranges = {}};
  in_snapshot(node, [&] {
    side.id = node.identity()->node_id;
    side.counter = node.key_counter(table.spec);
    side.ranges = node.key_ranges(table);
  });
  return side;
}

class Ranges {
 public:
  Ranges(const RangeRequest& request, RangeReport& report) : request_(request), report_(report) {}

  void keep(const RangedTable& table) {
    Side hub = look(request_.first, table.first);
    Side other = look(request_.second, table.second);
    for (const Side* side : {&hub, &other}) {
      if (side->counter.refusal.empty()) continue;
      report_.warnings.push_back("table " + side->table.spec.name + " cannot have key ranges: it " +
                                 side->counter.refusal);
      return;
    }
    taken_up_to_ = std::max(hub.counter.largest, other.counter.largest);
    limit_ = std::min(hub.counter.limit, other.counter.limit);
    keep_used(hub, hub);
    keep_used(hub, other);
    if (hub.counter.follows_largest) keep_reserve(hub, hub, other);
    if (other.counter.follows_largest) keep_reserve(hub, other, hub);
  }

 private:
  /// The next number lies in a range of the node's own that has room.
  void keep_used(Side& hub, Side& side) {
    if (const auto used = side.in_use(); used && side.has_room(*used)) return;
    if (!side.node.may_define(side.table.spec)) {
      report_.warnings.push_back("table " + side.table.spec.name + " on node " + side.node.name() +
                                 " has little left of its key range, or none yet, and sessions may "
                                 "not move its sequence: run 'tidemark activate " +
                                 side.node.name() + "'");
      return;
    }
    const auto range = next_range(hub, side, side.counter.next - 1);
    if (!range) return;
    in_write_transaction(side.node, [&] {
      save(hub, side, *range);
      side.node.use_key_range(side.table, *range);
    });
    side.counter.next = std::max(side.counter.next, range->low);
    report_.given.push_back(side.node.name() + ": " + side.table.spec.name + ": " +
                            std::to_string(range->low) + " to " + std::to_string(range->high));
  }

  /// Rows of the other node, or of third ones by way of it, may push the counter up: there must be
  /// a range of its own above them when they come.
  void keep_reserve(Side& hub, Side& side, const Side& peer) {
    std::int64_t above = taken_up_to_;
    if (const auto theirs = peer.in_use()) above = std::max(above, theirs->high);
    const auto used = side.in_use();
    if (used && used->high >= above) return;
    if (const auto range = next_range(hub, side, above)) {
      in_write_transaction(side.node, [&] { save(hub, side, *range); });
    }
  }

  /// A range of the node that lies above `above` and has not been used: one that it was given
  /// before, be it by a session that did not live to write it down there, or a new one.
  std::optional<KeyRange> next_range(Side& hub, Side& side, std::int64_t above) {
    for (const KeyRange& range : ranges_of(hub.ranges, side.id)) {
      if (range.low > above && side.has_room(range)) return range;
    }
    auto range = give(hub, side);
    if (!range) {
      report_.warnings.push_back("the key ranges of table " + side.table.spec.name +
                                 " are used up: its key column holds numbers up to " +
                                 std::to_string(limit_) +
                                 " only; give it a wider type on all nodes, or a smaller "
                                 "range_size");
    }
    return range;
  }

  static void save(const Side& hub, Side& side, const KeyRange& range) {
    const bool known = std::any_of(side.ranges.begin(), side.ranges.end(),
                                   [&](const auto& given) { return given.range == range; });
    if (known || &side == &hub) return;
    side.node.save_key_range(side.table, {.node = side.id, .range = range});
    side.ranges.push_back({.node = side.id, .range = range});
  }

  /// Under the first node's write lock: sessions of other pairs may ask at the same time.
  std::optional<KeyRange> give(Side& hub, const Side& side) {
    const std::int64_t size = request_.job.range_size_of(side.table.spec.name);
    std::optional<KeyRange> range;
    in_write_transaction(hub.node, [&] {
      hub.ranges = hub.node.key_ranges(hub.table);
      std::int64_t taken = taken_up_to_;
      for (const GivenRange& given : hub.ranges) taken = std::max(taken, given.range.high);
      const std::int64_t blocks = (taken + size - 1) / size;
      if (blocks >= limit_ / size) return;
      range = KeyRange{.low = blocks * size + 1, .high = (blocks + 1) * size};
      hub.node.save_key_range(hub.table, {.node = side.id, .range = *range});
      hub.ranges.push_back({.node = side.id, .range = *range});
    });
    return range;
  }

  const RangeRequest& request_;
  RangeReport& report_;
  std::int64_t taken_up_to_ = 0;  // the largest key of either node
  std::int64_t limit_ = 0;
};

}  // namespace

RangeReport keep_ranges(const RangeRequest& request) {
  RangeReport report;
  Ranges ranges(request, report);
  for (const RangedTable& table : request.tables) {
    if (request.job.has_ranges(table.first.spec.name)) ranges.keep(table);
  }
  return report;
}

std::string range_obstacle(Node& node, const TableSpec& table) {
  std::string refusal;
  in_snapshot(node, [&] { refusal = node.key_counter(table).refusal; });
  return refusal;
}

}  // namespace tidemark::scheduler
