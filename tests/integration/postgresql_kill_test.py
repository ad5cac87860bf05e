#!/usr/bin/env python3
"""Kills under mixed engines: pairs and stars of PostgreSQL and SQLite nodes, applications writing on all of them, while
the program is killed (-9), the server's backends are terminated and the whole server crashes. At the end all nodes are
equal and every acknowledged write is accounted for."""
import contextlib
import random
import sqlite3
import threading
import time

from postgresql_support import PgNode, PrivateServer, require, require_equal, run
from support import Ledger, Node, connect, test, tokens_in

# audit belongs to no job: it tells whether a transaction whose answer was lost has been committed.
PG_TABLES = "CREATE TABLE item(id integer PRIMARY KEY, name text, n integer); CREATE TABLE audit(token text PRIMARY KEY);"
SQLITE_TABLES = PG_TABLES.replace("integer", "INTEGER").replace("text", "TEXT")
KEYS = 60
# Killed, cut off, a partner unreachable, a lock of a backend that is not quite dead: all end with a code of their own.
ENDS = (-9, 0, 1, 3, 5, 6)


class PgApplication:
    def __init__(self, node):
        self.node, self.session = node, None

    def run(self, statement):
        if self.session is None:
            self.session = self.node.session()
        return self.session.run(statement)

    def seen(self, key):
        self.run("BEGIN")
        return self.run("SELECT name FROM item WHERE id = %d FOR UPDATE" % key)

    def recover(self):
        with contextlib.suppress(Exception):
            self.session.close()
        self.session = None

    def committed(self, token):
        return bool(self.node.rows("SELECT 1 FROM audit WHERE token = '%s'" % token))

    def close(self):
        self.recover()


class SqliteApplication:
    def __init__(self, node):
        self.connection = connect(node.path)

    def run(self, statement):
        return self.connection.execute(statement).fetchall()

    def seen(self, key):
        self.run("BEGIN IMMEDIATE")
        rows = self.run("SELECT name FROM item WHERE id = %d" % key)
        return rows[0][0] if rows else ""

    def recover(self):
        with contextlib.suppress(sqlite3.Error):
            self.run("ROLLBACK")

    def committed(self, token):
        return bool(self.run("SELECT 1 FROM audit WHERE token = '%s'" % token))

    def close(self):
        self.connection.close()


class Writer(threading.Thread):
    """One application: inserts, updates and deletes single rows, each with a token of its own."""

    def __init__(self, node, seed, ledger, stop):
        super().__init__(name=node.name)
        self.node, self.ledger, self.stop = node, ledger, stop
        self.rng, self.written, self.problem = random.Random(seed), 0, None
        self.history = []  # for failures: (time, who, key, what was written, what was seen, how it ended)

    def run(self):
        application = SqliteApplication(self.node) if isinstance(self.node, Node) else PgApplication(self.node)
        try:
            while not self.stop.is_set():
                self.transaction(application)
                time.sleep(0.004)
        except Exception as error:  # told by the test
            self.problem = error
        application.close()

    def transaction(self, application):
        self.written += 1
        token = "w%d:%s:%d" % (self.rng.randrange(10**6), self.node.name, self.written)
        key, seen, deletes, end = self.rng.randrange(KEYS), "", False, "acknowledged"
        try:
            seen = application.seen(key)
            deletes = bool(seen) and self.rng.random() < 0.15
            if deletes:
                application.run("DELETE FROM item WHERE id = %d" % key)
            elif seen:
                application.run("UPDATE item SET name = '%s', n = n + 1 WHERE id = %d" % (token, key))
            else:
                application.run("INSERT INTO item VALUES (%d, '%s', 0)" % (key, token))
            application.run("INSERT INTO audit VALUES ('%s')" % token)
            application.run("COMMIT")
        except Exception:  # refused, or the connection is gone: then the audit knows
            application.recover()
            if not self.ask(application, token):
                return
            end = "committed, the answer was lost"
        self.history.append((time.time(), self.node.name, key, "delete" if deletes else token, seen, end))
        self.ledger.acknowledge(self.node.name, [] if deletes else [token], tokens_in(seen))

    @staticmethod
    def ask(application, token):
        for _ in range(600):
            try:
                return application.committed(token)
            except Exception:  # the server is on its way up
                time.sleep(0.05)
        raise RuntimeError("the server did not come back")


def final_rows(node):
    text = "SELECT id, name, n FROM item ORDER BY id"
    return [tuple(str(v) for v in row) for row in node.rows(text)]


def strike(lab, server, job, usual_s):
    """One session, and something that is killed on its way. Returns what."""
    process = lab.start("sync", job)
    time.sleep(lab.rng.uniform(0.0, usual_s))
    what = lab.rng.choice(["program"] * 6 + ["backends"] * 3 + ["server"])
    if what == "program":
        process.kill()
    elif what == "backends":
        server.sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tidemark'",
                   role="postgres")
    else:
        lab.crashes.append((time.time(), "the server", "is killed"))
        server.restart()
        lab.crashes.append((time.time(), "the server", "is back"))
    out, err = process.communicate(timeout=60)
    require(process.returncode in ENDS, "exit %d: %s%s" % (process.returncode, out, err))
    return what if process.returncode not in (0, 3) else "nothing"


def settle(lab, jobs):
    """Sessions until nothing moves; a server notices a dead client when it next speaks to it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        results = [lab.sync(job, code=(0, 6)) for job in jobs]
        if all(r.code == 0 for r in results) and not any(r.last["changed"] for r in results):
            return
        time.sleep(0.05)
    require(False, "sessions still move rows after a minute")


def tell_history(lab, problems, writers, nodes):
    """What was done to the keys of lost writes, and when sessions met."""
    history = sorted(entry for writer in writers for entry in writer.history)
    lost = set().union(*(tokens_in(problem) for problem in problems))
    lines = []
    for key in sorted({entry[2] for entry in history if entry[3] in lost}):
        lines += ["%.6f %s" % (entry[0], entry[1:])
                  for entry in sorted([e for e in history if e[2] == key] + lab.crashes)]
        lines += ["conflict %s" % c for c in lab.conflicts() if c["key"] == {"id": {"type": "integer", "value": key}} or
                  str(c["key"]).find("'%d'" % key) >= 0 or str(c["key"]).find(": %d}" % key) >= 0]
    for node in nodes.values():
        if isinstance(node, PgNode):
            lines += ["%s: committed here: %s" % (node.name, row) for row in node.rows("SELECT token FROM audit")
                      if row[0] in lost]
            lines += ["%s: %s" % (node.name, row) for row in node.rows("SELECT * FROM tidemark.session ORDER BY 1")]
    path = lab.directory / "history"
    path.write_text("\n".join(lines))
    lab.note("history of the keys: %s" % path)


def kill_all_over(lab, kinds, jobs, rounds):
    """`kinds`: node name -> "pg" or "sqlite"; `jobs`: pairs of names."""
    with PrivateServer() as server:
        nodes = {}
        for name, kind in kinds.items():
            nodes[name] = PgNode(lab, name, PG_TABLES, server=server) if kind == "pg" else lab.node(name, SQLITE_TABLES, wal=True)
        for x, y in jobs:
            lab.job(x + y, [x, y], tables=["item"], max_deletes="100%")
        lab.activate()
        names = [x + y for x, y in jobs]
        usual = max(lab.sync(name).seconds for name in names)
        ledgers, stop = {name: Ledger() for name in nodes}, threading.Event()
        writers = [Writer(node, lab.rng.random(), ledgers[name], stop) for name, node in nodes.items()]
        for writer in writers:
            writer.start()
        lab.crashes = []
        hits = {"program": 0, "backends": 0, "server": 0, "nothing": 0}
        try:
            for round_number in range(rounds):
                hits[strike(lab, server, lab.rng.choice(names), usual * 1.2)] += 1
                if round_number % 5 == 4:
                    lab.sync(lab.rng.choice(names), code=(0, 3, 5, 6))
        finally:
            stop.set()
            for writer in writers:
                writer.join(60)
        for writer in writers:
            require(writer.problem is None, "the application on %s failed: %r" % (writer.name, writer.problem))
        settle(lab, names)
        lab.verify()
        first, *others = nodes.values()
        expected = final_rows(first)
        for other in others:
            require_equal(final_rows(other), expected, "rows of %s and %s" % (other.name, first.name))
        whole = Ledger()
        for ledger in ledgers.values():
            whole.written.update(ledger.written)
            whole.seen.update(ledger.seen)
        final = set().union(*(tokens_in(row[1]) for row in expected)) if expected else set()
        counts, problems = whole.judge(final, lab.conflicts())
        if problems:
            tell_history(lab, problems, writers, nodes)
        require(not problems, "the ledger of %d writes: %s\n  %s" % (len(whole.written), dict(counts), "\n  ".join(problems[:20])))
        # A canary: without the conflict log something must be missing.
        if counts["in the conflict log"]:
            require(whole.judge(final, [])[1], "the ledger does not notice a missing conflict log")
        require(hits["program"] + hits["backends"] + hits["server"] > rounds // 4, "hardly anything was hit: %s" % hits)
        lab.note("hits %s, %s" % (hits, dict(counts)))


@test
def test_kills_between_postgresql_and_sqlite(lab):
    kill_all_over(lab, {"a": "pg", "b": "sqlite"}, ["ab"], 150 if lab.long else 40)


@test
def test_kills_between_two_postgresql_nodes(lab):
    kill_all_over(lab, {"a": "pg", "b": "pg"}, ["ab"], 150 if lab.long else 40)


@test
def test_kills_in_a_mixed_star(lab):
    kill_all_over(lab, {"h": "pg", "b": "sqlite", "c": "pg", "d": "sqlite"}, ["hb", "hc", "hd"], 200 if lab.long else 50)


@test
def test_kills_in_a_mixed_ring(lab):
    kill_all_over(lab, {"a": "sqlite", "b": "pg", "c": "sqlite"}, ["ab", "bc", "ca"], 150 if lab.long else 40)


if __name__ == "__main__":
    raise SystemExit(run(__doc__))
