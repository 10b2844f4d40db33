"""Images, digits and cells at the study's own training length: the choice beside one model for all data.

    python reproductions/choice/full.py [WORDS] [--device cuda] [--runs FOLDER]    # full.json, and README.md's tables

A row is a data set and a seed. Each of its models is trained and measured by itself (`train`), so
that models of a row can be made side by side; then the row is judged (`judge`).
"""

import argparse
import itertools
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

import elbowroom as er
from elbowroom.data import Dataset, Examples
from elbowroom.numerics import in_parts
from elbowroom.runs import History, read_run
from elbowroom.studies.train import CHOICE_DRAWS, Training, training_of
from elbowroom.sweeps.standings import Entry, smallest, standings
from elbowroom.sweeps.swept_of import swept_of

sys.path.insert(0, str(Path(__file__).parents[1]))

HERE = Path(__file__).parent
RECORD = HERE / "full.json"
FIXED = {"likelihood": "auto", "latents": 16, "objective": "elbo"}
"""The one model for all data: β = 1 and 16 latents, trained as the study's models are."""
CELLS = {"smFISH": ("smfish.h5ad", "obs/labels"), "worm neurons": ("worm_neuron_cell.h5", "Y")}
"""Counts of genes in cells, and where the cells' types stand."""
GENES = 200  # those that vary most
DATA = ("mnist", "fashion-mnist", "frey-faces", "digits", *CELLS)
SEEDS = range(3)
OWN_SPLITS = ("digits",)  # of few rows: each seed draws its own test rows too
FIRST, MEASURED = "fixed", 1_000  # test rows, at most, whose bound is measured
DRAWS, PROBED = 500, 10_000  # of z; training rows of a probe
Scores = dict[str, NDArray[np.float64]]


class Row(NamedTuple):
    """One comparison."""

    data: str
    seed: int

    def __str__(self) -> str:
        return f"{self.data}, seed {self.seed}"


def rows() -> list[Row]:
    return [Row(name, seed) for name in DATA for seed in SEEDS]


def load(row: Row) -> Dataset:
    """The data, whole; in the same parts for every seed, but for digits."""
    if row.data in CELLS:
        return cells(row.data)
    split = {"seed": row.seed} if row.data in OWN_SPLITS else {}
    return er.load_data(row.data, progress=False, **split)


def cells(name: str) -> Dataset:
    """Counts of the genes that vary most, with the type of each cell."""
    import h5py

    file_name, types = CELLS[name]
    with h5py.File(Path(os.environ["ELBOWROOM_DATA"]) / "single_cell" / file_name) as file:
        counts, kinds = np.asarray(file["X"]), np.asarray(file[types])
    chosen = np.sort(np.argsort(-np.log1p(counts).var(0))[:GENES])
    labels = np.unique(kinds, return_inverse=True)[1]
    return er.load_data(counts[:, chosen].astype(np.int64), name=name, support="counts", labels=labels, progress=False)


def trainings(row: Row, data: Dataset) -> dict[str, tuple[Training, dict[str, Any]]]:
    """Name → what is trained and its place on the axes: the model for all data, then what is tried."""
    recipe = er.models.Recipe(seed=row.seed)
    fixed = training_of(recipe.where(**FIXED), {}, None, data, row.seed)
    study = training_of(recipe, None, None, data, row.seed)
    points = [dict(zip(study.axes, values, strict=True)) for values in itertools.product(*study.axes.values())]
    return {FIRST: (fixed, {})} | {str(place): (study, point) for place, point in enumerate(points)}


def recipe_for(training: Training, point: Mapping[str, Any], data: Dataset) -> er.models.Recipe:
    """A model's recipe, with numbers for what it leaves open."""
    assert isinstance(training.recipe, er.models.Recipe)
    return training.recipe.where(**point).sized(data)


def together(rows: Sequence[Row], data: Dataset, runs: Path, device: str) -> None:
    """Train all models of rows that have their data in common: on a GPU in as few stacks as there are kinds."""
    every = [(row, name, *found) for row in rows for name, found in trainings(row, data).items()]
    left = [one for one in every if not (runs / str(one[0]) / one[1] / "summary.json").exists()]
    if not left:
        return
    recipes = [recipe_for(training, point, data) for _, _, training, point in left]
    vaes, goals = [er.models.build(one, data) for one in recipes], [er.models.goal(one) for one in recipes]
    folders = [runs / str(row) / name for row, name, *_ in left]
    settings: dict[str, Any] = left[0][2].of_fit | {
        "runs": folders,
        "resume": all((one / "recipe.yaml").exists() for one in folders),
    }
    settings |= {"device": device} if device != "cpu" else {"processes": 1}
    er.fit_stacked(vaes, data, goals, seed=[one[0].seed for one in left], progress=False, **settings)


def train(row: Row, name: str, data: Dataset, runs: Path, device: str) -> None:
    """Train a model of a row, if that is not done, and measure it on test rows: FOLDER/ROW/NAME.npz."""
    run, (training, point) = runs / str(row) / name, trainings(row, data)[name]
    vae, _ = trained(training, recipe_for(training, point, data), data, run, device)
    vae.to(device)
    bound = er.evidence.iwae(vae, data.test[: min(MEASURED, len(data.test))], draws=DRAWS)
    found = {"test": bound.values, "mc variance": bound.mc_variance}
    np.savez(run.with_suffix(".npz"), **found, **(probed(vae, data, row.seed) if data.test.labels is not None else {}))


def trained(
    training: Training, recipe: er.models.Recipe, data: Dataset, run: Path, device: str
) -> tuple[er.VAE, History]:
    """A model and its history, from its folder where it is done, trained or trained on where not."""
    if not (run / "summary.json").exists():
        vae, goal, going_on = er.models.build(recipe, data), er.models.goal(recipe), (run / "recipe.yaml").exists()
        how: dict[str, Any] = {"seed": training.seed, "run": run, "resume": going_on, "device": device}
        er.fit(vae, data, goal, **training.of_fit, **how, progress=False)
    return read_run(run)


def probed(vae: er.VAE, data: Dataset, seed: int) -> Scores:
    """What a logistic regression on the codes tells of the labels, by row: whether it is right, and its log score."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    few = data.train[: min(PROBED, len(data.train))]
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2_000))
    probe.fit(codes(vae, few, seed), classes(few))
    found: Scores = {}
    for part, examples in (("validation", data.validation), ("test", data.test)):
        shares, kinds = probe.predict_proba(codes(vae, examples, seed)), classes(examples)
        known = np.array([list(probe.classes_).index(kind) if kind in probe.classes_ else -1 for kind in kinds])
        told = np.where(known >= 0, shares[np.arange(len(known)), known], 0.0)
        found[f"{part} right"] = (probe.classes_[shares.argmax(1)] == kinds).astype(np.float64)
        found[f"{part} log score"] = np.log(np.maximum(told, 1e-6))
    return found


def codes(vae: er.VAE, examples: Examples, seed: int) -> NDArray[np.float64]:
    """Posterior means, as `choose` has them."""
    blocks = [vae.encode(part, seed=seed) for part in in_parts(examples)]
    return np.concatenate([torch.cat([z.flatten(1) for z in one.values()], 1).cpu().double().numpy() for one in blocks])


def classes(examples: Examples) -> NDArray[np.int64]:
    assert examples.labels is not None
    labels = examples.labels.argmax(1) if examples.labels.dim() > 1 else examples.labels
    return labels.cpu().numpy().astype(np.int64)


def judge(row: Row, data: Dataset, runs: Path, device: str) -> dict[str, Any]:
    """The fixed model and the choice, on test; what every model that was tried would have been there; and probes."""
    models, folder = trainings(row, data), runs / str(row)
    scores: dict[str, Scores] = {name: dict(np.load(folder / f"{name}.npz")) for name in models}
    swept = {}
    for name, (training, point) in models.items():
        vae, history = read_run(folder / name)
        measured = {"data": data, "draws": CHOICE_DRAWS, "seed": training.seed}
        swept[name] = swept_of(name, point, vae.to(device), history, **measured)
    tried = [one for name, one in swept.items() if name != FIRST]
    choice, first = er.choose(tried), scores[FIRST]
    found: dict[str, Any] = {
        "label": choice.model.label,
        "chosen": {axis: plain(value) for axis, value in choice.model.settings.items()},
        "reason": choice.reason,
        "active": choice.model.active,
        "active of the fixed": swept[FIRST].active,
        "epochs kept": {one.label: [one.history.best_epoch, len(one.history.rows)] for one in swept.values()},
        "validation": {one.label: one.iwae.mean for one in swept.values()},
        "log_p": [float(scores[name]["test"].mean()) for name in (FIRST, choice.model.name)],
        "difference": apart(scores[choice.model.name], first),
        "every one tried": {one.label: apart(scores[one.name], first) for one in tried},
        "seconds": [swept[FIRST].history.seconds, sum(one.history.seconds for one in tried)],
    }
    if "test right" in first:
        found["probe"] = {what: probes(tried, scores, what) for what in ("right", "log score")}
    return found | {"made on": made_on(device)}


def plain(value: Any) -> Any:
    """A likelihood by its scale, a number as it is."""
    return value["scale"] if isinstance(value, dict) else value


def apart(one: Scores, other: Scores) -> list[float]:
    """Nats by which one bound on test is above another, row by row, and the error of that over rows and draws."""
    values, variance = one["test"] - other["test"], one["mc variance"] + other["mc variance"]
    return [float(values.mean()), math.sqrt((values.var(ddof=1) + variance.mean()) / len(values))]


def probes(tried: Sequence[er.sweeps.Swept], scores: Mapping[str, Scores], what: str) -> dict[str, Any]:
    """Chosen by a probe's score on validation: how the probe does on test, beside that of the fixed model's codes."""
    entries = []
    for one in tried:
        values = scores[one.name][f"validation {what}"]
        size = one.vae.latents, sum(p.numel() for p in one.vae.parameters())
        se = float(values.std() / math.sqrt(len(values)))
        entries.append(Entry(one.label, one.label, size, float(values.mean()), se, None, values))
    found = standings(entries)
    ways = {"within one error": smallest(found), "the best": max(found, key=lambda one: one.value)}
    first, record = scores[FIRST], {"fixed": {}}
    record["fixed"] = {name: float(first[f"test {name}"].mean()) for name in ("right", "log score")}
    for way, standing in ways.items():
        mine = scores[tried[standing.best_entry].name]
        more = {name: paired(mine[f"test {name}"] - first[f"test {name}"]) for name in ("right", "log score")}
        record[way] = {"chosen": standing.label, "more": more}
    every = {one.label: paired(scores[one.name]["test right"] - first["test right"]) for one in tried}
    return record | {"every one tried": every}


def paired(values: NDArray[np.float64]) -> list[float]:
    return [float(values.mean()), float(values.std(ddof=1) / math.sqrt(len(values)))]


def made_on(device: str) -> dict[str, Any]:
    """The machine, for a number that another would give otherwise."""
    sys.path.append(str(HERE.parents[1] / "benchmarks"))  # whose canaries are others
    from record import machine

    about = {name: value for name, value in machine().items() if name in ("processor", "python", "torch")}
    return about | ({"device": torch.cuda.get_device_name()} if device == "cuda" else {"device": "cpu"})


def first_steps_of(row: Row, **changed: Any) -> Any:
    """First steps of the fixed model, on the CPU wherever the row was made; with other settings of its training."""
    from canary import first_steps

    data = load(row)
    training, point = trainings(row, data)[FIRST]
    vae = er.models.build(recipe_for(training, point, data), data)
    settings = {"lr": training.lr, "clip": training.clip} | changed
    return first_steps(vae, data, batch_size=100, seed=row.seed, **settings)


def make(row: Row, runs: Path, device: str) -> dict[str, Any]:
    """A whole row."""
    data = load(row)
    if device != "cpu":
        together([row], data, runs, device)
    for name in trainings(row, data):
        if not (runs / str(row) / f"{name}.npz").exists():
            train(row, name, data, runs, device)
    return judge(row, data, runs, device)


def main() -> None:
    from canaries import canaries
    from canary import fill
    from tables import main as write_tables

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="rows whose names hold one of these; by default all")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--runs", type=Path, default=Path("runs/choice"))
    asked = parser.parse_args()
    wanted = {str(row): row for row in rows() if not asked.words or any(word in str(row) for word in asked.words)}
    places = {name: (row, asked.runs, asked.device) for name, row in wanted.items()}
    fill(RECORD, places, make, canaries)
    write_tables()


if __name__ == "__main__":
    main()
