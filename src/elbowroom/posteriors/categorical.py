"""A posterior over classes."""

from collections.abc import Sequence

from torch import nn
from torch.distributions import Distribution, OneHotCategorical

from elbowroom.components import Component, at_least_two
from elbowroom.numerics import Given
from elbowroom.recipes import described

__all__ = ["Categorical"]


@described("categorical-posterior")
class Categorical(Component):
    """q(y | x) over classes; y is one-hot, [classes].

    Classes are not drawn: a pass evaluates the decoder at every class and weights every term by q, which is exact, and
    so is its gradient, at the cost of `classes` passes of the decoder.

    Parameters
    ----------
    network : nn.Module
        Reads the tensors named in `given` and returns one number per class: its logit.
    classes : int
        Number of classes, 2 or more.
    given : sequence of str, default ("x",)
        Names of the tensors that the network reads, in the order of its arguments: "x", contexts, earlier blocks.

    Raises
    ------
    InputError
        For fewer than 2 classes.

    References
    ----------
    Kingma, Rezende, Mohamed & Welling, "Semi-supervised learning with deep generative models" (2014).

    Examples
    --------
    >>> import torch
    >>> q = Categorical(nn.Linear(3, 4), 4)
    >>> q({"x": torch.zeros(1, 5, 3)}).mean.sum(-1).shape
    torch.Size([1, 5])
    """

    form = "classes"
    over = "classes"

    def __init__(self, network: nn.Module, classes: int, *, given: Sequence[str] = ("x",)) -> None:
        super().__init__(at_least_two(classes), given=given, network=network)
        self.classes = classes

    def forward(self, given: Given) -> Distribution:
        """q with batch shape [draws or 1, batch]."""
        (logits,) = self.parameters_from(given, 1)
        return OneHotCategorical(logits=logits, validate_args=False)
