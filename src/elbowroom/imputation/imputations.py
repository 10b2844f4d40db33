"""What `impute` returns: several completed tables, and the median, mean and intervals of every missing cell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import InputError, count

from .column_scores import ColumnScore, column_scores, fewest_samples

__all__ = ["UNRELIABLE", "Imputations", "joined"]

UNRELIABLE = 0.7
"""k̂ above which importance weights say nothing (Vehtari et al., 2024)."""


@dataclass(frozen=True)
class Imputations:
    """Draws of the missing cells of some examples given their seen ones; made by `impute`.

    Parameters
    ----------
    x : array [n, *event]
        The examples on the user's scale, NaN where a cell is missing.
    drawn : array [samples, m]
        Draws of each of the m missing cells; the draws of one example belong together.
    rows : array [m]
        Which example each missing cell is of.
    cells : array [m]
        Which element of it, counted along the flattened event.
    imputations : int
        How many of the draws `values` shows as completed tables.
    index : array [n]
        The place of each example in its data set.
    khat : array [n]
        The Pareto shape k̂ of each example's importance weights, NaN where no cell is missing or all weights are alike.
    annealed : array [n]
        Whether an example's z come from annealing, because its weights were unreliable.
    categorical : array [D]
        Which elements are classes without an order, which have no mean and no interval.
    columns : list of str or None
        Names of the columns of a table.
    classes : mapping
        Name of a column of words → its words in the order of their codes.
    notes : list of str
        What a person should know.
    truth : array [m] or None
        What the missing cells hold, where they were left out on purpose; NaN where they are missing anyway.
    unreliable : array [n]
        Whether an example's weights were unreliable and z could not be annealed, or too few annealed chains carried the
        weight, for the reason in `notes`: its draws may be of another density, and intervals too short.

    Examples
    --------
    >>> found = Imputations(np.array([[1.0, np.nan]]), np.array([[2.0], [4.0], [9.0]]), np.array([0]), np.array([1]), 2)
    >>> found.values.tolist(), found.median.tolist(), found.mean.tolist()
    ([[[1.0, 2.0]], [[1.0, 4.0]]], [[1.0, 4.0]], [[1.0, 5.0]])
    """

    x: NDArray[np.float64]
    drawn: NDArray[np.float64]
    rows: NDArray[np.int64]
    cells: NDArray[np.int64]
    imputations: int
    index: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    khat: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    annealed: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    categorical: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    columns: list[str] | None = None
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    truth: NDArray[np.float64] | None = None
    unreliable: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))

    def __len__(self) -> int:
        return len(self.x)

    @property
    def values(self) -> NDArray[np.float64]:
        """Completed tables, [imputations, n, *event]: each a draw of all missing cells; seen cells are as they were."""
        return np.stack([self.completed(drawn) for drawn in self.drawn[: self.imputations]])

    @cached_property
    def median(self) -> NDArray[np.float64]:
        """The table completed with each cell's median, [n, *event]; of classes, with the most probable one.

        It is one of the values drawn, so that it lies where the data lie.
        """
        if not len(self.rows):
            return self.x.copy()
        found = self._quantile(0.5, "inverted_cdf")
        for cell in np.flatnonzero(self._classes):
            drawn, times = np.unique(self.drawn[:, cell], return_counts=True)
            found[cell] = drawn[times.argmax()]
        return self.completed(found)

    @cached_property
    def mean(self) -> NDArray[np.float64]:
        """The table completed with each cell's mean, [n, *event]; NaN in missing cells of classes."""
        return self.completed(np.where(self._classes, np.nan, self.drawn.mean(0)))

    def interval(self, level: float = 0.95) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Two tables between which each missing cell lies with this probability, by the model.

        Parameters
        ----------
        level : float, default 0.95
            The probability, between 0 and 1.

        Returns
        -------
        low : array
            [n, *event]; seen cells as they are, NaN in missing cells of classes.
        high : array
            The same shape.

        Raises
        ------
        InputError
            For a level outside 0 and 1, or beyond what so few samples reach.

        Examples
        --------
        >>> drawn = np.arange(0.5, 99.0)[:, None]
        >>> found = Imputations(np.array([[np.nan]]), drawn, np.array([0]), np.array([0]), 1)
        >>> [round(end.item(), 6) for end in found.interval(0.9)]
        [4.5, 94.5]
        """
        if not 0 < level < 1:
            raise InputError(f"The level of an interval is a probability between 0 and 1; got {level}.")
        n, needed = len(self.drawn), fewest_samples(level)
        if len(self.rows) and n < needed:
            raise InputError(
                f"{n} samples of a cell reach an interval of {100 * (n - 1) / (n + 1):.3g} %, and {100 * level:g} % "
                f"are asked for: impute with samples={needed} or more."
            )
        ends = (self._quantile((1 - level) / 2, "weibull"), self._quantile((1 + level) / 2, "weibull"))
        ends = (np.where(self._whole, np.floor(ends[0]), ends[0]), np.where(self._whole, np.ceil(ends[1]), ends[1]))
        low, high = (self.completed(np.where(self._classes, np.nan, end)) for end in ends)
        return low, high

    @cached_property
    def scores(self) -> list[ColumnScore]:
        """How near the draws come to the truth, a line per column; none where nothing was left out on purpose."""
        return [] if self.truth is None else column_scores(self, self.truth)

    def to_frame(self, which: int | None = None) -> Any:
        """One completed table as a pandas DataFrame, with the names of columns and the words of classes.

        Parameters
        ----------
        which : int, optional
            Number of the imputation; by default the median.

        Returns
        -------
        DataFrame
            [n, columns], in the order of the examples; its index is their places in their data set.

        Raises
        ------
        InputError
            For a number that there is not.

        Examples
        --------
        >>> found = Imputations(np.array([[1.0, np.nan]]), np.array([[1.0], [1.0]]), np.array([0]), np.array([1]), 2,
        ...                     categorical=np.array([False, True]), columns=["a", "b"], classes={"b": ["no", "yes"]})
        >>> found.to_frame().to_dict("list")
        {'a': [1.0], 'b': ['yes']}
        """
        if which is not None and not 0 <= which < self.imputations:
            raise InputError(f"There are imputations 0 to {self.imputations - 1}; got {which}.")
        return self.framed(self.median if which is None else self.completed(self.drawn[which]))

    def framed(self, table: NDArray[np.float64]) -> Any:
        """A table as a DataFrame, with the names of columns and the words of classes.

        Parameters
        ----------
        table : array
            [n, *event], on the user's scale.

        Returns
        -------
        DataFrame
            [n, columns]; its index is the places of the examples in their data set.
        """
        import pandas as pd

        flat = table.reshape(len(table), -1)
        names = self.columns or [f"x{i}" for i in range(flat.shape[1])]
        frame = pd.DataFrame(flat, columns=names, index=self.index if len(self.index) == len(flat) else None)
        for name in names:
            if name in self.classes:
                words = np.array([*self.classes[name], None], dtype=object)
                codes = frame[name].to_numpy()
                frame[name] = words[np.where(np.isnan(codes), len(words) - 1, codes).astype(int)]
        return frame

    def completed(self, drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        """The table with these values in the missing cells.

        Parameters
        ----------
        drawn : array
            [m], one for each missing cell, in the order of `rows` and `cells`.

        Returns
        -------
        array
            [n, *event].
        """
        table = self.x.reshape(len(self.x), -1).copy()
        table[self.rows, self.cells] = drawn
        return table.reshape(self.x.shape)

    def __str__(self) -> str:
        gaps = len(np.unique(self.rows))
        line = (
            f"{count(len(self.rows), 'missing cell')} of {count(gaps, 'example')}, {self.imputations:,} completed "
            f"tables and {len(self.drawn):,} draws of each cell"
        )
        if bool(self.annealed.any()):
            line += f"; z of {count(int(self.annealed.sum()), 'example')} annealed, whose weights were unreliable"
        if bool(self.unreliable.any()):
            line += f"; the draws of {count(int(self.unreliable.sum()), 'example')} are unreliable and stayed in use"
        return "\n".join([line + ".", *map(str, self.scores), *self.notes])

    __repr__ = __str__

    @property
    def _classes(self) -> NDArray[np.bool_]:
        """Which missing cells are classes, [m]."""
        return self.categorical[self.cells] if len(self.categorical) else np.zeros(len(self.cells), bool)

    @cached_property
    def _whole(self) -> NDArray[np.bool_]:
        """Which missing cells are drawn in whole numbers, [m]."""
        found: NDArray[np.bool_] = (self.drawn == np.round(self.drawn)).all(0)
        return found

    def _quantile(self, q: float, method: Any) -> NDArray[np.float64]:
        if not len(self.rows):
            return np.zeros(0)
        return np.asarray(np.quantile(self.drawn, q, axis=0, method=method))


def joined(parts: Sequence[Imputations]) -> Imputations:
    """The imputations of several parts of a data set as one, in the order of their places in it.

    Parameters
    ----------
    parts : sequence of Imputations
        With the same settings.

    Returns
    -------
    Imputations
        Of all examples.
    """
    index = np.concatenate([part.index for part in parts])
    order = index.argsort(kind="stable")
    place = order.argsort(kind="stable")
    starts = np.cumsum([0, *(len(part) for part in parts[:-1])])
    first = parts[0]
    return Imputations(
        x=np.concatenate([part.x for part in parts])[order],
        drawn=np.concatenate([part.drawn for part in parts], 1),
        rows=place[np.concatenate([part.rows + start for part, start in zip(parts, starts, strict=True)])],
        cells=np.concatenate([part.cells for part in parts]),
        imputations=first.imputations,
        index=index[order],
        khat=np.concatenate([part.khat for part in parts])[order],
        annealed=np.concatenate([part.annealed for part in parts])[order],
        unreliable=np.concatenate([part.unreliable for part in parts])[order],
        categorical=first.categorical,
        columns=first.columns,
        classes=first.classes,
        notes=list(dict.fromkeys(note for part in parts for note in part.notes)),
        truth=None if first.truth is None else np.concatenate([one for p in parts if (one := p.truth) is not None]),
    )
