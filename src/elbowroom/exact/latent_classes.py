"""The latent class model: a mixture whose columns are independent within a class, for columns of any kind."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import InputError, Support, plain_arguments

from .atoms_family import atoms_fitter
from .cells import Cells
from .class_families import Family, Fitter, Held, counts_fitter, normals_fitter, tables_fitter
from .class_starts import first_shares
from .log_sums import log_sum_exp

__all__ = ["LatentClasses", "fit_latent_classes"]

Array = NDArray[np.float64]
Rows = Any  # [n, columns], an array or a CSR matrix

_SETTLED, _FEW_COLUMNS = 1e-4, 100  # EM ends when a step gains less, nats per row of so many columns

_FAMILY_OF = {"counts": "counts", "real": "normals", "unit": "normals"}  # by kind of support; the others have tables
_FITTERS: Mapping[str, Callable[[Cells, Sequence[Support], Held], Fitter]] = {
    "tables": tables_fitter,
    "normals": normals_fitter,
    "counts": counts_fitter,
    "atoms": atoms_fitter,
}


@dataclass(frozen=True, eq=False)
class LatentClasses:
    """A latent class model: p(k) = weights[k], with the columns of x independent given the class k.

    Columns of categories, binary ones and those on a grid have a table of probabilities in each class, counts a
    negative binomial, real numbers a normal. With one class it is the independence model. All is float64, in nats;
    fitted by `fit_latent_classes`. A cell that is NaN is missing, and left out: log p is that of the cells that are
    seen, 0 for a row without any.

    Parameters
    ----------
    weights : Array
        Probabilities of the classes, [classes].
    groups : sequence of (list of int, family)
        For each family of distributions, its columns and its parameters.

    References
    ----------
    Lazarsfeld & Henry, "Latent structure analysis" (1968).
    """

    weights: Array
    groups: Sequence[tuple[list[int], Family]]

    def log_prob(self, x: Rows) -> Array:
        """log p(x) of rows x [n, columns], [n], in nats: probabilities of discrete columns, densities of real ones."""
        return np.asarray(log_sum_exp(self._joint(self._cells(x))))

    def posterior(self, x: Rows) -> Array:
        """p(k | x) of rows x [n, columns], [n, classes]."""
        joint = self._joint(self._cells(x))
        return np.asarray(np.exp(joint - log_sum_exp(joint)[:, None]))

    @property
    def between(self) -> float:
        """Var E[x | k], summed over columns: the part of the variance that the class explains."""
        means = np.concatenate([family.moments()[0] for _, family in self.groups], 1)
        return float(self.weights @ np.square(means - self.weights @ means).sum(1))

    @property
    def within(self) -> float:
        """E Var[x | k], summed over columns: the part of the variance that the class leaves."""
        return float(self.weights @ sum(family.moments()[1].sum(1) for _, family in self.groups))

    def _cells(self, x: Rows) -> list[Cells]:
        """The columns of every family."""
        whole = Cells(x)
        return [whole.chosen(columns) for columns, _ in self.groups]

    def _joint(self, cells: Sequence[Cells]) -> Array:
        """log p(x, k), [n, classes]."""
        parts = (family.log_prob(some) for (_, family), some in zip(self.groups, cells, strict=True))
        return np.asarray(np.log(self.weights) + sum(parts))


@plain_arguments
def fit_latent_classes(
    x: Rows,
    supports: Sequence[Support],
    classes: int,
    *,
    floor: float = 1e-3,
    smoothing: float = 1.0,
    seed: int = 0,
    restarts: int = 1,
    steps: int = 100,
) -> LatentClasses:
    """Fit a latent class model to rows by expectation–maximisation, started by k-means.

    Parameters
    ----------
    x : array or CSR matrix
        Rows, [n, columns]; NaN where a cell is missing, which is then left out of the likelihood.
    supports : sequence of Support
        The support of each column.
    classes : int
        Number of classes; 1 gives the independence model.
    floor : float, default 1e-3
        What the variance of a normal has added, as a share of the column's own.
    smoothing : float, default 1.0
        How many rows the table of all rows counts as in each class. In that table, as many are added to each count, one
        at most where there are several classes.
    seed : int, default 0
        Seed of k-means.
    restarts : int, default 1
        How often it begins; the fit with the highest likelihood is kept.
    steps : int, default 100
        Most steps of the algorithm; it ends when the mean log-likelihood changes by less than 10⁻⁴ nats per
        row, or 10⁻⁶ per cell where there are more than 100 columns.

    Returns
    -------
    LatentClasses
        The fitted model.

    Raises
    ------
    InputError
        For fewer rows than classes, or another number of supports than of columns.

    Notes
    -----
    Negative binomials are fitted by maximum likelihood.

    References
    ----------
    Dempster, Laird & Rubin, "Maximum likelihood from incomplete data via the EM algorithm" (1977).

    Examples
    --------
    >>> x = np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0], [2.0, 0.0]])
    >>> alone = fit_latent_classes(x, [Support("categorical", 3), Support("binary")], 1)
    >>> np.exp(alone.log_prob(x[:1])).round(4)   # (2 + 1) / (4 + 3) · (2 + 1) / (4 + 2)
    array([0.2143])
    """
    rows, columns = x.shape
    if len(supports) != columns or not 1 <= classes <= rows:
        raise InputError(
            f"Latent classes need a support per column and a row or more per class; got {columns} columns, "
            f"{len(supports)} supports, {rows} rows and {classes} classes."
        )
    whole = Cells(x)
    groups = _groups(supports)
    cells = [whole.chosen(some) for _, some in groups]
    held = Held(floor, smoothing)
    fitters = [
        _FITTERS[name](some, [supports[i] for i in where], held)
        for (name, where), some in zip(groups, cells, strict=True)
    ]

    def maximise(shares: Array) -> LatentClasses:
        fitted = [fitter(shares) for fitter in fitters]
        weights = shares.sum(0) + 1.0 / shares.shape[1]
        return LatentClasses(
            weights / weights.sum(), [(some, one) for (_, some), one in zip(groups, fitted, strict=True)]
        )

    if classes == 1:
        return maximise(np.ones((rows, 1)))
    settled = _SETTLED * max(columns / _FEW_COLUMNS, 1.0)
    begun = (first_shares(whole, supports, classes, seed + one) for one in range(restarts))
    found = [_climbed(maximise, cells, shares, steps, settled) for shares in begun]
    return max(found, key=lambda pair: pair[1])[0]


def _climbed(
    maximise: Callable[[Array], LatentClasses], cells: Sequence[Cells], shares: Array, steps: int, settled: float
) -> tuple[LatentClasses, float]:
    """Where the steps lead from the first shares of the rows in every class, and its mean log-likelihood."""
    last = -np.inf
    for _ in range(steps):
        model = maximise(shares)
        joint = model._joint(cells)
        log_prob = log_sum_exp(joint)
        shares, score = np.exp(joint - log_prob[:, None]), float(log_prob.mean())
        if abs(score - last) < settled:
            break
        last = score
    return model, score


def _groups(supports: Sequence[Support]) -> list[tuple[str, list[int]]]:
    """For each family of distributions its columns."""
    names = ["atoms" if one.atoms else _FAMILY_OF.get(one.kind, "tables") for one in supports]
    return [(name, [i for i, other in enumerate(names) if other == name]) for name in dict.fromkeys(names)]
