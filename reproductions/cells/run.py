"""Cells: scvi-tools' own weights measured by both, clusters and batches, and the post's question on counts.

    make scvi
    ELBOWROOM_DATA=… .venv-scvi/bin/python reproductions/cells/run.py --runs FOLDER [--only evidence]

A row that is in a record stays; models that were trained stay in FOLDER.
"""

import argparse
import sys
from functools import partial
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from growing import Record
from sets import NAMES

Record.folder = Path(__file__).parent / "records"


def evidence(runs: Path) -> None:
    from evidence_rows import HOW, divided, measured

    keys = [{"set": name, "seed": 0} for name in ("simulated", "smfish", "bladder", "worm")]
    assert {key["set"] for key in keys} == set(NAMES)
    Record("evidence", annealing=HOW).rows(keys, partial(measured, runs=runs))
    Record("divisor").rows(keys[:1], partial(divided, runs=runs))


def structure(runs: Path) -> None:
    from structure_rows import EPOCHS, classic, swept, true

    Record("truth").rows([{"set": "simulated"}], lambda set: true())
    Record("classics").rows([{"model": name, "seed": 0} for name in ("PCA", "factor analysis", "planted z")], classic)
    points = [(1.0, 10, 0), (10.0, 10, 0), (0.1, 10, 0), (1.0, 2, 0), (1.0, 30, 0), (1.0, 10, 1), (1.0, 10, 2)]
    points += [(10.0, 10, 1), (0.1, 10, 1), (10.0, 10, 2), (0.1, 10, 2), (3.0, 10, 0), (0.3, 10, 0), (1.0, 5, 0)]
    keys = [{"model": "SCVI", "beta": beta, "latents": latents, "seed": seed} for beta, latents, seed in points]
    keys.insert(5, {"model": "LinearSCVI", "beta": 1.0, "latents": 10, "seed": 0})
    Record("structure", epochs=EPOCHS).rows(keys, partial(swept, runs=runs))


def longer(runs: Path) -> None:
    """Ten times as long, the number of epochs that scvi-tools takes by itself for so many cells."""
    from structure_rows import swept

    key = {"model": "SCVI", "beta": 1.0, "latents": 10, "seed": 0, "epochs": 400}
    Record("longer").rows([key], partial(swept, runs=runs))


def own(runs: Path) -> None:
    from own_rows import own

    Record("own").rows([{"model": name, "seed": 0} for name in ("scvi", "ldvae")], own)


def along(runs: Path) -> None:
    """Our own model on every set, up to 400 epochs, and latent classes beside; no scvi-tools is needed."""
    import along_rows as rows

    long = [(beta, latents, seed, 400) for beta, latents in rows.POINTS[:3] for seed in range(3)]
    long += [(beta, latents, 0, 400) for beta, latents in rows.POINTS[3:]]
    points = [*long, (*rows.POINTS[0], 0, 40), (*rows.POINTS[0], 1, 40)]
    names = ("set", "beta", "latents", "seed", "epochs")
    keys = [dict(zip(names, (name, *point), strict=True)) for name in rows.SETS for point in points]
    Record("along").rows(keys, rows.along)
    Record("latent_classes").rows([{"set": name, "seed": 0} for name in rows.SETS], rows.classes)


def cost(runs: Path) -> None:
    from cost_rows import costs

    sizes = [(cells, 20_000, name) for cells in (3_000, 30_000) for name in ("scvi-tools", "elbowroom")]
    keys = [{"package": name, "cells": cells, "genes": genes} for cells, genes, name in sizes]
    Record("cost").rows(keys, costs)


PARTS = {"evidence": evidence, "structure": structure, "own": own, "longer": longer, "along": along, "cost": cost}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="where trained models are kept")
    parser.add_argument("--only", choices=PARTS, help="one part")
    said = parser.parse_args()
    torch.set_num_threads(1)
    for name, part in PARTS.items():
        if said.only in (None, name):
            part(said.runs)


if __name__ == "__main__":
    main()
