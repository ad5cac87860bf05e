"""pgbench on both ends of a two-way pair while sessions run: no client fails, every session ends, both ends agree, and
every write of the clients is accounted for."""
import re
import subprocess
import time

from postgresql_support import PgNode, require, require_equal, require_same, run
from postgresql_server import binary
from support import test

SECONDS = 60
CLIENTS = 8

# Every write leaves a token of its own, and beside it the one that it found; the ledger is not in the job.
SCHEMA = """CREATE TABLE item(id integer PRIMARY KEY, token text, found text);
CREATE TABLE ledger(token text PRIMARY KEY, id integer, found text);
INSERT INTO item SELECT i, 'start', NULL FROM generate_series(1, 1000) i;"""
UPDATES = """\\set id random(1, 1000)
WITH written AS (
  UPDATE item SET found = token, token = '%s-' || txid_current() WHERE id = :id RETURNING id, token, found)
INSERT INTO ledger SELECT token, id, found FROM written;
"""


def pgbench(node, seconds, *arguments):
    return subprocess.Popen([binary("pgbench"), "-n", "-h", node.server.folder, "-U", "tm_owner", "-c",
                             str(CLIENTS), "-T", str(seconds), *arguments, node.database], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)


def busy_sessions(lab, clients):
    """Sessions every second until the clients end; returns how many."""
    sessions = 0
    while any(client.poll() is None for client in clients):
        started = time.monotonic()
        lab.sync(timeout=60)
        sessions += 1
        time.sleep(max(0.0, 1 - (time.monotonic() - started)))
    for client in clients:
        out, _ = client.communicate()
        require_equal(client.returncode, 0, "exit of pgbench:\n" + out)
        require("number of failed transactions: 0 " in out, "failed transactions of applications:\n" + out)
        lab.note(next(line for line in out.splitlines() if line.startswith("tps")))
    for _ in range(2):
        lab.sync(timeout=120)
    lab.verify()
    require_equal(lab.sync().documents[-1]["changed"], 0, "a session with nothing to do moves nothing")
    return sessions


@test
def test_tpc_b_on_both_ends(lab):
    a, b = PgNode(lab, "a"), PgNode(lab, "b")
    for node in (a, b):
        subprocess.run(pgbench_tables(node), check=True, capture_output=True)
    lab.job("ab", [a, b], exclude=["pgbench_history"], max_deletes="100%")
    lab.activate()
    lab.sync()
    sessions = busy_sessions(lab, [pgbench(a, SECONDS), pgbench(b, SECONDS)])
    for table, key in (("pgbench_accounts", "aid"), ("pgbench_tellers", "tid"), ("pgbench_branches", "bid")):
        require_same(table, a, b, key)
    lab.note("%d sessions" % sessions)


def pgbench_tables(node):
    return [binary("pgbench"), "-i", "-q", "-s", "1", "-h", node.server.folder, "-U", "tm_owner", node.database]


def unaccounted(writes, rows, losers):
    """Tokens that neither stand in a row, nor were found by a later write, nor are kept in a conflict log."""
    kept = set(rows) | losers | {found for _, found in writes}
    return [token for token, _ in writes if token not in kept]


@test
def test_single_row_updates_on_both_ends(lab):
    a, b = PgNode(lab, "a", SCHEMA), PgNode(lab, "b", SCHEMA)
    lab.job("ab", [a, b], tables=["item"])
    lab.activate()
    lab.sync()
    clients = []
    for node in (a, b):
        script = lab.directory / (node.name + ".sql")
        script.write_text(UPDATES % node.name)
        clients.append(pgbench(node, SECONDS, "-f", str(script)))
    sessions = busy_sessions(lab, clients)
    require_same("item", a, b)
    writes = [tuple(row) for node in (a, b) for row in node.rows("SELECT token, found FROM ledger")]
    rows = [row[0] for row in a.rows("SELECT token FROM item")]
    losers = set()
    for node in (a, b):
        for row in node.rows("SELECT loser_row FROM tidemark.conflict"):
            losers.update(re.findall(r"[ab]-[0-9]+", row[0]))
    missing = unaccounted(writes, rows, losers)
    require_equal(missing[:5], [], "writes that got lost")
    require(losers and unaccounted(writes, rows, set()), "the ledger must miss what only the conflict log keeps")
    lab.note("%d sessions, %d writes, %d of them in conflict logs" % (sessions, len(writes), len(losers)))


if __name__ == "__main__":
    raise SystemExit(run(__doc__))
