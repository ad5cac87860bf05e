#!/usr/bin/env python3
"""Servers that cannot be used: a wrong password, no line in pg_hba.conf, no right to connect, a standby, a server that is
too old. Each is told by name with its exit code, and nothing is changed."""
import contextlib
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import tempfile
import threading

from postgresql_support import PgNode, PrivateServer, pg_pair, require, require_equal, require_same, run
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

URLS_WITH_A_PASSWORD = [
    "postgresql://u:s3cret@/x", "postgresql://u:s3cret@/x?nonsense=1", "postgresql://u:s3cret@h:1:2/x", "postgresql://u:s3cret@[::1/x",
    "postgresql://u:s3cret%zz@h/x", "postgresql://u:s3cret@h/x?a=b=c", "postgresql://u:s3cret/more@h/x", "postgresql://u:12/s3cret@h/x",
    "postgresql://u@h/x?password=s3cret", "postgresql://u@h/x?PassWord=s3cret", "postgresql://u@h/x?password=s3cret&nonsense=2",
    "postgresql://u@h/x?sslpassword=s3cret", "postgresql:host=x password=s3cret"]
URLS_OF_NOBODY = ["postgres://u:s3cret@h/x", "mysql://u:s3cret@h/x", "host=x password=s3cret"]


@test
def test_no_url_with_a_password_is_taken_or_told(lab):
    """Not even one with another mistake, of which libpq tells with the url or a part of it."""
    a = PgNode(lab, "a", ITEM)
    b = PgNode(lab, "b", ITEM)
    lab.job("ab", [a, b])
    for url in URLS_WITH_A_PASSWORD:
        b.settings = lambda url=url: {"url": url}
        refused(lab, 2, 'node \\"b\\"', "password", ".pgpass")
    for url in URLS_OF_NOBODY:
        b.settings = lambda url=url: {"url": url}
        refused(lab, 2, "names no database", url.split(":")[0].split("=")[0])
    for settings in ({"password": "s3cret"}, {"owner_password": "s3cret"}):
        b.settings = lambda settings=settings: {"url": b.server.url(b.database), **settings}
        refused(lab, 2, next(iter(settings)))
    require_equal(a.rows("SELECT nspname FROM pg_namespace WHERE nspname = 'tidemark'"), [], "control tables of the good node")


def own_address():
    """One of this machine that is not the loopback's; nothing where it has none. Nothing is sent."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        if not probe.getsockname()[0].startswith("127."):
            return probe.getsockname()[0]
    return None


def free_port(address):
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def certificate(folder, name):
    """For a server of this name, and its own authority."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=" + name, "-addext",
                    "subjectAltName=DNS:" + name, "-keyout", folder / "key", "-out", folder / "crt"], check=True, capture_output=True)


@test
def test_a_server_that_nobody_vouches_for_is_named(lab):
    address = own_address()
    if address is None:
        lab.note("this machine has no address but the loopback's: TESTED NOTHING")
        return
    port = free_port(address)
    made = pathlib.Path(tempfile.mkdtemp(prefix="tidemark-certificate-"))
    certificate(made, "db.example")
    os.chmod(made / "key", 0o600)
    if os.getuid() == 0:
        os.chmod(made, 0o755)
        shutil.chown(made / "key", "postgres")
    with environment(PGPORT=str(port)), PrivateServer({
            "listen_addresses": "'%s, 127.0.0.1'" % address, "port": str(port), "ssl": "on", "ssl_cert_file": "'%s'" % (made / "crt"),
            "ssl_key_file": "'%s'" % (made / "key")}) as server:
        let_in(server, "host all all %s/32 trust\nhost all all 127.0.0.1/32 trust\n" % address)
        a, b = PgNode(lab, "a", ITEM, server=server), PgNode(lab, "b", ITEM, server=server)
        lab.job("ab", [a, b])
        lab.activate()
        service = lab.directory / "services"
        service.write_text("[plain]\nhost=%s\n[good]\nhost=db.example\nhostaddr=%s\nsslmode=verify-full\nsslrootcert=%s\n" % (
            address, address, made / "crt"))
        vouched = "host=db.example&hostaddr=%s&sslrootcert=%s" % (address, made / "crt")

        def warned(query, **values):
            b.settings = lambda: {"url": "postgresql://tm_owner@/%s?%s" % (b.database, query)}
            with environment(PGSERVICEFILE=str(service), **values):
                result = lab.run("check", code=0)
                lab.sync()
            found = [f for f in result.last["findings"] if "who answers" in f["message"]]
            for finding in found:
                require(finding["severity"] == "warning" and finding["node"] == "b" and "verify-full" in finding["hint"] and
                        address in finding["message"], "the finding %r" % finding)
            return len(found)

        for query in ("host=" + address, "host=%s&sslmode=require" % address, "host=%s&sslmode=disable" % address, "service=plain",
                      "hostaddr=" + address, "host=localhost&hostaddr=" + address, "host=/tmp&hostaddr=" + address,
                      vouched + "&sslmode=verify-ca"):
            require_equal(warned(query), 1, "warnings with " + query)
        require_equal(warned("host=" + address, PGSSLMODE="require"), 1, "warnings with PGSSLMODE=require")
        for query in (vouched + "&sslmode=verify-full", "service=good", "host=" + server.folder, "host=127.0.0.1", "host=localhost",
                      "host=db.example&hostaddr=127.0.0.1"):
            require_equal(warned(query), 0, "warnings with " + query)
        require_equal(warned(vouched, PGSSLMODE="verify-full"), 0, "warnings with PGSSLMODE=verify-full")
        # Another server than the one that is asked for.
        b.settings = lambda: {"url": "postgresql://tm_owner@/%s?host=%s&sslmode=verify-full&sslrootcert=%s" % (b.database, address, made / "crt")}
        refused(lab, 5, "node b", "certificate")
    shutil.rmtree(made)


CLOSED = """REVOKE ALL ON DATABASE "%s" FROM public; REVOKE ALL ON SCHEMA public FROM public; ALTER SCHEMA public OWNER TO tm_owner;"""
KINDS = """CREATE SCHEMA kinds; CREATE TYPE kinds.mood AS ENUM ('sad', 'happy'); CREATE TYPE kinds.pair AS (a integer, b text);
  CREATE FUNCTION kinds.is_percent(integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 BETWEEN 0 AND 100';
  CREATE DOMAIN kinds.percent AS integer CHECK (kinds.is_percent(VALUE)); CREATE TYPE kinds.span AS RANGE (subtype = integer);
  CREATE COLLATION kinds.german (provider = icu, locale = 'de');
  CREATE FUNCTION kinds.twice(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 * 2; END';
  CREATE FUNCTION kinds.small(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN lower($1); END';
  REVOKE ALL ON TYPE kinds.mood, kinds.percent, kinds.pair, kinds.span FROM PUBLIC;
  REVOKE ALL ON FUNCTION kinds.twice, kinds.small, kinds.is_percent FROM PUBLIC;
  CREATE TABLE item(id serial PRIMARY KEY, name text COLLATE kinds.german UNIQUE, m kinds.mood, p kinds.percent, c kinds.pair, ms kinds.mood[],
    s kinds.span, n integer CHECK (kinds.twice(n) < 1000), g integer GENERATED ALWAYS AS (kinds.twice(n)) STORED);
  CREATE UNIQUE INDEX item_small ON item(kinds.small(name));
  CREATE TABLE by_name(k text COLLATE kinds.german PRIMARY KEY, m kinds.mood);
  CREATE TABLE by_mood(m kinds.mood PRIMARY KEY, p kinds.percent); CREATE TABLE by_percent(p kinds.percent PRIMARY KEY, n integer);"""
LACKED = ["USAGE ON SCHEMA kinds", "USAGE ON TYPE kinds.mood", "USAGE ON TYPE kinds.percent", "USAGE ON TYPE kinds.pair",
          "USAGE ON TYPE kinds.span", "EXECUTE ON FUNCTION kinds.twice(integer)", "EXECUTE ON FUNCTION kinds.small(text)",
          "EXECUTE ON FUNCTION kinds.is_percent(integer)"]


@test
def test_where_nothing_is_left_to_public_the_printed_grants_are_enough(lab):
    a, b = [PgNode(lab, name, role="tm_session", owner="tm_owner") for name in "ab"]
    for node in (a, b):
        node.server.script(node.database, CLOSED % node.database, role="postgres")
        node.sql(KINDS)
    lab.job("ab", [a, b], max_deletes="100%")
    # The grants by hand, after an activation that knows of no other role than the owner.
    printed = [node["script"] for node in lab.activate("--dry-run").documents[0]["nodes"]]
    for node in (a, b):
        node.role, node.owner = "tm_owner", None
    lab.activate()
    for node, script in zip((a, b), printed):
        node.sql("".join(line + ";\n" for line in script if line.startswith("GRANT ")))
        node.role, node.owner = "tm_session", "tm_owner"
    lab.run("check", code=0)
    again = lab.activate("--dry-run").documents[0]["nodes"]
    require_equal([node["script"] for node in again], [[], []], "what an activation adds")
    a.sql("INSERT INTO item(name, m, p, c, ms, s, n) SELECT i, 'happy', i, format('(%s,y)', i)::kinds.pair, '{sad,happy}', '[1,2)', i FROM generate_series(1, 9) i;"
          "INSERT INTO by_name VALUES ('q', 'sad'); INSERT INTO by_mood VALUES ('sad', 4), ('happy', 5); INSERT INTO by_percent VALUES (3, 4), (4, 4);")
    lab.sync()
    a.sql("UPDATE item SET name = 'Y' WHERE id = 1; UPDATE by_name SET m = 'happy'; DELETE FROM by_mood WHERE m = 'sad'; UPDATE by_percent SET p = 5 WHERE p = 4")
    b.sql("UPDATE item SET name = 'y' WHERE id = 2; UPDATE by_name SET m = 'sad'; DELETE FROM item WHERE id = 9")
    for _ in range(2):
        lab.sync()
    for table, key in (("item", "id"), ("by_name", "k"), ("by_mood", "m"), ("by_percent", "p")):
        require_same(table, a, b, key)
    require_equal(a.value("SELECT count(*) FROM item"), "7", "items")
    lab.verify()
    require_equal(b.value("INSERT INTO item(name) VALUES ('new') RETURNING id"), "10", "the next number")
    # Each of them missing alone is named, and 'activate' grants it again.
    for lacked in LACKED + ["TEMPORARY ON DATABASE \"%s\"" % b.database, "USAGE ON SCHEMA public", "USAGE ON SCHEMA tidemark"]:
        b.sql("REVOKE %s FROM tm_session" % lacked)
        told = lab.run("check", code=8)
        told.require_told("node b", "tm_session" if "tidemark" not in lacked else "schema tidemark")
        require(told.told(lacked) or told.told("temporary tables") or told.told("permission denied for schema tidemark"), "%s: %s" % (lacked, told))
        lab.activate("b")
        lab.run("check", code=0)
    b.sql("REVOKE CONNECT ON DATABASE \"%s\" FROM tm_session" % b.database)
    lab.run("check", code=5).require_told("permission denied for database", b.database)
    lab.activate("b")
    lab.sync()


def schema_of(node):
    """All that the server knows to tell of a database, rows too."""
    text = subprocess.run([binary("pg_dump"), "-h", node.server.folder, "-U", "postgres", "-d", node.database], check=True,
                          capture_output=True, text=True).stdout
    return [line for line in text.splitlines() if "restrict " not in line]  # a random word


@test
def test_deactivation_takes_back_what_activation_granted_and_no_more(lab):
    schema = ITEM + "CREATE SCHEMA s; CREATE TYPE s.mood AS ENUM ('a'); REVOKE ALL ON TYPE s.mood FROM PUBLIC; CREATE TABLE s.list(id serial PRIMARY KEY, m s.mood);"
    schema += "GRANT SELECT ON item TO tm_session; GRANT USAGE ON SEQUENCE s.list_id_seq TO tm_session;"
    a, b = [PgNode(lab, name, schema, role="tm_session", owner="tm_owner") for name in "ab"]
    for node in (a, b):
        node.server.script(node.database, CLOSED % node.database + 'GRANT CONNECT ON DATABASE "%s" TO tm_session' % node.database, role="postgres")
    before = schema_of(a)
    lab.job("ab", [a, b])
    for _ in range(2):
        lab.activate()
        a.sql("CREATE TABLE gone(id serial PRIMARY KEY)")
        b.sql("CREATE TABLE gone(id serial PRIMARY KEY)")
        lab.activate()
        lab.sync()
        lab.run("check", code=0)
        for node in (a, b):
            node.sql("DROP TABLE gone")
        lab.run("deactivate", "a", "b")
        require_equal(schema_of(a), before, "the schema after deactivation")


@test
def test_who_is_not_the_owner_is_told_so_and_changes_nothing(lab):
    """Not even where the privilege to make triggers is there: the function reads the table in its maker's name when it is
    truncated, and sessions could not be granted what they need."""
    a, b = [PgNode(lab, name, ITEM, role="tm_session", owner="tm_owner") for name in "ab"]
    lab.job("ab", [a, b])

    def refuses(*words):
        before = schema_of(b)
        for arguments in (("activate", "b"), ("activate", "b", "--dry-run")):
            lab.run(*arguments, code=8).require_told("node b", *words)
            require_equal(schema_of(b), before, "the schema after " + " ".join(arguments))

    as_superuser = lambda text: b.server.script(b.database, text, role="postgres")  # noqa: E731
    as_superuser("CREATE TABLE other(id integer PRIMARY KEY); CREATE TABLE part(id integer PRIMARY KEY) PARTITION BY RANGE (id);"
                 "CREATE TABLE part_1 PARTITION OF part DEFAULT; ALTER TABLE part OWNER TO tm_owner;")
    for privileges in ("", "GRANT TRIGGER ON other TO tm_owner", "GRANT ALL ON other TO tm_owner WITH GRANT OPTION"):
        as_superuser(privileges)
        refuses("table public.other", "belongs to role postgres", "role tm_owner")
    as_superuser("ALTER TABLE other OWNER TO tm_owner")
    refuses("table public.part_1", "belongs to role postgres", "role tm_owner")
    as_superuser("ALTER TABLE part_1 OWNER TO tm_owner; ALTER DATABASE %s OWNER TO postgres" % b.database)
    refuses("role tm_owner may not make a schema in database " + b.database, "GRANT CREATE ON DATABASE")
    as_superuser("GRANT CREATE ON DATABASE %s TO tm_owner" % b.database)
    # A role that is a member of the owner's is an owner.
    as_superuser("CREATE ROLE tm_group; GRANT tm_group TO tm_owner; ALTER TABLE item OWNER TO tm_group;")
    lab.activate()
    a.sql("CREATE TABLE other(id integer PRIMARY KEY)")
    b.sql("INSERT INTO item VALUES (1, 'x', 1); TRUNCATE item; INSERT INTO item VALUES (2, 'y', 2)")
    lab.jobs["ab"][0]["tables"] = ["item"]
    lab.sync()
    require_same("item", a, b)
    as_superuser("DROP OWNED BY tm_group CASCADE; DROP ROLE tm_group")


@test
def test_each_missing_privilege_is_named_before_a_session_writes(lab):
    a, b = [PgNode(lab, name, ITEM, role="tm_session", owner="tm_owner") for name in "ab"]
    lab.job("ab", [a, b])
    lab.activate()
    lab.sync()
    a.sql("INSERT INTO item VALUES (1, 'a', 1)")
    b.sql("INSERT INTO item VALUES (2, 'b', 2)")
    before = schema_of(b)
    for privilege in ("SELECT", "INSERT", "UPDATE", "DELETE"):
        b.sql("REVOKE %s ON item FROM tm_session" % privilege)
        lab.run("check", code=8).require_told("node b", "table item", "role tm_session lacks " + privilege)
        b.sql("GRANT %s ON item TO tm_session" % privilege)
    b.sql("REVOKE INSERT ON item FROM tm_session")
    without = schema_of(b)
    for command in ("sync", "sync"):
        lab.run(command, code=8).require_told("node b", "permission denied for table item", "activate --dry-run")
        require_equal(schema_of(b), without, "the target after a session that may not write")
    require_equal(a.dump("item"), [("1", "a", "1")], "rows of the other node")
    b.sql("GRANT INSERT ON item TO tm_session")
    require_equal(sorted(schema_of(b)), sorted(before), "the schema again")
    tables = [row[0] for row in b.rows("SELECT relname FROM pg_class WHERE relnamespace = 'tidemark'::regnamespace AND relkind = 'r' AND relname <> 'granted' ORDER BY 1")]
    require(len(tables) > 15, "control tables: %r" % tables)
    for i, table in enumerate(tables):
        privilege = ("SELECT", "INSERT", "UPDATE", "DELETE")[i % 4]
        if table == "node" and privilege == "SELECT":
            privilege = "UPDATE"  # without SELECT nothing can be asked
        b.sql("REVOKE %s ON tidemark.%s FROM tm_session" % (privilege, table))
        lab.run("check", code=8).require_told("node b", "role tm_session lacks %s ON tidemark.%s" % (privilege, table))
    lab.activate("b")
    lab.run("check", code=0)
    lab.sync()
    require_same("item", a, b)
    # An application has nothing to look for there, not even with the rights of the table's owner.
    a.sql("GRANT ALL ON item TO tm_app")
    for statement in ("SELECT * FROM tidemark.node", "INSERT INTO tidemark.log_1 VALUES (1, 1)", "DELETE FROM tidemark.version_1",
                      "SELECT tidemark.capture_1()", "DROP SCHEMA tidemark", "DROP TRIGGER tidemark_1_insert ON item", "ALTER TABLE item DISABLE TRIGGER ALL",
                      "CREATE TRIGGER mine AFTER INSERT ON item FOR EACH STATEMENT EXECUTE FUNCTION tidemark.capture_1()",
                      "CREATE TABLE tidemark.mine(id integer)"):
        try:
            a.sql(statement, role="tm_app")
        except RuntimeError as error:
            require("permission denied" in str(error) or "must be owner" in str(error), str(error))
        else:
            raise AssertionError("an application may " + statement)
    a.sql("INSERT INTO item VALUES (3, 'c', 3)", role="tm_app")
    lab.sync()
    require_same("item", a, b)


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
