#!/usr/bin/env python3
"""A daemon whose files hang, as on a mount whose server is gone, and whose system tells it of no change: one file keeps waiting
nobody but those who need it."""
import json
import pathlib
import sys
import time

from daemon_support import Daemon, T, pair, rows, wait_equal, reloads, wait_for
from support import main, require, require_equal, test


def hanging_files(lab, **environment):
    """The environment of a daemon for which files can hang."""
    library = pathlib.Path(lab.binary).parent / "tests" / "libtidemark_hanging_files.so"
    require(library.exists(), "%s is missing: build the target tidemark_hanging_files" % library)
    return {"LD_PRELOAD": str(library), **environment}


def lag_ms(lab, source, target, number):
    began = time.monotonic()
    source.sql("INSERT INTO t VALUES (%d, 'x')" % number)
    wait_for(lambda: target.value("SELECT count(*) FROM t WHERE id = %d" % number) == 1, "row %d" % number)
    return (time.monotonic() - began) * 1000


@test
def test_a_file_that_hangs_touches_no_other_node(lab):
    lab.settings["daemon"] = {"connect_timeout": "2s", "silence_timeout": "60s"}
    a, b = pair(lab)
    c, d, e = (lab.node(name, T, wal=True) for name in "cde")
    lab.job("cd", [c, d], schedule="continuous")
    lab.job("ae", [a, e], schedule="continuous")
    lab.activate()
    lab.sync()
    switch = lab.directory / "hang"
    with Daemon(lab, environment=hanging_files(lab, TIDEMARK_HANG_PATH=str(b.path), TIDEMARK_HANG_SWITCH=str(switch))) as daemon:
        if daemon.is_sanitized():
            return lab.note("not with sanitizers, which want to be loaded first")
        number = 0
        usual = []
        for number in range(20):
            usual.append(lag_ms(lab, c, d, number))
        switch.touch()
        a.sql("INSERT INTO t VALUES (1000, 'hangs')")
        began, hung = time.monotonic(), []
        while time.monotonic() - began < 8:
            number += 1
            hung.append(lag_ms(lab, c, d, number))
            time.sleep(0.05)
        median = [sorted(lags)[len(lags) // 2] for lags in (usual, hung)]
        lab.note("lag of another job, median and longest: %.0f and %.0f ms before, %.0f and %.0f ms while a file hung" % (
            median[0], max(usual), median[1], max(hung)))
        # One thread for all files stood still for all of the eight seconds.
        require(max(hung) < 1500, "a change of another job took %.0f ms" % max(hung))
        log = daemon.log()
        require_equal(log.count("has not answered for 2 s: its file system hangs"), 1, "what is told of the file\n" + log)
        require(str(b.path) in next(line for line in log.splitlines() if "has not answered" in line), log)
        # The session with it does not keep the other file of its pair.
        wait_for(lambda: rows(e) == [(1000, "hangs")], daemon.log, 15)
        require_equal(daemon.log().count("no sign of life"), 1, "what is told of the session\n" + daemon.log())
        # Neither the configuration nor the end waits for it.
        lab.jobs["cd"][0]["heartbeat"] = "60s"
        lab.write_config()
        began = time.monotonic()
        reloads(daemon)
        # A second for where the path leads; sessions that may end by themselves would have six.
        require(time.monotonic() - began < 4, "a new configuration took %.1f s" % (time.monotonic() - began))
        require(lag_ms(lab, c, d, 5000) < 5000, "the lag under the new configuration")
        daemon.end_within_a_second("while a file hung")
        daemon.start()
        require(lag_ms(lab, c, d, 5001) < 5000, "the lag of a daemon that begins while a file hangs")
        wait_for(lambda: daemon.log().count("has not answered for 2 s") >= 2, daemon.log)
        switch.unlink()
        wait_equal(a, b, e)
        wait_for(lambda: "changes on node b are noticed again" in daemon.log(), daemon.log)


@test
def test_a_file_that_hangs_when_it_is_closed_keeps_neither_the_end_nor_a_new_configuration(lab):
    """A job with a schedule: nobody watches its files, and a session has left them open."""
    a, b = pair(lab, schedule="every 1h")
    c, d = (lab.node(name, T, wal=True) for name in "cd")
    lab.job("cd", [c, d], schedule="continuous")
    lab.activate()
    switch = lab.directory / "hang"
    with Daemon(lab, environment=hanging_files(lab, TIDEMARK_HANG_PATH=str(b.path), TIDEMARK_HANG_SWITCH=str(switch))) as daemon:
        if daemon.is_sanitized():
            return lab.note("not with sanitizers, which want to be loaded first")

        def met():
            wait_for(lambda: daemon.job("ab")["pairs"][0]["last_success_at"], daemon.log)

        met()
        switch.touch()
        daemon.end_within_a_second("while a file hung that was open")
        switch.unlink()
        daemon.start()
        met()
        switch.touch()
        lab.jobs["cd"][0]["heartbeat"] = "60s"
        lab.write_config()
        reloads(daemon)
        require(lag_ms(lab, c, d, 1) < 5000, "the lag under the new configuration")
        daemon.end_within_a_second("while a file hung that an earlier configuration had open")
        switch.unlink()


@test
def test_files_are_looked_at_often_where_the_system_does_not_tell(lab):
    pair(lab)
    for what, setting in (("instances", "max_user_instances"), ("watches", "max_user_watches")):
        with Daemon(lab, environment=hanging_files(lab, TIDEMARK_NO_INOTIFY=what)) as daemon:
            if daemon.is_sanitized():
                return lab.note("not with sanitizers, which want to be loaded first")
            a, b = lab.nodes["a"], lab.nodes["b"]
            wait_for(lambda: "sysctl fs.inotify.%s" % setting in daemon.log(), daemon.log)  # pylint: disable=cell-var-from-loop
            first = 100 if what == "instances" else 200
            lags = sorted(lag_ms(lab, a, b, first + i) for i in range(10))
            lab.note("without inotify %s a change takes %.0f ms, at most %.0f" % (what, lags[5], lags[-1]))
            # The look that is meant for changes that no event tells of comes once a second.
            require(lags[5] < 600, str(lags))
            time.sleep(1)
            require_equal(daemon.log().count("no more inotify"), 1, "how often it is told")


@test
def test_the_tries_of_a_node_that_is_away_are_told_and_come_less_often(lab):
    lab.settings["daemon"] = {"connect_timeout": "2s"}
    a, b = pair(lab)
    away, switch = lab.directory / "away.db", lab.directory / "hang"
    with Daemon(lab, environment=hanging_files(lab, TIDEMARK_HANG_PATH=str(b.path), TIDEMARK_HANG_SWITCH=str(switch))) as daemon:
        a.sql("INSERT INTO t VALUES (1, 'x')")
        wait_for(lambda: len(rows(b)) == 1, "the row")
        b.path.rename(away)
        wait_for(lambda: "as often until it is back" in daemon.log(), daemon.log, 40)

        def told():
            """Of the watcher; a session may fail as well, and has pauses of its own."""
            return [line for line in daemon.log().splitlines() if "next try in" in line and
                    line.split(" ", 2)[2].startswith(("changes on node b", "node b was tried"))]

        tries = told()
        require("changes on node b are not noticed" in tries[0] and "hint:" in tries[0], tries)
        pauses = [float(line.split("next try in ")[1].split(" s")[0]) for line in tries]
        require_equal(len(pauses), 5, "lines")
        for pause, longest in zip(pauses, (1, 2, 4, 8, 10)):
            require(longest / 2 - 0.01 <= pause <= longest + 0.01, str(pauses))
        time.sleep(11)  # once more, in silence
        require_equal(len(told()), 5, "lines")
        if not daemon.is_sanitized():
            # That it hangs no more, but fails as it did before: else all would go on as with a file that hangs.
            switch.touch()
            wait_for(lambda: "its file system hangs" in daemon.log(), daemon.log, 20)
            switch.unlink()
            wait_for(lambda: len(told()) == 6, daemon.log, 20)
        away.rename(b.path)
        a.sql("INSERT INTO t VALUES (2, 'y')")
        wait_equal(a, b)


@test
def test_an_alert_is_noted_before_anybody_is_told(lab):
    """Noted afterwards, it was told once more by the next daemon where a kill came first."""
    told, switch, state = (lab.directory / name for name in ("told", "hang", "state"))
    lab.settings["daemon"] = {"state": str(state)}
    a = lab.node("a", T, wal=True)
    b = lab.node("b", "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT CHECK (v <> 'bad'));", wal=True)
    lab.job("ab", [a, b], schedule="continuous", alert={"quarantine": 1, "exec": "cat >> %s" % told})
    lab.activate()
    with Daemon(lab, environment=hanging_files(lab, TIDEMARK_HANG_PATH=str(state) + ".new",
                                               TIDEMARK_HANG_SWITCH=str(switch))) as daemon:
        if daemon.is_sanitized():
            return lab.note("not with sanitizers, which want to be loaded first")
        a.sql("INSERT INTO t VALUES (1, 'x')")
        wait_for(lambda: len(rows(b)) == 1, "the row")
        switch.touch()
        a.sql("INSERT INTO t VALUES (2, 'bad')")
        wait_for(lambda: "alert begins" in daemon.log(), daemon.log)
        time.sleep(1)
        require(not told.exists(), "it was told before it was noted")
        daemon.kill()
        switch.unlink()
        daemon.start()
        wait_for(told.exists, daemon.log)
        daemon.restart_after_kill()
        time.sleep(2.5)
        require_equal([json.loads(line)["event"] for line in told.read_text().splitlines()], ["begin"], "alerts")


if __name__ == "__main__":
    sys.exit(main(__doc__))
