"""Numbers from whatever library, made Python's at the doors; what is no number is refused there, in a sentence."""

import functools
import inspect
import math
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import numpy as np

from .errors import InputError

__all__ = ["LARGEST_SEED", "plain", "plain_arguments"]

LARGEST_SEED = 2**63 - 1
"""What torch's and NumPy's generators both take."""

F = TypeVar("F", bound=Callable[..., Any])


def plain(value: Any) -> Any:
    """The value as JSON and YAML know it: numbers of NumPy and torch as Python's, lists in place of tuples and arrays.

    Parameters
    ----------
    value : Any
        A number, an array or tensor of at most one dimension, or mappings and sequences of them; anything else is
        handed back as it is.

    Returns
    -------
    Any
        Python's own.

    Examples
    --------
    >>> plain({"latents": np.arange(1, 3), "beta": np.float32(0.5)})
    {'latents': [1, 2], 'beta': 0.5}
    """
    if isinstance(value, np.ndarray | np.generic) or _is_tensor(value):
        return value.tolist() if value.ndim < 2 else value
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(item) for item in value]
    return value


def plain_arguments(door: F) -> F:
    """Decorator of a public function or class: what its annotations call numbers arrives as Python's own.

    Numbers of NumPy and torch, alone or in arrays, become int, float and bool, and whole floats whole numbers where
    these are wanted. An argument called `seed` is a whole number from 0 to 2⁶³ − 1.

    Parameters
    ----------
    door : callable
        A function, or a class, whose constructor is meant.

    Returns
    -------
    callable
        The same. Called with a bool, NaN, infinity or words in the place of a number it raises InputError.

    Examples
    --------
    >>> @plain_arguments
    ... def halve(number: int) -> float:
    ...     return number / 2
    >>> halve(np.int64(3)), halve(4.0)
    (1.5, 2.0)
    >>> halve(True)
    Traceback (most recent call last):
    ...
    elbowroom.numerics.errors.InputError: number must be a whole number; got True.
    """
    if inspect.isclass(door):
        setattr(door, "__init__", _wrapped(door.__init__))  # noqa: B010 (mypy knows no assignment to a method)
        return cast(F, door)
    return cast(F, _wrapped(door))


def _wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    plan: list[tuple[int, str, _Wanted]] = []
    ready = False

    @functools.wraps(function)
    def with_plain(*args: Any, **kwargs: Any) -> Any:
        nonlocal ready
        if not ready:  # at the first call, when every name of the annotations is there
            plan.extend(_plan(function))
            ready = True
        given = list(args)
        for position, name, wanted in plan:
            if position < len(given):
                given[position] = wanted.of(name, given[position])
            elif name in kwargs:
                kwargs[name] = wanted.of(name, kwargs[name])
        return function(*given, **kwargs)

    return with_plain


def _plan(function: Callable[..., Any]) -> list[tuple[int, str, "_Wanted"]]:
    """Position, name and what is wanted of every argument that is a number, or numbers."""
    inner = inspect.unwrap(function)
    hints, found = _hints(inner), []
    for position, one in enumerate(inspect.signature(inner).parameters.values()):
        if one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD) or one.name not in hints:
            continue
        named = one.kind is one.KEYWORD_ONLY
        wanted = _Wanted.by(hints[one.name], one.name == "seed", one.default is None)
        if wanted is not None:
            found.append((1_000 if named else position, one.name, wanted))
    return found


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function)
    except NameError:  # a name that is imported for the type checker alone
        return {name: hint for name, hint in function.__annotations__.items() if not isinstance(hint, str)}


@dataclass(frozen=True)
class _Wanted:
    """What an annotation asks for."""

    whole: bool = False
    real: bool = False
    truth: bool = False
    words: tuple[str, ...] = ()
    any_word: bool = False
    nothing: bool = False
    other: bool = False
    seed: bool = False
    items: "_Wanted | None" = None
    pair: bool = False  # a tuple, whatever comes
    tensor: bool = False

    @classmethod
    def by(cls, hint: Any, seed: bool = False, nothing: bool = False) -> "_Wanted | None":
        """What the annotation asks for; None where it speaks of no numbers and no sequence of names."""
        one = _flat(hint)
        origins = [get_origin(part) or part for part in one]
        sequence = next((part for part in one if _is_sequence(get_origin(part))), None)
        items = None if sequence is None else cls._items(sequence)
        known = [int, float, bool, str, Literal, types.NoneType, *([get_origin(sequence)] if items else [])]
        wanted = cls(
            whole=int in origins,
            real=float in origins,
            truth=bool in origins,
            words=tuple(repr(word) for part in one if get_origin(part) is Literal for word in get_args(part)),
            any_word=str in origins,
            nothing=nothing or types.NoneType in origins,
            other=any(origin not in known for origin in origins),
            seed=seed,
            items=items,
            pair=get_origin(sequence) is tuple,
            tensor=any(getattr(part, "__name__", "") == "Tensor" for part in origins),
        )
        return wanted if wanted.whole or wanted.real or wanted.truth or items else None

    @classmethod
    def _items(cls, sequence: Any) -> "_Wanted | None":
        """What each entry of a sequence is to be, where all are to be alike and are numbers or words."""
        kinds = {one for one in get_args(sequence) if one is not Ellipsis}
        if len(kinds) != 1 or _is_sequence(get_origin(hint := kinds.pop())):
            return None
        return cls(any_word=True) if hint is str else cls.by(hint)

    def of(self, name: str, value: Any) -> Any:
        """The value as what is wanted; InputError where it is something else."""
        if type(value) in (int, float, str, types.NoneType) or isinstance(value, bool | str):
            return self._one(name, value)
        if isinstance(value, np.generic) or _is_one(value, self.tensor):
            return self._one(name, value.item())
        if self.items is not None and _is_several(value):
            several = value.tolist() if hasattr(value, "tolist") else list(value)
            made = [self.items.of(f"an entry of {name}", item) for item in several]
            return tuple(made) if self.pair or isinstance(value, tuple) else made
        return value if self.other else self._refused(name, value)

    def _one(self, name: str, value: Any) -> Any:
        if value is None:
            return None if self.nothing or self.other else self._refused(name, value)
        if isinstance(value, str):
            return self._word(name, value)
        if isinstance(value, bool):
            return value if self.truth or (self.other and not self._number) else self._refused(name, value)
        if self.truth and not self._number and value in (0, 1):
            return bool(value)
        if self.whole and (isinstance(value, int) or (not self.real and _is_whole(value))):
            return self._checked_seed(int(value)) if self.seed else int(value)
        if self.real and isinstance(value, int | float) and _is_finite(value):
            return value
        return value if self.other and not self._number else self._refused(name, value)

    def _word(self, name: str, value: str) -> Any:
        if self.words or self.any_word or self.other:
            return value
        names = self.items is not None and self.items.any_word and not self.items._number
        return value if names else self._refused(name, value)

    @property
    def _number(self) -> bool:
        return self.whole or self.real

    def _checked_seed(self, value: int) -> int:
        if value < 0:
            raise InputError(f"A seed is a whole number from 0; got {value}.")
        if value > LARGEST_SEED:
            raise InputError(f"A seed is a whole number below 2^63; got {value}.")
        return value

    def _refused(self, name: str, value: Any) -> Any:
        raise InputError(f"{name} must be {self}; got {_shown(value)}.")

    def __str__(self) -> str:
        said = ["a finite number"] if self.real else ["a whole number"] if self.whole else []
        said += ["True or False"] if self.truth else []
        said += ["a word"] if self.any_word else list(self.words)
        if self.items is not None:
            each = "finite numbers" if self.items.real else "whole numbers" if self.items.whole else "names"
            said.append(f"a list of {each}")
        said += ["None"] if self.nothing else []
        return " or ".join(said)


def _flat(hint: Any) -> list[Any]:
    """The members of a union, also within unions, and of an alias."""
    if get_origin(hint) in (Union, types.UnionType):
        return [part for one in get_args(hint) for part in _flat(one)]
    return [hint]


def _is_sequence(origin: Any) -> bool:
    return origin in (list, tuple, Sequence)


def _is_whole(value: Any) -> bool:
    return isinstance(value, float) and value.is_integer()


def _is_finite(value: float) -> bool:
    """Whether a float can hold it: whole numbers of Python have no end."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _is_one(value: Any, tensor: bool) -> bool:
    """An array or tensor without dimensions, where no tensor is wanted."""
    return (isinstance(value, np.ndarray) or (not tensor and _is_tensor(value))) and value.ndim == 0


def _is_several(value: Any) -> bool:
    in_a_row = (isinstance(value, np.ndarray) or _is_tensor(value)) and value.ndim == 1
    return in_a_row or isinstance(value, list | tuple | range)


def _is_tensor(value: Any) -> bool:
    """Of torch, which is not imported for this: figures and records do without it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # of whole numbers with thousands of digits
        return "a whole number of very many digits"
    return text if len(text) <= 40 and "\n" not in text else f"an object of type {type(value).__name__}"
