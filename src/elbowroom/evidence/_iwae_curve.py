"""The IWAE-K bound for growing K, from one set of draws."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import Estimate, InputError
from elbowroom.vae import VAE

from .log_means import by_iwae, log_means
from .memory import MEMORY, Memory
from .target import Target

__all__ = ["IwaeCurve", "iwae_curve"]


@dataclass(frozen=True)
class IwaeCurve:
    """The IWAE-K bound for several K from one set of draws: `draws`, ascending, and an Estimate for each.

    Printed: a line per K. The estimates share their draws, so the true error of a difference of two of them is below
    what subtracting them says.
    """

    draws: tuple[int, ...]
    estimates: tuple[Estimate, ...]

    @property
    def khat(self) -> NDArray[np.float64]:
        """Pareto shape of each example's importance weights, over all draws, [n]; NaN from fewer than 25."""
        khat = self.estimates[-1].khat
        assert khat is not None
        return khat

    def __str__(self) -> str:
        return "\n".join(str(estimate) for estimate in self.estimates)


def iwae_curve(
    model: VAE | Target,
    examples: Any = None,
    *,
    draws: int | Sequence[int] = 5000,
    seed: int = 0,
    memory: Memory = MEMORY,
    progress: bool = False,
) -> IwaeCurve:
    """The IWAE-K bound per example, in nats, for growing K from one set of draws.

    Each K takes the mean over the disjoint blocks of K draws, so that every number is unbiased for its own bound, and
    all see the same draws. The Monte-Carlo variance is that of the mean of blocks where there are several, else the
    jackknife's as for `iwae`.

    Parameters
    ----------
    model : VAE or Target
        A VAE with its examples, or a Target that has its own.
    examples : anything that has rows, optional
        Of the VAE: a part of a data set, a Batch, an array, a tensor or a frame [n, *event].
    draws : int or sequence of int, default 5,000
        How many, K then going up in steps of about √10; or the K themselves, each dividing the greatest.
    seed : int, default 0
        Keys all noise, by (seed, example).
    memory : int or str, default "1 GiB"
        Bytes, or words for them: a bound on what one pass holds. It changes no number beyond rounding.
    progress : bool, default False
        Whether standard error says how far it is.

    Returns
    -------
    IwaeCurve
        An Estimate for each K.

    Raises
    ------
    InputError
        Where there is nothing to measure, a setting means nothing, or the memory does not hold one example.

    Source: Burda, Grosse, Salakhutdinov, "Importance weighted autoencoders", 2016.

    >>> import torch
    >>> from elbowroom import VAE, likelihoods, posteriors, priors
    >>> vae = VAE(priors.StandardNormal(1), posteriors.DiagonalNormal(torch.nn.Linear(2, 2), 1),
    ...           likelihoods.Normal(torch.nn.Linear(1, 2), 2))
    >>> iwae_curve(vae, torch.zeros(3, 2), draws=1000).draws
    (1, 4, 10, 25, 100, 250, 1000)
    """
    sizes = _dividing(draws) if isinstance(draws, Sequence) else _steps(draws)
    estimates = log_means(model, examples, by_iwae, sizes, "IWAE-{}".format, seed, memory, progress)
    return IwaeCurve(sizes, estimates)


def _dividing(draws: Sequence[int]) -> tuple[int, ...]:
    """The K asked for, ascending, where each divides the greatest."""
    sizes = tuple(sorted(set(draws)))
    if not sizes or sizes[0] < 1 or any(sizes[-1] % k for k in sizes):
        raise InputError(f"Each K of the curve must be 1 or more and divide the greatest; got {tuple(draws)}.")
    return sizes


def _steps(draws: int) -> tuple[int, ...]:
    """Divisors of `draws` about √10 apart, 1 and `draws` among them."""
    if draws < 1:
        return (draws,)  # refused where all draws are checked
    divisors = [k for k in range(1, draws + 1) if draws % k == 0]
    targets = [draws / 10 ** (i / 2) for i in range(2 * len(str(draws)))]
    return tuple(sorted({min(divisors, key=lambda k: abs(math.log(k / target))) for target in targets} | {1, draws}))
