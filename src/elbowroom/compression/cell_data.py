"""Cells as a file holds them: counts of the model's genes through the model; other genes and what is known beside."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elbowroom.data.anndata_objects import needs_anndata, of_anndata
from elbowroom.data.new_cells import new_cells
from elbowroom.numerics import InputError

from .arrays import ArraySource, ArrayTarget
from .cells import Cells
from .columns import Column, columns_of, packed
from .container import Reader
from .contexts import Context, Contexts
from .known import Known

__all__ = ["CellSource", "CellTarget", "read_h5ad", "write_h5ad"]

_PLAIN, _CLASSES, _GAPS = "plain", "classes", "gaps"
_TEXTS, _FORMATS = ("object", "str", "string"), ("", "csr", "csc")
_WITH_GAPS = {
    "boolean",
    "Float32",
    "Float64",
    *(f"{kind}{bits}" for kind in ("Int", "UInt") for bits in (8, 16, 32, 64)),
}
_NOT_HELD = ("layers", "obsm", "varm", "obsp", "varp", "uns")


def read_h5ad(path: Path) -> Any:
    """An .h5ad file as an AnnData, or a sentence."""
    try:
        return needs_anndata(repr(path.name)).read_h5ad(path)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise InputError(f"{str(path)!r} cannot be read: {' '.join(str(error).split())}.") from error


def write_h5ad(adata: Any, path: Path) -> None:
    """An AnnData as an .h5ad file, texts as texts; as classes where some are missing, which no text there can be."""
    for frame in (adata.obs, adata.var):
        for name in frame.select_dtypes("object"):
            frame[name] = frame[name].astype("category") if frame[name].isna().any() else frame[name]
    with needs_anndata(repr(path.name)).settings.override(allow_write_nullable_strings=True):
        adata.write_h5ad(path, convert_strings_to_categoricals=False)


class _Dense:
    """Chosen columns of a matrix of counts, of which rows are made dense when they are asked for."""

    flags = np.zeros(1).flags

    def __init__(self, matrix: Any, places: NDArray[np.int64]) -> None:
        self.matrix, self.places = matrix, places
        self.dtype, self.shape, self.ndim = matrix.dtype, (matrix.shape[0], len(places)), 2
        self.size = int(np.prod(self.shape))

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, part: slice) -> NDArray[Any]:
        rows = self.matrix[part]
        return np.asarray(rows.toarray() if hasattr(rows, "toarray") else rows)[:, self.places]


class CellSource(ArraySource):
    """An AnnData: X, obs and var; what else it holds is said to be left out.

    Parameters
    ----------
    adata : AnnData
        In memory.
    cells : Cells
        Of the model.
    known : Known
        Of its run, which says genes, batches and sizes.

    Raises
    ------
    InputError
        For cells without what the run reads, and columns that a file does not hold.
    """

    def __init__(self, adata: Any, cells: Cells, known: Known) -> None:
        options = known.summary.get("loading", {}).get("options", {})
        if not known.summary.get("columns") or options.get("layer"):
            raise InputError(
                "Cells are compressed with the run of a model that was trained on X of cells, which knows genes, "
                "batches and sizes: give its folder, or the rows as arrays by name."
            )
        if not adata.n_obs:
            raise InputError("The AnnData has no cells: give some.")
        adata = adata.to_memory() if adata.isbacked else adata
        part = new_cells(known.summary, of_anndata(adata))
        places = {str(name): place for place, name in enumerate(adata.var_names)}
        self.places = np.array([places[name] for name in known.summary["columns"]])
        matrix = adata.X.tocsr() if hasattr(adata.X, "tocsr") else adata.X
        super().__init__(_Dense(matrix, self.places), cells)
        self.contexts = Contexts(tuple(_context(name, part.context, known) for name in known.names))
        self.sparse = getattr(adata.X, "format", "")
        self.left_out = [name for name in _NOT_HELD if len(getattr(adata, name))] + ["raw"] * (adata.raw is not None)
        others = np.setdiff1d(np.arange(matrix.shape[1]), self.places)
        frames = {"obs": adata.obs, "var": adata.var}
        self.frames = {name: _frame(name, frame) for name, frame in frames.items()}
        self.columns = [*_csr_columns(matrix[:, others]), *(one for _, found in self.frames.values() for one in found)]

    def head(self) -> dict[str, Any]:
        """What a decoder has to know, in plain values."""
        frames = {name: said for name, (said, _) in self.frames.items()}
        told = {"kind": "cells", "genes": self.places.tolist(), "sparse": self.sparse, "frames": frames}
        return {**super().head(), **told, "arrays": [one.said() for one in self.columns]}

    def beside(self) -> bytes:
        """The exceptions, other genes, obs and var."""
        return super().beside() + packed(self.columns)


def _context(name: str, found: Any, known: Known) -> Context:
    if name not in found:
        raise InputError(
            f"This model reads the context {name!r}, which the run knows of no column: give arrays by name."
        )
    return Context(name, Column.of(name, found[name]))


def _csr_columns(matrix: Any) -> list[Column]:
    from scipy import sparse

    rows = sparse.csr_matrix(matrix)
    rows.sum_duplicates()
    steps = np.diff(rows.indptr)
    return [Column.of("genes", one) for one in (rows.data, rows.indices.astype("<i4"), steps.astype("<i4"))]


def _frame(what: str, frame: pd.DataFrame) -> tuple[dict[str, Any], list[Column]]:
    """What is said of a table of cells or genes, and its columns, the index first."""
    names, said = list(frame.columns), list[dict[str, Any]]()
    if len(set(names)) < len(names) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{what} has two columns of one name, or a name that is no text: name its columns otherwise.")
    columns = [Column.of(f"{what}_names", frame.index.astype(str).to_numpy(object))]
    for name in names:
        series, dtype = frame[name], str(frame[name].dtype)
        if isinstance(series.dtype, pd.CategoricalDtype):
            said.append({"name": name, "kind": _CLASSES, "dtype": "", "ordered": bool(series.cat.ordered)})
            texts = series.cat.categories.to_numpy()
            columns += [Column.of(name, texts), Column.of(name, series.cat.codes.to_numpy())]
            continue
        gaps, text = dtype in _WITH_GAPS, dtype in _TEXTS
        said.append({"name": name, "kind": _GAPS if gaps else _PLAIN, "dtype": dtype, "ordered": False})
        plain = (
            series.array.fillna(series.dtype.type(0)).to_numpy(series.dtype.numpy_dtype) if gaps else series.to_numpy()
        )
        columns.append(Column.of(name, series.to_numpy(object, na_value=None) if text else plain))
        columns += [Column.of(name, series.isna().to_numpy())] if gaps else []
    return {"columns": said, "index": None if frame.index.name is None else str(frame.index.name)}, columns


class CellTarget(ArrayTarget):
    """Where the rows of cells go: into an AnnData.

    Parameters
    ----------
    reader : Reader
        The file.

    Raises
    ------
    InputError
        For a head that says what cannot be.
    """

    more_beside = True

    def __init__(self, reader: Reader) -> None:
        super().__init__(reader)
        held = reader.head["source"]
        columns = columns_of(reader, held.get("arrays"), self.rest, "what is known of the cells")
        try:
            self.frames = {name: held["frames"][name] for name in ("obs", "var")}
            self.data, self.indices, self.steps = (one.values() for one in columns[:3])
            counts = {name: _columns_in(said) for name, said in self.frames.items()}
            self.columns = {"obs": columns[3 : 3 + counts["obs"]], "var": columns[3 + counts["obs"] :]}
            genes = np.array(held["genes"], np.int64)
            sound = len(self.columns["var"]) == counts["var"] and held["sparse"] in _FORMATS
            self.sparse, width = held["sparse"], self.columns["var"][0].shape[0]
            others = np.setdiff1d(np.arange(width), genes)
            sound &= len(others) + len(genes) == width and genes.shape == self.shape[1:]
            sound &= self.columns["obs"][0].shape[0] == self.shape[0] == len(self.steps)
            self.order = np.argsort(np.concatenate([genes, others]))
            self.others = self._csr(len(others))
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            raise reader.damaged("the cells in its head") from error
        if not sound:
            raise reader.damaged("the cells in its head")

    def _csr(self, width: int) -> Any:
        from scipy import sparse

        if (self.steps < 0).any():
            raise ValueError
        pointers = np.concatenate([[0], np.cumsum(self.steps, dtype=np.int64)])
        matrix = sparse.csr_matrix((self.data, self.indices, pointers), (len(self.steps), width))
        matrix.check_format(full_check=True)
        return matrix

    def anndata(self, blocks: Any, part: slice | None = None) -> Any:
        """An AnnData of all rows, or of some."""
        from scipy import sparse

        every = slice(0, self.shape[0]) if part is None else part
        rows = [sparse.csr_matrix(block) for _, block in blocks]
        matrix = sparse.hstack([sparse.vstack(rows), self.others[every]], format="csr")[:, self.order]
        matrix = matrix.astype(self.dtype)
        matrix.sort_indices()
        obs, var = (self._frame(name, every if name == "obs" else slice(None)) for name in ("obs", "var"))
        return needs_anndata("this file").AnnData(
            matrix.asformat(self.sparse) if self.sparse else matrix.toarray(), obs=obs, var=var
        )

    def _frame(self, name: str, part: slice) -> pd.DataFrame:
        said, columns = self.frames[name], list(self.columns[name])
        index = pd.Index(columns.pop(0).rows(part).values(), name=said["index"])
        found = {one["name"]: _series(one, columns, part, self.reader) for one in said["columns"]}
        return pd.DataFrame({key: pd.Series(value, index=index) for key, value in found.items()}, index=index)


def _series(said: dict[str, Any], columns: list[Column], part: slice, reader: Reader) -> Any:
    try:
        if said["kind"] == _CLASSES:
            texts, codes = columns.pop(0).values(), columns.pop(0).rows(part).values()
            return pd.Categorical.from_codes(codes, pd.Index(texts), ordered=said["ordered"])
        values = columns.pop(0).rows(part).values()
        if said["kind"] == _GAPS:
            return pd.Series(pd.array(values, dtype=said["dtype"])).mask(columns.pop(0).rows(part).values()).array
        return pd.array(values, dtype=said["dtype"]) if said["dtype"] in _TEXTS[1:] else values
    except (ValueError, TypeError, IndexError) as error:
        raise reader.damaged("a column") from error


def _columns_in(said: dict[str, Any]) -> int:
    """How many arrays a frame has, its index among them."""
    known: Sequence[Any] = said["columns"]
    sound = all(isinstance(one["name"], str) and one["kind"] in (_PLAIN, _CLASSES, _GAPS) for one in known)
    sound &= all(one["dtype"] in _WITH_GAPS for one in known if one["kind"] == _GAPS)
    if not sound or not (said["index"] is None or isinstance(said["index"], str)):
        raise ValueError
    return 1 + sum(1 if one["kind"] == _PLAIN else 2 for one in known)
