"""The simulated set's first numbers, and the evidence of ten cells under an SCVI with the weights that a seed gives."""

import sys
from pathlib import Path
from typing import Any

import sets
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from canary import Canary, Numbers, first_steps, keep, main

import elbowroom as er
from elbowroom.adapters import from_scvi

RECORDS = Path(__file__).parent / "records"
OF_SCVI = ("evidence", "divisor", "structure", "longer")
GENES, CELLS = 100, 200


def canaries() -> list[Canary]:
    """One for each record."""
    made = dict.fromkeys(OF_SCVI, untrained) | {"own": trained, "along": trained}
    return [
        Canary(path, "first numbers", made.get(path.stem, counts), ("scvi",) * (path.stem in OF_SCVI))
        for path in sorted(RECORDS.glob("*.json"))
    ]


def counts() -> Numbers:
    """Totals of ten cells and means of ten genes."""
    x = sets.cells("simulated").x
    return {"cells": x[:10].sum(1).tolist(), "genes": x[:, :10].mean(0).astype(float).tolist()}


def trained() -> Numbers:
    """Twenty steps and ten cells of our own model."""
    from own_rows import BATCH, data_of

    data = data_of(sets.cells("simulated"))
    return first_steps(er.models.build({"model": "scvi", "seed": 0}, data), data, batch_size=BATCH)


def untrained() -> Numbers:
    """IWAE of ten cells under an SCVI that was made and not trained."""
    import scvi

    found = sets.cells("simulated")
    adata = sets.annotated(found)[:CELLS, :GENES].copy()
    scvi.settings.seed = 0
    scvi.model.SCVI.setup_anndata(adata, batch_key="batch")
    vae = from_scvi(scvi.model.SCVI(adata))
    x = torch.from_numpy(found.x[:10, :GENES])
    batch = torch.nn.functional.one_hot(torch.from_numpy(found.batch[:10]), 2).float()
    context: dict[str, Any] = {"library": x.sum(1, keepdim=True), "batch": batch}
    rows = er.Batch(x, torch.arange(10), context)
    return counts() | {"evidence": [float(one) for one in er.evidence.iwae(vae, rows, draws=50).values]}


def keep_all() -> None:
    """Write the canaries into the records that are there."""
    for one in canaries():
        keep(one.record, [one])


if __name__ == "__main__":
    main(canaries())
