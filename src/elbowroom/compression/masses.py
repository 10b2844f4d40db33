"""Whole-number masses of symbols, and large alphabets taken digit by digit."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .portable import Array, exp, log
from .stack import TOTAL, Damaged, Stack

__all__ = ["LOG_UNITS", "Nested", "from_weights", "spare_masses", "whole_logs"]

_WIDEST = 16
LOG_UNITS = 2.0**20
"""How many units a nat has where logarithms are summed as whole numbers, whose order changes nothing."""
Whole = NDArray[np.int64]
Below = Callable[[Whole], Array]
"""From places [cells, k] on an alphabet to what is in proportion to the probability below each, up to a constant."""


def spare_masses(below: Array) -> NDArray[np.float32]:
    """Masses of neighbouring symbols, from the probabilities below their edges.

    Every symbol has a mass of 1 of 2²⁴ at least, so that whatever can be is coded, at 24 bits at worst.

    Parameters
    ----------
    below : array
        [cells, n + 1]: increasing along the last axis; only differences and their ratios count.

    Returns
    -------
    array
        [cells, n]: masses − 1, whole numbers that sum to 2²⁴ − n.

    Examples
    --------
    >>> (spare_masses(np.array([[0.0, 0.25, 1.0]])) + 1).tolist()
    [[4194304.0, 12582912.0]]
    """
    n = below.shape[1] - 1
    span = below[:, -1:] - below[:, :1]
    usable = (span > 0) & (span < np.inf)
    even = np.arange(n + 1) / n
    share = np.where(usable, (below - below[:, :1]) / np.where(usable, span, 1.0), even)
    share = np.where(share == share, share, even)
    share = np.maximum.accumulate(np.minimum(np.maximum(share, 0.0), 1.0), axis=1)
    left = np.floor(share * float(TOTAL - n))
    left[:, -1] = TOTAL - n
    return np.diff(left, axis=1).astype(np.float32)


def from_weights(log_weights: Array) -> Array:
    """What lies below each symbol and below all, from logarithms of unnormalised probabilities.

    Parameters
    ----------
    log_weights : array
        [cells, n].

    Returns
    -------
    array
        [cells, n + 1], from 0 up.

    Examples
    --------
    >>> from_weights(np.zeros((1, 2))).tolist()
    [[0.0, 1.0, 2.0]]
    """
    weights = exp(log_weights - log_weights.max(1, keepdims=True))
    total = np.add.accumulate(weights, axis=1)
    return np.concatenate([np.zeros((len(total), 1)), total], 1)


def whole_logs(masses: Array) -> Whole:
    """Logarithms of masses of 2⁻²⁴, in whole units of 2⁻²⁰ nats.

    Parameters
    ----------
    masses : array
        Above 0, of any shape.

    Returns
    -------
    array
        Of the same shape.

    Examples
    --------
    >>> (whole_logs(np.array([2.0**23])) / LOG_UNITS).round(4).tolist()
    [-0.6931]
    """
    return np.rint(log(masses / TOTAL) * LOG_UNITS).astype(np.int64)


class Nested:
    """Symbols 0 … levels − 1, coded digit by digit, so that no digit has more than 16 values.

    Parameters
    ----------
    levels : int or array
        Size of the alphabet, one for all cells or [cells].
    below : callable
        From places [cells, k] (0 … levels) to the probability below each.

    Examples
    --------
    >>> stack = Stack.primed(64)
    >>> uniform = Nested(1000, lambda places: places / 1000.0)
    >>> uniform.push(stack, np.array([0, 999, 123]))
    >>> uniform.pop(stack, 3).tolist()
    [0, 999, 123]
    """

    def __init__(self, levels: int | Whole, below: Below) -> None:
        self.levels, self.below = np.asarray(levels, np.int64), below
        most = int(self.levels.max(initial=2))
        self.digits = next(d for d in range(1, 20) if _WIDEST**d >= most)
        self.base = next(b for b in range(2, _WIDEST + 1) if b**self.digits >= most)

    def push(self, stack: Stack, symbols: Whole) -> None:
        """Put symbols [cells] on the stack, the last digits first."""
        for digit in reversed(range(self.digits)):
            rest = symbols // self.base ** (self.digits - 1 - digit)
            stack.push(rest % self.base, self._masses(rest // self.base, digit))

    def pop(self, stack: Stack, cells: int) -> Whole:
        """Take symbols [cells] from the stack."""
        found = np.zeros(cells, np.int64)
        for digit in range(self.digits):
            found = found * self.base + stack.pop(self._masses(found, digit))
        if (found >= self.levels).any():
            raise Damaged
        return found

    def logs(self, symbols: Whole) -> Whole:
        """Logarithms of the masses of symbols [cells], as `whole_logs` has them."""
        total = np.zeros(len(symbols), np.int64)
        for digit in range(self.digits):
            rest = symbols // self.base ** (self.digits - 1 - digit)
            masses = self._masses(rest // self.base, digit)
            total += whole_logs(1.0 + np.take_along_axis(masses, (rest % self.base)[:, None], 1)[:, 0].astype(float))
        return total

    def nats(self, symbols: Whole) -> Array:
        """What each of these symbols [cells] takes: −log of the masses of its digits."""
        return -self.logs(symbols) / LOG_UNITS

    def _masses(self, before: Whole, digit: int) -> NDArray[np.float32]:
        width = self.base ** (self.digits - 1 - digit)
        places = (before[:, None] * self.base + np.arange(self.base + 1)) * width
        return spare_masses(self.below(np.minimum(places, self.levels[..., None])))
