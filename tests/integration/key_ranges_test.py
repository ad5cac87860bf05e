"""Key ranges: each node draws the keys of new rows from numbers of its own, on files, on PostgreSQL and between the two."""
from postgresql_support import PgNode, require, require_equal, run
from support import test

KEYS = {"sqlite": "id INTEGER PRIMARY KEY AUTOINCREMENT", "serial": "id serial PRIMARY KEY",
        "identity": "id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"}
MIXES = ("sqlite sqlite", "serial identity", "serial sqlite", "sqlite identity")
RANGES = {"*": {"keys": "ranges", "range_size": 1000}}


def node(lab, kind, name, **options):
    schema = "CREATE TABLE item(%s, v TEXT);" % KEYS[kind]
    return lab.node(name, schema) if kind == "sqlite" else PgNode(lab, name, schema, **options)


def insert(each, *values):
    for value in values:
        each.sql("INSERT INTO item(v) VALUES ('%s')" % value)


def ids(each, where="true"):
    return [int(row[0]) for row in each.rows("SELECT id FROM item WHERE %s ORDER BY id" % where)]


def owners(each):
    return [(int(r[0]), r[1]) for r in each.rows("SELECT id, v FROM item ORDER BY id")]


def started(lab, mix, settings=None, names="ab"):
    if lab.nodes:
        lab.reset()
    nodes = [node(lab, kind, name) for kind, name in zip(mix.split(), names)]
    insert(nodes[0], "old 1", "old 2")
    lab.job("j", nodes, table_settings=settings or RANGES)
    lab.activate()
    lab.sync()
    return nodes


def require_own_numbers(lab, hub, mix):
    """Every row lies in a range that the hub gave to the node that wrote it, and no two ranges meet."""
    table, node = ("tidemark.key_range", "node") if isinstance(hub, PgNode) else ("tidemark_key_range", "lower(hex(node))")
    ranges = [(int(low), int(high), str(owner).replace("-", "")) for owner, low, high in
              hub.rows("SELECT %s, low, high FROM %s ORDER BY low" % (node, table))]
    require(all(a[1] < b[0] for a, b in zip(ranges, ranges[1:])), "%s: ranges meet: %r" % (mix, ranges))
    of = {n["node_id"].replace("-", ""): n["node"] for n in lab.run("status").last["nodes"]}
    for key, value in owners(hub):
        if not value.startswith("old"):
            owner = [of.get(owner) for low, high, owner in ranges if low <= key <= high]
            require_equal(owner, [value.split()[0]], "%s: whose number %d (%s) is" % (mix, key, value))


@test
def test_nodes_that_insert_at_the_same_time_never_meet(lab):
    for mix in MIXES:
        a, b = started(lab, mix)
        for number in range(6):
            insert(a, "a %d" % number, "a more")
            insert(b, "b %d" % number)
            lab.sync()
        require_equal(lab.conflicts(), [], mix + ": conflicts")
        require_equal(owners(a), owners(b), mix)
        require_equal(len(ids(a)), 20, mix + ": rows")
        require_own_numbers(lab, a, mix)
        if mix.startswith("serial"):
            require_equal(ids(a), [1, 2] + list(range(1001, 1013)) + list(range(2001, 2007)), mix)
        lab.verify()
        # A number that was used is not used again.
        last = max(ids(b, "v LIKE 'b%'"))
        b.sql("DELETE FROM item WHERE id = %d" % last)
        lab.sync()
        insert(b, "b after a delete")
        insert(a, "a after a delete")
        require(ids(b, "v = 'b after a delete'")[0] > last, mix + ": a number was used again")
        lab.sync()
        require_own_numbers(lab, a, mix)
        require_equal(lab.sync().last["changed"], 0, mix + ": a further session")


@test
def test_without_ranges_the_same_inserts_collide(lab):
    """The broken twin: what the tests above look for does happen where there are no ranges."""
    for mix in ("sqlite sqlite", "serial sqlite"):
        a, b = started(lab, mix, {"nothing": {"keys": "ranges"}})
        insert(a, "a")
        insert(b, "b")
        lab.sync()
        require_equal([c["type"] for c in lab.conflicts()], ["insert_exists"], mix)


@test
def test_a_node_moves_on_before_its_range_runs_out(lab):
    settings = {"item": {"keys": "ranges", "range_size": 100}}
    for mix in MIXES:
        a, b = started(lab, mix, settings)
        for number in range(78):
            insert(b, "b %d" % number)
        lab.sync()
        require_equal(max(ids(b)), 278, mix)
        require(not lab.run("status").told("left of its key range"), mix + ": room is left")
        status = lab.run("status").last["nodes"][1]["key_ranges"]
        require_equal([(r["low"], r["high"], r["left"]) for r in status], [("201", "300", "22")], mix)
        for number in range(7):
            insert(b, "b more %d" % number)
        require(lab.run("status", as_json=False).told("15 numbers are left", "node b", "item"), mix)
        given = [d for d in lab.sync().documents if d["type"] == "session"][0]["ranges"]
        require(any(g.startswith("b: item: ") for g in given), "%s: %r" % (mix, given))
        insert(b, "b in the new range")
        insert(a, "a as before")
        lab.sync()
        if mix.startswith("serial"):
            require_equal((given, max(ids(b)), ids(a, "v = 'a as before'")), (["b: item: 301 to 400"], 301, [101]), mix)
        require_equal(owners(a), owners(b), mix)
        require_equal(lab.conflicts(), [], mix)
        require_own_numbers(lab, a, mix)


@test
def test_a_sequence_ends_with_its_range(lab):
    a, b = started(lab, "serial serial", {"item": {"keys": "ranges", "range_size": 100}})
    insert(b, *("b %d" % n for n in range(100)))
    try:
        insert(b, "one too many")
    except RuntimeError as error:
        require("maximum value" in str(error), str(error))
    else:
        require(False, "a sequence ran into the range of another node")
    lab.sync()
    insert(b, "after a session")
    require_equal(max(ids(b)), 301, "the new range")


@test
def test_three_nodes_and_a_copy(lab):
    nodes = started(lab, "serial sqlite sqlite", names=("hub", "x", "y"))
    for each in nodes:
        insert(each, each.name + " first")
    lab.sync()
    lab.sync()
    require_equal(ids(nodes[0]), [1, 2, 1001, 2001, 3001], "keys")
    for number in range(3):
        for each in nodes:
            insert(each, "%s %d" % (each.name, number))
        lab.sync()
        require_own_numbers(lab, nodes[0], "three nodes")
    # A copy gets an identity of its own, and numbers of its own with it.
    nodes[2].path.write_bytes(nodes[1].path.read_bytes())
    gone = set(ids(nodes[0], "v LIKE 'y%'"))
    lab.activate("y", "--new-identity")
    insert(nodes[1], "x later")
    insert(nodes[2], "y the copy")
    lab.sync()
    lab.sync()
    nodes[0].sql("DELETE FROM item WHERE id IN (%s)" % ", ".join(map(str, gone)))  # of the y that is no more
    lab.sync()
    nodes[0].sql("UPDATE item SET v = 'y ' || v WHERE v = 'y the copy'")
    lab.sync()
    require_own_numbers(lab, nodes[0], "a copy")
    require_equal([c["type"] for c in lab.conflicts()], [], "conflicts")
    for each in nodes[1:]:
        require_equal(owners(each), owners(nodes[0]), each.name)


@test
def test_tables_that_can_have_no_ranges_are_refused_by_name(lab):
    a = lab.node("a", "CREATE TABLE item(id INTEGER PRIMARY KEY, v TEXT)")
    b = lab.node("b", "CREATE TABLE item(id INTEGER PRIMARY KEY, v TEXT)")
    lab.job("j", [a, b], table_settings=RANGES)
    before = a.schema()
    lab.activate(code=8).require_told("item", "AUTOINCREMENT", "node a")
    require_equal(a.schema(), before, "a schema after a refusal")
    lab.reset()
    c, d = PgNode(lab, "c", "CREATE TABLE item(id integer PRIMARY KEY)"), node(lab, "serial", "d")
    lab.job("j", [c, d], table_settings=RANGES)
    lab.activate(code=8).require_told("item", "no sequence", "node c")
    lab.reset()
    e, f = PgNode(lab, "e", "CREATE TABLE item(id smallserial PRIMARY KEY, v text)"), node(lab, "serial", "f")
    lab.job("j", [e, f], table_settings={"*": {"keys": "ranges"}})
    lab.activate(as_json=False).require_told("used up", "32767")


@test
def test_a_session_role_says_what_to_run_and_deactivate_leaves_counters_behind_the_data(lab):
    a = node(lab, "serial", "a", role="tm_session", owner="tm_owner")
    b = node(lab, "sqlite", "b")
    definition = "SELECT seqmin, seqmax, seqincrement, seqstart FROM pg_sequence"
    before = a.rows(definition)
    lab.job("j", [a, b], table_settings={"item": {"keys": "ranges", "range_size": 100}})
    require_told = lab.activate("--dry-run", as_json=False)
    require(require_told.told("ranges of 100", "item"), str(require_told))
    lab.activate()
    lab.sync()
    insert(a, *("a %d" % n for n in range(85)))
    lab.sync(as_json=False).require_told("item", "little left", "tidemark activate a")
    lab.activate("a")
    insert(a, "next")
    require_equal(max(ids(a)), 201, "the new range")
    insert(b, "b")
    lab.sync()
    lab.run("deactivate", "a", "b")
    require_equal(a.rows(definition), before, "the sequence")
    insert(a, "free")
    insert(b, "free")
    require_equal((max(ids(a)), max(ids(b))), (202, 202), "numbers after deactivation")


if __name__ == "__main__":
    raise SystemExit(run(__doc__))
