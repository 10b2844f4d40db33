# ruff: noqa: D102 (methods are documented once, on Preprocess)
"""Shift and scale."""

import math

from torch import Tensor

from elbowroom.numerics import InputError, Support
from elbowroom.recipes import described

from .preprocess import Preprocess, constant

__all__ = ["Affine"]


@described("affine")
class Affine(Preprocess):
    """Shift and scale by two numbers: y = scale · x + shift.

    The log-Jacobian is D log |scale| for D elements.

    Parameters
    ----------
    scale : float
        Finite, not 0.
    shift : float, default 0.0
        Finite.

    Raises
    ------
    InputError
        For numbers that are not.

    Examples
    --------
    >>> import torch
    >>> Affine(2.0, shift=-1.0)(torch.tensor([[0.0, 1.0]]))[0].tolist()      # [0, 1] to [−1, 1]
    [[-1.0, 1.0]]
    """

    def __init__(self, scale: float, *, shift: float = 0.0) -> None:
        super().__init__()
        if not (math.isfinite(scale) and math.isfinite(shift)) or scale == 0:
            raise InputError(f"Affine needs a finite scale other than 0 and a finite shift; got {scale}, {shift}.")
        self.scale, self.shift = scale, shift

    def cells(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return (x.double() * self.scale + self.shift).to(x.dtype), constant(math.log(abs(self.scale)), x)

    def inverse(self, y: Tensor) -> Tensor:
        return (y.double() - self.shift) / self.scale

    def outside(self, x: Tensor) -> Tensor:
        return x.isinf()

    def holds(self, place: int = 0) -> str:
        return "finite numbers"

    def support(self, before: Support) -> Support:
        return before if (self.scale, self.shift) == (1, 0) else Support("real")

    def step_after(self, before: float | None) -> float | None:
        return None if before is None else before * abs(self.scale)
