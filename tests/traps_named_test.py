"""Every known trap of the engines is named by a test that runs: P1 to P18 of PostgreSQL and S1 to S34 of SQLite, by
test_p07_... or test_p7_p17_... in Python, or by "... (S8, S9)" at the end of a test case's name. A test that is renamed or
taken away must not leave its trap to nobody. Run by itself it first shows that it notices one that is missing.
"""
import pathlib
import re
import sys

TESTS = pathlib.Path(__file__).resolve().parent
TRAPS = ["P%d" % i for i in range(1, 19)] + ["S%d" % i for i in range(1, 35)]
# Only what is handed to the runner runs.
FUNCTION = re.compile(r"^@(?:test|long_only)\ndef test_((?:[ps]\d+_)+)", re.MULTILINE)
CASE = re.compile(r'^TEST_CASE(?:_TEMPLATE)?\(\s*((?:"[^"\n]*"\s*)+)', re.MULTILINE)
IN_CASE = re.compile(r"\(((?:[PS]\d+(?:, )?)+)\)")


def named_in(name, text):
    """The traps that tests of this file name."""
    if name.endswith(".py"):
        found = [word for names in FUNCTION.findall(text) for word in names.split("_")]
    else:
        found = [word for case in CASE.findall(text) for names in IN_CASE.findall(case) for word in names.split(", ")]
    return {word[0].upper() + str(int(word[1:])) for word in found if word}


def missing_in(files):
    """Traps that no test of {name: text} names."""
    named = set().union(*(named_in(name, text) for name, text in files.items()))
    return [trap for trap in TRAPS if trap not in named]


def self_test():
    well = {"x_test.py": "".join("@test\ndef test_%s_is_held(lab):\n    pass\n" % trap.lower() for trap in TRAPS[2:-1]) +
                         "@long_only\ndef test_p1_p02_both_are_held(lab):\n    pass\n",
            "y_test.cpp": 'TEST_CASE("held (S33, S34)") {}\n'}
    if missing_in(well):
        raise SystemExit("the check misses %s in tests that name all" % missing_in(well))
    for old, new, expected in (("@test\ndef test_p12_", "@test\ndef test_", "P12"), ("@test\ndef test_s7_", "def test_s7_", "S7"),
                               ("p1_p02", "p1", "P2"), ("(S33, S34)", "(S33)", "S34"),
                               ('TEST_CASE("held', '// TEST_CASE("held', "S34")):
        broken = {name: text.replace(old, new) for name, text in well.items()}
        if missing_in(broken) != [expected]:
            raise SystemExit("the check does not notice that %s is missing: %s" % (expected, missing_in(broken)))


def main():
    self_test()
    files = {path.relative_to(TESTS).as_posix(): path.read_text(encoding="utf-8") for path in sorted(TESTS.rglob("*_test.*"))
             if path.suffix in (".py", ".cpp") and path != pathlib.Path(__file__).resolve()}
    missing = missing_in(files)
    print("\n".join("no test names " + trap for trap in missing) if missing else
          "each of %d traps is named by a test" % len(TRAPS))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
