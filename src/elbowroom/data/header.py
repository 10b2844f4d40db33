"""Whether the first line of a table holds the names of its columns."""

import re
from collections.abc import Sequence
from itertools import pairwise

from .notation import absent, is_date, is_number, no_value

__all__ = ["has_header", "looks_like_number"]

_NUMBER = re.compile(r"[+-]?[\d.,]*\d[\d.,'’ \u00a0\u2009\u202f]*(?:[eE][+-]?\d+)?", re.A)
_YEARS = range(1_800, 2_101)
_MANY = 10


def looks_like_number(cell: str) -> bool:
    """Whether a cell may be a number, with whatever marks."""
    return is_number(cell) or _NUMBER.fullmatch(cell.strip()) is not None


def has_header(first: Sequence[str], columns: Sequence[Sequence[str]]) -> bool:
    """Whether a table's first line names its columns.

    Parameters
    ----------
    first : sequence of str
        The cells of the first line.
    columns : sequence of sequence of str
        Of each column, the cells of some lines below it.

    Returns
    -------
    bool
        True for a word above numbers, or above classes of which it is none; for years or running numbers above
        fractions; and for words above words that all differ.
    """
    words = [i for i, cell in enumerate(first) if not no_value(cell.strip()) and not looks_like_number(cell)]
    if any(_are_numbers(columns[i]) for i in words):
        return True
    if any(first[i] in columns[i] or (is_date(first[i]) and is_date(columns[i][0])) for i in words):
        return False
    if any(2 * len(set(columns[i])) <= len(columns[i]) for i in words):
        return True
    numbers = [i for i, cell in enumerate(first) if looks_like_number(cell)]
    if first[0].strip() == "" and numbers and len(set(columns[0])) == len(columns[0]) > 1 and columns[0][0].strip():
        return True
    if numbers:
        return _are_names([first[i] for i in numbers], [columns[i] for i in numbers])
    return bool(words)


def _are_numbers(cells: Sequence[str]) -> bool:
    """Whether most cells that hold something hold numbers."""
    known = [cell for cell in cells if not absent(cell)]
    return bool(known) and 2 * sum(map(looks_like_number, known)) > len(known)


def _are_names(cells: Sequence[str], columns: Sequence[Sequence[str]]) -> bool:
    """Whether whole numbers above numbers are names: years, or numbers that run, that do not look like those below."""
    if not all(re.fullmatch(r"\d+", cell.strip(), re.A) for cell in cells):
        return False
    names = [int(cell) for cell in cells]
    steps = {after - before for before, after in pairwise(names)}
    years = all(name in _YEARS for name in names) and len(set(names)) == len(names)
    if not years and not (len(steps) == 1 and min(steps) > 0):
        return False
    if all(_are_fractions(column) for column in columns):
        return True
    if names == list(range(names[0], names[0] + len(names))) and names[0] in (0, 1) and len(names) >= _MANY:
        return not _run([column[0] for column in columns])
    return years and all(_is_far(name, column) for name, column in zip(names, columns, strict=True))


def _are_fractions(cells: Sequence[str]) -> bool:
    known = [cell for cell in cells if not absent(cell)]
    return bool(known) and not any(re.fullmatch(r"[+-]?\d+", cell.strip(), re.A) for cell in known)


def _run(cells: Sequence[str]) -> bool:
    values = [float(cell) for cell in cells if is_number(cell)]
    return len({after - before for before, after in pairwise(values)}) == 1


def _is_far(name: int, cells: Sequence[str]) -> bool:
    """Whether a number lies farther from all of these than they span."""
    values = [float(cell) for cell in cells if is_number(cell)]
    return bool(values) and min(abs(name - value) for value in values) > max(values) - min(values)
