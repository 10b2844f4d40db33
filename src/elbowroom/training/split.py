"""A part of a data set where training wants it."""

from collections.abc import Sequence

import torch
from torch import Tensor

from elbowroom.data import Examples
from elbowroom.data.dataset import filled
from elbowroom.numerics import Batch

__all__ = ["Split"]


class Split:
    """Examples on the training device, served by rows.

    Values become floats batch by batch: of 64 bits where 32 would not hold them, or where the model computes in 64.

    Parameters
    ----------
    examples : Examples
        A part of a data set.
    names : sequence of str
        Contexts that the model reads.
    device : torch.device
        Where it is trained.
    dtype : torch.dtype
        What it computes in.
    """

    def __init__(self, examples: Examples, names: Sequence[str], device: torch.device, dtype: torch.dtype) -> None:
        self.x = examples.values.to(device)
        self.index = examples.index.to(device)
        self.labels = None if examples.labels is None else examples.labels.to(device)
        self.context = {n: examples.context[n].to(device, dtype) for n in names if n in examples.context}
        pairs = examples.observed.items()
        self.observed = {name: (value.to(device, dtype), mask.to(device)) for name, (value, mask) in pairs}
        self.fill = None if examples.fill is None else examples.fill.to(device)
        self._wide = torch.promote_types(self.x.dtype, dtype)

    def __len__(self) -> int:
        return len(self.x)

    def batch(self, rows: Tensor) -> Batch:
        """The examples at these rows."""
        x, seen = filled(self.x.take(rows), self.fill)
        context = {name: value.index_select(0, rows) for name, value in self.context.items()}
        pairs = self.observed.items()
        observed = {name: (v.index_select(0, rows), mask.index_select(0, rows)) for name, (v, mask) in pairs}
        labels = None if self.labels is None else self.labels.index_select(0, rows)
        return Batch(x.to(self._wide), self.index.index_select(0, rows), context, observed, labels, seen)
