"""How the rows of an array lie beside those of a model: alike, or with the channels of images last."""

from collections.abc import Sequence

import numpy as np

from elbowroom.data.arrays import ranks_of_channels
from elbowroom.numerics import InputError

__all__ = ["channels_last"]

_ALPHA = {4: 3, 2: 1}


def channels_last(shape: Sequence[int], event: Sequence[int]) -> bool:
    """Whether an array holds images whose channels come last where the model, as `load_data` does, has them first.

    Parameters
    ----------
    shape : sequence of int
        Of the array, [n, …].
    event : sequence of int
        Of one example of the model.

    Returns
    -------
    bool
        False where rows are taken as they are.

    Raises
    ------
    InputError
        For rows of another size, or of another shape than the model's, which would be read scrambled.
    """
    row, event = tuple(shape[1:]), tuple(event)
    _refuse_other_sizes(row, event)
    if row == event:
        return False
    if len(row) == 3 and row[2] > 1:
        first, last = ranks_of_channels(shape)
        turned = (row[2], *row[:2])
        if _alike(turned, event) and (len(event) > 1 or last > first):
            return True
    if not _alike(row, event):
        raise InputError(
            f"The rows of this array are of shape {row}, and the model is over {event}: give them in that shape, which "
            f"says what stands where."
        )
    return False


def _alike(row: tuple[int, ...], event: tuple[int, ...]) -> bool:
    """Whether rows are those of the model but for sides of 1; flat ones are, where no channels can be meant."""
    row, event = (tuple(side for side in one if side > 1) for one in (row, event))
    return row == event or len(event) < 2 or (len(row) < 2 and len(event) == 2)


def _refuse_other_sizes(row: tuple[int, ...], event: tuple[int, ...]) -> None:
    held, wanted = int(np.prod(row)), int(np.prod(event))
    if held == wanted:
        return
    alpha = len(row) == 3 and any(_ALPHA.get(side, 0) * held == wanted * side for side in (row[0], row[2]))
    what = "leave out the alpha channel, as training does where it is the same everywhere" if alpha else (
        "give data like those it was trained on"
    )  # fmt: skip
    raise InputError(f"The rows of this array have {held:,} values each, and the model is over {wanted:,}: {what}.")
