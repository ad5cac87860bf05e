#!/usr/bin/env python3
"""Tidemark beside the trigger-based replicators that Debian packages, Slony-I and Bucardo, in one run on a private server:
what capture costs the writers, and how long a transaction of many updates takes from its start to the peer.

    apt-get install slony1-2-bin postgresql-15-slony1-2 bucardo postgresql-plperl-15
    python3 bench/postgresql_peers.py --tidemark build/release/tidemark [--scale 1.0]

A peer that is not installed, or cannot be set up, is named and left out. Both peers need a superuser; Tidemark does not.
"""
import argparse
import os
import pathlib
import re
import shutil
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
DEADLINE_S = 300


class Unavailable(Exception):
    """The peer is not installed, or its own tools refuse to set it up; says which and why."""


def call(command, what, **more):
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, **more)
    if done.returncode != 0:
        words = (done.stderr + done.stdout).strip().splitlines()
        raise Unavailable("%s failed: %s" % (what, words[-1] if words else "exit %d" % done.returncode))


class Peer:
    """A pair of databases with the same rows; what is done to `source` arrives at `target`."""

    def __init__(self, server, name, folder, count):
        self.server, self.name, self.folder = server, name, pathlib.Path(folder)
        self.source, self.target = name + "_source", name + "_target"
        fill = ITEM + "INSERT INTO item SELECT %s FROM generate_series(1, %d) i; VACUUM ANALYZE item;" % (ROW, count)
        for database in (self.source, self.target):
            server.create_database(database)
            server.script(database, fill)

    def options(self, database):
        return "host=%s dbname=%s user=postgres" % (self.server.folder, database)

    def set_up(self):
        """Capture only."""

    def start(self):
        """Carrying begins."""

    def carry(self):
        """What has to be done for changes to travel, where nobody runs by himself."""

    def stop(self):
        pass


class Plain(Peer):
    """No replication: the raw limit of the writers."""


class Tidemark(Peer):
    def __init__(self, server, folder, count, program):
        super().__init__(server, "tidemark", folder, count)
        self.program, self.config = program, self.folder / "tidemark.toml"

    def run(self, command):
        subprocess.run([self.program, command, "--config", str(self.config)], check=True, stdout=subprocess.DEVNULL)

    def set_up(self):
        self.config.write_text('[node.a]\nurl = "%s"\n[node.b]\nurl = "%s"\n[job.j]\nnodes = ["a", "b"]\nmax_deletes = "100%%"\n' % (
            self.server.url(self.source), self.server.url(self.target)))
        self.run("activate")

    def carry(self):
        self.run("sync")


class Slony(Peer):
    def __init__(self, server, folder, count):
        super().__init__(server, "slony", folder, count)
        self.daemons = []

    def slonik(self, script):
        path = self.folder / "slonik"
        path.write_text("cluster name = bench;\nnode 1 admin conninfo = '%s';\nnode 2 admin conninfo = '%s';\n%s" % (
            self.options(self.source), self.options(self.target), script))
        call(["slonik", str(path)], "slonik")

    def set_up(self):
        if shutil.which("slonik") is None or shutil.which("slon") is None:
            raise Unavailable("slony1-2-bin is not installed")
        self.slonik("init cluster (id = 1, comment = 'source');\ncreate set (id = 1, origin = 1, comment = 'all');\n"
                    "set add table (set id = 1, origin = 1, id = 1, fully qualified name = 'public.item');\n"
                    "store node (id = 2, comment = 'target', event node = 1);\n"
                    "store path (server = 1, client = 2, conninfo = '%s');\nstore path (server = 2, client = 1, conninfo = '%s');\n"
                    % (self.options(self.source), self.options(self.target)))
        for database in (self.source, self.target):
            with open(self.folder / ("slon." + database), "wb") as log:
                self.daemons.append(subprocess.Popen(["slon", "-s", "100", "-t", "100", "bench", self.options(database)], stdout=log, stderr=log))
        time.sleep(3)
        self.slonik("subscribe set (id = 1, provider = 1, receiver = 2, forward = no);\n"
                    "wait for event (origin = 1, confirmed = 2, wait on = 1, timeout = 120);\n")

    def stop(self):
        for daemon in self.daemons:
            daemon.terminate()
        for daemon in self.daemons:
            daemon.wait(30)


class Bucardo(Peer):
    def __init__(self, server, folder, count):
        super().__init__(server, "bucardo", folder, count)
        self.environment = {**os.environ, "HOME": str(folder), "PGHOST": server.folder}

    def bucardo(self, *words):
        call(["bucardo", "--no-bucardorc", "--dbhost=" + self.server.folder, "--dbuser=postgres", "--dbname=bucardo", "--batch",
              *words], "bucardo " + words[0], env=self.environment, cwd=self.folder)

    def set_up(self):
        if shutil.which("bucardo") is None:
            raise Unavailable("bucardo is not installed")
        self.server.sql("postgres", "CREATE ROLE bucardo SUPERUSER LOGIN", role="postgres")
        self.server.sql("postgres", "CREATE DATABASE bucardo OWNER bucardo", role="postgres")
        self.bucardo("install", "--piddir=" + str(self.folder))
        for key, value in (("piddir", self.folder), ("log_showline", "0"), ("warning_file", self.folder / "warnings")):
            self.bucardo("set", "%s=%s" % (key, value))
        for database in (self.source, self.target):
            self.bucardo("add", "db", database, "dbname=" + database, "dbhost=" + self.server.folder, "dbuser=postgres")
        self.bucardo("add", "table", "public.item", "db=" + self.source, "relgroup=all_tables")
        self.bucardo("add", "sync", "bench", "relgroup=all_tables", "dbs=%s:source,%s:target" % (self.source, self.target),
                     "onetimecopy=0", "autokick=1")

    def start(self):
        self.bucardo("start", "--logdest=" + str(self.folder))

    def stop(self):
        subprocess.run(["bucardo", "--no-bucardorc", "--dbhost=" + self.server.folder, "--dbuser=postgres", "--dbname=bucardo",
                        "stop"], env=self.environment, cwd=self.folder, capture_output=True, check=False)


def tps(server, database, script, folder, seconds, clients):
    path = pathlib.Path(folder) / "script.sql"
    path.write_text(script)
    done = subprocess.run([binary("pgbench"), "-n", "-h", server.folder, "-U", "tm_owner", "-c", str(clients), "-j",
                           str(min(clients, 2)), "-T", str(seconds), "-f", str(path), database], capture_output=True, text=True, check=True)
    return float(re.search(r"tps = ([0-9.]+) \(without", done.stdout).group(1))


def measure_capture(server, plain, peers, count, folder, seconds):
    update = "\\set id random(1, %d)\nUPDATE item SET n = n + 1 WHERE id = :id;\n" % count
    insert = "INSERT INTO item(id, name) VALUES (nextval('s'), 'new');\n"
    for peer in (plain, *peers):
        server.script(peer.source, "CREATE SEQUENCE s START 10000000")
    for what, script, clients in (("update, 1 client", update, 1), ("update, 4 clients", update, 4), ("insert, 1 client", insert, 1)):
        ratios = {peer.name: [] for peer in peers}
        for _ in range(ROUNDS):
            raw = tps(server, plain.source, script, folder, seconds, clients)
            for peer in peers:
                ratios[peer.name].append(raw / tps(server, peer.source, script, folder, seconds, clients))
        for peer in peers:
            print("capture: single-row %-18s %-10s %.2f" % (what + ":", peer.name, statistics.median(ratios[peer.name])), flush=True)


def measure_transport(server, peers, count):
    update = "UPDATE item SET n = n + 1, name = 'changed %s'"
    rates = {}
    for peer in peers:
        taken = []
        for round_number in range(-1, ROUNDS):  # one to warm up
            mark = "%s %d" % (peer.name, round_number)
            started = time.monotonic()
            server.script(peer.source, update % mark)
            peer.carry()
            while server.sql(peer.target, "SELECT count(*) FROM item WHERE id = %d AND name = 'changed %s'" % (count, mark)) != [["1"]]:
                if time.monotonic() - started > DEADLINE_S:
                    print("%s: %d updates had not arrived after %d s" % (peer.name, count, DEADLINE_S), flush=True)
                    break
                time.sleep(0.005)
            else:
                if round_number >= 0:
                    taken.append(time.monotonic() - started)
                continue
            break
        if taken:
            rates[peer.name] = count / statistics.median(taken)
            print("%d updates in one transaction, to the peer: %-10s %.1fk rows/s" % (count, peer.name, rates[peer.name] / 1e3), flush=True)
    for name, rate in rates.items():
        if name != "tidemark" and "tidemark" in rates:
            print("tidemark to %s: %.2f" % (name, rates["tidemark"] / rate))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tidemark", required=True)
    parser.add_argument("--scale", type=float, default=1.0)
    options = parser.parse_args()
    count = max(100, int(100_000 * options.scale))
    with tempfile.TemporaryDirectory(prefix="tidemark-peers-") as folder, PrivateServer({"max_connections": "200"}) as server:
        plain, peers = Plain(server, "plain", folder, count), []
        candidates = [Tidemark(server, folder, count, os.path.abspath(options.tidemark)), Slony(server, folder, count), Bucardo(server, folder, count)]
        try:
            for peer in candidates:
                try:
                    peer.set_up()
                    peers.append(peer)
                except Unavailable as why:
                    print("%s is left out: %s" % (peer.name, why), flush=True)
            for peer in peers:
                peer.carry()
            measure_capture(server, plain, peers, count, folder, max(1, int(3 * options.scale)))
            running = []
            for peer in peers:
                try:
                    peer.start()
                    running.append(peer)
                except Unavailable as why:
                    print("%s does not start: %s" % (peer.name, why), flush=True)
            measure_transport(server, running, count)
        finally:
            for peer in candidates:
                peer.stop()


if __name__ == "__main__":
    main()
