"""Annealed importance sampling."""

import time
from typing import Any

from elbowroom.numerics import Budget, Estimate, own_modes, plain_arguments
from elbowroom.progress import Progress
from elbowroom.sampling.schedules import Schedule, check_settings
from elbowroom.vae import VAE

from .annealed import ais_name, lower_bound, outcome_of
from .looks import annealed_runs
from .memory import MEMORY, Memory
from .starts import Start
from .target import Target, subject_of

__all__ = ["ais"]


@own_modes
@plain_arguments
def ais(
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
) -> Estimate:
    """A lower bound on log p(x) of each example by annealed importance sampling (AIS), in nats.

    Chains move from q(z | x) and p(z) to the posterior p(z | x) by Hamiltonian Monte Carlo. In expectation the estimate
    lies below log p(x), and more `temperatures` bring it closer. Chains from p(z) find what q(z | x) misses: other
    modes, or a posterior many times wider or narrower than q. What neither start leads to is missed without a warning;
    a mode whose tempered mass is small beside the others' is the usual case: of two modes, one ten times narrower in
    every dimension is found in one dimension, mostly in two and hardly ever in five; of two that differ in one of 50
    dimensions only, a fifth are missed. With start="posterior" every mode that q misses is missed so, and q ten or more
    times too narrow makes the estimate far too low. A posterior that is thin, or bent, in 20 or more dimensions
    together may be reached too late in 100 temperatures, some nats too low by all chains alike: compare with twice as
    many.

    Parameters
    ----------
    model : VAE or Target
        The model. A VAE needs `examples`; a `Target`, any other model, brings its own.
    examples : array, tensor, DataFrame, Batch or part of a data set, default None
        The x to estimate for, one row per example, [n, *event], on the scale of the data that the VAE was trained on.
        Required for a VAE; left out for a Target.
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
        Seed of all noise. An example's noise depends on the seed and its place in the data set only, so results depend
        on how examples are batched by rounding alone; few temperatures and a q far off can make tenths of a nat of it.
    memory : int or str, default "1 GiB"
        How much memory a pass through the model may take: bytes, or words such as "500 MB". Results do not depend on it
        beyond rounding.
    progress : bool, default False
        Whether to show progress on standard error.

    Returns
    -------
    Estimate
        log p(x) of each example [n], in nats, on the scale of `examples`, direction "lower". Its field `ess` is the
        effective number of chains, `divergent` the share of divergent transitions, and `unseen` about the share of the
        posterior in places that no chain has found; printing it warns of examples where one of them is bad.

    Raises
    ------
    InputError
        If there are no examples, a setting is out of range, or `memory` does not hold the chains of one example, of
        which one that looks bad gets 20 more, in up to 8 latent dimensions 24.
    CapabilityError
        If latents are discrete, constrained or observed, or log p(x, z) has no gradient in z.

    See Also
    --------
    bdmc : How far this bound is from log p(x), on simulated examples.

    Notes
    -----
    exp of the estimate is unbiased for p(x). Step sizes and an "adaptive" schedule come from pilot runs on other noise
    and are fixed before the run that counts, one plan for all chains of an example, which keeps it so. With
    start="both" examples that look bad in the pilots (few effective chains, or chains from p(z) that end where q is
    not) get more: the pilots' chains stay at the posterior for 50 transitions, and a Gaussian kernel for each of them
    joins the mixture, with a chain of its own. In up to 8 latent dimensions the four heaviest of 100 plain draws for
    each chain do as those from p(z) do. The Monte-Carlo variance is the jackknife's over chains, within each
    start: 95 % intervals from 64 chains cover 94 %, from 16 chains 93 %; where `ess` is small it is a rough guess.

    References
    ----------
    Neal, "Annealed importance sampling" (2001).
    Wu, Burda, Salakhutdinov & Grosse, "On the quantitative analysis of decoder-based generative models" (2017).
    Owen & Zhou, "Safe and effective importance sampling" (2000).

    Examples
    --------
    >>> import torch
    >>> import elbowroom as er
    >>> vae = er.VAE(er.priors.StandardNormal(1), er.posteriors.DiagonalNormal(torch.nn.Linear(2, 2), 1),
    ...              er.likelihoods.Normal(torch.nn.Linear(1, 2), 2))
    >>> found = er.evidence.ais(vae, torch.zeros(3, 2), temperatures=20, chains=4)
    >>> found.direction, found.estimator
    ('lower', 'AIS-20 from the posterior and prior, 4 chains')
    """
    began = time.monotonic()
    check_settings("ais", temperatures, chains, leapfrog)
    subject = subject_of(model, examples)
    target, found = subject.target(seed), []
    with Progress(f"AIS-{temperatures}", len(target.index), show=progress) as bar:
        for places, begun, _, run, unseen in annealed_runs(
            target, start, schedule, temperatures, chains, leapfrog, seed, memory
        ):
            found.append(outcome_of(places, run, begun.chains, len(begun.parts), unseen))
            bar.advance(len(places))
    name = ais_name(temperatures, start, chains)
    return lower_bound(target, found, name, Budget(chains, seed, time.monotonic() - began), subject.data)
