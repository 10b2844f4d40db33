"""What a study says of itself: the call that makes it again, the verdict, and what to do next."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from invented import study
from staged import records_of

import elbowroom as er
from elbowroom.records import ClassicRecord, DifferenceRecord
from elbowroom.studies.asked import called, typed
from elbowroom.studies.verdict import verdict


@pytest.mark.parametrize(
    ("data", "folder", "options", "said"),
    [
        ("digits", "st", {"epochs": (3, None), "draws": (20, 1_000)}, 'er.study("digits", "st", epochs=3, draws=20)'),
        ("digits", None, {"seed": (0, 0), "recipe": (None, None)}, 'er.study("digits")'),
        (Path("a.csv"), Path("st"), {"annealed": (0, 50)}, 'er.study("a.csv", "st", annealed=0)'),
        (np.zeros((3, 2)), "st", {"recipe": (object(), None)}, 'er.study(…, "st", recipe=…)'),
        (
            "digits",
            None,
            {"recipe": ({"latents": 2, "widths": [8]}, None), "axes": ({"beta": (0.5,)}, None)},
            'er.study("digits", recipe={"latents": 2, "widths": [8]}, axes={"beta": (0.5,)})',
        ),
    ],
)
def test_a_call_is_said_with_what_differs_from_the_defaults(data, folder, options, said):
    asked = called(data, folder, options)
    assert (asked.text, asked.going_on) == (said, "the same call with resume=True")


def test_a_dataset_goes_by_its_name_where_python_could_have_it():
    rows = np.random.default_rng(0).normal(size=(60, 2))
    assert called(er.load_data(rows, name="made"), "st", {}).text == 'er.study(made, "st")'
    assert called(er.load_data(rows, name="made by hand"), "st", {}).text == 'er.study(…, "st")'


def test_a_command_goes_on_without_what_would_delete_its_folder():
    asked = typed("elbowroom study 'my data.csv' --overwrite --draws 8")
    assert asked.text == "elbowroom study 'my data.csv' --overwrite --draws 8"
    assert asked.going_on == "`elbowroom study 'my data.csv' --draws 8 --resume`"


def said(value, *, best_epoch=181, active=16, ess=None, khat=None, rival=None, **of_data):
    """The verdict on an invented study, so many nats from a mixture, with such weights."""
    records = records_of(study(16, images=True, vae=58.0))
    chosen = replace(records["train"].models[2], best_epoch=best_epoch, active=active)
    bounds = {name: weighted(e, ess, khat) for name, e in records["measure"].bounds.items()}
    measured = replace(records["measure"], bounds=bounds)
    data = replace(records["load"], **of_data)
    return verdict(data, chosen, measured, DifferenceRecord("Gaussian mixture", value, 0.81, 397), rival)


def weighted(e, ess, khat):
    """An estimate with an effective sample size and a k̂ of its first 100 examples; the others have good ones."""
    if "IWAE" not in e.estimator or ess is None:
        return e
    bad = np.arange(len(e)) < 100
    return replace(e, ess=np.where(bad, ess, 400.0), khat=np.where(bad, khat, 0.1))


def test_training_that_has_not_ended_comes_first():
    assert said(-5.12, best_epoch=400).next == "The best epoch was the last: train for more epochs."


def test_test_examples_that_stand_in_train_are_said_and_left_out_of_a_second_score():
    records = records_of(study(16, images=True, vae=58.0))
    best = records["measure"].best
    half = tuple(best.index[: len(best) // 2].tolist())
    rival = ClassicRecord("Gaussian mixture", "8 components", replace(best, values=best.values - 3.0), 1.0, 1.0)
    sentence = said(-5.12, repeats=half, rival=rival).sentence
    new = best.values[len(best) // 2 :]
    assert (
        f"{len(half)} of the 397 test examples also stand in train: without them it scores {new.mean():.3g}"[:-1]
        in sentence
    )
    assert "beats the best baseline, a Gaussian mixture, by at least 3.0" in sentence
    assert "nothing of new examples" in said(-5.12, repeats=tuple(best.index.tolist()), rival=rival).sentence
    by_chance = {"repeats": half, "repeats_expected": len(half) - 5.0}
    assert "stand in train" not in said(-5.12, rival=rival, **by_chance).sentence
    assert (
        "(20 would by chance, were the columns independent)"
        in said(-5.12, repeats=half, repeats_expected=20.0, rival=None).sentence
    )


def test_a_lead_of_a_lower_bound_is_at_least_and_a_deficit_at_most():
    assert "loses to the best baseline, a Gaussian mixture, by at most 5.12 ± 0.81 nats" in said(-5.12).sentence
    assert "beats the best baseline, a Gaussian mixture, by at least 5.12 ± 0.81 nats" in said(5.12).sentence
    assert "cannot be told apart from the best baseline, a Gaussian mixture" in said(-0.5).sentence


@pytest.mark.parametrize("active", [16, 3])
def test_more_latents_are_advised_only_where_all_are_used(active):
    more = "wider networks or more latents" if active == 16 else "wider networks"
    assert said(-5.12, active=active).next == (
        f"By these bounds the Gaussian mixture is the better density of these data: use it, or give the VAE {more} and "
        f"study again."
    )


@pytest.mark.parametrize(
    ("ess", "khat", "why"),
    [
        (2.0, 0.1, "its effective sample size collapsed on 100 of 397 examples"),
        (400.0, 0.9, "k̂ above 0.7 on 100 of 397 examples"),
    ],
)
def test_a_loose_bound_is_tightened_first(ess, khat, why):
    assert said(-5.12, ess=ess, khat=khat).next == (
        f"By these bounds the Gaussian mixture is the better density of these data, but the VAE's bound is loose "
        f"({why}): measure it by AIS, or give it a richer posterior, before anything else."
    )
    assert isinstance(said(-5.12, ess=400.0, khat=0.1).next, str)
    assert "loose" not in said(-5.12, ess=400.0, khat=0.1).next
