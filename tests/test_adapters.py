"""Encoder and decoder modules as people have them: the textbook's loss, training, evidence, files, and refusals."""

import math
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits

import elbowroom as er
from elbowroom.adapters import from_modules
from elbowroom.exact import log_evidence_by_quadrature
from elbowroom.runs import read_run

D, LATENTS, N = 12, 2, 20


class Pair(nn.Module):
    """x → (mu, log_var): the usual two heads."""

    def __init__(self, form: str = "tuple", event: int = D) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(event, 8), nn.ReLU())
        self.mu, self.log_var, self.form = nn.Linear(8, LATENTS), nn.Linear(8, LATENTS), form

    def forward(self, x: Tensor):
        h = self.body(x)
        mu, log_var = self.mu(h), self.log_var(h)
        if self.form == "mapping":  # as pythae's ModelOutput is
            return OrderedDict(embedding=mu, log_covariance=log_var)
        return (mu, log_var) if self.form == "tuple" else torch.cat([mu, log_var], -1)


class Image(nn.Module):
    """z → images, in a mapping and after a sigmoid, as pythae's decoders are."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(LATENTS, 8), nn.ReLU(), nn.Linear(8, D))

    def forward(self, z: Tensor):
        return OrderedDict(reconstruction=torch.sigmoid(self.layers(z)).reshape(-1, 1, 3, 4))


def bits() -> er.likelihoods.Bernoulli:
    return er.likelihoods.Bernoulli(None, D)


def decoder(numbers: int = D) -> nn.Module:
    return nn.Sequential(nn.Linear(LATENTS, 8), nn.ReLU(), nn.Linear(8, numbers))


def binary(*event: int, n: int = N) -> Tensor:
    return (torch.rand(n, *event, generator=torch.Generator().manual_seed(1)) < 0.4).float()


def textbook(mu: Tensor, log_var: Tensor, reconstruction: Tensor) -> Tensor:
    """Reconstruction loss + KL, the line that is in every tutorial."""
    return reconstruction - 0.5 * (1 + log_var - mu.square() - log_var.exp()).sum(-1)


@pytest.mark.parametrize("form", ["tuple", "tensor", "mapping"])
def test_the_elbo_is_the_textbooks_loss_with_cross_entropy(form: str) -> None:
    torch.manual_seed(0)
    encoder, x = Pair(form), binary(D)
    logits = decoder()
    vae = from_modules(encoder, logits, bits())
    noise = torch.randn(3, N, LATENTS)
    terms = vae(er.Batch(x, torch.arange(N)), {"z": noise})
    encoder.form = "tuple"
    mu, log_var = encoder(x)
    z = mu + (0.5 * log_var).exp() * noise
    cross = binary_cross_entropy_with_logits(logits(z), x.expand(3, -1, -1), reduction="none").sum(-1)
    loss = textbook(mu, log_var, cross)
    torch.testing.assert_close(terms.rate("closed") - terms.log_likelihood, loss, rtol=1e-5, atol=1e-5)
    ours = torch.autograd.grad(
        (terms.rate("closed") - terms.log_likelihood).mean(), logits[0].weight, retain_graph=True
    )
    torch.testing.assert_close(ours, torch.autograd.grad(loss.mean(), logits[0].weight), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("sigma", "of"),
    [(1.0, lambda s: 0.5 * s.sum(-1)), (0.5**0.5, lambda s: s.sum(-1)), ((D / 2) ** 0.5, lambda s: s.mean(-1))],
)
def test_each_squared_error_stands_for_its_sigma(sigma: float, of) -> None:
    """The ELBO is minus the textbook's loss up to the normaliser, D log(σ √2π)."""
    torch.manual_seed(0)
    encoder, mean, x = Pair(), decoder(), torch.randn(N, D)
    vae = from_modules(encoder, mean, er.likelihoods.Normal(None, D, scale=sigma))
    noise = torch.randn(3, N, LATENTS)
    terms = vae(er.Batch(x, torch.arange(N)), {"z": noise})
    mu, log_var = encoder(x)
    loss = textbook(mu, log_var, of((x - mean(mu + (0.5 * log_var).exp() * noise)).square()))
    normaliser = D * math.log(sigma * math.sqrt(2 * math.pi))
    torch.testing.assert_close(terms.rate() - terms.log_likelihood, loss + normaliser, rtol=1e-5, atol=1e-4)


def test_modules_as_pythae_has_them() -> None:
    """Mappings, images, and means after a sigmoid, which is found out."""
    torch.manual_seed(0)
    encoder, image, x = Pair("mapping"), Image(), binary(1, 3, 4)
    vae = from_modules(encoder, image, er.likelihoods.Bernoulli(None, (1, 3, 4)))
    assert vae.likelihood.network.means
    noise = torch.randn(1, N, LATENTS)
    terms = vae(er.Batch(x, torch.arange(N)), {"z": noise})
    means = image(terms.z["z"][0])["reconstruction"]
    loss = binary_cross_entropy(means, x, reduction="none").flatten(1).sum(-1)
    torch.testing.assert_close(-terms.log_likelihood[0], loss, rtol=1e-5, atol=1e-5)
    assert vae.sample(3).shape == (3, 1, 3, 4)
    assert not from_modules(Pair(), decoder(), bits()).likelihood.network.means
    assert from_modules(Pair(), decoder(), bits(), means=True).likelihood.network.means


def test_everything_works_on_it(tmp_path) -> None:
    """fit, evidence against quadrature, a run folder and a file that are read with the modules by name, sampling."""
    torch.manual_seed(0)
    np.save(tmp_path / "bits.npy", binary(D, n=300).numpy())
    data = er.load_data(tmp_path / "bits.npy", preprocess="none")
    vae = from_modules(Pair(), decoder(), bits(), preprocess=data.preprocess)
    er.fit(vae, data, epochs=3, run=tmp_path / "run", progress=False)
    x = data.test[:6]
    exact = log_evidence_by_quadrature(vae, x, nodes=300)
    for found in (er.evidence.iwae(vae, x, draws=4000), er.evidence.ais(vae, x, temperatures=50, leapfrog=3)):
        apart = found - exact
        assert abs(apart.mean) < 4 * apart.se_mc + 0.005
    assert set(vae.sample(50).unique().tolist()) == {0.0, 1.0}
    path = er.save_model(vae, tmp_path / "model.safetensors")
    modules = {"encoder": Pair(), "decoder": decoder()}
    for again in (
        er.load_model(path, modules=modules),
        read_run(tmp_path / "run", modules={"encoder": Pair(), "decoder": decoder()})[0],
    ):
        np.testing.assert_array_equal(
            er.evidence.iwae(again, x, draws=8).values, er.evidence.iwae(vae, x, draws=8).values
        )
    with pytest.raises(er.InputError, match="'encoder'"):
        er.load_model(path)


def test_any_likelihood_that_was_made_without_a_network() -> None:
    vae = from_modules(Pair(), decoder(2 * D), er.likelihoods.Normal(None, D, scale="predicted"))
    assert (vae.likelihood.scale, vae.latents, vae.sample(4).shape) == ("predicted", LATENTS, (4, D))
    counts = from_modules(Pair(), decoder(), er.likelihoods.Poisson(None, D)).double()
    assert counts.sample(3).dtype == torch.float64
    assert from_modules(Pair().double(), decoder().double(), bits()).dtype == torch.float64


class Three(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return x, x, x


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: from_modules(Three(), decoder(), bits()), "The encoder returned 3 tensors.*adapters.from_forward"),
        (
            lambda: from_modules(nn.Linear(D, 5), decoder(), bits()),
            r"\[3, 2\] numbers for mu and log_var each",
        ),
        (lambda: from_modules(Pair(), Three(), bits()), "The decoder returned 3 tensors"),
        (
            lambda: from_modules(Pair(), decoder(7), bits()),
            r"needs 12 numbers per example .* it returned \(7,\)",
        ),
        (lambda: from_modules(Pair(), decoder(), "gaussian"), "made with network=None.*got 'gaussian'"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(make, says: str) -> None:
    with pytest.raises(er.InputError, match=says) as error:
        make()
    assert "\n" not in str(error.value)


def test_means_or_logits_are_not_guessed_from_a_constant_and_apply_to_every_logit() -> None:
    zero = nn.Linear(2, D)
    nn.init.zeros_(zero.weight)
    nn.init.zeros_(zero.bias)
    with pytest.raises(er.InputError, match="one number for every z, so say means="):
        from_modules(Pair(), zero, bits())
    logits = from_modules(Pair(), zero, bits(), means=False)
    assert logits.likelihood({"z": torch.zeros(1, 1, 2)}).mean.mean().item() == pytest.approx(0.5)
    squashed = nn.Sequential(nn.Linear(2, D), nn.Sigmoid())
    vae = from_modules(Pair(), squashed, er.likelihoods.ContinuousBernoulli(None, D))
    z = torch.randn(1, 5, 2)
    torch.testing.assert_close(vae.likelihood({"z": z}).base_dist.logits.sigmoid(), squashed(z))
    with pytest.raises(er.InputError, match="means= is for likelihoods of one logit per element"):
        from_modules(Pair(), nn.Linear(2, D), er.likelihoods.Normal(None, D), means=True)


def test_what_was_assumed_is_said_and_kept(tmp_path) -> None:
    vae = from_modules(Pair(), decoder(), bits())
    assert any("logits" in sentence for sentence in vae.assumed)
    assert any("log σ²" in sentence for sentence in vae.assumed)
    assert vae.assumed[-1] in str(vae)
    path = er.save_model(vae, tmp_path / "model.safetensors")
    assert er.load_model(path, modules={"encoder": Pair(), "decoder": decoder()}).assumed == vae.assumed


def test_a_tanh_is_neither_means_nor_logits_and_is_said_of_a_normal() -> None:
    torch.manual_seed(0)
    signed = nn.Sequential(nn.Linear(LATENTS, D), nn.Tanh())
    with pytest.raises(er.InputError, match=r"lies in \[-1, 1\], as after a tanh"):
        from_modules(Pair(), signed, bits())
    vae = from_modules(Pair(), signed, er.likelihoods.Normal(None, D, scale=1.0))
    assert any("in [-1, 1], as after a tanh: x, as preprocessed, must" in one for one in vae.assumed)


def test_a_mapping_goes_by_its_names() -> None:
    class Swapped(Pair):
        def forward(self, x):
            mean, log_variance = super().forward(x)
            return {"log_var": log_variance, "mu": mean}

    torch.manual_seed(0)
    plain = Pair()
    swapped = Swapped()
    swapped.load_state_dict(plain.state_dict())
    x = torch.rand(4, D).round()
    found = [from_modules(one, nn.Linear(2, D), bits()).encode(x)["z"] for one in (plain, swapped)]
    torch.testing.assert_close(*found)
