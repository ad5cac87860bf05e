"""Two writers and sessions of the program, step by step: a sample of all orders of the writers' steps, a session at every
point between them (tests/interleaving plays all orders of smaller steps, within one process).
What was committed is there at the end, or was overwritten by a later commit; what was rolled back is not; both
databases are equal."""
import itertools
import time

from postgresql_support import pg_pair, require, require_equal, run
from support import test

SCHEMA = "CREATE TABLE item(id integer PRIMARY KEY, name text);" + "INSERT INTO item VALUES (1, 'old'), (2, 'old'), (3, 'old');"

WRITERS = {
    "update": ["BEGIN", "UPDATE item SET name = '{who}' WHERE id = {key}", "COMMIT"],
    "rollback": ["BEGIN", "UPDATE item SET name = '{who}' WHERE id = {key}", "ROLLBACK"],
    "delete": ["BEGIN", "DELETE FROM item WHERE id = {key}", "COMMIT"],
    "insert": ["BEGIN", "INSERT INTO item VALUES (10 + {key}, '{who}')", "COMMIT"],
    "savepoint": ["BEGIN", "UPDATE item SET name = '{who}' WHERE id = {key}; SAVEPOINT s; UPDATE item SET name = 'undone' WHERE id = 3; "
                  "ROLLBACK TO s", "COMMIT"],
    "prepared": ["BEGIN", "UPDATE item SET name = '{who}' WHERE id = {key}", "PREPARE TRANSACTION '{who}{number}'",
                 "COMMIT PREPARED '{who}{number}'"],
    "undone": ["BEGIN", "UPDATE item SET name = '{who}' WHERE id = {key}", "PREPARE TRANSACTION '{who}{number}'",
               "ROLLBACK PREPARED '{who}{number}'"],
    "moved": ["BEGIN", "UPDATE item SET id = {key} + 100, name = '{who}' WHERE id = {key}", "COMMIT"],
}


def orders(first, second):
    """Every way to put two sequences into one."""
    total = len(first) + len(second)
    for chosen in itertools.combinations(range(total), len(first)):
        a, b = iter(first), iter(second)
        yield [(0, next(a)) if i in chosen else (1, next(b)) for i in range(total)]


def blocked(server, pid):
    return server.sql("postgres", "SELECT cardinality(pg_blocking_pids(%s)) > 0" % pid, role="postgres") == [["t"]]


class Writer:
    def __init__(self, node):
        self.node, self.waiting = node, False
        self.session = node.session()
        self.pid = self.session.run("SELECT pg_backend_pid()")

    def step(self, statement):
        """False when it waits for the other writer's row."""
        self.session.send(statement)
        self.waiting = True
        return self.settle()

    def settle(self):
        # Answers come within a moment, unless somebody holds a lock.
        for _ in range(400):
            if self.session.ready():
                answer = self.session.answer()
                self.waiting = False
                require("ERROR" not in answer, "a writer failed: " + answer)
                return True
            if blocked(self.node.server, self.pid):
                return False
            time.sleep(0.002)
        require(False, "a writer neither answers nor waits")


def play(lab, a, b, writers, steps, session_at):
    """One order of steps with a session after step number `session_at`."""
    a.sql("DELETE FROM item; INSERT INTO item VALUES (1, 'old'), (2, 'old'), (3, 'old');")
    lab.sync()
    held = {0: [], 1: []}
    for position, (who, statement) in enumerate([*steps, (None, None)]):
        if position == session_at:
            lab.sync()
        if who is None:
            break
        for writer in writers:
            if writer.waiting:
                writer.settle()
        if writers[who].waiting:
            held[who].append(statement)
            continue
        while held[who]:
            writers[who].step(held[who].pop(0))
        if not writers[who].step(statement):
            continue
    for _ in range(20):
        for who in (0, 1):
            if writers[who].waiting:
                writers[who].settle()
            while held[who] and not writers[who].waiting:
                writers[who].step(held[who].pop(0))
    require(not any(w.waiting for w in writers) and not held[0] and not held[1], "the writers never ended")
    final = a.rows("SELECT id, name FROM item ORDER BY id")
    lab.sync()
    require_equal(b.rows("SELECT id, name FROM item ORDER BY id"), final, "rows on b")
    require_equal(a.rows("SELECT id, name FROM item ORDER BY id"), final, "rows on a after the session")
    require("undone" not in [name for _, name in final], "what was rolled back is there: %r" % final)


@test
def test_orders_of_two_writers_and_a_session(lab):
    a, b = pg_pair(lab, SCHEMA, max_deletes="100%")
    writers = [Writer(a), Writer(a)]
    cases = []
    for first, second in itertools.product(WRITERS, repeat=2):
        for keys in ((1, 1), (1, 2)):
            if keys == (1, 1) and "insert" in (first, second) and first == second:
                continue  # the second fails in every product
            scripts = [[s.replace("{who}", who).replace("{key}", str(key)) for s in WRITERS[kind]]
                       for kind, who, key in ((first, "w1", keys[0]), (second, "w2", keys[1]))]
            for order in orders(*scripts):
                for session_at in range(1, len(order)):
                    cases.append(((first, second, keys), order, session_at))
    lab.rng.shuffle(cases)
    budget = time.monotonic() + (600 if lab.long else 10)
    played = 0
    for number, (what, order, session_at) in enumerate(cases):
        if time.monotonic() > budget:
            break
        steps = [(who, statement.replace("{number}", "_%s_%d" % (a.database, number))) for who, statement in order]
        try:
            play(lab, a, b, writers, steps, session_at)
        except AssertionError as error:
            raise AssertionError("%s\n%r, session after step %d:\n%s" % (
                error, what, session_at, "\n".join("%d: %s" % step for step in steps))) from error
        played += 1
    for writer in writers:
        writer.session.close()
    require(played > 5, "only %d orders were played" % played)
    lab.note("%d of %d orders" % (played, len(cases)))


if __name__ == "__main__":
    raise SystemExit(run(__doc__))
