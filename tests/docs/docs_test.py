#!/usr/bin/env python3
"""What the documentation says is held against the program: the command reference is the program's own help, every
configuration is accepted, every command line has words and options that exist, every link leads somewhere."""
import argparse
import importlib.util
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def blocks(text, *languages):
    return [body for language, body in re.findall(r"^```(\w+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
            if language in languages]


def anchors(text):
    """Headings as they are linked to."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(page, text):
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path) if path else page
        if not file.exists():
            yield "the link %s leads nowhere" % target
        elif anchor and anchor not in anchors(text if file == page else file.read_text(encoding="utf-8")):
            yield "%s has no heading #%s" % (path or page.name, anchor)


def configurations(program, text):
    for block in blocks(text, "toml"):
        named = set(re.findall(r'"([\w-]+)"', " ".join(re.findall(r"^nodes\s*=\s*\[(.*?)\]", block, re.MULTILINE))))
        missing = named - set(re.findall(r"^\[node\.([\w-]+)\]", block, re.MULTILINE))
        whole = block + "".join('\n[node.%s]\nurl = "sqlite:%s.db"\n' % (name, name) for name in sorted(missing))
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "tidemark.toml"
            file.write_text(whole, encoding="utf-8")
            done = subprocess.run([program, "check", "--config", str(file), "--progress", "never"], capture_output=True,
                                  text=True, check=False)
            if done.returncode == 2:
                yield "a configuration is refused: %s" % (done.stdout + done.stderr).strip()


def command_lines(program, text):
    """Words and options only: values and files of an example need not be there."""
    lines = [line.strip() for block in blocks(text, "sh", "console") for line in block.splitlines()]
    lines += re.findall(r"`(tidemark [^`]*)`", text)
    for line in lines:
        words = line.lstrip("$ ").split("#")[0].split()
        if words[:1] != ["tidemark"] or words[1:2] == ["--help"] or len(words) < 2 or not words[1].islower():
            continue
        command = [w for w in words[1:3] if re.fullmatch(r"[a-z]+", w)]
        page = None
        for length in (2, 1):
            done = subprocess.run([program, "help", *command[:length]], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                page = done.stdout
                break
        if page is None:
            yield "no such command: %s" % line
            continue
        for option in (w.partition("=")[0].rstrip(",.;") for w in words[1:] if w.startswith("--")):
            if option not in re.findall(r"--[a-z-]+", page):
                yield "no such option: %s in %s" % (option, line)


def reference(program):
    spec = importlib.util.spec_from_file_location("reference", ROOT / "scripts" / "write_command_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = module.man_page(program)
    for command in module.commands_of(module.help_of(program)):
        if ".SS tidemark %s\n" % command not in page:
            yield "the man page lacks the command " + command
    if module.TARGET.read_text(encoding="utf-8") != module.reference(program):
        yield "it is not what the program says: run scripts/write_command_reference.py %s" % program


def problems(program, page, text):
    return [*links(page, text), *configurations(program, text), *command_lines(program, text)]


BROKEN = """# Broken
See [nothing](no-such-file.md) and [here](#no-such-heading), or run `tidemark sink` and `tidemark sync --fast`.
```toml
[job.x]
nodes = ["a", "b"]
speed = "high"
```
"""


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("--tidemark", required=True)
    program = args.parse_args().tidemark
    found = ["docs/commands.md: " + problem for problem in reference(program)]
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        found += ["%s: %s" % (page.relative_to(ROOT), problem) for problem in problems(program, page, text)]
    caught = problems(program, ROOT / "README.md", BROKEN)
    if len(caught) != 5:
        found.append("of 5 mistakes in a broken page %d were found: %s" % (len(caught), caught))
    print("\n".join(found))
    print("%d pages, %d problems" % (len(PAGES), len(found)))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
