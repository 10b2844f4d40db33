"""A network that reads its input on a scale that suits networks."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from elbowroom.numerics import InputError
from elbowroom.recipes import described

__all__ = ["Standardised"]


@described("standardised")
class Standardised(nn.Module):
    """A network whose first input is read as (x − mean) / std, taken from training data before training.

    event: () for one mean and one std of all elements, as for the levels of an image; the event's shape for one of each
    per element, as for the columns of a table. classes: for columns, how many classes without an order each holds; such
    a column reaches the network as that many zeros and a one, behind the standardised columns; 0 for a column of
    numbers. Only what the network reads is changed, and no density: for encoders of raw levels, counts and classes. A
    posterior block whose first input is "x" settles it. Raises InputError for classes that do not fit the event.

    >>> network = Standardised(nn.Identity())
    >>> network.settle(torch.tensor([[0.0], [4.0]]))
    >>> network(torch.tensor([[4.0]]))
    tensor([[1.]])
    >>> Standardised(nn.Identity(), event=(2,), classes=(0, 3))(torch.tensor([[0.5, 2.0]]))
    tensor([[0.5000, 0.0000, 0.0000, 1.0000]])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, *, event: Sequence[int] = (), classes: Sequence[int] = ()) -> None:
        super().__init__()
        if classes and (len(classes) != math.prod(event) or min(classes) < 0):
            raise InputError(
                f"classes must be 0 or more for each element of event {tuple(event)}; got {list(classes)}."
            )
        self.network = network
        self.numbers = [i for i, k in enumerate(classes) if not k]
        self.codes = [(i, code) for i, k in enumerate(classes) for code in range(k)]
        self.register_buffer("mean", torch.zeros(tuple(event)))
        self.register_buffer("std", torch.ones(tuple(event)))

    def settle(self, x: Tensor) -> None:
        """Take mean and std from training data x [n, *event]; what is constant keeps std 1."""
        values = x.double() if self.mean.dim() else x.double().reshape(-1)
        std = values.std(0, correction=0)
        self.mean.copy_(values.mean(0))
        self.std.copy_(torch.where(values.amax(0) == values.amin(0), 1.0, std))

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        """The network's output for `read(x)` and the others."""
        out: Tensor = self.network(self.read(x), *others)
        return out

    def read(self, x: Tensor) -> Tensor:
        """What the network sees of x [n, *event]: (x − mean) / std, columns of classes one-hot behind the others."""
        scaled = (x - self.mean) / self.std
        if not self.codes:
            return scaled
        columns, codes = torch.tensor(self.codes, device=x.device).unbind(1)
        ones = x.flatten(1)[:, columns] == codes
        return torch.cat([scaled.flatten(1)[:, self.numbers], ones.to(x.dtype)], 1)
