"""How a study was asked for, typed or called, and how to ask for it again."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elbowroom.data import Dataset

__all__ = ["Asked", "called", "typed"]

_OF_THE_FOLDER = ("--resume", "--overwrite")  # what a study does with the folder that is there, not what it is


@dataclass(frozen=True)
class Asked:
    """What asks for a study, and the words in which it can be told what to do with its folder.

    Attributes
    ----------
    text : str
        The command, or the call in Python.
    going_on : str
        What goes on where the study failed.
    overwrite, resume, elsewhere : str
        The options of the folder.
    """

    text: str
    going_on: str
    overwrite: str
    resume: str
    elsewhere: str


def typed(command: str) -> Asked:
    """A command line.

    Parameters
    ----------
    command : str
        As it was typed.

    Returns
    -------
    Asked
        Goes on by the same command with --resume, and without what would delete the folder.

    Examples
    --------
    >>> typed("elbowroom study digits --overwrite --draws 8").going_on
    '`elbowroom study digits --draws 8 --resume`'
    """
    words = [word for word in shlex.split(command) if word not in _OF_THE_FOLDER]
    again = shlex.join([*words, "--resume"])
    return Asked(command, f"`{again}`", "--overwrite", "--resume", "name another folder with --folder")


def called(data: Any, folder: str | Path | None, options: Mapping[str, tuple[Any, Any]]) -> Asked:
    """A call in Python.

    Parameters
    ----------
    data : Dataset or Any
        As it was given.
    folder : str, Path or None
        As it was given.
    options : mapping of str to (Any, Any)
        Each argument and its default; those that differ are said.

    Returns
    -------
    Asked
        Goes on by the same call with resume=True.

    Examples
    --------
    >>> called("digits", "st", {"epochs": (3, None), "seed": (0, 0)}).text
    'er.study("digits", "st", epochs=3)'
    """
    given = [data.name if data.name.isidentifier() else "…"] if isinstance(data, Dataset) else [_shown(data)]
    given += [] if folder is None else [_shown(folder)]
    given += [f"{name}={_shown(value)}" for name, (value, default) in options.items() if _differs(value, default)]
    call = f"er.study({', '.join(given)})"
    way_out = "name another folder"
    return Asked(call, "the same call with resume=True", "overwrite=True", "resume=True", way_out)


def _differs(value: Any, default: Any) -> bool:
    return value is not None if default is None else value != default


def _shown(value: Any) -> str:
    """A plain value as Python writes it; "…" for any other."""
    if isinstance(value, Path):
        return _shown(str(value))
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_shown(name)}: {_shown(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        inside = ", ".join(map(_shown, value))
        return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' * (len(value) == 1)})"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return repr(value) if value is None or type(value) in (bool, int, float) else "…"
