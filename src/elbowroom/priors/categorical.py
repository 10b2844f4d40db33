"""A prior over classes."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, OneHotCategorical

from elbowroom.components import Component, at_least_two
from elbowroom.numerics import Given, InputError
from elbowroom.recipes import described

__all__ = ["Categorical", "check_probabilities"]


@described("categorical-prior")
class Categorical(Component):
    """p(y) over classes; y is one-hot, [classes].

    The class probabilities are fixed, learned, or returned by a network.

    Parameters
    ----------
    classes : int
        Number of classes, 2 or more.
    probabilities : sequence of float or None, default None
        Fixed positive probabilities, one per class, that add to 1. None learns them, starting at equal ones, or takes
        them from the network.
    network : nn.Module or None, default None
        Reads the tensors named in `given` and returns one number per class: its logit.
    given : sequence of str, default ()
        Names of the tensors that the network reads, in the order of its arguments: contexts and earlier blocks. Empty
        without a network.

    Raises
    ------
    InputError
        For fewer than 2 classes, probabilities that do not fit, or a network without `given` or beside probabilities.

    Examples
    --------
    >>> Categorical(2, probabilities=[0.25, 0.75])({}).mean
    tensor([[[0.2500, 0.7500]]])
    """

    form = "classes"
    over = "classes"

    logits: Tensor

    def __init__(
        self,
        classes: int,
        *,
        probabilities: Sequence[float] | None = None,
        network: nn.Module | None = None,
        given: Sequence[str] = (),
    ) -> None:
        super().__init__(at_least_two(classes), given=given, network=network)
        if (network is None) != (not given) or (network is not None and probabilities is not None):
            raise InputError("A Categorical prior has a network that reads what is in `given`, or neither of the two.")
        if probabilities is not None:
            check_probabilities(probabilities, classes, "Categorical")
            self.register_buffer("logits", torch.tensor(probabilities).log().view(1, 1, classes), persistent=False)
        elif network is None:
            self.logits = nn.Parameter(torch.zeros(1, 1, classes))

    def forward(self, given: Given) -> Distribution:
        """p with batch shape [1, 1], or [draws or 1, batch] of what the network reads."""
        logits = self.logits if self.network is None else self.parameters_from(given, 1)[0]
        return OneHotCategorical(logits=logits, validate_args=False)


def check_probabilities(probabilities: Sequence[float], classes: int, prior: str) -> None:
    """Refuse probabilities of which there is not one for each class, or that do not add to 1; `prior` is named."""
    inside = len(probabilities) == classes and all(p > 0 for p in probabilities)
    if not inside or not math.isclose(sum(probabilities), 1.0, abs_tol=1e-6):
        raise InputError(
            f"A {prior} prior needs {classes} positive probabilities that add to 1; got {list(probabilities)}."
        )
