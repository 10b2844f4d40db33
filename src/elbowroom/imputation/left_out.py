"""Examples of which some columns are left out on purpose."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elbowroom.numerics import Batch, InputError
from elbowroom.vae import VAE

__all__ = ["LeftOut"]


class LeftOut:
    """Examples by rows whose cells in some columns count as missing.

    Parameters
    ----------
    vae : VAE
        The model that they are for.
    examples : Any
        As it takes them, whole.
    columns : sequence of str or int
        Names, or numbers counted from 0 along the flattened event.
    names : sequence of str or None
        Of all columns, where they have names.

    Raises
    ------
    InputError
        For a column that there is not, for none, and for all of them.
    """

    def __init__(
        self, vae: VAE, examples: Any, columns: Sequence[str | int], names: Sequence[str] | None = None
    ) -> None:
        self.whole = vae.examples(examples)
        self.index, self.data = self.whole.index, getattr(self.whole, "data", "")
        self.size = torch.Size(vae.likelihood.event).numel()
        self.places = sorted({_place(column, names, self.size) for column in columns})
        if not 0 < len(self.places) < self.size:
            raise InputError(
                f"columns are some of the {self.size:,} columns, which the others predict; got {len(self.places):,}."
            )

    def __len__(self) -> int:
        return len(self.whole)

    def rows(self, positions: Tensor | slice) -> Batch:
        """The examples at these positions, whose cells in the columns are not seen."""
        batch = self.whole.rows(positions)
        seen = (torch.ones_like(batch.x, dtype=torch.bool) if batch.seen is None else batch.seen.clone()).flatten(1)
        seen[:, self.places] = False
        return dataclasses.replace(batch, seen=seen.view(batch.x.shape))

    def truth(self, rows: NDArray[np.int64], cells: NDArray[np.int64]) -> NDArray[np.float64]:
        """What cells hold that were left out, [m]; NaN where that is unknown."""
        batch = self.whole.rows(slice(None))
        x = batch.x.double() if batch.seen is None else torch.where(batch.seen, batch.x.double(), torch.nan)
        return np.asarray(x.flatten(1).cpu().numpy()[rows, cells])


def _place(column: str | int, names: Sequence[str] | None, size: int) -> int:
    if isinstance(column, str) and names and column in names:
        return list(names).index(column)
    if isinstance(column, str) and not column.isdecimal():
        there = ", ".join(names) if names else f"numbers from 0 to {size - 1}, as they have no names"
        raise InputError(f"There is no column {column!r} to predict; there are: {there}.")
    if not 0 <= int(column) < size:
        raise InputError(f"There is no column {column} to predict: they are counted from 0 to {size - 1}.")
    return int(column)
