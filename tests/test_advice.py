"""What next: every rule on a record that was made for it, and commands that the command line reads."""

import json
import shlex
from dataclasses import replace

import numpy as np
import pytest
from invented import make

from elbowroom.cli_words import sweep_axes
from elbowroom.numerics import Budget, Estimate
from elbowroom.pages import advice as rules
from elbowroom.pages.advice import advice
from elbowroom.pages.commands import again
from elbowroom.records import DifferenceRecord, Number, SearchRecord, read_study
from elbowroom.runs.saved_estimates import keep_estimates


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A study of which three things can be said: a gap of 3.1 nats, needless latents, and one seed."""
    study = read_study(make(tmp_path_factory.mktemp("advice") / "st", "digits"))
    return replace(study, made={**study.made, "account": replace(study.last, command="elbowroom study digits")})


def with_chosen(study, **changes):
    models = tuple(replace(one, **changes) if one is study.chosen else one for one in study.sweep.models)
    return replace(study, sweep=replace(study.sweep, models=models))


def with_latents(study, kl, active=None):
    latents = replace(study.evidence.latents, kl=tuple(kl), active=tuple(active or (one > 0.01 for one in kl)))
    return replace(study, evidence=replace(study.evidence, latents=latents))


def only(study, rule):
    (found,) = getattr(rules, rule)(study)
    return found


def test_training_that_ended_at_its_best_epoch_says_what_its_last_tenth_won(plain):
    rows = [{"validation": {"rate": 2.0, "distortion": 100.0 - epoch}} for epoch in range(20)]
    study = with_chosen(plain, best_epoch=400)
    study.__dict__["history"] = rows
    found = only(study, "_longer")
    assert "the last 2 epochs still won 2.0 nats of ELBO on validation" in found.sentence
    assert (found.nats, found.run) == (2.0, f"elbowroom study digits --epochs 800 --folder {plain.folder}-longer")
    assert not list(rules._longer(plain))


def test_the_end_of_an_axis_is_said_with_what_the_last_step_won(plain):
    models = plain.sweep.models
    last = replace(models[-1], iwae=replace(models[-1].iwae, mean=models[-2].iwae.mean + 0.7))
    study = replace(
        plain,
        sweep=replace(plain.sweep, models=(*models[:-1], last)),
        choice=replace(plain.choice, name=last.name),
    )
    found = only(study, "_further")
    assert found.nats == pytest.approx(0.7)
    assert found.sentence.startswith("β = 4 is the greatest that was tried, and the step to it from 2 won 0.70 nats")
    assert "--sweep beta=4,8" in found.run
    assert not list(rules._further(plain))
    unsure = replace(models[-2], behind=Number(0.7, 0.5))
    study = replace(study, sweep=replace(study.sweep, models=(*models[:-2], unsure, last)))
    assert not list(rules._further(study))


def test_seeds_are_no_axis_to_go_along(plain):
    axes = {"settings": {"seed": 1}, "axes": {"seed": "1"}}
    models = tuple(
        replace(one, settings={"seed": i}, axes={"seed": str(i)}) for i, one in enumerate(plain.sweep.models[:2])
    )
    study = replace(plain, sweep=replace(plain.sweep, models=models), choice=replace(plain.choice, name=models[1].name))
    assert study.chosen.settings == axes["settings"]
    assert not list(rules._further(study))
    assert not list(rules._seeds(study))
    assert "--sweep beta=0.5 --sweep seed=0,1,2" in only(plain, "_seeds").run


def test_the_encoders_gap_is_paired_by_example_and_taken_from_ais_where_there_is_one(plain, tmp_path):
    bounds = plain.evidence.bounds
    gap = bounds["IWAE-500"].values - bounds["ELBO"].values
    found = only(plain, "_encoder")
    assert found.nats == pytest.approx(gap.mean())
    assert "--posterior flow-posterior" in found.run
    annealed_values = bounds["ELBO"].values[:50] + np.linspace(4.0, 6.0, 50)
    study = replace(plain, folder=tmp_path)
    keep_estimates(study.run / "evidence.json", "test", [annealed(bounds["ELBO"], annealed_values)])
    found = only(study, "_encoder")
    assert found.nats == pytest.approx(5.0)
    assert "AIS-100 from the posterior minus ELBO over 50 test examples" in found.sentence


def annealed(like, values):
    about = {"quantity": like.quantity, "estimator": "AIS-100 from the posterior, 8 chains", "direction": "lower"}
    return Estimate.of(values, 0.01, index=like.index[: len(values)], data=like.data, budget=Budget(8, 0), **about)


@pytest.mark.parametrize(
    ("ess", "khat", "why"),
    [
        (2.0, 0.1, "its effective sample size collapsed on 100 of 397 examples"),
        (400.0, 0.9, "k̂ above 0.7 on 100 of 397 examples"),
    ],
)
def test_a_loose_bound_is_measured_by_ais(plain, ess, khat, why, tmp_path):
    study = replace(plain, evidence=replace(plain.evidence, bounds=weighted(plain.evidence.bounds, ess, khat)))
    found = only(study, "_loose")
    assert why in found.sentence
    assert (found.nats, found.worth) == (None, "not measured")
    where = f"{plain.folder}/runs/beta-0.5 --estimator ais --points 200"
    assert found.run == f"elbowroom evidence {where} && elbowroom report {plain.folder}"
    study = replace(study, folder=tmp_path)
    iwae = study.evidence.bounds["IWAE-500"]
    keep_estimates(study.run / "evidence.json", "test", [annealed(iwae, iwae.values[:50] + 2.0)])
    assert only(study, "_loose").nats == pytest.approx(2.0)
    level = replace(study, folder=tmp_path / "level")
    noise = np.where(np.arange(50) % 2, 1.0, -1.0)
    for apart in (noise - 0.014, noise + 0.014, np.full(50, -2.0)):  # which say nothing of nats to be had
        keep_estimates(level.run / "evidence.json", "test", [annealed(iwae, iwae.values[:50] + apart)])
        assert not list(rules._loose(level))
    behind = replace(study.account, difference=DifferenceRecord("Gaussian mixture", -5.12, 0.81, 397))
    assert f"loose ({why}), so first measure it by AIS" in only(replace(study, account=behind), "_behind").sentence


def weighted(bounds, ess, khat):
    bad = np.arange(len(bounds["IWAE-500"])) < 100
    weights = {"ess": np.where(bad, ess, 400.0), "khat": np.where(bad, khat, 0.1)}
    return bounds | {"IWAE-500": replace(bounds["IWAE-500"], **weights)}


def test_a_baseline_ahead_is_worth_the_deficit(plain):
    behind = replace(plain.account, difference=DifferenceRecord("Gaussian mixture", -5.12, 0.81, 397))
    found = only(replace(plain, account=behind), "_behind")
    assert (found.nats, found.worth) == (5.12, "at most 5.12 ± 0.81 nats to draw level")
    assert "By these bounds the Gaussian mixture is the better density of these data: use it, or give" in found.sentence
    assert "a mixture for its prior and wider networks" in found.sentence
    assert "--widths 512,512" in found.run
    assert "--prior mixture-prior" in found.run
    tied = replace(plain.account, difference=DifferenceRecord("Gaussian mixture", -1.0, 0.81, 397))
    assert not list(rules._behind(replace(plain, account=tied)))


def test_where_the_searches_for_the_baselines_ended_is_said_and_ordered_by_what_their_last_steps_won(plain):
    ends = (
        SearchRecord("The best of A is at the edge of what is tried.", inside=False, won=0.7),
        SearchRecord("The budget for B was spent.", inside=False, won=2.5),
        SearchRecord("The budget for C was spent.", inside=False),
        SearchRecord("The best of D is inside what was tried."),
    )
    (first, *_) = plain.contest.classics
    contest = replace(
        plain.contest, classics=tuple(replace(first, name=n, search=e) for n, e in zip("ABCD", ends, strict=True))
    )
    study = replace(plain, contest=contest)
    found = [one for one in advice(study) if "The lead over it" in one.sentence]
    assert [one.sentence for one in found] == [f"{ends[i].said} The lead over it may be smaller." for i in (1, 0, 2)]
    ahead = replace(first, search=ends[0], estimate=replace(first.estimate, values=first.estimate.values + 1e3))
    behind = replace(plain, contest=replace(plain.contest, classics=(ahead,)))
    assert only(behind, "_edges").sentence == f"{ends[0].said} The deficit to it may be larger."
    assert [one.nats for one in found] == [2.5, 0.7, None]
    level = replace(first, search=ends[0], estimate=plain.evidence.best)
    tied = replace(plain, contest=replace(plain.contest, classics=(level,)))
    assert only(tied, "_edges").sentence == f"{ends[0].said} It may be better than it stands here."
    assert contest.said.startswith("The best of D is inside what was tried. The best of A is at the edge")
    assert not list(rules._edges(plain))


def test_mass_outside_is_worth_minus_its_log_per_dimension(plain):
    study = replace(plain, evidence=replace(plain.evidence, leak=0.031))
    found = only(study, "_outside")
    assert found.nats == pytest.approx(-64 * np.log(1 - 0.031))
    assert "--likelihood truncated-normal" in found.run
    assert not list(rules._outside(replace(study, evidence=replace(study.evidence, leak=None))))


def test_a_floor_is_worth_at_most_a_factor_of_ten_in_each_scale_at_it(plain):
    note = "Normal: 12.5% of the scales (elements × examples) sit at the floor 0.017; where a floor binds, it decides."
    study = with_chosen(plain, notes=("Normal: σ starts at 0.2, floored at 0.017.", note))
    study.__dict__["recipe"] = {"likelihood": {"kind": "normal", "scale": "predicted", "floor": None, "event": [64]}}
    found = only(study, "_floors")
    assert found.nats == pytest.approx(0.125 * 64 * np.log(10))
    assert "--likelihood '{kind: normal, scale: predicted, floor: 0.0017}'" in found.run


@pytest.mark.parametrize("suffix", [".csv", ".npy", ""])
def test_repeats_are_worth_what_the_score_owes_them(plain, suffix):
    best = plain.evidence.best
    repeats = tuple(best.index[:40].tolist())
    best = replace(best, values=best.values + np.where(np.arange(len(best)) < 40, 200.0, 0.0))
    plain = replace(plain, evidence=replace(plain.evidence, bounds={best.estimator: best}))
    study = replace(plain, data=replace(plain.data, repeats=repeats, repeats_expected=1.0, source=f"my data{suffix}"))
    found = only(study, "_repeats")
    assert found.nats == pytest.approx(best.values.mean() - best.values[40:].mean())
    assert found.worth.endswith("nats lower")
    assert bool(found.run) == bool(suffix)
    assert not list(rules._repeats(replace(study, data=replace(study.data, repeats_expected=39.0))))


def test_repeats_that_move_the_score_by_less_than_its_error_are_said_to(plain):
    values = np.where(np.arange(len(plain.evidence.best)) % 2, -1.0, 1.0)
    best = replace(plain.evidence.best, values=values)
    repeats = tuple(best.index[:41].tolist())
    data = replace(plain.data, repeats=repeats, repeats_expected=1.0, source="my data.csv")
    found = only(replace(plain, data=data, evidence=replace(plain.evidence, bounds={best.estimator: best})), "_repeats")
    assert (found.worth, found.nats) == ("no nats of the model; they move the score by less than its error tells", 0.0)


@pytest.mark.parametrize(
    ("kl", "said", "run", "nats"),
    [
        ([1.0] * 16, "All of 16 latents are needed", "--latents 32", None),
        ([1.0] * 4 + [1e-5] * 12, "4 of 16 latents carry 99 % of the rate", "--latents 4", 0.0),
        ([1e-5] * 16, "None of 16 latents is active", "--objective '{kind: elbo, warmup: 100}'", None),
    ],
)
def test_latents_may_be_too_few_too_many_or_shut(plain, kl, said, run, nats):
    found = only(with_latents(plain, kl), "_latents")
    assert found.sentence.startswith(said)
    assert run in found.run
    assert found.nats == nats
    assert not list(rules._latents(with_latents(plain, [1.0] * 12 + [1e-5] * 4)))


def test_layers_of_latents_grow_and_shrink_each_by_itself(plain):
    """A single number would make one layer of them, which a ladder refuses."""
    layers = {"z": {"kind": "normal-prior", "event": 12}, "z2": {"kind": "standard-normal", "event": 4}}
    study = with_latents(plain, [1.0] * 16)
    study.__dict__["recipe"] = {**plain.recipe, "prior": layers}
    assert "--latents 24,8 " in only(study, "_latents").run
    behind = replace(study.account, difference=DifferenceRecord("Gaussian mixture", -5.12, 0.81, 397))
    ahead = replace(study, account=behind)
    ahead.__dict__["recipe"] = study.recipe
    assert "--latents 24,8 " in only(ahead, "_behind").run
    assert "mixture" not in only(ahead, "_behind").run
    few = with_latents(plain, [1.0] * 4 + [1e-5] * 12)
    few.__dict__["recipe"] = study.recipe
    assert "--latents 3,1 " in only(few, "_latents").run
    study.__dict__["recipe"] = {**plain.recipe, "prior": {**layers, "z2": {"kind": "one-of-my-own"}}}
    assert only(study, "_latents").run == ""


def test_the_most_nats_come_first_then_the_unmeasured_then_what_wins_none(plain):
    study = with_latents(with_chosen(plain, best_epoch=400), [1.0] * 4 + [1e-5] * 12)
    study.__dict__["history"] = []
    nats = [one.nats for one in advice(study)]
    assert nats[0] == pytest.approx((study.evidence.bounds["IWAE-500"] - study.evidence.bounds["ELBO"]).mean)
    assert nats[1] == only(study, "_outside").nats
    assert nats[2:] == [None, None, 0.0]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("elbowroom study a.csv --overwrite --epochs=3 --folder old", "elbowroom study a.csv --latents 8 --epochs 9"),
        (
            "elbowroom study x.npy --sweep latents=2,4 --sweep=beta=1",
            "elbowroom study x.npy --sweep=beta=1 --latents 8 --epochs 9",
        ),
        (
            'er.study("digits", axes={"latents": [2], "beta": [1]})',
            "er.study('digits', 'new', axes={'beta': [1]}, recipe={'latents': 8}, epochs=9)",
        ),
        ("elbowroom report runs/one", ""),
        ('er.study("digits", "st", epochs=3)', "er.study('digits', 'new', epochs=9, recipe={'latents': 8})"),
        ('er.study("digits", recipe=…)', ""),
        ("elbowroom study 'a", ""),
        ("er.study(", ""),
    ],
)
def test_a_command_is_said_again_with_other_words(command, said):
    found = again(command, "new", latents=8, epochs=9)
    assert found == (f"{said} --folder new" if said.startswith("elbowroom") else said)


def test_axes_and_words_are_read_back_by_the_command_line():
    import yaml

    axes = {"beta": [0.5, 1], "likelihood": [{"kind": "normal", "scale": "shared"}]}
    words = shlex.split(
        again("elbowroom study x.npy --sweep beta=2", "new", axes, objective={"kind": "elbo", "warmup": 2})
    )
    assert sweep_axes([words[i + 1] for i, word in enumerate(words) if word == "--sweep"]) == axes
    assert yaml.safe_load(words[words.index("--objective") + 1]) == {"kind": "elbo", "warmup": 2}
    assert json.dumps(axes) not in " ".join(words)
    assert again("er.study(…, epochs=2)", "new", axes).startswith("er.study(…, 'new', epochs=2, axes={'beta': [0.5, 1]")
