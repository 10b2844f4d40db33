import gzip

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import io, sparse

from elbowroom.data import load_data
from elbowroom.numerics import InputError

X = np.random.default_rng(0).poisson(2.0, (20, 5))
NAMES, IDS = ["A", "B", "A", "C", "CD3"], ["E1", "E2", "E3", "E4", "AB"]
KINDS = ["Gene Expression"] * 4 + ["Antibody Capture"]
CELLS = [f"AAC{i}-1" for i in range(20)]


def whole(data):
    x = np.concatenate([part.x.numpy() for part in data.parts.values()])
    index = np.concatenate([part.index.numpy() for part in data.parts.values()])
    return x[index.argsort()]


def parts_of(group, x):
    by_cell = sparse.csr_matrix(x)  # genes × cells in columns
    group["data"], group["indices"], group["indptr"] = by_cell.data, by_cell.indices, by_cell.indptr
    group["shape"], group["barcodes"] = x.shape[::-1], np.array(CELLS, "S")
    return group


def folder_of(path, x=X, prefix="", zipped=True):
    path.mkdir(exist_ok=True)
    features = "".join(f"{key}\t{name}\t{kind}\n" for key, name, kind in zip(IDS, NAMES, KINDS, strict=True))
    lines = {"barcodes.tsv": "\n".join(CELLS) + "\n", "features.tsv": features}
    for name, text in lines.items():
        (path / f"{prefix}{name}.gz").write_bytes(gzip.compress(text.encode()))
    io.mmwrite(path / f"{prefix}matrix.mtx", sparse.coo_matrix(x.T))
    if zipped:
        plain = path / f"{prefix}matrix.mtx"
        (path / f"{prefix}matrix.mtx.gz").write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
    return path


def test_cellranger_2_and_3_and_its_folders_say_the_same(tmp_path):
    with h5py.File(tmp_path / "v3.h5", "w") as out:
        features = parts_of(out.create_group("matrix"), X).create_group("features")
        for key, words in (("name", NAMES), ("id", IDS), ("feature_type", KINDS)):
            features[key] = np.array(words, "S")
    with h5py.File(tmp_path / "v2.h5", "w") as out:
        group = parts_of(out.create_group("GRCh38"), X[:, :4])
        group["gene_names"], group["genes"] = np.array(NAMES[:4], "S"), np.array(IDS[:4], "S")
    folder_of(tmp_path / "filtered")
    folder_of(tmp_path / "geo", prefix="GSM1_", zipped=False)
    sources = ["v3.h5", "v2.h5", "filtered", "geo/GSM1_matrix.mtx"]
    read = [load_data(tmp_path / one, size_factor="observed") for one in sources]
    assert len({data.sha256 for data in read}) == 1
    for data in read:
        np.testing.assert_array_equal(whole(data), X[:, :4])
        assert data.columns == ["A E1", "B", "A E3", "C"]
        assert data.row_names == CELLS
    assert any("1 features that are no genes ('Antibody Capture')" in note for note in read[0].notes)


def test_a_matrix_without_its_files_says_what_is_missing(tmp_path):
    folder = folder_of(tmp_path / "f")
    (folder / "barcodes.tsv.gz").rename(folder / "cells.txt")
    with pytest.raises(InputError, match=r"no barcodes.tsv or barcodes.tsv.gz beside it"):
        load_data(folder)
    (folder / "matrix.mtx.gz").unlink()
    with pytest.raises(InputError, match=r"holds features.tsv.gz and no matrix.mtx"):
        load_data(folder)
    with pytest.raises(InputError, match="cells × genes"):
        load_data(folder_of(tmp_path / "turned", X.T))


def test_broken_and_strange_hdf5_is_one_sentence(tmp_path):
    adata = anndata.AnnData(sparse.csr_matrix(X.astype(np.float32)), pd.DataFrame(index=CELLS))
    adata.write_h5ad(tmp_path / "whole.h5ad")
    data = (tmp_path / "whole.h5ad").read_bytes()
    (tmp_path / "half.h5ad").write_bytes(data[: len(data) // 2])
    with h5py.File(tmp_path / "loom.loom", "w") as out:
        out["matrix"], out["row_attrs/Gene"] = X.T, np.arange(5)
    with h5py.File(tmp_path / "other.h5", "w") as out:
        out["weights"] = X
    for name, said in (("half.h5ad", "cut short"), ("loom.loom", "read_loom"), ("other.h5", "holds weights")):
        with pytest.raises(InputError, match=said):
            load_data(tmp_path / name)
