"""fire_triggers: the application's triggers fire on rows that sessions write where a table says so, exactly once, and what
they do is captured as a change of the node; everywhere else they keep still."""
from postgresql_support import PgNode, require_equal, run, without_and_with_the_grant
from support import test

TABLES = ("CREATE TABLE item(id INTEGER PRIMARY KEY, v TEXT, n INTEGER); CREATE TABLE plain(id INTEGER PRIMARY KEY, v TEXT);"
          "CREATE TABLE audit(what TEXT PRIMARY KEY, times INTEGER);")
SQLITE = "".join(
    "CREATE TRIGGER on_%s_%s AFTER %s ON %s BEGIN INSERT INTO audit VALUES ('%s %s ' || %s.id, 1) "
    "ON CONFLICT (what) DO UPDATE SET times = times + 1; END;" % (table, event, event, table, table, event, row)
    for table in ("item", "plain") for event, row in (("insert", "new"), ("update", "new"), ("delete", "old")))
POSTGRESQL = ("CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.audit VALUES (TG_TABLE_NAME "
              "|| ' ' || lower(TG_OP) || ' ' || CASE TG_OP WHEN 'DELETE' THEN OLD.id ELSE NEW.id END, 1) ON CONFLICT (what) DO "
              "UPDATE SET times = public.audit.times + 1; RETURN NULL; END $$;" + "".join(
                  "CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION note();" % table
                  for table in ("item", "plain")))
FIRE = {"item": {"fire_triggers": True}}


def rows(each, sql):
    return [tuple(None if v is None else str(v) for v in row) for row in each.rows(sql)]


def audit(each):
    return dict(rows(each, "SELECT what, times FROM audit"))


def carry_out(lab, source, target, silent):
    """Changes without triggers on the source; what fired on the target, and that all of it comes back as its own."""
    source.sql("INSERT INTO item VALUES (1, 'one', 1), (2, 'two', 2), (3, 'three', 3); INSERT INTO plain VALUES (1, 'p');")
    lab.sync()
    expected = {"item insert %d" % i: "1" for i in (1, 2, 3)}
    require_equal({k: v for k, v in audit(target).items() if k.startswith("item")}, expected, "inserts")
    source.sql("UPDATE item SET v = 'ONE' WHERE id = 1; DELETE FROM item WHERE id = 2; UPDATE plain SET v = 'P'")
    lab.sync()
    expected.update({"item update 1": "1", "item delete 2": "1"})
    seen = audit(target)
    require_equal({k: v for k, v in seen.items() if k.startswith("item")}, expected, "an update and a delete")
    if silent:
        require_equal([k for k in seen if k.startswith("plain")], [], "triggers of a table that says nothing")
    lab.sync()
    require_equal(audit(source), audit(target), "what the triggers did, on the other node")
    require_equal(rows(source, "SELECT * FROM item ORDER BY 1"), rows(target, "SELECT * FROM item ORDER BY 1"), "rows")
    require_equal(lab.conflicts(), [], "conflicts")
    require_equal(lab.sync().last["changed"], 0, "rows moved by a further session")
    lab.verify()


@test
def test_on_sqlite(lab):
    for wal in (False, True):
        lab.reset()
        a, b = lab.node("a", TABLES, wal), lab.node("b", TABLES + SQLITE, wal)
        lab.job("ab", [a, b], table_settings=FIRE)
        lab.activate()
        lab.sync()
        carry_out(lab, a, b, silent=True)


@test
def test_on_sqlite_from_postgresql(lab):
    a, b = PgNode(lab, "a", TABLES), lab.node("b", TABLES + SQLITE)
    lab.job("ab", [a, b], table_settings=FIRE)
    lab.activate()
    lab.sync()
    carry_out(lab, a, b, silent=True)


@test
def test_on_postgresql_with_and_without_the_grant(lab):
    for server, granted in without_and_with_the_grant():
        a, b = PgNode(lab, "a", TABLES, server=server), PgNode(lab, "b", TABLES + POSTGRESQL, server=server)
        lab.job("ab", [a, b], table_settings=FIRE)
        lab.activate()
        lab.sync()
        carry_out(lab, a, b, silent=granted)


@test
def test_what_a_trigger_changes_in_the_row_itself_is_a_change_of_its_node(lab):
    """The stored row is another than the one that came: it goes back as a newer version, and all are alike again."""
    sqlite = "CREATE TRIGGER upper_case AFTER INSERT ON item WHEN new.v <> upper(new.v) BEGIN UPDATE item SET v = upper(v) WHERE id = new.id; END;"
    postgresql = ("CREATE FUNCTION upper_case() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.v := upper(NEW.v); RETURN NEW; END $$;"
                  "CREATE TRIGGER upper_case BEFORE INSERT OR UPDATE ON item FOR EACH ROW EXECUTE FUNCTION upper_case();")
    for kind in ("sqlite", "postgresql"):
        lab.reset()
        a = lab.node("a", TABLES)
        b = lab.node("b", TABLES + sqlite) if kind == "sqlite" else PgNode(lab, "b", TABLES + postgresql)
        lab.job("ab", [a, b], table_settings=FIRE)
        lab.activate()
        lab.sync()
        a.sql("INSERT INTO item VALUES (1, 'one', 1), (2, 'TWO', 2)")
        lab.sync()
        lab.sync()
        require_equal(rows(a, "SELECT id, v FROM item ORDER BY 1"), [("1", "ONE"), ("2", "TWO")], kind)
        require_equal(rows(b, "SELECT id, v FROM item ORDER BY 1"), [("1", "ONE"), ("2", "TWO")], kind)
        lab.verify()
        require_equal(lab.sync().last["changed"], 0, kind + ": rows moved by a further session")
        require_equal(lab.conflicts(), [], kind)


@test
def test_without_the_setting_no_trigger_fires(lab):
    a, b = lab.node("a", TABLES), lab.node("b", TABLES + SQLITE)
    lab.job("ab", [a, b])
    lab.activate()
    a.sql("INSERT INTO item VALUES (1, 'one', 1)")
    lab.sync()
    a.sql("UPDATE item SET n = 2")
    lab.sync()
    require_equal(audit(b), {}, "triggers that fired")


if __name__ == "__main__":
    raise SystemExit(run(__doc__))
