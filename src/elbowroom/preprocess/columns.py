# ruff: noqa: D102 (methods are documented once, on Preprocess)
"""Maps of some of the columns each."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from elbowroom.distributions import Masses
from elbowroom.numerics import InputError, Support
from elbowroom.recipes import described

from .preprocess import PLAIN, Preprocess

__all__ = ["Columns"]


@described("columns")
class Columns(Preprocess):
    """A map for each group of neighbouring columns of a table; their log-Jacobians add.

    Parameters
    ----------
    steps : sequence of Preprocess
        A map per group, in the order of the columns.
    sizes : sequence of int
        How many columns each map takes, in the same order.

    Raises
    ------
    InputError
        For no maps, or sizes that do not fit them.

    Examples
    --------
    >>> from elbowroom.preprocess import Affine, Identity
    >>> y, log_jacobian = Columns([Affine(2.0), Identity()], [1, 2])(torch.tensor([[3.0, 1.0, 0.0]]))
    >>> y.tolist(), log_jacobian.exp().tolist()
    ([[6.0, 1.0, 0.0]], [2.0])
    """

    def __init__(self, steps: Sequence[Preprocess], sizes: Sequence[int]) -> None:
        super().__init__()
        if not steps or len(steps) != len(sizes) or min(sizes) < 1:
            raise InputError(
                f"Columns needs a size of 1 or more for every step; got {len(steps)} steps, {list(sizes)}."
            )
        self.steps, self.sizes = nn.ModuleList(steps), list(sizes)
        self.noise_shape = (sum(sizes),) if any(step.noise_shape is not None for step in steps) else None
        self.invertible = all(step.invertible for step in steps)
        self.estimand = next((step.estimand for step in steps if step.estimand != PLAIN), PLAIN)

    def split(self, x: Tensor) -> list[tuple[Preprocess, Tensor]]:
        """Each step with its columns of x [..., columns]."""
        if x.shape[-1] != sum(self.sizes):
            raise InputError(f"Columns was made for {sum(self.sizes)} columns; got data {tuple(x.shape)}.")
        return list(zip(self.steps, x.split(self.sizes, -1), strict=True))  # type: ignore[arg-type]

    def cells(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        noises = [None] * len(self.sizes) if noise is None else noise.split(self.sizes, -1)
        pairs = zip(self.split(x), noises, strict=True)
        parts = [step.cells(part, None if step.noise_shape is None else u) for (step, part), u in pairs]
        return torch.cat([y for y, _ in parts], -1), torch.cat([slope.expand_as(y) for y, slope in parts], -1)

    def inverse(self, y: Tensor) -> Tensor:
        return torch.cat([step.inverse(part) for step, part in self.split(y)], -1)

    def mean_back(self, y: Tensor, masses: Masses | None = None) -> Tensor:
        found, start = [], 0
        for step, part in self.split(y):
            size = part.shape[-1]
            found.append(step.mean_back(part, None if masses is None else _from(masses, start, size)))
            start += size
        return torch.cat(found, -1)

    def outside(self, x: Tensor) -> Tensor:
        return torch.cat([step.outside(part) for step, part in self.split(x)], -1)

    def holds(self, place: int = 0) -> str:
        for step, size in zip(self.steps, self.sizes, strict=True):
            if place < size:
                return step.holds(place)  # type: ignore[operator]
            place -= size
        return super().holds(place)

    def support(self, before: Support) -> Support:
        columns = before.columns or (before,) * sum(self.sizes)
        if len(columns) != sum(self.sizes):
            raise InputError(f"Columns was made for {sum(self.sizes)} columns; these are {before}.")
        steps = [step for step, size in zip(self.steps, self.sizes, strict=True) for _ in range(size)]
        return Support.of_columns([s.support(one) for s, one in zip(steps, columns, strict=True)])  # type: ignore[operator]


def _from(masses: Masses, first: int, size: int) -> Masses:
    """Those of some columns, which count from 0 there."""

    def own(level: float, columns: slice) -> Tensor:
        start, stop, _ = columns.indices(size)
        return masses(level, slice(first + start, first + stop))

    return own
