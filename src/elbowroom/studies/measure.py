"""The stage `measure`: the chosen model on test, the pictures, and where the variance of every model goes."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from elbowroom import evidence, likelihoods
from elbowroom.data import Dataset, Examples
from elbowroom.metrics import reconstruction_error
from elbowroom.numerics import CapabilityError, Estimate, InputError, Support, count
from elbowroom.records import ChoiceRecord, DataRecord, EvidenceRecord, ReconstructionRecord, SweepRecord
from elbowroom.records.weights import weights_digest
from elbowroom.runs._measure_run import shuffled
from elbowroom.runs.saved_estimates import keep_estimates, read_estimates
from elbowroom.sweeps.swept import PASS
from elbowroom.training.placement import threads_for
from elbowroom.vae import VAE

from .cells import cells_record
from .latents import latent_record
from .pictures import draw_pictures, within_cells
from .spending import ANNEALING, measuring
from .train import Models, decibels
from .variance import ink_record, variance_records

__all__ = ["MeasureBudget", "annealed_by", "measure"]

_PICTURES = 16
_USUAL_STEP = 100  # examples, by which a model is small, and measured on one thread, or not
_LEAKING = 1_000  # validation examples that say how much of the likelihood lies outside the range of the data
_ELBO_DRAWS = 64


class MeasureBudget(NamedTuple):
    """How much is measured of the chosen model.

    Attributes
    ----------
    draws : int or None
        Of IWAE, per test example; None: as many as `spending.measuring` says.
    annealed : int or None
        Test examples that AIS measures; 0 for none, None likewise.
    seed : int
        Of all noise.
    """

    draws: int | None
    annealed: int | None
    seed: int


def measure(
    data: Dataset,
    about: DataRecord,
    models: Models,
    sweep: SweepRecord,
    choice: ChoiceRecord,
    budget: MeasureBudget,
    *,
    progress: bool,
) -> EvidenceRecord:
    """Measure the chosen model on test, and draw the pictures of all models beside the runs.

    Parameters
    ----------
    data : Dataset
        Of the study.
    about : DataRecord
        The record of `load`.
    models : Models
        Those of the sweep.
    sweep, choice : SweepRecord, ChoiceRecord
        The records of `train` and `choose`.
    budget : MeasureBudget
        How much is measured.
    progress : bool
        Whether a line says how far it is.

    Returns
    -------
    EvidenceRecord
        The record of the stage.
    """
    vae = models[choice.name]
    with threads_for(vae, data, _USUAL_STEP):
        return _measured(data, about, models, sweep, vae, models.runs / choice.name, budget, progress)


def annealed_by(run: Path, seed: int) -> Estimate | None:
    """log p(x) of the test examples that `measure` annealed.

    Parameters
    ----------
    run : Path
        Of the chosen model.
    seed : int
        Of the noise.

    Returns
    -------
    Estimate or None
        None where nothing was annealed, or not so that a mean is known.
    """
    kept = [one for one in read_estimates(run / "evidence.json") if one.part == "test"]
    own = {*ANNEALING, "seed"}
    found = [one.estimate for one in kept if own == set(one.settings) and one.settings["seed"] == seed]
    return found[-1] if found and len(found[-1]) > 1 and math.isfinite(found[-1].mean) else None


def _measured(
    data: Dataset,
    about: DataRecord,
    models: Models,
    sweep: SweepRecord,
    vae: VAE,
    run: Path,
    budget: MeasureBudget,
    progress: bool,
) -> EvidenceRecord:
    seed, model = budget.seed, weights_digest(run)
    draws, annealed, settings, said = measuring(vae, data, budget.draws, budget.annealed)
    bounds = {
        "ELBO": evidence.elbo(vae, data.test, draws=_ELBO_DRAWS, seed=seed, memory=PASS, progress=progress),
        f"IWAE-{draws}": evidence.iwae(vae, data.test, draws=draws, seed=seed, memory=PASS, progress=progress),
    }
    how: dict[str, Any] = {**settings, "seed": seed}
    annealing, not_measured = _annealed(vae, data.test, annealed, how, progress)
    if annealing is not None:
        bounds = {name: _checked(bound, annealing) for name, bound in bounds.items()}
    _keep_evidence(run, bounds, annealing, how)
    squares = sweep.model(run.name).why_no_squares
    cells, arrays = cells_record(vae, data, bounds, seed, progress)
    record = EvidenceRecord(
        bounds=bounds,
        not_measured=(*not_measured, *said),
        latents=latent_record(vae, data),
        reconstruction=_reconstruction(vae, data.test, about, squares),
        leak=_leak(vae, data.validation[: within_cells(_LEAKING, data)], data.preprocess.support(data.support)),
        variances=tuple(variance_records(sweep, models, data.validation, seed)),
        ink=None if squares else ink_record(vae, data.validation, seed),
        seed=seed,
        pictured=_PICTURES,
        cells=cells,
        model=model,
    )
    draw_pictures(sweep, models, vae, data, models.runs.parent, _PICTURES, seed, arrays)
    return record


def _annealed(
    vae: VAE, test: Examples, annealed: int, how: dict[str, Any], progress: bool
) -> tuple[Estimate | None, list[str]]:
    """AIS on some test examples; or what could not be measured, in words."""
    if not annealed:
        return None, []
    examples = shuffled(test, min(annealed, len(test)))
    try:
        return evidence.ais(vae, examples, **how, memory=PASS, progress=progress), []
    except (CapabilityError, InputError) as error:  # a bound less is no reason to lose the study
        return None, [f"AIS was not run: {error}"]


def _checked(bound: Estimate, annealing: Estimate) -> Estimate:
    """The bound with what AIS, which starts at the prior too, finds on the examples that both have."""
    more = annealing - bound
    words = f"AIS from two starts finds {more.mean:+.2f} nats on {count(len(more), 'point')} of these"
    return replace(bound, checked=words.replace("-", "−"))


def _keep_evidence(run: Path, bounds: dict[str, Estimate], annealing: Estimate | None, how: dict[str, Any]) -> None:
    """Write the run's evidence.json."""
    for bound in bounds.values():
        keep_estimates(run / "evidence.json", "test", [bound], {"draws": bound.budget.draws, "seed": how["seed"]})
    if annealing is not None:
        keep_estimates(run / "evidence.json", "test", [annealing], how)


def _reconstruction(vae: VAE, test: Examples, about: DataRecord, why_none: str | None) -> ReconstructionRecord:
    squared_error = None if why_none else reconstruction_error(vae, test)
    return ReconstructionRecord(squared_error, decibels(squared_error, about), len(test), why_none)


@torch.no_grad()
def _leak(vae: VAE, examples: Examples, seen: Support) -> float | None:
    """Share of the likelihood's mass outside [0, 1], where the data are inside and the family has a cdf."""
    batch = examples.batch()
    p_x = vae(batch, vae.keyed_noise(1, batch.index, 0), lay_out=False).p_x
    return likelihoods.leak(p_x, seen)
