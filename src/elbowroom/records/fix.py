"""What fixing a run leaves: an audit before and one after, and the remedies that were tried in between."""

import functools
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import Estimate, InputError

from .audit import AuditRecord
from .data_record import DataRecord
from .values import EstimateField, Number
from .weights import others_now

__all__ = ["FixPictures", "FixRecord", "FixedRun", "StepRecord", "read_fix"]


@dataclass(frozen=True)
class StepRecord:
    """A remedy that was tried.

    Parameters
    ----------
    remedy : str
        Its name in `er.remedies`, with what it chose.
    kept : bool
        Whether it paid on validation, and so stands in the fixed model.
    gain : Number, optional
        What it won of the ELBO on validation, in nats per example; None where it could not be tried.
    gain_iwae : Number, optional
        The same of the importance-weighted bound.
    rate, distortion : Number, optional
        Of the model that it left, on validation, in nats per example.
    seconds : float
        What it took.
    said : str
        What else there is to say, such as why it could not be tried; "" where nothing.
    """

    remedy: str
    kept: bool
    gain: Number | None = None
    gain_iwae: Number | None = None
    rate: Number | None = None
    distortion: Number | None = None
    seconds: float = 0.0
    said: str = ""


@dataclass(frozen=True)
class FixRecord:
    """What `elbowroom fix` leaves in fix.json; its pictures stand beside it, in pictures.safetensors.

    Parameters
    ----------
    source : str
        The run that was fixed.
    elbo_before, elbo_after : Estimate
        ELBO of the same test examples, looked at once, when all was decided.
    before, after : AuditRecord
        On the same test examples.
    steps : tuple of StepRecord
        In the order in which they were tried.
    data : DataRecord
        What the data are.
    seconds : float
        What all of it took.
    command : str
        What was asked for, as one would type it.
    model : str, default ""
        SHA-256 of the fixed weights; "" where an older elbowroom did not keep it.
    """

    source: str
    elbo_before: EstimateField
    elbo_after: EstimateField
    before: AuditRecord
    after: AuditRecord
    steps: tuple[StepRecord, ...]
    data: DataRecord
    seconds: float
    command: str
    model: str = ""

    @property
    def won(self) -> Estimate:
        """The ELBO that was won on test, paired by example."""
        return self.elbo_after - self.elbo_before

    @property
    def won_log_p(self) -> Estimate | None:
        """The log p(x) that was won on test, by the same estimator before and after; None where an audit has none."""
        return self.after.log_p_beyond(self.before)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain: dict[str, Any] = json.loads(json.dumps(_adapter().dump_python(self)))
        return plain


@dataclass(frozen=True, eq=False)
class FixPictures:
    """Pictures of the model before and after: x on the user's scale, the same examples and the same seed.

    Parameters
    ----------
    held_out : array [n, *event]
        The first of a seeded order of the validation examples.
    reconstructions_before, reconstructions_after : array [n, *event]
        What the two models make of them.
    samples_before, samples_after : array [n, *event]
        Ancestral samples.
    """

    held_out: NDArray[Any]
    reconstructions_before: NDArray[Any]
    reconstructions_after: NDArray[Any]
    samples_before: NDArray[Any]
    samples_after: NDArray[Any]


@dataclass(frozen=True)
class FixedRun:
    """A run folder that `elbowroom fix` wrote.

    Parameters
    ----------
    folder : Path
        Of the run.
    record : FixRecord
        What was tried, before and after.
    """

    folder: Path
    record: FixRecord

    @property
    def data(self) -> DataRecord:
        """What the data are."""
        return self.record.data

    @property
    def trained_on(self) -> bool:
        """Whether the folder holds other weights now than those that the record is of."""
        return others_now(self.record.model, self.folder)

    @cached_property
    def pictures(self) -> FixPictures:
        """The arrays of pictures.safetensors; InputError where it is missing or damaged."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        path = self.folder / "pictures.safetensors"
        try:
            return FixPictures(**{name: np.asarray(array) for name, array in load_file(path).items()})
        except (SafetensorError, OSError, TypeError) as error:
            raise InputError(f"{path} is missing or damaged ({error}): fix the run again.") from error


def read_fix(folder: str | Path) -> FixedRun:
    """The record of a fixed run.

    Parameters
    ----------
    folder : str or Path
        That `elbowroom fix` wrote.

    Returns
    -------
    FixedRun
        Its record, and its pictures.

    Raises
    ------
    InputError
        Where it holds no fix.json, or a damaged one.

    Examples
    --------
    >>> read_fix("no-such-folder")
    Traceback (most recent call last):
    ...
    elbowroom.numerics.errors.InputError: There is no no-such-folder/fix.json: give the folder that ...
    """
    from pydantic import ValidationError

    path = Path(folder) / "fix.json"
    if not path.is_file():
        raise InputError(f"There is no {path}: give the folder that `elbowroom fix … --run` wrote.")
    try:
        return FixedRun(Path(folder), _adapter().validate_python(json.loads(path.read_text(encoding="utf-8"))))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InputError(f"{path} is damaged ({'.'.join(map(str, first['loc']))}: {first['msg']}).") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}): fix the run again.") from error


@functools.cache
def _adapter() -> Any:  # a TypeAdapter, a hint that the tests' type checker does not know
    from pydantic import TypeAdapter

    return TypeAdapter(FixRecord)
