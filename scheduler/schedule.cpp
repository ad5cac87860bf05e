#include "scheduler/schedule.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "model/error.h"
#include "scheduler/duration.h"
#include "scheduler/suggest.h"

namespace tidemark::scheduler {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using std::chrono::sys_days;
using std::chrono::sys_seconds;
using std::chrono::year_month_day;

/// What the clocks of a place show, as if it were UTC.
using LocalSeconds = sys_seconds;

std::string in_quotes(std::string_view text) { return "\"" + std::string(text) + "\""; }

/// A mistake inside of a text that the caller names.
[[noreturn]] void fail(const std::string& message, const std::string& hint) {
  throw Error(ExitCode::usage, message, hint);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const auto end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (true) {
    const auto begin = text.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return words;
    const auto end = std::min(text.find_first_of(" \t", begin), text.size());
    words.push_back(text.substr(begin, end - begin));
    text.remove_prefix(end);
  }
}

std::optional<int> number_of(std::string_view text) {
  if (text.empty() || text.size() > 4) return std::nullopt;
  int number = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  if (parsed.ec != std::errc() || parsed.ptr != end || number < 0) return std::nullopt;
  return number;
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

const std::vector<std::string> kMonthNames = {"jan", "feb", "mar", "apr", "may", "jun",
                                              "jul", "aug", "sep", "oct", "nov", "dec"};
const std::vector<std::string> kWeekdayNames = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

std::optional<int> place_of(std::string_view word, const std::vector<std::string>& names) {
  const auto found = std::find(names.begin(), names.end(), lower(word));
  if (found == names.end()) return std::nullopt;
  return static_cast<int>(found - names.begin());
}

// --- Cron lines
// -----------------------------------------------------------------------------------

struct FieldRule {
  std::string name;
  int least;
  int greatest;
  const std::vector<std::string>* names;  // null: numbers only
};

const std::array<FieldRule, 5> kFieldRules = {{
    {"minute", 0, 59, nullptr},
    {"hour", 0, 23, nullptr},
    {"day of the month", 1, 31, nullptr},
    {"month", 1, 12, &kMonthNames},
    {"day of the week", 0, 7, &kWeekdayNames},
}};

std::string range_text(const FieldRule& rule) {
  std::string text = "the " + rule.name + " goes from " + std::to_string(rule.least) + " to " +
                     std::to_string(rule.greatest);
  if (rule.names != nullptr) text += ", or by name: " + listed(*rule.names);
  return text;
}

int cron_value(std::string_view word, const FieldRule& rule) {
  if (const auto number = number_of(word)) {
    if (*number >= rule.least && *number <= rule.greatest) return *number;
  } else if (rule.names != nullptr) {
    if (const auto place = place_of(word, *rule.names)) return rule.least + *place;
  }
  std::string hint = range_text(rule);
  if (rule.names != nullptr && !word.empty()) {
    const std::string near = closest(word, *rule.names);
    if (!near.empty()) hint = "did you mean " + in_quotes(near) + "? " + hint;
  }
  fail(word.empty() ? "has a list with an empty part for the " + rule.name
                    : "has a wrong " + rule.name + ": " + in_quotes(word),
       hint);
}

int cron_step(std::string_view word, const FieldRule& rule) {
  const auto step = number_of(word);
  if (!step || *step == 0) {
    fail("has a wrong step for the " + rule.name + ": " + in_quotes(word),
         "a step is a number from 1, as in */5");
  }
  if (*step > rule.greatest - rule.least) {
    fail("has a step that never fits twice for the " + rule.name + ": " + in_quotes(word),
         range_text(rule));
  }
  return *step;
}

/// One part of a list: *, 5, 1-5, */5, 1-30/5.
template <std::size_t size>
void add_cron_part(std::string_view part, const FieldRule& rule, std::bitset<size>& set) {
  const auto slash = part.find('/');
  const std::string_view range = part.substr(0, slash);
  int first = rule.least;
  int last = rule.greatest;
  if (range != "*") {
    const auto dash = range.find('-');
    first = cron_value(range.substr(0, dash), rule);
    last = first;
    if (dash != std::string_view::npos) {
      last = cron_value(range.substr(dash + 1), rule);
      // Sunday ends a week as well as it begins one.
      if (last == 0 && rule.names == &kWeekdayNames) last = 7;
    } else if (slash != std::string_view::npos) {
      fail("has a step without a range: " + in_quotes(part), "write " + std::string(range) + "-" +
                                                                 std::to_string(rule.greatest) +
                                                                 std::string(part.substr(slash)));
    }
    if (first > last) {
      fail("has a range that goes backwards: " + in_quotes(part),
           "write it as a list of two ranges that are separated by a comma");
    }
  }
  const int step = slash == std::string_view::npos ? 1 : cron_step(part.substr(slash + 1), rule);
  for (int value = first; value <= last; value += step) {
    // Only the day of the week goes beyond its set: 7 is Sunday.
    set.set(static_cast<std::size_t>(value) % (size == 7 ? 7 : size));
  }
}

template <std::size_t size>
void read_cron_field(std::string_view field, const FieldRule& rule, std::bitset<size>& set) {
  for (const std::string_view part : split(field, ',')) add_cron_part(part, rule, set);
}

/// Some day of some year is taken: with both days restricted each day of the week comes.
bool ever_runs(const CronFields& fields) {
  static constexpr std::array<std::size_t, 13> kLongest = {0,  31, 29, 31, 30, 31, 30,
                                                           31, 31, 30, 31, 30, 31};
  if (fields.either_day) return true;
  for (std::size_t month = 1; month <= 12; ++month) {
    if (!fields.months[month]) continue;
    for (std::size_t day = 1; day <= kLongest[month]; ++day) {
      if (fields.days[day]) return true;
    }
  }
  return false;
}

const std::vector<std::pair<std::string, std::string>> kCronNames = {
    {"@hourly", "0 * * * *"},  {"@daily", "0 0 * * *"},   {"@midnight", "0 0 * * *"},
    {"@weekly", "0 0 * * 0"},  {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"},
    {"@annually", "0 0 1 1 *"}};

CronFields parse_cron(std::string_view line) {
  auto fields = words_of(line);
  if (fields.size() == 1 && fields[0].starts_with('@')) {
    std::vector<std::string> known;
    for (const auto& [name, meaning] : kCronNames) {
      if (name == lower(fields[0])) return parse_cron(meaning);
      known.push_back(name);
    }
    fail("has a name that cron does not know here: " + in_quotes(fields[0]),
         suggestion(fields[0], known, "names"));
  }
  if (fields.size() != 5) {
    fail("must have five fields after \"cron\", not " + std::to_string(fields.size()),
         "minute, hour, day of the month, month, day of the week: \"cron 0 2 * * *\"");
  }
  CronFields result;
  read_cron_field(fields[0], kFieldRules[0], result.minutes);
  read_cron_field(fields[1], kFieldRules[1], result.hours);
  read_cron_field(fields[2], kFieldRules[2], result.days);
  read_cron_field(fields[3], kFieldRules[3], result.months);
  read_cron_field(fields[4], kFieldRules[4], result.weekdays);
  result.either_day = !fields[2].starts_with('*') && !fields[4].starts_with('*');
  result.keeps_rhythm = fields[0].starts_with('*') || fields[1].starts_with('*');
  if (!ever_runs(result)) {
    fail("never runs: its months have no such day", "correct the day of the month or the month");
  }
  return result;
}

/// "did you mean ...? " for a schedule of an unknown kind; empty where nothing is near.
std::string likely_schedule(std::string_view text, const std::vector<std::string_view>& words) {
  std::string likely;
  if (words.size() == 5 || text.starts_with('@')) {
    likely = "cron " + std::string(text);
  } else if (!words.empty()) {
    likely = closest(words.front(), {"manual", "continuous", "every", "cron"});
    for (const auto& [name, meaning] : kCronNames) {
      if (name.substr(1) == lower(text)) likely = "cron " + name;
    }
    if (likely.empty() && parse_duration(text)) likely = "every " + std::string(text);
  }
  return likely.empty() ? likely : "did you mean " + in_quotes(likely) + "? ";
}

/// The first minute in [begin, end) that the fields name.
std::optional<LocalSeconds> first_match(const CronFields& fields, LocalSeconds begin,
                                        LocalSeconds end) {
  sys_days day = std::chrono::floor<days>(begin);
  minutes minute = std::chrono::ceil<minutes>(begin - day);
  for (; day < end; day += days(1), minute = minutes(0)) {
    if (!fields.takes_day(year_month_day(day))) continue;
    for (auto hour = static_cast<std::size_t>(minute / hours(1)); hour < 24; ++hour) {
      const auto first =
          static_cast<std::size_t>(std::max(minute - hours(hour), minutes(0)).count());
      if (!fields.hours[hour]) continue;
      for (std::size_t m = first; m < 60; ++m) {
        if (!fields.minutes[m]) continue;
        const LocalSeconds found = day + hours(hour) + minutes(m);
        return found < end ? std::optional(found) : std::nullopt;
      }
    }
  }
  return std::nullopt;
}

/// Far enough that no sum overflows, and beyond every date that a schedule may wait for.
constexpr seconds kHorizon = days(366 * 50);

sys_seconds next_of_cron(const CronFields& fields, const TimeZone& zone, Time time) {
  sys_seconds begin = std::chrono::floor<seconds>(time) + seconds(1);
  while (true) {
    const TimeZone::Stretch stretch = zone.at(begin);
    // What the clocks show when the stretch begins, and what they would show without the change.
    LocalSeconds from = begin + stretch.offset;
    if (!fields.keeps_rhythm && stretch.begin > sys_seconds(seconds(0))) {
      const seconds previous = zone.at(stretch.begin - seconds(1)).offset;
      const LocalSeconds expected = stretch.begin + previous;
      const LocalSeconds shown = stretch.begin + stretch.offset;
      if (begin == stretch.begin && first_match(fields, expected, shown)) return begin;  // a gap
      from = std::max(from, expected);  // shown for the second time until then
    }
    const LocalSeconds end = std::min(stretch.end, begin + kHorizon) + stretch.offset;
    if (const auto found = first_match(fields, from, end)) return *found - stretch.offset;
    begin = std::min(stretch.end, begin + kHorizon);
  }
}

// --- Windows
// --------------------------------------------------------------------------------------

constexpr int kMinutesOfDay = 24 * 60;
constexpr int kMinutesOfWeek = 7 * kMinutesOfDay;
const char* const kWindowHint =
    "write days and times: \"Mon-Fri 08:00-20:00\", \"Sat,Sun 22:00-02:00\" or \"12:00-13:00\"";

struct Window {
  std::array<bool, 7> weekdays{};
  int begin = 0;   // minutes from midnight
  int length = 0;  // minutes, at most a day
};

std::optional<int> minute_of_day(std::string_view text) {
  if (text.size() != 5 || text[2] != ':') return std::nullopt;
  const auto hour = number_of(text.substr(0, 2));
  const auto minute = number_of(text.substr(3));
  if (!hour || !minute || *minute > 59) return std::nullopt;
  const int result = *hour * 60 + *minute;
  return result <= kMinutesOfDay ? std::optional(result) : std::nullopt;
}

void read_window_times(std::string_view text, Window& window) {
  const auto times = split(text, '-');
  const auto begin = minute_of_day(times.front());
  const auto end = times.size() == 2 ? minute_of_day(times.back()) : std::nullopt;
  if (!begin || !end || *begin == kMinutesOfDay) {
    fail("has no times that make sense: " + in_quotes(text),
         "write begin and end from 00:00 to 24:00, as in 08:00-20:00");
  }
  if (*begin == *end) {
    fail("begins and ends at one time", "write 00:00-24:00 for a whole day");
  }
  window.begin = *begin;
  window.length = (*end - *begin + kMinutesOfDay) % kMinutesOfDay;
  if (window.length == 0) window.length = kMinutesOfDay;  // 00:00-24:00
}

std::size_t weekday_of(std::string_view word) {
  if (const auto place = place_of(word, kWeekdayNames)) return static_cast<std::size_t>(*place);
  fail("names a day that is not known: " + in_quotes(word),
       suggestion(word, {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}, "days"));
}

void read_window_days(std::string_view text, Window& window) {
  for (const std::string_view part : split(text, ',')) {
    const auto dash = part.find('-');
    const std::size_t first = weekday_of(part.substr(0, dash));
    const std::size_t last =
        dash == std::string_view::npos ? first : weekday_of(part.substr(dash + 1));
    // Fri-Mon goes over the end of the week.
    for (std::size_t day = first;; day = (day + 1) % 7) {
      window.weekdays.at(day) = true;
      if (day == last) break;
    }
  }
}

Window parse_window(std::string_view text) {
  const auto words = words_of(text);
  if (words.empty() || words.size() > 2) fail("is not known", kWindowHint);
  if (words.back().find(':') == std::string_view::npos) fail("has no times", kWindowHint);
  Window window;
  read_window_times(words.back(), window);
  if (words.size() == 2) {
    read_window_days(words.front(), window);
  } else {
    window.weekdays.fill(true);
  }
  return window;
}

std::size_t minute_of_week(LocalSeconds time) {
  const sys_days day = std::chrono::floor<days>(time);
  const auto weekday = static_cast<int>(std::chrono::weekday(day).c_encoding());
  const auto minute = std::chrono::floor<minutes>(time - day).count();
  return static_cast<std::size_t>(weekday * kMinutesOfDay + minute);
}

}  // namespace

bool CronFields::takes_day(year_month_day day) const {
  if (!months[static_cast<unsigned>(day.month())]) return false;
  const bool by_date = days[static_cast<unsigned>(day.day())];
  const bool by_weekday = weekdays[std::chrono::weekday(sys_days(day)).c_encoding()];
  return either_day ? by_date || by_weekday : by_date && by_weekday;
}

ExcludeWindows::ExcludeWindows(const std::vector<std::string>& windows) {
  std::vector<std::size_t> owner(kMinutes, windows.size());  // the window that holds a minute
  for (std::size_t i = 0; i < windows.size(); ++i) {
    const std::string who = "the window " + in_quotes(windows[i]) + " ";
    try {
      const Window window = parse_window(windows[i]);
      for (int day = 0; day < 7; ++day) {
        if (!window.weekdays.at(static_cast<std::size_t>(day))) continue;
        for (int m = 0; m < window.length; ++m) {
          const int minute = (day * kMinutesOfDay + window.begin + m) % kMinutesOfWeek;
          std::size_t& place = owner[static_cast<std::size_t>(minute)];
          if (place < windows.size()) {
            fail("overlaps " + in_quotes(windows[place]),
                 "write one window for both, or keep them apart");
          }
          place = i;
          minutes_.set(static_cast<std::size_t>(minute));
        }
      }
    } catch (const Error& error) {
      throw Error(error.code(), who + error.what(), error.hint());
    }
  }
  if (minutes_.all()) {
    throw Error(ExitCode::usage, "the windows exclude the whole week",
                "leave some time for the job, or write schedule = \"manual\"");
  }
}

bool ExcludeWindows::excludes(Time time, const TimeZone& zone) const {
  if (empty()) return false;
  const sys_seconds second = std::chrono::floor<seconds>(time);
  return minutes_[minute_of_week(second + zone.at(second).offset)];
}

Time ExcludeWindows::next_allowed(Time time, const TimeZone& zone) const {
  if (!excludes(time, zone)) return time;
  sys_seconds begin = std::chrono::floor<seconds>(time);
  while (true) {
    const TimeZone::Stretch stretch = zone.at(begin);
    LocalSeconds local = std::chrono::floor<minutes>(begin + stretch.offset);
    std::size_t minute = minute_of_week(local);
    while (minutes_[minute]) {
      minute = (minute + 1) % kMinutes;
      local += minutes(1);
    }
    const sys_seconds found = std::max(local - stretch.offset, begin);
    if (found < stretch.end) return found;
    begin = stretch.end;
  }
}

Schedule parse_schedule(std::string_view text) {
  Schedule schedule;
  schedule.text = text;
  try {
    const auto words = words_of(text);
    const std::string_view kind = words.empty() ? "" : words.front();
    if (kind == "manual" && words.size() == 1) {
      schedule.kind = ScheduleKind::manual;
    } else if (kind == "continuous" && words.size() == 1) {
      schedule.kind = ScheduleKind::continuous;
    } else if (kind == "every") {
      schedule.kind = ScheduleKind::every;
      const auto period = words.size() == 2 ? parse_duration(words[1]) : std::nullopt;
      if (!period) fail("has no duration after \"every\"", "write for instance \"every 30s\"");
      if (*period < seconds(1)) {
        fail("is more often than once a second",
             "write \"continuous\" to have changes carried at once");
      }
      schedule.period = *period;
    } else if (kind == "cron") {
      schedule.kind = ScheduleKind::cron;
      schedule.cron = parse_cron(text.substr(text.find("cron") + 4));
    } else {
      fail("is not known",
           likely_schedule(text, words) +
               "write \"manual\", \"continuous\", \"every 30s\" or \"cron 0 2 * * *\"");
    }
  } catch (const Error& error) {
    throw Error(error.code(), "schedule " + in_quotes(text) + " " + error.what(), error.hint());
  }
  return schedule;
}

std::optional<Time> next_after(const Schedule& schedule, Time time) {
  switch (schedule.kind) {
    case ScheduleKind::manual:
      return std::nullopt;
    case ScheduleKind::continuous:
      return time;
    case ScheduleKind::every:
      return time + schedule.period;
    case ScheduleKind::cron:
      return next_of_cron(schedule.cron, schedule.zone, time);
  }
  return std::nullopt;
}

std::optional<Time> next_run(const Schedule& schedule, const RunHistory& history, Time now) {
  if (schedule.kind == ScheduleKind::manual) return std::nullopt;
  Time next = now;
  const bool is_first_period = schedule.kind == ScheduleKind::every && !history.last_run;
  if (schedule.kind != ScheduleKind::continuous && !is_first_period) {
    const Time last = history.last_run.value_or(history.watched_since);
    const std::chrono::microseconds patience =
        schedule.kind == ScheduleKind::every ? schedule.period : hours(3);
    if (last <= now + patience) next = std::max(now, next_after(schedule, last).value_or(now));
  }
  return schedule.windows.next_allowed(next, schedule.zone);
}

bool is_due(const Schedule& schedule, const RunHistory& history, Time now) {
  return next_run(schedule, history, now) == now;
}

}  // namespace tidemark::scheduler
