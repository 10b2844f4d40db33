"""Annealing from a density that can be drawn from to another, by Hamiltonian Monte Carlo, with frozen settings."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from . import hmc
from .hmc import TransitionNoise
from .schedules import AnnealingPlan, Pilot

__all__ = ["Annealed", "Moment", "Outcome", "Path", "anneal", "annealing", "pilot", "pilot_transitions"]

_AIM = 0.7  # acceptance; anything from 0.6 to 0.9 is about as good (Beskos et al., 2013)
_WARM_UP = 20
_TURNS = 2  # of the pilot, at every temperature but the first
_GAIN = 0.4  # of acceptance on the pilot's log step size, after the warm-up
_FORGETTING = 0.2  # of the pilot's variances, per transition
_GRAIN = 32.0  # log step sizes are multiples of 1 / 32


class Path(NamedTuple):
    """log f_β(z) = Σ coefficients(β) · log_factors(z), linear in β.

    log_factors: z [chains, batch, dim] → tensors [chains, batch]; coefficients: β [batch] → one [batch] per log_factor.
    """

    log_factors: Callable[[Tensor], tuple[Tensor, ...]]
    coefficients: Callable[[Tensor], tuple[Tensor, ...]]


class Moment(NamedTuple):
    """An annealing run just after it reached `beta` [batch].

    log_weights [chains, batch], float64, up to here; increments [chains, batch]: this step's part of them; state:
    after the transition that leaves f_β as it is; diagnostics: of that transition, None at the last β, which has none.
    """

    beta: Float[Tensor, "batch"]
    log_weights: Float[Tensor, "chains batch"]
    increments: Float[Tensor, "chains batch"]
    state: hmc.State
    diagnostics: hmc.Diagnostics | None


class Outcome(NamedTuple):
    """What is kept of a run, on the CPU: log-weights, and the share of the transitions that diverged."""

    log_weights: Float[Tensor, "chains batch"]
    divergent: Float[Tensor, "batch"]


class Annealed(NamedTuple):
    """A whole run. log_weights [chains, batch]: exp of them is unbiased for the ratio of normalisers, last to first.

    acceptance [transitions, batch]: mean over chains; increment_variance [temperatures, batch]: of the log-weights'
    increments over chains (NaN for one chain); divergent [batch]: share of the transitions.
    """

    log_weights: Float[Tensor, "chains batch"]
    acceptance: Float[Tensor, "transitions batch"]
    increment_variance: Float[Tensor, "temperatures batch"]
    divergent: Float[Tensor, "batch"]

    @property
    def outcome(self) -> Outcome:
        """What a bound needs of it."""
        return Outcome(self.log_weights.cpu(), self.divergent.cpu())


def annealing(
    path: Path, z: Float[Tensor, "chains batch dim"], plan: AnnealingPlan, noise: Iterable[TransitionNoise]
) -> Iterator[Moment]:
    """The run from exact draws z of the plan's first density, moment by moment.

    Before each transition the log-weight gains log f_β' − log f_β; there is a transition at every temperature but the
    first and the last. noise: one for each of them.
    Source: Neal, "Annealed importance sampling", 2001.
    """
    state, noise = hmc.init(path.log_factors, z), iter(noise)
    log_weights = torch.zeros_like(state.log_factors[0], dtype=torch.float64)
    last = len(plan.betas) - 1
    for step in range(1, last + 1):
        now, before = path.coefficients(plan.betas[step]), path.coefficients(plan.betas[step - 1])
        increments = hmc.weighted(state.log_factors, tuple(a - b for a, b in zip(now, before, strict=True)))
        log_weights = log_weights + increments
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
    """The whole run, collected; `watch` sees each moment as it passes. Arguments as for `annealing`."""
    acceptance, variances, divergent = [], [], []
    for moment in annealing(path, z, plan, noise):
        variances.append(moment.increments.var(0) if len(z) > 1 else torch.full_like(moment.beta, torch.nan))
        if moment.diagnostics is not None:
            acceptance.append(moment.diagnostics.acceptance.mean(0))
            divergent.append(moment.diagnostics.divergent.double().mean(0))
        watch(moment)
    return Annealed(moment.log_weights, torch.stack(acceptance), torch.stack(variances), torch.stack(divergent).mean(0))


def pilot(
    path: Path,
    z: Float[Tensor, "chains batch dim"],
    betas: Float[Tensor, "points"],
    noise: Iterator[TransitionNoise],
    leapfrog: int,
) -> Pilot:
    """A run whose step sizes follow each example's chains: their acceptance, and their width in each dimension.

    It is not to be measured. z: draws of the first density; noise: of `pilot_transitions(len(betas))`
    transitions, other than any measured run takes.
    """
    state = hmc.init(path.log_factors, z)
    variance = z.var(0)
    log_size = torch.zeros_like(state.log_factors[0][0], dtype=torch.float64)
    one = torch.ones_like(log_size)
    slopes = tuple(a - b for a, b in zip(path.coefficients(one), path.coefficients(0 * one), strict=True))
    sizes, deviation = [], []
    for point, beta in enumerate(betas):
        for gain in [_GAIN] * _TURNS if point else torch.linspace(1.0, _GAIN, _WARM_UP).tolist():
            size = _on_grid(log_size.unsqueeze(-1) + 0.5 * variance.double().clamp(1e-20, 1e20).log()).exp().to(z)
            state, diagnostics = hmc.step(
                path.log_factors, state, next(noise), size, leapfrog, path.coefficients(beta * one)
            )
            log_size = _on_grid(log_size + gain * (diagnostics.acceptance.mean(0) - _AIM))
            variance = torch.lerp(variance, state.z.var(0), _FORGETTING)
        state = _living(state)
        sizes.append(size)
        deviation.append(hmc.weighted(state.log_factors, slopes).std(0).nan_to_num(0.0))
    return Pilot(betas.to(z.device), torch.stack(sizes), torch.stack(deviation))


def _living(state: hmc.State) -> hmc.State:
    """The chains; one where a density is zero begins again where another chain is, as it would say nothing."""
    dead = ~torch.stack(state.log_factors).isfinite().all(0)
    if not dead.any():
        return state
    own = torch.arange(len(dead), device=dead.device).unsqueeze(-1)
    living_first, living = dead.int().argsort(dim=0, stable=True), (~dead).sum(0).clamp(min=1)
    source = torch.where(dead, living_first.gather(0, own % living), own)

    def taken(values: Tensor) -> Tensor:
        return values.gather(0, source.view(*source.shape, *[1] * (values.dim() - 2)).expand_as(values))

    return hmc.State(taken(state.z), tuple(map(taken, state.log_factors)), tuple(map(taken, state.gradients)))


def pilot_transitions(points: int) -> int:
    """How many transitions a pilot run over so many temperatures makes."""
    return _TURNS * (points - 1) + _WARM_UP


def _on_grid(log_size: Tensor) -> Tensor:
    """Rounded, so that a rounding error does not grow through the pilot's feedback."""
    return (log_size * _GRAIN).round() / _GRAIN
