#!/usr/bin/env python3
"""The daemon on PostgreSQL: continuous jobs of both products, servers that restart and that hang, and daemons that share
the jobs of one hub."""
import contextlib
import datetime
import json
import os
import signal
import sys
import time

from daemon_support import Daemon, wait_for
from postgresql_support import PgNode, PrivateServer, require, require_equal, run
from support import test

T = "CREATE TABLE t(id integer PRIMARY KEY, v text);"


def rows(node):
    return [tuple(map(str, row)) for row in node.rows("SELECT id, v FROM t ORDER BY id")]


def arrives(node, count, seconds=30):
    wait_for(lambda: len(rows(node)) == count, lambda: "%d rows on %s, there are %s" % (count, node.name, rows(node)), seconds)


@test
def test_changes_follow_both_ways_between_servers(lab):
    a, b = PgNode(lab, "a", T), PgNode(lab, "b", T)
    lab.job("ab", [a, b], schedule="continuous")
    lab.activate()
    with Daemon(lab) as daemon:
        wait_for(lambda: daemon.job("ab")["pairs"][0]["last_success_at"], daemon.log)
        a.sql("INSERT INTO t VALUES (1, 'a')")
        arrives(b, 1)
        b.sql("UPDATE t SET v = 'b'")
        wait_for(lambda: rows(a) == [("1", "b")], "the change of b")
        time.sleep(0.5)
        sessions = daemon.log().count(" rows to ")
        time.sleep(1.5)
        require_equal(daemon.log().count(" rows to "), sessions, "lines in the log while nobody writes")


@test
def test_changes_follow_between_products(lab):
    hub = PgNode(lab, "hub", T)
    branches = [lab.node("b%d" % i, T, wal=True) for i in range(3)]
    lab.job("all", [hub, *branches], schedule="continuous")
    lab.activate()
    with Daemon(lab):
        branches[0].sql("INSERT INTO t VALUES (1, 'branch')")
        hub.sql("INSERT INTO t VALUES (2, 'hub')")
        for node in (hub, *branches):
            arrives(node, 2)


@test
def test_a_transaction_that_commits_late_is_carried_when_it_commits(lab):
    a, b = PgNode(lab, "a", T), PgNode(lab, "b", T)
    lab.job("ab", [a, b], schedule="continuous")
    lab.activate()
    with Daemon(lab):
        slow = a.session()
        slow.run("BEGIN")
        slow.run("INSERT INTO t VALUES (1, 'late')")
        a.sql("INSERT INTO t VALUES (2, 'early')")
        arrives(b, 1)
        time.sleep(2)
        slow.run("COMMIT")
        arrives(b, 2, 10)
        slow.close()


@test
def test_a_server_that_restarts_is_met_again(lab):
    with PrivateServer() as server:
        a, b = PgNode(lab, "a", T, server=server), lab.node("b", T, wal=True)
        lab.job("ab", [a, b], schedule="continuous")
        lab.activate()
        with Daemon(lab) as daemon:
            a.sql("INSERT INTO t VALUES (1, 'x')")
            arrives(b, 1)
            server.stop()
            b.sql("INSERT INTO t VALUES (2, 'y')")
            wait_for(lambda: "is run by another daemon, or by none" in daemon.log(), daemon.log)
            time.sleep(2)
            server.start()
            arrives(a, 2, 40)
            wait_for(lambda: daemon.job("ab")["state"] == "waiting", daemon.log)


@test
def test_the_tries_of_a_hub_that_is_down_are_told_and_come_less_often(lab):
    """For its watcher and the leases that it keeps, and for the sessions."""
    with PrivateServer() as server:
        hub, branch = PgNode(lab, "hub", T, server=server), lab.node("branch", T, wal=True)
        other = PgNode(lab, "other", T)
        lab.job("cron", [hub, branch], schedule="every 1s")
        lab.job("spoke", [other, hub], schedule="continuous")
        lab.activate()
        with Daemon(lab) as daemon:
            branch.sql("INSERT INTO t VALUES (1, 'x')")
            arrives(other, 1)
            server.stop()
            other.sql("INSERT INTO t VALUES (2, 'y')")

            def pauses(*beginnings):
                return [float(line.split("next try in ")[1].split(" s")[0]) for line in daemon.log().splitlines()
                        if line.split(" ", 2)[2].startswith(beginnings) and "next try in " in line]

            def watching():
                return pauses("changes on node hub", "node hub was tried")

            wait_for(lambda: len(watching()) >= 4 and len(pauses("job spoke")) >= 4, daemon.log, 60)
            for each in (watching(), pauses("job spoke")):
                for pause, longest in zip(each, (1, 2, 4, 8, 16)):
                    require(longest / 2 - 0.01 <= pause <= longest + 0.01, str(each) + daemon.log())
            server.start()
            arrives(hub, 2, 20)


@test
def test_since_when_a_hub_that_is_down_is_behind_is_known(lab):
    with PrivateServer() as server:
        hub, branch = PgNode(lab, "hub", T, server=server), lab.node("branch", T, wal=True)
        other = PgNode(lab, "other", T)
        lab.job("branch", [hub, branch], schedule="continuous")
        lab.job("other", [other, branch], schedule="continuous")
        lab.activate()

        def behind(daemon, job, way):
            lag = daemon.job(job)["pairs"][0][way]
            return lag and lag["behind_since"]

        with Daemon(lab) as daemon:
            branch.sql("INSERT INTO t VALUES (1, 'x')")
            arrives(hub, 1)
            arrives(other, 1)
            server.stop()
            wait_for(lambda: daemon.job("branch")["state"] == "failing", daemon.log)
            before = time.time()
            branch.sql("INSERT INTO t VALUES (2, 'y')")
            since = wait_for(lambda: behind(daemon, "branch", "lag_to_first"), daemon.log)
            found = datetime.datetime.fromisoformat(since.replace("Z", "+00:00")).timestamp()
            require(before - 0.01 <= found <= before + 1, since)
            arrives(other, 2)
            daemon.restart_after_kill()
            # The other job has taken it out of the log.
            require_equal(wait_for(lambda: behind(daemon, "branch", "lag_to_first"), daemon.log), since,
                          "since when the hub is behind, for another daemon")
            require_equal(behind(daemon, "branch", "lag_to_second"), None, "what nobody knows")
            require_equal(behind(daemon, "other", "lag_to_first"), None, "since when a node is behind that is not")
            server.start()
            arrives(hub, 2, 60)
            wait_for(lambda: behind(daemon, "branch", "lag_to_first") is None, lambda: str(daemon.job("branch")))


@contextlib.contextmanager
def hanging(server):
    """No process of the server does anything; its connections stay."""
    family = server.processes()
    for process in family:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in reversed(family):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


@test
def test_a_server_that_hangs_touches_no_other_job(lab):
    lab.settings["daemon"] = {"parallel": 1, "connect_timeout": "3s", "silence_timeout": "5s"}
    with PrivateServer() as server:
        a = PgNode(lab, "a", T, server=server)
        b, c, d = (lab.node(name, T, wal=True) for name in "bcd")
        lab.job("hangs", [b, a], schedule="continuous")
        lab.job("works", [c, d], schedule="continuous")
        lab.activate()
        with Daemon(lab) as daemon:
            b.sql("INSERT INTO t VALUES (1, 'x')")
            arrives(a, 1)
            with hanging(server):
                b.sql("INSERT INTO t VALUES (2, 'y')")
                time.sleep(0.5)
                for i in range(5):
                    c.sql("INSERT INTO t VALUES (%d, 'z')" % i)
                    arrives(d, i + 1, 10)
                    time.sleep(1)
                wait_for(lambda: "job hangs: b and a: " in daemon.log() and "next try in" in daemon.log(), daemon.log, 40)
                daemon.end_within_a_second("while a server hung")
                daemon.start()
            arrives(a, 2, 60)


@test
def test_a_session_with_a_server_that_falls_silent_is_cut_off(lab):
    """Nobody watches the server here, whose watcher would cut its connections before."""
    lab.settings["daemon"] = {"silence_timeout": "5s"}
    with PrivateServer() as server:
        a, b = PgNode(lab, "a", T, server=server), lab.node("b", T, wal=True)
        lab.job("ba", [b, a], schedule="every 1s")
        lab.activate()
        with Daemon(lab) as daemon:
            b.sql("INSERT INTO t VALUES (1, 'x')")
            arrives(a, 1)
            with hanging(server):
                b.sql("INSERT INTO t VALUES (2, 'y')")
                wait_for(lambda: "job ba: b and a: no sign of life for 5 s, the session is cut off" in daemon.log(), daemon.log)
                wait_for(lambda: daemon.job("ba")["state"] == "failing", daemon.log)
                time.sleep(1)
                # The file is not locked by what was cut off.
                b.sql("INSERT INTO t VALUES (3, 'z')")
            arrives(a, 3, 60)
            wait_for(lambda: daemon.job("ba")["state"] == "waiting", daemon.log)


@test
def test_heartbeats_need_no_more_than_the_printed_grants(lab):
    lab.settings["daemon"] = {"heartbeat": "1s"}
    a, b = [PgNode(lab, name, T, role="tm_session", owner="tm_owner") for name in "ab"]
    c = lab.node("c", T, wal=True)
    lab.job("ab", [a, b, c], schedule="continuous")
    lab.job("off", [a, c], schedule="continuous", heartbeat="off")
    lab.activate()
    with Daemon(lab) as daemon:
        def measured():
            return all(pair[way] and pair[way]["measured"] >= 2 for pair in daemon.job("ab")["pairs"]
                       for way in ("lag_to_second", "lag_to_first"))

        wait_for(measured, lambda: daemon.log() + str(daemon.job("ab")))
        for way in ("lag_to_second", "lag_to_first"):
            require_equal(daemon.job("off")["pairs"][0][way], None, "lags of a job whose heartbeat is off")
        require("a heartbeat was" not in daemon.log(), daemon.log())
        sessions = int(a.value("SELECT count(*) FROM tidemark.session"))
        time.sleep(3)
        require_equal(int(a.value("SELECT count(*) FROM tidemark.session")), sessions, "sessions recorded")
        require_equal(int(a.value("SELECT count(*) FROM tidemark.heartbeat")), 2, "rows of heartbeats")


@test
def test_a_sync_by_hand_takes_its_turn_with_a_daemon_of_another_machine(lab):
    a, b = PgNode(lab, "a", T), PgNode(lab, "b", T)
    lab.job("ab", [a, b], schedule="continuous")
    lab.activate()
    lab.sync()
    other = lab.directory / "other.toml"
    other.write_text(lab.config.read_text())     # a daemon that the commands below know nothing of
    with Daemon(lab, other) as daemon:
        wait_for(lambda: daemon.job("ab")["pairs"][0]["last_success_at"], daemon.log)
        for i in range(40):
            a.sql("INSERT INTO t SELECT n, 'x' FROM generate_series(%d, %d) AS n" % (200 * i, 200 * i + 199))
            lab.sync()
        arrives(b, 8000)
        with Daemon(lab) as second:
            wait_for(lambda: second.job("ab")["state"] == "elsewhere", second.log)
            lab.run("kick", "ab", code=6).require_told("another daemon", "sync ab")
            for command in ("pause", "resume"):
                lab.run(command, "ab", code=6).require_told("another daemon", command + " it on the machine of that daemon")
            require_equal(second.job("ab")["state"], "elsewhere", "the state of a job whose pause was refused")
            b.sql("INSERT INTO t VALUES (9000, 'x')")
            arrives(a, 8001)


@test
def test_a_paused_job_stays_with_its_daemon_and_is_resumed_where_it_was_paused(lab):
    a, b = PgNode(lab, "a", T), PgNode(lab, "b", T)
    for name in ("one", "two"):
        lab.job(name, [a, b], schedule="continuous")
    lab.activate()
    lab.write_config()
    other = lab.directory / "other.toml"
    other.write_text(lab.config.read_text())

    def states(daemon):
        return [job["state"] for job in daemon.status()["jobs"]]

    with Daemon(lab) as first:
        wait_for(lambda: "elsewhere" not in states(first), first.log)
        lab.run("pause")
        with Daemon(lab, other) as second:
            time.sleep(5)        # two rounds in which what a daemon has too much of is given back
            require_equal(states(first), ["paused"] * 2, "jobs of the daemon that paused them")
            require_equal(states(second), ["elsewhere"] * 2, "jobs of the other daemon")
            first.kill()
            wait_for(lambda: "elsewhere" not in states(second), second.log)
            first.start()
            require_equal(states(first), ["paused"] * 2, "jobs that were paused here and are run elsewhere")
            lab.run("resume")    # paused here, and run by the other
            wait_for(lambda: "paused" not in states(first), first.log)


@test
def test_a_kick_does_not_outlive_the_lease_of_its_job(lab):
    hub, b = PgNode(lab, "hub", T), lab.node("b", T, wal=True)
    lab.job("ab", [hub, b], schedule="manual")
    lab.activate()
    lab.sync()
    hub.sql("INSERT INTO t VALUES (1, 'x')")
    away = b.path.with_name("away")
    b.path.rename(away)
    with Daemon(lab) as daemon:
        wait_for(lambda: daemon.job("ab")["state"] == "waiting", daemon.log)
        lab.run("kick", "ab")
        wait_for(lambda: daemon.job("ab")["state"] == "failing", daemon.log)
        # Of the clients only: a worker of autovacuum belongs to the superuser, and this role is none.
        hub.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND backend_type = 'client backend' AND pid <> pg_backend_pid()")
        wait_for(lambda: "job ab: the run that was asked for is given up" in daemon.log(), daemon.log)
        away.rename(b.path)
        wait_for(lambda: "noticed again" in daemon.log() and daemon.job("ab")["state"] == "waiting", daemon.log)
        time.sleep(1)
        require_equal(len(b.rows("SELECT * FROM t")), 0, "rows of a run that was given up")
        lab.run("kick", "ab")
        wait_for(lambda: len(b.rows("SELECT * FROM t")) == 1, daemon.log)


@test
def test_no_row_is_in_the_log(lab):
    a, b, c, d = lab.node("a", T, wal=True), PgNode(lab, "b", T), PgNode(lab, "c", T), PgNode(lab, "d", T)
    b.sql("CREATE TABLE audit(v text UNIQUE);"
          "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.audit VALUES (lower(new.v));"
          "RETURN new; END $$; CREATE TRIGGER keep BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION keep(); ")
    # One that stops the session, and one that refuses the row, which waits in quarantine.
    for node, code in ((c, "XX000"), (d, "P0001")):
        node.sql("CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                 "RAISE 'not %%', new.v USING ERRCODE = '%s'; END $$;"
                 "CREATE TRIGGER loud BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION loud(); " % code)
    lab.job("ab", [a, b], schedule="continuous", tables=["t"])
    lab.job("ac", [a, c], schedule="continuous")
    lab.job("ad", [a, d], schedule="continuous", alert={"quarantine": 2, "exec": "cat >/dev/null"})
    lab.activate()
    with Daemon(lab) as daemon:
        a.sql("INSERT INTO t VALUES (777001, 'Confidential'), (777002, 'CONFIDENTIAL')")
        wait_for(lambda: all("job %s: a and %s: " % (job, job[1]) in daemon.log() for job in ("ab", "ac")), daemon.log)
        wait_for(lambda: "job ad: 2 rows wait in quarantine" in daemon.log(), daemon.log)
        text = daemon.log() + lab.run("status", as_json=False).out
        for word in ("7770", "confidential"):
            require(word not in text.lower(), text)
        require("node b: table t: a row from node a is refused" in text, text)
    # Whoever runs it by hand is told which row it is.
    lab.sync("ab", code=1).require_told("777")


@test
def test_two_daemons_share_the_jobs_of_a_hub_and_one_takes_over_from_the_other(lab):
    hub = PgNode(lab, "hub", T)
    branches = [lab.node("b%d" % i, T, wal=True) for i in range(20)]
    for i, branch in enumerate(branches):
        lab.job("j%d" % i, [hub, branch], schedule="every 1s")
    lab.activate()
    lab.sync()
    lab.write_config()
    other = lab.directory / "other.toml"
    other.write_text(lab.config.read_text())

    def mine(daemon):
        return {job["job"] for job in daemon.status()["jobs"] if job["state"] != "elsewhere"}

    number = 0

    def all_write(seconds):
        nonlocal number
        for branch in branches:
            number += 1
            branch.sql("INSERT INTO t VALUES (%d, 'x')" % number)
        arrives(hub, number, seconds)

    with Daemon(lab) as first, Daemon(lab, other) as second:
        wait_for(lambda: len(mine(first)) == 10 and len(mine(second)) == 10, "ten jobs for each")
        require_equal(mine(first) & mine(second), set(), "jobs that both run")
        for _ in range(3):
            all_write(20)
        first.kill()
        began = time.monotonic()
        wait_for(lambda: len(mine(second)) == 20, "all jobs are taken over", 15)
        lab.note("taken over after %.1f s" % (time.monotonic() - began))
        all_write(20)
        for node in branches:
            arrives(node, number)
    by_job = {}
    for job, start, end in hub.rows("SELECT job, started_at_us, finished_at_us FROM tidemark.session ORDER BY started_at_us"):
        by_job.setdefault(job, []).append((int(start), int(end)))
    require_equal(len(by_job), 20, "jobs in the records")
    for job, times in by_job.items():
        for (_, end), (start, _) in zip(times, times[1:]):
            require(end <= start, "job %s ran twice at a time: %s" % (job, times))


@test
def test_a_takeover_does_the_runs_that_the_other_daemon_left_and_no_others(lab):
    hubs = [PgNode(lab, "h%d" % i, T, role="tm_session", owner="tm_owner") for i in (1, 2)]
    branches = [lab.node("b%d" % i, T, wal=True) for i in (1, 2)]
    never = "cron 0 0 1 %d *" % ((time.gmtime().tm_mon + 5) % 12 + 1)
    for name, hub, branch in zip(("done", "left"), hubs, branches):
        lab.job(name, [hub, branch], schedule=never)
    lab.activate()
    lab.sync()
    lab.write_config()
    other = lab.directory / "other.toml"
    other.write_text(lab.config.read_text())
    due = 1_000_000 * (int(time.time()) - 3600)

    def owe(config, *runs):
        """Both daemons saw the same time pass; what each has yet to do is in its state."""
        owed = [{"job": job, "first": hub.name, "second": branch.name, "wanted": True, "kicked": False, "in_round": True,
                 "due_us": due} for job, hub, branch in runs]
        config.with_name(config.name + ".state").write_text(json.dumps({"paused": [], "alerts": {}, "owed": owed}))

    done, left = ("done", hubs[0], branches[0]), ("left", hubs[1], branches[1])
    owe(lab.config, done)
    owe(other, done, left)
    with Daemon(lab) as first:
        wait_for(lambda: [tuple(map(str, row)) for row in hubs[0].rows("SELECT job, peer, due_us FROM tidemark.run")]
                 == [("done", "b1", str(due))], first.log)
        with Daemon(lab, other) as second:
            wait_for(lambda: all(job["state"] == "elsewhere" for job in second.status()["jobs"]), second.log)
            for branch in branches:
                branch.sql("INSERT INTO t VALUES (1, 'x')")
            first.kill()
            arrives(hubs[1], 1)
            wait_for(lambda: second.job("done")["state"] == "waiting", second.log)
            time.sleep(1)
            require_equal(rows(hubs[0]), [], "rows of a run that was done before")
            state = other.with_name("other.toml.state")
            wait_for(lambda: json.loads(state.read_text())["owed"] == [], state.read_text)


if __name__ == "__main__":
    sys.exit(run(__doc__))
