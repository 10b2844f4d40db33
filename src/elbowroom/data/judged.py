"""The support of data: as stated, as the source says it, or as each column asks."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from elbowroom.numerics import InputError, Limits, Support, infer_support

from .choices import state_support
from .columns import ALIKE_FROM, Column, alike, judge_columns
from .raw import Raw
from .values import is_sparse

__all__ = ["judge", "left_out_note", "without_left_out"]

_LEAST_COUNTED, _BYTE = 4, 255.0  # five levels are levels; a table that reaches 255 holds bytes
_MOSTLY_SMALL, _RARE = (
    1 / 8,
    1e-3,
)  # of the greatest, the mean of counts; of the cells that are not 0, those that reach it
_ROWS_AT_ONCE = 1_000

Stated = str | Support | Sequence[str | Support] | None


_AS_ONE = (
    "Its columns were not looked at one by one, as it is {where}: where flags or few values stand among the fractions, "
    'say support="mixed".'
)

_COUNTED = (
    "Taken as counts: most cells are small and hardly one reaches the greatest, {high:g}; where these are levels that "
    'end there, as of pixels, say support="grid".'
)


def judge(raw: Raw, limits: Limits, stated: Stated) -> tuple[Support, list[Column]]:
    """Where the data lie, and what each column of a table is where they were looked at one by one.

    Parameters
    ----------
    raw : Raw
        The data.
    limits : Limits
        Of them.
    stated : str, Support, sequence of these or None
        As for `load_data`.

    Returns
    -------
    support : Support
        Of the columns that are not left out.
    judged : list of Column
        Empty where the data have one support as a whole.

    Raises
    ------
    InputError
        Where the data do not lie in the stated support, or no column is left.
    """
    table = raw.x.ndim == 2 and not is_sparse(raw.x) and not isinstance(raw.x, np.memmap)
    names = raw.names if table else []
    if not table and raw.x.ndim == 2 and stated is None and infer_support(limits).kind in ("unit", "real"):
        raw.notes.append(_AS_ONE.format(where="sparse" if is_sparse(raw.x) else "read from the disk"))
    if not table or (stated is None and not raw.classes and _whole_as_one(raw, limits)):
        whole = _of_all(raw, limits, stated)
        return whole, [] if stated is not None or not 0 < len(names) <= ALIKE_FROM else _changing(raw.x, names, whole)
    judged = judge_columns(raw.x, names, raw.classes)
    if stated is not None and not (isinstance(stated, str) and stated == "mixed"):
        judged = _as_stated(raw, limits, stated, judged)
    kept = [one.support for one in judged if one.support is not None]
    if not kept:
        raise InputError(
            f"No column is left to model: {'; '.join(f'{one.name!r} is {one.why}' for one in judged[:8])}."
        )
    return Support.of_columns(kept), judged


def _changing(x: Any, names: Sequence[str], whole: Support) -> list[Column]:
    """Of columns that share a support, which of them never change; nothing where all do."""
    low, high = np.fmin.reduce(x, axis=0), np.fmax.reduce(x, axis=0)
    if (low < high).all() or not (low < high).any():
        return []
    why = [None if a < b else f"always {a:.10g}: left out" for a, b in zip(low, high, strict=True)]
    return [
        Column(name, whole if one is None else None, one or f"{whole}, as the others")
        for name, one in zip(names, why, strict=True)
    ]


def _whole_as_one(raw: Raw, limits: Limits) -> bool:
    return raw.support is not None or _bytes(raw, limits) or alike(raw.x, limits, raw.columns is not None)


def _bytes(raw: Raw, limits: Limits) -> bool:
    """Whether these are bytes beyond 127, which are all 256 levels."""
    return raw.x.dtype == np.uint8 and limits.high >= 128


def _of_all(raw: Raw, limits: Limits, stated: Stated) -> Support:
    if stated is None and raw.support is None and _bytes(raw, limits):
        return Support("grid", 256)
    return state_support(raw.x, limits, stated if stated is not None else raw.support or _inferred(raw, limits))


def _inferred(raw: Raw, limits: Limits) -> Support:
    found = infer_support(limits)
    if found.kind != "grid" or raw.x.ndim != 2 or not _unbounded(raw.x, limits.high):
        return found
    raw.notes.append(_COUNTED.format(high=limits.high))
    return Support("counts")


def _unbounded(x: Any, high: float) -> bool:
    """Whether whole numbers from 0 look counted: most are small, and hardly one is the greatest."""
    if high <= _LEAST_COUNTED or high == _BYTE or x.shape[1] <= ALIKE_FROM:
        return False
    cells = x.shape[0] * x.shape[1]
    if is_sparse(x):
        values = x.data[np.isfinite(x.data)]
        filled, total, highest = int((values > 0).sum()), float(values.sum()), int((values == high).sum())
    else:
        parts = [x[i : i + _ROWS_AT_ONCE] for i in range(0, x.shape[0], _ROWS_AT_ONCE)]
        filled, highest = (int(sum((f(part)).sum() for part in parts)) for f in (lambda a: a > 0, lambda a: a == high))
        total = float(sum(np.nansum(part, dtype=np.float64) for part in parts))
    return total < high * cells * _MOSTLY_SMALL and highest < filled * _RARE


def _as_stated(raw: Raw, limits: Limits, stated: Any, judged: list[Column]) -> list[Column]:
    """The stated supports; words keep theirs."""
    whole = state_support(raw.x, limits, stated)
    columns = whole.columns or (whole,) * len(judged)
    for found, support in zip(judged, columns, strict=True):
        if found.name in raw.classes and support.kind != "categorical":
            raise InputError(
                f"Column {found.name!r} holds words, so its support is 'categorical'; got {support.kind!r}."
            )
    return [
        Column(found.name, _levels(support, found), "as stated") for found, support in zip(judged, columns, strict=True)
    ]


def _levels(stated: Support, found: Column) -> Support:
    """A stated column of words has as many classes as it has words."""
    words = found.support is not None and found.support.kind == "categorical"
    return found.support if words and found.support else stated


def without_left_out(raw: Raw, judged: list[Column]) -> Raw:
    """The data without the columns that are left out.

    Parameters
    ----------
    raw : Raw
        The data.
    judged : list of Column
        What each column is.

    Returns
    -------
    Raw
        With fewer columns.
    """
    return raw.with_columns(np.flatnonzero([one.support is not None for one in judged]))


def left_out_note(judged: list[Column], most: int = 8) -> list[str]:
    """A sentence on the columns that are left out, where there are any.

    Parameters
    ----------
    judged : list of Column
        What each column is.
    most : int, default 8
        How many are named.

    Returns
    -------
    list of str
        One sentence, or none.
    """
    said = [
        f"{one.name!r} is {one.why.removesuffix(': left out').replace(': left out,', ',')}"
        for one in judged
        if one.support is None
    ]
    if not said:
        return []
    more = f", and {len(said) - most} more" if len(said) > most else ""
    return [f"Columns left out: {len(said)} of {len(judged)} ({'; '.join(said[:most])}{more})."]
