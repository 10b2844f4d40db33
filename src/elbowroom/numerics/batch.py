"""The batch: examples, what is known about them, and where they stand in the data."""

from dataclasses import dataclass, field

from torch import Tensor

__all__ = ["Batch", "Given", "Noise"]

Given = dict[str, Tensor]
"""Named tensors that components read: "x", context names, latent blocks. All [draws or 1, batch, *event]."""

Noise = dict[str, Tensor]
"""Noise by name: standard normals [draws, batch, *noise_shape] per latent block; "x" holds the uniforms
[batch, *event] of a stochastic preprocessing step."""


@dataclass(slots=True)
class Batch:
    """Examples on the user's scale.

    x: [batch, *event]; context: name -> [batch, ...]; observed: latent block -> (value [batch, ...],
    mask [batch]), for blocks that are known for some examples; index: [batch], the position of each example in
    the data set, which keys the noise of every evidence estimate.
    """

    x: Tensor
    index: Tensor
    context: Given = field(default_factory=dict)
    observed: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.x)
