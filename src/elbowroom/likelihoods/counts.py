"""Likelihoods of counts."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from elbowroom.distributions import NegativeBinomial as NegativeBinomialDistribution
from elbowroom.distributions import Poisson as PoissonDistribution
from elbowroom.distributions import ZeroInflatedNegativeBinomial as ZeroInflatedDistribution
from elbowroom.numerics import Given, Support, one_of
from elbowroom.recipes import described

from .likelihood import Likelihood, not_whole_from_0, refuse
from .links import bounded

__all__ = ["NegativeBinomial", "Poisson", "ZeroInflatedNegativeBinomial"]

Dispersion = Literal["feature", "predicted"]
"""One learned per element; a function of z."""

_MOST_LOG_RATIO = 20.0
_LEAST_MEAN, _LEAST_DISPERSION, _MOST_DISPERSION = 1e-3, 1e-2, 1e3


class _Counts(Likelihood):
    """Counts whose mean is the training mean of the element × exp(the network's number) × the size factor.

    The number is smoothly bounded to ±20.
    """

    base: Tensor

    def __init__(
        self,
        network: nn.Module | None,
        event: int | Sequence[int],
        size_factor: str | None,
        given: Sequence[str],
    ) -> None:
        super().__init__(event, given=given, network=network, beside=() if size_factor is None else (size_factor,))
        self.size_factor = size_factor
        self.register_buffer("base", torch.zeros(self.event))

    def log_mean(self, raw: Tensor, given: Given) -> Tensor:
        """Log of the mean count, [draws, batch, *event]."""
        log_mean = self.base + bounded(raw, _MOST_LOG_RATIO)
        if self.size_factor is None:
            return log_mean
        size = given[self.size_factor].to(raw.dtype)
        return log_mean + size.reshape(*size.shape[:2], *[1] * len(self.event)).log()

    def settle(self, y: Tensor, step: float | None, latents: int) -> list[str]:
        """Settle the means where the network's numbers are 0: those of the training data y [n, *event]."""
        mean = y.double().mean(0)
        self.base.copy_(mean.clamp_min(_LEAST_MEAN).log())
        return [
            f"{type(self).__name__}: means start at those of the training data, {mean.mean().item():.3g} on average."
        ]

    def outside(self, y: Tensor) -> Tensor:
        """All but whole numbers from 0."""
        return not_whole_from_0(y)

    def holds(self, place: int = 0) -> str:
        """What a cell may hold, in words."""
        return "the counts 0, 1, 2, …"

    def check(self, support: Support) -> None:
        """Counts only."""
        if support.kind not in ("counts", "grid", "binary"):
            way_out = "take likelihoods.Normal for continuous data, likelihoods.Categorical for categories"
            raise refuse(self, "a probability of the counts 0, 1, 2, …", support, way_out)


class _Dispersed(_Counts):
    """Counts with a dispersion r: variance = mean + mean² / r; log r is smoothly bounded to ±20."""

    dispersion_base: Tensor

    def __init__(
        self,
        network: nn.Module | None,
        event: int | Sequence[int],
        dispersion: str,
        size_factor: str | None,
        given: Sequence[str],
    ) -> None:
        super().__init__(network, event, size_factor, given)
        one_of("dispersion", dispersion, ("feature", "predicted"))
        self.dispersion = dispersion
        self.parts = type(self).parts + (dispersion == "predicted")
        self.register_buffer("dispersion_base", torch.zeros(self.event))
        if dispersion == "feature":
            self.raw_dispersion = nn.Parameter(torch.zeros(self.event))

    def log_dispersion(self, raw: tuple[Tensor, ...]) -> Tensor:
        """log r; where it is predicted, from the network's second number."""
        number = raw[1] if self.dispersion == "predicted" else self.raw_dispersion
        return bounded(self.dispersion_base + number, _MOST_LOG_RATIO)

    def settle(self, y: Tensor, step: float | None, latents: int) -> list[str]:
        """Settle where means and dispersions start: at those of the training data."""
        notes = super().settle(y, step, latents)
        mean, variance = y.double().mean(0), y.double().var(0, correction=0)
        r = mean**2 / (variance - mean).clamp_min(1e-12)
        self.dispersion_base.copy_(r.clamp(_LEAST_DISPERSION, _MOST_DISPERSION).log())
        return notes


@described("poisson")
class Poisson(_Counts):
    """Independent Poissons, for counts.

    Parameters
    ----------
    network : nn.Module or None
        Reads the tensors named in `given` and returns 1 number per element, log(mean / training mean), which is
        smoothly bounded to ±20. None where another likelihood brings the network (`Mixed`, `Autoregressive`).
    event : int or sequence of int
        Shape of one x, as preprocessed; a number n stands for (n,).
    size_factor : str or None, default None
        Name in the context of one positive number per example that multiplies the mean (its exposure: library size,
        reading time), on the scale where the average example has 1; the network does not read it. None: 1 for all.
    given : sequence of str, default ("z",)
        Names of the tensors that the network reads, in the order of its arguments: latent blocks and contexts.

    Examples
    --------
    >>> p = Poisson(nn.Linear(2, 3), 3, size_factor="exposure")
    >>> given = {"z": torch.zeros(1, 4, 2), "exposure": torch.ones(1, 4)}
    >>> p(given).event_shape, p.given
    (torch.Size([3]), ('z', 'exposure'))
    """

    def __init__(
        self,
        network: nn.Module | None,
        event: int | Sequence[int],
        *,
        size_factor: str | None = None,
        given: Sequence[str] = ("z",),
    ) -> None:
        super().__init__(network, event, size_factor, given)

    def distribution(self, raw: tuple[Tensor, ...], given: Given) -> Distribution:
        """p(x | z) with batch shape [draws, batch]."""
        return Independent(PoissonDistribution(self.log_mean(raw[0], given)), len(self.event), False)


@described("negative-binomial")
class NegativeBinomial(_Dispersed):
    """Independent negative binomials, for counts whose variance exceeds their mean.

    Parameters
    ----------
    network : nn.Module or None
        Reads the tensors named in `given` and returns 1 number per element, log(mean / training mean), which is
        smoothly bounded to ±20; with dispersion="predicted" 2 numbers per element, these of all elements first, then
        log(r / that of the training data). None where another likelihood brings the network (`Mixed`,
        `Autoregressive`).
    event : int or sequence of int
        Shape of one x, as preprocessed; a number n stands for (n,).
    dispersion : {"feature", "predicted"}, default "feature"
        The r of variance = mean + mean² / r: one learned per element, or a function of z. log r is smoothly bounded to
        ±20.
    size_factor : str or None, default None
        Name in the context of one positive number per example that multiplies the mean (its exposure: library size,
        reading time), on the scale where the average example has 1; the network does not read it. None: 1 for all.
    given : sequence of str, default ("z",)
        Names of the tensors that the network reads, in the order of its arguments: latent blocks and contexts.

    Raises
    ------
    InputError
        For another word.

    References
    ----------
    Lopez et al., "Deep generative modeling for single-cell transcriptomics" (2018).

    Examples
    --------
    >>> p = NegativeBinomial(nn.Linear(2, 6), 3, dispersion="predicted")
    >>> p({"z": torch.zeros(1, 4, 2)}).event_shape
    torch.Size([3])
    """

    def __init__(
        self,
        network: nn.Module | None,
        event: int | Sequence[int],
        *,
        dispersion: Dispersion = "feature",
        size_factor: str | None = None,
        given: Sequence[str] = ("z",),
    ) -> None:
        super().__init__(network, event, dispersion, size_factor, given)

    def distribution(self, raw: tuple[Tensor, ...], given: Given) -> Distribution:
        """p(x | z) with batch shape [draws, batch]."""
        family = NegativeBinomialDistribution(self.log_mean(raw[0], given), self.log_dispersion(raw))
        return Independent(family, len(self.event), False)


@described("zero-inflated-negative-binomial")
class ZeroInflatedNegativeBinomial(_Dispersed):
    """Independent negative binomials with extra zeros, for counts with more zeros than a negative binomial has.

    Parameters
    ----------
    network : nn.Module or None
        Reads the tensors named in `given` and returns 2 numbers per element: log(mean / training mean) of all elements
        first, which is smoothly bounded to ±20, then the logits of an extra zero. With dispersion="predicted" 3, with
        log(r / that of the training data) between the two. None where another likelihood brings the network (`Mixed`,
        `Autoregressive`).
    event : int or sequence of int
        Shape of one x, as preprocessed; a number n stands for (n,).
    dispersion : {"feature", "predicted"}, default "feature"
        The r of variance = mean + mean² / r: one learned per element, or a function of z. log r is smoothly bounded to
        ±20.
    size_factor : str or None, default None
        Name in the context of one positive number per example that multiplies the mean (its exposure: library size,
        reading time), on the scale where the average example has 1; the network does not read it. None: 1 for all.
    given : sequence of str, default ("z",)
        Names of the tensors that the network reads, in the order of its arguments: latent blocks and contexts.

    Raises
    ------
    InputError
        For another word.

    References
    ----------
    Lopez et al., "Deep generative modeling for single-cell transcriptomics" (2018).

    Examples
    --------
    >>> p = ZeroInflatedNegativeBinomial(nn.Linear(2, 6), 3)
    >>> p.parts, p({"z": torch.zeros(1, 4, 2)}).event_shape
    (2, torch.Size([3]))
    """

    parts = 2

    def __init__(
        self,
        network: nn.Module | None,
        event: int | Sequence[int],
        *,
        dispersion: Dispersion = "feature",
        size_factor: str | None = None,
        given: Sequence[str] = ("z",),
    ) -> None:
        super().__init__(network, event, dispersion, size_factor, given)

    def distribution(self, raw: tuple[Tensor, ...], given: Given) -> Distribution:
        """p(x | z) with batch shape [draws, batch]."""
        family = ZeroInflatedDistribution(self.log_mean(raw[0], given), self.log_dispersion(raw), raw[-1])
        return Independent(family, len(self.event), False)
