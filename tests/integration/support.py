"""What the integration tests share: a laboratory of SQLite nodes around the tidemark program, an independent
checker, a ledger of acknowledged writes, and writers that behave as applications do.

Nothing here uses code of the product: nodes are read with Python's sqlite3 module, the program is run as a user
runs it. Run this file by itself to see the checker and the ledger catch deliberately broken input.
"""
import argparse
import base64
import collections
import contextlib
import fnmatch
import json
import multiprocessing
import os
import pathlib
import random
import re
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import zlib

import samples

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONTROL = "tidemark_"
BUSY_WAIT_S = 20


class Failure(AssertionError):
    """A law that does not hold; the text says what was expected and what was seen."""


def require(condition, message):
    if not condition:
        raise Failure(message() if callable(message) else message)


def require_equal(seen, expected, what):
    if seen != expected:
        raise Failure("%s: expected %r, saw %r" % (what, expected, seen))


# the independent checker ---------------------------------------------------------------------------------------


class Text(bytes):
    """A TEXT value with its bytes as stored, which need not be valid UTF-8; plain bytes are a BLOB."""


def connect(path, busy_wait_s=BUSY_WAIT_S):
    """A connection as an application would open it: defaults everywhere, transactions by hand."""
    connection = sqlite3.connect(str(path), timeout=busy_wait_s, isolation_level=None)
    return connection


def canonical(value):
    """Storage class and exact bits, so that 1, '1', 1.0, x'31' and the two zeros are all different."""
    if value is None:
        return ("null",)
    if isinstance(value, Text):
        return ("text", bytes(value))
    if isinstance(value, str):
        return ("text", value.encode("utf-8", "surrogateescape"))
    if isinstance(value, (bytes, memoryview)):
        return ("blob", bytes(value))
    if isinstance(value, float):
        return ("real", struct.pack(">d", value))
    return ("integer", value)


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def user_tables(connection):
    """Ordinary tables that belong to the application, by name."""
    found = []
    for row in connection.execute("SELECT schema, name, type FROM pragma_table_list"):
        schema, name, kind = (decoded(v) for v in row)
        if schema == "main" and kind == "table" and not name.startswith(("sqlite_", CONTROL)):
            found.append(name)
    return sorted(found)


def decoded(value):
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


class Image:
    """The rows of one table as a multiset, columns in the order of their names."""

    def __init__(self, columns, rows):
        self.columns = columns
        self.rows = collections.Counter(rows)


def read_image(connection, table):
    columns = [decoded(r[0]) for r in connection.execute("SELECT name FROM pragma_table_xinfo(%s)" % literal(table))]
    columns.sort()
    sql = "SELECT %s FROM %s" % (", ".join(quoted(c) for c in columns), quoted(table))
    return Image(columns, (tuple(canonical(v) for v in row) for row in connection.execute(sql)))


def literal(text):
    return "'" + text.replace("'", "''") + "'"


def read_images(path, tables=None):
    connection = connect(path)
    connection.text_factory = Text
    try:
        connection.execute("BEGIN")
        names = user_tables(connection) if tables is None else list(tables)
        return {name: read_image(connection, name) for name in names}
    finally:
        connection.close()


def compare_images(left, right, shown=4):
    """Every difference between two sets of images as a sentence; empty when they hold the same rows."""
    found = []
    for table in sorted(set(left) | set(right)):
        if table not in left or table not in right:
            found.append("table %s is only on the %s" % (table, "left" if table in left else "right"))
            continue
        if left[table].columns != right[table].columns:
            found.append("table %s: columns %s and %s" % (table, left[table].columns, right[table].columns))
            continue
        only_left, only_right = left[table].rows - right[table].rows, right[table].rows - left[table].rows
        for side, extra in (("left", only_left), ("right", only_right)):
            if extra:
                rows = sorted(extra.elements(), key=repr)
                found.append("table %s (%s): %d rows only on the %s: %s" % (
                    table, ", ".join(left[table].columns[:8]), len(rows), side,
                    "; ".join(brief(r) for r in rows[:shown])))
    return found


def brief(row):
    return "(%s)" % ", ".join(str(v[-1])[:60] if v[0] != "null" else "NULL" for v in row[:8])


def health(path, relations=True):
    """What SQLite itself says about a file: integrity and (`relations`) foreign keys; empty when all is well."""
    connection = connect(path)
    try:
        found = ["integrity_check: %s" % r[0] for r in connection.execute("PRAGMA integrity_check") if r[0] != "ok"]
        if relations:
            found += ["foreign_key_check: %s" % (r,) for r in connection.execute("PRAGMA foreign_key_check")]
        return found
    finally:
        connection.close()


# the ledger ------------------------------------------------------------------------------------------------------

TOKEN = re.compile(r"\bw[0-9]+:[a-z0-9]+:[0-9]+\b")


def tokens_in(value):
    """All write tokens anywhere inside a JSON-like value."""
    if isinstance(value, str):
        return set(TOKEN.findall(value))
    if isinstance(value, dict):
        return set().union(*(tokens_in(v) for v in value.values())) if value else set()
    if isinstance(value, (list, tuple)):
        return set().union(*(tokens_in(v) for v in value)) if value else set()
    return set()


class Ledger:
    """Classifies every acknowledged write: it is the final row, it was overwritten or deleted by a writer that had
    seen it, or it is in the conflict log; everything else is lost. Every write stores a token of its own."""

    RESTORING = ("revived", "parent_missing", "child_exists")

    def __init__(self):
        self.written = {}  # token -> who
        self.seen = {}     # token -> who overwrote or deleted it
        self.rolled_back = set()
        self.maybe_written, self.maybe_seen = set(), set()     # by those who did not live to say whether they committed

    def acknowledge(self, who, written, seen):
        for token in written:
            self.written[token] = who
        for token in seen:
            self.seen[token] = who

    def load(self, path):
        intent = None
        # Whoever was killed may have left half a line.
        for line in pathlib.Path(path).read_text().split("\n")[:-1]:
            entry = json.loads(line)
            if entry["committed"] is None:
                self.note_unknown(intent)
                intent = entry
                continue
            intent = None
            if entry["committed"]:
                self.acknowledge(entry["who"], entry["written"], entry["seen"])
            else:
                self.rolled_back |= set(entry["written"])
        self.note_unknown(intent)

    def note_unknown(self, intent):
        if intent is not None:
            self.maybe_written |= set(intent["written"])
            self.maybe_seen |= set(intent["seen"])

    def judge(self, final, conflicts, may_return=False):
        """`final`: tokens of the final rows. `conflicts`: the program's conflict list. `may_return`: the policies let an
        earlier row win, which may be one that somebody had overwritten meanwhile. Returns (counts, problems)."""
        final = set(final)
        logged, restored = set(), set()
        for conflict in conflicts:
            logged |= tokens_in(conflict["loser"])
            if conflict["type"] in self.RESTORING or conflict["status"] == "reinstated":
                restored |= tokens_in(conflict)
        counts, problems = collections.Counter(), []
        for token, who in self.written.items():
            if token in final:
                counts["final"] += 1
            elif token in self.seen:
                counts["overwritten after being seen"] += 1
            elif token in logged:
                counts["in the conflict log"] += 1
            elif token in self.maybe_seen:
                counts["overwritten by somebody who was killed"] += 1
            else:
                counts["LOST"] += 1
                problems.append("lost write %s of %s" % (token, who))
        for token in sorted(() if may_return else final & set(self.seen) - restored):
            problems.append("%s of %s is back, though %s had overwritten or deleted it" % (
                token, self.written.get(token), self.seen[token]))
        for token in sorted(final - set(self.written) - self.maybe_written):
            problems.append("%s is a row that nobody wrote%s" % (
                token, " (its transaction was rolled back)" if token in self.rolled_back else ""))
        for token in sorted(logged & self.rolled_back):
            problems.append("%s was rolled back but is in the conflict log" % token)
        return counts, problems


def final_tokens(path):
    found = set()
    for image in read_images(path).values():
        for row in image.rows:
            for value in row:
                if value[0] == "text":
                    found |= tokens_in(value[1].decode("utf-8", "replace"))
    return found


# writers -----------------------------------------------------------------------------------------------------------

SHOP = """
CREATE TABLE customer(id INTEGER PRIMARY KEY, email TEXT UNIQUE, name TEXT NOT NULL);
CREATE TABLE orders(id INTEGER PRIMARY KEY, customer_id INTEGER, total NUMERIC, note TEXT);
CREATE TABLE line(order_id INTEGER, no INTEGER, what TEXT, PRIMARY KEY(order_id, no)) WITHOUT ROWID;
CREATE TABLE tag(label TEXT COLLATE NOCASE PRIMARY KEY, weight REAL, remark TEXT);
CREATE TABLE plain(k PRIMARY KEY, v TEXT);
"""

SHOP_WITH_FOREIGN_KEYS = SHOP.replace(
    "customer_id INTEGER", "customer_id INTEGER REFERENCES customer(id) ON DELETE CASCADE")


class Application:
    """One connection that writes to the shop as applications do, a transaction at a time, and notes in which
    tokens it wrote and which it had seen and removed. It reads before and after inside its transaction, so REPLACE
    victims and cascades are noted too. Errors other than its own constraint errors are not expected."""

    def __init__(self, path, who, rng, keys=40, foreign_keys=True):
        self.connection = connect(path)
        self.connection.execute("PRAGMA foreign_keys = %s" % ("ON" if foreign_keys else "OFF"))
        self.who, self.rng, self.keys, self.count = who, rng, keys, 0
        self.tables = user_tables(self.connection)
        self.longest_wait_s = 0.0

    def token(self):
        self.count += 1
        return "w%d:%s:%d" % (self.rng.randrange(10**6), self.who, self.count)

    def snapshot(self):
        found = set()
        for table in self.tables:
            for row in self.connection.execute("SELECT * FROM %s" % quoted(table)):
                for value in row:
                    if isinstance(value, str):
                        found.update(TOKEN.findall(value))
        return found

    def transaction(self, operations=None, intends=lambda entry: None):
        """Returns {"committed", "written", "seen", "who"}; a rolled back one counts as never written. `intends` is told
        before the commit, with None for "committed"."""
        rng, issued = self.rng, []
        started = time.monotonic()
        self.connection.execute("BEGIN IMMEDIATE")
        self.longest_wait_s = max(self.longest_wait_s, time.monotonic() - started)
        before = self.snapshot()
        for _ in range(operations or rng.choice([1, 1, 1, 2, 3, 8])):
            with contextlib.suppress(sqlite3.IntegrityError):
                self.operation(issued)
        if not self.connection.in_transaction:  # OR ROLLBACK ended it
            return self.entry(False, issued, ())
        after = self.snapshot()
        if rng.random() < 0.12:
            self.connection.execute("ROLLBACK")
            return self.entry(False, issued, ())
        intends(self.entry(None, after - before, before - after))
        started = time.monotonic()
        self.connection.execute("COMMIT")
        self.longest_wait_s = max(self.longest_wait_s, time.monotonic() - started)
        return self.entry(True, after - before, before - after)

    def entry(self, committed, written, seen):
        return {"who": self.who, "committed": committed, "written": sorted(written), "seen": sorted(seen)}

    def operation(self, issued):
        rng, run = self.rng, self.connection.execute

        def new():
            issued.append(self.token())
            return issued[-1]

        key, other = rng.randrange(self.keys), rng.randrange(self.keys)
        email = "m%d" % rng.randrange(self.keys // 2)
        choice = rng.randrange(20)
        if choice == 0:
            run("INSERT INTO customer VALUES (?, ?, ?)", (key, email, new()))
        elif choice == 1:
            run("INSERT OR REPLACE INTO customer VALUES (?, ?, ?)", (key, email, new()))
        elif choice == 2:
            run("UPDATE OR REPLACE customer SET email = ?, name = ? WHERE id = ?", (email, new(), key))
        elif choice == 3:
            run("UPDATE customer SET name = ? WHERE id = ?", (new(), key))
        elif choice == 4:
            run("INSERT INTO customer VALUES (?, ?, ?) ON CONFLICT(id) DO UPDATE SET name = excluded.name",
                (key, email, new()))
        elif choice == 5:
            run("UPDATE customer SET id = ?, name = ? WHERE id = ?", (key, new(), other))
        elif choice == 6:
            run("DELETE FROM customer WHERE id = ?", (key,))
        elif choice == 7:
            run("INSERT OR IGNORE INTO orders VALUES (?, ?, ?, ?)", (key, other, rng.random() * 100, new()))
        elif choice == 8:
            run("REPLACE INTO orders VALUES (?, (SELECT id FROM customer ORDER BY random() LIMIT 1), ?, ?)",
                (key, rng.randrange(1000), new()))
        elif choice == 9:
            run("UPDATE orders SET total = total + 1, note = ? WHERE id = ?", (new(), key))
        elif choice == 10:
            run("DELETE FROM orders WHERE id = ?", (key,))
        elif choice == 11:
            run("REPLACE INTO line VALUES (?, ?, ?)", (key, other % 4, new()))
        elif choice == 12:
            run("UPDATE OR REPLACE line SET no = no + 1, what = ? WHERE order_id = ? AND no = ?",
                (new(), key, other % 4))
        elif choice == 13:
            run("DELETE FROM line WHERE order_id = ?", (key,))
        elif choice == 14:
            label = rng.choice(["Red", "RED", "red", "Blue", "bLUE", "green", "Green "]) + str(key % 7)
            run("INSERT INTO tag VALUES (?, ?, ?) ON CONFLICT(label) DO UPDATE SET label = excluded.label,"
                " weight = excluded.weight, remark = excluded.remark", (label, rng.random(), new()))
        elif choice == 15:
            run("DELETE FROM tag WHERE label = ?", (rng.choice(["red", "BLUE", "green"]) + str(key % 7),))
        elif choice == 16:
            run("REPLACE INTO plain VALUES (?, ?)",
                (rng.choice([key, str(key), b"%d" % key, key + 0.5]), new()))
        elif choice == 17:
            run("DELETE FROM plain WHERE k = ?", (rng.choice([key, str(key), b"%d" % key]),))
        elif choice == 18:  # a hot row
            run("REPLACE INTO plain VALUES ('hot', ?)", (new(),))
        else:
            run("UPDATE OR IGNORE customer SET email = ?, name = ? WHERE id IN (?, ?)", (email, new(), key, other))


def writer_main(path, who, seed, stop, report, pause_s, keys):
    """A process with three connections to one node that writes until it is told to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    rng = random.Random(seed)
    with open(report, "w", encoding="utf-8") as out:
        try:
            applications = [Application(path, "%s%d" % (who, i), rng, keys=keys, foreign_keys=i != 2)
                            for i in range(2)]
            while not stop.is_set():
                entry = rng.choice(applications).transaction()
                out.write(json.dumps(entry) + "\n")
                out.flush()
                time.sleep(rng.random() * 2 * pause_s)
            wait = max(a.longest_wait_s for a in applications)
            pathlib.Path(report + ".wait").write_text(str(wait))
        except BaseException:
            pathlib.Path(report + ".failed").write_text(traceback.format_exc())
            raise


class Writers:
    """Writer processes over some nodes; leaving the context stops them and fills the ledger."""

    def __init__(self, lab, nodes, ledger, per_node=1, pause_s=0.004, keys=40):
        self.lab, self.ledger, self.reports, self.processes = lab, ledger, [], []
        self.stop = multiprocessing.Event()
        self.longest_wait_s = 0.0
        for node in nodes:
            for i in range(per_node):
                who = "%s%s%d" % (node.name.replace("_", ""), "p", i)
                report = str(lab.directory / ("writer-%s-%d.jsonl" % (who, lab.next_number())))
                self.reports.append(report)
                self.processes.append(multiprocessing.Process(
                    target=writer_main, args=(str(node.path), who + "n%d" % lab.number, lab.rng.randrange(2**32),
                                              self.stop, report, pause_s, keys)))

    def __enter__(self):
        for process in self.processes:
            process.start()
        return self

    def __exit__(self, kind, *_):
        self.stop.set()
        for process in self.processes:
            process.join(60)
        for report in self.reports:
            failed = pathlib.Path(report + ".failed")
            if failed.exists() and kind is None:
                raise Failure("an application failed:\n" + failed.read_text())
            with contextlib.suppress(FileNotFoundError):
                self.ledger.load(report)
            with contextlib.suppress(FileNotFoundError):
                self.longest_wait_s = max(self.longest_wait_s, float(pathlib.Path(report + ".wait").read_text()))


# the laboratory ------------------------------------------------------------------------------------------------------


class Node:
    """A database file and plain connections to it."""

    def __init__(self, name, path):
        self.name, self.path = name, pathlib.Path(path)

    def settings(self):
        return {"url": "sqlite:" + self.path.name}

    def sql(self, script, **pragmas):
        """Runs a script through one fresh connection, committing as SQLite does."""
        connection = connect(self.path)
        try:
            for pragma, value in pragmas.items():
                connection.execute("PRAGMA %s = %s" % (pragma, value))
            connection.executescript(script)
        finally:
            connection.close()

    def do(self, sql, *parameters):
        connection = connect(self.path)
        try:
            connection.execute(sql, parameters)
        finally:
            connection.close()

    def rows(self, sql, *parameters, text_factory=str):
        connection = connect(self.path)
        connection.text_factory = text_factory
        try:
            return connection.execute(sql, parameters).fetchall()
        finally:
            connection.close()

    def value(self, sql, *parameters):
        return self.rows(sql, *parameters)[0][0]

    def shell(self, script, code=0):
        """The sqlite3 program, as many applications and administrators use it."""
        done = subprocess.run(["sqlite3", "-batch", "-bail", "-cmd", ".timeout 20000", str(self.path)], input=script.encode(),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False)
        require(done.returncode == code, "sqlite3 %s ended with %d: %s" % (
            self.path.name, done.returncode, done.stderr.decode()))
        return done.stdout.decode()

    def schema(self):
        return self.shell(".schema\n")

    def image(self, tables=None):
        return read_images(self.path, tables)


class Result:
    """What one run of the program said."""

    def __init__(self, command, code, out, err, seconds):
        self.command, self.code, self.out, self.err, self.seconds = command, code, out, err, seconds
        self.documents = parse_documents(out)

    @property
    def last(self):
        require(self.documents, "no JSON on stdout of: %s\n%s%s" % (self.command, self.out, self.err))
        return self.documents[-1]

    def told(self, *words):
        """All words appear somewhere in what was said, whatever the case."""
        everything = (self.out + self.err).lower()
        return all(w.lower() in everything for w in words)

    def require_told(self, *words):
        for word in words:
            require(self.told(word), "%s should name %r, said:\n%s%s" % (self.command, word, self.out, self.err))

    def __str__(self):
        return "%s\nexit %d\n%s%s" % (self.command, self.code, self.out, self.err)


def parse_documents(text):
    text = text.strip()
    if not text:
        return []
    with contextlib.suppress(ValueError):
        return [json.loads(text)]
    documents = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            documents.append(json.loads(line))
    return documents


class Lab:
    """A directory with nodes, a configuration and the program. Everything in it can be replayed by hand."""

    def __init__(self, binary, directory, seed, long=False):
        self.binary, self.directory, self.seed, self.long = str(binary), pathlib.Path(directory), seed, long
        self.rng = random.Random(seed)
        self.nodes, self.jobs, self.settings = {}, {}, {}
        self.number = 0
        self.config = self.directory / "tidemark.toml"
        self.raw_config = None
        self.notes = []

    def next_number(self):
        self.number += 1
        return self.number

    def note(self, text):
        self.notes.append(text)

    def reset(self):
        """Empties the directory, for the next round of a test."""
        for path in self.directory.iterdir():
            path.unlink()
        self.nodes, self.jobs, self.settings = {}, {}, {}

    # nodes and jobs
    def node(self, name, schema="", wal=False, copy_of=None):
        path = self.directory / ("%s.db" % name)
        if copy_of is not None:
            shutil.copyfile(copy_of, path)
            path.chmod(0o600)
        node = self.nodes[name] = Node(name, path)
        connection = connect(path)
        if wal:
            connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(schema)
        connection.close()
        if not path.exists():
            path.touch()
        return node

    def pair(self, schema, wal=False, **job):
        """Two nodes a and b with one schema and one job, not yet activated."""
        a, b = self.node("a", schema, wal), self.node("b", schema, wal)
        self.job("ab", [a, b], **job)
        return a, b

    def job(self, job_name, nodes, table_settings=None, **settings):
        names = [n if isinstance(n, str) else n.name for n in nodes]
        self.jobs[job_name] = (dict(nodes=names, **settings), table_settings or {})

    def write_config(self):
        text = self.config_text() if self.raw_config is None else self.raw_config
        if not self.config.exists() or self.config.read_text() != text:
            self.config.write_text(text)

    def config_text(self):
        lines = ["%s = %s" % (k, toml(v)) for k, v in self.settings.items()]
        for node in self.nodes.values():
            lines += ["[node.%s]" % toml_key(node.name)]
            lines += ["%s = %s" % (k, toml(v)) for k, v in node.settings().items()] + [""]
        for name, (settings, tables) in self.jobs.items():
            lines += ["[job.%s]" % toml_key(name)] + ["%s = %s" % (k, toml(v)) for k, v in settings.items()] + [""]
            for glob, values in tables.items():
                lines += ["[job.%s.table.%s]" % (toml_key(name), toml_key(glob))]
                lines += ["%s = %s" % (k, toml(v)) for k, v in values.items()] + [""]
        return "\n".join(lines)

    # the program
    def command(self, *arguments, as_json=True):
        return [self.binary, *arguments, "--config", str(self.config)] + (["--json"] if as_json else [])

    def start(self, *arguments, as_json=True):
        self.write_config()
        return subprocess.Popen(self.command(*arguments, as_json=as_json), stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.directory)

    def run(self, *arguments, code=0, as_json=True, timeout=120):
        """Runs the program and requires an exit code (a number, several, or None for any)."""
        arguments = [str(a) for a in arguments]
        started = time.monotonic()
        process = self.start(*arguments, as_json=as_json)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise Failure("%s did not end within %d s\n%s%s" % (
                " ".join(self.command(*arguments)), timeout, out.decode(), err.decode())) from None
        shown = " ".join(self.command(*arguments, as_json=as_json))
        result = Result(shown, process.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"),
                        time.monotonic() - started)
        accepted = (code,) if isinstance(code, int) else code
        require(result.code >= 0, lambda: "the program died of signal %d\n%s" % (-result.code, result))
        require("Sanitizer" not in result.err and "runtime error:" not in result.err, lambda: str(result))
        require(accepted is None or result.code in accepted, lambda: "expected exit %s\n%s" % (code, result))
        if as_json and result.out.strip():
            for line in result.out.strip().splitlines():
                with_context = "every line of stdout must be JSON: %r\n%s" % (line[:200], shown)
                if result.documents and len(result.documents) == 1 and result.out.lstrip().startswith("{"):
                    break
                try:
                    json.loads(line)
                except ValueError:
                    raise Failure(with_context) from None
        if result.code in (1, 2, 5, 6, 7, 8, 9) and not (as_json and result.last["type"] == "summary"):
            require("hint" in (result.out + result.err).lower(), lambda: "an error without a hint\n%s" % result)
        return result

    def activate(self, *arguments, **options):
        return self.run("activate", *arguments, **options)

    def sync(self, *arguments, **options):
        return self.run("sync", *arguments, **options)

    def conflicts(self):
        return self.run("conflicts").last["conflicts"]

    def verify(self, *arguments, code=0, **options):
        return self.run("verify", *arguments, code=code, **options)

    # what must be so
    def require_equal_nodes(self, *nodes, tables=None, relations=True):
        """The independent checker over the nodes (all, if none is named)."""
        nodes = nodes or tuple(self.nodes.values())
        first = nodes[0].image(tables)
        for node in nodes[1:]:
            found = compare_images(first, node.image(tables))
            require(not found, lambda: "%s (left) and %s (right) differ:\n  %s" % (
                nodes[0].name, node.name, "\n  ".join(found)))
        for node in nodes:
            found = health(node.path, relations)
            require(not found, lambda: "%s: %s" % (node.name, found))

    def require_settled(self, *nodes, tables=None, verify=True, relations=True):
        """After a session: equal by the checker, equal by `verify`, and a further session moves nothing. Where sites with
        foreign keys are merged (`relations=False`), a child may be there without its parent."""
        self.require_equal_nodes(*nodes, tables=tables, relations=relations)
        if verify:
            self.verify()
        before = {n.name: n.image() for n in self.nodes.values()}
        again = self.sync()
        require_equal(moved(again), 0, "rows moved by a session without changes (%s)" % again.out[-600:])
        for node in self.nodes.values():
            found = compare_images(before[node.name], node.image())
            require(not found, lambda: "a session without changes changed %s: %s" % (node.name, found))

    def require_ledger(self, ledger, node, may_return=False):
        conflicts, final = self.conflicts(), final_tokens(node.path)
        counts, problems = ledger.judge(final, conflicts, may_return)
        require(not problems, lambda: "the ledger of %d acknowledged writes: %s\n  %s" % (
            len(ledger.written), dict(counts), "\n  ".join(problems[:20])))
        # A canary on the real thing: with one entry of the conflict log taken away something must be lost.
        for i, conflict in enumerate(conflicts):
            only = tokens_in(conflict["loser"]) - set(ledger.seen)
            if only and not any(only & tokens_in(c["loser"]) for c in conflicts[:i] + conflicts[i + 1:]) \
                    and not only & final:
                require(ledger.judge(final, conflicts[:i] + conflicts[i + 1:])[1],
                        "the ledger does not notice a missing conflict")
                break
        return counts


def moved(result):
    """Rows that a `sync --json` wrote, over all jobs, pulls and tables."""
    require_equal(result.last.get("type"), "summary", "the last line of %s" % result.command)
    return result.last["changed"]


def value_of(shown):
    """A value as the program prints it in JSON, in the checker's canonical form."""
    kind, text = shown["type"], shown.get("value")
    if kind == "null":
        return ("null",)
    if kind == "integer":
        return ("integer", int(text))
    if kind == "real":
        return ("real", struct.pack(">d", float(text)))
    if kind == "blob" or shown.get("encoding") == "base64":
        return (kind, base64.b64decode(text, validate=True))
    return (kind, text.encode())


def row_of(side):
    """The row image of one side of a conflict: column -> canonical value; None for a delete."""
    return {column: value_of(v) for column, v in side["row"].items()} if side.get("row") else None


def toml(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "[%s]" % ", ".join(toml(v) for v in value)
    if isinstance(value, dict):
        return "{%s}" % ", ".join("%s = %s" % (json.dumps(k), toml(v)) for k, v in value.items())
    return json.dumps(str(value))


def toml_key(name):
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)


def listing(directory):
    return sorted(p.name for p in pathlib.Path(directory).iterdir())


def shared_data(name):
    """A sample database: from TIDEMARK_DATA, else from beside the project, else its stand-in, and then it says so. A folder
    that was named must have it; nothing is skipped."""
    named = os.environ.get("TIDEMARK_DATA")
    path = pathlib.Path(named or ROOT.parent / "shared" / "data") / name
    if path.is_file():
        return path
    require(not named and name in samples.SCHEMAS, "the sample database %s is missing: set TIDEMARK_DATA to the folder that "
            "holds chinook.sqlite and northwind.sqlite" % path)
    print("note: a made-up %s; the real one from the folder that TIDEMARK_DATA names" % name, flush=True)
    made = zlib.crc32(pathlib.Path(samples.__file__).read_bytes())
    stand_in = pathlib.Path(tempfile.gettempdir()) / ("tidemark-sample-%d-%08x-%s" % (os.getuid(), made, name))
    if not stand_in.exists():
        unfinished = stand_in.with_suffix(".%d" % os.getpid())
        samples.make(name, unfinished)
        unfinished.replace(stand_in)  # tests run side by side
    return stand_in


# the runner ------------------------------------------------------------------------------------------------------------

TESTS = []


def test(function):
    TESTS.append(function)
    return function


def long_only(function):
    function.long_only = True
    TESTS.append(function)
    return function


def run_one(function, options, seed):
    """Returns (name, passed, seconds, text). Runs in a process of its own, so that tests cannot disturb each other."""
    started = time.monotonic()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="tidemark-%s-" % function.__name__[:40]))
    lab = Lab(options.tidemark, directory, "%s/%s" % (seed, function.__name__), options.long)
    try:
        function(lab)
        text, passed = "; ".join(lab.notes), True
    except BaseException as error:  # every failure is reported with what is needed to replay it
        trace = "" if isinstance(error, Failure) else traceback.format_exc()
        where = traceback.extract_tb(error.__traceback__)
        line = next((f.lineno for f in reversed(where) if f.filename == function.__code__.co_filename), 0)
        text, passed = "%s (line %d)\n%s" % (error, line, trace), False
    if passed and not options.keep:
        shutil.rmtree(directory, ignore_errors=True)
    else:
        text += "\n  files: %s" % directory
    return function.__name__, passed, time.monotonic() - started, text


def worker(position, options, seed, tasks, results):
    while True:
        position = tasks.get()
        if position is None:
            return
        results.put(run_one(TESTS[position], options, seed))


def main(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--tidemark", default=os.environ.get("TIDEMARK"), help="path of the program (or env TIDEMARK)")
    parser.add_argument("--seed", default=None, help="replays a run; printed by every run")
    parser.add_argument("--only", default="*", help="names of tests, with * and ?")
    parser.add_argument("--long", action="store_true", help="larger counts")
    parser.add_argument("--keep", action="store_true", help="leaves the files of passed tests too")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="tests at the same time")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    chosen = [i for i, t in enumerate(TESTS) if fnmatch.fnmatch(t.__name__, options.only)
              and (options.long or not getattr(t, "long_only", False))]
    if options.list:
        print("\n".join(TESTS[i].__name__ for i in chosen))
        return 0
    if not options.tidemark or not os.access(options.tidemark, os.X_OK):
        print("no program to test: give --tidemark PATH or set TIDEMARK (seen: %s)" % options.tidemark)
        return 2
    if not chosen:
        print("no test is called %s" % options.only)
        return 2
    options.tidemark = os.path.abspath(options.tidemark)
    seed = options.seed or str(random.SystemRandom().randrange(10**6))
    script = os.path.basename(sys.argv[0])
    print("%s: %d tests, seed %s" % (script, len(chosen), seed), flush=True)
    self_test()
    tasks, results = multiprocessing.Queue(), multiprocessing.Queue()
    workers = [multiprocessing.Process(target=worker, args=(i, options, seed, tasks, results))
               for i in range(max(1, min(options.jobs, len(chosen))))]
    for position in chosen:
        tasks.put(position)
    for process in workers:
        tasks.put(None)
        process.start()
    failed, started = [], time.monotonic()
    for _ in chosen:
        name, passed, seconds, text = results.get()
        print("%s %-64s %6.2f s%s" % ("ok  " if passed else "FAIL", name, seconds, "  " + text if text else ""),
              flush=True)
        if not passed:
            failed.append(name)
            print("  replay: python3 %s --tidemark %s --seed %s --only %s%s" % (
                os.path.relpath(sys.argv[0]), options.tidemark, seed, name, " --long" if options.long else ""),
                flush=True)
    for process in workers:
        process.join()
    print("%s: %d passed, %d failed, %.1f s, seed %s" % (
        script, len(chosen) - len(failed), len(failed), time.monotonic() - started, seed))
    return 1 if failed else 0


# canaries ----------------------------------------------------------------------------------------------------------------


def self_test():
    """Checker and ledger must catch what is deliberately broken; run before every test run."""
    with tempfile.TemporaryDirectory(prefix="tidemark-canary-") as directory:
        self_test_checker(pathlib.Path(directory))
    self_test_ledger()


def self_test_checker(directory):
    schema = "CREATE TABLE t(k PRIMARY KEY, v); INSERT INTO t VALUES (1, 'x'), ('1', 0.0), (x'31', 'a'), (2, 'b');"
    broken = ["UPDATE t SET v = x'78' WHERE k = 1", "UPDATE t SET v = -0.0 WHERE k = '1'",
              "UPDATE t SET v = 0 WHERE k = '1'", "DELETE FROM t WHERE k = x'31'", "INSERT INTO t VALUES (3, NULL)",
              "UPDATE t SET v = CAST(x'6100' AS TEXT) WHERE k = x'31'", "UPDATE t SET k = '2' WHERE k = 2",
              "UPDATE t SET v = CAST(x'ff' AS TEXT) WHERE k = 2", "DROP TABLE t", "ALTER TABLE t ADD COLUMN w"]
    for i, damage in enumerate([None] + broken):
        left, right = directory / ("l%d.db" % i), directory / ("r%d.db" % i)
        for path, extra in ((left, None), (right, damage)):
            connection = connect(path)
            connection.executescript(schema)
            if extra:
                connection.execute(extra)
            connection.close()
        found = compare_images(read_images(left), read_images(right))
        if bool(found) != bool(damage):
            raise SystemExit("the checker is broken: after %r it says %r" % (damage, found))
    orphan = directory / "orphan.db"
    connection = connect(orphan)
    connection.executescript("CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE c(id INTEGER PRIMARY KEY,"
                             " p REFERENCES p(id)); INSERT INTO c VALUES (1, 7);")
    connection.close()
    if not health(orphan):
        raise SystemExit("the checker does not see a broken foreign key")


def self_test_ledger():
    def ledger():
        made = Ledger()
        made.acknowledge("a", ["w1:a:1"], [])
        made.acknowledge("a", ["w1:a:2"], ["w1:a:1"])
        made.acknowledge("b", ["w2:b:1"], [])
        made.rolled_back.add("w3:c:1")
        made.note_unknown({"written": ["w4:d:1"], "seen": ["w5:d:1"]})
        return made

    def logged(token, kind="update_differs"):
        return [{"type": kind, "status": "resolved", "winner": {"row": {"v": {"text": "w1:a:2"}}},
                 "loser": {"row": {"v": {"text": token}}}}]

    cases = [("all is well", {"w1:a:2"}, logged("w2:b:1"), 0),
             ("a lost write", {"w1:a:2"}, [], 1),
             ("a resurrection", {"w1:a:1", "w1:a:2"}, logged("w2:b:1"), 1),
             ("a revived row is no resurrection", {"w1:a:1", "w1:a:2"}, logged("w2:b:1") + logged("w1:a:1", "revived"), 0),
             ("a row that nobody wrote", {"w1:a:2", "w9:z:9"}, logged("w2:b:1"), 1),
             ("a row of a rolled back transaction", {"w1:a:2", "w3:c:1"}, logged("w2:b:1"), 1),
             ("a row of somebody who was killed", {"w1:a:2", "w4:d:1"}, logged("w2:b:1"), 0),
             ("a loser that was never committed", {"w1:a:2"}, logged("w2:b:1") + logged("w3:c:1"), 1)]
    for what, final, conflicts, expected in cases:
        problems = ledger().judge(final, conflicts)[1]
        if len(problems) != expected:
            raise SystemExit("the ledger is broken: %s: %s" % (what, problems))
    made = ledger()
    made.acknowledge("d", ["w5:d:1"], [])
    for final in ({"w1:a:2"}, {"w1:a:2", "w5:d:1"}):
        problems = made.judge(final, logged("w2:b:1"))[1]
        if problems:
            raise SystemExit("the ledger is broken: overwritten by somebody who was killed: %s" % problems)


if __name__ == "__main__":
    self_test()
    print("checker and ledger catch what is broken")
