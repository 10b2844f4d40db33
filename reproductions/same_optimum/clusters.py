"""Clusters of scikit-learn's digits: by a VAE's mixture prior, by k-means, and by a Gaussian mixture on PCA."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import normalized_mutual_info_score
from sklearn.mixture import GaussianMixture

import elbowroom as er

CLUSTERS = (
    "mixture prior",
    "Gaussian mixture on the codes of a standard VAE",
    "k-means",
    "k-means on PCA",
    "Gaussian mixture on PCA",
)
CLASSES, LATENTS, EPOCHS = 10, 10, 100
Codes = NDArray[np.integer]


def recipe(name: str, seed: int) -> er.models.Recipe:
    """The VAE, with a mixture prior or a standard one."""
    words = {"prior": {"kind": "mixture-prior", "components": CLASSES}} if name == "mixture prior" else {}
    return er.models.Recipe(latents=LATENTS, widths=(256,), seed=seed).where(**words)


def scores(found: Codes, labels: Codes) -> list[float]:
    """Accuracy, each cluster standing for another class so that most are right; and normalised mutual information."""
    counts = np.zeros((CLASSES, CLASSES))
    np.add.at(counts, (found, labels), 1)
    right = counts[linear_sum_assignment(-counts)].sum() / len(labels)
    return [float(right), float(normalized_mutual_info_score(labels, found))]


def trained(name: str, data: er.data.Dataset, seed: int) -> er.VAE:
    """The VAE after its training, which saw no label."""
    vae = er.models.build(recipe(name, seed), data)
    er.fit(vae, data, epochs=EPOCHS, seed=seed, progress=False)
    return vae


def components_of(vae: er.VAE, examples: Any) -> Codes:
    """The component of the prior that the encoder's mean most likely came from."""
    z = vae.encode(examples)["z"]
    with torch.no_grad():
        prior: Any = vae.prior["z"]({})
        joint = prior.mixture_distribution.logits + prior.component_distribution.log_prob(z[None, :, None])
    return joint[0].argmax(1).numpy()


def clusters(seed: int) -> dict[str, Any]:
    """Accuracy and mutual information of every way on the test part of one split."""
    data = er.load_data("digits", seed=seed)
    train, test = (part.x.numpy().reshape(len(part), -1) for part in (data.train, data.test))
    labels = np.asarray(data.test.labels)
    found = {"mixture prior": components_of(trained("mixture prior", data, seed), data.test)}
    vae = trained("standard", data, seed)
    codes = [vae.encode(part)["z"].numpy() for part in (data.train, data.test)]
    pca = PCA(LATENTS, random_state=seed).fit(train)
    flat = [pca.transform(part) for part in (train, test)]
    found[CLUSTERS[1]] = mixture(seed).fit(codes[0]).predict(codes[1])
    found["k-means"] = KMeans(CLASSES, n_init=10, random_state=seed).fit(train).predict(test)
    found["k-means on PCA"] = KMeans(CLASSES, n_init=10, random_state=seed).fit(flat[0]).predict(flat[1])
    found["Gaussian mixture on PCA"] = mixture(seed).fit(flat[0]).predict(flat[1])
    return {name: scores(one, labels) for name, one in found.items()}


def mixture(seed: int) -> GaussianMixture:
    """Ten components with full covariances, the best of ten starts."""
    return GaussianMixture(CLASSES, n_init=10, random_state=seed, reg_covar=1e-3)
