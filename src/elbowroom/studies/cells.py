"""What `measure` adds for counts of many columns, as of cells: checks, the map of codes, and log p with the size."""

import importlib.util
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from elbowroom.data import Dataset, Examples
from elbowroom.evidence import fit_size_law, with_size
from elbowroom.metrics import LatentUse, latent_use
from elbowroom.numerics import Estimate, InputError
from elbowroom.records import CellsRecord
from elbowroom.vae import VAE

from .count_checks import count_checks, many_counts, shown_checks

__all__ = ["axes_of", "cells_record", "plane_of", "use_of"]

_LOG_SIZE, _SIZE, _BATCH = "log_size", "size", "batch"
_LEAST_FOR_UMAP = 30


def cells_record(
    vae: VAE, data: Dataset, bounds: Mapping[str, Estimate], seed: int, progress: bool
) -> tuple[CellsRecord | None, dict[str, Tensor]]:
    """The checks of the chosen model on test, and their arrays.

    Parameters
    ----------
    vae : VAE
        The chosen model.
    data : Dataset
        Of the study.
    bounds : mapping of str to Estimate
        On test.
    seed : int
        Of the replicates.
    progress : bool
        Whether a line says how far it is.

    Returns
    -------
    CellsRecord or None
        None for data that are no counts of many columns.
    dict of Tensor
        For pictures.safetensors.
    """
    if not many_counts(data.support, data.event):
        return None, {}
    found = count_checks(vae, data, data.test, seed=seed, progress=progress)
    best = max(bounds.values(), key=lambda bound: bound.mean)
    bound, law = _with_size(data, best)
    record = CellsRecord(
        checks=found.records,
        genes=found.worst,
        columns=math.prod(data.event),
        rows=found.rows,
        draws=found.draws,
        map_axes=axes_of(vae, data),
        batches=_batch_names(data),
        with_size=bound,
        size_law=law,
    )
    arrays = {"checks_genes": shown_checks(found.genes, seed), "checks_cells": shown_checks(found.cells, seed)}
    return record, {name: torch.from_numpy(values) for name, values in arrays.items()}


def use_of(vae: VAE, examples: Examples) -> tuple[LatentUse, float | None]:
    """What the codes do, without a latent size, which stands last; and the KL of that, where it is closed."""
    use = latent_use(vae, examples)
    if _LOG_SIZE not in vae.prior:
        return use, None
    codes = LatentUse(None if use.kl is None else use.kl[:-1], use.active[:-1], use.means[:, :-1])
    return codes, None if use.kl is None else float(use.kl[-1])


def axes_of(vae: VAE, data: Dataset) -> str:
    """What the axes of the map are, as `plane_of` draws it."""
    size = _LOG_SIZE in vae.prior
    if vae.latents - size == 2:
        return "z1, z2"
    if _by_umap(data):
        return "two coordinates of UMAP of the posterior means"
    return "first two principal components of the posterior means"


def plane_of(codes: Any, data: Dataset) -> Any:
    """Codes in the plane: as they are where they are two, else by UMAP (cells, where it is installed) or PCA."""
    if codes.shape[1] > 2 and _by_umap(data) and len(codes) >= _LEAST_FOR_UMAP:
        import umap

        return umap.UMAP(random_state=0, n_jobs=1).fit_transform(codes)
    if codes.shape[1] > 2:
        from sklearn.decomposition import PCA

        return PCA(2, random_state=0).fit_transform(codes)
    plane = np.zeros((len(codes), 2))
    plane[:, : codes.shape[1]] = codes
    return plane


def _by_umap(data: Dataset) -> bool:
    found = importlib.util.find_spec("umap")
    there = found is not None and found.origin is not None  # a folder of that name is no package
    return there and many_counts(data.support, data.event) and len(data.test) >= _LEAST_FOR_UMAP


def _batch_names(data: Dataset) -> tuple[str, ...]:
    batch = data.train.context.get(_BATCH)
    if batch is None or batch.dim() != 2 or batch.shape[1] < 2:
        return ()
    words = data.beside_classes.get(_BATCH) or range(batch.shape[1])
    return tuple(map(str, words))


def _with_size(data: Dataset, best: Estimate) -> tuple[Estimate | None, str | None]:
    """log p(x | size) + log p(size), where sizes are totals of whole numbers."""
    sizes = data.sizes
    if sizes is None or sizes.word != "observed" or _SIZE not in best.quantity:
        return None, None
    by_batch = _BATCH in best.quantity and _BATCH in data.train.context
    train, test = (_totals(part, sizes.mean) for part in (data.train, data.test))
    groups = [part.context[_BATCH].argmax(1).numpy() if by_batch else None for part in (data.train, data.test)]
    try:
        law = fit_size_law(train, groups=groups[0])
        return with_size(best, law.log_prob(test, groups=groups[1])), f"a {law.kind} of the training totals"
    except InputError:  # totals that are no whole numbers: there is no discrete law of them
        return None, None


def _totals(examples: Examples, mean: float) -> Any:
    return np.round(examples.context[_SIZE].double().numpy().reshape(-1) * mean)
