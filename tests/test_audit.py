"""The audit: every number against its exact value on linear models, and models built to fool it."""

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence

import elbowroom as er
from elbowroom.ledger._context import ContextBudget, _collapse, context
from elbowroom.ledger._identity import _best_q, _Search
from elbowroom.ledger.aggregate import AggregateBudget, _interval, aggregate, chosen
from elbowroom.ledger.budgets import QUICK
from elbowroom.ledger.prices import PriceBudget, prices
from elbowroom.numerics import Estimate
from elbowroom.records import AuditRecord, IdentityRecord, InformationRecord, Number, PriceRecord
from elbowroom.training.placement import multiplications

D, LATENTS, NOISE = 4, 2, 0.6
WEIGHTS = torch.tensor([[1.2, 0.5], [0.8, -0.4], [0.3, 0.9], [0.6, 0.7]], dtype=torch.float64)  # no orthogonal columns


def simulated(weights: Tensor = WEIGHTS, n: int = 3_000) -> er.data.Dataset:
    """Rows of the linear model with these weights."""
    generator = torch.Generator().manual_seed(5)
    z = torch.randn(n, LATENTS, generator=generator, dtype=torch.float64)
    x = z @ weights.T + NOISE * torch.randn(n, D, generator=generator, dtype=torch.float64)
    return er.load_data(x.numpy(), name="linear", validation=500, test=1_000)


def linear_vae(weights: Tensor, *, mean: Tensor, spread: Tensor, scale: float = NOISE) -> er.VAE:
    """p of these weights, and q(z | x) = N(mean · x, spread²)."""
    encoder, decoder = nn.Linear(D, 2 * LATENTS), nn.Linear(LATENTS, D)
    posterior = er.posteriors.DiagonalNormal(encoder, LATENTS)
    vae = er.VAE(er.priors.StandardNormal(LATENTS), posterior, er.likelihoods.Normal(decoder, D, scale=scale)).double()
    with torch.no_grad():
        for linear in (encoder, decoder):
            linear.weight.zero_()
            linear.bias.zero_()
        decoder.weight.copy_(weights)
        encoder.weight[:LATENTS] = mean
        encoder.bias[LATENTS:] = spread.square().expm1().log()  # what softplus undoes
    return vae


def best_encoder(weights: Tensor) -> tuple[Tensor, Tensor]:
    mean, variances = er.exact.optimal_encoder(weights, NOISE**2)
    return mean, variances.sqrt()


MEAN, SPREAD = best_encoder(WEIGHTS)
SMALL = ContextBudget(200, 4, 100, 0, AggregateBudget(200, 100, 50, 100, 10**6, 1))
LAZY = linear_vae(WEIGHTS, mean=0.5 * MEAN, spread=0.6 * SPREAD)
"""An encoder that loses something in mean and spread."""


@pytest.fixture(scope="module")
def data() -> er.data.Dataset:
    return simulated()


@pytest.fixture(scope="module")
def audit(data: er.data.Dataset) -> AuditRecord:
    return er.audit(LAZY, data, quick=True, progress=False)


def near(found: Any, exact: float, floor: float = 1e-6) -> bool:
    """Whether an estimate or a number is within 4 standard errors of the exact value."""
    value, error = (found.value, found.se) if hasattr(found, "se") else (found.mean, found.se_mc)
    return abs(value - exact) < 4 * error + floor


def test_identity_is_exact_on_linear_models(audit: AuditRecord, data: er.data.Dataset) -> None:
    oracle, rows = er.exact.LinearVAE(LAZY), chosen(data.test, 20, 0)
    log_p, elbo = oracle.log_prob(rows).mean().item(), oracle.elbo(rows).mean().item()
    covariance = oracle.posterior(rows).covariance_matrix[0]
    lost = 0.5 * (torch.linalg.inv(covariance).diagonal().log().sum() + covariance.logdet()).item()
    assert lost > 0.03
    one = audit.identity
    assert near(one.log_p, log_p)
    assert near(one.elbo, elbo)
    assert near(one.total, log_p - elbo)
    unfound = 0.02  # nats that the search may leave
    assert near(one.approximation, lost, unfound)
    assert near(one.amortisation, log_p - lost - elbo, unfound)
    assert near(one.refined, log_p - lost, unfound)


def test_parts_add_up_by_example(audit: AuditRecord) -> None:
    one = audit.identity
    np.testing.assert_allclose(one.approximation.values + one.amortisation.values, one.total.values, atol=1e-9)
    assert np.array_equal(one.approximation.index, one.total.index)


def test_context_is_exact_on_linear_models(audit: AuditRecord, data: er.data.Dataset) -> None:
    oracle, beside = er.exact.LinearVAE(LAZY), audit.context
    rows = chosen(data.test, 1_000, 0)
    assert near(beside.elbo, oracle.elbo(rows).mean().item())
    assert beside.rate.mean == pytest.approx(oracle.rate(rows).mean().item(), abs=1e-9)
    assert near(beside.distortion, oracle.distortion(rows).mean().item())
    train = oracle.elbo(chosen(data.train, 1_000, 0)).mean().item()
    assert near(beside.generalisation, train - oracle.elbo(rows).mean().item(), 0.05)
    some = chosen(data.test, 500, 0)
    q = oracle.encoder(some).base_dist
    units = kl_divergence(q, Normal(torch.zeros_like(q.loc), 1.0))
    np.testing.assert_allclose(beside.latents.kl, units.mean(0), atol=1e-9)
    below = [(units < epsilon).double().mean(0) >= 1 - beside.collapse.delta for epsilon in beside.collapse.epsilon]
    assert beside.collapse.share == tuple(one.double().mean().item() for one in below)


def test_prior_gap_and_information_hold_the_exact_values(audit: AuditRecord) -> None:
    """q(z) is a Gaussian, whose KL to the prior is closed."""
    encoder = LAZY.posterior["z"].network.weight[:LATENTS].detach()
    of_x = WEIGHTS @ WEIGHTS.T + NOISE**2 * torch.eye(D, dtype=torch.float64)
    of_z = encoder @ of_x @ encoder.T + (0.6 * SPREAD).square().diag()
    zero = torch.zeros(LATENTS, dtype=torch.float64)
    exact = kl_divergence(MultivariateNormal(zero, of_z), MultivariateNormal(zero, torch.eye(2).double())).item()
    gap, information = audit.context.prior_gap, audit.context.information
    assert exact > 0.3
    assert gap.low.value - 4 * gap.low.se < exact < gap.high.value + 4 * gap.high.se
    assert gap.high.value - gap.low.value < 0.1
    assert near(information.value, audit.context.rate.mean - exact, 0.02)
    assert information.ceiling == math.log(1_000)


def test_no_prior_gap_lies_inside_its_interval() -> None:
    """With the exact posterior as q and data of the model, q(z) is p(z)."""
    weights = torch.linalg.qr(WEIGHTS)[0] * torch.tensor([1.5, 1.0], dtype=torch.float64)
    mean, spread = best_encoder(weights)
    vae, budget = linear_vae(weights, mean=mean, spread=spread), AggregateBudget(1_000, 500, 500, 1_000, 10**7, 4)
    gap = aggregate(vae, simulated(weights), budget, seed=0).gap
    assert 0 <= gap.low.value < 4 * gap.low.se + 1e-3
    assert -4 * gap.high.se < gap.high.value < 0.1


def test_a_saturated_estimate_gives_no_upper_end() -> None:
    """Once z tells every example apart, the rate minus log n bounds nothing that matters."""
    vae = linear_vae(WEIGHTS, mean=MEAN, spread=SPREAD / 1_000)
    budget = AggregateBudget(400, 200, 100, 200, 10**7, 2)
    gap, information = aggregate(vae, simulated(n=2_500), budget, seed=0)
    assert gap.high is None
    assert "only the lower end informs" in gap.sentence
    assert information.value.value == pytest.approx(math.log(200), abs=0.1)


def test_calibrate_is_priced_by_its_exact_gain(data: er.data.Dataset) -> None:
    vae = linear_vae(WEIGHTS, mean=MEAN, spread=SPREAD, scale=1.5)
    (price, *others), missing = prices(
        vae, data, PriceBudget(1_000, 100, 500, 8, components=1, steps=0), seed=0, memory="64 MiB"
    )
    after = er.remedies.calibrate(vae, data, draws=1).vae.likelihood.scale
    rows = chosen(data.test, price.n, 0)
    oracles = [er.exact.LinearVAE(linear_vae(WEIGHTS, mean=MEAN, spread=SPREAD, scale=s)) for s in (1.5, after)]
    before, exact = (oracle.elbo(rows).mean().item() for oracle in oracles)
    assert exact - before > 0.5
    assert near(price.gain, exact - before, 0.05)
    assert price.rate == Number(0.0, 0.0)  # q is the same, and the prior
    assert price.distortion.value == pytest.approx(-price.gain.value, abs=1e-9)
    assert price.remedy == "calibrate"
    assert price.sentence.startswith("calibrate (noise scale 0.5")
    assert [one.remedy for one in others] == ["structured_residual", "refit_prior"]
    assert missing == ["The price of refine_inference: left out of this audit, for want of time."]


def test_the_other_end_of_log_p_is_there_where_it_is_asked_for(data: er.data.Dataset) -> None:
    rows = chosen(data.test, 3, 0)
    found = er.ledger.identity(LAZY, rows, temperatures=10, chains=4, leapfrog=2, steps=20, draws=16, both_ends=True)
    assert found.upper.direction == "upper if mixed"
    assert near(found.upper, er.exact.LinearVAE(LAZY).log_prob(rows).mean().item(), 0.02)
    assert "if the chains have mixed" in found.sentences[1]


def test_a_dear_model_is_audited_with_less(data: er.data.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is cut follows from the size of a pass; what is left is still of the exact values."""
    size = multiplications(LAZY, data, 1)
    assert size == 2 * LATENTS * D + LATENTS * D
    monkeypatch.setattr("elbowroom.ledger._audit.QUICK", QUICK._replace(pass_size=size / 30))
    found = er.audit(LAZY, data, quick=True, progress=False)
    oracle, rows = er.exact.LinearVAE(LAZY), chosen(data.test, 8, 0)
    assert found.n == 8
    assert found.identity.log_p.estimator.startswith("IWAE-")
    assert near(found.identity.elbo, oracle.elbo(rows).mean().item())
    assert near(found.identity.log_p, oracle.log_prob(rows).mean().item(), 0.05)
    assert found.context.elbo.n < 300
    assert near(found.context.elbo, oracle.elbo(chosen(data.test, found.context.elbo.n, 0)).mean().item())
    assert "inference lagging" in [one.name for one in found.findings]
    for said in ("Precision: A pass", "Annealing: A pass", "Not looked for, overconfident encoder: Annealing"):
        assert any(one.startswith(said) for one in found.missing), said


def test_of_a_model_beyond_all_budgets_bounds_and_prices_are_left(
    data: er.data.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("elbowroom.ledger._audit.QUICK", QUICK._replace(pass_size=0.01))
    found = er.audit(LAZY, data, quick=True, progress=False)
    assert (found.identity, found.findings, found.n) == (None, (), 8)
    assert found.verdict.startswith("No verdict")
    assert found.context.elbo.n < 30
    assert "calibrate" in [one.remedy for one in found.prices]
    assert any(one.startswith("Identity and verdict: A pass of one example") for one in found.missing)
    assert f"{found.context.elbo.n} examples" in found.certified


class _Square(nn.Module):
    def forward(self, z: Tensor) -> Tensor:
        return z.square() * 1.5


class _OneMode(nn.Module):
    """√(x / 1.5) where the square alone is seen, and a spread that is too small by a factor."""

    def __init__(self, narrow: float) -> None:
        super().__init__()
        self.narrow = narrow

    def forward(self, x: Tensor) -> Tensor:
        at = (x.clamp_min(0.3) / 1.5).sqrt()
        spread = 0.3 / (3 * at) / self.narrow
        return torch.cat([at, spread.square().expm1().log()], -1)


def test_two_modes_and_q_on_one_and_too_narrow() -> None:
    """Half of the posterior is missed by every Gaussian; what the spread loses is the encoder's."""
    x = (torch.randn(300, 1, generator=torch.Generator().manual_seed(0)).double().abs() + 1).square() * 1.5
    data = er.load_data(x.numpy(), name="squares", validation=50, test=50)
    posterior = er.posteriors.DiagonalNormal(_OneMode(20.0), 1)
    likelihood = er.likelihoods.Normal(_Square(), 1, scale=0.3)
    vae = er.VAE(er.priors.StandardNormal(1), posterior, likelihood).double()
    rows = chosen(data.test, 4, 0)
    exact = er.exact.log_evidence_by_quadrature(vae, rows, nodes=2_001, reach=8.0)
    found = er.ledger.identity(vae, rows, temperatures=15, chains=6, steps=150, draws=128)
    assert near(found.log_p, exact.mean, 0.01)
    assert near(found.approximation, math.log(2), 0.05)
    q = posterior({"x": rows.x.unsqueeze(0)})
    share = q.variance / (0.3 / (3 * q.mean)).square()  # of the variance of the mode; 1/400, and the floor of q
    assert near(found.amortisation, 0.5 * (share - 1 - share.log()).mean().item(), 0.05)


def test_layers_that_read_one_another_have_the_sum_alone() -> None:
    data = simulated(n=2_500)
    vae, rows = er.models.build({"latents": [2, 1], "widths": [4]}, data), data.test[:5]
    start, refined, half = _best_q(vae, rows, _Search(10, 8, 8, 0), lambda one: er.evidence.elbo(one, rows), False)
    assert (start, refined, half) == (vae, None, None)
    one = IdentityRecord(*(kind(vae, rows, draws=64) for kind in (er.evidence.iwae, er.evidence.elbo)))
    assert (one.approximation, one.amortisation, one.still_won) == (None, None, None)
    assert one.total.mean > 0
    record = AuditRecord("log p(x)", 5, "layers", "", 0, one)
    assert list(record.to_frame()["item"]) == ["log p(x)", "ELBO", "gap"]
    assert AuditRecord.from_dict(record.to_dict()).identity.approximation is None


def test_classes_have_what_needs_no_density_on_the_line() -> None:
    """A pass sums classes out, so that log p(x) is exact; the best q(y | x) is the posterior and loses nothing."""
    data = simulated(n=2_500)
    torch.manual_seed(0)
    posterior, decoder = er.posteriors.Categorical(nn.Linear(D, 3), 3), nn.Linear(3, D)
    vae = er.VAE(er.priors.Categorical(3), posterior, er.likelihoods.Normal(decoder, D, scale=1.0))
    rows = data.test[:10]
    one = er.ledger.identity(vae, rows, steps=200, draws=2)
    log_joint = torch.stack(
        [Normal(decoder.weight[:, k] + decoder.bias, 1.0).log_prob(rows.x.float()).sum(-1) for k in range(3)]
    ) - math.log(3)
    assert one.log_p.mean == pytest.approx(log_joint.logsumexp(0).mean().item(), abs=1e-4)
    assert one.approximation.mean == pytest.approx(0.0, abs=0.01)
    assert one.amortisation.mean > 0.1
    found, missing = context(vae, data, SMALL, seed=0, memory="64 MiB", progress=False)
    assert found.prior_gap is None
    assert found.elbo.mean < 0
    assert missing[0].startswith("The prior gap and I(x; z): block 'z' is over classes, and the densities")


def test_a_decoder_that_needs_no_z_has_no_gap_and_every_unit_is_collapsed() -> None:
    """With q = p(z) and pixels that are told by their neighbours alone, every bound is log p(x)."""
    torch.manual_seed(0)
    bits = (torch.rand(400, 16) < 0.3).float()
    data = er.load_data(bits.numpy(), name="bits", validation=100, test=200)
    deaf, prior = nn.Linear(2, 16), nn.Linear(16, 4)
    likelihood = er.likelihoods.Autoregressive(deaf, er.likelihoods.Bernoulli(None, 16), image_shape=(4, 4), radius=1)
    for parameter in likelihood.parameters():
        nn.init.normal_(parameter)
    nn.init.zeros_(deaf.weight)
    nn.init.zeros_(prior.weight)
    prior.bias.data[:2], prior.bias.data[2:] = 0.0, math.log(math.e - 1)  # variance 1
    vae = er.VAE(er.priors.StandardNormal(2), er.posteriors.DiagonalNormal(prior, 2), likelihood)
    rows = chosen(data.test, 4, 0)
    with torch.no_grad():
        exact = likelihood({"z": torch.zeros(1, 4, 2)}).log_prob(rows.x[None])[0].double().numpy()
    one = er.ledger.identity(vae, rows, temperatures=4, chains=3, leapfrog=1, steps=4, draws=4)
    np.testing.assert_allclose(one.elbo.values, exact, atol=1e-3)
    np.testing.assert_allclose(one.log_p.values, exact, atol=0.01)
    found, missing = context(vae, data, SMALL, seed=0, memory="64 MiB", progress=False)
    assert found.rate.mean == pytest.approx(0.0, abs=1e-4)
    assert found.collapse.share[-1] == found.collapse.share[0] == 1.0
    assert found.latents.active == (False, False)
    assert found.information.value.value == pytest.approx(0.0, abs=1e-4)
    assert found.prior_gap.low.value < 0.1
    unit = "What each unit changes: Autoregressive has no mean; it offers: moments, stack."
    assert sorted(missing) == ["Samples against data: left out of a quick audit.", unit]


def test_samples_from_holes_in_the_prior_are_told_from_data() -> None:
    """q(z) is narrower than p(z) by half: what is decoded from p(z) is wider than the data, from q(z) it is not."""
    data, narrow = simulated(WEIGHTS / 2), linear_vae(WEIGHTS, mean=best_encoder(WEIGHTS / 2)[0] / 2, spread=SPREAD)
    found, _ = context(narrow, data, SMALL._replace(samples=500), seed=0, memory="64 MiB", progress=False)
    assert found.samples.prior.value > 3 * found.samples.prior.se
    assert found.samples.difference.value > 2 * found.samples.difference.se
    assert found.samples.difference.value == found.samples.prior.value - found.samples.posterior.value


def test_a_decoder_that_sees_x_is_no_model(data: er.data.Dataset) -> None:
    encoder = _Remembers()
    posterior = er.posteriors.DiagonalNormal(encoder, LATENTS)
    likelihood = er.likelihoods.Normal(_Recalls(encoder), D, scale=1.0)
    found = er.audit(er.VAE(er.priors.StandardNormal(LATENTS), posterior, likelihood), data, quick=True)
    assert found.ill == ("no bound",)
    assert found.findings[0].cause == "p reads x"
    assert found.identity is None
    assert "Nothing can be measured: p(x | z) changes by" in found.missing[0]


class _Remembers(nn.Module):
    last = torch.zeros(1, D)

    def forward(self, x: Tensor) -> Tensor:
        self.last = x
        return torch.zeros(len(x), 2 * LATENTS)


class _Recalls(nn.Module):
    def __init__(self, encoder: _Remembers) -> None:
        super().__init__()
        self.asked = [encoder]  # not a part of the decoder

    def forward(self, z: Tensor) -> Tensor:
        return self.asked[0].last[:1].expand(len(z), D)


def test_record_comes_back_from_json(audit: AuditRecord) -> None:
    plain = json.loads(json.dumps(audit.to_dict(), allow_nan=False))
    assert AuditRecord.from_dict(plain).to_dict() == plain
    assert set(plain) == set(AuditRecord.schema()["properties"])
    assert (audit.cells, audit.as_file) == (None, "")  # a density is no file's length
    with pytest.raises(er.InputError, match=r"no audit \(identity.log_p: .*make it again by er.audit"):
        AuditRecord.from_dict(plain | {"identity": {"elbo": plain["identity"]["elbo"]}})


def test_the_line_to_paste_says_what_was_measured(audit: AuditRecord, data: er.data.Dataset) -> None:
    """The gap of few examples on top of the ELBO of many is surer than log p(x) of the few."""
    oracle = er.exact.LinearVAE(LAZY)
    exact = oracle.log_prob(chosen(data.test, 1_000, 0)).mean().item()
    assert audit.log_p.se < audit.identity.log_p.se_total
    assert abs(audit.log_p.value - exact) < 4 * audit.identity.total.se_total
    for said in (data.sha256[:12], "AIS-50", "20 examples", "(draws)", "1,000 examples", "torch", "seed 0"):
        assert said in audit.certified
    frame = audit.to_frame().set_index("item")
    assert frame.loc["gap", "value"] == audit.identity.total.mean
    assert frame.loc["prior gap, at least", "value"] == audit.context.prior_gap.low.value


def test_what_units_change_is_what_a_linear_decoder_does(audit: AuditRecord, data: er.data.Dataset) -> None:
    """From one deviation below to one above is twice the deviation times the weights, whatever the example."""
    found, rows = audit.context.changes, chosen(data.test, 500, 0)
    q = er.exact.LinearVAE(LAZY).encoder(rows).base_dist
    exact = (q.loc.var(0) + q.variance.mean(0)).sqrt()
    deviation = rows.x.double().std(0, unbiased=False)
    assert found.n == 32
    assert found.pictures is None
    assert [one.unit for one in found.units] == np.argsort(audit.context.latents.kl)[::-1].tolist()
    for one in found.units:
        assert one.spread == pytest.approx(exact[one.unit].item(), rel=4 / math.sqrt(2 * 500))
        by = 2 * one.spread * WEIGHTS[:, one.unit] / deviation
        places = by.abs().argsort(descending=True)[:3]
        assert one.columns == tuple(str(place + 1) for place in places.tolist())
        np.testing.assert_allclose(one.changes, by[places], rtol=1e-5)
        assert one.size == pytest.approx(by.square().mean().sqrt().item(), rel=1e-5)


def test_pictures_of_a_unit_are_what_the_decoder_makes_of_it() -> None:
    x = torch.rand(200, 4, generator=torch.Generator().manual_seed(0)).numpy()
    images = er.load_data(x.reshape(-1, 2, 2), name="squares", validation=50, test=100)
    vae = linear_vae(WEIGHTS / 10, mean=MEAN, spread=SPREAD)
    found = context(vae, images, SMALL, seed=0, memory="64 MiB", progress=False)[0].changes
    rows, place = chosen(images.test, 100, 0), found.units[0].unit
    z = vae.encode(rows[:1])["z"].repeat(5, 1)
    z[:, place] += torch.tensor(found.pictures.steps) * found.units[0].spread
    mean, low, high = vae.likelihood({"z": z[None]}).mean[0], rows.x.min(), rows.x.max()
    grey = ((mean - low) / (high - low) * 255).round().clamp(0, 255)
    assert found.pictures.shape == (2, 5, 2, 2)
    np.testing.assert_allclose(found.pictures.values[0].reshape(5, 4), grey.detach(), atol=1)


def test_the_collapse_curve_of_dependent_units_is_that_of_their_moments(data: er.data.Dataset) -> None:
    """A full covariance has normal margins, whose KL is then exact; a flow's is bounded by what its draws say."""
    posterior = er.posteriors.FullNormal(nn.Linear(D, 5), LATENTS)
    vae = er.VAE(er.priors.StandardNormal(LATENTS), posterior, er.likelihoods.Normal(nn.Linear(LATENTS, D), D))
    rows = chosen(data.test, 100, 0)
    curve = _collapse(vae, rows, 0)
    q = posterior({"x": rows.x[None].float()})
    units = kl_divergence(Normal(q.mean[0], q.variance[0].sqrt()), Normal(0.0, 1.0)).detach()
    below = [((units < epsilon).double().mean(0) >= 0.99).double().mean().item() for epsilon in curve.epsilon]
    assert curve.by_moments
    assert 0 < sum(below) < len(below)
    assert curve.share == tuple(below)
    other = er.VAE(er.priors.Mixture(LATENTS, components=2), posterior, vae.likelihood)
    with pytest.raises(er.CapabilityError, match="p\\(z\\) is no normal"):
        _collapse(other, rows, 0)


def test_a_model_that_reads_a_label_gets_an_account_of_what_can_be_had_without(data: er.data.Dataset) -> None:
    posterior = er.posteriors.DiagonalNormal(nn.Linear(D, 2 * LATENTS), LATENTS)
    likelihood = er.likelihoods.Normal(nn.Bilinear(LATENTS, 3, D), D, given=("z", "kind"))
    vae = er.VAE(er.priors.StandardNormal(LATENTS), posterior, likelihood)
    found = er.audit(vae, data, quick=True, progress=False)
    assert (found.identity, found.context, found.findings, found.prices, found.n) == (None, None, (), (), 0)
    assert found.missing[0].startswith("Identity, verdict, context and prices: p(x | z) read 'kind', without which")
    assert found.missing[1].startswith("Still to be had: samples for a 'kind' that is named")
    assert vae.sample(3, context={"kind": torch.eye(3)}).shape == (3, D)
    assert AuditRecord.from_dict(found.to_dict()) == found


def _audit_of(gaps: Any, mc_variance: Any = 0.0) -> AuditRecord:
    common = {"quantity": "log p(x)", "estimator": "by hand", "direction": "lower"}
    log_p = Estimate.of(gaps, mc_variance, **common)
    bound = replace(log_p, values=0 * log_p.values, mc_variance=np.zeros(len(log_p)))
    return AuditRecord("log p(x)", len(gaps), "toy", "", 0, IdentityRecord(log_p, bound))


def test_how_surely_a_gap_is_known_goes_with_the_number_of_examples() -> None:
    """Of two examples 1.96 standard errors hold the mean in 70 of 100 cases, and Student's 12.7 in 95."""
    said = _audit_of([1.0, 3.0]).precision
    assert said == (
        "On 2 examples the gap to log p(x) is known to ± 13 nats (95 %), of which ± 0 would go with more draws."
    )
    assert "± 0.63 nats (95 %)" in _audit_of(np.arange(10) % 3).precision


def test_what_more_draws_would_win_is_a_part_of_the_whole() -> None:
    said = _audit_of([1.0, 1.1, 1.2], 9.0).precision
    assert "known to ± 0.25 nats (95 %), of which ± 0.25 would go" in said
    assert _audit_of([1.0, 1.1, 1.2], math.nan).precision.endswith("± 0.25 nats (95 %).")
    assert _audit_of([1.0]).precision == "On 1 example nothing says how surely the gap to log p(x) is known."


def test_a_price_is_sure_by_the_number_of_its_examples() -> None:
    prices = [PriceRecord("calibrate", Number(3.0, 1.0), n, 0.0, "") for n in (2, 3, 4, 100)]
    assert [one.sure for one in prices] == [False, False, False, True]
    assert PriceRecord("calibrate", Number(3.0, None), 2, 0.0, "").sure


def test_ends_of_the_prior_gap_that_cross_are_said_to() -> None:
    information = InformationRecord(Number(1.0, 0.1), 5.0, 150)
    ends = [(0.014, 0.0), (0.0, 0.014)]
    said = [
        _interval(Number(low, 0.01), Number(high, 0.01), information, "Gaussian", 20).sentence for low, high in ends
    ]
    assert ["The two ends cross, as their errors let them." in one for one in said] == [True, False]


def test_more_examples_than_there_are_is_refused() -> None:
    data = er.load_data(np.random.default_rng(0).normal(size=(60, 3)), name="few", validation=6, test=6)
    vae = er.models.build({"latents": 1, "widths": [4]}, data)
    with pytest.raises(er.InputError, match="There are 6 test examples, so n is at most that; got 99"):
        er.audit(vae, data, n=99, progress=False)
