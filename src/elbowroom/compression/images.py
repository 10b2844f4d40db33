"""Folders of images as a file holds them, read by what reads them for training."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.data.image_tree import by_frame
from elbowroom.data.images import Pictures, read_pictures
from elbowroom.numerics import InputError
from elbowroom.vae.meanings import TOO_SHALLOW, is_deep

from .arrays import ArraySource, ArrayTarget
from .cells import Cells
from .container import Reader
from .contexts import contexts_by_name
from .known import Known

__all__ = ["ImageSource", "image_names", "write_pictures"]

_MODES = {"1": bool, "L": np.uint8, "LA": np.uint8, "RGB": np.uint8, "RGBA": np.uint8, "I;16": np.uint16}
_CHANNELS: dict[str, tuple[int, ...]] = {"1": (), "L": (), "LA": (2,), "RGB": (3,), "RGBA": (4,), "I;16": ()}


class ImageSource(ArraySource):
    """The images below a folder, or the frames of a file, as training reads them: upright and without alpha.

    Parameters
    ----------
    folder : Path
        With .png files, or other images whose pixels are then kept and whose files are not; or a file of frames.
    cells : Cells
        Of the model.
    known : Known
        Of its contexts: the label can be one, which the folders say.
    """

    def __init__(self, folder: Path, cells: Cells, known: Known) -> None:
        pictures = read_pictures(folder)
        tree, frames = pictures.tree, pictures.frames
        self.names = list(_names(folder, tree.paths, frames))
        x, self.mode = _for_model(pictures, cells)
        super().__init__(x, cells)
        labels = {} if tree.labels is None else {"label": np.array(by_frame(tree.labels, frames))}
        self.contexts = contexts_by_name(known.names, labels, known.words, {"label": "label"}).measured()
        changes = pictures.notes + pictures.grey_note * (self.mode == "L")
        self.notes = ["Pictures come back as training reads them, in .png:", *changes] if changes else []

    def head(self) -> dict[str, Any]:
        """What a decoder has to know, in plain values."""
        return {**super().head(), "kind": "images", "mode": self.mode, "names": self.names}


def _names(folder: Path, paths: Sequence[Path], frames: Sequence[int]) -> Iterator[str]:
    """A name for each image: its file's, with the number of the frame where there are several."""
    for path, many in zip(paths, frames, strict=True):
        name = PurePosixPath(path.relative_to(folder).as_posix() if path != folder else path.name)
        yield from [str(name)] if many == 1 else (f"{name.with_suffix('')}-{i:04d}{name.suffix}" for i in range(many))


def _for_model(pictures: Pictures, cells: Cells) -> tuple[NDArray[Any], str]:
    """Images with as many channels and levels as the model was trained on, which may have been read among others."""
    x, kind = pictures.x, pictures.kind
    if kind == "reals":
        raise InputError("Images of floats do not come back as .png: give a .npy of their numbers.")
    if kind != "deep" and is_deep(str(cells.levels.max())):
        raise InputError(TOO_SHALLOW)
    size, wanted = int(np.prod(x.shape[-2:])), int(np.prod(cells.event))
    if kind == "bits" and cells.levels.max() <= 2 and wanted == size:
        return x.astype(bool), "1"
    if kind == "bits":
        x = 255 * x
    if pictures.all_grey and wanted == size:
        return np.ascontiguousarray(x[:, 0]), "L"
    if x.ndim == 3 and kind != "deep" and wanted == 3 * size:
        x = np.repeat(x[:, None], 3, 1)
    return x, "I;16" if kind == "deep" else "RGB" if x.ndim == 4 else "L"


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
