"""Folders of images as a file holds them."""

from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.data.image_tree import image_tree
from elbowroom.numerics import InputError

from .arrays import ArraySource, ArrayTarget
from .cells import Cells
from .container import Reader
from .contexts import contexts_by_name
from .known import Known

__all__ = ["ImageSource", "image_names", "write_pictures"]

_MODES = {"1": bool, "L": np.uint8, "LA": np.uint8, "RGB": np.uint8, "RGBA": np.uint8, "I;16": np.uint16}
_CHANNELS: dict[str, tuple[int, ...]] = {"1": (), "L": (), "LA": (2,), "RGB": (3,), "RGBA": (4,), "I;16": ()}


class ImageSource(ArraySource):
    """The images below a folder, all of one size and one mode.

    Parameters
    ----------
    folder : Path
        With .png files, or other images whose pixels are then kept and whose files are not.
    cells : Cells
        Of the model.
    known : Known
        Of its contexts: the label can be one, which the folders say.
    """

    def __init__(self, folder: Path, cells: Cells, known: Known) -> None:
        tree = image_tree(folder)
        paths = tree.paths
        self.names = [path.relative_to(folder).as_posix() for path in paths]
        pictures, modes = zip(*map(_picture, paths), strict=True)
        if len(set(modes)) > 1 or len({one.shape for one in pictures}) > 1:
            raise InputError(f"The images in {str(folder)!r} differ in size or mode: a file holds images of one kind.")
        self.mode = modes[0]
        super().__init__(np.stack(pictures), cells)
        labels = {} if tree.labels is None else {"label": np.array(tree.labels)}
        self.contexts = contexts_by_name(known.names, labels, known.words, {"label": "label"}).measured()

    def head(self) -> dict[str, Any]:
        """What a decoder has to know, in plain values."""
        return {**super().head(), "kind": "images", "mode": self.mode, "names": self.names}


def _picture(path: Path) -> tuple[NDArray[Any], str]:
    from PIL import Image

    with Image.open(path) as image:
        if image.mode not in _MODES:
            raise InputError(f"{path.name!r} is an image of mode {image.mode}, and files hold {', '.join(_MODES)}.")
        values = np.asarray(image)
        return np.moveaxis(values, -1, 0) if values.ndim == 3 else values, image.mode


def image_names(reader: Reader, target: ArrayTarget) -> list[str]:
    """Names of images, from the head of a file: relative, below the folder, each of its own.

    Parameters
    ----------
    reader : Reader
        The file.
    target : ArrayTarget
        Its array.

    Returns
    -------
    list of str
        In the order of the rows, with the ending .png.
    """
    held = reader.head["source"]
    names, mode = held.get("names"), held.get("mode")
    if not isinstance(names, list) or len(names) != reader.head["rows"] or not _is_mode(mode, target):
        raise reader.damaged("the images in its head")
    if not all(isinstance(name, str) and _is_inside(name) for name in names):
        raise reader.damaged("names of images")
    found = [str(PurePosixPath(name).with_suffix(".png")) for name in names]
    if len(set(found)) < len(found):
        found = [f"{name}.png" for name in names]
    if len(set(found)) < len(found):
        raise reader.damaged("names of images")
    return found


def _is_mode(mode: Any, target: ArrayTarget) -> bool:
    """Whether an array can be images of a mode."""
    channels = _CHANNELS.get(mode) if isinstance(mode, str) else None
    shape = (target.shape[1],) if len(target.shape) == 4 else ()
    return channels is not None and target.dtype == _MODES[mode] and shape == channels and len(target.shape) in (3, 4)


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    plain = not any(one in name for one in "\\:\0\n") and len(name) < 1_000 and bool(path.name)
    return plain and not path.is_absolute() and ".." not in path.parts


def write_pictures(folder: Path, names: list[str], images: NDArray[Any]) -> None:
    """Write images [n, …] to a folder that is made.

    Parameters
    ----------
    folder : Path
        Into which.
    names : list of str
        Of the files.
    images : array
        [n, H, W] or [n, C, H, W].
    """
    from PIL import Image

    for name, values in zip(names, images, strict=True):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = np.ascontiguousarray(np.moveaxis(values, 0, -1) if values.ndim == 3 else values)
        Image.fromarray(picture).save(path)
