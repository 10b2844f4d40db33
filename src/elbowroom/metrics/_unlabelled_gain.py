"""Whether rows without a label help a classifier: the same model with and without them, on labelled validation rows."""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.data import Dataset
from elbowroom.models import Recipe, build, goal
from elbowroom.numerics import InputError, count, plain_arguments
from elbowroom.training import fit
from elbowroom.vae import VAE

from .score import Score, mean_score

__all__ = ["UnlabelledGain", "unlabelled_gain"]

_FEWEST, _STEPS, _EPOCHS = 10, 3_000, 500


@dataclass(frozen=True)
class UnlabelledGain:
    """Accuracies on labelled validation rows with and without the training rows that have no label.

    Parameters
    ----------
    with_them : Score
        Of the model that was trained on all rows.
    without : Score
        Of one with the same recipe that was trained on the labelled rows alone.
    gain : Score
        The first minus the second, paired by row.
    """

    with_them: Score
    without: Score
    gain: Score

    @property
    def remark(self) -> str:
        """The comparison in a sentence, with the way out where unlabelled rows do harm."""
        change, error = abs(100 * self.gain.value), 100 * self.gain.se
        ends = f"from {100 * self.without.value:.1f} to {100 * self.with_them.value:.1f} %"
        on = f"on {count(self.gain.n, 'labelled validation row')}"
        if not self.gain.value and not self.gain.se:
            return f"With and without unlabelled rows the same decisions are right, {on}."
        if not abs(self.gain.value) > 2 * self.gain.se:  # of one row there is no error
            return (
                f"Unlabelled rows change the accuracy by {100 * self.gain.value:+.1f} ± {error:.1f} points {on}, "
                f"which is within its error."
            )
        if self.gain.value > 0:
            return f"Unlabelled rows raise the accuracy by {change:.1f} ± {error:.1f} points, {ends}, {on}."
        return (
            f"Unlabelled rows lower the accuracy by {change:.1f} ± {error:.1f} points, {ends}, {on}: the model of x "
            f"groups rows otherwise than the labels do; leave these rows out, or take another likelihood or latents."
        )


@plain_arguments
def unlabelled_gain(
    vae: VAE, recipe: Recipe | Mapping[str, Any], data: Dataset, *, seed: int = 0, progress: bool = False
) -> UnlabelledGain:
    """Train a model's recipe again on the labelled rows alone, and compare accuracies on labelled validation rows.

    Parameters
    ----------
    vae : VAE
        The model, trained on all rows of `data`.
    recipe : Recipe or mapping
        What it was built and trained by; its settings of training are used again, with as many steps, at
        most 3,000 and 500 epochs.
    data : Dataset
        As it was trained on. Test rows are not read.
    seed : int, default 0
        Of the training.
    progress : bool, default False
        Whether standard error shows how far it is.

    Returns
    -------
    UnlabelledGain
        Both accuracies and their difference; its `remark` says it in words.

    Raises
    ------
    InputError
        For a recipe without classes, fewer than ten labelled validation rows, or no row without a label.

    Examples
    --------
    >>> import elbowroom as er
    >>> y = np.arange(90) % 2
    >>> x = np.random.default_rng(0).normal(size=(90, 2)) + 4 * y[:, None]
    >>> data = er.load_data(x, labels=np.where(np.arange(90) % 3, y, -1), observed="label", validation=30)
    >>> recipe = er.models.Recipe(latents=1, widths=[8], classes="label", training={"epochs": 2})
    >>> vae = er.models.build(recipe, data)
    >>> _ = er.fit(vae, data, epochs=2, progress=False)
    >>> unlabelled_gain(vae, recipe, data).gain.n
    19
    """
    recipe = recipe if isinstance(recipe, Recipe) else Recipe().where(**recipe)
    if recipe.block_of_classes is None:
        raise InputError(
            "The recipe names no block of classes, so that there is nothing to predict: say classes='label'."
        )
    name = recipe.block_of_classes[0]
    known, held = data.train.observed[name][1], data.validation.observed[name][1]
    if int(held.sum()) < _FEWEST:
        raise InputError(
            f"Of the validation rows {int(held.sum())} have a label, too few to compare accuracies on ({_FEWEST} or "
            f"more): label more, or load with a larger validation=."
        )
    if bool(known.all()):
        raise InputError(
            "Every training row has a label, so that there are no others to leave out: nothing to compare."
        )
    fewer = copy.copy(data)
    fewer.train, fewer.validation = data.train[known], data.validation[held]
    other = build(recipe, fewer)
    settings = dict(recipe.training)
    epochs, size = settings.pop("epochs", 100), settings.get("batch_size", 100)
    steps = min(epochs * math.ceil(len(data.train) / size), _STEPS)
    again = min(max(steps // math.ceil(len(fewer.train) / size), 1), _EPOCHS)
    fit(other, fewer, goal(recipe), epochs=again, seed=seed, progress=progress, **settings)
    right = [_right(one, data, name) for one in (vae, other)]
    return UnlabelledGain(*map(mean_score, (*right, right[0] - right[1])))


def _right(vae: VAE, data: Dataset, name: str) -> NDArray[np.float64]:
    """1 for every labelled validation row whose class is the most probable one."""
    value, known = data.validation.observed[name]
    guessed = vae.encode(data.validation)[name].argmax(1)
    return np.asarray((guessed == value.argmax(1))[known].double().numpy())
