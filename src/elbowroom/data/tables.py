"""Files of tables, read by pandas once it is known what they are."""

import csv
import io
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elbowroom.numerics import InputError
from elbowroom.numerics.text import name_list

from .cells import Origin
from .header import has_header, looks_like_number
from .notation import ABSENT, commas_in_numbers, decimal_mark
from .text import DELIMITERS, Text, delimited, read_text, unreadable

__all__ = ["COLUMNAR", "TEXTS", "Table", "names_of", "read_table"]

TEXTS = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
"""Endings of tables of text."""
COLUMNAR = (".parquet", ".feather")
"""Endings of tables of typed columns."""
_HEAD = 500_000  # cells by which names are found
_EXACT = 2.0**53
_VERSION = tuple(int(part) for part in pd.__version__.split(".")[:2])
_PRECISE: dict[str, Any] = {} if _VERSION >= (3, 1) else {"float_precision": "round_trip"}  # by default since 3.1
_ABSENT = sorted(
    ABSENT | {text.upper() for text in ABSENT} | {text.title() for text in ABSENT} | {"NaN", "-NaN", "NaT"}
)


@dataclass
class Table:
    """A table as it was read.

    Parameters
    ----------
    frame : DataFrame
        Columns of numbers where all of a column's cells are plain numbers or empty, else of texts as they stand.
    named : bool
        Whether the file names its columns.
    notes : list of str
        What a person should know.
    origin : Origin
        For the sentences about its cells.
    """

    frame: pd.DataFrame
    named: bool
    notes: list[str]
    origin: Origin


def read_table(path: Path) -> Table:
    """Read a file that holds a table.

    Parameters
    ----------
    path : Path
        A file whose name ends as one of `TEXTS` or `COLUMNAR`.

    Returns
    -------
    Table
        Its columns, not yet judged.

    Raises
    ------
    InputError
        For a file that cannot be read, and for a ragged one.
    """
    if path.suffix.lower() in COLUMNAR:
        return _columnar(path)
    text = delimited(read_text(path))
    names, body, notes = names_of(text)
    width = len(names)
    n = _check(text, body, width)
    frame, mark = _values(body, width, text.delimiter)
    if len(frame) != n:
        raise unreadable(text.name, f"{n:,} rows were counted and {len(frame):,} read")
    named = any(names)
    if not names[-1] and width > 1 and (frame.iloc[:, -1].isna() | (frame.iloc[:, -1] == "")).all():
        frame, names = frame.iloc[:, :-1], names[:-1]
        notes.append("The last column has neither a name nor a value, and is left out.")
    lines = body.data.rstrip(b"\n").count(b"\n") + 1
    if width == 1 and lines > n and b'"' not in body.data:
        notes.append(f"Empty lines were passed over: {lines - n:,}.")
    frame.columns = pd.Index(names if named else [f"column {i + 1}" for i in range(len(names))], dtype=object)
    origin = Origin(text.name, lambda row: f"line {_line(body, row)}", text.delimiter, mark)
    return Table(frame, named, text.notes + notes, origin)


def _columnar(path: Path) -> Table:
    try:
        import pyarrow
    except ImportError as error:
        raise InputError(f"Reading {path.suffix} needs an extra: pip install 'elbowroom[parquet]'.") from error
    read = pd.read_parquet if path.suffix.lower() == ".parquet" else pd.read_feather
    try:
        frame = read(path)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise unreadable(repr(str(path)), error) from error
    return Table(frame, True, [], Origin(repr(path.name)))


def names_of(text: Text) -> tuple[list[str], Text, list[str]]:
    """The names of the columns, and the text below them.

    Parameters
    ----------
    text : Text
        With its delimiter.

    Returns
    -------
    names : list of str
        "" for a column that has none.
    body : Text
        The rows.
    notes : list of str
        How the first line was read.

    Raises
    ------
    InputError
        Where there are other names than columns, or no rows.
    """
    rows = text.rows()
    line, first = next(rows)
    rest = [cells for _, cells in islice(rows, min(max(_HEAD // len(first), 20), 1_000))]
    width = Counter(map(len, rest or [first])).most_common(1)[0][0]
    columns = list(zip(*(row for row in rest if len(row) == width), strict=True)) or [()] * width
    first = _of_width([cell.strip() for cell in first], columns)
    words = any(cell and not looks_like_number(cell) for cell in first)
    if rest and len(first) != width:
        if not words:
            return [""] * len(first), text, []  # ragged, which is said by line
        raise InputError(
            f"{text.name} has {_counted(len(first), 'name')} in line {line}, and {_cells(text, width)} in most rows: "
            f"{_way_out(text, width, len(first), 'give each column one name')}."
        )
    if not (has_header(first, columns) if rest else words):
        names = _from_comment(text, width)
        notes = _on_comments(text, used=any(names))
        said = ["The first line holds no names of columns: it is read as data."] * (words and not any(names))
        return names, text, notes + said
    if not rest:
        raise InputError(f"{text.name} has a line of names but no rows; give at least two.")
    below = replace(text, data=_after(text.data, line - text.first + 1), first=line + 1)
    doubtful = any(map(looks_like_number, first)) or not any(looks_like_number(column[0]) for column in columns)
    note = f"The first line was taken for the names of the columns: {name_list(first)}."
    return first, below, _on_comments(text) + [note] * doubtful


def _of_width(first: list[str], columns: Sequence[Sequence[str]]) -> list[str]:
    """The first line, one cell longer or shorter where the names of a table are and its rows agree with that."""
    if len(first) == len(columns) + 1 and not first[-1] and any(not looks_like_number(cell) for cell in first[:-1]):
        return first[:-1]
    if len(first) != len(columns) - 1 or not columns[0] or all(map(looks_like_number, first)):
        return first
    if not any(cell.strip() for cell in columns[-1]):
        return [*first, ""]
    index = columns[0]
    counts = [str(i) for i in range(int(index[0]), int(index[0]) + len(index))] if index[0] in ("0", "1") else []
    words = len(set(index)) == len(index) and not any(map(looks_like_number, index))
    return ["", *first] if words or list(index) == counts else first


def _on_comments(text: Text, used: bool = False) -> list[str]:
    passed = text.comments[: len(text.comments) - used]
    return [f"Passed over above the table: {name_list(passed, most=3)}."] if passed else []


def _from_comment(text: Text, width: int) -> list[str]:
    """Names from the line of comment above the table, as NumPy's savetxt writes them, where these fit."""
    cells = next(csv.reader(text.comments[-1:], delimiter=text.delimiter), [])
    return [cell.strip() for cell in cells] if len(cells) == width and all(map(str.strip, cells)) else [""] * width


def _after(data: bytes, lines: int) -> bytes:
    place = 0
    for _ in range(lines):
        place = data.find(b"\n", place) + 1 or len(data)
    return data[place:]


def _check(text: Text, body: Text, width: int) -> int:
    """How many rows there are; InputError for one of another width."""
    n = 0
    for line, cells in body.rows():
        n += 1
        if len(cells) != width:
            raise InputError(
                f"{text.name} is ragged: line {line} has {_cells(text, len(cells))}, and not {width}: "
                f"{_way_out(text, len(cells), width, 'mend that line')}."
            )
    return n


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"


def _cells(text: Text, n: int) -> str:
    return f"{_counted(n, 'cell')} between {DELIMITERS.get(text.delimiter, repr(text.delimiter))}"


def _way_out(text: Text, cells: int, columns: int, otherwise: str) -> str:
    if text.data.count(b'"') % 2:
        return "see whether a quote is open"
    halves = text.delimiter == "," and cells == 2 * columns
    return "where commas are decimal marks, put semicolons between the cells" if halves else otherwise


def _line(body: Text, row: int) -> int:
    return next(islice(body.rows(), row, None))[0]


def _values(body: Text, width: int, delimiter: str) -> tuple[pd.DataFrame, str]:
    """Columns of numbers, or of texts where pandas might change what they say; and the decimal mark."""
    known: dict[str, Any] = {
        "sep": delimiter, "header": None, "names": range(width), "index_col": False, "keep_default_na": False,
        "skipinitialspace": True, "encoding": "utf-8",
    }  # fmt: skip
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", pd.errors.DtypeWarning)
            frame = pd.read_csv(io.BytesIO(body.data), na_values=_ABSENT, **known, **_PRECISE)
        kinds = [_kind(frame[i].to_numpy()) for i in range(width)]
        floats = [i for i, kind in enumerate(kinds) if kind == "fractions"]
        doubtful = {"other", "large"} | ({"whole"} if _leading_zeros(body) else set())
        texts = _texts(body, known, [i for i, kind in enumerate(kinds) if kind in doubtful])
        different = [texts[i].unique() for i in texts.columns]
        mark = "." * bool(floats)
        if not floats or any(map(commas_in_numbers, different)):  # "1.234" may have no decimal point there
            pointed = _texts(body, known, floats)
            mark = decimal_mark([*different, *(pointed[i].unique() for i in pointed.columns)])
            texts = texts if mark == "." else pd.concat([texts, pointed], axis=1)
    except pd.errors.ParserError as error:
        raise InputError(f"{body.name} is no table ({_reason(error)}): see whether a quote is open.") from error
    numbers = frame.drop(columns=texts.columns)
    return pd.concat([numbers, texts], axis=1)[list(range(width))], mark


def _reason(error: Exception) -> str:
    return str(error).rpartition("C error: ")[2].strip()


def _texts(body: Text, known: dict[str, Any], which: list[int]) -> pd.DataFrame:
    """Some of the columns, as they stand."""
    if not which:
        return pd.DataFrame()
    return pd.read_csv(io.BytesIO(body.data), usecols=which, dtype=object, na_filter=False, **known)


def _kind(values: NDArray[Any]) -> str:
    """Whether a column holds fractions, whole numbers, whole numbers too large for floats, or something else."""
    if values.dtype.kind not in "iuf":
        return "other"
    if values.dtype.kind == "f" and not bool(((values == np.round(values)) | np.isnan(values)).all()):
        return "fractions"
    return "large" if bool((np.abs(values) >= _EXACT).any()) else "whole"


def _leading_zeros(body: Text) -> bool:
    """Whether some cell begins with a zero and another digit."""
    return any(
        re.search(mark + rb' *"?0\d', body.data) for mark in (rb"\n", re.escape(body.delimiter.encode()))
    ) or bool(re.match(rb' *"?0\d', body.data))
