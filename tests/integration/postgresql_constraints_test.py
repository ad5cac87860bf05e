#!/usr/bin/env python3
"""Constraints and counters of PostgreSQL that are kept otherwise than the plain ones: foreign keys that are looked at in the end,
rows that exclude each other without being equal, unique values by an operator or a collation of their own, sequences that no
column owns; and all of them in tables that Tidemark makes."""
import sys

from postgresql_support import PgNode, pg_pair, require_equal, require_same, run, without_and_with_the_grant
from support import test


def settle(lab, rounds=3, code=0):
    for _ in range(rounds):
        lab.sync(code=code)


@test
def test_a_row_under_a_deferrable_foreign_key_waits_with_its_parent(lab):
    """The server looks at such a key when the transaction ends, and would refuse all of it."""
    schema = """CREATE TABLE parent(id integer PRIMARY KEY, n integer %s);
                CREATE TABLE child(id integer PRIMARY KEY, parent_id integer REFERENCES parent DEFERRABLE INITIALLY DEFERRED, v text);"""
    for server, granted in without_and_with_the_grant():
        what = ", granted %s" % granted
        a = PgNode(lab, "a", schema % "", server=server)
        b = PgNode(lab, "b", schema % "CHECK (n < 100)", server=server)
        lab.job("ab", [a, b], max_deletes="100%")
        lab.activate()
        lab.sync()
        a.sql("INSERT INTO parent VALUES (1, 1000), (2, 2); INSERT INTO child VALUES (10, 1, 'waits'), (20, 2, 'flows')")
        settle(lab, 2, code=3)
        require_equal(b.dump("parent") + b.dump("child"), [("2", "2"), ("20", "2", "flows")], "rows of b" + what)
        require_equal(sorted(row["table"].split(".")[-1] for row in lab.run("quarantine", "list", code=(0, 3)).last["rows"]),
                      ["child", "parent"], "what waits" + what)
        a.sql("INSERT INTO child VALUES (21, 2, 'flows too')")
        lab.sync(code=3)
        require_equal(b.value("SELECT count(*) FROM child"), "2", "children of b" + what)
        a.sql("UPDATE parent SET n = 1 WHERE id = 1")
        settle(lab)
        require_same("parent", a, b)
        require_same("child", a, b)
        # Deleted there, referred to here.
        b.sql("BEGIN; DELETE FROM child WHERE parent_id = 2; DELETE FROM parent WHERE id = 2; COMMIT")
        a.sql("INSERT INTO child VALUES (22, 2, 'later')")
        settle(lab)
        require_same("parent", a, b)
        require_same("child", a, b)
        require_equal(a.value("SELECT count(*) FROM child LEFT JOIN parent ON parent.id = parent_id WHERE parent.id IS NULL"), "0",
                      "children without a parent" + what)


@test
def test_of_rows_that_exclude_each_other_one_waits(lab):
    a, b = pg_pair(lab, "CREATE TABLE booking(id integer PRIMARY KEY, nights int4range, EXCLUDE USING gist (nights WITH &&));")
    a.sql("INSERT INTO booking VALUES (1, '[1,5)'), (3, '[10,12)')")
    b.sql("INSERT INTO booking VALUES (2, '[3,8)')")
    settle(lab, 2, code=3)
    require_equal(a.rows("SELECT id FROM booking ORDER BY id"), [("1",), ("3",)], "rows of a")
    require_equal(b.rows("SELECT id FROM booking ORDER BY id"), [("2",), ("3",)], "rows of b")
    b.sql("UPDATE booking SET nights = '[5,8)' WHERE id = 2")
    settle(lab)
    require_same("booking", a, b)
    require_equal(a.value("SELECT count(*) FROM booking"), "3", "bookings")


@test
def test_a_unique_value_is_what_its_index_takes_for_one(lab):
    """By an operator of an extension, by a collation that holds texts for equal, by an expression of a part of the rows."""
    schema = """CREATE EXTENSION citext;
      CREATE COLLATION alike (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
      CREATE TABLE mail(id integer PRIMARY KEY, address citext UNIQUE);
      CREATE TABLE name(id integer PRIMARY KEY, called text); CREATE UNIQUE INDEX name_called ON name(called COLLATE alike);
      CREATE TABLE seat(id integer PRIMARY KEY, hall integer, seat integer, gone boolean, UNIQUE NULLS NOT DISTINCT (hall, seat));
      CREATE UNIQUE INDEX seat_free ON seat(abs(seat)) WHERE NOT gone;
      CREATE TABLE word(id integer PRIMARY KEY, w text COLLATE "tr-x-icu"); CREATE UNIQUE INDEX word_w ON word(lower(w));"""
    for server, granted in without_and_with_the_grant():
        a, b = (PgNode(lab, name, schema, server=server) for name in "ab")
        lab.job("ab", [a, b], max_deletes="100%")
        lab.activate()
        lab.sync()
        a.sql("INSERT INTO mail VALUES (1, 'One@x'); INSERT INTO name VALUES (1, 'Åsa')")
        a.sql("INSERT INTO seat VALUES (1, NULL, 1, true), (3, 2, 5, false); INSERT INTO word VALUES (1, 'ISI')")
        b.sql("INSERT INTO mail VALUES (2, 'oNE@X'); INSERT INTO name VALUES (2, 'åSA')")
        b.sql("INSERT INTO seat VALUES (2, NULL, 1, true), (4, 3, -5, false); INSERT INTO word VALUES (2, 'ısı')")
        settle(lab)
        for table, kept in (("mail", "2"), ("name", "2"), ("seat", "2,4"), ("word", "2")):
            require_same(table, a, b)
            require_equal(a.value("SELECT string_agg(id::text, ',' ORDER BY id) FROM " + table), kept,
                          "%s, granted %s: the later rows" % (table, granted))
        require_equal(sorted(c["type"] for c in lab.conflicts()), ["unique_exists"] * 5, "conflicts")


@test
def test_sequences_that_no_column_owns_are_never_behind(lab):
    a, b = pg_pair(lab, """CREATE SEQUENCE shared; CREATE SEQUENCE odd INCREMENT 2; CREATE SEQUENCE short MAXVALUE 50; CREATE SEQUENCE down INCREMENT -1;
      CREATE TABLE one(id bigint PRIMARY KEY DEFAULT nextval('shared'), v text);
      CREATE TABLE other(id bigint PRIMARY KEY DEFAULT nextval('shared'), v text);
      CREATE TABLE stepped(id integer PRIMARY KEY DEFAULT nextval('odd'), v text);
      CREATE TABLE ends(id integer PRIMARY KEY DEFAULT nextval('short'), v text);
      CREATE TABLE negative(id integer PRIMARY KEY DEFAULT nextval('down'), v text);
      CREATE TABLE grown(id serial PRIMARY KEY, v text); ALTER TABLE grown ALTER id TYPE bigint;
      CREATE TABLE noted(id integer PRIMARY KEY, n integer DEFAULT 7, label text DEFAULT 'x' || nextval('shared'));
      CREATE SEQUENCE labels; CREATE SEQUENCE orders; CREATE TABLE q("Order" integer PRIMARY KEY DEFAULT nextval('orders'), code text DEFAULT 'o' || nextval('labels'));
      ALTER SEQUENCE labels OWNED BY q.code; CREATE SEQUENCE deep MINVALUE -9223372036854775808 START -9223372036854775808;
      CREATE TABLE under(id bigint PRIMARY KEY DEFAULT nextval('deep'));""", max_deletes="100%")
    a.sql("INSERT INTO one(v) SELECT 'a' FROM generate_series(1, 5); INSERT INTO other(v) SELECT 'a' FROM generate_series(1, 5)")
    a.sql("INSERT INTO stepped(v) SELECT 'a' FROM generate_series(1, 5); INSERT INTO ends VALUES (40, 'a'), (99, 'beyond')")
    a.sql("INSERT INTO negative(v) SELECT 'a' FROM generate_series(1, 3); INSERT INTO grown VALUES (7, 'a'), (3000000000, 'beyond')")
    a.sql("INSERT INTO noted(id) VALUES (1); INSERT INTO q DEFAULT VALUES; INSERT INTO under DEFAULT VALUES; INSERT INTO under VALUES (5)")
    lab.sync()
    b.sql("INSERT INTO other(v) VALUES ('b'); INSERT INTO one(v) VALUES ('b'); INSERT INTO stepped(v) VALUES ('b'); INSERT INTO ends(v) VALUES ('b')")
    b.sql("INSERT INTO grown(v) VALUES ('b')")
    require_equal([b.value("SELECT max(id) FROM %s WHERE v = 'b'" % table) for table in ("other", "one", "stepped", "ends", "grown")],
                  ["11", "12", "11", "41", "8"], "the next numbers of b")
    a.sql("INSERT INTO stepped VALUES (30000, 'far')")  # even, and too far to draw all numbers in between
    lab.sync()
    b.sql("INSERT INTO stepped(v) VALUES ('b again')")
    require_equal(b.value("SELECT id FROM stepped WHERE v = 'b again'"), "30003", "an odd number behind an even one")
    settle(lab)
    for table in ("one", "other", "stepped", "ends", "negative", "grown", "noted", "under"):
        require_same(table, a, b)
    require_same("q", a, b, '"Order"')


@test
def test_a_sequence_that_the_role_may_not_move_is_named(lab):
    schema = "CREATE SEQUENCE s; CREATE TABLE item(id integer PRIMARY KEY DEFAULT nextval('s'), v text);"
    a, b = [PgNode(lab, n, schema, role="tm_session", owner="tm_owner") for n in "ab"]
    lab.job("ab", [a, b])
    lab.activate()
    a.sql("INSERT INTO item(v) VALUES ('a')", role="tm_owner")
    lab.sync()
    b.sql("INSERT INTO item(v) VALUES ('b')", role="tm_owner")
    require_equal(b.dump("item"), [("1", "a"), ("2", "b")], "rows of b")
    b.sql("REVOKE ALL ON SEQUENCE s FROM tm_session", role="tm_owner")
    lab.run("check", code=(0, 3)).require_told("tm_session", "sequence public.s")
    a.sql("INSERT INTO item(id, v) VALUES (9, 'later')", role="tm_owner")
    lab.sync()
    require_same("item", a, b)


@test
def test_what_tables_lean_on_outside_of_the_job_is_granted_or_left_alone(lab):
    """A sequence in a schema of its own, and parents that no job takes: one of our owner's, one of somebody else's."""
    schema = """CREATE SCHEMA counters; CREATE SEQUENCE counters.s; CREATE SCHEMA lists; CREATE TABLE lists.country(code text PRIMARY KEY);
      INSERT INTO lists.country VALUES ('at'), ('pt');
      CREATE TABLE item(id bigint PRIMARY KEY DEFAULT nextval('counters.s'), country text REFERENCES lists.country DEFERRABLE, colour text);"""
    a, b = [PgNode(lab, n, schema, role="tm_session", owner="tm_owner") for n in "ab"]
    for node in (a, b):
        node.server.script(node.database, "CREATE SCHEMA paint; CREATE TABLE paint.colour(name text PRIMARY KEY); INSERT INTO paint.colour VALUES ('red');"
                           "GRANT USAGE ON SCHEMA paint TO tm_owner; GRANT SELECT, REFERENCES ON paint.colour TO tm_owner;", role="postgres")
        node.sql("ALTER TABLE item ADD FOREIGN KEY (colour) REFERENCES paint.colour DEFERRABLE", role="tm_owner")
    lab.job("ab", [a, b], tables=["item"])
    lab.activate()
    a.sql("INSERT INTO item(country, colour) VALUES ('at', 'red'), ('pt', NULL)", role="tm_owner")
    lab.sync()
    b.sql("INSERT INTO item(country) VALUES ('pt')", role="tm_owner")
    require_equal(b.rows("SELECT id FROM item ORDER BY id", role="tm_owner"), [("1",), ("2",), ("3",)], "rows of b")
    b.sql("DELETE FROM lists.country WHERE code NOT IN (SELECT country FROM item); INSERT INTO lists.country VALUES ('se')", role="tm_owner")
    b.sql("INSERT INTO item(country) VALUES ('se')", role="tm_owner")
    settle(lab, 2, code=(0, 3))
    require_equal(a.value("SELECT count(*) FROM item WHERE country = 'se'"), "0", "a row without its parent")
    a.sql("INSERT INTO lists.country VALUES ('se')", role="tm_owner")
    settle(lab)
    require_same("item", a, b)


@test
def test_a_range_of_keys_is_not_one_of_other_numbers(lab):
    schema = "CREATE SEQUENCE tickets; CREATE TABLE t(id serial PRIMARY KEY, ticket integer UNIQUE DEFAULT nextval('tickets'));"
    a, b = PgNode(lab, "a", schema), PgNode(lab, "b", schema)
    lab.job("ab", [a, b], table_settings={"t": {"keys": "ranges", "range_size": 1000}})
    lab.activate()
    lab.sync()
    a.sql("INSERT INTO t(id) SELECT nextval('t_id_seq') FROM generate_series(1, 5)")
    lab.sync()
    b.sql("INSERT INTO t DEFAULT VALUES")
    require_equal(b.value("SELECT max(ticket) FROM t"), "6", "the next ticket of b")
    settle(lab)
    require_same("t", a, b)


SHOP = """
CREATE TABLE store(id integer PRIMARY KEY, name varchar(40) NOT NULL UNIQUE, manager integer %s);
CREATE TABLE staff(id integer PRIMARY KEY, store integer NOT NULL REFERENCES store(id), boss integer REFERENCES staff(id) ON DELETE SET NULL);
CREATE TABLE shift(staff integer, day integer, PRIMARY KEY(staff, day), FOREIGN KEY(staff) REFERENCES staff(id) ON DELETE CASCADE);
CREATE TABLE task(id integer PRIMARY KEY, staff integer, day integer, UNIQUE(staff, day), FOREIGN KEY(staff, day) REFERENCES shift(staff, day) ON DELETE RESTRICT);
"""
KEYS = [("shift", "staff", "staff", "CASCADE"), ("staff", "boss", "staff", "SET NULL"), ("staff", "store", "store", "NO ACTION"),
        ("store", "manager", "staff", "NO ACTION"), ("task", "staff,day", "shift", "RESTRICT")]
ROWS = """INSERT INTO store VALUES (1, 'north', NULL); INSERT INTO staff VALUES (1, 1, NULL), (2, 1, 1); UPDATE store SET manager = 1;
INSERT INTO shift VALUES (1, 1), (2, 1); INSERT INTO task VALUES (1, 1, 1);"""


def keys_of_server(node):
    names = {"c": "CASCADE", "n": "SET NULL", "a": "NO ACTION", "r": "RESTRICT", "d": "SET DEFAULT"}
    return sorted((child, columns, parent, names[action]) for child, columns, parent, action in node.rows(
        "SELECT conrelid::regclass::text, (SELECT string_agg(attname, ',' ORDER BY n) FROM unnest(conkey) WITH ORDINALITY AS k(a, n) JOIN "
        "pg_attribute ON attrelid = conrelid AND attnum = a), confrelid::regclass::text, confdeltype FROM pg_constraint WHERE contype = 'f' "
        "AND connamespace = 'public'::regnamespace"))


def keys_of_file(node):
    keys = {}
    for (table,) in node.rows("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'tidemark%'"):
        for number, _, parent, column, _, _, action, _ in node.rows('SELECT * FROM pragma_foreign_key_list("%s") ORDER BY id, seq' % table):
            keys.setdefault((table, number), [parent, action, []])[2].append(column)
    return sorted((table, ",".join(columns), parent, action) for (table, _), (parent, action, columns) in keys.items())


@test
def test_tables_made_for_the_other_product_have_all_keys(lab):
    """Keys in a circle, composite ones, ones to themselves, with what a delete does; unique columns; either way."""
    cycle = "ALTER TABLE store ADD FOREIGN KEY (manager) REFERENCES staff(id);"
    hub = PgNode(lab, "hub", SHOP % "" + cycle + ROWS)
    branch = lab.node("branch")
    lab.job("down", [hub, branch])
    require_equal(keys_of_server(hub), KEYS, "keys of the model on the server")
    lab.activate("--create-tables")
    lab.sync()
    lab.verify()
    require_equal(keys_of_file(branch), KEYS, "keys made in a file")
    lab.run("deactivate", "hub", "branch")
    lab.jobs.clear()
    shop = lab.node("shop", SHOP % "REFERENCES staff(id)" + ROWS)
    office = PgNode(lab, "office")
    lab.job("up", [shop, office])
    require_equal(keys_of_file(shop), KEYS, "keys of the model in a file")
    lab.activate("--create-tables")
    lab.sync()
    lab.verify()
    require_equal(keys_of_server(office), KEYS, "keys made on the server")
    for node, message in ((office, "unique constraint"), (shop, "UNIQUE constraint")):
        try:
            node.sql("INSERT INTO store VALUES (2, 'north', NULL)")
        except Exception as error:  # the two products have errors of their own
            assert message in str(error), error
        else:
            raise AssertionError("a second store of one name on " + node.name)


@test
def test_rows_in_a_ring_go_where_the_server_looks_at_once(lab):
    """Rings over nullable columns, one of a table with itself and one of two tables, deleted elsewhere; and deletes that a later
    child stops."""
    schema = """CREATE TABLE self(id integer PRIMARY KEY, boss integer REFERENCES self(id), v text);
      CREATE TABLE p(id integer PRIMARY KEY, c integer); CREATE TABLE c(id integer PRIMARY KEY, p integer NOT NULL REFERENCES p(id));
      ALTER TABLE p ADD FOREIGN KEY (c) REFERENCES c(id);"""
    rows = """INSERT INTO self SELECT i, i + 1, 'ring' FROM generate_series(1, 99) i UNION SELECT 100, 1, 'ring'; INSERT INTO self VALUES (200, 200, 'own'),
      (300, NULL, 'top'), (301, 300, 'below'), (500, 501, 'ring'), (501, 500, 'ring');
      INSERT INTO p VALUES (1, NULL), (2, NULL), (3, NULL); INSERT INTO c VALUES (1, 1), (2, 1), (3, 3); UPDATE p SET c = 4 - id WHERE id <> 2;"""
    for server, granted in without_and_with_the_grant():
        a, b = [PgNode(lab, name, schema, server=server) for name in "ab"]
        lab.job("ab", [a, b], max_deletes="100%")
        lab.activate()
        b.sql(rows)
        lab.sync()
        for table in ("self", "p", "c"):
            require_same(table, a, b)
        a.sql("INSERT INTO self VALUES (502, 500, 'later')")
        b.sql("BEGIN; DELETE FROM self WHERE id < 300 OR id >= 500; UPDATE p SET c = NULL; DELETE FROM c; DELETE FROM p; COMMIT;")
        a.sql("UPDATE self SET v = 'later still' WHERE id = 502")
        # A ring cannot be put back row by row: the child waits one session for its parents.
        lab.sync(code=(0, 3))
        settle(lab, 2)
        for table in ("self", "p", "c"):
            require_same(table, a, b)
        require_equal(a.rows("SELECT id, boss, v FROM self ORDER BY id"),
                      [("300", None, "top"), ("301", "300", "below"), ("500", "501", "ring"), ("501", "500", "ring"), ("502", "500", "later still")],
                      "rows, granted %s" % granted)
        require_equal(a.dump("p") + a.dump("c"), [], "the ring of two tables, granted %s" % granted)
        lab.verify()


LONG = 50


def chain(made):
    """Fifty tables, each under the one before, the first under the last; and one under itself."""
    tables = "".join("CREATE TABLE t%02d(id integer PRIMARY KEY, up integer%s, v text);" % (
        i, " REFERENCES t%02d ON DELETE %s" % (i - 1, ("CASCADE", "NO ACTION")[i % 2]) if i else made) for i in range(LONG))
    return tables + "CREATE TABLE self(id integer PRIMARY KEY, boss integer REFERENCES self(id));"


def all_of(statement, numbers):
    return "".join(statement % {"i": i} for i in numbers)


@test
def test_fifty_tables_in_a_circle_and_one_under_itself(lab):
    """Written child first and deleted parent first, where an application may; sessions put them in an order of their own."""
    hub = PgNode(lab, "hub", chain("") + "ALTER TABLE t00 ADD FOREIGN KEY (up) REFERENCES t49(id) DEFERRABLE INITIALLY DEFERRED;")
    branch = lab.node("branch")
    branch.path.unlink()
    lab.job("hb", [hub, branch], max_deletes="100%")
    lab.activate("--create-tables")
    hub.sql(all_of("INSERT INTO t%(i)02d SELECT n, CASE WHEN %(i)d > 0 THEN n END, 'x' FROM generate_series(1, 6) n;", range(LONG)) +
            "UPDATE t00 SET up = id; INSERT INTO self SELECT n, nullif(n - 1, 0) FROM generate_series(1, 30) n;")
    every = ["t%02d" % i for i in range(LONG)] + ["self"]

    def same():
        lab.sync()
        lab.sync()
        for name in every:
            require_equal([tuple(None if v is None else str(v) for v in row) for row in branch.rows("SELECT * FROM %s ORDER BY id" % name)],
                          hub.dump(name), "table " + name)
        require_equal(branch.rows("PRAGMA foreign_key_check"), [], "orphans of the branch")
        orphans = hub.rows(" UNION ALL ".join("SELECT '%s', c.id FROM t%02d c LEFT JOIN t%02d p ON p.id = c.up WHERE c.up IS NOT NULL AND p.id IS NULL" % (
            "t%02d" % i, i, (i - 1) % LONG) for i in range(LONG)))
        require_equal(orphans, [], "orphans of the hub")
        require_equal(lab.sync().documents[-1]["changed"], 0, "a further session moves nothing")
        lab.verify()

    same()
    branch.sql("PRAGMA foreign_keys = OFF; BEGIN;" + all_of("INSERT INTO t%(i)02d VALUES (10, 10, 'child first');", reversed(range(LONG))) +
               "INSERT INTO self VALUES (40, 41), (41, 42), (42, 40); COMMIT;")
    hub.sql("BEGIN; UPDATE t00 SET up = NULL WHERE id = 2;" + all_of("DELETE FROM t%(i)02d WHERE id = 2;", reversed(range(LONG))) +
            "UPDATE self SET boss = NULL WHERE boss = 15; DELETE FROM self WHERE id = 15; COMMIT;")
    same()
    branch.sql("PRAGMA foreign_keys = OFF; BEGIN;" + all_of("DELETE FROM t%(i)02d WHERE id = 3;", range(LONG)) +
               "DELETE FROM self WHERE id IN (40, 41, 42); COMMIT;")
    hub.sql("UPDATE t49 SET v = 'hub' WHERE id = 10")
    same()
    require_equal(hub.value("SELECT count(*) FROM t49 WHERE id = 3"), "0", "what was deleted parent first")
    # One deletes all of a ring, the other hangs a child into the middle of it, later: all of its parents come back, or none goes.
    branch.sql("PRAGMA foreign_keys = OFF; BEGIN;" + all_of("DELETE FROM t%(i)02d WHERE id = 4;", range(LONG)) + "COMMIT;")
    hub.sql("INSERT INTO t25 VALUES (77, 4, 'later')")
    same()
    require_equal(hub.rows("SELECT up FROM t25 WHERE id = 77"), [("4",)], "the child that came later")
    # And the other way round.
    hub.sql("INSERT INTO t30 VALUES (78, 5, 'before')")
    branch.sql("PRAGMA foreign_keys = OFF; BEGIN;" + all_of("DELETE FROM t%(i)02d WHERE id = 5;", range(LONG)) + "COMMIT;")
    same()


if __name__ == "__main__":
    sys.exit(run(__doc__))
