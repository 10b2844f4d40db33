"""Gaussian mixtures in closed form: latent-variable models whose latent is one of K classes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.distributions import MultivariateNormal

from elbowroom.numerics import InputError, as_tensor

__all__ = ["GaussianMixture"]


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """A Gaussian mixture with K components: p(z = k) = w_k and p(x | z = k) = N(μ_k, Σ_k).

    A VAE with a categorical posterior and a decoder of K constants is this model. All is float64, in nats.

    Parameters
    ----------
    weights : Tensor
        w, probabilities [K].
    means : Tensor
        μ, [K, D].
    covariances : Tensor
        Σ, [K, D, D].

    Raises
    ------
    InputError
        If the shapes do not fit.

    Examples
    --------
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
        """The same mixture as a fitted sklearn.mixture.GaussianMixture of any covariance_type."""
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
        rows = x.double() if isinstance(x, Tensor) else as_tensor(x, "rows").double()
        family = MultivariateNormal(self.means, self.covariances, validate_args=False)
        return self.weights.log() + family.log_prob(rows[:, None])

    def log_prob(self, x: ArrayLike | Tensor) -> Tensor:
        """log p(x), [n]."""
        return self.log_joint(x).logsumexp(1)

    def posterior(self, x: ArrayLike | Tensor) -> Tensor:
        """p(z = k | x), [n, K]."""
        return self.log_joint(x).softmax(1)

    def elbo(self, x: ArrayLike | Tensor, q: Tensor) -> Tensor:
        """The ELBO Σ_k q(k | x) (log p(x, k) − log q(k | x)) of each example, in nats; log p(x) if q is the posterior.

        Parameters
        ----------
        x : array-like or Tensor
            Examples, [n, D].
        q : Tensor
            Probabilities of the components for each, [n, K].

        Returns
        -------
        Tensor
            [n].
        """
        return (q * self.log_joint(x) - torch.xlogy(q, q)).sum(1)

    @property
    def between(self) -> Tensor:
        """Var E[x | z] per column, [D]: the part of the variance of x that the latent explains."""
        mean = self.weights @ self.means
        return self.weights @ (self.means - mean).square()

    @property
    def within(self) -> Tensor:
        """E Var[x | z] per column, [D]: the part of the variance that the latent leaves."""
        return self.weights @ self.covariances.diagonal(dim1=-2, dim2=-1)
