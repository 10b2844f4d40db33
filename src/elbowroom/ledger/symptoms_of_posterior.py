"""Symptoms of the encoder, by weighted annealed draws of the true posterior of real examples."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from elbowroom.evidence import Target
from elbowroom.evidence.importance import log_mean_of_parts
from elbowroom.evidence.looks import annealed_runs
from elbowroom.evidence.memory import Memory
from elbowroom.numerics import Rows, derived_seed
from elbowroom.records import Number
from elbowroom.vae import VAE

__all__ = ["Annealing", "annealed_posterior", "coverage_of", "mean_and_error"]

NOMINAL = 0.9
"""Share of q that the intervals hold whose coverage is measured."""
_RANKED = 400  # draws of q that an interval is read off
_RANKS = 0xC0F  # a stream of its own


class Annealing(Protocol):
    """How long the chains are, and how many."""

    @property
    def temperatures(self) -> int: ...
    @property
    def chains(self) -> int: ...
    @property
    def leapfrog(self) -> int: ...


def annealed_posterior(
    vae: VAE, best: VAE, rows: Rows, budget: Annealing, used: Sequence[bool] | None, seed: int, memory: Memory
) -> tuple[Number, Number]:
    """How far the true posterior is from the prior, in nats, and by how many points the intervals of q miss it.

    Parameters
    ----------
    vae : VAE
        With the encoder that is judged.
    best : VAE
        The same p with the best q that there is, from which the chains start.
    rows : Rows
        Real examples.
    budget : Annealing
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
    """
    start = "both" if best is vae else "posterior"  # the best q has looked around already
    judged, rates, missed = vae.target(rows, seed=seed), [], []
    counted = torch.tensor(used) if used is not None and any(used) else slice(None)
    for run in annealed_runs(
        best.target(rows, seed=seed), start, "sigmoid", budget.temperatures, budget.chains, budget.leapfrog, seed, memory
    ):
        z, weights = run.run.state.z, run.run.log_weights.softmax(0)
        log_p = log_mean_of_parts(run.run.log_weights.split(run.begun.chains), run.begun.shares).value
        rates.append((weights * run.begun.target.log_likelihood(z)).sum(0) - log_p)
        inside = coverage_of(judged.rows(run.places), z, weights, derived_seed(seed, _RANKS))
        missed.append(100 * (NOMINAL - inside[:, counted].mean(1)))
    return mean_and_error(torch.cat(rates)), mean_and_error(torch.cat(missed))


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
    return Number(float(numbers.mean()), float(numbers.std(ddof=1) / np.sqrt(n)) if n > 1 else None)
