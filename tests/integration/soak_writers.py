#!/usr/bin/env python3
"""Writing processes that may be killed at any instant, and clocks of single processes that can be set.

    soak_writers.py sqlite FILE WHO SEED REPORT STOP PAUSE_S
    soak_writers.py postgresql FOLDER DATABASE WHO SEED REPORT STOP PAUSE_S

A writer ends when the file STOP is there. It notes each transaction in REPORT before and after the commit, so that it is
known of a killed one which transaction may have been committed or not."""
import contextlib
import json
import os
import pathlib
import random
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from postgresql_server import Session, binary  # noqa: E402
from support import TOKEN, Application, Failure  # noqa: E402

KEYS = 40


class Clock:
    """The clock of the processes that are started with its environment. Needs a library of the tests' build."""

    def __init__(self, lab, folder):
        library = pathlib.Path(lab.binary).parent / "tests/libtidemark_stepped_clock.so"
        if not library.exists():
            raise Failure("%s is missing: build the target tidemark_stepped_clock" % library)
        # Another user, as whom the server runs, may not reach where it was built.
        self.library = pathlib.Path(folder) / "stepped_clock.so"
        self.library.write_bytes(library.read_bytes())
        self.file = pathlib.Path(folder) / "stepped_clock"
        self.file.write_bytes(struct.pack("=q", 0))
        for path in (self.library, self.file):
            path.chmod(0o755)
        self.environment = {"LD_PRELOAD": str(self.library), "TIDEMARK_CLOCK_FILE": str(self.file)}

    def set(self, seconds):
        """So many seconds ahead of the machine's clock."""
        with open(self.file, "r+b") as file:
            file.write(struct.pack("=q", int(seconds * 1e6)))


class HubApplication:
    """As Application, on a PostgreSQL hub that has the tables customer and line; a connection that was lost is made anew."""

    def __init__(self, folder, database, who, rng):
        self.server = type("Reached", (), {"folder": folder, "psql": lambda _, name, role: [
            binary("psql"), "-X", "-q", "-h", folder, "-U", role, "-v", "ON_ERROR_STOP=1", "-d", name]})()
        self.database, self.who, self.rng, self.count, self.session = database, who, rng, 0, None

    def tokens(self):
        return set(TOKEN.findall(self.session.run("SELECT name FROM customer UNION ALL SELECT what FROM line")))

    def token(self):
        self.count += 1
        return "w%d:%s:%d" % (self.rng.randrange(10**6), self.who, self.count)

    def operation(self):
        key, other, new = self.rng.randrange(KEYS), self.rng.randrange(4), self.token()
        return self.rng.choice([
            "INSERT INTO customer VALUES (%d, 'm%d', '%s') ON CONFLICT DO NOTHING" % (key, key % 20, new),
            "UPDATE customer SET name = '%s' WHERE id = %d" % (new, key),
            "DELETE FROM customer WHERE id = %d" % key,
            "INSERT INTO line VALUES (%d, %d, '%s') ON CONFLICT (order_id, no) DO UPDATE SET what = excluded.what" % (
                key, other, new),
            "UPDATE line SET what = '%s' WHERE order_id = %d AND no = %d" % (new, key, other),
            "DELETE FROM line WHERE order_id = %d" % key])

    def transaction(self, intends):
        """None where nothing is known of the outcome."""
        try:
            if self.session is None:
                self.session = Session(self.server, self.database, "tm_owner")
            run = self.session.run
            run("BEGIN ISOLATION LEVEL REPEATABLE READ")
            before = self.tokens()
            try:
                for _ in range(self.rng.choice([1, 1, 2, 5])):
                    run(self.operation())
            except RuntimeError:        # a session wrote the row meanwhile
                run("ROLLBACK")
                return None
            after = self.tokens()
            entry = {"who": self.who, "written": sorted(after - before), "seen": sorted(before - after)}
            if self.rng.random() < 0.1:
                run("ROLLBACK")
                return {**entry, "committed": False}
            intends({**entry, "committed": None})
            run("COMMIT")
            return {**entry, "committed": True}
        except (RuntimeError, OSError):
            with contextlib.suppress(Exception):
                self.session.process.kill()
                self.session.process.wait()
            self.session = None
            time.sleep(0.2)
            return None


class SoakWriters:
    """One writer for each of `targets` (name -> arguments of this program); stops them and fills the ledger when left."""

    def __init__(self, lab, targets, ledger, clock, pause_s=0.02):
        self.lab, self.targets, self.ledger, self.clock, self.pause_s = lab, targets, ledger, clock, pause_s
        self.stop, self.reports, self.processes = lab.directory / "stop-writers", [], {}

    def start(self, name):
        number = self.lab.next_number()
        report = self.lab.directory / ("writer-%s-%d.jsonl" % (name, number))
        self.reports.append(report)
        with open(str(report) + ".failed", "wb") as errors:
            self.processes[name] = subprocess.Popen(
                [sys.executable, __file__, *self.targets[name], "%sn%d" % (name, number), str(self.lab.rng.randrange(2**32)),
                 str(report), str(self.stop), str(self.pause_s)],
                stdin=subprocess.DEVNULL, stderr=errors, env={**os.environ, **self.clock.environment})

    def __enter__(self):
        for name in self.targets:
            self.start(name)
        return self

    def kill(self, name):
        """kill -9 in the middle of whatever it does; another one takes its place."""
        process = self.processes[name]
        if process.poll() is not None:
            raise Failure("the writer of %s ended by itself" % name)
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.start(name)

    def __exit__(self, kind, *_):
        self.stop.touch()
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(60)
            if process.poll() is None:
                process.kill()
        for report in self.reports:
            failed = pathlib.Path(str(report) + ".failed").read_text()
            if failed and kind is None:
                raise Failure("an application failed:\n" + failed)
            if report.exists():
                self.ledger.load(report)


def write(kind, target, who, seed, report, stop, pause_s):
    rng = random.Random(int(seed))
    if kind == "sqlite":
        applications = [Application(*target, "%s%d" % (who, i), rng, keys=KEYS) for i in range(2)]
    else:
        applications = [HubApplication(*target, "%s%d" % (who, i), rng) for i in range(2)]
    with open(report, "w", encoding="utf-8") as out:
        def note(entry):
            out.write(json.dumps(entry) + "\n")
            out.flush()

        while not os.path.exists(stop):
            entry = rng.choice(applications).transaction(intends=note)
            if entry is not None:
                note(entry)
            time.sleep(rng.random() * 2 * float(pause_s))


if __name__ == "__main__":
    count = {"sqlite": 1, "postgresql": 2}[sys.argv[1]]
    write(sys.argv[1], sys.argv[2:2 + count], *sys.argv[2 + count:])
