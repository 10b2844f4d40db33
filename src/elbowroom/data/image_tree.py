"""Which files of a folder are images, to which part each belongs, and what its label is."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from elbowroom.numerics import InputError

__all__ = ["ImageTree", "by_frame", "image_endings", "image_tree", "is_archive"]

_PARTS = ("train", "validation", "test")
_PART_NAME = re.compile(r"(?:(train|training)|(val|valid|validation|dev)|(test|testing))(?:[ _-]?(?:set|images|data))?")
_WITHOUT_ENDING = ("PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP")  # formats that are found by a file's first bytes
_NO_PICTURES = {"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"}  # what Pillow knows by name but does not decode
_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".zst")
_LEFT_BY_SYSTEMS = {"__MACOSX", "@eaDir", "$RECYCLE.BIN"}
_LEFT_FILES = {"thumbs.db", "desktop.ini", "ehthumbs.db"}

Dirs = tuple[str, ...]


@dataclass(frozen=True)
class ImageTree:
    """The images of a folder: training images first, then those of official validation and test parts.

    Parameters
    ----------
    paths : list of Path
        Of the images.
    labels : list of str or None
        Of each, the folder that says its class.
    official : tuple of int
        How many of the last belong to the official validation and test parts, in this order.
    notes : list of str
        What was left out, and how folders were read.
    """

    paths: list[Path]
    labels: list[str] | None
    official: tuple[int, int]
    notes: list[str]


@cache
def image_endings() -> frozenset[str]:
    """Endings of the files that Pillow opens as pictures, with their dot, in small letters."""
    from PIL import Image

    known = Image.registered_extensions()
    opened = {*Image.OPEN, "MPO"} - _NO_PICTURES  # MPO is opened as JPEG
    return frozenset(ending for ending, kind in known.items() if kind in opened)


def is_archive(path: Path) -> bool:
    """Whether a file's ending is that of an archive or of a compressed file."""
    return path.name.lower().endswith(_ARCHIVES)


def image_tree(folder: Path) -> ImageTree:
    """Find the images below a folder; subfolders are parts (train, validation, test) or classes.

    Parameters
    ----------
    folder : Path
        With images, with a subfolder for each class, or with train/, test/ (and validation/) that hold either.

    Returns
    -------
    ImageTree
        In the order of sorted paths within each part.

    Raises
    ------
    InputError
        Where there is no image, or where images stand beside subfolders with images.
    """
    paths, notes = _images_below(folder)
    dirs, wrapper = _unwrapped([path.relative_to(folder).parts[:-1] for path in paths])
    notes += _wrapper_note(wrapper)
    _all_or_none(folder, paths, dirs)
    parts, dirs = _parts_of(folder, dirs)
    if parts is None:
        labels = [d[0] for d in dirs] if all(dirs) else None
        return ImageTree(paths, labels, (0, 0), notes + _deeper_note(dirs))
    order = sorted(range(len(paths)), key=parts.__getitem__)  # stable: sorted by path within a part
    paths, parts = [paths[i] for i in order], [parts[i] for i in order]
    dirs, wrapper = _unwrapped([dirs[i] for i in order])
    notes += _wrapper_note(wrapper)
    labels, more = _labels_by_part(folder, paths, dirs, parts)
    return ImageTree(paths, labels, (parts.count(1), parts.count(2)), notes + more + _deeper_note(dirs))


def by_frame(labels: Any, frames: Sequence[int]) -> Any:
    """Labels of files repeated for their frames; other labels as they are.

    Parameters
    ----------
    labels : sequence
        One per file, or one per frame.
    frames : sequence of int
        How many each file holds.

    Returns
    -------
    sequence
        One per frame.
    """
    if max(frames) == 1 or len(labels) != len(frames):
        return labels
    return np.repeat(np.asarray(labels), frames)


def _images_below(folder: Path) -> tuple[list[Path], list[str]]:
    """Paths of images, sorted, and notes on files that were left out."""
    images, hidden, others = [], [], []
    for path in _files_below(folder):
        if _is_hidden(path.relative_to(folder)):
            hidden += [path] * (path.suffix.lower() in image_endings())
        elif _is_image(path):
            images.append(path)
        else:
            others.append(path)
    if not images:
        raise InputError(f"The folder {str(folder)!r} holds no images that can be read{_what_instead(others)}.")
    notes = []
    if hidden:
        count = f"{len(hidden):,} hidden files" if len(hidden) > 1 else "1 hidden file"
        notes.append(f"Left out: {count} with endings of images, such as {hidden[0].name!r}.")
    if others:
        count = f"{len(others):,} files that are no images" if len(others) > 1 else "1 file that is no image"
        notes.append(f"Left out: {count}: {_endings_of(others)}.")
    return sorted(images), notes


def _is_image(path: Path) -> bool:
    """Whether a file is an image by its ending, or, where it has none, by its first bytes."""
    if path.suffix:
        return path.suffix.lower() in image_endings() and (path.is_file() or path.is_symlink())
    if not path.is_file():
        return False
    from PIL import Image

    try:
        with path.open("rb") as file, Image.open(file, formats=_WITHOUT_ENDING):
            return True
    except (OSError, SyntaxError, ValueError):
        return False


def _files_below(folder: Path) -> Iterator[Path]:
    """Every file below a folder; links are followed, but not back to a folder that was entered before."""

    def refuse(error: OSError) -> None:
        raise InputError(f"The folder {str(error.filename)!r} cannot be read ({error.strerror}).")

    entered = set()
    for here, below, files in os.walk(folder, onerror=refuse, followlinks=True):
        entered.add(os.path.realpath(here))
        below[:] = sorted(name for name in below if os.path.realpath(os.path.join(here, name)) not in entered)
        yield from (Path(here, name) for name in files)


def _is_hidden(path: PurePath) -> bool:
    """Whether a file is one that systems put beside those of people."""
    made = any(part.startswith(".") or part in _LEFT_BY_SYSTEMS for part in path.parts)
    return made or path.name.lower() in _LEFT_FILES


def _what_instead(others: Sequence[Path]) -> str:
    """What a folder without images holds, and what helps."""
    archives = [path.name for path in others if is_archive(path)]
    if archives:
        return f", but {archives[0]!r}: unpack it first"
    return f", only {_endings_of(others)}: save them as .png" if others else ": give one that does"


def _endings_of(paths: Sequence[Path]) -> str:
    """Endings of files, the commonest first, with their counts."""
    counts = Counter(path.suffix.lower() or "without an ending" for path in paths).most_common()
    counts.sort(key=lambda pair: (-pair[1], pair[0]))
    shown = ", ".join(f"{ending} {n:,}" for ending, n in counts[:6])
    return shown + (f" and {len(counts) - 6} other endings" if len(counts) > 6 else "")


def _unwrapped(dirs: list[Dirs]) -> tuple[list[Dirs], Dirs]:
    """The folders of each image without those that all images have in common, and these."""
    first, last = min(dirs), max(dirs)  # what these have in common, all that stand between them have
    depth = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return [d[depth:] for d in dirs], first[:depth]


def _wrapper_note(wrapper: Dirs) -> list[str]:
    return [f"All images lie in {'/'.join(wrapper)!r}, which is therefore no label."] if wrapper else []


def _all_or_none(folder: Path, paths: Sequence[Path], dirs: Sequence[Dirs]) -> None:
    """Refuse images beside subfolders with images."""
    bare = [path for path, d in zip(paths, dirs, strict=True) if not d]
    if bare and len(bare) < len(dirs):
        inside = next(d for d in dirs if d)[0]
        raise InputError(
            f"{str(folder)!r} holds images ({bare[0].name!r}) beside subfolders with images ({inside!r}): use one or "
            "the other."
        )


def _part(name: str) -> int | None:
    """0, 1, 2 for names of the parts train, validation, test."""
    found = _PART_NAME.fullmatch(name.lower())
    return None if found is None else int(found.lastindex or 1) - 1


def _parts_of(folder: Path, dirs: list[Dirs]) -> tuple[list[int] | None, list[Dirs]]:
    """The part of each image, where subfolders are parts, and the folders that are left as its classes."""
    if not all(dirs):
        return None, dirs
    if _are_parts(folder, {d[0] for d in dirs}):
        return [_part(d[0]) or 0 for d in dirs], [d[1:] for d in dirs]
    if all(len(d) > 1 for d in dirs) and _are_parts(folder, {d[1] for d in dirs}):
        return [_part(d[1]) or 0 for d in dirs], [(d[0], *d[2:]) for d in dirs]
    return None, dirs


def _are_parts(folder: Path, names: set[str]) -> bool:
    """Whether subfolders are parts; they are classes where one of them only sounds like a part."""
    parts = {name: _part(name) for name in sorted(names)}
    found = set(parts.values()) - {None}
    if len(found) < 2:
        return False
    others = [name for name, part in parts.items() if part is None]
    if others:
        known = [name for name, part in parts.items() if part is not None]
        raise InputError(
            f"{str(folder)!r} holds {', '.join(map(repr, known))} beside {others[0]!r}: subfolders are parts or "
            "classes, so move what is neither out of the folder."
        )
    if 0 not in found:
        raise InputError(f"{str(folder)!r} holds {' and '.join(map(repr, parts))} but no 'train' to learn from.")
    return True


def _labels_by_part(
    folder: Path, paths: Sequence[Path], dirs: Sequence[Dirs], parts: Sequence[int]
) -> tuple[list[str] | None, list[str]]:
    """Labels where every part has them, and notes on classes that some part lacks."""
    classes: list[set[str]] = []
    for part in range(3):
        here = [(path, d) for path, d, p in zip(paths, dirs, parts, strict=True) if p == part]
        _all_or_none(folder, [path for path, _ in here], [d for _, d in here])
        classes.append({d[0] for _, d in here if d})
    present = sorted(set(parts))
    bare = [_PARTS[part] for part in present if not classes[part]]
    if len(bare) == len(present):
        return None, []
    if bare:
        return None, [f"The images of {bare[0]} have no class folders, so the folders of the others are no labels."]
    every = set.union(*classes)
    notes = [
        f"Classes without an image in {_PARTS[part]}: {', '.join(sorted(every - classes[part]))}."
        for part in present
        if classes[part] != every
    ]
    return [d[0] for d in dirs], notes


def _deeper_note(dirs: Sequence[Dirs]) -> list[str]:
    deep = [d for d in dirs if len(d) > 1]
    if not deep:
        return []
    which = "1 image lies" if len(deep) == 1 else f"{len(deep):,} images lie"
    return [f"{which} in folders inside class folders ({'/'.join(deep[0])!r}): the label is the first."]
