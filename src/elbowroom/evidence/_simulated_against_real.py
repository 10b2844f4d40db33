"""How like the real examples the simulated ones are, under the same annealing."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elbowroom.numerics import Estimate, InputError
from elbowroom.progress import Progress
from elbowroom.sampling.schedules import Schedule, check_settings
from elbowroom.vae import VAE

from .annealed import Start, annealed_runs
from .memory import MEMORY, Memory
from .simulated_examples import simulated, subject_with
from .target import Target

__all__ = ["SimulatedAgainstReal", "AnnealingTrace", "simulated_against_real"]


@dataclass(frozen=True)
class AnnealingTrace:
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

    real: AnnealingTrace
    simulated: AnnealingTrace

    def __str__(self) -> str:
        real, simulated = self.real.shortfall, self.simulated.shortfall
        apart = np.hypot(real.se_total, simulated.se_total)
        return (
            f"½ Var log w: {real.mean:.3f} nats ±{real.se_total:.3f} on {len(real):,} real points, "
            f"{simulated.mean:.3f} ±{simulated.se_total:.3f} on as many simulated ones (difference "
            f"{real.mean - simulated.mean:+.3f} ±{apart:.3f}); acceptance {self.real.acceptance.mean():.2f} and "
            f"{self.simulated.acceptance.mean():.2f}"
        ).replace("difference -", "difference −")


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
        A AnnealingTrace of each.

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
    target = subject_with(model, examples, seed).target(seed)
    with Progress("real and simulated", 2 * len(target.index), progress) as bar:

        def trace(targets: Iterable[Target]) -> AnnealingTrace:
            pieces: list[tuple[Tensor, ...]] = []
            for target in targets:
                runs = annealed_runs(target, start, schedule, temperatures, chains, leapfrog, seed, memory)
                for part, plan, run in runs:
                    pieces.append((plan.betas, run.acceptance, run.increment_variance, run.log_weights.var(0)))
                    bar.advance(len(part.index))
            return AnnealingTrace(*(torch.cat(piece, -1).double().cpu().numpy() for piece in zip(*pieces, strict=True)))

        drawn = (drawn for drawn, _ in simulated(target, seed, "simulated_against_real"))
        return SimulatedAgainstReal(trace([target]), trace(drawn))
