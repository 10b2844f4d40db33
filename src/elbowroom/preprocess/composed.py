# ruff: noqa: D102 (methods are documented once, on Preprocess)
"""Maps of maps: one after the other, or each on some of the columns."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from elbowroom.numerics import InputError, Support
from elbowroom.recipes import described

from .preprocess import PLAIN, Preprocess, constant

__all__ = ["Chain", "Columns"]


@described("chain")
class Chain(Preprocess):
    """Steps one after the other; log-Jacobians add. At most one of them may need noise.

    >>> from elbowroom.preprocess import Affine, Dequantise
    >>> symmetric = Chain([Dequantise(256, (3,)), Affine(2.0, shift=-1.0)])
    >>> symmetric.noise_shape, symmetric.step
    ((3,), 0.0078125)
    """

    def __init__(self, steps: Sequence[Preprocess]) -> None:
        super().__init__()
        noisy = [step.noise_shape for step in steps if step.noise_shape is not None]
        if not steps or len(noisy) > 1:
            raise InputError(
                f"A Chain needs steps, at most one of them with noise; got {len(steps)}, {len(noisy)} noisy."
            )
        self.steps = nn.ModuleList(steps)
        self.noise_shape = noisy[0] if noisy else None
        self.invertible = all(step.invertible for step in steps)
        self.estimand = next((step.estimand for step in steps if step.estimand != PLAIN), PLAIN)

    @property
    def step(self) -> float | None:  # type: ignore[override]
        """The grid's step after the last step, where one of them makes a grid."""
        return self.step_after(None)

    def step_after(self, before: float | None) -> float | None:
        for part in self._parts():
            before = part.step_after(before)
        return before

    def cells(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        y, total = x, constant(0.0, x)
        for part in self._parts():
            y, log_slope = part.cells(y, noise if part.noise_shape is not None else None)
            total = total + log_slope
        return y, total

    def inverse(self, y: Tensor) -> Tensor:
        for part in reversed(self._parts()):
            y = part.inverse(y)
        return y

    def support(self, before: Support) -> Support:
        for part in self._parts():
            before = part.support(before)
        return before

    def _parts(self) -> list[Preprocess]:
        return list(self.steps)  # type: ignore[arg-type]


@described("columns")
class Columns(Preprocess):
    """A step for each group of neighbouring columns of a table [n, columns]; log-Jacobians add.

    sizes: how many columns each step takes, in their order.

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

    def support(self, before: Support) -> Support:
        columns = before.columns or (before,) * sum(self.sizes)
        if len(columns) != sum(self.sizes):
            raise InputError(f"Columns was made for {sum(self.sizes)} columns; these are {before}.")
        steps = [step for step, size in zip(self.steps, self.sizes, strict=True) for _ in range(size)]
        return Support("mixed", columns=tuple(s.support(one) for s, one in zip(steps, columns, strict=True)))  # type: ignore[operator]
