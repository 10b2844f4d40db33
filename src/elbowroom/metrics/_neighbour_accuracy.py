"""How well labels of neighbours tell labels."""

import numpy as np
from numpy.typing import NDArray

from elbowroom.numerics import plain_arguments

__all__ = ["neighbour_accuracy"]


@plain_arguments
def neighbour_accuracy(
    train: NDArray[np.floating],
    train_labels: NDArray[np.int64],
    test: NDArray[np.floating],
    test_labels: NDArray[np.int64],
    *,
    k: int = 5,
) -> float:
    """Share of test rows whose label the k nearest training rows give by vote.

    Of latent means beside x it says how far classes stand apart in the latent space.

    Parameters
    ----------
    train : array
        [n, columns].
    train_labels : array
        Class codes, [n].
    test : array
        [m, columns].
    test_labels : array
        Class codes, [m].
    k : int, default 5
        Neighbours, or n where there are fewer rows.

    Returns
    -------
    float
        Between 0 and 1.

    Examples
    --------
    >>> rows = np.array([[0.0], [0.1], [5.0], [5.1]])
    >>> neighbour_accuracy(rows, np.array([0, 0, 1, 1]), np.array([[0.05]]), np.array([0]), k=1)
    1.0
    """
    from sklearn.neighbors import KNeighborsClassifier

    k = min(k, len(train))
    return float(KNeighborsClassifier(k).fit(train, train_labels).score(test, test_labels))
