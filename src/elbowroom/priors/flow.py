"""A normalizing flow as a prior."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import nn
from torch.distributions import Distribution

from elbowroom.components import Component
from elbowroom.distributions.flows import flow_of, moved_flow, without_effect
from elbowroom.numerics import Given, InputError, one_of
from elbowroom.recipes import described

__all__ = ["Flow"]


@described("flow-prior")
class Flow(Component):
    """A prior by a normalizing flow from zuko: a standard normal, transformed.

    Its KL from q has no closed form and is sampled.

    Parameters
    ----------
    event : int or sequence of int
        Number of latent dimensions: n or (n,).
    flow : str or nn.Module, default "nsf"
        "nsf" (rational-quadratic splines) or "maf" (affine), both as coupling layers, so that a draw costs what a
        log-density costs; "autoregressive", where each dimension's normal depends on all before it, so that a draw
        takes as many passes as there are dimensions; "iaf", the same the other way round; "planar" or "radial", a
        direction or a point per layer; or an unconditional zuko flow of your own.
    transforms : int, default 3
        Number of layers of a flow that is named.
    hidden : sequence of int, default (64, 64)
        Hidden widths of each layer's network, of a flow that is named.
    base : {"standard", "diagonal"}, default "standard"
        "diagonal": a learned mean and standard deviation of each latent stand before the flow, z = μ + σ T(ε); a flow
        that is named then begins with T the identity, and μ and σ at 0 and 1.

    Raises
    ------
    InputError
        For another word, or an event that is not one row.

    References
    ----------
    Papamakarios, Pavlakou & Murray, "Masked autoregressive flow for density estimation" (2017).
    Chen et al., "Variational lossy autoencoder" (2017): autoregressive priors.

    Examples
    --------
    >>> import torch
    >>> Flow(2, transforms=1, hidden=(8,))({}).log_prob(torch.zeros(4, 5, 2)).shape
    torch.Size([4, 5])
    """

    def __init__(
        self,
        event: int | Sequence[int],
        *,
        flow: str | nn.Module = "nsf",
        transforms: int = 3,
        hidden: Sequence[int] = (64, 64),
        base: Literal["standard", "diagonal"] = "standard",
    ) -> None:
        super().__init__(event)
        if len(self.event) > 1:
            raise InputError(f"A flow is over one row of latent dimensions; got event {self.event}.")
        self.flow: Any = flow_of(flow, self.event[0], 0, transforms, hidden) if isinstance(flow, str) else flow
        one_of("base", base, ("standard", "diagonal"))
        self.base = base
        if base == "diagonal":
            self.means, self.logs = nn.Parameter(torch.zeros(self.event)), nn.Parameter(torch.zeros(self.event))
            if isinstance(flow, str):
                without_effect(self.flow)

    def forward(self, given: Given) -> Distribution:
        """p with batch shape [1, 1]."""
        p: Distribution = self.flow()
        if self.base == "diagonal":
            p = moved_flow(p, self.means, self.logs.exp())
        return p.expand((1, 1))
