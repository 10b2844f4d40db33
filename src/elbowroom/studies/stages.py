"""Running the stages of a study: a finished stage whose inputs are unchanged is read, any other is run and kept."""

import datetime
import hashlib
import importlib.metadata
import json
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from elbowroom.numerics import CapabilityError, InputError
from elbowroom.progress import Progress, say, within
from elbowroom.records import STAGES, Kept, Made, holds_study, keep_stage, read_stage, study_files

from .asked import Asked

__all__ = ["Stages"]

_REFUSING = ("load", "train")  # what they cannot use they refuse before anything is trained, and say their own way out


class Stages:
    """The stages of one study in its folder.

    Parameters
    ----------
    folder : Path
        Of the study; made where it is missing.
    overwrite : bool
        Delete what it holds.
    resume : bool
        Go on with what it holds.
    asked : Asked
        What asks for the study, for the records and for saying how to go on.
    progress : bool, default True
        Whether standard error says which stage is running, and which were read.

    Raises
    ------
    InputError
        Where the folder is not empty, and is neither to be overwritten nor resumed, or holds no study.
    """

    def __init__(self, folder: Path, *, overwrite: bool, resume: bool, asked: Asked, progress: bool = True) -> None:
        self.folder, self.resume, self.asked, self.progress = folder, resume, asked, progress
        self._digests: dict[str, str] = {}
        _prepare(folder, overwrite, resume, asked)

    def record(
        self,
        stage: str,
        make: Callable[[], Any],
        settings: Mapping[str, Any],
        usable: Callable[[Any], bool] = lambda record: True,
    ) -> Any:
        """The record of a stage: read where it was made from the same settings and stages, else made and kept.

        Parameters
        ----------
        stage : str
            A key of `records.STAGES`; those that it is made from come first.
        make : callable
            Runs the stage and returns its record.
        settings : mapping
            What the record depends on besides the stages before, in plain values.
        usable : callable, optional
            A record to whether what it speaks of is still there; where not, the stage is run again.

        Returns
        -------
        one of the types in `records.STAGES`
            As it stands on disk.

        Raises
        ------
        InputError, CapabilityError
            As the stage does, with what came before it and how to go on; other errors come with a note of it.
        """
        before = {one: self._digests[one] for one in STAGES[stage].after}
        key = _fingerprint([stage, settings, before])
        kept = self._kept(stage)
        if kept is not None and kept.key == key and usable(kept.record):
            self._digests[stage] = kept.digest
            say(f"{_place(stage)}: read from {self.folder}", show=self.progress)
            return kept.record
        if kept is not None and stage == "load":
            raise InputError(
                f"{self.folder} is a study of other data, or of the same split or preprocessed otherwise: name another "
                f"folder."
            )
        begun = time.monotonic()
        with self.going_on(stage):
            made = make()
        keep_stage(self.folder, stage, key, self._made(time.monotonic() - begun), made)
        kept = read_stage(self.folder, stage)
        self._digests[stage] = kept.digest
        return kept.record

    def _kept(self, stage: str) -> Kept[Any] | None:
        """What a stage left, where it can be read and is wanted."""
        try:
            return read_stage(self.folder, stage) if self.resume else None
        except InputError:
            return None

    @contextmanager
    def going_on(self, stage: str) -> Iterator[None]:
        """Say of whatever ends a stage what came before it, and how to go on.

        Parameters
        ----------
        stage : str
            A key of `records.STAGES`, or "page".
        """
        left = f"what came before is in {self.folder}: {self.asked.going_on} goes on there."
        try:
            with Progress(_place(stage), None, show=self.progress), within(_place(stage)):
                yield
        except (InputError, CapabilityError) as error:
            if stage in _REFUSING:
                self._leave_nothing()
                raise
            raise type(error)(f"The stage {stage!r} failed: {str(error).rstrip('.')}; {left}") from error
        except KeyboardInterrupt as stop:
            raise KeyboardInterrupt(f"interrupted in the stage {stage!r}; {left}") from stop
        except Exception as error:
            error.add_note(f"The stage {stage!r} failed; {left}")
            raise

    def _leave_nothing(self) -> None:
        """A study that was refused before anything was trained leaves its folder as it was."""
        if not self.resume and not any(_run_folders(self.folder)):
            _clear(self.folder)

    def _made(self, seconds: float) -> Made:
        return Made(
            command=self.asked.text,
            created=datetime.datetime.now(datetime.UTC).date().isoformat(),
            seconds=seconds,
            elbowroom=importlib.metadata.version("elbowroom"),
            torch=torch.__version__,
            python=platform.python_version(),
            processor=platform.processor() or platform.machine(),
            threads=torch.get_num_threads(),
        )


def _place(stage: str) -> str:
    """Which of all stages it is.

    >>> _place("train"), _place("page")
    ('stage 2 of 8 (train)', 'stage 8 of 8 (page)')
    """
    names = [*STAGES, "page"]
    return f"stage {names.index(stage) + 1} of {len(names)} ({stage})"


def _fingerprint(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _run_folders(folder: Path) -> list[Path]:
    return [path.parent for path in (folder / "runs").glob("*/recipe.yaml")]


def _clear(folder: Path) -> None:
    """Delete what a study has written into a folder, and nothing else that stands there."""
    for run in _run_folders(folder):
        shutil.rmtree(run)
    for path in [*study_files(folder), folder / "pictures.safetensors", folder / "report.html"]:
        path.unlink(missing_ok=True)
    runs = folder / "runs"
    if runs.is_dir() and not any(runs.iterdir()):
        runs.rmdir()


def _prepare(folder: Path, overwrite: bool, resume: bool, asked: Asked) -> None:
    if overwrite and resume:
        raise InputError(f"A study is overwritten or resumed: leave {asked.overwrite} or {asked.resume} out.")
    if not folder.exists() or not any(folder.iterdir()):
        folder.mkdir(parents=True, exist_ok=True)
        return
    ours = holds_study(folder)
    if overwrite and ours:
        _clear(folder)
    elif not (resume and ours):
        of_study = f"delete what it holds with {asked.overwrite}, go on with it by {asked.resume}, or " if ours else ""
        raise InputError(f"{folder} is not empty: {of_study}{asked.elsewhere}.")
