"""Estimates: a number per example, with its errors, its direction, and what it is a number of."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._plain_arguments import plain_arguments
from ._standard_errors import standard_errors
from .budget import Budget
from .errors import InputError

__all__ = ["PER_EXAMPLE", "Direction", "Estimate"]

Direction = Literal["lower", "upper", "upper if mixed", "unbiased", "exact", "none"]

_ESS_COLLAPSED = 10.0
_KHAT_MISSES = 0.7
_MIXED = 1.1  # greatest R-hat of chains that count as mixed
_UNSEEN = 0.5  # share of the posterior
_DIVERGED = 0.05  # share of the transitions; step sizes that suit most chains let fewer than 2 % diverge
PER_EXAMPLE = ("values", "mc_variance", "index", "ess", "khat", "divergent", "rhat", "unseen")
"""Names of the fields of an Estimate that have a number per example, or are None."""

_DIRECTION_WORDS = {
    "lower": "lower bound on {}",
    "upper": "upper bound on {}",
    "upper if mixed": "upper bound on {} if the chains have mixed",
    "unbiased": "unbiased for {}",
    "exact": "{}, exact",
    "none": "{}",
}


@dataclass(frozen=True)
class Estimate:
    """An estimate for each of n examples, with Monte-Carlo variances; printed, their mean with its errors.

    The printed line gives the standard error that more draws would remove ("draws") and the one that more examples
    would ("points"), the direction of the estimate, and a warning if a diagnostic speaks against it.

    Parameters
    ----------
    values : NDArray[np.float64]
        A value for each example, [n], in `unit`.
    mc_variance : NDArray[np.float64]
        Its Monte-Carlo variance, [n]; NaN if unknown, as from one draw.
    index : NDArray[np.int64]
        The position of each example in its data set, [n], by which estimates are paired.
    quantity : str
        What is estimated, "log p(x)".
    estimator : str
        By what, "IWAE-5000".
    direction : {"lower", "upper", "upper if mixed", "unbiased", "exact", "none"}
        How a value's expectation relates to the quantity: a lower or upper bound, an upper bound only if the chains
        that it started from have mixed, equal to it ("unbiased"), the quantity itself without error ("exact"), or
        unknown ("none").
    budget : Budget
        Draws, seed and seconds.
    ess : NDArray[np.float64], default None
        Effective sample size of the weights of each example, [n].
    khat : NDArray[np.float64], default None
        Pareto shape of the importance weights of each example, [n], NaN where unknown; above 0.7 the draws miss where
        p(z | x) lies.
    data : str, default None
        Hash of the data set.
    unit : str, default "nats"
        Unit of the values.
    divergent : NDArray[np.float64], default None
        Share of the Hamiltonian transitions of each example that diverged, [n].
    rhat : NDArray[np.float64], default None
        Greatest R-hat of the chains of each example, [n]; NaN if one never moved.
    unseen : NDArray[np.float64], default None
        About the share of p(z | x) in places that no chain has found, [n].
    checked : str, default None
        What is said last of whether draws from another start agree, "not checked from a second start"; None: nothing.

    Examples
    --------
    >>> Estimate.of([-1.0, -3.0], [0.01, 0.01], quantity="log p(x)", estimator="IWAE-10", direction="lower")
    −2.00 nats ±0.07 (draws) ±1.00 (2 points), lower bound on log p(x), IWAE-10
    """

    values: NDArray[np.float64]
    mc_variance: NDArray[np.float64]
    index: NDArray[np.int64]
    quantity: str
    estimator: str
    direction: Direction
    budget: Budget
    ess: NDArray[np.float64] | None = None
    khat: NDArray[np.float64] | None = None
    data: str | None = None
    unit: str = "nats"
    divergent: NDArray[np.float64] | None = None
    rhat: NDArray[np.float64] | None = None
    unseen: NDArray[np.float64] | None = None
    checked: str | None = None

    def __post_init__(self) -> None:
        shapes = {self.values.shape, self.mc_variance.shape, self.index.shape}
        if len(shapes) != 1 or self.values.ndim != 1 or not self.values.size:
            raise InputError(f"An Estimate needs one value, variance and index per example; got shapes {shapes}.")

    @classmethod
    def of(
        cls,
        values: ArrayLike,
        mc_variance: ArrayLike = 0.0,
        index: ArrayLike | None = None,
        *,
        quantity: str,
        estimator: str,
        direction: Direction,
        budget: Budget | None = None,
        ess: ArrayLike | None = None,
        khat: ArrayLike | None = None,
        data: str | None = None,
        unit: str = "nats",
        divergent: ArrayLike | None = None,
        rhat: ArrayLike | None = None,
        unseen: ArrayLike | None = None,
        checked: str | None = None,
    ) -> "Estimate":
        """An estimate from array-likes.

        Parameters
        ----------
        values : array-like
            A value for each example, [n].
        mc_variance : array-like, default 0.0
            Monte-Carlo variances, [n], or one for all.
        index : array-like, default None
            Positions of the examples in their data set, [n]; None for 0, 1, ….
        quantity : str
            What is estimated, "log p(x)".
        estimator : str
            By what, "IWAE-5000".
        direction : {"lower", "upper", "upper if mixed", "unbiased", "exact", "none"}
            How a value's expectation relates to the quantity: a lower or upper bound, an upper bound only if the chains
            that it started from have mixed, equal to it ("unbiased"), the quantity itself without error ("exact"), or
            unknown ("none").
        budget : Budget, default None
            What it cost; None for nothing.
        ess : array-like, default None
            Effective sample size of the weights of each example, [n].
        khat : array-like, default None
            Pareto shape of the importance weights of each example, [n], NaN where unknown; above 0.7 the draws miss
            where p(z | x) lies.
        data : str, default None
            Hash of the data set.
        unit : str, default "nats"
            Unit of the values.
        divergent : array-like, default None
            Share of the Hamiltonian transitions of each example that diverged, [n].
        rhat : array-like, default None
            Greatest R-hat of the chains of each example, [n]; NaN if one never moved.
        unseen : array-like, default None
            About the share of p(z | x) in places that no chain has found, [n].
        checked : str, default None
            What is said last of whether draws from another start agree; None: nothing.

        Returns
        -------
        Estimate
            The estimate.
        """
        array = np.asarray(values, dtype=np.float64)
        variance = np.broadcast_to(np.asarray(mc_variance, dtype=np.float64), array.shape)
        rows = np.arange(array.size) if index is None else np.asarray(index)
        return cls(
            array,
            variance,
            rows.astype(np.int64),
            quantity,
            estimator,
            direction,
            budget or Budget(draws=0, seed=0),
            None if ess is None else np.asarray(ess, dtype=np.float64),
            None if khat is None else np.asarray(khat, dtype=np.float64),
            data,
            unit,
            None if divergent is None else np.asarray(divergent, dtype=np.float64),
            None if rhat is None else np.asarray(rhat, dtype=np.float64),
            None if unseen is None else np.asarray(unseen, dtype=np.float64),
            checked,
        )

    def __len__(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> float:
        """Mean over examples, in `unit`."""
        return float(self.values.mean())

    @property
    def se_mc(self) -> float:
        """Standard error of the mean due to finitely many draws, which more draws would remove.

        Noise is keyed by example, so that rows of one example, as a bootstrap takes them, err together.
        """
        _, example = np.unique(self.index, return_inverse=True)
        errors = np.bincount(example, np.sqrt(self.mc_variance))
        return float(np.sqrt(np.square(errors).sum())) / len(self)

    @property
    def se_total(self) -> float:
        """Standard error of the mean as an estimate for the population: draws and examples together."""
        with np.errstate(invalid="ignore"):  # infinite values: NaN
            return float(self.values.std(ddof=1) / math.sqrt(len(self))) if len(self) > 1 else math.nan

    @property
    def se_points(self) -> float:
        """Standard error of the mean due to finitely many examples, which more examples would remove."""
        return math.sqrt(max(self.se_total**2 - self.se_mc**2, 0.0)) if len(self) > 1 else math.nan

    @property
    def upper_limit(self) -> float:
        """Upper end of the one-sided 95 % interval for the population's mean, by Student's t."""
        return self.mean + standard_errors(len(self), sides=1) * self.se_total

    @property
    def collapsed(self) -> int:
        """Number of examples with an effective sample size below `least_ess`, whose own errors are unreliable."""
        return 0 if self.ess is None else int((self.ess < self.least_ess).sum())

    @property
    def missed(self) -> int:
        """Number of examples with k̂ above 0.7: their draws miss where p(z | x) lies."""
        return 0 if self.khat is None else int((self.khat > _KHAT_MISSES).sum())

    @property
    def diverged(self) -> int:
        """Number of examples with more than 5 % divergent transitions: their chains may lag behind the densities."""
        return 0 if self.divergent is None else int((self.divergent > _DIVERGED).sum())

    @property
    def unmixed(self) -> int:
        """Number of examples without an R-hat of at most 1.1: their chains have not mixed."""
        return 0 if self.rhat is None else int((~(self.rhat <= _MIXED)).sum())

    @property
    def scattered(self) -> int:
        """Number of examples whose chains mostly end where no other does: p(z | x) has more places than chains."""
        return 0 if self.unseen is None else int((self.unseen > _UNSEEN).sum())

    @property
    def lost(self) -> int:
        """Number of examples whose value is no finite number: their mean is none either."""
        return int((~np.isfinite(self.values)).sum())

    @property
    def warnings(self) -> list[str]:
        """Reasons not to trust the numbers, in words; usually none."""
        words = [f"no finite value on {_examples(self.lost)}"] if self.lost else []
        if self.collapsed:
            few = f"effective sample size below {self.least_ess:.2g} on {_examples(self.collapsed)}"
            words.append(f"{few}: draws error not to be trusted")
        if self.missed:
            words.append(f"k̂ above 0.7 on {_examples(self.missed)}: the draws miss where p(z | x) lies")
        if self.diverged:
            lag = "chains may lag behind there"
            words.append(f"more than 5 % of transitions diverged on {_examples(self.diverged)}: {lag}")
        if self.unmixed:
            words.append(f"R-hat above 1.1 on {_examples(self.unmixed)}: chains have not mixed")
        if self.scattered:
            words.append(f"chains end in places of their own on {_examples(self.scattered)}: others may be missed")
        return words

    @property
    def least_ess(self) -> float:
        """Effective sample size below which an example's draws error is not to be trusted: 10, or a third of few."""
        return min(_ESS_COLLAPSED, self.budget.draws / 3) or _ESS_COLLAPSED

    def at(self, index: NDArray[np.int64]) -> "Estimate":
        """The same estimate of some of its examples, in its own order.

        Parameters
        ----------
        index : array [m] of int
            Places in the data set; those that it did not measure are left out.

        Returns
        -------
        Estimate
            Of m examples or fewer.
        """
        rows = np.flatnonzero(np.isin(self.index, index))
        columns: dict[str, Any] = {name: _at_rows(getattr(self, name), rows) for name in PER_EXAMPLE}
        return replace(self, **columns)

    @plain_arguments
    def bits_per_dimension(self, dimensions: int) -> "Estimate":
        """The same as −log2 per dimension, in bits: lower is better, and a lower bound becomes an upper one."""
        if self.unit != "nats":
            raise InputError(f"Bits are made of nats, and this estimate is in {self.unit}: take the one before.")
        factor = -1.0 / (dimensions * math.log(2.0))
        quantity = f"−log₂{self.quantity[3:]}" if self.quantity.startswith("log ") else f"−log₂ of {self.quantity}"
        opposite: dict[Direction, Direction] = {"lower": "upper", "upper": "lower", "upper if mixed": "none"}
        return replace(
            self,
            values=self.values * factor,
            mc_variance=self.mc_variance * factor**2,
            quantity=f"{quantity} per dimension",
            direction=opposite.get(self.direction, self.direction),
            unit="bits",
        )

    def __sub__(self, other: "Estimate") -> "Estimate":
        """Difference over the examples that both have, paired by index; Monte-Carlo variances add.

        Each example keeps the worse diagnostics of the two (ESS relative to the draws, k̂, divergences, R-hat), so that
        a difference warns if one of its sides does.
        """
        if self.unit != other.unit:
            raise InputError(f"One estimate is in {self.unit} and the other in {other.unit}: give both in one unit.")
        if self.data != other.data:
            raise InputError("These estimates come from different data; only estimates of the same data compare.")
        if any(len(np.unique(one.index)) < len(one.index) for one in (self, other)):
            raise InputError("Examples of one index cannot be told apart, so these estimates cannot be paired.")
        shared, mine, theirs = np.intersect1d(self.index, other.index, return_indices=True)
        if not shared.size:
            raise InputError("These estimates have no example in common, so they cannot be subtracted.")
        return Estimate(
            values=self.values[mine] - other.values[theirs],
            mc_variance=self.mc_variance[mine] + other.mc_variance[theirs],
            index=shared,
            quantity=f"{self.quantity} by {self.estimator} − {other.quantity} by {other.estimator}",
            estimator="paired difference",
            direction=_difference_direction(self.direction, other.direction),
            budget=self.budget,
            ess=_either(np.fmin, self._spare_ess(mine, self), other._spare_ess(theirs, self)),
            khat=_either(np.fmax, _at_rows(self.khat, mine), _at_rows(other.khat, theirs)),
            data=self.data,
            unit=self.unit,
            divergent=_either(np.fmax, _at_rows(self.divergent, mine), _at_rows(other.divergent, theirs)),
            rhat=_either(np.maximum, _at_rows(self.rhat, mine), _at_rows(other.rhat, theirs)),
            unseen=_either(np.fmax, _at_rows(self.unseen, mine), _at_rows(other.unseen, theirs)),
        )

    def _spare_ess(self, rows: NDArray[np.int64], scale: "Estimate") -> NDArray[np.float64] | None:
        """ESS of some examples, scaled to as many draws as that of `scale`."""
        return None if self.ess is None else self.ess[rows] / self.least_ess * scale.least_ess

    def __str__(self) -> str:
        what = _DIRECTION_WORDS[self.direction].format(self.quantity)
        text = f"{self.mean:.2f} {self.unit} {self._errors()}, {what}, {self.estimator}"
        said = [text.replace("-", "−", int(self.mean < 0)), *self.warnings, self.checked]
        return "; ".join(filter(None, said))

    __repr__ = __str__

    def _errors(self) -> str:
        points = "1 point" if len(self) == 1 else f"{len(self):,} points"
        if math.isnan(self.se_mc):
            both = f"±{self.se_total:.2f} " if len(self) > 1 else "of unknown error "
            unknown = int(np.isnan(self.mc_variance).sum())
            draws = "one draw of each" if unknown == len(self) else f"a draws error unknown on {unknown:,} of them"
            return f"{both}({points} and {draws}, together)"
        points_error = f"±{self.se_points:.2f} ({points})" if len(self) > 1 else "(one point, its error unknown)"
        return f"±{self.se_mc:.2f} (draws) {points_error}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with None for NaN; `from_dict` reads them."""
        plain = asdict(self)
        plain = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in plain.items()}
        unknown = {name: plain[name] for name in ("mc_variance", "khat", "rhat") if plain[name] is not None}
        return {**plain, **{name: [None if math.isnan(v) else v for v in values] for name, values in unknown.items()}}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "Estimate":
        """The estimate that `to_dict` wrote."""
        fields = dict(plain)
        budget = Budget(**fields.pop("budget"))
        return cls.of(fields.pop("values"), budget=budget, **fields)


def _examples(count: int) -> str:
    return "1 example" if count == 1 else f"{count:,} examples"


def _at_rows(column: NDArray[Any] | None, rows: NDArray[np.int64]) -> NDArray[Any] | None:
    return None if column is None else column[rows]


def _either(
    worse: np.ufunc, mine: NDArray[np.float64] | None, other: NDArray[np.float64] | None
) -> NDArray[np.float64] | None:
    """The worse of two columns per example; if one is None, the other."""
    if mine is None or other is None:
        return other if mine is None else mine
    return np.asarray(worse(mine, other), dtype=np.float64)


def _difference_direction(mine: Direction, other: Direction) -> Direction:
    """Direction of mine − other as an estimate of the difference of the two quantities."""
    if mine == other and mine in ("exact", "unbiased"):
        return mine
    if {mine, other} == {"exact", "unbiased"}:
        return "unbiased"
    sure = ("exact", "unbiased")
    if (mine == "lower" and other in (*sure, "upper")) or (mine in sure and other == "upper"):
        return "lower"
    if (mine == "upper" and other in (*sure, "lower")) or (mine in sure and other == "lower"):
        return "upper"
    if mine == "upper if mixed" and other in (*sure, "lower"):
        return mine
    return "none"
