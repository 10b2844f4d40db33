"""Faults that were looked for, as rows of a table."""

from collections.abc import Sequence

from elbowroom.records import FindingRecord

__all__ = ["CAPTION", "by_word", "found_word"]

CAPTION = (
    "Every fault that was looked for, with the number that decided, ± one standard error, and its threshold. Yes: the "
    "number is beyond it by more than its error allows for, or the words say what else decided. Not sure: it is beyond "
    "it, but not by its error, or other numbers speak against it. Beyond is above, and for collapsed below."
)
_BELOW = ("collapsed",)  # faults that are there where the number is small
_BY_DESIGN = "is a bound by how it is made"  # what a finding says where a number says nothing against a bound
_WORDS = ("yes", "not sure", "no")


def found_word(one: FindingRecord) -> str:
    """Whether a fault is there, in a word.

    Parameters
    ----------
    one : FindingRecord
        As the verdict left it.

    Returns
    -------
    {"yes", "not sure", "no"}
        "not sure" where the number is beyond its threshold and the fault was not found all the same.

    Examples
    --------
    >>> from elbowroom.records import Number
    >>> def found(name, value):
    ...     return found_word(FindingRecord(name, False, Number(value, 0.3), 0.5, "nats", "", "Not found."))
    >>> found("overfitted", 0.9), found("overfitted", 0.4), found("collapsed", 0.4)
    ('not sure', 'no', 'not sure')
    """
    if one.found:
        return "yes"
    value = one.value.value
    beyond = value < one.threshold if one.name in _BELOW else value > one.threshold
    return "not sure" if beyond and _BY_DESIGN not in one.sentence else "no"


def by_word(findings: Sequence[FindingRecord]) -> list[FindingRecord]:
    """Those that were found first, then those of which nobody can be sure.

    Parameters
    ----------
    findings : sequence of FindingRecord
        All that were looked for.

    Returns
    -------
    list of FindingRecord
        In their order otherwise.
    """
    return sorted(findings, key=lambda one: _WORDS.index(found_word(one)))
