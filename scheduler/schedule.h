// When a job runs: a Schedule is what `schedule`, `time_zone` and `exclude_windows` of a job say,
// read once. All is values and pure functions: the time is an argument, no clock is read.
//
// Local times and changes of daylight saving (the rule of Vixie cron):
// - A cron job whose minute and hour are both given runs once for each time that it names. A time
//   that the clocks skip runs at the first moment after the gap, once for all that were skipped; a
//   time that the clocks show twice runs when it is shown first.
// - A cron job whose minute or hour field begins with `*` keeps its rhythm: it runs whenever the
//   clocks show a time that it names, twice where they show it twice, never in a gap.
// - A window excludes each moment at which the clocks show a time in it.
#pragma once

#include <bitset>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/time_zone.h"

namespace tidemark::scheduler {

using Time = std::chrono::sys_time<std::chrono::microseconds>;

/// The five fields of a cron line, as sets.
struct CronFields {
  std::bitset<60> minutes;
  std::bitset<24> hours;
  std::bitset<32> days;       // of the month, from 1
  std::bitset<13> months;     // from 1
  std::bitset<7> weekdays;    // from Sunday, 0
  bool either_day = false;    // day of the month or day of the week, where both are restricted
  bool keeps_rhythm = false;  // the minute or hour field begins with *

  bool takes_day(std::chrono::year_month_day day) const;

  friend bool operator==(const CronFields&, const CronFields&) = default;
};

/// The times of a week, by the clocks of a place, at which a job must not run. The windows of one
/// job do not overlap.
class ExcludeWindows {
 public:
  ExcludeWindows() = default;
  /// From "Mon-Fri 08:00-20:00", "Sat,Sun 22:00-02:00" (to the next day), "12:00-13:00" (every
  /// day). Throws Error usage.
  explicit ExcludeWindows(const std::vector<std::string>& windows);

  bool empty() const { return minutes_.none(); }
  bool excludes(Time time, const TimeZone& zone) const;
  /// `time` itself, or the first moment after it that no window excludes.
  Time next_allowed(Time time, const TimeZone& zone) const;

  friend bool operator==(const ExcludeWindows&, const ExcludeWindows&) = default;

 private:
  static constexpr std::size_t kMinutes = 7 * 24 * 60;
  std::bitset<kMinutes> minutes_;  // of the week, from Sunday 00:00
};

enum class ScheduleKind : std::uint8_t { manual, continuous, every, cron };

struct Schedule {
  ScheduleKind kind = ScheduleKind::manual;
  std::string text = "manual";         // as written
  std::chrono::microseconds period{};  // of `every`
  CronFields cron;                     // of `cron`
  TimeZone zone;                       // of cron and windows
  ExcludeWindows windows;

  friend bool operator==(const Schedule&, const Schedule&) = default;
};

/// "manual", "continuous", "every 30s", "cron 0 2 * * *" or "cron @daily"; zone and windows are
/// left at their defaults. Throws Error usage: the message begins with `schedule "..."`.
Schedule parse_schedule(std::string_view text);

/// The first time after `time` that the schedule names, windows left aside: nothing for `manual`,
/// `time` itself for `continuous`, which waits for changes alone, a period later for `every`.
std::optional<Time> next_after(const Schedule& schedule, Time time);

/// What is known of a job's runs.
struct RunHistory {
  std::optional<Time> last_run;  // when it began; nothing if it never ran
  Time watched_since{};          // a job that never ran counts from here
};

/// When the job must run next, seen from `now`: `now` itself when it is due, nothing for a manual
/// job. However many runs were missed, by a machine that slept or a window, there is one. A run
/// that falls into a window happens when the window ends. `continuous` is due whenever no window
/// excludes it; `every` is due at once when it never ran. When the clock was set back behind the
/// last run, by more than a period or, for cron, three hours, the job is due as well: it would wait
/// for long.
std::optional<Time> next_run(const Schedule& schedule, const RunHistory& history, Time now);

/// next_run is now.
bool is_due(const Schedule& schedule, const RunHistory& history, Time now);

}  // namespace tidemark::scheduler
