"""A temperature on what a network returns."""

from torch import Tensor, nn

from elbowroom.recipes import described

__all__ = ["Tempered"]


@described("tempered")
class Tempered(nn.Module):
    """A network whose output is multiplied by a number: a temperature on natural parameters.

    >>> import torch
    >>> Tempered(nn.Identity(), 0.5)(torch.tensor([2.0]))
    tensor([1.])
    """

    def __init__(self, network: nn.Module, factor: float) -> None:
        super().__init__()
        self.network, self.factor = network, factor

    def forward(self, *inputs: Tensor) -> Tensor:
        """factor · network(inputs)."""
        out: Tensor = self.network(*inputs)
        return self.factor * out
