"""Likelihoods of counts."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from elbowroom.distributions import NegativeBinomial as NegativeBinomialDistribution
from elbowroom.distributions import Poisson as PoissonDistribution
from elbowroom.distributions import ZeroInflatedNegativeBinomial as ZeroInflatedDistribution
from elbowroom.numerics import Given, InputError, one_of
from elbowroom.recipes import described

from .counted import MOST_LOG_RATIO, Counted, SizeScale
from .links import bounded

__all__ = ["NegativeBinomial", "Poisson", "ZeroInflatedNegativeBinomial"]

Dispersion = Literal["feature", "feature-batch", "predicted"]
"""One learned per element; one per element and class of a context; a function of z."""

_LEAST_DISPERSION, _MOST_DISPERSION = 1e-2, 1e3


class _Dispersed(Counted):
    """Counts with a dispersion r: variance = mean + mean² / r; log r is smoothly bounded to ±20."""

    dispersion_base: Tensor

    def __init__(
        self,
        network: nn.Module | None,
        event: int | Sequence[int],
        dispersion: str,
        size_factor: str | None,
        size_scale: str,
        given: Sequence[str],
        batch: str,
        batches: int | None,
    ) -> None:
        one_of("dispersion", dispersion, ("feature", "feature-batch", "predicted"))
        by_batch = dispersion == "feature-batch"
        super().__init__(network, event, size_factor, size_scale, given, (batch,) if by_batch else ())
        if by_batch and (batches is None or batches < 1):
            raise InputError(f"dispersion='feature-batch' needs batches=, how many classes {batch!r} has.")
        self.dispersion, self.batch, self.batches = dispersion, batch, batches
        self.parts = type(self).parts + (dispersion == "predicted")
        self.register_buffer("dispersion_base", torch.zeros(self.event))
        if dispersion != "predicted":
            lead = (batches,) if by_batch and batches else ()
            self.raw_dispersion = nn.Parameter(torch.zeros(*lead, *self.event))

    def log_dispersion(self, raw: tuple[Tensor, ...], given: Given) -> Tensor:
        """log r; where it is predicted, from the network's second number."""
        number = {"predicted": lambda: raw[1], "feature-batch": lambda: self._of_batch(given[self.batch])}.get(
            self.dispersion, lambda: self.raw_dispersion
        )()
        return bounded(self.dispersion_base + number, MOST_LOG_RATIO)

    def _of_batch(self, one_hot: Tensor) -> Tensor:
        if one_hot.shape[2:] != (self.batches,):
            raise InputError(
                f"dispersion='feature-batch' reads {self.batch!r} one-hot over {self.batches} classes; got the shape "
                f"{tuple(one_hot.shape[2:])}."
            )
        return (one_hot.to(self.raw_dispersion.dtype) @ self.raw_dispersion.flatten(1)).unflatten(-1, self.event)

    def settle(self, y: Tensor, step: float | None, latents: int) -> list[str]:
        """Settle where means and dispersions start: at those of the training data."""
        notes = super().settle(y, step, latents)
        mean, variance = y.double().mean(0), y.double().var(0, correction=0)
        r = mean**2 / (variance - mean).clamp_min(1e-12)
        self.dispersion_base.copy_(r.clamp(_LEAST_DISPERSION, _MOST_DISPERSION).log())
        return notes

    def _settle_dispersion(self, y: Tensor, mean: Tensor) -> None:
        beyond = ((y.double() - mean) ** 2 - mean).mean(0)
        r = (mean**2).mean(0) / beyond.clamp_min(1e-12)
        self.dispersion_base.copy_(r.clamp(_LEAST_DISPERSION, _MOST_DISPERSION).log())


@described("poisson")
class Poisson(Counted):
    """Independent Poissons, for counts.

    Parameters
    ----------
    network : nn.Module or None
        Reads the tensors named in `given` and returns 1 number per element, log(mean / training mean), which is
        smoothly bounded to ±20. None where another likelihood brings the network (`Mixed`, `Autoregressive`).
    event : int or sequence of int
        Shape of one x, as preprocessed; a number n stands for (n,).
    size_factor : str or None, default None
        Name of one number per example that multiplies the mean (its exposure: library size, reading time): a context
        or a latent block, which the network does not read. Means start per unit of it. None: 1 for all.
    size_scale : {"linear", "log"}, default "linear"
        Whether that number is the factor, 0 or more, or its logarithm.
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
        size_scale: SizeScale = "linear",
        given: Sequence[str] = ("z",),
    ) -> None:
        super().__init__(network, event, size_factor, size_scale, given)

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
    dispersion : {"feature", "feature-batch", "predicted"}, default "feature"
        The r of variance = mean + mean² / r: one learned per element, one per element and batch, or a function of z.
        log r is smoothly bounded to ±20.
    size_factor : str or None, default None
        Name of one number per example that multiplies the mean (its exposure: library size, reading time): a context
        or a latent block, which the network does not read. Means start per unit of it. None: 1 for all.
    size_scale : {"linear", "log"}, default "linear"
        Whether that number is the factor, 0 or more, or its logarithm.
    given : sequence of str, default ("z",)
        Names of the tensors that the network reads, in the order of its arguments: latent blocks and contexts.
    batch : str, default "batch"
        With dispersion="feature-batch": the context, one-hot, whose classes have dispersions of their own.
    batches : int or None, default None
        How many classes that has; with "feature-batch" it must be said.

    Raises
    ------
    InputError
        For another word, a size factor that the network is to read too, or batches that are not said.

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
        size_scale: SizeScale = "linear",
        given: Sequence[str] = ("z",),
        batch: str = "batch",
        batches: int | None = None,
    ) -> None:
        super().__init__(network, event, dispersion, size_factor, size_scale, given, batch, batches)

    def distribution(self, raw: tuple[Tensor, ...], given: Given) -> Distribution:
        """p(x | z) with batch shape [draws, batch]."""
        family = NegativeBinomialDistribution(self.log_mean(raw[0], given), self.log_dispersion(raw, given))
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
    dispersion : {"feature", "feature-batch", "predicted"}, default "feature"
        The r of variance = mean + mean² / r: one learned per element, one per element and batch, or a function of z.
        log r is smoothly bounded to ±20.
    size_factor : str or None, default None
        Name of one number per example that multiplies the mean (its exposure: library size, reading time): a context
        or a latent block, which the network does not read. Means start per unit of it. None: 1 for all.
    size_scale : {"linear", "log"}, default "linear"
        Whether that number is the factor, 0 or more, or its logarithm.
    given : sequence of str, default ("z",)
        Names of the tensors that the network reads, in the order of its arguments: latent blocks and contexts.
    batch : str, default "batch"
        With dispersion="feature-batch": the context, one-hot, whose classes have dispersions of their own.
    batches : int or None, default None
        How many classes that has; with "feature-batch" it must be said.

    Raises
    ------
    InputError
        For another word, a size factor that the network is to read too, or batches that are not said.

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
        size_scale: SizeScale = "linear",
        given: Sequence[str] = ("z",),
        batch: str = "batch",
        batches: int | None = None,
    ) -> None:
        super().__init__(network, event, dispersion, size_factor, size_scale, given, batch, batches)

    def distribution(self, raw: tuple[Tensor, ...], given: Given) -> Distribution:
        """p(x | z) with batch shape [draws, batch]."""
        family = ZeroInflatedDistribution(self.log_mean(raw[0], given), self.log_dispersion(raw, given), raw[-1])
        return Independent(family, len(self.event), False)
