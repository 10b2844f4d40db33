"""What CellRanger writes: .h5 of its versions 2 and 3, and folders with a .mtx, barcodes and features."""

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from elbowroom.numerics import InputError
from elbowroom.numerics.text import name_list

from .cell_table import CellTable, Matrix
from .text import unreadable

__all__ = ["is_10x", "matrix_file", "of_10x_h5", "of_mtx"]

_MTX = ("matrix.mtx", "matrix.mtx.gz")
_EXPRESSION = "Gene Expression"


def is_10x(file: Any) -> bool:
    """Whether an open HDF5 file is one of CellRanger's.

    Parameters
    ----------
    file : h5py.File
        Open.

    Returns
    -------
    bool
        By the names of its groups.
    """
    return bool(_groups(file))


def of_10x_h5(path: Path) -> CellTable:
    """The table of cells in an .h5 of CellRanger 2 (a group for each genome) or 3 (one group, "matrix").

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    CellTable
        Genes by their symbols; with other features beside genes, these are left out with a note.

    Raises
    ------
    InputError
        For a file of several genomes.
    """
    import h5py

    with h5py.File(path, "r") as file:
        groups = _groups(file)
        if len(groups) > 1:
            raise InputError(
                f"{path.name!r} holds cells of several genomes ({', '.join(groups)}), each a table of its own: read "
                "one with scanpy.read_10x_h5(path, genome=...), and give the AnnData."
            )
        group = file[groups[0]]
        x = _of_parts(group, path)
        barcodes = _words(group["barcodes"])
        if "features" in group:
            features = group["features"]
            names, kinds = _words(features["name"]), _words(features["feature_type"])
            ids = _words(features["id"])
        else:
            names, ids = _words(group["gene_names"]), _words(group["genes"])
            kinds = [_EXPRESSION] * len(names)
    return _table(path, x, barcodes, names, ids, kinds)


def matrix_file(path: Path) -> Path | None:
    """The .mtx that a path means: itself, or that of a 10x folder.

    Parameters
    ----------
    path : Path
        A file or folder that exists.

    Returns
    -------
    Path or None
        None where it is no such thing.

    Raises
    ------
    InputError
        For a folder with barcodes or features and no matrix.
    """
    if path.is_file():
        return path if path.name.lower().endswith((".mtx", ".mtx.gz")) else None
    held = {one.name for one in path.iterdir()}
    found = next((name for name in _MTX if name in held), None)
    beside = sorted(name for name in held if name.startswith(("barcodes.tsv", "features.tsv", "genes.tsv")))
    if found is None and beside:
        raise InputError(
            f"The folder {path.name!r} holds {', '.join(beside)} and no matrix.mtx or matrix.mtx.gz: put it there too."
        )
    return None if found is None else path / found


def of_mtx(path: Path) -> CellTable:
    """The table of cells in a .mtx of genes by cells, with barcodes and features (or genes) in files beside it.

    Parameters
    ----------
    path : Path
        The .mtx or .mtx.gz; what stands before "matrix.mtx" in its name stands in theirs too.

    Returns
    -------
    CellTable
        Genes by their symbols.

    Raises
    ------
    InputError
        Where a file is missing, does not fit or cannot be read.
    """
    from scipy import io

    barcodes = _lines(_beside(path, ("barcodes",)))
    features = _lines(_beside(path, ("features", "genes")))
    try:
        x = io.mmread(path)
    except (ValueError, OSError, EOFError, TypeError) as error:
        raise unreadable(repr(path.name), error) from error
    if x.shape != (len(features), len(barcodes)):
        turned = x.shape == (len(barcodes), len(features))
        why = "it is cells × genes, and CellRanger's is genes × cells" if turned else "one of them is cut short"
        raise InputError(
            f"{path.name!r} is {x.shape[0]:,} × {x.shape[1]:,} beside {len(features):,} features and "
            f"{len(barcodes):,} barcodes: {why}."
        )
    rows = [line.split("\t") for line in features]
    names = [row[1] if len(row) > 1 else row[0] for row in rows]
    kinds = [row[2] if len(row) > 2 else _EXPRESSION for row in rows]
    cells = [line.split("\t")[0] for line in barcodes]
    return _table(path, x.T.tocsr(), cells, names, [row[0] for row in rows], kinds)


def _table(
    path: Path, x: Any, cells: Sequence[str], names: Sequence[str], ids: Sequence[str], kinds: Sequence[str]
) -> CellTable:
    """Of genes alone where there are any, named by symbol, and by their id too where a symbol stands twice."""
    notes = []
    kept = np.array([kind == _EXPRESSION for kind in kinds])
    if kept.any() and not kept.all():
        others = sorted({kind for kind in kinds if kind != _EXPRESSION})
        notes.append(f"Left out: {int((~kept).sum()):,} features that are no genes ({name_list(others)}).")
        x, places = x[:, kept], np.flatnonzero(kept)
        names, ids = [names[int(place)] for place in places], [ids[int(place)] for place in places]
    many = pd.Series(names).duplicated(keep=False).to_numpy()
    if many.any():
        twice = name_list(dict.fromkeys(name for name, more in zip(names, many, strict=True) if more))
        notes.append(f"Symbols of several genes stand with the gene's id: {twice}.")
        names = [f"{name} {key}" if more else name for name, key, more in zip(names, ids, many, strict=True)]
    obs = pd.DataFrame(index=pd.Index(list(cells), dtype=object))
    return CellTable(repr(path.name), {"X": Matrix(lambda rows=None: x[:rows], names)}, obs, notes=notes)


def _groups(file: Any) -> list[str]:
    """Groups that hold a table: "matrix", or those named after genomes."""
    needed = {"barcodes", "data", "indices", "indptr", "shape"}
    return [name for name, node in file.items() if hasattr(node, "keys") and needed <= set(node)]


def _of_parts(group: Any, path: Path) -> Any:
    """Genes by cells in columns, which are cells by genes in rows."""
    from scipy import sparse

    shape = tuple(int(side) for side in group["shape"][:])
    x = sparse.csr_matrix((group["data"][:], group["indices"][:], group["indptr"][:]), shape=shape[::-1])
    try:
        x.check_format(full_check=True)
    except ValueError as error:
        raise unreadable(repr(path.name), error) from error
    return x


def _words(node: Any) -> list[str]:
    return [one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in node[:].tolist()]


def _beside(path: Path, words: Sequence[str]) -> Path:
    """The file beside a matrix that is called by one of the words."""
    before = path.name.lower().rpartition("matrix.mtx")[0]
    before = path.name[: len(before)]
    asked = [f"{before}{word}.tsv{ending}" for word in words for ending in ("", ".gz")]
    found = next((path.parent / name for name in asked if (path.parent / name).is_file()), None)
    if found is None:
        raise InputError(
            f"{path.name!r} has no {' or '.join(asked)} beside it: put it there, or read it with scipy.io.mmread and "
            "give the matrix, cells in rows."
        )
    return found


def _lines(path: Path) -> list[str]:
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8", "replace")
    except (OSError, EOFError) as error:
        raise unreadable(repr(path.name), error) from error
    return text.splitlines()
