#include "scheduler/behind_questions.h"

#include <algorithm>
#include <utility>

namespace tidemark::scheduler {

BehindQuestions::BehindQuestions(const Planner& planner, std::int64_t steady_us)
    : planner_(planner) {
  for (Planner::PairId id = 0; id < planner.pairs().size(); ++id) {
    const Planner::Pair& pair = planner.pairs()[id];
    for (const bool to_second : {true, false}) {
      if (!to_second && planner.jobs()[pair.job].config->mode == Mode::backup) continue;
      State& state = states_[{.pair = id, .to_second = to_second}];
      state.not_before_us = steady_us + kPatienceUs;
      state.source = to_second ? pair.first : pair.second;
      state.target = to_second ? pair.second : pair.first;
    }
  }
}

bool BehindQuestions::is_due(const State& state, const Standing& standing, bool continuous,
                             std::int64_t steady_us) const {
  if (steady_us < state.not_before_us) return false;
  if (state.again) return true;
  const std::int64_t since_us = steady_us - state.asked_us;
  // What a pair of a schedule missed it has time for until the next run.
  const bool unwell = standing.unwell || (standing.unmet && continuous);
  if (!unwell) return !continuous && (!state.asked || since_us >= kBetweenRunsUs);
  if (!state.asked) return true;
  // A change that is known to wait goes on waiting, unless somebody else let the two meet.
  if (state.behind.since_us != 0 || !standing.generation) return since_us >= kAgainUs;
  return standing.generation != state.generation;
}

std::map<std::string, std::vector<BehindQuestions::Question>> BehindQuestions::due(
    std::int64_t steady_us,
    const std::function<std::optional<Standing>(Direction direction)>& standing) {
  std::map<std::string, std::vector<Question>> questions;
  const auto at_work = static_cast<std::size_t>(std::count_if(
      asking_.begin(), asking_.end(),
      [steady_us](const auto& entry) { return steady_us - entry.second < kPatienceUs; }));
  for (auto& [direction, state] : states_) {
    const auto stands = standing(direction);
    if (!stands) continue;
    if (!stands->elsewhere) {
      state.elsewhere_us = 0;
    } else if (state.elsewhere_us == 0) {
      state.elsewhere_us = steady_us;
    } else if (steady_us - state.elsewhere_us > kPatienceUs) {
      // That one tells it. Without its hub nobody has the lease for a moment.
      state.behind = {};
      state.asked = false;
    }
    if (stands->elsewhere || asking_.contains(state.source)) continue;
    const bool is_full = at_work + questions.size() >= kAtATime;
    if (is_full && !questions.contains(state.source)) continue;
    const std::size_t job = planner_.pairs()[direction.pair].job;
    if (!is_due(state, *stands, planner_.jobs()[job].timing.continuous, steady_us)) continue;
    state.asked = true;
    state.again = false;
    state.asked_us = steady_us;
    state.not_before_us = steady_us + kSoonUs;
    state.generation = stands->generation;
    questions[state.source].push_back({.direction = direction,
                                       .job = planner_.jobs()[job].config,
                                       .target = state.target,
                                       .before = state.behind,
                                       .meetings = state.meetings});
  }
  for (const auto& entry : questions) asking_[entry.first] = steady_us;
  return questions;
}

void BehindQuestions::answered(const std::string& node, const std::vector<Question>& questions,
                               const std::vector<Behind>& answers, std::int64_t steady_us) {
  asking_.erase(node);
  for (std::size_t i = 0; i < questions.size(); ++i) {
    State& state = states_.at(questions[i].direction);
    // A session was faster: what was found may have been carried by it.
    if (state.meetings != questions[i].meetings) continue;
    if (i < answers.size()) {
      state.behind = answers[i];
    } else {
      state.asked = false;
      state.not_before_us = steady_us + kAgainUs;
    }
  }
}

void BehindQuestions::met(Planner::PairId pair, bool whole, std::int64_t steady_us) {
  for (const bool to_second : {true, false}) {
    const auto found = states_.find({.pair = pair, .to_second = to_second});
    if (found == states_.end()) continue;
    State& state = found->second;
    ++state.meetings;
    if (whole) {
      state.behind = {};
      state.again = false;
      state.asked = false;
      const bool continuous = planner_.jobs()[planner_.pairs()[pair].job].timing.continuous;
      state.not_before_us = steady_us + (continuous ? kPatienceUs : kBetweenRunsUs);
    } else {
      // Often it is left out again and again.
      const bool was_asked = std::exchange(state.again, true) || state.asked_us != 0;
      if (was_asked) state.not_before_us = std::max(state.not_before_us, state.asked_us + kAgainUs);
    }
  }
}

void BehindQuestions::remember(Direction direction, const Behind& behind) {
  const auto found = states_.find(direction);
  if (found != states_.end()) found->second.behind = behind;
}

}  // namespace tidemark::scheduler
