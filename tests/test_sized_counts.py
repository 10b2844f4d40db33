"""Counts with a size factor: SciPy's masses, where means and dispersions start, extremes, dispersions by batch."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import elbowroom as er
from elbowroom import likelihoods as lik

SIZES = np.array([1e-3, 0.2, 1.0, 40.0, 1e3])


def of(
    made: lik.Likelihood, *, z: torch.Tensor | None = None, **given: torch.Tensor
) -> torch.distributions.Distribution:
    z = torch.zeros(1, len(SIZES), 1) if z is None else z
    return made({"z": z.to(next(made.parameters()).dtype), **given}).base_dist


def settled(kind: type, y: np.ndarray, size: np.ndarray, **options: object) -> lik.Likelihood:
    torch.manual_seed(0)
    counted = kind(None, y.shape[1], size_factor="size", **options)
    made = kind(nn.Linear(1, counted.numbers), y.shape[1], size_factor="size", **options)
    nn.init.zeros_(made.network.weight)
    nn.init.zeros_(made.network.bias)
    made.settle(torch.tensor(y), None, 1)
    made.settle_beside(torch.tensor(y), {"size": torch.tensor(size)})
    return made


def planted(n: int, mean: float = 200.0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of two genes of means 3 and 0.5 and dispersions 2 and 20 at size 1, whose sizes average `mean`."""
    rng = np.random.default_rng(0)
    size = rng.lognormal(size=(n, 1))
    size *= mean / size.mean()
    rate = size / mean * np.array([3.0, 0.5]) * rng.gamma([2.0, 20.0], 1 / np.array([2.0, 20.0]), (n, 2))
    return rng.poisson(rate), size


@pytest.mark.parametrize("mean", [1.0, 200.0])
def test_means_start_per_unit_of_size_and_dispersions_about_them(mean: float) -> None:
    y, size = planted(40_000, mean)
    made = settled(lik.NegativeBinomial, y, size)
    p = of(made, size=torch.full((1, 5, 1), mean))
    assert p.mean[0, 0].tolist() == pytest.approx((y.sum(0) / size.sum() * mean).tolist(), rel=1e-5)
    assert p.mean[0, 0].tolist() == pytest.approx([3.0, 0.5], rel=0.03)
    assert p.log_dispersion.exp()[0, 0].tolist() == pytest.approx([2.0, 20.0], rel=0.35)


@pytest.mark.parametrize("counts", [0, 1, 30, 100_000])
def test_masses_are_scipy_s_at_every_size(counts: int) -> None:
    size = torch.tensor(SIZES, dtype=torch.float32).view(1, -1, 1)
    mean, r = 2.5, 0.7
    poisson = lik.Poisson(nn.Linear(1, 1), 1, size_factor="size")
    negative = lik.NegativeBinomial(nn.Linear(1, 1), 1, size_factor="size")
    inflated = lik.ZeroInflatedNegativeBinomial(nn.Linear(1, 2), 1, size_factor="size")
    for one in (poisson, negative, inflated):
        nn.init.zeros_(one.network.weight)
        nn.init.zeros_(one.network.bias)
        one.base.fill_(math.log(mean))
        if hasattr(one, "dispersion_base"):
            one.dispersion_base.fill_(20 * math.atanh(math.log(r) / 20))  # it is held within ±20, which bends it
    mu = mean * SIZES
    tables = [stats.poisson(mu).logpmf(counts), stats.nbinom(r, r / (r + mu)).logpmf(counts)]
    tables.append(
        np.where(counts == 0, np.logaddexp(math.log(0.5), math.log(0.5) + tables[1]), math.log(0.5) + tables[1])
    )
    for one, truth in zip((poisson, negative, inflated), tables, strict=True):
        assert of(one, size=size).log_prob(torch.tensor(float(counts))).flatten().tolist() == pytest.approx(
            truth.tolist(), rel=2e-6, abs=1e-5
        )
        log = type(one)(one.network, 1, size_factor="size", size_scale="log")
        log.load_state_dict(one.state_dict())
        other = of(log, size=size.log()).log_prob(torch.tensor(float(counts)))
        assert torch.allclose(other, of(one, size=size).log_prob(torch.tensor(float(counts))), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("log_r", [-18.0, 0.0, 18.0])
@pytest.mark.parametrize("kind", [lik.Poisson, lik.NegativeBinomial, lik.ZeroInflatedNegativeBinomial])
def test_float32_is_float64_and_gradients_are_finite_at_extremes(kind: type, log_r: float) -> None:
    got = []
    for dtype in (torch.float32, torch.float64):
        torch.manual_seed(0)
        numbers = kind(None, 3, size_factor="size").numbers
        made = kind(nn.Linear(1, numbers), 3, size_factor="size").to(dtype)
        if hasattr(made, "dispersion_base"):
            made.dispersion_base.fill_(log_r)
        z = torch.tensor([-0.5, 0.0, 0.5, 1.0, 2.0]).view(1, 5, 1)
        p = of(made, z=z, size=torch.tensor(SIZES, dtype=dtype).view(1, 5, 1))
        total = p.log_prob(torch.tensor([0.0, 7.0, 1e5]))
        total.sum().backward()
        assert all(torch.isfinite(one.grad).all() for one in made.parameters())
        got.append(total.detach().double())
    assert torch.allclose(*got, rtol=1e-5)


def test_a_cell_of_size_nothing_has_no_counts() -> None:
    made = settled(lik.NegativeBinomial, np.array([[1, 2], [3, 0]]), np.array([1.0, 1.0]))
    p = of(made, size=torch.zeros(1, 5, 1))
    assert p.log_prob(torch.tensor(0.0)).exp().min().item() == pytest.approx(1.0)
    assert p.log_prob(torch.tensor(1.0)).max() < -40


def test_a_dispersion_of_each_batch_is_the_dispersion_of_that_batch() -> None:
    made = lik.NegativeBinomial(nn.Linear(1, 2), 2, dispersion="feature-batch", batches=2)
    with torch.no_grad():
        made.raw_dispersion.copy_(torch.tensor([[0.0, 1.0], [2.0, -1.0]]))
    batch = torch.eye(2)[[0, 1, 1, 0, 1]].unsqueeze(0)
    expected = [[0.0, 1.0] if one == 0 else [2.0, -1.0] for one in (0, 1, 1, 0, 1)]
    log_r = of(made, batch=batch).log_dispersion[0]
    assert torch.allclose(log_r, 20 * torch.tanh(torch.tensor(expected) / 20))
    assert made.beside == ["batch"]
    with pytest.raises(er.InputError, match="one-hot over 2 classes"):
        of(made, batch=torch.ones(1, 5, 3))
    with pytest.raises(er.InputError, match="needs batches="):
        lik.NegativeBinomial(None, 2, dispersion="feature-batch")


def test_a_size_that_is_no_number_per_example_or_reaches_the_network_is_refused() -> None:
    made = lik.Poisson(nn.Linear(1, 2), 2, size_factor="size")
    with pytest.raises(er.InputError, match="one number per example"):
        of(made, size=torch.ones(1, 5, 2))
    with pytest.raises(er.InputError, match="no input of the network"):
        lik.Poisson(None, 2, size_factor="size", given=("z", "size"))


def test_fit_reads_the_size_where_it_settles() -> None:
    y, size = planted(60)
    data = er.load_data(y, support="counts", context={"size": size.astype(np.float32)}, validation=10, test=10)
    words = {"latents": 1, "widths": [4], "likelihood": {"kind": "poisson", "size_factor": "size"}}
    vae = er.models.build(words, data)
    history = er.fit(vae, data, epochs=1, progress=False)
    train = data.train.batch()
    mean = train.x.double().sum(0) / train.context["size"].double().sum()
    assert torch.allclose(vae.likelihood.base.exp().double(), mean, rtol=1e-4)
    assert vae.quantity == "log p(x | size)"
    assert any("means are per size" in one for one in history.notes)
