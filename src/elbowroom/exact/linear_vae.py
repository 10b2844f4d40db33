"""The linear VAE: exact quantities of a trained one, and the stationary points of its objective."""

import math
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from elbowroom.numerics import CapabilityError, InputError, as_batch, plain_arguments
from elbowroom.vae import VAE
from elbowroom.vae.on_cpu import on_cpu

from .probabilistic_pca import low_rank_normal

__all__ = ["LinearVAE", "StationaryPoint", "active_at", "linear_elbo", "optimal_encoder", "stationary_points"]


class LinearVAE:
    """Exact log p(x), posterior and ELBO of a VAE with linear networks, standard-normal prior and Normal likelihood.

    All is float64, in nats, on the scale of the data. Methods take examples as the estimators do, [n, *event].

    Parameters
    ----------
    vae : VAE
        A VAE with one block "z" and nn.Linear networks, D → 2d and d → D, whose likelihood has a fixed, shared or
        per-feature scale. The spread of q(z | x) may depend on x.

    Raises
    ------
    CapabilityError
        For any other VAE.
    InputError
        Of every method, for examples with missing cells.

    References
    ----------
    Lucas et al., "Don't blame the ELBO! A linear VAE perspective on posterior collapse" (2019).

    Examples
    --------
    >>> from elbowroom import likelihoods, posteriors, priors
    >>> exact = LinearVAE(VAE(priors.StandardNormal(1), posteriors.DiagonalNormal(nn.Linear(2, 2), 1),
    ...                       likelihoods.Normal(nn.Linear(1, 2), 2)))
    >>> x = torch.ones(3, 2)
    >>> torch.allclose(exact.log_prob(x) - exact.elbo(x), exact.gap(x))
    True
    """

    def __init__(self, vae: VAE) -> None:
        vae = on_cpu(vae)
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
        """log p(x), [n], in nats."""
        y, log_jacobian = self._preprocess(examples)
        return low_rank_normal(self.weights, self.mean, self.noise).log_prob(y) + log_jacobian

    def posterior(self, examples: Any) -> MultivariateNormal:
        """The exact posterior p(z | x), with batch shape [n]."""
        y, _ = self._preprocess(examples)
        precision = torch.eye(self.dim, dtype=torch.float64) + self.weights.T @ (self.weights / self.noise[:, None])
        covariance = torch.linalg.inv(precision)
        mean = (y - self.mean) / self.noise @ self.weights @ covariance
        return MultivariateNormal(mean, (covariance + covariance.T) / 2)

    def encoder(self, examples: Any) -> Independent:
        """The encoder's q(z | x), with batch shape [n]."""
        y, _ = self._preprocess(examples)
        with torch.no_grad():
            q = self.vae.posterior["z"]({"x": y.to(self.vae.dtype).unsqueeze(0)})
        return Independent(Normal(q.mean[0].double(), q.stddev[0].double()), 1)

    def rate(self, examples: Any) -> Tensor:
        """KL(q(z | x) ‖ p(z)), [n], in nats."""
        q = self.encoder(examples)
        prior = Normal(torch.zeros_like(q.mean), torch.ones_like(q.mean))
        return kl_divergence(q, Independent(prior, 1))

    def distortion(self, examples: Any) -> Tensor:
        """−E_q log p(x | z), [n], in nats."""
        y, log_jacobian = self._preprocess(examples)
        q = self.encoder(examples)
        error = (y - self.mean - q.mean @ self.weights.T).square() + q.variance @ self.weights.T.square()
        normaliser = 0.5 * (2 * math.pi * self.noise).log().sum()
        return 0.5 * (error / self.noise).sum(-1) + normaliser - log_jacobian

    def elbo(self, examples: Any) -> Tensor:
        """The ELBO E_q[log p(x, z) − log q(z | x)], [n], in nats."""
        return -self.rate(examples) - self.distortion(examples)

    def gap(self, examples: Any) -> Tensor:
        """KL(q(z | x) ‖ p(z | x)), [n], in nats: log p(x) − ELBO, computed without either."""
        q = self.encoder(examples)
        full = MultivariateNormal(q.mean, torch.diag_embed(q.variance))
        return kl_divergence(full, self.posterior(examples))

    def _preprocess(self, examples: Any, seed: int = 0) -> tuple[Tensor, Tensor]:
        batch = as_batch(examples)
        if batch.seen is not None and not bool(batch.seen.all()):
            raise InputError(
                "LinearVAE is exact for complete rows, and in these cells are missing: take log_evidence_by_quadrature "
                "for one or two latents, or evidence.iwae."
            )
        with torch.no_grad():
            given, log_jacobian = self.vae.given(batch, self.vae.keyed_noise(0, batch.index, seed))
        return given["x"][0].flatten(1).double(), log_jacobian.double()


@plain_arguments
def linear_elbo(
    covariance: Tensor, weights: Tensor, encoder: Tensor, variances: Tensor, noise_variance: Tensor | float
) -> Tensor:
    """Mean ELBO of a linear VAE on data with a given covariance, at the best biases, in nats.

    The model is p(x | z) = N(W z + μ, σ² I) and q(z | x) = N(V (x − μ), diag s), with μ the mean of the data, which is
    its best value. Leading dimensions [...] are models side by side.

    Parameters
    ----------
    covariance : Tensor
        Covariance of the data (divisor n), [D, D].
    weights : Tensor
        W, [..., D, d].
    encoder : Tensor
        V, [..., d, D].
    variances : Tensor
        s, [..., d].
    noise_variance : Tensor or float
        σ², [...].

    Returns
    -------
    Tensor
        The mean ELBO per example, [...], in nats; differentiable.

    References
    ----------
    Lucas et al., "Don't blame the ELBO! A linear VAE perspective on posterior collapse" (2019).

    Examples
    --------
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


@plain_arguments
def optimal_encoder(weights: Tensor, noise_variance: Tensor | float) -> tuple[Tensor, Tensor]:
    """The best encoder of a linear VAE, q(z | x) = N(V (x − μ), diag s), for a given decoder.

    With it the ELBO is log p(x) − ½ (Σ log M_jj − log det M), M = WᵀW + σ² I: log p(x) if the columns of W are
    orthogonal.

    Parameters
    ----------
    weights : Tensor
        W, [..., D, d].
    noise_variance : Tensor or float
        σ², [...].

    Returns
    -------
    tuple of Tensor
        V, [..., d, D], and s, [..., d].

    Examples
    --------
    >>> encoder, variances = optimal_encoder(torch.tensor([[1.0], [1.0]]), 2.0)
    >>> encoder, variances
    (tensor([[0.2500, 0.2500]]), tensor([0.5000]))
    """
    noise = torch.as_tensor(noise_variance, dtype=weights.dtype)[..., None, None]
    m = weights.mT @ weights + noise * torch.eye(weights.shape[-1], dtype=weights.dtype)
    return torch.linalg.solve(m, weights.mT), noise[..., 0] / m.diagonal(dim1=-2, dim2=-1)


@dataclass(frozen=True)
class StationaryPoint:
    """A stationary point of log p, and of the ELBO with the best q: W retains a subset of eigenvectors.

    Parameters
    ----------
    retained : tuple of int
        Positions of the retained eigenvalues.
    noise_variance : float
        σ².
    log_prob : float
        Mean log p(x) per example, equal to the ELBO, in nats.
    curvature : float
        Greatest second derivative, of either, by an element of W towards a discarded eigenvector; −inf if none is
        discarded.
    """

    retained: tuple[int, ...]
    noise_variance: float
    log_prob: float
    curvature: float

    @property
    def stable(self) -> bool:
        """Whether it is a maximum (up to rotations of z); otherwise it is a saddle."""
        return self.curvature <= 0.0


@plain_arguments
def stationary_points(
    eigenvalues: ArrayLike | Tensor, latents: int, *, noise_variance: float | None = None
) -> list[StationaryPoint]:
    """All stationary points of probabilistic PCA, and of the linear VAE with orthogonal columns of W, the best first.

    Only one is a maximum: it retains the greatest eigenvalues above σ². The others are saddles.

    Parameters
    ----------
    eigenvalues : array-like or Tensor
        Eigenvalues λ of the data's covariance (divisor n), the greatest first, [D].
    latents : int
        Number of latent dimensions, below D.
    noise_variance : float, default None
        σ², if it is fixed; None if it is learned, which makes it the mean of the discarded eigenvalues.

    Returns
    -------
    list of StationaryPoint
        By log p, the greatest first.

    Raises
    ------
    InputError
        If an argument is out of range, or there would be more than 100,000 subsets.

    Notes
    -----
    A column of W is √(λ − σ²) times an eigenvector with λ > σ², or zero. A column with variance v (λ, or σ² if it is
    zero) has second derivative (λ' − v) / (σ² v) towards a discarded eigenvector of eigenvalue λ', of log p and of the
    ELBO alike, since the columns stay orthogonal. The ELBO's further stationary points have columns that are not
    orthogonal, and a rotation of z improves on them.

    References
    ----------
    Tipping & Bishop, "Probabilistic principal component analysis" (1999), appendix A.
    Lucas et al., "Don't blame the ELBO! A linear VAE perspective on posterior collapse" (2019).

    Examples
    --------
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


@plain_arguments
def active_at(eigenvalues: ArrayLike | Tensor, noise_variance: float, *, latents: int | None = None) -> int:
    """How many latents the best linear VAE uses at a fixed σ²: the number of eigenvalues above it.

    Parameters
    ----------
    eigenvalues : array-like or Tensor
        Eigenvalues λ of the data's covariance (divisor n), the greatest first, [D].
    noise_variance : float
        σ².
    latents : int, default None
        Number of latents that the model has; None for no limit.

    Returns
    -------
    int
        Latents in use.

    References
    ----------
    Lucas et al., "Don't blame the ELBO! A linear VAE perspective on posterior collapse" (2019).

    Examples
    --------
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
    """The point that retains a subset; None if a column of W would be imaginary."""
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
