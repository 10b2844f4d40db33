"""Files of models that read contexts and sizes: what comes back, bits against bounds, and what is refused."""

import math
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.special
import scipy.stats
import torch
from scipy import sparse
from test_compression_files import forged

import elbowroom as er
from elbowroom import likelihoods as lik
from elbowroom import networks, posteriors, priors
from elbowroom.compression import compress, decompress, rounded
from elbowroom.compression.cells import Cells, Spans
from elbowroom.compression.codec import Codec
from elbowroom.compression.columns import Column
from elbowroom.compression.container import Reader
from elbowroom.compression.contexts import Context, Contexts
from elbowroom.compression.exact_layers import ExactLinear
from elbowroom.compression.ordered import families_of
from elbowroom.compression.stack import Stack
from elbowroom.compression.survey import Survey
from elbowroom.records import read_files

D, N = 4, 120
RNG = np.random.default_rng(0)
BATCH, AGE = RNG.choice(["a", "b", "c d"], N), RNG.integers(20, 60, N).astype(np.int8)
SIZE = np.exp(RNG.normal(size=N)).astype(np.float32)
X = RNG.poisson(np.exp(RNG.normal(size=(N, 1)) + (BATCH == "b")[:, None] + np.arange(D) / 2)).astype(np.uint8)
QUIET: dict[str, Any] = {"progress": False}


@pytest.fixture(scope="module")
def run(tmp_path_factory: Any) -> Path:
    """A run on a table whose batch and age are contexts."""
    folder = tmp_path_factory.mktemp("run")
    table().to_csv(folder / "t.csv", index=False)
    context = {"batch": "batch", "years": "age"}
    data = er.load_data(folder / "t.csv", context=context, drop=["other"], validation=20, test=20)
    er.fit(er.models.build({"latents": 2, "widths": [8]}, data), data, epochs=1, run=folder / "run", **QUIET)
    return folder / "run"


def table() -> pd.DataFrame:
    held = {f"g{i}": X[:, i] for i in range(D)}
    return pd.DataFrame({"batch": BATCH, **held, "age": AGE, "other": RNG.normal(size=N)})


def test_columns_that_are_contexts_come_back_with_the_table(run: Path, tmp_path: Path) -> None:
    path, frame = tmp_path / "t.elb", table()
    file = compress(run, frame, path, chunk_rows=50, **QUIET)
    assert file.total_bytes == path.stat().st_size
    assert 0 < file.contexts_bytes < 2 * N + 60
    assert f"contexts {file.contexts_bytes}" in str(file)
    pd.testing.assert_frame_equal(decompress(run, path, **QUIET), frame, check_exact=True)
    assert file.bound is not None
    assert abs(file.nats + file.bound.mean) < 0.005 * file.nats + 3 * file.bound.se_total
    (kept,) = [one for one in read_files(run) if one.name == "t.elb"]
    assert (kept.total_bytes, kept.contexts_bytes) == (file.total_bytes, file.contexts_bytes)
    assert kept.bound == -file.bound.mean
    frame[""], frame["code"], frame["land"] = np.arange(N), [f"{i:03d}" for i in range(N)], ["NA", "", "DE"] * (N // 3)
    frame.to_csv(tmp_path / "t.csv", index=False)
    compress(run, tmp_path / "t.csv", path, bounds=False, **QUIET)
    decompress(run, path, out=tmp_path / "u.csv", **QUIET)
    texts = [pd.read_csv(tmp_path / one, dtype=str, keep_default_na=False) for one in ("t.csv", "u.csv")]
    pd.testing.assert_frame_equal(*texts)
    assert (tmp_path / "u.csv").read_text().splitlines()[0] == (tmp_path / "t.csv").read_text().splitlines()[0]
    twice = (tmp_path / "t.csv").read_text().replace("land", "code", 1)
    (tmp_path / "t.csv").write_text(twice)
    with pytest.raises(er.InputError, match="has two columns 'code'"):
        compress(run, tmp_path / "t.csv", path, **QUIET)
    frame["land"] = pd.array([None, *["DE"] * (N - 1)], dtype="string")
    compress(run, frame, path, bounds=False, **QUIET)
    pd.testing.assert_frame_equal(decompress(run, path, **QUIET), frame, check_exact=True)


@pytest.mark.parametrize("dtype", ["<U3", "O"])
def test_arrays_by_name_come_back_contexts_and_others(dtype: str, run: Path, tmp_path: Path) -> None:
    more = {
        "other": RNG.normal(size=3),
        "grid": np.eye(3, dtype=">i2"),
        "empty": np.zeros(0),
        "−0": np.full((N, 2), -0.0),
    }
    held = {"age": AGE, "x": X, "batch": BATCH.astype(dtype), **more}
    compress(run, held, tmp_path / "x.elb", chunk_rows=50, bounds=False, **QUIET)
    back = decompress(run, tmp_path / "x.elb", **QUIET)
    assert list(back) == list(held)
    for name, array in held.items():
        assert (back[name].dtype, back[name].tolist()) == (array.dtype, array.tolist())
    assert np.signbit(back["−0"]).all()
    some = decompress(run, tmp_path / "x.elb", chunk=2, **QUIET)
    assert (some["x"] == X[100:]).all()
    assert some["batch"].tolist() == BATCH[100:].tolist()
    np.savez(
        tmp_path / "x.npz", **{name: one.astype("U3") if one.dtype == object else one for name, one in held.items()}
    )
    compress(run, tmp_path / "x.npz", tmp_path / "x.elb", bounds=False, **QUIET)
    decompress(run, tmp_path / "x.elb", out=tmp_path / "y.npz", **QUIET)
    with np.load(tmp_path / "x.npz") as one, np.load(tmp_path / "y.npz") as other:
        assert one.files == other.files
        assert all(one[name].tobytes() == other[name].tobytes() for name in one.files)


@pytest.fixture(scope="module")
def cells() -> Any:
    rng, n = np.random.default_rng(5), 90
    x = rng.poisson(rng.gamma(2.0, 1.0, (n, 1)) * np.arange(1, 13) / 4).astype(np.float32)
    x[:, 0] += 1
    batch = pd.Categorical(rng.choice(["b", "a"], n))
    stage = pd.Categorical(rng.choice(["late", "early"], n), ["late", "early", "none"], ordered=True)
    obs = pd.DataFrame(
        {"lab": batch, "age": rng.integers(0, 9, n).astype(np.int8), "w": "u v", "s": stage, "f": rng.random(n)}
    )
    obs["gaps"] = pd.array([None, 2**60 + 1, *range(n - 2)], dtype="Int64")
    obs["known"] = pd.array([None, *rng.integers(0, 2, n - 1).astype(bool)], dtype="boolean")
    obs.index = [f"cell {i}" for i in range(n)]
    var = pd.DataFrame({"chosen": np.arange(12) % 2 == 0}, index=[f"g{i}" for i in range(12)])
    return anndata.AnnData(sparse.csr_matrix(x), obs=obs, var=var, obsm={"X_pca": rng.random((n, 2))})


@pytest.mark.parametrize(("size", "form"), [("observed", "csr"), ("latent", "csc")])
def test_cells_come_back_with_genes_batches_and_names(size: str, form: str, cells: Any, tmp_path: Path) -> None:
    cells = cells.copy()
    cells.X = cells.X.asformat(form)
    data = er.load_data(cells, batch="lab", genes=7, size_factor=size, validation=15, test=15)
    er.fit(er.models.build({"model": "scvi", "widths": [8]}, data), data, epochs=1, run=tmp_path / "run", **QUIET)
    cells.write_h5ad(tmp_path / "x.h5ad", convert_strings_to_categoricals=False)
    file = compress(tmp_path / "run", tmp_path / "x.h5ad", tmp_path / "x.elb", chunk_rows=40, **QUIET)
    assert "Not in the file, and not given back: obsm." in str(file)
    assert file.total_bytes == (tmp_path / "x.elb").stat().st_size
    assert file.bound is not None
    assert abs(file.nats + file.bound.mean) < 0.005 * file.nats + 3 * file.bound.se_total
    back = anndata.read_h5ad(decompress(tmp_path / "run", tmp_path / "x.elb", out=tmp_path / "y.h5ad", **QUIET))
    assert back.X.format == form
    for name in ("data", "indices", "indptr"):
        assert getattr(back.X, name).tobytes() == getattr(cells.X, name).tobytes()
    pd.testing.assert_frame_equal(back.obs, cells.obs, check_exact=True)
    pd.testing.assert_frame_equal(back.var, cells.var)
    some = decompress(tmp_path / "run", tmp_path / "x.elb", chunk=2, **QUIET)
    assert (some.X.toarray() == cells.X[80:].toarray()).all()
    pd.testing.assert_frame_equal(some.obs, cells.obs[80:], check_exact=True)
    twice = cells.copy()
    twice.obs = twice.obs.rename(columns={"age": "w"})
    with pytest.raises(er.InputError, match="two columns of one name"):
        compress(tmp_path / "run", twice, tmp_path / "z.elb", **QUIET)
    other = cells.copy()
    other.obs["lab"] = "z"
    with pytest.raises(er.InputError, match="knows no batch 'z'"):
        compress(tmp_path / "run", other, tmp_path / "z.elb", **QUIET)


def test_columns_called_as_contexts_of_the_model_are_not_taken_for_them(tmp_path: Path) -> None:
    frame = table().rename(columns={"other": "size", "g0": "batch", "batch": "site"}).drop(columns="age")
    frame["size"] = frame.iloc[:, 1:-1].sum(1) * 3.0 + 1
    frame.to_csv(tmp_path / "t.csv", index=False)
    data = er.load_data(tmp_path / "t.csv", context={"batch": "site"}, size_factor="size", validation=20, test=20)
    assert {"batch", "size"} == set(data.train.context)
    vae = er.models.build({"latents": 2, "widths": [8], "likelihood": "poisson"}, data)
    er.fit(vae, data, epochs=1, run=tmp_path / "run", **QUIET)
    rows = pd.read_csv(tmp_path / "t.csv").iloc[data.test.index].reset_index(drop=True)
    of_part, of_table = (compress(tmp_path / "run", one, tmp_path / "x.elb", **QUIET) for one in (data.test, rows))
    assert of_part.bound is not None
    assert of_table.bound is not None
    assert (of_part.coded_bits, of_part.bound.mean) == (of_table.coded_bits, of_table.bound.mean)
    pd.testing.assert_frame_equal(decompress(tmp_path / "run", tmp_path / "x.elb", **QUIET), rows, check_exact=True)
    with pytest.raises(er.InputError, match="a table, which comes back whole"):
        decompress(tmp_path / "run", tmp_path / "x.elb", chunk=0, **QUIET)


REFUSED: dict[str, tuple[Any, str]] = {
    "no contexts": (X, "reads the context 'batch', which these data do not have"),
    "one missing": ({"x": X, "batch": BATCH}, "reads the context 'years'"),
    "NaN": ({"x": X, "batch": BATCH, "years": np.where(AGE > 50, np.nan, AGE)}, "missing or infinite values"),
    "unknown word": ({"x": X, "batch": np.full(N, "z"), "years": AGE}, "knows no batch 'z'; it knows 'a', 'b', 'c d'"),
    "no word": ({"x": X, "batch": np.full(N, None), "years": AGE}, "'batch' has missing values"),
    "too few": ({"x": X, "batch": BATCH[:5], "years": AGE}, "has 5 rows, and there are 120"),
    "words for numbers": ({"x": X, "batch": BATCH, "years": BATCH}, "'years' holds words, and the model reads numbers"),
    "other classes": ({"x": X, "batch": np.eye(4)[AGE % 4], "years": AGE}, "9 numbers per example"),
    "objects": ({"x": X, "batch": BATCH, "years": AGE, "o": np.array([{}])}, "Python objects that are no texts"),
    "no x": ({"batch": BATCH, "years": AGE, "u": X, "v": X}, "call the data 'x'"),
    "no rows": ({"x": X[:0], "batch": BATCH[:0], "years": AGE[:0]}, "has no rows"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_contexts_that_are_none_are_refused(name: str, run: Path, tmp_path: Path) -> None:
    data, said = REFUSED[name]
    with pytest.raises(er.InputError, match=said):
        compress(run, data, tmp_path / "x.elb", **QUIET)
    assert not list(tmp_path.iterdir())


def test_hostile_contexts_in_files_are_refused(run: Path, tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "x.elb"
    compress(run, {"x": X[:9], "batch": BATCH[:9], "years": AGE[:9]}, path, bounds=False, **QUIET)
    good, rng = path.read_bytes(), np.random.default_rng(3)

    def refused(content: bytes) -> None:
        path.write_bytes(content)
        with pytest.raises(er.InputError) as raised:
            decompress(run, path, **QUIET)
        assert str(raised.value).endswith(".")

    for trial in range(60):
        content = bytearray(good)
        at = int(rng.integers(len(good)))
        if trial % 2:
            content[at] ^= 1 << int(rng.integers(8))
        else:
            del content[at:]
        refused(bytes(content))
    held = Reader(path).head["contexts"] if path.write_bytes(good) else []
    batch, age = held
    for change in (
        {"contexts": None}, {"contexts": []}, {"contexts": [batch]}, {"contexts": [batch, batch]},
        {"contexts bytes": 7},
        {"contexts": [{**batch, "words": []}, age]}, {"contexts": [{**batch, "words": [1]}, age]},
        {"contexts": [{**batch, "words": ["a", "b"]}, age]}, {"contexts": [{**batch, "name": ["batch"]}, age]},
        {"contexts": [{**batch, "array": {**batch["array"], "shape": [10**9]}}, age]},
        {"contexts": [{**batch, "array": {**batch["array"], "shape": [-1]}}, age]},
        {"contexts": [{**batch, "array": {**batch["array"], "texts": 1}}, age]},
        {"contexts": [{**batch, "array": {**batch["array"], "dtype": "<U99999999999"}}, age]},
        {"contexts": [{**batch, "array": {**batch["array"], "texts": False, "dtype": "<f8"}}, age]},
        {"contexts": [batch, {**age, "array": {**age["array"], "dtype": "O"}}]},
        {"contexts": [batch, {**age, "array": {**age["array"], "hot": True}}]},
        {"source": {**Reader(path).head["source"], "names": ["x"]}},
    ):  # fmt: skip
        refused(forged(good, lambda head, change=change: head.update(change)))
    path.write_bytes(good)
    forward = ExactLinear.forward
    monkeypatch.setattr(ExactLinear, "forward", lambda layer, x: forward(layer, x) + 1e-6)
    with pytest.raises(er.InputError, match="returns other numbers"):
        decompress(run, path, **QUIET)


def counts(kind: str) -> er.VAE:
    torch.manual_seed(0)
    how: dict[str, Any] = {"size_factor": "log_size" if kind == "latent size" else "size"}
    how |= {"size_scale": "log"} if kind == "latent size" else {}
    how |= {"dispersion": "feature-batch", "batches": 3} if kind == "dispersions" else {}
    decoder, given = networks.MLP([5, 8, D * (1 + (kind == "zeros"))]), ("z", "batch")
    family: Any = {"zeros": lik.ZeroInflatedNegativeBinomial, "detection": lik.Detection}.get(
        kind, lik.NegativeBinomial
    )
    encoder = networks.Standardised(networks.MLP([D + 4, 8, 4]), event=(D,), log1p=True)
    p = priors.Normal(2, network=networks.MLP([3, 4]), given=("batch",))
    prior: dict[str, Any] = {"z": p}
    q: dict[str, Any] = {"z": posteriors.DiagonalNormal(encoder, 2, given=("x", "batch"))}
    if kind == "latent size":
        prior["log_size"] = priors.FixedNormal(1, mean=[-0.2, 0.0, 0.3], std=[0.5, 0.6, 0.7], given=("batch",))
        one = networks.Standardised(networks.MLP([D + 4, 8, 2]), event=(D,), log1p=True)
        q["log_size"] = posteriors.DiagonalNormal(one, 1, given=("x", "batch"))
    return er.VAE(prior, q, family(decoder, D, given=given, **how)).eval()


CONTEXTS = Contexts(
    (
        Context("batch", Column.of("batch", np.tile(np.eye(3), (134, 1))[:400])),
        Context("size", Column.of("size", np.exp(np.random.default_rng(1).normal(size=(400, 1))))),
    )
)


@pytest.mark.parametrize("kind", ["dispersions", "zeros", "latent size", "detection"])
def test_bits_under_sizes_and_batches_are_those_of_the_bound(kind: str) -> None:
    vae, rng = counts(kind), np.random.default_rng(4)
    read = Contexts(tuple(one for one in CONTEXTS.all if one.name in vae.context_names))
    size = np.minimum(CONTEXTS.all[1].column.data, 4.0)
    x = rng.integers(0, 2, (400, D)) if kind == "detection" else rng.poisson(size * np.ones(D))
    exact, every = rounded(vae), slice(0, 400)
    survey = Survey(exact, Cells(exact), 16)
    survey.add(x, None, read.rows(every))
    codec = Codec(exact, survey.settings(), exact=True, contexts=read)
    chunk = codec.encode(x, None, read.given(every))
    assert (codec.decode(chunk, read.given(every))[0] == x).all()
    nats = (len(chunk.words) - chunk.initial) * 32 * math.log(2) / len(x)
    batch = er.Batch(torch.from_numpy(x).double(), torch.arange(len(x)), read.rows(every))
    terms = codec.vae(batch, codec.vae.keyed_noise(16, batch.index, 0), lay_out=False)
    each = (sum(terms.log_posterior.values()) - sum(terms.log_prior.values()) - terms.log_likelihood).detach()
    error = math.sqrt(float(each.var(0).sum()) * (1 + 1 / 16)) / len(x)
    assert abs(nats - float(each.mean())) < 0.005 * nats + 3 * error
    assert error < 0.03 * nats


@pytest.mark.parametrize("kind", ["dispersions", "zeros", "detection"])
def test_masses_under_sizes_are_scipys(kind: str) -> None:
    vae = counts(kind).double()
    vae.likelihood.raw_dispersion.data.normal_() if kind == "dispersions" else None
    (family,) = families_of(vae.likelihood, Cells(vae, Spans(np.zeros(D, np.int64), np.full(D, 60, np.int64))), 64)
    rng, n = np.random.default_rng(2), 400
    raw, given = rng.normal(size=(n, vae.likelihood.parts, D)), CONTEXTS.given(slice(0, n))
    size, code = given["size"][0].numpy(), given["batch"][0].argmax(1).numpy()
    mean = np.exp(20 * np.tanh(raw[:, 0] / 20)) * size
    if kind == "detection":
        x = rng.integers(0, 2, (n, D))
        masses = np.where(x > 0, -np.expm1(-mean), np.exp(-mean))
    else:
        x, r = rng.integers(0, 12, (n, D)), np.ones((n, D))
        if kind == "dispersions":
            r = np.exp(20 * np.tanh(vae.likelihood.raw_dispersion.detach().numpy()[code] / 20))
        masses = scipy.stats.nbinom.pmf(x, r, r / (r + mean))
        if kind == "zeros":
            gate = scipy.special.expit(raw[:, 1])
            masses = (x == 0) * gate + (1 - gate) * masses
    full, likely = family.with_beside(raw, given), masses > 1e-5
    stack = Stack.primed(2)
    before = stack.bits
    family.push(stack, x, full, likely)
    ideal = -np.log2(masses[likely]).sum()
    assert abs(stack.bits - before - ideal) < 40 + 2e-3 * ideal
    assert (family.pop(stack, full, likely)[likely] == x[likely]).all()
