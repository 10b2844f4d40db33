"""evidence.json: every estimate that was made of a run's model, in plain values."""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from elbowroom.atomic import one_at_a_time, write_atomic
from elbowroom.numerics import Estimate, InputError
from elbowroom.records.weights import weights_digest

__all__ = ["KeptEstimate", "keep_estimates", "not_of", "read_estimates"]

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
    model : str, default ""
        SHA-256 of the model.safetensors that was measured; "" where the elbowroom that kept it did not say.
    """

    part: str
    estimate: Estimate
    settings: Mapping[str, Any]
    model: str = ""


def keep_estimates(
    path: Path,
    part: str,
    estimates: Sequence[Estimate],
    settings: Mapping[str, Any] | None = None,
    model: str | None = None,
) -> None:
    """Add estimates to an evidence.json; each replaces one of the same weights by the same estimator.

    It must be of the same part too, and of as many examples: a quick look replaces no long measurement.

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
    model : str, optional
        SHA-256 of the weights that were measured; by default of those beside the file.
    """
    model = weights_digest(path.parent) if model is None else model
    rows = [_row(part, estimate, settings or {}, model) for estimate in estimates]
    new = {_key(row) for row in rows}
    path.parent.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(path.parent):  # of two measurements that end at once both are kept
        write_atomic(path, json.dumps([row for row in _read(path) if _key(row) not in new] + rows))


def read_estimates(path: Path, model: str | None = None) -> list[KeptEstimate]:
    """What the file holds of a model, oldest first; nothing where there is no file.

    Estimates of other weights, as of the same run before it was trained on, are left out, and so are those of an older
    elbowroom, which did not say of which weights they are.

    Parameters
    ----------
    path : Path
        The file.
    model : str, optional
        SHA-256 of the model's weights; by default of those beside the file.

    Returns
    -------
    list of KeptEstimate
        Of these weights.

    Raises
    ------
    InputError
        Where the file is damaged.
    """
    model = weights_digest(path.parent) if model is None else model
    return [one for one in _read_all(path) if one.model == model]


def not_of(path: Path, model: str | None = None) -> list[str]:
    """What `read_estimates` leaves out and nobody has measured again, in sentences.

    Parameters
    ----------
    path : Path
        The file.
    model : str, optional
        As for `read_estimates`.

    Returns
    -------
    list of str
        At most two: of other weights, and of weights that are not known.

    Raises
    ------
    InputError
        Where the file is damaged.
    """
    model = weights_digest(path.parent) if model is None else model
    kept = _read_all(path)
    again = {_what(one) for one in kept if one.model == model}
    left = [one for one in kept if one.model != model and _what(one) not in again]
    whose = {
        "of other weights of this run, as before it was trained on": [one for one in left if one.model],
        "kept by an older elbowroom, which did not say of which weights": [one for one in left if not one.model],
    }
    return [f"Not shown, being {why}: {_names(found)}. Measure again." for why, found in whose.items() if found]


def _what(one: KeptEstimate) -> tuple[str, ...]:
    return one.part, one.estimate.estimator, one.estimate.quantity, one.estimate.direction


def _names(left: Sequence[KeptEstimate]) -> str:
    return "; ".join(dict.fromkeys(one.estimate.estimator for one in left))


def _read_all(path: Path) -> list[KeptEstimate]:
    try:
        return [_kept(row) for row in _read(path)]
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged_file_error(path, error) from error


def _kept(row: Mapping[str, Any]) -> KeptEstimate:
    estimate = Estimate.from_dict({field: row[field] for field in _FIELDS if field in row})
    return KeptEstimate(row["part"], estimate, row.get("settings", {}), row.get("model", ""))


def _row(part: str, estimate: Estimate, settings: Mapping[str, Any], model: str) -> dict[str, Any]:
    summary = {name: getattr(estimate, name) for name in ("mean", "se_mc", "se_points")}
    summary = {name: value if math.isfinite(value) else None for name, value in summary.items()}
    return {
        "part": part,
        "settings": dict(settings),
        "model": model,
        **summary,
        "warnings": estimate.warnings,
        **estimate.to_dict(),
    }


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    same = (row.get(name) for name in ("part", "estimator", "quantity", "direction"))
    return (*same, row.get("model", ""), len(row.get("values") or ()))


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
