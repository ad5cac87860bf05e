#!/usr/bin/env python3
"""Several writers, several sessions, readers in between: with WAL and rollback-journal databases, one pair and many."""
import sys
import threading
import time

from support import (SHOP, SHOP_WITH_FOREIGN_KEYS, Ledger, Writers, compare_images, connect, health, main,
                     moved, require, require_equal, test)

T = "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);"


def run_together(lab, commands):
    processes = [lab.start(*c) for c in commands]
    ended = [p.communicate(timeout=120) for p in processes]
    return [(p.returncode, out.decode(), err.decode()) for p, (out, err) in zip(processes, ended)]


@test
def test_of_two_sessions_of_one_pair_the_second_is_told_so(lab):
    a, b = lab.node("a", T, wal=True), lab.node("b", T, wal=True)
    lab.job("ab", [a, b])
    lab.job("again", [b, a])      # the same pair under another name and the other way round
    lab.activate()
    lab.sync("ab")
    for job in ("ab", "again"):
        a.sql("INSERT INTO t(v) VALUES ('x')")
        holder = connect(b.path)
        holder.execute("BEGIN IMMEDIATE")
        first = lab.start("sync", "ab")
        time.sleep(0.3)
        require(first.poll() is None, "the first session should wait for the application")
        second = lab.sync(job, code=6)
        require(second.seconds < 5, "the second session should not wait: %.1f s" % second.seconds)
        require(second.told("a", "b"), "the message names the pair: %s" % second)
        holder.execute("ROLLBACK")
        holder.close()
        first.communicate(timeout=60)
        require_equal(first.returncode, 0, "the first session")
        lab.sync("ab")
    lab.require_settled()


@test
def test_many_sessions_at_once_are_done_or_told_to_wait(lab):
    nodes = [lab.node(n, SHOP, wal=n != "s2") for n in ("hub", "s1", "s2", "s3")]
    for node in nodes[1:]:
        lab.job("to_" + node.name, [nodes[0], node])
    lab.activate()
    ledger = Ledger()
    codes = {}
    with Writers(lab, nodes, ledger):
        for _ in range(20 if lab.long else 6):
            for code, out, err in run_together(lab, [("sync", "to_s%d" % (i % 3 + 1)) for i in range(6)]):
                require(code in (0, 3, 6), "exit %d: %s%s" % (code, out, err))
                codes[code] = codes.get(code, 0) + 1
    for _ in range(4):
        lab.sync(code=(0, 3))
    lab.require_settled()
    lab.note("exit codes %s; %s" % (codes, dict(lab.require_ledger(ledger, nodes[0]))))


@test
def test_sessions_of_different_pairs_do_not_exclude_each_other(lab):
    nodes = [lab.node(n, T, wal=True) for n in ("hub", "s1", "s2")]
    lab.job("one", ["hub", "s1"])
    lab.job("two", ["hub", "s2"])
    lab.activate()
    lab.sync()
    nodes[0].sql("INSERT INTO t(v) VALUES ('x')")
    lab.sync("one")
    nodes[1].sql("INSERT INTO t(v) VALUES ('y')")
    holder = connect(nodes[1].path)
    holder.execute("BEGIN IMMEDIATE")
    waiting = lab.start("sync", "one")
    time.sleep(0.2)
    lab.sync("two")               # while the session of the other pair waits for s1
    require(waiting.poll() is None, "the first session should still wait")
    holder.execute("ROLLBACK")
    holder.close()
    waiting.communicate(timeout=60)
    require_equal(waiting.returncode, 0, "the session that waited")
    lab.sync()
    lab.sync()
    lab.require_settled()


def writers_and_sessions(lab, wal_of, seconds, per_node=2, schema=SHOP):
    relations = schema is not SHOP_WITH_FOREIGN_KEYS
    nodes = [lab.node(n, schema, wal=w) for n, w in wal_of.items()]
    for i in range(1, len(nodes)):
        lab.job("j%d" % i, [nodes[0], nodes[i]])
    lab.activate()
    ledger, sessions, end = Ledger(), 0, time.monotonic() + seconds
    with Writers(lab, nodes, ledger, per_node=per_node, pause_s=0.003) as writers:
        while time.monotonic() < end:
            lab.sync(code=(0, 3))
            sessions += 1
            if sessions % 5 == 0:
                for node in nodes:
                    require_equal(health(node.path, relations), [], "health of %s while all write" % node.name)
    for _ in range(len(nodes) + 1):
        lab.sync(code=(0, 3))
    lab.require_settled(relations=relations)
    counts = lab.require_ledger(ledger, nodes[0])
    lab.note("%d sessions, %d writes, longest wait of a writer %.0f ms, %s" % (
        sessions, len(ledger.written), writers.longest_wait_s * 1000, dict(counts)))


@test
def test_writers_and_sessions_wal(lab):
    writers_and_sessions(lab, {"a": True, "b": True}, 60 if lab.long else 8)


@test
def test_writers_and_sessions_rollback_journal(lab):
    writers_and_sessions(lab, {"a": False, "b": False}, 60 if lab.long else 8)


@test
def test_writers_and_sessions_star_of_both_kinds(lab):
    writers_and_sessions(lab, {"hub": True, "s1": False, "s2": True, "s3": False}, 60 if lab.long else 10, 1)


@test
def test_writers_and_sessions_with_foreign_keys(lab):
    writers_and_sessions(lab, {"a": True, "b": False}, 60 if lab.long else 6, 1, SHOP_WITH_FOREIGN_KEYS)


@test
def test_readers_never_see_half_a_session(lab):
    """Money moves between accounts over two tables; the total is the same for everybody at every moment."""
    schema = "CREATE TABLE giver(id INTEGER PRIMARY KEY, money INTEGER); CREATE TABLE taker(id INTEGER PRIMARY KEY, money INTEGER);"
    for mode in ("two-way", "backup"):
        for wal in (True, False):
            lab.reset()
            a, b = lab.node("a", schema, wal), lab.node("b", schema, wal)
            a.sql("WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 199) INSERT INTO giver SELECT "
                  "i, 1000 FROM n; INSERT INTO taker SELECT id, 0 FROM giver;")
            lab.job("ab", [a, b], mode=mode)
            lab.activate()
            lab.sync()
            stop, wrong, looks = threading.Event(), [], [0, 0]

            def read(node, position, stop=stop, wrong=wrong, looks=looks):
                connection = connect(node.path)
                while not stop.is_set():
                    total = connection.execute("SELECT (SELECT sum(money) FROM giver) + (SELECT sum(money) FROM taker)")
                    total = total.fetchone()[0]
                    looks[position] += 1
                    if total != 200000:
                        wrong.append((node.name, total))
                connection.close()

            def write(stop=stop, rng=lab.rng):
                connection = connect(a.path)
                while not stop.is_set():
                    connection.execute("BEGIN IMMEDIATE")
                    for _ in range(20):
                        amount = rng.randrange(1, 9)
                        connection.execute("UPDATE giver SET money = money - ? WHERE id = ?", (amount, rng.randrange(200)))
                        connection.execute("UPDATE taker SET money = money + ? WHERE id = ?", (amount, rng.randrange(200)))
                    connection.execute("COMMIT")
                    time.sleep(0.002)
                connection.close()

            threads = [threading.Thread(target=read, args=(b, 0)), threading.Thread(target=write)]
            for thread in threads:
                thread.start()
            try:
                for _ in range(60 if lab.long else 12):
                    lab.sync()
            finally:
                stop.set()
                for thread in threads:
                    thread.join()
            require(not wrong, "a reader saw half a session: %s" % wrong[:3])
            require(looks[0] > 10, "the reader hardly read")
            lab.sync()
            lab.require_settled()


@test
def test_a_session_that_cannot_get_the_lock_says_so_and_leaves_everything(lab):
    a, b = lab.node("a", T, wal=True), lab.node("b", T)
    lab.settings["lock_timeout"] = "300ms"
    lab.job("ab", [a, b])
    lab.activate()
    lab.sync()
    for holder_node in (a, b):
        a.sql("INSERT INTO t(v) VALUES ('x')")
        holder = connect(holder_node.path)
        holder.execute("BEGIN EXCLUSIVE" if holder_node is b else "BEGIN IMMEDIATE")
        images = [a.image()] + ([] if holder_node is b else [b.image()])
        result = lab.sync(code=(1, 3, 6))
        require(result.seconds < 8, "lock_timeout is 300 ms, the session took %.1f s" % result.seconds)
        result.require_told(holder_node.name)
        holder.execute("ROLLBACK")
        holder.close()
        require_equal(compare_images(images[0], a.image()), [], "a after a session that got no lock")
        lab.sync()
    lab.require_settled()


@test
def test_a_reader_that_stays_keeps_only_the_commit_waiting(lab):
    """Rollback-journal mode: a long read transaction of an application stands in the way of every commit."""
    lab.settings["lock_timeout"] = "400ms"
    a, b = lab.node("a", T), lab.node("b", T)
    lab.job("ab", [a, b])
    lab.activate()
    lab.sync()
    for node in (a, b):
        a.sql("INSERT INTO t(v) VALUES ('x')")
        b.sql("INSERT INTO t(id, v) VALUES (abs(random()) + 1000000, 'y')")
        images = [a.image(), b.image()]
        reader = connect(node.path)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM t").fetchone()
        result = lab.sync(code=(1, 3, 6))
        require(result.seconds < 10, "lock_timeout is 400 ms, the session took %.1f s" % result.seconds)
        result.require_told(node.name)
        require_equal(compare_images(images[1 if node is b else 0], node.image()), [], "the node that was read")
        reader.execute("ROLLBACK")
        reader.close()
        lab.sync()
        lab.require_settled()


@test
def test_verify_and_other_commands_beside_writers(lab):
    a, b = lab.node("a", SHOP, wal=True), lab.node("b", SHOP)
    lab.job("ab", [a, b])
    lab.activate()
    ledger = Ledger()
    with Writers(lab, [a, b], ledger):
        for _ in range(20 if lab.long else 6):
            lab.sync(code=(0, 3))
            for command in (["status"], ["check"], ["sessions"], ["conflicts"], ["sync", "--dry-run"]):
                lab.run(*command, code=(0, 3))
            lab.verify()          # what has not travelled yet is pending and no difference
    lab.sync(code=(0, 3))
    lab.sync(code=(0, 3))
    lab.require_settled()
    lab.require_ledger(ledger, a)


@test
def test_a_session_moves_what_was_committed_before_it(lab):
    """Whatever an application committed before a session began is on the other side when the session has ended."""
    a, b = lab.node("a", T), lab.node("b", T, wal=True)
    lab.job("ab", [a, b])
    lab.activate()
    stop, committed = threading.Event(), [0]

    def write():
        connection = connect(a.path)
        while not stop.is_set():
            connection.execute("INSERT INTO t(v) VALUES ('x')")
            committed[0] += 1
            time.sleep(0.001)
        connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(60 if lab.long else 20):
            before = committed[0]
            result = lab.sync()
            seen = b.value("SELECT count(*) FROM t")
            require(seen >= before, "%d rows were committed before the session, %d arrived\n%s" % (before, seen, result))
    finally:
        stop.set()
        thread.join()
    lab.sync()
    lab.require_settled()
    require(moved(lab.sync()) == 0, "nothing is left to move")


if __name__ == "__main__":
    sys.exit(main(__doc__))
