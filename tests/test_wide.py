"""Wide and sparse data through the stages of a study: what is held at once, and that batches change no number."""

import math
import sys
import tracemalloc

import numpy as np
import pytest
import torch
from scipy import sparse

import elbowroom as er
from elbowroom.data.values import Dense, InPlace, Mapped, Sparse
from elbowroom.evidence.memory import FreedMemory, hand_back, resident_bytes
from elbowroom.likelihoods.scaled import pca_residuals
from elbowroom.metrics import latent_use, reconstruction_error, variance_budget
from elbowroom.studies.choose import choose
from elbowroom.studies.contest import contest
from elbowroom.studies.load import load
from elbowroom.studies.measure import MeasureBudget, measure
from elbowroom.studies.train import Models, train, training_of

MOST = 1_000


def test_a_study_of_sparse_rows_makes_a_batch_of_them_dense_and_no_more(tmp_path, monkeypatch) -> None:
    """Each part has more rows than may be dense at once."""
    x = sparse.random_array((3_030, 1_001), density=0.02, rng=np.random.default_rng(0), format="csr")
    x.data[:] = 1.0
    take = Sparse.take

    def batch_alone(self, rows):
        some = take(self, rows)
        assert len(some) <= MOST, f"{len(some)} rows were made dense at once"
        return some

    monkeypatch.setattr(Sparse, "take", batch_alone)
    monkeypatch.setattr("elbowroom.studies.train.CHOICE_DRAWS", 2)
    monkeypatch.setattr("elbowroom.studies.variance._DRAWS", 20)
    monkeypatch.setattr("elbowroom.studies.variance._REPEATS", 2)
    monkeypatch.setattr("elbowroom.studies.measure._ELBO_DRAWS", 2)
    monkeypatch.setattr("elbowroom.studies.contest.BUDGET", 0.0)
    data = er.load_data(x, validation=1_010, test=1_010)
    assert isinstance(data.train.values, Sparse)
    about, models = load(data), Models(tmp_path / "runs")
    training = training_of({"latents": 2, "widths": [8]}, {}, 1, data, 0)
    swept = train(data, about, training, models, resume=False, progress=False)
    found = measure(data, about, models, swept, choose(swept), MeasureBudget(2, 0, 0), progress=False)
    rivals = contest(data, seed=0, progress=False)
    assert all(len(bound) == 1_010 for bound in found.bounds.values())
    assert [len(one.estimate) for one in rivals.classics] == [1_010, 1_010]


def test_a_large_array_is_not_copied_and_serves_the_same_rows(monkeypatch) -> None:
    x = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    copied = er.load_data(x)
    monkeypatch.setattr("elbowroom.data._values_of._COPIED", 100)
    same = er.load_data(x)
    assert [type(one.train.values) for one in (copied, same)] == [Dense, InPlace]
    assert same.train.values.source is x
    assert same.sha256 == copied.sha256
    assert torch.equal(same.train.x, copied.train.x)
    assert torch.equal(same.test[1:3].x, copied.test[1:3].x)
    torch.testing.assert_close(same.preprocess.mean, copied.preprocess.mean)
    assert isinstance(er.load_data(np.asfortranarray(x).astype(">f8")).train.values, InPlace)
    assert not isinstance(same.train.values, Mapped)


def test_parts_change_no_metric(monkeypatch) -> None:
    data = er.load_data("digits")
    vae = er.models.build({"latents": 3, "widths": [8]}, data)

    def measured() -> list[float]:
        use = latent_use(vae, data.test)
        budget = variance_budget(vae, data.validation, draws=60)
        spread = [budget.data, budget.ink_data, *budget.z_between, *budget.z_within]
        return [reconstruction_error(vae, data.test), *use.kl, *use.means.ravel(), *spread]

    whole = measured()
    monkeypatch.setattr("elbowroom.numerics.rows._CELLS_AT_ONCE", 64 * 37)
    np.testing.assert_allclose(measured(), whole, rtol=1e-4, atol=1e-6)


def test_a_variance_budget_by_sums_is_that_of_all_draws() -> None:
    """The draws of all passes held at once: covariance, noise and ink as their definitions say, group by group."""
    from elbowroom.metrics._variance_budget import _GROUPS, _share_out, _Spread

    rng = torch.Generator().manual_seed(0)
    one, other, noise = (torch.randn(230, 7, generator=rng, dtype=torch.float64) + 100 for _ in range(3))
    other = one + 0.1 * other
    ink = noise.sum(1)
    groups = [_Spread() for _ in range(_GROUPS)]
    for first in range(0, 230, 37):
        _share_out(groups, first, 230, tuple(drawn[first : first + 37] for drawn in (one, other, noise, ink)))
    whole = groups[0]
    for group in groups[1:]:
        whole = whole.joined(group)

    def covariance(a: torch.Tensor, b: torch.Tensor) -> float:
        return float(((a - a.mean(0)) * (b - b.mean(0))).sum() / (len(a) - 1))

    assert whole.n == 230
    assert whole.covariance == pytest.approx(covariance(one, other))
    assert whole.ink_covariance == pytest.approx(covariance(one.sum(1), other.sum(1)))
    assert whole.noise == pytest.approx(float(noise.mean(0).sum()))
    assert whole.ink == pytest.approx(float(ink.mean()))
    for group, a, b in zip(groups, one.chunk(_GROUPS), other.chunk(_GROUPS), strict=True):
        assert group.covariance == pytest.approx(covariance(a, b))


def test_what_pca_leaves_of_few_long_rows_is_what_it_leaves() -> None:
    from sklearn.decomposition import PCA

    x = np.random.default_rng(0).normal(size=(30, 90))
    pca = PCA(4, svd_solver="full").fit(x)
    np.testing.assert_allclose(pca_residuals(x, 4), x - pca.inverse_transform(pca.transform(x)), atol=1e-9)


def test_a_stack_is_cut_where_its_models_are_large_and_keeps_its_numbers(monkeypatch) -> None:
    data = er.load_data(np.random.default_rng(0).integers(0, 9, (60, 4)))
    words, axes = {"latents": 2, "widths": [8], "epochs": 1}, {"beta": [0.5, 1.0, 2.0]}
    together = er.sweep(words, data, axes, draws=2, progress=False)
    monkeypatch.setattr("elbowroom.training.placement._MOST_TOGETHER", 300)
    monkeypatch.setattr("elbowroom.training.stream._NOISE_KEPT", 10)
    apart = er.sweep(words, data, axes, draws=2, progress=False)
    for one, other in zip(together, apart, strict=True):
        assert math.isclose(one.elbo.mean, other.elbo.mean, rel_tol=1e-4)
        assert one.history.best_epoch == other.history.best_epoch


def test_what_a_contest_of_a_wide_table_holds(monkeypatch) -> None:
    """Beside its rows, less than three copies of them, and nothing of columns × columns."""
    x = np.random.default_rng(0).normal(size=(60, 3_000)).astype(np.float32)
    data = er.load_data(x)
    tracemalloc.start()
    contest(data, seed=0, progress=False)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 48 * 2**20 < 8 * 3_000**2


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what a process holds")
def test_what_passes_leave_between_freed_blocks_does_not_make_the_process_grow() -> None:
    """Blocks of a pass with something small behind each that outlives it, so that the heap cannot shrink by itself."""
    hand_back()  # else what others have freed would be room to grow into before the first look does anything
    freed, mib = FreedMemory(16 * 2**20), 2**20
    before, kept = resident_bytes(), []
    for _ in range(4):
        passes = [(torch.ones(mib // 4), torch.ones(4)) for _ in range(32)]
        kept += [small for _, small in passes]
        del passes
        freed.look()
        assert resident_bytes() - before < 64 * mib  # 128 without, and some in a process that has done much


def test_every_group_of_passes_is_followed_by_a_look_at_what_is_held(monkeypatch) -> None:
    looks = []
    monkeypatch.setattr(FreedMemory, "look", lambda freed: looks.append(freed.most))
    q, mean = (torch.nn.Linear(one, other) for one, other in ((50, 4), (2, 50)))
    vae = er.VAE(
        er.priors.StandardNormal(2),
        er.posteriors.DiagonalNormal(q, 2),
        er.likelihoods.Normal(mean, 50, scale=1.0),
    )
    er.evidence.elbo(vae, torch.zeros(30, 50), draws=100, memory="2 MiB")
    assert len(looks) > 3
    assert set(looks) == {2 * 2**20}


@pytest.mark.parametrize("shape", [(200, 9), (12, 40), (5, 1)])
def test_a_start_is_never_next_to_nothing_however_many_latents_there_are(shape: tuple[int, int]) -> None:
    """With as many components as columns, or as rows, PCA would leave nothing, and the scale begin at its floor."""
    x = np.random.default_rng(0).normal(size=shape)
    assert pca_residuals(x, 64).std() > 0.3 * x.std()
