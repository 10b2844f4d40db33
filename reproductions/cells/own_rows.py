"""Our own models of cells, trained on the same cells for as many epochs as scvi-tools', by their words in the zoo."""

import dataclasses
from typing import Any

import torch
from sets import cells, split
from structure_rows import EPOCHS, WEIGHED, held_out

import elbowroom as er

__all__ = ["BATCH", "data_of", "own"]

BATCH = 128


def own(model: str, seed: int) -> dict[str, Any]:
    """As a row of scvi-tools' model."""
    found = cells("simulated")
    data = data_of(found)
    vae = er.models.build({"model": model, "seed": seed}, data)
    er.fit(vae, data, epochs=EPOCHS, batch_size=BATCH, seed=seed, progress=False)
    assert len(data.test) >= WEIGHED
    return {"quantity": vae.quantity} | held_out(vae, data.test, found)


def data_of(found: Any) -> er.data.Dataset:
    """The cells with batch and observed size as load_data makes them, in the parts that scvi-tools is given."""
    words: dict[str, Any] = {"support": "counts", "preprocess": "none", "size_factor": "observed", "progress": False}
    batch = found.batch.astype(str) if found.batch.any() else None
    data = er.load_data(found.x, batch=batch, **words)
    parts = list(data.parts.values())
    order = torch.cat([part.index for part in parts]).argsort()
    context = {name: torch.cat([part.context[name] for part in parts])[order] for name in parts[0].context}

    def part(rows: Any) -> er.data.Examples:
        own = {name: value[rows] for name, value in context.items()}
        return er.data.Examples(torch.from_numpy(found.x[rows]), torch.from_numpy(rows), context=own, data=data.sha256)

    train, validation, test = (part(rows) for rows in split(len(found.x)))
    return dataclasses.replace(data, train=train, validation=validation, test=test)
