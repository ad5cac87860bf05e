#!/usr/bin/env python3
"""What Tidemark costs and reaches on PostgreSQL, as ratios measured in one run against the raw limit and against built-in
logical replication. Starts a private server; takes some minutes.

    python3 bench/postgresql_bench.py --tidemark build/release/tidemark [--scale 1.0] [--only NAME]
"""
import argparse
import json
import os
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))
from postgresql_server import PrivateServer, binary  # noqa: E402

ITEM = "CREATE TABLE item(id integer PRIMARY KEY, name text, city text, price numeric(10,2), note text, n integer);"
ROW = "i, 'name ' || i, 'city ' || i % 100, i * 0.01, repeat('x', 40), 0"
ROUNDS = 5


class Bench:
    def __init__(self, server, program, scale, folder):
        self.server, self.program, self.scale, self.folder = server, program, scale, pathlib.Path(folder)
        self.number = 0
        self.lines = []

    def rows(self, count):
        return max(100, int(count * self.scale))

    def database(self, schema=""):
        self.number += 1
        name = "bench%d" % self.number
        self.server.create_database(name)
        if schema:
            self.server.script(name, schema)
        return name

    def drop(self, *databases):
        """Rounds would slow each other down once all databases no longer fit into the server's buffers."""
        for name in databases:
            self.server.sql("postgres", "DROP DATABASE " + name, role="postgres")

    def seconds(self, database, sql):
        started = time.monotonic()
        self.server.script(database, sql)
        return time.monotonic() - started

    def config(self, *nodes, mode="two-way"):
        self.number += 1
        path = self.folder / ("c%d.toml" % self.number)
        text = "".join('[node.n%d]\nurl = "%s"\n' % (i, url) for i, url in enumerate(nodes))
        names = ", ".join('"n%d"' % i for i in range(len(nodes)))
        path.write_text(text + '[job.j]\nnodes = [%s]\nmode = "%s"\nmax_deletes = "100%%"\n' % (names, mode))
        return path

    def tidemark(self, *arguments):
        """Seconds, and the most memory in KiB that any run took so far."""
        started = time.monotonic()
        subprocess.run([self.program, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)
        return time.monotonic() - started

    def report(self, what, ratio, aim, detail=""):
        line = "%-62s %8s   %-14s %s" % (what, ratio, aim, detail)
        self.lines.append(line)
        print(line, flush=True)

    # --- capture
    def tps(self, database, script, clients):
        path = self.folder / "script.sql"
        path.write_text(script)
        done = subprocess.run([binary("pgbench"), "-n", "-h", self.server.folder, "-U", "tm_owner", "-c", str(clients), "-j",
                               str(min(clients, 2)), "-T", "2", "-f", str(path), database],
                              capture_output=True, text=True, check=True)
        return float(re.search(r"tps = ([0-9.]+) \(without", done.stdout).group(1))

    def pair_of_tps(self, plain, captured, script, clients, captured_first):
        """The rate without capture, to that with it."""
        rates = {}
        for database in (captured, plain) if captured_first else (plain, captured):
            rates[database] = self.tps(database, script, clients)
        return rates[plain] / rates[captured]

    def capture(self):
        count = self.rows(200_000)
        fill = ITEM + "INSERT INTO item SELECT %s FROM generate_series(1, %d) i; VACUUM ANALYZE item;" % (ROW, count)
        plain, captured = self.database(fill), self.database(fill)
        self.tidemark("activate", "n1", "--config", self.config(self.server.url(self.database(ITEM)), self.server.url(captured)))
        update = "\\set id random(1, %d)\nUPDATE item SET n = n + 1 WHERE id = :id;\n" % count
        insert = "INSERT INTO item(id, name) VALUES (nextval('s'), 'new');\n"
        for database in (plain, captured):
            self.server.script(database, "CREATE SEQUENCE s START 10000000")
        for what, script, clients in (("single-row update, 1 client", update, 1), ("single-row update, 4 clients", update, 4),
                                      ("single-row insert", insert, 1)):
            # Many short slices, each database first in turns: on a shared machine one run of several seconds may be half as fast
            # as the next. Not of one second: what a connection does first, load PL/pgSQL and plan, would be one percent of that.
            ratios = sorted(self.pair_of_tps(plain, captured, script, clients, captured_first=round % 2 == 1)
                            for round in range(max(3, int(21 * self.scale))))
            self.report("capture: " + what, "%.2f" % statistics.median(ratios), "1.35 or less",
                        "half of %d rounds: %.2f to %.2f" % (len(ratios), ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]))
        data = "".join("%d\tname\tcity\t1.00\t%s\t0\n" % (20_000_000 + i, "x" * 40) for i in range(count))
        statements = (("insert", 1.65, "INSERT INTO item SELECT %s FROM generate_series(30000001, %d) i" % (ROW, 30_000_000 + count)),
                      ("update", 1.45, "UPDATE item SET n = n + 1 WHERE id <= %d" % count),
                      ("COPY", 1.75, "COPY item FROM stdin;\n" + data + "\\.\n"))
        for what, aim, sql in statements:
            ratios = []
            for _ in range(ROUNDS):
                taken = []
                for database in (plain, captured):
                    taken.append(self.seconds(database, sql))
                    self.server.script(database, "DELETE FROM item WHERE id >= 20000000;")
                    if database == captured:
                        self.server.script(database, "TRUNCATE tidemark.log_1;")
                    self.server.script(database, "VACUUM item;")
                ratios.append(taken[1] / taken[0])
            self.report("capture: 200k rows, %s in one statement" % what, "%.2f" % statistics.median(ratios), "%.2f or less" % aim)

    # --- sessions
    def end_to_end(self):
        count = self.rows(100_000)
        fill = ITEM + "INSERT INTO item SELECT %s FROM generate_series(1, %d) i; VACUUM ANALYZE item;" % (ROW, count)
        update = "UPDATE item SET n = n + 1, name = 'changed'"
        a, b = self.database(fill), self.database(fill)
        config = self.config(self.server.url(a), self.server.url(b))
        self.tidemark("activate", "--config", config)
        self.tidemark("sync", "--config", config)
        source, target = self.database(fill), self.database(ITEM)
        self.server.sql(source, "CREATE PUBLICATION p FOR TABLE item", role="postgres")
        self.server.sql(source, "SELECT pg_create_logical_replication_slot('s%d', 'pgoutput')" % self.number, role="postgres")
        self.server.sql(target, "CREATE SUBSCRIPTION s CONNECTION 'host=%s user=postgres dbname=%s' PUBLICATION p WITH (create_slot = "
                        "false, slot_name = 's%d')" % (self.server.folder, source, self.number), role="postgres")
        while self.server.sql(target, "SELECT count(*) FROM item") != [[str(count)]]:
            time.sleep(0.05)
        ours, theirs = [], []
        for round_ in range(ROUNDS):
            started = time.monotonic()
            self.server.script(a, update)
            self.tidemark("sync", "--config", config)
            ours.append(time.monotonic() - started)
            started = time.monotonic()
            self.server.script(source, update)
            while self.server.sql(target, "SELECT n FROM item WHERE id = %d" % count) != [[str(round_ + 1)]]:
                time.sleep(0.002)
            theirs.append(time.monotonic() - started)
        self.server.sql(target, "DROP SUBSCRIPTION s", role="postgres")
        self.report("100k updates in one transaction, to built-in replication", "%.2f" % (statistics.median(theirs) / statistics.median(ours)),
                    "0.50 or more", "%.0fk and %.0fk rows/s" % (count / statistics.median(ours) / 1e3, count / statistics.median(theirs) / 1e3))

    def logged(self, database):
        """From now on the server tells how long each statement in this database took; see told()."""
        self.server.sql("postgres", "ALTER DATABASE %s SET log_min_duration_statement = 0" % database, role="postgres")

    def told(self, database):
        """Seconds of all statements since logged(), by the server's own clock."""
        log = pathlib.Path(self.server.folder, "log").read_text(encoding="utf-8", errors="replace")
        return sum(map(float, re.findall(r"^%s LOG:  duration: ([0-9.]+) ms" % database, log, re.M))) / 1e3

    def apply(self):
        count = self.rows(200_000)
        fill = ITEM + "INSERT INTO item SELECT %s FROM generate_series(1, %d) i; VACUUM ANALYZE item;" % (ROW, count)
        changes = ("INSERT INTO item SELECT %s FROM generate_series(%d, %d) i;" % (ROW, count * 2 + 1, count * 2 + count // 2) +
                   "UPDATE item SET n = n + 1 WHERE id <= %d; DELETE FROM item WHERE id BETWEEN %d AND %d;" % (
                       count * 2 // 5, count // 2 + 1, count // 2 + count // 10))
        # Both write a version row for each change; a backup without them would have to reach 0.33.
        for mode, aim in (("backup", 0.22), ("two-way", 0.22)):
            applies, sessions = [], []
            for _ in range(ROUNDS):
                a, b, raw = self.database(fill), self.database(fill), self.database(ITEM)
                config = self.config(self.server.url(a), self.server.url(b), mode=mode)
                self.tidemark("activate", "--config", config)
                self.tidemark("sync", "--config", config)
                self.server.script(a, changes)
                self.logged(b)
                taken = self.tidemark("sync", "--config", config)
                self.server.script(a, "COPY (SELECT %s FROM generate_series(1, %d) i) TO STDOUT \\g %s/rows" % (ROW, count, self.folder))
                self.logged(raw)
                self.server.script(raw, "\\copy item from '%s/rows'" % self.folder)
                limit = self.told(raw)
                applies.append(limit / self.told(b))
                sessions.append(limit / taken)
                self.drop(a, b, raw)
            self.report("apply of 200k mixed changes (%s), to COPY of the rows" % mode, "%.2f" % statistics.median(applies),
                        "%.2f or more" % aim, "all statements at the target, staging among them")
            self.report("the whole session (%s), to the same" % mode, "%.2f" % statistics.median(sessions), "measured",
                        "program, connections, harvest, travel and apply")

    def first_copy(self):
        count = self.rows(1_000_000)
        a = self.database(ITEM + "INSERT INTO item SELECT %s FROM generate_series(1, %d) i; VACUUM ANALYZE item;" % (ROW, count))
        psql = [binary("psql"), "-X", "-q", "-h", self.server.folder, "-U", "tm_owner"]
        limits, ours = [], []
        for _ in range(3):
            raw, b = self.database(ITEM), self.database(ITEM)
            started = time.monotonic()
            out = subprocess.Popen([*psql, "-d", a, "-c", "COPY item TO STDOUT"], stdout=subprocess.PIPE)
            subprocess.run([*psql, "-d", raw, "-c", "COPY item FROM STDIN"], stdin=out.stdout, check=True)
            limits.append(time.monotonic() - started)
            config = self.config(self.server.url(a), self.server.url(b))
            self.tidemark("activate", "--config", config)
            ours.append(self.tidemark("sync", "--config", config))
        self.report("first copy of 1M rows, to COPY out piped into COPY in", "%.2f" % (statistics.median(limits) / statistics.median(ours)),
                    "0.70 or more", "%.2f s" % statistics.median(ours))
        lite = self.folder / "lite.db"
        config_out = self.config(self.server.url(a), "sqlite:%s" % lite)
        self.tidemark("activate", "--create-tables", "--config", config_out)
        self.report("the same into SQLite", "%.2f" % (statistics.median(limits) / self.tidemark("sync", "--config", config_out)), "measured")
        config_in = self.config("sqlite:%s" % lite, self.server.url(self.database(ITEM)))
        self.tidemark("activate", "--config", config_in)
        self.report("the same out of SQLite", "%.2f" % (statistics.median(limits) / self.tidemark("sync", "--config", config_in)), "measured")
        small = [self.database(ITEM + "INSERT INTO item SELECT %s FROM generate_series(1, 1000) i;" % ROW) for _ in range(2)]
        config_small = self.config(*map(self.server.url, small))
        self.tidemark("activate", "--config", config_small)
        self.tidemark("sync", "--config", config_small)
        # What the server has yet to do about the copies is none of the session's time.
        for database in (a, b):
            self.server.script(database, "VACUUM ANALYZE")
        self.server.sql("postgres", "CHECKPOINT", role="postgres")
        runs = [[self.tidemark(*command) for command in (("version",), ("sync", "--config", config_small), ("sync", "--config", config))]
                for _ in range(21)]
        start, *whole = map(statistics.median, zip(*runs))
        self.report("session without changes on 1k and on 1M rows", "%.0f %.0f ms" % tuple((time - start) * 1e3 for time in whole),
                    "20 ms or less", "connecting included; the command takes %.0f and %.0f ms, of them %.0f until the program "
                    "begins" % (whole[0] * 1e3, whole[1] * 1e3, start * 1e3))
        started = time.monotonic()
        readers = [subprocess.Popen([*psql, "-d", d, "-c", "COPY item TO STDOUT"], stdout=subprocess.DEVNULL) for d in (a, b)]
        for reader in readers:
            reader.wait()
        limit = time.monotonic() - started
        self.report("verify of 1M rows on each side, to streaming both", "%.2f" % (self.tidemark("verify", "--config", config) / limit), "2.50 or less")
        self.server.script(a, "UPDATE item SET n = n + 1")
        self.tidemark("sync", "--config", config)
        self.report("peak memory at 1M changes", "%d MiB" % (resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024), "250 MiB or less")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tidemark", required=True)
    parser.add_argument("--scale", type=float, default=1.0, help="for a quick look: fewer rows, shorter runs")
    parser.add_argument("--only", default="")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tidemark-bench-") as folder:
        os.chmod(folder, 0o755)
        with PrivateServer({"wal_level": "logical", "max_wal_size": "4GB", "shared_buffers": "512MB", "autovacuum": "off",
                            "log_line_prefix": "'%d '"}) as server:
            bench = Bench(server, os.path.abspath(options.tidemark), options.scale, folder)
            for part in (bench.capture, bench.end_to_end, bench.apply, bench.first_copy):
                if options.only in part.__name__:
                    part()
            if options.json:
                print(json.dumps(bench.lines))


if __name__ == "__main__":
    main()
