"""The relaxed one-hot distribution on the simplex."""

import math
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from ._draw import Draw, draw
from .capabilities import declare, detached
from .tails import log_ndtr

__all__ = ["RelaxedCategorical"]


class RelaxedCategorical(Distribution):
    """The Concrete distribution: softmax((logits + Gumbel noise) / temperature), on the inside of the simplex.

    Parameters
    ----------
    logits : Tensor
        [*batch, classes], up to a constant; the largest element of a draw is class k with probability softmax(logits)_k
        at every temperature.
    temperature : float
        Above 0; draws near a corner at 0, near the middle where it is large.

    References
    ----------
    Maddison, Mnih & Teh, "The Concrete distribution" (2017).

    Examples
    --------
    >>> p = RelaxedCategorical(torch.zeros(2), 1.0)      # of two classes, uniform on a segment
    >>> round(p.log_prob(torch.tensor([0.3, 0.7])).item(), 6)
    0.0
    """

    arg_constraints = {"logits": constraints.real_vector}  # noqa: RUF012
    support = constraints.simplex

    def __init__(self, logits: Tensor, temperature: float) -> None:
        self.logits, self.temperature = logits, temperature
        super().__init__(logits.shape[:-1], logits.shape[-1:], validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "RelaxedCategorical":
        """The same over a larger batch."""
        return RelaxedCategorical(self.logits.expand(*batch_shape, *self.event_shape), self.temperature)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density over all but one of the elements."""
        classes, log_x = self.event_shape[0], value.log()
        scores = self.logits - self.temperature * log_x
        each = scores.sum(-1) - classes * scores.logsumexp(-1) - log_x.sum(-1)
        return each + math.lgamma(classes) + (classes - 1) * math.log(self.temperature)


@draw.register
def _(distribution: RelaxedCategorical, noise: Tensor) -> Draw:
    gumbel = -torch.log(-log_ndtr(noise))
    value = ((distribution.logits + gumbel) / distribution.temperature).softmax(-1)
    value = value.clamp_min(torch.finfo(noise.dtype).tiny)  # a corner's zeros have no logarithm
    return value, partial(distribution.log_prob, value)


declare(RelaxedCategorical, "draw", "moments", "stack")


@detached.register
def _(distribution: RelaxedCategorical) -> RelaxedCategorical:
    return RelaxedCategorical(distribution.logits.detach(), distribution.temperature)
