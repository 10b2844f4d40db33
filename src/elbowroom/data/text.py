"""The text of a table's file: its encoding, the lines around the table, what stands between its cells."""

import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from elbowroom.numerics import InputError

from .notation import absent, is_number

__all__ = ["DELIMITERS", "Text", "delimited", "read_text", "unreadable"]

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", " ": "spaces"}
"""What may stand between cells, and what sentences call it; the last where nothing else does."""
_LOOK = 50  # lines by which the delimiter is found
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"\xff\xfe": "utf-16",
          b"\xfe\xff": "utf-16"}  # fmt: skip
_ODD = re.compile(r"[\x01-\x08\x0e-\x1f\x7f]")


@dataclass(frozen=True)
class Text:
    """A table as text.

    Parameters
    ----------
    name : str
        Of the file, in quotes.
    data : bytes
        The lines from the table's first on, in UTF-8, each ended by a line feed.
    first : int, default 1
        Number of the first of these lines in the file.
    delimiter : str, default ""
        What stands between the cells; "" before it is known.
    comments : list of str, default []
        Lines of comment above the table, without their mark; the last may hold the names of the columns.
    notes : list of str, default []
        What a person should know.
    """

    name: str
    data: bytes
    first: int = 1
    delimiter: str = ""
    comments: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Each row's cells, and the number of the line where it ends; lines without anything are passed over."""
        lines = io.TextIOWrapper(io.BytesIO(self.data), encoding="utf-8", newline="\n")
        reader = csv.reader(lines, delimiter=self.delimiter, skipinitialspace=True)
        try:
            for cells in reader:
                if cells:
                    yield self.first + reader.line_num - 1, cells
        except csv.Error as error:
            line = self.first + reader.line_num - 1
            raise InputError(
                f"{self.name} is no table near line {line} ({error}): see whether a quote is open."
            ) from error


def unreadable(name: str, error: Exception | str) -> InputError:
    """The sentence about a file that is not what its ending says."""
    reason = str(error).split("\n")[0].rstrip(".") or type(error).__name__
    return InputError(f"{name} cannot be read ({reason}): it may be cut short or of another format.")


def read_text(path: Path) -> Text:
    """The text of a table's file, from the table's first line on.

    Parameters
    ----------
    path : Path
        Packed by gzip or not, in any encoding that gives itself away.

    Returns
    -------
    Text
        Without delimiter, unless a line "sep=" says it.

    Raises
    ------
    InputError
        For a file that is no text, or has nothing in it.
    """
    name = repr(path.name)
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise unreadable(name, error) from error
    if data[:4] == b"PK\3\4":
        raise InputError(f"{name} is a workbook or a zip archive, not text: save the sheet as .csv.")
    text, notes = _decoded(data, name)
    found = _ODD.search(text)
    if "\0" in text or found:
        line = text.count("\n", 0, text.find("\0") if "\0" in text else found.start() if found else 0) + 1
        raise InputError(
            f"{name} cannot be read: line {line} holds NUL bytes or other control characters, so it is cut short, "
            "damaged or of another format."
        )
    return _from_its_table_on(Text(name, text.encode(), notes=notes))


def _decoded(data: bytes, name: str) -> tuple[str, list[str]]:
    """The text, its line ends as line feeds, and a note where its encoding had to be guessed."""
    encoding = next((known for mark, known in _MARKS.items() if data.startswith(mark)), "") or _unmarked(data)
    guessed = encoding in ("cp1252", "latin-1")
    notes = [f"Read as {encoding}, as it is not UTF-8; where letters look wrong, save it as UTF-8."] * guessed
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name} cannot be read in {encoding}, the encoding that it states: save it as UTF-8."
        ) from error
    text = text.rstrip("\x1a").replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(r"(?m)^ +$", "", text) if "\n " in text else text, notes


def _unmarked(data: bytes) -> str:
    """The encoding of a file without a byte order mark."""
    head = data[:4_000]
    for encoding, places in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
        if len(places) > 1 and places.count(0) > 0.6 * len(places) and head.count(0) < 1.2 * places.count(0):
            return encoding
    for encoding in ("utf-8", "cp1252"):
        try:
            data.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    return "latin-1"


def _from_its_table_on(text: Text) -> Text:
    """Without empty lines, a line "sep=" and lines of comment above the table."""
    data, first, delimiter, comments = text.data, text.first, "", []
    while data:
        line, _, rest = data.partition(b"\n")
        words = line.decode().strip()
        stated = re.fullmatch(r'"?sep=(.|\\t)"?', line.decode().strip("\n ")) if first == 1 else None
        if stated:
            delimiter = stated[1].replace("\\t", "\t")
        elif words.startswith("#"):
            comments.append(words.lstrip("# \t"))
        elif words.strip(",;|"):
            break
        data, first = rest, first + 1
    if not data.strip():
        raise InputError(f"{text.name} is empty; give at least two rows.")
    return replace(text, data=data, first=first, delimiter=delimiter, comments=comments)


def delimited(text: Text) -> Text:
    """The text with what stands between its cells; spaces are made commas.

    Parameters
    ----------
    text : Text
        Of a table.

    Returns
    -------
    Text
        With its delimiter; "," or ";" where nothing stands between cells, because there is one column.
    """
    if text.delimiter:
        return text
    scores = {mark: _fit(text, mark) for mark in DELIMITERS if mark != " "}
    best = max(scores, key=lambda mark: scores[mark])
    alone = _is_one_column(text)
    if scores[best] > 0 and not (alone and best == ","):
        return replace(text, delimiter=best)
    spaced = _spaced(text, _LOOK)
    if _fit(spaced, ",") > 1 and len(next(spaced.rows())[1]) > 1:
        return _spaced(text)
    return replace(text, delimiter=";" if alone else ",")


def _is_one_column(text: Text) -> bool:
    """Whether below one name there are numbers alone, whose commas are decimal marks."""
    name, *lines = [line.strip(' "') for line in text.data.decode().split("\n", _LOOK)[:_LOOK]]
    return "," not in name and all(absent(line) or is_number(line.replace(",", ".", 1)) for line in lines)


def _fit(text: Text, delimiter: str) -> float:
    """How well the lines fall into cells: the share of the most common width, and how many cells are numbers.

    0 where that width is one cell.
    """
    try:
        rows = [cells for _, cells in islice(replace(text, delimiter=delimiter).rows(), _LOOK)]
    except InputError:
        return 0.0
    widths = Counter(map(len, rows))
    width = max(widths, key=lambda w: (widths[w], w)) if widths else 1
    if width < 2:
        return 0.0
    cells = [cell for row in rows[1:] or rows for cell in row[:_LOOK]]
    numbers = sum(is_number(cell.replace(",", ".", 1) if delimiter != "," else cell) or absent(cell) for cell in cells)
    others = sum(any(mark in cell for mark in DELIMITERS if mark not in f"{delimiter} ,") for cell in cells)
    return widths[width] / len(rows) + (numbers - others) / max(len(cells), 1)


def _spaced(text: Text, most: int | None = None) -> Text:
    """A table between whose cells stand spaces, written with commas."""
    lines = (line.strip().replace("\t", " ") for line in io.StringIO(text.data.decode()))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerows(csv.reader(islice(lines, most), delimiter=" ", skipinitialspace=True))
    comments = [line if "," in line else ",".join(line.split()) for line in text.comments]
    return replace(text, data=buffer.getvalue().encode(), delimiter=",", comments=comments)
