"""Probabilistic PCA in closed form."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.distributions import MultivariateNormal

from elbowroom.numerics import InputError

__all__ = ["ProbabilisticPCA", "low_rank_normal"]


@dataclass(frozen=True, eq=False)
class ProbabilisticPCA:
    """x = W z + μ + noise, z ~ N(0, I_d), noise ~ N(0, σ² I): weights W [D, d], mean μ [D], noise_variance σ²; float64.

    Source: Tipping & Bishop, "Probabilistic principal component analysis", 1999.

    >>> model = ProbabilisticPCA.fit([[0.0, 0.0], [2.0, 0.1], [4.0, -0.1], [6.0, 0.0]], d=1)
    >>> round(model.noise_variance, 4)
    0.006
    """

    weights: Tensor
    mean: Tensor
    noise_variance: float

    @classmethod
    def fit(cls, x: ArrayLike | Tensor, d: int) -> "ProbabilisticPCA":
        """The model of greatest likelihood given x [n, D], in closed form; the covariance has divisor n − 1."""
        rows = torch.as_tensor(np.asarray(x), dtype=torch.float64)
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
        """log p(x) [n] in nats, for x [n, D]."""
        return self.marginal.log_prob(torch.as_tensor(np.asarray(x), dtype=torch.float64))


def low_rank_normal(weights: Tensor, mean: Tensor, noise_variance: Tensor) -> MultivariateNormal:
    """N(mean, W Wᵀ + diag noise_variance)."""
    return MultivariateNormal(mean, weights @ weights.T + torch.diag(noise_variance))
