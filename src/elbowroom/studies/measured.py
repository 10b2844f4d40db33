"""Evidence of a trained run by its folder: any estimator, resumable, recorded in the run's evidence.json."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from elbowroom import evidence
from elbowroom.data import Examples
from elbowroom.evidence.passes import MEMORY, Memory
from elbowroom.evidence.records import keep_estimates
from elbowroom.evidence.resuming import Partial, measured_in_groups
from elbowroom.numerics import Estimate, InputError, derived_seed
from elbowroom.training import read_run
from elbowroom.vae import VAE

from .trained import run_data, run_folder

__all__ = ["ESTIMATORS", "evidence_file", "measure_run", "shuffled"]

_DRAWS = {"draws": 1_000}
_ANNEALING = {"temperatures": 500, "chains": 16, "leapfrog": 10, "start": "posterior", "schedule": "sigmoid"}
ESTIMATORS: Mapping[str, Mapping[str, Any]] = {
    "elbo": _DRAWS,
    "iwae": _DRAWS,
    "iwae-curve": _DRAWS,
    "prior": _DRAWS,
    "ais": _ANNEALING,
    "bdmc": _ANNEALING,
}
"""Every estimator's settings, and what they are where they are not given."""

_PARTS = ("train", "validation", "test")
_ROWS = {"draws": 2**15, "chains": 2**8}  # of examples × draws or chains in a group: some seconds of work
_LEAST = 3  # examples in a group, so that groups of about equal sizes have two or more, as bdmc needs


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
    """Estimates of log p(x) of a run's kept model on a part of its data; added to the run's evidence.json.

    "bdmc" gives two, the bounds on as many examples that the model draws: see `evidence.bdmc`.
    run: a run folder, or a study's (then its chosen model). estimator: a key of `ESTIMATORS`; settings: some of its
    settings. points: how many examples, drawn so that fewer are among more; None: all. source: the data, where their
    name does not find them. resume: go on where a measurement with the same settings was interrupted; the numbers
    are those of one that was not. Values stand by ascending index. Raises InputError for settings that mean nothing,
    and where these are not the data of the run; CapabilityError where the estimator cannot measure the model.
    """
    settings = _settings(estimator, settings)
    if part not in _PARTS:
        raise InputError(f"The part is {', '.join(_PARTS[:-1])} or {_PARTS[-1]}; got {part!r}.")
    folder = run_folder(Path(run))
    vae, _ = read_run(folder)
    data = run_data(folder, source)
    examples = shuffled(data.parts[part], points)
    model = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    known = {**settings, "part": part, "points": len(examples), "seed": seed}
    partial = Partial(
        folder / f"evidence-{estimator}.partial.jsonl", {**known, "model": model[:12], "data": data.sha256[:12]}
    )
    found = measured_in_groups(
        lambda some: _measure(estimator, vae, some, settings, seed, memory),
        examples,
        _group(settings),
        partial,
        resume=resume,
        title=estimator,
        progress=progress,
    )
    where = "simulated" if estimator == "bdmc" else part
    keep_estimates(folder / "evidence.json", where, found, {**settings, "seed": seed})
    partial.path.unlink(missing_ok=True)
    return found


def evidence_file(run: str | Path) -> Path:
    """Where `measure_run` writes."""
    return run_folder(Path(run)) / "evidence.json"


def shuffled(examples: Examples, points: int | None = None) -> Examples:
    """Examples in an order that tells nothing; the first `points` of them. Raises InputError where there are fewer."""
    n = len(examples)
    if points is not None and not 1 <= points <= n:
        raise InputError(f"points must be 1 to {n:,}, as many as there are examples; got {points}.")
    return examples[torch.randperm(n, generator=torch.Generator().manual_seed(0))[:points]]


def _settings(estimator: str, given: Mapping[str, Any]) -> dict[str, Any]:
    if estimator not in ESTIMATORS:
        raise InputError(f"There is no estimator {estimator!r}; there are {', '.join(ESTIMATORS)}.")
    known = ESTIMATORS[estimator]
    strange = [name for name in given if name not in known]
    if strange:
        raise InputError(f"{estimator} has no setting {strange[0]!r}; it has {', '.join(known)}.")
    return {**known, **given}


def _group(settings: Mapping[str, Any]) -> int:
    """How many examples are measured, and kept, at a time."""
    return next(max(_LEAST, rows // max(1, settings[name])) for name, rows in _ROWS.items() if name in settings)


def _measure(
    estimator: str, vae: VAE, examples: Examples, settings: Mapping[str, Any], seed: int, memory: Memory
) -> tuple[Estimate, ...]:
    common = {**settings, "seed": seed, "memory": memory}
    if estimator == "iwae-curve":
        return evidence.iwae_curve(vae, examples, **common).estimates
    if estimator == "bdmc":
        return _both_ends(evidence.bdmc(vae, examples, **{**common, "seed": _group_seed(examples, seed)}), seed)
    if estimator == "prior":
        return (evidence.prior_sampling(vae, examples, **common),)
    return (getattr(evidence, estimator)(vae, examples, **common),)


def _group_seed(examples: Examples, seed: int) -> int:
    """A seed of the group's own: with one seed, every group would simulate the same examples."""
    return derived_seed(seed, int(examples.index[0]))


def _both_ends(found: evidence.Bidirectional, seed: int) -> tuple[Estimate, ...]:
    return tuple(replace(one, budget=replace(one.budget, seed=seed)) for one in (found.lower, found.upper))
