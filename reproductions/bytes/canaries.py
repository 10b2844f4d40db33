"""First steps of the model whose gap is coded, and what the published ones' ways make of weights that are drawn."""

import sys
import tempfile
from functools import partial
from pathlib import Path

import long
import published
import torch
from run import RECORD, data, plain

import elbowroom as er

sys.path.insert(0, str(Path(__file__).parents[1]))

from canary import Canary, Numbers, evidence, first_steps, main

SIZES = {
    "bits": {"fc1": (100, 784), "fc21": (40, 100), "fc22": (40, 100), "fc3": (100, 40), "fc4": (784, 100)},
    "levels": {
        "fc1": (200, 784), "bn1": (200,), "fc21": (50, 200), "bn21": (50,), "fc22": (50, 200), "bn22": (50,),
        "fc3": (200, 50), "bn3": (200,), "fc4": (1568, 200),
    },
}  # fmt: skip


def canaries() -> list[Canary]:
    """One for our own model, and one for each of the published ones, without their weights."""
    ways = [Canary(published.RECORD, what, partial(way, what), ("mnist",)) for what in SIZES]
    ways.append(Canary(long.RECORD, "levels", longer, ("mnist",)))
    return [Canary(RECORD, "784-100-40", steps, ("binarized-mnist",)), *ways]


def steps() -> Numbers:
    """Twenty steps and ten images."""
    return first_steps(plain(), data(), seed=0)


def longer() -> Numbers:
    """Twenty steps of the model of levels."""
    levels = long.data_of("levels")
    return first_steps(er.models.build(long.WORDS["levels"], levels), levels, seed=0)


def way(what: str) -> Numbers:
    """Evidence of ten images by weights that are drawn, and a file of theirs with three draws and two steps."""
    vae, x = getattr(published, what)(drawn(what)), published.images(what)[:10]
    with tempfile.TemporaryDirectory() as folder:
        row = published.file(vae, x, 3, 2, Path(folder) / "x.elb")
    return {"evidence": evidence(vae, torch.from_numpy(x).float()), "bytes": [row["bytes of rows"]]}


def drawn(what: str) -> dict[str, torch.Tensor]:
    """Numbers in the shapes of the published ones."""
    generator, found = torch.Generator().manual_seed(0), dict[str, torch.Tensor]()
    for name, size in SIZES[what].items():
        spread = 0.05 if len(size) == 2 else 1.0
        found[f"{name}.weight"] = spread * torch.randn(size, generator=generator)
        found[f"{name}.bias"] = 0.1 * torch.randn(size[0], generator=generator)
        if len(size) == 1:
            found |= {f"{name}.running_mean": torch.zeros(size), f"{name}.running_var": torch.ones(size)}
            found[f"{name}.num_batches_tracked"] = torch.tensor(1)
    return found


if __name__ == "__main__":
    main(canaries())
