# ruff: noqa: D102 (methods are documented once, on Preprocess)
"""No preprocessing."""

from torch import Tensor

from elbowroom.numerics import Support
from elbowroom.recipes import described

from .preprocess import Preprocess, constant

__all__ = ["Identity"]


@described("identity")
class Identity(Preprocess):
    """The identity, y = x.

    Examples
    --------
    >>> import torch
    >>> y, log_jacobian = Identity()(torch.tensor([[3.0, 4.0]]))
    >>> y.tolist(), log_jacobian.tolist()
    ([[3.0, 4.0]], [0.0])
    """

    def cells(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x, constant(0.0, x)

    def inverse(self, y: Tensor) -> Tensor:
        return y

    def support(self, before: Support) -> Support:
        return before
