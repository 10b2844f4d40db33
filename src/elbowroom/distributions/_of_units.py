"""A distribution over a latent block of which some units are not the model's own."""

import math
from functools import singledispatch

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MixtureSameFamily, Normal

from elbowroom.numerics import CapabilityError

from .triangular_normal import TriangularNormal

__all__ = ["of_units"]

_SCALE = 1 / math.sqrt(2 * math.pi)  # of a normal whose density at its mean is 1


def of_units(distribution: Distribution, units: Tensor | None) -> Distribution:
    """The distribution with units that are not the model's own out of everything.

    Such a unit becomes a normal about 0, in the prior and in the posterior, of density 1 there, where it is drawn from
    noise 0: it is 0, log-density and KL are 0, and no parameter of it has a gradient.

    Parameters
    ----------
    distribution : Distribution
        Over a latent block, [..., *event].
    units : Tensor or None
        [*event] bool, False where a unit is not the model's own; None: all are.

    Returns
    -------
    Distribution
        Of the same shape; the same one where all units are the model's own.

    Raises
    ------
    CapabilityError
        For a distribution that is not made of normals.

    Examples
    --------
    >>> q = of_units(Independent(Normal(torch.ones(3), torch.ones(3)), 1), torch.tensor([True, False, False]))
    >>> q.mean, round(q.log_prob(torch.tensor([1.0, 0.0, 0.0])).item(), 4)      # −½ log 2π, of one unit
    (tensor([1., 0., 0.]), -0.9189)
    """
    return distribution if units is None else _masked(distribution, units)


@singledispatch
def _masked(distribution: Distribution, units: Tensor) -> Distribution:
    raise CapabilityError(f"No unit of a {type(distribution).__name__} can be left out.")


@_masked.register
def _(distribution: Normal, units: Tensor) -> Distribution:
    loc, scale = distribution.loc, distribution.scale
    return Normal(loc.where(units, 0.0), scale.where(units, _SCALE), validate_args=False)


@_masked.register
def _(distribution: Independent, units: Tensor) -> Distribution:
    return Independent(_masked(distribution.base_dist, units), distribution.reinterpreted_batch_ndims, False)


@_masked.register
def _(distribution: MixtureSameFamily, units: Tensor) -> Distribution:
    each = _masked(distribution.component_distribution, units)
    return MixtureSameFamily(distribution.mixture_distribution, each, validate_args=False)


@_masked.register
def _(distribution: TriangularNormal, units: Tensor) -> Distribution:
    own, alone = units & units.unsqueeze(-1), torch.eye(len(units), device=units.device)
    root = distribution.scale_tril.where(own, _SCALE * alone.to(distribution.scale_tril))
    return TriangularNormal(distribution.loc.where(units, 0.0), root, validate_args=False)
