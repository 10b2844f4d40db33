"""One thing to do next, and how it is asked for: what the rules of `advice` and those of the audit have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elbowroom.numerics import Estimate
from elbowroom.numerics._standard_errors import standard_errors
from elbowroom.records import StudyRecord

from .commands import again

__all__ = ["LEAST", "NOT_MEASURED", "Advice", "clear", "command", "sure", "wider"]

NOT_MEASURED = "not measured"
LEAST = 0.05  # nats per example that are worth a line


@dataclass(frozen=True)
class Advice:
    """One thing to do.

    Attributes
    ----------
    sentence : str
        What was measured, and what follows.
    run : str
        A command line or a call that does it; empty where none can be written down.
    worth : str
        What it could win, in words.
    nats : float, optional
        The same as a number, by which advice is ordered; None where it was not measured.
    """

    sentence: str
    run: str
    worth: str = NOT_MEASURED
    nats: float | None = None


def command(study: StudyRecord, name: str, axes: Mapping[str, Sequence[Any]] | None = None, **words: Any) -> str:
    """The study again with other words, in a folder of this name beside it.

    Parameters
    ----------
    study : StudyRecord
        The study.
    name : str
        What the new folder's name ends in.
    axes : mapping of str to sequence, optional
        What it sweeps over in place of the old axes.
    **words : Any
        Epochs, and words of its recipe.

    Returns
    -------
    str
        As `again`.
    """
    return again(study.last.command, f"{study.folder}-{name}", axes, **words)


def sure(gap: Estimate) -> bool:
    """Whether a gap is worth a line, and at 95 % above 0, by Student's t.

    Parameters
    ----------
    gap : Estimate
        In nats per example.

    Returns
    -------
    bool
        False of one example, which says nothing of its error.

    Examples
    --------
    >>> common = {"quantity": "gap", "estimator": "by hand", "direction": "none"}
    >>> [sure(Estimate.of(values, **common)) for values in ([1.0, 3.0], [1.9, 2.1], [0.01, 0.01])]
    [False, True, False]
    """
    return gap.mean > max(LEAST, standard_errors(len(gap)) * gap.se_total)


def clear(value: float, error: float, points: int) -> bool:
    """Whether a difference is, at 95 % and by Student's t, not 0, on whichever side it lies.

    Parameters
    ----------
    value, error : float
        The difference and its standard error.
    points : int
        Over how many it is a mean.

    Returns
    -------
    bool
        False of one, which says nothing of its error.

    Examples
    --------
    >>> clear(-1.0, 0.1, 50), clear(-1.0, 0.6, 50), clear(1.0, 0.1, 2), clear(1.0, 0.0, 1)
    (True, False, False, False)
    """
    return abs(value) > standard_errors(points) * error


def wider(study: StudyRecord) -> list[int]:
    """Twice the hidden layers of the encoder, where it is an MLP.

    Parameters
    ----------
    study : StudyRecord
        The study.

    Returns
    -------
    list of int
        Empty where it is none.
    """
    found = _widths((study.recipe or {}).get("posterior"))
    return [2 * width for width in found[1:-1]]


def _widths(part: Any) -> list[int]:
    """Those of the first MLP in a part of a recipe.

    >>> _widths({"kind": "diagonal-normal", "network": {"kind": "standardised", "network": {"widths": [4, 8, 2]}}})
    [4, 8, 2]
    """
    if not isinstance(part, Mapping):
        return []
    if isinstance(part.get("widths"), list):
        return list(part["widths"])
    return next((found for one in part.values() if (found := _widths(one))), [])
