"""Context of the encoder: its calibration on pairs that the model simulates, where the truth is known.

Enough pairs reject every Gaussian q of a model that is not linear, and what q does on simulated x it need not do on
real ones, so that no verdict is reached from these.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from elbowroom.numerics import Rows, derived_seed
from elbowroom.records import Number
from elbowroom.vae import VAE

from .symptoms_of_posterior import NOMINAL

__all__ = ["expected_coverage", "rank_test", "simulated_calibration"]

_DRAWS, _BINS = 200, 30
_PAIRS, _REFERENCES = 0x5BC, 0x7A2  # streams of their own


class Simulated(NamedTuple):
    """The encoder on simulated pairs.

    Attributes
    ----------
    coverage : Number
        90 minus the coverage of the central 90 % intervals of q, in points.
    sbc : float
        Least p of a Kolmogorov–Smirnov test of the ranks' uniformity, by unit, times the number of units.
    tarp : Number
        Greatest distance of the expected coverage from the credibility, in points.
    """

    coverage: Number
    sbc: float
    tarp: Number


@torch.no_grad()
def simulated_calibration(vae: VAE, rows: Rows, *, seed: int) -> Simulated:
    """Simulation-based calibration and TARP coverage of q(z | x), on as many simulated pairs as there are examples.

    Parameters
    ----------
    vae : VAE
        The model.
    rows : Rows
        Examples, whose number and contexts the pairs have.
    seed : int
        Of the pairs, and of the draws of q.

    Returns
    -------
    Simulated
        Three numbers; none of them judges.

    References
    ----------
    Talts, Betancourt, Simpson, Vehtari & Gelman, "Validating Bayesian inference algorithms with simulation-based
    calibration" (2018).
    Lemos, Coogan, Hezaveh & Perreault-Levasseur, "Sampling-based accuracy testing of posterior estimators for general
    inference" (2023).
    """
    generator = Generator(vae.device).manual_seed(derived_seed(seed, _PAIRS))
    target, truth = vae.target(rows, seed=seed).simulate(generator)
    drawn = target.draw_posterior(_DRAWS, derived_seed(seed, _PAIRS))[0]
    ranks = (drawn < truth).sum(0)
    inside = (ranks / _DRAWS > (1 - NOMINAL) / 2) & (ranks / _DRAWS < (1 + NOMINAL) / 2)
    by_pair = 100 * (NOMINAL - inside.double().mean(1))
    n, generator = len(by_pair), Generator().manual_seed(derived_seed(seed, _REFERENCES))
    spread = truth[0].std(0).clamp_min(1e-12)
    references = truth[0].mean(0) + spread * torch.randn(truth[0].shape, generator=generator).to(truth)
    expected, credibility = expected_coverage(drawn / spread, truth[0] / spread, references / spread)
    away = 100 * float(np.abs(expected - credibility).max())
    return Simulated(
        Number(float(by_pair.mean()), float(by_pair.std()) / math.sqrt(n)),
        min(1.0, min(rank_test(ranks, _DRAWS)) * ranks.shape[1]),
        Number(away, 100 * 0.5 / math.sqrt(n)),
    )


def rank_test(ranks: Int64[Tensor, "pairs dim"], draws: int) -> list[float]:
    """p that the ranks of the truth among draws are uniform, by dimension (Kolmogorov–Smirnov).

    Parameters
    ----------
    ranks : Tensor
        How many draws lie below the truth, [pairs, dim].
    draws : int
        Of how many.

    Returns
    -------
    list of float
        One p for each dimension.
    """
    from scipy.stats import kstest, uniform

    return [float(kstest(own.cpu().numpy(), uniform(0, draws).cdf)[1]) for own in ranks.T]


def expected_coverage(
    drawn: Float[Tensor, "draws pairs dim"], truth: Float[Tensor, "pairs dim"], references: Float[Tensor, "pairs dim"]
) -> tuple[Float[np.ndarray, "points"], Float[np.ndarray, "points"]]:
    """TARP: how often the truth is nearer to a random reference than a share of the draws is, by that share.

    Parameters
    ----------
    drawn : Tensor
        Draws of q, [draws, pairs, dim].
    truth : Tensor
        What the pairs came from, [pairs, dim].
    references : Tensor
        A point for each pair, drawn without regard to the truth, [pairs, dim].

    Returns
    -------
    tuple of array
        Expected coverage and credibility, [points], both from 0 to 1; equal where q is the posterior.
    """
    nearer = (drawn - references).norm(dim=-1) < (truth - references).norm(dim=-1)
    share = nearer.double().mean(0).cpu().numpy()
    counts, edges = np.histogram(share, bins=_BINS, range=(0.0, 1.0))
    return np.concatenate([[0.0], np.cumsum(counts) / len(share)]), edges
