"""What people compress: arrays, tables, folders of images, and parts of a data set."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from elbowroom.numerics import InputError
from elbowroom.vae import VAE

from .arrays import ArraySource, read_header
from .cells import Cells
from .images import ImageSource
from .tables import TableSource, read_table

__all__ = ["Source", "source_of"]

Source = ArraySource | TableSource
_TABLES = (".csv", ".tsv", ".parquet")


def source_of(data: Any, vae: VAE, cells: Cells) -> Source:
    """A source of rows from what a user holds.

    Parameters
    ----------
    data : array, tensor, DataFrame, part of a data set, str or Path
        Paths lead to a .npy file, a table (.csv, .tsv, .parquet) or a folder of images.
    vae : VAE
        The model.
    cells : Cells
        Of the model.

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
        return _of_path(Path(data), vae, cells)
    if hasattr(data, "iloc"):
        return TableSource(data, vae, cells)
    if hasattr(data, "rows") and hasattr(data, "index"):
        batch = data.rows(slice(None))
        x = batch.x.numpy(force=True)
        return ArraySource(x if batch.seen is None else _with_gaps(x, batch.seen.numpy()), cells)
    if isinstance(data, torch.Tensor):
        try:
            return ArraySource(data.numpy(force=True), cells)
        except TypeError as error:
            raise InputError(
                f"A tensor of {data.dtype}, {data.layout}, is no array: give x.to_dense().float()."
            ) from error
    if isinstance(data, np.ndarray):
        return ArraySource(data, cells)
    raise InputError(
        f"A {type(data).__name__} is not compressed: give an array, a tensor, a DataFrame, a part of a data set as "
        f"data.test, or a path."
    )


def _with_gaps(x: Any, seen: Any) -> Any:
    return np.where(seen, x if x.dtype.kind == "f" else x.astype(np.float64), np.nan).astype(
        x.dtype if x.dtype.kind == "f" else np.float64
    )


def _of_path(path: Path, vae: VAE, cells: Cells) -> Source:
    if path.is_dir():
        return ImageSource(path, cells)
    if path.suffix.lower() in _TABLES:
        return TableSource(read_table(path), vae, cells)
    if path.suffix.lower() != ".npy":
        raise InputError(f"{str(path)!r} is none of what is compressed: .npy, {', '.join(_TABLES)}, or images.")
    try:
        header, _, _, _ = read_header(path)
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise InputError(f"{str(path)!r} cannot be read: {' '.join(str(error).split())}.") from error
    return ArraySource(array, cells, header)
