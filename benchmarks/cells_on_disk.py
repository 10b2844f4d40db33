"""Cells that stay on the disk: what the order of the rows costs, in rate, memory and result.

    python benchmarks/cells_on_disk.py simulate cells.h5ad --cells 300000
    python benchmarks/cells_on_disk.py read cells.h5ad --order blocks
    python benchmarks/cells_on_disk.py epoch cells.h5ad --order blocks --words observed
    python benchmarks/cells_on_disk.py effect --cells 20000 --genes 200 --seeds 3 --epochs 4
    python benchmarks/cells_on_disk.py record lines.jsonl

Each call is a process of its own, so that the greatest resident memory it prints is its own; a line of JSON each, with
how busy the machine was. "record" gathers such lines in benchmarks/records.
"""

import argparse
import json
import os
import resource
import tempfile
import time
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import torch
from record import write_record
from scipy import sparse

import elbowroom as er
from elbowroom.data.on_disk import OnDisk
from elbowroom.data.values import Values

TYPES, BLOCK = 30, 1_000


def simulate(path: Path, cells: int, genes: int, seed: int = 0) -> dict[str, float]:
    """Cells of 30 types, sorted by type as files sorted by sample are, written 1,000 at a time."""
    rng = np.random.default_rng(seed)
    base = rng.gamma(0.3, 1.0, genes)
    shares = base * rng.lognormal(0.0, 0.6, (TYPES, genes))
    shares /= shares.sum(1, keepdims=True)
    kinds = np.sort(rng.integers(0, TYPES, cells))
    started = time.perf_counter()
    names = [f"g{i}" for i in range(genes)]
    obs = pd.DataFrame({"type": pd.Categorical([f"t{kind:02d}" for kind in kinds])}, index=map(str, range(cells)))
    anndata.AnnData(None, obs, pd.DataFrame(index=names)).write_h5ad(path)
    with h5py.File(path, "r+") as file:
        x = file.create_group("X")
        x.attrs["encoding-type"], x.attrs["encoding-version"], x.attrs["shape"] = "csr_matrix", "0.1.0", (cells, genes)
        data = x.create_dataset("data", (0,), "f4", maxshape=(None,), chunks=(2**18,))
        indices = x.create_dataset("indices", (0,), "i4", maxshape=(None,), chunks=(2**18,))
        ends = [0]
        for start in range(0, cells, BLOCK):
            some = kinds[start : start + BLOCK]
            depth = rng.lognormal(np.log(900), 0.4, (len(some), 1))
            block = sparse.csr_matrix(rng.poisson(depth * rng.gamma(3.0, 1 / 3.0, (len(some), 1)) * shares[some]))
            for one, values in ((data, block.data), (indices, block.indices)):
                one.resize((ends[-1] + block.nnz,))
                one[ends[-1] :] = values
            ends += (ends[-1] + block.indptr[1:]).tolist()
        x["indptr"] = np.array(ends, np.int64)
    return {"seconds": time.perf_counter() - started, "values": ends[-1], "bytes": path.stat().st_size}


def ordered(order: str) -> None:
    """Take rows in single random places instead of blocks, where that is asked."""
    if order == "single":
        OnDisk.shuffled = Values.shuffled  # type: ignore[method-assign]


def loaded(path: Path, words: dict[str, object]) -> tuple[er.data.Dataset, float]:
    started = time.perf_counter()
    data = er.load_data(anndata.read_h5ad(path, backed="r"), **words, progress=False)
    return data, time.perf_counter() - started


def read(path: Path, rows: int) -> dict[str, float]:
    """Rows per second of training batches, without a model."""
    from elbowroom.data.anndata_objects import of_h5ad
    from elbowroom.data.csr_on_disk import CsrOnDisk

    genes = len(of_h5ad(path).matrices["X"].genes)
    with h5py.File(path) as file:
        cells = len(file["X/indptr"]) - 1
    values = OnDisk(CsrOnDisk(path, "X", (cells, genes)), np.arange(cells), (genes,), False)
    order = values.shuffled(torch.Generator().manual_seed(0))[:rows]
    started = time.perf_counter()
    for some in order.split(128):
        values.take(some)
    seconds = time.perf_counter() - started
    return {"rows": len(order), "seconds": seconds, "rows_per_second": len(order) / seconds, "window": values.window}


def epoch(path: Path, words: dict[str, object]) -> dict[str, float]:
    data, loading = loaded(path, words)
    vae = er.models.build({"latents": 10, "widths": [128], "likelihood": NB}, data)
    started = time.perf_counter()
    history = er.fit(vae, data, epochs=1, batch_size=128, seed=0, progress=False)
    seconds = time.perf_counter() - started
    return {
        "train": len(data.train),
        "load_seconds": loading,
        "fit_seconds": seconds,
        "cells_per_second": len(data.train) / seconds,
        "validation": history.rows[-1]["validation"]["objective"],
    }


NB = {"kind": "negative-binomial", "size_factor": "size"}


WAYS = {
    "rows alone": (1, None),
    "462 blocks of 4": (4, 462),
    "116 blocks of 16": (16, 116),
    "29 blocks of 64": (64, 29),
}
"""Blocks in a window, of an eighth of the training rows each, as 128 MiB are of 300,000 cells."""


def effect(seeds: int, cells: int, genes: int, epochs: int) -> dict[str, object]:
    """Validation −ELBO (the best epoch's) of a file sorted by type, by how its rows are shuffled, paired by seed."""
    from elbowroom.data import on_disk

    found: dict[str, list[float]] = {name: [] for name in (*WAYS, "never shuffled")}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cells.h5ad"
        simulate(path, cells, genes)
        data, _ = loaded(path, {"size_factor": "observed"})
        by_blocks, source = OnDisk.shuffled, data.train.values.source
        for seed in range(seeds):
            for name, values in found.items():
                block, many = WAYS.get(name, (1, None))
                OnDisk.shuffled = by_blocks if many else Values.shuffled
                on_disk._BLOCKS, on_disk._READ = many or 1, int(block * on_disk._PAIR * source.nnz / cells) + 8
                if name not in WAYS:
                    OnDisk.shuffled = lambda self, generator: torch.arange(len(self))
                vae = er.models.build({"latents": 10, "widths": [64], "likelihood": NB, "seed": seed}, data)
                history = er.fit(vae, data, epochs=epochs, batch_size=128, seed=seed, progress=False)
                values.append(min(row["validation"]["objective"] for row in history.rows))
    alone = np.array(found["rows alone"])
    said = {}
    for name, values in found.items():
        more = np.array(values) - alone
        error = float(more.std(ddof=1) / np.sqrt(seeds)) if seeds > 1 else None
        said[name] = {"mean": float(np.mean(values)), "more": float(more.mean()), "error": error}
    return {"cells": cells, "genes": genes, "epochs": epochs, "seeds": seeds, "validation": said}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["simulate", "read", "epoch", "effect", "record"])
    parser.add_argument("path", nargs="?", type=Path)
    parser.add_argument("--cells", type=int, default=300_000)
    parser.add_argument("--genes", type=int, default=5_000)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--order", choices=["blocks", "single"], default="blocks")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    ordered(given.order)
    if given.what == "record":
        lines = given.path.read_text(encoding="utf-8").splitlines()
        print(write_record("cells_on_disk", {"cases": [json.loads(line) for line in lines]}))
        return
    if given.what == "simulate":
        said = simulate(given.path, given.cells, given.genes)
    elif given.what == "read":
        said = read(given.path, given.rows)
    elif given.what == "epoch":
        said = epoch(given.path, {"size_factor": "observed"})
    else:
        said = effect(given.seeds, given.cells, given.genes, given.epochs)
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        json.dumps(
            {"what": given.what, "order": given.order, **said, "resident_gib": resident, "load": os.getloadavg()[0]}
        )
    )


if __name__ == "__main__":
    main()
