#!/usr/bin/env python3
"""What a person sees: commands run inside of tmux, whose screen is read as it is, with its colours.

A progress bar while a session runs, gone when it has ended; colours where they help; neither of them in files and
pipes, and no colours with NO_COLOR or on a dumb terminal.
"""
import argparse
import os
import pathlib
import re
import shlex
import sqlite3
import subprocess
import sys
import tempfile
import time

PROBLEMS = []
CONFIGURATION = """[node.a]
url = "sqlite:a.db"
[node.b]
url = "sqlite:b.db"
[node.gone]
url = "sqlite:gone.db"
[job.x]
nodes = ["a", "b"]
conflict = "manual"
[job.y]
nodes = ["a", "gone"]
"""
WATCHED = """[node.a]
url = "sqlite:a.db"
[node.b]
url = "sqlite:b.db"
[job.x]
nodes = ["a", "b"]
schedule = "continuous"
"""
BAR = re.compile(r"t  \[#*\.*\] +\d+%  ")
ESCAPE = "\x1b"
GREEN, RED, YELLOW, BOLD = "\x1b[32m", "\x1b[1m\x1b[31m", "\x1b[33m", "\x1b[1m"
ROWS = 300000


def check(condition, problem):
    if not condition:
        PROBLEMS.append(problem)
        print("FAILED " + problem, flush=True)


class Terminal:
    """One shell in a terminal of 100 columns; everything that is written to it is kept in a file as well."""

    def __init__(self, program, folder):
        self.folder, self.socket, self.count = folder, "tidemark-terminal-%d" % os.getpid(), 0
        self.raw = folder / "raw"
        environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TMUX")}
        environment.update(PS1="$ ", PATH="%s:%s" % (pathlib.Path(program).resolve().parent, os.environ["PATH"]))
        subprocess.run(["tmux", "-L", self.socket, "-f", "/dev/null", "new-session", "-d", "-x", "100", "-y", "40",
                        "bash --norc --noprofile"], cwd=folder, env=environment, check=True, stdin=subprocess.DEVNULL)
        self.tmux("pipe-pane", "cat >> " + shlex.quote(str(self.raw)))

    def tmux(self, *words):
        return subprocess.run(["tmux", "-L", self.socket, *words], check=True, capture_output=True, text=True).stdout

    def run(self, command, seconds=120):
        """Runs a command line; its exit code, the screen with colours, and all that was written meanwhile."""
        self.count += 1
        end = "END-%d:" % self.count
        self.tmux("send-keys", "-l", "clear; %s; echo END-$((%d)):$?:" % (command, self.count))
        before = self.raw.stat().st_size if self.raw.exists() else 0
        self.tmux("send-keys", "Enter")
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            screen = self.tmux("capture-pane", "-p", "-e")
            found = re.search(re.escape(end) + r"(\d+):", screen)
            if found:
                written = self.raw.read_bytes()[before:].decode("utf-8", "replace")
                return int(found[1]), screen.partition(end)[0], written
            time.sleep(.05)
        sys.exit("%s has not ended after %d s; on the screen:\n%s" % (command, seconds, screen))

    def close(self):
        subprocess.run(["tmux", "-L", self.socket, "kill-server"], check=False, capture_output=True)


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def make(folder):
    (folder / "tidemark.toml").write_text(CONFIGURATION)
    for name in "ab":
        database = sqlite3.connect(folder / (name + ".db"))
        database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)")
        database.commit()
        database.close()


def fill(folder, base):
    database = sqlite3.connect(folder / "a.db")
    with database:
        database.execute("INSERT INTO t SELECT value + ?, 'name ' || value FROM (WITH RECURSIVE n(value) AS (VALUES (1) UNION "
                         "ALL SELECT value + 1 FROM n LIMIT ?) SELECT value FROM n)", (base, ROWS))
    database.close()


def sessions(terminal, folder):
    fill(folder, 0)
    code, screen, written = terminal.run("tidemark sync x")
    check(code == 0, "sync ended with %d: %s" % (code, screen))
    check(BAR.search(written), "sync on a terminal shows no progress bar: %r" % written[-2000:])
    check(not BAR.search(screen), "the progress bar stays: %s" % screen)
    check("300 000 rows changed" in plain(screen), "sync tells nothing: %s" % screen)
    check(BOLD + "table" in screen, "the title of a table is not bold: %r" % screen)

    fill(folder, ROWS)
    code, screen, written = terminal.run("tidemark sync x 2>err | cat > out")
    both = (folder / "err").read_text() + (folder / "out").read_text()
    check(ESCAPE not in both and not BAR.search(both), "progress or colour in files: %r" % both[:500])
    check("300 000 rows changed" in both, "sync tells a file nothing: %r" % both)
    fill(folder, 2 * ROWS)
    code, screen, written = terminal.run("tidemark sync x --progress never")
    check(not BAR.search(written), "a progress bar with --progress never")


def conflicts(terminal, folder):
    for name, value in (("a", "from a"), ("b", "from b")):
        database = sqlite3.connect(folder / (name + ".db"))
        with database:
            database.execute("UPDATE t SET name = ? WHERE id = 1", (value,))
        database.close()
    _, screen, _ = terminal.run("tidemark sync x")
    check(YELLOW + "1" in screen, "a conflict is not yellow: %r" % screen)


def status(terminal, folder):
    _, coloured, _ = terminal.run("tidemark status")
    check(GREEN + "ok" in coloured, "ok is not green: %r" % coloured)
    check(RED + "unreachable" in coloured, "unreachable is not red: %r" % coloured)
    check("node gone: node gone" not in plain(coloured), "a node is named twice: %s" % plain(coloured))
    check(RED + "ERROR:" in coloured, "ERROR is not red: %r" % coloured)
    check(YELLOW + "1" in coloured, "open conflicts are not yellow: %r" % coloured)
    ages = lambda text: re.sub(r"\(.*? ago\)|\(just now\)", "", plain(text))
    for setting in ("NO_COLOR=1", "TERM=dumb"):
        _, screen, _ = terminal.run("%s tidemark status" % setting)
        check(ESCAPE not in screen, "colours with %s: %r" % (setting, screen))
        check(ages(screen) == ages(coloured), "%s changes more than colours:\n%s\n%s" % (setting, screen, coloured))
    _, screen, _ = terminal.run("NO_COLOR= tidemark status")
    check(GREEN + "ok" in screen, "an empty NO_COLOR counts")
    terminal.run("tidemark status > out 2> err")
    both = (folder / "err").read_text() + (folder / "out").read_text()
    check(ESCAPE not in both and "unreachable" in both, "status into files: %r" % both)
    code, screen, _ = terminal.run("tidemark sink")
    check(code == 2 and RED + "ERROR:" in screen, "a mistake is not red: %r" % screen)
    code, screen, _ = terminal.run("tidemark status --json 2> err")
    check(ESCAPE not in screen, "colours in JSON: %r" % screen)


def watching(terminal, folder):
    """A person watches the status of a daemon, sees what changes, and ends it with ctrl-C."""
    (folder / "tidemark.toml").write_text(WATCHED)
    terminal.run("tidemark run 2> log & sleep 1")
    terminal.tmux("send-keys", "-l", "clear; tidemark status --watch; echo WATCHED:$?:")
    terminal.tmux("send-keys", "Enter")

    def screen_with(*words, seconds=20):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            screen = terminal.tmux("capture-pane", "-p", "-e")
            if all(word in plain(screen) for word in words):
                return screen
            time.sleep(.05)
        check(False, "the screen does not show %s: %s" % (words, screen))
        return screen

    screen = screen_with("daemon: process", "continuous", "waiting")
    check(GREEN + "ok" in screen, "the state of a node has no colour: %r" % screen)
    check(plain(screen).lstrip().startswith("node"), "the status does not begin at the top: %s" % screen)
    # A change on one node shows as a measured lag, without anything being typed.
    before = screen
    database = sqlite3.connect(folder / "a.db")
    with database:
        database.execute("INSERT INTO t VALUES (-1, 'seen')")
    database.close()
    screen = screen_with(" s / ")
    check(plain(screen) != plain(before), "nothing changes on the screen")
    check(plain(screen).count("daemon: process") == 1, "what was shown before stays on the screen: %s" % screen)
    # Longer than the screen shows nothing twice: each time the terminal is cleared.
    terminal.tmux("send-keys", "C-c")
    screen = screen_with("WATCHED:")
    check(re.search("WATCHED:(0|130):", plain(screen)), "ctrl-C ends --watch badly: %s" % screen)
    terminal.run("clear; timeout -s INT 3 tidemark status --watch > out 2> err")
    both = (folder / "err").read_text() + (folder / "out").read_text()
    check(ESCAPE not in both and both.count("daemon: process") >= 1, "a watched status into a file: %r" % both)
    terminal.run("kill %1; wait")


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--tidemark", required=True)
    options = args.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        make(folder)
        terminal = Terminal(options.tidemark, folder)
        try:
            terminal.run("tidemark activate a b")
            sessions(terminal, folder)
            conflicts(terminal, folder)
            status(terminal, folder)
            watching(terminal, folder)
        finally:
            terminal.close()
    print("terminal: %d problems" % len(PROBLEMS))
    return 1 if PROBLEMS else 0


if __name__ == "__main__":
    sys.exit(main())
