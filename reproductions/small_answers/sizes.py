"""What the size of the latent does, and what the latent holds: copies, classes, principal variances, outliers."""

import math
from typing import Any

import numpy as np
import torch
from shelf import SEEDS, Record, Row, digits, mnist, seen, vae
from torch import Tensor, nn

import elbowroom as er
from elbowroom.metrics import latent_use, neighbour_accuracy, psnr, reconstruction_error

SIZES = (2, 5, 10, 20, 64)
IMAGES, START = 300, 0.15
TRAINING: dict[str, Any] = {"epochs": 300, "lr_final": 1e-4, "progress": False}


def latents() -> None:
    """records/latents.json: errors and bounds against the size of the latent, with the prior's term and without."""
    cells = [(term, d, seed) for term in (True, False) for d in SIZES for seed in SEEDS]
    keys = [{"prior_term": term, "start": START, "d": d, "seed": seed} for term, d, seed in cells]
    Record("latents", images=IMAGES, hidden=[128], epochs=2 * TRAINING["epochs"]).rows(keys, _latents)


def _latents(prior_term: bool, start: float, d: int, seed: int) -> Row:
    """Without the term (β = 0) σ is no part of what is minimised but for a factor, and there is no density to bound."""
    data = digits(IMAGES)
    settings: dict[str, Any] = {"scale": "shared", "start": start} if prior_term else {"scale": 0.1}
    model = vae(data, seed, latents=d, hidden=[128], **settings)
    training = TRAINING | {"epochs": 2 * TRAINING["epochs"]}
    er.fit(model, data, er.objectives.Elbo(float(prior_term)), seed=seed, **training)
    return _held_out(model, data, bounds=prior_term)


def _held_out(model: er.VAE, data: er.data.Dataset, bounds: bool = True) -> Row:
    train, test = (reconstruction_error(model, part) for part in (data.train, data.test))
    row = {"train_error": train, "test_error": test, "train_psnr": psnr(train, 64), "test_psnr": psnr(test, 64)}
    row |= {"active": int(latent_use(model, data.test).active.sum())}
    if bounds:
        fit, held = (er.evidence.iwae(model, part, draws=500) for part in (data.train[:IMAGES], data.test))
        rate = er.evidence.rate_distortion(model, data.test, draws=8).rate
        row |= {"train_iwae": [fit.mean, fit.se_total], "test_iwae": [held.mean, held.se_total]}
        row |= {"rate": [rate.mean, rate.se_total]}
    return row


SCALES = (0.3, 0.1, 0.03, 0.01)


def copies() -> None:
    """records/copies.json: as many latents as pixels, and an ever smaller σ."""
    keys = [{"scale": scale, "seed": seed} for scale in SCALES for seed in SEEDS]
    Record("copies", latents=64, hidden=[128], epochs=TRAINING["epochs"]).rows(keys, _copy)


def _copy(scale: float, seed: int) -> Row:
    data = digits(IMAGES)
    model = vae(data, seed, latents=64, hidden=[128], scale=scale)
    er.fit(model, data, seed=seed, **TRAINING)
    return _held_out(model, data)


def classes() -> None:
    """records/classes.json: neighbours and silhouettes of the classes, in z, in x, and in as many components."""
    Record("classes", latents=10, hidden=[128], epochs=100).rows([{"seed": seed} for seed in SEEDS], _classes)


def _classes(seed: int) -> Row:
    from sklearn.decomposition import PCA

    data = digits()
    model = vae(data, seed, latents=10, hidden=[128], family=er.likelihoods.TruncatedNormal)
    er.fit(model, data, seed=seed, **(TRAINING | {"epochs": 100}))
    x = [seen(data, part) for part in (data.train, data.test)]
    pca = PCA(10).fit(x[0])
    spaces = {
        "z": [model.encode(part)["z"].double().numpy() for part in (data.train, data.test)],
        "x": x,
        "ten principal components": [pca.transform(part) for part in x],
    }
    return {name: _apart(data, *parts) for name, parts in spaces.items()}


def _apart(data: er.data.Dataset, train: np.ndarray, test: np.ndarray) -> Row:
    from sklearn.metrics import silhouette_score

    one, other = (np.asarray(part.labels) for part in (data.train, data.test))
    share = neighbour_accuracy(train, one, test, other)
    return {"neighbours": [share, math.sqrt(share * (1 - share) / len(test))],
            "silhouette": float(silhouette_score(test, other))}  # fmt: skip


def spectrum() -> None:
    """records/spectrum.json: the variances of ten principal components of digits, and what they leave."""
    Record("spectrum", latents=10).rows([{"data": "digits"}], _spectrum)


def _spectrum(data: str) -> Row:
    loaded = digits()
    values = np.linalg.eigvalsh(np.cov(seen(loaded, loaded.train).T, bias=True))[::-1]
    fitted = er.exact.ProbabilisticPCA.fit(seen(loaded, loaded.train), 10)
    return {
        "principal_variances": values[:10].tolist(),
        "their_average": float(values[:10].mean()),
        "mean_discarded": float(values[10:].mean()),
        "noise_variance": float(fitted.noise_variance),
    }


COMPONENTS = (1, 10, 50, 250)


def one_class() -> None:
    """records/one_class.json: PCA of all digits and of the threes alone, on test threes."""
    Record("one_class", images=10_000, digit=3).rows([{"data": "mnist"}], _one_class)


def _one_class(data: str) -> Row:
    from sklearn.decomposition import PCA

    loaded = mnist(60_000)
    rows, threes = (seen(loaded, part) for part in (loaded.train[:10_000], _threes(loaded.train)))
    test = seen(loaded, _threes(loaded.test))
    found: Row = {"train_threes": len(threes), "test_threes": len(test), "pictures": [test[:4].tolist()]}
    for name, fitted_on in (("all digits", rows), ("threes", threes)):
        for d in COMPONENTS:
            pca = PCA(d, svd_solver="covariance_eigh").fit(fitted_on)
            means = pca.inverse_transform(pca.transform(test))
            squares = np.square(means - test).sum(1)
            error = [float(squares.mean()), float(squares.std()) / math.sqrt(len(test))]
            found[f"{name}, {d}"] = {"squared_error": error, "psnr": psnr(error[0], 784)}
            found["pictures"].append(means[:4].tolist())
    found["pictures"] = [[[round(v, 2) for v in image] for image in images] for images in found["pictures"]]
    return found


def _threes(examples: Any) -> Any:
    return examples[examples.labels == 3]


class Decoder(nn.Module):
    """Linear means, so that there is a subspace to compare, and a network's spreads."""

    def __init__(self, d: int, size: int) -> None:
        super().__init__()
        self.means, self.spreads = nn.Linear(d, size), er.networks.MLP([d, 64, size])

    def forward(self, z: Tensor) -> Tensor:
        return torch.cat([self.means(z), self.spreads(z)], -1)


OUTLIERS = (0.0, 0.05)


def outliers() -> None:
    """records/outliers.json: the angle to the true subspace where some rows have gross errors in some cells."""
    Record("outliers", rows=2_000, columns=20, latents=3).rows(
        [{"share": share, "seed": seed} for share in OUTLIERS for seed in SEEDS], _outliers
    )


LINEAR: dict[str, tuple[Any, dict[str, Any]]] = {
    "VAE, one σ": (er.likelihoods.Normal, {"scale": "shared"}),
    "VAE, σ(z)": (er.likelihoods.Normal, {"scale": "predicted"}),
    "VAE, Student-t": (er.likelihoods.StudentT, {"scale": "shared", "df": "shared"}),
}


def with_outliers(share: float, seed: int) -> tuple[np.ndarray, er.data.Dataset]:
    """A basis of the true subspace [20, 3], and rows near it, some with gross errors in a fifth of their cells."""
    rng = np.random.default_rng(seed)
    true = np.linalg.qr(rng.normal(size=(20, 3)))[0] * [3.0, 2.0, 1.5]
    x = rng.normal(size=(2_000, 3)) @ true.T + 0.2 * rng.normal(size=(2_000, 20))
    hit = (rng.random(2_000) < share)[:, None] & (rng.random(x.shape) < 0.2)
    x = np.where(hit, x + 20 * rng.choice([-1, 1], size=x.shape), x)
    settings: dict[str, Any] = {"support": "real", "preprocess": "none", "validation": 200, "test": 200, "seed": seed}
    return true, er.load_data(x, progress=False, **settings)


def linear_means(name: str, seed: int) -> tuple[er.VAE, nn.Linear]:
    """A model with a linear map of means, and that map."""
    torch.manual_seed(seed)
    family, settings = LINEAR[name]
    decoder = Decoder(3, 20) if settings["scale"] == "predicted" else nn.Linear(3, 20)
    encoder = er.posteriors.DiagonalNormal(er.networks.MLP([20, 64, 6]), 3)
    model = er.VAE(er.priors.StandardNormal(3), encoder, family(decoder, 20, **settings))
    return model, decoder.means if isinstance(decoder, Decoder) else decoder


def _outliers(share: float, seed: int) -> Row:
    from sklearn.decomposition import PCA

    true, data = with_outliers(share, seed)
    found = {"PCA": _angle(true, PCA(3).fit(data.train.x.numpy()).components_.T)}
    for name in LINEAR:
        model, means = linear_means(name, seed)
        er.fit(model, data, epochs=80, lr=3e-3, lr_final=3e-4, seed=seed, progress=False)
        found[name] = _angle(true, means.weight.detach().double().numpy())
    return {"degrees": found}


def _angle(one: np.ndarray, other: np.ndarray) -> float:
    """The greatest principal angle of two subspaces, in degrees."""
    cosines = np.linalg.svd(np.linalg.qr(one)[0].T @ np.linalg.qr(other)[0], compute_uv=False)
    return float(np.degrees(np.arccos(min(1.0, cosines.min()))))


def batch_norm() -> None:
    """records/batch_norm.json: the bound of the preset conv-2018 with batch norm in its two phases, 500 images."""
    Record("batch_norm", images=500, latents=32, epochs=20).rows([{"seed": seed} for seed in SEEDS[:1]], _batch_norm)


def cifar() -> er.data.Dataset:
    """500 images to train on, 500 for test."""
    data = er.load_data("cifar10", preprocess="dequantise-symmetric", progress=False)
    data.train, data.validation, data.test = data.train[:500], data.validation[:100], data.test[:500]
    return data


def conv_2018(data: er.data.Dataset, seed: int) -> er.VAE:
    """The preset with one learned σ."""
    torch.manual_seed(seed)
    encoder, decoder = er.networks.preset("conv-2018", image=data.event, latents=32)
    posterior = er.posteriors.DiagonalNormal(encoder, 32)
    likelihood = er.likelihoods.Normal(decoder, data.event, scale="shared")
    return er.VAE(er.priors.StandardNormal(32), posterior, likelihood, preprocess=data.preprocess)


def _batch_norm(seed: int) -> Row:
    data = cifar()
    model = conv_2018(data, seed)
    er.fit(model, data, epochs=20, batch_size=50, seed=seed, select="last", progress=False)
    phases = {"training": True, "evaluation": False}
    return {f"{part}, {name} phase": _bound(model, getattr(data, part), phase)
            for part in ("train", "test") for name, phase in phases.items()}  # fmt: skip


@torch.no_grad()
def _bound(model: er.VAE, examples: Any, training: bool) -> list[float]:
    """ELBO with one draw, by batches of 50: in the training phase an image's bound hangs on the others of its batch."""
    model.train(training)
    momenta = [part for part in model.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    for part in momenta:
        part.momentum = 0.0  # nothing moves while it is measured
    values = []
    for first in range(0, len(examples), 50):
        batch = examples[first : first + 50].batch()
        terms = model(batch, model.keyed_noise(1, batch.index, 0))
        values.append((terms.log_likelihood - terms.rate("closed"))[0])
    model.eval()
    found = torch.cat(values).double()
    return [float(found.mean()), float(found.std()) / math.sqrt(len(found))]
