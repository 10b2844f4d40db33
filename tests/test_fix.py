"""`fix`: what pays is kept and adds up, test is looked at once and last, and what cannot be tried says why."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from invented_audits import healthy, identity
from torch import nn

import elbowroom as er
from elbowroom.ledger import _fix
from elbowroom.ledger.fixed import Fixed
from elbowroom.ledger.order import in_order
from elbowroom.numerics import with_error
from elbowroom.records import AuditRecord, FindingRecord, Number

CELLS = 5


def data() -> er.data.Dataset:
    random = np.random.default_rng(0)
    x = random.normal(size=(700, 2)) @ random.normal(size=(2, CELLS)) + random.normal(size=(700, CELLS)) * 0.5
    return er.load_data(x, validation=200, test=200, preprocess="none")


def linear(*, scale: float = 3.0) -> er.VAE:
    torch.manual_seed(0)
    q = er.posteriors.DiagonalNormal(nn.Linear(CELLS, 2), 1)
    return er.VAE(er.priors.StandardNormal(1), q, er.likelihoods.Normal(nn.Linear(1, CELLS), CELLS, scale=scale))


QUICK = {"audits": False, "progress": False, "seconds": None, "epochs": 15}


def test_what_pays_is_kept_adds_up_and_reaches_the_exact_likelihood() -> None:
    """Of a model whose z says nothing, the noise's own covariance makes the normal that the data are drawn from."""
    rows, vae = data(), linear()
    with torch.no_grad():
        vae.likelihood.network.weight.zero_()
        vae.likelihood.network.bias.copy_(rows.train.x.mean(0))
        vae.posterior["z"].network.weight.zero_()
        vae.posterior["z"].network.bias.copy_(torch.tensor([0.0, 0.5413]))  # q is the prior
    done = er.fix(vae, rows, remedies=["calibrate", "structured_residual"], **QUICK)
    kept = [step for step in done.steps if step.pays]
    assert done.kept == tuple(kept)
    for earlier, later in itertools.pairwise(kept):
        assert later.elbo_before.mean == earlier.elbo_after.mean
    total = sum(step.gain.mean for step in kept)
    assert total == pytest.approx(kept[-1].elbo_after.mean - kept[0].elbo_before.mean)
    assert done.vae is kept[-1].vae
    assert done.elbo_after.mean == er.evidence.elbo(done.vae, done_rows(rows), draws=16).mean
    train = rows.train.x.double()
    best = torch.distributions.MultivariateNormal(train.mean(0), torch.cov(train.T))
    assert [step.name.split()[0] for step in kept] == ["noise", "structured_residual"]
    assert done.elbo_after.mean == pytest.approx(best.log_prob(rows.test.x.double()).mean().item(), abs=0.1)
    assert "nats won on 200 examples" in str(done)
    again = er.fix(vae, rows, remedies=["calibrate"], **QUICK)
    assert again.steps[0].elbo_after.mean == er.fix(vae, rows, remedies=["calibrate"], **QUICK).steps[0].elbo_after.mean


def test_what_became_of_log_p_is_said_beside_the_elbo() -> None:
    """The ELBO alone may rise as p comes nearer to what q can say."""
    before, after = healthy(), healthy(identity=identity(elbo=-90.0, amortisation=1.0, seed=0))
    bounds = before.identity.elbo, after.identity.elbo
    done = Fixed(linear(), (), (), *bounds, before, after, 1.0)
    moved = after.identity.log_p - before.identity.log_p
    assert f"log p(x) by {moved.estimator}: {with_error(moved.mean, moved.se_total)} nats on 50 of them" in str(done)
    assert "log p(x)" not in str(dataclasses.replace(done, after=None))


def done_rows(rows: er.data.Dataset) -> er.data.Examples:
    from elbowroom.ledger.aggregate import chosen

    return chosen(rows.test, 200, 0)


def test_what_does_not_pay_is_not_kept() -> None:
    """A calibrated model is calibrated again: nothing is won, and the model that was given comes back."""
    rows = data()
    vae = er.remedies.calibrate(linear(), rows).vae
    done = er.fix(vae, rows, remedies=["calibrate"], **QUICK)
    assert [step.pays for step in done.steps] == [False, False]
    assert done.vae is vae
    assert done.won.mean == 0
    assert "not kept" in str(done)


def test_a_remedy_that_costs_the_tighter_bound_does_not_pay() -> None:
    """The ELBO may rise where q fits better and log p(x) falls."""
    step = er.fix(linear(), data(), remedies=["calibrate"], **QUICK).steps[0]
    worse = {"iwae_before": step.iwae_after, "iwae_after": step.iwae_before}
    assert step.pays
    assert not er.remedies.Remedied(**{**{k: v for k, v in vars(step).items() if k in FIELDS}, **worse}).pays


FIELDS = ("vae", "name", "elbo_before", "elbo_after", "seconds")


def test_test_is_looked_at_when_all_is_decided(monkeypatch) -> None:
    """The audit that says what comes first sees validation in the place of test, and findings move what they mean."""
    rows, looked = data(), []

    def audited(vae: er.VAE, data: er.data.Dataset, **told: object) -> AuditRecord:
        looked.append((set(data.test.index.tolist()), vae))
        found = FindingRecord("residuals correlated", True, Number(1.0, 0.1), 0.5, "nats", "", "They are.")
        return AuditRecord(quantity="log p(x)", n=2, name="rows", data="", seed=0, findings=(found,))

    monkeypatch.setattr(_fix, "audit", audited)
    done = _fix.fix(linear(), rows, remedies=["calibrate", "structured_residual"], progress=False, seconds=None)
    first, *ends = looked
    assert first[0] <= set(rows.validation.index.tolist())
    assert [index for index, _ in ends] == [set(rows.test.index.tolist())] * 2
    assert ends[1][1] is done.vae
    assert done.before is not None
    assert done.steps[0].name.startswith("structured_residual")


def test_of_two_kinds_of_correlated_noise_the_one_that_wins_more_is_kept(monkeypatch) -> None:
    """Both are tried on the model before them; the one that is beaten pays no more."""
    rows, given = data(), []
    kept = {"low-rank": er.remedies.structured_residual(linear(), rows, rank=1, draws=4)}
    kept["matern"] = er.remedies.calibrate(linear(), rows, draws=4)
    assert kept["matern"].pays
    assert kept["low-rank"].pays
    best = max(kept, key=lambda kind: kept[kind].gain.mean)

    def either(vae, data, kind, **told):
        given.append(vae)
        return kept[kind]

    monkeypatch.setattr("elbowroom.remedies.structured_residual", either)
    vae = linear()
    done = er.fix(vae, rows, remedies=["structured_residual"], **QUICK)
    assert given == [vae, vae]
    assert [step.beaten for step in done.steps] == [kind != best for kind in kept]
    assert done.vae is kept[best].vae
    assert [step.name for step in done.kept] == [kept[best].name]


def test_what_findings_point_to_comes_first_among_what_costs_as_much() -> None:
    plain, told = ([one.words for one in in_order(found)] for found in ((), ("holes in the prior",)))
    assert plain[0] == "calibrate"
    assert told[0] == "refit_prior (mixture)"
    over = [one.words for one in in_order(("overfitted",))]
    assert over.index("stop_earlier") < over.index("lower_beta (1.0)")
    assert sorted(plain) == sorted(told)
    assert max(place for place, one in enumerate(in_order(())) if one.cost == 3) < plain.index(
        "refine_inference (flow)"
    )


def test_what_cannot_be_tried_says_why() -> None:
    rows = data()
    done = er.fix(linear(), rows, audits=False, progress=False, seconds=1e-9)
    assert not done.steps
    assert len(done.untried) == len(in_order(()))
    assert all(said.endswith("there was no time left for it.") for said in done.untried)
    q = er.posteriors.DiagonalNormal(nn.Linear(CELLS, 2), 1)
    likelihood = er.likelihoods.Normal(nn.Linear(1, 2 * CELLS), CELLS, scale="predicted")
    vae = er.VAE(er.priors.StandardNormal(1), q, likelihood)
    refused = er.fix(vae, rows, remedies=["calibrate", "shrink_latent"], **QUICK).untried
    assert [said.partition(":")[0] for said in refused] == ["calibrate", "calibrate (validation)", "shrink_latent"]


def test_after_a_training_that_pays_what_it_unsettled_is_tried_again() -> None:
    done = er.fix(linear(), data(), remedies=["calibrate", "lower_beta"], **QUICK)
    assert [step.name.split()[0] for step in done.steps] == ["noise", "noise", "lower_beta", "noise", "noise"]


@pytest.mark.parametrize("wrong", [{"remedies": ["polish"]}, {"epochs": 1}, {"seconds": 0.0}, {"validation": 1}])
def test_settings_out_of_range_are_refused(wrong) -> None:
    with pytest.raises(er.InputError):
        er.fix(linear(), data(), **{**QUICK, **wrong})
