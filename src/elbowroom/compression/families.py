"""Masses of p(x | z), family by family, from the numbers of an exact network."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom import likelihoods as lik
from elbowroom.likelihoods import Likelihood
from elbowroom.numerics import CapabilityError, Given

from . import beta_binomial
from .cells import Cells
from .counts import Counts, Detected, beside_of, gathered
from .masses import LOG_UNITS, Below, Nested, Whole, from_weights
from .portable import Array, exp, log, normal_below, sigmoid, softplus
from .stack import Stack

__all__ = ["Family", "location_scale"]

Bool = NDArray[np.bool_]
_NOWHERE = 1e30
_COUNTS = (lik.Poisson, lik.NegativeBinomial, lik.ZeroInflatedNegativeBinomial)


class Family:
    """How the cells of one family are coded.

    Parameters
    ----------
    likelihood : Likelihood
        The family, in 64 bits.
    cells : Cells
        Levels and edges of all cells of x.
    places : slice
        Which of them are the family's.
    cap : int
        Of counts: from which one on they are one symbol, an escape, behind which another stands for the rest.

    Raises
    ------
    CapabilityError
        For a family without masses.
    """

    def __init__(self, likelihood: Likelihood, cells: Cells, places: slice, cap: int) -> None:
        self.places, self.parts = places, likelihood.parts
        self.numbers = likelihood.numbers
        self.counts = isinstance(likelihood, _COUNTS)
        self.levels = np.full_like(cells.levels[places], cap + 1) if self.counts else cells.levels[places]
        self.cap, self.above = cap, np.maximum(cells.low[places] + cells.levels[places] - cap, 1)
        self._below = _below_of(likelihood, cells, places, cap)
        self._beside = beside_of(likelihood)
        self.bits = _log_sigmoids() if isinstance(likelihood, lik.Bernoulli) else None
        self.trials = likelihood.levels if isinstance(likelihood, lik.BetaBinomial) else None

    @property
    def width(self) -> int:
        """How many numbers are held for a cell while it is coded, in round figures."""
        return self.cap if self.counts else self.trials or 17 * max(self.parts // 3, 1)

    def with_beside(self, raw: Array, given: Given) -> Array:
        """Numbers [n, parts, size] of a network, and behind them what the family itself reads: sizes, batches."""
        beside = [np.broadcast_to(part(given), (len(raw), raw.shape[2]))[:, None] for part in self._beside]
        return np.concatenate([raw, *beside], 1) if beside else raw

    def push(self, stack: Stack, whole: Whole, raw: Array, seen: Bool) -> None:
        """Put cells [n, size] on the stack, from the network's numbers [n, parts, size]; only what is seen."""
        rows, columns = np.nonzero(seen)
        symbols = whole[rows, columns]
        if self.counts:
            above = symbols >= self.cap
            self._tail(raw, rows[above], columns[above]).push(stack, symbols[above] - self.cap)
            symbols = np.minimum(symbols, self.cap)
        self._coder(raw, rows, columns).push(stack, symbols)

    def pop(self, stack: Stack, raw: Array, seen: Bool) -> Whole:
        """Take cells [n, size] from the stack; 0 where they are missing."""
        rows, columns = np.nonzero(seen)
        symbols = self._coder(raw, rows, columns).pop(stack, len(rows))
        if self.counts:
            above = symbols == self.cap
            symbols[above] += self._tail(raw, rows[above], columns[above]).pop(stack, int(above.sum()))
        whole = np.zeros(seen.shape, np.int64)
        whole[rows, columns] = symbols
        return whole

    def logs(self, whole: Whole, raw: Array, seen: Bool) -> Whole:
        """log p(x | z) of each row, [n], in whole units of 2⁻²⁰ nats."""
        if self.bits is not None:
            return np.where(seen, self.bits[_places(np.where(whole > 0, raw[:, 0], -raw[:, 0]))], 0).sum(1)
        if self.trials is not None:
            return np.where(seen, beta_binomial.log_masses(whole, raw, self.trials), 0).sum(1)
        rows, columns = np.nonzero(seen)
        symbols, logs = whole[rows, columns], np.zeros(seen.shape, np.int64)
        if self.counts:
            above = symbols >= self.cap
            tail = self._tail(raw, rows[above], columns[above])
            logs[rows[above], columns[above]] = tail.logs(symbols[above] - self.cap)
            symbols = np.minimum(symbols, self.cap)
        logs[rows, columns] += self._coder(raw, rows, columns).logs(symbols)
        return logs.sum(1)

    def nats(self, whole: Whole, raw: Array, seen: Bool) -> Array:
        """What the cells of each row take, [n], as `push` has them; only what is seen."""
        rows, columns = np.nonzero(seen)
        symbols = whole[rows, columns]
        each = self._coder(raw, rows, columns).nats(np.minimum(symbols, self.cap) if self.counts else symbols)
        if self.counts:
            above = symbols >= self.cap
            each[above] += self._tail(raw, rows[above], columns[above]).nats(symbols[above] - self.cap)
        return np.bincount(rows, each, len(whole)).astype(np.float64)

    def _coder(self, raw: Array, rows: Whole, columns: Whole) -> Nested:
        numbers = raw[rows, :, columns]  # [cells, parts]
        return Nested(self.levels[columns], self._below(numbers, columns))

    def _tail(self, raw: Array, rows: Whole, columns: Whole) -> Nested:
        assert isinstance(self._below, Counts)
        return Nested(self.above[columns], self._below.tail(raw[rows, :, columns], columns))


_LOGIT_STEPS, _LOGIT_REACH = 2**12, 16


@cache
def _log_sigmoids() -> Whole:
    """log p of a bit by its logit: weights of draws need the same numbers on both sides and not those of its mass."""
    places = np.arange(-_LOGIT_REACH * _LOGIT_STEPS, _LOGIT_REACH * _LOGIT_STEPS + 1) / _LOGIT_STEPS
    return np.rint(-softplus(-places) * LOG_UNITS).astype(np.int64)


def _places(logits: Array) -> Whole:
    reach = _LOGIT_REACH * _LOGIT_STEPS
    return (np.clip(np.rint(logits * _LOGIT_STEPS), -reach, reach) + reach).astype(np.int64)


BelowOf = Callable[[Array, Whole], Below]
"""From the network's numbers [cells, parts] and the columns [cells] to what lies below places."""


def location_scale(edges: Callable[[Whole], Array], location: Array, scale: Array, standard: Any) -> Below:
    """What lies below places, of a family with a location and a scale whose standard form is symmetric.

    Differences are taken in the tail where they are not lost: above the location those of the probability above.

    Parameters
    ----------
    edges : callable
        From places [cells, k] to where they are.
    location : array
        [cells], or [cells, components].
    scale : array
        The same.
    standard : callable
        The standard form's distribution function, or what sums it over components.

    Returns
    -------
    callable
        From places to what lies below, up to a constant.
    """

    def below(places: Whole) -> Array:
        at = edges(places)
        ends = np.clip(at[:, [0, -1]], -_NOWHERE, _NOWHERE)
        near = np.clip((ends - location[:, None]) / scale[:, None], -40.0, 40.0)
        sign = np.where(near[:, :1] + near[:, 1:] > 0, -1.0, 1.0)
        return sign * standard(sign * ((at - location[:, None]) / scale[:, None]))

    return below


def _edges(first: Array, width: Array, levels: Whole, tails: bool) -> Callable[[Whole], Array]:
    """Where places of cells begin; with tails the first and last cell take what lies beyond."""

    def edges(places: Whole) -> Array:
        at = first[:, None] + width[:, None] * places
        if tails:
            at = np.where(places <= 0, -_NOWHERE, np.where(places >= levels[:, None], _NOWHERE, at))
        return at

    return edges


def _below_of(likelihood: Likelihood, cells: Cells, places: slice, cap: int) -> BelowOf:
    if isinstance(likelihood, lik.Bernoulli):
        return lambda raw, _: gathered(np.concatenate([np.zeros_like(raw), sigmoid(-raw), np.ones_like(raw)], 1))
    if isinstance(likelihood, lik.Detection):
        return Detected(likelihood)
    if isinstance(likelihood, lik.Categorical):
        return lambda raw, _: gathered(from_weights(raw))
    if isinstance(likelihood, _COUNTS):
        return Counts(likelihood, cap)
    if isinstance(likelihood, lik.ContinuousBernoulli):
        return _continuous_bernoulli(cells, places)
    if isinstance(likelihood, lik.BetaBinomial):
        return beta_binomial.levels_below(likelihood.levels)
    standard = _STANDARD.get(type(likelihood))
    if standard is None or getattr(likelihood, "scale", None) == "optimal":
        raise CapabilityError(f"A {type(likelihood).__name__} likelihood has no masses that are the same everywhere.")
    return _Scaled(likelihood, cells, places, standard)


class _Scaled:
    """Families with a location and a scale, in cells of y."""

    def __init__(self, likelihood: Any, cells: Cells, places: slice, standard: Callable[[Array], Array]) -> None:
        self.standard, self.levels = standard, cells.levels[places]
        self.components = getattr(likelihood, "components", 1)
        self.predicted, self.top = likelihood.scale == "predicted", float(getattr(likelihood, "top", 1.0))
        self.floor = float(likelihood.floor_value)
        self.offset = np.broadcast_to(_flat(likelihood.offset, self.levels), self.levels.shape)
        self.tails = not isinstance(likelihood, lik.TruncatedNormal)
        self.logit = isinstance(likelihood, lik.LogitNormal)
        if isinstance(likelihood, lik.DiscretisedLogistic | lik.DiscretisedNormal):
            self.first, self.width = np.full(self.levels.shape, -0.5), np.ones(self.levels.shape)
        else:
            self.first, self.width = (one[places] for one in cells.edges())
        if not self.predicted:
            learned = isinstance(likelihood.scale, str)
            own = self._positive(_flat(likelihood.raw, self.levels), self.offset) if learned else likelihood.scale
            self.common = np.broadcast_to(np.asarray(own, np.float64), self.levels.shape)

    def __call__(self, raw: Array, columns: Whole) -> Below:
        edges = _edges(self.first[columns], self.width[columns], self.levels[columns], self.tails)
        if self.logit:
            edges = _in_logits(edges)
        k = self.components
        if k > 1:
            return self._mixture(raw, columns, edges, k)
        scale = self._positive(raw[:, 1], self.offset[columns]) if self.predicted else self.common[columns]
        return location_scale(edges, self.top * raw[:, 0], self.top * scale, self.standard)

    def _mixture(self, raw: Array, columns: Whole, edges: Callable[[Whole], Array], k: int) -> Below:
        weights = exp(raw[:, :k] - raw[:, :k].max(1, keepdims=True))
        location = self.top * (raw[:, k : 2 * k] + (np.arange(k) + 0.5) / k)
        scale = self.top * self._positive(raw[:, 2 * k :], self.offset[columns][:, None])

        def below(places: Whole) -> Array:
            at = edges(places)
            middle = np.clip(0.5 * (at[:, :1] + at[:, -1:]), -1e6, 1e6)
            above, total = np.zeros_like(middle), np.zeros((len(at), 1))
            for i in range(k):  # in this order, so that the sums are the same everywhere
                above, total = above + weights[:, i : i + 1] * location[:, i : i + 1], total + weights[:, i : i + 1]
            sign, sums = np.where(middle * total > above, -1.0, 1.0), np.zeros_like(at)
            for i in range(k):
                t = (at - location[:, i : i + 1]) / scale[:, i : i + 1]
                sums = sums + weights[:, i : i + 1] * self.standard(sign * t)
            return sign * sums

        return below

    def _positive(self, raw: Array, offset: Array) -> Array:
        return self.floor + softplus(raw + offset)


def _flat(tensor: Any, like: Whole) -> Array:
    flat = tensor.detach().double().numpy().reshape(-1)
    return np.broadcast_to(flat, like.shape) if flat.size == 1 else flat


def _in_logits(edges: Callable[[Whole], Array]) -> Callable[[Whole], Array]:
    def mapped(places: Whole) -> Array:
        at = edges(places)
        inside = np.clip(at, 1e-12, 1 - 1e-12)
        logits = log(inside) - log(1.0 - inside)
        return np.where(at <= -_NOWHERE, -_NOWHERE, np.where(at >= _NOWHERE, _NOWHERE, logits))

    return mapped


def _laplace(t: Array) -> Array:
    tail = 0.5 * exp(-np.abs(t))
    return np.where(t < 0, tail, 1.0 - tail)


_STANDARD: dict[type[Likelihood], Callable[[Array], Array]] = {
    lik.DiscretisedLogistic: sigmoid,
    lik.DiscretisedNormal: normal_below,
    lik.Normal: normal_below,
    lik.TruncatedNormal: normal_below,
    lik.LogitNormal: normal_below,
    lik.Laplace: _laplace,
}


def _continuous_bernoulli(cells: Cells, places: slice) -> BelowOf:
    """∫ exp(λ y) in cells of y: exp(λ y) / λ, held below 1 at the larger end."""
    first, width = (one[places] for one in cells.edges())
    levels = cells.levels[places]

    def of(raw: Array, columns: Whole) -> Below:
        slope, edges = raw[:, :1], _edges(first[columns], width[columns], levels[columns], False)
        flat = np.abs(slope) < 1e-4
        sign = np.where(slope < 0, -1.0, 1.0)

        def below(at: Whole) -> Array:
            y = edges(at)
            return np.where(flat, y, sign * exp(slope * (y - np.where(slope > 0, y[:, -1:], y[:, :1]))))

        return below

    return of
