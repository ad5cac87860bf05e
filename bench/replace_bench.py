#!/usr/bin/env python3
"""What capture costs an SQLite application that writes by INSERT OR REPLACE and by upserts: 100k statements on a table with
a key and a unique text, 1,000 a transaction, with capture to without. `candidates` is the part of it that the rows which a
REPLACE may evict cost: with all triggers to the same without those that log candidates. Processor time of this process,
medians of alternating runs.

    python3 bench/replace_bench.py --tidemark build/release/tidemark [--scale 1.0] [--rounds 5]
"""
import argparse
import pathlib
import sqlite3
import statistics
import subprocess
import tempfile
import time

WORKLOADS = {
    "insert": "INSERT INTO t VALUES (?1 + 10000000, 'new ' || ?1, ?2)",
    "replace by the key": "INSERT OR REPLACE INTO t VALUES (?1, 'code ' || ?1, ?2)",
    "replace that evicts by the unique text": "INSERT OR REPLACE INTO t VALUES (?1 + 10000000, 'code ' || ?1, ?2)",
    "upsert": "INSERT INTO t VALUES (?1, 'code ' || ?1, ?2) ON CONFLICT (id) DO UPDATE SET note = excluded.note",
}


def connect(path):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def make(folder, name, program, count):
    path = folder / (name + ".db")
    connection = connect(path)
    connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, code TEXT UNIQUE, note TEXT)")
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO t VALUES (?, ?, 'a note of some length')", ((i, "code %d" % i) for i in range(count)))
    connection.execute("COMMIT")
    connection.close()
    if name != "plain":
        config = folder / (name + ".toml")
        config.write_text('[node.a]\nurl = "sqlite:%s.db"\n[node.p]\nurl = "sqlite:%s_peer.db"\n[job.j]\nnodes = ["a", "p"]\n'
                          % (name, name))
        peer = connect(folder / (name + "_peer.db"))
        peer.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, code TEXT UNIQUE, note TEXT)")
        peer.close()
        subprocess.run([program, "activate", "--config", config, "--quiet"], check=True, stdout=subprocess.DEVNULL)
    if name == "no candidates":
        connection = connect(path)
        for (trigger,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND name LIKE '%candidates'"
                                             ).fetchall():
            connection.execute('DROP TRIGGER "%s"' % trigger)
        connection.close()
    return path


def run(path, statement, count):
    connection = connect(path)
    started = time.process_time()
    for first in range(0, count, 1000):
        connection.execute("BEGIN")
        connection.executemany(statement, ((i, "another note of some length") for i in range(first, min(first + 1000, count))))
        connection.execute("COMMIT")
    spent = time.process_time() - started
    connection.close()
    return spent


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tidemark", required=True)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    count = max(1000, int(100_000 * options.scale))
    program = str(pathlib.Path(options.tidemark).resolve())
    print("%-42s %10s %10s" % ("%d statements" % count, "capture", "candidates"))
    for name, statement in WORKLOADS.items():
        spent = {"plain": [], "captured": [], "no candidates": []}
        for _ in range(options.rounds):
            for kind, times in spent.items():
                with tempfile.TemporaryDirectory(prefix="tidemark-replace-") as folder:
                    times.append(run(make(pathlib.Path(folder), kind, program, count), statement, count))
        plain, captured, without = (statistics.median(spent[kind]) for kind in spent)
        print("%-42s %10.2f %10.2f" % (name, captured / plain, captured / without), flush=True)


if __name__ == "__main__":
    main()
