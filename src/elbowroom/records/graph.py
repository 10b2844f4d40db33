"""The graph of a model, read from its recipe: which block is drawn given which."""

from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from elbowroom.numerics import InputError

__all__ = ["Graph", "graph"]


@dataclass(frozen=True)
class Graph:
    """Nodes and edges of a model.

    Parameters
    ----------
    blocks : tuple of str
        Latent blocks, in the order of the prior.
    context : tuple of str
        What is given beside x.
    generative, inference : tuple of (str, str)
        Edges (from, to) of prior and likelihood, and those of the posterior.
    """

    blocks: tuple[str, ...]
    context: tuple[str, ...]
    generative: tuple[tuple[str, str], ...]
    inference: tuple[tuple[str, str], ...]

    def depth(self, name: str) -> int:
        """Longest generative path from `name` to "x"; 0 for "x" itself."""
        below = [child for parent, child in self.generative if parent == name]
        return 0 if name == "x" else 1 + max((self.depth(child) for child in below), default=0)


def graph(recipe: Mapping[str, Any]) -> Graph:
    """The graph of a recipe whose components say in `given` what they read.

    One component in the place of a dictionary of blocks is the block "z".

    Parameters
    ----------
    recipe : mapping
        {"prior", "posterior", "likelihood"}, as recipe.yaml of a run holds them under "model".

    Returns
    -------
    Graph
        Its blocks, what is given beside x, and the edges between them.

    Raises
    ------
    InputError
        Where a part is missing or blocks depend on each other in a circle.

    Examples
    --------
    >>> normal = {"kind": "normal", "given": ["z2"]}
    >>> graph({"prior": {"z2": {"kind": "standard"}, "z1": normal}, "posterior": {}, "likelihood": {"given": ["z1"]}})
    Graph(blocks=('z2', 'z1'), context=(), generative=(('z2', 'z1'), ('z1', 'x')), inference=())
    """
    for part in ("prior", "posterior", "likelihood"):
        if not isinstance(recipe.get(part), Mapping):
            raise InputError(f"The recipe has no {part}, so no diagram can be drawn; give the recipe of a whole model.")
    single = {part: {"z": recipe[part]} if "kind" in recipe[part] else recipe[part] for part in ("prior", "posterior")}
    prior, posterior = single["prior"], single["posterior"]
    blocks = tuple(dict.fromkeys((*prior, *posterior)))
    parents = {name: _given(block, ()) for name, block in prior.items()}
    size = recipe["likelihood"].get("size_factor")  # multiplies the means, and no network reads it
    parents["x"] = tuple(dict.fromkeys([*_given(recipe["likelihood"], ("z",)), *([] if size is None else [size])]))
    try:
        TopologicalSorter(parents).prepare()
    except CycleError as error:
        circle = sorted(set(error.args[1]))
        raise InputError(f"The blocks {circle} of the recipe depend on each other in a circle.") from error
    generative = tuple((parent, name) for name, given in parents.items() for parent in given)
    inference = tuple((parent, name) for name, block in posterior.items() for parent in _given(block, ("x",)))
    read = dict.fromkeys(parent for parent, _ in (*generative, *inference))
    return Graph(blocks, tuple(name for name in read if name not in (*blocks, "x")), generative, inference)


def _given(component: Any, default: tuple[str, ...]) -> tuple[str, ...]:
    given = component.get("given", default) if isinstance(component, Mapping) else default
    return (given,) if isinstance(given, str) else tuple(given or ())
