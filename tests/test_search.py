"""A search: the same seed tries the same, what was stopped goes on, what is pruned or diverges is never chosen."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import optuna
import pytest
import torch

import elbowroom as er
from elbowroom import cli
from elbowroom.cli_search import _words_and_axes
from elbowroom.models import Recipe, build, goal
from elbowroom.numerics import count, rounded
from elbowroom.sweeps import Range, _search, database, trial_run
from elbowroom.sweeps.default_space import default_space
from elbowroom.sweeps.space import Space
from elbowroom.sweeps.trial_run import calibrated_bound
from elbowroom.sweeps.tried import Trial
from elbowroom.sweeps.usual import usual_training

TABLE = np.random.default_rng(0).normal(size=(80, 3)) @ np.random.default_rng(1).normal(size=(3, 3))
WORDS = {"widths": [8], "latents": 2, "epochs": 4, "batch_size": 32, "patience": 4}
SPACE = {"latents": [1, 2, 3], "depth": [1, 2], "width": [4, 8], "beta": Range(0.2, 2.0)}
ONE = {"beta": [1.0]}
QUIET = {"draws": 4, "progress": False}
fit = trial_run.fit


@pytest.fixture(scope="module")
def data():
    return er.load_data(TABLE, name="made")


@pytest.fixture(scope="module", autouse=True)
def soon():
    """The sampler learns from the third trial on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "_STARTS", 2)
        yield


@pytest.fixture(scope="module")
def found(data):
    return er.search(WORDS, data, SPACE, trials=4, **QUIET)


def told(found):
    """What a search has tried, and what came of it."""
    return [(one.settings, one.state, one.value) for one in found.trials]


def test_the_same_seed_tries_the_same_and_another_does_not(data, found) -> None:
    assert told(er.search(WORDS, data, SPACE, trials=3, **QUIET)) == told(found)[:3]
    other = er.search(WORDS, data, SPACE, trials=2, seed=1, **QUIET)
    assert other.trials[0].settings == found.trials[0].settings == Space(Recipe().where(**WORDS), SPACE).own()
    assert other.trials[1].settings != found.trials[1].settings


def test_every_trial_is_the_recipe_trained_alone(data, found) -> None:
    assert [one.name for one in found.swept] == ["trial-0000", "trial-0001", "trial-0002", "trial-0003"]
    for one in found.swept[:2]:
        settings = dict(one.settings)
        widths = [settings.pop("width")] * settings.pop("depth")
        recipe = Recipe().where(**WORDS).where(**settings, widths=widths)
        vae = build(recipe, data)
        er.fit(vae, data, goal(recipe), progress=False, **usual_training(recipe.training, len(data.train)))
        for name, value in vae.state_dict().items():
            assert torch.equal(value, one.vae.state_dict()[name])


def test_it_is_chosen_as_the_models_of_a_sweep_are(data, found) -> None:
    again = er.choose(found.swept, data=data)
    assert (again.model.name, again.reason) == (found.choice.model.name, found.choice.reason)
    for one, trial in zip(found.swept, found.trials, strict=True):
        assert trial.value == one.iwae.mean
    assert str(found).startswith(f"4 trials (4 finished). {again.reason}")


def test_points_are_in_the_space_and_come_back_from_the_database() -> None:
    recipe = Recipe().where(**WORDS)
    axes = {**SPACE, "prior": ["standard-normal", {"kind": "mixture-prior", "components": 3}], "epochs": Range(2, 9)}
    space = Space(recipe, axes)
    study = optuna.create_study(sampler=database.SeededSampler("random", 0))
    points = [space.suggest(study.ask()) for _ in range(60)]
    assert {one["latents"] for one in points} == {1, 2, 3}
    assert {len(space.recipe_at(one).widths) for one in points} == {1, 2}
    assert {space.recipe_at(one).widths[0] for one in points} == {4, 8}
    assert all(0.2 <= one["beta"] <= 2 and one["beta"] == float(f"{one['beta']:.3g}") for one in points)
    assert {one["epochs"] for one in points} == set(range(2, 10))
    assert np.median([one["beta"] for one in points]) == pytest.approx(math.sqrt(0.2 * 2), rel=0.3)
    for one in points[:5]:
        study.enqueue_trial(space.params(one))
    assert [space.suggest(study.ask()) for _ in range(5)] == points[:5]
    own = {"latents": 2, "depth": 1, "width": 8, "beta": 1.0, "prior": "standard-normal", "epochs": 4}
    assert space.own() == own
    assert Space(recipe, {**axes, "lr": [1e-4]}).own() is None  # 1e-3 is its own


def stopped_at(number, epoch):
    """`fit` as it is, but for a Ctrl-C in one of its calls."""
    calls = []

    def fit_until(*args, after_epoch, **settings):
        calls.append(settings["run"])

        def watch(now):
            if len(calls) == number and now == epoch:
                raise KeyboardInterrupt
            after_epoch(now)

        return fit(*args, after_epoch=watch, **settings)

    return fit_until


def test_a_search_that_was_stopped_goes_on_as_if_it_had_not_been(data, found, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(trial_run, "fit", stopped_at(3, 2))
    with pytest.raises(KeyboardInterrupt, match="the same command goes on"):
        er.search(WORDS, data, SPACE, trials=4, runs=tmp_path, **QUIET)
    monkeypatch.setattr(trial_run, "fit", fit)
    resumed = er.search(WORDS, data, SPACE, trials=4, runs=tmp_path, **QUIET)
    assert told(resumed) == told(found)
    assert (resumed.trials[2].number, resumed.trials[2].name) == (3, "trial-0002")  # tried again, in its own folder
    assert len({one.name for one in resumed.trials}) == 4
    assert resumed.choice.reason == found.choice.reason
    for one, straight in zip(resumed.swept, found.swept, strict=True):  # two of which are read from their folders
        np.testing.assert_array_equal(one.iwae.values, straight.iwae.values)
    assert er.runs.measure_run(tmp_path / "trial-0002", draws=4, progress=False, source=data)[0].mean < 0
    with pytest.raises(er.InputError, match=r"holds another search \(its seed differs\)"):
        er.search(WORDS, data, SPACE, runs=tmp_path, seed=1, **QUIET)


def test_a_trial_that_lags_behind_is_pruned_and_never_chosen(data, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(database, "_PRUNED_AFTER", 1)
    words = {**WORDS, "lr": 1e-2}
    found = er.search(words, data, {"lr": [1e-9, 1e-2]}, trials=2, runs=tmp_path, **QUIET)
    good, bad = found.trials  # the recipe itself comes first
    assert (good.settings, good.state, good.epochs) == ({"lr": 1e-2}, "finished", 4)
    assert (bad.state, bad.value, bad.epochs) == ("pruned", None, 1)
    assert bad.why.startswith("its bound after 25 % of the epochs, −")
    assert [one.name for one in found.swept] == [found.choice.model.name] == ["trial-0000"]
    assert not (tmp_path / "trial-0001" / "summary.json").exists()
    kept = er.search(words, data, {"lr": [1e-9, 1e-2]}, trials=2, prune=False, **QUIET)
    assert [one.state for one in kept.trials] == ["finished", "finished"]
    assert kept.trials[1].value < kept.trials[0].value


def test_what_prunes_does_not_depend_on_the_noise_that_a_model_is_trained_with(data) -> None:
    vae = build({**WORDS, "likelihood": {"kind": "normal", "scale": 1.0}}, data)
    bound = calibrated_bound(vae, data, 0)
    vae.likelihood = vae.likelihood.at_scale(7.0)
    assert calibrated_bound(vae, data, 0) == pytest.approx(bound, abs=1e-4)
    assert er.evidence.elbo(vae, data.validation, draws=8).mean < bound - 1
    counted = build({**WORDS, "likelihood": {"kind": "normal", "scale": "predicted"}}, data)  # nothing to calibrate
    assert calibrated_bound(counted, data, 0) == er.evidence.elbo(counted, data.validation, draws=8).mean


def test_what_is_chosen_calibrated_is_said_to_be(data) -> None:
    fixed = {"kind": "normal", "scale": 5.0}  # which calibration betters by nats
    found = er.search({**WORDS, "likelihood": fixed}, data, {"latents": [1]}, trials=1, **QUIET)
    assert found.choice.model.label.startswith("d = 1, noise scale ")
    assert found.notes[0].startswith(f"Chosen calibrated, as {found.choice.model.label}:")
    assert found.trials[0].value == found.choice.model.iwae.mean > found.swept[0].iwae.mean


def test_a_trial_that_diverges_or_fails_ends_nothing_and_says_why(data, monkeypatch) -> None:
    found = er.search({**WORDS, "lr": 1e-2}, data, {"lr": [1e-2, 1e18]}, trials=2, prune=False, **QUIET)
    assert [one.state for one in found.trials] == ["finished", "diverged"]
    assert "lower the learning rate" in found.trials[1].why
    assert found.choice.model.settings == {"lr": 1e-2}

    def breaks(vae, *args, **settings):
        if settings["lr"] > 1:
            raise RuntimeError("no memory\nat all")
        return fit(vae, *args, **settings)

    monkeypatch.setattr(trial_run, "fit", breaks)
    found = er.search({**WORDS, "lr": 1e-2}, data, {"lr": [1e-2, 1e18]}, trials=2, **QUIET)
    assert (found.trials[1].state, found.trials[1].why) == ("failed", "RuntimeError: no memory")
    with pytest.raises(er.InputError, match=r"No trial of the search finished here; .*RuntimeError: no memory"):
        er.search(WORDS, data, {"lr": [1e17, 1e18]}, trials=2, **QUIET)


def test_words_that_do_not_go_together_cost_no_training_and_every_point_is_tried_once(data) -> None:
    axes = {"prior": ["standard-normal", "vamp-prior"], "posterior": ["diagonal-normal", "mixture-posterior"]}
    found = er.search({**WORDS, "epochs": 1}, data, axes, trials=9, **QUIET)
    states = {tuple(one.settings.values()): one.state for one in found.trials}
    assert len(found.trials) == len(states) == 4
    assert states.pop(("vamp-prior", "mixture-posterior")) == "refused"
    assert set(states.values()) == {"finished"}
    assert found.notes == ("Every point of the space has been tried.",)
    assert next(one.why for one in found.trials if one.state == "refused").startswith("The prior 'vamp-prior'")


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ({}, "needs something to vary"),
        ({"betta": [1.0, 2.0]}, "no word 'betta'"),
        ({"prior": ["standard-normal", "mine"]}, "There is no prior 'mine'"),
        ({"likelihood": ["normal", "bernoulli"]}, "density of binary data"),
        ({"beta": [1.0, -1.0]}, "cannot be negative"),
        ({"lr": [1e-3, -1.0]}, "lr must be a positive number; got -1.0"),
        ({"batch_size": [16, "many"]}, "batch_size must be a whole number; got 'many'"),
        ({"beta": 1.0}, "must be a Range or a list"),
        ({"latents": [2, 2]}, "all distinct"),
        ({"width": [4, 0]}, "width must be a whole number from 1; got 0"),
        ({"depth": Range(0.5, 2.0)}, "depth must be a whole number from 0; got 0.5"),
        ({"widths": [[4], [8]], "depth": [1, 2]}, "depth and width together"),
    ],
)
def test_a_space_that_means_nothing_is_refused_before_anything_is_trained(data, axes, said, tmp_path) -> None:
    with pytest.raises(er.InputError, match=said):
        er.search(WORDS, data, axes, runs=tmp_path / "new", **QUIET)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"goal": "fame"}, "goal"),
        ({"goal": "rate"}, "need target="),
        ({"sampler": "grid"}, "sampler"),
        ({"trials": 0}, "1 or more; got 0"),
        ({"storage": "sqlite:///x.db", "runs": None}, "name it by runs="),
        ({"storage": "sqlite:////nowhere/at/all.db"}, "sqlite:////nowhere/at/all.db cannot be opened .unable to open"),
        ({"storage": "postgresql://me:secret@127.0.0.1:1/x"}, r"me:\*\*\*@127.0.0.1:1/x cannot be opened .*refused"),
        ({"storage": "mine://x"}, "cannot be opened"),
        ({"storage": "nowhere"}, "'nowhere' is no URL of a database"),
    ],
)
def test_what_cannot_be_searched_is_one_sentence(data, how, said, tmp_path) -> None:
    with pytest.raises(er.InputError, match=said) as raised:
        er.search(WORDS, data, ONE, **{"runs": tmp_path / "new", **how}, **QUIET)
    assert str(raised.value).endswith(".")
    assert "\n" not in str(raised.value)
    assert "secret" not in str(raised.value)
    assert not (tmp_path / "new").exists()


def test_without_optuna_it_says_what_to_install(data, monkeypatch) -> None:
    monkeypatch.setattr(_search.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(er.InputError, match=r'pip install "elbowroom\[search\]"'):
        er.search(WORDS, data, ONE, **QUIET)


def test_a_folder_with_a_run_that_the_database_does_not_know_is_left_alone(data, tmp_path) -> None:
    (tmp_path / "trial-0000").mkdir()
    (tmp_path / "trial-0000" / "recipe.yaml").write_text("version: 2")
    for _ in range(2):
        with pytest.raises(er.InputError, match="holds a run that is not in the search's database"):
            er.search(WORDS, data, ONE, trials=1, runs=tmp_path, **QUIET)
        (tmp_path / "search.db").unlink()
    assert (tmp_path / "trial-0000" / "recipe.yaml").read_text() == "version: 2"


def test_trials_of_another_split_or_preprocessing_are_not_taken_for_these(data, tmp_path) -> None:
    """The values and so their sha256 are the same; what one trains on is validation of the other."""
    shared = {"storage": f"sqlite:///{tmp_path}/shared.db", **QUIET}
    er.search(WORDS, data, ONE, trials=1, runs=tmp_path / "one", **shared)
    for other in (er.load_data(TABLE, seed=1, name="made"), er.load_data(TABLE, preprocess="none", name="made")):
        assert other.sha256 == data.sha256
        with pytest.raises(er.InputError, match=r"holds another search \(its examples differs\)"):
            er.search(WORDS, other, ONE, trials=1, runs=tmp_path / "one", **shared)
        found = er.search(WORDS, other, ONE, trials=1, runs=tmp_path / f"{other.split_seed}", **shared)
        assert [one.number for one in found.trials] == [0]  # a search of its own


def test_numbers_of_a_range_stay_in_it_though_they_are_rounded() -> None:
    space = Space(Recipe(), {"beta": Range(0.12345, 0.12347)})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    assert {space.suggest(study.ask())["beta"] for _ in range(3)} == {0.12345}


def test_two_that_share_a_database_share_the_trials_and_no_folder(data, tmp_path, monkeypatch) -> None:
    shared, inner = {"runs": tmp_path, "storage": f"sqlite:///{tmp_path}/shared.db", **QUIET}, []

    def fit_and_search(*args, **settings):
        """While the first trains its first trial another comes, which trains one more and has no time for others."""
        if not inner:
            inner.append(None)
            inner.append(er.search(WORDS, data, SPACE, trials=2, seconds=0.0, **shared))
        return fit(*args, **settings)

    monkeypatch.setattr(trial_run, "fit", fit_and_search)
    outer = er.search(WORDS, data, SPACE, trials=2, **shared)
    assert [one.state for one in inner[1].trials] == ["running", "finished"]
    assert [one.state for one in outer.trials] == ["finished"] * 2
    assert outer.trials[0].settings != outer.trials[1].settings
    assert sorted(path.name for path in tmp_path.glob("trial*")) == ["trial-0000", "trial-0001"]
    for path in (tmp_path / "trial-0001").iterdir():
        path.unlink()
    away = er.search(WORDS, data, SPACE, trials=2, **shared)
    assert [one.name for one in away.swept] == ["trial-0000"]
    assert away.notes[0].startswith("1 finished trial of other folders could not be chosen")
    assert away.notes[0].endswith(f"{tmp_path / 'trial-0001'}.")


def test_a_trial_that_another_process_took_over_is_left_to_it(data, monkeypatch) -> None:
    taken = []

    def fit_until_taken(*args, after_epoch, **settings):
        if not taken:
            study = after_epoch.run.study
            taken.append(study.tell(0, state=optuna.trial.TrialState.FAIL))  # as where it is silent for a minute
            database.requeue(study, study.trials[0])
        return fit(*args, after_epoch=after_epoch, **settings)

    monkeypatch.setattr(trial_run, "fit", fit_until_taken)
    found = er.search(WORDS, data, SPACE, trials=1, **QUIET)
    assert [(one.number, one.name, one.state) for one in found.trials] == [(1, "trial-0000", "finished")]


def test_when_the_time_is_over_a_trial_waits_for_the_next_call(data, tmp_path, monkeypatch) -> None:
    late = []
    monkeypatch.setattr(trial_run.time, "monotonic", lambda: 1e9 if len(late) > 5 else 0.0)  # over in the second
    watch = trial_run._Watch.__call__
    monkeypatch.setattr(trial_run._Watch, "__call__", lambda self, epoch: (late.append(epoch), watch(self, epoch))[1])
    first = er.search(WORDS, data, {"latents": [1, 2]}, trials=2, seconds=1e6, runs=tmp_path, **QUIET)
    assert [one.state for one in first.trials] == ["finished", "running"]  # which stands in line
    monkeypatch.undo()
    then = er.search(WORDS, data, {"latents": [1, 2]}, trials=2, runs=tmp_path, **QUIET)
    assert [(one.name, one.state) for one in then.trials] == [(one.name, "finished") for one in first.trials]


def test_a_target_is_searched_for_from_both_sides(data) -> None:
    found = er.search(
        {**WORDS, "lr": 1e-2}, data, {"beta": [0.1, 0.5, 5.0]}, trials=3, goal="rate", target=0.11, **QUIET
    )
    beyond = [one.rate.mean > 0.11 for one in found.swept]
    assert any(beyond)
    assert not all(beyond)
    for trial, one, far in zip(found.trials, found.swept, beyond, strict=True):
        if far:
            said = f"rate {rounded(one.rate.mean)}, beyond the target of 0.11"
            assert (trial.value, trial.why) == (None, said)
            assert str(trial) == f"{trial.name}: {trial.label}: finished: {said}"
        else:
            assert (trial.value, trial.why) == (-one.distortion.mean, "")
            assert str(trial).endswith(f": {rounded(-one.distortion.mean)}")
    assert {one.state for one in found.trials} == {"finished"}
    assert found.choice.model.rate.mean <= 0.11
    assert f"{count(sum(beyond), 'model')} beyond the target" in str(found)


def test_the_sampler_alone_hears_how_much_worse_a_model_beyond_the_target_is(data) -> None:
    swept = er.sweep(WORDS, data, {"beta": [0.1]}, draws=4, progress=False)[0]
    asked = trial_run.Asked(Space(Recipe(), ONE), data, "rate", 0.01, 1, math.inf, None, 4, 0, False)
    assert swept.rate.mean > 0.01
    assert trial_run._score_of(swept, asked) == -swept.distortion.mean - 10 * (swept.rate.mean - 0.01)
    assert trial_run._beyond(swept, asked) == f"rate {rounded(swept.rate.mean)}, beyond the target of 0.01"


def test_where_no_trial_is_within_the_target_none_is_called_the_best(data, tmp_path) -> None:
    shared = {"storage": f"sqlite:///{tmp_path}/shared.db", "goal": "rate", **QUIET}
    with pytest.raises(er.InputError, match=r"No model of the sweep has a rate of 0\.001 nats or less"):
        er.search(WORDS, data, ONE, trials=1, target=0.001, runs=tmp_path / "one", **shared)
    with pytest.raises(er.InputError, match=r"of the last one is known: rate .*, beyond the target of 0\.001"):
        er.search(WORDS, data, ONE, trials=1, target=0.001, runs=tmp_path / "two", **shared)
    far = Trial(0, "trial-0000", "", {}, "finished", None, 4, "rate 2, beyond the target of 1", "here:/one")
    near = Trial(1, "trial-0001", "", {}, "finished", -7.5, 4, where="here:/two")
    assert _search._best_of([far]) == "none of them is within the target"
    assert _search._best_of([far, near]) == "the best of them, at −7.50, is in here:/two"


def test_what_is_searched_where_nobody_says(data) -> None:
    recipe = Recipe().sized(data)
    axes = default_space(recipe, data).axes
    assert {name: len(values) for name, values in axes.items() if name != "beta"} == {
        "depth": 3,  # and not latents, of which 2 is the only number up to 3
        "width": 4,
        "prior": 3,
        "likelihood": 4,
    }
    assert axes["likelihood"] == ("auto", "laplace", "student-t", {"kind": "auto", "scale": "feature"})
    assert axes["beta"] == Range(0.2, 2.0)
    assert list(default_space(recipe, data, ("widths", "prior", "objective")).axes) == ["likelihood"]
    said = {"prior": "vamp-prior", "latents": 2, "widths": [8], "objective": {"kind": "elbo", "beta": 0.5}}
    assert _search._said(Recipe(**said)) == _search._said(said) == set(said)  # as mappings, Recipes are taken at a word
    assert "beta" not in default_space(Recipe(objective="iwae").sized(data), data, ("widths", "prior")).axes
    shapes = er.load_data((np.random.default_rng(0).random((40, 9)) < 0.5).astype(float))
    assert default_space(Recipe().sized(shapes), shapes, ("widths", "prior", "beta")).axes == {"latents": (2, 4, 8)}


def test_fit_hands_over_the_model_after_every_epoch(data) -> None:
    plain, watched = build(WORDS, data), build(WORDS, data)
    er.fit(plain, data, epochs=3, progress=False)
    rates = []
    history = er.fit(
        watched,
        data,
        epochs=3,
        after_epoch=lambda epoch: rates.append(er.evidence.rate_distortion(watched, data.validation).rate.mean),
        progress=False,
    )
    assert rates == pytest.approx(history.column("validation", "rate"), rel=1e-5)
    for name, value in plain.state_dict().items():
        assert torch.equal(value, watched.state_dict()[name])
    with pytest.raises(er.InputError, match="leave device, processes and precision out"):
        er.fit(watched, data, after_epoch=print, precision="64-true", progress=False)


def test_the_command_searches_prints_and_goes_on(tmp_path, monkeypatch, capsys) -> None:
    np.save(tmp_path / "rows.npy", TABLE)
    monkeypatch.chdir(tmp_path)

    def say(*more):
        words = ["search", "rows.npy", "--runs", "runs", "--width", "4", "--depth", "1", "--epochs", "2", *more]
        monkeypatch.setattr(sys, "argv", ["elbowroom", *words])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return int(stop.value.code or 0), *capsys.readouterr()

    code, out, err = say("--latents", "1,2", "--beta", "0.5..2", "--space", "batch_size=16", "--trials", "1")
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0].startswith("trial-0000: d = ")
    assert lines[-1] == "runs/trial-0000"
    about = json.loads(Path("runs/search.json").read_text())
    assert about["space"]["beta"] == {"low": 0.5, "high": 2}
    usual = {"lr": 0.003, "lr_final": 0.0003, "clip": 10.0, "patience": None}
    assert about["recipe"]["training"] == {"epochs": 2, "batch_size": 16, **usual}
    code, _, err = say("--latents", "1,2", "--trials", "1")
    assert (code, err.splitlines()[-1]) == (
        2,
        "elbowroom: The folder runs holds another search (its recipe differs): name another.",
    )
    monkeypatch.setattr(trial_run, "fit", stopped_at(1, 1))
    code, _, err = say("--latents", "1,2", "--beta", "0.5..2", "--space", "batch_size=16", "--trials", "2")
    assert (code, err.splitlines()[-1]) == (
        130,
        "elbowroom: interrupted; the same command goes on where it was stopped.",
    )


def test_what_is_typed_is_a_word_an_axis_or_a_range() -> None:
    words, axes = _words_and_axes(
        {"latents": "8", "prior": "vamp-prior, {kind: mixture-prior, components: 3}", "lr": "1e-4..1e-2", "depth": "2"}
    )
    assert words == {"latents": 8}
    assert axes.pop("prior") == ["vamp-prior", {"kind": "mixture-prior", "components": 3}]
    assert axes == {"lr": Range(1e-4, 1e-2), "depth": [2]}
    with pytest.raises(er.InputError, match=r"beta: a range is two numbers, LOW\.\.HIGH; got 'a\.\.b'"):
        _words_and_axes({"beta": "a..b"})


def test_seconds_below_0_are_refused_before_anything_is_tried(data, tmp_path) -> None:
    with pytest.raises(er.InputError, match="seconds must be 0 or more, 0 to begin no trial; got"):
        er.search(WORDS, data, ONE, trials=1, seconds=-1.0, runs=tmp_path / "runs", **QUIET)
    assert not (tmp_path / "runs").exists()
