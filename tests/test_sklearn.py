"""The scikit-learn door: its contract, its numbers against PCA, pipelines and grid searches."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from scipy.stats import nbinom, norm
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.naive_bayes import BernoulliNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import elbowroom as er
from elbowroom.models.words import classes_of, takes
from elbowroom.sklearn import VariationalAutoencoder

quick = {"max_epochs": 3, "network": (8,), "random_state": 0}


@parametrize_with_checks([VariationalAutoencoder(max_epochs=3, network=(8,), draws=8)])
def test_scikit_learns_contract(estimator: Any, check: Any) -> None:
    check(estimator)


def test_the_default_estimator_is_valid_for_one_column_and_few_rows() -> None:
    for x in (np.array([[0.3], [1.7]]), np.random.default_rng(0).normal(size=(5, 1)), np.zeros((3, 2))):
        vae = VariationalAutoencoder(max_epochs=2).fit(x)
        assert np.isfinite(vae.score_samples(x)).all()
        assert vae.transform(x).shape == (len(x), 2)
    assert isinstance(
        VariationalAutoencoder(max_epochs=2).fit([[0.3], [1.7]]).vae_.likelihood, er.likelihoods.Bernoulli
    )


def test_a_linear_model_scores_as_probabilistic_pca() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 1)) @ rng.normal(size=(1, 5)) + 0.5 * rng.normal(size=(200, 5)) + 7
    settings = {"network": (), "scale": "shared", "max_epochs": 60, "learning_rate": 0.05, "validation_fraction": 0}
    vae = VariationalAutoencoder(1, **settings, random_state=0).fit(x)
    scaler = StandardScaler().fit(x)
    pca, standard = PCA(1), scaler.transform(x)
    codes = pca.fit_transform(standard)
    exact = pca.score_samples(standard) - np.log(scaler.scale_).sum()
    found = vae.score_samples(x)
    assert found.mean() == pytest.approx(exact.mean(), abs=0.02)  # measured: 0.003
    assert np.abs(found - exact).max() < 0.3  # measured: 0.17
    assert abs(np.corrcoef(vae.transform(x)[:, 0], codes[:, 0])[0, 1]) > 0.9999


def test_scores_are_log_densities_on_the_scale_of_the_data() -> None:
    """Metres or millimetres: log p falls by log 1000 per column, exactly."""
    x = np.random.default_rng(1).normal(size=(40, 3))
    metres, millimetres = (VariationalAutoencoder(**quick).fit(x * unit).score_samples(x * unit) for unit in (1, 1000))
    assert millimetres == pytest.approx(metres - 3 * np.log(1000), abs=1e-3)


def test_a_density_integrates_to_one() -> None:
    x = np.r_[np.random.default_rng(2).normal(-2, 0.5, 80), np.random.default_rng(3).normal(2, 1, 80)][:, None]
    vae = VariationalAutoencoder(1, max_epochs=40, draws=500, random_state=0).fit(x)
    grid = np.linspace(-12, 12, 2_001)[:, None]
    mass = np.exp(vae.score_samples(grid)).sum() * (grid[1, 0] - grid[0, 0])
    assert 0.97 < mass < 1.005  # a lower bound on log p: a little less than one


def test_neither_order_nor_company_changes_a_row() -> None:
    x = load_digits().data[:60]  # a grid: dequantisation, too, is the same for every row
    vae = VariationalAutoencoder(**quick).fit(x)
    order = np.random.default_rng(0).permutation(60)
    for method in (vae.score_samples, vae.transform):
        whole = method(x)
        assert method(x[order]) == pytest.approx(whole[order], abs=1e-9)
        assert method(x[7:8]) == pytest.approx(whole[7:8], abs=1e-9)


def test_the_same_random_state_gives_the_same_model() -> None:
    x = load_iris().data
    one, two = (VariationalAutoencoder(**quick).fit(x) for _ in range(2))
    other = VariationalAutoencoder(**quick | {"random_state": 1}).fit(x)
    assert (one.score_samples(x) == two.score_samples(x)).all()
    assert (one.sample(5, random_state=3) == two.sample(5, random_state=3)).all()
    assert one.score(x) != other.score(x)


def test_binary_data_get_a_bernoulli() -> None:
    """Independent columns: the best score is the entropy, which naive Bayes with one class reaches."""
    rng = np.random.default_rng(0)
    x = (rng.random((600, 4)) < [0.1, 0.4, 0.5, 0.9]).astype(float)
    vae = VariationalAutoencoder(1, network=(8,), max_epochs=20, learning_rate=0.01, random_state=0).fit(x)
    assert isinstance(vae.vae_.likelihood, er.likelihoods.Bernoulli)
    one_class = BernoulliNB(alpha=0).fit(x, np.zeros(600))
    exact = one_class.predict_joint_log_proba(x).mean()
    assert exact - 0.05 < vae.score(x) < exact + 0.05
    assert set(np.unique(vae.sample(50, random_state=0))) == {0.0, 1.0}
    means = vae.inverse_transform(np.zeros((1, 1)))
    assert means[0] == pytest.approx([0.1, 0.4, 0.5, 0.9], abs=0.12)


def test_whole_numbers_are_dequantised() -> None:
    x = load_digits().data[:200]
    vae = VariationalAutoencoder(**quick).fit(x)
    assert vae.vae_.preprocess.steps[0].levels == 17
    drawn = vae.sample(20, random_state=0)
    assert (drawn == np.round(drawn)).all()
    assert drawn.min() >= 0
    assert drawn.max() <= 16
    counts = np.random.default_rng(0).poisson(400, size=(50, 2))
    assert VariationalAutoencoder(**quick).fit(counts).vae_.preprocess.steps[0].levels == counts.max() + 1


TABLES = {
    "real": np.random.default_rng(0).normal(size=(40, 3)),
    "unit": np.random.default_rng(1).uniform(0.01, 0.99, size=(40, 3)),
    "bits": np.random.default_rng(2).integers(0, 2, (40, 3)).astype(float),
    "levels": np.random.default_rng(3).integers(0, 6, (40, 3)).astype(float),
    "counts": np.random.default_rng(4).poisson(300, (40, 3)).astype(float),
}


@pytest.mark.parametrize("kind", sorted(classes_of("likelihood")))
def test_every_likelihood_of_a_table_is_known(kind: str) -> None:
    """On each table the likelihood scores, transforms and samples, or says why not; on one at least it does."""
    fitted, refusals = 0, list[str]()
    wanted = {"rank": 2, "atoms": [0.0, 1.5]}
    options = {name: value for name, value in wanted.items() if name in takes(classes_of("likelihood")[kind])}
    word = {"kind": kind, **options} if options else kind
    for x in TABLES.values():
        model = VariationalAutoencoder(likelihood=word, **quick)
        try:
            vae = model.fit(x)
        except er.InputError as error:
            refusals.append(str(error))
            continue
        fitted += 1
        assert type(vae.vae_.likelihood).kind == kind
        assert np.isfinite(vae.score_samples(x)).all()
        assert vae.inverse_transform(vae.transform(x)).shape == x.shape
        drawn = vae.sample(20, random_state=0)
        if (x == x.round()).all():
            assert (drawn == drawn.round()).all()
    assert all(re.fullmatch(r"[^\n]+\.", one) for one in refusals)
    assert bool(fitted) == ("image_shape" not in takes(classes_of("likelihood")[kind]))


def test_values_that_come_again_and_again_keep_their_probability() -> None:
    """One dead latent: each column is its zeros' share, and a normal of the rest."""
    x = np.maximum(np.random.default_rng(6).normal(0.5, 1, (400, 2)), 0.0)
    settings = {"max_epochs": 30, "learning_rate": 0.05, "beta": 50.0, "random_state": 0, "scale": "feature"}
    vae = VariationalAutoencoder(1, network=(8,), **settings).fit(x)
    assert isinstance(vae.vae_.likelihood, er.likelihoods.NormalWithAtoms)
    wet = [column[column > 0] for column in x.T]
    share = [len(some) / len(x) for some in wet]
    exact = sum(
        p * (np.log(p) + norm.logpdf(some, some.mean(), some.std()).mean()) + (1 - p) * np.log(1 - p)
        for p, some in zip(share, wet, strict=True)
    )
    assert vae.score(x) == pytest.approx(exact, abs=0.05)
    drawn = vae.sample(1_000, random_state=0)
    assert (drawn != 0).mean(0) == pytest.approx(share, abs=0.06)


def test_counts_score_as_scipys_negative_binomial() -> None:
    """One dead latent: each column is a negative binomial, which SciPy fits by its moments' likelihood."""
    x = np.random.default_rng(5).negative_binomial(4, 0.2, (400, 2)).astype(float)
    settings = {"max_epochs": 60, "learning_rate": 0.05, "beta": 50.0, "random_state": 0}
    vae = VariationalAutoencoder(1, likelihood="negative-binomial", network=(8,), **settings).fit(x)
    best = max(nbinom.logpmf(x, r, r / (r + x.mean(0))).sum(1).mean() for r in np.linspace(2, 8, 61))
    assert vae.score(x) == pytest.approx(best, abs=0.05)


def test_in_a_pipeline() -> None:
    x, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(
        StandardScaler(),
        VariationalAutoencoder(max_epochs=100, learning_rate=0.01, random_state=0),
        KNeighborsClassifier(),
    )
    assert pipeline.fit(x[::2], y[::2]).score(x[1::2], y[1::2]) > 0.8
    names = pipeline[:-1].get_feature_names_out()
    assert list(names) == ["variationalautoencoder0", "variationalautoencoder1"]


def test_grid_search_over_beta_goes_by_held_out_log_density() -> None:
    x = load_iris().data
    model = VariationalAutoencoder(network=(16,), max_epochs=15, learning_rate=0.02, random_state=0)
    search = GridSearchCV(model, {"beta": [1.0, 100.0]}, cv=KFold(2, shuffle=True, random_state=0))
    search.fit(x)
    assert search.best_params_ == {"beta": 1.0}  # at 100 the latent is dead, and iris is far from independent
    assert search.best_score_ == pytest.approx(search.cv_results_["mean_test_score"].max())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"n_components": 0}, "n_components must be 1 or more; got 0"),
        ({"max_epochs": 0}, "max_epochs must be 1 or more; got 0"),
        ({"validation_fraction": 1.0}, "validation_fraction is from 0 to below 1"),
        ({"likelihood": "gauss"}, "no likelihood 'gauss'; there are: .*normal"),
        ({"likelihood": "matern-normal"}, "is over images"),
        ({"likelihood": "negative-binomial"}, "is a probability of the counts"),
        ({"likelihood": "bernoulli"}, "Bernoulli likelihood is a density of binary data"),
        ({"beta": -1.0}, "cannot be negative"),
        ({"learning_rate": 0.0}, "learning_rate must be a positive number"),
        ({"learning_rate": "fast"}, "learning_rate must be a finite number; got 'fast'"),
        ({"n_components": True}, "n_components must be a whole number; got True"),
        ({"n_components": 1.5}, r"n_components must be a whole number; got 1\.5"),
        ({"network": 8}, "network must be a list of whole numbers; got 8"),
        ({"draws": 0}, "draws must be 1 or more"),
        ({"random_state": -1}, "random_state must be a whole number from 0"),
        ({"random_state": True}, "random_state must be a whole number from 0"),
    ],
)
def test_bad_arguments_are_refused_at_fit(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(er.InputError, match=said):
        VariationalAutoencoder(**quick | arguments).fit(load_iris().data)


def test_latents_of_another_width_are_refused() -> None:
    vae = VariationalAutoencoder(**quick).fit(load_iris().data)
    with pytest.raises(er.InputError, match="takes 2 columns, one per component; got 3"):
        vae.inverse_transform(np.zeros((1, 3)))


ROWS = load_iris().data[::3]
BITS = (np.random.default_rng(6).random((60, 5)) < 0.5).astype(float)
LEVELS = np.random.default_rng(7).integers(0, 9, (60, 4)).astype(float)


@pytest.mark.parametrize(
    ("fitted", "scored", "said"),
    [
        (BITS, np.full((4, 5), 0.5), "4 of 4 rows lie outside what the model was made for, 0 or 1: row 0 is the first"),
        (BITS, -BITS - 1, "60 of 60 rows lie outside .*, its column 0 holds -[12] "),
        (BITS, 2 * BITS, r"\d+ of 60 rows lie outside .* holds 2 "),
        (LEVELS, LEVELS + 0.5, r"60 of 60 rows lie outside what the model was made for, whole numbers from 0: "),
        (LEVELS, LEVELS - 20, "60 of 60 rows lie outside .*, whole numbers from 0: "),
    ],
)
@pytest.mark.parametrize("ask", ["score_samples", "score", "transform"])
def test_rows_that_the_fitted_data_exclude_are_refused(ask: str, fitted: Any, scored: Any, said: str) -> None:
    vae = VariationalAutoencoder(1, **quick).fit(fitted)
    getattr(vae, ask)(fitted)
    with pytest.raises(er.InputError, match=rf"^{said}[^\n]*\.$"):
        getattr(vae, ask)(scored)


def test_a_level_above_the_greatest_has_a_score_as_another_fold_may_hold_it() -> None:
    vae = VariationalAutoencoder(1, **quick).fit(LEVELS)
    scores = [vae.score_samples(np.full((1, 4), level))[0] for level in (8.0, 9.0, 20.0)]
    assert scores[0] > scores[1] > scores[2]
    strict = VariationalAutoencoder(1, likelihood="truncated-normal", **quick).fit(LEVELS)
    with pytest.raises(er.InputError, match="the whole numbers 0…8: "):
        strict.score_samples(np.full((1, 4), 9.0))


def test_a_constant_column_has_all_its_mass_on_its_value() -> None:
    plain, with_it = ROWS, np.insert(ROWS, 1, 3.5, axis=1)
    one, two = (VariationalAutoencoder(1, **quick).fit(x) for x in (plain, with_it))
    assert (one.score_samples(plain) == two.score_samples(with_it)).all()
    assert (one.transform(plain) == two.transform(with_it)).all()
    assert two.constant_.tolist()[1] == 3.5
    assert (two.sample(5, random_state=0)[:, 1] == 3.5).all()
    assert (np.delete(two.sample(5, random_state=0), 1, 1) == one.sample(5, random_state=0)).all()
    assert (two.inverse_transform(np.zeros((2, 1)))[:, 1] == 3.5).all()
    other = with_it.copy()
    other[[3, 7], 1] = 4.5
    with pytest.raises(
        er.InputError, match=r"^2 of 50 rows hold another value .*row 3 is the first, its column 1 hold"
    ):
        two.score_samples(other)
    named = VariationalAutoencoder(1, **quick).fit(pd.DataFrame(with_it, columns=list("abcde")))
    with pytest.raises(er.InputError, match=r"its column 'b' holds 4\.5 instead of 3\.5 "):
        named.score_samples(pd.DataFrame(other, columns=list("abcde")))
    with pytest.raises(er.InputError, match="Every column of X is constant"):
        VariationalAutoencoder(1, **quick).fit(np.full((9, 2), 0.5))


def test_any_layout_of_the_same_rows_gives_the_same_numbers() -> None:
    expected = VariationalAutoencoder(1, **quick).fit(ROWS).score_samples(ROWS)
    read_only = ROWS.copy()
    read_only.setflags(write=False)
    wide = np.repeat(np.repeat(ROWS, 2, 0), 2, 1)[::2, ::2]
    for x in (ROWS[::-1].copy()[::-1], wide, ROWS.astype(">f8"), np.asfortranarray(ROWS), read_only, ROWS.tolist()):
        vae = VariationalAutoencoder(1, **quick).fit(x)
        assert (vae.score_samples(x) == expected).all()
        assert vae.inverse_transform(vae.transform(x)[::-1]).shape == ROWS.shape


def test_hyperparameters_of_numpy_are_pythons() -> None:
    said = {"n_components": np.int64(1), "network": np.array([8]), "beta": np.float32(1), "max_epochs": np.int8(3)}
    said |= {"batch_size": np.array(32), "learning_rate": np.float64(3e-3), "draws": np.int64(64)}
    vae = VariationalAutoencoder(**said, random_state=np.int64(0)).fit(ROWS)
    plain = VariationalAutoencoder(1, **quick).fit(ROWS)
    assert (vae.score_samples(ROWS) == plain.score_samples(ROWS)).all()
    assert vae.sample(np.int64(3), random_state=np.int64(0)).shape == (3, 4)
    search = GridSearchCV(VariationalAutoencoder(**quick), {"n_components": np.arange(1, 3)}, cv=2, error_score="raise")
    assert search.fit(ROWS).best_params_["n_components"] in (1, 2)


def test_infinite_and_sparse_cells_are_refused_with_a_way_out() -> None:
    endless = np.where(ROWS > 6, np.inf, ROWS)
    with pytest.raises(er.InputError, match=r"^\d+ cells of X are infinite, the first in row \d+, column 0 .*\.$"):
        VariationalAutoencoder(**quick).fit(endless)
    with pytest.raises(er.InputError, match=r"^X holds words \(could not convert string to float: 'x'\), and"):
        VariationalAutoencoder(**quick).fit(pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]}))
    with pytest.raises(er.InputError, match="squares overflow 64 bits: rescale"):
        VariationalAutoencoder(**quick).fit(ROWS * 1e200)
    with pytest.raises(er.InputError, match=r"^X is sparse, .*give X\.toarray\(\)"):
        VariationalAutoencoder(**quick).fit(scipy.sparse.csr_array(BITS))


def test_columns_in_another_order_are_refused_by_their_names() -> None:
    frame = pd.DataFrame(ROWS, columns=list("abcd"))
    vae = VariationalAutoencoder(1, **quick).fit(frame)
    with pytest.raises(ValueError, match="must be in the same order"):
        vae.score_samples(frame[["d", "c", "b", "a"]])
    with pytest.raises(ValueError, match="Feature names unseen"):
        vae.score_samples(frame.rename(columns={"a": "z"}))


def test_whole_numbers_may_have_missing_cells() -> None:
    x = load_digits().data[:100]
    holes = np.where(np.random.default_rng(0).random(x.shape) < 0.1, np.nan, x)
    scores = VariationalAutoencoder(**quick).fit(holes).score_samples(holes)
    assert np.isfinite(scores).all()
    assert scores.mean() > VariationalAutoencoder(**quick).fit(x).score_samples(x).mean()  # of fewer cells
