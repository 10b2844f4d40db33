"""A normal with any covariance."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from elbowroom.components import Component
from elbowroom.distributions import TriangularNormal
from elbowroom.numerics import Given, InputError
from elbowroom.recipes import described

from .diagonal_normal import Spread, check_spread, variance_of

__all__ = ["FullNormal"]


@described("full-normal")
class FullNormal(Component):
    """A Gaussian encoder with any covariance, q(z | x) = N(μ(x), L(x) L(x)ᵀ).

    For a linear Gaussian decoder it holds the true posterior, which a diagonal one does not.

    Parameters
    ----------
    network : nn.Module
        Reads the tensors named in `given` and returns d + d (d + 1) / 2 numbers for d latent dimensions: the mean, the
        raw numbers of L's diagonal, which `spread` makes positive, then what stands below it, row by row.
    event : int or sequence of int
        Number of latent dimensions: d or (d,).
    given : sequence of str, default ("x",)
        Names of the tensors that the network reads, in the order of its arguments: "x", contexts, earlier blocks.
    spread : {"softplus", "exp"}, default "softplus"
        How a raw number becomes the square of an element of the diagonal: softplus(raw) + floor, or exp(2 · raw) +
        floor.
    floor : float, default 1e-5
        The least square of an element of the diagonal.

    Raises
    ------
    InputError
        For another word, a negative floor, or an event that is not one row.

    References
    ----------
    Kingma & Welling, "An introduction to variational autoencoders" (2019): the full-covariance Gaussian posterior.

    Examples
    --------
    >>> q = FullNormal(nn.Linear(3, 5), 2)
    >>> q({"x": torch.zeros(1, 5, 3)}).variance.shape
    torch.Size([1, 5, 2])
    """

    form = "normal"

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
        if len(self.event) > 1:
            raise InputError(f"A FullNormal is over one row of latent dimensions; got event {self.event}.")
        self.spread, self.floor = spread, floor

    def forward(self, given: Given) -> Distribution:
        """q with batch shape [draws or 1, batch]."""
        d = self.event[0]
        numbers = self.numbers_from(given, 2 * d + d * (d - 1) // 2)
        mean, raw, below = numbers.split([d, d, d * (d - 1) // 2], -1)
        diagonal = variance_of(raw, self.spread, self.floor).sqrt()
        return TriangularNormal(mean, torch.diag_embed(diagonal) + _below(below, d), validate_args=False)


def _below(numbers: Tensor, d: int) -> Tensor:
    """Numbers [..., d (d − 1) / 2] below the diagonal of a matrix [..., d, d], row by row."""
    rows = [nn.functional.pad(row, (0, d - i)) for i, row in enumerate(numbers.split(list(range(d)), -1))]
    return torch.stack(rows, -2)
