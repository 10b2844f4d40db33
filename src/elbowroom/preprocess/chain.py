# ruff: noqa: D102 (methods are documented once, on Preprocess)
"""Maps one after the other."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from elbowroom.distributions import Masses
from elbowroom.numerics import InputError, Support
from elbowroom.recipes import described

from .identity import Identity
from .preprocess import PLAIN, Preprocess, constant

__all__ = ["Chain"]


@described("chain")
class Chain(Preprocess):
    """Several maps, one after the other; their log-Jacobians add.

    Parameters
    ----------
    steps : sequence of Preprocess
        The maps in their order, at most one of which needs noise.

    Raises
    ------
    InputError
        For no maps, or more than one that needs noise.

    Examples
    --------
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

    def mean_back(self, y: Tensor, masses: Masses | None = None) -> Tensor:
        for part in reversed(self._parts()):
            y, masses = part.mean_back(y, masses), masses if isinstance(part, Identity) else None
        return y

    def outside(self, x: Tensor) -> Tensor:
        """Of the first step, and of each later one on what the steps before make of the rest."""
        y = x if x.is_floating_point() else x.to(torch.float64)
        found = torch.zeros_like(y, dtype=torch.bool)
        for part in self._parts():
            found = found | part.outside(y)
            y = y.masked_fill(found, torch.nan)  # what was found is asked no more
            y, _ = part.cells(y, None if part.noise_shape is None else torch.full_like(y, 0.5))
        return found

    def holds(self, place: int = 0) -> str:
        """Of the first step that says more than "finite numbers"."""
        said = [part.holds(place) for part in self._parts() if type(part).outside is not Preprocess.outside]
        return next((words for words in said if words != "finite numbers"), "finite numbers")

    def support(self, before: Support) -> Support:
        for part in self._parts():
            before = part.support(before)
        return before

    def _parts(self) -> list[Preprocess]:
        return list(self.steps)  # type: ignore[arg-type]
