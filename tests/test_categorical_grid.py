"""A grid of classes: every number against the sum over all grids, and what it does with objectives and recipes."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import elbowroom as er
from elbowroom.distributions import capabilities, draw, kl, simulate
from elbowroom.distributions.categorical_grid import categorical_grid
from elbowroom.numerics import CapabilityError
from elbowroom.objectives import Elbo, FreeBits, Iwae

END = torch.tensor(math.inf)
CELLS, K, COLUMNS = 2, 3, 3
GRIDS = torch.eye(K, dtype=torch.float64)[torch.tensor(list(itertools.product(range(K), repeat=CELLS)))]
X = torch.tensor([[0.3, -1.2, 0.8]], dtype=torch.float64)


class Own(nn.Module):
    """Outputs of an encoder that are a parameter of their own for every copy of one example."""

    def __init__(self, raw: Tensor) -> None:
        super().__init__()
        self.raw = nn.Parameter(raw)

    def forward(self, x: Tensor) -> Tensor:
        return self.raw if len(x) == len(self.raw) else self.raw[:1].expand(len(x), -1)


def model(copies: int = 1) -> er.VAE:
    """Two cells of three classes, whose decoder sees both at once."""
    torch.manual_seed(1)
    raw = torch.randn(K * CELLS, dtype=torch.float64).repeat(copies, 1)
    prior = er.priors.CategoricalGrid(CELLS, per_cell=K, probabilities=[0.5, 0.2, 0.3])
    posterior = er.posteriors.CategoricalGrid(Own(raw), CELLS, per_cell=K)
    decoder = er.networks.MLP([CELLS * K, 5, COLUMNS])
    return er.VAE(prior, posterior, er.likelihoods.Normal(decoder, COLUMNS, scale=0.9)).double()


def all_grids(vae: er.VAE) -> tuple[Tensor, Tensor, Tensor]:
    """log q, log p(z) and log p(x | z) of every grid, [grids], at one example."""
    logits = vae.posterior["z"].network.raw[0].view(K, CELLS).log_softmax(0)  # classes first
    log_q = (GRIDS * logits.T).sum((1, 2))
    log_p = (GRIDS * torch.tensor([0.5, 0.2, 0.3]).double().log()).sum((1, 2))
    mean = vae.likelihood.network(GRIDS)
    log_x = -0.5 * ((X - mean) / 0.9).square().sum(1) - COLUMNS * math.log(0.9 * math.sqrt(2 * math.pi))
    return log_q, log_p, log_x


def test_density_and_divergence_are_those_of_all_grids() -> None:
    vae = model()
    log_q, log_p, _ = all_grids(vae)
    q, p = vae.posterior["z"]({"x": X[None]}), vae.prior["z"]({})
    torch.testing.assert_close(q.log_prob(GRIDS[:, None])[:, 0], log_q)
    torch.testing.assert_close(p.log_prob(GRIDS[:, None])[:, 0], log_p.to(p.mean))
    closed = kl(q, p)
    assert closed.shape == (1, 1, CELLS)
    assert closed.sum().item() == pytest.approx((log_q.exp() * (log_q - log_p)).sum().item(), rel=1e-6)
    assert log_q.exp().sum().item() == pytest.approx(1)


@pytest.mark.parametrize("how", [draw, simulate])
def test_a_draw_has_the_probabilities_that_it_says(how: Any) -> None:
    p = categorical_grid(torch.tensor([[0.3, -1.0, 0.5], [1.0, 0.0, 0.2]]).double().expand(20_000, 1, 2, 3))
    generator = torch.Generator().manual_seed(0)
    z = simulate(p, generator) if how is simulate else draw(p, torch.randn(20_000, 1, 2, 3, generator=generator))[0]
    assert ((z == 0) | (z == 1)).all()
    assert (z.sum(-1) == 1).all()
    found = torch.einsum("nk,nl->kl", z[:, 0, 0], z[:, 0, 1]) / len(z)
    expected = torch.outer(*p.base_dist.probs[0, 0])
    assert ((found - expected).abs() < 4.5 * (expected * (1 - expected) / len(z)).sqrt()).all()


@pytest.mark.parametrize("objective", [Elbo(0.7, gradient="score", draws=3), Iwae(gradient="vimco", draws=3)])
def test_the_mean_gradient_is_the_one_of_the_sum_over_all_grids(objective: Elbo | Iwae) -> None:
    copies = 10_000
    one, vae = model(), model(copies)
    log_q, log_p, log_x = all_grids(one)
    if isinstance(objective, Elbo):
        total = (log_q.exp() * (0.7 * (log_q - log_p) - log_x)).sum()
    else:
        chosen = torch.tensor(list(itertools.product(range(len(GRIDS)), repeat=3)))
        bound = (log_p + log_x - log_q)[chosen].logsumexp(1) - math.log(3)
        total = -(log_q[chosen].sum(1).exp() * bound).sum()
    wanted = torch.autograd.grad(total, one.posterior["z"].network.raw)[0][0]
    batch = er.Batch(X.expand(copies, -1), torch.arange(copies))
    loss = objective(vae, batch, vae.keyed_noise(3, batch.index, 0), END).total
    (copies * loss).backward()
    found = vae.posterior["z"].network.raw.grad
    assert ((found.mean(0) - wanted).abs() < 4.5 * found.std(0) / math.sqrt(copies)).all()


def test_bounds_close_in_on_the_evidence_of_all_grids() -> None:
    vae, n = model(), 400
    log_q, log_p, log_x = all_grids(vae)
    wanted = (log_p + log_x).logsumexp(0).item()
    examples = er.Batch(X.expand(n, -1), torch.arange(n))
    elbo = er.evidence.elbo(vae, examples, draws=64)
    expected = (log_q.exp() * (log_p + log_x - log_q)).sum().item()
    assert abs(elbo.mean - expected) < 4.5 * elbo.values.std() / math.sqrt(n)
    tight = er.evidence.iwae(vae, examples, draws=500)
    assert abs(tight.mean - wanted) < 4.5 * tight.values.std() / math.sqrt(n) + 1e-3


@pytest.mark.parametrize("grid", [False, True])
def test_free_bits_by_dimension_count_each_class_block_and_cell_once(grid: bool) -> None:
    """With nothing free, the objective is the ELBO's; with 10 nats free, each cell counts for 10."""
    torch.manual_seed(0)
    kinds = (er.priors.CategoricalGrid(4), er.posteriors.CategoricalGrid(nn.Linear(2, 8), 4))
    one = (er.priors.Categorical(8), er.posteriors.Categorical(nn.Linear(2, 8), 8))
    decoder = er.networks.MLP([8, 2])
    vae = er.VAE(*(kinds if grid else one), er.likelihoods.Normal(decoder, 2, scale=1.0))
    batch = er.Batch(torch.randn(6, 2), torch.arange(6))
    noise = vae.keyed_noise(1, batch.index, 0)
    with torch.no_grad():
        elbo = Elbo()(vae, batch, noise, END)
        free = [FreeBits(nats, per="dimension")(vae, batch, noise, END).total for nats in (0.0, 10.0)]
    torch.testing.assert_close(free[0], elbo.total)
    torch.testing.assert_close(free[1] + elbo.terms.log_likelihood.mean(), torch.tensor(40.0 if grid else 10.0))


def test_binary_latents_by_words_are_trained_saved_and_encoded(tmp_path: Any) -> None:
    """Four patterns of bits: two binary latents find them, and IWAE reaches their entropy."""
    generator = np.random.default_rng(0)
    bits = np.repeat(generator.integers(0, 2, (300, 2)), 4, axis=1).astype(np.float32)
    data = er.load_data(bits, support="binary", progress=False)
    words = {"prior": "categorical-grid-prior", "posterior": "categorical-grid-posterior", "latents": 2, "widths": [8]}
    objective = {"kind": "elbo", "gradient": "score", "draws": 4}
    with pytest.raises(er.InputError, match="'gradient': 'score'"):
        er.models.Recipe(**words)
    recipe = er.models.Recipe(**words, objective=objective)
    vae = er.models.build(recipe, data)
    er.fit(vae, data, er.models.goal(recipe), epochs=8, batch_size=20, lr=0.06, progress=False)
    found = er.evidence.iwae(vae, data.test, draws=64)
    assert found.mean == pytest.approx(-2 * math.log(2), abs=0.15)
    assert vae.encode(data.test)["z"].shape == (60, 2, 2)
    er.save_model(vae, tmp_path / "model.pt")
    again = er.evidence.iwae(er.load_model(tmp_path / "model.pt"), data.test, draws=64)
    np.testing.assert_array_equal(again.values, found.values)


def test_what_does_not_go_with_a_grid_is_said_in_words() -> None:
    q, p = er.posteriors.CategoricalGrid, er.priors.CategoricalGrid
    with pytest.raises(er.InputError, match="at least 2 classes; got 1"):
        q(nn.Linear(3, 4), 4, per_cell=1)
    with pytest.raises(er.InputError, match="size of 1 or more"):
        p((8, 0))
    with pytest.raises(er.InputError, match="CategoricalGrid prior needs 2 positive probabilities"):
        p(4, probabilities=[0.5, 0.6])
    with pytest.raises(er.InputError, match="has a network that reads"):
        p(4, given=("grey",))
    with pytest.raises(er.InputError, match="needs 6 numbers per example"):
        q(nn.Linear(3, 4), 2, per_cell=3)({"x": torch.zeros(1, 1, 3)})
    vae, batch = model(), er.Batch(X, torch.arange(1))
    with pytest.raises(CapabilityError, match="gradient='score'"):
        Elbo()(vae, batch, vae.keyed_noise(1, batch.index, 0), END)
    with pytest.raises(er.InputError, match="'categorical-prior' is over classes, and the posterior"):
        er.models.Recipe(prior="categorical-prior", posterior="categorical-grid-posterior")
    assert "draw" in capabilities(p(4)({}))
