"""Hamiltonian Monte Carlo as a pure pair (init, step), over all chains and examples at once."""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from elbowroom.numerics import CapabilityError, keyed_normal
from elbowroom.numerics.noise import DRAW_BLOCK
from elbowroom.numerics.streams import TRANSITIONS

__all__ = [
    "Diagnostics",
    "TransitionNoise",
    "LogDensity",
    "State",
    "init",
    "keyed_transition_noise",
    "step",
    "weighted",
]

LogDensity = Callable[[Tensor], Tensor | tuple[Tensor, ...]]
"""z [chains, batch, dim] → log-density [chains, batch], or logs of its factors, to be weighed by coefficients."""

_DIVERGED = 1000.0  # nats of energy error, Stan's limit


class State(NamedTuple):
    """Where the chains are: z, and the log-density there as a sum of log-factors, with their gradients."""

    z: Float[Tensor, "chains batch dim"]
    log_factors: tuple[Float[Tensor, "chains batch"], ...]
    gradients: tuple[Float[Tensor, "chains batch dim"], ...]


class Diagnostics(NamedTuple):
    """How one transition went, [chains, batch] each.

    acceptance: the probability it had; divergent: whether the trajectory's energy error is above 1,000 nats or no
    number.
    """

    acceptance: Float[Tensor, "chains batch"]
    divergent: Bool[Tensor, "chains batch"]


class TransitionNoise(NamedTuple):
    """The noise of one transition: standard-normal momenta, the log of a uniform number on [0, 1], and a stretch.

    The step size is multiplied by the stretch, uniform on [1/2, 1]: trajectories of one length would come back to where
    they began in every direction whose period it is.
    """

    momentum: Float[Tensor, "chains batch dim"]
    log_uniform: Float[Tensor, "chains batch"]
    stretch: Float[Tensor, "chains batch"]


def init(log_density: LogDensity, z: Float[Tensor, "chains batch dim"]) -> State:
    """The state at z: one evaluation and its gradient. A log-density that is NaN counts as −inf.

    Raises CapabilityError where the log-density has no gradient in z.
    """
    z, log_factors = _evaluated(log_density, z)
    gradients = tuple(_gradient((log_factor,), z, keep=log_factor is not log_factors[-1]) for log_factor in log_factors)
    values = (log_factor.detach() for log_factor in log_factors)
    return State(z.detach(), tuple(torch.where(value.isnan(), -math.inf, value) for value in values), gradients)


def step(
    log_density: LogDensity,
    state: State,
    noise: TransitionNoise,
    step_size: Tensor | float,
    leapfrog: int,
    coefficients: tuple[Tensor, ...] | None = None,
) -> tuple[State, Diagnostics]:
    """One transition that leaves exp(Σ coefficients · log_factors) as it is, by `leapfrog` evaluations with gradients.

    step_size: broadcast to [chains, batch, dim], so it may differ between examples, or between dimensions (which is a
    diagonal mass matrix). coefficients: one [batch] per log-factor; None: all 1. Trajectories that leave the
    numbers are rejected, and nothing of them stays.
    Source: Neal, "MCMC using Hamiltonian dynamics", 2011; Mackenzie, "An improved hybrid Monte Carlo method", 1989.

    >>> state = init(lambda z: -0.5 * z.square().sum(-1), torch.zeros(4, 1, 2))
    >>> noise = next(keyed_transition_noise(chains=4, dim=2, index=torch.tensor([0]), seed=0, steps=1))
    >>> state, diagnostics = step(lambda z: -0.5 * z.square().sum(-1), state, noise, 0.1, leapfrog=10)
    >>> bool(diagnostics.acceptance.min() > 0.99), bool(diagnostics.divergent.any())
    (True, False)
    """
    sizes = step_size * noise.stretch.unsqueeze(-1)
    new, momentum, sound = _trajectory(log_density, state, noise.momentum, sizes, leapfrog, coefficients)
    before = weighted(state.log_factors, coefficients) - _kinetic(noise.momentum)
    after = weighted(new.log_factors, coefficients) - _kinetic(momentum)
    log_ratio = torch.where(sound & after.isfinite(), after - before, -math.inf)
    accepted = noise.log_uniform < log_ratio
    return _chosen(accepted, new, state), Diagnostics(log_ratio.clamp(max=0.0).exp(), log_ratio <= -_DIVERGED)


def weighted(log_factors: tuple[Tensor, ...], coefficients: tuple[Tensor, ...] | None) -> Float[Tensor, "chains batch"]:
    """Σ coefficients · log_factors in float64; a coefficient of 0 takes its log_factor out, were it infinite."""
    if coefficients is None:
        return torch.stack(log_factors).double().sum(0)
    return torch.stack([_times(c.double(), one) for c, one in zip(coefficients, log_factors, strict=True)]).sum(0)


def keyed_transition_noise(
    *,
    chains: int,
    dim: int,
    index: Int64[Tensor, "batch"],
    seed: int,
    steps: int,
    like: Tensor | None = None,
) -> Iterator[TransitionNoise]:
    """The noise of `steps` transitions, which depends only on (seed, example, step, chains, dim).

    like: a tensor whose device and floating type are taken.
    """
    for first in range(0, steps, DRAW_BLOCK):
        count = min(DRAW_BLOCK, steps - first)
        block = keyed_normal((chains, dim + 2), count, index, seed, first_draw=first, stream=TRANSITIONS)
        block = block if like is None else block.to(like)
        for noise in block:
            rows = noise.transpose(0, 1)
            stretch = 0.5 + 0.5 * torch.special.ndtr(rows[..., -2])
            yield TransitionNoise(rows[..., :-2].contiguous(), torch.special.log_ndtr(rows[..., -1]), stretch)


def _trajectory(
    log_density: LogDensity,
    state: State,
    momentum: Tensor,
    step_size: Tensor,
    leapfrog: int,
    coefficients: tuple[Tensor, ...] | None,
) -> tuple[State, Tensor, Tensor]:
    """Leapfrog steps: the state they end in, its momentum, and which trajectories stayed finite all along.

    One that did not waits where it began, so that the log-density is never asked about what is no number.
    """
    sound = torch.ones_like(state.log_factors[0], dtype=torch.bool)
    momentum = momentum + 0.5 * step_size * _force(state.gradients, coefficients)
    z = state.z
    for left in range(leapfrog, 0, -1):
        moved = z + step_size * momentum
        sound = sound & moved.isfinite().all(-1)
        z = torch.where(sound.unsqueeze(-1), moved, state.z)
        if left > 1:
            momentum = momentum + step_size * _gradient_of_all(log_density, z, coefficients)
    new = init(log_density, z)
    return new, momentum + 0.5 * step_size * _force(new.gradients, coefficients), sound


def _gradient_of_all(log_density: LogDensity, z: Tensor, coefficients: tuple[Tensor, ...] | None) -> Tensor:
    """Σ coefficients · gradients in one backward pass."""
    z, log_factors = _evaluated(log_density, z)
    if coefficients is None:
        return _gradient(log_factors, z)
    used = [
        (log_factor, c.to(log_factor).expand_as(log_factor))
        for log_factor, c in zip(log_factors, coefficients, strict=True)
    ]
    return _gradient(tuple(one for one, _ in used), z, tuple(c for _, c in used))


def _evaluated(log_density: LogDensity, z: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """z as the leaf of a graph, and the log_factors there, [chains, batch] each."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        found = log_density(z)
        return z, tuple(
            log_factor.expand(z.shape[:2]) for log_factor in (found if isinstance(found, tuple) else (found,))
        )


def _force(gradients: tuple[Tensor, ...], coefficients: tuple[Tensor, ...] | None) -> Tensor:
    if coefficients is not None:
        gradients = tuple(_times(c.to(g).unsqueeze(-1), g) for c, g in zip(coefficients, gradients, strict=True))
    return sum(gradients[1:], gradients[0])


def _times(coefficient: Tensor, value: Tensor) -> Tensor:
    return torch.where(coefficient == 0, 0.0, coefficient * value)


def _kinetic(momentum: Tensor) -> Tensor:
    return 0.5 * momentum.double().square().sum(-1)


def _chosen(accepted: Tensor, new: State, old: State) -> State:
    rows = accepted.unsqueeze(-1)
    return State(
        torch.where(rows, new.z, old.z),
        tuple(torch.where(accepted, a, b) for a, b in zip(new.log_factors, old.log_factors, strict=True)),
        tuple(torch.where(rows, a, b) for a, b in zip(new.gradients, old.gradients, strict=True)),
    )


def _gradient(
    log_factors: tuple[Tensor, ...], z: Tensor, weights: tuple[Tensor, ...] | None = None, keep: bool = False
) -> Tensor:
    if not all(log_factor.requires_grad for log_factor in log_factors):
        raise CapabilityError(_NO_GRADIENT)
    weights = tuple(map(torch.ones_like, log_factors)) if weights is None else weights
    try:
        return torch.autograd.grad(log_factors, z, weights, retain_graph=keep)[0]
    except NotImplementedError as error:
        raise CapabilityError(_NO_GRADIENT) from error


_NO_GRADIENT = (
    "The log-density has no gradient in z, which Hamiltonian Monte Carlo follows; evidence.iwae needs no gradient."
)
