"""The IWAE-K bound for growing K, from one set of draws."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import Estimate, InputError, own_modes, plain_arguments
from elbowroom.vae import VAE

from .log_means import by_iwae, log_means
from .memory import MEMORY, Memory
from .target import Target

__all__ = ["IwaeCurve", "iwae_curve"]


@dataclass(frozen=True)
class IwaeCurve:
    """The importance-weighted bound for several numbers of draws K, from `iwae_curve`.

    Printed: a line per K.

    Parameters
    ----------
    draws : tuple of int
        Each K, ascending.
    estimates : tuple of Estimate
        The bound at each K, [n], in nats. All use the same draws, so a difference of two of them has a smaller error
        than subtracting them says.
    """

    draws: tuple[int, ...]
    estimates: tuple[Estimate, ...]

    @property
    def khat(self) -> NDArray[np.float64]:
        """Pareto shape of each example's importance weights over all draws, [n]; NaN from fewer than 25 draws."""
        khat = self.estimates[-1].khat
        assert khat is not None
        return khat

    def __str__(self) -> str:
        return "\n".join(str(estimate) for estimate in self.estimates)

    __repr__ = __str__


@own_modes
@plain_arguments
def iwae_curve(
    model: VAE | Target,
    examples: Any = None,
    *,
    draws: int | Sequence[int] = 5000,
    seed: int = 0,
    memory: Memory = MEMORY,
    progress: bool = False,
) -> IwaeCurve:
    """The importance-weighted bound on log p(x) for growing numbers of draws K, in nats, from one set of draws.

    Where the curve is still rising at its end, log p(x) lies well above it: take more draws, or `ais`.

    Parameters
    ----------
    model : VAE or Target
        The model. A VAE needs `examples`; a `Target`, any other model, brings its own.
    examples : array, tensor, DataFrame, Batch or part of a data set, default None
        The x to estimate for, one row per example, [n, *event], on the scale of the data that the VAE was trained on.
        Required for a VAE; left out for a Target.
    draws : int or sequence of int, default 5000
        Draws of z from q(z | x) per example, K then taking divisors of it about √10 apart; or the K themselves, each of
        which divides the greatest.
    seed : int, default 0
        Seed of all noise. An example's noise depends on the seed and its place in the data set only, so results do not
        depend on how examples are batched.
    memory : int or str, default "1 GiB"
        How much memory a pass through the model may take: bytes, or words such as "500 MB". Results do not depend on it
        beyond rounding.
    progress : bool, default False
        Whether to show progress on standard error.

    Returns
    -------
    IwaeCurve
        `draws`, each K, and `estimates`, the bound at each: Estimates [n], in nats, direction "lower".

    Raises
    ------
    InputError
        If there are no examples, a setting is out of range, or `memory` does not hold one example.

    Notes
    -----
    At each K the estimate is the mean over the disjoint blocks of K draws, so it is unbiased for that K's bound. Its
    Monte-Carlo variance is that of the mean over blocks; from a single block, the jackknife's as for `iwae`.

    References
    ----------
    Burda, Grosse & Salakhutdinov, "Importance weighted autoencoders" (2016).

    Examples
    --------
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
        return (draws,)  # refused with the message that all estimators give
    divisors = [k for k in range(1, draws + 1) if draws % k == 0]
    targets = [draws / 10 ** (i / 2) for i in range(2 * len(str(draws)))]
    return tuple(sorted({min(divisors, key=lambda k: abs(math.log(k / target))) for target in targets} | {1, draws}))
