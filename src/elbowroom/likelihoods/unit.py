"""Likelihoods of data on an interval."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from elbowroom.distributions import Beta as BetaDistribution
from elbowroom.distributions import ContinuousBernoulli as ContinuousBernoulliDistribution
from elbowroom.distributions import LogitNormal as LogitNormalDistribution
from elbowroom.distributions import TruncatedNormal as TruncatedNormalDistribution
from elbowroom.numerics import Given, InputError, Support
from elbowroom.recipes import described

from .likelihood import Likelihood, refuse
from .links import bounded
from .scaled import Scale, Scaled, alternatives

__all__ = ["Beta", "ContinuousBernoulli", "LogitNormal", "TruncatedNormal"]

_MOST_LOG_CONCENTRATION = 9.0


@described("continuous-bernoulli")
class ContinuousBernoulli(Likelihood):
    """Independent continuous Bernoullis on [0, 1]: a Bernoulli on grey levels, with its normaliser.

    Its standard deviation follows from its mean and is at most 1 / √12, so it cannot be certain of a grey level that is
    neither 0 nor 1.

    Parameters
    ----------
    network : nn.Module or None
        Reads the tensors named in `given` and returns 1 number per element, its logit. None where another likelihood
        brings the network (`Mixed`, `Autoregressive`).
    event : int or sequence of int
        Shape of one x, as preprocessed; a number n stands for (n,).
    given : sequence of str, default ("z",)
        Names of the tensors that the network reads, in the order of its arguments: latent blocks and contexts.

    References
    ----------
    Loaiza-Ganem & Cunningham, "The continuous Bernoulli" (2019).

    Examples
    --------
    >>> p = ContinuousBernoulli(nn.Linear(2, 3), 3)
    >>> p({"z": torch.zeros(1, 4, 2)}).batch_shape
    torch.Size([1, 4])
    """

    logits = True

    def __init__(self, network: nn.Module | None, event: int | Sequence[int], *, given: Sequence[str] = ("z",)) -> None:
        super().__init__(event, given=given, network=network)

    def distribution(self, raw: tuple[Tensor, ...], given: Given) -> Distribution:
        """p(x | z) with batch shape [draws, batch]."""
        return Independent(ContinuousBernoulliDistribution(raw[0]), len(self.event), False)

    def outside(self, y: Tensor) -> Tensor:
        """All but [0, 1]."""
        return (y < 0) | (y > 1)

    def holds(self, place: int = 0) -> str:
        """What a cell may hold, in words."""
        return "numbers from 0 to 1"

    def check(self, support: Support) -> None:
        """Continuous data in [0, 1] only."""
        _needs_unit(self, support)


@described("beta")
class Beta(Likelihood):
    """Independent Betas on (0, 1).

    Parameters
    ----------
    network : nn.Module or None
        Reads the tensors named in `given` and returns 2 numbers per element, the logarithms of its concentrations,
        smoothly bounded to ±9: those at 1 (the exponent of x, plus 1) of all elements first, then those at 0. None
        where another likelihood brings the network (`Mixed`, `Autoregressive`).
    event : int or sequence of int
        Shape of one x, as preprocessed; a number n stands for (n,).
    given : sequence of str, default ("z",)
        Names of the tensors that the network reads, in the order of its arguments: latent blocks and contexts.

    Examples
    --------
    >>> p = Beta(nn.Linear(2, 6), 3)
    >>> p({"z": torch.zeros(1, 4, 2)}).event_shape
    torch.Size([3])
    """

    parts = 2

    def __init__(self, network: nn.Module | None, event: int | Sequence[int], *, given: Sequence[str] = ("z",)) -> None:
        super().__init__(event, given=given, network=network)

    def distribution(self, raw: tuple[Tensor, ...], given: Given) -> Distribution:
        """p(x | z) with batch shape [draws, batch]."""
        one, zero = (bounded(part, _MOST_LOG_CONCENTRATION).exp() for part in raw)
        return Independent(BetaDistribution(one, zero), len(self.event), False)

    def settle(self, y: Tensor, step: float | None, latents: int) -> list[str]:
        """Refuse training data with exact 0s or 1s; settles nothing."""
        _needs_open_unit(self, y)
        return []

    def outside(self, y: Tensor) -> Tensor:
        """All but (0, 1): 0 and 1 themselves are outside."""
        return (y <= 0) | (y >= 1)

    def holds(self, place: int = 0) -> str:
        """What a cell may hold, in words."""
        return "numbers between 0 and 1, without these"

    def check(self, support: Support) -> None:
        """Continuous data in (0, 1) only."""
        _needs_unit(self, support)


@described("truncated-normal")
class TruncatedNormal(Scaled):
    """Independent normals restricted to an interval, for continuous data in it.

    With a large scale and a location far outside the interval it approaches the continuous Bernoulli.

    Parameters
    ----------
    network : nn.Module or None
        Reads the tensors named in `given` and returns 1 number per element, the location, which may lie outside the
        interval; with scale="predicted" 2 numbers per element, the locations of all elements first, then raw scales r
        of scale = floor + softplus(r + c), with c such that r = 0 gives `start`. None where another likelihood brings
        the network (`Mixed`, `Autoregressive`).
    event : int or sequence of int
        Shape of one x, as preprocessed; a number n stands for (n,).
    scale : float or {"shared", "feature", "predicted"}, default "shared"
        The standard deviation σ before truncation, on the scale of the preprocessed x. A number fixes it; "shared"
        learns one for all elements; "feature" learns one per element; "predicted" makes it a function of z.
    low : float, default 0.0
        Lower end of the interval, on the scale of the preprocessed x.
    high : float, default 1.0
        Upper end of the interval, on the scale of the preprocessed x.
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
        For another word, or a scale, floor or start that is not positive, or low that is not below high.

    Examples
    --------
    >>> p = TruncatedNormal(nn.Linear(2, 3), 3, scale=0.1)
    >>> p({"z": torch.zeros(1, 4, 2)}).log_prob(torch.full((3,), 1.5)).tolist()
    [[-inf, -inf, -inf, -inf]]
    """

    symbol = "σ"

    def __init__(
        self,
        network: nn.Module | None,
        event: int | Sequence[int],
        *,
        scale: Scale = "shared",
        low: float = 0.0,
        high: float = 1.0,
        floor: float | None = None,
        start: float | None = None,
        given: Sequence[str] = ("z",),
    ) -> None:
        super().__init__(network, event, scale, floor, start, given)
        if not low < high:
            raise InputError(f"A TruncatedNormal needs low < high; got {low} and {high}.")
        self.low, self.high = low, high

    def distribution(self, raw: tuple[Tensor, ...], given: Given) -> Distribution:
        """p(x | z) with batch shape [draws, batch]."""
        location, scale = self.location_and_scale(raw)
        return Independent(TruncatedNormalDistribution(location, scale, self.low, self.high), len(self.event), False)

    def settle(self, y: Tensor, step: float | None, latents: int) -> list[str]:
        """Refuse training data outside [low, high]; settle floor and start."""
        low, high = y.min().item(), y.max().item()
        if low < self.low or high > self.high:
            raise InputError(
                f"A TruncatedNormal on [{self.low:g}, {self.high:g}] cannot hold these data, which reach from {low:g} "
                f"to {high:g}: set low and high, or take likelihoods.Normal."
            )
        return super().settle(y, step, latents)

    def outside(self, y: Tensor) -> Tensor:
        """All but [low, high]."""
        return (y < self.low) | (y > self.high)

    def holds(self, place: int = 0) -> str:
        """What a cell may hold, in words."""
        return f"numbers from {self.low:g} to {self.high:g}"

    def check(self, support: Support) -> None:
        """Continuous data in [low, high] only; for bounds other than 0 and 1, `settle` looks at the data."""
        if (self.low, self.high) != (0.0, 1.0) and support.kind == "real":
            return
        _needs_unit(self, support)


@described("logit-normal")
class LogitNormal(Scaled):
    """Independent logit-normals on (0, 1): logit x is normal.

    Parameters
    ----------
    network : nn.Module or None
        Reads the tensors named in `given` and returns 1 number per element, the mean of logit x; with scale="predicted"
        2 numbers per element, the means of all elements first, then raw scales r of scale = floor + softplus(r + c),
        with c such that r = 0 gives `start`. None where another likelihood brings the network (`Mixed`,
        `Autoregressive`).
    event : int or sequence of int
        Shape of one x, as preprocessed; a number n stands for (n,).
    scale : float or {"shared", "feature", "predicted"}, default "shared"
        The standard deviation, on the scale of logit x. A number fixes it; "shared" learns one for all elements;
        "feature" learns one per element; "predicted" makes it a function of z.
    floor : float or None, default None
        Least scale, on the scale of logit x, where it is not fixed. None settles it from the training data, so that the
        standard deviation is at least that of one grid step's uniform noise (step / √12) where the data are on a grid,
        else 1 % of that of logit x.
    start : float or None, default None
        Where a scale that is not fixed starts, on the scale of logit x. None settles it from the training data, so that
        the standard deviation of logit x is the one that PCA with as many components as latents leaves: a scale that
        starts too large collapses the latents before it has shrunk.
    given : sequence of str, default ("z",)
        Names of the tensors that the network reads, in the order of its arguments: latent blocks and contexts.

    Raises
    ------
    InputError
        For another word, or a scale, floor or start that is not positive.

    References
    ----------
    Atchison & Shen, "Logistic-normal distributions" (1980).

    Examples
    --------
    >>> p = LogitNormal(nn.Linear(2, 3), 3, scale=1.0)
    >>> p({"z": torch.zeros(1, 4, 2)}).event_shape
    torch.Size([3])
    """

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

    def distribution(self, raw: tuple[Tensor, ...], given: Given) -> Distribution:
        """p(x | z) with batch shape [draws, batch]."""
        location, scale = self.location_and_scale(raw)
        return Independent(LogitNormalDistribution(location, scale), len(self.event), False)

    def settle(self, y: Tensor, step: float | None, latents: int) -> list[str]:
        """Refuse training data with exact 0s or 1s; settle floor and start on logit x."""
        _needs_open_unit(self, y)
        slope = 4.0  # of the logit at 1/2, where it is least
        return super().settle(torch.logit(y.double()), slope * step if step else None, latents)

    def outside(self, y: Tensor) -> Tensor:
        """All but (0, 1): 0 and 1 themselves are outside."""
        return (y <= 0) | (y >= 1)

    def holds(self, place: int = 0) -> str:
        """What a cell may hold, in words."""
        return "numbers between 0 and 1, without these"

    def check(self, support: Support) -> None:
        """Continuous data in (0, 1) only."""
        _needs_unit(self, support)


def _needs_unit(likelihood: Likelihood, support: Support) -> None:
    if support.kind != "unit":
        raise refuse(likelihood, "a density of continuous data in [0, 1]", support, alternatives(support))


def _needs_open_unit(likelihood: Likelihood, y: Tensor) -> None:
    ends = ((y <= 0) | (y >= 1)).double().mean().item()
    if ends:
        raise InputError(
            f"A {type(likelihood).__name__} likelihood is a density on (0, 1), and {ends:.2%} of the training values "
            f"are exactly 0 or 1 or lie outside: take likelihoods.TruncatedNormal or likelihoods.ContinuousBernoulli, "
            f"or dequantise data on a grid."
        )
