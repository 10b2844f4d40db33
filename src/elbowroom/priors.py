"""Priors p(z | context)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, OneHotCategorical

from elbowroom.components import Component, at_least_two
from elbowroom.distributions.unit_normal import UnitNormal
from elbowroom.numerics import Given, InputError
from elbowroom.runs import described

__all__ = ["Categorical", "StandardNormal"]


@described("categorical-prior")
class Categorical(Component):
    """p(y) over classes, y one-hot [classes].

    probabilities: one per class, fixed; None learns them, beginning at equal ones. With a network, which reads `given`
    (contexts, earlier blocks) and returns a logit per class, they depend on what it reads.

    >>> Categorical(2, [0.25, 0.75])({}).mean
    tensor([[[0.2500, 0.7500]]])
    """

    logits: Tensor

    def __init__(
        self,
        classes: int,
        probabilities: Sequence[float] | None = None,
        network: nn.Module | None = None,
        given: Sequence[str] = (),
    ) -> None:
        super().__init__(at_least_two(classes), given, network)
        if (network is None) != (not given) or (network is not None and probabilities is not None):
            raise InputError("A Categorical prior has a network that reads what is in `given`, or neither of the two.")
        if probabilities is not None:
            _check_probabilities(probabilities, classes)
            self.register_buffer("logits", torch.tensor(probabilities).log().view(1, 1, classes), persistent=False)
        elif network is None:
            self.logits = nn.Parameter(torch.zeros(1, 1, classes))

    def forward(self, given: Given) -> Distribution:
        """p with batch shape [1, 1], or [draws or 1, batch] of what the network reads."""
        logits = self.logits if self.network is None else self.parameters_from(given, 1)[0]
        return OneHotCategorical(logits=logits, validate_args=False)


def _check_probabilities(probabilities: Sequence[float], classes: int) -> None:
    inside = len(probabilities) == classes and all(p > 0 for p in probabilities)
    if not inside or not math.isclose(sum(probabilities), 1.0, abs_tol=1e-6):
        raise InputError(
            f"A Categorical prior needs {classes} positive probabilities that add to 1; got {list(probabilities)}."
        )


@described("standard-normal")
class StandardNormal(Component):
    """N(0, I) over an event.

    >>> StandardNormal(2)({}).log_prob(torch.zeros(1, 1, 2)).exp()      # 1 / 2π
    tensor([[0.1592]])
    """

    loc: Tensor
    scale: Tensor

    def __init__(self, event: int | Sequence[int]) -> None:
        super().__init__(event)
        self.register_buffer("loc", torch.zeros(1, 1, *self.event), persistent=False)
        self.register_buffer("scale", torch.ones(1, 1, *self.event), persistent=False)

    def forward(self, given: Given) -> Distribution:
        """N(0, I) with batch shape [1, 1]."""
        return Independent(UnitNormal(self.loc, self.scale, validate_args=False), len(self.event), False)
