"""The latent class model against closed forms, scikit-learn's mixture and SciPy."""

import itertools
from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats
from scipy.sparse import csr_matrix
from scipy.special import logsumexp
from sklearn.mixture import GaussianMixture

from elbowroom.exact import LatentClasses, fit_latent_classes
from elbowroom.exact.cells import Cells
from elbowroom.exact.class_families import Counts
from elbowroom.numerics import InputError, Support

KINDS = [Support("categorical", 3), Support("grid", 5), Support("counts"), Support("real"), Support("binary")]


def table(n: int = 600) -> np.ndarray:
    rng = np.random.default_rng(0)
    k = rng.integers(2, size=n)
    return np.column_stack(
        [
            np.where(rng.random(n) < 0.8, 2 * k, rng.integers(3, size=n)),
            rng.binomial(4, 0.2 + 0.6 * k),
            rng.negative_binomial(3, 0.01 + 0.02 * k),
            rng.normal(3 * k, 1 + k),
            rng.random(n) < 0.1 + 0.8 * k,
        ]
    ).astype(float)


def likeliest_counts(x: np.ndarray) -> Any:
    """SciPy's negative binomial at the maximum of its likelihood, which SciPy's optimiser finds."""

    def at(log_r: float) -> Any:
        r = np.exp(log_r)
        return stats.nbinom(r, r / (r + x.mean()))

    found = optimize.minimize_scalar(
        lambda log_r: -at(log_r).logpmf(x).sum(), bounds=(-6.9, 11), method="bounded", options={"xatol": 1e-10}
    )
    return at(found.x)


@pytest.mark.parametrize(("r", "mean", "n"), [(0.05, 3.0, 500), (2.0, 5.0, 300), (3.0, 750.0, 124), (0.5, 0.02, 900)])
def test_counts_are_fitted_by_maximum_likelihood(r, mean, n) -> None:
    """Each of two columns, one with missing cells, as SciPy's optimiser fits what is seen of it."""
    x = np.random.default_rng(0).negative_binomial(r, r / (r + mean), (n, 2)).astype(float)
    x[::7, 1] = np.nan
    found = fit_latent_classes(x, [Support("counts")] * 2, 1).log_prob(x).sum()
    expected = sum(likeliest_counts(seen).logpmf(seen).sum() for seen in (x[:, 0], x[~np.isnan(x[:, 1]), 1]))
    assert expected - 1e-6 < found < expected + 1e-4


def test_counts_of_several_classes_arrive_at_their_maximum() -> None:
    """At the end of the algorithm no dispersion can be moved so that the rows become likelier."""
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.negative_binomial(2, 0.4, (300, 1)), rng.negative_binomial(9, 0.1, (300, 1))]).astype(float)
    model = fit_latent_classes(x, [Support("counts")], 2, steps=400)
    family, best = model.groups[0][1], model.log_prob(x).sum()
    for factor in (0.97, 1.03):
        for k in range(2):
            dispersions = family.dispersions.copy()
            dispersions[k] *= factor
            moved = LatentClasses(model.weights, [([0], Counts(family.means, dispersions))])
            assert moved.log_prob(x).sum() < best + 1e-2


def test_one_class_is_the_product_of_the_columns() -> None:
    x = table()
    found = fit_latent_classes(x, KINDS, 1).log_prob(x)
    expected = sum(
        np.log([(np.sum(x[:, i] == v) + 1) / (len(x) + levels) for v in x[:, i]])
        for i, levels in ((0, 3), (1, 5), (4, 2))
    )
    expected = expected + likeliest_counts(x[:, 2]).logpmf(x[:, 2])
    expected += stats.norm(x[:, 3].mean(), np.sqrt(1.001) * x[:, 3].std()).logpdf(x[:, 3])
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_probabilities_of_all_tables_add_to_one() -> None:
    x = table()[:, [0, 1, 4]]
    model = fit_latent_classes(x, [KINDS[0], KINDS[1], KINDS[4]], 3)
    cells = np.array(list(itertools.product(range(3), range(5), range(2))), dtype=float)
    assert np.exp(model.log_prob(cells)).sum() == pytest.approx(1.0)


def test_two_hidden_groups_are_found_and_what_they_hold() -> None:
    """Conditional probabilities and weights of the model that made the data, within sampling error."""
    x = table(4_000)
    model = fit_latent_classes(x, KINDS, 2)
    low = int(np.argmin(next(family.moments()[0][:, 0] for columns, family in model.groups if columns == [3])))
    assert abs(model.weights[low] - 0.5) < 4 * 0.5 / np.sqrt(4_000)
    tables = next(family for columns, family in model.groups if columns == [0, 1, 4])
    nothing = np.full(3, np.nan)

    def table_of(column: int, levels: int) -> np.ndarray:
        rows = np.tile(nothing, (levels, 1))
        rows[:, column] = range(levels)
        return np.exp(tables.log_prob(Cells(rows))[:, low])

    error = 4 * 0.5 / np.sqrt(2_000)
    np.testing.assert_allclose(table_of(0, 3), [0.8 + 0.2 / 3, 0.2 / 3, 0.2 / 3], atol=error)
    np.testing.assert_allclose(table_of(1, 5), stats.binom(4, 0.2).pmf(range(5)), atol=error)
    np.testing.assert_allclose(table_of(2, 2), [0.9, 0.1], atol=error)
    alone = fit_latent_classes(x, KINDS, 1)
    assert model.log_prob(x).mean() > alone.log_prob(x).mean() + 0.5


def test_normals_alone_are_scikit_learns_diagonal_mixture() -> None:
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.normal(-2, 0.5, (300, 2)), rng.normal(2, [1.0, 0.3], (200, 2))])
    model = fit_latent_classes(x, [Support("real")] * 2, 2, steps=300)
    theirs = GaussianMixture(2, covariance_type="diag", tol=1e-8, max_iter=500, random_state=0).fit(x)
    assert model.log_prob(x).mean() == pytest.approx(theirs.score(x), abs=2e-3)
    within = theirs.weights_ @ theirs.covariances_.sum(1)
    assert model.within == pytest.approx(within, rel=0.02)
    assert model.between + model.within == pytest.approx(x.var(0).sum(), rel=0.01)


def test_posterior_and_moments() -> None:
    x = table()
    model = fit_latent_classes(x, KINDS, 3)
    np.testing.assert_allclose(model.posterior(x).sum(1), 1.0)
    alone = fit_latent_classes(x[:, 1:2], [Support("grid", 5)], 1)
    p = np.array([(np.sum(x[:, 1] == v) + 1) / (len(x) + 5) for v in range(5)])
    assert alone.between == 0.0
    assert alone.within == pytest.approx(p @ np.arange(5) ** 2 - (p @ np.arange(5)) ** 2)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="a support per column and a row or more per class"):
        fit_latent_classes(table(5), KINDS, 6)


def with_gaps(x: np.ndarray, share: float = 0.3) -> np.ndarray:
    return np.where(np.random.default_rng(5).random(x.shape) < share, np.nan, x)


def test_a_missing_cell_is_summed_out() -> None:
    """log p of the seen cells is the sum over all values of the missing ones, whatever the columns are."""
    rng = np.random.default_rng(0)
    x = np.column_stack([table(300)[:, [0, 1, 4]], rng.poisson(1.0 + rng.integers(2, size=300))])
    model = fit_latent_classes(with_gaps(x), [KINDS[0], KINDS[1], KINDS[4], KINDS[2]], 3)
    values = [range(3), range(5), range(2), range(60)]
    for row in with_gaps(x, 0.5)[:6]:
        filled = [[v] if v == v else some for v, some in zip(row, values, strict=True)]
        every = np.array(list(itertools.product(*filled)), dtype=float)
        assert logsumexp(model.log_prob(every)) == pytest.approx(model.log_prob(row[None])[0], abs=1e-8)
    assert model.log_prob(np.full((1, 4), np.nan))[0] == pytest.approx(0.0, abs=1e-12)


def test_columns_with_gaps_are_fitted_to_what_is_seen() -> None:
    """One class: each column by itself, as if its rows without a value were not there."""
    x = with_gaps(table())
    found = fit_latent_classes(x, KINDS, 1)
    for i in range(5):
        alone = np.full_like(x, np.nan)
        alone[:, i] = x[:, i]
        seen = x[~np.isnan(x[:, i]), i : i + 1]
        expected = fit_latent_classes(seen, KINDS[i : i + 1], 1).log_prob(seen)
        np.testing.assert_allclose(found.log_prob(alone)[~np.isnan(x[:, i])], expected, rtol=1e-9)


def test_every_step_of_the_fit_gains_with_gaps_too() -> None:
    """What the smoothed tables maximise: the log-likelihood and that of the rows they are smoothed by."""
    x, kinds = with_gaps(table()[:, [0, 1, 4]]), [KINDS[0], KINDS[1], KINDS[4]]
    alone = fit_latent_classes(x, kinds, 1)

    def gained(steps: int) -> float:
        model = fit_latent_classes(x, kinds, 3, steps=steps)
        total = model.log_prob(x).sum() + np.log(model.weights).sum() / 3
        for i, levels in enumerate((3, 5, 2)):
            cells = np.full((levels, 3), np.nan)
            cells[:, i] = range(levels)
            total += float(np.exp(alone.log_prob(cells)) @ model.groups[0][1].log_prob(Cells(cells)).sum(1))
        return total

    found = [gained(steps) for steps in range(1, 12)]
    assert min(np.diff(found)) > -1e-9
    assert found[-1] > found[0] + 1.0


@pytest.mark.parametrize("kind", [KINDS[2], KINDS[1], KINDS[3]], ids=["counts", "grid", "real"])
def test_sparse_rows_are_the_dense_ones(kind) -> None:
    x = np.random.default_rng(0).poisson(0.3, (200, 12)).clip(max=4).astype(float)
    one, other = (fit_latent_classes(source, [kind] * 12, 1).log_prob(source) for source in (x, csr_matrix(x)))
    np.testing.assert_allclose(one, other, rtol=1e-12)
    grouped = fit_latent_classes(csr_matrix(x), [kind] * 12, 3)
    np.testing.assert_allclose(grouped.log_prob(csr_matrix(x)), grouped.log_prob(x), rtol=1e-10)


def test_wide_counts_find_their_groups() -> None:
    rng = np.random.default_rng(0)
    group = np.arange(60) % 2
    rates = np.where(rng.random((2, 1_500)) < 0.5, 0.02, 0.2)
    x = csr_matrix(rng.poisson(rates[group]).astype(np.float32))
    found = fit_latent_classes(x, [Support("counts")] * 1_500, 2).posterior(x).argmax(1)
    assert max((found == group).mean(), (found != group).mean()) == 1.0
