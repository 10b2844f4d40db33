"""One epoch of training at many genes, by either package, in a process of its own: seconds of one core, peak memory."""

import json
import resource
import subprocess
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

__all__ = ["costs"]

BATCH = 128


def costs(package: str, cells: int, genes: int) -> dict[str, Any]:
    """Measured in a new process, as peak memory belongs to one; libraries and data are part of it."""
    command = [sys.executable, str(Path(__file__)), package, str(cells), str(genes)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def counts(cells: int, genes: int) -> Any:
    """Sparse counts, 5 % of them above 0, CSR in 32 bits."""
    rng = np.random.default_rng(0)
    each = genes // 20
    places = np.concatenate([np.sort(rng.choice(genes, each, replace=False)) for _ in range(cells)])
    values = 1 + rng.poisson(0.5, cells * each)
    return sparse.csr_matrix(
        (values.astype(np.float32), places, np.arange(cells + 1) * each), shape=(cells, genes), dtype=np.float32
    )


def scvi_tools(x: Any) -> Any:
    """An SCVI with its default words but for nb, as elbowroom's has no extra zeros either."""
    import anndata
    import scvi

    warnings.filterwarnings("ignore")
    adata = anndata.AnnData(x)
    scvi.model.SCVI.setup_anndata(adata)
    model = scvi.model.SCVI(adata, gene_likelihood="nb")
    quiet = {"enable_progress_bar": False, "logger": False, "enable_checkpointing": False}
    return lambda: model.train(max_epochs=1, accelerator="cpu", train_size=0.9, validation_size=0.1, **quiet)


def ours(x: Any) -> Any:
    """The same widths, latents and counts."""
    import elbowroom as er

    data = er.load_data(x, support="counts", preprocess="none", validation=0.1, test=2, progress=False)
    words = {"likelihood": "negative-binomial", "latents": 10, "widths": [128]}
    vae = er.models.build(words, data)
    return lambda: er.fit(vae, data, epochs=1, batch_size=BATCH, progress=False)


def main() -> None:
    import torch

    torch.set_num_threads(1)
    package, cells, genes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    train = {"scvi-tools": scvi_tools, "elbowroom": ours}[package](counts(cells, genes))
    start = time.process_time()
    train()
    seconds, most = time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    versions = {"version": version(package), "torch": torch.__version__}
    print(json.dumps({"seconds": seconds, "peak GiB": most / 2**20} | versions))


if __name__ == "__main__":
    main()
