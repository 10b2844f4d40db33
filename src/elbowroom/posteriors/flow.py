"""Normalizing flows as posteriors."""

from collections.abc import Sequence
from typing import Any

from torch import nn
from torch.distributions import Distribution

from elbowroom.components import Component
from elbowroom.distributions.flows import flow_of
from elbowroom.numerics import Given, InputError
from elbowroom.recipes import described

__all__ = ["Flow"]


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
        log-density costs; "iaf", affine, each dimension after the others: cheap draws, and a density elsewhere that
        takes as many passes as there are dimensions; "autoregressive", the same the other way round; "planar" or
        "radial", a direction or a point per layer, always invertible; or a conditional zuko flow of your own.
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
    Kingma et al., "Improved variational inference with inverse autoregressive flow" (2016).
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
        if len(self.event) > 1:
            raise InputError(f"A flow is over one row of latent dimensions; got event {self.event}.")
        self.context = context
        self.flow: Any = flow_of(flow, self.event[0], context, transforms, hidden) if isinstance(flow, str) else flow

    def forward(self, given: Given) -> Distribution:
        """q with batch shape [draws or 1, batch]."""
        q: Distribution = self.flow(self.numbers_from(given, self.context))
        return q
