"""Files of cells, each by its content: .h5ad, HDF5 and folders of 10x, HDF5 with a matrix X and labels Y."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from elbowroom.numerics import InputError

from .anndata_objects import needs_anndata, of_h5ad
from .cell_table import CellTable, Matrix, in_rows
from .ten_x import is_10x, matrix_file, of_10x_h5, of_mtx
from .text import unreadable

__all__ = ["CELL_ENDINGS", "is_of_cells", "read_cells"]

CELL_ENDINGS = (".h5ad", ".h5", ".hdf5", ".mtx", ".mtx.gz")
_HDF5 = (".h5ad", ".h5", ".hdf5", ".loom")


def is_of_cells(path: Path) -> bool:
    """Whether a file, or a folder of 10x, is read as one of cells.

    Parameters
    ----------
    path : Path
        That exists.

    Returns
    -------
    bool
        By its ending; of a folder by the files in it.
    """
    return (path.is_file() and path.name.lower().endswith(_HDF5)) or matrix_file(path) is not None


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
    matrix = matrix_file(path)
    if matrix is not None:
        return of_mtx(matrix)
    needs_anndata(repr(path.name))
    import h5py

    with _said(path), h5py.File(path, "r") as file:
        names = set(file)
        dense = {name for name in names if isinstance(file[name], h5py.Dataset)}
        if {"obs", "var"} <= names:
            kind = "h5ad"
        elif is_10x(file):
            kind = "10x"
        elif "X" in dense:
            kind = "plain"
        elif "row_attrs" in names:
            raise InputError(
                f"{path.name!r} is a loom file, which is not read here: anndata.io.read_loom(path) (it needs loompy) "
                "makes an AnnData of it, which load_data takes."
            )
        else:
            held = ", ".join(sorted(names)[:8]) or "nothing"
            raise InputError(
                f"{path.name!r} holds {held}, and no table of cells (X with obs and var, or X alone): write "
                "it as .h5ad."
            )
    with _said(path):
        return {"h5ad": of_h5ad, "10x": of_10x_h5, "plain": _plain}[kind](path)


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
