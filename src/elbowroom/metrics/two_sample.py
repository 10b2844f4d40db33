"""Can a classifier tell samples from data? Held-out log-odds of three fixed classifiers."""

import math
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit
from torch import Generator, Tensor

from elbowroom.numerics import InputError, narrow_seed, own_modes, plain_arguments
from elbowroom.numerics._standard_errors import standard_errors
from elbowroom.progress import Progress

from ._small_classifier import train_small
from .arrays import Array, as_images, as_tensor, equal_sizes

__all__ = ["CLASSIFIERS", "TwoSample", "classifier_two_sample"]

_FITTED, _CHOOSING = 0.6, 0.1
_FEWEST = 100
_COLUMNS = 32
_ROUNDS, _TREES_A_ROUND = 10, 10
_PENALTIES = (1e-4, 1e-3, 1e-2)
_SHARPEST = 4.0

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
_OfRows = Callable[[Tensor], Floats]


@dataclass(frozen=True)
class TwoSample:
    """How well one classifier tells samples from data that it has not seen.

    Standard errors are over the held-out examples, for the classifier as it was trained.

    Parameters
    ----------
    classifier : str
        Which one.
    log_odds : float
        Mean log p(right answer) − log ½, nats: 0 for a classifier that guesses, log 2 = 0.693 at most. A lower bound on
        the Jensen–Shannon divergence between the distributions of data and samples.
    se : float
        Its standard error.
    accuracy : float
        Share of right answers; ½ for a classifier that guesses.
    accuracy_se : float
        Its standard error.
    n : int
        Held-out examples, data and samples together.
    """

    classifier: str
    log_odds: float
    se: float
    accuracy: float
    accuracy_se: float
    n: int

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the log-odds, in nats, by Student's t of half the examples: data, or samples, alone."""
        half = standard_errors(self.n / 2) * self.se
        return self.log_odds - half, self.log_odds + half

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"{self.classifier}: log-odds {self.log_odds:z.4f} nats (95 % {low:z.4f} … {high:z.4f}), "
            f"accuracy {self.accuracy:.1%} ± {self.accuracy_se:.1%}, {self.n:,} held out"
        )


class _Part(NamedTuple):
    x: Tensor
    labels: Labels


class _Columns(NamedTuple):
    scaled: _OfRows  # standardised
    of_one_unit: _OfRows  # images as they are, others standardised


@own_modes
@plain_arguments
def classifier_two_sample(
    data: Array,
    samples: Array,
    *,
    classifier: Literal["logistic", "trees", "convolutional"] = "logistic",
    image_shape: Sequence[int] | None = None,
    seed: int = 0,
) -> TwoSample:
    """Train a classifier to tell samples from data, and measure on held-out rows how well it does.

    Both must lie on the data's grid, or the grid alone gives the samples away; take data that the model was not trained
    on. The value of a perfect model is that of training data in place of the samples.

    Parameters
    ----------
    data : array or Tensor
        [n, *event], n ≥ 100.
    samples : array or Tensor
        [n, *event], of the same scale.
    classifier : {"logistic", "trees", "convolutional"}, default "logistic"
        "logistic" on standardised elements; "trees", gradient-boosted, on 32 principal components and 32 elements;
        "convolutional", for images, the network of `small_classifier`.
    image_shape : sequence of int, optional
        (H, W) or (C, H, W), where images are given as rows. Elements of images have one unit, and one that hardly
        varies counts for little; columns of other rows may have any, and all count alike.
    seed : int, default 0
        Of the split: 60 % of the rows train the classifier, 10 % choose its penalty, stage or epoch and the temperature
        of its log-odds, 30 % measure it.

    Returns
    -------
    TwoSample
        Held-out log-odds in nats, and accuracy.

    Raises
    ------
    InputError
        For unequal sizes, fewer than 100 rows, or what are no images where these are needed.

    References
    ----------
    Lopez-Paz & Oquab, "Revisiting Classifier Two-Sample Tests" (2017).

    Examples
    --------
    >>> data, samples = torch.randn(2, 500, 4, generator=torch.Generator().manual_seed(0))
    >>> result = classifier_two_sample(data, samples + 2)
    >>> result.log_odds > 0.6, result.accuracy > 0.95, result.n
    (True, True, 300)
    """
    if classifier not in _KINDS:
        raise InputError(f"There is no classifier {classifier!r}; there are: {', '.join(CLASSIFIERS)}.")
    equal_sizes(data, samples, _FEWEST, "A two-sample test")
    fitted, choosing, judging = _parts(
        _as_input(data, "data", classifier, image_shape), _as_input(samples, "samples", classifier, image_shape), seed
    )
    if not float(fitted.x.std(0).max()):
        raise InputError("All data and samples are the same constant: there is nothing to tell apart.")
    fit, stages = _KINDS[classifier]
    columns = _columns_of(fitted.x, one_unit=image_shape is not None or np.ndim(data) > 2)
    best: tuple[float, float, _OfRows] | None = None
    with Progress(f"two-sample test, {classifier}", stages) as progress:
        for logits in fit(fitted, choosing, seed, columns):
            loss, factor = _best_temperature(logits(choosing.x), choosing.labels)
            best = (loss, factor, logits) if best is None or loss < best[0] else best
            progress.advance(cross_entropy=loss)
    assert best is not None
    return _score_of(classifier, best[1] * best[2](judging.x), judging.labels, len(choosing.labels))


def _as_input(x: Array, name: str, classifier: str, image_shape: Sequence[int] | None) -> Tensor:
    return as_images(x, name, image_shape) if classifier == "convolutional" else as_tensor(x, name).flatten(1)


def _parts(data: Tensor, samples: Tensor, seed: int) -> list[_Part]:
    """Rows to fit, to choose by and to judge on; a sample stays with the datum of its row, of which it may be made."""
    order = torch.randperm(len(data), generator=Generator().manual_seed(seed))
    cuts = [round(_FITTED * len(data)), round((_FITTED + _CHOOSING) * len(data))]
    return [
        _Part(torch.cat([data[rows], samples[rows]]), np.repeat([0, 1], len(rows))) for rows in order.tensor_split(cuts)
    ]


def _columns_of(fitted: Tensor, one_unit: bool) -> _Columns:
    """Standardises elements as in the rows [n, ...], but for rare ones of one unit; constant ones are left out."""
    rows = fitted.flatten(1).double()
    centre, deviation = rows.mean(0), rows.std(0)
    varying = deviation > 0
    divisor = (deviation.clamp(min=0.01 * float(deviation.max())) if one_unit else deviation)[varying]

    def scaled(x: Tensor) -> Floats:
        return ((x.double() - centre)[:, varying] / divisor).numpy()

    return _Columns(scaled, (lambda x: x.numpy()) if one_unit else scaled)


def _logits_of(model: Any, inputs: _OfRows) -> _OfRows:
    return lambda x: model.decision_function(inputs(x))


def _logistic(fitted: _Part, choosing: _Part, seed: int, columns: _Columns) -> Iterator[_OfRows]:
    """Logistic regression, one stage a penalty."""
    from sklearn.linear_model import LogisticRegression

    for inverse_penalty in _PENALTIES:
        model = LogisticRegression(C=inverse_penalty, max_iter=1_000).fit(columns.scaled(fitted.x), fitted.labels)
        yield _logits_of(model, columns.scaled)


def _trees(fitted: _Part, choosing: _Part, seed: int, columns: _Columns) -> Iterator[_OfRows]:
    """Boosted trees on principal components and on elements evenly spaced among those that vary."""
    from sklearn.decomposition import PCA
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows, width = columns.of_one_unit(fitted.x), columns.scaled(fitted.x[:1]).shape[1]
    pca = PCA(min(_COLUMNS, *rows.shape), svd_solver="covariance_eigh").fit(rows)
    picked = np.unique(np.linspace(0, width - 1, min(_COLUMNS, width)).round().astype(int))

    def inputs(x: Tensor) -> Floats:
        return np.hstack([pca.transform(columns.of_one_unit(x)), columns.scaled(x)[:, picked]])

    found = inputs(fitted.x)
    model = HistGradientBoostingClassifier(early_stopping=False, warm_start=True, random_state=narrow_seed(seed))
    for stage in range(1, _ROUNDS + 1):
        model.set_params(max_iter=stage * _TREES_A_ROUND).fit(found, fitted.labels)
        yield _logits_of(deepcopy(model), inputs)


def _convolutional(fitted: _Part, choosing: _Part, seed: int, columns: _Columns) -> Iterator[_OfRows]:
    """The small network, which chooses its epoch itself."""
    labels, kept = torch.as_tensor(fitted.labels), torch.as_tensor(choosing.labels)
    model = train_small(fitted.x, labels, choosing.x, kept, seed=seed)
    yield lambda x: model.log_probabilities(x).diff(dim=1)[:, 0].numpy()


_KINDS = {
    "logistic": (_logistic, len(_PENALTIES)),
    "trees": (_trees, _ROUNDS),
    "convolutional": (_convolutional, 1),
}
CLASSIFIERS = tuple(_KINDS)
"""The classifiers that `classifier_two_sample` knows, from the simplest on."""


def _right(logits: Floats, labels: Labels, doubt: float) -> Floats:
    """log p(right answer), with the share `doubt` of p left to guessing, so that no single row can cost everything."""
    return np.log((1 - doubt) * expit(np.where(labels == 1, logits, -logits)) + doubt / 2)


def _best_temperature(logits: Floats, labels: Labels) -> tuple[float, float]:
    """The lowest cross-entropy over factors on the logits, 0 (a guess) included, and its factor."""

    def loss(factor: float) -> float:
        return -float(_right(factor * logits, labels, _doubt(len(labels))).mean())

    found = minimize_scalar(loss, bounds=(0.0, _SHARPEST), method="bounded")
    return min((float(found.fun), float(found.x)), (loss(0.0), 0.0))


def _doubt(rows: int) -> float:
    """After `rows` right answers, Laplace's rule of succession still expects one wrong in rows + 2."""
    return 2 / (rows + 2)


def _score_of(classifier: str, logits: Floats, labels: Labels, chosen_on: int) -> TwoSample:
    odds = _right(logits, labels, _doubt(chosen_on)) - math.log(0.5)
    right = np.where(logits == 0, 0.5, (logits > 0) == (labels == 1))
    return TwoSample(classifier, *_mean_and_error(odds, labels), *_mean_and_error(right, labels), len(labels))


def _mean_and_error(scores: Floats, labels: Labels) -> tuple[float, float]:
    """Mean of both sides' means and its standard error, the numbers of data and of samples being fixed."""
    sides = [scores[labels == side] for side in (0, 1)]
    return float(np.mean([s.mean() for s in sides])), 0.5 * math.sqrt(sum(s.var(ddof=1) / len(s) for s in sides))
