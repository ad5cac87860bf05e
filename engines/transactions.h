// A piece of work in a transaction of a node, which ends with the work, however that ends.
#pragma once

#include "engines/engine.h"

namespace tidemark {

/// Runs `work` in a snapshot of its own; what it throws passes through.
template <typename Work>
void in_snapshot(Node& node, const Work& work) {
  node.begin_read();
  try {
    work();
  } catch (...) {
    node.rollback();
    throw;
  }
  node.rollback();
}

/// Runs `work` in a write transaction of its own and commits it; what it throws passes through, and
/// nothing is written then.
template <typename Work>
void in_write_transaction(Node& node, const Work& work) {
  node.begin_write();
  try {
    work();
    node.commit();
  } catch (...) {
    node.rollback();
    throw;
  }
}

}  // namespace tidemark
