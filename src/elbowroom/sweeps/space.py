"""What a search varies: lists of values and ranges, and the recipe that a point among them means."""

import copy
import inspect
import itertools
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from elbowroom import models, training
from elbowroom.data import Dataset
from elbowroom.models.words import SETTINGS, classes_of, split, takes, text
from elbowroom.numerics import CapabilityError, InputError, plain_arguments

from .axes import axis_values

__all__ = ["Range", "Settings", "Space"]

Settings = dict[str, Any]
"""A value on every axis."""

_DIGITS = 3  # of a number from a range: more would tell nothing, and nobody could read the label
_WIDEST = 20_000  # combinations that are counted one by one


@plain_arguments
@dataclass(frozen=True)
class Range:
    """All numbers between two ends, evenly in their logarithm; whole ones where both ends are whole.

    Numbers that are not whole are rounded to three digits.

    Parameters
    ----------
    low : float
        The least one, above 0.
    high : float
        The greatest one.

    Raises
    ------
    InputError
        Where the ends are not in order, or not above 0.

    Examples
    --------
    >>> Range(0.1, 5.0), Range(2, 64).whole
    (Range(low=0.1, high=5.0), True)
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high:
            raise InputError(f"A range goes from a number above 0 to a greater one; got {self.low} and {self.high}.")

    @property
    def whole(self) -> bool:
        """Whether its numbers are whole."""
        return isinstance(self.low, int) and isinstance(self.high, int)


class Space:
    """Axes of a search around a recipe.

    Parameters
    ----------
    recipe : Recipe
        What all points have in common, with its sizes in numbers.
    axes : mapping of str to list or Range
        Word → its values, as for `sweep`; beside them "depth" and "width", how many hidden layers of how many units.

    Raises
    ------
    InputError
        For an axis that means nothing.
    """

    def __init__(self, recipe: models.Recipe, axes: Mapping[str, Any]) -> None:
        if not axes:
            raise InputError("A search needs something to vary: name a word and its values, {'latents': [2, 4, 8]}.")
        self.recipe = recipe
        self.axes = {
            name: values if isinstance(values, Range) else tuple(axis_values(name, values, wanted="a Range or a list"))
            for name, values in axes.items()
        }
        if "widths" in axes and {"depth", "width"} & set(axes):
            raise InputError("'widths' says depth and width together: search over it, or over 'depth' and 'width'.")
        for name, least in (("depth", 0), ("width", 1)):
            for value in self._ends(name) if name in axes else ():
                if not isinstance(value, int) or isinstance(value, bool) or value < least:
                    raise InputError(f"{name} must be a whole number from {least}; got {value!r}.")

    def recipe_at(self, settings: Mapping[str, Any]) -> models.Recipe:
        """The recipe that a point means.

        Parameters
        ----------
        settings : mapping
            A value on every axis.

        Returns
        -------
        Recipe
            In the words of `models`, which knows widths and not their depth.
        """
        words, own = dict(settings), self.recipe.hidden
        depth, width = words.pop("depth", len(own)), words.pop("width", own[0] if own else 1)
        if {"depth", "width"} & set(settings):
            words["widths"] = [width] * depth
        return self.recipe.where(**words)

    def suggest(self, trial: Any) -> Settings:
        """The point of a trial of Optuna, which suggests one where none is fixed.

        Numbers of a list are suggested by their place, so that the sampler knows which lie beside one another.
        """
        found: Settings = {}
        for name, axis in self.axes.items():
            if isinstance(axis, Range):
                how = trial.suggest_int if axis.whole else trial.suggest_float
                found[name] = _rounded(how(name, axis.low, axis.high, log=True), axis)
            elif _ordered(axis):
                found[name] = axis[trial.suggest_int(name, 0, len(axis) - 1)]
            else:
                words = [text(value) for value in axis]
                found[name] = axis[words.index(trial.suggest_categorical(name, words))]
        return found

    def params(self, settings: Mapping[str, Any]) -> Settings:
        """A point as Optuna writes it down, such that `suggest` gives it back."""
        found: Settings = {}
        for name, axis in self.axes.items():
            words = [] if isinstance(axis, Range) else [text(value) for value in axis]
            place = words.index(text(settings[name])) if words else None
            found[name] = settings[name] if place is None else place if _ordered(axis) else words[place]
        return found

    def own(self) -> Settings | None:
        """The point that the recipe itself stands at; None where it lies outside."""
        found = {name: _own(self.recipe, name) for name in self.axes}
        return found if all(_holds(axis, found[name]) for name, axis in self.axes.items()) else None

    def every(self) -> list[Settings] | None:
        """All points, where they are a finite number that can be listed."""
        lists = [axis for axis in self.axes.values() if not isinstance(axis, Range)]
        if len(lists) < len(self.axes) or math.prod(map(len, lists)) > _WIDEST:
            return None
        return [dict(zip(self.axes, point, strict=True)) for point in itertools.product(*lists)]

    def to_dict(self) -> dict[str, Any]:
        """Plain values that tell one space from another."""
        return {
            name: {"low": axis.low, "high": axis.high} if isinstance(axis, Range) else list(axis)
            for name, axis in self.axes.items()
        }

    def check(self, data: Dataset) -> None:
        """Refuse a value that goes with nothing: before anything is trained.

        A value that does not go with the first ones of the other axes may go with others of them.

        Parameters
        ----------
        data : Dataset
            What is trained on.

        Raises
        ------
        InputError
            With what the recipe says of the value.
        """
        first = {name: self._ends(name)[0] for name in self.axes}
        self._check_training(first, data)
        for name in self.axes:
            for value in self._ends(name):
                self._check_one({**first, name: value}, name, data)
                if name in SETTINGS:
                    self._check_training({**first, name: value}, data)

    def _check_one(self, point: Settings, name: str, data: Dataset) -> None:
        wrong = self.misfit(point, data)
        if wrong is None:
            return
        others = ({**point, other: v} for other in self.axes if other != name for v in self._ends(other)[1:])
        if all(self.misfit(other, data) for other in others):
            raise InputError(wrong)

    def _check_training(self, point: Settings, data: Dataset) -> None:
        """Have `fit` look at its settings: it is stopped after an epoch of two examples."""
        if self.misfit(point, data) is not None:
            return
        recipe, few = self.recipe_at(point), copy.copy(data)
        few.train, few.validation = data.train[:2], data.validation[:2]
        with suppress(_Enough):
            vae = models.build(recipe, data)
            training.fit(vae, few, after_epoch=_enough, progress=False, seed=recipe.seed, **recipe.training)

    def misfit(self, point: Mapping[str, Any], data: Dataset) -> str | None:
        """What is wrong with a point, in a sentence; None where a model can be made there."""
        try:
            recipe = self.recipe_at(point)
            models.goal(recipe)
            models.build(recipe, data)
        except (InputError, CapabilityError) as error:
            return str(error)
        return None

    def _ends(self, name: str) -> list[Any]:
        axis = self.axes[name]
        return [axis.low, axis.high] if isinstance(axis, Range) else list(axis)


class _Enough(Exception):
    """All that was to be seen has been seen."""


def _enough(epoch: int) -> None:
    raise _Enough


def _ordered(axis: Any) -> bool:
    """Whether it is a list of numbers that rise, of which a sampler can learn more than of words."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in axis)
    return numbers and list(axis) == sorted(axis)


def _holds(axis: Any, value: Any) -> bool:
    if isinstance(axis, Range):
        return isinstance(value, int | float) and axis.low <= value <= axis.high
    return text(value) in map(text, axis)


def _own(recipe: models.Recipe, name: str) -> Any:
    """What a recipe says, or leaves as it is, on an axis."""
    kind, options = split("objective", recipe.objective)
    of_widths = {"depth": len(recipe.hidden), "width": recipe.hidden[0] if len(set(recipe.hidden)) == 1 else None}
    said: Iterator[Mapping[str, Any]] = iter((of_widths, vars(recipe), options, recipe.training))
    for words in said:
        if name in words:
            return words[name]
    defaults = {**takes(classes_of("objective")[kind]), **inspect.signature(training.fit).parameters}
    return defaults[name].default if name in defaults else None


def _rounded(value: float, axis: Range) -> float:
    if isinstance(value, int):
        return value
    return min(max(float(f"{value:.{_DIGITS}g}"), axis.low), axis.high)
