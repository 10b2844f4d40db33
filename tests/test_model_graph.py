"""The graph of a model as its recipe tells it, against graphs written by hand."""

import subprocess
import sys

import pytest

from elbowroom.numerics import InputError
from elbowroom.records import graph

CONDITIONAL = {
    "prior": {"z2": {"kind": "standard-normal"}, "z1": {"kind": "normal", "given": ["z2", "label"]}},
    "posterior": {"z1": {"given": ["x", "label"]}, "z2": {"given": "z1"}},
    "likelihood": {"kind": "normal", "given": ["z1", "label"]},
}


def test_a_conditional_hierarchy() -> None:
    model = graph(CONDITIONAL)
    assert model.blocks == ("z2", "z1")
    assert model.context == ("label",)
    assert model.generative == (("z2", "z1"), ("label", "z1"), ("z1", "x"), ("label", "x"))
    assert model.inference == (("x", "z1"), ("label", "z1"), ("z1", "z2"))
    assert [model.depth(name) for name in ("x", "z1", "z2", "label")] == [0, 1, 2, 2]


def test_one_component_is_the_block_z() -> None:
    model = graph({"prior": {"kind": "p"}, "posterior": {"kind": "q"}, "likelihood": {"kind": "p"}})
    assert model.generative == (("z", "x"),)
    assert model.inference == (("x", "z"),)


def test_a_size_factor_is_a_parent_of_x_that_no_network_reads() -> None:
    likelihood = {"kind": "negative-binomial", "given": ["z", "batch"], "size_factor": "size"}
    model = graph({"prior": {"kind": "p"}, "posterior": {"kind": "q"}, "likelihood": likelihood})
    assert model.generative == (("z", "x"), ("batch", "x"), ("size", "x"))
    assert model.context == ("batch", "size")


def test_circles_and_missing_parts_are_refused() -> None:
    circle = {"z1": {"given": ["z2"]}, "z2": {"given": ["z1"]}}
    with pytest.raises(InputError, match=r"\['z1', 'z2'\] of the recipe depend on each other in a circle"):
        graph({"prior": circle, "posterior": {}, "likelihood": {"given": ["z1"]}})
    with pytest.raises(InputError, match="no likelihood"):
        graph({"prior": {}, "posterior": {}})


def test_reading_a_graph_loads_neither_torch_nor_matplotlib() -> None:
    code = """
import sys
from elbowroom.records import graph
graph({"prior": {"kind": "p"}, "posterior": {"kind": "q"}, "likelihood": {"kind": "p"}})
assert not {"torch", "matplotlib"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={"PATH": "", "PYTHONPATH": ":".join(sys.path)})
