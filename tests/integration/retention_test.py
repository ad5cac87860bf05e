"""What the control tables remember and for how long, on files and on PostgreSQL: peers that stay away
and are forgotten, and databases that were copied or restored."""
import subprocess

from daemon_support import Daemon, wait_for
from postgresql_support import Failure, PgNode, binary, require, require_equal, run
from support import connect, test

SCHEMA = "CREATE TABLE item(id INTEGER PRIMARY KEY, v TEXT); CREATE TABLE judged(id INTEGER PRIMARY KEY, v TEXT);"
ROWS = "INSERT INTO item VALUES (1, 'one'), (2, 'two'), (3, 'three'), (4, 'four');"
MIXES = ("sqlite sqlite sqlite", "postgresql postgresql postgresql", "postgresql sqlite sqlite", "sqlite postgresql sqlite")
DAY_US = 86400 * 10**6


def node(lab, kind, name, schema=SCHEMA):
    return PgNode(lab, name, schema) if kind == "postgresql" else lab.node(name, schema, wal=True)


def rows(each, sql):
    return [tuple(None if v is None else str(v) for v in row) for row in each.rows(sql)]


def control_tables(each):
    if isinstance(each, PgNode):
        return ["tidemark." + t for (t,) in rows(each, "SELECT tablename FROM pg_tables WHERE schemaname = 'tidemark'")]
    return [t for (t,) in rows(each, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'tidemark%'")]


def let_days_pass(each, days):
    """The injected clock: everything that the control tables remember happened that much earlier."""
    if isinstance(each, PgNode):
        columns = rows(each, "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'tidemark' "
                       "AND column_name LIKE '%\\_us'")
        each.sql("".join("UPDATE tidemark.%s SET %s = %s - %d WHERE %s > 1000000000000000;" % (
            table, column, column, days * DAY_US, column) for table, column in columns))
        return
    connection = connect(each.path)
    connection.execute("BEGIN IMMEDIATE")
    for table in control_tables(each):
        for (column,) in connection.execute("SELECT name FROM pragma_table_info('%s') WHERE substr(name, -3) = '_us'" % table):
            connection.execute("UPDATE %s SET %s = %s - %d WHERE %s > 1000000000000000" % (
                table, column, column, days * DAY_US, column))
    connection.execute("COMMIT")
    connection.close()


def tombstones(each):
    versions = [t for t in control_tables(each) if "version_" in t]
    return sum(int(rows(each, "SELECT count(*) FROM %s WHERE flags & 1 = 1" % t)[0][0]) for t in versions)


@test
def test_a_peer_that_stays_away_is_shown_and_can_be_forgotten(lab):
    for mix in MIXES:
        lab.reset()
        a, b, c = (node(lab, kind, name) for kind, name in zip(mix.split(), "abc"))
        a.sql(ROWS)
        lab.job("ab", [a, b])
        lab.job("ac", [a, c])
        lab.activate()
        lab.sync()
        lab.sync()
        require_equal([n["purge_waits_for"] for n in lab.run("status").last["nodes"]], [[], [], []], mix)
        b.sql("DELETE FROM item WHERE id = 1")
        lab.sync("ab")
        for _ in range(2):
            for each in (a, b, c):
                let_days_pass(each, 40)
            b.sql("UPDATE item SET v = v || '+' WHERE id = 2")
            lab.sync("ab")
        require_equal(tombstones(a), 1, mix + ": a tombstone that c has not heard of")
        status = lab.run("status").last["nodes"][0]
        require_equal([w["peer"] for w in status["purge_waits_for"]], ["c"], mix)
        lab.run("status", as_json=False).require_told("tidemark forget c", "last met")
        lab.run("forget", "nobody", code=2).require_told("nobody", "c")
        dry = lab.run("forget", "c", "--dry-run").last
        require_equal(([n["node"] for n in dry["nodes"]], dry["dry_run"]), (["a"], True), mix)
        require_equal(len(lab.run("status").last["nodes"][0]["purge_waits_for"]), 1, mix + ": after a dry run")
        require_equal([n["node"] for n in lab.run("forget", "c").last["nodes"]], ["a"], mix)
        require_equal(lab.run("status").last["nodes"][0]["purge_waits_for"], [], mix)
        for each in (a, b, c):
            let_days_pass(each, 2)
        b.sql("DELETE FROM item WHERE id = 3")
        lab.sync("ab")
        require_equal(tombstones(a), 1, mix + ": only the new tombstone is left")
        # It comes back with a row that it wrote, one that it changed, and rows that were deleted while it was away.
        c.sql("INSERT INTO item VALUES (9, 'nine'); UPDATE item SET v = 'FOUR' WHERE id = 4")
        for _ in range(3):
            lab.sync()
        expected = [("2", "two++"), ("4", "FOUR"), ("9", "nine")]
        for each in (a, b, c):
            require_equal(rows(each, "SELECT * FROM item ORDER BY id"), expected, "%s: %s" % (mix, each.name))
        require_equal(lab.conflicts(), [], mix)
        lab.verify()


@test
def test_sessions_of_the_daemon_drop_old_conflicts_as_others_do(lab):
    for mix in ("sqlite sqlite", "postgresql sqlite"):
        lab.reset()
        a, b = (node(lab, kind, name) for kind, name in zip(mix.split(), "ab"))
        lab.settings = {"conflict_retention": "60d"}
        lab.job("ab", [a, b], table_settings={"judged": {"conflict": "manual"}}, schedule="continuous")
        lab.activate()
        lab.sync()
        for each in (a, b):
            each.sql("INSERT INTO item VALUES (1, 'of %s'); INSERT INTO judged VALUES (1, 'of %s')" % (each.name, each.name))
        lab.sync()
        require_equal(sorted(c["status"] for c in lab.conflicts()), ["open", "resolved"], mix)
        for each in (a, b):
            let_days_pass(each, 61)
        with Daemon(lab):
            a.sql("INSERT INTO item VALUES (2, 'a change, so that a session writes')")
            wait_for(lambda: len(lab.conflicts()) < 2, mix + ": the old conflict is dropped")
        require_equal([c["status"] for c in lab.conflicts()], ["open"], mix)


@test
def test_a_peer_that_no_job_names_any_more_is_forgotten_by_its_old_name(lab):
    a, b, c = (node(lab, kind, name) for kind, name in zip(("postgresql", "sqlite", "sqlite"), "abc"))
    lab.job("ab", [a, b])
    lab.job("ac", [a, c])
    lab.activate()
    lab.sync()
    del lab.nodes["c"], lab.jobs["ac"]
    lab.run("forget", "d", code=2).require_told("b, c")
    require_equal([n["node"] for n in lab.run("forget", "c").last["nodes"]], ["a"], "who knew it")
    lab.run("forget", "c", code=2)


def dump(each, path):
    server = each.server
    done = subprocess.run([binary("pg_dump"), "-h", server.folder, "-U", "tm_owner", "-f", str(path), each.database],
                          capture_output=True, text=True, check=False)
    require_equal(done.returncode, 0, done.stderr)


def restore(each, path):
    each.server.sql("postgres", 'DROP DATABASE "%s"' % each.database, role="postgres")
    each.server.create_database(each.database)
    each.sql("DROP SCHEMA public", role="postgres")
    # CREATE SCHEMA public is the owner's in a dump of such a database.
    each.server.sql(each.database, "CREATE SCHEMA public AUTHORIZATION tm_owner", role="postgres")
    each.sql(path.read_text(encoding="utf-8"))


def copy_database(source, name):
    copy = PgNode(source.lab, name)
    copy.server.sql("postgres", 'DROP DATABASE "%s"' % copy.database, role="postgres")
    copy.server.sql("postgres", 'CREATE DATABASE "%s" TEMPLATE "%s" OWNER tm_owner' % (copy.database, source.database),
                    role="postgres")
    return copy


@test
def test_a_copied_postgresql_database_is_refused_until_it_has_an_identity(lab):
    for peer in ("postgresql", "sqlite"):
        lab.reset()
        a, b = PgNode(lab, "a", SCHEMA), node(lab, peer, "b")
        a.sql(ROWS)
        lab.job("ab", [a, b])
        lab.activate()
        lab.sync()
        c = copy_database(a, "c")
        lab.job("ac", [a, c])
        lab.job("bc", [b, c])
        a.sql("UPDATE item SET v = 'of a' WHERE id = 1")
        c.sql("UPDATE item SET v = 'of c' WHERE id = 2; DELETE FROM item WHERE id = 3; INSERT INTO item VALUES (7, 'c')")
        lab.sync("ac", code=7).require_told("--new-identity", "copy")
        lab.activate("c", "--new-identity")
        for _ in range(3):
            lab.sync()
        expected = [("1", "of a"), ("2", "of c"), ("4", "four"), ("7", "c")]
        for each in (a, b, c):
            require_equal(rows(each, "SELECT * FROM item ORDER BY id"), expected, "%s: %s" % (peer, each.name))
        require_equal(lab.conflicts(), [], peer)
        lab.verify()


@test
def test_a_postgresql_node_that_was_restored_gets_its_rows_back_and_keeps_its_own(lab):
    for peer in ("postgresql", "sqlite"):
        lab.reset()
        a, b = PgNode(lab, "a", SCHEMA), node(lab, peer, "b")
        a.sql(ROWS)
        lab.job("ab", [a, b])
        lab.activate()
        lab.sync()
        dump(a, lab.directory / "a.sql")
        a.sql("UPDATE item SET v = 'after the dump' WHERE id = 1; DELETE FROM item WHERE id = 2; INSERT INTO item VALUES (5, 'five')")
        b.sql("UPDATE item SET v = 'of b' WHERE id = 3")
        lab.sync()
        restore(a, lab.directory / "a.sql")
        require_equal(rows(a, "SELECT id FROM item ORDER BY id"), [("1",), ("2",), ("3",), ("4",)], "restored rows")
        a.sql("INSERT INTO item VALUES (6, 'after the restore')")
        lab.sync(code=7).require_told("went back in time", "--new-incarnation")
        lab.activate("a", "--new-incarnation")
        a.sql("UPDATE item SET v = 'own and newer' WHERE id = 4")
        lab.sync()
        lab.sync()
        expected = [("1", "after the dump"), ("3", "of b"), ("4", "own and newer"), ("5", "five"), ("6", "after the restore")]
        for each in (a, b):
            require_equal(rows(each, "SELECT * FROM item ORDER BY id"), expected, "%s: %s" % (peer, each.name))
        require_equal(lab.conflicts(), [], peer)
        lab.verify()


@test
def test_a_sqlite_file_that_was_restored_beside_postgresql(lab):
    hub, shop = PgNode(lab, "hub", SCHEMA), lab.node("shop", SCHEMA)
    hub.sql(ROWS)
    lab.job("j", [hub, shop])
    lab.activate()
    lab.sync()
    old = shop.path.read_bytes()
    shop.sql("UPDATE item SET v = 'sold' WHERE id = 1; DELETE FROM item WHERE id = 2")
    hub.sql("INSERT INTO item VALUES (8, 'of the hub')")
    lab.sync()
    shop.path.write_bytes(old)
    shop.sql("INSERT INTO item VALUES (9, 'after the restore')")
    lab.sync(code=7).require_told("went back in time", "node shop")
    lab.activate("shop", "--new-incarnation")
    lab.sync()
    lab.sync()
    expected = [("1", "sold"), ("3", "three"), ("4", "four"), ("8", "of the hub"), ("9", "after the restore")]
    for each in (hub, shop):
        require_equal(rows(each, "SELECT * FROM item ORDER BY id"), expected, each.name)
    lab.verify()

# A year --------------------------------------------------------------------------------------------------------------

KEPT_SESSIONS = 10000  # records
KEPT_RECENT = 16384  # entries of the list of recent versions of a table
MONTH_6, MONTH_12 = 196, 364  # days; the months of the laptop are 56 days long, and both are in the middle of one


def remembered(each):
    """Rows of every control table."""
    query = " UNION ALL ".join("SELECT '%s', count(*) FROM %s" % (table.replace("tidemark.", "").replace("tidemark_", ""), table)
                               for table in control_tables(each))
    return {table: int(count) for table, count in rows(each, query)}


def fill_sessions(each, count):
    """Records of sessions, as if there had been so many."""
    prefix = "tidemark." if isinstance(each, PgNode) else "tidemark_"
    zero = "'00000000-0000-0000-0000-000000000000'" if isinstance(each, PgNode) else "zeroblob(16)"
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) " % count
    each.sql("INSERT INTO %ssession %sSELECT i, 's', 'j', 'two-way', 'a', 'b', %s, 0, 0 FROM n;"
             "INSERT INTO %ssession_table %sSELECT i, 'item', 0, 0, 0, 0, 0, 0, 0 FROM n"
             % (prefix, numbers, zero, prefix, numbers))


class Year:
    """Two sites that meet daily and a laptop that meets one of them now and then: rows come, change and go everywhere, one
    row is disputed every day and decided by the latest, another now and then and waits for somebody's judgement."""

    def __init__(self, lab, kinds, step, **retention):
        self.lab, self.kinds, self.step = lab, kinds, step
        lab.reset()
        self.nodes = self.a, self.b, self.c = [node(lab, kind, name) for kind, name in zip(kinds.split(), "abc")]
        lab.settings = retention or {"tombstone_retention": "30d", "conflict_retention": "60d"}
        judged = {"judged": {"conflict": "manual"}}
        lab.job("ab", [self.a, self.b], table_settings=judged, max_deletes="none")
        lab.job("ac", [self.a, self.c], table_settings=judged, max_deletes="none")
        self.expected, self.gone, self.judgements, self.sizes = {}, set(), 0, {}
        self.number = 1000

    def insert(self, each, day):
        self.number += 1
        each.sql("INSERT INTO item VALUES (%d, 'of day %d')" % (self.number, day))
        self.expected[self.number] = "of day %d" % day

    def delete(self, each, keys):
        each.sql("DELETE FROM item WHERE id IN (%s)" % ", ".join(str(key) for key in keys))
        for key in keys:
            del self.expected[key]
        self.gone.update(keys)

    def day(self, day):
        a, b, c, lab = self.a, self.b, self.c, self.lab
        old = [key for key in self.expected if key > 1000][:-12]
        if old:
            self.delete(a, old[0::3])
        if old[1::3]:
            self.delete(b, old[1::3])
        for _ in range(2):
            self.insert(a, day)
            self.insert(b, day)
        a.sql("UPDATE item SET v = 'a %d' WHERE id = 1; UPDATE item SET v = 'kept %d' WHERE id = 2" % (day, day))
        b.sql("UPDATE item SET v = 'b %d' WHERE id = 1" % day)
        self.expected[2] = "kept %d" % day
        if day % 56 == 0:
            for each in (a, b):
                each.sql("INSERT INTO judged VALUES (%d, 'of %s')" % (day, each.name))
            self.judgements += 1
            lab.sync("ac")  # it deletes only what it has heard of
            self.insert(c, day)
            if old[2::3]:
                self.delete(c, old[2::3])
            lab.sync("ac")
        lab.sync("ab")
        self.require_rows((a, b), day)
        if day % 56 == 0:
            lab.sync("ac")
            self.require_rows((a, c), day)
        if day in (MONTH_6, MONTH_12):
            self.sizes[day] = [remembered(each) for each in self.nodes]
        for each in self.nodes:
            let_days_pass(each, self.step)

    def require_rows(self, nodes, day):
        """What the applications wrote is there, and nothing that they deleted."""
        for each in nodes:
            found = {int(key): value for key, value in rows(each, "SELECT id, v FROM item")}
            where = "%s: %s on day %d" % (self.kinds, each.name, day)
            require(not self.gone & set(found), where + ": deleted rows are back: %s" % sorted(self.gone & set(found)))
            require(found.pop(1, None) in ("a %d" % day, "b %d" % day), where + ": the disputed row")
            require_equal(found, self.expected, where)
        judged = [rows(each, "SELECT * FROM judged ORDER BY id") for each in nodes]
        require_equal(judged[1], judged[0], "%s on day %d: judged rows" % (self.kinds, day))
        require_equal(len(judged[0]), self.judgements, "%s on day %d: judged rows" % (self.kinds, day))

    def walk(self):
        self.a.sql("INSERT INTO item VALUES (1, 'one'), (2, 'two')")
        self.lab.activate()
        # Lists of bounded length are nearly full before the year begins.
        for each in self.nodes:
            fill_sessions(each, KEPT_SESSIONS - 5)
        self.lab.sync()
        many = list(range(1001, 1001 + KEPT_RECENT - 10))
        self.a.sql("INSERT INTO item WITH RECURSIVE n(i) AS (SELECT %d UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
                   "SELECT i, 'many' FROM n" % (many[0], many[-1]))
        self.lab.sync()
        self.a.sql("DELETE FROM item WHERE v = 'many'")
        self.number, self.gone = many[-1], set(many)
        self.lab.sync()
        for day in range(0, 365, self.step):
            self.day(day)
        self.require_level()
        self.lab.sync()
        self.lab.verify()

    def require_level(self):
        judged_since = MONTH_12 // 56 - MONTH_6 // 56
        # Of every row that was judged there is a version, and its conflict is open.
        allowed = {"session": KEPT_SESSIONS, "session_table": 3 * KEPT_SESSIONS}
        grown = []
        for each, before, after in zip(self.nodes, self.sizes[MONTH_6], self.sizes[MONTH_12]):
            require_equal(sorted(after), sorted(before), "control tables of " + each.name)
            for table, count in after.items():
                limit = allowed.get(table, before[table] + judged_since)
                if table.startswith("recent_") and table != "recent_since":
                    limit = KEPT_RECENT
                elif table.startswith("log_"):
                    limit = 0
                if count > limit:
                    grown.append("%s of %s has %d rows after %d days, and had %d after %d" % (
                        table, each.name, count, MONTH_12, before[table], MONTH_6))
        require(not grown, "%s: %s" % (self.kinds, "; ".join(grown)))
        conflicts = self.lab.conflicts()
        waiting = {str(c["key"]) for c in conflicts if c["status"] == "open"}
        require_equal(len(waiting), self.judgements, self.kinds + ": open conflicts")
        decided = [c for c in conflicts if c["status"] == "resolved"]
        require(0 < len(decided) <= 60 // self.step + 2, "%s: %d decided conflicts" % (self.kinds, len(decided)))


@test
def test_control_tables_stay_level_over_a_year(lab):
    for kinds in ("sqlite sqlite sqlite", "postgresql postgresql sqlite") + (
            ("postgresql postgresql postgresql", "postgresql sqlite sqlite") if lab.long else ()):
        Year(lab, kinds, 1 if lab.long else 28).walk()


@test
def test_a_year_in_which_nothing_is_purged_is_noticed(lab):
    """The broken twin of the test above."""
    try:
        Year(lab, "sqlite sqlite sqlite", 28, tombstone_retention="5000d", conflict_retention="5000d").walk()
    except Failure as failure:
        require("conflict of " in str(failure) and "version_1 of a has" in str(failure), str(failure))
    else:
        raise Failure("retentions of 5000 days were not noticed")


if __name__ == "__main__":
    raise SystemExit(run(__doc__))
