"""Both ends of log p(x) of given examples: AIS, and AIS backwards from chains that have moved at the posterior."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from elbowroom.numerics import Budget, InputError, derived_seed, keyed_uniform, own_modes, plain_arguments
from elbowroom.numerics.streams import BURN_IN
from elbowroom.progress import Progress
from elbowroom.sampling import hmc, rhat
from elbowroom.sampling.schedules import Schedule, check_settings
from elbowroom.vae import VAE

from ._bdmc import BdmcBounds
from .annealed import Outcome, ais_name, lower_bound, outcome_of, transition_noise
from .looks import Run, annealed_runs, backwards
from .memory import MEMORY, Memory
from .starts import Start
from .target import Target, subject_of

__all__ = ["burnt_in", "reverse_ais"]

_KEPT = 100  # draws of each chain that R-hat is of, at most
_LEAST = 8  # transitions, of whose second half R-hat needs four


@own_modes
@plain_arguments
def reverse_ais(
    model: VAE | Target,
    examples: Any = None,
    *,
    temperatures: int = 500,
    chains: int = 16,
    leapfrog: int = 10,
    start: Start = "both",
    schedule: Schedule = "sigmoid",
    warm_up: int = 200,
    seed: int = 0,
    memory: Memory = MEMORY,
    progress: bool = False,
) -> BdmcBounds:
    """Both ends of log p(x) of real examples: `ais`, and the same annealing backwards from the posterior, in nats.

    Annealing backwards from exact draws of the posterior bounds log p(x) from above in expectation. Of real x there are
    none: here the chains of `ais`, drawn by their weights, move at the posterior for `warm_up` transitions and start
    the way back. So the upper end is a bound only if these chains have mixed, and its direction is "upper if mixed".
    Where they have not, because whole modes are missing from them, it lies too low: by up to −log of the share of the
    posterior that they have found, as `ais` does, so that the ends may agree and both be wrong. R-hat sees chains that
    disagree and cannot see a mode that none of them has found. `bdmc` gives an upper bound without an if, on simulated
    examples.

    Parameters
    ----------
    model : VAE or Target
        The model. A VAE needs `examples`; a `Target`, any other model, brings its own.
    examples : array, tensor, DataFrame, Batch or part of a data set, default None
        The x to estimate for, one row per example, [n, *event], on the scale of the data that the VAE was trained on.
        Required for a VAE; left out for a Target.
    temperatures : int, default 500
        Annealing steps from the first density to p(x, z), 2 or more. More of them take longer and tighten both ends.
    chains : int, default 16
        Annealing chains per example, 2 or more, averaged; run in parallel, upwards and then downwards.
    leapfrog : int, default 10
        Leapfrog steps, one gradient of log p(x, z) each, in a Hamiltonian transition.
    start : {"both", "posterior", "prior"}, default "both"
        Where chains start: two thirds at draws of the encoder q(z | x) and a third at draws of the prior p(z), each
        weighed by the density of that mixture; or all at the one or the other.
    schedule : {"sigmoid", "linear", "adaptive"}, default "sigmoid"
        How temperatures are spread from 0 to 1: densely at both ends, evenly, or as a short pilot run finds best for
        each example.
    warm_up : int, default 200
        Transitions of each chain at the posterior before it is annealed backwards, 8 or more. R-hat is of the second
        half of them, of 100 draws of each chain at most.
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
        Estimates of log p(x) of each example, [n] each, in nats, on the scale of `examples`: `lower`, which is that of
        `ais` with these settings; `upper`, direction "upper if mixed"; and their `gap`. Fields of `upper`: `rhat`, the
        greatest R-hat of the latent dimensions and log p(x, z); `ess`, the lesser of the effective numbers of chains on
        the way there and back; printing it counts the examples with an R-hat above 1.1.

    Raises
    ------
    InputError
        As for `ais`, and for one chain, which R-hat cannot compare, or fewer than 8 transitions at the posterior.
    CapabilityError
        As for `ais`.

    See Also
    --------
    bdmc : An upper bound without an if, on simulated examples.

    Notes
    -----
    The way back leads to the one of q(z | x) and p(z) whose chains brought more of the weight, by the same plan; of an
    example that got kernels of its own, to its whole mixture. Chains are drawn by weight systematically, so that how
    many start in a mode varies by less than one around its share. Transitions at the posterior have the plan's last
    step sizes, which do not change. The Monte-Carlo variance is the jackknife's over chains, which are independent
    draws if they have mixed.

    References
    ----------
    Grosse, Ghahramani & Adams, "Sandwiching the marginal likelihood using bidirectional Monte Carlo" (2015).
    Grosse, Ancha & Roy, "Measuring the reliability of MCMC inference with bidirectional Monte Carlo" (2016).

    Examples
    --------
    >>> import torch
    >>> import elbowroom as er
    >>> vae = er.VAE(er.priors.StandardNormal(1), er.posteriors.DiagonalNormal(torch.nn.Linear(2, 2), 1),
    ...              er.likelihoods.Normal(torch.nn.Linear(1, 2), 2))
    >>> found = er.evidence.reverse_ais(vae, torch.zeros(3, 2), temperatures=20, chains=8, warm_up=20)
    >>> found.lower.direction, found.upper.direction
    ('lower', 'upper if mixed')
    """
    began = time.monotonic()
    check_settings("reverse_ais", temperatures, chains, leapfrog)
    _check(chains, warm_up)
    subject = subject_of(model, examples)
    target = subject.target(seed)
    ups: list[Outcome] = []
    downs: list[Outcome] = []
    with Progress(f"AIS-{temperatures}, both ways", len(target.index), show=progress) as bar:
        for up in annealed_runs(target, start, schedule, temperatures, chains, leapfrog, seed, memory, 2 * _KEPT):
            places, begun, _, run, unseen = up
            ups.append(outcome_of(places, run, begun.chains, len(begun.parts), unseen))
            z, worst = burnt_in(up, warm_up, seed)
            down = outcome_of(places, backwards(up, z, seed), (len(z),), len(begun.parts), unseen)
            downs.append(_with_the_worse(down, ups[-1])._replace(rhat=worst))
            bar.advance(len(places))
    name, budget = ais_name(temperatures, start, chains), Budget(chains, seed, time.monotonic() - began)
    back = f"{name}, backwards after {warm_up} transitions at the posterior"
    lower, less = (lower_bound(target, *each, budget, subject.data) for each in ((ups, name), (downs, back)))
    return BdmcBounds(lower, replace(less, values=-less.values, direction="upper if mixed"))


def burnt_in(run: Run, warm_up: int, seed: int) -> tuple[Float[Tensor, "chains batch dim"], Float[Tensor, "batch"]]:
    """Chains of a run, drawn by their weights, after some transitions at the posterior, and how well they have mixed.

    Parameters
    ----------
    run : Run
        A run towards the posterior.
    warm_up : int
        Transitions, 8 or more.
    seed : int
        Seed of all noise.

    Returns
    -------
    tuple of Tensor
        z, [chains, batch, dim]; and the greatest R-hat over the second half of the transitions, [batch].
    """
    own, kept = derived_seed(seed, BURN_IN), []
    second = range(warm_up - 1, warm_up // 2 - 1, -max(1, warm_up // 2 // _KEPT))
    for turn, (z, log_joint) in enumerate(_at_the_posterior(run, drawn_by_weight(run, own), warm_up, own)):
        if turn in second[:_KEPT]:
            kept.append(torch.cat([z, log_joint.unsqueeze(-1).to(z)], -1).cpu())
    draws = torch.stack(kept)
    worst = [rhat(draws[:, :, place]).amax() for place in range(draws.shape[2])]  # one by one: less memory, and faster
    return z, torch.stack(worst)


def _at_the_posterior(run: Run, z: Tensor, transitions: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """z and log p(x, z) of chains from z on, with the last step sizes of the plan, whose kinds take turns."""
    path, sizes = run.begun.path, run.plan.step_sizes[-2:]
    state, coefficients = hmc.init(path.log_factors, z), path.coefficients(run.plan.betas[-1])
    for turn, noise in enumerate(transition_noise(run.begun.target, z, seed, transitions)):
        size = sizes[turn % len(sizes)]
        state, _ = hmc.step(path.log_factors, state, noise, size, run.plan.leapfrog, coefficients)
        yield state.z, hmc.weighted(state.log_factors, coefficients)


def drawn_by_weight(run: Run, seed: int) -> Float[Tensor, "chains batch dim"]:
    """Where chains of a run ended, as many as there are, drawn systematically by their weights.

    Parameters
    ----------
    run : Run
        A run towards the posterior.
    seed : int
        Seed of all noise.

    Returns
    -------
    Tensor
        z, [chains, batch, dim]; how often an end is drawn is its share of the weight times chains, rounded up or down.
    """
    z, log_weights = run.run.state.z, run.run.log_weights
    uniform = keyed_uniform((1,), run.begun.target.index, seed).to(log_weights)  # [batch, 1]
    even = (torch.arange(len(z), device=z.device) + uniform) / len(z)
    up_to = log_weights.softmax(0).cumsum(0).nan_to_num(0.0).T.contiguous()
    at = torch.searchsorted(up_to, even).clamp(max=len(z) - 1).T
    return z.gather(0, at.unsqueeze(-1).expand_as(z))


def _with_the_worse(down: Outcome, up: Outcome) -> Outcome:
    """A way back can be trusted no more than the way there, where it starts."""
    found = down.found._replace(ess=torch.minimum(down.found.ess, up.found.ess))
    return down._replace(found=found, divergent=torch.maximum(down.divergent, up.divergent))


def _check(chains: int, warm_up: int) -> None:
    if chains < 2:
        raise InputError(f"Whether chains have mixed is seen by comparing them: give chains=2 or more; got {chains}.")
    if warm_up < _LEAST:
        raise InputError(f"R-hat is of half of the transitions: give warm_up={_LEAST} or more; got {warm_up}.")
