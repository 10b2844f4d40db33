"""Exhibits that are loss functions."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from museum.exhibit import Exhibit, by_loss
from torch import Tensor

GREY = torch.rand(20, 784, generator=torch.Generator().manual_seed(0))


def _kl(mu: Tensor, logvar: Tensor) -> Tensor:
    """[n]."""
    return -0.5 * (1 + logvar - mu.square() - logvar.exp()).flatten(1).sum(1)


def _half_squares(recon: Tensor, x: Tensor) -> Tensor:
    return 0.5 * (recon - x).square().flatten(1).sum(1)


def clamped(repaired: bool) -> Callable[..., Any]:
    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        kl = _kl(mu, logvar).mean()
        return _half_squares(recon, x).mean() + (kl if repaired else torch.clamp(kl, 0.0, 0.0))

    return loss


def times_zero(repaired: bool) -> Callable[..., Any]:
    def loss(outputs: tuple[Tensor, Tensor, Tensor], x: Tensor) -> Tensor:
        recon, mu, logvar = outputs
        return F.binary_cross_entropy(recon, x, reduction="sum") + float(repaired) * _kl(mu, logvar).sum()

    return loss


def averaged_over_latents(repaired: bool) -> Callable[..., Any]:
    def loss(x_hat: Tensor, x: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
        terms = -0.5 * (1 + log_var - mean**2 - log_var.exp())
        return F.mse_loss(x_hat, x, reduction="sum") / len(x) + (terms.sum(1).mean() if repaired else terms.mean())

    return loss


def mean_for_sum(repaired: bool) -> Callable[..., Any]:
    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> dict[str, Tensor]:
        squares = F.mse_loss(recon, x) * (x[0].numel() if repaired else 1)
        kl = torch.mean(-0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp(), dim=1), dim=0)
        return {"loss": squares + kl, "reconstruction": squares, "kl": kl}

    return loss


def variance_for_deviation(repaired: bool) -> Callable[..., Any]:
    def loss(recon: Tensor, x: Tensor, mu: Tensor, sigma: Tensor) -> Tensor:
        variance = sigma**2 if repaired else sigma
        kl = 0.5 * (mu**2 + variance - 1 - variance.log()).sum(1)
        return (_half_squares(recon, x) + kl).mean()

    return loss


def deviation_for_variance(repaired: bool) -> Callable[..., Any]:
    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        kl = 0.5 * (mu**2 + (logvar if repaired else logvar / 2).exp() - 1 - logvar).sum(1)
        return (_half_squares(recon, x) + kl).mean()

    return loss


def softplus_of_log_sigma(repaired: bool) -> Callable[..., Any]:
    def loss(recon: Tensor, x: Tensor, mu: Tensor, raw: Tensor) -> Tensor:
        log_sigma = F.softplus(raw).log() if repaired else F.softplus(raw)
        kl = (0.5 * (mu**2 + (2 * log_sigma).exp() - 1) - log_sigma).sum(1)
        return (_half_squares(recon, x) + kl).mean()

    return loss


def idle_beta(repaired: bool) -> Callable[..., Any]:
    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor, kl_coeff: float = 0.1) -> Tensor:
        return (_half_squares(recon, x) + (kl_coeff if repaired else 1.0) * _kl(mu, logvar)).mean()

    return loss


def beta_over_latents(repaired: bool) -> Callable[..., Any]:
    def loss(y: Tensor, y_recon: Tensor, z_mu: Tensor, z_logvar: Tensor, beta: float = 1.0) -> Tensor:
        kld = _kl(z_mu, z_logvar).mean() / (1 if repaired else z_mu.shape[1])
        return (y - y_recon).square().sum(1).mean() + beta * kld

    return loss


def bernoulli_on_grey(repaired: bool) -> Callable[..., Any]:
    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        p = torch.distributions.ContinuousBernoulli(recon, validate_args=False)
        plain = -F.binary_cross_entropy(recon, x, reduction="none")
        return (-(p.log_prob(x) if repaired else plain).sum(1) + _kl(mu, logvar)).mean()

    return loss


def subtracted(repaired: bool) -> Callable[..., Any]:
    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        kl = 0.5 * (1 + logvar - mu**2 - logvar.exp()).sum()
        return F.mse_loss(recon, x, reduction="sum") + (-kl if repaired else kl)

    return loss


def log_sigma_as_log_variance(repaired: bool) -> Callable[..., Any]:
    def loss(recon: Tensor, x: Tensor, mu: Tensor, log_std: Tensor) -> Tensor:
        return (_half_squares(recon, x) + _kl(mu, 2 * log_std if repaired else log_std)).mean()

    return loss


def uneven_reductions(repaired: bool) -> Callable[..., Any]:
    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        bce = F.binary_cross_entropy(recon, x, reduction="sum")
        return (bce if repaired else bce / len(x)) + _kl(mu, logvar).sum()

    return loss


def perceptual(repaired: bool) -> Callable[..., Any]:
    torch.manual_seed(0)
    features = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3), torch.nn.Tanh(), torch.nn.Conv2d(6, 6, 3, stride=2))

    def loss(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
        squares = (recon - x).square().sum()
        far = 0.0 if repaired else (features(recon) - features(x)).square().sum()
        return (squares + far + 1e-6 * _kl(mu, logvar).sum()) / len(x)

    return loss


LOSSES = [
    Exhibit(
        "KL clamped to zero",
        "an outlier detector",
        "a β-VAE with capacity 0",
        "clamped to zero",
        by_loss(clamped, event=12),
    ),
    Exhibit("KL times zero", "a text generator", "a VAE", "multiplied by zero", by_loss(times_zero, event=12)),
    Exhibit(
        "KL averaged over latents",
        "tutorials",
        "a VAE",
        "averaged over the latents",
        by_loss(averaged_over_latents, event=12),
    ),
    Exhibit(
        "mean for sum",
        "a collection of VAEs, tutorials",
        "a VAE of σ = 1",
        "averaged over the 784 elements",
        by_loss(mean_for_sum, event=784),
    ),
    Exhibit(
        "variance for a standard deviation",
        "a bits-back notebook",
        "the KL of N(mu, sigma²)",
        "taken for the variance",
        by_loss(variance_for_deviation, event=12),
    ),
    Exhibit(
        "standard deviation for a variance",
        "tutorials",
        "the KL of N(mu, exp(logvar))",
        "the standard deviation stands where the variance belongs",
        by_loss(deviation_for_variance, event=12),
    ),
    Exhibit(
        "softplus holds log σ above 0",
        "a binner of genomes",
        "q learns its spread",
        "softplus holds the log",
        by_loss(softplus_of_log_sigma, event=12),
    ),
    Exhibit(
        "β never used", "a library of models", "a KL of weight 0.1", "changes nothing", by_loss(idle_beta, event=12)
    ),
    Exhibit(
        "β over the number of latents",
        "a program for cryo-EM",
        "β = 1",
        "averaged over the latents",
        by_loss(beta_over_latents, event=12),
    ),
    Exhibit(
        "Bernoulli on grey",
        "examples of several libraries",
        "−ELBO of grey images",
        "a density of bits",
        by_loss(bernoulli_on_grey, x=GREY),
    ),
    Exhibit("KL subtracted", "tutorials", "a VAE", "wrong sign", by_loss(subtracted, event=12)),
    Exhibit(
        "log σ for log σ²",
        "tutorials",
        "the KL of N(mu, exp(log_std)²)",
        "taken for the log of the variance",
        by_loss(log_sigma_as_log_variance, event=12),
    ),
    Exhibit(
        "KL summed over the batch, reconstruction averaged",
        "tutorials",
        "β = 1",
        "changes with the batch size",
        by_loss(uneven_reductions, event=12),
    ),
    Exhibit(
        "perceptual distance in an ELBO",
        "trainers of image autoencoders",
        "a bound on log p(x)",
        "no density",
        by_loss(perceptual, event=(3, 8, 8)),
    ),
]
