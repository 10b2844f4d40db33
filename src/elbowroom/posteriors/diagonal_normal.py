"""A normal with independent elements."""

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal
from torch.nn.functional import softplus

from elbowroom.components import Component
from elbowroom.numerics import Given, InputError, one_of
from elbowroom.recipes import described

__all__ = ["DiagonalNormal", "Spread", "check_spread", "variance_of"]

Spread = Literal["softplus", "exp"]


def check_spread(spread: str, floor: float) -> None:
    """Refuse another word, or a negative floor."""
    one_of("spread", spread, ("softplus", "exp"))
    if floor < 0:
        raise InputError(f"The floor of a variance cannot be negative; got {floor}.")


def variance_of(raw: Tensor, spread: str, floor: float) -> Tensor:
    """The variance that a raw number becomes, floor included."""
    raw = raw.contiguous()  # softplus and exp take a quarter of the time on contiguous rows
    return (softplus(raw) if spread == "softplus" else (2 * raw).exp()) + floor


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

    form = "independent normal"

    def __init__(
        self,
        network: nn.Module,
        event: int | Sequence[int],
        *,
        given: Sequence[str] = ("x",),
        spread: Spread = "softplus",
        floor: float = 1e-5,
    ) -> None:
        super().__init__(event, given=given, network=network)
        check_spread(spread, floor)
        self.spread, self.floor = spread, floor

    def forward(self, given: Given) -> Distribution:
        """q with batch shape [draws or 1, batch]."""
        mean, raw = self.parameters_from(given, 2)
        variance = variance_of(raw, self.spread, self.floor)
        return Independent(Normal(mean, variance.sqrt(), validate_args=False), len(self.event), False)
