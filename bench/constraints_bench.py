#!/usr/bin/env python3
"""What constraints cost a session in which none is broken: 300k changes of a table with two foreign keys and a unique
key, to the same changes of the same table without them. Ratios of medians of alternating runs; the processor time of the
program for SQLite, wall time for PostgreSQL (whose server does the work).

An engine takes longer itself where it keeps an index or looks for parents, whoever writes. That is measured in the same run
by the same changes in plain SQL on a database without Tidemark, and the second ratio leaves it out: what our rules cost.

    python3 bench/constraints_bench.py --tidemark build/release/tidemark [--scale 1.0] [--rounds 5] [--only sqlite]
"""
import argparse
import os
import pathlib
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))
from postgresql_server import PrivateServer  # noqa: E402

AIM = "1.30 or less"
FILL = """
INSERT INTO customer SELECT i, 'customer ' || i FROM {customers} ;
INSERT INTO item SELECT i, 'item ' || i FROM {items} ;
INSERT INTO line SELECT i, i % {customer_count} + 1, i % {item_count} + 1, 'code ' || i, 'note of some length ' || i, 0
  FROM {lines} ;
"""
CHANGE = """
UPDATE line SET n = n + 1, item = item % {item_count} + 1 WHERE id <= {updated};
DELETE FROM line WHERE id > {updated} AND id <= {deleted};
INSERT INTO line SELECT i, i % {customer_count} + 1, i % {item_count} + 1, 'code ' || i, 'note of some length ' || i, 0
  FROM {new_lines} ;
"""


def schema(constrained, parts):
    reference = "REFERENCES {}" if constrained and "references" in parts else ""
    unique = "UNIQUE" if constrained and "unique" in parts else ""
    return ("CREATE TABLE customer(id integer PRIMARY KEY, name text);"
            "CREATE TABLE item(id integer PRIMARY KEY, name text);"
            "CREATE TABLE line(id integer PRIMARY KEY, customer integer NOT NULL %s, item integer NOT NULL %s,"
            " code text %s, note text, n integer);" % (reference.format("customer"), reference.format("item"), unique))


def numbers(engine, first, last):
    if engine == "postgresql":
        return "generate_series(%d, %d) AS i" % (first, last)
    return "(WITH RECURSIVE c(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM c WHERE i < %d) SELECT i FROM c) AS c" % (first, last)


class Bench:
    def __init__(self, program, scale, folder, server, parts):
        self.parts = parts
        self.program, self.folder, self.server = program, pathlib.Path(folder), server
        self.count = max(30, int(100_000 * scale))
        self.number = 0

    def texts(self, engine):
        count = self.count
        names = {"customer_count": count // 10, "item_count": count // 20, "updated": count, "deleted": 2 * count,
                 "customers": numbers(engine, 1, count // 10), "items": numbers(engine, 1, count // 20),
                 "lines": numbers(engine, 1, 3 * count), "new_lines": numbers(engine, 3 * count + 1, 4 * count)}
        return FILL.format(**names), CHANGE.format(**names)

    def database(self, engine, constrained):
        self.number += 1
        if engine == "postgresql":
            name = "bench%d" % self.number
            self.server.create_database(name)
            self.server.script(name, schema(constrained, self.parts))
            return self.server.url(name), lambda sql: self.server.script(name, sql)
        path = self.folder / ("n%d.db" % self.number)

        def run(sql):
            connection = sqlite3.connect(path)
            connection.executescript("PRAGMA foreign_keys=ON; PRAGMA synchronous=OFF;" + sql)
            connection.close()
        run("PRAGMA journal_mode=WAL;" + schema(constrained, self.parts))
        return "sqlite:%s" % path, run

    def session(self, engine, constrained):
        """Seconds that the session of all changes takes."""
        (source, run), (target, _) = self.database(engine, constrained), self.database(engine, constrained)
        fill, change = self.texts(engine)
        config = self.folder / ("c%d.toml" % self.number)
        config.write_text('[node.a]\nurl = "%s"\n[node.b]\nurl = "%s"\n[job.j]\nnodes = ["a", "b"]\nmax_deletes = "100%%"\n'
                          % (source, target))
        run(fill)
        self.tidemark("activate", "--config", config)
        self.tidemark("sync", "--config", config)
        run(change)
        if engine == "postgresql":
            run("VACUUM ANALYZE")
        return self.tidemark("sync", "--config", config)[0 if engine == "sqlite" else 1]

    def plain(self, engine, constrained):
        """Seconds that the engine takes for the same changes without us. SQLite looks for no parents, as in our sessions."""
        _, run = self.database(engine, constrained)
        fill, change = self.texts(engine)
        run(fill)
        if engine == "sqlite":
            change = "PRAGMA foreign_keys=OFF;" + change
        before, started = os.times(), time.monotonic()
        run(change)
        after = os.times()
        if engine == "sqlite":
            return after.user - before.user + after.system - before.system
        return time.monotonic() - started

    def tidemark(self, *arguments):
        started = time.monotonic()
        before = os.times()
        subprocess.run([self.program, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)
        after = os.times()
        return (after.children_user - before.children_user + after.children_system - before.children_system,
                time.monotonic() - started)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tidemark", required=True)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--parts", default="references,unique", help="of the constraints")
    parser.add_argument("--server-checks", action="store_true", help="PostgreSQL without the optional grant: the server looks for "
                        "every parent itself, row by row")
    parser.add_argument("--only", choices=["sqlite", "postgresql"])
    args = parser.parse_args()
    server = PrivateServer() if args.only != "sqlite" else None
    if server and not args.server_checks:
        server.sql("postgres", "GRANT SET ON PARAMETER session_replication_role TO tm_owner", role="postgres")
    try:
        for engine in [args.only] if args.only else ["sqlite", "postgresql"]:
            taken, plain = {True: [], False: []}, {True: [], False: []}
            with tempfile.TemporaryDirectory() as folder:
                bench = Bench(args.tidemark, args.scale, folder, server, args.parts.split(","))
                for _ in range(args.rounds):
                    for constrained in (False, True):
                        taken[constrained].append(bench.session(engine, constrained))
                        plain[constrained].append(bench.plain(engine, constrained))
            with_, without = statistics.median(taken[True]), statistics.median(taken[False])
            own = statistics.median(plain[True]) - statistics.median(plain[False])
            print("%-11s session of %d changes, with %s to without: %.2f; without what the engine itself takes: %.2f   %s\n"
                  "            (%.2f s and %.2f s; plain SQL %.2f s and %.2f s)"
                  % (engine, 3 * max(30, int(100_000 * args.scale)), args.parts, with_ / without, (with_ - own) / without,
                     AIM, with_, without, statistics.median(plain[True]), statistics.median(plain[False])), flush=True)
    finally:
        if server:
            server.close()


if __name__ == "__main__":
    main()
