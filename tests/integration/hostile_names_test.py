"""Two hundred hostile identifiers, each the name of a table and of two columns: the literal name goes through activation,
sessions both ways, conflicts, verify, status, check and deactivation, on SQLite, PostgreSQL and between the two; and the
table `canary` lives."""
import json

from postgresql_support import PgNode, require, require_equal, run
from support import moved, quoted, test

INJECTIONS = [
    'x"); DROP TABLE canary; --', "x'); DROP TABLE canary; --", '"; DROP TABLE canary; --', "'; DROP TABLE canary; --",
    "x; DROP TABLE canary", "$$; DROP TABLE canary; $$", "$tidemark$; DROP TABLE canary; $tidemark$", "$_$", "$1", "$body$ $body$",
    "x*/ DROP TABLE canary; /*", "/*", "--", "-- x", ";", "x\\'); DROP TABLE canary; --", "E'\\''", "U&\"d\\0061ta\"",
    "x\"\"y", '"', '""', '"x"', "'", "''", "'x'", "`x`", "[x]", "]", "x]y", "(", ")", "()", "a,b", "a\"b\"c", "%s", "%", "%%", "%1$s",
    "{key}", "{table}", "{{x}}", "${x}", "@x", ":x", "?1", "?", "~", "\\", "\\\\", "\\x41", "\\n", "x\\", "!", "#x", "&", "=", "1=1",
    "NULL; --", "x' OR '1'='1", "x\" OR \"1\"=\"1", "a = b", "a || b", "a::text", "a.b.c", "..", ".", "x.", ".x", "main.x", "public.x",
    "temp.x", "pg_catalog.pg_class", "tidemark.node", "new.x", "old.x",
]
SPACES = [
    " ", "  ", " x", "x ", "two words", "tab\there", "\t", "line\nbreak", "\n", "carriage\rreturn", "\r\n", "form\ffeed", "x\ny\nz",
    "\u00a0", "\u2028", "\u3000x", "zero\u200bwidth", "\ufeffbom",
]
LETTERS = [
    "\u0645\u0644\u0641", "\u202eabc\u202c", "\u05e9\u05dc\u05d5\u05dd", "\u200fx", "\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u00fcber", "u\u0308ber",
    "\u00c5ngstr\u00f6m", "\u65e5\u672c\u8a9e", "\u0416", "\u00df", "\u0130stanbul", "\u0131", "\ufb01", "\u212a", "\u03a3\u03c2", "e\u0301", "\u0e01\u0e33", "\ud55c\uae00",
    "\x01", "\x1b[31mred", "\x7f", "\u0085", "\U0010ffff", "\ufffd", "0", "1", "007", "-1", "1e5", "0x10", "_", "__", "Mixed Case",
    "UPPER", "camelCase", "9lives", "a-b", "a+b", "a/b", "a*b", "*", "**", "[a-z]", "?x", "x|y", "x^y", "x~y", "x<y>z", "<b>x</b>",
    "a" * 62, "a" * 63, "\u00fc" * 31, "\u00fc" * 31 + "x", "q" * 61 + '"', '"' * 63, "'" * 63, "tidemark", "tidemark-log",
]
# Our own words, as near to our own names as an application may come.
OURS = ["log_1", "version_1", "log", "version", "node", "origin", "sequence", "stamp", "touched_at", "changed_at_us", "flags", "knowledge",
        "captured_table", "conflict", "quarantine", "c1", "k1", "v", "t", "f", "pos", "present", "revert", "inserted", "excluded",
        "new", "old", "rowid", "oid", "_rowid_", "id", "number", "tableoid_", "rowid2", "main", "temp", "public", "name", "key"]
RESERVED = """select from where table group order by having insert update delete into values set and or not null is in between like
case when then else end join left right inner outer natural using on primary key_ references foreign check unique default
constraint index trigger view user current_user session_user current_date current_time all any some array as asc desc both
cast collate column create cross distinct do except exists fetch for full grant ilike intersect limit offset only over
placing returning union variadic window with abort begin commit rollback""".split()

# Columns of the system: PostgreSQL lets nobody call a column so, SQLite would shadow its own.
NOT_FOR_COLUMNS = {"rowid", "oid", "_rowid_", "ctid", "xmin", "tableoid"}
NAMES = list(dict.fromkeys(INJECTIONS + SPACES + LETTERS + OURS + RESERVED))


def folded(name):
    """As SQLite compares names."""
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in name)


def shown_by_postgresql(table):
    return quoted(table) if '"' in table or "." in table else table


def without_twins(names):
    return list({folded(name): name for name in names}.values())


class Hostile:
    """One table: its name, the name of its key, the name of its other column."""

    def __init__(self, number, names):
        columns = [n for n in names if folded(n) not in NOT_FOR_COLUMNS]
        self.table, self.key = names[number], columns[(number * 7 + 3) % len(columns)]
        self.column = next(c for c in columns[(number * 11 + 5) % len(columns):] + columns if folded(c) != folded(self.key))

    def create(self):
        return "CREATE TABLE %s (%s INTEGER PRIMARY KEY, %s TEXT);" % tuple(map(quoted, (self.table, self.key, self.column)))

    def insert(self, key, value):
        return "INSERT INTO %s (%s, %s) VALUES (%d, '%s');" % (*map(quoted, (self.table, self.key, self.column)), key, value)

    def update(self, key, value):
        return "UPDATE %s SET %s = '%s' WHERE %s = %d;" % (quoted(self.table), quoted(self.column), value, quoted(self.key), key)

    def delete(self, key):
        return "DELETE FROM %s WHERE %s = %d;" % (quoted(self.table), quoted(self.key), key)


CANARY = "CREATE TABLE canary(id INTEGER PRIMARY KEY, song TEXT); INSERT INTO canary VALUES (1, 'tweet');"


def dump(node, tables):
    """Every row of every table in one statement."""
    parts = ["SELECT %d, %s, %s FROM %s" % (i, quoted(t.key), quoted(t.column), quoted(t.table)) for i, t in enumerate(tables)]
    rows = []
    for first in range(0, len(parts), 100):  # SQLite takes no more than 500 at once
        rows += node.rows(" UNION ALL ".join(parts[first:first + 100]))
    return sorted((int(i), int(key), value) for i, key, value in rows)


def require_rows(node, tables, expected, when):
    seen = dump(node, tables)
    wrong = [(tables[row[0]].table, row[1:]) for row in sorted(set(seen) ^ set(expected))]
    require(seen == expected, lambda: "%s %s: %d rows are missing or wrong, the first %r" % (node.name, when, len(wrong), wrong[:4]))


def require_canary(*nodes):
    for node in nodes:
        require_equal([tuple(map(str, row)) for row in node.rows("SELECT id, song FROM canary")], [("1", "tweet")],
                      "the canary on " + node.name)


def all_sql(node, statements):
    node.sql("BEGIN; " + "\n".join(statements) + "\nCOMMIT;")


def schema_of(node):
    if isinstance(node, PgNode):
        return node.rows("SELECT c.relname, c.relkind, (SELECT count(*) FROM pg_trigger t WHERE t.tgrelid = c.oid) FROM pg_class c "
                         "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> "
                         "'information_schema' ORDER BY 1, 2") + node.rows("SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' ORDER BY 1") + \
            node.rows("SELECT proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE nspname = 'public'")
    return node.rows("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY 1, 2")


def live(lab, a, b, names):
    """The life of a pair whose tables have these names, from activation to deactivation."""
    tables = [Hostile(i, names) for i in range(len(names))]
    shown = {t.table: shown_by_postgresql(t.table) if isinstance(a, PgNode) else t.table for t in tables}
    script = CANARY + "BEGIN;" + "\n".join(t.create() for t in tables) + "COMMIT;"
    for node in (a, b):
        node.sql(script)
    before = {node.name: schema_of(node) for node in (a, b)}
    lab.job("ab", [a, b])

    dry = lab.run("activate", "--dry-run").last
    require_equal({node.name: schema_of(node) for node in (a, b)}, before, "the schema after a dry run")
    require(len(json.dumps(dry)) > 1000 * len(tables), "a dry run shows too little SQL")
    lab.activate(timeout=300)
    lab.run("check")

    all_sql(a, [t.insert(1, "from a") for t in tables])
    all_sql(b, [t.insert(2, "from b") for t in tables])
    lab.sync(timeout=300)
    expected = [(i, key, value) for i in range(len(tables)) for key, value in ((1, "from a"), (2, "from b"))]
    for node in (a, b):
        require_rows(node, tables, expected, "after inserts")

    all_sql(b, [t.update(1, "loses") for t in tables])
    all_sql(a, [t.update(1, "wins") for t in tables] + [t.delete(2) for t in tables])
    lab.sync(timeout=300)
    expected = [(i, 1, "wins") for i in range(len(tables))]
    for node in (a, b):
        require_rows(node, tables, expected, "after conflicts")
    conflicts = {c["table"]: c for c in lab.conflicts()}
    require_equal(sorted(conflicts), sorted(shown.values()), "tables with a conflict")
    for t in tables:
        loser = conflicts[shown[t.table]]["loser"]["row"]
        require_equal(sorted(loser), sorted((t.key, t.column)), "columns of the loser in " + repr(t.table))
    for t in tables[::17]:
        told = lab.run("conflicts", "show", conflicts[shown[t.table]]["id"]).last
        require(json.dumps(shown[t.table]) in json.dumps(told), "show does not name " + repr(t.table))
        lab.run("conflicts", "show", conflicts[shown[t.table]]["id"], as_json=False)
        lab.run("conflicts", "reinstate", conflicts[shown[t.table]]["id"])
    lab.sync()
    for i in range(0, len(tables), 17):
        expected[i] = (i, 1, "loses")
    for node in (a, b):
        require_rows(node, tables, expected, "after reinstating")
    lab.verify(timeout=300)
    for words in (("status",), ("sessions",), ("quarantine",), ("conflicts",)):
        lab.run(*words)
        text = lab.run(*words, as_json=False).out
        require("\x1b[31m" not in text, "%s passes a terminal's control sequence on" % words[0])
    require_equal(moved(lab.sync()), 0, "rows moved by a session without changes")
    require_canary(a, b)

    lab.run("deactivate", a.name, b.name, timeout=300)
    for node in (a, b):
        require_equal(sorted(set(map(tuple, schema_of(node))) ^ set(map(tuple, before[node.name]))), [],
                      "what deactivation left or took on " + node.name)
    require_canary(a, b)
    lab.note("%d names" % len(names))


@test
def test_hostile_names_between_sqlite_files(lab):
    names = without_twins(NAMES + ["b" * 64, "\u00fc" * 32, "long " * 30])
    require(len(names) >= 200, "only %d names" % len(names))
    live(lab, lab.node("a"), lab.node("b"), names)


@test
def test_hostile_names_between_postgresql_databases(lab):
    # A 64th byte is cut off by the server: the name is then one of 63 bytes, and that is what we must see.
    names = NAMES + ["ITEM", "Item", "iTEM", "SELECT", "Order", "b" * 64]
    tables = [n.encode()[:63].decode("utf-8", "ignore") for n in names]
    require(len(set(tables)) >= 200, "only %d names" % len(set(tables)))
    live(lab, PgNode(lab, "a"), PgNode(lab, "b"), list(dict.fromkeys(tables)))


@test
def test_hostile_names_between_sqlite_and_postgresql(lab):
    names = without_twins(NAMES)
    require(len(names) >= 200, "only %d names" % len(names))
    a, b = PgNode(lab, "a"), lab.node("b")
    # In PostgreSQL a dot stands between schema and table: names with a dot or a quote are shown in quotes there. The file
    # says which of its tables is meant.
    settings = {**b.settings(), "names": {shown_by_postgresql(n): n for n in names if shown_by_postgresql(n) != n}}
    b.settings = lambda: settings
    live(lab, a, b, names)


if __name__ == "__main__":
    raise SystemExit(run(__doc__))
