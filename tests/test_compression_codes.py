"""Columns of codes beside x: contexts and labels come back letter by letter, and are to a model what training read."""

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import elbowroom as er
from elbowroom.compression import Compressed, compress, decompress
from elbowroom.compression._compress import model_of
from elbowroom.compression.cells import Cells
from elbowroom.compression.known import known_of
from elbowroom.compression.sources import source_of

QUIET: dict[str, Any] = {"progress": False}
N = 36
RNG = np.random.default_rng(0)
Z = np.array([0, 1, 2] * (N // 3))
CODES: dict[str, list[str]] = {
    "label": ["01", "1", "10"],
    "batch": ["1e3", "1E3", "5"],
    "zeros": ["01", "02", "03"],
    "powers": ["1e3", "5E0", "5"],
    "signs": ["+1", "1", "-2.0"],
    "decimals": ["1.50", "1.5", "2"],
    "spaces": ["a  b", "a b", " c"],
    "booleans": ["TRUE", "True", "false"],
    "whole": ["1", "2", "3"],
    "fractions": ["0.5", "2.0", "-0.0"],
    "large": ["9007199254740993", "9007199254740992", "1"],
    "marks": ["1,234", "5", "12,345"],
}
CONTEXT = [name for name in CODES if name not in ("label", "batch")]
LOADED: dict[str, Any] = {"labels": "label", "batch": "batch", "context": CONTEXT}


def table(codes: dict[str, list[str]] = CODES) -> pd.DataFrame:
    beside = {name: np.array(words, object)[Z] for name, words in codes.items()}
    return pd.DataFrame({**beside, "n": RNG.poisson(3.0 + 4 * Z), "m": RNG.poisson(2.0, N)})


def trained(source: Any, folder: Path, **how: Any) -> tuple[Path, er.data.Dataset]:
    data = er.load_data(source, test=6, validation=6, **how, **QUIET)
    recipe = {"latents": 2, "widths": [4], "context": [name for name in data.train.context if name != "size"]}
    er.fit(er.models.build(recipe, data), data, epochs=1, run=folder / "run", **QUIET)
    return folder / "run", data


def read_by_training(data: er.data.Dataset) -> dict[str, NDArray[Any]]:
    parts = [part.rows(slice(None)) for part in data.parts.values()]
    order = np.argsort(np.concatenate([one.index.numpy() for one in parts]))
    return {name: np.concatenate([one.context[name].numpy() for one in parts])[order] for name in parts[0].context}


def read_by_compress(run: Path, path: Any) -> dict[str, NDArray[Any]]:
    vae = model_of(run)
    contexts = source_of(path, vae, Cells(vae.double()), known_of(run, vae)).contexts
    return {name: value.numpy() for name, value in contexts.rows(slice(None)).items()}


def written(run: Path, data: Any, out: Path) -> Compressed:
    return compress(run, data, out, bounds=False, **QUIET)


def back(run: Path, path: Path) -> tuple[Compressed, Path]:
    file = written(run, path, path.with_suffix(".elb"))
    return file, decompress(run, file.path, out=path.with_name(f"back{path.suffix}"), **QUIET)


@pytest.fixture(scope="module")
def codes(tmp_path_factory: Any) -> tuple[Path, er.data.Dataset, Path]:
    folder = tmp_path_factory.mktemp("codes")
    table().to_csv(folder / "t.csv", index=False)
    return *trained(folder / "t.csv", folder, **LOADED), folder / "t.csv"


def test_codes_beside_x_come_back_letter_by_letter(codes: tuple[Path, er.data.Dataset, Path]) -> None:
    run, data, path = codes
    file, again = back(run, path)
    assert again.read_bytes() == path.read_bytes()
    assert "spelling" not in str(file)
    read = read_by_compress(run, path)
    assert set(read) == set(CODES)
    for name, value in read_by_training(data).items():
        assert np.array_equal(read[name], value), name


@pytest.mark.parametrize("kept", [[0], [1, 2], [2]])
def test_rows_with_some_of_the_codes_are_of_the_same_classes(
    kept: list[int], codes: tuple[Path, er.data.Dataset, Path], tmp_path: Path
) -> None:
    run, data, path = codes
    rows = np.flatnonzero(np.isin(Z, kept))
    lines = path.read_text().splitlines(keepends=True)
    (tmp_path / "t.csv").write_text("".join([lines[0], *(lines[1 + row] for row in rows)]))
    _, again = back(run, tmp_path / "t.csv")
    assert again.read_bytes() == (tmp_path / "t.csv").read_bytes()
    read = read_by_compress(run, tmp_path / "t.csv")
    for name, value in read_by_training(data).items():
        assert np.array_equal(read[name], value[rows]), name


def test_a_model_without_its_run_reads_the_same_codes(
    codes: tuple[Path, er.data.Dataset, Path], tmp_path: Path
) -> None:
    run, _, path = codes
    vae = model_of(run)
    compress(vae, path, tmp_path / "x.elb", bounds=False, **QUIET)
    decompress(vae, tmp_path / "x.elb", out=tmp_path / "t.csv", **QUIET)
    assert (tmp_path / "t.csv").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", ["t.feather", "t.parquet"])
def test_codes_in_typed_columns_come_back(name: str, tmp_path: Path) -> None:
    own = {"label": ["01", "1", "10"], "batch": ["1e3", "1E3", "5"], "years": ["20", "30", "1.5"]}
    frame = table(own).assign(years=np.array([1.5, 2.0, 3.0])[Z], code=np.array(["1", "01", "2"], object)[Z])
    getattr(frame, f"to_{name[2:]}")(tmp_path / name)
    run, data = trained(tmp_path / name, tmp_path, labels="label", batch="batch", context=["years", "code"])
    file = written(run, tmp_path / name, tmp_path / "x.elb")
    stood = pd.read_feather(tmp_path / name) if name.endswith("feather") else pd.read_parquet(tmp_path / name)
    pd.testing.assert_frame_equal(decompress(run, file.path, **QUIET), stood)
    read = read_by_compress(run, tmp_path / name)
    for context, value in read_by_training(data).items():
        assert np.array_equal(read[context], value), context


@pytest.mark.parametrize("words", [["01", "1", "10"], ["1e3", "1E3", "5"]])
def test_batches_of_cells_that_are_codes_come_back(words: list[str], tmp_path: Path) -> None:
    x = RNG.poisson(3.0, (N, 5)).astype(np.float32) + 1
    obs = pd.DataFrame({"lab": np.array(words, object)[Z]}, index=[f"c{i}" for i in range(N)])
    cells = anndata.AnnData(x, obs=obs, var=pd.DataFrame(index=[f"g{i}" for i in range(5)]))
    cells.write_h5ad(tmp_path / "x.h5ad", convert_strings_to_categoricals=False)
    data = er.load_data(tmp_path / "x.h5ad", batch="lab", validation=6, test=6, **QUIET)
    er.fit(er.models.build({"model": "scvi", "widths": [4]}, data), data, epochs=1, run=tmp_path / "run", **QUIET)
    _, again = back(tmp_path / "run", tmp_path / "x.h5ad")
    assert anndata.read_h5ad(again).obs["lab"].tolist() == obs["lab"].tolist()
    read = read_by_compress(tmp_path / "run", tmp_path / "x.h5ad")
    assert np.array_equal(read["batch"], read_by_training(data)["batch"])
    some = cells[Z > 0].copy()
    assert np.array_equal(read_by_compress(tmp_path / "run", some)["batch"], read["batch"][Z > 0])


@pytest.mark.parametrize("words", [["01", "1", "10"], ["a  b", "a b", " c"], ["a  b", "b", "c"]])
def test_codes_that_are_x_come_back_letter_by_letter(words: list[str], tmp_path: Path) -> None:
    table({"c": words}).to_csv(tmp_path / "t.csv", index=False)
    run, data = trained(tmp_path / "t.csv", tmp_path)
    assert len(data.classes["c"]) == 3
    assert back(run, tmp_path / "t.csv")[1].read_bytes() == (tmp_path / "t.csv").read_bytes()
    vae = model_of(run)
    read = source_of(tmp_path / "t.csv", vae, Cells(vae.double()), known_of(run, vae)).rows(slice(0, N))
    assert np.unique(read[:, data.columns.index("c")]).tolist() == [0, 1, 2]


def test_numbers_of_contexts_are_read_with_the_marks_of_the_file(tmp_path: Path) -> None:
    frame = table({"dose": ["1.234,5", "0,5", "12"], "age": ["1,5", "2,25", "3"], "size": ["1.000", "2.500", "900"]})
    frame.to_csv(tmp_path / "t.csv", index=False, sep=";")
    run, data = trained(tmp_path / "t.csv", tmp_path, context=["dose", "age"], size_factor="size")
    assert data.train.context["dose"].max() == 1234.5
    again = back(run, tmp_path / "t.csv")[1]
    pd.testing.assert_frame_equal(pd.read_csv(again, dtype=str), frame.astype(str))
    read = read_by_compress(run, tmp_path / "t.csv")
    for name, value in read_by_training(data).items():
        assert np.array_equal(read[name], value), name
    (tmp_path / "t.csv").write_text((tmp_path / "t.csv").read_text().replace("2.500", "many"))
    with pytest.raises(er.InputError, match="'size' holds what is no number"):
        written(run, tmp_path / "t.csv", tmp_path / "x.elb")


def test_what_of_x_comes_back_otherwise_is_named(tmp_path: Path) -> None:
    frame = table({"grade": ["A", "B", "NA"], "gap": ["0", "3", ""], "dash": ["0.5", "-", "1.5"]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    run, _ = trained(tmp_path / "t.csv", tmp_path)
    said = str(back(run, tmp_path / "t.csv")[0])
    words = "Words for no value, or with spaces around them, stand beside as they are, and come back too"
    assert "Numbers that come back, but not their spelling: 'gap', 'dash'." in said
    assert "Words for no value among numbers come back as empty cells: 'dash'." in said
    assert f"{words}: 'grade' (12: 'NA')." in said
    assert "does not give back" not in said


def test_a_column_of_too_many_steps_is_named(tmp_path: Path) -> None:
    frame = table({}).assign(far=np.linspace(0, 9, N).round(1))
    frame.to_csv(tmp_path / "t.csv", index=False)
    run, _ = trained(tmp_path / "t.csv", tmp_path)
    frame["far"] = (frame["far"] * 1e6).round()
    with pytest.raises(er.InputError, match="Column 'far' of these data takes more than 16,777,216 steps of"):
        written(run, frame, tmp_path / "x.elb")
