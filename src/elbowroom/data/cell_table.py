"""Cells by genes with what is known of both, as files and AnnData objects hold them, and their way to raw data."""

import difflib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elbowroom.numerics import InputError
from elbowroom.numerics.text import name_list

from .cells import Origin
from .csr_on_disk import CsrOnDisk
from .raw import Raw
from .series import words_or_numbers
from .text import unreadable
from .values import is_sparse

__all__ = ["CellTable", "Matrix", "from_cells", "in_rows", "twice_named"]

_LOOKED_AT = 200  # rows of a matrix, by which it is called counts
_CELLS_AT_ONCE = 2**22


@dataclass(frozen=True)
class Matrix:
    """One matrix of a table of cells.

    Parameters
    ----------
    read : callable
        Reads it: without arguments all of it, with a number only so many first rows.
    genes : sequence of str
        Names of its columns.
    chosen : array, optional
        [genes], which of them the source marks as highly variable.
    """

    read: Callable[..., Any]
    genes: Sequence[str]
    chosen: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class CellTable:
    """Cells by genes as a source holds them; no matrix is read before it is asked for.

    Parameters
    ----------
    what : str
        What sentences call the source.
    matrices : mapping of str to Matrix
        "X", "raw" and the layers by name.
    obs : DataFrame
        A row for each cell, by its name.
    labels : Any, optional
        Classes that come with the source without being asked for.
    notes : sequence of str, default ()
        What the reader left out.
    """

    what: str
    matrices: Mapping[str, Matrix]
    obs: pd.DataFrame
    labels: Any = None
    notes: Sequence[str] = field(default_factory=tuple)


def from_cells(
    table: CellTable, labels: Any, beside: Sequence[str] = (), drop: Sequence[str] = (), layer: str | None = None
) -> tuple[Raw, Any]:
    """Raw data of a table of cells, and its labels.

    Parameters
    ----------
    table : CellTable
        What a reader found.
    labels : array, str or None
        Or the name of a column of obs.
    beside : sequence of str, default ()
        Columns of obs that are asked for.
    drop : sequence of str, default ()
        Genes that are left out.
    layer : str, optional
        A layer's name, or "raw"; by default X.

    Returns
    -------
    raw : Raw
        Its x is a CSR matrix, in memory or on the disk.
    labels : array or None
        One per cell.

    Raises
    ------
    InputError
        For a layer, column or gene that is not there.
    """
    name, matrix = _matrix_of(table, layer)
    genes, notes = _own_names(matrix.genes, table.what)
    asked = dict.fromkeys([*beside, *([labels] if isinstance(labels, str) else [])])
    taken = {column: _column(table, column) for column in asked}
    x = _read(matrix, f"{name} of {table.what}")
    if x.shape != (len(table.obs), len(genes)):
        raise InputError(
            f"{name} of {table.what} is {x.shape[0]:,} × {x.shape[1]:,}, and there are names for {len(table.obs):,} "
            f"cells and {len(genes):,} genes: the file is broken, write it again."
        )
    if drop:
        x, genes = _without(x, genes, drop, table.what)
    raw = Raw(x, columns=genes, taken=taken, notes=[*table.notes, *notes, *_note_on_chosen(matrix)])
    raw.row_names = [str(one) for one in table.obs.index]
    raw.what = f"{name} of {table.what}"
    raw.counts_elsewhere = lambda: _others_with_counts(table, name)
    if isinstance(labels, str):
        return raw, taken[labels]
    return raw, table.labels if labels is None else labels


def _read(matrix: Matrix, what: str) -> Any:
    """The matrix, or a sentence about what is broken in it."""
    try:
        return in_rows(matrix.read(), what)
    except InputError:
        raise
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise unreadable(what, error) from error


def in_rows(x: Any, what: str) -> Any:
    """A matrix of any kind as CSR, a dense one part by part; one on the disk stays there.

    Parameters
    ----------
    x : array, HDF5 data set, sparse matrix or CsrOnDisk
        [cells, genes].
    what : str
        What errors call it.

    Returns
    -------
    CSR matrix or CsrOnDisk
        The same numbers.

    Raises
    ------
    InputError
        For what are no numbers.
    """
    from scipy import sparse

    if isinstance(x, CsrOnDisk):
        return x
    if x is None or getattr(x, "ndim", 0) != 2 or x.dtype.kind not in "buif":
        raise InputError(f"{what} holds no matrix of numbers: name another by layer=.")
    if is_sparse(x):
        rows = x.tocsr()
        if not rows.has_canonical_format:
            rows = rows.copy()
            rows.sum_duplicates()
        return rows
    step = max(_CELLS_AT_ONCE // max(x.shape[1], 1), 1)
    stored = (getattr(x, "chunks", None) or (1,))[0]  # rows that a file keeps together, unpacked as one
    step = -(-step // stored) * stored
    kind = np.float32 if x.dtype == np.float16 else x.dtype.newbyteorder("=")  # others SciPy has not
    parts = [sparse.csr_matrix(np.asarray(x[at : at + step]).astype(kind)) for at in range(0, x.shape[0], step)]
    return sparse.vstack(parts, format="csr") if parts else sparse.csr_matrix(x.shape)


def _matrix_of(table: CellTable, layer: str | None) -> tuple[str, Matrix]:
    """The matrix that is asked for, and what sentences call it."""
    if layer is None and "X" not in table.matrices:
        ways = " or ".join(f"layer={one!r}" for one in table.matrices)
        raise InputError(f"{_first(table.what)} has no X: {f'say {ways}' if ways else 'it holds no matrix at all'}.")
    key = layer or "X"
    if key not in table.matrices:
        there = [one for one in table.matrices if one != "X"]
        raise InputError(
            f"{_first(table.what)} has no layer {key!r}; it has {_names(there, key) if there else 'X alone'}."
        )
    return key if key in ("X", "raw") else f"layer {key!r}", table.matrices[key]


def _first(what: str) -> str:
    """As the first word of a sentence."""
    return what[:1].upper() + what[1:]


def _names(there: Sequence[Any], asked: str) -> str:
    """Names that are there, those that are spelled nearly so first."""
    names = [str(one) for one in there]
    lowered = {name.lower(): name for name in reversed(names)}
    near = [lowered[one] for one in difflib.get_close_matches(asked.lower(), lowered, 3)]
    return name_list(dict.fromkeys([*near, *names]), 12)


def _column(table: CellTable, name: str) -> Any:
    """A column of obs, categorical ones with the categories that occur."""
    if name not in table.obs.columns:
        there = list(table.obs.columns)
        has = f"obs has {_names(there, name)}" if there else "its obs has no columns"
        raise InputError(f"{_first(table.what)} has no obs column {name!r}; {has}.")
    column = table.obs[name]
    if column.ndim > 1:
        raise InputError(f"{_first(table.what)} has two obs columns named {name!r}: give each a name of its own.")
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.cat.remove_unused_categories()
        if not column.cat.ordered and not column.isna().any():
            return column.astype(str).to_numpy(dtype=object)
    return words_or_numbers(column, Origin(table.what))


def _own_names(genes: Sequence[str], what: str) -> tuple[list[str], list[str]]:
    """Names of genes, and one for those that have another's; with a note on these."""
    names: dict[str, None] = {}
    changed = []
    for gene in map(str, genes):
        own, times = gene, 2
        while own in names:
            own, times = f"{gene} ({times})", times + 1
        names[own] = None
        if own != gene:
            changed.append(own)
    note = (
        f"Gene names that stand more than once in {what} were given a number: {name_list(changed)}. They stay genes of "
        "their own; adata.var_names_make_unique() names them for good."
    )
    return list(names), [note] * bool(changed)


def twice_named(table: CellTable, layer: str | None = None) -> set[str]:
    """Genes that share their name with another, by the names that they are given.

    Parameters
    ----------
    table : CellTable
        What a reader found.
    layer : str, optional
        As for `from_cells`.

    Returns
    -------
    set of str
        The first of each name, and those that were given a number.
    """
    genes = list(map(str, _matrix_of(table, layer)[1].genes))
    many = Counter(genes)
    own, _ = _own_names(genes, table.what)
    return {name for name, gene in zip(own, genes, strict=True) if many[gene] > 1}


def _without(x: Any, genes: list[str], drop: Sequence[str], what: str) -> tuple[Any, list[str]]:
    known = set(genes)
    for gene in drop:
        if gene not in known:
            raise InputError(f"{_first(what)} has no gene {gene!r} to drop; it has {_names(genes, gene)}.")
    kept = np.array([place for place, gene in enumerate(genes) if gene not in set(drop)])
    return x[:, kept] if not isinstance(x, CsrOnDisk) else x.of_columns(kept), [genes[place] for place in kept]


def _note_on_chosen(matrix: Matrix) -> list[str]:
    """That a choice of genes which came with the file may have seen the rows of the test part."""
    if matrix.chosen is None:
        return []
    chosen, every = int(matrix.chosen.sum()), len(matrix.chosen)
    seen = "chosen elsewhere, most likely on all rows, those of the test part among them"
    if chosen == every:
        return [
            f"All {every:,} genes are marked highly_variable: {seen}. Held-out numbers are of genes that were picked "
            "in their sight; genes= picks on training rows alone, from a file that holds every gene."
        ]
    return [
        f"The mark highly_variable ({chosen:,} of {every:,} genes) was not used: {seen}; genes={chosen} picks afresh."
    ]


def _others_with_counts(table: CellTable, name: str) -> list[str]:
    """Ways to say the matrices that look like counts, by their first rows."""
    found = []
    for key, matrix in table.matrices.items():
        if key == name.removeprefix("layer ").strip("'"):
            continue
        try:
            some = in_rows(matrix.read(_LOOKED_AT), key)
        except (InputError, OSError):
            continue
        values = some.data
        if len(values) and (values >= 0).all() and (values == np.round(values)).all():
            found.append(f"layer={key!r}")
    return found
