// BehindQuestions says which nodes are to be asked since when others are behind them, and keeps
// what they answered, for each direction of each pair. A pair that is well is not asked about: its
// sessions tell. Neither is a node again that nobody wrote to since, and once a change is known
// that waits, nothing older can come before the two have met. So what is cut off costs one look at
// the versions, and what is idle none. Told what happened and what time it is; opens nothing, reads
// no clock. Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "scheduler/heartbeats.h"
#include "scheduler/oldest_changes.h"
#include "scheduler/planner.h"

namespace tidemark::scheduler {

class BehindQuestions {
 public:
  /// A pair that waits for its session or is at work for a moment is not behind.
  static constexpr std::int64_t kPatienceUs = 2'000'000;
  /// A node that is written to and watched is asked again at most this often until a change is
  /// found that waits.
  static constexpr std::int64_t kSoonUs = 1'000'000;
  /// Whether somebody else let two meet, or whether something waits on a node that nobody watches.
  static constexpr std::int64_t kAgainUs = 60'000'000;
  /// Between the runs of a schedule. What is found late still tells the right time.
  static constexpr std::int64_t kBetweenRunsUs = 300'000'000;
  /// So many nodes are asked at a time, not counting those that have not answered for kPatienceUs.
  static constexpr std::size_t kAtATime = 16;

  struct Question {
    Direction direction;
    const JobConfig* job = nullptr;
    std::string target;
    Behind before;
    std::uint64_t meetings = 0;  // when it was asked
  };

  /// How the daemon sees a direction.
  struct Standing {
    bool elsewhere = false;  // another daemon runs the job
    bool unwell = false;     // its pair has something to do, and does not get it done
    bool unmet = false;      // nothing is known of what it missed while no daemon ran
    std::optional<std::int64_t> generation;  // of the source's last pulse, if it is watched
  };

  /// `planner` must outlive this.
  BehindQuestions(const Planner& planner, std::int64_t steady_us);

  /// Those to be asked now, by the node that can tell. A node that has not answered is left alone;
  /// so are directions of which nobody knows how they stand.
  std::map<std::string, std::vector<Question>> due(
      std::int64_t steady_us,
      const std::function<std::optional<Standing>(Direction direction)>& standing);
  /// `answers` in the order of the questions; none when the node failed.
  void answered(const std::string& node, const std::vector<Question>& questions,
                const std::vector<Behind>& answers, std::int64_t steady_us);
  /// A session of the pair succeeded; not `whole`: but something was left out.
  void met(Planner::PairId pair, bool whole, std::int64_t steady_us);

  /// What a daemon before this one found.
  void remember(Direction direction, const Behind& behind);
  const Behind& behind(Direction direction) const { return states_.at(direction).behind; }

 private:
  struct State {
    Behind behind;
    bool asked = false;                      // since the pair met
    bool again = false;                      // the last session left something out
    std::optional<std::int64_t> generation;  // of the source, when it was asked
    std::int64_t asked_us = 0;               // steady
    std::int64_t not_before_us = 0;          // steady
    std::int64_t elsewhere_us = 0;           // steady: since when
    std::uint64_t meetings = 0;
    std::string source;
    std::string target;
  };

  bool is_due(const State& state, const Standing& standing, bool continuous,
              std::int64_t steady_us) const;

  const Planner& planner_;
  std::map<Direction, State> states_;
  std::map<std::string, std::int64_t> asking_;  // node -> steady: since when
};

}  // namespace tidemark::scheduler
