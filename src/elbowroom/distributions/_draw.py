"""Draws: standard-normal noise in, a value and its log-density out; and simulation where noise cannot do it."""

import math
from collections.abc import Callable
from functools import partial, singledispatch

import torch
from torch import Generator, Tensor
from torch.distributions import (
    Bernoulli,
    Categorical,
    Distribution,
    Independent,
    Laplace,
    MixtureSameFamily,
    Normal,
    OneHotCategorical,
    Poisson,
    TransformedDistribution,
)
from torch.nn.functional import softplus

from elbowroom.numerics import CapabilityError
from elbowroom.numerics.seeded import seeded

from .capabilities import capabilities, require
from .tails import log_ndtr

__all__ = ["Draw", "draw", "simulate"]

Draw = tuple[Tensor, Callable[[], Tensor]]
"""A value, and a function that gives its log-density: many objectives never ask for it."""

_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


@singledispatch
def draw(distribution: Distribution, noise: Tensor) -> Draw:
    """The value that standard-normal noise becomes, and its log-density.

    The value is reparameterised: gradients reach the distribution's parameters. Any family with an `icdf` works through
    it; others are registered with `draw.register`.

    Parameters
    ----------
    distribution : Distribution
        What is drawn from, with batch shape [draws or 1, batch or 1].
    noise : Tensor
        Standard normals, [draws, batch, *noise_shape].

    Returns
    -------
    value : Tensor
        [draws, batch, *event].
    log_density : callable
        Without arguments; returns the log-density of the value, [draws, batch], in nats.

    Raises
    ------
    CapabilityError
        For a family that cannot be drawn from noise.

    Examples
    --------
    >>> value, log_density = draw(torch.distributions.Normal(torch.tensor(1.0), 2.0), torch.tensor(0.5))
    >>> value.item(), round(log_density().item(), 3)
    (2.0, -1.737)
    """
    require(distribution, "icdf")
    edge = torch.finfo(noise.dtype).eps
    value = distribution.icdf(torch.special.ndtr(noise).clamp(edge, 1 - edge))
    return value, partial(distribution.log_prob, value)


@draw.register
def _(distribution: Normal, noise: Tensor) -> Draw:
    scale = distribution.scale
    return torch.addcmul(distribution.loc, scale, noise), lambda: -0.5 * noise**2 - scale.log() - _HALF_LOG_TAU


@draw.register
def _(distribution: Laplace, noise: Tensor) -> Draw:
    # Each tail by its own log-probability: 1 − Φ loses all digits where Φ is near 1.
    size = -(math.log(2.0) + log_ndtr(-noise.abs()))
    scale = distribution.scale
    return distribution.loc + scale * noise.sign() * size, lambda: -size - (2 * scale).log()


@draw.register
def _(distribution: Independent, noise: Tensor) -> Draw:
    value, log_density = draw(distribution.base_dist, noise)
    rank = distribution.reinterpreted_batch_ndims
    return value, lambda: log_density().flatten(-rank).sum(-1) if rank else log_density()


@draw.register
def _(distribution: TransformedDistribution, noise: Tensor) -> Draw:
    value, base_log_density = draw(distribution.base_dist, noise)
    if not all(transform.bijective for transform in distribution.transforms):  # |z| of a half-normal: two z per value
        for transform in distribution.transforms:
            value = transform(value)
        return value, partial(distribution.log_prob, value)
    jacobians: list[Tensor] = []
    for transform in distribution.transforms:
        before, value = value, transform(value)
        jacobian = transform.log_abs_det_jacobian(before, value)
        extra = jacobian.dim() - (value.dim() - len(distribution.event_shape))
        jacobians.append(jacobian.flatten(-extra).sum(-1) if extra > 0 else jacobian)
    return value, lambda: base_log_density() - sum(jacobians)


@draw.register
def _(distribution: OneHotCategorical, noise: Tensor) -> Draw:
    if distribution.logits.requires_grad and torch.is_grad_enabled():
        raise CapabilityError(
            "The draw of a class carries no gradient: a posterior block over classes is trained by laying them all "
            "out (posteriors.Categorical), a grid of them by scores (objectives.Elbo(gradient='score')); or draw under "
            "torch.no_grad()."
        )
    gumbel = -torch.log(-log_ndtr(noise))
    which = (distribution.logits + gumbel).argmax(-1, keepdim=True)
    value = torch.zeros_like(gumbel + distribution.logits).scatter(-1, which, 1.0)
    return value, partial(distribution.log_prob, value)


@singledispatch
def simulate(distribution: Distribution, generator: Generator) -> Tensor:
    """A random value of a distribution, from a generator; it carries no gradient.

    Parameters
    ----------
    distribution : Distribution
        Any that can be drawn from noise or has a `sample` of its own.
    generator : Generator
        Source of randomness.

    Returns
    -------
    Tensor
        A value of the distribution's full shape, [*batch, *event].

    Raises
    ------
    CapabilityError
        For a distribution that has neither.

    Examples
    --------
    >>> simulate(torch.distributions.Bernoulli(torch.tensor([0.0, 1.0])), torch.Generator())
    tensor([0., 1.])
    """
    if "draw" not in capabilities(distribution):
        return _own_sample(distribution, generator)
    shape = distribution.batch_shape + distribution.event_shape
    noise = torch.randn(shape, generator=generator, device=generator.device)
    return draw(distribution, noise)[0].detach()


@torch.no_grad()
def _own_sample(distribution: Distribution, generator: Generator) -> Tensor:
    """A value from the distribution's own `sample`, seeded by the generator; the global random state is restored."""
    device = generator.device
    seed = int(torch.randint(2**62, (), generator=generator, device=device))
    with seeded(seed, device):
        try:
            return distribution.sample()
        except NotImplementedError as error:
            name = type(distribution).__name__
            raise CapabilityError(
                f"{name} cannot be drawn from, as it has neither icdf nor sample: define one of the two."
            ) from error


@simulate.register
def _(distribution: Bernoulli, generator: Generator) -> Tensor:
    return torch.bernoulli(distribution.probs.detach(), generator=generator)


@simulate.register
def _(distribution: Independent, generator: Generator) -> Tensor:
    return simulate(distribution.base_dist, generator)


@simulate.register
def _(distribution: Categorical, generator: Generator) -> Tensor:
    probs = distribution.probs.detach()
    return torch.multinomial(probs.flatten(0, -2), 1, generator=generator).view(probs.shape[:-1])


@simulate.register
@torch.no_grad()
def _(distribution: OneHotCategorical, generator: Generator) -> Tensor:
    logits = distribution.logits
    noise = torch.randn(logits.shape, generator=generator, device=generator.device, dtype=logits.dtype)
    return draw(distribution, noise)[0]


@simulate.register
def _(distribution: Poisson, generator: Generator) -> Tensor:
    return torch.poisson(distribution.rate.detach(), generator=generator)


@simulate.register
def _(distribution: MixtureSameFamily, generator: Generator) -> Tensor:
    values = simulate(distribution.component_distribution, generator)
    which = simulate(distribution.mixture_distribution, generator)
    axis = len(distribution.batch_shape)
    which = which.view(*which.shape, *[1] * (values.dim() - which.dim()))
    return values.take_along_dim(which, axis).squeeze(axis)


@draw.register
def _(distribution: Bernoulli, noise: Tensor) -> Draw:
    if distribution.logits.requires_grad and torch.is_grad_enabled():
        raise CapabilityError("The draw of a 0 or 1 carries no gradient: draw under torch.no_grad(), or simulate.")
    value = (torch.special.log_ndtr(noise) < -softplus(-distribution.logits)).to(noise.dtype)
    return value, partial(distribution.log_prob, value)
