"""Random models with known log p(x) and encoders that are wrong in a known way: several modes, too narrow, too wide.

Every example is a model of its own, so that a thousand of them are one `Target`. Families:

modes       a posterior that is a mixture of Gaussians by construction, under p(z) = N(0, I): closed form
clusters    a prior that is a mixture of Gaussians, x = some of z and noise, ambiguous between clusters: closed form
correlated  p(z) = N(0, I), x = W z and noise, q of independent dimensions: closed form
folds       x_i = z_i² + c z_i and noise, two modes in every dimension: a quadrature for each dimension
decoder     x = W₂ tanh(W₁ z + b) and noise, d = 1 and 2: quadrature

Modes differ by a nat or so in volume and in prior density, whatever d: what differs by much more is found by nobody who
begins at p(z) or q(z | x).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn.functional import one_hot

from elbowroom.numerics import keyed_normal

F64 = torch.float64
FAULTS = ("right", "one mode", "narrow", "wide")
GREATEST = 100.0  # how many times too narrow or too wide, at most
_COMPONENT = 77  # stream of the noise that chooses a component
_MODES = 4


@dataclass(frozen=True)
class Mixture:
    """Mixtures of Gaussians with independent dimensions, one for each of n models: [n, k], [n, k, d], [n, k, d]."""

    log_weight: Tensor
    mean: Tensor
    sd: Tensor

    def log_prob(self, z: Tensor) -> Tensor:
        """[draws, n, d] → [draws, n]."""
        if self.mean.shape[1] == 1:
            terms = -0.5 * ((z - self.mean[:, 0]) / self.sd[:, 0]).square().sum(-1, keepdim=True)
        else:
            terms = -0.5 * ((z.unsqueeze(2) - self.mean) / self.sd).square().sum(-1)
        constant = self.log_weight - self.sd.log().sum(-1) - 0.5 * z.shape[-1] * math.log(2 * math.pi)
        return (terms + constant).logsumexp(-1)

    def draw(self, draws: int, index: Tensor, seed: int, first: int, stream: int = 0) -> Tensor:
        """[draws, n, d], by (seed, example, draw)."""
        normal = keyed_normal(self.mean.shape[2:], draws, index, seed, first_draw=first, stream=stream).double()
        which = keyed_normal((1,), draws, index, seed, first_draw=first, stream=stream + _COMPONENT).double()
        uniform = torch.special.ndtr(which)  # [draws, n, 1]
        chosen = (uniform > self.log_weight.exp().cumsum(-1)).sum(-1).clamp(max=self.mean.shape[1] - 1)
        rows = torch.arange(len(index))
        return self.mean[rows, chosen] + self.sd[rows, chosen] * normal

    def rows(self, rows: Any) -> "Mixture":
        return Mixture(self.log_weight[rows], self.mean[rows], self.sd[rows])


@dataclass(frozen=True)
class Models:
    """n models and encoders as one `evidence.Target`, their exact log p(x), and what is wrong with each encoder."""

    prior: Mixture
    q: Mixture
    likelihood: Callable[..., Tensor]
    about: tuple[Any, ...]  # what the likelihood reads beside z, for each model
    truth: Tensor
    fault: Tensor  # place among FAULTS
    index: Tensor

    @property
    def dim(self) -> int:
        return self.q.mean.shape[-1]

    def log_prior(self, z: Tensor) -> Tensor:
        return self.prior.log_prob(z)

    def log_posterior(self, z: Tensor) -> Tensor:
        return self.q.log_prob(z)

    def log_likelihood(self, z: Tensor) -> Tensor:
        return self.likelihood(z, *self.about)

    def draw_posterior(self, draws: int, seed: int, first_draw: int = 0) -> tuple[Tensor, Tensor]:
        z = self.q.draw(draws, self.index, seed, first_draw)
        return z, self.log_posterior(z)

    def draw_prior(self, draws: int, seed: int, first_draw: int = 0) -> Tensor:
        return self.prior.draw(draws, self.index, seed, first_draw, stream=1)

    def pick(self, places: Tensor) -> "Models":
        return self.rows(places)

    def rows(self, rows: Any) -> "Models":
        about = tuple(one.rows(rows) if isinstance(one, Mixture) else one[rows] for one in self.about)
        prior, q = self.prior.rows(rows), self.q.rows(rows)
        places = self.truth[rows], self.fault[rows], self.index[rows]
        return Models(prior, q, self.likelihood, about, *places)


def wrong_models(family: str, d: int, faults: Tensor, seed: int = 0) -> Models:
    """Models of a family in d dimensions, one for each entry of `faults` (places among FAULTS)."""
    generator = Generator().manual_seed(seed * 1_000 + d * 10 + sorted(_FAMILIES).index(family))
    prior, likelihood, about, truth, modes = _FAMILIES[family](d, faults, generator)
    return Models(
        prior, _encoder(modes, faults, generator), likelihood, about, truth, faults, torch.arange(len(faults))
    )


def _encoder(modes: Mixture, faults: Tensor, generator: Generator) -> Mixture:
    """q of all modes, each slightly off; or of one of them; or too narrow, or too wide."""
    n, k, d = modes.mean.shape
    normal = [torch.randn(n, k, d, generator=generator, dtype=F64) for _ in range(2)]
    mean, sd = modes.mean + 0.3 * modes.sd * normal[0], modes.sd * (0.2 * normal[1]).exp()
    real = (modes.log_weight > math.log(0.02)).double()
    chosen = one_hot(torch.multinomial(real, 1, generator=generator)[:, 0], k).double().log()
    log_weight = torch.where((faults == 1)[:, None], chosen, modes.log_weight)
    factor = torch.rand(n, generator=generator, dtype=F64).mul(math.log(GREATEST)).exp()
    factor = torch.where(faults == 2, 1 / factor, torch.where(faults == 3, factor, 1.0))
    return Mixture(log_weight, mean, sd * factor[:, None, None])


def _standard(n: int, d: int) -> Mixture:
    return Mixture(torch.zeros(n, 1, dtype=F64), torch.zeros(n, 1, d, dtype=F64), torch.ones(n, 1, d, dtype=F64))


def _uniform(low: float, high: float, *shape: int, generator: Generator) -> Tensor:
    """Even in the logarithm."""
    return torch.rand(shape, generator=generator, dtype=F64).mul(math.log(high / low)).exp() * low


def _weights(n: int, k: int, faults: Tensor, generator: Generator) -> Tensor:
    """Log-weights of 1 to k modes; 2 or more where the encoder is to sit on one."""
    drawn = -(torch.rand(n, k, 2, generator=generator, dtype=F64).log()).sum(-1)  # Gamma(2): Dirichlet(2)
    many = torch.randint(1, k + 1, (n,), generator=generator)
    many = torch.where((faults == 1) & (many < 2), 2, many)
    drawn = torch.where(torch.arange(k) < many[:, None], drawn, 0.0)
    return (drawn / drawn.sum(-1, keepdim=True)).log()


def _modes(d: int, faults: Tensor, generator: Generator) -> tuple[Any, ...]:
    n, prior = len(faults), _standard(len(faults), d)
    mean = torch.randn(n, _MODES, d, generator=generator, dtype=F64)
    if d > 2:
        radius = (0.8 * d * (1 + 0.1 * torch.randn(n, _MODES, 1, generator=generator, dtype=F64)).clamp(min=0.1)).sqrt()
        mean = mean / mean.norm(dim=-1, keepdim=True) * radius
    sd = (
        _uniform(0.05, 0.5, n, 1, 1, generator=generator)
        * (0.3 * torch.randn(n, 1, d, generator=generator, dtype=F64)).exp()
    )
    volume = torch.randn(n, _MODES, 1, generator=generator, dtype=F64) / math.sqrt(d) / 3
    modes = Mixture(_weights(n, _MODES, faults, generator), mean, (sd * volume.exp()).clamp(max=0.8))
    truth = -50 + 20 * torch.randn(n, generator=generator, dtype=F64)
    return prior, _by_construction, (truth, modes, prior), truth, modes


def _by_construction(z: Tensor, truth: Tensor, posterior: Mixture, prior: Mixture) -> Tensor:
    return truth + posterior.log_prob(z) - prior.log_prob(z)


def _clusters(d: int, faults: Tensor, generator: Generator) -> tuple[Any, ...]:
    n, k, seen = len(faults), 3, (d + 1) // 2
    mean = 2 * torch.randn(n, k, d, generator=generator, dtype=F64)
    noise = _uniform(1.5, 4.0, n, 1, generator=generator) if d == 1 else _uniform(0.1, 1, n, seen, generator=generator)
    near = mean[:, :1, :seen] + 0.3 * torch.randn(n, k, seen, generator=generator, dtype=F64)
    mean = mean if d == 1 else torch.cat([near, mean[..., seen:]], -1)  # what x shows does not tell which cluster
    prior = Mixture(_weights(n, k, faults, generator), mean, _uniform(0.3, 1.0, n, k, d, generator=generator))
    prior = replace(prior, sd=prior.sd.mean(1, keepdim=True) * _uniform(0.9, 1.1, n, k, d, generator=generator))
    z = prior.draw(1, torch.arange(n), int(torch.randint(2**31, (), generator=generator)), 0)[0]
    x = z[:, :seen] + noise * torch.randn(n, seen, generator=generator, dtype=F64)
    variance = prior.sd[..., :seen].square() + noise[:, None].square()
    log_x = torch.distributions.Normal(prior.mean[..., :seen], variance.sqrt()).log_prob(x[:, None]).sum(-1)
    joint = prior.log_weight + log_x
    gain = prior.sd[..., :seen].square() / variance
    after = prior.mean.clone(), prior.sd.clone()
    after[0][..., :seen] += gain * (x[:, None] - prior.mean[..., :seen])
    after[1][..., :seen] *= (1 - gain).sqrt()
    truth = joint.logsumexp(-1)
    return prior, _part_and_noise, (x, noise), truth, Mixture(joint - truth[:, None], *after)


def _part_and_noise(z: Tensor, x: Tensor, noise: Tensor) -> Tensor:
    return _gaussian(x - z[..., : x.shape[-1]], noise)


def _gaussian(residual: Tensor, noise: Tensor) -> Tensor:
    return (-0.5 * (residual / noise).square() - noise.log() - 0.5 * math.log(2 * math.pi)).sum(-1)


def _correlated(d: int, faults: Tensor, generator: Generator) -> tuple[Any, ...]:
    n = len(faults)
    weights, z = (torch.randn(n, d, size, generator=generator, dtype=F64) for size in (d, 1))
    noise = _uniform(0.1, 1.0, n, 1, generator=generator).expand(n, d)
    x = (weights @ z)[..., 0] + noise * torch.randn(n, d, generator=generator, dtype=F64)
    eye = torch.eye(d, dtype=F64)
    precision = eye + weights.mT @ weights / noise[:, :1, None].square()
    mean = torch.linalg.solve(precision, (weights.mT @ (x / noise.square())[..., None]))[..., 0]
    covariance = weights @ weights.mT + noise[:, :1, None].square() * eye
    truth = torch.distributions.MultivariateNormal(torch.zeros(d, dtype=F64), covariance).log_prob(x)
    sd = precision.diagonal(dim1=-2, dim2=-1).rsqrt()
    modes = Mixture(torch.zeros(n, 1, dtype=F64), mean[:, None], sd[:, None])
    return _standard(n, d), _linear_and_noise, (x, weights, noise), truth, modes


def _linear_and_noise(z: Tensor, x: Tensor, weights: Tensor, noise: Tensor) -> Tensor:
    return _gaussian(x - torch.einsum("nij,cnj->cni", weights, z), noise)


def _folds(d: int, faults: Tensor, generator: Generator) -> tuple[Any, ...]:
    n, half = len(faults), torch.distributions.Normal(0.0, 1.0)
    tilt, noise = (_uniform(low, high, n, d, generator=generator) for low, high in ((0.02, 0.2), (0.1, 0.5)))
    z = torch.randn(n, d, generator=generator, dtype=F64)
    z = z.sign() * (0.7 + z.abs() / 2)  # away from the fold, where modes would meet
    x = z.square() + tilt * z + noise * torch.randn(n, d, generator=generator, dtype=F64)
    grid = torch.linspace(-6, 6, 8_001, dtype=F64)[:, None, None]
    residual = (x - grid.square() - tilt * grid) / noise
    joint = half.log_prob(grid) - 0.5 * residual.square() - noise.log() - 0.5 * math.log(2 * math.pi)
    truth = (joint.logsumexp(0) + math.log(12 / 8_000)).sum(-1)
    sides = [joint.where(side, -math.inf).max(0) for side in (grid > 0, grid < 0)]
    at = torch.stack([grid.flatten()[side.indices] for side in sides], 1)  # [n, 2, d]
    which = torch.randint(2, (n, 2, d), generator=generator)
    mean = at.gather(1, which)  # two corners, of 2^d
    slope = (2 * mean + tilt[:, None]).abs() / noise[:, None]
    modes = Mixture(torch.full((n, 2), math.log(0.5), dtype=F64), mean, (1 + slope.square()).rsqrt())
    return _standard(n, d), _fold_and_noise, (x, tilt, noise), truth, modes


def _fold_and_noise(z: Tensor, x: Tensor, tilt: Tensor, noise: Tensor) -> Tensor:
    return _gaussian(x - z.square() - tilt * z, noise)


def _decoder(d: int, faults: Tensor, generator: Generator) -> tuple[Any, ...]:
    n, hidden, features = len(faults), 5, d
    first = 2.5 * torch.randn(n, hidden, d, generator=generator, dtype=F64)
    bias = 1.5 * torch.randn(n, hidden, generator=generator, dtype=F64)
    second = torch.randn(n, features, hidden, generator=generator, dtype=F64)
    noise = _uniform(0.2, 0.6, n, 1, generator=generator).expand(n, features)
    z = torch.randn(1, n, d, generator=generator, dtype=F64)
    x = _decoded(z, first, bias, second)[0] + noise * torch.randn(n, features, generator=generator, dtype=F64)
    about, nodes = (x, first, bias, second, noise), 4_001 if d == 1 else 401
    axis, prior = torch.linspace(-6, 6, nodes, dtype=F64), _standard(1, d)
    grid = torch.cartesian_prod(*[axis] * d).view(-1, 1, d)
    found = []
    for one in range(n):
        part = tuple(value[one : one + 1] for value in about)
        joint = (prior.log_prob(grid) + _decoder_and_noise(grid, *part)).view(*[nodes] * d)
        found.append((joint.logsumexp(tuple(range(d))) + d * math.log(12 / (nodes - 1)), *_highest(joint, axis)))
    truth, *modes = (torch.stack(column) for column in zip(*found, strict=True))
    return _standard(n, d), _decoder_and_noise, about, truth, Mixture(*modes)


def _highest(joint: Tensor, axis: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gaussians at the highest local maxima of a log-density on a grid, by its curvature."""
    d, width = joint.dim(), (axis[1] - axis[0]).item()
    peak = torch.ones_like(joint, dtype=torch.bool)
    curvature = []
    for dim in range(d):
        before, after = joint.roll(1, dim), joint.roll(-1, dim)
        peak &= (joint > before) & (joint >= after)
        curvature.append((2 * joint - before - after) / width**2)
    height = joint.where(peak, -math.inf).flatten()
    top = height.topk(min(_MODES, len(height))).indices
    places = torch.unravel_index(top, joint.shape)
    mean = torch.stack([axis[place] for place in places], -1)
    sd = torch.stack([one.flatten()[top] for one in curvature], -1).clamp(min=1.0).rsqrt()
    return (height[top] + sd.log().sum(-1)).log_softmax(-1), mean, sd


def _decoded(z: Tensor, first: Tensor, bias: Tensor, second: Tensor) -> Tensor:
    hidden = torch.tanh(torch.einsum("nij,cnj->cni", first, z) + bias)
    return torch.einsum("nij,cnj->cni", second, hidden)


def _decoder_and_noise(z: Tensor, x: Tensor, first: Tensor, bias: Tensor, second: Tensor, noise: Tensor) -> Tensor:
    return _gaussian(x - _decoded(z, first, bias, second), noise)


_FAMILIES: dict[str, Callable[[int, Tensor, Generator], tuple[Any, ...]]] = {
    "modes": _modes,
    "clusters": _clusters,
    "correlated": _correlated,
    "folds": _folds,
    "decoder": _decoder,
}
FAMILIES: dict[int, dict[str, tuple[str, ...]]] = {
    d: {
        "right": ("modes", "clusters", "decoder" if d < 3 else "correlated"),
        "one mode": ("modes", "clusters", "folds", *(("decoder",) if d < 3 else ())),
        "narrow": ("modes", "clusters", "decoder" if d < 3 else "correlated"),
        "wide": ("modes", "clusters", "decoder" if d < 3 else "correlated"),
    }
    for d in (1, 2, 5, 20)
}
"""Which families have encoders of which fault."""


def all_models(d: int, each: int, seed: int = 0) -> dict[str, Models]:
    """By family: `each` models of every fault in d dimensions, spread over the families."""
    faults: dict[str, list[int]] = {}
    for place, fault in enumerate(FAULTS):
        families = FAMILIES[d][fault]
        for one in range(each):
            faults.setdefault(families[one % len(families)], []).append(place)
    return {family: wrong_models(family, d, torch.tensor(found), seed) for family, found in faults.items()}
