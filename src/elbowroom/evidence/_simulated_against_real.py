"""How like the real examples the simulated ones are, under the same annealing."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from elbowroom.numerics import InputError, one_of, own_modes, plain_arguments
from elbowroom.progress import Progress
from elbowroom.sampling.schedules import Schedule, check_settings
from elbowroom.vae import VAE

from .annealing_trace import AnnealingTrace
from .looks import annealed_runs
from .memory import MEMORY, Memory
from .simulated_examples import simulated, subject_with
from .target import Target

__all__ = ["SimulatedAgainstReal", "simulated_against_real"]


@dataclass(frozen=True)
class SimulatedAgainstReal:
    """The same annealing on real examples and on as many simulated ones, from `simulated_against_real`.

    Where both behave alike, the gap of `bdmc` on simulated examples is credible for real ones; it is no bound for them.
    Printed: one line that compares the two.

    Parameters
    ----------
    real : AnnealingTrace
        Of the examples given.
    simulated : AnnealingTrace
        Of the simulated examples.
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

    __repr__ = __str__


@own_modes
@plain_arguments
def simulated_against_real(
    model: VAE | Target,
    examples: Any = None,
    *,
    temperatures: int = 500,
    chains: int = 16,
    leapfrog: int = 10,
    start: Literal["posterior", "prior"] = "posterior",
    schedule: Schedule = "sigmoid",
    seed: int = 0,
    memory: Memory = MEMORY,
    progress: bool = False,
) -> SimulatedAgainstReal:
    """How AIS behaves on real examples beside simulated ones, to judge whether the gap of `bdmc` carries over.

    If log-weights vary much more on real examples, or chains are accepted less often, then AIS is worse there than the
    gap of `bdmc` says.

    Parameters
    ----------
    model : VAE or Target
        The model. A VAE needs `examples`; a `Target`, any other model, brings its own.
    examples : array, tensor, DataFrame, Batch or part of a data set, default None
        The real x, one row per example, [n, *event], on the scale of the data that the VAE was trained on; simulated
        ones have the same context. Required for a VAE; left out for a Target.
    temperatures : int, default 500
        Annealing steps from the first density to p(x, z), 2 or more. More of them take longer and tighten the bound.
    chains : int, default 16
        Annealing chains per example, averaged; run in parallel.
    leapfrog : int, default 10
        Leapfrog steps, one gradient of log p(x, z) each, in a Hamiltonian transition.
    start : {"posterior", "prior"}, default "posterior"
        Where chains start: from draws of the encoder q(z | x), or of the prior p(z).
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
    SimulatedAgainstReal
        An AnnealingTrace `real` and one `simulated`: variances of the log-weights (nats²) and acceptance per
        temperature.

    Raises
    ------
    InputError
        As for `bdmc`, and for one chain, which has no variance.
    CapabilityError
        As for `bdmc`.

    References
    ----------
    Grosse, Ancha & Roy, "Measuring the reliability of MCMC inference with bidirectional Monte Carlo" (2016).

    Examples
    --------
    >>> from elbowroom import likelihoods, posteriors, priors
    >>> vae = VAE(priors.StandardNormal(1), posteriors.DiagonalNormal(torch.nn.Linear(2, 2), 1),
    ...           likelihoods.Normal(torch.nn.Linear(1, 2), 2))
    >>> far = torch.full((4, 2), 9.0)        # far from what the model simulates
    >>> found = simulated_against_real(vae, far, temperatures=20)
    >>> bool(found.real.shortfall.mean > found.simulated.shortfall.mean)
    True
    """
    check_settings("simulated_against_real", temperatures, chains, leapfrog)
    one_of("start", start, ("posterior", "prior"))  # chains of one start, whose log-weights vary as one
    if chains < 2:
        raise InputError("The variance over chains needs chains=2 or more; got 1.")
    target = subject_with(model, examples, seed).target(seed)
    with Progress("real and simulated", 2 * len(target.index), show=progress) as bar:

        def trace(targets: Iterable[Target]) -> AnnealingTrace:
            pieces: list[tuple[Tensor, ...]] = []
            for target in targets:
                runs = annealed_runs(target, start, schedule, temperatures, chains, leapfrog, seed, memory)
                for places, _, plan, run, _ in runs:
                    pieces.append((plan.betas, run.acceptance, run.increment_variance, run.log_weights.var(0)))
                    bar.advance(len(places))
            return AnnealingTrace(*(torch.cat(piece, -1).double().cpu().numpy() for piece in zip(*pieces, strict=True)))

        drawn = (drawn for drawn, _ in simulated(target, seed, "simulated_against_real"))
        return SimulatedAgainstReal(trace([target]), trace(drawn))
