"""Encoders of counts: standardised counts, or standardised log(1 + x) with the logarithm of the total beside.

    ELBOWROOM_DATA=… python benchmarks/count_encoders.py        # 8 short trainings; records/count_encoders.json

Worm neurons (4,186 cells), the 1,000 genes that vary most in train, negative binomial, 10 latents, one hidden layer of
128, with the size observed and latent, 2 seeds. The two encoders have the same decoder weights at the start, the same
noise and batches; differences of the test ELBO are paired by cell.
"""

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from record import write_record

import elbowroom as er
from elbowroom.networks import MLP, Standardised

GENES, EPOCHS, LATENTS, WIDTH, SEEDS = 1_000, 12, 10, 128, (0, 1)
FILE = "single_cell/worm_neuron_cell.h5"


def cells(size_factor: str) -> er.data.Dataset:
    """The counts with their size observed or latent."""
    with h5py.File(Path(os.environ["ELBOWROOM_DATA"]) / FILE) as file:
        counts = np.asarray(file["X"]).astype(np.int64)
    return er.load_data(
        counts, support="counts", size_factor=size_factor, genes=GENES, name="worm neurons", progress=False
    )


def model(data: er.data.Dataset, seed: int, logarithms: bool) -> er.VAE:
    """The default model, or one whose encoders read standardised counts."""
    vae = er.models.build({"latents": LATENTS, "widths": [WIDTH], "seed": seed}, data)
    if logarithms:
        return vae
    torch.manual_seed(seed)
    for block in vae.posterior.values():
        network = MLP([GENES, WIDTH, 2 * block.event[0]])
        block.network = Standardised(network, event=data.event)
    return vae


def measured(data: er.data.Dataset, seed: int, logarithms: bool) -> er.numerics.Estimate:
    """The ELBO of the test cells after a short training."""
    vae = model(data, seed, logarithms)
    er.fit(vae, data, epochs=EPOCHS, batch_size=100, lr=1e-3, seed=seed, progress=False)
    return er.evidence.elbo(vae, data.test, draws=16)


def main() -> None:
    """Print and keep the differences."""
    rows: list[dict[str, Any]] = []
    for size_factor in ("observed", "latent"):
        data = cells(size_factor)
        for seed in SEEDS:
            raw, logs = (measured(data, seed, logarithms) for logarithms in (False, True))
            gain = logs - raw
            rows.append(
                {
                    "size": size_factor,
                    "seed": seed,
                    "quantity": logs.quantity,
                    "counts": raw.mean,
                    "logarithms": logs.mean,
                    "gain": [gain.mean, gain.se_total],
                }
            )
            print(rows[-1], flush=True)
    write_record("count_encoders", {"genes": GENES, "epochs": EPOCHS, "latents": LATENTS, "rows": rows})


if __name__ == "__main__":
    main()
