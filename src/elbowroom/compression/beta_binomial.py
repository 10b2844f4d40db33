"""Masses, log-probabilities and their slopes of beta-binomial levels, the same on every machine."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from elbowroom.likelihoods.beta_binomial import LEAST_LOG, MOST_LOG

from .masses import LOG_UNITS, Below, Whole
from .portable import Array, exp, log

__all__ = ["levels_below", "log_masses", "slopes"]

_FAR = 6
_LEAST_POWER = -600
_STIRLING = (-1 / 1680, 1 / 1260, -1 / 360, 1 / 12)  # of log Γ in 1 / x, from the seventh power down
_HARMONIC = (1 / 240, -1 / 252, 1 / 120, -1 / 12)  # of ψ in 1 / x², from the eighth power down
_HALF_LOG_TAU = 0.9189385332046727


def levels_below(levels: int) -> Callable[[Array, Whole], Below]:
    """What lies below levels, from log α and log β of cells [cells, 2].

    The ratio of neighbouring probabilities is a quotient of whole numbers and concentrations; their products are kept
    as shares and powers of two, as they leave the range of floats.
    """

    def of(raw: Array, _: Whole) -> Below:
        one, zero = (exp(np.clip(raw[:, part], LEAST_LOG, MOST_LOG)) for part in (0, 1))
        share, power = np.ones(len(raw)), np.zeros(len(raw), np.int32)
        shares, powers = [share], [power]
        for k in range(levels - 1):
            share, moved = np.frexp(share * ((levels - 1 - k) / (k + 1) * (k + one) / (levels - 2 - k + zero)))
            power = power + moved
            shares.append(share)
            powers.append(power)
        lower = np.maximum(np.stack(powers) - np.max(powers, axis=0), _LEAST_POWER)
        weights = np.where(lower > _LEAST_POWER, np.ldexp(np.stack(shares), lower), 0.0)
        below = np.concatenate([np.zeros((1, len(raw))), np.add.accumulate(weights, axis=0)]).T
        return lambda places: np.take_along_axis(below, places, 1)

    return of


def log_masses(whole: Whole, raw: Array, levels: int) -> Whole:
    """log p of levels [n, D] in whole units of 2⁻²⁰ nats, from [n, 2, D]: weights of draws need no sums over levels."""
    one, zero = (exp(np.clip(raw[:, part], LEAST_LOG, MOST_LOG)) for part in (0, 1))
    k, n = whole.astype(np.float64), float(levels - 1)
    factorials = np.concatenate([[0.0], np.add.accumulate(log(np.arange(1.0, levels)))])
    ways = factorials[-1] - factorials[whole] - factorials[levels - 1 - whole]
    both = one + zero
    up, down = _log_gamma(k + one) - _log_gamma(one), _log_gamma(n - k + zero) - _log_gamma(zero)
    return np.rint((ways + up + down - (_log_gamma(n + both) - _log_gamma(both))) * LOG_UNITS).astype(np.int64)


def slopes(levels: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Of log p(x | z) by what the network returned [n, 2 D], log α of all and then log β, given levels x [n, D]."""
    n = float(levels - 1)

    def of(out: Tensor, x: Tensor) -> Tensor:
        logs, k = out.numpy(), x.numpy()
        one, zero = np.split(exp(np.clip(logs, LEAST_LOG, MOST_LOG)), 2, 1)
        both = one + zero
        all_far, all_rest = _digamma(both)
        most_far, most_rest = _digamma(n + both)
        found = []
        for own, seen in ((one, k + one), (zero, n - k + zero)):
            (own_far, own_rest), (seen_far, seen_rest) = _digamma(own), _digamma(seen)
            logarithm = log((seen_far / own_far) * (all_far / most_far))
            found.append(own * (logarithm - ((seen_rest - own_rest) + (all_rest - most_rest))))
        return torch.from_numpy(np.where((logs < LEAST_LOG) | (logs > MOST_LOG), 0.0, np.concatenate(found, 1)))

    return of


def _log_gamma(x: Array) -> Array:
    far, product = x + _FAR, x.copy()
    for passed in range(1, _FAR):
        product *= x + passed
    inverse = 1.0 / far
    square, series = inverse * inverse, np.full_like(x, _STIRLING[0])
    for term in _STIRLING[1:]:
        series = series * square + term
    return (far - 0.5) * log(far) - far + _HALF_LOG_TAU + series * inverse - log(product)


def _digamma(x: Array) -> tuple[Array, Array]:
    """What ψ(x) is the logarithm of but for a rest, and the rest."""
    far, rest = x + _FAR, np.zeros_like(x)
    for passed in range(_FAR):
        rest += 1.0 / (x + passed)
    inverse = 1.0 / far
    square, series = inverse * inverse, np.full_like(x, _HARMONIC[0])
    for term in _HARMONIC[1:]:
        series = series * square + term
    return far, rest + 0.5 * inverse - series * square
