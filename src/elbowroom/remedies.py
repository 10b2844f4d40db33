"""Remedies: a model and its data in, a better model out, with what it cost and won."""

import copy
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from elbowroom import distributions, evidence
from elbowroom.data import Dataset, Examples
from elbowroom.likelihoods import Bernoulli, Categorical, ContinuousBernoulli, Laplace, Likelihood, Normal, StudentT
from elbowroom.networks import tempered
from elbowroom.numerics import Batch, CapabilityError, Estimate
from elbowroom.vae import VAE
from elbowroom.vae.model import evaluating

__all__ = ["Calibration", "calibrate"]

_ROWS_AT_ONCE = 1_000
_MOST = 10_000
_EM_STEPS = 200


@dataclass(frozen=True)
class Calibration:
    """A calibrated model and what changed, on validation, in nats per example.

    vae: a new model with the same networks and q; what: "noise scale" (`value` is the scale) or "temperature" (`value`
    multiplies the logits); elbo_*, iwae_*: bounds before and after. The bound at the new noise is a bound on log p(x)
    of the new model, whatever weight β the networks were trained with.
    """

    vae: VAE
    what: str
    value: float
    elbo_before: Estimate
    elbo_after: Estimate
    iwae_before: Estimate
    iwae_after: Estimate

    @property
    def gap_opened(self) -> Estimate:
        """By how much more IWAE exceeds the ELBO after than before: what q, frozen, loses against the new posterior."""
        return (self.iwae_after - self.elbo_after) - (self.iwae_before - self.elbo_before)

    def __str__(self) -> str:
        won, gap = self.elbo_after - self.elbo_before, self.gap_opened
        return (
            f"{self.what} {self.value:.4g}: ELBO {self.elbo_before.mean:.1f} → {self.elbo_after.mean:.1f} nats "
            f"({won.mean:+.1f} ± {won.se_total:.1f}); the gap to IWAE changed by {gap.mean:+.1f} ± {gap.se_total:.1f}"
        )


def calibrate(vae: VAE, data: Dataset, *, draws: int = 64, seed: int = 0) -> Calibration:
    """Keep the networks and choose the noise that makes the training bound greatest, with q frozen.

    A Normal, Laplace or Student's t likelihood with one scale gets the best one over training data and q: for the
    Normal σ² = E ‖y − μ(z)‖² / D, so that a model trained at σ = 1 with weight β has the noise it was trained to have,
    as β-weighting *is* σ² = β for a Gaussian. The logits of a Bernoulli, continuous Bernoulli or Categorical get a
    temperature, found by one-dimensional search; their normaliser depends on it, so no equivalence to β is claimed.
    draws, seed: of the bounds reported. The training bound uses at most 10,000 training examples. Raises
    CapabilityError for likelihoods that choose their own scale per element or per z, and for families (counts, Beta)
    whose spread is no single number.
    Source: Rybkin, Daniilidis & Levine, "Simple and effective VAE training with calibrated decoders", 2021; Lucas et
    al., "Don't blame the ELBO!", 2019.
    """
    rows = data.train[:_MOST]
    likelihood = vae.likelihood
    if isinstance(likelihood, Normal | Laplace | StudentT) and likelihood.scale not in ("predicted", "feature"):
        what, value = "noise scale", _best_scale(vae, rows, seed)
    elif isinstance(likelihood, Bernoulli | ContinuousBernoulli | Categorical):
        what, value = "temperature", _best_temperature(vae, rows, seed)
    else:
        raise CapabilityError(
            f"This {type(likelihood).__name__} likelihood has no one scale or temperature to choose, and a scale per "
            f"element or of z is calibrated by its training; calibrate is for a Normal, Laplace or StudentT with one "
            f"scale, and for the logits of a Bernoulli, ContinuousBernoulli or Categorical."
        )
    after = copy.deepcopy(vae)
    after.likelihood = _calibrated(after.likelihood, value)
    bounds = [
        kind(model, data.validation, draws=draws, seed=seed)
        for kind in (evidence.elbo, evidence.iwae)
        for model in (vae, after)
    ]
    return Calibration(after.eval(), what, value, *bounds)


def _calibrated(old: Any, value: float) -> Likelihood:
    """The likelihood made anew, with its network, at another scale or temperature."""
    network, event, given = old.network, old.event, old.given
    match old:
        case Normal() | Laplace():
            return type(old)(network, event, value, given=given)
        case StudentT():
            return StudentT(network, event, value, old.degrees().item(), given=given)
        case Bernoulli():
            return Bernoulli(tempered(network, value), event, given, old.unnormalised)
        case Categorical():
            return Categorical(tempered(network, value), event, old.levels, old.ordered, given)
    return ContinuousBernoulli(tempered(network, value), event, given)


@torch.no_grad()
def _drawn(vae: VAE, examples: Examples, seed: int, what: str) -> list[tuple[Tensor, Tensor]]:
    """Per pass: a parameter of p(x | z) at a draw of q, [rows × elements], or a row of logits for each; and y."""
    pairs = []
    with evaluating(vae):
        for start in range(0, len(examples), _ROWS_AT_ONCE):
            batch: Batch = examples[start : start + _ROWS_AT_ONCE].batch()
            terms = vae(batch, vae.keyed_noise(1, batch.index, seed), lay_out=False)
            number, y = getattr(terms.p_x.base_dist, what)[0], terms.y[0]
            pairs.append((number.flatten(0, y.dim() - 1).double(), y.flatten().double()))
    return pairs


def _best_scale(vae: VAE, examples: Examples, seed: int) -> float:
    """Where the bound is greatest: in closed form, and for Student's t by its EM algorithm."""
    left = torch.cat([y - location for location, y in _drawn(vae, examples, seed, "loc")])
    if isinstance(vae.likelihood, Laplace):
        return left.abs().mean().item()
    square = left.square()
    if isinstance(vae.likelihood, Normal):
        return math.sqrt(square.mean().item())
    df, variance = vae.likelihood.degrees().item(), square.median()  # type: ignore[operator]
    for _ in range(_EM_STEPS):
        variance = ((df + 1) * square / (df + square / variance)).mean()
    return math.sqrt(variance.item())


def _best_temperature(vae: VAE, examples: Examples, seed: int) -> float:
    from scipy.optimize import minimize_scalar

    pairs = _drawn(vae, examples, seed, "logits")

    def distortion(log_factor: float) -> float:
        factor = math.exp(log_factor)
        return sum(_loss(vae.likelihood, factor * logits, y).sum().item() for logits, y in pairs) / len(examples)

    found = minimize_scalar(distortion, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return math.exp(float(found.x))


def _loss(likelihood: Likelihood, logits: Tensor, y: Tensor) -> Tensor:
    """−log p(y) per element at these logits, nats."""
    if isinstance(likelihood, Bernoulli):
        return nn.functional.binary_cross_entropy_with_logits(logits, y, reduction="none")
    if isinstance(likelihood, Categorical):
        return nn.functional.cross_entropy(logits, y.long(), reduction="none")
    return -distributions.ContinuousBernoulli(logits).log_prob(y)
