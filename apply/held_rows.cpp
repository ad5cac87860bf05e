#include "apply/held_rows.h"

#include <algorithm>
#include <utility>

namespace tidemark::apply {
namespace {

class WithWaiting final : public RowStream {
 public:
  WithWaiting(std::unique_ptr<RowStream> rows, std::vector<QuarantinedRow> waiting,
              const TableSpec& spec, std::function<bool(const QuarantinedRow&)> is_wanted)
      : rows_(std::move(rows)),
        waiting_(std::move(waiting)),
        order_(spec),
        is_wanted_(std::move(is_wanted)) {}

  bool next(ChangedRow& row) override {
    if (!loaded_) more_ = rows_->next(current_);
    loaded_ = true;
    while (next_ < waiting_.size()) {
      const QuarantinedRow& waiting = waiting_[next_];
      key_ = to_views(waiting.key);
      const auto order = more_ ? order_.compare(key_, current_.key) : std::weak_ordering::less;
      if (order > 0) break;
      ++next_;
      if (order < 0 && !is_wanted_(waiting)) continue;
      if (order == 0) loaded_ = false;
      row_ = to_views(waiting.row);
      row = {.key = key_, .row = row_, .present = waiting.present(), .version = waiting.version};
      return true;
    }
    if (!more_) return false;
    row = current_;
    loaded_ = false;
    return true;
  }

 private:
  const std::unique_ptr<RowStream> rows_;
  const std::vector<QuarantinedRow> waiting_;
  const KeyOrder order_;
  const std::function<bool(const QuarantinedRow&)> is_wanted_;
  std::size_t next_ = 0;
  bool loaded_ = false;  // `current_` is the next of `rows_`, if there is `more_`
  bool more_ = false;
  ChangedRow current_;
  std::vector<ValueView> key_;
  std::vector<ValueView> row_;
};

}  // namespace

bool holds_nothing(Node& node, const ActiveTable& table) {
  return node.is_empty(table) && (node.count_quarantined() == 0 || node.quarantined(table).empty());
}

std::vector<QuarantinedRow> waiting_rows(Node& source, const ActiveTable& table) {
  if (source.count_quarantined() == 0) return {};
  std::vector<QuarantinedRow> waiting = source.quarantined(table);
  std::erase_if(waiting, [&](const QuarantinedRow& row) {
    const LocalRow local = source.find(table, to_views(row.key));
    return local.version && (!row.version || is_later(*local.version, *row.version));
  });
  std::sort(waiting.begin(), waiting.end(),
            [order = KeyOrder(table.spec)](const QuarantinedRow& a, const QuarantinedRow& b) {
              return order(a.key, b.key);
            });
  return waiting;
}

std::unique_ptr<RowStream> with_waiting(std::unique_ptr<RowStream> rows,
                                        std::vector<QuarantinedRow> waiting, const TableSpec& spec,
                                        std::function<bool(const QuarantinedRow&)> is_wanted) {
  if (waiting.empty()) return rows;
  return std::make_unique<WithWaiting>(std::move(rows), std::move(waiting), spec,
                                       std::move(is_wanted));
}

}  // namespace tidemark::apply
