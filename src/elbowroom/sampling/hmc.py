"""Hamiltonian Monte Carlo as two pure functions, `init` and `step`, over all chains and examples at once."""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from elbowroom.numerics import CapabilityError, keyed_normal
from elbowroom.numerics.keyed import DRAW_BLOCK
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
    """Where chains are, with the log-density there as a sum of log-factors.

    Parameters
    ----------
    z : Tensor
        Positions, [chains, batch, dim].
    log_factors : tuple of Tensor
        Log-factors of the density at z, [chains, batch] each, in nats.
    gradients : tuple of Tensor
        Their gradients in z, [chains, batch, dim] each.
    """

    z: Float[Tensor, "chains batch dim"]
    log_factors: tuple[Float[Tensor, "chains batch"], ...]
    gradients: tuple[Float[Tensor, "chains batch dim"], ...]


class Diagnostics(NamedTuple):
    """How one transition went.

    Parameters
    ----------
    acceptance : Tensor
        Acceptance probability, [chains, batch].
    divergent : Tensor
        Whether the energy error of the trajectory was above 1,000 nats or not finite, [chains, batch].
    """

    acceptance: Float[Tensor, "chains batch"]
    divergent: Bool[Tensor, "chains batch"]


class TransitionNoise(NamedTuple):
    """The noise of one transition.

    Parameters
    ----------
    momentum : Tensor
        Standard normals, [chains, batch, dim].
    log_uniform : Tensor
        Log of a uniform number on [0, 1], [chains, batch], to accept by.
    stretch : Tensor
        Uniform on [1/2, 1], [chains, batch]: a factor of the step size, as trajectories of one length could return to
        their start in every direction with that period.
    """

    momentum: Float[Tensor, "chains batch dim"]
    log_uniform: Float[Tensor, "chains batch"]
    stretch: Float[Tensor, "chains batch"]


def init(log_density: LogDensity, z: Float[Tensor, "chains batch dim"]) -> State:
    """The state of chains at z, by one evaluation of the log-density and its gradient.

    Parameters
    ----------
    log_density : callable
        Takes z [chains, batch, dim] and returns the log-density [chains, batch], or a tuple of its log-factors, in
        nats. NaN counts as −inf.
    z : Tensor
        Positions, [chains, batch, dim].

    Returns
    -------
    State
        Positions, log-factors and gradients.

    Raises
    ------
    CapabilityError
        If the log-density has no gradient in z.

    Examples
    --------
    >>> init(lambda z: -0.5 * z.square().sum(-1), torch.ones(1, 1, 2)).log_factors
    (tensor([[-1.]]),)
    """
    z, log_factors = _evaluate(log_density, z)
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
    """One Hamiltonian transition, which leaves the density exp(Σ coefficients · log_factors) invariant.

    Parameters
    ----------
    log_density : callable
        As for `init`.
    state : State
        Where chains are.
    noise : TransitionNoise
        Noise of the transition.
    step_size : Tensor or float
        Broadcast to [chains, batch, dim]: it may differ between examples, and between dimensions (a diagonal mass
        matrix).
    leapfrog : int
        Leapfrog steps, one gradient each.
    coefficients : tuple of Tensor, default None
        One [batch] for each log-factor; None for 1.

    Returns
    -------
    tuple of (State, Diagnostics)
        Where chains are then, and how the transition went. A trajectory with a value that is not finite is rejected.

    References
    ----------
    Neal, "MCMC using Hamiltonian dynamics" (2011).
    Mackenzie, "An improved hybrid Monte Carlo method" (1989).

    Examples
    --------
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
    return _choose(accepted, new, state), Diagnostics(log_ratio.clamp(max=0.0).exp(), log_ratio <= -_DIVERGED)


def weighted(log_factors: tuple[Tensor, ...], coefficients: tuple[Tensor, ...] | None) -> Float[Tensor, "chains batch"]:
    """The weighted sum of log-factors, Σ coefficients · log_factors.

    Parameters
    ----------
    log_factors : tuple of Tensor
        [chains, batch] each.
    coefficients : tuple of Tensor or None
        One [batch] for each log-factor; None for 1. A coefficient of 0 drops its log-factor, even an infinite one.

    Returns
    -------
    Tensor
        [chains, batch], float64.

    Examples
    --------
    >>> zero, one = torch.zeros(1), torch.ones(1)
    >>> weighted((torch.tensor([[-torch.inf]]), torch.tensor([[-2.0]])), (zero, one))
    tensor([[-2.]], dtype=torch.float64)
    """
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
    """Noise of transitions, which depends on (seed, example, step, chains, dim) only.

    Parameters
    ----------
    chains : int
        Chains per example.
    dim : int
        Dimensions of z.
    index : Tensor
        The position of each example in its data set, [batch].
    seed : int
        Seed.
    steps : int
        Number of transitions.
    like : Tensor, optional
        Whose device and floating type the noise has.

    Yields
    ------
    TransitionNoise
        The noise of one transition.
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
    """Leapfrog steps: the state at their end, its momentum, and which trajectories stayed finite throughout.

    One that did not is put back to its start, so that the log-density is never evaluated at values that are not finite.
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
    z, log_factors = _evaluate(log_density, z)
    if coefficients is None:
        return _gradient(log_factors, z)
    used = [
        (log_factor, c.to(log_factor).expand_as(log_factor))
        for log_factor, c in zip(log_factors, coefficients, strict=True)
    ]
    return _gradient(tuple(one for one, _ in used), z, tuple(c for _, c in used))


def _evaluate(log_density: LogDensity, z: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
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


def _choose(accepted: Tensor, new: State, old: State) -> State:
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
