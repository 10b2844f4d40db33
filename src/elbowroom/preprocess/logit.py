# ruff: noqa: D102 (methods are documented once, on Preprocess)
"""From the unit interval to the real line."""

import math

from torch import Tensor

from elbowroom.distributions import Masses
from elbowroom.numerics import InputError, Support
from elbowroom.recipes import described

from .preprocess import Preprocess

__all__ = ["Logit"]


@described("logit")
class Logit(Preprocess):
    """From [0, 1] to the real line: y = logit(α + (1 − 2α) x).

    Parameters
    ----------
    alpha : float, default 1e-6
        α, between 0 and 0.5, which keeps 0 and 1 finite.

    Raises
    ------
    InputError
        For another α.

    Notes
    -----
    The map bends, so that no mean of x follows from that of y: `mean_back`, and with it `VAE.reconstruct`, gives x at
    the mean of y, which is the median of x where y is symmetric. The mean of draws is the mean of x.

    References
    ----------
    Dinh, Sohl-Dickstein & Bengio, "Density estimation using Real NVP" (2017).

    Examples
    --------
    >>> import torch
    >>> Logit(alpha=0.05)(torch.tensor([[0.5]]))[0].tolist()
    [[0.0]]
    """

    def __init__(self, *, alpha: float = 1e-6) -> None:
        super().__init__()
        if not 0 < alpha < 0.5:
            raise InputError(f"Logit needs alpha between 0 and 0.5, so that 0 and 1 stay finite; got {alpha}.")
        self.alpha = alpha

    def cells(self, x: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        # α + (1 − 2α)(1 − x) is 1 − s without cancellation near x = 1.
        log_s = (self.alpha + (1 - 2 * self.alpha) * x).log()
        log_rest = (self.alpha + (1 - 2 * self.alpha) * (1 - x)).log()
        return log_s - log_rest, math.log1p(-2 * self.alpha) - log_s - log_rest

    def inverse(self, y: Tensor) -> Tensor:
        return ((y.sigmoid() - self.alpha) / (1 - 2 * self.alpha)).clamp(0, 1)

    def mean_back(self, y: Tensor, masses: Masses | None = None) -> Tensor:
        """What x is at the mean of y, which is the median of x where y is symmetric, and not its mean."""
        return self.inverse(y)

    def outside(self, x: Tensor) -> Tensor:
        return (x < 0) | (x > 1)

    def holds(self, place: int = 0) -> str:
        return "numbers from 0 to 1"

    def support(self, before: Support) -> Support:
        if before.kind not in ("unit", "binary"):
            raise InputError(f"Logit takes data in [0, 1]; these are {before}. Dequantise or scale them first.")
        return Support("real")

    def step_after(self, before: float | None) -> float | None:
        """The step where the map is flattest, at x = 1/2."""
        return None if before is None else before * 4 * (1 - 2 * self.alpha)
