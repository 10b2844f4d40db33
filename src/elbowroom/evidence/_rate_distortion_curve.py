"""How much a decoder could say about x at every distortion: an upper bound on its rate function, by annealing."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from elbowroom.distributions import require
from elbowroom.numerics import Budget, Direction, Estimate, InputError, count, derived_seed, one_of
from elbowroom.numerics.streams import CURVE_PILOT
from elbowroom.progress import Progress
from elbowroom.sampling.annealing import Moment, Path, anneal, pilot, pilot_transitions
from elbowroom.sampling.schedules import AnnealingPlan, Pilot, check_settings
from elbowroom.vae import VAE

from .annealed import PILOT_CHAINS, draw_start, in_groups, transition_noise
from .memory import MEMORY, Memory
from .target import Target, capability, subject_of

__all__ = ["Distortion", "RateDistortionCurve", "rate_distortion_curve"]

Distortion = Literal["negative log-likelihood", "squared error"] | Callable[[Tensor, Tensor], Tensor]
"""A word, or x̂ [chains, batch, *event] and x [1, batch, *event] → distortions [chains, batch], differentiable in x̂."""

_LOWEST = 100.0  # temperatures begin about this many times below the first beta


@dataclass(frozen=True)
class RateDistortionCurve:
    """Points of the curve: `betas` [n], ascending, and at each the rate (nats) and the distortion, Estimates over x.

    Printed: a line per beta. All points come from one run, so errors go up and down together along the curve.
    """

    betas: NDArray[np.float64]
    rates: tuple[Estimate, ...]
    distortions: tuple[Estimate, ...]

    def __str__(self) -> str:
        rows = zip(self.betas, self.rates, self.distortions, strict=True)
        lines = (f"β {b:.4g}: rate {_words(r)} nats, distortion {_words(d)}" for b, r, d in rows)
        foot = ["upper bound on the rate function", self.rates[0].estimator, *self.rates[0].warnings]
        return "\n".join([*lines, "; ".join(foot)])


def rate_distortion_curve(
    model: VAE | Target,
    examples: Any = None,
    *,
    betas: Sequence[float],
    distortion: Distortion = "negative log-likelihood",
    temperatures: int = 500,
    chains: int = 16,
    leapfrog: int = 10,
    seed: int = 0,
    memory: Memory = MEMORY,
    progress: bool = False,
) -> RateDistortionCurve:
    """An upper bound on the decoder's rate function at its prior: the fewest nats about x that reach a distortion.

    One annealing run goes from p(z) towards p(z) exp(−β d(x, z)), and on its way notes at each of `betas` the rate
    −log Z_β − β D of the chains, resampled by their weights, with D their mean distortion. Whatever the encoder, no
    code with this prior and decoder needs more; at any number of temperatures the pair lies, in expectation, on or
    above the true curve, and many bring it down. Monte-Carlo variances are the jackknife's over chains.

    Parameters
    ----------
    model : VAE or Target
        A VAE with its examples, or a Target that has its own.
    examples : anything that has rows, optional
        Of the VAE: a part of a data set, a Batch, an array, a tensor or a frame [n, *event].
    betas : sequence of float
        Positive and ascending.
    distortion : str or callable, default "negative log-likelihood"
        −log p(x | z) in nats, so that β = 1 gives −log p(x) as rate + distortion; "squared error", summed over x; or a
        function of decoded means and x, these two on the scale that the likelihood sees.
    temperatures : int, default 500
        In all, spread by a pilot at equal steps in conditional effective sample size, with the betas between them.
    chains : int, default 16
        Per example, side by side.
    leapfrog : int, default 10
        Gradient evaluations of a transition.
    seed : int, default 0
        Keys all noise, by (seed, example).
    memory : int or str, default "1 GiB"
        Bytes, or words for them: a bound on what one pass holds. It changes no number beyond rounding.
    progress : bool, default False
        Whether standard error says how far it is.

    Returns
    -------
    RateDistortionCurve
        At each beta a rate (an upper bound) and a distortion (unbiased), Estimates [n].

    Raises
    ------
    InputError
        Where there is nothing to measure, a setting means nothing, or the memory does not hold one example.
    CapabilityError
        As for `ais`; for means of a Target without `decoded`.

    Source: Huang, Makhzani, Cao, Grosse, "Evaluating lossy compression rates of deep generative models", 2020.

    >>> from elbowroom import likelihoods, posteriors, priors
    >>> vae = VAE(priors.StandardNormal(1), posteriors.DiagonalNormal(torch.nn.Linear(2, 2), 1),
    ...           likelihoods.Normal(torch.nn.Linear(1, 2), 2))
    >>> batch = torch.ones(3, 2)
    >>> found = rate_distortion_curve(vae, batch, betas=[0.1, 10], distortion="squared error", temperatures=20)
    >>> [rate.direction for rate in found.rates], bool(found.rates[1].mean > found.rates[0].mean)
    (['upper', 'upper'], True)
    """
    began = time.monotonic()
    check_settings("rate_distortion_curve", temperatures, chains, leapfrog)
    wanted = torch.tensor(list(betas), dtype=torch.float64)
    if not len(wanted) or not (wanted > 0).all() or not (wanted.diff() > 0).all() or not wanted.isfinite().all():
        raise InputError(f"betas must be positive numbers, ascending; got {list(betas)}.")
    subject = subject_of(model, examples)
    target, found = subject.target(seed), []
    with Progress(f"rate and distortion, {temperatures} temperatures", len(target.index), progress) as bar:
        for part in in_groups(target, lambda part: _path(part, distortion), chains, memory):
            found.append(_along(part, distortion, wanted, temperatures, chains, leapfrog, seed))
            bar.advance(len(part.index))
    (rates, rate_variances, means, mean_variances), divergent = (torch.cat(c, -1) for c in zip(*found, strict=True))
    budget = Budget(chains, seed, time.monotonic() - began)
    name = distortion if isinstance(distortion, str) else getattr(distortion, "__name__", "distortion")

    def estimate(values: Tensor, variance: Tensor, quantity: str, direction: Direction, unit: str) -> Estimate:
        return Estimate.of(
            values,
            variance,
            target.index.cpu(),
            quantity=quantity,
            estimator=f"annealing over {temperatures:,} temperatures, {count(chains, 'chain')}",
            direction=direction,
            budget=budget,
            data=subject.data,
            unit=unit,
            divergent=divergent,
        )

    unit = "nats" if distortion == "negative log-likelihood" else name
    return RateDistortionCurve(
        wanted.numpy(),
        tuple(estimate(*row, "the rate function", "upper", "nats") for row in zip(rates, rate_variances, strict=True)),
        tuple(estimate(*row, name, "unbiased", unit) for row in zip(means, mean_variances, strict=True)),
    )


def _along(
    part: Target, distortion: Distortion, betas: Tensor, temperatures: int, chains: int, leapfrog: int, seed: int
) -> tuple[Float[Tensor, "4 betas batch"], Float[Tensor, "batch"]]:
    """Rate and its variance, distortion and its variance, at every beta of one run; and its divergent share."""
    path, z = _path(part, distortion), draw_start(part, "prior", chains, seed)
    betas = betas.to(z.device)
    plan = _plan(part, path, betas, temperatures, leapfrog, seed)
    found = torch.full((4, len(betas), len(part.index)), torch.nan, dtype=torch.float64, device=z.device)

    def note(moment: Moment) -> None:
        here = moment.beta == betas[:, None]
        if here.any():
            numbers = _rate_and_distortion(moment.log_weights, -moment.state.log_factors[1].double(), moment.beta)
            torch.where(here, numbers[:, None], found, out=found)

    run = anneal(path, z, plan, transition_noise(part, z, seed, len(plan.step_sizes)), note)
    return found.cpu(), run.divergent.cpu()


def _rate_and_distortion(
    log_weights: Float[Tensor, "chains batch"], distortion: Float[Tensor, "chains batch"], beta: Float[Tensor, "batch"]
) -> Float[Tensor, "4 batch"]:
    """Rate and its variance, distortion and its variance, the variances by the jackknife over chains.

    One chain, drawn by its weight, is a draw of z whose Kullback–Leibler divergence from the prior is at most
    E[−log w̄ − β d]: extend the space by all chains and the way they came, and marginalise.
    """

    def both(log_w: Tensor, count: int) -> Tensor:
        """[..., chains, batch] → [2, ..., batch]."""
        share = log_w.softmax(-2)
        mean = torch.where(share == 0, 0.0, share * distortion).sum(-2)
        return torch.stack([math.log(count) - log_w.logsumexp(-2) - beta * mean, mean])

    chains = len(log_weights)
    values = both(log_weights, chains)
    if chains == 1:
        return torch.stack([values, torch.full_like(values, torch.nan)], 1).flatten(0, 1)
    left_out = torch.eye(chains, dtype=torch.bool, device=log_weights.device).unsqueeze(-1)
    without = both(log_weights.masked_fill(left_out, -math.inf), chains - 1)
    return torch.stack([values, (chains - 1) * without.var(1, correction=0)], 1).flatten(0, 1)


def _plan(part: Target, path: Path, betas: Tensor, temperatures: int, leapfrog: int, seed: int) -> AnnealingPlan:
    """Temperatures at equal steps in conditional ESS by a pilot on other noise, and the wanted betas among them."""
    other = derived_seed(seed, CURVE_PILOT)
    top = betas[-1]
    bend = torch.log1p(_LOWEST * top / betas[0])  # even in β below betas[0] / 100, even in log β above

    def spaced(even: Tensor) -> Tensor:
        return top * torch.expm1(bend * even) / torch.expm1(bend)

    even = torch.linspace(0, 1, max(temperatures // 5, 50) + 1, dtype=torch.float64, device=top.device)
    z = draw_start(part, "prior", PILOT_CHAINS, other)
    found = pilot(path, z, spaced(even), transition_noise(part, z, other, pilot_transitions(len(even))), leapfrog)
    per_step = found.deviation * (bend * (bend * even).exp()).unsqueeze(-1)
    steps = Pilot(even, found.step_sizes, per_step).equal_steps(temperatures)
    between = betas[:-1, None].expand(-1, steps.shape[1])
    grid = torch.cat([spaced(steps).clamp(max=top), between]).sort(0).values
    grid[-1] = top
    return found.plan(grid, leapfrog)


def _path(target: Target, distortion: Distortion) -> Path:
    """From p(z) to p(z) exp(−β d)."""
    return Path(lambda z: (target.log_prior(z), -_distortion(target, z, distortion)), lambda b: (torch.ones_like(b), b))


def _distortion(target: Target, z: Tensor, distortion: Distortion) -> Tensor:
    """d(x, z), [chains, batch]."""
    if distortion == "negative log-likelihood":
        return -target.log_likelihood(z)
    p_x, x = capability(target, "decoded", "rate_distortion_curve")(z)
    require(p_x, "mean")
    if distortion == "squared error":
        return (x - p_x.mean).square().flatten(2).sum(-1)
    if not callable(distortion):
        words = ("negative log-likelihood", "squared error")
        one_of("distortion", distortion, words, otherwise="a function of x̂ and x")
    return distortion(p_x.mean, x)


def _words(estimate: Estimate) -> str:
    return f"{estimate.mean:.3f} ±{estimate.se_total:.3f}".replace("-", "−")
