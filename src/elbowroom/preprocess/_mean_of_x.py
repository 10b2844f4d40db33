"""The mean of x from a distribution of y."""

from torch import Tensor
from torch.distributions import Distribution

from elbowroom.distributions import known_mean, level_masses

from .preprocess import Preprocess

__all__ = ["mean_of_x"]


def mean_of_x(preprocess: Preprocess, p_y: Distribution) -> Tensor:
    """The mean of x on the user's scale, where preprocessed x is distributed as p(y).

    Parameters
    ----------
    preprocess : Preprocess
        The map from x to y.
    p_y : Distribution
        Over y [*event].

    Returns
    -------
    Tensor
        [*batch, *event]; NaN where there is no mean (classes without an order).

    Examples
    --------
    >>> import torch
    >>> from torch.distributions import Bernoulli, Independent
    >>> from elbowroom.preprocess import Codes
    >>> mean_of_x(Codes([-1.0, 1.0]), Independent(Bernoulli(torch.tensor([0.25, 0.5])), 1)).tolist()
    [-0.5, 0.0]
    """
    return preprocess.mean_back(known_mean(p_y), level_masses(p_y))
