"""Posteriors on the unit box."""

from collections.abc import Sequence
from typing import Literal

from torch import nn
from torch.distributions import Distribution, Independent
from torch.nn.functional import softplus

from elbowroom.components import Component
from elbowroom.distributions import LogitNormal, TruncatedNormal
from elbowroom.distributions.unit_box import Kumaraswamy
from elbowroom.numerics import Given, InputError, one_of
from elbowroom.recipes import described

__all__ = ["Bounded"]

_AT_ONE = 0.5413248546129181  # softplus of it is 1


@described("bounded-posterior")
class Bounded(Component):
    """q(z | x) with independent elements in [0, 1], for a uniform prior.

    Parameters
    ----------
    network : nn.Module
        Reads the tensors named in `given` and returns 2 numbers per element of the event, the first of all elements
        before the second.
    event : int or sequence of int
        Shape of one draw; a number n stands for (n,).
    family : {"kumaraswamy", "truncated-normal", "logit-normal"}, default "kumaraswamy"
        "kumaraswamy": exponents a and b, much like a Beta, whose draws have no such simple gradient.
        "truncated-normal": a normal given that it lies in [0, 1]. "logit-normal": the sigmoid of a normal. Their KL
        from the uniform is in closed form but for the last, where it is sampled.
    given : sequence of str, default ("x",)
        Names of the tensors that the network reads, in the order of its arguments: "x", contexts, earlier blocks.
    floor : float, default 0.01
        Least exponent, or least standard deviation; above 0.

    Raises
    ------
    InputError
        For another word, or a floor that is not positive.

    References
    ----------
    Nalisnick & Smyth, "Stick-breaking variational autoencoders" (2017): the Kumaraswamy posterior.

    Examples
    --------
    >>> import torch
    >>> q = Bounded(nn.Linear(3, 4), 2)
    >>> bool(((q({"x": torch.zeros(1, 5, 3)}).mean - 0.5).abs() < 0.5).all())
    True
    """

    form = "bounded"
    over = "the unit box"

    def __init__(
        self,
        network: nn.Module,
        event: int | Sequence[int],
        *,
        family: Literal["kumaraswamy", "truncated-normal", "logit-normal"] = "kumaraswamy",
        given: Sequence[str] = ("x",),
        floor: float = 0.01,
    ) -> None:
        super().__init__(event, given=given, network=network)
        one_of("family", family, ("kumaraswamy", "truncated-normal", "logit-normal"))
        if not floor > 0:
            raise InputError(f"The floor of a bounded posterior must be above 0; got {floor}.")
        self.family, self.floor = family, floor

    def forward(self, given: Given) -> Distribution:
        """q with batch shape [draws or 1, batch]."""
        first, second = self.parameters_from(given, 2)
        spread = self.floor + softplus(second + _AT_ONE)
        if self.family == "truncated-normal":
            each: Distribution = TruncatedNormal(0.5 + first, spread)
        elif self.family == "logit-normal":
            each = LogitNormal(first, spread)
        else:
            each = Kumaraswamy(self.floor + softplus(first + _AT_ONE), spread)
        return Independent(each, len(self.event), False)
