"""Readers of the files a person brings: arrays, tables and folders of images."""

import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from elbowroom.numerics import InputError, Support

from .beside import own_labels
from .frames import from_frame
from .raw import Raw, from_array
from .tables import COLUMNAR, TEXTS, read_table

__all__ = ["ENDINGS", "read_path"]

_MAPPED_FROM = 2**28  # bytes of a .npy from which it is read by rows, in place
_IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}


def read_path(path: Path, labels: Any, beside: Sequence[str] = (), drop: Sequence[str] = ()) -> tuple[Raw, Any]:
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
        Columns (arrays of a .npz) that are left out.

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
    if path.is_dir():
        _no_columns(path, labels, beside, drop)
        return _read_images(path, labels)
    reader = next((read for ending, read in ENDINGS.items() if path.name.lower().endswith(ending)), None)
    if reader is None:
        raise InputError(
            f"{path.name!r} has an ending that is not known; known are {', '.join(ENDINGS)}, or a folder: save a table "
            "as .csv, numbers by numpy.save, a sparse matrix by scipy.sparse.save_npz, or give load_data the array."
        )
    return reader(path, labels, beside, drop)


def _unreadable_file_error(path: Path, error: Exception) -> InputError:
    reason = str(error).split("\n")[0].rstrip(".") or type(error).__name__
    return InputError(f"{str(path)!r} cannot be read ({reason}): it may be cut short or of another format.")


def _no_columns(path: Path, labels: Any, beside: Sequence[str], drop: Sequence[str]) -> None:
    asked = [f"labels={labels!r}"] * isinstance(labels, str) + [repr(name) for name in (*beside, *drop)]
    if asked:
        raise InputError(
            f"{path.name!r} has no columns by name, so {asked[0]} means nothing: give an array, or leave it out."
        )


def _read_npy(path: Path, labels: Any, beside: Sequence[str], drop: Sequence[str]) -> tuple[Raw, Any]:
    _no_columns(path, labels, beside, drop)
    try:
        mapped = path.stat().st_size >= _MAPPED_FROM
        array = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _unreadable_file_error(path, error) from error
    return from_array(array, repr(path.name)), labels


def _read_npz(path: Path, labels: Any, beside: Sequence[str], drop: Sequence[str]) -> tuple[Raw, Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays: dict[str, Any] = {name: file[name] for name in file.files}
        if {"format", "shape", "data"} <= set(arrays):
            from scipy import sparse

            arrays = {"x": sparse.load_npz(path)}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise _unreadable_file_error(path, error) from error
    for name in drop:
        _array_of(path, arrays, name, "to drop")
    arrays = {name: array for name, array in arrays.items() if name not in drop}
    notes: list[str] = []
    keys: list[str] = [name for name in ("x", "data", "images") if name in arrays] or list(arrays)
    key = keys[0] if keys else ""
    if key not in ("x", "data", "images") and len(arrays) != 1:
        held = ", ".join(map(repr, arrays)) or "nothing"
        raise InputError(f"{path.name!r} holds {held}: name the data 'x', 'data' or 'images'.")
    if isinstance(labels, str):
        labels = _array_of(path, arrays, labels, "for the labels")
    elif labels is None:
        labels, notes = own_labels({k: arrays[k] for k in ("y", "labels") if k in arrays and k not in (*beside, *drop)})
    raw = from_array(arrays[key], f"{key!r} in {path.name!r}")
    raw.notes += notes
    raw.taken = {name: _array_of(path, arrays, name, "for the context or observed") for name in beside}
    return raw, labels


def _array_of(path: Path, arrays: dict[str, Any], name: str, use: str) -> Any:
    if name not in arrays:
        raise InputError(f"{path.name!r} holds no array {name!r} {use}; it holds {', '.join(arrays)}.")
    return arrays[name]


def _read_table(path: Path, labels: Any, beside: Sequence[str], drop: Sequence[str]) -> tuple[Raw, Any]:
    table = read_table(path)
    raw, labels = from_frame(table.frame, labels, beside, repr(path.name), drop=drop, origin=table.origin)
    raw.notes = table.notes + raw.notes
    plain = not table.named and not raw.classes and len(raw.columns or ()) == table.frame.shape[1]
    return replace(raw, columns=None) if plain else raw, labels


def _read_images(folder: Path, labels: Any) -> tuple[Raw, Any]:
    """Images of one size; subfolders, where there are any, are the labels."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in _IMAGES and p.is_file())
    if not paths:
        raise InputError(f"The folder {str(folder)!r} holds no images ({', '.join(sorted(_IMAGES))}).")
    groups = [p.relative_to(folder).parts[0] if p.parent != folder else None for p in paths]
    named = [group for group in groups if group is not None]
    if named and len(named) < len(groups):
        raise InputError(f"{str(folder)!r} holds images beside subfolders with images: use one or the other.")
    pictures = [_picture(p) for p in paths]
    for p, picture in zip(paths, pictures, strict=True):
        if picture.size != pictures[0].size:
            raise InputError(
                f"Images differ in size: {paths[0].name!r} is {_size(pictures[0])}, {p.name!r} is {_size(picture)}; "
                "resize them to one."
            )
    modes = {picture.mode for picture in pictures}
    if modes == {"1"}:
        x, support = np.stack([np.asarray(p, dtype=np.uint8) for p in pictures]), Support("binary")
    elif modes <= {"1", "L"}:
        x, support = np.stack([np.asarray(p.convert("L")) for p in pictures]), Support("grid", 256)
    else:
        colour = np.stack([np.asarray(p.convert("RGB")) for p in pictures])
        x, support = colour.transpose(0, 3, 1, 2), Support("grid", 256)
    return Raw(x, support=support), labels if labels is not None else named or None


def _picture(path: Path) -> Any:
    from PIL import Image

    try:
        with Image.open(path) as file:
            picture = file.copy()
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise _unreadable_file_error(path, error) from error
    if picture.mode.startswith(("I", "F")):
        raise InputError(f"{path.name!r} has more than 8 bits a value; save it with 8, or give a .npy of the numbers.")
    return picture


def _size(picture: Any) -> str:
    return f"{picture.width}×{picture.height}"


ENDINGS = {".npy": _read_npy, ".npz": _read_npz} | dict.fromkeys((*TEXTS, *COLUMNAR), _read_table)
"""Reader by file ending."""
