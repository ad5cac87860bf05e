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


if __name__ == "__main__":
    sys.exit(run(__doc__))
