"""The search for the best setting of a classic, and the densities that are searched, against independent answers."""

import itertools
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp
from sklearn.decomposition import FactorAnalysis
from sklearn.mixture import GaussianMixture

from elbowroom.exact import (
    FactorMixture,
    factors_of_covariance,
    fit_factor_mixture,
    fit_normal_mixture,
)
from elbowroom.numerics import InputError
from elbowroom.progress import Progress
from elbowroom.studies.candidates import Axis, Family, Fitted, Learned, Moments, floors
from elbowroom.studies.flows import normalising_flow, why_no_flow
from elbowroom.studies.kernels import kernel_density
from elbowroom.studies.search import ending, search
from elbowroom.studies.tuning import tuned

LADDERS = (range(-9, 10), range(20), range(7))


def planted(summit: tuple[int, int, int], costs=lambda setting: 1.0) -> tuple[Family, list[tuple]]:
    """A family that scores by how near a setting is to one of all, along a ridge; and what was asked."""
    axes = [Axis(name, list(rungs), ("no less", "no more")) for name, rungs in zip("abc", LADDERS, strict=True)]
    return Family(
        "planted", tuple(axes), ((-9, 0, 0), (9, 19, 6)), lambda setting, train: Fitted(len, (0.0, 1.0)), str, costs
    ), []


def score(asked: list, summit: tuple[int, int, int], setting: tuple) -> float:
    asked.append(setting)
    a, b, c = (one - other for one, other in zip(setting, summit, strict=True))
    return -float(a * a + b * b + c * c + 0.6 * a * b)


@pytest.mark.parametrize("summit", [(0, 7, 3), (-9, 19, 1), (5, 0, 6), (8, 18, 0)])
def test_the_search_finds_the_summit_of_a_planted_table(summit) -> None:
    """Wherever it is, the edges included, of 2,660 settings by a few; and says where the best stands at an edge."""
    family, asked = planted(summit)
    found = search(family, partial(score, asked, summit), 1e9)
    assert found.setting(found.best) == summit
    assert len(asked) == len(set(asked)) < 130
    ends = sum(value in (rungs[0], rungs[-1]) for value, rungs in zip(summit, LADDERS, strict=True))
    end = ending(found)
    assert end.inside == (ends == 0)
    assert end.said.count("no less") + end.said.count("no more") == ends
    assert end.said.startswith(
        "The best planted is at the edge of what is tried (" if ends else "The best planted is i"
    )
    values = [rungs.index(value) for value, rungs in zip(summit, LADDERS, strict=True)]
    inner = [
        (n, at + (1 if at == 0 else -1))
        for n, at in enumerate(values)
        if LADDERS[n][at] in (LADDERS[n][0], LADDERS[n][-1])
    ]
    beside = [tuple(at if m == n else v for m, v in enumerate(values)) for n, at in inner]
    known = [-score([], summit, found.setting(one)) for one in beside if one in found.tried]
    assert end.won == max(known, default=None)


def test_a_search_that_its_budget_ends_says_what_was_left() -> None:
    summit = (0, 7, 3)
    family, asked = planted(summit)
    found = search(family, partial(score, asked, summit), 9.0)
    assert found.spent == len(asked) == 9
    assert "The search for the best planted spent its budget before " in ending(found).said
    assert not ending(found).inside
    free, _ = planted(summit, costs=lambda setting: 0.0 if setting[0] <= 0 else 1e9)
    found = search(replace(free, starts=((-9, 0, 0),)), partial(score, [], summit), 1.0)
    assert found.setting(found.best) == summit
    assert ending(found).said == "The search for the best planted spent its budget before a above 0 could be tried."
    assert ending(found).won == 1.0  # from a = −1
    before = {(10, 7, 3): 1.0}
    assert ending(found, before).said == "The best planted is inside what was tried."


def test_settings_that_fail_are_walked_around() -> None:
    family, _ = planted((0, 7, 3))
    found = search(family, lambda s: -np.inf if s[1] < 5 else score([], (0, 7, 3), s), 1e9)
    assert found.setting(found.best) == (0, 7, 3)


def test_few_rows_are_judged_by_cross_validation() -> None:
    """The score of a normal with a given variance about the mean of the training rows, added up by hand."""
    rng = np.random.default_rng(0)
    rows, validation = rng.normal(size=(23, 1)), rng.normal(size=(4, 1))

    def fit(setting, train: Learned) -> Fitted:
        normal = stats.norm(train.rows.mean(), setting[0] ** 0.5)
        return Fitted(lambda x: normal.logpdf(x[:, 0]), (0.0, setting[0]))

    variances = tuple(np.round(np.geomspace(0.1, 10, 21), 3))
    family = Family("normal", (Axis("variance", variances),), ((0.1,),), fit, lambda setting: f"{setting[0]}")

    def by_hand(variance: float) -> float:
        parts = [np.arange(23) % 5 == fold for fold in range(5)]
        scores = [fit((variance,), Learned(rows[~part])).scores(rows[part]) for part in parts]
        return float(np.concatenate([fit((variance,), Learned(rows)).scores(validation), *scores]).mean())

    best = tuned(family, Learned(rows), validation, Progress("", None, show=False), budget=1.0)
    assert best.setting == str(max(variances, key=by_hand))
    assert best.fitted.scores(validation) == pytest.approx(
        fit((float(best.setting),), Learned(rows)).scores(validation)
    )


def test_a_column_that_hardly_varies_is_judged_by_both_halves_of_the_training_rows() -> None:
    """It is lit in two rows of one half, and never in validation, which alone would have the narrowest normal."""
    rng = np.random.default_rng(0)
    rows, validation = rng.normal(size=(240, 2)) * [1.0, 1e-3], rng.normal(size=(120, 2)) * [1.0, 1e-3]
    rows[[7, 131], 1] = 0.05

    def fit(setting, train: Learned) -> Fitted:
        scale = np.sqrt(floors(train, 1.0, setting[0]))
        return Fitted(lambda x: stats.norm(0.0, scale).logpdf(x).sum(1), (0.0, 1.0))

    ladder = tuple(np.geomspace(1e-8, 1e-4, 9))
    family = Family("normal", (Axis("common", ladder),), ((1e-8,),), fit, lambda s: f"{s[0]:g}", halved=True)

    def chosen(one: Family) -> float:
        return float(tuned(one, Learned(rows), validation, Progress("", None, show=False), budget=1.0).setting)

    def by_hand(common: float) -> float:
        parts = [np.arange(240) % 2 == half for half in range(2)]
        scores = [fit((common,), Learned(rows[~part])).scores(rows[part]) for part in parts]
        return float(np.concatenate([fit((common,), Learned(rows)).scores(validation), *scores]).mean())

    assert chosen(family) == pytest.approx(max(ladder, key=by_hand))
    assert chosen(replace(family, halved=False)) < chosen(family)
    assert floors(Learned(rows), 0.5, 0.1) == pytest.approx(
        0.5 * rows.var(0, ddof=1) + 0.1 * rows.var(0, ddof=1).mean()
    )
    with pytest.raises(InputError, match="a column has no variance"):
        floors(Learned(rows * [1.0, 0.0]), 0.5, 0.1)


def test_folds_part_the_rows_and_keep_copies_together() -> None:
    train = Learned(np.arange(24.0)[:, None], 2, np.arange(12.0)[:, None], np.ones(1))
    for fold in range(5):
        rest, held_out = train.fold(fold, 5)
        assert set(held_out[:, 0] % 12) == {i for i in range(12) if i % 5 == fold}
        assert rest.n + len(held_out) // 2 == 12
        assert set(rest.rows[:, 0] % 12) == set(rest.centres[:, 0])
    exact = Moments.of(train.centres, train.noise)
    assert exact.covariance[0, 0] == pytest.approx(np.arange(12).var(ddof=1) + 1.0)


def clusters(n: int = 400, columns: int = 4) -> np.ndarray:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, columns)) @ rng.normal(size=(columns, columns)) + 4 * (np.arange(n) % 2)[:, None]
    return (x - x.mean(0)) / x.std(0)


@pytest.mark.parametrize(
    ("kind", "shape"),
    [("full", {}), ("tied", {"pooled": 1.0}), ("diag", {"uncorrelated": 1.0})],
    ids=lambda one: str(one),
)
def test_mixtures_are_scikit_learns_at_the_corners(kind, shape) -> None:
    """From the same clusters to the same maximum: columns of variance 1 have the same floor in both."""
    x, held_out = clusters(), clusters(40) + 0.1
    theirs = GaussianMixture(2, covariance_type=kind, reg_covar=0.01, tol=1e-6, max_iter=500, random_state=0).fit(x)
    model = fit_normal_mixture(x, 2, floor=0.01, **shape)
    for _ in range(8):  # steps end early: go on from where they ended
        model = fit_normal_mixture(x, 2, floor=0.01, start=model, **shape)
    np.testing.assert_allclose(model.log_prob(held_out), theirs.score_samples(held_out), atol=0.02)
    assert model.between + model.within == pytest.approx(x.var(0).sum() + 0.01 * x.shape[1])
    np.testing.assert_allclose(
        model.widened(0.5).log_prob(held_out),
        logsumexp(
            [
                np.log(w) + stats.multivariate_normal(m, c + 0.5 * np.eye(4)).logpdf(held_out)
                for w, m, c in zip(model.weights, model.means, _full(model), strict=True)
            ],
            axis=0,
        ),
    )


def _full(model) -> np.ndarray:
    full = np.stack([np.diag(one) for one in model.covariances]) if model.diagonal else model.covariances
    return np.broadcast_to(full, (len(model.weights), *full.shape[1:]))


def test_covariances_are_drawn_together_and_apart() -> None:
    """One step from given groups: (1 − b) of what pooling by a leaves off the diagonal, and the floor on it."""
    x, groups = clusters(), np.arange(400) % 2
    model = fit_normal_mixture(x, 2, pooled=0.3, uncorrelated=0.6, floor=0.05, groups=groups, steps=0)
    each = np.stack([np.cov(x[groups == k].T, bias=True) for k in range(2)])
    drawn = 0.7 * each + 0.3 * each.mean(0)
    own = np.eye(4) * drawn
    np.testing.assert_allclose(model.covariances, own + 0.4 * (drawn - own) + 0.05 * np.eye(4), atol=1e-10)


def test_factor_analysis_from_a_covariance_is_scikit_learns() -> None:
    x = clusters(columns=6)
    model = factors_of_covariance(x.mean(0), np.cov(x.T, bias=True), 2)
    theirs = FactorAnalysis(2, tol=1e-6, max_iter=3_000, svd_method="lapack").fit(x)
    assert model.log_prob(x).mean() == pytest.approx(theirs.score(x), abs=2e-3)
    held = factors_of_covariance(x.mean(0), np.cov(x.T, bias=True), 2, floor=np.full(6, 0.3))
    assert held.noise.min() >= 0.3 - 1e-9


def test_a_mixture_of_factor_analysers_is_its_sum_and_every_step_gains() -> None:
    x = clusters()
    model = fit_factor_mixture(x, 3, 2, floor=0.01, steps=5)
    parts = [
        np.log(w) + stats.multivariate_normal(one.mean, one.loadings.T @ one.loadings + np.diag(one.noise)).logpdf(x)
        for w, one in zip(model.weights, model.parts, strict=True)
    ]
    np.testing.assert_allclose(model.log_prob(x), logsumexp(parts, axis=0), rtol=1e-8)
    scores = [fit_factor_mixture(x, 2, 1, floor=0.0, steps=n).log_prob(x).mean() for n in range(2, 9)]
    assert min(np.diff(scores)) > -1e-9
    alone = factors_of_covariance(x.mean(0), np.cov(x.T, bias=True), 1)
    one = FactorMixture(np.ones(1), (alone,))
    np.testing.assert_allclose(
        fit_factor_mixture(x, 1, 1, floor=0.0, start=one).log_prob(x), one.log_prob(x), atol=0.05
    )


def test_a_kernel_of_the_datas_shape_is_scipys() -> None:
    x, held_out = clusters(60), clusters(30) + 0.1
    width = 2 ** (-4 / 4)
    fitted = kernel_density(60, 4).fit((width, 1.0), Learned(x))
    factor = width * np.sqrt(np.trace(np.cov(x.T)) / 4)
    unit = np.trace(np.cov(x.T)) / 4
    theirs = stats.gaussian_kde(x.T, bw_method=factor / np.sqrt(unit))
    np.testing.assert_allclose(fitted.scores(held_out), theirs.logpdf(held_out.T), rtol=1e-6)
    round_one = kernel_density(60, 4).fit((width, 0.0), Learned(x)).scores(held_out)
    by_hand = [stats.norm(x, factor).logpdf(row).sum(1) for row in held_out]
    np.testing.assert_allclose(round_one, logsumexp(by_hand, axis=1) - np.log(60), rtol=1e-8)


def test_a_flow_is_a_density_on_the_scale_of_the_data(monkeypatch) -> None:
    """It adds up to 1 over the plane, and is the same whatever was drawn before."""
    monkeypatch.setattr("elbowroom.studies.flows._MOST_STEPS", 20)
    x = clusters(columns=2) * [3.0, 0.2]
    fitted = normalising_flow(x[:100], 0).fit((32,), Learned(x[100:]))
    a, b = np.linspace(-24, 24, 161), np.linspace(-1.6, 1.6, 161)
    grid = np.array(list(itertools.product(a, b)))
    assert np.exp(fitted.scores(grid)).sum() * (a[1] - a[0]) * (b[1] - b[0]) == pytest.approx(1.0, abs=0.02)
    again = normalising_flow(x[:100], 0).fit((32,), Learned(x[100:]))
    np.testing.assert_array_equal(again.scores(x[:5]), fitted.scores(x[:5]))
    normal = stats.multivariate_normal(x.mean(0), np.cov(x.T)).logpdf(x[:100]).mean()
    assert fitted.scores(x[:100]).mean() > normal - 0.2
    assert "over 100 columns" in why_no_flow(500, 101)
    assert "60 rows or more" in why_no_flow(59, 5)
    assert why_no_flow(60, 5) is None
