"""Values of x that are written: a table, an array, a sheet of images, or a folder of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import InputError

from .image_folder import write_images
from .table_file import write_table

__all__ = ["check_out", "with_whole_numbers", "write_x"]

_WHOLE = 2.0**53  # up to here floats hold all whole numbers
_ENDINGS = (".csv", ".parquet", ".npy", ".png")


def check_out(out: Path, data: Mapping[str, Any]) -> None:
    """Refuse a place that x cannot be written to.

    Parameters
    ----------
    out : Path
        The file, or a folder of images.
    data : mapping
        What the run's recipe holds of the data.

    Raises
    ------
    InputError
        For another ending, and for pictures of what are no images.
    """
    if out.suffix not in ("", *_ENDINGS):
        raise InputError(f"Samples are written to {', '.join(_ENDINGS)}, or a folder of images; got {out}.")
    if out.suffix in ("", ".png") and data["image_shape"] is None:
        raise InputError("These data are no images: write to .csv, .parquet or .npy.")


def write_x(out: Path, x: NDArray[Any], data: Mapping[str, Any], beside: Mapping[str, Any]) -> Path:
    """Write x on the user's scale.

    Parameters
    ----------
    out : Path
        The file, or a folder of images.
    x : array [n, *event]
        The values.
    data : mapping
        What the run's recipe holds of the data.
    beside : mapping
        More columns of a table, which stand before those of x.

    Returns
    -------
    Path
        The same as `out`.
    """
    if not out.suffix:
        return write_images(out, x, data["image_shape"], data["support"])
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.suffix == ".npy":
        np.save(out, x, allow_pickle=False)
    elif out.suffix == ".png":
        _write_sheet(x.reshape(len(x), *data["image_shape"]), out)
    else:
        write_table({**beside, **_columns(x, data)}, out)
    return out


def _columns(x: NDArray[Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """The columns by name: words where they are codes of classes, whole numbers where all are whole."""
    flat = x.reshape(len(x), -1)
    names = data.get("columns") or [f"column {i + 1}" for i in range(flat.shape[1])]
    classes = data.get("classes", {})
    twice = len(set(names)) < len(names)
    own = [f"{name} ({i + 1})" for i, name in enumerate(names)] if twice else names
    columns = zip(own, names, flat.T, strict=True)
    return {column: _values(values, classes.get(name)) for column, name, values in columns}


def _values(column: NDArray[Any], words: list[str] | None) -> Any:
    whole = _whole(column)
    if words and whole and column.min() >= 0 and column.max() < len(words):  # a mean of codes is no word
        return np.array(words, dtype=object)[column.astype(int)]
    return column.astype(np.int64) if whole else column


def _whole(column: NDArray[Any]) -> bool:
    return bool(((column == np.round(column)) & (np.abs(column) < _WHOLE)).all())


def with_whole_numbers(frame: Any) -> Any:
    """A table whose columns of whole numbers are written without a decimal point; missing cells stay empty.

    Parameters
    ----------
    frame : DataFrame
        Of numbers and words.

    Returns
    -------
    DataFrame
        With the same values.
    """
    whole = [
        at for at, kind in enumerate(frame.dtypes) if kind.kind == "f" and _whole(frame.iloc[:, at].dropna().to_numpy())
    ]
    kinds = {frame.columns[at]: "Int64" for at in whole}
    return frame.astype(kinds)


def _write_sheet(images: NDArray[np.float32], out: Path, scale: int = 4) -> None:
    from PIL import Image

    if images.ndim == 3:
        images = images[:, None]
    columns = int(np.ceil(np.sqrt(len(images))))
    rows = -(-len(images) // columns)
    low, high = min(float(images.min()), 0.0), float(images.max())
    blank = np.zeros((rows * columns - len(images), *images.shape[1:]), dtype=images.dtype)
    grid = np.concatenate([images, blank]).reshape(rows, columns, *images.shape[1:])
    sheet = grid.transpose(0, 3, 1, 4, 2).reshape(rows * images.shape[2], columns * images.shape[3], images.shape[1])
    pixels = np.clip(255 * (sheet - low) / max(high - low, 1e-12), 0, 255).astype(np.uint8)
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST).save(out)
