"""What the numbers of examples mean, which the numbers do not say: classes, levels, columns, and the scale of sizes."""

from collections.abc import Mapping, Sequence
from typing import Any

from elbowroom.numerics import InputError
from elbowroom.numerics.text import name_list

from .core import VAECore

__all__ = [
    "LEFT_OUT",
    "SIZE",
    "STATED",
    "TOO_SHALLOW",
    "VALUES",
    "is_deep",
    "observed_key",
    "refuse_other_classes",
    "refuse_other_meanings",
]

SIZE, VALUES, LEFT_OUT = "size", "x", "columns left out"
"""What is known of sizes (what they are divided by), of the values of x, and of columns that are not in x."""
STATED = "stated"
"""Of the values of x: that somebody said which they are, so that nothing was found or turned."""

TOO_SHALLOW = (
    "These images have 8 bits and the model learned from greys of more, beside which they are nearly black: give "
    "images of the same depth."
)
_DEEP = 2**12

Words = Sequence[str]


def observed_key(block: str) -> str:
    """Under which name the words of an observed block are known, as a context may have the same name."""
    return f"observed {block}"


def refuse_other_meanings(vae: VAECore, examples: Any) -> None:
    """Refuse examples whose numbers mean something else than those that a model learned from.

    Parameters
    ----------
    vae : VAE
        The model, with the `coding` of its data: words of contexts and blocks, the scale of sizes, the levels of x.
    examples : Any
        A part of a data set; anything else says nothing of its numbers, and is taken as the model's.

    Raises
    ------
    InputError
        In one sentence, for the first that differs.
    """
    ours, theirs = dict(getattr(vae, "coding", ())), dict(getattr(examples, "coding", ()))
    refuse_other_classes({name: ours[name] for name in vae.context_names if name in ours}, theirs)
    for block in getattr(examples, "observed", {}):
        key = observed_key(block)
        if key in ours and block in vae.posterior:
            _refuse_words(f"The observed block {block!r}", ours[key], theirs.get(key))
    if VALUES in ours and VALUES in theirs:
        _refuse_levels(ours[VALUES], theirs[VALUES])
    if LEFT_OUT in ours and theirs.get(LEFT_OUT) and theirs[LEFT_OUT] != ours[LEFT_OUT]:
        raise InputError(
            f"Of these examples the columns {name_list(theirs[LEFT_OUT])} were left out (counted from 0), and of the "
            f"model's {name_list(ours[LEFT_OUT]) or 'none'}: give an array of the model's columns alone."
        )


def is_deep(levels: str) -> bool:
    """Whether a grid is of greys of 12 bits or more, beside which those of 8 are nearly black.

    Parameters
    ----------
    levels : str
        How many, as `VAE.coding` holds it; "" where there are none.

    Returns
    -------
    bool
        From 4,096 on.

    Examples
    --------
    >>> is_deep("65536"), is_deep("256"), is_deep("")
    (True, False, False)
    """
    return levels.isdigit() and int(levels) >= _DEEP


def refuse_other_classes(known: Mapping[str, Words], theirs: Mapping[str, Words]) -> None:
    """Refuse contexts whose classes stand in another order or are others, and sizes on another scale.

    Parameters
    ----------
    known : mapping of str to sequence of str
        Contexts that the model reads, with the words of their classes; of "size" the number that sizes are divided by.
    theirs : mapping of str to sequence of str
        The same of the examples; of a context that is not there nothing is known.

    Raises
    ------
    InputError
        In one sentence.
    """
    for name, words in known.items():
        if name == SIZE and len(words) == 1 and theirs.get(name, words) != words:
            raise InputError(
                f"Sizes of these examples are divided by {theirs[name][0]}, the mean of the rows that they were loaded "
                f"with, and those that the model learned from by {words[0]}: annotate(model, cells, data=...) scores "
                "other cells by sizes on the model's scale."
            )
        _refuse_words(f"The context {name!r}", words, theirs.get(name))


def _refuse_words(what: str, ours: Words, theirs: Words | None) -> None:
    if theirs is not None and tuple(theirs) != tuple(ours):
        raise InputError(
            f"{what} means {name_list(theirs)} in these examples and {name_list(ours)} in the model's, in this order: "
            "load both in one table, or let annotate(model, cells, data=...) find them by name."
        )


def _refuse_levels(ours: Words, theirs: Words) -> None:
    """Refuse levels that were found on another scale: turned ones (k/15), and 0 and 1 alone, for a model of more."""
    (kind, levels, _), (their_kind, their_levels, how) = ours, theirs
    if (kind, levels) == (their_kind, their_levels):
        return
    turned, eight = how not in ("", STATED), kind == their_kind == "grid" and is_deep(levels) and their_levels == "256"
    if not turned and not eight and not (kind == "grid" and levels != "2" and their_kind in ("binary", "unit")):
        return
    found = _levels(their_kind, their_levels)
    found = f"{how}, and were taken for {found}" if turned else found
    raise InputError(
        f"The values of these examples are {found}, and the model learned from {_levels(kind, levels)}: 1 would mean "
        "something else. Give them on the model's scale, with support= said as it is there, so that none is found anew."
    )


def _levels(kind: str, levels: str) -> str:
    named = {"binary": "0 and 1", "unit": "the interval [0, 1]", "real": "real numbers"}
    return f"levels 0…{int(levels) - 1:,}" if kind == "grid" else named.get(kind, kind)
