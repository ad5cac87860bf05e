#!/usr/bin/env python3
"""Two databases of PostgreSQL, a hub and an office, and three SQLite files under a daemon for a while: writers on all nodes;
daemon, writers and server are killed, the daemon is told to end, connections are cut, clocks are set. In the last part one
daemon lives through all that happens to the others, and its memory and descriptors are level. At the end every acknowledged
write is accounted for, nodes are equal, and control tables and files are level. TIDEMARK_SOAK_S says for how many seconds,
40 by default, which is too short for levels; the long test run takes 600."""
import os
import sys
import time

from daemon_support import Daemon, wait_for
from postgresql_support import PgNode, PrivateServer, require, run
from soak_writers import Clock, SoakWriters
from support import Failure, Ledger, SHOP, compare_images, connect, test

SECONDS = float(os.environ.get("TIDEMARK_SOAK_S", "40"))

# What SQLite's shop is on a server: its columns hold anything, so they are texts there.
PG_SHOP = """
CREATE TABLE customer(id integer PRIMARY KEY, email text UNIQUE, name text NOT NULL);
CREATE TABLE orders(id integer PRIMARY KEY, customer_id integer, total numeric, note text);
CREATE TABLE line(order_id integer, no integer, what text, PRIMARY KEY(order_id, no));
"""
# The part of the time in which the daemon is left alone: a leak shows in a process that lives, not in one seconds old.
UNDISTURBED = 0.4
# Levels are compared where there are so many, and the long run must have them.
ENOUGH, LONG_S = 4, 600
# Grow by what happens and are kept for a while on purpose: conflicts for a year. Logs are empty when all is carried.
GROWING = ("tidemark_conflict", "tidemark_log_")
# Grow up to a bound: the last 10,000 pulls, and what changed lately, 16,384 of each table.
BOUNDED = {"tidemark_session": 10_000, "tidemark_session_table": 50_000, "tidemark_recent_": 16384}
# What may come and go between two moments without being a leak.
SLACK = {
    "descriptors": 10, "threads": 4, "KiB of memory": 4 * 1024,
    "rows of files' control tables": 200, "bytes of files' control tables": 200_000,
    "rows of servers' control tables": 200, "bytes of servers' control tables": 200_000,
    "bytes of files": 300_000, "things in the folder": 6,
}


def level_of(tables, node):
    """Rows and bytes of control tables, {name: (rows, bytes)}, without those that grow on purpose or up to a bound."""
    rows = size = 0
    for name, (count, taken) in tables.items():
        if name.startswith(GROWING):
            continue
        bound = next((bound for start, bound in BOUNDED.items() if name == start or start[-1] == "_" and name.startswith(start)
                      and name != "tidemark_recent_since"), None)
        if bound is not None:
            require(count <= bound, "%s of %s has %d rows" % (name, node.name, count))
            continue
        rows, size = rows + count, size + taken
    return rows, size


def measure_file(node):
    """Rows and bytes of what Tidemark keeps in a file, and what the file takes without what grows on purpose."""
    connection = connect(node.path)
    connection.execute("BEGIN")
    sizes = dict(connection.execute("SELECT tbl_name, sum(pgsize) FROM dbstat JOIN sqlite_schema USING (name) GROUP BY 1"))
    tables = {name: (connection.execute("SELECT count(*) FROM " + name).fetchone()[0], sizes.get(name, 0))
              for (name,) in connection.execute(
                  "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'tidemark_*'")}
    taken = connection.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").fetchone()[0]
    connection.close()
    grown = sum(sizes.get(name, 0) for name in tables if name.startswith((*GROWING, *BOUNDED)))
    return (*level_of(tables, node), taken - grown)


def measure_server(node):
    """The same for a database. What autovacuum did until now is chance, and a crash makes it forget what it had to do:
    each table is vacuumed first, after which it takes what a session in the way or a leak keeps, and the room that the
    busiest moment needed."""
    names = [name for (name,) in node.rows(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'tidemark'::regnamespace")]
    node.server.sql(node.database, "VACUUM " + ", ".join("tidemark." + name for name in names), role="postgres")
    found = node.rows(" UNION ALL ".join("SELECT '{0}', count(*), pg_total_relation_size('tidemark.{0}') FROM tidemark.{0}".format(
        name) for name in names))
    return level_of({"tidemark_" + name: (int(count), int(size)) for name, count, size in found}, node)


def require_level(levels):
    """Levels are the same measured again and again, {what: number}. What the later half took most is what the earlier one
    took, and a quarter; and of the last third the least, between the peaks, is what the first third took, and hardly more, so
    that what never shrinks is found before it is large."""
    for what, slack in SLACK.items():
        series = [level[what] for level in levels if what in level]
        if len(series) < ENOUGH:
            continue
        half = len(series) // 2
        third = half if half < 3 else len(series) // 3
        require(max(series[half:]) <= max(series[:half]) * 1.25 + 2 * slack and
                min(series[-third:]) <= max(series[:third]) * 1.05 + slack, "%s grew: %s" % (what, series))


class Soak:
    """What may happen to whom, and what was measured in between."""

    def __init__(self, lab, server, daemon, writers, nodes, databases, clocks):
        self.lab, self.server, self.daemon, self.writers, self.clocks = lab, server, daemon, writers, clocks
        self.nodes, self.databases = nodes, databases
        self.happened, self.levels, self.kept, self.at_rest = {}, [], [], None

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
        self.levels.append(self.measure())

    def measure(self):
        files, servers = ([sum(values) for values in zip(*map(measure, nodes))] for measure, nodes in (
            (measure_file, self.nodes), (measure_server, self.databases)))
        # Reports and logs of this test and of the daemon are written on and on.
        things = [path for path in self.lab.directory.iterdir() if not path.name.startswith(("writer-", "daemon-"))]
        return {
            "descriptors": self.daemon.descriptors(), "threads": self.daemon.threads(),
            "KiB of memory": self.daemon.memory_kib(),
            "rows of files' control tables": files[0], "bytes of files' control tables": files[1],
            "rows of servers' control tables": servers[0], "bytes of servers' control tables": servers[1],
            "bytes of files": files[2], "things in the folder": len(things)}

    def go_on(self, seconds):
        others = [self.kill_writer, self.kill_writer, self.crash_server, self.kill_server, self.cut_connections,
                  self.set_clock_of_writers, self.set_clock_of_daemon, self.set_clock_of_server]
        self.disturb([self.kill_daemon, self.end_daemon, *others], seconds * (1 - UNDISTURBED), 10)
        self.kept, self.levels = self.levels, []
        self.end_daemon()
        process = self.daemon.process.pid
        self.disturb(others, seconds * UNDISTURBED, 4)
        require(self.daemon.process.poll() is None and self.daemon.process.pid == process, "the daemon ended by itself")

    def disturb(self, doings, seconds, between):
        """Each happens once before anything happens again; after so many, all rest."""
        end = time.monotonic() + seconds
        waiting, since = [], 0
        while time.monotonic() < end:
            if since == between:
                doing, since = self.rest, 0
            else:
                waiting = waiting or self.lab.rng.sample(doings, len(doings))
                doing, since = waiting.pop(0), since + 1
            self.happened[doing.__name__] = self.happened.get(doing.__name__, 0) + 1
            doing()
            time.sleep(self.lab.rng.uniform(0.5, 3))

    def require_level(self):
        """The process of the second part against itself; what is on the disk, over the whole time."""
        require(len(self.levels) >= ENOUGH or SECONDS < LONG_S, "only %d measurements of one daemon" % len(self.levels))
        if len(self.levels) < ENOUGH:
            self.lab.note("%.0f s are too short to compare what one daemon takes" % SECONDS)
        require_level(self.levels)
        processes = ("descriptors", "threads", "KiB of memory")
        require_level([{what: value for what, value in level.items() if what not in processes}
                       for level in self.kept + self.levels])
        for level in [*self.kept, *self.levels, self.at_rest]:
            require(level["descriptors"] < 120 and level["KiB of memory"] < 150 * 1024, "too much: %s" % level)


@test
def test_a_level_that_grows_is_seen(lab):
    """The broken twin: made-up measurements, of which one kind grows."""
    def levels(what, series):
        return [{**{name: 1000 * slack for name, slack in SLACK.items()}, what: value} for value in series]

    for what, slack in SLACK.items():
        base = 20 * slack
        for well in ([base] * 8, [base, base + slack] * 4, [0, base, base, base - 1, base, base, base + slack, base],
                     [base, base * 3] * 4):
            require_level(levels(what, well))
        # One grows at a steady pace, one slowly at the end of the long run, one by a step, one has its peaks higher and higher.
        for broken in ([base + slack * i for i in range(8)], [base + slack * i // 2 for i in range(12)],
                       [base] * 4 + [base * 2] * 4, [base, base, base, base, base, base * 2, base, base * 2]):
            try:
                require_level(levels(what, broken))
            except Failure as failure:
                require(what in str(failure), str(failure))
                continue
            raise Failure("nobody saw that %s grew: %s" % (what, broken))
    require_level(levels("descriptors", [10, 100, 1000]))   # too few
    lab.note("%d kinds" % len(SLACK))


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
                soak = Soak(lab, server, daemon, writers, nodes, [hub, office], clocks)
                soak.go_on(SECONDS)

            def equal():
                first = nodes[0].image()
                return all(not compare_images(first, node.image()) for node in nodes[1:])

            wait_for(equal, "equal files", 90)
            time.sleep(1)
            wait_for(equal, "equal files", 90)
            soak.at_rest = soak.measure()
            for node in lab.run("status").last["nodes"]:
                require(node.get("pending", 0) == 0, "changes wait on %s: %s" % (node["node"], node))
        for name in targets:
            require(any(who.startswith(name + "n") for who in ledger.written.values()), "nobody wrote on " + name)
        for path in lab.directory.glob("*-wal"):
            require(path.stat().st_size < 64_000_000, "%s has %d bytes" % (path.name, path.stat().st_size))
        soak.require_level()
        for _ in range(3):
            lab.sync(code=(0, 3))
        lab.require_equal_nodes(*nodes)
        lab.verify()
        counts = lab.require_ledger(ledger, nodes[0])
        lab.note("%d writes (%d of killed writers) in %.0f s, %s; %s" % (
            len(ledger.written), len(ledger.maybe_written), SECONDS, soak.happened, dict(counts)))
        for what in SLACK:
            lab.note("%s: %s, one daemon %s, at rest %d" % (what, [level[what] for level in soak.kept],
                                                            [level[what] for level in soak.levels], soak.at_rest[what]))


if __name__ == "__main__":
    sys.exit(run(__doc__))
