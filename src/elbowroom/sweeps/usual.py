"""How long and how fast models are trained where nobody says."""

import math
from collections.abc import Collection, Mapping
from typing import Any

from elbowroom.training.adam import CLIP

__all__ = ["usual_training"]

_FEW_ROWS = 1_000
_MOST_EPOCHS = 400  # of few rows, which a model has long learned by heart
_RATES = 3e-3, 3e-4
_USUAL_RATE = 1e-3
_LEAST_PATIENCE = 10


def usual_training(
    said: Mapping[str, Any], rows: int, *, axes: Collection[str] = (), epochs: int | None = None
) -> dict[str, Any]:
    """Settings of `fit`, those that are left open filled in.

    Parameters
    ----------
    said : mapping
        Settings that are said.
    rows : int
        Training examples.
    axes : collection of str, default none
        Words that models differ in.
    epochs : int, optional
        Where `said` has none; default as many as make 4,000 steps of 100 rows, or 3,000 of 32 where there are fewer
        than 1,000, at most 400.

    Returns
    -------
    dict of str to Any
        With epochs, batch_size, lr, lr_final, clip and patience. A learning rate that nobody says falls. Where one
        falls nothing stops early, as its last epochs are to come; else a model stops after a tenth of its epochs, at
        least 10, without a better validation value.

    Examples
    --------
    >>> usual_training({}, 1_200)
    {'epochs': 334, 'batch_size': 100, 'lr': 0.003, 'lr_final': 0.0003, 'clip': 10.0, 'patience': None}
    >>> usual_training({"lr": 1e-3, "epochs": 200}, 1_200)
    {'epochs': 200, 'batch_size': 100, 'lr': 0.001, 'lr_final': None, 'clip': 10.0, 'patience': 20}
    >>> usual_training({}, 150, axes=["lr"])
    {'epochs': 400, 'batch_size': 32, 'lr': 0.001, 'lr_final': None, 'clip': 10.0, 'patience': 40}
    """
    steps, batch_size = (4_000, 100) if rows >= _FEW_ROWS else (3_000, 32)
    batch_size = said.get("batch_size", batch_size)
    if epochs is None:
        epochs = min(math.ceil(steps / math.ceil(rows / batch_size)), _MOST_EPOCHS)
    epochs = said.get("epochs", epochs)
    open_rate = not {"lr", "lr_final"} & {*said, *axes}
    lr, lr_final = _RATES if open_rate else (_USUAL_RATE, None)
    falls = open_rate or said.get("lr_final") is not None or "lr_final" in axes
    patience = None if falls or not isinstance(epochs, int) else max(epochs // 10, _LEAST_PATIENCE)
    rates = {"lr": lr, "lr_final": lr_final, "clip": CLIP}
    return {"epochs": epochs, "batch_size": batch_size, **rates, "patience": patience, **said}
