"""A q of its own for each example: against the optimum of linear models, and what it is refused for."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import elbowroom as er
from elbowroom.networks import PerExample
from elbowroom.numerics import Batch
from elbowroom.remedies import refine
from elbowroom.vae import load_model, save_model


def linear_vae(family: str = "diagonal", latents: int = 2) -> er.VAE:
    torch.manual_seed(3)
    numbers = 2 * latents if family == "diagonal" else latents + latents * (latents + 1) // 2
    kind = er.posteriors.DiagonalNormal if family == "diagonal" else er.posteriors.FullNormal
    likelihood = er.likelihoods.Normal(nn.Linear(latents, 3), 3, scale=0.5)
    return er.VAE(er.priors.StandardNormal(latents), kind(nn.Linear(3, numbers), latents), likelihood).double()


def examples(n: int, seed: int = 1) -> Batch:
    x = torch.randn(n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Batch(x, 10 * torch.randperm(n, generator=torch.Generator().manual_seed(2)))


@pytest.mark.parametrize("family", ["diagonal", "full"])
def test_its_optimum_is_the_best_normal_of_a_linear_model(family: str) -> None:
    """A full q is the exact posterior; the best diagonal one has its mean and the inverse of its precisions."""
    vae, batch = linear_vae(family), examples(4)
    diagonal = linear_vae("diagonal")
    diagonal.likelihood = vae.likelihood
    oracle = er.exact.LinearVAE(diagonal)
    exact, log_p = oracle.posterior(batch), oracle.log_prob(batch).mean().item()
    found = refine(vae, batch, steps=120, lr=0.2, refine_draws=32, draws=400)
    q = found.vae.posterior["z"]({"index": batch.index[None]})
    precisions = torch.linalg.inv(exact.covariance_matrix).diagonal(dim1=-2, dim2=-1)
    variance = 1 / precisions if family == "diagonal" else exact.variance
    assert ((q.mean[0] - exact.mean).abs() / exact.variance.sqrt()).max() < 0.12  # less than 0.01 nats
    assert (q.variance[0] / variance).log().abs().max() < 0.12
    lost = 0.5 * (precisions.log().sum(-1) + exact.covariance_matrix.logdet()).mean().item()
    best = log_p - (lost if family == "diagonal" else 0.0)
    assert found.elbo_after.mean == pytest.approx(best, abs=0.01 + 4 * found.elbo_after.se_mc)
    if family == "diagonal":
        assert lost > 0.05
        wanted = best - er.exact.LinearVAE(vae).elbo(batch).mean().item()
        assert found.amortisation_gap.mean == pytest.approx(wanted, abs=0.01 + 4 * found.amortisation_gap.se_mc)


@pytest.mark.parametrize("scale", [1e-3, 1e3])
@pytest.mark.parametrize(
    ("noise", "off", "width"),
    [
        (0.7, 0.0, 1.0), (0.7, 3.0, 1.0), (0.02, 0.6, 1.0), (7e-4, 0.0, 1.0), (7e-4, 0.6, 1.0), (7e-4, 30.0, 1.0),
        (0.7, 2.0, 0.05), (0.02, 10.0, 0.05), (0.02, 0.6, 8.0),
    ],
)  # fmt: skip
def test_what_an_encoder_loses_is_found_at_every_scale(scale: float, noise: float, off: float, width: float) -> None:
    """Orthogonal columns: the posterior is a diagonal normal; a mean k deviations off loses k² / 2 nats, and q wider or
    narrower than it by a factor the divergence of the two.
    """
    rng = np.random.default_rng(0)
    weight = np.linalg.qr(rng.normal(size=(8, 6)))[0] * np.linspace(1, 2, 6)
    deviation = 1 / np.sqrt(1 + (weight**2).sum(0) / noise**2)
    encoder, decoder = nn.Linear(8, 12).double(), nn.Linear(6, 8).double()
    with torch.no_grad():
        decoder.weight.copy_(torch.tensor(weight / scale))
        decoder.bias.zero_()
        encoder.weight.copy_(torch.tensor(np.vstack([scale * (deviation**2 * weight / noise**2).T, np.zeros((6, 8))])))
        encoder.bias.copy_(torch.tensor(np.r_[off * scale * deviation, np.log(width * scale * deviation)]))
    q = er.posteriors.DiagonalNormal(encoder, 6, spread="exp", floor=0.0)
    prior = er.priors.FixedNormal(6, mean=0.0, std=scale)
    vae = er.VAE(prior, q, er.likelihoods.Normal(decoder, 8, scale=noise)).double()
    x = rng.normal(size=(20, 6)) @ weight.T + noise * rng.normal(size=(20, 8))
    gap = refine(vae, x, steps=300, draws=200).amortisation_gap
    lost = 6 * (off**2 + width**2 - 1 - math.log(width**2)) / 2
    assert gap.mean == pytest.approx(lost, abs=0.05 + 0.03 * off + 4 * gap.se_mc)
    assert gap.values.min() > -0.1


def test_p_is_as_it_was_and_the_model_too() -> None:
    vae, batch = linear_vae(), examples(5)
    state = {name: value.clone() for name, value in vae.state_dict().items()}
    found = refine(vae, batch, steps=3, draws=4)
    assert all(torch.equal(value, state[name]) for name, value in vae.state_dict().items())
    for name, value in found.vae.likelihood.state_dict().items():
        assert torch.equal(value, vae.likelihood.state_dict()[name])
    assert all(p.requires_grad for p in found.vae.parameters())
    assert "by amortisation" in str(found)


def test_where_it_starts_q_is_the_encoders_whatever_the_order_of_rows() -> None:
    vae, batch = linear_vae(), examples(6)
    found = refine(vae, batch, steps=1, lr=1e-12, draws=4)
    assert found.elbo_after.values == pytest.approx(found.elbo_before.values, abs=1e-9)
    few = batch.rows(torch.tensor([4, 0]))
    torch.testing.assert_close(found.vae.encode(few)["z"], vae.encode(few)["z"], atol=1e-9, rtol=0)
    assert er.evidence.elbo(found.vae, few, draws=4).mean == pytest.approx(er.evidence.elbo(vae, few, draws=4).mean)


def test_evidence_and_files_take_the_refined_model(tmp_path: Path) -> None:
    vae, batch = linear_vae("full"), examples(4)
    log_p = er.exact.LinearVAE(_diagonal(vae)).log_prob(batch).mean().item()
    found = refine(vae, batch, steps=300, lr=0.1)
    assert er.evidence.iwae(found.vae, batch, draws=64).mean == pytest.approx(log_p, abs=0.01)
    z = torch.zeros(1, 4, 2, dtype=torch.float64)
    exact = er.exact.LinearVAE(_diagonal(vae)).posterior(batch).log_prob(z)
    torch.testing.assert_close(
        found.vae.target(batch).log_posterior(z), exact, atol=0.6, rtol=0
    )  # three deviations out
    save_model(found.vae, tmp_path / "model")
    read = load_model(tmp_path / "model", modules={"decoder": nn.Linear(2, 3)})
    assert er.evidence.elbo(read, batch).mean == er.evidence.elbo(found.vae, batch).mean


def _diagonal(vae: er.VAE) -> er.VAE:
    """The same p with a q that the oracle reads."""
    other = linear_vae("diagonal")
    other.likelihood = vae.likelihood
    return other


def test_q_is_refined_for_the_x_that_is_measured() -> None:
    """Levels are dequantised by the noise of the seed, at which the bound is taken."""
    levels = np.random.default_rng(0).integers(0, 4, size=(60, 3)).astype(np.uint8)
    data = er.load_data(levels, support="grid", validation=20, test=20)
    vae = er.models.build({"latents": 1, "widths": [4], "likelihood": {"kind": "normal", "scale": 0.3}}, data)
    assert vae.preprocess.noise_shape is not None
    found = refine(vae, data.test[:8], steps=40, seed=5)
    assert found.amortisation_gap.mean > 4 * found.amortisation_gap.se_mc
    seen = er.evidence.elbo(found.vae, data.test[:8], draws=64, seed=5).mean
    assert seen == found.elbo_after.mean
    assert seen > er.evidence.elbo(found.vae, data.test[:8], draws=64, seed=6).mean


def test_rows_that_have_no_numbers_are_refused_with_the_way_out() -> None:
    vae, batch = linear_vae(), examples(4)
    refined = refine(vae, batch, steps=1, draws=2).vae
    other = Batch(batch.x, batch.index + 1)
    for ask in (refined.encode, refined.target, lambda rows: er.evidence.elbo(refined, rows, draws=2)):
        with pytest.raises(er.InputError, match=r"for 4 examples.*not among them: refine the encoder for these rows"):
            ask(other)
    with pytest.raises(er.InputError, match="stands twice"):
        refine(vae, batch.rows(torch.tensor([0, 0])), steps=1, draws=2)
    data = er.load_data(batch.x.repeat(10, 1).numpy(), validation=10, test=10, preprocess="none")
    train = refine(linear_vae().float(), data.train, steps=1, draws=2).vae
    with pytest.raises(er.InputError, match="not among them"):
        er.fit(train, data, epochs=1, progress=False)


def test_only_q_may_know_which_example_it_is() -> None:
    table = PerExample(4, 4)
    q = er.posteriors.DiagonalNormal(table, 2, given=("index",))
    with pytest.raises(er.InputError, match="names 'index' in given"):
        er.VAE(er.priors.Normal(2, network=table, given=("index",)), q, er.likelihoods.Normal(nn.Linear(2, 3), 3))
    vae = er.VAE(er.priors.StandardNormal(2), q, er.likelihoods.Normal(nn.Linear(2, 3), 3))
    assert vae.context_names == ()
    named = Batch(torch.zeros(2, 3), torch.arange(2), context={"index": torch.zeros(2, 1)})
    with pytest.raises(er.InputError, match="cannot be called 'index'"):
        vae.encode(named)


def test_a_block_that_reads_another_has_nothing_to_refine() -> None:
    q = {"a": er.posteriors.DiagonalNormal(nn.Linear(3, 2), 1)}
    q["b"] = er.posteriors.DiagonalNormal(nn.Linear(1, 2), 1, given=("a",))
    vae = er.VAE(
        {name: er.priors.StandardNormal(1) for name in q}, q, er.likelihoods.Normal(nn.Linear(1, 3), 3, given=("b",))
    )
    with pytest.raises(er.CapabilityError, match="Block 'b' of the posterior has no numbers of its own"):
        refine(vae, torch.zeros(2, 3), steps=1)


def test_settings_out_of_range_are_refused() -> None:
    for wrong in ({"steps": 0}, {"draws": 0}, {"refine_draws": 0}, {"lr": 0.0}):
        with pytest.raises(er.InputError, match="refine needs"):
            refine(linear_vae(), examples(2), **wrong)
    with pytest.raises(er.InputError, match="one example and one number or more"):
        PerExample(0, 2)
