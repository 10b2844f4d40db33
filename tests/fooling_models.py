"""Models built to fool annealed importance sampling in silence, with known log p(x).

Two kinds of fault were mended after a look at "spike" and at "one wrong"; no number was set by any of them.

p(z) = N(0, I) throughout, q is a Gaussian with independent dimensions. Families, each in some numbers of dimensions:

funnel    z_1 sets the scale of all the others: posterior exact by construction
banana    the others follow the square of z_1: by construction
spike     a mode q sits on, and one 10 times narrower in every dimension that q misses: by construction
shell     a sphere of some thickness, q at one point of it: a quadrature over the radius
heavy     Student t posterior of 3 degrees of freedom, q its scale: by construction
outlier   two readings of each z_i with Student t noise, of which some contradict each other: a quadrature each
one wrong two modes that differ in one of the dimensions only, and q on one of them: by construction
one flat  q 100 times too narrow in one of the dimensions only: by construction
stairs    likelihood of z rounded to steps, nearly: plateaus and cliffs: a quadrature each
thin      x = W z and noise of 1 %, so that the posterior is thin in some directions: closed form
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor
from wrong_models import F64, Mixture, Models

_Made = tuple[Callable[..., Tensor], tuple[Tensor, ...], Tensor, tuple[Tensor, Tensor]]
"""Likelihood, what it reads, log p(x), and mean and standard deviation of q."""


def fooling_models(family: str, d: int, count: int, seed: int = 0) -> Models:
    """So many models of a family in d dimensions."""
    generator = Generator().manual_seed(90_000 + seed * 1_000 + d * 10 + sorted(FAMILIES).index(family))
    likelihood, about, truth, (mean, sd) = _MAKERS[family](count, d, generator)
    one, zero = torch.zeros(count, 1, dtype=F64), torch.zeros(count, 1, d, dtype=F64)
    q, prior = Mixture(one, mean[:, None], sd[:, None]), Mixture(one, zero, zero + 1)
    fault = torch.zeros(count, dtype=torch.int64)
    return Models(prior, q, likelihood, about, truth, fault, torch.arange(count))


def _normal(z: Tensor, mean: Any = 0.0, sd: Any = 1.0) -> Tensor:
    sd = torch.as_tensor(sd, dtype=F64)
    return -0.5 * ((z - mean) / sd).square() - sd.log() - 0.5 * math.log(2 * math.pi)


def _rand(low: float, high: float, *shape: int, generator: Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=F64)


def _randn(*shape: int, generator: Generator) -> Tensor:
    return torch.randn(shape, generator=generator, dtype=F64)


def _funnel(n: int, d: int, generator: Generator) -> _Made:
    slope, scale = (_rand(*ends, n, 1, generator=generator) for ends in ((0.5, 1.5), (0.1, 0.4)))

    def likelihood(z: Tensor, slope: Tensor, scale: Tensor) -> Tensor:
        sd = scale * (slope * z[..., :1]).exp()
        return _normal(z[..., 1:], 0.0, sd).sum(-1) - _normal(z[..., 1:]).sum(-1)

    sd = torch.cat([torch.ones_like(scale), (scale * slope.square().exp()).expand(n, d - 1)], -1)
    return likelihood, (slope, scale), torch.zeros(n, dtype=F64), (torch.zeros(n, d, dtype=F64), sd)


def _banana(n: int, d: int, generator: Generator) -> _Made:
    bend, sd = (_rand(*ends, n, 1, generator=generator) for ends in ((0.3, 1.0), (0.03, 0.3)))

    def likelihood(z: Tensor, bend: Tensor, sd: Tensor) -> Tensor:
        return (_normal(z[..., 1:], bend * (z[..., :1].square() - 1), sd) - _normal(z[..., 1:])).sum(-1)

    q = torch.zeros(n, d, dtype=F64), torch.cat([torch.ones_like(sd), (sd + bend).expand(n, d - 1)], -1)
    return likelihood, (bend, sd), torch.zeros(n, dtype=F64), q


def _of_two(z: Tensor, log_weight: Tensor, mean: Tensor, sd: Tensor) -> Tensor:
    """A posterior of two Gaussians by construction."""
    terms = log_weight + _normal(z.unsqueeze(-2), mean, sd).sum(-1)
    return terms.logsumexp(-1) - _normal(z).sum(-1)


def _spike(n: int, d: int, generator: Generator) -> _Made:
    weight = _rand(0.3, 0.9, n, generator=generator)
    mean = _randn(n, 2, d, generator=generator) * 0.8
    sd = _rand(0.2, 0.4, n, 1, d, generator=generator) * torch.tensor([1.0, 0.1], dtype=F64)[:, None]
    log_weight = torch.stack([1 - weight, weight], -1).log()
    return _of_two, (log_weight, mean, sd), torch.zeros(n, dtype=F64), (mean[:, 0], sd[:, 0])


def _one_wrong(n: int, d: int, generator: Generator) -> _Made:
    mean = 0.8 * _randn(n, 1, d, generator=generator).expand(n, 2, d).clone()
    mean[:, :, 0] = torch.tensor([-1.0, 1.0], dtype=F64)
    sd = _rand(0.1, 0.4, n, 1, d, generator=generator).expand(n, 2, d)
    log_weight = _rand(0.3, 0.7, n, 1, generator=generator).log()
    log_weight = torch.cat([log_weight, torch.log1p(-log_weight.exp())], -1)
    return _of_two, (log_weight, mean, sd), torch.zeros(n, dtype=F64), (mean[:, 0], sd[:, 0])


def _one_flat(n: int, d: int, generator: Generator) -> _Made:
    mean = 0.8 * _randn(n, 1, d, generator=generator)
    sd = _rand(0.1, 0.4, n, 1, d, generator=generator)
    narrow = sd[:, 0].clone()
    narrow[:, 0] /= 100
    log_weight = torch.zeros(n, 1, dtype=F64)
    return _of_two, (log_weight, mean, sd), torch.zeros(n, dtype=F64), (mean[:, 0], narrow)


def _shell(n: int, d: int, generator: Generator) -> _Made:
    radius = _rand(0.8, 1.5, n, generator=generator) * math.sqrt(d)
    sd = _rand(0.03, 0.2, n, generator=generator)

    def likelihood(z: Tensor, radius: Tensor, sd: Tensor) -> Tensor:
        return _normal(z.norm(dim=-1), radius, sd)

    grid = torch.linspace(1e-4, 20, 400_001, dtype=F64)
    log_area = (d - 1) * grid.log() - grid.square() / 2 - (d / 2 - 1) * math.log(2) - math.lgamma(d / 2)
    truth = torch.stack([(_normal(grid, r, s) + log_area).logsumexp(0) for r, s in zip(radius, sd, strict=True)])
    at = _randn(n, d, generator=generator)
    at = at / at.norm(dim=-1, keepdim=True) * radius[:, None]
    return likelihood, (radius, sd), truth + math.log(20 / 400_000), (at, sd[:, None].expand(n, d))


def _heavy(n: int, d: int, generator: Generator) -> _Made:
    scale = _rand(0.05, 0.3, n, d, generator=generator)

    def likelihood(z: Tensor, scale: Tensor) -> Tensor:
        return (torch.distributions.StudentT(3.0, 0.0, scale).log_prob(z) - _normal(z)).sum(-1)

    return likelihood, (scale,), torch.zeros(n, dtype=F64), (torch.zeros_like(scale), scale)


def _by_quadrature(likelihood: Callable[..., Tensor], *about: Tensor) -> Tensor:
    """Log p(x) of independent dimensions: the likelihood of each is [nodes, n, d]."""
    grid = torch.linspace(-8, 8, 16_001, dtype=F64)[:, None, None]
    return ((likelihood(grid, *about) + _normal(grid)).logsumexp(0) + math.log(16 / 16_000)).sum(-1)


def _outlier(n: int, d: int, generator: Generator) -> _Made:
    scale, freedom = _rand(0.05, 0.2, n, 1, generator=generator), _rand(2, 5, n, 1, generator=generator)
    z = _randn(n, d, generator=generator)
    first, second = (z + scale * _randn(n, d, generator=generator) for _ in range(2))
    second[:, 0] = -first[:, 0].sign() * 1.5
    if d > 1:
        second[:, 1] += 30  # which no z explains

    def each(z: Tensor, first: Tensor, second: Tensor, scale: Tensor, freedom: Tensor) -> Tensor:
        noise = torch.distributions.StudentT(freedom, 0.0, scale)
        return noise.log_prob(first - z) + noise.log_prob(second - z)

    about = first, second, scale, freedom
    q = first, scale.expand(n, d)
    return lambda z, *about: each(z, *about).sum(-1), about, _by_quadrature(each, *about), q


def _stairs(n: int, d: int, generator: Generator) -> _Made:
    width, noise = _rand(0.2, 0.8, n, d, generator=generator), _rand(0.1, 0.4, n, d, generator=generator)
    x = 0.8 * _randn(n, d, generator=generator)

    def each(z: Tensor, x: Tensor, width: Tensor, noise: Tensor) -> Tensor:
        step = (z / width).detach().floor()
        rounded = width * (step + torch.sigmoid(60 * (z / width - step - 0.5)))
        return _normal(x, rounded, noise)

    about = x, width, noise
    q = x, (noise.square() + width.square() / 12).sqrt()
    return lambda z, *about: each(z, *about).sum(-1), about, _by_quadrature(each, *about), q


def _thin(n: int, d: int, generator: Generator) -> _Made:
    weights, noise = _randn(n, d, d, generator=generator), 0.01
    x = torch.einsum("nij,nj->ni", weights, _randn(n, d, generator=generator))
    eye = torch.eye(d, dtype=F64)
    precision = eye + weights.mT @ weights / noise**2
    mean = torch.linalg.solve(precision, weights.mT @ x[..., None] / noise**2)[..., 0]
    covariance = weights @ weights.mT + noise**2 * eye
    truth = torch.distributions.MultivariateNormal(torch.zeros(d, dtype=F64), covariance).log_prob(x)

    def likelihood(z: Tensor, x: Tensor, weights: Tensor) -> Tensor:
        return _normal(x - torch.einsum("nij,cnj->cni", weights, z), 0.0, noise).sum(-1)

    return likelihood, (x, weights), truth, (mean, precision.diagonal(dim1=-2, dim2=-1).rsqrt())


_MAKERS: dict[str, Callable[[int, int, Generator], _Made]] = {
    "funnel": _funnel,
    "banana": _banana,
    "spike": _spike,
    "shell": _shell,
    "heavy": _heavy,
    "outlier": _outlier,
    "one wrong": _one_wrong,
    "one flat": _one_flat,
    "stairs": _stairs,
    "thin": _thin,
}
FAMILIES: dict[str, tuple[int, ...]] = {
    "funnel": (2, 5, 20),
    "banana": (2, 5, 20),
    "spike": (1, 2, 5, 20),
    "shell": (2, 5, 20),
    "heavy": (1, 5, 20),
    "outlier": (1, 5, 20),
    "one wrong": (5, 20, 50),
    "one flat": (5, 20, 50),
    "stairs": (1, 5, 20),
    "thin": (2, 5, 20),
}
"""Of each family, the numbers of dimensions."""
