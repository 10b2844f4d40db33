"""Posterior predictive checks of counts: a right model passes, a wrong one does not, and the page says so."""

from pathlib import Path

import numpy as np
import pytest
import torch
from staged import short_study

import elbowroom as er
from elbowroom import plots
from elbowroom.models import build
from elbowroom.records import read_study
from elbowroom.studies.count_checks import count_checks, many_counts

GENES = 60


@pytest.fixture(scope="module")
def data() -> er.data.Dataset:
    rng = np.random.default_rng(0)
    n, kind, batch = 240, np.arange(240) % 2, rng.integers(0, 2, 240)
    share = rng.gamma(1.0, 1.0, (2, GENES))
    size = rng.lognormal(0, 0.4, n)
    x = rng.negative_binomial(2.0, 2.0 / (2.0 + size[:, None] * share[kind]))
    x[:, 0] += 1
    about = {"batch": batch, "size_factor": "observed", "labels": kind, "validation": 60, "test": 80}
    return er.load_data(x, support="counts", name="cells", **about)


def test_replicates_of_the_model_that_made_the_data_have_its_statistics(data: er.data.Dataset) -> None:
    vae = build({"latents": 2, "widths": [8]}, data)
    er.fit(vae, data, epochs=1, progress=False)
    with torch.no_grad():  # z says nothing, so that q(z | x) of any x is as good as the z that x came from
        first = next(one for one in vae.likelihood.network.modules() if isinstance(one, torch.nn.Linear))
        first.weight[:, :2] = 0
    x = vae.sample(80, seed=3, context={name: data.test.context[name] for name in ("size", "batch")})
    made = er.data.Examples(x.long(), data.test.index, context=data.test.context)
    found = count_checks(vae, data, made, seed=0)
    inside = {(one.of, one.statistic): one.inside for one in found.records}
    assert min(inside.values()) > 0.75
    assert np.mean(list(inside.values())) == pytest.approx(0.9, abs=0.07)
    assert max(abs(one.surprise) for one in found.worst) < 4.5


def test_a_poisson_of_dispersed_counts_is_too_sure(data: er.data.Dataset) -> None:
    poisson = build({"latents": 1, "widths": [4], "likelihood": "poisson"}, data)
    er.fit(poisson, data, epochs=5, progress=False)
    found = count_checks(poisson, data, data.test, seed=0)
    inside = {(one.of, one.statistic): one.inside for one in found.records}
    assert inside["genes", "coefficient of variation"] < 0.5
    assert min(one.variance_ratio for one in found.worst) > 1.2


def test_which_data_are_checked() -> None:
    assert many_counts(er.numerics.Support("counts"), (60,))
    assert not many_counts(er.numerics.Support("real"), (60,))


@pytest.mark.usefixtures("pages_are_sketched")
def test_a_study_of_cells_has_them_on_its_page(data: er.data.Dataset, tmp_path: Path, monkeypatch) -> None:
    short_study(monkeypatch)
    words = {"latents": 3, "widths": [8]}
    made = er.study(data, tmp_path, recipe=words, axes={}, epochs=2, draws=20, annealed=2, progress=False)
    page = made.page.read_text()
    cells = read_study(tmp_path).evidence.cells
    assert cells.columns == GENES
    assert len(cells.genes) == 12
    assert cells.with_size.quantity == "log p(x | batch)"
    assert cells.with_size.mean < made.record.evidence.best.mean
    assert made.record.reconstruction.squared_error is None
    for words in ("Replicates have the share of zeros", "models that are given the size", "The same map by batch"):
        assert words in page, words
    assert "All of them are given what the VAE is given, batch and size" in page
    assert "It is given" not in made.sentence


def test_panels_that_cannot_be_drawn_are_refused() -> None:
    with pytest.raises(er.InputError, match="panel or more"):
        plots.predictive_checks({})
    with pytest.raises(er.InputError, match=r"array \[n, 4\]"):
        plots.predictive_checks({"total": [[1.0, 2.0]]})
