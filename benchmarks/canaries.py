"""First steps of what the benchmarks claim numbers of; those of the others are times."""

import sys
from functools import partial
from pathlib import Path

import digits_contest
import nan_rates
from record import RECORDS

import elbowroom as er
from elbowroom.training.adam import CLIP

sys.path.insert(0, str(Path(__file__).parents[1] / "reproductions"))
sys.path.insert(0, str(Path(__file__).parents[1] / "reproductions" / "evidence"))

import bdmc
from canary import Canary, Numbers, first_steps, main

CONTESTS = {"normal": digits_contest.NORMAL, "auto": {}}


def canaries() -> list[Canary]:
    """Those of three records."""
    found = [Canary(RECORDS / "digits_contest.json", name, partial(of_contest, name)) for name in CONTESTS]
    for spread in nan_rates.SPREADS:
        for floor in nan_rates.FLOORS:
            row = f"{spread}, floor {floor:g}"
            found.append(Canary(RECORDS / "nan_rates.json", row, partial(of_rates, spread, floor)))
    return [*found, Canary(RECORDS / "bdmc_peer.json", "gap", of_peer, ("mnist",))]


def of_contest(name: str) -> Numbers:
    """The default model of the study."""
    data = er.load_data("digits")
    return first_steps(er.models.build(CONTESTS[name], data), data, clip=CLIP)


def of_rates(spread: str, floor: float) -> Numbers:
    """One setting at a rate where all runs stay finite."""
    data = er.load_data("digits")
    return first_steps(er.models.build(nan_rates.words(spread, floor, 0), data), data, lr=1e-3, seed=0)


def of_peer() -> Numbers:
    """The model that both codes anneal, and our gap from either start."""
    data = bdmc.load()
    vae = bdmc.model(data)
    found = first_steps(vae, data, **bdmc.TRAINING)
    for start in ("posterior", "prior"):
        ends = er.evidence.bdmc(vae, 4, start=start, temperatures=10, chains=4, leapfrog=2, seed=0)
        found[f"gap from the {start}"] = ends.gap.values.tolist()
    return found


if __name__ == "__main__":
    main(canaries())
