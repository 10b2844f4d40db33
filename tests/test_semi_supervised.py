"""M2, M1+M2 and their objective: bounds by enumeration, gradients, a mixture whose best accuracy is known."""

import copy

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import elbowroom as er
from elbowroom.models import Recipe, build, goal
from elbowroom.objectives import Elbo, SemiSupervised

rng = np.random.default_rng(0)
Y = rng.integers(0, 3, 90)
X = np.eye(3)[Y] * 3 + rng.normal(size=(90, 3))
KNOWN = np.where(np.arange(90) % 3 == 0, Y, -1)
DATA = er.load_data(X, labels=KNOWN, observed="label", validation=20, test=20)
SMALL = {"widths": [8], "classes": "label"}


def with_class(batch: er.Batch, code: int) -> er.Batch:
    """The same examples, all of this class."""
    n = len(batch.x)
    value = torch.nn.functional.one_hot(torch.full((n,), code), 3).to(batch.x.dtype)
    return er.Batch(batch.x, batch.index, observed={"label": (value, torch.ones(n, dtype=torch.bool))})


def without_class(batch: er.Batch) -> er.Batch:
    return er.Batch(batch.x, batch.index)


@pytest.mark.parametrize("latents", [2, [3, 2]])
def test_the_bound_without_a_label_is_the_sum_over_those_with_every_label(latents: object) -> None:
    """U(x) = Σ_y q(y | x) (L(x, y) − log q(y | x)), by passes with each class told, on the same noise."""
    vae = build(SMALL | {"latents": latents}, DATA).double()
    batch = DATA.train.batch()
    noise = vae.keyed_noise(1, batch.index, 3)
    free = vae(without_class(batch), noise)
    found = (free.log_likelihood - free.rate())[0]
    told = [vae(with_class(batch, code), noise) for code in range(3)]
    bounds = torch.stack([(terms.log_likelihood - terms.rate()).expand(1, -1)[0] for terms in told], -1)
    log_q = free.q["label"].logits[0].log_softmax(-1)
    torch.testing.assert_close(found, (log_q.exp() * (bounds - log_q)).sum(-1), rtol=1e-9, atol=1e-9)
    codes = DATA.train.observed["label"]
    mixed = vae(batch, noise)
    where_told = (bounds * codes[0]).sum(-1)
    expected = torch.where(codes[1], where_told, found)
    torch.testing.assert_close((mixed.log_likelihood - mixed.rate())[0], expected, rtol=1e-9, atol=1e-9)


def test_a_model_of_classes_alone_has_the_densities_of_the_table() -> None:
    """Without z the bound of a labelled example is log p(x, y) itself, and the best q gives log p(x)."""
    means, p_y = np.array([[0.0, 0.0, 3.0], [3.0, 0.0, 0.0], [0.0, 3.0, 0.0]]), np.array([0.2, 0.3, 0.5])
    joint = np.stack([stats.norm(means[k], 1.0).logpdf(X).sum(1) + np.log(p_y[k]) for k in range(3)], 1)
    evidence = np.logaddexp.reduce(joint, 1)

    class Bayes(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            squares = (x.unsqueeze(-2) - torch.tensor(means)).square().sum(-1)
            return -0.5 * squares + torch.tensor(p_y).log()

    decoder = nn.Linear(3, 3, bias=False).double()
    decoder.weight.data = torch.tensor(means.T)
    vae = er.VAE(
        {"label": er.priors.Categorical(3, probabilities=p_y.tolist())},
        {"label": er.posteriors.Categorical(Bayes(), 3)},
        er.likelihoods.Normal(decoder, 3, scale=1.0, given=("label",)),
    ).double()
    batch = er.Batch(torch.tensor(X), torch.arange(90))
    np.testing.assert_allclose(er.evidence.elbo(vae, batch, draws=1).values, evidence, rtol=1e-6)
    for code in range(3):
        found = er.evidence.elbo(vae, with_class(batch, code), draws=1).values
        np.testing.assert_allclose(found, joint[:, code], rtol=1e-6)


def test_the_objective_is_the_bound_and_the_cross_entropy_over_the_share() -> None:
    vae = build(SMALL | {"latents": 2}, DATA).double()
    objective = SemiSupervised(weight=0.7).double()
    objective.weigh_against(vae, DATA.train)
    assert objective.share.item() == pytest.approx(DATA.train.observed["label"][1].double().mean().item())
    batch = DATA.train.batch().rows(slice(0, 12))
    noise, step = vae.keyed_noise(1, batch.index, 0), torch.tensor(0.0)
    loss, plain = objective(vae, batch, noise, step), Elbo()(vae, batch, noise, step)
    value, known = batch.observed["label"]
    logits = vae.posterior["label"](vae.given(batch, noise)[0]).logits[0]
    each = nn.functional.cross_entropy(logits, value.argmax(1), reduction="none")
    by_hand = 0.7 * (each * known).sum() / 12 / objective.share
    assert (loss.total - plain.total).item() == pytest.approx(by_hand.item(), rel=1e-6)  # weight and share are 32 bits
    assert loss.logged["labelled"].item() == pytest.approx(known.double().mean().item())
    free = SemiSupervised(weight=0.0).double()(vae, batch, noise, step)
    assert free.total.item() == pytest.approx(plain.total.item(), rel=1e-12)
    assert SemiSupervised(weight=0.0).remarks() == []
    assert "bounds neither log p(x, y) nor log p(x)" in objective.remarks()[0]


@pytest.mark.parametrize("latents", [2, [3, 2]])
def test_its_gradient_is_that_of_differences(latents: object) -> None:
    vae = build(SMALL | {"latents": latents}, DATA).double()
    batch, objective = DATA.train.batch().rows(slice(0, 6)), SemiSupervised(weight=0.5).double()
    noise = vae.keyed_noise(1, batch.index, 0)

    def total() -> Tensor:
        return objective(vae, batch, noise, torch.tensor(0.0)).total

    total().backward()
    for name, parameter in vae.named_parameters():
        place, eps = parameter.numel() // 2, 1e-6
        flat = parameter.data.view(-1)
        before = flat[place].item()
        ends = []
        for sign in (1, -1):
            flat[place] = before + sign * eps
            ends.append(total().item())
        flat[place] = before
        assert parameter.grad.view(-1)[place].item() == pytest.approx((ends[0] - ends[1]) / 2 / eps, abs=1e-6), name


def test_batches_weigh_the_labelled_rightly_in_expectation() -> None:
    """The mean over batches that part the data is the whole of the data, of which a third is labelled."""
    vae = build(SMALL | {"latents": 2}, DATA).double()
    objective = SemiSupervised(weight=1.0).double()
    objective.weigh_against(vae, DATA.train)
    batch = DATA.train.batch()

    def extra(some: er.Batch) -> float:
        noise = vae.keyed_noise(1, some.index, 0)
        return (objective(vae, some, noise, torch.tensor(0.0)).logged["classification"] / objective.share).item()

    parts = [batch.rows(slice(i, i + 5)) for i in range(0, 50, 5)]
    value, known = batch.observed["label"]
    logits = vae.posterior["label"](vae.given(batch, vae.keyed_noise(0, batch.index, 0))[0]).logits[0]
    mean = nn.functional.cross_entropy(logits[known], value[known].argmax(1))
    assert np.mean([extra(part) for part in parts]) == pytest.approx(mean.item(), rel=1e-9)


def test_a_planted_mixture_is_told_apart_nearly_as_well_as_it_can_be() -> None:
    """Two bars in noise: 6 labels of 600 rows; the best accuracy is that of Bayes' rule, 96 %."""
    draw = np.random.default_rng(3)
    y = draw.integers(0, 2, 1_000)
    x = np.c_[np.where(y, 1.0, -1.0), np.where(y, -1.0, 1.0)] * 1.25 + draw.normal(size=(1_000, 2))
    best = ((x[:, 0] > x[:, 1]) == y).mean()
    known = np.full(1_000, -1)
    data = er.load_data(x, labels=np.where(np.arange(1_000) < 1, y, y), observed="label", validation=100, test=300)
    rows = data.train.index.numpy()
    for code in (0, 1):
        known[rows[y[rows] == code][:3]] = code
    data = er.load_data(x, labels=known, observed="label", validation=100, test=300)
    recipe = Recipe(latents=1, widths=[16], classes="label", objective={"kind": "semi-supervised", "weight": 1.0})
    vae = build(recipe, data)
    er.fit(vae, data, goal(recipe), epochs=30, batch_size=50, lr=5e-3, progress=False)
    test = data.test.index.numpy()
    right = (vae.encode(data.test)["label"].argmax(1).numpy() == y[test]).mean()
    best_here = ((x[test, 0] > x[test, 1]) == y[test]).mean()
    assert best > 0.94
    assert right > best_here - 0.03


def test_m1_below_is_kept_and_scored_in_x() -> None:
    """The layers on top move, q(z | x) and p(x | z) do not; the bound is in x, so M1's is within its prior's reach."""
    plain = er.load_data(X, validation=20, test=20)
    m1 = build({"latents": 2, "widths": [8]}, plain)
    er.fit(m1, plain, epochs=15, lr=1e-2, progress=False)
    before = copy.deepcopy(m1.state_dict())
    recipe = Recipe().where(model="m1-m2", latents=[2, 2], widths=[8])
    both = build(recipe, DATA, below=m1)
    start = copy.deepcopy(both.state_dict())
    er.fit(both, DATA, goal(recipe), epochs=15, lr=1e-2, progress=False)
    after = both.state_dict()
    kept = [name for name in after if name.startswith(("posterior.z.", "likelihood."))]
    assert kept
    assert all(torch.equal(after[name], start[name]) for name in kept)
    assert not torch.equal(after["posterior.z2.network.layers.0.weight"], start["posterior.z2.network.layers.0.weight"])
    assert all(torch.equal(before[name], m1.state_dict()[name]) for name in before)
    batch = DATA.train.batch()
    same = both.posterior["z"](both.given(batch, both.keyed_noise(0, batch.index, 0))[0]).mean
    torch.testing.assert_close(same[0], m1.encode(without_class(batch))["z"])
    free = without_class(DATA.test.batch())
    assert "log p(x)" in str(er.evidence.elbo(both, free, draws=32))
    gap = er.evidence.elbo(both, free, draws=64) - er.evidence.elbo(m1, free, draws=64)
    assert abs(gap.mean) < 1.5  # the same p(x | z) and q(z | x), another prior of z


def test_a_single_draw_is_not_repeated_for_classes_that_nobody_reads() -> None:
    vae = build(SMALL | {"latents": [3, 2]}, DATA).double()
    batch = DATA.train.batch().rows(slice(0, 5))
    one = vae(batch, vae.keyed_noise(1, batch.index, 0))
    assert len(one.z["z"]) == len(one.p_x.mean) == 1
    many = vae(batch, vae.keyed_noise(2, batch.index, 0))
    assert len(many.z["z"]) == 6
    torch.testing.assert_close(many.log_weight[:1], one.log_weight)  # the first of two draws is the one
    torch.testing.assert_close(many.rate()[:1], one.rate())


WRONG = {
    "no block": ({"classes": "label"}, {}, "no block of classes of these data .they have: none."),
    "another name": ({"classes": "kind"}, {"labels": KNOWN, "observed": "label"}, "they have: label"),
    "a layer's name": ({"classes": "z"}, {"observed": {"z": KNOWN}}, "cannot be called 'z'"),
    "a class without a label": (
        {"classes": "label"},
        {"labels": np.where(np.arange(90) == 89, 3, np.where(Y == 2, -1, Y)), "observed": "label"},
        "No training example is labelled '3'",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_the_recipe_cannot_have_is_said(what: str) -> None:
    words, options, said = WRONG[what]
    data = er.load_data(X, validation=20, test=20, **options)
    if what == "a class without a label":
        assert 89 not in data.train.index
    with pytest.raises(er.InputError, match=said):
        build({"widths": [8], "latents": 2, **words}, data)


LABELS = {
    "another length": ({"labels": Y[:-1]}, r"labels have shape \(89,\) for 90 examples"),
    "all missing": ({"labels": np.full(90, -1)}, "All 90 labels are missing"),
    "all empty": ({"labels": [""] * 90}, "All 90 labels are missing"),
    "one class": ({"labels": np.where(Y == 1, 1, -1)}, "one class alone, '1'"),
    "none at all": ({}, "say labels=COLUMN"),
    "fractions": ({"labels": np.arange(90) / 7}, "fractions or infinite"),
}


@pytest.mark.parametrize("what", LABELS)
def test_labels_that_cannot_be_a_block_are_refused(what: str) -> None:
    options, said = LABELS[what]
    with pytest.raises(er.InputError, match=said):
        er.load_data(X, observed="label", **options)
    with pytest.raises(er.InputError, match="must be 'label'"):
        er.load_data(X, labels=Y, observed="kind")


@pytest.mark.parametrize(
    "missing", [-1, None, np.nan, "", "-1"], ids=["minus one", "None", "NaN", "empty", "the word minus one"]
)
def test_a_missing_label_may_be_written_in_many_ways(missing: object) -> None:
    words = missing in ("", "-1") or missing is None
    labels = [missing if known < 0 else (f"k{known}" if words else int(known)) for known in KNOWN]
    data = er.load_data(X, labels=labels, observed="label", validation=20, test=20)
    value, known = data.train.observed["label"]
    rows = data.train.index.numpy()
    assert (known.numpy() == (KNOWN[rows] >= 0)).all()
    assert (value.argmax(1).numpy()[known] == KNOWN[rows][known]).all()
    assert data.beside_classes["label"] == ([f"k{i}" for i in range(3)] if words else ["0", "1", "2"])
    assert data.train.labels is None
    whole = er.load_data(X, labels=Y, observed="label")
    assert whole.train.labels is not None
    assert bool(whole.train.observed["label"][1].all())


def test_no_labelled_example_or_block_is_said_before_training() -> None:
    vae = build(SMALL | {"latents": 2}, DATA)
    blank = copy.copy(DATA)
    blank.train = DATA.train[~DATA.train.observed["label"][1]]
    with pytest.raises(er.InputError, match="No training example is labelled"):
        er.fit(vae, blank, SemiSupervised(), epochs=1, progress=False)
    plain = er.load_data(X, validation=20, test=20)
    with pytest.raises(er.CapabilityError, match="needs one block of classes that is known"):
        er.fit(build({"latents": 2, "widths": [8]}, plain), plain, SemiSupervised(), epochs=1, progress=False)
    with pytest.raises(er.InputError, match="SemiSupervised needs a weight of 0 or more"):
        SemiSupervised(weight=-1.0)


def test_layers_on_top_of_a_model_that_does_not_fit_are_refused() -> None:
    m1 = build({"latents": 2, "widths": [8]}, DATA)
    for words, said in (
        ({"latents": 2, "classes": "label"}, "of two layers or more"),
        (
            {"latents": [3, 2], "classes": "label"},
            r"The model below has 2 latents and the lowest layer of the recipe 3",
        ),
    ):
        with pytest.raises(er.InputError, match=said):
            build(words, DATA, below=m1)
    other = er.load_data(X * 7 + 1, labels=KNOWN, observed="label", validation=20, test=20)
    with pytest.raises(er.InputError, match="made for other data"):
        build({"latents": [2, 2], "classes": "label"}, other, below=m1)
