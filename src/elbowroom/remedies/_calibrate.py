"""The noise scale or temperature that makes the ELBO greatest, with the networks as they are."""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from elbowroom import evidence
from elbowroom.data import Dataset, Examples
from elbowroom.numerics import CapabilityError, Estimate, plain_arguments
from elbowroom.vae import VAE, Terms
from elbowroom.vae.evaluating import evaluating
from elbowroom.vae.terms import log_likelihood

__all__ = ["Calibration", "calibrate"]

_ROWS_AT_ONCE = 1_000
_MOST = 10_000


@dataclass(frozen=True)
class Calibration:
    """A calibrated model, and its bounds on validation before and after, in nats per example.

    Parameters
    ----------
    vae : VAE
        A new model with the same networks and the same q.
    what : {"noise scale", "temperature"}
        What was chosen.
    value : float
        The scale, on the scale of preprocessed x; or the factor on the logits.
    elbo_before : Estimate
        ELBO of the model as it was.
    elbo_after : Estimate
        ELBO of the new model: a bound on its own log p(x), whatever β the networks were trained with.
    iwae_before : Estimate
        Importance-weighted bound of the model as it was.
    iwae_after : Estimate
        Importance-weighted bound of the new model.
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
        """How much further IWAE lies above the ELBO than before: what q, unchanged, loses against the new posterior."""
        return (self.iwae_after - self.elbo_after) - (self.iwae_before - self.elbo_before)

    def __str__(self) -> str:
        won, gap = self.elbo_after - self.elbo_before, self.gap_opened
        return (
            f"{self.what} {self.value:.4g}: ELBO {self.elbo_before.mean:.1f} → {self.elbo_after.mean:.1f} nats "
            f"({won.mean:+.1f} ± {won.se_total:.1f}); the gap to IWAE changed by {gap.mean:+.1f} ± {gap.se_total:.1f}"
        )


@plain_arguments
def calibrate(vae: VAE, data: Dataset, *, draws: int = 64, seed: int = 0) -> Calibration:
    """Keep the networks, and choose the one noise scale or temperature of p(x | z) that makes the ELBO greatest.

    Parameters
    ----------
    vae : VAE
        A trained model, which stays as it is.
    data : Dataset
        At most 10,000 training examples choose the value; the bounds reported are on validation.
    draws : int, default 64
        Of z, per example, for the bounds reported.
    seed : int, default 0
        Keys all noise, by (seed, example).

    Returns
    -------
    Calibration
        The new model and its bounds before and after.

    Raises
    ------
    CapabilityError
        For likelihoods with a scale per element or of z, which training calibrates, and for families (counts, Beta)
        whose spread is no single number.

    Notes
    -----
    A Normal, Laplace or Student's t likelihood with one scale gets the best one over training data and q, or its floor
    where that is higher; whether it is fixed or learned stays as it was. For the Normal σ² = E ‖y − μ(z)‖² / D, so that
    a model trained at σ = 1 with weight β gets the noise that it was trained for: for a Gaussian, β-weighting is σ² =
    β. The logits of a Bernoulli, continuous Bernoulli or Categorical get a temperature, found by search in one
    dimension; their normaliser depends on it, so it is no equivalent of β.

    References
    ----------
    Rybkin, Daniilidis & Levine, "Simple and Effective VAE Training with Calibrated Decoders" (2021).
    Lucas, Tucker, Grosse & Norouzi, "Don't Blame the ELBO! A Linear VAE Perspective on Posterior Collapse" (2019).

    Examples
    --------
    >>> import elbowroom as er
    >>> digits = er.load_data("digits")
    >>> words = {"latents": 2, "widths": [8], "likelihood": {"kind": "normal", "scale": 1.0}}
    >>> vae = er.models.build(words, digits)
    >>> found = calibrate(vae, digits, draws=2)
    >>> found.what, found.value < 1, found.elbo_after.mean > found.elbo_before.mean
    ('noise scale', True, True)
    """
    rows, what = data.train[:_MOST], vae.likelihood.calibrates
    after = copy.deepcopy(vae).eval()
    likelihood: Any = after.likelihood
    if what == "noise scale":
        likelihood = after.likelihood = likelihood.at_scale(likelihood.best_scale(_residuals(vae, rows, seed)))
        value = likelihood.common_scale().item() if isinstance(likelihood.scale, str) else likelihood.scale
    elif what == "temperature":
        value = _best_temperature(vae, rows, seed)
        after.likelihood = likelihood.at_temperature(value)
    else:
        raise CapabilityError(
            f"This {type(likelihood).__name__} likelihood has no one scale or temperature to choose, and a scale per "
            f"element or of z is calibrated by its training; calibrate is for a Normal, Laplace or StudentT with one "
            f"scale, and for the logits of a Bernoulli, ContinuousBernoulli or Categorical."
        )
    bounds = [
        kind(model, data.validation, draws=draws, seed=seed)
        for kind in (evidence.elbo, evidence.iwae)
        for model in (vae, after)
    ]
    return Calibration(after, what, value, *bounds)


@torch.no_grad()
def _passes(vae: VAE, examples: Examples, seed: int) -> Iterator[Terms]:
    """One draw of q for each example, a thousand examples at a time."""
    with evaluating(vae):
        for start in range(0, len(examples), _ROWS_AT_ONCE):
            batch = examples.rows(slice(start, start + _ROWS_AT_ONCE))
            yield vae(batch, vae.keyed_noise(1, batch.index, seed), lay_out=False)


def _residuals(vae: VAE, examples: Examples, seed: int) -> Tensor:
    """x − location of p(x | z), as preprocessed, of every element that is seen, float64."""
    left = []
    for terms in _passes(vae, examples, seed):
        off = (terms.y - terms.p_x.base_dist.loc).double()  # type: ignore[attr-defined]
        left.append(off.flatten() if terms.seen is None else off[terms.seen.expand_as(off)])
    return torch.cat(left)


@torch.no_grad()
def _best_temperature(vae: VAE, examples: Examples, seed: int) -> float:
    """The factor on the logits at which the bound is greatest, by a search in one dimension."""
    from scipy.optimize import minimize_scalar

    likelihood, passes = vae.likelihood, []
    for terms in _passes(vae, examples, seed):
        given = {**terms.z, **terms.context}
        raw = tuple(part.double() for part in likelihood.parameters_from(given, likelihood.parts))
        passes.append((raw, given, terms.y.double(), terms.seen))

    def distortion(log_factor: float) -> float:
        factor = math.exp(log_factor)
        total = 0.0
        for raw, given, y, seen in passes:
            p_x = likelihood.distribution(tuple(factor * part for part in raw), given)
            total -= log_likelihood(p_x, y, seen).sum().item()
        return total

    found = minimize_scalar(distortion, bounds=(math.log(1e-3), math.log(1e3)), method="bounded")
    return math.exp(float(found.x))
