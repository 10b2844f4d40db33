"""A network that reads contexts of any unit on a scale that suits networks."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from elbowroom.recipes import described

__all__ = ["ScaledInputs"]


@described("scaled-inputs")
class ScaledInputs(nn.Module):
    """A network that reads some of its inputs as (value − mean) / std, such as contexts in years or in euros.

    Only what the network reads is changed, and no density. `settle` takes mean and std; until then they are 0 and 1.

    Parameters
    ----------
    network : nn.Module
        The network; it gets the inputs in the same order.
    events : sequence of (sequence of int or None)
        For every input the shape of one example, [*event]; None for an input that the network gets as it is.

    Examples
    --------
    >>> from elbowroom.networks import MLP
    >>> network = ScaledInputs(MLP([3, 4]), [None, (1,)])
    >>> network.settle(1, torch.tensor([[1_000.0], [3_000.0]]))
    >>> network(torch.zeros(5, 2), torch.full((5, 1), 1_500.0)).shape, network.mean_1, network.std_1
    (torch.Size([5, 4]), tensor([2000.]), tensor([1000.]))
    """

    def __init__(self, network: nn.Module, events: Sequence[Sequence[int] | None]) -> None:
        super().__init__()
        self.network = network
        self.scaled = [position for position, event in enumerate(events) if event is not None]
        for position in self.scaled:
            event = tuple(events[position] or ())
            self.register_buffer(f"mean_{position}", torch.zeros(event))
            self.register_buffer(f"std_{position}", torch.ones(event))

    def settle(self, position: int, values: Tensor) -> None:
        """Take mean and std of one input from training values; constant elements keep std 1.

        Parameters
        ----------
        position : int
            Which input, from 0.
        values : Tensor
            [n, *event].
        """
        wide = values.double()
        std = wide.std(0, correction=0)
        getattr(self, f"mean_{position}").copy_(wide.mean(0))
        getattr(self, f"std_{position}").copy_(torch.where(wide.amax(0) == wide.amin(0), 1.0, std))

    def forward(self, *inputs: Tensor) -> Tensor:
        """The network's output for `read(inputs)`."""
        out: Tensor = self.network(*self.read(*inputs))
        return out

    def read(self, *inputs: Tensor) -> list[Tensor]:
        """What the network sees of its inputs [N, *event]."""
        seen = list(inputs)
        for position in self.scaled:
            mean, std = getattr(self, f"mean_{position}"), getattr(self, f"std_{position}")
            seen[position] = (seen[position] - mean) / std
        return seen
