# ruff: noqa: D102 (methods are documented once, on Preprocess)
"""Maps of continuous data: shifted, scaled, standardised, from the unit interval to the line."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from elbowroom.numerics import InputError, Support
from elbowroom.recipes import described

from .preprocess import Preprocess, constant

__all__ = ["Affine", "Logit", "Standardise"]


@described("affine")
class Affine(Preprocess):
    """y = scale · x + shift, with two numbers; log |dy/dx| = D log |scale|.

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

    def support(self, before: Support) -> Support:
        return before if (self.scale, self.shift) == (1, 0) else Support("real")

    def step_after(self, before: float | None) -> float | None:
        return None if before is None else before * abs(self.scale)


@described("standardise")
class Standardise(Preprocess):
    """y = (x − mean) / std per element of the event, settled by `fit`; constant elements keep scale 1.

    mean and std stay in 64 bits, whatever the model computes in: 5,411,000.1 less its mean is a number of its own
    there, and none in 32 bits.

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
        """Take mean and standard deviation (divisor n) from training data x [n, *event], whole or in pieces.

        NaN is a missing cell and left out.
        """
        moments = _Moments(self.mean)
        for piece in [x] if isinstance(x, Tensor) else x:
            if tuple(piece.shape[1:]) != tuple(self.mean.shape) or not len(piece):
                raise InputError(
                    f"Standardise was made for events {tuple(self.mean.shape)}; got data {tuple(piece.shape)}."
                )
            moments.add(piece)
        self.mean.copy_(moments.mean)
        self.std.copy_(moments.std())
        return self

    def cells(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return ((x - self.mean) / self.std).to(x.dtype), -self.std.log()

    def inverse(self, y: Tensor) -> Tensor:
        return y * self.std + self.mean

    def support(self, before: Support) -> Support:
        return Support("real")

    def step_after(self, before: float | None) -> float | None:
        """The finest step of any element."""
        return None if before is None else before / float(self.std.max())

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Goes where the model goes, but keeps its 64 bits when the model is made to compute in fewer."""
        before = dict(self._buffers)
        super()._apply(fn, recurse)
        for name, kept in before.items():
            moved = self._buffers[name]
            self._buffers[name] = kept if kept is None or moved is None else kept.to(moved.device)
        return self


class _Moments:
    """Means and squares about them, of pieces that are added one by one (Chan, Golub & LeVeque, 1983)."""

    def __init__(self, like: Tensor) -> None:
        self.count, self.mean, self.squares = (torch.zeros_like(like) for _ in range(3))
        self.low, self.high = torch.full_like(like, math.inf), torch.full_like(like, -math.inf)

    def add(self, x: Tensor) -> None:
        """Take in x [n, *event]; NaN is left out."""
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
        """Standard deviations (divisor n); 1 where there is one value alone, or none."""
        return torch.where(self.high > self.low, (self.squares / self.count.clamp_min(1)).sqrt(), 1.0)


@described("logit")
class Logit(Preprocess):
    """y = logit(α + (1 − 2α) x) for x in [0, 1].

    Dinh, Sohl-Dickstein, Bengio, "Density estimation using Real NVP", 2017.

    >>> Logit(alpha=0.05)(torch.tensor([[0.5]]))[0].tolist()
    [[0.0]]
    """

    def __init__(self, *, alpha: float = 1e-6) -> None:
        super().__init__()
        if not 0 < alpha < 0.5:
            raise InputError(f"Logit needs alpha between 0 and 0.5, so that 0 and 1 stay finite; got {alpha}.")
        self.alpha = alpha

    def cells(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        # α + (1 − 2α)(1 − x) is 1 − s without the cancellation near x = 1.
        log_s = (self.alpha + (1 - 2 * self.alpha) * x).log()
        log_rest = (self.alpha + (1 - 2 * self.alpha) * (1 - x)).log()
        return log_s - log_rest, math.log1p(-2 * self.alpha) - log_s - log_rest

    def inverse(self, y: Tensor) -> Tensor:
        return ((y.sigmoid() - self.alpha) / (1 - 2 * self.alpha)).clamp(0, 1)

    def support(self, before: Support) -> Support:
        if before.kind not in ("unit", "binary"):
            raise InputError(f"Logit takes data in [0, 1]; these are {before}. Dequantise or scale them first.")
        return Support("real")

    def step_after(self, before: float | None) -> float | None:
        """The step where the map is flattest, at x = 1/2."""
        return None if before is None else before * 4 * (1 - 2 * self.alpha)
