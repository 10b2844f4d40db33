"""Functions whose last bit is the same on every machine: only +, −, ×, ÷ of 64-bit floats, in one order.

Mathematical libraries disagree in the last bit of exp and log, and one bit of a mass is enough for a file that does not
decode. IEEE 754 leaves no choice in the four operations and in rounding, NumPy does one of them at a time, and nothing
here sums in an order that a library could choose.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "exp",
    "log",
    "log_rising",
    "normal_below",
    "normal_quantile",
    "sigmoid",
    "softplus",
    "tanh",
]

Array = NDArray[np.float64]

_LOG2_E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # the first has 21 zero bits at its end
_LEAST_EXPONENT, _MOST_EXPONENT = -600.0, 600.0  # where nothing is subnormal, so that flushing to 0 changes nothing
_EXP_TERMS = tuple(1.0 / f for f in (479001600, 39916800, 3628800, 362880, 40320, 5040, 720, 120, 24, 6, 2, 1, 1))
_ATANH_TERMS = tuple(1.0 / k for k in range(39, 0, -2))
# (1 + 2 x) exp(x²) erfc(x) in powers of (x − 4) / (x + 4): interpolated at Chebyshev's nodes with 50 digits
_ERFCX_TERMS = (
    -7.2254063057956135e-09, -7.699101189697329e-09, 9.417723720342785e-08, 5.0511969022145394e-08,
    -8.047794759057995e-07, 3.2578206723686485e-07, 5.693021036482572e-06, -1.1248303689857036e-05,
    -2.4390486829861422e-05, 0.0001506355541525296, -0.00019925963516393932, -0.0007577780037062747,
    0.005031970598279671, -0.016197733057153725, 0.03716751546084509, -0.06633036593637169, 0.09373283500322417,
    -0.1010390660283861, 0.06809705425457126, 0.015379652102422313, -0.139621116840562, 1.2329951186255532,
)  # fmt: skip
_ROOT_HALF = 0.7071067811865476
_HALVINGS = 45
_FARTHEST = 34.0  # where a normal's tail is above exp(_LEAST_EXPONENT)


def _polynomial(terms: tuple[float, ...], x: Array) -> Array:
    total = np.full_like(x, terms[0])
    for term in terms[1:]:
        total *= x
        total += term
    return total


def exp(x: Array) -> Array:
    """e to the power of x, which is taken between −600 and 600.

    Parameters
    ----------
    x : array
        Of any shape.

    Returns
    -------
    array
        Of the same shape; exact up to some units of the last place, the same ones everywhere.

    Examples
    --------
    >>> exp(np.array([0.0, 1.0])).tolist()
    [1.0, 2.7182818284590455]
    """
    x = np.clip(np.asarray(x, np.float64), _LEAST_EXPONENT, _MOST_EXPONENT)
    powers = np.rint(x * _LOG2_E)
    rest = (x - powers * _LN2_HIGH) - powers * _LN2_LOW
    return np.ldexp(_polynomial(_EXP_TERMS, rest), powers.astype(np.int32))


def _twice_atanh(s: Array) -> Array:
    return 2.0 * s * _polynomial(_ATANH_TERMS, s * s)


def log(x: Array) -> Array:
    """The natural logarithm of positive numbers.

    Parameters
    ----------
    x : array
        Above 0.

    Returns
    -------
    array
        Of the same shape.

    Examples
    --------
    >>> log(np.array([1.0, 10.0])).tolist()
    [0.0, 2.302585092994046]
    """
    share, power = np.frexp(np.asarray(x, np.float64))
    low = share < _ROOT_HALF
    share, powers = np.where(low, 2.0 * share, share), (power - low).astype(np.float64)
    return powers * _LN2_HIGH + (powers * _LN2_LOW + _twice_atanh((share - 1.0) / (share + 1.0)))


def softplus(x: Array) -> Array:
    """log(1 + exp(x)).

    Parameters
    ----------
    x : array
        Of any shape.

    Returns
    -------
    array
        Of the same shape.

    Examples
    --------
    >>> softplus(np.array([0.0, 50.0])).round(6).tolist()
    [0.693147, 50.0]
    """
    u = exp(-np.abs(x))
    return np.maximum(x, 0.0) + _twice_atanh(u / (2.0 + u))


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(−x)), without a difference of nearly equal numbers below 0.

    Parameters
    ----------
    x : array
        Of any shape.

    Returns
    -------
    array
        Of the same shape.

    Examples
    --------
    >>> sigmoid(np.array([0.0, -30.0])).tolist()
    [0.5, 9.3576229688393e-14]
    """
    u = exp(-np.abs(x))
    return np.where(x < 0, u, 1.0) / (1.0 + u)


def tanh(x: Array) -> Array:
    """The hyperbolic tangent.

    Parameters
    ----------
    x : array
        Of any shape.

    Returns
    -------
    array
        Of the same shape.

    Examples
    --------
    >>> tanh(np.array([0.0, -1.0])).round(6).tolist()
    [0.0, -0.761594]
    """
    u = exp(-2.0 * np.abs(x))
    return np.sign(x) * ((1.0 - u) / (1.0 + u))


def normal_below(x: Array) -> Array:
    """The standard normal's probability below x, exact to 13 digits in the lower tail.

    Parameters
    ----------
    x : array
        In standard deviations, taken between −34 and 34.

    Returns
    -------
    array
        Of the same shape.

    Examples
    --------
    >>> normal_below(np.array([0.0, -1.96])).round(6).tolist()
    [0.5, 0.024998]
    """
    far = np.minimum(np.abs(x), _FARTHEST) * _ROOT_HALF
    scaled = _polynomial(_ERFCX_TERMS, (far - 4.0) / (far + 4.0)) / (1.0 + 2.0 * far)
    tail = 0.5 * exp(-far * far) * scaled
    return np.where(x < 0, tail, 1.0 - tail)


def normal_quantile(share: Array) -> Array:
    """Where the standard normal has a share of its probability below, by bisection to 12 digits behind the point.

    Parameters
    ----------
    share : array
        Above 0, 1/2 at most.

    Returns
    -------
    array
        Of the same shape.

    Examples
    --------
    >>> normal_quantile(np.array([0.5, 0.025])).round(6).tolist()
    [0.0, -1.959964]
    """
    low, high = np.full_like(share, -40.0), np.zeros_like(share)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        below = normal_below(middle) < share
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.where(share == 0.5, 0.0, 0.5 * (low + high))


def log_rising(start: Array, steps: int) -> Array:
    """log Γ(start + k) − log Γ(start) for k = 0 … steps, a sum of logarithms.

    Parameters
    ----------
    start : array
        [n], above 0.
    steps : int
        The greatest k.

    Returns
    -------
    array
        [n, steps + 1].

    Examples
    --------
    >>> exp(log_rising(np.array([1.0]), 4)).round(6).tolist()               # factorials
    [[1.0, 1.0, 2.0, 6.0, 24.0]]
    """
    logs = log(start[:, None] + np.arange(steps, dtype=np.float64))
    return np.concatenate([np.zeros((len(start), 1)), np.add.accumulate(logs, axis=1)], 1)
