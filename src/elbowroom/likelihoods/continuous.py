"""Heavy-tailed likelihoods of real data."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent
from torch.distributions import Laplace as TorchLaplace
from torch.nn.functional import softplus

from elbowroom.distributions import StudentT as StudentTDistribution
from elbowroom.numerics import Given, InputError
from elbowroom.recipes import described

from .scaled import Scale, Scaled

__all__ = ["Laplace", "StudentT"]

_LEAST_LEARNED_DF = 2.01
_EM_STEPS = 200
_RAW_OF_TWO = math.log(math.expm1(2.0))


@described("laplace")
class Laplace(Scaled):
    """Independent Laplace densities: the location minimises the absolute error. For `scale`, see `Scaled`.

    >>> p = Laplace(nn.Linear(2, 3), 3, scale=0.5)
    >>> p({"z": torch.zeros(1, 4, 2)}).variance[0, 0]
    tensor([0.5000, 0.5000, 0.5000])
    """

    spread = math.sqrt(2.0)

    def __init__(
        self,
        network: nn.Module | None,
        event: int | Sequence[int],
        *,
        scale: Scale = "shared",
        floor: float | None = None,
        start: float | None = None,
        given: Sequence[str] = ("z",),
    ) -> None:
        super().__init__(network, event, scale, floor, start, given)

    def best_scale(self, residual: Tensor) -> float:
        """The mean absolute residual."""
        return residual.abs().mean().item()

    def distribution(self, raw: tuple[Tensor, ...], given: Given) -> Distribution:
        """p(x | z) with batch shape [draws, batch]."""
        location, scale = self.location_and_scale(raw)
        return Independent(TorchLaplace(location, scale, validate_args=False), len(self.event), False)


@described("student-t")
class StudentT(Scaled):
    """Independent Student's t: outliers cost logarithmically. For `scale`, see `Scaled`.

    df: degrees of freedom, a number, or "shared": one that is learned, above 2 so that there is a variance, and
    starts at 4. Source: Lange, Little & Taylor, "Robust statistical modeling using the t distribution", 1989.

    >>> p = StudentT(nn.Linear(2, 3), 3, scale=1.0, df=4.0)
    >>> p({"z": torch.zeros(1, 4, 2)}).variance[0, 0]
    tensor([2., 2., 2.])
    """

    def __init__(
        self,
        network: nn.Module | None,
        event: int | Sequence[int],
        *,
        scale: Scale = "shared",
        df: float | Literal["shared"] = 4.0,
        floor: float | None = None,
        start: float | None = None,
        given: Sequence[str] = ("z",),
    ) -> None:
        super().__init__(network, event, scale, floor, start, given)
        if (df != "shared") if isinstance(df, str) else not df > 0:
            raise InputError(f"df must be a positive number or 'shared'; got {df!r}.")
        self.df = df
        if isinstance(df, str):
            self.raw_df = nn.Parameter(torch.tensor(_RAW_OF_TWO))
        elif df > 2:
            self.spread = math.sqrt(df / (df - 2))

    def degrees(self) -> Tensor:
        """Degrees of freedom, a scalar."""
        if isinstance(self.df, str):
            return _LEAST_LEARNED_DF + softplus(self.raw_df)
        return torch.full_like(self.floor_value, self.df)

    def best_scale(self, residual: Tensor) -> float:
        """By the EM algorithm at the degrees of freedom that there are."""
        df, square = self.degrees().item(), residual.square()
        variance = square.median()
        for _ in range(_EM_STEPS):
            variance = ((df + 1) * square / (df + square / variance)).mean()
        return variance.sqrt().item()

    def distribution(self, raw: tuple[Tensor, ...], given: Given) -> Distribution:
        """p(x | z) with batch shape [draws, batch]."""
        location, scale = self.location_and_scale(raw)
        return Independent(StudentTDistribution(self.degrees(), location, scale), len(self.event), False)
