#include "scheduler/config.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "model/error.h"
#include "scheduler/duration.h"
#include "scheduler/overlap.h"
#include "scheduler/suggest.h"

using namespace tidemark;
using namespace tidemark::scheduler;

namespace {

/// A configuration file that lives as long as the object.
class ConfigFile {
 public:
  explicit ConfigFile(const std::string& text)
      : directory_(std::filesystem::temp_directory_path() /
                   ("tidemark-config-" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(directory_);
    std::ofstream(path(), std::ios::binary) << text;
  }
  ~ConfigFile() { std::filesystem::remove_all(directory_); }
  ConfigFile(const ConfigFile&) = delete;
  ConfigFile& operator=(const ConfigFile&) = delete;

  std::filesystem::path path() const { return directory_ / "tidemark.toml"; }

 private:
  std::filesystem::path directory_;
};

Config read(const std::string& text) {
  const ConfigFile file(text);
  return read_config(file.path());
}

/// "LINE: message | hint" of the mistake that reading `text` throws; empty if there is none.
std::string mistake(const std::string& text) {
  const ConfigFile file(text);
  try {
    read_config(file.path());
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::usage);
    CHECK_FALSE(error.hint().empty());
    std::string message = error.what();
    const std::string prefix = file.path().string() + ":";
    CHECK(message.starts_with(prefix));
    return message.substr(prefix.size()) + " | " + error.hint();
  }
  return {};
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

const std::string kNodes =
    "[node.a]\nurl = \"sqlite:a.db\"\n[node.b]\nurl = \"sqlite:b.db\"\n"
    "[node.c]\nurl = \"sqlite:c.db\"\n";

JobConfig job_with(std::vector<std::string> tables, std::vector<std::string> exclude = {}) {
  JobConfig job;
  job.tables = std::move(tables);
  job.exclude = std::move(exclude);
  return job;
}

}  // namespace

TEST_CASE("a whole configuration is read with every setting in its place") {
  const Config config = read(
      "lock_timeout = \"2s\"\n"
      "tombstone_retention = \"7d\"\n" +
      kNodes +
      "[job.shops]\n"
      "nodes = [\"b\", \"a\"]\n"
      "mode = \"backup\"\n"
      "tables = [\"orders\", \"item*\"]\n"
      "exclude = [\"item_tmp\"]\n"
      "schedule = \"every 30s\"\n"
      "exclude_windows = [\"Mon-Fri 08:00-20:00\"]\n"
      "time_zone = \"America/New_York\"\n"
      "conflict = \"first_node\"\n"
      "max_deletes = 100\n"
      "max_clock_skew = \"1m\"\n"
      "[job.shops.table.\"item*\"]\n"
      "conflict = \"manual\"\n"
      "[job.shops.table.items]\n"
      "conflict = \"earliest\"\n");
  CHECK(config.lock_timeout == std::chrono::seconds(2));
  CHECK(config.tombstone_retention == std::chrono::days(7));
  REQUIRE(config.nodes.size() == 3);
  CHECK(config.node("b").url == "sqlite:b.db");
  CHECK(config.directory.is_absolute());
  const JobConfig& job = config.job("shops");
  CHECK(job.nodes == std::vector<std::string>{"b", "a"});
  CHECK(job.mode == Mode::backup);
  CHECK(job.schedule.kind == ScheduleKind::every);
  CHECK(job.schedule.period == std::chrono::seconds(30));
  CHECK(job.schedule.windows == ExcludeWindows({"Mon-Fri 08:00-20:00"}));
  CHECK(job.schedule.zone == TimeZone::named("America/New_York"));
  CHECK(job.max_deletes.rows == 100);
  CHECK_FALSE(job.max_deletes.share.has_value());
  CHECK(job.max_clock_skew == std::chrono::minutes(1));
  CHECK(job.takes("orders"));
  CHECK(job.takes("items"));
  CHECK_FALSE(job.takes("item_tmp"));
  CHECK_FALSE(job.takes("Orders"));
  CHECK(job.lists("orders"));
  CHECK_FALSE(job.lists("items"));
  CHECK(job.policy_of("orders") == Policy::first_node);
  CHECK(job.policy_of("item_x") == Policy::manual);
  CHECK(job.policy_of("items") == Policy::earliest);
  CHECK(config.jobs_of("a").size() == 1);
  CHECK(config.jobs_of("c").empty());
}

TEST_CASE("settings of tables: the last section that matches and says something counts") {
  const Config config = read("conflict_retention = \"forever\"\n" + kNodes +
                             "[job.x]\nnodes = [\"a\", \"b\"]\n"
                             "[job.x.table.\"*\"]\nkeys = \"ranges\"\nrange_size = 5000\n"
                             "[job.x.table.\"log_*\"]\nkeys = \"plain\"\nfire_triggers = true\n"
                             "[job.x.table.log_day]\nfire_triggers = false\n");
  const JobConfig& job = config.job("x");
  CHECK_FALSE(config.conflict_retention.has_value());
  CHECK(job.has_ranges());
  CHECK(job.has_ranges("item"));
  CHECK_FALSE(job.has_ranges("log_day"));
  CHECK(job.range_size_of("log_day") == 5000);
  CHECK_FALSE(job.fires_triggers("item"));
  CHECK(job.fires_triggers("log_week"));
  CHECK_FALSE(job.fires_triggers("log_day"));
  CHECK(read("conflict_retention = \"60d\"\n" + kNodes + "[job.x]\nnodes = [\"a\", \"b\"]\n")
            .conflict_retention == std::chrono::days(60));
}

TEST_CASE("a short configuration gets careful defaults") {
  const Config config = read(kNodes + "[job.x]\nnodes = [\"a\", \"b\"]\n");
  const JobConfig& job = config.job("x");
  CHECK(job.mode == Mode::two_way);
  CHECK(job.policy == Policy::latest);
  CHECK(job.schedule == Schedule{});
  CHECK(job.max_deletes.share == 0.2);
  CHECK(job.takes("anything"));
  CHECK(config.lock_timeout == std::chrono::seconds(10));
  CHECK(config.tombstone_retention == std::chrono::days(30));
  CHECK(config.conflict_retention == std::chrono::days(365));
  CHECK_FALSE(job.has_ranges());
  CHECK(job.range_size_of("anything") == 1'000'000);
  CHECK_FALSE(job.fires_triggers("anything"));
}

TEST_CASE("nodes and jobs keep the order of the file") {
  const Config config = read(
      "[job.z]\nnodes = [\"n2\", \"n1\"]\n[job.a]\nnodes = [\"n1\", \"n2\"]\n"
      "[node.n2]\nurl = \"sqlite:2\"\n[node.n1]\nurl = \"sqlite:1\"\n");
  CHECK(config.nodes[0].name == "n2");
  CHECK(config.jobs[0].name == "z");
}

TEST_CASE("max_deletes is a share, a number or none") {
  const auto limit = [](const std::string& value) {
    return read(kNodes + "[job.x]\nnodes = [\"a\", \"b\"]\nmax_deletes = " + value + "\n")
        .job("x")
        .max_deletes;
  };
  CHECK(limit("\"7.5%\"").share == 0.075);
  CHECK(limit("\"0%\"").share == 0.0);
  CHECK(limit("0").rows == 0);
  CHECK_FALSE(limit("\"none\"").rows.has_value());
  CHECK_FALSE(limit("\"none\"").share.has_value());
}

TEST_CASE("durations have a unit") {
  CHECK(parse_duration("500ms") == std::chrono::milliseconds(500));
  CHECK(parse_duration("30s") == std::chrono::seconds(30));
  CHECK(parse_duration("5m") == std::chrono::minutes(5));
  CHECK(parse_duration("2h") == std::chrono::hours(2));
  CHECK(parse_duration("1d") == std::chrono::days(1));
  for (const char* text : {"", "5", "s", "5 s", "-1s", "1.5s", "5S", "5ss", "99999999999999999999s",
                           "9223372036854775807d"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_duration(text).has_value());
  }
}

TEST_CASE("a job's own time zone counts before the one of the file") {
  const Config config = read("time_zone = \"Asia/Tokyo\"\n" + kNodes +
                             "[job.x]\nnodes = [\"a\", \"b\"]\nschedule = \"cron @daily\"\n"
                             "[job.y]\nnodes = [\"a\", \"c\"]\nschedule = \"cron @daily\"\n"
                             "time_zone = \"Europe/Berlin\"\n");
  CHECK(config.job("x").schedule.zone.name() == "Asia/Tokyo");
  CHECK(config.job("y").schedule.zone.name() == "Europe/Berlin");
}

TEST_CASE("every mistake is told with its line") {
  const std::string job = kNodes + "[job.x]\nnodes = [\"a\", \"b\"]\n";  // the next line is 9
  struct Case {
    std::string text;
    std::string begins;
    std::string says;
  };
  const std::vector<Case> cases = {
      {"nodez = 1\n" + job, "1: ", "unknown key \"nodez\""},
      {job + "tabels = [\"a\"]\n", "9: ", "did you mean \"tables\"?"},
      {job + "mode = 5\n", "9: ", "mode must be a string, not an integer"},
      {job + "mode = \"two_way\"\n", "9: ", "did you mean \"two-way\"?"},
      {job + "tables = \"*\"\n", "9: ", "tables must be an array of strings, not a string"},
      {job + "tables = [1]\n", "9: ", "every entry of tables must be a string"},
      {job + "tables = []\n", "9: ", "takes no table"},
      {job + "tables = [\"\"]\n", "9: ", "is empty"},
      {job + "schedule = \"hourly\"\n", "9: ", "schedule \"hourly\" is not known"},
      {job + "schedule = \"every 0s\"\n", "9: ", "more often than once a second"},
      {job + "schedule = \"every soon\"\n", "9: ", "no duration"},
      {job + "schedule = \"cron * *\"\n", "9: ", "five fields"},
      {job + "schedule = \"cron ! * * * *\"\n", "9: ", "a wrong minute: \"!\""},
      {job + "schedule = 30\n", "9: ", "schedule must be a string"},
      {job + "time_zone = \"Berlin\"\n", "9: ", "did you mean \"Europe/Berlin\"?"},
      {job + "time_zone = 1\n", "9: ", "time_zone must be a string"},
      {"time_zone = \"Europa/Berlin\"\n" + job, "1: ", "did you mean \"Europe/Berlin\"?"},
      {job + "exclude_windows = \"Mon 08:00-20:00\"\n", "9: ", "must be an array of strings"},
      {job + "exclude_windows = [\"Mon 08:00-20:00\", \"10:00-11:00\"]\n",
       "9: ", "the window \"10:00-11:00\" overlaps \"Mon 08:00-20:00\""},
      {job + "exclude_window = []\n", "9: ", "did you mean \"exclude_windows\"?"},
      {job + "conflict = \"newest\"\n", "9: ", "conflict cannot be \"newest\""},
      {job + "max_deletes = \"20\"\n", "9: ", "max_deletes cannot be \"20\""},
      {job + "max_deletes = \"120%\"\n", "9: ", "max_deletes cannot be"},
      {job + "max_deletes = \"nan%\"\n", "9: ", "max_deletes cannot be"},
      {job + "max_deletes = -1\n", "9: ", "negative"},
      {job + "max_deletes = 0.2\n", "9: ", "max_deletes cannot be a float"},
      {job + "max_clock_skew = 5\n", "9: ", "must be a duration in a string"},
      {job + "max_clock_skew = \"5 minutes\"\n", "9: ", "is not a duration"},
      {job + "table = 1\n", "9: ", "table must be a table"},
      {job + "[job.x.table.t]\npolicy = \"latest\"\n", "10: ", "unknown key \"policy\""},
      {job + "[job.x.table.t]\nconflict = \"x\"\n", "10: ", "conflict cannot be \"x\""},
      {job + "[job.y]\nnodes = [\"a\"]\n", "10: ", "needs two nodes"},
      {job + "[job.y]\nnodes = [\"a\", \"a\"]\n", "10: ", "names the node \"a\" twice"},
      {job + "[job.y]\nnodes = [\"a\", \"bb\"]\n", "10: ", "not described: \"bb\""},
      {job + "[job.y]\nmode = \"backup\"\n", "9: ", "has no nodes"},
      {job + "[job.y]\nnodes = [\"a\", \"c\"]\ntables = [\"t\"]\nexclude = [\"t\"]\n",
       "9: ", "lists the table \"t\" and excludes it"},
      {job + "[node.d]\n", "9: ", "has no url"},
      {job + "[node.d]\nurl = 1\n", "10: ", "url must be a string"},
      {job + "[node.d]\nurl = \"sqlite:d\"\nport = 1\n", "11: ", "unknown key \"port\""},
      {job + "[node.d]\nurl = \"sqlite:./a.db\"\n", "10: ", "are the same database"},
      {job + "[node.d]\nurl = \"oracle:x\"\n", "10: ", "node \"d\""},
      {job + "[node.a]\nurl = \"sqlite:z\"\n", "9: ", "cannot redefine"},
      {job + "[node.\"-x\"]\nurl = \"sqlite:z\"\n", "9: ", "begins with a dash"},
      {job + "[node.\"a\\nb\"]\nurl = \"sqlite:z\"\n", "9: ", "control character"},
      {"node = 1\n", "1: ", "\"node\" must be a table"},
      {"[node]\na = 1\n", "2: ", "node.a must be a table"},
      {"lock_timeout = 5\n" + job, "1: ", "must be a duration"},
      {"tombstone_retention = \"1h\"\n" + job, "1: ", "whole days"},
      {"conflict_retention = \"never\"\n" + job, "1: ", "conflict_retention is not a duration"},
      {"conflict_retention = \"0d\"\n" + job, "1: ", "whole days"},
      {job + "[job.x.table.t]\nkeys = \"range\"\n", "10: ", "did you mean \"ranges\""},
      {job + "[job.x.table.t]\nkeys = true\n", "10: ", "keys must be a string"},
      {job + "[job.x.table.t]\nrange_size = 10\n", "10: ", "between 100 and"},
      {job + "[job.x.table.t]\nrange_size = \"1k\"\n", "10: ", "range_size must be a number"},
      {job + "[job.x.table.t]\nfire_triggers = \"yes\"\n", "10: ", "must be true or false"},
      {job + "mode = \"backup\"\n[job.x.table.t]\nkeys = \"ranges\"\n", "11: ", "is a backup"},
      {job + "[job.x.table.t]\nkeys = \"ranges\"\n[job.y]\nnodes = [\"b\", \"c\"]\n"
             "[job.y.table.u]\nkeys = \"ranges\"\n",
       "14: ", "from different first nodes"},
      {"", "1: ", "describes no node"},
      {kNodes, "1: ", "describes no job"},
      {"[node.a]\nurl = \"sqlite:a.db\n", "2: ", "close the text with the quote"},
      {job + "mode =\n", "9: ", "key-value pair"},
      {job + "x = [1 2]\n", "9: ", "array"},
      {"a = \"\xff\"\n", "1: ", "utf-8"},
  };
  for (const Case& each : cases) {
    CAPTURE(each.text);
    const std::string told = mistake(each.text);
    CAPTURE(told);
    CHECK(told.starts_with(each.begins));
    CHECK(contains(told, each.says));
  }
}

TEST_CASE("of several mistakes the first in the file is told") {
  const std::string told = mistake(kNodes + "[job.x]\nzzz = 1\nnodes = 5\nmode = 7\n");
  CHECK(told.starts_with("8: unknown key \"zzz\""));
}

TEST_CASE("jobs that contradict each other are refused") {
  SUBCASE("one pair in two modes, whichever way round") {
    CHECK(contains(mistake(kNodes + "[job.x]\nnodes = [\"a\", \"b\"]\n"
                                    "[job.y]\nnodes = [\"b\", \"a\"]\nmode = \"backup\"\n"),
                   "two-way in one and backup in the other"));
  }
  SUBCASE("the target of a backup is written by a two-way job") {
    const std::string told = mistake(kNodes +
                                     "[job.x]\nnodes = [\"a\", \"b\"]\nmode = \"backup\"\n"
                                     "[job.y]\nnodes = [\"b\", \"c\"]\n");
    CHECK(told.starts_with("10: "));
    CHECK(contains(told, "\"b\" is the target of the backup \"x\" and written by \"y\""));
  }
  SUBCASE("two backups share a target") {
    CHECK(contains(mistake(kNodes + "[job.x]\nnodes = [\"a\", \"c\"]\nmode = \"backup\"\n"
                                    "[job.y]\nnodes = [\"b\", \"c\"]\nmode = \"backup\"\n"),
                   "contradict each other"));
  }
  SUBCASE("backups form a ring") {
    CHECK(contains(mistake(kNodes + "[job.x]\nnodes = [\"a\", \"b\"]\nmode = \"backup\"\n"
                                    "[job.y]\nnodes = [\"b\", \"c\"]\nmode = \"backup\"\n"
                                    "[job.z]\nnodes = [\"c\", \"a\"]\nmode = \"backup\"\n"),
                   "form a ring"));
  }
}

TEST_CASE("jobs that only look alike are accepted") {
  SUBCASE("a backup's target is the source of the next") {
    CHECK(mistake(kNodes + "[job.x]\nnodes = [\"a\", \"b\"]\nmode = \"backup\"\n"
                           "[job.y]\nnodes = [\"b\", \"c\"]\nmode = \"backup\"\n")
              .empty());
  }
  SUBCASE("a two-way ring") {
    CHECK(mistake(kNodes + "[job.x]\nnodes = [\"a\", \"b\"]\n[job.y]\nnodes = [\"b\", \"c\"]\n"
                           "[job.z]\nnodes = [\"c\", \"a\"]\n")
              .empty());
  }
  SUBCASE("what one takes the other excludes") {
    CHECK(mistake(kNodes + "[job.x]\nnodes = [\"a\", \"b\"]\nmode = \"backup\"\n"
                           "exclude = [\"chat\"]\n"
                           "[job.y]\nnodes = [\"b\", \"c\"]\ntables = [\"chat\"]\n")
              .empty());
  }
  SUBCASE("a backup of the hub of a two-way job") {
    CHECK(mistake(kNodes + "[job.x]\nnodes = [\"a\", \"b\"]\n"
                           "[job.y]\nnodes = [\"a\", \"c\"]\nmode = \"backup\"\n")
              .empty());
  }
}

TEST_CASE("what cannot be a configuration is refused by name") {
  CHECK_THROWS_WITH_AS(read_config("/nonexistent/tidemark.toml"),
                       "cannot read the configuration /nonexistent/tidemark.toml: no such file",
                       Error);
  CHECK_THROWS_WITH_AS(read_config("/tmp"), "cannot read the configuration /tmp: is a directory",
                       Error);
  const ConfigFile database(std::string("SQLite format 3\0", 16));
  CHECK_THROWS_AS(read_config(database.path()), Error);
  const ConfigFile huge(std::string(5 << 20, '#'));
  CHECK_THROWS_AS(read_config(huge.path()), Error);
}

TEST_CASE("a name that is not there is answered with what there is") {
  const Config config = read(kNodes + "[job.x]\nnodes = [\"a\", \"b\"]\n");
  try {
    config.job("xx");
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::usage);
    CHECK(error.hint() == "did you mean \"x\"? jobs of this file: x");
  }
}

TEST_CASE("globs meet when one name can match both") {
  CHECK(globs_may_meet("*", "a"));
  CHECK(globs_may_meet("a*", "*b"));
  CHECK(globs_may_meet("a?c", "ab?"));
  CHECK(globs_may_meet("*x*", "a*b"));
  CHECK(globs_may_meet("", "*"));
  CHECK(globs_may_meet("**", ""));
  CHECK_FALSE(globs_may_meet("a*", "b*"));
  CHECK_FALSE(globs_may_meet("a?", "a"));
  CHECK_FALSE(globs_may_meet("*a", "*b"));
  CHECK_FALSE(globs_may_meet("", "a"));
}

TEST_CASE("a glob covers another when nothing escapes it") {
  CHECK(glob_covers("*", "a*b?"));
  CHECK(glob_covers("log_*", "log_*"));
  CHECK(glob_covers("log_*", "log_2*"));
  CHECK(glob_covers("l?g*", "log"));
  CHECK_FALSE(glob_covers("log_2*", "log_*"));
  CHECK_FALSE(glob_covers("log_?", "log_*"));
  CHECK_FALSE(glob_covers("log", "log*"));
}

TEST_CASE("jobs share tables unless their lists rule it out") {
  CHECK(shared_tables(job_with({"*"}), job_with({"orders"})) == "orders");
  CHECK(shared_tables(job_with({"a*"}), job_with({"*b"})));
  CHECK_FALSE(shared_tables(job_with({"a"}), job_with({"b"})));
  CHECK_FALSE(shared_tables(job_with({"*"}, {"chat"}), job_with({"chat"})));
  CHECK_FALSE(shared_tables(job_with({"chat"}), job_with({"*"}, {"ch*"})));
  CHECK_FALSE(shared_tables(job_with({"*"}, {"log_*"}), job_with({"log_*"})));
  CHECK(shared_tables(job_with({"*"}, {"log_2*"}), job_with({"log_*"})));
}

TEST_CASE("a misspelled word finds its neighbour and a strange one none") {
  const std::vector<std::string> words = {"sync", "status", "sessions", "verify"};
  CHECK(closest("synch", words) == "sync");
  CHECK(closest("snyc", words) == "sync");
  CHECK(closest("stat", words) == "status");
  CHECK(closest("xyzzy", words).empty());
  CHECK(closest("", words).empty());
}
