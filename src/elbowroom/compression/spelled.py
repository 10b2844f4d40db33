"""Columns beside x as they are spelled, and what training reads in them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from elbowroom.data.cells import NAMES, Origin
from elbowroom.data.notation import absent
from elbowroom.data.series import words_or_numbers
from elbowroom.numerics import InputError

from .columns import Column
from .contexts import Contexts

__all__ = ["as_they_stand", "read_beside"]


def read_beside(name: str, own: pd.Series, stands: pd.Series, words: Sequence[str], origin: Origin) -> NDArray[Any]:
    """What training reads in a column of contexts.

    Parameters
    ----------
    name : str
        What errors call it.
    own : Series
        As training has it before it is judged.
    stands : Series
        The same as it stands in the file.
    words : sequence of str
        That the model knows there; none where it reads numbers.
    origin : Origin
        Where it comes from.

    Returns
    -------
    array
        [n], numbers or texts, None where one is missing. Cells that all are words of the model are these, also where
        training, of other rows, would take them for numbers.

    Raises
    ------
    InputError
        For numbers that may be read in two ways.
    """
    cells, known = [one.strip() if isinstance(one, str) else None for one in stands], set(words)
    if known and all(one in known for one in cells):
        return np.array([*cells, None], object)[:-1]
    try:
        read = np.asarray(words_or_numbers(own, origin))
    except InputError as error:
        raise InputError(str(error).replace(NAMES, repr(name))) from error
    if read.dtype.kind != "O":
        return read
    return np.array([*(None if absent(one) else str(one) for one in read), None], object)[:-1]


def as_they_stand(contexts: Contexts, columns: dict[str, NDArray[Any]]) -> Contexts:
    """Contexts as the user's columns spell them, where the model reads the same in these.

    Parameters
    ----------
    contexts : Contexts
        As training reads them.
    columns : dict of array
        The user's, by name.

    Returns
    -------
    Contexts
        Those whose spelling the model does not read stand there as training reads them, beside the user's column.
    """
    found = []
    for one in contexts.all:
        if one.called is not None:
            own = replace(one, column=Column.of(one.called, columns[one.called]))
            one = own if own.reads_as(one) else replace(one, called=None)
        found.append(one)
    return Contexts(tuple(found))
