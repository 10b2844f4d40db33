"""How texts write numbers, dates, and that there is no value."""

import re
from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

__all__ = [
    "ABSENT",
    "MARKS",
    "absent",
    "commas_in_numbers",
    "decimal_mark",
    "in_groups",
    "is_code",
    "is_date",
    "is_number",
    "marks_in",
    "no_value",
    "pointed",
    "ways_to_read",
]

ABSENT = frozenset({"", "?", "na", "n/a", "nan", "null", "<na>", "#n/a", "#na", "nat", "-nan"})
"""Texts that say that there is no value, in small letters."""
MARKS = frozenset({"-", "--", "---", ".", "..", "*", "–", "—"})
"""Marks that say so too."""
_ALSO_ABSENT = frozenset({"none", "nil", "missing", "unknown", "n.a.", "n.a", "nd", "n.d."})  # among numbers

_SIGNED, _POWER = "[+-]?", r"(?:[eE][+-]?\d+)?"
_PLAIN = re.compile(rf"{_SIGNED}(?:\d+\.?\d*|\.\d+){_POWER}|{_SIGNED}inf(?:inity)?", re.I | re.A)
_COMMA = re.compile(rf"{_SIGNED}(?:\d+(?:,\d*)?|,\d+){_POWER}", re.A)
_COMMA_THOUSANDS = re.compile(rf"{_SIGNED}(?:[1-9]\d{{0,2}}(?:,\d{{3}})+(?:\.\d*)?|\d+\.?\d*|\.\d+)", re.A)
_POINT_THOUSANDS = re.compile(rf"{_SIGNED}(?:[1-9]\d{{0,2}}(?:\.\d{{3}})+(?:,\d*)?|\d+(?:,\d*)?|,\d+)", re.A)
_SPACES = " \u00a0\u2009\u202f'’"
_SPACED = re.compile(rf"{_SIGNED}[1-9]\d{{0,2}}(?:[{_SPACES}]\d{{3}})+(?:[.,]\d*)?", re.A)
_GROUPS_OF_3 = re.compile(rf"{_SIGNED}[1-9]\d{{0,2}}(?:[.,]\d{{3}})+|{_SIGNED}\d+", re.A)
_DIGITS = re.compile(r"\d+", re.A)
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?[AaPp][Mm])?"
_MONTH = r"(?:jan|feb|mar|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez)[a-zäé]*\.?"
_DATE = re.compile(
    rf"(?:(?:\d{{4}}[-/.]\d{{1,2}}(?:[-/.]\d{{1,2}})?|\d{{1,2}}[-/.]\d{{1,2}}[-/.](?:\d{{4}}|\d{{2}})"
    rf"|\d{{1,2}}[-. ]+{_MONTH}[-, ]+(?:\d{{4}}|\d{{2}})|{_MONTH}[- ]+(?:\d{{1,2}},? +)?\d{{4}})"
    rf"(?:[T ]+{_CLOCK})?(?: ?(?:Z|UTC|[+-]\d{{2}}:?\d{{2}}))?|{_CLOCK}|-?\d+ days?(?: [+-]?{_CLOCK})?)",
    re.I | re.A,
)


def absent(cell: Any) -> bool:
    """Whether a cell says that there is no value: None, NaN, pandas' NA and NaT, or a text such as "", "NA" and "?"."""
    if isinstance(cell, str):
        return cell.strip().lower() in ABSENT
    if isinstance(cell, Decimal):
        return cell.is_nan()
    if isinstance(cell, float | np.floating):
        return bool(np.isnan(cell))
    return cell is None or type(cell).__name__ in ("NAType", "NaTType")


def no_value(text: str) -> bool:
    """Whether a text says, among numbers, that there is no value: as `absent`, or a mark or word such as "-"."""
    small = text.lower()
    return small in ABSENT or small in MARKS or small in _ALSO_ABSENT


def marks_in(words: Collection[str]) -> set[str]:
    """Those of some words that are marks of no value; a dash beside a plus is its opposite."""
    dashes = {"-", "–", "—"} if "+" in words else set()
    return {word for word in words if word in MARKS - dashes}


def is_number(text: str) -> bool:
    """Whether a text is a number with a decimal point, in digits alone ("1_3" is none)."""
    return _PLAIN.fullmatch(_minus(text.strip())) is not None


def is_code(text: str) -> bool:
    """Whether a text is digits alone, a zero first: a code, whose zero a number would lose."""
    return len(text) > 1 and text[0] == "0" and _DIGITS.fullmatch(text) is not None


def in_groups(texts: Sequence[str]) -> bool:
    """Whether the digits of all these numbers stand in groups of three, so that a mark between may be either."""
    return all(_GROUPS_OF_3.fullmatch(_minus(text)) for text in texts)


def is_date(text: str) -> bool:
    """Whether a text is a date, a time or a length of time."""
    return _DATE.fullmatch(text.strip()) is not None


def decimal_mark(columns: Iterable[Iterable[str]]) -> str:
    """The decimal mark that columns of text give away.

    Parameters
    ----------
    columns : iterable of iterable of str
        The different texts of every column.

    Returns
    -------
    str
        "." or ",", "" where no column gives one away, ",." where some columns have the one and some the other.
    """
    marks = set()
    for cells in map(_valued, columns):
        if any("," in one or "." in one for one in cells):
            ways = ways_to_read(cells)
            if len(ways) == 1 and not in_groups(cells):
                marks.add(ways[0][0])
    return "".join(sorted(marks))


def commas_in_numbers(texts: Iterable[str]) -> bool:
    """Whether these are numbers, and some have a comma."""
    cells = _valued(texts)
    return any("," in one for one in cells) and bool(ways_to_read(cells))


def _valued(texts: Iterable[str]) -> list[str]:
    return [text.strip() for text in texts if not no_value(text.strip())]


def ways_to_read(cells: Sequence[str]) -> list[tuple[str, str]]:
    """The ways in which all these texts can be read as numbers.

    Parameters
    ----------
    cells : sequence of str
        Texts without spaces around them.

    Returns
    -------
    list of (str, str)
        Decimal mark and mark between thousands, of each way; empty where some text is no number.
    """
    cells = [_minus(cell) for cell in cells]
    if all(_PLAIN.fullmatch(cell) for cell in cells):
        return [(".", "")]
    spaced = [_SPACED.fullmatch(cell) for cell in cells]
    if any(spaced):
        closed = [_closed(cell) if one else cell for one, cell in zip(spaced, cells, strict=True)]
        return [(mark, " ") for mark, between in ways_to_read(closed) if not between]
    ways = [((",", ""), _COMMA), ((".", ","), _COMMA_THOUSANDS), ((",", "."), _POINT_THOUSANDS)]
    found = [way for way, pattern in ways if all(pattern.fullmatch(cell) for cell in cells)]
    return [way for way in found if way != (",", ".") or (",", "") not in found]


def _closed(cell: str) -> str:
    """A number without the spaces (or apostrophes) between its thousands."""
    return re.sub(f"[{_SPACES}]", "", cell)


def _minus(text: str) -> str:
    return text.replace("−", "-")


def pointed(cell: str, point: str, between: str) -> str:
    """A number as Python writes it.

    Parameters
    ----------
    cell : str
        A text.
    point : str
        Its decimal mark.
    between : str
        Its mark between thousands, " " for spaces and apostrophes of any kind, "" for none.

    Returns
    -------
    str
        With a decimal point, and nothing between thousands.
    """
    cell = _minus(cell)
    cell = _closed(cell) if between == " " else cell.replace(between, "") if between else cell
    return cell.replace(",", ".") if point == "," else cell
