"""The batch, and the names under which components read."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

__all__ = ["Batch", "Given", "Noise"]

Given = dict[str, Tensor]
"""Named tensors that components read: "x", context names, latent blocks. All [draws or 1, batch, *event]."""
Noise = dict[str, Tensor]
"""Noise by name: standard normals [draws, batch, *noise_shape] per latent block; "x" holds the uniforms
[batch, *event] of a stochastic preprocessing step."""


@dataclass(slots=True)
class Batch:
    """Examples on the scale of the data, before any preprocessing of a model's own.

    Parameters
    ----------
    x : Tensor
        The examples, [batch, *event].
    index : Tensor
        The position of each in its data set, [batch], int64, which seeds its noise.
    context : dict, default {}
        What the model conditions on, by name: [batch, ...].
    observed : dict, default {}
        Latent blocks that are known for some examples, by name: (value [batch, ...], mask [batch], True where known).
    labels : Tensor, default None
        Class codes, [batch].
    seen : Tensor, default None
        [batch, *event], False where a cell of x is missing; None if none is.

    Examples
    --------
    >>> import torch
    >>> Batch(torch.eye(3), torch.tensor([7, 3, 5])).rows(slice(1, None)).index
    tensor([3, 5])
    """

    x: Tensor
    index: Tensor
    context: Given = field(default_factory=dict)
    observed: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    labels: Tensor | None = None
    seen: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)

    def rows(self, positions: Tensor | slice) -> "Batch":
        """The examples at these positions."""
        context = {name: value[positions] for name, value in self.context.items()}
        observed = {name: (value[positions], mask[positions]) for name, (value, mask) in self.observed.items()}
        labels = None if self.labels is None else self.labels[positions]
        seen = None if self.seen is None else self.seen[positions]
        return Batch(self.x[positions], self.index[positions], context, observed, labels, seen)

    def to(self, device: torch.device) -> "Batch":
        """The same examples on a device; their index stays where it is, as noise is keyed by it on the CPU."""
        context = {name: value.to(device) for name, value in self.context.items()}
        observed = {name: (value.to(device), mask.to(device)) for name, (value, mask) in self.observed.items()}
        labels = None if self.labels is None else self.labels.to(device)
        seen = None if self.seen is None else self.seen.to(device)
        return Batch(self.x.to(device), self.index, context, observed, labels, seen)
