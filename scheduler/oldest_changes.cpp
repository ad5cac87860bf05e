#include "scheduler/oldest_changes.h"

#include <algorithm>
#include <optional>

namespace tidemark::scheduler {
namespace {

Behind find_in_snapshot(Node& source, const JobConfig& job, const std::string& target,
                        const Behind& before) {
  Behind behind;
  // A file that was restored or copied may have left more than one peer of the name.
  std::optional<NodeId> peer;
  for (const auto& [id, registered] : source.registered_peers()) {
    if (registered.name != target || registered.met_at_us < behind.met_at_us) continue;
    peer = id;
    behind.met_at_us = registered.met_at_us;
  }
  if (before.since_us != 0 && before.met_at_us == behind.met_at_us) return before;
  for (const ActiveTable& table : source.active_tables()) {
    // Where capture is damaged the log itself may be gone.
    if (table.health != CaptureHealth::intact || !job.takes(table.spec.name)) continue;
    Knowledge seen;
    if (peer) {
      const auto peers = source.load_peers(table);
      const auto found = peers.find(*peer);
      if (found != peers.end()) seen = found->second;
    }
    const auto oldest_us = source.oldest_unseen(table, seen);
    if (!oldest_us) continue;
    behind.since_us = behind.since_us == 0 ? *oldest_us : std::min(behind.since_us, *oldest_us);
  }
  return behind;
}

}  // namespace

Behind find_behind(Node& source, const JobConfig& job, const std::string& target,
                   const Behind& before) {
  if (!source.identity()) return {};
  source.begin_read();
  try {
    const Behind behind = find_in_snapshot(source, job, target, before);
    source.rollback();
    return behind;
  } catch (...) {
    source.rollback();
    throw;
  }
}

}  // namespace tidemark::scheduler
