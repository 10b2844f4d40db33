"""A posterior on the sphere."""

from collections.abc import Sequence

from torch import nn
from torch.distributions import Distribution
from torch.nn.functional import normalize, softplus

from elbowroom.components import Component
from elbowroom.distributions.sphere import VonMisesFisher as OnSphere
from elbowroom.numerics import Given, InputError
from elbowroom.recipes import described

__all__ = ["VonMisesFisher"]


@described("von-mises-fisher")
class VonMisesFisher(Component):
    """q(z | x) on the unit sphere: density ∝ exp(κ(x) μ(x)·z), for the uniform prior `priors.Sphere`.

    The KL from that prior is in closed form. Draws are an exact function of noise, none is rejected.

    Parameters
    ----------
    network : nn.Module
        Reads the tensors named in `given` and returns d + 1 numbers: a vector, whose direction is μ, and a raw number
        that becomes κ = floor + softplus(raw).
    event : int or sequence of int
        Dimensions of the space around the sphere: d or (d,), 2 or more.
    given : sequence of str, default ("x",)
        Names of the tensors that the network reads, in the order of its arguments: "x", contexts, earlier blocks.
    floor : float, default 0.001
        Least κ, 0 or more.

    Raises
    ------
    InputError
        For one dimension, an event that is not one row, or a negative floor.

    References
    ----------
    Davidson, Falorsi, De Cao, Kipf & Tomczak, "Hyperspherical variational auto-encoders" (2018).

    Examples
    --------
    >>> import torch
    >>> q = VonMisesFisher(nn.Linear(3, 5), 4)
    >>> bool((q({"x": torch.zeros(1, 5, 3)}).mean.norm(dim=-1) < 1).all())
    True
    """

    form = "sphere"
    over = "the sphere"

    def __init__(
        self,
        network: nn.Module,
        event: int | Sequence[int],
        *,
        given: Sequence[str] = ("x",),
        floor: float = 0.001,
    ) -> None:
        super().__init__(event, given=given, network=network)
        if len(self.event) > 1 or self.event[0] < 2 or floor < 0:
            raise InputError(
                f"A von Mises–Fisher posterior is over one row of 2 dimensions or more, with a floor of 0 or more; got "
                f"event {self.event} and {floor}."
            )
        self.floor = floor

    def forward(self, given: Given) -> Distribution:
        """q with batch shape [draws or 1, batch]."""
        numbers = self.numbers_from(given, self.event[0] + 1)
        return OnSphere(normalize(numbers[..., :-1], dim=-1), self.floor + softplus(numbers[..., -1]))
