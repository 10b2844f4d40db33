# ruff: noqa: D102 (methods are documented once, on Preprocess)
"""Maps of data on a grid: dequantised to the unit interval, or binarised."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from elbowroom.numerics import InputError, Support
from elbowroom.recipes import described

from .preprocess import Preprocess, constant

__all__ = ["Binarise", "Dequantise"]


@described("dequantise")
class Dequantise(Preprocess):
    """y = (x + u) / levels on [0, 1], u uniform: grid data 0 … levels − 1 get a density that means something.

    E_u[log p(x + u)] is a lower bound on the log-probability of the grid value. Theis, van den Oord, Bethge,
    "A note on the evaluation of generative models", 2016.

    >>> y, log_jacobian = Dequantise(4, (1,))(torch.tensor([[3.0]]), torch.tensor([[0.5]]))
    >>> y.tolist(), Dequantise(4, (1,)).inverse(y).tolist()
    ([[0.875]], [[3.0]])
    """

    noise_shape: tuple[int, ...]
    step: float

    def __init__(self, levels: int, event: Sequence[int]) -> None:
        super().__init__()
        if levels < 2:
            raise InputError(f"Dequantise needs at least 2 levels; got {levels}.")
        self.levels, self.noise_shape, self.step = levels, tuple(event), 1.0 / levels

    def cells(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        # Rounding must not carry x + u into the next cell, here or in the affine step that may follow.
        u = _uniforms(noise, x, "Dequantise")
        edge = 4 * self.levels * max(torch.finfo(kind.dtype).eps for kind in (x, noise) if kind is not None)
        u = u.clamp(edge, 1 - edge)
        return (x + u) / self.levels, constant(-math.log(self.levels), x)

    def inverse(self, y: Tensor) -> Tensor:
        return (y * self.levels).floor().clamp(0, self.levels - 1)

    def support(self, before: Support) -> Support:
        return _needs_grid(before, self.levels, Support("unit"), "Dequantise")


@described("binarise")
class Binarise(Preprocess):
    """y = 1[u < x / (levels − 1)], drawn afresh each time: grey levels as probabilities of a pixel being on.

    levels=2 serves data in [0, 1]. There is no inverse: `inverse` lays 0 … 1 on 0 … levels − 1. The model's
    log-probability is that of the binarised data. Salakhutdinov, Murray, "On the quantitative analysis of
    deep belief networks", 2008.

    >>> Binarise(256, (2,))(torch.tensor([[0.0, 255.0]]), torch.tensor([[0.5, 0.5]]))[0].tolist()
    [[0.0, 1.0]]
    """

    noise_shape: tuple[int, ...]
    invertible = False
    estimand = "log p(binarised x)"

    def __init__(self, levels: int, event: Sequence[int]) -> None:
        super().__init__()
        if levels < 2:
            raise InputError(f"Binarise needs at least 2 levels; got {levels}.")
        self.levels, self.noise_shape = levels, tuple(event)

    def cells(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        on = _uniforms(noise, x, "Binarise") * (self.levels - 1) < x
        return on.to(x.dtype), constant(0.0, x)

    def inverse(self, y: Tensor) -> Tensor:
        return y * (self.levels - 1)

    def support(self, before: Support) -> Support:
        if before.kind == "unit" and self.levels == 2:
            return Support("binary")
        return _needs_grid(before, self.levels, Support("binary"), "Binarise")

    def step_after(self, before: float | None) -> float | None:
        return None


def _uniforms(noise: Tensor | None, x: Tensor, who: str) -> Tensor:
    if noise is None or noise.shape != x.shape:
        got = "none" if noise is None else tuple(noise.shape)
        raise InputError(f"{who} needs uniform noise of the data's shape {tuple(x.shape)}; got {got}.")
    return noise.to(x.dtype)


def _needs_grid(before: Support, levels: int, after: Support, who: str) -> Support:
    held = 2 if before.kind == "binary" else before.levels if before.kind == "grid" else None
    if held is None or held > levels:
        raise InputError(f"{who} was made for the integer grid 0…{levels - 1}; these data are {before}.")
    return after
