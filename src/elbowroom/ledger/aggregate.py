"""The aggregate posterior q(z) = E_x q(z | x) beside the prior: KL(q(z) ‖ p(z)) from both sides, and I(x; z)."""

import copy
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from elbowroom.data import Dataset, Examples
from elbowroom.numerics import CapabilityError, count, derived_seed, narrow_seed, with_error
from elbowroom.records import InformationRecord, Number, PriorGapRecord
from elbowroom.vae import VAE, VAETarget

__all__ = ["Aggregate", "AggregateBudget", "aggregate", "chosen", "of_x_alone"]

_DRAWN = 0xA66  # a stream of its own
_COMPONENTS = (1, 2, 4, 8, 16, 32)
_FULL = 200  # latent dimensions up to which a covariance has enough draws
_RIDGE = 1e-4  # of the variance of every dimension
_NONE = "no mixture of Gaussians comes nearer than the prior"
_AT_ONCE = 2**24  # numbers of a pass over pairs


class AggregateBudget(NamedTuple):
    """How much is spent on q(z).

    Attributes
    ----------
    fitted, choosing : int
        Draws of z, of as many training and validation examples, that fit a density and choose its components.
    told : int
        Test examples whose z is told among others.
    among : int
        How many those are: test examples, their own included.
    pairs : int
        Numbers of all pairs; fewer examples where latents are many.
    components : int
        At most, of the fitted density.
    """

    fitted: int
    choosing: int
    told: int
    among: int
    pairs: int
    components: int


class Aggregate(NamedTuple):
    """What was found about q(z).

    Attributes
    ----------
    gap : PriorGapRecord
        KL(q(z) ‖ p(z)).
    information : InformationRecord
        I(x; z).
    """

    gap: PriorGapRecord
    information: InformationRecord


@torch.no_grad()
def aggregate(vae: VAE, data: Dataset, budget: AggregateBudget, *, seed: int) -> Aggregate:
    """KL(q(z) ‖ p(z)) as an interval, and I(x; z), in nats.

    Parameters
    ----------
    vae : VAE
        The model.
    data : Dataset
        Training draws fit a density of z and validation draws choose its components; both numbers are of test draws.
    budget : AggregateBudget
        How many.
    seed : int
        Of all noise, and of which examples are taken.

    Returns
    -------
    Aggregate
        The two.

    Raises
    ------
    CapabilityError
        Where z has no density on the real line, or the prior is another for every example.

    Notes
    -----
    The low end is E_q[log r(z) − log p(z)] = KL(q(z) ‖ p(z)) − KL(q(z) ‖ r) of a Gaussian mixture r, on draws that it
    has not seen. The high end puts q̂(z) = mean of q(z | x_j) over n examples, z's own among them, in the place of r:
    its mean is at least KL(q(z) ‖ p(z)), and R − log n at least.

    References
    ----------
    Hoffman & Johnson, "ELBO surgery: yet another way to carve up the variational evidence lower bound" (2016).
    Poole, Ozair, van den Oord, Alemi & Tucker, "On variational bounds of mutual information" (2019).
    """
    own = _one_prior(vae)
    train, validation, test = (
        own.target(chosen(part, n, seed), seed=seed)
        for part, n in ((data.train, budget.fitted), (data.validation, budget.choosing), (data.test, budget.among))
    )
    key = derived_seed(seed, _DRAWN)
    fitted, choosing, told = (target.draw_posterior(1, key)[0][0] for target in (train, validation, test))
    log_p = _log_prior(test, told)
    log_r, density = _fitted(fitted, choosing, told, _log_prior(validation, choosing), log_p, budget.components, seed)
    among = max(1, min(len(told), budget.pairs // (told.shape[1] * min(budget.told, len(told)))))
    some = test.rows(slice(0, among))
    own_log_q, log_q = _told(some, told[: min(budget.told, among)])
    information = _number(own_log_q - log_q)
    high = _number(log_q - log_p[: len(log_q)])
    told_apart = InformationRecord(information, math.log(among), among)
    return Aggregate(_interval(_number(log_r - log_p), high, told_apart, density, len(told)), told_apart)


def chosen(examples: Examples, n: int, seed: int) -> Examples:
    """So many examples, or all, in an order that the seed says.

    Parameters
    ----------
    examples : Examples
        A part of a data set.
    n : int
        How many at most.
    seed : int
        Of the order.

    Returns
    -------
    Examples
        Some of them.
    """
    return examples[torch.randperm(len(examples), generator=torch.Generator().manual_seed(seed))[:n]]


def of_x_alone(examples: Examples) -> Examples:
    """The same examples as if no latent block were known of any, so that every number of them is of log p(x).

    Two parts of data, or a model and a classic, are compared by this: log p(x, y) counts what the known y cost.

    Parameters
    ----------
    examples : Examples
        A part of a data set.

    Returns
    -------
    Examples
        All of them.
    """
    other = copy.copy(examples)
    other.observed = {}
    return other


def _one_prior(vae: VAE) -> VAE:
    """The model, where all its z have one density on the real line."""
    read = {name for block in vae.prior.values() for name in block.given if name not in vae.prior}
    if read:
        raise CapabilityError(
            f"p(z) reads the context {min(read)!r}, so that there is no one prior that the latents of all examples "
            f"could be held against"
        )
    other = [name for name, block in vae.posterior.items() if block.over != "real numbers"]
    if other:
        raise CapabilityError(
            f"block {other[0]!r} is over {vae.posterior[other[0]].over}, and the densities that are fitted to z are "
            f"over real numbers"
        )
    return vae


def _log_prior(target: VAETarget, z: Tensor) -> NDArray[np.float64]:
    return _numpy(target.log_prior(z.unsqueeze(0))[0])


def _numpy(values: Tensor) -> NDArray[np.float64]:
    return values.double().cpu().numpy()


def _number(values: NDArray[np.float64]) -> Number:
    n = len(values)
    return Number(float(values.mean()), float(values.std(ddof=1) / math.sqrt(n)) if n > 1 else None, n)


def _told(target: VAETarget, z: Float[Tensor, "told dim"]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """log q(z_i | x_i), and log of the mean of q(z_i | x_j) over all examples, for each of the first z."""
    n = len(target.index)
    step = max(1, _AT_ONCE // (n * z.shape[1]))
    own, mean = [], []
    for start in range(0, len(z), step):
        part = z[start : start + step]
        log_q = _numpy(target.log_posterior(part.unsqueeze(1).expand(-1, n, -1)))
        own.append(log_q[np.arange(len(part)), start + np.arange(len(part))])
        mean.append(np.logaddexp.reduce(log_q, 1) - math.log(n))
    return np.concatenate(own), np.concatenate(mean)


def _fitted(
    fitted: Tensor,
    choosing: Tensor,
    told: Tensor,
    log_p_choosing: NDArray[np.float64],
    log_p: NDArray[np.float64],
    most: int,
    seed: int,
) -> tuple[NDArray[np.float64], str]:
    """log r(z) of the density that validation draws prefer, and what it is; the prior itself is among them."""
    best, log_r, words = float(log_p_choosing.mean()), log_p, _NONE
    rows, others, held_out = (_numpy(part) for part in (fitted, choosing, told))
    scale = rows.std(0) + 1e-12
    for mixture, name in _mixtures(rows / scale, others / scale, most, seed):
        score = float(mixture.score_samples(others / scale).mean() - np.log(scale).sum())
        if score > best:
            best, words = score, name
            log_r = mixture.score_samples(held_out / scale) - np.log(scale).sum()
    return log_r, words


def _mixtures(rows: NDArray[Any], others: NDArray[Any], most: int, seed: int) -> Iterator[tuple[Any, str]]:
    """Gaussian mixtures of more and more components, as long as the last was better than the one before."""
    from sklearn.mixture import GaussianMixture

    covariance = "full" if rows.shape[1] <= min(_FULL, len(rows) // 4) else "diag"
    before = -math.inf
    for components in _COMPONENTS:
        if components > min(most, len(rows) // 20 or 1):
            return
        mixture = GaussianMixture(
            components, covariance_type=covariance, reg_covar=_RIDGE, random_state=narrow_seed(seed)
        )
        score = float(mixture.fit(rows).score(others))
        words = f"mixture of {count(components, 'Gaussian')}" if components > 1 else "Gaussian"
        yield mixture, f"{words} with {'full' if covariance == 'full' else 'diagonal'} covariance"
        if score < before:
            return
        before = score


def _interval(low: Number, high: Number, information: InformationRecord, density: str, n: int) -> PriorGapRecord:
    """The two ends, and what they rest on in words."""
    low, high = (Number(max(one.value, 0.0), one.se) for one in (low, high))
    by = f": {density}" if density == _NONE else f", by a {density} fitted to training draws"
    said = f"At least {with_error(low.value, low.se)} nats{by}"
    if information.saturated:
        return PriorGapRecord(
            low,
            None,
            density,
            n,
            f"{said}; no upper end, as the latents tell {information.n:,} examples apart: what they say of x exceeds "
            f"log {information.n:,} = {information.ceiling:.1f} nats, and only the lower end informs.",
        )
    crossed = " The two ends cross, as their errors let them." if low.value > high.value else ""
    said += f"; at most {with_error(high.value, high.se)}, the rate minus what z says about x.{crossed}"
    return PriorGapRecord(low, high, density, n, said)
