"""The sets: one simulated from a model of the family, whose log p(x) is known, and three real ones as they are read."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

__all__ = ["NAMES", "REAL", "Cells", "Truth", "cells", "simulated", "split"]

REAL = {
    "worm": "worm_neuron_cell.h5",
    "bladder": "mouse_bladder_cell_select_2100.h5",
    "smfish": "smfish.h5ad",
}
NAMES = ("simulated", *REAL)
GENES = 1_000  # of the real sets, those whose counts vary most for their mean, on training cells alone
CELLS, SIMULATED_GENES, CLUSTERS, LATENTS = 3_000, 500, 6, 8
TEST, VALIDATION = 0.2, 0.1


@dataclass(frozen=True)
class Truth:
    """What the simulated set was drawn from: x ~ NB(size · softmax(W z + batch), r), z from a mixture of normals."""

    z: NDArray[np.float64]
    size: NDArray[np.float64]
    weights: NDArray[np.float64]
    offsets: NDArray[np.float64]  # [batches, genes]
    dispersion: NDArray[np.float64]
    centres: NDArray[np.float64]
    spread: float

    def means(self, z: NDArray[np.float64], batch: NDArray[np.int64], size: NDArray[np.float64]) -> NDArray[np.float64]:
        """[..., genes]: mean counts."""
        logits = z @ self.weights + self.offsets[batch]
        logits -= logits.max(-1, keepdims=True)
        shares = np.exp(logits)
        return size[..., None] * shares / shares.sum(-1, keepdims=True)


@dataclass(frozen=True)
class Cells:
    """Counts [cells, genes], cluster and batch of each cell."""

    name: str
    x: NDArray[np.float32]
    labels: NDArray[np.int64]
    batch: NDArray[np.int64]
    genes_read: int
    truth: Truth | None = None


def simulated(seed: int = 0) -> Cells:
    """Two batches, six clusters of unequal sizes, gene-wise dispersions and log-normal sizes."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(CLUSTERS, LATENTS)) * 1.2
    spread = 0.5
    labels = rng.choice(CLUSTERS, CELLS, p=np.array([0.3, 0.22, 0.18, 0.14, 0.1, 0.06]))
    batch = (rng.random(CELLS) < 0.4).astype(np.int64)
    z = centres[labels] + spread * rng.normal(size=(CELLS, LATENTS))
    base = rng.normal(size=SIMULATED_GENES) * 1.2
    weights = rng.normal(size=(LATENTS, SIMULATED_GENES)) * 0.35 * (rng.random((LATENTS, SIMULATED_GENES)) < 0.4)
    offsets = base + np.stack([np.zeros(SIMULATED_GENES), 0.4 * rng.normal(size=SIMULATED_GENES)])
    dispersion = np.exp(rng.normal(size=SIMULATED_GENES) * 0.7 + 0.7)
    size = np.exp(rng.normal(size=CELLS) * 0.4 + np.log(1_000))
    truth = Truth(z, size, weights, offsets, dispersion, centres, spread)
    rate = rng.gamma(dispersion, truth.means(z, batch, size) / dispersion)
    x = rng.poisson(rate).astype(np.float32)
    return Cells("simulated", x, labels, batch, SIMULATED_GENES, truth)


def cells(name: str, genes: int = GENES) -> Cells:
    """A set by name: real ones from ELBOWROOM_DATA, with the genes that vary most, chosen on training cells."""
    if name == "simulated":
        return simulated()
    import h5py

    path = Path(os.environ["ELBOWROOM_DATA"]) / "single_cell" / REAL[name]
    with h5py.File(path) as file:
        labels = file["obs/labels" if name == "smfish" else "Y"][:].astype(np.int64).reshape(-1)
        x = file["X"][:]
    read = x.shape[1]
    labels = np.unique(labels, return_inverse=True)[1]
    x = x[:, most_varying(x[split(len(x))[0]], genes)].astype(np.float32)
    counted = x.sum(1) > 0
    x, labels = x[counted], labels[counted]
    return Cells(name, x, labels, np.zeros(len(x), np.int64), read)


def most_varying(x: NDArray[np.float64], genes: int) -> NDArray[np.int64]:
    """Genes with the greatest variance over mean, of shares of the total, among those that three cells have."""
    if x.shape[1] <= genes:
        return np.arange(x.shape[1])
    shares = x / np.maximum(x.sum(1, keepdims=True), 1) * np.median(x.sum(1))
    mean, seen = shares.mean(0), (x > 0).sum(0) >= 3
    ratio = np.where(seen, shares.var(0) / np.maximum(mean, 1e-12), 0.0)
    return np.sort(np.argsort(-ratio, kind="stable")[:genes])


def split(n: int, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rows of train, validation and test."""
    order = np.random.default_rng(seed).permutation(n)
    test, held = int(TEST * n), int(VALIDATION * n)
    return np.sort(order[test + held :]), np.sort(order[test : test + held]), np.sort(order[:test])


def annotated(found: Cells):
    """As AnnData, which scvi-tools reads."""
    import anndata
    import pandas as pd

    obs = pd.DataFrame(
        {"batch": found.batch.astype(str), "labels": found.labels.astype(str)},
        index=[f"cell{i}" for i in range(len(found.x))],
    )
    var = pd.DataFrame(index=[f"gene{i}" for i in range(found.x.shape[1])])
    return anndata.AnnData(sparse.csr_matrix(found.x), obs=obs, var=var)
