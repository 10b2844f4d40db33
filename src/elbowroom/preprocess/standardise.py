# ruff: noqa: D102 (methods are documented once, on Preprocess)
"""Mean 0 and standard deviation 1, from the training data."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from elbowroom.numerics import InputError, Support
from elbowroom.recipes import described

from .preprocess import Preprocess

__all__ = ["Standardise"]


@described("standardise")
class Standardise(Preprocess):
    """Standardise every element: y = (x − mean) / std, with mean and std of the training data.

    `fit` takes them; constant elements keep std 1.

    Parameters
    ----------
    event : sequence of int
        Shape of one x.

    Notes
    -----
    mean and std stay in 64 bits, whatever the model computes in: in 32 bits, 5,411,000.1 minus its mean would be
    rounded to a multiple of 0.5.

    Examples
    --------
    >>> scaler = Standardise((2,)).fit(torch.tensor([[0.0, 5.0], [4.0, 5.0]]))
    >>> scaler(torch.tensor([[4.0, 5.0]]))[0].tolist()
    [[1.0, 0.0]]
    """

    mean: Tensor
    std: Tensor

    def __init__(self, event: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(tuple(event), dtype=torch.float64))
        self.register_buffer("std", torch.ones(tuple(event), dtype=torch.float64))

    def fit(self, x: Tensor | Iterable[Tensor]) -> "Standardise":
        """Take mean and standard deviation (divisor n) from training data.

        Parameters
        ----------
        x : Tensor or iterable of Tensor
            [n, *event], whole or in pieces; NaN is a missing cell and left out.

        Returns
        -------
        Standardise
            The map itself.

        Raises
        ------
        InputError
            For data of another shape, or none.
        """
        moments = _Moments(self.mean)
        for piece in [x] if isinstance(x, Tensor) else x:
            if tuple(piece.shape[1:]) != tuple(self.mean.shape) or not len(piece):
                raise InputError(
                    f"Standardise was made for events {tuple(self.mean.shape)}; got data {tuple(piece.shape)}."
                )
            moments.add(piece)
        std = moments.std()
        if not bool(std.isfinite().all()):
            raise InputError("Some values are so large that their squares overflow 64 bits: rescale them before.")
        self.mean.copy_(moments.mean)
        self.std.copy_(std)
        return self

    def cells(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return ((x - self.mean) / self.std).to(x.dtype), -self.std.log()

    def inverse(self, y: Tensor) -> Tensor:
        return y * self.std + self.mean

    def outside(self, x: Tensor) -> Tensor:
        return x.isinf()

    def holds(self, place: int = 0) -> str:
        return "finite numbers"

    def support(self, before: Support) -> Support:
        return Support("real")

    def step_after(self, before: float | None) -> float | None:
        """The finest step of any element."""
        return None if before is None else before / float(self.std.max())

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Follow the model to another device, but keep 64 bits when the model is converted to fewer."""
        before = dict(self._buffers)
        super()._apply(fn, recurse)
        for name, kept in before.items():
            moved = self._buffers[name]
            self._buffers[name] = kept if kept is None or moved is None else kept.to(moved.device)
        return self


class _Moments:
    """Means and sums of squared deviations of data added piece by piece (Chan, Golub & LeVeque, 1983)."""

    def __init__(self, like: Tensor) -> None:
        self.count, self.mean, self.squares = (torch.zeros_like(like) for _ in range(3))
        self.low, self.high = torch.full_like(like, math.inf), torch.full_like(like, -math.inf)

    def add(self, x: Tensor) -> None:
        """Add x [n, *event]; NaN is left out."""
        values = x.to(self.mean)
        seen = ~values.isnan()
        n = seen.sum(0)
        mean = torch.where(seen, values, 0.0).sum(0) / n.clamp_min(1)
        squares = torch.where(seen, values - mean, 0.0).square().sum(0)
        total = (self.count + n).clamp_min(1)
        apart = mean - self.mean
        self.squares += squares + apart.square() * self.count * n / total
        self.mean += apart * n / total
        self.count += n
        self.low = torch.minimum(self.low, torch.where(seen, values, math.inf).amin(0))
        self.high = torch.maximum(self.high, torch.where(seen, values, -math.inf).amax(0))

    def std(self) -> Tensor:
        """Standard deviations (divisor n); 1 where all values are equal, or there are none."""
        deviation = (self.squares / self.count.clamp_min(1)).sqrt()
        deviation = torch.where(deviation == 0, (self.high - self.low) / 2, deviation)  # of squares below 64 bits
        return torch.where(self.high > self.low, deviation, 1.0)
