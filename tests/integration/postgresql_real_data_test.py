"""Chinook and Northwind as two authors made them, one for SQLite and one for PostgreSQL, adopted against each other:
what is equal is not copied, what differs is told, and edits then flow both ways. Where the samples are not at hand the
test says so; test_chinook_like_rows_adopt_each_other does the same with rows of its own."""
import os
import pathlib
import re

from postgresql_support import PgNode, require, require_equal, run
from support import ROOT, test

DATA = pathlib.Path(os.environ.get("TIDEMARK_DATA", ROOT.parent / "shared" / "data"))


def samples(lab, name):
    files = DATA / (name + ".sqlite"), DATA / (name + "_pg.sql")
    if all(f.exists() for f in files):
        return files
    lab.note("the sample %s is not at hand: nothing was tested" % name)
    return None


def adopted(lab, summary):
    """Per table: (adopted, conflicts, rows that wait, rows copied) over both pulls of the first session."""
    seen = {}
    for pull in summary["pulls"]:
        for counts in pull["tables"]:
            entry = seen.setdefault(counts["table"], [0, 0, 0, 0])
            entry[0] += counts["adopted"]
            entry[1] += counts["conflicts"]
            entry[2] += counts["quarantined"]
            entry[3] += counts["inserted"]
    return seen


@test
def test_chinook_of_two_authors(lab):
    files = samples(lab, "chinook")
    if not files:
        return
    shop = lab.node("shop", copy_of=files[0])
    hub = PgNode(lab, "hub", files[1].read_text(encoding="utf-8"))
    lab.job("j", [shop, hub])
    lab.run("check")
    lab.activate()
    seen = adopted(lab, lab.sync().documents[0])
    for table in ("Genre", "MediaType", "PlaylistTrack", "InvoiceLine", "Employee"):
        require(seen[table][0] > 0 and seen[table][1:] == [0, 0, 0], "%s should be equal on both: %r" % (table, seen[table]))
    total = [sum(v[i] for v in seen.values()) for i in range(4)]
    require_equal(total[2:], [0, 0], "rows that wait and rows that were copied")
    require_equal(total[0] + total[1], 15607, "rows that were met")
    lab.note("%d rows adopted, %d differ" % (total[0], total[1]))
    # Every difference is in the log with both sides, and they do differ.
    conflicts = lab.conflicts()
    require_equal(len(conflicts), total[1], "conflicts")
    require_equal({c["type"] for c in conflicts}, {"baseline_differs"}, "their type")
    require(all(c["winner"]["row"] != c["loser"]["row"] for c in conflicts), "sides of a conflict are alike")
    lab.verify()
    hub.sql('UPDATE "Track" SET "UnitPrice" = 1.29 WHERE "TrackId" = 1; DELETE FROM "PlaylistTrack" WHERE "TrackId" = 3402;')
    shop.sql("INSERT INTO Artist VALUES (1000, 'New'); UPDATE Invoice SET Total = 0.5 WHERE InvoiceId = 5;")
    lab.sync()
    lab.verify()
    require_equal(shop.value("SELECT UnitPrice FROM Track WHERE TrackId = 1"), 1.29, "price in SQLite")
    require_equal(hub.value('SELECT "Total" FROM "Invoice" WHERE "InvoiceId" = 5'), "0.50", "total in PostgreSQL")


def plain(name):
    return re.sub(r"[^a-z0-9]", "", name.lower())


def mapping(hub, shop):
    """Names of the SQLite author for tables and columns of the PostgreSQL author, where they are alike."""
    names = {}
    tables = {plain(row[0]): row[0] for row in shop.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    for (table,) in hub.rows("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"):
        own = tables.get(plain(table))
        if own is None:
            continue
        names[table] = own
        columns = {plain(row[0]): row[0] for row in shop.rows("SELECT name FROM pragma_table_info(?)", own)}
        for (column,) in hub.rows("SELECT attname FROM pg_attribute WHERE attrelid = '%s'::regclass AND attnum > 0 AND NOT attisdropped" % table):
            if plain(column) in columns:
                names["%s.%s" % (table, column)] = columns[plain(column)]
    return names


@test
def test_northwind_of_two_authors(lab):
    files = samples(lab, "northwind")
    if not files:
        return
    shop = lab.node("shop", copy_of=files[0])
    hub = PgNode(lab, "hub", files[1].read_text(encoding="utf-8"))
    names = mapping(hub, shop)
    settings = dict(shop.settings(), names=names)
    shop.settings = lambda: settings
    lab.job("j", [hub, shop], max_deletes="100%")
    told = lab.run("check", code=(0, 8))
    lab.activate()
    result = lab.sync(code=(0, 3, 8))
    document = result.documents[0]
    seen = adopted(lab, document)
    require(len(seen) >= 3, "tables that could meet: %r" % seen)
    # What the two did differently is named, table by table.
    for problem in document["problems"]:
        require(re.search(r"table \S+ differs between nodes hub \(here\) and shop \(there\): column", problem), problem)
    for pull in document["pulls"]:
        for waiting in pull["quarantine"]:
            require(waiting["reason"], "a row waits without a reason")
    lab.note("%s; %d problems; %d told by check" % (
        ", ".join("%s %r" % item for item in sorted(seen.items())), len(document["problems"]), told.out.count("differs")))
    hub.sql("UPDATE customers SET city = 'Tidemark' WHERE customer_id = 'ALFKI'")
    lab.sync(code=(0, 3, 8))
    require_equal(shop.value("SELECT City FROM Customers WHERE CustomerID = 'ALFKI'"), "Tidemark", "a change that flowed")


if __name__ == "__main__":
    raise SystemExit(run(__doc__))
