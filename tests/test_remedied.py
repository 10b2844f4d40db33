"""Remedies that train no decoder against linear models, whose gains are known exactly; and what each refuses."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, kl_divergence

import elbowroom as er
from elbowroom.remedies import refine_inference, refit_prior
from elbowroom.vae import load_model, save_model

CELLS, LATENTS, SIGMA = 4, 2, 0.6
ROOT = np.random.default_rng(0).normal(size=(CELLS, CELLS)) / 2


@pytest.fixture(autouse=True)
def few_draws(monkeypatch) -> None:
    monkeypatch.setattr("elbowroom.remedies._refit_prior._FEWEST", 3_000)


def data(n: int = 1_500, *, gaps: bool = False) -> er.data.Dataset:
    x = np.random.default_rng(1).normal(size=(n, CELLS)) @ ROOT.T
    if gaps:
        x[np.random.default_rng(2).random(x.shape) < 0.2] = np.nan
    return er.load_data(x, validation=n // 3, test=10, preprocess="none")


def linear(*, spread: float = -1.0) -> er.VAE:
    """A linear model with a bad encoder of one spread for all x."""
    torch.manual_seed(0)
    encoder = nn.Linear(CELLS, 2 * LATENTS)
    with torch.no_grad():
        encoder.weight[LATENTS:] = 0
        encoder.bias[LATENTS:] = spread
    q = er.posteriors.DiagonalNormal(encoder, LATENTS)
    likelihood = er.likelihoods.Normal(nn.Linear(LATENTS, CELLS), CELLS, scale=SIGMA)
    return er.VAE(er.priors.StandardNormal(LATENTS), q, likelihood)


def aggregate(vae: er.VAE) -> MultivariateNormal:
    """q(z) over data of the planted covariance, exactly."""
    network = vae.posterior["z"].network
    weight, bias = (value[:LATENTS].detach().double() for value in (network.weight, network.bias))
    spread = nn.functional.softplus(network.bias[LATENTS:].detach().double()) + 1e-5
    root = weight @ torch.from_numpy(ROOT)
    return MultivariateNormal(bias, root @ root.T + torch.diag(spread))


def gain_at(vae: er.VAE, examples: er.data.Examples) -> Tensor:
    """E_q [log q(z) − log p(z)] of these examples, exactly: what the best prior wins on them."""
    q, best = er.exact.LinearVAE(vae).encoder(examples), aggregate(vae)
    precision = torch.linalg.inv(best.covariance_matrix)
    off = q.mean - best.mean
    squares = (off @ precision * off).sum(-1) + (q.variance * precision.diagonal()).sum(-1)
    own = 0.5 * (q.mean.square() + q.variance).sum(-1)
    return own - 0.5 * (squares + best.covariance_matrix.logdet())


@pytest.mark.parametrize("kind", ["mixture", "flow", "two-stage"])
def test_a_refitted_prior_wins_the_divergence_of_the_aggregate_posterior(kind: str, monkeypatch) -> None:
    """To the nats that finite data lose, parameters / (2 · examples), and what a bound of two stages leaves."""
    monkeypatch.setattr("elbowroom.remedies._refit_prior._HIDDEN", (16,))
    monkeypatch.setattr("elbowroom.remedies._refit_prior._EPOCHS", 12)
    vae, rows = linear(), data()
    found = refit_prior(vae, rows, kind=kind, draws=8)
    exact = gain_at(vae, rows.validation).mean().item()
    normal = MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double())
    assert kl_divergence(aggregate(vae), normal) > 0.2
    allowed = 5 / len(rows.train) + {"mixture": 0.0, "flow": 0.04, "two-stage": 0.05}[kind]
    assert found.gain.mean == pytest.approx(exact, abs=allowed + 4 * found.gain.se_mc)
    assert list(found.vae.prior) == (["z", "z2"] if kind == "two-stage" else ["z"])
    for part in ("likelihood", "posterior.z"):
        before, after = vae.get_submodule(part).state_dict(), found.vae.get_submodule(part).state_dict()
        assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("kind", ["mixture", "flow"])
def test_what_a_refitted_prior_wins_does_not_hang_on_the_scale_of_z(kind: str) -> None:
    """z, its q and its prior, twice too wide, a thousand times smaller or larger: one model in other units."""
    won = []
    for unit in (1e-3, 1.0, 1e3):
        encoder, decoder = nn.Linear(CELLS, 2 * LATENTS), nn.Linear(LATENTS, CELLS)
        torch.manual_seed(0)
        with torch.no_grad():
            weight = torch.randn(LATENTS, CELLS)
            encoder.weight.copy_(torch.cat([unit * weight, torch.zeros_like(weight)]))
            encoder.bias.copy_(torch.cat([torch.zeros(LATENTS), torch.full((LATENTS,), math.log(0.3 * unit))]))
            decoder.weight.copy_(weight.T / unit)
            decoder.bias.zero_()
        q = er.posteriors.DiagonalNormal(encoder, LATENTS, spread="exp", floor=0.0)
        prior = er.priors.FixedNormal(LATENTS, mean=0.0, std=6 * unit)
        vae = er.VAE(prior, q, er.likelihoods.Normal(decoder, CELLS, scale=SIGMA))
        won.append(refit_prior(vae, data(), kind=kind, draws=8).gain.mean)  # type: ignore[arg-type]
    assert won[1] > 0.3
    assert won == pytest.approx([won[1]] * 3, abs=0.02)


def test_a_mixture_finds_the_clusters_that_a_normal_cannot_hold() -> None:
    """z in two far clusters, q narrow: the best prior wins their density against N(0, I), by quadrature."""
    centres = np.array([-3.0, 3.0])
    x = centres[np.random.default_rng(3).integers(2, size=1_200)] + 0.3 * np.random.default_rng(4).normal(size=1_200)
    rows = er.load_data(x[:, None], validation=400, test=10, preprocess="none")
    encoder = nn.Linear(1, 2)
    with torch.no_grad():
        encoder.weight.copy_(torch.tensor([[1.0], [0.0]]))
        encoder.bias.copy_(torch.tensor([0.0, math.log(math.expm1(0.04 - 1e-5))]))
    q = er.posteriors.DiagonalNormal(encoder, 1)
    vae = er.VAE(er.priors.StandardNormal(1), q, er.likelihoods.Normal(nn.Linear(1, 1), 1, scale=1.0))
    found = refit_prior(vae, rows, draws=8)
    z = torch.linspace(-6, 6, 4_001, dtype=torch.float64)
    variance = 0.3**2 + 0.04
    density = torch.exp(-0.5 * (z[:, None] - torch.from_numpy(centres)) ** 2 / variance).mean(1)
    density = density / math.sqrt(2 * math.pi * variance)
    ratio = density.clamp_min(1e-300).log() + 0.5 * z**2 + 0.5 * math.log(2 * math.pi)
    exact = torch.trapezoid(density * ratio, z).item()
    assert found.gain.mean == pytest.approx(exact, abs=0.02 + 4 * found.gain.se_total)
    assert found.pays
    assert found.name in str(found)


@pytest.mark.parametrize("kind", ["encoder", "flow"])
def test_refined_inference_reaches_the_best_encoder(kind: str) -> None:
    """The best diagonal q of a linear model is known; a flow may win what its family leaves, and no more."""
    vae, rows = linear(spread=1.0), data(900)
    found = refine_inference(
        vae, rows, kind=kind, epochs=40 if kind == "encoder" else 12, lr=2e-2, batch_size=50, draws=16, transforms=2
    )
    exact = er.exact.LinearVAE(vae)
    log_p, posterior = exact.log_prob(rows.validation).mean().item(), exact.posterior(rows.validation)
    precisions = torch.linalg.inv(posterior.covariance_matrix).diagonal(dim1=-2, dim2=-1)
    family = 0.5 * (precisions.log().sum(-1) + posterior.covariance_matrix.logdet()).mean().item()
    best = log_p - family
    assert found.gain.mean > 0.5
    reached, error = found.elbo_after.mean, 0.02 + 4 * found.elbo_after.se_mc
    if kind == "encoder":
        assert reached == pytest.approx(best, abs=error)
    else:
        assert best - error < reached < log_p + error
    assert torch.equal(found.vae.likelihood.network.weight, vae.likelihood.network.weight)


def test_a_flow_begins_as_the_normal_that_it_takes_the_place_of() -> None:
    """At a learning rate of next to nothing no bound moves, whatever makes σ, and whatever the encoder reads."""
    rows = er.load_data("digits", preprocess="none")
    vae = er.models.build(
        {"latents": 2, "widths": [8], "posterior": {"kind": "diagonal-normal", "spread": "exp"}}, rows
    )
    rows = dataclasses.replace(rows, train=rows.train[:100], validation=rows.validation[:50])
    vae.posterior["z"].network.settle(rows.train.x)
    found = refine_inference(vae, rows, epochs=1, lr=1e-12, draws=2)
    # The KL of the one is closed and of the other sampled.
    before = er.evidence.elbo(vae, rows.validation, draws=2, kl="sampled")
    assert found.elbo_after.values == pytest.approx(before.values, abs=2e-3)


def test_what_is_made_is_saved_and_read_again(tmp_path: Path) -> None:
    rows = data(150)
    vae = er.models.build({"latents": 2, "widths": [4], "likelihood": {"kind": "normal", "scale": 0.5}}, rows)
    first = refit_prior(vae, rows, kind="mixture", draws=2)
    second = refine_inference(first.vae, rows, epochs=1, draws=2, transforms=1)
    again = load_model(save_model(second.vae, tmp_path / "model"))
    assert er.evidence.elbo(again, rows.validation).mean == er.evidence.elbo(second.vae, rows.validation).mean


def test_a_remedy_goes_by_its_seed_and_leaves_the_model_as_it_was() -> None:
    vae, rows = linear(), data(150)
    state = {name: value.clone() for name, value in vae.state_dict().items()}
    for remedy in (refit_prior, lambda *what, **how: refine_inference(*what, epochs=1, **how)):
        means = [remedy(vae, rows, draws=2, seed=seed).elbo_after.mean for seed in (3, 3, 4)]
        assert means[0] == means[1] != means[2]
    assert all(torch.equal(value, state[name]) for name, value in vae.state_dict().items())


def test_missing_cells_are_left_to_the_encoder() -> None:
    rows = data(300, gaps=True)
    vae = er.models.build({"latents": 2, "widths": [4], "likelihood": {"kind": "normal", "scale": 1.0}}, rows)
    assert refit_prior(vae, rows, draws=4).elbo_after.quantity == "log p(x_seen)"
    assert refine_inference(vae, rows, epochs=1, draws=4).elbo_after.quantity == "log p(x_seen)"


def classes() -> er.VAE:
    q = er.posteriors.Categorical(nn.Linear(CELLS, 3), 3)
    return er.VAE(er.priors.Categorical(3), q, er.likelihoods.Normal(nn.Linear(3, CELLS), CELLS, scale=1.0))


def two_blocks(*, chained: bool) -> er.VAE:
    q = {"a": er.posteriors.DiagonalNormal(nn.Linear(CELLS, 2), 1)}
    q["b"] = er.posteriors.DiagonalNormal(nn.Linear(1, 2), 1, given=("a",))
    p = {"a": er.priors.StandardNormal(1), "b": er.priors.StandardNormal(1)}
    if chained:
        p["a"] = er.priors.Normal(1, network=nn.Linear(1, 2), given=("b",))
    return er.VAE(p, q, er.likelihoods.Normal(nn.Linear(1, CELLS), CELLS, scale=1.0, given=("a",)))


def vamp() -> er.VAE:
    q = er.posteriors.DiagonalNormal(nn.Linear(CELLS, 4), 2)
    return er.VAE(er.priors.Vamp(q, CELLS, pseudo_inputs=3), q, er.likelihoods.Normal(nn.Linear(2, CELLS), CELLS))


def test_of_layers_the_top_ones_prior_is_refitted() -> None:
    vae, rows = two_blocks(chained=True), data(150)
    found = refit_prior(vae, rows, draws=4)
    assert type(found.vae.prior["b"]) is er.priors.Mixture
    assert type(found.vae.prior["a"]) is er.priors.Normal


@pytest.mark.parametrize(
    ("vae", "remedy", "options", "said"),
    [
        (classes, refit_prior, {}, "over real numbers, and block 'z' is over classes"),
        (lambda: two_blocks(chained=False), refit_prior, {}, "here these read nothing: a, b"),
        (classes, refine_inference, {}, "this q is Categorical: take kind='encoder'"),
        (vamp, refine_inference, {}, "p and the encoder share weights"),
    ],
)
def test_what_a_remedy_is_not_for_it_refuses_in_a_sentence(vae, remedy, options, said: str) -> None:
    with pytest.raises(er.CapabilityError, match=said) as refused:
        remedy(vae(), data(150), draws=2, **options)
    assert str(refused.value).count(". ") == 0


@pytest.mark.parametrize(
    ("remedy", "options"),
    [
        (refit_prior, {"kind": "normal"}),
        (refit_prior, {"components": 0}),
        (refit_prior, {"kind": "flow", "components": 3}),
        (refine_inference, {"kind": "semi"}),
        (refine_inference, {"epochs": 0}),
        (refine_inference, {"seconds": 0.0}),
        (refine_inference, {"flow": "glow"}),
    ],
)
def test_settings_out_of_range_are_refused(remedy, options) -> None:
    with pytest.raises(er.InputError):
        remedy(linear(), data(150), **options)
