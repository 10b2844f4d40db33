"""First steps of a model of each row, and the first points that the search tries."""

import json
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from canary import Canary, Numbers, first_steps, main
from run import BATCH, RECORD, SETS, SPACE, rows

import elbowroom as er
from elbowroom.training.adam import CLIP


def canaries() -> list[Canary]:
    """One for each row that is there."""
    made = json.loads(RECORD.read_text())
    there = {name: about for name, about in rows().items() if name in made}
    return [Canary(RECORD, name, partial(steps, *about), needs=("optuna",)) for name, about in there.items()]


def steps(name: str, seed: int) -> Numbers:
    """Twenty steps and ten examples of one model, and β and latents of five points."""
    data = SETS[name](seed)
    vae = er.models.build({"latents": 4, "widths": [16], "seed": seed}, data)
    found = first_steps(vae, data, er.objectives.Elbo(0.5), batch_size=BATCH, seed=seed, clip=CLIP)
    return {**found, "points": points(seed)}


def points(seed: int) -> list[float]:
    """The first that are tried."""
    import optuna

    from elbowroom.models import Recipe
    from elbowroom.sweeps.database import SeededSampler, quiet
    from elbowroom.sweeps.space import Space

    with quiet():
        study = optuna.create_study(sampler=SeededSampler("tpe", seed))
    space = Space(Recipe(), SPACE)
    return [value for _ in range(5) for value in _numbers(space.suggest(study.ask()))]


def _numbers(point: dict[str, float]) -> list[float]:
    return [point["beta"], float(point["latents"])]


if __name__ == "__main__":
    main(canaries())
