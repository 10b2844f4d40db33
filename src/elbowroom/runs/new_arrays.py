"""Examples of arrays and images that a model was not trained on, read as those that it learned from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.data.array_files import read_array_file
from elbowroom.data.grey_levels import turned_back
from elbowroom.data.image_tree import image_endings
from elbowroom.data.images import read_images
from elbowroom.data.raw import Raw
from elbowroom.data.shapes import event_of, image_shape_of
from elbowroom.data.values import is_sparse
from elbowroom.numerics import InputError
from elbowroom.vae.meanings import LEFT_OUT, STATED, TOO_SHALLOW, VALUES, is_deep

__all__ = ["is_of_arrays", "new_arrays"]

_ARRAYS = (".npy", ".npz")
_BITS = "0 and 255"  # how a folder of black and white says what its values were


def is_of_arrays(path: Path) -> bool:
    """Whether a path is of an array, an image or a folder, and not of a table."""
    return path.is_dir() or path.suffix.lower() in (*_ARRAYS, *image_endings())


def new_arrays(known: Mapping[str, Any], coding: Mapping[str, Any], path: Path) -> Any:
    """Read arrays or images by the readers of `load_data`, their values on the scale that was found in training.

    Parameters
    ----------
    known : mapping
        What the run's recipe says of its data: "event" and "image_shape".
    coding : mapping
        What the model's numbers mean, as `VAE.coding` holds it.
    path : Path
        A .npy, a .npz, an image or a folder of images.

    Returns
    -------
    array
        [n, *event].

    Raises
    ------
    InputError
        Where the shape of an example, or the scale of its values, is not that of the data the model learned from.
    """
    of_images = path.suffix.lower() not in _ARRAYS
    raw, _ = read_images(path, None, least=1) if of_images else read_array_file(path, None)
    if raw.columns:
        raise InputError(f"{path.name!r} holds columns with names: save them as a table, frame.to_csv(...).")
    levels = coding.get(VALUES, ("", "", ""))
    if of_images and is_deep(levels[1]) and raw.x.dtype == np.uint8:
        raise InputError(TOO_SHALLOW)
    x = _as_bits(raw, levels) if of_images else _as_levels(raw.x, levels, path)
    return _as_event(_with_columns(x, coding.get(LEFT_OUT, ())), known, of_images, path)


def _as_bits(raw: Raw, levels: tuple[str, ...]) -> NDArray[Any]:
    """Images in black and white as the model has these: as 0 and 1, or as the ends of its 256 levels."""
    two = raw.support is not None and raw.support.kind == "binary"
    if levels[:2] == ("grid", "256") and two:
        return np.asarray(raw.x, np.uint8) * np.uint8(255)
    ends = levels[2] == _BITS and not two and bool(np.isin(raw.x, (0, 255)).all())
    return (raw.x > 0).astype(np.uint8) if ends else raw.x


def _as_levels(x: Any, levels: tuple[str, ...], path: Path) -> Any:
    """Values that were divided as those of training were, as whole levels; whole levels as they are."""
    scale = levels[2]
    if scale in ("", STATED, _BITS) or is_sparse(x):
        return x
    seen = x[~np.isnan(x)]
    whole = bool((seen == np.round(seen)).all() and (seen >= 0).all())
    if whole and seen.max(initial=0) != 1:  # of zeros alone, or levels
        return x
    found = turned_back(x, scale) if x.dtype.kind == "f" else None
    if found is not None:
        return found
    raise InputError(
        f"The values of {path.name!r} are neither {scale}, as those that the model learned from, nor whole levels "
        f"0…{int(levels[1]) - 1:,}: give them on one of these scales."
    )


def _with_columns(x: Any, out: tuple[str, ...]) -> Any:
    """A table without the columns that were left out in training, counted from 0."""
    kept = [place for place in range(x.shape[1]) if str(place) not in out]
    return x[:, kept] if out and x.ndim == 2 else x


def _as_event(x: Any, known: Mapping[str, Any], of_images: bool, path: Path) -> Any:
    """Images of the model's shape as it has them: flat, or with their channels; rows of numbers as they are."""
    event, wanted = tuple(known.get("event", ())), tuple(known.get("image_shape") or ())
    shape = image_shape_of(x.shape)
    if shape is None or not event:
        return x
    if of_images and wanted == (3, *shape):  # greys among colours, as training gives them three equal channels
        x, shape = np.repeat(x[:, None], 3, axis=1), wanted
    if shape != wanted:
        raise InputError(
            f"The examples of {path.name!r} have shape {shape} each and those that the model learned from "
            f"{wanted or event}: give examples of that shape."
        )
    return x.reshape(len(x), *event_of(x.shape, len(event) == 1))
