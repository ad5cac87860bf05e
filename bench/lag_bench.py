#!/usr/bin/env python3
"""What the daemon reaches and costs: the time from a commit here until it can be seen there, what writers pay for it,
what an idle daemon takes, sweeps included. Starts a private PostgreSQL server; takes some ten minutes, half of them idle.

    python3 bench/lag_bench.py --tidemark build/release/tidemark [--scale 1.0] [--idle-seconds 330] [--only NAME]

PostgreSQL pairs are measured beside built-in logical replication, Slony-I and Bucardo (bench/peers.py); one that is not
installed is named and left out.
"""
import argparse
import contextlib
import os
import pathlib
import resource
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))
from peers import BuiltIn, Bucardo, Slony, Unavailable  # noqa: E402
from postgresql_server import PrivateServer, Session, binary  # noqa: E402

ITEM = "CREATE TABLE item(id integer PRIMARY KEY, name text, n integer);"
TICKS = os.sysconf("SC_CLK_TCK")


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


class Bench:
    def __init__(self, program, scale, idle_seconds, folder):
        self.program, self.scale, self.idle_seconds, self.folder = program, scale, idle_seconds, pathlib.Path(folder)
        self.number, self.server = 0, None

    def count(self, number, least=20):
        return max(least, int(number * self.scale))

    def show(self, what, value):
        print("%-78s %s" % (what, value), flush=True)

    def sqlite(self, name):
        path = self.folder / name
        connection = sqlite3.connect(path, isolation_level=None, timeout=30)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(ITEM)
        return path, connection

    def database(self):
        self.number += 1
        name = "lag%d" % self.number
        self.server.create_database(name)
        self.server.script(name, ITEM)
        return name

    def config(self, jobs, nodes, extra=""):
        self.number += 1
        path = self.folder / ("c%d.toml" % self.number)
        text = extra + "".join('[node.%s]\nurl = "%s"\n' % entry for entry in nodes.items())
        for name, members, mode in jobs:
            listed = ", ".join('"%s"' % node for node in members)
            text += '[job.%s]\nnodes = [%s]\nmode = "%s"\nschedule = "continuous"\n' % (name, listed, mode)
        path.write_text(text)
        subprocess.run([self.program, "activate", "--config", path], check=True, stdout=subprocess.DEVNULL)
        subprocess.run([self.program, "sync", "--config", path], check=True, stdout=subprocess.DEVNULL)
        return path

    @contextlib.contextmanager
    def daemon(self, config, wait_s=1.5):
        log = open(str(config) + ".log", "w")
        process = subprocess.Popen([self.program, "run", "--config", config], stderr=log, stdout=log)
        try:
            time.sleep(wait_s)
            yield process
            if process.poll() is not None:
                raise RuntimeError("the daemon ended: " + pathlib.Path(str(config) + ".log").read_text()[-2000:])
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(10)
            log.close()

    def lags(self, write, seen, rounds, pause_s):
        """Milliseconds from the end of write(i) until seen() tells i."""
        found = []
        for i in range(1, rounds + 1):
            write(i)
            began = time.monotonic()
            while seen() < i:
                if time.monotonic() - began > 30:
                    raise RuntimeError("change %d did not arrive within 30 s" % i)
                time.sleep(0.0005)
            found.append((time.monotonic() - began) * 1000)
            time.sleep(pause_s * (0.5 + (i * 7 % 10) / 10))
        return found

    def show_lags(self, what, lags, target):
        self.show(what + ", p50 / p99 of %d" % len(lags), "%.1f / %.1f ms (%s)" % (
            statistics.median(lags), percentile(lags, 0.99), target))

    # --- rows of the bench
    def lag_sqlite(self):
        (a, writer), (b, reader) = self.sqlite("a.db"), self.sqlite("b.db")
        config = self.config([("ab", ["a", "b"], "two-way")], {"a": "sqlite:%s" % a, "b": "sqlite:%s" % b})
        with self.daemon(config):
            lags = self.lags(lambda i: writer.execute("INSERT INTO item VALUES (?, 'x', 0)", (i,)),
                             lambda: reader.execute("SELECT coalesce(max(id), 0) FROM item").fetchone()[0],
                             self.count(300), 0.03)
        self.show_lags("commit here to visible there, SQLite to SQLite", lags, "at most 20 / 100 ms")

    def session(self, database):
        return Session(self.server, database, "tm_owner")

    def lag_postgresql(self):
        a, b = self.database(), self.database()
        writer, reader = self.session(a), self.session(b)

        def seen():
            return int(reader.run("SELECT coalesce(max(id), 0) FROM item") or 0)

        def write(i):
            writer.run("INSERT INTO item VALUES (%d, 'x', 0)" % i)

        config = self.config([("ab", ["a", "b"], "two-way")], {"a": self.server.url(a), "b": self.server.url(b)})
        with self.daemon(config):
            lags = self.lags(write, seen, self.count(200), 0.05)
        self.show_lags("commit here to visible there, PostgreSQL to PostgreSQL", lags, "at most 50 / 250 ms")
        writer.close()
        reader.close()
        for peer in (BuiltIn, Slony, Bucardo):
            self.lag_of_peer(peer(self.server, self.folder, 100))

    def lag_of_peer(self, peer):
        """The same of another replicator, which runs alone then; one that is missing is named."""
        try:
            try:
                peer.set_up()
                peer.start()
            except Unavailable as why:
                self.show("the same by %s" % peer.title, "left out: %s" % why)
                return
            writer, reader = self.session(peer.source), self.session(peer.target)

            def write(i):
                writer.run("UPDATE item SET n = %d WHERE id = 1" % i)

            def seen():
                return int(reader.run("SELECT n FROM item WHERE id = 1"))

            write(-1)       # one to warm up, which also waits until carrying has begun
            end = time.monotonic() + 60
            while seen() != -1:
                if time.monotonic() > end:
                    self.show("the same by %s" % peer.title, "left out: nothing arrived within a minute")
                    return
                time.sleep(0.01)
            self.show_lags("the same by %s" % peer.title, self.lags(write, seen, self.count(200), 0.05), "to compare")
            writer.close()
            reader.close()
        finally:
            peer.stop()

    def lag_mixed(self):
        (a, writer), b = self.sqlite("mixed.db"), self.database()
        reader = self.session(b)
        config = self.config([("ab", ["b", "a"], "two-way")], {"a": "sqlite:%s" % a, "b": self.server.url(b)})
        with self.daemon(config):
            lags = self.lags(lambda i: writer.execute("INSERT INTO item VALUES (?, 'x', 0)", (i,)),
                             lambda: int(reader.run("SELECT coalesce(max(id), 0) FROM item") or 0),
                             self.count(200), 0.05)
        self.show_lags("commit here to visible there, SQLite to PostgreSQL", lags, "at most 50 / 250 ms")
        reader.close()

    def writer_rate(self, path, seconds, pause_s=0.0):
        code = ("import sqlite3,sys,time\n"
                "c=sqlite3.connect(sys.argv[1],isolation_level=None,timeout=30)\n"
                "c.execute('PRAGMA synchronous=NORMAL')\n"
                "n=0; end=time.monotonic()+%f\n"
                "while time.monotonic()<end:\n"
                "    c.execute('INSERT INTO item VALUES(?,?,0) ON CONFLICT(id) DO UPDATE SET n=n+1',(n%%50000,'x'*50))\n"
                "    n+=1\n"
                "print(n)" % seconds)
        output = subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True)
        return int(output.stdout) / seconds

    def cost_sqlite(self):
        seconds = max(2, 6 * self.scale)
        (a, _), (b, _) = self.sqlite("ca.db"), self.sqlite("cb.db")
        config = self.config([("ab", ["a", "b"], "two-way")], {"a": "sqlite:%s" % a, "b": "sqlite:%s" % b})
        alone, beside = [], []
        for _ in range(3):
            alone.append(self.writer_rate(a, seconds))
            with self.daemon(config):
                time.sleep(1)
                beside.append(self.writer_rate(a, seconds))
        self.show("SQLite writer with the daemon, to without (medians of 3, %.0f tx/s alone)" % statistics.median(alone),
                  "%.2f (0.9 or more)" % (statistics.median(beside) / statistics.median(alone)))

    def pgbench(self, database, script, seconds, clients=2):
        output = subprocess.run(
            [binary("pgbench"), "-n", "-f", script, "-c", str(clients), "-j", "1", "-T", str(seconds), "-h",
             str(self.server.folder), "-U", "tm_owner", database],
            check=True, capture_output=True, text=True).stdout
        return next(float(line.split()[2]) for line in output.splitlines() if line.startswith("tps"))

    def cost_postgresql(self):
        # Less would measure how the daemon meets a flood, not what it costs while there is one.
        seconds = max(6, int(6 * self.scale))
        script = self.folder / "writer.sql"
        script.write_text("\\set id random(1, 50000)\nINSERT INTO item VALUES (:id, 'x', 0) ON CONFLICT (id) DO UPDATE "
                          "SET n = item.n + 1;\n")
        a, b = self.database(), self.database()
        config = self.config([("ab", ["a", "b"], "two-way")], {"a": self.server.url(a), "b": self.server.url(b)})
        # In turns, because the same writers differ by a tenth from one minute to the next.
        alone, ratios = [], []
        for _ in range(7):
            alone.append(self.pgbench(a, script, seconds))
            with self.daemon(config):
                ratios.append(self.pgbench(a, script, seconds) / alone[-1])
        ratios.sort()
        self.show("PostgreSQL writers with the daemon, to without (%.0f tx/s alone)" % statistics.median(alone),
                  "%.2f (0.9 or more), 5 of 7 pairs %.2f to %.2f" % (statistics.median(ratios), ratios[1], ratios[-2]))

    def notice_postgresql(self):
        """What a writer pays for being noticed: NOTIFY in its transaction, or somebody who asks for the snapshot."""
        seconds = max(2, int(5 * self.scale))
        database = self.database()
        plain, notifying = self.folder / "plain.sql", self.folder / "notify.sql"
        body = "\\set id random(1, 50000)\nINSERT INTO item VALUES (:id, 'x', 0) ON CONFLICT (id) DO UPDATE SET n = item.n + 1;\n"
        plain.write_text(body)
        notifying.write_text("BEGIN;\n" + body + "NOTIFY tidemark;\nCOMMIT;\n")
        same = self.folder / "same.sql"
        same.write_text("BEGIN;\n" + body + "COMMIT;\n")
        alone, notified, asked = [], [], []
        for _ in range(3):
            alone.append(self.pgbench(database, same, seconds, 8))
            notified.append(self.pgbench(database, notifying, seconds, 8))
            stop = threading.Event()

            def ask():
                session = self.session(database)
                while not stop.wait(0.005):
                    session.run("SELECT pg_current_snapshot()")
                session.close()

            thread = threading.Thread(target=ask)
            thread.start()
            asked.append(self.pgbench(database, same, seconds, 8))
            stop.set()
            thread.join()
        base = statistics.median(alone)
        self.show("PostgreSQL, 8 writers that NOTIFY, to the same that do not", "%.2f" % (statistics.median(notified) / base))
        self.show("PostgreSQL, 8 writers while the snapshot is asked for every 5 ms", "%.2f" % (statistics.median(asked) / base))

    def idle(self):
        nodes, jobs, files = {}, [], []
        for i in range(100):
            path, connection = self.sqlite("idle%d.db" % i)
            connection.execute("INSERT INTO item VALUES (1, 'x', 0)") if i % 2 == 0 else None
            connection.close()
            nodes["n%d" % i] = "sqlite:%s" % path
            files.append(path)
        for i in range(50):
            jobs.append(("j%d" % i, ["n%d" % (2 * i), "n%d" % (2 * i + 1)], "two-way"))
        config = self.config(jobs, nodes)

        def times():
            return {str(f): f.stat().st_mtime_ns for f in self.folder.iterdir() if f.name.startswith("idle")}

        with self.daemon(config, 25) as process:
            before, cpu = times(), self.cpu(process.pid)
            # All jobs met at the start, and meet again within this time, changes or not.
            seconds = self.idle_seconds
            time.sleep(seconds)
            used = self.cpu(process.pid) - cpu
            touched = [name for name, at in times().items() if before.get(name) != at]
            memory = int(next(line.split()[1] for line in open("/proc/%d/status" % process.pid) if line.startswith("VmRSS")))
        self.show("50 idle jobs over 100 SQLite nodes, %d s: CPU of one core" % seconds,
                  "%.2f %% (less than 1 %%)" % (100 * used / seconds))
        self.show("the same: memory", "%.0f MiB (less than 100)" % (memory / 1024))
        self.show("the same: files touched", "%d (none)" % len(touched))

    @staticmethod
    def cpu(pid):
        fields = open("/proc/%d/stat" % pid).read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def branches(self):
        hub = self.database()
        count = 50
        nodes, connections = {"hub": self.server.url(hub)}, []
        for i in range(count):
            path, connection = self.sqlite("branch%d.db" % i)
            nodes["b%d" % i] = "sqlite:%s" % path
            connections.append(connection)
        config = self.config([("all", ["hub"] + ["b%d" % i for i in range(count)], "two-way")], nodes)
        reader = self.session(hub)
        written, lags = {}, []
        seconds = max(10, 30 * self.scale)
        with self.daemon(config, 10):
            end, next_id = time.monotonic() + seconds, 0
            turn = 0
            while time.monotonic() < end:
                began = time.monotonic()
                for i, connection in enumerate(connections):
                    next_id += 1
                    connection.execute("INSERT INTO item VALUES (?, 'b', ?)", (next_id, i))
                    written[next_id] = time.monotonic()
                    if i % 5 == 4:
                        self.collect(reader, written, lags)
                        time.sleep(max(0, began + (i + 1) / count - time.monotonic()))
                turn += 1
            end = time.monotonic() + 10
            while written and time.monotonic() < end:
                self.collect(reader, written, lags)
                time.sleep(0.02)
        if written:
            raise RuntimeError("%d changes did not arrive" % len(written))
        reader.close()
        self.show("50 branches, each a row a second, to one PostgreSQL hub, p50 / p99 of %d" % len(lags),
                  "%.0f / %.0f ms (p99 less than 2000 ms)" % (statistics.median(lags) * 1000, percentile(lags, 0.99) * 1000))

    @staticmethod
    def collect(reader, written, lags):
        if not written:
            return
        answer = reader.run("SELECT id FROM item WHERE id >= %d" % min(written))
        now = time.monotonic()
        for line in answer.splitlines():
            if line.strip().isdigit() and int(line) in written:
                lags.append(now - written.pop(int(line)))


ROWS = {
    "lag_sqlite": False, "lag_postgresql": True, "lag_mixed": True, "cost_sqlite": False, "cost_postgresql": True,
    "notice_postgresql": True, "idle": False, "branches": True,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tidemark", required=True, type=os.path.abspath)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--idle-seconds", type=int, default=330,
                        help="how long idle jobs are looked at: 300 and more have a sweep of every job in it")
    parser.add_argument("--only", action="append", choices=sorted(ROWS))
    arguments = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    chosen = [name for name in ROWS if not arguments.only or name in arguments.only]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        bench = Bench(arguments.tidemark, arguments.scale, arguments.idle_seconds, folder)
        if any(ROWS[name] for name in chosen):
            bench.server = stack.enter_context(PrivateServer({"wal_level": "logical", "max_connections": "200"}))
        for name in chosen:
            getattr(bench, name)()


if __name__ == "__main__":
    main()
