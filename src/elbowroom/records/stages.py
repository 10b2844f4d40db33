"""The stages of a study, and the file that each leaves: its record, what it was made from, and how it was made."""

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import TypeAdapter, ValidationError

from elbowroom.atomic import write_atomic
from elbowroom.numerics import InputError

from .account import AccountRecord
from .contest import ContestRecord
from .data_record import DataRecord
from .evidence import EvidenceRecord
from .sweep import ChoiceRecord, SweepRecord

__all__ = [
    "STAGES",
    "VERSION",
    "Kept",
    "Made",
    "Stage",
    "chosen_run",
    "holds_study",
    "keep_stage",
    "read_stage",
    "stage_file",
]

VERSION = 1
"""Of the files of the stages; any other is refused, and made again by a resumed study."""

OLDER = "study.json"
"""What a study left before it had stages."""

_Record = TypeVar("_Record")


class Stage(NamedTuple):
    """A stage: the type of its record, and the stages whose records it is made from."""

    record: type
    after: tuple[str, ...]


STAGES: dict[str, Stage] = {
    "load": Stage(DataRecord, ()),
    "train": Stage(SweepRecord, ("load",)),
    "choose": Stage(ChoiceRecord, ("train",)),
    "measure": Stage(EvidenceRecord, ("choose",)),
    "contest": Stage(ContestRecord, ("load",)),
    "account": Stage(AccountRecord, ("measure", "contest")),
}
"""By name, in the order in which a study runs them; what follows is the page."""


@dataclass(frozen=True)
class Made:
    """How the record of a stage was made.

    Parameters
    ----------
    command : str
        What was asked for, as one would type it.
    created : str
        The day, as ISO 8601 writes it.
    seconds : float
        What the stage took.
    elbowroom, torch, python, processor : str
        Versions, and the machine.
    threads : int
        Of torch.
    """

    command: str
    created: str
    seconds: float
    elbowroom: str
    torch: str
    python: str
    processor: str
    threads: int


@dataclass(frozen=True)
class Kept(Generic[_Record]):
    """The file of a stage.

    Parameters
    ----------
    version : int
        Of the file.
    stage : str
        A key of `STAGES`.
    key : str
        Fingerprint of what the record was made from: settings, and the keys of the stages before.
    after : dict of str to str
        The keys of the stages before.
    made : Made
        How it was made.
    record : one of the types in `STAGES`
        What the stage leaves.
    """

    version: int
    stage: str
    key: str
    after: dict[str, str]
    made: Made
    record: _Record


def stage_file(folder: Path, stage: str) -> Path:
    """Where a stage of the study in a folder leaves its record.

    Parameters
    ----------
    folder : Path
        Of the study.
    stage : str
        A key of `STAGES`.

    Returns
    -------
    Path
        As FOLDER/4-measure.json.

    Examples
    --------
    >>> stage_file(Path("digits"), "measure").name
    '4-measure.json'
    """
    return folder / f"{list(STAGES).index(stage) + 1}-{stage}.json"


def keep_stage(folder: Path, kept: Kept[Any]) -> None:
    """Write the file of a stage in one step, once the records that were made from another one are gone.

    Parameters
    ----------
    folder : Path
        Of the study.
    kept : Kept
        What the file is to hold.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> made = Made("elbowroom study digits", "2026-01-31", 0.1, "0.1.0", "2.13.0", "3.11.7", "x86_64", 2)
    >>> choice = ChoiceRecord("beta-1", "β = 1", "IWAE-100 on validation", 6)
    >>> keep_stage(folder, Kept(VERSION, "choose", "1a2b", {"train": "3c4d"}, made, choice))
    >>> read_stage(folder, "choose").record.label, chosen_run(folder).name, holds_study(folder)
    ('β = 1', 'beta-1', True)
    """
    for path in _stale(folder, kept):
        path.unlink()
    plain = _adapter(kept.stage).dump_python(kept)  # and not to JSON, where an Estimate would lose its infinities
    write_atomic(stage_file(folder, kept.stage), json.dumps(plain, indent=1))


def read_stage(folder: Path, stage: str) -> Kept[Any]:
    """What a stage left.

    Parameters
    ----------
    folder : Path
        Of the study.
    stage : str
        A key of `STAGES`.

    Returns
    -------
    Kept
        Its record, of the type that `STAGES` says, with what it was made from.

    Raises
    ------
    InputError
        Where the stage has not been run, or its file is damaged or of another version: file, field and way out.

    Examples
    --------
    >>> read_stage(Path("no-such-folder"), "measure")
    Traceback (most recent call last):
    ...
    elbowroom.numerics.errors.InputError: There is no no-such-folder/4-measure.json, so its stage has not been run: ...
    """
    path = stage_file(folder, stage)
    raw = _read_json(path)
    version = raw.get("version") if isinstance(raw, dict) else None
    if version != VERSION:
        raise InputError(
            f"{path} is of version {version!r} and this elbowroom reads version {VERSION}: {goes_on(folder)}."
        )
    try:
        kept: Kept[Any] = _adapter(stage).validate_python(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        raise InputError(f"{path} is damaged ({field}: {first['msg']}): {goes_on(folder)}.") from error
    return kept


def goes_on(folder: Path) -> str:
    """The way out of a record that is missing or cannot be read."""
    return f"`elbowroom study … --folder {folder} --resume` makes the stages again that need it, from the kept runs"


def holds_study(folder: Path) -> bool:
    """Whether a study has begun in a folder, by this elbowroom or an older one.

    Parameters
    ----------
    folder : Path
        Any.

    Returns
    -------
    bool
        Whether there is a record of a stage, or runs.

    Examples
    --------
    >>> holds_study(Path("no-such-folder"))
    False
    """
    files = [*(stage_file(folder, stage) for stage in STAGES), folder / OLDER]
    return (folder / "runs").is_dir() or any(path.exists() for path in files)


def chosen_run(folder: Path) -> Path | None:
    """The run folder of the model that a study chose.

    Parameters
    ----------
    folder : Path
        Of a study, or of a run, which has no such choice.

    Returns
    -------
    Path or None
        None where no model has been chosen.

    Raises
    ------
    InputError
        As `read_stage` does.

    Examples
    --------
    >>> chosen_run(Path("no-such-folder")) is None
    True
    """
    if not stage_file(folder, "choose").exists():
        return None
    choice: ChoiceRecord = read_stage(folder, "choose").record
    return folder / "runs" / choice.name


def _stale(folder: Path, kept: Kept[Any]) -> list[Path]:
    """Files of the later stages that were made from another record than the one to be kept, or from such."""
    gone: list[str] = []
    for name, stage in STAGES.items():
        path = stage_file(folder, name)
        if not path.exists() or not set(stage.after) & {kept.stage, *gone}:
            continue
        found = _kept_or_none(folder, name)
        if found is None or set(stage.after) & set(gone) or found.after[kept.stage] != kept.key:
            gone.append(name)
    return [stage_file(folder, name) for name in gone]


def _kept_or_none(folder: Path, stage: str) -> Kept[Any] | None:
    try:
        return read_stage(folder, stage)
    except InputError:
        return None


@functools.cache
def _adapter(stage: str) -> Any:  # a TypeAdapter, a hint that the tests' type checker does not know
    file: Any = Kept
    return TypeAdapter(file[STAGES[stage].record])


def _read_json(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"There is no {path}, so its stage has not been run: {goes_on(path.parent)}.")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}): {goes_on(path.parent)}.") from error
