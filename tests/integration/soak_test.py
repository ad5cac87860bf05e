#!/usr/bin/env python3
"""Two databases of PostgreSQL, a hub and an office, and three SQLite files under a daemon for a while: writers on all nodes;
daemon, writers and server are killed, the daemon is told to end, connections are cut, clocks are set. At the end every
acknowledged write is accounted for, nodes are equal, and disk, memory, descriptors and control tables are level. TIDEMARK_SOAK_S
says for how many seconds, 40 by default; the long test run takes 600."""
import os
import sys
import time

from daemon_support import Daemon, wait_for
from postgresql_support import PgNode, PrivateServer, require, run
from soak_writers import Clock, SoakWriters
from support import Ledger, SHOP, compare_images, connect, test

SECONDS = float(os.environ.get("TIDEMARK_SOAK_S", "40"))

# What SQLite's shop is on a server: its columns hold anything, so they are texts there.
PG_SHOP = """
CREATE TABLE customer(id integer PRIMARY KEY, email text UNIQUE, name text NOT NULL);
CREATE TABLE orders(id integer PRIMARY KEY, customer_id integer, total numeric, note text);
CREATE TABLE line(order_id integer, no integer, what text, PRIMARY KEY(order_id, no));
"""
# Grow by what happens and are kept for a while on purpose: conflicts for a year. Logs are empty when all is carried.
GROWING = ("tidemark_conflict", "tidemark_log_")
# Grow up to a bound: the last 10,000 pulls, and what changed lately, 16,384 of each table.
BOUNDED = {"tidemark_session": 10_000, "tidemark_session_table": 50_000, "tidemark_recent_": 16384}


def control_tables(node):
    """Rows and bytes of what Tidemark keeps in a file, without what grows on purpose."""
    connection = connect(node.path)
    counts = {name: connection.execute("SELECT count(*) FROM " + name).fetchone()[0] for (name,) in connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'tidemark_*'")}
    sizes = dict(connection.execute("SELECT name, sum(pgsize) FROM dbstat GROUP BY name"))
    connection.close()
    rows = size = 0
    for name, count in counts.items():
        if name.startswith(GROWING):
            continue
        bound = next((bound for start, bound in BOUNDED.items() if name == start or start[-1] == "_" and name.startswith(start)
                      and name != "tidemark_recent_since"), None)
        if bound is not None:
            require(count <= bound, "%s of %s has %d rows" % (name, node.name, count))
            continue
        rows, size = rows + count, size + sizes.get(name, 0)
    return rows, size


class Soak:
    """What may happen to whom, and what was measured in between."""

    def __init__(self, lab, server, daemon, writers, nodes, clocks):
        self.lab, self.server, self.daemon, self.writers, self.nodes, self.clocks = lab, server, daemon, writers, nodes, clocks
        self.happened, self.levels, self.hub = {}, [], None

    def kill_daemon(self):
        self.daemon.restart_after_kill()

    def end_daemon(self):
        self.daemon.terminate()
        self.daemon.start()

    def kill_writer(self):
        self.writers.kill(self.lab.rng.choice(sorted(self.writers.targets)))

    def crash_server(self):
        self.server.restart()

    def kill_server(self):
        self.server.kill()

    def cut_connections(self):
        self.server.sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name IN "
                                    "('tidemark', 'psql') AND pid <> pg_backend_pid()", role="postgres")

    def set_clock_of_writers(self):
        """The triggers of a file take the time from the process that writes. Its changes may be of the future then."""
        self.clocks["writers"].set(self.lab.rng.choice([-3600, -30, -1, 1, 30, 3600, 0]))

    def set_clock_of_daemon(self):
        """For a while the server's clock is too far away: the pairs with the hub are refused and tried again."""
        self.step("daemon")

    def set_clock_of_server(self):
        """The same, and applications' changes on the hub are late or of the future."""
        self.step("server")

    def step(self, whose):
        self.clocks[whose].set(self.lab.rng.choice([-3600, -4, -1, 1, 4, 3600]))
        time.sleep(self.lab.rng.uniform(0.5, 4))
        self.clocks[whose].set(0)

    def rest(self):
        """A moment without disturbance, in which all is measured."""
        time.sleep(2)
        self.levels.append((self.daemon.descriptors(), self.daemon.memory_kib(),
                            *(sum(values) for values in zip(*map(control_tables, self.nodes)))))

    def go_on(self, seconds):
        doings = [self.kill_daemon, self.end_daemon, self.kill_writer, self.kill_writer, self.crash_server, self.kill_server,
                  self.cut_connections, self.set_clock_of_writers, self.set_clock_of_daemon, self.set_clock_of_server]
        end = time.monotonic() + seconds
        waiting = []
        while time.monotonic() < end:
            if not waiting:     # each happens once before anything happens again
                waiting = self.lab.rng.sample(doings, len(doings)) + [self.rest]
            doing = waiting.pop(0)
            self.happened[doing.__name__] = self.happened.get(doing.__name__, 0) + 1
            doing()
            time.sleep(self.lab.rng.uniform(0.5, 3))

    def require_level(self):
        """What the second half took most is what the first took, and a little."""
        half = len(self.levels) // 2
        if half < 2:
            return
        for position, (what, slack) in enumerate((("descriptors", 30), ("KiB of memory", 15 * 1024),
                                                  ("rows of control tables", 200), ("bytes of control tables", 400_000))):
            before = max(level[position] for level in self.levels[:half])
            after = max(level[position] for level in self.levels[half:])
            require(after <= before * 1.25 + slack, "%s grew from %d to %d: %s" % (
                what, before, after, [level[position] for level in self.levels]))


def folders(*paths):
    return sum(entry.stat().st_size for path in paths for entry in path.iterdir() if ".db" in entry.name)


@test
def test_a_daemon_under_writing_kills_crashes_and_clocks(lab):
    with PrivateServer(environment={}) as server:
        clocks = {"server": Clock(lab, server.folder)}
        for name in ("daemon", "writers"):
            (lab.directory / name).mkdir()
            clocks[name] = Clock(lab, lab.directory / name)
        server.environment = clocks["server"].environment
        server.restart()
        hub, office = (PgNode(lab, name, PG_SHOP, server=server) for name in ("hub", "office"))
        branches = [lab.node(name, SHOP, wal=True) for name in ("s1", "s2")]
        spare = lab.node("s3", SHOP, wal=True)
        nodes = [*branches, spare]
        lab.settings["daemon"] = {"heartbeat": "2s"}
        lab.job("hub", [hub, *branches], schedule="continuous", tables=["customer", "line"])
        lab.job("files", nodes, schedule="continuous")
        lab.job("servers", [hub, office], schedule="continuous", tables=["customer", "line"])
        lab.activate()
        lab.raw_config = lab.config_text()
        for node in (hub, office):
            del lab.nodes[node.name]     # the checker below reads files; servers are compared by verify
        ledger = Ledger()
        targets = {node.name: ["sqlite", str(node.path)] for node in nodes}
        targets.update((node.name, ["postgresql", server.folder, node.database]) for node in (hub, office))
        with Daemon(lab, environment=clocks["daemon"].environment) as daemon:
            with SoakWriters(lab, targets, ledger, clocks["writers"]) as writers:
                soak = Soak(lab, server, daemon, writers, nodes, clocks)
                soak.go_on(SECONDS)

            def equal():
                first = nodes[0].image()
                return all(not compare_images(first, node.image()) for node in nodes[1:])

            wait_for(equal, "equal files", 90)
            time.sleep(1)
            wait_for(equal, "equal files", 90)
            soak.rest()
            for node in lab.run("status").last["nodes"]:
                require(node.get("pending", 0) == 0, "changes wait on %s: %s" % (node["node"], node))
        for name in targets:
            require(any(who.startswith(name + "n") for who in ledger.written.values()), "nobody wrote on " + name)
        for path in lab.directory.glob("*-wal"):
            require(path.stat().st_size < 64_000_000, "%s has %d bytes" % (path.name, path.stat().st_size))
        soak.require_level()
        require(soak.levels[-1][0] < 120, "descriptors: %s" % soak.levels)
        require(soak.levels[-1][1] < 150 * 1024, "memory: %s" % soak.levels)
        for _ in range(3):
            lab.sync(code=(0, 3))
        lab.require_equal_nodes(*nodes)
        lab.verify()
        counts = lab.require_ledger(ledger, nodes[0])
        lab.note("%d writes (%d of killed writers) in %.0f s, %s; %s" % (
            len(ledger.written), len(ledger.maybe_written), SECONDS, soak.happened, dict(counts)))
        lab.note("descriptors, KiB, rows and bytes of control tables: %s; files %d bytes" % (
            soak.levels, folders(lab.directory)))


if __name__ == "__main__":
    sys.exit(run(__doc__))
