"""PostgreSQL nodes for the laboratory: one private server for a test program, a database for every node."""
import itertools
import os
import pathlib
import sys

from support import Failure, main, require, require_equal

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from postgresql_server import PrivateServer, Session, binary  # noqa: E402

NUMBERS = itertools.count(1)
SERVER = None


class PgNode:
    """A database of its own with plain connections of an application."""

    def __init__(self, lab, name, schema="", role="tm_owner", owner=None, server=None):
        self.lab, self.name, self.role, self.owner = lab, name, role, owner
        self.server = server or SERVER
        self.database = "t%d_%d" % (os.getpid(), next(NUMBERS))
        self.server.create_database(self.database)
        lab.nodes[name] = self
        if schema:
            self.sql(schema)

    def settings(self):
        settings = {"url": self.server.url(self.database, self.role)}
        if self.owner:
            settings["owner"] = self.owner
        return settings

    def sql(self, text, role="tm_owner"):
        self.server.script(self.database, text, role)

    def rows(self, text, role="tm_owner"):
        return [tuple(row) for row in self.server.sql(self.database, text, role)]

    def value(self, text, role="tm_owner"):
        return self.rows(text, role)[0][0]

    def session(self, role="tm_owner"):
        return Session(self.server, self.database, role)

    def dump(self, table, key="id"):
        return self.rows("SELECT * FROM %s ORDER BY %s" % (table, key))


def pg_pair(lab, schema, **job):
    a, b = PgNode(lab, "a", schema), PgNode(lab, "b", schema)
    lab.job("ab", [a, b], **job)
    lab.activate()
    lab.sync()
    return a, b


def without_and_with_the_grant():
    """A server of its own, twice: whose owner may not switch triggers off, and then may."""
    server = PrivateServer()
    try:
        for granted in (False, True):
            if granted:
                server.sql("postgres", "GRANT SET ON PARAMETER session_replication_role TO tm_owner", role="postgres")
            yield server, granted
    finally:
        server.close()


def require_same(table, a, b, key="id"):
    require_equal(b.dump(table, key), a.dump(table, key), "table %s on %s and %s" % (table, a.name, b.name))


def run(description):
    global SERVER  # pylint: disable=global-statement
    with PrivateServer() as SERVER:
        # The tests' module has its own copy of this one when it is run as a program.
        return main(description)


__all__ = ["PgNode", "binary", "pg_pair", "require_same", "run", "without_and_with_the_grant", "Failure", "require", "require_equal", "PrivateServer"]
