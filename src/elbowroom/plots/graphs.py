"""A model as a graph, read off its recipe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elbowroom.numerics import InputError

__all__ = ["Graph", "graph"]


@dataclass(frozen=True)
class Graph:
    """Nodes and edges of a model: latent blocks, context names, and (from, to) pairs of both kinds.

    `generative`: edges of prior and likelihood; `inference`: edges of the posterior; `blocks` are in the order of
    the prior.
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
    prior, posterior = _blocks(recipe["prior"]), _blocks(recipe["posterior"])
    blocks = (*prior, *(name for name in posterior if name not in prior))
    generative = [(parent, block) for block in prior for parent in _given(prior[block], ())]
    generative += [(parent, "x") for parent in _given(recipe["likelihood"], ("z",))]
    inference = [(parent, block) for block in posterior for parent in _given(posterior[block], ("x",))]
    known = {*blocks, "x"}
    context = tuple(dict.fromkeys(parent for parent, _ in (*generative, *inference) if parent not in known))
    _refuse_circle(generative)
    return Graph(blocks, context, tuple(generative), tuple(inference))


def _blocks(part: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"z": part} if "kind" in part else part


def _given(component: Any, default: tuple[str, ...]) -> tuple[str, ...]:
    given = component.get("given", default) if isinstance(component, Mapping) else default
    return (given,) if isinstance(given, str) else tuple(given or ())


def _refuse_circle(edges: Sequence[tuple[str, str]]) -> None:
    left = set(edges)
    while left:
        sinks = {child for _, child in left} - {parent for parent, _ in left}
        if not sinks:
            raise InputError(
                f"The blocks {sorted({p for p, _ in left})} of the recipe depend on each other in a circle."
            )
        left = {(parent, child) for parent, child in left if child not in sinks}
