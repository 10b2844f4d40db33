"""The page of a single run: a study of one model that is trained already."""

import contextlib
import dataclasses
import shutil
from pathlib import Path
from typing import Any

from elbowroom.numerics import plain_arguments
from elbowroom.records import FILES, SweepRecord, holds_study
from elbowroom.records.weights import weights_digest
from elbowroom.runs import read_run, run_data
from elbowroom.sweeps.swept_of import swept_of

from .asked import Asked
from .load import data_of, load
from .measure import MeasureBudget
from .spending import CHOICE_DRAWS
from .stages import Stages
from .study import measured
from .train import Models, record_of

__all__ = ["report_run"]

_FILES = ("recipe.yaml", "history.jsonl", "summary.json", "model.safetensors")


@plain_arguments
def report_run(
    run: str | Path,
    *,
    source: Any = None,
    draws: int = 1_000,
    annealed: int = 50,
    seed: int = 0,
    progress: bool = True,
    command: str | None = None,
) -> Path:
    """Measure a trained run as a study measures the model it chose, beside the same baselines, and write its page.

    The study stands in the folder "study" of the run; stages that are there already are read.

    Parameters
    ----------
    run : str or Path
        A run folder, as `fit` wrote it.
    source : Any, optional
        The data as `load_data` takes or returns them, where the run's recipe does not find them.
    draws : int, default 1000
        Draws of z per test example for the importance-weighted bound.
    annealed : int, default 50
        How many test examples are measured by annealed importance sampling too; 0 for none.
    seed : int, default 0
        Of all estimates.
    progress : bool, default True
        Whether standard error shows how far it is.
    command : str, optional
        What was typed, for the page.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    InputError
        Where there is no such run, its data are not found, or a stage fails, as for `study`.

    Examples
    --------
    >>> report_run("no-such-folder")
    Traceback (most recent call last):
    ...
    elbowroom.numerics.errors.InputError: no-such-folder is no run folder: it has no recipe.yaml.
    """
    run = Path(run)
    vae, history = read_run(run)
    data = dataclasses.replace(run_data(run, source=source, progress=progress), preprocess=vae.preprocess)
    data = data_of(data, seed, progress)
    folder, name = run / "study", run.resolve().name
    text = command or f"er.studies.report_run({str(run)!r})"
    asked = Asked(text, "the same again", "overwrite=True", "resume=True", f"delete {folder} and begin again")
    stages = Stages(folder, overwrite=False, resume=holds_study(folder), asked=asked, progress=progress)
    about, models = load(data), Models(folder / "runs")

    def train() -> SweepRecord:
        kept = models.runs / name
        kept.mkdir(parents=True, exist_ok=True)
        for file in _FILES:
            shutil.copyfile(run / file, kept / file)
        one = swept_of(name, {}, vae, history, data=data, draws=CHOICE_DRAWS, seed=seed)
        return record_of([one], about, data)

    stages.record("load", lambda: about, about.identity)
    trained = {"model": weights_digest(run), "seed": seed}
    swept = stages.record("train", train, trained, models.hold)
    with contextlib.suppress(FileNotFoundError):  # files may have been written since the model was read
        shutil.copyfile(run / FILES, models.runs / name / FILES)
    return measured(stages, data, about, models, swept, MeasureBudget(draws, annealed, seed), progress).page
