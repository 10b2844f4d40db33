"""Models of the museum, made without training: linear decoders and their exact posteriors, and what spoils them."""

import functools
import math

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

import elbowroom as er

ELEMENTS, LATENTS, SIGMA, TEST = 8, 3, 0.5, 300


def _weights() -> Tensor:
    """Orthogonal columns, so that the posterior has independent dimensions."""
    basis = torch.linalg.qr(torch.randn(ELEMENTS, LATENTS, generator=torch.Generator().manual_seed(1))).Q
    return basis * torch.tensor([2.0, 1.2, 0.8])


def _linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    made = nn.Linear(weight.shape[1], weight.shape[0])
    made.weight.data, made.bias.data = weight.clone(), torch.zeros(len(weight)) if bias is None else bias
    return made


def encoder(share: float = 1.0, widen: float = 1.0) -> nn.Linear:
    """The exact posterior of the linear model, or a share of its way from the prior, (mu, log_var) side by side."""
    weights = _weights()
    precision = 1 + weights.square().sum(0) / SIGMA**2
    mean = share * (weights / SIGMA**2 / precision).T
    log_var = share * -precision.log() + torch.tensor(widen).log()
    return _linear(torch.cat([mean, torch.zeros_like(mean)]), torch.cat([torch.zeros(LATENTS), log_var]))


def vae_of(encode: nn.Module, decode: nn.Module | None = None, scale: float = SIGMA) -> er.VAE:
    made = _linear(_weights()) if decode is None else decode
    return er.adapters.from_modules(encode, made, er.likelihoods.Normal(None, ELEMENTS, scale=scale)).eval()


def dead_units() -> er.VAE:
    """q keeps its first unit and gives the prior for the others, which the decoder reads."""
    alive = encoder()
    for row in (1, 2, LATENTS + 1, LATENTS + 2):
        alive.weight.data[row], alive.bias.data[row] = 0.0, 0.0
    return vae_of(alive)


def collapsed() -> er.VAE:
    """No unit is in use: the noise is all that there is."""
    return vae_of(encoder(share=0.0), _linear(0 * _weights()), rows().std().item())


@functools.cache
def rows(n: int = 2 * TEST) -> Tensor:
    """Examples of the linear model."""
    generator = torch.Generator().manual_seed(2)
    z = torch.randn(n, LATENTS, generator=generator)
    return z @ _weights().T + SIGMA * torch.randn(n, ELEMENTS, generator=generator)


@functools.cache
def data() -> er.data.Dataset:
    return er.load_data(rows().numpy(), name="linear", validation=20, test=TEST)


def log_p(x: Tensor) -> Tensor:
    """log p(x) of the linear model, [n], in closed form."""
    covariance = _weights().double() @ _weights().double().T + SIGMA**2 * torch.eye(ELEMENTS, dtype=torch.float64)
    return MultivariateNormal(torch.zeros(ELEMENTS, dtype=torch.float64), covariance).log_prob(x.double())


@functools.cache
def exact() -> er.VAE:
    """A model whose q is its posterior: its ELBO is log p(x), with any draws."""
    return vae_of(encoder())


def loose() -> er.VAE:
    """The same with q twice too wide in variance: its bounds lie apart, and its draws make noise."""
    return vae_of(encoder(widen=2.0))


class WithNorm(nn.Module):
    """An encoder that goes through batch norm, whose running statistics are those of the data."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.last = nn.BatchNorm1d(ELEMENTS, affine=False), encoder(widen=2.0)
        spread, centre = rows().std(0), rows().mean(0) + 1.0
        self.norm.running_mean, self.norm.running_var = centre, spread**2
        weight, bias = self.last.weight.data, self.last.bias.data
        self.last.weight.data, self.last.bias.data = weight * spread, bias + weight @ centre

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.norm(x))


class SeesX(nn.Module):
    """A pair whose decoder keeps what the encoder read."""

    def __init__(self, keeps: bool) -> None:
        super().__init__()
        self.keeps, self.kept = keeps, torch.zeros(1, ELEMENTS)
        self.encoder, self.decoder = encoder(widen=2.0), _linear(_weights())

    def encode(self, x: Tensor) -> Tensor:
        self.kept = x
        return self.encoder(x)

    def decode(self, z: Tensor) -> Tensor:
        found = self.decoder(z)
        if not self.keeps or len(found) % len(self.kept):
            return found
        return found + 0.5 * (self.kept.repeat(len(found) // len(self.kept), 1) - found)


class Part(nn.Module):
    """One half of a pair."""

    def __init__(self, whole: SeesX, name: str) -> None:
        super().__init__()
        self.whole, self.name = whole, name

    def forward(self, x: Tensor) -> Tensor:
        return getattr(self.whole, self.name)(x)


def sees_x(repaired: bool) -> er.VAE:
    whole = SeesX(keeps=not repaired)
    return vae_of(Part(whole, "encode"), Part(whole, "decode"))


def with_prior(scale: float) -> er.VAE:
    """The loose model with a learned p(z), which is N(0, scale²)."""
    vae, prior = loose(), er.priors.Normal(LATENTS)
    prior.raw.data.fill_(math.log(math.expm1(scale - prior.floor)))
    return er.VAE(prior, vae.posterior["z"], vae.likelihood).eval()


def overfitted() -> tuple[er.VAE, er.data.Dataset]:
    """Six axes through 18 training examples, with the noise that these leave."""
    few = er.load_data(rows()[:338].numpy(), name="few", validation=20, test=TEST)
    x = few.train.x.float()
    centre = x.mean(0)
    _, spread, axes = torch.linalg.svd(x - centre, full_matrices=False)
    values = spread.square() / len(x)
    noise = values[6:].mean()
    weights = axes[:6].T * (values[:6] - noise).clamp_min(0).sqrt()
    precision = 1 + weights.square().sum(0) / noise
    mean = (weights / noise / precision).T
    log_var = -precision.log()
    encode = _linear(torch.cat([mean, 0 * mean]), torch.cat([-mean @ centre, log_var]))
    return vae_of(encode, _linear(weights, centre), noise.sqrt().item()), few
