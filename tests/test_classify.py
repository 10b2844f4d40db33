"""Bayes' rule over classes, against linear-Gaussian models whose p(x | class) is known."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

import elbowroom as er
from elbowroom.networks import MLP

CLASSES, D, N = 3, 4, 400
MEANS = torch.tensor([[0.0, 0.0, 0.0, 0.0], [1.2, 0.3, 0.0, 0.0], [0.0, 0.0, 1.0, -0.8]])
WEIGHTS = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 0.7], [0.0, -0.7]])  # orthogonal: p(z | x, c) is diagonal
NOISE, SHARES = 0.5, (0.5, 0.3, 0.2)


class Posterior(nn.Module):
    """The exact mean and log-deviation of p(z | x, c); too wide by `wide` for the class `off`."""

    def __init__(self, off: int = -1, wide: float = 0.0) -> None:
        super().__init__()
        self.off, self.wide = off, wide

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        precision = 1 + WEIGHTS.square().sum(0) / NOISE**2
        mean = (x - c @ MEANS) @ WEIGHTS / NOISE**2 / precision
        log_sd = -0.5 * precision.log().expand_as(mean)
        return torch.cat([mean, log_sd + self.wide * (c[:, [self.off]] if self.off >= 0 else 0)], 1)


def planted(**encoder) -> er.VAE:
    """x = A z + mean of its class + noise, whose encoder is exact, or wrong for one class."""
    decoder = MLP([2 + CLASSES, D])
    with torch.no_grad():
        decoder.layers[0].weight.copy_(torch.cat([WEIGHTS, MEANS.T], 1))
        decoder.layers[0].bias.zero_()
    q = er.posteriors.DiagonalNormal(Posterior(**encoder), 2, given=("x", "c"), spread="exp", floor=0.0)
    p_x = er.likelihoods.Normal(decoder, D, scale=NOISE, given=("z", "c"))
    return er.VAE(er.priors.StandardNormal(2), q, p_x)


def drawn() -> er.data.Dataset:
    rng = np.random.default_rng(0)
    c = rng.choice(CLASSES, N, p=SHARES)
    z, noise = rng.normal(size=(N, 2)), rng.normal(size=(N, D))
    x = z @ WEIGHTS.numpy().T + MEANS.numpy()[c] + NOISE * noise
    return er.load_data(x, preprocess="none", context={"c": np.array(["u", "v", "w"])[c]}, test=200, validation=50)


DATA = drawn()


def exact(log_prior: np.ndarray) -> np.ndarray:
    """p(c | x) of the test rows."""
    cover = WEIGHTS @ WEIGHTS.T + NOISE**2 * torch.eye(D)
    x = DATA.test.x
    log_p = torch.stack([MultivariateNormal(mean, cover).log_prob(x) for mean in MEANS], 1).double().numpy()
    joint = np.exp(log_p + log_prior)
    return joint / joint.sum(1, keepdims=True)


def test_an_exact_encoder_gives_the_exact_probabilities() -> None:
    """Every draw has the same weight, so that a bound is log p(x | c) itself, and no decision is open."""
    shares = DATA.train.context["c"].mean(0).double().numpy()
    found = er.classify(planted(), DATA, draws=2)
    p = exact(np.log(shares))
    np.testing.assert_allclose(found.probabilities, p, atol=1e-4)
    assert found.errors.max() < 1e-4
    assert found.open.sum() == 0
    truth = DATA.test.context["c"].argmax(1).numpy()
    assert found.accuracy[0] == (p.argmax(1) == truth).mean()
    assert (found.classes, found.quantity) == (["u", "v", "w"], "log p(x | c)")
    uniform = er.classify(planted(), DATA, draws=2, prior="uniform", examples=DATA.test[:20])
    np.testing.assert_allclose(uniform.probabilities, exact(np.zeros(3))[:20], atol=1e-4)


def test_errors_of_a_wrong_encoder_cover_the_exact_probabilities() -> None:
    found = er.classify(planted(off=1, wide=0.4), DATA, draws=300, prior=SHARES)
    off = (found.probabilities - exact(np.log(SHARES))) / found.errors
    likely = found.errors > 1e-6
    assert 0.5 < off[likely].std() < 1.3
    assert abs(off[likely].mean()) < 0.5
    assert 0 < found.open.sum() < 40
    assert (found.probabilities[found.open].max(1) < 0.6).all()  # where two classes are nearly alike


def test_an_elbo_decides_by_its_gaps_and_weights_do_not() -> None:
    """q is too wide for class 1 alone: its bound is too low, and decisions against class 1 are the bound's."""
    vae, p = planted(off=1, wide=0.9), exact(np.log(SHARES))
    by_elbo = er.classify(vae, DATA, prior=SHARES, estimator="elbo", draws=200)
    by_weights = er.classify(vae, DATA, prior=SHARES, draws=1_000)
    assert (by_elbo.decisions == 1).sum() < (p.argmax(1) == 1).sum() - 15
    assert (by_weights.decisions == p.argmax(1)).mean() > 0.97
    assert by_weights.accuracy[0] > by_elbo.accuracy[0] + 0.05
    quick = {"temperatures": 5, "chains": 6, "leapfrog": 1}
    annealed = er.classify(vae, DATA, prior=SHARES, estimator="ais", examples=DATA.test[:3], **quick)
    assert annealed.estimator.startswith("AIS-5")
    np.testing.assert_array_less(np.abs(annealed.probabilities - p[:3]), 5 * annealed.errors + 0.05)


def test_what_is_printed_and_tabled() -> None:
    found = er.classify(planted(off=1, wide=0.4), DATA, draws=50, examples=DATA.test[:40])
    frame = found.to_frame()
    assert list(frame.columns[:4]) == ["row", "truth", "decision", "open"]
    np.testing.assert_array_equal(frame["p v"], found.probabilities[:, 1])
    assert str(found).startswith("40 examples among 3 classes by log p(x | c), IWAE-50: ")
    assert "inside the errors of the draws" in str(found)
    arrays = er.classify(planted(), DATA, draws=2, examples=DATA.test.x[:5].numpy())
    assert arrays.truth is None
    assert np.isnan(arrays.accuracy[0])
    one = er.classify(planted(), DATA, draws=1, examples=DATA.test[:5])
    assert one.open.all()  # errors of one draw are unknown, so nothing is settled


def test_noise_of_preprocessing_is_the_same_for_every_class() -> None:
    """Of a grid the noise that is added is part of every log p(x | c); by classes it would decide."""
    digits = er.load_data("digits", context="label")
    vae = er.models.build({"latents": 2, "widths": [8]}, digits)
    with torch.no_grad():
        for block in (vae.likelihood.network, vae.posterior["z"].network):
            block.layers[0].weight[:, -10:] = 0  # nothing reads the label
    found = er.classify(vae, digits, examples=digits.test[:5], draws=20, prior="uniform")
    np.testing.assert_allclose(found.probabilities, 0.1, atol=1e-4)


NO_CLASSES = er.load_data(np.random.default_rng(0).normal(size=(60, 2)), context={"dose": np.arange(60.0)})


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: er.classify(er.models.build({"latents": 1}, NO_CLASSES), NO_CLASSES), "reads no context of classes"),
        (lambda: er.classify(planted(), DATA, context="d"), "no context of classes 'd'; it reads: c"),
        (lambda: er.classify(planted(), DATA, prior=[0.5, 0.5]), "3 probabilities that sum to 1"),
        (lambda: er.classify(planted(), DATA, prior=[0.5, 0.5, 0.5]), "3 probabilities that sum to 1"),
        (lambda: er.classify(planted(), DATA, prior="even"), "prior must be 'frequencies', 'uniform'"),
        (lambda: er.classify(planted(), DATA, estimator="bdmc"), "estimator must be"),
        (lambda: er.classify(planted(), DATA, temperatures=3), "iwae has no setting 'temperatures'"),
    ],
)
def test_what_bayes_rule_cannot_take(call, said) -> None:
    with pytest.raises(er.InputError, match=said) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_class_without_training_rows_is_never_decided_for() -> None:
    part = DATA.train[DATA.train.context["c"][:, 1] == 0]
    without = dataclasses.replace(DATA, train=part)
    found = er.classify(planted(), without, draws=2)
    assert (found.decisions != 1).all()
    assert (found.probabilities[:, 1] == 0).all()
    assert "No training row is of v" in str(found)
