"""Annealing from both ends: bounds on log p(x) of simulated examples, and how like them the real ones are."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from elbowroom.numerics import Budget, Estimate, InputError, derived_seed
from elbowroom.numerics.streams import BACKWARDS, SIMULATION
from elbowroom.progress import Progress
from elbowroom.sampling.schedules import Schedule, check_settings
from elbowroom.vae import VAE

from ._ais import Start, ais_name, anneal, kicks_for, lower_bound, measured_runs, path_from
from .passes import MEMORY, Memory
from .target import Subject, Target, capability, subject_of

__all__ = ["Bidirectional", "SimulatedAgainstReal", "Trace", "bdmc", "simulated_against_real"]

_AT_ONCE = 1024  # examples that are simulated, and held, at a time; numbers depend on it


@dataclass(frozen=True)
class Bidirectional:
    """Two bounds on log p(x) of the same simulated examples: `lower` by AIS, `upper` by AIS run backwards.

    The Monte-Carlo variance of `upper` is unknown (NaN): there is one exact posterior draw of each example, and all its
    chains share it. Between examples everything is independent, so means have honest standard errors.
    """

    lower: Estimate
    upper: Estimate

    @property
    def gap(self) -> Estimate:
        """upper − lower per example: in expectation at least what either bound lies away from log p(x)."""
        return replace(
            self.upper - self.lower,
            quantity=f"the distance from {self.lower.quantity} to either end",
            estimator=self.lower.estimator,
            ess=None,
        )

    @property
    def gap_limit(self) -> float:
        """The upper end of the one-sided 95 % interval of the mean gap over such examples, in nats."""
        return self.gap.upper_limit

    def __str__(self) -> str:
        gap, quantity = self.gap, self.lower.quantity
        between = f"{self.lower.mean:.2f} and {self.upper.mean:.2f}".replace("-", "−")
        words = (
            f"gap {gap.mean:.3f} nats ±{gap.se_total:.3f} ({len(gap):,} simulated points), 95 % sure below "
            f"{self.gap_limit:.3f}: mean {quantity} between {between}, {self.lower.estimator}"
        ).replace("gap -", "gap −")
        return "; ".join([words, *gap.warnings])


@dataclass(frozen=True)
class Trace:
    """How annealing went, per example. In nats².

    betas [temperatures + 1, n]; acceptance [temperatures − 1, n]: mean over chains, at all betas but the first and the
    last; increment_variance [temperatures, n]: over chains, of what each step adds to the log-weights;
    log_weight_variance [n]: of the log-weights in the end.
    """

    betas: NDArray[np.float64]
    acceptance: NDArray[np.float64]
    increment_variance: NDArray[np.float64]
    log_weight_variance: NDArray[np.float64]

    @property
    def shortfall(self) -> Estimate:
        """½ Var log w per example: about what a single chain's log w lies below log p(x), were log w Gaussian."""
        return Estimate.of(
            self.log_weight_variance / 2, np.nan, quantity="½ Var log w", estimator="annealing", direction="unbiased"
        )


@dataclass(frozen=True)
class SimulatedAgainstReal:
    """The same annealing on real examples and on as many simulated ones.

    Where log-weights vary alike and chains move alike, what `bdmc` certifies on simulated examples is credible on real
    ones: credible, not a bound.
    """

    real: Trace
    simulated: Trace

    def __str__(self) -> str:
        real, simulated = self.real.shortfall, self.simulated.shortfall
        apart = np.hypot(real.se_total, simulated.se_total)
        return (
            f"½ Var log w: {real.mean:.3f} nats ±{real.se_total:.3f} on {len(real):,} real points, "
            f"{simulated.mean:.3f} ±{simulated.se_total:.3f} on as many simulated ones (difference "
            f"{real.mean - simulated.mean:+.3f} ±{apart:.3f}); acceptance {self.real.acceptance.mean():.2f} and "
            f"{self.simulated.acceptance.mean():.2f}"
        ).replace("difference -", "difference −")


def bdmc(
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
) -> Bidirectional:
    """Bidirectional Monte Carlo: lower and upper bounds on log p(x) of examples simulated from the model, in nats.

    Every x is drawn from the model with its z, an exact draw of p(z | x). AIS upwards bounds log p(x) from below in
    expectation; AIS downwards from that z, over the same temperatures with the same step sizes, is unbiased for
    1 / p(x) and so bounds it from above. The gap holds for simulated examples only; `simulated_against_real` says how
    far it carries over. Simulated x are on the scale that the likelihood sees, and log p(x) is their density there.
    Step sizes come from a pilot, which never sees the exact z, and are frozen.

    Parameters
    ----------
    model : VAE or Target
        A VAE with its examples, or a Target that has its own.
    examples : anything that has rows, optional
        Of the VAE: those whose context the simulated ones are to have and whose number; or only their number.
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
    Bidirectional
        Two Estimates [n], directions "lower" and "upper".

    Raises
    ------
    InputError
        As for `ais`, and for fewer than two examples.
    CapabilityError
        As for `ais`, and for a Target without `simulate`.

    Source: Grosse, Ghahramani, Adams, "Sandwiching the marginal likelihood using bidirectional Monte Carlo", 2015.

    >>> from elbowroom import likelihoods, posteriors, priors
    >>> _ = torch.manual_seed(0)
    >>> vae = VAE(priors.StandardNormal(1), posteriors.DiagonalNormal(torch.nn.Linear(2, 2), 1),
    ...           likelihoods.Normal(torch.nn.Linear(1, 2), 2))
    >>> found = bdmc(vae, 8, temperatures=50, chains=4)
    >>> found.lower.direction, found.upper.direction, bool(found.gap_limit < 0.1)
    ('lower', 'upper', True)
    """
    began = time.monotonic()
    check_settings("bdmc", temperatures, chains, leapfrog)
    target, back = _measured(model, examples, seed).target(seed), derived_seed(seed, BACKWARDS)
    ups, downs = [], []
    with Progress(f"BDMC-{temperatures}", len(target.index), progress) as bar:
        for drawn, exact in _simulated(target, seed, "bdmc"):
            first = 0
            for part, plan, run in measured_runs(drawn, start, schedule, temperatures, chains, leapfrog, seed, memory):
                size = len(part.index)
                ups.append(run.outcome)
                z = exact[:, first : first + size].repeat(chains, 1, 1)
                kicks = kicks_for(part, z, back, temperatures - 1)
                downs.append(anneal(path_from(part, start), z, plan.reversed(), kicks).outcome)
                first += size
                bar.advance(size)
    name, budget = ais_name(temperatures, start, chains), Budget(chains, seed, time.monotonic() - began)
    return Bidirectional(
        lower_bound(target, ups, name, budget), _turned(lower_bound(target, downs, f"{name}, backwards", budget))
    )


def simulated_against_real(
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
) -> SimulatedAgainstReal:
    """Variance of the log-weights and acceptance per temperature of AIS on examples and on as many simulated ones.

    The simulated examples are those of `bdmc` and have the examples' context.

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
    SimulatedAgainstReal
        A Trace of each.

    Raises
    ------
    InputError
        As for `bdmc`, and for one chain, which has no variance.
    CapabilityError
        As for `bdmc`.

    Source: Grosse, Ancha, Roy, "Measuring the reliability of MCMC inference with bidirectional Monte Carlo", 2016.

    >>> from elbowroom import likelihoods, posteriors, priors
    >>> vae = VAE(priors.StandardNormal(1), posteriors.DiagonalNormal(torch.nn.Linear(2, 2), 1),
    ...           likelihoods.Normal(torch.nn.Linear(1, 2), 2))
    >>> found = simulated_against_real(vae, torch.full((4, 2), 9.0), temperatures=20)
    >>> bool(found.real.shortfall.mean > found.simulated.shortfall.mean)        # 9 is far from what it makes
    True
    """
    check_settings("simulated_against_real", temperatures, chains, leapfrog)
    if chains < 2:
        raise InputError("The variance over chains needs chains=2 or more; got 1.")
    target = _measured(model, examples, seed).target(seed)
    with Progress("real and simulated", 2 * len(target.index), progress) as bar:

        def trace(targets: Iterable[Target]) -> Trace:
            pieces: list[tuple[Tensor, ...]] = []
            for target in targets:
                runs = measured_runs(target, start, schedule, temperatures, chains, leapfrog, seed, memory)
                for part, plan, run in runs:
                    pieces.append((plan.betas, run.acceptance, run.increment_variance, run.log_weights.var(0)))
                    bar.advance(len(part.index))
            return Trace(*(torch.cat(piece, -1).double().cpu().numpy() for piece in zip(*pieces, strict=True)))

        drawn = (drawn for drawn, _ in _simulated(target, seed, "simulated_against_real"))
        return SimulatedAgainstReal(trace([target]), trace(drawn))


def _turned(found: Estimate) -> Estimate:
    """Upper bounds on log p(x) from lower bounds on log 1 / p(x), whose chains all share one start."""
    unknown = np.full_like(found.values, np.nan)
    return replace(found, values=-found.values, mc_variance=unknown, direction="upper", ess=None)


def _measured(model: VAE | Target, examples: Any, seed: int) -> Subject:
    """The subject with these examples; with as many of the model's own where only their number is given."""
    if not isinstance(examples, int):
        return subject_of(model, examples)
    if not isinstance(model, VAE):
        raise InputError("A Target has its examples already; give a VAE to simulate another number of them.")
    if model.context_names:
        raise InputError(
            f"The model reads the context {model.context_names[0]!r}: give examples whose context the simulated ones "
            f"are to have, not only their number."
        )
    if examples < 1:
        raise InputError(f"There is nothing to simulate; got {examples} examples.")
    return subject_of(model, model.sample(examples, seed=seed))


def _simulated(target: Target, seed: int, caller: str) -> Iterator[tuple[Target, Float[Tensor, "1 batch dim"]]]:
    """The same model at examples of its own, some at a time, and the z they came from."""
    if len(target.index) < 2:
        raise InputError("A gap has no error from one simulated example; take two or more.")
    place = target.rows(slice(0, 1)).draw_prior(1, seed)
    generator = torch.Generator(place.device).manual_seed(derived_seed(seed, SIMULATION))
    for first in range(0, len(target.index), _AT_ONCE):
        yield capability(target.rows(slice(first, first + _AT_ONCE)), "simulate", caller)(generator)
