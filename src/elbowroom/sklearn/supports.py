"""Where the columns of a table lie, and how they are mapped to where a likelihood is a density."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elbowroom.data.columns import column_support, recorded_step
from elbowroom.numerics import InputError, Support
from elbowroom.preprocess import Chain, Dequantise, Identity, Preprocess, Standardise

__all__ = ["Floats", "constants", "maps", "support_by_column"]

Floats = NDArray[np.float64]

_MOST_UNEVEN = 20  # values of a column that are levels although they lie on no even grid


def constants(x: Tensor, support: Support) -> Floats:
    """The value of each column that never changes, NaN of those that do: a density on one value has no end.

    Whole numbers from 0 have masses, which a constant column bounds by 1, so they are all kept.
    """
    low, high = torch.where(x.isnan(), torch.inf, x).amin(0), torch.where(x.isnan(), -torch.inf, x).amax(0)
    if bool((low > high).any()):
        raise InputError("A column of X has no value at all: leave it out.")
    same = (low == high) if support.kind in ("unit", "real") else torch.zeros(x.shape[1], dtype=torch.bool)
    if bool(same.all()):
        raise InputError("Every column of X is constant, so there is nothing to model: give columns that vary.")
    return torch.where(same, low, torch.nan).numpy()


def support_by_column(x: Tensor, support: Support) -> Support | None:
    """The support of a table with columns of other kinds among its fractions; None where all are continuous.

    Levels on an even grid are rounded numbers here: the next fold may hold levels that this one lacks.
    """
    found = [column_support(column)[0] or Support("real") for column in x.numpy().T]
    plain = [Support("real") if one.kind == "unit" else _between_levels(one) for one in found]
    return None if all(one == Support("real") for one in plain) else Support.of_columns(plain)


def _between_levels(support: Support) -> Support:
    if support.kind != "grid":
        return support
    step = recorded_step(np.array(support.values)) if support.values else 1.0
    if step is not None:
        return Support("real", step=step)
    return support if len(support.values) <= _MOST_UNEVEN else Support("real")


def maps(x: Tensor, support: Support, seed: int) -> Iterator[tuple[Support, Preprocess]]:
    """Supports and maps for likelihoods of real numbers, of the values as they are, and of [0, 1], in this order.

    On whole numbers a density means nothing until they are dequantised. On the line it has mass above the greatest too,
    which another fold may hold.
    """
    columns = (x.shape[1],)
    standardise = Standardise(columns).double()
    if support.kind in ("unit", "real"):
        yield support, standardise.fit(x)
        yield support, Identity()
        return
    levels = max(int(x.nan_to_num().max()) + 1, 2)
    grid, dequantise = Support("grid", levels), Dequantise(levels, columns, higher=True)
    uniforms = torch.rand(x.shape, generator=torch.Generator().manual_seed(seed), dtype=x.dtype)
    yield grid, Chain([dequantise, standardise.fit(dequantise(x, uniforms)[0])])
    yield support, Identity()
    yield grid, Dequantise(levels, columns)
