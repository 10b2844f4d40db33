"""Mass that a likelihood puts where the data cannot be."""

import torch
from torch.distributions import Distribution, Independent

from elbowroom.distributions import capabilities, require
from elbowroom.numerics import Support, plain_arguments

__all__ = ["leak", "mass_outside"]


@plain_arguments
def mass_outside(p_x: Distribution, low: float, high: float) -> float:
    """The mean probability that p(x | z) puts outside an interval, per element.

    Parameters
    ----------
    p_x : Distribution
        A distribution with independent elements that has a cdf.
    low : float
        Lower end of the interval.
    high : float
        Upper end.

    Returns
    -------
    float
        Between 0 and 1.

    Raises
    ------
    CapabilityError
        Where the family has no cdf.

    Examples
    --------
    >>> p = Independent(torch.distributions.Normal(torch.zeros(1, 1, 1), 1.0), 1)
    >>> round(mass_outside(p, 0.0, 1.0), 2)
    0.66
    """
    base = p_x.base_dist if isinstance(p_x, Independent) else p_x
    require(base, "cdf")
    low_t, high_t = torch.tensor(low), torch.tensor(high)
    inside = base.cdf(high_t) - base.cdf(low_t)
    return 1.0 - inside.double().mean().item()


def leak(p_x: Distribution, support: Support) -> float | None:
    """The mean probability outside [0, 1], per element, of a likelihood of data inside it.

    Parameters
    ----------
    p_x : Distribution
        A distribution with independent elements.
    support : Support
        Where the data lie.

    Returns
    -------
    float or None
        None for data that do not lie in [0, 1], and for a family without a cdf.

    Examples
    --------
    >>> p = Independent(torch.distributions.Normal(torch.zeros(1, 1, 1), 1.0), 1)
    >>> round(leak(p, Support("unit")), 2), leak(p, Support("real"))
    (0.66, None)
    """
    base = p_x.base_dist if isinstance(p_x, Independent) else p_x
    return mass_outside(p_x, 0.0, 1.0) if support.kind == "unit" and "cdf" in capabilities(base) else None
