"""The choice among the models of a sweep, for what they are wanted for, with its reason."""

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from elbowroom import models
from elbowroom.data import Dataset
from elbowroom.numerics import InputError, count, one_of, plain_arguments, with_error
from elbowroom.recipes import recipe_of
from elbowroom.records import ModelRecord
from elbowroom.vae import VAE

from .goals import GOALS, Scored, target_scores
from .standings import Entry, Standing, of_whole_settings, smallest, standings
from .swept import Swept

__all__ = ["Choice", "choose", "comparable", "entry_of", "left_out", "reason_of", "setting_of"]

_TARGETS = ("rate", "distortion")
_SEED = "seed"
_Model = TypeVar("_Model", Swept, ModelRecord)


@dataclass(frozen=True)
class Choice:
    """The chosen model of a sweep, and why it was chosen.

    Printed: the reason.

    Parameters
    ----------
    model : Swept
        The model, calibrated where that was asked for and pays.
    goal : str
        What it was chosen for.
    reason : str
        In a sentence.
    standings : tuple of Standing
        The score of every setting, and how far it is behind the best; `best_entry` of each is a place among the models
        that were given.
    """

    model: Swept
    goal: str
    reason: str
    standings: tuple[Standing, ...]

    @property
    def vae(self) -> VAE:
        """The chosen model itself."""
        return self.model.vae

    def __str__(self) -> str:
        return self.reason

    __repr__ = __str__


@plain_arguments
def choose(
    swept: Iterable[Swept],
    *,
    goal: str = "density",
    data: Dataset | None = None,
    target: float | None = None,
    seed: int = 0,
) -> Choice:
    """Choose the smallest model that is not behind the best one by more than a standard error.

    The error is that of the difference, over validation examples and, where seeds were varied, over seeds. Smaller is
    fewer latents, then fewer parameters; of models of one size the better score decides. A setting of which a training
    has no finite bound, or is beyond the target, is left out where another setting kept all of its seeds.

    Parameters
    ----------
    swept : iterable of Swept
        The models of a sweep, as `er.sweep` returns them; or of several, of other words, on the same data.
    goal : {"density", "compression", "samples", "representation", "rate", "distortion"}, default "density"
        "density": the importance-weighted bound on log p(x). "compression": the ELBO in bits, which bits-back coding
        pays. "samples": how little a classifier tells samples from data; of those that it tells alike the smaller.
        "representation": the log score of a logistic regression that tells the labels by the codes, or where there
        are no labels the information per active unit. "rate": the least distortion within a target rate; "distortion":
        the least rate within a target distortion.
    data : Dataset, optional
        What the sweep was trained on. Needed for "samples" and "representation"; with it models of one noise scale or
        temperature are calibrated before "density" and "compression" are judged, where that pays.
    target : float, optional
        Nats per example, for "rate" and "distortion".
    seed : int, default 0
        Of samples and of the noise of calibration.

    Returns
    -------
    Choice
        The model, the reason in a sentence, and the standings of all.

    Raises
    ------
    InputError
        Where no model has a finite score, where the bounds are on different quantities, by different estimators or of
        other examples, where two models have the same settings, where a goal needs data or a target that is not given,
        where codes are told the labels that "representation" asks them for, or where no model stays within the target.

    References
    ----------
    Breiman, Friedman, Olshen & Stone, "Classification and Regression Trees" (1984), of the rule of one standard error.

    Examples
    --------
    >>> import elbowroom as er
    >>> words = {"latents": 2, "widths": [8], "epochs": 1}
    >>> swept = er.sweep(words, er.load_data("digits"), {"lr": [1e-9, 1e-2]}, draws=2, progress=False)
    >>> choice = er.choose(swept)
    >>> choice.model.label, choice.goal
    ('lr = 0.01', 'density')
    """
    one_of("goal", goal, (*GOALS, *_TARGETS))
    swept = list(swept)
    comparable(swept)
    _check_asked(goal, data, target)
    kept = {place: one for place, one in enumerate(swept) if math.isfinite(one.iwae.mean)}
    _check_measured(list(kept.values()), goal, data)
    if target is not None:
        words = f"minus the {'distortion' if goal == 'rate' else 'rate'} on validation, in nats per example"
        every = target_scores(kept, goal, target)
    else:
        words = GOALS[goal].words
        every = {place: GOALS[goal].score(one, data, seed) for place, one in kept.items()}
    scored = {place: one for place, one in every.items() if math.isfinite(one.value)}
    if not scored:
        raise InputError(f"No model of the sweep has a finite score for goal={goal!r}: lower the learning rate.")
    settings = [setting_of(one) for one in swept]
    places = of_whole_settings(settings, scored)
    entries = [entry_of(scored[place]) for place in places]
    _check_apart(entries, [scored[place].model for place in places])
    found = standings(entries)
    chosen = smallest(found)
    model = scored[places[chosen.best_entry]].model
    reason = reason_of(found, chosen, words, left_out(settings, places, scored, len(kept) - len(every)))
    reason += _calibrated(model, [scored[place].model is not swept[place] for place in places])
    found = [replace(one, best_entry=places[one.best_entry]) for one in found]
    return Choice(model, goal, reason, tuple(found))


def comparable(swept: Sequence[_Model]) -> list[_Model]:
    """Those whose bound is finite; InputError where there is none, or where they bound different things."""
    finite = [one for one in swept if math.isfinite(one.iwae.mean)]
    if not finite:
        raise InputError("No model of the sweep has a finite bound on validation: lower the learning rate.")
    if len({one.iwae.quantity for one in finite}) > 1:
        what = " and ".join(sorted({one.iwae.quantity for one in finite}))
        raise InputError(f"The models of the sweep bound different things, {what}, so none of them is the best.")
    return finite


def _check_measured(swept: Sequence[Swept], goal: str, data: Dataset | None) -> None:
    """Models of several sweeps may be given, of which none knows what the others were measured on."""
    first = swept[0]
    for one in swept:
        same = np.array_equal(one.iwae.index, first.iwae.index) and one.iwae.data == first.iwae.data
        if not same or recipe_of(one.vae.preprocess) != recipe_of(first.vae.preprocess):
            raise InputError(
                f"{first.label} and {one.label} were measured on other data, or on another split or scale of them, so "
                f"neither is the better one: sweep both over the same data."
            )
        if goal == "density" and one.iwae.estimator != first.iwae.estimator:
            raise InputError(
                f"{first.label} was measured by {first.iwae.estimator} and {one.label} by {one.iwae.estimator}, and "
                f"more draws make a higher bound: sweep both with the same draws=."
            )
    if data is None or first.iwae.data is None:
        return
    if data.validation.data != first.iwae.data or not np.array_equal(data.validation.index.numpy(), first.iwae.index):
        raise InputError(
            "data= is not what the models were measured on, or is split otherwise: give that of the sweep."
        )


def _check_apart(entries: Sequence[Entry], trained: Sequence[Swept]) -> None:
    """What has the settings of another is no other seed of it."""
    known: dict[Any, Any] = {}
    for one, model in zip(entries, trained, strict=True):
        shared = one.size, _words(model)
        if known.setdefault(one.setting, shared) != shared or (one.setting, one.seed) in known:
            raise InputError(
                f"Two models have the settings {one.label!r} and do not differ in their seed alone, so that neither "
                f"can be told from the other: give each a setting more, by dataclasses.replace(model, settings=…)."
            )
        known[one.setting, one.seed] = one


def _words(model: Swept) -> dict[str, Any] | None:
    """Of its recipe, without the seed."""
    return None if model.recipe is None else {**model.recipe.to_dict(), "seed": None}


def _check_asked(goal: str, data: Dataset | None, target: float | None) -> None:
    if (goal in _TARGETS) != (target is not None):
        raise InputError(
            f"goal='rate' and goal='distortion' need target=, in nats, and no other goal has one; got goal={goal!r}, "
            f"target={target!r}."
        )
    if target is None and GOALS[goal].needs_data and data is None:
        raise InputError(f"goal={goal!r} is judged on the data: give those of the sweep by data=.")


def setting_of(model: Swept | ModelRecord) -> str:
    """What a model has in common with those that differ from it in their seed alone."""
    return models.label({name: value for name, value in model.settings.items() if name != _SEED})


def entry_of(scored: Scored) -> Entry:
    """The score of one training, with what it shares with those that differ in their seed alone."""
    model, setting = scored.model, setting_of(scored.model)
    seed = model.settings.get(_SEED)
    size = model.vae.latents, sum(p.numel() for p in model.vae.parameters())
    label = setting or ("the only setting" if seed is not None else model.label)
    return Entry(label, setting, size, scored.value, scored.se, seed, scored.by_example)


def left_out(settings: Sequence[str], places: Sequence[int], scored: Collection[int], beyond: int = 0) -> str:
    """Which models a choice had to leave out, and why; of all, `beyond` were not within a target."""
    unbounded, beside = len(settings) - len(scored) - beyond, len(scored) - len(places)
    lost = [
        (unbounded, "without a finite bound"),
        (beyond, "beyond the target"),
        (beside, f"of {'that setting' if unbounded + beyond == 1 else 'those settings'} with other seeds"),
    ]
    lines = [f" {count(n, 'model')} {why} {'is' if n == 1 else 'are'} left out." for n, why in lost if n]
    kept = {settings[place] for place in places}
    if kept & {setting for place, setting in enumerate(settings) if place not in scored}:
        lines.append(" No setting kept all of its seeds, so that scores of fewer seeds may flatter.")
    return "".join(lines)


def reason_of(found: Sequence[Standing], chosen: Standing, words: str, lost: str = "") -> str:
    """Why one of the standings was chosen, in a sentence or two, and what `left_out` says."""
    said = with_error(chosen.value, chosen.se)
    best = max(found, key=lambda one: one.value)
    over = f", over {count(chosen.seeds, 'seed')}" if chosen.seeds > 1 else ""
    if len(found) == 1:
        text = f"{chosen.label} is the only setting{' left' if lost else ''}: {said} ({words}{over})."
    elif chosen is best:
        close = sum(one.within for one in found) - 1
        tie = f"; {count(close, 'other setting')} within a standard error {'is' if close == 1 else 'are'} no smaller"
        text = f"{chosen.label} has the best score, {said} ({words}{over}){tie if close else ''}."
    else:
        gap = with_error(chosen.behind, chosen.se_behind)
        near = f"{chosen.label} is the smallest within one standard error of the best, {best.label}"
        text = f"{near}: {gap} behind it, at {said} ({words}{over})."
    return text + lost


def _calibrated(model: Swept, which: Sequence[bool]) -> str:
    """That scores are of calibrated models, where some are."""
    number = sum(which)
    return f" {count(number, 'model')} judged calibrated; chosen is {model.label}." if number else ""
