#!/usr/bin/env python3
"""Bad input: wrong configurations, wrong command lines, files that are no databases, nodes that are not ready.

Every case starts from a folder with two good databases and a good configuration, breaks one thing and runs one
command, once for people and once with --json. Each time: the exit code, exactly one ERROR with its HINT (with
file and line where there is one), nothing on the other stream, and not one byte of the folder changed.
"""
import argparse
import json
import os
import pathlib
import random
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile

NODES = """[node.a]
url = "sqlite:a.db"
[node.b]
url = "sqlite:b.db"
"""
JOB = """[job.x]
nodes = ["a", "b"]
"""
GOOD = NODES + JOB  # the next line is number 7
NOBODY = 65534

CASES = []


class Case:
    def __init__(self, name, args, code, says, line=None, setup=None, config=GOOD, hint="", user=None):
        self.name, self.args, self.code, self.says, self.line = name, args, code, says, line
        self.setup, self.config, self.hint, self.user = setup, config, hint, user


def case(name, args, code, says, **more):
    CASES.append(Case(name, args, code, says, **more))


def bad_config(name, text, line, says, **more):
    """A configuration that is refused when it is read, whatever the command."""
    commands = (["check"], ["activate"], ["sync"], ["status"], ["verify"], ["conflicts"], ["sessions"],
                ["deactivate", "a"])
    case("config: " + name, commands[len(CASES) % len(commands)], 2, says, line=line, config=text, **more)


# --- configurations ---------------------------------------------------------------------------------------------------
bad_config("unknown key at the top", "nodez = 1\n" + GOOD, 1, 'unknown key "nodez"')
bad_config("unknown key in a node", NODES + 'port = 5432\n' + JOB, 5, 'unknown key "port" in \\[node.b\\]')
bad_config("unknown key in a job", GOOD + 'tabels = ["t"]\n', 7, 'unknown key "tabels"', hint='did you mean "tables"')
bad_config("unknown key in a table section", GOOD + '[job.x.table.t]\npolicy = "latest"\n', 8, 'unknown key "policy"')
bad_config("unknown section", GOOD + "[defaults]\nmode = 1\n", 7, 'unknown key "defaults"')
bad_config("wrong type of url", "[node.a]\nurl = 7\n" + '[node.b]\nurl = "sqlite:b.db"\n' + JOB, 2, "url must be a string")
bad_config("wrong type of nodes", NODES + '[job.x]\nnodes = "a, b"\n', 6, "nodes must be an array of strings")
bad_config("wrong type of an entry", NODES + '[job.x]\nnodes = ["a", 2]\n', 6, "every entry of nodes must be a string")
bad_config("wrong type of tables", GOOD + "tables = true\n", 7, "tables must be an array")
bad_config("no table taken", GOOD + "tables = []\n", 7, "takes no table")
bad_config("wrong type of mode", GOOD + "mode = 1\n", 7, "mode must be a string")
bad_config("unknown mode", GOOD + 'mode = "twoway"\n', 7, 'mode cannot be "twoway"', hint='did you mean "two-way"')
bad_config("unknown policy", GOOD + 'conflict = "newest"\n', 7, 'conflict cannot be "newest"')
bad_config("unknown schedule", GOOD + 'schedule = "hourly"\n', 7, 'schedule "hourly" is not known')
bad_config("schedule without a duration", GOOD + 'schedule = "every now"\n', 7, "no duration")
bad_config("cron with three fields", GOOD + 'schedule = "cron 1 2 3"\n', 7, "five fields")
bad_config("cron without its word", GOOD + 'schedule = "0 2 * * *"\n', 7, "is not known",
           hint='did you mean "cron 0 2 * * *"')
bad_config("cron with a wrong hour", GOOD + 'schedule = "cron 0 24 * * *"\n', 7, 'a wrong hour: "24"', hint="from 0 to 23")
bad_config("cron with a wrong name", GOOD + 'schedule = "cron 0 2 * * sunn"\n', 7, 'a wrong day of the week: "sunn"',
           hint='did you mean "sun"')
bad_config("cron that never runs", GOOD + 'schedule = "cron 0 2 30 feb *"\n', 7, "never runs")
bad_config("cron with a step of nothing", GOOD + 'schedule = "cron */0 * * * *"\n', 7, "a wrong step for the minute")
bad_config("schedule that is a number", GOOD + "schedule = 30\n", 7, "schedule must be a string")
bad_config("unknown time zone", GOOD + 'time_zone = "Europe/Belrin"\n', 7, 'the time zone "Europe/Belrin" is not known',
           hint='did you mean "Europe/Berlin"')
bad_config("time zone that is a city", 'time_zone = "New_York"\n' + GOOD, 1, 'the time zone "New_York" is not known',
           hint='did you mean "America/New_York"')
bad_config("heartbeat that is no time", GOOD + 'heartbeat = "often"\n', 7, 'heartbeat is not a duration: "often"')
bad_config("heartbeat all the time", GOOD + 'heartbeat = "10ms"\n', 7, "heartbeat is shorter than a second", hint='or "off"')
bad_config("overlapping windows", GOOD + 'exclude_windows = ["Mon-Fri 08:00-20:00", "Fri 19:00-23:00"]\n', 7,
           'the window "Fri 19:00-23:00" overlaps "Mon-Fri 08:00-20:00"', hint="write one window for both")
bad_config("windows that overlap after midnight", GOOD + 'exclude_windows = ["Sat 22:00-02:00", "Sun 01:00-03:00"]\n', 7,
           'overlaps "Sat 22:00-02:00"')
bad_config("windows that leave no time", GOOD + 'exclude_windows = ["00:00-24:00"]\n', 7, "exclude the whole week")
bad_config("window without times", GOOD + 'exclude_windows = ["Sun"]\n', 7, 'the window "Sun" has no times')
bad_config("window with an unknown day", GOOD + 'exclude_windows = ["Sonntag 08:00-20:00"]\n', 7, "names a day that is not known")
bad_config("windows that are no list", GOOD + 'exclude_windows = "Sun 08:00-20:00"\n', 7, "must be an array of strings")
bad_config("misspelled windows", GOOD + "exclude_window = []\n", 7, 'unknown key "exclude_window"',
           hint='did you mean "exclude_windows"')
bad_config("share without a percent sign", GOOD + 'max_deletes = "20"\n', 7, "max_deletes cannot be")
bad_config("share above 100", GOOD + 'max_deletes = "101%"\n', 7, "max_deletes cannot be")
bad_config("negative limit", GOOD + "max_deletes = -5\n", 7, "cannot be negative")
bad_config("duration without a unit", 'lock_timeout = "10"\n' + GOOD, 1, "is not a duration")
bad_config("duration that is a number", "lock_timeout = 10\n" + GOOD, 1, "must be a duration in a string")
bad_config("retention of an hour", 'tombstone_retention = "1h"\n' + GOOD, 1, "whole days")
bad_config("duplicate node", GOOD + '[node.a]\nurl = "sqlite:c.db"\n', 7, "cannot redefine")
bad_config("duplicate job", GOOD + '[job.x]\nnodes = ["b", "a"]\n', 7, "cannot redefine")
bad_config("duplicate key", GOOD + 'nodes = ["b", "a"]\n', 7, "cannot redefine")
bad_config("unknown node in a job", NODES + '[job.x]\nnodes = ["a", "bb"]\n', 6, 'not described: "bb"', hint='did you mean "b"')
bad_config("job with one node", NODES + '[job.x]\nnodes = ["a"]\n', 6, "needs two nodes")
bad_config("job without nodes", NODES + '[job.x]\nmode = "backup"\n', 5, "has no nodes")
bad_config("node twice in a job", NODES + '[job.x]\nnodes = ["a", "b", "a"]\n', 6, "twice")
bad_config("node without url", NODES + "[node.c]\n" + JOB, 5, "has no url")
bad_config("empty url", NODES + '[node.c]\nurl = ""\n' + JOB, 6, 'node "c"')
bad_config("unknown database product", NODES + '[node.c]\nurl = "oracle:c"\n' + JOB, 6, 'node "c"')
bad_config("url without a file", NODES + '[node.c]\nurl = "sqlite:"\n' + JOB, 6, 'node "c"')
bad_config("two names for one file", NODES + '[node.c]\nurl = "sqlite:./a.db"\n' + JOB, 6, "are the same database")
bad_config("two names through a link", NODES + '[node.c]\nurl = "sqlite:link.db"\n' + JOB, 6, "are the same database",
           setup=lambda f: os.symlink("a.db", f / "link.db"))
bad_config("two names, one absolute", NODES + '[node.c]\nurl = "sqlite://@FOLDER@/b.db"\n' + JOB, 6, "are the same database")
bad_config("node name with a dash in front", GOOD + '[node."-c"]\nurl = "sqlite:c.db"\n', 7, "begins with a dash")
bad_config("table listed and excluded", GOOD + 'tables = ["t"]\nexclude = ["t*"]\n', 5, "and excludes it")
bad_config("one pair in two modes", GOOD + '[job.y]\nnodes = ["b", "a"]\nmode = "backup"\n', 7, "contradict each other")
bad_config("backup target written by another job",
           NODES + '[node.c]\nurl = "sqlite:c.db"\n' + JOB + 'mode = "backup"\n[job.y]\nnodes = ["c", "b"]\n', 10,
           "is the target of the backup")
bad_config("backups in a ring", GOOD + 'mode = "backup"\n[job.y]\nnodes = ["b", "a"]\nmode = "backup"\n', 8, "contradict each other")
bad_config("unclosed quote", '[node.a]\nurl = "sqlite:a.db\n' + JOB, 2, "string", hint="close the text with the quote")
bad_config("unclosed quote at the end", GOOD + 'conflict = "latest', 7, "string", hint="close the text with the quote")
bad_config("unclosed array", GOOD + 'tables = ["t"\n[node.c]\n', 8, "array")
bad_config("no value", GOOD + "mode =\n", 7, "key-value pair")
bad_config("no TOML at all", "<xml/>\n", 1, "expected keys")
bad_config("broken UTF-8", NODES + "# caf\udce9\n" + JOB, 5, "utf-8")
bad_config("0 bytes", "", 1, "describes no node")
bad_config("comments only", "# nothing\n", 1, "describes no node")
bad_config("no job", NODES, 1, "describes no job")

case("config: missing file", ["--config", "none.toml", "sync"], 2, "none.toml: no such file", hint="tidemark init")
case("config: missing default file", ["sync"], 2, "tidemark.toml: no such file", hint="tidemark init",
     setup=lambda f: (f / "tidemark.toml").unlink())
case("config: a directory", ["--config", ".", "check"], 2, "is a directory")
case("config: a database", ["--config", "a.db", "check"], 2, "is a SQLite database")
case("config: unreadable", ["status"], 2, "Permission denied", user=NOBODY,
     setup=lambda f: os.chmod(f / "tidemark.toml", 0))
case("config: below a file", ["-c", "a.db/tidemark.toml", "status"], 2, "no such file")
case("config: a device without end", ["-c", "/dev/zero", "status"], 2, "larger than 4 MiB")
case("init: the file exists", ["init"], 1, "exists already")
case("init: no such folder", ["init", "--config", "none/x.toml"], 1, "cannot write none/x.toml")
case("init: no permission", ["init", "--config", "x.toml"], 1, "cannot write x.toml: Permission denied", user=NOBODY,
     setup=lambda f: os.chmod(f, 0o555))

# --- command lines ------------------------------------------------------------------------------------------------------
case("no command", [], 2, "no command is given")
case("empty command", [""], 2, "there is no command")
case("misspelled command", ["synch"], 2, 'no command "synch"', hint='did you mean "sync"')
case("command of a later release", ["export"], 2, 'no command "export"')
case("unknown option", ["sync", "--force"], 2, "sync has no option --force")
case("misspelled option", ["sync", "--dryrun"], 2, "has no option --dryrun", hint="did you mean --dry-run")
case("prefix of an option", ["sync", "--dry"], 2, "has no option --dry")
case("prefix of a global option", ["--conf", "x.toml", "sync"], 2, 'no command "x.toml"')
case("option of another command", ["status", "--repair"], 2, "status has no option --repair")
case("unknown letter", ["sync", "-x"], 2, "has no option -x")
case("option without its argument", ["status", "--config"], 2, "--config needs an argument")
case("option with an empty argument", ["status", "--config="], 2, "--config")
case("switch with an argument", ["status", "--quiet=yes"], 2, "--quiet takes no argument")
case("option given twice", ["-c", "a", "-c", "b", "status"], 2, "--config is given twice")
case("unknown choice", ["--progress", "sometimes", "sync"], 2, '--progress cannot be "sometimes"')
case("number expected", ["sessions", "--limit", "many"], 2, '--limit cannot be "many"')
case("number out of range", ["sessions", "--limit", "0"], 2, '--limit cannot be "0"')
case("word too many", ["status", "a"], 2, 'status does not know what to do with "a"')
case("word too many after init", ["init", "shop.toml"], 2, "does not know what to do with")
case("no node to deactivate", ["deactivate"], 2, "needs at least one NODE")
case("unknown subcommand", ["conflicts", "lst"], 2, 'no subcommand "lst"', hint='did you mean "list"')
case("no id", ["conflicts", "show"], 2, "conflicts show needs one ID")
case("two ids where one is shown", ["conflicts", "show", "a", "b"], 2, 'what to do with "b"')
case("unknown id to show", ["conflicts", "show", "abc"], 2, 'id that begins with "abc"')
case("empty id", ["conflicts", "dismiss", ""], 2, "no conflict has an id")
case("unknown id to reinstate", ["conflicts", "reinstate", "abc", "--dry-run"], 2, "no conflict has an id")
case("unknown job to sync", ["sync", "y"], 2, 'no job is called "y"', hint="jobs of this file: x")
case("one of two jobs is unknown", ["sync", "x", "why"], 2, 'no job is called "why"')
case("unknown job to verify", ["verify", "X"], 2, 'no job is called "X"', hint='did you mean "x"')
case("unknown job to check", ["check", "nosuch"], 2, 'no job is called "nosuch"')
case("unknown job of sessions", ["sessions", "nosuch"], 2, 'no job is called "nosuch"')
case("unknown node to activate", ["activate", "c"], 2, 'no node is called "c"', hint="nodes of this file: a and b")
case("unknown node to deactivate", ["deactivate", "a", "zz"], 2, 'no node is called "zz"')
case("node of no job", ["activate", "c"], 2, "node c is part of no job", config='[node.c]\nurl = "sqlite:c.db"\n' + GOOD)
case("identity of all nodes", ["activate", "--new-identity"], 2, "needs the name of one node")
case("incarnation of two nodes", ["activate", "a", "b", "--new-incarnation"], 2, "needs the name of one node")
case("identity and incarnation", ["activate", "a", "--new-identity", "--new-incarnation"], 2, "exclude each other")
case("dry run of verify", ["verify", "--dry-run"], 2, "--dry-run is for --repair")
case("help for nothing", ["help", "nosuch"], 2, 'no command "nosuch"')
case("help for a subcommand that is none", ["help", "sync", "now"], 2, "sync has no subcommands")


# --- databases ----------------------------------------------------------------------------------------------------------
def write(name, content):
    return lambda f: (f / name).write_bytes(content)


def replace_by(make):
    def setup(folder):
        (folder / "b.db").unlink()
        make(folder / "b.db")
    return setup


def both(*setups):
    def setup(folder):
        for each in setups:
            each(folder)
    return setup


def corrupt(folder):
    content = bytearray((folder / "b.db").read_bytes())
    content[100:] = random.Random(7).randbytes(len(content) - 100)
    (folder / "b.db").write_bytes(content)


def sql(name, text):
    def setup(folder):
        connection = sqlite3.connect(folder / name)
        connection.executescript(text)
        connection.close()
    return setup


case("database: missing", ["activate"], 5, "node b: no such file", setup=lambda f: (f / "b.db").unlink(), hint="create-tables")
case("database: missing, session", ["sync"], 5, "node b: no such file", setup=lambda f: (f / "b.db").unlink())
case("database: missing folder", ["activate"], 5, "node b: no such file", config=GOOD.replace("b.db", "none/b.db"))
case("database: missing folder, to be made", ["activate", "--create-tables"], 5, "cannot make the database",
     config=GOOD.replace("b.db", "none/b.db"))
case("database: below a file", ["sync"], 5, "node b", config=GOOD.replace("b.db", "a.db/b.db"))
case("database: a directory", ["sync"], 5, "is a directory", setup=replace_by(lambda p: p.mkdir()))
case("database: text", ["activate"], 5, "node b: .*not a database", setup=write("b.db", b"id,name\n1,Anna\n" * 100))
case("database: encrypted", ["activate"], 5, "node b: .*not a database", setup=write("b.db", random.Random(1).randbytes(8192)))
case("database: encrypted, session", ["verify"], 5, "node b: .*not a database",
     setup=write("b.db", random.Random(2).randbytes(8192)))
case("database: damaged", ["activate"], 1, "node b: .*is damaged", setup=corrupt)
case("database: header only", ["activate"], 1, "node b: .*is damaged", setup=lambda f: write("b.db", (f / "a.db").read_bytes()[:60])(f))
case("database: read-only", ["activate"], 5, "node a: .*permission to write|node a: .*can only be read", user=NOBODY,
     setup=lambda f: os.chmod(f / "a.db", 0o444))
case("database: unreadable", ["activate"], 5, "node a: .*permission to read", user=NOBODY,
     setup=lambda f: os.chmod(f / "a.db", 0))
case("database: folder not to be entered", ["activate"], 5, "node a", user=NOBODY, config=GOOD.replace("a.db", "sub/a.db"),
     setup=lambda f: ((f / "sub").mkdir(), os.chmod(f / "sub", 0)))
case("database: a pipe", ["sync"], 5, "is not a regular file", setup=replace_by(os.mkfifo))
case("database: a link to nothing", ["sync"], 5, "node b: no such file", setup=replace_by(lambda p: os.symlink("gone.db", p)))
case("database: a link to itself", ["sync"], 5, "node b", setup=replace_by(lambda p: os.symlink("b.db", p)))
case("database: 0 bytes", ["activate"], 8, "node b has no table that its jobs take", setup=write("b.db", b""), hint="--create-tables")

# --- nodes that are not ready -----------------------------------------------------------------------------------------------
case("not activated", ["sync"], 8, "is not activated", hint="tidemark activate")
case("not activated, verify", ["verify"], 8, "node a is not activated")
case("listed table that no node has", ["activate"], 8, "has no table nosuch", config=GOOD + 'tables = ["nosuch"]\n')
case("listed table without a key", ["activate"], 8, "table keyless cannot take part", config=GOOD + 'tables = ["keyless"]\n',
     setup=both(sql("a.db", "CREATE TABLE keyless(v);"), sql("b.db", "CREATE TABLE keyless(v);")))
case("globs that match nothing", ["activate"], 8, "has no table that its jobs take", config=GOOD + 'tables = ["z*"]\n')


def activated(*later):
    def setup(folder):
        run_tidemark(folder, ["activate"], None, check=True)
        for each in later:
            each(folder)
    return setup


def copy_identity(folder):
    shutil.copy(folder / "a.db", folder / "b.db")


case("a copied database", ["sync"], 7, "carry one identity", setup=activated(copy_identity), hint="--new-identity")
case("only one node activated", ["sync"], 8, "node b is not activated",
     setup=lambda f: run_tidemark(f, ["activate", "a"], None, check=True))
case("tables that differ", ["sync"], 8, "column v", setup=both(
    sql("b.db", "DROP TABLE t; CREATE TABLE t(id INTEGER PRIMARY KEY, v INTEGER);"), activated()))
case("a column more since activation", ["sync"], 8, "node a was changed: column w is new",
     setup=activated(sql("a.db", "ALTER TABLE t ADD COLUMN w TEXT")), hint="tidemark check")

# --- running them -----------------------------------------------------------------------------------------------------------
TIDEMARK = None


def run_tidemark(folder, args, user, check=False):
    result = subprocess.run([TIDEMARK] + args, cwd=folder, capture_output=True, timeout=60, user=user,
                            stdin=subprocess.DEVNULL)
    if check and result.returncode != 0:
        raise AssertionError("setup %s ended with %d: %s" % (args, result.returncode, result.stderr.decode()))
    return result


def snapshot(folder):
    """Every file with its bytes, mode and time of change; links and other things by what they are."""
    seen = {}
    for path in sorted(folder.rglob("*")):
        if path.name.endswith(".tidemark-lock"):
            continue  # whoever got as far as looking at a pair has locked it; the empty file stays
        info = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(info.st_mode) else b""
        if stat.S_ISLNK(info.st_mode):
            content = os.readlink(path).encode()
        seen[str(path.relative_to(folder))] = (stat.filemode(info.st_mode), info.st_mtime_ns, content)
    return seen


def prepare(folder, each):
    for name in ("a.db", "b.db"):
        connection = sqlite3.connect(folder / name)
        connection.executescript("CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t(v) VALUES ('x'), ('y');")
        connection.close()
    text = each.config.replace("@FOLDER@", str(folder))
    (folder / "tidemark.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    if each.setup:
        each.setup(folder)
    if each.user is not None:
        for path in [folder] + sorted(folder.rglob("*")):
            os.chown(path, each.user, each.user, follow_symlinks=False)


def require(condition, what):
    if not condition:
        raise AssertionError(what)


def check_text(each, result):
    out, err = result.stdout.decode(), result.stderr.decode()
    require(out == "", "stdout is not empty: %s" % out)
    lines = err.splitlines()
    require(len(lines) == 2 and lines[0].startswith("ERROR: ") and lines[1].startswith("HINT: "),
            "not one ERROR with its HINT:\n%s" % err)
    return lines[0][len("ERROR: "):], lines[1][len("HINT: "):]


def check_json(each, result):
    out, err = result.stdout.decode(), result.stderr.decode()
    require(err == "", "stderr is not empty: %s" % err)
    documents = [json.loads(line) for line in out.splitlines()]
    require(len(documents) == 1, "not one document:\n%s" % out)
    document = documents[0]
    require(document["v"] == 1 and document["type"] == "error", "not an error: %s" % document)
    require(document["code"] == each.code, "code %s in the document" % document["code"])
    return document["message"], document["hint"]


def run_case(each, as_json):
    if each.user is not None and os.geteuid() != 0:
        each.user = None  # an ordinary user is kept out by permissions as it is
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tidemark-bad-"))
    try:
        os.chmod(folder, 0o755)
        prepare(folder, each)
        before = snapshot(folder)
        args = (["--json"] if as_json else []) + each.args
        result = run_tidemark(folder, args, each.user)
        message, hint = (check_json if as_json else check_text)(each, result)
        told = "%s\nHINT: %s" % (message, hint)
        require(result.returncode == each.code, "exit code %d instead of %d: %s" % (result.returncode, each.code, told))
        require(re.search(each.says, message), "the message does not say %r: %s" % (each.says, told))
        require(len(hint) > 10 and each.hint in hint, "the hint does not say %r: %s" % (each.hint, told))
        if each.line is not None:
            prefix = "tidemark.toml:%d: " % each.line
            require(message.startswith(prefix), "the message does not begin with %r: %s" % (prefix, told))
        after = snapshot(folder)
        changed = sorted(name for name in set(before) | set(after) if before.get(name) != after.get(name))
        require(not changed, "files changed: %s" % changed)
    finally:
        os.chmod(folder, 0o755)
        for path in folder.rglob("*"):
            if path.is_dir() and not path.is_symlink():
                os.chmod(path, 0o755)
        shutil.rmtree(folder)


def main():
    global TIDEMARK
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tidemark", default=os.environ.get("TIDEMARK"), help="path of the program (or env TIDEMARK)")
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    args = parser.parse_args()
    if not args.tidemark:
        parser.error("--tidemark is needed")
    with tempfile.TemporaryDirectory(prefix="tidemark-program-") as program:
        # Where another user may run it, whatever the permissions of the checkout.
        os.chmod(program, 0o755)
        TIDEMARK = shutil.copy(args.tidemark, program)
        failed = ran = 0
        for each in CASES:
            if args.only not in each.name:
                continue
            for as_json in (False, True):
                ran += 1
                try:
                    run_case(each, as_json)
                except (AssertionError, subprocess.TimeoutExpired, ValueError) as error:
                    failed += 1
                    print("FAILED %s%s\n  tidemark %s\n  %s" % (each.name, " (--json)" if as_json else "",
                                                               " ".join(each.args), str(error).replace("\n", "\n  ")))
    print("bad input: %d cases, %d runs, %d failed" % (len(CASES), ran, failed))
    return 1 if failed or not ran else 0


if __name__ == "__main__":
    sys.exit(main())
