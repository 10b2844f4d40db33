"""First steps of M1, M2 and M1+M2 on each data set, and what two rivals say of the first draw."""

import sys
from functools import partial
from pathlib import Path

from methods import METHODS, of_classes, recipe_of, settings
from sets import LABELS, Record, as_data, split

from elbowroom.metrics import log_score
from elbowroom.models import build, goal

sys.path.insert(0, str(Path(__file__).parents[1]))

from canary import Canary, Numbers, first_steps, main

RIVALS = ("logistic, PCA", "label spreading, PCA")


def canaries() -> list[Canary]:
    """Those of the records that are there."""
    found = []
    for name in LABELS:
        record, needs = Record.folder / f"{name}.json", (name,) if "mnist" in name else ()
        if record.exists():
            found += [Canary(record, model, partial(_steps, name, model), needs) for model in ("M1", "M2", "M1+M2")]
            found += [Canary(record, rival, partial(_rival, name, rival), needs) for rival in RIVALS]
    weights = Record.folder / "weights.json"
    return found + [Canary(weights, "M2", partial(_steps, "digits", "M2"))] * weights.exists()


def _steps(name: str, model: str) -> Numbers:
    """Of an untrained M1 below M1+M2."""
    labelled = as_data(split(name, LABELS[name][-1], 0), labelled=True)
    plain = as_data(split(name, 60, 0), labelled=False)
    how = {"batch_size": settings(name)["batch_size"], "lr": settings(name)["lr"]}
    if model == "M1":
        return first_steps(build(recipe_of(name), plain), plain, **how)
    recipe = of_classes(name, layers=1 + (model == "M1+M2"))
    below = build(recipe_of(name), plain) if model == "M1+M2" else None
    return first_steps(build(recipe, labelled, below=below), labelled, goal(recipe), **how)


def _rival(name: str, rival: str) -> Numbers:
    found = split(name, LABELS[name][0], 0)
    return {"log score": [log_score(METHODS[rival](found, name), found.test_y).value]}


if __name__ == "__main__":
    main(canaries())
