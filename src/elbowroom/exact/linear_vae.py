"""The linear VAE: what is exact of a trained one, and the stationary points of its objective."""

import math
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from elbowroom.numerics import CapabilityError, InputError, as_batch
from elbowroom.vae import VAE

from .probabilistic_pca import low_rank_normal

__all__ = ["LinearVAE", "StationaryPoint", "active_at", "linear_elbo", "optimal_encoder", "stationary_points"]


class LinearVAE:
    """What is exact of a VAE with standard-normal prior, linear encoder mean, linear decoder and a Normal likelihood.

    It reads an `er.VAE` with one block and nn.Linear networks: encoder D → 2d, decoder d → D with a fixed, shared or
    per-feature scale. The posterior's spread may depend on x. Everything is float64, in nats, on the user's scale.
    Raises CapabilityError for any other model.
    Source: Lucas et al., "Don't blame the ELBO! A linear VAE perspective on posterior collapse", 2019.
    """

    def __init__(self, vae: VAE) -> None:
        block, decoder = vae.posterior["z"] if list(vae.posterior) == ["z"] else None, vae.likelihood.network
        linear = block is not None and isinstance(block.network, nn.Linear) and isinstance(decoder, nn.Linear)
        common = getattr(vae.likelihood, "common_scale", None)
        if not linear or common is None or getattr(vae.likelihood, "scale", None) == "predicted":
            raise CapabilityError(
                "LinearVAE reads one block 'z', nn.Linear networks and a Normal likelihood whose scale does not "
                "depend on z; for one or two latents take log_evidence_by_quadrature."
            )
        assert isinstance(decoder, nn.Linear)
        self.vae = vae
        self.weights = decoder.weight.detach().double()
        bias = torch.zeros(len(self.weights)) if decoder.bias is None else decoder.bias
        self.mean = bias.detach().double()
        self.noise = common().detach().double().square().expand(vae.likelihood.event).flatten()
        self.dim = self.weights.shape[1]

    def log_prob(self, examples: Any) -> Tensor:
        """log p(x), [n]."""
        y, log_jacobian = self._preprocessed(examples)
        return low_rank_normal(self.weights, self.mean, self.noise).log_prob(y) + log_jacobian

    def posterior(self, examples: Any) -> MultivariateNormal:
        """p(z | x) with batch shape [n]."""
        y, _ = self._preprocessed(examples)
        precision = torch.eye(self.dim, dtype=torch.float64) + self.weights.T @ (self.weights / self.noise[:, None])
        covariance = torch.linalg.inv(precision)
        mean = (y - self.mean) / self.noise @ self.weights @ covariance
        return MultivariateNormal(mean, (covariance + covariance.T) / 2)

    def encoder(self, examples: Any) -> Independent:
        """q(z | x) with batch shape [n]."""
        y, _ = self._preprocessed(examples)
        with torch.no_grad():
            q = self.vae.posterior["z"]({"x": y.to(self.vae.dtype).unsqueeze(0)})
        return Independent(Normal(q.mean[0].double(), q.stddev[0].double()), 1)

    def rate(self, examples: Any) -> Tensor:
        """KL(q(z | x) ‖ p(z)), [n]."""
        q = self.encoder(examples)
        prior = Normal(torch.zeros_like(q.mean), torch.ones_like(q.mean))
        return kl_divergence(q, Independent(prior, 1))

    def distortion(self, examples: Any) -> Tensor:
        """−E_q log p(x | z), [n]: the error at the mean of q, and what the spread of q adds."""
        y, log_jacobian = self._preprocessed(examples)
        q = self.encoder(examples)
        error = (y - self.mean - q.mean @ self.weights.T).square() + q.variance @ self.weights.T.square()
        normaliser = 0.5 * (2 * math.pi * self.noise).log().sum()
        return 0.5 * (error / self.noise).sum(-1) + normaliser - log_jacobian

    def elbo(self, examples: Any) -> Tensor:
        """E_q[log p(x, z) − log q(z | x)], [n]."""
        return -self.rate(examples) - self.distortion(examples)

    def gap(self, examples: Any) -> Tensor:
        """KL(q(z | x) ‖ p(z | x)), [n]: log p(x) − ELBO, by a road of its own."""
        q = self.encoder(examples)
        full = MultivariateNormal(q.mean, torch.diag_embed(q.variance))
        return kl_divergence(full, self.posterior(examples))

    def _preprocessed(self, examples: Any, seed: int = 0) -> tuple[Tensor, Tensor]:
        batch = as_batch(examples)
        with torch.no_grad():
            given, log_jacobian = self.vae.given(batch, self.vae.keyed_noise(0, batch.index, seed))
        return given["x"][0].flatten(1).double(), log_jacobian.double()


def linear_elbo(
    covariance: Tensor, weights: Tensor, encoder: Tensor, variances: Tensor, noise_variance: Tensor | float
) -> Tensor:
    """Mean ELBO over data of covariance S [D, D] (divisor n), of the linear VAE with the biases that suit it best.

    p(x | z) = N(W z + μ, σ² I) with weights W [..., D, d] and noise_variance σ² [...]; q(z | x) = N(V (x − μ), diag s)
    with encoder V [..., d, D] and variances s [..., d]. μ is the mean of the data, where it is optimal. Leading
    dimensions are models side by side; returns [...]. In nats, differentiable.
    Source: Lucas et al., "Don't blame the ELBO! A linear VAE perspective on posterior collapse", 2019.

    >>> one = torch.ones(1, 1, dtype=torch.float64)    # λ = 1, σ² = 1/2: W² = λ − σ², V = W / (W² + σ²), s = σ² / λ
    >>> linear_elbo(one, 0.5**0.5 * one, 0.5**0.5 * one, 0.5 * one[0], 0.5)     # log N at variance 1: −½ log 2πe
    tensor(-1.4189, dtype=torch.float64)
    """
    noise = torch.as_tensor(noise_variance, dtype=weights.dtype)
    size = covariance.shape[0]
    residual = torch.eye(size, dtype=weights.dtype) - weights @ encoder
    error = ((residual @ covariance) * residual).sum((-2, -1)) + (variances * weights.square().sum(-2)).sum(-1)
    distortion = 0.5 * (error / noise + size * (2 * math.pi * noise).log())
    spread = (variances - variances.log() - 1).sum(-1)
    rate = 0.5 * (((encoder @ covariance) * encoder).sum((-2, -1)) + spread)
    return -distortion - rate


def optimal_encoder(weights: Tensor, noise_variance: Tensor | float) -> tuple[Tensor, Tensor]:
    """The best encoder V [..., d, D] and variances s [..., d] for a decoder of weights W [..., D, d] and σ² [...].

    With them the ELBO is log p(x), short of ½ (Σ log M_jj − log det M) for M = WᵀW + σ² I: nothing where the columns of
    W are orthogonal.

    >>> encoder, variances = optimal_encoder(torch.tensor([[1.0], [1.0]]), 2.0)
    >>> encoder, variances
    (tensor([[0.2500, 0.2500]]), tensor([0.5000]))
    """
    noise = torch.as_tensor(noise_variance, dtype=weights.dtype)[..., None, None]
    m = weights.mT @ weights + noise * torch.eye(weights.shape[-1], dtype=weights.dtype)
    return torch.linalg.solve(m, weights.mT), noise[..., 0] / m.diagonal(dim1=-2, dim2=-1)


@dataclass(frozen=True)
class StationaryPoint:
    """Where the gradient of log p, and of the ELBO with the best q, vanishes: one subset of eigenvectors retained.

    retained: positions of their eigenvalues; noise_variance: σ²; log_prob: mean per example, in nats, equal to the
    ELBO; curvature: the greatest second derivative, of either, by one element of W towards a discarded eigenvector,
    −inf where nothing is discarded.
    """

    retained: tuple[int, ...]
    noise_variance: float
    log_prob: float
    curvature: float

    @property
    def stable(self) -> bool:
        """Whether no small step goes up: a maximum, up to rotations of z; otherwise a saddle."""
        return self.curvature <= 0.0


def stationary_points(
    eigenvalues: ArrayLike | Tensor, latents: int, *, noise_variance: float | None = None
) -> list[StationaryPoint]:
    """Every stationary point of pPCA and of the linear VAE with orthogonal columns, the best first.

    eigenvalues [D] of the data's covariance (divisor n). A column of W is √(λ − σ²) times an eigenvector with λ > σ²,
    or zero; there are `latents` of them. noise_variance: σ² where it is fixed; None: learned, the mean of the
    discarded eigenvalues. A column of variance v (λ, or σ² where it is zero) turns towards a discarded eigenvector of
    eigenvalue λ' with second derivative (λ' − v) / (σ² v), of log p and of the ELBO alike, since the columns stay
    orthogonal. So the only stable point retains the greatest eigenvalues above σ². The ELBO's further stationary points
    have columns that are not orthogonal, and rise by a rotation of z.
    Raises InputError where there would be more than 100,000 subsets.
    Source: Tipping & Bishop, "Probabilistic principal component analysis", 1999, appendix A; Lucas et al., "Don't blame
    the ELBO! A linear VAE perspective on posterior collapse", 2019.

    >>> [(point.retained, point.stable) for point in stationary_points([4.0, 2.0, 0.5], 1, noise_variance=1.0)]
    [((0,), True), ((1,), False), ((), False)]
    """
    values = _descending(eigenvalues)
    if not 1 <= latents < len(values):
        raise InputError(f"latents must lie between 1 and {len(values) - 1}, below the number of eigenvalues.")
    if noise_variance is not None and not noise_variance > 0:
        raise InputError(f"noise_variance must be positive, or None where it is learned; got {noise_variance}.")
    if sum(math.comb(len(values), size) for size in range(latents + 1)) > 100_000:
        raise InputError(
            f"{len(values)} eigenvalues have too many subsets of {latents} or fewer to list: take fewer eigenvalues."
        )
    subsets = chain.from_iterable(combinations(range(len(values)), size) for size in range(latents + 1))
    points = (_stationary_point(values, subset, latents, noise_variance) for subset in subsets)
    return sorted((point for point in points if point is not None), key=lambda point: -point.log_prob)


def active_at(eigenvalues: ArrayLike | Tensor, noise_variance: float, *, latents: int | None = None) -> int:
    """How many latents of the best linear VAE are in use at a fixed σ²: eigenvalues above it, `latents` at most.

    Source: Lucas et al., "Don't blame the ELBO! A linear VAE perspective on posterior collapse", 2019.

    >>> active_at([4.0, 2.0, 0.5], noise_variance=1.0), active_at([4.0, 2.0, 0.5], noise_variance=0.1, latents=2)
    (2, 2)
    """
    above = int((_descending(eigenvalues) > noise_variance).sum())
    return above if latents is None else min(above, latents)


def _descending(eigenvalues: ArrayLike | Tensor) -> np.ndarray:
    values = np.asarray(eigenvalues, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.all(values >= 0) or np.any(np.diff(values) > 0):
        raise InputError("eigenvalues must be a list of non-negative numbers, the greatest first.")
    return values


def _stationary_point(
    values: np.ndarray, subset: tuple[int, ...], latents: int, noise_variance: float | None
) -> StationaryPoint | None:
    """The point that retains a subset; None where a column would have to be imaginary."""
    kept, discarded = values[list(subset)], np.delete(values, subset)
    noise = float(discarded.mean()) if noise_variance is None else noise_variance
    if noise <= 0 or np.any(kept <= noise):
        return None
    log_determinant = np.log(kept).sum() + len(discarded) * math.log(noise)
    quadratic = len(kept) + discarded.sum() / noise
    log_prob = -0.5 * (len(values) * math.log(2 * math.pi) + log_determinant + quadratic)
    weakest = noise if len(subset) < latents else kept.min()
    curvature = (discarded.max() - weakest) / (noise * weakest)
    return StationaryPoint(subset, noise, float(log_prob), float(curvature))
