"""Remedies: a model and its data in, a better model out, with what it cost and won."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from elbowroom import evidence
from elbowroom.data import Dataset, Examples
from elbowroom.likelihoods import Bernoulli, Likelihood, Normal
from elbowroom.networks import tempered
from elbowroom.numerics import Batch, CapabilityError, Estimate
from elbowroom.vae import VAE
from elbowroom.vae.model import evaluating

__all__ = ["Calibration", "calibrate"]

_ROWS_AT_ONCE = 1_000
_MOST = 10_000


@dataclass(frozen=True)
class Calibration:
    """A calibrated model and what changed, on validation, in nats per example.

    vae: a new model with the same networks and q; what: "noise scale" (`value` is σ) or "temperature" (`value`
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

    A Normal likelihood with one scale gets σ² = E ‖y − μ(z)‖² / D over training data and q, in closed form: then a
    model trained at σ = 1 with weight β has the noise it was trained to have, as β-weighting *is* σ² = β for a
    Gaussian. A Bernoulli's logits get a temperature, found by one-dimensional search; its normaliser depends on it, so
    no equivalence to β is claimed. draws, seed: of the bounds reported. The training bound uses at most 10,000
    training examples. Raises CapabilityError for likelihoods that choose their own scale per element or per z.
    Source: Rybkin, Daniilidis & Levine, "Simple and effective VAE training with calibrated decoders", 2021; Lucas et
    al., "Don't blame the ELBO!", 2019.
    """
    rows = data.train[:_MOST]
    if isinstance(vae.likelihood, Normal) and vae.likelihood.scale not in ("predicted", "feature"):
        what, value = "noise scale", math.sqrt(_mean_square(vae, rows, seed))
        after = _with_likelihood(vae, lambda network, old: Normal(network, old.event, value, given=old.given))
    elif isinstance(vae.likelihood, Bernoulli):
        what, value = "temperature", _best_temperature(vae, rows, seed)
        after = _with_likelihood(vae, lambda network, old: Bernoulli(tempered(network, value), old.event, old.given))
    else:
        raise CapabilityError(
            f"A {type(vae.likelihood).__name__} likelihood that learns its own scale is calibrated by its training; "
            f"calibrate is for a Normal with one scale and for a Bernoulli."
        )
    bounds = [
        kind(model, data.validation, draws=draws, seed=seed)
        for kind in (evidence.elbo, evidence.iwae)
        for model in (vae, after)
    ]
    return Calibration(after.eval(), what, value, *bounds)


def _with_likelihood(vae: VAE, made: Callable[[nn.Module, Likelihood], Likelihood]) -> VAE:
    """A copy of the model whose likelihood is made anew from the old one and its network."""
    after = copy.deepcopy(vae)
    assert after.likelihood.network is not None
    after.likelihood = made(after.likelihood.network, after.likelihood)
    return after


@torch.no_grad()
def _drawn(vae: VAE, examples: Examples, seed: int) -> list[tuple[Tensor, Tensor]]:
    """Per pass: what the decoder's network returns at a draw of q, and y, [rows, elements] each."""
    pairs = []
    with evaluating(vae):
        for start in range(0, len(examples), _ROWS_AT_ONCE):
            batch: Batch = examples[start : start + _ROWS_AT_ONCE].batch()
            terms = vae(batch, vae.keyed_noise(1, batch.index, seed), lay_out=False)
            base = terms.p_x.base_dist if hasattr(terms.p_x, "base_dist") else terms.p_x
            natural = base.logits if isinstance(vae.likelihood, Bernoulli) else terms.p_x.mean
            pairs.append((natural[0].flatten(1).double(), terms.y[0].flatten(1).double()))
    return pairs


def _mean_square(vae: VAE, examples: Examples, seed: int) -> float:
    pairs = _drawn(vae, examples, seed)
    total = sum((y - mean).square().sum().item() for mean, y in pairs)
    return total / sum(y.numel() for _, y in pairs)


def _best_temperature(vae: VAE, examples: Examples, seed: int) -> float:
    from scipy.optimize import minimize_scalar

    pairs = _drawn(vae, examples, seed)

    def distortion(log_factor: float) -> float:
        factor = math.exp(log_factor)
        loss = nn.functional.binary_cross_entropy_with_logits
        return sum(loss(factor * logits, y, reduction="sum").item() for logits, y in pairs) / len(examples)

    found = minimize_scalar(distortion, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return math.exp(float(found.x))
