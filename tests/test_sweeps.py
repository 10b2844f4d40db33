"""Sweeps over words: that each member is the model trained alone, what it is called, what is chosen, what resumes."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

import elbowroom as er
from elbowroom.models import Recipe, build, goal
from elbowroom.sweeps._sweep import _names
from elbowroom.training.training_plan import WAY_OUT

TABLE = np.random.default_rng(0).normal(size=(80, 3))
WORDS = {"widths": [8], "latents": 2, "epochs": 2, "batch_size": 16}
QUIET = {"draws": 4, "progress": False}


@pytest.fixture(scope="module")
def data():
    return er.load_data(TABLE, name="made")


def alone(data, **words) -> er.VAE:
    """The member with these words, built and trained by itself."""
    recipe = Recipe().where(**WORDS).where(**words)
    vae = build(recipe, data)
    er.fit(vae, data, goal(recipe), seed=recipe.seed, progress=False, **recipe.training)
    return vae


AXES = [
    {"beta": [0.1, 2.0]},
    {"latents": [1, 3], "beta": [0.5, 1.0]},
    {"likelihood": ["normal", {"kind": "student-t", "df": 3.0}]},
    {"latents": [3, 1], "seed": [0, 5]},
    {"lr": np.array([1e-2, 1e-4])},
    {"widths": [[4], [8, 8]]},
    {},
]


@pytest.mark.parametrize("axes", AXES, ids=lambda axes: "-".join(axes) or "none")
def test_every_member_is_the_model_trained_alone(data, axes) -> None:
    swept = er.sweep(WORDS, data, axes, **QUIET)
    assert len(swept) == math.prod(len(values) for values in axes.values())
    for one in swept:
        expected = alone(data, **one.settings).state_dict()
        found = one.vae.state_dict()
        assert found.keys() == expected.keys()
        for name, value in found.items():
            torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-7)
    if axes:  # something was changed
        first, last = (one.iwae.mean for one in (swept[0], swept[-1]))
        assert first != last


def test_labels_and_names(data) -> None:
    swept = er.sweep(WORDS, data, {"latents": [1, 2], "beta": [0.3]}, **QUIET)
    assert [one.label for one in swept] == ["d = 1, β = 0.3", "d = 2, β = 0.3"]
    assert [one.name for one in swept] == ["latents-1_beta-0.3", "latents-2_beta-0.3"]
    assert swept[1].settings == {"latents": 2, "beta": 0.3}
    (only,) = er.sweep(WORDS, data, {}, **QUIET)
    assert (only.name, only.label, only.settings) == ("model", "the only one", {})


def test_a_member_is_printed_with_its_numbers(data) -> None:
    one, other = er.sweep(WORDS, data, {"beta": [0.1, 50.0], "likelihood": ["normal"]}, **QUIET)
    pattern = r"β = (\S+), likelihood = normal: ELBO (\S+) ± (\S+), IWAE (\S+) ± (\S+) nats, (\d+) active latents?"
    for member, beta in ((one, "0.1"), (other, "50")):
        found = re.fullmatch(pattern, str(member))
        assert found
        assert found[1] == beta
        numbers = [float(text.replace("−", "-")) for text in found.groups()[1:]]
        bounds = [number for bound in (member.elbo, member.iwae) for number in (bound.mean, bound.se_total)]
        np.testing.assert_allclose(numbers, [*bounds, member.active], atol=0.0051)
    bound = er.Estimate.of([-1.5, -0.5], quantity="log p(x)", estimator="ELBO", direction="lower")
    single = replace(one, label="a", elbo=bound, iwae=bound, active=1)
    assert repr(single) == "a: ELBO −1.00 ± 0.50, IWAE −1.00 ± 0.50 nats, 1 active latent"


def test_names_are_safe_and_different() -> None:
    names = _names([{"prior": "../Mine"}, {"prior": ".. mine"}, {"prior": {"kind": "x" * 200}}, {"prior": "a/b\n"}])
    assert len({name.lower() for name in names}) == 4
    assert all(name and len(name) < 90 and not set(name) & set("/\\\n \"'") for name in names)
    assert all(name.strip(".") == name for name in names)


def test_a_ready_model_varies_in_its_training(data) -> None:
    vae = build(WORDS, data)
    swept = er.sweep(vae, data, {"beta": [0.1, 2.0]}, epochs=2, batch_size=16, **QUIET)
    words = er.sweep(WORDS, data, {"beta": [0.1, 2.0]}, **QUIET)
    assert [one.iwae.mean for one in swept] == [one.iwae.mean for one in words]
    with pytest.raises(er.InputError, match="A ready model can vary in its training alone, not in d = 3"):
        er.sweep(vae, data, {"latents": [3]}, **QUIET)


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ({"beta": [1.0, 1]}, "all distinct"),
        ({"beta": []}, "at least one"),
        ({"prior": "standard-normal"}, "must be a list"),
        ({"beta": 1.0}, "must be a list"),
        ({"lr": np.array([0.1, 0.1])}, "all distinct"),
        ({"betta": [1.0]}, "no word 'betta'"),
        ({"beta": [1.0, -1.0]}, "cannot be negative"),
        ({"likelihood": ["normal", "bernoulli"]}, "density of binary data"),
    ],
)
def test_axes_that_mean_nothing_are_refused_before_anything_is_trained(data, tmp_path, axes, said) -> None:
    with pytest.raises(er.InputError, match=said):
        er.sweep(WORDS, data, axes, runs=tmp_path / "runs", **QUIET)
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_goes_on_and_grows(data, tmp_path) -> None:
    runs = tmp_path / "runs"
    straight = er.sweep(WORDS, data, {"beta": [0.1, 1.0, 3.0], "latents": [1, 2]}, **QUIET)
    er.sweep(WORDS, data, {"beta": [0.1], "latents": [1, 2]}, runs=runs, **QUIET)
    (runs / "beta-0.1_latents-2" / "summary.json").unlink()  # as if it had been stopped there
    resumed = er.sweep(WORDS, data, {"beta": [0.1, 1.0, 3.0], "latents": [1, 2]}, runs=runs, resume=True, **QUIET)
    assert [one.name for one in resumed] == [one.name for one in straight]
    for one, other in zip(resumed, straight, strict=True):
        np.testing.assert_allclose(one.iwae.values, other.iwae.values, rtol=1e-5)
    assert sorted(path.name for path in runs.iterdir()) == sorted(["sweep.json", *(one.name for one in straight)])
    for words, axes in ((WORDS | {"widths": [9]}, ["beta", "latents"]), (WORDS, ["beta"])):
        with pytest.raises(er.InputError, match="holds runs of another recipe, other axes or other data"):
            er.sweep(words, data, {name: [1] for name in axes}, runs=runs, resume=True, **QUIET)
    with pytest.raises(er.InputError, match="other data"):
        er.sweep(WORDS, er.load_data(2 * TABLE), {"beta": [1], "latents": [1]}, runs=runs, resume=True, **QUIET)


def test_the_folder_says_the_recipe(data, tmp_path) -> None:
    er.sweep(WORDS, data, {"beta": [1.0]}, runs=tmp_path, **QUIET)
    said = json.loads((tmp_path / "sweep.json").read_text())
    assert Recipe(**said["recipe"]) == Recipe().where(**WORDS)


def test_a_resumed_sweep_finds_its_own_runs_whatever_their_order(data, tmp_path) -> None:
    """Names that are cut short, or that a disk cannot tell apart, end in what their settings are."""
    long = [{"kind": "student-t", "df": 3.0, "floor": floor, "start": 0.123456789} for floor in (0.0100001, 0.0100002)]
    first = er.sweep(WORDS, data, {"likelihood": long}, runs=tmp_path, **QUIET)
    again = er.sweep(WORDS, data, {"likelihood": long[::-1]}, runs=tmp_path, resume=True, **QUIET)
    assert [one.name for one in again] == [one.name for one in first[::-1]]
    assert [one.vae.likelihood.floor for one in again] == [0.0100002, 0.0100001]


def test_nothing_stands_in_a_stack_twice(data, tmp_path) -> None:
    vae, other = (build({**WORDS, "seed": seed}, data) for seed in (0, 1))
    goals = [er.objectives.Elbo(), er.objectives.Elbo()]
    with pytest.raises(er.InputError, match="can stand in a stack once"):
        er.fit_stacked([vae, vae], data, goals, epochs=1)
    with pytest.raises(er.InputError, match="can stand in a stack once"):
        er.fit_stacked([vae, other], data, goals, runs=[tmp_path / "a", tmp_path / "a"], epochs=1)


def test_finished_runs_of_another_split_or_preprocessing_are_not_read(tmp_path) -> None:
    words, axes = {"latents": 2, "widths": [4], "epochs": 1}, {"beta": [1.0]}
    er.sweep(words, er.load_data("digits"), axes, draws=2, runs=tmp_path, progress=False)
    for other in (er.load_data("digits", seed=1), er.load_data("digits", preprocess="none")):
        with pytest.raises(er.InputError, match=r"by seed 1, and the run's by seed 0|run \(its model differs\)"):
            er.sweep(words, other, axes, draws=2, runs=tmp_path, resume=True, progress=False)


def test_runs_of_a_ready_model_with_other_weights_are_not_read(data, tmp_path) -> None:
    settings = {"epochs": 1, "runs": tmp_path, **QUIET}
    er.sweep(build(WORDS, data), data, {"lr": [1e-9]}, **settings)
    with pytest.raises(er.InputError, match="holds runs of another recipe"):
        er.sweep(build({**WORDS, "seed": 1}, data), data, {"lr": [1e-9]}, resume=True, **settings)


def test_a_sweep_that_is_refused_leaves_nothing_and_one_that_was_not_begun_is_not_resumed(tmp_path) -> None:
    data, runs = er.load_data("digits"), tmp_path / "runs"
    for setting in ({"select": "best"}, {"patience": 0}):
        with pytest.raises(er.InputError):
            er.sweep(WORDS, data, {"beta": [1.0]}, runs=runs, **{**QUIET, **setting})
    assert not runs.exists()
    with pytest.raises(er.InputError, match="runs holds no sweep, so there is nothing to resume"):
        er.sweep(WORDS, data, {"beta": [1.0]}, runs=runs, resume=True, **QUIET)
    with pytest.raises(er.InputError, match="name it by runs="):
        er.sweep(WORDS, data, {"beta": [1.0]}, resume=True, **QUIET)
    assert not runs.exists()


def test_a_member_that_diverges_is_marked_and_leaves_the_others_as_they_are(data, tmp_path) -> None:
    runs = tmp_path / "runs"
    good, lost = er.sweep(WORDS, data, {"lr": [1e-2, 1e30]}, runs=runs, **QUIET)
    for name, value in alone(data, lr=1e-2).state_dict().items():
        torch.testing.assert_close(good.vae.state_dict()[name], value, rtol=1e-5, atol=1e-7)
    assert (good.history.diverged, lost.history.diverged, lost.active) == (False, True, 0)
    assert all(math.isnan(bound.mean) for bound in (lost.rate, lost.distortion, lost.elbo, lost.iwae))
    assert lost.history.notes[-1] == f"Training diverged: {WAY_OUT}."
    assert er.choose([lost, good]).model is good
    assert sorted(path.name for path in runs.iterdir()) == ["lr-0.01", "sweep.json"]
    again = er.sweep(WORDS, data, {"lr": [1e-2, 1e30]}, runs=runs, resume=True, **QUIET)
    assert again[1].history.diverged
    with pytest.raises(er.InputError, match="All models of the sweep diverged: lower the learning rate"):
        er.sweep(WORDS, data, {"lr": [1e20, 1e30]}, **QUIET)
