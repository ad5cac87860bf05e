// Two nodes at once: asking two servers takes as long as asking the slower one.
#pragma once

#include <future>

#include "engines/engine.h"

namespace tidemark::scheduler {

/// Runs both, and ends when both have ended; then throws what the first threw, else the second.
/// Each must leave the other's node alone.
template <typename First, typename Second>
void run_side_by_side(const First& first, const Second& second) {
  std::future<void> other = std::async(std::launch::async, second);
  try {
    first();
  } catch (...) {
    other.wait();
    throw;
  }
  other.get();
}

/// Side by side where both nodes are servers; a thread for a file would cost more than it saves.
template <typename First, typename Second>
void run_on_both(const Node& first_node, const Node& second_node, const First& first,
                 const Second& second) {
  if (first_node.traits().shared && second_node.traits().shared) {
    run_side_by_side(first, second);
    return;
  }
  first();
  second();
}

}  // namespace tidemark::scheduler
