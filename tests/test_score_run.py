"""log p(x) and codes row by row, of a run's own data and of other rows, against the library and by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import elbowroom as er
from elbowroom import cli
from elbowroom.runs import RowScores, encode_run, read_run, score_run

N, DRAWS = 160, 40


def frame(n: int = N, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    x = z[:, None] * [1.0, -2.0] + 0.3 * rng.normal(size=(n, 2))
    return pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "kind": np.where(z + rng.normal(size=n) > 0, "u", "v")})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: Any) -> Path:
    path = tmp_path_factory.mktemp("scored")
    frame().to_csv(path / "train.csv", index=False)
    data = er.load_data(path / "train.csv", test=60, validation=10, progress=False)
    vae = er.models.build({"latents": 1, "widths": [8]}, data)
    er.fit(vae, data, epochs=3, run=path / "run", progress=False)
    new = frame(50, seed=1)
    new.loc[3, "a"] = 40.0
    new.loc[5, "b"] = np.nan
    new[["kind", "b", "a"]].assign(other=1).to_csv(path / "new.csv", index=False)
    return path


def scored(folder: Path, out: Path, **how: Any) -> RowScores:
    return score_run(folder / "run", out, draws=DRAWS, progress=False, **how)


@pytest.mark.parametrize("part", ["test", "train"])
def test_of_its_own_rows_it_writes_what_the_estimator_says(folder: Path, tmp_path: Path, part: str) -> None:
    found = scored(folder, tmp_path / "s.parquet", part=part)
    vae, _ = read_run(folder / "run")
    data = er.load_data(folder / "train.csv", test=60, validation=10, progress=False)
    exact = er.evidence.iwae(vae, data.parts[part], draws=DRAWS)
    table = pd.read_parquet(tmp_path / "s.parquet").set_index("row")
    assert list(table.columns) == ["log_p", "se", "khat"]
    assert table.index.is_monotonic_increasing
    np.testing.assert_array_equal(table["log_p"].loc[exact.index], exact.values)
    np.testing.assert_allclose(table["se"].loc[exact.index] ** 2, exact.mc_variance, rtol=1e-12)
    assert found.p_values is None
    assert str(found) == f"these rows: {exact}"


def test_other_rows_stand_beside_the_test_part(folder: Path, tmp_path: Path) -> None:
    found = scored(folder, tmp_path / "s.csv", data=folder / "new.csv")
    table = pd.read_csv(tmp_path / "s.csv")
    vae, _ = read_run(folder / "run")
    new = pd.read_csv(folder / "new.csv")[["a", "b", "kind"]]
    again = er.evidence.iwae(vae, new, draws=DRAWS)
    np.testing.assert_allclose(table["log_p"], again.values, rtol=1e-12)
    assert found.test is not None
    by_hand = [(1 + (found.test.values <= value).sum()) / 61 for value in again.values]
    whole = new.notna().all(axis=1)
    np.testing.assert_allclose(table["p"][whole], np.array(by_hand)[whole])
    assert table["p"].isna().tolist() == (~whole).tolist()  # log p of fewer cells is another quantity
    assert table["log_p"].idxmin() == 3
    said = str(found)
    assert "of 49 rows is as unlikely as the least likely 1.6% of the test part (the least likely first" in said
    assert "counted from 0: 3" in said
    assert "of rows like these about 0.8 would be" in said
    assert "note: 1 row with missing cells, of which the test part has none: no p." in said


def test_p_is_uniform_for_rows_like_those_of_the_test_part(folder: Path, tmp_path: Path) -> None:
    """A share of at most α has a p of at most α, whatever the model; within what 60 test examples allow."""
    frame(2_000, seed=2).to_csv(tmp_path / "many.csv", index=False)
    p = scored(folder, tmp_path / "s.csv", data=tmp_path / "many.csv").p_values
    assert p is not None
    for level in (0.1, 0.3, 0.5, 0.8):
        assert (p <= level).mean() == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / 60))


def test_codes_of_other_rows_are_those_of_the_library(folder: Path, tmp_path: Path) -> None:
    codes = pd.read_csv(encode_run(folder / "run", tmp_path / "c.csv", data=folder / "new.csv", progress=False))
    vae, _ = read_run(folder / "run")
    new = pd.read_csv(folder / "new.csv")[["a", "b", "kind"]]
    np.testing.assert_allclose(codes["z1"], vae.encode(new)["z"][:, 0], rtol=1e-6)
    assert list(codes.columns) == ["row", "z1", "z1_sd"]


def test_without_its_own_data_the_rows_are_scored_alone(folder: Path, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "run").symlink_to(folder / "run")
    monkeypatch.setattr("elbowroom.runs._score_run.run_data", _lost)
    found = score_run(tmp_path / "run", tmp_path / "s.csv", data=folder / "new.csv", draws=DRAWS, progress=False)
    assert found.p_values is None
    assert "Which of these are unusual is not known without the run's own test part. They are lost." in str(found)
    assert list(pd.read_csv(tmp_path / "s.csv").columns) == ["row", "log_p", "se", "khat"]


def _lost(*_: Any, **__: Any) -> None:
    raise er.InputError("They are lost.")


def test_what_cannot_be_scored_says_why(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(er.InputError, match=r"Scores are written to \.csv, \.parquet or \.npy"):
        scored(folder, tmp_path / "s.txt")
    with pytest.raises(er.InputError, match="The part is train, validation or test; got 'all'"):
        scored(folder, tmp_path / "s.csv", part="all")
    data = er.load_data(frame(), context="kind", progress=False)
    er.fit(er.models.build({"latents": 1, "widths": [4]}, data), data, epochs=1, run=tmp_path / "run", progress=False)
    with pytest.raises(er.InputError, match=r"reads 'kind' beside x, which no file of other rows brings"):
        score_run(tmp_path / "run", tmp_path / "s.csv", data=folder / "new.csv", progress=False)
    assert not (tmp_path / "s.csv").exists()


def test_the_command_prints_what_it_writes(folder: Path, tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["score", str(folder / "run"), str(folder / "new.csv"), "--draws", str(DRAWS)]
    monkeypatch.setattr("sys.argv", ["elbowroom", *words])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert out == f"{scored(folder, tmp_path / 's.csv', data=folder / 'new.csv')}\nscores.csv\n"
    assert (tmp_path / "scores.csv").read_text() == (tmp_path / "s.csv").read_text()
