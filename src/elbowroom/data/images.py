"""Images from folders and from files of several frames: one array of all, and notes on what was made of them."""

import struct
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import InputError, Support
from elbowroom.progress import Progress

from .arrays import bits_of, notes_on_gaps
from .image_tree import ImageTree, by_frame, image_tree
from .memory import refuse_what_exceeds_memory
from .raw import Raw
from .text import unreadable

__all__ = ["Pictures", "read_images", "read_pictures"]

_FRAMED = {"AVIF", "DCX", "FLI", "GIF", "PNG", "TIFF", "WEBP"}  # elsewhere frames are layers, sizes or previews
_ORIENTATION = 0x0112
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, OverflowError, struct.error, zlib.error)
_KINDS = {
    "bits": "1 bit a value",
    "greys": "8 bits a value",
    "colours": "8 bits a value",
    "deep": "16 bits a value",
    "reals": "floats",
}


@dataclass(frozen=True)
class _Header:
    """What a file says before its pixels are read: how its values are stored, its width and height, its frames."""

    kinds: tuple[str, ...]
    size: tuple[int, int]
    frames: int
    more: bool


@dataclass
class _Seen:
    """How many images were changed on their way in, and how."""

    turned: int = 0
    opaque: int = 0
    transparent: int = 0
    inks: int = 0
    grey: int = 0
    coloured: int = 0
    frames: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Pictures:
    """Images as they were read, upright and without alpha, and what was changed for that.

    Parameters
    ----------
    x : array
        [n, H, W], or [n, 3, H, W] where some image is stored in colour.
    kind : str
        How values are stored: "bits" (0 and 1), "greys", "colours", "deep" (16 bits) or "reals".
    tree : ImageTree
        The files.
    headers : list
        What each file says of itself.
    seen : object
        How many images were changed, and how.
    """

    x: NDArray[Any]
    kind: str
    tree: ImageTree
    headers: list[_Header]
    seen: _Seen

    @property
    def frames(self) -> list[int]:
        """How many images each file holds."""
        return [header.frames for header in self.headers]

    @property
    def all_grey(self) -> bool:
        """Whether all images are stored in colour and none has any."""
        return self.kind == "colours" and self.seen.grey == len(self.x)

    @property
    def grey_note(self) -> list[str]:
        """What a person should know where these images are given one channel."""
        said = f"{self.seen.coloured:,} of {len(self.x):,}"
        return [f"Grey images that are stored in colour, given one channel: {said}."] if self.all_grey else []

    @property
    def notes(self) -> list[str]:
        """What a person should know of frames, and of images that were changed."""
        return _frame_notes(self.headers) + _change_notes(self.seen)


def read_pictures(path: Path) -> Pictures:
    """Read all images of a folder, or all frames of a file: what training and files of `compress` both read.

    Parameters
    ----------
    path : Path
        A folder, as `image_tree` takes it, or a file.

    Returns
    -------
    Pictures
        Each frame is an image, in the order of the tree.

    Raises
    ------
    InputError
        For a file that cannot be read, and images of several sizes or depths.
    """
    tree = image_tree(path) if path.is_dir() else ImageTree([path], None, (0, 0), [])
    with Progress("reading images", total=2 * len(tree.paths)) as progress:
        headers = [_header(file) for file in _counted(tree.paths, progress)]
        kind = _common_kind(tree.paths, headers)
        _check_sizes(tree.paths, headers)
        x, seen = _pixels(tree.paths, [header.frames for header in headers], headers[0].size, kind, progress)
    return Pictures(x, kind, tree, headers, seen)


def read_images(path: Path, labels: Any, *, least: int = 2) -> tuple[Raw, Any]:
    """Read a folder of images of one size, or the frames of one file.

    Parameters
    ----------
    path : Path
        A folder, as `image_tree` takes it, or a file of several frames.
    labels : array or None
        One per image, in the order of sorted paths (of each part); or one per file, where files have several frames.
    least : int, default 2
        How many there must be: two, of which a model can learn, or one, of which it can say something.

    Returns
    -------
    raw : Raw
        Images [n, H, W] or [n, 3, H, W].
    labels : array or None
        One per image.

    Raises
    ------
    InputError
        For a file that cannot be read, images of several sizes or depths, and a single image.
    """
    pictures = read_pictures(path)
    tree, frames = pictures.tree, pictures.frames
    if sum(frames) < least:
        raise InputError(
            f"{str(path)!r} holds one image, {tree.paths[0].name!r}: give a folder with two or more, of which a "
            "model can learn."
        )
    raw = _raw(pictures)
    raw.official = _official(tree, frames)
    raw.notes = tree.notes + pictures.notes + raw.notes
    own = tree.labels if labels is None else labels
    if labels is not None:
        raw.notes += _order_notes(tree.paths)
    return raw, own if own is None else by_frame(own, frames)


def _counted(paths: Sequence[Path], progress: Progress) -> Iterator[Path]:
    for path in paths:
        yield path
        progress.advance()


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A picture, by an open file: of a path Pillow maps some TIFF files into memory with their sides exchanged."""
    from PIL import Image

    try:
        with path.open("rb") as file, Image.open(file) as picture:
            yield picture
    except InputError:
        raise
    except (*_BROKEN, Image.DecompressionBombError) as error:
        reason = "no image that Pillow knows" if isinstance(error, Image.UnidentifiedImageError) else error
        raise unreadable(repr(str(path)), reason) from error


def _header(path: Path) -> _Header:
    with _opened(path) as picture:
        frames = int(getattr(picture, "n_frames", 1)) if picture.format in _FRAMED else 1
        kinds = _kinds_of(path, picture, frames)
        size, turned = picture.size, picture.getexif().get(_ORIENTATION, 1)
        if turned in (5, 6, 7, 8):
            if picture.format == "TIFF":
                picture.load()  # turns it, and says its size anew
                size = picture.size
            else:
                size = size[::-1]
        return _Header(kinds, size, frames, picture.format == "MPO" and picture.n_frames > 1)


def _kinds_of(path: Path, picture: Any, frames: int) -> tuple[str, ...]:
    """How the values of the frames are stored; of .gif, whose later frames may have colours, in colour."""
    if frames > 1 and picture.format == "GIF":
        return ("colours",)
    kinds = [_kind_of(path, picture)]
    for frame in range(1, frames if picture.format == "TIFF" else 1):
        picture.seek(frame)
        kinds.append(_kind_of(path, picture))
    picture.seek(0)
    return tuple(dict.fromkeys(kinds))


def _kind_of(path: Path, picture: Any) -> str:
    """How the values of a picture are stored."""
    if picture.mode == "F":
        return "reals"
    if picture.mode.startswith("I"):
        return "deep"
    if any(";16" in str(tile[3]) for tile in picture.tile) or _greatest(picture) > 255:
        raise InputError(
            f"{path.name!r} has colours of 16 bits, of which 8 would be lost: save it with 8, or give a .npy of the "
            "numbers."
        )
    return {"1": "bits", "L": "greys", "LA": "greys", "La": "greys"}.get(picture.mode, "colours")


def _greatest(picture: Any) -> int:
    """The value that a .ppm says is white."""
    return int(picture.tile[0][3][1]) if picture.format == "PPM" and isinstance(picture.tile[0][3], tuple) else 0


def _common_kind(paths: Sequence[Path], headers: Sequence[_Header]) -> str:
    """The kind that holds all images; InputError where 16 bits or floats stand beside others."""
    found = {kind: path.name for path, header in zip(paths, headers, strict=True) for kind in header.kinds}
    for kind in ("deep", "reals"):
        if kind in found and len(found) > 1:
            other = next(one for one in found if one != kind)
            raise InputError(
                f"Images differ in depth: {found[kind]!r} has {_KINDS[kind]}, {found[other]!r} {_KINDS[other]}; save "
                "all in one way."
            )
    return next(kind for kind in ("reals", "deep", "colours", "greys", "bits") if kind in found)


def _check_sizes(paths: Sequence[Path], headers: Sequence[_Header]) -> None:
    """Refuse images of several sizes, in a sentence that says which size is the commonest."""
    sizes = Counter(header.size for header in headers)
    if len(sizes) == 1:
        return
    common, many = sizes.most_common(1)[0]
    first = next(p for p, header in zip(paths, headers, strict=True) if header.size == common)
    other, size = next((p, header.size) for p, header in zip(paths, headers, strict=True) if header.size != common)
    raise InputError(
        f"Images differ in size: {many:,} of {len(paths):,} are {_size(common)} as {first.name!r} is, the others "
        f"are not ({other.name!r} is {_size(size)}): resize them to one size."
    )


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}×{size[1]}"


def _pixels(
    paths: Sequence[Path], frames: Sequence[int], size: tuple[int, int], kind: str, progress: Progress
) -> tuple[NDArray[Any], _Seen]:
    """The pixels of all frames [n, H, W] or [n, 3, H, W]."""
    dtype = np.dtype({"deep": np.uint16, "reals": np.float32}.get(kind, np.uint8))
    shape = (sum(frames), *(3,) * (kind == "colours"), size[1], size[0])
    refuse_what_exceeds_memory("The images", shape, dtype, "make them smaller, or give fewer")
    x, seen, done = np.empty(shape, dtype), _Seen(frames=list(frames)), 0
    for path, many in zip(_counted(paths, progress), frames, strict=True):
        with _opened(path) as picture:
            for frame in range(many):
                if many > 1:
                    picture.seek(frame)
                x[done] = _values(path, picture, size, kind, seen)
                done += 1
    return x, seen


def _values(path: Path, picture: Any, size: tuple[int, int], kind: str, seen: _Seen) -> NDArray[Any]:
    """The pixels of one frame, upright and without alpha."""
    from PIL import ImageOps

    seen.turned += picture.getexif().get(_ORIENTATION, 1) not in (0, 1)
    picture.load()
    upright = ImageOps.exif_transpose(picture)
    if upright.size != size:
        raise InputError(
            f"Images differ in size: {path.name!r} has a frame of {_size(upright.size)} where others have "
            f"{_size(size)}; resize them to one."
        )
    if kind in ("deep", "reals"):
        return _deep_values(path, upright)
    seen.inks += upright.mode == "CMYK"
    seen.coloured += upright.mode not in ("1", "L", "LA", "La")
    plain = _without_alpha(upright, seen)
    if kind == "bits":
        return np.asarray(plain.convert("L")) > 127
    if kind == "greys":
        return np.asarray(plain.convert("L"))
    colours: NDArray[np.uint8] = np.asarray(plain.convert("RGB"))
    seen.grey += bool((colours == colours[..., :1]).all())
    return colours.transpose(2, 0, 1)


def _deep_values(path: Path, picture: Any) -> NDArray[Any]:
    """Greys of 16 bits, or floats."""
    if picture.has_transparency_data:
        raise InputError(f"{path.name!r} has transparent parts and 16 bits a value: save it without transparency.")
    values = np.asarray(picture)
    if values.dtype.kind != "f" and (values.min() < 0 or values.max() > 65_535):
        raise InputError(
            f"{path.name!r} has values from {values.min():,} to {values.max():,}, beyond greys of 16 bits: give a .npy "
            "of the numbers."
        )
    return values


def _without_alpha(picture: Any, seen: _Seen) -> Any:
    """A picture without its alpha channel: dropped where it is opaque, else laid over white."""
    from PIL import Image

    if not picture.has_transparency_data:
        return picture
    plain = "L" if picture.mode in ("1", "L", "LA", "La") else "RGB"
    wide = picture.convert("RGBA")
    alpha, colours = wide.getchannel("A"), wide.convert("RGB")
    if alpha.getextrema()[0] == 255:
        seen.opaque += 1
    else:
        seen.transparent += 1
        colours = Image.composite(colours, Image.new("RGB", wide.size, "white"), alpha)
    return colours.getchannel("R") if plain == "L" else colours


def _raw(pictures: Pictures) -> Raw:
    """Images with their support; grey ones with one channel, black and white ones as 0 and 1."""
    x, kind, seen = pictures.x, pictures.kind, pictures.seen
    if kind == "reals":
        return Raw(x)
    if kind == "deep":
        return _deep_raw(x)
    notes = []
    if pictures.all_grey:
        x, notes = np.ascontiguousarray(x[:, 0]), pictures.grey_note
    elif seen.grey:
        notes.append(f"Grey images among coloured ones, given three equal channels: {seen.grey:,} of {len(x):,}.")
    if kind == "bits":
        return Raw(x, support=Support("binary"))
    if _black_and_white(x):
        notes.append("The images hold black (0) and white (255) alone: they are binary, 0 and 1.")
        return Raw((x > 0).astype(np.uint8), support=Support("binary"), notes=notes, turned="0 and 255")
    return Raw(x, support=Support("grid", 256), notes=notes)


def _deep_raw(x: NDArray[np.uint16]) -> Raw:
    high = int(x.max())
    bits = bits_of(high)
    note = f"The images have greys of 16 bits, the greatest {high:,}: a grid of {2**bits:,} levels."
    return Raw(x, support=Support("grid", 2**bits), notes=[note, *notes_on_gaps(x)])


def _black_and_white(x: NDArray[np.uint8]) -> bool:
    counts = np.zeros(256, bool)
    for one in x:
        counts[one] = True
        if counts[1:255].any():
            return False
    return bool(counts[0] and counts[255])


def _official(tree: ImageTree, frames: Sequence[int]) -> tuple[int, int]:
    """How many frames the files of the official parts have."""
    held, tested = tree.official
    last = len(frames) - tested
    return sum(frames[last - held : last]), sum(frames[last:])


def _order_notes(paths: Sequence[Path]) -> list[str]:
    """A note where sorting by number would give labels to other images than sorting by letter does."""
    names = [path.stem for path in paths]
    numbers = [int(name) for name in names if name.isdecimal()]
    if len(numbers) < len(names) or numbers == sorted(numbers):
        return []
    shown = ", ".join(path.name for path in paths[:3])
    return [f"The labels were given to the images in the order of their names as text: {shown}, …."]


def _frame_notes(headers: Sequence[_Header]) -> list[str]:
    several = sum(header.frames > 1 for header in headers)
    more = sum(header.more for header in headers)
    notes = []
    if several:
        which = "The file holds" if len(headers) == 1 else f"{several:,} of the {len(headers):,} files hold"
        notes.append(
            f"{which} several frames, {sum(header.frames for header in headers):,} in all: each frame is an example, "
            "and frames of one file may stand in train and in test."
        )
    if more:
        notes.append(f"Photographs with a second picture inside (MPO), of which the first was read: {more:,}.")
    return notes


def _change_notes(seen: _Seen) -> list[str]:
    every = f"{sum(seen.frames):,}"
    counts = {
        "Images turned upright as their EXIF data say": seen.turned,
        "Images with an alpha channel that is opaque everywhere, which was dropped": seen.opaque,
        "Images with transparent parts, which were laid over white": seen.transparent,
        "Images in the inks CMYK, which were turned into RGB": seen.inks,
    }
    return [f"{what}: {n:,} of {every}." for what, n in counts.items() if n]
