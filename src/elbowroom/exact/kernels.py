"""A Gaussian kernel on every row: one table of distances serves every bandwidth."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .log_sums import log_sum_exp

__all__ = ["Kernels"]

Array = NDArray[np.float64]
Rows = NDArray[np.floating]

_CELLS_AT_ONCE = 2**22


class Kernels:
    """The kernel density of some rows: the mean of normals with variance h² that stand on them. float64, in nats.

    Parameters
    ----------
    rows : array
        Where the kernels stand, [n, columns].

    References
    ----------
    Rosenblatt, "Remarks on some nonparametric estimates of a density function" (1956). Parzen, "On estimation of a
    probability density function and mode" (1962).

    Examples
    --------
    >>> kernels = Kernels(np.array([[0.0], [2.0]]))
    >>> kernels.log_prob(np.array([[1.0]]), 1.0).round(4)   # −½ log 2π − ½
    array([-1.4189])
    """

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self._last: tuple[Rows, Array] | None = None

    @property
    def variance(self) -> float:
        """Of the rows, summed over columns."""
        return float(
            sum(np.square(part).sum() for part in self._centred(self.rows, self._columns(self.rows))) / len(self.rows)
        )

    def log_prob(self, x: Rows, bandwidth: float) -> Array:
        """log p(x) for a bandwidth.

        Parameters
        ----------
        x : array
            Rows, [m, columns].
        bandwidth : float
            h.

        Returns
        -------
        array
            [m], in nats.
        """
        n, columns = self.rows.shape
        constant = columns * np.log(bandwidth) + 0.5 * columns * np.log(2 * np.pi) + np.log(n)
        return np.asarray(log_sum_exp(-0.5 * self._squares(x) / bandwidth**2) - constant)

    def _squares(self, x: Rows) -> Array:
        """Squared distances of rows x from the kernels, [m, n]; those that were asked for last are kept."""
        if self._last is None or self._last[0] is not x:
            squares = np.zeros((len(x), len(self.rows)))
            step = self._columns(x)
            for a, b in zip(self._centred(x, step), self._centred(self.rows, step), strict=True):
                squares += np.square(a).sum(1)[:, None] + np.square(b).sum(1) - 2 * (a @ b.T)
            self._last = x, np.maximum(squares, 0.0)
        return self._last[1]

    def _columns(self, x: Rows) -> int:
        """How many columns at a time."""
        return max(_CELLS_AT_ONCE // max(len(self.rows), len(x)), 1)

    def _centred(self, x: Rows, step: int) -> Iterator[Array]:
        """Some columns at a time, without the mean of the kernels."""
        for at in range(0, x.shape[1], step):
            centre = self.rows[:, at : at + step].mean(0, dtype=np.float64)
            yield x[:, at : at + step].astype(np.float64) - centre
