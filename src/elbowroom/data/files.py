"""Readers of the files a person brings: arrays, tables and folders of images."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from elbowroom.numerics import InputError

from .array_files import no_columns, read_array_file
from .cell_files import CELL_ENDINGS, is_of_cells, read_cells
from .cell_table import from_cells
from .frames import from_frame
from .image_tree import image_endings, is_archive
from .images import read_images
from .raw import Raw
from .tables import COLUMNAR, TEXTS, read_table

__all__ = ["ENDINGS", "read_path"]


def read_path(
    path: Path, labels: Any, beside: Sequence[str] = (), drop: Sequence[str] = (), layer: str | None = None
) -> tuple[Raw, Any]:
    """Read a file or a folder of images.

    Parameters
    ----------
    path : Path
        The file or folder.
    labels : array, str or None
        As for `load_data`; None takes the source's own, if any.
    beside : sequence of str, default ()
        Columns (arrays of a .npz) that are taken out of x as well.
    drop : sequence of str, default ()
        Columns (arrays of a .npz, genes) that are left out.
    layer : str, optional
        The matrix of a file of cells.

    Returns
    -------
    raw : Raw
        The data.
    labels : array or None
        One per example.

    Raises
    ------
    InputError
        For what cannot be read.
    """
    if not path.exists():
        raise InputError(f"There is no file or folder {str(path)!r}.")
    if not path.is_file() and not path.is_dir():
        raise InputError(f"{str(path)!r} is neither a file nor a folder.")
    if is_of_cells(path):
        return from_cells(read_cells(path), labels, beside, drop, layer)
    if layer is not None:
        raise InputError(f"{path.name!r} has no layers, so layer={layer!r} means nothing: leave it out.")
    if path.is_dir() or path.suffix.lower() in image_endings():
        no_columns(path, labels, beside, drop)
        return read_images(path, labels)
    reader = next((read for ending, read in ENDINGS.items() if path.name.lower().endswith(ending)), None)
    if reader is None and is_archive(path):
        raise InputError(f"{path.name!r} is an archive: unpack it, and give the folder or the file in it.")
    if reader is None:
        known = ", ".join((*ENDINGS, *CELL_ENDINGS))
        raise InputError(
            f"{path.name!r} has an ending that is not known; known are {known}, or a folder: save a table "
            "as .csv, numbers by numpy.save, a sparse matrix by scipy.sparse.save_npz, or give load_data the array."
        )
    return reader(path, labels, beside, drop)


def _read_table(path: Path, labels: Any, beside: Sequence[str], drop: Sequence[str]) -> tuple[Raw, Any]:
    table = read_table(path)
    raw, labels = from_frame(table.frame, labels, beside, repr(path.name), drop=drop, origin=table.origin)
    raw.notes, raw.row = table.notes + raw.notes, table.origin.row
    plain = not table.named and not raw.classes and len(raw.columns or ()) == table.frame.shape[1]
    return replace(raw, columns=None) if plain else raw, labels


ENDINGS = {".npy": read_array_file, ".npz": read_array_file} | dict.fromkeys((*TEXTS, *COLUMNAR), _read_table)
"""Reader by file ending."""
