#!/usr/bin/env python3
"""kill -9 of the program at random moments, with applications writing on every node: at least 200 kills of a running
`tidemark sync` in one run of this file. After each kill the next session works at once; at the end the laws hold, both
files are sound and every acknowledged write is accounted for."""
import contextlib
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time

from support import (SHOP, SHOP_WITH_FOREIGN_KEYS, Ledger, Writers, compare_images, connect, final_tokens, health, main,
                     moved, require, require_equal, test)

T = "CREATE TABLE t(id INTEGER PRIMARY KEY, batch INTEGER, v TEXT);"


class Killer:
    """Starts commands and kills them after a random part of their usual duration."""

    def __init__(self, lab):
        self.lab, self.usual_s, self.killed, self.survived = lab, 0.05, 0, 0

    def measure(self, *command, code=(0, 3)):
        """How long the command takes at present; it runs to its end."""
        result = self.lab.run(*command, code=code)
        self.usual_s = 0.7 * self.usual_s + 0.3 * result.seconds if self.killed else result.seconds
        return result

    def strike(self, *command):
        """True if the command was still at work when it was killed."""
        process = self.lab.start(*command)
        time.sleep(self.lab.rng.random() * self.usual_s * 1.1)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        if process.returncode == -signal.SIGKILL:
            self.killed += 1
            return True
        require(process.returncode in (0, 3), "%s ended with %d\n%s%s" % (
            command, process.returncode, out.decode(), err.decode()))
        self.survived += 1
        return False


def kill_sessions(lab, nodes, ledger, kills, jobs=(None,), relations=True):
    """Kills sessions until enough were hit while they ran; every few times one must go through at once."""
    killer = Killer(lab)
    with Writers(lab, nodes, ledger) as writers:
        for job in jobs:
            killer.measure("sync", *([job] if job else []))
        while killer.killed < kills:
            job = lab.rng.choice(jobs)
            killer.strike("sync", *([job] if job else []))
            if killer.killed % 6 == 5 or lab.rng.random() < 0.1:
                killer.measure("sync")
    for node in nodes:
        require_equal(health(node.path, relations), [], "health of " + node.name)
    lab.sync()  # at once, no lock is left
    for _ in range(len(nodes)):
        lab.sync()
    lab.require_settled(relations=relations)
    counts = lab.require_ledger(ledger, nodes[0])
    lab.note("%d kills (%d sessions were faster), a session takes %.0f ms, longest wait of a writer %.0f ms, %s" % (
        killer.killed, killer.survived, killer.usual_s * 1000, writers.longest_wait_s * 1000, dict(counts)))


@test
def test_kill_two_way_sessions_wal(lab):
    nodes = [lab.node(n, SHOP, wal=True) for n in "ab"]
    lab.job("ab", nodes)
    lab.activate()
    kill_sessions(lab, nodes, Ledger(), 300 if lab.long else 60)


@test
def test_kill_two_way_sessions_rollback_journal(lab):
    nodes = [lab.node(n, SHOP) for n in "ab"]
    lab.job("ab", nodes)
    lab.activate()
    kill_sessions(lab, nodes, Ledger(), 300 if lab.long else 60)


@test
def test_kill_sessions_of_tables_with_foreign_keys(lab):
    nodes = [lab.node(n, SHOP_WITH_FOREIGN_KEYS, wal=n == "a") for n in "ab"]
    lab.job("ab", nodes)
    lab.activate()
    kill_sessions(lab, nodes, Ledger(), 150 if lab.long else 30, relations=False)


@test
def test_kill_sessions_of_a_ring(lab):
    nodes = [lab.node(n, SHOP, wal=n != "b") for n in "abc"]
    for x, y in ("ab", "bc", "ca"):
        lab.job(x + y, [x, y])
    lab.activate()
    kill_sessions(lab, nodes, Ledger(), 150 if lab.long else 40, ("ab", "bc", "ca"))


@test
def test_kill_bulk_sessions(lab):
    """Large sessions, so that kills hit every stage. One transaction on the source renumbers all rows; whoever reads the
    target, also after a kill, sees one number only."""
    for wal in (True, False):
        lab.reset()
        a, b = lab.node("a", T, wal), lab.node("b", T, wal)
        lab.job("ab", [a, b])
        lab.activate()
        rows = 20000 if lab.long else 6000
        a.sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO t SELECT i, 0, "
              "hex(randomblob(30)) FROM n" % rows)
        killer = Killer(lab)
        killer.measure("sync")
        batch, reader = 0, connect(b.path)
        while killer.killed < (60 if lab.long else 20):
            batch += 1
            a.sql("BEGIN; UPDATE t SET batch = %d; DELETE FROM t WHERE id IN (SELECT id FROM t ORDER BY id LIMIT 50);"
                  "INSERT INTO t SELECT max(id) + value, %d, 'new' FROM (SELECT id FROM t WHERE id < 1000000000), (WITH RECURSIVE n(value) AS (SELECT 1 UNION "
                  "ALL SELECT value + 1 FROM n WHERE value < 60) SELECT value FROM n) GROUP BY value; COMMIT;" % (batch, batch))
            b.sql("INSERT INTO t VALUES (%d, %d, 'from b')" % (10**9 + batch, b.value("SELECT max(batch) FROM t")))
            for _ in range(2):
                killer.strike("sync")
                seen = reader.execute("SELECT DISTINCT batch FROM t WHERE id < 1000000000").fetchall()
                require_equal(len(seen), 1, "batches seen together by a reader of the target (%s)" % seen[:5])
            if batch % 3 == 0:
                killer.measure("sync")
                require_equal(reader.execute("SELECT max(batch) FROM t").fetchone()[0], batch, "batch after a whole session")
        reader.close()
        lab.sync()
        lab.require_settled()
        lab.note("%s: %d kills of sessions of %.0f ms" % ("WAL" if wal else "rollback", killer.killed, killer.usual_s * 1000))


@test
def test_kill_backups_and_first_copies(lab):
    for round_number in range(8 if lab.long else 3):
        lab.reset()
        a, b = lab.node("a", SHOP, wal=round_number % 2 == 0), lab.node("b")
        a.sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000) INSERT INTO line SELECT i, "
              "i % 7, 'before' FROM n")
        lab.job("bk", [a, b], mode="backup")
        ledger, killer = Ledger(), Killer(lab)
        with Writers(lab, [a], ledger):
            killer.usual_s = 0.05
            for _ in range(4):
                killer.strike("activate", "--create-tables")
            lab.activate("--create-tables")
            while killer.killed < 18:
                killer.strike("sync")
                if killer.killed % 5 == 4:
                    killer.measure("sync")
                    b.sql("UPDATE line SET what = 'edited on the backup' WHERE order_id %% 50 = %d" % lab.rng.randrange(50))
        lab.sync()
        lab.require_settled()
        found = ledger.judge(final_tokens(b.path), [])[1]
        require_equal(found, [], "the ledger of the source against the backup")
        lab.note("%d kills" % killer.killed)


@test
def test_kill_activation_and_deactivation(lab):
    """Whatever is killed, applications go on and the schema is whole: with Tidemark, or without any trace of it."""
    a, b = lab.node("a", SHOP, wal=True), lab.node("b", SHOP)
    lab.job("ab", [a, b])
    plain = [a.schema(), b.schema()]
    ledger, killer = Ledger(), Killer(lab)
    with Writers(lab, [a, b], ledger):
        killer.usual_s = lab.activate().seconds
        for _ in range(60 if lab.long else 15):
            killer.strike("deactivate", "a", "b")
            for node, before in zip((a, b), plain):
                now = node.schema()
                triggers = now.count("CREATE TRIGGER")
                require(now == before or triggers >= 15, "half a deactivation on %s:\n%s" % (node.name, now))
            killer.strike("activate")
            lab.activate()
            if lab.rng.random() < 0.3:
                lab.sync(code=(0, 3))
        lab.run("deactivate", "a", "b")
        require_equal([a.schema(), b.schema()], plain, ".schema after deactivate")
        lab.activate()
        lab.sync(code=(0, 3))
    lab.sync(code=(0, 3))
    lab.sync()
    lab.require_settled()
    lab.note("%d kills" % killer.killed)


@test
def test_kill_recovery_and_repair(lab):
    """Lost triggers, verify --repair and reinstate are killed on their way and finish the next time."""
    a, b = lab.node("a", T), lab.node("b", T, wal=True)
    lab.job("ab", [a, b])
    a.sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) INSERT INTO t SELECT i, 0, "
          "'x' FROM n")
    lab.activate()
    lab.sync()
    killer = Killer(lab)
    for round_number in range(10 if lab.long else 4):
        for (name,) in a.rows("SELECT name FROM sqlite_schema WHERE type = 'trigger'"):
            a.sql('DROP TRIGGER "%s"' % name)
        a.sql("UPDATE t SET v = 'unseen %d' WHERE id %% 10 = 0; INSERT INTO t VALUES (%d, 0, 'unseen')" % (
            round_number, 5000 + round_number))
        killer.usual_s = 0.08
        for _ in range(4):
            killer.strike("sync")
        lab.sync()
        require_equal(b.value("SELECT v FROM t WHERE id = 10"), "unseen %d" % round_number, "an unseen change")
        lab.require_settled()
        a.sql("UPDATE t SET v = 'a%d' WHERE id <= 20" % round_number)
        time.sleep(0.004)
        b.sql("UPDATE t SET v = 'b%d' WHERE id <= 20" % round_number)
        killer.strike("sync")
        lab.sync()
        conflicts = [c for c in lab.conflicts() if c["status"] != "reinstated"]
        require(len(conflicts) >= 20, "conflicts: %d" % len(conflicts))
        for conflict in conflicts[:5]:
            killer.usual_s = 0.02
            killer.strike("conflicts", "reinstate", conflict["id"])
            now = {c["id"]: c["status"] for c in lab.conflicts()}
            if now[conflict["id"]] != "reinstated":
                lab.run("conflicts", "reinstate", conflict["id"])
        killer.strike("sync")
        lab.sync()
        lab.require_settled()
        require_equal(a.value("SELECT count(*) FROM t WHERE v = 'a%d'" % round_number), 5, "reinstated rows")
    lab.note("%d kills" % killer.killed)


@test
def test_a_killed_session_leaves_no_lock_and_no_half(lab):
    """The session is killed while it surely holds its locks: an application keeps the target's write lock."""
    a, b = lab.node("a", T, wal=True), lab.node("b", T, wal=True)
    lab.job("ab", [a, b])
    lab.activate()
    lab.sync()
    for _ in range(5):
        a.sql("INSERT INTO t(v) VALUES ('x')")
        holder = connect(b.path)
        holder.execute("BEGIN IMMEDIATE")
        before = b.image()
        process = lab.start("sync")
        time.sleep(0.3)
        require(process.poll() is None, "the session should wait for the application")
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        require_equal(compare_images(before, b.image()), [], "the target")
        with contextlib.suppress(sqlite3.Error):
            holder.execute("ROLLBACK")
        holder.close()
        require_equal(moved(lab.sync()), 1, "rows of the next session")
    lab.require_settled()


def limit_files(limit):
    """For a child process: no file may grow beyond `limit` bytes, so writing fails as on a full disk."""
    def prepare():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    return prepare


@test
def test_a_disk_that_fills_up_during_a_session(lab):
    for wal in (False, True):
        lab.reset()
        a, b = lab.node("a", T, wal), lab.node("b", T, wal)
        lab.job("ab", [a, b])
        lab.activate()
        lab.sync()
        a.sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 8000) INSERT INTO t SELECT i, 0, "
              "hex(randomblob(50)) FROM n")
        failed = 0
        for limit in sorted(lab.rng.randrange(60000, 1500000) for _ in range(40 if lab.long else 10)):
            lab.write_config()
            done = subprocess.run(lab.command("sync"), capture_output=True, check=False, preexec_fn=limit_files(limit))
            require(done.returncode in (0, 1), "exit %d with a full disk: %s%s" % (
                done.returncode, done.stdout.decode(), done.stderr.decode()))
            if done.returncode == 1:
                failed += 1
                require(b"hint" in done.stdout, "an error without a hint: %s" % done.stdout)
                require_equal(b.value("SELECT count(*) FROM t"), 0, "half a session")
            for node in (a, b):
                require_equal(health(node.path), [], "health of %s after a full disk" % node.name)
        require(failed > 2, "the limit was hardly ever felt (%d)" % failed)
        lab.sync()
        lab.require_settled()
        require_equal(b.value("SELECT count(*) FROM t"), 8000, "rows")


if __name__ == "__main__":
    sys.exit(main(__doc__))
