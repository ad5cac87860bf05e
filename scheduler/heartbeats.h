// Heartbeats says which heartbeats a daemon sends and which are on their way. Each pair of a job
// with a heartbeat has one for either direction (a backup one for its only direction). One that is
// on its way is not replaced by a newer one: so what arrives tells how long a change would have
// taken that was made when the last had just arrived. Told what happened and what time it is; opens
// nothing, reads no clock. Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/planner.h"

namespace tidemark::scheduler {

/// From one node of a pair to the other.
struct Direction {
  Planner::PairId pair = 0;
  bool to_second = true;

  auto operator<=>(const Direction&) const = default;
};

class Heartbeats {
 public:
  struct Beat {
    Direction direction;
    std::string job;
    std::string peer;  // for whom
  };

  /// `planner` must outlive this.
  Heartbeats(const Planner& planner, std::int64_t steady_us);

  /// Those to be sent now, by the node that sends them. A node that is still sending is left alone;
  /// so are jobs that `runs` does not let run.
  std::map<std::string, std::vector<Beat>> due(std::int64_t steady_us,
                                               const std::function<bool(std::size_t job)>& runs);
  /// They are committed with this time, by the node's clock; nothing: it failed.
  void sent(const std::vector<Beat>& beats, std::optional<std::int64_t> sent_us,
            std::int64_t steady_us);
  /// A look at the node showed its latest heartbeat.
  void seen(const std::string& node, std::int64_t heartbeat_us);
  /// A session that began at this time left the other node with this heartbeat (0: none).
  void met(Direction direction, std::int64_t heard_us, std::int64_t began_us);

  /// One that a daemon before this one sent, and that may be on its way yet.
  void remember(Direction direction, std::int64_t sent_us, std::int64_t steady_us);
  /// When the one that is on its way was sent, by its node's clock.
  std::optional<std::int64_t> on_its_way_us(Direction direction) const;
  /// Continuous pairs whose heartbeat can be seen at its node and has not arrived.
  std::vector<Planner::PairId> to_carry() const;

 private:
  struct State {
    std::int64_t interval_us = 0;
    std::int64_t next_us = 0;  // steady
    bool sending = false;
    std::int64_t sent_us = 0;   // on its way; 0: none
    std::int64_t known_us = 0;  // steady: since when
    std::int64_t heard_us = 0;  // the last that arrived
    std::string sender;
  };

  const Planner& planner_;
  std::map<Direction, State> states_;
  std::map<std::string, std::int64_t> seen_us_;  // by node
};

}  // namespace tidemark::scheduler
