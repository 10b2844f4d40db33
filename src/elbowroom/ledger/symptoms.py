"""Symptoms: numbers with errors, measured on any VAE, from which the verdict is reached. Nothing is judged here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from elbowroom import evidence
from elbowroom.data import Dataset, Examples
from elbowroom.evidence.memory import MEMORY, Memory
from elbowroom.numerics import Batch, CapabilityError, Estimate, InputError
from elbowroom.records import ContextRecord, IdentityRecord, Number
from elbowroom.remedies import refine
from elbowroom.vae import VAE

from .aggregate import chosen, of_x_alone
from .symptoms_budget import SymptomBudget
from .symptoms_of_condition import condition_lost
from .symptoms_of_fit import beyond_classics, generalisation, looseness, objective_above_elbo
from .symptoms_of_noise import noise_gain, residuals
from .symptoms_of_posterior import annealed_posterior, widening_gain
from .symptoms_of_simulations import simulated_calibration

__all__ = ["IDLE", "Symptoms", "symptoms"]


@dataclass(frozen=True)
class Symptoms:
    """What was measured of a model, each with its standard error; None where it cannot be had, with the reason.

    All in nats per example unless said.

    Parameters
    ----------
    rate : Number, optional
        KL(q(z | x) ‖ p(z)) of the encoder.
    information : Number, optional
        I(x; z) under q: what of that rate says which x it is; the rest is a q(z) that is not the prior.
    true_rate : Number, optional
        KL(p(z | x) ‖ p(z)) of the true posterior, from weighted annealed draws: E log p(x | z) − log p(x).
    units, idle : int, optional
        Latent units, and those of them whose KL is below `IDLE` and that are not active.
    gap, amortisation, approximation : Number, optional
        log p(x) − ELBO, what of it the encoder loses against the best q of its family, and what that loses itself.
    coverage : Number, optional
        90 minus the share, in points, of the true posterior's draws that the central 90 % intervals of q hold, over the
        units that are not idle: positive where q is too narrow or in the wrong place.
    widening, widening_factor : Number and float, optional
        What one factor on all spreads of a normal q would win of the ELBO, and that factor, 1 or more.
    simulated, sbc, tarp : Number, float and Number, optional
        Context: the same points on pairs that the model simulates; the least p of the ranks' uniformity, times the
        number of units; and the greatest distance of TARP's expected coverage from the credibility, in points.
    prior_gap : Number, optional
        What a density fitted to draws of q gains over p(z) on draws of other examples.
    samples : Number, optional
        Log-odds by which samples from p(z) are told from data, minus those of samples from q(z | x).
    noise_gain : Number, optional
        What the best noise scale or temperature would win of the ELBO on validation.
    noise_factor : float, optional
        That scale or temperature, in units of the model's own.
    residual_gain : Number, optional
        What correlated noise would win over independent noise: a Gaussian copula of the residuals at the best q, each
        in units of the model's own deviation.
    noise_share : Number, optional
        Greatest eigenvalue of the residuals' covariance, in units of the model's noise variance.
    generalisation : Number, optional
        log p(x) of training examples minus that of test examples, importance-weighted from the best q.
    looseness : Number, optional
        log p(x) of test examples by annealing minus that by importance weights from the best q.
    classic : Number, optional
        log p(x) of training examples by the better classic on validation, minus the model's.
    classic_name : str
        Which classic.
    objective : Number, optional
        What the objective says in place of the ELBO, minus the ELBO, at the same draws.
    bounds_by_design : bool
        Whether the objective is a bound by how it is made, as the importance-weighted one is.
    remarks : tuple of str
        What the objective says of itself.
    condition, condition_held, condition_shown : Number, optional
        Of a model whose p reads contexts, in percent: the share of what a straight line from them explains of x in the
        data that they do not explain in the model; what they explain of the variance of x by that line, and in the
        model.
    decoder_reads : bool, optional
        Whether p(x | z) reads a context itself, and not only p(z).
    missing : dict of str to str
        Symptom → why it cannot be had, in a sentence.
    """

    rate: Number | None = None
    information: Number | None = None
    true_rate: Number | None = None
    units: int | None = None
    idle: int | None = None
    gap: Number | None = None
    amortisation: Number | None = None
    approximation: Number | None = None
    coverage: Number | None = None
    widening: Number | None = None
    widening_factor: float | None = None
    simulated: Number | None = None
    sbc: float | None = None
    tarp: Number | None = None
    prior_gap: Number | None = None
    samples: Number | None = None
    noise_gain: Number | None = None
    noise_factor: float | None = None
    residual_gain: Number | None = None
    noise_share: Number | None = None
    generalisation: Number | None = None
    looseness: Number | None = None
    classic: Number | None = None
    classic_name: str = ""
    objective: Number | None = None
    bounds_by_design: bool = False
    remarks: tuple[str, ...] = ()
    condition: Number | None = None
    condition_held: Number | None = None
    condition_shown: Number | None = None
    decoder_reads: bool | None = None
    missing: dict[str, str] = field(default_factory=dict)


IDLE = 0.05
"""Nats of KL below which a unit that is not active either is idle."""


def symptoms(
    vae: VAE,
    data: Dataset,
    *,
    identity: IdentityRecord | None = None,
    context: ContextRecord | None = None,
    objective: Any = None,
    budget: SymptomBudget | None = None,
    seed: int = 0,
    memory: Memory = MEMORY,
) -> Symptoms:
    """Measure what the verdict is reached from.

    Parameters
    ----------
    vae : VAE
        A trained model, which stays as it is.
    data : Dataset
        Training examples fit what is compared with the model; all numbers are of test or validation but for `classic`.
    identity : IdentityRecord, optional
        Of test examples; without it nothing is known of what the encoder loses.
    context : ContextRecord, optional
        Without it nothing is known of the prior and the use of the latents.
    objective : Objective or Procedure, optional
        What the model was trained by.
    budget : SymptomBudget, optional
        How much it may cost; by default about a minute of a small MNIST model.
    seed : int, default 0
        Keys all noise.
    memory : int or str, default "1 GiB"
        How much memory a pass through the model may take.

    Returns
    -------
    Symptoms
        Numbers, and the reason for each that is None.
    """
    budget, found = budget or SymptomBudget(), dict[str, Any]()
    missing: dict[str, str] = {}

    def had(names: tuple[str, ...], measured: Callable[[], tuple[Any, ...]]) -> None:
        try:
            found.update(zip(names, measured(), strict=True))
        except (CapabilityError, InputError) as error:
            missing.update(dict.fromkeys(names, str(error)))

    found |= _of_records(identity, context, missing)
    test, train = (chosen(part, budget.bounds, seed) for part in (data.test, data.train))
    few = test[: budget.annealed]
    best = _best(vae, [train, test], budget, seed)
    had(("true_rate", "coverage"), lambda: annealed_posterior(vae, best, few, budget, found["used"], seed, memory))
    had(("widening", "widening_factor"), lambda: widening_gain(vae, test, budget.draws, seed))
    had(("simulated", "sbc", "tarp"), lambda: simulated_calibration(vae, test, seed=seed))
    had(("noise_gain", "noise_factor"), lambda: noise_gain(best, data, train, test, budget.draws, seed))
    had(("residual_gain", "noise_share"), lambda: residuals(best, train, test, seed))
    had(
        ("log_p", "log_p_test"),
        lambda: tuple(
            evidence.iwae(best, of_x_alone(rows), draws=budget.draws, seed=seed, memory=memory)
            for rows in (train, test)
        ),
    )
    if "log_p" in found:
        log_p, log_p_test = found.pop("log_p"), found.pop("log_p_test")
        had(("generalisation",), lambda: (generalisation(log_p, log_p_test),))
        if identity is not None:
            had(("looseness",), lambda: (looseness(identity.log_p, log_p_test),))
        had(("classic", "classic_name"), lambda: beyond_classics(vae, data, train, log_p, seed))
    had(("objective", "bounds_by_design", "remarks"), lambda: objective_above_elbo(vae, test, objective, seed))
    condition = ("condition", "condition_held", "condition_shown", "decoder_reads")
    had(condition, lambda: condition_lost(vae, data, test, seed))
    found.pop("used", None)
    return Symptoms(**found, missing=missing)


def _best(vae: VAE, parts: Sequence[Examples], budget: SymptomBudget, seed: int) -> VAE:
    """The model with the best q of each of these examples, or as it is where q cannot be fitted to one."""
    try:
        rows, how = joined([part.batch() for part in parts]), {"steps": budget.steps, "draws": 1, "seed": seed}
        return refine(vae, rows, refine_draws=budget.refine_draws, **how).vae
    except CapabilityError:
        return vae


def joined(batches: Sequence[Batch]) -> Batch:
    """Batches of one data set as one."""
    context = {name: torch.cat([one.context[name] for one in batches]) for name in batches[0].context}
    seen = [one.seen for one in batches if one.seen is not None]
    index, x = (torch.cat([getattr(one, name) for one in batches]) for name in ("index", "x"))
    return Batch(x, index, context=context, seen=torch.cat(seen) if seen else None)


def _of_records(
    identity: IdentityRecord | None, context: ContextRecord | None, missing: dict[str, str]
) -> dict[str, Any]:
    """What identity and context have measured."""
    found: dict[str, Any] = {"used": None}
    if identity is None:
        of_gap = ("gap", "amortisation", "approximation", "looseness")
        missing |= dict.fromkeys(of_gap, "There is no identity log p(x) − ELBO of this model.")
    else:
        found["gap"] = _number(identity.total)
        for name, part in (("amortisation", identity.amortisation), ("approximation", identity.approximation)):
            found[name] = None if part is None else _number(part)
        if identity.amortisation is None:
            reason = "q cannot be fitted to one example, as where its layers read one another."
            missing |= dict.fromkeys(("amortisation", "approximation"), reason)
    if context is None:
        names = ("rate", "information", "units", "idle", "prior_gap", "samples")
        missing |= dict.fromkeys(names, "The context was not measured.")
        return found
    found["rate"] = Number(context.rate.mean, context.rate.se_total, context.rate.n)
    if context.latents is not None and context.latents.kl is not None:
        idle = [kl < IDLE and not active for kl, active in zip(context.latents.kl, context.latents.active, strict=True)]
        found |= {"units": len(idle), "idle": sum(idle), "used": tuple(not one for one in idle)}
    else:
        missing |= dict.fromkeys(("units", "idle"), "The KL of a single unit has no closed form here.")
    for name, record in (
        ("information", context.information and context.information.value),
        ("prior_gap", context.prior_gap and context.prior_gap.low),
        ("samples", context.samples and context.samples.difference),
    ):
        found[name] = record
        if record is None:
            missing[name] = "The audit's context does not have it, and says why."
    return found


def _number(estimate: Estimate) -> Number:
    return Number(estimate.mean, estimate.se_total, len(estimate))
