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
    """Independent Laplace densities, for real data with outliers: the location minimises the absolute error.

    Parameters
    ----------
    network : nn.Module or None
        Reads the tensors named in `given` and returns 1 number per element, the location; with scale="predicted" 2
        numbers per element, the locations of all elements first, then raw scales r of scale = floor + softplus(r + c),
        with c such that r = 0 gives `start`. None where another likelihood brings the network (`Mixed`,
        `Autoregressive`).
    event : int or sequence of int
        Shape of one x, as preprocessed; a number n stands for (n,).
    scale : float or {"shared", "feature", "predicted"}, default "shared"
        The scale, on the scale of the preprocessed x. A number fixes it; "shared" learns one for all elements;
        "feature" learns one per element; "predicted" makes it a function of z. The standard deviation is √2 of it.
    floor : float or None, default None
        Least scale, on the scale of the preprocessed x, where it is not fixed. None settles it from the training data,
        so that the standard deviation is at least that of one grid step's uniform noise (step / √12) where the data are
        on a grid, else 1 % of the data's.
    start : float or None, default None
        Where a scale that is not fixed starts, on the scale of the preprocessed x. None settles it from the training
        data, so that the standard deviation is the one that PCA with as many components as latents leaves: a scale that
        starts too large collapses the latents before it has shrunk.
    given : sequence of str, default ("z",)
        Names of the tensors that the network reads, in the order of its arguments: latent blocks and contexts.

    Raises
    ------
    InputError
        For another word, or a scale, floor or start that is not positive.

    Examples
    --------
    >>> p = Laplace(nn.Linear(2, 3), 3, scale=0.5)
    >>> p({"z": torch.zeros(1, 4, 2)}).variance[0, 0]
    tensor([0.5000, 0.5000, 0.5000])
    """

    unit_deviation = math.sqrt(2.0)

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
    """Independent Student's t, for real data with outliers, whose cost grows logarithmically.

    Parameters
    ----------
    network : nn.Module or None
        Reads the tensors named in `given` and returns 1 number per element, the location; with scale="predicted" 2
        numbers per element, the locations of all elements first, then raw scales r of scale = floor + softplus(r + c),
        with c such that r = 0 gives `start`. None where another likelihood brings the network (`Mixed`,
        `Autoregressive`).
    event : int or sequence of int
        Shape of one x, as preprocessed; a number n stands for (n,).
    scale : float or {"shared", "feature", "predicted"}, default "shared"
        The scale, on the scale of the preprocessed x. A number fixes it; "shared" learns one for all elements;
        "feature" learns one per element; "predicted" makes it a function of z. With df > 2 the standard deviation is
        √(df / (df − 2)) of it.
    df : float or {"shared"}, default 4.0
        Degrees of freedom. A number fixes them; "shared" learns one number for all elements, above 2 so that there is a
        variance, starting at 4.
    floor : float or None, default None
        Least scale, on the scale of the preprocessed x, where it is not fixed. None settles it from the training data,
        so that the standard deviation is at least that of one grid step's uniform noise (step / √12) where the data are
        on a grid, else 1 % of the data's.
    start : float or None, default None
        Where a scale that is not fixed starts, on the scale of the preprocessed x. None settles it from the training
        data, so that the standard deviation is the one that PCA with as many components as latents leaves: a scale that
        starts too large collapses the latents before it has shrunk.
    given : sequence of str, default ("z",)
        Names of the tensors that the network reads, in the order of its arguments: latent blocks and contexts.

    Raises
    ------
    InputError
        For another word, or a scale, floor or start that is not positive, or df that are not.

    References
    ----------
    Lange, Little & Taylor, "Robust statistical modeling using the t distribution" (1989).

    Examples
    --------
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
            self.unit_deviation = math.sqrt(df / (df - 2))

    def degrees(self) -> Tensor:
        """Degrees of freedom, a scalar."""
        if isinstance(self.df, str):
            return _LEAST_LEARNED_DF + softplus(self.raw_df)
        return torch.full_like(self.floor_value, self.df)

    def best_scale(self, residual: Tensor) -> float:
        """The likeliest scale by the EM algorithm, at the current degrees of freedom."""
        df, square = self.degrees().item(), residual.square()
        variance = square.median()
        for _ in range(_EM_STEPS):
            variance = ((df + 1) * square / (df + square / variance)).mean()
        return variance.sqrt().item()

    def distribution(self, raw: tuple[Tensor, ...], given: Given) -> Distribution:
        """p(x | z) with batch shape [draws, batch]."""
        location, scale = self.location_and_scale(raw)
        return Independent(StudentTDistribution(self.degrees(), location, scale), len(self.event), False)
