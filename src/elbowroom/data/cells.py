"""What the cells of a table's column hold: numbers, classes, dates, or nothing that can be modelled."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import InputError

from .notation import ABSENT, absent, in_groups, is_code, is_date, is_number, marks_in, no_value, pointed, ways_to_read

__all__ = ["DATES", "MERGED", "NAMES", "Column", "Origin", "exactly", "floats_or_words", "of_classes", "of_texts"]

NAMES = "\0"
"""Stands in a note for the names of the columns that it is about."""
DATES = "dates or times; give one as a number, such as days since the first of them, to model it"
"""Why a column of dates is left out."""
MERGED = "whole numbers beyond 2^53, which floats merge; take an offset away to model them"
"""Why a column of such numbers is left out."""
_MOST_WORDS = 256
_FEW_WORDS = 12  # up to here numbers among words are taken for names of classes
_EXACT = 2.0**53  # from here on floats of 64 bits merge whole numbers


@dataclass(frozen=True)
class Origin:
    """Where the cells of a table came from, for the sentences about them.

    Parameters
    ----------
    what : str, default "The table"
        What sentences call it.
    row : callable, optional
        Number of a row → where it stands, as "row 3" or "line 5".
    delimiter : str, default ""
        What stood between the cells, where it was a file of text.
    mark : str, default ""
        The decimal mark of the file, "." or ",", where its columns give it away; ",." where they contradict each other.
    """

    what: str = "The table"
    row: Callable[[int], str] = "row {}".format
    delimiter: str = ""
    mark: str = ""


@dataclass
class Column:
    """What a column turned out to hold.

    Parameters
    ----------
    values : array
        [n], numbers, or codes of classes; NaN where a cell is missing.
    words : list of str, optional
        Of a column of classes: their names in the order of the codes.
    out : str, default ""
        Why the column is no part of x, where it is none.
    notes : list of str, default []
        What a person should know, with `NAMES` for the name of the column.
    """

    values: NDArray[Any]
    words: list[str] | None = None
    out: str = ""
    notes: list[str] = field(default_factory=list)


def floats_or_words(cells: Iterable[Any]) -> NDArray[Any]:
    """Floats where all cells are numbers (NaN for what is missing), else the cells as they are.

    Parameters
    ----------
    cells : iterable
        A column; texts are words, whatever they say.

    Returns
    -------
    array
        [n], of floats or objects.
    """
    cells = list(cells)
    gaps = [absent(cell) for cell in cells]
    try:
        if any(isinstance(cell, str) for cell in cells):
            raise TypeError
        numbers = [np.nan if gap else float(cell) for cell, gap in zip(cells, gaps, strict=True)]
    except (TypeError, ValueError):
        words = np.empty(len(gaps), dtype=object)
        words[:] = [None if gap else cell for cell, gap in zip(cells, gaps, strict=True)]
        return words
    return np.array(numbers)


def of_texts(codes: NDArray[np.int64], texts: list[str], origin: Origin) -> Column:
    """Read a column of texts.

    Parameters
    ----------
    codes : array
        [n], which of the texts each cell holds, −1 for none.
    texts : list of str
        The different texts.
    origin : Origin
        Where they come from.

    Returns
    -------
    Column
        Numbers, classes, or why it is left out.

    Raises
    ------
    InputError
        For numbers that may be read in two ways.
    """
    texts = [text.strip() for text in texts]
    where = _Texts(codes, texts, origin)
    known = [i for i, text in enumerate(texts) if text.lower() not in ABSENT]
    valued = [i for i in known if not no_value(texts[i])]
    cells = [texts[i] for i in valued]
    if not cells:
        return _as_words(where, known)
    coded = any(map(is_code, cells))
    numbers = None if coded else _as_numbers(where, valued)
    if numbers:
        numbers.notes += where.read_as_missing([i for i in known if no_value(texts[i])], "numbers")
        return numbers
    if {cell.lower() for cell in cells} <= {"true", "false"}:
        return where.truths(valued)
    if all(map(is_date, cells)):
        return where.left_out(DATES)
    return _as_words(where, known, coded)


@dataclass(frozen=True)
class _Texts:
    """A column's different texts, and where each stands."""

    codes: NDArray[np.int64]
    texts: list[str]
    origin: Origin

    def spread(self, values: dict[int, float]) -> NDArray[np.float64]:
        """The value of each cell, by its text; NaN where there is none."""
        table = np.full(len(self.texts) + 1, np.nan)
        for place, value in values.items():
            table[place] = value
        return table[self.codes]  # −1 is the last place

    def first(self, places: Iterable[int]) -> str:
        """The one of these texts that stands first, and where."""
        row, place = min((int(np.argmax(self.codes == place)), place) for place in places)
        return f"{self.texts[place]!r} in {self.origin.row(row)}"

    def left_out(self, why: str) -> Column:
        return Column(np.full(len(self.codes), np.nan), out=why)

    def read_as_missing(self, places: list[int], among: str) -> list[str]:
        words = " and ".join(sorted({repr(self.texts[i]) for i in places}))
        return [f"Read as missing, among {among}: {words} in {NAMES}."] if places else []

    def truths(self, places: list[int]) -> Column:
        """True and false as numbers, booleans where none is missing."""
        values = self.spread({i: float(self.texts[i].lower() == "true") for i in places})
        whole = not np.isnan(values).any()
        return Column(values.astype(bool) if whole else values, notes=[f"Read as 1 for true and 0 for false: {NAMES}."])


def _as_numbers(where: _Texts, places: list[int]) -> Column | None:
    """A column of numbers; None where not all of these texts are."""
    cells = [where.texts[i] for i in places]
    ways = ways_to_read(cells)
    if not ways:
        return None
    grouped = any("." in cell for cell in cells) and in_groups(cells)
    if ways == [(".", "")] and grouped and "," in where.origin.mark:
        ways = [(",", ".")] if where.origin.mark == "," else [(".", ""), (",", ".")]
    if len(ways) > 1:
        mark = where.origin.mark or ("." if where.origin.delimiter == "," else "")
        ways = [way for way in ways if way[0] == mark]
    if len(ways) != 1:
        odd = where.first(i for i in places if "," in where.texts[i] or "." in where.texts[i])
        mark = "point" if grouped else "comma"
        raise InputError(
            f"{where.origin.what} holds {odd}, in column {NAMES}, with a decimal {mark} or a {mark} between thousands, "
            "which nothing tells apart: write a decimal point and nothing between thousands, or leave it out by drop=."
        )
    point, between = ways[0]
    marks = [f"{between!r} between thousands"] * bool(between) + ["a decimal comma"] * (point == ",")
    notes = [f"Read with {' and '.join(marks)}: {NAMES}."] if marks else []
    return _numbers(where, places, [pointed(cell, point, between) for cell in cells], notes)


def _numbers(where: _Texts, places: list[int], cells: list[str], notes: list[str]) -> Column:
    values = {place: float(cell) for place, cell in zip(places, cells, strict=True)}
    return exactly(map(Decimal, cells), Column(where.spread(values), notes=notes))


def exactly(read: Iterable[Any], column: Column) -> Column:
    """A column of numbers, unless floats make one of two that differ.

    Parameters
    ----------
    read : iterable
        The numbers without rounding.
    column : Column
        The same as floats.

    Returns
    -------
    Column
        The column, left out where whole numbers are merged, with a note where fractions are.
    """
    values = column.values[~np.isnan(column.values)]
    if len(set(read)) <= len(np.unique(values)):
        return column
    if np.abs(values).max() >= _EXACT:
        return Column(np.full(len(column.values), np.nan), out=MERGED)
    return replace(column, notes=[*column.notes, f"Numbers that differ in the 17th digit alone are one: {NAMES}."])


def _as_words(where: _Texts, known: list[int], coded: bool = False) -> Column:
    """A column of classes, or why it is none; `coded` where zeros lead some of its whole numbers."""
    texts = where.texts
    empty = marks_in({texts[i] for i in known})
    marks = [i for i in known if texts[i] in empty]
    words = [i for i in known if texts[i] not in empty]
    if not words:
        return Column(np.full(len(where.codes), np.nan), notes=where.read_as_missing(marks, "nothing else"))
    names = sorted({texts[i] for i in words})
    rows = int(np.isin(where.codes, words).sum())
    many = len(names) > min(_MOST_WORDS, rows / 2)
    numbers = {i for i in words if is_number(texts[i])}
    mixed = bool(numbers) and len(numbers) < len(words) and not coded
    odd = where.first(i for i in words if i not in numbers) if mixed else ""
    if mixed and (many or len(names) > _FEW_WORDS) and 2 * len(numbers) >= len(words):
        return where.left_out(f"numbers, and words such as {odd}; write NA where a value is missing")
    if many:
        return where.left_out(_too_many(len(names), where.first(words)))
    codes = {name: float(code) for code, name in enumerate(names)}
    notes = where.read_as_missing(marks, "words") + _on_words(texts, words, names, odd, coded)
    return Column(where.spread({i: codes[texts[i]] for i in words}), names, notes=notes)


def _on_words(texts: list[str], words: list[int], names: list[str], odd: str, coded: bool) -> list[str]:
    notes = [f"Read as classes, as words stand among the numbers ({odd}): {NAMES}."] if odd else []
    notes += [f"Read as classes, as zeros lead the numbers: {NAMES}."] if coded else []
    nones = sorted({texts[i] for i in words if texts[i].lower() == "none"})
    notes += [f"A class of its own is {name!r} in {NAMES}; where it means no value, write NA." for name in nones]
    return notes + [f"Words that differ in spaces around them alone are one class: {NAMES}."] * (
        len(names) < len(words)
    )


def _too_many(different: int, first: str) -> str:
    return (
        f"{different:,} different words, such as {first}; classes are at most {_MOST_WORDS} words, each in two rows or "
        "more on average"
    )


def of_classes(codes: NDArray[Any], names: list[str], origin: Origin) -> Column:
    """A column whose classes and their order are stated, as a categorical one's of pandas.

    Parameters
    ----------
    codes : array
        [n] whole numbers, −1 where a cell is missing.
    names : list of str
        All classes in their order; those that no row has are dropped.
    origin : Origin
        Where it comes from.

    Returns
    -------
    Column
        Classes, or why it is left out.
    """
    used = np.flatnonzero(np.bincount(codes[codes >= 0], minlength=len(names)))
    values = np.full(len(names) + 1, np.nan)
    values[used] = np.arange(len(used))
    texts = _Texts(codes, names, origin)
    if len(used) > min(_MOST_WORDS, int((codes >= 0).sum()) / 2):
        return texts.left_out(_too_many(len(used), texts.first(used.tolist())))
    return Column(values[codes], [names[i] for i in used] if len(used) else None)
