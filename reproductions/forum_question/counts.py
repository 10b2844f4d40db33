"""Counts of genes with a negative binomial, as in the paper that the post cites: does z collapse at the best bound?"""

import os
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from shelf import Record, Row, information, pair, vae

import elbowroom as er
from elbowroom.metrics import latent_use, neighbour_accuracy

GENES, BETAS = 500, (0.5, 1.0, 2.0, 4.0, 8.0, 32.0)
FILES = {"worm neurons": "worm_neuron_cell.h5", "mouse bladder": "mouse_bladder_cell_select_2100.h5"}
SEEDS = (0,)
TRAINING: dict[str, Any] = {"epochs": 30, "lr_final": 1e-4, "progress": False}


def run() -> None:
    """records/counts.json: β on two sets of cells."""
    record = Record("counts", genes=GENES, latents=10, hidden=[128], epochs=TRAINING["epochs"])
    for seed in SEEDS:
        for name in FILES:
            _stack(record, name, seed)


@cache
def cells(name: str) -> er.data.Dataset:
    """Counts of the genes that vary most, with the type of each cell and, as context, its size over the average."""
    import h5py

    with h5py.File(Path(os.environ["ELBOWROOM_DATA"]) / "single_cell" / FILES[name]) as file:
        counts, types = np.asarray(file["X"]), np.asarray(file["Y"])
    size = counts.sum(1) / counts.sum(1).mean()
    chosen = np.sort(np.argsort(-np.log1p(counts).var(0))[:GENES])
    codes = np.unique(types, return_inverse=True)[1]
    context = {"size": size.astype(np.float32)}
    x = counts[:, chosen].astype(np.int64)
    return er.load_data(x, name=name, support="counts", labels=codes, context=context, progress=False)


def sized(network: Any) -> er.likelihoods.NegativeBinomial:
    """A negative binomial whose mean is in proportion to the size of the cell."""
    return er.likelihoods.NegativeBinomial(network, GENES, size_factor="size")


def model(data: er.data.Dataset, seed: int) -> er.VAE:
    """Its encoder reads counts, standardised."""
    made = vae(data, seed, sized)
    made.posterior["z"].network = er.networks.Standardised(made.posterior["z"].network, event=data.event)
    return made


def _stack(record: Record, name: str, seed: int) -> None:
    missing = record.missing({"data": name, "seed": seed, "beta": beta} for beta in BETAS)
    if not missing:
        return
    data = cells(name)
    models = [model(data, seed) for _ in missing]
    objectives = [er.objectives.Elbo(key["beta"]) for key in missing]
    er.fit_stacked(models, data, objectives, seed=seed, processes=1, **TRAINING)
    for key, one in zip(missing, models, strict=True):
        record.add(key | measure(one, data))


def measure(one: er.VAE, data: er.data.Dataset) -> Row:
    """Bounds on test cells, information over the training cells, and how pure the neighbourhoods of z are."""
    found = er.evidence.rate_distortion(one, data.test, draws=8)
    z = [one.encode(part)["z"].double().numpy() for part in (data.train, data.test)]
    kinds = [np.asarray(part.labels) for part in (data.train, data.test)]
    return {
        "rate": pair(found.rate), "elbo": pair(found.elbo),
        "iwae": pair(er.evidence.iwae(one, data.test, draws=50)),
        "active": int(latent_use(one, data.test).active.sum()),
        "information": information(one, data.train),
        "purity": neighbour_accuracy(z[0], kinds[0], z[1], kinds[1]),
        "largest_type": float(np.bincount(kinds[1]).max() / len(kinds[1])),
    }  # fmt: skip
