# ruff: noqa: D102 (methods are documented once, on Preprocess)
"""Data on a grid, dequantised to the unit interval."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from elbowroom.distributions import Masses
from elbowroom.numerics import InputError, Support
from elbowroom.recipes import described

from .grid import off_grid, on_grid, uniforms
from .preprocess import Preprocess, constant

__all__ = ["Dequantise"]


@described("dequantise")
class Dequantise(Preprocess):
    """From a grid 0 … levels − 1 to densities on [0, 1]: y = (x + u) / levels, u uniform.

    On the grid itself a density grows without limit; E_u[log p(x + u)] is a lower bound on the log-probability of x.

    Parameters
    ----------
    levels : int
        Number of levels of the grid, 2 or more.
    event : sequence of int
        Shape of one x.
    higher : bool, default False
        Whether whole numbers above the grid, which the training data did not show, may come later: where the next step
        standardises, they have a density like the others.

    Raises
    ------
    InputError
        For fewer than 2 levels.

    References
    ----------
    Theis, van den Oord & Bethge, "A note on the evaluation of generative models" (2016).

    Examples
    --------
    >>> y, log_jacobian = Dequantise(4, (1,))(torch.tensor([[3.0]]), torch.tensor([[0.5]]))
    >>> y.tolist(), Dequantise(4, (1,)).inverse(y).tolist()
    ([[0.875]], [[3.0]])
    """

    noise_shape: tuple[int, ...]
    step: float

    def __init__(self, levels: int, event: Sequence[int], *, higher: bool = False) -> None:
        super().__init__()
        if levels < 2:
            raise InputError(f"Dequantise needs at least 2 levels; got {levels}.")
        self.levels, self.noise_shape, self.step, self.higher = levels, tuple(event), 1.0 / levels, higher

    def cells(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        # Rounding must not carry x + u into the next cell, here or in the affine step that may follow.
        u = uniforms(noise, x, "Dequantise")
        edge = 4 * self.levels * max(torch.finfo(kind.dtype).eps for kind in (x, noise) if kind is not None)
        u = u.clamp(edge, 1 - edge)
        return (x + u) / self.levels, constant(-math.log(self.levels), x)

    def inverse(self, y: Tensor) -> Tensor:
        return (y * self.levels).floor().clamp(0, self.levels - 1)

    def mean_back(self, y: Tensor, masses: Masses | None = None) -> Tensor:
        """Less the noise's own mean, and no further than the grid reaches."""
        return (y * self.levels - 0.5).clamp(0, self.levels - 1)

    def outside(self, x: Tensor) -> Tensor:
        return off_grid(x, math.inf if self.higher else self.levels)

    def holds(self, place: int = 0) -> str:
        return "whole numbers from 0" if self.higher else f"the whole numbers 0…{self.levels - 1}"

    def support(self, before: Support) -> Support:
        return on_grid(before, self.levels, Support("unit"), "Dequantise")
