#!/usr/bin/env python3
"""One test for every known trap of SQLite, S1 to S34: two nodes, an application that writes in the manner of the
trap through plain connections, the tidemark program, and the independent checker. The number in a test's name is the
number of the trap."""
import contextlib
import datetime
import re
import sqlite3
import sys
import threading
import time

from support import (SHOP, Ledger, Writers, canonical, connect, health, main, moved, quoted, require, require_equal,
                     row_of, test, user_tables)


def settle(lab):
    """A session, then everything that must hold after one; returns the session's result."""
    result = lab.sync()
    lab.require_settled()
    return result


def started_pair(lab, schema, rows="", wal=False, **job):
    """Two activated nodes that agree on `rows`."""
    a, b = lab.pair(schema, wal, **job)
    if rows:
        a.sql(rows)
    lab.activate()
    settle(lab)
    return a, b


USERS = "CREATE TABLE users(id INTEGER PRIMARY KEY, email TEXT UNIQUE, name TEXT);"
THREE = "INSERT INTO users VALUES (1, 'a@x', 'one'), (2, 'b@x', 'two'), (3, 'c@x', 'three');"


@test
def test_s01_replace_victims_are_deleted_on_the_other_node(lab):
    schema = USERS + """
      CREATE TABLE auto_replace(id INTEGER PRIMARY KEY, code TEXT UNIQUE ON CONFLICT REPLACE, v);
      CREATE TABLE key_replace(id INTEGER PRIMARY KEY ON CONFLICT REPLACE, v);
      CREATE TABLE text_key_replace(k TEXT, v, PRIMARY KEY(k) ON CONFLICT REPLACE) WITHOUT ROWID;
      CREATE TABLE pairs(a, b, v, id INTEGER PRIMARY KEY, UNIQUE(a, b));
      CREATE TABLE partial(id INTEGER PRIMARY KEY, slot INTEGER, active INTEGER);
      CREATE UNIQUE INDEX one_active ON partial(slot) WHERE active;
      CREATE TABLE folded(id INTEGER PRIMARY KEY, name TEXT, v);
      CREATE UNIQUE INDEX folded_name ON folded(lower(name), v % 10);
      CREATE TABLE caseless(id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE UNIQUE);
      CREATE TABLE indexed_case(id INTEGER PRIMARY KEY, name TEXT);
      CREATE UNIQUE INDEX indexed_case_name ON indexed_case(name COLLATE NOCASE);
      CREATE TABLE tight(k TEXT PRIMARY KEY, u INTEGER UNIQUE, v) WITHOUT ROWID;"""
    rows = THREE + """
      INSERT INTO auto_replace VALUES (1, 'p', 1), (2, 'q', 2), (3, 'r', 3);
      INSERT INTO key_replace VALUES (1, 'x'), (2, 'y');
      INSERT INTO text_key_replace VALUES ('1', 'x'), ('2', 'y');
      INSERT INTO pairs VALUES (1, 1, 'x', 1), (1, 2, 'y', 2), (2, 1, 'z', 3), (NULL, 1, 'n', 4);
      INSERT INTO partial VALUES (1, 1, 1), (2, 2, 1), (3, 1, 0), (4, 3, 1);
      INSERT INTO folded VALUES (1, 'Ann', 1), (2, 'Bob', 2), (3, 'Cid', 3);
      INSERT INTO caseless VALUES (1, 'Ann'), (2, 'Bob');
      INSERT INTO indexed_case VALUES (1, 'Ann'), (2, 'Bob');
      INSERT INTO tight VALUES ('a', 1, 'x'), ('b', 2, 'y'), ('c', 3, 'z');"""
    for wal in (False, True):
        for recursive in (0, 1):
            lab.reset()
            a, b = started_pair(lab, schema, rows, wal)
            a.sql("""
              INSERT OR REPLACE INTO users VALUES (9, 'a@x', 'evicts 1');
              UPDATE OR REPLACE users SET email = 'b@x' WHERE id = 3;
              INSERT INTO auto_replace VALUES (9, 'p', 'evicts 1');
              UPDATE auto_replace SET code = 'q' WHERE id = 3;
              INSERT INTO key_replace VALUES (1, 'again');
              UPDATE key_replace SET id = 2 WHERE id = 1;
              INSERT INTO text_key_replace VALUES ('1', 'again');
              UPDATE text_key_replace SET k = '2' WHERE k = '1';
              REPLACE INTO pairs VALUES (1, 1, 'evicts 1', 10);
              UPDATE OR REPLACE pairs SET a = 1, b = 2 WHERE id = 3;
              REPLACE INTO pairs VALUES (NULL, 1, 'evicts nobody', 11);
              REPLACE INTO partial VALUES (9, 1, 1);
              UPDATE OR REPLACE partial SET slot = 2 WHERE id = 4;
              REPLACE INTO folded VALUES (9, 'ANN', 11);
              UPDATE OR REPLACE folded SET name = 'bOB', v = 12 WHERE id = 3;
              REPLACE INTO caseless VALUES (9, 'ANN');
              UPDATE OR REPLACE caseless SET name = 'BOB' WHERE id = 9;
              REPLACE INTO indexed_case VALUES (9, 'ANN');
              REPLACE INTO tight VALUES ('z', 1, 'evicts a');
              UPDATE OR REPLACE tight SET u = 2 WHERE k = 'c';
              REPLACE INTO users(email, name) VALUES ('new@x', 'key made by the database');
              REPLACE INTO users(email, name) VALUES ('new@x', 'and evicted at once');
            """, recursive_triggers=recursive)
            settle(lab)
            require_equal(b.rows("SELECT id, email FROM users WHERE email IN ('a@x', 'b@x') ORDER BY id"),
                          [(3, "b@x"), (9, "a@x")], "users after REPLACE on the other node")
            require_equal(b.value("SELECT count(*) FROM users WHERE id IN (1, 2)"), 0, "evicted rows that stayed")
            require_equal(lab.conflicts(), [], "conflicts of one writer alone")


@test
def test_s01_victims_of_a_rowid_written_by_name(lab):
    """A table with another key still has rowids, and REPLACE evicts whoever has the rowid."""
    a, b = started_pair(lab, "CREATE TABLE t(k TEXT PRIMARY KEY, v);", "INSERT INTO t VALUES ('a', 1), ('b', 2), ('c', 3);")
    a.sql("INSERT OR REPLACE INTO t(rowid, k, v) VALUES (1, 'new', 'evicts a');"
          "UPDATE OR REPLACE t SET rowid = 2 WHERE k = 'c';")
    settle(lab)
    require_equal(b.rows("SELECT k FROM t ORDER BY k"), [("c",), ("new",)], "rows on b")


@test
def test_s01_a_victim_that_the_other_node_changed_is_a_conflict_and_not_lost(lab):
    a, b = started_pair(lab, USERS, THREE)
    b.sql("UPDATE users SET name = 'changed on b' WHERE id = 1")
    time.sleep(0.01)
    a.sql("REPLACE INTO users VALUES (9, 'a@x', 'evicts 1')")
    settle(lab)
    shown = [row_of(c["loser"]) for c in lab.conflicts()]
    everything = repr(shown) + repr(a.rows("SELECT * FROM users"))
    require("changed on b" in everything and "evicts 1" in everything, "a write is lost: %s" % everything)


@test
def test_s02_upsert_is_captured_as_what_it_did(lab):
    a, b = started_pair(lab, USERS, THREE)
    a.sql("""
      INSERT INTO users VALUES (1, 'a@x', 'by key') ON CONFLICT(id) DO UPDATE SET name = excluded.name;
      INSERT INTO users VALUES (8, 'b@x', 'by email') ON CONFLICT(email) DO UPDATE SET name = excluded.name;
      INSERT INTO users VALUES (4, 'd@x', 'inserted') ON CONFLICT(id) DO UPDATE SET name = 'not this';
      INSERT INTO users VALUES (9, 'c@x', 'moves 3') ON CONFLICT(email) DO UPDATE SET id = 30, name = excluded.name;
      INSERT INTO users VALUES (5, 'e@x', 'new') ON CONFLICT DO NOTHING;""")
    settle(lab)
    require_equal(b.rows("SELECT id, name FROM users ORDER BY id"),
                  [(1, "by key"), (2, "by email"), (4, "inserted"), (5, "new"), (30, "moves 3")], "rows on b")
    a.sql("""INSERT INTO users VALUES (1, 'zz@x', 'never') ON CONFLICT DO NOTHING;
             INSERT INTO users VALUES (77, 'b@x', 'never') ON CONFLICT(email) DO NOTHING;
             INSERT INTO users VALUES (1, 'b@x', 'never') ON CONFLICT(id) DO UPDATE SET name = 'x' WHERE 0;""")
    require_equal(moved(lab.sync()), 0, "rows moved by an upsert that did nothing")
    lab.require_settled()
    b.sql("UPDATE users SET name = 'b changed 2' WHERE id = 2")
    time.sleep(0.01)
    a.sql("INSERT INTO users VALUES (78, 'b@x', 'never') ON CONFLICT(email) DO NOTHING")
    settle(lab)
    require_equal(a.value("SELECT name FROM users WHERE id = 2"), "b changed 2", "a candidate is not a change")
    require_equal(lab.conflicts(), [], "conflicts made of candidates")


@test
def test_s03_the_conflict_clause_of_the_application_never_reaches_the_log(lab):
    a, b = started_pair(lab, USERS, THREE)
    connection = connect(a.path)
    for clause in ("OR ABORT", "OR FAIL", "OR IGNORE", "OR ROLLBACK", "OR REPLACE", ""):
        for i in range(3):  # the same keys again and again before any session
            connection.execute("UPDATE %s users SET name = ? WHERE id = 1" % clause, ("%s %d" % (clause, i),))
            connection.execute("INSERT %s INTO users VALUES (?, ?, ?)" % clause,
                               (100 + i + 10 * len(clause), "%s%d" % (clause, i), clause))
            connection.execute("DELETE FROM users WHERE id = ?", (100 + i + 10 * len(clause),))
            connection.execute("INSERT %s INTO users VALUES (?, ?, ?)" % clause,
                               (100 + i + 10 * len(clause), "%s%d" % (clause, i), clause + " again"))
    connection.execute("INSERT OR IGNORE INTO users VALUES (1, 'other@x', 'ignored')")
    connection.close()
    settle(lab)
    require_equal(b.value("SELECT count(*) FROM users WHERE name LIKE '%again'"), 18, "inserted rows on b")
    require_equal(b.value("SELECT name FROM users WHERE id = 1"), " 2", "the last update")


@test
def test_s04_a_user_trigger_that_changes_the_row_afterwards_is_seen(lab):
    schema = """
      CREATE TABLE doc(id INTEGER PRIMARY KEY, body TEXT, length INTEGER, edits INTEGER DEFAULT 0);
      CREATE TABLE audit(n INTEGER PRIMARY KEY, what TEXT);
      CREATE TRIGGER older AFTER INSERT ON doc BEGIN
        UPDATE doc SET length = length(new.body) WHERE id = new.id;
        INSERT INTO audit(what) VALUES ('insert ' || new.id); END;"""
    a, b = lab.pair(schema, exclude=["audit"])
    lab.activate()
    for node in (a, b):
        node.sql("""CREATE TRIGGER younger AFTER UPDATE OF body ON doc BEGIN
          UPDATE doc SET edits = edits + 1, length = length(new.body) WHERE id = new.id;
          INSERT INTO audit(what) VALUES ('update ' || new.id); END;
          CREATE TRIGGER gone AFTER DELETE ON doc BEGIN INSERT INTO audit(what) VALUES ('delete ' || old.id); END;""")
    a.sql("INSERT INTO doc(id, body) VALUES (1, 'hello'), (2, 'bye'), (3, 'x'); UPDATE doc SET body = 'hello you' "
          "WHERE id = 1; UPDATE doc SET body = body || '!' WHERE id = 1; DELETE FROM doc WHERE id = 3;")
    lab.sync()
    lab.require_equal_nodes(tables=["doc"])
    require_equal(b.rows("SELECT * FROM doc ORDER BY id"), [(1, "hello you!", 10, 2), (2, "bye", 3, 0)], "rows on b")
    require_equal(b.value("SELECT count(*) FROM audit"), 0, "user triggers that fired for applied rows")
    a.sql("DELETE FROM doc WHERE id = 2")
    lab.sync()
    require_equal(b.value("SELECT count(*) FROM audit"), 0, "user triggers that fired for applied rows")
    lab.require_equal_nodes(tables=["doc"])


@test
def test_s05_without_rowid_tables(lab):
    schema = """
      CREATE TABLE plain(k TEXT PRIMARY KEY, v) WITHOUT ROWID;
      CREATE TABLE composite(v, b INTEGER, a TEXT COLLATE NOCASE, w, PRIMARY KEY(a, b)) WITHOUT ROWID;
      CREATE TABLE wide(id INTEGER PRIMARY KEY, v) WITHOUT ROWID;
      CREATE TABLE keys_only(a, b, PRIMARY KEY(a, b)) WITHOUT ROWID;"""
    for_wal = """
      INSERT INTO plain VALUES ('a', 1), ('b', 2); INSERT INTO composite VALUES (1, 1, 'x', 2), (3, 2, 'y', 4);
      INSERT INTO wide VALUES (1, 'a'), (2, 'b'); INSERT INTO keys_only VALUES (1, 2), ('1', '2'), (x'', '');"""
    a, b = started_pair(lab, schema, for_wal)
    a.sql("""UPDATE plain SET v = 9 WHERE k = 'a'; DELETE FROM plain WHERE k = 'b'; INSERT INTO plain VALUES ('c', 3);
             UPDATE composite SET a = 'X' WHERE b = 1; UPDATE composite SET b = 7 WHERE b = 2;
             UPDATE wide SET id = id + 10; DELETE FROM keys_only WHERE a = 1; REPLACE INTO keys_only VALUES (3, 4);""")
    b.sql("INSERT INTO plain VALUES ('d', x'00'); INSERT INTO wide VALUES (50, 'b');")
    settle(lab)
    require_equal(b.value("SELECT group_concat(a || b) FROM (SELECT * FROM composite ORDER BY a)"), "X1,y7", "keys")


@test
def test_s06_a_table_without_a_key_is_named_and_refused(lab):
    schema = """
      CREATE TABLE heap(a, b); INSERT INTO heap VALUES (1, 2), (1, 2);
      CREATE TABLE nullable(a TEXT UNIQUE, b);
      CREATE TABLE unique_key(v, a TEXT NOT NULL UNIQUE);
      CREATE TABLE fine(id INTEGER PRIMARY KEY, v);"""
    a, b = lab.pair(schema)
    lab.run("check", code=None).require_told("heap", "nullable", "key")
    lab.activate()
    a.sql("INSERT INTO unique_key VALUES (1, 'k'), (2, 'l'); INSERT INTO fine VALUES (1, 1), (2, 2), (3, 3);"
          "DELETE FROM fine WHERE id = 1; INSERT INTO heap VALUES (5, 5);")
    lab.sync()
    lab.require_equal_nodes(tables=["fine", "unique_key"])
    a.sql("VACUUM")
    b.sql("VACUUM")
    a.sql("UPDATE unique_key SET v = 3 WHERE a = 'l'; DELETE FROM unique_key WHERE a = 'k'; UPDATE fine SET v = 7;")
    lab.sync()
    lab.require_equal_nodes(tables=["fine", "unique_key"])
    require_equal(b.value("SELECT count(*) FROM heap"), 2, "rows of a table that cannot take part")
    lab.jobs["ab"][0]["tables"] = ["fine", "heap"]
    result = lab.activate(code=8)
    result.require_told("heap", "key")
    lab.jobs["ab"][0]["tables"] = ["fine"]
    lab.activate()
    lab.sync()


@test
def test_s07_null_in_a_primary_key_is_set_aside_with_a_reason(lab):
    schema = "CREATE TABLE t(k TEXT PRIMARY KEY, v); CREATE TABLE two(a, b, v, PRIMARY KEY(a, b));"
    a, b = started_pair(lab, schema, "INSERT INTO t VALUES ('x', 1), ('y', 2); INSERT INTO two VALUES (1, 1, 1);")
    a.sql("INSERT INTO t VALUES (NULL, 'n1'), (NULL, 'n2'), ('z', 3); INSERT INTO two VALUES (1, NULL, 2);"
          "UPDATE t SET v = 'n3' WHERE k IS NULL AND v = 'n1'; UPDATE t SET k = NULL WHERE k = 'x';")
    b.sql("INSERT INTO t VALUES (NULL, 'on b'); UPDATE t SET v = 'b' WHERE k = 'y'")
    result = lab.sync(code=3)
    require(result.told("null") and result.told("t"), "the session should say which rows it set aside: %s" % result)
    require_equal(b.rows("SELECT k, v FROM t WHERE k IS NOT NULL ORDER BY k"), [("y", "b"), ("z", 3)], "rows on b")
    require_equal(a.rows("SELECT k, v FROM t WHERE k IS NOT NULL ORDER BY k"), [("y", "b"), ("z", 3)], "rows on a")
    require_equal(a.value("SELECT count(*) FROM t WHERE k IS NULL"), 3, "rows with a NULL key on a")
    require_equal(b.rows("SELECT v FROM t WHERE k IS NULL"), [("on b",)], "rows with a NULL key on b")
    require_equal(b.value("SELECT count(*) FROM two"), 1, "rows of a key that is NULL in part")
    a.sql("DELETE FROM t WHERE v = 'n2'; UPDATE t SET k = 'was null' WHERE v = 'n3';"
          "UPDATE t SET k = 'x' WHERE k IS NULL; UPDATE two SET b = 5 WHERE b IS NULL;")
    b.sql("DELETE FROM t WHERE k IS NULL")
    lab.sync(code=(0, 3))
    lab.require_equal_nodes()
    require_equal(b.value("SELECT count(*) FROM t WHERE k IN ('was null', 'x')"), 2, "rows that got a key")
    lab.sync()


@test
def test_s07_null_keys_that_were_there_before_activation(lab):
    a, b = lab.pair("CREATE TABLE t(k TEXT PRIMARY KEY, v);")
    a.sql("INSERT INTO t VALUES (NULL, 'n1'), (NULL, 'n2'), ('z', 3)")
    b.sql("INSERT INTO t VALUES (NULL, 'n3'), ('y', 4)")
    lab.activate()
    lab.sync(code=(0, 3))
    require_equal(a.rows("SELECT k, v FROM t WHERE k IS NOT NULL ORDER BY k"), [("y", 4), ("z", 3)], "rows on a")
    require_equal(b.rows("SELECT k, v FROM t WHERE k IS NOT NULL ORDER BY k"), [("y", 4), ("z", 3)], "rows on b")
    require_equal(b.value("SELECT count(*) FROM t"), 3, "all rows on b")
    lab.sync(code=(0, 3))
    require_equal(a.value("SELECT count(*) FROM t"), 4, "all rows on a")


@test
def test_s08_key_updates_and_swaps(lab):
    schema = """
      CREATE TABLE t(id INTEGER PRIMARY KEY, u TEXT UNIQUE, v);
      CREATE TABLE c(a TEXT, b INTEGER, v, PRIMARY KEY(a, b));
      CREATE TABLE w(k TEXT PRIMARY KEY, u INTEGER NOT NULL UNIQUE) WITHOUT ROWID;"""
    rows = """INSERT INTO t VALUES (1, 'u1', 'one'), (2, 'u2', 'two'), (3, 'u3', 'three'), (4, 'u4', 'four');
              INSERT INTO c VALUES ('x', 1, 'one'), ('x', 2, 'two'), ('y', 1, 'three');
              INSERT INTO w VALUES ('a', 1), ('b', 2), ('c', 3);"""
    a, b = started_pair(lab, schema, rows)
    a.sql("""BEGIN; UPDATE t SET id = -1 WHERE id = 1; UPDATE t SET id = 1 WHERE id = 2;
               UPDATE t SET id = 2 WHERE id = -1; COMMIT;
             UPDATE t SET id = 40 WHERE id = 4;
             BEGIN; UPDATE c SET b = 99 WHERE a = 'x' AND b = 1; UPDATE c SET b = 1 WHERE a = 'x' AND b = 2;
               UPDATE c SET b = 2 WHERE b = 99; COMMIT;
             UPDATE c SET a = 'z' WHERE a = 'y';
             BEGIN; UPDATE w SET k = 'tmp' WHERE k = 'a'; UPDATE w SET k = 'a' WHERE k = 'b';
               UPDATE w SET k = 'b' WHERE k = 'c'; UPDATE w SET k = 'c' WHERE k = 'tmp'; COMMIT;""")
    settle(lab)
    require_equal(b.rows("SELECT * FROM t ORDER BY id"), [(1, "u2", "two"), (2, "u1", "one"), (3, "u3", "three"),
                                                          (40, "u4", "four")], "swapped keys with their unique values")
    require_equal(b.rows("SELECT k, u FROM w ORDER BY k"), [("a", 2), ("b", 3), ("c", 1)], "a cycle of keys")
    require_equal(lab.conflicts(), [], "conflicts of one writer alone")
    a.sql("UPDATE t SET id = -id; UPDATE t SET id = 100 - id;")
    settle(lab)
    require_equal(b.rows("SELECT id FROM t ORDER BY id"), [(101,), (102,), (103,), (140,)], "all keys moved")
    # The key moves on one side, the row changes on the other: nothing is lost.
    a.sql("UPDATE t SET id = 200 WHERE id = 101")
    b.sql("UPDATE t SET v = 'changed meanwhile' WHERE id = 101")
    settle(lab)
    kept = repr(a.rows("SELECT * FROM t")) + repr([(row_of(c["loser"]), c["type"]) for c in lab.conflicts()])
    require("changed meanwhile" in kept, "the change of a row whose key moved is lost: %s" % kept)


@test
def test_s09_a_key_written_under_its_other_names_is_captured(lab):
    schema = ("CREATE TABLE t(id INTEGER PRIMARY KEY, v); CREATE TABLE named(rowid INTEGER PRIMARY KEY, v);"
              "CREATE TABLE hidden(k TEXT PRIMARY KEY, v);")
    a, b = started_pair(lab, schema, "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c'); INSERT INTO named VALUES "
                                     "(1, 'a'); INSERT INTO hidden VALUES ('k', 1), ('l', 2);")
    a.sql("UPDATE t SET rowid = 9 WHERE id = 1; UPDATE t SET oid = 10 WHERE id = 2; UPDATE t SET _rowid_ = 11 "
          "WHERE id = 3; UPDATE named SET oid = 5; UPDATE hidden SET rowid = 77 WHERE k = 'k';")
    settle(lab)
    require_equal(b.rows("SELECT id, v FROM t ORDER BY id"), [(9, "a"), (10, "b"), (11, "c")], "rows on b")
    require_equal(b.rows("SELECT * FROM named"), [(5, "a")], "rows on b")


@test
def test_s10_keys_of_different_storage_classes_stay_different_rows(lab):
    schema = """
      CREATE TABLE typeless(k PRIMARY KEY, v); CREATE TABLE typeless_w(k PRIMARY KEY, v) WITHOUT ROWID;
      CREATE TABLE numeric_key(k NUMERIC PRIMARY KEY, v); CREATE TABLE text_key(k TEXT PRIMARY KEY, v);
      CREATE TABLE blob_key(k BLOB PRIMARY KEY, v); CREATE TABLE real_key(k REAL PRIMARY KEY, v);
      CREATE TABLE odd_key(k "FLOATING POINT" PRIMARY KEY, v); CREATE TABLE int_key(k INT PRIMARY KEY, v);
      CREATE TABLE pair_key(a, b NUMERIC, v, PRIMARY KEY(a, b));"""
    a, b = started_pair(lab, schema)
    values = [1, "1", b"1", 1.5, "1.5", "1.0", "01", b"", "", 2**63 - 1, -2**63, 2**53 + 1, float(2**53), 1e300,
              float("inf"), "abc", b"abc", "ABC", 0, "0", -1, "é", "é\u0301"]
    for node, label in ((a, "from a"),):
        connection = connect(node.path)
        for table in user_tables(connection):
            for value in values:
                with contextlib.suppress(sqlite3.IntegrityError):
                    if table == "pair_key":
                        connection.execute("INSERT INTO pair_key VALUES (?, ?, ?)", (value, value, label))
                        connection.execute("INSERT INTO pair_key VALUES (?, 7, ?)", (value, label))
                    else:
                        connection.execute("INSERT INTO %s VALUES (?, ?)" % table, (value, label))
        connection.close()
    settle(lab)
    require_equal(b.value("SELECT count(*) FROM typeless"), len(values), "distinct typeless keys")
    for table in ("typeless", "typeless_w", "blob_key"):
        a.do("UPDATE %s SET v = 'integer one' WHERE k = 1" % table)
        a.do("UPDATE %s SET v = 'text one' WHERE k = '1'" % table)
        b.do("DELETE FROM %s WHERE k = x'31'" % table)
        b.do("UPDATE %s SET v = 'biggest' WHERE k = 9223372036854775807" % table)
    b.do("UPDATE real_key SET v = 'b' WHERE k = 1")
    a.do("DELETE FROM numeric_key WHERE k = '1'")
    a.do("UPDATE typeless SET k = '2' WHERE k = 1")
    b.do("UPDATE int_key SET k = 1.25 WHERE k = 1.5")
    settle(lab)
    require_equal(a.rows("SELECT k, v FROM typeless WHERE k IN (1, '1', x'31', '2') ORDER BY typeof(k), k"),
                  [("1", "text one"), ("2", "integer one")], "keys that look alike")
    require_equal(lab.conflicts(), [], "conflicts between rows that are not the same")


@test
def test_s10_two_nodes_with_strange_keys_meet_for_the_first_time(lab):
    """Both hold data, so every key is compared in the order of keys, which both sides must agree on."""
    schema = """CREATE TABLE p(k PRIMARY KEY, v); CREATE TABLE w(k PRIMARY KEY, v) WITHOUT ROWID;
                CREATE TABLE n(k TEXT COLLATE NOCASE PRIMARY KEY, v); CREATE TABLE r(k TEXT COLLATE RTRIM PRIMARY KEY, v);
                CREATE TABLE x(k TEXT PRIMARY KEY, v); CREATE TABLE f(k REAL PRIMARY KEY, v); CREATE TABLE b(k BLOB, v INT,
                PRIMARY KEY(v, k)); CREATE TABLE c(a TEXT COLLATE NOCASE, b, v, PRIMARY KEY(b, a)) WITHOUT ROWID;"""
    numbers = [0, 1, -1, 2**53, 2**53 + 1, float(2**53), 2**63 - 1, float(2**63), -2**63, float(-2**63), -2**63 + 1,
               0.5, -0.5, 1e300, -1e300, float("inf"), float("-inf"), 2**62, float(2**62), 2**62 + 1, 1e-320]
    texts = ["", "a", "A", "a ", "a  b", "ab", "aB", "Z", "z", "[", "_", "É", "é", "\x00", "a\x00", "a\x00b", "0", "1",
             "\U0001f600", "\uffff", " ", "  ", "@", "`", "{"]
    blobs = [b"", b"\x00", b"\xff", b"a", b"A", b"1", bytes(range(50))]
    a, b = lab.pair(schema)
    for node, rng in ((a, lab.rng), (b, lab.rng)):
        connection = connect(node.path)
        for table in user_tables(connection):
            for value in numbers + texts + blobs:
                if rng.random() < 0.7:
                    marks = (value, 0) if table == "b" else (value, value, "v") if table == "c" else (value, "v")
                    connection.execute("INSERT OR IGNORE INTO %s VALUES (%s)" % (table, ", ".join("?" * len(marks))), marks)
        connection.close()
    union = {t: len(set(a.rows("SELECT k FROM %s" % t)) | set(b.rows("SELECT k FROM %s" % t))) for t in "xwp"}
    lab.activate()
    lab.sync()
    lab.require_settled()
    require_equal(a.value("SELECT count(*) FROM x"), union["x"], "rows after the first session")
    a.sql("DELETE FROM w; DELETE FROM n WHERE k > 'b'")
    lab.sync("--allow-deletes")
    lab.require_settled()


@test
def test_s10_keys_that_are_equal_but_not_identical(lab):
    """1 and 1.0 are one key of a typeless column; the row that stays is the one that won, bit for bit."""
    a, b = started_pair(lab, "CREATE TABLE t(k PRIMARY KEY, v); CREATE TABLE w(k PRIMARY KEY, v) WITHOUT ROWID;")
    for table in "tw":
        a.do("INSERT INTO %s VALUES (1, 'a'), (2.0, 'a')" % table)
    settle(lab)
    for table in "tw":
        a.do("UPDATE %s SET k = 1.0 WHERE k = 1" % table)
        b.do("REPLACE INTO %s VALUES (2, 'b')" % table)
    settle(lab)
    require_equal(b.rows("SELECT typeof(k), v FROM t ORDER BY k"), [("real", "a"), ("integer", "b")], "storage classes")


@test
def test_s11_keys_that_differ_in_case_are_one_row(lab):
    schema = """CREATE TABLE t(k TEXT COLLATE NOCASE PRIMARY KEY, v);
                CREATE TABLE w(k TEXT COLLATE NOCASE PRIMARY KEY, v) WITHOUT ROWID;
                CREATE TABLE r(k TEXT COLLATE RTRIM PRIMARY KEY, v);
                CREATE TABLE c(k TEXT, v, PRIMARY KEY(k COLLATE NOCASE));"""
    a, b = started_pair(lab, schema, "".join("INSERT INTO %s VALUES ('Abc', 1), ('Def', 2);" % t for t in "twr"))
    for table in "tw":
        a.do("UPDATE %s SET k = 'ABC' WHERE k = 'abc'" % table)
        b.do("REPLACE INTO %s VALUES ('dEF', 'replaced')" % table)
    a.do("UPDATE r SET k = 'Abc  ' WHERE k = 'Abc'")
    b.do("INSERT INTO r VALUES ('Def   ', 'upsert') ON CONFLICT(k) DO UPDATE SET k = excluded.k, v = excluded.v")
    settle(lab)
    for table in "tw":
        require_equal(b.rows("SELECT k, v FROM %s ORDER BY k" % table), [("ABC", 1), ("dEF", "replaced")], table)
    require_equal(a.rows("SELECT k, v FROM r ORDER BY k"), [("Abc  ", 1), ("Def   ", "upsert")], "r")
    require_equal(lab.conflicts(), [], "conflicts")
    for table in "tw":  # one key, other case on each side, before the nodes meet
        a.do("INSERT INTO %s VALUES ('New', 'from a')" % table)
        b.do("INSERT INTO %s VALUES ('NEW', 'from b')" % table)
        a.do("DELETE FROM %s WHERE k = 'aBC'" % table)
        b.do("UPDATE %s SET k = 'def' WHERE k = 'DEF'" % table)
    settle(lab)
    for table in "tw":
        require_equal(a.value("SELECT count(*) FROM %s" % table), 2, "rows of " + table)
    require_equal(sorted((c["table"], c["type"]) for c in lab.conflicts()),
                  [("t", "insert_exists"), ("w", "insert_exists")], "conflicts")


@test
def test_s12_values_travel_bit_for_bit(lab):
    columns = ["c%d" % i for i in range(80)]
    schema = "CREATE TABLE v(id INTEGER PRIMARY KEY, x, r REAL, t TEXT, n NUMERIC, b BLOB, i INTEGER);" \
             "CREATE TABLE w(id INTEGER PRIMARY KEY, %s);" % ", ".join(columns)
    a, b = started_pair(lab, schema)
    values = [0.1 + 0.2, 1 / 3, 5e-324, 1.7976931348623157e308, 2**53 + 1, 2**63 - 1, -2**63, 1e15, 123456789012345678,
              "0.30000000000000004", "1e3", " 12 ", b"\x00\x01\xff", b"", "", "\u20ac\U0001f600", "it's \"quoted\"\n",
              "x" * 100000, bytes(range(256)) * 300, True, None]
    connection = connect(a.path)
    for i, value in enumerate(values):
        connection.execute("INSERT INTO v VALUES (?, ?, ?, ?, ?, ?, ?)", (i,) + (value,) * 6)
    connection.execute("INSERT INTO w VALUES (1, %s)" % ", ".join("?" * 80), [0.1 + i for i in range(80)])
    connection.execute("INSERT INTO w(id, c7) VALUES (2, x'00ff')")
    connection.execute("UPDATE w SET c79 = 0.1 + 0.2 WHERE id = 1")
    connection.close()
    settle(lab)
    a.do("UPDATE v SET x = 0.1 + 0.2 + id * 1e-17")
    b.do("UPDATE w SET c3 = x'ff00' WHERE id = 2")
    settle(lab)


@test
def test_s13_nul_and_invalid_utf8_inside_text(lab):
    schema = "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); CREATE TABLE k(k TEXT PRIMARY KEY, v TEXT);"
    texts = ["610062", "00", "ff", "c328", "eda080", "f09f9880", "6100", "61", "c3a9", "0061", "e28228", "6162ff00"]
    a, b = started_pair(lab, schema)
    for i, text in enumerate(texts):
        a.sql("INSERT INTO t VALUES (%d, CAST(x'%s' AS TEXT)); INSERT INTO k VALUES (CAST(x'%s' AS TEXT), "
              "CAST(x'%s' AS TEXT));" % (i, text, text, text))
    settle(lab)
    require_equal(b.rows("SELECT hex(CAST(k AS BLOB)) FROM k ORDER BY k"),
                  [(t.upper(),) for t in sorted(texts)], "keys with strange bytes")
    for i, text in enumerate(texts):  # conflicts over such rows: both sides survive the log and JSON
        a.sql("UPDATE t SET v = CAST(x'%s41' AS TEXT) WHERE id = %d; UPDATE k SET v = CAST(x'%s41' AS TEXT) "
              "WHERE k = CAST(x'%s' AS TEXT)" % (text, i, text, text))
    time.sleep(0.005)
    for i, text in enumerate(texts):
        b.sql("UPDATE t SET v = CAST(x'%s42' AS TEXT) WHERE id = %d; UPDATE k SET v = CAST(x'%s42' AS TEXT) "
              "WHERE k = CAST(x'%s' AS TEXT)" % (text, i, text, text))
    settle(lab)
    conflicts = lab.conflicts()
    require_equal(len(conflicts), 2 * len(texts), "conflicts")
    for conflict in conflicts:
        if conflict["table"] == "t":
            text = texts[row_of(conflict["loser"])["id"][1]]
            require_equal(row_of(conflict["loser"])["v"], ("text", bytes.fromhex(text + "41")), "the loser's text")
            require_equal(row_of(conflict["winner"])["v"], ("text", bytes.fromhex(text + "42")), "the winner's text")
        lab.run("conflicts", "show", conflict["id"])
        lab.run("conflicts", "show", conflict["id"], as_json=False)
        lab.run("conflicts", "reinstate", conflict["id"])
    settle(lab)
    require_equal(b.rows("SELECT hex(CAST(v AS BLOB)) FROM t ORDER BY id"), [(t.upper() + "41",) for t in texts],
                  "reinstated texts")
    require_equal(a.rows("SELECT hex(CAST(v AS BLOB)) FROM k ORDER BY k"), [(t.upper() + "41",) for t in sorted(texts)],
                  "reinstated texts")


BUILT_IN = {"cast", "round", "julianday", "strftime", "max", "min", "coalesce", "ifnull", "typeof", "values", "exists",
            "in", "and", "or", "not", "where", "select", "when", "is", "from"}


@test
def test_s14_triggers_use_built_in_functions_only(lab):
    a, _ = lab.pair(SHOP + "CREATE TABLE e(id INTEGER PRIMARY KEY, n TEXT, g GENERATED ALWAYS AS (n || 'x') UNIQUE);"
                           "CREATE UNIQUE INDEX e_n ON e(n COLLATE NOCASE);")
    lab.activate()
    triggers = a.rows("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND name LIKE 'tidemark%'")
    require(len(triggers) >= 3 * 6, "every table should have triggers: %s" % [n for n, _ in triggers])
    for name, sql in triggers:
        body = re.sub(r'"(?:[^"]|"")*"|\'(?:[^\']|\'\')*\'', "x", sql[sql.upper().index("BEGIN"):])
        used = {f.lower() for f in re.findall(r"\b([A-Za-z_]+)\s*\(", body)} - {"x"}
        names = {m.lower() for m in re.findall(r"INTO\s+([A-Za-z0-9_.]+)\s*\(", body, re.I)}
        require(used - names <= BUILT_IN, "trigger %s calls %s" % (name, sorted(used - names - BUILT_IN)))
        for young in ("->", "RETURNING", "unixepoch", "subsec", "iif("):
            require(young.lower() not in body.lower(), "trigger %s uses %s" % (name, young))
    a.shell("INSERT INTO customer VALUES (1, 'm', 'by the sqlite3 program'); UPDATE customer SET name = 'n';"
            "REPLACE INTO customer VALUES (2, 'm', 'x'); DELETE FROM customer; INSERT INTO e(id, n) VALUES (1, 'q');")
    a.shell(".dbconfig defensive on\n.dbconfig trusted_schema off\nPRAGMA trusted_schema = OFF;"
            "INSERT INTO customer VALUES (5, 'n', 'cautious'); REPLACE INTO customer VALUES (6, 'n', 'cautious');")
    settle(lab)


@test
def test_s15_generated_columns(lab):
    schema = """
      CREATE TABLE t(id INTEGER PRIMARY KEY, price REAL, amount INTEGER,
                     total REAL GENERATED ALWAYS AS (price * amount) VIRTUAL,
                     label TEXT AS ('#' || id) STORED, tail TEXT);
      CREATE TABLE g(a INTEGER, b INTEGER, s INTEGER AS (a + b) STORED UNIQUE, k TEXT PRIMARY KEY,
                     last AS (k || '!')) WITHOUT ROWID;
      CREATE INDEX t_total ON t(total);"""
    a, b = started_pair(lab, schema, "INSERT INTO t(id, price, amount, tail) VALUES (1, 2.5, 3, 'x'), (2, 1, 1, 'y');"
                                     "INSERT INTO g(a, b, k) VALUES (1, 2, 'k'), (2, 2, 'l'), (9, 9, 'm');")
    a.sql("UPDATE t SET amount = 10 WHERE id = 1; INSERT INTO t(id, price, amount) VALUES (3, 1, 2);"
          "DELETE FROM t WHERE id = 2; REPLACE INTO g(a, b, k) VALUES (2, 1, 'evicts k');"
          "UPDATE OR REPLACE g SET a = 10, b = 8 WHERE k = 'l'")
    b.sql("UPDATE t SET tail = 'from b' WHERE id = 2; UPDATE t SET tail = 'b too' WHERE id = 1;")
    settle(lab)
    require_equal(b.rows("SELECT total, label FROM t WHERE id = 3"), [(2.0, "#3")], "computed columns")
    require_equal(b.rows("SELECT k, s, last FROM g ORDER BY k"), [("evicts k", 3, "evicts k!"), ("l", 18, "l!")], "g")
    a.sql("UPDATE t SET amount = 100 WHERE id = 3")
    time.sleep(0.004)
    b.sql("UPDATE t SET amount = 200 WHERE id = 3")
    settle(lab)
    lab.run("conflicts", "reinstate", next(c["id"] for c in lab.conflicts() if row_of(c["loser"])
                                           and row_of(c["loser"]).get("amount") == ("integer", 100)))
    settle(lab)
    require_equal(b.value("SELECT total FROM t WHERE id = 3"), 100.0, "a computed column of a reinstated row")


@test
def test_s16_applied_rows_are_not_captured(lab):
    a, b = started_pair(lab, SHOP)
    a.sql("".join("INSERT INTO customer VALUES (%d, 'm%d', 'n'); INSERT INTO orders VALUES (%d, %d, 1, 'n');" % (
        i, i, i, i) for i in range(50)))
    first = lab.sync()
    require_equal(moved(first), 100, "rows moved")
    for log in b.rows("SELECT name FROM sqlite_schema WHERE name LIKE 'tidemark_log%' AND type = 'table'"):
        require_equal(b.value("SELECT count(*) FROM %s" % log[0]), 0, "entries of applied rows in " + log[0])
    require_equal(moved(lab.sync()), 0, "rows that came back")
    lab.require_settled()


@test
def test_s16_rows_changed_by_foreign_keys_during_apply(lab):
    """The parent is deleted on one node while the other has children that the deleter had never seen. The session runs
    without foreign keys, so no action of theirs changes a row that nobody captures; its own rule does: children that are
    later than the delete bring their parents back, earlier ones go with them and are kept in the conflict log."""
    schema = """CREATE TABLE p(id INTEGER PRIMARY KEY, v);
      CREATE TABLE cascading(id INTEGER PRIMARY KEY, p INTEGER REFERENCES p(id) ON DELETE CASCADE ON UPDATE CASCADE, v);
      CREATE TABLE nulling(id INTEGER PRIMARY KEY, p INTEGER REFERENCES p(id) ON DELETE SET NULL, v);
      CREATE TABLE defaulting(id INTEGER PRIMARY KEY, p INTEGER DEFAULT 1 REFERENCES p(id) ON DELETE SET DEFAULT, v);
      CREATE TABLE grandchild(id INTEGER PRIMARY KEY, c INTEGER REFERENCES cascading(id) ON DELETE CASCADE, v);"""
    for deleted_last in (True, False):
        lab.reset()
        a, b = started_pair(lab, schema, "INSERT INTO p VALUES (1, 'keeps'), (2, 'x'), (3, 'y'), (4, 'z');")
        delete = lambda: a.sql("DELETE FROM p WHERE id IN (2, 3, 4)", foreign_keys=1)
        if not deleted_last:
            delete()
            time.sleep(0.01)
        b.sql("INSERT INTO cascading VALUES (1, 2, 'child'), (2, 2, 'child too'); INSERT INTO nulling VALUES (1, 3, 'n');"
              "INSERT INTO defaulting VALUES (1, 4, 'd'); INSERT INTO grandchild VALUES (1, 1, 'g');", foreign_keys=1)
        if deleted_last:
            time.sleep(0.01)
            delete()
        lab.sync()
        lab.require_settled()
        for node in (a, b):
            children = [node.rows("SELECT * FROM %s ORDER BY id" % table)
                        for table in ("cascading", "nulling", "defaulting", "grandchild")]
            expected = [[], [], [], []] if deleted_last else [
                [(1, 2, "child"), (2, 2, "child too")], [(1, 3, "n")], [(1, 4, "d")], [(1, 1, "g")]]
            require_equal(children, expected, "children on %s" % node.name)
            require_equal(node.rows("SELECT id FROM p ORDER BY id"), [(1,)] if deleted_last else [(1,), (2,), (3,), (4,)],
                          "parents on %s" % node.name)
        types = sorted(conflict["type"] for conflict in lab.conflicts())
        require(len(types) == (5 if deleted_last else 3) and set(types) <= {"child_exists", "parent_missing"},
                "conflicts: %s" % types)


@test
def test_s16_children_in_a_table_of_no_job(lab):
    """The job names the parent only: check and the session warn, and no session touches the child, so its parent stays."""
    schema = """CREATE TABLE p(id INTEGER PRIMARY KEY, v);
                CREATE TABLE c(id INTEGER PRIMARY KEY, p INTEGER REFERENCES p(id) ON DELETE CASCADE, v);"""
    a, b = lab.pair(schema, tables=["p"])
    a.sql("INSERT INTO p VALUES (1, 'x'), (2, 'y')")
    lab.activate()
    findings = lab.run("check", code=None).last["findings"]
    require(any("table c" in str(f) and "table p" in str(f) for f in findings),
            "a list of tables that cuts a relation in two deserves a warning that names both: %s" % findings)
    require(lab.sync().told("referred to by table c"), "the session warns of it, too")
    b.sql("INSERT INTO c VALUES (1, 1, 'child on b')", foreign_keys=1)
    a.sql("DELETE FROM p WHERE id IN (1, 2)")
    lab.sync()
    for node in (a, b):
        require_equal(node.rows("SELECT id FROM p"), [(1,)], "parents on %s" % node.name)
    require_equal(b.rows("SELECT id, p, v FROM c"), [(1, 1, "child on b")], "the child on b")
    require_equal(a.rows("SELECT * FROM c"), [], "children on a")


@test
def test_s17_cascades_by_the_application(lab):
    schema = """PRAGMA foreign_keys = ON;
      CREATE TABLE country(code TEXT PRIMARY KEY);
      CREATE TABLE city(id INTEGER PRIMARY KEY, country TEXT NOT NULL REFERENCES country ON DELETE CASCADE
                        ON UPDATE CASCADE);
      CREATE TABLE street(id INTEGER PRIMARY KEY, city INTEGER REFERENCES city(id) ON DELETE SET NULL);
      CREATE TABLE house(id INTEGER PRIMARY KEY, street INTEGER NOT NULL REFERENCES street(id) ON DELETE CASCADE,
                         next INTEGER REFERENCES house(id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED);"""
    rows = """INSERT INTO country VALUES ('de'), ('fr'), ('it');
      INSERT INTO city VALUES (1, 'de'), (2, 'de'), (3, 'fr'), (4, 'it');
      INSERT INTO street VALUES (1, 1), (2, 1), (3, 2), (4, 3), (5, 4);
      INSERT INTO house VALUES (3, 3, NULL), (2, 1, 3), (1, 1, 2), (4, 4, NULL), (5, 5, 4);"""
    a, b = started_pair(lab, schema, rows)
    a.sql("DELETE FROM country WHERE code = 'de'; UPDATE country SET code = 'FR' WHERE code = 'fr';"
          "DELETE FROM house WHERE id = 4; INSERT INTO country VALUES ('es'); INSERT INTO city VALUES (9, 'es');"
          "DELETE FROM street WHERE id = 3", foreign_keys=1)
    settle(lab)
    require_equal(b.rows("SELECT id, country FROM city ORDER BY id"), [(3, "FR"), (4, "it"), (9, "es")], "cities on b")
    a.sql("REPLACE INTO country VALUES ('es')", foreign_keys=1)   # a new parent in the place of the old: its children go
    settle(lab)
    require_equal(b.rows("SELECT id FROM city ORDER BY id"), [(3,), (4,)], "cities of a replaced country")
    require_equal(b.rows("SELECT id, city FROM street ORDER BY id"), [(1, None), (2, None), (4, 3), (5, 4)], "streets")
    require_equal(lab.conflicts(), [], "conflicts of one writer alone")


@test
def test_s18_deferred_and_cyclic_foreign_keys(lab):
    schema = """
      CREATE TABLE employee(id INTEGER PRIMARY KEY, boss INTEGER NOT NULL REFERENCES employee(id) DEFERRABLE
                            INITIALLY DEFERRED, dept INTEGER REFERENCES dept(id) DEFERRABLE INITIALLY DEFERRED);
      CREATE TABLE dept(id INTEGER PRIMARY KEY, head INTEGER NOT NULL REFERENCES employee(id) DEFERRABLE
                        INITIALLY DEFERRED);
      CREATE TABLE strict_child(id INTEGER PRIMARY KEY, p INTEGER NOT NULL REFERENCES strict_parent(id));
      CREATE TABLE strict_parent(id INTEGER PRIMARY KEY, v);"""
    a, b = started_pair(lab, schema)
    a.sql("""BEGIN; INSERT INTO employee VALUES (2, 1, 1), (1, 1, 1); INSERT INTO dept VALUES (1, 2); COMMIT;
             BEGIN; PRAGMA defer_foreign_keys = ON; INSERT INTO strict_child VALUES (1, 1);
             INSERT INTO strict_parent VALUES (1, 'x'); COMMIT;""", foreign_keys=1)
    settle(lab)
    a.sql("""BEGIN; DELETE FROM employee; DELETE FROM dept; INSERT INTO employee VALUES (5, 5, 9);
             INSERT INTO dept VALUES (9, 5); COMMIT;
             BEGIN; PRAGMA defer_foreign_keys = ON; DELETE FROM strict_parent; DELETE FROM strict_child;
             INSERT INTO strict_child VALUES (7, 8); INSERT INTO strict_parent VALUES (8, 'y'); COMMIT;""",
          foreign_keys=1)
    settle(lab)
    require_equal(b.rows("SELECT * FROM dept"), [(9, 5)], "rows on b")
    require_equal(lab.conflicts(), [], "conflicts of one writer alone")


@test
def test_s19_changes_of_one_millisecond_end_alike_everywhere(lab):
    schema = "CREATE TABLE t(id INTEGER PRIMARY KEY, v);"
    nodes = [lab.node(n, schema) for n in "abc"]
    for i in range(3):
        lab.job("j%d" % i, [nodes[i], nodes[(i + 1) % 3]])
    lab.activate()
    lab.sync()
    connections = [connect(n.path) for n in nodes]
    for i in range(150):
        for j, connection in enumerate(connections):
            connection.execute("INSERT INTO t VALUES (?, ?)", (i, "%s%d" % ("abc"[j], i)))
            connection.execute("UPDATE t SET v = v || '+' WHERE id = ?", (i,))
    for connection in connections:
        connection.close()
    for _ in range(2):
        for job in lab.rng.sample(["j0", "j1", "j2"], 3):
            lab.sync(job)
    lab.sync()
    lab.require_settled()
    kept = {v for (v,) in nodes[0].rows("SELECT v FROM t")}
    kept |= {row_of(c["loser"])["v"][1].decode() for c in lab.conflicts()}
    require_equal(len(kept), 450, "writes that are rows or logged")


def utc(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


@test
def test_s20_the_time_of_a_change_is_exact_to_the_millisecond(lab):
    schema = ("CREATE TABLE t(id INTEGER PRIMARY KEY, node TEXT,"
              " stamp TEXT DEFAULT (strftime('%Y-%m-%dT%H:%M:%f', 'now')));")
    a, b = started_pair(lab, schema)
    connections = [connect(n.path) for n in (a, b)]
    for i in range(200):
        for name, connection in zip("ab", connections):
            connection.execute("INSERT INTO t(id, node) VALUES (?, ?)", (i, name))
        if i % 3 == 0:
            time.sleep(0.0007)
    for connection in connections:
        connection.close()
    lab.sync()
    conflicts = lab.conflicts()
    require_equal(len(conflicts), 200, "conflicts")
    for conflict in conflicts:
        for side in ("winner", "loser"):
            row = row_of(conflict[side])
            stamp = utc(row["stamp"][1].decode() + "000+00:00")
            require_equal(utc(conflict[side]["changed_at"]), stamp,
                          "changed_at of row %s (the statement's own clock says otherwise)" % (row["id"],))
        winner, loser = conflict["winner"]["changed_at"], conflict["loser"]["changed_at"]
        require(utc(winner) >= utc(loser), "the older change won: %s %s" % (winner, loser))


@test
def test_s21_a_transaction_that_commits_late_is_not_skipped(lab):
    for wal in (True, False):
        lab.reset()
        a, b = started_pair(lab, "CREATE TABLE t(id INTEGER PRIMARY KEY, v);", "INSERT INTO t VALUES (1, 0)", wal)
        late = connect(a.path)
        late.execute("BEGIN IMMEDIATE")
        late.execute("INSERT INTO t VALUES (100, 'stamped early')")
        time.sleep(0.05)
        b.sql("UPDATE t SET v = 'b' WHERE id = 1")
        session = lab.start("sync")   # waits for the writer, or works with what is committed
        time.sleep(0.4)
        late.execute("INSERT INTO t VALUES (101, 'stamped before the session ends')")
        late.execute("COMMIT")
        out, err = session.communicate(timeout=60)
        require(session.returncode == 0, "sync beside a long transaction: exit %d %s %s" % (session.returncode, out, err))
        a.sql("INSERT INTO t VALUES (102, 'after')")
        late.close()
        settle(lab)
        require_equal(b.value("SELECT count(*) FROM t"), 4, "rows on b")


REBUILD = """BEGIN; CREATE TABLE new_t(id INTEGER PRIMARY KEY, v); INSERT INTO new_t SELECT id, v FROM t;
             DROP TABLE t; ALTER TABLE new_t RENAME TO t; COMMIT;"""


@test
def test_s22_a_rebuilt_table_is_noticed_and_compared_as_a_whole(lab):
    schema = "CREATE TABLE t(id INTEGER PRIMARY KEY, v); CREATE TABLE other(id INTEGER PRIMARY KEY, v);"
    a, b = started_pair(lab, schema, "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd');")
    a.sql(REBUILD)
    a.sql("INSERT INTO t VALUES (9, 'unseen insert'); UPDATE t SET v = 'unseen update' WHERE id = 1;"
          "INSERT INTO other VALUES (1, 'x');")
    b.sql("UPDATE t SET v = 'changed on b' WHERE id = 2; DELETE FROM t WHERE id = 4;")
    result = lab.sync()
    require(result.told("trigger") or result.told("recover"), "the session should say that triggers were lost: %s" % result)
    lab.require_settled()
    require_equal(b.rows("SELECT id, v FROM t WHERE id IN (1, 2, 9) ORDER BY id"),
                  [(1, "unseen update"), (2, "changed on b"), (9, "unseen insert")], "rows on b")
    a.sql("UPDATE t SET v = 'captured again' WHERE id = 3")
    settle(lab)
    require_equal(b.value("SELECT v FROM t WHERE id = 3"), "captured again", "a change after the recovery")


@test
def test_s22_each_dropped_trigger_is_noticed(lab):
    schema = "CREATE TABLE t(id INTEGER PRIMARY KEY, u TEXT UNIQUE, v);"
    a, b = started_pair(lab, schema, "INSERT INTO t VALUES (1, 'u', 'a'), (2, 'w', 'b');")
    count = a.value("SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'")
    for i in range(count):
        name = a.rows("SELECT name FROM sqlite_schema WHERE type = 'trigger' ORDER BY name")[i][0]
        a.sql("DROP TRIGGER %s; UPDATE t SET v = 'unseen %d' WHERE id = 1; INSERT INTO t VALUES (%d, 'u%d', 'x');" % (
            quoted(name), i, 10 + i, i))
        lab.sync()
        lab.require_equal_nodes()
        require_equal(b.value("SELECT v FROM t WHERE id = 1"), "unseen %d" % i, "after DROP TRIGGER " + name)
        require_equal(a.value("SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'"), count, "triggers")
    a.sql("DROP TRIGGER %s; CREATE TRIGGER %s AFTER INSERT ON t BEGIN SELECT 1; END;" % ((quoted(
        a.rows("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND sql LIKE '%AFTER INSERT%'")[0][0]),) * 2))
    a.sql("INSERT INTO t VALUES (99, 'u99', 'behind an altered trigger')")
    lab.sync()
    lab.require_settled()
    require_equal(b.value("SELECT v FROM t WHERE id = 99"), "behind an altered trigger", "an altered trigger")


@test
def test_s22_a_dropped_table_is_never_taken_for_deleted_rows(lab):
    schema = "CREATE TABLE t(id INTEGER PRIMARY KEY, v); CREATE TABLE other(id INTEGER PRIMARY KEY, v);"
    a, b = started_pair(lab, schema, "INSERT INTO t VALUES (1, 'a'), (2, 'b');")
    b.sql("DROP TABLE t; INSERT INTO other VALUES (1, 'still goes on');")
    a.sql("UPDATE t SET v = 'A' WHERE id = 1")
    result = lab.sync(code=(0, 3, 8))
    require(result.told("t"), "the session should name the table: %s" % result)
    require_equal(a.rows("SELECT * FROM t ORDER BY id"), [(1, "A"), (2, "b")], "rows of the other node")
    require_equal(a.rows("SELECT * FROM other"), [(1, "still goes on")], "the other table")
    b.sql("CREATE TABLE t(id INTEGER PRIMARY KEY, v)")  # made anew, empty
    lab.activate(code=(0, 8))
    lab.sync(code=(0, 3, 8))
    require_equal(a.rows("SELECT * FROM t ORDER BY id"), [(1, "A"), (2, "b")], "rows of the other node")
    lab.sync(code=(0, 3, 8))
    lab.require_settled()
    require_equal(b.rows("SELECT * FROM t ORDER BY id"), [(1, "A"), (2, "b")], "the rows came back")


@test
def test_s22_a_renamed_table_leaves_its_name_to_another(lab):
    schema = "CREATE TABLE t(id INTEGER PRIMARY KEY, v); CREATE TABLE other(id INTEGER PRIMARY KEY, v);"
    a, b = started_pair(lab, schema, "INSERT INTO t VALUES (1, 'a'), (2, 'b');")
    a.sql("ALTER TABLE t RENAME TO t_old; CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'new');"
          "INSERT INTO t_old VALUES (7, 'the application still writes here'); INSERT INTO other VALUES (1, 1);")
    lab.activate(code=(0, 8))
    lab.sync(code=(0, 3, 8))
    require(b.value("SELECT count(*) FROM t WHERE id IN (1, 2)") == 2, "rows were deleted because a table was renamed")
    require_equal(b.value("SELECT count(*) FROM t WHERE id = 7"), 0, "a row of another table")
    a.sql("INSERT INTO t_old VALUES (8, 'and again'); INSERT INTO t VALUES (8, 'mine')")
    lab.sync(code=(0, 3, 8))
    require_equal(health(a.path) + health(b.path), [], "health")
    require_equal(b.value("SELECT v FROM other WHERE id = 1"), 1, "the other table")


@test
def test_s22_columns_added_by_alter_table(lab):
    schema = "CREATE TABLE t(id INTEGER PRIMARY KEY, v); CREATE TABLE other(id INTEGER PRIMARY KEY, v);"
    a, b = started_pair(lab, schema, "INSERT INTO t VALUES (1, 'a');")
    a.sql("ALTER TABLE t ADD COLUMN extra TEXT DEFAULT 'd'; UPDATE t SET v = 'A'; INSERT INTO other VALUES (1, 'o')")
    result = lab.sync(code=(0, 3, 8))
    result.require_told("t", "extra")
    require_equal(b.rows("SELECT * FROM t"), [(1, "a")], "nothing is written to a table whose shape differs")
    require_equal(b.rows("SELECT * FROM other"), [(1, "o")], "the other table goes on")
    b.sql("ALTER TABLE t ADD COLUMN extra TEXT DEFAULT 'd'")
    lab.activate()
    lab.sync()
    lab.require_settled()
    require_equal(b.rows("SELECT * FROM t"), [(1, "A", "d")], "after both nodes have the column")
    for node in (b, a):  # the other order of columns is no difference
        node.sql("UPDATE t SET extra = 'e' WHERE id = 1" if node is b else "INSERT INTO t VALUES (2, 'b', 'f')")
    settle(lab)


@test
def test_s23_the_application_writes_while_capture_is_installed_and_removed(lab):
    a, b = lab.pair("CREATE TABLE t(id INTEGER PRIMARY KEY, v); CREATE TABLE u(id INTEGER PRIMARY KEY, v UNIQUE);",
                    wal=True)
    errors, stop, written = [], threading.Event(), [0]

    def write():
        connection = connect(a.path)
        i = 0
        while not stop.is_set():
            try:
                i += 1
                connection.execute("INSERT INTO t VALUES (?, 'x')", (i,))
                connection.execute("UPDATE t SET v = 'y' WHERE id = ?", (i,))
                connection.execute("REPLACE INTO u VALUES (?, ?)", (i, i % 7))
                written[0] = i
            except sqlite3.Error as error:
                errors.append(error)
            time.sleep(0.0005)
        connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(6):
            lab.activate()
            lab.sync()
            lab.run("deactivate", "a")
    finally:
        stop.set()
        thread.join()
    require(not errors, "the application failed while capture came and went: %s" % errors[:3])
    require(written[0] > 20, "the application hardly wrote")
    lab.activate()
    lab.sync()
    lab.require_settled()


@test
def test_s23_a_dropped_control_table_can_be_repaired(lab):
    a, b = started_pair(lab, "CREATE TABLE t(id INTEGER PRIMARY KEY, v);", "INSERT INTO t VALUES (1, 'a')")
    log = a.rows("SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'tidemark_log%'")[0][0]
    a.sql("DROP TABLE %s" % quoted(log))
    with contextlib.suppress(sqlite3.Error):
        a.sql("UPDATE t SET v = 'fails' WHERE id = 1")
    lab.run("check", code=None)
    lab.sync(code=(0, 8))
    lab.activate(code=0)
    a.sql("UPDATE t SET v = 'works' WHERE id = 1")
    lab.sync()
    lab.require_settled()
    require_equal(b.rows("SELECT * FROM t"), [(1, "works")], "after the repair")
    a.sql("DROP TABLE %s" % quoted(log))
    lab.run("deactivate", "a", "b")
    a.sql("UPDATE t SET v = 'free' WHERE id = 1")
    require_equal([r for r in a.rows("SELECT name FROM sqlite_schema") if "tidemark" in r[0]], [], "left behind")


@test
def test_s24_sessions_beside_writers_never_fail_as_busy(lab):
    a, b = started_pair(lab, SHOP, wal=True)
    ledger = Ledger()
    with Writers(lab, [a, b], ledger, per_node=2, pause_s=0.001):
        for _ in range(60 if lab.long else 25):
            lab.sync(code=(0, 3))
    lab.sync(code=(0, 3))
    lab.sync()
    lab.require_settled()
    lab.note(str(dict(lab.require_ledger(ledger, a))))


@test
def test_s25_changes_of_other_processes_are_captured(lab):
    a, b = started_pair(lab, USERS + "CREATE TABLE w(k TEXT PRIMARY KEY, v) WITHOUT ROWID;", THREE)
    a.shell("REPLACE INTO users VALUES (7, 'a@x', 'by the program'); INSERT INTO w VALUES ('k', 1); DELETE FROM users "
            "WHERE id = 2;\n.mode csv\n.import '|printf \"20,i@x,imported\\n21,j@x,imported\\n\"' users\n")
    settle(lab)
    require_equal([r[0] for r in b.rows("SELECT id FROM users ORDER BY id")], [3, 7, 20, 21], "rows on b")
    other = connect(lab.directory / "other.db")
    other.execute("ATTACH ? AS shop", (str(a.path),))
    other.executescript("INSERT INTO shop.users VALUES (30, 'attached', 'x'); UPDATE shop.users SET name = 'y' WHERE id = 7;"
                        "REPLACE INTO shop.users VALUES (31, 'attached', 'x');"
                        "BEGIN; SAVEPOINT s; INSERT INTO shop.users VALUES (50, 's', 's'); ROLLBACK TO s; COMMIT;")
    other.close()
    settle(lab)
    require_equal(b.rows("SELECT id, name FROM users WHERE id IN (7, 30, 31, 50) ORDER BY id"), [(7, "y"), (31, "x")],
                  "written through an attached database")
    a.sql("DELETE FROM users")   # the whole table, which SQLite could do without looking at rows
    settle(lab)
    require_equal(b.value("SELECT count(*) FROM users"), 0, "rows on b")


@test
def test_s26_virtual_and_shadow_tables_are_left_alone(lab):
    schema = """
      CREATE TABLE doc(id INTEGER PRIMARY KEY, body TEXT);
      CREATE VIRTUAL TABLE search USING fts5(body, content='doc', content_rowid='id');
      CREATE VIRTUAL TABLE own USING fts5(title);
      CREATE VIRTUAL TABLE box USING rtree(id, x0, x1);
      CREATE VIEW short AS SELECT id FROM doc;"""
    a, b = lab.pair(schema)
    lab.activate()
    triggered = {r[0] for r in a.rows("SELECT tbl_name FROM sqlite_schema WHERE type = 'trigger'")}
    require_equal(triggered, {"doc"}, "tables with triggers")
    a.sql("INSERT INTO doc VALUES (1, 'hello world'); INSERT INTO own VALUES ('x'); INSERT INTO box VALUES (1, 0, 1);"
          "INSERT INTO search(rowid, body) VALUES (1, 'hello world');")
    lab.sync()
    require_equal(b.rows("SELECT * FROM doc"), [(1, "hello world")], "rows on b")
    require_equal(b.rows("SELECT count(*) FROM own"), [(0,)], "rows of a virtual table")
    require_equal(a.rows("SELECT rowid FROM search WHERE search MATCH 'hello'"), [(1,)], "the index still works")
    for name in ("own", "short", "own_content"):
        lab.jobs["ab"][0]["tables"] = ["doc", name]
        result = lab.activate(code=(2, 8))
        result.require_told(name)


@test
def test_s27_a_copied_file_is_refused(lab):
    a, b = started_pair(lab, "CREATE TABLE t(id INTEGER PRIMARY KEY, v);", "INSERT INTO t VALUES (1, 'a')")
    c = lab.node("c", copy_of=b.path)
    lab.job("bc", [b, c])
    result = lab.sync("bc", code=7)
    result.require_told("c", "--new-identity")
    lab.activate("c", "--new-identity")
    c.sql("INSERT INTO t VALUES (2, 'from the copy'); UPDATE t SET v = 'copy' WHERE id = 1")
    a.sql("INSERT INTO t VALUES (3, 'from a')")
    for _ in range(2):
        lab.sync()
    lab.require_settled()
    require_equal(a.rows("SELECT * FROM t ORDER BY id"), [(1, "copy"), (2, "from the copy"), (3, "from a")], "rows")


@test
def test_s27_a_restored_file_is_refused(lab):
    a, b = started_pair(lab, "CREATE TABLE t(id INTEGER PRIMARY KEY, v);", "INSERT INTO t VALUES (1, 'a')")
    backup = b.path.read_bytes()
    b.sql("INSERT INTO t VALUES (2, 'only on b at first'); UPDATE t SET v = 'b' WHERE id = 1")
    settle(lab)
    b.path.write_bytes(backup)
    b.sql("INSERT INTO t VALUES (50, 'after the restore')")
    result = lab.sync(code=7)
    result.require_told("b", "--new-incarnation")
    lab.activate("b", "--new-incarnation")
    lab.sync()
    lab.require_settled()
    require_equal(b.rows("SELECT * FROM t ORDER BY id"),
                  [(1, "b"), (2, "only on b at first"), (50, "after the restore")], "rows after the restore")


@test
def test_s28_journal_modes_stay_and_writers_wait_little(lab):
    for wal in (False, True):
        lab.reset()
        rows = 60000 if lab.long else 20000
        a, b = started_pair(lab, "CREATE TABLE t(id INTEGER PRIMARY KEY, v); CREATE TABLE u(id INTEGER PRIMARY KEY, v);",
                            wal=wal)
        a.sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO t SELECT i, "
              "hex(randomblob(20)) FROM n" % rows)
        session = lab.start("sync")
        connections, longest, count = [connect(a.path), connect(b.path)], 0.0, 0
        while session.poll() is None:
            for connection in connections:
                started = time.monotonic()
                connection.execute("INSERT INTO u(v) VALUES (1)" if connection is connections[0]
                                   else "INSERT INTO u(id, v) VALUES (abs(random()) + 1000000, 1)")
                longest, count = max(longest, time.monotonic() - started), count + 1
        session.communicate()
        for connection in connections:
            connection.close()
        require(session.returncode == 0, "sync beside writers: exit %d" % session.returncode)
        require(longest < 10, "an application waited %.1f s for a commit" % longest)
        lab.note("%s: longest wait of a writer %.0f ms (%d writes)" % ("WAL" if wal else "rollback", longest * 1000, count))
        settle(lab)
        for node in (a, b):
            require_equal(node.value("PRAGMA journal_mode"), "wal" if wal else "delete", "journal mode of " + node.name)
        lab.run("deactivate", "a", "b")
        for node in (a, b):
            require_equal(node.value("PRAGMA journal_mode"), "wal" if wal else "delete", "journal mode of " + node.name)


@test
def test_s29_a_change_is_there_as_soon_as_its_commit_returned(lab):
    a, b = started_pair(lab, "CREATE TABLE t(id INTEGER PRIMARY KEY, v);", wal=True)
    connection, reader = connect(a.path), connect(b.path)
    version = reader.execute("PRAGMA data_version").fetchone()
    for i in range(25):
        connection.execute("INSERT INTO t VALUES (?, 1)", (i,))
        lab.sync()
        require_equal(reader.execute("SELECT count(*) FROM t").fetchone()[0], i + 1, "rows right after the session")
        now = reader.execute("PRAGMA data_version").fetchone()
        require(now != version, "data_version must tell a watcher that something was applied")
        version = now
    connection.close()
    reader.close()


@test
def test_s30_swapped_unique_values(lab):
    schema = """CREATE TABLE t(id INTEGER PRIMARY KEY, u TEXT NOT NULL UNIQUE, n INTEGER UNIQUE, v);
                CREATE TABLE w(k TEXT PRIMARY KEY, a INTEGER NOT NULL, b INTEGER NOT NULL, UNIQUE(a, b)) WITHOUT ROWID;
                CREATE TABLE p(id INTEGER PRIMARY KEY, slot INTEGER NOT NULL, live INTEGER NOT NULL CHECK(live IN (0, 1)));
                CREATE UNIQUE INDEX p_live ON p(slot) WHERE live = 1;
                CREATE TABLE s(id INTEGER PRIMARY KEY, u TEXT NOT NULL UNIQUE CHECK(length(u) = 2)) STRICT;"""
    for wal in (True, False):
        lab.reset()
        a, b = started_pair(lab, schema, """
          INSERT INTO t VALUES (1, 'u1', 1, 'x'), (2, 'u2', 2, 'y'), (3, 'u3', 3, 'z'), (4, 'u4', 4, 'w');
          INSERT INTO w VALUES ('a', 1, 1), ('b', 2, 2), ('c', 3, 3); INSERT INTO s VALUES (1, 'aa'), (2, 'bb');
          INSERT INTO p VALUES (1, 1, 1), (2, 1, 0), (3, 2, 1), (4, 2, 0);""", wal)
        a.sql("""BEGIN; UPDATE t SET u = 'tmp' WHERE id = 1; UPDATE t SET u = 'u1' WHERE id = 2;
                   UPDATE t SET u = 'u3x' WHERE id = 3; UPDATE t SET u = 'u2' WHERE id = 1; COMMIT;
                 BEGIN; UPDATE t SET n = -n; UPDATE t SET n = 5 + n; COMMIT;
                 UPDATE t SET u = 'u3' WHERE id = 4; UPDATE t SET u = 'u4' WHERE id = 3;
                 BEGIN; UPDATE w SET a = a + 10; UPDATE w SET a = (a - 10) % 3 + 1, b = (b % 3) + 1; COMMIT;
                 BEGIN; UPDATE p SET live = 0; UPDATE p SET live = 1 WHERE id IN (2, 4); COMMIT;
                 BEGIN; UPDATE s SET u = 'cc' WHERE id = 1; UPDATE s SET u = 'aa' WHERE id = 2;
                   UPDATE s SET u = 'bb' WHERE id = 1; COMMIT;""")
        settle(lab)
        require_equal(b.rows("SELECT id, u, n FROM t ORDER BY id"),
                      [(1, "u2", 4), (2, "u1", 3), (3, "u4", 2), (4, "u3", 1)], "swapped values on b")
        require_equal(b.rows("SELECT k, a, b FROM w ORDER BY k"), [("a", 2, 2), ("b", 3, 3), ("c", 1, 1)], "a cycle")
        require_equal(b.rows("SELECT u FROM s ORDER BY id"), [("bb",), ("aa",)], "under a check")
        require_equal(lab.conflicts(), [], "conflicts of one writer alone")
        # A value passes from a deleted row to a new one, and both sides swap differently.
        a.sql("DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (9, 'u2', 4, 'takes over');")
        settle(lab)
        require_equal(b.rows("SELECT id FROM t WHERE u = 'u2'"), [(9,)], "the value's new row")


@test
def test_s30_one_unique_value_taken_on_both_nodes(lab):
    a, b = started_pair(lab, USERS, THREE)
    a.sql("INSERT INTO users VALUES (10, 'same@x', 'older')")
    time.sleep(0.01)
    b.sql("INSERT INTO users VALUES (20, 'same@x', 'newer')")
    settle(lab)
    require_equal(a.rows("SELECT id FROM users WHERE email = 'same@x'"), [(20,)], "the newer row keeps the value")
    conflicts = lab.conflicts()
    require_equal([c["type"] for c in conflicts], ["unique_exists"], "conflicts")
    require_equal(row_of(conflicts[0]["loser"])["name"], ("text", b"older"), "the loser")


@test
def test_s31_sqlite_sequence_is_never_synchronized(lab):
    schema = "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, v);"
    a, b = started_pair(lab, schema)
    a.sql("INSERT INTO t(v) VALUES ('a1'), ('a2'); INSERT INTO t VALUES (500, 'x'); DELETE FROM t WHERE id = 500;")
    settle(lab)
    require_equal(a.value("SELECT seq FROM sqlite_sequence WHERE name = 't'"), 500, "the counter of a")
    require(b.value("SELECT max(seq) FROM sqlite_sequence") < 500, "the counter was copied")
    triggers = a.value("SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'sqlite_sequence'")
    require_equal(triggers, 0, "triggers on sqlite_sequence")
    for i in range(3):  # key ranges per node: the application chooses its keys, for AUTOINCREMENT follows the greatest
        a.sql("INSERT INTO t SELECT coalesce(max(id), 1000) + 1, 'range a %d' FROM t WHERE id BETWEEN 1000 AND 1999" % i)
        b.sql("INSERT INTO t SELECT coalesce(max(id), 2000) + 1, 'range b %d' FROM t WHERE id BETWEEN 2000 AND 2999" % i)
        settle(lab)
    require_equal(lab.conflicts(), [], "conflicts between key ranges")
    require_equal([r[0] for r in b.rows("SELECT id FROM t WHERE id >= 1000 ORDER BY id")],
                  [1001, 1002, 1003, 2001, 2002, 2003], "keys of both ranges")


@test
def test_s31_colliding_keys_are_a_conflict_and_not_lost(lab):
    a, b = started_pair(lab, "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, v);", "INSERT INTO t(v) VALUES ('x')")
    a.sql("INSERT INTO t(v) VALUES ('mine')")
    b.sql("INSERT INTO t(v) VALUES ('yours')")
    settle(lab)
    kept = {v for (v,) in a.rows("SELECT v FROM t")} | {row_of(c["loser"])["v"][1].decode() for c in lab.conflicts()}
    require_equal(kept, {"x", "mine", "yours"}, "rows and losers")
    require_equal([c["type"] for c in lab.conflicts()], ["insert_exists"], "conflicts")


@test
def test_s32_strict_tables(lab):
    schema = """CREATE TABLE s(id INTEGER PRIMARY KEY, any ANY, t TEXT, r REAL, i INT, b BLOB) STRICT;
                CREATE TABLE k(k ANY PRIMARY KEY, v ANY) STRICT, WITHOUT ROWID;
                CREATE TABLE k2(k ANY, v ANY, PRIMARY KEY(k)) STRICT;"""
    a, b = started_pair(lab, schema)
    a.sql("""INSERT INTO s VALUES (1, '00120', 'x', 1, 2, x'00'), (2, 120, '7', 1.5, 3, x''), (3, 1.0, '', 2, 4, NULL),
             (4, x'00', NULL, NULL, NULL, NULL); INSERT INTO k VALUES ('1', 'text'), (1, 'integer'), (x'31', 'blob'),
             ('00120', 1), (120, 2); INSERT INTO k2 SELECT * FROM k WHERE k IS NOT NULL;""")
    settle(lab)
    require_equal(b.rows("SELECT typeof(any), any FROM s WHERE id < 3 ORDER BY id"),
                  [("text", "00120"), ("integer", 120)], "values of an ANY column")
    a.sql("UPDATE k SET v = 'T' WHERE k = '1'; DELETE FROM k WHERE k = 1; UPDATE k2 SET v = 'C' WHERE k = 120;")
    b.sql("UPDATE k SET v = 'B' WHERE k = x'31'; DELETE FROM k2 WHERE k = '00120'")
    settle(lab)
    require_equal(a.rows("SELECT v FROM k ORDER BY typeof(k), v"), [("B",), (2,), (1,), ("T",)], "keys that look alike")


@test
def test_s32_strict_against_not_strict_is_a_difference_of_schema(lab):
    a = lab.node("a", "CREATE TABLE t(id INTEGER PRIMARY KEY, v ANY) STRICT; CREATE TABLE o(id INTEGER PRIMARY KEY, v);")
    b = lab.node("b", "CREATE TABLE t(id INTEGER PRIMARY KEY, v ANY); CREATE TABLE o(id INTEGER PRIMARY KEY, v);")
    lab.job("ab", [a, b])
    a.sql("INSERT INTO t VALUES (1, '00120'); INSERT INTO o VALUES (1, 1);")
    lab.activate(code=(0, 8))
    result = lab.sync(code=(0, 3, 8))
    result.require_told("t", "strict")
    require_equal(b.value("SELECT count(*) FROM t"), 0, "rows that would have changed their type")
    require_equal(b.value("SELECT count(*) FROM o"), 1, "the other table goes on")


@test
def test_s33_infinity_negative_zero_and_nan(lab):
    a, b = started_pair(lab, "CREATE TABLE t(id INTEGER PRIMARY KEY, r REAL, x, n NUMERIC, k);"
                             "CREATE TABLE k(k PRIMARY KEY, v);")
    connection = connect(a.path)
    values = [float("inf"), float("-inf"), -0.0, 0.0, float("nan"), 1e308 * 10, 5e-324, -5e-324]
    for i, value in enumerate(values):
        connection.execute("INSERT INTO t VALUES (?, ?, ?, ?, ?)", (i, value, value, value, i))
        if value == value:
            connection.execute("INSERT OR IGNORE INTO k VALUES (?, ?)", (value, i))
    connection.close()
    settle(lab)
    require_equal(b.rows("SELECT typeof(r), r FROM t WHERE id < 2 ORDER BY id"),
                  [("real", float("inf")), ("real", float("-inf"))], "infinities")
    for i, value in enumerate(values):
        a.do("UPDATE t SET x = ?, k = 'a' WHERE id = ?", -value, i)
    time.sleep(0.005)
    b.sql("UPDATE t SET k = 'b'; UPDATE k SET v = 'b' WHERE k = 9e999")
    settle(lab)
    for conflict in lab.conflicts():  # the log keeps such values exactly, and so does a reinstated row
        loser = row_of(conflict["loser"])
        require_equal(loser["x"], canonical(None if values[loser["id"][1]] != values[loser["id"][1]]
                                            else -values[loser["id"][1]]), "a loser's value")
        lab.run("conflicts", "reinstate", conflict["id"])
    settle(lab)
    for i, value in enumerate(values):
        if value == value:
            seen = b.rows("SELECT x FROM t WHERE id = ?", i)[0][0]
            require_equal(canonical(seen), canonical(-value), "the reinstated value of row %d" % i)


@test
def test_s34_very_wide_tables(lab):
    columns = ["c%d" % i for i in range(1990)]
    schema = "CREATE TABLE wide(id INTEGER PRIMARY KEY, u TEXT UNIQUE, %s);" % ", ".join(columns) + \
             "CREATE TABLE key_wide(%s, v, PRIMARY KEY(%s));" % (", ".join(columns[:60]), ", ".join(columns[:60]))
    a, b = started_pair(lab, schema)
    for i in range(4):
        a.sql("INSERT INTO wide(id, u, c0, c1500, c1989) VALUES (%d, 'u%d', 1, 'x', 0.5);"
              "INSERT INTO key_wide VALUES (%s, 'v');" % (i, i, ", ".join(str(i + j) for j in range(60))))
    settle(lab)
    a.sql("UPDATE wide SET c1989 = 'a' WHERE id = 1; REPLACE INTO wide(id, u) VALUES (2, 'u0');"
          "UPDATE key_wide SET v = 'w', c59 = 'moved' WHERE c0 = 1")
    time.sleep(0.005)
    b.sql("UPDATE wide SET c7 = 'b' WHERE id = 1;")
    settle(lab)
    require_equal([c["type"] for c in lab.conflicts()], ["update_differs"], "conflicts")
    require_equal(row_of(lab.conflicts()[0]["loser"])["c1989"], ("text", b"a"), "a full image of the loser")


if __name__ == "__main__":
    sys.exit(main(__doc__))
