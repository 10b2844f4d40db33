"""scvi-tools' own SCVI: trained with its default words on a split of ours, kept in its own files, and asked."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sets import Cells, annotated, split

__all__ = ["EPOCHS", "trained"]

EPOCHS = 40


def trained(
    found: Cells,
    runs: Path,
    *,
    seed: int = 0,
    epochs: int = EPOCHS,
    beta: float = 1.0,
    kind: str = "SCVI",
    **words: Any,
) -> Any:
    """An SCVI with its default words but for those given, from its folder where it was trained before."""
    import scvi

    warnings.filterwarnings("ignore")
    scvi.settings.verbosity = 30
    adata = annotated(found)
    made, words = getattr(scvi.model, kind), {"n_latent": 10} | words
    said = "-".join([f"{name}={value}" for name, value in sorted(words.items())])
    folder = runs / f"{kind}-{found.name}-{seed}-{epochs}-{beta:g}-{said}"
    if (folder / "model.pt").exists():
        return made.load(folder, adata=adata, accelerator="cpu")
    scvi.settings.seed = seed
    torch.set_num_threads(1)
    made.setup_anndata(adata, batch_key="batch" if found.batch.any() else None)
    model = made(adata, **words)
    parts = dict(zip(("train", "validation", "test"), split(len(found.x)), strict=True))
    # The weight of the KL rises to β over `warm` epochs, and not over the 400 that the default words mean for it.
    warm = {"n_epochs_kl_warmup": max(epochs // 4, 1), "max_kl_weight": beta, "min_kl_weight": 0.0}
    model.train(
        max_epochs=epochs,
        accelerator="cpu",
        datasplitter_kwargs={"external_indexing": [parts[name] for name in parts]},
        plan_kwargs=warm,
        enable_progress_bar=False,
        logger=False,
        enable_checkpointing=False,
    )
    assert np.array_equal(np.sort(model.test_indices), parts["test"])
    folder.parent.mkdir(parents=True, exist_ok=True)
    model.save(folder, overwrite=True)
    return model
