"""A relaxed prior over classes."""

import torch
from torch import nn
from torch.distributions import Distribution

from elbowroom.components import Component, at_least_two
from elbowroom.distributions.relaxed_categorical import RelaxedCategorical as Relaxed
from elbowroom.numerics import Given, InputError
from elbowroom.recipes import described

__all__ = ["RelaxedCategorical"]


@described("relaxed-categorical-prior")
class RelaxedCategorical(Component):
    """p(z) over the inside of a simplex: a class with learned probabilities, relaxed at a fixed temperature.

    It is a density of its own, and a model with it is another than one over classes: log p(x) of the relaxed model.

    Parameters
    ----------
    classes : int
        Number of classes, 2 or more. Their probabilities begin equal.
    temperature : float, default 0.5
        Above 0.

    Raises
    ------
    InputError
        For fewer than 2 classes, or a temperature that is not positive.

    References
    ----------
    Maddison, Mnih & Teh, "The Concrete distribution: A continuous relaxation of discrete random variables" (2017).

    Examples
    --------
    >>> density = RelaxedCategorical(2, temperature=1.0)({}).log_prob(torch.tensor([0.3, 0.7])).exp()
    >>> round(density.item(), 4)
    1.0
    """

    form = "simplex"
    over = "the simplex"

    def __init__(self, classes: int, *, temperature: float = 0.5) -> None:
        super().__init__(at_least_two(classes))
        if not temperature > 0:
            raise InputError(f"A temperature is above 0; got {temperature}.")
        self.temperature = temperature
        self.logits = nn.Parameter(torch.zeros(1, 1, classes))

    def forward(self, given: Given) -> Distribution:
        """p with batch shape [1, 1]."""
        return Relaxed(self.logits, self.temperature)
