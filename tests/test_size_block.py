"""A size factor of counts in recipes: a context, or a latent block with a prior that is fixed at training totals."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from staged import short_pilots

import elbowroom as er
from elbowroom import evidence
from elbowroom.metrics import latent_use
from elbowroom.models import Recipe, build, goal
from elbowroom.studies.cells import axes_of, use_of
from elbowroom.training import TrainingStep

GENES = 6


def cells(
    n: int = 90, *, latent: bool = True, batches: int = 2, labels: bool = False, binary: bool = False
) -> er.data.Dataset:
    """Cells of two kinds in batches, whose sizes differ, as they are loaded with a size factor."""
    rng = np.random.default_rng(0)
    kind, batch = np.arange(n) % 2, rng.integers(0, batches, n)
    size = rng.lognormal(0.3 * batch, 0.5)
    share = np.array([[4.0, 2, 1, 0.3, 0.2, 3], [0.3, 0.5, 1, 3, 4, 3]])[kind]
    x = rng.poisson(size[:, None] * share * (0.1 if binary else 1))
    x[x.sum(1) == 0, 0] = 1
    more = {"labels": np.where(np.arange(n) % 3, kind, -1), "observed": "label"} if labels else {}
    about = {"batch": batch, "size_factor": "latent" if latent else "observed", "validation": 20, "test": 20}
    return er.load_data(np.minimum(x, 1) if binary else x, support="binary" if binary else "counts", **about, **more)


@pytest.fixture(scope="module")
def trained() -> tuple[er.VAE, er.data.Dataset]:
    data = cells()
    vae = build({"latents": 2, "widths": [8]}, data)
    er.fit(vae, data, epochs=3, progress=False)
    return vae, data


def test_a_latent_size_is_a_block_with_the_prior_of_training_totals(trained: tuple) -> None:
    vae, data = trained
    assert list(vae.prior) == list(vae.posterior) == ["z", "log_size"]
    assert vae.quantity == "log p(x | batch)"
    p = vae.prior["log_size"]({"batch": torch.eye(2).unsqueeze(0)})
    assert torch.allclose(p.mean.flatten(), data.sizes.log_mean)
    assert torch.allclose(p.stddev.flatten(), data.sizes.log_sd)
    assert not [name for name, _ in vae.prior["log_size"].named_parameters()]
    alone = build({"latents": 2, "widths": [8], "context": "none"}, data)
    assert alone.quantity == "log p(x)"
    totals = data.train.batch().x.sum(1)
    logs = (totals / totals.mean()).log()
    p = alone.prior["log_size"]({})
    assert (p.mean.item(), p.stddev.item()) == pytest.approx((logs.mean().item(), logs.std().item()), rel=0.05)


def test_a_bound_of_a_latent_size_is_below_the_sum_over_sizes(trained: tuple, monkeypatch) -> None:
    """log p(x | batch) by a grid over log size, of a model whose decoder no longer reads z."""
    short_pilots(monkeypatch)
    vae, data = trained
    vae = copy.deepcopy(vae)
    with torch.no_grad():
        first = next(one for one in vae.likelihood.network.modules() if isinstance(one, torch.nn.Linear))
        first.weight[:, :2] = 0
    test = data.test[:6]
    batch = test.batch()
    grid = torch.linspace(-6, 6, 601)
    given = {"z": torch.zeros(1, 6, 2), "batch": batch.context["batch"].unsqueeze(0)}
    given["log_size"] = grid.view(-1, 1, 1).expand(-1, 6, 1)
    with torch.no_grad():
        joint = vae.likelihood(given).log_prob(batch.x).double()
        joint += vae.prior["log_size"](given).log_prob(given["log_size"]).double()
    truth = torch.logsumexp(joint + np.log(12 / 600), 0)
    found = {
        "elbo": evidence.elbo(vae, test, draws=64),
        "iwae": evidence.iwae(vae, test, draws=2_000),
        "ais": evidence.ais(vae, test, temperatures=15, chains=4),
    }
    assert (torch.tensor(found["elbo"].values) < truth + 0.5).all()
    for name, noise in (("iwae", 0.5), ("ais", 0.7)):
        assert found[name].values.tolist() == pytest.approx(truth.tolist(), abs=noise), name
        assert found[name].mean == pytest.approx(truth.mean().item(), abs=noise / 2), name
    assert found["ais"].quantity == "log p(x | batch)"


def test_it_is_simulated_sampled_encoded_saved_and_audited(trained: tuple, tmp_path: Path, monkeypatch) -> None:
    short_pilots(monkeypatch)
    vae, data = trained
    gap = evidence.bdmc(vae, data.test[:2], temperatures=5, chains=2)
    assert np.isfinite(gap.gap.mean)
    x = vae.sample(400, context={"batch": torch.eye(2)[[1]]})
    other = vae.sample(400, context={"batch": torch.eye(2)[[0]]})
    assert x.shape == (400, GENES)
    assert x.mean() > other.mean()
    assert vae.encode(data.test)["log_size"].shape == (20, 1)
    er.save_model(vae, tmp_path / "model")
    again = er.load_model(tmp_path / "model")
    assert torch.equal(
        again.sample(3, context={"batch": torch.eye(2)[[1]]}), vae.sample(3, context={"batch": torch.eye(2)[[1]]})
    )
    parts = er.ledger.identity(vae, data.test[:2], temperatures=5, chains=2, steps=10, longest=1, draws=16)
    assert torch.tensor(parts.log_p.values).isfinite().all()


def test_a_study_tells_of_the_codes_without_the_size(trained: tuple) -> None:
    vae, data = trained
    use, size = use_of(vae, data.test)
    assert size == pytest.approx(latent_use(vae, data.test).kl[-1])
    assert (len(use.active), use.means.shape) == (2, (20, 2))
    assert use.means.tolist() == vae.encode(data.test)["z"].double().tolist()
    assert axes_of(vae, data) == "z1, z2"


def test_an_observed_size_is_read_by_the_likelihood_alone() -> None:
    data = cells(latent=False)
    for words in ("auto", "poisson", "zero-inflated-negative-binomial", {"kind": "auto", "scale": "predicted"}):
        vae = build({"latents": 2, "widths": [8], "likelihood": words}, data)
        assert vae.likelihood.size_factor == "size"
        assert vae.posterior["z"].given == ("x", "batch")
        assert vae.quantity in ("log p(x | batch, size)", "log p(x | size, batch)")
    without = build({"latents": 2, "widths": [8], "likelihood": {"kind": "poisson", "size_factor": None}}, data)
    assert without.quantity == "log p(x | batch)"
    per_batch = {"kind": "negative-binomial", "dispersion": "feature-batch"}
    vae = build({"latents": 2, "widths": [8], "likelihood": per_batch}, data)
    assert vae.likelihood.raw_dispersion.shape == (2, GENES)
    assert "batch" in vae.likelihood._network_reads
    fitted = er.fit(vae, data, epochs=1, progress=False)
    assert not fitted.diverged


def test_bdmc_holds_an_observed_size_fixed() -> None:
    data = cells(latent=False)
    vae = build({"latents": 2, "widths": [8]}, data)
    target = vae.target(data.test[:5])
    simulated, _ = target.simulate(torch.Generator().manual_seed(0))
    assert not torch.equal(simulated._given["x"], target._given["x"])
    assert torch.equal(simulated._given["size"][0], data.test[:5].batch().context["size"])


@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("latents", [[2], [2, 2]])
def test_layers_and_classes_stand_beside_a_latent_size(latents: list[int], labels: bool) -> None:
    data = cells(labels=labels)
    words = {"latents": latents, "widths": [8], **({"classes": "label"} if labels else {})}
    vae = build(words, data)
    step = TrainingStep(vae, goal(words))
    batch = data.train.batch().rows(slice(0, 20))
    total = step(batch, step.keyed_noise(1, batch.index, 0), torch.tensor(torch.inf)).total
    assert torch.isfinite(total)


OBJECTIVES = [
    "elbo", {"kind": "elbo", "kl": "closed"}, {"kind": "elbo", "kl": "sticking-the-landing"},
    {"kind": "elbo", "gradient": "score", "draws": 2}, "iwae", {"kind": "iwae", "gradient": "vimco"},
    {"kind": "iwae", "gradient": "doubly-reparameterised"}, {"kind": "capacity", "capacity": 2.0},
    {"kind": "free-bits", "allowance": 0.1}, {"kind": "free-bits", "allowance": 0.1, "per": "dimension"},
    {"kind": "geco", "tolerance": 3.0}, {"kind": "prior-sampling", "draws": 3}, "multi-rate", "beta-tc", "dip",
    "discrepancy", "wake-sleep", "reweighted-wake-sleep", "aggressive", "semi-amortised", "monte-carlo-em",
    {"kind": "total-correlation", "weight": 2.0}, "adversarial",
]  # fmt: skip


REFUSED = ("beta-tc", "dip", "discrepancy", "semi-amortised", OBJECTIVES[-2], "adversarial")


@pytest.mark.parametrize("objective", OBJECTIVES, ids=str)
def test_what_is_not_refused_trains(objective: str | dict) -> None:
    data, recipe = cells(), Recipe(latents=2, widths=[4], objective=objective)
    if objective in REFUSED:
        with pytest.raises(er.InputError, match="adds a block 'log_size'"):
            build(recipe, data)
        return
    vae = build(recipe, data)
    step = TrainingStep(vae, goal(recipe))
    batch = data.train.batch().rows(slice(0, 12))
    noise = step.keyed_noise(step.procedure.draws, batch.index, 0)
    for phase, _ in step.procedure.items():
        step(batch, noise, torch.tensor(torch.inf), phase).total.backward()


def test_a_detection_has_the_mass_of_a_count_above_0_and_starts_at_the_data() -> None:
    data = cells(latent=False, binary=True)
    vae = build({"latents": 2, "widths": [8]}, data)
    likelihood = vae.likelihood
    assert type(likelihood).__name__ == "Detection"
    batch = data.train.batch()
    likelihood.settle(batch.x, None, 2)
    likelihood.settle_beside(batch.x, {"size": batch.context["size"]})
    raw = torch.zeros(1, len(batch.x), GENES)
    p = likelihood.distribution((raw,), {"size": batch.context["size"].unsqueeze(0)})
    assert p.base_dist.probs[0].mean(0).tolist() == pytest.approx(batch.x.mean(0).tolist(), rel=1e-3)
    mean = likelihood.base.exp() * batch.context["size"]
    assert torch.allclose(p.base_dist.probs[0], -torch.expm1(-mean), atol=1e-6)
    assert build({"latents": 2, "widths": [8]}, cells(binary=True)).prior["log_size"] is not None
