"""Symptoms of the encoder, by weighted annealed draws of the true posterior of real examples."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from elbowroom.evidence import Target
from elbowroom.evidence.importance import log_mean_of_parts
from elbowroom.evidence.looks import annealed_runs
from elbowroom.evidence.memory import Memory
from elbowroom.numerics import CapabilityError, Rows, derived_seed, in_parts
from elbowroom.records import Number
from elbowroom.vae import VAE
from elbowroom.vae.evaluating import evaluating

from .symptoms_budget import SymptomBudget

__all__ = ["annealed_posterior", "coverage_of", "mean_and_error", "widening_gain"]

NOMINAL = 0.9
"""Share of q that the intervals hold whose coverage is measured."""
_FACTORS = (1.0, 1.15, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0)  # by which spreads are multiplied
_RANKED = 400  # draws of q that an interval is read off
_RANKS = 0xC0F  # a stream of its own


def annealed_posterior(
    vae: VAE, best: VAE, rows: Rows, budget: SymptomBudget, used: Sequence[bool] | None, seed: int, memory: Memory
) -> tuple[Number, Number]:
    """How far the true posterior is from the prior, in nats, and by how many points the intervals of q miss it.

    Parameters
    ----------
    vae : VAE
        With the encoder that is judged.
    best : VAE
        The same p with the best q that there is, from which half of the chains start, the others from p(z).
    rows : Rows
        Real examples.
    budget : SymptomBudget
        How long the chains are, and how many.
    used : sequence of bool or None
        Units whose intervals count; None, or none at all: all of them.
    seed : int
        Keys all noise.
    memory : int or str
        Of a pass.

    Returns
    -------
    tuple of Number
        KL(p(z | x) ‖ p(z)), and 90 minus the coverage in points.

    Raises
    ------
    CapabilityError
        Where z cannot be annealed, or the budget has no example for it.
    """
    if not len(rows):
        raise CapabilityError("Annealing to the true posterior is left out of this audit, for want of time.")
    judged, rates, missed = vae.target(rows, seed=seed), [], []
    counted = _in_order_of_z(vae, used) if used is not None and any(used) else slice(None)
    for run in annealed_runs(
        best.target(rows, seed=seed),
        "both",  # the best q may be of one mode among several
        "sigmoid",
        budget.temperatures,
        budget.chains,
        budget.leapfrog,
        seed,
        memory,
    ):
        z, weights = run.run.state.z, run.run.log_weights.softmax(0)
        log_p = log_mean_of_parts(run.run.log_weights.split(run.begun.chains), run.begun.shares).value
        rates.append((weights * run.begun.target.log_likelihood(z)).sum(0) - log_p)
        inside = coverage_of(judged.rows(run.places), z, weights, derived_seed(seed, _RANKS))
        missed.append(100 * (NOMINAL - inside[:, counted].mean(1)))
    return mean_and_error(torch.cat(rates)), mean_and_error(torch.cat(missed))


def _in_order_of_z(vae: VAE, used: Sequence[bool]) -> Tensor:
    """Which numbers of a flat z count, [dim]: units are told in the order of q's blocks, and z is in that of p's."""
    sizes = {name: math.prod(block.event) for name, block in vae.posterior.items()}
    of_block = dict(zip(sizes, torch.tensor(used).split(list(sizes.values())), strict=True))
    return torch.cat([of_block[name] for name in vae.prior])


@torch.no_grad()
def coverage_of(
    target: Target, z: Float[Tensor, "chains batch dim"], weights: Float[Tensor, "chains batch"], seed: int
) -> Float[Tensor, "batch dim"]:
    """The share of weighted draws that the central 90 % interval of q(z | x) holds, by example and dimension.

    Parameters
    ----------
    target : Target
        The model whose q is judged, at its examples.
    z : Tensor
        Draws of the true posterior, [chains, batch, dim].
    weights : Tensor
        Their weights, [chains, batch], which sum to 1.
    seed : int
        Keys the draws of q that the interval is read off.

    Returns
    -------
    Tensor
        [batch, dim], between 0 and 1.
    """
    drawn = target.draw_posterior(_RANKED, seed)[0]
    rank = torch.stack([(drawn < one).float().mean(0) for one in z])  # [chains, batch, dim]
    inside = (rank > (1 - NOMINAL) / 2) & (rank < (1 + NOMINAL) / 2)
    return (weights.unsqueeze(-1) * inside).sum(0)


@torch.no_grad()
def widening_gain(vae: VAE, rows: Rows, draws: int, seed: int) -> tuple[Number, float]:
    """What one factor on all spreads of q, 1 or more, would win of the ELBO, and that factor.

    Parameters
    ----------
    vae : VAE
        With the encoder that is judged.
    rows : Rows
        Examples.
    draws : int
        Of z, for each.
    seed : int
        Keys the noise, the same at every factor.

    Returns
    -------
    tuple of Number and float
        The gain in nats, chosen on the same examples, and the factor.

    Raises
    ------
    CapabilityError
        Where q is no normal, or reads draws of another block: more noise would not widen it.
    """
    for name, block in vae.posterior.items():
        if "normal" not in block.form or set(block.given) & set(vae.posterior):
            raise CapabilityError(f"Block {name!r} of q is not a normal that one factor could widen.")
    bounds = {factor: _widened(vae, rows, draws, seed, factor) for factor in _FACTORS}
    best = max(bounds, key=lambda factor: float(bounds[factor].mean()))
    return mean_and_error(bounds[best] - bounds[1.0]), best


def _widened(vae: VAE, rows: Rows, draws: int, seed: int, factor: float) -> Float[Tensor, "n"]:
    """ELBO of q with all its spreads multiplied: its entropy grows by the logarithm, whatever the draws."""
    found = []
    with evaluating(vae):
        for part in in_parts(rows):
            noise = vae.keyed_noise(draws, part.index, seed)
            wide = {name: value if name == "x" else factor * value for name, value in noise.items()}
            at_one, terms = vae(part, noise, lay_out=False), vae(part, wide, lay_out=False)
            log_q = sum(at_one.log_posterior.values(), torch.zeros(())) - vae.latents * math.log(factor)
            log_p = sum(terms.log_prior.values(), terms.log_likelihood)
            found.append((log_p - log_q).mean(0))
    return torch.cat(found)


def mean_and_error(values: Tensor | NDArray[np.float64]) -> Number:
    """The mean over examples, with its standard error.

    Parameters
    ----------
    values : Tensor or array
        [n].

    Returns
    -------
    Number
        The error is None of one example.
    """
    numbers = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values, dtype=np.float64)
    n = len(numbers)
    return Number(float(numbers.mean()), float(numbers.std(ddof=1) / np.sqrt(n)) if n > 1 else None, n)
