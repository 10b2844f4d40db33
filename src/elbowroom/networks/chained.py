"""One network after another."""

from torch import Tensor, nn

from elbowroom.recipes import described

__all__ = ["Chained"]


@described("chained")
class Chained(nn.Module):
    """Two networks, the second of which reads what the first returns.

    A ladder's deterministic way up is made of them: each rung goes on from the features of the one below.

    Parameters
    ----------
    network : nn.Module
        Reads the inputs; it may stand in other places too, and is one module there.
    after : nn.Module
        Reads the first one's output.

    Examples
    --------
    >>> import torch
    >>> Chained(nn.Linear(3, 4), nn.Linear(4, 2))(torch.zeros(5, 3)).shape
    torch.Size([5, 2])
    """

    def __init__(self, network: nn.Module, after: nn.Module) -> None:
        super().__init__()
        self.network, self.after = network, after

    def forward(self, *inputs: Tensor) -> Tensor:
        """after(network(inputs))."""
        out: Tensor = self.after(self.network(*inputs))
        return out
