"""Files of cells: .h5ad, HDF5 of 10x, and HDF5 with a matrix X and labels Y."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from elbowroom.numerics import InputError

from .anndata_objects import needs_anndata, of_h5ad
from .cell_table import CellTable, Matrix, in_rows
from .text import unreadable

__all__ = ["CELL_ENDINGS", "is_of_cells", "read_cells"]

CELL_ENDINGS = (".h5ad", ".h5", ".hdf5")


def is_of_cells(path: Path) -> bool:
    """Whether a file is read as one of cells.

    Parameters
    ----------
    path : Path
        That exists.

    Returns
    -------
    bool
        By its ending.
    """
    return path.is_file() and path.name.lower().endswith(CELL_ENDINGS)


def read_cells(path: Path) -> CellTable:
    """The table of cells that a file holds, by its content and not its ending.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    CellTable
        Matrices are read when they are asked for.

    Raises
    ------
    InputError
        For what holds no such table, or is cut short.
    """
    needs_anndata(repr(path.name))
    import h5py

    with _said(path), h5py.File(path, "r") as file:
        names = set(file)
        dense = {name for name in names if isinstance(file[name], h5py.Dataset)}
        if {"obs", "var"} <= names:
            kind = "h5ad"
        elif "X" in dense:
            kind = "plain"
        else:
            held = ", ".join(sorted(names)[:8]) or "nothing"
            raise InputError(
                f"{path.name!r} holds {held}, and no table of cells (X with obs and var, or X alone): write "
                "it as .h5ad."
            )
    with _said(path):
        return of_h5ad(path) if kind == "h5ad" else _plain(path)


def _plain(path: Path) -> CellTable:
    """A matrix X, and classes Y where there are any."""
    import h5py

    with h5py.File(path, "r") as file:
        x = in_rows(file["X"], f"X of {path.name!r}")
        obs = pd.DataFrame({name: file[name][:] for name in ("Y",) if name in file}, index=map(str, range(x.shape[0])))
    genes = [str(place) for place in range(x.shape[1])]
    return CellTable(repr(path.name), {"X": Matrix(lambda rows=None: x[:rows], genes)}, obs, obs.get("Y"))


@contextmanager
def _said(path: Path) -> Iterator[None]:
    """Errors of the HDF5 library as one sentence about the file."""
    try:
        yield
    except InputError:
        raise
    except (OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise unreadable(repr(path.name), error) from error
