"""How often a reconstruction is taken for another class."""

from elbowroom.numerics import InputError
from elbowroom.numerics._standard_errors import share_error

from ._small_classifier import SmallClassifier
from .arrays import Array
from .score import Score

__all__ = ["changed_class"]


def changed_class(classifier: SmallClassifier, x: Array, reconstructions: Array) -> Score:
    """Share of reconstructions that a classifier takes for another class than their originals.

    Parameters
    ----------
    classifier : SmallClassifier
        Trained on images of this scale.
    x : array or Tensor
        The originals, [n, *event].
    reconstructions : array or Tensor
        Theirs, [n, *event].

    Returns
    -------
    Score
        The share, with its binomial standard error.

    Raises
    ------
    InputError
        Where there are not as many reconstructions as originals.

    Examples
    --------
    >>> import torch
    >>> from elbowroom.metrics import small_classifier
    >>> images = torch.zeros(200, 6, 6)
    >>> images[100:, :3] = 1.0
    >>> classifier = small_classifier(images, torch.arange(200) // 100, epochs=20)
    >>> print(changed_class(classifier, images[[0, 150]], images[[0, 0]]))
    0.5 ± 0.35 (n = 2)
    """
    before, after = classifier.classes(x), classifier.classes(reconstructions)
    n = len(before)
    if n != len(after):
        raise InputError(f"There are {len(after):,} reconstructions of {n:,} images; pass them in pairs.")
    share = float((before != after).double().mean())
    return Score(share, share_error(share, n), n)
