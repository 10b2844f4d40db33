"""Features that are tested alone, together: what is told of a model stays the quantity that it is said to be."""

import copy
import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import norm
from torch import Tensor, nn

import elbowroom as er
from elbowroom.ledger import symptoms_of_posterior
from elbowroom.ledger._audit import _as_a_file
from elbowroom.ledger._context import ContextBudget, context
from elbowroom.ledger.aggregate import AggregateBudget
from elbowroom.ledger.symptoms import symptoms
from elbowroom.ledger.symptoms_budget import SymptomBudget


class Rows(nn.Module):
    """Fixed numbers of linear maps: weights [outputs, inputs] and a bias, of the inputs side by side."""

    def __init__(self, weight: list[list[float]], bias: list[float] | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))
        self.bias = nn.Parameter(torch.tensor(bias or [0.0] * len(weight)))

    def forward(self, *read: Tensor) -> Tensor:
        return torch.cat([one.flatten(1) for one in read], 1) @ self.weight.T + self.bias


def semi_supervised() -> tuple[er.VAE, er.data.Dataset]:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(160, 2)), rng.integers(0, 4, 160)
    data = er.load_data(x, labels=y, observed="label", validation=40, test=40)
    return er.models.build({"latents": 1, "widths": [], "classes": "label"}, data).double(), data


def without_labels(data: er.data.Dataset) -> er.data.Dataset:
    parts = {name: copy.copy(part) for name, part in data.parts.items()}
    for part in parts.values():
        part.observed = {}
    return dataclasses.replace(data, **parts)


def test_what_a_known_class_costs_is_in_no_comparison_of_an_audit() -> None:
    """log p(x, y) lies below log p(x) by what y costs: neither a classic nor another part of the data pays that."""
    vae, data = semi_supervised()
    budget = SymptomBudget(annealed=0, bounds=30, steps=2, draws=8, refine_draws=1)
    known, free = (symptoms(vae, one, budget=budget) for one in (data, without_labels(data)))
    assert known.classic is not None
    assert (known.classic, known.generalisation) == (free.classic, free.generalisation)
    few = ContextBudget(draws=2, bounds=30, units=4, samples=0, aggregate=AggregateBudget(4, 4, 4, 4, 99, 1))
    found = [context(vae, one, few, seed=0, memory="1 GiB", progress=False)[0] for one in (data, without_labels(data))]
    assert found[0].generalisation == found[1].generalisation
    assert found[0].elbo.mean < found[1].elbo.mean - 0.3


def test_units_are_judged_by_their_own_intervals_whatever_the_order_of_the_blocks() -> None:
    """x = 2 (a, b) + noise; q of a is half as wide as the posterior, q of b exact; p draws b before a."""
    variance = 1 / (1 + 16)
    weights = {"a": [2 / 0.25 * variance, 0.0], "b": [0.0, 2 / 0.25 * variance]}

    def model(narrow: float) -> er.VAE:
        spread = {"a": narrow * math.sqrt(variance), "b": math.sqrt(variance)}
        q = {
            name: er.posteriors.DiagonalNormal(
                Rows([own, [0.0, 0.0]], [0.0, math.log(spread[name])]), 1, spread="exp", floor=0.0
            )
            for name, own in weights.items()
        }
        prior = {name: er.priors.StandardNormal(1) for name in ("b", "a")}
        p_x = er.likelihoods.Normal(Rows([[2.0, 0.0], [0.0, 2.0]]), 2, scale=0.5, given=("a", "b"))
        return er.VAE(prior, q, p_x)

    x = er.numerics.as_rows(2.0 * torch.randn(20, 2, generator=torch.Generator().manual_seed(0)))
    small = SymptomBudget(annealed=20, temperatures=5, chains=8, leapfrog=2)
    exact = 90 - 100 * (2 * norm.cdf(0.5 * norm.ppf(0.95)) - 1)
    of_a = (True, False)
    _, found = symptoms_of_posterior.annealed_posterior(model(0.5), model(1.0), x, small, of_a, 0, "1 GiB")
    assert abs(found.value - exact) < 4 * found.se + 1.5


def test_samples_under_one_context_are_drawn_one_by_one() -> None:
    p_x = er.likelihoods.Normal(nn.Linear(3, 2), 2, scale=1.0, given=("label",))
    vae = er.VAE(er.priors.StandardNormal(1), er.posteriors.DiagonalNormal(nn.Linear(2, 2), 1), p_x)
    x = vae.sample(200, context={"label": torch.eye(3)[:1]})
    assert x.std(0) == pytest.approx([1.0, 1.0], abs=0.2)


def test_estimates_in_nats_and_in_bits_are_kept_apart() -> None:
    nats = er.Estimate.of([-1.0, -2.0], quantity="log p(x)", estimator="exact", direction="exact")
    bits = nats.bits_per_dimension(4)
    with pytest.raises(er.InputError, match="One estimate is in nats and the other in bits"):
        nats - bits
    with pytest.raises(er.InputError, match="Bits are made of nats, and this estimate is in bits"):
        bits.bits_per_dimension(4)


def test_units_beside_classes_have_no_share_of_the_kl_by_unit() -> None:
    vae, data = semi_supervised()
    found = er.metrics.latent_use(vae, without_labels(data).test)
    assert len(found.kl) == 2  # all classes have one
    assert len(found.active) == 5
    assert found.carriers is None


def test_the_spread_of_a_block_that_reads_another_is_given_x_alone() -> None:
    """z2 = z1 + noise under q, z1 = x / 2 + noise: E[z2 | x] = x / 2, and both noises lie within."""
    q = {
        "z1": er.posteriors.DiagonalNormal(Rows([[0.5], [0.0]], [0.0, math.log(0.6)]), 1, spread="exp", floor=0.0),
        "z2": er.posteriors.DiagonalNormal(
            Rows([[1.0], [0.0]], [0.0, math.log(0.3)]), 1, given=("z1",), spread="exp", floor=0.0
        ),
    }
    prior = {"z2": er.priors.StandardNormal(1), "z1": er.priors.Normal(1, network=nn.Linear(1, 2), given=("z2",))}
    vae = er.VAE(prior, q, er.likelihoods.Normal(nn.Linear(1, 1), 1, given=("z1",)))
    x = torch.randn(3_000, 1, generator=torch.Generator().manual_seed(0))
    found = er.metrics.variance_budget(vae, x, draws=20)
    between = 0.25 * x.var().item()
    assert found.z_between == pytest.approx([between, between], rel=0.05)
    assert found.z_within == pytest.approx([0.36, 0.45], rel=0.05)


def labelled(x: np.ndarray, words: list[str], codes: np.ndarray) -> er.data.Dataset:
    return er.load_data(x, context={"c": np.array(words)[codes]}, preprocess="none", validation=10, test=30)


def test_classes_are_known_by_their_words() -> None:
    """Other data may have the classes in another order, and a context that q alone reads tells nothing of x."""
    rng = np.random.default_rng(0)
    x, codes = rng.normal(size=(90, 2)), rng.integers(0, 2, 90)
    data, other = labelled(x, ["cat", "dog"], codes), labelled(x, ["eel", "dog"], codes)
    vae = er.models.build({"latents": 1, "widths": []}, data)
    assert er.classify(vae, data, draws=2).quantity == "log p(x | c)"
    with pytest.raises(er.InputError, match="The context 'c' means 'dog', 'eel' in these examples and 'cat', 'dog'"):
        er.classify(vae, data, examples=other.test, draws=2)
    with pytest.raises(er.InputError, match="The context 'c' means 'dog', 'eel' in these examples and 'cat', 'dog'"):
        er.classify(vae, other, draws=2)
    blind = er.VAE(
        er.priors.StandardNormal(1),
        er.posteriors.DiagonalNormal(Rows([[1.0] * 4] * 2), 1, given=("x", "c")),
        er.likelihoods.Normal(nn.Linear(1, 2), 2),
    )
    with pytest.raises(er.InputError, match="p of this one reads no context of classes"):
        er.classify(blind, data, draws=2)


@pytest.mark.parametrize("draws", [100, 9_000])
def test_every_example_whose_weights_stayed_unreliable_is_counted(draws: int) -> None:
    """Whether they are weighed together or one by one; blocks over classes cannot be annealed."""
    vae = er.VAE(
        {"y": er.priors.Categorical(2), "z": er.priors.StandardNormal(1)},
        {
            "y": er.posteriors.Categorical(Rows([[0.0] * 2] * 2), 2),
            "z": er.posteriors.DiagonalNormal(Rows([[0.0] * 2] * 2, [4.0, -3.0]), 1),
        },
        er.likelihoods.Normal(Rows([[1.0, 1.0, 0.0]] * 2), 2, scale=0.3, given=("z", "y")),
    )
    found = er.impute(vae, np.array([[0.0, np.nan]] * 5), draws=draws, samples=10)
    assert found.unreliable.all()
    assert "the draws of 5 examples are unreliable and stayed in use" in str(found)


def test_an_audit_gives_the_length_of_a_file_for_whole_rows_alone() -> None:
    """Bits of the cells that are seen, over all cells, are nobody's length; nor are those of x and its class."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 2, (60, 4)).astype(float), rng.integers(0, 2, 60)
    gappy = np.where(rng.random(x.shape) < 0.3, np.nan, x)
    split = {"validation": 10, "test": 20}
    whole, gaps, known = (
        er.load_data(x, **split),
        er.load_data(gappy, **split),
        er.load_data(x, labels=y, observed="label", **split),
    )
    found = [
        _as_a_file(er.models.build({"latents": 1, "widths": []} | words, data), data)
        for data, words in ((whole, {}), (gaps, {}), (known, {"classes": "label"}))
    ]
    assert found == [True, False, False]


def test_a_reconstruction_has_the_class_that_is_known() -> None:
    """And what q tells of the class and of z stays what it tells from x, so that nobody scores a label by itself."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 3)), np.arange(60) % 3 - 1  # -1: not known
    split = {"validation": 10, "test": 20, "observed": "label"}
    data, other = (er.load_data(x, labels=labels, **split) for labels in (y, np.where(y < 0, -1, 1 - y)))
    vae = er.models.build({"latents": 1, "widths": [8], "classes": "label"}, data)
    ours, theirs = vae.reconstruct(data.test), vae.reconstruct(other.test)
    (name,) = data.test.observed
    value, known = data.test.observed[name]
    assert ((ours != theirs).any(1) == known).all()
    given = vae.at_means(data.test)
    assert torch.equal(given[name][0][known], value[known].float())
    shared = vae.preprocess.inverse(vae.likelihood(given).mean[0])
    torch.testing.assert_close(ours, shared.to(ours))
    told, again = vae.encode(data.test), vae.encode(other.test)
    assert all(torch.equal(told[block], again[block]) for block in told)
    assert (told[name] - given[name][0]).abs().amax(1)[known].min() > 0.01


def test_a_categorical_frame_that_was_loaded_is_encoded() -> None:
    """Of whole numbers, and of words with a missing one: pandas takes no strings into such a column."""
    rng = np.random.default_rng(0)
    kinds = np.array(["a", "b", "c"])[rng.integers(0, 3, 80)].astype(object)
    kinds[5] = None
    for column in (pd.Categorical(rng.integers(1, 4, 80)), pd.Categorical(kinds)):
        frame = pd.DataFrame({"g": column, "x": rng.normal(size=80)})
        data = er.load_data(frame, progress=False)
        vae = er.models.build({"latents": 1, "widths": [8]}, data)
        found, rows = vae.encode(frame)["z"], data.test
        torch.testing.assert_close(found[rows.index], vae.encode(rows)["z"])


def test_numbers_are_no_codes_where_classes_are_numbers() -> None:
    """As where a frame has lost its dtype: 1, 2, 3 were taken for the second, third and fourth class."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(1, 5, 80)
    frame = pd.DataFrame({"g": pd.Categorical(kinds), "x": rng.normal(size=80)})
    vae = er.models.build({"latents": 1, "widths": [8]}, er.load_data(frame, progress=False))
    lost = frame.assign(g=kinds)
    torch.testing.assert_close(vae.encode(lost)["z"], vae.encode(frame)["z"])
    gaps = lost.assign(g=np.where(np.arange(80) == 3, np.nan, kinds))
    torch.testing.assert_close(vae.encode(gaps.drop(3))["z"], vae.encode(frame.drop(3))["z"])
    with pytest.raises(er.InputError, match="holds '7', which the model does not know"):
        vae.encode(lost.assign(g=7))


def test_a_linear_vae_is_exact_for_whole_rows_and_refuses_others() -> None:
    vae = er.VAE(
        er.priors.StandardNormal(1),
        er.posteriors.DiagonalNormal(nn.Linear(2, 2), 1),
        er.likelihoods.Normal(nn.Linear(1, 2), 2),
    )
    model = er.exact.LinearVAE(vae)
    for told in (model.log_prob, model.elbo, model.posterior):
        with pytest.raises(er.InputError, match="exact for complete rows, and in these cells are missing"):
            told(torch.tensor([[0.0, math.nan], [1.0, 2.0]]))


def test_a_model_from_fresh_weights_sees_x_on_the_scale_that_it_was_made_for() -> None:
    """Where a restart forgot the mean and spread of real columns, 1000 ± 50 went into its networks as they are."""
    x = 1000 + 50 * np.random.default_rng(0).normal(size=(90, 2))
    data = er.load_data(x, validation=20, test=20)
    vae = er.models.build({"latents": 1, "widths": []}, data)
    found = er.remedies.anneal(vae, data, epochs=1, draws=2)
    for one, other in zip(found.vae.preprocess(data.test.x), vae.preprocess(data.test.x), strict=True):
        torch.testing.assert_close(one, other)
    assert found.elbo_after.mean > -200  # and not −577,921


def test_the_mean_of_log_p_x_given_z_says_what_it_is_given_and_of_which_cells() -> None:
    p_x = er.likelihoods.Normal(Rows([[1.0, 1.0]] * 2), 2, given=("z", "c"))
    vae = er.VAE(er.priors.StandardNormal(1), er.posteriors.DiagonalNormal(nn.Linear(2, 2), 1), p_x)
    x, seen = torch.zeros(3, 2), torch.eye(3)[:, :2] > 0
    for mask, what in ((None, "E log p(x | z, c)"), (seen, "E log p(x_seen | z, c)")):
        rows = er.Batch(x, torch.arange(3), context={"c": torch.ones(3, 1)}, seen=mask)
        assert er.evidence.conditional_log_likelihood(vae, rows, draws=2).per_example.quantity == what
