#!/usr/bin/env python3
"""Runs histories through the executable model and compares what it holds with what the product held.

Reads one history a line, as JSON, written by model_agreement_test: the actions, and of every node the rows, the
versions and the conflicts after the actions and after the nodes have settled. Prints the first differences and ends
with 1 when there are any.

The model belongs to the design and lies beside the project. What it held at the end of each history is therefore
recorded, as a digest, in model_agreement.txt (--record makes it anew); without the model the product is held against
that record.
"""
import argparse
import copy
import hashlib
import importlib.util
import json
import pathlib
import sys

RECORD = pathlib.Path(__file__).with_name("model_agreement.txt")


def load_model(path):
    spec = importlib.util.spec_from_file_location("tidemark_model", path)
    model = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(model)
    return model


def mended(model):
    """The model with what the product does otherwise on purpose.

    A changed row that only the target has is revived where a tombstone may have been forgotten. The model does so
    for every row at or below the clock floor, also where both nodes know all that was ever forgotten.

    A row that is revived gets a version above the clock floor. The model gives it the next one after its own version,
    which may be lower than the purged tombstone that a third node still holds: there the row's version would go back,
    and a third version between the two would win on one node and lose on another, for good.
    """
    def revive(target, key):
        model.conflict(target, key, "revived", target.rows[key], None)
        target.versions.pop(key, None)
        target.set_new_version(key, 0)

    revives_too_often = model.only_at_target

    def only_at_target(source, target, key):
        changed = key in target.versions and not source.knows(target.versions[key])
        if changed and source.covers(target.forgotten) and target.covers(source.forgotten):
            return
        revives_too_often(source, target, key)

    model.revive = revive
    model.only_at_target = only_at_target
    return model


def write(node, key, value, now, captured):
    if value is None and key not in node.rows:
        return
    if not node.log:
        node.harvested_rows = dict(node.rows)
    node.write(key, value, now, captured)


def purge(node, everybody):
    """The product purges what is a tombstone now and was one when it last harvested; the model looks at this moment."""
    rows, peers = node.rows, node.peers
    if node.log:
        node.rows = {**node.harvested_rows, **rows}
    if peers:
        node.peers = {**peers, **{"known to " + other.name: other.knowledge for other in everybody}}
    node.purge()
    node.rows, node.peers = rows, peers


def act(model, nodes, edges, actions, early_purge):
    backups = {}
    for action in actions:
        kind, now, rest = action[0], action[1], action[2:]
        if kind in ("write", "old_row"):
            index, key, value = rest
            write(nodes[index], key, value, now, captured=kind == "write")
        elif kind == "session":
            first, second = edges[rest[0]]
            model.session(nodes[first], nodes[second])
        elif kind == "purge":
            purge(nodes[rest[0]], [] if early_purge else nodes)
        elif kind == "clock":
            nodes[rest[0]].clock_error = rest[1]
        elif kind == "copy":
            backups[rest[0]] = copy.deepcopy(nodes[rest[0]].__dict__)
        elif kind == "restore":
            node = nodes[rest[0]]
            node.__dict__.clear()
            node.__dict__.update(backups.pop(rest[0]))
            node.new_incarnation(rest[1])
        else:
            raise ValueError("unknown action: " + kind)


def settle(model, nodes, edges):
    for _ in range(2 * len(nodes)):
        for first, second in edges:
            model.session(nodes[first], nodes[second])


def view(node):
    """What both sides must agree on. Sequences are not among it: they count, they decide nothing."""
    return {
        "rows": {str(key): value for key, value in node.rows.items()},
        "versions": {str(key): [v.changed_at, v.origin] for key, v in node.versions.items()},
        "conflicts": sorted({(key, kind, winner or "", loser or "") for key, kind, winner, loser in node.conflicts}),
        "baseline": node.baseline,
        "pending": len(node.log),
    }


def product_view(node):
    return dict(node, conflicts=sorted({tuple(conflict) for conflict in node["conflicts"]}))


def differences(seed, stage, nodes, expected):
    found = []
    for node, theirs in zip(nodes, expected):
        mine, theirs = view(node), product_view(theirs)
        for what in mine:
            if mine[what] != theirs[what]:
                found.append("seed %d, %s, node %s: %s\n  model:   %s\n  product: %s" %
                             (seed, stage, node.name, what, mine[what], theirs[what]))
    return found


def digest(nodes):
    return hashlib.sha256(json.dumps(nodes, sort_keys=True).encode()).hexdigest()[:12]


def compare_with_model(model, history):
    """The first difference, if any, and the digest of what the model holds in the end."""
    nodes = [model.Node(chr(97 + i)) for i in range(history["nodes"])]
    act(model, nodes, history["edges"], history["actions"], history["early_purge"])
    found = differences(history["seed"], "after the actions", nodes, history["acted"])
    settle(model, nodes, history["edges"])
    found += differences(history["seed"], "settled", nodes, history["settled"])
    return found[:1], digest([view(node) for node in nodes])


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("model")
    args.add_argument("histories")
    args.add_argument("--record", action="store_true")
    args = args.parse_args()
    model = mended(load_model(args.model)) if pathlib.Path(args.model).exists() else None
    recorded = dict(line.split() for line in RECORD.read_text().splitlines()) if RECORD.exists() else {}
    count = sessions = conflicts = 0
    failures, digests = [], {}
    with open(args.histories, encoding="utf-8") as file:
        for line in file:
            history = json.loads(line)
            seed, settled = str(history["seed"]), [product_view(node) for node in history["settled"]]
            digests[seed] = digest(settled)
            if model:
                found, expected = compare_with_model(model, history)
                failures += found
            else:
                expected = recorded.get(seed)
            # A seed beyond the record is only replayed where the model is.
            if not args.record and expected != recorded.get(seed, expected if model else None):
                failures.append("seed %s: the record does not hold what the model does; make it anew" % seed)
            elif expected != digests[seed]:
                failures.append("seed %s: the product ends otherwise than the model did" % seed)
            count += 1
            sessions += sum(1 for action in history["actions"] if action[0] == "session")
            conflicts += sum(len(node["conflicts"]) for node in settled)
    if args.record and not failures:
        RECORD.write_text("".join("%s %s\n" % item for item in digests.items()))
    print("%d histories, %d sessions, %d conflicts compared with %s, %d differ" % (
        count, sessions, conflicts, "the model" if model else "its record", len(failures)))
    print("\n".join(failures[:5]))
    return 1 if failures or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
