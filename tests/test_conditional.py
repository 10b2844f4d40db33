"""log p(x | z) per example and per feature against the linear VAE's exact distortion and its terms by hand."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import elbowroom as er
from elbowroom.evidence import conditional_log_likelihood, rate_distortion
from elbowroom.exact import LinearVAE

from .test_evidence import D, batch, near_posterior_vae, within


def exact_by_feature(vae: er.VAE, y: torch.Tensor) -> torch.Tensor:
    """−½ [(error at the mean of q)² + what the spread of q adds] / σ² − ½ log 2πσ², of every element of y [n, D]."""
    model = LinearVAE(vae)
    q = model.encoder(er.Batch(y, torch.arange(len(y))))
    error = (y - model.mean - q.mean @ model.weights.T).square() + q.variance @ model.weights.T.square()
    return -0.5 * (error / model.noise + (2 * torch.pi * model.noise).log())


def test_features_of_a_linear_vae() -> None:
    vae, examples = near_posterior_vae(), batch()
    found = conditional_log_likelihood(vae, examples, draws=3000)
    within(found.per_feature, exact_by_feature(vae, examples.x).numpy(), np.sqrt(found.mc_variance))
    exact = -LinearVAE(vae).distortion(examples).numpy()
    within(found.per_example.values, exact, np.sqrt(found.per_example.mc_variance))
    np.testing.assert_allclose(found.per_feature.sum(1), found.per_example.values, rtol=1e-12)
    distortion = rate_distortion(vae, examples, draws=3000).distortion
    np.testing.assert_allclose(found.per_example.values, -distortion.values, rtol=1e-12)
    np.testing.assert_allclose(found.per_example.mc_variance, distortion.mc_variance, rtol=1e-9)


def test_preprocessing_is_taken_off_feature_by_feature() -> None:
    """Standardised by other scales, then squeezed: the slopes are those of each element."""
    vae, examples = near_posterior_vae(), batch()
    scaler = er.preprocess.Standardise((D,))
    scaler.std.copy_(torch.linspace(0.5, 4.0, D))
    vae.preprocess = er.preprocess.Chain([scaler, er.preprocess.Affine(3.0)])
    found = conditional_log_likelihood(vae, examples, draws=50)
    plain = near_posterior_vae()
    y = vae.preprocess(examples.x)[0].double()
    at_y = conditional_log_likelihood(plain, er.Batch(y, examples.index), draws=50)
    slope = (3.0 / scaler.std.double()).log().numpy()
    np.testing.assert_allclose(found.per_feature, at_y.per_feature + slope, rtol=1e-6)
    np.testing.assert_allclose(found.per_example.values, at_y.per_example.values + slope.sum(), rtol=1e-6)
    distortion = rate_distortion(vae, examples, draws=50).distortion
    np.testing.assert_allclose(found.per_example.values, -distortion.values, rtol=1e-6)


def test_images_and_grids_keep_their_shape() -> None:
    digits = er.load_data("digits", flat=False)
    torch.manual_seed(0)
    vae = er.VAE(
        er.priors.StandardNormal(2),
        er.posteriors.DiagonalNormal(nn.Sequential(nn.Flatten(), nn.Linear(64, 4)), 2),
        er.likelihoods.Normal(nn.Linear(2, 64), digits.event),
        preprocess=digits.preprocess,
    )
    found = conditional_log_likelihood(vae, digits.test[:7], draws=5)
    assert found.per_feature.shape == (7, *digits.event)
    np.testing.assert_allclose(found.per_feature.reshape(7, -1).sum(1), found.per_example.values, rtol=1e-6)
    np.testing.assert_allclose(
        found.per_example.values, -rate_distortion(vae, digits.test[:7], draws=5).distortion.values, rtol=1e-5
    )
    assert found.per_example.data == digits.test.data


@pytest.mark.parametrize("draws", [1, 64, 200])
def test_memory_and_order_change_nothing(draws: int) -> None:
    vae, examples = near_posterior_vae(), batch(9)
    whole = conditional_log_likelihood(vae, examples, draws=draws)
    order = torch.tensor([4, 0, 8])
    some = conditional_log_likelihood(
        vae, er.Batch(examples.x[order], examples.index[order]), draws=draws, memory="80 kB"
    )
    for mine, theirs in zip(some[1:], whole[1:], strict=True):
        np.testing.assert_allclose(mine, theirs[order], rtol=1e-9)
    np.testing.assert_allclose(some.per_example.mc_variance, whole.per_example.mc_variance[order], rtol=1e-9)


def test_a_table_of_mixed_columns_with_a_missing_cell() -> None:
    """The families by hand at the very draws; the cell that is missing counts for nothing."""
    torch.manual_seed(3)
    families = [er.likelihoods.Normal(None, 2, scale=0.5), er.likelihoods.Bernoulli(None, 1)]
    likelihood = er.likelihoods.Mixed(nn.Linear(1, 3), families)
    vae = er.VAE(er.priors.StandardNormal(1), er.posteriors.DiagonalNormal(nn.Linear(3, 2), 1), likelihood)
    x, seen = torch.tensor([[0.3, -1.0, 1.0], [2.0, 0.0, 0.0]]), torch.tensor([[False, True, True], [True, True, True]])
    examples = er.Batch(x, torch.arange(2), seen=seen)
    found = conditional_log_likelihood(vae, examples, draws=30)
    with torch.no_grad():
        z = vae(examples, vae.keyed_noise(30, examples.index, 0)).z["z"]
        out = likelihood.network(z)
        real = torch.distributions.Normal(out[..., :2], 0.5).log_prob(x[:, :2])
        binary = torch.distributions.Bernoulli(logits=out[..., 2:]).log_prob(x[:, 2:])
    expected = (torch.cat([real, binary], -1) * seen).mean(0).numpy()
    np.testing.assert_allclose(found.per_feature, expected, rtol=1e-5)
    assert found.per_feature[0, 0] == 0.0


def test_a_column_recorded_in_steps_has_the_step_as_its_share() -> None:
    """A step of dequantisation is no derivative: log p of an interval is log p(y) + log step, column by column."""
    torch.manual_seed(3)
    likelihood = er.likelihoods.Normal(nn.Linear(1, 3), 3, scale=0.5)
    columns = er.preprocess.Columns([er.preprocess.Rounded([0.1, 0.0], [0.0, 0.0]), er.preprocess.Affine(2.0)], [2, 1])
    vae = er.VAE(er.priors.StandardNormal(1), er.posteriors.DiagonalNormal(nn.Linear(3, 2), 1), likelihood, columns)
    examples = er.Batch(torch.tensor([[0.3, 1.5, 1.0], [0.0, -2.25, 4.0]]), torch.arange(2))
    found = conditional_log_likelihood(vae, examples, draws=20)
    with torch.no_grad():
        y, _ = columns(examples.x, vae.keyed_noise(0, examples.index, 0)["x"])
        mean = likelihood.network(vae(examples, vae.keyed_noise(20, examples.index, 0)).z["z"])
        at_y = torch.distributions.Normal(mean, 0.5).log_prob(y).mean(0)
    slope = torch.tensor([math.log(0.1), 0.0, math.log(2.0)])
    np.testing.assert_allclose(found.per_feature, at_y + slope, rtol=1e-4)
    np.testing.assert_allclose(
        found.per_example.values, -rate_distortion(vae, examples, draws=20).distortion.values, rtol=1e-5
    )


def test_preprocessing_that_turns_the_columns_is_refused() -> None:
    class Turn(er.preprocess.Preprocess):
        def cells(self, x, noise=None):
            return x.flip(-1), torch.zeros_like(x)

    vae = near_posterior_vae()
    vae.preprocess = Turn()
    with pytest.raises(er.CapabilityError, match="Turn mixes the features"):
        conditional_log_likelihood(vae, batch())


def test_correlated_features_are_refused() -> None:
    vae = near_posterior_vae()
    vae.likelihood = er.likelihoods.LowRankNormal(nn.Linear(2, 2 * D), D, rank=1).double()
    with pytest.raises(er.CapabilityError, match="depend on one another"):
        conditional_log_likelihood(vae, batch())
