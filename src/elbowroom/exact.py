"""Models whose log p(x) is known: probabilistic PCA, the linear VAE, and one or two latents by quadrature."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from elbowroom.numerics import Batch, CapabilityError, Estimate, InputError
from elbowroom.vae import VAE, HasBatch
from elbowroom.vae.model import as_batch, evaluating

__all__ = ["LinearVAE", "ProbabilisticPCA", "log_evidence_by_quadrature"]


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
        return _marginal(self.weights, self.mean, torch.full_like(self.mean, self.noise_variance))

    def log_prob(self, x: ArrayLike | Tensor) -> Tensor:
        """log p(x) [n] in nats, for x [n, D]."""
        return self.marginal.log_prob(torch.as_tensor(np.asarray(x), dtype=torch.float64))


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

    def log_prob(self, examples: Batch | HasBatch) -> Tensor:
        """log p(x), [n]."""
        y, log_jacobian = self._preprocessed(examples)
        return _marginal(self.weights, self.mean, self.noise).log_prob(y) + log_jacobian

    def posterior(self, examples: Batch | HasBatch) -> MultivariateNormal:
        """p(z | x) with batch shape [n]."""
        y, _ = self._preprocessed(examples)
        precision = torch.eye(self.dim, dtype=torch.float64) + self.weights.T @ (self.weights / self.noise[:, None])
        covariance = torch.linalg.inv(precision)
        mean = (y - self.mean) / self.noise @ self.weights @ covariance
        return MultivariateNormal(mean, (covariance + covariance.T) / 2)

    def encoder(self, examples: Batch | HasBatch) -> Independent:
        """q(z | x) with batch shape [n]."""
        y, _ = self._preprocessed(examples)
        with torch.no_grad():
            q = self.vae.posterior["z"]({"x": y.to(self.vae.dtype).unsqueeze(0)})
        return Independent(Normal(q.mean[0].double(), q.stddev[0].double()), 1)

    def rate(self, examples: Batch | HasBatch) -> Tensor:
        """KL(q(z | x) ‖ p(z)), [n]."""
        q = self.encoder(examples)
        prior = Normal(torch.zeros_like(q.mean), torch.ones_like(q.mean))
        return kl_divergence(q, Independent(prior, 1))

    def distortion(self, examples: Batch | HasBatch) -> Tensor:
        """−E_q log p(x | z), [n]: the error at the mean of q, and what the spread of q adds."""
        y, log_jacobian = self._preprocessed(examples)
        q = self.encoder(examples)
        error = (y - self.mean - q.mean @ self.weights.T).square() + q.variance @ self.weights.T.square()
        normaliser = 0.5 * (2 * math.pi * self.noise).log().sum()
        return 0.5 * (error / self.noise).sum(-1) + normaliser - log_jacobian

    def elbo(self, examples: Batch | HasBatch) -> Tensor:
        """E_q[log p(x, z) − log q(z | x)], [n]."""
        return -self.rate(examples) - self.distortion(examples)

    def gap(self, examples: Batch | HasBatch) -> Tensor:
        """KL(q(z | x) ‖ p(z | x)), [n]: log p(x) − ELBO, by a road of its own."""
        q = self.encoder(examples)
        full = MultivariateNormal(q.mean, torch.diag_embed(q.variance))
        return kl_divergence(full, self.posterior(examples))

    def _preprocessed(self, examples: Batch | HasBatch, seed: int = 0) -> tuple[Tensor, Tensor]:
        batch = as_batch(examples)
        with torch.no_grad():
            given, log_jacobian = self.vae.given(batch, self.vae.keyed_noise(1, batch.index, seed))
        return given["x"][0].flatten(1).double(), log_jacobian.double()


@torch.no_grad()
def log_evidence_by_quadrature(
    vae: VAE, examples: Batch | HasBatch, *, nodes: int = 2000, reach: float = 9.0, seed: int = 0
) -> Estimate:
    """log p(x) of a model with one or two latent dimensions and a standard-normal-like prior, in nats.

    The trapezoidal rule over [−reach, reach] per dimension, whose error falls faster than any power of the spacing on
    smooth integrands that vanish at the ends; `nodes` per dimension. Raises CapabilityError for more latents.
    Source: Trefethen & Weideman, "The exponentially convergent trapezoidal rule", 2014.
    """
    target = vae.target(as_batch(examples), seed)
    if target.dim > 2:
        raise CapabilityError(f"Quadrature serves one or two latent dimensions; this model has {target.dim}.")
    axis = torch.linspace(-reach, reach, nodes, dtype=vae.dtype, device=vae.device)
    grid = torch.cartesian_prod(*[axis] * target.dim).view(-1, 1, target.dim)
    batch = target.batch
    with evaluating(vae):
        log_cell = target.dim * math.log(2 * reach / (nodes - 1))
        pieces = []
        for z in grid.split(4096):
            z = z.expand(-1, len(batch), -1)
            pieces.append((target.log_prior(z) + target.log_likelihood(z)).double().logsumexp(0))
    values = torch.stack(pieces).logsumexp(0) + log_cell
    return Estimate.of(
        values.cpu(), index=batch.index.cpu(), quantity=vae.quantity, estimator="quadrature", direction="exact"
    )


def _marginal(weights: Tensor, mean: Tensor, noise_variance: Tensor) -> MultivariateNormal:
    """N(mean, W Wᵀ + diag noise_variance)."""
    return MultivariateNormal(mean, weights @ weights.T + torch.diag(noise_variance))
