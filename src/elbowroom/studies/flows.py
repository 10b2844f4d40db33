"""A normalising flow without latents: a masked autoregressive flow, trained until validation stops improving."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from elbowroom.distributions.flows import zuko
from elbowroom.numerics import count
from elbowroom.numerics.seeded import seeded
from elbowroom.training.descent import descend, scored

from .candidates import Array, Axis, Family, Fitted, Learned, Setting

__all__ = ["normalising_flow", "why_no_flow"]

_WIDTHS, _TRANSFORMS = (32, 128), 3
_FEWEST_ROWS, _MOST_COLUMNS = 60, 100
_LR, _MOST_STEPS = 2e-3, 500


def why_no_flow(rows: int, dimensions: int) -> str | None:
    """Why no normalising flow is trained on these data, in words; None where one is.

    Parameters
    ----------
    rows, dimensions : int
        Of the training data.

    Returns
    -------
    str or None
        A sentence.
    """
    if dimensions > _MOST_COLUMNS:
        return (
            f"The normalising flow is left out: over {_MOST_COLUMNS} columns it would take longer than all other "
            "baselines together."
        )
    if rows < _FEWEST_ROWS:
        return f"The normalising flow is left out: it is trained on {_FEWEST_ROWS} rows or more, and there are {rows}."
    return "The normalising flow is left out: a single column leaves it nothing to mask." if dimensions < 2 else None


def normalising_flow(validation: Array, seed: int) -> Family:
    """A masked autoregressive flow, of two widths.

    Parameters
    ----------
    validation : array
        Rows [n, dimensions], by which training is stopped.
    seed : int
        Of the weights, and of the batches.

    Returns
    -------
    Family
        Its setting is (width,).

    References
    ----------
    Papamakarios, Pavlakou & Murray, "Masked autoregressive flow for density estimation" (2017).
    """

    def words(setting: Setting) -> str:
        nets = f"{count(_TRANSFORMS, 'step')} with {setting[0]} units in two layers"
        return f"masked autoregressive flow, {nets}, stopped by validation within {_MOST_STEPS} steps of Adam"

    return Family(
        "normalising flow",
        (Axis("width", _WIDTHS, (None, "a wider one would take too long")),),
        tuple((width,) for width in _WIDTHS),
        lambda setting, train: _Flow(train, validation, setting[0], seed).fitted(),
        words,
        by_folds=False,
        copied=False,
    )


class _Flow:
    """A flow of columns that were standardised, which it does itself."""

    def __init__(self, train: Learned, validation: Array, width: int, seed: int) -> None:
        moments = train.moments
        self.mean, self.scale = moments.mean, np.sqrt(np.maximum(np.diag(moments.covariance), 1e-300))
        self.total = float(np.trace(moments.covariance))
        with seeded(seed):
            self.flow: Any = zuko().flows.MAF(
                train.dimensions, transforms=_TRANSFORMS, hidden_features=(width, width), randperm=True
            )
            descend(
                self.flow,
                self._log_prob,
                self._read(train.rows),
                self._read(validation),
                lr=_LR,
                steps=_MOST_STEPS,
            )

    def _read(self, rows: Array) -> torch.Tensor:
        return torch.from_numpy(((rows - self.mean) / self.scale).astype(np.float32))

    def _log_prob(self, rows: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.flow().log_prob(rows)
        return found

    def scores(self, rows: Array) -> NDArray[np.float64]:
        """log p of rows [n, dimensions], [n]."""
        return scored(self._log_prob, self._read(rows)).double().numpy() - float(np.log(self.scale).sum())

    def fitted(self) -> Fitted:
        """A density without a latent, so all variance is within."""
        return Fitted(self.scores, (0.0, self.total))
