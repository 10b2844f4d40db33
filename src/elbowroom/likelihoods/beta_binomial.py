"""A likelihood of levels by a binomial whose probability is drawn from a Beta."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from elbowroom.distributions import BetaBinomial as BetaBinomialDistribution
from elbowroom.numerics import Given
from elbowroom.recipes import described

from .grid import OnLevels, at_least_two

__all__ = ["LEAST_LOG", "MOST_LOG", "BetaBinomial"]

LEAST_LOG, MOST_LOG = -40.0, 20.0
"""Between which log α and log β are taken: log Γ of more has too few digits behind the point in float64."""


@described("beta-binomial")
class BetaBinomial(OnLevels):
    """Independent beta-binomials on an integer grid; gives log P(x) of raw grey levels, without preprocessing.

    Parameters
    ----------
    network : nn.Module or None
        Reads the tensors named in `given` and returns 2 numbers per element, the logarithms of its concentrations,
        taken between −40 and 20: α, at the highest level, of all elements first, then β, at level 0. None where another
        likelihood brings the network (`Mixed`, `Autoregressive`).
    event : int or sequence of int
        Shape of one x; a number n stands for (n,).
    levels : int
        Number of levels of the grid, 2 or more.
    given : sequence of str, default ("z",)
        Names of the tensors that the network reads, in the order of its arguments: latent blocks and contexts.

    Raises
    ------
    InputError
        For fewer than 2 levels.

    References
    ----------
    Townsend, Bird & Barber, "Practical lossless compression with latent variables using bits back coding" (2019), whose
    model of grey levels has it.

    Examples
    --------
    >>> import torch
    >>> p = BetaBinomial(nn.Linear(2, 6), 3, levels=256)
    >>> p({"z": torch.zeros(1, 4, 2)}).log_prob(torch.tensor([0.0, 128.0, 255.0])).shape
    torch.Size([1, 4])
    """

    parts = 2

    def __init__(
        self, network: nn.Module | None, event: int | Sequence[int], levels: int, *, given: Sequence[str] = ("z",)
    ) -> None:
        super().__init__(event, given=given, network=network)
        self.levels = at_least_two(self, levels)

    def distribution(self, raw: tuple[Tensor, ...], given: Given) -> Distribution:
        """p(x | z) with batch shape [draws, batch]."""
        one, zero = (part.clamp(LEAST_LOG, MOST_LOG) for part in raw)
        return Independent(BetaBinomialDistribution(one, zero, self.levels), len(self.event), False)
