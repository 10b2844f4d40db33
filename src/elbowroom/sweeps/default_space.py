"""What is searched over where nobody says it."""

import math
from collections.abc import Collection, Mapping
from typing import Any

from elbowroom import models
from elbowroom.data import Dataset
from elbowroom.likelihoods._auto import has_scale

from .space import Range, Space

__all__ = ["default_space"]

_LATENTS = (2, 4, 8, 16, 32)
_AXES: Mapping[str, Any] = {
    "depth": (1, 2, 3),
    "width": (64, 128, 256, 512),
    "prior": ("standard-normal", "mixture-prior", "vamp-prior"),
    "beta": Range(0.2, 2.0),
}
_DECODERS: Mapping[str, tuple[str, ...]] = {
    "real": ("auto", "laplace", "student-t"),
    "unit": ("auto", "beta", "logit-normal"),
    "counts": ("auto", "poisson", "zero-inflated-negative-binomial"),
}
"""Support of what the network sees → the likelihoods that are tried for it, beside "auto" with noise of one scale for
each column where it has a scale; "auto" alone elsewhere."""


def default_space(recipe: models.Recipe, data: Dataset, said: Collection[str] = ()) -> Space:
    """Latents, depth, width, prior, likelihood and β, as far as they suit the data and the recipe.

    Parameters
    ----------
    recipe : Recipe
        What all trials have in common, with its sizes in numbers.
    data : Dataset
        What is trained on: no more latents are tried than x has dimensions, and no likelihood that cannot be of it.
    said : collection of str, default ()
        Words that were asked for and stay as they are.

    Returns
    -------
    Space
        Around the recipe.
    """
    support = data.preprocess.support(data.support)
    decoders: tuple[Any, ...] = _DECODERS.get(support.kind, ("auto",))
    if has_scale(support):
        decoders += ({"kind": "auto", "scale": "feature"},)
    sizes = [size for size in _LATENTS if size <= math.prod(data.event)] or [1]
    axes = {"latents": sizes, **_AXES, "likelihood": decoders}
    fixed = {*said, *(("depth", "width") if "widths" in said else ())}
    if "objective" in said or not recipe.trains_by("beta"):
        fixed.add("beta")
    suited = {name: _suited(recipe, data, name, values) for name, values in axes.items() if name not in fixed}
    return Space(recipe, {name: values for name, values in suited.items() if _many(values)})


def _suited(recipe: models.Recipe, data: Dataset, name: str, values: Any) -> Any:
    """The values with which a model of the data can be made."""
    if isinstance(values, Range):
        return values
    alone = Space(recipe, {name: values})
    return [value for value in values if alone.misfit({name: value}, data) is None]


def _many(values: Any) -> bool:
    return isinstance(values, Range) or len(values) > 1
