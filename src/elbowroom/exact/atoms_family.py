"""Columns with atoms within a class: a table of the atoms, and a normal of what lies between them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from elbowroom.distributions.normal_with_atoms import ATOM
from elbowroom.numerics import Support

from .cells import Cells
from .class_families import Family, Fitter, Held, normals_fitter, tables_fitter

__all__ = ["WithAtoms", "atoms_fitter"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class WithAtoms(Family):
    """A probability for each atom of a column, and a normal for all other values.

    Parameters
    ----------
    atoms : sequence of tuple of float
        Of every column.
    which : Family
        The table of 0 (no atom), 1, 2, … (which one).
    between : Family
        The normals.
    """

    atoms: Sequence[tuple[float, ...]]
    which: Family
    between: Family

    def log_prob(self, x: Cells) -> Array:
        """Of the cells that are seen."""
        which, between = _parted(x, self.atoms)
        return self.which.log_prob(which) + self.between.log_prob(between)

    def moments(self) -> tuple[Array, Array]:
        """Of the columns, by the atoms' shares among the rows of each class."""
        means, variances = self.between.moments()
        p = [self._probabilities(i) for i in range(len(self.atoms))]  # [classes, 1 + atoms] of every column
        mean, square = means.copy(), variances + np.square(means)
        for i, (shares, places) in enumerate(zip(p, self.atoms, strict=True)):
            mean[:, i] = shares[:, 0] * means[:, i] + shares[:, 1:] @ np.array(places)
            square[:, i] = shares[:, 0] * square[:, i] + shares[:, 1:] @ np.square(places)
        return mean, square - np.square(mean)

    def _probabilities(self, column: int) -> Array:
        rows = np.full((1 + len(self.atoms[column]), len(self.atoms)), np.nan)
        rows[:, column] = np.arange(len(rows))
        return np.exp(self.which.log_prob(Cells(rows))).T


def atoms_fitter(x: Cells, supports: Sequence[Support], held: Held) -> Fitter:
    """What fits tables of the atoms, and normals of the values between."""
    atoms = [one.atoms for one in supports]
    which, between = _parted(x, atoms)
    tables = tables_fitter(which, [Support("categorical", 1 + len(one)) for one in atoms], held)
    normals = normals_fitter(between, supports, held)
    return lambda shares: WithAtoms(atoms, tables(shares), normals(shares))


def _parted(x: Cells, atoms: Sequence[tuple[float, ...]]) -> tuple[Cells, Cells]:
    """Which atom each cell is, and the cells that are none; NaN where one has nothing to say."""
    dense = np.asarray(x.x, dtype=np.float64)
    which = np.where(np.isnan(dense), np.nan, 0.0)
    for column, places in enumerate(atoms):
        for number, place in enumerate(places, start=1):
            which[np.abs(dense[:, column] - place) <= ATOM, column] = number
    return Cells(which), Cells(np.where(which == 0, dense, np.nan))
