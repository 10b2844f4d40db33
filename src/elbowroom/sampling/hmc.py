"""Hamiltonian Monte Carlo as a pure pair (init, step), over all chains and examples at once."""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from elbowroom.numerics import CapabilityError, keyed_normal
from elbowroom.numerics.noise import DRAW_BLOCK
from elbowroom.numerics.streams import KICKS

__all__ = ["Diagnostics", "Kick", "LogDensity", "State", "init", "keyed_kicks", "step", "weighted"]

LogDensity = Callable[[Tensor], Tensor | tuple[Tensor, ...]]
"""z [chains, batch, dim] → log-density [chains, batch], or the terms of one, to be weighed by coefficients."""

_DIVERGED = 1000.0  # nats of energy error, Stan's limit


class State(NamedTuple):
    """Where the chains are: z, and the terms of the log-density with their gradients there."""

    z: Float[Tensor, "chains batch dim"]
    terms: tuple[Float[Tensor, "chains batch"], ...]
    gradients: tuple[Float[Tensor, "chains batch dim"], ...]


class Diagnostics(NamedTuple):
    """How one transition went, [chains, batch] each.

    acceptance: the probability it had; divergent: whether the trajectory's energy error is above 1,000 nats or no
    number.
    """

    acceptance: Float[Tensor, "chains batch"]
    divergent: Bool[Tensor, "chains batch"]


class Kick(NamedTuple):
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
    z, terms = _evaluated(log_density, z)
    gradients = tuple(_gradient((term,), z, keep=term is not terms[-1]) for term in terms)
    values = (term.detach() for term in terms)
    return State(z.detach(), tuple(torch.where(value.isnan(), -math.inf, value) for value in values), gradients)


def step(
    log_density: LogDensity,
    state: State,
    kick: Kick,
    step_size: Tensor | float,
    leapfrog: int,
    coefficients: tuple[Tensor, ...] | None = None,
) -> tuple[State, Diagnostics]:
    """One transition that leaves exp(Σ coefficients · terms) as it is; `leapfrog` evaluations, each with its gradient.

    step_size: broadcast to [chains, batch, dim], so it may differ between examples, or between dimensions (which is a
    diagonal mass matrix). coefficients: one [batch] per term of the log-density; None: all 1. Trajectories that leave
    the numbers are rejected, and nothing of them stays.
    Source: Neal, "MCMC using Hamiltonian dynamics", 2011; Mackenzie, "An improved hybrid Monte Carlo method", 1989.

    >>> state = init(lambda z: -0.5 * z.square().sum(-1), torch.zeros(4, 1, 2))
    >>> kick = next(keyed_kicks(chains=4, dim=2, index=torch.tensor([0]), seed=0, steps=1))
    >>> state, diagnostics = step(lambda z: -0.5 * z.square().sum(-1), state, kick, 0.1, leapfrog=10)
    >>> bool(diagnostics.acceptance.min() > 0.99), bool(diagnostics.divergent.any())
    (True, False)
    """
    sizes = step_size * kick.stretch.unsqueeze(-1)
    new, momentum, sound = _trajectory(log_density, state, kick.momentum, sizes, leapfrog, coefficients)
    before = weighted(state.terms, coefficients) - _kinetic(kick.momentum)
    after = weighted(new.terms, coefficients) - _kinetic(momentum)
    log_ratio = torch.where(sound & after.isfinite(), after - before, -math.inf)
    accepted = kick.log_uniform < log_ratio
    return _chosen(accepted, new, state), Diagnostics(log_ratio.clamp(max=0.0).exp(), log_ratio <= -_DIVERGED)


def weighted(terms: tuple[Tensor, ...], coefficients: tuple[Tensor, ...] | None) -> Float[Tensor, "chains batch"]:
    """Σ coefficients · terms in float64; a coefficient of 0 takes its term out, were it infinite."""
    if coefficients is None:
        return torch.stack(terms).double().sum(0)
    return torch.stack([_times(c.double(), term) for c, term in zip(coefficients, terms, strict=True)]).sum(0)


def keyed_kicks(
    *,
    chains: int,
    dim: int,
    index: Int64[Tensor, "batch"],
    seed: int,
    steps: int,
    like: Tensor | None = None,
) -> Iterator[Kick]:
    """The noise of `steps` transitions, which depends only on (seed, example, step, chains, dim).

    like: a tensor whose device and floating type are taken.
    """
    for first in range(0, steps, DRAW_BLOCK):
        count = min(DRAW_BLOCK, steps - first)
        block = keyed_normal((chains, dim + 2), count, index, seed, first_draw=first, stream=KICKS)
        block = block if like is None else block.to(like)
        for noise in block:
            rows = noise.transpose(0, 1)
            stretch = 0.5 + 0.5 * torch.special.ndtr(rows[..., -2])
            yield Kick(rows[..., :-2].contiguous(), torch.special.log_ndtr(rows[..., -1]), stretch)


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
    sound = torch.ones_like(state.terms[0], dtype=torch.bool)
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
    z, terms = _evaluated(log_density, z)
    if coefficients is None:
        return _gradient(terms, z)
    used = [(term, c.to(term).expand_as(term)) for term, c in zip(terms, coefficients, strict=True)]
    return _gradient(tuple(term for term, _ in used), z, tuple(c for _, c in used))


def _evaluated(log_density: LogDensity, z: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    """z as the leaf of a graph, and the terms there, [chains, batch] each."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        found = log_density(z)
        return z, tuple(term.expand(z.shape[:2]) for term in (found if isinstance(found, tuple) else (found,)))


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
        tuple(torch.where(accepted, a, b) for a, b in zip(new.terms, old.terms, strict=True)),
        tuple(torch.where(rows, a, b) for a, b in zip(new.gradients, old.gradients, strict=True)),
    )


def _gradient(
    terms: tuple[Tensor, ...], z: Tensor, weights: tuple[Tensor, ...] | None = None, keep: bool = False
) -> Tensor:
    if not all(term.requires_grad for term in terms):
        raise CapabilityError(_NO_GRADIENT)
    weights = tuple(map(torch.ones_like, terms)) if weights is None else weights
    try:
        return torch.autograd.grad(terms, z, weights, retain_graph=keep)[0]
    except NotImplementedError as error:
        raise CapabilityError(_NO_GRADIENT) from error


_NO_GRADIENT = (
    "The log-density has no gradient in z, which Hamiltonian Monte Carlo follows; evidence.iwae needs no gradient."
)
