"""A network of which some inputs and outputs are left out."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from elbowroom.recipes import described

__all__ = ["Wired"]


@described("wired")
class Wired(nn.Module):
    """A network whose first input has fewer numbers than it was made for, or of whose outputs some are left out.

    So latents that carry nothing are taken out of a model that is trained already.

    Parameters
    ----------
    network : nn.Module
        The network.
    inputs : sequence of int, default ()
        Places of the numbers of the first input among those the network was made for; 0 stands in the others. () hands
        it on as it is.
    size : int, default 0
        How many numbers the network's first input has, where `inputs` are named.
    outputs : sequence of int, default ()
        Which of the outputs, flattened, are kept, in this order; () keeps all as they are.

    Examples
    --------
    >>> Wired(nn.Identity(), inputs=[0, 2], size=3)(torch.tensor([[5.0, 6.0]]))
    tensor([[5., 0., 6.]])
    >>> Wired(nn.Identity(), outputs=[2, 0])(torch.tensor([[5.0, 6.0, 7.0]]))
    tensor([[7., 5.]])
    """

    places: Tensor | None
    kept: Tensor | None

    def __init__(
        self, network: nn.Module, *, inputs: Sequence[int] = (), size: int = 0, outputs: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("places", torch.eye(size)[list(inputs)] if inputs else None, persistent=False)
        self.register_buffer("kept", torch.tensor(list(outputs)) if outputs else None, persistent=False)

    def forward(self, first: Tensor, *others: Tensor) -> Tensor:
        """network(first, *others), wired."""
        out: Tensor = self.network(first if self.places is None else first @ self.places, *others)
        return out if self.kept is None else out.flatten(1)[:, self.kept]
