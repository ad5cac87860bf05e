#include "scheduler/schedule.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "model/error.h"

using namespace tidemark;
using namespace tidemark::scheduler;
using std::chrono::days;
using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

/// "2026-03-29 02:30" of UTC, seconds optional.
Time utc(const std::string& text) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  REQUIRE(std::sscanf(text.c_str(), "%d-%d-%d %d:%d:%d", &year, &month, &day, &hour, &minute,
                      &second) >= 5);
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  return std::chrono::sys_days(date) + hours(hour) + minutes(minute) + seconds(second);
}

/// A time as the clocks of the zone show it, "03-29 03:00+2": offset in hours.
std::string shown(Time time, const TimeZone& zone) {
  const auto second = std::chrono::floor<seconds>(time);
  const seconds offset = zone.at(second).offset;
  const auto local = second + offset;
  const auto day = std::chrono::floor<days>(local);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(local - day);
  char text[64];
  std::snprintf(text, sizeof text, "%02u-%02u %02d:%02d%+g", static_cast<unsigned>(date.month()),
                static_cast<unsigned>(date.day()), static_cast<int>(clock.hours().count()),
                static_cast<int>(clock.minutes().count()),
                static_cast<double>(offset.count()) / 3600);
  return text;
}

/// The next runs of a cron line, joined by ", ".
std::string runs(const std::string& line, const std::string& zone, const std::string& from,
                 int count) {
  Schedule schedule = parse_schedule("cron " + line);
  schedule.zone = TimeZone::named(zone);
  std::string text;
  Time time = utc(from);
  for (int i = 0; i < count; ++i) {
    time = next_after(schedule, time).value();
    text += (i == 0 ? "" : ", ") + shown(time, schedule.zone);
  }
  return text;
}

template <typename Call>
std::string mistake(Call call) {
  try {
    call();
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::usage);
    CHECK_FALSE(error.hint().empty());
    return std::string(error.what()) + " | " + error.hint();
  }
  return {};
}

std::string schedule_mistake(const std::string& text) {
  return mistake([&] { parse_schedule(text); });
}

std::string window_mistake(const std::vector<std::string>& windows) {
  return mistake([&] { ExcludeWindows{windows}; });
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("the kinds of schedules are told apart") {
  CHECK(parse_schedule("manual").kind == ScheduleKind::manual);
  CHECK(parse_schedule("continuous").kind == ScheduleKind::continuous);
  CHECK(parse_schedule("every 90s").period == seconds(90));
  CHECK(parse_schedule("cron 0 2 * * *").kind == ScheduleKind::cron);
  CHECK(parse_schedule("cron 0 2 * * *").text == "cron 0 2 * * *");
}

TEST_CASE("names, ranges, steps and lists mean what they mean to cron") {
  const auto same = [](const std::string& one, const std::string& other) {
    CAPTURE(one);
    CHECK(parse_schedule("cron " + one).cron == parse_schedule("cron " + other).cron);
  };
  same("0 0 1 Jan-MAR *", "0 0 1 1,2,3 *");
  same("0 0 * * mon-fri", "0 0 * * 1-5");
  same("0 0 * * 7", "0 0 * * 0");
  same("0 0 * * fri-sun", "0 0 * * 0,5,6");
  same("0 0 * * 5-7", "0 0 * * sun,fri,sat");
  same("0-30/10 5 * * *", "0,10,20,30 5 * * *");
  same("5,10-12,50-59/9 5 * * *", "5,10,11,12,50,59 5 * * *");
  same("@daily", "0 0 * * *");
  same("@midnight", "0 0 * * *");
  same("@hourly", "0 * * * *");
  same("@weekly", "0 0 * * 0");
  same("@monthly", "0 0 1 * *");
  same("@yearly", "0 0 1 1 *");
  same("\t0   2  *\t* * ", "0 2 * * *");
}

TEST_CASE("day of the month or day of the week, where neither begins with a star") {
  CHECK(runs("0 12 13 * fri", "UTC", "2026-02-01 00:00", 4) ==
        "02-06 12:00+0, 02-13 12:00+0, 02-20 12:00+0, 02-27 12:00+0");
  CHECK(runs("0 12 10 * fri", "UTC", "2026-02-01 00:00", 3) ==
        "02-06 12:00+0, 02-10 12:00+0, 02-13 12:00+0");
  CHECK(runs("0 12 * * fri", "UTC", "2026-02-01 00:00", 2) == "02-06 12:00+0, 02-13 12:00+0");
  CHECK(runs("0 12 */2 * fri", "UTC", "2026-02-01 00:00", 2) == "02-13 12:00+0, 02-27 12:00+0");
  CHECK(runs("0 0 29 2 *", "UTC", "2026-02-01 00:00", 1) == "02-29 00:00+0");
}

TEST_CASE("the next run is after the moment, never at it") {
  const Schedule schedule = parse_schedule("cron */5 * * * *");
  CHECK(next_after(schedule, utc("2026-01-01 00:05")) == utc("2026-01-01 00:10"));
  CHECK(next_after(schedule, utc("2026-01-01 00:04:59")) == utc("2026-01-01 00:05"));
  CHECK(next_after(schedule, utc("2026-01-01 00:05") - microseconds(1)) == utc("2026-01-01 00:05"));
  CHECK(next_after(schedule, utc("2026-01-01 00:05") + microseconds(1)) == utc("2026-01-01 00:10"));
  CHECK(next_after(schedule, utc("2026-12-31 23:59")) == utc("2027-01-01 00:00"));
}

TEST_CASE("a time that the clocks skip runs at the first moment after the gap, once") {
  CHECK(runs("30 2 * * *", "Europe/Berlin", "2026-03-28 00:00", 3) ==
        "03-28 02:30+1, 03-29 03:00+2, 03-30 02:30+2");
  CHECK(runs("0,15,30 2 * * *", "Europe/Berlin", "2026-03-28 12:00", 2) ==
        "03-29 03:00+2, 03-30 02:00+2");
  CHECK(runs("0,30 2-3 * * *", "Europe/Berlin", "2026-03-28 12:00", 2) ==
        "03-29 03:00+2, 03-29 03:30+2");
  CHECK(runs("15 2 * * *", "Australia/Lord_Howe", "2026-10-03 00:00", 2) ==
        "10-04 02:30+11, 10-05 02:15+11");
  CHECK(runs("@daily", "America/Santiago", "2026-09-05 12:00", 2) ==
        "09-06 01:00-3, 09-07 00:00-3");
  CHECK(runs("0 9 30 12 *", "Pacific/Apia", "2011-12-01 00:00", 1) == "12-31 00:00+14");
}

TEST_CASE("a time that the clocks show twice runs once, the first time") {
  CHECK(runs("30 2 * * *", "Europe/Berlin", "2026-10-24 12:00", 2) ==
        "10-25 02:30+2, 10-26 02:30+1");
  CHECK(runs("0,30 1-3 * * *", "America/New_York", "2026-11-01 00:00", 5) ==
        "11-01 01:00-4, 11-01 01:30-4, 11-01 02:00-5, 11-01 02:30-5, 11-01 03:00-5");
  CHECK(runs("45 1 * * *", "Australia/Lord_Howe", "2026-04-04 00:00", 2) ==
        "04-05 01:45+11, 04-06 01:45+10.5");
}

TEST_CASE("a job with a star in minute or hour keeps its rhythm over changes of the clocks") {
  CHECK(runs("30 * * * *", "Europe/Berlin", "2026-03-29 00:00", 3) ==
        "03-29 01:30+1, 03-29 03:30+2, 03-29 04:30+2");
  CHECK(runs("30 * * * *", "Europe/Berlin", "2026-10-25 00:00", 3) ==
        "10-25 02:30+2, 10-25 02:30+1, 10-25 03:30+1");
  CHECK(runs("*/30 2 * * *", "Europe/Berlin", "2026-10-24 23:59", 4) ==
        "10-25 02:00+2, 10-25 02:30+2, 10-25 02:00+1, 10-25 02:30+1");
  CHECK(runs("*/30 2 * * *", "Europe/Berlin", "2026-03-28 12:00", 1) == "03-30 02:00+2");
}

TEST_CASE("a wrong schedule is refused with what is wrong and what to write") {
  struct Case {
    std::string text;
    std::string part;
  };
  const std::vector<Case> cases = {
      {"", "schedule \"\" is not known"},
      {"0 2 * * *", "did you mean \"cron 0 2 * * *\"?"},
      {"@daily", "did you mean \"cron @daily\"?"},
      {"hourly", "did you mean \"cron @hourly\"?"},
      {"30s", "did you mean \"every 30s\"?"},
      {"continous", "did you mean \"continuous\"?"},
      {"manual please", "is not known"},
      {"every", "has no duration"},
      {"every 30 s", "has no duration"},
      {"every 999ms", "more often than once a second"},
      {"cron", "five fields after \"cron\", not 0"},
      {"cron 0 2 * * * *", "not 6"},
      {"cron @dayly", "did you mean \"@daily\"?"},
      {"cron @reboot", "does not know here"},
      {"cron 60 * * * *", "a wrong minute: \"60\" | the minute goes from 0 to 59"},
      {"cron 0 24 * * *", "a wrong hour: \"24\""},
      {"cron 0 0 0 * *", "the day of the month goes from 1 to 31"},
      {"cron 0 0 * 13 *", "jan, feb, mar"},
      {"cron 0 0 * * 8", "from 0 to 7"},
      {"cron 0 0 * * Mom", "did you mean \"mon\"?"},
      {"cron 0 0 * Monday *", "a wrong month: \"Monday\""},
      {"cron 5-1 * * * *", "a range that goes backwards: \"5-1\""},
      {"cron 0 0 * * fri-mon", "backwards"},
      {"cron 5/10 * * * *", "a step without a range: \"5/10\" | write 5-59/10"},
      {"cron */0 * * * *", "a wrong step for the minute: \"0\""},
      {"cron */x * * * *", "a wrong step for the minute: \"x\""},
      {"cron */90 * * * *", "never fits twice"},
      {"cron 1,,2 * * * *", "an empty part for the minute"},
      {"cron -5 * * * *", "an empty part for the minute"},
      {"cron 1-2-3 * * * *", "a wrong minute: \"2-3\""},
      {"cron 1.5 * * * *", "a wrong minute"},
      {"cron 00001 * * * *", "a wrong minute"},
      {"cron 0 0 30 2 *", "never runs"},
      {"cron 0 0 31 4,6,9,11 *", "never runs"},
  };
  for (const Case& one : cases) {
    CAPTURE(one.text);
    const std::string told = schedule_mistake(one.text);
    CAPTURE(told);
    CHECK(contains(told, "schedule \"" + one.text + "\" "));
    CHECK(contains(told, one.part));
  }
}

TEST_CASE("windows exclude by the clocks of the place") {
  const TimeZone berlin = TimeZone::named("Europe/Berlin");
  const ExcludeWindows work({"Mon-Fri 08:00-20:00", "Sat,Sun 22:00-02:00"});
  const auto allowed = [&](const std::string& from) {
    return shown(work.next_allowed(utc(from), berlin), berlin);
  };
  CHECK_FALSE(work.excludes(utc("2026-01-05 06:59:59"), berlin));  // Monday
  CHECK(work.excludes(utc("2026-01-05 07:00"), berlin));
  CHECK(work.excludes(utc("2026-01-05 18:59:59"), berlin));
  CHECK_FALSE(work.excludes(utc("2026-01-05 19:00"), berlin));
  CHECK_FALSE(work.excludes(utc("2026-01-03 12:00"), berlin));  // Saturday
  CHECK(work.excludes(utc("2026-01-04 00:59"), berlin));        // the night from Saturday
  CHECK(work.excludes(utc("2026-01-05 00:59"), berlin));        // the night from Sunday
  CHECK_FALSE(work.excludes(utc("2026-01-06 00:59"), berlin));
  CHECK(allowed("2026-01-05 12:00") == "01-05 20:00+1");
  CHECK(allowed("2026-01-04 21:30") == "01-05 02:00+1");
  CHECK(work.next_allowed(utc("2026-01-03 12:00:01"), berlin) == utc("2026-01-03 12:00:01"));
  CHECK(ExcludeWindows({"Fri-Mon 00:00-24:00"}) == ExcludeWindows({"mon,fri,sat,sun 00:00-24:00"}));
}

TEST_CASE("windows over changes of daylight saving") {
  const TimeZone berlin = TimeZone::named("Europe/Berlin");
  const ExcludeWindows night({"00:00-02:30"});
  const auto allowed = [&](const std::string& from) {
    return shown(night.next_allowed(utc(from), berlin), berlin);
  };
  CHECK(allowed("2026-03-29 00:30") == "03-29 03:00+2");  // 02:30 does not exist
  CHECK(allowed("2026-10-24 23:00") == "10-25 02:30+2");  // the first of two
  CHECK(allowed("2026-10-25 01:10") == "10-25 02:30+1");  // the second
}

TEST_CASE("wrong windows are refused") {
  CHECK(contains(window_mistake({"Mon-Fri 08:00-20:00", "Fri 19:00-21:00"}),
                 "the window \"Fri 19:00-21:00\" overlaps \"Mon-Fri 08:00-20:00\""));
  CHECK(contains(window_mistake({"Sat 22:00-02:00", "Sun 01:00-03:00"}), "overlaps"));
  CHECK(contains(window_mistake({"Sun 01:00-03:00", "Sat 22:00-02:00"}), "overlaps"));
  CHECK(window_mistake({"Sat 22:00-02:00", "Sun 02:00-03:00"}).empty());
  CHECK(contains(window_mistake({"00:00-12:00", "12:00-24:00"}), "the whole week"));
  CHECK(contains(window_mistake({"Mon-Fri 08:00-08:00"}), "begins and ends at one time"));
  CHECK(contains(window_mistake({"Mon-Fri 8:00-20:00"}), "no times that make sense"));
  CHECK(contains(window_mistake({"Mon-Fri 08:00-24:01"}), "no times that make sense"));
  CHECK(contains(window_mistake({"Mon-Fri 24:00-08:00"}), "no times that make sense"));
  CHECK(contains(window_mistake({"Mon-Fri 08:60-20:00"}), "no times that make sense"));
  CHECK(contains(window_mistake({"Mon-Fri 08:00"}), "no times that make sense"));
  CHECK(contains(window_mistake({"Mon-Fri"}), "has no times"));
  CHECK(contains(window_mistake({"Mom 08:00-20:00"}), "did you mean \"Mon\"?"));
  CHECK(contains(window_mistake({"Mon Tue 08:00-20:00"}), "is not known"));
  CHECK(contains(window_mistake({""}), "is not known"));
}

TEST_CASE("runs that were missed happen once") {
  const Time last = utc("2026-01-01 00:00");
  const Time now = last + hours(400) + seconds(7);
  for (const char* text : {"every 10m", "cron */10 * * * *", "cron 30 5 * * *"}) {
    CAPTURE(text);
    const Schedule schedule = parse_schedule(text);
    CHECK(is_due(schedule, {.last_run = last}, now));
    CHECK_FALSE(is_due(schedule, {.last_run = now}, now));
    CHECK(*next_run(schedule, {.last_run = now}, now + seconds(1)) > now + seconds(1));
  }
}

TEST_CASE("a run that falls into a window happens when it ends, once") {
  Schedule schedule = parse_schedule("cron 15 * * * *");
  schedule.windows = ExcludeWindows({"08:00-20:00"});
  const RunHistory history{.last_run = utc("2026-01-05 07:15")};
  CHECK_FALSE(is_due(schedule, history, utc("2026-01-05 12:20")));
  CHECK(next_run(schedule, history, utc("2026-01-05 07:20")) == utc("2026-01-05 20:00"));
  CHECK(is_due(schedule, history, utc("2026-01-05 20:00")));
  CHECK(next_run(schedule, {.last_run = utc("2026-01-05 20:00")}, utc("2026-01-05 20:01")) ==
        utc("2026-01-05 20:15"));
}

TEST_CASE("when a job runs first") {
  const Time start = utc("2026-01-05 12:00");
  const Time later = start + seconds(10);
  const RunHistory never{.last_run = std::nullopt, .watched_since = start};
  CHECK_FALSE(next_run(parse_schedule("manual"), never, later).has_value());
  CHECK(is_due(parse_schedule("continuous"), never, later));
  CHECK(is_due(parse_schedule("every 1h"), never, later));
  CHECK(next_run(parse_schedule("cron 0 13 * * *"), never, later) == start + hours(1));
  CHECK(is_due(parse_schedule("cron 0 13 * * *"), never, start + hours(2)));
}

TEST_CASE("a clock that was set back does not stop a job") {
  const Time now = utc("2026-01-05 12:00");
  const Schedule every = parse_schedule("every 1m");
  CHECK_FALSE(is_due(every, {.last_run = now + seconds(30)}, now));
  CHECK(is_due(every, {.last_run = now + hours(9000)}, now));
  const Schedule daily = parse_schedule("cron 0 2 * * *");
  CHECK_FALSE(is_due(daily, {.last_run = now + hours(2)}, now));
  CHECK(is_due(daily, {.last_run = now + hours(9000)}, now));
}

TEST_CASE("time zones are found by name, and near names are suggested") {
  CHECK(TimeZone::named("Europe/Berlin").name() == "Europe/Berlin");
  CHECK(TimeZone::named("UTC") == TimeZone());
  const auto told = [](const std::string& name) { return mistake([&] { TimeZone::named(name); }); };
  CHECK(contains(told("Berlin"), "did you mean \"Europe/Berlin\"?"));
  CHECK(contains(told("europe/berlin"), "did you mean \"Europe/Berlin\"?"));
  CHECK(contains(told("Europe/Berlni"), "did you mean \"Europe/Berlin\"?"));
  for (const char* name :
       {"", "Mars/Olympus_Mons", "../../etc/passwd", "/etc/localtime", "right"}) {
    CAPTURE(name);
    CHECK(contains(told(name), "is not known"));
  }
}

TEST_CASE("the zone of the machine is told from TZ, a link or a copied file") {
  namespace fs = std::filesystem;
  const fs::path folder =
      fs::temp_directory_path() / ("tidemark-zone-" + std::to_string(::getpid()));
  fs::create_directories(folder);
  fs::create_symlink("/usr/share/zoneinfo/Asia/Tokyo", folder / "link");
  fs::create_symlink("../../usr/share/zoneinfo/Etc/UTC", folder / "utc");
  fs::create_symlink(folder / "link", folder / "link to a link");
  fs::copy_file("/usr/share/zoneinfo/Australia/Lord_Howe", folder / "copy");
  std::ofstream(folder / "nonsense") << "no zone";

  CHECK(TimeZone::of_file(folder / "link").name() == "Asia/Tokyo");
  CHECK(TimeZone::of_file(folder / "link to a link").name() == "Asia/Tokyo");
  CHECK(TimeZone::of_file(folder / "none") == TimeZone());
  const TimeZone copied = TimeZone::of_file(folder / "copy");
  const auto winter = std::chrono::floor<seconds>(utc("2026-07-01 00:00"));
  CHECK(copied.at(winter).offset == minutes(630));
  CHECK(contains(mistake([&] { TimeZone::of_file(folder / "nonsense"); }), "time_zone = "));

  const char* const before = std::getenv("TZ");
  const std::string kept = before == nullptr ? "" : before;
  for (const std::string& value : {std::string("Asia/Tokyo"), std::string(":Asia/Tokyo"),
                                   (folder / "link").string(), ":" + (folder / "link").string()}) {
    ::setenv("TZ", value.c_str(), 1);
    CHECK(TimeZone::of_this_machine().name() == "Asia/Tokyo");
  }
  ::setenv("TZ", "Nowhere/Else", 1);
  CHECK(contains(mistake([] { TimeZone::of_this_machine(); }), "is not known"));
  before == nullptr ? ::unsetenv("TZ") : ::setenv("TZ", kept.c_str(), 1);
  fs::remove_all(folder);
}
