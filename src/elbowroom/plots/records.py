"""What plots read of a record, whoever saved it: protocols, and small records for numbers that come from elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BoundCurve", "Epochs", "Measured", "Model", "PointOfPlane", "Rates", "Residuals", "Split", "Units", "Value",
]  # fmt: skip


@runtime_checkable
class Measured(Protocol):
    """A mean with its standard error from draws and examples together, as an Estimate has them."""

    @property
    def mean(self) -> float:
        """The mean."""

    @property
    def se_total(self) -> float:
        """Its standard error."""


@runtime_checkable
class PointOfPlane(Protocol):
    """A model of a sweep, as `er.sweep` hands it out: its label, rate and distortion."""

    @property
    def label(self) -> str:
        """What people call it."""

    @property
    def rate(self) -> Measured:
        """Nats per example."""

    @property
    def distortion(self) -> Measured:
        """Nats per example."""


@runtime_checkable
class Epochs(Protocol):
    """A training run, as `er.fit` hands it out (History)."""

    @property
    def rows(self) -> Sequence[Mapping[str, Any]]:
        """One mapping per epoch with "epoch", "train" and "validation"."""

    @property
    def best_epoch(self) -> int:
        """The epoch whose parameters were kept."""


@runtime_checkable
class Units(Protocol):
    """What each latent does, as `er.metrics.latent_use` hands it out (LatentUse)."""

    @property
    def kl(self) -> NDArray[np.float64] | Sequence[float] | None:
        """KL to the prior, nats; None where it is not divided among the latents."""

    @property
    def active(self) -> NDArray[np.bool_] | Sequence[bool]:
        """Whether the decoder gets something from it."""


@runtime_checkable
class Split(Protocol):
    """A model's variance, as `er.variance_budget` hands it out (VarianceBudget)."""

    data: float
    latent: float
    noise: float


@runtime_checkable
class BoundCurve(Protocol):
    """Bounds for growing numbers of draws, as `er.evidence.iwae_curve` hands them out (IwaeCurve)."""

    @property
    def draws(self) -> Sequence[int]:
        """How many."""

    @property
    def estimates(self) -> Sequence[Any]:
        """One Estimate for each."""


@runtime_checkable
class Rates(Protocol):
    """A curve in the plane, as `er.evidence.rate_distortion_curve` hands it out (RateDistortionCurve)."""

    @property
    def rates(self) -> Sequence[Measured]:
        """Nats per example."""

    @property
    def distortions(self) -> Sequence[Measured]:
        """In the unit of their estimates."""


@runtime_checkable
class Residuals(Protocol):
    """Correlations by lag, as `er.metrics.residual_correlation` hands them out (ResidualCorrelation)."""

    @property
    def by_lag(self) -> NDArray[np.float64]:
        """[2·lags + 1, 2·lags + 1]."""

    @property
    def n(self) -> int:
        """How many images."""


@dataclass(frozen=True)
class Value:
    """A mean and its standard error (NaN where unknown)."""

    mean: float
    se_total: float = float("nan")


@dataclass(frozen=True)
class Model:
    """A point of the rate–distortion plane, nats per example."""

    label: str
    rate: Measured
    distortion: Measured
