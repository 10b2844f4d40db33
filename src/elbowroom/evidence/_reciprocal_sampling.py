"""log p(x) from draws of the posterior and a density fitted to others of them: the reciprocal of a mean."""

import math
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import MultivariateNormal

from elbowroom.numerics import Budget, Estimate, InputError, derived_seed, one_of, own_modes, plain_arguments
from elbowroom.numerics.streams import RECIPROCAL_PILOT
from elbowroom.progress import Progress
from elbowroom.sampling import effective_draws, hmc, rhat
from elbowroom.sampling.annealing import pilot, pilot_transitions
from elbowroom.vae import VAE

from .annealed import draw_start, in_groups, path_from, transition_noise
from .importance import log_mean_exp
from .memory import MEMORY, Memory, as_bytes
from .target import Target, subject_of

__all__ = ["Density", "reciprocal_sampling"]

Density = Literal["normal", "kernel"]

_PILOT_POINTS = 20


@own_modes
@plain_arguments
def reciprocal_sampling(
    model: VAE | Target,
    examples: Any = None,
    *,
    draws: int = 1000,
    chains: int = 32,
    warm_up: int = 100,
    leapfrog: int = 10,
    density: Density = "normal",
    seed: int = 0,
    memory: Memory = MEMORY,
    progress: bool = False,
) -> Estimate:
    """log p(x) of each example from draws of its posterior, as −log of the mean of q̂(z) / p(x, z), in nats.

    q̂ is a density fitted to some of the draws, and the mean is over others. With exact draws this would be an upper
    bound on log p(x) in expectation; with chains it is neither an upper nor a lower bound, as a chain that stays in one
    part of the posterior lowers it. Reliable in a few latent dimensions only.

    Parameters
    ----------
    model : VAE or Target
        The model. A VAE needs `examples`; a `Target`, any other model, brings its own.
    examples : array, tensor, DataFrame, Batch or part of a data set, default None
        The x to estimate for, one row per example, [n, *event], on the scale of the data that the VAE was trained on.
        Required for a VAE; left out for a Target.
    draws : int, default 1000
        Posterior draws per example that the mean is over; as many others are used to fit q̂.
    chains : int, default 32
        Hamiltonian chains per example, even and 4 or more: one half gives the draws that q̂ is fitted to, the other
        half those that the mean is over.
    warm_up : int, default 100
        Transitions of each chain that are discarded before the first draw.
    leapfrog : int, default 10
        Leapfrog steps, one gradient each, in a Hamiltonian transition.
    density : {"normal", "kernel"}, default "normal"
        q̂: a normal density with full covariance; or a kernel density of that covariance and Scott's bandwidth, which
        is already too wide in a few dimensions.
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
    Estimate
        log p(x) of each example [n], in nats, direction "none". Its field `ess` is the effective number of draws, which
        allows for autocorrelation; `rhat` the greatest R-hat of the latent dimensions. Printing it counts the examples
        with an R-hat above 1.1.

    Raises
    ------
    InputError
        As for `ais`, and for fewer draws than q̂ has parameters.
    CapabilityError
        If latents are discrete, constrained or observed, or log p(x, z) has no gradient in z.

    Notes
    -----
    Chains start at draws of q(z | x), with step sizes that a pilot run on other noise finds. The Monte-Carlo variance
    is the jackknife's over chains, given q̂. It misses what rare draws in the tails of q̂ would add, which is what
    makes the estimate unreliable as dimensions grow.

    References
    ----------
    Gelfand & Dey, "Bayesian model choice: asymptotics and exact calculations" (1994).
    Kingma & Welling, "Auto-encoding variational Bayes" (2014), appendix D.

    Examples
    --------
    >>> from elbowroom import likelihoods, posteriors, priors
    >>> vae = VAE(priors.StandardNormal(1), posteriors.DiagonalNormal(torch.nn.Linear(2, 2), 1),
    ...           likelihoods.Normal(torch.nn.Linear(1, 2), 2))
    >>> found = reciprocal_sampling(vae, torch.zeros(3, 2), draws=80, warm_up=5, leapfrog=2)
    >>> found.direction, found.budget.draws
    ('none', 80)
    """
    began = time.monotonic()
    steps = _steps(draws, chains, warm_up, leapfrog)
    subject = subject_of(model, examples)
    target = subject.target(seed)
    kept, found = steps * chains // 2, []
    fit = _fit(density, target.dim, kept)
    with Progress("reciprocal sampling", len(target.index), show=progress) as bar:
        for part in _groups(target, steps * chains, chains, density, memory):
            chain = _posterior_chain(part, chains, warm_up, leapfrog, seed)
            z, log_joint = (torch.stack(column) for column in zip(*(next(chain) for _ in range(steps)), strict=True))
            log_q = fit(z[:, : chains // 2])(z[:, chains // 2 :])
            value, error, ess, worst = *_reciprocal(log_q - log_joint[:, chains // 2 :]), _worst_rhat(z)
            if (unknown := getattr(part, "unknown", None)) is not None:  # log p of no cells is 0
                value, error = value.masked_fill(unknown, 0.0), error.masked_fill(unknown, 0.0)
            found.append([t.cpu() for t in (value, error, ess, worst)])
            bar.advance(len(part.index))
    values, variance, ess, worst = (torch.cat(column) for column in zip(*found, strict=True))
    return Estimate.of(
        values,
        variance,
        target.index.cpu(),
        quantity=subject.quantity,
        estimator=f"reciprocal sampling with a {density} density, {kept:,} draws of {chains // 2} chains",
        direction="none",
        budget=Budget(kept, seed, time.monotonic() - began),
        ess=ess,
        rhat=worst,
        data=subject.data,
    )


class _Reciprocal(NamedTuple):
    value: Tensor
    variance: Tensor
    ess: Tensor


def _reciprocal(log_ratio: Float[Tensor, "steps chains n"]) -> _Reciprocal:
    """−log of the mean ratio, its variance over chains, and the effective number of draws; [n] each."""
    value, variance, _ = log_mean_exp(log_ratio.logsumexp(0) - math.log(len(log_ratio)))
    share = (log_ratio - log_ratio.amax((0, 1))).exp()
    relative = share.var((0, 1)) / share.mean((0, 1)).square()
    return _Reciprocal(-value, variance, effective_draws(share) / (1 + relative))


def _worst_rhat(z: Float[Tensor, "steps chains n dim"]) -> Float[Tensor, "n"]:
    return rhat(z).amax(-1)


def _posterior_chain(
    target: Target, chains: int, warm_up: int, leapfrog: int, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """z [chains, n, dim] and log p(x, z) [chains, n], float64, after each transition past the warm-up, without end."""
    other = derived_seed(seed, RECIPROCAL_PILOT)
    path, betas = path_from(target, "prior"), torch.ones(_PILOT_POINTS, dtype=torch.float64)  # at β = 1: p(x, z)
    z = draw_start(target, "posterior", chains, other)
    sizes = pilot(
        path, z, betas, transition_noise(target, z, other, pilot_transitions(_PILOT_POINTS)), leapfrog
    ).step_sizes
    size = sizes[_PILOT_POINTS // 2 :].log().mean(0).exp()
    state = hmc.init(path.log_factors, draw_start(target, "posterior", chains, seed))
    for step, noise in enumerate(transition_noise(target, z, seed, 2**20)):
        state, _ = hmc.step(path.log_factors, state, noise, size, leapfrog)
        if step >= warm_up:
            yield state.z.double(), hmc.weighted(state.log_factors, None)


_Draws = Float[Tensor, "steps chains n dim"]
_LogDensity = Callable[[_Draws], Float[Tensor, "steps chains n"]]


def _fit(density: Density, dim: int, draws: int) -> Callable[[_Draws], _LogDensity]:
    """The function that fits the density; refuses fewer draws than its covariance needs."""
    kinds = {"normal": _normal, "kernel": _kernel}
    one_of("density", density, kinds)
    parameters = dim * (dim + 3) // 2
    if draws < parameters:
        raise InputError(
            f"A density of {dim} latent dimensions has {parameters:,} numbers to fit, which {draws:,} draws cannot: "
            f"ask for more, several times as many, or take evidence.ais."
        )
    return kinds[density]


def _normal(z: _Draws) -> _LogDensity:
    return _moments(z).log_prob


def _kernel(z: _Draws) -> _LogDensity:
    """Normal kernels at the draws, of their covariance times the square of Scott's factor.

    References
    ----------
    Scott, "Multivariate density estimation" (1992).
    """
    whole = _moments(z)
    count, dim = z.shape[0] * z.shape[1], z.shape[-1]
    width = count ** (-1 / (dim + 4))
    log_volume = whole.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    log_scale = log_volume + dim * math.log(width) + 0.5 * dim * math.log(2 * math.pi) + math.log(count)

    def white(z: Tensor) -> Tensor:
        """Draws [n, draws, dim] in units of the kernel."""
        away = (z - whole.mean).movedim(-2, 0).flatten(1, -2)
        return torch.linalg.solve_triangular(whole.scale_tril, away.mT, upper=False).mT / width

    centres = white(z)

    def log_density(z: Tensor) -> Tensor:
        """Step by step, as every draw is compared with every centre."""
        far = (torch.cdist(white(one[None]), centres).square() for one in z)
        return torch.stack([(-0.5 * d).logsumexp(-1).T for d in far]) - log_scale

    return log_density


def _moments(z: _Draws) -> MultivariateNormal:
    """The normal density of the draws' mean and covariance, with batch shape [n]."""
    rows = z.flatten(0, 1)
    away = rows - rows.mean(0)
    covariance = torch.einsum("kni,knj->nij", away, away) / (len(rows) - 1)
    return MultivariateNormal(rows.mean(0), covariance, validate_args=False)


def _groups(target: Target, kept: int, chains: int, density: Density, memory: Memory) -> Iterator[Target]:
    """Examples in groups whose chains take half of the memory, and whose kept draws the other half, at most."""
    room = as_bytes(memory) // 2
    numbers = kept * (4 * target.dim + 8) + (2 * chains * kept if density == "kernel" else 0)
    if 8 * numbers > room:
        raise InputError(
            f"memory={2 * room:,} bytes does not hold the draws of one example, which need {16 * numbers:,}: give "
            f"more, or ask for fewer draws."
        )
    for group in in_groups(target, lambda part: path_from(part, "prior"), chains, room):
        for first in range(0, len(group.index), room // (8 * numbers)):
            yield group.rows(slice(first, first + room // (8 * numbers)))


def _steps(draws: int, chains: int, warm_up: int, leapfrog: int) -> int:
    """How many transitions of each chain are kept."""
    if chains < 4 or chains % 2:
        raise InputError(f"One half of the chains is fitted to, so chains must be even and 4 or more; got {chains}.")
    if draws < 2 * chains:
        raise InputError(f"{chains} chains need draws={2 * chains} or more, four of each; got {draws}.")
    if leapfrog < 1 or warm_up < 0:
        raise InputError(f"leapfrog must be 1 or more and warm_up 0 or more; got {leapfrog} and {warm_up}.")
    return math.ceil(2 * draws / chains)
