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
from elbowroom.numerics import (
    Budget,
    Direction,
    Estimate,
    InputError,
    count,
    derived_seed,
    one_of,
    own_modes,
    plain_arguments,
)
from elbowroom.numerics.streams import CURVE_PILOT
from elbowroom.progress import Progress
from elbowroom.sampling.annealing import Moment, Path, anneal, pilot, pilot_transitions
from elbowroom.sampling.schedules import AnnealingPlan, Pilot, check_settings
from elbowroom.vae import VAE

from .annealed import LEAST_POINTS, PILOT_CHAINS, draw_start, in_groups, transition_noise
from .memory import MEMORY, Memory
from .target import Target, capability, subject_of

__all__ = ["Distortion", "RateDistortionCurve", "rate_distortion_curve"]

Distortion = Literal["negative log-likelihood", "squared error"] | Callable[[Tensor, Tensor], Tensor]
"""A word, or x̂ [chains, batch, *event] and x [1, batch, *event] → distortions [chains, batch], differentiable in x̂."""

_LOWEST = 100.0  # temperatures begin about this many times below the first beta


@dataclass(frozen=True)
class RateDistortionCurve:
    """An upper bound on the rate at several distortions, from `rate_distortion_curve`.

    Printed: a line per β. All points come from one run, so their errors go up and down together along the curve.

    Parameters
    ----------
    betas : NDArray[np.float64]
        The β of each point, ascending.
    rates : tuple of Estimate
        The rate at each β, [n], in nats, direction "upper".
    distortions : tuple of Estimate
        The distortion at each β, [n], in the unit of the distortion.
    """

    betas: NDArray[np.float64]
    rates: tuple[Estimate, ...]
    distortions: tuple[Estimate, ...]

    def __str__(self) -> str:
        rows = zip(self.betas, self.rates, self.distortions, strict=True)
        lines = (f"β {b:.4g}: rate {_mean_and_error(r)} nats, distortion {_mean_and_error(d)}" for b, r, d in rows)
        foot = ["upper bound on the rate function", self.rates[0].estimator, *self.rates[0].warnings]
        return "\n".join([*lines, "; ".join(foot)])

    __repr__ = __str__


@own_modes
@plain_arguments
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
    """The fewest nats about x that any encoder needs to reach a distortion, given prior and decoder: an upper bound.

    Unlike `rate_distortion` this does not use the model's own encoder, so it shows what the decoder could do with a
    better one. In expectation each point lies on or above the true rate–distortion curve, and more `temperatures` bring
    it down.

    Parameters
    ----------
    model : VAE or Target
        The model. A VAE needs `examples`; a `Target`, any other model, brings its own.
    examples : array, tensor, DataFrame, Batch or part of a data set, default None
        The x to estimate for, one row per example, [n, *event], on the scale of the data that the VAE was trained on.
        Required for a VAE; left out for a Target.
    betas : sequence of float
        Where the curve is evaluated, positive and ascending: at each β it has slope −β (nats per unit of distortion).
    distortion : {"negative log-likelihood", "squared error"} or callable, default "negative log-likelihood"
        −log p(x | z) in nats, so that at β = 1 rate + distortion is −log p(x); the squared error of the decoded mean,
        summed over x; or a function of decoded means x̂ [chains, batch, *event] and x [1, batch, *event] that gives
        distortions [chains, batch], differentiable in x̂, both on the scale that the likelihood sees.
    temperatures : int, default 500
        Annealing steps in all, which a pilot run spreads over the betas. More take longer and tighten the bound.
    chains : int, default 16
        Annealing chains per example; run in parallel.
    leapfrog : int, default 10
        Leapfrog steps, one gradient each, in a Hamiltonian transition.
    seed : int, default 0
        Seed of all noise. An example's noise depends on the seed and its place in the data set only, so results do not
        depend on how examples are batched.
    memory : int or str, default "1 GiB"
        How much memory a pass through the model may take: bytes, or words such as "500 MB". Results do not depend on it
        beyond rounding.
    progress : bool, default False
        Whether to show progress on standard error.

    Returns
    -------
    RateDistortionCurve
        At each β a rate (an upper bound, in nats) and a distortion (unbiased, in its own unit), Estimates [n].

    Raises
    ------
    InputError
        If there are no examples, a setting is out of range, or `memory` does not hold one example.
    CapabilityError
        As for `ais`; for "squared error" or a function, also if the likelihood has no mean or a Target no `decoded`.

    Notes
    -----
    One annealing run goes from p(z) towards p(z) exp(−β d(x, z)). When it reaches one of `betas`, D is the mean
    distortion of its chains, weighted by their importance weights, and the rate is −log Z_β − β D. Temperatures are
    spread at equal steps in conditional effective sample size. Monte-Carlo variances are the jackknife's over chains.

    References
    ----------
    Huang, Makhzani, Cao & Grosse, "Evaluating lossy compression rates of deep generative models" (2020).

    Examples
    --------
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
    with Progress(f"rate and distortion, {temperatures} temperatures", len(target.index), show=progress) as bar:
        for part in in_groups(target, lambda part: _path(part, distortion), chains, memory):
            found.append(_anneal_group(part, distortion, wanted, temperatures, chains, leapfrog, seed))
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


def _anneal_group(
    part: Target, distortion: Distortion, betas: Tensor, temperatures: int, chains: int, leapfrog: int, seed: int
) -> tuple[Float[Tensor, "4 betas batch"], Float[Tensor, "batch"]]:
    """Rate and its variance, distortion and its variance, at each beta of a run; its share of divergent transitions."""
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
    return found.cpu(), run.divergent.sum(0).mean(0).cpu()


def _rate_and_distortion(
    log_weights: Float[Tensor, "chains batch"], distortion: Float[Tensor, "chains batch"], beta: Float[Tensor, "batch"]
) -> Float[Tensor, "4 batch"]:
    """Rate and its variance, distortion and its variance, the variances by the jackknife over chains.

    A chain drawn by its weight is a draw of z whose Kullback–Leibler divergence from the prior is at most
    E[−log w̄ − β d]: augment the space with all chains and their histories, then marginalise.
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
    """Temperatures at equal steps in conditional ESS, by a pilot run on other noise, with the betas among them."""
    other = derived_seed(seed, CURVE_PILOT)
    top = betas[-1]
    bend = torch.log1p(_LOWEST * top / betas[0])  # even in β below betas[0] / 100, even in log β above

    def spaced(even: Tensor) -> Tensor:
        return top * torch.expm1(bend * even) / torch.expm1(bend)

    even = torch.linspace(0, 1, max(temperatures // 5, LEAST_POINTS) + 1, dtype=torch.float64, device=top.device)
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
    seen = getattr(target, "seen", None)
    mean = p_x.mean if seen is None else torch.where(seen, p_x.mean, x)  # where nothing is seen, nothing is distorted
    if distortion == "squared error":
        return (x - mean).square().flatten(2).sum(-1)
    if not callable(distortion):
        words = ("negative log-likelihood", "squared error")
        one_of("distortion", distortion, words, otherwise="a function of x̂ and x")
    return distortion(mean, x)


def _mean_and_error(estimate: Estimate) -> str:
    return f"{estimate.mean:.3f} ±{estimate.se_total:.3f}".replace("-", "−")
