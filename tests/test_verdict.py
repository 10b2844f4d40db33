"""The audit's verdict: symptoms against exact values of linear models, and findings as a pure function of them."""

import dataclasses
import inspect
import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

import elbowroom as er
from elbowroom import remedies
from elbowroom.ledger import (
    symptoms_of_fit,
    symptoms_of_noise,
    symptoms_of_posterior,
    symptoms_of_simulations,
    thresholds,
)
from elbowroom.ledger._context import context
from elbowroom.ledger.budgets import QUICK
from elbowroom.ledger.symptoms import Symptoms, _of_records, symptoms
from elbowroom.ledger.symptoms_budget import SymptomBudget
from elbowroom.ledger.verdict import verdict
from elbowroom.records import Number

SLOPE, SIGMA = 2.0, 0.5
VARIANCE = 1 / (1 + (SLOPE / SIGMA) ** 2)  # of the posterior, in both dimensions
SMALL = SymptomBudget(annealed=20, temperatures=10, chains=4, leapfrog=2, bounds=40, steps=10, draws=16)


def linear(narrow: float = 1.0) -> er.VAE:
    """x = (2 z₁, 2 z₂, 0) + noise of 0.5, with its exact posterior, or one whose spreads are too narrow."""
    vae = er.VAE(
        er.priors.StandardNormal(2),
        er.posteriors.DiagonalNormal(torch.nn.Linear(3, 4), 2, spread="exp", floor=0.0),
        er.likelihoods.Normal(torch.nn.Linear(2, 3), 3, scale=SIGMA),
    )
    encoder, decoder = vae.posterior["z"].network, vae.likelihood.network
    with torch.no_grad():
        for part in (encoder, decoder):
            part.weight.zero_(), part.bias.zero_()
        encoder.weight[:2, :2] = torch.eye(2) * VARIANCE * SLOPE / SIGMA**2
        encoder.bias[2:] = math.log(narrow * math.sqrt(VARIANCE))
        decoder.weight[:2] = torch.eye(2) * SLOPE
    return vae.eval()


@pytest.fixture(scope="module")
def data() -> er.data.Dataset:
    x = linear().sample(1500, seed=3).numpy()
    return er.load_data(x, preprocess="none", validation=300, test=600, progress=False)


def test_a_q_that_is_the_same_for_every_x_is_collapsed_however_far_from_the_prior(data):
    vae = linear()
    with torch.no_grad():
        vae.posterior["z"].network.weight.zero_()
        vae.posterior["z"].network.bias.copy_(torch.tensor([3.0, -3.0, math.log(0.1), math.log(0.1)]))
    budget = QUICK.context._replace(bounds=50, units=50, samples=0)
    beside = _of_records(None, context(vae, data, budget, seed=0, memory="1 GiB", progress=False)[0], {})
    known = {name: beside[name] for name in ("rate", "information")}
    (collapsed, *_), _ = verdict(Symptoms(**known, true_rate=Number(2.8, 0.1)))
    assert beside["rate"].value > 9
    assert (collapsed.name, collapsed.found, collapsed.cause) == ("collapsed", True, "inference lagging")
    assert collapsed.value.value == pytest.approx(0, abs=1e-9)


class _Size(torch.nn.Module):
    def forward(self, z):
        return z.abs()


class _OneSide(torch.nn.Module):
    """mean x and a log-deviation of log 0.1: one of the two modes of z under x = |z| + noise of 0.1."""

    def forward(self, x):
        return torch.cat([x, torch.full_like(x, math.log(0.1))], -1)


def test_intervals_of_a_q_on_one_of_two_modes_hold_half_of_the_posterior():
    """The best q stays on its mode too: chains from it alone would never see the other one."""
    q = er.posteriors.DiagonalNormal(_OneSide(), 1, spread="exp", floor=0.0)
    vae = er.VAE(er.priors.StandardNormal(1), q, er.likelihoods.Normal(_Size(), 1, scale=0.1)).eval()
    x, budget = torch.linspace(0.7, 2.5, 40)[:, None], SMALL._replace(temperatures=40, chains=8)
    best = remedies.refine(vae, x, steps=20).vae
    _, missed = symptoms_of_posterior.annealed_posterior(vae, best, er.numerics.as_rows(x), budget, None, 0, "1 GiB")
    grid = np.linspace(-5, 5, 20_001)
    density = norm.pdf(grid) * norm.pdf(x.numpy(), np.abs(grid), 0.1)
    inside = np.abs(grid - x.numpy()) < 0.1 * norm.ppf(0.95)
    exact = 90 - 100 * ((density * inside).sum(1) / density.sum(1)).mean()
    assert missed.value == pytest.approx(exact, abs=4 * missed.se + 1)
    assert exact > 40


def test_what_q_loses_is_not_held_against_p():
    """Gains at a q whose family loses more than they are, and of a classic over a bound that is known to be loose."""
    poor = Number(5.8, 0.03)
    gains = {"noise_gain": Number(0.31, 0.03), "residual_gain": Number(1.4, 0.1), "prior_gap": Number(1.5, 0.1)}
    plain, _ = verdict(Symptoms(**gains))
    assert [one.name for one in plain if one.found] == ["holes in the prior", "noise mis-scaled"]
    late, said = verdict(Symptoms(approximation=poor, **gains))
    assert not any(one.found for one in late)
    assert all("to be judged with a richer q, whose family loses 5.80" in one.sentence for one in late), said
    rich, _ = verdict(Symptoms(approximation=Number(0.3, 0.03), noise_gain=Number(0.9, 0.03)))
    assert rich[0].found
    loose = Symptoms(classic=Number(2.0, 0.05), classic_name="a Gaussian", looseness=Number(2.3, 0.1))
    (under,), _ = verdict(loose)
    assert not under.found
    assert "the bound that it is held against is 2.30 below log p(x)" in under.sentence
    assert verdict(dataclasses.replace(loose, looseness=Number(0.1, 0.1)))[0][0].found
    # an importance-weighted bound is no better for log p(x) by annealing that came out lower
    assert verdict(dataclasses.replace(loose, looseness=Number(-1.0, 0.1)))[0][0].value.value == 2.0


@pytest.mark.parametrize(("n", "found"), [(2, False), (3, False), (8, True), (None, True)])
def test_of_few_examples_more_errors_are_needed(n: int | None, found: bool):
    """Student's t of 2 examples asks for 12.7 standard errors, of 8 for 2.4."""
    (one,), said = verdict(Symptoms(generalisation=Number(1.5, 0.3, n)))
    assert one.found is found
    assert found or said.startswith("No verdict: none of 1 fault that were looked for could be sure")


def test_coverage_and_true_rate_are_those_of_the_exact_posterior(data):
    narrow, rows = 0.5, data.test[:30]
    vae = linear(narrow)
    rate, missed = symptoms_of_posterior.annealed_posterior(vae, linear(), rows, SMALL, None, 0, "1 GiB")
    exact = 90 - 100 * (2 * norm.cdf(narrow * norm.ppf(0.95)) - 1)
    assert abs(missed.value - exact) < 4 * missed.se + 1.0  # 1: an interval is read off 400 draws
    mean = rows.x[:, :2].double() * VARIANCE * SLOPE / SIGMA**2
    kl = 0.5 * (mean.square().sum(1) + 2 * (VARIANCE - 1 - math.log(VARIANCE)))
    assert abs(rate.value - float(kl.mean())) < 4 * math.sqrt(1 / 30 / SMALL.chains)  # of E log p(x | z): var d/2 = 1


def test_a_factor_on_the_spreads_is_found(data):
    gain, factor = symptoms_of_posterior.widening_gain(linear(0.5), data.test, 64, 0)
    exact = 2 * 0.5 * (0.25 - 1 - 2 * math.log(0.5))
    assert factor == 2.0
    assert abs(gain.value - exact) < 0.03
    none, one = symptoms_of_posterior.widening_gain(linear(), data.test, 64, 0)
    assert (none.value, one) == (0.0, 1.0)


def test_what_correlated_noise_wins_is_what_it_wins_exactly():
    generator = np.random.default_rng(0)
    covariance = np.array([[1.0, 0.8], [0.8, 1.0]])
    fitted, judged = (generator.multivariate_normal([0, 0], covariance, size=4000) for _ in range(2))
    gain = symptoms_of_posterior.mean_and_error(symptoms_of_noise._gain(fitted, judged))
    assert abs(gain.value + 0.5 * np.log(np.linalg.det(covariance))) < 4 * gain.se


def bits(weight: float, seed: int = 0) -> er.VAE:
    """Six bits whose logits are `weight` times one latent, for which q is the prior."""
    vae = er.VAE(
        er.priors.StandardNormal(1),
        er.posteriors.DiagonalNormal(torch.nn.Linear(6, 2), 1, spread="exp", floor=0.0),
        er.likelihoods.Bernoulli(torch.nn.Linear(1, 6), 6),
    )
    with torch.no_grad():
        for part in (vae.posterior["z"].network, vae.likelihood.network):
            part.weight.zero_(), part.bias.zero_()
        vae.likelihood.network.weight.fill_(weight)
    return vae.eval()


def test_no_more_is_won_of_bits_than_they_share():
    """Pairs of equal bits but for one in five share log 2 − H(0.2) = 0.19 nats each; a copula finds a part of that."""
    rng = np.random.default_rng(0)
    one = rng.random((3_000, 3)) < 0.5
    x = np.concatenate([one, one ^ (rng.random(one.shape) < 0.2)], 1)
    shared = 3 * (math.log(2) + 0.2 * math.log(0.2) + 0.8 * math.log(0.8))
    rows = er.numerics.as_rows(torch.from_numpy(x.astype(np.float32)))
    won, _ = symptoms_of_noise.residuals(bits(0.0), rows.rows(slice(0, 1_500)), rows.rows(slice(1_500, None)), 0)
    assert 0.3 * shared < won.value < shared + 2 * won.se


def test_what_bits_share_through_z_is_not_what_their_noise_shares():
    """Bits that z nearly decides: residuals are steep functions of z, by whose ranks half a nat was won of one."""
    vae = bits(8.0)
    with torch.no_grad():
        p = vae.likelihood({"z": vae.keyed_noise(1, torch.arange(1_200), 0)["z"]})  # which q draws again
        rows = er.numerics.as_rows(torch.bernoulli(p.mean[0], generator=torch.Generator().manual_seed(0)))
    won, _ = symptoms_of_noise.residuals(vae, rows.rows(slice(0, 600)), rows.rows(slice(600, None)), 0)
    assert won.value <= 2 * won.se + 1e-9


def test_noise_that_is_correlated_already_is_not_called_independent(data):
    vae = linear()
    vae = er.VAE(vae.prior["z"], vae.posterior["z"], er.likelihoods.LowRankNormal(torch.nn.Linear(2, 9), 3, rank=2))
    with pytest.raises(er.InputError, match="lets elements depend on one another already"):
        symptoms_of_noise.residuals(vae.eval(), data.train[:50], data.test[:50], 0)


def test_an_objective_lies_where_its_weight_puts_it(data):
    vae, rows = linear(), data.test
    (away, bounds, said) = symptoms_of_fit.objective_above_elbo(vae, rows, er.objectives.Elbo(0.25), 0)
    rate = float(er.evidence.rate_distortion(vae, rows, draws=64).rate.mean)
    assert away.value == pytest.approx(0.75 * rate, rel=1e-4)
    assert not bounds
    assert said == ()
    assert abs(symptoms_of_fit.objective_above_elbo(vae, rows, er.objectives.Elbo(), 0)[0].value) < 1e-5
    assert symptoms_of_fit.objective_above_elbo(vae, rows, er.objectives.Iwae(draws=4), 0)[1]
    assert symptoms_of_fit.objective_above_elbo(vae, rows, er.objectives.Discrepancy(rate=0.0), 0)[2]


def test_an_objective_is_told_by_example_whatever_their_order():
    """One row of a last batch weighed as much as the fifty before it, and errors were of two batches."""
    vae = linear()
    x = torch.randn(51, 3, generator=torch.Generator().manual_seed(0)) * 3
    x[50] = 40.0
    rate = er.evidence.rate_distortion(vae, x).rate
    for order in (torch.arange(51), torch.arange(51).flip(0)):
        away = symptoms_of_fit.objective_above_elbo(vae, vae.examples(x[order]), er.objectives.Elbo(2.0), 0)[0]
        assert away.value == pytest.approx(-rate.mean, rel=1e-4)
        assert away.se == pytest.approx(rate.se_total, rel=1e-4)


def test_what_procedures_descend_is_called_what_it_is(data):
    """Wake–sleep leaves the entropy of q out; a refined q has a bound of its own; a critic's estimate has none."""
    vae, rows, procedures = linear(0.3), data.test[:100], er.procedures
    away, bounds, (said,) = symptoms_of_fit.objective_above_elbo(vae, rows, procedures.WakeSleep(), 0)
    entropy = 2 * (0.5 * math.log(2 * math.pi * math.e) + math.log(0.3 * math.sqrt(VARIANCE)))
    assert abs(away.value + entropy) < 4 * math.sqrt(1 / len(rows))
    assert not bounds
    assert said.endswith("epochs are compared by the ELBO, which does.")
    away, bounds, said = symptoms_of_fit.objective_above_elbo(vae, rows, procedures.SemiAmortised(rate=0.01), 0)
    assert away.value > 4 * away.se
    assert (bounds, said) == (True, ())
    critic = procedures.TotalCorrelation(torch.nn.Linear(2, 1), weight=2.0)
    assert "critic" in symptoms_of_fit.objective_above_elbo(vae, rows, critic, 0)[2][0]


def test_simulated_calibration_accepts_the_exact_posterior_and_rejects_a_narrow_one(data):
    right, narrow = (
        symptoms_of_simulations.simulated_calibration(vae, data.test, seed=0) for vae in (linear(), linear(0.5))
    )
    assert right.sbc > 0.01
    assert abs(right.coverage.value) < 4 * right.coverage.se + 0.5
    assert narrow.sbc < 1e-6
    assert (
        abs(narrow.coverage.value - (90 - 100 * (2 * norm.cdf(0.5 * norm.ppf(0.95)) - 1))) < 4 * narrow.coverage.se + 1
    )
    assert narrow.tarp.value > 10 > right.tarp.value


def test_tarp_by_hand():
    drawn = torch.tensor([[[0.0]], [[1.0]], [[2.0]], [[3.0]]])
    expected, credibility = symptoms_of_simulations.expected_coverage(
        drawn, torch.tensor([[1.5]]), torch.tensor([[0.0]])
    )
    assert expected[credibility <= 0.5].max() == 0.0  # two of four draws are nearer to 0 than the truth is
    assert expected[credibility > 0.54].min() == 1.0


@pytest.mark.parametrize(
    ("found", "ill", "words"),
    [
        ({"rate": 0.0, "true_rate": 0.0, "noise_share": 0.5, "idle": 2, "units": 2}, "collapsed", "above the greatest"),
        ({"rate": 0.0, "true_rate": 0.0, "noise_share": 1.3, "idle": 2, "units": 2}, "collapsed", "needs no z"),
        ({"rate": 0.0, "true_rate": 2.0, "noise_share": 1.3, "idle": 2, "units": 2}, "collapsed", "inference lagging"),
        ({"rate": 9.0, "information": 0.0, "true_rate": 0.1}, "collapsed", "of which 0.000 ± 0.010 nats tell x"),
        ({"rate": 9.0, "information": 0.0, "true_rate": 2.0}, "collapsed", "inference lagging"),
        ({"rate": 9.0, "information": 2.0}, None, ""),
        ({"rate": 2.0, "true_rate": 2.0, "noise_share": 0.8, "idle": 1, "units": 3}, "collapsed", "1 of 3 units"),
        ({"rate": 2.0, "true_rate": 2.0, "noise_share": 1.4, "idle": 1, "units": 3}, None, ""),
        ({"amortisation": 2.0, "widening": 0.1}, "inference lagging", "0.5"),
        ({"amortisation": 2.0, "widening": 1.9}, None, ""),
        ({"coverage": 30.0}, "overconfident encoder", "60.000 ± 0.010 %"),
        ({"prior_gap": 1.0, "samples": 0.1}, "holes in the prior", "gains 1.00"),
        ({"prior_gap": 1.0, "samples": -0.1}, None, ""),
        ({"noise_gain": 1.0, "noise_factor": 0.5}, "noise mis-scaled", "factor of 0.5"),
        ({"residual_gain": 1.0}, "residuals correlated", "correlated noise wins"),
        ({"generalisation": 3.0}, "overfitted", "training examples"),
        ({"classic": 2.0, "classic_name": "probabilistic PCA"}, "underfitted", "probabilistic PCA fits"),
        ({"classic": 2.0, "residual_gain": 1.8}, "residuals correlated", ""),
        ({"objective": -2.0}, "no bound", "below the ELBO"),
        ({"objective": 2.0, "bounds_by_design": True}, None, ""),
    ],
)
def test_a_finding_says_what_decided(found, ill, words):
    given = {
        name: Number(value, 0.01) if isinstance(value, float) and name != "noise_factor" else value
        for name, value in found.items()
    }
    findings, sentence = verdict(Symptoms(**given))
    assert [one.name for one in findings if one.found] == ([ill] if ill else [])
    assert words in sentence
    assert all(f"{one.threshold:g}" in one.sentence for one in findings)
    if ill is None:
        assert sentence.startswith("Healthy")


def test_an_error_as_large_as_the_number_decides_nothing():
    sure, unsure = (verdict(Symptoms(noise_gain=Number(1.0, se)))[0][0] for se in (0.1, 0.5))
    assert sure.found
    assert not unsure.found


def test_every_threshold_decides_something():
    code = inspect.getsource(inspect.getmodule(verdict))
    assert [name for name in thresholds.__all__ if f"limit.{name}" not in code] == []


def test_what_cannot_be_had_says_why(data):
    vae = er.models.build(
        {"latents": 3, "widths": [4], "prior": "categorical-prior", "posterior": "categorical-posterior"}, data
    )
    found = symptoms(vae, data, budget=SMALL)
    assert found.coverage is None
    assert "real line" in found.missing["coverage"]
    assert {field.name for field in dataclasses.fields(found) if getattr(found, field.name) is None} <= set(
        found.missing
    )
