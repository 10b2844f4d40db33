"""A relaxed posterior over classes."""

from collections.abc import Sequence

from torch import nn
from torch.distributions import Distribution

from elbowroom.components import Component, at_least_two
from elbowroom.distributions.relaxed_categorical import RelaxedCategorical as Relaxed
from elbowroom.numerics import Given, InputError
from elbowroom.recipes import described

__all__ = ["RelaxedCategorical"]


@described("relaxed-categorical-posterior")
class RelaxedCategorical(Component):
    """q(z | x) over the inside of a simplex: a class, relaxed, so that its draw carries a gradient (Gumbel-softmax).

    With `priors.RelaxedCategorical` the ELBO and importance weights are lower bounds on log p(x) of the relaxed model,
    whose decoder reads mixtures of classes. Against a prior over classes there is no bound on log p(x) of any model:
    the draw lies where that prior has no density, and a KL between the two categoricals beside a decoder at relaxed
    draws bounds nothing. So that pair is refused, by recipes, training and evidence alike; `posteriors.Categorical`
    sums the classes out exactly.

    Parameters
    ----------
    network : nn.Module
        Reads the tensors named in `given` and returns one number per class: its logit.
    classes : int
        Number of classes, 2 or more.
    temperature : float, default 2/3
        Above 0. Lower ones bring draws nearer to a class, with noisier gradients.
    given : sequence of str, default ("x",)
        Names of the tensors that the network reads, in the order of its arguments: "x", contexts, earlier blocks.

    Raises
    ------
    InputError
        For fewer than 2 classes, or a temperature that is not positive.

    References
    ----------
    Jang, Gu & Poole, "Categorical reparameterization with Gumbel-softmax" (2017).
    Maddison, Mnih & Teh, "The Concrete distribution: A continuous relaxation of discrete random variables" (2017).

    Examples
    --------
    >>> import torch
    >>> RelaxedCategorical(nn.Linear(3, 4), 4)({"x": torch.zeros(1, 5, 3)}).batch_shape
    torch.Size([1, 5])
    """

    form = "simplex"
    over = "the simplex"

    def __init__(
        self, network: nn.Module, classes: int, *, temperature: float = 2 / 3, given: Sequence[str] = ("x",)
    ) -> None:
        super().__init__(at_least_two(classes), given=given, network=network)
        if not temperature > 0:
            raise InputError(f"A temperature is above 0; got {temperature}.")
        self.temperature = temperature

    def forward(self, given: Given) -> Distribution:
        """q with batch shape [draws or 1, batch]."""
        return Relaxed(self.parameters_from(given, 1)[0], self.temperature)
