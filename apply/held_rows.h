// What a source passes on of a table: its rows, and in the place of one the row that waits for that
// place in quarantine. The source counts as one that has seen what waits there, so whoever learns
// from it has to be sent it; else the row would lose to the older one that it was to replace, or be
// taken for one that was deleted.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "engines/engine.h"

namespace tidemark::apply {

/// The table has no rows, and none waits for it.
bool holds_nothing(Node& node, const ActiveTable& table);

/// The rows that wait in a table of `source` for a place that no later row has taken, in the order
/// of their keys. In the caller's transaction.
std::vector<QuarantinedRow> waiting_rows(Node& source, const ActiveTable& table);

/// `rows` with `waiting` in place. A waiting row whose key `rows` does not have is added where
/// `is_wanted` says so.
std::unique_ptr<RowStream> with_waiting(std::unique_ptr<RowStream> rows,
                                        std::vector<QuarantinedRow> waiting, const TableSpec& spec,
                                        std::function<bool(const QuarantinedRow&)> is_wanted);

}  // namespace tidemark::apply
