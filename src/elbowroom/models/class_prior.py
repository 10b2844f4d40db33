"""The prior of a block of classes."""

from collections.abc import Mapping

from elbowroom import priors
from elbowroom.components import Component

from .recipe import Recipe

__all__ = ["class_prior"]


def class_prior(recipe: Recipe, blocks: Mapping[str, int]) -> dict[str, Component]:
    """p(y), fixed at equal probabilities or learned from these.

    Parameters
    ----------
    recipe : Recipe
        Which says of the two.
    blocks : mapping of str to int
        Name of the block of classes to their number; none where the recipe names no such block.

    Returns
    -------
    dict of Component
        By name.
    """
    uniform = recipe.block_of_classes and recipe.block_of_classes[1] == "uniform"
    return {
        name: priors.Categorical(many, probabilities=[1 / many] * many if uniform else None)
        for name, many in blocks.items()
    }
