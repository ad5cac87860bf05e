#!/usr/bin/env python3
"""Rows of the target that a transaction of an application holds, for hours or prepared for days: their changes wait for it, and
nobody else's. Whatever that transaction does in the end, the later change wins, and both sides are equal."""
import random
import sys
import threading
import time

from daemon_support import Daemon, wait_for
from postgresql_support import PgNode, pg_pair, require, require_equal, require_same, run, without_and_with_the_grant
from support import test

ITEM = "CREATE TABLE item(id integer PRIMARY KEY, code text UNIQUE, v text);"
FAMILY = """CREATE TABLE parent(id integer PRIMARY KEY, v text);
            CREATE TABLE child(id integer PRIMARY KEY, parent_id integer NOT NULL REFERENCES parent, v text);"""


def fill(lab, a, rows):
    a.sql("INSERT INTO item SELECT n, 'c' || n, 'old' FROM generate_series(1, %d) n" % rows)
    lab.sync()


def holder_of(node, *statements):
    session = node.session()
    session.run("BEGIN")
    for statement in statements:
        session.run(statement)
    return session


def end(session, how):
    session.run(how)
    session.close()


def locked(result):
    return sum(pull["locked"] for event in result.documents if "pulls" in event for pull in event["pulls"])


def settle(lab, *nodes):
    for _ in range(2):
        lab.sync(code=(0, 3))
    lab.sync()
    require_same("item", *nodes)


@test
def test_a_locked_row_holds_up_no_other(lab):
    lab.settings["lock_timeout"] = "1s"
    for server, granted in without_and_with_the_grant():
        for ending in ("ROLLBACK", "COMMIT"):
            what = "%s, granted %s: " % (ending, granted)
            a, b = (PgNode(lab, name, ITEM, server=server) for name in "ab")
            lab.job("ab", [a, b], max_deletes="100%")
            lab.activate()
            fill(lab, a, 100)
            holder = holder_of(b, "UPDATE item SET v = 'theirs' WHERE id = 7", "SELECT FROM item WHERE id = 8 FOR UPDATE",
                               "DELETE FROM item WHERE id = 9")
            a.sql("UPDATE item SET v = 'new'; DELETE FROM item WHERE id IN (8, 50); INSERT INTO item VALUES (101, 'c101', 'new')")
            result = lab.sync(code=3)
            require_equal(locked(result), 3, what + "changes that wait")
            result.require_told("3 changes wait for another transaction")
            require_equal(b.rows("SELECT id, v FROM item WHERE v <> 'new' ORDER BY id"), [("7", "old"), ("8", "old"), ("9", "old")],
                          what + "rows that are not there yet")
            require_equal(b.value("SELECT count(*) FROM item"), "100", what + "rows")
            waiting = lab.run("quarantine", code=(0, 3)).last["rows"]
            require_equal(sorted((row["key"]["id"]["value"], row["deleted"]) for row in waiting),
                          [("7", False), ("8", True), ("9", False)], what + "what waits")
            lab.run("quarantine", "show", next(row["id"] for row in waiting if row["deleted"]), as_json=False).require_told("(deleted)", "lock")
            # Other changes keep coming, to rows that came before, too.
            a.sql("UPDATE item SET v = 'newer' WHERE id IN (20, 101); INSERT INTO item VALUES (102, 'c102', 'new')")
            b.sql("UPDATE item SET v = 'back' WHERE id = 30")
            lab.sync(code=3)
            require_equal(b.rows("SELECT id, v FROM item WHERE id IN (20, 101, 102) ORDER BY id"),
                          [("20", "newer"), ("101", "newer"), ("102", "new")], what + "what came meanwhile")
            require_equal(a.value("SELECT v FROM item WHERE id = 30"), "back", what + "what went meanwhile")
            end(holder, ending)
            settle(lab, a, b)
            # What the other transaction did was done before, and lost.
            require_equal(b.rows("SELECT id, v FROM item WHERE id BETWEEN 7 AND 9"), [("7", "new"), ("9", "new")], what + "who won")
            logged = [c for c in lab.conflicts() if c["key"]["id"]["value"] in ("7", "9")]
            require_equal(len(logged), 2 if ending == "COMMIT" else 0, what + "conflicts")
            require_equal([c for c in lab.conflicts() if c not in logged], [], what + "other conflicts")


@test
def test_the_later_change_wins_whoever_was_waited_for(lab):
    lab.settings["lock_timeout"] = "1s"
    a, b = pg_pair(lab, ITEM, max_deletes="100%")
    fill(lab, a, 10)
    holder = holder_of(b, "SELECT FROM item WHERE id = 1 FOR UPDATE")
    a.sql("UPDATE item SET v = 'first' WHERE id = 1")
    lab.sync(code=3)
    holder.run("UPDATE item SET v = 'second' WHERE id = 1")
    end(holder, "COMMIT")
    settle(lab, a, b)
    require_equal(b.value("SELECT v FROM item WHERE id = 1"), "second", "the later change")
    require_equal(len(lab.conflicts()), 1, "conflicts")


@test
def test_a_prepared_transaction_waits_for_days(lab):
    """Over restarts of the server, without a connection."""
    lab.settings["lock_timeout"] = "1s"
    a, b = pg_pair(lab, ITEM, max_deletes="100%")
    fill(lab, a, 10)
    name = "held_" + b.database
    b.sql("BEGIN; UPDATE item SET v = 'prepared' WHERE id IN (1, 2); PREPARE TRANSACTION '%s'" % name)
    for round_ in range(3):
        a.sql("UPDATE item SET v = 'round %d'" % round_)
        require_equal(locked(lab.sync(code=3)), 2, "changes that wait")
        require_equal(b.value("SELECT count(*) FROM item WHERE v = 'round %d'" % round_), "8", "rows that came")
    b.sql("COMMIT PREPARED '%s'" % name)
    settle(lab, a, b)
    require_equal(a.value("SELECT count(*) FROM item WHERE v = 'round 2'"), "10", "the later change")


@test
def test_rows_that_are_about_to_be_inserted_are_found_by_running_into_them(lab):
    """Nobody sees them: a key, and a unique value."""
    lab.settings["lock_timeout"] = "1s"
    for ending in ("ROLLBACK", "COMMIT"):
        a, b = pg_pair(lab, ITEM, max_deletes="100%")
        fill(lab, a, 1000)
        holder = holder_of(b, "INSERT INTO item VALUES (2000, 'taken', 'theirs'), (1500, 'c1500', 'theirs')")
        a.sql("UPDATE item SET v = 'new'; INSERT INTO item SELECT n, 'c' || n, 'new' FROM generate_series(1001, 1600) n")
        a.sql("UPDATE item SET code = 'taken' WHERE id = 5")
        began = time.monotonic()
        require_equal(locked(lab.sync(code=3)), 2, "changes that wait")
        lab.note("found by running into them in %.1f s" % (time.monotonic() - began))
        require_equal(b.value("SELECT count(*) FROM item WHERE v = 'new'"), str(1600 - 2), "rows that came")
        end(holder, ending)
        settle(lab, a, b)
        require_equal(b.value("SELECT v FROM item WHERE id = 5"), "new", "who got the value")
        require_equal(b.value("SELECT count(*) FROM item"), "1600", "rows")


@test
def test_who_refers_to_a_row_keeps_its_delete_waiting_but_no_update(lab):
    lab.settings["lock_timeout"] = "1s"
    for server, granted in without_and_with_the_grant():
        a, b = (PgNode(lab, name, FAMILY, server=server) for name in "ab")
        lab.job("ab", [a, b], max_deletes="100%")
        lab.activate()
        a.sql("INSERT INTO parent SELECT n, 'old' FROM generate_series(1, 20) n; INSERT INTO child VALUES (1, 1, 'old')")
        lab.sync()
        holder = holder_of(b, "INSERT INTO child VALUES (100, 2, 'theirs'), (101, 3, 'theirs')")
        a.sql("UPDATE parent SET v = 'new'; DELETE FROM parent WHERE id IN (3, 4)")
        require_equal(locked(lab.sync(code=3)), 1, "changes that wait, granted %s" % granted)
        require_equal(b.rows("SELECT id FROM parent WHERE v = 'old' OR id = 4"), [("3",)], "the parent that waits, granted %s" % granted)
        end(holder, "COMMIT")
        for _ in range(3):
            lab.sync(code=(0, 3))
        lab.sync()
        for table in ("parent", "child"):
            require_same(table, a, b)
        require_equal(a.value("SELECT count(*) FROM child LEFT JOIN parent ON parent.id = parent_id WHERE parent.id IS NULL"), "0",
                      "children without a parent, granted %s" % granted)


@test
def test_nobody_loses_for_the_sake_of_a_change_that_waits(lab):
    """The value is free once the change that waits is done: who holds it must not go for who claims it."""
    lab.settings["lock_timeout"] = "1s"
    a, b = pg_pair(lab, ITEM, max_deletes="100%")
    fill(lab, a, 10)
    a.sql("UPDATE item SET code = 'free' WHERE id = 1; UPDATE item SET code = 'c1' WHERE id = 2")
    before = b.dump("item")
    holder = holder_of(b, "SELECT FROM item WHERE id = 1 FOR UPDATE")
    lab.sync(code=6).require_told("lock")
    require_equal(b.dump("item"), before, "rows of b")
    end(holder, "ROLLBACK")
    settle(lab, a, b)
    require_equal(lab.conflicts(), [], "conflicts")
    require_equal(b.rows("SELECT id, code FROM item WHERE id < 3 ORDER BY id"), [("1", "free"), ("2", "c1")], "rows of b")


@test
def test_many_rows_of_one_transaction(lab):
    lab.settings["lock_timeout"] = "1s"
    a, b = pg_pair(lab, ITEM, max_deletes="100%")
    fill(lab, a, 20000)
    holder = holder_of(b, "UPDATE item SET v = 'theirs' WHERE id % 2 = 0")
    a.sql("UPDATE item SET v = 'new'")
    began = time.monotonic()
    require_equal(locked(lab.sync(code=3)), 10000, "changes that wait")
    lab.note("passed over 10,000 of 20,000 rows in %.1f s" % (time.monotonic() - began))
    end(holder, "COMMIT")
    settle(lab, a, b)
    require_equal(b.value("SELECT count(*) FROM item WHERE v = 'new'"), "20000", "rows")


@test
def test_a_full_compare_waits_for_none_of_the_rows(lab):
    """Each was waited for as long as for the first, and fifty were the most."""
    lab.settings["lock_timeout"] = "1s"
    a, b = (PgNode(lab, name, ITEM) for name in "ab")
    lab.job("ab", [a, b], max_deletes="100%")
    for node in (a, b):
        node.sql("INSERT INTO item SELECT n, 'c' || n, 'old' FROM generate_series(1, 200) n")
    lab.activate()
    a.sql("UPDATE item SET v = 'new' WHERE id <= 100")
    b.sql("UPDATE item SET v = 'new' WHERE id > 100")
    # Either may be the one that gives up its baseline.
    holders = [holder_of(node, "SELECT FROM item WHERE id % 3 = 0 FOR UPDATE") for node in (a, b)]
    require_equal(locked(lab.sync(code=3)), 66, "changes that wait")
    for node in (a, b):
        require_equal(node.value("SELECT count(*) FROM item WHERE v = 'new'"), "167", "rows that came to " + node.name)
    for holder in holders:
        end(holder, "ROLLBACK")
    settle(lab, a, b)
    require_equal(b.value("SELECT count(*) FROM item WHERE v = 'new'"), "200", "rows")


@test
def test_what_waits_does_not_wait_for_who_only_refers_to_the_row(lab):
    """A row to which somebody always refers anew would never have come."""
    lab.settings["lock_timeout"] = "1s"
    a, b = pg_pair(lab, FAMILY, max_deletes="100%")
    a.sql("INSERT INTO parent SELECT n, 'old' FROM generate_series(1, 20) n")
    lab.sync()
    holder = holder_of(b, "SELECT FROM parent WHERE id = 1 FOR UPDATE")
    a.sql("UPDATE parent SET v = 'new'")
    require_equal(locked(lab.sync(code=3)), 1, "changes that wait")
    end(holder, "ROLLBACK")
    holder = holder_of(b, "INSERT INTO child VALUES (100, 1, 'theirs')")
    lab.sync()
    require_equal(b.value("SELECT count(*) FROM parent WHERE v = 'new'"), "20", "parents that came")
    end(holder, "ROLLBACK")


@test
def test_writers_who_never_pause_beside_one_who_does_not_end(lab):
    """The one keeps sessions from locking the table against the others, with whom every try collided."""
    lab.settings["lock_timeout"] = "1s"
    a, b = pg_pair(lab, ITEM, max_deletes="100%")
    fill(lab, a, 300)
    holder = holder_of(b, "UPDATE item SET v = 'held' WHERE id <= 3")
    stop = threading.Event()

    def write(number):
        rng, session = random.Random(number), b.session()
        while not stop.is_set():
            session.run("UPDATE item SET v = 'w%d' WHERE id = %d" % (rng.randrange(10**6), rng.randint(4, 200)))
        session.close()
    writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for writer in writers:
        writer.start()
    try:
        for round_ in range(3):
            a.sql("UPDATE item SET v = 'round %d'; INSERT INTO item VALUES (%d, 'n%d', 'new')" % (round_, 1000 + round_, round_))
            require(locked(lab.sync(code=3)) >= 3, "changes that wait")
            require_equal(b.value("SELECT count(*) FROM item WHERE id > 200 AND v = 'round %d' OR id = %d" % (round_, 1000 + round_)),
                          str(101 + round_), "rows of nobody's")
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    end(holder, "COMMIT")
    settle(lab, a, b)


@test
def test_a_backup_and_a_file_as_the_source(lab):
    lab.settings["lock_timeout"] = "1s"
    source = lab.node("shop", "CREATE TABLE item(id INTEGER PRIMARY KEY, code TEXT UNIQUE, v TEXT);")
    target = PgNode(lab, "mirror", ITEM)
    lab.job("backup", [source, target], mode="backup", max_deletes="100%")
    lab.activate()
    source.sql("WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 100) "
               "INSERT INTO item SELECT n, 'c' || n, 'old' FROM n")
    lab.sync()
    holder = holder_of(target, "UPDATE item SET v = 'theirs' WHERE id = 7", "DELETE FROM item WHERE id = 8")
    source.sql("UPDATE item SET v = 'new'; DELETE FROM item WHERE id = 50")
    require_equal(locked(lab.sync(code=3)), 2, "changes that wait")
    require_equal(target.value("SELECT count(*) FROM item WHERE v = 'new'"), "97", "rows that came")
    end(holder, "COMMIT")
    for _ in range(2):
        lab.sync()
    require_equal(target.value("SELECT count(*) FROM item WHERE v = 'new'"), "99", "rows of the mirror")
    # What it changed by itself is set back also where the row was held when that was looked for.
    target.sql("UPDATE item SET v = 'mine' WHERE id IN (1, 2)")
    holder = holder_of(target, "SELECT FROM item WHERE id = 1 FOR UPDATE")
    require_equal(locked(lab.sync(code=3)), 1, "rows that are not set back yet")
    end(holder, "ROLLBACK")
    lab.sync()
    require_equal(target.value("SELECT count(*) FROM item WHERE v = 'new'"), "99", "rows of the mirror in the end")


@test
def test_a_table_that_is_locked_is_waited_for_as_ever(lab):
    lab.settings["lock_timeout"] = "1s"
    a, b = pg_pair(lab, ITEM, max_deletes="100%")
    fill(lab, a, 10)
    a.sql("UPDATE item SET v = 'new'")
    before = b.dump("item")
    holder = holder_of(b, "LOCK TABLE item IN ACCESS EXCLUSIVE MODE")
    lab.sync(code=6).require_told("locked")
    end(holder, "ROLLBACK")
    require_equal(b.dump("item"), before, "rows of b")
    lab.sync()
    require_same("item", a, b)


@test
def test_a_daemon_goes_on_and_comes_back(lab):
    a, b = pg_pair(lab, ITEM, max_deletes="100%", schedule="continuous")
    fill(lab, a, 100)
    holder = holder_of(b, "SELECT FROM item WHERE id = 7 FOR UPDATE")
    with Daemon(lab):
        a.sql("UPDATE item SET v = 'new' WHERE id <= 10")
        wait_for(lambda: b.value("SELECT count(*) FROM item WHERE v = 'new'") == "9", "the others")
        a.sql("UPDATE item SET v = 'new' WHERE id = 20")
        wait_for(lambda: b.value("SELECT v FROM item WHERE id = 20") == "new", "a later change")
        time.sleep(3)
        sessions = int(b.value("SELECT count(*) FROM tidemark.session"))
        require(sessions < 20, "%d sessions for a row that does not come free" % sessions)
        # Nobody notices that: nothing was written.
        end(holder, "ROLLBACK")
        wait_for(lambda: b.value("SELECT v FROM item WHERE id = 7") == "new", "the row that waited")


if __name__ == "__main__":
    sys.exit(run(__doc__))
