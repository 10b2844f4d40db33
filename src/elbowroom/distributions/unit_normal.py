"""The standard normal, without the divisions by its own parameters."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Normal
from torch.distributions.kl import register_kl

from .capabilities import detached

__all__ = ["UnitNormal"]

_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


class UnitNormal(Normal):
    """N(0, 1) per element: a Normal that divides by no scale.

    Parameters
    ----------
    like : Tensor
        A tensor of the shape, floating type and device of one draw; its values do not matter.

    Examples
    --------
    >>> p = UnitNormal(torch.tensor(3.0))
    >>> p.loc, p.scale
    (tensor(0.), tensor(1.))
    >>> q = Normal(torch.tensor(1.0), 2.0)
    >>> torch.distributions.kl_divergence(q, p)      # (1 + 4 − 1) / 2 − log 2
    tensor(1.3069)
    """

    def __init__(self, like: Tensor) -> None:
        super().__init__(torch.zeros_like(like), torch.ones_like(like), validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "UnitNormal":
        """The same over a larger batch."""
        return UnitNormal(self.loc.expand(batch_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """−z²/2 − log √2π, in nats."""
        return -0.5 * value.square() - _HALF_LOG_TAU


@register_kl(Normal, UnitNormal)
def _(q: Normal, p: UnitNormal) -> Tensor:
    return 0.5 * (q.loc.square() + q.scale.square() - 1) - q.scale.log()


@detached.register
def _(distribution: UnitNormal) -> UnitNormal:
    return distribution
