"""The run-time type checker of the tests: beartype, for which a whole number is a float too (PEP 484).

A choice among words (a Literal) is left to the code itself, which refuses a wrong word in words: tests test that.
"""

from typing import Any, Literal, get_args, get_origin

from beartype import BeartypeConf, beartype

_check = beartype(conf=BeartypeConf(is_pep484_tower=True))


def check(function: Any) -> Any:
    """Check the arguments and result of a function against its annotations at every call."""
    hints = getattr(function, "__annotations__", {})
    function.__annotations__ = {name: object if _has_words(hint) else hint for name, hint in hints.items()}
    return _check(function)


def _has_words(hint: Any) -> bool:
    return get_origin(hint) is Literal or any(map(_has_words, get_args(hint)))
