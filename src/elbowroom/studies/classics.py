"""Which families of classics stand beside a VAE, and how much may be spent on each. They see arrays alone."""

import numpy as np

from elbowroom.numerics import count

from .candidates import WIDE, Array, Family, Learned
from .flows import normalising_flow, why_no_flow
from .kernels import MOST_KERNELS, kernel_density
from .mixtures import factor_mixture, gaussian_mixture
from .normal_families import factor_analysis, probabilistic_pca

__all__ = ["BUDGET", "copies_of", "families", "most_rows", "why_fewer"]

BUDGET = 100.0
"""Billions of multiplications that the fits of one family may be estimated to take: some ten seconds on one core."""
_MOST_CELLS, _MOST_ROWS, _MOST_WIDE_ROWS = 2**22, 50_000, 5_000
_CELLS_OF_COPIES, _MOST_COPIES = 2**19, 8


def most_rows(dimensions: int) -> int:
    """How many training rows are learned from one by one.

    Parameters
    ----------
    dimensions : int
        Columns.

    Returns
    -------
    int
        Of wide tables memory may hold fewer.
    """
    return _MOST_WIDE_ROWS if dimensions > WIDE else min(_MOST_CELLS // dimensions, _MOST_ROWS)


def copies_of(rows: int, dimensions: int) -> int:
    """How often the training rows are dequantised, each time with other noise.

    Parameters
    ----------
    rows, dimensions : int
        Of the training data.

    Returns
    -------
    int
        Fewer of larger data, on which the noise is averaged out.

    Examples
    --------
    >>> copies_of(100, 10), copies_of(1_257, 64), copies_of(50_000, 784)
    (8, 6, 1)
    """
    return int(np.clip(_CELLS_OF_COPIES // (rows * dimensions), 1, _MOST_COPIES))


def families(train: Learned, validation: Array, seed: int) -> tuple[list[Family], list[str]]:
    """Densities of real numbers.

    Parameters
    ----------
    train : Learned
        The rows that they learn from.
    validation : array
        Rows [n, dimensions], by which a flow is stopped.
    seed : int
        Of what draws anything.

    Returns
    -------
    list of Family
        In the order of the table.
    list of str
        What is left out, in sentences.
    """
    rows, dimensions = train.n, train.dimensions
    found = [
        probabilistic_pca(rows, dimensions),
        factor_analysis(train),
        gaussian_mixture(train, seed),
        kernel_density(rows, dimensions),
    ]
    why_not = why_no_flow(rows, dimensions)
    if 1 < dimensions <= WIDE:
        found.insert(3, factor_mixture(train, seed))
    if why_not is None:
        found.append(normalising_flow(validation, seed))
    return found, [one for one in (why_fewer(train), why_not) if one]


def why_fewer(train: Learned) -> str | None:
    """What is tried less of where there are many columns or rows, in words; None where there are not.

    Parameters
    ----------
    train : Learned
        The rows that they learn from.

    Returns
    -------
    str or None
        Sentences.
    """
    said = []
    if train.dimensions > WIDE:
        said.append(
            f"Over {train.dimensions:,} columns fewer settings are tried: factor analysis with every other number of "
            "factors, at most 50 steps each, Gaussian mixtures with diagonal covariances alone, and no mixture of "
            "factor analysers."
        )
    if train.n > MOST_KERNELS:
        said.append(f"The kernel density stands on the first {count(MOST_KERNELS, 'row')} of these.")
    return " ".join(said) or None
