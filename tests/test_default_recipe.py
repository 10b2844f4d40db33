"""What a study trains with no word said: on every kind of data it is built, trained and named."""

import numpy as np
import pytest

import elbowroom as er
from elbowroom.models import Recipe
from elbowroom.studies.train import axes_of, training_of

rng = np.random.default_rng(0)
GAPS = np.where(rng.random((40, 3)) < 0.2, np.nan, rng.normal(size=(40, 3)))
PREDICTED, FEATURE = ({"kind": "auto", "scale": scale} for scale in ("predicted", "feature"))
NOISE = ["scale predicted", "scale feature"]
ODD = {
    "one column": (rng.normal(size=(40, 1)), {}, [1], NOISE),
    "classes alone": (rng.integers(0, 2, (40, 3)).astype(float), {}, [2], []),
    "3,000 columns": (rng.normal(size=(20, 3_000)), {}, [10], NOISE),
    "six rows": (rng.normal(size=(6, 4)), {"validation": 2, "test": 2}, [1], NOISE),
    "missing cells": (GAPS, {}, [2], NOISE),
    "counts": (rng.poisson(300, (40, 6)), {}, [2, 5], NOISE),
    "small images": (rng.random((40, 1, 8, 8)), {"flat": False, "support": "unit"}, [10, 20], NOISE),
}


@pytest.mark.parametrize("name", ODD)
def test_the_default_is_trained_on_all_data_and_says_what_it_chose(name) -> None:
    x, loading, sizes, noise = ODD[name]
    data = er.load_data(x, name=name, progress=False, **loading)
    training = training_of(None, None, 1, data, 0)
    expected = {"latents": sizes} | ({"likelihood": [PREDICTED, FEATURE]} if noise else {})
    assert training.axes == expected
    few = {axis: values[:1] + values[1:][-1:] for axis, values in training.axes.items()}
    swept = er.sweep(training.recipe, data, few, epochs=1, draws=2, processes=1, progress=False)
    assert {one.vae.latents for one in swept} == {sizes[0], sizes[-1]}
    choice = er.choose(swept)
    assert np.isfinite(choice.model.iwae.mean)
    assert f"d = {choice.vae.latents}" in str(choice)
    assert not noise or any(words in str(choice) for words in noise)


@pytest.mark.parametrize(
    ("words", "axes"),
    [
        ({}, ["latents", "likelihood"]),
        ({"latents": 3}, ["likelihood"]),
        ({"likelihood": "normal"}, ["latents"]),
        ({"likelihood": FEATURE}, ["latents"]),
        ({"latents": [3, 2], "likelihood": "normal"}, []),
    ],
)
def test_a_study_sweeps_over_what_the_recipe_leaves_open(words, axes) -> None:
    assert list(axes_of(Recipe().where(**words), er.load_data("digits"))) == axes


def test_axes_that_are_said_are_the_only_ones_and_a_ready_model_has_none() -> None:
    digits = er.load_data("digits")
    assert training_of({}, {"beta": (0.5, 1.0)}, None, digits, 0).axes == {"beta": (0.5, 1.0)}
    assert training_of(er.models.build({}, digits), None, None, digits, 0).axes == {}


def test_a_rate_that_is_said_is_kept_and_stops_early_and_the_default_falls_to_the_last_epoch() -> None:
    digits = er.load_data("digits")
    default, said = (training_of(words, None, None, digits, 0) for words in ({}, {"lr": 1e-3}))
    assert (default.lr, default.lr_final, default.clip) == (3e-3, 3e-4, 10.0)
    assert (default.patience, default.epochs) == (None, 334)
    assert (said.lr, said.lr_final, said.patience) == (1e-3, None, 33)
    assert training_of({}, {"lr": (1e-3, 1e-2)}, None, digits, 0).lr_final is None
    assert training_of({"clip": None}, None, None, digits, 0).clip is None
    few = er.load_data(rng.normal(size=(60, 3)))
    assert [getattr(training_of({}, None, None, few, 0), one) for one in ("epochs", "batch_size")] == [400, 32]
