"""What people compress: arrays, with others beside them, tables, folders of images, and parts of a data set."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from elbowroom.data.anndata_objects import is_anndata
from elbowroom.data.image_tree import image_endings
from elbowroom.numerics import InputError
from elbowroom.vae import VAE

from .archives import ArchiveSource, contexts_of_arrays
from .arrays import ArraySource, read_header
from .cell_data import CellSource, read_h5ad
from .cells import Cells
from .images import ImageSource
from .known import Known
from .table_files import ENDINGS, TableFile, read_table
from .tables import TableSource

__all__ = ["Source", "source_of"]

Source = ArraySource | TableSource


def source_of(data: Any, vae: VAE, cells: Cells, known: Known) -> Source:
    """A source of rows from what a user holds.

    Parameters
    ----------
    data : array, tensor, mapping, DataFrame, AnnData, part of a data set, str or Path
        Paths lead to a .npy or .npz file, a table, cells (.h5ad), a folder of images or an image of several frames.
    vae : VAE
        The model.
    cells : Cells
        Of the model.
    known : Known
        What is known of its contexts.

    Returns
    -------
    ArraySource or TableSource
        The rows.

    Raises
    ------
    InputError
        For what is none of these.
    """
    if isinstance(data, str | Path):
        return _of_path(Path(data), vae, cells, known)
    if is_anndata(data):
        return CellSource(data, cells, known)
    if hasattr(data, "iloc"):
        return TableSource(TableFile(data), vae, cells, known)
    if hasattr(data, "rows") and hasattr(data, "index"):
        return _of_part(vae, data, cells, known)
    if isinstance(data, Mapping):
        return ArchiveSource({str(name): _array(value) for name, value in data.items()}, cells, known)
    if isinstance(data, np.ndarray | torch.Tensor):
        return _alone(ArraySource(_array(data), cells), known)
    raise InputError(
        f"A {type(data).__name__} is not compressed: give an array, a tensor, a DataFrame, a part of a data set as "
        f"data.test, a mapping {{'x': x, 'batch': …}} where the model reads contexts, or a path."
    )


def _array(value: Any) -> Any:
    if not isinstance(value, torch.Tensor):
        return np.asanyarray(value)
    try:
        return value.numpy(force=True)
    except TypeError as error:
        raise InputError(
            f"A tensor of {value.dtype}, {value.layout}, is no array: give x.to_dense().float()."
        ) from error


def _of_part(vae: VAE, data: Any, cells: Cells, known: Known) -> Source:
    """A part of a data set: its x, and the contexts that the model reads."""
    vae.check_rows(data)
    batch = data.rows(slice(None))
    x = batch.x.numpy(force=True)
    x = x if batch.seen is None else _with_gaps(x, batch.seen.numpy())
    if not known.names:
        return ArraySource(x, cells)
    return ArchiveSource({"x": x, **{name: _array(batch.context[name]) for name in known.names}}, cells, known.of_model)


def _alone(source: ArraySource, known: Known) -> ArraySource:
    """An array by itself, which has no contexts but what its totals say."""
    if known.names:
        source.contexts = contexts_of_arrays({}, source.array, known)
    return source


def _with_gaps(x: Any, seen: Any) -> Any:
    return np.where(seen, x if x.dtype.kind == "f" else x.astype(np.float64), np.nan).astype(
        x.dtype if x.dtype.kind == "f" else np.float64
    )


def _of_path(path: Path, vae: VAE, cells: Cells, known: Known) -> Source:
    ending = path.suffix.lower()
    if path.is_dir() or (ending in image_endings() and path.is_file()):
        return ImageSource(path, cells, known)
    if ending == ".h5ad":
        return CellSource(read_h5ad(path), cells, known)
    if path.name.lower().endswith(ENDINGS):
        return _of_table(path, vae, cells, known)
    if ending == ".npz":
        return ArchiveSource(_archive(path), cells, known)
    if ending != ".npy":
        raise InputError(
            f"{str(path)!r} is none of what is compressed: .npy, .npz, {', '.join(ENDINGS)}, .h5ad, or images."
        )
    try:
        header, _, _, _ = read_header(path)
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise InputError(f"{str(path)!r} cannot be read: {' '.join(str(error).split())}.") from error
    return _alone(ArraySource(array, cells, header), known)


def _of_table(path: Path, vae: VAE, cells: Cells, known: Known) -> TableSource:
    """A table in a file, read as training reads it; its notes say what does not come back as it stands there."""
    return TableSource(read_table(path, dict(vae.table), known.read), vae, cells, known)


def _archive(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    except (OSError, ValueError, EOFError, SyntaxError, zipfile.BadZipFile) as error:
        raise InputError(f"{str(path)!r} cannot be read: {' '.join(str(error).split())}.") from error
