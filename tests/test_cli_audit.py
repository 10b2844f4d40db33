"""`elbowroom audit` and `elbowroom fix`: what they write, print and refuse."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from staged import short_audit

import elbowroom as er
from elbowroom import cli
from elbowroom.records import AuditRecord
from elbowroom.studies._audit_run import objective_of


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of a table of numbers, and the table."""
    folder = tmp_path_factory.mktemp("trained")
    np.save(folder / "rows.npy", np.random.default_rng(0).normal(size=(80, 2)))
    data = er.load_data(folder / "rows.npy")
    words = {"latents": 1, "widths": [4], "objective": {"kind": "elbo", "beta": 0.5}}
    recipe = er.models.Recipe().where(**words)
    vae, goal = er.models.build(recipe, data), er.models.goal(recipe)
    er.fit(vae, data, goal, epochs=2, run=folder / "run", progress=False)
    return folder


@pytest.fixture
def spoken(capsys, monkeypatch, trained, tmp_path):
    """What a command says in a copy of that folder, and its exit code."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    short_audit(monkeypatch)
    monkeypatch.setattr("elbowroom.studies._audit_run.report", lambda record, page: page)  # which other tests draw

    def say(*arguments):
        monkeypatch.setattr(sys, "argv", ["elbowroom", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        said = capsys.readouterr()
        return int(stop.value.code or 0), said.out, said.err

    return say


def test_an_audit_is_printed_in_ten_lines_and_kept(spoken):
    code, out, _ = spoken("audit", "run", "--quick", "--json", "also.json")
    assert code == 0
    lines = out.splitlines()
    assert len(lines) <= 11
    assert lines[-1] == "run/audit.html"
    kept = AuditRecord.from_dict(json.loads(Path("run/audit.json").read_text()))
    assert lines[0].split(maxsplit=1) == ["verdict", kept.verdict]
    assert Path("also.json").read_bytes() == Path("run/audit.json").read_bytes()
    again = er.studies.audit_run("run", quick=True, progress=False).record
    assert again.identity.total.values == pytest.approx(kept.identity.total.values)


def test_the_objective_of_a_run_is_handed_on(trained):
    found = objective_of(trained / "run")
    assert (type(found), float(found.beta)) == (er.objectives.Elbo, 0.5)


def test_an_audit_that_is_stopped_leaves_nothing(spoken, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("elbowroom.ledger.audit", stopped)
    code, out, err = spoken("audit", "run")
    assert (code, out) == (130, "")
    assert err == "elbowroom: interrupted; nothing was written, and the same command begins anew.\n"
    assert not Path("run/audit.json").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("audit", "run", "-n", "1"), "-n"),
        (("audit", "run", "--source", "nowhere.npy"), "nowhere.npy"),
        (("fix", "run", "--run", "run"), "run is not empty: name another folder for the fixed run."),
    ],
)
def test_refusals_are_one_sentence(spoken, arguments, says):
    code, out, err = spoken(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert says in err
