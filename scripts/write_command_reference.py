#!/usr/bin/env python3
"""Writes docs/commands.md or a man page from what `tidemark help` says, so that the command table is their only source.

  scripts/write_command_reference.py TIDEMARK          writes docs/commands.md
  scripts/write_command_reference.py TIDEMARK --man    prints a man page, for man/man1/tidemark.1
"""
import os
import pathlib
import re
import subprocess
import sys

TARGET = pathlib.Path(__file__).resolve().parents[1] / "docs" / "commands.md"
INTRODUCTION = """# Commands

<!-- Made by scripts/write_command_reference.py from the program's own help; a test compares the two. -->

What `tidemark help` and `tidemark help COMMAND` print. Data goes to stdout; progress, logs and messages go to stderr. On a
terminal there are colours and a progress bar, elsewhere neither; `NO_COLOR=1` takes the colours away. With
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


def pages(program):
    """(command, its help), the overview first with an empty command."""
    overview = help_of(program)
    yield "", overview
    for command in commands_of(overview):
        page = help_of(program, command)
        yield command, page
        for part in commands_of(page):
            yield "%s %s" % (command, part), help_of(program, command, part)


def reference(program):
    text = INTRODUCTION
    for command, page in pages(program):
        level = "###" if " " in command else "##"
        text += section(("%s tidemark %s" % (level, command)).rstrip(), page)
    return text


def verbatim(page):
    """Lines as they are: no fill, and no line that begins with a control character of roff."""
    lines = page.replace("\\", "\\e").replace("-", "\\-").splitlines()
    return "\n".join([".nf", *("\\&" + line if line[:1] in (".", "'") else line for line in lines), ".fi"])


def man_page(program):
    text = ['.TH TIDEMARK 1', '.SH NAME', 'tidemark \\- keeps databases in agreement', '.SH SYNOPSIS',
            '.B tidemark', '.I COMMAND', '[options]', '.SH DESCRIPTION']
    for command, page in pages(program):
        text += [".SS tidemark " + command, verbatim(page)] if command else [verbatim(page), ".SH COMMANDS"]
    text += [".SH FILES", ".TP", ".I tidemark.toml", "the nodes and jobs, unless \\-\\-config names another file"]
    return "\n".join(text) + "\n"


def main():
    if len(sys.argv) == 3 and sys.argv[2] == "--man":
        print(man_page(sys.argv[1]), end="")
    elif len(sys.argv) == 2:
        TARGET.write_text(reference(sys.argv[1]), encoding="utf-8")
    else:
        sys.exit(__doc__)
    return 0


if __name__ == "__main__":
    sys.exit(main())
