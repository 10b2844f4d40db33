"""The run-time type checker of the tests: beartype, for which a whole number is a float too (PEP 484).

A choice among words (a Literal) is left to the code itself, which refuses a wrong word in words: tests test that.
"""

import inspect
from dataclasses import is_dataclass
from functools import partial, wraps
from types import FunctionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import jaxtyping
from beartype import BeartypeConf, beartype
from jaxtyping._array_types import _MetaAbstractArray, _NamedDim
from jaxtyping._storage import _shape_storage, pop_shape_memo, push_shape_memo

_check = beartype(conf=BeartypeConf(is_pep484_tower=True, violation_type=TypeError))
_jaxtyped = jaxtyping.jaxtyped
_fits = _MetaAbstractArray.__instancecheck__
CHECKED = 3
"""Calls of each function that are checked within a test."""
_test = 0
_LETTERS: dict[tuple[Any, type, Any], tuple[str, ...] | None] = {}


def check(function: Any) -> Any:
    """Check the arguments and result of a function against its annotations."""
    hints = getattr(function, "__annotations__", {})
    function.__annotations__ = {name: object if _holds(hint, _is_words) else hint for name, hint in hints.items()}
    return _check(function)


def jaxtyped(function: Any = None, *, typechecker: Any) -> Any:
    """What the import hook puts around every function and data class: `jaxtyping.jaxtyped`, at under half its price.

    Jaxtyping binds the arguments once more at every call, for dimensions that are named by an argument, and checks them
    a second time together with the result. Here a function checks its arguments, and then its result, within one
    memory of the sizes that its letters stand for, and without that where no annotation has letters.
    """
    if function is None:
        return partial(jaxtyped, typechecker=typechecker)
    if isinstance(function, type):
        if is_dataclass(function) and not hasattr(function.__init__, "__wrapped__"):
            function.__init__ = jaxtyped(function.__init__, typechecker=typechecker)
        return function
    if not isinstance(function, FunctionType) or inspect.isgeneratorfunction(function):
        return _jaxtyped(function, typechecker=typechecker)
    hints = {name: _resolved(hint, function.__globals__) for name, hint in function.__annotations__.items()}
    if not hints:
        return function
    typed = typechecker(_with_hints(function, hints))
    remembers = any(_holds(hint, _has_shape) for hint in hints.values())
    return wraps(function)(_at_first(_in_one_memory(typed) if remembers else typed, function))


def begin() -> None:
    """A test begins: every function is checked again."""
    global _test
    _test += 1


def _at_first(typed: Any, plain: Any) -> Any:
    """The checked function for the first calls within each test, then the function: trainings call one for ever."""
    test, left = -1, 0

    def called(*arguments: Any, **options: Any) -> Any:
        nonlocal test, left
        if test != _test:
            test, left = _test, CHECKED
        if not left:
            return plain(*arguments, **options)
        left -= 1
        return typed(*arguments, **options)

    return called


def _in_one_memory(typed: Any) -> Any:
    def called(*arguments: Any, **options: Any) -> Any:
        push_shape_memo({})
        try:
            return typed(*arguments, **options)
        finally:
            pop_shape_memo()

    return called


def fits(hint: Any, value: Any) -> bool:
    """`isinstance(value, Float[Tensor, "n k"])`, at a third of its price.

    What depends on the type of the value and of its numbers alone is asked once. The sizes that different letters stand
    for are compared here, and whatever else an annotation says, or a value does not fit, is left to jaxtyping.
    """
    key = hint, type(value), getattr(value, "dtype", None)
    letters = _LETTERS.get(key)
    if letters is not None and len(shape := value.shape) == len(letters):
        stack = getattr(_shape_storage, "memo_stack", None)
        sizes = stack[-1][0] if stack else {}
        for letter, size in zip(letters, shape):  # noqa: B905 (this is called a million times)
            if sizes.get(letter, size) != size:
                return _fits(hint, value)
        sizes.update(zip(letters, shape))  # noqa: B905
        return True
    fit = _fits(hint, value)
    if fit and key not in _LETTERS:
        _LETTERS[key] = _different_letters(hint)
    return fit


def _different_letters(hint: Any) -> tuple[str, ...] | None:
    """The letters of the sizes, where there is nothing else, and none of them twice."""
    letters = tuple(one.name for one in hint.dims if one == _NamedDim(getattr(one, "name", ""), False, False))
    return letters if len(set(letters)) == len(hint.dims) else None


_MetaAbstractArray.__instancecheck__ = fits


def _with_hints(function: Any, hints: dict[str, Any]) -> Any:
    """A copy, whose annotations may be changed."""
    about = (function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__)
    copy = wraps(function)(FunctionType(*about))
    del copy.__wrapped__
    copy.__annotations__, copy.__kwdefaults__ = dict(hints), function.__kwdefaults__
    return copy


def _resolved(hint: Any, names: dict[str, Any]) -> Any:
    """An annotation in which names that were written as words are looked up; anything where there is none yet."""
    try:
        return get_type_hints(type("", (), {"__annotations__": {"hint": hint}}), names, include_extras=True)["hint"]
    except Exception:
        return Any


def _holds(hint: Any, what: Any) -> bool:
    parts = hint if isinstance(hint, list) else get_args(hint)
    return what(hint) or (get_origin(hint) is not Literal and any(_holds(one, what) for one in parts))


def _is_words(hint: Any) -> bool:
    return get_origin(hint) is Literal


def _has_shape(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray)
