"""Chinook and Northwind as two authors made them, one for SQLite and one for PostgreSQL, adopted against each other:
what is equal is not copied, what differs is told, and edits then flow both ways. What PostgreSQL's author made has no stand-in:
on a machine without a folder of samples the tests say that they tested nothing, and test_chinook_like_rows_adopt_each_other in
postgresql_test.py does the same with rows of its own. A folder that is there must have them."""
import os
import re

from postgresql_support import PgNode, require, require_equal, run
from support import ROOT, shared_data, test

# Of Northwind: tables that both have, by the names of the PostgreSQL author, and what the first session did with their rows:
# (adopted, conflicts, rows that wait, rows copied). One has two customers more, the other three shippers; orders, employees,
# categories and some suppliers are written differently.
NORTHWIND = {
    "categories": [0, 8, 0, 0], "customers": [91, 0, 0, 2], "employee_territories": [49, 0, 0, 0],
    "employees": [0, 9, 0, 0], "order_details": [2155, 0, 0, 0], "orders": [0, 830, 0, 0], "shippers": [3, 0, 0, 3],
    "suppliers": [17, 12, 0, 0], "territories": [53, 0, 0, 0],
}
WITHOUT_ROWS = {"customer_demographics", "customer_customer_demo"}
DIFFERENCE = "table products differs between nodes hub (here) and shop (there): column discontinued: integer here, TEXT there " \
             "(declare it INTEGER in SQLite)"
MISSING = {("hub", "Regions"), ("shop", "region"), ("shop", "us_states")}


def samples(lab, name):
    """Of the two authors; None where there is no folder of samples."""
    if "TIDEMARK_DATA" not in os.environ and not (ROOT.parent / "shared" / "data").is_dir():
        lab.note("no folder of samples here: nothing was tested with %s; TIDEMARK_DATA names one" % name)
        return None
    script = shared_data(name + "_pg.sql")
    return shared_data(name + ".sqlite"), script


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
    if files is None:
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
    if files is None:
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
    require_equal(adopted(lab, document), NORTHWIND, "tables that meet")
    # What the two did differently is named, table by table.
    require_equal(document["problems"], [DIFFERENCE], "problems")
    found = told.documents[0]["findings"]
    require_equal([f["message"] for f in found if f["severity"] == "error"], [DIFFERENCE], "errors of check")
    require_equal({(f["node"], f["table"]) for f in found if f["severity"] == "warning"}, MISSING, "warnings of check")
    require_equal(len(lab.conflicts()), sum(counts[1] for counts in NORTHWIND.values()), "conflicts")
    compared = lab.verify(code=8).documents[0]
    require_equal({t["table"] for t in compared["tables"]}, set(NORTHWIND) | WITHOUT_ROWS, "tables that verify compares")
    require_equal((compared["differences"], compared["pending"]), (0, 0), "differences after the first session")
    hub.sql("UPDATE customers SET city = 'Tidemark' WHERE customer_id = 'ALFKI'")
    lab.sync(code=(0, 3, 8))
    require_equal(shop.value("SELECT City FROM Customers WHERE CustomerID = 'ALFKI'"), "Tidemark", "a change that flowed")


@test
def test_missing_samples_are_a_failure_with_a_clear_message(lab):
    """The canary of this file: in a folder of samples that lacks some nothing may pass silently."""
    os.environ["TIDEMARK_DATA"] = str(lab.directory)
    try:
        samples(lab, "no-such-sample")
    except AssertionError as error:
        require("TIDEMARK_DATA" in str(error), "the message should say what to set: %s" % error)
        return
    raise AssertionError("a missing sample must be a failure")


if __name__ == "__main__":
    raise SystemExit(run(__doc__))
