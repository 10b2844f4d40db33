"""What a study spends on models of cells, whose passes are dear: it follows from their multiplications."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from elbowroom.data import Dataset
from elbowroom.models import Recipe, build
from elbowroom.numerics import count, rounded
from elbowroom.training.placement import multiplications
from elbowroom.vae import VAE

from .count_checks import many_counts

__all__ = ["ANNEALING", "CHOICE_DRAWS", "DRAWS", "EXAMPLES", "Annealing", "Trained", "measuring", "trained"]

CHOICE_DRAWS, DRAWS, EXAMPLES = 100, 1_000, 50
"""Draws of z per validation example, by which a model is chosen, and per test example; examples that are annealed."""

ANNEALING: dict[str, int] = {"temperatures": 100, "chains": 12, "leapfrog": 5}
"""Of a model whose passes are cheap."""

_PER_COUNT = 150  # multiplications, what log p of one count costs beside the networks, in 64 bits
_BACKWARD = 3  # passes, what one with gradients costs
_TRAINING, _CHOICE, _WEIGHING, _ANNEALING = 1.2e12, 1e11, 2e11, 3e11  # multiplications in all of each, of cells
_LEAST_STEPS, _MOST_STEPS, _MOST_EPOCHS = 300, 4_000, 40
_FEW_EPOCHS, _ENOUGH_STEPS = 15, 900  # below which fewer models are trained, for longer
_BATCH = 100
_LEAST_DRAWS = 20
_LEAST_ANNEALING = {"temperatures": 40, "chains": 6, "leapfrog": 3}
_LEAST_EXAMPLES = 12


class Trained(NamedTuple):
    """What a study of cells trains.

    Attributes
    ----------
    axes : mapping of str to list
        Shorter, where a pass is so dear that few models can be trained.
    epochs : int
        Of every model.
    draws : int
        Of z per validation example, by which a model is chosen.
    """

    axes: dict[str, list[Any]]
    epochs: int
    draws: int


class Annealing(NamedTuple):
    """How much is measured of the chosen model.

    Attributes
    ----------
    draws : int
        Of IWAE, per test example.
    annealed : int
        Test examples of AIS.
    settings : dict of str to int
        Temperatures, chains and leapfrog steps.
    said : tuple of str
        What is less than of a small model, or left out, and why, in sentences.
    """

    draws: int
    annealed: int
    settings: dict[str, int]
    said: tuple[str, ...]


def trained(recipe: Recipe | VAE, axes: Mapping[str, Any], data: Dataset, own_axes: bool) -> Trained | None:
    """How many models of cells are trained and for how long; None for data that are no cells.

    Parameters
    ----------
    recipe : Recipe or VAE
        What the models have in common.
    axes : mapping of str to sequence
        What is swept over.
    data : Dataset
        Of the study.
    own_axes : bool
        Whether the axes are nobody's words, so that they may be shortened.

    Returns
    -------
    Trained or None
        The same on every machine.
    """
    if not many_counts(data.support, data.event):
        return None
    axes = {name: list(values) for name, values in axes.items()}
    per_epoch = math.ceil(len(data.train) / _BATCH)
    wanted = min(max(_FEW_EPOCHS * per_epoch, _LEAST_STEPS), _ENOUGH_STEPS)
    while True:
        models = math.prod(map(len, axes.values()))
        one = cost_of(_first(recipe, axes, data), data)
        steps = _TRAINING / (models * one * _BACKWARD * _BATCH)
        if steps >= wanted or models == 1 or not own_axes:
            break
        longest = max(axes, key=lambda name: len(axes[name]))
        axes[longest] = _shorter(longest, axes[longest])
    epochs = math.ceil(min(max(steps, _LEAST_STEPS), _MOST_STEPS) / per_epoch)
    draws = _CHOICE / (models * one * max(len(data.validation), 1))
    return Trained(axes, min(epochs, _MOST_EPOCHS), _round_draws(draws, CHOICE_DRAWS))


def _first(recipe: Recipe | VAE, axes: Mapping[str, list[Any]], data: Dataset) -> VAE:
    """The model at the first value of every axis, none of which is cheaper."""
    if isinstance(recipe, VAE):
        return recipe
    return build(recipe.where(**{name: values[0] for name, values in axes.items()}), data)


def _shorter(name: str, values: list[Any]) -> list[Any]:
    """Without the value that is given up first: the most latents, noise that is predicted."""
    return values[1:] if name == "likelihood" else values[:-1]


def measuring(vae: VAE, data: Dataset, draws: int | None, annealed: int | None) -> Annealing:
    """How much is measured of a model: what was asked for, and what it can afford where nothing was.

    Parameters
    ----------
    vae : VAE
        The chosen model.
    data : Dataset
        Of the study.
    draws : int, optional
        As asked for.
    annealed : int, optional
        As asked for.

    Returns
    -------
    Annealing
        1,000 draws and 50 examples of small models and of data that are no cells.
    """
    if not many_counts(data.support, data.event):
        return Annealing(draws or DRAWS, EXAMPLES if annealed is None else annealed, ANNEALING, ())
    one, said = cost_of(vae, data), []
    dear = f"for a page within minutes: a pass of one cell takes {rounded(one / 1e6, 1)} million multiplications"
    if draws is None:
        draws = _round_draws(_WEIGHING / (one * max(len(data.test), 1)), DRAWS)
        if draws < DRAWS:
            said.append(f"IWAE has {draws} draws of {DRAWS:,}, {dear} (draws={DRAWS} asks for all).")
    if annealed is not None:
        return Annealing(draws, annealed, ANNEALING, tuple(said))
    most = min(EXAMPLES, len(data.test))
    full = most * math.prod(ANNEALING.values()) * _BACKWARD * one
    by = max(full / _ANNEALING, 1.0) ** 0.25
    settings = {name: max(round(number / by), _LEAST_ANNEALING[name]) for name, number in ANNEALING.items()}
    each = math.prod(settings.values()) * _BACKWARD * one
    annealed = min(most, int(_ANNEALING / each))
    if annealed < min(most, _LEAST_EXAMPLES):
        annealed = 0
        said.append(
            f"AIS was not run, {dear} (annealed={EXAMPLES} runs it): the importance-weighted bound is all that is "
            "known of log p(x), and may lie well below it."
        )
    elif by > 1:
        said.append(
            f"AIS has {count(annealed, 'cell')} of {most}, {settings['temperatures']} temperatures of "
            f"{ANNEALING['temperatures']} and {count(settings['chains'], 'chain')} of {ANNEALING['chains']}, {dear} "
            f"(annealed={EXAMPLES} asks for all)."
        )
    return Annealing(draws, annealed, settings, tuple(said))


def cost_of(vae: VAE, data: Dataset) -> float:
    """Multiplications of a pass of one cell, those of the densities of its counts among them."""
    return multiplications(vae, data, 1) + _PER_COUNT * math.prod(data.event)


def _round_draws(draws: float, most: int) -> int:
    """The greatest of a ladder: 20, 50, 100, 200, 500, 1,000."""
    ladder = [step * 10**power for power in (1, 2, 3) for step in (1, 2, 5)]
    return max([one for one in ladder if one <= min(draws, most)] + [min(_LEAST_DRAWS, most)])
