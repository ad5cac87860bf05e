#include "scheduler/node_pool.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "scheduler/open_nodes.h"

namespace tidemark::scheduler {
namespace {

/// Which file stands where the node was opened. One that is open goes on living when it is moved
/// away or replaced.
NodePool::FileIdentity identity_of(const Node& node) {
  const std::vector<std::filesystem::path> files = node.watched_files();
  struct stat status {};
  if (files.empty() || ::stat(files.front().c_str(), &status) != 0) return {};
  return {status.st_dev, status.st_ino};
}

}  // namespace

NodePool::Lent NodePool::take(const std::string& name, bool fresh) {
  while (!fresh) {
    Lent lent;
    {
      const std::lock_guard guard(mutex_);
      std::vector<Idle>& idle = idle_[name];
      if (idle.empty()) break;
      lent = {
          .node = std::move(idle.back().node), .fresh = false, .identity = idle.back().identity};
      idle.pop_back();
    }
    if (identity_of(*lent.node) == lent.identity) return lent;
  }
  Lent lent{.node = open_configured(config_, config_.node(name),
                                    {.connect_timeout = settings_.connect_timeout}),
            .fresh = true,
            .identity = {}};
  lent.identity = identity_of(*lent.node);
  return lent;
}

void NodePool::give_back(const std::string& name, Lent lent) {
  const std::lock_guard guard(mutex_);
  std::vector<Idle>& idle = idle_[name];
  if (idle.size() >= settings_.kept) return;
  idle.push_back({.node = std::move(lent.node), .identity = lent.identity, .since = Clock::now()});
}

std::vector<std::unique_ptr<Node>> NodePool::take_unused(Clock::time_point now) {
  std::vector<std::unique_ptr<Node>> unused;
  const std::lock_guard guard(mutex_);
  for (auto& entry : idle_) {
    std::erase_if(entry.second, [&](Idle& idle) {
      if (now - idle.since < settings_.close_after) return false;
      unused.push_back(std::move(idle.node));
      return true;
    });
  }
  return unused;
}

bool NodePool::holds_any() const {
  const std::lock_guard guard(mutex_);
  return std::any_of(idle_.begin(), idle_.end(),
                     [](const auto& entry) { return !entry.second.empty(); });
}

}  // namespace tidemark::scheduler
