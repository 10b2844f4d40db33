"""How often a reconstruction is taken for another class."""

from elbowroom.numerics import InputError

from ._small_classifier import SmallClassifier
from .arrays import Array
from .score import Score

__all__ = ["changed_class"]


def changed_class(classifier: SmallClassifier, x: Array, reconstructions: Array) -> Score:
    """The share of reconstructions [n, *event] that the classifier takes for another class than their originals.

    Raises InputError where there are not as many reconstructions as originals.
    """
    if len(x) != len(reconstructions):
        raise InputError(
            f"There are {len(reconstructions):,} reconstructions of {len(x):,} images; pass them in pairs."
        )
    share = float((classifier.classes(x) != classifier.classes(reconstructions)).double().mean())
    return Score(share, (share * (1 - share) / len(x)) ** 0.5, len(x))
