"""Linear VAEs trained by stochastic gradients: the optimum on MNIST, the latent share beside PCA's."""

from typing import Any

import numpy as np
import torch
from models import Record, measure, seen, stack, vae
from sklearn.decomposition import PCA

import elbowroom as er
from elbowroom.exact import LinearVAE, ProbabilisticPCA, linear_elbo, optimal_encoder
from elbowroom.metrics import latent_use

MNIST = {"epochs": 120, "batch_size": 100, "lr": 4e-3, "lr_final": 1e-6}
DIMENSIONS, SEEDS = (2, 10), 3
PLANS = {
    "linear VAE, shared": ("shared", (), {"epochs": 1_000, "batch_size": 100, "lr": 1e-2, "lr_final": 1e-5}),
    "VAE, shared": ("shared", (128, 128), {"epochs": 300, "batch_size": 100, "lr": 4e-3, "lr_final": 1e-4}),
    "VAE, predicted": ("predicted", (128, 128), {"epochs": 300, "batch_size": 100, "lr": 4e-3, "lr_final": 1e-4}),
}
_ROWS = 5_000


def on_mnist() -> None:
    """ELBO and exact log p of a trained linear VAE beside the optimum, on the same dequantised images."""
    data = er.load_data("mnist")
    record = Record("linear_mnist", {"data": "mnist", "latents": 10, "training": MNIST})
    record.row({"model": "pPCA"}, lambda: optimum(data))
    for seed in range(1):
        record.row({"model": "linear VAE", "seed": seed}, lambda s=seed: trained(s, data))
    record.row({"model": "linear VAE, whole data, L-BFGS", "seed": 0}, lambda: by_lbfgs(data))


def trained(seed: int, data: Any) -> dict[str, Any]:
    model = vae("shared", seed, 10, 784, data.preprocess, ())
    history = er.fit(model, data, seed=seed, select="last", progress=False, **MNIST)
    exact, row = LinearVAE(model), {}
    for part in ("train", "test"):
        examples = data.parts[part]
        chunks = [examples[start : start + _ROWS] for start in range(0, len(examples), _ROWS)]
        elbo, log_p = (
            np.concatenate([of(chunk).numpy() for chunk in chunks]).mean() for of in (exact.elbo, exact.log_prob)
        )
        row |= {f"{part}_elbo": float(elbo), f"{part}_log_p": float(log_p)}
    return row | {
        "sigma2": float(exact.noise.mean()),
        "active": int(latent_use(model, data.test).active.sum()),
        "notes": history.notes,
    }


def by_lbfgs(data: Any, steps: int = 300) -> dict[str, Any]:
    """Decoder and σ² trained on the mean ELBO of all training images, from random weights, q at its best throughout."""
    x = seen(data, data.train)
    covariance = torch.tensor(np.cov(x.T, bias=True))
    start = torch.Generator().manual_seed(0)
    scaled = (0.1 * torch.randn(784, 10, generator=start, dtype=torch.float64)).requires_grad_()
    log_noise = covariance.diagonal().mean().log().clone().requires_grad_()
    optimizer = torch.optim.LBFGS([scaled, log_noise], max_iter=steps, history_size=50, line_search_fn="strong_wolfe")

    def weights() -> tuple[torch.Tensor, torch.Tensor]:
        return scaled * (log_noise / 2).exp(), log_noise.exp()

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        w, noise = weights()
        value = -linear_elbo(covariance, w, *optimal_encoder(w, noise), noise)
        value.backward()
        return value

    optimizer.step(loss)
    with torch.no_grad():
        w, noise = weights()
        elbo = linear_elbo(covariance, w, *optimal_encoder(w, noise), noise)
        m = w.T @ w + noise * torch.eye(10, dtype=w.dtype)
        log_p = elbo + 0.5 * (m.diagonal().log().sum() - torch.logdet(m))
    log_jacobian = -784 * np.log(256)
    return {
        "train_elbo": float(elbo) + log_jacobian,
        "train_log_p": float(log_p) + log_jacobian,
        "sigma2": float(noise),
    }


def optimum(data: Any) -> dict[str, Any]:
    """Log-likelihood per example of scikit-learn's PCA, on the user's scale."""
    train, test = seen(data, data.train), seen(data, data.test)
    log_jacobian = -784 * np.log(256)
    fitted = PCA(10, svd_solver="covariance_eigh").fit(train)
    return {
        "train_log_p": float(fitted.score(train) + log_jacobian),
        "test_log_p": float(fitted.score(test) + log_jacobian),
        "sigma2": float(fitted.noise_variance_),
    }


def shares() -> None:
    """Latent share at equal d on digits: PCA, pPCA, linear VAE, VAEs."""
    data = er.load_data("digits")
    record = Record(
        "equal_d", {"data": "digits", "seeds": SEEDS, "plans": {name: plan[1:] for name, plan in PLANS.items()}}
    )
    x = seen(data, data.train)
    for d in DIMENSIONS:
        record.row(
            {"model": "PCA", "d": d}, lambda d=d: {"share": float(PCA(d).fit(x).explained_variance_ratio_.sum())}
        )
        record.row({"model": "pPCA", "d": d}, lambda d=d: probabilistic(x, d))
        for name in PLANS:
            record.row({"model": name, "d": d}, lambda n=name, d=d: of_stack(n, d, data))


def probabilistic(x: np.ndarray, d: int) -> dict[str, Any]:
    model = ProbabilisticPCA.fit(x, d)
    latent = float(model.weights.square().sum())
    return {"share": latent / (latent + x.shape[1] * model.noise_variance)}


def of_stack(name: str, d: int, data: Any) -> dict[str, Any]:
    kind, hidden, plan = PLANS[name]
    vaes = [vae(kind, seed, d, 64, data.preprocess, hidden) for seed in range(SEEDS)]
    stack(vaes, data, **plan)
    return {"models": [measure(model, data.test) for model in vaes]}
