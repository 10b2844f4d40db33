"""A study as it stands on disk: the records of its stages, and what lies beside them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from elbowroom.numerics import Estimate, InputError

from .account import AccountRecord, DifferenceRecord
from .audit import AuditRecord
from .contest import ContestRecord
from .data_record import DataRecord
from .evidence import EvidenceRecord, ReconstructionRecord, VarianceRecord
from .pictures import Pictures, read_pictures
from .stages import OLDER, STAGES, Made, goes_on, read_stage, stage_file
from .sweep import ChoiceRecord, ModelRecord, SweepRecord
from .weights import others_now, weights_digest

__all__ = ["EvidenceRow", "StudyRecord", "read_study"]

_NEEDED = ("load", "train", "choose", "measure")


class EvidenceRow(NamedTuple):
    """A row of the last table.

    Parameters
    ----------
    name, kind : str
        Of the model, and "vae" or "classic".
    setting : str
        What was tuned on validation, in words.
    estimate : Estimate
        Of the test examples.
    """

    name: str
    kind: str
    setting: str
    estimate: Estimate


@dataclass(frozen=True)
class StudyRecord:
    """A study that has got as far as `measure`, or further: its records, and what lies beside them in its folder.

    Parameters
    ----------
    folder : Path
        Of the study.
    made : mapping of str to Made
        By stage, how its record was made.
    data : DataRecord
        Of `load`.
    sweep : SweepRecord
        Of `train`.
    choice : ChoiceRecord
        Of `choose`.
    evidence : EvidenceRecord
        Of `measure`.
    contest : ContestRecord, optional
        Of `contest`; None where it has not been run.
    account : AccountRecord, optional
        Of `account`; None where it has not been run.
    audit : AuditRecord, optional
        Of `audit`; None where it has not been run, as in studies of an older elbowroom.
    """

    folder: Path
    made: Mapping[str, Made]
    data: DataRecord
    sweep: SweepRecord
    choice: ChoiceRecord
    evidence: EvidenceRecord
    contest: ContestRecord | None = None
    account: AccountRecord | None = None
    audit: AuditRecord | None = None

    @property
    def title(self) -> str:
        """What a page of it is called."""
        return f"A variational autoencoder of {self.data.name}"

    @property
    def last(self) -> Made:
        """How the latest of its stages was made: the command, the day, the machine."""
        return self.made[[stage for stage in STAGES if stage in self.made][-1]]

    @property
    def seconds(self) -> dict[str, float]:
        """What every stage took, and their "total"."""
        found = {stage: made.seconds for stage, made in self.made.items()}
        return {**found, "total": sum(found.values())}

    @property
    def not_run(self) -> list[str]:
        """Stages that are still to come."""
        return [stage for stage in STAGES if stage not in self.made]

    @property
    def chosen(self) -> ModelRecord:
        """The chosen model."""
        return self.sweep.model(self.choice.name)

    @property
    def axis(self) -> str | None:
        """Symbol of the one axis of the sweep; None where there are several, or none."""
        axes = list(self.chosen.axes)
        return axes[0] if len(axes) == 1 else None

    @property
    def rows(self) -> list[EvidenceRow]:
        """The last table: the VAE's bounds and the classics, best first."""
        rows = [EvidenceRow("VAE", "vae", self.choice.words, bound) for bound in self.evidence.bounds.values()]
        classics = self.contest.classics if self.contest else ()
        rows += [EvidenceRow(one.name, "classic", one.setting, one.estimate) for one in classics]
        return sorted(rows, key=lambda row: row.estimate.mean, reverse=True)

    @property
    def direction(self) -> str:
        """Direction of the VAE's best estimate."""
        return self.evidence.best.direction

    @property
    def difference(self) -> DifferenceRecord | None:
        """The VAE against the best classic; None where the account has not been made."""
        return self.account.difference if self.account else None

    @property
    def variances(self) -> tuple[VarianceRecord, ...]:
        """Where the variance of x goes: in the models of the sweep, and in the classics where these are accounted."""
        return self.account.variances if self.account else self.evidence.variances

    @property
    def reconstruction(self) -> ReconstructionRecord:
        """How near reconstructions of test examples come."""
        return self.evidence.reconstruction

    @property
    def run(self) -> Path:
        """The run folder of the chosen model."""
        return self.folder / "runs" / self.choice.name

    @cached_property
    def weights(self) -> str:
        """SHA-256 of the weights that were measured; where the record does not say it, of those of the run now."""
        return self.evidence.model or weights_digest(self.run)

    @property
    def trained_on(self) -> bool:
        """Whether the run of the chosen model holds other weights now than those that were measured."""
        return others_now(self.evidence.model, self.run)

    @cached_property
    def healthy(self) -> dict[str, bool]:
        """Whether an audit found no fault, by model: the study's own, or one that lies in a run folder of the sweep.

        An audit of other weights than those of the run now, or of weights that it does not name, says nothing.
        """
        found = {one.name: _read_audit(self.folder / "runs" / one.name) for one in self.sweep.models}
        audits = found if self.audit is None else found | {self.choice.name: self.audit}
        return {name: not audit.ill for name, audit in audits.items() if audit is not None and audit.findings}

    @cached_property
    def pictures(self) -> Pictures:
        """The arrays of pictures.safetensors; InputError where it is missing or damaged."""
        return read_pictures(self.folder / "pictures.safetensors")

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """One mapping per epoch of the chosen run; empty where the run kept none."""
        return _read_history(self.run / "history.jsonl")

    @cached_property
    def recipe(self) -> Mapping[str, Any] | None:
        """Recipe of the chosen model; None where the run kept none."""
        return _read_recipe(self.run / "recipe.yaml")


def read_study(folder: str | Path) -> StudyRecord:
    """The records of a study that has got as far as `measure`.

    Parameters
    ----------
    folder : str or Path
        Of the study.

    Returns
    -------
    StudyRecord
        With None for stages after `measure` that have not been run.

    Raises
    ------
    InputError
        Where there is no such study, it has not got so far, or a record is damaged or of another version.

    Examples
    --------
    >>> read_study("no-such-folder")
    Traceback (most recent call last):
    ...
    elbowroom.numerics.errors.InputError: ...
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"There is no study folder {folder}: give the folder that `elbowroom study` wrote.")
    missing = [stage for stage in _NEEDED if not stage_file(folder, stage).exists()]
    if missing and (folder / OLDER).exists():
        raise InputError(f"{folder / OLDER} was written by an older elbowroom: {goes_on(folder)}.")
    if missing:
        name = stage_file(folder, missing[0]).name
        raise InputError(f"{folder} holds no {name}, so it is no study that has been measured: {goes_on(folder)}.")
    kept = {stage: read_stage(folder, stage) for stage in STAGES if stage_file(folder, stage).exists()}
    for stage, one in kept.items():
        if one.after != {name: kept[name].digest for name in STAGES[stage].after if name in kept}:
            path = stage_file(folder, stage)
            raise InputError(f"{path} was made from other records than those beside it: {goes_on(folder)}.")
    records = {stage: one.record for stage, one in kept.items()}
    return StudyRecord(
        folder=folder,
        made={stage: one.made for stage, one in kept.items()},
        data=records["load"],
        sweep=records["train"],
        choice=records["choose"],
        evidence=records["measure"],
        contest=records.get("contest"),
        account=records.get("account"),
        audit=records.get("audit"),
    )


def _read_history(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    try:
        return [json.loads(row) for row in path.read_text(encoding="utf-8").splitlines() if row.strip()]
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}): restore it, or delete it for a page without curves.") from error


def _read_audit(run: Path) -> AuditRecord | None:
    path = run / "audit.json"
    if not path.is_file():
        return None
    try:
        found = AuditRecord.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}): audit the run again, or delete it.") from error
    return found if found.model == weights_digest(run) else None


def _read_recipe(path: Path) -> Mapping[str, Any] | None:
    import yaml

    if not path.is_file():
        return None
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} is damaged ({error}): restore it, or train the run again.") from error
    return content.get("model") if isinstance(content, dict) else None
