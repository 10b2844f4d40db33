"""What a study says of itself: the call that makes it again, and the verdict."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from invented import study
from staged import records_of

import elbowroom as er
from elbowroom.records import ClassicRecord, DifferenceRecord, SweepRecord
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


def said(value, *, kl=None, rival=None, spread=None, quantity=None, **of_data):
    """The verdict on an invented study, so many nats from a mixture, with such latents and such seeds."""
    records = records_of(study(16, images=True, vae=58.0))
    measured = records["measure"]
    if kl is not None:
        latents = replace(measured.latents, kl=tuple(kl), active=tuple(one > 0.005 for one in kl))
        measured = replace(measured, latents=latents)
    if quantity:
        bounds = {name: replace(one, quantity=quantity) for name, one in measured.bounds.items()}
        measured = replace(measured, bounds=bounds)
    difference = DifferenceRecord("Gaussian mixture", value, 0.81, 397, *(spread or ()))
    return verdict(replace(records["load"], **of_data), records["train"].models[2], measured, difference, rival)


def test_latents_are_counted_by_the_rate_that_they_carry():
    kl = [4.0, 3.0, 2.0, 1.0] + [0.006] * 12
    assert said(5.12, kl=kl).sentence.startswith("This VAE uses 4 of its 16 latents for 99 % of its rate and beats ")
    assert said(5.12, kl=[0.001] * 16).sentence.startswith("This VAE uses none of its 16 latents and beats ")


def test_seeds_stand_beside_the_error_and_can_make_a_tie():
    beaten = "by at least 5.12 ± 0.81 nats, ± 0.92 between 3 seeds, on held-out digits."
    assert beaten in said(5.12, spread=(0.92, 3)).sentence
    tied = "a Gaussian mixture, on held-out digits (2.10 ± 0.81 nats, ± 0.92 between 3 seeds)."
    assert tied in said(2.1, spread=(0.92, 3)).sentence
    assert "beats the best baseline" in said(2.1).sentence


@pytest.mark.parametrize(
    ("kind", "quantity", "of"),
    [
        ("grid", None, "at most"),
        ("grid", "log p(binarised x)", "at most, of the image binarised"),
        ("binary", None, "at most, of zeros and ones"),
    ],
)
def test_bits_are_said_to_be_bits_of_what_they_are_of(kind, quantity, of):
    code = {one.label: one for one in said(5.12, kind=kind, quantity=quantity).figures}["code length"]
    assert (code.unit, code.direction) == ("bits per dimension", of)


@pytest.mark.parametrize(
    ("context", "entropies", "at_most"),
    [
        ("kind", {"kind": 1.09861}, ", at most 1.10 nats of it (its entropy)"),
        ("kind, arm", {"kind": 1.09861, "arm": 0.5, "label": 2.3}, ", at most 1.60 nats of it (their entropies)"),
        ("kind, dose", {"kind": 1.09861}, ""),
    ],
)
def test_what_a_context_tells_is_said_to_be_in_the_difference(context, entropies, at_most):
    rival = records_of(study(16, images=True, vae=58.0))["contest"].best
    sentence = said(2.0, rival=rival, quantity=f"log p(x | {context})", entropies=entropies).sentence
    told = (
        f" It is given {' and '.join(context.split(', '))}, and the baselines are of log p(x): what that tells of x is"
    )
    assert sentence.endswith(f"{told} in the difference{at_most}.")
    assert "It is given" not in said(2.0, rival=rival).sentence
    known = said(2.0, rival=rival, quantity="log p(x, kind where known)").sentence
    assert known.endswith(
        " What kind costs is in the difference: its score is log p(x, kind where known), and that of the baselines "
        "log p(x)."
    )


def test_seed_spread_is_the_deviation_of_one_training():
    one = records_of(study(2, images=True, vae=58.0))["train"].models[2]
    models = [
        replace(
            one, name=f"{beta}-{seed}", settings={"beta": beta, "seed": seed}, axes={"β": f"{beta}", "seed": f"{seed}"},
            iwae=replace(one.iwae, mean=mean, se_total=1.3),
        )
        for beta, seed, mean in [(0.5, 0, -86.0), (0.5, 1, -87.0), (0.5, 2, -85.0), (1, 0, -90.0), (1, 1, np.nan)]
    ]  # fmt: skip
    sweep = SweepRecord(tuple(models))
    (found,) = sweep.spreads
    assert (found.label, found.seeds, found.mean, found.deviation) == ("β = 0.5", 3, -86.0, 1.0)
    assert found.se_points == pytest.approx(1.3)
    assert sweep.spread_of(models[1]) == found
    assert sweep.spread_of(models[3]) is None


def test_a_tie_with_seeds_is_judged_by_welchs_degrees_of_freedom():
    from scipy import stats

    first, second = np.random.default_rng(0).normal(size=12), np.random.default_rng(1).normal(0.4, 3.0, size=5)
    ses = [one.std(ddof=1) / len(one) ** 0.5 for one in (first, second)]
    free = stats.ttest_ind(first, second, equal_var=False).df
    edge = stats.t.ppf(0.975, free) * np.hypot(*ses)
    # A spread of seeds is a deviation, with as many degrees of freedom as a mean of so many.
    assert DifferenceRecord("x", edge * 0.999, ses[0], 12, ses[1], 5).tie
    assert not DifferenceRecord("x", edge * 1.001, ses[0], 12, ses[1], 5).tie
    assert not DifferenceRecord("x", edge * 0.999, ses[0], 12).tie


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
