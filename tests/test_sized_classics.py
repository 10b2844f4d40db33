"""Classics that are given the size of each row: SciPy's masses, and a planted model found again."""

import numpy as np
import pytest
from scipy import stats
from test_size_block import cells

from elbowroom.studies.contest import rivals
from elbowroom.studies.sized import _fitted, _log_counts, _rows


def test_masses_are_scipy_s() -> None:
    x = np.array([[0.0, 3.0, 400.0], [1.0, 0.0, 2.0]])
    mean, r = np.array([[0.2, 3.0, 90.0], [2.0, 0.1, 5.0]]), np.array([0.5, 40.0, np.inf])
    truth = np.where(
        np.isinf(r), stats.poisson(mean).logpmf(x), stats.nbinom(np.minimum(r, 1e6), 1 / (1 + mean / r)).logpmf(x)
    )
    assert _log_counts(x, mean, r) == pytest.approx(truth, rel=1e-9)


def test_they_are_given_what_the_vae_is_given_and_classes_are_found() -> None:
    data = cells(400, latent=False)
    found, said, how = rivals(data, 0, False)
    by = {one.name: one for one in found}
    assert list(by) == ["Poisson independence model", "independence model", "latent class model"]
    assert {one.estimate.quantity for one in found} == {"log p(x | batch, size)"}
    assert by["latent class model"].estimate.mean > by["independence model"].estimate.mean + 0.2
    assert by["independence model"].estimate.mean > by["Poisson independence model"].estimate.mean
    assert "2 classes" in by["latent class model"].setting
    assert "log(1 + x)" in said[0]
    assert " settings of baselines were judged by " in how


def test_means_are_those_of_the_sizes() -> None:
    data = cells(400, latent=False)
    rows = _rows(data, data.train, 0, 1_000)
    one = _fitted(rows, 1, True, False, 0)
    for batch in (0, 1):
        mine = rows.batch == batch
        expected = np.asarray(rows.x[mine].sum(0)).ravel() / rows.size[mine].sum()
        assert one.means[0] * one.of_batch[batch] == pytest.approx(expected, rel=0.05)
