"""What a model is wanted for, and how the models of a sweep are scored for it: the greater, the better."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elbowroom import evidence, metrics, remedies
from elbowroom.data import Dataset, Examples
from elbowroom.numerics import CapabilityError, Estimate, InputError, in_parts
from elbowroom.vae import VAE

from .swept import PASS, Swept

__all__ = ["GOALS", "Goal", "Scored", "target_scores"]

_DRAWS = 64
_MOST_SAMPLES = 2_000
_FEWEST_SAMPLES = 100
_MOST_ROWS = 10_000
_LEAST_SHARE = 1e-6


class Scored(NamedTuple):
    """The score of one model.

    Attributes
    ----------
    model : Swept
        The model, calibrated where that was asked for.
    value, se : float
        The score, of which more is better, and its standard error over held-out examples.
    by_example : array, optional
        [n], whose mean is the score; None where a score is not a mean over examples.
    """

    model: Swept
    value: float
    se: float
    by_example: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Goal:
    """One thing that a model may be wanted for.

    Parameters
    ----------
    words : str
        What its score is, with its unit, for people.
    score : callable
        (model, data or None, seed) → Scored.
    needs_data : bool
        Whether it cannot be scored without the data.
    """

    words: str
    score: Callable[[Swept, Dataset | None, int], Scored]
    needs_data: bool = False


def _of(model: Swept, bound: Estimate, factor: float = 1.0) -> Scored:
    return Scored(model, factor * bound.mean, abs(factor) * bound.se_total, factor * bound.values)


def _calibrated(model: Swept, data: Dataset | None, seed: int) -> Swept:
    """The model with the noise, or the temperature, at which its ELBO is greatest, where it has one and that pays."""
    if data is None:
        return model
    draws = model.iwae.budget.draws or _DRAWS
    try:
        found = remedies.calibrate(model.vae, data, draws=draws, seed=seed)
    except CapabilityError:
        return model
    if not found.gain.mean > found.gain.se_total:
        return model
    parts = evidence.rate_distortion(found.vae, data.validation, draws=draws, seed=seed, memory=PASS)
    label = f"{model.label}, {found.what} {found.value:.3g}"
    return replace(model, label=label, vae=found.vae, iwae=found.iwae_after, **parts._asdict())


def _density(model: Swept, data: Dataset | None, seed: int) -> Scored:
    model = _calibrated(model, data, seed)
    return _of(model, model.iwae)


def _compression(model: Swept, data: Dataset | None, seed: int) -> Scored:
    """−ELBO is what bits-back coding pays, in bits; IWAE would ask for a coder with as many draws."""
    model = _calibrated(model, data, seed)
    return _of(model, model.elbo, 1 / math.log(2))


def _samples(model: Swept, data: Dataset | None, seed: int) -> Scored:
    """How little a classifier tells samples from held-out data: minus its log-odds, 0 where it cannot."""
    assert data is not None
    held_out = data.validation.some(_MOST_SAMPLES)
    if len(held_out) < _FEWEST_SAMPLES:
        raise InputError(
            f"goal='samples' needs {_FEWEST_SAMPLES} validation examples or more, and there are {len(held_out)}: "
            f"give more by validation=, or choose by goal='density'."
        )
    batch = held_out.batch()
    if batch.seen is not None and not bool(batch.seen.all()):
        raise InputError(
            "goal='samples' compares whole rows, and cells are missing here, which samples have: choose by "
            "goal='density', which is of the cells that are seen."
        )
    given = {name: batch.context[name] for name in model.vae.context_names}
    drawn = model.vae.sample(len(batch.x), seed=seed, context=given).cpu().reshape(batch.x.shape)
    told = metrics.classifier_two_sample(batch.x, drawn, image_shape=data.image_shape, seed=seed)
    return Scored(model, -told.log_odds, told.se)


def _codes(vae: VAE, examples: Examples, seed: int) -> NDArray[np.float64]:
    blocks = [vae.encode(part, seed=seed) for part in in_parts(examples)]
    rows = [torch.cat([mean.flatten(1) for mean in means.values()], 1) for means in blocks]
    return torch.cat(rows).cpu().double().numpy()


def _classes(labels: Tensor) -> NDArray[np.int64]:
    return (labels.argmax(1) if labels.dim() > 1 else labels).cpu().numpy().astype(np.int64)


def _representation(model: Swept, data: Dataset | None, seed: int) -> Scored:
    """Log score of a logistic regression on the codes, by validation labels; without labels nats per active unit.

    Whether it is right would be one bit an example, by which models that differ are seldom told apart.
    """
    assert data is not None
    held_out, train = data.validation, data.train[: min(_MOST_ROWS, len(data.train))]
    if held_out.labels is None or train.labels is None:
        return _information(model)
    blocks = model.vae.posterior
    if "label" not in blocks and any("label" in block.given for block in blocks.values()):
        raise InputError(
            "goal='representation' asks codes for the labels, and q(z | x, label) is given them: choose by another "
            "goal, or train without that context."
        )
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2_000))
    probe.fit(_codes(model.vae, train, seed), _classes(train.labels))
    shares, kinds = probe.predict_proba(_codes(model.vae, held_out, seed)), _classes(held_out.labels)
    told = (shares * (probe.classes_ == kinds[:, None])).sum(1)  # 0 for a class that no training example has
    scores = np.log(np.maximum(told, _LEAST_SHARE))
    return Scored(model, float(scores.mean()), float(scores.std() / math.sqrt(len(scores))), scores)


def _information(model: Swept) -> Scored:
    """The rate, at most log n, by active unit: a bound on I(x; z) is all that the examples can show."""
    ceiling, units = math.log(len(model.rate)), max(model.active, 1)
    if model.rate.mean >= ceiling:
        return Scored(model, ceiling / units, 0.0, np.full(len(model.rate), ceiling / units))
    return _of(model, model.rate, 1 / units)


GOALS: Mapping[str, Goal] = {
    "density": Goal("importance-weighted bound on validation, in nats per example", _density),
    "compression": Goal("ELBO on validation, in bits per example: what bits-back coding pays", _compression),
    "samples": Goal("minus the nats by which a classifier tells samples from validation data", _samples, True),
    "representation": Goal(
        "log score of a logistic regression on the codes, in nats per validation label (without labels: nats of "
        "information per active unit)",
        _representation,
        True,
    ),
}
"""Name → what `choose` can choose for; "rate" and "distortion" are asked for with a target beside these."""


def target_scores(swept: Mapping[int, Swept], goal: str, target: float) -> dict[int, Scored]:
    """Of the models within a target rate, minus their distortion; within a target distortion, minus their rate.

    Parameters
    ----------
    swept : mapping of int to Swept
        With finite bounds, by their places.
    goal : {"rate", "distortion"}
        Which of the two is limited.
    target : float
        Its greatest value, in nats per example.

    Returns
    -------
    dict of int to Scored
        Of the models that stay within it, by their means.

    Raises
    ------
    InputError
        Where none does.
    """
    held: dict[str, tuple[str, str]] = {"rate": ("rate", "distortion"), "distortion": ("distortion", "rate")}
    limited, other = held[goal]
    within = {place: one for place, one in swept.items() if getattr(one, limited).mean <= target}
    if not within:
        known = [one for one in swept.values() if math.isfinite(getattr(one, limited).mean)]
        if not known:
            raise InputError(f"No model of the sweep has a finite {limited} on validation: lower the learning rate.")
        least: Any = min(known, key=lambda one: getattr(one, limited).mean)
        raise InputError(
            f"No model of the sweep has a {limited} of {target:g} nats or less; the least is "
            f"{getattr(least, limited).mean:.4g} of {least.label}: sweep over other β, or ask for more."
        )
    return {place: _of(one, getattr(one, other), -1.0) for place, one in within.items()}
