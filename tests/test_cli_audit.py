"""`elbowroom audit` and `elbowroom fix`: what they write, print and refuse."""

import functools
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from invented_audits import healthy, ill
from staged import short_audit

import elbowroom as er
from elbowroom import cli
from elbowroom.pages import audit_table
from elbowroom.pages.audit_page import fix_page
from elbowroom.records import AuditRecord, read_fix
from elbowroom.records.weights import weights_digest
from elbowroom.runs import read_run, run_data
from elbowroom.studies._audit_run import objective_of


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of a table of numbers, and the table."""
    folder = tmp_path_factory.mktemp("trained")
    np.save(folder / "rows.npy", np.random.default_rng(0).normal(size=(80, 2)))
    data = er.load_data(folder / "rows.npy")
    words = {"latents": 1, "widths": [4], "objective": {"kind": "elbo", "beta": 0.5}}
    words["likelihood"] = {"kind": "normal", "scale": 3.0}  # of columns whose deviation is 1
    recipe = er.models.Recipe().where(**words)
    vae, goal = er.models.build(recipe, data), er.models.goal(recipe)
    er.fit(vae, data, goal, epochs=2, run=folder / "run", progress=False)
    return folder


@pytest.fixture
def spoken(capsys, monkeypatch, trained, tmp_path):
    """What a command says in a copy of that folder, and its exit code."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("elbowroom.studies._audit_run.report", lambda record, page: page)  # which other tests draw

    def say(*arguments):
        monkeypatch.setattr(sys, "argv", ["elbowroom", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        said = capsys.readouterr()
        return int(stop.value.code or 0), said.out, said.err

    return say


def test_an_audit_is_printed_in_ten_lines_and_kept(spoken, monkeypatch):
    asked = {}
    monkeypatch.setattr("elbowroom.ledger.audit", lambda vae, data, **told: asked.update(told) or ill())
    code, out, _ = spoken("audit", "run", "--quick", "--json", "also.json", "--seed", "3")
    assert code == 0
    lines = out.splitlines()
    assert lines == [*(f"{label:<26}{text}" for label, text in audit_table(ill())), "run/audit.html"]
    assert (asked["quick"], asked["n"], asked["seed"], float(asked["objective"].beta)) == (True, None, 3, 0.5)
    kept = AuditRecord.from_dict(json.loads(Path("run/audit.json").read_text()))
    assert kept.to_dict() == replace(ill(), model=weights_digest(Path("run"))).to_dict()
    assert kept.model
    assert Path("also.json").read_bytes() == Path("run/audit.json").read_bytes()


def test_the_objective_of_a_run_is_handed_on(trained):
    found = objective_of(trained / "run")
    assert (type(found), float(found.beta)) == (er.objectives.Elbo, 0.5)


def test_log_p_that_is_known_is_not_measured_again(trained, monkeypatch):
    short_audit(monkeypatch)
    (vae, _), data = read_run(trained / "run"), run_data(trained / "run")
    known = er.evidence.iwae(vae, data.test[3:7], draws=16)
    found = er.audit(vae, data, quick=True, log_p=known, progress=False)
    assert found.n == 4
    assert found.identity.log_p is known
    assert found.identity.total.values == pytest.approx((known - found.identity.elbo).values)
    with pytest.raises(er.InputError, match="log_p is of no two of these test examples"):
        er.audit(vae, data, quick=True, log_p=er.evidence.iwae(vae, data.train[:4], draws=2), progress=False)


def test_a_fixed_run_is_a_run(spoken, monkeypatch):
    less = {"remedies": ["calibrate"], "audits": False}  # which other tests make
    whole = functools.partial(er.fix, **less)
    audits = {"before": ill(), "after": healthy()}
    monkeypatch.setattr("elbowroom.ledger.fix", lambda *given, **told: replace(whole(*given, **told), **audits))
    monkeypatch.setattr("elbowroom.studies._fix_run.report", lambda folder: folder / "fix.html")
    code, out, err = spoken("fix", "run", "--run", "fixed", "--seconds", "60")
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0].startswith("verdict                   Fixing won ")
    assert (lines[3].split()[:3], lines[-1]) == (["kept", "noise", "scale"], "fixed/fix.html")
    fixed = read_fix("fixed")
    (vae, history), data = read_run("fixed"), run_data("fixed")
    after = er.evidence.elbo(vae, data.test, draws=16)
    assert (after - fixed.record.elbo_after).values == pytest.approx(0.0, abs=1e-4)
    assert fixed.record.won.mean > 2 * fixed.record.won.se_total
    step, *_ = fixed.record.steps
    assert history.notes[-1] == f"Fixed from run by {step.remedy}."
    assert yaml.safe_load(Path("fixed/recipe.yaml").read_text())["fixed"] == {"run": "run", "by": [step.remedy]}
    assert -step.rate.value - step.distortion.value == pytest.approx(
        er.evidence.elbo(vae, data.validation, draws=16).mean
    )
    assert fixed.pictures.samples_after.shape == fixed.pictures.samples_before.shape
    assert not np.array_equal(fixed.pictures.samples_after, fixed.pictures.samples_before)
    assert spoken("evidence", "fixed", "--draws", "2")[0] == 0
    now = weights_digest(Path("fixed"))
    assert fixed.record.model == fixed.record.after.model == now != fixed.record.before.model
    assert fixed.record.before.model == weights_digest(Path("run"))
    said = "The folder holds other weights now, which were trained on"
    assert said not in fix_page(fixed)
    shutil.copyfile("run/model.safetensors", "fixed/model.safetensors")
    assert said in fix_page(fixed)


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
