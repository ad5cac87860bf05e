"""The replicators beside which Tidemark is measured, each set up on two databases of a private server: built-in logical
replication, Slony-I and Bucardo. They need a superuser; Tidemark does not.

    apt-get install slony1-2-bin postgresql-15-slony1-2 bucardo postgresql-plperl-15
"""
import os
import pathlib
import shutil
import subprocess
import time

ITEM = "CREATE TABLE item(id integer PRIMARY KEY, name text, city text, price numeric(10,2), note text, n integer);"
ROW = "i, 'name ' || i, 'city ' || i % 100, i * 0.01, repeat('x', 40), 0"


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


class BuiltIn(Peer):
    """Logical replication of the server; needs wal_level = logical."""
    title = "built-in logical replication"

    def __init__(self, server, folder, count):
        super().__init__(server, "builtin", folder, count)

    def set_up(self):
        self.server.script(self.source, "CREATE PUBLICATION p FOR TABLE item", "postgres")
        # The server of a subscription that makes the slot itself would wait for its own transaction.
        self.server.script(self.source, "SELECT pg_create_logical_replication_slot('s', 'pgoutput')", "postgres")
        self.server.script(self.target, "CREATE SUBSCRIPTION s CONNECTION '%s' PUBLICATION p WITH (create_slot = false, "
                           "slot_name = 's', copy_data = false)" % self.options(self.source), "postgres")

    def stop(self):
        self.server.script(self.target, "ALTER SUBSCRIPTION s DISABLE; ALTER SUBSCRIPTION s SET (slot_name = NONE); "
                           "DROP SUBSCRIPTION s", "postgres")


class Slony(Peer):
    """Asked for a SYNC ten times a second: more often is more than two cores keep up with."""
    title = "Slony-I"

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
                self.daemons.append(subprocess.Popen(["slon", "-s", "100", "-t", "100", "bench", self.options(database)], stdout=log,
                                                     stderr=log))
        time.sleep(3)
        self.slonik("subscribe set (id = 1, provider = 1, receiver = 2, forward = no, omit copy = true);\n"
                    "wait for event (origin = 1, confirmed = 2, wait on = 1, timeout = 120);\n")
        # What is changed before the subscription is active counts as copied.
        end = time.monotonic() + 60
        for database in (self.source, self.target):
            while self.server.sql(database, "SELECT bool_or(sub_active) FROM _bench.sl_subscribe", "postgres") != [["t"]]:
                if time.monotonic() > end:
                    raise Unavailable("the subscription of slon does not become active")
                time.sleep(0.1)
        time.sleep(1)

    def stop(self):
        for daemon in self.daemons:
            daemon.terminate()
        for daemon in self.daemons:
            daemon.wait(30)


class Bucardo(Peer):
    title = "Bucardo"

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
        if shutil.which("bucardo") is None:
            return
        subprocess.run(["bucardo", "--no-bucardorc", "--dbhost=" + self.server.folder, "--dbuser=postgres", "--dbname=bucardo",
                        "stop"], env=self.environment, cwd=self.folder, capture_output=True, check=False)
