"""Grid, random search, the search, and the study's scan of β, on one budget: evidence reached against trainings spent.

    python reproductions/search_budget/run.py           # record.json, table; rows that are there stay
    python reproductions/search_budget/run.py --draw    # the table alone

Every way trains the same number of models of the same length, out of the same space; after each training the best so
far on validation is scored on test. The search is pruned, so that it spends fewer epochs on them: these are counted.
"""

import argparse
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn import datasets

import elbowroom as er
from elbowroom.atomic import write_atomic
from elbowroom.studies.train import axes_of
from elbowroom.sweeps import Range, Searched, Swept
from elbowroom.training.adam import CLIP

HERE = Path(__file__).parent
RECORD = HERE / "record.json"
SEEDS = range(3)
TRAININGS = 12
STEPS, BATCH, RATE = 300, 50, 3e-3
DRAWS, SCORED = 50, 200  # of z, on validation and on test
SPACE = {"latents": [2, 4, 8, 16], "depth": [1, 2], "width": [16, 64], "beta": Range(0.2, 2.0)}
GRID = {"latents": [2, 4, 16], "beta": [0.5, 1.0], "widths": [[16], [64, 64]]}
"""Twelve points that a person might take of it."""
SCAN = {"latents": [16, 4], "beta": [0.1, 0.3, 0.5, 1.0, 2.0, 5.0]}
"""Six β at one latent size, and then at another one, as is done by hand: two layers of 64."""


def digits(seed: int) -> er.data.Dataset:
    return er.load_data("digits", seed=seed, progress=False)


def table(name: str, seed: int) -> er.data.Dataset:
    """A table of scikit-learn: classes, and places along the roll, left out."""
    roll = datasets.make_swiss_roll(800, noise=0.3, random_state=0)[0]
    x = roll if name == "swiss roll" else datasets.load_breast_cancer().data
    return er.load_data(x, name=name, seed=seed, progress=False)


SETS: dict[str, Callable[[int], er.data.Dataset]] = {
    "digits": digits,
    "swiss roll": lambda seed: table("swiss roll", seed),
    "breast cancer": lambda seed: table("breast cancer", seed),
}
Curve = dict[str, list[float]]


def words(data: er.data.Dataset, seed: int) -> dict[str, Any]:
    """What all trainings have in common; gradients are clipped, as a search does where nothing is said."""
    epochs = math.ceil(STEPS / math.ceil(len(data.train) / BATCH))
    return {"epochs": epochs, "batch_size": BATCH, "lr": RATE, "clip": CLIP, "patience": epochs, "seed": seed}


def curve(swept: Sequence[Swept | None], data: er.data.Dataset) -> Curve:
    """After each training the best bound so far on validation, and what that model scores on test, nats per example."""
    best: Swept | None = None
    swept = list(swept)[:TRAININGS]
    found: Curve = {"validation": [], "test": [], "se": []}
    score = er.Estimate.of([math.nan], quantity="", estimator="", direction="none")
    for one in swept:
        if one is not None and math.isfinite(one.iwae.mean) and (best is None or one.iwae.mean > best.iwae.mean):
            best = one
            score = er.evidence.iwae(one.vae, data.test, draws=SCORED)
        found["validation"].append(best.iwae.mean if best else math.nan)
        found["test"].append(score.mean)
        found["se"].append(score.se_total)
    return found


def of_sweep(axes: Mapping[str, Any], data: er.data.Dataset, seed: int) -> dict[str, Any]:
    """A grid in an order of its own, since nobody knows which point is the best; and what `choose` takes of all."""
    recipe = {**words(data, seed), "widths": [64, 64]}
    swept = er.sweep(recipe, data, axes, draws=DRAWS, processes=1, progress=False)
    order = np.random.default_rng(seed).permutation(len(swept)) if axes is GRID else range(len(swept))
    return {**curve([swept[i] for i in order], data), "chosen": chosen(er.choose(swept), data), "epochs": 1.0}


def of_search(sampler: Any, data: er.data.Dataset, seed: int) -> dict[str, Any]:
    """The search at random without pruning, or as it is."""
    recipe, tpe = {**words(data, seed), "widths": [64, 64], "latents": 16}, sampler == "tpe"
    how = {"draws": DRAWS, "seed": seed, "sampler": sampler, "prune": tpe, "progress": False}
    found: Searched = er.search(recipe, data, SPACE, trials=TRAININGS, **how)
    by_name = {one.name: one for one in found.swept}
    spent = sum(one.epochs for one in found.trials) / (recipe["epochs"] * TRAININGS)
    trials = [by_name.get(one.name) for one in found.trials if one.state != "refused"]
    return {**curve(trials, data), "chosen": chosen(found.choice, data), "epochs": spent}


def chosen(choice: er.sweeps.Choice, data: er.data.Dataset) -> dict[str, Any]:
    """What is chosen at the end, which is the smallest model within one standard error of the best."""
    score = er.evidence.iwae(choice.vae, data.test, draws=SCORED)
    return {"label": choice.model.label, "test": score.mean, "se": score.se_total}


WAYS: dict[str, Callable[[er.data.Dataset, int], dict[str, Any]]] = {
    "grid": lambda data, seed: of_sweep(GRID, data, seed),
    "random": lambda data, seed: of_search("random", data, seed),
    "search": lambda data, seed: of_search("tpe", data, seed),
    "scan of β": lambda data, seed: of_sweep(SCAN, data, seed),
    "study": lambda data, seed: of_sweep(axes_of(er.models.Recipe(), data), data, seed),
}


def rows() -> dict[str, tuple[str, int]]:
    """Name → data set and seed, of the split, the weights and what is tried."""
    return {f"{name}, seed {seed}": (name, seed) for seed in SEEDS for name in SETS}


def measured(name: str, seed: int) -> dict[str, Any]:
    data = SETS[name](seed)
    return {way: run(data, seed) for way, run in WAYS.items()}


def of(record: Mapping[str, Any], name: str, way: str, what: str, at: int) -> tuple[float, float]:
    """Mean over seeds of a curve at a number of trainings, less the grid's end at the same seed, and its error."""
    seeds = [record[row] for row, (one, _) in rows().items() if one == name and row in record]
    apart = [seed[way][what][:at][-1] - seed["grid"][what][-1] for seed in seeds]
    return float(np.mean(apart)), float(np.std(apart, ddof=1) / math.sqrt(len(apart))) if len(apart) > 1 else math.nan


def tables(record: Mapping[str, Any]) -> list[str]:
    """Nats of test evidence beyond those of the whole grid."""
    at = [3, 6, TRAININGS]
    found = [
        "| data | way | " + " | ".join(f"after {k}" for k in at) + " | epochs spent | chosen at the end |",
        "|---|---|" + "---|" * (len(at) + 2),
    ]
    for name in SETS:
        for way in WAYS:
            cells = [er.numerics.with_error(*of(record, name, way, "test", k)) for k in at]
            seeds = [record[row] for row, (one, _) in rows().items() if one == name and row in record]
            spent = f"{np.mean([seed[way]['epochs'] for seed in seeds]):.0%}"
            ends = [seed[way]["chosen"]["test"] - seed["grid"]["test"][-1] for seed in seeds]
            error = float(np.std(ends, ddof=1) / math.sqrt(len(ends))) if len(ends) > 1 else math.nan
            cells += [spent, er.numerics.with_error(float(np.mean(ends)), error)]
            found.append(f"| {name} | {way} | " + " | ".join(cells) + " |")
    return found


def main() -> None:
    """Train what is not there, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draw", action="store_true", help="only the table")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    from canaries import canaries
    from canary import fill

    if not asked.draw:
        fill(RECORD, rows(), measured, canaries)
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    path = HERE / "README.md"
    head, _, rest = path.read_text(encoding="utf-8").partition("<!-- table -->\n")
    said = "\n".join(tables(record))
    write_atomic(path, f"{head}<!-- table -->\n{said}\n<!-- end -->{rest.partition('<!-- end -->')[2]}")


if __name__ == "__main__":
    main()
