"""Doubles of diffusers' AutoencoderKL and of pythae's models: what their losses stand for, and refusals."""

import math
from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import elbowroom as er
from elbowroom.adapters import from_diffusers, from_pythae

EVENT, D = (3, 8, 8), 192


class Gaussian:
    """As diffusers' DiagonalGaussianDistribution."""

    def __init__(self, parameters: Tensor) -> None:
        self.parameters = parameters
        self.mean, logvar = parameters.chunk(2, 1)
        self.logvar = logvar.clamp(-30.0, 20.0)
        self.std = (0.5 * self.logvar).exp()

    def kl(self) -> Tensor:
        return 0.5 * (self.mean**2 + self.std**2 - 1.0 - self.logvar).sum((1, 2, 3))


class Autoencoder(nn.Module):
    """Encode, decode and config as AutoencoderKL has them."""

    def __init__(self, narrow: float = -12.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.down, self.up = nn.Conv2d(3, 8, 2, 2), nn.ConvTranspose2d(4, 3, 2, 2)
        self.config = SimpleNamespace(in_channels=3, sample_size=8)
        with torch.no_grad():
            self.down.bias[4:] = narrow

    def encode(self, x: Tensor):
        return OrderedDict_(latent_dist=Gaussian(self.down(x)))

    def decode(self, z: Tensor):
        return OrderedDict_(sample=self.up(z))


class OrderedDict_(OrderedDict):
    """As diffusers' and pythae's outputs: a mapping whose keys are attributes."""

    def __getattr__(self, name: str):
        if name not in self:
            raise AttributeError(name)
        return self[name]


def levels(n: int = 12) -> Tensor:
    return torch.randint(0, 256, (n, *EVENT), generator=torch.Generator().manual_seed(1)).float()


@pytest.mark.parametrize(
    ("loss", "reduction", "weight"), [("squares", "sum", 1e-6), ("squares", "mean", 1e-3), ("absolute", "sum", 0.01)]
)
def test_the_elbo_is_the_trainers_loss_over_its_weight(loss: str, reduction: str, weight: float) -> None:
    """(reconstruction + w · KL) / w = −ELBO − normaliser, for x that is in [-1, 1] as the trainer has it."""
    model, x = Autoencoder(), levels() / 127.5 - 1
    vae = from_diffusers(model, loss=loss, reduction=reduction, kl_weight=weight, pixels="signed")
    noise = torch.randn(1, len(x), 4, 4, 4)
    terms = vae.double()(er.Batch(x.double(), torch.arange(len(x))), {"z": noise.double()})
    model.float()
    q = model.double().encode(x.double()).latent_dist
    off = x.double() - model.decode(q.mean + q.std * noise[0].double()).sample
    error = (off.square() if loss == "squares" else off.abs()).flatten(1)
    error = error.sum(1) if reduction == "sum" else error.mean(1)
    scale = vae.likelihood.scale
    normaliser = D * math.log(scale * math.sqrt(2 * math.pi) if loss == "squares" else 2 * scale)
    minus_elbo = (terms.rate("closed") - terms.log_likelihood)[0]
    torch.testing.assert_close(minus_elbo, (error + weight * q.kl()) / weight + normaliser, rtol=1e-6, atol=1e-3)


def test_a_sum_of_squares_plus_a_millionth_kl_is_a_noise_of_0007() -> None:
    vae = from_diffusers(Autoencoder())
    assert vae.likelihood.scale == pytest.approx(math.sqrt(5e-7))
    assert "σ = 0.00071 on [-1, 1]" in vae.assumed[2]
    assert vae.prior["z"].event == (4, 4, 4)


def test_log_variances_are_clamped_and_no_floor_is_added() -> None:
    vae = from_diffusers(Autoencoder(narrow=-50.0), pixels="signed")
    q = vae.posterior["z"]({"x": torch.zeros(1, 1, *EVENT)})
    torch.testing.assert_close(q.base_dist.stddev, torch.full((1, 1, 4, 4, 4), math.exp(-15.0)))


def test_grey_levels_are_probabilities_by_the_same_networks() -> None:
    """Dequantised and rounded noise on grey levels: the second is Σ log P, a number of its own cell for each level."""
    model, x = Autoencoder(), levels(2)
    rounded = from_diffusers(model, kl_weight=0.5, pixels="levels")
    given = rounded.at_means(x)
    z = model.encode(x / 127.5 - 1).latent_dist.mean
    torch.testing.assert_close(given["z"][0], z, rtol=1e-5, atol=1e-6)
    p = rounded.likelihood({"z": z.unsqueeze(0)})
    loc, sigma = 127.5 * (model.decode(z).sample + 1).double(), 127.5 * 0.5
    normal = torch.distributions.Normal(loc, sigma)
    low = torch.where(x == 0, 0.0, normal.cdf(x.double() - 0.5))
    high = torch.where(x == 255, 1.0, normal.cdf(x.double() + 0.5))
    np.testing.assert_allclose(p.log_prob(x)[0].detach(), (high - low).log().flatten(1).sum(1).detach(), rtol=1e-4)
    dequantised = from_diffusers(model, kl_weight=0.5)
    a, b = (er.evidence.elbo(one, x, draws=4).mean for one in (rounded, dequantised))
    assert a == pytest.approx(b, rel=0.02)
    assert set((rounded.sample(2) % 1).unique().tolist()) == {0.0}


def test_spatial_latents_through_estimators_and_files(tmp_path) -> None:
    model, x = Autoencoder(narrow=0.0), levels(2)
    vae = from_diffusers(model, kl_weight=1.0)
    assert er.evidence.elbo(vae, x, draws=30).mean < er.evidence.iwae(vae, x, draws=30).mean
    assert vae.sample(2).shape == vae.reconstruct(x).shape == (2, *EVENT)
    path = er.save_model(vae, tmp_path / "model.safetensors")
    again = er.load_model(path, modules=dict.fromkeys(("encoder", "decoder"), Autoencoder()))
    assert again.assumed == vae.assumed
    np.testing.assert_array_equal(er.evidence.elbo(again, x, draws=4).values, er.evidence.elbo(vae, x, draws=4).values)


class Codes(Autoencoder):
    def encode(self, x: Tensor):
        return OrderedDict_(latents=self.down(x))


class Unclamped(Autoencoder):
    """Draws by a clamped std, and returns the logvar as it was."""

    def encode(self, x: Tensor):
        q = Gaussian(self.down(x))
        q.logvar = q.parameters.chunk(2, 1)[1]
        return OrderedDict_(latent_dist=q)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: from_diffusers(Unclamped()), er.CapabilityError, "another std than its logvar says"),
        (lambda: from_diffusers(Codes()), er.CapabilityError, "no latent_dist with mean and logvar"),
        (lambda: from_diffusers(nn.Linear(2, 2), event=2), er.CapabilityError, "has no encode"),
        (
            lambda: from_diffusers(Autoencoder(), event=(1, 8, 8)),
            er.InputError,
            "does not take x of shape \\(1, 8, 8\\)",
        ),
        (lambda: from_diffusers(Autoencoder().half()), er.InputError, "too coarse for log-densities"),
        (lambda: from_diffusers(Autoencoder(), kl_weight=0), er.InputError, "without the KL no noise is implied"),
        (lambda: from_diffusers(Autoencoder(), loss="absolute", pixels="levels"), er.InputError, "no rounded family"),
    ],
)
def test_what_is_no_such_autoencoder_is_refused_in_a_sentence(make, error, says: str) -> None:
    with pytest.raises(error, match=says) as found:
        make()
    assert "\n" not in str(found.value)


class Encoder(nn.Linear):
    """Of the shape of pythae's."""

    names = ("embedding", "log_covariance")

    def forward(self, x: Tensor):
        return OrderedDict_(zip(self.names, super().forward(x.flatten(1)).chunk(2, 1), strict=True))


class Decoder(nn.Linear):
    def forward(self, z: Tensor):
        return OrderedDict_(reconstruction=torch.sigmoid(super().forward(z)).reshape(-1, 1, 2, 3))


class Model(nn.Module):
    """Of the shape of pythae's VAE and BetaVAE."""

    def __init__(self, loss: str = "mse", beta: float = 1.0, name: str = "VAE") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encoder, self.decoder = Encoder(6, 4), Decoder(2, 6)
        self.model_config = SimpleNamespace(input_dim=(1, 2, 3), reconstruction_loss=loss)
        self.model_name, self.beta = name, beta

    def draw(self, mu: Tensor, std: Tensor) -> Tensor:
        return mu + std * torch.randn_like(mu)

    def loss_function(self, recon_x, x, mu, log_var, z):
        a, b = recon_x.flatten(1), x.flatten(1)
        squares = 0.5 * (a - b).square().sum(-1)
        cross = (
            None
            if self.model_config.reconstruction_loss == "mse"
            else functional.binary_cross_entropy(a, b, reduction="none").sum(-1)
        )
        loss = squares if cross is None else cross
        kl = -0.5 * (1 + log_var - mu.pow(2) - log_var.exp()).sum(-1)
        return (loss + self.beta * kl).mean(), loss.mean(), kl.mean()

    def forward(self, inputs):
        mu, log_var = self.encoder(inputs["data"]).values()
        z = self.draw(mu, (0.5 * log_var).exp())
        return OrderedDict_(recon_x=self.decoder(z)["reconstruction"], z=z)


@pytest.mark.parametrize(("loss", "beta"), [("mse", 1.0), ("mse", 4.0), ("bce", 1.0)])
def test_the_elbo_of_a_pythae_model_is_its_loss_over_beta(loss: str, beta: float) -> None:
    model = Model(loss, beta)
    vae, x = from_pythae(model), torch.rand(9, 1, 2, 3).round()
    noise = torch.randn(1, 9, 2)
    terms = vae(er.Batch(x, torch.arange(9)), {"z": noise})
    mu, log_var = model.encoder(x).values()
    z = mu + (0.5 * log_var).exp() * noise[0]
    total = torch.stack(
        [
            model.loss_function(
                model.decoder(z[i : i + 1])["reconstruction"], x[i : i + 1], *(v[i : i + 1] for v in (mu, log_var, z))
            )[0]
            for i in range(9)
        ]
    )
    normaliser = 6 * math.log(math.sqrt(2 * math.pi * beta)) if loss == "mse" else 0.0
    torch.testing.assert_close(
        (terms.rate("closed") - terms.log_likelihood)[0], total / beta + normaliser, rtol=1e-4, atol=1e-4
    )


def test_a_weight_on_the_kl_beside_bits_is_said() -> None:
    assert any("not by 4" in one for one in from_pythae(Model("bce", 4.0)).assumed)
    grey = from_pythae(Model("bce"), likelihood=er.likelihoods.ContinuousBernoulli(None, (1, 2, 3)))
    assert any("was not asked" in one for one in grey.assumed)


class Mixed(Model):
    """Of the shape of pythae's VAMP, whose densities leave out the 2π."""

    def __init__(self, weighs: float = 1.0) -> None:
        super().__init__("mse", name="VAMP")
        self.pseudo_inputs, self.idle_input = nn.Sequential(nn.Linear(5, 6), nn.Hardtanh(0.0, 1.0)), torch.eye(5)
        self.weighs = weighs

    def loss_function(self, recon_x, x, mu, log_var, z, epoch):
        squares = 0.5 * (recon_x - x).flatten(1).square().sum(-1)
        at, spread = self.encoder(self.pseudo_inputs(self.idle_input).reshape(5, 1, 2, 3)).values()
        each = -0.5 * (spread + (z.unsqueeze(1) - at).square() / spread.exp()).sum(2)
        log_p = self.weighs * (each.logsumexp(1) - math.log(5))
        kl = -0.5 * (log_var + (z - mu).square() / log_var.exp()).sum(1) - log_p
        return (squares + kl).mean(), squares.mean(), kl.mean()


def test_the_prior_of_a_vamp_is_the_mixture_of_q_at_its_pseudo_inputs() -> None:
    model, x = Mixed(), torch.rand(9, 1, 2, 3)
    vae, noise = from_pythae(model), torch.randn(1, 9, 2)
    terms = vae(er.Batch(x, torch.arange(9)), {"z": noise})
    mu, log_var = model.encoder(x).values()
    z = mu + (0.5 * log_var).exp() * noise[0]
    loss = model.loss_function(model.decoder(z)["reconstruction"], x, mu, log_var, z, 1)[0]
    minus_elbo = (terms.rate("sampled") - terms.log_likelihood).mean() - 3 * math.log(2 * math.pi)
    assert minus_elbo.item() == pytest.approx(loss.item(), abs=1e-4)
    assert "mixture of q at its pseudo-inputs" in vae.assumed[0]
    assert not any("which no module says" in one for one in vae.assumed)


class Several(Model):
    def draw(self, mu: Tensor, std: Tensor) -> Tensor:
        return (mu.unsqueeze(1) + std.unsqueeze(1) * torch.randn(len(mu), 5, 2)).reshape(-1, 2)


class Flowing(Model):
    def draw(self, mu: Tensor, std: Tensor) -> Tensor:
        return torch.sinh(super().draw(mu, std))


class Clamped(Model):
    def draw(self, mu: Tensor, std: Tensor) -> Tensor:
        return super().draw(mu, std.clamp(0.1, 8.0))


class Cropped(Model):
    def forward(self, inputs):
        found = super().forward(inputs)
        found["recon_x"] = found["recon_x"].clamp(1e-4, 1 - 1e-4)
        return found


class Lopsided(Model):
    """Bits of 1 weigh more, which bits of 0 do not show."""

    def loss_function(self, recon_x, x, mu, log_var, z):
        _, _, kl = super().loss_function(recon_x, x, mu, log_var, z)
        a, b = recon_x.flatten(1), x.flatten(1)
        cross = functional.binary_cross_entropy(a, b, weight=1 + b, reduction="none").sum(-1)
        return cross.mean() + kl, cross.mean(), kl


class Bounded(Model):
    """A KL whose log-variance is clamped, which q of variance 1 do not show."""

    def loss_function(self, recon_x, x, mu, log_var, z):
        return super().loss_function(recon_x, x, mu, log_var.clamp(-5, 1), z)


class Capacity(Model):
    def loss_function(self, recon_x, x, mu, log_var, z):
        _, recon, kl = super().loss_function(recon_x, x, mu, log_var, z)
        return recon + 10 * (kl - 1).abs(), recon, kl


def spherical() -> Model:
    model = Model()
    model.encoder.names = ("embedding", "log_concentration")
    return model


def test_models_of_pythae_with_several_draws_are_taken_and_others_refused() -> None:
    assert from_pythae(Several(name="IWAE")).likelihood.scale == 1.0
    assert "draws say for random x in [0, 1] and from -100 to 100; " in from_pythae(Several(name="IWAE")).assumed[1]
    for make, error, says in (
        (Flowing, er.CapabilityError, "no embedding \\+ exp"),
        (lambda: Model(name="VAMP"), er.CapabilityError, "mixture of q at its pseudo_inputs"),
        (lambda: Mixed(weighs=2.0), er.CapabilityError, "mixture of q at its pseudo_inputs"),
        (spherical, er.CapabilityError, "returns embedding, log_concentration and no"),
        (Clamped, er.CapabilityError, "for random x in \\[0, 1\\] and not for random x from .*, as after a clamp"),
        (Cropped, er.InputError, "recon_x of this VAE is not what its decoder returns"),
        (lambda: Lopsided("bce"), er.InputError, "no weighted sum of its reconstruction_loss"),
        (Bounded, er.InputError, "no weighted sum of its reconstruction_loss"),
        (Capacity, er.InputError, "no weighted sum of its reconstruction_loss"),
        (lambda: Model("l1"), er.InputError, "'l1' stands for no density"),
        (lambda: nn.Linear(2, 2), er.InputError, "this Linear has not: take adapters.from_forward"),
    ):
        with pytest.raises(error, match=says) as found:
            from_pythae(make())
        assert "\n" not in str(found.value)
