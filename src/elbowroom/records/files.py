"""What files of a model took: measured bytes, beside the nats that bounds say."""

import contextlib
import functools
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from elbowroom.atomic import one_at_a_time, write_atomic
from elbowroom.numerics import InputError

from .weights import weights_digest

__all__ = ["FILES", "FileRecord", "keep_file", "read_files"]

FILES = "files.json"
"""Where a run keeps the accounts of files."""
_MOST = 50


@dataclass(frozen=True)
class FileRecord:
    """A file that was written with a model.

    Parameters
    ----------
    name : str
        Of the file.
    rows, cells : int
        Rows in it, and cells of each.
    total_bytes : int
        Size of the file.
    row_bytes : float
        What the rows themselves took.
    initial_bytes, contexts_bytes, beside_bytes : float
        What stacks began with, what the model reads beside x, and what no model codes.
    draws : int, default 1
        Of the latents, for each row.
    refine : int, default 0
        Steps by which q of each row was refined.
    bound : float, optional
        The negative bound that a row is held against, of the rounded model, in nats; None where it was not measured.
    bound_se : float, optional
        Its standard error.
    bound_rows : int, default 0
        On how many rows it was measured.
    lossy_error : float, optional
        Of a lossy file, which bounds nothing: root mean squared error on the data's scale; None for a lossless one.
    model : str, default ""
        SHA-256 of the run's model.safetensors when the file was kept, by `keep_file`.
    """

    name: str
    rows: int
    cells: int
    total_bytes: int
    row_bytes: float
    initial_bytes: float
    contexts_bytes: float
    beside_bytes: float
    draws: int = 1
    refine: int = 0
    bound: float | None = None
    bound_se: float | None = None
    bound_rows: int = 0
    lossy_error: float | None = None
    model: str = ""


def keep_file(folder: Path, record: FileRecord) -> None:
    """Add the account of a file to those of a run, in files.json; of files of one name the last stays, of all 50.

    Parameters
    ----------
    folder : Path
        Of the run.
    record : FileRecord
        What the file took.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     keep_file(Path(folder), FileRecord("x.elb", 10, 4, 80, 50.0, 8.0, 0.0, 2.0))
    ...     [one.name for one in read_files(Path(folder))]
    ['x.elb']
    """
    with contextlib.suppress(OSError), one_at_a_time(folder):  # of a run that cannot be written to nothing is kept
        try:
            others = [one for one in read_files(folder) if one.name != record.name]
        except InputError:  # damaged: what was measured now is worth more
            others = []
        kept = [*others, replace(record, model=weights_digest(folder))]
        write_atomic(folder / FILES, json.dumps([asdict(one) for one in kept[-_MOST:]], indent=1))


def read_files(folder: Path) -> list[FileRecord]:
    """The accounts of all files that were written with a run's model as it is now, not as before further training.

    Parameters
    ----------
    folder : Path
        Of the run.

    Returns
    -------
    list of FileRecord
        In the order of writing; empty where none was.

    Raises
    ------
    InputError
        Where files.json is damaged.

    Examples
    --------
    >>> read_files(Path("no-such-run"))
    []
    """
    from pydantic import ValidationError

    path = Path(folder) / FILES
    if not path.is_file():
        return []
    try:
        held = _adapter().validate_python(json.loads(path.read_text(encoding="utf-8")))
    except (ValidationError, OSError, ValueError) as error:
        raise InputError(f"{path} is damaged: delete it, and compress again.") from error
    model = weights_digest(Path(folder))
    return [one for one in held if one.model == model]


@functools.cache
def _adapter() -> Any:  # a TypeAdapter, a hint that the tests' type checker does not know
    from pydantic import TypeAdapter

    return TypeAdapter(list[FileRecord])
