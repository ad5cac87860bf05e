#include "scheduler/heartbeats.h"

#include <set>

namespace tidemark::scheduler {

Heartbeats::Heartbeats(const Planner& planner, std::int64_t steady_us) : planner_(planner) {
  std::int64_t number = 0;
  for (Planner::PairId id = 0; id < planner.pairs().size(); ++id) {
    const Planner::Pair& pair = planner.pairs()[id];
    const JobConfig& job = *planner.jobs()[pair.job].config;
    if (!job.heartbeat) continue;
    for (const bool to_second : {true, false}) {
      if (!to_second && job.mode == Mode::backup) continue;
      State& state = states_[{.pair = id, .to_second = to_second}];
      state.interval_us = job.heartbeat->count();
      // Those of many pairs are spread over the interval.
      constexpr std::int64_t kSteps = 16;
      state.next_us = steady_us + state.interval_us * (number++ % kSteps) / kSteps;
      state.sender = to_second ? pair.first : pair.second;
    }
  }
}

std::map<std::string, std::vector<Heartbeats::Beat>> Heartbeats::due(
    std::int64_t steady_us, const std::function<bool(std::size_t job)>& runs) {
  std::set<std::string> busy;
  for (const auto& [direction, state] : states_) {
    if (state.sending) busy.insert(state.sender);
  }
  std::map<std::string, std::vector<Beat>> beats;
  for (auto& [direction, state] : states_) {
    if (state.sent_us != 0 || steady_us < state.next_us || busy.contains(state.sender)) continue;
    const Planner::Pair& pair = planner_.pairs()[direction.pair];
    if (!runs(pair.job)) continue;
    state.sending = true;
    state.next_us = steady_us + state.interval_us;
    beats[state.sender].push_back({.direction = direction,
                                   .job = planner_.jobs()[pair.job].config->name,
                                   .peer = direction.to_second ? pair.second : pair.first});
  }
  return beats;
}

void Heartbeats::sent(const std::vector<Beat>& beats, std::optional<std::int64_t> sent_us,
                      std::int64_t steady_us) {
  for (const Beat& beat : beats) {
    State& state = states_.at(beat.direction);
    state.sending = false;
    // A session may have been faster than the news that it was sent.
    if (!sent_us || *sent_us == state.heard_us) continue;
    state.sent_us = *sent_us;
    state.known_us = steady_us;
  }
}

void Heartbeats::seen(const std::string& node, std::int64_t heartbeat_us) {
  seen_us_[node] = heartbeat_us;
}

void Heartbeats::met(Direction direction, std::int64_t heard_us, std::int64_t began_us) {
  const auto found = states_.find(direction);
  if (found == states_.end()) return;
  State& state = found->second;
  state.heard_us = heard_us;
  // What a later session did not find has gone with the control tables of its node.
  if (heard_us == state.sent_us || began_us > state.known_us) state.sent_us = 0;
}

void Heartbeats::remember(Direction direction, std::int64_t sent_us, std::int64_t steady_us) {
  const auto found = states_.find(direction);
  if (found == states_.end()) return;
  found->second.sent_us = sent_us;
  found->second.known_us = steady_us;
}

std::optional<std::int64_t> Heartbeats::on_its_way_us(Direction direction) const {
  const auto found = states_.find(direction);
  if (found == states_.end() || found->second.sent_us == 0) return std::nullopt;
  return found->second.sent_us;
}

std::vector<Planner::PairId> Heartbeats::to_carry() const {
  std::vector<Planner::PairId> pairs;
  for (const auto& [direction, state] : states_) {
    if (state.sent_us == 0) continue;
    if (!planner_.jobs()[planner_.pairs()[direction.pair].job].timing.continuous) continue;
    const auto seen = seen_us_.find(state.sender);
    if (seen == seen_us_.end() || seen->second < state.sent_us) continue;
    pairs.push_back(direction.pair);
  }
  return pairs;
}

}  // namespace tidemark::scheduler
