"""Bidirectional Monte Carlo: bounds on log p(x) of simulated examples, from both ends."""

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from elbowroom.numerics import Budget, Estimate, derived_seed
from elbowroom.numerics.streams import BACKWARDS
from elbowroom.progress import Progress
from elbowroom.sampling.annealing import anneal
from elbowroom.sampling.schedules import Schedule, check_settings
from elbowroom.vae import VAE

from .annealed import Start, ais_name, annealed_runs, lower_bound, path_from, transition_noise
from .memory import MEMORY, Memory
from .simulated_examples import simulated, subject_with
from .target import Target

__all__ = ["BdmcBounds", "bdmc"]


@dataclass(frozen=True)
class BdmcBounds:
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
) -> BdmcBounds:
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
    BdmcBounds
        Two Estimates [n], directions "lower" and "upper".

    Raises
    ------
    InputError
        As for `ais`, and for fewer than two examples.
    CapabilityError
        As for `ais`, and for a Target without `simulate`.

    Source: Grosse, Ghahramani, Adams, "Sandwiching the marginal likelihood using bidirectional Monte Carlo", 2015.

    >>> import torch
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
    target, back = subject_with(model, examples, seed).target(seed), derived_seed(seed, BACKWARDS)
    ups, downs = [], []
    with Progress(f"BDMC-{temperatures}", len(target.index), progress) as bar:
        for drawn, exact in simulated(target, seed, "bdmc"):
            first = 0
            for part, plan, run in annealed_runs(drawn, start, schedule, temperatures, chains, leapfrog, seed, memory):
                size = len(part.index)
                ups.append(run.outcome)
                z = exact[:, first : first + size].repeat(chains, 1, 1)
                noise = transition_noise(part, z, back, temperatures - 1)
                downs.append(anneal(path_from(part, start), z, plan.reversed(), noise).outcome)
                first += size
                bar.advance(size)
    name, budget = ais_name(temperatures, start, chains), Budget(chains, seed, time.monotonic() - began)
    return BdmcBounds(
        lower_bound(target, ups, name, budget), _turned(lower_bound(target, downs, f"{name}, backwards", budget))
    )


def _turned(found: Estimate) -> Estimate:
    """Upper bounds on log p(x) from lower bounds on log 1 / p(x), whose chains all share one start."""
    unknown = np.full_like(found.values, np.nan)
    return replace(found, values=-found.values, mc_variance=unknown, direction="upper", ess=None)
