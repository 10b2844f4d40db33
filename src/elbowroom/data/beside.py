"""What stands beside x: labels, contexts that a model may read, and latents that are known for some examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elbowroom.numerics import InputError

from .cells import floats_or_words
from .notation import absent
from .raw import Raw

__all__ = ["Beside", "beside_of", "context_sources", "names_in", "own_labels", "without_labels"]

_MOST_CLASSES = 2_000
_MOST_CLASSES_OF_NUMBERS = 20  # that are taken without being asked for, unless each has twenty examples

Context = str | Sequence[str] | Mapping[str, Any] | None
Observed = Mapping[str, Any] | str | None
LABEL = "label"  # the block that the labels are, where they are asked for as one


@dataclass(frozen=True)
class Beside:
    """What stands beside x [n, ...].

    Parameters
    ----------
    codes : array or None
        Class codes of the labels, [n] int64.
    label_names : list of str or None
        The classes' names, in the order of the codes.
    context : dict of Tensor
        Name → [n, ...], with the one-hot "label" where there are labels.
    observed : dict of (Tensor, Tensor)
        Latent block → (value [n, ...], mask [n]).
    words : dict of list
        Of contexts and blocks that came in words: the words that the one-hot columns mean.
    """

    codes: NDArray[np.int64] | None
    label_names: list[str] | None
    context: dict[str, Tensor]
    observed: dict[str, tuple[Tensor, Tensor]]
    words: dict[str, list[str]]

    def of(self, rows: NDArray[np.int64]) -> dict[str, Any]:
        """The part of these rows, as Examples takes it."""
        return {
            "labels": None if self.codes is None else torch.from_numpy(self.codes[rows]),
            "context": {name: value[rows] for name, value in self.context.items()},
            "observed": {name: (value[rows], mask[rows]) for name, (value, mask) in self.observed.items()},
        }

    def and_context(self, name: str, value: Tensor, by: str, words: list[str] | None = None) -> "Beside":
        """The same with one context more [n, ...], made `by` an argument, and the words of its classes, if any."""
        if name in self.context:
            raise InputError(f"A context is called {name!r}, as the one that {by}= makes: give it another name.")
        more = {} if words is None else {name: words}
        return replace(self, context={**self.context, name: value}, words={**self.words, **more})

    def hashed(self) -> dict[str, tuple[Tensor, ...]]:
        """What a hash of the data covers beside x and the codes."""
        contexts = {f"context {name}": (value,) for name, value in self.context.items() if name != "label"}
        return contexts | {f"observed {name}": pair for name, pair in self.observed.items()}


def beside_of(
    raw: Raw, labels: Any, context: Context, observed: Observed, gaps: bool, asked: Sequence[str] = ()
) -> Beside:
    """Read labels, contexts and observed blocks, and check that they fit the data.

    Parameters
    ----------
    raw : Raw
        The data.
    labels : array or None
        One per example.
    context : str, sequence, mapping or None
        As for `load_data`.
    observed : mapping, "label" or None
        As for `load_data`.
    gaps : bool
        Whether cells of x are missing.
    asked : sequence of str, default ()
        Contexts that must be there, the labels among them where they were asked for.

    Returns
    -------
    Beside
        In the order of the rows of x.

    Raises
    ------
    InputError
        For what does not fit, in one sentence.
    """
    n = raw.x.shape[0]
    own, names = None, raw.label_names
    if isinstance(observed, str):
        own, names = _label_block(observed, labels, n, names)
        labels, observed = (labels if bool(own[1].all()) else None), None
    codes, label_names = (None, None) if labels is None else _encode_labels(labels, n, raw.label_names)
    contexts, words = _contexts_of(context, raw.taken, n)
    taken = ["x"] + ["label"] * (codes is not None) + ["seen"] * gaps
    for name in contexts:
        if name in taken:
            raise InputError(f"A context cannot be called {name!r}, which these data have already: give another name.")
    if codes is not None and label_names is not None:
        one_hot = torch.nn.functional.one_hot(torch.from_numpy(codes), len(label_names))
        contexts = {"label": one_hot.to(torch.float32), **contexts}
    for name in asked:
        if name not in contexts:
            raise InputError(f"The context {name!r} is the labels, and these data have none: say labels= as well.")
    blocks, classes = _observed_of(observed, raw.taken, n)
    if own is not None and names is not None:
        blocks, classes = {LABEL: own}, {LABEL: names}
    return Beside(codes, label_names, contexts, blocks, words | classes)


def own_labels(arrays: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """The labels that a .npz holds beside x, where what it holds can be classes.

    Parameters
    ----------
    arrays : mapping of str to array
        Those that may be labels, by name.

    Returns
    -------
    labels : array or None
        The first that holds a class per example.
    notes : list of str
        Which were left out, and why.
    """
    notes: list[str] = []
    for name, array in arrays.items():
        why = _no_classes(array, name)
        if not why:
            return array, notes
        notes.append(f"Left out: {name!r} ({why}).")
    return None, notes


def _no_classes(array: NDArray[Any], name: str) -> str:
    """Why an array is not taken for labels without being asked for, "" where it is."""
    kind, n = array.dtype.kind, array.size
    if kind not in "buifUS" or array.ndim not in (1, 2) or n != len(array):
        return f"{array.dtype} values of shape {array.shape}, so no class per example"
    values = np.unique(array[~np.isnan(array)] if kind == "f" else array)
    if kind == "f" and (values % 1 != 0).any():
        return "fractions, so no classes"
    if 2 * len(values) > n or (kind in "iuf" and len(values) > max(_MOST_CLASSES_OF_NUMBERS, n / 20)):
        return f"{len(values):,} different values; labels={name!r} makes classes of them"
    return ""


def names_in(context: Context, observed: Observed) -> list[str]:
    """Names of the columns that contexts and observed blocks take out of the source.

    Parameters
    ----------
    context : str, sequence, mapping or None
        As for `load_data`.
    observed : mapping or None
        As for `load_data`.

    Returns
    -------
    list of str
        Each once.
    """
    named = [
        value
        for value in (*context_sources(context).values(), *_observed_sources(observed).values())
        if isinstance(value, str)
    ]
    return list(dict.fromkeys(named))


def _encode_labels(labels: Any, n: int, names: list[str] | None = None) -> tuple[NDArray[np.int64], list[str]]:
    """Class codes [n] and the classes' names: of any labels in sorted order, or of codes into given `names`.

    Raises InputError for what is no class, and for missing labels.
    """
    if getattr(getattr(labels, "cat", labels), "ordered", False):
        labels, names = _in_their_order(labels)
    array = _plain(labels)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or len(array) != n:
        raise InputError(f"The labels have shape {array.shape} for {n:,} examples: give one label per example.")
    gaps = _gaps(array)
    if gaps.any():
        raise InputError(
            f"{int(gaps.sum()):,} of the {n:,} labels are missing: leave out those rows, or the labels; a class that "
            "is known for some examples is a latent block, given by observed='label', or observed={block: array}."
        )
    if array.dtype.kind == "f":
        if not (np.isfinite(array).all() and (array == np.round(array)).all()):
            raise InputError("The labels hold fractions or infinite values: labels are classes; leave these out.")
        array = array.astype(np.int64)
    if array.dtype.kind not in "buiUS":
        array = array.astype(str)
    if names is not None:
        return array.astype(np.int64), names
    classes, codes = np.unique(array, return_inverse=True)
    if len(classes) > _MOST_CLASSES:
        raise InputError(f"The labels have {len(classes):,} distinct values; labels are classes, so leave these out.")
    return codes.astype(np.int64), [str(label) for label in classes]


def _label_block(asked: str, labels: Any, n: int, names: list[str] | None) -> tuple[tuple[Tensor, Tensor], list[str]]:
    """The labels as a block that is known for some examples, (one-hot [n, classes], known [n]), and the classes.

    Missing are None, NaN, "" and the like, and −1.
    """
    if asked != LABEL or labels is None:
        raise InputError(
            f"observed={asked!r} must be 'label', for the labels of the data, which must have some: say labels=COLUMN, "
            f"or observed={{block: array}} for what is no label."
        )
    ordered = getattr(getattr(labels, "cat", labels), "ordered", False)
    if ordered:
        labels, names = _in_their_order(labels)
    array = _plain(labels)
    array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if array.ndim != 1 or len(array) != n:
        raise InputError(f"The labels have shape {array.shape} for {n:,} examples: give one label per example.")
    cells = array if array.dtype.kind in "buif" else floats_or_words(array)
    gaps = _gaps(cells) | ((cells == -1) if cells.dtype.kind in "iuf" else np.isin(cells.astype(str), ["-1", "-1.0"]))
    if gaps.all():
        raise InputError(
            f"All {n:,} labels are missing, so that nothing says what the classes are: label some examples, or leave "
            f"observed= out."
        )
    codes, found = _encode_labels(cells[~gaps], int((~gaps).sum()), names)
    if len(found) < 2:
        raise InputError(
            f"The labels hold one class alone, {found[0]!r}, so that there is nothing to tell apart: label examples of "
            f"another, or leave observed= out."
        )
    value = torch.zeros(n, len(found))
    value[torch.from_numpy(~gaps)] = torch.nn.functional.one_hot(torch.from_numpy(codes), len(found)).float()
    return (value, torch.from_numpy(~gaps)), found


def _in_their_order(labels: Any) -> tuple[NDArray[np.float64], list[str]]:
    """Codes of an ordered categorical column of pandas, NaN for none, and its classes as far as they occur."""
    stated = getattr(labels, "cat", labels)
    codes = np.asarray(stated.codes, dtype=np.int64)
    used = np.unique(codes[codes >= 0])
    places = np.full(len(stated.categories) + 1, np.nan)
    places[used] = np.arange(len(used))
    return places[codes], [str(stated.categories[i]) for i in used]


def _contexts_of(context: Context, taken: Mapping[str, Any], n: int) -> tuple[dict[str, Tensor], dict[str, list[str]]]:
    """Contexts name → [n, ...] in 32-bit floats, and, of those that came in words (one-hot), the words."""
    found, words = {}, {}
    for name, given in context_sources(context).items():
        value, classes = _numbers_or_classes(
            f"The context {name!r}", taken[given] if isinstance(given, str) else given, n
        )
        if isinstance(classes, list):
            words[name] = classes
        if bool(value.isnan().any()):
            raise InputError(f"The context {name!r} has missing values: fill them in, or drop those rows.")
        found[name] = value
    return found, words


def _observed_of(
    observed: Observed, taken: Mapping[str, Any], n: int
) -> tuple[dict[str, tuple[Tensor, Tensor]], dict[str, list[str]]]:
    """Latent blocks → (value [n, ...], mask [n] of where it is known), and, of blocks of classes, their names.

    One number or word per example is a class, −1, None and NaN one that is not known; [n, d] are real numbers, a row of
    NaN one that is not known.
    """
    found, words = {}, {}
    for name, given in _observed_sources(observed).items():
        what = f"observed[{name!r}]"
        array = _plain(taken[given] if isinstance(given, str) else given)
        if array.ndim == 1:
            value, words[name] = _classes(what, _rows(what, array, n))
        else:
            value = _numbers(what, _rows(what, array, n))
        gaps = value.isnan().flatten(1)
        if bool((gaps.any(1) & ~gaps.all(1)).any()):
            raise InputError(f"{what} has rows that are known in part: a block is known whole or not at all.")
        found[name] = (value.nan_to_num(0.0), ~gaps.any(1))
    return found, words


def context_sources(context: Context) -> Mapping[str, Any]:
    """Contexts by name: arrays, or names of columns."""
    if isinstance(context, str):
        return {context: context}
    return context if isinstance(context, Mapping) else {name: name for name in context or ()}


def without_labels(context: Context, labelled: bool) -> Context:
    """The contexts that are read from the source: not "label" where that names the labels, which come by themselves."""
    found = context_sources(context)
    return {
        name: value
        for name, value in found.items()
        if not (labelled and isinstance(value, str) and name == value == "label")
    }


def _observed_sources(observed: Observed) -> Mapping[str, Any]:
    return observed if isinstance(observed, Mapping) else {}


def _plain(values: Any) -> NDArray[Any]:
    """An array; None, where a masked array masks, of objects."""
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        return np.where(np.ma.getmaskarray(values), np.array(None), np.asarray(values))
    return np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)


def _gaps(array: NDArray[Any]) -> NDArray[np.bool_]:
    """Which cells say that there is no value."""
    if array.dtype.kind == "f":
        return np.isnan(array)
    if array.dtype.kind in "buiS":
        return np.zeros(array.shape, bool)
    return np.array([absent(cell) for cell in array.ravel()], bool).reshape(array.shape)


def _rows(what: str, array: NDArray[Any], n: int) -> NDArray[Any]:
    if array.ndim == 0 or len(array) != n:
        raise InputError(f"{what} has shape {array.shape} for {n:,} examples: give one row per example.")
    return array


def _numbers_or_classes(what: str, values: Any, n: int) -> tuple[Tensor, list[str] | None]:
    """Numbers [n, ...], a column as [n, 1]; or words one-hot, and the words."""
    array = _rows(what, _plain(values), n)
    if array.dtype.kind not in "buifOUS":
        raise InputError(f"{what} holds {array.dtype} values: give numbers or words.")
    cells = floats_or_words(array) if array.ndim == 1 and array.dtype.kind not in "buif" else array
    if cells.dtype.kind in "buif":
        return _numbers(what, cells[:, None] if cells.ndim == 1 else cells), None
    if array.dtype.kind == "O" and not all(isinstance(cell, str) or cell is None for cell in cells.ravel()):
        raise InputError(f"{what} holds neither numbers nor words alone: encode it first.")
    return _classes(what, array)


def _numbers(what: str, array: NDArray[Any]) -> Tensor:
    """Floats [n, ...], NaN for what is missing."""
    try:
        if array.dtype.kind not in "buifO":
            raise TypeError
        wide = np.array(array, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} holds {array.dtype} values of shape {array.shape}: give numbers.") from error
    small = wide.astype(np.float32)
    if len(np.unique(small)) < len(np.unique(wide)):
        raise InputError(f"{what} has numbers that 32-bit floats merge: shift and scale it first.")
    return torch.from_numpy(small)


def _classes(what: str, array: NDArray[Any]) -> tuple[Tensor, list[str]]:
    """One-hot [n, classes], rows of NaN for what is missing, and the names; whole numbers are codes from 0."""
    cells = array if array.dtype.kind in "buif" else floats_or_words(array)
    gaps = _gaps(cells)
    if cells.dtype.kind in "buif":
        gaps = gaps | (cells == -1)
        known = cells[~gaps].astype(np.float64)
        if (known < 0).any() or (known != np.round(known)).any() or (known > _MOST_CLASSES).any():
            raise InputError(
                f"{what} has one number per example, so a class 0, 1, …, {_MOST_CLASSES:,} at most; give real numbers "
                f"as [n, d]."
            )
        codes, names = known.astype(np.int64), [str(i) for i in range(int(known.max(initial=-1)) + 1)]
    else:
        codes, names = _encode_labels(cells[~gaps].astype(str), int((~gaps).sum()))
    if not 2 <= len(names) <= _MOST_CLASSES:
        raise InputError(f"{what} knows {len(names):,} classes; give from 2 to {_MOST_CLASSES:,}.")
    value = torch.full((len(array), len(names)), torch.nan)
    value[torch.from_numpy(~gaps)] = torch.nn.functional.one_hot(torch.from_numpy(codes), len(names)).float()
    return value, names
