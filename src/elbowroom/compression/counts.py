"""Masses of counts, and of whether anything was counted: their means are multiplied by the size of a row."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from elbowroom import likelihoods as lik
from elbowroom.likelihoods import Likelihood
from elbowroom.numerics import Given, InputError

from .masses import Below, Whole
from .portable import Array, exp, log, log_rising, normal_below, sigmoid, softplus, tanh

__all__ = ["Counts", "Detected", "beside_of", "gathered", "of_classes"]

_MOST_LOG_RATIO = 20.0
_TINY = float(np.finfo(np.float64).tiny)

BesideOf = Callable[[Given], Array]
"""From the namespace to a number of each row, [n, 1] or [n, size]."""


def gathered(below: Array) -> Below:
    """Probabilities below all places of an alphabet, [cells, n + 1], looked up."""
    last = below.shape[1] - 1
    return lambda places: np.take_along_axis(below, np.minimum(places, last), 1)


def beside_of(likelihood: Likelihood) -> list[BesideOf]:
    """What a family reads beside its network's numbers: the log of a size, then the dispersions of a batch.

    Parameters
    ----------
    likelihood : Likelihood
        Any; only counts read something.

    Returns
    -------
    list of callable
        From the namespace to numbers.
    """
    any_one: Any = likelihood
    found = list[BesideOf]()
    if getattr(likelihood, "size_factor", None) is not None:
        found.append(lambda given: _log_size(any_one, _rows(given[any_one.size_factor])))
    if getattr(likelihood, "dispersion", None) == "feature-batch":
        raw = any_one.raw_dispersion.detach().double().flatten(1).numpy()
        found.append(lambda given: of_classes(any_one.batch, _rows(given[any_one.batch]), raw))
    return found


def of_classes(name: str, one_hot: Array, numbers: Array) -> Array:
    """Numbers [classes, size] of the classes of rows, [n, size]: sums in one order.

    Parameters
    ----------
    name : str
        Of the context, for the error.
    one_hot : array
        [n, classes].
    numbers : array
        Of each class.

    Returns
    -------
    array
        [n, size].

    Raises
    ------
    InputError
        For another number of classes.
    """
    if one_hot.shape[1] != len(numbers):
        raise InputError(
            f"The context {name!r} has {one_hot.shape[1]:,} classes, and the model knows {len(numbers):,}: give it as "
            f"the model was trained."
        )
    total = np.zeros((len(one_hot), numbers.shape[1]))
    for place in np.flatnonzero(one_hot.any(0)):
        total = total + one_hot[:, place : place + 1] * numbers[place]
    return total


def _rows(values: torch.Tensor) -> Array:
    held: Array = values[0].flatten(1).double().numpy()
    return held


def _log_size(likelihood: Any, size: Array) -> Array:
    if size.shape[1] != 1:
        raise InputError(
            f"The size factor {likelihood.size_factor!r} is one number per row; it has the shape {size.shape[1:]}."
        )
    return size if likelihood.size_scale == "log" else log(np.maximum(size, _TINY))


class _OfMeans:
    """What counts have in common: a mean from the network's first number, and the size of a row."""

    def __init__(self, likelihood: Any) -> None:
        self.base = likelihood.base.double().numpy().reshape(-1)
        self.parts, self.sized = likelihood.parts, likelihood.size_factor is not None

    def log_mean(self, raw: Array, columns: Whole) -> Array:
        """Log of the mean of cells [cells, numbers], [cells]."""
        own = self.base[columns] + bounded(raw[:, 0])
        return own + raw[:, self.parts] if self.sized else own


class Detected(_OfMeans):
    """Whether a Poisson count is above 0.

    Parameters
    ----------
    likelihood : likelihoods.Detection
        In 64 bits.
    """

    def __call__(self, raw: Array, columns: Whole) -> Below:
        """What lies below 0, 1 and 2."""
        none = exp(-exp(self.log_mean(raw, columns)))[:, None]
        return gathered(np.concatenate([np.zeros_like(none), none, np.ones_like(none)], 1))


class Counts(_OfMeans):
    """Counts below a cap, and one symbol for all from there on.

    Parameters
    ----------
    likelihood : likelihoods.Poisson, NegativeBinomial or ZeroInflatedNegativeBinomial
        In 64 bits.
    cap : int
        From which count on.
    """

    def __init__(self, likelihood: Any, cap: int) -> None:
        super().__init__(likelihood)
        self.cap = cap
        self.log_factorials = log_rising(np.ones(1), cap)[:, :cap]
        self.dispersed = not isinstance(likelihood, lik.Poisson)
        self.inflated = isinstance(likelihood, lik.ZeroInflatedNegativeBinomial)
        if self.dispersed:
            self.start = likelihood.dispersion_base.double().numpy().reshape(-1)
            numbers = {"predicted": 1, "feature-batch": self.parts + self.sized}
            self.number = numbers.get(likelihood.dispersion)  # which of a cell's numbers says its dispersion
            if self.number is None:
                own = likelihood.raw_dispersion.detach().double().numpy().reshape(-1)
                self.log_r = bounded(self.start + own)
                self.rising = log_rising(exp(self.log_r), cap)[:, :cap]

    def __call__(self, raw: Array, columns: Whole) -> Below:
        """What lies below counts up to the cap, and all."""
        log_mean = self.log_mean(raw, columns)
        masses = self._negative_binomial(raw, columns, log_mean) if self.dispersed else self._poisson(log_mean)
        if self.inflated:
            zero = sigmoid(raw[:, self.parts - 1 : self.parts])
            masses = (1.0 - zero) * masses
            masses[:, :1] = masses[:, :1] + zero
        total = np.add.accumulate(masses, axis=1)
        ends = np.maximum(1.0, total[:, -1:] * (1.0 + 1e-9))
        return gathered(np.concatenate([np.zeros((len(total), 1)), total, ends], 1))

    def tail(self, raw: Array, columns: Whole) -> Below:
        """What lies below counts from the cap on, by a normal of cube roots: near enough, as any masses decode."""
        log_mean = self.log_mean(raw, columns)
        a = 1.0 / (9.0 * exp(self._log_r(raw, columns))) if self.dispersed else np.zeros_like(log_mean)

        def below(places: Whole) -> Array:
            count = self.cap + places.astype(np.float64)
            root, b = exp((log(count) - log_mean[:, None]) / 3.0), 1.0 / (9.0 * count)
            z = (root * (1.0 - b) - (1.0 - a[:, None])) / np.sqrt(a[:, None] + root * root * b)
            sign = np.where(z[:, :1] + z[:, -1:] > 0, -1.0, 1.0)
            return sign * normal_below(sign * z)

        return below

    def _log_r(self, raw: Array, columns: Whole) -> Array:
        if self.number is None:
            return self.log_r[columns]
        return bounded(self.start[columns] + raw[:, self.number])

    def _poisson(self, log_mean: Array) -> Array:
        k = np.arange(self.cap, dtype=np.float64)
        return exp(k * log_mean[:, None] - exp(log_mean)[:, None] - self.log_factorials)

    def _negative_binomial(self, raw: Array, columns: Whole, log_mean: Array) -> Array:
        k = np.arange(self.cap, dtype=np.float64)
        log_r = self._log_r(raw, columns)
        r = exp(log_r)
        rising = self.rising[columns] if self.number is None else log_rising(r, self.cap)[:, : self.cap]
        log_ratio = log_mean - log_r
        at_zero = -r * softplus(log_ratio)
        return exp(at_zero[:, None] - k * softplus(-log_ratio)[:, None] + rising - self.log_factorials)


def bounded(raw: Array) -> Array:
    """Numbers smoothly bounded to ±20."""
    return _MOST_LOG_RATIO * tanh(raw / _MOST_LOG_RATIO)
