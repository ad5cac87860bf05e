#!/usr/bin/env python3
"""A daemon whose clock is set: cron lines in a time zone, on the days on which daylight saving begins and ends, and when the
clock goes ahead. Each time that passes is one run, however it passed. Files are written under the machine's own clock."""
import datetime
import json
import sys
import time
import zoneinfo

from daemon_support import Daemon, wait_for
from soak_writers import Clock
from support import connect, main, require, require_equal, test

T = "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);"
ZONE = zoneinfo.ZoneInfo("Europe/Berlin")
HOUR = 3600
# For so long nothing must happen; the daemon looks at its clock every second.
QUIET_S = 2.5


def last_sunday(month, *of_day):
    """In a month of 31 days of the next year, on its last Sunday, when the clocks in Berlin are changed in spring and autumn;
    as seconds of the machine's clock."""
    day = datetime.datetime(time.gmtime().tm_year + 1, month, 31, *of_day, tzinfo=ZONE)
    return (day - datetime.timedelta(days=(day.weekday() + 1) % 7)).timestamp()


class Runs:
    """A job whose daemon believes that it is some other time. Every run is seen, for each carries a row of its own."""

    def __init__(self, lab, schedule, now):
        self.a, self.b = lab.pair(T, wal=True, schedule=schedule, time_zone="Europe/Berlin")
        lab.activate()
        folder = lab.directory / "clock"
        folder.mkdir()
        self.clock, self.count = Clock(lab, folder), 0
        self.a.sql("INSERT INTO t VALUES (0, 'before the first')")
        self.set(now)
        self.daemon = Daemon(lab, environment=self.clock.environment)

    def __enter__(self):
        self.daemon.__enter__()
        return self

    def __exit__(self, *error):
        self.daemon.__exit__(*error)

    def set(self, now):
        self.clock.set(now - time.time())

    def carried(self):
        return self.b.value("SELECT count(*) FROM t")

    def require(self, count, when):
        """So many runs since the last question."""
        for _ in range(count):
            self.count += 1
            wait_for(lambda: self.carried() == self.count, lambda: "a run %s\n%s" % (when, self.daemon.log()))
            # Another run would carry this one.
            self.a.sql("INSERT INTO t VALUES (%d, 'x')" % self.count)
        time.sleep(QUIET_S)
        require_equal(self.carried(), self.count, "rows that %d runs carried %s\n%s" % (self.count, when, self.daemon.log()))


@test
def test_a_time_that_the_clocks_skip_runs_once_after_the_gap(lab):
    # Two seconds before the clocks go from 2 to 3.
    spring = last_sunday(3, 1, 59, 58)
    require_equal(datetime.datetime.fromtimestamp(spring + 2, ZONE).hour, 3, "the hour after the gap")
    with Runs(lab, "cron 30 2 * * *", spring - 10) as runs:
        runs.require(0, "before the gap")
        runs.set(spring)
        runs.require(1, "after the gap")
        runs.set(spring + 1.5 * HOUR)
        runs.require(0, "at half past four")


@test
def test_a_clock_that_is_set_over_the_gap_runs_once_what_was_in_it(lab):
    spring = last_sunday(3, 1, 50)
    with Runs(lab, "cron 15,30 2 * * *", spring) as runs:
        runs.require(0, "before the gap")
        runs.set(spring + 3 * HOUR)
        runs.require(1, "after the gap")
        runs.set(spring + 25 * HOUR)
        runs.require(1, "on the next day")


@test
def test_a_time_that_the_clocks_show_twice_runs_at_the_first(lab):
    # Two seconds before the clocks show half past two for the first time; an hour later they do so again.
    autumn = last_sunday(10, 2, 29, 58)
    require_equal([datetime.datetime.fromtimestamp(autumn + 2 + ahead, ZONE).strftime("%H:%M") for ahead in (0, HOUR)],
                  ["02:30", "02:30"], "what the clocks show")
    with Runs(lab, "cron 30 2 * * *", autumn) as runs:
        runs.require(1, "at the first")
        runs.set(autumn + HOUR)
        runs.require(0, "at the second")
        runs.set(autumn + 3 * HOUR)
        runs.require(0, "later")


@test
def test_a_clock_that_is_set_an_hour_ahead_runs_once_what_it_passed(lab):
    noon = last_sunday(7, 12, 10)
    with Runs(lab, "cron 0,30 * * * *", noon) as runs:
        runs.require(0, "at ten past")
        runs.set(noon + HOUR)     # past 12:30 and 13:00
        runs.require(1, "an hour ahead")
        runs.set(noon + HOUR - 60)     # a correction, after which no time comes that has not been
        runs.require(0, "a minute back")
        runs.set(noon + 2 * HOUR)
        runs.require(1, "another hour ahead")


@test
def test_a_time_that_comes_while_the_daemon_ends_is_not_lost(lab):
    """A session that waits for an application's lock keeps it from ending at once."""
    lab.settings["lock_timeout"] = "60s"
    c, d = lab.node("c", T, wal=True), lab.node("d", T, wal=True)
    lab.job("cd", [c, d], schedule="continuous")
    noon = last_sunday(7, 12)
    with Runs(lab, "cron 0 12 * * *", noon - 60) as runs:
        runs.require(0, "before noon")
        holder = connect(d.path)
        holder.execute("BEGIN IMMEDIATE")
        c.sql("INSERT INTO t VALUES (1, 'x')")
        wait_for(lambda: runs.daemon.status()["running"] == 1, runs.daemon.log)
        runs.set(noon - 0.3)
        runs.daemon.terminate()
        holder.close()
        require("told to end" in runs.daemon.log(), runs.daemon.log())
        owed = json.loads((lab.directory / "tidemark.toml.state").read_text())["owed"]
        require_equal([run["job"] for run in owed], ["ab"], "runs that are owed")
        runs.daemon.start()
        runs.require(1, "by the next daemon")


@test
def test_the_zone_of_a_job_says_when_its_day_begins(lab):
    """Midnight in Berlin is an hour or two before midnight in UTC, which the machine of this test may have."""
    midnight = last_sunday(7, 23, 59, 58)
    with Runs(lab, "cron @daily", midnight) as runs:
        runs.require(1, "at midnight")
        runs.set(midnight + 2 * HOUR)
        runs.require(0, "at midnight in UTC")


if __name__ == "__main__":
    sys.exit(main(__doc__))
