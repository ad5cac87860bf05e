#!/usr/bin/env python3
"""What capture costs an application on PostgreSQL, in instructions: the same number on every machine and in every run, where
transactions a second differ by a third from one second to the next.

    python3 bench/postgresql_capture_cost.py --tidemark build/release/tidemark [FILE.sql ...]

A server's backend runs alone under valgrind and does single-row statements, one a transaction, in a database without capture, in
one with it, and for each FILE.sql in one where that file was run after activation: how a change of the capture functions is
tried before it is made. Needs the Debian package valgrind."""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests"))
from postgresql_server import PrivateServer, binary  # noqa: E402

ITEM = "CREATE TABLE item(id integer PRIMARY KEY, name text, city text, price numeric(10,2), note text, n integer);"
ROWS = 20_000
FILL = ITEM + ("INSERT INTO item SELECT i, 'name ' || i, 'city ' || i %% 100, i * 0.01, repeat('x', 40), 0 FROM generate_series(1, %d) i;"
               "VACUUM ANALYZE item;" % ROWS)
STATEMENTS = {"update": "UPDATE item SET n = n + 1 WHERE id = %d;\n", "delete": "DELETE FROM item WHERE id = %d;\n",
              "insert": "INSERT INTO item(id, name) VALUES (1000000 + %d, 'new');\n"}
FEW, MANY = 50, 350  # what a backend needs for its start is in both


def instructions(server, database, statement, numbers):
    """Of a backend that does the statement once for each number; no two runs of a database share one."""
    text = "SET SESSION AUTHORIZATION tm_owner;\n" + "".join(statement % (1 + i * 7919 % ROWS) for i in numbers)
    done = subprocess.run(
        (["runuser", "-u", server.user, "--"] if os.getuid() == 0 else []) + [
         "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", binary("postgres"),
         "--single", "-D", server.data, "-c", "fsync=off", database], input=text, capture_output=True, text=True, check=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if found is None:
        sys.exit(done.stderr)
    return int(found.group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tidemark", default="build/release/tidemark")
    parser.add_argument("files", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is not installed: apt-get install valgrind")
    with PrivateServer() as server, tempfile.TemporaryDirectory() as folder:
        server.create_database("peer")
        server.script("peer", ITEM)
        variants = {"plain": None, "captured": None, **{path.stem: path for path in arguments.files}}
        for name, path in variants.items():
            server.create_database(name)
            server.script(name, FILL)
            if name == "plain":
                continue
            config = pathlib.Path(folder, "tidemark.toml")
            config.write_text('[node.a]\nurl = "%s"\n[node.b]\nurl = "%s"\n[job.j]\nnodes = ["a", "b"]\n' % (
                server.url(name), server.url("peer")), encoding="ascii")
            subprocess.run([arguments.tidemark, "activate", "a", "--config", config], check=True, stdout=subprocess.DEVNULL)
            if path is not None:
                server.script(name, path.read_text(encoding="utf-8"), role="postgres")
        server.stop("fast")
        print("%-8s %-12s %12s %12s %8s" % ("", "database", "instructions", "of capture", "ratio"))
        for what, statement in STATEMENTS.items():
            plain = None
            for name in variants:
                each = (instructions(server, name, statement, range(MANY)) -
                        instructions(server, name, statement, range(MANY, MANY + FEW))) / (MANY - FEW)
                plain = plain or each
                print("%-8s %-12s %12.0f %12.0f %8.2f" % (what, name, each, each - plain, each / plain), flush=True)


if __name__ == "__main__":
    main()
