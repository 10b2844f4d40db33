"""Thresholds of the verdict, set on one family of small models with built faults and judged on another.

    python reproductions/verdicts/run.py A            # trains and measures what the record of family A lacks
    python reproductions/verdicts/run.py A --judge    # only verdicts and tables, from the record

The record of a family holds the symptoms of every model, so that verdicts are reached again without measuring.
`tests/faulty_models.py` says what is built and how.
"""

import argparse
import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1] / "tests"), str(HERE.parent)]

import faulty_models  # noqa: E402
from faulty_models import FAMILIES  # noqa: E402
from planted_worlds import World, truth  # noqa: E402

from elbowroom import evidence, remedies  # noqa: E402
from elbowroom.atomic import write_atomic  # noqa: E402
from elbowroom.data import Dataset  # noqa: E402
from elbowroom.evidence.memory import MEMORY  # noqa: E402
from elbowroom.ledger import thresholds  # noqa: E402
from elbowroom.ledger._context import ContextBudget, context  # noqa: E402
from elbowroom.ledger.aggregate import AggregateBudget, chosen  # noqa: E402
from elbowroom.ledger.symptoms import Symptoms, symptoms  # noqa: E402
from elbowroom.ledger.symptoms_budget import SymptomBudget  # noqa: E402
from elbowroom.ledger.verdict import verdict  # noqa: E402
from elbowroom.records import IdentityRecord  # noqa: E402
from elbowroom.vae import VAE  # noqa: E402

SEED, FEW, TOLD = 1, 60, 150
FAR = f"no fault built, > {faulty_models.NEAR:g} nat below the planted density"
BUDGET = SymptomBudget(annealed=48, temperatures=30, chains=6, leapfrog=4, bounds=250, steps=80, draws=32)
CONTEXT = ContextBudget(250, 16, 250, 200, AggregateBudget(800, 400, 100, 200, 10**6, 8))


def record_of(name: str) -> Path:
    """Where the symptoms of a family stand."""
    return HERE / f"record_{name}.json"


def measured(case: faulty_models.Case) -> dict[str, Any]:
    """Symptoms of a model, as plain values."""
    found = symptoms(
        case.vae,
        case.data,
        identity=identity_of(case),
        context=context(case.vae, case.data, CONTEXT, seed=SEED, memory=MEMORY, progress=False)[0],
        objective=case.objective,
        budget=BUDGET,
        seed=SEED,
    )
    row = {"fault": case.fault, "how": case.how, "symptoms": dataclasses.asdict(found)}
    return row if case.world is None else row | {"below": below_truth(case.world, case.vae, case.data)}


def below_truth(world: World, vae: VAE, data: Dataset) -> list[float]:
    """log p(x) of the planted density minus the model's, on the same test examples, and its error, in nats."""
    rows = data.test[:TOLD]
    own, model = (
        evidence.iwae(remedies.refine(one, rows, steps=200, draws=1).vae, rows, draws=256)
        for one in (truth(world), vae)
    )
    return [(own - model).mean, (own - model).se_total]


def identity_of(case: faulty_models.Case) -> IdentityRecord:
    """The identity; in so few latent dimensions log p(x) by importance sampling from the best q is near enough."""
    few = chosen(case.data.test, FEW, SEED)
    best = remedies.refine(case.vae, few, steps=150, draws=64, seed=SEED)
    log_p = evidence.iwae(best.vae, few, draws=256, seed=SEED)
    return IdentityRecord(log_p, best.elbo_before, best.elbo_after)


def read(name: str) -> dict[str, Any]:
    """The record of a family, empty where there is none."""
    path = record_of(name)
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def fill(name: str) -> None:
    """Train and measure what the record lacks, group by group."""
    record = read(name)
    record.setdefault("groups", {})
    for group, make in faulty_models.groups(FAMILIES[name]).items():
        if group not in record["groups"]:
            record["groups"][group] = {case.name: measured(case) for case in make()}
            write_atomic(record_of(name), json.dumps(record, indent=1, ensure_ascii=False) + "\n")
            print(group, len(record["groups"][group]), flush=True)


def judged(name: str) -> list[tuple[str, str, list[str]]]:
    """Of every model of a family: its name, what was built, and the faults that were found."""
    reader: Any = TypeAdapter(Symptoms)
    return [
        (model, built_of(row), [one.name for one in verdict(reader.validate_python(row["symptoms"]))[0] if one.found])
        for rows in read(name).get("groups", {}).values()
        for model, row in rows.items()
    ]


def built_of(row: dict[str, Any]) -> str:
    """The fault, or whether a model without one came as near to the planted density as a healthy one does."""
    return FAR if row["fault"] == "healthy" and row["below"][0] > faulty_models.NEAR else str(row["fault"])


def table(name: str) -> list[str]:
    """What was built against what was found, in Markdown; a model may stand in several columns."""
    models, faults = judged(name), faulty_models.FAULTS
    lines = [
        f"| built in {name} | models | detected | {' | '.join(faults)} | healthy |",
        "|---" * (len(faults) + 4) + "|",
    ]
    for built in (*faults, FAR, "healthy"):
        own = [found for _, fault, found in models if fault == built]
        counts = [sum(fault in found for found in own) for fault in faults]
        none = sum(not found for found in own)
        right = none if built in ("healthy", FAR) else sum(built in found for found in own)
        cells = [f"**{n}**" if fault == built else str(n or "") for fault, n in zip(faults, counts, strict=True)]
        last = f"**{none}**" if built == "healthy" else str(none or "")
        share = "" if built == FAR or not own else f"{right / len(own):.0%}"
        lines.append(f"| {built} | {len(own)} | {share} | {' | '.join(cells)} | {last} |")
    return lines


def margins() -> list[str]:
    """What decides, its threshold, and how near models with and without the fault come to it, in Markdown.

    Of every number its distance from the threshold's side by two standard errors: what has to pass the threshold.
    """
    lines = [
        "| finding | decided by | threshold | of the healthy at most (A, B, C) | of the faulty, median (A, B, C) |",
        "|---" * 5 + "|",
    ]
    for fault, (symptom, what, threshold) in DECIDES.items():
        healthy = [max(passed(name, "healthy", symptom), default=math.nan) for name in FAMILIES]
        faulty = [float(np.median(passed(name, fault, symptom) or [math.nan])) for name in FAMILIES]
        cells = (", ".join(f"{value:.2f}" for value in values) for values in (healthy, faulty))
        lines.append(f"| {fault} | {what} | {threshold:g} | {' | '.join(cells)} |")
    return lines


DECIDES = {
    "inference lagging": ("amortisation", "what the encoder loses, nats", thresholds.AMORTISATION),
    "overconfident encoder": ("coverage", "points missing of 90", thresholds.COVERAGE),
    "holes in the prior": ("prior_gap", "gain of a density fitted to q(z), nats", thresholds.PRIOR_GAP),
    "noise mis-scaled": ("noise_gain", "what calibrating wins, nats", thresholds.NOISE_GAIN),
    "residuals correlated": ("residual_gain", "what correlated noise wins, nats", thresholds.RESIDUAL_GAIN),
    "overfitted": ("generalisation", "log p(x), train minus test, nats", thresholds.GENERALISATION),
    "underfitted": ("classic", "what a classic fits better on train, nats", thresholds.BEYOND_CLASSICS),
}


def passed(name: str, fault: str, symptom: str) -> list[float]:
    """A number of every model of a family with this fault, less two standard errors."""
    rows = [row for group in read(name).get("groups", {}).values() for row in group.values()]
    found = [row["symptoms"].get(symptom) for row in rows if built_of(row) == fault]
    return [one["value"] - thresholds.ERRORS * (one["se"] or 0.0) for one in found if one is not None]


def write_tables() -> None:
    """The tables of the README, from the records."""
    path = HERE / "README.md"
    said = [line for name in FAMILIES if record_of(name).exists() for line in [*table(name), ""]]
    said += [*margins(), ""]
    head, _, rest = path.read_text(encoding="utf-8").partition("<!-- tables -->\n")
    write_atomic(
        path, f"{head}<!-- tables -->\n" + "\n".join(said) + f"<!-- end -->{rest.partition('<!-- end -->')[2]}"
    )


def main() -> None:
    """Fill a record, then judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", choices=list(FAMILIES))
    parser.add_argument("--judge", action="store_true", help="only verdicts and tables")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if not asked.judge:
        fill(asked.family)
        from canaries import keep_all

        keep_all(asked.family)
        from canaries import keep_all

        keep_all(asked.family)
    print("\n".join(table(asked.family)))
    for model, built, found in judged(asked.family):
        if built != FAR and built not in found and not (built == "healthy" and not found):
            print(f"{model}: built {built}, found {', '.join(found) or 'nothing'}")
    if (HERE / "README.md").exists():
        write_tables()


if __name__ == "__main__":
    main()
