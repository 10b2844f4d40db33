"""The law of totals of counts, and what it makes of a bound on log p(x | size)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

from elbowroom.numerics import Estimate, InputError, plain_arguments

__all__ = ["SizeLaw", "fit_size_law", "with_size"]

_KINDS = ("negative binomial", "discretised log-normal")
_LEAST = 2


@dataclass(frozen=True)
class SizeLaw:
    """A discrete law of totals 1, 2, 3, …, one for each group of rows.

    Parameters
    ----------
    kind : str
        "negative binomial" (of the total less 1) or "discretised log-normal".
    numbers : tuple of (float, float)
        Of each group: mean and dispersion of the first, mean and standard deviation of the logarithm of the second.

    Examples
    --------
    >>> law = SizeLaw("discretised log-normal", ((5.0, 0.5),))
    >>> float(round(np.exp(law.log_prob(np.arange(1, 5_000))).sum(), 6))
    1.0
    """

    kind: str
    numbers: tuple[tuple[float, float], ...]

    def log_prob(self, totals: ArrayLike, *, groups: ArrayLike | None = None) -> NDArray[np.float64]:
        """Log-probabilities of totals.

        Parameters
        ----------
        totals : array-like
            Whole numbers from 1 on, [n].
        groups : array-like, default None
            The group of each row, [n] int; None: all are of the first.

        Returns
        -------
        array
            Nats, [n].

        Raises
        ------
        InputError
            For other totals, and groups that the law does not have.
        """
        whole = _whole(totals)
        places = _places(groups, len(whole))
        if len(places) and places.max() >= len(self.numbers):
            raise InputError(
                f"The law of sizes is of {len(self.numbers)} groups, and a row is of group {places.max()}."
            )
        first, second = np.asarray(self.numbers, dtype=np.float64)[places].T
        return _LAWS[self.kind](whole, first, second)


@plain_arguments
def fit_size_law(totals: ArrayLike, *, groups: ArrayLike | None = None, kind: str | None = None) -> SizeLaw:
    """Fit the law of totals to training rows: of two families the likelier one.

    Parameters
    ----------
    totals : array-like
        Of the training rows: whole numbers from 1 on, [n].
    groups : array-like, default None
        The group (batch) of each row, [n] int from 0 on, each of which has numbers of its own; None: one for all.
    kind : str, default None
        "negative binomial" or "discretised log-normal"; None takes the likelier on these rows.

    Returns
    -------
    SizeLaw
        With the maximum-likelihood numbers of its family.

    Raises
    ------
    InputError
        For totals that are no whole numbers from 1 on, and a group of fewer than two rows.

    Examples
    --------
    >>> totals = np.random.default_rng(0).lognormal(6.0, 0.4, 500).round()
    >>> law = fit_size_law(totals)
    >>> law.kind, round(law.numbers[0][0], 1)
    ('discretised log-normal', 6.0)
    """
    whole = _whole(totals)
    places = _places(groups, len(whole))
    parts = [whole[places == group] for group in range(int(places.max(initial=0)) + 1)]
    if min(map(len, parts)) < _LEAST:
        raise InputError(
            "The law of sizes is fitted to two rows or more of every group: give more, or leave groups out."
        )
    if kind is not None and kind not in _KINDS:
        raise InputError(f"The kind of a law of sizes is one of {', '.join(_KINDS)}; got {kind!r}.")
    laws = [SizeLaw(one, tuple(_FITS[one](part) for part in parts)) for one in ((kind,) if kind else _KINDS)]
    return max(laws, key=lambda law: float(law.log_prob(whole, groups=places).sum()))


def with_size(bound: Estimate, log_size: Sequence[float] | NDArray[np.float64]) -> Estimate:
    """A bound on log p(x) from one on log p(x | size): what log p(size) adds, example by example.

    p(x | size) p(size) is the probability of x together with the one size that it has, and so no more than p(x) of the
    model in which the size is drawn. A total is a whole number, so its law must be discrete; a density would add what
    its unit makes of it.

    Parameters
    ----------
    bound : Estimate
        Of log p(x | size) or log p(x | batch, size): a lower bound, or exact.
    log_size : array-like
        log p(size) of its examples in their order, [n], by a law that was fitted to other rows (`fit_size_law`).

    Returns
    -------
    Estimate
        A lower bound on log p(x), or log p(x | batch), whose values are the sums.

    Raises
    ------
    InputError
        For a quantity that is not given the size, an estimate that is no lower bound, and another number of examples.

    Examples
    --------
    >>> one = Estimate.of([-9.0], quantity="log p(x | size)", estimator="ELBO", direction="lower")
    >>> sum_of_both = with_size(one, [-2.0])
    >>> sum_of_both.quantity, sum_of_both.mean, sum_of_both.estimator
    ('log p(x)', -11.0, 'ELBO + log p(size)')
    """
    scored, between, given = bound.quantity.removesuffix(")").partition(" | ")
    names = given.split(", ")
    if not between or "size" not in names:
        raise InputError(f"log p(size) is added to a bound on log p(x | size), and this one is of {bound.quantity}.")
    if bound.direction not in ("lower", "exact"):
        raise InputError(
            f"The sum bounds log p(x) where its first part is a lower bound or exact; got {bound.direction!r}."
        )
    added = np.asarray(log_size, dtype=np.float64)
    if added.shape != bound.values.shape or not np.isfinite(added).all():
        raise InputError(
            f"log_size is a finite number for each of the {len(bound):,} examples; got shape {added.shape}."
        )
    others = ", ".join(name for name in names if name != "size")
    quantity = f"{scored} | {others})" if others else f"{scored})"
    estimator = f"{bound.estimator} + log p(size)"
    return replace(bound, values=bound.values + added, quantity=quantity, estimator=estimator, direction="lower")


def _whole(totals: ArrayLike) -> NDArray[np.float64]:
    whole = np.asarray(totals, dtype=np.float64)
    if whole.ndim != 1 or not len(whole) or not np.isfinite(whole).all() or ((whole < 1) | (whole % 1 != 0)).any():
        raise InputError("Totals of counts are whole numbers from 1 on, one a row: give sums of raw counts.")
    return whole


def _places(groups: ArrayLike | None, n: int) -> NDArray[np.int64]:
    places = np.zeros(n, np.int64) if groups is None else np.asarray(groups).astype(np.int64)
    if places.shape != (n,) or (n and places.min() < 0):
        raise InputError(f"groups holds a whole number from 0 on for each of the {n:,} rows.")
    return places


def _negative_binomial(totals: NDArray[np.float64], mean: Any, r: Any) -> NDArray[np.float64]:
    return np.asarray(stats.nbinom.logpmf(totals - 1, r, r / (r + mean)))


def _log_normal(totals: NDArray[np.float64], mean: Any, std: Any) -> NDArray[np.float64]:
    """Between the halves about each total, of what lies above ½."""
    ends = [(np.log(totals + half) - mean) / std for half in (-0.5, 0.5)]
    ends = [np.where(ends[0] > 0, -ends[1], ends[0]), np.where(ends[0] > 0, -ends[0], ends[1])]  # by the nearer tail
    low, high = special.log_ndtr(ends[0]), special.log_ndtr(ends[1])
    within = high + np.log(-np.expm1(np.minimum(low - high, -1e-300)))
    return np.asarray(within - special.log_ndtr((mean - np.log(0.5)) / std))


def _fitted_negative_binomial(totals: NDArray[np.float64]) -> tuple[float, float]:
    mean = max(float((totals - 1).mean()), 1e-6)

    def loss(log_r: float) -> float:
        return -float(_negative_binomial(totals, mean, np.exp(log_r)).mean())

    found = optimize.minimize_scalar(loss, bounds=(-7.0, 14.0), method="bounded")
    return mean, float(np.exp(found.x))


def _fitted_log_normal(totals: NDArray[np.float64]) -> tuple[float, float]:
    logs = np.log(totals)
    start = [float(logs.mean()), float(np.log(max(logs.std(), 0.5 / totals.mean())))]

    def loss(numbers: NDArray[np.float64]) -> float:
        value = -float(_log_normal(totals, numbers[0], np.exp(numbers[1])).mean())
        return value if np.isfinite(value) else 1e10

    found = optimize.minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-7})
    return float(found.x[0]), float(np.exp(found.x[1]))


_LAWS = {"negative binomial": _negative_binomial, "discretised log-normal": _log_normal}
_FITS = {"negative binomial": _fitted_negative_binomial, "discretised log-normal": _fitted_log_normal}
