"""Losses in the styles in which people write them, and what each stands for."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, distributions, nn

Loss = Callable[..., Any]


def kl_of(mu: Tensor, logvar: Tensor) -> Tensor:
    """[n]."""
    return -0.5 * (1 + logvar - mu.square() - logvar.exp()).flatten(1).sum(1)


def half(recon: Tensor, x: Tensor) -> Tensor:
    return 0.5 * (recon - x).square().flatten(1).sum(1)


class FromACollection(nn.Module):
    """A method of *args and **kwargs that returns a mapping."""

    def loss_function(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        recons, given, mu, log_var = args[0], args[1], args[2], args[3]
        squares = F.mse_loss(recons, given)
        kld = torch.mean(-0.5 * torch.sum(1 + log_var - mu**2 - log_var.exp(), dim=1), dim=0)
        return {"loss": squares + kwargs["M_N"] * kld, "Reconstruction_Loss": squares, "KLD": -kld}


def flattened(recon_x: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    bce = F.binary_cross_entropy(recon_x, x.view(-1, 784), reduction="sum")
    return bce - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())


def times_784(x_hat: Tensor, x: Tensor, mean: Tensor, log_var: Tensor) -> Tensor:
    return F.mse_loss(x_hat, x) * 784 - 0.5 * torch.mean(torch.sum(1 + log_var - mean**2 - log_var.exp(), dim=1))


def by_module(output: Tensor, target: Tensor, mu: Tensor, logvar: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    bce = nn.BCELoss(reduction="sum")(output, target) / target.size(0)
    kld = torch.mean(-0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp(), dim=1), dim=0)
    return bce + kld, bce, kld


def of_a_mapping(outputs: dict[str, Tensor], images: Tensor) -> Tensor:
    squares = F.mse_loss(outputs["reconstruction"], images, reduction="none").sum(dim=(1, 2, 3)).mean()
    return squares + 4 * kl_of(outputs["mu"], outputs["log_var"]).mean()


def of_an_object(batch: Tensor, out: Any) -> Tensor:
    return half(out.recon_x, batch).mean() + kl_of(out.mu, out.log_covariance).mean()


def of_a_tuple(results: tuple[Tensor, ...]) -> Tensor:
    recon, x, mu, logvar = results
    return F.l1_loss(recon, x, reduction="sum") + 0.5 * kl_of(mu, logvar).sum()


def normalised_beta(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor, beta: float = 3.0) -> Tensor:
    weight = beta * mu.shape[1] / x[0].numel()
    return half(recon, x).mean() + weight * kl_of(mu, logvar).mean()


def parts(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> tuple[Tensor, Tensor]:
    return half(recon, x).sum(), kl_of(mu, logvar).sum()


def by_numpy(y_true: Any, y_pred: Any, z_mean: Any, z_log_var: Any) -> Any:
    squares = np.sum(np.square(np.subtract(np.array(y_true), np.array(y_pred))), axis=1)
    kl = -0.5 * np.sum(1 + np.array(z_log_var) - np.square(np.array(z_mean)) - np.exp(np.array(z_log_var)), axis=1)
    return np.mean(squares + kl)


def drawn(recon: Tensor, x: Tensor, z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    q, p = distributions.Normal(mu, (logvar / 2).exp()), distributions.Normal(0.0, 1.0)
    return half(recon, x).mean() + (q.log_prob(z) - p.log_prob(z)).sum(1).mean()


def of_a_distribution(recon: Tensor, x: Tensor, posterior: distributions.Normal) -> Tensor:
    p = distributions.Normal(torch.zeros_like(posterior.loc), 1.0)
    return half(recon, x).mean() + distributions.kl_divergence(posterior, p).sum(1).mean()


def each(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    return half(recon, x) + kl_of(mu, logvar)


def noisy(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    z = mu + torch.randn_like(mu) * (logvar / 2).exp()
    log_ratio = -0.5 * logvar - 0.5 * (z - mu) ** 2 / logvar.exp() + 0.5 * z**2
    return half(recon, x).mean() + log_ratio.sum(1).mean()


def after_tanh(recon: Tensor, x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    return half(torch.tanh(recon), x).mean() + kl_of(mu, logvar).mean()


WILD: dict[str, tuple[Loss, dict[str, Any], str, float, float]] = {
    "flattened": (flattened, {}, "Bernoulli", 1.0, 0.0),
    "times 784": (times_784, {}, "Gaussian", 1.0, 0.0),
    "by a module": (by_module, {"event": 12}, "Bernoulli", 1.0, 0.0),
    "of a mapping": (of_a_mapping, {}, "Gaussian", 4.0, 0.0),
    "of an object": (of_an_object, {"event": 12}, "Gaussian", 2.0, 0.0),
    "of a tuple": (of_a_tuple, {"event": 12}, "Laplace", 0.5, 0.0),
    "normalised β": (normalised_beta, {"event": 60, "latents": 4}, "Gaussian", 2 * 3 * 4 / 60, 0.0),
    "parts without a total": (parts, {"event": 12}, "Gaussian", 2.0, 0.0),
    "NumPy": (by_numpy, {"event": 12}, "Gaussian", 1.0, 0.0),
    "a drawn KL": (drawn, {"event": 12}, "Gaussian", 2.0, 0.0),
    "a distribution": (of_a_distribution, {"event": 12}, "Gaussian", 2.0, 0.0),
    "each example": (each, {"event": 12}, "Gaussian", 2.0, 0.0),
    "noise of its own": (noisy, {"event": 12}, "Gaussian", 2.0, 0.05),
    "after a tanh": (after_tanh, {"event": 12}, "Gaussian", 2.0, 0.0),
    "kwargs": (
        FromACollection().loss_function,
        {"event": (3, 16, 16), "others": {"M_N": 0.00025}},
        "Gaussian",
        0.00025 * 768,
        0.0,
    ),
}
