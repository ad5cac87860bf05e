// A look at a node by the operations that every engine has.
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

}  // namespace tidemark
