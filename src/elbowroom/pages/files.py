"""Measured bytes: what files of a model took, beside what its bound says."""

import math
from collections.abc import Sequence
from pathlib import Path

from elbowroom.numerics import with_error
from elbowroom.records import FileRecord, read_files

__all__ = ["file_rows"]


def file_rows(folder: Path) -> list[dict[str, str]]:
    """The files of a run as cells of a table, by the names of its columns; InputError where files.json is damaged.

    Parameters
    ----------
    folder : Path
        Of the run.

    Returns
    -------
    list of dict
        Lossless ones first; empty where none was written.
    """
    return [_row(one) for one in _ordered(read_files(folder))]


def _ordered(files: Sequence[FileRecord]) -> list[FileRecord]:
    return sorted(files, key=lambda one: one.lossy_error is not None)


def _row(one: FileRecord) -> dict[str, str]:
    bits = 8 * one.total_bytes / one.rows
    extra = one.total_bytes - one.row_bytes
    return {
        "name": one.name,
        "how": _how(one),
        "rows": f"{one.rows:,}",
        "nats": "a lossy file has none" if one.lossy_error is not None else f"{_nats(one):.2f}",
        "bound": _bound(one),
        "bytes": f"{one.total_bytes / one.rows:,.2f}",
        "bits": f"{bits / one.cells:.4f}",
        "beside": f"{extra / one.rows:,.2f}",
    }


def _nats(one: FileRecord) -> float:
    return 8 * one.row_bytes * math.log(2) / one.rows


def _bound(one: FileRecord) -> str:
    if one.bound is None:
        return "none" if one.lossy_error is not None else "not measured"
    sure = one.bound_se is not None and math.isfinite(one.bound_se)
    said = with_error(one.bound, one.bound_se or 0.0) if sure else f"{one.bound:.2f}"
    return said if one.bound_rows == one.rows else f"{said} (first {one.bound_rows:,} rows)"


def _how(one: FileRecord) -> str:
    if one.lossy_error is not None:
        return f"lossy, {one.lossy_error:.4g} off in the root mean square"
    drawn = "one draw a row" if one.draws == 1 else f"{one.draws} draws a row"
    refined = f", q refined by {one.refine} steps" if one.refine else ""
    return f"lossless, {drawn}{refined}" + (", rows and bound given their contexts" if one.contexts_bytes else "")
