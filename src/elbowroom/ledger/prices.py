"""What the remedies that train no decoder would win, on test."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from elbowroom import evidence
from elbowroom.data import Dataset
from elbowroom.evidence.memory import Memory
from elbowroom.numerics import CapabilityError, Estimate, InputError, with_error
from elbowroom.records import Number, PriceRecord
from elbowroom.remedies import Remedied, calibrate, refine_inference, refit_prior, structured_residual
from elbowroom.vae import VAE

from .aggregate import chosen

__all__ = ["PriceBudget", "prices"]

_RANK, _BATCH = 10, 100


class PriceBudget(NamedTuple):
    """How much pricing may cost.

    Attributes
    ----------
    train : int
        Training examples that a remedy reads.
    validation : int
        Validation examples, by which it chooses.
    test : int
        Test examples on which its gain is measured.
    draws : int
        Of z, for each.
    components : int, optional
        Gaussians of the prior that is refitted; None where validation chooses.
    steps : int
        Of a hundred examples, that q is trained for with p as it is; 0 leaves it out.
    widest : int
        Elements of x up to which the covariance of residuals is fitted, whose cost grows with their cube.
    """

    train: int
    validation: int
    test: int
    draws: int
    components: int | None
    steps: int
    widest: int = 4_096


def prices(
    vae: VAE, data: Dataset, budget: PriceBudget, *, seed: int, memory: Memory
) -> tuple[tuple[PriceRecord, ...], list[str]]:
    """What each remedy would win, and a sentence for each that this model cannot have.

    Parameters
    ----------
    vae : VAE
        The model.
    data : Dataset
        A remedy reads some training and validation examples; its gain is of test examples.
    budget : PriceBudget
        How many.
    seed : int
        Of all noise, and of which examples are taken.
    memory : int or str
        Of a pass.

    Returns
    -------
    tuple of (tuple of PriceRecord) and list of str
        The prices, and what is missing and why.
    """
    small = replace(
        data,
        train=chosen(data.train, budget.train, seed),
        validation=chosen(data.validation, budget.validation, seed),
        test=chosen(data.test, budget.test, seed),
    )

    many = replace(small, train=chosen(data.train, _BATCH * budget.steps, seed))

    def bounds(model: VAE) -> tuple[Estimate, Estimate, Estimate]:
        return evidence.rate_distortion(model, small.test, draws=budget.draws, seed=seed, memory=memory)

    found, missing, before = [], [], bounds(vae)
    for name, remedy in _REMEDIES.items():
        start = time.monotonic()
        try:
            remedied = remedy(vae, many if name in _TRAINED else small, budget, seed)
            rate, distortion, gain = (new - old for new, old in zip(bounds(remedied.vae), before, strict=True))
        except (CapabilityError, InputError) as error:
            missing.append(f"The price of {name}: {str(error).rstrip('.')}.")
            continue
        number, *moved = (Number(one.mean, one.se_total) for one in (gain, rate, distortion))
        wins = "would win" if number.value > gain.se_total else "would win nothing:"
        what = remedied.name if remedied.name.startswith(name) else f"{name} ({remedied.name})"
        after = f" after {budget.steps:,} steps" if name in _TRAINED else ""
        said = f"{what}{after} {wins} {with_error(number.value, number.se)} nats of the ELBO on test."
        found.append(PriceRecord(name, number, len(gain), time.monotonic() - start, said, *moved))
    return tuple(found), missing


def _calibrate(vae: VAE, data: Dataset, budget: PriceBudget, seed: int) -> Remedied:
    return calibrate(vae, data, draws=budget.draws, seed=seed)


def _structured_residual(vae: VAE, data: Dataset, budget: PriceBudget, seed: int) -> Remedied:
    size = math.prod(vae.likelihood.event)
    if size > budget.widest:
        raise CapabilityError(f"left out of this audit, as a covariance of {size:,} elements takes too long to fit")
    rank = min(_RANK, size - 1)
    return structured_residual(vae, data, rank=rank, draws=budget.draws, seed=seed)


def _refit_prior(vae: VAE, data: Dataset, budget: PriceBudget, seed: int) -> Remedied:
    return refit_prior(vae, data, components=budget.components, draws=budget.draws, seed=seed)


def _refine_inference(vae: VAE, data: Dataset, budget: PriceBudget, seed: int) -> Remedied:
    if not budget.steps:
        raise CapabilityError("left out of this audit, for want of time")
    how: dict[str, Any] = {"epochs": max(1, round(_BATCH * budget.steps / len(data.train))), "batch_size": _BATCH}
    try:
        return refine_inference(vae, data, **how, draws=budget.draws, seed=seed)
    except CapabilityError:  # no flow can take the place of this q
        return refine_inference(vae, data, kind="encoder", **how, draws=budget.draws, seed=seed)


_TRAINED = ("refine_inference",)
_REMEDIES: dict[str, Callable[[VAE, Dataset, PriceBudget, int], Remedied]] = {
    "calibrate": _calibrate,
    "structured_residual": _structured_residual,
    "refit_prior": _refit_prior,
    "refine_inference": _refine_inference,
}
