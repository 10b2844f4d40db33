"""Symptoms of the noise: what another scale would win, and what residuals have in common."""

import dataclasses
import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from torch import Tensor
from torch.distributions import Distribution, Independent, Laplace, Normal

from elbowroom.data import Dataset, Examples
from elbowroom.distributions import require, simulate
from elbowroom.distributions.columns import Columns
from elbowroom.numerics import InputError, Rows, derived_seed, in_parts
from elbowroom.records import Number
from elbowroom.remedies import calibrate
from elbowroom.vae import VAE
from elbowroom.vae.evaluating import evaluating

from .symptoms_of_posterior import mean_and_error

__all__ = ["noise_gain", "residuals"]

Array = NDArray[np.float64]
_SMALL = 1e-12
_RANKS, _DRAWN = 0x2A9, 99  # of p(x | z), among which x is ranked
_FEWEST = 20  # rows from which a covariance says anything


def noise_gain(vae: VAE, data: Dataset, train: Examples, test: Examples, draws: int, seed: int) -> tuple[Number, float]:
    """What the best noise scale or temperature wins of the ELBO, in nats, and that number in units of the model's.

    Parameters
    ----------
    vae : VAE
        With the best q of these examples, as a q that is wrong asks for more noise.
    data : Dataset
        What they are of.
    train, test : Examples
        Those that choose, and those that tell.
    draws : int
        Of z, per example.
    seed : int
        Keys all noise.

    Returns
    -------
    tuple of Number and float
        The gain, and the factor.

    Raises
    ------
    CapabilityError
        Where the noise has no one number.
    """
    found = calibrate(vae, dataclasses.replace(data, train=train, validation=test), draws=draws, seed=seed)
    won = found.elbo_after - found.elbo_before
    likelihood: Any = vae.likelihood
    before = 1.0 if found.what == "temperature" else likelihood.common_scale().detach().mean().item()
    return Number(won.mean, won.se_total, len(won)), found.value / before


def residuals(vae: VAE, train: Rows, test: Rows, seed: int) -> tuple[Number, Number]:
    """What correlated noise would win over independent noise, and the greatest eigenvalue in units of the noise.

    Parameters
    ----------
    vae : VAE
        With the best q of these examples.
    train, test : Rows
        These examples.
    seed : int
        Keys the draws of q.

    Returns
    -------
    tuple of Number
        Nats per example that a Gaussian copula, fitted to the ranks of training residuals with a shrunk covariance
        (Ledoit & Wolf), gains on those of test over independent elements of the same margins; and the eigenvalue.
        Where residuals are no normal or Laplace ones, ranks are those of x among draws of p(x | z).

    Raises
    ------
    CapabilityError
        Where p(x | z) has no mean or variance.
    InputError
        Where p(x | z) does not factorise, cells are missing, or columns are more than the examples that a covariance
        would be fitted to.
    """
    (one, ranked), (other, judged) = (_whitened(vae, rows, seed) for rows in (train, test))
    varies = one.std(0) > math.sqrt(_SMALL)
    if min(len(one), len(other)) < _FEWEST or varies.sum() < 2:
        raise InputError("Residuals say something of one another from 20 examples and two columns that vary.")
    if varies.sum() > len(one):
        raise InputError(
            f"{len(one):,} examples say nothing that is sure of what the residuals of {varies.sum():,} columns share: "
            f"remedies.structured_residual, fitted to all training examples, says what correlated noise wins."
        )
    greatest = float(np.linalg.eigvalsh(np.cov(other[:, varies].T))[-1])
    share = Number(greatest, greatest * math.sqrt(2 / len(other)))
    return mean_and_error(_gain(ranked[:, varies], judged[:, varies])), share


def _gain(fitted: Array, judged: Array) -> Array:
    """log of a Gaussian copula's density of each judged row: what columns say of one another, margins apart."""
    from sklearn.covariance import LedoitWolf

    u, v = _scores(fitted, fitted), _scores(fitted, judged)
    covariance = LedoitWolf(assume_centered=True).fit(u / u.std(0)).covariance_
    scale = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(scale, scale)
    squares = (v * np.linalg.solve(correlation, v.T).T).sum(1)
    return np.asarray(0.5 * (np.square(v).sum(1) - squares - np.linalg.slogdet(correlation)[1]))


def _scores(fitted: Array, judged: Array) -> Array:
    """Normal scores of the judged rows by their ranks among the fitted ones, column by column."""
    found = np.empty_like(judged)
    for column, (own, other) in enumerate(zip(fitted.T, judged.T, strict=True)):
        ordered = np.sort(own)
        rank = 0.5 * (np.searchsorted(ordered, other) + np.searchsorted(ordered, other, "right"))
        found[:, column] = ndtri((rank + 0.5) / (len(own) + 1))
    return found


@torch.no_grad()
def _whitened(vae: VAE, rows: Rows, seed: int) -> tuple[Array, Array]:
    """(y − mean) / deviation of p(x | z) at one draw of q for each example, and what of it is ranked: [n, elements]."""
    found: list[tuple[Tensor, Tensor]] = []
    with evaluating(vae):
        for first, part in enumerate(in_parts(rows)):
            terms = vae(part, vae.keyed_noise(1, part.index, seed), lay_out=False)
            if terms.seen is not None:
                raise InputError("Residuals of examples with missing cells are not compared.")
            for name in ("mean", "variance"):
                require(terms.p_x, name)
            if not _factorises(terms.p_x):
                raise InputError("The noise of p(x | z) lets elements depend on one another already.")
            left = (terms.y - terms.p_x.mean) / terms.p_x.variance.sqrt().clamp_min(_SMALL)
            generator = torch.Generator(vae.device).manual_seed(derived_seed(derived_seed(seed, _RANKS), first))
            ranked = left if _same_shape(terms.p_x) else _ranks(terms.p_x, terms.y, generator)
            found.append((left[0].flatten(1).double().cpu(), ranked[0].flatten(1).double().cpu()))
    left, ranked = (torch.cat(one).numpy() for one in zip(*found, strict=True))
    return left, ranked


def _factorises(p: Distribution) -> bool:
    if isinstance(p, Columns):
        return all(_factorises(group) for group in p.groups)
    return isinstance(p, Independent) and not p.base_dist.event_shape


def _same_shape(p: Distribution) -> bool:
    """Whether what stands over its deviation has one law for every z, so that it can be ranked among examples."""
    if isinstance(p, Columns):
        return all(_same_shape(group) for group in p.groups)
    return isinstance(p, Independent) and isinstance(p.base_dist, Normal | Laplace)


def _ranks(p: Distribution, y: Tensor, generator: torch.Generator) -> Tensor:
    """The share of p below each element, by draws, with ties drawn apart: uniform and independent under p for every z.

    So p(x | z) times a copula of them is a density, or a mass, of x again, and no mass wins more than it has.
    """
    below, among = torch.zeros_like(y), torch.zeros_like(y)
    for _ in range(_DRAWN):
        drawn = simulate(p, generator)
        below, among = below + (drawn < y), among + (drawn == y)
    apart = torch.rand(y.shape, generator=generator, device=y.device, dtype=y.dtype)
    return (below + apart * (among + 1)) / (_DRAWN + 1)
