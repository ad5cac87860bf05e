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
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))
from peers import Bucardo, Peer, Slony, Unavailable  # noqa: E402
from postgresql_server import PrivateServer, binary  # noqa: E402

ROUNDS = 5
DEADLINE_S = 300


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
