"""Readers of the named sets' published formats, and of compact copies of them."""

import gzip
import re
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import InputError, Support

from .raw import Raw

__all__ = [
    "read_amat_sets",
    "read_burda_omniglot",
    "read_cifar_archive",
    "read_cifar_sprites",
    "read_digits",
    "read_dsprites",
    "read_frey_mat",
    "read_frey_npz",
    "read_idx_sets",
    "read_omniglot_npz",
    "read_packed_bits",
    "read_svhn",
]

BYTES = Support("grid", 256)
CIFAR_NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def _broken_file_error(path: Path, why: object) -> InputError:
    return InputError(f"{str(path)!r} is not what was expected ({why}): delete it and fetch it again.")


def _member(path: Path, arrays: Any, key: str, shape: tuple[int | None, ...]) -> NDArray[Any]:
    """An array of a .mat or .npz file, its shape checked (None: any length)."""
    try:
        array = np.asarray(arrays[key])
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _broken_file_error(path, f"no readable {key!r}") from error
    fits = array.ndim == len(shape) and all(b in (None, a) for a, b in zip(array.shape, shape, strict=True))
    if not fits:
        raise _broken_file_error(path, f"{key!r} has shape {array.shape}, not {shape}")
    return array


def _open_npz(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise _broken_file_error(path, error) from error


def _open_mat(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        return loadmat(path)
    except (OSError, ValueError, TypeError, NotImplementedError, zlib.error, MatReadError) as error:
        raise _broken_file_error(path, error) from error


def read_digits(paths: Sequence[Path]) -> Raw:
    """1,797 handwritten digits, 8×8 on the grid 0…16, from scikit-learn's own copy."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return Raw(digits.images, digits.target, support=Support("grid", 17))


def read_idx(path: Path) -> NDArray[np.uint8]:
    """An array of unsigned bytes in LeCun's idx format, gzipped."""
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise _broken_file_error(path, error) from error
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise _broken_file_error(path, "no idx file of bytes")
    sides = np.frombuffer(content, ">u4", count=min(content[3], len(content) // 4 - 1), offset=4)
    start = 4 + 4 * content[3]
    if len(content) - start != int(np.prod(sides, dtype=np.int64)):
        raise _broken_file_error(path, "its size does not fit its header")
    return np.frombuffer(content, np.uint8, offset=start).reshape(sides.astype(int))


def read_idx_sets(paths: Sequence[Path], names: list[str] | None = None) -> Raw:
    """MNIST and data sets of its format.

    Parameters
    ----------
    paths : sequence of Path
        Train images, train labels, test images, test labels.
    names : list of str, optional
        Of the classes.

    Returns
    -------
    Raw
        With an official test part.
    """
    images, labels, test_images, test_labels = map(read_idx, paths)
    x, y = np.concatenate([images, test_images]), np.concatenate([labels, test_labels])
    return Raw(x, y, names, support=BYTES, official=(0, len(test_images)))


def read_amat(path: Path) -> NDArray[np.uint8]:
    """Binary 28×28 images in Larochelle's text format: a line of 784 zeros and ones each."""
    characters = np.frombuffer(path.read_bytes(), np.uint8)
    values = characters[characters > ord(" ")]
    if not values.size or values.size % 784 or not np.isin(values, (ord("0"), ord("1"))).all():
        raise _broken_file_error(path, "not lines of 784 zeros and ones")
    return (values - ord("0")).reshape(-1, 28, 28)


def read_amat_sets(paths: Sequence[Path]) -> Raw:
    """The static binarisation of MNIST: train, valid and test as text."""
    return _three_parts([read_amat(path) for path in paths])


def read_packed_bits(paths: Sequence[Path]) -> Raw:
    """The static binarisation of MNIST as rows of 98 bytes of bits."""
    file = _open_npz(paths[0])
    parts = [_member(paths[0], file, key, (None, 98)) for key in ("train", "valid", "test")]
    return _three_parts([np.unpackbits(part, axis=1)[:, :784].reshape(-1, 28, 28) for part in parts])


def _three_parts(parts: list[NDArray[Any]]) -> Raw:
    note = "The test part is sorted by digit: its first rows are no fair sample of it."
    official = (len(parts[1]), len(parts[2]))
    return Raw(np.concatenate(parts), support=Support("binary"), official=official, notes=[note])


def read_burda_omniglot(paths: Sequence[Path]) -> Raw:
    """Omniglot as Burda, Grosse, Salakhutdinov ("Importance weighted autoencoders", 2016) cut it: grey in [0, 1]."""
    file = _open_mat(paths[0])
    images = [_member(paths[0], file, key, (784, None)).T for key in ("data", "testdata")]
    labels = [_member(paths[0], file, key, (None, None)).argmax(0) for key in ("target", "testtarget")]
    x = np.concatenate(images).reshape(-1, 28, 28).transpose(0, 2, 1)
    return Raw(x, np.concatenate(labels), support=Support("unit"), official=(0, len(images[1])))


def read_omniglot_npz(paths: Sequence[Path]) -> Raw:
    """Omniglot's background and evaluation drawings at 28×28, labelled by alphabet."""
    file = _open_npz(paths[0])
    images = [_member(paths[0], file, f"{part}_images", (None, 28, 28)) for part in ("background", "evaluation")]
    labels = [_member(paths[0], file, f"{part}_alphabet", (None,)) for part in ("background", "evaluation")]
    note = "Not Burda's cut of Omniglot: likelihoods do not compare with those in papers that use it."
    official = (0, len(images[1]))
    return Raw(np.concatenate(images), np.concatenate(labels), support=BYTES, official=official, notes=[note])


def read_frey_mat(paths: Sequence[Path]) -> Raw:
    """1,965 frames of Brendan Frey's face, 28×20, as Roweis's MATLAB file has them."""
    return Raw(_member(paths[0], _open_mat(paths[0]), "ff", (560, None)).T.reshape(-1, 28, 20), support=BYTES)


def read_frey_npz(paths: Sequence[Path]) -> Raw:
    """1,965 frames of Brendan Frey's face, 28×20, as one array."""
    return Raw(_member(paths[0], _open_npz(paths[0]), "images", (None, 28, 20)), support=BYTES)


def read_cifar_archive(paths: Sequence[Path]) -> Raw:
    """CIFAR-10's binary archive (the Python one is pickle): rows of a label and 3×32×32 bytes."""
    wanted = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    batches: dict[str, NDArray[np.uint8]] = {}
    try:
        with tarfile.open(paths[0], "r:gz") as archive:
            for member in archive:
                file = archive.extractfile(member) if Path(member.name).name in wanted else None
                if file is not None:
                    batches[Path(member.name).name] = np.frombuffer(file.read(), np.uint8).reshape(-1, 3073)
    except (OSError, EOFError, ValueError, tarfile.TarError, zlib.error) as error:
        raise _broken_file_error(paths[0], error) from error
    if set(batches) != set(wanted):
        raise _broken_file_error(paths[0], "batches are missing")
    rows = np.concatenate([batches[name] for name in wanted])
    x, test = rows[:, 1:].reshape(-1, 3, 32, 32), len(batches["test_batch.bin"])
    return Raw(x, rows[:, 0], list(CIFAR_NAMES), support=BYTES, official=(0, test))


def read_cifar_sprites(paths: Sequence[Path]) -> Raw:
    """A part of CIFAR-10 as lossless sprites of 1,000 images, 25 rows of 40, with labels beside."""
    folder = paths[0].parent
    sprites = {
        part: sorted(p for p in paths if re.fullmatch(rf"{part}_\d+\.webp", p.name)) for part in ("train", "test")
    }
    images = {part: np.concatenate([_sprite(p) for p in found]) for part, found in sprites.items()}
    labels = [np.load(folder / name, allow_pickle=False) for name in ("labels_train.npy", "labels_test1000.npy")]
    train, test = len(images["train"]), len(images["test"])
    y = np.concatenate([labels[0][:train], labels[1][:test]])
    note = f"A part of CIFAR-10: the first {train:,} training and the first {test:,} test images."
    x = np.concatenate([images["train"], images["test"]])
    return Raw(x, y, list(CIFAR_NAMES), support=BYTES, official=(0, test), notes=[note])


def _sprite(path: Path) -> NDArray[np.uint8]:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB"))
    except OSError as error:
        raise _broken_file_error(path, error) from error
    if pixels.shape != (800, 1280, 3):
        raise _broken_file_error(path, f"a picture of shape {pixels.shape}")
    return pixels.reshape(25, 32, 40, 32, 3).transpose(0, 2, 4, 1, 3).reshape(1000, 3, 32, 32)


def read_svhn(paths: Sequence[Path]) -> Raw:
    """Street view house numbers, cropped digits: X [32, 32, 3, n]; the label 10 stands for the digit 0."""
    files = [_open_mat(path) for path in paths]
    images = [_member(p, f, "X", (32, 32, 3, None)).transpose(3, 2, 0, 1) for p, f in zip(paths, files, strict=True)]
    labels = [_member(p, f, "y", (None, 1))[:, 0] % 10 for p, f in zip(paths, files, strict=True)]
    return Raw(np.concatenate(images), np.concatenate(labels), support=BYTES, official=(0, len(images[1])))


def read_dsprites(paths: Sequence[Path]) -> Raw:
    """Binary 64×64 sprites; labels are their shapes. The pickled metadata inside the file stays unread."""
    file = _open_npz(paths[0])
    images = _member(paths[0], file, "imgs", (None, 64, 64))
    shapes = _member(paths[0], file, "latents_classes", (len(images), 6))[:, 1]
    return Raw(images, shapes, ["square", "ellipse", "heart"], support=Support("binary"))
