"""A posterior in whole units: which of 2²⁴ lie in which symbol."""

from collections.abc import Callable

import numpy as np

from .masses import Whole
from .portable import Array
from .stack import TOTAL, Damaged

__all__ = ["ROUGH_BITS", "BelowCells", "Units"]

ROUGH_BITS = 16
BelowCells = Callable[[Whole, Whole], Array]
"""From cells [n] and a place on the alphabet of each to the probability below it, 0 to 1."""


class Units:
    """Symbols of cells as ranges of the whole numbers below 2²⁴, each as long as its probability.

    A symbol may have no unit: it is then never drawn. So nothing is lost to symbols that are not.

    Parameters
    ----------
    symbols : int
        Size of the alphabet.
    below : callable
        The probability below places.
    place_of : callable or None, default None
        From a share of the probability for each cell, in 2⁻¹⁶ of it, to about the place that has it below, or a
        lower one: saves steps of the search and changes no result.

    Examples
    --------
    >>> units = Units(4, lambda cells, places: np.array([0.0, 0.5, 0.5, 0.75, 1.0])[places])
    >>> symbols, rest, sizes = units.of(np.array([2**23 - 1, 2**23, 2**24 - 1]))
    >>> symbols.tolist(), rest.tolist(), sizes.tolist()
    ([0, 2, 3], [8388607, 0, 4194303], [8388608, 4194304, 4194304])
    """

    def __init__(self, symbols: int, below: BelowCells, place_of: Callable[[Whole], Whole] | None = None) -> None:
        self.symbols, self.below, self.place_of = symbols, below, place_of

    def starts(self, cells: Whole, places: Whole) -> Whole:
        """Where places of chosen cells begin, in units."""
        return np.floor(self.below(cells, places) * float(TOTAL)).astype(np.int64)

    def of(self, units: Whole) -> tuple[Whole, Whole, Whole]:
        """The symbols that units [cells] lie in, how many of the same symbol lie before each, and how many it has."""
        low, high, below, above = self._around(units)
        cells = np.nonzero(high - low > 1)[0]
        while len(cells):
            middle = (low[cells] + high[cells]) // 2
            start = self.starts(cells, middle)
            inside = start <= units[cells]
            low[cells], below[cells] = np.where(inside, [middle, start], [low[cells], below[cells]])
            high[cells], above[cells] = np.where(inside, [high[cells], above[cells]], [middle, start])
            cells = cells[high[cells] - low[cells] > 1]
        return low, units - below, above - below

    def _around(self, units: Whole) -> tuple[Whole, Whole, Whole, Whole]:
        """Places below and above which the symbols lie, and where these begin."""
        low, high = np.zeros_like(units), np.full_like(units, self.symbols)
        below, above, cells = low.copy(), np.full_like(units, TOTAL), np.arange(len(units))
        if self.place_of is None:
            return low, high, below, above
        rough = units >> (24 - ROUGH_BITS)
        near, far = (np.clip(self.place_of(rough + i) + 2 * i, 0, self.symbols) for i in (0, 1))
        starts = self.starts(cells, near), self.starts(cells, far)
        low, below = np.where(starts[0] <= units, [near, starts[0]], [low, below])
        high, above = np.where(starts[1] > units, [far, starts[1]], [high, above])
        return low, high, below, above

    def sizes(self, symbols: Whole) -> Whole:
        """How many units each symbol [cells] has; one that has none was never drawn."""
        cells = np.arange(len(symbols))
        found = self.starts(cells, symbols + 1) - self.starts(cells, symbols)
        if (found < 1).any():
            raise Damaged
        return found
