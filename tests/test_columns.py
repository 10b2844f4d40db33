"""What each column of a table is, and that rounding, ties and atoms neither win nor lose a nat."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

import elbowroom as er
from elbowroom.data.columns import column_support, judge_columns, recorded_step
from elbowroom.data.determined import determined
from elbowroom.data.repeats import repeats_of
from elbowroom.likelihoods import NormalWithAtoms
from elbowroom.numerics import InputError, Support
from elbowroom.preprocess import Atoms, Codes, Columns, Rounded, Standardise

N = 400


def draws(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def zeros_of(share: float, x: np.ndarray, value: float = 0.0) -> np.ndarray:
    return np.where(draws(9).random(len(x)) < share, value, x)


NORMAL, WAIT = draws(1).normal(size=N), draws(2).exponential(size=N)
COLUMNS = {
    "reals": (NORMAL, Support("real")),
    "reals in 32 bits": (NORMAL.astype("f4").astype("f8"), Support("real")),
    "metres of a map": (5_411_000 + 0.05 * draws(4).normal(size=N), Support("real")),
    "flag": ((NORMAL > 0).astype(float), Support("binary")),
    "signs": (np.sign(NORMAL), Support("binary", values=(-1.0, 1.0))),
    "two reals": (np.where(NORMAL > 0, 2.5, -1.5), Support("binary", values=(-1.5, 2.5))),
    "marks": (draws().integers(3, 9, N).astype(float), Support("grid", 6, values=(3.0, 4.0, 5.0, 6.0, 7.0, 8.0))),
    "years of age": (draws().integers(0, 91, N).astype(float), Support("grid", 91)),
    "tens": (10.0 * draws().integers(1, 5, N), Support("grid", 4, values=(10.0, 20.0, 30.0, 40.0))),
    "doses": (draws().choice([0.1, 0.5, 2.2], N), Support("grid", 3, values=(0.1, 0.5, 2.2))),
    "counts": (draws().poisson(np.exp(4 + NORMAL)).astype(float), Support("counts")),
    "salaries": (30_000 + draws().integers(0, 90_000, N).astype(float), Support("real", step=1.0)),
    "tenths": (np.round(NORMAL, 1), Support("real", step=0.1)),
    "halves of tenths": (np.round(20 * NORMAL) / 20, Support("real", step=0.05)),
    "z-scored whole numbers": ((draws().integers(0, 60, N) - 29.3) / 17.77, Support("real", step=1 / 17.77)),
    "rain": (zeros_of(0.6, WAIT), Support("real", atoms=(0.0,))),
    "rain to the tenth": (zeros_of(0.6, np.round(10 * WAIT, 1)), Support("real", atoms=(0.0,), step=0.1)),
    "ages filled by their median": (zeros_of(0.21, 30 + 9 * NORMAL, 29.7), Support("real", atoms=(29.7,))),
    "cut at both ends": (np.clip(NORMAL, -1, 1), Support("real", atoms=(-1.0, 1.0))),
    "shares": (draws().random(N), Support("unit")),
    "constant": (np.full(N, 3.5), None),
    "nothing": (np.full(N, np.nan), None),
}


@pytest.mark.parametrize(("values", "expected"), COLUMNS.values(), ids=COLUMNS)
@pytest.mark.parametrize("gaps", [False, True])
def test_a_column_is_what_a_person_would_say(values, expected, gaps):
    values = np.where(draws(7).random(N) < 0.1, np.nan, values) if gaps else values
    found, why = column_support(values)
    assert why
    if expected is None:
        assert found is None
        return
    assert (found.kind, found.levels) == (expected.kind, expected.levels)
    assert found.values == pytest.approx(expected.values)
    assert found.atoms == pytest.approx(expected.atoms)
    assert found.step == (expected.step and pytest.approx(expected.step, rel=1e-6))


def test_tied_values_without_a_step_have_ranks():
    """Few values that repeat: the levels are the values, whatever lies between them."""
    found, _ = column_support(draws().choice(draws(3).normal(size=90), N))
    assert found.kind == "grid"
    assert found.levels == len(found.values) <= 90


def test_repeated_rows_are_no_ties():
    x = draws().normal(size=(12, 3))
    assert all(one.support == Support("real") for one in judge_columns(np.repeat(x, 10, 0), list("abc"), {}))


A, B, C = np.exp(0.5 * draws(5).normal(size=(3, N)))
DETERMINED = {
    "a sum": (np.stack([A, B, C, A + B + C], 1), {3: [0, 1, 2]}),
    "a sum that was rounded": (np.round(np.stack([A, B, C, A + B + C], 1), 4), {3: [0, 1, 2]}),
    "percentages": (100 * np.stack([A, B, C], 1) / (A + B + C)[:, None], {2: [0, 1]}),
    "another scale": (np.stack([A, B, 32 + 1.8 * A], 1), {2: [0]}),
    "body mass index": (np.stack([A, B, A / B**2], 1), {2: [0, 1]}),
    "nothing": (np.stack([A, B, C], 1), {}),
    "nearly a sum": (np.stack([A, B, A + B + 0.01 * C], 1), {}),
    "more columns than rows": (draws().normal(size=(10, 20)), {}),
}


@pytest.mark.parametrize(("x", "expected"), DETERMINED.values(), ids=DETERMINED)
def test_columns_that_others_determine_are_found(x, expected):
    steps = [1e-4 if (np.round(x, 4) == x).all() else 0.0] * x.shape[1]
    assert determined(x, steps) == expected


def test_a_table_of_every_kind_is_said_column_by_column():
    frame = pd.DataFrame({name: values for name, (values, _) in COLUMNS.items() if name != "nothing"})
    frame["total"] = frame["reals"] + frame["metres of a map"]
    data = er.load_data(frame)
    said = str(data)
    assert "column      total: determined by reals, metres of a map" in said
    assert "'constant' is always 3.5" in " ".join(data.notes)
    assert not {"constant", "total"} & set(data.columns)
    assert (
        len(data.support.columns) == len(data.columns) == frame.shape[1] - 3
    )  # "reals in 32 bits" are the reals again
    x = data.train.x
    y, log_jacobian = data.preprocess(x, torch.rand(x.shape, generator=torch.Generator().manual_seed(0)))
    assert torch.isfinite(y).all()
    assert torch.isfinite(log_jacobian).all()
    torch.testing.assert_close(data.preprocess.inverse(y), x.double(), rtol=1e-5, atol=3e-5 * 5e3)


def test_one_kind_of_log_density_where_whole_numbers_stand_among_continuous_ones():
    celsius = np.round(15 + 12 * NORMAL)
    table = np.stack([NORMAL, WAIT, celsius], 1)
    data = er.load_data(table)
    after = data.preprocess.support(data.support)
    assert after == Support("real")
    assert data.support.columns[2].step == 1.0
    mixed = er.load_data(np.column_stack([table, NORMAL > 1]))
    assert [one.kind for one in mixed.support.columns] == ["real", "real", "grid", "binary"]


def test_all_columns_constant_is_one_sentence():
    with pytest.raises(InputError, match="No column is left to model: '0' is always 5"):
        er.load_data(np.full((N, 2), 5.0))


def test_codes_are_ranks_and_back():
    codes = Codes([-1.0, 0.5, 7.0])
    x = torch.tensor([[7.0, -1.0], [0.5, 0.5]])
    y, log_jacobian = codes(x)
    assert y.tolist() == [[2.0, 0.0], [1.0, 1.0]]
    assert log_jacobian.tolist() == [0.0, 0.0]
    assert torch.equal(codes.inverse(y).float(), x)
    assert codes.outside(torch.tensor([7.0, 0.0, torch.nan])).tolist() == [False, True, False]


def test_what_is_rounded_to_nothing_is_no_negative_zero():
    """−0 would be another number than 0 in a file of text, and to whoever divides by it."""
    back = Rounded([1.0, 0.1], [0.0, 0.0]).inverse(torch.tensor([[-0.2, -0.03]], dtype=torch.float64))
    assert not torch.signbit(back).any()


def test_a_rounded_column_scores_probabilities_of_its_steps():
    """E_u log p(x + step · u) + log step is below log P(step around x), and their sum over all values is below 1."""
    tenths = Rounded([0.1], [0.0])
    values = torch.arange(-60, 61, dtype=torch.float64)[:, None] / 10
    scores = []
    for u in (torch.arange(200, dtype=torch.float64) + 0.5) / 200:
        y, log_jacobian = tenths(values, u.expand(values.shape))
        scores.append(torch.distributions.Normal(0.0, 1.0).log_prob(y).sum(1) + log_jacobian)
    bound = torch.stack(scores).mean(0)
    exact = np.log(stats.norm.cdf(values[:, 0] + 0.05) - stats.norm.cdf(values[:, 0] - 0.05))
    assert (bound.numpy() <= exact + 1e-6).all()
    np.testing.assert_allclose(bound.numpy(), exact, atol=0.02)
    assert bound.exp().sum() <= 1
    assert tenths.outside(torch.tensor([[0.1], [0.15]])).flatten().tolist() == [False, True]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_atoms_keep_their_probability_and_the_rest_its_density(dtype):
    """p(x) of a fitted atom model integrates to 1 on the user's scale: atoms by sum, the rest by quadrature."""
    standardise = Standardise((1,)).fit(torch.tensor([[1.0], [5.0], [9.0]]))
    atoms = Atoms(standardise, [0.0, 3.0])
    family = NormalWithAtoms(None, 1, atoms.support(Support("real", atoms=(0.0, 3.0))).atoms)
    raw = torch.tensor([0.3, -0.5, 0.2, 0.9], dtype=dtype).view(4, 1, 1, 1)

    def log_density(x):
        x = torch.as_tensor(x, dtype=dtype).view(-1, 1)
        y, log_jacobian = atoms(x)
        p = family.to(dtype).distribution(raw.expand(4, 1, len(x), 1).unbind(0), {})
        return (p.log_prob(y)[0] + log_jacobian).detach().double().numpy()

    grid = np.linspace(-80, 80, 400_002)
    total = np.trapezoid(np.exp(log_density(grid)), grid) + np.exp(log_density([0.0, 3.0])).sum()
    assert total == pytest.approx(1, abs=1e-4)
    x = torch.tensor([[0.0], [3.0], [2.0]], dtype=dtype)
    torch.testing.assert_close(atoms.inverse(atoms(x)[0]).to(dtype), x)


def test_a_trained_model_beats_no_truth_on_rain():
    """A VAE on zeros and exponentials, against the entropy of what made them: no spike wins more than there is."""
    x = np.stack([zeros_of(0.6, WAIT), np.round(NORMAL, 1)], 1)
    data = er.load_data(x)
    vae = er.models.build({"latents": 1, "widths": [16]}, data)
    er.fit(vae, data, epochs=20, lr=1e-2, progress=False)
    found = er.evidence.iwae(vae, data.test, draws=64)
    test = data.test.x.double().numpy()
    truth = np.where(test[:, 0] == 0, np.log(0.6), np.log(0.4) + stats.expon.logpdf(test[:, 0]))
    truth += np.log(stats.norm.cdf(test[:, 1] + 0.05) - stats.norm.cdf(test[:, 1] - 0.05))
    assert found.mean < truth.mean() + 3 * found.se_total
    assert found.mean > truth.mean() - 1
    samples = vae.sample(2_000).numpy()
    assert (samples[:, 0] == 0).mean() == pytest.approx(0.6, abs=0.08)
    np.testing.assert_allclose(samples[:, 1] * 10, np.round(samples[:, 1] * 10), atol=1e-4)


def test_the_recipe_of_every_column_kind_is_read_back():
    frame = pd.DataFrame({name: values for name, (values, _) in COLUMNS.items() if name not in ("nothing", "constant")})
    data = er.load_data(frame)
    assert isinstance(data.preprocess, Columns)
    again = er.recipes.build(er.recipes.recipe_of(data.preprocess))
    again.load_state_dict(data.preprocess.state_dict())
    x = data.test.x
    u = torch.rand(x.shape, generator=torch.Generator().manual_seed(1))
    assert torch.equal(again(x, u)[0], data.preprocess(x, u)[0])


@pytest.mark.parametrize("word", ["dequantise", "dequantise-symmetric", "standardise"])
def test_maps_of_grids_count_levels_from_where_they_begin(word):
    marks = draws().integers(-3, 3, (N, 1)).astype(float)
    from_zero, data = er.load_data(marks + 3, preprocess=word), er.load_data(marks, preprocess=word)
    u = torch.rand(len(data.train), 1, generator=torch.Generator().manual_seed(2))
    for got, expected in zip(data.preprocess(data.train.x, u), from_zero.preprocess(from_zero.train.x, u), strict=True):
        torch.testing.assert_close(got, expected)
    torch.testing.assert_close(data.preprocess.inverse(data.preprocess(data.train.x, u)[0]), data.train.x.double())


def test_levels_that_nobody_coded_are_refused_before_training():
    marks = draws().integers(-3, 3, (N, 1)).astype(float)
    data = er.load_data(marks, preprocess="none")
    vae = er.models.build({"latents": 1, "widths": [4]}, data)
    with pytest.raises(InputError, match="count them from 0: load it with preprocess='auto'"):
        er.fit(vae, data, epochs=1, progress=False)
    with pytest.raises(InputError, match="Binarising needs"):
        er.load_data(marks, preprocess="binarise-fixed")


def test_dry_days_that_repeat_are_reckoned_by_chance_and_are_no_leak():
    x = np.stack([draws(1).integers(0, 2, N) * 1.0, zeros_of(0.6, WAIT)], 1)
    repeats = er.load_data(x).repeats
    assert len(repeats.index) > 10
    assert repeats.expected == pytest.approx(len(repeats.index), abs=3 * len(repeats.index) ** 0.5)


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        ([10115, 20095, 50667, 80331], 4),  # post codes
        ([100234, 100999, 205511, 309877], 4),
        ([110, 230, 400, 690], 4),  # volts
        ([0, 1, 2, 40], 41),  # numbers with one far out
        ([0, 3, 5], 6),
        ([60, 70, 80], 3),
    ],
)
def test_a_few_whole_numbers_far_apart_have_a_probability_each(values: list[int], levels: int):
    """A density beside frequencies loses ten nats on post codes, and draws none of them."""
    data = er.load_data(pd.DataFrame({"code": draws().choice(values, N), "y": draws(1).normal(size=N)}))
    support, _ = data.support.columns
    assert (support.kind, support.levels) == ("grid", levels)


def test_what_chance_repeats_is_what_shuffled_columns_repeat():
    """Two decimals beside three words: many values are unique, and were given a share of half a row each."""
    x = np.stack([draws(1).normal(10, 2, 400).round(2), draws(2).integers(0, 3, 400)], 1)
    rows = np.unique(x, axis=0, return_inverse=True)[1].ravel()
    test, others = np.arange(80), np.arange(80, 400)
    for part in (others, others[:40]):
        said = repeats_of(x, rows, part, test, Support("real", step=0.01))
        shuffle, counts = np.random.default_rng(0), []
        for _ in range(200):
            y = np.stack([shuffle.permutation(column) for column in x.T], 1)
            there = {tuple(row) for row in y[part]}
            counts.append(sum(tuple(row) in there for row in y[test]))
        assert said.expected == pytest.approx(np.mean(counts), rel=0.3, abs=0.3)


def test_a_value_next_to_none_makes_no_step_that_cannot_be_counted():
    tiny = np.array([0.0, np.finfo(float).tiny, 4.2265625])
    assert recorded_step(tiny, even=True) is None
    assert recorded_step(np.array([0.0, 1 / 3, 2 / 3, 1.0]), even=True) == pytest.approx(1 / 3)
