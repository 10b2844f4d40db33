"""What a quick audit finds of models whose faults are known: a sample of family C, without its healthy models.

    python reproductions/verdicts/quick.py             # trains and audits what the record lacks: about six core-minutes
    python reproductions/verdicts/quick.py --judge     # only the table

The record holds what was found of every model. Quick audits of the 53 healthy models of C, of which none is called ill,
were counted before, and are not made again here.
"""

import argparse
import json
import sys
from typing import Any

import torch
from run import HERE, SEED, faulty_models, read

import elbowroom as er
from elbowroom.atomic import write_atomic

RECORD = HERE / "record_quick.json"
WORLDS = ("normal-2-8-410", "normal-4-13-421", "bernoulli-3-14-431", "poisson-2-10-440")
OTHERS = ("ring", "shared noise", "no z")


def groups() -> dict[str, Any]:
    """The sample: all faults of four worlds, and what was built with data of its own."""
    made = faulty_models.groups(faulty_models.FAMILIES["C"])
    return {name: make for name, make in made.items() if name.endswith(OTHERS) or any(one in name for one in WORLDS)}


def found() -> dict[str, Any]:
    """What was audited, empty where there is no record; its canaries are those of C, of the same trainings."""
    held: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    return dict(held.get("groups", {}))


def fill() -> None:
    """Train and audit what the record lacks, group by group."""
    record = found()
    for name, make in groups().items():
        if name not in record:
            record[name] = {case.name: audited(case) for case in make() if case.fault != "healthy"}
            kept = {name: one for name, one in read("C")["canary"].items() if name in record}
            whole = {"groups": record, "canary": kept}
            write_atomic(RECORD, json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
            print(name, [(one["fault"], one["found"]) for one in record[name].values()], flush=True)


def audited(case: Any) -> dict[str, Any]:
    """What was built, and what a quick audit calls it."""
    one = er.audit(case.vae, case.data, objective=case.objective, quick=True, seed=SEED, progress=False)
    return {"fault": case.fault, "how": case.how, "found": list(one.ill), "seconds": round(one.seconds, 1)}


def table() -> list[str]:
    """What was built against what was found, beside what the long measurements of the same models found."""
    faults, models = faulty_models.FAULTS, [row for rows in found().values() for row in rows.items()]
    known = dict(whole())
    lines = [
        f"| built in C, quick | models | detected | at length | {' | '.join(faults)} | healthy |",
        "|---" * (len(faults) + 5) + "|",
    ]
    for built in faults:
        own = [(name, one["found"]) for name, one in models if one["fault"] == built]
        quick, long = (sum(built in said for _, said in rows) for rows in (own, [(n, known[n]) for n, _ in own]))
        counts = [sum(fault in said for _, said in own) for fault in faults]
        cells = [f"**{n}**" if fault == built else str(n or "") for fault, n in zip(faults, counts, strict=True)]
        none = sum(not said for _, said in own)
        lines.append(f"| {built} | {len(own)} | {quick} | {long} | {' | '.join(cells)} | {none or ''} |")
    return lines


def whole() -> list[tuple[str, list[str]]]:
    """By the record of C: models, and what was found of each."""
    from run import judged

    return [(name, said) for name, _, said in judged("C")]


def main() -> None:
    """Fill the record, then show it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judge", action="store_true", help="only the table")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if not asked.judge:
        fill()
    assert set(found()) <= set(read("C")["groups"]), "the record is of other groups than C has"
    print("\n".join(table()))


if __name__ == "__main__":
    sys.exit(main())
