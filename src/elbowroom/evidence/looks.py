"""Annealing from q(z | x) and p(z) together: a look at each example by pilot runs, and what it gets for it."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from elbowroom.numerics import derived_seed
from elbowroom.numerics.streams import BACKWARDS, DRAWN, PILOT, SECOND_LOOK
from elbowroom.sampling import hmc
from elbowroom.sampling.annealing import Annealed, PilotRun, anneal, pilot_run, pilot_transitions
from elbowroom.sampling.schedules import AnnealingPlan, Schedule, fixed_schedule
from elbowroom.sampling.stays import stay

from .annealed import frozen_plan, in_groups, transition_noise
from .importance import log_mean_of_parts
from .memory import Memory
from .starts import Begin, Part, Start, begin, kernels_of
from .target import Target, picked

__all__ = ["Run", "annealed_runs", "backwards", "shared_plan"]

_ENCODER, _PRIOR = 6, 14  # chains of the pilots of a first look; modes that q misses are found by those from the prior
_LEAST_POINTS, _WARM_UP = 32, 12  # temperatures of a pilot run, and its transitions at the first
_STAY = 50  # transitions at the posterior, of the chains that kernels are made of
_FEW = 0.13  # of the chains, effective: the example needs more than it would get
_SOME = 0.7  # of the chains, effective: enough where nothing is found outside q
_OUTSIDE = 0.03  # share of the weight that chains from the prior found
_WORSE = 3.0  # nats of log p(x, z) below the worst chain from q: as good
_FAR = 1.5  # nats of log q(z | x) below the worst chain from q, beside _SPREADS times its spread: where q is not
_SPREADS = 4.5  # of √(d / 2), by which the log-density of a Gaussian varies over its draws
_FEW_DIMENSIONS = 8  # in which plain draws may hit a place too narrow for a tempered chain to be drawn to
_PASSES, _DRAWN = 100, 4  # passes of as many draws as the run has chains, and how many of them are kept
_NEGLIGIBLE = 1e-3  # share of the weight whose chains have no say in step sizes


class Run(NamedTuple):
    """A run towards the posterior of some of the examples.

    Parameters
    ----------
    places : Tensor
        Where they stand among the target's examples, [m].
    begun : Begin
        The model at them, and where their chains started.
    plan : AnnealingPlan
        Fixed temperatures and step sizes.
    run : Annealed
        The run; its log-weights estimate log p(x).
    unseen : Tensor
        About the share of the posterior in places that no pilot chain has found, [m]; 0 where nothing looked bad.
    """

    places: Int64[Tensor, "m"]
    begun: Begin
    plan: AnnealingPlan
    run: Annealed
    unseen: Float[Tensor, "m"]


class _Settings(NamedTuple):
    """What the caller asks for."""

    schedule: Schedule
    temperatures: int
    leapfrog: int
    seed: int


def annealed_runs(
    target: Target,
    start: Start,
    schedule: Schedule,
    temperatures: int,
    chains: int,
    leapfrog: int,
    seed: int,
    memory: Memory,
    kept: int = 0,
) -> Iterator[Run]:
    """Run AIS towards the posterior on one group after another of examples that fit the memory.

    From "both", examples that look bad in the pilot runs get more chains, from a better start. The pilots' noise is
    their own, so that this choice leaves the bound a bound.

    Parameters
    ----------
    target : Target
        The model at its examples.
    start : {"both", "posterior", "prior"}
        Where chains start.
    schedule : {"sigmoid", "linear", "adaptive"}
        How temperatures are spread.
    temperatures : int
        Annealing steps.
    chains : int
        Chains per example.
    leapfrog : int
        Leapfrog steps of a transition.
    seed : int
        Seed of all noise.
    memory : int or str
        Bytes, or words such as "1 GiB".
    kept : int, default 0
        States of each chain that the caller keeps beside it.

    Yields
    ------
    Run
        The examples of a group, together or in parts: those that look bad come last.
    """
    settings, first = _Settings(schedule, temperatures, leapfrog, seed), 0
    begin(target, start, chains)  # which refuses what cannot be
    most = chains + _most_more(target) if start == "both" else 0
    at_once = max(chains, _PRIOR) if start == "both" else chains  # the pilots' chains stand side by side too
    for part in in_groups(target, lambda part: begin(part, start, chains).path, at_once, memory, most, kept):
        places = torch.arange(first, first + len(part.index))
        first += len(places)
        if start == "both":
            yield from _looked_at(part, places, chains, settings, memory, kept)
        else:
            plan = frozen_plan(part, start, schedule, temperatures, leapfrog, seed)
            yield _run(places, begin(part, start, chains), plan, seed)


def _run(places: Tensor, begun: Begin, plan: AnnealingPlan, seed: int) -> Run:
    z = begun.draw(seed)
    noise = transition_noise(begun.target, z, seed, len(plan.step_sizes))
    return Run(places, begun, plan, anneal(begun.path, z, plan, noise), torch.zeros(len(places)))


def backwards(run: Run, z: Float[Tensor, "chains batch dim"], seed: int) -> Annealed:
    """The same run from draws of the posterior down to where its chains started.

    From a mixture of starts, down to the one of q and prior whose chains brought more of the weight: chains on their
    way down come to one part of a mixture, however little the others weigh, and would estimate log 1 / p(x) without
    them, by −log of the part's share too low; which loosens the bound, by 0.4 nats for two thirds. An example that got
    kernels of its own is led back to the whole mixture: neither q nor the prior alone was a good start for it.

    Parameters
    ----------
    run : Run
        A run towards the posterior.
    z : Tensor
        The draws, [chains, batch, dim].
    seed : int
        Seed of all noise.

    Returns
    -------
    Annealed
        Its log-weights estimate log 1 / p(x).
    """
    noise = transition_noise(run.begun.target, z, derived_seed(seed, BACKWARDS), len(run.plan.step_sizes))
    path = run.begun.path
    if len(run.begun.parts) == 2:
        first, second = (part.logsumexp(0) for part in run.run.log_weights.split(run.begun.chains)[:2])
        path = run.begun.from_one(second > first)
    return anneal(path, z, run.plan.reversed(), noise)


def _most_more(target: Target) -> int:
    """How many chains more an example may get."""
    return _ENCODER + _PRIOR + (_DRAWN if target.dim <= _FEW_DIMENSIONS else 0)


def _looked_at(
    part: Target, places: Tensor, chains: int, settings: _Settings, memory: Memory, kept: int
) -> Iterator[Run]:
    """The runs of a group: first those that look good, then those that do not."""
    begun = begin(part, "both", chains)
    pilots = _pilots(begun, begun.parts, (_ENCODER, _PRIOR), settings, derived_seed(settings.seed, PILOT))
    plan = shared_plan(pilots, begun.shares, settings.schedule, settings.temperatures, settings.leapfrog)
    encoder, prior = (one.state for one in pilots)
    if part.dim <= _FEW_DIMENSIONS:
        prior = _all_chains([_heaviest(begun, derived_seed(settings.seed, DRAWN)), prior])
    sound = encoder.z.isfinite().all(-1).all(0)  # a q that is no density has no better look: its value is not finite
    bad = ((_looks_bad(pilots, begun.shares) | _finds_elsewhere(encoder, prior, begun)) & sound).cpu()
    for here, some in picked(part, ~bad):
        yield _run(places[here], begin(some, "both", chains), _plan_at(plan, here), settings.seed)
    states, sizes = _all_chains([encoder, prior]), torch.stack([one.found.step_sizes[-1] for one in pilots])
    size = sizes.log().mean(0).exp()
    for here, some in picked(part, bad):
        first = 0
        most = chains + _most_more(part)
        for few in in_groups(some, lambda part: begin(part, "both", chains).path, most, memory, kept=kept):
            rows = here[first : first + len(few.index)]
            first += len(rows)
            yield _better(few, places[rows], _state_at(states, rows), size[rows], chains, settings)


def _better(part: Target, places: Tensor, state: hmc.State, size: Tensor, chains: int, settings: _Settings) -> Run:
    """A run of examples that look bad: also from kernels where the pilots' chains have been."""
    begun, seed = begin(part, "both", chains), derived_seed(settings.seed, SECOND_LOOK)
    noise = transition_noise(part, state.z, derived_seed(seed, SECOND_LOOK), _STAY)
    been = stay(begun.path, state, size, noise, settings.leapfrog, _STAY)
    begun = kernels_of(begun, been)
    _, prior, kernels = begun.parts
    found = _pilots(begun, (kernels, prior), (begun.chains[-1], _ENCODER), settings, seed)
    shares = begun.shares[2], begun.shares[1]
    plan = shared_plan(found, shares, settings.schedule, settings.temperatures, settings.leapfrog)
    return _run(places, begun, plan, settings.seed)._replace(unseen=been.alone(_PRIOR).cpu())


@torch.no_grad()
def _heaviest(begun: Begin, seed: int) -> hmc.State:
    """Of many draws of a mixture, those of the greatest weight: where it has too few, if anywhere."""
    found, weights = [], []
    for place in range(_PASSES):
        z = begun.draw(derived_seed(seed, place))
        log_q, log_joint = begun.path.log_factors(z)
        weight, at = (log_joint - log_q).nan_to_num(-math.inf).max(0)
        found.append(z[at, torch.arange(len(at), device=at.device)])
        weights.append(weight)
    best = torch.stack(weights).topk(_DRAWN, 0).indices.unsqueeze(-1)
    z = torch.stack(found)
    return hmc.init(begun.path.log_factors, z.gather(0, best.expand(-1, -1, z.shape[-1])))


def _all_chains(states: Sequence[hmc.State]) -> hmc.State:
    """Chains of several states as those of one."""
    factors, gradients = (
        tuple(map(torch.cat, zip(*(getattr(one, name) for one in states), strict=True)))
        for name in ("log_factors", "gradients")
    )
    return hmc.State(torch.cat([one.z for one in states]), factors, gradients)


def _pilots(
    begun: Begin, parts: Sequence[Part], chains: Sequence[int], settings: _Settings, seed: int
) -> list[PilotRun]:
    """A pilot run from each of some parts of a mixture, along its path."""
    points, found = fixed_schedule(settings.schedule, max(settings.temperatures // 5, _LEAST_POINTS)), []
    for place, (part, count) in enumerate(zip(parts, chains, strict=True)):
        own = derived_seed(seed, place)
        with torch.no_grad():
            z = part.draw(count, own)
        noise = transition_noise(begun.target, z, own, pilot_transitions(len(points), 1, _WARM_UP))
        found.append(pilot_run(begun.path, z, points, noise, settings.leapfrog, 1, _WARM_UP))
    return found


def shared_plan(
    pilots: Sequence[PilotRun], shares: Sequence[float], schedule: Schedule, temperatures: int, leapfrog: int
) -> AnnealingPlan:
    """One plan for the chains of two starts: step sizes of the one and of the other in turn.

    Every chain of an example goes by the same plan. With step sizes by the start that a chain came from, weights would
    not be unbiased: the mixture's density is right only for a chain whose way does not depend on its part.

    Parameters
    ----------
    pilots : sequence of PilotRun
        A pilot run from each of the two starts.
    shares : sequence of float
        Their weights in the mixture.
    schedule : {"sigmoid", "linear", "adaptive"}
        How temperatures are spread; "adaptive" by the start whose chains carry more of the weight.
    temperatures : int
        Annealing steps.
    leapfrog : int
        Leapfrog steps of a transition.

    Returns
    -------
    AnnealingPlan
        The plan. Where one start carries nearly all of the weight, all step sizes are its own.
    """
    first, second = (one.found for one in pilots)
    share = _weight_of_second(pilots, shares)
    if schedule == "adaptive":
        deviation = torch.where(share > 0.5, second.deviation, first.deviation)
        betas = first._replace(deviation=deviation).equal_steps(temperatures)
    else:
        betas = fixed_schedule(schedule, temperatures).to(share.device).unsqueeze(-1).expand(-1, len(share))
    even = (torch.arange(temperatures - 1, device=share.device) % 2 == 0).unsqueeze(-1)
    of_first = (even | (share < _NEGLIGIBLE)) & (share <= 1 - _NEGLIGIBLE)
    plans = [one.plan(betas, leapfrog) for one in (first, second)]
    sizes = torch.where(of_first.unsqueeze(-1), plans[0].step_sizes, plans[1].step_sizes)
    return plans[0]._replace(step_sizes=sizes)


def _looks_bad(pilots: Sequence[PilotRun], shares: Sequence[float]) -> Bool[Tensor, "batch"]:
    """Which examples need more, by the pilots alone."""
    ess = log_mean_of_parts([one.log_weights for one in pilots], shares).ess.nan_to_num(0.0)
    ess = ess / sum(len(one.log_weights) for one in pilots)
    return (ess < _FEW) | ((ess < _SOME) & (_weight_of_second(pilots, shares) > _OUTSIDE))


@torch.no_grad()
def _finds_elsewhere(at_q: hmc.State, at_prior: hmc.State, begun: Begin) -> Bool[Tensor, "batch"]:
    """Where a chain from the prior ended at a place as good as those from q, and where q is not; or at a better one.

    Whatever its weight: that varies by many nats, and the place is enough for a kernel.
    """
    log_q, found, usual = begun.parts[0].log_prob, at_prior.log_factors[1], at_q.log_factors[1]
    far = _FAR + _SPREADS * math.sqrt(begun.target.dim / 2)
    near, better = found > usual.amin(0) - _WORSE, found > usual.amax(0) + far
    outside = log_q(at_prior.z) < log_q(at_q.z).amin(0) - far
    return (near & outside | better).any(0)


def _weight_of_second(pilots: Sequence[PilotRun], shares: Sequence[float]) -> Float[Tensor, "batch"]:
    """Share of the second start's chains in all weight."""
    sums = [
        one.log_weights.logsumexp(0) + math.log(share / len(one.log_weights))
        for one, share in zip(pilots, shares, strict=True)
    ]
    return torch.sigmoid(sums[1] - sums[0]).nan_to_num(0.5)


def _plan_at(plan: AnnealingPlan, places: Tensor) -> AnnealingPlan:
    return plan._replace(betas=plan.betas[:, places], step_sizes=plan.step_sizes[:, places])


def _state_at(state: hmc.State, places: Tensor) -> hmc.State:
    factors, gradients = (tuple(one[:, places] for one in column) for column in state[1:])
    return hmc.State(state.z[:, places], factors, gradients)
