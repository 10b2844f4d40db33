"""The data sets, and which of their labels a method is shown."""

import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn import datasets

import elbowroom as er
from elbowroom.data import Dataset, Examples

sys.path.insert(0, str(Path(__file__).parents[1]))

import growing

HERE = Path(__file__).parent
LABELS = {
    "digits": (50, 100, 200, 400),
    "mnist": (100, 600, 1_000, 3_000),
    "fashion-mnist": (100, 1_000),
    "breast-cancer": (20, 100),
    "wine": (12, 60),
    "iris": (12, 60),
}
TABLES = {
    "breast-cancer": datasets.load_breast_cancer,
    "wine": datasets.load_wine,
    "iris": datasets.load_iris,
}
IMAGES = 10_000  # of MNIST to train on, labelled ones among them


class Record(growing.Record):
    """One of this folder's records."""

    folder = HERE / "records"


@dataclass(frozen=True)
class Split:
    """Rows to train on, the places of those whose labels are shown, and rows to test on."""

    x: NDArray[np.float64]
    y: NDArray[np.int64]
    shown: NDArray[np.int64]
    test_x: NDArray[np.float64]
    test_y: NDArray[np.int64]

    @property
    def labels(self) -> NDArray[np.int64]:
        """The labels of the rows to train on, −1 where they are not shown."""
        hidden = np.full(len(self.y), -1)
        hidden[self.shown] = self.y[self.shown]
        return hidden


@cache
def _whole(name: str) -> tuple[NDArray[np.float64], NDArray[np.int64], int]:
    """x and y of rows to train on, then of those to test on, and how many the first are."""
    if name in TABLES:
        x, y = TABLES[name](return_X_y=True)
        order = np.random.default_rng(0).permutation(len(y))
        return x[order], y[order], len(y) * 7 // 10
    data = er.load_data(name, progress=False)
    train = [data.train, data.validation] if name == "digits" else [data.train[:IMAGES]]
    parts = [*train, data.test]
    x = np.concatenate([part.batch().x.numpy() for part in parts]).astype(np.float64)
    y = np.concatenate([part.labels.numpy() for part in parts if part.labels is not None])
    return x, y, len(y) - len(data.test)


def split(name: str, labels: int, draw: int, balanced: bool = True) -> Split:
    """So many labels, equally many of each class or drawn from all rows alike, by the number of the draw."""
    x, y, n = _whole(name)
    order = np.random.default_rng([draw, labels, n]).permutation(n)
    classes = np.unique(y)
    each = labels // len(classes) if balanced else 1  # one of each, or nobody could learn it
    shown = np.concatenate([order[y[order] == one][:each] for one in classes])
    others = order[~np.isin(order, shown)]
    shown = np.concatenate([shown, others[: labels - len(shown)]])
    return Split(x[:n], y[:n], shown, x[n:], y[n:])


def as_data(found: Split, *, labelled: bool) -> Dataset:
    """The rows to train on as a data set. The last epoch is kept, so that validation chooses nothing."""
    options: dict[str, Any] = {"labels": found.labels, "observed": "label"} if labelled else {}
    options |= {64: {}, 784: {"preprocess": "binarise"}}.get(found.x.shape[1], {"support": "real"})
    data = er.load_data(found.x, validation=1, test=1, progress=False, **options)
    data.train = whole(data)
    data.validation = data.train[:100]
    return data


def whole(data: Dataset) -> Examples:
    """All rows, in the order of the source."""
    parts = [part.batch() for part in data.parts.values()]
    order = torch.cat([part.index for part in parts]).argsort()
    observed = {
        name: tuple(torch.cat([part.observed[name][place] for part in parts])[order] for place in (0, 1))
        for name in parts[0].observed
    }
    x = torch.cat([part.x for part in parts])[order]
    return Examples(x, torch.arange(len(x)), observed=observed, data=data.sha256)
