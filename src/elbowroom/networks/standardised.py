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
    """A network whose first input is read as (x − mean) / std, with mean and std of the training data.

    With `log1p` it is log(1 + x) that is read so, and behind it the logarithm of 1 + the total of x.

    Only what the network reads is changed, and no density: it is meant for encoders of raw levels, counts and classes.
    A posterior block whose first input is "x" settles mean and std before training.

    Parameters
    ----------
    network : nn.Module
        The network; it gets the standardised input and any further inputs as they are.
    event : sequence of int, default ()
        () for one mean and std of all elements, as for the levels of an image; the event's shape for one of each per
        element, as for the columns of a table.
    classes : sequence of int, default ()
        For columns: how many classes without an order each holds, 0 for a column of numbers. A column of k classes
        reaches the network one-hot, as k numbers behind the standardised columns.
    log1p : bool, default False
        For counts, whose few large ones would else be all that is seen: read log(1 + x), and one number more.

    Raises
    ------
    InputError
        For classes that do not fit the event, or classes of what is read as counts.

    References
    ----------
    Lopez et al., "Deep generative modeling for single-cell transcriptomics" (2018), for log(1 + x).

    Examples
    --------
    >>> network = Standardised(nn.Identity())
    >>> network.settle(torch.tensor([[0.0], [4.0]]))
    >>> network(torch.tensor([[4.0]]))
    tensor([[1.]])
    >>> Standardised(nn.Identity(), event=(2,), classes=(0, 3))(torch.tensor([[0.5, 2.0]]))
    tensor([[0.5000, 0.0000, 0.0000, 1.0000]])
    >>> Standardised(nn.Identity(), event=(2,), log1p=True)(torch.tensor([[0.0, 3.0]])).shape
    torch.Size([1, 3])
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, network: nn.Module, *, event: Sequence[int] = (), classes: Sequence[int] = (), log1p: bool = False
    ) -> None:
        super().__init__()
        if log1p and (any(classes) or len(event) != 1):
            raise InputError("log1p=True reads columns of counts: give their number as event, and no classes.")
        if classes and (len(classes) != math.prod(event) or min(classes) < 0):
            raise InputError(
                f"classes must be 0 or more for each element of event {tuple(event)}; got {list(classes)}."
            )
        self.network, self.log1p = network, log1p
        self.numbers = [i for i, k in enumerate(classes) if not k]
        self.codes = [(i, code) for i, k in enumerate(classes) for code in range(k)]
        read = (event[0] + 1,) if log1p else tuple(event)
        self.register_buffer("mean", torch.zeros(read))
        self.register_buffer("std", torch.ones(read))

    def settle(self, x: Tensor) -> None:
        """Take mean and std from training data x [n, *event]; constant elements keep std 1."""
        values = self._values(x.double())
        values = values if self.mean.dim() else values.reshape(-1)
        std = values.std(0, correction=0)
        self.mean.copy_(values.mean(0))
        self.std.copy_(torch.where(values.amax(0) == values.amin(0), 1.0, std))

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        """The network's output for `read(x)` and the others."""
        out: Tensor = self.network(self.read(x), *others)
        return out

    def read(self, x: Tensor) -> Tensor:
        """What the network sees of x [n, *event]: (x − mean) / std, columns of classes one-hot behind the others."""
        scaled = (self._values(x) - self.mean) / self.std
        if not self.codes:
            return scaled
        columns, codes = torch.tensor(self.codes, device=x.device).unbind(1)
        ones = x.flatten(1)[:, columns] == codes
        return torch.cat([scaled.flatten(1)[:, self.numbers], ones.to(x.dtype)], 1)

    def _values(self, x: Tensor) -> Tensor:
        """What is standardised: x, or the logarithms of counts and of their total."""
        return torch.cat([x, x.sum(-1, keepdim=True)], -1).log1p() if self.log1p else x
