"""Data as a source gives them, before support, split and preprocessing; and what may be in them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import InputError, Support
from elbowroom.numerics.text import name_list

from .csr_on_disk import CsrOnDisk

__all__ = ["Raw", "without_columns"]


@dataclass
class Raw:
    """What a source holds, before support, split and preprocessing.

    Parameters
    ----------
    x : array, memory-mapped array or CSR matrix
        [n, D] for a table, [n, H, W] or [n, C, H, W] for images; NaN where a cell is missing.
    labels : array, optional
        Of any kind, one per example.
    label_names : list of str, optional
        Names of the classes, where labels are codes.
    columns : list of str, optional
        Names of a table's columns.
    support : Support, optional
        Where the source says it.
    official : tuple of int, default (0, 0)
        How many of the last rows are the official validation and test parts, in this order.
    notes : list of str, default []
        What a person should know.
    classes : dict of list, default {}
        Of the columns that came in words, the words in the order of their codes in x.
    taken : dict of array, default {}
        Columns that were asked for by name beside x, as they came.
    row_names : list of str, optional
        Names of the rows, as cells have.
    what : str, default "The table"
        What sentences about the values call them.
    counts_elsewhere : callable, optional
        Of a table of cells: the ways to say those of its other matrices that hold counts.
    turned : str, default ""
        What the values were, such as "k/255", where they were taken for levels on another scale.
    left_out : tuple of int, default ()
        Places, in the source, of the columns that were left out.
    row : callable, optional
        Number of a row → where it stands, as "row 3" or "line 5".
    """

    x: Any
    labels: Any = None
    label_names: list[str] | None = None
    columns: list[str] | None = None
    support: Support | None = None
    official: tuple[int, int] = (0, 0)
    notes: list[str] = field(default_factory=list)
    classes: dict[str, list[str]] = field(default_factory=dict)
    taken: dict[str, NDArray[Any]] = field(default_factory=dict)
    row_names: list[str] | None = None
    what: str = "The table"
    counts_elsewhere: Callable[[], list[str]] | None = None
    turned: str = ""
    left_out: tuple[int, ...] = ()
    row: Callable[[int], str] = "row {}".format

    @property
    def names(self) -> list[str]:
        """Names of a table's columns, or their places in the source, counted from 0."""
        out, width = set(self.left_out), self.x.shape[1] + len(self.left_out)
        return self.columns or [str(i) for i in range(width) if i not in out]

    def with_columns(self, kept: NDArray[np.int64]) -> "Raw":
        """The table with these of its columns alone."""
        names = self.names
        stay = [names[i] for i in kept]
        gone = set() if self.columns else set(names) - set(stay)
        return replace(
            self,
            x=self.x.of_columns(kept) if isinstance(self.x, CsrOnDisk) else self.x[:, kept],
            columns=self.columns and stay,
            classes={name: words for name, words in self.classes.items() if name in stay},
            left_out=tuple(sorted([*self.left_out, *map(int, gone)])),
        )


def without_columns(raw: Raw, out: NDArray[np.bool_], why: str) -> Raw:
    """A table without some of its columns, and a note that names them.

    Parameters
    ----------
    raw : Raw
        With x [n, columns].
    out : array
        [columns], True where one is left out.
    why : str
        What is said of them.

    Returns
    -------
    Raw
        The other columns.

    Raises
    ------
    InputError
        Where the table is memory-mapped, of which no columns can be left out without reading it whole.
    """
    names = np.array(raw.names, dtype=object)[out]
    if isinstance(raw.x, np.memmap):
        raise InputError(f"Memory-mapped columns have {why} ({name_list(names)}): leave them out of the file.")
    note = f"Left out: {name_list(names)} ({why})."
    return replace(raw.with_columns(np.flatnonzero(~out)), notes=[*raw.notes, note])
