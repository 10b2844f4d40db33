"""What every likelihood is: a component over x that knows which data it is a density of."""

import copy
import math
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.distributions import Distribution

from elbowroom.components import Component
from elbowroom.networks import Tempered
from elbowroom.numerics import Given, InputError, Support

__all__ = ["CONTINUOUS", "Likelihood"]

CONTINUOUS = ("unit", "real")
"""Kinds of support on which densities mean something."""


class Likelihood(Component):
    """A component over x that knows which data it is a density of.

    parts: numbers per element that the network returns; network: None where they come from elsewhere (a group of
    `Mixed`) or are only to be counted; typical: a value inside every support of the family; beside: names that the
    likelihood itself reads and its network does not; logits: whether the network's numbers are logits, which a
    temperature may multiply.
    """

    parts: int = 1
    typical: float = 0.0
    logits: bool = False

    def __init__(
        self,
        event: int | Sequence[int],
        *,
        given: Sequence[str] = ("z",),
        network: nn.Module | None = None,
        beside: Sequence[str] = (),
    ) -> None:
        super().__init__(event, (*given, *beside), network)
        self._network_reads = tuple(given)

    @property
    def numbers(self) -> int:
        """Numbers per example that the network returns: what its last layer is to be sized by."""
        return self.parts * math.prod(self.event)

    @property
    def beside(self) -> list[str]:
        """Names that the likelihood itself reads and its network does not."""
        return [name for name in self.given if name not in self._network_reads]

    def forward(self, given: Given) -> Distribution:
        """p(x | z) with batch shape [draws, batch]."""
        return self.distribution(self.parameters_from(given, self.parts), given)

    def distribution(self, raw: tuple[Tensor, ...], given: Given) -> Distribution:
        """p(x | z) from the network's `parts` tensors [draws, batch, *event]."""
        raise NotImplementedError

    @property
    def calibrates(self) -> Literal["noise scale", "temperature"] | None:
        """The one number by which the noise can be chosen again with the networks as they are, if there is one."""
        return "temperature" if self.logits else None

    def at_temperature(self, factor: float) -> "Likelihood":
        """A copy whose network's logits are multiplied by `factor`; all else as it was, the network shared."""
        new = copy.deepcopy(self, {id(self.network): self.network})
        inner, before = (
            (new.network.network, new.network.factor) if isinstance(new.network, Tempered) else (new.network, 1.0)
        )
        assert inner is not None
        new.network = Tempered(inner, before * factor)
        return new

    def check(self, support: Support) -> None:
        """Raise InputError where data with this support (after preprocessing) are outside the density's own."""
        raise NotImplementedError

    def remarks(self, p_x: Distribution) -> list[str]:
        """What a person should know of the fitted p(x | z), in sentences."""
        return []

    def _inputs(self, given: Given) -> list[Tensor]:
        super()._inputs(given)
        return [given[name] for name in self._network_reads]


def refuse(likelihood: Likelihood, holds: str, support: Support, way_out: str) -> InputError:
    """The error for data on which a likelihood is no density."""
    return InputError(
        f"A {type(likelihood).__name__} likelihood is {holds}, and these data lie on the {support}: {way_out}."
    )
