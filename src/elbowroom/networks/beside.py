"""Two networks side by side."""

import torch
from torch import Tensor, nn

from elbowroom.recipes import described

__all__ = ["Beside"]


@described("beside")
class Beside(nn.Module):
    """Two networks that read the same inputs; the second one's output stands behind the first one's.

    So a network that is trained already gets further outputs, with its own as they are.

    Parameters
    ----------
    network : nn.Module
        Returns the first numbers of each example; what comes with more dimensions is flattened.
    more : nn.Module
        Returns those behind them.

    Examples
    --------
    >>> Beside(nn.Identity(), nn.Linear(2, 3))(torch.zeros(5, 2)).shape
    torch.Size([5, 5])
    """

    def __init__(self, network: nn.Module, more: nn.Module) -> None:
        super().__init__()
        self.network, self.more = network, more

    def forward(self, *inputs: Tensor) -> Tensor:
        """network(inputs) and behind it more(inputs), [N, …]."""
        return torch.cat([self.network(*inputs).flatten(1), self.more(*inputs).flatten(1)], -1)
