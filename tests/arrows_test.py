"""Reads every #include of the project and holds the arrows of DESIGN.md:

    cli -> scheduler -> {capture, apply, compare} -> engines -> model

Run by itself it first shows that it catches a tree with one broken include of each kind.
"""
import pathlib
import re
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]

# Which folders a folder may include, besides itself.
ARROWS = {
    "model": set(),
    "compare": {"model"},
    "engines": {"model"},
    "capture": {"engines", "model"},
    "apply": {"capture", "compare", "engines", "model"},
    "scheduler": {"apply", "capture", "compare", "engines", "model"},
    "cli": {"scheduler", "apply", "capture", "compare", "engines", "model"},
}
# Drivers stay inside their engine. Tests and benchmarks play the application, which has a driver of its own.
DRIVERS = {
    "sqlite3.h": "engines/sqlite", "sqlite3ext.h": "engines/sqlite",
    "pqxx": "engines/postgresql", "libpq-fe.h": "engines/postgresql",
}
# A decision is made of what it is given: compare has no way to reach a clock, a file or a log.
KEPT_FROM = {
    "compare": {"chrono", "ctime", "time.h", "iostream", "fstream", "cstdio", "stdio.h", "filesystem", "random",
                "thread", "mutex", "spdlog", "date", "nlohmann"},
    "model": {"chrono", "ctime", "time.h", "iostream", "fstream", "filesystem", "random", "thread", "mutex", "spdlog",
              "date"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
SOURCES = {".h", ".cpp"}


def unit_of(path):
    """engines/sqlite/statement.h -> engines/sqlite; engines/engine.h -> engines; model/value.h -> model."""
    parts = pathlib.PurePosixPath(path).parts[:-1]
    return "/".join(parts[:2]) if parts[:1] == ("engines",) else "".join(parts[:1])


def problems_in(root):
    problems = []
    for folder in ARROWS:
        for file in sorted((root / folder).rglob("*")):
            if file.suffix not in SOURCES:
                continue
            name = file.relative_to(root).as_posix()
            for mark, included in INCLUDE.findall(file.read_text(encoding="utf-8")):
                problem = problem_of(root, name, mark, included)
                if problem:
                    problems.append("%s includes %s: %s" % (name, included, problem))
    return problems


def problem_of(root, name, mark, included):
    folder, unit = name.split("/")[0], unit_of(name)
    first = included.split("/")[0]
    owner = DRIVERS.get(first)
    if owner and unit != owner:
        return "the driver stays in %s" % owner
    if first in KEPT_FROM.get(folder, ()):
        return "%s decides on what it is given" % folder
    if mark == "<" and "/" not in included:
        return None  # the standard library, whose <compare> is not our folder
    if included.startswith("../") or "/../" in included:
        return "an include starts at the root of the project"
    if first in ("tests", "bench", "examples"):
        return "the program includes no tests"
    if first not in ARROWS:
        local = (root / name).parent / included
        return "an include starts at the root of the project" if local.exists() else None
    if first != folder and first not in ARROWS[folder]:
        return "%s must not know %s" % (folder, first)
    other = unit_of(included)
    if other.startswith("engines/") and other != unit and name != "engines/registry.cpp":
        return "only the registry knows the engines"
    return None


# One broken include a line, in a tree that is otherwise well.
WELL = {
    "model/value.h": "#include <string>", "compare/decide.h": '#include "model/value.h"',
    "engines/engine.h": '#include "model/value.h"', "engines/registry.cpp": '#include "engines/sqlite/node.h"',
    "engines/sqlite/node.h": '#include <sqlite3.h>\n#include "engines/engine.h"',
    "capture/harvest.h": '#include "engines/engine.h"',
    "apply/pull.h": '#include "capture/harvest.h"\n#include "compare/decide.h"',
    "scheduler/session.h": '#include "apply/pull.h"', "cli/context.h": '#include "scheduler/session.h"',
}
BROKEN = [
    ("model/value.cpp", '#include "engines/engine.h"'), ("model/value.cpp", '#include <chrono>'),
    ("compare/decide.cpp", '#include "engines/engine.h"'), ("compare/decide.cpp", '#include "apply/pull.h"'),
    ("compare/decide.cpp", '#  include <fstream>'), ("engines/spool.cpp", '#include "capture/harvest.h"'),
    ("engines/spool.cpp", '#include "engines/sqlite/node.h"'),
    ("engines/memory/node.cpp", '#include "engines/sqlite/node.h"'),
    ("engines/memory/node.cpp", '#include <sqlite3.h>'), ("capture/harvest.cpp", '#include "apply/pull.h"'),
    ("capture/harvest.cpp", '#include "compare/decide.h"'), ("apply/pull.cpp", '#include <sqlite3.h>'),
    ("apply/pull.cpp", '#include "engines/sqlite/node.h"'), ("apply/pull.cpp", '#include "scheduler/session.h"'),
    ("scheduler/session.cpp", '#include "cli/context.h"'), ("cli/main/main.cpp", '#include "sqlite3.h"'),
    ("cli/main/main.cpp", '#include <pqxx/pqxx>'), ("cli/main/main.cpp", '#include "../context.h"'),
    ("cli/text.cpp", '#include "context.h"'), ("scheduler/session.cpp", '#include "tests/fixtures/x.h"'),
]


def self_test():
    def tree(extra=None):
        with tempfile.TemporaryDirectory(prefix="tidemark-arrows-") as directory:
            for name, text in list(WELL.items()) + ([extra] if extra else []):
                file = pathlib.Path(directory) / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text + "\n")
            return problems_in(pathlib.Path(directory))

    if tree():
        raise SystemExit("the check refuses a tree that is well: %s" % tree())
    for extra in BROKEN:
        if len(tree(extra)) != 1:
            raise SystemExit("the check does not catch %s in %s: %s" % (extra[1], extra[0], tree(extra)))


def main():
    self_test()
    missing = [folder for folder in ARROWS if not (ROOT / folder).is_dir()]
    if missing:
        raise SystemExit("no such folder: %s" % ", ".join(missing))
    problems = problems_in(ROOT)
    print("\n".join(problems) if problems else "every include follows the arrows (%d broken ones were caught)" % len(BROKEN))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
