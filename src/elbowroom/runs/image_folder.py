"""Samples of images as a folder of files, one for each."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import InputError

__all__ = ["write_images"]


def write_images(folder: str | Path, x: NDArray[Any], image_shape: Sequence[int] | None, support: str) -> Path:
    """Write images to 0001.png, 0002.png, … of a folder, so that `er.load_data` reads the same values from it.

    Bits become black and white, grids of other than 256 levels are scaled to 0 … 255 (of more levels, to files of 16
    bits with the levels as they are), [0, 1] is scaled to 0 … 255, and other numbers become .tif files of floats.

    Parameters
    ----------
    folder : str or Path
        New or empty.
    x : array [n, *event]
        On the user's scale, flat or not.
    image_shape : sequence of int or None
        (H, W), or (C, H, W) with 1 to 4 channels: grey, grey with alpha, RGB, RGBA.
    support : str
        Where the data lie, in the words of their `Support`, as a run's recipe has them.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    InputError
        For what are no images, for values that images do not hold, and for a folder with files in it.

    Examples
    --------
    >>> import tempfile
    >>> from elbowroom import load_data
    >>> x = np.arange(256).reshape(4, 64)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     data = load_data(write_images(folder + "/new", x, (8, 8), "integer grid 0…255"))
    >>> str(data.support), data.image_shape, data.sha256 == load_data(x.reshape(4, 8, 8).astype(np.uint8)).sha256
    ('integer grid 0…255', (8, 8), True)
    """
    folder = Path(folder)
    if image_shape is None:
        raise InputError("These data are no images, so no folder of images can be made of them: write to a .npy file.")
    channels, *size = image_shape if len(image_shape) == 3 else (1, *image_shape)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{str(folder)!r} exists and is not empty: name a new folder for the images.")
    images, ending = _as_files_hold_them(np.asarray(x).reshape(len(x), channels, *size), support)
    folder.mkdir(parents=True, exist_ok=True)
    digits = max(4, len(str(len(images))))
    for number, image in enumerate(images, start=1):
        _picture(image).save(folder / f"{number:0{digits}}{ending}")
    return folder


def _as_files_hold_them(x: NDArray[Any], support: str) -> tuple[NDArray[Any], str]:
    """Values [n, C, H, W] as bits, bytes, 16 bits or floats; and the ending of files that hold them."""
    channels = x.shape[1]
    if channels > 4 or not np.isfinite(x).all():
        what = f"{channels} channels" if channels > 4 else "values that are not finite"
        raise InputError(f"Image files do not hold {what}: write to a .npy file.")
    grid = re.fullmatch(r"integer grid 0…(\d+)", support)
    top = int(grid.group(1)) if grid else 1 if support == "binary {0, 1}" or support.startswith("unit") else 0
    if support == "binary {0, 1}" and channels == 1 and np.isin(x, (0, 1)).all():
        return x.astype(bool), ".png"
    if 0 < top < 256:
        return np.round(np.clip(x, 0, top) * (255 / top)).astype(np.uint8), ".png"
    if channels > 1:
        raise InputError(f"Image files in colour hold 256 levels, and these data are {support}: write to a .npy file.")
    if 0 < top < 65_536:
        return np.round(np.clip(x, 0, top)).astype(np.uint16), ".png"
    return x.astype(np.float32), ".tif"


def _picture(image: NDArray[Any]) -> Any:
    from PIL import Image

    last = image.transpose(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(last[..., 0] if len(image) == 1 else last))
