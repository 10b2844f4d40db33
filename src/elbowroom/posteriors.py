"""Posteriors q(z | x, context)."""

from collections.abc import Sequence
from typing import Any, Literal

from torch import nn
from torch.distributions import Distribution, Independent, Normal, OneHotCategorical
from torch.nn.functional import softplus

from elbowroom.components import Component, at_least_two
from elbowroom.distributions.flows import zuko
from elbowroom.numerics import Given, InputError, one_of
from elbowroom.recipes import described

__all__ = ["Categorical", "DiagonalNormal", "Flow"]

_FLOWS = {"maf": "MAF", "nsf": "NSF"}


@described("categorical-posterior")
class Categorical(Component):
    """q(y | x) over classes, y one-hot [classes]: the network returns a logit per class.

    A pass lays all classes out beside each draw, and every term of `Terms` is a sum over them, weighted by q: exact,
    and so is its gradient, at the price of as many passes of the decoder.
    Source: Kingma, Rezende, Mohamed & Welling, "Semi-supervised learning with deep generative models", 2014.

    >>> import torch
    >>> q = Categorical(nn.Linear(3, 4), 4)
    >>> q({"x": torch.zeros(1, 5, 3)}).mean.sum(-1).shape
    torch.Size([1, 5])
    """

    def __init__(self, network: nn.Module, classes: int, *, given: Sequence[str] = ("x",)) -> None:
        super().__init__(at_least_two(classes), given, network)
        self.classes = classes

    def forward(self, given: Given) -> Distribution:
        """q with batch shape [draws or 1, batch]."""
        (logits,) = self.parameters_from(given, 1)
        return OneHotCategorical(logits=logits, validate_args=False)


@described("diagonal-normal")
class DiagonalNormal(Component):
    """N(μ(x), diag σ²(x)): the network returns μ and a raw spread, two numbers per element.

    spread: "softplus" makes the *variance* softplus(raw) + floor; "exp" makes it exp(2·raw) + floor, that is, the
    standard deviation exp(raw) when the floor is 0. floor: of the variance; 0 invites NaN (see
    `benchmarks/nan_rates.py`).

    >>> import torch
    >>> q = DiagonalNormal(nn.Linear(3, 4), 2)
    >>> q({"x": torch.zeros(1, 5, 3)}).event_shape
    torch.Size([2])
    """

    def __init__(
        self,
        network: nn.Module,
        event: int | Sequence[int],
        *,
        given: Sequence[str] = ("x",),
        spread: Literal["softplus", "exp"] = "softplus",
        floor: float = 1e-5,
    ) -> None:
        super().__init__(event, given, network)
        one_of("spread", spread, ("softplus", "exp"))
        if floor < 0:
            raise InputError(f"The floor of a variance cannot be negative; got {floor}.")
        self.spread, self.floor = spread, floor

    def forward(self, given: Given) -> Distribution:
        """q with batch shape [draws or 1, batch]."""
        mean, raw = self.parameters_from(given, 2)
        raw = raw.contiguous()  # the transcendental functions take a quarter of the time on whole rows
        variance = (softplus(raw) if self.spread == "softplus" else (2 * raw).exp()) + self.floor
        return Independent(Normal(mean, variance.sqrt(), validate_args=False), len(self.event), False)


@described("flow-posterior")
class Flow(Component):
    """q(z | x) by a normalizing flow from zuko: a standard normal, transformed as a function of x.

    The KL is sampled, and the mean that `VAE.encode` gives is one over draws, as a flow has neither in closed form.

    Parameters
    ----------
    network : nn.Module
        Reads `given` and returns `context` numbers per example, which the flow is conditioned on.
    event : int
        Number of latent dimensions.
    context : int
        How many numbers the network returns.
    flow : str or nn.Module
        "nsf" (rational-quadratic splines, the default) or "maf" (affine), both as coupling layers, so that a draw costs
        what a log-density costs; or a conditional zuko flow of your own.
    transforms : int
        Layers of a flow that is named; default 3.
    hidden : sequence of int
        Hidden widths of each layer's network; default (64, 64).
    given : sequence of str
        Names that the network reads; default ("x",).

    Raises
    ------
    InputError
        For another word, or a network that returns another number of outputs.

    Sources: Rezende & Mohamed, "Variational inference with normalizing flows", 2015; Durkan et al., "Neural spline
    flows", 2019.

    >>> import torch
    >>> q = Flow(nn.Linear(3, 8), 2, context=8)
    >>> q({"x": torch.zeros(1, 5, 3)}).event_shape
    torch.Size([2])
    """

    def __init__(
        self,
        network: nn.Module,
        event: int | Sequence[int],
        *,
        context: int = 32,
        flow: str | nn.Module = "nsf",
        transforms: int = 3,
        hidden: Sequence[int] = (64, 64),
        given: Sequence[str] = ("x",),
    ) -> None:
        super().__init__(event, given, network)
        if isinstance(flow, str) and flow not in _FLOWS:
            raise InputError(f"flow must be {' or '.join(map(repr, _FLOWS))}, or a zuko flow; got {flow!r}.")
        if len(self.event) > 1:
            raise InputError(f"A flow is over one row of latent dimensions; got event {self.event}.")
        self.context = context
        self.flow: Any = flow
        if isinstance(flow, str):
            kind: Any = getattr(zuko().flows, _FLOWS[flow])
            self.flow = kind(self.event[0], context, transforms=transforms, hidden_features=tuple(hidden), passes=2)

    def forward(self, given: Given) -> Distribution:
        """q with batch shape [draws or 1, batch]."""
        q: Distribution = self.flow(self.numbers_from(given, self.context))
        return q
