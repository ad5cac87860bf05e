#!/usr/bin/env python3
"""The daemon on SQLite files: continuous jobs, kills, nodes that go and come back, commands through its socket, alerts,
metrics, new configurations, bad ones, and what it takes while nothing happens."""
import datetime
import http.client
import json
import os
import pathlib
import signal
import socket
import sys
import time
import urllib.request

from daemon_support import T, Daemon, equal, pair, reloads, rows, wait_equal, wait_for
from support import (SHOP, Ledger, Writers, connect, main, moved, require, require_equal, test)


def both_ways(lab, wal):
    a, b = pair(lab, wal)
    with Daemon(lab) as daemon:
        a.sql("INSERT INTO t VALUES (1, 'from a')")
        wait_for(lambda: len(rows(b)) == 1, "the row of a")
        b.sql("INSERT INTO t VALUES (2, 'from b'); UPDATE t SET v = 'both' WHERE id = 1")
        wait_for(lambda: dict(rows(a)) == {1: "both", 2: "from b"}, "the change of b")
        a.sql("DELETE FROM t")
        wait_for(lambda: not rows(b), "the delete of a")
        time.sleep(0.5)
        sessions = daemon.log().count(" rows to ")
        time.sleep(1.5)
        require_equal(daemon.log().count(" rows to "), sessions, "lines in the log while nobody writes")
    lab.require_settled()


@test
def test_changes_follow_both_ways_in_wal_mode(lab):
    both_ways(lab, True)


@test
def test_changes_follow_both_ways_with_a_rollback_journal(lab):
    both_ways(lab, False)


@test
def test_a_change_reaches_the_other_end_of_a_chain_of_jobs(lab):
    nodes = [lab.node(name, T, wal=True) for name in "abcd"]
    for left, right in zip(nodes, nodes[1:]):
        lab.job(left.name + right.name, [left, right], schedule="continuous")
    lab.activate()
    with Daemon(lab):
        nodes[0].sql("INSERT INTO t VALUES (1, 'one')")
        nodes[3].sql("INSERT INTO t VALUES (4, 'four')")
        wait_for(lambda: all(len(rows(n)) == 2 for n in nodes), "both rows everywhere")
    lab.require_settled()


@test
def test_writers_beside_a_daemon_that_is_killed_again_and_again(lab):
    nodes = [lab.node(n, SHOP, wal=True) for n in ("hub", "s1", "s2")]
    for node in nodes[1:]:
        lab.job("to_" + node.name, [nodes[0], node], schedule="continuous")
    lab.activate()
    ledger = Ledger()
    with Daemon(lab) as daemon:
        with Writers(lab, nodes, ledger):
            for _ in range(20 if lab.long else 6):
                time.sleep(lab.rng.uniform(0.2, 1.2))
                daemon.restart_after_kill()
        wait_equal(*nodes)
        # Equal for a moment is not yet done: what a third node brought may be on its way.
        time.sleep(0.5)
        wait_equal(*nodes)
    lab.sync(code=(0, 3))
    lab.require_settled()
    lab.note(str(dict(lab.require_ledger(ledger, nodes[0]))))


@test
def test_what_was_written_while_no_daemon_ran_is_carried_at_its_start(lab):
    a, b = pair(lab)
    a.sql("INSERT INTO t VALUES (1, 'x')")
    with Daemon(lab):
        wait_for(lambda: len(rows(b)) == 1, "the row")


@test
def test_a_node_that_goes_away_and_comes_back_needs_no_help(lab):
    a, b = pair(lab)
    c = lab.node("c", T, wal=True)
    lab.job("ac", [a, c], schedule="continuous")
    lab.activate()
    with Daemon(lab) as daemon:
        a.sql("INSERT INTO t VALUES (1, 'x')")
        wait_for(lambda: len(rows(b)) == 1, "the row")
        away = lab.directory / "away"
        away.mkdir()
        for path in lab.directory.glob("b.db*"):
            path.rename(away / path.name)
        a.sql("INSERT INTO t VALUES (2, 'y')")
        wait_for(lambda: len(rows(c)) == 2, "the other job goes on")
        wait_for(lambda: daemon.job("ab")["state"] == "failing", "the job fails")
        require("next try in" in daemon.log(), daemon.log())
        for path in away.iterdir():
            path.rename(lab.directory / path.name)
        away.rmdir()
        wait_for(lambda: len(rows(b)) == 2, "the row that came meanwhile", 60)
        wait_for(lambda: daemon.job("ab")["state"] == "waiting", "the job is well")
        require("succeed again" in daemon.log(), daemon.log())


@test
def test_a_schedule_runs_at_its_times(lab):
    a, b = pair(lab, schedule="every 2s")
    with Daemon(lab) as daemon:
        wait_for(lambda: daemon.job("ab")["pairs"][0]["last_success_at"], "the first run")
        a.sql("INSERT INTO t VALUES (1, 'x')")
        wait_for(lambda: len(rows(b)) == 1, "the row", 10)
        require(daemon.job("ab")["next_at"], "the next run is told")
    lab.jobs["ab"][0]["schedule"] = "manual"
    with Daemon(lab) as daemon:
        a.sql("INSERT INTO t VALUES (2, 'y')")
        time.sleep(1)
        require_equal(len(rows(b)), 1, "rows that a manual job carried by itself")
        lab.run("kick", "ab")
        wait_for(lambda: len(rows(b)) == 2, "the row after a kick")


@test
def test_a_kick_without_a_daemon_is_a_sync(lab):
    a, b = pair(lab, schedule="cron 0 2 * * *", exclude_windows=["Mon-Sun 00:00-23:59"])
    a.sql("INSERT INTO t VALUES (1, 'x')")
    require_equal(moved(lab.run("kick", "ab")), 1, "rows")
    require_equal(rows(b), [(1, "x")], "the row")
    a.sql("INSERT INTO t VALUES (2, 'y')")
    require_equal(moved(lab.run("kick")), 1, "rows of all jobs")
    lab.run("kick", "nobody", code=2)
    lab.require_settled()


def times_of_sessions(nodes):
    """[(began, ended, node)] of what sessions wrote on nodes, in the order of their beginnings."""
    return sorted((began, ended, node.name) for node in nodes for began, ended in node.rows(
        "SELECT started_at_us, finished_at_us FROM tidemark_session"))


def overlapping(times):
    return [(one, other) for one, other in zip(times, times[1:]) if other[0] < one[1]]


@test
def test_no_more_sessions_at_a_time_than_parallel_allows(lab):
    pairs = [(lab.node("a%d" % i, T, wal=True), lab.node("b%d" % i, T, wal=True)) for i in range(2)]
    for i, nodes in enumerate(pairs):
        lab.job("j%d" % i, nodes, schedule="every 1s")
    lab.activate()
    targets = [b for _, b in pairs]
    overlaps = {}
    # Where two may, they do: what shows that these sessions are long enough to be seen.
    for parallel in (2, 1):
        lab.settings["daemon"] = {"parallel": parallel}
        for a, _ in pairs:
            a.sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) "
                  "REPLACE INTO t SELECT i, 'with %d' FROM n" % parallel)
        before = len(times_of_sessions(targets))
        with Daemon(lab) as daemon:
            for turn in range(3):
                wait_for(lambda: all(equal(a, b) for a, b in pairs), daemon.log, 60)
                for a, _ in pairs:
                    a.sql("UPDATE t SET v = 'turn %d with %d'" % (turn, parallel))
            wait_for(lambda: all(equal(a, b) for a, b in pairs), daemon.log, 60)
        times = times_of_sessions(targets)[before:]
        require(len(times) >= 8, "sessions: %s" % times)
        overlaps[parallel] = overlapping(times)
    require(overlaps[2], "two sessions never ran at a time, so this test sees nothing")
    require_equal(overlaps[1], [], "sessions at a time though parallel = 1")


@test
def test_a_window_keeps_a_job_from_running_and_a_kick_does_not_care(lab):
    hour = time.gmtime().tm_hour
    a, b = pair(lab, time_zone="UTC", exclude_windows=["%02d:00-%02d:00" % ((hour - 1) % 24, (hour + 2) % 24)])
    with Daemon(lab):
        a.sql("INSERT INTO t VALUES (1, 'x')")
        time.sleep(1)
        require_equal(rows(b), [], "rows that came within the window")
        lab.run("kick", "ab")
        wait_for(lambda: len(rows(b)) == 1, "the row after a kick")


def hide(lab, node):
    """Makes the node one that cannot be reached; the answer brings it back."""
    away = lab.directory / (node.path.name + ".hidden")
    node.path.rename(away)
    return lambda: away.rename(node.path)


def kept_runs(lab):
    return json.loads((lab.directory / "tidemark.toml.state").read_text())["owed"]


@test
def test_a_run_that_is_owed_outlives_a_new_configuration_and_a_restart(lab):
    a, b = pair(lab, schedule="manual")
    lab.sync()
    bring_back = hide(lab, b)
    a.sql("INSERT INTO t VALUES (1, 'x')")
    with Daemon(lab) as daemon:
        lab.run("kick", "ab")
        wait_for(lambda: daemon.job("ab")["state"] == "failing", daemon.log)
        for _ in range(2):
            reloads(daemon)
            pair_status = daemon.job("ab")["pairs"][0]
            require(pair_status["error"] and pair_status["failures"] >= 1, str(pair_status))
        require_equal(daemon.job("ab")["state"], "failing", "the state after a reload")
        daemon.restart_after_kill()
        require_equal([run["job"] for run in kept_runs(lab)], ["ab"], "runs that are kept")
        bring_back()
        wait_for(lambda: len(rows(b)) == 1, "the row after a kill and a restart")
        wait_for(lambda: not kept_runs(lab), "nothing is owed any more")
        a.sql("INSERT INTO t VALUES (2, 'y')")
        reloads(daemon)
        daemon.terminate()
        daemon.start()
        time.sleep(1)
        require_equal(len(rows(b)), 1, "rows after a run that was not owed")


@test
def test_what_is_owed_is_written_when_it_can_be(lab):
    a, b = pair(lab, schedule="manual")
    lab.sync()
    hide(lab, b)
    a.sql("INSERT INTO t VALUES (1, 'x')")
    with Daemon(lab) as daemon:
        draft = lab.directory / "tidemark.toml.state.new"
        draft.mkdir()            # a file of this name cannot be written
        lab.run("kick", "ab")
        wait_for(lambda: "cannot write" in daemon.log(), daemon.log)
        time.sleep(2.5)
        require_equal((daemon.log().count("cannot write"), kept_runs(lab)), (1, []), "lines of the log, and runs that are kept")
        draft.rmdir()
        wait_for(lambda: [run["job"] for run in kept_runs(lab)] == ["ab"], "the run is kept", 5)
        wait_for(lambda: "written again" in daemon.log(), daemon.log)  # said after it is done


@test
def test_a_run_that_waits_for_the_end_of_a_window_is_not_forgotten(lab):
    hour = time.gmtime().tm_hour
    window = {"time_zone": "UTC", "exclude_windows": ["%02d:00-%02d:00" % ((hour - 1) % 24, (hour + 2) % 24)]}
    a, b = pair(lab, schedule="cron * * * * *", **window)
    lab.sync()
    with Daemon(lab) as daemon:
        a.sql("INSERT INTO t VALUES (1, 'x')")
        wait_for(lambda: kept_runs(lab), "the run is due", 65)
        reloads(daemon)
        require_equal(len(kept_runs(lab)), 1, "runs that are kept by a reload")
        daemon.restart_after_kill()
        require_equal(rows(b), [], "rows that came within the window")
        # A time at which nothing is due anew while this test runs.
        lab.jobs["ab"][0].update({"schedule": "cron 0 0 %d %d *" % (1 + time.gmtime().tm_mday % 27, time.gmtime().tm_mon)})
        del lab.jobs["ab"][0]["exclude_windows"]
        lab.write_config()
        reloads(daemon)
        wait_for(lambda: len(rows(b)) == 1, "the row after the window")
        wait_for(lambda: not kept_runs(lab), "nothing is owed any more")


@test
def test_pause_outlives_the_daemon_and_works_without_one(lab):
    a, b = pair(lab)
    with Daemon(lab) as daemon:
        lab.run("pause", "ab")
        a.sql("INSERT INTO t VALUES (1, 'x')")
        time.sleep(0.7)
        require_equal(rows(b), [], "rows that a paused job carried")
        require_equal(daemon.job("ab")["state"], "paused", "the state of the job")
        daemon.restart_after_kill()
        time.sleep(0.7)
        require_equal(rows(b), [], "rows that a paused job carried after a restart")
        lab.run("resume", "ab")
        wait_for(lambda: len(rows(b)) == 1, "the row after resume")
    require_equal(lab.run("pause").last["daemon"], False, "a daemon answered")
    with Daemon(lab) as daemon:
        require_equal(daemon.job("ab")["state"], "paused", "paused while no daemon ran")
    lab.run("resume")
    lab.run("pause", "nobody", code=2)


@test
def test_a_sync_by_hand_beside_a_busy_daemon_is_never_refused(lab):
    a, b = lab.node("a", SHOP, wal=True), lab.node("b", SHOP, wal=True)
    lab.job("ab", [a, b], schedule="continuous")
    lab.activate()
    ledger = Ledger()
    with Daemon(lab):
        with Writers(lab, [a, b], ledger):
            for _ in range(10):
                lab.sync(code=(0, 3))
                lab.run("sync", "--dry-run", code=(0, 3))
        wait_equal(a, b)
    lab.require_ledger(ledger, a)


@test
def test_a_second_daemon_is_refused_by_name_of_the_first(lab):
    pair(lab)
    with Daemon(lab) as daemon:
        second = lab.run("run", code=6)
        require(second.told("process %d" % daemon.process.pid, "since"), str(second))
        daemon.restart_after_kill()      # what it left behind stops nobody
        require_equal(daemon.status()["pid"], daemon.process.pid, "the daemon that answers")
    require(not (lab.directory / "tidemark.toml.socket").exists(), "the socket stays behind")


@test
def test_only_the_owner_may_ask_the_daemon(lab):
    pair(lab)
    with Daemon(lab):
        for name in ("tidemark.toml.socket", "tidemark.toml.state", "tidemark.toml.state.lock"):
            require_equal((lab.directory / name).stat().st_mode & 0o777, 0o600, "the permissions of " + name)


@test
def test_a_daemon_that_is_told_to_end_does_so_within_a_second(lab):
    nodes = [lab.node(n, SHOP, wal=True) for n in ("a", "b")]
    lab.job("ab", nodes, schedule="continuous")
    lab.activate()
    ledger = Ledger()
    with Daemon(lab) as daemon:
        with Writers(lab, nodes, ledger):
            for _ in range(3):
                time.sleep(1)
                daemon.end_within_a_second("while applications wrote")
                daemon.start()
        # A session that waits for an application's lock is cut off.
        holder = connect(nodes[1].path)
        holder.execute("BEGIN IMMEDIATE")
        nodes[0].sql("INSERT INTO tag VALUES ('held', 1, 'x')")
        time.sleep(1)
        daemon.end_within_a_second("while an application held a lock")
        holder.close()


@test
def test_a_daemon_that_waits_for_a_server_ends_when_told(lab):
    """The server takes connections and never answers. With it as first node only the thread that watches it connects, for
    sessions wait for its lease; as second node a session does as well."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(20)
        b = lab.node("b", T, wal=True)
        lab.nodes["a"] = type("Silent", (), {"name": "a", "settings": lambda self: {
            "url": "postgresql://nobody@127.0.0.1:%d/nothing?sslmode=disable" % server.getsockname()[1]}})()
        for nodes in (["a", b], [b, "a"]):
            lab.jobs = {}
            lab.job("ab", nodes, schedule="continuous")
            with Daemon(lab) as daemon:
                connections = [server.accept()[0] for _ in range(2 if nodes[0] is b else 1)]
                time.sleep(0.2)
                if nodes[0] is not b:
                    # Nor does a new configuration wait for it.
                    for _ in range(3):
                        began = time.monotonic()
                        reloads(daemon)
                        require(time.monotonic() - began < 3, "a reload waited for a server: " + daemon.log())
                        connections.append(server.accept()[0])
                daemon.end_within_a_second("while a server did not answer")
                require(" ended" in daemon.log(), daemon.log())
                for connection in connections:
                    connection.close()


@test
def test_a_new_configuration_is_taken_over_and_a_wrong_one_refused(lab):
    a, b = pair(lab)
    c = lab.node("c", T, wal=True)
    with Daemon(lab) as daemon:
        a.sql("INSERT INTO t VALUES (1, 'x')")
        wait_for(lambda: len(rows(b)) == 1, "the row")
        good = lab.config.read_text()
        lab.config.write_text(good + "\n[job.bad]\nnodes = []\n")
        daemon.reload()
        wait_for(lambda: "the old one stays" in daemon.log(), daemon.log)
        a.sql("INSERT INTO t VALUES (2, 'y')")
        lab.config.write_text(good)
        wait_for(lambda: len(rows(b)) == 2, "the old configuration goes on")
        lab.job("ac", [a, c], schedule="continuous")
        lab.activate()
        daemon.reload()
        wait_for(lambda: len(rows(c)) == 2, "the new job")
        require_equal([job["job"] for job in daemon.status()["jobs"]], ["ab", "ac"], "jobs")


@test
def test_a_wrong_configuration_does_not_undo_a_good_one_that_waits_for_a_session(lab):
    lab.settings["lock_timeout"] = "60s"
    a, b = pair(lab)
    c = lab.node("c", T, wal=True)
    lab.job("ac", [a, c], schedule="continuous")
    lab.activate()
    second = lab.jobs.pop("ac")
    with Daemon(lab) as daemon:
        a.sql("INSERT INTO t VALUES (1, 'x')")
        wait_for(lambda: len(rows(b)) == 1, "the row")
        holder = connect(b.path)
        holder.execute("BEGIN IMMEDIATE")
        a.sql("INSERT INTO t VALUES (2, 'y')")
        wait_for(lambda: daemon.status()["running"] == 1, daemon.log)
        lab.jobs["ac"] = second
        lab.write_config()
        daemon.reload()
        time.sleep(0.5)
        good = lab.config.read_text()
        lab.config.write_text(good + "\n[job.bad]\nnodes = []\n")
        daemon.reload()
        wait_for(lambda: "the old one stays" in daemon.log(), daemon.log)
        require("configuration read anew" not in daemon.log(), "a session was at work: " + daemon.log())
        lab.config.write_text(good)
        holder.close()
        wait_for(lambda: "configuration read anew: 2 jobs" in daemon.log(), daemon.log)
        wait_for(lambda: len(rows(c)) == 2, "the new job")
        require("next try in" not in daemon.log(), "a session failed: " + daemon.log())


@test
def test_alerts_begin_once_and_end_once(lab):
    told = lab.directory / "told"
    a, b = pair(lab, alert={"no_success_for": "2s", "conflicts": 1, "exec": "cat >> %s" % told})
    with Daemon(lab) as daemon:
        a.sql("INSERT INTO t VALUES (1, 'x')")
        wait_for(lambda: len(rows(b)) == 1, "the row")
        time.sleep(3)
        require(not told.exists(), lambda: "an alert of a job that is well: " + told.read_text())
        hidden = lab.directory / "b.hidden"
        b.path.rename(hidden)
        a.sql("INSERT INTO t VALUES (2, 'y')")
        wait_for(told.exists, "the alert that nothing succeeds")
        wait_for(lambda: "no_success" in (lab.directory / "tidemark.toml.state").read_text(), "it is kept")
        daemon.restart_after_kill()      # it goes on; it is not told again
        time.sleep(3)
        hidden.rename(b.path)
        wait_for(lambda: len(told.read_text().splitlines()) >= 2, daemon.log, 60)
        time.sleep(1.5)
        events = [json.loads(line) for line in told.read_text().splitlines()]
        require_equal([(e["event"], e["kind"], e["job"]) for e in events],
                      [("begin", "no_success", "ab"), ("end", "no_success", "ab")], "alerts")
    # A conflict: both change one row while no daemon runs.
    a.sql("UPDATE t SET v = 'a' WHERE id = 1")
    b.sql("UPDATE t SET v = 'b' WHERE id = 1")
    with Daemon(lab):
        wait_for(lambda: len(told.read_text().splitlines()) == 3, "the alert of a conflict")
        time.sleep(1.5)
        require_equal(json.loads(told.read_text().splitlines()[-1])["kind"], "conflicts", "the kind of the alert")
        require_equal(len(told.read_text().splitlines()), 3, "alerts")
    with Daemon(lab) as daemon:      # within the hour in which there was a conflict
        wait_for(lambda: daemon.job("ab")["pairs"][0]["last_success_at"], daemon.log)
        time.sleep(2)
        require_equal(len(told.read_text().splitlines()), 3, "alerts after a restart")


@test
def test_a_daemon_that_is_killed_again_and_again_tells_that_nothing_succeeds(lab):
    told = lab.directory / "told"
    _, b = pair(lab, alert={"no_success_for": "4s", "exec": "cat >> %s" % told})
    lab.sync()
    hide(lab, b)
    with Daemon(lab) as daemon:
        for _ in range(20):
            time.sleep(1)
            if told.exists():
                break
            reloads(daemon)
            daemon.restart_after_kill()
        require(told.exists(), lambda: "nobody was told:\n" + daemon.log())


@test
def test_rows_in_quarantine_are_no_news_after_a_restart(lab):
    told = lab.directory / "told"
    a = lab.node("a", T, wal=True)
    b = lab.node("b", "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT CHECK (v <> 'bad'));", wal=True)
    lab.job("ab", [a, b], schedule="continuous", alert={"quarantine": 1, "exec": "cat >> %s" % told})
    lab.activate()
    a.sql("INSERT INTO t VALUES (1, 'bad')")

    def events():
        return [json.loads(line)["event"] for line in told.read_text().splitlines()] if told.exists() else []

    with Daemon(lab) as daemon:
        wait_for(lambda: events() == ["begin"], daemon.log)
        for again in (daemon.restart_after_kill, lambda: reloads(daemon)):
            again()
            wait_for(lambda: daemon.job("ab")["pairs"][0]["last_success_at"], daemon.log)
            time.sleep(1.5)
            require_equal(events(), ["begin"], "alerts")
        a.sql("UPDATE t SET v = 'good'")
        wait_for(lambda: events() == ["begin", "end"], daemon.log)


@test
def test_a_job_that_has_nothing_to_do_is_not_silent(lab):
    told = lab.directory / "told"
    lab.settings["alert"] = {"no_success_for": "1s", "exec": "cat >> %s" % told}
    hour = time.gmtime().tm_hour
    a, b = pair(lab, schedule="manual")
    lab.job("nightly", [a, b], schedule="cron 0 0 1 %d *" % ((time.gmtime().tm_mon + 5) % 12 + 1))
    lab.job("excluded", [a, b], schedule="continuous", time_zone="UTC",
            exclude_windows=["%02d:00-%02d:00" % ((hour - 1) % 24, (hour + 2) % 24)])
    lab.activate()
    lab.sync()
    bring_back = hide(lab, b)
    with Daemon(lab) as daemon:
        time.sleep(4)
        require(not told.exists(), lambda: "an alert of a job that had nothing to do: " + told.read_text())
        lab.run("kick", "ab")
        wait_for(told.exists, daemon.log)
        bring_back()
        wait_for(lambda: len(told.read_text().splitlines()) == 2, daemon.log)
        events = [json.loads(line) for line in told.read_text().splitlines()]
        require_equal([(e["event"], e["job"]) for e in events], [("begin", "ab"), ("end", "ab")], "alerts")


@test
def test_an_alert_command_that_hangs_stops_nothing(lab):
    a, b = pair(lab, alert={"conflicts": 1, "exec": "sleep 600"})
    lab.sync()
    a.sql("INSERT INTO t VALUES (1, 'a')")
    b.sql("INSERT INTO t VALUES (1, 'b')")
    with Daemon(lab) as daemon:
        wait_for(lambda: "alert begins" in daemon.log(), daemon.log)
        a.sql("INSERT INTO t VALUES (2, 'y')")
        wait_for(lambda: len(rows(b)) == 2, "the row")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@test
def test_metrics_say_what_happened(lab):
    port = free_port()
    lab.settings["daemon"] = {"metrics": "127.0.0.1:%d" % port}
    a, b = pair(lab)
    with Daemon(lab):
        a.sql("INSERT INTO t VALUES (1, 'x'), (2, 'y')")
        wait_for(lambda: len(rows(b)) == 2, "the rows")

        def metrics():
            with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % port, timeout=10) as answer:
                require(answer.headers["Content-Type"].startswith("text/plain; version=0.0.4"), "the media type")
                text = answer.read().decode()
            return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                    if line and not line.startswith("#")}

        name = 'tidemark_changes_applied_total{job="ab",source="a",target="b"}'
        wait_for(lambda: metrics().get(name) == 2, lambda: str(metrics()))
        seen = metrics()
        require(seen['tidemark_sessions_total{job="ab",first="a",second="b",result="success"}'] >= 1, str(seen))
        require_equal(seen['tidemark_lag_seconds_count{job="ab",source="a",target="b"}'], 1, "lags measured")
        success = seen['tidemark_last_success_timestamp_seconds{job="ab",first="a",second="b"}']
        require(abs(success - time.time()) < 60, "the time of the last success: %s" % success)
        require_equal(seen['tidemark_job_paused{job="ab"}'], 0, "paused")

        # One connection for several questions, the same length for HEAD, and no for anything else.
        asker = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

        def ask(method, path):
            asker.request(method, path)
            answer = asker.getresponse()
            return answer.status, int(answer.headers["Content-Length"]), len(answer.read())

        status, length, read = ask("GET", "/metrics?name=all")
        require(status == 200 and length == read > 0, str((status, length, read)))
        status, length, read = ask("HEAD", "/metrics")
        require(status == 200 and length > 0 and read == 0, str((status, length, read)))
        require_equal(ask("GET", "/")[0], 404, "another path")
        require_equal(ask("POST", "/metrics")[0], 405, "another method")
        asker.close()


@test
def test_metrics_of_a_job_that_is_no_more_go_with_it(lab):
    port = free_port()
    lab.settings["daemon"] = {"metrics": "127.0.0.1:%d" % port}
    a, b = pair(lab)
    c = lab.node("c", T, wal=True)
    lab.job("all", [a, b, c], schedule="continuous")
    lab.activate()

    def metrics():
        with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % port, timeout=10) as answer:
            return answer.read().decode()

    with Daemon(lab) as daemon:
        a.sql("INSERT INTO t VALUES (1, 'x')")
        wait_for(lambda: all('job="%s"' % name in metrics() for name in ("ab", "all")) and 'second="c"' in metrics(), metrics)
        del lab.jobs["ab"]
        lab.jobs["all"][0]["nodes"] = ["a", "b"]
        lab.write_config()
        before = metrics()
        reloads(daemon)
        after = metrics()
        require('job="ab"' not in after and 'second="c"' not in after and 'target="c"' not in after, after)
        name = 'tidemark_sessions_total{job="all",first="a",second="b",result="success"} '
        count = [float(text.split(name)[1].split()[0]) for text in (before, after)]
        require(count[1] >= count[0] >= 1, "what is counted of a job that stays begins anew: %s" % count)


@test
def test_lag_is_measured_and_shown(lab):
    a, b = pair(lab)
    with Daemon(lab) as daemon:
        for i in range(20):
            a.sql("INSERT INTO t VALUES (%d, 'x')" % i)
            wait_for(lambda: len(rows(b)) == i + 1, "the row")  # pylint: disable=cell-var-from-loop
        lags = wait_for(lambda: daemon.job("ab")["pairs"][0]["lag_to_second"], "a lag")
        require(0 <= lags["p50_us"] <= lags["p99_us"] < 10_000_000, str(lags))
        text = lab.run("status", as_json=False).out
        require("daemon: process %d" % daemon.process.pid in text, text)


def heartbeat_rows(node):
    return node.rows("SELECT job, peer, sent_us, heard_us, arrived_us FROM tidemark_heartbeat ORDER BY job, peer")


@test
def test_a_heartbeat_tells_the_lag_of_a_job_without_changes(lab):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    lab.settings["daemon"] = {"metrics": "127.0.0.1:%d" % port}
    a, b = pair(lab, heartbeat="1s")
    c = lab.node("c", T, wal=True)
    lab.job("silent", [a, c], schedule="continuous")
    lab.activate()
    lab.sync()
    logged = a.rows("SELECT count(*) FROM tidemark_session")
    with Daemon(lab) as daemon:
        def measured():
            lags = daemon.job("ab")["pairs"][0]
            return all(lags[way] and lags[way]["measured"] >= 3 for way in ("lag_to_second", "lag_to_first"))

        wait_for(measured, lambda: str(daemon.job("ab")))
        lags = daemon.job("ab")["pairs"][0]["lag_to_second"]
        require(0 <= lags["p50_us"] <= lags["p99_us"] < 5_000_000, str(lags))
        require_equal(daemon.job("silent")["pairs"][0]["lag_to_second"], None, "lag of a job without a heartbeat")
        require(" rows to " not in daemon.log(), daemon.log())
        with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % port) as answer:
            metrics = answer.read().decode()
        for name in ("tidemark_heartbeat_timestamp_seconds", "tidemark_lag_seconds_count"):
            for source, target in ("ab", "ba"):
                require('%s{job="ab",source="%s",target="%s"} ' % (name, source, target) in metrics, metrics)
        require('job="silent",source' not in metrics.split("tidemark_heartbeat", 1)[1].split("# HELP", 1)[0], metrics)
    for node, peer in ((a, "b"), (b, "a")):
        found = heartbeat_rows(node)
        require_equal([row[:2] for row in found], [("ab", peer)], "heartbeats kept by " + node.name)
        require(found[0][2] <= found[0][4] + 10_000_000 and found[0][3] <= found[0][4], str(found))
    require_equal(heartbeat_rows(c), [], "heartbeats of a job that has none")
    require_equal(a.rows("SELECT count(*) FROM tidemark_session"), logged, "sessions that a heartbeat recorded")
    lab.require_settled()


@test
def test_a_heartbeat_travels_with_changes_and_by_hand(lab):
    a, b = pair(lab, heartbeat="1s", schedule="manual", mode="backup")
    lab.sync()
    with Daemon(lab):
        wait_for(lambda: heartbeat_rows(a), "a heartbeat")
        sent = heartbeat_rows(a)[0][2]
        time.sleep(2.5)
        require_equal(heartbeat_rows(a)[0][2], sent, "one that has not arrived is replaced")
        require_equal(heartbeat_rows(b), [], "heartbeats of the target of a backup")
        a.sql("INSERT INTO t VALUES (1, 'x')")
        lab.sync()
        require_equal([row[2:4] for row in heartbeat_rows(b)], [(0, sent)], "what b heard")
    require_equal(rows(b), [(1, "x")], "the row")


@test
def test_heartbeats_grow_nothing_and_wait_while_a_job_is_paused(lab):
    a, b = pair(lab, heartbeat="1s")
    lab.sync()

    def sizes():
        return [{table: node.value("SELECT count(*) FROM " + table) for (table,) in
                 node.rows("SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'tidemark%'")}
                for node in (a, b)]

    with Daemon(lab) as daemon:
        wait_for(lambda: all(heartbeat_rows(node) and heartbeat_rows(node)[0][3] for node in (a, b)), "heartbeats")
        before = sizes()
        time.sleep(4)
        require_equal(sizes(), before, "rows of control tables")
        lab.run("pause")
        time.sleep(0.5)
        before = heartbeat_rows(a)
        time.sleep(2.5)
        require_equal(heartbeat_rows(a), before, "heartbeats of a paused job")
        lab.run("resume")
        wait_for(lambda: heartbeat_rows(a) != before, daemon.log)


@test
def test_the_age_of_a_heartbeat_tells_how_far_a_lost_node_is_behind(lab):
    a, b = pair(lab, heartbeat="1s")
    lab.sync()
    with Daemon(lab) as daemon:
        wait_for(lambda: heartbeat_rows(b) and heartbeat_rows(b)[0][3], "a heartbeat")
        away = lab.directory / "away.db"
        b.path.rename(away)
        wait_for(lambda: daemon.job("ab")["state"] == "failing", daemon.log)
        wait_for(lambda: "a heartbeat for" in lab.run("status", as_json=False, code=(0, 3, 5)).out, "its age")
        on_its_way = daemon.job("ab")["pairs"][0]["lag_to_second"]["heartbeat_on_its_way_since"]
        daemon.terminate()
        daemon.start()
        require_equal(daemon.job("ab")["pairs"][0]["lag_to_second"]["heartbeat_on_its_way_since"], on_its_way,
                      "what is on its way for another daemon")
        time.sleep(1)
        away.rename(b.path)
        wait_for(lambda: (daemon.job("ab")["pairs"][0]["lag_to_second"]["hours"] or [{}])[-1].get("most_us", 0) > 2_000_000,
                 lambda: str(daemon.job("ab")), 60)


@test
def test_lags_outlive_the_daemon(lab):
    a, b = pair(lab)
    with Daemon(lab) as daemon:
        a.sql("INSERT INTO t VALUES (1, 'x')")
        before = wait_for(lambda: daemon.job("ab")["pairs"][0]["lag_to_second"], "a lag")
        daemon.terminate()
        status = lab.run("status").last
        require_equal(status["daemon"], None, "the daemon")
        require_equal([(lag["job"], lag["source"], lag["target"], lag["last_us"]) for lag in status["kept_lags"]],
                      [("ab", "a", "b", before["last_us"])], "what was kept")
        text = lab.run("status", as_json=False).out
        require("no daemon runs" in text and "measured last" in text, text)
        daemon.start()
        require_equal(daemon.job("ab")["pairs"][0]["lag_to_second"], before, "the lag after a restart")
        daemon.reload()
        wait_for(lambda: "configuration read anew" in daemon.log(), daemon.log)
        require_equal(daemon.job("ab")["pairs"][0]["lag_to_second"], before, "the lag after a reload")
        (lab.directory / "tidemark.toml.state.lags").write_text("damaged")
        daemon.restart_after_kill()
        require_equal(daemon.job("ab")["pairs"][0]["lag_to_second"], None, "the lag of a damaged file")
        b.sql("INSERT INTO t VALUES (2, 'y')")
        wait_for(lambda: daemon.job("ab")["pairs"][0]["lag_to_first"], "a lag")


def at(text):
    """Seconds since 1970 of a time as JSON shows it."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def metrics_of(port):
    with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % port, timeout=10) as answer:
        text = answer.read().decode()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
            if line and not line.startswith("#")}


OLDEST = 'tidemark_oldest_pending_change_timestamp_seconds{job="%s",source="%s",target="%s"}'


@test
def test_since_when_a_lost_node_is_behind_is_known_and_kept(lab):
    port = free_port()
    lab.settings["daemon"] = {"metrics": "127.0.0.1:%d" % port}
    a, b = pair(lab)
    c = lab.node("c", T, wal=True)
    lab.job("ac", [a, c], schedule="continuous")
    lab.activate()

    def shown(code=(0, 3, 5)):
        return next(each for each in lab.run("status", code=code).last["pairs"] if each["job"] == "ab")

    def behind(daemon):
        lag = daemon.job("ab")["pairs"][0]["lag_to_second"]
        return lag and lag["behind_since"]

    with Daemon(lab) as daemon:
        a.sql("INSERT INTO t VALUES (1, 'x')")
        wait_equal(a, b, c)
        away = lab.directory / "away.db"
        b.path.rename(away)
        wait_for(lambda: "changes on node b are not noticed" in daemon.log(), daemon.log)
        require_equal(shown()["second_behind_since"], None, "since when b is behind while nothing waits")
        before = time.time()
        a.sql("INSERT INTO t VALUES (2, 'y')")
        after = time.time()
        since = wait_for(lambda: behind(daemon), daemon.log)
        require(before - 0.01 <= at(since) <= after + 0.01, "since %s, written at %s" % (since, before))
        require_equal(shown()["second_behind_since"], since, "what status shows")
        require_equal(shown()["first_behind_since"], None, "what is not known of a node that is away")
        require("b: " in lab.run("status", as_json=False, code=(0, 3, 5)).out.split("behind since")[1].split("daemon")[0],
                "status in text")
        require(abs(wait_for(lambda: metrics_of(port).get(OLDEST % ("ab", "a", "b")), "the metric") - at(since)) < 0.01,
                "the metric")
        # The versions that another job makes of the row tell its last change only.
        time.sleep(1)
        a.sql("UPDATE t SET v = 'z' WHERE id = 2")
        wait_for(lambda: rows(c) == rows(a), "the update on c")
        require_equal([name for name in metrics_of(port) if name.startswith(OLDEST.split("{", maxsplit=1)[0])],
                      [OLDEST % ("ab", "a", "b")], "directions that are behind")
        require_equal(behind(daemon), since, "since when b is behind, after another change")
        daemon.terminate()
        require_equal(shown()["second_behind_since"], since, "what status shows without a daemon")
        daemon.start()
        time.sleep(3)  # it has asked anew
        require_equal(behind(daemon), since, "since when b is behind, for another daemon")
        require(daemon.job("ab")["pairs"][0]["lag_to_second"]["hours"][-1]["behind_us"] > 3_000_000, "the history")
        away.rename(b.path)
        wait_equal(a, b)
        wait_for(lambda: behind(daemon) is None and OLDEST % ("ab", "a", "b") not in metrics_of(port),
                 lambda: str(daemon.job("ab")))
        require_equal(shown(0)["second_behind_since"], None, "since when b is behind, when it is not")
        require(daemon.job("ab")["pairs"][0]["lag_to_second"]["hours"][-1]["behind_us"] > 3_000_000, "the history")


@test
def test_a_daemon_that_was_killed_finds_anew_since_when_a_node_is_behind(lab):
    a, b = pair(lab)
    lab.sync()
    away = lab.directory / "away.db"
    b.path.rename(away)
    before = time.time()
    a.sql("INSERT INTO t VALUES (2, 'y')")
    with Daemon(lab) as daemon:
        def since():
            lag = daemon.job("ab")["pairs"][0]["lag_to_second"]
            return lag and lag["behind_since"]

        found = wait_for(since, daemon.log)
        require(before - 0.01 <= at(found) <= before + 1, found)
        daemon.restart_after_kill()
        require_equal(wait_for(since, daemon.log), found, "what is found after a kill")
        away.rename(b.path)


@test
def test_what_a_paused_job_and_a_table_that_stays_out_are_behind_is_known(lab):
    a, b = lab.pair(T + "CREATE TABLE u(id INTEGER PRIMARY KEY, v TEXT);", wal=True, schedule="continuous")
    c = lab.node("c", T, wal=True)
    lab.job("paused", [a, c], schedule="continuous")
    lab.activate()
    lab.sync()
    lab.run("pause", "paused")
    b.sql("ALTER TABLE u ADD w TEXT")
    with Daemon(lab) as daemon:
        def since(job):
            lag = daemon.job(job)["pairs"][0]["lag_to_second"]
            return lag and lag["behind_since"]

        wait_for(lambda: "differs between nodes" in daemon.log(), daemon.log)
        before = time.time()
        a.sql("INSERT INTO t VALUES (1, 'x'); INSERT INTO u VALUES (1, 'x')")
        wait_for(lambda: rows(b) == rows(a), "the row of the table that takes part")
        for job in ("ab", "paused"):
            found = wait_for(lambda: since(job), daemon.log, 90)  # pylint: disable=cell-var-from-loop
            require(before - 0.01 <= at(found) <= before + 1, "%s: %s" % (job, found))
        a.sql("ALTER TABLE u ADD w TEXT")
        lab.run("resume", "paused")
        for job in ("ab", "paused"):
            wait_for(lambda: since(job) is None, lambda: str(daemon.job(job)))  # pylint: disable=cell-var-from-loop


@test
def test_bad_settings_are_refused_and_nothing_is_changed(lab):
    pair(lab)
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    (lab.directory / "file").write_text("mine")
    cases = [
        ({"socket": "file"}, "is taken by another file"),
        ({"socket": "x" * 150}, "longer than"),
        ({"socket": "nowhere/socket"}, "cannot be made"),
        ({"state": "nowhere/state"}, "cannot write"),
        ({"log_file": "nowhere/log"}, "cannot write the log"),
        ({"metrics": "127.0.0.1:%d" % taken.getsockname()[1]}, "the port is taken"),
        ({"metrics": "0.0.0.0:9000"}, "loopback"),
        ({"metrics": "127.0.0.1"}, "no port"),
        ({"parallel": 0}, "cannot be 0"),
        ({"heartbeat": "never"}, "heartbeat is not a duration"),
        ({"heartbeat": "10ms"}, "heartbeat is shorter than a second"),
        ({"heartbeat": 10}, "heartbeat must be"),
        ({"log_level": "loud"}, "cannot be"),
        ({"log_format": "xml"}, "cannot be"),
        ({"silence_timeout": "1s"}, "shorter"),
        ({"paralel": 3}, "unknown key"),
    ]
    lab.settings["daemon"] = {}
    lab.write_config()

    def folder():
        return {path.name: path.read_bytes() for path in lab.directory.iterdir() if path.name != lab.config.name}

    before = folder()
    for settings, words in cases:
        lab.settings["daemon"] = {"log_file": "new.log", **settings}
        result = lab.run("run", code=2)
        require(result.told(words), "%s: expected %r: %s" % (settings, words, result))
        require_equal(sorted(folder()), sorted(before), "files after a start that was refused: %s" % settings)
        require(folder() == before, "a start that was refused changed a file: %s" % settings)
    lab.settings.clear()
    for alert, words in (({"exec": "true"}, "waits for nothing"), ({"conflicts": 1}, "has no exec"),
                         ({"conflicts": 0, "exec": "true"}, "cannot be 0")):
        lab.settings["alert"] = alert
        result = lab.run("run", code=2)
        require(result.told(words), "%s: expected %r: %s" % (alert, words, result))
    lab.settings.clear()
    taken.close()
    require_equal((lab.directory / "file").read_text(), "mine", "a file that was in the way")
    (lab.directory / "tidemark.toml.state").write_text("{")
    lab.settings["daemon"] = {"log_file": "new.log"}
    require(lab.run("run", code=1).told("damaged"), "a damaged state is named")
    require(not (lab.directory / "new.log").exists(), "a log of a daemon that did not begin")
    # What an earlier daemon left is left alone as well.
    (lab.directory / "tidemark.toml.state").write_text('{"paused": ["ab"], "alerts": {}}')
    lab.settings["daemon"] = {"socket": "file"}
    lab.run("run", code=2)
    require_equal((lab.directory / "tidemark.toml.state").read_text(), '{"paused": ["ab"], "alerts": {}}', "the state")


@test
def test_the_log_speaks_json_and_holds_no_row_data(lab):
    log = lab.directory / "daemon.json"
    lab.settings["daemon"] = {"log_file": "daemon.json", "log_format": "json"}
    a, b = lab.pair(T, wal=True, schedule="continuous")
    lab.activate()
    process = lab.start("run", as_json=False)
    try:
        wait_for(log.exists, "the log")
        a.sql("INSERT INTO t VALUES (1, 'secret words')")
        wait_for(lambda: len(rows(b)) == 1, "the row")
        wait_for(lambda: " rows to b" in log.read_text(), "the line of the session")
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
    for line in log.read_text().splitlines():
        require(set(json.loads(line)) == {"time", "level", "message"}, line)
    require("secret" not in log.read_text(), "row data in the log")


@test
def test_a_log_that_was_moved_away_is_opened_anew_when_the_daemon_is_told(lab):
    """What logrotate does: the file is renamed, and SIGHUP."""
    log, old = lab.directory / "daemon.txt", lab.directory / "daemon.txt.1"
    lab.settings["daemon"] = {"log_file": "daemon.txt"}
    a, b = lab.pair(T, wal=True, schedule="continuous")
    lab.activate()
    process = lab.start("run", as_json=False)
    try:
        a.sql("INSERT INTO t VALUES (1, 'x')")
        wait_for(lambda: log.exists() and " rows to b" in log.read_text(), "the line of the first session")
        log.rename(old)
        a.sql("INSERT INTO t VALUES (2, 'y')")
        wait_for(lambda: old.read_text().count(" rows to b") == 2, "a line in the file that was moved away")
        require(not log.exists(), "a new log that nobody asked for")
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: log.exists() and "configuration read anew" in log.read_text(), "the new log")
        before = old.read_text()
        a.sql("INSERT INTO t VALUES (3, 'z')")
        wait_for(lambda: " rows to b" in log.read_text(), "the line of a session in the new log")
        require_equal(old.read_text(), before, "the old log")
        descriptors = [os.readlink(path) for path in pathlib.Path("/proc/%d/fd" % process.pid).iterdir() if path.exists()]
        require(str(old) not in descriptors, "the old log is still open")
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)


@test
def test_the_service_manager_is_told(lab):
    pair(lab)
    address = str(lab.directory / "notify")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(address)
    listener.settimeout(10)

    def next_message(word):
        end = time.monotonic() + 15
        while time.monotonic() < end:
            text = listener.recv(4096).decode()
            if word in text:
                return text
        raise AssertionError("the daemon did not say " + word)

    with Daemon(lab, environment={"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "4000000"}) as daemon:
        next_message("READY=1")
        next_message("WATCHDOG=1")
        daemon.reload()
        require("MONOTONIC_USEC=" in next_message("RELOADING=1"), "the time of the reload")
        next_message("READY=1")
        daemon.terminate()
        next_message("STOPPING=1")
    listener.close()


@test
def test_lost_triggers_are_found_without_a_session_by_hand(lab):
    a, b = pair(lab)
    with Daemon(lab):
        a.sql("INSERT INTO t VALUES (1, 'x')")
        wait_for(lambda: len(rows(b)) == 1, "the row")
        a.sql("ALTER TABLE t RENAME TO old; CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);"
              "INSERT INTO t SELECT * FROM old; INSERT INTO t VALUES (2, 'y'); DROP TABLE old;")
        wait_for(lambda: len(rows(b)) == 2, "the row that no trigger saw")


@test
def test_many_idle_jobs_take_nothing_and_touch_no_file(lab):
    count = 50 if lab.long else 20
    for i in range(count):
        nodes = [lab.node("%s%d" % (side, i), T, wal=True) for side in "ab"]
        nodes[0].sql("INSERT INTO t VALUES (1, 'x')")
        lab.job("j%d" % i, nodes, schedule="continuous")
    lab.activate()
    lab.sync()

    def times():
        return {p.name: p.stat().st_mtime_ns for p in lab.directory.iterdir() if ".db" in p.name}

    with Daemon(lab) as daemon:
        wait_for(lambda: all(p["last_success_at"] for j in daemon.status()["jobs"] for p in j["pairs"]), "all jobs met")
        time.sleep(13)      # what sessions kept open is closed
        before, cpu = times(), daemon.cpu_s()
        seconds = 30 if lab.long else 10
        time.sleep(seconds)
        used, after = daemon.cpu_s() - cpu, times()
        require_equal(after, before, "the times of files while nobody wrote")
        memory = daemon.memory_kib() / 1024
        require(memory < 100 or daemon.is_sanitized(), "memory: %.0f MiB" % memory)
        # Sanitizers make everything slower; the benchmark holds the real figure.
        require(used / seconds < 0.1, "CPU: %.1f %%" % (100 * used / seconds))
        lab.note("%d jobs: %.2f %% of a core, %.0f MiB, %d descriptors" % (
            count, 100 * used / seconds, memory, daemon.descriptors()))


@test
def test_watching_the_status_repeats_it(lab):
    pair(lab)
    process = lab.start("status", "--watch")
    time.sleep(3.5)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    lines = [json.loads(line) for line in out.decode().splitlines() if line]
    require(sum(line["type"] == "status" for line in lines) >= 2, out.decode())


if __name__ == "__main__":
    sys.exit(main(__doc__))
