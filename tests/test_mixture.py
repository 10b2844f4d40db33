"""Gaussian mixtures against scikit-learn, and as the VAE with a categorical latent that they are."""

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.mixture import GaussianMixture as Sklearns
from torch import Tensor, nn

import elbowroom as er
from elbowroom.exact import GaussianMixture

rng = np.random.default_rng(0)
TABLE = np.concatenate([rng.normal(size=(80, 3)) @ rng.normal(size=(3, 3)) + centre for centre in (0.0, 2.0, 5.0)])
DIGITS = load_digits(n_class=3).data  # few enough classes that most starts end in one optimum
DIGITS = (DIGITS + rng.random(DIGITS.shape)) / 17


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_densities_and_responsibilities_are_sklearns(kind: str) -> None:
    theirs = Sklearns(4, covariance_type=kind, random_state=0).fit(TABLE)
    mixture = GaussianMixture.from_sklearn(theirs)
    np.testing.assert_allclose(mixture.log_prob(TABLE), theirs.score_samples(TABLE), rtol=0, atol=1e-10)
    np.testing.assert_allclose(mixture.posterior(TABLE), theirs.predict_proba(TABLE), rtol=0, atol=1e-10)


def test_variance_splits_into_between_and_within() -> None:
    """After an EM step the two add up to the variance of the data, column by column."""
    theirs = Sklearns(3, reg_covar=0.0, random_state=0).fit(TABLE)
    mixture = GaussianMixture.from_sklearn(theirs)
    np.testing.assert_allclose(mixture.between + mixture.within, TABLE.var(0), rtol=1e-10)
    np.testing.assert_allclose(mixture.between, np.cov(theirs.means_.T, aweights=theirs.weights_, ddof=0).diagonal())
    assert mixture.between.sum() > mixture.within.sum()


def test_bound_is_tight_at_the_posterior_and_loses_the_divergence_elsewhere() -> None:
    mixture = GaussianMixture.from_sklearn(Sklearns(3, random_state=0).fit(TABLE))
    q, p = torch.tensor(rng.dirichlet(np.ones(3), len(TABLE))), mixture.posterior(TABLE)
    torch.testing.assert_close(mixture.elbo(TABLE, p), mixture.log_prob(TABLE))
    divergence = (q * (q.log() - mixture.log_joint(TABLE).log_softmax(1))).sum(1)
    torch.testing.assert_close(mixture.elbo(TABLE, q), mixture.log_prob(TABLE) - divergence)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(er.InputError, match="covariances"):
        GaussianMixture(torch.ones(2) / 2, torch.zeros(2, 3), torch.ones(2, 3))


class Constants(nn.Module):
    """A decoder whose answer to class k is a constant: a mean [64] and one raw scale."""

    def __init__(self, means: np.ndarray) -> None:
        super().__init__()
        self.means, self.raw = nn.Parameter(torch.tensor(means)), nn.Parameter(torch.zeros(len(means), 1).double())

    def forward(self, z: Tensor) -> Tensor:
        return torch.cat([z @ self.means, (z @ self.raw).expand(-1, 64)], 1)


def test_categorical_vae_with_constant_decoders_is_sklearns_mixture() -> None:
    """Prior, decoder and an encoder softmax(A (x, ‖x‖²)), trained by gradient on the enumerated ELBO.

    The classes stand on the draws axis, one each, weighted by q(z | x).
    """
    k, x = 3, torch.tensor(DIGITS)
    means = KMeans(k, n_init=1, random_state=0).fit(DIGITS).cluster_centers_
    theirs = Sklearns(k, covariance_type="spherical", n_init=10, tol=1e-7, max_iter=500, random_state=0).fit(DIGITS)
    likelihood = er.likelihoods.Normal(Constants(means), 64, scale="predicted", floor=1e-3, start=0.25).double()
    prior, encoder = nn.Parameter(torch.zeros(k).double()), nn.Linear(65, k).double()
    features = torch.cat([x - x.mean(0), x.square().sum(1, keepdim=True) - x.square().sum(1).mean()], 1)
    classes = torch.eye(k).double()[:, None]

    def log_joint() -> Tensor:
        return prior.log_softmax(0) + likelihood({"z": classes}).log_prob(x).T

    optimizer = torch.optim.Adam([prior, *likelihood.parameters(), *encoder.parameters()], lr=0.03)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 400)
    for _ in range(400):
        optimizer.zero_grad()
        log_q = encoder(features).log_softmax(1)
        (-(log_q.exp() * (log_joint() - log_q)).sum(1).mean()).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        p_x = likelihood({"z": classes})
        covariances = torch.diag_embed(p_x.variance[:, 0])
        mixture = GaussianMixture(prior.softmax(0), p_x.mean[:, 0], covariances)
        torch.testing.assert_close(mixture.log_joint(x), log_joint())
        amortised = mixture.elbo(x, encoder(features).softmax(1)).mean()
        exact = mixture.elbo(x, mixture.posterior(x)).mean()
    assert float(exact) == pytest.approx(theirs.score(DIGITS), abs=0.05)
    assert float(exact) - 0.2 < float(amortised) <= float(exact)
