"""Operations that were written down, without those that change nothing, or find again what has been found."""

from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Interpreter, Node

__all__ = ["shorten"]

_ATEN = torch.ops.aten
_SAME_VALUES = {_ATEN.view.default, _ATEN._unsafe_view.default, _ATEN.expand.default, _ATEN.detach.default}
"""What gives the values that it takes, where the shape stays."""
_TIMES = {_ATEN.mul.Tensor, _ATEN.mul.Scalar}
_OF_SHAPE = {_ATEN.ones_like.default, _ATEN.zeros_like.default}
"""What reads of a tensor nothing but what it is like."""
_LARGEST = 2**20  # numbers of a tensor that is kept and not made anew


def shorten(graph: GraphModule, tensors: list[Tensor]) -> None:
    """Take out, in place, operations without which a graph gives the same bits.

    What depends on no argument is found once; what changes neither shape nor values is left out; what is asked for
    twice is found once. What the graph returns stays its own, so that nothing is returned twice or is an argument.

    Parameters
    ----------
    graph : GraphModule
        As `make_fx` writes it, of operations that draw no random numbers. One that writes into a tensor is left as it
        is.
    tensors : list of Tensor
        Arguments, by which the constants are found.
    """
    nodes = [node for node in graph.graph.nodes if node.op == "call_function"]
    if any(_writes(node) for node in nodes):
        return
    run = _Constants(graph)
    run.run(*tensors)
    returned = set(graph.graph.output_node().all_input_nodes)
    own = set(returned)  # what is returned, and what it may be a view of, are made anew by every call
    for node in reversed(nodes):
        own |= {*node.all_input_nodes} if node in own and node in run.known else set()
    for place, (node, value) in enumerate(run.found.items()):
        if node not in own:
            _hold(graph, node, f"constant_{place}", value)
    for node in (node for node in nodes if node not in returned):
        times_one = node.target in _TIMES and node.args[1] == 1
        if (times_one or node.target in _SAME_VALUES) and node.meta["like"] == node.args[0].meta["like"]:
            node.replace_all_uses_with(node.args[0])
    _find_once(nodes, returned)
    graph.graph.eliminate_dead_code()
    graph.recompile()


class _Constants(Interpreter):
    """Runs a graph, and holds what depends on no argument; nodes learn shapes and types."""

    def __init__(self, graph: GraphModule) -> None:
        super().__init__(graph)
        self.known: set[Node] = set()
        self.found: dict[Node, Tensor] = {}

    def run_node(self, n: Node) -> Any:
        """The value of a node."""
        value = super().run_node(n)
        if isinstance(value, Tensor):
            n.meta["like"] = value.shape, value.dtype
            if n.op == "call_function" and (n.target in _OF_SHAPE or self.known.issuperset(n.all_input_nodes)):
                self.known.add(n)
                if value.numel() <= _LARGEST:
                    self.found[n] = value
        return value


def _writes(node: Node) -> bool:
    return bool(getattr(getattr(node.target, "_schema", None), "is_mutable", False))


def _hold(graph: GraphModule, node: Node, name: str, value: Tensor) -> None:
    """Read a tensor that is kept in place of a node."""
    graph.register_buffer(name, value, persistent=False)
    with graph.graph.inserting_before(node):
        kept = graph.graph.get_attr(name)
    kept.meta = node.meta
    node.replace_all_uses_with(kept)


def _find_once(nodes: list[Node], returned: set[Node]) -> None:
    """Let what was found before stand for what would be found again."""
    first: dict[str, Node] = {}
    for node in nodes:
        if node.users:
            found = first.setdefault(f"{node.target} {node.args} {node.kwargs}", node)
            if found is not node and node not in returned:
                node.replace_all_uses_with(found)
