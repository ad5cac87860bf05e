// Planner decides which sessions of a daemon begin now and when to ask again. It is told what
// happened and what time it is; it opens nothing, reads no clock and draws no random number. The
// unit is a pair: one job's first node with one of its others. Not thread-safe.
//
// Two clocks: a Moment has the time of day, by which schedules go, and the time since the machine
// started, by which pauses are measured, because somebody may set the time of day.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engines/engine.h"
#include "scheduler/config.h"

namespace tidemark::scheduler {

struct Moment {
  std::int64_t day_us = 0;     // microseconds since 1970 UTC
  std::int64_t steady_us = 0;  // never goes back
};

/// When a job runs, apart from being asked to.
struct Timing {
  bool continuous = false;
  bool at_start = false;  // once when the daemon begins
  /// The first time after the one given at which the job is due; nothing for "manual".
  std::function<std::optional<std::int64_t>(std::int64_t after_us)> next;
  /// Within a window in which the job must not run: when it ends.
  std::function<std::optional<std::int64_t>(std::int64_t now_us)> excluded_until;
};

class Planner {
 public:
  struct Limits {
    std::size_t parallel = 4;
    /// A continuous pair rests after a session for this many times as long as the session took, so
    /// that writers keep most of the time for themselves; but at least and at most so long. Longer
    /// after a session that carried many changes: writers are busy then, and the more a session
    /// finds, the less each change costs them.
    std::int64_t rest_factor = 3;
    std::int64_t busy_rest_factor = 19;
    std::int64_t busy_changes = 20;
    std::int64_t min_rest_us = 4'000;
    std::int64_t max_rest_us = 200'000;
    /// After a session that carried a flood it may rest longer: each harvest keeps the writers of a
    /// file waiting, by the way they wait longer than it takes, and on a server the more changes a
    /// session finds, the less each of them takes from the writers' processors.
    std::int64_t flood_changes = 5'000;
    std::int64_t flood_rest_us = 1'200'000;
    std::int64_t first_retry_us = 1'000'000;
    std::int64_t last_retry_us = 300'000'000;
    /// A pair that somebody else is working on is tried again after this time.
    std::int64_t locked_retry_us = 500'000;
    /// One that left changes to the next session, at first and at last: news of other rows wait for
    /// it too.
    std::int64_t first_return_us = 1'000'000;
    std::int64_t last_return_us = 8'000'000;
    /// A continuous pair meets this often even when no change was noticed: lost triggers are found
    /// by sessions only.
    std::int64_t sweep_us = 300'000'000;
    /// A session without a sign of life for this long makes room for another one.
    std::int64_t stalled_us = 2'000'000;
  };

  struct Job {
    const JobConfig* config = nullptr;
    Timing timing;
  };

  using PairId = std::size_t;
  struct Pair {
    std::size_t job = 0;
    std::string first;
    std::string second;
  };

  /// What a pair has yet to do and how it fared: it outlives this planner, to be done by the next.
  struct Debt {
    bool wanted = false;  // also when it is at work: that may be cut short
    bool kicked = false;
    bool in_round = false;
    bool at_start = false;               // the job began with its daemon, not by a timetable
    std::optional<std::int64_t> due_us;  // the time of its schedule for which its round is
    int failures = 0;
    std::int64_t not_before_us = 0;  // steady

    friend bool operator==(const Debt&, const Debt&) = default;
  };

  /// Nodes in `exclusive` take part in one session at a time. What falls due after `now` is run.
  Planner(std::vector<Job> jobs, std::set<std::string> exclusive, Limits limits, Moment now);

  const std::vector<Pair>& pairs() const { return pairs_; }
  const std::vector<Job>& jobs() const { return jobs_; }

  // --- What happened
  void looked(const std::string& node, const Pulse& pulse);
  /// The session's worker gave a sign of life.
  void alive(PairId pair, Moment now);
  struct Done {
    bool first_learned = false;  // the session wrote to it
    bool second_learned = false;
    std::map<std::string, std::uint64_t> first_knows;  // as Pulse::Table::knowledge, its tables
    std::map<std::string, std::uint64_t> second_knows;
    std::int64_t changes = 0;     // rows written on either node
    bool left_something = false;  // for a transaction of somebody else's to end
  };
  /// For each second node the time of the job's schedule up to which its runs are done.
  using DoneRuns = std::map<std::string, std::int64_t>;
  /// The answer is for other daemons of the job: what the round has done that ends with it.
  DoneRuns done(PairId pair, const Done& what, Moment now);
  /// `jitter` from 0 to 1. The answer is when the pair is tried again.
  Moment failed(PairId pair, double jitter, Moment now);
  void found_locked(PairId pair, Moment now);
  /// A node can be reached again: pairs that failed need not wait for their next try.
  void is_back(const std::string& node);
  /// A session that was given up for a reason that is nobody's fault; the pair is wanted again.
  void gave_up(PairId pair, Moment now);
  /// A session that was cut off and has not ended: a file system hangs. Its files are free for
  /// others; whichever of them it holds a lock of says so itself.
  void abandon(PairId pair) { pair_states_[pair].abandoned = true; }
  /// The pair is to meet although no change was seen.
  void want(PairId pair);

  /// Paused jobs, held jobs (somebody works on one by hand) and jobs without a lease begin nothing.
  void pause(std::size_t job, bool paused) { states_[job].paused = paused; }
  void hold(std::size_t job, bool held) { states_[job].held = held; }
  /// `done`: when the job is had anew, the runs that were done by whoever had the lease; those are
  /// not done again. With a lease that is lost goes what somebody asked for; whether it was so.
  bool lease(std::size_t job, bool leased, const DoneRuns& done = {});
  /// Runs the job once as soon as there is room, whatever its schedule, windows and retries say. It
  /// is asked for until it succeeds; one that fails is tried again like any other, but for windows
  /// and pauses.
  void kick(std::size_t job);
  /// What falls due by now is wanted; decide() does it as well.
  void raise_due(Moment now);
  /// Takes over what a planner before this one left undone, as far as the job's timing owes it.
  void take_over(PairId pair, const Debt& debt);
  /// In a round that was left open pairs that have met meet again: nobody knows what the sessions
  /// that did not tell their end have brought to the first node.
  void begin_round_anew(std::size_t job);

  // --- What to do
  struct Decision {
    std::vector<PairId> begin;            // they count as running from now on
    std::optional<std::int64_t> wake_us;  // steady: ask again then, if nothing happens before
  };
  Decision decide(Moment now);

  // --- What is so
  bool running(std::size_t job) const;
  std::size_t running() const;
  bool paused(std::size_t job) const { return states_[job].paused; }
  bool leased(std::size_t job) const { return states_[job].leased; }
  /// When a schedule makes the job due next; nothing for continuous and manual ones.
  std::optional<std::int64_t> next_due_us(std::size_t job) const { return states_[job].due_us; }
  int failures(PairId pair) const { return pair_states_[pair].failures; }
  Debt debt(PairId pair) const;
  /// Something is to be done or is being done, whether the job is let or not.
  bool has_work(PairId pair);
  /// Pulse::generation of the last look at a node; nothing where nobody looks.
  std::optional<std::int64_t> generation(const std::string& node) const;
  /// Something is to be done, and has been for longer than a session waits for its turn.
  bool waits(PairId pair, Moment now) const;

 private:
  /// How one side of a pair was when the pair met last.
  struct Side {
    std::int64_t generation = -1;
    std::int64_t schema = 0;
    std::map<std::string, std::uint64_t> knows;
  };
  struct PairState {
    bool wanted = false;    // by its schedule, by a round of its job, or because it never met
    bool kicked = false;    // whatever windows and pauses say
    bool in_round = false;  // of its job's current round, and has not met twice in it
    std::optional<std::int64_t> due_us;  // time of day: as Debt::due_us, until the round is over
    std::optional<std::int64_t> waits_since_us;  // steady
    bool running = false;
    bool began_kicked = false;
    bool dropped = false;  // it is at work, and nobody's wish any more
    bool abandoned = false;
    std::int64_t began_us = 0;
    std::int64_t alive_us = 0;
    int failures = 0;
    std::int64_t return_us = 0;      // the last pause before it returned to what was left
    std::int64_t not_before_us = 0;  // steady
    std::int64_t met_us = 0;         // steady
    Side first, second;
    Side first_at_begin, second_at_begin;  // generation and schema only
  };
  struct JobState {
    bool paused = false;
    bool held = false;
    bool leased = true;
    std::optional<std::int64_t> due_us;  // time of day
    std::int64_t reckoned_us = 0;        // time of day when due_us was found
  };

  void reckon(std::size_t job, std::int64_t now_day_us);
  bool has_news(const Pair& pair, PairState& state);
  bool side_has_news(const JobConfig& job, const std::string& node, Side& side) const;
  void ended(PairId pair, Moment now);
  void unmet(PairId pair, Moment now);
  DoneRuns end_round(std::size_t job);
  bool drop_kicks(std::size_t job);

  const std::vector<Job> jobs_;
  const std::set<std::string> exclusive_;
  const Limits limits_;
  std::vector<Pair> pairs_;
  std::vector<PairState> pair_states_;
  std::vector<JobState> states_;
  std::map<std::string, Pulse> pulses_;
};

}  // namespace tidemark::scheduler
