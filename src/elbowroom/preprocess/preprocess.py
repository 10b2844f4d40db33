# ruff: noqa: D102 (methods are documented once, on Preprocess)
"""What every map is: y = f(x), with log |dy/dx| cell by cell."""

import torch
from torch import Tensor, nn

from elbowroom.numerics import Support
from elbowroom.recipes import described

__all__ = ["PLAIN", "Identity", "Preprocess", "constant"]

PLAIN = "log p(x)"
"""The estimand of a map that changes none."""


class Preprocess(nn.Module):
    """A map y = f(x) with log |dy/dx|, cell by cell; the base is what a step is unless it says otherwise.

    noise_shape: None for a deterministic map, else the shape of the uniforms it wants per example; step: the
    grid's step after the map, where the map itself makes one; invertible: whether `inverse` gives x back;
    estimand: what log p(y) + log |dy/dx| is a log-density of.
    """

    noise_shape: tuple[int, ...] | None = None
    step: float | None = None
    invertible: bool = True
    estimand: str = PLAIN

    def forward(self, x: Tensor, noise: Tensor | None = None, seen: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """y [batch, *event] and log |dy/dx| [batch] in nats, for x [batch, *event] and uniforms like x.

        seen: [batch, *event], False where a cell is missing, which then has no part in log |dy/dx|. Both come in the
        type of x where that is floating; steps that shift or scale compute in 64 bits, whatever it is.
        """
        x = _floating(x)
        y, log_slope = self.cells(x, noise)
        return y, _summed(log_slope, y, seen)

    def cells(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """y and log |dy/dx| of every cell, for floating x; the second of any shape that broadcasts to y's."""
        raise NotImplementedError

    def inverse(self, y: Tensor) -> Tensor:
        """Back to the user's scale (onto the grid, where there is one); y [..., *event].

        In 64 bits where the map shifts or scales by numbers of its own: the user's scale may need them.
        """
        raise NotImplementedError

    def support(self, before: Support) -> Support:
        """Where y lies when x lies in `before`; InputError where the map cannot take it."""
        raise NotImplementedError

    def step_after(self, before: float | None) -> float | None:
        """The grid's step after this map, given the step before it."""
        return before if self.step is None else self.step


@described("identity")
class Identity(Preprocess):
    """y = x.

    >>> y, log_jacobian = Identity()(torch.tensor([[3.0, 4.0]]))
    >>> y.tolist(), log_jacobian.tolist()
    ([[3.0, 4.0]], [0.0])
    """

    def __init__(self) -> None:
        super().__init__()

    def cells(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return x, constant(0.0, x)

    def inverse(self, y: Tensor) -> Tensor:
        return y

    def support(self, before: Support) -> Support:
        return before


def _floating(x: Tensor) -> Tensor:
    """Floats as they are; whole numbers in the default type, but in 64 bits where 32 could merge them."""
    if x.is_floating_point():
        return x
    return x.to(torch.float64 if x.dtype in (torch.int32, torch.int64) else torch.get_default_dtype())


def constant(value: float, x: Tensor) -> Tensor:
    """The same number for every cell."""
    return torch.full((), value, dtype=torch.float64, device=x.device)


def _summed(cells: Tensor, y: Tensor, seen: Tensor | None) -> Tensor:
    """The sum over the cells that are seen, [batch], of what broadcasts to y [batch, *event]."""
    if seen is not None:
        cells = torch.where(seen, cells, 0.0)
    if cells.dim() < y.dim():
        return cells.expand(y.shape[1:]).sum().to(y.dtype).expand(y.shape[0])
    return cells.flatten(1).sum(1).to(y.dtype)
