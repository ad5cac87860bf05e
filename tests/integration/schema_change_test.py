"""Schemas that change while jobs run, on files, on a private PostgreSQL server and between the two: what changed is found
before anything is written, other tables go on, nothing that was captured is lost, and where both nodes were changed alike
sessions go on by themselves."""
from postgresql_support import PgNode, require, require_equal, run
from support import test

SCHEMA = "CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, n INTEGER); CREATE TABLE other(id INTEGER PRIMARY KEY, v TEXT);"
ROWS = "INSERT INTO item VALUES (1, 'one', 1), (2, 'two', 2), (3, 'three', 3); INSERT INTO other VALUES (1, 'o');"
MIXES = ("sqlite sqlite", "postgresql postgresql", "postgresql sqlite", "sqlite postgresql")


def node(lab, kind, name, schema=SCHEMA, **options):
    return PgNode(lab, name, schema, **options) if kind == "postgresql" else lab.node(name, schema)


def rows(each, sql):
    """Rows of either product, all as texts."""
    return [tuple(None if v is None else str(v) for v in row) for row in each.rows(sql)]


def started(lab, mix, schema=SCHEMA, fill=ROWS, **job):
    if lab.nodes:
        lab.reset()
    a, b = (node(lab, kind, name, schema) for kind, name in zip(mix.split(), "ab"))
    a.sql(fill)
    lab.job("ab", [a, b], **job)
    lab.activate()
    lab.sync()
    return a, b


def require_alike(a, b, sql="SELECT * FROM item ORDER BY 1"):
    require_equal(rows(b, sql), rows(a, sql), sql)


def session(result):
    return [d for d in result.documents if d["type"] == "session"][0]


@test
def test_a_column_added_on_both_nodes_flows_without_a_stop(lab):
    for mix in MIXES:
        a, b = started(lab, mix)
        a.sql("UPDATE item SET name = 'before a' WHERE id = 1")
        b.sql("UPDATE item SET name = 'before b' WHERE id = 2; DELETE FROM item WHERE id = 3")
        a.sql("ALTER TABLE item ADD COLUMN c TEXT DEFAULT 'x'; UPDATE item SET c = 'from a' WHERE id = 1;"
              "INSERT INTO item VALUES (10, 'ten', 10, 'new at a');")
        # One node only: the table is left out by name, the other goes on.
        a.sql("UPDATE other SET v = 'goes on'")
        left_out = lab.sync(code=8)
        left_out.require_told("item", "column c", "missing there", "node a was changed", "column c is new")
        require_equal(rows(b, "SELECT v FROM other"), [("goes on",)], mix + ": the other table")
        require_equal(rows(b, "SELECT name FROM item WHERE id = 1"), [("one",)], mix + ": a table that was left out")
        b.sql("ALTER TABLE item ADD COLUMN c TEXT DEFAULT 'x'; UPDATE item SET c = 'from b' WHERE id = 2;")
        done = session(lab.sync())
        require_equal(len(done["reshaped"]), 2, "%s: %r" % (mix, done))
        require_alike(a, b)
        require_equal(rows(a, "SELECT id, name, c FROM item ORDER BY id"),
                      [("1", "before a", "from a"), ("2", "before b", "from b"), ("10", "ten", "new at a")], mix)
        require_equal(lab.conflicts(), [], mix + ": conflicts")
        require_equal(done["settled"], {}, mix + ": rows that differed")
        lab.verify()
        require_equal(session(lab.sync())["reshaped"], [], mix + ": a second session")


@test
def test_rows_that_alter_table_filled_otherwise_are_made_alike(lab):
    """No trigger sees what ALTER TABLE fills in: a value wins over none, else the first node, and the loser is kept."""
    for mix in MIXES:
        a, b = started(lab, mix)
        a.sql("ALTER TABLE item ADD COLUMN c TEXT; ALTER TABLE item ADD COLUMN d TEXT DEFAULT 'a'")
        b.sql("ALTER TABLE item ADD COLUMN c TEXT DEFAULT 'only b'; ALTER TABLE item ADD COLUMN d TEXT DEFAULT 'a'")
        a.sql("UPDATE item SET n = 20 WHERE id = 2")
        done = session(lab.sync())
        require_alike(a, b)
        require_equal(rows(a, "SELECT id, n, c FROM item WHERE id IN (1, 3) ORDER BY 1"),
                      [("1", "1", "only b"), ("3", "3", "only b")], mix)
        require(done["settled"].get("item", 0) >= 2, "%s: %r" % (mix, done))
        lab.verify()
        a.sql("ALTER TABLE item ADD COLUMN e TEXT DEFAULT 'a'")
        b.sql("ALTER TABLE item ADD COLUMN e TEXT DEFAULT 'b'")
        lab.sync()
        require_alike(a, b)
        require_equal(rows(b, "SELECT e FROM item GROUP BY e"), [("a",)], mix + ": the first node's value")
        kept = lab.conflicts()
        require_equal(len([c for c in kept if c["loser"]["row"]["e"]["value"] == "b"]), 3, mix + ": rows in the log")
        lab.verify()
        require_equal(session(lab.sync())["settled"], {}, mix + ": a second session")


@test
def test_activate_takes_changes_over_and_the_next_session_makes_rows_alike(lab):
    for mix in MIXES:
        a, b = started(lab, mix)
        for each, value in ((a, 7), (b, 8)):
            each.sql("ALTER TABLE item ADD COLUMN k INTEGER DEFAULT %d" % value)
        b.sql("UPDATE item SET k = 5 WHERE id = 2")
        lab.activate()
        lab.sync()
        require_alike(a, b)
        require_equal(rows(a, "SELECT id, k FROM item ORDER BY id"), [("1", "7"), ("2", "5"), ("3", "7")], mix)
        lab.verify()


@test
def test_dropped_renamed_and_retyped_columns(lab):
    for mix in MIXES:
        a, b = started(lab, mix)
        changes = [("ALTER TABLE item DROP COLUMN n", "column n"),
                   ("ALTER TABLE item RENAME COLUMN name TO title", "column name")]
        for number, (change, told) in enumerate(changes):
            a.sql(change)
            a.sql("INSERT INTO item(id) VALUES (%d)" % (100 + number))
            b.sql("DELETE FROM item WHERE id = %d" % (1 + number))
            lab.sync(code=8).require_told("item", told, "node a was changed")
            b.sql(change)
            lab.sync()
            require_alike(a, b)
            lab.verify()
        require_equal(rows(a, "SELECT id FROM item ORDER BY 1"), [("3",), ("100",), ("101",)], mix)
    a, b = started(lab, "postgresql postgresql")
    a.sql("ALTER TABLE item ALTER name TYPE integer USING length(name)")
    lab.sync(code=8).require_told("column name", "integer here", "text there", "text then, integer now")
    b.sql("ALTER TABLE item ALTER name TYPE integer USING length(name) + 1")
    b.sql("UPDATE item SET name = 50 WHERE id = 2")
    lab.sync()
    require_alike(a, b)
    require_equal(rows(a, "SELECT id, name FROM item ORDER BY 1"), [("1", "3"), ("2", "50"), ("3", "5")], "retyped")


@test
def test_another_key(lab):
    sqlite = ("CREATE TABLE fresh(id INTEGER, name TEXT PRIMARY KEY, n INTEGER); INSERT INTO fresh SELECT * FROM item;"
              "DROP TABLE item; ALTER TABLE fresh RENAME TO item;")
    postgresql = "ALTER TABLE item DROP CONSTRAINT item_pkey; ALTER TABLE item ADD PRIMARY KEY (name)"
    for mix in MIXES:
        a, b = started(lab, mix)
        changes = [sqlite if kind == "sqlite" else postgresql for kind in mix.split()]
        a.sql("UPDATE item SET n = 11 WHERE id = 1")
        b.sql("INSERT INTO item VALUES (4, 'four', 4)")
        a.sql(changes[0])
        b.sql("UPDATE item SET n = 22 WHERE id = 2")
        a.sql("INSERT INTO item VALUES (5, 'five', 5)")
        lab.sync(code=8).require_told("item", "key")
        b.sql(changes[1])
        lab.sync()
        lab.sync()
        require_alike(a, b)
        require_equal(rows(a, "SELECT name FROM item ORDER BY 1"),
                      [("five",), ("four",), ("one",), ("three",), ("two",)], mix)
        lab.verify()
        a.sql("UPDATE item SET n = 6 WHERE name = 'five'; DELETE FROM item WHERE name = 'one'")
        lab.sync()
        require_alike(a, b)
        require_equal(len(rows(a, "SELECT 1 FROM item")), 4, mix)


@test
def test_a_column_before_the_key_is_dropped(lab):
    """PostgreSQL's capture finds the key by its position: the session notices that it moved, and nothing is lost."""
    schema = "CREATE TABLE item(first INTEGER, id INTEGER PRIMARY KEY, n INTEGER)"
    for mix in MIXES:
        a, b = started(lab, mix, schema, "INSERT INTO item VALUES (1, 10, 100), (2, 20, 200), (3, 30, 300)")
        for each in (a, b):
            each.sql("ALTER TABLE item DROP COLUMN first")
        a.sql("UPDATE item SET n = 111 WHERE id = 10")
        lab.sync()
        lab.sync()
        require_alike(a, b)
        # Where the key was not captured rightly nobody knows when the row changed: one side wins, the other is in the log.
        seen = rows(b, "SELECT * FROM item ORDER BY 1")
        require_equal(seen[1:], [("20", "200"), ("30", "300")], mix)
        kept = [c["loser"]["row"]["n"]["value"] for c in lab.conflicts()]
        require(seen[0] == ("10", "111") or (seen[0] == ("10", "100") and kept == ["111"]), "%s: %r %r" % (mix, seen, kept))
        b.sql("DELETE FROM item WHERE id = 20; UPDATE item SET n = 333 WHERE id = 30")
        lab.sync()
        require_equal(rows(a, "SELECT * FROM item ORDER BY 1"), [seen[0], ("30", "333")], mix)
        lab.verify()


@test
def test_a_new_table_under_a_glob_is_taken_in(lab):
    for mix in MIXES:
        a, b = started(lab, mix)
        a.sql("CREATE TABLE late(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO late VALUES (1, 'a')")
        lab.sync().require_told("late", "node a")
        b.sql("CREATE TABLE late(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO late VALUES (2, 'b')")
        done = session(lab.sync())
        require_equal(sorted(done["taken_in"]), ["a: late", "b: late"], mix)
        require_alike(a, b, "SELECT * FROM late ORDER BY 1")
        require_equal(len(rows(a, "SELECT * FROM late")), 2, mix)
        b.sql("DELETE FROM late WHERE id = 1")
        lab.sync()
        require_equal(rows(a, "SELECT * FROM late"), [("2", "b")], mix + ": a change after that")
        lab.verify()


@test
def test_where_a_session_may_not_define_it_says_what_to_run(lab):
    a = PgNode(lab, "a", SCHEMA, role="tm_session", owner="tm_owner")
    b = lab.node("b", SCHEMA)
    lab.job("ab", [a, b])
    lab.activate()
    lab.sync()
    for each in (a, b):
        each.sql("CREATE TABLE late(id INTEGER PRIMARY KEY, v TEXT)")
    b.sql("INSERT INTO late VALUES (1, 'x'); INSERT INTO item VALUES (5, 'five', 5)")
    lab.sync().require_told("late", "tidemark activate a")
    require_equal(rows(a, "SELECT id FROM item"), [("5",)], "the table that goes on")
    # A column on both needs nobody's help.
    for each in (a, b):
        each.sql("ALTER TABLE item ADD COLUMN c TEXT")
    b.sql("UPDATE item SET c = 'c'")
    lab.sync()
    require_equal(rows(a, "SELECT c FROM item"), [("c",)], "a column that was added on both")
    # A trigger that somebody dropped does.
    a.sql("DO $$ DECLARE t text; BEGIN FOR t IN SELECT tgname FROM pg_trigger WHERE tgrelid = 'item'::regclass AND tgname LIKE "
          "'tidemark%' LOOP EXECUTE format('DROP TRIGGER %I ON item', t); END LOOP; END $$; UPDATE item SET name = 'unseen'")
    b.sql("UPDATE other SET v = 'other'; INSERT INTO other VALUES (9, 'nine')")
    lab.sync(code=8).require_told("item", "triggers", "tidemark activate a")
    require_equal(rows(a, "SELECT id FROM other"), [("9",)], "the table that goes on")
    require_equal(rows(b, "SELECT name FROM item"), [("five",)], "the table that was left out")
    lab.activate()
    lab.sync()
    require_alike(a, b)
    require_equal(rows(b, "SELECT name FROM item"), [("unseen",)], "what happened without triggers")
    # So do a function that the triggers ask, and where the time comes from.
    log = a.value("SELECT max(id) FROM tidemark.captured_table WHERE name = 'item'")
    for i, harm in enumerate((
            "CREATE OR REPLACE FUNCTION tidemark.capture_%s_by_session() RETURNS boolean STABLE LANGUAGE plpgsql AS 'BEGIN RETURN true; END'",
            "ALTER TABLE tidemark.log_%s ALTER touched_at SET DEFAULT '2001-01-01'", "ALTER TABLE tidemark.log_%s ALTER touched_at DROP DEFAULT")):
        a.sql(harm % log)
        lab.sync(code=8).require_told("item", "triggers", "tidemark activate a")
        lab.activate()
        a.sql("UPDATE item SET name = 'seen %d'" % i)
        lab.sync()
        require_equal(rows(b, "SELECT name FROM item"), [("seen %d" % i,)], "what happened after it was mended: " + harm)
    lab.verify()


@test
def test_a_dropped_table_deletes_nothing(lab):
    for mix in MIXES:
        a, b = started(lab, mix)
        b.sql("DROP TABLE item")
        a.sql("UPDATE other SET v = 'goes on'")
        lab.sync(code=8).require_told("item", "node b", "gone")
        require_equal(len(rows(a, "SELECT * FROM item")), 3, mix)
        require_equal(rows(b, "SELECT v FROM other"), [("goes on",)], mix)
        lab.activate("--create-tables")
        lab.sync()
        require_alike(a, b)
        require_equal(len(rows(b, "SELECT * FROM item")), 3, mix + ": rows came back")
        for each in (a, b):
            each.sql("DROP TABLE item")
        lab.sync(code=8)
        require_equal([n["released"] for n in lab.activate().last["nodes"]], [["item"], ["item"]], mix)
        lab.sync()
        lab.verify()


@test
def test_a_key_that_is_gone_leaves_the_table_out(lab):
    for mix in ("postgresql postgresql", "postgresql sqlite"):
        a, b = started(lab, mix)
        a.sql("ALTER TABLE item DROP CONSTRAINT item_pkey")
        b.sql("UPDATE other SET v = 'goes on'; UPDATE item SET n = 0")
        lab.sync(code=8).require_told("item", "node a", "cannot take part any more")
        require_equal(rows(a, "SELECT v FROM other"), [("goes on",)], mix)
        a.sql("ALTER TABLE item ADD PRIMARY KEY (id)")
        lab.sync()
        require_alike(a, b)


if __name__ == "__main__":
    raise SystemExit(run(__doc__))
