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

    def __init__(self, network: nn.Module, classes: int, *, given: Sequence[str] = ("x",)) -> None:
        super().__init__(at_least_two(classes), given=given, network=network)
        self.classes = classes

    def forward(self, given: Given) -> Distribution:
        """q with batch shape [draws or 1, batch]."""
        (logits,) = self.parameters_from(given, 1)
        return OneHotCategorical(logits=logits, validate_args=False)


@described("diagonal-normal")
class DiagonalNormal(Component):
    """The usual Gaussian encoder, q(z | x) = N(μ(x), diag σ²(x)).

    Parameters
    ----------
    network : nn.Module
        Reads the tensors named in `given` and returns 2 numbers per element of the event, the μ of all elements first,
        then their raw standard deviations, which `spread` makes positive.
    event : int or sequence of int
        Shape of one draw; a number n stands for (n,).
    given : sequence of str, default ("x",)
        Names of the tensors that the network reads, in the order of its arguments: "x", contexts, earlier blocks.
    spread : {"softplus", "exp"}, default "softplus"
        How the raw number becomes the variance σ². "softplus": softplus(raw) + floor. "exp": exp(2 · raw) + floor, so
        that raw is the logarithm of the standard deviation where the floor is 0.
    floor : float, default 1e-5
        Least variance. With 0, training can end in NaN (measured in `benchmarks/nan_rates.py`).

    Raises
    ------
    InputError
        For another word, or a negative floor.

    References
    ----------
    Kingma & Welling, "Auto-Encoding Variational Bayes" (2014).

    Examples
    --------
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
        super().__init__(event, given=given, network=network)
        one_of("spread", spread, ("softplus", "exp"))
        if floor < 0:
            raise InputError(f"The floor of a variance cannot be negative; got {floor}.")
        self.spread, self.floor = spread, floor

    def forward(self, given: Given) -> Distribution:
        """q with batch shape [draws or 1, batch]."""
        mean, raw = self.parameters_from(given, 2)
        raw = raw.contiguous()  # softplus and exp take a quarter of the time on contiguous rows
        variance = (softplus(raw) if self.spread == "softplus" else (2 * raw).exp()) + self.floor
        return Independent(Normal(mean, variance.sqrt(), validate_args=False), len(self.event), False)


@described("flow-posterior")
class Flow(Component):
    """q(z | x) by a normalizing flow from zuko: a standard normal, transformed as a function of x.

    A flow has neither KL nor mean in closed form: the KL is sampled, and `VAE.encode` gives a mean over draws.

    Parameters
    ----------
    network : nn.Module
        Reads the tensors named in `given` and returns `context` numbers per example, which the flow is conditioned on.
    event : int or sequence of int
        Number of latent dimensions: n or (n,).
    context : int, default 32
        Numbers per example that the network returns.
    flow : str or nn.Module, default "nsf"
        "nsf" (rational-quadratic splines) or "maf" (affine), both as coupling layers, so that a draw costs what a
        log-density costs; or a conditional zuko flow of your own.
    transforms : int, default 3
        Number of layers of a flow that is named.
    hidden : sequence of int, default (64, 64)
        Hidden widths of each layer's network, of a flow that is named.
    given : sequence of str, default ("x",)
        Names of the tensors that the network reads, in the order of its arguments: "x", contexts, earlier blocks.

    Raises
    ------
    InputError
        For another word, an event that is not one row, or a network that returns another number of outputs.

    References
    ----------
    Rezende & Mohamed, "Variational inference with normalizing flows" (2015).
    Durkan et al., "Neural spline flows" (2019).

    Examples
    --------
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
        super().__init__(event, given=given, network=network)
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
