"""Annealed importance sampling."""

import time
from typing import Any

from elbowroom.numerics import Budget, Estimate
from elbowroom.progress import Progress
from elbowroom.sampling.schedules import Schedule, check_settings
from elbowroom.vae import VAE

from .annealed import Start, ais_name, annealed_runs, lower_bound
from .memory import MEMORY, Memory
from .target import Target, subject_of

__all__ = ["ais"]


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

    >>> import torch
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
        for part, _, run in annealed_runs(target, start, schedule, temperatures, chains, leapfrog, seed, memory):
            found.append(run.outcome)
            bar.advance(len(part.index))
    name = ais_name(temperatures, start, chains)
    return lower_bound(target, found, name, Budget(chains, seed, time.monotonic() - began), subject.data)
