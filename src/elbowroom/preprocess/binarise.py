# ruff: noqa: D102 (methods are documented once, on Preprocess)
"""Data on a grid, binarised."""

from collections.abc import Sequence

from torch import Tensor

from elbowroom.numerics import InputError, Support
from elbowroom.recipes import described

from .grid import off_grid, on_grid, uniforms
from .preprocess import Preprocess, constant

__all__ = ["Binarise"]


@described("binarise")
class Binarise(Preprocess):
    """Stochastic binarisation: grey levels as probabilities of a pixel being 1, drawn anew each time.

    y = 1[u < x / (levels − 1)], u uniform. The model's log-probability is that of the binarised data. There is no
    inverse: `inverse` maps 0 and 1 to 0 and levels − 1.

    Parameters
    ----------
    levels : int
        Number of grey levels, 2 or more; 2 also takes data in [0, 1].
    event : sequence of int
        Shape of one x.

    Raises
    ------
    InputError
        For fewer than 2 levels.

    References
    ----------
    Salakhutdinov & Murray, "On the quantitative analysis of deep belief networks" (2008).

    Examples
    --------
    >>> import torch
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
        on = uniforms(noise, x, "Binarise") * (self.levels - 1) < x
        return on.to(x.dtype), constant(0.0, x)

    def inverse(self, y: Tensor) -> Tensor:
        return y * (self.levels - 1)

    def outside(self, x: Tensor) -> Tensor:
        return (x < 0) | (x > 1) if self.levels == 2 else off_grid(x, self.levels)

    def holds(self, place: int = 0) -> str:
        return "numbers from 0 to 1" if self.levels == 2 else f"the whole numbers 0…{self.levels - 1}"

    def support(self, before: Support) -> Support:
        if before.kind == "unit" and self.levels == 2:
            return Support("binary")
        return on_grid(before, self.levels, Support("binary"), "Binarise")

    def step_after(self, before: float | None) -> float | None:
        return None
