"""evidence.json: every estimate that was made of a run's model, in plain values."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from elbowroom.atomic import one_at_a_time, write_atomic
from elbowroom.numerics import Estimate, InputError

__all__ = ["KeptEstimate", "keep_estimates", "read_estimates"]

_FIELDS = [field.name for field in dataclasses.fields(Estimate)]


class KeptEstimate(NamedTuple):
    """An estimate as evidence.json holds it.

    Parameters
    ----------
    part : str
        The part of the data that it is of; "simulated" where the model drew the examples.
    estimate : Estimate
        The numbers.
    settings : mapping
        The estimator's settings, and the seed.
    """

    part: str
    estimate: Estimate
    settings: Mapping[str, Any]


def keep_estimates(
    path: Path, part: str, estimates: Sequence[Estimate], settings: Mapping[str, Any] | None = None
) -> None:
    """Add estimates to an evidence.json; each replaces one by the same estimator of the same part.

    Besides what makes an Estimate again, a row says its mean, both errors (None where unknown) and its warnings.

    Parameters
    ----------
    path : Path
        The file.
    part : str
        The part of the data.
    estimates : sequence of Estimate
        What is added.
    settings : mapping, optional
        Plain values: the estimator's settings.
    """
    rows = [_row(part, estimate, settings or {}) for estimate in estimates]
    new = {_key(row) for row in rows}
    path.parent.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(path.parent):  # of two measurements that end at once both are kept
        write_atomic(path, json.dumps([row for row in _read(path) if _key(row) not in new] + rows))


def read_estimates(path: Path) -> list[KeptEstimate]:
    """What the file holds, oldest first; nothing where there is no file.

    Raises InputError where the file is damaged.
    """
    try:
        return [
            KeptEstimate(
                row["part"], Estimate.from_dict({f: row[f] for f in _FIELDS if f in row}), row.get("settings", {})
            )
            for row in _read(path)
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged_file_error(path, error) from error


def _row(part: str, estimate: Estimate, settings: Mapping[str, Any]) -> dict[str, Any]:
    summary = {name: getattr(estimate, name) for name in ("mean", "se_mc", "se_points")}
    summary = {name: value if math.isfinite(value) else None for name, value in summary.items()}
    return {
        "part": part,
        "settings": dict(settings),
        **summary,
        "warnings": estimate.warnings,
        **estimate.to_dict(),
    }


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row.get("part"), row.get("estimator"), row.get("quantity"), row.get("direction")


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged_file_error(path, error) from error
    if not isinstance(rows, list):
        raise _damaged_file_error(path, "it holds no list")
    return rows


def _damaged_file_error(path: Path, why: object) -> InputError:
    return InputError(f"{path} is damaged ({why}): delete it and measure again.")
