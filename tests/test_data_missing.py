"""Cells that are missing: a mask at every door, and no change to data without gaps."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from torch import nn

import elbowroom as er
from elbowroom.data import load_data
from elbowroom.likelihoods import Mixed, Normal
from elbowroom.networks import MLP

N = 60


def holes(n: int = N) -> tuple[np.ndarray, np.ndarray]:
    """A table of real numbers with a third of the cells missing, and which are seen."""
    rng = np.random.default_rng(0)
    x, seen = rng.normal(3.0, 2.0, (n, 3)), rng.random((n, 3)) < 0.67
    return np.where(seen, x, np.nan), seen


def forms(x: np.ndarray, folder) -> dict[str, object]:
    np.save(folder / "x.npy", x)
    pd.DataFrame(x, columns=["a", "b", "c"]).to_csv(folder / "x.csv", index=False)
    return {
        "array": x,
        "masked": np.ma.masked_array(np.where(np.isnan(x), -9999.0, x), np.isnan(x)),
        "frame": pd.DataFrame(x),
        "mapped": np.load(folder / "x.npy", mmap_mode="r"),
        "sparse": sparse.csr_array(x),
        "csv": folder / "x.csv",
        "tensor": torch.from_numpy(x),
    }


@pytest.mark.parametrize("form", ["array", "masked", "frame", "mapped", "sparse", "csv", "tensor"])
def test_missing_cells_become_a_mask_and_statistics_are_of_those_seen(tmp_path, form):
    x, seen = holes()
    source = forms(x, tmp_path)[form]
    data = load_data(source)
    assert data.sha256 == load_data(x).sha256
    assert data.support == er.Support("real")
    for part in data.parts.values():
        batch = part.rows(torch.arange(len(part)))
        rows = batch.index.numpy()
        np.testing.assert_array_equal(batch.seen, seen[rows])
        np.testing.assert_array_equal(batch.x.numpy()[seen[rows]], x[rows][seen[rows]])
        y, _ = data.preprocess(batch.x)
        assert not y[~batch.seen].any()
        torch.testing.assert_close(part[2:4].batch().x, batch.x[2:4])
    train = x[data.train.index.numpy()]
    np.testing.assert_allclose(data.preprocess.mean, np.nanmean(train, 0), rtol=1e-12)
    np.testing.assert_allclose(data.preprocess.std, np.nanstd(train, 0), rtol=1e-12)
    assert f"Missing cells: {(~seen).sum():,} of {seen.size:,} ({(~seen).mean():.1%})." in data.notes
    assert ("not looked at one by one" in " ".join(data.notes)) == (form in ("mapped", "sparse"))
    assert data.summary()["missing"] == "mask"


def test_whole_numbers_with_gaps_keep_their_support(tmp_path):
    x = np.random.default_rng(0).integers(0, 2, (N, 4))
    masked = np.ma.masked_array(np.where(x > 5, -9999, x), np.random.default_rng(1).random((N, 4)) < 0.2)
    data = load_data(masked)
    assert data.support == er.Support("binary")
    assert set(data.train.x.unique().tolist()) == {0.0, 1.0}
    assert not data.train.x[~data.train.batch().seen].any()


def test_a_masked_array_that_masks_nothing_is_plain():
    x, _ = holes()
    x = np.nan_to_num(x)
    plain = load_data(np.ma.masked_array(x))
    assert plain.sha256 == load_data(x).sha256
    assert plain.train.fill is None
    assert plain.train.batch().seen is None
    assert "missing" not in plain.summary()


def test_rows_of_masked_arrays_keep_their_mask():
    x = np.ma.masked_array(np.arange(12.0).reshape(6, 2), np.arange(12).reshape(6, 2) == 3)
    data = load_data(list(x))
    assert data.sha256 == load_data(x).sha256
    assert data.notes == ["Missing cells: 1 of 12 (8.3%)."]
    rows = er.numerics.as_rows(x)
    assert torch.equal(rows.seen, torch.from_numpy(~x.mask))
    assert rows.x[1, 1] == 1.0  # a value of its column


def test_words_may_be_missing_too(tmp_path):
    frame = pd.DataFrame({"a": np.arange(N) / 7, "colour": ["red", "blue", None] * (N // 3)})
    frame.loc[4, "a"] = np.nan
    frame.to_csv(tmp_path / "t.csv", index=False)
    for source in (frame, tmp_path / "t.csv"):
        data = load_data(source)
        assert data.classes == {"colour": ["blue", "red"]}
        assert data.support.columns == (er.Support("real"), er.Support("categorical", 2))
        batch, rows = data.train.batch(), data.train.index
        assert torch.equal(batch.seen[:, 1], rows % 3 != 2)
        assert torch.equal(batch.x[:, 1], (rows % 3 == 0).to(batch.x))
        assert torch.equal(batch.seen[:, 0], rows != 4)


def model(data: er.data.Dataset) -> er.VAE:
    torch.manual_seed(0)
    return er.VAE(
        er.priors.StandardNormal(1),
        er.posteriors.DiagonalNormal(MLP([3, 4, 2]), 1),
        Mixed(nn.Linear(1, 3), [Normal(None, 3, scale=1.0)]),
        data.preprocess,
    )


def test_a_model_trains_on_the_cells_that_are_seen():
    x, _ = holes()
    data = load_data(x, support="mixed")
    vae = model(data)
    history = er.fit(vae, data, epochs=2, select="last", progress=False)
    assert np.isfinite(history.rows[-1]["validation"]["objective"])


def test_what_stands_in_a_missing_cell_is_not_scored():
    x, _ = holes()
    data = load_data(x, support="mixed")
    vae = model(data).eval()
    batch = data.test.batch()
    noise = vae.keyed_noise(2, batch.index, 0)
    with torch.no_grad():
        terms = vae(batch, noise)
        y, mean = vae.given(batch, noise)[0]["x"], vae.likelihood.network(terms.z["z"])
    cells = torch.distributions.Normal(mean, 1.0).log_prob(y) - data.preprocess.std.log().float()
    expected = torch.where(batch.seen, cells, 0.0).sum(-1)
    torch.testing.assert_close(terms.log_likelihood, expected)


def test_nothing_but_gaps_is_refused():
    with pytest.raises(er.InputError, match="Every cell of the data is missing"):
        load_data(np.full((9, 2), np.nan))
    with pytest.raises(er.InputError, match="a value that is infinite"):
        load_data(np.where(np.eye(9) > 0, np.nan, [[np.inf]] + [[1.0]] * 8)[:, 8:])


@pytest.mark.parametrize("form", ["array", "masked", "frame", "sparse", "csv", "tensor"])
def test_a_column_without_any_value_is_left_out_and_a_row_stays(tmp_path, form):
    x, _ = holes()
    x[:, 1], x[4] = np.nan, np.nan
    data = load_data(forms(x, tmp_path)[form])
    name = "b" if form == "csv" else "1"
    assert data.notes[0] == f"Left out: '{name}' (no value in any row)."
    assert data.event == (2,)
    assert sum(map(len, data.parts.values())) == N
    assert data.sha256 == load_data(x[:, [0, 2]]).sha256


def test_a_column_without_any_value_in_a_mapped_file_is_named(tmp_path):
    x, _ = holes()
    x[:, 1] = np.nan
    with pytest.raises(er.InputError, match=r"no value in any row \('1'\): leave them out"):
        load_data(forms(x, tmp_path)["mapped"])


def test_evidence_of_gaps_says_what_it_scores():
    data = er.load_data(holes()[0])
    scored = er.evidence.elbo(model(data), data.test, draws=4)
    assert scored.quantity == "log p(x_seen)"
