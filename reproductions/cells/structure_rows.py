"""Clusters, batches and the truth of the simulated set, in codes of SCVI along β and latent size and of classics."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import peer
import torch
from numpy.typing import NDArray
from sets import Cells, cells, split
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score, silhouette_score
from sklearn.neighbors import NearestNeighbors

import elbowroom as er
from elbowroom.adapters import from_scvi, scvi_data

__all__ = ["EPOCHS", "WEIGHED", "classic", "held_out", "swept", "true"]

EPOCHS = 40
WEIGHED, DRAWS = 50, 500
NEIGHBOURS, LOOKED_AT = 30, 100
ACTIVE = 0.05  # nats of KL, mean over held-out cells, from which a latent counts as used


def swept(model: str, beta: float, latents: int, seed: int, runs: Path, epochs: int = EPOCHS) -> dict[str, Any]:
    """One SCVI: held-out evidence, latents in use, clusters and batches of held-out cells, errors against the truth."""
    found = cells("simulated")
    made = peer.trained(found, runs, seed=seed, epochs=epochs, beta=beta, kind=model, n_latent=latents)
    return held_out(from_scvi(made), scvi_data(made).test, found)


def held_out(vae: er.VAE, test: Any, found: Cells) -> dict[str, Any]:
    """What a row says of one model."""
    bound, weighed = er.evidence.elbo(vae, test, draws=10), er.evidence.iwae(vae, test[:WEIGHED], draws=DRAWS)
    kl = by_latent(vae, test)
    return {
        "ELBO": [bound.mean, bound.se_points, bound.se_mc],
        "IWAE": [weighed.mean, weighed.se_points, weighed.se_mc],
        "IWAE of each cell": [float(one) for one in weighed.values],
        "IWAE, median ESS": float(np.median(weighed.ess)),
        "rate": float(kl.sum()),
        "in use": int((kl > ACTIVE).sum()),
        **structure(vae.encode(test)["z"].numpy(), found),
        **against_truth(vae, test[:LOOKED_AT], found),
    }


def classic(model: str, seed: int) -> dict[str, Any]:
    """Ten numbers of each cell by PCA or factor analysis of log(1 + counts at one size), fitted on training cells."""
    found = cells("simulated")
    train, _, test = split(len(found.x))
    if model == "planted z":
        assert found.truth is not None
        return structure(found.truth.z[test], found)
    size = found.x.sum(1, keepdims=True) / np.median(found.x.sum(1))
    y = np.log1p(found.x / size)
    kinds = {"PCA": PCA(10, random_state=seed), "factor analysis": FactorAnalysis(10, random_state=seed, max_iter=100)}
    fitted = kinds[model].fit(y[train])
    codes = fitted.transform(y[test])
    back = codes @ fitted.components_ + fitted.mean_
    few = slice(0, LOOKED_AT)
    means = np.expm1(np.maximum(back[few], 0)) * size[test][few]
    row = structure(codes, found) | {"error of means": relative(means, true_means(found, test[few]))}
    if model == "PCA":
        row["error of raw counts"] = relative(found.x[test][few], true_means(found, test[few]))
    return row


def structure(codes: NDArray[Any], found: Cells, seed: int = 0) -> dict[str, float]:
    """Clusters of held-out cells beside the planted ones, and how their neighbours mix the batches (1: fully)."""
    test = split(len(found.x))[2]
    labels, batch = found.labels[test], found.batch[test]
    groups = KMeans(len(np.unique(labels)), n_init=10, random_state=seed).fit_predict(codes)
    near = NearestNeighbors(n_neighbors=NEIGHBOURS + 1).fit(codes).kneighbors(codes, return_distance=False)[:, 1:]
    other = (batch[near] != batch[:, None]).mean(1)
    expected = np.where(batch == 1, (batch == 0).mean(), (batch == 1).mean())
    return {
        "ARI": float(adjusted_rand_score(labels, groups)),
        "NMI": float(normalized_mutual_info_score(labels, groups)),
        "silhouette": float(silhouette_score(codes, labels)),
        "neighbours of its cluster": float((labels[near] == labels[:, None]).mean()),
        "batch mixing": float((other / expected).mean()),
    }


@torch.no_grad()
def by_latent(vae: er.VAE, test: Any) -> NDArray[Any]:
    """KL of q from N(0, 1) by latent, mean over cells."""
    batch = test.batch()
    given, _ = vae.eval().given(batch, vae.keyed_noise(0, batch.index, 0))
    q = vae.posterior["z"](given).base_dist
    return (0.5 * (q.mean**2 + q.variance - 1 - q.variance.log()))[0].mean(0).numpy()


@torch.no_grad()
def against_truth(vae: er.VAE, test: Any, found: Cells, draws: int = 20) -> dict[str, float]:
    """Errors of posterior means of counts, and where second counts of the same cells fall in what is predicted."""
    batch, rows = test.batch(), test.index.numpy()
    terms = vae.eval()(batch, vae.keyed_noise(draws, batch.index, 1))
    p_x, truth = terms.p_x.base_dist, found.truth
    assert truth is not None
    rng, generator = np.random.default_rng(5), torch.Generator().manual_seed(5)
    mean = true_means(found, rows)
    second = rng.poisson(rng.gamma(truth.dispersion, mean / truth.dispersion))
    predicted = torch.cat([er.distributions.simulate(p_x, generator) for _ in range(5)]).numpy()
    below, at = (predicted < second).mean(0), (predicted == second).mean(0)
    place = below + rng.random(second.shape) * at
    return {
        "error of means": relative(p_x.mean.mean(0).numpy(), mean),
        "second counts in 90 %": float(((place > 0.05) & (place < 0.95)).mean()),
        "second counts in 50 %": float(((place > 0.25) & (place < 0.75)).mean()),
    }


def true_means(found: Cells, rows: NDArray[Any]) -> NDArray[Any]:
    """Of the planted model, [rows, genes]."""
    truth = found.truth
    assert truth is not None
    return truth.means(truth.z[rows], found.batch[rows], truth.size[rows])


def relative(found: NDArray[Any], mean: NDArray[Any]) -> float:
    """Sum of absolute errors over the sum of the means."""
    return float(np.abs(found - mean).sum() / mean.sum())


def true(n: int = WEIGHED, draws: int = 2_000) -> dict[str, Any]:
    """log p(x | size, batch) of the planted model itself: importance sampling around the mode of each cluster.

    Its size is the planted one, whose posterior given the total is narrow; that models are given the total and not this
    size is a difference of what is given, which is said.
    """
    found = cells("simulated")
    truth = found.truth
    assert truth is not None
    rows = split(len(found.x))[2][:n]
    x = torch.from_numpy(found.x[rows]).double()
    weights, dispersion = (torch.from_numpy(one) for one in (truth.weights, truth.dispersion))
    offsets, size = torch.from_numpy(truth.offsets[found.batch[rows]]), torch.from_numpy(truth.size[rows])
    centres = torch.from_numpy(truth.centres)
    shares = torch.tensor([0.3, 0.22, 0.18, 0.14, 0.1, 0.06]).double()

    def log_p(z: torch.Tensor) -> torch.Tensor:
        """log p(x | z) p(z), z [draws, cells, latents]."""
        mean = size[:, None] * torch.softmax(z @ weights + offsets, -1)
        counts = er.distributions.NegativeBinomial(mean.log(), dispersion.log()).log_prob(x).sum(-1)
        off = (z.unsqueeze(2) - centres) / truth.spread
        normal = -0.5 * off.square().sum(-1) - z.shape[-1] * math.log(truth.spread * math.sqrt(2 * math.pi))
        return counts + torch.logsumexp(normal + shares.log(), -1)

    # Modes from each centre, then a mixture of normals there whose precision is the expected one, a little wider.
    z = centres[:, None].expand(-1, n, -1).clone().requires_grad_()
    steps = torch.optim.Adam([z], lr=0.05)
    for _ in range(150):
        steps.zero_grad()
        (-log_p(z).sum()).backward()
        steps.step()
    with torch.no_grad():
        top = log_p(z)
        best = z[top.argmax(0), torch.arange(n)]
        mean = size[:, None] * torch.softmax(best @ weights + offsets, -1)
        information = mean / (1 + mean / dispersion)
        shift = torch.einsum("ng,lg->nl", mean / mean.sum(-1, keepdim=True), weights)
        centred = weights - shift.unsqueeze(-1)
        precision = (
            torch.einsum("ng,nlg,nmg->nlm", information, centred, centred) + torch.eye(8).double() / truth.spread**2
        )
        q = torch.distributions.MultivariateNormal(best, covariance_matrix=1.3 * torch.linalg.inv(precision))
        torch.manual_seed(0)
        drawn = q.sample((draws,))
        log_weight = log_p(drawn) - q.log_prob(drawn)
    values = torch.logsumexp(log_weight, 0) - math.log(draws)
    ess = torch.exp(2 * torch.logsumexp(log_weight, 0) - torch.logsumexp(2 * log_weight, 0))
    return {
        "n": n,
        "log p": [float(values.mean()), float(values.std() / math.sqrt(n))],
        "of each cell": values.tolist(),
        "least ESS": float(ess.min()),
        "median ESS": float(ess.median()),
    }
