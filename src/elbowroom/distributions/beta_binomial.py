"""The beta-binomial: a binomial whose probability is drawn from a Beta."""

import math

import torch
from torch import Generator, Tensor
from torch.distributions import Beta as TorchBeta
from torch.distributions import Distribution, constraints
from torch.distributions.utils import broadcast_all

from elbowroom.numerics import plain_arguments

from ._draw import simulate
from .capabilities import declare

__all__ = ["BetaBinomial"]


@plain_arguments
class BetaBinomial(Distribution):
    """Levels 0 … levels − 1 as counts of levels − 1 trials whose probability is drawn from Beta(α, β).

    Formed in float64 from the logarithms of α and β.

    Parameters
    ----------
    log_one : Tensor
        log α, of the concentration at the highest level.
    log_zero : Tensor
        log β, of that at level 0, broadcast with `log_one`.
    levels : int
        Number of levels.

    Examples
    --------
    >>> p = BetaBinomial(torch.tensor(0.0), torch.tensor(0.0), 4)           # Beta(1, 1): all alike
    >>> p.log_prob(torch.arange(4.0)).exp()
    tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """

    arg_constraints = {"log_one": constraints.real, "log_zero": constraints.real}  # noqa: RUF012

    def __init__(self, log_one: Tensor, log_zero: Tensor, levels: int) -> None:
        self.log_one, self.log_zero = broadcast_all(log_one, log_zero)
        self.levels = levels
        super().__init__(self.log_one.shape, validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """The levels."""
        return constraints.integer_interval(0, self.levels - 1)

    @property
    def mean(self) -> Tensor:
        """Mean."""
        return (self.levels - 1) * torch.sigmoid(self.log_one - self.log_zero)

    @property
    def variance(self) -> Tensor:
        """Variance."""
        one, zero = self._concentrations()
        p, n = torch.sigmoid(self.log_one - self.log_zero), self.levels - 1
        return n * p * (1 - p) * ((one + zero + n) / (one + zero + 1)).to(p.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-probability of a level, nats."""
        one, zero = self._concentrations()
        k, n = value.double(), float(self.levels - 1)
        both, log_gamma = one + zero, torch.lgamma
        ways = math.lgamma(n + 1) - log_gamma(k + 1) - log_gamma(n - k + 1)
        up, down = log_gamma(k + one) - log_gamma(one), log_gamma(n - k + zero) - log_gamma(zero)
        return (ways + up + down - (log_gamma(n + both) - log_gamma(both))).to(self.log_one.dtype)

    def _concentrations(self) -> tuple[Tensor, Tensor]:
        return self.log_one.double().exp(), self.log_zero.double().exp()


@simulate.register
def _(distribution: BetaBinomial, generator: Generator) -> Tensor:
    one, zero = (part.detach() for part in distribution._concentrations())
    share = simulate(TorchBeta(one, zero, validate_args=False), generator)
    levels = torch.binomial(torch.full_like(share, distribution.levels - 1), share, generator=generator)
    return levels.to(distribution.log_one.dtype)


declare(BetaBinomial, "mean", "variance", "stack")
