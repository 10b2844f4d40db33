"""Evidence of a trained run by its folder: any estimator, resumable, kept in the run's evidence.json."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from elbowroom.data import Examples
from elbowroom.evidence.estimators import Registered, registered
from elbowroom.evidence.memory import MEMORY, Memory
from elbowroom.numerics import Estimate, InputError, derived_seed, plain_arguments
from elbowroom.records.weights import weights_digest
from elbowroom.vae import VAE

from . import read_run
from ._run_data import run_data, run_folder
from .partial_estimates import Partial, estimate_in_groups
from .saved_estimates import keep_estimates

__all__ = ["evidence_file", "measure_run", "shuffled"]

_PARTS = ("train", "validation", "test")
_ROWS = {"draws": 2**15, "chains": 2**8}  # of examples × draws or chains in a group: some seconds of work
_LEAST = 3  # examples in a group, so that groups of about equal sizes have two or more, as bdmc needs


@plain_arguments
def measure_run(
    run: str | Path,
    estimator: str = "iwae",
    *,
    part: str = "test",
    points: int | None = None,
    source: Any = None,
    seed: int = 0,
    memory: Memory = MEMORY,
    resume: bool = False,
    progress: bool = True,
    **settings: Any,
) -> tuple[Estimate, ...]:
    """Estimate log p(x) of a trained run on a part of its data, and keep the result in the run's evidence.json.

    Parameters
    ----------
    run : str or Path
        A run folder, or a study's folder (then the run of its chosen model).
    estimator : str, default "iwae"
        A key of `er.evidence.ESTIMATORS`. "bdmc" gives two estimates, the bounds on as many examples that the model
        itself draws; curves give one or more for each of their points.
    part : {"test", "train", "validation"}, default "test"
        The part of the data.
    points : int, optional
        How many examples of it, drawn so that fewer are among more; by default all.
    source : Any, optional
        The data as `load_data` takes or returns them, where the run's recipe does not find them.
    seed : int, default 0
        Keys all noise, by (seed, example).
    memory : int or str, default "1 GiB"
        Bytes, or words for them: what one pass may hold. It changes no number beyond rounding.
    resume : bool, default False
        Continue a measurement with the same settings that was interrupted; the numbers are those of one that was not.
    progress : bool, default True
        Whether standard error shows how far it is.
    **settings : Any
        Settings of the estimator, such as draws=5000.

    Returns
    -------
    tuple of Estimate
        In nats, examples by ascending index.

    Raises
    ------
    InputError
        For settings that mean nothing, where these are not the data of the run, and where the part has no examples.
    CapabilityError
        Where the estimator cannot measure the model.

    Examples
    --------
    >>> import tempfile
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> vae = er.models.build({"latents": 2, "widths": [8]}, digits)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = er.fit(vae, digits, epochs=1, run=folder + "/run", progress=False)
    ...     (found,) = measure_run(folder + "/run", points=10, draws=5, progress=False)
    >>> found.estimator, found.quantity, len(found)
    ('IWAE-5', 'log p(x)', 10)
    """
    entry = registered(estimator)
    settings = _settings(estimator, entry, settings)
    if part not in _PARTS:
        raise InputError(f"The part is {', '.join(_PARTS[:-1])} or {_PARTS[-1]}; got {part!r}.")
    folder = run_folder(Path(run))
    model = weights_digest(folder)  # before they are read, so that no other weights are taken for these
    vae, _ = read_run(folder)
    data = run_data(folder, source=source, progress=progress)
    if not len(data.parts[part]):
        others = [f"part={name}" for name, rows in data.parts.items() if len(rows)]
        raise InputError(f"The data of the run in {folder} have no {part} examples: say {' or '.join(others)}.")
    examples = shuffled(data.parts[part], points)
    known = {**settings, "part": part, "points": len(examples), "seed": seed}
    partial = Partial(
        folder / f"evidence-{estimator}.partial.jsonl", {**known, "model": model[:12], "data": data.sha256[:12]}
    )
    found = estimate_in_groups(
        lambda some: _measure(entry, vae, some, settings, seed, memory),
        examples,
        _group(settings),
        partial,
        resume=resume,
        title=estimator,
        progress=progress,
    )
    where = "simulated" if entry.simulates else part
    keep_estimates(folder / "evidence.json", where, found, {**settings, "seed": seed}, model)
    partial.path.unlink(missing_ok=True)
    return found


def evidence_file(run: str | Path) -> Path:
    """Where `measure_run` keeps the estimates of a run.

    Parameters
    ----------
    run : str or Path
        A run folder, or a study's folder.

    Returns
    -------
    Path
        Its evidence.json.

    Examples
    --------
    >>> evidence_file("runs/digits").as_posix()
    'runs/digits/evidence.json'
    """
    return run_folder(Path(run)) / "evidence.json"


def shuffled(examples: Examples, points: int | None = None) -> Examples:
    """Examples in a random order that is always the same.

    Parameters
    ----------
    examples : Examples
        A part of a data set.
    points : int, optional
        How many of them, from the first on; by default all.

    Returns
    -------
    Examples
        So many.

    Raises
    ------
    InputError
        Where there are fewer.
    """
    n = len(examples)
    if points is not None and not 1 <= points <= n:
        raise InputError(f"points must be 1 to {n:,}, as many as there are examples; got {points}.")
    return examples[torch.randperm(n, generator=torch.Generator().manual_seed(0))[:points]]


def _settings(estimator: str, entry: Registered, given: Mapping[str, Any]) -> dict[str, Any]:
    strange = [name for name in given if name not in entry.settings]
    if strange:
        raise InputError(f"{estimator} has no setting {strange[0]!r}; it has {', '.join(entry.settings)}.")
    return {**entry.settings, **given}


def _group(settings: Mapping[str, Any]) -> int:
    """How many examples are measured, and kept, at a time."""
    sizes = (rows // max(1, settings[name]) for name, rows in _ROWS.items() if name in settings)
    return max(_LEAST, next(sizes, max(_ROWS.values())))


def _measure(
    entry: Registered, vae: VAE, examples: Examples, settings: Mapping[str, Any], seed: int, memory: Memory
) -> tuple[Estimate, ...]:
    # With one seed, every group would simulate the same examples.
    own = derived_seed(seed, int(examples.index[0])) if entry.simulates else seed
    found = entry.estimates(entry.estimator(vae, examples, **settings, seed=own, memory=memory))
    return tuple(replace(one, budget=replace(one.budget, seed=seed)) for one in found)
