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
    """Independent continuous Bernoullis on [0, 1]: the network returns one logit per element.

    What a Bernoulli on grey levels is with its normaliser. Its spread is tied to its mean (at most 1 / √12), so it
    cannot say that it is sure of a grey level between. Source: Loaiza-Ganem & Cunningham, "The continuous
    Bernoulli", 2019.

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

    def check(self, support: Support) -> None:
        """Continuous data in [0, 1] only."""
        _needs_unit(self, support)


@described("beta")
class Beta(Likelihood):
    """Independent Betas on (0, 1): the network returns the logs of both concentrations, smoothly held within ±9.

    >>> p = Beta(nn.Linear(2, 6), 3)
    >>> p({"z": torch.zeros(1, 4, 2)}).event_shape
    torch.Size([3])
    """

    parts = 2
    typical = 0.5

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

    def check(self, support: Support) -> None:
        """Continuous data in (0, 1) only."""
        _needs_unit(self, support)


@described("truncated-normal")
class TruncatedNormal(Scaled):
    """Independent normals given that they lie in [low, high]: the network returns the location, which is unbounded.

    For `scale`, see `Scaled`. With a large scale and a location far outside it nears the continuous Bernoulli.

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

    def check(self, support: Support) -> None:
        """Continuous data in [low, high] only; for bounds other than 0 and 1, `settle` looks at the data."""
        if (self.low, self.high) != (0.0, 1.0) and support.kind == "real":
            return
        _needs_unit(self, support)


@described("logit-normal")
class LogitNormal(Scaled):
    """Independent logit-normals on (0, 1): the network returns the location of logit x.

    The scale is that of logit x too; see `Scaled`. Source: Atchison & Shen, "Logistic-normal distributions", 1980.

    >>> p = LogitNormal(nn.Linear(2, 3), 3, scale=1.0)
    >>> p({"z": torch.zeros(1, 4, 2)}).event_shape
    torch.Size([3])
    """

    typical = 0.5

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
