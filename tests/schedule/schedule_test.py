#!/usr/bin/env python3
"""Cron lines and windows against two oracles that share no code with the program.

The first walks minute by minute over what the clocks of a zone show (zoneinfo) and knows the whole rule, with both
changes of daylight saving. The second is `systemd-analyze calendar`. It follows another rule for changes of daylight
saving, so exactly the runs that the rules tell apart are left out of that comparison: a run at the end of a gap that
stands for times that were skipped, and second showings of a time.

Broken twins of the first oracle, each wrong in one rule, must be told from it by the same random questions.

    schedule_test.py --probe PROGRAM [--seed N] [--cases N]
"""
import argparse
import bisect
import collections
import datetime
import functools
import os
import random
import re
import subprocess
import sys
import zoneinfo

UTC = datetime.timezone.utc
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
DAYS = "sun mon tue wed thu fri sat".split()


def moment(*parts):
    return int(datetime.datetime(*parts, tzinfo=UTC).timestamp())


# Both changes of a year in each zone; Lord Howe goes by half an hour, Santiago at midnight.
CHANGES = {
    "Europe/Berlin": (moment(2026, 3, 29, 1), moment(2026, 10, 25, 1)),
    "America/New_York": (moment(2026, 3, 8, 7), moment(2026, 11, 1, 6)),
    "Australia/Lord_Howe": (moment(2026, 10, 3, 15, 30), moment(2026, 4, 4, 15)),
    "America/Santiago": (moment(2026, 9, 6, 4), moment(2026, 4, 5, 3)),
}

Cron = collections.namedtuple("Cron", "minutes hours days months weekdays either rhythm")
Question = collections.namedtuple("Question", "zone line begin count")


# --- The oracle that walks ------------------------------------------------------------------------------------------
def field(text, low, high, names=()):
    values = set()
    for part in text.lower().split(","):
        match = re.fullmatch(r"(\*|\w+)(?:-(\w+))?(?:/(\d+))?", part)
        first, last, step = match.groups()
        number = lambda word: names.index(word) + (low if high == 12 else 0) if word in names else int(word)
        begin, end = (low, high) if first == "*" else (number(first), number(last or first))
        if names and high == 7 and end == 0 and last:
            end = 7
        values.update(range(begin, end + 1, int(step or 1)))
    return values


def cron(line):
    texts = line.split()
    minutes, hours, days, months, weekdays = (
        field(texts[0], 0, 59), field(texts[1], 0, 23), field(texts[2], 1, 31), field(texts[3], 1, 12, MONTHS),
        {day % 7 for day in field(texts[4], 0, 7, DAYS)})
    return Cron(minutes, hours, days, months, weekdays, texts[2][0] != "*" and texts[4][0] != "*",
                texts[0][0] == "*" or texts[1][0] == "*")


def takes(fields, day):
    """`day` is a date of the calendar."""
    by_date, by_weekday = day.day in fields.days, day.isoweekday() % 7 in fields.weekdays
    return day.month in fields.months and (by_date or by_weekday if fields.either else by_date and by_weekday)


@functools.lru_cache(maxsize=None)
def walk(zone, begin, minutes):
    """What the clocks show at each minute from `begin`: (moment, date, hour, minute, seen before, skipped before), where
    `skipped` are the minutes as (date, hour, minute) that a jump forward left out right before."""
    zone = zoneinfo.ZoneInfo(zone)
    rows, seen, last = [], set(), None
    # Two hours of lead, so that what was shown before `begin` is known.
    for at in range(begin - 7200, begin + minutes * 60, 60):
        shown = datetime.datetime.fromtimestamp(at, zone).replace(tzinfo=None)
        skipped = []
        if last is not None and shown - last > datetime.timedelta(minutes=1):
            missing = last + datetime.timedelta(minutes=1)
            while missing < shown:
                skipped.append((missing.date(), missing.hour, missing.minute))
                missing += datetime.timedelta(minutes=1)
        if at >= begin:
            rows.append((at, shown.date(), shown.hour, shown.minute, shown in seen, skipped))
        seen.add(shown)
        last = shown
    return rows


def oracle(question, span, skips_gap=False, shows_twice=False, both_days=False, loses_rhythm=False):
    """The runs in the `span` minutes after begin; the keywords make broken twins."""
    fields = cron(question.line)
    if both_days:
        fields = fields._replace(either=False)
    rhythm = fields.rhythm and not loses_rhythm
    taken, runs = {}, []
    for at, day, hour, minute, seen, skipped in walk(question.zone, question.begin, span):
        if skipped and not rhythm and not skips_gap and any(
                takes(fields, d) and h in fields.hours and m in fields.minutes for d, h, m in skipped):
            runs.append(at)
            continue
        if minute not in fields.minutes or hour not in fields.hours or (seen and not rhythm and not shows_twice):
            continue
        if day not in taken:
            taken[day] = takes(fields, day)
        if taken[day]:
            runs.append(at)
    return [at for at in runs if at > question.begin][:question.count]


TWINS = {"a gap is skipped": {"skips_gap": True}, "a time shown twice runs twice": {"shows_twice": True},
         "both days must fit": {"both_days": True}, "no line keeps its rhythm": {"loses_rhythm": True}}


# --- Random questions -----------------------------------------------------------------------------------------------
def random_part(rng, low, high, names):
    word = lambda value: rng.choice([str.upper, str.title, str.lower])(names[value - (1 if high == 12 else 0)]) \
        if names and rng.random() < .4 and value - (1 if high == 12 else 0) < len(names) else str(value)
    kind = rng.random()
    if kind < .55:
        return word(rng.randint(low, high))
    first = rng.randint(low, high)
    last = rng.randint(first, high)
    if kind < .8:
        # The name of Sunday ends a range as the seventh day, not as the first.
        return "%s-%s" % ((first, last) if names is DAYS and first == 0 else (word(first), word(last)))
    step = rng.randint(1, max(1, (high - low) // 2))
    return "*/%d" % step if kind < .9 else "%d-%d/%d" % (first, last, step)


def random_field(rng, low, high, star, names=()):
    if rng.random() < star:
        return "*"
    return ",".join(random_part(rng, low, high, names) for _ in range(rng.choice([1, 1, 1, 2, 3])))


def random_line(rng):
    while True:
        hours = random_field(rng, 0, 23, .3)
        if rng.random() < .5:  # the hours in which clocks change
            hours = rng.choice(["0", "1", "2", "3", "1-3", "*/2", "0-4/2", "2,14", "*"])
        line = " ".join([random_field(rng, 0, 59, .15), hours, random_field(rng, 1, 31, .6),
                         random_field(rng, 1, 12, .75, MONTHS), random_field(rng, 0, 7, .6, DAYS)])
        fields = cron(line)
        if fields.either or any(d <= (29 if m == 2 else 30 if m in (4, 6, 9, 11) else 31)
                                for m in fields.months for d in fields.days):
            return line


def random_questions(rng, cases):
    """Around the changes of all zones, and a year long for one in sixty."""
    for index in range(cases):
        zone = rng.choice(list(CHANGES))
        if index % 60 == 0:
            yield Question(zone, random_line(rng), moment(2026, 1, 1), 5), 400 * 1440
        else:
            begin = rng.choice(CHANGES[zone]) - 3 * 86400
            yield Question(zone, random_line(rng), begin, 400), 6 * 1440


def ask(probe, lines):
    done = subprocess.run([probe], input="".join(line + "\n" for line in lines), capture_output=True, text=True,
                          check=True)
    answers = done.stdout.splitlines()
    if len(answers) != len(lines):
        sys.exit("%d answers to %d questions" % (len(answers), len(lines)))
    for line, answer in zip(lines, answers):
        if "error" in answer:
            sys.exit("%r is refused: %s" % (line, answer))
    return [[int(word) for word in answer.split()] for answer in answers]


def shown(zone, times):
    return ", ".join(datetime.datetime.fromtimestamp(t, zoneinfo.ZoneInfo(zone)).strftime("%F %T%z") for t in times)


def difference(question, ours, theirs):
    place = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
    return "%s %r from %s: run %d\n  ours   %s\n  oracle %s" % (
        question.zone, question.line, shown(question.zone, [question.begin]), place + 1,
        shown(question.zone, ours[place:place + 3]), shown(question.zone, theirs[place:place + 3]))


def against_walk(probe, rng, cases):
    questions = list(random_questions(rng, cases))
    answers = ask(probe, ["cron\t%s\t%s\t%d\t%d" % (q.zone, q.line, q.begin, q.count) for q, _ in questions])
    problems, runs = [], 0
    caught = dict.fromkeys(TWINS, 0)
    for (question, span), answer in zip(questions, answers):
        end = question.begin + span * 60
        ours = [at for at in answer if at < end]
        theirs = oracle(question, span)
        runs += len(theirs)
        if ours != theirs:
            problems.append(difference(question, ours, theirs))
        for name, wrong in TWINS.items():
            # Three times is enough to know.
            if span < 100 * 1440 and caught[name] < 3:
                caught[name] += oracle(question, span, **wrong) != theirs
    print("cron against the walk: %d lines, %d runs, %d problems; twins caught: %s" % (
        cases, runs, len(problems), ", ".join("%s %d" % pair for pair in caught.items())))
    return problems + ["the twin was not caught: %s" % name for name, times in caught.items() if times == 0]


# --- systemd --------------------------------------------------------------------------------------------------------
def calendar(fields, by_date, by_weekday):
    listed = lambda values: ",".join("%02d" % value for value in sorted(values))
    days = ",".join(DAYS[day].title() for day in sorted(fields.weekdays)) + " " if by_weekday else ""
    return "%s*-%s-%s %s:%s:00" % (days, listed(fields.months), listed(fields.days) if by_date else "*",
                                   listed(fields.hours), listed(fields.minutes))


def systemd_runs(expressions, begin, count):
    """For each expression its next runs; fewer when it has no more."""
    command = ["systemd-analyze", "calendar", "--iterations=%d" % count,
               "--base-time=" + datetime.datetime.fromtimestamp(begin, UTC).strftime("%F %T UTC"), *expressions]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "TZ": "UTC"})
    if done.returncode != 0:
        sys.exit("%s\n%s" % (" ".join(command), done.stderr))
    result = []
    for line in done.stdout.splitlines():
        if line.lstrip().startswith("Normalized form:"):
            result.append([])
        match = re.search(r"(?:Next elapse|Iter\. #\d+): \w+ (\S+ \S+) UTC", line)
        if match:
            at = datetime.datetime.strptime(match[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
            result[-1].append(int(at.timestamp()))
    if len(result) != len(expressions):
        sys.exit("systemd-analyze calendar answered %d of %d expressions" % (len(result), len(expressions)))
    return result


def both_rules(question, ours):
    """Without the runs that the rules of cron and systemd tell apart."""
    fields = cron(question.line)
    zone = zoneinfo.ZoneInfo(question.zone)
    kept = []
    for at in ours:
        clock = datetime.datetime.fromtimestamp(at, zone)
        named = clock.minute in fields.minutes and clock.hour in fields.hours and takes(fields, clock.date())
        if named and clock.fold == 0:
            kept.append(at)
    return kept


def against_systemd(probe, rng, cases):
    count, batch = 12, 60
    problems, runs, done = [], 0, 0
    twin_caught = 0
    while done < cases:
        zone = rng.choice(list(CHANGES))
        begin = rng.choice([rng.choice(CHANGES[zone]) - 86400, moment(2026, 1, 1) + 60 * rng.randrange(5 * 525600)])
        questions = [Question(zone, random_line(rng), begin, 4 * count) for _ in range(batch)]
        answers = ask(probe, ["cron\t%s\t%s\t%d\t%d" % (q.zone, q.line, q.begin, q.count) for q in questions])
        expressions, places = [], []
        for question in questions:
            fields = cron(question.line)
            forms = [(True, False), (False, True)] if fields.either else [(True, True)]
            places.append(range(len(expressions), len(expressions) + len(forms)))
            expressions += ["%s %s" % (calendar(fields, *form), zone) for form in forms]
        theirs = systemd_runs(expressions, begin, count)
        for question, answer, place in zip(questions, answers, places):
            # The union of two lists is complete as far as the shorter of them goes; compiled zones end with 2037.
            known = min([theirs[i][-1] for i in place if len(theirs[i]) == count] + [moment(2037, 12, 31)])
            expected = sorted({at for i in place for at in theirs[i] if at <= known})
            got = [at for at in both_rules(question, answer) if at <= known][:len(expected)]
            runs += len(expected)
            if got != expected:
                problems.append(difference(question, got, expected))
            twin_caught += [at + 3600 for at in got] != expected
        done += batch
    print("cron against systemd-analyze: %d lines, %d runs, %d problems" % (done, runs, len(problems)))
    if twin_caught == 0:
        problems.append("an hour's difference from systemd-analyze was not noticed")
    return problems


# --- Windows --------------------------------------------------------------------------------------------------------
def random_windows(rng):
    """Windows that do not overlap, as texts and as the set of minutes of the week (from Sunday) that they exclude."""
    taken, texts = set(), []
    for _ in range(rng.randint(1, 4)):
        begin, end = rng.choice([rng.randrange(1440), 60 * rng.randrange(24)]), rng.choice([1440, rng.randrange(1440), 150])
        first, last = rng.randrange(7), rng.randrange(7)
        days, text = rng.choice([
            (range(7), ""), ([first], DAYS[first].title() + " "),
            ([(first + i) % 7 for i in range((last - first) % 7 + 1)], "%s-%s " % (DAYS[first], DAYS[last].title())),
            (sorted({first, last}), "%s,%s " % (DAYS[first].upper(), DAYS[last]))])
        length = (end - begin) % 1440 or 1440
        minutes = {(day * 1440 + begin + i) % 10080 for day in days for i in range(length)}
        if begin == end or minutes & taken or len(minutes | taken) == 10080:
            continue
        taken |= minutes
        texts.append("%s%02d:%02d-%02d:%02d" % (text, begin // 60, begin % 60, end // 60, end % 60))
    return (texts, taken) if texts else random_windows(rng)


def against_windows(probe, rng, cases):
    questions, expected = [], []
    twin = 0
    span = 12 * 1440
    for _ in range(cases):
        zone = rng.choice(list(CHANGES))
        begin = rng.choice(CHANGES[zone]) - 2 * 86400
        texts, taken = random_windows(rng)
        rows = walk(zone, begin, span)
        allowed = [at for at, day, hour, minute, _, _ in rows
                   if (day.isoweekday() % 7) * 1440 + hour * 60 + minute not in taken]
        always = set(allowed)
        times = [begin + rng.randrange(4 * 86400) for _ in range(20)]
        answers = []
        for time in times:
            answers.append(time if time // 60 * 60 in always else allowed[bisect.bisect_right(allowed, time)])
        shift = round(datetime.datetime.fromtimestamp(begin, zoneinfo.ZoneInfo(zone)).utcoffset().total_seconds())
        twin += any((((time + shift) // 60 + 4 * 1440) % 10080 in taken) != (answer != time)
                    for time, answer in zip(times, answers))
        questions.append((zone, texts, times))
        expected.append(answers)
    got = ask(probe, ["window\t%s\t%s\t%s" % (zone, "|".join(texts), "\t".join(map(str, times)))
                      for zone, texts, times in questions])
    problems = []
    for (zone, texts, times), ours, theirs in zip(questions, got, expected):
        for time, one, other in zip(times, ours, theirs):
            if one != other:
                problems.append("%s %s from %s: ours %s, oracle %s" % (
                    zone, texts, shown(zone, [time]), shown(zone, [one]), shown(zone, [other])))
    print("windows against the walk: %d sets, %d moments, %d problems; a twin without daylight saving caught: %d" % (
        cases, 20 * cases, len(problems), twin))
    return problems + (["the twin without daylight saving was not caught"] if twin == 0 else [])


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--probe", required=True)
    args.add_argument("--seed", type=int, default=random.randrange(2 ** 32))
    args.add_argument("--cases", type=int, default=1000)
    options = args.parse_args()
    print("seed %d: %s --probe %s --seed %d --cases %d" % (
        options.seed, sys.argv[0], options.probe, options.seed, options.cases), flush=True)
    rng = random.Random(options.seed)
    problems = against_walk(options.probe, rng, options.cases)
    problems += against_systemd(options.probe, rng, options.cases)
    problems += against_windows(options.probe, rng, options.cases // 3)
    print("\n".join(problems[:20]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
