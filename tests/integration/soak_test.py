#!/usr/bin/env python3
"""A hub of PostgreSQL and two SQLite branches under a daemon for a while: writers on all files, the daemon is killed and
told to end, the server crashes, connections are cut. At the end every acknowledged write is accounted for, nodes are equal, and
files, descriptors and memory are level. TIDEMARK_SOAK_S says for how many seconds, 40 by default."""
import os
import sys
import time

from daemon_support import Daemon, wait_for
from postgresql_support import PgNode, PrivateServer, require, run
from support import Ledger, SHOP, Writers, compare_images, test

SECONDS = float(os.environ.get("TIDEMARK_SOAK_S", "40"))

# What SQLite's shop is on a server: its columns hold anything, so they are texts there.
PG_SHOP = """
CREATE TABLE customer(id integer PRIMARY KEY, email text UNIQUE, name text NOT NULL);
CREATE TABLE orders(id integer PRIMARY KEY, customer_id integer, total numeric, note text);
CREATE TABLE line(order_id integer, no integer, what text, PRIMARY KEY(order_id, no));
"""


@test
def test_a_daemon_under_writing_kills_and_crashes(lab):
    with PrivateServer() as server:
        hub = PgNode(lab, "hub", PG_SHOP, server=server)
        branches = [lab.node(name, SHOP, wal=True) for name in ("s1", "s2")]
        spare = lab.node("s3", SHOP, wal=True)
        lab.job("hub", [hub, *branches], schedule="continuous", tables=["customer", "line"])
        lab.job("files", [branches[0], branches[1], spare], schedule="continuous")
        lab.activate()
        del lab.nodes["hub"]     # the checker below reads files; the hub is compared by verify
        ledger, kinds, levels = Ledger(), {}, []
        text = lab.config.read_text()
        lab.raw_config = text
        with Daemon(lab) as daemon:
            with Writers(lab, [*branches, spare], ledger, pause_s=0.02):
                end = time.monotonic() + SECONDS
                while time.monotonic() < end:
                    time.sleep(lab.rng.uniform(1, 4))
                    kind = lab.rng.choice(["kill", "terminate", "crash", "cut", "rest"])
                    kinds[kind] = kinds.get(kind, 0) + 1
                    if kind == "kill":
                        daemon.restart_after_kill()
                    elif kind == "terminate":
                        daemon.terminate()
                        daemon.start()
                    elif kind == "crash":
                        server.restart()
                    elif kind == "cut":
                        server.sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
                                   "application_name = 'tidemark'", role="postgres")
                    else:
                        levels.append((daemon.descriptors(), daemon.memory_kib()))
            nodes = [*branches, spare]

            def equal():
                first = nodes[0].image()
                return all(not compare_images(first, node.image()) for node in nodes[1:])

            wait_for(equal, "equal files", 60)
            time.sleep(1)
            wait_for(equal, "equal files", 60)
            require(daemon.descriptors() < 120, "descriptors: %d" % daemon.descriptors())
            require(daemon.memory_kib() < 150 * 1024, "memory: %d KiB" % daemon.memory_kib())
            pending = [lab.run("status").last]
            for node in pending[0]["nodes"]:
                require(node.get("pending", 0) == 0, "changes wait on %s: %s" % (node["node"], node))
        lab.sync(code=(0, 3))
        lab.sync(code=(0, 3))
        lab.require_equal_nodes(*nodes)
        lab.verify()
        counts = lab.require_ledger(ledger, nodes[0])
        lab.note("%d writes in %.0f s, %s; %s; descriptors and KiB %s" % (
            len(ledger.written), SECONDS, kinds, dict(counts), levels[-1:]))


if __name__ == "__main__":
    sys.exit(run(__doc__))
