"""Every built-in type of PostgreSQL 15 and every storage class of SQLite, both directions: a value comes back bit for
bit, or its table is refused by name, or its row waits with the reason."""
from postgresql_support import PgNode, require, require_equal, run
from support import test

# type: values as PostgreSQL literals
TYPES = {
    "smallint": ["0", "-32768", "32767"],
    "integer": ["0", "-2147483648", "2147483647"],
    "bigint": ["0", "-9223372036854775808", "9223372036854775807"],
    "oid": ["0", "4294967295"],
    "boolean": ["true", "false"],
    "real": ["0.1", "1e-37", "3.4028235e38", "'infinity'", "16777217"],
    "double precision": ["0.1", "0.30000000000000004", "5e-324", "1.7976931348623157e308", "'-infinity'", "1", "9007199254740993"],
    "numeric(15,2)": ["0", "0.10", "-1234567890123.45", "9999999999999.99", "'NaN'", "7"],
    "numeric(6,0)": ["0", "-999999"],
    "numeric(40,20)": ["0", "12345678901234567890.12345678901234567890", "'NaN'"],
    "numeric": ["0", "1.50", "1e100", "0.000000000000000000000000000000001", "'NaN'", "'Infinity'", "'-Infinity'"],
    "money": ["'-$1,234.56'", "'0'"],
    "text": ["''", "'ä€😀'", "E'tab\\tnew\\nline\\\\back'", "'\\N'", "'1'", "' 1 '"],
    "varchar(10)": ["''", "'äöü'", "'0123456789'"],
    "character varying": ["'any'"],
    "char(5)": ["''", "'ab'", "'abcde'"],
    "\"char\"": ["'x'"],
    "name": ["'pg_class'"],
    "bytea": ["''", "'\\x00ff'", "'\\x5c6e'"],
    "date": ["'2024-02-29'", "'0044-03-15 BC'", "'infinity'", "'-infinity'", "'99999-12-31'"],
    "time": ["'00:00:00'", "'24:00:00'", "'23:59:59.999999'"],
    "time with time zone": ["'12:00:00+05:30'", "'00:00:00-12'"],
    "timestamp": ["'2024-02-29 12:34:56.123456'", "'0001-01-01 00:00:00 BC'", "'infinity'"],
    "timestamp(0)": ["'2024-02-29 12:34:56'"],
    "timestamp with time zone": ["'2024-06-30 12:00:00.000001+02'", "'-infinity'", "'2000-01-01 00:00:00 BC'"],
    "interval": ["'1 year 2 mons -3 days 04:05:06.789'", "'0'", "'-1 mon +1 day'"],
    "uuid": ["'00000000-0000-0000-0000-000000000000'", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"],
    "json": ["'{\"a\": [1,  2.50, null], \"a\": 1}'", "'5'", "'\"\\u00e4\"'"],
    "jsonb": ["'{\"b\": 1.50, \"a\": [true]}'", "'1e2'", "'null'"],
    "jsonpath": ["'$.a[*] ? (@ > 1)'"],
    "integer[]": ["'{}'", "'{1,NULL,3}'", "'{{1,2},{3,4}}'", "'[5:6]={1,2}'"],
    "text[]": ["'{\"a,b\",\"c\\\"d\",NULL,\"NULL\",\"\"}'"],
    "double precision[]": ["'{0.1,NaN,Infinity}'"],
    "int4range": ["'empty'", "'[1,5)'", "'(,)'"],
    "numrange": ["'(1.50,2.0]'"],
    "tstzrange": ["'[2024-01-01 00:00:00+00,)'"],
    "daterange": ["'[2024-01-01,2024-02-01)'"],
    "int4multirange": ["'{[1,3),[5,6)}'"],
    "inet": ["'192.168.0.1/24'", "'::1'"],
    "cidr": ["'10.0.0.0/8'"],
    "macaddr": ["'08:00:2b:01:02:03'"],
    "macaddr8": ["'08:00:2b:01:02:03:04:05'"],
    "bit(5)": ["B'10101'"],
    "bit varying": ["B''", "B'101'"],
    "point": ["'(0.1,-2)'"],
    "line": ["'{1,2,3}'"],
    "lseg": ["'[(0,0),(1,1)]'"],
    "box": ["'(1,1),(0,0)'"],
    "path": ["'((0,0),(1,1))'"],
    "polygon": ["'((0,0),(1,1),(1,0))'"],
    "circle": ["'<(0,0),1.5>'"],
    "xml": ["'<a b=\"1\">text</a>'"],
    "tsvector": ["'''a'':1 ''cat'':3A'"],
    "tsquery": ["'''fat'' & ''rat'''"],
    "pg_lsn": ["'16/B374D848'"],
    "mood": ["'sad'", "'very happy'"],
    "positive": ["1", "2147483647"],
    "address": ["'(\"Main St\",5)'", "'(,)'"],
}
# What SQLite turns into something else when it stores it: it goes from server to server, and waits for a file.
SERVERS_ONLY = {"real": ["'-0'", "'NaN'"], "double precision": ["'-0'", "'NaN'"]}
DEFINED = """CREATE TYPE mood AS ENUM ('sad', 'very happy'); CREATE DOMAIN positive AS integer CHECK (value > 0);
CREATE TYPE address AS (street text, number integer);"""


def table(position):
    return "t%d" % position


def schema():
    text = DEFINED
    for position, type_ in enumerate(TYPES):
        text += "CREATE TABLE %s(id integer PRIMARY KEY, v %s, touched integer);" % (table(position), type_)
    return text


def fill(node):
    for position, (type_, values) in enumerate(TYPES.items()):
        rows = ", ".join("(%d, CAST(%s AS %s), 0)" % (i, value, type_) for i, value in enumerate([*values, "NULL"]))
        node.sql("INSERT INTO %s VALUES %s;" % (table(position), rows))


def fill_with_what_sqlite_turns(node):
    for type_, values in SERVERS_ONLY.items():
        node.sql("INSERT INTO %s VALUES %s;" % (table(list(TYPES).index(type_)), ", ".join(
            "(%d, %s, 0)" % (100 + i, value) for i, value in enumerate(values))))


def image(node):
    return {type_: node.rows("SELECT id, v::text, touched FROM %s ORDER BY id" % table(position))
            for position, type_ in enumerate(TYPES)}


@test
def test_p12_every_type_between_two_postgresql_nodes(lab):
    a, b = PgNode(lab, "a", schema()), PgNode(lab, "b", schema())
    lab.job("ab", [a, b])
    lab.activate()
    fill(a)
    fill_with_what_sqlite_turns(a)
    lab.sync()
    require_equal(image(b), image(a), "rows")
    require_equal([value for id_, value, _ in image(b)["real"] if int(id_) >= 100], ["-0", "NaN"], "what arrived")
    b.sql("".join("UPDATE %s SET touched = 1;" % table(i) for i in range(len(TYPES))))
    lab.sync()
    require_equal(image(b), image(a), "rows after the way back")
    lab.verify()
    lab.note("%d types" % len(TYPES))


@test
def test_p12_every_type_through_sqlite_and_back(lab):
    """PostgreSQL to SQLite, changed there, and back: the column that nobody changed is bit for bit what it was."""
    a = PgNode(lab, "a", schema())
    b = lab.node("b")
    b.path.unlink()
    lab.job("ab", [a, b])
    fill(a)
    before = image(a)
    lab.activate("--create-tables")
    lab.sync()
    lab.verify()
    b.sql("".join("UPDATE %s SET touched = 1;" % table(i) for i in range(len(TYPES))))
    lab.sync()
    after = image(a)
    for type_, rows in before.items():
        require_equal(after[type_], [(id_, value, "1") for id_, value, _ in rows], type_)
    lab.verify()
    fill_with_what_sqlite_turns(a)
    waiting = [row["reason"] for pull in lab.sync(code=3).documents[0]["pulls"] for row in pull["quarantine"]]
    require_equal(sorted(waiting), 2 * ["column v: -0 loses its sign in SQLite"] +
                  2 * ["column v: nan (not a number) would become NULL in SQLite"], "why these wait")


# Declared type in SQLite, type in PostgreSQL, values that pass, values that wait.
LOOSE = [
    ("INTEGER", "bigint", ["0", "-9223372036854775808"], ["'x'", "1.5", "x'00'"]),
    ("INT", "integer", ["2147483647"], ["2147483648"]),
    ("BOOLEAN", "boolean", ["0", "1"], ["2", "'yes'"]),
    ("REAL", "double precision", ["0.1", "1", "9e999", "1e-320"], ["'x'"]),
    ("FLOAT", "real", ["0.5", "0.1"], ["0.123456789", "1e300"]),
    ("NUMERIC", "double precision", ["1", "0.25", "9007199254740992"], ["'x'", "9223372036854775807"]),
    ("DECIMAL(10,2)", "numeric(10,2)", ["1", "0.99", "12345678.9", "-5.25"], ["0.999", "123456789", "'x'", "1e300"]),
    ("TEXT", "text", ["''", "'ä'", "'1'"], ["x'41'", "'nul' || char(0)", "CAST(x'ff' AS TEXT)"]),
    ("VARCHAR(5)", "varchar(5)", ["'12345'"], ["'123456'", "'12   '|| ' '"]),
    ("TEXT", "char(4)", ["'ab'", "'abcd'"], ["'ab '", "'abcde'"]),
    ("BLOB", "bytea", ["x''", "x'00ff'"], ["'text'", "5"]),
    ("", "text", ["'a'"], ["5", "x'00'"]),
    ("DATE", "date", ["'2024-02-29'", "'infinity'"], ["'2024-2-9'", "'2024-02-30'", "20240229"]),
    ("DATETIME", "timestamp", ["'2024-02-29 10:00:00'", "'2024-02-29 10:00:00.5'"], ["'2024-02-29T10:00:00'", "'2024-02-29'", "2460000.5"]),
    ("TEXT", "timestamptz", ["'2024-02-29 10:00:00+00'"], ["'2024-02-29 10:00:00+01'"]),
    ("UUID", "uuid", ["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"], ["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "'x'"]),
    ("TEXT", "jsonb", ["'{\"a\": 1}'"], ["'{\"a\":1}'", "'{'"]),
    ("TEXT", "json", ["'{\"a\":1}'"], ["'{'"]),
    ("TEXT", "numeric", ["'1.50'", "'NaN'"], ["'1,5'", "' 1'"]),
]


# What a role or a database may be set up with, and what it would do to values, statements or connections.
HURTFUL = [
    ("DateStyle = 'German, DMY'", "IntervalStyle = 'sql_standard'", "TimeZone = 'Asia/Kathmandu'", "bytea_output = 'escape'", "extra_float_digits = 0",
     "standard_conforming_strings = off", "client_encoding = 'LATIN1'", "lc_monetary = 'C'", "array_nulls = off", "quote_all_identifiers = on",
     "xmloption = 'document'", "transform_null_equals = on", "backslash_quote = off", "search_path = evil, public", "client_min_messages = 'debug5'"),
    ("statement_timeout = '300ms'", "idle_in_transaction_session_timeout = '1ms'", "idle_session_timeout = '300ms'", "lock_timeout = '1ms'",
     "default_transaction_isolation = 'serializable'", "default_transaction_deferrable = on", "row_security = on", "check_function_bodies = off"),
    ("enable_seqscan = off", "enable_hashjoin = off", "enable_mergejoin = off", "enable_nestloop = off", "enable_sort = off", "jit = on", "jit_above_cost = 0",
     "work_mem = '64kB'", "temp_buffers = '800kB'", "force_parallel_mode = on", "plan_cache_mode = 'force_generic_plan'", "search_path = ''"),
]
SETTING_ROWS = """INSERT INTO v SELECT i, '2024-02-03', '2024-02-03 04:05:06.789', '2024-02-03 04:05:06.789+02', '-1 year 2 days 03:04:05.6', '\\x00ff5c27',
  0.1::float8 + 0.2, 1.1::real / 3, '12.34', '<a/>text', ARRAY[NULL, 'NULL', 'a\\b', '"q"', 'ü'], 'b c', ARRAY['a'::"Mood", NULL],
  E'back\\\\slash ''q'' ü€', '{"a": [1, null]}', '[2024-01-01 00:00+00,)', 1.50, '[2024-01-01,2024-02-01)' FROM generate_series(%d, %d) i;
  INSERT INTO parent VALUES (%d); INSERT INTO child VALUES (%d, %d); UPDATE v SET f = f + 1, a = a || ARRAY[NULL] WHERE id = %d; DELETE FROM parent WHERE id = %d;"""
# What an application that wants its values as they are sets for itself.
PLAIN = """SET array_nulls = on; SET standard_conforming_strings = on; SET client_encoding = UTF8; SET search_path = public; SET DateStyle = 'ISO';
  SET extra_float_digits = 1; SET statement_timeout = 0; SET lock_timeout = 0; SET xmloption = 'content'; SET row_security = on;"""


@test
def test_p12_settings_of_roles_and_databases_change_nothing(lab):
    schema = """CREATE TYPE "Mood" AS ENUM ('a', 'b c');
      CREATE TABLE v(id integer PRIMARY KEY, d date, ts timestamp, tz timestamptz, iv interval, b bytea, f double precision, r real, m money, x xml,
        a text[], mood "Mood", moods "Mood"[], t text, j jsonb, span tstzrange, n numeric, days daterange);
      CREATE TABLE parent(id integer PRIMARY KEY); CREATE TABLE child(id integer PRIMARY KEY, parent integer REFERENCES parent ON DELETE CASCADE);"""
    a, b = PgNode(lab, "a", schema), PgNode(lab, "b", schema)
    c = lab.node("c")
    c.path.unlink()
    lab.job("ab", [a, b], max_deletes="100%")
    lab.job("ac", [a, c], max_deletes="100%")
    lab.activate("--create-tables")
    lab.sync()
    number = 0
    for settings in HURTFUL:
        for setting in settings:
            # The application's own wishes are left alone where they are about its connection, which the test needs.
            for what in ("ROLE tm_owner IN DATABASE " + b.database, "DATABASE " + a.database):
                a.server.sql("postgres", "ALTER %s SET %s" % (what, setting), role="postgres")
        for node in (a, b):
            number += 10
            node.sql("SET idle_session_timeout = 0; SET idle_in_transaction_session_timeout = 0;" + PLAIN +
                     SETTING_ROWS % (number, number + 5, number, number, number, number - 20, number - 20), role="postgres")
        lab.run("check")
        lab.sync()
        require_equal(lab.sync().documents[-1]["changed"], 0, "a second session moves nothing")
        lab.verify()
        lab.run("status")
        for database in (a.database, b.database):
            a.server.sql("postgres", "ALTER DATABASE %s RESET ALL; ALTER ROLE tm_owner IN DATABASE %s RESET ALL" % (database, database), role="postgres")
        for name in ("v", "parent", "child"):
            require_equal(b.dump(name), a.dump(name), "rows of %s under %s" % (name, ", ".join(settings)))
    require_equal(a.value("SELECT count(*) FROM v WHERE cardinality(array_positions(a, NULL)) = 0 OR a[2] IS NULL OR moods[2] IS NOT NULL"), "0",
                  "arrays without their NULL")
    require_equal(c.value("SELECT count(*) FROM v"), int(a.value("SELECT count(*) FROM v")), "rows of the file")


@test
def test_generated_and_identity_columns_of_both_products(lab):
    server = PgNode(lab, "server", """
      CREATE TABLE g(a integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, b integer, c integer GENERATED ALWAYS AS (b * 2) STORED, d text,
        e text GENERATED ALWAYS AS (upper(d)) STORED);
      CREATE TABLE h(a bigint GENERATED BY DEFAULT AS IDENTITY (START 100 INCREMENT 10) PRIMARY KEY, b integer UNIQUE);
      CREATE TABLE k(a integer PRIMARY KEY, b integer, c integer GENERATED ALWAYS AS (b % 10) STORED UNIQUE);
      INSERT INTO g(b, d) VALUES (1, 'x');""")
    file = lab.node("file", """
      CREATE TABLE g(a INTEGER PRIMARY KEY, c INTEGER GENERATED ALWAYS AS (b * 2) VIRTUAL, b INTEGER, d TEXT, e TEXT GENERATED ALWAYS AS (upper(d)) STORED,
        more TEXT AS (d || '!'));
      CREATE TABLE h(a INTEGER PRIMARY KEY AUTOINCREMENT, b INTEGER UNIQUE);
      CREATE TABLE k(a INTEGER PRIMARY KEY, b INTEGER, c INTEGER GENERATED ALWAYS AS (b % 10) STORED UNIQUE);""")
    columns = {"g": "a, b, c, d, e", "h": "a, b", "k": "a, b, c"}

    def same(left, right, tables=columns):
        for name in tables:
            sql = "SELECT %s FROM %s ORDER BY 1" % (tables[name], name)
            require_equal([tuple(None if v is None else str(v) for v in row) for row in right.rows(sql)],
                          [tuple(None if v is None else str(v) for v in row) for row in left.rows(sql)], "table " + name)

    lab.job("sf", [server, file], max_deletes="100%")
    lab.activate()
    lab.sync()
    same(server, file)
    file.sql("INSERT INTO g(b, d) VALUES (5, 'file'); INSERT INTO h(a, b) VALUES (105, 1), (500, 2); INSERT INTO k(a, b) VALUES (1, 13)")
    server.sql("INSERT INTO h(b) VALUES (7); INSERT INTO k(a, b) VALUES (2, 23)")
    for _ in range(2):
        lab.sync()
    same(server, file)
    # The later of two rows whose computed values are equal.
    require_equal(server.dump("k", "a"), [("2", "23", "3")], "rows that a generated column keeps apart")
    require_equal([c["type"] for c in lab.conflicts()], ["unique_exists"], "conflicts")
    server.sql("INSERT INTO g(b, d) VALUES (9, 'next'); INSERT INTO h(b) VALUES (8); UPDATE g SET d = 'y' WHERE a = 1;")
    file.sql("UPDATE g SET b = 50 WHERE a = 2")
    require_equal(server.value("SELECT max(a) FROM g") + " " + server.value("SELECT max(a) FROM h"), "3 510", "the next numbers")
    lab.sync()
    same(server, file)
    require_equal(server.rows("SELECT a, c, e FROM g ORDER BY a"), [("1", "2", "Y"), ("2", "100", "FILE"), ("3", "18", "NEXT")], "what is computed")
    lab.verify()
    # Made by the other product: values come, the generated columns do not.
    plain = {"g": "a, b, d", "h": "a, b", "k": "a, b"}
    copy = lab.node("copy")
    copy.path.unlink()
    twin = PgNode(lab, "twin")
    lab.job("sc", [server, copy])
    lab.job("ft", [file, twin])
    lab.activate("--create-tables")
    lab.sync()
    twin.sql("INSERT INTO g(b) VALUES (77); INSERT INTO h(b) VALUES (78)")
    copy.sql("INSERT INTO g(b) VALUES (88)")
    require_equal(twin.rows("SELECT max(a) FROM g"), [("4",)], "the next number of a table that was made")
    for _ in range(3):
        lab.sync(code=(0, 3))
    for node in (file, copy, twin):
        same(server, node, plain)
    lab.verify()


@test
def test_every_storage_class_of_sqlite(lab):
    formed = loose = ""
    for i, (declared, type_, _, _) in enumerate(LOOSE):
        formed += "CREATE TABLE t%d(id bigint PRIMARY KEY, v %s);" % (i, type_)
        loose += "CREATE TABLE t%d(id INTEGER PRIMARY KEY, v %s);" % (i, declared)
    a, b = PgNode(lab, "a", formed), lab.node("b", loose)
    lab.job("ab", [a, b])
    lab.activate()
    expected = {}
    for i, (_, _, good, bad) in enumerate(LOOSE):
        for k, value in enumerate(good + bad):
            b.sql("INSERT INTO t%d VALUES (%d, %s);" % (i, k, value))
        b.sql("INSERT INTO t%d VALUES (100, NULL);" % i)
        expected["t%d" % i] = [str(k) for k in range(len(good), len(good + bad))]
    stored = b.image()
    result = lab.sync(code=3)
    waiting = {}
    for w in result.documents[0]["pulls"][1]["quarantine"]:
        require("column v" in w["reason"] or "value" in w["reason"] or "invalid" in w["reason"] or "range" in w["reason"],
                "a reason that tells nothing: %r" % w)
        waiting.setdefault(w["table"], []).append(w["key"])
    for i, (declared, type_, _, _) in enumerate(LOOSE):
        name = "t%d" % i
        require_equal(sorted(waiting.get(name, []), key=int), expected[name], "rows that wait: %s, %s" % (declared, type_))
    # Back again: PostgreSQL touches every row that came, SQLite must hold the same bits as before.
    for i in range(len(LOOSE)):
        a.sql("UPDATE t%d SET v = v;" % i)
    lab.sync(code=3)
    now = b.image()
    for i, (declared, type_, _, _) in enumerate(LOOSE):
        require_equal(now["t%d" % i].rows, stored["t%d" % i].rows, "%s, %s after the way back" % (declared, type_))


@test
def test_columns_that_cannot_meet_are_refused_by_name(lab):
    pairs = [("INTEGER", "text"), ("TEXT", "integer"), ("REAL", "bigint"), ("TEXT", "bytea"), ("NUMERIC", "numeric"),
             ("DECIMAL(20,2)", "numeric(20,2)"), ("JSON", "jsonb"), ("INTEGER", "date"), ("BLOB", "integer[]"), ("REAL", "boolean")]
    formed = "".join("CREATE TABLE t%d(id bigint PRIMARY KEY, v %s);" % (i, p) for i, (_, p) in enumerate(pairs))
    loose = "".join("CREATE TABLE t%d(id INTEGER PRIMARY KEY, v %s);" % (i, s) for i, (s, _) in enumerate(pairs))
    a, b = PgNode(lab, "a", formed), lab.node("b", loose)
    lab.job("ab", [a, b])
    told = lab.run("check", code=(0, 8))
    for i, (declared, type_) in enumerate(pairs):
        if (declared, type_) == ("BLOB", "integer[]"):
            continue  # nothing is converted in it
        told.require_told("table t%d differs" % i)
    told.require_told("declare it TEXT in SQLite")


@test
def test_what_a_narrower_column_cannot_hold_waits_and_touches_no_other_row(lab):
    """Keys too: the server would cut them to one that is another row's."""
    for wide, narrow, fits, too_large in (("text", "varchar(5)", "abcde", ("abcdefg", "abcde  ", "\u00e4\u00f6\u00fc\u00df\u20ac\u20ac")),
                                          ("varchar(9)", "varchar(5)", "abcde", ("abcdefg", "abcde  ")),
                                          ("char(9)", "char(9)", "abcde    ", ()), ("text", "varchar(5)", "\u00e4\u00f6\u00fc\u00df\u20ac", ()),
                                          ("bigint", "integer", "2147483647", ("2147483648", "-2147483649")),
                                          ("integer", "smallint", "-32768", ("32768", "-32769")), ("bigint", "oid", "4294967295", ("4294967296", "-1"))):
        for many in (0, 1000):
            lab.reset()
            table = "CREATE TABLE item(id %s PRIMARY KEY, v %s, n integer);"
            a, b = PgNode(lab, "a", table % (wide, wide)), PgNode(lab, "b", table % (narrow, narrow))
            lab.job("ab", [a, b], max_deletes="100%")
            lab.activate()
            lab.sync()

            def sync(waiting, a=a, b=b):
                lab.sync(code=3 if waiting else 0)
                seen = lab.run("quarantine", code=(0, 3)).last["rows"]
                require_equal(len(seen), waiting, "rows that wait: %r" % seen)
                require_equal(b.dump("item"), [row for row in a.dump("item") if row[0] not in too_large and row[1] not in too_large], "rows of b")

            a.sql("INSERT INTO item SELECT i, i, 0 FROM generate_series(1, %d) i; INSERT INTO item VALUES ('%s', '%s', 1)" % (many, fits, fits) +
                  "".join(", ('%s', '%s', 2)" % (key, fits) for key in too_large))
            sync(len(too_large))
            a.sql("UPDATE item SET n = n + 1")
            sync(len(too_large))
            a.sql("DELETE FROM item WHERE n = 3")  # all that wait; no other row
            sync(0)
            for value in too_large:
                a.sql("INSERT INTO item VALUES ('7777', '%s', 1)" % value)
                sync(1)
                a.sql("DELETE FROM item WHERE id = '7777'")
                sync(0)
            lab.verify()


@test
def test_what_waits_for_its_type_is_passed_on_and_never_taken_for_deleted(lab):
    """By nodes behind that can hold it, and in a full compare by the node that it came from."""
    item = "CREATE TABLE item(id integer PRIMARY KEY, name %s, n integer);"
    smaller = set()
    while len(smaller) < 2:  # whichever node gives up its baseline
        lab.reset()
        a = PgNode(lab, "a", item % "text" + "INSERT INTO item VALUES (1, 'r', 1), (50, 'too long for b', 1)")
        b = PgNode(lab, "b", item % "varchar(5)")
        c = PgNode(lab, "c", item % "text" + "INSERT INTO item VALUES (2, 'c', 1)")
        lab.job("ab", [a, b])
        lab.activate()
        lab.sync(code=3)
        a.sql("INSERT INTO item VALUES (51, 'long, with a version', 1)")
        lab.sync(code=3)
        lab.job("bc", [b, c])
        lab.activate()
        smaller.add(c.value("SELECT baseline FROM tidemark.captured_table") < a.value("SELECT baseline FROM tidemark.captured_table"))
        for _ in range(3):
            lab.sync(code=3)
        everything = [("1", "r", "1"), ("2", "c", "1"), ("50", "too long for b", "1"), ("51", "long, with a version", "1")]
        require_equal(a.dump("item"), everything, "rows of a")
        require_equal(b.dump("item"), everything[:2], "rows of b")
        require_equal(c.dump("item"), everything, "rows of c")
        b.sql("ALTER TABLE item ALTER name TYPE text")
        lab.sync()
        lab.sync()
        require_equal(b.dump("item"), everything, "rows of b with a wider column")


if __name__ == "__main__":
    raise SystemExit(run(__doc__))
