"""The command line: what it prints, and that every refusal is one sentence with exit code 2."""

import subprocess
import sys

import numpy as np
import pytest

from elbowroom import cli


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
        (["fit", "digits", "--run", "unmade", "--latents", "0"], "latents"),
        (["fit", "digits", "--run", "unmade", "--epochs", "0"], "epochs"),
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


def test_help_imports_no_torch() -> None:
    program = "import sys; sys.argv = ['elbowroom', '--help']\nfrom elbowroom import cli\n"
    program += "try:\n    cli.main()\nexcept SystemExit:\n    assert 'torch' not in sys.modules, 'torch'"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "study" in done.stdout
