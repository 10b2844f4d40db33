"""Factor analysis by maximum likelihood from a covariance alone: what it costs does not grow with the rows."""

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import InputError, plain_arguments

from .factor_normal import FactorNormal

__all__ = ["factors_of_covariance"]

Array = NDArray[np.float64]


@plain_arguments
def factors_of_covariance(
    mean: Array,
    covariance: Array,
    factors: int,
    *,
    floor: float | Array = 1e-6,
    steps: int = 200,
    start: Array | None = None,
) -> FactorNormal:
    """The normal with so many factors that is most likely for rows of this mean and covariance.

    With the noise ψ of the columns given, the best loadings are known in closed form, so that the likelihood is a
    function of log ψ alone; L-BFGS climbs it by its exact gradient.

    Parameters
    ----------
    mean : Array
        [columns].
    covariance : Array
        [columns, columns].
    factors : int
        How many, below the number of columns.
    floor : float or Array, default 1e-6
        Least noise of a column: a share of its variance, or the noises, [columns].
    steps : int, default 200
        Most steps of L-BFGS.
    start : Array, optional
        The noise at which it begins, [columns]; by default half of each column's variance.

    Returns
    -------
    FactorNormal
        The fit.

    Raises
    ------
    InputError
        Where a column has no variance.

    References
    ----------
    Jöreskog, "Some contributions to maximum likelihood factor analysis" (1967).

    Examples
    --------
    >>> covariance = np.ones((4, 4)) + np.diag([1.0, 2.0, 3.0, 4.0])   # one factor, and noise of 1, 2, 3, 4
    >>> factors_of_covariance(np.zeros(4), covariance, 1).noise.round(3)
    array([1., 2., 3., 4.])
    """
    from scipy.optimize import minimize

    variance = np.diag(covariance)
    if not bool((variance > 0).all()):
        raise InputError("a column has no variance, so there is no density")
    shape = covariance / np.sqrt(np.outer(variance, variance))
    least = np.log(floor / variance if isinstance(floor, np.ndarray) else np.full(len(mean), floor))
    most = np.maximum(least, 0.0)
    begin = np.full(len(mean), 0.5) if start is None else start / variance
    found = minimize(
        _loss,
        np.log(begin).clip(least, most),
        args=(shape, factors),
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(least, most, strict=True)),
        options={"maxiter": steps, "ftol": 1e-7},
    )
    noise = np.exp(found.x)
    values, vectors = _axes(shape, noise, factors)
    loadings = vectors * np.sqrt(noise)[:, None] * np.sqrt(np.maximum(values - 1.0, 0.0))
    return FactorNormal(mean, (loadings * np.sqrt(variance)[:, None]).T, noise * variance)


def _axes(covariance: Array, noise: Array, factors: int) -> tuple[Array, Array]:
    """The largest eigenvalues of the covariance of columns divided by √ψ, and their vectors [columns, factors]."""
    from scipy.linalg import eigh

    scale = np.sqrt(noise)
    last = len(noise) - 1
    return eigh(covariance / np.outer(scale, scale), subset_by_index=(last - factors + 1, last))


def _loss(log_noise: Array, covariance: Array, factors: int) -> tuple[float, Array]:
    """−log p of a row on average, less a constant, with the best loadings; and its gradient by log ψ."""
    noise = np.exp(log_noise)
    values, vectors = _axes(covariance, noise, factors)
    kept = np.maximum(values, 1.0)
    own = np.diag(covariance) / noise
    loss = 0.5 * (log_noise.sum() + own.sum() + (np.log(kept) - (kept - 1.0)).sum())
    return float(loss), 0.5 * (1.0 - own + np.square(vectors) @ (kept - 1.0))
