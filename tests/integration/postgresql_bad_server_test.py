#!/usr/bin/env python3
"""Servers that cannot be used: a wrong password, no line in pg_hba.conf, no right to connect, a standby, a server that is
too old. Each is told by name with its exit code, and nothing is changed."""
import contextlib
import os
import pathlib
import shutil
import socket
import struct
import tempfile
import threading

from postgresql_support import PgNode, PrivateServer, pg_pair, require, require_equal, run
from postgresql_server import binary
from support import test

ITEM = "CREATE TABLE item(id integer PRIMARY KEY, name text, n integer);"


def let_in(server, rules):
    """Rules that come before those of the server's pg_hba.conf."""
    path = pathlib.Path(server.data) / "pg_hba.conf"
    path.write_text(rules + path.read_text())
    server.sql("postgres", "SELECT pg_reload_conf()", role="postgres")


@contextlib.contextmanager
def environment(**values):
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def refused(lab, code, *words):
    """By every command that opens a node, and without a word of the password."""
    for command in ("check", "activate", "sync", "verify"):
        result = lab.run(command, code=code)
        result.require_told(*words)
        require("s3cret" not in result.out + result.err, "%s tells the password" % command)


@test
def test_who_may_not_log_in(lab):
    with PrivateServer() as server:
        server.sql("postgres", "CREATE ROLE tm_pw LOGIN PASSWORD 's3cret right'; CREATE ROLE tm_out LOGIN", role="postgres")
        let_in(server, "local all tm_pw scram-sha-256\nlocal all tm_out reject\n")
        a, b = PgNode(lab, "a", ITEM, server=server), PgNode(lab, "b", ITEM, server=server)
        b.owner = b.role  # the owner has no password, the role of sessions has one
        lab.job("ab", [a, b])
        lab.activate()
        b.owner, b.role = None, "tm_pw"
        with environment(PGPASSWORD="s3cret wrong"):
            refused(lab, 5, "node b", "password authentication failed", "tm_pw", ".pgpass")
        with environment(PGPASSFILE="/nonexistent"):
            refused(lab, 5, "node b", "no password supplied", ".pgpass")
        b.owner, b.role = "tm_owner", "tm_pw"
        passwords = lab.directory / "passwords"
        passwords.write_text("*:*:*:tm_pw:s3cret right\n")
        passwords.chmod(0o600)
        with environment(PGPASSFILE=str(passwords)):
            lab.activate()
            a.sql("INSERT INTO item VALUES (1, 'in', 1)")
            lab.sync()
        require_equal(b.dump("item"), [("1", "in", "1")], "rows with the right password")
        b.owner, b.role = None, "tm_out"
        refused(lab, 5, "node b", "pg_hba.conf", "tm_out")
        # The database itself may be closed.
        b.role = "tm_session"
        b.sql("REVOKE CONNECT ON DATABASE %s FROM public" % b.database)
        refused(lab, 5, "node b", "permission denied for database", b.database, "GRANT CONNECT")


@contextlib.contextmanager
def standby_of(server):
    """A running hot standby in a folder of its own; yields its host."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tidemark-standby-"))
    shutil.chown(folder, server.user)
    data = folder / "data"
    server._as_server(binary("pg_basebackup"), "-h", server.folder, "-U", "postgres", "-D", str(data), "-R", "-X", "stream",  # pylint: disable=protected-access
                      "-c", "fast", "--no-sync")
    with open(data / "postgresql.auto.conf", "a", encoding="ascii") as conf:
        conf.write("unix_socket_directories = '%s'\n" % folder)
    control = (binary("pg_ctl"), "-s", "-w", "-D", str(data))
    server._as_server(*control, "-l", str(folder / "log"), "start")  # pylint: disable=protected-access
    try:
        yield str(folder)
    finally:
        server._as_server(*control, "-m", "immediate", "stop")  # pylint: disable=protected-access
        shutil.rmtree(folder, ignore_errors=True)


@test
def test_a_standby_cannot_take_part(lab):
    with PrivateServer({"wal_level": "replica", "max_wal_senders": "4"}) as server:
        a, b = [PgNode(lab, name, ITEM, server=server) for name in "ab"]
        lab.job("ab", [a, b])
        lab.activate()
        lab.sync()
        a.sql("INSERT INTO item VALUES (1, 'x', 1)")
        with standby_of(server) as host:
            url = "postgresql://%s@/%s?host=%s" % (b.role, b.database, host)
            b.settings = lambda: {"url": url}
            for command in ("check", "activate", "sync"):
                lab.run(command, code=8).require_told("node b", "standby")
            require_equal(b.dump("item"), [], "rows of the primary")
            # What it is good for, it does: a copy can be compared, for nothing is written.
            require_equal(lab.run("verify").last["pending"], 1, "rows that wait for a session")


class OldServer:
    """Says that it is PostgreSQL 14 and answers whatever it is asked with nothing."""

    def __init__(self, folder, version):
        self.version = version
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(os.path.join(folder, ".s.PGSQL.5432"))
        self.listener.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection, _ = self.listener.accept()
            with contextlib.suppress(OSError, struct.error), connection:
                self.answer(connection)

    @staticmethod
    def message(kind, body):
        return kind + struct.pack(">i", len(body) + 4) + body

    def answer(self, connection):
        (size,) = struct.unpack(">i", connection.recv(4))
        connection.recv(size - 4)
        ready = self.message(b"Z", b"I")
        hello = self.message(b"R", struct.pack(">i", 0))
        for name, value in (("server_version", self.version), ("server_encoding", "UTF8"), ("client_encoding", "UTF8")):
            hello += self.message(b"S", name.encode() + b"\0" + value.encode() + b"\0")
        connection.sendall(hello + ready)
        while connection.recv(65536):
            connection.sendall(self.message(b"C", b"SELECT 0\0") + ready)


@test
def test_a_server_that_is_too_old(lab):
    a, b = pg_pair(lab, ITEM)
    folder = tempfile.mkdtemp(prefix="tidemark-old-")
    OldServer(folder, "14.9 (Debian 14.9-1)")
    b.settings = lambda: {"url": "postgresql://x@/x?host=" + folder}
    before = a.dump("item")
    for command in ("check", "activate", "sync"):
        lab.run(command, code=8).require_told("node b", "PostgreSQL 14", "too old", "15")
    require_equal(a.dump("item"), before, "rows of the other node")
    shutil.rmtree(folder)


if __name__ == "__main__":
    raise SystemExit(run(__doc__))
