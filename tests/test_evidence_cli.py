"""`elbowroom evidence`: what it writes, that an interrupted run goes on to the same numbers, and what it refuses."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from staged import short_pilots

import elbowroom as er
from elbowroom import cli, evidence, likelihoods, networks, posteriors, priors, progress
from elbowroom.models import build
from elbowroom.numerics import CapabilityError, Estimate, InputError
from elbowroom.runs import measure_run, read_run
from elbowroom.runs._measure_run import shuffled
from elbowroom.runs.partial_estimates import Partial, estimate_in_groups, joined
from elbowroom.runs.saved_estimates import keep_estimates, not_of, read_estimates

pytestmark = pytest.mark.usefixtures("pilots_were_short")

AIS = {"temperatures": 4, "chains": 128, "leapfrog": 1, "points": 9}  # three groups
COMMAND = [word for name, value in AIS.items() for word in (f"--{name}", str(value))]


@pytest.fixture(scope="module")
def digits():
    return er.load_data("digits")


@pytest.fixture(scope="module")
def pilots_were_short() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        short_pilots(patch)
        yield


@pytest.fixture(scope="module")
def run(digits, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("evidence") / "run"
    er.fit(build({"latents": 2, "widths": (16,)}, digits), digits, epochs=2, run=folder, progress=False)
    return folder


@pytest.fixture(scope="module")
def whole(run, pilots_were_short) -> Estimate:
    """AIS that nobody interrupted."""
    (estimate,) = measure_run(run, "ais", **AIS, progress=False)
    return estimate


@pytest.fixture
def spoken(capsys, monkeypatch):
    """The command line in this process, its clock standing still: no progress is said however slow the machine is."""
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: 0.0))

    def speak(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["elbowroom", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return speak


def test_groups_change_no_number(run, digits, whole) -> None:
    vae, _ = read_run(run)
    examples = shuffled(digits.test, AIS["points"])
    settings = {name: value for name, value in AIS.items() if name != "points"}
    alone = joined([evidence.ais(vae, examples, **settings)])
    assert np.array_equal(whole.index, alone.index)
    np.testing.assert_allclose(whole.values, alone.values, rtol=1e-4)


@pytest.mark.parametrize("estimator", ["elbo", "iwae", "prior", "iwae-curve"])
def test_each_estimator_is_that_of_the_library(run, digits, estimator) -> None:
    vae, _ = read_run(run)
    found = measure_run(run, estimator, draws=128, seed=3, progress=False)
    by = {"elbo": evidence.elbo, "iwae": evidence.iwae, "prior": evidence.prior_sampling}
    if estimator == "iwae-curve":
        expected = evidence.iwae_curve(vae, digits.test, draws=128, seed=3).estimates
    else:
        expected = (by[estimator](vae, digits.test, draws=128, seed=3),)
    assert [one.estimator for one in found] == [one.estimator for one in expected]
    for one, other in zip(found, expected, strict=True):
        other = joined([other])
        assert np.array_equal(one.index, other.index)
        np.testing.assert_allclose(one.values, other.values, rtol=1e-5)
        np.testing.assert_allclose(one.mc_variance, other.mc_variance, rtol=1e-3, atol=1e-9)
        assert (one.direction, one.data, one.budget.draws) == (other.direction, other.data, other.budget.draws)


def test_a_killed_run_goes_on_to_the_same_numbers(run, whole, spoken) -> None:
    """SIGKILL, so that nothing can be tidied up; the group under way is lost and no other."""
    partial = run / "evidence-ais.partial.jsonl"
    program = (
        "import os, pytest, signal; from elbowroom import cli, evidence; ais, calls = evidence.ais, []\n"
        f"import sys; sys.path.append({str(Path(__file__).parent)!r})\n"
        "from staged import short_pilots; short_pilots(pytest.MonkeyPatch())\n"
        "def deadly(*given, **settings):\n"
        "    calls.append(0); len(calls) > 2 and os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return ais(*given, **settings)\n"
        "evidence.ais = deadly; cli.main()"
    )
    command = [sys.executable, "-c", program, "evidence", str(run), "--estimator", "ais", *COMMAND]
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
    kept = partial.read_text(encoding="utf-8")
    assert kept.count("\n") == 3, kept[:200]  # the settings and two groups
    partial.write_text(kept + '{"estimates": [{"val', encoding="utf-8")  # and half of a line
    code, _, err = spoken("evidence", str(run), "--estimator", "ais", *COMMAND)
    assert (code, err.count("\n")) == (2, 1)
    assert "go on with --resume, or delete the file" in err
    for words, says in (["--temperatures", "5"], "temperatures 4 and now it is 5"), (["--seed", "1"], "seed 0"):
        code, _, err = spoken("evidence", str(run), "--estimator", "ais", *COMMAND, *words, "--resume")
        assert (code, says in err) == (2, True), err
    code, out, _ = spoken("evidence", str(run), "--estimator", "ais", *COMMAND, "--resume")
    assert code == 0
    assert out.splitlines()[-1] == str(run / "evidence.json")
    assert not partial.exists()
    again = read_estimates(run / "evidence.json")[-1].estimate
    assert np.array_equal(again.index, whole.index)
    np.testing.assert_allclose(again.values, whole.values, rtol=1e-6)
    np.testing.assert_allclose(again.mc_variance, whole.mc_variance, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(again.ess, whole.ess, rtol=1e-4)


def test_an_interrupted_run_says_how_to_go_on(run, digits, spoken, monkeypatch) -> None:
    once, calls = evidence.elbo, []

    def impatient(*given, **settings):
        calls.append(0)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return once(*given, **settings)

    monkeypatch.setattr(evidence, "elbo", impatient)
    command = ["evidence", str(run), "--estimator", "elbo", "--draws", "256", "--part", "validation"]
    code, out, err = spoken(*command)
    assert (code, out) == (130, "")
    assert err.startswith("elbowroom: interrupted after 100 of 200 examples, kept in ")
    assert "with --resume goes on" in err
    code, out, _ = spoken(*command, "--resume")
    assert (code, len(calls)) == (0, 3)  # the first group was not measured again
    kept = read_estimates(run / "evidence.json")[-1]
    vae, _ = read_run(run)
    expected = joined([once(vae, digits.validation, draws=256)])
    assert kept.part == "validation"
    np.testing.assert_allclose(kept.estimate.values, expected.values, rtol=1e-6)


def test_bounds_from_both_ends_are_of_examples_that_no_group_shares(run, spoken) -> None:
    words = ["--temperatures", "4", "--chains", "64", "--leapfrog", "1", "--points", "8"]  # two groups
    code, out, err = spoken("evidence", str(run), "--estimator", "bdmc", *words)
    assert (code, err) == (0, "")
    assert "simulated points), 95 % sure below" in out.splitlines()[2]
    lower, upper = read_estimates(run / "evidence.json")[-2:]
    assert (lower.part, lower.estimate.direction) == ("simulated", "lower")
    assert (upper.part, upper.estimate.direction) == ("simulated", "upper")
    gap = upper.estimate - lower.estimate
    assert gap.mean > -4 * gap.se_total
    assert len(np.unique(lower.estimate.values.round(3))) == 8
    assert lower.estimate.budget.seed == 0


def test_interrupted_before_anything_was_measured(tmp_path) -> None:
    def never(_):
        raise KeyboardInterrupt

    partial = Partial(tmp_path / "x.jsonl", {"seed": 0})
    with pytest.raises(KeyboardInterrupt, match="nothing is kept: the same command begins again"):
        estimate_in_groups(never, er.load_data("digits").test, 10, partial)
    assert not partial.path.exists()


@pytest.mark.parametrize("changed", ["model", "data"])
def test_another_model_or_data_is_refused(tmp_path, changed) -> None:
    before = Partial(tmp_path / "x.jsonl", {"model": "a", "data": "b"})
    before.append([Estimate.of([1.0], quantity="q", estimator="e", direction="lower")])
    assert before.read(resume=True)[0][0].mean == 1.0
    with pytest.raises(InputError, match=f"measured with {changed} . and now it is c"):
        Partial(before.path, {**before.settings, changed: "c"}).read(resume=True)


def test_evidence_json_says_the_mean_both_errors_direction_and_warnings(run) -> None:
    (estimate,) = measure_run(run, "prior", draws=16, points=50, progress=False)
    row = json.loads((run / "evidence.json").read_text(encoding="utf-8"))[-1]
    assert (row["mean"], row["se_mc"], row["se_points"]) == (estimate.mean, estimate.se_mc, estimate.se_points)
    assert (row["direction"], row["quantity"], row["part"]) == ("lower", estimate.quantity, "test")
    assert row["budget"]["draws"] == 16
    assert row["settings"] == {"draws": 16, "seed": 0}
    assert row["warnings"] == estimate.warnings
    assert estimate.warnings  # 16 draws of the prior are no way to measure digits
    assert estimate.warnings[0] in str(estimate)


def test_a_row_takes_the_place_of_one_by_the_same_estimator(tmp_path) -> None:
    def of(value: float, estimator: str) -> Estimate:
        return Estimate.of([value], quantity="log p(x)", estimator=estimator, direction="lower", khat=[np.nan])

    path = tmp_path / "evidence.json"
    keep_estimates(path, "test", [of(1.0, "IWAE-5"), of(2.0, "ELBO")])
    keep_estimates(path, "test", [of(3.0, "IWAE-5")])
    keep_estimates(path, "train", [of(4.0, "IWAE-5")])
    assert [(one.part, one.estimate.mean) for one in read_estimates(path)] == [("test", 2), ("test", 3), ("train", 4)]


def test_a_quick_look_takes_no_place_of_a_long_measurement(tmp_path) -> None:
    def of(n: int) -> Estimate:
        return Estimate.of(np.ones(n), quantity="log p(x)", estimator="AIS-5", direction="lower")

    for n in (200, 50, 200):
        keep_estimates(tmp_path / "evidence.json", "test", [of(n)])
    assert [len(one.estimate) for one in read_estimates(tmp_path / "evidence.json")] == [50, 200]


def test_estimates_are_of_the_weights_that_were_measured_and_of_no_others(tmp_path, digits) -> None:
    """A run that is trained on keeps its evidence.json, whose estimates are then of another model."""
    run, more = tmp_path / "run", {"run": tmp_path / "run", "progress": False}
    er.fit(build({"latents": 2, "widths": (8,)}, digits), digits, epochs=1, **more)
    (before,) = measure_run(run, "elbo", draws=4, points=20, progress=False)
    er.fit(build({"latents": 2, "widths": (8,)}, digits), digits, epochs=1, **more, resume=True)  # no epoch more
    assert [one.estimate.mean for one in read_estimates(run / "evidence.json")] == [before.mean]
    assert not_of(run / "evidence.json") == []
    er.fit(build({"latents": 2, "widths": (8,)}, digits), digits, epochs=3, **more, resume=True)
    assert read_estimates(run / "evidence.json") == []
    (said,) = not_of(run / "evidence.json")
    assert said == (
        "Not shown, being of other weights of this run, as before it was trained on: ELBO with 4 draws. Measure again."
    )
    (after,) = measure_run(run, "elbo", draws=4, points=20, progress=False)
    assert [one.estimate.mean for one in read_estimates(run / "evidence.json")] == [after.mean]
    assert after.mean != before.mean
    assert not_of(run / "evidence.json") == []  # measured again


def test_estimates_that_do_not_say_of_which_weights_they_are_count_for_none(tmp_path) -> None:
    old = Estimate.of([1.0, 2.0], quantity="log p(x)", estimator="IWAE-5", direction="lower")
    (tmp_path / "evidence.json").write_text(json.dumps([{"part": "test", **old.to_dict()}]), encoding="utf-8")
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    assert read_estimates(tmp_path / "evidence.json") == []
    (said,) = not_of(tmp_path / "evidence.json")
    assert said.endswith("kept by an older elbowroom, which did not say of which weights: IWAE-5. Measure again.")


def test_a_file_of_an_older_version_is_read(tmp_path) -> None:
    old = Estimate.of([1.0, 2.0], quantity="log p(x)", estimator="IWAE-5", direction="lower", ess=[3.0, 4.0])
    (tmp_path / "evidence.json").write_text(json.dumps([{"part": "test", **old.to_dict()}]), encoding="utf-8")
    (kept,) = read_estimates(tmp_path / "evidence.json")
    assert (kept.part, kept.estimate.mean, kept.estimate.ess.tolist()) == ("test", 1.5, [3.0, 4.0])


@pytest.mark.parametrize("content", ['[{"part"', "{}", '[{"part": "test"}]'])
def test_a_damaged_file_is_refused_in_words(tmp_path, content) -> None:
    (tmp_path / "evidence.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"evidence.json is damaged .*: delete it and measure again"):
        read_estimates(tmp_path / "evidence.json")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--estimator", "iwae", "--draws", "0"], "--draws 1 or more; got 0"),
        (
            ["--estimator", "guess"],
            "no estimator 'guess'; there are elbo, iwae, defended-iwae, iwae-curve, prior, ais, bdmc",
        ),
        (["--estimator", "iwae", "--temperatures", "9"], "iwae has no setting --temperatures; it has draws"),
        (["--estimator", "ais", "--draws", "9"], "ais has no setting --draws"),
        (["--estimator", "ais", "--temperatures", "1"], "--temperatures 2 or more, and hundreds to mean much"),
        (["--estimator", "ais", "--chains", "0"], "--chains 1 or more; got 0"),
        (["--estimator", "ais", "--leapfrog", "0"], "--leapfrog 1 step or more; got 0"),
        (["--estimator", "ais", "--start", "here"], "start must be 'both', 'posterior' or 'prior'; got 'here'"),
        (["--estimator", "ais", "--schedule", "fast"], "schedule must be"),
        (["--points", "0"], "points must be 1 to 397"),
        (["--points", "398"], "points must be 1 to 397"),
        (["--part", "exam"], "The part is train, validation or test"),
        (["--memory", "1 kB"], "--memory 1,000 bytes does not hold one example"),
        (["--memory", "much"], "memory must be bytes or words"),
        (["--resume"], "nothing to resume"),
    ],
)
def test_refusals_are_one_sentence_and_exit_2(run, spoken, arguments, says) -> None:
    before = sorted(run.iterdir())
    code, out, err = spoken("evidence", str(run), *arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert err.startswith("elbowroom: ")
    assert err.count("\n") == 1
    assert sorted(run.iterdir()) == before


def test_classes_cannot_be_annealed(digits, tmp_path) -> None:
    torch.manual_seed(0)
    vae = er.VAE(
        priors.Categorical(10),
        posteriors.Categorical(networks.MLP([64, 16, 10]), 10),
        likelihoods.TruncatedNormal(networks.MLP([10, 16, 64]), 64),
        preprocess=digits.preprocess,
    )
    er.fit(vae, digits, epochs=1, run=tmp_path / "run", progress=False)
    with pytest.raises(CapabilityError, match=r"evidence\.iwae need no such thing"):
        measure_run(tmp_path / "run", "ais", **AIS, progress=False)
    assert not list((tmp_path / "run").glob("evidence*"))
