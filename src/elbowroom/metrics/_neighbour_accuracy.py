"""How well labels of neighbours tell labels."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["neighbour_accuracy"]


def neighbour_accuracy(
    train: NDArray[np.floating],
    train_labels: NDArray[np.int64],
    test: NDArray[np.floating],
    test_labels: NDArray[np.int64],
    *,
    k: int = 5,
) -> float:
    """Share of test rows that a k-nearest-neighbour vote over the training rows labels rightly.

    >>> rows = np.array([[0.0], [0.1], [5.0], [5.1]])
    >>> neighbour_accuracy(rows, np.array([0, 0, 1, 1]), np.array([[0.05]]), np.array([0]), k=1)
    1.0
    """
    from sklearn.neighbors import KNeighborsClassifier

    k = min(k, len(train))
    return float(KNeighborsClassifier(k).fit(train, train_labels).score(test, test_labels))
