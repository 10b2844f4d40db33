"""Bidirectional Monte Carlo: bounds on log p(x) of simulated examples, from both ends."""

import math
import time
from dataclasses import dataclass, replace
from typing import Any

from elbowroom.numerics import Budget, Estimate, own_modes, plain_arguments
from elbowroom.progress import Progress
from elbowroom.sampling.schedules import Schedule, check_settings
from elbowroom.vae import VAE

from .annealed import Outcome, ais_name, lower_bound, outcome_of
from .looks import annealed_runs, backwards
from .memory import MEMORY, Memory
from .simulated_examples import simulated, subject_with
from .starts import Start
from .target import Target

__all__ = ["BdmcBounds", "bdmc"]


@dataclass(frozen=True)
class BdmcBounds:
    """A lower and an upper bound on log p(x) of the same examples, from `bdmc` or `reverse_ais`.

    Printed: one line, with the gap between the bounds.

    Parameters
    ----------
    lower : Estimate
        By AIS towards the posterior, [n], in nats.
    upper : Estimate
        By AIS backwards, [n], in nats. From `bdmc` it starts at an exact draw of the posterior, which all chains of an
        example share, so that its Monte-Carlo variance is unknown (NaN); examples are independent, so the standard
        error of the mean over examples is right. From `reverse_ais` its direction is "upper if mixed".
    """

    lower: Estimate
    upper: Estimate

    @property
    def gap(self) -> Estimate:
        """upper − lower per example, in nats: in expectation at least the distance of either bound from log p(x)."""
        return replace(
            self.upper - self.lower,
            quantity=f"the distance from {self.lower.quantity} to either end",
            estimator=self.lower.estimator,
            ess=None,
        )

    @property
    def gap_limit(self) -> float:
        """Upper end of the one-sided 95 % interval for the mean gap over all such examples, in nats."""
        return self.gap.upper_limit

    def __str__(self) -> str:
        gap, quantity, sure = self.gap, self.lower.quantity, self.upper.direction == "upper"
        bounds = f"at least {self.lower.mean:.2f}, at most {self.upper.mean:.2f}".replace("-", "−")
        points, given = ("simulated points", "") if sure else ("points", " if the chains have mixed")
        words = (
            f"gap {gap.mean:.3f} nats ±{gap.se_total:.3f} ({len(gap):,} {points}), 95 % sure below "
            f"{self.gap_limit:.3f}{given}: mean {quantity} {bounds}{given and ' if they have'}, {self.lower.estimator}"
        ).replace("gap -", "gap −")
        return "; ".join([words, *gap.warnings])

    __repr__ = __str__


@own_modes
@plain_arguments
def bdmc(
    model: VAE | Target,
    examples: Any = None,
    *,
    temperatures: int = 500,
    chains: int = 16,
    leapfrog: int = 10,
    start: Start = "both",
    schedule: Schedule = "sigmoid",
    seed: int = 0,
    memory: Memory = MEMORY,
    progress: bool = False,
) -> BdmcBounds:
    """Lower and upper bounds on log p(x) of examples simulated from the model (bidirectional Monte Carlo), in nats.

    The gap between the bounds says how far `ais`, with the same settings, can be from log p(x). It holds for simulated
    examples only; `simulated_against_real` says how far it carries over to real ones.

    Parameters
    ----------
    model : VAE or Target
        The model. A VAE needs `examples`; a `Target`, any other model, brings its own.
    examples : int, array, tensor, DataFrame, Batch or part of a data set, default None
        For a VAE, how many examples to simulate, 2 or more; or examples, of which as many are simulated, with their
        contexts where the model reads any. None, the default, is for a Target, which knows how many it has.
    temperatures : int, default 500
        Annealing steps from the first density to p(x, z), 2 or more. More of them take longer and tighten the bound.
    chains : int, default 16
        Annealing chains per example, averaged; run in parallel.
    leapfrog : int, default 10
        Leapfrog steps, one gradient of log p(x, z) each, in a Hamiltonian transition.
    start : {"both", "posterior", "prior"}, default "both"
        Where chains start: two thirds at draws of the encoder q(z | x) and a third at draws of the prior p(z), each
        weighed by the density of that mixture; or all at the one or the other.
    schedule : {"sigmoid", "linear", "adaptive"}, default "sigmoid"
        How temperatures are spread from 0 to 1: densely at both ends, evenly, or as a short pilot run finds best for
        each example.
    seed : int, default 0
        Seed of all noise. An example's noise depends on the seed and its place in the data set only, so results do not
        depend on how examples are batched.
    memory : int or str, default "1 GiB"
        How much memory a pass through the model may take: bytes, or words such as "500 MB". Results do not depend on it
        beyond rounding.
    progress : bool, default False
        Whether to show progress on standard error.

    Returns
    -------
    BdmcBounds
        Estimates `lower` and `upper` of log p(x), [n] each, in nats, and their `gap`. Simulated x are on the scale that
        the likelihood sees (after preprocessing), and log p(x) is their density there, as the quantity says.

    Raises
    ------
    InputError
        As for `ais`, and for fewer than two examples.
    CapabilityError
        As for `ais`, and for a Target without `simulate`.

    Notes
    -----
    Each x is simulated together with its z, which is an exact draw of the posterior p(z | x). AIS towards the posterior
    bounds log p(x) from below in expectation. AIS backwards from that z, with the same temperatures and step sizes, is
    unbiased for 1 / p(x) and so bounds log p(x) from above. Step sizes come from a pilot run, which never sees the
    exact z, and are then fixed. From start="both" the way back leads to the one of q(z | x) and p(z) whose chains
    brought more of the weight on the way there: to their mixture it would be loose, by 0.4 nats in many dimensions. An
    example that got kernels of its own is led back to its whole mixture.

    References
    ----------
    Grosse, Ghahramani & Adams, "Sandwiching the marginal likelihood using bidirectional Monte Carlo" (2015).

    Examples
    --------
    >>> import torch
    >>> import elbowroom as er
    >>> _ = torch.manual_seed(0)
    >>> vae = er.VAE(er.priors.StandardNormal(1), er.posteriors.DiagonalNormal(torch.nn.Linear(2, 2), 1),
    ...              er.likelihoods.Normal(torch.nn.Linear(1, 2), 2))
    >>> found = er.evidence.bdmc(vae, 8, temperatures=50, chains=4)
    >>> found.lower.direction, found.upper.direction, bool(found.gap_limit < 0.2)
    ('lower', 'upper', True)
    """
    began = time.monotonic()
    check_settings("bdmc", temperatures, chains, leapfrog)
    target = subject_with(model, examples, seed).target(seed)
    ups: list[Outcome] = []
    downs: list[Outcome] = []
    first = 0
    with Progress(f"BDMC-{temperatures}", len(target.index), show=progress) as bar:
        for drawn, exact in simulated(target, seed, "bdmc"):
            for up in annealed_runs(drawn, start, schedule, temperatures, chains, leapfrog, seed, memory):
                places, begun, _, run, unseen = up
                ups.append(outcome_of(first + places, run, begun.chains, len(begun.parts), unseen))
                z = exact[:, places].repeat(sum(begun.chains), 1, 1)
                down = backwards(up, z, seed)
                downs.append(outcome_of(first + places, down, (len(z),), len(begun.parts), unseen))
                bar.advance(len(places))
            first += len(drawn.index)
    name, budget = ais_name(temperatures, start, chains), Budget(chains, seed, time.monotonic() - began)
    lower, less = lower_bound(target, ups, name, budget), lower_bound(target, downs, f"{name}, backwards", budget)
    quantity, unknown = getattr(drawn, "quantity", lower.quantity), less.values * math.nan  # as all share one start
    upper = replace(less, values=-less.values, mc_variance=unknown, direction="upper", ess=None, quantity=quantity)
    return BdmcBounds(replace(lower, quantity=quantity), upper)
