"""Annealing from p(z) or q(z | x) to the posterior of each example: paths, plans, and runs over groups of examples."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from elbowroom.numerics import Budget, Estimate, InputError, count, derived_seed, one_of
from elbowroom.numerics.streams import PILOT
from elbowroom.sampling import hmc
from elbowroom.sampling.annealing import Annealed, Outcome, Path, anneal, pilot, pilot_transitions
from elbowroom.sampling.hmc import TransitionNoise
from elbowroom.sampling.schedules import AnnealingPlan, Schedule, fixed_schedule

from .importance import log_mean_exp
from .memory import Bytes, Memory, as_bytes, keep_freed_memory
from .target import Target

__all__ = [
    "PILOT_CHAINS",
    "Start",
    "ais_name",
    "draw_start",
    "frozen_plan",
    "in_groups",
    "transition_noise",
    "lower_bound",
    "annealed_runs",
    "path_from",
    "upwards",
]

Start = Literal["posterior", "prior"]
PILOT_CHAINS = 8
_ROWS = 1024  # chains × examples side by side
_COPIES = 16  # states of a chain that a transition may hold at a time


def path_from(target: Target, start: Start) -> Path:
    """From p(z), or from q(z | x), to p(z) p(x | z), along the geometric path.

    Raises InputError for any other word.
    """
    one_of("start", start, ("posterior", "prior"))
    if start == "prior":
        return Path(lambda z: (target.log_prior(z), target.log_likelihood(z)), lambda b: (torch.ones_like(b), b))
    return Path(lambda z: (target.log_posterior(z), target.log_prior(z) + target.log_likelihood(z)), _geometric)


def annealed_runs(
    target: Target,
    start: Start,
    schedule: Schedule,
    temperatures: int,
    chains: int,
    leapfrog: int,
    seed: int,
    memory: Memory,
) -> Iterator[tuple[Target, AnnealingPlan, Annealed]]:
    """AIS upwards in groups of examples that fit the memory: each group in order, its frozen plan and its run."""
    for part in in_groups(target, lambda part: path_from(part, start), chains, memory):
        plan = frozen_plan(part, start, schedule, temperatures, leapfrog, seed)
        yield part, plan, upwards(part, plan, start, chains, seed)


def upwards(target: Target, plan: AnnealingPlan, start: Start, chains: int, seed: int) -> Annealed:
    """The measured run from exact draws of the start to the posterior."""
    z = draw_start(target, start, chains, seed)
    return anneal(path_from(target, start), z, plan, transition_noise(target, z, seed, len(plan.step_sizes)))


def ais_name(temperatures: int, start: Start, chains: int) -> str:
    """What AIS by such settings is called."""
    return f"AIS-{temperatures} from the {start}, {count(chains, 'chain')}"


def lower_bound(
    target: Target, found: Sequence[Outcome], estimator: str, budget: Budget, data: str | None = None
) -> Estimate:
    """What runs over groups of the target's examples, one after the other, say of the ratio of normalisers."""
    log_weights, divergent = (torch.cat(column, -1) for column in zip(*found, strict=True))
    values, variance, ess = log_mean_exp(log_weights)
    return Estimate.of(
        values,
        variance,
        target.index.cpu(),
        quantity=getattr(target, "quantity", "log p(x)"),
        estimator=estimator,
        direction="lower",
        budget=budget,
        ess=ess.nan_to_num(0.0),  # no chain of any weight
        data=data,
        divergent=divergent,
    )


def frozen_plan(
    target: Target, start: Start, schedule: Schedule, temperatures: int, leapfrog: int, seed: int
) -> AnnealingPlan:
    """The plan of a measured run: betas by the schedule, step sizes by a pilot on noise that no measured run takes."""
    other = derived_seed(seed, PILOT)
    rough, z = fixed_schedule(schedule, max(temperatures // 5, 50)), draw_start(target, start, PILOT_CHAINS, other)
    found = pilot(
        path_from(target, start), z, rough, transition_noise(target, z, other, pilot_transitions(len(rough))), leapfrog
    )
    if schedule == "adaptive":
        return found.plan(found.equal_steps(temperatures), leapfrog)
    betas = fixed_schedule(schedule, temperatures).to(z.device)
    return found.plan(betas.unsqueeze(-1).expand(-1, len(target.index)), leapfrog)


def draw_start(target: Target, start: Start, chains: int, seed: int) -> Float[Tensor, "chains batch dim"]:
    """Draws of the density that a path starts from, keyed by (seed, example, chain)."""
    if start == "prior":
        return target.draw_prior(chains, seed)
    with torch.no_grad():
        return target.draw_posterior(chains, seed)[0]


def transition_noise(
    target: Target, z: Float[Tensor, "chains batch dim"], seed: int, steps: int
) -> Iterator[TransitionNoise]:
    """The noise of `steps` transitions of chains that begin at z, keyed by (seed, example, chain, step)."""
    return hmc.keyed_transition_noise(chains=len(z), dim=target.dim, index=target.index, seed=seed, steps=steps, like=z)


def in_groups(target: Target, path_of: Callable[[Target], Path], chains: int, memory: Memory) -> Iterator[Target]:
    """The target's examples in groups whose chains fit the memory side by side.

    Raises InputError where one example's chains do not fit.
    """
    keep_freed_memory()
    room, one = as_bytes(memory), _bytes_per_example(target, path_of, chains)
    if one > room:
        raise InputError(
            f"memory={room:,} bytes does not hold the {chains:,} chains of one example, which need about {one:,}: give "
            f"more, or ask for fewer chains."
        )
    size = max(1, min(room // one, _ROWS // chains))
    for first in range(0, len(target.index), size):
        yield target.rows(slice(first, first + size))


def _bytes_per_example(target: Target, path_of: Callable[[Target], Path], chains: int) -> int:
    """All that one evaluation with its gradient makes, and what the chains keep and draw, in bytes."""
    with Bytes() as made:
        first = target.rows(slice(0, 1))
        z = torch.zeros_like(first.draw_prior(chains, 0))
        hmc.init(path_of(first).log_factors, z)
    return made.total + z.nbytes * _COPIES + 4 * hmc.DRAW_BLOCK * chains * (target.dim + 2)


def _geometric(beta: Tensor) -> tuple[Tensor, Tensor]:
    return 1 - beta, beta
