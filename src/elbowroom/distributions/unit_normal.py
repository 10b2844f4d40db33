"""The standard normal, spared the divisions by its own parameters."""

import math

from torch import Tensor
from torch.distributions import Normal
from torch.distributions.kl import register_kl

__all__ = ["UnitNormal"]

_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


class UnitNormal(Normal):
    """N(0, 1) per element: a Normal whose `loc` is 0 and whose `scale` is 1, so that nothing is divided by them.

    >>> import torch
    >>> p = UnitNormal(torch.tensor(0.0), torch.tensor(1.0))
    >>> q = Normal(torch.tensor(1.0), 2.0)
    >>> torch.distributions.kl_divergence(q, p)      # (1 + 4 − 1) / 2 − log 2
    tensor(1.3069)
    """

    def log_prob(self, value: Tensor) -> Tensor:
        """−z²/2 − log √2π, in nats."""
        return -0.5 * value.square() - _HALF_LOG_TAU


@register_kl(Normal, UnitNormal)
def _(q: Normal, p: UnitNormal) -> Tensor:
    return 0.5 * (q.loc.square() + q.scale.square() - 1) - q.scale.log()
