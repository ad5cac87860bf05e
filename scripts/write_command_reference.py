#!/usr/bin/env python3
"""Writes docs/commands.md from what `tidemark help` says, so that the command table is its only source.

  scripts/write_command_reference.py TIDEMARK           to docs/commands.md
  scripts/write_command_reference.py TIDEMARK --print   to stdout
"""
import os
import pathlib
import re
import subprocess
import sys

TARGET = pathlib.Path(__file__).resolve().parents[1] / "docs" / "commands.md"
INTRODUCTION = """# Commands

<!-- Made by scripts/write_command_reference.py from the program's own help; a test compares the two. -->

What `tidemark help` and `tidemark help COMMAND` print. Data goes to stdout; progress, logs and messages go to stderr. With
`--json` every command prints JSON objects, one a line, each with `"v"` (the version of the format, 1) and `"type"`; an error is an
object of type `error` with `code`, `message` and `hint`.
"""


def help_of(program, *command):
    environment = dict(os.environ, COLUMNS="80")
    done = subprocess.run([program, "help", *command], capture_output=True, text=True, check=True, env=environment)
    return done.stdout.rstrip()


def section(title, text):
    return "\n%s\n\n```text\n%s\n```\n" % (title, text)


def commands_of(text):
    """The words of the commands that a help page lists."""
    listed = re.search(r"^commands:\n((?:  .*\n)+)", text + "\n", re.MULTILINE)
    return re.findall(r"^  ([a-z]+)", listed.group(1), re.MULTILINE) if listed else []


def reference(program):
    overview = help_of(program)
    text = INTRODUCTION + section("## tidemark", overview)
    for command in commands_of(overview):
        page = help_of(program, command)
        text += section("## tidemark " + command, page)
        for part in commands_of(page):
            text += section("### tidemark %s %s" % (command, part), help_of(program, command, part))
    return text


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    text = reference(sys.argv[1])
    if sys.argv[2:] == ["--print"]:
        print(text, end="")
    else:
        TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
