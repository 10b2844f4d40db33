"""Reliability of predicted probabilities: how often the predicted class was right, by how probable it was."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes

from elbowroom.numerics import InputError, plain_arguments
from elbowroom.numerics._standard_errors import share_error

from ._curves import Series, lines

__all__ = ["reliability"]


@plain_arguments
def reliability(curves: Mapping[str, Any], *, ax: Axes | None = None) -> Axes:
    """Accuracy against confidence, bin by bin, with 95 % intervals; calibrated probabilities lie on the dashed line.

    Parameters
    ----------
    curves : mapping of str to Reliability
        What `er.metrics.reliability` returns, by the names in the key.
    ax : Axes, default None
        Where to draw; None: a new figure.

    Returns
    -------
    Axes
        With the figure on it.

    Raises
    ------
    InputError
        For no curve.

    Examples
    --------
    >>> from elbowroom.metrics import reliability as measured
    >>> ax = reliability({"M2": measured([[0.9, 0.1]] * 10, [0] * 6 + [1] * 4)})
    >>> [line.get_label() for line in ax.get_lines()]
    ['M2 (error 0.300)', 'calibrated']
    """
    if not curves:
        raise InputError("A reliability figure needs one curve or more, as er.metrics.reliability returns them.")
    found = [
        Series(f"{name} (error {one.error:.3f})", one.confidence, one.accuracy, _errors(one))
        for name, one in curves.items()
    ]
    diagonal = Series("calibrated", [0.0, 1.0], [0.0, 1.0], look="dashed")
    limits = (-0.02, 1.02)
    return lines(
        [*found, diagonal], across="probability of the predicted class", up="share that was right", limits=limits, ax=ax
    )


def _errors(curve: Any) -> list[float]:
    return [share_error(float(share), int(n)) for share, n in zip(curve.accuracy, curve.n, strict=True)]
