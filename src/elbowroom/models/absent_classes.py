"""Classes that no example to learn from has as its label."""

from collections.abc import Sequence

from elbowroom.data import Dataset
from elbowroom.numerics import InputError

__all__ = ["refuse_absent"]


def refuse_absent(name: str, words: Sequence[str], data: Dataset) -> None:
    """Refuse a block of classes of which a class, or all, is known for no training example.

    Parameters
    ----------
    name : str
        Of the block.
    words : sequence of str
        The classes.
    data : Dataset
        Its parts hold the block.

    Raises
    ------
    InputError
        Which says where the labels of the class are, and the ways out.
    """
    blocks = {part: rows.observed[name] for part, rows in data.parts.items() if name in rows.observed}
    counts = {part: (value * mask.unsqueeze(1)).sum(0) for part, (value, mask) in blocks.items()}
    absent = [place for place in range(len(words)) if not counts["train"][place]]
    if len(absent) == len(words):
        raise InputError(
            f"No training example has a {name}, so that nothing says which class is which: label some of each class, "
            f"or leave classes= out."
        )
    if absent:
        place = absent[0]
        held = ", ".join(f"{int(n[place]):,} in {part}" for part, n in counts.items() if n[place]) or "none anywhere"
        raise InputError(
            f"No training example is labelled {words[place]!r} of {name} ({held}): a class without a label there "
            f"cannot be told from the others; label one, leave those labels out, or split by another seed."
        )
