// Two nodes as a session sees them: where they are of different products, the one whose columns
// hold values of any kind is shown with the other's types.
#pragma once

#include <optional>

#include "engines/translating_node.h"

namespace tidemark::scheduler {

class Meeting {
 public:
  /// Both must outlive this.
  Meeting(Node& first, Node& second);

  Node& first() { return first_; }
  Node& second() { return second_; }

 private:
  Node& shown(Node& node, Node& peer);

  std::optional<TranslatingNode> translated_;
  Node& first_;
  Node& second_;
};

}  // namespace tidemark::scheduler
