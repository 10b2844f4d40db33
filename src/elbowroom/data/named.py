"""The named sets: where they come from, how to know them, and whether they are at hand."""

import difflib
import gzip
import hashlib
import os
import sys
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from elbowroom.numerics import InputError

from . import formats
from .raw import Raw

__all__ = ["NAMED", "DataRow", "NamedSet", "fetch_data", "list_data", "named_set", "read_named"]

_FASHION = ["T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"]

Reader = Callable[[Sequence[Path]], Raw]


@dataclass(frozen=True)
class File:
    """A file of a named set: its name, public address and md5, of the decompressed bytes where `unpacked`."""

    name: str
    url: str
    md5: str | None = None
    unpacked: bool = False


@dataclass(frozen=True)
class NamedSet:
    """A public data set: what it is, its files and their reader.

    Parameters
    ----------
    what : str
        The data in a few words.
    examples : str
        How many there are, in words.
    size : str
        Size of the download.
    folder : str
        Folder of its files in the cache.
    files : tuple of File
        What is downloaded; empty for a set that comes with scikit-learn.
    read : callable
        Reads the paths of these files.
    validation : float, default 0.1
        How many examples, or which fraction, are kept for validation.
    test : float, default 0.1
        The same for test.
    compact : tuple of str, default ()
        Names (patterns) of the files of a smaller copy.
    read_compact : callable, optional
        Reads that copy.
    """

    what: str
    examples: str
    size: str
    folder: str
    files: tuple[File, ...]
    read: Reader
    validation: float = 0.1
    test: float = 0.1
    compact: tuple[str, ...] = ()
    read_compact: Reader | None = None


@dataclass(frozen=True)
class DataRow:
    """One line of the list of named data sets.

    Parameters
    ----------
    name : str
        What `load_data` is given.
    what : str
        The data in a few words.
    examples : str
        How many there are, as in "60,000 + 10,000 test".
    size : str
        Size of the download.
    at_hand : bool
        Whether it is on this machine already.
    """

    name: str
    what: str
    examples: str
    size: str
    at_hand: bool


def _idx_files(base: str, sums: tuple[str, str, str, str]) -> tuple[File, ...]:
    names = ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"]
    return tuple(File(f"{n}-ubyte.gz", f"{base}/{n}-ubyte.gz", md5, True) for n, md5 in zip(names, sums, strict=True))


def _files(base: str, *names: tuple[str, str | None]) -> tuple[File, ...]:
    return tuple(File(name, f"{base}/{name}", md5) for name, md5 in names)


NAMED = {
    "digits": NamedSet(
        "handwritten digits, 8×8, 17 grey levels", "1,797", "bundled", "", (), formats.read_digits, 200, 397
    ),
    "mnist": NamedSet(
        "handwritten digits, 28×28, 256 grey levels",
        "60,000 + 10,000 test",
        "12 MB",
        "mnist",
        _idx_files(
            "https://ossci-datasets.s3.amazonaws.com/mnist",
            (
                "6bbc9ace898e44ae57da46a324031adb",
                "a25bea736e30d166cdddb491f175f624",
                "2646ac647ad5339dbf082846283269ea",
                "27ae3e4e09519cfbb04c329615203637",
            ),
        ),
        formats.read_idx_sets,
        10_000,
    ),
    "binarized-mnist": NamedSet(
        "MNIST, binarised once by Larochelle, no labels",
        "50,000 + 10,000 validation + 10,000 test",
        "110 MB",
        "binarized_mnist",
        _files(
            "https://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist",
            ("binarized_mnist_train.amat", None),
            ("binarized_mnist_valid.amat", None),
            ("binarized_mnist_test.amat", None),
        ),
        formats.read_amat_sets,
        compact=("static_binarized_mnist_packbits.npz",),
        read_compact=formats.read_packed_bits,
    ),
    "fashion-mnist": NamedSet(
        "clothes, 28×28, 256 grey levels",
        "60,000 + 10,000 test",
        "31 MB",
        "fashion_mnist",
        _idx_files(
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
            (
                "f4a8712d7a061bf5bd6d2ca38dc4d50a",
                "9018921c3c673c538a1fc5bad174d6f9",
                "8181f5470baa50b63fa0f6fddb340f0a",
                "15d484375f8d13e6eb1aabb0c3f46965",
            ),
        ),
        partial(formats.read_idx_sets, names=_FASHION),
        10_000,
    ),
    "omniglot": NamedSet(
        "handwritten characters of 50 alphabets, 28×28, Burda's cut",
        "24,345 + 8,070 test",
        "29 MB",
        "omniglot",
        _files("https://github.com/yburda/iwae/raw/master/datasets/OMNIGLOT", ("chardata.mat", None)),
        formats.read_burda_omniglot,
        compact=("omniglot28_gusruss.npz",),
        read_compact=formats.read_omniglot_npz,
    ),
    "frey-faces": NamedSet(
        "frames of one face, 28×20, 256 grey levels",
        "1,965",
        "1 MB",
        "freyfaces",
        _files("https://cs.nyu.edu/~roweis/data", ("frey_rawface.mat", None)),
        formats.read_frey_mat,
        200,
        200,
        compact=("freyfaces_u8.npz",),
        read_compact=formats.read_frey_npz,
    ),
    "cifar10": NamedSet(
        "photographs of 10 kinds of things, 3×32×32, 256 levels",
        "50,000 + 10,000 test",
        "170 MB",
        "cifar10",
        _files("https://www.cs.toronto.edu/~kriz", ("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530")),
        formats.read_cifar_archive,
        compact=("train_*.webp", "test_*.webp", "labels_train.npy", "labels_test1000.npy"),
        read_compact=formats.read_cifar_sprites,
    ),
    "svhn": NamedSet(
        "house numbers in photographs, 3×32×32, 256 levels",
        "73,257 + 26,032 test",
        "246 MB",
        "svhn",
        _files(
            "http://ufldl.stanford.edu/housenumbers",
            ("train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373"),
            ("test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3"),
        ),
        formats.read_svhn,
    ),
    "dsprites": NamedSet(
        "binary shapes by six known factors, 64×64",
        "737,280",
        "26 MB (12 GB in memory)",
        "dsprites",
        _files(
            "https://github.com/google-deepmind/dsprites-dataset/raw/master",
            ("dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz", None),
        ),
        formats.read_dsprites,
    ),
}
"""Named sets by name."""


def named_set(name: str) -> NamedSet:
    """The set of that name; InputError, with the nearest name, where there is none."""
    if name in NAMED:
        return NAMED[name]
    near = difflib.get_close_matches(name.lower().replace("_", "-"), NAMED, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "or give the path of a file."
    raise InputError(f"There is no data set {name!r}; known are {', '.join(NAMED)}: {hint}")


def list_data() -> list[DataRow]:
    """List the named data sets, and whether each is on this machine.

    Returns
    -------
    list of DataRow
        `at_hand` where the set comes with scikit-learn, or is in the folder ELBOWROOM_DATA or in the cache.

    Examples
    --------
    >>> row = list_data()[0]
    >>> row.name, row.examples, row.at_hand
    ('digits', '1,797', True)
    """
    return [DataRow(name, s.what, s.examples, s.size, _locate(s) is not None) for name, s in NAMED.items()]


def fetch_data(name: str) -> Path:
    """Download a named data set, unless it is on this machine already.

    Looked for in the folder that the environment variable ELBOWROOM_DATA names, then in the user's cache; downloads go
    into the cache, and no half-written file is left.

    Parameters
    ----------
    name : str
        One of the names that `list_data` gives.

    Returns
    -------
    Path
        The folder that holds its files.

    Raises
    ------
    InputError
        For an unknown name, a failed download or a wrong checksum.

    Examples
    --------
    >>> fetch_data("digits").name
    'data'
    """
    if not named_set(name).files:
        import sklearn

        return Path(sklearn.__file__).parent / "datasets" / "data"
    return _at_hand(name)[0][0].parent


def read_named(name: str) -> tuple[Raw, str]:
    """Raw data of a named set, downloaded where it is not on this machine, and where they come from."""
    known = named_set(name)
    if not known.files:
        return known.read([]), "scikit-learn"
    paths, read = _at_hand(name)
    return read(paths), known.files[0].url if read is known.read else str(
        paths[0] if len(paths) == 1 else paths[0].parent
    )


def _at_hand(name: str) -> tuple[list[Path], Reader]:
    known = NAMED[name]
    found = _locate(known)
    if found is None:
        for file in known.files:
            _download(name, file, _cache() / known.folder)
        found = _locate(known)
        assert found is not None
    expected = {file.name: file for file in known.files}
    for path in found[0]:
        _check_sum(path, expected.get(path.name))
    return found


def _cache() -> Path:
    import pooch

    return Path(pooch.os_cache("elbowroom"))


def _locate(known: NamedSet) -> tuple[list[Path], Reader] | None:
    """Files of the set and their reader, where they are at hand; the public format comes before the compact one."""
    stated = os.environ.get("ELBOWROOM_DATA")
    if stated and not Path(stated).expanduser().is_dir():
        raise InputError(f"ELBOWROOM_DATA names {stated!r}, which is no folder: correct it or unset it.")
    for root in [Path(stated).expanduser(), _cache()] if stated else [_cache()]:
        folder = root / known.folder
        public = [folder / file.name for file in known.files]
        if all(path.is_file() for path in public):
            return public, known.read
        groups = [sorted(folder.glob(pattern)) for pattern in known.compact]
        if known.read_compact and groups and all(groups):
            return [path for group in groups for path in group], known.read_compact
    return None


def _check_sum(path: Path, file: File | None) -> None:
    """InputError where the file's md5, or its line in a SHA256SUMS beside the folders, says otherwise."""
    if file is not None and file.md5 is not None and _md5(path, file.unpacked) != file.md5:
        raise InputError(f"{str(path)!r} has another checksum than {file.url}: delete it and fetch it again.")
    sums = path.parent.parent / "SHA256SUMS"
    if sums.is_file():
        lines = (line.split(maxsplit=1) for line in sums.read_text(encoding="utf-8").splitlines())
        listed = {line[1].strip().removeprefix("./"): line[0] for line in lines if len(line) == 2}
        stated = listed.get(f"{path.parent.name}/{path.name}")
        if stated is not None and hashlib.sha256(path.read_bytes()).hexdigest() != stated:
            raise InputError(f"{str(path)!r} has another checksum than {str(sums)!r} says: fetch it again.")


def _md5(path: Path, unpacked: bool) -> str:
    try:
        content = gzip.decompress(path.read_bytes()) if unpacked else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{str(path)!r} cannot be unpacked ({error}): delete it and fetch it again.") from error
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _download(name: str, file: File, folder: Path) -> None:
    """One file into the cache: pooch writes beside it and renames only what has passed the checksum."""
    import pooch

    if (folder / file.name).is_file():
        return

    def checked(url: str, target: Any, pup: Any) -> None:
        pooch.HTTPDownloader()(url, target, pup)
        _check_sum(Path(target), file)

    print(f"Downloading {name} from {file.url}", file=sys.stderr)
    log = pooch.get_logger()
    level = log.level
    log.setLevel("WARNING")
    try:
        pooch.retrieve(file.url, known_hash=None, fname=file.name, path=folder, downloader=checked)
    except InputError as error:
        raise InputError(f"The download of {file.url} came with another checksum; try again later.") from error
    except (OSError, ValueError) as error:
        raise InputError(
            f"{file.url} could not be downloaded ({type(error).__name__}): check the network, or put {file.name} into "
            f"the folder {NAMED[name].folder!r} of the folder that ELBOWROOM_DATA names."
        ) from error
    finally:
        log.setLevel(level)
