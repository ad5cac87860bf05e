#include "scheduler/row_differences.h"

#include "model/table.h"

namespace tidemark::scheduler {
namespace {

/// What the two nodes know of one table, and which of them has yet to tell the other.
struct Standing {
  const TableState& first;
  const TableState& second;
  Mode mode;

  bool unmet() const { return first.baseline != second.baseline; }
  bool first_pending(const ChangedRow& row) const {
    return row.version && !second.knowledge.covers(*row.version);
  }
  bool second_pending(const ChangedRow& row) const {
    if (!row.version || first.knowledge.covers(*row.version)) return false;
    // The source of a backup is never told; the target's own changes wait to be set back.
    return mode == Mode::two_way || (row.version->origin == second.origin &&
                                     row.version->sequence > second.mirrored_sequence);
  }
  /// A key that the other node lacks: its tombstone may be purged there and the delete not carried
  /// yet.
  bool delete_is_coming(const TableState& lacking, const TableState& having) const {
    return !having.knowledge.covers(lacking.forgotten);
  }
  bool pending(const ChangedRow* at_first, const ChangedRow* at_second) const {
    if (at_first != nullptr && first_pending(*at_first)) return true;
    if (at_second != nullptr && second_pending(*at_second)) return true;
    if (at_first == nullptr) return delete_is_coming(first, second);
    if (at_second == nullptr) return mode == Mode::two_way && delete_is_coming(second, first);
    return false;
  }
};

DifferenceKind kind_of(bool at_first, bool at_second) {
  if (!at_first) return DifferenceKind::missing_at_first;
  return at_second ? DifferenceKind::rows_differ : DifferenceKind::missing_at_second;
}

}  // namespace

HarvestedSnapshot::HarvestedSnapshot(Node& node, std::vector<capture::CapturedTable>& tables)
    : node_(node) {
  capture::open_harvested_snapshot(node_, tables);
}

HarvestedSnapshot::~HarvestedSnapshot() {
  if (!ended_) node_.rollback();
}

void HarvestedSnapshot::commit() {
  node_.commit();
  ended_ = true;
}

TableVerification compare_rows(const RowComparison& comparison) {
  const capture::CapturedTable& first = comparison.first_table;
  const capture::CapturedTable& second = comparison.second_table;
  TableVerification result;
  result.table = first.table.spec.name;
  const Standing standing{.first = first.state, .second = second.state, .mode = comparison.mode};
  result.unmet = standing.unmet();
  const KeyOrder order(first.table.spec);
  const auto first_rows = comparison.first.all_rows(first.table);
  const auto second_rows = comparison.second.all_rows(second.table);
  ChangedRow a;
  ChangedRow b;
  bool more_a = first_rows->next(a);
  bool more_b = second_rows->next(b);
  std::int64_t done = 0;
  while (more_a || more_b) {
    const auto sign = !more_a   ? std::weak_ordering::greater
                      : !more_b ? std::weak_ordering::less
                                : order.compare(a.key, b.key);
    const ChangedRow* at_first = sign <= 0 ? &a : nullptr;
    const ChangedRow* at_second = sign >= 0 ? &b : nullptr;
    const bool in_first = at_first != nullptr && at_first->present;
    const bool in_second = at_second != nullptr && at_second->present;
    if (in_first) ++result.rows_first;
    if (in_second) ++result.rows_second;
    const bool equal = in_first == in_second && (!in_first || identical(a.row, b.row));
    if (!equal) {
      if (standing.pending(at_first, at_second)) {
        ++result.pending;
      } else {
        ++result.different;
        if (result.shown.size() < comparison.shown) {
          result.shown.push_back({.table = result.table,
                                  .key = to_row(at_first != nullptr ? a.key : b.key),
                                  .kind = kind_of(in_first, in_second)});
        }
      }
    }
    if (comparison.progress && (++done & 0xfff) == 0) {
      comparison.progress("comparing", result.table, done, 0);
    }
    if (at_first != nullptr) more_a = first_rows->next(a);
    if (at_second != nullptr) more_b = second_rows->next(b);
  }
  return result;
}

std::string_view to_string(DifferenceKind kind) {
  switch (kind) {
    case DifferenceKind::missing_at_first:
      return "missing_at_first";
    case DifferenceKind::missing_at_second:
      return "missing_at_second";
    case DifferenceKind::rows_differ:
      break;
  }
  return "rows_differ";
}

}  // namespace tidemark::scheduler
