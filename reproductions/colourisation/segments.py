"""What the segments are: what they tell of an image's label, and how far they agree with clusters of patches."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_mutual_info_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

import elbowroom as er

PATCHES = ("colour", "grey", "grey and colour")
PERMUTATIONS, FITTED, COMPARED = 20, 30_000, 300
"""Permuted labels; patches that k-means is fitted to; test images of which all cells are compared."""

_FOUND: dict[tuple[Any, ...], tuple[NDArray[np.int64], NDArray[np.int64]]] = {}


@torch.no_grad()
def segmented(vae: er.VAE, examples: Any, part: str = "posterior") -> NDArray[np.int64]:
    """The likeliest class of every cell under q(z | colour, grey), or under "prior" p(z | grey), [n, h, w]."""
    found = []
    for start in range(0, len(examples), 500):
        given, _ = vae.given(examples.rows(slice(start, start + 500)), {})
        found.append(getattr(vae, part)["z"](given).mean[0].argmax(-1))
    return np.asarray(torch.cat(found))


def patches(examples: Any, of: str, grid: int) -> NDArray[np.float64]:
    """The grey values, chroma levels or both of every cell, [n, h, w, numbers], on their usual scales."""
    batch = examples.batch()
    read = {"colour": [batch.x / 4], "grey": [10 * batch.context["grey"]]}
    images = torch.cat(read[of] if of in read else [*read["colour"], *read["grey"]], 1)
    cells = images.unflatten(-1, (grid, -1)).unflatten(-3, (grid, -1))  # [n, c, h, a, w, b]
    return np.asarray(cells.permute(0, 2, 4, 1, 3, 5).flatten(3), np.float64)


def clusters(data: Any, of: str, classes: int, grid: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Clusters of the patches of training and of test images, [n, h, w], by k-means on the first; found once."""
    about = (data.sha256, of, classes, grid)
    if about not in _FOUND:
        _FOUND[about] = _clusters(data, of, classes, grid)
    return _FOUND[about]


def _clusters(data: Any, of: str, classes: int, grid: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    train, test = (patches(part, of, grid) for part in (data.train, data.test))
    flat = train.reshape(-1, train.shape[-1])
    chosen = np.random.default_rng(0).choice(len(flat), min(FITTED, len(flat)), replace=False)
    found = KMeans(classes, n_init=3, random_state=0).fit(flat[chosen])
    of_train, of_test = (found.predict(p.reshape(-1, p.shape[-1])).reshape(p.shape[:3]) for p in (train, test))
    return of_train, of_test


def counts(segments: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """The share of every class among the cells of an image, [n, classes]."""
    return np.stack([(segments == k).mean((1, 2)) for k in range(classes)], 1)


def probed(train: NDArray[Any], test: NDArray[Any], data: Any, classes: int) -> dict[str, Any]:
    """Accuracy of a logistic regression from counts of segments to labels, and with training labels permuted."""
    read, tested = counts(train, classes), counts(test, classes)
    y, y_test = (np.asarray(part.labels) for part in (data.train, data.test))

    def accuracy(labels: NDArray[Any]) -> float:
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
        return float((model.fit(read, labels).predict(tested) == y_test).mean())

    found, generator = accuracy(y), np.random.default_rng(0)
    permuted = [accuracy(generator.permutation(y)) for _ in range(PERMUTATIONS)]
    error = float(np.sqrt(found * (1 - found) / len(y_test)))
    return {"accuracy": [found, error], "permuted": [float(np.mean(permuted)), float(np.std(permuted, ddof=1))]}


def agreement(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Adjusted mutual information of two segmentations of the same images, over all cells."""
    return float(adjusted_mutual_info_score(one[:COMPARED].ravel(), other[:COMPARED].ravel()))


def of_model(vae: er.VAE, data: Any, classes: int, grid: int) -> dict[str, Any]:
    """Of q(z | colour, grey) and of p(z | grey): probe, and agreement with clusters of patches."""
    found: dict[str, Any] = {}
    for part in ("posterior", "prior"):
        train, test = (segmented(vae, examples, part) for examples in (data.train, data.test))
        found[part] = probed(train, test, data, classes)
        found[part]["shares"] = counts(test, classes).mean(0).tolist()
        found[part]["agreement"] = {of: agreement(test, clusters(data, of, classes, grid)[1]) for of in PATCHES}
    return found


def of_clusters(data: Any, of: str, classes: int, grid: int) -> dict[str, Any]:
    """The same of k-means on patches."""
    train, test = clusters(data, of, classes, grid)
    found = probed(train, test, data, classes) | {"shares": counts(test, classes).mean(0).tolist()}
    found["agreement"] = {other: agreement(test, clusters(data, other, classes, grid)[1]) for other in PATCHES}
    return found


def mean_colours(segments: NDArray[Any], colours: Tensor, classes: int) -> NDArray[np.float64]:
    """The mean chroma levels [classes, 2] of the cells of every class; of none the middle."""
    grid = segments.shape[1]
    cells = np.asarray(colours.unflatten(-1, (grid, -1)).unflatten(-3, (grid, -1)).mean((3, 5))).transpose(0, 2, 3, 1)
    middle = cells.reshape(-1, 2).mean(0)
    return np.stack([cells[segments == k].mean(0) if (segments == k).any() else middle for k in range(classes)])
