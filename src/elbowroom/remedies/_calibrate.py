"""The noise scale or temperature that makes the ELBO greatest, with the networks as they are."""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from elbowroom.data import Dataset, Examples
from elbowroom.likelihoods import Likelihood
from elbowroom.numerics import CapabilityError, one_of, own_modes, plain_arguments
from elbowroom.vae import VAE
from elbowroom.vae.terms import log_likelihood

from .draws_of_q import MOST, passes, residuals_of
from .remedied import Remedied, remedied

__all__ = ["Calibration", "calibrate"]

_SEARCHED, _FEWEST = 2_000_000, 100  # elements of x, and examples


@dataclass(frozen=True)
class Calibration(Remedied):
    """A calibrated model, which has the same networks and the same q, and its bounds on validation.

    Parameters
    ----------
    vae : VAE
        The new model.
    name : str
        What was chosen, in words.
    elbo_before : Estimate
        ELBO of the model as it was.
    elbo_after : Estimate
        ELBO of the new model.
    iwae_before : Estimate
        Importance-weighted bound of the model as it was.
    iwae_after : Estimate
        Importance-weighted bound of the new model.
    seconds : float
        What it took.
    what : {"noise scale", "temperature"}
        What was chosen.
    value : float
        The scale, on the scale of preprocessed x; or the factor on the logits.
    beaten : bool, default False
        Whether another remedy, tried in its place, won more.
    """

    what: str
    value: float


@own_modes
@plain_arguments
def calibrate(
    vae: VAE,
    data: Dataset,
    *,
    part: Literal["train", "validation"] = "train",
    draws: int = 64,
    seed: int = 0,
) -> Calibration:
    """Keep the networks, and choose the one noise scale or temperature of p(x | z) that makes the ELBO greatest.

    Parameters
    ----------
    vae : VAE
        A trained model, which stays as it is.
    data : Dataset
        At most 10,000 examples choose the value; the bounds reported are on validation.
    part : {"train", "validation"}, default "train"
        Which examples choose it. An overfitted model is surer of its training examples than it may be of others, and
        one number is soon chosen: what it gains by being chosen on the examples that are measured is about half a nat
        over their number.
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
    InputError
        For another part.
    CapabilityError
        For likelihoods with a scale per element or of z, which training calibrates, and for families (counts, Beta)
        whose spread is no single number.

    Notes
    -----
    A Normal, Laplace or Student's t likelihood with one scale gets the best one over training data and q, or its floor
    where that is higher; whether it is fixed or learned stays as it was. A rounded Normal or logistic has no closed
    form, and gets it by a search over at most two million elements of x. For the Normal σ² = E ‖y − μ(z)‖² / D, so that
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
    one_of("part", part, ("train", "validation"))
    since, what = time.monotonic(), vae.likelihood.calibrates
    rows = data.train[:MOST] if part == "train" else data.validation.some(MOST)
    after = copy.deepcopy(vae).eval()
    likelihood: Any = after.likelihood
    if what == "noise scale":
        likelihood = after.likelihood = likelihood.at_scale(_best_scale(vae, rows, seed))
        value = likelihood.common_scale().item() if isinstance(likelihood.scale, str) else likelihood.scale
    elif what == "temperature":
        value = _best_temperature(vae, rows, seed)
        after.likelihood = likelihood.at_temperature(value)
    else:
        raise CapabilityError(
            f"This {type(likelihood).__name__} likelihood has no one scale or temperature to choose, and a scale per "
            f"element or of z is calibrated by its training; calibrate is for a Normal, Laplace or StudentT, rounded "
            f"or not, with one scale, and for the logits of a Bernoulli, ContinuousBernoulli or Categorical."
        )
    found: Calibration = remedied(
        Calibration,
        f"{what} {value:.4g}" + (" (by validation)" if part == "validation" else ""),
        vae,
        after,
        data,
        draws=draws,
        seed=seed,
        since=since,
        more={"what": what, "value": value},
    )
    return found


def _residuals(vae: VAE, examples: Examples, seed: int) -> Tensor:
    """x − location of p(x | z), as preprocessed, of every element that is seen, float64."""
    parts = residuals_of(vae, examples, seed)
    return torch.cat([off.flatten() if seen is None else off[seen] for off, _, seen in parts])


def _best_scale(vae: VAE, examples: Examples, seed: int) -> float:
    """The scale at which the bound is greatest, in closed form where the family has one."""
    likelihood: Any = vae.likelihood
    if likelihood.best_scale is not None:
        return float(likelihood.best_scale(_residuals(vae, examples, seed)))
    few = examples[: max(_FEWEST, _SEARCHED // math.prod(likelihood.event))]
    return _greatest(vae, few, seed, lambda scale, raw: (likelihood.at_scale(scale), raw))


def _best_temperature(vae: VAE, examples: Examples, seed: int) -> float:
    """The factor on the logits at which the bound is greatest."""
    return _greatest(vae, examples, seed, lambda factor, raw: (vae.likelihood, tuple(factor * part for part in raw)))


_Raw = tuple[Tensor, ...]


@torch.no_grad()
def _greatest(vae: VAE, examples: Examples, seed: int, at: Callable[[float, _Raw], tuple[Likelihood, _Raw]]) -> float:
    """The number at which these examples are likeliest at a draw of q, by a search in one dimension."""
    from scipy.optimize import minimize_scalar

    likelihood, at_draws = vae.likelihood, []
    for terms in passes(vae, examples, seed):
        given = {**terms.z, **terms.context}
        raw = tuple(part.double() for part in likelihood.parameters_from(given, likelihood.parts))
        at_draws.append((raw, given, terms.y.double(), terms.seen))

    def distortion(log_number: float) -> float:
        number, total = math.exp(log_number), 0.0
        for raw, given, y, seen in at_draws:
            family, numbers = at(number, raw)
            total -= log_likelihood(family.distribution(numbers, given), y, seen).sum().item()
        return total

    found = minimize_scalar(distortion, bounds=(math.log(1e-3), math.log(1e3)), method="bounded")
    return math.exp(float(found.x))
