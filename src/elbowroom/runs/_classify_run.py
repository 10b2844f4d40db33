"""Classes of a run's data by Bayes' rule."""

from pathlib import Path
from typing import Any

from elbowroom.evidence import Classification, classify
from elbowroom.numerics import InputError, one_of, plain_arguments

from . import read_run
from ._run_data import run_data, run_folder
from .table_file import write_table

__all__ = ["classify_run"]

_ENDINGS = (".csv", ".parquet", ".npy")


@plain_arguments
def classify_run(
    run: str | Path,
    out: str | Path,
    *,
    context: str | None = None,
    prior: str = "frequencies",
    estimator: str = "iwae",
    part: str = "test",
    source: Any = None,
    seed: int = 0,
    progress: bool = True,
    **settings: Any,
) -> Classification:
    """Classify the examples of a run's data by Bayes' rule and write the probabilities to a table.

    Parameters
    ----------
    run : str or Path
        A run folder, or a study's folder (then the run of its chosen model), of a model that reads a context of
        classes.
    out : str or Path
        A .csv, .parquet or .npy file, a row per example, as `Classification.to_frame` has them.
    context : str, optional
        Which context, where the model reads several of classes.
    prior : {"frequencies", "uniform"}, default "frequencies"
        p(class), as for `classify`.
    estimator : str, default "iwae"
        How log p(x | class) is estimated, as for `classify`.
    part : {"train", "validation", "test"}, default "test"
        Of the data.
    source : Any, optional
        The data, where the run's recipe does not find them, as for `run_data`.
    seed : int, default 0
        Seed of all noise.
    progress : bool, default True
        Whether to show progress on standard error.
    **settings : Any
        Of the estimator.

    Returns
    -------
    Classification
        What was written.

    Raises
    ------
    InputError
        For another ending or part, and as `classify` does.

    Examples
    --------
    >>> classify_run("runs/x", "table.png")
    Traceback (most recent call last):
    elbowroom.numerics.errors.InputError: Classes are written to .csv, .parquet, .npy; got table.png.
    """
    out, folder = Path(out), run_folder(Path(run))
    if out.suffix.lower() not in _ENDINGS:
        raise InputError(f"Classes are written to {', '.join(_ENDINGS)}; got {out}.")
    one_of("part", part, ("train", "validation", "test"))
    vae, _ = read_run(folder)
    data = run_data(folder, source=source)
    how: dict[str, Any] = {"context": context, "prior": prior, "estimator": estimator, "seed": seed, **settings}
    found = classify(vae, data, examples=data.parts[part], progress=progress, **how)
    write_table(dict(found.to_frame()), out)
    return found
