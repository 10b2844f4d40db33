"""A run finds its data again: by what `load_data` was told, wherever they lie, and no others."""

import dataclasses
import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

import elbowroom as er
from elbowroom import load_data
from elbowroom.data.loading import loading_of, options_of
from elbowroom.numerics import InputError, Support
from elbowroom.runs import run_data
from elbowroom.runs.run_folder import RunFolder, check_same_run
from elbowroom.runs.saved_estimates import read_estimates

N = 60


def train(data, run):
    vae = er.models.build({"latents": 1, "widths": [4]}, data)
    er.fit(vae, data, epochs=1, run=run, progress=False)


def begin(data, run):
    """A run folder that holds a recipe and nothing else."""
    RunFolder(run).open({"data": data.summary()}, resume=False)
    return run


def write_table(path):
    drawn = np.random.default_rng(0)
    table = pd.DataFrame(drawn.normal(size=(N, 3)), columns=["a", "b", "c"])
    table["kind"], table["arm"], table["dose"] = ["u", "v"] * (N // 2), ["left", "right", "right"] * (N // 3), range(N)
    table.to_csv(path, index=False)
    return path


def images(folder):
    from PIL import Image

    for i in range(12):
        (folder / "uv"[i % 2]).mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 256, (4, 4), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "uv"[i % 2] / f"{i}.png")
    return folder


@pytest.mark.parametrize(
    "options",
    [
        {"context": ["arm", "kind"], "drop": "dose"},
        {"labels": "kind", "drop": ["b", "arm"]},
        {"labels": "kind", "context": {"side": "arm"}, "observed": {"y": "kind"}, "validation": 0.3, "test": 7},
        {"labels": "kind", "context": "arm", "support": ["real", "real", "real", "grid"], "seed": 3},
        {"labels": "kind", "context": "arm", "support": [Support("real")] * 3 + [Support("grid", 99)], "name": "mine"},
        {"labels": "kind", "context": "arm", "preprocess": er.preprocess.Identity(), "validation": 0},
    ],
)
def test_the_same_data_are_loaded_again_from_a_table(tmp_path, options):
    data = load_data(write_table(tmp_path / "t.csv"), **options)
    found = run_data(begin(data, tmp_path / "run"))
    assert found.sha256 == data.sha256
    assert (found.support, found.name, found.columns) == (data.support, data.name, data.columns)
    for name, part in data.parts.items():
        again = found.parts[name]
        assert torch.equal(again.index, part.index)
        assert torch.equal(again.batch().x, part.batch().x)
        assert {k: v.tolist() for k, v in again.context.items()} == {k: v.tolist() for k, v in part.context.items()}
        assert again.observed.keys() == part.observed.keys()


@pytest.mark.parametrize("flat", [None, False])
def test_the_same_data_are_loaded_again_where_loading_changes_them(tmp_path, flat):
    data = load_data(images(tmp_path / "folder"), preprocess="binarise-fixed", seed=5, flat=flat)
    found = run_data(begin(data, tmp_path / "run"))
    assert (found.sha256, str(found.support), found.event) == (data.sha256, "binary {0, 1}", data.event)
    assert found.label_names == ["u", "v"]
    digits = load_data("digits", preprocess="binarise-fixed", seed=2)
    assert run_data(begin(digits, tmp_path / "digits")).sha256 == digits.sha256


def test_missing_cells_are_filled_as_they_were(tmp_path):
    x = np.random.default_rng(0).normal(7.0, size=(N, 2))
    x[::5, 1] = np.nan
    np.save(tmp_path / "x.npy", x)
    data = load_data(tmp_path / "x.npy")
    found = run_data(begin(data, tmp_path / "run"))
    np.testing.assert_array_equal(found.test.x, data.test.x)


def test_a_file_is_found_where_it_was_where_one_is_and_where_it_was_moved_with_the_run(tmp_path, monkeypatch):
    old, new, elsewhere = tmp_path / "old", tmp_path / "new", tmp_path / "elsewhere"
    for folder in (old / "data", elsewhere):
        folder.mkdir(parents=True)
    write_table(old / "data" / "t.csv")
    monkeypatch.chdir(old)
    data = load_data("data/t.csv", labels="kind")
    begin(data, old / "runs" / "a")
    monkeypatch.chdir(elsewhere)
    assert run_data(old / "runs" / "a").sha256 == data.sha256
    shutil.move(old, new)
    assert run_data("../new/runs/a").sha256 == data.sha256
    shutil.move(new / "runs" / "a", elsewhere / "a")
    with pytest.raises(InputError, match=r"no longer at .*t.csv: say where they are now with source="):
        run_data(elsewhere / "a")
    monkeypatch.chdir(new)
    assert run_data(elsewhere / "a").sha256 == data.sha256
    assert run_data(elsewhere / "a", source=new / "data" / "t.csv").label_names == ["u", "v"]


def test_data_from_memory_are_asked_for_and_an_edited_file_is_refused(tmp_path):
    table = pd.read_csv(write_table(tmp_path / "t.csv"), float_precision="round_trip")  # not every pandas does so
    run = begin(load_data(table, labels="kind", context="arm"), tmp_path / "run")
    with pytest.raises(InputError, match=r"from memory \(DataFrame\).*: give them again as source=\."):
        run_data(run)
    assert run_data(run, source=table).label_names == ["u", "v"]
    assert run_data(run, source=tmp_path / "t.csv").label_names == ["u", "v"]
    table.loc[3, "a"] = 9.0
    known, now = (
        load_data(tmp_path / "t.csv", labels="kind", context="arm"),
        load_data(table, labels="kind", context="arm"),
    )
    with pytest.raises(InputError, match=f"sha256 is {now.sha256[:12]}… and the run's is {known.sha256[:12]}…"):
        run_data(run, source=table)


def test_parts_that_were_swapped_are_noticed(tmp_path):
    data = load_data(write_table(tmp_path / "t.csv"), labels="kind", context=["arm", "dose"], validation=9, test=9)
    swapped = dataclasses.replace(data, validation=data.test, test=data.validation)
    train(swapped, tmp_path / "run")
    with pytest.raises(InputError, match="other examples stand in their parts"):
        run_data(tmp_path / "run")
    assert run_data(tmp_path / "run", source=swapped) is swapped
    vae = er.models.build({"latents": 1, "widths": [4]}, data)
    with pytest.raises(InputError, match="run on other data: other examples stand"):
        er.fit(vae, data, epochs=2, run=tmp_path / "run", resume=True, progress=False)
    with pytest.raises(InputError, match="other examples stand"):
        check_same_run(tmp_path / "run", {"data": data.summary()})


def test_a_run_is_resumed_from_another_working_directory(tmp_path, monkeypatch):
    write_table(tmp_path / "t.csv")
    monkeypatch.chdir(tmp_path)
    train(load_data("t.csv", labels="kind", context=["arm"]), tmp_path / "run")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir("below")
    data = load_data(os.path.join("..", "t.csv"), labels="kind", context=["arm"], name="other")
    vae = er.models.build({"latents": 1, "widths": [4]}, data)
    assert len(er.fit(vae, data, epochs=2, run=tmp_path / "run", resume=True, progress=False).rows) == 2


def test_recipes_of_before_find_their_data(tmp_path):
    data = load_data(write_table(tmp_path / "t.csv"), labels="kind", context=None, seed=4, validation=8)
    run = begin(data, tmp_path / "run")
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    for name in ("loading", "parts"):
        del recipe["data"][name]
    recipe["data"]["label_column"] = "kind"
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert run_data(run).sha256 == data.sha256
    with pytest.raises(InputError, match="by seed 5, and the run's by seed 4"):
        run_data(run, source=load_data(tmp_path / "t.csv", labels="kind", seed=5, validation=8))


def test_loading_holds_plain_values_and_names_arrays():
    supports = [Support("mixed", columns=(Support("real"), Support("grid", 5))), ["real", Support("grid", 3)], "unit"]
    for one in supports:
        said = loading_of("a.csv", False, {"support": one})
        assert yaml.safe_load(yaml.safe_dump(said)) == said
        assert options_of(said) == {"support": one}
    told = {"labels": ["u", "v"], "context": {"c": [1, 2]}, "observed": {"y": "kind"}, "seed": 0}
    said = loading_of(np.zeros(3), False, told)
    assert said == {
        "held": "ndarray",
        "options": {"observed": {"y": "kind"}, "seed": 0},
        "arrays": ["labels", "context"],
    }


def test_a_run_folder_takes_one_process_at_a_time(tmp_path):
    data = load_data(write_table(tmp_path / "t.csv"), drop=["kind", "arm"])
    run = tmp_path / "run"
    begin(data, run)
    code = "import sys; from pathlib import Path; from elbowroom.atomic import hold\n"
    code += "held = hold(Path(sys.argv[1])); print(held is not None, flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(run / ".training")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "True\n"
        with pytest.raises(InputError, match="is being trained by another process"):
            RunFolder(run).open({"data": data.summary()}, resume=True)
        other.kill()
    RunFolder(run).open({"data": data.summary()}, resume=True)


def test_estimates_of_measurements_that_end_at_once_are_all_kept(tmp_path):
    code = "import sys; from pathlib import Path; from elbowroom.numerics import Estimate\n"
    code += "from elbowroom.runs.saved_estimates import keep_estimates\n"
    code += "about = {'quantity': 'log p(x)', 'direction': 'lower'}\n"
    code += "for i in range(20):\n    one = Estimate.of([1.0, 2.0], estimator=f'{sys.argv[2]}-{i}', **about)\n"
    code += "    keep_estimates(Path(sys.argv[1]), 'test', [one])"
    path = tmp_path / "evidence.json"
    both = [subprocess.Popen([sys.executable, "-c", code, str(path), name]) for name in "ab"]
    assert [one.wait() for one in both] == [0, 0]
    assert len(read_estimates(path)) == 40
