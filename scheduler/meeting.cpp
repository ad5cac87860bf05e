#include "scheduler/meeting.h"

#include <utility>

namespace tidemark::scheduler {

Meeting::Meeting(Node& first, Node& second)
    : first_(shown(first, second)), second_(shown(second, first)) {}

Node& Meeting::shown(Node& node, Node& peer) {
  if (!node.traits().loose || peer.traits().loose) return node;
  return translated_.emplace(node, peer.catalog());
}

}  // namespace tidemark::scheduler
