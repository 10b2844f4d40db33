"""Every public function and class lists what it takes, and asks for its options by name."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest
from numpydoc.validate import validate

import elbowroom

WANTED = {
    "GL03": "no double blank lines",
    "GL06": "no section that numpydoc does not know",
    "GL07": "sections in numpydoc's order",
    "GL08": "a docstring",
    "SS01": "a summary",
    "SS03": "a summary that ends with a full stop",
    "SS06": "a summary of one line",
    "PR01": "every argument",
    "PR02": "no argument that is none",
    "PR03": "arguments in their order",
    "PR04": "a type for every argument",
    "PR07": "a meaning for every argument",
    "PR10": "a space before the colon",
    "RT01": "what is returned",
    "RT03": "a meaning for what is returned",
    "YD01": "what is yielded",
}
SUBJECTS = {
    "examples",
    "objective",
    "folder",
    "path",
    "preprocess",
    "beta",
    "points",
    "space",
    "noun",
    "name",
    "estimator",
    "digits",
    "n_components",
}
"""Arguments with a default that may stand without their name: what a call is about, not how it is done."""


def public() -> Iterator[tuple[str, Any]]:
    """(dotted name, object) of all that the rooms hand on."""
    names = [one.name for one in pkgutil.iter_modules(elbowroom.__path__) if one.name != "__main__"]
    rooms = ["elbowroom", *(f"elbowroom.{name}" for name in names)]
    seen = set()
    for room in rooms:
        module = importlib.import_module(room)
        for name in module.__all__:
            found = getattr(module, name)
            ours = str(getattr(found, "__module__", "")).startswith("elbowroom")
            if ours and (inspect.isclass(found) or inspect.isfunction(found)) and id(found) not in seen:
                seen.add(id(found))
                yield f"{found.__module__}.{found.__qualname__}", found


PUBLIC = dict(public())


def own_methods(cls: type) -> Iterator[str]:
    """Methods of two arguments or more that no base class has, whose documentation would do."""
    for name, method in vars(cls).items():
        method = getattr(method, "__wrapped__", method)
        inherited = any(hasattr(base, name) for base in cls.__mro__[1:])
        ours = not name.startswith("_") and inspect.isfunction(method) and not inherited
        if ours and len(inspect.signature(method).parameters) > 2:
            yield name


@pytest.mark.parametrize("name", PUBLIC)
def test_arguments_are_listed_in_numpy_style(name: str) -> None:
    found = PUBLIC[name]
    if inspect.isclass(found) and issubclass(found, Exception):
        return
    methods = own_methods(found) if inspect.isclass(found) else ()
    own = [] if getattr(found, "_is_protocol", False) else [name]  # a Protocol has no constructor to document
    names = [*own, *(f"{name}.{method}" for method in methods)]
    said = [f"{one}: {code} {text}" for one in names for code, text in validate(one)["errors"] if code in WANTED]
    assert not said, "\n".join(said)


@pytest.mark.parametrize("name", [name for name, found in PUBLIC.items() if inspect.isfunction(found)])
def test_functions_have_a_doctest(name: str) -> None:
    assert ">>> " in (inspect.getdoc(PUBLIC[name]) or "")


@pytest.mark.parametrize("name", PUBLIC)
def test_options_are_asked_for_by_name(name: str) -> None:
    found = PUBLIC[name]
    if inspect.isclass(found) and (
        name.startswith("elbowroom.distributions") or hasattr(found, "__dataclass_fields__")
    ):
        return  # as torch's own distributions; records
    try:
        parameters = inspect.signature(found).parameters.values()
    except ValueError:
        return
    free = [p.name for p in parameters if p.default is not p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    assert set(free) <= SUBJECTS
