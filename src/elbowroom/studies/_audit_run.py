"""The audit of a trained run, kept in its folder with its page."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from elbowroom import ledger
from elbowroom.atomic import write_atomic
from elbowroom.data import Dataset
from elbowroom.numerics import InputError, plain_arguments
from elbowroom.pages import report
from elbowroom.recipes import build
from elbowroom.records import AuditRecord
from elbowroom.records.weights import weights_digest
from elbowroom.runs import read_run, run_data
from elbowroom.runs._run_data import run_folder
from elbowroom.runs.run_folder import read_recipe
from elbowroom.vae import VAE

__all__ = ["AuditedRun", "audit_run", "objective_of", "trained"]


class AuditedRun(NamedTuple):
    """What auditing a run leaves.

    Parameters
    ----------
    record : AuditRecord
        What was found; audit.json holds it too.
    page : Path
        audit.html.
    """

    record: AuditRecord
    page: Path


@plain_arguments
def audit_run(
    run: str | Path,
    *,
    quick: bool = False,
    n: int | None = None,
    both_ends: bool = False,
    source: Any = None,
    seed: int = 0,
    path: str | Path | None = None,
    progress: bool = True,
) -> AuditedRun:
    """Audit a trained run on the test examples of its data, and write audit.json and audit.html into its folder.

    Parameters
    ----------
    run : str or Path
        A run folder, or a study's folder (then the run of its chosen model).
    quick : bool, default False
        Whether precision is given up for speed.
    n : int, optional
        Test examples that log p(x) is measured on; by default as many as `er.audit` takes.
    both_ends : bool, default False
        Whether to measure the other end of log p(x) too, an upper bound if the chains have mixed.
    source : Any, optional
        The data as `load_data` takes or returns them, where the run's recipe does not find them.
    seed : int, default 0
        Keys all noise, and which examples are taken.
    path : str or Path, optional
        A file of JSON that the record is written to as well.
    progress : bool, default True
        Whether standard error shows how far it is.

    Returns
    -------
    AuditedRun
        The record, and the path of its page.

    Raises
    ------
    InputError
        Where there is no such run, or its data are not found.

    Examples
    --------
    >>> audit_run("no-such-folder")
    Traceback (most recent call last):
    ...
    elbowroom.numerics.errors.InputError: no-such-folder is no run folder: it has no recipe.yaml.
    """
    folder = run_folder(Path(run))
    model = weights_digest(folder)  # before they are read, so that no other weights are taken for these
    vae, data = trained(folder, source, progress)
    how: dict[str, Any] = {"quick": quick, "n": n, "both_ends": both_ends, "seed": seed, "progress": progress}
    try:
        found = replace(ledger.audit(vae, data, objective=objective_of(folder), **how), model=model)
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt("interrupted; nothing was written, and the same command begins anew.") from stop
    text = json.dumps(found.to_dict(), indent=1)
    for file in (folder / "audit.json", *([] if path is None else [Path(path)])):
        write_atomic(file, text)
    return AuditedRun(found, report(found, folder / "audit.html"))


def trained(folder: Path, source: Any, progress: bool) -> tuple[VAE, Dataset]:
    """The model of a run and its data, as the model reads them.

    Parameters
    ----------
    folder : Path
        Of the run.
    source : Any
        Where the data are, if the run's recipe does not say it rightly; else None.
    progress : bool
        Whether standard error shows that data are read.

    Returns
    -------
    VAE
        At the epoch that was kept.
    Dataset
        In the parts of its training.

    Raises
    ------
    InputError
        Where there is no such run, its data are not found, or they have no test examples.
    """
    vae, _ = read_run(folder)
    data = run_data(folder, source=source, progress=progress)
    if not len(data.test):
        raise InputError(
            f"The data of the run in {folder} have no test examples, and an audit is of nothing else: train a run on "
            f"data that are loaded with test=0.2, or so."
        )
    return vae, replace(data, preprocess=vae.preprocess)


def objective_of(folder: Path) -> Any:
    """What a run descended; None where it was the user's own, which no recipe makes again.

    Parameters
    ----------
    folder : Path
        Of the run.

    Returns
    -------
    Objective, Procedure or None
        With its numbers as they were given.
    """
    try:
        return build(read_recipe(folder)["objective"])
    except (InputError, KeyError):
        return None
