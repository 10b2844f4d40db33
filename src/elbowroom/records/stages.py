"""The stages of a study, and the file that each leaves: its record, what it was made from, and how it was made."""

import functools
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import TypeAdapter, ValidationError

from elbowroom.atomic import write_atomic
from elbowroom.numerics import InputError

from .account import AccountRecord
from .audit import AuditRecord
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
    "study_files",
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
    "audit": Stage(AuditRecord, ("measure",)),
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
        Fingerprint of what the record was made from: settings, and the digests of the stages before.
    after : dict of str to str
        The digests of the stages before.
    made : Made
        How it was made.
    record : one of the types in `STAGES`
        What the stage leaves.
    digest : str
        Fingerprint of the record and its key: what later stages are made from.
    """

    version: int
    stage: str
    key: str
    after: dict[str, str]
    made: Made
    record: _Record
    digest: str = ""


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


def keep_stage(folder: Path, stage: str, key: str, made: Made, record: Any) -> None:
    """Write the file of a stage in one step, once the records that were made from another one are gone.

    Parameters
    ----------
    folder : Path
        Of the study.
    stage : str
        A key of `STAGES`; the record is made from those of the stages before, as they stand in the folder.
    key : str
        Fingerprint of the settings, and of the stages before.
    made : Made
        How it was made.
    record : one of the types in `STAGES`
        What the stage leaves.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> made = Made("elbowroom study digits", "2026-01-31", 0.1, "0.1.0", "2.13.0", "3.11.7", "x86_64", 2)
    >>> keep_stage(folder, "choose", "1a2b", made, ChoiceRecord("beta-1", "β = 1", "IWAE-100 on validation", 6))
    >>> read_stage(folder, "choose").record.label, chosen_run(folder).name, holds_study(folder)
    ('β = 1', 'beta-1', True)
    """
    before = [one for one in STAGES[stage].after if stage_file(folder, one).exists()]
    after = {one: read_stage(folder, one).digest for one in before}
    kept: Kept[Any] = Kept(VERSION, stage, key, after, made, record)
    values = _adapter(stage).dump_python(kept)  # and not to JSON, where an Estimate would lose its infinities
    plain = json.loads(json.dumps(values))
    plain["digest"] = _digest(plain)
    for path in _stale(folder, stage, plain["digest"]):
        path.unlink()
    write_atomic(stage_file(folder, stage), json.dumps(plain, indent=1))


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
    if kept.stage != stage or kept.digest != _digest(raw):
        raise InputError(f"{path} is not as it was written: {goes_on(folder)}.")
    return kept


def _digest(plain: Any) -> str:
    """Fingerprint of a file in plain values: of its key and its record, but for what took how long."""
    said = json.dumps([plain["stage"], plain["key"], _timeless(plain["record"])], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _timeless(plain: Any) -> Any:
    if isinstance(plain, dict):
        return {name: _timeless(one) for name, one in plain.items() if name != "seconds"}
    return [_timeless(one) for one in plain] if isinstance(plain, list) else plain


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
        Whether there is a record of a stage, or a sweep.

    Examples
    --------
    >>> holds_study(Path("no-such-folder"))
    False
    """
    return any(path.exists() for path in study_files(folder))


def study_files(folder: Path) -> list[Path]:
    """The files that a study writes beside its page, pictures and run folders.

    Parameters
    ----------
    folder : Path
        Of the study.

    Returns
    -------
    list of Path
        Of every stage, of the sweep, and what an older elbowroom wrote; they need not exist.

    Examples
    --------
    >>> study_files(Path("digits"))[0].name
    '1-load.json'
    """
    return [*(stage_file(folder, stage) for stage in STAGES), folder / "runs" / "sweep.json", folder / OLDER]


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
        if (folder / OLDER).exists():
            raise InputError(f"{folder / OLDER} was written by an older elbowroom: {goes_on(folder)}.")
        return None
    choice: ChoiceRecord = read_stage(folder, "choose").record
    return folder / "runs" / choice.name


def _stale(folder: Path, kept: str, digest: str) -> list[Path]:
    """Files of the later stages that were made from another record than the one to be kept, or from such."""
    gone: list[str] = []
    for name, stage in STAGES.items():
        path = stage_file(folder, name)
        if not path.exists() or not set(stage.after) & {kept, *gone}:
            continue
        found = _kept_or_none(folder, name)
        if found is None or set(stage.after) & set(gone) or found.after.get(kept) != digest:
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
