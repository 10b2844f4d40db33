"""Tables that are written of a run: samples and codes."""

from pathlib import Path
from typing import Any

import numpy as np

from elbowroom.atomic import write_atomic
from elbowroom.numerics import InputError

__all__ = ["refuse_ending", "write_table"]

_ENDINGS = (".csv", ".parquet", ".npy")


def refuse_ending(out: Path, what: str) -> None:
    """Refuse a file that `write_table` does not write, before there is anything to write.

    Parameters
    ----------
    out : Path
        The file.
    what : str
        What is written to it, as a sentence begins with it.

    Raises
    ------
    InputError
        For another ending.

    Examples
    --------
    >>> refuse_ending(Path("codes.csv"), "Codes")
    """
    if out.suffix.lower() not in _ENDINGS:
        raise InputError(f"{what} are written to {', '.join(_ENDINGS[:-1])} or {_ENDINGS[-1]}; got {out}.")


def write_table(columns: dict[str, Any], out: Path) -> Path:
    """Write named columns to a .csv, a .parquet or a .npy file.

    Parameters
    ----------
    columns : dict of array
        Name → [n], of numbers or words.
    out : Path
        The file; a .npy holds a structured array with these names as its fields.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        For another ending.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(write_table({"a": np.arange(2), "kind": ["u", "v"]}, Path(folder) / "t.csv").read_text(), end="")
    a,kind
    0,u
    1,v
    """
    import pandas

    frame = pandas.DataFrame(columns)
    writers = {
        ".csv": lambda path: frame.to_csv(path, index=False),
        ".parquet": lambda path: frame.to_parquet(path, index=False),
        ".npy": lambda path: _write_records(columns, path),
    }
    if out.suffix.lower() not in writers:
        raise InputError(f"A table is written to {', '.join(writers)}; got {out}.")
    write_atomic(out, writers[out.suffix.lower()])
    return out


def _write_records(columns: dict[str, Any], path: Path) -> None:
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    arrays = {name: a.astype(str) if a.dtype.kind == "O" else a for name, a in arrays.items()}
    records = np.empty(len(next(iter(arrays.values()))), [(name, a.dtype) for name, a in arrays.items()])
    for name, values in arrays.items():
        records[name] = values
    with path.open("wb") as file:
        np.save(file, records, allow_pickle=False)
