import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

import elbowroom as er
from elbowroom.annotations import annotate
from elbowroom.numerics import InputError

N, GENES = 40, 7
WORDS = {"latents": 2, "widths": [6], "likelihood": {"kind": "negative-binomial", "size_factor": "size"}}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("annotated")
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"donor": ["a", "b"] * (N // 2)}, index=[f"c{i}" for i in range(N)])
    adata = anndata.AnnData(sparse.csr_matrix(rng.poisson(4.0, (N, GENES)).astype(np.float32)), obs)
    adata.var_names = [f"g{i}" for i in range(GENES)]
    adata.obsm["X_pca"], adata.uns["colours"] = rng.normal(size=(N, 3)), {"a": "red"}
    adata.layers["counts"] = adata.X.copy()
    adata.write_h5ad(folder / "cells.h5ad", compression="gzip")
    data = er.load_data(folder / "cells.h5ad", batch="donor", size_factor="observed")
    vae = er.models.build(WORDS, data)
    er.fit(vae, data, epochs=2, run=folder / "run", progress=False)
    return folder, vae, data


@pytest.fixture(scope="module")
def written(trained):
    return annotate(
        trained[0] / "run", trained[0] / "cells.h5ad", out=trained[0] / "new.h5ad", draws=30, progress=False
    )


def packed(node, place):
    info = node.id.get_chunk_info(place)
    return info.byte_offset, node.id.read_direct_chunk(info.chunk_offset)


def stored(path):
    """Offset, bytes and attributes of everything in a file."""
    found = {}

    def look(name, node):
        at, words = (), ()
        if isinstance(node, h5py.Dataset):
            words = np.asarray(node[()]).tolist()
            chunks = range(node.id.get_num_chunks()) if node.chunks else ()
            at = node.id.get_offset() if node.chunks is None else [packed(node, place) for place in chunks]
        found[name] = (at, words, {key: np.asarray(value).tolist() for key, value in node.attrs.items()})

    with h5py.File(path) as file:
        file.visititems(look)
    return found


def test_nothing_of_the_source_is_rewritten(trained, written):
    before, after = stored(trained[0] / "cells.h5ad"), stored(written)
    assert set(after) > set(before)
    changed = [name for name in before if before[name] != after[name]]
    assert changed == ["obs"]  # its attribute column-order
    assert after["obs"][2]["column-order"][:1] == before["obs"][2]["column-order"]
    added = {name.split("/")[0] + "/" + name.split("/")[1] for name in set(after) - set(before)}
    assert added == {
        "obs/log_px", "obs/log_px_error", "obs/elbowroom_part", "obsm/X_elbowroom", "layers/denoised", "uns/elbowroom"
    }  # fmt: skip


def test_what_is_written_is_what_the_model_says(trained, written):
    _, vae, data = trained
    read = anndata.read_h5ad(written)
    for name, part in data.parts.items():
        at = part.index.numpy()
        assert set(read.obs["elbowroom_part"].iloc[at]) == {name}
        np.testing.assert_allclose(read.obsm["X_elbowroom"][at], vae.encode(part)["z"], rtol=1e-4, atol=1e-5)
        own = er.evidence.iwae(vae, part, draws=30)
        np.testing.assert_allclose(read.obs["log_px"].to_numpy()[at], own.values, rtol=1e-5)
    assert read.uns["elbowroom"]["quantity"] == "log p(x | batch, size)"
    assert read.uns["elbowroom"]["data_sha256"] == data.sha256
    with h5py.File(written) as file:
        assert file["obs/log_px"].attrs["quantity"] == "log p(x | batch, size)"


def test_denoised_counts_are_means_over_draws_at_the_cells_size(trained, written):
    _, vae, data = trained
    batch = data.test.batch()
    vae.eval()
    with torch.no_grad():
        terms = vae(batch, vae.keyed_noise(25, batch.index, 0))
        expected = vae.likelihood({**terms.z, **batch_context(batch)}).mean.mean(0)
    read = anndata.read_h5ad(written).layers["denoised"][data.test.index.numpy()]
    np.testing.assert_allclose(read, expected, rtol=1e-4)


def batch_context(batch):
    return {name: value[None] for name, value in batch.context.items()}


def test_other_cells_by_name_of_gene(trained):
    folder, vae, data = trained
    adata = anndata.read_h5ad(folder / "cells.h5ad")
    some = adata[5:25, ::-1].copy()
    annotate(vae, some, data=data, draws=30, progress=False)
    whole = annotate(vae, adata, data=data, draws=30, progress=False)
    np.testing.assert_allclose(some.obsm["X_elbowroom"], whole.obsm["X_elbowroom"][5:25], rtol=1e-4, atol=1e-5)
    assert "elbowroom_part" not in some.obs
    assert some.obsm["denoised"].shape == (20, GENES)  # the genes stand in another order
    for change, said in (
        (lambda a: a[:, 1:].copy(), "lacks 1 of the 7 genes.*'g0'|totals over 7 columns"),
        (lambda a: renamed(a, "z"), "knows no batch 'z'; it knows 'a', 'b'"),
    ):
        with pytest.raises(InputError, match=said):
            annotate(vae, change(adata), data=data, progress=False)


def renamed(adata, donor):
    other = adata.copy()
    other.obs["donor"] = donor
    return other


def test_a_file_is_not_overwritten_and_is_whole_or_absent(trained, monkeypatch):
    folder = trained[0]
    for out, said in ((folder / "cells.h5ad", "is not overwritten"), (None, "is not changed")):
        with pytest.raises(InputError, match=said):
            annotate(folder / "run", folder / "cells.h5ad", out=out, progress=False)
    held = set(folder.iterdir())

    def broken(*_, **__):
        raise RuntimeError("the disk is full")

    monkeypatch.setattr("elbowroom.annotations._annotate.measured", broken)
    with pytest.raises(RuntimeError):
        annotate(folder / "run", folder / "cells.h5ad", out=folder / "half.h5ad", progress=False)
    assert set(folder.iterdir()) == held


def changed(adata, row, gene, value):
    other = adata[:20].copy()
    dense = other.X.toarray()
    dense[row, gene] = value
    other.X = sparse.csr_matrix(dense)
    return other


def test_what_other_cells_hold_beside_the_chosen_genes_is_looked_at_too(trained):
    adata = anndata.read_h5ad(trained[0] / "cells.h5ad")
    sized = er.load_data(adata, genes=3)
    vae = er.models.build(WORDS, sized)
    unused = next(place for place, gene in enumerate(adata.var_names) if gene not in sized.columns)
    others = adata.copy()
    others.var_names = [gene if gene in sized.columns else f"other {gene}" for gene in adata.var_names]
    for cells, said in (
        (others, "totals over the 7 columns it was trained with, and these rows have others by name"),
        (changed(adata, 2, unused, np.nan), "1 cells without a value"),
        (changed(adata, 2, unused, -3), "negative values, down to -3"),
        (changed(adata, 2, unused, 0.5), "fractions, such as 0.5"),
    ):
        with pytest.raises(InputError, match=said):
            annotate(vae, cells, data=sized, progress=False)


def test_other_cells_without_a_value_or_with_words_for_numbers_are_refused(trained):
    adata = anndata.read_h5ad(trained[0] / "cells.h5ad")
    adata.obs["age"] = np.linspace(1, 2, N)
    plain = er.load_data(adata, size_factor="none", context="age")
    vae = er.models.build({"latents": 2, "widths": [6]}, plain)
    worded = adata[:20].copy()
    worded.obs["age"] = "old"
    for cells, said in ((changed(adata, 2, 0, np.nan), "without a value"), (worded, "'age' holds words")):
        with pytest.raises(InputError, match=said):
            annotate(vae, cells, data=plain, progress=False)


def test_genes_of_one_name_are_not_told_apart_by_another_order(trained):
    adata = anndata.read_h5ad(trained[0] / "cells.h5ad")
    adata.var_names = ["d", "d", *adata.var_names[2:]]
    data = er.load_data(adata)
    vae = er.models.build(WORDS, data)
    annotate(vae, adata.copy(), data=data, draws=2, progress=False)
    with pytest.raises(InputError, match=r"several genes of one name .*'d', 'd \(2\)'"):
        annotate(vae, adata[:, ::-1].copy(), data=data, progress=False)


def test_genes_of_raw_stand_in_obsm_where_there_is_no_x(trained, tmp_path):
    counts = anndata.read_h5ad(trained[0] / "cells.h5ad")
    adata = anndata.AnnData(obs=counts.obs, var=pd.DataFrame(index=["a", "b"]), shape=(N, 2))
    adata.raw = counts
    adata.write_h5ad(tmp_path / "raw.h5ad")
    data = er.load_data(tmp_path / "raw.h5ad", layer="raw")
    vae = er.models.build(WORDS, data)
    annotate(vae, tmp_path / "raw.h5ad", out=tmp_path / "new.h5ad", data=data, draws=2, progress=False)
    assert anndata.read_h5ad(tmp_path / "new.h5ad").obsm["denoised"].shape == (N, GENES)


def test_parts_of_other_data_are_not_scored_by_other_sizes_or_batches(trained, tmp_path):
    folder, vae, data = trained
    assert vae.coding[:2] == (("batch", ("a", "b")), ("size", (f"{data.sizes.mean:.6g}",)))
    loaded = er.load_model(er.save_model(vae, tmp_path / "vae.safetensors"))
    adata = anndata.read_h5ad(folder / "cells.h5ad")
    other = er.load_data(adata[:30].copy(), batch="donor").test
    adata.obs["donor"] = ["b", "c"] * (N // 2)
    batches = er.load_data(adata, batch="donor").test[:2]
    assert np.isfinite(er.evidence.elbo(loaded, data.test).mean)
    for part, said in ((other, "Sizes of these examples are divided by"), (batches, "'batch' means 'b', 'c' in these")):
        with pytest.raises(InputError, match=said):
            er.evidence.elbo(loaded, part)


def test_a_size_of_0_or_less_is_refused_where_draws_are_given_one(trained, tmp_path):
    for size in ("0", "-1"):
        with pytest.raises(InputError, match="multiplies every mean and is above 0"):
            er.runs.sample_run(trained[0] / "run", tmp_path / "x.csv", n=2, given={"size": size})
