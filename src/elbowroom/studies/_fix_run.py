"""Fixing a trained run: remedies that pay, in a run folder of their own, with before and after on its page."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from elbowroom import evidence, ledger
from elbowroom.atomic import write_atomic
from elbowroom.data import Dataset
from elbowroom.numerics import Estimate, InputError, plain_arguments
from elbowroom.pages import report
from elbowroom.records import FixRecord, Number, StepRecord
from elbowroom.records.weights import weights_digest
from elbowroom.remedies import Remedied
from elbowroom.runs import History, read_run
from elbowroom.runs._run_data import run_folder
from elbowroom.runs.run_folder import RunFolder, read_recipe
from elbowroom.vae import VAE
from elbowroom.vae._save_model import model_recipe

from ._audit_run import objective_of, trained
from .load import load
from .pictures import draw_before_after

__all__ = ["FixRun", "fix_run"]

_PICTURES = 16
_DRAWS = 16  # of z, for the rate and distortion of a step


class FixRun(NamedTuple):
    """What fixing a run leaves.

    Parameters
    ----------
    vae : VAE
        The fixed model.
    record : FixRecord
        What was tried, with the audits before and after; fix.json holds it too.
    page : Path
        fix.html in the new run folder.
    """

    vae: VAE
    record: FixRecord
    page: Path


@plain_arguments
def fix_run(
    run: str | Path,
    new: str | Path,
    *,
    seconds: float = 300.0,
    source: Any = None,
    seed: int = 0,
    progress: bool = True,
    command: str | None = None,
) -> FixRun:
    """Fix a trained run by the remedies that pay on validation, and write the fixed model into a run folder of its own.

    Parameters
    ----------
    run : str or Path
        A run folder, or a study's folder (then the run of its chosen model). It stays as it is.
    new : str or Path
        The run folder to write, with fix.json, audit.json, pictures.safetensors and fix.html beside the model.
    seconds : float, default 300.0
        How long remedies are tried.
    source : Any, optional
        The data as `load_data` takes or returns them, where the run's recipe does not find them.
    seed : int, default 0
        Of all noise.
    progress : bool, default True
        Whether standard error shows how far it is.
    command : str, optional
        What was typed, for the page.

    Returns
    -------
    FixRun
        The fixed model, the record and the path of its page.

    Raises
    ------
    InputError
        Where there is no such run, its data are not found, or the new folder is not empty.

    Examples
    --------
    >>> fix_run("no-such-folder", "fixed")
    Traceback (most recent call last):
    ...
    elbowroom.numerics.errors.InputError: no-such-folder is no run folder: it has no recipe.yaml.
    """
    folder, new = run_folder(Path(run)), Path(new)
    read_recipe(folder)
    if new.exists() and (not new.is_dir() or any(new.iterdir())):
        raise InputError(f"{new} is not empty: name another folder for the fixed run.")
    began, model = time.monotonic(), weights_digest(folder)
    vae, data = trained(folder, source, progress)
    try:
        done = ledger.fix(vae, data, objective=objective_of(folder), seconds=seconds, seed=seed, progress=progress)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt("interrupted; nothing was written, and the same command begins anew.") from stop
    assert done.before is not None  # audits were asked for
    assert done.after is not None
    record = FixRecord(
        source=str(run),
        elbo_before=done.elbo_before,
        elbo_after=done.elbo_after,
        before=replace(done.before, model=model),
        after=done.after,
        steps=(*(_step(one, data, seed) for one in done.steps), *map(_untried, done.untried)),
        data=load(data),
        seconds=time.monotonic() - began,
        command=command or f"er.studies.fix_run({str(run)!r}, {str(new)!r})",
    )
    record = _write(folder, new, vae, done.vae, data, record)
    return FixRun(done.vae, record, report(new))


def _step(one: Remedied, data: Dataset, seed: int) -> StepRecord:
    found = evidence.rate_distortion(one.vae, data.validation, draws=_DRAWS, seed=seed)
    return StepRecord(
        remedy=one.name,
        kept=one.pays,
        gain=_number(one.gain),
        gain_iwae=_number(one.gain_iwae),
        rate=_number(found.rate),
        distortion=_number(found.distortion),
        seconds=one.seconds,
    )


def _untried(sentence: str) -> StepRecord:
    remedy, _, why = sentence.partition(": ")
    return StepRecord(remedy, False, said=why)


def _number(e: Estimate) -> Number:
    return Number(e.mean, e.se_total)


def _write(old: Path, new: Path, before: VAE, after: VAE, data: Dataset, record: FixRecord) -> FixRecord:
    """The run folder: the recipe comes first and the page last, so that what is there was made from what is before.

    Returns the record with which weights it is of.
    """
    recipe = {name: part for name, part in read_recipe(old).items() if name != "version"}
    kept = [one.remedy for one in record.steps if one.kept]
    folder = RunFolder(new)
    folder.open(recipe | {"model": model_recipe(after), "fixed": {"run": record.source, "by": kept}}, resume=False)
    _, history = read_run(old)
    folder.rewind(history.rows)
    note = f"Fixed from {record.source} by {', '.join(kept)}." if kept else f"As {record.source}: no remedy paid."
    folder.finish(after, History(history.rows, history.best_epoch, history.selected_by, [*history.notes, note]))
    model = weights_digest(new)
    record = replace(record, after=replace(record.after, model=model), model=model)
    draw_before_after(before, after, data, new / "pictures.safetensors", _PICTURES, record.after.seed)
    write_atomic(new / "audit.json", json.dumps(record.after.to_dict(), indent=1))
    write_atomic(new / "fix.json", json.dumps(record.to_dict(), indent=1))
    return record
