"""Kernel density estimates: how their bandwidth, and the shape of the kernel, move."""

from typing import Any

import numpy as np

from elbowroom.exact import Kernels

from .candidates import WIDE, Axis, Family, Fitted, Learned, Setting, once

__all__ = ["MOST_KERNELS", "kernel_density"]

MOST_KERNELS = 8_000
"""Rows that get a kernel: a table of their distances to all validation rows is held."""

_RATIO = 2**0.25
_WIDEST, _NARROWEST = 24, -64  # steps of that ratio from the data's own deviation
_SHAPES = (0.0, 0.3, 0.6, 0.8, 0.9, 0.97, 0.99, 1.0)
_LEAST = 1e-6  # variance of a direction, as a share of the mean of all, below which a kernel is not made narrower


def kernel_density(rows: int, dimensions: int) -> Family:
    """A normal on every training row, of one width, round or shaped as the data's covariance.

    Parameters
    ----------
    rows, dimensions : int
        Of the training data.

    Returns
    -------
    Family
        Its setting is (bandwidth, shape): the bandwidth in standard deviations of the data, and how far the kernel's
        covariance is the data's.
    """
    bandwidths = [_RATIO**step for step in range(_NARROWEST, _WIDEST + 1)]
    shaped = dimensions <= WIDE
    whitened = once(lambda train: {})

    def fit(setting: Setting, train: Learned) -> Fitted:
        width, shape = setting
        kept = whitened(train)
        if shape not in kept:
            kept.clear()  # a table of distances is large
            kept[shape] = _Shaped(train, shape)
        kernel = kept[shape]
        return Fitted(
            lambda rows: kernel.scores(rows, width),
            (kernel.variance, kernel.within(width)),
            lambda least: lambda rows: kernel.scores(rows, (least / kernel.unit) ** 0.5),
        )

    def words(setting: Setting) -> str:
        width, shape = setting
        shaped = {0.0: "round", 1.0: "shaped as the data's covariance"}
        said = shaped.get(shape, f"{shape:g} of the way from round to the data's covariance")
        return f"Gaussian kernel, bandwidth {width:.3g} of the data's deviation, {said}"

    axes = (
        Axis("bandwidth", bandwidths, ("a narrower kernel would be rounding", None)),
        Axis("shape", _SHAPES if shaped else (0.0,)),
    )
    starts = ((0.5, 0.0), (0.1, 0.0), *(((0.5, 1.0),) if shaped else ()))
    return Family("kernel density", axes, starts, fit, words, lambda setting: 1e-6 * rows * dimensions)


class _Shaped:
    """Kernels on rows that are turned so that a kernel of a shape is round."""

    def __init__(self, train: Learned, shape: float) -> None:
        self.unit = float(_variance(train)) / train.dimensions or 1.0  # squared width that counts as 1
        self.turn, self.log_det, self.trace = None, 0.0, float(train.dimensions)
        if shape:
            covariance = train.moments.covariance / self.unit
            mixed = shape * covariance + (1 - shape) * np.eye(len(covariance))
            values, vectors = np.linalg.eigh(mixed)
            values = np.maximum(values, _LEAST)
            self.turn = vectors / np.sqrt(values)
            self.log_det, self.trace = float(-0.5 * np.log(values).sum()), float(values.sum())
        self.turned = once(self._turned)
        self.kernels = Kernels(self.turned(train.rows[:MOST_KERNELS]))
        self.variance = float(_variance(train))

    def _turned(self, rows: Any) -> Any:
        return rows if self.turn is None else rows @ self.turn

    def within(self, width: float) -> float:
        """Variance of the kernel, summed over columns."""
        return width**2 * self.unit * self.trace

    def scores(self, rows: Any, width: float) -> Any:
        """log p of rows for a width in deviations."""
        return self.kernels.log_prob(self.turned(rows), width * self.unit**0.5) + self.log_det


def _variance(train: Learned) -> float:
    return float(np.trace(train.moments.covariance)) if train.dimensions <= WIDE else Kernels(train.rows).variance
