"""From any source to a data set: values checked, support found, parts drawn, preprocessing chosen."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elbowroom.numerics import InputError, Support, infer_support, keyed_uniform
from elbowroom.preprocess import Preprocess

from .choices import choose_preprocess, state_support, support_with_words
from .dataset import Dataset, Examples
from .files import read_path
from .named import NAMED, read_named
from .notes import fingerprints, notes_on
from .raw import Raw, check_finite, encode_labels, from_array, from_frame

__all__ = ["load_data"]


@dataclass
class _Split:
    """Row numbers of the three parts."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def load_data(
    source: Any,
    *,
    support: str | Support | Sequence[str | Support] | None = None,
    preprocess: str | Preprocess = "auto",
    labels: Any = None,
    validation: int | float | None = None,
    test: int | float | None = None,
    seed: int = 0,
    name: str | None = None,
    flat: bool | None = None,
) -> Dataset:
    """A data set from a named set, a NumPy array, torch tensor or pandas DataFrame, a file or a folder of images.

    support: inferred, unless stated as "binary", "unit", "grid", "real", "counts", "categorical" or a Support; "mixed"
    infers it for each column of a table, a sequence states it for each. Columns of words are classes and make a table
    "mixed". preprocess: "auto" (grids are dequantised,
    real numbers standardised, of mixed tables only these), "dequantise", "dequantise-symmetric" (to
    [−1, 1]), "binarise" (afresh each time), "binarise-fixed" (once, by `seed`), "standardise", "none", or a module.
    labels: one per example, or the name of a column. validation, test: how many examples, or which fraction of
    them, where no official part exists; drawn by `seed`. flat: images as vectors; by default grey ones only.
    Raises InputError for what cannot be used.

    >>> digits = load_data("digits")
    >>> len(digits.train), len(digits.validation), len(digits.test), str(digits.support)
    (1200, 200, 397, 'integer grid 0…16')
    """
    raw, labels, title, origin = _read(source, labels)
    values = _as_float32(raw.x)
    check_finite(values, raw.columns)
    if raw.classes and raw.columns:
        found = support_with_words(values, support, raw.columns, raw.classes)
    else:
        found = state_support(values, support if support is not None else raw.support or infer_support(values))
    codes, label_names = (None, None) if labels is None else encode_labels(labels, len(values), raw.label_names)
    known = NAMED.get(title) if isinstance(source, str) else None
    defaults = (known.validation, known.test) if known else (0.1, 0.2)
    parts = _split(len(values), raw.official, (validation, test), defaults, seed)
    image_shape = _image_shape(values)
    values = _shaped(values, flat)
    notes = list(raw.notes)
    if preprocess == "binarise-fixed":
        values, found = _binarised(values, found, seed), Support("binary")
        notes.append(f"Binarised once, with seed {seed}: the data are now these zeros and ones.")
        preprocess = "none"
    rows, digest = fingerprints(values, codes)
    notes += notes_on(values, raw.columns, found, rows, parts.train, parts.test, raw.official[1])
    train, held, tested = (
        _examples(values, codes, label_names, which, digest) for which in (parts.train, parts.validation, parts.test)
    )
    return Dataset(
        name=name or title,
        train=train,
        validation=held,
        test=tested,
        support=found,
        preprocess=choose_preprocess(preprocess, found, train.x, seed),
        event=tuple(values.shape[1:]),
        image_shape=image_shape,
        columns=raw.columns,
        label_names=label_names,
        source=origin,
        sha256=digest,
        split_seed=seed,
        official=tuple(part for part, n in zip(("validation", "test"), raw.official, strict=True) if n),
        notes=notes,
        classes=raw.classes,
    )


def _read(source: Any, labels: Any) -> tuple[Raw, Any, str, str]:
    """Raw data, labels, a name and where they come from."""
    if isinstance(source, str) and _means_named(source):
        raw, origin = read_named(source)
        if labels is None:
            return raw, raw.labels, source, origin
        raw.label_names = None
        return raw, labels, source, origin
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        raw, labels = read_path(path, labels)
        return raw, labels, path.stem or str(path), str(path)
    if hasattr(source, "iloc") and hasattr(source, "columns"):
        raw, labels = from_frame(source, labels)
        return raw, labels, "table", "DataFrame"
    if isinstance(labels, str):
        raise InputError(f"An array has no columns by name, so labels={labels!r} means nothing: give an array.")
    kind = type(source).__name__
    if isinstance(source, Tensor):
        source = source.detach().cpu()
        source = source.float() if source.is_floating_point() else source
    return from_array(source), labels, "array", kind


def _means_named(source: str) -> bool:
    """Whether a string is meant as a name: known, or without anything that makes it look like a path."""
    path = Path(source).expanduser()
    return source in NAMED or not (path.exists() or path.suffix or len(path.parts) > 1)


def _as_float32(x: NDArray[Any]) -> NDArray[Any]:
    """Floats as 32 bits; whole numbers stay as they are, which is smaller, until a part is drawn."""
    with np.errstate(over="ignore"):
        return x.astype(np.float32) if x.dtype.kind == "f" else x


def _image_shape(x: NDArray[Any]) -> tuple[int, ...] | None:
    """(H, W) of grey images, (C, H, W) of others, None for a table."""
    if x.ndim == 2:
        return None
    return tuple(x.shape[2:] if x.ndim == 4 and x.shape[1] == 1 else x.shape[1:])


def _shaped(x: NDArray[Any], flat: bool | None) -> NDArray[Any]:
    """Images as [n, D] where `flat` (by default: where they are grey), else as [n, C, H, W]."""
    if x.ndim == 2:
        return x
    images = x if x.ndim == 4 else x[:, None]
    grey = images.shape[1] == 1
    return images.reshape(len(x), -1) if flat or (flat is None and grey) else images


def _binarised(x: NDArray[Any], support: Support, seed: int) -> NDArray[Any]:
    """Each value on with the probability its grey level states; keyed by (seed, row), so the split does not matter."""
    maximum = {"unit": 1, "binary": 1, "grid": (support.levels or 2) - 1}.get(support.kind)
    if maximum is None:
        raise InputError(f"Binarising needs data on a grid or in [0, 1]; these are {support}.")
    uniforms = keyed_uniform(x.shape[1:], torch.arange(len(x)), seed).numpy()
    return (uniforms * maximum < x).astype(np.uint8)


def _split(
    n: int,
    official: tuple[int, int],
    asked: Sequence[int | float | None],
    defaults: Sequence[int | float],
    seed: int,
) -> _Split:
    """Official parts are the last rows; the others are drawn from the rest without replacement."""
    pool = n - sum(official)
    counts = [0, 0]
    for i, part in enumerate(("validation", "test")):
        if official[i] and asked[i] is not None:
            raise InputError(f"These data have an official {part} part of {official[i]:,}; leave {part}= out.")
        if not official[i]:
            wanted = asked[i]
            counts[i] = _count(part, defaults[i] if wanted is None else wanted, pool)
    if pool - sum(counts) < 2:
        raise InputError(
            f"{pool:,} examples are too few to keep {counts[0]:,} for validation and {counts[1]:,} for test and "
            "learn from the rest: give more, or smaller validation= and test=."
        )
    drawn = np.random.default_rng(seed).permutation(pool)
    train, held, tested = np.split(drawn, [pool - sum(counts), pool - counts[1]])
    last = np.arange(pool, n)
    held = last[: official[0]] if official[0] else held
    tested = last[official[0] :] if official[1] else tested
    return _Split(train, held, tested)


def _count(part: str, wanted: int | float, pool: int) -> int:
    """How many rows a number or a fraction means; a fraction above 0 means at least one."""
    if isinstance(wanted, bool) or not (0 <= wanted < 1 or (wanted > 0 and float(wanted).is_integer())):
        raise InputError(f"{part}= is a fraction below 1 or a whole number of examples; got {wanted}.")
    return int(wanted) if wanted >= 1 or wanted == 0 else max(1, round(wanted * pool))


def _examples(
    values: NDArray[Any],
    codes: NDArray[np.int64] | None,
    label_names: list[str] | None,
    rows: NDArray[np.int64],
    digest: str,
) -> Examples:
    x = torch.from_numpy(np.ascontiguousarray(values[rows], dtype=np.float32))
    index = torch.from_numpy(rows.astype(np.int64))
    if codes is None or label_names is None:
        return Examples(x, index, data=digest)
    labels = torch.from_numpy(codes[rows])
    one_hot = torch.nn.functional.one_hot(labels, len(label_names)).to(torch.float32)
    return Examples(x, index, labels, {"label": one_hot}, digest)
