"""Faults that an audit looked for, and what it means that none was found."""

from collections.abc import Sequence
from dataclasses import dataclass

from elbowroom.numerics import count

from .values import Number

__all__ = ["FindingRecord", "none_found"]

_FEWEST = 5  # examples of which "not found" says anything


@dataclass(frozen=True)
class FindingRecord:
    """A fault that was looked for, and the number that decided whether it is there.

    Parameters
    ----------
    name : str
        Such as "collapsed" or "overfitted".
    found : bool
        Whether it is there.
    value : Number
        What decided.
    threshold : float
        What it was held against, in the same unit.
    unit : str
        Such as "nats" or "points".
    cause : str
        What brought it about, where that can be told; "" where not.
    sentence : str
        In words, the number and its threshold included.
    """

    name: str
    found: bool
    value: Number
    threshold: float
    unit: str
    cause: str
    sentence: str


def none_found(findings: Sequence[FindingRecord]) -> str:
    """What it means that no fault was found: health, or too few examples for any fault to be sure.

    Parameters
    ----------
    findings : sequence of FindingRecord
        All that were looked for, of which none was found.

    Returns
    -------
    str
        A sentence.

    Examples
    --------
    >>> for n in (2, 100):
    ...     print(none_found([FindingRecord("overfitted", False, Number(0.1, 0.2, n), 0.5, "nats", "", "")]))
    No verdict: none of 1 fault that were looked for could be sure, as some were measured on 2 examples.
    Healthy: none of 1 fault that were looked for was found.
    """
    looked = f"none of {count(len(findings), 'fault')} that were looked for"
    fewest = min((one.value.n for one in findings if one.value.n is not None), default=_FEWEST)
    if fewest < _FEWEST:
        return f"No verdict: {looked} could be sure, as some were measured on {count(fewest, 'example')}."
    return f"Healthy: {looked} was found."
