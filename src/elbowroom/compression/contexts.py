"""What a model reads beside x and z: contexts and size factors, which a file holds before its rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from elbowroom.numerics import Given, InputError

from .columns import Column, columns_of, packed
from .container import Reader

__all__ = ["Context", "Contexts", "contexts_by_name"]

_SHOWN = 8


@dataclass(frozen=True)
class Context:
    """One context of all rows.

    Parameters
    ----------
    name : str
        As the model calls it.
    column : Column
        As it stands in the user's data.
    words : tuple of str or None
        Of classes: which word each place of the one-hot row means; None where the model reads the numbers themselves.
    called : str or None
        What it is called in the user's data; None where it is measured on them, as totals are, or spelled otherwise
        there.
    """

    name: str
    column: Column
    words: tuple[str, ...] | None = None
    called: str | None = None

    @property
    def event(self) -> tuple[int, ...]:
        """Shape of what the model reads of a row."""
        if self.column.hot:
            return self.column.shape[1:]
        return self.column.shape[1:] or (1,) if self.words is None else (len(self.words),)

    @property
    def classes(self) -> bool:
        """Whether the model reads a 1 among zeros."""
        return self.column.hot or self.words is not None

    def rows(self, part: slice) -> Tensor:
        """What the model reads of some rows, [m, *event], 64 bits."""
        held = self._read[part]
        if not self.classes:
            return torch.from_numpy(held.astype(np.float64)).reshape(len(held), *self.event)
        found = torch.zeros(len(held), *self.event, dtype=torch.float64)
        found[torch.arange(len(held)), torch.from_numpy(held)] = 1.0
        return found

    def reads_as(self, other: "Context") -> bool:
        """Whether the model reads the same of it as of this other, sound one."""
        try:
            return self.words == other.words and np.array_equal(self._read, other._read)
        except InputError:
            return False

    @cached_property
    def _read(self) -> NDArray[Any]:
        """Codes of classes, or numbers as training reads them: of 32 bits."""
        if self.column.hot:
            return self.column.data
        if self.words is not None:
            return self._codes(self.words)
        if self.column.texts is not None:
            raise InputError(
                f"The context {self.name!r} holds words, and the model reads numbers there or knows no words: give it "
                f"as the model was trained, or the run folder, which knows its words."
            )
        with np.errstate(over="ignore"):  # beyond floats of 32 bits: refused below
            numbers = self.column.data.astype(np.float32)
        if not np.isfinite(numbers).all():
            raise InputError(
                f"The context {self.name!r} has missing or infinite values: fill them in, or drop those rows."
            )
        return numbers

    def _codes(self, words: Sequence[str]) -> NDArray[np.int64]:
        if len(self.column.shape) != 1:
            raise InputError(f"The context {self.name!r} is one word a row; it has the shape {self.column.shape}.")
        if self.column.texts is not None:
            cells: list[Any] = list(self.column.texts)
            codes: NDArray[Any] = self.column.data
        else:
            each, codes = np.unique(self.column.data, return_inverse=True)
            cells = each.tolist()
        if any(cell is None or cell != cell for cell in cells):
            raise InputError(f"The context {self.name!r} has missing values: fill them in, or drop those rows.")
        said = [_word(cell, words) for cell in cells]
        strange = [word for word in said if word not in words]
        if strange:
            known = ", ".join(map(repr, words[:_SHOWN])) + (" …" if len(words) > _SHOWN else "")
            raise InputError(
                f"The model knows no {self.name} {strange[0]!r}; it knows {known}: leave those rows out, or name one "
                f"that they are like."
            )
        return np.array([words.index(word) for word in said], np.int64)[codes]

    def head(self) -> dict[str, Any]:
        """What a reader has to know, in plain values."""
        return {
            "name": self.name,
            "called": self.called,
            "words": None if self.words is None else list(self.words),
            "array": self.column.said(),
        }


def _word(cell: Any, words: Sequence[str]) -> str:
    """A cell as one of these words, spaces around it or not."""
    text = str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
    ways = (text, text.strip(), " ".join(text.split()))
    return next((one for one in ways if one in words), ways[-1])


@dataclass(frozen=True)
class Contexts:
    """All that a model reads beside x and z."""

    all: tuple[Context, ...] = field(default=())

    def check(self, rows: int) -> None:
        """Refuse contexts of another number of rows, and values that are none."""
        for one in self.all:
            if one.column.shape[0] != rows:
                raise InputError(
                    f"The context {one.name!r} has {one.column.shape[0]:,} rows, and there are {rows:,}: give one each."
                )
            one.rows(slice(0, 1))

    def rows(self, part: slice) -> Given:
        """Contexts of some rows: name → [m, *event]."""
        return {one.name: one.rows(part) for one in self.all}

    def given(self, part: slice) -> Given:
        """The same as components read them: name → [1, m, *event]."""
        return {name: value.unsqueeze(0) for name, value in self.rows(part).items()}

    def made_up(self) -> "Contexts":
        """Six rows of the same shapes, for a probe."""
        return Contexts(tuple(_made_up(one) for one in self.all))

    def measured(self) -> "Contexts":
        """The same, as such that do not stand in the user's data."""
        return Contexts(tuple(replace(one, called=None) for one in self.all))

    @property
    def of_user(self) -> dict[str, Column]:
        """Those that stand in the user's data, by their names there."""
        return {one.called: one.column for one in self.all if one.called is not None}

    def head(self) -> list[dict[str, Any]]:
        """What a reader has to know, in plain values."""
        return [one.head() for one in self.all]

    def packed(self) -> bytes:
        """What a general compressor is given."""
        return packed([one.column for one in self.all])

    @classmethod
    def read(cls, reader: Reader, names: Sequence[str]) -> "Contexts":
        """Those of a file, for a model that reads these; InputError for others and for what cannot be."""
        held = reader.head.get("contexts", [])
        if not isinstance(held, list) or not all(map(_is_context, held)):
            raise reader.damaged("the contexts in its head")
        if {one["name"] for one in held} != set(names):
            theirs = ", ".join(repr(one["name"]) for one in held) or "none"
            raise InputError(
                f"{reader.path.name!r} was written with another model: it holds the contexts {theirs}, and this one "
                f"reads {', '.join(map(repr, names)) or 'none'}."
            )
        columns = columns_of(reader, [one["array"] for one in held], reader.contexts, "its contexts")
        found = [
            Context(one["name"], column, None if one["words"] is None else tuple(one["words"]), one["called"])
            for one, column in zip(held, columns, strict=True)
        ]
        rows = reader.number("rows", 1, 2**48)
        if len(found) > len(names) or any(one.column.shape[0] != rows for one in found):
            raise reader.damaged("the contexts in its head")
        return cls(tuple(found))


def contexts_by_name(
    names: Sequence[str], arrays: Mapping[str, Any], words: Mapping[str, Sequence[str]], called: Mapping[str, str]
) -> Contexts:
    """Contexts of a model from arrays by name.

    Parameters
    ----------
    names : sequence of str
        What the model reads.
    arrays : mapping of str to array
        By their names in the user's data, or by those of the contexts where they are not in them.
    words : mapping
        Context → the words of its classes.
    called : mapping
        Context → its name in the user's data, where it has another there.

    Returns
    -------
    Contexts
        In the order of the names.

    Raises
    ------
    InputError
        For one that is missing, with the way out.
    """
    found = list[Context]()
    for name in names:
        at = called.get(name, name)
        if at not in arrays:
            raise InputError(
                f"This model reads the context {name!r}, which these data do not have ({at!r}): give it beside x, as "
                f"a column of the table, an array of a .npz, or an entry of {{'x': x, {name!r}: …}}."
            )
        column = Column.of(at, arrays[at])
        told = None if column.hot or name not in words else tuple(words[name])
        found.append(Context(name, column, told, at))
    return Contexts(tuple(found))


def _is_context(one: Any) -> bool:
    if not isinstance(one, dict) or set(one) != {"name", "called", "words", "array"}:
        return False
    words = one["words"] is None or (
        isinstance(one["words"], list) and bool(one["words"]) and all(isinstance(word, str) for word in one["words"])
    )
    return isinstance(one["name"], str) and (one["called"] is None or isinstance(one["called"], str)) and words


def _made_up(one: Context) -> Context:
    places = np.arange(6)
    if one.classes:
        data: NDArray[Any] = places % one.event[0]
        return Context(one.name, Column("<f8", (6, *one.event), data, hot=True))
    numbers = (1.0 + np.arange(6 * int(np.prod(one.event))) % 13 / 8).reshape(6, *one.event)
    return Context(one.name, Column("<f8", numbers.shape, numbers))
