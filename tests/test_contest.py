"""The contest never fails: degenerate data, wide ones and missing cells get fewer baselines and a sentence."""

import importlib
import math
import tracemalloc

import numpy as np
import pytest
import torch
from invented import study
from scipy import sparse
from scipy.sparse._compressed import _cs_matrix
from staged import records_of, short_contest

import elbowroom as er
from elbowroom.exact import ProbabilisticPCA, fit_normal_with_gaps
from elbowroom.records import ContestRecord
from elbowroom.studies.account import account
from elbowroom.studies.contest import contest, learned
from elbowroom.studies.seen import seen_rows, variance_seen

rng = np.random.default_rng(0)
N = 90
A = rng.normal(size=(N, 1)) @ rng.normal(size=(1, 3)) + 0.3 * rng.normal(size=(N, 3))
SHARES = np.exp(A) / np.exp(A).sum(1, keepdims=True)
PCA_, FACTORS, MIXTURE, ANALYSERS, KERNEL = ALL = (
    "probabilistic PCA",
    "factor analysis",
    "Gaussian mixture",
    "mixture of factor analysers",
    "kernel density",
)
MADE = "masked autoregressive network (MADE)"
NO_FLOW = "The normalising flow is left out: "


@pytest.fixture
def few(monkeypatch) -> None:
    """The settings that the search sets out from."""
    short_contest(monkeypatch)


def raw(x: np.ndarray) -> er.data.Dataset:
    """As it is, whatever `load_data` would make of such columns."""
    return er.load_data(x, support="real", validation=0.2, test=0.2)


DEGENERATE = {
    "constant column": (np.c_[A, np.full(N, 3.5)], {FACTORS, MIXTURE, ANALYSERS}),
    "duplicated column": (np.c_[A, A[:, 0]], {FACTORS, MIXTURE, ANALYSERS}),
    "sum of columns": (np.c_[A, A.sum(1)], {MIXTURE, ANALYSERS}),
    "shares": (SHARES, {MIXTURE, ANALYSERS}),
    "a flag": (np.c_[A, A[:, 0] > 0], {MIXTURE, ANALYSERS}),
    "an atom": (np.c_[A[:, :2], np.maximum(A[:, 2], 0)], {MIXTURE, ANALYSERS}),
    "two values": (np.where(A > 0, 1.5, -2.5), {MIXTURE, ANALYSERS, KERNEL}),
    "every row the same": (np.full((N, 3), 0.3), set(ALL)),
    "repeated rows": (np.repeat(A[:9], 10, 0), {MIXTURE, ANALYSERS, KERNEL}),
}


@pytest.mark.parametrize(("x", "gone"), DEGENERATE.values(), ids=DEGENERATE)
def test_what_has_no_maximum_is_left_out_in_words(few, x, gone) -> None:
    record = contest(raw(x), seed=0, progress=False)
    found = {one.name for one in record.classics}
    assert gone & found == set()
    said = (record.left_out or "").lower()
    for name in set(ALL) - found:
        assert f"{name.lower()} is left out: " in said
    assert all(math.isfinite(one.estimate.mean) for one in record.classics)


ORDINARY = {
    "Gaussian": A,
    "heavy tails": rng.standard_t(2, size=(N, 3)),
    "another scale": 1e30 * A,
    "a small one": 1e-30 * A,
    "one column": A[:, :1],
    "more columns than rows": rng.normal(size=(30, 60)),
    "a column nearly another": np.c_[A, A[:, 0] + 1e-3 * rng.normal(size=N)],
    "six rows": A[:6],
    "twelve rows": A[:12],
}


@pytest.mark.parametrize("x", ORDINARY.values(), ids=ORDINARY)
def test_ordinary_data_have_all_the_baselines(few, x) -> None:
    record = contest(raw(x), seed=0, progress=False)
    assert [one.name for one in record.classics] == [one for one in ALL if one != ANALYSERS or x.shape[1] > 1]
    assert (record.left_out or "").startswith(NO_FLOW)  # of fewer than 60 rows
    assert " settings of baselines were judged by " in record.said


def test_dequantised_images_have_all_the_baselines(few) -> None:
    """Pixels that are always 0 have the variance of their dequantisation alone, far below the mixture's floor."""
    x = rng.integers(0, 256, (N, 12)) * (rng.random((N, 12)) < 0.3)
    x[:, :5] = 0
    record = contest(er.load_data(np.c_[x, 255 * (x[:, 5:6] > 0)]), seed=0, progress=False)
    assert [one.name for one in record.classics] == [*ALL, "normalising flow", MADE]


def test_a_setting_that_cannot_be_fitted_is_passed_over(few, monkeypatch) -> None:
    module = importlib.import_module("elbowroom.studies.mixtures")
    fit = module.fit_normal_mixture

    def fails(x, k, *, uncorrelated, **rest):
        if uncorrelated < 1:
            raise np.linalg.LinAlgError("Singular matrix")
        return fit(x, k, uncorrelated=uncorrelated, **rest)

    monkeypatch.setattr(module, "fit_normal_mixture", fails)
    record = contest(raw(A), seed=0, progress=False)
    assert {one.name: one.setting for one in record.classics}[MIXTURE].startswith("20 components, diagonal")
    monkeypatch.setattr(module, "fit_normal_mixture", lambda x, k, uncorrelated, **rest: fails(x, k, uncorrelated=0.0))
    record = contest(raw(A), seed=0, progress=False)
    said = "The Gaussian mixture is left out: no setting of it can be fitted to these data (Singular matrix)."
    assert said in record.left_out
    assert len(record.classics) == 4


def test_a_study_without_a_baseline_has_a_verdict() -> None:
    kept = records_of(study(2, images=False, vae=-4.0, columns=["a", "b"]))
    before = [kept[stage] for stage in ("load", "train", "choose", "measure")]
    last = account(*before, ContestRecord((), "None could be fitted.", 1.0))
    assert last.difference is None
    assert "has no baseline beside it on held-out" in last.verdict.sentence


def gaps(x: np.ndarray, share: float = 0.2) -> np.ndarray:
    return np.where(np.random.default_rng(1).random(x.shape) < share, np.nan, x)


def test_rows_with_gaps_meet_a_gaussian_that_sees_them_as_they_are(few) -> None:
    data = er.load_data(gaps(A), validation=0.2, test=0.2)
    record = contest(data, seed=0, progress=False)
    assert [one.name for one in record.classics] == [
        "independence model",
        "latent class model",
        "Gaussian with missing cells",
    ]
    assert "they take rows without missing cells" in record.left_out
    mean, std = data.preprocess.mean, data.preprocess.std
    train, test = (
        ((torch.where(b.seen, b.x, torch.nan) - mean) / std).double().numpy()
        for b in (data.train.batch(), data.test.batch())
    )
    gaussian = record.classics[2]
    model = fit_normal_with_gaps(train).shrunk(1 - float(gaussian.setting.split()[-1]))
    expected = model.log_prob(test) - (data.test.batch().seen * torch.log(std)).sum(1).numpy()
    np.testing.assert_allclose(gaussian.estimate.values, expected, rtol=1e-4)
    assert gaussian.estimate.mean > record.classics[0].estimate.mean + 0.5  # columns that tell of each other
    duplicated = er.load_data(gaps(np.c_[A, A[:, 0]]), support="real", validation=0.2, test=0.2)
    assert "The Gaussian with missing cells is left out" in (contest(duplicated, seed=0, progress=False).left_out or "")


def test_the_variance_is_that_of_the_seen_cells() -> None:
    data = er.load_data(gaps(A), validation=0.5, test=0.2)
    rows, _ = seen_rows(data, data.validation, 0, 100)
    assert np.isnan(rows).sum() == int((~data.validation.batch().seen).sum())
    assert variance_seen(data, 0) == pytest.approx(np.nanvar(rows, axis=0, ddof=1).sum())


def test_a_wide_table_is_contested_without_a_matrix_of_its_columns(few) -> None:
    """A table of 30 × 1,200 in 32 bits: PCA is the closed form, and nothing of 1,200 × 1,200 is made."""
    x = (rng.normal(size=(60, 2)) @ rng.normal(size=(2, 1_200)) + rng.normal(size=(60, 1_200))).astype(np.float32)
    data = er.load_data(x)
    tracemalloc.start()
    record = contest(data, seed=0, progress=False)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * 1_200**2
    assert [one.name for one in record.classics] == [one for one in ALL if one != ANALYSERS]
    assert "Over 1,200 columns fewer settings are tried" in record.left_out
    pca = record.classics[0]
    train, test = (((part.x - data.preprocess.mean) / data.preprocess.std).numpy() for part in (data.train, data.test))
    theirs = ProbabilisticPCA.fit(train.astype(np.float64), int(pca.setting.split()[0])).marginal
    expected = theirs.log_prob(torch.from_numpy(test).double()).numpy() - float(data.preprocess.std.log().sum())
    np.testing.assert_allclose(pca.estimate.values, expected, rtol=1e-5)


def test_wide_counts_stay_sparse(monkeypatch) -> None:
    """Never are more than 1,000 rows made dense, and the scores are those of the dense table."""
    counts = rng.poisson(np.where(rng.random((1, 1_100)) < 0.1, 1.0, 0.02), (1_600, 1_100)).astype(np.float32)
    counts[0, 0] = 300.0
    wide = er.load_data(sparse.csr_array(counts), support="counts", validation=200, test=200)
    narrow = er.load_data(counts, support="counts", validation=200, test=200)
    monkeypatch.setattr("elbowroom.studies.contest.BUDGET", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(_cs_matrix, "toarray", guarded(_cs_matrix.toarray))
        record = contest(wide, seed=0, progress=False)
    dense = contest(narrow, seed=0, progress=False)
    assert [one.name for one in record.classics] == ["independence model", "latent class model"]
    for one, other in zip(record.classics, dense.classics, strict=True):
        np.testing.assert_allclose(one.estimate.values, other.estimate.values, rtol=1e-8)


def guarded(toarray):
    """A batch at most may be made dense."""

    def batch_alone(self, *args, **kwargs):
        assert self.shape[0] <= 1_000, f"{self.shape[0]} rows were made dense at once"
        return toarray(self, *args, **kwargs)

    return batch_alone


def test_few_rows_are_dequantised_again_and_again(monkeypatch) -> None:
    """The first copy has the noise of evidence, the others other noise; their moments are those of uniform noise."""
    x = rng.integers(0, 9, (90, 3))
    data = er.load_data(x, validation=0.2, test=0.2)
    train = learned(data, 0)
    assert (train.copies, train.n) == (8, len(data.train))
    once = (data.train.x.numpy() + er.numerics.keyed_uniform((3,), data.train.index, 0).numpy()) / 9
    np.testing.assert_allclose(train.rows[: train.n], once, atol=1e-6)
    grid = np.floor(train.rows.reshape(8, train.n, 3) * 9)
    assert (grid == data.train.x.numpy()).all()
    assert len(np.unique(train.rows)) > 7.9 * once.size
    exact = np.cov((data.train.x.numpy() + 0.5) / 9, rowvar=False) + np.eye(3) / 9**2 / 12
    np.testing.assert_allclose(train.moments.covariance, exact, rtol=1e-5)
    monkeypatch.setattr("elbowroom.studies.contest.most_rows", lambda dimensions: 10)
    some = learned(data, 0)
    assert (some.n, some.moments.rows) == (10, len(data.train))
    np.testing.assert_allclose(some.moments.covariance, np.cov(once, rowvar=False), rtol=1e-4, atol=1e-6)


def test_rows_are_held_within_a_budget_and_it_is_said(monkeypatch) -> None:
    monkeypatch.setattr("elbowroom.studies.seen._MOST_CELLS", 90)
    monkeypatch.setattr("elbowroom.studies.seen._CELLS_AT_ONCE", 60)
    short_contest(monkeypatch)
    data = er.load_data(rng.normal(size=(100, 3)))
    rows, log_jacobian = seen_rows(data, data.train, 0, 5_000)
    assert len(rows) == len(log_jacobian) == 40  # the batch that reaches the budget is the last
    record = contest(data, seed=0, progress=False)
    assert "from the first 40 training rows of 70, as there are 3 columns" in record.left_out
