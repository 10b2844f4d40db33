"""The contract of every likelihood, and what each promises of its own."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional

from elbowroom import VAE, InputError, fit, likelihoods, load_data, load_model, posteriors, priors, save_model
from elbowroom.distributions import capabilities, log_prob_seen, simulate
from elbowroom.numerics import Batch, CapabilityError, Support
from elbowroom.objectives import Elbo
from elbowroom.recipes import build, recipe_of
from elbowroom.training import TrainingStep
from elbowroom.training.engines import Adam, Alone, Stacked

D = 5  # elements of the fake data
L = likelihoods


@dataclass(frozen=True)
class Case:
    """A likelihood without its network, fitting data of the given support, and supports that it must refuse."""

    make: Callable[[nn.Module | None], L.Likelihood]
    data: str
    refuses: tuple[str, ...]


CONTINUOUS, DISCRETE = ("real", "unit"), ("binary", "grid", "counts", "categorical")
CASES = {
    **{f"Normal {s}": Case(lambda n, s=s: L.Normal(n, D, scale=s), "real", DISCRETE)
       for s in (0.5, "shared", "feature", "predicted", "optimal")},
    **{f"Laplace {s}": Case(lambda n, s=s: L.Laplace(n, D, scale=s), "real", DISCRETE) for s in (0.5, "predicted")},
    "StudentT 4": Case(lambda n: L.StudentT(n, D, scale="feature"), "real", DISCRETE),
    "StudentT shared": Case(lambda n: L.StudentT(n, D, scale="predicted", df="shared"), "real", DISCRETE),
    "Bernoulli": Case(lambda n: L.Bernoulli(n, D), "binary", (*CONTINUOUS, "grid", "counts", "categorical")),
    "ContinuousBernoulli": Case(lambda n: L.ContinuousBernoulli(n, D), "unit", ("real", *DISCRETE)),
    "Beta": Case(lambda n: L.Beta(n, D), "unit", ("real", *DISCRETE)),
    "TruncatedNormal": Case(lambda n: L.TruncatedNormal(n, D, scale="predicted"), "unit", ("real", *DISCRETE)),
    "TruncatedNormal 2": Case(lambda n: L.TruncatedNormal(n, D, low=-9.0, high=9.0), "real", DISCRETE),
    "LogitNormal": Case(lambda n: L.LogitNormal(n, D, scale="feature"), "unit", ("real", *DISCRETE)),
    "BetaBinomial": Case(lambda n: L.BetaBinomial(n, D, 17), "grid", (*CONTINUOUS, "counts", "categorical")),
    "DiscretisedNormal": Case(
        lambda n: L.DiscretisedNormal(n, D, 17), "grid", (*CONTINUOUS, "counts", "categorical")
    ),
    "DiscretisedLogistic": Case(
        lambda n: L.DiscretisedLogistic(n, D, 17, scale="shared"), "grid", (*CONTINUOUS, "counts", "categorical")
    ),
    "DiscretisedLogistic 3": Case(
        lambda n: L.DiscretisedLogistic(n, D, 17, components=3), "grid", (*CONTINUOUS, "counts", "categorical")
    ),
    "Categorical": Case(lambda n: L.Categorical(n, D, 17), "grid", (*CONTINUOUS, "counts")),
    "Categorical unordered": Case(lambda n: L.Categorical(n, D, 17, ordered=False), "categorical", CONTINUOUS),
    "Detection": Case(lambda n: L.Detection(n, D), "binary", (*CONTINUOUS, "grid", "counts", "categorical")),
    "Poisson": Case(lambda n: L.Poisson(n, D), "counts", (*CONTINUOUS, "categorical")),
    "NegativeBinomial": Case(lambda n: L.NegativeBinomial(n, D), "counts", (*CONTINUOUS, "categorical")),
    "NegativeBinomial predicted": Case(
        lambda n: L.NegativeBinomial(n, D, dispersion="predicted"), "counts", (*CONTINUOUS, "categorical")
    ),
    "ZeroInflatedNegativeBinomial": Case(
        lambda n: L.ZeroInflatedNegativeBinomial(n, D), "counts", (*CONTINUOUS, "categorical")
    ),
    "ZeroInflatedNegativeBinomial predicted": Case(
        lambda n: L.ZeroInflatedNegativeBinomial(n, D, dispersion="predicted"), "counts", (*CONTINUOUS, "categorical")
    ),
    "NormalWithAtoms": Case(lambda n: L.NormalWithAtoms(n, D, [0.0, 1.5]), "atoms", DISCRETE),
    "Mixed": Case(
        lambda n: L.Mixed(n, [L.Normal(None, 2, scale="predicted"), L.Poisson(None, 2), L.Categorical(None, 1, 4)]),
        "mixed",
        (),
    ),
}  # fmt: skip
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def _data(kind: str, n: int = 60) -> Tensor:
    g = torch.Generator().manual_seed(0)
    hidden = torch.randn(n, 1, generator=g)
    real = hidden + 0.5 * torch.randn(n, D, generator=g)
    made = {
        "real": real,
        "unit": torch.sigmoid(real),
        "atoms": torch.where(real > 1.5, 1.5, torch.where(real.abs() < 0.3, 0.0, real)),
        "binary": (real > 0).float(),
        "grid": (8 + 3 * real).round().clamp(0, 16),
        "categorical": (8 + 3 * real).round().clamp(0, 16),
        "counts": torch.poisson(torch.exp(1 + real), generator=g),
    }
    made["mixed"] = torch.cat([real[:, :2], made["counts"][:, 2:4], made["grid"][:, 4:] % 4], 1)
    return made[kind]


def _network(numbers: int, inputs: int = 2, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Linear(inputs, numbers)


def _fitting(case: Case, seed: int = 0) -> L.Likelihood:
    """The likelihood with a network of the size it asks for, settled on its data."""
    made = case.make(_network(case.make(None).numbers, seed=seed))
    made.settle(_data(case.data), None, 2)
    return made


def _vae(case: Case, seed: int = 0) -> VAE:
    likelihood = _fitting(case, seed)
    return VAE(priors.StandardNormal(2), posteriors.DiagonalNormal(_network(4, D, seed), 2), likelihood)


def _batch(case: Case) -> Batch:
    x = _data(case.data)
    return Batch(x, torch.arange(len(x)))


def _support(kind: str) -> Support:
    if kind == "atoms":
        return Support("real", atoms=(0.0, 1.5))
    return Support(kind, 17 if kind in ("grid", "categorical") else None)


def test_every_likelihood_has_a_case():
    kinds = {getattr(L, name) for name in L.__all__ if isinstance(getattr(L, name), type)} - {L.Likelihood}
    elsewhere = {kind for kind in kinds if kind.__module__.endswith(("structured", "autoregressive"))}
    assert kinds - elsewhere == {type(case.make(None)) for case in CASES.values()}


@cases
def test_log_density_of_an_example_is_the_sum_over_its_elements(case):
    likelihood, x = _fitting(case).eval(), _data(case.data)[:7]
    p = likelihood({"z": torch.randn(3, 7, 2, generator=torch.Generator().manual_seed(1))})
    log_p = p.log_prob(x)
    assert (p.batch_shape, p.event_shape, log_p.shape) == ((3, 7), (D,), (3, 7))
    groups = getattr(p, "groups", [p])
    parts = zip(groups, x.split([g.event_shape[0] for g in groups], -1), strict=True)
    total = sum(group.base_dist.log_prob(part).double().sum(-1) for group, part in parts)
    torch.testing.assert_close(log_p.double(), total, rtol=2e-6, atol=1e-6)
    assert simulate(p, torch.Generator().manual_seed(0)).shape == (3, 7, D)


@cases
def test_the_network_is_sized_by_numbers(case):
    likelihood = case.make(_network(case.make(None).numbers + 1))
    with pytest.raises(InputError, match=f"needs {likelihood.numbers} numbers per example"):
        likelihood({"z": torch.zeros(1, 4, 2)})


@cases
def test_it_can_be_made_again_from_its_recipe_and_its_file(case, tmp_path):
    likelihood = _fitting(case)
    recipe = yaml.safe_load(yaml.safe_dump(recipe_of(likelihood, "decoder")))
    again = build(recipe, modules={"decoder": likelihood.network})
    assert recipe_of(again, "decoder") == recipe
    vae, batch = _vae(case).eval(), _batch(case)
    save_model(vae, tmp_path / "m.vae")
    loaded = load_model(
        tmp_path / "m.vae", modules={"encoder": _network(4, D, 9), "decoder": _network(likelihood.numbers, 2, 9)}
    )
    noise = vae.keyed_noise(2, batch.index, 0)
    assert torch.equal(vae(batch, noise).log_likelihood, loaded(batch, noise).log_likelihood)


@cases
def test_a_small_vae_learns_and_its_gradients_are_finite(case):
    vae, batch = _vae(case), _batch(case)
    step = TrainingStep(vae, Elbo()).train()
    optimizer = torch.optim.Adam(step.parameters(), lr=0.02)
    noise = vae.draw_noise(1, len(batch), torch.Generator().manual_seed(0))
    losses = []
    for i in range(4):
        loss = step(batch, noise, torch.tensor(float(i))).total
        optimizer.zero_grad()
        loss.backward()
        assert all(torch.isfinite(p.grad).all() for p in step.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@cases
def test_three_stacked_steps_are_those_of_each_alone(case):
    batch = _batch(case)
    stack = Stacked([TrainingStep(_vae(case, s), Elbo()).train() for s in (0, 1)], [Adam()] * 2)
    alone = [Alone(TrainingStep(_vae(case, s), Elbo()).train(), Adam()) for s in (0, 1)]
    generator = torch.Generator().manual_seed(0)
    for i in range(3):
        noise = alone[0].step.vae.draw_noise(1, len(batch), generator)
        together = stack.update(batch, noise, torch.tensor(float(i)))["objective"]
        one_by_one = [engine.update(batch, noise, torch.tensor(float(i)))["objective"] for engine in alone]
        torch.testing.assert_close(together, torch.stack(one_by_one), rtol=1e-5, atol=1e-5)
    for member, engine in enumerate(alone):
        torch.testing.assert_close(stack.state(member), engine.state(0), rtol=1e-4, atol=1e-5)


@cases
@pytest.mark.parametrize("size", [-1e4, -100.0, 100.0, 1e4])
def test_a_network_gone_astray_gives_no_nan(case, size):
    likelihood, x = _fitting(case).eval(), _data(case.data)
    with torch.no_grad():
        likelihood.network.weight.zero_()
        likelihood.network.bias.fill_(size)
    log_p = likelihood({"z": torch.zeros(1, len(x), 2)}).log_prob(x)
    assert torch.isfinite(log_p).all()
    gradients = torch.autograd.grad(log_p.sum(), likelihood.network.parameters())
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@cases
def test_it_refuses_data_of_another_support_and_says_what_to_do(case):
    likelihood = case.make(None)
    if case.data != "mixed":
        likelihood.check(_support(case.data))
    for kind in case.refuses:
        with pytest.raises(InputError, match=r"likelihoods\.|preprocess") as error:
            likelihood.check(_support(kind))
        assert str(_support(kind)) in str(error.value)
        assert type(likelihood).__name__ in str(error.value)


def test_a_grid_of_more_levels_is_refused_and_one_of_fewer_is_not():
    for likelihood in (L.Categorical(None, D, 17), L.DiscretisedNormal(None, D, 17)):
        likelihood.check(Support("grid", 9))
        likelihood.check(Support("binary"))
        with pytest.raises(InputError, match="0…255"):
            likelihood.check(Support("grid", 256))


def _constant(make: Callable[[nn.Module], L.Likelihood], *numbers: float, features: int = 1) -> L.Likelihood:
    """A likelihood whose network returns the same numbers whatever z is."""
    network = _network(len(numbers), features)
    with torch.no_grad():
        network.weight.zero_()
        network.bias.copy_(torch.tensor(numbers))
    return make(network)


def _at(likelihood: L.Likelihood, n: int = 1, **context: Tensor) -> Any:
    return likelihood({"z": torch.zeros(1, n, 1), **context})


def test_scipy_knows_these_densities():
    x = torch.tensor([0.3])
    pairs = [
        (_constant(lambda n: L.Normal(n, 1, scale=0.5), 0.1), stats.norm(0.1, 0.5).logpdf(0.3)),
        (_constant(lambda n: L.Laplace(n, 1, scale=0.5), 0.1), stats.laplace(0.1, 0.5).logpdf(0.3)),
        (_constant(lambda n: L.StudentT(n, 1, scale=0.5, df=3.0), 0.1), stats.t(3, 0.1, 0.5).logpdf(0.3)),
        (_constant(lambda n: L.Beta(n, 1), 0.2, 0.0), stats.beta(math.exp(9 * math.tanh(0.2 / 9)), 1).logpdf(0.3)),
        (
            _constant(lambda n: L.TruncatedNormal(n, 1, scale=0.5, low=-1.0, high=2.0), 0.1),
            stats.truncnorm(-2.2, 3.8, 0.1, 0.5).logpdf(0.3),
        ),
    ]
    for likelihood, exact in pairs:
        assert _at(likelihood).log_prob(x).item() == pytest.approx(exact, rel=1e-4)


def test_grid_likelihoods_work_on_the_unit_scale_and_give_bits_without_dequantising():
    level = torch.tensor([64.0])
    normal = _at(_constant(lambda n: L.DiscretisedNormal(n, 1, 256, scale=0.1), 0.25))
    exact = np.diff(stats.norm(63.75, 25.5).cdf([63.5, 64.5]))[0]
    assert normal.log_prob(level).item() == pytest.approx(math.log(exact), rel=1e-5)
    logistic = _at(_constant(lambda n: L.DiscretisedLogistic(n, 1, 256, scale=0.1), 0.25))
    exact = np.diff(stats.logistic(63.75, 25.5).cdf([63.5, 64.5]))[0]
    assert logistic.log_prob(level).item() == pytest.approx(math.log(exact), rel=1e-5)
    flat = _at(_constant(lambda n: L.Categorical(n, 1, 256), *[0.0] * 256))
    assert flat.log_prob(level).item() / math.log(2) == pytest.approx(-8.0)
    assert flat.mean.item() == pytest.approx(127.5)


def test_a_mixture_starts_spread_over_the_grid():
    p = _at(_constant(lambda n: L.DiscretisedLogistic(n, 1, 101, components=4, start=0.01), *[0.0] * 12))
    torch.testing.assert_close(p.base_dist.component_distribution.loc.flatten(), torch.tensor([12.5, 37.5, 62.5, 87.5]))
    assert p.mean.item() == pytest.approx(50.0, abs=1e-3)


def test_unordered_classes_have_no_mean():
    p = _at(_constant(lambda n: L.Categorical(n, 1, 3, ordered=False), 0.0, 1.0, 2.0))
    assert "mean" not in capabilities(p)
    mixed = _constant(lambda n: L.Mixed(n, [L.Categorical(None, 1, 3, ordered=False)]), 0.0, 1.0, 2.0)
    with pytest.raises(CapabilityError, match="no mean"):
        _ = _at(mixed).mean


def test_a_size_factor_multiplies_the_mean_and_does_not_reach_the_network():
    y = torch.tensor([[2.0], [6.0]])
    for kind in (L.Poisson, L.NegativeBinomial):
        likelihood = _constant(lambda n, kind=kind: kind(n, 1, size_factor="exposure"), math.log(3.0))
        likelihood.settle(y, None, 1)
        for exposure in (torch.tensor([[1.0, 5.0]]), torch.tensor([[[1.0], [5.0]]])):
            mean = _at(likelihood, 2, exposure=exposure).mean.flatten()
            # 4 is the training mean; the number is held within ±20, which bends it a little.
            assert mean.tolist() == pytest.approx([4 * math.exp(20 * math.tanh(math.log(3) / 20)) * s for s in (1, 5)])
        with pytest.raises(InputError, match="'exposure'"):
            _at(likelihood)
    vae = VAE(priors.StandardNormal(1), posteriors.DiagonalNormal(_network(2, 1), 1), likelihood)
    assert vae.context_names == ("exposure",)


def test_dispersion_starts_at_what_the_moments_say():
    y = torch.distributions.NegativeBinomial(torch.tensor([2.0, 30.0]), logits=torch.tensor([1.0, -1.0]))
    torch.manual_seed(0)
    likelihood = L.NegativeBinomial(_network(2), 2)
    likelihood.settle(y.sample((200_000,)), None, 1)
    p = likelihood({"z": torch.zeros(1, 1, 2)}).base_dist
    assert p.log_dispersion.exp().flatten().tolist() == pytest.approx([2.0, 30.0], rel=0.1)


def test_mixed_is_the_sum_of_its_families_and_leaves_missing_cells_out():
    families = [L.Normal(None, 2, scale=0.5), L.Beta(None, 1), L.Categorical(None, 1, 3)]
    mixed = _constant(lambda n: L.Mixed(n, families), 0.1, 0.2, 0.3, -0.3, 0.0, 1.0, 2.0)
    x = torch.tensor([[0.5, math.nan, 0.25, 2.0], [0.5, 0.0, math.nan, math.nan]])
    normal = stats.norm(0, 0.5).logpdf
    beta = stats.beta(math.exp(0.3), math.exp(-0.3)).logpdf(0.25)
    category = 2 - np.logaddexp.reduce([0, 1, 2])
    got = log_prob_seen(_at(mixed, 2), x, ~x.isnan())
    assert got.flatten().tolist() == pytest.approx(
        [normal(0.4) + beta + category, normal(0.4) + normal(-0.2)], rel=1e-3
    )
    gradients = torch.autograd.grad(got.sum(), mixed.network.parameters())
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_mixed_looks_at_each_group_of_columns():
    y = _data("mixed")
    wrong = L.Mixed(None, [L.Normal(None, 3), L.Categorical(None, 2, 4)])
    with pytest.raises(InputError, match=r"Categorical likelihood is .* counts 0, 1, 2"):
        wrong.settle(y, None, 1)
    with pytest.raises(InputError, match="network None"):
        L.Mixed(None, [L.Normal(_network(2), 2)])
    with pytest.raises(InputError, match=r"Beta .* exactly 0 or 1"):
        L.Mixed(None, [L.Beta(None, 1)]).settle(torch.tensor([[0.0], [0.5]]), None, 1)


def test_data_outside_the_support_are_refused_before_training():
    for kind in (L.Beta, L.LogitNormal):
        with pytest.raises(InputError, match=r"50\.00% of the training values"):
            kind(None, 2).settle(torch.tensor([[0.0, 0.5]]), None, 1)
    with pytest.raises(InputError, match=r"reach from -2 to 0\.5"):
        L.TruncatedNormal(None, 2, low=-1.0, high=1.0).settle(torch.tensor([[-2.0, 0.5]]), None, 1)


def test_normal_keeps_the_names_of_its_state():
    names = {
        s: set(L.Normal(None, D, scale=s).state_dict()) for s in (0.5, "shared", "feature", "predicted", "optimal")
    }
    common = {"floor_value", "offset"}
    assert names[0.5] == names["predicted"] == common
    assert names["shared"] == names["feature"] == {*common, "raw"}
    assert names["optimal"] == {*common, "squares", "count"}


def test_the_scale_starts_at_what_pca_leaves_in_every_family():
    from sklearn.decomposition import PCA

    y = _data("real").numpy()
    pca = PCA(2).fit(y)
    left = ((y - pca.inverse_transform(pca.transform(y))) ** 2).mean(0)
    for kind in (L.Normal, L.Laplace, L.StudentT):
        likelihood = kind(_network(D), D, scale="feature")
        likelihood.settle(torch.tensor(y), None, 2)
        variance = likelihood({"z": torch.zeros(1, 1, 2)}).variance.flatten()
        torch.testing.assert_close(variance, torch.tensor(left), rtol=1e-4, atol=1e-6)


def _optimal(start: float | None = None) -> VAE:
    likelihood = L.Normal(_network(D), D, scale="optimal", start=start, floor=1e-3)
    return VAE(priors.StandardNormal(2), posteriors.DiagonalNormal(_network(4, D), 2), likelihood)


def test_optimal_scale_is_the_best_there_is_and_its_gradient_needs_no_path_through_it():
    vae, x = _optimal().train(), _data("real")
    batch = Batch(x, torch.arange(len(x)))
    noise = vae.keyed_noise(1, batch.index, 0)
    terms = vae(batch, noise)
    mean = terms.p_x.mean
    best = ((x - mean) ** 2).mean().sqrt().item()
    assert terms.p_x.stddev.unique().item() == pytest.approx(best, rel=1e-6)
    got = torch.autograd.grad(-terms.log_likelihood.mean(), vae.likelihood.network.weight, retain_graph=True)[0]
    variance = ((x - mean) ** 2).mean()
    profiled = D / 2 * (torch.log(2 * math.pi * variance) + 1)  # the σ-VAE's own form
    want = torch.autograd.grad(profiled, vae.likelihood.network.weight)[0]
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-6)


def test_optimal_scale_is_never_refitted_on_what_is_evaluated():
    vae, x = _optimal(start=0.7), _data("real")
    batch = Batch(x, torch.arange(len(x)))
    noise = vae.keyed_noise(1, batch.index, 0)
    vae.eval()
    assert vae(batch, noise).p_x.stddev.unique().item() == pytest.approx(0.7)
    vae(Batch(100 * x, batch.index), noise)
    assert vae(batch, noise).p_x.stddev.unique().item() == pytest.approx(0.7)
    with vae.likelihood.pooling():
        for rows in torch.arange(60).split(25):
            vae(Batch(x[rows], rows), vae.keyed_noise(1, rows, 0))
    error = (x - vae(batch, noise).p_x.mean).square().mean().sqrt().item()
    assert vae(batch, noise).p_x.stddev.unique().item() == pytest.approx(error, rel=1e-5)
    assert not vae.likelihood.training


def test_optimal_scale_between_settlings_is_that_of_the_last_training_batches():
    likelihood = _constant(lambda n: L.Normal(n, 1, scale="optimal", start=2.0), 0.0).train()
    weight, square = 1.0, 4.0  # of the start
    for x in (1.0, 3.0, 0.5):
        _at(likelihood, 10, x=torch.full((1, 10, 1), x))
        weight, square = 0.99 * weight + 10, 0.99 * square + 10 * x**2
    assert likelihood.eval().common_scale().item() == pytest.approx(math.sqrt(square / weight), rel=1e-6)


def test_mass_outside_is_measured_where_there_is_a_distribution_function():
    laplace = _at(_constant(lambda n: L.Laplace(n, 1, scale=0.5), 0.2))
    exact = 1 - np.diff(stats.laplace(0.2, 0.5).cdf([0, 1]))[0]
    assert L.mass_outside(laplace, 0.0, 1.0) == pytest.approx(exact, rel=1e-6)
    with pytest.raises(CapabilityError, match="cdf"):
        L.mass_outside(_at(_constant(lambda n: L.StudentT(n, 1), 0.2)), 0.0, 1.0)


@cases
def test_a_scale_at_its_floor_is_remarked(case):
    likelihood = case.make(_network(case.make(None).numbers))
    learned = getattr(likelihood, "scale", 1.0) in ("shared", "feature", "predicted")
    p = likelihood({"z": torch.zeros(1, 4, 2)})
    assert likelihood.remarks(p) == []
    if not learned:
        return
    likelihood._start_at(torch.zeros_like(likelihood.offset))
    with torch.no_grad():
        likelihood.offset.sub_(20)
    (remark,) = likelihood.remarks(likelihood({"z": torch.zeros(1, 4, 2)}))
    assert remark.startswith(f"{type(likelihood).__name__}: 100.0% of the scales")


@pytest.mark.parametrize(
    ("support", "kind"),
    [
        (Support("binary"), L.Bernoulli),
        (Support("grid", 17), L.DiscretisedLogistic),
        (Support("unit"), L.TruncatedNormal),
        (Support("real"), L.Normal),
        (Support("counts"), L.NegativeBinomial),
        (Support("categorical", 4), L.Categorical),
    ],
)
def test_auto_picks_by_support_and_says_why(support, kind):
    likelihood, why = L.auto(support, D, _network)
    likelihood.check(support)
    assert type(likelihood) is kind
    assert why.startswith(kind.__name__)
    assert likelihood({"z": torch.zeros(1, 4, 2)}).event_shape == (D,)


def test_fit_trains_on_raw_counts_and_its_notes_say_where_it_starts():
    data = load_data(_data("counts", 80).numpy(), support="counts", preprocess="none")
    vae = VAE(
        priors.StandardNormal(2), posteriors.DiagonalNormal(_network(4, D), 2), L.NegativeBinomial(_network(D), D)
    )
    before = copy.deepcopy(vae.state_dict())
    history = fit(vae, data, epochs=3, lr=0.02, progress=False)
    assert any(note.startswith("NegativeBinomial: means start") for note in history.notes)
    assert not torch.equal(before["likelihood.base"], vae.state_dict()["likelihood.base"])
    assert history.rows[-1]["train"]["objective"] < history.rows[0]["train"]["objective"]
    assert (vae.sample(50) >= 0).all()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: L.Normal(None, D, scale="best"), "scale must be"),
        (lambda: L.Laplace(None, D, scale="optimal"), "scale must be a number, 'shared', 'feature' or 'predicted'"),
        (lambda: L.Normal(None, D, scale=-1.0), "must be positive"),
        (lambda: L.Normal(None, D, start=0.0), "must be positive"),
        (lambda: L.StudentT(None, D, df=0.0), "df must be"),
        (lambda: L.TruncatedNormal(None, D, low=1.0, high=0.0), "low < high"),
        (lambda: L.Categorical(None, D, 1), "at least 2 levels"),
        (lambda: L.DiscretisedLogistic(None, D, 17, components=0), "1 component or more"),
        (lambda: L.DiscretisedLogistic(None, D, 17, components=2, scale="shared"), "scale='predicted'"),
        (lambda: L.NegativeBinomial(None, D, dispersion="gene"), "dispersion must be"),
        (lambda: L.Mixed(None, []), "at least one family"),
        (lambda: L.Mixed(None, [L.Normal(None, (2, 2))]), "over columns"),
    ],
)
def test_wrong_arguments_are_refused_in_words(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_cross_entropy_on_grey_levels_is_no_density():
    """x log λ + (1 − x) log(1 − λ) integrates over [0, 1] to 1 / C(λ), half or less: log C is what it lacks."""
    network = nn.Linear(1, 1)
    likelihood = L.ContinuousBernoulli(network, 1)
    x = torch.linspace(0, 1, 2_001, dtype=torch.float64)[None, :, None]
    for logit in (-6.0, -1.0, 0.0, 0.3, 8.0):
        with torch.no_grad():
            network.weight.zero_(), network.bias.fill_(logit)
            true = likelihood.double()({"z": torch.zeros(1, 1, 1).double()}).log_prob(x)[0]
        written = -functional.binary_cross_entropy_with_logits(torch.full_like(x, logit), x, reduction="none")[0, :, 0]
        lacking = (true - written).mean()
        assert math.isclose(float(torch.trapezoid(true.exp(), x[0, :, 0])), 1.0, rel_tol=1e-5)
        assert math.isclose(float(torch.trapezoid(written.exp(), x[0, :, 0])), math.exp(-lacking), rel_tol=1e-5)
        torch.testing.assert_close(true - written, lacking.expand(len(x[0])))
        assert lacking >= math.log(2) - 1e-9  # 543 nats or more of a 28 × 28 image
