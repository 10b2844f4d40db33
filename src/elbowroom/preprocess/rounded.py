# ruff: noqa: D102 (methods are documented once, on Preprocess)
"""Numbers that were recorded in steps, made continuous again."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from elbowroom.distributions import Masses
from elbowroom.numerics import InputError, Support
from elbowroom.recipes import described

from .grid import uniforms
from .preprocess import Preprocess

__all__ = ["Rounded"]

_SLACK = 1e-2  # of a step: what rounding to 32 bits may move a value by


@described("rounded")
class Rounded(Preprocess):
    """Dequantise columns that were recorded in steps: y = x + step · (u − ½), u uniform.

    Values that repeat because they were rounded would give a density without bound. E_u[log p(y)] + log step is a lower
    bound on the log-probability of the interval that a value stands for.

    Parameters
    ----------
    steps : sequence of float
        Of each column; 0 for a column that is left as it is.
    offsets : sequence of float
        A value that each column takes: all others are whole steps away.

    Raises
    ------
    InputError
        For negative steps, or another number of offsets.

    References
    ----------
    Theis, van den Oord & Bethge, "A note on the evaluation of generative models" (2016).

    Examples
    --------
    >>> tenths = Rounded([0.1, 0.0], [5.0, 0.0])
    >>> y, log_jacobian = tenths(torch.tensor([[5.3, 7.77]]), torch.tensor([[1.0, 1.0]]))
    >>> [round(value, 3) for value in y[0].tolist()], round(log_jacobian.exp().item(), 3)
    ([5.35, 7.77], 0.1)
    >>> [round(value, 3) for value in tenths.inverse(torch.tensor([[5.31, 7.77]]))[0].tolist()]
    [5.3, 7.77]
    """

    noise_shape: tuple[int, ...]

    def __init__(self, steps: Sequence[float], offsets: Sequence[float]) -> None:
        super().__init__()
        self.steps, self.offsets = [float(one) for one in steps], [float(one) for one in offsets]
        if len(self.steps) != len(self.offsets) or not self.steps or min(self.steps) < 0:
            raise InputError(f"Rounded needs a step from 0 and an offset per column; got {self.steps}, {self.offsets}.")
        self.noise_shape = (len(self.steps),)

    def cells(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        # Rounding must not carry x + step · u into the interval of the next value.
        u = uniforms(noise, x, "Rounded").double().clamp(1e-6, 1 - 1e-6)
        steps, _ = self._numbers(x)
        log_steps = torch.tensor([math.log(one) if one else 0.0 for one in self.steps], device=x.device)
        return (x + steps * (u - 0.5)).to(x.dtype), log_steps.double()

    def inverse(self, y: Tensor) -> Tensor:
        steps, offsets = self._numbers(y)
        whole = ((y - offsets) / torch.where(steps > 0, steps, 1.0)).round()
        tidy = 10.0 ** torch.ceil(6 - torch.where(steps > 0, steps, 1.0).log10())  # −5.9, and not −5.8999999999999995
        return torch.where(steps > 0, ((offsets + whole * steps) * tidy).round() / tidy + 0.0, y.double())  # no −0

    def mean_back(self, y: Tensor, masses: Masses | None = None) -> Tensor:
        """The same: the noise has mean 0."""
        return y.double()

    def outside(self, x: Tensor) -> Tensor:
        steps, offsets = self._numbers(x)
        places = (x - offsets) / torch.where(steps > 0, steps, 1.0)
        between = (places - places.round()).abs() > _SLACK + 1e-6 * places.abs()
        return between & (steps > 0) & ~x.isnan()

    def holds(self, place: int = 0) -> str:
        step, offset = self.steps[place], self.offsets[place]
        return f"{offset:.10g} and what is whole steps of {step:.10g} away" if step else "finite numbers"

    def support(self, before: Support) -> Support:
        return Support("real")

    def _numbers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        pair = (torch.tensor(one, dtype=torch.float64, device=x.device) for one in (self.steps, self.offsets))
        return tuple(pair)  # type: ignore[return-value]
