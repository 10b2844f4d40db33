"""The command line: what it prints, and that every refusal is one sentence with exit code 2."""

import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import yaml
from drawings import sketched
from staged import short_study

from elbowroom import cli
from elbowroom.models import known_words
from elbowroom.numerics import Estimate
from elbowroom.records import ClassicRecord, read_study


def run(capsys, monkeypatch, *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["elbowroom", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    captured = capsys.readouterr()
    return int(stop.value.code or 0), captured.out, captured.err


def test_the_road_from_fit_to_evidence(capsys, monkeypatch, tmp_path) -> None:
    folder = str(tmp_path / "run")
    code, out, _ = run(capsys, monkeypatch, "fit", "digits", "--run", folder, "--epochs", "2", "--latents", "2")
    assert (code, out.splitlines()[-1]) == (0, folder)
    code, out, _ = run(capsys, monkeypatch, "evidence", folder, "--draws", "64")
    assert code == 0
    assert "lower bound on log p(x), IWAE-64" in out
    code, out, _ = run(capsys, monkeypatch, "sample", folder, "--out", str(tmp_path / "s.npy"), "-n", "3")
    assert (code, np.load(tmp_path / "s.npy").shape) == (0, (3, 64))


def test_labels_are_a_column_from_fit_to_evidence(capsys, monkeypatch, tmp_path) -> None:
    rows = np.random.default_rng(0).normal(size=(60, 2))
    lines = [f"{a},{b},{kind}" for (a, b), kind in zip(rows, ["one", "two"] * 30, strict=True)]
    table, folder = tmp_path / "table.csv", str(tmp_path / "run")
    table.write_text("\n".join(["a,b,kind", *lines]))
    code, out, _ = run(capsys, monkeypatch, "data", "show", str(table), "--labels", "kind")
    assert (code, "2 columns" in out, "2 classes: one, two" in out) == (0, True, True)
    words = ["--labels", "kind", "--latents", "1", "--widths", "4", "--epochs", "1"]
    assert run(capsys, monkeypatch, "fit", str(table), "--run", folder, *words)[0] == 0
    code, out, _ = run(capsys, monkeypatch, "evidence", folder, "--draws", "2")
    assert (code, "lower bound on log p(x), IWAE-2" in out) == (0, True)
    for source, column, words in ((str(table), "sort", "no column 'sort'"), ("digits", "kind", "no columns by name")):
        code, _, err = run(capsys, monkeypatch, "data", "show", source, "--labels", column)
        assert (code, words in err, err.count("\n")) == (2, True, 1)


def test_fit_takes_words(capsys, monkeypatch, tmp_path) -> None:
    words = ["--likelihood", "{kind: normal, scale: shared}", "--widths", "8,4", "--latents", "3"]
    objective = ["--objective", "{kind: elbo, beta: 5e-1, schedule: {kind: linear-schedule, steps: 4}}"]
    folder = str(tmp_path / "run")
    code, _, err = run(capsys, monkeypatch, "fit", "digits", "--run", folder, "--epochs", "1", *words, *objective)
    assert (code, "Traceback" in err) == (0, False)
    recipe = yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())
    assert recipe["model"]["likelihood"]["scale"] == "shared"
    assert recipe["model"]["posterior"]["z"]["network"]["widths"] == [64, 8, 4, 6]
    assert {name: recipe["objective"][name] for name in ("kind", "beta", "schedule")} == {
        "kind": "elbo",
        "beta": 0.5,
        "schedule": {"kind": "linear-schedule", "steps": 4, "floor": 0.0},
    }


def test_study_sweeps_over_any_words(capsys, monkeypatch, tmp_path) -> None:
    rows = np.random.default_rng(0).normal(size=(60, 3))
    np.save(tmp_path / "rows.npy", rows)
    folder = tmp_path / "study"
    module = importlib.import_module("elbowroom.studies.contest")
    short_study(monkeypatch)
    monkeypatch.setattr("elbowroom.pages.embedding._drawing", sketched)
    monkeypatch.setattr(module, "classics", lambda data, *rest: _one_classic(data))
    axes = ["--sweep", "latents=1,2", "--sweep", "likelihood=normal,{kind: laplace, scale: shared}"]
    settings = ["--sweep", "lr=1e-2", "--epochs", "2", "--draws", "8", "--annealed", "0", "--widths", "8"]
    code, out, err = run(
        capsys, monkeypatch, "study", str(tmp_path / "rows.npy"), "--folder", str(folder), *axes, *settings
    )
    assert code == 0, err
    models = read_study(folder).sweep.models
    labels = [model.label for model in models]
    assert labels[1] == "d = 1, likelihood = laplace (scale shared), lr = 0.01"
    assert len(labels) == 4
    assert [model.latents for model in models] == [1, 1, 2, 2]
    assert re.search(r"^chosen +d = \d, likelihood = .* latents? .*active$", out, re.MULTILINE)
    code, out, _ = run(capsys, monkeypatch, "report", str(folder))
    assert (code, out.strip()) == (0, str(folder / "report.html"))


def _one_classic(data):
    values = np.zeros(len(data.test))
    about = {"quantity": "log p(x)", "estimator": "zero", "direction": "exact"}
    estimate = Estimate.of(values, index=data.test.index.numpy(), data=data.test.data, **about)
    return [ClassicRecord("Gaussian mixture", "1 component", estimate, 0.0, 1.0)]


@pytest.mark.parametrize("command", ["fit", "study"])
def test_help_lists_the_words_that_the_rooms_know(capsys, monkeypatch, command) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    code, out, _ = run(capsys, monkeypatch, command, "--help")
    assert code == 0
    shown = " ".join(out.replace("│", " ").split())
    for part, words in known_words().items():
        assert ", ".join(words) in shown, part
    assert "'{kind: normal, scale: shared}'" in shown


def test_data_commands(capsys, monkeypatch) -> None:
    code, out, _ = run(capsys, monkeypatch, "data", "list")
    assert code == 0
    assert {line.split()[0] for line in out.splitlines()} >= {"digits", "mnist", "svhn", "dsprites"}
    code, out, _ = run(capsys, monkeypatch, "data", "show", "digits")
    assert code == 0
    assert "integer grid 0…16" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["data", "show", "mnits"], "mnist"),
        (["data", "show", "nowhere.npz"], "nowhere.npz"),
        (["report", "nowhere"], "no study folder nowhere"),
        (["evidence", "nowhere"], "nowhere is no run folder"),
        (["audit", "nowhere"], "nowhere is no run folder"),
        (["fix", "nowhere", "--run", "unmade"], "nowhere is no run folder"),
        (["fit", "digits", "--run", "unmade", "--latents", "0"], "latents"),
        (["fit", "digits", "--run", "unmade", "--epochs", "0"], "epochs"),
        (["fit", "digits", "--run", "unmade", "--prior", "gauss"], "no prior 'gauss'; there are: "),
        (
            ["fit", "digits", "--run", "unmade", "--likelihood", "{kind: normal"],
            "likelihood: '{kind: normal' is no",
        ),
        (["fit", "digits", "--run", "unmade", "--likelihood", "bernoulli"], "density of binary data"),
        (["fit", "digits", "--run", "unmade", "--preprocess", "whiten"], "no preprocessing 'whiten'"),
    ],
)
def test_refusals_are_one_sentence_and_exit_2(capsys, monkeypatch, tmp_path, arguments, says) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, monkeypatch, *arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("elbowroom: ")
    assert err.count("\n") == 1
    assert says in err
    assert list(tmp_path.iterdir()) == []


def test_version(capsys, monkeypatch) -> None:
    with (Path(__file__).parents[1] / "pyproject.toml").open("rb") as file:
        expected = tomllib.load(file)["project"]["version"]
    assert run(capsys, monkeypatch, "--version") == (0, f"{expected}\n", "")


COMMANDS = sorted(one.name or one.callback.__name__ for one in cli.app.registered_commands)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_help_shows_a_place_where_words_should_stand(capsys, monkeypatch, command) -> None:
    code, out, _ = run(capsys, monkeypatch, command, "--help")
    assert code == 0
    assert not [place for place in known_words() if f"{{{place}}}" in out]
    assert "{{" not in out


def test_help_imports_no_torch() -> None:
    program = "import sys; sys.argv = ['elbowroom', '--help']\nfrom elbowroom import cli\n"
    program += "try:\n    cli.main()\nexcept SystemExit:\n    assert 'torch' not in sys.modules, 'torch'"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "study" in done.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["study", "digits", "--sweep", "latents=2", "--sweep", "latents=8"],
            "--sweep latents is given twice: say all its values at once, with commas.",
        ),
        (
            ["study", "digits", "--latents", "4", "--sweep", "latents=2,8"],
            "--latents and --sweep latents say the same: leave one of the two out.",
        ),
        (
            ["study", "digits", "--epochs", "4", "--sweep", "epochs=2,8"],
            "--epochs and --sweep epochs say the same: leave one of the two out.",
        ),
        (
            ["search", "digits", "--runs", "r", "--space", "widths=[8]", "--space", "widths=[4]"],
            "--space widths is given twice: say all its values at once, with commas.",
        ),
        (
            ["search", "digits", "--runs", "r", "--beta", "1", "--space", "beta=0.1..2"],
            "--beta and --space beta say the same: leave one of the two out.",
        ),
        (
            ["search", "digits", "--runs", "r", "--epochs", "1", "--space", "epochs=2"],
            "--epochs and --space epochs say the same: leave one of the two out.",
        ),
        (
            ["sample", "r", "--out", "x.npy", "--given", "label=3", "--given", "label=4"],
            "--given label is given twice: rows are drawn under one value, so leave one out.",
        ),
    ],
)
def test_nothing_that_was_typed_is_dropped_without_a_word(capsys, monkeypatch, tmp_path, words, says) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(capsys, monkeypatch, *words) == (2, "", f"elbowroom: {says}\n")
    assert not list(tmp_path.iterdir())


def test_the_page_of_a_study_reads_no_data(capsys, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "st").mkdir()
    (tmp_path / "st" / "1-load.json").touch()
    code, out, err = run(capsys, monkeypatch, "report", "st", "--source", "digits")
    assert (code, out) == (2, "")
    assert err == (
        "elbowroom: st is a study, whose page is made of its records and reads no data: leave --source out.\n"
    )
