"""A network that reads its input on a scale that suits networks."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from elbowroom.runs import described

__all__ = ["standardised"]


@described("standardised")
class standardised(nn.Module):
    """A network whose first input is read as (x − mean) / std, taken from training data before training.

    event: () for one mean and one std of all elements, as for the levels of an image; the event's shape for one of each
    per element, as for the columns of a table. Only what the network reads is changed, and no density: for encoders of
    raw levels and counts. A posterior block whose first input is "x" settles it.

    >>> network = standardised(nn.Identity())
    >>> network.settle(torch.tensor([[0.0], [4.0]]))
    >>> network(torch.tensor([[4.0]]))
    tensor([[1.]])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, event: Sequence[int] = ()) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.zeros(tuple(event)))
        self.register_buffer("std", torch.ones(tuple(event)))

    def settle(self, x: Tensor) -> None:
        """Take mean and std from training data x [n, *event]; what is constant keeps std 1."""
        values = x.double() if self.mean.dim() else x.double().reshape(-1)
        std = values.std(0, correction=0)
        self.mean.copy_(values.mean(0))
        self.std.copy_(torch.where(values.amax(0) == values.amin(0), 1.0, std))

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        """network((x − mean) / std, *others)."""
        out: Tensor = self.network((x - self.mean) / self.std, *others)
        return out
