"""Annealing from p(z), q(z | x) or both to the posterior of each example: plans, and runs over groups of examples."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from elbowroom.numerics import Budget, Estimate, InputError, count, derived_seed
from elbowroom.numerics.streams import PILOT
from elbowroom.sampling import hmc
from elbowroom.sampling.annealing import Annealed, Path, pilot, pilot_transitions
from elbowroom.sampling.hmc import TransitionNoise
from elbowroom.sampling.schedules import AnnealingPlan, Schedule, fixed_schedule

from .importance import LogMean, log_mean_of_parts
from .memory import Bytes, FreedMemory, Memory, as_bytes
from .starts import Start, begin
from .target import Target

__all__ = [
    "LEAST_POINTS",
    "PILOT_CHAINS",
    "Outcome",
    "ais_name",
    "draw_start",
    "frozen_plan",
    "in_groups",
    "lower_bound",
    "outcome_of",
    "path_from",
    "transition_noise",
]

LEAST_POINTS = 50  # temperatures of a pilot run
PILOT_CHAINS = 8
_ROWS = 1024  # chains × examples side by side
_COPIES = 16  # states of a chain that a transition may hold at a time


class Outcome(NamedTuple):
    """What is kept of an annealing run of some examples, on the CPU.

    Parameters
    ----------
    places : Tensor
        Where they stand among the target's examples, [m].
    found : LogMean
        The log of the mean weight, its variance and the effective number of chains, [m] each.
    divergent : Tensor
        Share of the transitions that diverged, [m].
    unseen : Tensor
        About the share of the posterior in places that no chain has found, [m].
    rhat : Tensor, optional
        Greatest R-hat of the chains that the run started from, [m], where they had to mix.
    """

    places: Int64[Tensor, "m"]
    found: LogMean
    divergent: Float[Tensor, "m"]
    unseen: Float[Tensor, "m"]
    rhat: Float[Tensor, "m"] | None = None


def path_from(target: Target, start: Start, chains: int = PILOT_CHAINS) -> Path:
    """The geometric path from p(z), from q(z | x), or from a mixture of both, to p(z) p(x | z).

    Parameters
    ----------
    target : Target
        The model at its examples.
    start : {"both", "posterior", "prior"}
        Where chains start.
    chains : int, default 8
        Chains per example; how they are dealt is the mixture's weights.

    Returns
    -------
    Path
        Log-densities at every inverse temperature, 0 at the start and 1 at p(z) p(x | z).

    Raises
    ------
    InputError
        For any other `start`.
    """
    return begin(target, start, chains).path


def ais_name(temperatures: int, start: Start, chains: int) -> str:
    """The name of AIS with such settings, for the printed line.

    Parameters
    ----------
    temperatures : int
        Annealing steps.
    start : {"both", "posterior", "prior"}
        Where chains start.
    chains : int
        Chains per example.

    Returns
    -------
    str
        The name.

    Examples
    --------
    >>> ais_name(500, "prior", 16)
    'AIS-500 from the prior, 16 chains'
    """
    where = "posterior and prior" if start == "both" else start
    return f"AIS-{temperatures} from the {where}, {count(chains, 'chain')}"


def outcome_of(
    places: Int64[Tensor, "m"], run: Annealed, dealt: tuple[int, ...], starts: int, unseen: Float[Tensor, "m"]
) -> Outcome:
    """What a bound needs of a run.

    Where chains start at several densities, a plan's step sizes suit one and another in turn: a chain lags behind only
    if it diverges at both, and counts by its weight, as the mean does.

    Parameters
    ----------
    places : Tensor
        Where the run's examples stand among the target's, [m].
    run : Annealed
        The run.
    dealt : tuple of int
        How many chains came from each start, or how many in all if all came from one.
    starts : int
        The number of starts that the plan is for.
    unseen : Tensor
        About the share of the posterior in places that no chain has found, [m].

    Returns
    -------
    Outcome
        The log of the mean weight of each example, with its variance.
    """
    shares = [chains / sum(dealt) for chains in dealt]
    found = log_mean_of_parts(run.log_weights.split(dealt), shares)
    if starts == 1:
        divergent = run.divergent.sum(0).mean(0)
    else:
        divergent = (run.log_weights.softmax(0) * 2 * run.divergent.amin(0)).sum(0).nan_to_num(1.0)
    return Outcome(places.cpu(), LogMean(*(column.cpu() for column in found)), divergent.cpu(), unseen)


def lower_bound(
    target: Target, found: Sequence[Outcome], estimator: str, budget: Budget, data: str | None = None
) -> Estimate:
    """Estimate log p(x) from the outcomes of annealing runs over groups of the target's examples.

    Parameters
    ----------
    target : Target
        The model at its examples.
    found : sequence of Outcome
        The outcome of each group's run; each example is in one.
    estimator : str
        Name of the estimator.
    budget : Budget
        What the runs cost.
    data : str, optional
        Hash of the data.

    Returns
    -------
    Estimate
        The log of the mean weight of each example, in nats, direction "lower".
    """
    order = torch.cat([one.places for one in found]).argsort()
    values, variance, ess = (torch.cat(column)[order] for column in zip(*(one.found for one in found), strict=True))
    mixed = [one.rhat for one in found if one.rhat is not None]
    return Estimate.of(
        values,
        variance,
        target.index.cpu(),
        quantity=getattr(target, "quantity", "log p(x)"),
        estimator=estimator,
        direction="lower",
        budget=budget,
        ess=ess.nan_to_num(0.0),  # if every chain has weight 0
        data=data,
        divergent=torch.cat([one.divergent for one in found])[order],
        rhat=torch.cat(mixed)[order] if mixed else None,
        unseen=torch.cat([one.unseen for one in found])[order],
    )


def frozen_plan(
    target: Target, start: Start, schedule: Schedule, temperatures: int, leapfrog: int, seed: int
) -> AnnealingPlan:
    """Temperatures and step sizes for a run, found by a pilot run on other noise and then fixed.

    Other noise, as AIS is unbiased only if its settings do not depend on its own draws.

    Parameters
    ----------
    target : Target
        The model at its examples.
    start : {"posterior", "prior"}
        Where chains start: q(z | x) or p(z); `looks` makes the plans of "both".
    schedule : {"sigmoid", "linear", "adaptive"}
        How temperatures are spread.
    temperatures : int
        Annealing steps.
    leapfrog : int
        Leapfrog steps of a transition.
    seed : int
        Seed of all noise.

    Returns
    -------
    AnnealingPlan
        Temperatures by the schedule and step sizes by the pilot, for each example.
    """
    other = derived_seed(seed, PILOT)
    rough = fixed_schedule(schedule, max(temperatures // 5, LEAST_POINTS))
    z = draw_start(target, start, PILOT_CHAINS, other)
    found = pilot(
        path_from(target, start), z, rough, transition_noise(target, z, other, pilot_transitions(len(rough))), leapfrog
    )
    if schedule == "adaptive":
        return found.plan(found.equal_steps(temperatures), leapfrog)
    betas = fixed_schedule(schedule, temperatures).to(z.device)
    return found.plan(betas.unsqueeze(-1).expand(-1, len(target.index)), leapfrog)


def draw_start(target: Target, start: Start, chains: int, seed: int) -> Float[Tensor, "chains batch dim"]:
    """Exact draws of the density that a path starts from.

    Parameters
    ----------
    target : Target
        The model at its examples.
    start : {"both", "posterior", "prior"}
        Where chains start.
    chains : int
        Chains per example.
    seed : int
        Seed of all noise.

    Returns
    -------
    Tensor
        z, [chains, batch, dim]; depends on (seed, example, chain) only.
    """
    return begin(target, start, chains).draw(seed)


def transition_noise(
    target: Target, z: Float[Tensor, "chains batch dim"], seed: int, steps: int
) -> Iterator[TransitionNoise]:
    """Noise of Hamiltonian transitions of chains that start at z.

    Parameters
    ----------
    target : Target
        The model at its examples.
    z : Tensor
        Where chains start, [chains, batch, dim].
    seed : int
        Seed of all noise.
    steps : int
        Number of transitions.

    Returns
    -------
    iterator of TransitionNoise
        The noise of each transition; depends on (seed, example, chain, step) only.
    """
    return hmc.keyed_transition_noise(chains=len(z), dim=target.dim, index=target.index, seed=seed, steps=steps, like=z)


def in_groups(
    target: Target, path_of: Callable[[Target], Path], chains: int, memory: Memory, most: int = 0, kept: int = 0
) -> Iterator[Target]:
    """Split the target's examples into groups whose chains fit the memory together.

    Parameters
    ----------
    target : Target
        The model at its examples.
    path_of : callable
        The annealing path of a target.
    chains : int
        Chains per example.
    memory : int or str
        Bytes, or words such as "1 GiB".
    most : int, default 0
        Chains that one example may get later, if more.
    kept : int, default 0
        States of each chain that are kept beside it.

    Yields
    ------
    Target
        Each group, in order.

    Raises
    ------
    InputError
        If the chains of one example do not fit.
    """
    freed = FreedMemory(as_bytes(memory))
    room, one = as_bytes(memory), _bytes_per_example(target, path_of, chains, kept)
    worst = _bytes_per_example(target, path_of, most, kept) if most > chains else one
    if worst > room:
        raise InputError(
            f"memory={room:,} bytes does not hold the {max(chains, most):,} chains of one example, which need about "
            f"{worst:,}: give more, or ask for fewer chains."
        )
    size = max(1, min(room // one, _ROWS // chains))
    for first in range(0, len(target.index), size):
        yield target.rows(slice(first, first + size))
        freed.look()


def _bytes_per_example(target: Target, path_of: Callable[[Target], Path], chains: int, kept: int) -> int:
    """Bytes that one evaluation with its gradient allocates, and that the chains keep and draw."""
    with Bytes() as made:
        first = target.rows(slice(0, 1))
        z = torch.zeros_like(first.draw_prior(chains, 0))
        hmc.init(path_of(first).log_factors, z)
    return made.total + z.nbytes * (_COPIES + kept) + 4 * hmc.DRAW_BLOCK * chains * (target.dim + 2)
