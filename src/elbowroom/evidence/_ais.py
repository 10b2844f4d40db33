"""Annealing from a density that can be drawn from to another, by Hamiltonian Monte Carlo, with frozen settings."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from elbowroom.numerics import Budget, Estimate, InputError, count, derived_seed
from elbowroom.numerics.streams import PILOT
from elbowroom.progress import Progress
from elbowroom.sampling import hmc
from elbowroom.sampling.hmc import Kick
from elbowroom.sampling.schedules import Pilot, Plan, Schedule, check_settings, fixed_schedule
from elbowroom.vae import VAE

from .importance import log_mean_exp
from .passes import MEMORY, Bytes, Memory, as_bytes, keep_freed_memory
from .target import Target, subject_of

__all__ = [
    "PILOT_CHAINS",
    "Annealed",
    "Moment",
    "Outcome",
    "Path",
    "Start",
    "ais",
    "ais_name",
    "anneal",
    "annealing",
    "draw_start",
    "frozen_plan",
    "in_groups",
    "kicks_for",
    "lower_bound",
    "measured_runs",
    "path_from",
    "pilot",
    "pilot_kicks",
    "upwards",
]

Start = Literal["posterior", "prior"]

PILOT_CHAINS = 8
_AIM = 0.7  # acceptance; anything from 0.6 to 0.9 is about as good (Beskos et al., 2013)
_WARM_UP = 20
_TURNS = 2  # of the pilot, at every temperature but the first
_GAIN = 0.4  # of acceptance on the pilot's log step size, after the warm-up
_FORGETTING = 0.2  # of the pilot's variances, per transition
_GRAIN = 32.0  # log step sizes are multiples of 1 / 32
_ROWS = 1024  # chains × examples side by side
_COPIES = 16  # states of a chain that a transition may hold at a time


def ais(
    model: VAE | Target,
    examples: Any = None,
    *,
    temperatures: int = 500,
    chains: int = 16,
    leapfrog: int = 10,
    start: Start = "posterior",
    schedule: Schedule = "sigmoid",
    seed: int = 0,
    memory: Memory = MEMORY,
    progress: bool = False,
) -> Estimate:
    """log p(x) per example by annealed importance sampling with Hamiltonian transitions, in nats.

    exp of the estimate is unbiased for p(x), so the estimate is, in expectation, a lower bound on log p(x). Step sizes,
    and an "adaptive" schedule, come from a pilot run on other noise and are frozen before the measured one. The
    Monte-Carlo variance is the jackknife's over chains: 95 % intervals from 64 chains cover 94 %, from 16 chains 93 %;
    where their effective sample size `ess` is small it is a rough guess, which the printed line says. From a q(z | x)
    ten or more times narrower than the posterior, chains may not reach its width in time: the estimate is then far too
    low, and only a comparison with start="prior" shows it. Where more than 5 % of an example's transitions diverge, the
    printed line says that too.

    Parameters
    ----------
    model : VAE or Target
        A VAE with its examples, or a Target that has its own.
    examples : anything that has rows, optional
        Of the VAE: a part of a data set, a Batch, an array, a tensor or a frame [n, *event].
    temperatures : int, default 500
        Steps from the first density to the last.
    chains : int, default 16
        Per example, side by side.
    leapfrog : int, default 10
        Gradient evaluations of a transition.
    start : str, default "posterior"
        Where chains begin: draws of q(z | x) ("posterior") or of p(z) ("prior").
    schedule : str, default "sigmoid"
        How temperatures are spread: "sigmoid", "linear", or "adaptive", which a pilot finds.
    seed : int, default 0
        Keys all noise, by (seed, example).
    memory : int or str, default "1 GiB"
        Bytes, or words for them: a bound on what one pass holds. It changes no number beyond rounding.
    progress : bool, default False
        Whether standard error says how far it is.

    Returns
    -------
    Estimate
        [n], direction "lower", with `ess` and `divergent`.

    Raises
    ------
    InputError
        Where there is nothing to measure, a setting means nothing, or the memory does not hold one example.
    CapabilityError
        For latents or likelihoods that have no gradient, or are discrete, constrained or partly known.

    Source: Neal, "Annealed importance sampling", 2001; Wu, Burda, Salakhutdinov, Grosse, "On the quantitative analysis
    of decoder-based generative models", 2017.

    >>> from elbowroom import likelihoods, posteriors, priors
    >>> vae = VAE(priors.StandardNormal(1), posteriors.DiagonalNormal(torch.nn.Linear(2, 2), 1),
    ...           likelihoods.Normal(torch.nn.Linear(1, 2), 2))
    >>> found = ais(vae, torch.zeros(3, 2), temperatures=20, chains=4)
    >>> found.direction, found.estimator
    ('lower', 'AIS-20 from the posterior, 4 chains')
    """
    began = time.monotonic()
    check_settings("ais", temperatures, chains, leapfrog)
    subject = subject_of(model, examples)
    target, found = subject.target(seed), []
    with Progress(f"AIS-{temperatures}", len(target.index), progress) as bar:
        for part, _, run in measured_runs(target, start, schedule, temperatures, chains, leapfrog, seed, memory):
            found.append(run.outcome)
            bar.advance(len(part.index))
    name = ais_name(temperatures, start, chains)
    return lower_bound(target, found, name, Budget(chains, seed, time.monotonic() - began), subject.data)


class Path(NamedTuple):
    """log f_β(z) = Σ coefficients(β) · terms(z), linear in β.

    terms: z [chains, batch, dim] → tensors [chains, batch]; coefficients: β [batch] → one [batch] per term.
    """

    terms: Callable[[Tensor], tuple[Tensor, ...]]
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


def path_from(target: Target, start: Start) -> Path:
    """From p(z), or from q(z | x), to p(z) p(x | z), along the geometric path.

    Raises InputError for any other word.
    """
    if start == "prior":
        return Path(lambda z: (target.log_prior(z), target.log_likelihood(z)), lambda b: (torch.ones_like(b), b))
    if start == "posterior":
        return Path(lambda z: (target.log_posterior(z), target.log_prior(z) + target.log_likelihood(z)), _geometric)
    raise InputError(f"start must be 'posterior' or 'prior'; got {start!r}.")


def annealing(path: Path, z: Float[Tensor, "chains batch dim"], plan: Plan, kicks: Iterable[Kick]) -> Iterator[Moment]:
    """The run from exact draws z of the plan's first density, moment by moment.

    Before each transition the log-weight gains log f_β' − log f_β; there is a transition at every temperature but the
    first and the last. kicks: one for each of them.
    Source: Neal, "Annealed importance sampling", 2001.
    """
    state, noise = hmc.init(path.terms, z), iter(kicks)
    log_weights = torch.zeros_like(state.terms[0], dtype=torch.float64)
    last = len(plan.betas) - 1
    for step in range(1, last + 1):
        now, before = path.coefficients(plan.betas[step]), path.coefficients(plan.betas[step - 1])
        increments = hmc.weighted(state.terms, tuple(a - b for a, b in zip(now, before, strict=True)))
        log_weights = log_weights + increments
        diagnostics = None
        if step < last:
            size = plan.step_sizes[step - 1]
            state, diagnostics = hmc.step(path.terms, state, next(noise), size, plan.leapfrog, now)
        yield Moment(plan.betas[step], log_weights, increments, state, diagnostics)


def anneal(
    path: Path,
    z: Float[Tensor, "chains batch dim"],
    plan: Plan,
    kicks: Iterable[Kick],
    watch: Callable[[Moment], None] = lambda moment: None,
) -> Annealed:
    """The whole run, collected; `watch` sees each moment as it passes. Arguments as for `annealing`."""
    acceptance, variances, divergent = [], [], []
    for moment in annealing(path, z, plan, kicks):
        variances.append(moment.increments.var(0) if len(z) > 1 else torch.full_like(moment.beta, torch.nan))
        if moment.diagnostics is not None:
            acceptance.append(moment.diagnostics.acceptance.mean(0))
            divergent.append(moment.diagnostics.divergent.double().mean(0))
        watch(moment)
    return Annealed(moment.log_weights, torch.stack(acceptance), torch.stack(variances), torch.stack(divergent).mean(0))


def measured_runs(
    target: Target,
    start: Start,
    schedule: Schedule,
    temperatures: int,
    chains: int,
    leapfrog: int,
    seed: int,
    memory: Memory,
) -> Iterator[tuple[Target, Plan, Annealed]]:
    """AIS upwards in groups of examples that fit the memory: each group in order, its frozen plan and its run."""
    for part in in_groups(target, lambda part: path_from(part, start), chains, memory):
        plan = frozen_plan(part, start, schedule, temperatures, leapfrog, seed)
        yield part, plan, upwards(part, plan, start, chains, seed)


def upwards(target: Target, plan: Plan, start: Start, chains: int, seed: int) -> Annealed:
    """The measured run from exact draws of the start to the posterior."""
    z = draw_start(target, start, chains, seed)
    return anneal(path_from(target, start), z, plan, kicks_for(target, z, seed, len(plan.step_sizes)))


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


def frozen_plan(target: Target, start: Start, schedule: Schedule, temperatures: int, leapfrog: int, seed: int) -> Plan:
    """The plan of a measured run: betas by the schedule, step sizes by a pilot on noise that no measured run takes."""
    other = derived_seed(seed, PILOT)
    rough, z = fixed_schedule(schedule, max(temperatures // 5, 50)), draw_start(target, start, PILOT_CHAINS, other)
    found = pilot(path_from(target, start), z, rough, kicks_for(target, z, other, pilot_kicks(len(rough))), leapfrog)
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


def kicks_for(target: Target, z: Float[Tensor, "chains batch dim"], seed: int, steps: int) -> Iterator[Kick]:
    """The noise of `steps` transitions of chains that begin at z, keyed by (seed, example, chain, step)."""
    return hmc.keyed_kicks(chains=len(z), dim=target.dim, index=target.index, seed=seed, steps=steps, like=z)


def pilot(
    path: Path,
    z: Float[Tensor, "chains batch dim"],
    betas: Float[Tensor, "points"],
    kicks: Iterator[Kick],
    leapfrog: int,
) -> Pilot:
    """A run whose step sizes follow each example's chains: their acceptance, and their spread in each dimension.

    It is not to be measured. z: draws of the first density; kicks: `pilot_kicks(len(betas))` of them, keyed by noise
    that no measured run takes.
    """
    state = hmc.init(path.terms, z)
    variance = z.var(0)
    log_size = torch.zeros_like(state.terms[0][0], dtype=torch.float64)
    one = torch.ones_like(log_size)
    slopes = tuple(a - b for a, b in zip(path.coefficients(one), path.coefficients(0 * one), strict=True))
    sizes, spread = [], []
    for point, beta in enumerate(betas):
        for gain in [_GAIN] * _TURNS if point else torch.linspace(1.0, _GAIN, _WARM_UP).tolist():
            size = _on_grid(log_size.unsqueeze(-1) + 0.5 * variance.double().clamp(1e-20, 1e20).log()).exp().to(z)
            state, diagnostics = hmc.step(path.terms, state, next(kicks), size, leapfrog, path.coefficients(beta * one))
            log_size = _on_grid(log_size + gain * (diagnostics.acceptance.mean(0) - _AIM))
            variance = torch.lerp(variance, state.z.var(0), _FORGETTING)
        state = _living(state)
        sizes.append(size)
        spread.append(hmc.weighted(state.terms, slopes).std(0).nan_to_num(0.0))
    return Pilot(betas.to(z.device), torch.stack(sizes), torch.stack(spread))


def _living(state: hmc.State) -> hmc.State:
    """The chains, those where a density is nought begun again where another chain is: they would say nothing."""
    dead = ~torch.stack(state.terms).isfinite().all(0)
    if not dead.any():
        return state
    own = torch.arange(len(dead), device=dead.device).unsqueeze(-1)
    living_first, living = dead.int().argsort(dim=0, stable=True), (~dead).sum(0).clamp(min=1)
    source = torch.where(dead, living_first.gather(0, own % living), own)

    def taken(values: Tensor) -> Tensor:
        return values.gather(0, source.view(*source.shape, *[1] * (values.dim() - 2)).expand_as(values))

    return hmc.State(taken(state.z), tuple(map(taken, state.terms)), tuple(map(taken, state.gradients)))


def pilot_kicks(points: int) -> int:
    """How many transitions a pilot run over so many temperatures makes."""
    return _TURNS * (points - 1) + _WARM_UP


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
        hmc.init(path_of(first).terms, z)
    return made.total + z.nbytes * _COPIES + 4 * hmc.DRAW_BLOCK * chains * (target.dim + 2)


def _on_grid(log_size: Tensor) -> Tensor:
    """Rounded, so that a rounding error does not grow through the pilot's feedback."""
    return (log_size * _GRAIN).round() / _GRAIN


def _geometric(beta: Tensor) -> tuple[Tensor, Tensor]:
    return 1 - beta, beta
