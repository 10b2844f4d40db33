"""Tables as a file holds them: columns through the model where it knows them, beside it where it does not."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elbowroom.data.cells import Origin
from elbowroom.data.notation import MARKS, absent
from elbowroom.numerics import InputError
from elbowroom.numerics.text import name_list
from elbowroom.vae import VAE

from .archives import contexts_of_arrays
from .cells import Cells
from .container import Reader
from .contexts import Contexts
from .known import Known
from .masses import Whole
from .spelled import as_they_stand, read_beside
from .table_files import TableFile

__all__ = ["TableSource", "TableTarget"]

_FEW, _SHARE = 10, 0.01
_TEXTS = ("object", "str", "string")
NO_CONTEXTS = Contexts()


class TableSource:
    """A table, for the cells of a model.

    Parameters
    ----------
    table : TableFile
        Its frame's index is left aside.
    vae : VAE
        The model, which knows columns by name.
    cells : Cells
        Of the model.
    known : Known or None, default None
        Of the contexts that it reads, which are columns too.

    Raises
    ------
    InputError
        For columns that are missing or of other types, and words that the model does not know.
    """

    def __init__(self, table: TableFile, vae: VAE, cells: Cells, known: Known | None = None) -> None:
        frame = table.frame
        if not vae.table:
            raise InputError("This model knows no columns by name: give the rows as an array.")
        other = [name for name in frame.columns if not isinstance(name, str)]
        if other:
            raise InputError(f"Column {other[0]!r} has a name that is no text: give frame.rename(columns=str).")
        names = list(frame.columns)
        missing = [name for name, _ in vae.table if name not in names]
        if missing or len(set(names)) < len(names) or not len(frame):
            what = f"has no column {missing[0]!r}, which the model reads" if missing else "needs rows and unlike names"
            raise InputError(f"This table {what}: give tables like that it was trained on.")
        for name in names:
            _refuse_type(name, frame[name])
        self.frame, self.cells, self.known = frame, cells, dict(vae.table)
        self.places = {name: place for place, name in enumerate(self.known)}
        self.matrix = np.stack([_numbers(name, frame[name], words) for name, words in self.known.items()], 1)
        self.wrong: dict[str, list[int]] = {name: [] for name in self.known}
        self.contexts, self.left_out, self.said = Contexts(), list[str](), table.notes
        if known is not None and known.names:
            self.contexts = self._contexts(table, known)

    def __len__(self) -> int:
        return len(self.frame)

    def _contexts(self, table: TableFile, known: Known) -> Contexts:
        """What the model reads beside x and z, read as training reads it and spelled as it stands."""
        frame, read, own = self.frame, dict[str, Any](), dict[str, NDArray[Any]]()
        for name, words in known.read.items():
            if name in frame and name not in self.known:
                told = table.beside.get(name)
                of_texts = str(frame[name].dtype) in _TEXTS
                own[name] = _text(frame[name]) if of_texts else frame[name].to_numpy()
                read[name] = read_beside(name, frame[name], frame[name], words, Origin()) if told is None else told
        return as_they_stand(contexts_of_arrays(read, self.matrix, known), own)

    def rows(self, part: slice) -> NDArray[np.float64]:
        """Rows on the model's scale, [m, columns]; NaN where cells are missing."""
        return self.matrix[part]

    def settle(self, part: slice, cells: Cells, whole: Whole, seen: NDArray[np.bool_] | None) -> None:
        """Note the cells of these rows that would come back as others."""
        x = cells.x(whole).numpy()
        for name, words in self.known.items():
            place = self.places[name]
            column = self.frame[name].iloc[part]
            if cells.stated[place] and column.dtype.kind == "f":
                off = cells.off(self.matrix[part], x)[:, place]
                self.wrong[name] += (part.start + np.flatnonzero(off)).tolist()
                continue
            there = None if seen is None else seen[:, place]
            back = _texts(column, x[:, place], there, words)
            self.wrong[name] += [part.start + i for i in np.flatnonzero(_text(column) != back).tolist()]

    def head(self) -> dict[str, Any]:
        """What a decoder has to know, in plain values."""
        columns = [
            {"name": str(name), "dtype": str(self.frame[name].dtype), "modelled": self._modelled(str(name))}
            for name in self.frame.columns
        ]
        return {"kind": "table", "columns": columns}

    @property
    def cells_beside(self) -> int:
        """How many cells of numbers the model's grid does not give back."""
        return sum(len(rows) for name, rows in self.wrong.items() if not self.known[name])

    @property
    def notes(self) -> list[str]:
        """Sentences on what comes back otherwise, and on texts that are no words of the model."""
        found = [(name, self.frame[name].iloc[rows]) for name, rows in self.wrong.items() if rows and self.known[name]]
        if not found:
            return self.said
        shown = [
            f"{name!r} ({len(cells):,}: {name_list(dict.fromkeys(map(str, cells)), most=3)})" for name, cells in found
        ]
        return [
            *self.said,
            f"Words for no value, or with spaces around them, stand beside as they are, and come back too: "
            f"{', '.join(shown)}.",
        ]

    def beside(self) -> bytes:
        """Other columns, and single cells that would come back as others."""
        held = {}
        for name in map(str, self.frame.columns):
            column = self.frame[name]
            if name in self.contexts.of_user:
                continue
            if not self._modelled(name):
                held[name] = [[], _text(column).tolist()]
            elif self.wrong[name]:
                held[name] = [self.wrong[name], _text(column.iloc[self.wrong[name]]).tolist()]
        return json.dumps(held).encode()

    def _modelled(self, name: str) -> bool:
        if name in self.contexts.of_user:
            return False
        return name in self.known and len(self.wrong[name]) <= _FEW + _SHARE * len(self.frame)


class TableTarget:
    """Where the rows of a table go.

    Parameters
    ----------
    reader : Reader
        The file.
    vae : VAE
        The model.
    contexts : Contexts, default none
        Of the file.
    """

    def __init__(self, reader: Reader, vae: VAE, contexts: Contexts = NO_CONTEXTS) -> None:
        self.reader, self.known, self.contexts = reader, dict(vae.table), contexts.of_user
        columns = reader.head["source"].get("columns")
        if not isinstance(columns, list) or not all(_is_column(one) for one in columns):
            raise reader.damaged("the columns in its head")
        self.columns: list[dict[str, Any]] = columns
        modelled = [one["name"] for one in columns if one["modelled"]]
        if len({one["name"] for one in columns}) < len(columns) or not set(modelled) <= set(self.known):
            raise reader.damaged("the columns in its head")
        if not set(self.contexts) <= {one["name"] for one in columns if not one["modelled"]}:
            raise reader.damaged("the contexts in its head")
        self.held = self._held()

    def frame(self, x: NDArray[np.float64], seen: NDArray[np.bool_] | None) -> pd.DataFrame:
        """The table, from what the model's cells hold in all its rows."""
        found = {one["name"]: self._column(one, x, seen) for one in self.columns}
        return pd.DataFrame(found)

    def _column(self, one: dict[str, Any], x: NDArray[np.float64], seen: NDArray[np.bool_] | None) -> pd.Series:
        name, dtype = one["name"], one["dtype"]
        if name in self.contexts:
            return pd.Series(self.contexts[name].values(), dtype=dtype)
        rows, values = self.held.get(name, ([], []))
        if not one["modelled"]:
            if rows or len(values) != len(x):
                raise self.reader.damaged("what stands beside")
            return _as_series(values, dtype, self.reader)
        place = list(self.known).index(name)
        like = pd.Series([], dtype=dtype)
        texts = _texts(like, x[:, place], None if seen is None else seen[:, place], self.known[name])
        if len(rows) != len(values) or any(type(row) is not int or not 0 <= row < len(x) for row in rows):
            raise self.reader.damaged("what stands beside")
        texts[rows] = np.array([*values, None], object)[:-1]
        return _as_series(texts.tolist(), dtype, self.reader)

    def _held(self) -> dict[str, Any]:
        try:
            held = json.loads(self.reader.beside)
        except (ValueError, RecursionError) as error:
            raise self.reader.damaged("what stands beside") from error
        if not isinstance(held, dict) or not all(_is_pair(pair) for pair in held.values()):
            raise self.reader.damaged("what stands beside")
        return held


def _is_column(one: Any) -> bool:
    if not isinstance(one, dict) or set(one) != {"name", "dtype", "modelled"}:
        return False
    types = isinstance(one["name"], str) and isinstance(one["modelled"], bool) and isinstance(one["dtype"], str)
    return types and (one["dtype"] in _TEXTS or _numeric(one["dtype"]))


def _is_pair(pair: Any) -> bool:
    lists = isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, list) for one in pair)
    return lists and all(value is None or isinstance(value, str) for value in pair[1])


def _numeric(dtype: str) -> bool:
    try:
        return len(dtype) <= 8 and np.dtype(dtype).kind in "biuf"
    except TypeError:
        return False


def _refuse_type(name: str, column: pd.Series) -> None:
    dtype = str(column.dtype)
    texts = dtype in _TEXTS and all(isinstance(one, str) or _absent(one) for one in column)
    if not texts and not _numeric(dtype):
        raise InputError(
            f"Column {name!r} is of type {dtype}, which a file does not hold: numbers, booleans and texts are held."
        )


def _absent(value: Any) -> bool:
    return value is None or value is pd.NA or value != value


def _numbers(name: str, column: pd.Series, words: Sequence[str]) -> NDArray[np.float64]:
    """A column on the model's scale: numbers, or codes of words."""
    if not words:
        try:
            return column.to_numpy(dtype=np.float64, na_value=np.nan)
        except (ValueError, TypeError) as error:
            raise InputError(f"Column {name!r} holds what is no number, and the model reads numbers there.") from error
    codes = {word: float(code) for code, word in enumerate(words)}
    found = np.full(len(column), np.nan)
    for i, value in enumerate(column):
        if not _absent(value):
            text = str(value).strip()
            text = text if text in codes else " ".join(text.split())
            if text not in codes and (absent(text) or text in MARKS):
                continue
            if text not in codes:
                raise InputError(f"Column {name!r} holds {text!r}, a word that the model does not know.")
            found[i] = codes[text]
    return found


def _texts(
    like: pd.Series, x: NDArray[np.float64], seen: NDArray[np.bool_] | None, words: Sequence[str]
) -> NDArray[np.object_]:
    """What a column would come back as, as `_text` writes it."""
    if words:
        table = np.array([*words, None], object)
        values = table[np.where(np.isfinite(x), np.clip(x, 0, len(words) - 1), 0).astype(np.int64)]
        if seen is not None:
            values[~seen] = None
        return (
            values
            if str(like.dtype) in _TEXTS
            else np.array([*("" if v is None else v for v in values), None], object)[:-1]
        )
    x = x if seen is None else np.where(seen, x, np.nan)
    if str(like.dtype) in _TEXTS:
        return np.array([*(None if value != value else repr(value) for value in x.tolist()), None], object)[:-1]
    with np.errstate(invalid="ignore", over="ignore"):
        return _text(pd.Series(x.astype(str(like.dtype))))


def _text(column: pd.Series) -> NDArray[np.object_]:
    """Values as texts that say every bit: hexadecimal floats, decimal whole numbers; None where a text is missing."""
    if str(column.dtype) in _TEXTS:
        texts = [value if isinstance(value, str) else None for value in column]
    elif column.dtype.kind == "f":
        texts = [float(value).hex() for value in column.to_numpy()]
    else:
        texts = [str(int(value)) for value in column.to_numpy()]
    return np.array([*texts, None], object)[:-1]


def _as_series(texts: Sequence[str | None], dtype: str, reader: Reader) -> pd.Series:
    """The column that `_text` wrote."""
    if dtype in _TEXTS:
        return pd.Series(list(texts), dtype=dtype)
    try:
        read: Any = float.fromhex if np.dtype(dtype).kind == "f" else int
        return pd.Series(np.array([read(text) for text in texts]).astype(dtype))
    except (ValueError, TypeError, OverflowError) as error:
        raise reader.damaged("a column") from error
