"""What is measured of each model: the bound, the errors, the split of variance, the samples."""

import math
from dataclasses import asdict
from typing import Any

import torch
from models import GRID, Cell
from torch import Tensor
from torch.distributions import Distribution

import elbowroom as er
from elbowroom.data import Dataset
from elbowroom.distributions import simulate
from elbowroom.metrics import (
    CLASSIFIERS,
    SmallClassifier,
    changed_class,
    classifier_two_sample,
    frechet_distance,
    precision_recall,
    psnr,
    residual_correlation,
    total_ink,
)

POINTS = 2_000  # test images of the bounds and errors
SAMPLES = 10_000
TOLD_APART = 5_000  # of data, and of samples, that the classifiers see
WHITE = 255.0
FEWER = 500  # of errors, where E[x | z] takes draws
MEAN_OF = 32  # draws that stand for E[x | z] where it has no closed form


def likelihood(vae: er.VAE, data: Dataset) -> dict[str, Any]:
    """Rate, distortion, ELBO and IWAE-128 on test, nats on the grid's scale, and bits per dimension.

    IWAE-32, a looser bound, where elements see their neighbours: each draw runs a network at every pixel.
    A density of dequantised data bounds the log-probability of the levels from below, so the bits of both kinds of
    likelihood compare.
    """
    size = math.prod(data.event) * (data.levels if isinstance(vae.likelihood, er.likelihoods.Categorical) else 1)
    test = data.test[: POINTS if size < 1_000 else POINTS // 4 if size < 10_000 else POINTS // 20]
    sizes = er.evidence.rate_distortion(vae, test, draws=16)
    importance = er.evidence.iwae(vae, test, draws=128 if has_mean(vae) else 32)
    bits = -1 / (math.prod(data.event) * math.log(2))
    return {
        "rate": [sizes.rate.mean, sizes.rate.se_total],
        "elbo": [sizes.elbo.mean, sizes.elbo.se_total],
        "iwae": [importance.mean, importance.se_total],
        "bits": [bits * importance.mean, -bits * importance.se_total],
    }


def reconstruction(vae: er.VAE, data: Dataset, classifier: SmallClassifier | None) -> dict[str, Any]:
    """Squared error of decoded means against the images in [0, 1], and the share that changes class."""
    test = data.test[: POINTS if has_mean(vae) else FEWER]
    images, means = test.x / WHITE, decoded(vae, test) / WHITE
    squares = (images - means).double().square().flatten(1).sum(1)
    error = float(squares.mean())
    found: dict[str, Any] = {
        "squared_error": [error, float(squares.std()) / math.sqrt(len(squares))],
        "psnr": psnr(error, images[0].numel()),
    }
    if classifier is not None:
        found["changed_class"] = asdict(changed_class(classifier, images, means.float()))
    return found


@torch.no_grad()
def decoded(vae: er.VAE, test: Any) -> Tensor:
    """E[x | z] at the mean of q(z | x), on the user's scale; by draws where it has no closed form."""
    generator = torch.Generator().manual_seed(0)
    return vae.preprocess.inverse(mean_of(vae.likelihood(vae.at_means(test)), generator)[0])


def has_mean(vae: er.VAE) -> bool:
    """Whether E[x | z] has a closed form."""
    return not isinstance(vae.likelihood, er.likelihoods.Autoregressive)


def mean_of(p_x: Distribution, generator: torch.Generator) -> Tensor:
    """E[x | z], by draws where it has no closed form."""
    if "mean" in er.distributions.capabilities(p_x):
        return p_x.mean
    return sum(simulate(p_x, generator) for _ in range(MEAN_OF)) / MEAN_OF


def variance(vae: er.VAE, data: Dataset, cell: Cell) -> dict[str, Any]:
    """The split of Var x between latent and noise, with z from the aggregate posterior and from the prior."""
    found = {}
    unit = WHITE if cell.family in GRID else 1.0  # these networks see levels
    slow = cell.family in ("logistic mixture", "categorical")  # sums over levels
    count = 2_000 if cell.neighbours else 500 if slow else 5_000
    for over in ("posterior", "prior"):
        budget = er.variance_budget(vae, data.test[:POINTS], over=over, draws=count)  # type: ignore[arg-type]
        found[over] = {
            "latent_share": [budget.latent_share, budget.latent_share_se],
            "data": budget.data / unit**2,
            "latent": budget.latent / unit**2,
            "noise": budget.noise / unit**2,
            "ink": [
                part / unit**2
                for part in (
                    budget.ink_data, budget.ink_latent, budget.ink_noise_diagonal, budget.ink_noise_covariance,
                )
            ],
        }  # fmt: skip
    return found


def z_spread(vae: er.VAE, data: Dataset) -> dict[str, float]:
    """Var z of the aggregate posterior, between and within examples, and how units correlate."""
    test = data.test[:POINTS].batch()
    vae.eval()
    with torch.no_grad():
        terms = vae(test, vae.keyed_noise(1, test.index, 0))
    q, z = terms.q["z"], terms.z["z"][0].double()
    between, within = q.mean[0].double().var(0), q.variance[0].double().mean(0)
    off = torch.corrcoef(z.T) - torch.eye(z.shape[1]) if z.shape[1] > 1 else torch.zeros(1)
    return {
        "between": float(between.mean()),
        "within": float(within.mean()),
        "greatest": float((between + within).max()),
        "correlation": float(off.abs().max()),
    }


@torch.no_grad()
def residuals(vae: er.VAE, data: Dataset, image: tuple[int, ...]) -> dict[str, Any]:
    """Correlation of residuals by lag: of the data around the decoder's mean, and as the model simulates them."""
    test = data.test[: POINTS if has_mean(vae) else FEWER].batch()
    vae.eval()
    generator = torch.Generator().manual_seed(0)
    terms = vae(test, vae.keyed_noise(1, test.index, 0))
    seen = vae.given(test, vae.keyed_noise(0, test.index, 0))[0]["x"][0]
    mean = mean_of(terms.p_x, generator)[0]
    found = {}
    for name, x in (("data", seen), ("model", simulate(terms.p_x, generator)[0])):
        correlation = residual_correlation((x - mean).float(), image_shape=image)
        found[name] = {"adjacent": correlation.adjacent, "by_lag": correlation.by_lag.round(4).tolist()}
    return found


def draws(vae: er.VAE, mode: str, seed: int = 1) -> Tensor:
    """Samples rounded to the grid, in [0, 1]; mode: "ancestral", "mean", or "offset -2" … "offset 2"."""
    word, _, offset = mode.partition(" ")
    parts = [
        vae.sample(1_000, mode=word, offset=float(offset or 0), seed=1_000 * seed + 2 * i)  # type: ignore[arg-type]
        for i in range(SAMPLES // 1_000)
    ]
    return torch.cat(parts).round().clamp(0, WHITE) / WHITE


def samples(x: Tensor, data: Tensor, classifier: SmallClassifier) -> dict[str, Any]:
    """How far samples [n, 784] are from data [n, 784]; both on the grid, in [0, 1]."""
    features, drawn = classifier.features(data), classifier.features(x)
    return {
        "two_sample": {
            kind: asdict(
                classifier_two_sample(data[:TOLD_APART], x[:TOLD_APART], classifier=kind, image_shape=(28, 28))
            )  # type: ignore[arg-type]
            for kind in CLASSIFIERS
        },
        "frechet": asdict(frechet_distance(features, drawn)),
        "precision_recall": asdict(precision_recall(features[:TOLD_APART], drawn[:TOLD_APART])),
        "ink": asdict(total_ink(x)),
        "pixel_variance": float(x.double().var(0).sum()),
    }


def _seen(data: Dataset, examples: Any) -> Any:
    """Examples [n, 784] as a density sees them."""
    noise = er.numerics.keyed_uniform(data.event, examples.index, 0)
    return data.preprocess(examples.x, noise)[0].double().numpy()


def mixture(data: Dataset, components: int = 50, rows: int = 10_000) -> dict[str, Any]:
    """A Gaussian mixture of diagonal components: its split of Var x into between and within, and its bits."""
    from sklearn.mixture import GaussianMixture

    kept = _seen(data, data.test[:POINTS])
    fitted = GaussianMixture(components, covariance_type="diag", random_state=0, max_iter=100)
    fitted.fit(_seen(data, data.train[:rows]))
    weights, means = fitted.weights_, fitted.means_
    between = float(weights @ ((means - weights @ means) ** 2).sum(1))
    within = float(weights @ fitted.covariances_.sum(1))
    bits = 8 - fitted.score(kept) / (kept.shape[1] * math.log(2))
    return {"components": components, "rows": rows, "latent": between, "noise": within, "bits": bits}


def classics(data: Dataset, classifier: SmallClassifier, sizes: tuple[int, ...]) -> dict[str, Any]:
    """PCA of the same sizes: squared error, PSNR, share that changes class; probabilistic PCA's split and bits."""
    from sklearn.decomposition import PCA

    test = data.test[:POINTS]
    rows, kept = _seen(data, data.train[:30_000]), _seen(data, test)
    dimensions, found = kept.shape[1], {}
    for d in sizes:
        pca = PCA(d, svd_solver="covariance_eigh").fit(rows)
        means = torch.from_numpy(pca.inverse_transform(pca.transform(kept)))
        squares = (means - torch.from_numpy(kept)).square().sum(1)
        error, left = float(squares.mean()), float(pca.noise_variance_)
        latent = float(pca.explained_variance_.sum()) - d * left
        # scikit-learn's score is the density on [0, 1]; a level is 1/256 wide.
        bits = 8 - pca.score(kept) / (dimensions * math.log(2))
        found[str(d)] = {
            "squared_error": [error, float(squares.std()) / math.sqrt(len(squares))],
            "psnr": psnr(error, dimensions),
            "changed_class": asdict(changed_class(classifier, test.x / WHITE, means.float())),
            "latent_share": latent / (latent + dimensions * left),
            "bits": bits,
        }
    return found
