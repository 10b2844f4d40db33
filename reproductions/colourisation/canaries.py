"""First steps of every decoder and way of training, on the images that they are trained on."""

import sys
from functools import partial
from pathlib import Path

from colours import cifar
from run import CLASSES, FEW, FREE, GRID, built, objective
from segments import PATCHES, of_clusters
from shelf import HERE, key, named

sys.path.insert(0, str(Path(__file__).parents[1]))

from canary import Canary, Numbers, first_steps, main

SEEN = [key("weak"), key("strong", 0.1), key("strong", free=FREE), key("weak", by="scores"), key("blind strong")]


def canaries() -> list[Canary]:
    """One for each decoder and objective, and for the clusters."""
    models, few, clusters = (HERE / "records" / f"{name}.json" for name in ("models", "few", "clusters"))
    found = [Canary(models, named(one), partial(steps, **one), ("cifar10",)) for one in SEEN]
    found += [Canary(few, named(one), partial(steps, **one), ("cifar10",)) for one in (FEW[0], FEW[1])]
    return [*found, Canary(clusters, "colour", agreements, ("cifar10",))]


def steps(decoder: str, beta: float, free: float, by: str, seed: int) -> Numbers:
    """Twenty steps and ten images."""
    return first_steps(built(decoder, seed), cifar(), objective(beta, free, by), batch_size=25, seed=seed, lr=1e-3)


def agreements() -> Numbers:
    """How far clusters of colours agree with the other two."""
    found = of_clusters(cifar(), "colour", CLASSES, GRID)["agreement"]
    return {"agreement": [found[of] for of in PATCHES]}


if __name__ == "__main__":
    main(canaries())
