"""What every likelihood is: a component over x that knows which data it is a density of."""

import copy
import math
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.distributions import Distribution

from elbowroom.components import Component
from elbowroom.networks import Tempered
from elbowroom.numerics import Given, InputError, Support, plain_arguments

__all__ = ["CONTINUOUS", "Likelihood"]

CONTINUOUS = ("unit", "real")
"""Kinds of support on which densities mean something."""


@plain_arguments
class Likelihood(Component):
    """Base of the likelihoods p(x | z): a component over x that knows which data it is a density of.

    A subclass defines `distribution` and `check`; its class attributes say what its network returns.

    Parameters
    ----------
    event : int or sequence of int
        Shape of one x, as preprocessed; a number n stands for (n,).
    given : sequence of str, default ("z",)
        Names of the tensors that the network reads, in the order of its arguments: latent blocks and contexts.
    network : nn.Module or None, default None
        Reads the tensors named in `given` and returns `parts` numbers per element, all elements of the first part
        before those of the second. None where another likelihood brings the network (`Mixed`, `Autoregressive`).
    beside : sequence of str, default ()
        Names that the likelihood itself reads and its network does not.

    Attributes
    ----------
    parts : int
        Numbers per element that the network returns.
    logits : bool
        Whether the network's numbers are logits, which a temperature may multiply.

    Examples
    --------
    >>> from elbowroom.likelihoods import Normal
    >>> Normal(None, (3, 8, 8), scale="predicted").numbers                # 2 per element
    384
    """

    parts: int = 1
    logits: bool = False

    def __init__(
        self,
        event: int | Sequence[int],
        *,
        given: Sequence[str] = ("z",),
        network: nn.Module | None = None,
        beside: Sequence[str] = (),
    ) -> None:
        super().__init__(event, given=(*given, *beside), network=network)
        self._network_reads = tuple(given)

    @property
    def numbers(self) -> int:
        """Numbers per example that the network is to return: the size of its last layer."""
        return self.parts * math.prod(self.event)

    @property
    def beside(self) -> list[str]:
        """Names that the likelihood itself reads and its network does not."""
        return [name for name in self.given if name not in self._network_reads]

    def forward(self, given: Given) -> Distribution:
        """p(x | z) with batch shape [draws, batch]."""
        return self.distribution(self.parameters_from(given, self.parts), given)

    def distribution(self, raw: tuple[Tensor, ...], given: Given) -> Distribution:
        """p(x | z) from the network's output.

        Parameters
        ----------
        raw : tuple of Tensor
            `parts` tensors [draws, batch, *event].
        given : Given
            Tensors [draws or 1, batch, *event] by name.

        Returns
        -------
        Distribution
            With batch shape [draws, batch].
        """
        raise NotImplementedError

    def settle_beside(self, y: Tensor, beside: Given) -> list[str]:
        """Take from the training data what depends on more than x, after `settle` and before training.

        Parameters
        ----------
        y : Tensor
            Preprocessed training data, [n, *event].
        beside : Given
            The contexts among what the likelihood itself reads: name → [n, ...].

        Returns
        -------
        list of str
            What was settled, in sentences for the user.
        """
        return []

    @property
    def calibrates(self) -> Literal["noise scale", "temperature"] | None:
        """The one number by which the noise can be re-estimated with the networks as they are, if there is one."""
        return "temperature" if self.logits else None

    @plain_arguments
    def at_temperature(self, factor: float) -> "Likelihood":
        """A copy whose logits are multiplied by `factor`; the network is shared."""
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

    def outside(self, y: Tensor) -> Tensor:
        """Which cells hold values that have no probability whatever z is, and no density.

        Parameters
        ----------
        y : Tensor
            [..., *event], as preprocessed; NaN is a missing cell, and outside nothing.

        Returns
        -------
        Tensor
            Bool, of the shape of y.
        """
        return y.isinf()

    def holds(self, place: int = 0) -> str:
        """What a cell of y may hold, in words.

        Parameters
        ----------
        place : int, default 0
            Of the cell, counted through a flat y.

        Returns
        -------
        str
            Such as "0 or 1".
        """
        return "finite numbers"

    def remarks(self, p_x: Distribution) -> list[str]:
        """What a person should know of the fitted p(x | z), in sentences."""
        return []

    def _inputs(self, given: Given) -> list[Tensor]:
        super()._inputs(given)
        return [given[name] for name in self._network_reads]


def not_whole_from_0(y: Tensor, levels: float = math.inf) -> Tensor:
    """Which cells are no whole number from 0 (below `levels`); NaN, a missing cell, is not meant."""
    return (y < 0) | (y >= levels) | y.isinf() | ((y != y.floor()) & ~y.isnan())


def refuse(likelihood: Likelihood, holds: str, support: Support, way_out: str) -> InputError:
    """The error for data that a likelihood is no density of."""
    return InputError(
        f"A {type(likelihood).__name__} likelihood is {holds}, and these data lie on the {support}: {way_out}."
    )
