// What a daemon asks of a node, by the operations that every engine has.
#include <algorithm>

#include "engines/engine.h"

namespace tidemark {

const Pulse& Node::look() {
  Pulse found{.generation = looked_.generation, .schema = looked_.schema};
  begin_read();
  try {
    for (const ActiveTable& table : active_tables()) {
      Pulse::Table& each = found.tables[table.spec.name];
      if (table.health != CaptureHealth::intact) continue;
      each.pending = has_pending(table);
      each.knowledge = load_state(table).knowledge.digest();
    }
  } catch (...) {
    rollback();
    throw;
  }
  rollback();
  if (found.tables != looked_.tables || looked_.generation == 0) ++found.generation;
  return looked_ = std::move(found);
}

std::optional<std::int64_t> Node::oldest_unseen(const ActiveTable& table, const Knowledge& known) {
  std::optional<std::int64_t> oldest_us;
  const auto found = [&oldest_us](std::int64_t changed_at_us) {
    if (changed_at_us <= kTimelessUs) return;
    oldest_us = std::min(oldest_us.value_or(changed_at_us), changed_at_us);
  };
  found(pending(table).second);
  const std::unique_ptr<RowStream> rows = changes_since(table, known);
  ChangedRow row;
  while (rows->next(row)) {
    if (row.version) found(row.version->changed_at_us);
  }
  return oldest_us;
}

}  // namespace tidemark
