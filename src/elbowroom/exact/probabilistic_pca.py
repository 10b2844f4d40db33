"""Probabilistic PCA in closed form."""

from dataclasses import dataclass
from functools import cached_property

import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.distributions import MultivariateNormal

from elbowroom.numerics import InputError, as_tensor, plain_arguments

__all__ = ["ProbabilisticPCA", "low_rank_normal"]


@plain_arguments
@dataclass(frozen=True, eq=False)
class ProbabilisticPCA:
    """Probabilistic PCA: x = W z + μ + noise with z ~ N(0, I_d) and noise ~ N(0, σ² I); float64.

    Parameters
    ----------
    weights : Tensor
        W, [D, d].
    mean : Tensor
        μ, [D].
    noise_variance : float
        σ².

    References
    ----------
    Tipping & Bishop, "Probabilistic principal component analysis" (1999).

    Examples
    --------
    >>> model = ProbabilisticPCA.fit([[0.0, 0.0], [2.0, 0.1], [4.0, -0.1], [6.0, 0.0]], d=1)
    >>> round(model.noise_variance, 4)
    0.006
    """

    weights: Tensor
    mean: Tensor
    noise_variance: float

    @classmethod
    @plain_arguments
    def fit(cls, x: ArrayLike | Tensor, d: int) -> "ProbabilisticPCA":
        """The maximum-likelihood fit to examples, in closed form.

        Parameters
        ----------
        x : array-like or Tensor
            Examples, [n, D].
        d : int
            Number of latent dimensions, below D.

        Returns
        -------
        ProbabilisticPCA
            The fit; the covariance of the examples has divisor n − 1.

        Raises
        ------
        InputError
            For too few columns or rows.
        """
        rows = as_tensor(x, "rows").double()
        if rows.dim() != 2 or not 1 <= d < rows.shape[1] or len(rows) <= d + 1:
            raise InputError(
                f"Probabilistic PCA with d={d} needs a table of more than d columns and more than d + 1 rows; "
                f"got shape {tuple(rows.shape)}."
            )
        mean = rows.mean(0)
        _, singular, directions = torch.linalg.svd(rows - mean, full_matrices=False)
        variances = singular.square() / (len(rows) - 1)
        noise = float(variances[d:].sum() / (rows.shape[1] - d))
        return cls(directions[:d].T * (variances[:d] - noise).clamp_min(0).sqrt(), mean, noise)

    @cached_property
    def marginal(self) -> MultivariateNormal:
        """p(x) = N(μ, W Wᵀ + σ² I)."""
        return low_rank_normal(self.weights, self.mean, torch.full_like(self.mean, self.noise_variance))

    def log_prob(self, x: ArrayLike | Tensor) -> Tensor:
        """log p(x) of examples x [n, D], [n], in nats."""
        return self.marginal.log_prob(as_tensor(x, "rows").double())


def low_rank_normal(weights: Tensor, mean: Tensor, noise_variance: Tensor) -> MultivariateNormal:
    """The normal distribution N(mean, W Wᵀ + diag noise_variance).

    Parameters
    ----------
    weights : Tensor
        W, [D, d].
    mean : Tensor
        Mean, [D].
    noise_variance : Tensor
        Variances on the diagonal, [D].

    Returns
    -------
    MultivariateNormal
        The distribution.

    Examples
    --------
    >>> low_rank_normal(torch.ones(2, 1), torch.zeros(2), torch.ones(2)).covariance_matrix
    tensor([[2., 1.],
            [1., 2.]])
    """
    return MultivariateNormal(mean, weights @ weights.T + torch.diag(noise_variance))
