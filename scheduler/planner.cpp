#include "scheduler/planner.h"

#include <algorithm>
#include <utility>

#include "scheduler/backoff.h"

namespace tidemark::scheduler {
namespace {

/// Further back than this the time of day was set, not corrected.
constexpr std::int64_t kClockStepUs = 2'000'000;

void earlier(std::optional<std::int64_t>& wake_us, std::int64_t at_us) {
  if (!wake_us || at_us < *wake_us) wake_us = at_us;
}

/// The last time of a timetable that has come, of those from `first_us` on.
std::int64_t last_due(const Timing& timing, std::int64_t first_us, std::int64_t now_us) {
  std::int64_t last_us = first_us;
  // Looked for from now backwards: a clock may be set ahead by years of minutes.
  for (std::int64_t back_us = 60'000'000; now_us - back_us > first_us; back_us *= 2) {
    const auto due_us = timing.next(now_us - back_us);
    if (!due_us || *due_us > now_us) continue;
    last_us = *due_us;
    break;
  }
  for (auto due_us = timing.next(last_us); due_us && *due_us > last_us && *due_us <= now_us;
       due_us = timing.next(last_us)) {
    last_us = *due_us;
  }
  return last_us;
}

}  // namespace

Planner::Planner(std::vector<Job> jobs, std::set<std::string> exclusive, Limits limits, Moment now)
    : jobs_(std::move(jobs)), exclusive_(std::move(exclusive)), limits_(limits) {
  states_.resize(jobs_.size());
  for (std::size_t job = 0; job < jobs_.size(); ++job) {
    const std::vector<std::string>& nodes = jobs_[job].config->nodes;
    for (std::size_t i = 1; i < nodes.size(); ++i) {
      pairs_.push_back({.job = job, .first = nodes.front(), .second = nodes[i]});
      pair_states_.emplace_back();
      // What happened while no daemon ran is caught up with at once.
      pair_states_.back().wanted = pair_states_.back().in_round = jobs_[job].timing.at_start;
    }
    reckon(job, now.day_us);
  }
}

void Planner::reckon(std::size_t job, std::int64_t now_day_us) {
  JobState& state = states_[job];
  const Timing& timing = jobs_[job].timing;
  state.reckoned_us = now_day_us;
  state.due_us = !timing.continuous && timing.next ? timing.next(now_day_us) : std::nullopt;
}

void Planner::looked(const std::string& node, const Pulse& pulse) { pulses_[node] = pulse; }

void Planner::alive(PairId pair, Moment now) { pair_states_[pair].alive_us = now.steady_us; }

void Planner::ended(PairId pair, Moment now) {
  PairState& state = pair_states_[pair];
  state.running = state.abandoned = false;
  state.waits_since_us.reset();
  state.met_us = now.steady_us;
}

void Planner::unmet(PairId id, Moment now) {
  ended(id, now);
  PairState& state = pair_states_[id];
  state.wanted = state.wanted || !state.dropped;
  // Whoever asked for it has not got it.
  state.kicked = state.kicked || state.began_kicked;
}

Planner::DoneRuns Planner::done(PairId id, const Done& what, Moment now) {
  const Pair& pair = pairs_[id];
  PairState& state = pair_states_[id];
  const std::int64_t took_us = now.steady_us - state.began_us;
  ended(id, now);
  state.failures = 0;
  state.first = {.generation = state.first_at_begin.generation,
                 .schema = state.first_at_begin.schema,
                 .knows = what.first_knows};
  state.second = {.generation = state.second_at_begin.generation,
                  .schema = state.second_at_begin.schema,
                  .knows = what.second_knows};
  const std::int64_t factor =
      what.changes < limits_.busy_changes ? limits_.rest_factor : limits_.busy_rest_factor;
  const std::int64_t longest_us =
      what.changes < limits_.flood_changes ? limits_.max_rest_us : limits_.flood_rest_us;
  state.not_before_us =
      now.steady_us + std::clamp(factor * took_us, limits_.min_rest_us, longest_us);
  if (what.left_something) {
    state.return_us =
        std::clamp(2 * state.return_us, limits_.first_return_us, limits_.last_return_us);
    state.not_before_us = now.steady_us + state.return_us;
    state.wanted = state.wanted || !state.dropped;
  } else {
    state.return_us = 0;
  }
  if (state.kicked) state.not_before_us = now.steady_us;  // asked for while it was at work
  if (jobs_[pair.job].timing.continuous) return {};
  // What a later pair of a round brought to the first node has yet to reach those that met before.
  for (PairId other = 0; other < pairs_.size() && what.first_learned && state.in_round; ++other) {
    PairState& met = pair_states_[other];
    if (other == id || pairs_[other].job != pair.job || !met.in_round || met.wanted || met.running)
      continue;
    met.wanted = true;
    met.kicked = state.began_kicked;
    met.in_round = false;
  }
  return end_round(pair.job);
}

// Until then no pair of the job is done, because another one may call for it once more.
Planner::DoneRuns Planner::end_round(std::size_t job) {
  for (PairId id = 0; id < pairs_.size(); ++id) {
    if (pairs_[id].job == job && (pair_states_[id].wanted || pair_states_[id].running)) return {};
  }
  DoneRuns runs;
  for (PairId id = 0; id < pairs_.size(); ++id) {
    PairState& state = pair_states_[id];
    if (pairs_[id].job != job) continue;
    state.in_round = false;
    // Runs of jobs that begin with every daemon anyway are not told to the others.
    if (state.due_us && !jobs_[job].timing.at_start) runs[pairs_[id].second] = *state.due_us;
    state.due_us.reset();
  }
  return runs;
}

void Planner::begin_round_anew(std::size_t job) {
  bool wanted = false;
  bool kicked = false;
  const auto each = [&](const auto& act) {
    for (PairId id = 0; id < pairs_.size(); ++id) {
      if (pairs_[id].job == job) act(pair_states_[id]);
    }
  };
  each([&](const PairState& state) {
    wanted = wanted || state.wanted;
    kicked = kicked || (state.wanted && state.kicked);
  });
  if (!wanted || jobs_[job].timing.continuous) return;
  each([&](PairState& state) {
    if (state.running || state.wanted || !state.in_round) return;
    state.wanted = true;
    state.kicked = kicked;
  });
}

Moment Planner::failed(PairId id, double jitter, Moment now) {
  PairState& state = pair_states_[id];
  // Whoever asked for it meanwhile knows more than the failures before.
  const bool asked_anew = state.kicked;
  unmet(id, now);
  ++state.failures;
  const std::int64_t pause_us = backoff_us(asked_anew ? 1 : state.failures, limits_.first_retry_us,
                                           limits_.last_retry_us, jitter);
  state.not_before_us = now.steady_us + pause_us;
  return {.day_us = now.day_us + pause_us, .steady_us = state.not_before_us};
}

void Planner::found_locked(PairId id, Moment now) {
  unmet(id, now);
  pair_states_[id].not_before_us = now.steady_us + limits_.locked_retry_us;
}

void Planner::is_back(const std::string& node) {
  for (PairId id = 0; id < pairs_.size(); ++id) {
    if (pairs_[id].first != node && pairs_[id].second != node) continue;
    if (pair_states_[id].failures > 0) pair_states_[id].not_before_us = 0;
  }
}

void Planner::gave_up(PairId id, Moment now) {
  unmet(id, now);
  pair_states_[id].not_before_us = now.steady_us;
}

void Planner::want(PairId id) {
  if (!pair_states_[id].running) pair_states_[id].wanted = true;
}

// Whoever asked for a run meant now and here, not whenever the lease comes back. What a schedule
// asked for as well is made up for by whoever has the lease.
bool Planner::drop_kicks(std::size_t job) {
  bool dropped = false;
  for (PairId id = 0; id < pairs_.size(); ++id) {
    if (pairs_[id].job != job) continue;
    PairState& state = pair_states_[id];
    if (!state.kicked && !(state.running && state.began_kicked)) continue;
    dropped = true;
    state.kicked = state.began_kicked = false;
    if (state.due_us || jobs_[job].timing.at_start) continue;
    state.dropped = state.running;
    state.wanted = state.in_round = false;
    state.waits_since_us.reset();
    state.failures = 0;
    state.not_before_us = 0;
  }
  return dropped;
}

bool Planner::lease(std::size_t job, bool leased, const DoneRuns& done) {
  JobState& state = states_[job];
  const bool had = std::exchange(state.leased, leased);
  if (had == leased) return false;
  if (!leased) return drop_kicks(job);
  for (PairId id = 0; id < pairs_.size(); ++id) {
    if (pairs_[id].job != job) continue;
    PairState& pair = pair_states_[id];
    if (jobs_[job].timing.continuous) {
      pair.wanted = true;  // whoever had it before may have left anything undone
      continue;
    }
    // Every daemon of the job sees the same times pass, whether it has the lease or not.
    const auto found = done.find(pairs_[id].second);
    if (!pair.due_us || found == done.end() || found->second < *pair.due_us) continue;
    pair.due_us.reset();
    if (pair.kicked || pair.running) continue;
    pair.wanted = pair.in_round = false;
    pair.waits_since_us.reset();
    pair.failures = 0;
    pair.not_before_us = 0;
  }
  begin_round_anew(job);  // whoever had it before may have been in the midst of it
  return false;
}

void Planner::kick(std::size_t job) {
  for (PairId id = 0; id < pairs_.size(); ++id) {
    if (pairs_[id].job != job) continue;
    PairState& state = pair_states_[id];
    state.wanted = state.kicked = state.in_round = true;
    state.not_before_us = 0;
  }
}

void Planner::take_over(PairId id, const Debt& debt) {
  PairState& state = pair_states_[id];
  const Timing& timing = jobs_[pairs_[id].job].timing;
  // What the job owed by a schedule that it has no more is nobody's wish now. That it began with
  // its daemon is no run of a timetable either.
  const bool owes = timing.at_start || (timing.next && !debt.at_start);
  if (!owes && !debt.kicked) {
    // It may have its part in what somebody asked for.
    state.in_round = state.in_round || (debt.in_round && !debt.at_start);
    return;
  }
  state.failures = debt.failures;
  state.not_before_us = debt.not_before_us;
  state.in_round = state.in_round || debt.in_round;
  state.wanted = state.wanted || debt.wanted;
  state.kicked = debt.kicked;
  state.due_us = owes ? debt.due_us : std::nullopt;
}

Planner::Debt Planner::debt(PairId id) const {
  const PairState& state = pair_states_[id];
  return {.wanted = state.wanted || (state.running && !state.dropped),
          .kicked = state.kicked || (state.running && state.began_kicked),
          .in_round = state.in_round,
          .at_start = jobs_[pairs_[id].job].timing.at_start,
          .due_us = state.due_us,
          .failures = state.failures,
          .not_before_us = state.not_before_us};
}

bool Planner::running(std::size_t job) const {
  for (PairId id = 0; id < pairs_.size(); ++id) {
    if (pairs_[id].job == job && pair_states_[id].running) return true;
  }
  return false;
}

std::size_t Planner::running() const {
  return static_cast<std::size_t>(std::count_if(pair_states_.begin(), pair_states_.end(),
                                                [](const PairState& s) { return s.running; }));
}

bool Planner::has_work(PairId id) {
  PairState& state = pair_states_[id];
  return state.wanted || state.running ||
         (jobs_[pairs_[id].job].timing.continuous && has_news(pairs_[id], state));
}

std::optional<std::int64_t> Planner::generation(const std::string& node) const {
  const auto found = pulses_.find(node);
  if (found == pulses_.end()) return std::nullopt;
  return found->second.generation;
}

bool Planner::waits(PairId pair, Moment now) const {
  const PairState& state = pair_states_[pair];
  constexpr std::int64_t kTurnUs = 5'000'000;
  return state.waits_since_us && now.steady_us - *state.waits_since_us > kTurnUs;
}

// A run that was missed, because the machine slept or because everything was busy, happens once.
void Planner::raise_due(Moment now) {
  for (std::size_t job = 0; job < jobs_.size(); ++job) {
    JobState& state = states_[job];
    if (now.day_us < state.reckoned_us - kClockStepUs) reckon(job, now.day_us);
    if (!state.due_us || now.day_us < *state.due_us) continue;
    // The run is for all of them, also where another daemon compares what it has done. Those of a
    // job that begins with its daemon are no timetable, and are not compared.
    const Timing& timing = jobs_[job].timing;
    const std::int64_t due_us =
        timing.at_start ? *state.due_us : last_due(timing, *state.due_us, now.day_us);
    for (PairId id = 0; id < pairs_.size(); ++id) {
      if (pairs_[id].job != job) continue;
      pair_states_[id].wanted = pair_states_[id].in_round = true;
      pair_states_[id].due_us = due_us;
    }
    reckon(job, now.day_us);
  }
}

bool Planner::side_has_news(const JobConfig& job, const std::string& node, Side& side) const {
  const auto found = pulses_.find(node);
  if (found == pulses_.end() || found->second.generation == side.generation) return false;
  const Pulse& pulse = found->second;
  if (pulse.schema != side.schema) return true;
  for (const auto& [name, table] : pulse.tables) {
    if (!job.takes(name)) continue;
    if (table.pending) return true;
    const auto known = side.knows.find(name);
    if (known != side.knows.end() && known->second != table.knowledge) return true;
  }
  // Somebody wrote, but nothing that is this job's business.
  side.generation = pulse.generation;
  return false;
}

bool Planner::has_news(const Pair& pair, PairState& state) {
  const JobConfig& job = *jobs_[pair.job].config;
  const bool first = side_has_news(job, pair.first, state.first);
  return side_has_news(job, pair.second, state.second) || first;
}

Planner::Decision Planner::decide(Moment now) {
  raise_due(now);
  Decision decision;
  std::set<std::string> busy;
  std::size_t at_work = 0;
  for (PairId id = 0; id < pairs_.size(); ++id) {
    const PairState& state = pair_states_[id];
    if (!state.running) continue;
    for (const std::string& node : {pairs_[id].first, pairs_[id].second}) {
      if (exclusive_.contains(node) && !state.abandoned) busy.insert(node);
    }
    // A session that waits for a server takes nothing that another one needs.
    const std::int64_t stalls_us = state.alive_us + limits_.stalled_us;
    if (now.steady_us < stalls_us) {
      ++at_work;
      earlier(decision.wake_us, stalls_us);
    }
  }
  std::vector<PairId> ready;
  for (PairId id = 0; id < pairs_.size(); ++id) {
    const Pair& pair = pairs_[id];
    PairState& state = pair_states_[id];
    const JobState& job = states_[pair.job];
    const Timing& timing = jobs_[pair.job].timing;
    if (state.running || job.held || !job.leased) continue;
    if (job.paused && !state.kicked) continue;
    if (!state.kicked && timing.continuous) {
      const std::int64_t sweep_us = state.met_us + limits_.sweep_us;
      if (now.steady_us >= sweep_us || has_news(pair, state)) state.wanted = true;
      earlier(decision.wake_us, std::max(sweep_us, now.steady_us + 1));
    }
    if (!state.wanted) continue;
    if (const auto until_us = timing.excluded_until && !state.kicked
                                  ? timing.excluded_until(now.day_us)
                                  : std::nullopt) {
      earlier(decision.wake_us, now.steady_us + std::max<std::int64_t>(*until_us - now.day_us, 1));
      continue;
    }
    if (now.steady_us < state.not_before_us) {
      earlier(decision.wake_us, state.not_before_us);
      continue;
    }
    if (!state.waits_since_us) state.waits_since_us = now.steady_us;
    ready.push_back(id);
  }
  std::stable_sort(ready.begin(), ready.end(), [this](PairId a, PairId b) {
    return pair_states_[a].waits_since_us < pair_states_[b].waits_since_us;
  });
  for (const PairId id : ready) {
    if (at_work >= limits_.parallel) break;  // whoever ends asks again
    const Pair& pair = pairs_[id];
    if (busy.contains(pair.first) || busy.contains(pair.second)) continue;
    PairState& state = pair_states_[id];
    state.began_kicked = state.kicked;
    state.wanted = state.kicked = state.dropped = false;
    state.running = true;
    state.began_us = state.alive_us = now.steady_us;
    const auto begin = [this](const std::string& node, Side& side) {
      const auto found = pulses_.find(node);
      if (found == pulses_.end()) return;
      side.generation = found->second.generation;
      side.schema = found->second.schema;
    };
    begin(pair.first, state.first_at_begin);
    begin(pair.second, state.second_at_begin);
    for (const std::string& node : {pair.first, pair.second}) {
      if (exclusive_.contains(node)) busy.insert(node);
    }
    ++at_work;
    earlier(decision.wake_us, now.steady_us + limits_.stalled_us);
    decision.begin.push_back(id);
  }
  // Times of day are waited for in steps, because somebody may set the clock or the machine sleep.
  for (const JobState& state : states_) {
    if (!state.due_us) continue;
    constexpr std::int64_t kStepUs = 60'000'000;
    earlier(decision.wake_us,
            now.steady_us + std::clamp<std::int64_t>(*state.due_us - now.day_us, 1, kStepUs));
  }
  return decision;
}

}  // namespace tidemark::scheduler
