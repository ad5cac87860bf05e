"""pgbench on both ends of a two-way pair while sessions run: no client fails, every session ends, both ends agree."""
import subprocess
import time

from postgresql_support import PgNode, require, require_equal, require_same, run
from postgresql_server import binary
from support import test

SECONDS = 15
LONG_SECONDS = 60
CLIENTS = 8

UPDATES = """\\set id random(1, 1000)
UPDATE item SET n = n + 1, name = 'client :client_id' WHERE id = :id;
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
    seconds = LONG_SECONDS if lab.long else SECONDS
    a, b = PgNode(lab, "a"), PgNode(lab, "b")
    for node in (a, b):
        subprocess.run(pgbench_tables(node), check=True, capture_output=True)
    lab.job("ab", [a, b], exclude=["pgbench_history"], max_deletes="100%")
    lab.activate()
    lab.sync()
    sessions = busy_sessions(lab, [pgbench(a, seconds), pgbench(b, seconds)])
    for table, key in (("pgbench_accounts", "aid"), ("pgbench_tellers", "tid"), ("pgbench_branches", "bid")):
        require_same(table, a, b, key)
    lab.note("%d sessions" % sessions)


def pgbench_tables(node):
    return [binary("pgbench"), "-i", "-q", "-s", "1", "-h", node.server.folder, "-U", "tm_owner", node.database]


@test
def test_single_row_updates_on_both_ends(lab):
    seconds = LONG_SECONDS if lab.long else SECONDS
    schema = "CREATE TABLE item(id integer PRIMARY KEY, name text, n integer); INSERT INTO item SELECT i, 'r', 0 FROM generate_series(1, 1000) i;"
    a, b = PgNode(lab, "a", schema), PgNode(lab, "b", schema)
    lab.job("ab", [a, b])
    lab.activate()
    lab.sync()
    script = lab.directory / "updates.sql"
    script.write_text(UPDATES)
    sessions = busy_sessions(lab, [pgbench(node, seconds, "-f", str(script)) for node in (a, b)])
    require_same("item", a, b)
    # What did not win was overwritten after it was seen or is in the conflict log: the counts cannot be more.
    lab.note("%d sessions, %s conflicts on a" % (sessions, a.value("SELECT count(*) FROM tidemark.conflict")))


if __name__ == "__main__":
    raise SystemExit(run(__doc__))
