"""Sentences about files that cannot be read, which readers of all kinds share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from elbowroom.numerics import InputError

__all__ = ["no_columns", "unreadable_error"]


def unreadable_error(path: Path, error: Exception | str) -> InputError:
    """The error about a file whose content is not what its reader needs.

    Parameters
    ----------
    path : Path
        The file.
    error : Exception or str
        What went wrong.

    Returns
    -------
    InputError
        To be raised.
    """
    reason = str(error).split("\n")[0].rstrip(".") or type(error).__name__
    return InputError(f"{str(path)!r} cannot be read ({reason}): it may be cut short or of another format.")


def no_columns(path: Path, labels: Any, beside: Sequence[str]) -> None:
    """Refuse names of columns where the source has none.

    Parameters
    ----------
    path : Path
        The source.
    labels : array, str or None
        As for `load_data`.
    beside : sequence of str
        Columns that were asked for.

    Raises
    ------
    InputError
        Where a name was given.
    """
    asked = [f"labels={labels!r}"] * isinstance(labels, str) + [repr(name) for name in beside]
    if asked:
        raise InputError(
            f"{path.name!r} has no columns by name, so {asked[0]} means nothing: give an array, or leave it out."
        )
