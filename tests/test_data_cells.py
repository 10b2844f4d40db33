import copy
import os

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

import elbowroom as er
from elbowroom.data import load_data
from elbowroom.data.gene_choice import residual_variances
from elbowroom.numerics import InputError

N, GENES = 60, 12


def cells(seed=0, **obs):
    rng = np.random.default_rng(seed)
    x = rng.poisson(rng.gamma(2.0, 1.0, (N, 1)) * rng.gamma(1.0, 2.0, GENES), (N, GENES)) + (np.arange(GENES) == 0)
    names = [f"cell{i}" for i in range(N)]
    frame = pd.DataFrame({"kind": pd.Categorical(["u", "v", "w"] * (N // 3)), **obs}, index=names)
    adata = anndata.AnnData(sparse.csr_matrix(x.astype(np.float32)), frame)
    adata.var_names = [f"g{i}" for i in range(GENES)]
    adata.layers["counts"] = adata.X.copy()
    return adata


@pytest.fixture(scope="module")
def donors():
    return cells(donor=np.array([3, 10] * (N // 2)), depth=np.linspace(1, 2, N))


@pytest.fixture(scope="module")
def file(donors, tmp_path_factory):
    path = tmp_path_factory.mktemp("cells") / "donors.h5ad"
    donors.write_h5ad(path)
    return path


def in_order(data, what):
    index = torch.cat([part.index for part in data.parts.values()])
    return torch.cat([what(part) for part in data.parts.values()])[index.argsort()].numpy()


def test_an_object_its_file_and_its_backed_file_are_the_same_data(donors, file):
    words = {"labels": "kind", "batch": "donor", "size_factor": "observed"}
    held, read = load_data(donors, **words), load_data(str(file), **words)
    backed = load_data(anndata.read_h5ad(file, backed="r"), **words)
    assert held.sha256 == read.sha256 == backed.sha256
    assert held.columns == list(donors.var_names)
    assert held.row_names == list(donors.obs_names)
    assert str(held.support) == "counts 0, 1, 2, …"
    assert held.label_names == ["u", "v", "w"]
    np.testing.assert_array_equal(in_order(read, lambda part: part.x), donors.X.toarray())
    assert held.conditions == ("batch",)
    assert held.beside_classes["batch"] == ["3", "10"]
    np.testing.assert_array_equal(in_order(read, lambda part: part.context["batch"]).argmax(1), [0, 1] * (N // 2))


def test_counts_of_cells_are_given_their_size_unless_none_is_said(donors):
    default, said = load_data(donors), load_data(donors, size_factor="observed")
    assert (default.size_factor, default.sha256) == ("observed", said.sha256)
    none = load_data(donors, size_factor="none")
    assert (none.size_factor, none.train.context) == (None, {})
    plain = load_data(donors.X.toarray())
    assert plain.size_factor is None
    bits = donors.copy()
    bits.X = (bits.X > 2).astype(np.float32)
    assert load_data(bits).size_factor is None
    assert er.models.build({"latents": 2, "widths": [4]}, default).quantity == "log p(x | size)"


def test_a_study_of_many_genes_keeps_those_that_vary_most_and_says_so(donors, file, monkeypatch):
    monkeypatch.setattr("elbowroom.data.counted._GENES", 5)
    few, said = load_data(str(file), genes="auto"), load_data(donors, genes=5)
    assert (few.columns, few.sha256) == (said.columns, said.sha256)
    assert few.loading["options"]["genes"] == 5
    assert any("genes= keeps another number" in note for note in few.notes)
    assert load_data(donors).event == load_data(donors, genes=12).event == (12,)
    assert load_data(donors.X.toarray(), genes="auto").event == (12,)
    with pytest.raises(InputError, match="genes must be"):
        load_data(donors, genes="all")


def test_sizes_are_totals_over_the_mean_of_train(donors):
    data = load_data(donors, batch="donor", size_factor="observed", genes=5)
    totals = np.asarray(donors.X.sum(1)).ravel()
    mean = totals[data.train.index.numpy()].mean()
    np.testing.assert_allclose(in_order(data, lambda part: part.context["size"])[:, 0], totals / mean, rtol=1e-6)
    assert data.size_factor == "observed"
    assert data.sizes.mean == pytest.approx(mean)
    assert er.models.Recipe().contexts_of(data) == ("batch",)
    latent = load_data(donors, batch="donor", size_factor="latent")
    train = latent.train
    logs = np.log(totals[train.index.numpy()] / mean)
    first = train.context["batch"].argmax(1).numpy() == 0
    assert latent.size_factor == "latent"
    assert "size" not in train.context
    np.testing.assert_allclose(latent.sizes.log_mean, [logs[first].mean(), logs[~first].mean()], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(latent.sizes.log_sd, [logs[first].std(ddof=1), logs[~first].std(ddof=1)], rtol=1e-5)
    depth = load_data(donors, size_factor="depth")
    assert depth.sizes.mean == pytest.approx(np.linspace(1, 2, N)[depth.train.index.numpy()].mean())


def test_genes_are_chosen_on_training_rows_alone(donors):
    data = load_data(donors, genes=5)
    x, train = donors.X.toarray().astype(np.float64), data.train.index.numpy()
    means = x[train].sum(1, keepdims=True) * x[train].sum(0) / x[train].sum()
    with np.errstate(invalid="ignore"):
        residuals = (x[train] - means) / np.sqrt(means + means**2 / 100)
    expected = residuals.clip(-np.sqrt(len(train)), np.sqrt(len(train))).var(0)
    np.testing.assert_allclose(residual_variances(x, train), expected)
    assert data.columns == [f"g{i}" for i in np.sort(np.argsort(-expected)[:5])]
    changed = donors.copy()
    rows = np.setdiff1d(np.arange(N), train)
    dense = changed.X.toarray()
    dense[rows] = dense[rows][:, ::-1]
    changed.X = sparse.csr_matrix(dense)
    assert load_data(changed, genes=5).columns == data.columns
    assert any("training rows alone" in note for note in data.notes)


def test_counts_of_an_array_have_sizes_and_genes_too(donors):
    x = donors.X.toarray()
    array = load_data(x, size_factor="observed", genes=5, batch=donors.obs["donor"].to_numpy())
    frame = load_data(pd.DataFrame(x).assign(b=donors.obs["donor"].to_numpy()), size_factor="observed", batch="b")
    assert array.train.x.shape[1] == 5
    assert frame.sizes.mean == array.sizes.mean
    assert frame.conditions == ("batch",)


def test_a_run_finds_its_file_again(file, tmp_path):
    data = load_data(str(file), layer="counts", batch="donor", size_factor="depth", genes=6, labels="kind")
    vae = er.models.build({"latents": 2, "widths": [4]}, data)
    er.fit(vae, data, epochs=1, run=tmp_path / "run", progress=False)
    again = er.runs.run_data(tmp_path / "run")
    assert again.sha256 == data.sha256
    assert again.columns == data.columns
    assert data.summary()["sizes"] == {"train": 42, "validation": 6, "test": 12}
    assert data.summary()["size_factor"]["word"] == "depth"


def test_plain_hdf5(tmp_path):
    x = np.random.default_rng(0).poisson(3.0, (20, 4))
    with h5py.File(tmp_path / "x.h5", "w") as out:
        out["X"], out["Y"] = x, np.arange(20.0) % 2
    data = load_data(tmp_path / "x.h5")
    np.testing.assert_array_equal(in_order(data, lambda part: part.x), x)
    assert data.label_names == ["0", "1"]


def _with(donors, **changes):
    adata = donors.copy()
    for name, value in changes.items():
        setattr(adata, name, value)
    return adata


@pytest.mark.parametrize(
    ("change", "words", "said"),
    [
        (lambda a: _with(a, X=a.X / 3), {}, r"fractions, such as .*layer='counts'.*support='real'"),
        (lambda a: _with(a, X=a.X - sparse.csr_matrix(np.ones(a.shape))), {}, "negative values, down to -1"),
        (lambda a: a, {"layer": "count"}, "no layer 'count'; it has 'counts'"),
        (lambda a: a, {"batch": "doner"}, "no obs column 'doner'; obs has 'donor'"),
        (lambda a: a[::2].copy(), {"batch": "donor"}, "one batch, '3'"),
        (lambda a: a, {"batch": "depth"}, "fractions, so it measures"),
        (lambda a: a, {"genes": 13}, "from 1 to the 12"),
        (lambda a: _with(a, X=None), {}, "has no X: say layer='counts'"),
        (lambda a: a, {"size_factor": "kind"}, "holds words"),
    ],
)
def test_bad_cells_are_refused_in_a_sentence(donors, change, words, said):
    with pytest.raises(InputError, match=said):
        load_data(change(donors), **words)


def test_empty_cells_and_unseen_batches(donors):
    dense = donors.X.toarray()
    dense[7] = 0
    empty = _with(donors, X=sparse.csr_matrix(dense))
    with pytest.raises(InputError, match=r"1 of 60 rows.*'cell7'.*or say size_factor='none'"):
        load_data(empty)
    assert any("without any count: 1 of 60 ('cell7')" in note for note in load_data(empty, size_factor="none").notes)
    test_row = int(load_data(donors).test.index[0])
    alone = donors.copy()
    alone.obs["donor"] = np.where(np.arange(N) == test_row, "late", "early")
    with pytest.raises(InputError, match="No training row is of batch 'late'"):
        load_data(alone, batch="donor")
    alone.obs["donor"] = np.where(np.arange(N) == 3, np.nan, np.arange(N) % 2)
    with pytest.raises(InputError, match="1 of 60 rows have no batch"):
        load_data(alone, batch="donor")


def test_rows_on_the_disk_are_shuffled_by_blocks_and_read_once(donors, file, monkeypatch):
    from elbowroom.data import on_disk

    monkeypatch.setattr(on_disk, "_BLOCKS", 4)
    monkeypatch.setattr(on_disk.OnDisk, "block", 4)
    data = load_data(anndata.read_h5ad(file, backed="r"), size_factor="observed")
    values = data.train.values
    assert isinstance(values, on_disk.OnDisk)
    first, second = (values.shuffled(torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(len(values)))
    assert first.tolist() != second.tolist()
    blocks = np.argsort(values.places)[: 4 * (len(values) // 4)].reshape(-1, 4)
    window = set(values._windows[0].tolist())
    assert all(len(window & set(block.tolist())) in (0, 4) for block in blocks)
    reads, read = [], on_disk.CsrOnDisk._rows
    monkeypatch.setattr(on_disk.CsrOnDisk, "_rows", lambda source, rows: reads.append(len(rows)) or read(source, rows))
    taken = torch.cat([values.take(rows) for rows in values._windows for rows in rows.split(5)])
    np.testing.assert_array_equal(taken, donors.X.toarray()[values.places[second]])
    assert reads == [len(rows) for rows in values._windows]
    vae = er.models.build({"latents": 2, "widths": [4]}, data)
    er.fit(vae, data, epochs=1, batch_size=8, progress=False)


def test_what_is_broken_on_the_disk_is_said_and_not_followed(file, tmp_path):
    for name, broken in (("indices", 99), ("indptr", 99)):
        path = tmp_path / f"{name}.h5ad"
        path.write_bytes(file.read_bytes())
        with h5py.File(path, "r+") as out:
            out[f"X/{name}"][3] = broken
        for source in (path, anndata.read_h5ad(path, backed="r")):
            with pytest.raises(InputError, match="cannot be read"):
                load_data(source)


def test_numbers_that_scipy_has_not_are_read_too(donors):
    told = load_data(donors).sha256
    for kind in (np.float16, ">u2"):
        assert load_data(_with(donors, X=donors.X.toarray().astype(kind))).sha256 == told


def test_a_file_that_changed_is_not_read_by_another_process(file, tmp_path):
    path = tmp_path / "cells.h5ad"
    path.write_bytes(file.read_bytes())
    values = load_data(anndata.read_h5ad(path, backed="r")).train.values
    first = copy.copy(values.source).tocsr()[values.places[:3]]  # as another process has it, without the open file
    np.testing.assert_array_equal(first.toarray(), values.take(torch.arange(3)))
    os.utime(path, (1, 1))
    with pytest.raises(InputError, match="was changed, moved or deleted after it was loaded"):
        copy.copy(values.source).tocsr()


def test_a_layer_called_raw_has_the_genes_of_var_and_log_size_is_a_block(donors, tmp_path):
    both = donors.copy()
    both.raw = anndata.AnnData(donors.X, var=pd.DataFrame(index=[f"r{i}" for i in range(donors.n_vars)]))
    both.layers["raw"] = donors.X
    both.write_h5ad(tmp_path / "both.h5ad")
    assert load_data(tmp_path / "both.h5ad", layer="raw").columns == load_data(both, layer="raw").columns
    assert load_data(both, layer="raw").columns == list(donors.var_names)
    both.obs["log_size"] = np.linspace(1, 2, N)
    with pytest.raises(InputError, match="as the latent block"):
        load_data(both, size_factor="latent", context="log_size")
