"""AnnData objects and .h5ad files as tables of cells."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from elbowroom.numerics import InputError

from .cell_table import CellTable, Matrix, in_rows
from .csr_on_disk import CsrOnDisk
from .memory import refuse_what_exceeds_memory

__all__ = ["is_anndata", "needs_anndata", "of_anndata", "of_h5ad"]

_STAYS_FROM = 2**30  # bytes of a sparse matrix from which it stays on the disk
_MARK = "highly_variable"


def is_anndata(source: Any) -> bool:
    """Whether this is an AnnData object; one of several modalities is refused.

    Parameters
    ----------
    source : Any
        Anything.

    Returns
    -------
    bool
        Nothing is imported for it.

    Raises
    ------
    InputError
        For a MuData.
    """
    kind = type(source)
    if kind.__name__ == "MuData":
        raise InputError("The source is a MuData, which holds several tables: give one of them, such as mdata['rna'].")
    return kind.__name__ == "AnnData" or any(base.__name__ == "AnnData" for base in kind.__mro__[1:-1])


def needs_anndata(what: str) -> Any:
    """The module anndata, or the sentence that says how to get it.

    Parameters
    ----------
    what : str
        What cannot be read without it.

    Returns
    -------
    module
        anndata.

    Raises
    ------
    InputError
        Where it is not installed.
    """
    try:
        import anndata
    except ImportError as error:
        raise InputError(f'{what} needs anndata: pip install "elbowroom[cells]".') from error
    return anndata


def of_anndata(adata: Any) -> CellTable:
    """The table that an AnnData object holds, in memory or backed.

    Parameters
    ----------
    adata : AnnData
        Any; it is not changed.

    Returns
    -------
    CellTable
        Whose matrices are not copied; X of a backed object stays on the disk where it is in rows (CSR).
    """
    backed = bool(getattr(adata, "isbacked", False))
    if backed and adata.is_view:
        adata, backed = adata.to_memory(), False
    matrices: dict[str, Matrix] = {}
    if backed:
        with_file = _h5ad_matrices(Path(adata.filename), ("X",), stays_from=0)
        matrices |= {name: Matrix(one.read, *_genes(adata.var)) for name, one in with_file.items()}
    elif adata.X is not None:
        matrices["X"] = Matrix(_in_memory(adata.X, "X"), *_genes(adata.var))
    matrices |= {str(name): Matrix(_in_memory(x, name), *_genes(adata.var)) for name, x in adata.layers.items()}
    if adata.raw is not None and "raw" not in matrices:
        matrices["raw"] = Matrix(_in_memory(adata.raw.X, "raw"), *_genes(adata.raw.var))
    return CellTable("the AnnData", matrices, adata.obs)


def of_h5ad(path: Path) -> CellTable:
    """The table that an .h5ad file holds: obs and var are read, matrices when they are asked for.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    CellTable
        Large sparse matrices stay on the disk.

    Raises
    ------
    InputError
        Where anndata is not installed.
    """
    anndata = needs_anndata(f"{path.name!r}")
    import h5py

    what = repr(path.name)
    with h5py.File(path, "r") as file:
        frames = {name: anndata.io.read_elem(file[name]) for name in ("obs", "var", "raw/var") if name in file}
        if not all(isinstance(one, pd.DataFrame) for one in frames.values()) or not {"obs", "var"} <= set(frames):
            old = True
        else:
            old = "raw.X" in file
        own_genes = "raw/var" in frames and "raw" not in file.get("layers", ())  # a layer called raw is one of var
    if old:  # as anndata wrote before 0.7, or incomplete
        table = of_anndata(anndata.read_h5ad(path))
        return CellTable(what, table.matrices, table.obs)
    matrices = {}
    for name, one in _h5ad_matrices(path).items():
        matrices[name] = Matrix(one.read, *_genes(frames["raw/var" if name == "raw" and own_genes else "var"]))
    return CellTable(what, matrices, frames["obs"])


def _genes(var: pd.DataFrame) -> tuple[list[str], Any]:
    marked = var[_MARK] if _MARK in var.columns and var[_MARK].dtype.kind in "bi" else None
    return [str(name) for name in var.index], None if marked is None else marked.to_numpy(dtype=bool)


def _in_memory(x: Any, name: str) -> Any:
    """A reader of a matrix that is held already."""

    def read(rows: int | None = None) -> Any:
        if type(x).__module__.partition(".")[0] == "dask":
            raise InputError(
                f"{name} is a dask array: give adata.to_memory(), or the .h5ad file, which is read by rows."
            )
        some = x if rows is None else x[:rows]
        return some.to_memory() if hasattr(some, "to_memory") else some

    return read


def _h5ad_matrices(path: Path, only: tuple[str, ...] = (), stays_from: int = _STAYS_FROM) -> Mapping[str, Matrix]:
    """Readers of the matrices in a file, without names of genes."""
    import h5py

    with h5py.File(path, "r") as file:
        groups = {"X": "X"} if "X" in file else {}
        if not only:
            groups |= {"raw": "raw/X"} if "raw/X" in file else {}
            groups |= {str(name): f"layers/{name}" for name in file.get("layers", ())}
    return {name: Matrix(_stored(path, group, stays_from), ()) for name, group in groups.items()}


def _stored(path: Path, group: str, stays_from: int) -> Any:
    """A reader of one matrix of a file: CSR stays there where it is large, all others come into memory."""

    def read(rows: int | None = None) -> Any:
        import h5py
        from scipy import sparse

        with h5py.File(path, "r") as file:
            node = file[group]
            if isinstance(node, h5py.Dataset):
                return in_rows(node, group) if rows is None else np.asarray(node[:rows])
            encoding = str(node.attrs.get("encoding-type", node.attrs.get("h5sparse_format", "csr_matrix")))
            shape = tuple(int(side) for side in node.attrs.get("shape", node.attrs.get("h5sparse_shape")))
            size = node["data"].size * (node["data"].dtype.itemsize + node["indices"].dtype.itemsize)
            if encoding.startswith("csr") and (rows is not None or size >= stays_from):
                on_disk = CsrOnDisk(path, group, shape)
                return on_disk if rows is None else on_disk[:rows]
            refuse_what_exceeds_memory(
                f"The values of {group!r}", (size,), np.dtype(np.uint8), "store it by rows (CSR)"
            )
            parts = node["data"][:], node["indices"][:], node["indptr"][:]
        made = (sparse.csr_matrix if encoding.startswith("csr") else sparse.csc_matrix)(parts, shape=shape)
        made.check_format(full_check=True)
        return made.tocsr()[:rows]

    return read
