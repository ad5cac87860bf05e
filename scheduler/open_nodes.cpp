#include "scheduler/open_nodes.h"

#include <utility>

#include "engines/translating_node.h"

namespace tidemark::scheduler {

std::unique_ptr<Node> open_configured(const Config& config, const NodeConfig& node,
                                      OpenRequest request, bool keeps_lock_timeout) {
  request.node_name = node.name;
  request.url = node.url;
  request.directory = config.directory;
  if (!keeps_lock_timeout) request.lock_timeout = config.lock_timeout;
  std::unique_ptr<Node> opened = open_node(request);
  if (node.names.empty()) return opened;
  return std::make_unique<TranslatingNode>(std::move(opened), node.names);
}

}  // namespace tidemark::scheduler
