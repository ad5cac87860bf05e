#!/usr/bin/env python3
"""Chinook and Northwind, as copies: backup into an empty node, two-way with edits by the sqlite3 program while sessions
run, a ring of three, a star of five, several jobs. The program's own `verify` and the independent checker must agree."""
import subprocess
import sys
import threading
import time

from support import (connect, health, main, moved, quoted, require, require_equal, shared_data, test, user_tables)

SAMPLES = ("chinook", "northwind")


def edits_of(path, rng, name, count):
    """SQL statements such as a shop makes: inserts, updates, deletes, replaces and changes of keys over every table,
    with keys that clash between the nodes now and then."""
    connection = connect(path)
    tables = {}
    for table in user_tables(connection):
        columns = connection.execute("SELECT name, type, pk FROM pragma_table_info(?)", (table,)).fetchall()
        tables[table] = columns
    statements = []
    for i in range(count):
        table = rng.choice(sorted(tables))
        columns = tables[table]
        key = [c for c, _, pk in columns if pk]
        texts = [c for c, kind, pk in columns if not pk and ("CHAR" in kind.upper() or kind.upper() == "TEXT")]
        numbers = [c for c, kind, pk in columns if not pk and kind.upper().startswith(("NUMERIC", "INTEGER"))
                   and not c.lower().endswith(("id", "to", "via"))]
        chosen = connection.execute("SELECT %s FROM %s ORDER BY random() LIMIT 1" % (
            ", ".join("quote(%s)" % quoted(k) for k in key), quoted(table))).fetchone()
        if chosen is None:
            continue
        where = " AND ".join("%s = %s" % (quoted(k), v) for k, v in zip(key, chosen))
        kind = rng.random()
        if kind < 0.45 and texts:
            statements.append("UPDATE %s SET %s = '%s edit %d' WHERE %s;" % (
                quoted(table), quoted(rng.choice(texts)), name, i, where))
        elif kind < 0.6 and numbers:
            statements.append("UPDATE %s SET %s = %s + 1 WHERE %s;" % (
                quoted(table), *(quoted(rng.choice(numbers)),) * 2, where))
        elif kind < 0.8 and len(key) == 1:
            # A new row like an existing one; every node counts on from the same number, so some keys clash.
            new = ["%d" % (900000 + i * rng.choice([1, 1, 7])) if c == key[0] and chosen[0].lstrip("-").isdigit()
                   else "'N%d'" % i if c == key[0] else quoted(c) for c, _, _ in columns]
            statements.append("INSERT OR IGNORE INTO %s SELECT %s FROM %s WHERE %s;" % (
                quoted(table), ", ".join(new), quoted(table), where))
        elif kind < 0.9:
            statements.append("DELETE FROM %s WHERE %s;" % (quoted(table), where))
        else:
            all_columns = ", ".join(quoted(c) for c, _, _ in columns)
            statements.append("REPLACE INTO %s (%s) SELECT %s FROM %s WHERE %s;" % (
                quoted(table), all_columns, all_columns, quoted(table), where))
    connection.close()
    return statements


class Clerk(threading.Thread):
    """Edits one node through the sqlite3 program, a few statements at a time, as long as there are any. Foreign keys
    are on, so a refused statement is the clerk's own affair (the program goes on to the next)."""

    def __init__(self, node, statements, rng):
        super().__init__()
        self.node, self.statements, self.rng, self.problem, self.done = node, statements, rng, None, 0

    def run(self):
        position = 0
        while position < len(self.statements):
            size = self.rng.randrange(1, 12)
            script = "PRAGMA foreign_keys = ON;\n.timeout 20000\n" + "\n".join(self.statements[position:position + size])
            ended = subprocess.run(["sqlite3", "-batch", str(self.node.path)], input=script.encode(), check=False,
                                   capture_output=True)
            unexpected = [line for line in ended.stderr.decode().splitlines() if line.strip()
                          and "constraint failed" not in line and not line.startswith((" ", "\t"))]
            if unexpected:
                self.problem = unexpected
            position += size
            self.done += size
            time.sleep(self.rng.random() * 0.05)


def edit_while_sessions_run(lab, nodes, name, count, code=(0, 3)):
    clerks = [Clerk(n, edits_of(n.path, lab.rng, n.name, count), type(lab.rng)(lab.rng.random())) for n in nodes]
    for clerk in clerks:
        clerk.start()
    sessions = 0
    while any(c.is_alive() for c in clerks):
        lab.sync(code=code)
        sessions += 1
    for clerk in clerks:
        clerk.join()
        require(clerk.problem is None, "the sqlite3 program failed on %s: %s" % (clerk.node.name, clerk.problem))
    lab.note("%s: %d edits on each of %d nodes during %d sessions" % (name, count, len(nodes), sessions))


def settle(lab):
    for _ in range(len(lab.nodes) + 1):
        result = lab.sync()
        if moved(result) == 0:
            break
    # A clerk may have deleted what a row of another clerk refers to.
    lab.require_settled(relations=False)


def copies(lab, sample, names):
    return [lab.node(n, copy_of=shared_data(sample + ".sqlite")) for n in names]


@test
def test_backup_into_an_empty_node(lab):
    for sample in SAMPLES:
        lab.reset()
        source = copies(lab, sample, ["source"])[0]
        target = lab.node("target")
        lab.job("backup", [source, target], mode="backup")
        lab.run("check", code=None)
        lab.activate("--create-tables")
        before = source.image()
        first = lab.sync()
        rows = sum(sum(i.rows.values()) for i in before.values())
        lab.note("%s: %d rows, first copy in %.2f s" % (sample, rows, first.seconds))
        lab.require_equal_nodes()
        require_equal(len(before), {"chinook": 11, "northwind": 13}[sample], "tables of " + sample)
        lab.verify()
        edit_while_sessions_run(lab, [source], sample, 400 if lab.long else 200)
        settle(lab)
        sql = "SELECT name, sql FROM sqlite_schema WHERE type IN ('table', 'index') AND name NOT LIKE 'tidemark%' AND " \
              "name NOT LIKE 'sqlite%' ORDER BY name"
        require_equal(target.rows(sql), source.rows(sql), "definitions of tables and indexes")


@test
def test_two_way_between_two_copies_under_edits(lab):
    for sample in SAMPLES:
        lab.reset()
        nodes = copies(lab, sample, ["left", "right"])
        lab.job("pair", nodes)
        lab.activate()
        require_equal(moved(lab.sync()), 0, "rows moved between two equal copies")
        lab.verify()
        edit_while_sessions_run(lab, nodes, sample, 900 if lab.long else 400)
        settle(lab)


@test
def test_two_way_from_different_copies(lab):
    """Both copies were edited before they ever met."""
    for sample in SAMPLES:
        lab.reset()
        nodes = copies(lab, sample, ["left", "right"])
        for node in nodes:
            script = "PRAGMA foreign_keys = ON;\n" + "\n".join(edits_of(node.path, lab.rng, node.name, 150))
            subprocess.run(["sqlite3", "-batch", str(node.path)], input=script.encode(), check=False, capture_output=True)
        lab.job("pair", nodes)
        lab.activate()
        lab.sync(code=(0, 3))
        settle(lab)
        require({c["type"] for c in lab.conflicts()} >= {"baseline_differs"}, "rows that differed are in the log")


@test
def test_ring_of_three(lab):
    for sample in SAMPLES:
        lab.reset()
        nodes = copies(lab, sample, ["one", "two", "three"])
        for i in range(3):
            lab.job("side%d" % i, [nodes[i], nodes[(i + 1) % 3]])
        lab.activate()
        lab.sync()
        edit_while_sessions_run(lab, nodes, sample, 300 if lab.long else 120)
        settle(lab)


@test
def test_star_of_five(lab):
    for sample in SAMPLES:
        lab.reset()
        hub = copies(lab, sample, ["hub"])[0]
        branches = [lab.node("branch%d" % i) for i in range(2)] + copies(lab, sample, ["branch2", "branch3"])
        lab.job("star", [hub] + branches)
        lab.activate("--create-tables")
        lab.sync()
        lab.sync()
        lab.require_equal_nodes()
        edit_while_sessions_run(lab, [hub] + branches, sample, 200 if lab.long else 70)
        settle(lab)


@test
def test_several_jobs_over_the_same_nodes(lab):
    """A backup of the whole, and two-way jobs over parts of it between other nodes."""
    nodes = copies(lab, "chinook", ["shop", "branch", "archive"])
    lab.job("music", [nodes[0], nodes[1]], tables=["Artist", "Album", "Track", "Genre", "MediaType", "Playlist*"])
    lab.job("sales", [nodes[0], nodes[1]], tables=["Customer", "Employee", "Invoice*"])
    lab.job("archive", [nodes[0], nodes[2]], mode="backup")
    lab.activate()
    lab.sync()
    edit_while_sessions_run(lab, nodes[:2], "chinook", 300 if lab.long else 150)
    nodes[2].sql("UPDATE Artist SET Name = 'edited on the archive' WHERE ArtistId < 5")
    settle(lab)
    require("target_changed" in {c["type"] for c in lab.conflicts()}, "an edit of the archive is in the log")


@test
def test_missing_data_is_a_failure_with_a_clear_message(lab):
    """The canary of this file: without sample databases nothing may pass silently."""
    try:
        shared_data("no-such-sample.sqlite")
    except AssertionError as error:
        require("TIDEMARK_DATA" in str(error), "the message should say what to set: %s" % error)
        return
    raise AssertionError("a missing sample database must be a failure")


if __name__ == "__main__":
    sys.exit(main(__doc__))
