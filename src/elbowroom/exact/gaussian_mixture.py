"""Gaussian mixtures in closed form: the latent-variable model whose latent is one of K."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.distributions import MultivariateNormal

from elbowroom.numerics import InputError

__all__ = ["GaussianMixture"]


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """p(z = k) = w_k, p(x | z = k) = N(μ_k, Σ_k): weights [K], means [K, D], covariances [K, D, D]; float64, in nats.

    A VAE with a categorical q and a decoder of K constants is this model.

    >>> double = torch.float64
    >>> two = GaussianMixture(torch.tensor([0.5, 0.5], dtype=double), torch.tensor([[-1.0], [1.0]], dtype=double),
    ...                       torch.ones(2, 1, 1, dtype=double))
    >>> two.posterior([[0.0]])
    tensor([[0.5000, 0.5000]], dtype=torch.float64)
    >>> two.between.item(), two.within.item()
    (1.0, 1.0)
    """

    weights: Tensor
    means: Tensor
    covariances: Tensor

    def __post_init__(self) -> None:
        k, size = self.means.shape if self.means.dim() == 2 else (0, 0)
        if self.weights.shape != (k,) or self.covariances.shape != (k, size, size):
            raise InputError(
                f"A Gaussian mixture takes weights [K], means [K, D] and covariances [K, D, D]; got "
                f"{tuple(self.weights.shape)}, {tuple(self.means.shape)} and {tuple(self.covariances.shape)}."
            )

    @classmethod
    def from_sklearn(cls, fitted: Any) -> "GaussianMixture":
        """The same mixture as a fitted sklearn.mixture.GaussianMixture, whatever its covariance_type."""
        k, size = fitted.means_.shape
        found = np.asarray(fitted.covariances_)
        match fitted.covariance_type:
            case "full":
                covariances = found
            case "tied":
                covariances = np.broadcast_to(found, (k, size, size))
            case "diag":
                covariances = found[:, :, None] * np.eye(size)
            case _:
                covariances = found[:, None, None] * np.eye(size)
        parts = (fitted.weights_, fitted.means_, covariances)
        return cls(*(torch.tensor(np.array(part), dtype=torch.float64) for part in parts))

    def log_joint(self, x: ArrayLike | Tensor) -> Tensor:
        """log p(x, z = k), [n, K], for x [n, D]."""
        rows = x.double() if isinstance(x, Tensor) else torch.as_tensor(np.asarray(x), dtype=torch.float64)
        family = MultivariateNormal(self.means, self.covariances, validate_args=False)
        return self.weights.log() + family.log_prob(rows[:, None])

    def log_prob(self, x: ArrayLike | Tensor) -> Tensor:
        """log p(x), [n]."""
        return self.log_joint(x).logsumexp(1)

    def posterior(self, x: ArrayLike | Tensor) -> Tensor:
        """p(z = k | x), [n, K]."""
        return self.log_joint(x).softmax(1)

    def elbo(self, x: ArrayLike | Tensor, q: Tensor) -> Tensor:
        """Σ_k q(k | x) (log p(x, k) − log q(k | x)), [n], for any q [n, K]; log p(x) where q is the posterior."""
        return (q * self.log_joint(x) - torch.xlogy(q, q)).sum(1)

    @property
    def between(self) -> Tensor:
        """Var E[x | z] per column, [D]: the latent's part of the variance of x."""
        mean = self.weights @ self.means
        return self.weights @ (self.means - mean).square()

    @property
    def within(self) -> Tensor:
        """E Var[x | z] per column, [D]: the noise's part."""
        return self.weights @ self.covariances.diagonal(dim1=-2, dim2=-1)
