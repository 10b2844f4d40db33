"""Estimates over the examples that all of them measured."""

import functools
from collections.abc import Sequence

import numpy as np

from .errors import InputError
from .estimate import Estimate

__all__ = ["paired"]


def paired(estimates: Sequence[Estimate]) -> list[Estimate]:
    """The same estimates over the examples that all of them measured, so that their means compare.

    Parameters
    ----------
    estimates : sequence of Estimate
        Of the same data.

    Returns
    -------
    list of Estimate
        In their order.

    Raises
    ------
    InputError
        Where they have no example in common, or are of different data.

    Examples
    --------
    >>> from elbowroom.numerics import Estimate, paired
    >>> common = {"quantity": "log p(x)", "estimator": "IWAE-5", "direction": "lower"}
    >>> two, one = Estimate.of([1.0, 5.0], **common), Estimate.of([4.0], index=[1], **common)
    >>> [each.mean for each in paired([two, one])]
    [5.0, 4.0]
    """
    if len({each.data for each in estimates if each.data is not None}) > 1:
        raise InputError("These estimates come from different data; only estimates of the same data compare.")
    shared = functools.reduce(np.intersect1d, [each.index for each in estimates])
    if not shared.size:
        raise InputError("These estimates have no example in common, so their means do not compare.")
    return [each.at(shared) for each in estimates]
