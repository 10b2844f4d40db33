"""Examples by rows: in memory, memory-mapped and sparse sets serve the same batches, and none is read whole."""

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse._compressed import _cs_matrix
from torch import nn

import elbowroom as er
from elbowroom.data import Examples
from elbowroom.data.values import Dense, Mapped, Sparse
from elbowroom.networks import MLP
from elbowroom.numerics import Rows

TYPES = ["?", "u1", "i1", "<u2", "<i4", "<i8", "<f2", "<f4", "<f8", ">i2", ">f4", ">f8"]


def numbers(kind: str, n: int, columns: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 2 if kind == "?" else 100, (n, columns)) * rng.integers(0, 2, (n, columns))
    return (x if np.dtype(kind).kind != "f" else x / 7).astype(kind)


def mapped(folder, x: np.ndarray) -> np.memmap:
    np.save(folder / "x.npy", x)
    return np.load(folder / "x.npy", mmap_mode="r")


@settings(max_examples=40, deadline=None)
@given(kind=st.sampled_from(TYPES), n=st.integers(4, 40), columns=st.integers(1, 6), data=st.data())
def test_dense_mapped_and_sparse_serve_the_same_batches(tmp_path_factory, kind, n, columns, data):
    x = numbers(kind, n, columns)
    native = x.astype(np.dtype(kind).newbyteorder("="))
    rows = native if native.dtype != np.float16 else native.astype(np.float32)  # SciPy has no halves
    sources = [x, mapped(tmp_path_factory.mktemp("x"), x), sparse.csr_array(rows), sparse.coo_matrix(rows)]
    sets = [er.load_data(source, support="real", preprocess="none") for source in sources]
    assert [type(s.train.values) for s in sets] == [Dense, Mapped, Sparse, Sparse]
    assert len({s.sha256 for s in sets}) == 1
    parts = [s.train for s in sets]
    positions = torch.tensor(data.draw(st.lists(st.integers(0, len(parts[0]) - 1), max_size=12)), dtype=torch.long)
    for part in parts:
        assert isinstance(part, Rows)
        batch = part.rows(positions)
        assert batch.x.dtype == parts[0].x.dtype
        assert torch.equal(batch.index, parts[0].index[positions])
        expected = torch.from_numpy(native[batch.index.numpy()].astype(np.float64))
        assert torch.equal(batch.x.double(), expected)
        assert torch.equal(part[positions].batch().x, batch.x)
        assert torch.equal(part.rows(slice(1, 3)).x, parts[0].x[1:3])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), n=st.integers(1, 30))
def test_rows_of_a_permutation_are_the_permuted_rows(seed, n):
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    x = torch.randn(n, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    part = Examples(x, torch.arange(n) + 5, context={"c": x[:, 0]}, observed={"z": (x[:, 0], x[:, 0, 0] > 0)})
    batch = part.rows(order)
    assert torch.equal(batch.x, x[order])
    assert torch.equal(batch.index, order + 5)
    assert torch.equal(batch.context["c"], x[order, 0])
    value, mask = batch.observed["z"]
    assert torch.equal(value, x[order, 0])
    assert torch.equal(mask, x[order, 0, 0] > 0)
    again = part[order][order.argsort()]
    assert torch.equal(again.x, x)
    assert torch.equal(again.observed["z"][1], part.observed["z"][1])


@pytest.mark.parametrize(
    "change",
    [
        np.asfortranarray,
        lambda x: x[::-1][::-1],
        lambda x: np.flip(np.ascontiguousarray(np.flip(x, (0, 1))), (0, 1)),
        lambda x: np.repeat(x, 2, axis=1)[:, ::2],
        lambda x: x.astype(">f8"),
        lambda x: x.astype(np.longdouble),
    ],
)
def test_the_way_an_array_lies_in_memory_changes_nothing(change):
    x = np.random.default_rng(0).normal(size=(30, 4))
    odd = change(x)
    odd.flags.writeable = False
    plain, other = er.load_data(x), er.load_data(odd)
    assert plain.sha256 == other.sha256
    assert torch.equal(plain.train.x, other.train.x)
    assert torch.equal(plain.preprocess.mean, other.preprocess.mean)


def test_the_data_set_keeps_its_own_copy_of_arrays():
    x = np.random.default_rng(0).normal(size=(30, 4))
    data = er.load_data(x)
    before = data.train.x.clone()
    x[:] = 0
    assert torch.equal(data.train.x, before)


def test_whole_numbers_that_32_bits_would_merge_stay_apart(tmp_path):
    x = 2**24 + np.arange(40, dtype=np.int64).reshape(20, 2)
    for source in (x, mapped(tmp_path, x), sparse.csr_array(x), torch.from_numpy(x), x.astype(np.uint64)):
        data = er.load_data(source, support="real")
        assert data.train.x.dtype == torch.float64
        assert len(data.train.x.unique()) == data.train.x.numel()
        y, _ = data.preprocess(data.train.x)
        assert len(y.float().unique(dim=0)) == len(data.train)
    with pytest.raises(er.InputError, match="beyond 2\\^53"):
        er.load_data(x + 2**53)


def test_bytes_stay_bytes_until_a_batch_is_taken():
    x = np.random.default_rng(0).integers(0, 256, (30, 2, 5, 5), dtype=np.uint8)
    part = er.load_data(x).train
    assert part.values.tensor.dtype == torch.uint8
    assert part[3:5].values.tensor.dtype == torch.uint8
    assert part.rows(slice(0, 2)).x.dtype == torch.float32
    assert er.load_data(x > 4).train.values.tensor.dtype == torch.bool


def test_parts_of_one_row_and_of_none():
    data = er.load_data(sparse.csr_array(np.eye(6)), validation=1, test=0)
    assert data.validation.batch().x.shape == (1, 6)
    assert data.test.batch().x.shape == (0, 6)
    assert data.train.rows(torch.tensor([], dtype=torch.long)).x.shape == (0, 6)
    assert torch.equal(data.train.rows(torch.tensor([True, False, False, True, False])).x, data.train.x[[0, 3]])


def test_mapped_images_with_channels_last_are_laid_out_as_in_memory(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (20, 4, 5, 3), dtype=np.uint8)
    for flat in (None, True):
        dense, other = er.load_data(x, flat=flat), er.load_data(mapped(tmp_path, x), flat=flat)
        assert isinstance(other.train.values, Mapped)
        assert other.support == dense.support == er.Support("grid", 256)
        assert (other.event, other.sha256) == (dense.event, dense.sha256)
        assert torch.equal(other.test.x, dense.test.x)


def small(columns: int, likelihood: type = er.likelihoods.Bernoulli, preprocess=None, **scale: float) -> er.VAE:
    torch.manual_seed(0)
    posterior = er.posteriors.DiagonalNormal(MLP([columns, 4, 4]), 2)
    decoder = likelihood(nn.Linear(2, columns), columns, **scale)
    return er.VAE(er.priors.StandardNormal(2), posterior, decoder, preprocess)


def test_a_large_mapped_file_is_loaded_and_trained_on_without_being_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("elbowroom.data.array_files._MAPPED_FROM", 2**20)
    x = np.random.default_rng(0).normal(size=(20_000, 500)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    tracemalloc.start()
    data = er.load_data(tmp_path / "x.npy")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < x.nbytes / 3
    assert isinstance(data.train.values, Mapped)
    np.testing.assert_allclose(data.preprocess.mean, x[data.train.index].mean(0, dtype=np.float64), atol=1e-12)
    np.testing.assert_allclose(data.preprocess.std, x[data.train.index].std(0, dtype=np.float64), rtol=1e-12)
    read = Mapped._read

    def guarded(self, places):
        assert len(places) <= 1_000
        return read(self, places)

    monkeypatch.setattr(Mapped, "_read", guarded)
    vae = small(500, er.likelihoods.Normal, scale=1.0, preprocess=data.preprocess)
    history = er.fit(vae, data, epochs=1, batch_size=500, progress=False)
    dense = small(500, er.likelihoods.Normal, scale=1.0, preprocess=data.preprocess)
    assert (
        er.fit(dense, er.load_data(x), epochs=1, batch_size=500, progress=False).rows[0]["train"]
        == history.rows[0]["train"]
    )


def test_a_large_sparse_set_is_densified_by_batch_alone(monkeypatch):
    x = sparse.random_array((30_000, 5_000), density=2e-4, rng=np.random.default_rng(0), format="csr")
    x.data[:] = 1.0
    original = _cs_matrix.toarray

    def guarded(self, *args, **kwargs):
        assert self.shape[0] <= 1_000, f"{self.shape[0]} rows were densified at once"
        return original(self, *args, **kwargs)

    monkeypatch.setattr(_cs_matrix, "toarray", guarded)
    data = er.load_data(x)
    assert data.support == er.Support("binary")
    vae = small(5_000)
    history = er.fit(vae, data, epochs=1, batch_size=500, progress=False)
    bound = er.evidence.elbo(vae, data.test[:200], draws=2)
    monkeypatch.undo()
    dense = Examples(data.test[:200].x, data.test[:200].index)
    np.testing.assert_allclose(bound.values, er.evidence.elbo(vae, dense, draws=2).values, rtol=1e-5)
    assert history.rows[0]["train"]["objective"] > 0


def test_a_sparse_set_trains_to_the_bits_of_the_dense_one():
    x = np.random.default_rng(0).poisson(0.7, (300, 12))
    states = []
    for source in (x, sparse.csc_array(x)):
        vae = small(12, er.likelihoods.Poisson)
        er.fit(vae, er.load_data(source, support="counts"), epochs=2, progress=False)
        states.append(vae.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_saved_sparse_matrix_is_read_as_one(tmp_path):
    x = np.random.default_rng(0).poisson(0.7, (30, 12))
    sparse.save_npz(tmp_path / "x.npz", sparse.csr_array(x))
    data = er.load_data(tmp_path / "x.npz")
    assert isinstance(data.train.values, Sparse)
    assert data.sha256 == er.load_data(x).sha256


def test_columns_of_a_sparse_table_have_supports_of_their_own():
    x = np.stack([np.arange(40) % 2, np.random.default_rng(0).normal(size=40), np.arange(40) % 7], 1)
    dense, other = (er.load_data(source, support="mixed") for source in (x, sparse.csr_array(x)))
    assert other.support == dense.support
    assert [one.kind for one in other.support.columns] == ["binary", "real", "grid"]
    assert torch.equal(dense.preprocess.steps[1].mean, other.preprocess.steps[1].mean)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (sparse.csr_array(np.eye(4) * 1j), "is sparse, of shape \\(4, 4\\)"),
        (sparse.csr_array(np.full((4, 4), np.nan)), "Every cell"),
        (sparse.csr_array(np.full((4, 4), np.inf)), "16 values that are infinite"),
        (np.array([[1.0, "a"], [2.0, 3.0]], dtype=object), "no numbers, such as 'a': give numbers"),
    ],
)
def test_what_cannot_be_served_is_refused_in_one_sentence(source, words):
    with pytest.raises(er.InputError, match=words):
        er.load_data(source)


def test_binarising_once_needs_data_in_memory():
    with pytest.raises(er.InputError, match="batch by batch"):
        er.load_data(sparse.csr_array(np.eye(8)), preprocess="binarise-fixed")


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("top", ["open", "reached", "byte"])
def test_many_small_counts_are_no_levels_of_grey(kind, top):
    """Counts have no greatest value that they could have; grey levels have one, and it is often reached."""
    x = np.random.default_rng(0).negative_binomial(0.3, 0.05, (300, 60)).astype(float)
    x = x.clip(max=40) if top == "reached" else x
    x[0, 0] = 255 if top == "byte" else x[0, 0]
    data = er.load_data(kind(x))
    assert data.support.kind == ("counts" if top == "open" else "grid")
    assert ("Taken as counts" in " ".join(data.notes)) == (top == "open")
