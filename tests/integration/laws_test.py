#!/usr/bin/env python3
"""The laws that every session keeps, and what the command line promises: end to end with SQLite files, seen from
outside by the independent checker."""
import hashlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time

from support import (SHOP, SHOP_WITH_FOREIGN_KEYS, Application, Ledger, compare_images, connect, final_tokens, health, listing, main, moved,
                     require, require_equal, row_of, shared_data, test)

T = "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);"
ABC = "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c');"


def started_ring(lab):
    """Three nodes that hold the same three rows, every two of them with a job."""
    nodes = [lab.node(n, T) for n in "abc"]
    nodes[0].sql(ABC)
    for x, y in ("ab", "bc", "ca"):
        lab.job(x + y, [x, y])
    lab.activate()
    lab.sync()
    lab.sync()
    return nodes


def started(lab, schema=T, rows=ABC, names="ab", wal=False, **job):
    nodes = [lab.node(n, schema, wal) for n in names]
    if rows:
        nodes[0].sql(rows)
    for i in range(1, len(nodes)):
        lab.job("j%d" % i, [nodes[0], nodes[i]], **job)
    lab.activate()
    lab.sync()
    lab.require_settled()
    return nodes


def apart():
    """Enough time that the later of two changes is later in milliseconds."""
    time.sleep(0.004)


def fingerprint(lab):
    """Every file of the laboratory but the configuration, byte for byte. An empty -wal is what SQLite leaves when a
    connection that may only read is the last to close a WAL database."""
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in lab.directory.iterdir()
            if p.suffix != ".toml" and not p.name.endswith("-shm") and (not p.name.endswith("-wal") or p.stat().st_size)}


def user_rows(node):
    return node.rows("SELECT * FROM t ORDER BY id")


# sessions -----------------------------------------------------------------------------------------------------------


@test
def test_a_session_without_changes_writes_nothing(lab):
    for wal in (False, True):
        lab.reset()
        a, b = started(lab, SHOP, "", wal=wal)
        a.sql("INSERT INTO customer VALUES (1, 'm', 'x'); INSERT INTO line VALUES (1, 1, 'y');")
        b.sql("INSERT INTO plain VALUES (1, 'x'), ('1', 'y')")
        require_equal(moved(lab.sync()), 4, "rows moved by the first session")
        watchers = [connect(n.path) for n in (a, b)]
        versions = [w.execute("PRAGMA data_version").fetchone() for w in watchers]
        files = {n.name: n.path.read_bytes() for n in (a, b)}
        for _ in range(3):
            require_equal(moved(lab.sync()), 0, "rows moved by a session without changes")
        for i, node in enumerate((a, b)):
            now = watchers[i].execute("PRAGMA data_version").fetchone()
            require(now == versions[i] and (wal or node.path.read_bytes() == files[node.name]),
                    "a session without changes wrote to %s" % node.name)
            watchers[i].close()


@test
def test_deactivate_leaves_the_schema_byte_for_byte(lab):
    schema = SHOP + """CREATE TABLE auto(id INTEGER PRIMARY KEY AUTOINCREMENT, v); CREATE INDEX i ON auto(v);
      CREATE VIEW view AS SELECT * FROM auto; CREATE TRIGGER own AFTER INSERT ON auto BEGIN SELECT 1; END;
      CREATE VIRTUAL TABLE fts USING fts5(x); PRAGMA user_version = 7; PRAGMA application_id = 99;
      CREATE TABLE "we ird""[`table]"("a b" TEXT PRIMARY KEY, "select" INTEGER UNIQUE);"""
    for wal in (False, True):
        lab.reset()
        a, b = lab.node("a", schema, wal), lab.node("b", schema, wal)
        lab.job("ab", [a, b])
        before = [n.schema() for n in (a, b)]
        files = listing(lab.directory)
        lab.activate()
        require(a.schema() != before[0], "activation installs triggers")
        lab.sync()
        a.sql("INSERT INTO auto(v) VALUES (1); INSERT INTO customer VALUES (1, 'x', 'y')")
        lab.sync()
        images = [n.image() for n in (a, b)]
        lab.run("deactivate", "a", "b")
        require_equal([n.schema() for n in (a, b)], before, ".schema after deactivate")
        require_equal([compare_images(i, n.image()) for i, n in zip(images, (a, b))], [[], []], "data")
        require_equal([n for n in listing(lab.directory) if n != "tidemark.toml"],
                      [n for n in files if n != "tidemark.toml"], "files after deactivate")
        require_equal((a.value("PRAGMA user_version"), a.value("PRAGMA application_id")), (7, 99), "pragmas")
        require_equal(health(a.path), [], "health")
        names = {r[0] for r in a.rows("SELECT name FROM sqlite_schema")}
        require(not any("tidemark" in n for n in names), "left behind: %s" % names)
        lab.run("deactivate", "a")          # nothing to do is no error
        lab.sync(code=8)
        lab.activate()
        lab.sync()
        lab.require_settled()


@test
def test_deactivate_leaves_no_sqlite_sequence_behind(lab):
    a, b = started(lab)
    require_equal(a.rows("SELECT name FROM sqlite_schema WHERE name LIKE 'sqlite_sequence'"), [], "sqlite_sequence")
    lab.run("deactivate", "a", "b")
    require_equal([r[0] for r in a.rows("SELECT name FROM sqlite_schema")], ["t"], "objects")


@test
def test_any_identifier_works(lab):
    names = ["select", "a b", 'quo"te', "brack]et", "back`tick", "semi;colon", "new\nline", "it's", "ünï", "%s{{id}}",
             "x--", "/*c*/", "tab\tbed", "1st", "ROWID", "new", "old", "excluded"]
    quote = lambda n: '"' + n.replace('"', '""') + '"'
    schema = "".join("CREATE TABLE %s(%s INTEGER PRIMARY KEY, %s, %s UNIQUE);" % (
        quote(n), quote("key " + n), quote(n), quote("u" + n)) for n in names)
    schema += "CREATE TABLE odd(%s, PRIMARY KEY(%s));" % (
        ", ".join(quote(n) for n in names), ", ".join(quote(n) for n in names[:6]))
    schema += "CREATE TABLE same(stamp TEXT, changed_at INTEGER, origin, sequence, flags, key, op, id, deleted," \
              " PRIMARY KEY(stamp, origin, sequence, op));"
    a, b = started(lab, schema, "")
    for n in names:
        a.sql("INSERT INTO %s VALUES (1, 'x', 1), (2, 'y', 2); UPDATE %s SET %s = 'z'; REPLACE INTO %s VALUES (3, 'r', 1);"
              "DELETE FROM %s WHERE %s = 2" % (quote(n), quote(n), quote(n), quote(n), quote(n), quote("key " + n)))
    a.sql("INSERT INTO odd VALUES (%s); INSERT INTO same VALUES (1, 2, 3, 4, 5, 6, 7, 8, 9), ('x', 2, 3, 4, 5, 6, 7, 8, 9);"
          "UPDATE same SET op = 70" % ", ".join(str(i) for i in range(len(names))))
    lab.sync()
    lab.require_settled()
    a.sql("UPDATE odd SET %s = 'a'" % quote("old"))
    apart()
    b.sql("UPDATE odd SET %s = 'b'" % quote("old"))
    lab.sync()
    loser = row_of(lab.conflicts()[0]["loser"])
    require_equal(loser["old"], ("text", b"a"), "a loser's value")
    lab.run("conflicts", "reinstate", lab.conflicts()[0]["id"])
    lab.sync()
    require_equal(b.value("SELECT %s FROM odd" % quote("old")), "a", "the reinstated value")
    lab.run("deactivate", "a", "b")
    require(not [r for r in a.rows("SELECT name FROM sqlite_schema") if r[0].startswith("tidemark")], "left behind")


@test
def test_columns_and_tables_in_another_order_or_case(lab):
    a = lab.node("a", "CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT, y TEXT);")
    b = lab.node("b", "CREATE TABLE t(y TEXT, id INTEGER PRIMARY KEY, x TEXT);")
    lab.job("ab", [a, b])
    a.sql("INSERT INTO t VALUES (1, 'x1', 'y1')")
    b.sql("INSERT INTO t(id, x, y) VALUES (2, 'x2', 'y2'), (3, 'x3', 'y3')")
    lab.activate()
    lab.sync()
    lab.require_settled()
    a.sql("UPDATE t SET x = 'X3' WHERE id = 3")
    apart()
    b.sql("UPDATE t SET y = 'Y1' WHERE id = 1; UPDATE t SET y = 'loses not' WHERE id = 3")
    lab.sync()
    lab.require_settled()
    require_equal(a.rows("SELECT x, y FROM t ORDER BY id"), [("x1", "Y1"), ("x2", "y2"), ("x3", "loses not")], "rows")
    lab.run("conflicts", "reinstate", lab.conflicts()[0]["id"])
    lab.sync()
    lab.require_settled()
    require_equal(b.rows("SELECT x, y FROM t WHERE id = 3"), [("X3", "y3")], "reinstated under another column order")


@test
def test_names_that_differ_in_case_only(lab):
    """For SQLite they are the same names; whatever is done, it is the same on both nodes or said."""
    a = lab.node("a", "CREATE TABLE Users(Id INTEGER PRIMARY KEY, Name TEXT); CREATE TABLE t(id INTEGER PRIMARY KEY);")
    b = lab.node("b", "CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE t(id INTEGER PRIMARY KEY);")
    lab.job("ab", [a, b])
    a.sql("INSERT INTO users VALUES (1, 'x'); INSERT INTO t VALUES (1)")
    lab.activate()
    result = lab.sync(code=(0, 3, 8))
    require_equal(b.rows("SELECT * FROM t"), [(1,)], "another table")
    arrived = b.rows("SELECT * FROM users")
    require(arrived == [(1, "x")] or result.told("users"), "neither carried nor named: %s" % result)
    lab.note("carried" if arrived else "named")


@test
def test_large_values(lab):
    a, b = started(lab, "CREATE TABLE t(id INTEGER PRIMARY KEY, v); CREATE TABLE k(k TEXT PRIMARY KEY, v);", "")
    a.sql("INSERT INTO t VALUES (1, zeroblob(20000000)), (2, randomblob(5000000)), (3, hex(randomblob(2000000)));"
          "INSERT INTO k SELECT hex(randomblob(100000)), 'v';")
    lab.sync()
    lab.require_settled()
    a.sql("UPDATE t SET v = substr(v, 2) WHERE id = 2; UPDATE k SET v = 'a'")
    apart()
    b.sql("UPDATE t SET v = 'short' WHERE id = 2; UPDATE k SET v = 'b'")
    lab.sync()
    lab.require_settled()
    for conflict in lab.conflicts():
        lab.run("conflicts", "show", conflict["id"], as_json=False)
        lab.run("conflicts", "reinstate", conflict["id"])
    lab.sync()
    lab.require_settled()
    require_equal(b.value("SELECT length(v) FROM t WHERE id = 2"), 4999999, "a large value that came back from the log")


@test
def test_deletes_stay_deleted_around_a_ring(lab):
    nodes = [lab.node(n, T) for n in "abc"]
    nodes[0].sql(ABC)
    for x, y in ("ab", "bc", "ca"):
        lab.job(x + y, [x, y])
    lab.activate()
    for _ in range(2):
        lab.sync()
    lab.require_settled()
    nodes[1].sql("DELETE FROM t WHERE id = 2")
    nodes[2].sql("DELETE FROM t WHERE id = 3; INSERT INTO t VALUES (9, 'z'); DELETE FROM t WHERE id = 9;")
    for job in ("ab", "ca", "bc", "ab", "ca"):
        lab.sync(job)
    lab.sync()
    lab.require_settled()
    require_equal(user_rows(nodes[0]), [(1, "a")], "rows")
    require_equal(lab.conflicts(), [], "conflicts")
    nodes[0].sql("INSERT INTO t VALUES (2, 'again')")
    lab.sync()
    lab.sync()
    lab.require_settled()
    require_equal(user_rows(nodes[2]), [(1, "a"), (2, "again")], "rows")


@test
def test_nothing_echoes_in_a_star_and_any_order_ends_alike(lab):
    ends = []
    for order in range(3):
        lab.reset()
        nodes = [lab.node(n, T) for n in ("hub", "s1", "s2", "s3", "s4")]
        nodes[0].sql(ABC)
        lab.job("star", nodes)
        lab.activate()
        lab.sync()
        lab.require_settled(verify=False)
        for i, node in enumerate(nodes):
            node.sql("UPDATE t SET v = '%s' WHERE id = 1; INSERT INTO t VALUES (%d, 'own');" % (node.name, 10 + i))
            apart()
        jobs = [["hub", "s%d" % i] for i in range(1, 5)]
        lab.rng.shuffle(jobs)
        lab.jobs.clear()
        for i, job in enumerate(jobs):
            lab.job("j%d" % i, job)
        for _ in range(2):
            lab.sync()
        lab.require_settled()
        ends.append(user_rows(nodes[0]))
        losers = {row_of(c["loser"])["v"][1] for c in lab.conflicts() if c["type"] != "baseline_differs"}
        require_equal(losers, {b"hub", b"s1", b"s2", b"s3"}, "losers in the conflict log")
    require(ends[0] == ends[1] == ends[2], "the order of sessions changed the end: %s" % ends)


# backup ------------------------------------------------------------------------------------------------------------------


@test
def test_a_backup_never_changes_its_source(lab):
    a, b = started(lab, SHOP, "", mode="backup")
    ledger, application = Ledger(), Application(a.path, "app", lab.rng)
    for _ in range(6):
        for _ in range(10):
            entry = application.transaction()
            if entry["committed"]:
                ledger.acknowledge("app", entry["written"], entry["seen"])
        before = a.image()
        b.sql("INSERT OR REPLACE INTO customer VALUES (%d, 'b%d', 'written on the backup');"
              "UPDATE line SET what = 'written on the backup'; DELETE FROM tag; DELETE FROM orders WHERE id < 20;" % (
                  lab.rng.randrange(40), lab.rng.randrange(20)))
        lab.sync()
        require_equal(compare_images(before, a.image()), [], "the source after a backup")
        lab.require_settled()
    require_equal(ledger.judge(final_tokens(b.path), [])[1], [], "ledger")


@test
def test_a_backup_sets_the_target_back_and_logs_what_was_there(lab):
    a, b = started(lab, mode="backup")
    b.sql("UPDATE t SET v = 'edited' WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (7, 'extra');")
    apart()
    a.sql("UPDATE t SET v = 'new' WHERE id = 3")
    b.sql("UPDATE t SET v = 'later than the source' WHERE id = 3")
    lab.sync()
    require_equal(user_rows(b), [(1, "a"), (2, "b"), (3, "new")], "rows of the backup")
    require_equal(user_rows(a), user_rows(b), "rows of the source")
    conflicts = {c["loser"]["row"] and row_of(c["loser"])["id"][1] or "delete": c for c in lab.conflicts()}
    require_equal({c["type"] for c in lab.conflicts()}, {"target_changed"}, "conflict types")
    require_equal(sorted(map(str, conflicts)), ["1", "3", "7", "delete"], "conflicts")
    require_equal(row_of(conflicts[1]["loser"])["v"], ("text", b"edited"), "the edited row")
    require_equal(row_of(conflicts[3]["loser"])["v"], ("text", b"later than the source"), "the edited row")
    lab.require_settled()
    lab.sync()
    require_equal(len(lab.conflicts()), 4, "conflicts are not repeated")
    a.sql("UPDATE t SET v = 'A' WHERE id = 1; INSERT INTO t VALUES (7, 'mine'); DELETE FROM t WHERE id = 2")
    lab.sync()
    lab.require_settled()
    require_equal(len(lab.conflicts()), 4, "changes after the target was set back are no conflicts")


@test
def test_first_backup_onto_a_target_that_holds_other_data(lab):
    a, b = lab.node("a", T), lab.node("b", T)
    a.sql("INSERT INTO t VALUES (1, 'same'), (2, 'source'), (3, 'only source')")
    b.sql("INSERT INTO t VALUES (1, 'same'), (2, 'target'), (4, 'only target')")
    lab.job("ab", [a, b], mode="backup")
    lab.activate()
    lab.sync()
    lab.require_settled()
    require_equal(user_rows(b), user_rows(a), "rows")
    require_equal(user_rows(a), [(1, "same"), (2, "source"), (3, "only source")], "rows of the source")
    losers = sorted(row_of(c["loser"])["v"][1] for c in lab.conflicts())
    require_equal(losers, [b"only target", b"target"], "what the target had is in the log")


@test
def test_the_target_of_a_backup_keeps_its_edits_out_of_other_nodes(lab):
    a, b, c = (lab.node(n, T) for n in "abc")
    a.sql(ABC)
    lab.job("bk", [a, b], mode="backup")
    lab.job("two", [a, c])
    lab.activate()
    lab.sync()
    b.sql("UPDATE t SET v = 'on the backup' WHERE id = 1; INSERT INTO t VALUES (9, 'on the backup')")
    c.sql("UPDATE t SET v = 'from c' WHERE id = 2")
    lab.sync()
    lab.sync()
    lab.require_settled()
    require_equal(user_rows(c), [(1, "a"), (2, "from c"), (3, "c")], "rows")


# conflicts ------------------------------------------------------------------------------------------------------------


def conflict_types(lab):
    return sorted((c["type"], c["status"]) for c in lab.conflicts())


@test
def test_conflict_types_and_both_sides_of_each(lab):
    a, b = started(lab, rows="INSERT INTO t VALUES (1, 'base1'), (2, 'base2'), (3, 'base3'), (4, 'base4');")
    a.sql("UPDATE t SET v = 'A1' WHERE id = 1; DELETE FROM t WHERE id = 2; UPDATE t SET v = 'A3' WHERE id = 3;"
          "INSERT INTO t VALUES (5, 'A5'); DELETE FROM t WHERE id = 4; INSERT INTO t VALUES (6, 'same');")
    apart()
    b.sql("UPDATE t SET v = 'B1' WHERE id = 1; UPDATE t SET v = 'B2' WHERE id = 2; DELETE FROM t WHERE id = 3;"
          "INSERT INTO t VALUES (5, 'B5'); DELETE FROM t WHERE id = 4; INSERT INTO t VALUES (6, 'same');")
    lab.sync()
    lab.require_settled()
    require_equal(user_rows(a), [(1, "B1"), (2, "B2"), (5, "B5"), (6, "same")], "the later change wins")
    by_key = {c["winner"]["row"] and row_of(c["winner"])["id"][1] or row_of(c["loser"])["id"][1]: c
              for c in lab.conflicts()}
    require_equal(sorted(by_key), [1, 2, 3, 5], "keys in conflict (equal rows and two deletes are none)")
    require_equal((by_key[1]["type"], by_key[5]["type"]), ("update_differs", "insert_exists"), "types")
    require_equal({by_key[2]["type"], by_key[3]["type"]}, {"update_deleted", "delete_updated"}, "types")
    require_equal(row_of(by_key[1]["loser"]), {"id": ("integer", 1), "v": ("text", b"A1")}, "a loser")
    require_equal(row_of(by_key[1]["winner"]), {"id": ("integer", 1), "v": ("text", b"B1")}, "a winner")
    require_equal((by_key[1]["winner"]["node"], by_key[1]["loser"]["node"]), ("b", "a"), "nodes")
    require_equal(row_of(by_key[3]["winner"]), None, "a delete that won")
    require_equal(row_of(by_key[3]["loser"])["v"], ("text", b"A3"), "the row that lost to it")
    require_equal(row_of(by_key[2]["loser"]), None, "a delete that lost")
    shown = lab.run("conflicts", "show", by_key[1]["id"])
    require(shown.told("A1", "B1"), "`conflicts show` shows both sides: %s" % shown)
    text = lab.run("conflicts", "show", by_key[1]["id"], as_json=False)
    require("A1" in text.out and "B1" in text.out, "`conflicts show` shows both sides: %s" % text)


@test
def test_a_reinstated_loser_wins_on_every_node_of_a_ring(lab):
    nodes = started_ring(lab)
    nodes[0].sql("UPDATE t SET v = 'loses' WHERE id = 1; UPDATE t SET v = 'loses to a delete' WHERE id = 2;"
                 "DELETE FROM t WHERE id = 3")
    apart()
    nodes[2].sql("UPDATE t SET v = 'wins' WHERE id = 1; DELETE FROM t WHERE id = 2; UPDATE t SET v = 'won' WHERE id = 3")
    lab.sync()
    lab.sync()
    lab.require_settled()
    conflicts = lab.conflicts()
    require_equal(len({c["id"] for c in conflicts}), 3, "conflicts, each once although several nodes met it: %s" % [
        (c["id"], c["type"]) for c in conflicts])
    for conflict in conflicts:
        lab.run("conflicts", "reinstate", conflict["id"])
    lab.sync()
    lab.sync()
    lab.require_settled()
    for node in nodes:
        require_equal(user_rows(node), [(1, "loses"), (2, "loses to a delete")], "rows of " + node.name)
    require_equal({c["status"] for c in lab.conflicts()}, {"reinstated"}, "status")
    lab.run("conflicts", "reinstate", "0" * 32, code=2)
    lab.run("conflicts", "show", "no-such-id", code=2)


@test
def test_policies(lab):
    schema = "".join("CREATE TABLE %s(id INTEGER PRIMARY KEY, v TEXT);" % n
                     for n in ("t_latest", "t_earliest", "t_first", "t_manual"))
    a, b = lab.node("a", schema), lab.node("b", schema)
    lab.job("ab", [a, b], {"t_earliest": {"conflict": "earliest"}, "t_f*": {"conflict": "first_node"},
                           "t_manual": {"conflict": "manual"}}, conflict="latest")
    lab.activate()
    tables = ("t_latest", "t_earliest", "t_first", "t_manual")
    for t in tables:
        a.sql("INSERT INTO %s VALUES (1, 'base'), (2, 'base'), (3, 'base'), (4, 'base')" % t)
    lab.sync()
    for t in tables:
        a.sql("UPDATE %s SET v = 'a earlier' WHERE id = 1; DELETE FROM %s WHERE id = 3" % (t, t))
        b.sql("UPDATE %s SET v = 'b earlier' WHERE id = 2; DELETE FROM %s WHERE id = 4" % (t, t))
    apart()
    for t in tables:
        b.sql("UPDATE %s SET v = 'b later' WHERE id IN (1, 3)" % t)
        a.sql("UPDATE %s SET v = 'a later' WHERE id IN (2, 4)" % t)
    lab.sync()
    lab.sync()
    lab.require_settled()
    expected = {"t_latest": [(1, "b later"), (2, "a later"), (3, "b later"), (4, "a later")],
                "t_earliest": [(1, "a earlier"), (2, "b earlier")],
                "t_first": [(1, "a earlier"), (2, "a later"), (4, "a later")],
                "t_manual": [(1, "b later"), (2, "a later"), (3, "b later"), (4, "a later")]}
    for t in tables:
        require_equal(b.rows("SELECT id, v FROM %s ORDER BY id" % t), expected[t], t)
    status = {(c["table"], c["status"]) for c in lab.conflicts()}
    require_equal(status, {("t_latest", "resolved"), ("t_earliest", "resolved"), ("t_first", "resolved"),
                           ("t_manual", "open")}, "status")
    require_equal(len(lab.conflicts()), 16, "conflicts")
    lab.sync("--exit-code", code=4)
    opened = [c for c in lab.conflicts() if c["status"] == "open"]
    lab.run("conflicts", "dismiss", opened[0]["id"])
    for c in opened[1:]:
        lab.run("conflicts", "reinstate", c["id"])
    lab.sync("--exit-code")
    lab.require_settled()
    require_equal({c["status"] for c in lab.conflicts() if c["table"] == "t_manual"}, {"dismissed", "reinstated"}, "status")


@test
def test_policies_agree_on_three_nodes(lab):
    """Two jobs with different policies over the same table still end alike everywhere."""
    nodes = [lab.node(n, T) for n in "abc"]
    lab.job("ab", ["a", "b"], conflict="earliest")
    lab.job("bc", ["b", "c"], conflict="first_node")
    lab.job("ca", ["c", "a"], conflict="latest")
    lab.activate()
    ledger = Ledger()
    applications = [connect(n.path) for n in nodes]
    lab.sync()
    for i in range(40):
        for j, connection in enumerate(applications):
            token = "w1:%s:%d" % ("abc"[j], i)
            key = lab.rng.randrange(4)
            seen = [v for (v,) in connection.execute("SELECT v FROM t WHERE id = ?", (key,))]
            connection.execute("REPLACE INTO t VALUES (?, ?)", (key, token))
            ledger.acknowledge("abc"[j], [token], seen)
        if i % 4 == 0:
            lab.sync(lab.rng.choice(["ab", "bc", "ca"]))
    for connection in applications:
        connection.close()
    for _ in range(4):
        lab.sync()
    lab.require_settled()
    lab.require_ledger(ledger, nodes[0], may_return=True)


@test
def test_reinstating_what_cannot_stand_says_why(lab):
    """The loser's unique value is taken, so it cannot simply come back; nothing else may be lost in trying."""
    a, b = started(lab, "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT UNIQUE);")
    a.sql("INSERT INTO t VALUES (10, 'same')")
    apart()
    b.sql("INSERT INTO t VALUES (20, 'same')")
    lab.sync()
    conflict = lab.conflicts()[0]
    require_equal(conflict["type"], "unique_exists", "type")
    result = lab.run("conflicts", "reinstate", conflict["id"], code=None)
    lab.sync()
    lab.require_settled()
    rows = user_rows(a)
    if result.code == 0:
        require((10, "same") in rows, "a reinstated row is a row: %s" % rows)
        require((20, "same") in rows or "20" in str(lab.conflicts()), "who had the value instead is not lost")
    else:
        require("hint" in result.out and (20, "same") in rows, "a refused reinstate changes nothing: %s" % result)
        b.sql("UPDATE t SET v = 'another' WHERE id = 20")
        lab.sync()
        lab.run("conflicts", "reinstate", conflict["id"])
        lab.sync()
        lab.require_settled()
        require_equal(user_rows(b)[-2:], [(10, "same"), (20, "another")], "rows once the value is free")


@test
def test_reinstating_the_losers_of_first_sessions_and_backups(lab):
    a, b = lab.node("a", T), lab.node("b", T)
    a.sql("INSERT INTO t VALUES (1, 'a'), (2, 'same')")
    b.sql("INSERT INTO t VALUES (1, 'b'), (2, 'same')")
    lab.job("ab", [a, b])
    lab.activate()
    lab.sync()
    lab.run("conflicts", "reinstate", lab.conflicts()[0]["id"][:8])
    lab.sync()
    lab.require_settled()
    require_equal(user_rows(a), [(1, "b"), (2, "same")], "rows after reinstating")
    lab.run("deactivate", "a", "b")
    lab.jobs["ab"][0]["mode"] = "backup"
    lab.activate()
    lab.sync()
    b.sql("UPDATE t SET v = 'on the backup' WHERE id = 2")
    lab.sync()
    conflict = next(c for c in lab.conflicts() if c["type"] == "target_changed")
    lab.run("conflicts", "reinstate", conflict["id"], "--dry-run")
    require_equal(user_rows(a), [(1, "b"), (2, "same")], "rows after a dry run")
    lab.run("conflicts", "reinstate", conflict["id"])
    lab.sync()
    lab.require_settled()
    require_equal(user_rows(b), [(1, "b"), (2, "on the backup")], "rows after reinstating")
    require_equal(len(lab.conflicts()), 1, "conflicts")


# first session --------------------------------------------------------------------------------------------------------


@test
def test_the_first_session_adopts_copies_and_compares(lab):
    for first in ("ab", "ba"):
        lab.reset()
        a, b = lab.node("a", T), lab.node("b", T)
        a.sql("INSERT INTO t VALUES (1, 'same'), (2, 'differs a'), (3, 'only a')")
        b.sql("INSERT INTO t VALUES (1, 'same'), (2, 'differs b'), (4, 'only b')")
        lab.job("ab", list(first))
        lab.activate()
        lab.sync()
        lab.require_settled()
        require_equal(user_rows(a), [(1, "same"), (2, "differs " + first[0]), (3, "only a"), (4, "only b")],
                      "the job's first node (%s) wins where rows differ" % first[0])
        require_equal([c["type"] for c in lab.conflicts()], ["baseline_differs"], "conflicts")
        require_equal(row_of(lab.conflicts()[0]["loser"])["v"][1].decode(), "differs " + first[1], "the loser")
        a.sql("DELETE FROM t WHERE id IN (1, 4)")
        lab.sync()
        require_equal(user_rows(b), [(2, "differs " + first[0]), (3, "only a")], "deletes of adopted rows")


@test
def test_equal_rows_are_adopted_without_being_written(lab):
    a, b = lab.node("a", T), lab.node("b", T)
    rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO t SELECT i, 'x' || i FROM n"
    a.sql(rows)
    b.sql(rows)
    lab.job("ab", [a, b])
    lab.activate()
    require_equal(moved(lab.sync()), 0, "rows moved between equal nodes")
    require_equal(lab.conflicts(), [], "conflicts")
    lab.require_settled()


@test
def test_create_tables_makes_tables_indexes_in_order(lab):
    schema = """
      CREATE TABLE z_child(id INTEGER PRIMARY KEY, p TEXT REFERENCES a_parent(code), n INT DEFAULT 5 CHECK(n > 0));
      CREATE TABLE a_parent(code TEXT COLLATE NOCASE PRIMARY KEY, g AS (code || 'x')) WITHOUT ROWID;
      CREATE TABLE s(id INTEGER PRIMARY KEY AUTOINCREMENT, any ANY) STRICT;
      CREATE INDEX z_p ON z_child(p); CREATE UNIQUE INDEX z_n ON z_child(n) WHERE n > 10;
      CREATE TABLE "odd name"(k TEXT NOT NULL UNIQUE, v); CREATE TABLE heap(a);
      CREATE VIEW v AS SELECT * FROM s; CREATE TRIGGER own AFTER INSERT ON s BEGIN SELECT 1; END;"""
    a, b = lab.node("a", schema), lab.node("b")
    a.sql("INSERT INTO a_parent VALUES ('x'), ('y'); INSERT INTO z_child VALUES (1, 'x', 11), (2, 'Y', 12), (3, NULL, 1);"
          "INSERT INTO s(any) VALUES ('001'), (1); INSERT INTO \"odd name\" VALUES ('k', x'00');")
    lab.job("ab", [a, b])
    result = lab.sync(code=8)
    before = fingerprint(lab)
    lab.activate("--create-tables", "--dry-run")
    require_equal(fingerprint(lab), before, "files after a dry run")
    lab.activate("--create-tables")
    lab.sync()
    taken = ["z_child", "a_parent", "s", "odd name"]
    lab.require_equal_nodes(tables=taken)
    for kind in ("table", "index"):
        sql = "SELECT name, sql FROM sqlite_schema WHERE type = '%s' AND name NOT LIKE 'tidemark%%' AND name NOT LIKE " \
              "'sqlite%%' AND name <> 'heap' ORDER BY name" % kind
        require_equal(b.rows(sql), a.rows(sql), kind + " definitions")
    lab.activate("--create-tables")
    require_equal(moved(lab.sync()), 0, "rows moved")
    require(result.told("activate"), "the way on is named: %s" % result)


@test
def test_an_empty_node_receives_everything_and_gives_nothing(lab):
    a, b = lab.node("a", SHOP), lab.node("b")
    application = Application(a.path, "app", lab.rng)
    for _ in range(60):
        application.transaction()
    before = a.image()
    lab.job("ba", [b, a])  # the empty node is the first: it still must not empty the other
    lab.activate("--create-tables")
    lab.sync()
    require_equal(compare_images(before, a.image()), [], "the node that held data")
    lab.require_settled()
    require_equal(lab.conflicts(), [], "conflicts")


# guards -----------------------------------------------------------------------------------------------------------------


@test
def test_two_names_for_one_file_are_refused(lab):
    a, b = started(lab)
    os.link(a.path, lab.directory / "c.db")
    lab.nodes["c"] = type(a)("c", lab.directory / "c.db")
    lab.job("ac", ["a", "c"])
    lab.sync("ac", code=(2, 7))


@test
def test_a_copy_made_with_backup_or_vacuum_is_refused_too(lab):
    a, b = started(lab)
    a.sql("VACUUM INTO '%s'" % (lab.directory / "c.db"))
    lab.nodes["c"] = type(a)("c", lab.directory / "c.db")
    lab.job("ac", ["a", "c"])
    lab.sync("ac", code=7).require_told("--new-identity")
    lab.job("bc", ["b", "c"])
    lab.sync("bc", code=None)  # b cannot tell the copy from the original: whatever happens, nothing is lost
    require_equal(user_rows(a), [(1, "a"), (2, "b"), (3, "c")], "rows")
    lab.activate("c", "--new-identity")
    lab.sync()
    lab.require_settled()


@test
def test_both_nodes_restored_after_a_change_of_each(lab):
    a, b = started(lab)
    old = a.path.read_bytes()
    a.sql("UPDATE t SET v = 'after the backup' WHERE id = 1; INSERT INTO t VALUES (10, 'after the backup')")
    lab.sync()
    a.path.write_bytes(old)
    for i in range(5):  # so many that the counter of the restored node passes what its peer knows
        a.sql("INSERT INTO t VALUES (%d, 'restored world')" % (20 + i))
    lab.sync(code=7).require_told("a", "--new-incarnation")
    lab.run("status")
    lab.activate("a", "--new-incarnation")
    lab.sync()
    lab.require_settled()
    require_equal(a.rows("SELECT v FROM t WHERE id IN (1, 10) ORDER BY id"), [("after the backup",)] * 2, "rows of the peer")
    require_equal(b.value("SELECT count(*) FROM t WHERE v = 'restored world'"), 5, "rows after the restore")


@test
def test_max_deletes_stops_before_the_first_write(lab):
    rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) INSERT INTO t SELECT i, 'x' FROM n"
    a, b = started(lab, T + "CREATE TABLE u(id INTEGER PRIMARY KEY);", rows)
    a.sql("DELETE FROM t WHERE id > 500; INSERT INTO u VALUES (1)")
    before = b.image()
    result = lab.sync(code=7)
    result.require_told("t", "500", "--allow-deletes")
    require_equal(compare_images(before, b.image()), [], "the target after the guard refused")
    lab.sync("--dry-run", code=(0, 7))
    lab.sync(code=7)
    b.sql("INSERT INTO t VALUES (2000, 'meanwhile')")
    lab.sync("--allow-deletes")
    lab.require_settled()
    require_equal(b.value("SELECT count(*) FROM t"), 501, "rows")
    a.sql("DELETE FROM t WHERE id > 450")
    lab.sync()
    require_equal(b.value("SELECT count(*) FROM t"), 450, "small numbers pass the share")
    lab.jobs["j1"][0]["max_deletes"] = 5
    a.sql("DELETE FROM t WHERE id > 440")
    lab.sync(code=7)
    lab.jobs["j1"][0]["max_deletes"] = 10
    lab.sync()
    lab.require_settled()


@test
def test_a_table_whose_schema_drifted_is_left_out_and_others_go_on(lab):
    changes = {"another type": "CREATE TABLE t(id INTEGER PRIMARY KEY, v INTEGER)",
               "a column less": "CREATE TABLE t(id INTEGER PRIMARY KEY)",
               "another key": "CREATE TABLE t(id INTEGER, v TEXT PRIMARY KEY)",
               "another collation of the key": "CREATE TABLE t(id TEXT COLLATE NOCASE PRIMARY KEY, v TEXT)",
               "a renamed column": "CREATE TABLE t(id INTEGER PRIMARY KEY, w TEXT)"}
    for what, sql in changes.items():
        lab.reset()
        a, b = started(lab, T + "CREATE TABLE u(id INTEGER PRIMARY KEY, v);")
        b.sql("DROP TABLE t; %s;" % sql)
        before = b.image(["t"])
        a.sql("UPDATE t SET v = 'A'; INSERT INTO u VALUES (1, 'x')")
        result = lab.sync(code=(0, 3, 8))
        require(result.told("t"), "%s: the session should name the table: %s" % (what, result))
        require_equal(compare_images(before, b.image(["t"])), [], what)
        require_equal(user_rows(a), [(1, "A"), (2, "A"), (3, "A")], what)
        require_equal(b.rows("SELECT * FROM u"), [(1, "x")], "the other table")
        lab.run("check", code=None).require_told("t")
        lab.jobs["j1"][0]["tables"] = ["t"]
        lab.sync(code=8)


@test
def test_the_schema_changes_on_every_node_between_sessions(lab):
    a, b = started(lab)
    for node in (a, b):
        node.sql("ALTER TABLE t ADD COLUMN n INTEGER DEFAULT 3; CREATE INDEX later ON t(n);")
    a.sql("UPDATE t SET n = 4 WHERE id = 1")
    lab.activate()
    lab.sync()
    lab.require_settled()
    for node in (a, b):
        node.sql("ALTER TABLE t RENAME COLUMN v TO w")
    b.sql("UPDATE t SET w = 'renamed' WHERE id = 2")
    lab.activate()
    lab.sync()
    lab.require_settled()
    require_equal(a.value("SELECT w FROM t WHERE id = 2"), "renamed", "a renamed column")
    for node in (a, b):
        node.sql("ALTER TABLE t RENAME COLUMN id TO key")   # renames inside our triggers too
    b.sql("UPDATE t SET w = 'key renamed' WHERE key = 3; INSERT INTO t VALUES (4, 'x', 1)")
    lab.activate()
    lab.sync()
    lab.require_settled()
    require_equal(a.value("SELECT w FROM t WHERE key = 3"), "key renamed", "a renamed key")
    for node in (a, b):
        node.sql("DROP INDEX later; ALTER TABLE t DROP COLUMN w")
    lab.activate()
    a.sql("INSERT INTO t(key) VALUES (9)")
    lab.sync()
    lab.require_settled()


@test
def test_unique_index_added_after_activation_is_seen(lab):
    a, b = started(lab)
    for node in (a, b):
        node.sql("CREATE UNIQUE INDEX t_v ON t(v)")
    lab.sync(code=(0, 3, 8))
    lab.activate()
    lab.sync()
    a.sql("REPLACE INTO t VALUES (9, 'a')")   # evicts 1, through an index that the triggers never heard of
    lab.sync()
    lab.require_settled()
    require_equal(user_rows(b), [(2, "b"), (3, "c"), (9, "a")], "rows")


@test
def test_constraints_of_one_node_only(lab):
    """A row that the target cannot hold waits, with its reason, and keeps nobody else waiting."""
    a = lab.node("a", "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT, n INTEGER);")
    b = lab.node("b", "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT, n INTEGER CHECK(n < 100));")
    lab.job("ab", [a, b])
    lab.activate()
    a.sql("INSERT INTO t VALUES (1, 'fits', 1), (2, 'does not', 200), (3, 'fits', 3)")
    for _ in range(2):
        result = lab.sync(code=3)
        require_equal([w["key"] for w in result.documents[0]["pulls"][0]["quarantine"]], ["2"], "rows that wait")
        result.require_told("n < 100")
        require_equal(b.rows("SELECT id FROM t ORDER BY id"), [(1,), (3,)], "rows on b")
    lab.run("sync", code=3, as_json=False).require_told("node b", "table t", "key 2", "n < 100")
    a.sql("UPDATE t SET n = 20 WHERE id = 2")
    lab.sync()
    lab.require_settled()
    require_equal(b.rows("SELECT id FROM t ORDER BY id"), [(1,), (2,), (3,)], "rows that fit")
    # The other way out: the target learns to hold it.
    a.sql("INSERT INTO t VALUES (4, 'too much', 400)")
    lab.sync(code=3)
    b.sql("PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, '100', '1000') WHERE name = 't';")
    lab.sync()
    lab.sync()
    lab.require_settled()
    require_equal(b.rows("SELECT n FROM t WHERE id = 4"), [(400,)], "the row that waited")
    # A row that waits is overwritten by somebody who cannot have seen it: it is in the conflict log.
    a.sql("INSERT INTO t VALUES (5, 'lost?', 5000)")
    lab.sync(code=3)
    b.sql("INSERT INTO t VALUES (5, 'winner', 5)")
    lab.sync()
    lab.sync()
    lab.require_settled()
    require_equal([c["loser"]["row"]["n"]["value"] for c in lab.conflicts()], ["5000"], "what lost")


def waiting_rows(lab):
    return lab.run("quarantine").documents[-1]["rows"]


@test
def test_rows_that_wait_are_shown_tried_again_and_given_up(lab):
    plain = "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT, n INTEGER);"
    a = lab.node("a", plain)
    b = lab.node("b", plain.replace("n INTEGER", "n INTEGER CHECK(n < 100)"))
    c = lab.node("c", plain)
    lab.job("ab", [a, b])
    lab.job("bc", [b, c])
    lab.activate()
    require_equal(waiting_rows(lab), [], "rows before anything waits")
    a.sql("INSERT INTO t VALUES (1, 'fits', 1), (2, 'wide', 200), (3, 'wider', 300), (4, 'now', 4)")
    lab.sync(code=3)
    a.sql("UPDATE t SET n = 400, v = 'widest' WHERE id = 4")
    lab.sync(code=3)
    rows = waiting_rows(lab)
    require_equal([(r["node"], r["table"], r["key"]["id"]["value"], r["source"]) for r in rows],
                  [("b", "t", key, "a") for key in ("2", "3", "4")], "rows that wait")
    require_equal(len({r["id"] for r in rows}), 3, "ids")
    require(all("n < 100" in r["reason"] and r["since"] and r["row"]["v"]["value"] for r in rows), rows)
    lab.run("quarantine", as_json=False).require_told("n < 100", "show ID")
    lab.run("quarantine", "show", rows[2]["id"][:10], as_json=False).require_told("widest", "now", "400", "discard", "retry b")
    lab.run("quarantine", "show", "zz", code=2).require_told("zz", "quarantine list")
    lab.run("quarantine", "retry", "nobody", code=2).require_told("nobody")
    # Nothing changed, so nothing fits.
    again = lab.run("quarantine", "retry", "b", code=3)
    require_equal((again.last["written"], again.last["waiting"]), (0, 3), "a retry in vain")
    lab.run("quarantine", "discard", rows[0]["id"], "--dry-run")
    require_equal(waiting_rows(lab), rows, "rows after a dry run")
    # Given up: an insert that the node lacks is deleted everywhere, an update goes back everywhere; the log has both rows.
    lab.run("quarantine", "discard", rows[0]["id"][:12], rows[2]["id"])
    require_equal([r["key"]["id"]["value"] for r in waiting_rows(lab)], ["3"], "rows that still wait")
    for _ in range(2):
        lab.sync(code=3)
    require_equal(a.rows("SELECT * FROM t ORDER BY id"), [(1, "fits", 1), (3, "wider", 300), (4, "now", 4)], "rows on a")
    require_equal(sorted((c["type"], c["loser"]["row"]["n"]["value"], c["winner"]["deleted"]) for c in lab.conflicts()),
                  [("discarded", "200", True), ("discarded", "400", False)], "conflicts")
    # Tried again when there is room; the row goes on to a node that never heard of it.
    b.sql("PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, '100', '1000') WHERE name = 't';")
    require_equal(lab.run("quarantine", "retry", "--dry-run").last["written"], 1, "rows of a dry run")
    require_equal(len(waiting_rows(lab)), 1, "rows after a dry run")
    require_equal(lab.run("quarantine", "retry").last["written"], 1, "rows that fit now")
    require_equal(b.value("SELECT n FROM t WHERE id = 3"), 300, "the row that fits now")
    lab.sync()
    lab.sync()
    lab.require_settled()
    require_equal(c.rows("SELECT * FROM t ORDER BY id"), [(1, "fits", 1), (3, "wider", 300), (4, "now", 4)], "rows on c")
    # What was given up can be reinstated like any loser.
    lost = next(c for c in lab.conflicts() if c["loser"]["row"]["n"]["value"] == "200")
    lab.run("conflicts", "reinstate", lost["id"])
    for _ in range(2):
        lab.sync()
    lab.require_settled()
    require_equal(b.value("SELECT v FROM t WHERE id = 2"), "wide", "the row that came back")


@test
def test_a_backup_cannot_give_up_what_its_source_has(lab):
    a = lab.node("a", "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER);")
    b = lab.node("b", "CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER CHECK(n < 100));")
    lab.job("ab", [a, b], mode="backup")
    lab.activate()
    a.sql("INSERT INTO t VALUES (1, 200), (2, 2)")
    lab.sync(code=3)
    (row,) = waiting_rows(lab)
    lab.run("quarantine", "discard", row["id"], code=7).require_told("node b", "backup", "node a")
    require_equal(waiting_rows(lab), [row], "rows that wait")
    a.sql("UPDATE t SET n = 20 WHERE id = 1")
    lab.sync()
    require_equal(waiting_rows(lab), [], "rows that wait")
    lab.require_settled()


@test
def test_unknown_nodes_and_jobs_and_missing_files(lab):
    a, b = started(lab)
    before = fingerprint(lab)
    lab.sync("nope", code=2).require_told("nope", "j1")
    lab.activate("nope", code=2).require_told("nope")
    lab.run("frobnicate", code=2)
    lab.run("sync", "--frobnicate", code=2)
    lab.run("sync", "--jso", code=2, as_json=False)
    b.path.rename(lab.directory / "gone.db")
    lab.sync(code=(3, 5)).require_told("b")
    lab.verify(code=(3, 5))
    require(not b.path.exists(), "a missing database must not be made")
    (lab.directory / "gone.db").rename(b.path)
    require_equal(fingerprint(lab), before, "files")


# dry runs and read-only commands -------------------------------------------------------------------------------------------


@test
def test_dry_runs_and_reading_commands_change_no_byte(lab):
    for wal in (False, True):
        lab.reset()
        a, b = lab.node("a", SHOP, wal), lab.node("b", SHOP, wal)
        lab.job("ab", [a, b])
        application = Application(a.path, "app", lab.rng)
        for _ in range(10):
            application.transaction()
        application.connection.close()
        before = fingerprint(lab)
        result = lab.activate("--dry-run")
        require(result.told("create trigger"), "activate --dry-run prints the SQL: %s" % result.out[:500])
        lab.run("check", code=None)
        lab.run("status", code=None)
        require_equal(fingerprint(lab), before, "files after dry runs before activation")
        lab.activate()
        lab.sync()
        a.sql("UPDATE customer SET name = 'A'; DELETE FROM line; INSERT INTO plain VALUES ('dry', 'a')")
        apart()
        b.sql("INSERT INTO plain VALUES ('dry', 'b'); DELETE FROM customer WHERE id % 2; DELETE FROM orders")
        before = fingerprint(lab)
        images = [a.image(), b.image()]
        dry = lab.sync("--dry-run")
        for command in (["check"], ["status"], ["sessions"], ["conflicts"], ["conflicts", "list"],
                        ["deactivate", "a", "--dry-run"], ["activate", "--dry-run"]):
            lab.run(*command)
        require_equal(fingerprint(lab), before, "files after dry runs")
        lab.verify()     # harvests, but changes no row; what has not travelled yet is no difference
        require_equal([compare_images(i, n.image()) for i, n in zip(images, (a, b))], [[], []], "rows")
        real = lab.sync()
        require_equal(moved(dry), moved(real), "a dry run tells what the session then does")
        lab.require_settled()


def hidden_edit(node, script):
    """A write that no trigger sees, as damage or a tool that switches triggers off makes it."""
    connection = sqlite3.connect(node.path)
    triggers = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        connection.execute('DROP TRIGGER "%s"' % name)
    connection.executescript(script)
    for _, sql in triggers:
        connection.execute(sql)
    connection.commit()
    connection.close()


@test
def test_verify_finds_what_triggers_did_not_see_and_repairs_it(lab):
    a, b = started(lab)
    hidden_edit(b, "UPDATE t SET v = 'hidden' WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (8, 'hidden');")
    require_equal(moved(lab.sync()), 0, "rows moved, for nothing was logged")
    result = lab.verify(code=10)
    require(result.told("t"), "verify names the table: %s" % result)
    text = lab.verify(code=10, as_json=False)
    require("t" in text.out, "verify in words: %s" % text)
    lab.verify("--repair", code=(0, 10))
    lab.sync()
    lab.verify()
    lab.require_equal_nodes()
    lab.require_settled()


@test
def test_verify_does_not_take_pending_changes_for_damage(lab):
    a, b = started(lab)
    a.sql("UPDATE t SET v = 'pending' WHERE id = 1")
    result = lab.verify(code=(0, 10))
    if result.code == 10:
        require(result.told("pending") or result.told("sync"), "verify should say that changes wait: %s" % result)
    lab.sync()
    lab.verify()


@test
def test_repair_of_a_backup_never_changes_the_source(lab):
    a, b = started(lab, mode="backup")
    hidden_edit(b, "UPDATE t SET v = 'hidden' WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (8, 'hidden');")
    before = a.image()
    lab.verify(code=10)
    lab.verify("--repair", code=(0, 10))
    lab.verify()
    require_equal(compare_images(before, a.image()), [], "the source after a repair")
    lab.require_settled()
    require_equal(user_rows(b), [(1, "a"), (2, "b"), (3, "c")], "rows of the backup")
    require("hidden" in str(lab.conflicts()), "what the repair overwrote is in the log")


@test
def test_repair_in_a_ring_reaches_every_node(lab):
    nodes = started_ring(lab)
    hidden_edit(nodes[1], "UPDATE t SET v = 'hidden' WHERE id = 1; DELETE FROM t WHERE id = 3;")
    lab.verify("ab", code=10)
    lab.verify("--repair", code=(0, 10))
    lab.sync()
    lab.sync()
    lab.require_settled()
    require_equal(user_rows(nodes[2])[1:], [(2, "b"), (3, "c")], "rows")


# several jobs ----------------------------------------------------------------------------------------------------------------


@test
def test_jobs_over_different_tables_and_nodes(lab):
    schema = "".join("CREATE TABLE %s(id INTEGER PRIMARY KEY, v);" % n for n in ("shop_a", "shop_b", "log_x", "priv"))
    a, b, c = (lab.node(n, schema) for n in "abc")
    lab.job("shops", [a, b, c], tables=["shop_*"])
    lab.job("logs", [b, c], tables=["*"], exclude=["shop_*", "priv"])
    lab.activate()
    triggered = lambda n: {r[0] for r in n.rows("SELECT tbl_name FROM sqlite_schema WHERE type = 'trigger'")}
    require_equal((triggered(a), triggered(b)), ({"shop_a", "shop_b"}, {"shop_a", "shop_b", "log_x"}), "tables captured")
    for i, n in enumerate((a, b, c)):
        for t in ("shop_a", "shop_b", "log_x", "priv"):
            n.sql("INSERT INTO %s VALUES (%d, '%s')" % (t, i, n.name))
    lab.sync("logs")
    require_equal(b.value("SELECT count(*) FROM shop_a"), 1, "a table of another job")
    lab.sync()
    lab.sync()
    lab.require_equal_nodes(a, b, c, tables=["shop_a", "shop_b"])
    lab.require_equal_nodes(b, c, tables=["log_x"])
    require_equal([n.rows("SELECT * FROM priv") for n in (a, b, c)], [[(0, "a")], [(1, "b")], [(2, "c")]], "no job's table")
    require_equal(a.rows("SELECT * FROM log_x"), [(0, "a")], "a table that this node does not share")
    lab.jobs.pop("logs")          # a table that no job asks for any more is named, and stays as it is
    lab.activate().require_told("log_x")
    lab.sync()
    lab.verify()


@test
def test_one_broken_node_does_not_stop_the_others(lab):
    hub, s1, s2 = (lab.node(n, T) for n in ("hub", "s1", "s2"))
    hub.sql(ABC)
    lab.job("star", [hub, s1, s2])
    lab.activate()
    lab.sync()
    s1.path.rename(lab.directory / "away")
    hub.sql("UPDATE t SET v = 'new'")
    lab.sync(code=3).require_told("s1")
    lab.require_equal_nodes(hub, s2)
    (lab.directory / "away").rename(s1.path)
    lab.sync()
    lab.require_settled()


@test
def test_constraints_hold_when_two_sites_are_merged(lab):
    """Random writes on two sites with unique values and foreign keys: unique values stay unique, every row refers to rows
    that are there, nodes agree, nothing is lost."""
    for round_number in range(12 if lab.long else 4):
        lab.reset()
        a, b = started(lab, SHOP_WITH_FOREIGN_KEYS, "")
        ledger = Ledger()
        applications = [Application(n.path, "%sx%d" % (n.name, round_number), lab.rng, keys=14) for n in (a, b)]
        for _ in range(12):
            for application in applications:
                for _ in range(lab.rng.randrange(4)):
                    entry = application.transaction()
                    if entry["committed"]:
                        ledger.acknowledge(entry["who"], entry["written"], entry["seen"])
                    else:
                        ledger.rolled_back |= set(entry["written"])
            lab.sync(code=(0, 3))
            for node in (a, b):
                require_equal(health(node.path), [], "health of %s" % node.name)
        for _ in range(2):
            lab.sync()
        lab.require_settled()
        counts = lab.require_ledger(ledger, a)
        for application in applications:
            application.connection.close()
        lab.note(str(dict(counts)))


@test
def test_random_histories_over_random_topologies(lab):
    """Several nodes, random jobs, random order: equal at the end and nothing lost, with real files and processes."""
    for round_number in range(25 if lab.long else 5):
        lab.reset()
        seed = lab.rng.randrange(10**9)
        rng = type(lab.rng)(seed)
        count = rng.randrange(2, 6)
        schema = rng.choice([T, SHOP, SHOP])
        nodes = [lab.node("n%d" % i, schema, wal=rng.random() < 0.5) for i in range(count)]
        edges = [(i, rng.randrange(i)) for i in range(1, count)]
        edges += [tuple(rng.sample(range(count), 2)) for _ in range(rng.randrange(2)) if count > 2]
        edges = list({tuple(sorted(e)): e for e in edges}.values())
        for x, y in edges:
            lab.job("j%d_%d" % (x, y), [nodes[x], nodes[y]])
        ledger = Ledger()
        applications = [Application(n.path, "%sr%d" % (n.name, round_number), rng, keys=12) for n in nodes] \
            if schema is SHOP else None

        def write(i, number=[0]):
            if applications:
                entry = applications[i].transaction()
                if entry["committed"]:
                    ledger.acknowledge(entry["who"], entry["written"], entry["seen"])
                return
            connection = connect(nodes[i].path)
            number[0] += 1
            token, key = "w%d:n%d:%d" % (seed, i, number[0]), rng.randrange(6)
            seen = [v for (v,) in connection.execute("SELECT v FROM t WHERE id = ?", (key,))]
            if rng.random() < 0.3:
                connection.execute("DELETE FROM t WHERE id = ?", (key,))
                ledger.acknowledge("n%d" % i, [], seen)
            else:
                connection.execute("REPLACE INTO t VALUES (?, ?)", (key, token))
                ledger.acknowledge("n%d" % i, [token], seen)
            connection.close()

        for i in range(count):           # data from before activation
            for _ in range(rng.choice([0, 0, 4])):
                write(i)
        lab.activate()
        for _ in range(rng.randrange(10, 30)):
            if rng.random() < 0.65:
                write(rng.randrange(count))
            else:
                lab.sync(rng.choice(sorted(lab.jobs)), code=(0, 3))
        for _ in range(count + 2):
            lab.sync(code=(0, 3))
        try:
            lab.require_settled()
            lab.require_ledger(ledger, nodes[0])
        except AssertionError as error:
            raise AssertionError("round %d, seed %d, edges %s: %s" % (round_number, seed, edges, error)) from None


@test
def test_random_histories_with_faults(lab):
    """As above, and things go wrong: lost triggers, nodes deactivated and taken in again, old tombstones, different
    policies. Nodes still agree in the end and no write is lost; what was overwritten may come back."""
    for round_number in range(25 if lab.long else 4):
        lab.reset()
        seed = lab.rng.randrange(10**9)
        try:
            faulty_history(lab, type(lab.rng)(seed), round_number)
        except AssertionError as error:
            raise AssertionError("round %d, seed %d: %s" % (round_number, seed, error)) from None


def faulty_history(lab, rng, round_number):
    count = rng.randrange(2, 5)
    nodes = [lab.node("n%d" % i, SHOP, wal=rng.random() < 0.5) for i in range(count)]
    for i in range(1, count):
        lab.job("j%d" % i, [nodes[rng.randrange(i)], nodes[i]], conflict=rng.choice(
            ["latest", "latest", "earliest", "first_node", "manual"]))
    if count > 2 and rng.random() < 0.5:
        lab.job("ring", [nodes[-1], nodes[0]])
    ledger, kept, happened = Ledger(), [], []
    applications = [Application(n.path, "%sf%d" % (n.name, round_number), rng, keys=12) for n in nodes]

    def write(i):
        entry = applications[i].transaction()
        if entry["committed"]:
            ledger.acknowledge(entry["who"], entry["written"], entry["seen"])

    lab.activate()
    for _ in range(rng.randrange(25, 60)):
        i, action = rng.randrange(count), rng.random()
        if action < 0.6:
            write(i)
        elif action < 0.85:
            lab.sync(rng.choice(sorted(lab.jobs)), "--allow-deletes", code=(0, 3))
        elif action < 0.89:
            triggers = nodes[i].rows("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
            for (name,) in rng.sample(triggers, rng.randrange(len(triggers) + 1)):
                nodes[i].sql('DROP TRIGGER "%s"' % name)
            happened.append("triggers of n%d" % i)
            for _ in range(3):
                write(i)
        elif action < 0.93:
            kept += lab.conflicts()       # the log of the node goes with its control tables
            lab.run("deactivate", "n%d" % i)
            happened.append("deactivated n%d" % i)
            for _ in range(rng.randrange(3)):
                write(i)
            lab.activate("n%d" % i)
        elif action < 0.97:
            happened.append("40 days")
            for node in nodes:
                let_days_pass(node, 40)
        else:
            nodes[i].sql("VACUUM")
    for _ in range(count + 3):
        lab.sync("--allow-deletes", code=(0, 3))
    for application in applications:
        application.connection.close()
    try:
        lab.require_settled()
        counts, problems = ledger.judge(final_tokens(nodes[0].path), kept + lab.conflicts(), may_return=True)
        require(not problems, lambda: "%s %s" % (dict(counts), problems[:10]))
    except AssertionError as error:
        raise AssertionError("%s: %s" % (happened, error)) from None


# the command line -----------------------------------------------------------------------------------------------------------


RFC3339 = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")


def times_in(value, key=""):
    if isinstance(value, dict):
        return [t for k, v in value.items() for t in times_in(v, k)]
    if isinstance(value, list):
        return [t for v in value for t in times_in(v, key)]
    return [value] if key.endswith("_at") and value is not None else []


@test
def test_json_of_every_command(lab):
    a, b = started(lab)
    a.sql("UPDATE t SET v = 'a' WHERE id = 1; INSERT INTO t VALUES (9223372036854775807, x'00ff')")
    apart()
    b.sql("UPDATE t SET v = 'b' WHERE id = 1")
    shapes = {}
    for command in (["check"], ["sync", "--dry-run"], ["sync"], ["status"], ["sessions"], ["conflicts"], ["verify"],
                    ["activate", "--dry-run"], ["deactivate", "a", "--dry-run"]):
        result = lab.run(*command)
        require(result.documents, "%s --json printed nothing" % command)
        for document in result.documents:
            require(isinstance(document, dict) and "type" in document, "a document without a type: %s" % document)
            for t in times_in(document):
                require(isinstance(t, str) and RFC3339.match(t), "not an RFC 3339 time in UTC: %r (%s)" % (t, command))
        require(result.last.get("v") == 1 or result.documents[0].get("v") == 1, "the version of the format is missing: %s" % result)
        shapes[" ".join(command)] = [d["type"] for d in result.documents]
        plain = lab.run(*command, as_json=False)
        require(plain.out.strip() or plain.err.strip() or command[0] in ("activate", "sync"), "no output for people: %s" % command)
        quiet = subprocess.run(lab.command(*command, as_json=False) + ["--quiet"], capture_output=True, check=False)
        require_equal(quiet.returncode, 0, "%s --quiet" % command)
    require("summary" in shapes["sync"], "sync ends with a summary: %s" % shapes)
    conflict = lab.conflicts()[0]
    for field in ("id", "table", "key", "type", "status", "winner", "loser"):
        require(field in conflict, "a conflict has no %s: %s" % (field, conflict))
    for side in ("winner", "loser"):
        for field in ("node", "changed_at", "row"):
            require(field in conflict[side], "the %s has no %s" % (side, field))
    require_equal(conflict["loser"]["row"]["id"], {"type": "integer", "value": "1"}, "a 64-bit key is a string")
    error = lab.run("sync", "nope", code=2)
    require_equal((error.last["type"], error.last["code"]), ("error", 2), "an error document")
    require(error.last["message"] and error.last["hint"], "an error has message and hint: %s" % error.last)
    require("HINT:" in lab.run("sync", "nope", code=2, as_json=False).err, "an error for people ends in a hint")
    lab.note(json.dumps(shapes))


def wait_for_handler(process, number):
    """Until then the system itself ends the program, which has done nothing yet."""
    while process.poll() is None:
        with open("/proc/%d/status" % process.pid, encoding="ascii", errors="replace") as status:
            caught = next((int(line.split()[1], 16) for line in status if line.startswith("SigCgt")), 0)
        if caught >> (number - 1) & 1:
            return
        time.sleep(0.002)


@test
def test_an_interrupted_session_leaves_nothing_half_done(lab):
    rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) INSERT INTO t SELECT i, 'x' FROM n"
    interrupted = 0
    for number in (signal.SIGINT, signal.SIGTERM):
        for delay in (0.02, 0.05, 0.1):
            lab.reset()
            a, b = lab.node("a", T, wal=number == signal.SIGINT), lab.node("b", T)
            a.sql(rows)
            lab.job("ab", [a, b])
            lab.activate()
            process = lab.start("sync")
            wait_for_handler(process, number)
            time.sleep(delay)
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
            if process.returncode != 0:
                interrupted += 1
                require_equal(process.returncode, 130, "exit code (%s %s)" % (out[-300:], err))
            require(b.value("SELECT count(*) FROM t") in (0, 50000), "half a session")
            lab.sync()
            lab.require_settled()
    lab.note("%d of 6 were interrupted" % interrupted)
    holder = connect(b.path)
    holder.execute("BEGIN IMMEDIATE")
    a.sql("INSERT INTO t(v) VALUES ('y')")
    process = lab.start("sync")
    wait_for_handler(process, signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    started_at = time.monotonic()
    process.communicate(timeout=60)
    require_equal(process.returncode, 130, "a session that waits for a lock is interrupted")
    require(time.monotonic() - started_at < 3, "an interrupt is heard soon, also while waiting")
    holder.close()
    lab.sync()


@test
def test_output_that_cannot_be_written_is_an_error(lab):
    started(lab)
    with open("/dev/full", "wb") as full:
        for command in (["status"], ["conflicts"], ["verify"], ["sync"]):
            done = subprocess.run(lab.command(*command), stdout=full, stderr=subprocess.PIPE, check=False)
            require_equal(done.returncode, 1, "%s to a full disk (%s)" % (command, done.stderr))


@test
def test_init_writes_a_configuration_that_works(lab):
    done = subprocess.run([lab.binary, "init"], cwd=lab.directory, capture_output=True, check=False)
    require_equal(done.returncode, 0, "init")
    written = lab.config.read_text()
    require("[node." in written and "[job." in written and "#" in written, "a commented configuration: %s" % written)
    again = subprocess.run([lab.binary, "init"], cwd=lab.directory, capture_output=True, check=False)
    require(again.returncode != 0, "init must not overwrite a configuration")
    require_equal(lab.config.read_text(), written, "the configuration")
    lab.raw_config = written
    lab.run("status", code=(0, 2, 3, 5))


@test
def test_status_and_sessions_tell_what_is_so(lab):
    a, b = started(lab)
    a.sql("UPDATE t SET v = 'x'; INSERT INTO t VALUES (7, 'y')")
    pending = json.dumps(lab.run("status").last)
    require("4" in pending or "pending" in pending, "status shows pending changes: %s" % pending)
    lab.sync()
    sessions = lab.run("sessions").last
    require(lab.run("sessions").told("t"), "sessions name the tables: %s" % sessions)
    require(lab.run("status", as_json=False).told("a", "b"), "status names the nodes")


@test
def test_files_that_are_made_are_private(lab):
    a, b = lab.node("a", T), lab.node("b", T)
    for path in (a.path, b.path):
        path.chmod(0o600)
    lab.job("ab", [a, b])
    lab.activate()
    a.sql("INSERT INTO t VALUES (1, 'x')")
    lab.sync()
    for path in lab.directory.iterdir():
        if path.name not in ("tidemark.toml", "a.db", "b.db"):
            require_equal(oct(path.stat().st_mode & 0o077), "0o0", "what others may do with %s" % path.name)


@test
def test_row_data_is_not_logged(lab):
    a, b = started(lab)
    a.sql("UPDATE t SET v = 'secret-of-a' WHERE id = 1")
    apart()
    b.sql("UPDATE t SET v = 'secret-of-b' WHERE id = 1; INSERT INTO t VALUES (5, 'secret-new')")
    for result in (lab.run("sync", "--dry-run"), lab.run("sync"), lab.run("status"), lab.run("sessions")):
        require("secret" not in result.err, "row data in the log: %s" % result.err)


@test
def test_deactivate_leaves_real_schemas_as_they_were(lab):
    for name in ("chinook", "northwind"):
        lab.reset()
        a = lab.node("a", copy_of=shared_data(name + ".sqlite"))
        b = lab.node("b", copy_of=shared_data(name + ".sqlite"))
        before = [n.schema() for n in (a, b)]
        lab.job("ab", [a, b])
        lab.activate()
        lab.sync()
        lab.run("deactivate", "a", "b")
        require_equal([n.schema() for n in (a, b)], before, ".schema of " + name)
        require_equal([n for n in listing(lab.directory) if not n.endswith(".toml")], ["a.db", "b.db"], "files")


def let_days_pass(node, days):
    """Everything that the control tables remember happened that much earlier."""
    connection = connect(node.path)
    connection.execute("BEGIN IMMEDIATE")
    for (table,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'tidemark%'"):
        for (column,) in connection.execute("SELECT name FROM pragma_table_info('%s') WHERE substr(name, -3) = '_us'" % table):
            connection.execute("UPDATE %s SET %s = %s - %d WHERE %s > 1000000000000000" % (
                table, column, column, days * 86400 * 10**6, column))
    connection.execute("COMMIT")
    connection.close()


def tombstones(node):
    return sum(node.value("SELECT count(*) FROM %s WHERE flags & 1" % t) for (t,) in node.rows(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'tidemark_version%'"))


@test
def test_a_purged_tombstone_does_not_bring_rows_back(lab):
    nodes = [lab.node(n, T) for n in "abc"]
    nodes[0].sql(ABC)
    lab.job("ab", ["a", "b"])
    lab.job("bc", ["b", "c"])
    lab.activate()
    lab.sync()
    lab.sync()
    nodes[0].sql("DELETE FROM t WHERE id = 1")
    lab.sync()
    lab.sync()
    require(all(tombstones(n) == 1 for n in nodes), "a delete leaves a tombstone")
    for days in (20, 20):   # the retention is 30 days
        for node in nodes:
            let_days_pass(node, days)
        nodes[0].sql("UPDATE t SET v = 'day %d' WHERE id = 2" % days)
        lab.sync()
        lab.sync()
    nodes[2].sql("UPDATE t SET v = 'C' WHERE id = 3")
    lab.sync()
    lab.sync()
    require_equal([tombstones(n) for n in nodes], [0, 0, 0], "tombstones that everybody knows, after forty days")
    lab.require_settled()
    require_equal(user_rows(nodes[2]), [(2, "day 20"), (3, "C")], "rows after the purge")
    nodes[2].sql("INSERT INTO t VALUES (1, 'again')")
    nodes[0].sql("UPDATE t SET v = 'B' WHERE id = 2")
    for _ in range(3):
        lab.sync()
    lab.require_settled()
    require_equal(user_rows(nodes[0]), [(1, "again"), (2, "B"), (3, "C")], "rows")
    require_equal(lab.conflicts(), [], "conflicts")


@test
def test_a_tombstone_waits_for_a_node_that_was_long_away(lab):
    nodes = [lab.node(n, T) for n in "abc"]
    nodes[0].sql(ABC)
    lab.job("ab", ["a", "b"])
    lab.job("ac", ["a", "c"])
    lab.activate()
    lab.sync()
    lab.sync()
    nodes[1].sql("DELETE FROM t WHERE id = 1")
    lab.sync("ab")
    for _ in range(3):
        for node in nodes:
            let_days_pass(node, 40)
        nodes[1].sql("UPDATE t SET v = v || '+' WHERE id = 2")
        lab.sync("ab")
    require_equal(tombstones(nodes[0]), 1, "a tombstone that one peer has not seen")
    nodes[2].sql("UPDATE t SET v = 'from c' WHERE id = 3")
    lab.sync("ac")
    lab.sync()
    lab.require_settled()
    require_equal([r[0] for r in user_rows(nodes[2])], [2, 3], "keys on the node that was away")


@test
def test_a_restored_node_meets_another_peer_first(lab):
    """Its numbers grow past what the first peer saw before the two meet again: nothing may be lost all the same."""
    a, b, c = (lab.node(n, T) for n in "abc")
    a.sql(ABC)
    lab.job("ab", ["a", "b"])
    lab.job("ac", ["a", "c"])
    lab.activate()
    lab.sync()
    old = a.path.read_bytes()
    a.sql("UPDATE t SET v = 'before the restore' WHERE id = 1")
    b.sql("UPDATE t SET v = 'seen before the restore' WHERE id = 2")
    lab.sync("ab")
    a.path.write_bytes(old)
    for i in range(4):
        a.sql("INSERT INTO t VALUES (%d, 'after the restore')" % (20 + i))
        lab.sync("ac")
    lab.sync("ab", code=7).require_told("went back in time", "--new-incarnation")
    # Numbers of changes were used twice, so some of them pass unseen until the rows themselves are compared.
    lab.activate("a", "--new-incarnation")
    for _ in range(3):
        lab.sync()
    for _ in range(3):
        lab.verify("--repair", code=(0, 10))
        lab.sync()
    lab.require_settled()
    require_equal(b.value("SELECT count(*) FROM t WHERE v = 'after the restore'"), 4, "rows written after the restore")
    require_equal(a.value("SELECT v FROM t WHERE id = 2"), "seen before the restore", "a row that only the peer still had")
    kept = repr(user_rows(a)) + repr(lab.conflicts())
    require("'before the restore'" in kept, "neither a row nor in the conflict log: %s" % kept)


@test
def test_reinstate_breaks_no_foreign_key(lab):
    schema = ("CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT);"
              "CREATE TABLE item(id INTEGER PRIMARY KEY, owner INTEGER REFERENCES person);")
    a, b = lab.pair(schema)
    a.sql("INSERT INTO person VALUES (1, 'one'), (2, 'two')")
    lab.activate()
    lab.sync()
    # The child is earlier than the delete of its parent, and goes with it; so is an update of the parent.
    b.sql("INSERT INTO item VALUES (7, 1); UPDATE person SET name = 'ONE' WHERE id = 1")
    time.sleep(0.01)
    a.sql("DELETE FROM person WHERE id = 1")
    lab.sync()
    lab.require_settled()
    found = {c["table"]: c["id"] for c in lab.conflicts()}
    require_equal(sorted(found), ["item", "person"], "conflicts")
    def held():
        return [n.rows("SELECT 'person', id, name FROM person UNION ALL SELECT 'item', id, owner FROM item") for n in (a, b)]

    before = held()
    for arguments in (("--dry-run",), ()):
        lab.run("conflicts", "reinstate", found["item"], *arguments, code=1).require_told("person", "refers", "not there")
    require_equal(held(), before, "after a refusal")
    lab.run("conflicts", "reinstate", found["person"], found["item"])
    lab.sync()
    lab.require_settled()
    require_equal(a.rows("SELECT * FROM item"), [(7, 1)], "the child is back")
    # The other way round: a row that was deleted may not be deleted again while somebody refers to it.
    a.sql("INSERT INTO person VALUES (3, 'three')")
    lab.sync()
    a.sql("DELETE FROM person WHERE id = 3")
    time.sleep(0.01)
    b.sql("UPDATE person SET name = 'THREE' WHERE id = 3; INSERT INTO item VALUES (8, 3)")
    lab.sync()
    lab.require_settled()
    deletes = [c for c in lab.conflicts() if c["loser"]["row"] is None]
    require(deletes, "a delete that lost")
    lab.run("conflicts", "reinstate", deletes[0]["id"], code=1).require_told("item", "refer")
    lab.require_settled()


if __name__ == "__main__":
    sys.exit(main(__doc__))
