"""Annealing from a density that can be drawn from to another, by Hamiltonian Monte Carlo with fixed settings."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from . import hmc
from .hmc import TransitionNoise
from .resampling import Resampling
from .schedules import AnnealingPlan, Pilot

__all__ = [
    "AIM",
    "Annealed",
    "Moment",
    "Path",
    "PilotRun",
    "anneal",
    "annealing",
    "on_grid",
    "pilot",
    "pilot_run",
    "pilot_transitions",
]

AIM = 0.7  # acceptance aimed at; anything from 0.6 to 0.9 is about as good (Beskos et al., 2013)
_WARM_UP = 20  # transitions of the pilot at the first temperature, unless told otherwise
_TURNS = 2  # and at every other
_GAIN = 0.4  # how strongly acceptance moves the pilot's log step size after the warm-up
_FORGETTING = 0.2  # weight of the newest variance in the pilot's running one
_GRAIN = 32.0  # log step sizes are multiples of 1 / 32


class Path(NamedTuple):
    """Densities between two, by their logs: log f_β(z) = Σ coefficients(β) · log_factors(z), linear in β.

    Parameters
    ----------
    log_factors : callable
        Takes z [chains, batch, dim] and returns a tuple of tensors [chains, batch], in nats.
    coefficients : callable
        Takes β [batch] and returns a tuple of tensors [batch], one for each log-factor.
    """

    log_factors: Callable[[Tensor], tuple[Tensor, ...]]
    coefficients: Callable[[Tensor], tuple[Tensor, ...]]


class Moment(NamedTuple):
    """An annealing run just after it reached an inverse temperature β.

    Parameters
    ----------
    beta : Tensor
        β of each example, [batch].
    log_weights : Tensor
        The log-weights up to here, [chains, batch], float64, in nats.
    increments : Tensor
        What this step added to them, [chains, batch].
    state : State
        The chains, after the transition at β.
    diagnostics : Diagnostics or None
        How that transition went; None at the last β, which has none.
    """

    beta: Float[Tensor, "batch"]
    log_weights: Float[Tensor, "chains batch"]
    increments: Float[Tensor, "chains batch"]
    state: hmc.State
    diagnostics: hmc.Diagnostics | None


class Annealed(NamedTuple):
    """A finished annealing run.

    Parameters
    ----------
    log_weights : Tensor
        The final log-weights, [chains, batch], in nats: exp of them is unbiased for the ratio of the normalising
        constants, last density to first.
    acceptance : Tensor
        Mean acceptance probability over chains, [transitions, batch].
    increment_variance : Tensor
        Variance over chains of what each step adds to the log-weights, [temperatures, batch], in nats²; NaN for one
        chain.
    divergent : Tensor
        Share of each chain's transitions that diverged and were its first, third, … or its second, fourth, …,
        [2, chains, batch]: a plan may have step sizes of two kinds in turn.
    state : State
        Where the chains ended: weighed by exp(log_weights), draws of the last density.
    """

    log_weights: Float[Tensor, "chains batch"]
    acceptance: Float[Tensor, "transitions batch"]
    increment_variance: Float[Tensor, "temperatures batch"]
    divergent: Float[Tensor, "2 chains batch"]
    state: hmc.State


def annealing(
    path: Path,
    z: Float[Tensor, "chains batch dim"],
    plan: AnnealingPlan,
    noise: Iterable[TransitionNoise],
    resampling: Resampling | None = None,
) -> Iterator[Moment]:
    """Anneal chains from the first density of a plan to the last, one temperature after another.

    Parameters
    ----------
    path : Path
        The densities.
    z : Tensor
        Exact draws of the first density, [chains, batch, dim].
    plan : AnnealingPlan
        Inverse temperatures and step sizes.
    noise : iterable of TransitionNoise
        One for each inverse temperature but the first and the last, where there is a transition.
    resampling : Resampling, optional
        Draws chains again by their weights after each change of temperature: for draws, where no constant is asked for.

    Yields
    ------
    Moment
        The run at each inverse temperature but the first. Before each transition the log-weights gain the change of log
        f_β.

    References
    ----------
    Neal, "Annealed importance sampling" (2001).
    """
    state, noise = hmc.init(path.log_factors, z), iter(noise)
    log_weights = torch.zeros_like(state.log_factors[0], dtype=torch.float64)
    last = len(plan.betas) - 1
    for step in range(1, last + 1):
        now, before = path.coefficients(plan.betas[step]), path.coefficients(plan.betas[step - 1])
        increments = hmc.weighted(state.log_factors, tuple(a - b for a, b in zip(now, before, strict=True)))
        log_weights = log_weights + increments
        if resampling is not None:
            state, log_weights = resampling(state, log_weights)
        diagnostics = None
        if step < last:
            size = plan.step_sizes[step - 1]
            state, diagnostics = hmc.step(path.log_factors, state, next(noise), size, plan.leapfrog, now)
        yield Moment(plan.betas[step], log_weights, increments, state, diagnostics)


def anneal(
    path: Path,
    z: Float[Tensor, "chains batch dim"],
    plan: AnnealingPlan,
    noise: Iterable[TransitionNoise],
    watch: Callable[[Moment], None] = lambda moment: None,
) -> Annealed:
    """Anneal chains from the first density of a plan to the last, and collect the run.

    Parameters
    ----------
    path : Path
        The densities.
    z : Tensor
        Exact draws of the first density, [chains, batch, dim].
    plan : AnnealingPlan
        Inverse temperatures and step sizes.
    noise : iterable of TransitionNoise
        One for each inverse temperature but the first and the last.
    watch : callable, optional
        Called with each Moment.

    Returns
    -------
    Annealed
        The finished run.
    """
    acceptance, variances = [], []
    divergent, seen = torch.zeros(2, *z.shape[:2], dtype=torch.float64, device=z.device), 0
    for moment in annealing(path, z, plan, noise):
        variances.append(moment.increments.var(0) if len(z) > 1 else torch.full_like(moment.beta, torch.nan))
        if moment.diagnostics is not None:
            acceptance.append(moment.diagnostics.acceptance.mean(0))
            divergent[seen % 2] += moment.diagnostics.divergent
            seen += 1
        watch(moment)
    return Annealed(moment.log_weights, torch.stack(acceptance), torch.stack(variances), divergent / seen, moment.state)


class PilotRun(NamedTuple):
    """What a pilot run found, and what became of its chains.

    Parameters
    ----------
    found : Pilot
        Step sizes at each inverse temperature.
    log_weights : Tensor
        What the chains' log-weights came to, [chains, batch], in nats: a look at what a run may find, but no estimate,
        as the step sizes were chosen by the same draws.
    state : State
        Where the chains ended.
    """

    found: Pilot
    log_weights: Float[Tensor, "chains batch"]
    state: hmc.State


def pilot(
    path: Path,
    z: Float[Tensor, "chains batch dim"],
    betas: Float[Tensor, "points"],
    noise: Iterator[TransitionNoise],
    leapfrog: int,
) -> Pilot:
    """Find step sizes for an annealing run, by a trial run that adapts them to each example's chains.

    Parameters
    ----------
    path : Path
        The densities.
    z : Tensor
        Exact draws of the first density, [chains, batch, dim].
    betas : Tensor
        Inverse temperatures, ascending, [points].
    noise : iterator of TransitionNoise
        Noise of `pilot_transitions(len(betas))` transitions, used by no other run.
    leapfrog : int
        Leapfrog steps of a transition.

    Returns
    -------
    Pilot
        Step sizes at each inverse temperature.
    """
    return pilot_run(path, z, betas, noise, leapfrog).found


def pilot_run(
    path: Path,
    z: Float[Tensor, "chains batch dim"],
    betas: Float[Tensor, "points"],
    noise: Iterator[TransitionNoise],
    leapfrog: int,
    turns: int = _TURNS,
    warm_up: int = _WARM_UP,
) -> PilotRun:
    """Find step sizes for an annealing run, by a trial run that adapts them to each example's chains.

    Step sizes follow the acceptance of the chains, and their width in each dimension. As they depend on the draws, the
    log-weights of this run are not used.

    Parameters
    ----------
    path : Path
        The densities.
    z : Tensor
        Exact draws of the first density, [chains, batch, dim].
    betas : Tensor
        Inverse temperatures, ascending, [points].
    noise : iterator of TransitionNoise
        Noise of `pilot_transitions(len(betas), turns, warm_up)` transitions, used by no other run.
    leapfrog : int
        Leapfrog steps of a transition.
    turns : int, default 2
        Transitions at every inverse temperature but the first.
    warm_up : int, default 20
        Transitions at the first.

    Returns
    -------
    PilotRun
        Step sizes at each inverse temperature, and where the chains ended.
    """
    state = hmc.init(path.log_factors, z)
    log_weights = torch.zeros_like(state.log_factors[0], dtype=torch.float64)
    variance = z.var(0)
    log_size = torch.zeros_like(state.log_factors[0][0], dtype=torch.float64)
    one = torch.ones_like(log_size)
    slopes = tuple(a - b for a, b in zip(path.coefficients(one), path.coefficients(0 * one), strict=True))
    sizes, deviation = [], []
    for point, beta in enumerate(betas):
        if point:
            log_weights = log_weights + (beta - betas[point - 1]) * hmc.weighted(state.log_factors, slopes)
        for gain in [_GAIN] * turns if point else torch.linspace(1.0, _GAIN, warm_up).tolist():
            size = on_grid(log_size.unsqueeze(-1) + 0.5 * variance.double().clamp(1e-20, 1e20).log()).exp().to(z)
            state, diagnostics = hmc.step(
                path.log_factors, state, next(noise), size, leapfrog, path.coefficients(beta * one)
            )
            log_size = on_grid(log_size + gain * (diagnostics.acceptance.mean(0) - AIM))
            variance = torch.lerp(variance, state.z.var(0), _FORGETTING)
        state = _restart_dead(state)
        sizes.append(size)
        deviation.append(hmc.weighted(state.log_factors, slopes).std(0).nan_to_num(0.0))
    found = Pilot(betas.to(z.device), torch.stack(sizes), torch.stack(deviation))
    return PilotRun(found, log_weights, state)


def _restart_dead(state: hmc.State) -> hmc.State:
    """The chains, with any at a point of density zero moved to the place of another, as it would never move on."""
    dead = ~torch.stack(state.log_factors).isfinite().all(0)
    if not dead.any():
        return state
    own = torch.arange(len(dead), device=dead.device).unsqueeze(-1)
    living_first, living = dead.int().argsort(dim=0, stable=True), (~dead).sum(0).clamp(min=1)
    source = torch.where(dead, living_first.gather(0, own % living), own)

    def at_source(values: Tensor) -> Tensor:
        return values.gather(0, source.view(*source.shape, *[1] * (values.dim() - 2)).expand_as(values))

    return hmc.State(
        at_source(state.z), tuple(map(at_source, state.log_factors)), tuple(map(at_source, state.gradients))
    )


def pilot_transitions(points: int, turns: int = _TURNS, warm_up: int = _WARM_UP) -> int:
    """The number of transitions of a pilot run.

    Parameters
    ----------
    points : int
        Its number of inverse temperatures.
    turns : int, default 2
        Transitions at every one but the first.
    warm_up : int, default 20
        Transitions at the first.

    Returns
    -------
    int
        Transitions.

    Examples
    --------
    >>> pilot_transitions(50)
    118
    """
    return turns * (points - 1) + warm_up


def on_grid(log_size: Tensor) -> Tensor:
    """Rounded, so that a rounding error does not grow through the pilot's feedback."""
    return (log_size * _GRAIN).round() / _GRAIN
